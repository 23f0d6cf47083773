# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Tables written as ECSV text, the form in which workflows send them.

They are read here and not by astropy, whose reader guesses what its argument is (a path, an address), makes objects of
the classes that a header names, drops rows that begin with a comment sign, and strips texts. This is also
faster, and its memory is bounded: rows are turned into arrays some at a time.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
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

_CELLS_AT_ONCE = 50_000
_ROWS_AT_ONCE = 5_000
_CHARACTERS_AT_ONCE = 200_000
_LONG_LINE = 2_000_000
# memory of a value of JSON, or of a cell that is an object of its own
_TEXT = 70
_OBJECT = 400
_BOOLEANS = {"True": True, "False": False, "true": True, "false": False, "1": True, "0": False, "": False}


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
        return _assembled(header, _read_rows(text, start, header, allowance), allowance)


def _read_rows(text: str, start: int, header: Header, allowance: Allowance) -> list[Array]:
    names = [column.name for column in header.columns]
    lines = chain.from_iterable(io.StringIO(part, newline="\n") for part in _parts(text, start, len(names)))
    rows = csv.reader(lines, delimiter=header.delimiter, skipinitialspace=True, strict=True)
    columns = [_Values(column, allowance, masked=column.name in header.masks) for column in header.columns]
    try:
        found = next(rows, [])
        if found != names:
            raise DecodingError(f"ECSV header with columns {_first_names(names)}, rows with {_first_names(found)}")
        for cells in _cells_by_column(rows, len(names)):
            for column, values in zip(columns, cells, strict=True):
                with reading(f"column {printable(column.header.name, limit=60)!r}"):
                    column.add(values)
    except csv.Error as error:
        raise DecodingError(f"unreadable rows ({error})") from error
    return [column.joined() for column in columns]


def _parts(text: str, start: int, width: int) -> Iterator[str]:
    """Some whole lines at a time; a line that can't be a row is refused, as only a row in pieces would show that."""
    longest = _CHARACTERS_AT_ONCE + 2 * max(width, 1) * csv.field_size_limit()
    while start < len(text):
        end = text.find("\n", start + _CHARACTERS_AT_ONCE) + 1 or len(text)
        part = text[start:end]
        if len(part) > longest or (len(part) > _LONG_LINE and max(map(part.count, " ,")) > _LONG_LINE):
            raise DecodingError(f"a line of more than {len(part) - _CHARACTERS_AT_ONCE} characters")
        yield part
        start = end


def _first_names(names: list[str]) -> str:
    return printable(", ".join(names[:20]) or "no name", limit=200)


