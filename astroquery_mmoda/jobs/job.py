# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""One analysis on the service: where it stands, waiting for it, its result."""

from __future__ import annotations

import math
import random
import secrets
import string
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from astroquery import log
from astroquery.exceptions import InputWarning

from ..config import Conf, conf
from ..errors import (
    AuthenticationError,
    JobFailed,
    JobLost,
    JobTimeout,
    MmodaError,
    ParameterError,
    ServiceError,
    warn,
    without_frames,
)
from ..markup import facts_html, facts_text, meter
from ..products import Products
from ..products.products import products_of
from ..progress import Display, fraction, last_message, reports_table
from ..request.encode import Upload, is_address
from ..request.form import STATE_FIELDS, summary_of
from ..request.preflight import misunderstood, needed_roles
from ..request.snippets import code_for
from ..service.account import Connection, MmodaSession
from ..service.replies import GOING, STATUSES, check_reply, failure, has_reason, reports, section
from ..service.routes import Patience
from ..text import printable, shorten
from . import journal

__all__ = [
    "Job",
    "deadline_of",
    "in_time",
    "longest_wait",
    "outage_while_waiting",
    "pause_after",
    "submit",
]

_FIRST_PAUSE = 0.1
_SESSION_ALPHABET = string.ascii_uppercase + string.digits
_RECORD_VERSION = 1
_LONGEST_REASON = 1500  # characters, before the way on


