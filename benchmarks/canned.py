"""
A service that has every answer ready: ``python benchmarks/canned.py`` tells its port and serves until it is ended.

An answer is a reply of 80 kB with the name of the source that was asked for in it.
"""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

RECORDED = Path(__file__).resolve().parents[1] / "tests" / "data" / "responses" / "meta_data_isgri.json"
META_DATA = json.dumps(json.loads(RECORDED.read_text(encoding="utf-8"))["json"]).encode()
SIZE = 80_000


def reply(form: dict[str, str]) -> bytes:
    """Reply to an analysis."""
    asked = {name: value for name, value in form.items() if name not in ("session_id", "query_status", "job_id")}
    job_id = hashlib.sha256(repr(sorted(asked.items())).encode()).hexdigest()[:16]
    products = {"text_product_list": [{"name": "name", "value": form["src_name"].ljust(SIZE)}]}
    status = {"status": 0, "message": "", "error_message": "", "debug_message": "", "comment": "", "warning": ""}
    return json.dumps(
        {
            "query_status": "done",
            "products": {**products, "analysis_parameters": asked},
            "exit_status": status,
            "job_monitor": {"job_id": job_id, "session_id": "ABCDEFGHIJKLMNOP", "status": "done"},
            "job_status": "done",
            "session_id": form["session_id"],
        }
    ).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send(META_DATA)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send(reply({name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}))

    def send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