def _cells_by_column(rows: Iterable[list[str]], width: int) -> Iterator[list[tuple[str, ...]]]:
    """The cells of some rows at a time, column by column."""
    rows = iter(rows)
    while some := list(islice(rows, min(max(_CELLS_AT_ONCE // max(width, 1), 1), _ROWS_AT_ONCE))):
        some = [row for row in some if row]
        lengths = set(map(len, some)) - {width}
        if lengths:
            raise DecodingError(f"expected rows of {width} cells, got one of {lengths.pop()}")
        if some:
            yield list(zip(*some, strict=True))


class _Values:
    """The values of one column, as an array of each part of the rows."""

    def __init__(self, header: ColumnHeader, allowance: Allowance, *, masked: bool) -> None:
        self.header = header
        self.allowance = allowance
        self.masked = masked  # by another column
        self.parts: list[Array] = []

    def add(self, cells: Sequence[str]) -> None:
        header = self.header
        if header.is_json or header.shape[-1:] == (None,):
            self.parts.append(self.objects(cells))
        elif header.shape:
            self.parts.append(self.arrays(cells))
        elif header.dtype is None:
            texts = self.texts(cells)
            empty = not self.masked and "" in cells
            self.parts.append(np.ma.MaskedArray(texts, [not cell for cell in cells]) if empty else texts)
        else:
            self.allowance.spend((header.dtype.itemsize + 1) * len(cells), "numbers")
            self.parts.append(_number_cells(cells, header.dtype))

    def texts(self, cells: Sequence[str]) -> Array:
        self.allowance.spend(4 * max(map(len, cells), default=1) * len(cells), "texts")
        return np.array(cells, dtype=str)

    def arrays(self, cells: Sequence[str]) -> Array:
        """Arrays of one shape, each written as JSON."""
        shape, dtype = tuple(length or 0 for length in self.header.shape), self.header.dtype
        width = 1 + (8 if dtype is None else dtype.itemsize)
        self.allowance.spend(width * math.prod(shape) * len(cells), f"cells of shape {shape}")
        values: Array = np.full((len(cells), *shape), "" if dtype is None else 0, dtype or object)
        missing = np.ones(values.shape, bool)
        for number, cell in enumerate(cells):
            if cell:
                values[number], missing[number] = _array(cell, dtype, shape)
        if dtype is None:
            values = self.texts(values.ravel().tolist()).reshape(values.shape)
        return np.ma.MaskedArray(values, missing) if missing.any() else values

    def objects(self, cells: Sequence[str]) -> Array:
        """JSON values of any kind, or arrays of different lengths, which take much more memory than their text."""
        is_json, dtype = self.header.is_json, self.header.dtype
        inner = sum(cell.count(mark) for cell in cells for mark in ",[{") if is_json else 0
        self.allowance.spend(_OBJECT * len(cells) + _TEXT * inner, "values of JSON")
        values = np.empty(len(cells), dtype=object)
        for number, cell in enumerate(cells):
            if is_json:
                values[number] = read_json(cell) if cell else None
                continue
            array, missing = _array(cell or "[]", dtype, None)
            if not array.ndim:
                raise DecodingError("expected a list in each row")
            if dtype is None:
                array = self.texts(array.ravel().tolist()).reshape(array.shape)
            values[number] = np.ma.MaskedArray(array, missing) if np.any(missing) else array
        return values

    def joined(self) -> Array:
        """All values in one array."""
        parts, self.parts = self.parts, []
        if not parts:
            shape = tuple(length or 0 for length in self.header.shape)
            if self.header.is_json or shape[-1:] == (0,):
                return np.empty(0, object)
            return np.empty((0, *shape), self.header.dtype or "U1")
        self.allowance.spend(max(part.itemsize for part in parts) * sum(part.size for part in parts), "a column")
        masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
        self.allowance.refund(sum(part.nbytes for part in parts))
        return np.ma.concatenate(parts) if masked else np.concatenate(parts)


def _number_cells(cells: Sequence[str], dtype: np.dtype[Any]) -> Array:
    missing = [not cell for cell in cells] if "" in cells else None
    if dtype.kind == "b":
        if unknown := set(cells) - _BOOLEANS.keys():
            raise DecodingError(f"{printable(unknown.pop(), limit=60)!r} is neither True nor False")
        values = np.array([_BOOLEANS[cell] for cell in cells], dtype)
    else:
        if dtype.kind == "u" and any(cell.startswith("-") for cell in cells):
            raise DecodingError("negative numbers in a column of unsigned ones")
        cells = [cell or "0" for cell in cells] if missing else cells
        is_short = dtype.kind in "iu" and dtype.itemsize < 8
        # a number that is too large for its type becomes infinite, as it would anywhere else
        with np.errstate(all="ignore"):
            values = np.array(cells, "i8" if is_short else dtype)
        # versions of numpy before 2 cut off what is too large
        if is_short and np.any(values != values.astype(dtype)):
            raise DecodingError(f"numbers that are too large for {dtype.name}")
        values = values.astype(dtype, copy=False)
    return np.ma.MaskedArray(values, missing) if missing else values


def _array(cell: str, dtype: np.dtype[Any] | None, shape: tuple[int | None, ...] | None) -> tuple[Array, Any]:
    """An array from JSON lists, and where they have null; texts as single objects."""
    try:
        # small enough, as a cell of a table, to do without the limits for whole replies
        plain = json.loads(cell)
    except ValueError as error:
        raise DecodingError(f"expected JSON, got {printable(cell[:200], limit=60)!r} ({error})") from error
    missing: Any = False
    with np.errstate(all="ignore"):
        values = np.array(plain, object if dtype is None or "null" in cell else dtype)
        if shape is not None and values.shape != shape:
            raise DecodingError(f"expected cells of shape {shape}, got one of {values.shape}")
        if values.dtype == object:
            missing = np.reshape([value is None for value in values.flat], values.shape)
            values[missing] = "" if dtype is None else 0
        if dtype is None and not all(isinstance(value, str) for value in values.flat):
            raise DecodingError("expected lists of texts")
        return values.astype(dtype or object, copy=False), missing


def _assembled(header: Header, arrays: list[Array], allowance: Allowance) -> Table:
    by_name = {column.name: array for column, array in zip(header.columns, arrays, strict=True)}
    for name, mask in header.masks.items():
        if by_name[mask].dtype.kind != "b":
            raise DecodingError(f"column {printable(mask, limit=60)!r} is not a mask")
        allowance.spend(by_name[mask].size, "a mask")
        by_name[name] = np.ma.MaskedArray(by_name[name], by_name[mask])
    columns = []
    for column in header.columns:
        if column.name not in header.masks.values():
            values = by_name[column.name]
            cls = MaskedColumn if isinstance(values, np.ma.MaskedArray) else Column
            described = dict(description=column.description, format=column.format, meta=column.meta)
            columns.append(cls(values, name=column.name, unit=read_unit(column.unit), **described))
    return Table(columns, meta=header.meta, copy=False)
