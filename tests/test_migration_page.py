# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Nobody who comes from another client is left without an answer: each of its public names is on the page about moving."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
DATA = Path(__file__).parent / "data"
PAGES = [
    pytest.param("from_oda_api.rst", "oda_api-1.3.5-names.txt", id="oda_api"),
    pytest.param("from_oda_integral_wrapper.rst", "oda-integral-wrapper-1.5.18-names.txt", id="oda-integral-wrapper"),
]


def names(path: Path) -> set[str]:
    """Public names of the other client, as they were read from the real package."""
    return {line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")}


def sections(page: Path) -> dict[str, list[list[str]]]:
    """Names in the first column of the page's tables, row by row, for each module of the other client."""
    parts = re.split(r"^``\w+\.(\w+)``.*\n\^+\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    cells = re.compile(r"^   \* - (.*?)^     - ", re.MULTILINE | re.DOTALL)
    quoted = re.compile(r"``(.+?)``")
    found: dict[str, list[list[str]]] = {}
    for module, text in zip(parts[1::2], parts[2::2], strict=True):
        found.setdefault(module, []).extend(quoted.findall(cell) for cell in cells.findall(text))
    return found


def told(page: Path) -> set[str]:
    """Those names in full; ``.method`` belongs to the class that its row begins with."""
    return {
        f"{module}.{row[0] if name.startswith('.') else ''}{name}"
        for module, rows in sections(page).items()
        for row in rows
        for name in row
    }


@pytest.mark.parametrize(("page", "listed"), PAGES)
def test_every_name_is_on_the_page(page, listed):
    assert sorted(names(DATA / listed) - told(next(DOCS.rglob(page)))) == []


@pytest.mark.parametrize(("page", "listed"), PAGES)
def test_no_name_is_made_up(page, listed):
    assert sorted(told(next(DOCS.rglob(page))) - names(DATA / listed)) == []
