"""Login, logout and renewal by the client, against a scripted server."""

import time

import pytest
from astropy import units as u
from astroquery.exceptions import AuthenticationWarning
from astroquery.query import QueryWithLogin

from astroquery_mmoda import AuthenticationError, JobFailed, MmodaClass, ParameterError, ServiceError, Token, conf
from astroquery_mmoda.service.account import Account
from tests.scripted_server import Reply, ScriptedServer, analysis_reply
from tests.test_auth import put
from tests.tokens import mint

META = [
    [
        {"instrumet": "toy"},
        {"prod_dict": {"toy_lc": "q"}},
        [{"query_name": "q"}, {"product_name": "toy_lc"}, {"name": "p", "units": "W", "value": 1.0}],
    ]
]


@pytest.fixture
def service():
    """A server whose replies a test may change, route by route."""
    replies = {
        "/api/meta-data": Reply(META),
        "/instr-list": Reply(["toy"]),
        "/run_analysis": Reply(analysis_reply("submitted")),
        "/update_token_email_options": Reply(mint(), 200, {"Content-Type": "text/html"}),
    }
    with ScriptedServer(lambda request: replies[request.path]) as server:
        server.replies = replies
        yield server


@pytest.fixture
def client(service):
    return MmodaClass(server=service.url)


def sent_tokens(service):
    return [request.form.get("token") or request.query.get("token") for request in service.requests]


# ---- login


def test_login_with_a_token(client, service):
    text = mint()
    assert client.login(text) is True
    assert client.authenticated()
    info = client.session_info()
    assert (info["user"], info["email"], info["location"]) == ("An Astronomer", "astronomer@example.org", "argument")
    assert info["roles"] == ["general", "refresh-tokens"]
    assert info["email_options"]["done"] is False
    assert text not in repr(info)
    assert service.requests == []
    client.submit_product("toy")
    request = service.requests[-1]
    assert (request.form["token"], request.query) == (text, {})
    assert client.login(Token(text)) is True


def test_its_signature_is_that_of_the_token_family():
    import inspect

    parameters = inspect.signature(MmodaClass.login).parameters
    assert list(parameters) == ["self", "token", "store_token", "reenter_token"]
    assert "keyring" in MmodaClass.login.__doc__
    assert issubclass(MmodaClass, QueryWithLogin)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rubbish", "not a valid token"),
        (mint(hours=-3), r"expired .* \(3.\d h ago\).*Get a token"),
        ("", "No token was given"),
    ],
    ids=["rubbish", "expired", "empty"],
)
def test_login_with_something_unusable(client, text, says):
    with pytest.raises(AuthenticationError, match=says):
        client.login(text)
    assert not client.authenticated()


def test_login_finds_a_token(client, tmp_path):
    path = put(tmp_path / ".oda-token", mint())
    assert client.login()
    assert client.session_info()["location"] == str(path)


def test_login_finds_the_keyring(client, ring):
    ring.kept["astroquery:127.0.0.1", "mmoda-token"] = mint()
    assert client.login()
    assert client.session_info()["location"] == "keyring"


def test_login_where_nobody_can_answer_ends_at_once(client):
    with pytest.raises(AuthenticationError, match="no terminal to ask"):
        client.login()


def test_login_asks(client, monkeypatch, tmp_path):
    typed = [mint(name="typed"), ""]
    monkeypatch.setattr("astroquery_mmoda.auth.places._someone_is_there", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: typed.pop(0))
    put(tmp_path / ".oda-token", mint(name="found"))
    client.login()
    assert client.session_info()["user"] == "found"
    client.login(reenter_token=True)
    assert (client.session_info()["user"], client.session_info()["location"]) == ("typed", "prompt")
    with pytest.raises(AuthenticationError, match="No token was given"):
        client.login(reenter_token=True)
    assert client.session_info()["user"] == "typed"


