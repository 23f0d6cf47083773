# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Tables whose numbers mean what they say, straight from a reply: no FITS HDU is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..allowance import Allowance
from ..errors import DecodingError, reading
from ..text import may_hold_token
from .arrays import FitsTable, read_pickle
from .encoded import decode_base64, unzipped
from .headercards import UNDEFINED, ascii_text, column_cards, read_header
from .jsontext import read_json

_FORMAT = re.compile(r"[0-9]{0,4}([BIJKED]?)")
_LETTERS = {"u1": "B", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}
_LONGEST_UNIT = 500
_LONGEST_NAME = 68


@dataclass(frozen=True, slots=True)
class PlainTable:
    """Cards of a header (None: undefined), and columns with their units (None: none)."""

    header: dict[str, Any]
    columns: dict[str, tuple[np.ndarray[Any, Any], str | None]]


def read_plain_tables(entry: Any, allowance: Allowance) -> list[PlainTable] | None:
    """
    Read the tables of one element of ``numpy_data_product_list``.

    Parameters
    ----------
    entry : dict
        The element.
    allowance : Allowance
        Memory.

    Returns
    -------
    list of PlainTable or None
        None where there are texts, scaled or variable-length columns, or anything unusual: `read_hdulist` is for these.
    """
    try:
        with allowance.attempt(), reading("product"):
            return [table for unit in entry["data_unit_list"] for table in _tables(unit, allowance)]
    except DecodingError:
        return None


def _tables(unit: Any, allowance: Allowance) -> Iterator[PlainTable]:
    """The table of a unit, if it has one."""
    unit = read_json(unit) if isinstance(unit, str) else unit
    if unit.get("binarys") is None or unit.get("hdu_type") not in ("table", "bintable"):
        if unit.get("data") is not None:
            raise DecodingError("data as lists")
        return
    data = read_pickle(unzipped(decode_base64(unit["binarys"], allowance), allowance), allowance)
    records = data.records if isinstance(data, FitsTable) else data
    if type(records) is not np.ndarray or records.ndim != 1 or not records.dtype.names:
        raise DecodingError("not a table")
    header, units = read_header(unit.get("header"), allowance), unit.get("units_dict") or {}
    cards = column_cards(header)
    columns = {}
    for name in records.dtype.names:
        if not (name.isascii() and name.isprintable()) or len(name) > _LONGEST_NAME or may_hold_token(name):
            raise DecodingError("unusual name of a column")
        told = cards.get(name, {})
        unit_of = units.get(name) or told.get("TUNIT")
        if isinstance(data, FitsTable):
            column = next(each for each in data.columns if each.name == name)
            unit_of = unit_of or column.unit
            told = {"TFORM": column.format, "TSCAL": column.bscale, "TZERO": column.bzero, "TDIM": column.dim}
        columns[name] = _values(name, data, records[name], told, allowance), _unit(unit_of)
    yield PlainTable({key: _value(value) for key, value in header.items()}, columns)


def _values(name: str, data: Any, values: Any, told: dict[str, Any], allowance: Allowance) -> np.ndarray[Any, Any]:
    """Values of a column; those that the server has converted go before the raw ones."""
    letter = _LETTERS.get(values.dtype.str[1:])
    form = _FORMAT.fullmatch(str(told.get("TFORM") or "").strip())
    if not letter or not form or form[1] not in ("", letter):
        raise DecodingError("a column to be interpreted")
    if told.get("TDIM") or told.get("TSCAL") not in (None, 1) or told.get("TZERO") not in (None, 0):
        raise DecodingError("a column with a scale or a shape")
    converted = data.converted.get(name) if isinstance(data, FitsTable) else None
    if converted is None or converted.shape != values.shape or converted.dtype == values.dtype:
        return values if converted is None or converted.shape != values.shape else converted
    if not np.can_cast(converted.dtype, values.dtype, "same_kind"):
        return values
    allowance.spend(values.nbytes, "a converted column")
    return converted.astype(values.dtype)


def _unit(told: Any) -> str | None:
    if not isinstance(told, str) or not told.strip():
        return None
    if len(told) > _LONGEST_UNIT:
        raise DecodingError("a long unit")
    return ascii_text(told)


def _value(value: Any) -> Any:
    """Value of a card as it is read from a FITS header."""
    return None if value is UNDEFINED else ascii_text(value).rstrip() if isinstance(value, str) else value
