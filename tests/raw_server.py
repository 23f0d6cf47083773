"""A server that writes bytes on sockets as a test tells it to, and a client in a process of its own to ask it."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

Script = Callable[[], Iterable[bytes]]


class RawServer:
    """
    Answers each connection with the bytes that a script yields, for as long as the other side takes them.

    `prompt`: whether the request is left unread, and the script begins at once.
    """

    def __init__(self, script: Script, *, prompt: bool = False, context: ssl.SSLContext | None = None) -> None:
        self.script, self.prompt, self.context = script, prompt, context
        self.requests: list[bytes] = []
        self.sent = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        self._over = threading.Event()

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection:
            connection.settimeout(20)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is None:
                self._talk(connection)
            else:
                with self.context.wrap_socket(connection, server_side=True) as encrypted:
                    self._talk(encrypted)

    def _talk(self, connection: socket.socket) -> None:
        while self.prompt or self._read_request(connection):
            for piece in self.script():
                if self._over.is_set():
                    return
                connection.sendall(piece)
                self.sent += len(piece)
            if self.prompt:
                return

    def _read_request(self, connection: socket.socket) -> bool:
        """Read one request with its body; False if there is none any more."""
        got = b""
        while b"\r\n\r\n" not in got:
            piece = connection.recv(1 << 16)
            if not piece:
                return False
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while len(body) < sum(lengths):
            body += connection.recv(1 << 16)
        self.requests.append(head)
        return True


def dripped(data: Iterable[bytes] | bytes, *, every: float = 0.05, size: int = 1) -> Iterator[bytes]:
    """A few bytes now and then."""
    for piece in [data] if isinstance(data, bytes) else data:
        for begin in range(0, len(piece), size):
            yield piece[begin : begin + size]
            time.sleep(every)


def silence() -> Iterator[bytes]:
    """Nothing, on a connection that stays."""
    while True:
        yield b""
        time.sleep(0.05)


def forever(piece: bytes) -> Iterator[bytes]:
    """The same again and again."""
    while True:
        yield piece


@dataclass
class Outcome:
    """What a call came to: class of the error and its text, or the repr of what it returned; s and bytes it took."""

    error: str
    text: str
    seconds: float
    cpu: float
    growth: int


class Client:
    """A process that makes calls of a client of this package, one after the other, and measures them."""

    def __init__(self, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CLIENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        with self._process as process:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    def call(self, url: str, call: str, **settings: float) -> Outcome:
        """Evaluate an expression of ``M``, a fresh client of a server, with temporary settings of ``conf``."""
        self._process.stdin.write(json.dumps({"url": url, "call": call, "settings": settings}) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))


# The peak of memory is that of the kernel, set back before each call.
_CLIENT = """
import contextlib, json, sys, tempfile, time, warnings
warnings.simplefilter("ignore")
from astroquery_mmoda import MmodaClass, conf, MmodaError
import pyvo, astropy.table, astroquery_mmoda.archive

def downloaded(client, name):
    with tempfile.TemporaryDirectory() as place:
        rows = astropy.table.Table({"access_url": [name]})
        return [tuple(row) for row in client.download_products(rows, directory=place)["status", "message"]]

names = {"DOWNLOADED": downloaded, "SLEEP": time.sleep}

def memory(name):
    try:
        with open("/proc/self/status") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))
    except OSError:
        return 0

for line in sys.stdin:
    task = json.loads(line)
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass
    before, begin, cpu = memory("VmRSS"), time.monotonic(), time.process_time()
    with contextlib.ExitStack() as stack:
        for name, value in task["settings"].items():
            stack.enter_context(conf.set_temp(name, value))
        try:
            error, text = "", repr(eval(task["call"], {"M": MmodaClass(server=task["url"]), **names}))[:1000]
        except Exception as fault:
            error, text = type(fault).__name__, str(fault)
    print(json.dumps({"error": error, "text": text, "seconds": time.monotonic() - begin,
                      "cpu": time.process_time() - cpu, "growth": memory("VmHWM") - before}), flush=True)
"""
