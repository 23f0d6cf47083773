# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The service's routes over HTTP: the only room that sends a request."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import requests
import urllib3
from astroquery import log
from requests.auth import AuthBase

from .auth import TokenAuth
from .config import conf
from .decoding import parse_body
from .errors import AuthenticationError, DecodingError, MmodaError, ParameterError, ServiceError
from .replies import error_from_body, failure, without_tokens
from .text import printable
from .wire import Upload

__all__ = ["Answer", "Dispatcher", "Interrupted", "NoAuth", "Stream", "asked_pause", "wait_for_next_try"]

_CONNECT_TIMEOUT = 30.0
_PASSING = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE = 60.0
_CHUNK = 1 << 18


class NoAuth(AuthBase):
    """Nothing is added to a request; without it requests would look for passwords in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Leave the request as it is."""
        return request


@dataclass(frozen=True)
class Answer:
    """One HTTP reply, read whole; ``content`` is its JSON, or ``problem`` says why it has none."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = ""
    location: str = field(default="", repr=False)
    retry_after: str = ""
    content: Any = field(default=None, repr=False)
    problem: str = ""

    def parsed(self, what: str, auth: AuthBase) -> Answer:
        """With its JSON read, once, freed of tokens: first of ours, which a traceback would show otherwise."""
        if self.content is not None or self.problem:
            return self
        body = auth.masked(self.body) if isinstance(auth, TokenAuth) else self.body
        try:
            return replace(self, body=body, content=without_tokens(parse_body(body, what=what)))
        except DecodingError as error:
            problem = str(error)
        return replace(self, body=body, problem=problem)


class Interrupted(ServiceError):
    """A fault that may pass by itself, while a file was fetched; ``retry_after`` is what the server said of it."""

    def __init__(self, message: str, *, retry_after: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Stream:
    """A reply whose body is still to come."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


