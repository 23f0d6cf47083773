# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Tables written as ECSV text, the form in which workflows send them.

They are read here and not by astropy, whose reader guesses what its argument is (a path, an address), makes objects of
the classes that a header names, drops rows that begin with a comment sign, and strips texts. This is also
faster, and its memory is bounded: rows are turned into arrays some at a time.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from ..allowance import COLUMN_MEMORY, Allowance
from ..config import conf
from ..errors import DecodingError, reading
from ..text import printable
from ..units import check_units, read_unit
from .arrays import Array
from .ecsvheaders import ColumnHeader, Header, read_ecsv_header
from .jsontext import read_json

_CHARACTERS_AT_ONCE = 200_000
_MAX_ROW = 1_000_000
# memory of a value of JSON, or of a cell that is an object of its own
_TEXT = 70
_OBJECT = 400
_FLOATS = (np.dtype("f4"), np.dtype("f8"))
_BOOLEANS = {"True": True, "true": True, "1": True, True: True}
_BOOLEANS |= {"False": False, "false": False, "0": False, False: False}


def read_ecsv(text: Any, *, what: str = "table", allowance: Allowance | None = None) -> Table:
    """
    Read a table from ECSV text, never from the name of a file.

    Mixin columns become the plain columns that they are written as; empty cells are masked.
    """
    with reading(what):
        if not isinstance(text, str):
            raise DecodingError(f"expected ECSV text, got {type(text).__name__}")
        if len(text) > conf.max_product_size:
            raise DecodingError(f"{len(text)} characters are more than conf.max_product_size = {conf.max_product_size}")
        header, start = read_ecsv_header(text)
        allowance = allowance or Allowance(len(text))
        allowance.spend(COLUMN_MEMORY * len(header.columns), "columns")
        check_units(column.unit for column in header.columns)
        parts: list[list[Array]] = [[] for _ in header.columns]
        for rows in _read_rows(text, start, header):
            for number, column in enumerate(header.columns):
                with reading(f"column {printable(column.name, limit=60)!r}"):
                    parts[number].append(_column_values(rows[column.name], column, allowance))
        return Table(
            [_joined(column, found, allowance) for column, found in zip(header.columns, parts, strict=True)],
            meta=header.meta,
            copy=False,
        )


def _read_rows(text: str, start: int, header: Header) -> Iterator[Array]:
    """Some rows at a time, as records of texts; the first records may be none."""
    names = [column.name for column in header.columns]
    rows = (_records(part, header.columns, header.delimiter) for part in _parts(text, start))
    first = next(rows, None)
    found = [] if first is None else list(first[0])
    if found != names:
        shown = (printable(", ".join(some[:20]) or "no name", limit=200) for some in (names, found))
        raise DecodingError("ECSV header with columns {}, rows with {}".format(*shown))
    return rows if first is None else chain([first[1:]], rows)


def _parts(text: str, start: int) -> Iterator[str]:
    """Some whole lines at a time, and no cell in pieces; what can't be a row is refused before it takes memory."""
    while start < len(text):
        end = text.find("\n", start + _CHARACTERS_AT_ONCE) + 1 or len(text)
        quotes = text.count('"', start, end)
        while quotes % 2 and end < len(text) and end - start <= _MAX_ROW:
            line_start, end = end, text.find("\n", end) + 1 or len(text)
            quotes += text.count('"', line_start, end)
        if quotes % 2 or end - start > _MAX_ROW:
            raise DecodingError(f"a quoted cell without end, or a row of more than {_MAX_ROW} characters")
        if part := text[start:end].strip("\r\n"):
            yield part
        start = end


def _records(part: str, columns: list[ColumnHeader], delimiter: str) -> Array:
    """Rows as records of texts, and of floating point numbers where all cells of the part have them."""
    plain = {column.name: column.dtype for column in columns if column.dtype in _FLOATS and not column.shape}
    for types in (plain, {}):
        dtype = [(column.name, types.get(column.name, object)) for column in columns]
        try:
            # a text given to it by itself would be the name of a file
            rows = io.StringIO(part, newline="\n")
            return np.loadtxt(rows, dtype, None, delimiter, quotechar='"', ndmin=1, encoding="utf-8")
        except ValueError as error:
            reason = str(error)
    raise DecodingError(f"unreadable rows ({reason})")


