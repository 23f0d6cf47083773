# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""One analysis on the service: where it stands, waiting for it, its result."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from astropy import units as u
from astropy.table import Table
from astroquery import log

from .config import conf
from .errors import JobTimeout, MmodaError, ServiceError
from .products import Products
from .progress import Display, fraction, last_message, reports_table
from .replies import STATUSES, failure, reports
from .session import Connection
from .text import printable

__all__ = ["Job"]

_FIRST_PAUSE = 0.1
_SESSION_ALPHABET = string.ascii_uppercase + string.digits
# what a poll must not repeat from the submission
_STATE_FIELDS = ("query_status", "job_id", "session_id")


@dataclass(eq=False)
class Job:
    """
    One analysis on the service.

    Made by ``Mmoda.submit_image`` and its sisters. Attributes are the last word heard; methods may ask the service.
    The service has no way to stop an analysis, so there is no ``cancel``.

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
    """

    connection: Connection = field(repr=False)
    instrument: str
    product: str
    parameters: Mapping[str, str] = field(repr=False)
    session_id: str
    job_id: str = ""
    status: str = "new"
    reports: list[dict[str, Any]] = field(default_factory=list, repr=False)
    _products: Products | None = field(default=None, repr=False)
    _failure: MmodaError | None = field(default=None, repr=False)

    @classmethod
    def submit(cls, connection: Connection, payload: Mapping[str, str]) -> Job:
        """Hand a question to the service; it may come back answered at once."""
        connection.warn_of_short_life()
        session_id = "".join(secrets.choice(_SESSION_ALPHABET) for _ in range(16))
        job = cls(connection, payload["instrument"], payload["product_type"], dict(payload), session_id)
        job._ask("new")
        log.info("%s of %s: job %s %s", job.product, job.instrument, job.job_id, job.status)
        return job

    # ---- what is known

    @property
    def messages(self) -> Table:
        """`~astropy.table.Table`: reports of the service, with columns time, node, message, scw and progress."""
        return reports_table(self.reports)

    @property
    def progress(self) -> float | None:
        """`float` or None: fraction of the work that is done, where the service tells it."""
        return 1.0 if self.status == "done" else fraction(self.reports)

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
        self._ask("new" if self.status in ("new", "done") else self.status)
        return self

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
                pause = min(max(_FIRST_PAUSE, elapsed / 10), float(conf.poll_interval_max), limit - elapsed)
                display(self)
                time.sleep(pause)
                self.refresh()
        except KeyboardInterrupt:
            log.warning("Job %s goes on at the service; job.result() waits for it again.", self.job_id)
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
            "wait for it with error.job.result(), or give a longer timeout=.",
            job=self,
        )

    # ---- the conversation

    def _ask(self, query_status: str) -> None:
        fields = {name: value for name, value in self.parameters.items() if name not in _STATE_FIELDS}
        fields |= {"query_status": query_status, "session_id": self.session_id}
        if query_status != "new":  # with "new" the service would compare it with its own idea
            fields["job_id"] = self.job_id
        try:
            self._hear(self.connection.dispatcher().run_analysis(fields))
        except MmodaError as error:
            error.job = self if self.job_id else None
            raise

    def _hear(self, reply: Mapping[str, Any]) -> None:
        """Take in a reply, whatever was asked."""
        monitor = reply.get("job_monitor") or {}
        job_id = str(monitor.get("job_id") or "")
        if self.job_id and job_id and job_id != self.job_id:
            raise ServiceError(
                f"Asked after job {self.job_id}, the service answered about job {printable(job_id)}. Ask again."
            )
        status = reply.get("query_status")
        self.job_id = self.job_id or job_id
        if status not in STATUSES:
            raise ServiceError(
                f"Job {self.job_id} is in a state that this package does not know: {printable(status)!r}. A newer "
                "version may know it; the analysis may go on."
            )
        self.reports = reports(reply) or self.reports
        self.status = str(status)
        if self.status == "failed":
            self._failure = failure({**reply, "job_monitor": {**monitor, "full_report_dict_list": self.reports}})
            self._failure.job = self
        elif self.status == "done" and reply.get("products"):
            self._products = Products.from_response(reply, requested=self.parameters)
        log.debug("job %s: %s", self.job_id, self.status)


def _seconds(timeout: float | u.Quantity) -> float:
    return float(timeout.to_value(u.s)) if isinstance(timeout, u.Quantity) else float(timeout)
