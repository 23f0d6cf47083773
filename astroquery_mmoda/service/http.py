# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""HTTP: the one place that sends requests, reads answers within bounds, and tries again after temporary faults."""

from __future__ import annotations

import http.client
import math
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import astroquery
import requests
import urllib3
from astroquery import log
from requests.utils import select_proxy

from ..auth.token import TokenAuth
from ..config import conf
from ..decoding import parse_body
from ..errors import AuthenticationError, DecodingError, JobTimeout, MmodaError, ServiceError, bare
from ..origin import is_loopback, origin_of
from ..protocol import Upload
from ..text import without_token
from .replies import without_tokens
from .sockets import BoundedAdapter, Bounds, TooLarge

#: HTTP status of temporary faults
PASSING = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE = 60.0  # that a server may ask for, s
_LONGEST_OWN_PAUSE = 15.0
_TRIES_UNSAID = 4  # a few seconds, after which whoever waits wants to know why
_LARGEST_ERROR = 20_000_000  # body of an answer that is not a good one, bytes
_CHUNK = 1 << 18
_CONNECTIONS = 16  # kept to one server
#: origin -> moment until which nothing is sent to it by this process, as the server asked
_PAUSES: dict[Any, float] = {}

_Result = TypeVar("_Result")
Fields: TypeAlias = Mapping[str, str] | None


# ---- faults


class Fault(ServiceError):
    """There is no answer: why, whether that may be temporary, and what pause the server asks for (s)."""

    def __init__(self, message: str = "", *, passing: bool = True, pause: float | None = None) -> None:
        super().__init__(message)
        self.passing, self.pause = passing, pause


def translated(action: Callable[[], _Result], bounds: Bounds) -> _Result:
    """
    What a function of the HTTP library gives; nothing of its errors is kept, which quote addresses and hold tokens.

    Errors are raised anew, also those of Ctrl-C in the middle.
    """
    problem: BaseException
    try:
        return action()
    except BaseException as error:
        is_own = isinstance(error, MmodaError) or not isinstance(error, Exception)
        problem = bare(error) if is_own else _fault(error, bounds)
    raise problem


# words of the library -> whether the fault may pass, and what it is
_FAULTS = (
    ("URLSchemeUnknown|InvalidSchema", False, "only http and https work, and SOCKS proxies if PySocks is installed"),
    (
        "InvalidURL|MissingSchema|LocationParseError",
        False,
        "not a valid address (such as http://127.0.0.1:8765), or that of the proxy is not",
    ),
    ("connect timeout=", True, "no connection in time"),
    ("timed out|TimeoutError", True, "nothing came for {idle:g} s (astroquery_mmoda.conf.idle_timeout)"),
    ("EOF occurred", True, "the encrypted connection was closed"),
    ("CERTIFICATE_VERIFY_FAILED|CertificateError", False, "its certificate could not be verified"),
    ("SSLError", False, "no encrypted connection can be made; it may be an http address, or an old server"),
    ("Name or service not known|nodename nor servname|No address associated", False, "unknown host"),
    ("Connection refused", True, "connection refused"),
    ("reset by peer", True, "connection reset"),
    ("IncompleteRead|Response ended prematurely", True, "the reply was cut"),
    ("TLS CA certificate", False, "the file of certificates can't be read; see REQUESTS_CA_BUNDLE"),
    ("failed to decode", True, "the reply can't be decompressed"),
)
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, ConnectionError)


def _fault(error: BaseException, bounds: Bounds) -> Fault:
    """What was wrong, in words without an address or a form, and whether it may pass by itself."""
    if isinstance(error, TooLarge):
        limit = f"{bounds.size} bytes (astroquery_mmoda.conf.max_reply_size)"
        return Fault(f"the reply is larger than {limit}; not all of it was read", passing=False)
    words = repr(error)  # with those of the errors that it was made of
    if refused := re.search(r"Tunnel connection failed: (\d{3})", words):
        passing = int(refused[1]) in PASSING
        return Fault(f"the proxy refused to connect (HTTP status {refused[1]})", passing=passing)
    if time.monotonic() >= bounds.deadline:
        return Fault(f"no complete reply within {conf.timeout:g} s (astroquery_mmoda.conf.timeout)")
    for signs, passing, meaning in _FAULTS:
        if re.search(signs, words):
            # a host that was found before may be unknown during an outage of the network, such as a VPN
            passing = passing or (bounds.known and meaning == "unknown host")
            return Fault(meaning.format(idle=bounds.idle), passing=passing)
    return Fault(f"the connection failed ({type(error).__name__})", passing=isinstance(error, _BROKEN))


