# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Lists of INTEGRAL's science windows, and other lists, however they are written."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..text import Pasted, listed, printable
from .values import valid

_LONGEST_PATH = 1000
_WINDOW = re.compile(r"(?<!\d)\d{12}\.\d{3}(?!\d)")
_FORM = "Give texts of twelve digits, a point and the version (066500220010.001), or a Table with scw_id and scw_ver."


def science_windows(value: Any) -> list[str]:
    """INTEGRAL's science windows ``ddddddddpppp.vvv`` of a text, file, sequence or Table, each once and in order."""
    with valid("scw_list", value, "list of science windows", _FORM):
        if isinstance(value, Table):
            items = _windows_of_table(value)
        elif isinstance(value, (str, Path)):
            lines = _text_or_file(value).lstrip("\ufeff").splitlines()
            items = list_items("\n".join(line.split("#")[0] for line in lines))
        else:
            _refuse_masked(value)
            items = list_items(value)
        if not items and not isinstance(value, (str, list, tuple)):
            raise ValueError("it is empty; without windows the service would choose by position and time")
        counts = Counter(map(_window, items))
    if len(counts) < len(items):
        twice = [item for item, count in counts.items() if count > 1]
        warn(
            f"scw_list: {len(items) - len(counts)} science windows came more than once and are sent once: "
            f"{listed(twice, most=5)}.",
            InputWarning,
        )
    return list(counts)


def _window(item: str) -> str:
    """The identifier in an item: alone, or in a path of OSA's archive such as scw/0665/066500220010.001/swg.fits[1]."""
    identifiers = set(_WINDOW.findall(item))
    if len(identifiers) != 1 or not (item in identifiers or "/" in item or "[" in item):
        version = ": it has no version" if re.fullmatch(r"\d{11,12}", item) else ""
        raise ParameterError(f"scw_list: not a valid science window: {printable(item)!r}{version}. {_FORM}")
    return str(identifiers.pop())


def _windows_of_table(table: Table) -> list[str]:
    """Identifiers of a Table; its integers have lost their zeros, and some lists have the version in both columns."""
    columns = {name.lower(): table[name] for name in table.colnames}
    identifiers = _digits(columns["scw_id"], 12)
    if all("." in identifier for identifier in identifiers):
        return identifiers
    return [f"{number}.{version}" for number, version in zip(identifiers, _digits(columns["scw_ver"], 3), strict=True)]


def _digits(column: Any, digits: int) -> list[str]:
    """Texts without blanks, with the zeros that numbers have lost."""
    _refuse_masked(column)
    array = np.asarray(column)
    texts = array.astype(int if array.dtype.kind == "f" else array.dtype).astype(str)
    return [str(text).strip().zfill(digits) for text in texts]


def _refuse_masked(column: Any) -> None:
    rows = np.flatnonzero(np.asarray(getattr(column, "mask", False)))
    if len(rows):
        raise ValueError(f"{getattr(column, 'name', 'it')} is masked in row {listed(map(str, rows), most=5)}")


def _text_or_file(value: str | Path) -> str:
    """Text of a file, if the value is the path of one, else the value."""
    text = str(value)
    if isinstance(value, Pasted) or len(text) > _LONGEST_PATH or "\n" in text:
        return text
    path = Path(value).expanduser()
    return path.read_text(encoding="utf-8") if path.is_file() else text


def list_items(value: Any) -> list[str]:
    """Items of a sequence, a column, or a text with commas or blanks, also in Python's brackets."""
    if isinstance(value, str):
        text = value.strip()
        # as list_parameters shows a default, and as Python shows a list
        brackets = text[:1] + text[-1:] in ("[]", "()")
        items = (text[1:-1] if brackets else text).replace(",", " ").split()
        return [item.strip("'\" ") for item in items] if brackets else items
    # a set has no order, and another order is another analysis
    if isinstance(value, (bytes, dict, set, frozenset)):
        raise ParameterError(f"A list is needed, not a {type(value).__name__}.")
    return [item.decode() if isinstance(item, bytes) else str(item).strip() for item in value]
