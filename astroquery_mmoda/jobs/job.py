# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""One analysis on the service: where it stands, waiting for it, its result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from astropy import units as u
from astropy.table import Table
from astroquery import log
from astroquery.exceptions import InputWarning

from ..config import DEFAULT_SERVER
from ..errors import AuthenticationError, JobFailed, JobLost, MmodaError, ServiceError, warn, without_frames
from ..markup import facts_html, facts_text, meter
from ..products import Products
from ..products.products import products_of
from ..progress import fraction, last_message, reports_table
from ..protocol import Upload
from ..request.division import number_of_windows
from ..request.encode import is_address
from ..request.records import misunderstood, summary_of
from ..request.snippets import code_for
from ..service.account import Account, Connection, base_address
from ..service.http import Patience
from ..service.replies import GOING, STATUSES, check_reply, failure, reason_of, reports, section
from ..text import printable, shorten
from . import journal
from .waiting import follow, how_to_continue, longest_wait

if TYPE_CHECKING:
    from ..core import MmodaClass


_LONGEST_REASON = 1500  # characters, before the advice
_LONGEST_UNREADABLE = 30.0  # s; twice as long each time
_ONLY_IN_FULL = ("time (UTC)", "band", "service", "next")


@dataclass(eq=False, repr=False)
class Job:
    """
    One analysis on the service.

    Made by ``Mmoda.submit_image`` and the other ``submit_`` methods, and by ``Mmoda.get_job``. Attributes have what the
    last reply said; methods may ask the service. It has no way to stop an analysis, so there is no ``cancel``.

    Attributes
    ----------
    instrument, product : str
        What is computed.
    parameters : dict of str
        The request's fields; all of them are sent again with every poll, since the service builds the products from
        the fields of the last request.
    job_id : str
        The service's name for the analysis; the same request of the same user has the same one.
    session_id : str
        Identifies the requests of this job; made by this package.
    status : str
        ``submitted``, ``progress``, ``ready``, ``done``, ``failed``, ``unaccessible`` ...
    submitted : str
        When it was submitted, ISO 8601 (UTC).
    expires : float or None
        When the token that it was submitted with expires, in seconds since 1970.
    reports : list of dict
        What the back end reported, as the service sent it; `messages` has them as a table.

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
    _size: int = field(default=0, init=False)  # of the last reply, bytes
    _products: Products | None = field(default=None, init=False)
    _failure: MmodaError | None = field(default=None, init=False)
    _asked_for_reason: bool = field(default=False, init=False)
    _unreadable_since: float | None = field(default=None, init=False)  # s since 1970
    _times_lost: int = field(default=0, init=False)
    _windows: int = field(init=False)  # science windows, as far as they are known: those requested, or found

    def __post_init__(self) -> None:
        windows = str(self.parameters.get("scw_list", ""))
        self._windows = number_of_windows(windows) if windows[:1].isdigit() else 0  # old records may have "[]"

    # ---- as a record

    def to_dict(self) -> dict[str, Any]:
        """
        Return what another process needs to continue.

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
            "version": 1,
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
    def from_dict(cls, record: Mapping[str, Any], *, client: MmodaClass | None = None) -> Job:
        """
        Make a job from what `to_dict` returned.

        Parameters
        ----------
        record : dict
            The record.
        client : MmodaClass, optional
            Its token is used; by default that of a new client of the server in the record, which finds one as a query
            does.

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
        # a client composes an account, and this is the one public call that is handed a client
        account = Account() if client is None else client._account  # noqa: SLF001
        return revive(record, account)

    def to_code(self) -> str:
        """
        Write code that makes the same request again.

        Returns
        -------
        str
            Python code for this package, without a token. It names the server unless that is the service's usual
            address, since ``conf.server`` may differ where it runs. Files are not in it: it has ``Ellipsis`` in their
            place, which is refused until you put a path there.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> print(job.to_code().splitlines()[-2])
        job = Mmoda...submit_product('isgri', product='isgri_image', query_type='Real', parameters=parameters)
        """
        server = self.connection.server
        fields = {"instrument": self.instrument, "product_type": self.product, **self.parameters}
        return code_for(None if server == DEFAULT_SERVER else server, fields)

    # ---- representations

    def __repr__(self) -> str:
        short = [f"{name} {value}" for name, value in self._facts().items() if name not in _ONLY_IN_FULL]
        return f"<Job {', '.join(short)}>"

    def __str__(self) -> str:
        return facts_text([*self._facts().items()])

    def _repr_html_(self) -> str:
        facts = self._facts()
        if "progress" in facts:
            facts["progress"] = meter(self.progress or 0.0)
        return facts_html([*facts.items()], title="MMODA job")

    def _facts(self) -> dict[str, str]:
        """What was requested, the state, and what can be done now; words of the service escaped."""
        following = f".result() waits for the products; Mmoda.get_job({self.job_id!r}) finds the job again later"
        if self._failure is not None:
            following = ".messages has the reports, .raise_if_error() raises the error"
        elif self._products is not None:
            following = ".result() has the products"
        going = not self._is_over
        kinds = Counter(product.kind for product in self._products or ())
        summary = summary_of(self.parameters)
        facts = {
            "id": self.job_id,
            "product": f"{self.product} of {self.instrument}",
            "source": summary["source"],
            "status": self.status,
            "progress": f"{self.progress:.0%}" if going and self.progress is not None else "",
            "last report": last_message(self.reports) if going else "",
            "failure": str(self._failure or ""),
            "products": ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
            "submitted": self.submitted[:19],
            "time (UTC)": summary["time_range"],
            "band": summary["energy_range"],
            "service": self.connection.server,
            "next": following,
        }
        return {name: printable(value, limit=300) for name, value in facts.items() if value}

    # ---- what is known

    @property
    def messages(self) -> Table:
        """
        `~astropy.table.Table`: reports of the service, one in a row.

        Columns: ``time`` (UTC, as the service gives it), ``node`` (the step), ``message``, ``scw`` (science window) and
        ``progress`` (fraction of the step, masked where unknown). Empty if the first reply had the products.

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
        `float` or None: fraction of the work that is done, from 0 to 1, where the service reports it.

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
        Ask the service for the status, once; nothing is asked about a job that is over.

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
        self._poll(Patience(self.connection.until, advice=how_to_continue(self)))
        return self

    def _poll(self, patience: Patience) -> None:
        if not self._is_over:
            # the service refuses the reports of its back end once the token of the submission has expired; submitting
            # again (the same job) makes it check the work itself, and gives the products of what is done
            is_expired = self.expires is not None and time.time() > self.expires
            status = "new" if is_expired or self._status_is_lost() or self.status in ("new", "done") else self.status
            self._ask(status, patience)

    def _status_is_lost(self) -> bool:
        """Whether the service can't read the status of the job any more, so that it has to be submitted again."""
        # a poll and a report that it writes down at the same moment spoil its file; the last report is not repeated
        since = self._unreadable_since
        if since is None or time.time() - since < _LONGEST_UNREADABLE * 2**self._times_lost:
            return False
        log.info("The service lost the status of job %s, which is submitted again (the same job).", self.job_id)
        self._unreadable_since = None
        self._times_lost += 1
        return True

    def done(self) -> bool:
        """
        Ask for the status, and return whether the analysis is over, successfully or not.

        Returns
        -------
        bool
            True if there are products, or an error.

        Raises
        ------
        ServiceError, JobLost, AuthenticationError
            The service could not be asked; with ``job`` attached.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.wait(progress=False).done()
        True
        """
        self.refresh()
        return self._is_over

    @property
    def _is_over(self) -> bool:
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
            False: quiet. A callable is called with the job before every poll; an error of it ends the wait, not the
            job. By default one line shows the state, in a terminal or notebook.

        Returns
        -------
        Job
            Itself.

        Raises
        ------
        ParameterError
            ``timeout`` or ``progress`` is wrong.
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
        follow(self, longest_wait(timeout), time.monotonic(), progress=progress)
        return self

    def result(
        self, timeout: float | u.Quantity | None = None, *, progress: bool | Callable[[Job], Any] | None = None
    ) -> Products:
        """
        Wait, and return the products.

        Parameters
        ----------
        timeout : float or Quantity, optional
            Longest wait, as in `wait`.
        progress : bool or callable, optional
            What is shown while waiting, as in `wait`.

        Returns
        -------
        Products
            Everything that the analysis returned; fetched once, and kept.

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
        self.raise_if_error()
        if self._products is None:
            raise ServiceError(f"Job {self.job_id} is done, but its products were not received.", job=self)
        return self._products

    def exception(self, timeout: float | u.Quantity | None = None) -> MmodaError | None:
        """
        Wait, and return the error with which the analysis ended.

        Parameters
        ----------
        timeout : float or Quantity, optional
            Longest wait, as in `wait`.

        Returns
        -------
        MmodaError or None
            `JobFailed` or `AuthenticationError`, with ``job`` attached; None if the analysis succeeded.

        Raises
        ------
        JobTimeout, ServiceError, JobLost, AuthenticationError
            Waiting failed, as in `wait`.

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

    # ---- requests and replies

    def _ask(self, query_status: str, patience: Patience) -> None:
        fields = {**self.parameters, "query_status": query_status, "session_id": self.session_id}
        if query_status != "new":  # with "new" the service would compare it with its own id
            fields["job_id"] = self.job_id
        before = self.status
        try:
            reply, self._size = self.connection.routes(patience).run_analysis(fields)
            self._take(reply, patience)
        except MmodaError as error:
            error.job = self if self.job_id else None
            advice = how_to_continue(self)
            complete = isinstance(error, (JobFailed, JobLost)) or advice in str(error)
            if self.job_id and isinstance(error, (ServiceError, AuthenticationError)) and not complete:
                error.args = (f"{shorten(str(error), _LONGEST_REASON)} {advice}",)
            raise
        finally:
            if self.job_id and self.status != before:
                # the products of a job that is over can be had by the same query again
                journal.keep(self.to_dict(), firmly=not self._is_over)

    def _take(self, reply: Mapping[str, Any], patience: Patience) -> None:
        """Take over what a reply says."""
        check_reply(reply)
        monitor = section(reply, "job_monitor")
        job_id = str(monitor.get("job_id") or "")
        if self.job_id and job_id and job_id != self.job_id:
            raise ServiceError(f"The reply to a poll of job {self.job_id} is about job {printable(job_id)}. Try again.")
        status = reply.get("query_status")
        self.job_id = self.job_id or job_id
        if not isinstance(status, str) or status not in STATUSES:
            raise ServiceError(f"Job {self.job_id} is in an unknown state: {printable(status)!r}.")
        if status in GOING and not self.job_id:
            raise ServiceError("The service took the analysis, but gave no job_id for it; submit it again.")
        self.reports = reports(reply) or self.reports
        if self.status == "new":
            self._compare(reply)
        self.status = status
        is_unreadable = monitor.get("status") in ("unaccessible", "unknown")
        self._unreadable_since = (self._unreadable_since or time.time()) if is_unreadable else None
        log.debug("job %s: %s", self.job_id, self.status)
        if self.status == "failed":
            self._fail({**reply, "job_monitor": {**monitor, "full_report_dict_list": self.reports}}, patience)
        elif self.status == "done" and reply.get("products"):
            self._products = products_of(reply, requested=self.parameters, service=self.connection.server)

    def _compare(self, reply: Mapping[str, Any]) -> None:
        """Compare with the request: warn of differences, and take the addresses that uploaded files have now."""
        products = section(reply, "products")
        windows = products.get("input_prod_list")
        self._windows = len(windows) if isinstance(windows, list) else self._windows
        understood = section(products, "analysis_parameters")
        for sentence in misunderstood(self.parameters, understood):
            warn(f"The service changed a parameter. {sentence}.", InputWarning)
        for name, value in self.parameters.items():
            if isinstance(value, Upload) and is_address(understood.get(name)):
                self.parameters = {**self.parameters, name: understood[name]}

    def _fail(self, reply: Mapping[str, Any], patience: Patience) -> None:
        """Remember the reason; where the service gave none, a fresh submission of the same may tell it, once."""
        if not self._asked_for_reason and not reason_of(reply):
            self._asked_for_reason = True
            self._ask("new", patience)
            return
        self._failure = failure(reply)
        self._failure.job = self


def revive(record: Mapping[str, Any], account: Account) -> Job:
    """Make a job of its record; nothing is asked yet."""
    known = journal.checked(record)
    server = base_address(known["server"])
    if known["files"]:
        names = ", ".join(map(printable, known["files"]))
        advice = "If its products are not those of the query, submit the query itself again."
        warn(f"The record of job {known['job_id']} has no files; sent were: {names}. {advice}", InputWarning)
    connection = Connection(server, account, known["email"], anonymous=known["anonymous"])
    # the status may be old; done has to be reported again, with the products
    status = known["status"] if known["status"] in GOING or known["status"] == "done" else "submitted"
    own = {name: known[name] for name in ("instrument", "product", "parameters", "session_id", "job_id")}
    return Job(connection, **own, status=status, submitted=known["submitted"], expires=known["expires"])
