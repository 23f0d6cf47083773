# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Waiting for a job: how long, how often it is polled, and the message when the time is over."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from astropy import units as u
from astroquery import log

from ..config import conf
from ..errors import JobTimeout
from ..progress import Display, last_message
from ..service.http import Patience
from ..units import seconds_of

if TYPE_CHECKING:
    from ..service.account import Connection
    from .job import Job


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
    except KeyboardInterrupt:
        log.warning("%s", how_to_continue(job))
        raise
    except JobTimeout as error:
        what = f"{job.product} of {job.instrument}"
        stands = f"The service did not take {what} within {limit:g} s."
        if job.job_id:
            status = ", ".join(filter(None, (job.status, last_message(job.reports))))
            stands = f"Job {job.job_id} ({what}) is not over after {limit:g} s; last status: {status}."
        advice = f"{how_to_continue(job)} error.job.result() waits again, and timeout= waits longer."
        raise JobTimeout(" ".join(filter(None, (stands, str(error), advice))), job=job) from None


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
) -> None:
    """
    Wait until a job is over, at most so many seconds since a moment on the monotonic clock.

    An outage may last five times as long as otherwise, since the analysis goes on all the same.
    """
    display = Display(progress, _job_line)
    with _how_it_ends(job, limit), closing(display):
        while not job._is_over:  # noqa: SLF001 - waiting is a part of jobs, in a file of its own
            elapsed = time.monotonic() - begin
            if elapsed >= limit:
                raise JobTimeout
            display(job)
            # at random, so that many clients do not poll at the same moment
            pause = min(max(0.1, elapsed / 10), conf.poll_interval_max) * random.uniform(0.85, 1.0)  # noqa: S311 - not secret
            (sleep or time.sleep)(min(max(shortest_pause, pause), limit - elapsed))
            job._poll(Patience(begin + limit, 5 * conf.retry_time, how_to_continue(job)))  # noqa: SLF001 - likewise


def _job_line(job: Job) -> tuple[float | None, str]:
    message = last_message(job.reports)
    return job.progress, f"{job.product} {job.job_id}: {job.status}{', ' + message if message else ''}"


def how_to_continue(job: Job) -> str:
    """What is safe after a fault, and the line that continues."""
    if not job.job_id:
        return "Whether the service took it or not, the same call again is safe: equal requests are computed once."
    line = f"Mmoda.get_job({job.job_id!r}).result()"
    return f"Job {job.job_id} goes on at the service, and nothing is lost: {line} continues."