def test_a_token_is_stored_only_after_the_service_took_it(client, service, ring):
    text = mint()
    assert client.login(text, store_token=True)
    assert ring.kept == {("astroquery:127.0.0.1", "mmoda-token"): text}
    request = service.requests[0]
    assert (request.method, request.path, request.query) == ("POST", "/update_token_email_options", {})
    assert request.form == {"query_status": "new", "token": text}
    client.logout(delete_stored=True)
    assert ring.kept == {}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply({"error_message": "The token provided is not valid", "error": ""}, 403), AuthenticationError),
        (Reply({"error_message": "strange", "error": ""}, 400), AuthenticationError),
        (Reply("<html>oops</html>", 500), ServiceError),
        (Reply("<html>welcome</html>", 200), ServiceError),
        (Reply("<html>gone</html>", 404), ServiceError),
    ],
    ids=["403", "400", "500", "page", "404"],
)
def test_a_token_that_is_not_accepted_is_not_stored(client, service, ring, reply, kind):
    service.replies["/update_token_email_options"] = reply
    with pytest.raises(kind) as caught:
        client.login(mint(), store_token=True)
    assert type(caught.value) is kind
    assert ring.kept == {}
    assert not client.authenticated()


def test_storing_without_a_keyring_is_a_warning(client):
    with pytest.warns(AuthenticationWarning, match="can't keep the token"):
        assert client.login(mint(), store_token=True)
    assert client.authenticated()


def test_logout(client, service, monkeypatch):
    monkeypatch.setenv("ODA_TOKEN", mint())
    client.login()
    client.logout()
    assert not client.authenticated()
    assert client.session_info()["roles"] == []
    client.submit_product("toy")
    assert sent_tokens(service) == [None, None]
    assert client.login()


# ---- without login


def test_a_token_that_lies_around_is_used_and_kept(client, service, monkeypatch):
    text = mint()
    monkeypatch.setenv("ODA_TOKEN", text)
    assert not client.authenticated()
    client.submit_product("toy")
    assert service.requests[-1].form["token"] == text
    monkeypatch.delenv("ODA_TOKEN")
    client.submit_product("toy")
    assert service.requests[-1].form["token"] == text
    assert client.session_info()["location"] == "environment"


def test_discovery_can_be_switched_off(client, service, monkeypatch):
    monkeypatch.setenv("ODA_TOKEN", mint())
    with conf.set_temp("discover_token", False):
        client.submit_product("toy")
    assert set(sent_tokens(service)) == {None}


def test_keyring_and_prompt_belong_to_login(client, service, ring, monkeypatch):
    ring.kept["astroquery:127.0.0.1", "mmoda-token"] = mint()
    monkeypatch.setattr("astroquery_mmoda.auth.places._someone_is_there", lambda: True)
    client.submit_product("toy")
    assert set(sent_tokens(service)) == {None}


def test_only_the_default_server_and_this_machine_see_what_lies_around(monkeypatch):
    monkeypatch.setenv("ODA_TOKEN", mint())
    for url, found in (
        ("https://www.astro.unige.ch/mmoda/dispatch-data", True),
        ("http://127.0.0.1:5000", True),
        ("https://mmoda.example/dispatch-data", False),
        ("http://www.astro.unige.ch/mmoda/dispatch-data", False),
        ("https://www.astro.unige.ch.example", False),
    ):
        assert (not Account().connect(url).anonymous) is found, url
    with conf.set_temp("server", "https://mmoda.example/dispatch-data"):
        assert Account().connect(conf.server).anonymous


def test_only_expired_ones_lie_around(client, service, monkeypatch):
    monkeypatch.setenv("ODA_TOKEN", mint(hours=-1))
    with pytest.warns(AuthenticationWarning, match="Only expired tokens were found; going on anonymously"):
        client.submit_product("toy")
    assert set(sent_tokens(service)) == {None}


def test_a_token_for_one_call(client, service):
    text = mint()
    client.submit_product("toy", token=text)
    client.submit_product("toy")
    assert sent_tokens(service)[1] == text
    assert sent_tokens(service)[-1] is None
    assert not client.authenticated()


# ---- expiry


def expire(client):
    """Let the time of the token that is held be over."""
    client._account.token(client.URL).claims["exp"] = time.time() - 360  # noqa: SLF001 - the token held gets old


def test_after_a_login_an_expired_token_is_an_error(client, service):
    client.login(mint())
    expire(client)
    assert not client.authenticated()
    with pytest.raises(AuthenticationError, match="expired"):
        client.submit_product("toy")
    assert service.requests == []


def test_a_short_life_is_told_at_submission(client):
    client.login(mint(hours=0.5))
    with pytest.warns(AuthenticationWarning, match=r"in 0.5 h\).*continued after a new login"):
        client.submit_product("toy")


