# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
FITS HDUs from the numpy products of the service.

Each HDU is laid out as it would stand in a file and handed to astropy to be read, so that scaling, strings, logicals
and variable-length columns mean exactly what they mean elsewhere, and nothing is converted before it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from astropy.io import fits

from ..allowance import CARD_MEMORY, HDU_MEMORY, Allowance
from ..errors import DecodingError, reading
from ..text import printable
from . import headercards as headers
from . import tabledata as tables
from .arrays import FitsTable, read_pickle
from .envelope import opened_base64
from .literals import read_json
from .nested import read_nested

__all__ = ["read_array", "read_hdulist"]

_BLOCK = 2880
_CARD = 80
# mosaics have some hundred; each one takes a third of a millisecond, even if it is empty
_MAX_UNITS = 5000
# likewise, of all tables of a product
_MAX_COLUMNS = 8000
# base64 of this length is worth a larger effort; room for a header, rather long ones included
_LARGE = 1_000_000
_ROOM = 40 * _BLOCK
_TYPES = frozenset({"primary", "image", "table", "bintable", None})

# numpy type: BITPIX, stored type, BZERO
_IMAGES: dict[str, tuple[int, str, int]] = {
    "b1": (8, "u1", 0),
    "i1": (16, "i2", 0),
    "u1": (8, "u1", 0),
    "i2": (16, "i2", 0),
    "u2": (16, "i2", 2**15),
    "i4": (32, "i4", 0),
    "u4": (32, "i4", 2**31),
    "i8": (64, "i8", 0),
    "u8": (64, "i8", 2**63),
    "f2": (-32, "f4", 0),
    "f4": (-32, "f4", 0),
    "f8": (-64, "f8", 0),
}


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
        HDU; before a table that comes first stands an empty one. Headers are mended (see `headers`): values that FITS
        can't hold are undefined.

    Raises
    ------
    DecodingError
        If it is not what the protocol promises.
    """
    with reading(what):
        units = _dictionary(entry, "product").get("data_unit_list")
        if not isinstance(units, list):
            raise DecodingError(f"expected a list as data_unit_list, got {type(units).__name__}")
        if len(units) > _MAX_UNITS:
            raise DecodingError(f"{len(units)} units, {_MAX_UNITS} are the most")
        hdus: list[Any] = []
        columns = 0
        allowance = allowance or Allowance.of(entry)
        for number, unit in enumerate(units):
            with reading(f"unit {number}"):
                hdus += _read_unit(unit, allowance, first=number == 0)
                columns += len(hdus[-1].columns) if isinstance(hdus[-1], fits.BinTableHDU) else 0
                if columns > _MAX_COLUMNS:
                    raise DecodingError(f"tables of more than {_MAX_COLUMNS} columns in all")
        return fits.HDUList(hdus or [fits.PrimaryHDU()])


def read_array(unit: Any, *, what: str = "array", allowance: Allowance | None = None) -> np.ndarray[Any, Any]:
    """
    Read one unit (an element of ``data_unit_list``) as a plain array of its own memory.

    Parameters
    ----------
    unit : dict or str
        The unit, possibly as JSON text.
    what : str
        Short name of it for error messages.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    numpy.ndarray
    """
    with reading(what):
        data = _data(_dictionary(unit, "unit"), allowance or Allowance.of(unit))
        if data is None or isinstance(data, FitsTable):
            raise DecodingError("expected an array, got a FITS table" if data is not None else "no data")
        return data.copy()


def _dictionary(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, str):
        value = read_json(value)
    if not isinstance(value, dict):
        raise DecodingError(f"expected a dictionary as {what}, got {type(value).__name__}")
    return value


def _read_unit(unit: Any, allowance: Allowance, *, first: bool) -> list[Any]:
    unit = _dictionary(unit, "unit")
    if not {"data", "binarys"} & set(unit):
        raise DecodingError("expected data or binarys in a unit, got neither")
    name = unit.get("name")
    if name is not None and not isinstance(name, str):
        raise DecodingError(f"expected text as name of a unit, got {printable(name, limit=60)!r}")
    with reading(f"{printable(name, limit=80)!r}"):
        before = allowance.left
        kind, (data, memory) = unit.get("hdu_type"), _data_in_memory(unit, allowance)
        # what was unpacked is given up for an HDU in memory of its own
        given_up = 0 if memory is not None else min(before - allowance.left, len(str(unit.get("binarys") or "")))
        if kind not in _TYPES:
            raise DecodingError(f"hdu_type {printable(kind, limit=60)!r}; primary, image, table and bintable are known")
        header = headers.read_header(unit.get("header"), allowance)
        name = name if isinstance(name, str) and name else header.get("EXTNAME")
        is_table = isinstance(data, FitsTable) or (data is not None and data.dtype.names is not None)
        if data is None and kind in ("table", "bintable") and not first:
            data, is_table = np.zeros(0, dtype=[]), True
        if is_table:
            units = unit.get("units_dict")
            if units is not None and not isinstance(units, dict):
                raise DecodingError(f"expected a dictionary as units_dict, got {type(units).__name__}")
            hdus = [fits.PrimaryHDU()] if first else []
            hdus.append(_table(data, name, header, units or {}, memory, allowance))
        else:
            hdus = [_image(data, name, header, memory, allowance, first=first)]
        allowance.refund(given_up)
        return hdus


def _data(unit: Mapping[str, Any], allowance: Allowance) -> Any:
    """The array or FITS table of a unit; None if it has none."""
    pickled, nested = unit.get("binarys"), unit.get("data")
    if pickled is not None:
        data: Any = read_pickle(opened_base64(pickled, allowance), allowance)
    elif nested is not None:
        data = read_nested(nested, unit.get("dt"), allowance)
    else:
        return None
    return _filled(data, allowance) if isinstance(data, np.ma.MaskedArray) else data


def _data_in_memory(unit: Mapping[str, Any], allowance: Allowance) -> tuple[Any, bytearray | None]:
    """
    Read the data of a unit; give a large array room for a header before it, so that it can stay where it is.

    The memory, if any, holds `_ROOM` bytes, the array, and padding.
    """
    pickled = unit.get("binarys")
    if not isinstance(pickled, str) or len(pickled) < _LARGE:
        return _data(unit, allowance), None
    payload = opened_base64(pickled, allowance)
    data: Any = read_pickle(payload, allowance)
    place = _place(data, payload)
    if place is None or isinstance(payload, bytes):
        return (_filled(data, allowance) if isinstance(data, np.ma.MaskedArray) else data), None
    start, shape, dtype = place
    columns = data.columns if isinstance(data, FitsTable) else None
    data = None  # memory that an array looks at can't be moved
    try:
        payload[:start] = bytes(_ROOM)
    except BufferError:  # something refers to itself in this pickle, and lives on
        return read_pickle(payload, allowance), None
    del payload[_ROOM + math.prod(shape) * dtype.itemsize :]
    payload += bytes(_BLOCK)
    array = np.ndarray(shape, dtype, payload, _ROOM)
    return (array if columns is None else FitsTable(array, columns, {}, {})), payload


def _place(data: Any, payload: bytes | bytearray) -> tuple[int, tuple[int, ...], np.dtype[Any]] | None:
    """Where in the payload the bytes of an array begin, its shape and dtype; None if it can't be used as it is."""
    array = data.records if isinstance(data, FitsTable) else data
    if isinstance(data, FitsTable) and (data.converted or data.rows):
        return None
    if type(array) is not np.ndarray or not (array.flags.c_contiguous and array.flags.writeable and array.nbytes):
        return None
    beginning = np.frombuffer(payload, "u1").ctypes.data
    return array.ctypes.data - beginning, array.shape, array.dtype


