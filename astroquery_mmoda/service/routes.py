# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The service's routes over HTTP: the only room that sends a request."""

from __future__ import annotations

import email.utils
import http.client
import math
import random
import re
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

from ..auth import Token, TokenAuth, token_of
from ..config import conf
from ..decoding import parse_body
from ..errors import (
    AuthenticationError,
    DecodingError,
    JobTimeout,
    MmodaError,
    ParameterError,
    ServiceError,
    bare,
    without_frames,
)
from ..request.encode import Upload
from ..text import is_id, printable, without_token
from .replies import error_from_body, failure, without_tokens
from .transport import Bounds, ProxyRefused, TooLarge, pieces_of

__all__ = ["Answer", "Dispatcher", "Interrupted", "NoAuth", "Patience", "Stream", "asked_pause", "wait_for_next_try"]

_PASSING = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE = 60.0  # that a server may ask for, s
_LONGEST_OWN_PAUSE = 15.0
_THROUGH_PROXY = (
    "The token was not sent: it would go through a proxy over plain http, where it can be read. Use the https address "
    "of the service, or put its host into the environment variable NO_PROXY."
)
_LARGEST_ERROR = 20_000_000  # body of an answer that is not a good one, bytes


@dataclass(frozen=True)
class Patience:
    """
    How long a question to the service may take, and what is said when that is over.

    Attributes
    ----------
    until : float
        Moment on the monotonic clock (s) at which an answer is of no use any more.
    outage : float or None
        How long passing faults are sat out, from the first one on, in s; ``conf.retry_time`` if None.
    advice : str
        What is safe, and what to do next.
    """

    until: float = math.inf
    outage: float | None = None
    advice: str = "Try again later, or check astroquery_mmoda.conf.server."

    @property
    def longest_outage(self) -> float:
        """`float`: how long passing faults are sat out, in s."""
        return conf.seconds("retry_time") if self.outage is None else self.outage


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
        masked = replace(self, body=auth.masked(self.body)) if isinstance(auth, TokenAuth) else self
        content, problem = _content(masked.body, what)
        return replace(masked, content=content, problem=problem)

    @property
    def masked_text(self) -> str:
        """`str`: the beginning of its body, without tokens."""
        return without_token(self.body[:2000].decode("utf-8", "replace"))


