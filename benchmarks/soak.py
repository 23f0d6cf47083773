"""
Whether a process that asks for days stays as it was: thousands of queries, with faults on the way to the service.

::

    python benchmarks/soak.py                             # 5000 queries to a service with ready answers, 5 min
    python benchmarks/soak.py --number 500 --real         # to the local dispatcher of the tests
    python benchmarks/soak.py --check                     # exit status 1 if a goal is missed

Linux only. One process of its own asks everything, in turns by ``query_product``, ``submit_product`` with ``get_job``,
and ``query_many`` with 8 active, as somebody with a token. A proxy stands between it and the service, and spoils an
answer now and then, before or after the service has seen the request: HTTP 503 and 429, a connection that is reset, a
body that is cut, an empty one, and one that comes slowly. Every answer is held against its question.

RSS MB, files, sockets, threads, objects
    Of the process that asks, at moments when it has nothing to do: resident memory, open files other than sockets,
    open sockets, threads of Python, and objects that its garbage collector knows.
journal
    Files that remember jobs, and their size in kB.

Goals: all answers right and every kind of fault met; from a tenth of the queries on to the end (at most 500), resident
memory grows by less than 20 MB, objects by less than 5 %, and files, sockets and threads by no more than 2; the journal
keeps to ``conf.journal_size`` and the 5 % after which it is tidied; the token is in no address, no header, no record of
any logger at DEBUG, no output, and no file that was left behind.
"""

# ruff: noqa: S603, T201 - a program that talks to a terminal and starts its own scripts
from __future__ import annotations

import argparse
import gc
import http.client
import json
import logging
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from asking import POSITION, belongs, times
from many import ROOT, _canned

sys.path.insert(0, str(ROOT))
from tests.local_mmoda.server import LocalMmoda  # noqa: E402
from tests.tokens import mint  # noqa: E402

TURN = 50
GOAL_RSS, GOAL_OBJECTS, GOAL_OPEN, GOAL_JOURNAL = 20.0, 0.05, 2, 1.05
Sample = dict[str, float]


def main() -> int:
    """Measure and tell."""
    options = _options()
    if options.client:
        client(options.client, options.number, real=options.real)
        return 0
    with LocalMmoda(step=0.05) if options.real else nullcontext() as dispatcher, _canned() as canned:
        token = mint(key=dispatcher.secret_key) if dispatcher else mint()
        with _proxy(dispatcher.url if dispatcher else canned, token, options.every) as proxy:
            told, leaks = _asked(proxy, token, options)
    missed = [*_missed(told, proxy, options.number), *leaks]
    print(f"\nfaults: {', '.join(f'{count} x {name}' for name, count in proxy.faults.items())}")
    print(f"requests: {sum(proxy.requests.values())}, with the token in the form: {proxy.requests['with token']}")
    print(f"right: {told['right']}, wrong: {told['wrong']}, errors: {told['errors']}, log records: {told['records']}")
    print("\n".join(["", "missed:", *missed] if missed else ["", "all goals reached"]))
    return 1 if missed and options.check else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--number", type=int, default=5000, help="queries")
    parser.add_argument("--every", type=int, default=40, help="requests from one fault to the next")
    parser.add_argument("--real", action="store_true", help="ask the local dispatcher for light curves")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    parser.add_argument("--client", metavar="URL", help=argparse.SUPPRESS)
    return parser.parse_args()


