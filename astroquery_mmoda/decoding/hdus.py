# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
FITS HDUs from the numpy products of the service.

A table is laid out as it would stand in a file and handed to astropy to be read, so that scaling, strings, logicals
and variable-length columns mean exactly what they mean elsewhere, and nothing is converted before it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.io import fits

from ..allowance import CARD_MEMORY, HDU_MEMORY, Allowance
from ..errors import DecodingError, reading
from ..text import printable
from . import headercards
from .arrays import Array, FitsTable, read_pickle
from .encoded import decode_base64, decode_between, unzipped
from .jsontext import read_json
from .tabledata import TableLayout, lay_out

_BLOCK = 2880
# base64 of this length is decoded between room for a header, rather long ones included, and padding
_LARGE = 1_000_000
_ROOM = 40 * _BLOCK
_TYPES = frozenset({"primary", "image", "table", "bintable", None})
# types of images that FITS doesn't have, and those that hold the same
_IMAGE_TYPES = {"b1": "u1", "i1": "i2", "f2": "f4"}
_IMAGE_TYPES |= {code: code for code in "u1 i2 u2 i4 u4 i8 u8 f4 f8".split()}


def read_hdulist(entry: Any, *, what: str = "product", allowance: Allowance | None = None) -> fits.HDUList:
    """
    Read one element of ``numpy_data_product_list`` as the FITS file that it stands for.

    Parameters
    ----------
    entry : dict or str
        The element; it and each unit in it may be JSON text.
    what : str
        Short name of it for error messages, for example ``"product 3 'isgri_lc'"``.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    `~astropy.io.fits.HDUList`
        The HDUs in the service's order. Their EXTNAME is the name of the unit. An image that comes first is the primary
        HDU; before a table that comes first stands an empty one. Headers are mended (see `headercards`): values that
        FITS can't hold are undefined.

    Raises
    ------
    DecodingError
        If it is not what the protocol promises.
    """
    with reading(what):
        units = _dictionary(entry).get("data_unit_list")
        if not isinstance(units, list):
            raise DecodingError(f"expected a list as data_unit_list, got {type(units).__name__}")
        allowance = allowance or Allowance.of(entry)
        hdus: list[Any] = []
        for number, unit in enumerate(units):
            with reading(f"unit {number}"):
                hdus += _read_unit(unit, allowance, first=number == 0)
        return fits.HDUList(hdus or [fits.PrimaryHDU()])


def _dictionary(value: Any) -> dict[str, Any]:
    value = read_json(value) if isinstance(value, str) else value
    if not isinstance(value, dict):
        raise DecodingError(f"expected a dictionary, got {type(value).__name__}")
    return value


def _read_unit(unit: Any, allowance: Allowance, *, first: bool) -> list[Any]:
    unit = _dictionary(unit)
    if not {"data", "binarys"} & set(unit):
        raise DecodingError("expected data or binarys in a unit, got neither")
    name, kind = unit.get("name"), unit.get("hdu_type")
    if name is not None and not isinstance(name, str):
        raise DecodingError(f"expected text as name of a unit, got {printable(name, limit=60)!r}")
    with reading(f"{printable(name, limit=80)!r}"):
        if kind not in _TYPES:
            raise DecodingError(f"hdu_type {printable(kind, limit=60)!r}; primary, image, table and bintable are known")
        before = allowance.left
        data, memory = _read_data(unit, allowance)
        unpacked = before - allowance.left
        header = headercards.read_header(unit.get("header"), allowance)
        allowance.spend(HDU_MEMORY + CARD_MEMORY * headercards.count_cards(header), "headers")
        name = name or header.get("EXTNAME")
        # the primary HDU is called PRIMARY anyway
        named = isinstance(name, str) and name.upper() != "PRIMARY"
        cards = list(headercards.card("EXTNAME", name)) if named else []
        if data is None and kind in ("table", "bintable") and not first:
            data = np.zeros(0, dtype=[])
        if data is None or (isinstance(data, np.ndarray) and data.dtype.names is None):
            cards += headercards.other_cards(header, table=False)
            return [_image(data, cards, allowance, first=first)]
        layout = lay_out(data, headercards.column_cards(header), unit.get("units_dict") or {}, allowance)
        cards = [*_table_cards(layout), *cards, *headercards.other_cards(header, table=True)]
        hdu = _table(data, layout, cards, memory, allowance)
        if memory is None:  # what was unpacked is given up
            allowance.refund(unpacked)
        return [fits.PrimaryHDU(), hdu] if first else [hdu]


