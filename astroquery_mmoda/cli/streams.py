# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Writing to standard output and standard error, whatever became of them."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TextIO


def print_text(text: str, stream: TextIO | None) -> None:
    """Write lines to what was standard output at the begin; `OSError` if it is closed or full."""
    if stream is None:
        raise OSError(errno.EBADF, "standard output is closed")
    try:
        stream.write(f"{text}\n" if text else "")
        stream.flush()
    except (OSError, ValueError) as error:
        # else the interpreter tries it once more at its end, and complains
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        number = getattr(error, "errno", None) or errno.EIO
        raise OSError(number, f"nothing can be written to standard output ({os.strerror(number)})") from None


def write_line(line: str) -> None:
    """Write to standard error, as long as somebody reads it."""
    with suppress(AttributeError, OSError, ValueError):  # closed
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
