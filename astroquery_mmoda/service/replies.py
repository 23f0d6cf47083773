# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What answers of the service mean: errors, the state of an analysis, its reports, the reason of a failure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..auth.token import HOW_TO_GET_ONE
from ..errors import AuthenticationError, DecodingError, JobFailed, JobLost, MmodaError, ParameterError, ServiceError
from ..text import ID_FORM, is_id, printable, without_token

if TYPE_CHECKING:
    from .http import Answer


#: states of an analysis that goes on, with those that stand for "the service can't tell just now"
GOING = frozenset({"submitted", "progress", "ready", "post-processing", "unaccessible", "unknown"})
STATUSES = GOING | {"done", "failed"}

_TOKEN_TEXTS = re.compile(
    r"token provided is (expired|not valid)|token must be provided|not enough segments|invalid token"
    r"|signature (has expired|verification failed)|invalid (header|payload|crypto) (string|padding)",
    re.IGNORECASE,
)
_BY_STATUS = {400: ParameterError, 401: AuthenticationError, 403: AuthenticationError}
_BY_CLASS = {
    "RequestNotUnderstood": ParameterError,
    "MissingRequestParameter": ParameterError,
    "InstrumentNotRecognized": ParameterError,
    "NoInstrumentSpecified": ParameterError,
    "BadRequest": ParameterError,
    "InvalidJobIDProvided": JobLost,
    "RequestNotAuthorized": AuthenticationError,
}
_NOISE = re.compile(r"^\s*\[ InstrumentQueryBackEnd : [^\]]*\] constructor failed:\s*")
# all that the service says of a failure that was reported before
_NO_REASONS = ("", "failed: submitted job")
_ABOUT_NO_POINTINGS = (
    "NoValidScW means that no INTEGRAL pointings match the position, radius, times and data rights, or that those of "
    "scw_list have no data of the instrument. Try a larger radius= or time_range=, or other windows "
    "(Mmoda.query_science_windows lists the pointings, as does HEASARC's table intscw). Data "
    "of the last year are mostly private: they need integral_data_rights='all-private' and a token with that right."
)


# ---- any answer


def content_of(answer: Answer, what: str, server: str) -> Any:
    """JSON of a good answer; otherwise the error that the answer is."""
    if answer.status == 200 and not answer.problem:
        return answer.content
    raise error_of(answer, what, server)


def error_of(answer: Answer, what: str, server: str) -> MmodaError:
    """What an answer means that is not what was asked for."""
    status, content = answer.status, answer.content
    if 300 <= status < 400:
        place = printable(re.split("[?#]", answer.location)[0], limit=300) or "an unnamed place"
        advice = "If you trust it, set astroquery_mmoda.conf.server to it."
        return ServiceError(f"The service redirects to another address for {what}: {place}. {advice}")
    if status == 404:
        return ServiceError(f"404: {server} has no route for {what}. Is it the address of a MMODA dispatcher?")
    if isinstance(content, dict):
        return (failure if "query_status" in content else error_from_body)(content, status=status)
    words = printable(answer.body[:2000].decode("utf-8", "replace"), limit=300)
    is_page = "<html" in words.lower()
    if status == 400 or (status in _BY_STATUS and not is_page):
        return error_from_body({"error_message": words}, status=status)
    if status != 200:
        more = "Try again later." if is_page or not words else words
        return ServiceError(f"The service failed with HTTP status {status} instead of sending {what}. {more}")
    advice = "It may be in maintenance, or not a MMODA dispatcher (astroquery_mmoda.conf.server)."
    return ServiceError(f"{server} did not send {what}: {answer.problem or words}. {advice}")


# ---- replies of run_analysis


def check_reply(body: Mapping[str, Any]) -> None:
    """See that the parts of a reply are JSON objects, and ids of jobs are such; `DecodingError` names what is not."""
    for key in ("exit_status", "job_monitor", "products"):
        name, form, value = key, "an object", body.get(key)
        if not value or isinstance(value, dict):
            name, form, value = f"{key}.job_id", ID_FORM, section(body, key).get("job_id")
            if not value or is_id(value):
                continue
        shown = printable(value, limit=80)
        raise DecodingError(f"The reply to an analysis is malformed: {name} must be {form}, not {shown!r}.")


