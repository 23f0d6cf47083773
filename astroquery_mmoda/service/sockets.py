# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Connections of the HTTP library within bounds: one deadline and one count for all bytes of an answer.

Timeouts of the library hold for each wait on the socket: a server that sends a byte now and then, in an interim answer,
a header, a body that decompresses to nothing, or a trailer, would never be over.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.ssltransport import SSLTransport

from ..config import conf

_CONNECT_TIMEOUT = 15.0  # for each address of a host, s
_LONGEST_WAIT = 1e6  # that the system's functions take, s
_HEADERS = 1 << 18  # bytes allowed beside those of the body
_RECORD = 1 << 14  # what TLS sends in one go

_Result = TypeVar("_Result")


class TooLarge(Exception):
    """More bytes came than are read of one answer; not an OSError, which the HTTP library would take for a fault."""


class Bounds:
    """What one request to a server, known or not, may take from connecting to the last byte."""

    def __init__(self, until: float, *, known: bool) -> None:
        self.known = known
        self.deadline = min(time.monotonic() + conf.timeout, until)  # on the monotonic clock, s
        self.size = int(conf.max_reply_size)  # of the body, as it comes and decompressed, bytes
        self.idle: float = conf.idle_timeout  # longest time without a byte, s
        self.came = 0

    def left(self) -> float:
        """Seconds that the next wait may take; `TimeoutError` if there are none."""
        left = min(self.deadline - time.monotonic(), self.idle, _LONGEST_WAIT)
        if left <= 0:
            raise TimeoutError
        return left

    def count(self, number: int) -> None:
        """Count bytes that came; chunks of a body have lengths between them."""
        self.came += number
        if self.came > self.size + self.size // 50 + 2 * _HEADERS:
            raise TooLarge


_BOUNDS: ContextVar[Bounds] = ContextVar("bounds of the request that is under way")


def answer_within(seconds: float, ask: Callable[[], _Result]) -> _Result:
    """What a function gives that takes no timeout, from a thread that Ctrl-C need not wait for; or `TimeoutError`."""
    answer: Future[_Result] = Future()
    context = copy_context()

    def run() -> None:
        try:
            answer.set_result(context.run(ask))
        except Exception as error:  # raised again where it is waited for
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer.result(max(0.0, min(seconds, _LONGEST_WAIT)))


class _Watched(io.RawIOBase):
    """What a socket receives, within bounds."""

    def __init__(self, sock: Any, raw: Any, bounds: Bounds) -> None:
        self._sock, self._raw, self._bounds = sock, raw, bounds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._bounds.left()
        self._sock.settimeout(left)
        if isinstance(self._sock, SSLTransport):  # behind an encrypted proxy, one read waits several times
            number = answer_within(left, lambda: self._raw.readinto(buffer))
        else:
            number = self._raw.readinto(buffer)
        self._bounds.count(number or 0)
        return number

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """An answer that is read within the bounds of its request; interim ones are passed over."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp: Any = io.BufferedReader(_Watched(sock, self.fp.detach(), _BOUNDS.get()))

    def begin(self) -> None:
        super().begin()
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


# only a type checker needs the base: at run time it is the class of whatever connection the library would make
_Connection: Any = urllib3.connection.HTTPConnection if TYPE_CHECKING else object


class _Bounded(_Connection):
    """Put in front of a class of connections: they connect and send within the bounds of the request."""

    response_class = _BoundedResponse

    def connect(self) -> None:
        """Look up the name, connect, and agree on encryption, with whatever proxy is between, before the deadline."""
        answer_within(_BOUNDS.get().left(), super().connect)

    def send(self, data: Any) -> None:
        """Send in pieces, each of which may take its time."""
        for begin in range(0, len(data), _RECORD):
            if self.sock is not None:
                self.sock.settimeout(_BOUNDS.get().left())
            super().send(data[begin : begin + _RECORD])


class BoundedAdapter(HTTPAdapter):
    """Sends each request within the bounds that come as its ``timeout``."""

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Bounded connections, whatever kind of proxy is between."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        if not issubclass(pool.ConnectionCls, _Bounded):
            pool.ConnectionCls = type(pool.ConnectionCls.__name__, (_Bounded, pool.ConnectionCls), {})
        return pool

    def send(self, request: Any, *, timeout: Any, **options: Any) -> Any:  # type: ignore[override]
        """Send a request, and read the headers of its answer."""
        mark = _BOUNDS.set(timeout)
        try:
            wait = timeout.left()
            return super().send(request, timeout=(min(wait, _CONNECT_TIMEOUT), wait), **options)
        finally:
            _BOUNDS.reset(mark)
