# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The data part of binary tables as it stands in a FITS file, from record arrays of any layout.

A column is either *raw* (its bytes are those of a FITS file: logicals as letters, unsigned numbers shifted, TSCAL and
TZERO not applied) or *physical* (a numpy column that means what it says).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..allowance import COLUMN_MEMORY, Allowance
from ..errors import DecodingError
from ..protocol import FITS_COLUMNS
from .arrays import Array, Column, FitsTable
from .headercards import UNDEFINED, all_cards, ascii_text

_MAX_UNIT = 500
_MAX_P_HEAP = 2**31 - 1
_VALUES_AT_ONCE = 1_000_000

# letters of the types that FITS stores
_LETTERS = dict(i1="L", u1="B", i2="I", i4="J", i8="K", f4="E", f8="D", c8="C", c16="M", S1="A")
_RAW = {letter: code for code, letter in _LETTERS.items()} | {"X": "u1"}
# numpy types that are stored as another, and their TZERO; astropy would read signed bytes (TZERO -128) as floats
_STORED = dict(b1="i1", i1="i2", u2="i2", u4="i4", u8="i8", f2="f4")
_ZEROS = dict(u2=2**15, u4=2**31, u8=2**63)
# variable-length columns have no TZERO: astropy reads it back with rounding
_STORED_ROWS = _STORED | dict(u2="i4", u4="i8", u8="", U1="S1")

_FORMAT = re.compile(r"([0-9]{0,9})([LXBIJKAEDCMPQ])(.*)", re.DOTALL)
_DISPLAY = re.compile(r"[ALIBOZFEDGNS]{1,2}[0-9]+(\.[0-9]+)?(E[0-9]+)?")
_LAYOUT_CARDS = frozenset("TTYPE TFORM TDIM TNULL TSCAL TZERO TUNIT TDISP TBCOL".split())
# others would stop astropy
_CARD_TYPES: dict[str, Any] = dict.fromkeys(("TCTYP", "TCUNI", "TRPOS"), str)
_CARD_TYPES |= dict.fromkeys(("TCRPX", "TCRVL", "TCDLT"), (int, float))


@dataclass(frozen=True, slots=True)
class _StoredColumn:
    """A column as it will be written: its cards without number, its type, and how its values are found."""

    cards: dict[str, Any]
    dtype: np.dtype[Any]
    values: Array
    raw: bool = True

    @property
    def is_plain(self) -> bool:
        """Whether the values are numbers that mean what they say, as they will be read."""
        if self.cards["TFORM"][-1] not in "BIJKED" or {"TDIM", "TSCAL", "TZERO"} & self.cards.keys():
            return False
        return bool(self.dtype.base.newbyteorder("=") == self.values.dtype.newbyteorder("="))


