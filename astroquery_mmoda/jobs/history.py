# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Earlier jobs: from the journal of this machine, from the service's records, and from its links."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np
from astropy.table import Table
from astroquery import log

from ..config import conf
from ..decoding import read_json_text
from ..errors import AuthenticationError, DecodingError, JobLost, MmodaError, ParameterError, ServiceError
from ..protocol import PROTOCOL_VERSION, STATE_FIELDS
from ..request.records import fields_of_link, fields_of_record, summary_of
from ..service.account import Account, Connection
from ..service.http import Patience
from ..text import is_id, printable
from . import journal
from .job import Job, revive
from .run import prepare

_DAYS = 30.0  # of the service's records
_ADVICE = "Give the session_id of its link, or submit the same query again."
_SIDE_OUTAGE = 5.0  # s; a list from the journal alone is better than a complete one after a long wait
# a narrow terminal leaves out those in the middle first
_COLUMNS = (
    *("job_id", "status", "source", "energy_range", "time_range", "session_id"),
    *("server", "journal", "instrument", "product", "submitted"),
)


def get_job(account: Account, server: str, job_id_or_link: str, session_id: str | None = None) -> Job:
    """Find a job; see ``Mmoda.get_job``."""
    text = job_id_or_link.strip() if isinstance(job_id_or_link, str) else ""
    given = fields_of_link(text) if "?" in text else {"job_id": text}
    job_id = str(given.get("job_id", ""))
    session_id = given.get("session_id") or None if session_id is None else session_id
    if not is_id(job_id) or not (session_id is None or is_id(session_id)):
        advice = "Give its id, such as 'bc0582f30061217d', or a link with job_id= and session_id= in it."
        raise ParameterError(f"{printable(job_id_or_link, limit=90)!r} is not a valid job. {advice}")
    found = journal.find(job_id, server)
    if len(found) > 1:
        listed = ", ".join(f"{record['job_id']} ({printable(record['server'], limit=100)})" for record in found[:5])
        advice = "Give the whole id; Mmoda(server=...).get_job() takes that of one server."
        raise ParameterError(f"The journal has several jobs that {job_id!r} may mean: {listed}. {advice}")
    if not found:
        try:
            return _from_service(account.connect(server), job_id, session_id)
        except MmodaError as error:
            raise type(error)(f"The journal of this machine does not have job {job_id}. {error}") from None
    if found[0]["server"] != server:  # the token of this one is not for the other
        log.info("Job %s is one of %s.", found[0]["job_id"], printable(found[0]["server"], limit=200))
        account = Account()
    return revive(found[0], account)


# ---- from the service


def _from_service(connection: Connection, job_id: str, session_id: str | None) -> Job:
    if session_id is not None:
        return _verified_job(connection, job_id, session_id, _from_link(connection, job_id, session_id))
    if connection.anonymous:
        why = "only its owner gets a job by its id alone (Mmoda.login)"
        raise JobLost(f"{connection.server} could not be asked: {why}. {_ADVICE}")
    for record in connection.routes().job_records(job_id, days=_DAYS):
        fields = _recorded_fields(record)
        if record["job_id"] == job_id and "instrument" in fields:
            return _verified_job(connection, job_id, record["session_id"], fields, record.get("ctime"))
    asked = f"{connection.server} was asked for the jobs of {printable(connection.email)} in the last {_DAYS:g} days"
    raise JobLost(f"{asked}, and does not have it among them. {_ADVICE}")


def _from_link(connection: Connection, job_id: str, session_id: str) -> dict[str, str]:
    """Parameters of a job as the service's redirect has them."""
    fields = fields_of_link(connection.routes().resolve_job(job_id, session_id))
    if "error_message" not in fields:
        return fields
    reason = printable(fields["error_message"])
    kind = AuthenticationError if fields.get("status_code") == "403" else JobLost
    asked = f"{connection.server} was asked for job {job_id} of session {session_id}, and refused"
    raise kind(f"{asked}: {reason}. Log in as its owner, or submit the same query again.")


def _recorded_fields(record: Mapping[str, Any]) -> dict[str, str]:
    """Fields in a record of the service; older servers write the parameters as the text of a Python literal."""
    parameters = record.get("analysis_parameters")
    if isinstance(parameters, str):
        with suppress(DecodingError):
            parameters = read_json_text(parameters, what="a record of a job")
    return fields_of_record(parameters) if isinstance(parameters, Mapping) else {}


def _verified_job(
    connection: Connection, job_id: str, session_id: str, known: Mapping[str, str], submitted: object = None
) -> Job:
    """The job of these parameters if, sent again, they give this id: the service keeps them in units of its own."""
    fields = {name: value for name, value in known.items() if name not in STATE_FIELDS}
    if not fields.get("instrument") or not fields.get("product_type"):
        raise ServiceError(f"{connection.server} has job {job_id}, but does not give its parameters.")
    # a job of the web page has no such field, and would come back as a page
    job = prepare(connection, {**fields, "api": "True", "oda_api_version": PROTOCOL_VERSION})
    job.session_id = session_id
    job.refresh()
    if job.job_id != job_id:
        job.raise_if_error()
        what = (
            f"The parameters that {connection.server} has for job {job_id} make another job, {job.job_id or 'unknown'}"
        )
        raise ServiceError(f"{what}, as they are not kept as they were given. Submit the query itself again.")
    reported = [report.get("time_original_request") for report in job.reports]
    job.submitted = next(filter(None, map(_isot, [submitted, *reported])), "")
    journal.keep(job.to_dict(), firmly=False)
    return job


def _isot(seconds: object) -> str:
    """A time since 1970 as text (ISO 8601, UTC); empty if it is not valid."""
    try:
        return datetime.fromtimestamp(float(str(seconds)), UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return ""


# ---- the list


def list_jobs(account: Account, server: str) -> Table:
    """Join the journal with the service's records; see ``Mmoda.list_jobs``."""
    rows = {
        (record["server"], record["job_id"]): {**record, **summary_of(record["parameters"]), "journal": True}
        for record in reversed(journal.records())
    }
    for record in _service_records(account, server):
        fields = _recorded_fields(record)
        new = {
            **dict.fromkeys(_COLUMNS, ""),
            **summary_of(fields),
            **{name: record[name] for name in ("job_id", "session_id")},
            **{"instrument": fields.get("instrument", ""), "product": fields.get("product_type", "")},
            **{"status": "submitted", "server": server, "journal": False},
        }
        row = rows.setdefault((server, record["job_id"]), new)
        row["status"] = "done" if record.get("request_completed") is True else row["status"]
        row["submitted"] = row["submitted"] or _isot(record.get("ctime"))
    newest_first = sorted(rows.values(), key=lambda row: row["submitted"], reverse=True)
    texts = {name: [printable(row[name], limit=100) for row in newest_first] for name in _COLUMNS}
    table = Table({name: np.array(texts[name], "U") for name in _COLUMNS})
    table["journal"] = np.array([row["journal"] for row in newest_first], dtype=bool)
    table["submitted"].description = table["time_range"].description = "UTC"
    table["submitted"].info.format = "{:16.16s}"  # to minutes, when it is shown
    return table


def _service_records(account: Account, server: str) -> list[dict[str, Any]]:
    """Records of this user's jobs from the service; if that fails, it is only logged."""
    try:
        connection = account.connect(server)
        routes = connection.routes(Patience(outage=min(_SIDE_OUTAGE, conf.retry_time)))
        return [] if connection.anonymous else routes.job_records(days=_DAYS)
    except MmodaError as error:
        log.warning("The service's own records are left out: %s", error)
        return []
