# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Jobs of earlier: from the journal of this machine, from the service's records, and from its links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from astropy.table import Table
from astropy.time import Time
from astroquery import log

from . import journal
from .decoding import read_json_text
from .errors import AuthenticationError, DecodingError, JobLost, MmodaError, ParameterError
from .job import Job
from .payload import fields_of_link, fields_of_record
from .session import Connection, MmodaSession
from .text import printable

__all__ = ["get_job", "list_jobs"]

_JOB_ID = re.compile(r"[0-9A-Za-z]{4,64}")
_PYTHON_ERROR = re.compile(r"\w+(Error|Exception)\(")
_SESSION_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LATEST = 4e9  # seconds since 1970, in 2096
_COLUMNS = ("job_id", "session_id", "instrument", "product", "status", "submitted")


def get_job(client: MmodaSession, job_id_or_link: str, session_id: str | None = None) -> Job:
    """Revive a job; see ``Mmoda.get_job``."""
    told = fields_of_link(job_id_or_link) if "?" in job_id_or_link else {}
    job_id = told.get("job_id", job_id_or_link).strip()
    session_id = session_id or told.get("session_id")
    if not _JOB_ID.fullmatch(job_id) or (session_id and not _SESSION_ID.fullmatch(session_id)):
        raise ParameterError(
            f"{printable(job_id_or_link, limit=100)!r} is no job. Give its id, such as 'bc0582f30061217d', or a link "
            "with job_id= and session_id= in it."
        )
    record = journal.find(job_id, client.URL)
    if record is not None and session_id in (None, record.get("session_id")):
        return Job.from_dict(record, client=client)
    connection = client._connect()
    found = _from_link(connection, job_id, session_id) if session_id else _from_records(connection, job_id)
    if found is None:
        raise JobLost(
            f"Neither the journal of this machine nor {client.URL} knows a job {job_id!r} of yours. With the "
            "session_id of its link the service may find it; else submit it again."
        )
    fields, session = found
    return Job.from_dict(
        {
            "server": client.URL,
            "email": connection.email,
            "anonymous": connection.anonymous,
            "instrument": fields.get("instrument", ""),
            "product": fields.get("product_type", ""),
            "parameters": fields,
            "session_id": session,
            "job_id": job_id,
            "status": "submitted",
        },
        client=client,
    )


def _from_link(connection: Connection, job_id: str, session_id: str) -> tuple[dict[str, str], str] | None:
    """Parameters of a job as the service's redirect tells them."""
    fields = fields_of_link(connection.dispatcher().resolve_job(job_id, session_id))
    if "error_message" in fields:
        # the service also sends the errors of its own code
        reason = (
            "no reason given" if _PYTHON_ERROR.match(fields["error_message"]) else printable(fields["error_message"])
        )
        if fields.get("status_code") == "403":
            raise AuthenticationError(f"The service refused to show job {job_id}: {reason}. Log in as its owner.")
        raise JobLost(f"The service does not know job {job_id} of session {session_id}: {reason}.")
    return (fields, session_id) if "instrument" in fields else None


def _from_records(connection: Connection, job_id: str) -> tuple[dict[str, str], str] | None:
    """Parameters of a job as the service's records of this user tell them; only with a token."""
    if connection.anonymous:
        return None
    for record in connection.dispatcher().job_records(job_id):
        parameters = _parameters(record)
        if record["job_id"] == job_id and "instrument" in parameters:
            return fields_of_record(parameters), str(record.get("session_id"))
    return None


def _parameters(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters in a record, which older servers write as the text of a Python literal."""
    parameters = record.get("analysis_parameters") or {}
    if isinstance(parameters, str):
        try:
            parameters = read_json_text(parameters, what="a record of a job")
        except DecodingError as error:
            log.debug("%s", error)
    return parameters if isinstance(parameters, Mapping) else {}


def list_jobs(client: MmodaSession) -> Table:
    """Join the journal with the service's records; see ``Mmoda.list_jobs``."""
    rows = {record["job_id"]: {**record, "journal": True} for record in reversed(journal.records(client.URL))}
    for record in _service_records(client):
        job_id = str(record["job_id"])
        rows[job_id] = {
            **_row(record),
            **rows.get(job_id, {"journal": False}),
            "status": _status(record, rows.get(job_id)),
        }
    newest_first = sorted(rows.values(), key=lambda row: str(row.get("submitted") or ""), reverse=True)
    columns = [[printable(row.get(name) or "", limit=100) for row in newest_first] for name in _COLUMNS]
    table = Table(columns, names=_COLUMNS, dtype=["U"] * len(_COLUMNS))
    table["journal"] = [bool(row["journal"]) for row in newest_first] if newest_first else Table({"j": [True]})["j"][:0]
    return table


def _service_records(client: MmodaSession) -> list[dict[str, Any]]:
    """What the service knows of this user; a side call, whose failure is told and no more."""
    try:
        connection = client._connect()
        return [] if connection.anonymous else connection.dispatcher().job_records()
    except MmodaError as error:
        log.warning("The service's own records are left out: %s", error)
        return []


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    parameters = _parameters(record)
    seconds = record.get("ctime")
    is_time = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds < _LATEST
    submitted = Time(seconds, format="unix").isot if is_time else ""
    return {
        "job_id": record["job_id"],
        "session_id": record.get("session_id"),
        "instrument": parameters.get("instrument"),
        "product": parameters.get("product_type"),
        "submitted": submitted,
    }


def _status(record: Mapping[str, Any], known: Mapping[str, Any] | None) -> str:
    if record.get("request_completed") is True:
        return "done"
    return str((known or {}).get("status") or "submitted")
