# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Nobody who comes from oda_api is left without an answer: each of its public names is on the page about moving."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "from_oda_api.rst"
NAMES = [
    line
    for line in (Path(__file__).parent / "data" / "oda_api-1.3.5-names.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def sections() -> dict[str, list[list[str]]]:
    """Names in the first column of the page's tables, row by row, for each module of oda_api."""
    parts = re.split(r"^``oda_api\.(\w+)``.*\n\^+\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    cells = re.compile(r"^   \* - (.*?)^     - ", re.MULTILINE | re.DOTALL)
    names = re.compile(r"``(.+?)``")
    return {
        module: [names.findall(cell) for cell in cells.findall(text)]
        for module, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def told() -> set[str]:
    """Those names in full; ``.method`` belongs to the class that its row begins with."""
    return {
        f"{module}.{row[0] if name.startswith('.') else ''}{name}"
        for module, rows in sections().items()
        for row in rows
        for name in row
    }


def test_every_name_is_on_the_page():
    assert not sorted(set(NAMES) - told())


def test_no_name_is_made_up():
    assert not sorted(told() - set(NAMES))