def test_a_token_that_expires_while_a_job_runs(client, service):
    client.login(mint())
    job = client.submit_product("toy")
    expire(client)
    with pytest.raises(AuthenticationError, match="expired") as caught:
        job.result(5)
    assert caught.value.job is job
    text = mint()
    client.login(text)
    service.replies["/run_analysis"] = Reply(analysis_reply("done", {"echo": 1}))
    assert len(job.result(5)) == 1
    assert service.requests[-1].form["token"] == text


def test_a_job_stays_with_its_user(client, service):
    client.login(mint())
    job = client.submit_product("toy")
    client.login(mint(sub="somebody.else@example.org"))
    with pytest.raises(AuthenticationError, match="asked in the name of astronomer@example.org") as caught:
        job.refresh()
    assert caught.value.job is job
    anonymous = MmodaClass(server=service.url).submit_product("toy")
    anonymous.connection.account.login(service.url, Token(mint()))
    anonymous.refresh()
    assert service.requests[-1].form.get("token") is None


def test_a_job_with_a_token_of_its_own(client, service):
    text = mint()
    job = client.submit_product("toy", token=text)
    job.refresh()
    assert service.requests[-1].form["token"] == text


# ---- renewing


def test_refreshing(client, service, tmp_path):
    path = put(tmp_path / ".oda-token", mint(hours=1))
    longer = mint(hours=100)
    service.replies["/refresh_token"] = Reply(longer, 200, {"Content-Type": "text/html"})
    info = client.refresh_token()
    request = service.requests[0]
    assert (request.method, request.query["query_status"]) == ("GET", "new")
    assert path.read_text().strip() == longer
    assert info["location"] == str(path)
    assert info == client.session_info()
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".oda")] == [".oda-token"]


@pytest.mark.parametrize(
    ("new", "says"),
    [({"hours": 1}, "the old one, which is kept"), ({"hours": 100, "roles": "general"}, "lacks roles.*refresh-tokens")],
)
def test_a_worse_token_is_refused(client, service, new, says):
    client.login(mint())
    service.replies["/refresh_token"] = Reply(mint(**new))
    with pytest.raises(AuthenticationError, match=says):
        client.refresh_token()
    assert "refresh-tokens" in client.session_info()["roles"]
    client.refresh_token(force=True)
    assert client.session_info()["roles"] == Token(mint(**new)).roles


def test_places_for_a_new_token(client, service, tmp_path, ring, monkeypatch):
    monkeypatch.setenv("ODA_TOKEN", mint(hours=1))
    longer = mint(hours=100)
    service.replies["/refresh_token"] = Reply(longer)
    client.refresh_token(store_token=("keyring", "home", "environment"))
    import os
    from pathlib import Path

    assert ring.kept["astroquery:127.0.0.1", "mmoda-token"] == longer
    assert (Path.home() / ".oda-token").read_text().strip() == longer
    assert os.environ["ODA_TOKEN"] == longer


def test_in_memory_only(client, service, tmp_path):
    path = put(tmp_path / ".oda-token", old := mint(hours=1))
    service.replies["/refresh_token"] = Reply(mint(hours=100))
    client.refresh_token(store_token=False)
    assert path.read_text() == old
    assert (client.session_info()["expires"] - Token(old).expires).to_value("h") > 90


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Reply("Unfortunately, your privileges are not sufficient", 403), AuthenticationError, "privileges"),
        (Reply("<html>oops</html>", 500), ServiceError, "HTTP status 500"),
        (Reply("<html>hello</html>", 200), ServiceError, "did not send a new token"),
        (Reply("eyJhbGciOiJIUzI1NiJ9.bm90IGpzb24.x", 200), ServiceError, "did not send a new token.*<token>"),
    ],
)
def test_a_refresh_that_fails_keeps_the_old_token(client, service, reply, kind, says):
    client.login(mint())
    service.replies["/refresh_token"] = reply
    with pytest.raises(kind, match=says):
        client.refresh_token()
    assert client.authenticated()


def test_nothing_to_refresh(client):
    with pytest.raises(AuthenticationError, match="No token is held"):
        client.refresh_token()


