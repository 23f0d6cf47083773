"""The house of the package: imports go down the floors, and single doors stay single."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import astroquery_mmoda

ROOT = Path(astroquery_mmoda.__file__).parent
FLOORS = {
    6: {"plotting"},
    5: {"core", "many", "archive", "__init__"},
    4: {"jobs"},
    3: {"products"},
    2: {"request", "service", "decoding"},
    1: {"auth", "catalog", "progress"},
    0: {"errors", "config", "text", "units", "markup", "instruments", "allowance", "files", "origin", "protocol"},
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
DOORS = {
    "requests": {"service", "auth", "origin"},
    "urllib3": {"service"},
    "jwt": {"auth"},
    "keyring": {"auth"},
    "pyvo": {"archive"},
    "base64": {"decoding"},
    "binascii": {"decoding"},
    "pybase64": {"decoding"},
    "yaml": {"decoding"},
    "matplotlib": {"plotting"},
}
NOWHERE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "print", "breakpoint"}


@cache
def rooms():
    """Every file of the package, with the room it belongs to and its syntax tree."""
    return [
        (
            path.relative_to(ROOT),
            path.relative_to(ROOT).parts[0].removesuffix(".py"),
            ast.parse(path.read_text("utf-8")),
        )
        for path in sorted(ROOT.rglob("*.py"))
    ]


def imports(tree: ast.AST, path: Path) -> list[tuple[str, bool]]:
    """Names of imported modules (of ours: the room), without those for type checkers only; and whether ours."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append((node.module or "", False))
        elif isinstance(node, ast.ImportFrom):
            base = path.parent.parts[: len(path.parent.parts) - node.level + 1]
            module = (*base, *(node.module or "").split("."))
            names = [part for part in module if part]
            found += [(names[0], True)] if names else [(alias.name, True) for alias in node.names]
    return found


@pytest.mark.parametrize(
    ("path", "room", "tree"), rooms(), ids=lambda value: str(value) if isinstance(value, Path) else ""
)
def test_imports_go_down(path, room, tree):
    assert room in FLOOR_OF, f"{room} has no floor yet"
    for name, ours in imports(tree, path):
        if ours and name != room:
            assert FLOOR_OF[name] <= FLOOR_OF[room], f"{path} looks upstairs to {name}"


def test_rooms_form_no_ring():
    needs: dict[str, set[str]] = {}
    for path, room, tree in rooms():
        needs.setdefault(room, set()).update(name for name, ours in imports(tree, path) if ours and name != room)
    done: set[str] = set()
    while needs:
        free = {room for room, others in needs.items() if others <= done}
        assert free, f"a ring among {sorted(needs)}"
        done |= free
        needs = {room: others for room, others in needs.items() if room not in free}


@pytest.mark.parametrize("package", sorted(DOORS))
def test_single_doors(package):
    users = {room for path, room, tree in rooms() for name, _ in imports(tree, path) if name.split(".")[0] == package}
    assert users <= DOORS[package]


def test_nothing_that_runs_what_a_server_sends():
    for path, _, tree in rooms():
        assert not NOWHERE & {name.split(".")[0] for name, _ in imports(tree, path)}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", "")
                assert name not in FORBIDDEN_CALLS, f"{path}:{node.lineno} calls {name}"
                assert not any(
                    word.arg == "verify" and getattr(word.value, "value", None) is False for word in node.keywords
                ), f"{path}:{node.lineno}"
            assert not isinstance(node, ast.Assert), f"{path}:{node.lineno} has an assert"
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"{path}:{node.lineno} bare except"


def test_importing_travels_nowhere_and_is_light():
    """No socket is opened by importing or by building a client, and nothing heavy is loaded."""
    code = (
        "import socket, sys\n"
        "def no(*a, **k): raise RuntimeError('a socket was opened')\n"
        "socket.socket.connect = no; socket.create_connection = no; socket.getaddrinfo = no\n"
        "from astroquery_mmoda import Mmoda, MmodaClass\n"
        "MmodaClass(server='https://nowhere.example')\n"
        "heavy = {'jwt', 'matplotlib', 'astropy.wcs', 'astropy.timeseries', 'scipy', 'dask'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