@dataclass(eq=False, repr=False)
class Job:
    """
    One analysis on the service.

    Made by ``Mmoda.submit_image`` and its sisters, and by ``Mmoda.get_job``. Attributes are the last word heard;
    methods may ask the service. The service has no way to stop an analysis, so there is no ``cancel``.

    Attributes
    ----------
    instrument, product : str
        What is computed.
    parameters : dict of str
        The request's fields; they are sent again whole at every look, since the service builds the products from
        the fields of the last request.
    job_id : str
        The service's name for the analysis; the same question of the same user has the same one.
    session_id : str
        Our name for this conversation about it.
    status : str
        ``submitted``, ``progress``, ``ready``, ``done``, ``failed``, ``unaccessible`` ...
    submitted : str
        When it was submitted, ISO 8601 (UTC).
    expires : float or None
        End of the life of the token it was submitted with, in seconds since 1970.
    reports : list of dict
        What the back end reported, as it came; `messages` has them as a table.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
    ...                            time_range=(58193.455, 58246.892), max_pointings=10)
    >>> products = job.result()
    >>> job.status, [product.kind for product in products]
    ('done', ['catalog', 'image'])
    """

    connection: Connection
    instrument: str
    product: str
    parameters: Mapping[str, str]
    session_id: str
    job_id: str = ""
    status: str = "new"
    submitted: str = ""
    reports: list[dict[str, Any]] = field(default_factory=list)
    expires: float | None = None
    _shortest_pause: float = field(default=0.0, init=False)  # s between two looks, where that of all jobs is too short
    _size: int = field(default=0, init=False)  # of the last reply in bytes
    _products: Products | None = field(default=None, init=False)
    _failure: MmodaError | None = field(default=None, init=False)
    _asked_for_reason: bool = field(default=False, init=False)
    _windows: int = field(default=0, init=False)

    @classmethod
    def _prepare(cls, connection: Connection, payload: Mapping[str, str]) -> Job:
        """Make a job of a question; the first `refresh` submits it."""
        session_id = "".join(_SESSION_ALPHABET[byte % len(_SESSION_ALPHABET)] for byte in secrets.token_bytes(16))
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
        job = cls(connection, payload["instrument"], payload["product_type"], dict(payload), session_id, submitted=now)
        job.expires = connection.expires
        return job

    # ---- as a record

    def to_dict(self) -> dict[str, Any]:
        """
        Write down what another process needs to continue.

        Returns
        -------
        dict
            Plain values for JSON; no token.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> record = job.to_dict()
        >>> record["instrument"], record["job_id"] == job.job_id
        ('isgri', True)
        """
        return {
            "version": _RECORD_VERSION,
            "server": self.connection.server,
            "email": self.connection.email,
            "anonymous": self.connection.anonymous,
            "instrument": self.instrument,
            "product": self.product,
            "parameters": {name: value for name, value in self.parameters.items() if not isinstance(value, Upload)},
            "files": [name for name, value in self.parameters.items() if isinstance(value, Upload)],
            "session_id": self.session_id,
            "job_id": self.job_id,
            "status": self.status,
            "submitted": self.submitted,
            "expires": self.expires,
        }

    @classmethod
    @without_frames
    def from_dict(cls, record: Mapping[str, Any], *, client: MmodaSession | None = None) -> Job:
        """
        Make a job of what `to_dict` wrote.

        Parameters
        ----------
        record : dict
            The record.
        client : MmodaClass, optional
            Who asks; by default a fresh client of the server in the record, which finds a token like a query does.

        Returns
        -------
        Job
            Nothing is asked yet.

        Raises
        ------
        ParameterError
            This is not a valid record of a job.

        Warns
        -----
        InputWarning
            The job had files which the service did not give addresses for; they are not in the record.

        Examples
        --------
        >>> from astroquery_mmoda import Job, Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> again = Job.from_dict(job.to_dict())
        >>> len(again.result())
        2
        """
        known = journal.checked(record)
        server = known["server"]
        if known["files"]:
            warn(
                f"The record of job {known['job_id']} has no files, which it was submitted with: "
                f"{', '.join(map(printable, known['files']))}. If its products are not those of the question, submit "
                "the query itself again.",
                InputWarning,
            )
        connection = Connection(client or MmodaSession(server), server, known["email"], anonymous=known["anonymous"])
        # what was heard last may be long ago; done has to be heard again, for the products
        status = known["status"] if known["status"] in GOING or known["status"] == "done" else "submitted"
        own = {name: known[name] for name in ("instrument", "product", "parameters", "session_id", "job_id")}
        return cls(connection, **own, status=status, submitted=known["submitted"], expires=known["expires"])

    def to_code(self) -> str:
        """
        Write a snippet that asks the same again.

        Returns
        -------
        str
            Python code for this package, without a token. It names the server unless that is the service's usual
            address, since it may run where ``conf.server`` is another. Files are not in it: where one belongs, it has
            ``Ellipsis``, which is refused until you put a path there.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> print(job.to_code().splitlines()[-2])
        job = Mmoda...submit_product('isgri', product='isgri_image', parameters=parameters)
        """
        server = self.connection.server
        fields = {"instrument": self.instrument, "product_type": self.product, **self.parameters}
        return code_for(None if server == str(Conf.server.defaultvalue).rstrip("/") else server, fields)

    # ---- at a glance

    def __repr__(self) -> str:
        return f"<Job {', '.join(f'{name} {value}' for name, value in self._glance())}>"

    def __str__(self) -> str:
        return facts_text([*self._glance(), *self._details()])

    def _repr_html_(self) -> str:
        going = self.progress is not None and not self._over
        facts = [
            (name, meter(self.progress or 0.0) if going and name == "progress" else value)
            for name, value in (*self._glance(), *self._details())
        ]
        return facts_html(facts, title="MMODA job")

    def _glance(self) -> list[tuple[str, str]]:
        """What tells the state at a glance; words of the service escaped."""
        told = [
            ("id", self.job_id),
            ("product", f"{self.product} of {self.instrument}"),
            ("source", summary_of(self.parameters)["source"]),
            ("status", self.status),
            ("progress", "" if self._over or self.progress is None else f"{self.progress:.0%}"),
            ("last report", "" if self._over else last_message(self.reports)),
            ("failure", str(self._failure or "")),
            ("products", "" if self._products is None else _kinds(self._products)),
            ("submitted", self.submitted[:19]),
        ]
        return _printable(told)

    def _details(self) -> list[tuple[str, str]]:
        """What was asked for, and what can be done now."""
        summary = summary_of(self.parameters)
        told = [
            ("time (UTC)", summary["time_range"]),
            ("band", summary["energy_range"]),
            ("service", self.connection.server),
            ("next", self._next()),
        ]
        return _printable(told)

    def _next(self) -> str:
        if self._failure is not None:
            return ".messages has the reports, .raise_if_error() raises the error"
        if self._products is not None:
            return ".result() has the products"
        return f".result() waits for the products; Mmoda.get_job({self.job_id!r}) finds the job again later"

    # ---- what is known

    @property
    def messages(self) -> Table:
        """
        `~astropy.table.Table`: reports of the service, one in a row.

        Columns: ``time`` (UTC, as the service wrote it), ``node`` (the step), ``message``, ``scw`` (science window) and
        ``progress`` (fraction of the step, masked where it is not told). Empty if it was answered at once.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.messages.colnames
        ['time', 'node', 'message', 'scw', 'progress']
        """
        return reports_table(self.reports)

    @property
    def progress(self) -> float | None:
        """
        `float` or None: fraction of the work that is done, from 0 to 1, where the service tells it.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.wait(progress=False).progress
        1.0
        """
        return 1.0 if self.status == "done" else fraction(self.reports, self._windows)

    # ---- asking

    def refresh(self) -> Job:
        """
        Ask the service how the analysis stands, once; nothing is asked of one that is over.

        Returns
        -------
        Job
            Itself.

        Raises
        ------
        ServiceError, JobLost, AuthenticationError
            With ``job`` attached.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.refresh().status in ("submitted", "progress", "ready", "done")
        True
        """
        return self._look()

    def _look(self, until: float = math.inf, outage: float | None = None) -> Job:
        """Ask once, at most until a moment on the monotonic clock; faults that pass are sat out for so many seconds."""
        if not self._over:
            # products come only once with "ready"; a "done" without them is answered by asking anew (same job)
            status = "new" if self._unheard or self.status in ("new", "done") else self.status
            self._ask(status, Patience(until, outage, self._way_on))
        return self

    @property
    def _way_on(self) -> str:
        """What is safe after a fault, and the line that continues."""
        if not self.job_id:
            return (
                "The service may have taken the analysis or not; the same call again is safe, since an equal question "
                "is computed only once."
            )
        return (
            f"Job {self.job_id} goes on at the service, and nothing is lost: Mmoda.get_job({self.job_id!r}).result() "
            "continues, here or in another process."
        )

    @property
    def _unheard(self) -> bool:
        """
        Whether the service may have stopped hearing its own back end.

        Reports of the back end bear the token of the submission, and are refused once it has expired. The state would
        then never change; asking anew for the same job looks at the work itself.
        """
        return self.expires is not None and time.time() > self.expires

    def done(self) -> bool:
        """
        Ask how it stands, and tell whether it is over, well or badly.

        Returns
        -------
        bool
            True if there are products, or an error.

        Raises
        ------
        ServiceError, JobLost, AuthenticationError
            It could not be asked; with ``job`` attached.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.wait(progress=False).done()
        True
        """
        self.refresh()
        return self._over

    @property
    def _over(self) -> bool:
        """`bool`: whether it was heard to be over, well or badly."""
        return self.status == "failed" or self._products is not None

    def wait(
        self,
        timeout: float | u.Quantity | None = None,
        progress: bool | Callable[[Job], Any] | None = None,  # noqa: FBT001 - second positional in the contract
    ) -> Job:
        """
        Wait until the analysis is over.

        Parameters
        ----------
        timeout : float or Quantity, optional
            Longest wait, in seconds if it has no unit; ``conf.job_timeout`` by default.
        progress : bool or callable, optional
            False: quiet. A callable is called with the job after every look.

        Returns
        -------
        Job
            Itself.

        Raises
        ------
        JobTimeout
            The time is over; the analysis goes on, and waiting can go on too.
        ServiceError, JobLost, AuthenticationError
            With ``job`` attached.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.wait(timeout=60, progress=False).status
        'done'
        """
        return self._wait(longest_wait(timeout), time.monotonic(), progress)

    def _wait(self, limit: float, begin: float, progress: bool | Callable[[Job], Any] | None) -> Job:  # noqa: FBT001
        """Wait for so many seconds since a moment on the monotonic clock."""
        display = Display(progress)
        fault = ""
        try:
            while not self._over and (elapsed := time.monotonic() - begin) < limit:
                display(self)
                time.sleep(min(pause_after(elapsed, self._shortest_pause), limit - elapsed))
                self._look(begin + limit, outage_while_waiting())
        except JobTimeout as error:
            fault = str(error)
        except KeyboardInterrupt:
            log.warning("%s", self._way_on)
            raise
        finally:
            display.close()
        if self._over:
            return self
        raise self._timed_out(limit, fault)

    def result(
        self, timeout: float | u.Quantity | None = None, *, progress: bool | Callable[[Job], Any] | None = None
    ) -> Products:
        """
        Wait, and hand over what the analysis returned.

        Parameters
        ----------
        timeout : float or Quantity, optional
            Longest wait, as in `wait`.
        progress : bool or callable, optional
            What is shown meanwhile, as in `wait`.

        Returns
        -------
        Products
            All of it; fetched once, and kept.

        Raises
        ------
        JobFailed, AuthenticationError
            The analysis failed or was refused.
        JobTimeout, ServiceError, JobLost
            As in `wait`.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> products = job.result(timeout=60, progress=False)
        >>> products.image()["SIGNIFICANCE"].shape
        (370, 370)
        """
        self.wait(timeout, progress)
        return self._outcome()

    def _outcome(self) -> Products:
        """What came of an analysis that is over."""
        self.raise_if_error()
        if self._products is None:
            raise ServiceError(f"Job {self.job_id} is done, but its products are not here.", job=self)
        return self._products

    def exception(self, timeout: float | u.Quantity | None = None) -> MmodaError | None:
        """
        Wait, and hand over the error with which the analysis ended.

        Parameters
        ----------
        timeout : float or Quantity, optional
            Longest wait, as in `wait`.

        Returns
        -------
        MmodaError or None
            `JobFailed` or `AuthenticationError`, with ``job`` attached; None if the analysis ended well.

        Raises
        ------
        JobTimeout, ServiceError, JobLost, AuthenticationError
            It could not be waited for, as in `wait`.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("faulty", "Crab", product="faulty_backend_image", time_range=(58193, 58194))
        >>> print(job.exception())
        The analysis failed (job ...): ...
        """
        self.wait(timeout)
        return self._failure

    def raise_if_error(self) -> None:
        """
        Raise the error of a failed analysis, if it is known to have failed; nothing is asked.

        Raises
        ------
        JobFailed, AuthenticationError
            With ``job`` attached.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("faulty", "Crab", product="faulty_backend_image", time_range=(58193, 58194))
        >>> job.wait(progress=False).raise_if_error()
        Traceback (most recent call last):
        ...
        astroquery_mmoda.errors.JobFailed: The analysis failed (job ...): ...
        """
        if self._failure is not None:
            raise self._failure

    def _timed_out(self, limit: float, fault: str = "") -> JobTimeout:
        """Error of a wait of so many seconds that came to nothing, with what the last request said of it."""
        fault = f" {fault}" if fault else ""
        if not self.job_id:
            return JobTimeout(
                f"The service did not take {self.product} of {self.instrument} within {limit:g} s.{fault} "
                f"{self._way_on} error.job.result() does the same, and timeout= waits longer.",
                job=self,
            )
        waited = f" after {limit:g} s" if limit else ""
        heard = f"{self.status}{', ' + last_message(self.reports) if self.reports else ''}"
        return JobTimeout(
            f"Job {self.job_id} ({self.product} of {self.instrument}) is not over{waited}; last heard: "
            f"{heard}.{fault} It goes on at the service: error.job.result() waits again, "
            f"Mmoda.get_job({self.job_id!r}).result() does in another process, and timeout= waits longer.",
            job=self,
        )

    # ---- the conversation

    def _ask(self, query_status: str, patience: Patience) -> None:
        fields = {name: value for name, value in self.parameters.items() if name not in STATE_FIELDS}
        fields |= {"query_status": query_status, "session_id": self.session_id}
        if query_status != "new":  # with "new" the service would compare it with its own idea
            fields["job_id"] = self.job_id
        before = self.status
        try:
            reply, self._size = self.connection.dispatcher(patience).run_and_measure(fields)
            self._hear(reply, patience)
        except MmodaError as error:
            error.job = self if self.job_id else None
            self._advise(error)
            raise
        finally:
            if self.job_id and self.status != before:
                # what is over is not waited for: asking the same again fetches it
                journal.keep(self.to_dict(), firmly=not self._over)

    def _advise(self, error: MmodaError) -> None:
        """Have an error in the way to a job tell which job it is, and how to go on."""
        of_the_job = isinstance(error, (JobFailed, JobLost)) or self._way_on in str(error)
        if self.job_id and isinstance(error, (ServiceError, AuthenticationError)) and not of_the_job:
            error.args = (f"{shorten(str(error), _LONGEST_REASON)} {self._way_on}",)

    def _hear(self, reply: Mapping[str, Any], patience: Patience) -> None:
        """Take in a reply, whatever was asked."""
        check_reply(reply)
        monitor = section(reply, "job_monitor")
        job_id = str(monitor.get("job_id") or "")
        if self.job_id and job_id and job_id != self.job_id:
            raise ServiceError(
                f"Asked after job {self.job_id}, the service answered about job {printable(job_id)}. Ask again."
            )
        status = reply.get("query_status")
        self.job_id = self.job_id or job_id
        if not isinstance(status, str) or status not in STATUSES:
            raise ServiceError(
                f"Job {self.job_id} is in a state that this package does not know: {printable(status)!r}. A newer "
                "version may know it; the analysis may go on."
            )
        if status in GOING and not self.job_id:
            raise ServiceError("The service took the analysis, but gave no job_id to ask for it; submit it again.")
        self.reports = reports(reply) or self.reports
        if self.status == "new":
            self._compare(reply)
        self.status = str(status)
        log.debug("job %s: %s", self.job_id, self.status)
        if self.status == "failed":
            self._fail({**reply, "job_monitor": {**monitor, "full_report_dict_list": self.reports}}, patience)
        elif self.status == "done" and reply.get("products"):
            self._products = products_of(reply, requested=self.parameters, service=self.connection.server)

    def _compare(self, reply: Mapping[str, Any]) -> None:
        """See what the service made of the request: a difference is told, and an uploaded file has an address now."""
        products = section(reply, "products")
        windows = products.get("input_prod_list")
        self._windows = len(windows) if isinstance(windows, list) else 0
        understood = section(products, "analysis_parameters")
        for sentence in misunderstood(self.parameters, understood):
            warn(f"The service took a parameter otherwise. {sentence}.", InputWarning)
        addresses = {name: understood.get(name) for name, value in self.parameters.items() if isinstance(value, Upload)}
        self.parameters = {
            **self.parameters,
            **{name: address for name, address in addresses.items() if is_address(address)},
        }

    def _fail(self, reply: Mapping[str, Any], patience: Patience) -> None:
        """Remember the reason; where the service gave none, a fresh submission of the same may tell it, once."""
        if not self._asked_for_reason and not has_reason(reply):
            self._asked_for_reason = True
            log.debug("job %s failed without a reason; asking for one", self.job_id)
            self._ask("new", patience)
            return
        self._failure = failure(reply)
        self._failure.job = self