def test_email_options(client, service):
    client.login(mint())
    service.replies["/update_token_email_options"] = Reply(mint(msdone=True, tem=60))
    info = client.set_email_notifications(False, done=True, min_duration=1 * u.min)
    form = service.requests[-1].form
    assert {name: form[name] for name in ("mssub", "msdone", "msfail", "mstout", "tem")} == {
        "mssub": "False",
        "msdone": "True",
        "msfail": "False",
        "mstout": "False",
        "tem": "60.0",
    }
    assert "intsub" not in form
    assert info["email_options"]["done"] is True
    with pytest.raises(ParameterError, match="Choose something"):
        client.set_email_notifications()
    with pytest.raises(ParameterError, match="not a valid time span"):
        client.set_email_notifications(min_duration=5 * u.keV)
    with pytest.raises(ParameterError, match="finite"):
        client.set_email_notifications(min_duration=float("inf") * u.s)


# ---- what the service says


def test_lacking_roles(client, service):
    reply = analysis_reply("failed", status_code=403)
    reply["exit_status"]["message"] = "- You are lacking all of the following roles:\n - unige-hpc-full: > 50 ScW"
    service.replies["/run_analysis"] = Reply(reply, 403)
    with pytest.raises(AuthenticationError, match="(?s)unige-hpc-full.*needs a token with these rights"):
        client.query_product("toy")


def test_a_failed_job_is_not_a_question_of_rights(client, service):
    reply = analysis_reply("failed")
    reply["exit_status"]["message"] = "no data"
    service.replies["/run_analysis"] = Reply(reply)
    with pytest.raises(JobFailed, match="no data"):
        client.query_product("toy")


def test_instruments_with_a_token(client, service):
    text = mint()
    client.login(text)
    client.list_instruments()
    assert service.requests[0].query == {"token": text}


def test_a_restricted_instrument(client, service):
    service.replies["/api/meta-data"] = Reply(
        {"error_message": "your priviledges are not sufficient", "error": "RequestNotAuthorized():"}, 403
    )
    with pytest.raises(AuthenticationError, match="priviledges"):
        client.list_products("toy")


# ---- files on their way


FILES = [
    [
        {"instrumet": "toy"},
        {"prod_dict": {"toy_lc": "q"}},
        [
            {"query_name": "q"},
            {"product_name": "toy_lc"},
            {
                "name": "table",
                "units": "str",
                "value": None,
                "restrictions": {"is_optional": True},
                "owl_uri": ["http://odahub.io/ontology#POSIXPath"],
            },
        ],
    ]
]


@pytest.fixture
def files(service):
    service.replies["/api/meta-data"] = Reply(FILES)
    address = "http://x/download_file?file_list=abc"
    first = analysis_reply("submitted", {"analysis_parameters": {"table": address}})
    replies = [Reply(first), Reply(analysis_reply("done", {"echo": 1}))]
    plain = service.answer
    service.answer = lambda request: replies.pop(0) if request.path == "/run_analysis" else plain(request)
    service.address = address
    return service


def test_a_file_is_uploaded_once(client, files, tmp_path):
    path = tmp_path / "my table.ecsv"
    path.write_text("a b\n1 2\n")
    assert client.query_product("toy", table=path, get_query_payload=True)["table"] == "my table.ecsv (8 bytes)"
    job = client.submit_product("toy", table=str(path))
    assert files.requests[-1].form["table"] == "my table.ecsv:a b\n1 2\n"
    assert files.requests[-1].headers["Content-Type"].startswith("multipart/form-data")
    assert len(job.result()) == 1
    assert files.requests[-1].form["table"] == files.address
    assert job.to_dict()["parameters"]["table"] == files.address


def test_a_token_goes_along_with_a_file(client, files):
    text = mint()
    client.submit_product("toy", table=b"\x00\x01binary", token=text)
    request = files.requests[-1]
    assert request.form["token"] == text
    assert request.form["table"] == "table.dat:\x00\x01binary"
    assert request.query == {}


def test_files_that_are_none(client, files):
    for wrong, says in (("no/such/file", "No such file"), (5, "type file"), ([1], "type file")):
        with pytest.raises(ParameterError, match=says):
            client.submit_product("toy", table=wrong)
    assert client.query_product("toy", table="https://x/y", get_query_payload=True)["table"] == "https://x/y"
    assert "table" not in client.query_product("toy", table=None, get_query_payload=True)  # None is its default


# ---- what the service understood


def test_a_parameter_understood_otherwise(client, service):
    service.replies["/run_analysis"] = Reply(analysis_reply("submitted", {"analysis_parameters": {"p": 7.0}}))
    from astroquery.exceptions import InputWarning

    with pytest.warns(InputWarning, match="p: asked for 5.0, understood as 7.0"):
        client.submit_product("toy", p=5)
