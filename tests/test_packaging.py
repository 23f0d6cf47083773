"""What the project says of itself in several places is the same in all of them."""

import json
import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

import astroquery_mmoda

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def bounds(requirements):
    """Lower bounds by name, of requirements that have one."""
    plain = [requirement.split(";")[0].strip() for requirement in requirements]
    return dict(requirement.split(",")[0].split(">=") for requirement in plain if ">=" in requirement)


def pins():
    """Versions by name, in the environment of the oldest libraries."""
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    lines = tox["testenv:oldestdeps"]["deps"].split()
    return dict(line.split("==") for line in lines if "==" in line)


def as_numbers(version):
    numbers = [int(part) for part in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def test_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    described = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
    newest = re.search(r"^(\S+) \((\S+)\)\n-+$", (ROOT / "CHANGES.rst").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert citation["version"] == described["version"] == PROJECT["version"] == astroquery_mmoda.__version__
    assert newest.groups() == (PROJECT["version"], str(citation["date-released"]))


def test_one_list_of_requirements():
    described = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
    assert described["softwareRequirements"] == PROJECT["dependencies"]


@pytest.mark.parametrize("extra", [None, "plot", "regions"])
def test_oldest_libraries_are_those_declared(extra):
    declared = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    assert bounds(declared)
    for name, version in bounds(declared).items():
        assert as_numbers(pins()[name]) == as_numbers(version), name


def test_everything_optional_is_in_all():
    extras = PROJECT["optional-dependencies"]
    apart = {"all", "test", "docs", "interop", "gw"}
    assert extras["all"] == [f"astroquery_mmoda[{','.join(name for name in extras if name not in apart)}]"]


def test_citation():
    assert "10.1051/0004-6361/202037850" in astroquery_mmoda.__citation__
    assert astroquery_mmoda.__bibtex__.count("\n@") == 3
    assert astroquery_mmoda.__bibtex__.count("{") == astroquery_mmoda.__bibtex__.count("}")
