# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Many analyses followed by the workers of an executor: threads, processes, a cluster.

What is sent to a worker is one function of this package and plain values: the address, the fields of the form, who
asks. No token is among them, unless it was given for these queries knowingly; a worker finds one of its own, and an
analysis in the name of somebody else is refused there.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

from ..auth import Handed
from ..errors import AuthenticationError, JobTimeout, MmodaError, ServiceError
from ..jobs.job import Job, deadline_of
from ..products.forms import in_form
from ..service.account import MmodaSession
from ..text import is_id
from .hands import Ended, Question, ended
from .pace import PacedConnection, between_looks

__all__ = ["Errand", "Workers", "run_errand"]

# clients of this process by a word in the errand: threads of an executor go on with the login of who sent them
_AT_HOME: weakref.WeakValueDictionary[str, MmodaSession] = weakref.WeakValueDictionary()


class _OfThread(threading.local):
    """Connections that a worker keeps from one errand to the next."""

    def __init__(self) -> None:
        self.connections: dict[Any, PacedConnection] = {}


_KEPT = _OfThread()


@dataclass(frozen=True)
class Errand:
    """
    One query, for a worker.

    Attributes
    ----------
    server : str
        Address of the service.
    home : str
        Word for the client in the process that it comes from.
    email : str
        Who asks there; empty if that process has no token.
    anonymous : bool
        Whether not to look for a token: who asks has logged out.
    token : Handed or None
        The one that was given for these queries.
    kind, payload, source, limit
        What is asked.
    turn : int
        Number of the sending. Engines that know an answer by what was sent must not give an old one.
    shortest_pause : float
        Between two looks, in s: the worker's share of what all together may ask.
    reduce : callable or None
        What is to be made of it before it is sent back.
    """

    server: str
    home: str
    kind: str
    index: int = -1
    payload: Mapping[str, str] = field(default_factory=dict)
    email: str = ""
    anonymous: bool = False
    source: str | None = None
    limit: float = 0.0
    turn: int = 0
    shortest_pause: float = 0.0
    token: Handed | None = field(default=None, repr=False)
    reduce: Callable[[Any], Any] | None = None


def run_errand(errand: Errand) -> Ended:
    """
    Submit, wait, and fetch; in a worker.

    Parameters
    ----------
    errand : Errand
        What to do.

    Returns
    -------
    Ended
        With the products as they came, or with what ``reduce`` made of the form of the query.
    """
    begin = time.monotonic()
    job = None
    try:
        job = Job._prepare(_connection(errand), errand.payload)
        job._shortest_pause = errand.shortest_pause
        job._look(deadline_of(errand.limit, begin))._wait(errand.limit, begin, progress=False)
        end = ended(errand.index, job, time.monotonic() - begin, source=errand.source)
        if errand.reduce is None or end.products is None:
            return end
        where = f"query {errand.index}: "
        outcome = errand.reduce(in_form(errand.kind, end.products, errand.source, where=where))
        return replace(end, products=None, reduced=outcome)
    except Exception as error:
        late = isinstance(error, JobTimeout) and job is not None and not job.job_id
        return Ended(
            errand.index,
            error=job._timed_out(errand.limit, str(error)) if late and job else error,
            job_id=job.job_id if job else "",
            seconds=time.monotonic() - begin,
            size=job._size if job else 0,
        )


def _connection(errand: Errand) -> PacedConnection:
    """A way to the service in the name of who sent us: with their client if this is their process."""
    key = errand.server, errand.home, errand.token
    known = _KEPT.connections.get(key)
    if known is not None:
        return known
    client = _AT_HOME.get(errand.home) or _stranger(errand)
    connection = client._connect(errand.token.token() if errand.token else None, errand.server)
    if errand.email and connection.email != errand.email:
        found = f"a token of {connection.email} is" if connection.email else "no token is"
        raise AuthenticationError(
            f"This was asked in the name of {errand.email}, and {found} found where the worker runs. Put one there "
            "(ODA_TOKEN, or the file ~/.oda-token), or hand it over: query_many(..., token=...)."
        )
    _KEPT.connections.clear()  # of an earlier run
    _KEPT.connections[key] = PacedConnection.of(connection)
    return _KEPT.connections[key]


def _stranger(errand: Errand) -> MmodaSession:
    client = MmodaSession(errand.server)
    if errand.anonymous:
        client.logout()
    return client


class Workers:
    """
    The queries that are with the workers of an executor.

    Parameters
    ----------
    executor : Executor
        Anybody's; it is not shut down here.
    errand : Errand
        What all errands have in common.
    connection : PacedConnection
        Way to the service of this process, for jobs that come back within errors.
    most : int
        Most queries that are with it at a time.
    """

    def __init__(self, executor: Executor, errand: Errand, connection: PacedConnection, most: int) -> None:
        # each of them may ask as often as if it were one of so many
        self._errand = replace(errand, shortest_pause=most * between_looks())
        self._executor = executor
        self.connection = connection
        self._most = most
        self._futures: dict[int, Future[Ended]] = {}
        self._done: SimpleQueue[tuple[int, Future[Ended]]] = SimpleQueue()
        self._turns = 0
        self.broken = False
        _AT_HOME[errand.home] = connection.client

    @property
    def active(self) -> int:
        """`int`: number of queries that are with the workers."""
        return len(self._futures)

    @property
    def job_ids(self) -> dict[int, str]:
        """`dict`: nothing; the workers tell when they come back."""
        return {}

    @property
    def room(self) -> bool:
        """`bool`: whether there may be one more."""
        return self.active < self._most and not self.broken

    def take(self, index: int, question: Question) -> None:
        """Send a query out; `BrokenExecutor` if there is nobody left."""
        self._turns += 1
        errand = replace(
            self._errand,
            index=index,
            payload=question.payload,
            source=question.source,
            limit=question.limit,
            turn=self._turns,
        )
        try:
            future = self._executor.submit(run_errand, errand)
        except BrokenExecutor:
            self.broken = True
            raise
        self._futures[index] = future
        done = self._done
        future.add_done_callback(lambda future: done.put((index, future)))

    def wait(self, patience: float) -> Ended | None:
        """Wait for one to come back; None if none does for so long."""
        try:
            index, future = self._done.get(timeout=max(patience, 0.0))
        except Empty:
            return None
        if self._futures.get(index) is not future:  # it was taken back
            return None
        del self._futures[index]
        return self._end(index, future)

    def pause(self) -> list[int]:
        """Take back those that nobody has begun with; their numbers."""
        cancelled = [index for index, future in self._futures.items() if future.cancel()]
        for index in cancelled:
            del self._futures[index]
        return cancelled

    def close(self) -> None:
        """Take back what was not begun."""
        self.pause()

    def _end(self, index: int, future: Future[Ended]) -> Ended:
        try:
            end = future.result()
        except BrokenExecutor as error:
            self.broken = True
            return Ended(index, error=error)
        except (Exception, CancelledError) as error:  # of the executor: what happens to a query is within what returns
            return Ended(index, error=error)
        if not isinstance(end, Ended) or end.index != index or (end.job_id and not is_id(end.job_id)):
            return Ended(index, error=ServiceError("The executor gave back something else than the end of this query."))
        if isinstance(end.error, MmodaError) and end.error.job is not None:
            end.error.job.connection = self.connection
        return end
