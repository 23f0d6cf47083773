"""Where a token travels: to its own server only, over https or on this machine, and in an address only where needed."""

from __future__ import annotations

import ssl
import threading
import warnings
from urllib.parse import urlsplit

import pytest
from astroquery.exceptions import AuthenticationWarning

from astroquery_mmoda import AuthenticationError, Job, MmodaClass, MmodaError, ParameterError, ServiceError, conf
from tests.raw_server import RawServer
from tests.scripted_server import Reply, ScriptedServer, analysis_reply
from tests.test_http_limits import certified  # noqa: F401 - a fixture
from tests.test_session import META
from tests.tokens import mint

TOKEN = mint(jti="ways")
PARTS = [TOKEN.split(".")[1][:40], TOKEN.split(".")[2]]
PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def shows(text: object) -> bool:
    return any(part in str(text) for part in PARTS)


def answer(request):
    replies = {
        "/instr-list": ["toy"],
        "/api/meta-data": META,
        "/api/par-names": ["p"],
        "/run_analysis": analysis_reply("done", {"echo": {"x": 1}}),
        "/inspect-user-state": {"records": []},
    }
    if request.path in ("/refresh_token", "/update_token_email_options"):
        return Reply(mint(hours=50))
    return Reply(replies[request.path]) if request.path in replies else Reply("", 404)


