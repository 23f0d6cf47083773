# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The keyring of a desktop: GNOME's, on a message bus of its own, with everything in a directory of the test."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import require
from tests.scripted_server import Reply, ScriptedServer
from tests.tokens import mint

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "a password for the keyring of a test"

# a user in a process of their own; the token comes from standard input, since everybody sees the command line
PROGRAM = """
import json, sys, warnings
import keyring
from astroquery_mmoda import AuthenticationError, MmodaClass

server, action = sys.argv[1:]
client, error = MmodaClass(server=server), ""
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    try:
        if action == "store":
            client.login(sys.stdin.read(), store_token=True)
        else:
            client.login()
        if action == "forget":
            client.logout(delete_stored=True)
    except AuthenticationError as problem:
        error = str(problem)
told = {"error": error, "warnings": [str(warning.message) for warning in seen]}
info = client.session_info()
told |= {"email": info["email"], "location": info["location"], "backend": type(keyring.get_keyring()).__module__}
print(json.dumps(told))
"""
LOCK = """
import secretstorage
connection = secretstorage.dbus_init()
secretstorage.get_default_collection(connection).lock()
assert secretstorage.get_default_collection(connection).is_locked()
"""


@pytest.fixture
def desktop(tmp_path):
    """Environment variables of a session with a message bus and an unlocked keyring."""
    for program in ("dbus-run-session", "gnome-keyring-daemon"):
        require(shutil.which(program), f"{program} (Debian: dbus-daemon, gnome-keyring)")
    require(importlib.util.find_spec("secretstorage"), "secretstorage (PyPI)")
    home = tmp_path / "desktop"
    places = {"HOME": home, "XDG_DATA_HOME": home / "data", "XDG_RUNTIME_DIR": home / "runtime"}
    for path in places.values():
        path.mkdir(parents=True, mode=0o700)
    variables = {**os.environ, **{name: str(path) for name, path in places.items()}, "PYTHONPATH": str(ROOT)}
    for name in ("PYTHON_KEYRING_BACKEND", "DISPLAY", "WAYLAND_DISPLAY"):
        variables.pop(name, None)
    # the bus lives as long as the shell, which waits for the end of its input
    command = ["dbus-run-session", "--", "sh", "-c", 'echo "$DBUS_SESSION_BUS_ADDRESS"; cat']
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=variables, **pipes) as session:
        variables["DBUS_SESSION_BUS_ADDRESS"] = session.stdout.readline().strip()
        daemon = ["gnome-keyring-daemon", "--unlock", "--components=secrets"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(daemon, input=PASSWORD, text=True, env=variables, timeout=20, check=True, **quiet)
        yield variables
        session.stdin.close()


@pytest.fixture
def service():
    """A server that takes every token."""
    with ScriptedServer(lambda request: Reply(request.form["token"], 200, {"Content-Type": "text/html"})) as server:
        yield server


def act(desktop, service, action, token=""):
    """What a new process tells of itself after the action."""
    command = [sys.executable, "-c", PROGRAM, service.url, action]
    done = subprocess.run(command, input=token, env=desktop, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not token or token not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_token_in_the_keyring_of_the_desktop(desktop, service):
    text = mint(sub="desktop@example.org")
    stored = act(desktop, service, "store", text)
    assert (stored["error"], stored["warnings"]) == ("", [])
    assert (stored["backend"], stored["email"]) == ("keyring.backends.SecretService", "desktop@example.org")
    assert len(service.requests) == 1

    found = act(desktop, service, "find")
    assert (found["email"], found["location"], found["warnings"]) == ("desktop@example.org", "keyring", [])
    # nowhere as plain text
    kept = [path for path in Path(desktop["HOME"]).rglob("*") if path.is_file()]
    assert any("keyrings" in path.parts for path in kept)
    assert not [path for path in kept if text.encode() in path.read_bytes()]

    forgotten = act(desktop, service, "forget")
    assert (forgotten["error"], forgotten["warnings"], forgotten["email"]) == ("", [], None)
    missing = act(desktop, service, "find")
    assert (missing["email"], missing["warnings"]) == (None, [])
    assert "no terminal to ask" in missing["error"]


def test_a_locked_keyring_is_a_warning(desktop, service):
    text = mint(sub="desktop@example.org")
    act(desktop, service, "store", text)
    subprocess.run([sys.executable, "-c", LOCK], env=desktop, timeout=20, check=True)

    found = act(desktop, service, "find")
    assert len(found["warnings"]) == 1
    assert "keyring can't give the token" in found["warnings"][0]
    assert "no terminal to ask" in found["error"]

    stored = act(desktop, service, "store", text)
    assert len(stored["warnings"]) == 1
    assert "keyring can't keep the token" in stored["warnings"][0]
    # the login itself went well
    assert (stored["email"], stored["error"]) == ("desktop@example.org", "")
