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
from ..config import conf
from ..errors import MmodaError, ParameterError, bare, warn
from ..jobs import journal
from ..jobs.job import Job
from ..jobs.waiting import in_time, longest_wait
from ..markup import facts_html, facts_text, meter
from ..products.forms import FORMS
from ..progress import Display, ProgressLine, check_progress, done_in_words, in_words, windows_done
from ..request.builder import RequestBuilder
from ..request.positions import in_degrees, parse_position
from ..request.query import Query
from ..request.records import summary_of
from ..service.account import Account, Connection
from ..text import printable, shorten
from .outcomes import outcome_of, run_item
from .parts import check_extra
from .rows import OF_ALL, row_reader
from .states import Record, counts_of, describe_records, summary_of_records
from .work import Result, Run, Tally, WorkItem, in_daemon

_NOTHING_IS_LOST = (
    "What runs goes on at the service, and nothing is lost: the same call continues, in another process too; so does "
    "iterating again over a ManyQueries."
)
_PATIENCE = 0.25  # seconds between two turns of the display
_MOST_COMMENTS = 20
_OPEN = {"waiting", "running"}
_LONGEST_ERROR = 30  # characters of it in a row of 80


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
        self._kind, self._max_active, self._executor = kind, int(max_active), executor
        self._on_error, self._reduce = on_error, reduce
        number, self._read_row = row_reader(queries)
        self._records = [Record() for _ in range(number)]
        self._names: dict[str, str] = {}  # the error of one that is unknown, else empty
        self._waiting = deque(range(number))
        self._active: dict[Future[Result], WorkItem] = {}
        self._found: tuple[int, Any] | None = None  # may be interrupted before it is given
        check_progress(progress)
        self._shown = progress
        self._comments: set[str] = set()
        self._run: Run | None = None
        self._began: float | None = None

    # ---- progress

    def __len__(self) -> int:
        return len(self._records)

    @property
    def counts(self) -> dict[str, int]:
        """`dict`: number of queries that are ``waiting``, ``running``, ``done`` and ``failed``."""
        return counts_of(self._records)

    @property
    def progress(self) -> tuple[float, str]:
        """
        `tuple`: part that is over, of the queries or (one with ``windows_per_job``) of the science windows; and a line.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> queries = [{"instrument": "isgri", "coordinates": "Crab", "time_range": (58193, 58194)}]
        >>> Mmoda.query_many("image", queries).progress
        (0.0, '0 of 1 done')
        """
        counts, tally = self.counts, self._tally()
        if tally.jobs and len(self) == 1:
            return tally.windows_over / tally.windows, str(tally)
        over = (counts["done"] + counts["failed"]) / max(1, len(self))
        return over, f"{self._state()}; {tally}" if tally.jobs else self._state()

    def _tally(self) -> Tally:
        return Tally.total(self._run.tallies.values()) if self._run else Tally()

    def _state(self) -> str:
        counts = self.counts
        return done_in_words(counts["done"], str(len(self)), counts["running"], counts["failed"])

    def _line(self) -> ProgressLine:
        """What is shown; science windows of jobs that run count as far as these are."""
        tally, what, stage, count = self._tally(), f"{self._kind} queries", self._state(), ""
        if tally.jobs:
            running = sum(windows_done(job.reports) for job in self.jobs)
            count = f"{min(tally.windows_over + running, tally.windows)} of {tally.windows}"
            if len(self) == 1:
                what, stage = f"{self._kind} of {self._records[0].instrument}", tally.jobs_in_words
        now, unit = time.monotonic(), "science windows" if count else ""
        elapsed = in_words(now - (self._began or now))
        return ProgressLine(what, stage=stage, elapsed=elapsed, count=count, unit=unit)

    @property
    def jobs(self) -> list[Job]:
        """
        `list` of `~astroquery_mmoda.Job`: those that this process waits for.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> queries = [{"instrument": "isgri", "coordinates": "Crab", "time_range": (58193, 58194)}]
        >>> Mmoda.query_many("image", queries).jobs
        []
        """
        return list(self._run.jobs.values()) if self._run else []

    @property
    def summary(self) -> Table:
        """
        `~astropy.table.Table`: each query so far.

        ``index``; ``status``: waiting, running, done or failed; ``instrument`` and ``source`` (its name, or the
        position; empty before the query is made); ``energy_range`` and ``time_range``, where the queries differ in
        them; ``seconds`` from its submission to its last answer, masked until it has ended; ``job_id``; ``size`` of the
        last answer in bytes, 0 until then; ``error``: the beginning of its text. The whole error is the outcome.
        """
        for (index, _), job in list(self._run.jobs.items()) if self._run else ():
            self._records[index].job_id = job.job_id
        return summary_of_records(self._records)

    def __repr__(self) -> str:
        return f"<ManyQueries {self._kind}: {describe_records(self._records)}>"

    def __str__(self) -> str:
        return facts_text([*self._facts(f"{self.progress[0]:.0%}").items()])

    def _repr_html_(self) -> str:
        return facts_html([*self._facts(meter(self.progress[0])).items()], title="MMODA queries")

    def _facts(self, over: str) -> dict[str, str]:
        """Kind, states, and what can be done next; ``over`` is the part that has ended."""
        counts = {state: str(number) for state, number in self.counts.items() if number}
        following = "for index, outcome in ...: gives the outcomes as they come; " if counts.keys() & _OPEN else ""
        queries = f"{len(self)} of kind {self._kind}"
        return {"queries": queries, "over": over, **counts, "next": f"{following}.summary has a row for each query"}

    # ---- iteration

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        run = self._run or self._begin()
        run.going.set()
        try:
            with Display(self._shown, self._line, self) as display:
                while self._found or self._active or self._waiting:
                    if self._found is None and self._waiting and len(self._active) < self._max_active:
                        self._submit(run)
                    elif self._found is None:
                        self._wait(run, display)
                    display()
                    if self._found is not None:
                        display.clear()
                        (index, outcome), self._found = self._found, None
                        if isinstance(outcome, Exception) and self._on_error == "raise":
                            raise outcome
                        yield index, outcome
                        del outcome  # the caller has it now
            if self._began is not None and not display.has_shown:
                log.info("%s: %s in %s", self._kind, self._described(), in_words(time.monotonic() - self._began))
            self._began = None
        except KeyboardInterrupt:
            for future in [future for future in self._active if future.cancel()]:  # no worker has begun it
                self._put_back(self._active.pop(future))
            log.warning("Interrupted (%s). %s", self._described(), _NOTHING_IS_LOST)
            raise
        except MmodaError:
            raise
        except Exception as error:  # of a function given as progress= or reduce=
            error.add_note(_NOTHING_IS_LOST)
            raise
        finally:
            if self._executor is None:  # threads of others must be able to end
                run.going.clear()

    def _begin(self) -> Run:
        """Find the token, as late as possible."""
        connection = self._account.connect(self._server, self._token)
        connection.warn_of_short_life()
        self._began = time.monotonic()
        self._run = Run(connection, min(self._max_active, len(self)))
        weakref.finalize(self, _abandon, self._run, self._active)
        return self._run

    def _submit(self, run: Run) -> None:
        """Begin with the next query; one that is wrong ends by its error."""
        index = self._waiting[0]
        try:
            item = self._item(index, run)
            future = self._executor.submit(run_item, item) if self._executor else in_daemon(run_item, item)
        except BrokenExecutor:
            self._leave_executor()
        except Exception as error:
            self._waiting.popleft()
            self._end(index, Result(error=bare(error)))  # without the frames: a token may be in the row
        else:
            self._active[future] = item
            self._waiting.popleft()
            self._records[index].status = "running"

    def _item(self, index: int, run: Run) -> WorkItem:
        record, arguments = self._records[index], self._read_row(index)
        instrument, coordinates = arguments.pop("instrument"), arguments.pop("coordinates", None)
        record.instrument = printable(instrument)
        record.source = printable(coordinates, limit=40) if isinstance(coordinates, str) else ""
        begin = time.monotonic()
        query = Query.of_arguments(instrument, coordinates, arguments)
        limit = longest_wait(query.timeout)
        with in_time(run.connection, limit, begin) as connection:
            self._resolve_names(query, connection)
            payloads = self._builder.build_parts(self._kind, query, connection)
        payload, most_jobs = payloads[0], 0
        if query.windows_per_job is not None:
            check_extra(self._kind)
            most_jobs = max(1, int(conf.max_active_jobs))
        for name, value in {"instrument": payload["instrument"], **summary_of(payload)}.items():
            setattr(record, name, shorten(value, 42) or getattr(record, name))
        # without an executor, it is the thread that iterates which calls it
        reduce, spent = self._reduce if self._executor else None, time.monotonic() - begin
        item = WorkItem(run, self._kind, index, payloads, query.source, limit, spent, reduce, most_jobs, query.on_error)
        if most_jobs:
            windows = sum(map(item.windows, range(len(payloads))))
            text = "%s of %s: %d science windows in %d jobs, at most %d at a time."
            log.info(text, payload["product_type"], record.instrument, windows, len(payloads), most_jobs)
        return item

    def _resolve_names(self, query: Query, connection: Connection) -> None:
        """Use the same positions for names of objects in every run: other positions would make another analysis."""
        sources = query.catalog if isinstance(query.catalog, (list, tuple)) else ()
        for name in (query.coordinates, *sources):
            if isinstance(name, str) and parse_position(name) is None:
                if name not in self._names:  # resolvers take long when they find nothing
                    self._names[name] = self._resolve(name, connection)
                if self._names[name]:
                    raise ParameterError(self._names[name])

    def _resolve(self, name: str, connection: Connection) -> str:
        """Resolve a name as the first time, on this machine; return the error if nobody knows it."""
        place = journal.place(connection.server, name)
        if place is not None:
            self._builder.remember(name, SkyCoord(*place, unit="deg"), connection.server)
            return ""
        try:
            position = self._builder.resolve(name, connection)
        except ParameterError as error:
            return str(error)
        journal.keep_place(connection.server, name, *in_degrees(position))
        return ""

    def _wait(self, run: Run, display: Display) -> None:
        """Wait a little for a query to end."""
        wait(self._active, timeout=_PATIENCE, return_when=FIRST_COMPLETED)
        future = next((future for future in self._active if future.done()), None)
        if future is None:
            return
        item = self._active[future]
        try:
            result = future.result()
        except (Exception, CancelledError) as error:  # of the executor; one of the query is within its result
            result = Result(error=error)
        if isinstance(result.error, BrokenExecutor):
            self._leave_executor()
        if isinstance(result.error, BrokenExecutor) and self._reduce is None:  # reduce may have ended it
            self._put_back(item)
        else:
            for job in result.error.jobs if isinstance(result.error, MmodaError) else ():
                job.connection = run.connection
            display.clear()  # reduce may write
            self._complete(item, result)
            self._end(item.index, result)
        del self._active[future]
        for key in [key for key in run.jobs if key[0] == item.index]:
            del run.jobs[key]

    def _complete(self, item: WorkItem, result: Result) -> None:
        """Make the outcome of products, where no worker did, and say what is to be said of them."""
        for message, category in result.warnings:
            warn(message, category)
        for line in set(result.comments) - self._comments:
            if len(self._comments) < _MOST_COMMENTS:
                log.warning("the service says: %s", line)
                self._comments.add(line)
        if result.error is not None or (result.products is None and result.form is None):
            return
        try:
            result.outcome = outcome_of(item, result, self._reduce)
        except Exception as error:
            result.error = error

    def _end(self, index: int, result: Result) -> None:
        record, error = self._records[index], result.error
        record.status = "done" if error is None else "failed"
        record.job_id, record.seconds, record.size = result.job_id, result.seconds, result.size
        if error is not None:
            record.error = printable(error, limit=_LONGEST_ERROR) or type(error).__name__
        self._found = index, result.outcome if error is None else error

    def _put_back(self, item: WorkItem) -> None:
        self._records[item.index].status = "waiting"
        self._waiting.append(item.index)

    def _described(self) -> str:
        if not (self._run and self._run.tallies):
            return describe_records(self._records)
        jobs = str(Tally.total(self._run.tallies.values()))
        return jobs if len(self) == 1 else f"{describe_records(self._records)}; {jobs}"

    def _leave_executor(self) -> None:
        if self._executor is not None:
            log.warning("The executor failed: a worker process ended. The remaining queries go on in this process.")
            self._executor = None


def _abandon(run: Run, active: Mapping[Future[Result], WorkItem]) -> None:
    """Stop queries whose outcome will not be requested any more."""
    run.close()
    for future in active:
        future.cancel()


def query_in_parts(kind: str, query: Query, account: Account, builder: RequestBuilder, server: str) -> Any:
    """Make one query in several jobs and return the sum of their results; or the fields of their forms."""
    if query.get_query_payload:
        return builder.build_parts(kind, query, account.connect(server, query.token))
    shown = query.progress
    progress = (lambda many: [shown(job) for job in many.jobs]) if callable(shown) else shown
    arguments = {name: value for name, value in vars(query).items() if name not in OF_ALL}
    ((_, outcome),) = ManyQueries(
        kind,
        [arguments],
        account=account,
        builder=builder,
        server=server,
        on_error="raise",
        token=query.token,
        progress=progress,
    )
    return outcome
