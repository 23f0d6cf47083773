# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Tables written as ECSV text, the form in which workflows send them.

They are read here and not by astropy, whose reader guesses at what it is handed (a path, an address), makes objects of
the classes that a header names, drops rows that begin with a comment sign, and takes blanks off texts. This is also
faster, and its memory is bounded: rows are turned into arrays some at a time.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from ..allowance import COLUMN_MEMORY, Allowance
from ..config import conf
from ..errors import DecodingError, reading
from ..text import printable
from ..units import check_units, read_unit
from .ecsvheaders import ColumnHeader, Header, read_header
from .literals import read_json

__all__ = ["read_ecsv"]

Array = np.ndarray[Any, Any]

_CELLS_AT_ONCE = 50_000
_ROWS_AT_ONCE = 5_000
_CHARACTERS_AT_ONCE = 200_000
_JSON_AT_ONCE = 3_000_000
_LONG_LINE = 2_000_000
# an array of texts has the width of the longest; where that is wasteful, they are kept as single objects
_SPARE = 50_000_000
# what is put between texts that are kept together
_MARK = "\n"
# memory of a text, or of an array in a cell, that is an object of its own
_TEXT = 70
_OBJECT = 220
# as many values as conf.max_json_values counts for a cell of JSON, or of any length; reading it takes as long
_OBJECTS_COUNT = 6
_BOOLEANS = {"True": True, "False": False, "true": True, "false": False, "1": True, "0": False, "": False}


def read_ecsv(text: Any, *, what: str = "table", allowance: Allowance | None = None) -> Table:
    """
    Read a table from ECSV text.

    Parameters
    ----------
    text : str
        The table itself; never the name of a file.
    what : str
        Short name of it for error messages.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    `~astropy.table.Table`
        Its columns have the types, units, descriptions and remarks of the text. Empty cells are masked. Mixin columns
        become the plain columns that they are written as (a position becomes ``pos.ra`` and ``pos.dec``); the format
        and scale of times and the frame of positions are kept in the ``meta`` of these. JSON values and rows of
        different lengths make columns of objects.

    Raises
    ------
    DecodingError
        If it is no ECSV table, or has anything in its header but plain values.
    """
    with reading(what):
        if not isinstance(text, str):
            raise DecodingError(f"expected ECSV text, got {type(text).__name__}")
        if len(text) > conf.max_product_size:
            raise DecodingError(f"{len(text)} characters are more than conf.max_product_size = {conf.max_product_size}")
        header, start = read_header(text)
        allowance = allowance or Allowance(len(text))
        allowance.spend(COLUMN_MEMORY * len(header.columns), "columns")
        check_units(column.unit for column in header.columns)
        return _assembled(header, _read_rows(text, start, header, allowance), allowance)