@dataclass(frozen=True)
class Dispatcher:
    """
    A MMODA dispatcher at one address, asked in the name of one user.

    Built when needed and thrown away, so that a changed address or a new login counts at once.

    Parameters
    ----------
    url : str
        Base address.
    request : callable
        ``BaseQuery._request`` of the client.
    auth : AuthBase
        Puts the token, if there is one, into requests that may bear it.
    """

    url: str
    request: Callable[..., requests.Response] = field(repr=False)
    auth: AuthBase = field(default_factory=NoAuth, repr=False)

    # ---- routes

    def instruments(self) -> list[str]:
        """Names of the instruments that are open to this user."""
        what = "the list of instruments"
        answer = self._exchange("GET", "instr-list", what=what, auth=self.auth)
        if answer.status == 404:  # dispatcher 1.3.3 has it under another path, which wants any instrument
            answer = self._exchange("GET", "api/instr-list", {"instrument": "mock"}, what=what)
        names = self._judged(answer, what)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ServiceError(f"{self.url} sent no list of instruments. Is it the address of a MMODA dispatcher?")
        return names

    def metadata(self, instrument: str) -> Any:
        """Description of an instrument: its products and parameters."""
        return self._get("api/meta-data", {"instrument": instrument}, f"the description of {printable(instrument)}")

    def parameter_names(self, instrument: str) -> list[str]:
        """Names of all arguments that an instrument takes, formats and units among them."""
        names = self._get("api/par-names", {"instrument": instrument}, f"the parameters of {printable(instrument)}")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ServiceError(f"{self.url} sent no list of the parameters of {printable(instrument)}.")
        return names

    def resolve_name(self, name: str) -> Mapping[str, Any]:
        """What the service's resolver knows of an object; the key ``RA`` is missing if nothing."""
        what = "the name resolver's reply"
        found = self._judged(self._exchange("GET", "resolve_name", {"name": name}, what=what), what)
        return found if isinstance(found, dict) else {}

    def run_analysis(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """
        Submit an analysis or ask after one.

        Parameters
        ----------
        fields : dict of str
            All of the form, ``session_id`` and (unless it is new) ``job_id`` among them.

        Returns
        -------
        dict
            The reply, without tokens.

        Raises
        ------
        ParameterError, AuthenticationError, JobLost, ServiceError
            As the service's reply says.
        """
        return self.run_and_measure(fields)[0]

    def run_and_measure(self, fields: Mapping[str, str]) -> tuple[dict[str, Any], int]:
        """As `run_analysis`, with the size of the reply in bytes beside it."""
        what = "the reply to an analysis"
        answer = self._exchange("POST", "run_analysis", form=fields, what=what, auth=self.auth)
        reply = self._judged(answer, what)
        if not isinstance(reply, dict):
            raise ServiceError("The service answered an analysis with something that is no reply to it.")
        if "query_status" not in reply:
            raise error_from_body(reply, status=answer.status)
        return reply, len(answer.body)

    def resolve_job(self, job_id: str, session_id: str) -> str:
        """Address that holds all parameters of a job, as the service's e-mails lead to; it is not followed."""
        query = {"job_id": job_id, "session_id": session_id}
        if not isinstance(self.auth, TokenAuth):
            query["token"] = ""  # this route wants exactly three parameters
        answer = self._exchange("GET", "resolve-job-url", query, auth=self.auth)
        if not 300 <= answer.status < 400:
            self._judged(answer, "the parameters of the job")
            raise ServiceError("The service did not tell the parameters of the job.")
        return answer.location

    def job_records(self, job_id: str | None = None, *, days: float = 30.0) -> list[dict[str, Any]]:
        """The service's own records of this user's jobs, or of one of them."""
        query = {"recent_days": repr(float(days))}
        if job_id is not None:
            query["job_id"] = job_id[:8]  # with more of it the service finds nothing
        records = self._get("inspect-user-state", query, "the records of your jobs")
        found = records.get("records") if isinstance(records, dict) else None
        if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
            raise ServiceError(f"{self.url} sent no list of your jobs.")
        return [record for record in found if isinstance(record.get("job_id"), str)]

    def check_token(self) -> None:
        """Ask whether the service accepts the token; `AuthenticationError` if not, `ServiceError` if it can't tell."""
        answer = self._exchange("POST", "update_token_email_options", form={"query_status": "new"}, auth=self.auth)
        if answer.status in (400, 403):
            # whatever its words are: there was nothing but the token in the request
            raise AuthenticationError(str(self._refused(answer, "the check of the token")))
        self._token_text(answer, "the check of the token")

    def refreshed_token(self) -> str:
        """A token with a longer life."""
        answer = self._exchange("GET", "refresh_token", {"query_status": "new"}, auth=self.auth)
        return self._token_text(answer, "a new token")

    def token_with_options(self, options: Mapping[str, str]) -> str:
        """A token with other e-mail options."""
        form = {"query_status": "new", **options}
        answer = self._exchange("POST", "update_token_email_options", form=form, auth=self.auth)
        return self._token_text(answer, "a new token")

    # ---- routes of the archive of published products; none of them is given the token

    def query_archive(self, form: Mapping[str, str]) -> Answer:
        """Answer to an ADQL query, whatever it is."""
        return self._archived("POST", "tap/sync", "the archive's answer", form)

    def archive_tables(self) -> Answer:
        """Description of the archive's tables."""
        return self._archived("GET", "tap/tables", "the archive's tables")

    def gallery_page(self, name: str) -> Mapping[str, Any]:
        """What the gallery knows of an object; empty if nothing."""
        what = "the gallery's page of an object"
        answer = self._exchange("GET", "get_astro_entity_info_by_source_name", {"src_name": name}, what=what)
        found = self._judged(answer, what)
        return found if isinstance(found, dict) else {}

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str]) -> Iterator[Stream]:
        """
        One GET of any address, its body in pieces.

        Raises
        ------
        Interrupted
            By this or by its pieces: a fault that may pass, or no end within ``conf.timeout``.
        ServiceError
            A fault that won't pass.
        """
        timeout = float(conf.timeout)
        deadline = time.monotonic() + timeout
        options = {"timeout": (min(_CONNECT_TIMEOUT, timeout), timeout), "stream": True, "allow_redirects": False}
        fault: Exception | None = None
        try:
            response = self.request("GET", url, auth=NoAuth(), headers=dict(headers), **options)
        except (OSError, ValueError) as error:  # all errors of requests, and what it says of odd redirects
            fault = error
        if fault is not None:
            raise _translated(fault)
        with response:
            if response.status_code in _PASSING:
                asked = response.headers.get("Retry-After", "")
                raise Interrupted(f"HTTP status {response.status_code}", retry_after=asked)
            yield Stream(response.status_code, response.headers, _until(deadline, _chunks(response)))

    def _archived(self, method: str, route: str, what: str, form: Mapping[str, str] | None = None) -> Answer:
        """An answer of the archive's service, which has errors of its own making."""
        answer = self._exchange(method, route, form=form)
        if answer.status == 404 or 300 <= answer.status < 400:
            self._judged(answer, what)
        return answer

    def _get(self, route: str, query: Mapping[str, str], what: str) -> Any:
        return self._judged(self._exchange("GET", route, query, what=what, auth=self.auth), what)

    # ---- from an answer to its meaning

    def _token_text(self, answer: Answer, what: str) -> str:
        """The bare text of a token, the one kind of answer that is no JSON."""
        if answer.status != 200:
            raise self._refused(answer, what)
        text = answer.body.decode("ascii", "replace").strip()
        if text.count(".") != 2 or not text.startswith("eyJ"):
            raise ServiceError(f"{self.url} did not send {what}, but: {printable(text, limit=100)}")
        return text

    def _refused(self, answer: Answer, what: str) -> MmodaError:
        """The error that an answer with an HTTP error status is."""
        try:
            self._judged(answer, what)
        except MmodaError as error:
            return error
        return ServiceError(f"The service failed with HTTP status {answer.status} instead of sending {what}.")

    def _judged(self, answer: Answer, what: str) -> Any:
        """JSON of a good answer, or the error that the answer is."""
        if 300 <= answer.status < 400:
            raise ServiceError(
                f"The service sends us elsewhere for {what}: {_without_query(answer.location)}. If you trust that "
                "place, set astroquery_mmoda.conf.server to it."
            )
        if answer.status == 404:
            raise ServiceError(f"{self.url} has no place for {what}. Is it the address of a MMODA dispatcher?")
        answer = answer.parsed(what, self.auth)
        if answer.problem:
            raise self._not_json(answer, what)
        if answer.status == 200:
            return answer.content
        raise _refusal(answer.content, answer.status)

    def _not_json(self, answer: Answer, what: str) -> MmodaError:
        words = printable(answer.body[:2000].decode("utf-8", "replace"), limit=300)
        if answer.status in (401, 403) and "<html" not in words.lower():
            return error_from_body({"error_message": words}, status=403)
        if answer.status == 400:
            return ParameterError(f"The service did not accept the request for {what}: {words}")
        if answer.status != 200:
            return ServiceError(
                f"The service failed with HTTP status {answer.status} instead of sending {what}. Try again later."
            )
        return ServiceError(
            f"{self.url} gave no proper answer: {answer.problem}. It may be in maintenance, or no MMODA dispatcher "
            "(astroquery_mmoda.conf.server)."
        )

    # ---- HTTP

    def _exchange(
        self,
        method: str,
        route: str,
        query: Mapping[str, str] | None = None,
        *,
        form: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
        what: str = "",
    ) -> Answer:
        """
        One request, repeated a few times after faults that pass by themselves.

        JSON is read here if ``what`` tells that some is expected, since a reply that is cut shows only then.
        """
        begin = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            answer, fault = self._attempt(method, route, query, form, auth or NoAuth())
            if answer is not None and not fault:
                answer = answer.parsed(what, auth or NoAuth()) if what and answer.body else answer
                fault = _cut(answer)
            if answer is not None and not fault:
                return answer
            pause = _pause(attempt, answer)
            if attempt > conf.retries or time.monotonic() - begin + pause > conf.timeout:
                raise ServiceError(
                    f"{self.url} can't be asked ({method} {route}): {fault}; tried {attempt} "
                    f"{'time' if attempt == 1 else 'times'} in {time.monotonic() - begin:.0f} s. Try again later, "
                    "or check astroquery_mmoda.conf.server."
                )
            log.debug("%s %s: %s; trying again in %.1f s", method, route, fault, pause)
            time.sleep(pause)

    def _attempt(
        self,
        method: str,
        route: str,
        query: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
        auth: AuthBase,
    ) -> tuple[Answer | None, str]:
        """An answer, and the passing fault in it, if any; faults that won't pass are raised."""
        timeout = float(conf.timeout)
        deadline = time.monotonic() + timeout
        try:
            response = self.request(
                method,
                f"{self.url.rstrip('/')}/{route}",
                params=query,
                **_body(form),
                auth=auth,
                timeout=(min(_CONNECT_TIMEOUT, timeout), timeout),
                stream=True,
                allow_redirects=False,
            )
            with response:
                answer = _read(response, deadline)
        except requests.RequestException as error:
            passing, fault = _describe(error)
        except ValueError:  # requests can't read the address of some redirect, even if it is not followed
            passing, fault = False, "it leads to no address"
        else:
            passing, fault = True, _fault_of(answer)
            return answer, fault
        # out of the except block, so that no traceback keeps the library's error: it quotes addresses and tokens
        if passing:
            return None, fault
        raise ServiceError(f"{self.url} can't be asked: {fault}. Check astroquery_mmoda.conf.server and the network.")


