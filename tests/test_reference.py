# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The tables of the reference are complete and true: compared with the signatures and the messages of the package."""

import argparse
import ast
import inspect
import re
from fnmatch import fnmatch
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

import astroquery_mmoda
from astroquery_mmoda import MmodaClass, combine, plotting
from astroquery_mmoda.cli.arguments import make_parser
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
        argument, *patterns = LITERAL.findall(name)
        only = [owner for owner in every if any(fnmatch(owner, pattern) for pattern in patterns)]
        assert bool(only) == bool(patterns), name
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
            assert not given
            assert set(named).isdisjoint(parameters(name)), example
        elif parameter.kind is parameter.VAR_POSITIONAL:
            assert given
            assert not named
        elif parameter.default is parameter.empty:
            assert (len(given), named) == (1, {}), example
        else:
            assert (given, list(named)) == ((), [argument]), example


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


# ---- errors and warnings

ERRORS = (DOCS / "reference" / "errors.rst").read_text(encoding="utf-8")
CLASSES = {
    "parameter-error": "ParameterError",
    "authentication-error": "AuthenticationError",
    "service-error": "ServiceError",
    "job-failed": "JobFailed",
    "job-lost": "JobLost",
    "job-timeout": "JobTimeout",
    "decoding-error": "DecodingError",
    "mmoda-error": "MmodaError",
}
PACKAGE = Path(astroquery_mmoda.__file__).parent
# of damaged products there are as many messages as ways to be damaged; the table has the frequent ones
COUNTED = set(CLASSES.values()) - {"DecodingError"}


def text_of(node):
    """Constant words of an expression that makes a text, with a mark where something is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "\0" for part in node.values)
    return ""


def messages():
    """All texts of the package, and those of errors and warnings with their classes and places."""
    texts, raised = [], []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts += [text for text in map(text_of, ast.walk(tree)) if text]
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and call.args and isinstance(call.func, (ast.Name, ast.Attribute)):
                name = getattr(call.func, "id", None) or getattr(call.func, "attr", "")
                if name == "warn" and len(call.args) == 2:
                    name = ast.unparse(call.args[1])
                raised.append((name, text_of(call.args[0]), f"{path.relative_to(PACKAGE)}:{call.lineno}"))
    return texts, raised


TEXTS, RAISED = messages()
QUOTED = {
    label: [quote for row in rows(text) for quote in LITERAL.findall(row[0])]
    for label, text in sections(ERRORS).items()
    if label.removeprefix("reference-") in CLASSES or label == "reference-warnings"
}


def says(quote):
    """A pattern of the message that is quoted; an ellipsis is what differs from one to the other."""
    return re.compile(r".*?".join(re.escape(part.strip()) for part in quote.split("…")), re.DOTALL)


@pytest.mark.parametrize("label", QUOTED)
def test_messages_that_are_quoted_are_in_the_code(label):
    assert [quote for quote in QUOTED[label] if not any(says(quote).search(text) for text in TEXTS)] == []


@pytest.mark.parametrize("kind", sorted(COUNTED) + ["Warning"])
def test_every_message_is_in_the_tables(kind):
    label = "warnings" if kind == "Warning" else next(each for each, name in CLASSES.items() if name == kind)
    patterns = [says(quote) for quote in QUOTED[f"reference-{label}"]]
    missing = [
        (place, text)
        for name, text, place in RAISED
        if name.endswith(kind)
        # what has hardly any words of its own is made of a text that is checked elsewhere
        and len(re.sub(r"[\W_]", "", text)) > 12
        and not any(pattern.search(text) for pattern in patterns)
    ]
    assert missing == []


def test_every_class_of_errors_and_warnings_is_there():
    ours = {name for name in astroquery_mmoda.__all__ if isinstance(getattr(astroquery_mmoda, name), type)}
    ours = {name for name in ours if issubclass(getattr(astroquery_mmoda, name), Exception)}
    warned = {name for name, _, _ in RAISED if re.fullmatch(r"\w+Warning", name)}
    named = {link.rpartition(".")[2] for link in re.findall(r":class:`~([\w.]+)`", ERRORS)}
    assert ours | warned <= named
    assert {*CLASSES.values()} == ours


# ---- the configuration and the command line


def page(name):
    return next(DOCS.rglob(name)).read_text(encoding="utf-8")


def test_every_item_of_the_configuration_is_described():
    shown = {LITERAL.findall(row[0])[0]: row for row in rows(page("configuration.rst")) if len(row) == 5}
    assert set(shown) == set(astroquery_mmoda.conf)
    for name, item in astroquery_mmoda.conf.items():
        default = eval(LITERAL.findall(shown[name][3])[0])
        assert default == item.defaultvalue
        assert type(default) is type(item.defaultvalue)
        unit = re.search(r" \((\w+)\)\.$", item.description)
        assert not unit or unit[1] == shown[name][2], name


def test_every_option_of_the_command_line_is_described():
    def actions(parser):
        return parser._actions  # noqa: SLF001 - argparse has no other list of them

    commands = next(action for action in actions(make_parser()) if action.dest == "command").choices
    text = page("command_line.rst")
    shown = {LITERAL.findall(row[0])[0].split()[0]: row[1] for row in rows(text) if len(row) == 5}
    expected = {"--version": set(), "--help": set(commands)}
    for command, own in commands.items():
        assert f"``{command}" in text
        for action in actions(own):
            if action.help != argparse.SUPPRESS and action.dest != "help":
                name = action.option_strings[-1] if action.option_strings else action.metavar
                expected.setdefault(name, set()).add(command)
    told = {name: set(commands) if cell == "all" else set(LITERAL.findall(cell)) for name, cell in shown.items()}
    assert told == expected
