# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Messages of the log, warnings and errors as lines on standard error, in the words of the command line."""

from __future__ import annotations

import io
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from astropy import log as astropy_log
from astroquery import log

from ..errors import MmodaError
from ..text import printable, without_token
from .streams import write_line

_LONGEST = 2500
_OPTIONS = {name: name for name in "product radius catalog source timeout scw_list windows_per_job on_error".split()}
_OPTIONS |= {"time_bin": "time_bin", "coordinates": "position", "time_range": "time", "energy_range": "energy"}
# what is written in Python -> what it is on the command line
_WORDS: list[tuple[str, str]] = [
    (r"Mmoda\.get_job\('([\w-]+)'\)\.result\(\)", r"'mmoda wait \1'"),
    (r"error\.job\.result\(\) waits again, and timeout= waits longer", "--timeout waits longer"),
    (r"Mmoda\(server=\.\.\.\)\.get_job\(\) takes that of one server", "--server chooses one"),
    (r"give it as Mmoda\.login\(token\), in", "give it to 'mmoda token login', or have it in"),
    (r"Mmoda\.login\b(\(\))?", "'mmoda token login'"),
    (r"Mmoda\.logout\(\)", "'mmoda token logout'"),
    (r"refresh_token\(force=True\)", "'mmoda token refresh --force'"),
    (r"(Mmoda\.)?list_instruments(\(\))?", "'mmoda instruments'"),
    (r"(Mmoda\.)?list_parameters(\(\))?", "'mmoda parameters'"),
    (r"(Mmoda\.)?query_science_windows(\([\w, ]*\))?", "'mmoda windows'"),
    (r" \(the \.manifest of this error lists all\)", ""),
    (r" See error\.products, or use query_product\.", ""),
    (r"\b(?:astroquery_mmoda\.)?conf\.server\b", "--server"),
    (r"\b(?:astroquery_mmoda\.)?conf\.(\w+(?: = \w+)?)", r"\1 in astroquery_mmoda.cfg"),
    (r"\boverwrite=True\b", "--overwrite"),
    (r"([\d.]+)\*u\.(\w+)", r"\1\2"),
    (r"Give a Time, an ISO text \(UTC\), a datetime, or a", "Give an ISO 8601 text (UTC), or a"),
    (r"give Time\(\S+ \+ (\S+), format='mjd', scale='tt'\)", r"add \1; TT is about 69 s ahead of UTC"),
    (
        r"Give its position as a SkyCoord, or as a text such as '([\d.]+ [\d.]+)'",
        r"Give --position, such as --position \1",
    ),
    (r", or give a SkyCoord\b", ""),
    (r"or a Table with scw_id and scw_ver", "or a table of 'mmoda windows'"),
    (r"\bquery_(image|catalog|spectrum|lightcurve|product)\b", r"'mmoda query \1'"),
    (r"Give the session_id of its link", "Give its link instead of the id"),
    (r", or as a Quantity\b", ", or with a unit"),
    (r'Cannot parse "[^"]*" as a Quantity\. It does not start with a number\.', "it does not start with a number"),
    (r" or Quantity\b", ", with or without a unit"),
    (r" \(nrt=True\)", ""),
    # with a value behind it, or alone
    *((rf"\b{name}=(?=[^\s;,.:)])", f"--{option.replace('_', '-')} ") for name, option in _OPTIONS.items()),
    (r"\bcoordinates=", "NAME or --position"),
    *((rf"\b{name}=", f"--{option.replace('_', '-')}") for name, option in _OPTIONS.items()),
    (r"\b(time|energy)_range\b", r"--\1"),
    (r"\bwindows_per_job\b", "--windows-per-job"),
    (r"\bscw_list\b", "--scw-list"),
]


def in_words_of_the_shell(text: object) -> str:
    """One paragraph of a message that was written for Python."""
    line = " ".join(printable(text, limit=_LONGEST, newlines=True).split())
    for pattern, words in _WORDS:
        line = re.sub(pattern, words, line)
    return line


def words_of(error: BaseException) -> str:
    """What was wrong, as one paragraph."""
    if isinstance(error, OSError) and not isinstance(error, MmodaError):
        reason = error.strerror or str(error) or type(error).__name__
        return in_words_of_the_shell(reason if error.filename is None else f"{error.filename}: {reason}")
    if isinstance(error, (MmodaError, ImportError)):
        return in_words_of_the_shell(error)
    advice = "This is a fault of mmoda: please report it, with what 'mmoda diagnose' and --debug print."
    return in_words_of_the_shell(f"{type(error).__name__}: {error}. {advice}")


class Messages(logging.Handler):
    """Writes lines to standard error; ``said`` are those that were written."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message of a record; `logging` calls this."""
        if record.levelno == logging.INFO:
            self.say(record.getMessage())
        else:
            self.say(record.getMessage(), f"{record.levelname.lower()}: ")

    def showwarning(self, message: Warning | str, *_: Any, **__: Any) -> None:
        """Instead of Python's own, which names files and lines."""
        self.say(message, "warning: ")

    def say(self, text: object, label: str = "") -> None:
        """Write one line."""
        line = in_words_of_the_shell(text)
        self.said.add(line)
        write_line(f"mmoda: {label}{line}")

    def say_traceback(self, error: BaseException) -> None:
        """Write where an error came from."""
        write_line(without_token("".join(traceback.format_exception(error))).rstrip())


@contextmanager
def messages_to_stderr(*, quiet: bool, debug: bool) -> Iterator[Messages]:
    """Send everything but results to standard error, progress included; ``quiet`` leaves only errors."""
    messages, loggers = Messages(), (log, astropy_log)
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    with redirect_stdout(sys.stderr or io.StringIO()), warnings.catch_warnings():
        if quiet:
            warnings.simplefilter("ignore")
        elif not sys.warnoptions:
            warnings.simplefilter("default")
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=ResourceWarning)
        warnings.showwarning = messages.showwarning
        for logger in loggers:
            logger.handlers[:] = [messages]
            if quiet or debug:
                logger.setLevel(logging.DEBUG if debug else logging.ERROR)
        try:
            yield messages
        finally:
            for logger, level, handlers in before:
                logger.handlers[:] = handlers
                logger.setLevel(level)
