"""Tokens: what they say, where they are found, how they are kept, and how they travel."""

import copy
import logging
import multiprocessing
import os
import pickle
import signal
import stat
import sys
import time
from pathlib import Path

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest
from astropy.time import Time
from astroquery.exceptions import AuthenticationWarning

from astroquery_mmoda import AuthenticationError, Token, conf
from astroquery_mmoda.auth.places import (
    Found,
    _write_token,
    discover,
    forget_in_keyring,
    from_keyring,
    from_prompt,
    store,
)
from astroquery_mmoda.auth.token import TokenAuth
from astroquery_mmoda.origin import is_loopback
from tests.keyrings import MemoryKeyring
from tests.tokens import mint

SERVER = "https://mmoda.example/dispatch-data"


class BrokenKeyring(MemoryKeyring):
    """A locked one, or one whose service died."""

    def get_password(self, service, username):
        raise RuntimeError("the collection is locked")

    def set_password(self, service, username, password):
        raise RuntimeError(f"can't keep {password}")

    delete_password = get_password


@pytest.fixture
def use_ring(ring):
    return keyring.set_keyring


@pytest.fixture
def home():
    return Path.home()


def put(path, text, mode=0o600):
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


# ---- what a token says


def test_claims():
    token = Token(f"  {mint(roles='general, unige-hpc-full ,,', tem=3600, msdone=True)}\n")
    assert token.roles == ["general", "unige-hpc-full"]
    assert (token.user, token.email) == ("An Astronomer", "astronomer@example.org")
    assert abs((token.expires - Time.now()).to_value("h") - 24) < 0.01
    assert not token.expired
    assert token.email_options["min_duration"] == 3600
    assert token.email_options["done"] is True
    assert "expires" in token.lifetime


def test_other_shapes_of_claims():
    assert Token(mint(roles=["a", "b"])).roles == ["a", "b"]
    assert Token(mint(roles=None)).roles == []
    assert Token(mint(hours=None)).expires is None
    assert not Token(mint(hours=None)).expired
    assert Token(mint(sub=None, email="me@example.org")).email == "me@example.org"
    assert Token(mint(name=None)).user == "astronomer@example.org"


def test_expired():
    token = Token(mint(hours=-2))
    assert token.expired
    assert "2.0 h ago" in token.lifetime


