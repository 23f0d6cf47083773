# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Connections of the HTTP library within bounds: one deadline and one count for all bytes of an answer.

Timeouts of the library hold for each wait on the socket: a server that sends a byte now and then, in an interim answer,
a header, a body that decompresses to nothing, or a trailer, would never be over.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import urllib3
from requests.adapters import HTTPAdapter

from ..config import conf

_CONNECT_TIMEOUT = 15.0  # for each address of a host, s
_LONGEST_WAIT = 1e6  # that the system's functions take, s
_HEADERS = 1 << 18  # bytes allowed beside those of the body
_RECORD = 1 << 14  # what TLS sends in one go

_Answer = TypeVar("_Answer")


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
    idle : float
        Longest time without a byte, s.
    """

    deadline: float
    size: int
    idle: float = field(default_factory=lambda: conf.idle_timeout)
    came: int = 0

    @classmethod
    def of_request(cls, until: float) -> Bounds:
        """Those of the configuration, but no later than a moment on the monotonic clock."""
        return cls(min(time.monotonic() + conf.timeout, until), int(conf.max_reply_size))

    @property
    def over(self) -> bool:
        """`bool`: whether the time is over."""
        return time.monotonic() >= self.deadline

    def left(self) -> float:
        """Seconds that the next wait may take; `TimeoutError` if there are none."""
        left = min(self.deadline - time.monotonic(), self.idle, _LONGEST_WAIT)
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def count(self, number: int) -> None:
        """Count bytes that came; chunks of a body have lengths between them."""
        self.came += number
        if self.came > self.size + self.size // 50 + 2 * _HEADERS:
            raise TooLarge


_BOUNDS: ContextVar[Bounds] = ContextVar("bounds of the request that is under way")


def answer_within(seconds: float, ask: Callable[[], _Answer]) -> _Answer:
    """
    What a function gives that takes no timeout, or `TimeoutError` so many seconds later.

    It runs in a thread, so that Ctrl-C need not wait for it either.
    """
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    context = copy_context()

    def run() -> None:
        try:
            answers.put((context.run(ask), None))
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


class _Watched(io.RawIOBase):
    """What a socket receives, within bounds."""

    def __init__(self, sock: socket.socket, raw: Any, bounds: Bounds) -> None:
        self._sock, self._raw, self._bounds = sock, raw, bounds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._sock.settimeout(self._bounds.left())
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
        self.fp: Any = io.BufferedReader(_Watched(sock, self.fp.detach(), _BOUNDS.get()))

    def begin(self) -> None:
        super().begin()
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


# it is put in front of the class of whatever connection the library would make
_Connection: Any = urllib3.connection.HTTPConnection if TYPE_CHECKING else object


class _Bounded(_Connection):
    """What connections of the HTTP library do otherwise here."""

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


def _bound(manager: urllib3.PoolManager) -> None:
    """Have a manager make bounded connections, whatever kind of proxy it is for."""

    def bounded(pool: Any) -> Any:
        connection = type(pool.ConnectionCls.__name__, (_Bounded, pool.ConnectionCls), {})
        return type(pool.__name__, (pool,), {"ConnectionCls": connection})

    manager.pool_classes_by_scheme = {scheme: bounded(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}


class BoundedAdapter(HTTPAdapter):
    """Sends each request within the bounds that come as its ``timeout``."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As ever, with bounded connections."""
        super().init_poolmanager(*args, **options)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """As ever, with bounded connections."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if not known:
            _bound(manager)
        return manager

    def send(self, request: Any, *, timeout: Any, **options: Any) -> Any:  # type: ignore[override]
        """Send a request, and read the headers of its answer."""
        mark = _BOUNDS.set(timeout)
        try:
            wait = timeout.left()
            return super().send(request, timeout=(min(wait, _CONNECT_TIMEOUT), wait), **options)
        finally:
            _BOUNDS.reset(mark)
