# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""One analysis on the service: where it stands, waiting for it, its result."""

from __future__ import annotations

import random
import secrets
import string
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from astropy import units as u
from astropy.table import Table
from astropy.time import Time
from astroquery import log
from astroquery.exceptions import InputWarning

from . import journal
from .config import conf
from .errors import JobTimeout, MmodaError, ParameterError, ServiceError
from .payload import STATE_FIELDS
from .products import Products
from .progress import Display, fraction, last_message, reports_table
from .replies import GOING, STATUSES, failure, has_reason, reports, section
from .rules import misunderstood, needed_roles
from .session import Connection, MmodaSession
from .snippets import code_for
from .text import printable
from .wire import Upload

__all__ = ["Job"]

_FIRST_PAUSE = 0.1
_SESSION_ALPHABET = string.ascii_uppercase + string.digits
_RECORD_VERSION = 1
_RECORD_TEXTS = ("server", "instrument", "product", "session_id", "job_id", "status")


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
    _products: Products | None = None
    _failure: MmodaError | None = None
    _asked_for_reason: bool = False
    _windows: int = 0

    @classmethod
    def submit(cls, connection: Connection, payload: Mapping[str, str]) -> Job:
        """Hand a question to the service; it may come back answered at once."""
        connection.warn_of_short_life()
        connection.warn_of_missing_roles(needed_roles(payload))
        session_id = "".join(secrets.choice(_SESSION_ALPHABET) for _ in range(16))
        now = Time.now().isot
        for name, value in payload.items():
            if isinstance(value, Upload):
                log.info("Uploading %s for %s.", value, name)
        job = cls(connection, payload["instrument"], payload["product_type"], dict(payload), session_id, submitted=now)
        job.expires = connection.expires
        job._ask("new")
        log.info("%s of %s: job %s %s", job.product, job.instrument, job.job_id, job.status)
        return job

    # ---- as a record

    def to_dict(self) -> dict[str, Any]:
        """
        Write down what another process needs to continue.

        Returns
        -------
        dict
            Plain values for JSON; no token.
        """
        return {
            "version": _RECORD_VERSION,
            "server": self.connection.client.URL,
            "email": self.connection.email,
            "anonymous": self.connection.anonymous,
            "instrument": self.instrument,
            "product": self.product,
            "parameters": {name: value for name, value in self.parameters.items() if not isinstance(value, Upload)},
            "session_id": self.session_id,
            "job_id": self.job_id,
            "status": self.status,
            "submitted": self.submitted,
            "expires": self.expires,
        }

    @classmethod
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
            This is no record of a job.
        """
        try:
            fields = {name: _text(record[name]) for name in _RECORD_TEXTS}
            parameters = {_text(name): _text(value) for name, value in record["parameters"].items()}
            if not fields["job_id"] or "token" in parameters:
                raise ValueError("job_id")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ParameterError(
                f"This is no record of a job, as Job.to_dict writes it: {printable(error)}."
            ) from error
        client = client or MmodaSession(fields["server"])
        connection = Connection(client, str(record.get("email") or ""), anonymous=bool(record.get("anonymous", True)))
        # what was heard last may be long ago; done has to be heard again, for the products
        status = "submitted" if fields["status"] not in GOING else fields["status"]
        return cls(
            connection,
            fields["instrument"],
            fields["product"],
            parameters,
            fields["session_id"],
            job_id=fields["job_id"],
            status="done" if fields["status"] == "done" else status,
            submitted=str(record.get("submitted") or ""),
            expires=expires if isinstance(expires := record.get("expires"), (int, float)) else None,
        )

    def to_code(self) -> str:
        """
        Write a snippet that asks the same again.

        Returns
        -------
        str
            Python code for this package, without a token.
        """
        url = self.connection.client.URL
        return code_for(None if url == conf.server.rstrip("/") else url, self.parameters)

    def __repr__(self) -> str:
        return f"<Job {', '.join(f'{name} {value}' for name, value in self._glance())}>"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in self._glance())
        return f"<table><caption>MMODA job</caption>{rows}</table>"

    def _glance(self) -> list[tuple[str, str]]:
        """What tells the state at a glance; words of the service escaped."""
        told = [
            ("id", self.job_id),
            ("product", f"{self.product} of {self.instrument}"),
            ("source", self.parameters.get("src_name", "")),
            ("status", self.status),
            ("progress", "" if self.progress is None else f"{self.progress:.0%}"),
            ("last report", last_message(self.reports)),
            ("failure", str(self._failure or "")),
            ("products", "" if self._products is None else str(len(self._products))),
            ("submitted", self.submitted[:19]),
        ]
        return [(name, printable(value, limit=300)) for name, value in told if value]

    # ---- what is known

    @property
    def messages(self) -> Table:
        """`~astropy.table.Table`: reports of the service, with columns time, node, message, scw and progress."""
        return reports_table(self.reports)

    @property
    def progress(self) -> float | None:
        """`float` or None: fraction of the work that is done, where the service tells it."""
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
        """
        if self.status == "failed" or self._products is not None:
            return self
        # products come only once with "ready"; a "done" without them is answered by asking anew (same job)
        self._ask("new" if self._unheard or self.status in ("new", "done") else self.status)
        return self

    @property
    def _unheard(self) -> bool:
        """
        Whether the service may have stopped hearing its own back end.

        Reports of the back end bear the token of the submission, and are refused once it has expired. The state would
        then never change; asking anew for the same job looks at the work itself.
        """
        return self.expires is not None and time.time() > self.expires

    def done(self) -> bool:
        """Ask how it stands, and tell whether it is over, well or badly."""
        self.refresh()
        return self._over

    @property
    def _over(self) -> bool:
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
        """
        limit = _seconds(conf.job_timeout if timeout is None else timeout)
        begin = time.monotonic()
        display = Display(progress)
        try:
            while not self._over:
                elapsed = time.monotonic() - begin
                if elapsed >= limit:
                    raise self._timeout(limit)
                pause = min(max(_FIRST_PAUSE, elapsed / 10), float(conf.poll_interval_max))
                display(self)
                # some chance in it, so that many who wait do not come all at once
                time.sleep(min(pause * random.uniform(0.85, 1.0), limit - elapsed))  # noqa: S311 - no secret hangs on it
                self.refresh()
        except KeyboardInterrupt:
            log.warning(
                "Job %s goes on at the service; Mmoda.get_job(%r).result() continues, here or in another process.",
                self.job_id,
                self.job_id,
            )
            raise
        finally:
            display.close()
        return self

    def result(
        self, timeout: float | u.Quantity | None = None, *, progress: bool | Callable[[Job], Any] | None = None
    ) -> Products:
        """
        Wait, and hand over what the analysis returned.

        Parameters
        ----------
        timeout, progress
            As in `wait`.

        Returns
        -------
        Products

        Raises
        ------
        JobFailed, AuthenticationError
            The analysis failed or was refused.
        JobTimeout, ServiceError, JobLost
            As in `wait`.
        """
        self.wait(timeout, progress)
        self.raise_if_error()
        if self._products is None:
            raise ServiceError(f"Job {self.job_id} is done, but its products are not here.", job=self)
        return self._products

    def exception(self, timeout: float | u.Quantity | None = None) -> MmodaError | None:
        """Wait, and hand over the error with which the analysis ended, or None if it ended well."""
        self.wait(timeout)
        return self._failure

    def raise_if_error(self) -> None:
        """Raise the error of a failed analysis, if it is known to have failed."""
        if self._failure is not None:
            raise self._failure

    def _timeout(self, limit: float) -> JobTimeout:
        return JobTimeout(
            f"Job {self.job_id} ({self.product} of {self.instrument}) is not over after {limit:g} s; last heard: "
            f"{self.status}{', ' + last_message(self.reports) if self.reports else ''}. It goes on at the service: "
            f"error.job.result() waits again, Mmoda.get_job({self.job_id!r}).result() does in another process, and "
            "timeout= waits longer.",
            job=self,
        )

    # ---- the conversation

    def _ask(self, query_status: str) -> None:
        fields = {name: value for name, value in self.parameters.items() if name not in STATE_FIELDS}
        fields |= {"query_status": query_status, "session_id": self.session_id}
        if query_status != "new":  # with "new" the service would compare it with its own idea
            fields["job_id"] = self.job_id
        before = self.status
        try:
            self._hear(self.connection.dispatcher().run_analysis(fields))
        except MmodaError as error:
            error.job = self if self.job_id else None
            raise
        finally:
            if self.job_id and self.status != before:
                journal.keep(self.to_dict())

    def _hear(self, reply: Mapping[str, Any]) -> None:
        """Take in a reply, whatever was asked."""
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
        self.reports = reports(reply) or self.reports
        if self.status == "new":
            self._compare(reply)
        self.status = str(status)
        log.debug("job %s: %s", self.job_id, self.status)
        if self.status == "failed":
            self._fail({**reply, "job_monitor": {**monitor, "full_report_dict_list": self.reports}})
        elif self.status == "done" and reply.get("products"):
            self._products = Products.from_response(reply, requested=self.parameters)

    def _compare(self, reply: Mapping[str, Any]) -> None:
        """See what the service made of the request: a difference is told, and an uploaded file has an address now."""
        products = section(reply, "products")
        windows = products.get("input_prod_list")
        self._windows = len(windows) if isinstance(windows, list) else 0
        understood = section(products, "analysis_parameters")
        for sentence in misunderstood(self.parameters, understood):
            warnings.warn(f"The service took a parameter otherwise. {sentence}.", InputWarning, stacklevel=2)
        addresses = {name: understood.get(name) for name, value in self.parameters.items() if isinstance(value, Upload)}
        self.parameters = {
            **self.parameters,
            **{name: address for name, address in addresses.items() if isinstance(address, str) and address},
        }

    def _fail(self, reply: Mapping[str, Any]) -> None:
        """Remember the reason; where the service gave none, a fresh submission of the same may tell it, once."""
        if not self._asked_for_reason and not has_reason(reply):
            self._asked_for_reason = True
            log.debug("job %s failed without a reason; asking for one", self.job_id)
            self._ask("new")
            return
        self._failure = failure(reply)
        self._failure.job = self


def _seconds(timeout: float | u.Quantity) -> float:
    return float(timeout.to_value(u.s)) if isinstance(timeout, u.Quantity) else float(timeout)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
