"""Tracebacks with variables, as IPython and cgitb show them: no token in any frame, however a call ends."""

from __future__ import annotations

import concurrent.futures
import importlib
import subprocess
import sys
import textwrap
import traceback
import warnings

import pytest
from astroquery.exceptions import AuthenticationWarning

from astroquery_mmoda import Job, MmodaClass, Token, conf
from astroquery_mmoda.auth.places import discover
from tests.scripted_server import Reply, ScriptedServer, analysis_reply
from tests.test_auth import put
from tests.test_session import META
from tests.tokens import mint

MARKED = mint(jti="marked")
PARTS = [MARKED, MARKED.split(".")[1][:40], MARKED.split(".")[1][-30:], MARKED.split(".")[2]]


def shown(error: BaseException) -> list[str]:
    """What tracebacks with variables would show of an error and those behind it, the frames of tests excepted."""
    told, left, seen = [], [error], set()
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        told += [repr(each), str(each), repr(each.__dict__), *traceback.format_exception(each)]
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                told += [f"{frame.f_code.co_qualname}: {name}={value!r}" for name, value in frame.f_locals.items()]
        left += [each.__cause__, each.__context__]
    return told


def error_of(action) -> BaseException | None:
    try:
        action()
    except BaseException as error:
        return error
    return None


def leaks(error: BaseException | None) -> list[str]:
    return [text[:300] for text in shown(error) if any(part in text for part in PARTS)]


@pytest.fixture
def service():
    replies = {
        "/api/meta-data": META,
        "/api/par-names": ["p"],
        "/instr-list": ["toy"],
        "/run_analysis": analysis_reply("done", {"echo": {"x": 1}, "api_code": f"token={MARKED}"}),
        "/inspect-user-state": {"records": [{"job_id": "0123456789abcdef", "token": MARKED}]},
        "/refresh_token": mint(hours=50, jti="marked"),
        "/update_token_email_options": MARKED,
    }
    # made beforehand, since what makes them is spoilt by some tests
    replies = {path: Reply(reply).content() for path, reply in replies.items()}

    with ScriptedServer(lambda request: Reply(replies[request.path])) as server:
        yield server


CALLS = {
    "login": lambda client: client.login(MARKED, store_token=True),
    "submit": lambda client: client.submit_product("toy", token=MARKED, parameters={"token": MARKED}),
    "query_many": lambda client: list(client.query_many("product", [{"instrument": "toy"}], on_error="raise")),
    "instruments": lambda client: client.list_instruments(),
    "jobs": lambda client: client.list_jobs(),
    "refresh": lambda client: client.refresh_token(),
    "mail": lambda client: client.set_email_notifications(True),
}
PLACES = (
    "jwt.decode",
    "requests.adapters:HTTPAdapter.send",
    "requests.models:PreparedRequest.prepare_body",
    "requests.sessions:Session.send",
    "urllib3.connectionpool:HTTPConnectionPool.urlopen",
    "urllib3.connection:HTTPConnection.request",
    "http.client:HTTPConnection.endheaders",
    "http.client:HTTPResponse.begin",
    "urllib3.response:HTTPResponse.read1",
    "json.loads",
    "astroquery_mmoda.service.http:parse_body",
    "astroquery_mmoda.service.http:without_tokens",
    "astroquery_mmoda.auth.token:TokenAuth.secret_for",
    "requests.models:urlencode",
    "astroquery_mmoda.jobs.job:check_reply",
    "astroquery_mmoda.jobs.journal:keep",
    "keyring.set_password",
)


def spoil(monkeypatch, place: str, error: type[BaseException]) -> None:
    """Have a function raise an error, in the middle of whatever called it."""
    module, _, path = place.partition(":") if ":" in place else place.rpartition(".")
    *owners, name = path.split(".")
    target = importlib.import_module(module)
    for owner in owners:
        target = getattr(target, owner)

    def fail(*arguments, **options):
        raise error("oops")

    monkeypatch.setattr(target, name, fail)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", CALLS)
def test_no_frame_shows_the_token(service, monkeypatch, ring, call, place):
    # one of the two for each, in turns
    error = (KeyboardInterrupt, MemoryError)[(list(CALLS).index(call) + PLACES.index(place)) % 2]
    client = MmodaClass(server=service.url)
    client.login(Token(MARKED))
    client.list_products("toy")
    spoil(monkeypatch, place, error)
    with conf.set_temp("retry_time", 0), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert leaks(error_of(lambda: CALLS[call](client))) == []


def test_what_is_looked_for_can_be_seen():
    """The check above can fail."""

    code = compile("def f(secret):\n    raise RuntimeError", "elsewhere.py", "exec")
    names: dict = {}
    exec(code, names)
    assert leaks(error_of(lambda: names["f"](MARKED)))


