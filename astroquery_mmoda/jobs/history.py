# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Earlier jobs: from the journal of this machine, from the service's records, and from its links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astropy.table import Column, Table
from astropy.time import Time
from astroquery import log

from ..config import conf
from ..decoding import read_json_text
from ..errors import AuthenticationError, DecodingError, JobLost, MmodaError, ParameterError, ServiceError
from ..protocol import PROTOCOL_VERSION, STATE_FIELDS
from ..request.records import fields_of_link, fields_of_record, summary_of
from ..service.account import Account
from ..service.connection import Connection
from ..service.http import Patience
from ..text import is_id, printable
from . import journal
from .job import Job, revive
from .run import prepare

_LATEST = 4e9  # seconds since 1970, in 2096
_DAYS = 30.0  # of the service's records
_SIDE_OUTAGE = 5.0  # s; a list from the journal alone is worth more than a complete one after a long wait
_COLUMNS = (
    *("job_id", "session_id", "instrument", "product", "source", "energy_range", "time_range", "status", "submitted"),
    "server",
)


def get_job(account: Account, server: str, job_id_or_link: str, session_id: str | None = None) -> Job:
    """Find a job; see ``Mmoda.get_job``."""
    job_id, session_id = _wanted(job_id_or_link, session_id)
    record, why_not = _recorded(job_id, server)
    if record is not None and session_id in (None, record["session_id"]):
        return _revived(record, account, server)
    try:
        return _from_service(account.connect(server), record["job_id"] if record else job_id, session_id)
    except (ServiceError, AuthenticationError) as error:
        if record is None:
            raise type(error)(f"{why_not} {error}") from None
        log.warning("%s Going on with session %s, which the journal has.", error, record["session_id"])
        return _revived(record, account, server)


def _wanted(job_id_or_link: object, session_id: str | None) -> tuple[str, str | None]:
    """Names of a job and of its session, as they were given or are in a link."""
    text = job_id_or_link.strip() if isinstance(job_id_or_link, str) else ""
    given = fields_of_link(text) if "?" in text else {}
    job_id = str(given.get("job_id", text)).strip()
    if session_id is None or (isinstance(session_id, str) and not session_id):
        session_id = str(given.get("session_id", "")) or None
    if not is_id(job_id) or not (session_id is None or is_id(session_id)):
        raise ParameterError(
            f"{printable(job_id_or_link, limit=100)!r} is not a valid job. Give its id, such as 'bc0582f30061217d', or "
            "a link with job_id= and session_id= in it."
        )
    return job_id, session_id


def _recorded(job_id: str, server: str) -> tuple[dict[str, Any] | None, str]:
    """What the journal has of a job, of whatever server; or why it has nothing."""
    try:
        found = journal.find(job_id, server)
    except OSError as error:
        return None, f"Job {job_id}: {_unreadable(error)}."
    if len(found) > 1:
        listed = ", ".join(f"{record['job_id']} ({printable(record['server'], limit=100)})" for record in found[:5])
        raise ParameterError(
            f"The journal of this machine has several jobs that {job_id!r} may mean: {listed}. Give the whole id; if "
            "they are of several servers, Mmoda(server=...).get_job() takes that of one."
        )
    return (found[0] if found else None), f"The journal of this machine does not have job {job_id}."


def _unreadable(error: OSError) -> str:
    """Why the journal can't be read, which is logged, too."""
    words = f"the journal of this machine can't be read ({printable(error, limit=200)})"
    log.warning("Jobs of this machine are left out: %s. Only the service is asked.", words)
    return words


def _revived(record: Mapping[str, Any], account: Account, server: str) -> Job:
    """A job of the journal; one of another server gets an account of its own."""
    if record["server"] == server:
        return revive(record, account)
    log.info("Job %s is one of %s.", record["job_id"], printable(record["server"], limit=200))
    return revive(record, Account())


# ---- from the service


def _from_service(connection: Connection, job_id: str, session_id: str | None) -> Job:
    if session_id is not None:
        return _checked(connection, job_id, session_id, _from_link(connection, job_id, session_id), "")
    if connection.anonymous:
        raise JobLost(
            f"{connection.server} could not be asked: it tells of a job by its id alone only to its owner "
            "(Mmoda.login), and to others by the session_id of its link. Give one of them, or submit the same query "
            "again."
        )
    record = _record(connection, job_id)
    fields = fields_of_record(_parameters(record))
    return _checked(connection, job_id, record["session_id"], fields, _isot(record.get("ctime")))


def _from_link(connection: Connection, job_id: str, session_id: str) -> dict[str, str]:
    """Parameters of a job as the service's redirect has them."""
    fields = fields_of_link(connection.routes().resolve_job(job_id, session_id))
    if "error_message" in fields:
        reason = printable(fields["error_message"])
        asked = f"{connection.server} was asked for job {job_id} of session {session_id}"
        if fields.get("status_code") == "403":
            raise AuthenticationError(
                f"{asked}, and refused: {reason}. Log in as its owner, or Mmoda.logout() for a job without one."
            )
        raise JobLost(f"{asked}, and does not know it: {reason}. Submit the same query again.")
    return fields