@pytest.fixture
def service():
    with ScriptedServer(answer) as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch, tmp_path):
    for name in (*PROXIES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("astroquery_mmoda.service.http._pause", lambda attempt, asked: 0.01)
    # other tests have jobs of the same id at other servers
    monkeypatch.setattr("astroquery_mmoda.jobs.journal.get_config_dir", lambda: str(tmp_path))
    with conf.set_temp("retry_time", 0):
        yield


CALLS = {
    "query": lambda client: client.query_product("toy", progress=False),
    "submit": lambda client: client.submit_product("toy"),
    "many": lambda client: list(client.query_many("product", [{"instrument": "toy"}], on_error="raise")),
    "refresh": lambda client: client.refresh_token(),
    "mail": lambda client: client.set_email_notifications(True),
    "instruments": lambda client: client.list_instruments(),
    "products": lambda client: client.list_products("toy"),
    "parameters": lambda client: client.list_parameters("toy"),
    "jobs": lambda client: client.list_jobs(),
    "job": lambda client: client.get_job("0123456789abcdef", session_id="ABCDEFGHIJKLMNOP"),
}


# ---- addresses


@pytest.mark.parametrize(
    "call", ["query", "submit", "many", "refresh", "mail", "instruments", "products", "parameters"]
)
@pytest.mark.parametrize("address", ["http://mmoda.example", "http://192.0.2.7:8080/x", "http://127.0.0.1.example"])
def test_plain_http_is_refused_before_anything_is_asked(monkeypatch, call, address):
    client = MmodaClass(server=address)
    client.login(TOKEN)
    asked = []
    monkeypatch.setattr(client._account.http, "ask", lambda *given, **options: asked.append(given))  # noqa: SLF001 - what is sent
    with pytest.raises(AuthenticationError, match="plain http"):
        CALLS[call](client)
    assert asked == []


@pytest.mark.parametrize("call", sorted({*CALLS} - {"jobs"}))  # it tells of all servers
@pytest.mark.parametrize("change", ["the port", "the scheme", "the host"])
def test_a_given_token_is_for_one_server(service, call, change):
    client = MmodaClass(server=service.url)
    client.login(TOKEN)
    client.list_products("toy")
    with ScriptedServer(answer) as other:
        client.URL = {
            "the port": other.url,
            "the scheme": service.url.replace("http:", "https:"),
            "the host": other.url.replace("127.0.0.1", "localhost"),
        }[change]
        with pytest.raises(AuthenticationError, match="does not go to"):
            CALLS[call](client)
        assert other.requests == []


@pytest.mark.parametrize("call", ["query", "many", "products", "instruments"])
def test_a_token_that_was_found_stays_and_the_rest_goes_on(service, monkeypatch, call):
    monkeypatch.setenv("ODA_TOKEN", TOKEN)
    client = MmodaClass(server=service.url)
    client.query_product("toy", progress=False)
    assert any(shows(request.form) for request in service.requests)
    with ScriptedServer(answer) as other:
        client.URL = other.url
        with pytest.warns(AuthenticationWarning, match="goes? on anonymously|going on anonymously"):
            CALLS[call](client)
        assert other.requests
        assert not any(shows(vars(request)) for request in other.requests)


def test_what_is_known_of_one_server_is_not_said_of_another(service):
    """Metadata, and which instruments are restricted."""
    client = MmodaClass(server=service.url)
    client.list_products("toy")
    with ScriptedServer(lambda request: Reply({"error_message": "nothing", "error": "x"}, 400)) as other:
        client.URL = other.url
        with pytest.raises(MmodaError):
            client.list_products("toy")
        assert other.requests


def test_the_job_of_another_server(service):
    record = MmodaClass(server=service.url).submit_product("toy").to_dict()
    with ScriptedServer(answer) as other:
        client = MmodaClass(server=other.url)
        client.login(TOKEN)
        job = Job.from_dict(record | {"anonymous": False, "email": "astronomer@example.org"}, client=client)
        before = len(service.requests)
        with pytest.raises(AuthenticationError):
            job.result()
        assert not any(shows(vars(request)) for request in service.requests[before:])


@pytest.mark.parametrize("spelling", ["http://LOCALHOST:{}", "http://localhost:{}/", "http://localhost:{}//"])
def test_the_same_server_spelled_otherwise(spelling):
    with ScriptedServer(answer) as server:
        port = urlsplit(server.url).port
        client = MmodaClass(server=f"http://localhost:{port}")
        client.login(TOKEN)
        client.URL = spelling.format(port)
        client.refresh_token(store_token=False)
        assert shows(server.requests[-1].line)


@pytest.mark.parametrize(
    "address",
    ["https://user:word@mmoda.example/api", "http://user@127.0.0.1:9", "http://:word@localhost:9/", "https://a:word@b@c.example",
     "https://www.astro.unige.ch\\@mmoda.example", "https://www.astro.unige.ch:word@mmoda.example"],
)  # fmt: skip
def test_addresses_with_a_password_are_refused(address):
    """They would be shown in messages, records and snippets, and nothing of them is sent."""
    client = MmodaClass(server=address)
    record = {
        "server": address,
        "instrument": "toy",
        "product": "toy",
        "parameters": {},
        "session_id": "A",
        "job_id": "B",
    }
    for call in (client.list_instruments, lambda: client.login(TOKEN), lambda: Job.from_dict(record).refresh()):
        with pytest.raises(ParameterError) as caught:
            call()
        assert "word@" not in str(caught.value)
    with conf.set_temp("server", address), pytest.raises(ParameterError, match="user name or a password"):
        MmodaClass().list_instruments()


# ---- addresses of requests


@pytest.mark.parametrize("call", CALLS)
def test_addresses_have_a_token_only_where_nothing_else_works(service, call):
    client = MmodaClass(server=service.url)
    client.login(TOKEN)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                CALLS[call](client)
            except MmodaError as error:
                assert call in ("job", "jobs"), error  # noqa: PT017 - whether there is one depends on the call
    allowed = {
        "refresh": {"/refresh_token"},
        "instruments": {"/instr-list"},
        "jobs": {"/inspect-user-state"},
        "job": {"/inspect-user-state", "/resolve-job-url"},
    }
    found = {request.path for request in service.requests if shows(request.line)}
    assert found <= allowed.get(call, set())


@pytest.mark.parametrize("restricted", [("toy",), ("toy", "other"), ()])
def test_restricted_instruments_are_asked_openly_first(restricted):
    def guarded(request):
        hidden = request.query.get("instrument") in restricted and "token" not in request.query
        if request.path.startswith("/api/") and hidden:
            return Reply({"error_message": "not authorized", "error": "RequestNotAuthorized():"}, 403)
        return Reply(["toy", "other"]) if request.path == "/instr-list" else answer(request)

    with ScriptedServer(guarded) as server:
        client = MmodaClass(server=server.url)
        client.login(TOKEN)
        for instrument in ("toy", "other"):
            client.list_products(instrument)
            client.query_product(instrument, progress=False)
        described = [each for each in server.requests if each.path.startswith("/api/")]
    assert {each.query["instrument"] for each in described if shows(each.line)} == set(restricted)
    for instrument in restricted:
        assert not shows(next(each.line for each in described if each.query["instrument"] == instrument))


def test_an_instrument_that_is_restricted_elsewhere_is_asked_openly():
    def guarded(request):
        return answer(request) if "token" in request.query else Reply({"error": "RequestNotAuthorized():"}, 403)

    client = MmodaClass()
    with ScriptedServer(guarded) as first, ScriptedServer(answer) as second:
        for server in (first, second):
            client.URL = server.url
            client.login(TOKEN)
            client.list_products("toy")
        assert shows(first.requests[-1].line)
        assert not any(shows(request.line) for request in second.requests)


# ---- proxies


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.8.9.1", "[::1]", "LocalHost",
     "0.0.0.0", "[0::1]"],
)  # fmt: skip
@pytest.mark.parametrize("name", PROXIES)
def test_this_machine_is_asked_without_a_proxy(monkeypatch, service, name, host):
    with ScriptedServer(lambda request: Reply("", 502)) as proxy:
        monkeypatch.setenv(name, proxy.url)
        client = MmodaClass(server=f"http://{host}:{urlsplit(service.url).port}")
        client.login(TOKEN)
        try:
            client.refresh_token(store_token=False)
        except ServiceError:
            # where nobody listens, and what tests may not ask
            assert ":" in host or host in ("127.8.9.1", "0", "0.0.0.0")  # noqa: PT017, S104
        assert proxy.requests == []


