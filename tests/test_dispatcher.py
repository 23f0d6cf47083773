"""The service's routes against a scripted server: what each status and each fault means."""

import gzip
import json
import logging
import time

import pytest
from astroquery import log

from astroquery_mmoda import conf, errors
from astroquery_mmoda.service.account import Account
from tests.scripted_server import Reply, ScriptedServer, analysis_reply


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    """Pauses between tries are real in the code and short here."""
    monkeypatch.setattr("astroquery_mmoda.service.http._pause", lambda attempt, asked: 0.01)


@pytest.fixture
def serve():
    """Function that starts a server with an answer, and gives it and a dispatcher that asks it."""
    servers = []

    def start(answer):
        server = ScriptedServer(answer if callable(answer) else lambda request: answer).__enter__()
        servers.append(server)
        return server, Account().connect(server.url).routes()

    yield start
    for server in servers:
        server.__exit__()


def test_instruments(serve):
    server, dispatcher = serve(Reply(["isgri", "jemx"]))
    assert dispatcher.instruments() == ["isgri", "jemx"]
    assert [request.path for request in server.requests] == ["/instr-list"]


def test_instruments_of_an_older_server(serve):
    def answer(request):
        if request.path == "/instr-list":
            return Reply("<html>not found</html>", 404)
        return Reply(["isgri"])

    server, dispatcher = serve(answer)
    assert dispatcher.instruments() == ["isgri"]
    assert (server.requests[-1].path, server.requests[-1].query) == ("/api/instr-list", {"instrument": "mock"})


def test_only_404_leads_to_the_other_path(serve):
    server, dispatcher = serve(Reply("<html>oops</html>", 500))
    with pytest.raises(errors.ServiceError, match="HTTP status 500"):
        dispatcher.instruments()
    assert len(server.requests) == 1


def test_an_analysis_is_posted_as_a_form(serve):
    server, dispatcher = serve(Reply(analysis_reply("submitted")))
    dispatcher.run_analysis({"instrument": "isgri", "opt": "\x00", "query_status": "new"})
    request = server.requests[0]
    assert (request.method, request.path, request.query) == ("POST", "/run_analysis", {})
    assert request.form == {"instrument": "isgri", "opt": "\x00", "query_status": "new"}
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (
            Reply({"error_message": "wrong p", "error": "RequestNotUnderstood():wrong p"}, 400),
            errors.ParameterError,
            "wrong p",
        ),
        (Reply({"error_message": "odd"}, 400), errors.ParameterError, "odd"),
        (
            Reply({"error_message": "The token provided is expired.", "error": ""}, 403),
            errors.AuthenticationError,
            "expired",
        ),
        (
            Reply({"error_message": "unable to find any record for x", "error": ""}, 400),
            errors.JobLost,
            "no record of this job",
        ),
        (
            Reply("The token provided is expired.", 403, {"Content-Type": "text/html"}),
            errors.AuthenticationError,
            "expired",
        ),
        (Reply("<html>no</html>", 403), errors.ServiceError, "HTTP status 403"),
        (Reply("<!doctype html><title>500 Internal Server Error</title>", 500), errors.ServiceError, "HTTP status 500"),
        (
            Reply({"error_message": "it broke", "error": "InternalError():it broke"}, 500),
            errors.ServiceError,
            "it broke",
        ),
        (Reply("<html>Maintenance</html>", 200, {"Content-Type": "text/html"}), errors.ServiceError, "Maintenance"),
        (Reply({"error_message": "no", "error": "RequestNotUnderstood():no"}), errors.ParameterError, "no"),
        (Reply([1, 2]), errors.ServiceError, "not a reply to it"),
        (Reply("<html>gone</html>", 404), errors.ServiceError, "Is it the address of a MMODA dispatcher"),
        (
            Reply("", 302, {"Location": "https://new.example/mmoda?token=secret"}),
            errors.ServiceError,
            "https://new.example/mmoda",
        ),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_what_an_answer_means(serve, reply, kind, says):
    server, dispatcher = serve(reply)
    with pytest.raises(kind, match=says) as caught:
        dispatcher.run_analysis({"query_status": "new"})
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "first",
    [
        Reply("", 503),
        Reply("", 502),
        Reply("", 504),
        Reply("", 429, {"Retry-After": "0"}),
        Reply(b"", fault="reset"),
        Reply(analysis_reply("submitted"), fault="cut"),
        Reply('{"query_status": "done", "prod'),
        Reply(b""),
    ],
    ids=["503", "502", "504", "429", "reset", "cut body", "cut JSON", "empty"],
)
def test_faults_that_pass_are_tried_again(serve, first):
    replies = [first, first, Reply(analysis_reply("submitted"))]
    server, dispatcher = serve(lambda request: replies[min(len(server.requests), 3) - 1])
    assert dispatcher.run_analysis({"a": "1"})[0]["query_status"] == "submitted"
    assert len(server.requests) == 3
    assert {str(request.form) for request in server.requests} == {"{'a': '1'}"}


def test_tries_are_bounded(serve):
    server, dispatcher = serve(Reply("", 503))
    begin = time.monotonic()
    with (
        conf.set_temp("retry_time", 0.3),
        pytest.raises(errors.ServiceError, match=r"HTTP status 503\); tries: \d+, in"),
    ):
        dispatcher.run_analysis({})
    assert 0.3 <= time.monotonic() - begin < 3
    assert len(server.requests) > 3


