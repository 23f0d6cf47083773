# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Many analyses followed from this process, by a few threads.

One thread alone would have the instruments that answer only when the work is done work one after another, and would let
all analyses wait while it fetches a large product; a thread for each analysis would spend most of them on waiting. So
waiting is a list of times, kept by whoever iterates, and threads do nothing but send a request and read its answer.
They are daemons, unlike those of `concurrent.futures`, so that after Ctrl-C a script ends at once and not with the
slowest answer.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from ..errors import JobTimeout, MmodaError
from ..jobs.job import Job, deadline_of, outage_while_waiting, pause_after
from ..products import Products
from .pace import PacedConnection, between_looks

__all__ = ["Ended", "Here", "Question"]

# connections to one service at a time, however many analyses there are: each look is short
_MOST_THREADS = 16


@dataclass(frozen=True)
class Question:
    """
    One query that is ready to go: the fields of its form, the source to keep, and the longest wait in s, which began at
    a moment on the monotonic clock.
    """

    payload: Mapping[str, str]
    source: str | None
    limit: float
    begin: float


@dataclass(frozen=True)
class Ended:
    """How one query ended: with the products of its analysis, with what ``reduce`` made of them, or with an error."""

    index: int
    products: Products | None = None
    source: str | None = None
    reduced: Any = None
    error: BaseException | None = None
    job_id: str = ""
    seconds: float = 0.0
    size: int = 0


@dataclass
class _Running:
    """One analysis on the service."""

    job: Job
    source: str | None
    limit: float
    begin: float


class Hands:
    """
    Threads that do what they are told, each one thing after another, and put what came of it into a queue.

    Parameters
    ----------
    most : int
        Most threads; they are started when they are needed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = 0
        self._tasks: SimpleQueue[tuple[int, Callable[[], object]] | None] = SimpleQueue()
        self.done: SimpleQueue[tuple[int, BaseException | None, float]] = SimpleQueue()
        self.busy = 0

    @property
    def free(self) -> bool:
        """`bool`: whether one could begin at once."""
        return self.busy < self._most

    def do(self, index: int, action: Callable[[], object]) -> None:
        """Have something done."""
        self.busy += 1
        if self.busy > self._threads and self._threads < self._most:
            self._threads += 1
            threading.Thread(target=_work, args=(self._tasks, self.done), name="mmoda", daemon=True).start()
        self._tasks.put((index, action))

    def wait(self, patience: float) -> tuple[int, Exception | None, float] | None:
        """What is done: number, error and when it was over; None if nothing is for so long."""
        try:
            index, error, when = self.done.get(timeout=max(patience, 0.0))
        except Empty:
            return None
        self.busy -= 1
        if error is not None and not isinstance(error, Exception):
            raise error
        return index, error, when

    def rest(self) -> None:
        """End the threads, as soon as each is done with what it does."""
        for _ in range(self._threads):
            self._tasks.put(None)
        self._threads = 0


def _work(tasks: SimpleQueue, done: SimpleQueue) -> None:
    while (task := tasks.get()) is not None:
        error: BaseException | None = None
        try:
            task[1]()
        except BaseException as caught:  # else whoever waits for it would do so for ever
            error = caught
        done.put((task[0], error, time.monotonic()))
        task = error = None  # an idle thread keeps nothing alive


class Here:
    """
    The analyses that are under way, asked after from this process.

    Parameters
    ----------
    connection : Connection
        Way to the service.
    most : int
        Most analyses at a time.
    """

    def __init__(self, connection: PacedConnection, most: int) -> None:
        self._connection = connection
        self._most = most
        self._running: dict[int, _Running] = {}
        self._due: list[tuple[bool, float, int]] = []
        self._next_look = 0.0
        self.hands = Hands(min(most, _MOST_THREADS))

    @property
    def active(self) -> int:
        """`int`: number of analyses that are under way."""
        return len(self._running)

    @property
    def job_ids(self) -> dict[int, str]:
        """`dict`: the service's names for them, as far as they are known."""
        return {index: running.job.job_id for index, running in self._running.items()}

    @property
    def room(self) -> bool:
        """`bool`: whether there may be one more."""
        return self.active < self._most and self.hands.free

    def take(self, index: int, question: Question) -> None:
        """Submit a question."""
        job = Job._prepare(self._connection, question.payload)
        self._running[index] = _Running(job, question.source, question.limit, question.begin)
        self.hands.do(index, lambda: job._look(deadline_of(question.limit, question.begin)))

    def wait(self, patience: float) -> Ended | None:
        """Look where it is time to, and wait for what comes of anything; None if no query ended by that."""
        self._look()
        until_look = self._time_of_look() - time.monotonic() if self._due and self.hands.free else patience
        done = self.hands.wait(min(patience, until_look))
        return self._judge(*done) if done else None

    def pause(self) -> list[int]:
        """Nothing has to be taken back: without `wait` nothing more is sent."""
        return []

    def close(self) -> None:
        """Leave the service alone."""
        self.hands.rest()

    def _time_of_look(self) -> float:
        return max(self._due[0][1], self._next_look)

    def _look(self) -> None:
        """Ask after those whose time has come, within what all together may ask."""
        while self._due and self.hands.free and (now := time.monotonic()) >= self._time_of_look():
            index = heapq.heappop(self._due)[2]
            self._next_look = now + between_looks()
            running = self._running[index]
            until = running.begin + running.limit
            self.hands.do(index, partial(running.job._look, until, outage_while_waiting()))

    def _judge(self, index: int, error: Exception | None, now: float) -> Ended | None:
        """What an answer means: the end of a query, or a later look."""
        running = self._running[index]
        job, elapsed = running.job, now - running.begin
        if error is None and not job._over:
            if elapsed < running.limit:
                # products that are ready come first: whoever fetches them makes room
                pause = 0.0 if job.status == "ready" else pause_after(elapsed, 0.0)
                when = min(now + pause, running.begin + running.limit)
                heapq.heappush(self._due, (job.status != "ready", when, index))
                return None
        if isinstance(error, JobTimeout) or (error is None and not job._over):
            error = job._timed_out(running.limit, str(error or ""))
        del self._running[index]
        return ended(index, job, elapsed, source=running.source, error=error)


def ended(index: int, job: Job, seconds: float, *, source: str | None = None, error: Exception | None = None) -> Ended:
    """How it ended for a job that is over, or stopped by an error."""
    products = None
    if error is None:
        try:
            products = job.result()
        except MmodaError as failure:
            error = failure
    return Ended(index, products, source, error=error, job_id=job.job_id, seconds=seconds, size=job._size)
