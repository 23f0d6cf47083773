# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Lists of INTEGRAL's science windows, and other lists, however they are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table
from astropy.units import Quantity
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..text import Pasted, printable

__all__ = ["list_items", "science_windows"]

_LONGEST_PATH = 1000
_MOST_NAMED = 5
_WINDOW = re.compile(r"(?<!\d)(\d{12})\.(\d{3})(?!\d)")
_FORM = "twelve digits, a point, three digits of the version, as in 066500220010.001"


def science_windows(value: Any) -> list[str]:
    """
    Read a list of INTEGRAL science windows.

    Parameters
    ----------
    value : str, Path, list, Column or Table
        Identifiers ``ddddddddpppp.vvv``: text with commas or blanks between them, the path of a file with such text,
        a sequence, a column; lines of OSA's index files, in which the identifier is found; or a Table with columns
        ``scw_id`` and ``scw_ver`` in any case, whose integers are completed with zeros.

    Returns
    -------
    list of str
        Each once, in the order given.

    Raises
    ------
    ParameterError
        An identifier has another form or no version, or a cell is masked.
    """
    items = _rows(value) if isinstance(value, Table) else _sequence(value)
    if not items and not isinstance(value, (str, list, tuple)):
        raise ParameterError(
            f"scw_list: the {type(value).__name__} holds no science windows; without a list the service would choose "
            "by position and time."
        )
    found = [_window(item) for item in items]
    unique = list(dict.fromkeys(found))
    if len(unique) < len(found):
        twice = [item for item, count in Counter(found).items() if count > 1]
        warn(
            f"scw_list: {len(found) - len(unique)} science windows came more than once and are sent once: "
            f"{_listing(twice)}.",
            InputWarning,
        )
    return unique


def _window(item: str) -> str:
    """The identifier in an item: alone, or in a path of OSA's archive such as scw/0665/066500220010.001/swg.fits[1]."""
    identifiers = {match[0] for match in _WINDOW.finditer(item)}
    if len(identifiers) == 1 and (item in identifiers or "/" in item or "[" in item):
        return identifiers.pop()
    if re.fullmatch(r"\d{12}", item):
        raise ParameterError(
            f"scw_list: {item!r} has no version; write the science window as {item}.001, or give a Table with scw_id "
            "and scw_ver."
        )
    raise ParameterError(f"scw_list: {printable(item)!r} is not a valid science window ({_FORM}).")


def _rows(table: Table) -> list[str]:
    """Identifiers of a Table; its integers have lost their zeros."""
    names = {name.lower(): name for name in table.colnames}
    if "scw_id" not in names:
        raise ParameterError("A Table as scw_list needs the columns scw_id and scw_ver.")
    identifiers = _cells(table[names["scw_id"]], "scw_id", 12)
    if "scw_ver" not in names:
        if all("." in identifier for identifier in identifiers):
            return identifiers
        raise ParameterError("A Table as scw_list needs the columns scw_id and scw_ver: the second is missing.")
    versions = _cells(table[names["scw_ver"]], "scw_ver", 3)
    return [
        # some lists have the version in both columns
        identifier if "." in identifier else f"{identifier}.{version}"
        for identifier, version in zip(identifiers, versions, strict=True)
    ]


def _cells(column: Column, name: str, digits: int) -> list[str]:
    _refuse_masked(column, name)
    return [_digits(cell, digits) for cell in column.tolist()]


def _refuse_masked(column: Any, name: str) -> None:
    rows = np.flatnonzero(np.asarray(getattr(column, "mask", False)))
    if len(rows):
        raise ParameterError(f"scw_list: {name} is masked in row {_listing(rows.tolist())}; leave these rows out.")


def _listing(items: Sequence[Any]) -> str:
    more = len(items) - _MOST_NAMED
    return ", ".join(str(item) for item in items[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _digits(cell: Any, digits: int) -> str:
    """A number with the zeros that it has lost; text stays, but for blanks."""
    if isinstance(cell, bytes):
        cell = cell.decode("ascii", "replace")
    if isinstance(cell, Real) and not isinstance(cell, bool) and cell == cell and float(cell).is_integer():
        return str(int(float(cell))).zfill(digits)
    text = str(cell).strip()
    return text.zfill(digits) if text.isdigit() else text


def _sequence(value: Any) -> list[str]:
    if isinstance(value, (Column, np.ndarray)):
        _refuse_masked(value, "a window")
    items = value if isinstance(value, (str, Path)) else list_items(value, of_number=_whole)
    return list_items(_text_of_file(items)) if isinstance(items, (str, Path)) else items


def _whole(number: Any) -> str:
    if isinstance(number, Integral) and not isinstance(number, bool):
        return str(number).zfill(12)
    raise ParameterError(
        f"scw_list: {printable(number)} is not a valid science window; give texts ({_FORM}), as a number loses digits."
    )


def _text_of_file(value: str | Path) -> str:
    """Content of a file, if the value is the path of one."""
    if isinstance(value, Pasted) or len(str(value)) > _LONGEST_PATH or "\n" in str(value):
        return _without_comments(str(value))
    try:
        path = Path(value).expanduser()
        if not path.is_file():
            return _without_comments(str(value))
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise ParameterError(f"scw_list={printable(value)!r} can't be read: {printable(error)}.") from error
    return _without_comments(text)


def _without_comments(text: str) -> str:
    """A comment may tell where a list is from."""
    return "\n".join(line.split("#")[0] for line in text.lstrip("\ufeff").splitlines())


def list_items(value: Any, *, of_number: Callable[[Any], str] = str) -> list[str]:
    """
    Items of a list however it is written: text with commas or blanks, also in Python's brackets; a sequence, a column.

    ``of_number`` turns numbers into items.
    """
    if isinstance(value, str):
        text = value.strip()
        # as list_parameters shows a default, and as Python shows a list
        if text[:1] + text[-1:] in ("[]", "()"):
            return [item.strip("'\" ") for item in text[1:-1].replace(",", " ").split()]
        return text.replace(",", " ").split()
    if isinstance(value, (Column, np.ndarray)) and not isinstance(value, Quantity):
        value = value.tolist()
    # a set has no order, and another order is another analysis
    # scalars of astropy look like collections
    is_scalar = not isinstance(value, Iterable) or getattr(value, "shape", None) == ()
    if is_scalar or isinstance(value, (bytes, dict, set, frozenset)):
        raise ParameterError(f"A list is needed, not a {type(value).__name__}.")
    return [_item(item, of_number) for item in value]


def _item(item: Any, of_number: Callable[[Any], str]) -> str:
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace").strip()
    return str(item).strip() if isinstance(item, str) or not isinstance(item, Real) else str(of_number(item))
