# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Lists of INTEGRAL's science windows, and other lists, however they are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table
from astropy.units import Quantity
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..text import Pasted, listed, printable

_LONGEST_PATH = 1000
_MOST_NAMED = 5
_COLUMNS = {"scw_id": 12, "scw_ver": 3}  # with their digits
_WINDOW = re.compile(r"(?<!\d)\d{12}\.\d{3}(?!\d)")
_FORM = "twelve digits, a point, three digits of the version, as in 066500220010.001"


def science_windows(value: Any) -> list[str]:
    """INTEGRAL's science windows ``ddddddddpppp.vvv`` of a text, file, sequence or Table, each once and in order."""
    if isinstance(value, Table):
        items = _of_table(value)
    elif isinstance(value, (str, Path)):
        items = list_items("\n".join(line.split("#")[0] for line in _text_or_file(value).lstrip("\ufeff").splitlines()))
    else:
        _refuse_masked(value, "a window")
        items = list_items(value, of_number=_window_of_number)
    if not items and not isinstance(value, (str, list, tuple)):
        raise ParameterError(
            f"scw_list: the {type(value).__name__} holds no science windows; without a list the service would choose "
            "by position and time."
        )
    counts = Counter(map(_window, items))
    if len(counts) < len(items):
        twice = [item for item, count in counts.items() if count > 1]
        warn(
            f"scw_list: {len(items) - len(counts)} science windows came more than once and are sent once: "
            f"{listed(twice, most=_MOST_NAMED)}.",
            InputWarning,
        )
    return list(counts)


def _window(item: str) -> str:
    """The identifier in an item: alone, or in a path of OSA's archive such as scw/0665/066500220010.001/swg.fits[1]."""
    identifiers = set(_WINDOW.findall(item))
    if len(identifiers) == 1 and (item in identifiers or "/" in item or "[" in item):
        return str(identifiers.pop())
    if re.fullmatch(r"\d{12}", item):
        raise ParameterError(
            f"scw_list: {item!r} has no version; write the science window as {item}.001, or give a Table with scw_id "
            "and scw_ver."
        )
    raise ParameterError(f"scw_list: {printable(item)!r} is not a valid science window ({_FORM}).")


def _of_table(table: Table) -> list[str]:
    """Identifiers of a Table; its integers have lost their zeros, and some lists have the version in both columns."""
    names = {name.lower(): name for name in table.colnames}
    columns = [_digits(table[names[name]], name, digits) for name, digits in _COLUMNS.items() if name in names]
    if len(columns) == 1 and "scw_id" in names and all("." in identifier for identifier in columns[0]):
        return columns[0]
    if len(columns) < 2:
        raise ParameterError("A Table as scw_list needs the columns scw_id and scw_ver.")
    pairs = zip(*columns, strict=True)
    return [identifier if "." in identifier else f"{identifier}.{version}" for identifier, version in pairs]


def _digits(column: Column, name: str, digits: int) -> list[str]:
    """Texts without blanks, and numbers with the zeros that they have lost."""
    _refuse_masked(column, name)
    texts = [cell.decode("ascii", "replace") if isinstance(cell, bytes) else str(cell) for cell in column.tolist()]
    texts = [text.strip().removesuffix(".0") for text in texts]
    return [text.zfill(digits) if text.isdigit() else text for text in texts]


def _refuse_masked(column: Any, name: str) -> None:
    rows = np.flatnonzero(np.asarray(getattr(column, "mask", False)))
    if len(rows):
        raise ParameterError(
            f"scw_list: {name} is masked in row {listed(map(str, rows), most=_MOST_NAMED)}; leave these rows out."
        )


def _window_of_number(number: Any) -> str:
    if isinstance(number, Integral) and not isinstance(number, bool):
        return str(number).zfill(12)
    raise ParameterError(
        f"scw_list: {printable(number)} is not a valid science window; give texts ({_FORM}), as a number loses digits."
    )


def _text_or_file(value: str | Path) -> str:
    """Text of a file, if the value is the path of one, else the value."""
    text = str(value)
    if isinstance(value, Pasted) or len(text) > _LONGEST_PATH or "\n" in text:
        return text
    try:
        path = Path(value).expanduser()
        return path.read_text(encoding="utf-8") if path.is_file() else text
    except (OSError, ValueError, RuntimeError) as error:
        raise ParameterError(f"scw_list={printable(value)!r} can't be read: {printable(error)}.") from error


def list_items(value: Any, *, of_number: Callable[[Any], str] = str) -> list[str]:
    """
    Items of a list however it is written: text with commas or blanks, also in Python's brackets; a sequence, a column.

    ``of_number`` turns numbers into items.
    """
    if isinstance(value, str):
        text = value.strip()
        # as list_parameters shows a default, and as Python shows a list
        brackets = text[:1] + text[-1:] in ("[]", "()")
        items = (text[1:-1] if brackets else text).replace(",", " ").split()
        return [item.strip("'\" ") for item in items] if brackets else items
    if isinstance(value, (Column, np.ndarray)) and not isinstance(value, Quantity):
        value = value.tolist()
    # a set has no order, and another order is another analysis; scalars of astropy look like collections
    is_scalar = not isinstance(value, Iterable) or getattr(value, "shape", None) == ()
    if is_scalar or isinstance(value, (bytes, dict, set, frozenset)):
        raise ParameterError(f"A list is needed, not a {type(value).__name__}.")
    texts = (item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value)
    return [of_number(item) if isinstance(item, Real) else str(item).strip() for item in texts]
