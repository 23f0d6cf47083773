# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The tables of the reference are complete and true: compared with the signatures and the messages of the package."""

import inspect
import re
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

import astroquery_mmoda
from astroquery_mmoda import MmodaClass, combine, plotting
from tests.test_docstrings import PUBLIC
from tests.tokens import mint

DOCS = Path(__file__).resolve().parents[1] / "docs"
ARGUMENTS = (DOCS / "reference" / "arguments.rst").read_text(encoding="utf-8")
LITERAL = re.compile(r"``(.+?)``", re.DOTALL)


def sections(page):
    """Parts of a page by the label in front of their title."""
    parts = re.split(r"^\.\. _([\w-]+):\n", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text):
    """Cells of the list-tables in a text, without the headings; lines of a cell are joined."""
    for table in re.findall(r"^\.\. list-table::.*\n(?:   .*\n|\n)+", text, flags=re.MULTILINE):
        for row in re.split(r"^   \* -", table, flags=re.MULTILINE)[2:]:
            yield [" ".join(cell.split()) for cell in re.split(r"^     -", row, flags=re.MULTILINE)]


# ---- arguments


def callables():
    """What users call, by its short name."""
    found = {name: getattr(module, name) for module in (astroquery_mmoda, combine, plotting) for name in module.__all__}
    functions = {name: value for name, value in found.items() if inspect.isfunction(value)}
    for full, (value, owner) in PUBLIC.items():
        if owner is not None and inspect.isfunction(value) and not issubclass(owner, Exception):
            functions[full.rpartition(".")[2]] = getattr(owner, full.rpartition(".")[2])
    return functions | {"MmodaClass": MmodaClass, "Token": astroquery_mmoda.Token}


CALLABLES = callables()
FAMILIES = {label: text for label, text in sections(ARGUMENTS).items() if label.startswith("arguments-")}


def parameters(name):
    """Parameters of something by their names, with their stars."""
    stars = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    found = inspect.signature(CALLABLES[name]).parameters.values()
    return {stars.get(one.kind, "") + one.name: one for one in found if one.name != "self"}


def members(family):
    """What a section is about: all that has a link in front of its table."""
    links = re.findall(r":(?:meth|func|class):`~astroquery_mmoda\.([\w.]+)`", family.partition(".. list-table::")[0])
    return [name for name in (link.rpartition(".")[2] for link in links) if name in CALLABLES]


def described(label):
    """The table of a family: for each argument and method the default and the example."""
    family = FAMILIES[label]
    every, found = members(family), {}
    for name, _, _, default, example, _ in rows(family):
        argument, *only = LITERAL.findall(name)
        owners = only or every
        if "(not " in name:
            owners = [owner for owner in every if owner not in only]
        for owner in owners:
            assert (owner, argument) not in found, (owner, argument)
            found[owner, argument] = (default, LITERAL.findall(example)[0])
    return found


@pytest.mark.parametrize("label", FAMILIES)
def test_each_argument_is_in_the_table_of_its_family(label):
    assert set(described(label)) == {(name, one) for name in members(FAMILIES[label]) for one in parameters(name)}


def test_each_method_is_in_a_family():
    found = [name for family in FAMILIES.values() for name in members(family)]
    assert sorted(set(CALLABLES) - set(found)) == []


@pytest.mark.parametrize("label", FAMILIES)
def test_defaults_are_those_of_the_signatures(label):
    for (name, argument), (default, _) in described(label).items():
        parameter = parameters(name)[argument]
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            assert default == "any"
        elif parameter.default is parameter.empty:
            assert default == "needed", (name, argument)
        else:
            shown = eval(LITERAL.findall(default)[0], {"u": u})
            assert type(shown) is type(parameter.default), (name, argument)
            assert shown == parameter.default, (name, argument)


BRIGHT = Table({"src_names": ["Crab"], "ra": [83.63] * u.deg, "dec": [22.01] * u.deg})
NAMES = {"u": u, "SkyCoord": SkyCoord, "bright": BRIGHT, "len": len, "my_token": mint()}
# objects that a reader has, or was given
NAMES |= {
    name: MagicMock()
    for name in ("Mmoda", "ax", "curve", "executor", "found", "mosaic", "record", "reply", "snippet", "spectra")
}
NAMES |= dict.fromkeys(("first", "second"), NAMES["mosaic"])


def evaluated(example):
    """Arguments of an example: those by position and those by name."""
    return eval(f"(lambda *given, **named: (given, named))({example})", dict(NAMES))


@pytest.mark.parametrize("label", FAMILIES)
def test_examples_are_python_and_fit_to_the_signatures(label):
    for (name, argument), (_, example) in described(label).items():
        given, named = evaluated(example)
        parameter = parameters(name)[argument]
        if parameter.kind is parameter.VAR_KEYWORD:
            assert not given and set(named).isdisjoint(parameters(name)), example
        elif parameter.kind is parameter.VAR_POSITIONAL:
            assert given and not named
        elif parameter.default is parameter.empty:
            assert len(given) == 1 and not named, example
        else:
            assert not given and list(named) == [argument], example


def test_examples_of_queries_are_accepted(local_mmoda):
    client = MmodaClass(local_mmoda.url)
    windows = {"scw_list": ["066500220010.001", "066500230010.001"], "catalog": BRIGHT}
    beside = {"windows_per_job": windows, "on_error": windows | {"windows_per_job": 2}}
    for (name, argument), (_, example) in described("arguments-queries").items():
        given, named = evaluated(example)
        if name != "query_lightcurve" or argument in ("product", "query_type", "token"):
            continue
        arguments = {"product": "isgri_lc"} if argument != "product" else {}
        if argument != "coordinates":
            arguments["coordinates"] = "Crab"
        if argument not in beside:
            arguments["time_range"] = (57819, 57820)
        arguments |= beside.get(argument, {}) | named | {"get_query_payload": True}
        payload = client.query_lightcurve(*(given or ("isgri",)), **arguments)
        assert payload, example


def test_arguments_of_queries_are_told_once():
    """The page about queries shows those that are used most, and has a link to the table of all."""
    text = (next(DOCS.rglob("queries.rst"))).read_text(encoding="utf-8")
    assert ":ref:`reference-arguments`" in text or "<reference-arguments>`" in text
    assert "get_query_payload" not in str(list(rows(text)))