def _body(form: Mapping[str, str] | None) -> dict[str, Any]:
    """Fields of a form, and the files among them, which make it a multipart one."""
    if form is None:
        return {}
    files = {name: (value.filename, value.content) for name, value in form.items() if isinstance(value, Upload)}
    fields = {name: value for name, value in form.items() if name not in files}
    if files:
        return {"data": fields, "files": files}
    # written here, since the library looks at each field several times
    return {"data": urlencode(fields), "headers": {"Content-Type": "application/x-www-form-urlencoded"}}


def _read(response: requests.Response, deadline: float) -> Answer:
    """The whole body, as long as it is neither too large nor too slow."""
    limit = int(conf.max_reply_size)
    chunks: list[bytes] = []
    size = 0
    for chunk in _chunks(response):
        size += len(chunk)
        if size > limit:
            raise ServiceError(
                f"The reply is larger than {limit} bytes (astroquery_mmoda.conf.max_reply_size); it was not read."
            )
        if time.monotonic() > deadline:
            raise requests.exceptions.ReadTimeout("the reply took too long")
        chunks.append(chunk)
    headers = response.headers
    return Answer(
        status=response.status_code,
        body=b"".join(chunks),
        content_type=headers.get("Content-Type", ""),
        location=headers.get("Location", ""),
        retry_after=headers.get("Retry-After", ""),
    )


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Pieces of a body as they come; waiting for a full piece would let a server that drips escape the deadline."""
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            yield chunk
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout(str(error)) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise requests.exceptions.ChunkedEncodingError(str(error)) from None


def _until(deadline: float, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces of a body, as long as there is time."""
    fault: OSError | None = None
    try:
        for chunk in chunks:
            yield chunk
            if time.monotonic() > deadline:
                raise Interrupted(f"it took longer than {conf.timeout:g} s (astroquery_mmoda.conf.timeout)")
    except OSError as error:
        fault = error
    if fault is not None:
        raise _translated(fault)