@pytest.mark.parametrize("text", ["", "   ", "abc", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.e30", None, 5, mint()[:-60] + "ü"])
def test_what_is_no_token(text):
    with pytest.raises(AuthenticationError, match="not a valid token|No token was given") as caught:
        Token(text)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    if text and isinstance(text, str) and len(text) > 10:
        assert text not in str(caught.value)


def test_a_life_that_is_no_number():
    with pytest.raises(AuthenticationError, match="not a valid token"):
        Token(mint(exp=1e30))


def test_it_shows_itself_nowhere():
    text = mint()
    token = Token(text)
    assert token.secret == text
    for shown in (repr(token), str(token), f"{token}", repr([token]), repr(Found(token, "argument"))):
        assert text not in shown
        assert text.split(".")[1] not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(token)
    assert copy.copy(token) is token
    assert copy.deepcopy([token]) == [token]
    assert text not in repr(TokenAuth(token, SERVER))


# ---- where it is found


def test_the_order_of_places(home, tmp_path, monkeypatch, ring):
    texts = {name: mint(name=name) for name in ("environment", "cwd", "home", "keyring")}
    monkeypatch.setenv("ODA_TOKEN", texts["environment"])
    cwd = put(Path.cwd() / ".oda-token", texts["cwd"])
    put(home / ".oda-token", texts["home"])
    ring.kept["astroquery:mmoda.example", "mmoda-token"] = texts["keyring"]
    found = discover(SERVER)[0]
    assert (found.token.user, found.place) == ("environment", "environment")
    monkeypatch.delenv("ODA_TOKEN")
    found = discover(SERVER)[0]
    assert (found.token.user, found.place) == ("cwd", str(cwd))
    cwd.unlink()
    assert discover(SERVER)[0].token.user == "home"
    (home / ".oda-token").unlink()
    assert discover(SERVER)[0].place == "keyring"
    assert discover()[0] is None
    assert discover("https://elsewhere.example")[0] is None


def test_what_is_passed_over_is_told(home, monkeypatch, log_records):
    monkeypatch.setenv("ODA_TOKEN", "garbage")
    put(Path.cwd() / ".oda-token", mint(hours=-1))
    put(home / ".oda-token", "\n")
    found, expired = discover()
    assert found is None
    assert expired
    told = "\n".join(log_records())
    assert "environment is malformed" in told
    assert "expired" in told
    assert "is empty" in told
    assert "garbage" not in told


def test_each_find_is_told_without_its_content(home, log_records):
    text = mint()
    put(home / ".oda-token", text)
    assert Token.discover().email == "astronomer@example.org"
    told = "\n".join(log_records())
    assert str(home / ".oda-token") in told
    assert "expires" in told
    assert text not in told
    assert "astronomer@example.org" not in told


@pytest.mark.skipif(os.name != "posix", reason="modes are those of posix")
def test_a_file_that_others_can_read(home):
    path = put(home / ".oda-token", mint(), 0o644)
    with pytest.warns(AuthenticationWarning, match=f"chmod 600 {path}"):
        assert Token.discover() is not None


def test_a_file_of_another_user(home, monkeypatch):
    path = put(home / ".oda-token", mint())
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.warns(AuthenticationWarning, match=f"another user.*rm {path}"):
        discover()


def test_strange_files(home):
    (home / ".oda-token").mkdir()
    assert discover()[0] is None
    (home / ".oda-token").rmdir()
    os.mkfifo(home / ".oda-token")  # opening it would wait for ever
    assert discover()[0] is None
    (home / ".oda-token").unlink()
    put(home / ".oda-token", "x" * 200_000)
    assert discover()[0] is None
    put(home / ".oda-token", "\udcff\x00".encode("utf-8", "surrogateescape").decode("latin-1"))
    assert discover()[0] is None


# ---- the keyring


def test_keyring_round_trip(ring):
    token = Token(mint())
    store(Found(token, "argument"), "keyring", SERVER)
    assert list(ring.kept) == [("astroquery:mmoda.example", "mmoda-token")]
    assert from_keyring(SERVER) == token.secret
    forget_in_keyring(SERVER)
    assert ring.kept == {}
    forget_in_keyring(SERVER)


def test_no_keyring_is_no_reason_to_stop(use_ring):
    for backend in (keyring.backends.fail.Keyring(), keyring.backends.null.Keyring(), BrokenKeyring()):
        use_ring(backend)
        text = mint()
        with pytest.warns(AuthenticationWarning, match="can't keep the token") as caught:
            store(Found(Token(text), "argument"), "keyring", SERVER)
        assert len(caught) == 1
        assert text not in str(caught[0].message)


def test_looking_into_a_broken_keyring(use_ring):
    use_ring(BrokenKeyring())
    with pytest.warns(AuthenticationWarning, match="can't give the token"):
        assert discover(SERVER)[0] is None
    use_ring(keyring.backends.fail.Keyring())
    assert from_keyring(SERVER) is None
    forget_in_keyring(SERVER)


def test_a_keyring_of_plain_text_is_named(use_ring):
    class PlaintextKeyring(MemoryKeyring):
        pass

    use_ring(PlaintextKeyring())
    with pytest.warns(AuthenticationWarning, match="plain text"):
        store(Found(Token(mint()), "argument"), "keyring", SERVER)


# ---- the person


def test_nobody_is_there(monkeypatch):
    monkeypatch.setattr(sys, "stdin", open(os.devnull))
    with pytest.raises(AuthenticationError, match="no terminal to ask.*ODA_TOKEN"):
        from_prompt(SERVER)
    sys.stdin.close()
    with pytest.raises(AuthenticationError):
        from_prompt(SERVER)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(AuthenticationError):
        from_prompt(SERVER)


def test_somebody_is_there(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    typed = mint(name="typed")
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: typed if "mmoda.example" in prompt else "")
    assert from_prompt(SERVER).secret == typed

    def leave(prompt):
        raise EOFError

    monkeypatch.setattr("getpass.getpass", leave)
    with pytest.raises(AuthenticationError, match="No token was given"):
        from_prompt(SERVER)


# ---- files


@pytest.mark.parametrize("begins", [True, False])
def test_a_file_is_written_for_its_owner_only(home, monkeypatch, begins):
    if begins:  # what a file is opened with counts too: others could keep it open
        monkeypatch.delattr(os, "fchmod", raising=False)
    previous = os.umask(0)
    try:
        store(Found(Token(mint()), "argument"), ("home", "cwd"), SERVER)
    finally:
        os.umask(previous)
    for path in (home / ".oda-token", Path.cwd() / ".oda-token"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == [".oda-token"]


def test_same_place_and_environment(home, monkeypatch):
    path = put(home / ".oda-token", mint(hours=1))
    new = Token(mint(hours=48))
    store(Found(new, str(path)), "same", SERVER)
    assert path.read_text().strip() == new.secret
    monkeypatch.setenv("ODA_TOKEN", "old")
    store(Found(new, "environment"), "same", SERVER)
    assert os.environ["ODA_TOKEN"] == new.secret
    store(Found(new, "prompt"), "same", SERVER)
    with pytest.raises(AuthenticationError, match="'keyring', 'environment', 'cwd' or 'home'"):
        store(Found(new, "argument"), "desktop", SERVER)


def test_links_are_refused(home):
    target = put(home / "target", "old")
    (home / ".oda-token").symlink_to(target)
    with pytest.raises(AuthenticationError, match="is a link"):
        store(Found(Token(mint()), "argument"), "home", SERVER)
    assert target.read_text() == "old"


def test_a_failed_write_leaves_the_old_file(home, monkeypatch):
    path = put(home / ".oda-token", "old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AuthenticationError, match="no space left.*untouched"):
        store(Found(Token(mint()), "argument"), "home", SERVER)
    assert path.read_text() == "old"
    assert [entry.name for entry in home.iterdir()] == [".oda-token"]


def _keep_writing(path, text, times, started=None):
    if started is not None:
        started.set()
    for _ in range(times):
        _write_token(Path(path), Token(text))


def test_two_processes_write_whole_tokens(home):
    path = home / ".oda-token"
    texts = [mint(name="one"), mint(name="another" * 20)]
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_keep_writing, args=(path, text, 200)) for text in texts]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            seen.add(path.read_text().strip())
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen <= set(texts)
    assert path.read_text().strip() in texts
    assert [entry.name for entry in home.iterdir()] == [".oda-token"]


def test_a_writer_that_is_killed_leaves_a_whole_token(home):
    path = put(home / ".oda-token", mint(name="old"))
    before = path.read_text().strip()
    text = mint(name="new")
    context = multiprocessing.get_context("spawn")
    for pause in (0.0, 0.005):
        started = context.Event()
        writer = context.Process(target=_keep_writing, args=(path, text, 10**6, started))
        writer.start()
        started.wait(30)
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert path.read_text().strip() in (before, text)
    for leftover in home.glob(".mmoda-*.part"):
        assert stat.S_IMODE(leftover.stat().st_mode) == 0o600
        os.utime(leftover, (time.time() - 100,) * 2)
    _write_token(path, Token(text))  # which also clears away what a killed one left
    assert [entry.name for entry in home.iterdir()] == [".oda-token"]


# ---- on the wire


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://mmoda.example/x",
        "https://mmoda.example:8443/x",
        "https://mmoda.example.evil/x",
        "https://mmoda.example@evil.example/x",
        "no address",
    ],
)
def test_no_other_origin_gets_it(url):
    auth = TokenAuth(Token(mint()), SERVER)
    assert auth.secret_for(f"{SERVER}/run_analysis").count(".") == 2
    with pytest.raises(AuthenticationError, match="another server"):
        auth.secret_for(url)