def _read_rows(text: str, start: int, header: Header, allowance: Allowance) -> list[Array]:
    names = [column.name for column in header.columns]
    lines = _lines(text, start, max(len(names), 1))
    rows = csv.reader(lines, delimiter=header.delimiter, skipinitialspace=True, strict=True)
    try:
        found = next(rows, [])
        if found != names:
            raise DecodingError(f"ECSV header tells of columns {_listed(names)}, its rows of {_listed(found)}")
        # a row has at least one character for each of its cells
        most = min(text.count("\n", start) + 1, len(text) // max(len(names), 1) + 1)
        columns = [_collector(column, most, allowance, masked=column.name in header.masks) for column in header.columns]
        for cells in _cells(rows, len(names)):
            for column, values in zip(columns, cells, strict=True):
                with reading(f"column {printable(column.name, limit=60)!r}"):
                    column.add(values)
    except csv.Error as error:
        raise DecodingError(f"unreadable rows ({error})") from error
    return [column.result() for column in columns]


def _lines(text: str, start: int, width: int) -> Iterator[str]:
    """Lines with their ends, which may stand inside a cell, from some text at a time: all of it would take memory."""
    return chain.from_iterable(io.StringIO(part, newline="\n") for part in _parts(text, start, width))


def _parts(text: str, start: int, width: int) -> Iterator[str]:
    """Some whole lines at a time; a line that can't be a row is refused, as only a row in pieces would show that."""
    longest = _CHARACTERS_AT_ONCE + 2 * width * csv.field_size_limit()
    while start < len(text):
        end = text.find("\n", start + _CHARACTERS_AT_ONCE) + 1 or len(text)
        part = text[start:end]
        if len(part) > longest or (len(part) > _LONG_LINE and max(map(part.count, " ,")) > _LONG_LINE):
            raise DecodingError(f"a line of more than {len(part) - _CHARACTERS_AT_ONCE} characters")
        yield part
        start = end


def _listed(names: list[str]) -> str:
    return printable(", ".join(names[:20]) or "no name", limit=200)


def _cells(rows: Iterable[list[str]], width: int) -> Iterator[list[tuple[str, ...]]]:
    """The cells of some rows at a time, column by column."""
    rows = iter(rows)
    while some := list(islice(rows, min(max(_CELLS_AT_ONCE // max(width, 1), 1), _ROWS_AT_ONCE))):
        some = [row for row in some if row] if [] in some else some
        lengths = set(map(len, some)) - {width}
        if lengths:
            raise DecodingError(f"expected rows of {width} cells, got one of {lengths.pop()}")
        if some:
            yield list(zip(*some, strict=True))


# ---- one column


class _Collector(Protocol):
    name: str

    def add(self, cells: Sequence[str]) -> None: ...
    def result(self) -> Array: ...


def _collector(header: ColumnHeader, most: int, allowance: Allowance, *, masked: bool) -> _Collector:
    if header.is_json or header.shape[-1:] == (None,):
        return _Objects(header, allowance)
    if header.shape:
        return _Arrays(header, most, allowance)
    if header.dtype is None:
        return _Texts(header, allowance, masked=masked)
    return _Numbers(header.name, header.dtype, most, allowance)


class _Numbers:
    """Numbers or bools, into an array that has room for all of them (memory is taken only as it is filled)."""

    def __init__(self, name: str, dtype: np.dtype[Any], most: int, allowance: Allowance) -> None:
        self.name = name
        self.allowance = allowance
        self.values = np.empty(most, dtype)
        self.missing: Array | None = None
        self.size = 0

    def add(self, cells: Sequence[str]) -> None:
        new = slice(self.size, self.size + len(cells))
        self.size = new.stop
        self.allowance.spend(self.values.itemsize * len(cells), "numbers")
        if "" in cells:
            if self.missing is None:
                self.allowance.spend(len(self.values), "missing numbers")
                self.missing = np.zeros(len(self.values), bool)
            self.missing[new] = [not cell for cell in cells]
            cells = [cell or "0" for cell in cells]
        self.values[new] = _numbers(cells, self.values.dtype)

    def result(self) -> Array:
        values = self.values[: self.size]
        return values if self.missing is None else np.ma.MaskedArray(values, self.missing[: self.size])


def _numbers(cells: Sequence[str], dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "b":
        unknown = next((cell for cell in cells if cell not in _BOOLEANS), None)
        if unknown is not None:
            raise DecodingError(f"{printable(unknown, limit=60)!r} is neither True nor False")
        return np.array([_BOOLEANS[cell] for cell in cells], dtype)
    if dtype.kind in "iu" and dtype.itemsize < 8:
        return _in_range(np.array(cells, "i8"), dtype)
    if dtype.kind == "u" and any(cell.startswith("-") for cell in cells):
        raise DecodingError("negative numbers in a column of unsigned ones")
    # a number that is too large for its type becomes infinite, as it would anywhere else
    with np.errstate(all="ignore"):
        return np.array(cells, dtype)


def _in_range(values: Array, dtype: np.dtype[Any]) -> Array:
    # versions of numpy before 2 cut off what is too large
    limits = np.iinfo(dtype)
    if values.size and not limits.min <= values.min() <= values.max() <= limits.max:
        raise DecodingError(f"numbers that are too large for {dtype.name}")
    return values.astype(dtype)


class _Texts:
    """Texts; an empty one is a missing one, unless the table has a mask of its own for them."""

    def __init__(self, header: ColumnHeader, allowance: Allowance, *, masked: bool) -> None:
        self.name = header.name
        self.masked = masked
        self.allowance = allowance
        self.texts = _Collected(allowance)

    def add(self, cells: Sequence[str]) -> None:
        self.texts.add(cells)

    def result(self) -> Array:
        values = self.texts.joined()
        if not self.texts.has_empty or self.masked:
            return values
        self.allowance.spend(len(values), "missing texts")
        return np.ma.MaskedArray(values, values == "")


class _Collected:
    """Texts, put together to long ones in the meantime: as arrays they take four times as much memory or more."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.pieces: list[str | Sequence[str]] = []
        self.size = self.width = self.characters = self.spent = 0
        self.has_empty = False

    def add(self, cells: Sequence[str]) -> None:
        piece: str | Sequence[str] = _MARK.join(cells)
        size = sys.getsizeof(piece)
        if piece.count(_MARK) != len(cells) - 1:
            piece = cells
            size += _TEXT * len(cells)
        self.allowance.spend(size, "texts")
        self.spent += size
        self.pieces.append(piece)
        self.size += len(cells)
        self.width = max(self.width, *map(len, cells))
        self.characters += sum(map(len, cells))
        self.has_empty |= "" in cells

    def joined(self) -> Array:
        """All of them in one array; the pieces are given up one by one."""
        wasteful = 4 * self.width * self.size > _SPARE + 16 * self.characters
        size = 4 * self.characters + _TEXT * self.size if wasteful else 4 * self.width * self.size
        self.allowance.spend(size, "texts")
        joined = np.empty(self.size, dtype=object if wasteful else f"U{max(self.width, 1)}")
        position = 0
        self.pieces.reverse()
        while self.pieces:
            piece = self.pieces.pop()
            cells = piece.split(_MARK) if isinstance(piece, str) else piece
            joined[position : position + len(cells)] = cells
            position += len(cells)
        self.allowance.refund(self.spent)
        return joined


class _Arrays:
    """Arrays of one shape, each written as JSON."""

    def __init__(self, header: ColumnHeader, most: int, allowance: Allowance) -> None:
        self.name = header.name
        self.dtype = header.dtype
        self.shape = tuple(length or 0 for length in header.shape)
        self.length = math.prod(self.shape)
        self.allowance = allowance
        self.texts = _Collected(allowance)
        # more rows than are allowed will not come; memory is taken only as it is filled
        self.most = min(most, allowance.left // max(self.length, 1) + 1)
        self.values = np.empty((0 if self.dtype is None else self.most, *self.shape), self.dtype)
        self.missing: Array | None = None
        self.size = 0

    def add(self, cells: Sequence[str]) -> None:
        # the value, of texts a reference, and whether it is missing
        width = 1 + (8 if self.dtype is None else self.dtype.itemsize)
        self.allowance.spend(width * self.length * len(cells), f"cells of shape {self.shape}")
        new = slice(self.size, self.size + len(cells))
        characters = sum(map(len, cells))
        if self.dtype is not None and characters < _JSON_AT_ONCE and all(cells) and "null" not in "".join(cells):
            with np.errstate(all="ignore"):
                values = np.array([_json(cell) for cell in cells], self.dtype)
            self._check(values.shape[1:])
            self.values[new] = values
        else:
            for number, cell in enumerate(cells, self.size):
                self._add_one(number, cell)
        self.size = new.stop

    def _add_one(self, number: int, cell: str) -> None:
        values, missing = _array(cell, self.dtype) if cell else _nothing(self.shape, self.dtype)
        self._check(values.shape)
        if missing.any():
            if self.missing is None:
                self.missing = np.zeros((self.most, *self.shape), bool)
            self.missing[number] = missing
        if self.dtype is None:
            self.texts.add(values.ravel().tolist())
        else:
            self.values[number] = values

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise DecodingError(f"expected cells of shape {self.shape}, got one of {shape}")

    def result(self) -> Array:
        values = self.values[: self.size]
        if self.dtype is None:
            values = self.texts.joined().reshape(self.size, *self.shape)
        return values if self.missing is None else np.ma.MaskedArray(values, self.missing[: self.size])


class _Objects:
    """JSON values of any kind, or arrays of different lengths."""

    def __init__(self, header: ColumnHeader, allowance: Allowance) -> None:
        self.name = header.name
        self.dtype = header.dtype
        self.allowance = allowance
        self.is_json = header.is_json
        self.values: list[Any] = []
        self.room = conf.max_json_values

    def add(self, cells: Sequence[str]) -> None:
        # single objects take much more memory than their text
        inner = sum(cell.count(mark) for cell in cells for mark in ",[{") if self.is_json else 0
        self.room -= _OBJECTS_COUNT * len(cells) + inner
        if self.room < 0:
            raise DecodingError(f"more values than conf.max_json_values = {conf.max_json_values} allows")
        self.allowance.spend(_OBJECT * len(cells) + _TEXT * inner, "values of JSON")
        self.values += [self._value(cell) for cell in cells]

    def _value(self, cell: str) -> Any:
        if self.is_json:
            return read_json(cell) if cell else None
        array, missing = _array(cell or "[]", self.dtype)
        if array.ndim < 1:
            raise DecodingError("expected a list in each row")
        values = array if self.dtype is not None else self._texts(array)
        return np.ma.MaskedArray(values, missing) if missing.any() else values

    def _texts(self, array: Array) -> Array:
        if not array.size:
            return np.empty(array.shape, str)
        texts = _Collected(self.allowance)
        texts.add(array.ravel().tolist())
        return texts.joined().reshape(array.shape)

    def result(self) -> Array:
        values = np.empty(len(self.values), dtype=object)
        for number, value in enumerate(self.values):
            values[number] = value
        return values


def _array(cell: str, dtype: np.dtype[Any] | None) -> tuple[Array, Array]:
    """An array from JSON lists, and where they have null; texts as single objects, to be joined later."""
    plain = _json(cell)
    with np.errstate(all="ignore"):
        if dtype is not None and "null" not in cell:
            values = np.array(plain, dtype=dtype)
            return values, np.zeros(values.shape, bool)
        objects = np.array(plain, dtype=object)
        missing: Array = np.reshape([value is None for value in objects.flat], objects.shape)
        objects[missing] = "" if dtype is None else 0
        if dtype is not None:
            return objects.astype(dtype), missing
    if not all(isinstance(value, str) for value in objects.flat):
        raise DecodingError("expected lists of texts")
    return objects, missing


def _json(cell: str) -> Any:
    """A value that is small enough, as a cell of a table, to do without the limits for whole replies."""
    try:
        return json.loads(cell)
    except ValueError as error:
        raise DecodingError(f"expected JSON, got {printable(cell[:200], limit=60)!r} ({error})") from error


def _nothing(shape: tuple[int, ...], dtype: np.dtype[Any] | None) -> tuple[Array, Array]:
    return (np.full(shape, "", object) if dtype is None else np.zeros(shape, dtype)), np.ones(shape, bool)


# ---- all of them


def _assembled(header: Header, arrays: list[Array], allowance: Allowance) -> Table:
    by_name = {column.name: array for column, array in zip(header.columns, arrays, strict=True)}
    for name, mask in header.masks.items():
        if by_name[mask].dtype.kind != "b":
            raise DecodingError(f"column {printable(mask, limit=60)!r} is no mask")
        allowance.spend(by_name[mask].size, "a mask")
        by_name[name] = np.ma.MaskedArray(by_name[name], by_name[mask])
    hidden = set(header.masks.values())
    columns = [_column(column, by_name[column.name]) for column in header.columns if column.name not in hidden]
    return Table(columns, meta=header.meta, copy=False)


def _column(header: ColumnHeader, array: Array) -> Any:
    cls = MaskedColumn if isinstance(array, np.ma.MaskedArray) else Column
    return cls(
        array,
        name=header.name,
        unit=read_unit(header.unit),
        description=header.description,
        format=header.format,
        meta=header.meta,
    )