@dataclass(slots=True)
class TableLayout:
    """The data part of a table: rows of ``columns``, then ``heap``."""

    records: Array
    columns: list[_StoredColumn] = field(default_factory=list)
    heap: list[bytes] = field(default_factory=list)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a row."""
        return np.dtype([(f"f{i}", column.dtype) for i, column in enumerate(self.columns)])

    @property
    def size(self) -> int:
        """How many bytes `fill` writes."""
        return len(self.records) * self.dtype.itemsize + self.heap_size

    @property
    def heap_size(self) -> int:
        """How many of them follow the rows."""
        return sum(len(part) for part in self.heap)

    def stands_in_records(self) -> bool:
        """Whether the records stand in memory as they do in the file."""
        found = self.records.dtype
        fields = [(found.fields or {})[name][:2] for name in found.names or ()]
        wanted = [self.dtype.fields[name][:2] for name in self.dtype.names or ()] if self.dtype.fields else []
        # the records of rows of variable length point into another heap
        return not self.heap and fields == wanted and found.itemsize == self.dtype.itemsize

    def cards(self) -> list[str]:
        """The cards of the layout and of all columns."""
        values = dict(XTENSION="BINTABLE", BITPIX=8, NAXIS=2, NAXIS1=self.dtype.itemsize, NAXIS2=len(self.records))
        values |= dict(PCOUNT=self.heap_size, GCOUNT=1, TFIELDS=len(self.columns))
        for number, column in enumerate(self.columns, 1):
            values |= {f"{keyword}{number}": value for keyword, value in column.cards.items()}
        return all_cards(values)

    def fill(self, target: memoryview) -> None:
        """Write the data part."""
        dtype, count = self.dtype, len(self.records)
        size = count * dtype.itemsize
        if size:
            out = np.ndarray(count, dtype, buffer=target[:size])
            if self.stands_in_records():
                out.view("u1")[...] = np.ascontiguousarray(self.records).view("u1")
            else:
                for name, column in zip(dtype.names or (), self.columns, strict=True):
                    _write_column(out[name], column)
        for part in self.heap:
            target[size : size + len(part)] = part
            size += len(part)


def lay_out(
    table: Array | FitsTable,
    cards: Mapping[str, Mapping[str, Any]],
    units: Mapping[str, Any],
    allowance: Allowance,
) -> TableLayout:
    """Work out how a table stands in a FITS file, given the cards of its columns; ``units`` go before those."""
    records = table.records if isinstance(table, FitsTable) else table
    names = records.dtype.names or ()
    if records.ndim != 1 or len(names) > FITS_COLUMNS:
        raise DecodingError(f"expected a table of one dimension and at most {FITS_COLUMNS} columns")
    allowance.spend(COLUMN_MEMORY * len(names), "columns")
    known = {column.name: column for column in table.columns} if isinstance(table, FitsTable) else {}
    result = TableLayout(records)
    for name in names:
        header = cards.get(name, {})
        column = known.get(name) or _from_header(name, header, records.dtype[name])
        letter, repeat = _format_of(column)
        if letter in ("P", "Q"):
            rows = table.rows.get(name) if isinstance(table, FitsTable) else None
            stored = _variable_column(column, rows, result, allowance)
        else:
            stored = _fixed_column(column, letter, repeat, records[name], allowance)
        unit = units.get(name) or header.get("TUNIT") or column.unit
        stored.cards.update(_description(column, unit, header))
        result.columns.append(stored)
    return result


def _from_header(name: str, cards: Mapping[str, Any], dtype: np.dtype[Any]) -> Column:
    """What the header says about a column of a plain record array."""
    # The service cuts FITS tables down to such arrays when it appends a column. The bytes are still raw then, and
    # big-endian; a native column was made otherwise, and the header says nothing about its scaling.
    form = cards.get("TFORM")
    if not isinstance(form, str) or dtype.base.str[0] not in ">|":
        return Column(name, "")
    numbers = {"null": cards.get("TNULL"), "bscale": cards.get("TSCAL"), "bzero": cards.get("TZERO")}
    numbers = {key: value for key, value in numbers.items() if type(value) in (int, float)}
    return Column(name, form.strip(), **numbers)


def _format_of(column: Column) -> tuple[str, int]:
    match = _FORMAT.fullmatch(column.format.strip().upper())
    return (match[2], int(match[1] or 1)) if match else ("", 0)


def _fixed_column(column: Column, letter: str, repeat: int, values: Array, allowance: Allowance) -> _StoredColumn:
    if values.dtype.kind == "U":
        # a Python object of each
        allowance.spend(60 * values.size + 4 * values.nbytes, "texts in ASCII")
        # numpy 1 makes numbers of no texts
        values = np.char.encode(values, "ascii", "backslashreplace") if values.size else values.astype("S")
    raw = values.dtype.kind == "S" or _RAW.get(letter) == values.dtype.str[1:]
    if raw:
        letter = "A" if values.dtype.kind == "S" else letter
        base, cards = values.dtype.newbyteorder(">"), _scaling(letter, column)
    else:
        letter, code, zero = _physical(values.dtype)
        base, cards = np.dtype(f">{code}"), {"TZERO": zero} if zero else {}
    shape = values.shape[1:]
    number = math.prod(shape)
    if letter == "A":
        number *= base.itemsize
    elif letter == "X":  # of bits
        number = repeat if -(-repeat // 8) == number else 8 * number
    cards = {"TTYPE": ascii_text(column.name)[:68], "TFORM": f"{number}{letter}"} | cards
    # the bytes of a text are its innermost dimension
    lengths = ((base.itemsize,) if letter == "A" else ()) + shape[::-1]
    if len(lengths) > 1:
        cards["TDIM"] = f"({','.join(map(str, lengths))})"
    return _StoredColumn(cards, np.dtype((base, shape)), values, raw)


def _physical(dtype: np.dtype[Any]) -> tuple[str, str, int]:
    kind = dtype.str[1:]
    code = _STORED.get(kind, kind)
    if code not in _LETTERS:
        raise DecodingError(f"table with a column of type {dtype.str}, which FITS doesn't have")
    return _LETTERS[code], code, _ZEROS.get(kind, 0)


def _write_column(target: Array, column: _StoredColumn) -> None:
    """Write values some at a time, so that all of them never stand there more than twice."""
    values = column.values
    rows = max(_VALUES_AT_ONCE * len(values) // max(values.size, 1), 1)
    for start in range(0, len(values), rows):
        some = values[start : start + rows]
        target[start : start + rows] = some if column.raw else _stored(some)


def _stored(values: Array) -> Array:
    """Physical values as FITS stores them, but for the byte order."""
    if values.dtype.kind == "b":
        return np.where(values.view("u1") != 0, np.int8(ord("T")), np.int8(ord("F")))
    _, code, zero = _physical(values.dtype)
    if not zero:
        return values
    # adding or taking away half of the range is turning over the highest bit
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    return (values.astype(unsigned) ^ unsigned.type(zero)).view(code)


def _scaling(letter: str, column: Column) -> dict[str, Any]:
    cards: dict[str, Any] = {}
    if letter in "LXA":
        return cards
    if column.null is not None and letter in "BIJK" and float(column.null).is_integer():
        cards["TNULL"] = int(column.null)
    if column.bscale not in (None, 0, 1):
        cards["TSCAL"] = column.bscale
    if column.bzero not in (None, 0):
        cards["TZERO"] = column.bzero
    return cards


def _variable_column(
    column: Column, rows: list[Array] | None, result: TableLayout, allowance: Allowance
) -> _StoredColumn:
    """A variable-length column: its rows go to the heap, (length, offset) to the table."""
    if rows is None or len(rows) != len(result.records):
        raise DecodingError(f"variable-length column {column.name!r} came without its rows")
    lengths = np.fromiter(map(len, rows), "i8", len(rows))
    # joined, converted, as bytes of the heap; the pairs and what they are made of
    width = max((row.itemsize for row in rows), default=0)
    allowance.spend(3 * max(width, 8) * int(lengths.sum()) + 60 * len(rows), "rows of a variable-length column")
    letter, joined = _joined_rows([row for row in rows if len(row)], column)
    start = result.heap_size
    wide = start + joined.nbytes > _MAX_P_HEAP
    result.heap.append(joined.tobytes())
    offsets = start + (np.cumsum(lengths) - lengths) * joined.itemsize
    form = f"1{'Q' if wide else 'P'}{letter}({lengths.max(initial=0)})"
    cards = {"TTYPE": ascii_text(column.name)[:68], "TFORM": form}
    return _StoredColumn(cards, np.dtype((">i8" if wide else ">i4", (2,))), np.stack([lengths, offsets], axis=-1))


def _joined_rows(rows: list[Array], column: Column) -> tuple[str, Array]:
    """All rows one after another, big-endian, and the letter of their type."""
    if not rows:
        letter = re.sub(r"[^LBIJKAEDCM]", "", column.format.upper().lstrip("01PQ"))[:1] or "E"
        return letter, np.zeros(0, _RAW[letter])
    kind, *others = {row.dtype.str[1:] for row in rows}
    code = _STORED_ROWS.get(kind, kind)
    if others or code not in _LETTERS:
        raise DecodingError("variable-length column with rows of different or unknown types")
    joined = _stored(np.concatenate(rows)) if kind == "b1" else np.concatenate(rows)
    return _LETTERS[code], joined.astype(np.dtype(code).newbyteorder(">"), copy=False)


def _description(column: Column, unit: Any, header: Mapping[str, Any]) -> dict[str, Any]:
    """Unit, display format and whatever else the header has to say about a column (TLMIN, TCOMM, ...)."""
    cards: dict[str, Any] = {}
    if isinstance(unit, str) and unit.strip():
        if len(unit) > _MAX_UNIT:
            raise DecodingError(f"a unit of {len(unit)} characters, {_MAX_UNIT} are the most")
        cards["TUNIT"] = ascii_text(unit)
    display = header.get("TDISP", column.disp)
    if isinstance(display, str) and _DISPLAY.fullmatch(display.strip()):
        cards["TDISP"] = display.strip()
    others = {key: value for key, value in header.items() if key not in _LAYOUT_CARDS and value is not UNDEFINED}
    return cards | {key: value for key, value in others.items() if isinstance(value, _CARD_TYPES.get(key, object))}
