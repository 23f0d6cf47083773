# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
HTTP within bounds: one deadline and one count for all bytes of an answer, whatever part of it they are.

Timeouts of the HTTP library hold for each wait on the socket, so that a server which sends a byte now and then, in an
interim answer, a header, a body that decompresses to nothing, or a trailer, is never over; its sessions read the
bodies of redirects whole even if none is followed, and send loopback requests through proxies. Hence the socket itself
is watched here, and the session is one that does less.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import resolve_proxies, select_proxy

from ..config import conf

__all__ = [
    "BoundedSession",
    "Bounds",
    "Origin",
    "ProxyRefused",
    "TooLarge",
    "answer_within",
    "is_loopback",
    "origin_of",
    "pieces_of",
]

_CONNECT_TIMEOUT = 30.0
_LONGEST_WAIT = 1e6  # that the system's functions take, s
_LARGEST_HEAD = 1 << 18  # interim answers and headers, bytes
_CHUNK = 1 << 18
_RECORD = 1 << 14  # what TLS sends in one go, and would wait for one by one

Origin = tuple[str, str, int | None]


def origin_of(url: str) -> Origin | None:
    """Scheme, host and port of an address, as it will be asked; None if it is not a valid one."""
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(url, None)  # names in other alphabets, and signs that libraries read differently
        parts = urlsplit(prepared.url or "")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except (ValueError, requests.RequestException):
        return None
    return (parts.scheme, parts.hostname.lower(), port) if parts.hostname else None


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    origin = origin_of(url)
    if origin is None:
        return False
    address = _numeric(origin[1])
    if address is None:
        return origin[1] in ("localhost", "localhost.")
    return address.is_loopback or address.is_unspecified  # connecting to no address in particular leads here


def _numeric(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Address that a host is in numbers, in any of the ways that the system reads; None for a name."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host.replace("%25", "%"))
        return getattr(address, "ipv4_mapped", None) or address
    with suppress(OSError):  # such as 127.1 and 0x7f000001
        return ipaddress.IPv4Address(socket.inet_aton(host))
    return None


class TooLarge(Exception):
    """More bytes came than are read of one answer; not an OSError, which the HTTP library would take for a fault."""


@dataclass
class Bounds:
    """
    What one request may take, from connecting to the last byte.

    Parameters
    ----------
    deadline : float
        On the monotonic clock, s.
    size : int
        Most bytes of the body, as they come and decompressed.
    """

    deadline: float
    size: int
    idle: float = field(default_factory=lambda: conf.seconds("idle_timeout"))
    _came: int = 0
    in_head: bool = True

    @classmethod
    def of_request(cls, until: float) -> Bounds:
        """Those of the configuration, but no later than a moment on the monotonic clock."""
        return cls(min(time.monotonic() + conf.seconds("timeout"), until), int(conf.max_reply_size))

    @property
    def over(self) -> bool:
        """`bool`: whether the time is over."""
        return time.monotonic() >= self.deadline

    def patience(self) -> float:
        """Seconds that the next wait may take; `TimeoutError` if there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0 or self.idle <= 0:
            raise TimeoutError("timed out")
        return min(left, self.idle, _LONGEST_WAIT)

    def count(self, number: int) -> None:
        """Count bytes that came."""
        self._came += number
        # chunks of a body have lengths between them
        if self._came > (_LARGEST_HEAD if self.in_head else self.size + self.size // 50 + 2 * _LARGEST_HEAD):
            raise TooLarge("headers" if self.in_head else "body")


_BOUNDS: ContextVar[Bounds] = ContextVar("bounds of the request that is under way")
_KNOWN_NAMES: set[str] = set()  # of machines that were found


class _Watched(io.RawIOBase):
    """What a socket receives, within bounds."""

    def __init__(self, sock: socket.socket, raw: Any, bounds: Bounds) -> None:
        self._sock, self._raw, self._bounds = sock, raw, bounds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._sock.settimeout(self._bounds.patience())
        number: int | None = self._raw.readinto(buffer)
        self._bounds.count(number or 0)
        return number

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """An answer that is read within the bounds of its request; interim ones are passed over."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._bounds = _BOUNDS.get()
        self.fp: Any = io.BufferedReader(_Watched(sock, self.fp.detach(), self._bounds))

    def begin(self) -> None:
        self._bounds.in_head = True
        super().begin()
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        self._bounds.in_head = False


_Answer = TypeVar("_Answer")


def answer_within(seconds: float, ask: Callable[[], _Answer]) -> _Answer:
    """
    What a function gives that takes no timeout, or `TimeoutError` so many seconds later.

    It runs in a thread, so that Ctrl-C need not wait for it either.
    """
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(), None))
        except Exception as error:  # raised again where it is waited for
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = answers.get(timeout=max(0.0, min(seconds, _LONGEST_WAIT)))
    except queue.Empty:
        raise TimeoutError("timed out") from None
    if error is not None:
        raise error
    return cast("_Answer", answer)


