"""
Answers of every shape on a real socket end in time, and in little memory.

Each kind of byte that a server can send without end is sent without end, fast and dripped; the client is a process of
its own, so that its memory can be told from that of the server.
"""

from __future__ import annotations

import gzip
import ipaddress
import itertools
import re
import socket
import ssl
import time
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from tests.raw_server import Client, RawServer, dripped, forever, silence
from tests.tokens import mint

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LONGEST = 4.0  # s for what should end after 0.2 s, with other work on the machine
MOST_MEMORY = 150_000_000
LIMITS = {"timeout": 0.2, "retry_time": 0.0, "max_reply_size": 20_000_000}


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


def bomb(head=b""):
    """Script of a compressed stream that expands to 10 MB with each few kB, without end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(b" " * 10_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
    return chain(head, endless(piece))


def chunked(data):
    """Script in the chunks of HTTP 1.1."""
    return lambda: (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in data() if piece)


def framed(status=b"200 OK", encoding=b"", length=b"Transfer-Encoding: chunked\r\n"):
    encoded = b"Content-Encoding: " + encoding + b"\r\n" if encoding else b""
    # without it the library takes no answer for a redirect
    location = b"Location: http://127.0.0.1:9/elsewhere\r\n" if status.startswith(b"3") else b""
    head = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n"
    return head + location + encoded + length + b"\r\n"


INTERIM = {
    "interim 100": chain(endless(b"HTTP/1.1 100 Continue\r\n\r\n")),
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
    "no headers": chain(OK, silence),
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
    "a body that stops": chain(framed(length=b"Content-Length: 1000\r\n"), b" " * 10, silence),
    "a length that is negative": chain(framed(length=b"Content-Length: -1\r\n"), endless(b" " * 4096)),
    "a length that is no number": chain(framed(length=b"Content-Length: \xb2\r\n"), endless(b" " * 4096)),
    "two lengths": chain(framed(length=b"Content-Length: 5\r\nContent-Length: 7\r\n"), endless(b" " * 4096)),
    "a length of 400 digits": chain(framed(length=b"Content-Length: " + b"9" * 400 + b"\r\n"), endless(b" " * 4096)),
    "a length of 9000 digits": chain(framed(length=b"Content-Length: " + b"9" * 9000 + b"\r\n"), endless(b" " * 4096)),
}
GZIP = b"\x1f\x8b\x08" + bytes(7)
ZLIB = b"\x78\xda"
FOLDED = zlib.compressobj(9, zlib.DEFLATED, 31)
FOLDED = b"".join(FOLDED.compress(piece) for piece in itertools.islice(bomb(GZIP)(), 300)) + FOLDED.flush()
COMPRESSED = {
    "gzip": bomb(GZIP),
    "gzip in members": endless(gzip.compress(b" " * 10_000_000)),
    "gzip in members of nothing": endless(gzip.compress(b"")),
    "deflate": bomb(ZLIB),
    "deflate without a head": bomb(),
    "gzip, gzip": lambda: [FOLDED],
    "gzip, deflate, gzip, deflate, gzip": endless(b"\0" * 4096),
    "identity": endless(b" " * 65536),
}
STATUS = {
    b"200 OK": "larger than 20000000 bytes|no complete reply within 0.2 s|can't be decompressed|connection failed",
    b"302 Found": "redirects to another address",
    b"400 Bad Request": "did not accept the request",
    b"403 Forbidden": "refused the request",
    b"404 Not Found": "has no route for",
    b"500 Oops": "HTTP status 500",
    b"503 Busy": "HTTP status 503",
}


def seen(client, script, call="M._connect().routes().run_analysis({'a': '1'})", *, limits=LIMITS, **options):
    with RawServer(script, **options) as server:
        outcome = client.call(server.url, call, **limits)
    print(outcome, server.sent, len(server.requests))
    return outcome, server


def check(outcome, *, error="ServiceError"):
    assert outcome.error == error, outcome.text
    assert outcome.seconds < LONGEST
    assert outcome.cpu < 2
    assert outcome.growth < MOST_MEMORY
    assert len(outcome.text) < 2000
    assert outcome.text.isprintable()


@pytest.mark.parametrize("kind", [*INTERIM, *HEADS, *BODIES])
def test_answers_without_end(client, kind):
    outcome, server = seen(client, {**INTERIM, **HEADS, **BODIES}[kind])
    check(outcome)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "kind",
    ["interim 100", "interim 103", "interim 102 with headers without end", "trailers without end", "chunk extensions"],
)
def test_bytes_that_are_no_body_are_counted(client, kind):
    """Long before the time is over."""
    outcome, _ = seen(client, {**INTERIM, **BODIES}[kind], limits=LIMITS | {"timeout": 30.0, "max_reply_size": 150_000})
    check(outcome)
    assert "larger than" in outcome.text


@pytest.mark.parametrize(
    ("kind", "status"),
    [*((kind, b"200 OK") for kind in COMPRESSED), *(("gzip", status) for status in STATUS if status != b"200 OK")],
)
def test_what_expands(client, kind, status):
    """A status other than 200 counts, whatever its body does."""
    encoding = kind.partition(" in ")[0].partition(" without")[0].encode()
    outcome, _ = seen(client, chain(framed(status, encoding), chunked(COMPRESSED[kind])))
    kinds = {b"400": "ParameterError", b"403": "AuthenticationError"}
    check(outcome, error=kinds.get(status[:3], "ServiceError"))
    assert re.search(STATUS[status], outcome.text)


@pytest.mark.parametrize(
    "call",
    [
        "M.list_instruments()",
        "M.list_products('isgri')",
        "M.query_tap('SELECT TOP 1 * FROM ivoa.obscore')",
        "M.list_tables()",
        "M.query_science_windows('83.6 22', 5)",
        f"M.login({mint()!r}, store_token=True)",
        "M.get_job('0123456789abcdef', session_id='ABCD')",
        "DOWNLOADED(M, 'f.fits')",
    ],
    ids=lambda call: call[2:].partition("(")[0],
)
@pytest.mark.parametrize("kind", ["gzip", "dripped"])
def test_every_route(client, call, kind):
    script = (
        BODIES["a dripped body"] if kind == "dripped" else chain(framed(encoding=b"gzip"), chunked(COMPRESSED[kind]))
    )
    outcome, _ = seen(client, script, call)
    check(outcome, error=outcome.error)
    assert outcome.error in ("ServiceError", "ParameterError") or "ERROR" in outcome.text


# ---- before the first byte of an answer


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """Context of a TLS server on this machine, and the certificate that a client needs."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("mmoda.example")]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    place = tmp_path_factory.mktemp("tls")
    pem = serialization.Encoding.PEM
    (place / "certificate").write_bytes(certificate.public_bytes(pem))
    (place / "key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "certificate", place / "key")
    return context, str(place / "certificate")


@pytest.fixture(scope="module")
def tls_client(certified):
    with Client(REQUESTS_CA_BUNDLE=certified[1]) as process:
        yield process


GOOD = chain(framed(length=b"Content-Length: 9\r\n"), b'["isgri"]')


def test_a_healthy_tls_server(tls_client, certified):
    outcome, _ = seen(tls_client, GOOD, "M._connect().routes().instruments()", context=certified[0])
    assert outcome.text == "['isgri']"


@pytest.mark.parametrize("kind", ["interim 103", "a dripped header", "a dripped body"])
def test_answers_over_tls(tls_client, certified, kind):
    outcome, _ = seen(tls_client, {**INTERIM, **HEADS, **BODIES}[kind], context=certified[0])
    check(outcome)


HANDSHAKES = {
    "silent": silence,
    "dripped": drip(b"\x16\x03\x03\x40\x00" + bytes(20000)),
    "plain HTTP": GOOD,
    "closed": lambda: [],
    "noise": endless(b"\xff" * 4096),
}


@pytest.mark.parametrize("kind", HANDSHAKES)
def test_handshakes(tls_client, kind):
    with RawServer(HANDSHAKES[kind], prompt=True) as server:
        outcome = tls_client.call(server.url.replace("http:", "https:"), "M.list_instruments()", **LIMITS)
    check(outcome)
    expected = {
        "silent": "no complete reply within 0.2 s",
        "dripped": "no complete reply within 0.2 s|no encrypted connection",
        "plain HTTP": "it may be an http address",
        "closed": "closed|reset",
        "noise": "no encrypted connection",
    }
    assert re.search(expected[kind], outcome.text)


def test_an_unknown_certificate(client, certified):
    outcome, _ = seen(client, GOOD, "M.list_instruments()", context=certified[0])
    check(outcome)
    assert "its certificate could not be verified" in outcome.text


def test_nobody_accepts(client):
    """Connections that wait at a server which takes no more of them."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        outcome = client.call(f"http://127.0.0.1:{server.getsockname()[1]}", "M.list_instruments()", **LIMITS)
        for each in waiting:
            each.close()
    check(outcome)
    assert "no complete reply within 0.2 s" in outcome.text


def test_nobody_answers(client):
    with socket.create_server(("127.0.0.1", 0)) as server:
        outcome = client.call(f"http://127.0.0.1:{server.getsockname()[1]}", "M.list_instruments()", **LIMITS)
    check(outcome)


class Reader(RawServer):
    """Reads so many bytes of a request now and then; answers as soon as it has read so much of it."""

    def __init__(self, size, *, every, enough=10**12, script=lambda: [], **options):
        super().__init__(script, **options)
        self.size, self.every, self.enough = size, every, enough
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # little more than is read

    def _read_request(self, connection):
        came = 0
        while piece := connection.recv(self.size):
            came += len(piece)
            if came >= self.enough:
                return True
            time.sleep(self.every)
        return False


@pytest.mark.parametrize(("size", "every"), [(1000, 0.2), (50_000, 0.01)], ids=["hardly", "slowly"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_nobody_reads_what_is_sent(client, tls_client, certified, encrypted, size, every):
    """Not enough of it, or each piece in time, but not the whole."""
    call = "M._connect().routes().run_analysis({'a': '1' * 30_000_000})"
    with Reader(size, every=every, context=certified[0] if encrypted else None) as server:
        outcome = (tls_client if encrypted else client).call(server.url, call, **LIMITS | {"timeout": 1.5})
    check(outcome, error="ServiceError")
    assert outcome.seconds < 3
    assert "no complete reply within 1.5 s" in outcome.text


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_a_slow_upload_is_not_idle(client, tls_client, certified, encrypted):
    """It may take longer as a whole than the longest time without a byte."""
    body = b'{"query_status": "done"}'
    script = chain(framed(length=b"Content-Length: %d\r\n" % len(body)), body)
    call = "M._connect().routes().run_analysis({'a': '1' * 20_000_000})"
    context = certified[0] if encrypted else None
    with Reader(16_000, every=0.001, enough=20_000_000, script=script, context=context) as server:
        outcome = (tls_client if encrypted else client).call(server.url, call, idle_timeout=0.5, retry_time=0)
    assert outcome.text == "({'query_status': 'done'}, 24)"
    assert outcome.seconds > 0.7


@pytest.fixture(scope="module")
def proxied():
    """A proxy whose script is set by the tests, and a client that uses it."""
    with RawServer(silence) as proxy, Client(https_proxy=proxy.url) as process:
        yield proxy, process


@pytest.mark.parametrize(
    "script",
    [
        chain(drip(b"HTTP/1.1 200 Connection established\r\n\r\n" * 20)),
        chain(b"HTTP/1.1 200 OK\r\n", endless(b"X: 1\r\n")),
        chain(b"HTTP/1.1 200 OK\r\n", drip(endless(b"X: 1\r\n"))),
        chain(b"HTTP/1.1 200 OK\r\nX: ", endless(b"1" * 4096)),
        chain(drip(endless(b"HTTP/1.1 100 Continue\r\n\r\n"))),
        chain(b"HTTP/1.1 407 Log in\r\n\r\n", endless(b"1" * 4096)),
        silence,
        chain(b"\xff" * 70_000),
    ],
    ids=["dripped", "headers", "dripped headers", "a long header", "interim", "407", "silent", "noise"],
)
def test_a_proxy_on_the_way(proxied, script):
    proxy, process = proxied
    proxy.script = script
    outcome = process.call("https://mmoda.example", "M.list_instruments()", **LIMITS)
    check(outcome)
    assert proxy.requests[-1].startswith(b"CONNECT mmoda.example:443 ")


class EncryptedProxy(RawServer):
    """Connects a client to its script, all within TLS."""

    def _talk(self, connection):
        self._read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for piece in self.script():
            connection.sendall(piece)
            self.sent += len(piece)


@pytest.fixture(scope="module")
def proxied_in_tls(certified):
    """The same, where the proxy itself is reached by TLS."""
    certificate = {"REQUESTS_CA_BUNDLE": certified[1], "SSL_CERT_FILE": certified[1]}
    with EncryptedProxy(silence, context=certified[0]) as proxy:
        with Client(https_proxy=proxy.url, **certificate) as process:
            yield proxy, process


RECORD = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"  # of a handshake: a request to begin, which may be passed over


@pytest.mark.parametrize(
    "script",
    [
        endless(RECORD),
        drip(endless(RECORD)),
        drip(b"\x16\x03\x03\x40\x00" + bytes(20_000)),
        silence,
        endless(b"\xff" * 99),
    ],
    ids=["records", "dripped records", "a dripped record", "silent", "noise"],
)
def test_handshakes_behind_an_encrypted_proxy(proxied_in_tls, script):
    proxy, process = proxied_in_tls
    proxy.script = script
    outcome = process.call("https://mmoda.example", "M.list_instruments()", **LIMITS)
    print(outcome)
    check(outcome)
    assert proxy.requests[-1].startswith(b"CONNECT mmoda.example:443 ")
    assert re.search("no complete reply within 0.2 s|no encrypted connection", outcome.text)


class EncryptedTunnel(EncryptedProxy):
    """Answers as the server behind the proxy: TLS within TLS, of which the last records come as a test wants."""

    def _talk(self, connection):
        self._read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        inner = self.context.wrap_bio(incoming, outgoing, server_side=True)

        def done(action):
            while True:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(20_000))

        done(inner.do_handshake)
        done(lambda: inner.read(20_000))
        inner.write(b"".join(GOOD()))
        for piece in self.script(outgoing.read()):
            connection.sendall(piece)


@pytest.mark.parametrize("drips", [False, True])
def test_records_behind_an_encrypted_proxy(certified, drips):
    certificate = {"REQUESTS_CA_BUNDLE": certified[1], "SSL_CERT_FILE": certified[1]}
    script = dripped if drips else lambda data: [data]
    with (
        EncryptedTunnel(script, context=certified[0]) as proxy,
        Client(https_proxy=proxy.url, **certificate) as process,
    ):
        limits = LIMITS if drips else {"timeout": 10.0}
        outcome = process.call("https://mmoda.example", "M._connect().routes().instruments()", **limits)
    if drips:
        check(outcome)
        assert "no complete reply within 0.2 s" in outcome.text
    else:
        assert outcome.text == "['isgri']"


# ---- time without a byte


@pytest.mark.parametrize(
    "script",
    [
        silence,
        chain(OK, silence),
        chain(b"HTTP/1.1 100 Continue\r\n\r\n", silence),
        BODIES["a body that stops"],
        chain(framed(), b"1\r\n1\r\n0\r\n", silence),
        chain(framed(encoding=b"gzip"), chunked(lambda: [GZIP]), silence),
    ],
    ids=["nothing", "in the headers", "after an interim answer", "in the body", "in the trailers", "compressed"],
)
def test_time_without_a_byte(client, script):
    outcome, _ = seen(client, script, limits={"idle_timeout": 0.2, "retry_time": 0.0})
    check(outcome)
    assert "nothing came for 0.2 s (astroquery_mmoda.conf.idle_timeout)" in outcome.text
    assert outcome.seconds < 2


def test_bytes_now_and_then_are_not_idle(client):
    body = b'["' + b"x" * 16 + b'"]'
    script = chain(framed(length=b"Content-Length: %d\r\n" % len(body)), drip(body))
    outcome, _ = seen(client, script, "M._connect().routes().instruments()", limits={"idle_timeout": 0.4})
    assert outcome.error == ""
    assert outcome.seconds > 0.8


# ---- the next answer


def numbered(more):
    """Each answer tells its number; bytes that nobody asked for come after it."""
    counter = itertools.count()

    def script():
        body = b'["%d"]' % next(counter)
        first, *later = more()
        yield framed(length=b"Content-Length: %d\r\n" % len(body)) + body + first
        for piece in later:
            time.sleep(0.02)
            yield piece

    return script


EXTRA = framed(length=b"Content-Length: 10\r\n") + b'["stolen"]'
MORE = {
    "nothing": lambda: [b""],
    "an answer": lambda: [EXTRA],
    "many answers": lambda: [EXTRA * 1000],
    "part of an answer": lambda: [EXTRA[:50]],
    "an answer a little later": lambda: [b"", b"", EXTRA],
    "an answer in two parts": lambda: [EXTRA[:60], EXTRA[60:]],
    "line ends": lambda: [b"\r\n" * 3],
    "an interim answer": lambda: [b"HTTP/1.1 103 Early\r\n\r\n"],
}


@pytest.mark.parametrize("kind", MORE)
def test_an_answer_belongs_to_its_request(client, kind):
    ask = "[(SLEEP(0.06), M._connect().routes().instruments()[0])[1] for _ in range(4)]"
    outcome, server = seen(client, numbered(MORE[kind]), ask, limits={"retry_time": 5.0})
    assert outcome.error == ""
    numbers = [int(number) for number in re.findall("'([0-9]+)'", outcome.text)]
    assert len(numbers) == 4
    # a request on a connection that has been spoilt meanwhile is made again
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == len(server.requests) - 1 < 8


def test_an_answer_that_comes_too_late(client):
    """It is not taken for the answer to the next request."""
    counter = itertools.count()

    def script():
        number = next(counter)
        time.sleep(0.5 if number == 0 else 0)
        body = b'["%d"]' % number
        yield framed(length=b"Content-Length: %d\r\n" % len(body)) + body

    ask = "[(M._connect().routes().instruments(), SLEEP(0.3))[0] for _ in range(2)]"
    outcome, server = seen(client, script, ask, limits={"timeout": 0.3, "retry_time": 5.0})
    assert outcome.text == "[['1'], ['2']]"
    assert len(server.requests) == 3
