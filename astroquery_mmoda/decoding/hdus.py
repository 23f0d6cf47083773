# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
FITS HDUs from the numpy products of the service.

A table is laid out as it would stand in a file and handed to astropy to be read, so that scaling, strings, logicals
and variable-length columns mean exactly what they mean in any file, and nothing is converted before it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits

from ..allowance import CARD_MEMORY, HDU_MEMORY, Allowance
from ..errors import DecodingError, reading
from ..protocol import FITS_BLOCK
from ..text import may_hold_token, printable
from . import headercards
from .arrays import Array, FitsTable, read_pickle
from .encoded import decode_base64, decode_between, unzipped
from .jsontext import read_json
from .tabledata import TableLayout, lay_out

# base64 of this length is decoded between space for a header, rather long ones included, and padding
_LARGE = 1_000_000
_SPACE = 40 * FITS_BLOCK
_TABLES = ("table", "bintable")
_TYPES = ("primary", "image", *_TABLES, None)
# types of images that FITS doesn't have, and those that hold the same
_IMAGE_TYPES = {"b1": "u1", "i1": "i2", "f2": "f4"}
_IMAGE_TYPES |= {code: code for code in "u1 i2 u2 i4 u4 i8 u8 f4 f8".split()}


@dataclass(frozen=True, slots=True)
class PlainTable:
    """Cards of a header (None: undefined), and columns with their units (None: none)."""

    header: dict[str, Any]
    columns: dict[str, tuple[Array, str | None]]


def read_hdulist(entry: Any, *, what: str = "product", allowance: Allowance | None = None) -> fits.HDUList:
    """
    Read one element of ``numpy_data_product_list``, which may be JSON text, as the FITS file that it represents.

    The HDUs have the service's order and names; an image that comes first is the primary HDU.
    """
    with reading(what):
        units = _json_dictionary(entry).get("data_unit_list")
        if not isinstance(units, list):
            raise DecodingError(f"expected a list as data_unit_list, got {type(units).__name__}")
        allowance = allowance or Allowance.of(entry)
        hdus: list[Any] = []
        for number, unit in enumerate(units):
            with reading(f"unit {number}"):
                hdus += _read_unit(_json_dictionary(unit), allowance, first=number == 0)
        return fits.HDUList(hdus or [fits.PrimaryHDU()])


def read_plain_tables(entry: Any, allowance: Allowance) -> list[PlainTable] | None:
    """
    Read the tables of one element of ``numpy_data_product_list`` without making HDUs of them.

    None where there are texts, scaled or variable-length columns, or anything unusual: `read_hdulist` is for these.
    """
    try:
        with allowance.attempt(), reading("product"):
            return [table for unit in entry["data_unit_list"] for table in _plain_table(unit, allowance)]
    except DecodingError:
        return None


def _json_dictionary(value: Any) -> dict[str, Any]:
    value = read_json(value) if isinstance(value, str) else value
    if not isinstance(value, dict):
        raise DecodingError(f"expected a dictionary, got {type(value).__name__}")
    return value


def _plain_table(unit: Any, allowance: Allowance) -> Iterator[PlainTable]:
    """The table of a unit, if it has one."""
    unit = _json_dictionary(unit)
    data, _ = _read_data(unit, allowance)
    if data is None or unit.get("hdu_type") not in _TABLES:
        return
    header = headercards.read_cards(unit.get("header"), allowance)
    layout = _laid_out(data, header, unit, allowance)
    columns = {}
    for column in layout.columns:
        name, values = column.cards["TTYPE"], column.values
        if not column.is_plain or name not in layout.records.dtype.names or may_hold_token(name):
            raise DecodingError("a column that is not plain")
        converted = _converted_values(data, name, values)
        if converted is not None:
            allowance.spend(values.nbytes, "a converted column")
            values = converted.astype(values.dtype, copy=False)
        columns[name] = values, column.cards.get("TUNIT")
    yield PlainTable({key: headercards.plain_value(value) for key, value in header.items()}, columns)


