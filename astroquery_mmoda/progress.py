# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The line that shows how far jobs, many queries and downloads are, and the service's reports about a job."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import re
import secrets
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import astropy
import numpy as np
from astropy.table import Table
from astropy.utils.console import isatty
from astroquery import log

from .errors import ParameterError
from .text import printable, transliterated

_ALMOST = 0.95
_FIRST_RECORD, _LONGEST_SILENCE = 60.0, 3600.0  # s, of a log
_SHORTEST = 15  # cells of a report that is cut
_LOGGERS = (log, astropy.log)  # the second one writes the warnings of both


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
    done = windows_done(reports)
    return min(done / windows, _ALMOST) if windows and done else None


def windows_done(reports: Sequence[Mapping[str, Any]]) -> int:
    """Number of science windows in which a step is done, or was found in a cache."""
    finished = [report for report in reports if re.search("done|restored", str(report.get("message")), re.I)]
    return len({str(report.get("scwid") or "") for report in finished} - {""})


def last_message(reports: Sequence[Mapping[str, Any]]) -> str:
    """Words of the newest report; empty if there is none."""
    return _report_text(reports[-1], "message", "stage", "action") if reports else ""


def last_report(reports: Sequence[Mapping[str, Any]]) -> str:
    """Step and words of the newest report."""
    step = _report_text(reports[-1], "node", "stage") if reports else ""
    message = last_message(reports)
    return message if step in ("", message) else f"{step}: {message}"


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


# ---- the line


@dataclass(frozen=True)
class ProgressLine:
    """
    What is shown of something that takes long; empty texts are left out.

    ``what`` it is, its ``name``, the ``stage``, the time since it began (``elapsed``, in words), how far it is
    (``count``, such as ``14 of 50``, of a ``unit``), and the last ``report``.
    """

    what: str = ""
    name: str = ""
    stage: str = ""
    elapsed: str = ""
    count: str = ""
    unit: str = ""
    report: str = ""

    def __str__(self) -> str:
        """All of it, for a log."""
        return ", ".join(self.parts()).replace("…", "...")

    def fitted(self, width: int) -> str:
        """Text of at most so many cells: the report is cut, then the unit, what it is, and the count are left out."""
        without_report = replace(self, report="")
        plain = replace(without_report, unit="")
        text = ""
        for line in (
            self,
            without_report,
            replace(without_report, unit=self.unit.rpartition(" ")[2]),  # windows are science windows
            plain,
            replace(plain, what=""),
            replace(plain, what="", count=""),
        ):
            text = " · ".join(line.parts())
            left = width - cells_of(text)
            if line is without_report and left >= _SHORTEST:  # a shorter one says nothing
                return _cut(f"{text} · {_shown(self.report)}", width)
            if left >= 0:
                return text
        return _cut(text, width)

    def parts(self) -> list[str]:
        """Texts of the line, fit to be shown."""
        head = " ".join(filter(None, (self.what, self.name)))
        count = " ".join(filter(None, (self.count, self.unit)))
        return [_shown(part) for part in (head, self.stage, self.elapsed, count, self.report) if part]


def _shown(text: str) -> str:
    return printable(text, limit=200)


def in_words(seconds: float) -> str:
    """A duration as people say it: 8 s, 3 min 20 s, 12 min, 2 h 05 min, 3 d 04 h."""
    whole = int(max(seconds, 0.0))
    minutes, hours = whole // 60, whole // 3600
    if whole < 60:
        return f"{whole} s"
    if minutes < 10:
        return f"{minutes} min {whole % 60:02d} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24:02d} h"


def done_in_words(done: int, total: str, running: int, failed: int) -> str:
    """How many are done, and what others are: ``3 of 20 jobs done, 4 running, 1 failed``."""
    others = ((running, "running"), (failed, "failed"))
    return f"{done} of {total} done" + "".join(f", {number} {state}" for number, state in others if number)