def _record(connection: Connection, job_id: str) -> Mapping[str, Any]:
    """The service's record of a job of this user."""
    for record in connection.routes().job_records(job_id, days=_DAYS):
        if record["job_id"] == job_id and "instrument" in _parameters(record):
            return record
    raise JobLost(
        f"{connection.server} was asked for the jobs of {printable(connection.email) or 'this token'} in the last "
        f"{_DAYS:g} days, and does not have it among them. Give the session_id of its link, or submit the same query "
        "again."
    )


def _parameters(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters in a record, which older servers write as the text of a Python literal."""
    parameters = record.get("analysis_parameters") or {}
    if isinstance(parameters, str):
        try:
            parameters = read_json_text(parameters, what="a record of a job")
        except DecodingError as error:
            log.debug("%s", error)
    return parameters if isinstance(parameters, Mapping) else {}


def _checked(connection: Connection, job_id: str, session_id: str, known: Mapping[str, str], submitted: str) -> Job:
    """
    The job that has these parameters, once it is clear that it is this one.

    The service has them in units of its own, and addresses in the place of files: sent again, they may make another
    job. The id in its answer tells.
    """
    fields = {name: value for name, value in known.items() if name not in STATE_FIELDS}
    if not fields.get("instrument") or not fields.get("product_type"):
        raise ServiceError(f"{connection.server} knows job {job_id}, but does not tell its parameters.")
    # a job of the web page has no such field, and would come back as a page
    job = prepare(connection, {**fields, "api": "True", "oda_api_version": PROTOCOL_VERSION})
    job.session_id = session_id
    try:
        job.refresh()
    except ParameterError as error:
        raise ServiceError(
            f"{connection.server} does not accept the parameters that it has for job {job_id}: {error}"
        ) from None
    if not job.job_id:
        job.raise_if_error()
    if job.job_id != job_id:
        raise ServiceError(
            f"The parameters that {connection.server} has for job {job_id} make another job, "
            f"{job.job_id or 'without an id'}: it does not keep quantities and files as they were given. Submit the "
            "query itself again, or continue where it was submitted."
        )
    reported = [report.get("time_original_request") for report in job.reports]
    job.submitted = submitted or next(filter(None, map(_isot, reported)), "")
    journal.keep(job.to_dict(), firmly=False)
    return job


def _isot(seconds: object) -> str:
    """A time since 1970 as text (ISO 8601, UTC); empty if it is not valid."""
    try:
        number = float(str(seconds))
    except ValueError:
        return ""
    return str(Time(number, format="unix").isot) if 0 <= number < _LATEST else ""


# ---- the list


def list_jobs(account: Account, server: str) -> Table:
    """Join the journal with the service's records; see ``Mmoda.list_jobs``."""
    try:
        recorded = journal.records()
    except OSError as error:
        _unreadable(error)
        recorded = []
    rows = {
        (record["server"], record["job_id"]): {**record, **summary_of(record["parameters"]), "journal": True}
        for record in reversed(recorded)
    }
    for record in _service_records(account, server):
        row = rows.setdefault((server, record["job_id"]), _row_of_service(record, server))
        row["status"] = "done" if record.get("request_completed") is True else row["status"]
        row["submitted"] = row["submitted"] or _isot(record.get("ctime"))
    newest_first = sorted(rows.values(), key=lambda row: row["submitted"], reverse=True)
    table = Table(
        [[printable(row[name], limit=100) for row in newest_first] for name in _COLUMNS],
        names=_COLUMNS,
        dtype=["U"] * len(_COLUMNS),
    )
    table["submitted"].description = table["time_range"].description = "UTC"
    table["journal"] = Column([row["journal"] for row in newest_first], dtype=bool)
    return table


def _service_records(account: Account, server: str) -> list[dict[str, Any]]:
    """What the service knows of this user; a side call, whose failure is logged and no more."""
    try:
        connection = account.connect(server)
        if connection.anonymous:
            return []
        outage = min(_SIDE_OUTAGE, conf.retry_time)
        return connection.routes(Patience(outage=outage)).job_records(days=_DAYS)
    except MmodaError as error:
        log.warning("The service's own records are left out: %s", error)
        return []


def _row_of_service(record: Mapping[str, Any], server: str) -> dict[str, Any]:
    fields = fields_of_record(_parameters(record))
    return {
        **dict.fromkeys(_COLUMNS, ""),
        "job_id": record["job_id"],
        "session_id": record["session_id"],
        "instrument": fields.get("instrument", ""),
        "product": fields.get("product_type", ""),
        **summary_of(fields),
        "status": "submitted",
        "server": server,
        "journal": False,
    }