def _translated(error: Any) -> ServiceError:
    """Without the library's error: it quotes addresses."""
    if type(error) is ValueError:
        return ServiceError("it leads to something that is no address")
    passing, words = _describe(error)
    return Interrupted(words) if passing else ServiceError(words)


def wait_for_next_try(attempt: int, fault: Interrupted) -> None:
    """Pause as long as it takes or is asked for."""
    time.sleep(_pause(attempt, fault))


def _describe(error: requests.RequestException) -> tuple[bool, str]:
    """Whether a fault may pass by itself, and what it was, in words without an address or a form."""
    if isinstance(error, requests.exceptions.SSLError):
        return False, "its certificate could not be verified"
    if isinstance(error, (requests.exceptions.MissingSchema, requests.exceptions.InvalidURL)):
        return False, "this is no address"
    if isinstance(error, requests.exceptions.InvalidSchema):
        return False, "only http and https addresses work"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True, "no connection in time"
    if isinstance(error, requests.exceptions.Timeout):
        return True, f"no complete reply within {conf.timeout:g} s (astroquery_mmoda.conf.timeout)"
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)):
        return True, "the reply was cut"
    if isinstance(error, requests.exceptions.ConnectionError):
        words = str(error)
        if any(sign in words for sign in _NO_SUCH_HOST):
            return False, "there is no machine of this name"
        return True, next((meaning for sign, meaning in _CONNECTION_FAULTS if sign in words), "the connection failed")
    return False, type(error).__name__