@without_frames
def _content(body: bytes, what: str) -> tuple[Any, str]:
    """JSON of a body without tokens, and what is wrong with it; before, others than ours may stand in it."""
    try:
        return without_tokens(parse_body(body, what=what)), ""
    except DecodingError as error:
        return None, str(error)


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
    patience : Patience
        How long each question may take.
    restricted : set of str
        Instruments that the service does not describe to everybody; filled here.
    """

    url: str
    request: Callable[..., requests.Response] = field(repr=False)
    auth: AuthBase = field(default_factory=NoAuth, repr=False)
    patience: Patience = Patience()
    restricted: set[str] = field(default_factory=set, repr=False, compare=False)

    # ---- routes

    def instruments(self, *, openly: bool = False) -> list[str]:
        """Names of the instruments that are open to this user, or, without a token in the address, to everybody."""
        what = "the list of instruments"
        answer = self._exchange("GET", "instr-list", what=what, auth=NoAuth() if openly else self.auth)
        if answer.status == 404:  # dispatcher 1.3.3 has it under another path, which wants any instrument
            answer = self._exchange("GET", "api/instr-list", {"instrument": "mock"}, what=what)
        names = self._judged(answer, what)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ServiceError(f"{self.url} sent no list of instruments. Is it the address of a MMODA dispatcher?")
        return names

    def metadata(self, instrument: str) -> Any:
        """Description of an instrument: its products and parameters."""
        return self._described("api/meta-data", instrument, f"the description of {printable(instrument)}")

    def parameter_names(self, instrument: str) -> list[str]:
        """Names of all arguments that an instrument takes, formats and units among them."""
        names = self._described("api/par-names", instrument, f"the parameters of {printable(instrument)}")
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
        try:
            urlsplit(answer.location)
        except ValueError:
            raise ServiceError("The service sent no valid address with the parameters of the job.") from None
        return answer.location

    def job_records(self, job_id: str | None = None, *, days: float = 30.0) -> list[dict[str, Any]]:
        """The service's own records of this user's jobs, or of one of them."""
        query = {"recent_days": repr(float(days))}
        if job_id is not None:
            query["job_id"] = job_id[:8]  # with more of it the service finds nothing
        what = "the records of your jobs"
        records = self._judged(self._exchange("GET", "inspect-user-state", query, what=what, auth=self.auth), what)
        found = records.get("records") if isinstance(records, dict) else None
        if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
            raise ServiceError(f"{self.url} sent no list of your jobs.")
        known = [record for record in found if is_id(record.get("job_id")) and is_id(record.get("session_id"))]
        if len(known) < len(found):
            log.warning(
                "%d records of jobs without a valid job_id and session_id are left out.", len(found) - len(known)
            )
        return known

    def check_token(self) -> None:
        """Ask whether the service accepts the token; `AuthenticationError` if not, `ServiceError` if it can't tell."""
        answer = self._exchange("POST", "update_token_email_options", form={"query_status": "new"}, auth=self.auth)
        if answer.status in (400, 403):
            # whatever its words are: there was nothing but the token in the request
            raise AuthenticationError(str(self._refused(answer, "the check of the token")))
        self._new_token(answer, "the check of the token")

    def refreshed_token(self) -> Token:
        """A token with a longer life."""
        answer = self._exchange("GET", "refresh_token", {"query_status": "new"}, auth=self.auth)
        return self._new_token(answer, "a new token")

    def token_with_options(self, options: Mapping[str, str]) -> Token:
        """A token with other e-mail options."""
        form = {"query_status": "new", **options}
        answer = self._exchange("POST", "update_token_email_options", form=form, auth=self.auth)
        return self._new_token(answer, "a new token")

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
        One GET of any address, its body in pieces; no token goes along.

        Raises
        ------
        Interrupted
            By this or by its pieces: a fault that may pass, or no end within ``conf.timeout``.
        ServiceError
            A fault that won't pass.
        """
        bounds = Bounds.of_request(self.patience.until)
        response, fault, passing = _sent(
            self.request, "GET", url, bounds, auth=NoAuth(), headers=dict(headers), stream=True, allow_redirects=False
        )
        if response is None:
            raise Interrupted(fault) if passing else ServiceError(fault)
        with response:
            if response.status_code in _PASSING:
                asked = response.headers.get("Retry-After", "")
                raise Interrupted(f"HTTP status {response.status_code}", retry_after=asked)
            yield Stream(response.status_code, response.headers, _translated(pieces_of(response), bounds))

    def _archived(self, method: str, route: str, what: str, form: Mapping[str, str] | None = None) -> Answer:
        """An answer of the archive's service, which has errors of its own making."""
        answer = self._exchange(method, route, form=form)
        if answer.status == 404 or 300 <= answer.status < 400:
            self._judged(answer, what)
        return answer

    def _described(self, route: str, instrument: str, what: str) -> Any:
        """
        What the service tells of an instrument; the token goes along only where it does not tell everybody.

        These routes take it in the address, where servers and proxies on the way may log it.
        """
        query = {"instrument": instrument}
        if instrument not in self.restricted:
            answer = self._exchange("GET", route, query, what=what)
            if answer.status != 403 or not isinstance(self.auth, TokenAuth):
                return self._judged(answer, what)
            self.restricted.add(instrument)
        return self._judged(self._exchange("GET", route, query, what=what, auth=self.auth), what)

    # ---- from an answer to its meaning

    def _new_token(self, answer: Answer, what: str) -> Token:
        """The token that an answer is, the one kind of answer that is no JSON."""
        if answer.status != 200:
            raise self._refused(answer, what)
        token = token_of(answer.body)
        if token is None:
            raise ServiceError(f"{self.url} did not send {what}, but: {printable(answer.masked_text, limit=100)}")
        return token

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
        words = printable(answer.masked_text, limit=300)
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
        One request, repeated after faults that pass by themselves.

        JSON is read here if ``what`` tells that some is expected, since a reply that is cut shows only then.
        """
        attempt, failing_since = 0, math.inf
        while True:
            attempt += 1
            answer, fault = self._attempt(method, route, query, form, auth or NoAuth())
            if answer is not None and not fault:
                answer = answer.parsed(what, auth or NoAuth()) if what and answer.body else answer
                fault = _cut(answer)
            if answer is not None and not fault:
                return answer
            failing_since = min(failing_since, time.monotonic())
            self._rest(attempt, failing_since, answer, f"{method} {route}: {fault}")

    def _rest(self, attempt: int, failing_since: float, answer: Answer | None, fault: str) -> None:
        """Pause before the next try, or give up."""
        now, outage = time.monotonic(), self.patience.longest_outage
        failing = now - failing_since
        if failing >= outage:
            raise ServiceError(
                f"{self.url} can't be asked ({fault}); tried {attempt} {'time' if attempt == 1 else 'times'} in "
                f"{failing:.0f} s (astroquery_mmoda.conf.retry_time). {self.patience.advice}"
            )
        # the last try is made when the time is over
        pause = min(_pause(attempt, answer), outage - failing)
        left = self.patience.until - now
        log.debug("%s; trying again in %.1f s", fault, pause)
        time.sleep(max(0.0, min(pause, left)))
        if pause >= left:
            raise self._out_of_time(f" The last fault was: {fault}.")

    def _out_of_time(self, more: str = "") -> JobTimeout:
        return JobTimeout(f"{self.url} did not answer within the time that was given.{more}")

    def _attempt(
        self,
        method: str,
        route: str,
        query: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
        auth: AuthBase,
    ) -> tuple[Answer | None, str]:
        """An answer, and the passing fault in it, if any; faults that won't pass are raised."""
        bounds = Bounds.of_request(self.patience.until)
        answer, fault, passing = _sent(
            self.request,
            method,
            f"{self.url.rstrip('/')}/{route}",
            bounds,
            read=True,
            params=query,
            **_body(form),
            auth=auth,
            stream=True,
            allow_redirects=False,
        )
        if answer is not None:
            return answer, _fault_of(answer)
        if bounds.over and time.monotonic() >= self.patience.until:
            raise self._out_of_time()
        if passing:
            return None, fault
        raise ServiceError(f"{self.url} can't be asked: {fault}. Check astroquery_mmoda.conf.server and the network.")


