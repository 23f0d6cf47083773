# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The data part of binary tables as it stands in a FITS file, from record arrays of any layout.

A column is either *raw* (its bytes are those of a FITS file: logicals as letters, unsigned numbers shifted, TSCAL and
TZERO not applied) or *physical* (a numpy column that means what it says).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..allowance import COLUMN_MEMORY, Allowance
from ..errors import DecodingError
from .arrays import Column, FitsTable
from .headercards import UNDEFINED, ascii_text, card

__all__ = ["RecordLayout", "layout", "put", "stored"]

Array = np.ndarray[Any, Any]

_MAX_COLUMNS = 999
_MAX_UNIT = 500
_MAX_P_HEAP = 2**31 - 1
_AT_ONCE = 10_000
_VALUES_AT_ONCE = 1_000_000
_ESCAPES = {4: "x", 6: "u", 10: "U"}
_HEX = np.frombuffer(b"0123456789abcdef", "u1")

_RAW = dict(L="i1", X="u1", B="u1", I="i2", J="i4", K="i8", E="f4", D="f8", C="c8", M="c16")
# numpy type: letter, stored type, TZERO; astropy would read signed bytes (TZERO -128) as floating point numbers
_PHYSICAL: dict[str, tuple[str, str, int]] = {
    "b1": ("L", "i1", 0),
    "i1": ("I", "i2", 0),
    "u1": ("B", "u1", 0),
    "i2": ("I", "i2", 0),
    "u2": ("I", "i2", 2**15),
    "i4": ("J", "i4", 0),
    "u4": ("J", "i4", 2**31),
    "i8": ("K", "i8", 0),
    "u8": ("K", "i8", 2**63),
    "f2": ("E", "f4", 0),
    "f4": ("E", "f4", 0),
    "f8": ("D", "f8", 0),
    "c8": ("C", "c8", 0),
    "c16": ("M", "c16", 0),
}
# variable-length columns have no TZERO: astropy reads it back with rounding
_ROW_TYPES = dict(b1="i1", i1="i2", u1="u1", i2="i2", u2="i4", i4="i4", u4="i8", i8="i8", f2="f4", f4="f4", f8="f8")
_ROW_TYPES |= dict(c8="c8", c16="c16", S1="S1", U1="S1")
_ROW_LETTERS = dict(u1="B", i2="I", i4="J", i8="K", f4="E", f8="D", c8="C", c16="M", S1="A")

_FORMAT = re.compile(r"([0-9]{0,9})([LXBIJKAEDCMPQ])(.*)", re.DOTALL)
_DISPLAY = re.compile(r"[AL][0-9]+|[IBOZ][0-9]+(\.[0-9]+)?|F[0-9]+\.[0-9]+|(E[NS]?|G|D)[0-9]+\.[0-9]+(E[0-9]+)?")
_DIMENSIONS = re.compile(r"\([0-9]{1,9}(,[0-9]{1,9}){0,30}\)")
_LAYOUT_CARDS = frozenset("TTYPE TFORM TDIM TNULL TSCAL TZERO TUNIT TDISP TBCOL".split())
_TEXT_CARDS = frozenset({"TCTYP", "TCUNI", "TRPOS"})
_NUMBER_CARDS = frozenset({"TCRPX", "TCRVL", "TCDLT"})


@dataclass(frozen=True, slots=True)
class _StoredColumn:
    """A column as it will be written: its cards without number, its type, and how its values are found."""

    cards: dict[str, Any]
    dtype: np.dtype[Any]
    values: Array
    raw: bool = True


@dataclass(slots=True)
class RecordLayout:
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
        return not self.heap and _same_bytes(self.records.dtype, self.columns)

    def cards(self) -> Iterator[str]:
        """TFIELDS and the cards of all columns."""
        for number, column in enumerate(self.columns, 1):
            for keyword, value in column.cards.items():
                yield from card(f"{keyword}{number}", value)

    def fill(self, target: memoryview) -> None:
        """Write the data part."""
        dtype, count = self.dtype, len(self.records)
        size = count * dtype.itemsize
        if size:
            out = np.ndarray(count, dtype, buffer=target[:size])
            # the records of rows of variable length point into another heap
            if self.stands_in_records():
                out.view("u1")[...] = np.ascontiguousarray(self.records).view("u1")
            else:
                for name, column in zip(dtype.names or (), self.columns, strict=True):
                    put(out[name], column.values, _as_it_is if column.raw else stored)
        for part in self.heap:
            target[size : size + len(part)] = part
            size += len(part)


