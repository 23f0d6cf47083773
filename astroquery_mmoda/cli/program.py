# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""``mmoda`` as a process: what is printed where, signals, and the exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from ..errors import ParameterError
from .arguments import UsageProblem, parse_arguments
from .commands import perform
from .messages import in_words_of_the_shell, messages_to_stderr, words_of
from .streams import print_text, write_line

_FAILED, _USAGE = 1, 2


class _Stopped(KeyboardInterrupt):
    """A signal asked to end; its number is the argument."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line says, by default that of this process; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed, or of a test
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with _ended_by_signals():
            return _run(argv)
    except UsageProblem as problem:
        write_line(f"mmoda: error: {problem}")
        return _USAGE
    except SystemExit as end:  # of argparse, after --help and --version
        return int(end.code or 0)
    except BrokenPipeError:  # `mmoda jobs | head -1`: whoever reads has enough
        return 0
    except KeyboardInterrupt as interrupt:
        write_line(" ".join(["mmoda: interrupted", *getattr(interrupt, "__notes__", [])]))
        return 128 + (interrupt.args[0] if isinstance(interrupt, _Stopped) else signal.SIGINT)


def _run(argv: Sequence[str] | None) -> int:
    arguments, output = parse_arguments(argv), sys.stdout
    with messages_to_stderr(quiet=arguments.quiet, debug=arguments.debug) as messages:
        try:
            perform(arguments, lambda text: print_text(text, output))
        except BrokenPipeError:
            raise
        except KeyboardInterrupt as interrupt:
            # the log may have said how to go on
            notes = dict.fromkeys(map(in_words_of_the_shell, getattr(interrupt, "__notes__", [])))
            interrupt.__notes__ = [f"({note})" for note in notes if note not in messages.said]
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours must be one paragraph, too
            if arguments.debug:
                messages.say_traceback(error)
            write_line(f"mmoda: error: {words_of(error)}")
            return _USAGE if isinstance(error, ParameterError) else _FAILED
    return 0


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let files be completed or removed when the process is asked to end."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped(number)

    before: dict[int, Any] = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        with suppress(ValueError):  # only the main thread may do this
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # what nohup ignores stays ignored
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
