# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How a waiting job is shown, and what the service's reports about it amount to."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from astropy.table import Table
from astropy.utils.console import ProgressBar, Spinner, isatty
from astroquery import log

from .text import printable, shorten

if TYPE_CHECKING:
    from .jobs.job import Job

__all__ = ["Display", "fraction", "last_message", "reports_table"]

_SECONDS_PER_LINE = 60.0
_STEPS = 100
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
    Shows a waiting job: a bar or spinner in a terminal or notebook, a line now and then in a log file, or nothing.

    Parameters
    ----------
    progress : bool, callable or None
        False: nothing. A callable is called with the job instead. None or True: shown if the log level is INFO or
        lower.
    """

    def __init__(self, progress: bool | Callable[[Any], Any] | None) -> None:  # noqa: FBT001 - the only argument
        self._callback = progress if callable(progress) else None
        self._shown = progress is not False and not self._callback and log.getEffectiveLevel() <= logging.INFO
        self._terminal = self._shown and isatty(sys.stdout)
        self._begin = self._last_line = time.monotonic()
        self._turns = 0
        self._width = 0
        self._bar: ProgressBar | None = None

    def __call__(self, job: Job) -> None:
        """Show the state of a job now."""
        if self._callback:
            self._callback(job)
        elif self._terminal and job.progress is not None:
            self._draw_bar(job.progress)
        elif self._terminal and self._bar is None:
            self._draw_spinner(job)
        else:
            self._tell_now_and_then(job)

    def _tell_now_and_then(self, job: Any) -> None:
        """A line in the log, where there is no terminal."""
        if self._shown and not self._terminal and time.monotonic() - self._last_line > _SECONDS_PER_LINE:
            self._last_line = time.monotonic()
            log.info("%s", self._line(job))

    def close(self) -> None:
        """Leave the terminal at the begin of an empty line."""
        self._clear()
        if self._bar is not None:
            sys.stdout.write("\n")
            self._bar = None

    def _line(self, job: Job) -> str:
        part = "" if job.progress is None else f" {job.progress:.0%}"
        message = last_message(job.reports)
        elapsed = time.monotonic() - self._begin
        return f"{job.product} {job.job_id}: {job.status}{part}, {elapsed:.0f} s{', ' + message if message else ''}"

    def _draw_bar(self, part: float) -> None:
        if self._bar is None:
            self._clear()
            self._bar = ProgressBar(_STEPS)
        self._bar.update(round(part * _STEPS))

    def _draw_spinner(self, job: Job) -> None:
        # astropy's spinner has one message for its life, so each turn gets a spinner of its own
        line = self._line(job)
        shown = shorten(line, max(get_terminal_size().columns - 4, 20)).ljust(self._width)
        character = "-\\|/"[self._turns % 4]
        next(Spinner(shown, chars=character))
        self._turns += 1
        self._width = len(shown.rstrip())

    def _clear(self) -> None:
        if self._width:
            sys.stdout.write("\r" + " " * (self._width + 3) + "\r")
            sys.stdout.flush()
            self._width = 0