# ---- answers


@dataclass(frozen=True)
class Answer:
    """One HTTP reply, read whole; ``content`` is its JSON without tokens; ``problem`` says why there is none."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = ""
    location: str = field(default="", repr=False)
    content: Any = field(default=None, repr=False)
    problem: str = ""
    date: str = ""


@dataclass(frozen=True)
class Stream:
    """A reply whose body is still to come."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


# ---- waiting


@dataclass(frozen=True)
class Patience:
    """
    How long a request may take with all its tries, and what is said when that is over.

    Attributes
    ----------
    until : float
        Moment on the monotonic clock (s) at which an answer is of no use any more.
    outage : float or None
        How long temporary faults are waited out, from the first one on, in s; ``conf.retry_time`` if None.
    advice : str
        What is safe, and what to do next.
    """

    until: float = math.inf
    outage: float | None = None
    advice: str = "Try again later, or check astroquery_mmoda.conf.server."


def retrying(ask: Callable[[], _Result], patience: Patience, server: str) -> _Result:
    """Call a function, again after temporary faults; return its value."""
    attempt, since = 0, math.inf
    while True:
        attempt += 1
        try:
            return ask()
        except Fault as error:
            fault = error
        now = time.monotonic()
        since = min(since, now)
        outage = conf.retry_time if patience.outage is None else patience.outage
        if now < patience.until and not fault.passing:
            raise ServiceError(f"{server} can't be asked: {fault}. Check astroquery_mmoda.conf.server and the network.")
        if now < patience.until and (now - since >= outage or (fault.pause or 0.0) > outage):
            tries = f"tries: {attempt}, in {now - since:.0f} s (astroquery_mmoda.conf.retry_time)"
            raise ServiceError(f"{server} can't be asked ({fault}); {tries}. {patience.advice}")
        # the last try is made when the time is over
        pause = min(_pause(attempt, fault.pause), since + outage - now, patience.until - now)
        log.debug("%s: %s; trying again in %.1f s", server, fault, max(pause, 0.0))
        if attempt == _TRIES_UNSAID:
            log.info("%s can't be asked (%s); trying again, for %.0f s at most", server, fault, outage)
        time.sleep(max(pause, 0.0))
        if time.monotonic() >= patience.until:
            # a try that was cut off by the end of the time says nothing of the service
            last = f"; the last fault was: {fault}" if now < patience.until else ""
            raise JobTimeout(f"{server} did not answer within the time that was given{last}.")


