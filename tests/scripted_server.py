"""A small HTTP server that answers as a test tells it to, also in ways that a healthy one never does."""

from __future__ import annotations

import email
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    """What a client sent."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    line: str


@dataclass
class Reply:
    """What to send back; `fault` is one of the ways to break it."""

    body: bytes | str | dict | list = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""  # "reset": no reply at all; "cut": the body stops in the middle; "drip": a byte now and then

    def content(self) -> bytes:
        if isinstance(self.body, (dict, list)):
            return json.dumps(self.body).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body


class ScriptedServer:
    """Answers requests by a function of the request; keeps all of them in `requests`."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.listener.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.listener.server_port}"
        self._thread = threading.Thread(target=self.listener.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.listener.shutdown()
        self._thread.join()
        self.listener.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._serve(b"")

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self._serve(self.rfile.read(length))

            def _serve(self, form: bytes) -> None:
                parts = urlsplit(self.path)
                request = Request(
                    method=self.command,
                    path=parts.path,
                    query=_flat(parts.query),
                    form=_form(self.headers.get("Content-Type") or "", form),
                    headers=dict(self.headers),
                    line=self.requestline,
                )
                server.requests.append(request)
                self._send(server.answer(request))

            def _send(self, reply: Reply) -> None:
                if reply.fault == "reset":
                    # closing with a pending linger of 0 seconds sends RST instead of FIN
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    return
                content = reply.content()
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if reply.fault == "cut":
                    self.wfile.write(content[: len(content) // 2])
                elif reply.fault == "drip":
                    for byte in content:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(0.05)
                else:
                    self.wfile.write(content)
                self.close_connection = True

            def handle(self) -> None:
                try:
                    super().handle()
                except (ConnectionError, OSError, ValueError):
                    pass  # the client went away, or we did

        return Handler


def _form(kind: str, body: bytes) -> dict[str, str]:
    """Fields of a form of either kind; a file is told as ``filename:content``."""
    if not kind.startswith("multipart/"):
        return _flat(body.decode())
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    fields = {}
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True).decode("latin-1")
        fields[name] = f"{part.get_filename()}:{content}" if part.get_filename() else content
    return fields


def _flat(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


def analysis_reply(status: str, products: dict | None = None, *, job_id: str = "0123456789abcdef", **more: Any) -> dict:
    """Reply of run_analysis in the service's form."""
    return {
        "query_status": status,
        "products": products or {},
        "exit_status": {
            "status": 0,
            "message": "",
            "error_message": "",
            "debug_message": "",
            "comment": "",
            "warning": "",
        },
        "job_monitor": {"job_id": job_id, "session_id": "ABCDEFGHIJKLMNOP", "status": status},
        "job_status": status,
        "session_id": "ABCDEFGHIJKLMNOP",
        **more,
    }