def layout(
    table: Array | FitsTable,
    cards: Mapping[str, Mapping[str, Any]],
    units: Mapping[str, Any],
    allowance: Allowance,
) -> RecordLayout:
    """
    Work out how a table stands in a FITS file.

    Parameters
    ----------
    table : numpy.ndarray or FitsTable
        One dimension, structured.
    cards : dict
        What the header says about its columns, see `headers.column_cards`.
    units : dict
        Units of columns, which go before those of the header.
    allowance : Allowance
        Of the reply.
    """
    records = table.records if isinstance(table, FitsTable) else table
    names = records.dtype.names or ()
    if records.ndim != 1 or len(names) > _MAX_COLUMNS:
        raise DecodingError(f"expected a table of at most {_MAX_COLUMNS} columns")
    allowance.spend(COLUMN_MEMORY * len(names), "columns")
    known = {column.name: column for column in table.columns} if isinstance(table, FitsTable) else {}
    result = RecordLayout(records)
    for name in names:
        header = cards.get(name, {})
        column = known.get(name) or _from_header(name, header, records.dtype[name])
        rows = table.rows.get(name) if isinstance(table, FitsTable) else None
        variable = _letter(column)[0] in ("P", "Q")
        stored_column = (
            _rows(name, column, rows, result, allowance) if variable else _plain(name, column, records[name], allowance)
        )
        unit = units.get(name) or header.get("TUNIT") or column.unit
        stored_column.cards.update(_description(column, unit, header))
        result.columns.append(stored_column)
    return result


def _from_header(name: str, cards: Mapping[str, Any], dtype: np.dtype[Any]) -> Column:
    """
    What the header says about a column of a plain record array.

    The service cuts FITS tables down to such arrays when it appends a column. The bytes are still raw then, and
    big-endian; a native column was made otherwise, and the header tells nothing about its scaling.
    """
    form = cards.get("TFORM")
    from_file = isinstance(form, str) and dtype.base.str[0] in ">|"
    if not from_file:
        return Column(name, "")
    numbers = {"null": cards.get("TNULL"), "bscale": cards.get("TSCAL"), "bzero": cards.get("TZERO")}
    numbers = {key: value for key, value in numbers.items() if type(value) in (int, float)}
    dim = cards.get("TDIM")
    return Column(name, str(form).strip(), dim=dim if isinstance(dim, str) else None, **numbers)


def _letter(column: Column) -> tuple[str, int]:
    match = _FORMAT.fullmatch(column.format.strip().upper())
    return (match[2], int(match[1] or 1)) if match else ("", 0)


def _plain(name: str, column: Column, values: Array, allowance: Allowance) -> _StoredColumn:
    if values.dtype.names is not None:
        raise DecodingError("table with a column that is a table")
    if values.dtype.kind == "U":
        values = _ascii(values, allowance)
    letter, repeat = _letter(column)
    if values.dtype.kind == "S" or _RAW.get(letter) == values.dtype.str[1:]:
        letter = "A" if values.dtype.kind == "S" else letter
        base, cards, raw = values.dtype.newbyteorder(">"), _scaling(letter, column), True
    else:
        letter, base, cards = _stored_type(values.dtype)
        raw = False
    shape = values.shape[1:]
    number = _repeat(letter, base.itemsize * math.prod(shape), math.prod(shape), repeat)
    cards = {"TTYPE": ascii_text(name)[:68], "TFORM": f"{number}{letter}"} | cards
    dim = _dimensions(letter, base.itemsize, shape, column.dim, number)
    if dim:
        cards["TDIM"] = dim
    return _StoredColumn(cards, np.dtype((base, shape)), values, raw)