def test_no_outage_is_sat_out(serve):
    server, dispatcher = serve(Reply("", 503))
    with conf.set_temp("retry_time", 0), pytest.raises(errors.ServiceError, match="tries: 1, in 0 s"):
        dispatcher.run_analysis({})
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", [float("nan"), -1.0])
@pytest.mark.parametrize("name", ["timeout", "idle_timeout", "retry_time"])
def test_times_of_the_configuration_are_checked(serve, name, value):
    _, dispatcher = serve(Reply("", 503))
    with conf.set_temp(name, value), pytest.raises(errors.ParameterError, match=f"conf.{name} = {value} must be"):
        dispatcher.run_analysis({})


def test_nobody_listens():
    with (
        conf.set_temp("retry_time", 0.1),
        pytest.raises(errors.ServiceError, match=r"connection refused\); tries: \d+, in") as caught,
    ):
        Account().connect("http://127.0.0.1:9").routes().run_analysis({"a": "marked-secret"})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "says"), [("ftp://127.0.0.1/", "only http and https"), ("nonsense", "not a valid address")]
)
def test_addresses_that_are_none(url, says):
    with pytest.raises(errors.ServiceError, match=says):
        Account().connect(url).routes().instruments()


def test_a_reply_that_is_too_large(serve):
    _, dispatcher = serve(Reply(["x" * 1000]))
    with conf.set_temp("max_reply_size", 500), pytest.raises(errors.ServiceError, match="larger than 500 bytes"):
        dispatcher.instruments()


def test_a_silent_server(serve):
    def answer(request):
        time.sleep(1)
        return Reply([])

    _, dispatcher = serve(answer)
    begin = time.monotonic()
    with (
        conf.set_temp("retry_time", 0),
        conf.set_temp("timeout", 0.3),
        pytest.raises(errors.ServiceError, match=r"no complete reply within 0.3 s"),
    ):
        dispatcher.instruments()
    assert time.monotonic() - begin < 5


def test_debug_log_tells_neither_body_nor_query(serve, caplog):
    server, dispatcher = serve(Reply({"name": "x", "message": "body-secret"}))
    with caplog.at_level(logging.DEBUG, logger="astroquery"):
        level = log.level
        log.setLevel("DEBUG")
        log.addHandler(caplog.handler)
        try:
            dispatcher.resolve_name("query-secret")
        finally:
            log.setLevel(level)
            log.removeHandler(caplog.handler)
    messages = [record.getMessage() for record in caplog.records if record.name == "astroquery"]
    assert "GET /resolve_name: HTTP 200" in messages
    assert not any("secret" in message for message in messages)


def test_retry_after_in_both_forms():
    from email.utils import formatdate

    from astroquery_mmoda.service.http import asked_pause

    assert asked_pause("7") == 7
    assert 8 < asked_pause(formatdate(time.time() + 10, usegmt=True)) <= 10
    assert asked_pause(formatdate(time.time() - 10, usegmt=True)) == 0
    assert asked_pause("soon") is None


def test_a_server_that_drips(serve):
    """Each byte comes in time, the whole does not."""
    _, dispatcher = serve(Reply(analysis_reply("submitted"), fault="drip"))
    begin = time.monotonic()
    with (
        conf.set_temp("retry_time", 0),
        conf.set_temp("timeout", 0.5),
        pytest.raises(errors.ServiceError, match=r"within 0.5 s"),
    ):
        dispatcher.run_analysis({})
    assert time.monotonic() - begin < 15


def test_compressed_replies(serve):
    body = gzip.compress(json.dumps(["isgri"] * 1000).encode())
    _, dispatcher = serve(Reply(body, headers={"Content-Encoding": "gzip"}))
    assert len(dispatcher.instruments()) == 1000


def test_a_compressed_reply_that_is_larger_than_it_seems(serve):
    body = gzip.compress(b"[" + b" " * 300_000_000 + b"]", 9)
    _, dispatcher = serve(Reply(body, headers={"Content-Encoding": "gzip"}))
    begin = time.process_time()
    with (
        conf.set_temp("max_reply_size", 10_000_000),
        pytest.raises(errors.ServiceError, match="larger than 10000000 bytes"),
    ):
        dispatcher.instruments()
    assert time.process_time() - begin < 2


def test_broken_compression_is_a_cut_reply(serve):
    body = gzip.compress(json.dumps(["isgri"] * 1000).encode())
    replies = [Reply(body[:-20], headers={"Content-Encoding": "gzip"}), Reply(["isgri"])]
    server, dispatcher = serve(lambda request: replies[min(len(server.requests), 2) - 1])
    assert dispatcher.instruments() == ["isgri"]


def test_json_that_stops_between_brackets_is_cut_as_well(serve):
    replies = [Reply('{"query_status": "done", "products": {}'), Reply(analysis_reply("submitted"))]
    server, dispatcher = serve(lambda request: replies[min(len(server.requests), 2) - 1])
    assert dispatcher.run_analysis({})[0]["query_status"] == "submitted"


def test_eight_threads_do_not_mix_their_answers(serve):
    from concurrent.futures import ThreadPoolExecutor

    from astroquery import cache_conf

    _, dispatcher = serve(lambda request: Reply({"RA": 1.0, "DEC": 2.0, "name": request.query["name"]}))
    names = [f"name {number}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: dispatcher.resolve_name(name)["name"], names))
    assert found == names
    assert cache_conf.cache_active is True