def _sent(
    request: Callable[..., requests.Response],
    method: str,
    url: str,
    bounds: Bounds,
    *,
    read: bool = False,
    **options: Any,
) -> tuple[Any, str, bool]:
    """
    A response, read whole if that is wanted; or else what was wrong, and whether that may pass by itself.

    Errors are raised anew, and nothing of the library's error is kept: it quotes addresses, and the frames in its
    traceback hold forms with tokens, also where Ctrl-C came in the middle.
    """
    raised: BaseException
    try:
        response = request(method, url, timeout=bounds, **options)
        if not read:
            return response, "", False
        with response:
            return _read(response, bounds), "", False
    except MmodaError as error:
        raised = bare(error)
    except ProxyRefused:
        raised = AuthenticationError(_THROUGH_PROXY)
    except Exception as error:
        passing, fault = _describe(error, bounds)
        return None, fault, passing
    except BaseException as error:
        raised = bare(error)
    raise raised


def _body(form: Mapping[str, str] | None) -> dict[str, Any]:
    """Fields of a form, and the files among them, which make it a multipart one."""
    if form is None:
        return {}
    files = {name: (value.filename, value.content) for name, value in form.items() if isinstance(value, Upload)}
    fields = {name: value for name, value in form.items() if name not in files}
    for name, value in fields.items():
        try:
            f"{name}{value}".encode()
        except UnicodeEncodeError as error:
            problem = f"{printable(name, limit=60)}={printable(value, limit=100)!r} has halves of characters in it"
            raise ParameterError(f"{problem}, which can't be sent.") from error
    if files:
        return {"data": fields, "files": files}
    # written here, since the library looks at each field several times
    return {"data": urlencode(fields), "headers": {"Content-Type": "application/x-www-form-urlencoded"}}


def _read(response: requests.Response, bounds: Bounds) -> Answer:
    """
    The whole body, as long as it is not too large; a redirect has nothing to say by its own.

    The status of an answer that is not a good one counts even if its body has no end.
    """
    chunks: list[bytes] = []
    size = 0
    good = response.status_code == 200
    limit = bounds.size if good else min(bounds.size, _LARGEST_ERROR)
    try:
        for chunk in () if 300 <= response.status_code < 400 else pieces_of(response):
            size += len(chunk)
            if size > limit:
                raise TooLarge("body")
            chunks.append(chunk)
    except Exception as error:
        spoilt = bounds.over or isinstance(error, (TooLarge, urllib3.exceptions.DecodeError))
        if good or not spoilt:
            raise
    headers = response.headers
    return Answer(
        status=response.status_code,
        body=b"".join(chunks),
        content_type=without_token(headers.get("Content-Type", "")),
        location=without_token(headers.get("Location", "")),
        retry_after=without_token(headers.get("Retry-After", "")),
    )


def _translated(pieces: Iterator[bytes], bounds: Bounds) -> Iterator[bytes]:
    """Pieces of a body, with errors of ours."""
    while True:
        try:
            piece = next(pieces, b"")
        except Exception as error:
            passing, fault = _describe(error, bounds)
        else:
            if not piece:
                return
            yield piece
            continue
        raise Interrupted(fault) if passing else ServiceError(fault)


