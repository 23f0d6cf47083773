# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What a user installs, and what the documentation needs."""

import ast
import doctest
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from conftest import require

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {"pyjwt": "jwt", "pyyaml": "yaml", "pillow": "PIL"}
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
SOURCES = sorted((ROOT / "astroquery_mmoda").rglob("*.py"))
# blocks that are for those only who have this library
ONLY_WITH = re.compile(r"(?m)^\.\. doctest-requires:: (\S+)\n((?:[ \t]*\n|[ \t]+.*\n)*)")


def installed():
    """Modules of what the documented installation brings."""
    wanted, found = list(PROJECT["dependencies"]), set()
    wanted.append("astroquery_mmoda[all]")
    while wanted:
        name, extras = re.match(r"([\w-]+)(?:\[(.*?)\])?", wanted.pop()).groups()
        for one in (extras or "").split(","):
            wanted += PROJECT["optional-dependencies"].get(one, [])
        found.add(MODULES.get(name.lower(), name.lower()))
    # the tests are in the clone: one page is about them, and some have a server that is out of sight
    return found | set(sys.stdlib_module_names) | {"tests"}


def imported(text):
    """Modules that the examples of a text import."""
    trees = [ast.parse(example.source) for example in doctest.DocTestParser().get_examples(text)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("page", ["README.rst", "docs/getting_started/installing.rst"])
def test_one_installation_is_documented(page):
    commands = re.findall(r"(?m)^ +(pip install .*)$", (ROOT / page).read_text(encoding="utf-8"))
    assert commands == ['pip install ".[all]"']


def test_pages_import_what_is_installed():
    missing = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = ONLY_WITH.findall(text)
        needs = imported(ONLY_WITH.sub("", text)) - installed()
        for library, block in blocks:
            # dask's own name is not that of the library which is asked for
            needs |= imported(block) - installed() - {library, "dask" if library == "distributed" else library}
        if needs:
            missing[page.name] = needs
    assert not missing


def test_docstrings_import_what_is_installed():
    missing = {}
    for path in SOURCES:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds)]
        needs = set().union(*map(imported, texts)) - installed()
        if needs:
            missing[path.name] = needs
    assert not missing


def test_nothing_says_to_install_an_unreleased_package():
    for path in [*PAGES, *SOURCES]:
        assert not re.search(r"pip install\s.?astroquery_mmoda", path.read_text(encoding="utf-8")), path


def test_git_ignores_environments(tmp_path):
    require(shutil.which("git"), "git")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "file").touch()
    for name in (".venv", ".tox", "build", "docs/_build", "quickstart-output"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        for make in (path.touch, lambda path=path: shutil.copytree(tmp_path / "directory", path)):
            make()
            result = subprocess.run(["git", "status", "--short", "-uall", name], cwd=tmp_path, capture_output=True)
            assert result.stdout == b"", name
            path.unlink() if path.is_file() else shutil.rmtree(path)
        path.symlink_to(tmp_path / "directory")
        result = subprocess.run(["git", "status", "--short", "-uall", name], cwd=tmp_path, capture_output=True)
        assert result.stdout == b"", name
