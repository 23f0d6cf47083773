# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Waiting for a job: how long, how often it is polled, and the message when the time is over."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from astropy import units as u
from astroquery import log

from ..config import conf
from ..errors import JobTimeout, MmodaError
from ..instruments import BY_WINDOWS
from ..progress import Display, ProgressLine, in_words, last_message, last_report, windows_done
from ..service.http import Patience
from ..units import seconds_of

if TYPE_CHECKING:
    from ..service.account import Connection
    from .job import Job

_SECONDS_PER_LOOK = 1.0
_SECONDS_OF_REVIVAL = 10.0
_ID_SHOWN = 6  # characters; get_job finds it by them


def longest_wait(timeout: float | u.Quantity | None) -> float:
    """Seconds that a query may take; zero submits, and does not wait."""
    return conf.job_timeout if timeout is None else seconds_of(timeout, "timeout")


@contextmanager
def in_time(connection: Connection, limit: float, begin: float) -> Iterator[Connection]:
    """A connection for so many seconds since a moment; they are not to be over before anything was submitted."""
    try:
        yield connection.within(begin + limit if limit else math.inf)
    except JobTimeout as error:
        message = f"{error} Nothing was submitted; timeout= (now {limit:g} s) waits longer."
        raise JobTimeout(message) from None


@contextmanager
def _how_it_ends(job: Job, limit: float) -> Iterator[None]:
    """Say how to continue if a wait of so many seconds ends without a result, or is interrupted."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        log.warning("%s", how_to_continue(job))
        interrupt.add_note(how_to_continue(job))  # below the traceback, which takes the warning out of sight
        raise
    except JobTimeout as error:
        what = f"{job.product} of {job.instrument}"
        stands = f"The service did not take {what} within {limit:g} s."
        if job.job_id:
            status = ", ".join(filter(None, (job.status, last_message(job.reports))))
            stands = f"Job {job.job_id} ({what}) is not over after {limit:g} s; last status: {status}."
        advice = f"{how_to_continue(job)} error.job.result() waits again, and timeout= waits longer."
        raise JobTimeout(" ".join(filter(None, (stands, str(error), advice))), job=job) from None
    except MmodaError:
        raise
    except Exception as error:  # of a function given as progress=
        error.add_note(how_to_continue(job))
        raise


def submit_within(job: Job, limit: float, begin: float) -> None:
    """Submit a prepared job, or give up so many seconds after a moment; it may come back answered at once."""
    with _how_it_ends(job, limit):
        job._poll(Patience(begin + limit if limit else math.inf, advice=how_to_continue(job)))  # noqa: SLF001 - as below


def follow(
    job: Job,
    limit: float,
    begin: float,
    *,
    progress: bool | Callable[[Job], Any] | None = None,
    shortest_pause: float = 0.0,
    sleep: Callable[[float], Any] | None = None,
) -> bool:
    """
    Wait until a job is over, at most so many seconds since a moment on the monotonic clock; whether that was shown.

    An outage may last five times as long as otherwise, since the analysis goes on all the same.
    """
    display = Display(progress, partial(_line_of, job, _age_of(job), time.monotonic()), job)
    with _how_it_ends(job, limit), display:
        while not job._is_over:  # noqa: SLF001 - waiting is a part of jobs, in a file of its own
            elapsed = time.monotonic() - begin
            if elapsed >= limit:
                raise JobTimeout
            display()
            # at random, so that many clients do not poll at the same moment
            pause = min(max(0.1, elapsed / 10), conf.poll_interval_max) * random.uniform(0.85, 1.0)  # noqa: S311 - not secret
            (sleep or partial(_sleep, display))(min(max(shortest_pause, pause), limit - elapsed))
            job._poll(Patience(begin + limit, 5 * conf.retry_time, how_to_continue(job)))  # noqa: SLF001 - likewise
    return display.has_shown


def _sleep(display: Display, seconds: float) -> None:
    """Sleep, while the time that is shown goes on."""
    while display.is_live and seconds > _SECONDS_PER_LOOK:
        time.sleep(_SECONDS_PER_LOOK)
        seconds -= _SECONDS_PER_LOOK
        display.renew()
    time.sleep(seconds)


def _age_of(job: Job) -> float | None:
    """Seconds since a job was submitted, by any process; None if that is not known."""
    try:
        submitted = datetime.fromisoformat(job.submitted)
    except ValueError:
        return None
    since = datetime.now(UTC) - (submitted if submitted.tzinfo else submitted.replace(tzinfo=UTC))
    return max(since.total_seconds(), 0.0)


def _line_of(job: Job, age: float | None, begin: float) -> ProgressLine:
    """What is shown of a job that had an age when the wait began."""
    waited = time.monotonic() - begin
    elapsed = in_words((age or 0.0) + waited)
    if age is None:
        elapsed = f"waiting for {elapsed}"
    elif job._is_over and age > _SECONDS_OF_REVIVAL > waited:  # noqa: SLF001 - as above
        elapsed = f"submitted {elapsed} ago"  # it may have ended long before
    count, unit = _count_of(job)
    return ProgressLine(
        what=job.product,
        name=f"{job.job_id[:_ID_SHOWN]}…",
        stage=job.status,
        elapsed=elapsed,
        count=count,
        unit=unit,
        report=last_report(job.reports) if job.status not in ("ready", "done", "failed") else "",
    )


def _count_of(job: Job) -> tuple[str, str]:
    """How far a job is, and in what unit: science windows where they are known."""
    products, windows, done = job._products, job._windows, windows_done(job.reports)  # noqa: SLF001 - as above
    if products is not None:
        return f"{len(products)} product{'s' * (len(products) != 1)}", ""
    if job.status == "ready":  # the computation is over
        return "", ""
    if windows and (done or (job.progress is None and job.instrument in BY_WINDOWS)):
        return f"{min(done, windows)} of {windows}", "science windows"
    if job.progress is not None:
        return f"{job.progress:.0%}", ""
    # how many there are is known to the process that submitted it
    return (f"{done}", "science windows") if done else ("", "")


def how_to_continue(job: Job) -> str:
    """What is safe after a fault, and the line that continues."""
    if not job.job_id:
        return "Whether the service took it or not, the same call again is safe: equal requests are computed once."
    line = f"Mmoda.get_job({job.job_id!r}).result()"
    return f"Job {job.job_id} goes on at the service, and nothing is lost: {line} continues."
