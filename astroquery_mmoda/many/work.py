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
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import Any

from ..auth.token import as_token
from ..config import conf
from ..errors import MmodaError
from ..jobs.job import Job
from ..jobs.run import prepare
from ..jobs.waiting import follow, submit_within
from ..products import Products
from ..products.forms import in_form
from ..service.account import Connection

# connections of one run at a time, however many queries are active: each poll is short
_MOST_CONNECTIONS = 16
_Call = tuple[Future[Any], Callable[[], Any]]


class DaemonThreads(Executor):
    """As many threads as there are calls; unlike those of ThreadPoolExecutor, they do not keep a script from ending."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._number = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in a thread that is idle, or a new one."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._calls.put((future, partial(fn, *args, **kwargs)))
        if not self._idle.acquire(blocking=False):
            self._number += 1
            threading.Thread(target=_work, args=(self._calls, self._idle), name="mmoda", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as in Executor
        """Let each thread end after its call, without waiting for that."""
        for _ in range(self._number):
            self._calls.put(None)
        self._number = 0


def _work(calls: SimpleQueue[_Call | None], idle: threading.Semaphore) -> None:
    while (call := calls.get()) is not None:
        future, function = call
        try:
            future.set_result(function())
        except BaseException as error:  # else waiting for it would never end
            future.set_exception(error)
        del call, future, function  # an idle thread holds no references
        idle.release()


class Run:
    """
    What the queries of one `ManyQueries` share in its process: the connection, and when each may poll.

    All together they poll at most ``conf.many_polls_per_second`` times per second, over a limited number of
    connections, and not while the run is paused.
    """

    def __init__(self, connection: Connection) -> None:
        self.key = secrets.token_hex(8)
        self.connection = connection
        self.jobs: dict[int, Job] = {}
        self.process = os.getpid()  # one that is forked from it has a copy
        self._connections = threading.Semaphore(_MOST_CONNECTIONS)
        self._turn = threading.Lock()
        self._next_poll = 0.0
        self.going, self._closed = threading.Event(), threading.Event()  # queries poll while it is going
        _RUNS[self.key] = self

    def close(self) -> None:
        """End all queries that are still being waited for."""
        self._closed.set()
        self.going.set()

    def follow(self, item: WorkItem, job: Job, begin: float) -> None:
        """Submit a job and wait for it."""
        self.jobs[item.index] = job
        with self._connections:
            submit_within(job, item.limit, begin)
            follow(job, item.limit, begin, progress=False, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        """Sleep for so long at least, and until it is this query's turn to poll."""
        self._connections.release()
        try:
            self._closed.wait(seconds)
            self.going.wait()
            with self._turn:
                self._closed.wait(max(0.0, self._next_poll - time.monotonic()))
                self._next_poll = time.monotonic() + shortest_pause()
        finally:
            self._connections.acquire()
        if self._closed.is_set():
            raise MmodaError("This query is not waited for any more.")


_RUNS: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()


def shortest_pause() -> float:
    """Shortest time between two polls, of all queries together, in s."""
    return 1.0 / max(0.001, float(conf.many_polls_per_second))


@dataclass(frozen=True)
class WorkItem:
    """
    One query.

    Attributes
    ----------
    run : str
        Key of the `Run` in the process that sent it.
    connection : Connection
        Where it is pickled, the token is left out: a worker finds one of the same user.
    kind, payload, source, limit
        The query; ``limit`` is its timeout in s.
    spent : float
        Seconds of the timeout that are over.
    token : str or None
        Text of the one that was given for these queries, knowingly: it is pickled.
    share : int
        Number of items that are active at a time: each may poll at this part of the common rate.
    number : int
        Counts submissions to the executor, since some (dask) give the old answer to an equal call.
    reduce : callable or None
        Function of the form of the query; its value is sent back instead of the products.
    """

    run: str
    connection: Connection
    kind: str
    index: int = -1
    payload: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    limit: float = 0.0
    spent: float = 0.0
    token: str | None = field(default=None, repr=False)
    share: int = 1
    number: int = 0
    reduce: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Result:
    """How one query ended: with products, with what ``reduce`` made of them, or with an error."""

    index: int
    products: Products | None = None
    reduced: Any = None
    error: BaseException | None = None
    job_id: str = ""
    seconds: float = 0.0
    size: int = 0


def run_item(item: WorkItem) -> Result:
    """Submit a query, wait for it and fetch its products; in a thread or a worker."""
    begin = time.monotonic() - item.spent
    job: Job | None = None
    products, reduced, error = None, None, None
    run = _RUNS.get(item.run)
    try:
        job = prepare(run.connection if run else _connection(item), item.payload)
        if run and run.process == os.getpid():
            run.follow(item, job, begin)
        else:
            submit_within(job, item.limit, begin)
            follow(job, item.limit, begin, progress=False, shortest_pause=item.share * shortest_pause())
        products = job.result()
        if item.reduce is not None:
            form = in_form(item.kind, products, item.source, where=f"query {item.index}: ")
            products, reduced = None, item.reduce(form)
    except Exception as caught:
        products, error = None, caught
    seconds = time.monotonic() - begin
    job_id, size = (job.job_id, job._size) if job else ("", 0)  # noqa: SLF001 - only the summary needs it
    return Result(item.index, products, reduced, error, job_id, seconds, size)


def _connection(item: WorkItem) -> Connection:
    """Connection in a worker's process, kept from one item of a run to the next."""
    if item.run not in _KEPT:
        _KEPT.clear()
        _KEPT[item.run] = replace(item.connection, token=as_token(item.token))
    return _KEPT[item.run]


_KEPT: dict[str, Connection] = {}
