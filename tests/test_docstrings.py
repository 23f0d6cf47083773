# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What is public is documented in full: numpydoc sections, each parameter, and an example that is run."""

from __future__ import annotations

import doctest
import inspect
import re
import sys
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path

import pytest

import astroquery_mmoda
from astroquery_mmoda import combine, plotting
from conftest import require

# rules of numpydoc.validate that we don't follow; EX01 is sharper below
_NOT_OURS = {
    "ES01",  # not everything needs more than a summary
    "SA01",  # nor a list of what else to see
    "EX01",
}
# users are handed these, and make none of their own: what they need to know are their attributes
_HANDED_OUT = {"Job", "ManyQueries", "Product"}


def _members(owner):
    """Public methods and properties of a class, inherited ones too as far as they are ours."""
    for base in owner.__mro__:
        if base.__module__.partition(".")[0] == "astroquery_mmoda":
            for name, value in vars(base).items():
                plain = getattr(value, "__func__", value)
                if not name.startswith("_") and (
                    inspect.isfunction(plain) or isinstance(plain, (property, cached_property))
                ):
                    yield base, name, plain


def _public():
    """Name, thing, and the class it is a member of, of all that users are meant to call."""
    found = {}
    for module in (astroquery_mmoda, combine, plotting):
        for name in module.__all__:
            thing, full = getattr(module, name), f"{module.__name__}.{name}"
            if inspect.isfunction(thing) or inspect.isclass(thing):
                found[full] = (thing, None)
            if inspect.isclass(thing):
                for base, member, value in _members(thing):
                    found.setdefault(f"{full}.{member}", (value, base))
    return found


PUBLIC = _public()


@cache
def _found(module):
    """Examples of a module by the name of what has them, as pytest --doctest-plus finds and runs them."""
    tests = doctest.DocTestFinder().find(sys.modules[module], module)
    return {test.name: test.examples for test in tests}


def _examples(thing, owner):
    plain = getattr(thing, "fget", None) or getattr(thing, "func", thing)
    full = f"{owner.__name__}.{plain.__name__}" if owner else thing.__name__
    home = (owner or thing).__module__
    return _found(home).get(f"{home}.{full}", [])


def test_all_is_looked_at():
    assert len(PUBLIC) > 90
    assert {"astroquery_mmoda.Products.table", "astroquery_mmoda.MmodaClass.session_info"} < set(PUBLIC)


def test_the_page_of_the_client_lists_all_of_it():
    page = (Path(__file__).resolve().parents[1] / "docs" / "reference" / "client.rst").read_text(encoding="utf-8")
    listed = re.findall(r"^   ~(MmodaClass\.\w+)$", page, flags=re.MULTILINE)
    assert sorted(f"astroquery_mmoda.{name}" for name in listed) == sorted(
        name for name in PUBLIC if name.startswith("astroquery_mmoda.MmodaClass.")
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_is_documented(name):
    require(find_spec("numpydoc"), "numpydoc")
    from numpydoc.validate import validate

    thing, _ = PUBLIC[name]
    ours = set(_NOT_OURS)
    if inspect.isclass(thing) and ("__init__" not in vars(thing) or thing.__name__ in _HANDED_OUT):
        ours.add("PR01")
    assert [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in ours] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_has_an_example_that_is_run(name):
    thing, owner = PUBLIC[name]
    examples = _examples(thing, owner)
    if not examples and isinstance(thing, (property, cached_property)):
        # what is read from an object may be shown where the object is
        word = re.compile(rf"\.{name.rpartition('.')[2]}\b")
        examples = [example for example in _examples(owner, None) if word.search(example.source)]
    assert examples, f"{name} has no example"
    assert not any(doctest.SKIP in example.options for example in examples)
