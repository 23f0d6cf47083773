# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The progress display of jobs, many queries and downloads, and the service's reports about a job."""

from __future__ import annotations

import logging
import math
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from shutil import get_terminal_size
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.utils.console import isatty
from astroquery import log

from .text import printable, shorten

_SECONDS_PER_LINE = 60.0
_SECONDS_PER_DRAWING = 0.2
_WIDTH = 20
_ALMOST = 0.95


def _report_text(report: Mapping[str, Any], *keys: str) -> str:
    """The first of the keys that a report has, fit to be shown."""
    return next((printable(report[key], limit=200) for key in keys if report.get(key) not in (None, "")), "")


def fraction(reports: Sequence[Mapping[str, Any]], windows: int = 0) -> float | None:
    """
    Fraction of the work that is done as the last report with a number has it, or by science windows; None if unknown.

    After the last of so many science windows the products are put together, so they never make the whole.
    """
    for report in reversed(reports):
        try:  # numbers come as texts, if at all
            part = float(report["progress"]) / float(report.get("progress_max") or 100)
        except (KeyError, TypeError, ValueError, ArithmeticError):
            continue
        if math.isfinite(part):
            return min(max(part, 0.0), 1.0)
    finished = [report for report in reports if re.search("done|restored", str(report.get("message")), re.I)]
    done = {str(report.get("scwid") or "") for report in finished} - {""}
    return min(len(done) / windows, _ALMOST) if windows and done else None


def last_message(reports: Sequence[Mapping[str, Any]]) -> str:
    """Words of the newest report; empty if there is none."""
    return _report_text(reports[-1], "message", "stage", "action") if reports else ""


def reports_table(reports: Sequence[Mapping[str, Any]]) -> Table:
    """Reports of the back end, oldest first, as a table; see ``Job.messages``."""
    parts = np.array([fraction([report]) for report in reports], dtype=float)
    columns = {
        "time": [_report_text(report, "time", "time_request") for report in reports],
        "node": [_report_text(report, "node", "node_id") for report in reports],
        "message": [last_message([report]) for report in reports],
        "scw": [_report_text(report, "scwid") for report in reports],
        "progress": np.ma.masked_invalid(parts),
    }
    return Table(columns, masked=True, dtype=["U", "U", "U", "U", "f8"])


class Display:
    """
    Shows the progress: one line with a bar in a terminal or notebook, a line now and then in a log file.

    Parameters
    ----------
    progress : bool, callable or None
        False: nothing. A callable is called instead, with the job, queries or downloads. None or True: a display if
        the log level is INFO or lower.
    line : callable
        Returns the fraction that is done (None if unknown), and a text.
    """

    def __init__(
        self,
        progress: bool | Callable[[Any], Any] | None,  # noqa: FBT001 - as in the calls of users
        line: Callable[[Any], tuple[float | None, str]],
    ) -> None:
        self._callback = progress if callable(progress) else None
        self._line = line
        self._shown = progress is not False and log.getEffectiveLevel() <= logging.INFO
        self._terminal = self._shown and isatty(sys.stdout)
        self._begin = time.monotonic()
        self._last = -math.inf if self._terminal else self._begin
        self._width = 0

    def __call__(self, what: Any) -> None:
        """Show the present state."""
        if self._callback:
            self._callback(what)
            return
        now = time.monotonic()
        if not self._shown or now - self._last < (_SECONDS_PER_DRAWING if self._terminal else _SECONDS_PER_LINE):
            return
        self._last = now
        part, text = self._line(what)
        text = f"{'' if part is None else f'{part:.0%}, '}{now - self._begin:.0f} s, {text}"
        if not self._terminal:
            log.info("%s", text)
            return
        bar = "" if part is None else f"[{('=' * int(_WIDTH * part)).ljust(_WIDTH)}] "
        shown = shorten(bar + text, max(get_terminal_size().columns - 1, 20))
        sys.stdout.write("\r" + shown.ljust(self._width))  # covers what was longer
        sys.stdout.flush()
        self._width = len(shown)

    def close(self) -> None:
        """Leave the terminal at the begin of an empty line."""
        if self._width:
            sys.stdout.write("\r" + " " * self._width + "\r")
            sys.stdout.flush()
            self._width = 0