def _read_unit(unit: Mapping[str, Any], allowance: Allowance, *, first: bool) -> list[Any]:
    if not {"data", "binarys"} & set(unit):
        raise DecodingError("expected data or binarys in a unit, got neither")
    name, kind = unit.get("name"), unit.get("hdu_type")
    with reading(f"{printable(name, limit=80)!r}"):
        if kind not in _TYPES:
            raise DecodingError(f"hdu_type {printable(kind, limit=60)!r}; primary, image, table and bintable are known")
        before = allowance.left
        data, memory = _read_data(unit, allowance)
        if isinstance(data, np.ma.MaskedArray):
            # FITS has no mask: NaN for numbers that can be it, numpy's usual replacement for others
            allowance.spend(data.nbytes, "a masked array")
            data = data.filled(np.nan if data.dtype.kind in "fc" else None)
        data, memory = _moved(data, memory)
        unpacked = before - allowance.left
        header = headercards.read_cards(unit.get("header"), allowance)
        allowance.spend(HDU_MEMORY + CARD_MEMORY * headercards.count_cards(header), "headers")
        name = name or header.get("EXTNAME")
        # the primary HDU is called PRIMARY anyway
        named = isinstance(name, str) and name.upper() != "PRIMARY"
        cards = list(headercards.cards_of("EXTNAME", name)) if named else []
        if data is None and kind in _TABLES and not first:
            data = np.zeros(0, dtype=[])
        if data is None or (isinstance(data, np.ndarray) and data.dtype.names is None):
            cards += headercards.other_cards(header, table=False)
            return [_image_hdu(data, cards, allowance, first=first)]
        layout = _laid_out(data, header, unit, allowance)
        cards = [*layout.cards(), *cards, *headercards.other_cards(header, table=True)]
        hdu = _table_hdu(data, layout, cards, memory, allowance)
        if memory is None:  # what was unpacked is given up
            allowance.refund(unpacked)
        return [fits.PrimaryHDU(), hdu] if first else [hdu]


def _read_data(unit: Mapping[str, Any], allowance: Allowance) -> tuple[Any, bytearray | None]:
    """The array or FITS table of a unit (None without), and its memory, with `_SPACE` before it, if it is large."""
    pickled = unit.get("binarys")
    if pickled is None and unit.get("data") is not None:
        raise DecodingError("numbers as JSON text in data, which are not read: the service sends pickles in binarys")
    if pickled is None:
        return None, None
    memory: bytearray | None = None
    payload: bytes | memoryview
    if isinstance(pickled, str) and len(pickled) >= _LARGE:
        memory = decode_between(pickled, allowance, _SPACE, FITS_BLOCK)
        payload = memoryview(memory)[_SPACE : len(memory) - FITS_BLOCK]
    else:
        payload = decode_base64(pickled, allowance)
    return read_pickle(unzipped(payload, allowance), allowance), memory


def _moved(data: Any, memory: bytearray | None) -> tuple[Any, bytearray | None]:
    """Data at the right place in their memory for a header before them, if they stand in it and as they are sent."""
    array = data.records if isinstance(data, FitsTable) else data
    if memory is None or (isinstance(data, FitsTable) and (data.converted or data.rows)):
        return data, None
    start = array.ctypes.data - np.frombuffer(memory, "u1").ctypes.data
    if not (_SPACE <= start < len(memory) and array.flags.c_contiguous and array.nbytes):
        return data, None
    everything, end = memoryview(memory), _SPACE + array.nbytes
    everything[_SPACE:end] = everything[start : start + array.nbytes]
    everything[end : end + FITS_BLOCK] = bytes(FITS_BLOCK)
    moved: Array = np.ndarray(array.shape, array.dtype, memory, _SPACE)
    return (FitsTable(moved, data.columns, {}, {}) if isinstance(data, FitsTable) else moved), memory


def _laid_out(data: Any, header: Mapping[str, Any], unit: Mapping[str, Any], allowance: Allowance) -> TableLayout:
    return lay_out(data, headercards.column_cards(header), unit.get("units_dict") or {}, allowance)