def _read_data(unit: Mapping[str, Any], allowance: Allowance) -> tuple[Any, bytearray | None]:
    """
    Read the array or FITS table of a unit; None if it has none.

    A large array without converted columns is moved to `_ROOM` in memory of its own, which comes as well, so that a
    header can be put before it without another copy.
    """
    pickled = unit.get("binarys")
    if pickled is None and unit.get("data") is not None:
        raise DecodingError("numbers as JSON text in data, which are not read: the service sends pickles in binarys")
    if pickled is None:
        return None, None
    memory: bytearray | None = None
    payload: bytes | memoryview
    if isinstance(pickled, str) and len(pickled) >= _LARGE:
        memory = decode_between(pickled, allowance, _ROOM, _BLOCK)
        payload = memoryview(memory)[_ROOM : len(memory) - _BLOCK]
    else:
        payload = decode_base64(pickled, allowance)
    data = read_pickle(unzipped(payload, allowance), allowance)
    array = data.records if isinstance(data, FitsTable) else data
    if isinstance(array, np.ma.MaskedArray):
        # FITS has no mask: NaN for numbers that can be it, numpy's usual replacement for others
        allowance.spend(array.nbytes, "a masked array")
        return array.filled(np.nan if array.dtype.kind in "fc" else None), None
    if memory is None or (isinstance(data, FitsTable) and (data.converted or data.rows)):
        return data, None
    start = array.ctypes.data - np.frombuffer(memory, "u1").ctypes.data
    if not (_ROOM <= start < len(memory) and array.flags.c_contiguous and array.nbytes):
        return data, None
    everything, end = memoryview(memory), _ROOM + array.nbytes
    everything[_ROOM:end] = everything[start : start + array.nbytes]
    everything[end : end + _BLOCK] = bytes(_BLOCK)
    moved: Array = np.ndarray(array.shape, array.dtype, memory, _ROOM)
    return (FitsTable(moved, data.columns, {}, {}) if isinstance(data, FitsTable) else moved), memory


def _image(data: Array | None, cards: list[str], allowance: Allowance, *, first: bool) -> Any:
    cls = fits.PrimaryHDU if first else fits.ImageHDU
    # workflows send an empty array where they mean no data
    if data is None or not data.size:
        return _with_cards(cls(), cards, allowance)
    code = _IMAGE_TYPES.get(data.dtype.str[1:])
    if code is None:
        raise DecodingError(f"image of type {data.dtype.str}, which FITS doesn't have")
    dtype = np.dtype(code).newbyteorder(data.dtype.byteorder)
    if dtype != data.dtype or not (data.flags.aligned and data.flags.writeable):
        allowance.spend(data.size * dtype.itemsize, "an image")
        data = data.astype(dtype)
    return _with_cards(cls(data.reshape(data.shape or (1,))), cards, allowance)


def _with_cards(hdu: Any, cards: list[str], allowance: Allowance) -> Any:
    """Put cards behind those of the layout, as text: one by one takes ten times as long."""
    layout = hdu.header.tostring(endcard=False, padding=False)
    hdu.header = fits.Header.fromstring(headercards.header_block([layout, *cards], allowance))
    return hdu


def _table_cards(layout: TableLayout) -> list[str]:
    structure = dict(XTENSION="BINTABLE", BITPIX=8, NAXIS=2, NAXIS1=layout.dtype.itemsize, NAXIS2=len(layout.records))
    structure |= dict(PCOUNT=layout.heap_size, GCOUNT=1, TFIELDS=len(layout.columns))
    return [card for keyword, value in structure.items() for card in headercards.card(keyword, value)] + layout.cards()


def _table(
    data: Array | FitsTable, layout: TableLayout, cards: list[str], memory: bytearray | None, allowance: Allowance
) -> Any:
    header = headercards.header_block(cards, allowance)
    padded = -(-layout.size // _BLOCK) * _BLOCK
    if memory is not None and layout.stands_in_records() and len(header) <= _ROOM:
        start = _ROOM - len(header)
        memory[start:_ROOM] = header
        return _read_hdu(np.frombuffer(memory, "u1", len(header) + padded, start).view(_View))
    allowance.spend(layout.size, "an HDU")
    block = _Block(len(header) + padded)
    block[: len(header)] = header
    layout.fill(memoryview(block)[len(header) : len(header) + layout.size])
    hdu = _read_hdu(block)
    if isinstance(data, FitsTable):
        _apply_converted(hdu, data, allowance)
    return hdu


def _apply_converted(hdu: Any, table: FitsTable, allowance: Allowance) -> None:
    """Columns that the server has converted, and perhaps changed, go before the raw bytes."""
    for name in set(table.converted).intersection(hdu.columns.names):
        # astropy keeps what it has converted
        allowance.spend(8 * table.converted[name].size, "a converted column")
        values, column = table.converted[name], hdu.data[name]
        if values.shape == column.shape and np.can_cast(values.dtype, column.dtype, "same_kind"):
            column[...] = values


def _read_hdu(block: _Block | _View) -> Any:
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