def _stored_type(dtype: np.dtype[Any]) -> tuple[str, np.dtype[Any], dict[str, Any]]:
    if dtype.str[1:] not in _PHYSICAL:
        raise DecodingError(f"table with a column of type {dtype.str}, which FITS doesn't have")
    letter, code, zero = _PHYSICAL[dtype.str[1:]]
    return letter, np.dtype(f">{code}"), {"TZERO": zero} if zero else {}


def _repeat(letter: str, width: int, count: int, declared: int) -> int:
    """The number before the letter of a TFORM: characters, bits or elements."""
    if letter == "A":
        return width
    if letter == "X":
        return declared if -(-declared // 8) == width else 8 * width
    return count


def stored(values: Array) -> Array:
    """Physical values as FITS stores them, but for the byte order."""
    dtype = values.dtype
    if dtype.kind == "b":
        return np.where(values.view("u1") != 0, np.int8(ord("T")), np.int8(ord("F")))
    zero = _PHYSICAL[dtype.str[1:]][2] if dtype.str[1:] in _PHYSICAL else 0
    if not zero:
        return values
    # adding or taking away half of the range is turning over the highest bit
    unsigned = np.dtype(f"u{dtype.itemsize}")
    native = values.astype(dtype.newbyteorder("="), copy=False).view(unsigned)
    return (native ^ unsigned.type(2 ** (8 * dtype.itemsize - 1))).view(_PHYSICAL[dtype.str[1:]][1])


def put(target: Array, values: Array, convert: Callable[[Array], Array]) -> None:
    """Convert values some at a time, so that all of them never stand there more than twice."""
    rows = max(_VALUES_AT_ONCE * len(values) // max(values.size, 1), 1)
    for start in range(0, len(values), rows):
        target[start : start + rows] = convert(values[start : start + rows])


def _as_it_is(values: Array) -> Array:
    return values


def _ascii(values: Array, allowance: Allowance) -> Array:
    allowance.spend(2 * values.nbytes, "texts in ASCII")
    width = values.dtype.itemsize // 4
    order = values.dtype.str[0]
    if not width or not values.size or np.ascontiguousarray(values).view(f"{order}u4").max() < 128:
        return values.astype(f"S{max(width, 1)}")
    flat = np.ascontiguousarray(values).reshape(-1)
    codes = flat.view(f"{order}u4").reshape(len(flat), width)
    longest = _escaped_width(codes)
    allowance.spend(longest * values.size, "texts in ASCII")
    found = np.empty(values.shape, f"S{longest}")
    for start in range(0, len(flat), _AT_ONCE):
        found.reshape(-1)[start : start + _AT_ONCE] = _escaped(codes[start : start + _AT_ONCE], longest)
    return found


def _escaped(codes: Array, longest: int) -> Array:
    r"""Texts in ASCII, other characters as ``\xe9``, ``\u03b1``, ...; numpy would make a Python object of each."""
    lengths = _lengths(codes)
    places = np.cumsum(lengths, axis=1) - lengths
    found = np.zeros((len(codes), longest), "u1")
    rows, columns = np.nonzero(lengths)
    codes, lengths, places = (part[rows, columns] for part in (codes, lengths, places))
    found[rows, places] = np.where(lengths == 1, codes, ord("\\"))
    for length, letter in _ESCAPES.items():
        some = lengths == length
        row, place, code = rows[some], places[some], codes[some]
        found[row, place + 1] = ord(letter)
        for digit in range(length - 2):
            found[row, place + 2 + digit] = _HEX[(code >> (4 * (length - 3 - digit))) & 15]
    return found.view(f"S{longest}").reshape(-1)


def _lengths(codes: Array) -> Array:
    """How long each character becomes; none for the padding behind the last one."""
    is_text = np.maximum.accumulate(codes[:, ::-1] != 0, axis=1)[:, ::-1]
    return np.where(codes < 128, 1, np.where(codes < 2**8, 4, np.where(codes < 2**16, 6, 10))) * is_text


def _escaped_width(codes: Array) -> int:
    r"""How long the longest text becomes when characters outside of ASCII are written as ``\xe9``, ``\u03b1``, ..."""
    widest = 1
    for start in range(0, len(codes), _AT_ONCE):
        widest = max(widest, int(_lengths(codes[start : start + _AT_ONCE]).sum(axis=1).max()))
    return widest


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


def _dimensions(letter: str, size: int, shape: tuple[int, ...], declared: str | None, number: int) -> str | None:
    lengths = ((size,) if letter == "A" else ()) + shape[::-1]
    if len(lengths) > 1:
        return f"({','.join(map(str, lengths))})"
    text = (declared or "").replace(" ", "")
    if _DIMENSIONS.fullmatch(text) and math.prod(int(n) for n in text[1:-1].split(",")) == number:
        return text
    return None


def _rows(
    name: str, column: Column, rows: list[Array] | None, result: RecordLayout, allowance: Allowance
) -> _StoredColumn:
    """A variable-length column: its rows go to the heap, (length, offset) to the table."""
    if rows is None or len(rows) != len(result.records):
        raise DecodingError(f"variable-length column {name!r} came without its rows")
    lengths = np.fromiter((len(row) for row in rows), dtype="i8", count=len(rows))
    # joined, converted, as bytes of the heap; the pairs and what they are made of
    allowance.spend(3 * int(_widths(rows) @ lengths) + 60 * len(rows), "rows of a variable-length column")
    letter, joined = _joined([row for row in rows if len(row)], column)
    start = result.heap_size
    wide = start + joined.nbytes > _MAX_P_HEAP
    result.heap.append(joined.tobytes())
    offsets = start + (np.cumsum(lengths) - lengths) * joined.itemsize
    pairs = np.stack([lengths, offsets], axis=-1)
    cards = {"TTYPE": ascii_text(name)[:68], "TFORM": f"1{'Q' if wide else 'P'}{letter}({lengths.max(initial=0)})"}
    return _StoredColumn(cards, np.dtype((">i8" if wide else ">i4", (2,))), pairs)


def _widths(rows: list[Array]) -> Array:
    """Bytes that each value of a row may come to take."""
    return np.fromiter((max(row.itemsize, 8) for row in rows), dtype="i8", count=len(rows))


def _joined(rows: list[Array], column: Column) -> tuple[str, Array]:
    """All rows one after another, big-endian, and the letter of their type."""
    if not rows:
        letter = re.sub(r"[^LBIJKAEDCM]", "", column.format.upper().lstrip("01PQ"))[:1] or "E"
        return letter, np.zeros(0, "S1" if letter == "A" else _RAW[letter])
    kinds = {row.dtype.str[1:] for row in rows}
    kind = kinds.pop()
    if kinds or kind not in _ROW_TYPES:
        raise DecodingError("variable-length column with rows of different or unknown types")
    if kind == "u8" and max(row.max() for row in rows) >= 2**63:
        raise DecodingError("variable-length column with numbers of more than 63 bits")
    letter = "L" if kind == "b1" else _ROW_LETTERS[_ROW_TYPES[kind]]
    joined = np.concatenate(rows)
    if kind in ("b1", "U1"):
        joined = joined.astype("S1") if kind == "U1" else stored(joined)
    return letter, joined.astype(np.dtype(_ROW_TYPES[kind]).newbyteorder(">"), copy=False)


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
    cards |= {keyword: value for keyword, value in header.items() if _is_remark(keyword, value)}
    return cards


def _is_remark(keyword: str, value: Any) -> bool:
    """Whether a column keyword is neither layout nor something that astropy would stumble over."""
    if keyword in _LAYOUT_CARDS or value is UNDEFINED:
        return False
    kinds = str if keyword in _TEXT_CARDS else (int, float) if keyword in _NUMBER_CARDS else object
    return isinstance(value, kinds)


def _same_bytes(dtype: np.dtype[Any], columns: list[_StoredColumn]) -> bool:
    """Whether the records stand in memory as they do in the file."""
    names = dtype.names or ()
    offsets = [0]
    for column in columns:
        offsets.append(offsets[-1] + column.dtype.itemsize)
    same = all(
        dtype[name] == column.dtype and dtype.fields is not None and dtype.fields[name][1] == offset
        for name, column, offset in zip(names, columns, offsets, strict=False)
    )
    return same and offsets[-1] == dtype.itemsize
