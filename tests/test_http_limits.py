"""
Answers of every shape on a real socket end in time, and in little memory.

Each kind of byte that a server can send without end is sent without end, fast and dripped; the client is a process of
its own, so that its memory can be told from that of the server.
"""

from __future__ import annotations

import gzip
import itertools
import zlib

import pytest

from tests.raw_server import Client, RawServer, dripped, forever

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LONGEST = 4.0  # s for what should end after 1 s, with other work on the machine
MOST_MEMORY = 150_000_000
LIMITS = {"timeout": 1.0, "retry_time": 0.0, "max_reply_size": 20_000_000}
NOTHING = gzip.compress(b"")


@pytest.fixture(scope="module")
def client():
    with Client() as process:
        yield process


def chain(*parts):
    """Script that sends one thing after the other."""
    return lambda: itertools.chain.from_iterable(part() if callable(part) else [part] for part in parts)


def endless(piece):
    return lambda: forever(piece)


def drip(data, **options):
    return lambda: dripped(data() if callable(data) else data, **options)


def bomb(*, wrap=31, members=1):
    """Compressed pieces that expand to 2 GB."""

    def pieces():
        for _ in range(members):
            packer = zlib.compressobj(9, zlib.DEFLATED, wrap)
            for _ in range(200):
                yield packer.compress(b" " * (10_000_000 // members))
            yield packer.flush()

    return pieces


def chunked(data):
    """Script in the chunks of HTTP 1.1."""
    return lambda: (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in data() if piece)


def framed(status=b"200 OK", encoding=b"", length=b"Transfer-Encoding: chunked\r\n"):
    encoded = b"Content-Encoding: " + encoding + b"\r\n" if encoding else b""
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n" + encoded + length + b"\r\n"


INTERIM = {
    "interim 100": chain(endless(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "interim 102": chain(endless(b"HTTP/1.1 102 Processing\r\n\r\n")),
    "interim 103": chain(endless(b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n")),
    "interim 150 of HTTP 1.0": chain(endless(b"HTTP/1.0 150 \r\n\r\n")),
    "interim 100, dripped": chain(drip(endless(b"HTTP/1.1 100 Continue\r\n\r\n"))),
    "interim 103, one now and then": chain(drip(endless(b"HTTP/1.1 103 X\r\n\r\n"), size=100)),
    "interim 102 with headers without end": chain(endless(b"HTTP/1.1 102 P\r\n" + b"A: b\r\n" * 90 + b"\r\n")),
}
HEADS = {
    "a status line without end": chain(b"HTTP/1.1 200 ", endless(b"O" * 4096)),
    "a header line without end": chain(OK, b"X-Long: ", endless(b"a" * 4096)),
    "header lines without end": chain(OK, endless(b"X-More: 1\r\n")),
    "long header lines": chain(OK, endless(b"X-More: " + b"1" * 60_000 + b"\r\n")),
    "a folded header without end": chain(OK, b"X: 1\r\n", endless(b" more\r\n")),
    "a dripped status line": chain(drip(b"HTTP/1.1 200 " + b"O" * 1000)),
    "a dripped header": chain(OK, b"X: ", drip(endless(b"a"))),
    "dripped header lines": chain(OK, drip(b"X: 1\r\n" * 200, every=0.01)),
    "no headers": chain(OK, lambda: forever_silent()),
    "blank lines before the status": chain(endless(b"\r\n")),
    "bytes without a line end": chain(endless(b"\0" * 4096)),
}
BODIES = {
    "chunks of a byte": chain(framed(), chunked(endless(b" "))),
    "chunks of a byte, dripped": chain(framed(), drip(chunked(endless(b" ")))),
    "large chunks": chain(framed(), chunked(endless(b" " * 1_000_000))),
    "a chunk of a negative size": chain(framed(), b"-5\r\n", endless(b" " * 4096)),
    "a chunk of a huge size": chain(framed(), b"f" * 16 + b"\r\n", endless(b" " * 4096)),
    "a chunk size without end": chain(framed(), endless(b"0" * 4096)),
    "a chunk size that is none": chain(framed(), b"\xb2\r\n", endless(b" " * 4096)),
    "a chunk extension without end": chain(framed(), b"1;", endless(b"x" * 4096)),
    "chunk extensions": chain(framed(), endless(b"1;" + b"x" * 60_000 + b"\r\n \r\n")),
    "trailers without end": chain(framed(), b"1\r\n1\r\n0\r\n", endless(b"X: 1\r\n")),
    "dripped trailers": chain(framed(), b"1\r\n1\r\n0\r\n", drip(endless(b"X: 1\r\n"))),
    "a trailer without end": chain(framed(), b"1\r\n1\r\n0\r\nX: ", endless(b"a" * 4096)),
    "a body until the connection ends": chain(framed(length=b""), endless(b" " * 65536)),
    "a dripped body": chain(framed(length=b"Content-Length: 1000000\r\n"), drip(endless(b" "))),
    "a body that stops": chain(framed(length=b"Content-Length: 1000\r\n"), b" " * 10, lambda: forever_silent()),
    "a length that is negative": chain(framed(length=b"Content-Length: -1\r\n"), endless(b" " * 4096)),
    "a length that is no number": chain(framed(length=b"Content-Length: \xb2\r\n"), endless(b" " * 4096)),
    "two lengths": chain(framed(length=b"Content-Length: 5\r\nContent-Length: 7\r\n"), endless(b" " * 4096)),
    "a length of 400 digits": chain(framed(length=b"Content-Length: " + b"9" * 400 + b"\r\n"), endless(b" " * 4096)),
    "a length of 9000 digits": chain(framed(length=b"Content-Length: " + b"9" * 9000 + b"\r\n"), endless(b" " * 4096)),
}
BOMBS = {
    f"{encoding} {words} of status {status}": chain(
        framed(status.encode(), encoding=encoding.encode()), chunked(pieces)
    )
    for status in ("200 OK", "302 Found", "403 Forbidden", "503 Busy")
    for encoding, words, pieces in (
        ("gzip", "bomb", bomb()),
        ("gzip", "members", bomb(members=200)),
        ("gzip", "of nothing", endless(NOTHING)),
        ("deflate", "bomb", bomb(wrap=15)),
        ("deflate", "raw bomb", bomb(wrap=-15)),
        ("gzip, gzip", "bomb in a bomb", lambda: [gzip.compress(b"".join(bomb()()))]),
        ("identity", "without end", endless(b" " * 65536)),
    )
}


def forever_silent():
    return dripped(forever(b""), every=0.05)


def seen(client, script, call="M._connect().dispatcher().run_analysis({'a': '1'})", *, limits=LIMITS, **options):
    with RawServer(script, **options) as server:
        outcome = client.call(server.url, call, **limits)
    print(outcome, server.sent, len(server.requests))
    return outcome, server


@pytest.mark.parametrize("kind", [*INTERIM, *HEADS, *BODIES, *BOMBS])
def test_answers_without_end(client, kind):
    outcome, server = seen(client, {**INTERIM, **HEADS, **BODIES, **BOMBS}[kind])
    assert outcome.error in ("ServiceError", "AuthenticationError")
    assert len(outcome.text) < 2000
    assert outcome.seconds < LONGEST
    assert outcome.growth < MOST_MEMORY