def _asked(proxy: Proxy, token: str, options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """What the process that asks tells at its end, and where the token was found."""
    arguments = [sys.executable, __file__, "--client", proxy.url, "--number", str(options.number)]
    with tempfile.TemporaryDirectory() as place:  # no journal, token or cache of the user
        variables = os.environ | {"HOME": place, "XDG_CONFIG_HOME": place, "XDG_CACHE_HOME": place, "ODA_TOKEN": token}
        variables |= {"PYTHONPATH": str(ROOT), "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
        for name in ("astropy", "astroquery_mmoda"):
            Path(place, name).mkdir()
        with subprocess.Popen(
            [*arguments, *(["--real"] if options.real else [])],
            stdout=subprocess.PIPE,
            stderr=(errors := Path(place, "errors").open("w+b")),
            text=True,
            env=variables,
            cwd=place,
        ) as process:
            lines = [_printed(line) for line in process.stdout]
        errors.seek(0)
        words = errors.read().decode(errors="replace")
        errors.close()
        if process.returncode:
            raise SystemExit(f"the process that asks failed:\n{words[-3000:]}")
        leaks = [f"the token is in {leak}" for leak in sorted(proxy.leaks)]
        files = {str(path.relative_to(place)): path for path in Path(place).rglob("*") if path.is_file()}
        leaks += [
            f"the token is in the file {name}" for name, path in files.items() if token.encode() in path.read_bytes()
        ]
        leaks += ["the token is in the output"] if token in "".join(lines) + words else []
    return json.loads(lines[-1]), leaks


def _printed(line: str) -> str:
    """The line, shown at once unless it is the result."""
    if not line.startswith("{"):
        print(line, end="", flush=True)
    return line


def _missed(told: dict[str, Any], proxy: Proxy, number: int) -> Iterator[str]:
    """What is behind the goals, in words."""
    if (told["right"], told["wrong"], told["errors"]) != (number, 0, 0):
        yield f"{told['right']} right answers, {told['wrong']} wrong ones, {told['errors']} errors: {told['said']}"
    yield from (f"no fault of the kind {name}" for name in FAULTS if not proxy.faults[name])
    if not proxy.requests["with token"]:
        yield "the token was not used"
    if told["shown"]:
        yield f"{told['shown']} records of the log hold the token"
    first, last = told["samples"][0], told["samples"][-1]
    if last["rss"] - first["rss"] > GOAL_RSS:
        yield f"resident memory grew by {last['rss'] - first['rss']:.1f} MB, to reach: {GOAL_RSS:g}"
    if last["objects"] > first["objects"] * (1 + GOAL_OBJECTS):
        yield f"objects grew from {first['objects']:.0f} to {last['objects']:.0f}, to reach: {GOAL_OBJECTS:.0%}"
    for what in ("files", "sockets", "threads"):
        if last[what] - first[what] > GOAL_OPEN:
            yield f"{what} grew from {first[what]:g} to {last[what]:g}, to reach: {GOAL_OPEN}"
    if last["journal"] > told["journal_size"] * GOAL_JOURNAL:
        yield f"the journal has {last['journal']:g} files, to reach: {told['journal_size'] * GOAL_JOURNAL:g}"


# ---- the way to the service


FAULTS = ("503", "429", "reset before", "reset after", "cut", "empty", "slow")


class Proxy(ThreadingHTTPServer):
    """Hands requests on and spoils every so many-th answer; keeps where it saw the token in a wrong place."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, target: str, token: str, every: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.target, self.token, self.every = urlsplit(target).netloc, token, every
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.leaks: set[str] = set()
        self._lock = threading.Lock()

    def seen(self, path: str, headers: str, form: str) -> str:
        """The fault that this request gets, or an empty text."""
        with self._lock:
            self.requests["with token" if self.token in form else "without token"] += 1
            self.leaks |= {f"the address {urlsplit(path).path}"} if self.token in path else set()
            self.leaks |= {f"headers for {urlsplit(path).path}"} if self.token in headers else set()
            if sum(self.requests.values()) % self.every:
                return ""
            fault = FAULTS[sum(self.faults.values()) % len(FAULTS)]
            self.faults[fault] += 1
            return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: those who are reset go away."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy

    def setup(self) -> None:
        super().setup()
        self.upstream = http.client.HTTPConnection(self.server.target, timeout=60)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self._hand_on(b"")

    def do_POST(self) -> None:
        self._hand_on(self.rfile.read(int(self.headers["Content-Length"])))

    def _hand_on(self, form: bytes) -> None:
        fault = self.server.seen(self.path, str(self.headers), form.decode())
        if fault in ("503", "429"):
            self._send(int(fault), b"busy")
        elif fault == "reset before":
            self._reset()
        else:
            status, body = self._asked_there(form)
            if fault == "reset after":
                self._reset()
            else:
                self._send(status, b"" if fault == "empty" else body, fault)

    def _asked_there(self, form: bytes) -> tuple[int, bytes]:
        kind = {"Content-Type": self.headers["Content-Type"]} if form else {}
        self.upstream.request(self.command, self.path, form or None, kind)
        answer = self.upstream.getresponse()
        return answer.status, answer.read()

    def _reset(self) -> None:
        # closing with a pending linger of 0 seconds sends RST instead of FIN
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _send(self, status: int, body: bytes, fault: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        elif fault == "slow":
            for part in range(10):
                self.wfile.write(body[part * len(body) // 10 : (part + 1) * len(body) // 10])
                time.sleep(0.1)
        else:
            self.wfile.write(body)


@contextmanager
def _proxy(target: str, token: str, every: int) -> Iterator[Proxy]:
    with Proxy(target, token, every) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield proxy
        proxy.shutdown()


# ---- the process that asks


def client(url: str, number: int, *, real: bool) -> None:
    """Ask everything, print samples on the way, and the result as JSON in the last line."""
    from astroquery_mmoda import MmodaClass, conf

    log = _Log(os.environ["ODA_TOKEN"])
    mmoda = MmodaClass(server=url)
    outcomes: Counter[Any] = Counter()
    said: list[str] = []
    samples: list[Sample] = []
    begin = time.monotonic()
    print("".join(f"{head:>11}" for head in ("queries", "s", *Sampled)), flush=True)
    step = min(500, max(TURN, number // 10 // TURN * TURN))
    for turn, start in enumerate(range(0, number, TURN)):
        rows = range(start, min(start + TURN, number))
        for outcome in WAYS[turn % len(WAYS)](mmoda, rows, real=real):
            outcomes[type(outcome).__name__ if isinstance(outcome, Exception) else outcome] += 1
            said += [repr(outcome)[:300]] if isinstance(outcome, Exception) else []
        if rows.stop % step == 0 or rows.stop == number:
            samples.append(_sample())
            cells = rows.stop, time.monotonic() - begin, *samples[-1].values()
            print("".join(f"{cell:11.1f}" if cell % 1 else f"{cell:11.0f}" for cell in cells), flush=True)
    right, wrong = outcomes.pop(True, 0), outcomes.pop(False, 0)
    result = {"right": right, "wrong": wrong, "errors": sum(outcomes.values()), "said": said[:3], "samples": samples}
    print(json.dumps(result | {"records": log.records, "shown": log.shown, "journal_size": int(conf.journal_size)}))


class _Log(logging.Handler):
    """Counts all records of the astroquery and HTTP libraries' loggers, and those that hold the token."""

    def __init__(self, token: str) -> None:
        super().__init__(logging.DEBUG)
        self.token, self.records, self.shown = token, 0, 0
        for name in ("", "astroquery"):
            logger = logging.getLogger(name)
            logger.handlers = [self]  # nothing goes to the terminal
            logger.setLevel(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        self.records += 1
        self.shown += self.token in f"{record.getMessage()} {vars(record)}"


def _question(row: int, *, real: bool) -> dict[str, Any]:
    question = {
        "coordinates": f"{POSITION['RA']} {POSITION['DEC']}",
        "time_range": times(row),
        "src_name": f"row {row}",
    }
    return question | ({"radius": 5.0, "max_pointings": 2} if real else {})


def _right(row: int, products: Any, *, real: bool) -> Any:
    """Whether these products are the answer to the row's question; an error as it is."""
    if isinstance(products, Exception):
        return products
    if not real:
        return products[0].data.strip() == f"row {row}"
    curve = products.lightcurve()
    return belongs(row, curve["time"][curve["src_name"] == "Crab"].utc.mjd)


def _caught(ask: Callable[[], Any]) -> Any:
    """What comes out, or the error."""
    try:
        return ask()
    except Exception as error:
        return error


def _one_after_another(mmoda: Any, rows: range, *, real: bool) -> Iterator[Any]:
    for row in rows:
        ask = {"instrument": "isgri", "product": "isgri_lc", **_question(row, real=real)}
        yield _right(row, _caught(lambda ask=ask: mmoda.query_product(**ask)), real=real)


def _by_jobs(mmoda: Any, rows: range, *, real: bool) -> Iterator[Any]:
    """Submitted first, and found again in the journal."""
    for row in rows:
        ask = {"instrument": "isgri", "product": "isgri_lc", **_question(row, real=real)}
        job = _caught(lambda ask=ask: mmoda.submit_product(**ask))
        if not isinstance(job, Exception):
            job = _caught(lambda job=job: mmoda.get_job(job.job_id).result(progress=False))
        yield _right(row, job, real=real)


def _many(mmoda: Any, rows: range, *, real: bool) -> Iterator[Any]:
    queries = [{"instrument": "isgri", "product": "isgri_lc", **_question(row, real=real)} for row in rows]
    for index, products in mmoda.query_many("product", queries, max_active=8, progress=False):
        yield _right(rows[index], products, real=real)


WAYS = (_one_after_another, _by_jobs, _many)
Sampled = ("rss MB", "files", "sockets", "threads", "objects", "journal", "journal kB")


def _sample() -> Sample:
    """What this process holds now, after the threads of query_many have ended."""
    limit = time.monotonic() + 10
    while any(thread.name == "mmoda" for thread in threading.enumerate()) and time.monotonic() < limit:
        time.sleep(0.05)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    targets = [_caught(lambda name=name: os.readlink(f"/proc/self/fd/{name}")) for name in os.listdir("/proc/self/fd")]
    sockets = sum("socket:" in str(target) for target in targets)
    remembered = [path for path in Path(os.environ["XDG_CACHE_HOME"]).rglob("jobs/*.json")]
    return {
        "rss": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        "files": len(targets) - sockets,
        "sockets": sockets,
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
        "journal": len(remembered),
        "journal kB": sum(path.stat().st_size for path in remembered) // 1000,
    }


if __name__ == "__main__":
    sys.exit(main())