def _filled(data: np.ma.MaskedArray[Any, Any], allowance: Allowance) -> np.ndarray[Any, Any]:
    """FITS has no mask: NaN for numbers that can be it, numpy's usual replacement for others."""
    allowance.spend(data.nbytes, "a masked array")
    return data.filled(np.nan) if data.dtype.kind in "fc" else data.filled()


# images


def _image(
    data: np.ndarray[Any, Any] | None,
    name: Any,
    header: dict[str, Any],
    memory: bytearray | None,
    allowance: Allowance,
    *,
    first: bool,
) -> Any:
    cls = fits.PrimaryHDU if first else fits.ImageHDU
    allowance.spend(HDU_MEMORY + CARD_MEMORY * headers.count_cards(header), "headers")
    described = [*_name_card(name), *headers.other_cards(header, table=False)]
    # workflows send an empty array where they mean no data
    if data is None or not data.size:
        return _hdu(cls, [*_image_cards(8, (), 0, first=first), *described], allowance)
    data = data.reshape(data.shape or (1,))
    if data.dtype.str[1:] not in _IMAGES:
        raise DecodingError(f"image of type {data.dtype.str}, which FITS doesn't have")
    bitpix, code, zero = _IMAGES[data.dtype.str[1:]]
    cards = [*_image_cards(bitpix, data.shape, zero, first=first), *described]

    if memory is not None and data.dtype.str[1:] == code:
        if data.dtype.str[0] == "<":
            data.byteswap(inplace=True)
        return _hdu_in(memory, cls, cards, allowance)

    def fill(target: memoryview) -> None:
        tables.put(np.ndarray(data.shape, f">{code}", buffer=target), data, _stored)

    return _hdu(cls, cards, allowance, data.size * np.dtype(code).itemsize, fill)