def cells_of(text: str) -> int:
    """Width of a text in a terminal, where characters of East Asia take two cells, and combining accents none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in ("W", "F")) for each in text
    )


def _cut(text: str, width: int) -> str:
    """Text of at most so many cells, with an ellipsis where it was cut."""
    if cells_of(text) <= width:
        return text
    while text and cells_of(text) >= width:
        text = text[:-1]
    return f"{text}…" if width > 0 else ""


# ---- where it is shown


class _Output:
    """A place where lines are shown: at least ``interval`` seconds apart, and the last one stays."""

    interval = 0.0

    def show(self, line: ProgressLine, *, is_last: bool = False) -> None:
        """Show a line in the place of the one before."""
        raise NotImplementedError

    def clear(self) -> None:
        """Make place for something else."""

    def close(self) -> None:
        """Nothing will be shown any more."""


class _Terminal(_Output):
    """
    One line of standard error: standard output may be the result, on its way to a file.

    Without escape sequences. The cursor waits at the begin of the line, so that what others write is not added to it.
    """

    interval = 0.5
    on_screen = 0  # cells of the present line that are in use, by any display: there is one terminal

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._before = ""

    def show(self, line: ProgressLine, *, is_last: bool = False) -> None:
        for each in _LOGGERS:
            each.addFilter(self._before_record)
        text = self._fitted(line)
        if is_last or text != self._before or not _Terminal.on_screen:
            self._write(text, "\n" if is_last else "\r")
            _Terminal.on_screen, self._before = 0 if is_last else cells_of(text), text

    def clear(self) -> None:
        if _Terminal.on_screen:
            self._write("", "\r")
            _Terminal.on_screen = 0

    def close(self) -> None:
        for each in _LOGGERS:
            each.removeFilter(self._before_record)

    def _before_record(self, record: logging.LogRecord) -> bool:
        """Records are written at the begin of a line; a warning may be one."""
        self.clear()
        return True

    def _fitted(self, line: ProgressLine) -> str:
        text = line.fitted(self._width())
        try:
            text.encode(getattr(self._stream, "encoding", None) or "utf-8")
        except (UnicodeError, LookupError):
            # an ellipsis becomes one dot, as wide as it is
            text = _cut(transliterated(text.replace("·", "-").replace("…", ".")), self._width()).replace("…", ".")
        return text

    def _width(self) -> int:
        # the last cell stays free: some terminals go to the next line once it is used
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            columns = 0
        return (columns or shutil.get_terminal_size().columns) - 1

    def _write(self, text: str, end: str) -> None:
        """Write over the line that is there, which is not to become two lines."""
        padding = " " * (min(_Terminal.on_screen, self._width()) - cells_of(text))
        with suppress(OSError, ValueError):  # waiting goes on without a terminal that was closed
            self._stream.write(f"\r{text}{padding}{end}")
            self._stream.flush()


class _Notebook(_Output):
    """One output of a cell, which is renewed and stays in the saved notebook as plain text."""

    interval = 0.5
    columns = 88  # what a notebook beside a list of files can show of a line

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher
        self._place = {"display_id": secrets.token_hex(8)}
        self._before = ""

    def show(self, line: ProgressLine, *, is_last: bool = False) -> None:
        text = line.fitted(self.columns)
        if text != self._before:
            self._publisher.publish({"text/plain": text}, {}, transient=self._place, update=bool(self._before))
            self._before = text


class _Log(_Output):
    """Records at growing intervals, about 70 in a day."""

    def __init__(self) -> None:
        self.interval = _FIRST_RECORD
        self._begin = time.monotonic()

    def show(self, line: ProgressLine, *, is_last: bool = False) -> None:
        log.info("%s", line)
        self.interval = min(max(_FIRST_RECORD, (time.monotonic() - self._begin) / 10), _LONGEST_SILENCE)


def _output() -> _Output:
    """Where lines are shown in this process and thread."""
    # a kernel of Jupyter has no terminal, and has imported IPython
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell: Any = get_shell() if get_shell else None
    if getattr(shell, "kernel", None) is not None and multiprocessing.parent_process() is None:
        # the console of Spyder shows a display, but does not renew it
        return _Log() if "spyder_kernels" in sys.modules else _Notebook(shell.display_pub)
    if isatty(sys.stderr) and os.environ.get("TERM") != "dumb":  # such a one may not be able to write over a line
        return _Terminal(sys.stderr)
    return _Log()


def check_progress(progress: object) -> None:
    """Refuse what the argument ``progress`` can't be."""
    if not (progress is None or isinstance(progress, (bool, np.bool_)) or callable(progress)):
        raise ParameterError(f"progress={printable(progress, limit=80)!r} must be True, False or a callable.")


class Display:
    """
    Shows how far something is, in one line that is renewed: in a terminal or a notebook; in a log, a line now and then.

    The last line stays. To be used in a ``with`` statement.

    Parameters
    ----------
    progress : bool, callable or None
        False: nothing. A callable is called instead. None or True: a display if the log level is INFO or lower.
    line : callable
        Returns the present `ProgressLine`.
    subject : object
        What a callable is called with: the job, or the queries.
    """

    def __init__(
        self,
        progress: bool | Callable[[Any], Any] | None,  # noqa: FBT001 - as in the calls of users
        line: Callable[[], ProgressLine],
        subject: Any = None,
    ) -> None:
        check_progress(progress)
        self._callback = progress if callable(progress) else None
        self._line, self._subject = line, subject
        shown = self._callback is None and progress in (None, True) and log.getEffectiveLevel() <= logging.INFO
        self._output = _output() if shown else None
        self._last = -math.inf if self.is_live else time.monotonic()
        #: whether anything was shown, the end included once the ``with`` statement is over
        self.has_shown = False

    @property
    def is_live(self) -> bool:
        """Whether there is a line that moves."""
        return self._output is not None and not isinstance(self._output, _Log)

    def __call__(self) -> None:
        """Show the present state, or call the callable."""
        if self._callback:
            self._callback(self._subject)
        else:
            self.renew()

    def renew(self) -> None:
        """Show the present state, unless that was done just now."""
        now = time.monotonic()
        if self._output and now - self._last >= self._output.interval:
            self._last = now
            self.has_shown = True
            self._output.show(self._line())

    def clear(self) -> None:
        """Leave an empty line in a terminal, for something else to be written."""
        if self._output:
            self._output.clear()

    def __enter__(self) -> Display:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if not (self._output and self.has_shown):
            return
        try:
            line = self._line()
            if kind is not None and not issubclass(kind, GeneratorExit):
                words = {KeyboardInterrupt: "interrupted", TimeoutError: "timed out"}
                ending = next((word for each, word in words.items() if issubclass(kind, each)), "error")
                line = replace(line, stage=", ".join(filter(None, (line.stage, ending))))
            self._output.show(line, is_last=True)
        finally:
            self._output.close()