def test_cgitb_shows_none(service, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cgitb = pytest.importorskip("cgitb")  # until Python 3.12
    client = MmodaClass(server=service.url)
    client.login(Token(MARKED))
    spoil(monkeypatch, "http.client:HTTPConnection.endheaders", KeyboardInterrupt)
    try:
        client.submit_product("toy")
    except KeyboardInterrupt:
        text = cgitb.text(sys.exc_info())
    assert "client" in text
    assert not any(part in text for part in PARTS)


def test_discovery(tmp_path, monkeypatch):
    path = put(tmp_path / ".oda-token", MARKED)
    path.chmod(0o644)
    with pytest.raises(AuthenticationWarning) as exposed:  # warnings are errors here
        discover()
    assert leaks(exposed.value) == []
    path.chmod(0o600)
    spoil(monkeypatch, "jwt.decode", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        discover()
    assert leaks(caught.value) == []


def test_prompt(monkeypatch, service):
    monkeypatch.setattr("astroquery_mmoda.auth.places._someone_is_there", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: MARKED)
    spoil(monkeypatch, "jwt.decode", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        MmodaClass(server=service.url).login()
    assert leaks(caught.value) == []


@pytest.mark.parametrize("keep", ["home", "environment", "keyring", "nowhere", 5])
def test_keeping(service, monkeypatch, ring, keep):
    monkeypatch.setenv("ODA_TOKEN", "")  # so that it is put back
    client = MmodaClass(server=service.url)
    client.login(Token(MARKED))
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr("keyring.set_password", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    assert leaks(error_of(lambda: client.refresh_token(store_token=keep))) == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"note": f"your token {MARKED} is old"}, 200),
        Reply({"error_message": f"token {MARKED} refused", "error": ""}, 403),
        Reply(f"<html>{MARKED}</html>", 500),
        Reply(f"{MARKED} trailing", 200),
        Reply(("x" + MARKED).encode("utf-16"), 200),
        Reply("".join(f"\\u{ord(letter):04x}" for letter in MARKED), 200),
        Reply("", 302, {"Location": f"http://[?token={MARKED}"}),
        Reply("no", 503, {"Retry-After": MARKED}),
        Reply("no", 200, {"Content-Type": MARKED}),
    ],
    ids=["note", "403", "500", "trailing", "utf16", "escaped", "redirect", "busy", "type"],
)
def test_replies_that_quote_it(reply):
    with ScriptedServer(lambda request: reply) as server, conf.set_temp("retry_time", 0):
        client = MmodaClass(server=server.url)
        client.login(Token(MARKED))
        for call in ("login", "refresh", "mail", "jobs", "submit", "instruments"):
            assert leaks(error_of(lambda call=call: CALLS[call](client))) == []


def test_links_and_records_with_a_token(service):
    client = MmodaClass(server=service.url)
    record = {"server": service.url, "parameters": {"token": MARKED}, "job_id": "x"}
    for action in (
        lambda: client.get_job(f"https://x.example/?job_id=!&token={MARKED}"),
        lambda: client.get_job(f"{MARKED}"),
        lambda: Job.from_dict(record, client=client),
        lambda: client.from_api_code(f"par = {{'instrument': 1/0, 'token': '{MARKED}'"),
        lambda: client.from_api_code(f"disp.get_product(token='{MARKED}'"),
    ):
        with pytest.raises(Exception, match=".") as caught:
            action()
        assert leaks(caught.value) == []


def work(server):
    """In a worker: find a token and fail in the middle of a request."""
    import http.client

    def fail(*arguments, **options):
        raise MemoryError

    http.client.HTTPConnection.endheaders = fail
    with conf.set_temp("retry_time", 0):
        MmodaClass(server=server).submit_product("toy", token=MARKED)


def test_errors_of_workers(service):
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        error = pool.submit(work, service.url).exception(60)
    # what the standard library adds are the source lines of the worker's frames
    assert leaks(error) == []


def test_ctrl_c_in_a_process_of_its_own():
    """A real signal, while the answer is being waited for."""
    script = """
        import os, signal, socket, sys, threading, time, traceback
        from astroquery_mmoda import MmodaClass
        signal.signal(signal.SIGINT, signal.default_int_handler)
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            connection = listener.accept()[0]
            connection.recv(10_000)
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=serve, daemon=True).start()
        client = MmodaClass(server=f"http://127.0.0.1:{listener.getsockname()[1]}")
        client.login()
        try:
            client.refresh_token()
        except KeyboardInterrupt as error:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                print(frame.f_code.co_qualname, {k: v for k, v in frame.f_locals.items() if k != "script"})
            print("context", error.__context__, error.__cause__)
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**__import__("os").environ, "ODA_TOKEN": MARKED},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "refresh_token" in done.stdout, done.stderr
    assert "context None None" in done.stdout
    assert not any(part in done.stdout + done.stderr for part in PARTS)