def _image_hdu(data: Array | None, cards: list[str], allowance: Allowance, *, first: bool) -> Any:
    structure: dict[str, Any] = dict(SIMPLE=True) if first else dict(XTENSION="IMAGE")
    # workflows send an empty array where they mean no data
    if data is not None and data.size:
        code = _IMAGE_TYPES.get(data.dtype.str[1:])
        if code is None:
            raise DecodingError(f"image of type {data.dtype.str}, which FITS doesn't have")
        dtype = np.dtype(code).newbyteorder(data.dtype.byteorder)
        if dtype != data.dtype or not (data.flags.aligned and data.flags.writeable):
            allowance.spend(data.size * dtype.itemsize, "an image")
            data = data.astype(dtype)
        data = data.reshape(data.shape or (1,))
        structure |= dict(BITPIX=8 * dtype.itemsize * (-1 if dtype.kind == "f" else 1), NAXIS=data.ndim)
        structure |= {f"NAXIS{number}": length for number, length in enumerate(reversed(data.shape), 1)}
    else:
        structure |= dict(BITPIX=8, NAXIS=0)
    structure |= dict(EXTEND=True) if first else dict(PCOUNT=0, GCOUNT=1)
    # a header as text: card by card takes ten times as long
    block = headercards.header_block([*headercards.all_cards(structure), *cards], allowance)
    hdu = (fits.PrimaryHDU if first else fits.ImageHDU).fromstring(block)
    hdu.data = data if "NAXIS1" in structure else None
    return hdu


def _table_hdu(
    data: Array | FitsTable, layout: TableLayout, cards: list[str], memory: bytearray | None, allowance: Allowance
) -> Any:
    header = headercards.header_block(cards, allowance)
    if memory is not None and layout.stands_in_records() and len(header) <= _SPACE:
        start, padded = _SPACE - len(header), -(-layout.size // FITS_BLOCK) * FITS_BLOCK
        memory[start:_SPACE] = header
        return _read_table_hdu(np.frombuffer(memory, "u1", len(header) + padded, start).view(_View))
    allowance.spend(layout.size, "an HDU")
    block = _Block(len(header) + -(-layout.size // FITS_BLOCK) * FITS_BLOCK)
    block[: len(header)] = header
    layout.fill(memoryview(block)[len(header) : len(header) + layout.size])
    hdu = _read_table_hdu(block)
    # columns that the server has converted, and perhaps changed, go before the raw bytes
    names = [name for name in hdu.columns.names if isinstance(data, FitsTable) and name in data.converted]
    for name in names:
        column = hdu.data[name]
        allowance.spend(8 * column.size, "a converted column")  # astropy keeps what it has converted
        converted = _converted_values(data, name, column)
        if converted is not None:
            column[...] = converted
    return hdu


def _converted_values(data: Any, name: str, column: Array) -> Any:
    """Values of a column that the server has converted, if they fit to it."""
    values = data.converted.get(name) if isinstance(data, FitsTable) else None
    if values is None or values.shape != column.shape or not np.can_cast(values.dtype, column.dtype, "same_kind"):
        return None
    return values


def _read_table_hdu(block: _Block | _View) -> Any:
    # without `uint` astropy would give unsigned columns as floating point numbers
    hdu = fits.BinTableHDU.fromstring(block, uint=True)
    # Writing an HDU changes where astropy looks for its data, so they must be found before. This is a view, no copy.
    _ = hdu.data
    hdu._buffer = None  # noqa: SLF001 - the data hold the memory, which would be pickled twice
    return hdu


class _Block(bytearray):
    """Memory of an HDU that stays writable: astropy shares it, but reads headers from `bytes` only."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return bytes(part) if isinstance(index, slice) else part


class _View(np.ndarray):
    """The same for a part of memory; not for variable-length columns, whose heap astropy would seek in the whole."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return part.tobytes() if isinstance(index, slice) else part

    def __bool__(self) -> bool:
        return bool(self.size)  # what astropy asks is whether there is any
