"""What ``Mmoda.diagnose`` says of a machine, and what it never says."""

from __future__ import annotations

import os
import re
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from astroquery_mmoda import MmodaClass, conf
from tests.scripted_server import Reply, ScriptedServer
from tests.tokens import mint

MARKED = mint(jti="marked", sub="somebody@example.org", name="Some Body")


def facts(client: MmodaClass) -> dict[str, str]:
    """Lines by their names."""
    return dict(re.split(r":\s+", line, maxsplit=1) for line in client.diagnose().splitlines())


@pytest.fixture
def service():
    """A server that says little more than its version."""
    with ScriptedServer(lambda request: Reply({"cdci_data_analysis_version": "1.9.9"}, 400)) as server:
        yield server


def test_of_the_local_service(mmoda):
    known = facts(mmoda)
    assert re.fullmatch(r"dispatcher 1\.3\.3, in \d+\.\d s, clocks agree", known["answer"])
    assert re.search(r"astropy \d.*numpy \d.*requests \d.*PyJWT \d", known["needs"])
    assert known["server"] == mmoda.URL
    assert known["keyring"] == "keyring.backends.null.Keyring"
    assert known["token places"] == known["proxies"] == "none"
    assert re.search(r"\d+ files, can be written to", known["journal"])
    assert known["settings"] == "none"


def test_nothing_that_must_not_be_shown(service, monkeypatch, tmp_path):
    monkeypatch.setenv("ODA_TOKEN", MARKED)
    monkeypatch.setenv("HTTPS_PROXY", "http://alice:secret@proxy.example:3128")
    (Path.home() / ".oda-token").write_text(mint(hours=-48))
    (tmp_path / ".oda-token").write_text("garbage")
    client = MmodaClass(server=service.url)
    client.login()
    text = client.diagnose()
    for secret in (MARKED[:40], MARKED.split(".")[1][:30], "somebody", "Some Body", "secret", "alice", str(tmp_path)):
        assert secret not in text
    known = facts(client)
    assert re.fullmatch(r"environment, expires .* UTC, roles: general, refresh-tokens", known["token"])
    places = known["token places"].split("; ")
    assert [place.split(":")[0] for place in places] == ["ODA_TOKEN", "./.oda-token", "./home/.oda-token"]
    assert places[1].endswith("malformed")
    assert "expired" in places[2]
    assert "https proxy.example" in known["proxies"]
    for request in service.requests:
        assert "token" not in request.line
        assert not request.query
        assert not request.form


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (lambda: formatdate(time.time() - 7200), r"dispatcher 1.9.9, in .* s, the clock here is \+720\d s from .*"),
        (lambda: "soon", r"dispatcher 1.9.9, in \d+.\d s"),
        (lambda: "", r"dispatcher 1.9.9, in \d+.\d s"),
    ],
    ids=["slow", "odd", "empty"],
)
def test_clocks(service, monkeypatch, date, expected):
    name = "http.server.BaseHTTPRequestHandler.date_time_string"
    monkeypatch.setattr(name, lambda self, timestamp=None: date())
    assert re.fullmatch(expected, facts(MmodaClass(server=service.url))["answer"])


def test_changed_settings():
    with conf.set_temp("poll_interval_max", 5), conf.set_temp("server", "http://127.0.0.1:1"):
        assert facts(MmodaClass())["settings"] == "server, poll_interval_max = 5.0"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reply("<html>closed</html>"), "not that of a MMODA dispatcher"),
        (Reply(["no", "dict"]), "not that of a MMODA dispatcher"),
        (Reply("", 503), "unknown (ServiceError: "),
        (Reply(fault="reset"), "unknown (ServiceError: "),
        (Reply({"cdci_data_analysis_version": "\x1b[31m" + MARKED}, 400), "dispatcher \\x1b[31m<token>"),
    ],
    ids=["page", "list", "busy", "reset", "hostile"],
)
def test_odd_answers(answer, expected):
    with ScriptedServer(lambda request: answer) as server:
        begin = time.monotonic()
        known = facts(MmodaClass(server=server.url))
        assert time.monotonic() - begin < 10
    assert known["answer"].startswith(expected)
    assert MARKED[:30] not in str(known)


@pytest.mark.parametrize(
    "broken",
    ["platform.platform", "keyring.get_keyring", "urllib.request.getproxies", "astroquery_mmoda.diagnosis.version"],
)
def test_what_is_broken_is_said_in_its_line(service, monkeypatch, broken):
    def fail(*arguments):
        raise RuntimeError("broken\non purpose")

    monkeypatch.setattr(
        {"urllib.request.getproxies": "astroquery_mmoda.diagnosis.getproxies"}.get(broken, broken), fail
    )
    text = MmodaClass(server=service.url).diagnose()
    assert "unknown (RuntimeError: broken on purpose)" in text
    assert len(text.splitlines()) == 14


def test_places_that_do_not_exist(service, monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert len(facts(MmodaClass(server=service.url))) == 14


def test_a_root_directory_has_no_name_to_be_hidden(service, monkeypatch):
    monkeypatch.chdir("/")
    client = MmodaClass(server=service.url)
    assert facts(client)["server"] == client.URL


def test_a_server_with_a_password():
    text = MmodaClass(server="http://alice:secret@mmoda.example").diagnose()
    assert "secret" not in text
    assert "alice" not in text
    assert "must not have a user name" in text


def test_a_journal_that_can_not_be_written_to(service, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("astroquery_mmoda.jobs.journal.get_config_dir", lambda: tmp_path / "file")
    assert "can NOT be written to" in facts(MmodaClass(server=service.url))["journal"]


def test_a_journal_elsewhere_names_no_user(service, monkeypatch, tmp_path):
    monkeypatch.setenv("LOGNAME", "jdoe")
    for name in ("jdoe", "jdoe.old"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("astroquery_mmoda.jobs.journal.get_config_dir", lambda place=tmp_path / name: place)
        journal = facts(MmodaClass(server=service.url))["journal"]
        assert ("jdoe" in journal, "USER" in journal) == (name != "jdoe", name == "jdoe")


@pytest.mark.skipif(os.name != "posix", reason="no such variable")
def test_certificates_are_named(service, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    known = facts(MmodaClass(server=service.url))
    assert "REQUESTS_CA_BUNDLE is set" in known["certificates"]
    assert "nowhere" not in known["certificates"]