_NO_SUCH_HOST = ("Name or service not known", "nodename nor servname", "No address associated with hostname")
_CONNECTION_FAULTS = (
    ("Connection refused", "connection refused"),
    ("Temporary failure in name resolution", "its name could not be looked up"),
    ("reset by peer", "connection reset"),
    ("Remote end closed", "the connection was closed without a reply"),
    ("IncompleteRead", "the reply was cut"),
    ("Read timed out", "no complete reply in time"),
)


def _fault_of(answer: Answer) -> str:
    """A passing fault that came as an answer, such as that of a busy proxy."""
    if answer.status in _PASSING:
        return f"HTTP status {answer.status}"
    return "the reply was empty" if answer.status == 200 and not answer.body.strip() else ""


def _cut(answer: Answer) -> str:
    """Whether a good reply began as JSON and did not end as such."""
    begun = answer.status == 200 and answer.body.lstrip()[:1] in (b"{", b"[")
    return f"the reply is no whole JSON ({answer.problem})" if begun and answer.problem else ""


def _pause(attempt: int, answer: Answer | Interrupted | None) -> float:
    """Seconds before the next try: what the server asks for, or growing with some chance in it."""
    asked = asked_pause(answer.retry_after) if answer is not None else None
    if asked is not None:
        return asked
    return min(0.3 * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret hangs on it


def asked_pause(text: str) -> float | None:
    """Seconds that a header Retry-After asks for, as a number or a date, up to a limit; None if it is neither."""
    if text.strip().isdigit():
        return min(float(text), _LONGEST_PAUSE)
    try:
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        return min(max(0.0, seconds), _LONGEST_PAUSE)
    except (TypeError, ValueError):
        return None


def _refusal(content: Any, status: int) -> MmodaError:
    """What a JSON body with an HTTP error status means."""
    if isinstance(content, dict) and "query_status" in content:
        return failure(content, status=status)
    if isinstance(content, dict):
        return error_from_body(content, status=status)
    if status == 403:
        return AuthenticationError(f"The service refused the request: {printable(content)}")
    return ServiceError(f"The service failed with HTTP status {status}: {printable(content)}")


def _without_query(url: str) -> str:
    """Where a redirect leads, without parameters, which may hold a token."""
    parts = urlsplit(url)
    return printable(urlunsplit((parts.scheme, parts.hostname or "", parts.path, "", "")) or "an unnamed place")