@pytest.mark.parametrize(
    "host",
    ["128.1", "2130706432.example", "0x7e.1", "localhost.example", "127.0.0.1.example", "[::ffff:10.0.0.1]", "[::2]"],
)
def test_other_machines_are_no_loopback(host):
    with pytest.raises(AuthenticationError, match="plain http"):
        MmodaClass(server=f"http://{host}:8123").login(TOKEN, store_token=True)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("call", ["query", "refresh", "mail", "instruments"])
def test_no_token_in_clear_through_a_proxy(monkeypatch, name, call):
    with ScriptedServer(answer) as proxy, conf.set_temp("insecure_http", True):
        monkeypatch.setenv(name, proxy.url)
        client = MmodaClass(server="http://mmoda.example/api")
        client.login(TOKEN)
        with pytest.raises(MmodaError) as caught:
            CALLS[call](client)
        assert call == "query" or "proxy" in str(caught.value)
        assert not any(shows(vars(request)) for request in proxy.requests)


@pytest.mark.parametrize(
    "exception", ["mmoda.invalid", ".invalid", "invalid", "*", "other.example, mmoda.invalid:8123"]
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_exceptions_from_proxies(monkeypatch, name, exception):
    with ScriptedServer(answer) as proxy, conf.set_temp("insecure_http", True):
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv(name, exception)
        client = MmodaClass(server="http://mmoda.invalid:8123")
        client.login(TOKEN)
        with pytest.raises(ServiceError):  # unknown host
            client.refresh_token(store_token=False)
        assert proxy.requests == []


class Tunnel(RawServer):
    """A proxy that connects to one place, whatever it is asked for, and keeps what goes through."""

    def __init__(self, port: int) -> None:
        super().__init__(lambda: ())
        self.to, self.passed = port, bytearray()

    def _serve(self, connection):
        import socket

        with connection, socket.create_connection(("127.0.0.1", self.to)) as other:
            self.requests.append(connection.recv(10_000))
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self._pass, args=(other, connection), daemon=True)
            back.start()
            self._pass(connection, other)
            back.join(5)

    def _pass(self, source, sink):
        try:
            while data := source.recv(10_000):
                self.passed += data
                sink.sendall(data)
        except OSError:
            pass


def test_https_goes_through_a_proxy_unread(monkeypatch, certified, service):  # noqa: F811
    context: ssl.SSLContext = certified[0]
    service.listener.socket = context.wrap_socket(service.listener.socket, server_side=True)
    port = urlsplit(service.url).port
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certified[1])
    # the certificate is for an address of this machine, which would not be asked through a proxy
    monkeypatch.setattr("astroquery_mmoda.service.http.is_loopback", lambda url: False)
    with Tunnel(port) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        client = MmodaClass(server=f"https://127.0.0.1:{port}")
        client.login(TOKEN)
        client.refresh_token(store_token=False)
        assert proxy.requests[0].startswith(b"CONNECT 127.0.0.1:")
        client._account.http._adapter.close()  # noqa: SLF001 - what is sent
        assert shows(service.requests[-1].line)
        assert not shows(bytes(proxy.passed) + b"".join(proxy.requests))


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example\r\nContent-Length: 0\r\n\r\n",
        b"\x00\xff" * 500,
        b"<html>who are you</html>",
        b"",
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    ],
    ids=["407", "302", "garbage", "page", "nothing", "200"],
)
def test_proxies_that_answer_themselves(monkeypatch, words):
    with RawServer(lambda: [words]) as proxy, conf.set_temp("idle_timeout", 0.3):
        monkeypatch.setenv("https_proxy", proxy.url)
        client = MmodaClass(server="https://mmoda.example")
        client.login(TOKEN)
        with pytest.raises(ServiceError) as caught:
            client.refresh_token(store_token=False)
        assert not shows(str(caught.value))
        assert not shows(proxy.requests)


@pytest.mark.parametrize(
    "address", ["", "::", "http://", "gopher://x", "http://[", "socks5://127.0.0.1:9", "\x00", "é:x"]
)
@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY"])
def test_odd_addresses_of_proxies(monkeypatch, name, address, service):
    if "\x00" in address:
        address = "http://a b\tc"
    monkeypatch.setenv(name, address)
    client = MmodaClass(server="http://mmoda.invalid")
    with pytest.raises(MmodaError):
        client.list_instruments()
    client = MmodaClass(server=service.url)
    client.login(TOKEN)
    client.refresh_token(store_token=False)  # this machine needs none


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("value", ["/nowhere/at all", "", "/dev/null", "/", "é" * 300])
def test_odd_places_of_certificates(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    client = MmodaClass(server="https://127.0.0.1:9")
    client.login(TOKEN)
    with pytest.raises(ServiceError):
        client.refresh_token(store_token=False)
