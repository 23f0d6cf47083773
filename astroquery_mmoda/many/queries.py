# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""`ManyQueries`: which query is made when, and the outcome of each."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astroquery import log

from ..auth.token import Token
from ..errors import MmodaError, ParameterError
from ..jobs import journal
from ..jobs.waiting import in_time, longest_wait
from ..markup import facts_html, meter
from ..products.forms import FORMS, in_form
from ..progress import Display
from ..request.builder import RequestBuilder
from ..request.positions import in_degrees, parse_position
from ..request.query import Query
from ..request.records import needed_roles, summary_of
from ..service.account import Account, Connection
from ..text import printable, shorten
from .rows import Rows
from .states import Records
from .work import DaemonThreads, Result, Run, WorkItem, run_item

_PATIENCE = 0.25  # seconds between two turns of the display
_MOST_COMMENTS = 20
Outcome = tuple[int, Any, BaseException | None]


class ManyQueries:
    """
    Many queries of one kind, made a few at a time. Made by ``Mmoda.query_many``.

    Iterating gives ``(index, outcome)`` in the order in which they end. Each is given once and not kept; after a
    ``break``, an error or Ctrl-C, iterating again goes on where it stopped. While nobody asks for the next outcome,
    no further query is submitted.

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
        kind: str,
        queries: Table | Iterable[Mapping[str, Any]],
        *,
        account: Account,
        builder: RequestBuilder,
        server: str,
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
        self._account, self._builder, self._server, self._token = account, builder, server, token
        self._kind = kind
        self._max_active = int(max_active)
        self._executor, self._threads = executor, DaemonThreads()
        self._on_error = on_error
        self._reduce = reduce
        self._rows = Rows.of(queries)
        self._records = Records(self._rows.number)
        self._names: dict[str, str] = {}  # the error of one that is unknown, else empty
        self._waiting = deque(range(self._rows.number))
        self._active: dict[Future[Result], WorkItem] = {}
        self._found: Outcome | None = None  # may be interrupted before it is returned
        self._submissions = 0
        self._broken = False  # whether the executor is
        self._display = Display(progress, _line_of_many)
        self._comments: set[str] = set()
        self._run: Run | None = None
        self._began = 0.0
        self._over = False

    # ---- progress

    def __len__(self) -> int:
        return len(self._records)

    @property
    def counts(self) -> dict[str, int]:
        """`dict`: number of queries that are ``waiting``, ``running``, ``done`` and ``failed``."""
        return self._records.counts

    @property
    def summary(self) -> Table:
        """
        `~astropy.table.Table`: each query so far.

        ``index``; ``status``: waiting, running, done or failed; ``instrument`` and ``source`` (its name, or the
        position; empty before the query is made); ``energy_range`` and ``time_range``, where the queries differ in
        them; ``seconds`` from its submission to its last answer, masked until it has ended; ``job_id``; ``size`` of the
        last answer in bytes; ``error``: the beginning of its text. The whole error is the outcome.
        """
        jobs = self._run.jobs if self._run else {}
        return self._records.table({index: job.job_id for index, job in list(jobs.items())})

    def __repr__(self) -> str:
        return f"<ManyQueries {self._kind}: {self._records}>"

    def _repr_html_(self) -> str:
        facts = [(state, str(number)) for state, number in self.counts.items() if number]
        over = ("over", meter(_line_of_many(self)[0]))
        return facts_html([over, *facts], title=f"{len(self)} queries of kind {self._kind}")

    # ---- iteration

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        run = self._run or self._begin()
        run.going.set()
        try:
            while (found := self._next_outcome(run)) is not None:
                index, outcome, error = found
                del found  # the caller has it now
                if error is not None and self._on_error == "raise":
                    raise error
                yield index, outcome if error is None else error
                del outcome, error
        finally:
            self._display.close()
            if self._executor is None:  # threads of others must be able to end
                run.going.clear()

    def _begin(self) -> Run:
        """Find the token, as late as possible."""
        connection = self._account.connect(self._server, self._token)
        connection.warn_of_short_life()
        self._began = time.monotonic()
        self._run = Run(connection)
        weakref.finalize(self, _abandon, self._run, self._threads, self._active)
        return self._run

    def _next_outcome(self, run: Run) -> Outcome | None:
        """Number, outcome and error of the next query that ends; None if all have."""
        try:
            while self._found or self._active or self._waiting:
                if self._found is None:
                    if self._waiting and len(self._active) < self._max_active and not self._broken:
                        self._submit(run)
                    else:
                        self._wait(run)
                self._display(self)
                if self._found is not None:
                    found, self._found = self._found, None
                    return found
        except KeyboardInterrupt:
            self._take_back()
            log.warning(
                "Interrupted (%s). What runs goes on at the service; iterating again continues, as does the same call "
                "of query_many in another process.",
                self._records,
            )
            raise
        if not self._over:
            self._over = True
            self._threads.shutdown()
            log.info("%s %s in %.0f s", self._kind, self._records, time.monotonic() - self._began)
        return None

    def _submit(self, run: Run) -> None:
        """Begin with the next query; one that is wrong ends by its error."""
        index = self._waiting[0]
        try:
            item = self._item(index, run)
            future = (self._executor or self._threads).submit(run_item, item)
        except BrokenExecutor:
            self._broken = True
        except Exception as error:
            self._waiting.popleft()
            self._end(Result(index, error=error), None)
        else:
            self._active[future] = item
            self._waiting.popleft()
            self._records.update(index, status="running")

    def _item(self, index: int, run: Run) -> WorkItem:
        arguments = self._rows.read(index)
        instrument, coordinates = arguments.pop("instrument"), arguments.pop("coordinates", None)
        self._records.update(index, instrument=printable(instrument), source=_position_text(coordinates))
        begin = time.monotonic()
        query = Query.of_arguments(instrument, coordinates, arguments)
        limit = longest_wait(query.timeout)
        with in_time(run.connection, limit, begin) as connection:
            self._resolve_names(coordinates, query.catalog, connection)
            payload = self._builder.build(self._kind, query, connection)
        connection.warn_of_missing_roles(needed_roles(payload))
        about = {name: shorten(value, 42) for name, value in summary_of(payload).items() if value}
        self._records.update(index, instrument=payload["instrument"], **about)
        self._submissions += 1
        return WorkItem(
            run.key,
            run.connection,
            self._kind,
            index,
            payload,
            query.source,
            limit,
            spent=time.monotonic() - begin,
            token=self._token.secret if self._token else None,
            share=min(self._max_active, len(self)),
            number=self._submissions,
            reduce=self._reduce if self._executor else None,  # else it is called by the thread that iterates
        )

    def _resolve_names(self, coordinates: Any, catalog: Any, connection: Connection) -> None:
        """Use the same positions for names of objects in every run: other positions would make another analysis."""
        names = [coordinates] if isinstance(coordinates, str) and parse_position(coordinates) is None else []
        if isinstance(catalog, (list, tuple)) and all(isinstance(name, str) for name in catalog):
            names += catalog
        for name in names:
            if self._names.get(name):  # resolvers take long when they find nothing
                raise ParameterError(self._names[name])
            if name in self._names:
                continue
            place = journal.place(connection.server, name)
            if place is not None:
                self._builder.remember(name, SkyCoord(*place, unit="deg"), connection.server)
            else:
                try:
                    position = self._builder.resolve(name, connection)
                except ParameterError as error:
                    self._names[name] = str(error)
                    raise
                journal.keep_place(connection.server, name, *in_degrees(position))
            self._names[name] = ""

    def _wait(self, run: Run) -> None:
        """Wait a little for a query to end."""
        wait(self._active, timeout=_PATIENCE, return_when=FIRST_COMPLETED)
        future = next((future for future in self._active if future.done()), None)
        if future is not None:
            item = self._active[future]
            try:
                result = future.result()
            except (Exception, CancelledError) as error:  # of the executor; one of the query is within its result
                self._broken |= isinstance(error, BrokenExecutor)
                result = Result(item.index, error=error)
            if isinstance(result.error, BrokenExecutor) and self._reduce is None:  # reduce may have ended it
                self._records.update(item.index, status="waiting")
                self._waiting.append(item.index)
            else:
                if isinstance(result.error, MmodaError) and result.error.job is not None:
                    result.error.job.connection = run.connection
                self._end(result, item)
            del self._active[future]
            run.jobs.pop(item.index, None)
        if self._broken and not self._active:
            log.warning("The executor failed: a worker process ended. The remaining queries go on in this process.")
            self._executor, self._broken = None, False

    def _end(self, result: Result, item: WorkItem | None) -> None:
        """Make the outcome of a result, and keep its record."""
        outcome, error = result.reduced, result.error
        if error is None and item is not None and result.products is not None:
            for line in set(result.products.comment.splitlines()) - self._comments:
                if len(self._comments) < _MOST_COMMENTS:
                    log.warning("the service says: %s", line)
                    self._comments.add(line)
            try:
                outcome = in_form(self._kind, result.products, item.source, where=f"query {item.index}: ")
                outcome = outcome if self._reduce is None else self._reduce(outcome)
            except Exception as problem:
                outcome, error = None, problem
        self._records.end(result.index, error, job_id=result.job_id, seconds=result.seconds, size=result.size)
        self._found = result.index, outcome, error

    def _take_back(self) -> None:
        """Set those that no worker has begun to waiting."""
        for future in [future for future in self._active if future.cancel()]:
            index = self._active.pop(future).index
            self._records.update(index, status="waiting")
            self._waiting.append(index)


def _abandon(run: Run, threads: DaemonThreads, active: Mapping[Future[Result], WorkItem]) -> None:
    """Stop queries whose outcome will not be requested any more."""
    run.close()
    threads.shutdown()
    for future in active:
        future.cancel()


def _line_of_many(many: ManyQueries) -> tuple[float, str]:
    counts = many.counts
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    text = f"{counts['done']} of {len(many)} done, {counts['running']} running{failed}"
    return (counts["done"] + counts["failed"]) / max(1, len(many)), text


def _position_text(coordinates: Any) -> str:
    if isinstance(coordinates, SkyCoord) and coordinates.isscalar:
        return str(coordinates.icrs.to_string(precision=3))
    return printable(coordinates, limit=40) if isinstance(coordinates, str) else ""