def _column_values(cells: Array, column: ColumnHeader, allowance: Allowance) -> Array:
    if column.is_json or column.shape[-1:] == (None,):
        return _objects(cells, column, allowance)
    if cells.dtype != object:
        allowance.spend(cells.nbytes, "numbers")
        return np.ascontiguousarray(cells)
    if not column.shape:
        cells[cells == ""] = None
        return _typed(cells, column.dtype, allowance)
    shape = tuple(length or 0 for length in column.shape)
    memory = 8 * math.prod(shape) * len(cells)
    allowance.spend(memory, f"cells of shape {shape}")
    values: Array = np.full((len(cells), *shape), None, object)
    for number, cell in enumerate(cells):
        if cell:
            array = np.array(read_json(cell), object)
            if array.shape != shape:
                raise DecodingError(f"expected cells of shape {shape}, got one of {array.shape}")
            values[number] = array
    typed = _typed(values, column.dtype, allowance)
    allowance.refund(memory)
    return typed


def _objects(cells: Array, column: ColumnHeader, allowance: Allowance) -> Array:
    """JSON values of any kind, or arrays of different lengths, which take much more memory than their text."""
    marks = sum(cell.count(mark) for cell in cells for mark in ",[{") if column.is_json else 0
    allowance.spend(_OBJECT * len(cells) + _TEXT * marks, "values of JSON")
    values = np.empty(len(cells), object)
    for number, cell in enumerate(cells):
        if column.is_json:
            values[number] = read_json(cell) if cell else None
            continue
        array = np.array(read_json(cell or "[]"), object)
        if not array.ndim:
            raise DecodingError("expected a list in each row")
        values[number] = _typed(array, column.dtype, allowance)
    return values


def _typed(values: Array, dtype: np.dtype[Any] | None, allowance: Allowance) -> Array:
    """Texts or JSON values as an array of one type, masked where they are None."""
    missing = values == np.array(None)
    values[missing] = "" if dtype is None else "0"
    if dtype is None:
        if set(map(type, values.flat)) - {str}:
            raise DecodingError("expected lists of texts")
        allowance.spend(4 * max(map(len, values.flat), default=1) * values.size, "texts")
        result = values.astype(str)
    else:
        allowance.spend((dtype.itemsize + 1) * values.size, "numbers")
        result = _numbers(values, dtype)
    return np.ma.MaskedArray(result, missing) if missing.any() else result


def _numbers(values: Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "b":
        if unknown := set(values.flat) - _BOOLEANS.keys():
            raise DecodingError(f"{printable(unknown.pop(), limit=60)!r} is neither True nor False")
        return np.array([_BOOLEANS[value] for value in values.flat], dtype).reshape(values.shape)
    if dtype.kind == "u" and any(str(value).startswith("-") for value in values.flat):
        raise DecodingError("negative numbers in a column of unsigned ones")
    if dtype.kind in "iu" and dtype.itemsize < 8:
        # versions of numpy before 2 cut off what is too large
        whole = values.astype("i8")
        if np.any(whole != whole.astype(dtype)):
            raise DecodingError(f"numbers that are too large for {dtype.name}")
        return whole.astype(dtype)
    # a number that is too large for its type becomes infinite, as it would anywhere else
    with np.errstate(all="ignore"):
        return values.astype(dtype)


def _joined(column: ColumnHeader, parts: list[Array], allowance: Allowance) -> Column:
    """The whole column; its parts are given up."""
    allowance.spend(max(part.itemsize for part in parts) * sum(part.size for part in parts), "a column")
    allowance.refund(sum(part.nbytes for part in parts))
    is_masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
    values = np.ma.concatenate(parts) if is_masked else np.concatenate(parts)
    parts.clear()
    cls = MaskedColumn if is_masked else Column
    return cls(values, name=column.name, unit=read_unit(column.unit), **column.description)
