"""Whatever stands where a token may be looked for: a token, none with a reason, or an error of ours."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from astroquery_mmoda import AuthenticationError, MmodaClass, MmodaError
from astroquery_mmoda.auth.places import discover
from tests.scripted_server import Reply, ScriptedServer
from tests.tokens import mint

ODD = {
    "empty": b"",
    "blank": b" \n\t\n",
    "zeros": bytes(500),
    "binary": bytes(range(256)) * 4,
    "UTF-16": "eyJhbGciOiJIUzI1NiJ9.e30.x".encode("utf-16"),
    "points": b"." * 50,
    "large": b"eyJ" * 1_000_000,
    "deep": b"eyJhbGciOiJIUzI1NiJ9." + b"W" * 50_000 + b".x",
    "control": b"eyJ\x1b[31m.\r.\x07",
    "two": f"{mint()}\n{mint()}".encode(),
    "JSON": b'{"token": "x"}',
    "list": b"eyJhbGciOiJIUzI1NiJ9.WzFd.x",
    "letters": "e\u0443J.\u202e.\ufeff".encode(),
    "half": mint().split(".")[0].encode(),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    for name in ("home", "here"):
        (tmp_path / name).mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ODA_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def asked_with_token() -> list[str]:
    """Requests with a token of a client that was not given one."""
    with ScriptedServer(lambda request: Reply(["toy"])) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(MmodaClass(server=server.url).list_instruments()) == 1
        return [request.line for request in server.requests if "token" in request.line]


@pytest.mark.parametrize("content", ODD)
@pytest.mark.parametrize("place", ["here", "home", "environment"])
def test_what_is_not_a_token_is_not_sent(elsewhere, monkeypatch, place, content):
    if place == "environment":
        monkeypatch.setitem(os.environb, b"ODA_TOKEN", ODD[content].replace(b"\0", b"")[:100_000])
    else:
        (elsewhere / place / ".oda-token").write_bytes(ODD[content])
        (elsewhere / place / ".oda-token").chmod(0o600)
    assert discover()[0] is None
    assert asked_with_token() == []


@pytest.mark.parametrize("content", ODD)
def test_what_is_not_a_token_is_refused(content):
    client = MmodaClass(server="http://127.0.0.1:9")
    for given in (ODD[content], ODD[content].decode("latin-1"), {content: 1}, 5, [mint()]):
        with pytest.raises(AuthenticationError, match="not a valid token|No token was given"):
            client.login(given)
        with pytest.raises(MmodaError):
            client.query_product("toy", token=given)


def a_directory(path: Path) -> None:
    path.mkdir()


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [a_directory, a_loop, a_pipe, a_link_to_nothing, a_device])
@pytest.mark.parametrize("place", ["here", "home"])
def test_what_is_not_a_file(elsewhere, make, place):
    make(elsewhere / place / ".oda-token")
    assert discover()[0] is None
    assert asked_with_token() == []


@pytest.mark.parametrize(
    "home", ["", "/nowhere/at/all", "/dev/null", "relative", "~", "/" + "x" * 5000, "\udcff", "$HOME"]
)
@pytest.mark.parametrize("name", ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"])
def test_odd_homes(monkeypatch, name, home):
    monkeypatch.setenv(name, home)
    assert discover()[0] is None
    assert asked_with_token() == []
    monkeypatch.setenv("ODA_TOKEN", mint())
    assert discover()[0] is not None


def test_a_working_directory_that_was_removed(elsewhere, monkeypatch):
    os.rmdir(elsewhere / "here")
    assert discover()[0] is None
    text = mint()
    monkeypatch.setenv("ODA_TOKEN", text)
    assert discover()[0].token.secret == text
    client = MmodaClass(server="http://127.0.0.1:9")
    client.login()
    with ScriptedServer(lambda request: Reply(mint(hours=60))) as server:
        client = MmodaClass(server=server.url)
        client.login()
        with pytest.raises(AuthenticationError, match="no such directory"):
            client.refresh_token(store_token="cwd")