def submit(connection: Connection, payload: Mapping[str, str], *, limit: float = math.inf, begin: float = 0.0) -> Job:
    """
    Hand a question to the service; it may come back answered at once.

    The answer has to be there so many seconds after a moment on the monotonic clock.
    """
    connection.warn_of_short_life()
    connection.warn_of_missing_roles(needed_roles(payload))
    for name, value in payload.items():
        if isinstance(value, Upload):
            log.info("Uploading %s for %s.", value, name)
    job = Job._prepare(connection, payload)
    try:
        job._look(deadline_of(limit, begin))
    except JobTimeout as error:
        fault = str(error)
    except KeyboardInterrupt:
        log.warning("%s", job._way_on)
        raise
    else:
        log.info("%s of %s: job %s %s", job.product, job.instrument, job.job_id, job.status)
        return job
    raise job._timed_out(limit, fault)


def deadline_of(limit: float, begin: float) -> float:
    """
    Moment until which a query of so many seconds since ``begin`` may ask the service anything.

    Who gives no time at all wants an analysis that is not waited for, and gets it submitted.
    """
    return begin + limit if limit else math.inf


def pause_after(elapsed: float, shortest: float) -> float:
    """Seconds until the next look at a job that was submitted that many seconds ago."""
    pause = min(max(_FIRST_PAUSE, elapsed / 10), conf.seconds("poll_interval_max"))
    # some chance in it, so that many who wait do not come all at once
    return max(shortest, pause * random.uniform(0.85, 1.0))  # noqa: S311 - no secret hangs on it


