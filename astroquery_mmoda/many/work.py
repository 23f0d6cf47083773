# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Work items: one query each, whose jobs are submitted, waited for and fetched by threads of this process or of a worker.

What an executor gets is one function of this package and plain values. No token is among them unless it was given for
these queries knowingly; a worker finds one of its own, and an analysis in the name of another user is refused there.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..auth.token import as_token
from ..config import conf
from ..errors import MmodaError, without_frames
from ..jobs.job import Job
from ..jobs.run import prepare
from ..jobs.waiting import follow, submit_within
from ..products import Products
from ..progress import done_in_words
from ..request.division import number_of_windows
from ..service.account import Connection

# connections of one run at a time, however many queries are active: each poll is short
_MOST_CONNECTIONS = 16


@dataclass
class Tally:
    """How far the jobs of a query are: numbers of jobs, and of science windows in them."""

    jobs: int = 0
    windows: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    windows_done: int = 0
    windows_over: int = 0

    @classmethod
    def total(cls, tallies: Iterable[Tally]) -> Tally:
        """Sum over several queries."""
        known = list(tallies)
        return cls(**{item.name: sum(getattr(each, item.name) for each in known) for item in fields(cls)})

    def __str__(self) -> str:
        return f"{self.jobs_in_words}, {self.windows_done} of {self.windows} science windows"

    @property
    def jobs_in_words(self) -> str:
        """Without the science windows."""
        return done_in_words(self.done, f"{self.jobs} jobs", self.running, self.failed)


def in_daemon(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Call a function in a thread; unlike those of ThreadPoolExecutor, it does not keep a script from ending."""
    context = copy_context()  # so that warnings are collected with those of the thread that waits for it
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            future.set_result(context.run(function, *arguments))
        except BaseException as error:  # else waiting for it would never end
            future.set_exception(error)

    threading.Thread(target=work, name="mmoda", daemon=True).start()
    return future


class Run:
    """
    What the queries of one `ManyQueries` share in a process: the connection, and when each may poll.

    All together they poll at most ``conf.many_polls_per_second`` times per second, over a limited number of
    connections, and not while the run is paused. One that is ``alone`` in a worker's process does not know how many of
    the ``active`` queries run in others: each of its own polls at its part of the common rate.
    """

    def __init__(self, connection: Connection, active: int, *, key: str = "", alone: bool = False) -> None:
        self.key = key or secrets.token_hex(8)
        self.connection = connection
        self.active, self.alone = active, alone
        self.jobs: dict[tuple[int, int], Job] = {}  # by the index of the query, and the number of the job
        self.tallies: dict[int, Tally] = {}  # of queries of several jobs
        self.process = os.getpid()  # one that is forked from it has a copy
        self._connections = threading.Semaphore(_MOST_CONNECTIONS)
        self._turn = threading.Lock()
        self._next_poll = 0.0
        self.going, self._closed = threading.Event(), threading.Event()  # queries poll while it is going
        _RUNS[self.key] = self

    def __reduce__(self) -> tuple[Any, ...]:
        given = self.connection.token
        return _run_of_worker, (self.key, self.connection, self.active, given.secret if given else None)

    def close(self) -> None:
        """End all queries that are still being waited for."""
        self._closed.set()
        self.going.set()

    def require_open(self) -> None:
        """Go on when the run does; `MmodaError` if nobody waits for its queries any more."""
        self.going.wait()
        if self._closed.is_set():
            raise MmodaError("This query is not waited for any more.")

    def follow(self, job: Job, item: WorkItem, number: int, begin: float) -> None:
        """Submit a job of a query and wait for it."""
        self.jobs[item.index, number] = job
        shortest = self.active * item.most_jobs * _shortest_pause() if self.alone else 0.0
        with self._connections:
            submit_within(job, item.limit, begin)
            follow(job, item.limit, begin, progress=False, shortest_pause=shortest, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        """Sleep for so long at least, and until it is this query's turn to poll."""
        self._connections.release()
        try:
            self._closed.wait(seconds)
            self.going.wait()
            with self._turn:
                self._closed.wait(max(0.0, self._next_poll - time.monotonic()))
                self._next_poll = time.monotonic() + _shortest_pause()
        finally:
            self._connections.acquire()
        self.require_open()


_RUNS: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
_OF_WORKER: dict[str, Run] = {}  # the last one, kept from one item to the next


@without_frames
def _run_of_worker(key: str, connection: Connection, active: int, secret: str | None) -> Run:
    """The run of an item that was sent to this process: the same one, if it came from here."""
    run = _RUNS.get(key)
    if run is None or run.process != os.getpid():
        connection = run.connection if run else replace(connection, token=as_token(secret))
        run = Run(connection, active, key=key, alone=True)
        run.going.set()
        _OF_WORKER.clear()
        _OF_WORKER[key] = run
    return run


def _shortest_pause() -> float:
    """Shortest time between two polls, of all queries together, in s."""
    return 1.0 / max(0.001, float(conf.many_polls_per_second))


@dataclass(frozen=True)
class WorkItem:
    """
    One query: the forms of its jobs, their timeout (``limit``) in s and how much of it is over (``spent``), and what
    its outcome becomes. ``most_jobs`` of them run at a time; 0: there is one, whose result is not combined.
    """

    run: Run
    kind: str
    index: int = -1
    payloads: Sequence[Mapping[str, str]] = ()
    source: str | None = None
    limit: float = 0.0
    spent: float = 0.0
    reduce: Callable[[Any], Any] | None = None
    most_jobs: int = 0
    on_error: str = "raise"

    def windows(self, number: int) -> int:
        """Number of science windows of a job."""
        return number_of_windows(self.payloads[number].get("scw_list", ""))


@dataclass
class Result:
    """How one query ended: with products, the form of several, what ``reduce`` made of it, or an error."""

    products: Products | None = None
    form: Any = None
    outcome: Any = None
    error: BaseException | None = None
    jobs: Sequence[Job] = ()
    job_id: str = ""
    seconds: float = 0.0
    size: int = 0
    comments: Sequence[str] = ()
    warnings: list[tuple[str, type[Warning]]] = field(default_factory=list)


def run_job(item: WorkItem, number: int, begin: float) -> Result:
    """Submit a job of a query, wait for it and fetch its products; in a thread or a worker."""
    job: Job | None = None
    result = Result()
    try:
        job = prepare(item.run.connection, item.payloads[number])
        item.run.follow(job, item, number, begin)
        result.products = job.result()
        result.comments = result.products.comment.splitlines()
    except Exception as error:
        result.error = error
    if job is not None:
        result.jobs, result.job_id, result.size = [job], job.job_id, job._size  # noqa: SLF001 - only the summary needs it
    return result
