# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Work items: one query each, submitted, waited for and fetched by a thread of this process or a worker of any executor.

What an executor gets is one function of this package and plain values. No token is among them unless it was given for
these queries knowingly; a worker finds one of its own, and an analysis in the name of another user is refused there.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from ..auth.token import as_token
from ..config import conf
from ..errors import MmodaError, without_frames
from ..jobs.job import Job
from ..jobs.run import prepare
from ..jobs.waiting import follow, submit_within
from ..products import Products
from ..products.forms import in_form
from ..service.account import Connection

# connections of one run at a time, however many queries are active: each poll is short
_MOST_CONNECTIONS = 16


def in_daemon(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Call a function in a thread; unlike those of ThreadPoolExecutor, it does not keep a script from ending."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            future.set_result(function(*arguments))
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
        self.jobs: dict[int, Job] = {}
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

    def follow(self, index: int, job: Job, limit: float, begin: float) -> None:
        """Submit a job and wait for it."""
        self.jobs[index] = job
        shortest = self.active * _shortest_pause() if self.alone else 0.0
        with self._connections:
            submit_within(job, limit, begin)
            follow(job, limit, begin, progress=False, shortest_pause=shortest, sleep=self._sleep)

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
        if self._closed.is_set():
            raise MmodaError("This query is not waited for any more.")


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
    """One query: its timeout (``limit``) in s and how much of it is over (``spent``), and what its outcome becomes."""

    run: Run
    kind: str
    index: int = -1
    payload: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    limit: float = 0.0
    spent: float = 0.0
    reduce: Callable[[Any], Any] | None = None


@dataclass
class Result:
    """How one query ended: with products, with what ``reduce`` made of them, or with an error."""

    products: Products | None = None
    outcome: Any = None
    error: BaseException | None = None
    job_id: str = ""
    seconds: float = 0.0
    size: int = 0


def run_item(item: WorkItem) -> Result:
    """Submit a query, wait for it and fetch its products; in a thread or a worker."""
    begin = time.monotonic() - item.spent
    job: Job | None = None
    result = Result()
    try:
        job = prepare(item.run.connection, item.payload)
        item.run.follow(item.index, job, item.limit, begin)
        products = job.result()
        if item.reduce is None:
            result.products = products
        else:
            result.outcome = outcome_of(item, products, item.reduce)
    except Exception as error:
        result.error = error
    result.seconds = time.monotonic() - begin
    if job is not None:
        result.job_id, result.size = job.job_id, job._size  # noqa: SLF001 - only the summary needs it
    return result


def outcome_of(item: WorkItem, products: Products, reduce: Callable[[Any], Any] | None) -> Any:
    """What the user gets of the products of a query."""
    form = in_form(item.kind, products, item.source, where=f"query {item.index}: ")
    return form if reduce is None else reduce(form)