def _looked_up(name: str, port: int, bounds: Bounds) -> list[str]:
    """Addresses of a machine, in numbers."""
    try:
        entries: Any = answer_within(
            bounds.patience(), lambda: socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)
        )
    except UnicodeError:  # a part of the name is too long, or empty
        raise urllib3.exceptions.LocationParseError(name) from None
    except socket.gaierror:
        if name not in _KNOWN_NAMES:
            raise
    else:
        _KNOWN_NAMES.add(name)
        # the last of four is the network interface of an address that is valid on one only
        return [f"{to[0]}%{to[3]}" if to[3:] and to[3] else str(to[0]) for *_, to in entries]
    # it was there before, so the network is away, such as that of an institute behind a VPN
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


# it is put in front of the class of whatever connection the library would make
_Connection: Any = urllib3.connection.HTTPConnection if TYPE_CHECKING else object


class _Bounded(_Connection):
    """What connections of the HTTP library do otherwise here."""

    response_class = _BoundedResponse

    _dns_host: str
    _bounds: Bounds

    def _new_conn(self) -> socket.socket:
        """Connect, to one after the other of the addresses that a name may have, before the deadline."""
        bounds = self._bounds = _BOUNDS.get()
        if hasattr(self, "_socks_options"):  # the proxy looks the name up, and has a timeout for each byte it sends
            self.timeout = min(_CONNECT_TIMEOUT, bounds.patience())
            return self._ready(answer_within(bounds.patience(), super()._new_conn))
        name = self._dns_host
        addresses = _looked_up(name, self.port, bounds)
        try:
            while True:
                self._dns_host = addresses.pop(0)
                self.timeout = min(_CONNECT_TIMEOUT, bounds.patience()) / (1 + len(addresses))
                try:
                    return self._ready(super()._new_conn())
                except urllib3.exceptions.HTTPError:
                    if not addresses:
                        raise
        finally:
            self._dns_host = name

    def _ready(self, sock: socket.socket) -> socket.socket:
        """With the time that a handshake may take."""
        sock.settimeout(_BOUNDS.get().patience())
        return sock

    def _connect_tls_proxy(self, *args: Any) -> Any:
        """Connect to an encrypted proxy; TLS within its TLS is written in Python, and has a timeout for each record."""
        sock = super()._connect_tls_proxy(*args)
        receive = sock.recv

        def recv(*args: Any) -> bytes:
            sock.settimeout(self._bounds.patience())
            return cast("bytes", receive(*args))

        sock.recv = recv
        return sock

    def send(self, data: Any) -> None:
        """Send in pieces, each of which may take its time."""
        bounds = self._bounds = _BOUNDS.get()
        pieces = (data[begin : begin + _RECORD] for begin in range(0, len(data), _RECORD))
        for piece in pieces if isinstance(data, bytes) else (data,):
            if self.sock is not None:
                self.sock.settimeout(bounds.patience())
            super().send(piece)


def _bound(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    """Have a manager make bounded connections, whatever kind of proxy it is for."""

    def bounded(pool: Any) -> Any:
        connection = type(pool.ConnectionCls.__name__, (_Bounded, pool.ConnectionCls), {})
        return type(pool.__name__, (pool,), {"ConnectionCls": connection})

    manager.pool_classes_by_scheme = {scheme: bounded(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}
    return manager


class _BoundedAdapter(HTTPAdapter):
    """Sends each request within the bounds that come as its ``timeout``."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        return manager if known else _bound(manager)

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        timeout = options.get("timeout")
        bounds = timeout if isinstance(timeout, Bounds) else Bounds.of_request(float("inf"))
        mark = _BOUNDS.set(bounds)
        try:
            return super().send(request, *args, **options | {"timeout": bounds.patience()})
        finally:
            _BOUNDS.reset(mark)


class ProxyRefused(Exception):
    """A request that may not go through a proxy would have to."""


class BoundedSession(requests.Session):
    """
    A session that follows no redirects, keeps no cookies, and asks this machine without a proxy.

    Parameters
    ----------
    like : Session
        One whose headers and hooks it takes over.
    """

    def __init__(self, like: requests.Session) -> None:
        super().__init__()
        self.headers, self.hooks = like.headers, like.hooks
        # the service needs none, and those of one port would be sent to all others of the machine
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.mount("http://", _BoundedAdapter())
        self.mount("https://", _BoundedAdapter())

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """Nowhere: the library would read the whole body of a redirect, whether it is to be followed or not."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As ever, but never through a proxy that could read what no proxy may (``request.without_proxy``)."""
        # the last word on proxies, whether of the environment or of the session
        options.setdefault("proxies", resolve_proxies(request, dict(self.proxies), self.trust_env))
        if getattr(request, "without_proxy", False) and select_proxy(str(request.url), options["proxies"]):
            raise ProxyRefused
        return super().send(request, **options)

    def merge_environment_settings(self, url: Any, *args: Any, **options: Any) -> Any:
        """As ever, but without a proxy for this machine."""
        settings: Any = super().merge_environment_settings(url, *args, **options)
        return settings | ({"proxies": {}} if is_loopback(str(url)) else {})


def pieces_of(response: requests.Response) -> Iterator[bytes]:
    """Body of an answer as it comes, decompressed; waiting for full pieces would take longer."""
    while piece := response.raw.read1(_CHUNK, decode_content=True):
        yield piece