def test_plain_http_is_refused_but_on_this_machine():
    there = "http://mmoda.example/x"
    with pytest.raises(AuthenticationError, match="plain http.*insecure_http"):
        TokenAuth(Token(mint()), there)
    with conf.set_temp("insecure_http", True):
        assert TokenAuth(Token(mint()), there).secret_for(there)
    here = "http://127.0.0.1:5000/x"
    assert TokenAuth(Token(mint()), here).secret_for(here)


def test_an_expired_token_is_not_sent():
    with pytest.raises(AuthenticationError, match="expired .* ago"):
        TokenAuth(Token(mint(hours=-1)), SERVER).secret_for(SERVER)


def test_this_machine():
    assert all(
        map(is_loopback, ["http://localhost:1/", "http://127.0.0.1/", "http://127.1.2.3/", "http://[::1]:8000/"])
    )
    assert not any(map(is_loopback, ["http://127.evil.example/", "http://localhost.evil/", "https://mmoda.example"]))


def test_logs_of_the_http_library_show_no_token(caplog):
    token = Token(mint())
    TokenAuth(token, SERVER)
    logger = logging.getLogger("urllib3.connectionpool")
    with caplog.at_level(logging.DEBUG, logger=logger.name):
        logger.debug('%s "%s %s HTTP/1.1" %s', "http://x", "GET", f"/refresh_token?a=1&token={token.secret}&b=2", 200)
        logger.debug(f"Resetting dropped connection: /x?token={token.secret}")
    assert token.secret not in caplog.text
    assert "token=<token>&b=2" in caplog.text
    assert caplog.records[0].getMessage().endswith("200")
