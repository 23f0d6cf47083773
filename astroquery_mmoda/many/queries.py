# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""`ManyQueries`: which query goes when, and what came of each."""

from __future__ import annotations

import secrets
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from astroquery import log

from ..auth import Handed, Token
from ..errors import ParameterError
from ..markup import facts_html, meter
from ..products import Products
from ..products.forms import FORMS, in_form
from ..text import printable
from .bar import Bar
from .errands import Errand, Workers
from .hands import Ended, Here
from .ledger import Ledger
from .pace import PacedConnection
from .questions import Questions
from .rows import Rows

if TYPE_CHECKING:
    from ..core import MmodaClass

__all__ = ["ManyQueries"]

_PATIENCE = 0.25  # seconds between two turns of the display
_MOST_REMARKS = 20
Outcome = tuple[int, Any, BaseException | None]


class ManyQueries:
    """
    Many queries of one kind, made a few at a time. Made by ``Mmoda.query_many``.

    Iterating gives ``(index, outcome)`` in the order in which they end. Each is handed out once and not kept; after a
    ``break``, an error or Ctrl-C, iterating again goes on where it stopped. While nobody asks for the next outcome,
    nothing more is sent.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> times = {"time_range": (58193.455, 58246.892), "max_pointings": 10, "radius": "8 deg"}
    >>> queries = [{"instrument": name, "coordinates": "Ser X-1", **times} for name in ("isgri", "hubble")]
    >>> many = Mmoda.query_many("catalog", queries, max_active=4)
    >>> for index, outcome in many:
    ...     if not isinstance(outcome, Exception):
    ...         outcome.write(f"sources_{index}.ecsv")
    >>> many.counts
    {'waiting': 0, 'running': 0, 'done': 1, 'failed': 1}
    >>> print(many.summary["error"][1])
    Unknown instrument 'hubble'...
    """

    def __init__(
        self,
        client: MmodaClass,
        kind: str,
        queries: Table | Iterable[Mapping[str, Any]],
        *,
        max_active: int = 8,
        executor: Executor | None = None,
        on_error: str = "keep",
        reduce: Callable[[Any], Any] | None = None,
        token: Token | None = None,
        progress: bool | Callable[[ManyQueries], Any] | None = None,
    ) -> None:
        if not isinstance(kind, str) or kind not in FORMS:
            raise ParameterError(f"kind={printable(kind)!r} is not one of: {', '.join(FORMS)}.")
        if not isinstance(on_error, str) or on_error not in ("keep", "raise"):
            raise ParameterError(f"on_error={printable(on_error)!r} must be 'keep' or 'raise'.")
        if isinstance(max_active, bool) or not isinstance(max_active, (int, np.integer)) or max_active < 1:
            raise ParameterError(f"max_active={printable(max_active)} must be a whole number above zero.")
        self._client = client
        # a token that was given now is for the server of now
        self._server = client.URL
        self._kind = kind
        self._max_active = int(max_active)
        self._executor = executor
        self._on_error = on_error
        self._reduce = reduce
        self._token = token
        self._rows = Rows.of(queries)
        self._ledger = Ledger(self._rows.number)
        self._next = 0
        self._again: deque[int] = deque()
        self._held: Ended | None = None  # has ended, and may be interrupted before it is handed out
        self._display = Bar(progress)
        self._remarks: set[str] = set()
        self._run: tuple[Here | Workers, Questions] | None = None
        self._over = False

    # ---- how far it is

    def __len__(self) -> int:
        return len(self._ledger)

    @property
    def counts(self) -> dict[str, int]:
        """`dict`: number of queries that are ``waiting``, ``running``, ``done`` and ``failed``."""
        return self._ledger.counts

    @property
    def summary(self) -> Table:
        """
        `~astropy.table.Table`: what became of each query so far.

        ``index``; ``job_id`` (empty where there is none yet); ``status``: waiting, running, done or failed;
        ``seconds`` from its submission to its last answer, and ``size`` of that in bytes, masked until it has ended;
        ``error``, empty if there is none.
        """
        if self._run:
            self._ledger.name(self._run[0].job_ids)
        return self._ledger.table()

    def __repr__(self) -> str:
        return f"<ManyQueries {self._kind}: {self._ledger}>"

    def _repr_html_(self) -> str:
        counts = self.counts
        facts = [(state, str(number) if number else "") for state, number in counts.items()]
        part = (counts["done"] + counts["failed"]) / max(1, len(self))
        return facts_html([("over", meter(part)), *facts], title=f"{len(self)} queries of kind {self._kind}")

    # ---- going on

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        try:
            while (found := self._go_on()) is not None:
                index, outcome, error = found
                del found  # it is the caller's now
                if error is not None and self._on_error == "raise":
                    raise error
                yield index, outcome if error is None else error
                del outcome, error
        finally:
            self._display.close()

    def _go_on(self) -> Outcome | None:
        """Number, outcome and error of the next query that ends; None if all have."""
        engine, questions = self._run or self._begin()
        try:
            while self._held or engine.active or self._left:
                if self._held is None:
                    ended = self._send(engine, questions) if self._left and engine.room else engine.wait(_PATIENCE)
                    self._held = None if ended is None or self._taken_back(ended) else ended
                found = self._judge(self._held) if self._held else None
                self._display(self)
                if found is not None:
                    self._held = None
                    return found
                engine = self._replaced(engine, questions)
        except KeyboardInterrupt:
            self._interrupted(engine)
            raise
        self._end(engine)
        return None

    @property
    def _left(self) -> bool:
        return bool(self._again) or self._next < len(self)

    def _send(self, engine: Here | Workers, questions: Questions) -> Ended | None:
        """Begin with the next query; one in which something is wrong ends by that."""
        if self._again:
            index = self._again.popleft()
        else:
            index, self._next = self._next, self._next + 1
        try:
            engine.take(index, questions.write(self._rows.read(index)))
            self._ledger.set(index, "running")
        except BrokenExecutor:
            self._again.appendleft(index)
        except KeyboardInterrupt:
            self._again.appendleft(index)
            raise
        except Exception as error:
            return Ended(index, error=error)
        return None

    def _judge(self, ended: Ended) -> Outcome:
        """Make the outcome of what ended, and note it."""
        outcome, error = ended.reduced, ended.error
        if error is None and ended.products is not None:
            try:
                outcome = self._form(ended.products, ended)
            except Exception as problem:
                error = problem
        self._ledger.end(ended, error)
        return ended.index, outcome, error

    def _form(self, products: Products, ended: Ended) -> Any:
        for line in set(products.comment.splitlines()) - self._remarks:
            if len(self._remarks) < _MOST_REMARKS:
                log.warning("remark of the service: %s", line)
                self._remarks.add(line)
        form = in_form(self._kind, products, ended.source, where=f"query {ended.index}: ")
        return form if self._reduce is None else self._reduce(form)

    # ---- begin, end, and what comes between

    def _begin(self) -> tuple[Here | Workers, Questions]:
        """Look who asks and by what way, at the last moment."""
        plain = self._client._connect(self._token, self._server)
        plain.warn_of_short_life()
        connection = PacedConnection.of(plain)
        engine: Here | Workers = Here(connection, self._max_active)
        if self._executor is not None:
            engine = self._workers(self._executor, connection)
        weakref.finalize(self, engine.close)
        self._began = time.monotonic()
        self._run = engine, Questions(self._client, connection, self._kind)
        return self._run

    def _workers(self, executor: Executor, connection: PacedConnection) -> Workers:
        errand = Errand(
            server=connection.server,
            home=secrets.token_hex(8),
            kind=self._kind,
            email=connection.email,
            anonymous=self._client._anonymous,
            token=Handed(self._token.secret) if self._token else None,
            reduce=self._reduce,
        )
        return Workers(executor, errand, connection, min(self._max_active, max(1, len(self))))

    def _taken_back(self, ended: Ended) -> bool:
        """Whether a query goes once more, since it is not its fault that its worker is gone."""
        if not isinstance(ended.error, BrokenExecutor) or self._reduce is not None:
            return False  # what the worker died of may be in reduce
        self._ledger.set(ended.index, "waiting")
        self._again.append(ended.index)
        return True

    def _replaced(self, engine: Here | Workers, questions: Questions) -> Here | Workers:
        """Put this process in the place of an executor that has broken down, once nothing is with it any more."""
        if isinstance(engine, Here) or not engine.broken or engine.active:
            return engine
        log.warning("The executor has broken down: a worker died. The remaining queries go on in this process.")
        here = Here(engine.connection, self._max_active)
        weakref.finalize(self, here.close)
        self._run = here, questions
        return here

    def _interrupted(self, engine: Here | Workers) -> None:
        for index in engine.pause():
            self._ledger.set(index, "waiting")
            self._again.append(index)
        log.warning(
            "Interrupted (%s). What runs goes on at the service; iterating again continues, as does the same call of "
            "query_many in another process.",
            self._ledger,
        )

    def _end(self, engine: Here | Workers) -> None:
        engine.close()
        if not self._over:
            self._over = True
            log.info("%s %s in %.0f s", self._kind, self._ledger, time.monotonic() - self._began)
