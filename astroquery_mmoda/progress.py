# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The progress display of jobs, many queries and downloads, and what the service's reports about a job amount to."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from shutil import get_terminal_size
from typing import Any

from astropy.table import Table
from astropy.utils.console import isatty
from astroquery import log

from .text import printable, shorten

_SECONDS_PER_LINE = 60.0
_SECONDS_PER_DRAWING = 0.2
_WIDTH = 20
_ALMOST = 0.95


def _text(report: Mapping[str, Any], *keys: str) -> str:
    """The first of the keys that a report has, fit to be shown."""
    return next((printable(report[key], limit=200) for key in keys if report.get(key) not in (None, "")), "")


def _number(report: Mapping[str, Any], key: str) -> float | None:
    """Numbers come as texts, if at all."""
    try:
        number = float(report[key])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def fraction(reports: Sequence[Mapping[str, Any]], windows: int = 0) -> float | None:
    """
    Fraction of the work that is done, as the last report with a number in it says, or the science windows done.

    Parameters
    ----------
    reports : list of dict
        Oldest first; ``progress`` out of ``progress_max`` (or of 100).
    windows : int
        Number of science windows of the analysis, if it is known. After the last of them the products are put
        together, so they never make the whole.

    Returns
    -------
    float or None
        Between 0 and 1; None if no report has a number.
    """
    for report in reversed(reports):
        number, whole = _number(report, "progress"), _number(report, "progress_max") or 100.0
        if number is not None and whole > 0:
            return min(max(number / whole, 0.0), 1.0)
    done = {str(report["scwid"]) for report in reports if report.get("scwid") and _is_end(report)}
    return min(len(done) / windows, _ALMOST) if windows and done else None


def _is_end(report: Mapping[str, Any]) -> bool:
    return any(word in str(report.get("message") or "").lower() for word in ("done", "restored"))


def last_message(reports: Sequence[Mapping[str, Any]]) -> str:
    """Words of the newest report; empty if there is none."""
    return _text(reports[-1], "message", "stage", "action") if reports else ""


def reports_table(reports: Sequence[Mapping[str, Any]]) -> Table:
    """
    Reports of the back end as a table.

    Parameters
    ----------
    reports : list of dict
        As the service sent them, oldest first.

    Returns
    -------
    Table
        ``time`` (text as sent, empty where the service gives none), ``node``, ``message``, ``scw`` (science window),
        ``progress`` (fraction, masked where unknown).
    """
    parts = [fraction([report]) for report in reports]
    table = Table(
        {
            "time": [_text(report, "time", "time_request") for report in reports],
            "node": [_text(report, "node", "node_id") for report in reports],
            "message": [_text(report, "message", "stage", "action") for report in reports],
            "scw": [_text(report, "scwid") for report in reports],
            "progress": [float("nan") if part is None else part for part in parts],
        },
        masked=True,
        dtype=["U", "U", "U", "U", "f8"],
    )
    table["progress"].mask = [part is None for part in parts]
    return table


class Display:
    """
    Shows what is waited for: one line with a bar in a terminal or notebook, a line now and then in a log file.

    Parameters
    ----------
    progress : bool, callable or None
        False: nothing. A callable is called instead, with what is waited for. None or True: shown if the log level is
        INFO or lower.
    line : callable
        Gives of what is waited for the fraction that is done (None if unknown), and a text.
    """

    def __init__(
        self,
        progress: bool | Callable[[Any], Any] | None,  # noqa: FBT001 - as in the calls of users
        line: Callable[[Any], tuple[float | None, str]],
    ) -> None:
        self._callback = progress if callable(progress) else None
        self._line = line
        self._shown = progress is not False and not self._callback and log.getEffectiveLevel() <= logging.INFO
        self._terminal = self._shown and isatty(sys.stdout)
        self._begin = self._last_line = time.monotonic()
        self._last_drawn = -math.inf
        self._width = 0

    def __call__(self, what: Any) -> None:
        """Show the present state."""
        now = time.monotonic()
        if self._callback:
            self._callback(what)
        elif self._terminal and now - self._last_drawn >= _SECONDS_PER_DRAWING:
            self._last_drawn = now
            self._draw(self._text(what))
        elif self._shown and not self._terminal and now - self._last_line > _SECONDS_PER_LINE:
            self._last_line = now
            log.info("%s", self._text(what))

    def close(self) -> None:
        """Leave the terminal at the begin of an empty line."""
        if self._width:
            self._draw("")
            sys.stdout.write("\r")
            self._width = 0

    def _text(self, what: Any) -> str:
        part, text = self._line(what)
        told = f"{time.monotonic() - self._begin:.0f} s, {text}"
        if part is None:
            return told
        bar = f"[{('=' * int(_WIDTH * part)).ljust(_WIDTH)}] " if self._terminal else ""
        return f"{bar}{part:.0%}, {told}"

    def _draw(self, text: str) -> None:
        shown = shorten(text, max(get_terminal_size().columns - 1, 20))
        sys.stdout.write("\r" + shown.ljust(self._width))  # covers what was longer
        sys.stdout.flush()
        self._width = len(shown)