def _pause(attempt: int, asked: float | None) -> float:
    """Seconds before the next try: what the server asks for, or growing with some chance in it."""
    # a pause of zero is not taken literally
    return asked or min(0.3 * 2 ** min(attempt, 10), _LONGEST_OWN_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311


def asked_pause(text: str) -> float | None:
    """Seconds that a header Retry-After asks for, as a number or a date, up to a limit; None if it is neither."""
    try:
        return min(urllib3.Retry().parse_retry_after(text), _LONGEST_PAUSE)
    except Exception:  # noqa: BLE001 - what a server writes makes that fail in many ways
        return None


# ---- sending


class Http:
    """
    Sends requests, from any thread; in another process over connections of its own.

    Nothing is kept: no cookies, no answers, no passwords of ~/.netrc. Redirects are not followed.

    Parameters
    ----------
    session : Session, optional
        Its headers, proxies and certificates are used.
    """

    def __init__(self, session: requests.Session | None = None) -> None:
        if session is None:
            session = requests.Session()
            session.headers["User-Agent"] = f"astroquery/{astroquery.__version__} {requests.utils.default_user_agent()}"
        self.session = session
        self._process, self._adapter = os.getpid(), BoundedAdapter(pool_maxsize=_CONNECTIONS)
        self._answered: set[Any] = set()  # origins that have

    def __reduce__(self) -> tuple[Any, ...]:
        return Http, ()

    def ask(
        self, url: str, query: Fields = None, *, form: Fields = None, auth: TokenAuth | None = None, until: float
    ) -> Answer:
        """Answer to a POST (with a form) or a GET; `Fault` if there is none, or one that was cut or says so."""
        bounds = Bounds(until, known=origin_of(url) in self._answered)
        answer = translated(lambda: self._read(bounds, url, query, form, auth), bounds)
        if answer.status == 200 and not answer.body.strip():
            raise Fault("the reply was empty")
        if answer.problem and answer.status == 200 and answer.body.lstrip()[:1] in (b"{", b"["):
            raise Fault(f"the reply is not whole JSON ({answer.problem})")
        return answer

    @contextmanager
    def stream(self, url: str) -> Iterator[Stream]:
        """One GET of a file at any address without a token, its body in pieces; `Fault` by this or by its pieces."""
        bounds = Bounds(math.inf, known=origin_of(url) in self._answered)
        as_it_is = {"Accept-Encoding": "identity"}
        with translated(lambda: self._sent(bounds, url, None, headers=as_it_is), bounds) as response:
            pieces = iter(lambda: translated(lambda: _piece(response), bounds), b"")
            yield Stream(response.status_code, response.headers, pieces)

    def _read(self, bounds: Bounds, url: str, query: Fields, form: Fields, auth: TokenAuth | None) -> Answer:
        """An answer; the body of a redirect is not read."""
        fields = dict((query if form is None else form) or {})
        if auth:
            fields["token"] = auth.secret_for(url)
        files = {name: (value.filename, value.content) for name, value in fields.items() if isinstance(value, Upload)}
        data = {name: value for name, value in fields.items() if name not in files}
        chunks: list[bytes] = []
        options: dict[str, Any] = {"params": data} if form is None else {"data": data, "files": files}
        with self._sent(bounds, url, auth, **options) as response:
            status, headers = response.status_code, response.headers
            left = bounds.size if status == 200 else min(bounds.size, _LARGEST_ERROR)
            try:
                for chunk in () if 300 <= status < 400 else iter(lambda: _piece(response), b""):
                    chunks.append(chunk)
                    left -= len(chunk)
                    if left < 0:
                        raise TooLarge
            except Exception:
                if status == 200:  # others count even if their body is damaged or does not end
                    raise
        content_type, location = (without_token(headers.get(name, "")) for name in ("Content-Type", "Location"))
        body, content, problem = b"".join(chunks), None, ""
        try:
            content = without_tokens(parse_body(auth.masked(body) if auth else body, what="the reply"))
        except DecodingError as error:
            problem = str(error)
        return Answer(status, body, content_type, location, content, problem, headers.get("Date", ""))

    def _sent(self, bounds: Bounds, url: str, auth: TokenAuth | None, **options: Any) -> requests.Response:
        """A response of which the headers are read."""
        options["headers"] = {**self.session.headers, **options.get("headers", {})}
        request = requests.Request("POST" if "data" in options else "GET", url, **options).prepare()
        settings: Any = self.session.merge_environment_settings(url, {}, True, None, None)
        if is_loopback(url):
            settings["proxies"] = {}
        if auth and not str(request.url).startswith("https:") and select_proxy(str(request.url), settings["proxies"]):
            advice = "Use the https address of the service, or put its host into the environment variable NO_PROXY."
            raise AuthenticationError(f"The token was not sent: a proxy would get it over plain http. {advice}")
        if self._process != os.getpid():  # connections shared over a fork hang
            self._process, self._adapter = os.getpid(), BoundedAdapter(pool_maxsize=_CONNECTIONS)
        origin = origin_of(url)
        while (left := min(_PAUSES.get(origin, 0.0), bounds.deadline) - time.monotonic()) > 0:
            time.sleep(left)
        response: requests.Response = self._adapter.send(request, timeout=bounds, **settings)
        self._answered.add(origin)
        log.debug("%s %s: HTTP %d", request.method, urlsplit(str(request.url)).path, response.status_code)
        if response.status_code in PASSING:
            response.close()
            pause = asked_pause(response.headers.get("Retry-After", ""))
            _PAUSES[origin] = max(_PAUSES.get(origin, 0.0), time.monotonic() + (pause or 0.0))
            asks = f", which asks for a pause of {pause:.0f} s" if pause else ""
            raise Fault(f"HTTP status {response.status_code}{asks}", pause=pause)
        return response


def _piece(response: requests.Response) -> bytes:
    """The next part of a body, decompressed, as it comes; waiting for full pieces would take longer."""
    return response.raw.read1(_CHUNK, decode_content=True)