def _stored(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.view("u1") != 0 if values.dtype.kind == "b" else tables.stored(values)


def _image_cards(bitpix: int, shape: tuple[int, ...], zero: int, *, first: bool) -> Iterator[str]:
    yield from headers.card("SIMPLE", True) if first else headers.card("XTENSION", "IMAGE")
    yield from headers.card("BITPIX", bitpix)
    yield from headers.card("NAXIS", len(shape))
    for number, length in enumerate(reversed(shape), 1):
        yield from headers.card(f"NAXIS{number}", length)
    if first:
        yield from headers.card("EXTEND", True)
    else:
        yield from headers.card("PCOUNT", 0)
        yield from headers.card("GCOUNT", 1)
    if zero:
        yield from headers.card("BSCALE", 1)
        yield from headers.card("BZERO", zero)


def _name_card(name: Any) -> Iterator[str]:
    """EXTNAME; the primary HDU is called PRIMARY anyway."""
    if isinstance(name, str) and name and name.upper() != "PRIMARY":
        yield from headers.card("EXTNAME", name)


# tables


def _table(
    data: Any,
    name: Any,
    header: dict[str, Any],
    units: Mapping[str, Any],
    memory: bytearray | None,
    allowance: Allowance,
) -> Any:
    allowance.spend(HDU_MEMORY + CARD_MEMORY * headers.count_cards(header), "headers")
    layout = tables.layout(data, headers.column_cards(header), units, allowance)
    cards = [*_table_cards(layout), *_name_card(name), *headers.other_cards(header, table=True)]
    if memory is not None and layout.stands_in_records():
        return _hdu_in(memory, fits.BinTableHDU, cards, allowance)
    hdu = _hdu(fits.BinTableHDU, cards, allowance, layout.size, layout.fill)
    if isinstance(data, FitsTable):
        _apply(hdu, data, allowance)
    return hdu


def _table_cards(layout: tables.RecordLayout) -> Iterator[str]:
    yield from headers.card("XTENSION", "BINTABLE")
    yield from headers.card("BITPIX", 8)
    yield from headers.card("NAXIS", 2)
    yield from headers.card("NAXIS1", layout.dtype.itemsize)
    yield from headers.card("NAXIS2", len(layout.records))
    yield from headers.card("PCOUNT", layout.heap_size)
    yield from headers.card("GCOUNT", 1)
    yield from headers.card("TFIELDS", len(layout.columns))
    yield from layout.cards()


def _apply(hdu: Any, table: FitsTable, allowance: Allowance) -> None:
    """Columns that the server has converted, and perhaps changed, go before the raw bytes."""
    for name in set(table.converted).intersection(hdu.columns.names):
        # astropy keeps what it has converted
        allowance.spend(8 * table.converted[name].size, "a converted column")
        values, column = table.converted[name], hdu.data[name]
        if values.shape == column.shape and np.can_cast(values.dtype, column.dtype, "same_kind"):
            column[...] = values


# both


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


def _hdu(cls: Any, cards: list[str], allowance: Allowance, size: int = 0, fill: Any = None) -> Any:
    """Lay out an HDU in new memory."""
    header = _header_block(cards, allowance)
    allowance.spend(size, "an HDU")
    block = _Block(len(header) + -(-size // _BLOCK) * _BLOCK)
    block[: len(header)] = header
    if fill is not None and size:
        fill(memoryview(block)[len(header) : len(header) + size])
    return _read_hdu(cls, block)


def _header_block(cards: list[str], allowance: Allowance) -> bytes:
    """The header; astropy keeps a text of it, and a long text may have become many cards."""
    allowance.spend(2 * _CARD * len(cards), "headers")
    return headers.header_block(cards)


def _hdu_in(memory: bytearray, cls: Any, cards: list[str], allowance: Allowance) -> Any:
    """Lay out an HDU around the data that are in place already."""
    header = _header_block(cards, allowance)
    start = _ROOM - len(header)
    if start < 0:
        allowance.spend(len(memory), "an HDU with a long header")
        return _read_hdu(cls, _Block(header + memory[_ROOM:]))
    memory[start:_ROOM] = header
    return _read_hdu(cls, np.frombuffer(memory, "u1", offset=start).view(_View))


def _read_hdu(cls: Any, block: _Block | _View) -> Any:
    # without `uint` astropy would give unsigned columns as floating point numbers
    hdu = cls.fromstring(block, uint=True)
    # Writing an HDU changes where astropy looks for its data, so they must be found before. This is a view, no copy.
    _ = hdu.data
    return hdu