def longest_wait(timeout: float | u.Quantity | None) -> float:
    """Seconds that a wait may take; `ParameterError` if it is not a time."""
    if timeout is None:
        return conf.seconds("job_timeout")
    try:
        if isinstance(timeout, (bool, np.bool_)) or np.iscomplexobj(timeout) or np.ma.is_masked(timeout):
            raise TypeError("not a real number")
        seconds = float(u.Quantity(timeout, u.s).value)
    except (TypeError, ValueError, OverflowError, u.UnitsError) as error:
        raise ParameterError(
            f"timeout={printable(timeout, limit=60)!r} is not a valid time span; give seconds or a Quantity."
        ) from error
    if not seconds >= 0:
        raise ParameterError(f"timeout={seconds:g} must be zero or more seconds; zero submits, and does not wait.")
    return seconds


@contextmanager
def in_time(limit: float) -> Iterator[None]:
    """Tell what to do if so many seconds were over before anything was submitted."""
    try:
        yield
    except JobTimeout as error:
        words = str(error)
    else:
        return
    raise JobTimeout(f"{words} Nothing was submitted; timeout= (now {limit:g} s) waits longer.")


def outage_while_waiting() -> float:
    """How long an outage is sat out while an analysis is waited for, in s: it goes on all the same."""
    return 5 * conf.seconds("retry_time")


def _printable(told: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, printable(value, limit=300)) for name, value in told if value]


def _kinds(products: Products) -> str:
    """How many of which kind."""
    counts = Counter(product.kind for product in products)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
