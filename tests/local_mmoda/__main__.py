# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""A MMODA on this machine to try things with: ``python -m tests.local_mmoda`` at the root of a clone."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import environment
from .server import LocalMmoda

ROLES = "general, unige-hpc-full, integral-public-nrt, refresh-tokens"
EXAMPLE = 'mmoda.query_catalog("isgri", "Crab", time_range=("2018-03-16", "2018-03-17"))'
TEXT = """\
A MMODA on this machine answers at {url}
Its sky is synthetic: names and positions are those of real objects, everything else is invented. A job takes about {job:.0f} s.

A token to try (for this server only, 24 h, roles: {roles}); mmoda.login() asks for it:

{token}

Three lines for a Python that has astroquery_mmoda:

from astroquery_mmoda import Mmoda
mmoda = Mmoda(server="{url}")
print({example}["src_names", "significance", "ra", "dec"])

Ctrl-C here ends it, and removes all that it has written."""


def main() -> None:
    """Serve until Ctrl-C or SIGTERM; the exit status is 0 then, and 1 where it could not start or ended by itself."""
    options = _options()
    # set in any case: a shell has its background jobs ignore interrupts, and what they start inherits that
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        _serve(options.port, options.step)
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
    except (RuntimeError, OSError) as error:
        raise SystemExit(f"The local MMODA could not start: {error}") from None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.local_mmoda",
        description="Run a MMODA with a synthetic sky on this machine, until Ctrl-C. The first time, the environment of "
        f"the server is built in {environment.DEFAULT_DIRECTORY} (some minutes, 660 MB).",
    )
    parser.add_argument("--port", type=_port, help="port of 127.0.0.1 to listen at (default: a free one)")
    parser.add_argument(
        "--step",
        type=_seconds,
        default=0.3,
        metavar="SECONDS",
        help="pause between two of the four reports of a job: 30 makes jobs of two minutes (default: %(default)s)",
    )
    return parser.parse_args()


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return value


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # an impatient second one would leave things behind
    for known in (signal.SIGINT, signal.SIGTERM):
        signal.signal(known, signal.SIG_IGN)
    raise KeyboardInterrupt


def _serve(port: int | None, step: float) -> None:
    try:
        from tests.tokens import mint
    except ImportError:
        raise RuntimeError('this Python lacks the package; install it first: pip install ".[all]"') from None
    if port:
        _require_free(port)
    python = environment.find() or _built()
    with LocalMmoda(python, port=port, step=step) as service:
        token = mint(key=service.secret_key, roles=ROLES)
        # about a second of it is the computation
        text = TEXT.format(url=service.url, job=1 + 4 * step, roles=ROLES, token=token, example=EXAMPLE)
        print(text, flush=True)
        assert service.process is not None
        status = service.process.wait()
        raise SystemExit(f"The server ended by itself (status {status}); its log ends:\n{service.log_tail()}")


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        # as the server does: what a former one has left in TIME_WAIT does not matter
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            why = "may not be used by you" if isinstance(error, PermissionError) else "is taken"
            raise RuntimeError(
                f"port {port} {why}; name another one by --port, or leave it out for a free one"
            ) from None


def _built() -> Path:
    print(
        "The environment of the server must be built first, once: some minutes, 660 MB from the Python package index.",
        flush=True,
    )
    return environment.build()


if __name__ == "__main__":
    main()