def wait_for_next_try(attempt: int, fault: Interrupted) -> None:
    """Pause as long as it takes or is asked for."""
    time.sleep(_pause(attempt, fault))


def _describe(error: Exception, bounds: Bounds) -> tuple[bool, str]:
    """Whether a fault may pass by itself, and what it was, in words without an address or a form."""
    if isinstance(error, TooLarge):
        what, limit = ("headers are", "what is read of them") if str(error) == "headers" else ("reply is", "")
        limit = limit or f"{bounds.size} bytes (astroquery_mmoda.conf.max_reply_size)"
        return False, f"the {what} larger than {limit}; not all of it was read"
    if refused := re.search(r"Tunnel connection failed: (\d{3})", _all_words(error)):
        return int(refused[1]) in _PASSING, f"the proxy refused to connect (HTTP status {refused[1]})"
    if isinstance(error, requests.exceptions.SSLError):
        return _describe_tls(_all_words(error))
    if isinstance(error, _NO_ADDRESS):
        return False, "this is not a valid address, or that of the proxy is not"
    if isinstance(error, requests.exceptions.InvalidSchema):
        return False, "only http and https addresses work (and SOCKS proxies where PySocks is installed)"
    if bounds.over:
        return True, f"no complete reply within {conf.timeout:g} s (astroquery_mmoda.conf.timeout)"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True, "no connection in time"
    words = _all_words(error)
    if "timed out" in words:
        return True, f"nothing came for {bounds.idle:g} s (astroquery_mmoda.conf.idle_timeout)"
    if any(sign in words for sign in _NO_SUCH_HOST):
        return False, "there is no machine of this name"
    if isinstance(error, (requests.exceptions.RequestException, *_BROKEN)):
        return True, next((meaning for sign, meaning in _FAULTS if sign in words), "the connection failed")
    if isinstance(error, OSError):  # such as a file of certificates that is not there
        return False, f"the connection can't be made ({type(error).__name__}); see REQUESTS_CA_BUNDLE, if it is set"
    return False, f"the HTTP library can't make the request, or read the answer ({type(error).__name__})"


def _describe_tls(words: str) -> tuple[bool, str]:
    """The same of a fault in an encrypted connection."""
    if "EOF" in words:
        return True, "the encrypted connection was closed"
    if "certificate" in words.lower():
        return False, "its certificate could not be verified"
    return False, "no encrypted connection can be made; it may be an http address, or an old server"


def _all_words(error: BaseException) -> str:
    """What an error says, and those that it was made of."""
    words: list[str] = []
    found: BaseException | None = error
    while found is not None and len(words) < 5:
        words.append(str(found))
        found = found.__cause__ or found.__context__
    return " ".join(words)


_NO_ADDRESS = (
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidURL,
    urllib3.exceptions.LocationParseError,
)
_BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, ConnectionError, TimeoutError)
_NO_SUCH_HOST = ("Name or service not known", "nodename nor servname", "No address associated with hostname")
_FAULTS = (
    ("Connection refused", "connection refused"),
    ("Temporary failure in name resolution", "its name could not be looked up"),
    ("reset by peer", "connection reset"),
    ("Remote end closed", "the connection was closed without a reply"),
    ("IncompleteRead", "the reply was cut"),
    ("Response ended prematurely", "the reply was cut"),
    ("failed to decode", "the reply can't be decompressed"),
    ("Cannot connect to proxy", "the proxy does not answer"),
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
    if asked:  # to be asked again at once is no reason to do that again and again
        return asked
    return min(0.3 * 2 ** min(attempt, 10), _LONGEST_OWN_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret hangs on it


def asked_pause(text: str) -> float | None:
    """Seconds that a header Retry-After asks for, as a number or a date, up to a limit; None if it is neither."""
    if re.fullmatch(r"[0-9]+", text.strip()):
        return min(float(text[:20]), _LONGEST_PAUSE)
    try:
        seconds = email.utils.parsedate_to_datetime(text[:100]).timestamp() - time.time()
    except Exception:  # noqa: BLE001 - what a server writes makes this module fail in many ways
        return None
    return min(max(0.0, seconds), _LONGEST_PAUSE)


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
    try:
        parts = urlsplit(url)
        place = urlunsplit((parts.scheme, parts.hostname or "", parts.path, "", ""))
    except ValueError:
        place = ""
    return printable(place or "an unnamed place", limit=300)