def section(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A part of a reply that is a JSON object, or an empty one instead of anything else."""
    part = body.get(key)
    return part if isinstance(part, Mapping) else {}


def without_tokens(reply: Any) -> Any:
    """Copy a reply without the tokens that the service sends back, wherever a workflow put them."""
    if isinstance(reply, dict):
        return {without_tokens(key): without_tokens(value) for key, value in reply.items() if key != "token"}
    if isinstance(reply, tuple):
        return tuple(without_tokens(list(reply)))
    if isinstance(reply, bytes):
        return without_token(reply.decode("latin-1")).encode("latin-1")
    if isinstance(reply, list):
        # rows of numbers need not be searched one by one
        return reply if _NUMBERS.issuperset(map(type, reply)) else [without_tokens(value) for value in reply]
    return without_token(reply) if isinstance(reply, str) else reply


_NUMBERS = frozenset({int, float, bool, type(None)})


def error_from_body(body: Mapping[str, Any], *, status: int | None = None) -> MmodaError:
    """What an error body means: texts about tokens first, then the class name in ``error``, then the HTTP status."""
    text = _NOISE.sub("", str(body.get("error_message") or body.get("message") or body.get("error") or ""))
    reason = printable(text, limit=1000) or "it gave no reason"
    if (debug := printable(body.get("debug_message") or "", limit=300)) not in reason:
        reason += f" ({debug})"
    if _TOKEN_TEXTS.search(text):
        return AuthenticationError(f"The service refused the token: {reason.rstrip('.')}. {HOW_TO_GET_ONE}")
    found = re.match(r"\s*(\w+)\s*\(", str(body.get("error") or ""))
    kind = _BY_CLASS.get(found[1] if found else "") or _BY_STATUS.get(status or 0)
    if kind is JobLost or "unable to find any record for" in text:
        return JobLost(f"The service has no record of this job: {reason}. Submit it again to start anew.")
    if kind is AuthenticationError:
        return _refused(reason)
    if kind is ParameterError:
        return ParameterError(f"The service did not accept the request: {reason}")
    return ServiceError(f"The service failed: {reason}")


def failure(reply: Mapping[str, Any], *, status: int | None = None) -> MmodaError:
    """The error that the reply about an analysis that failed, or was refused, stands for."""
    reason = reason_of(reply)
    if (status or reply.get("status_code")) == 403:
        return _refused(reason or "it gave no reason")
    if "NoValidScW" in reason:
        reason = f"{reason.rstrip('.')}. {_ABOUT_NO_POINTINGS}"
    job_id = printable(section(reply, "job_monitor").get("job_id") or "without id", limit=40)
    reason = reason or "the service gave no reason; submitting it again may tell one"
    return JobFailed(f"The analysis failed (job {job_id}): {reason}")


def reason_of(reply: Mapping[str, Any]) -> str:
    """Why an analysis failed: in the exit status, or only in a report of the back end; empty if it is not said."""
    exit_status = section(reply, "exit_status")
    parts: list[str] = []
    for key in ("message", "debug_message", "error_message"):
        text = printable(exit_status.get(key) or "", limit=1000, newlines=True)
        is_form_letter = key == "error_message" and "support team has been notified" in text
        # "Backend failed. RuntimeError: x" and "x" say the same
        if text not in _NO_REASONS and not is_form_letter and not any(text in part for part in parts):
            parts.append(text)
    found = reports(reply)
    last = ([report for report in found if report.get("action") == "failed"] or found or [{}])[-1]
    text = printable(last.get("message") or last.get("action") or "", limit=500)
    return " - ".join(parts) or (f"last report: {text}" if text else "")


def _refused(reason: str) -> AuthenticationError:
    advice = f"It needs a token with these rights, which the service's team grants. {HOW_TO_GET_ONE}"
    advice += " If the job is of another account: Log in as the user who asked for it."
    return AuthenticationError(f"The service refused the request: {reason.rstrip('.')}. {advice}")


def reports(reply: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Reports of the back end in a reply, oldest first; some servers keep only the last one."""
    monitor = section(reply, "job_monitor")
    listed = monitor.get("full_report_dict_list")
    found = listed if listed and isinstance(listed, list) else [monitor.get("full_report_dict")]
    return [report for report in found if isinstance(report, dict)]
