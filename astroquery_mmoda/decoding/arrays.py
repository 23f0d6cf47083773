# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
From the inert records of a pickle to arrays, each checked against the bytes that are there before numpy sees it.

The arrays are views of the payload as far as possible.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pybase64

from ..allowance import Allowance
from ..errors import DecodingError
from ..text import printable
from . import picklenames as names
from .plainpickle import Global, Instance, interpret

Array = np.ndarray[Any, Any]

# memory of an array that is a view of the bytes of others
_VIEW = 150
# base64 of the head of a pickle, which has the shape before the type and the bytes
_HEAD = 1200
# the state of an array begins with its version, 1, and its shape, a tuple of one to three, or more after a mark
_WHOLE = rb"(?:K.|M..|J....)"
_STATE = re.compile(rb"\(K\x01(?:(" + _WHOLE + rb"{1,3})[\x85-\x87]|\((" + _WHOLE + rb"{1,32})t)", re.DOTALL)

# half, single and double precision; long double is left out, as its bytes mean something else on each machine
_CODE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU][0-9]{1,9}")
_ORDERS = {"<": "<", ">": ">", "|": "|", "=": "<"}
_MAX_DIMENSIONS = 32


@dataclass(frozen=True, slots=True)
class Column:
    """What astropy on the server had of a column of a FITS table; None where it had nothing."""

    name: str
    format: str
    unit: str | None = None
    null: int | float | None = None
    bscale: int | float | None = None
    bzero: int | float | None = None
    disp: str | None = None


@dataclass(frozen=True, slots=True)
class FitsTable:
    """A table as it stood in a FITS file: raw records, their columns, and the columns converted on the server."""

    records: Array
    columns: tuple[Column, ...]
    converted: dict[str, Array]
    rows: dict[str, list[Array]]


def read_pickle(payload: bytes | bytearray | memoryview, allowance: Allowance) -> Array | FitsTable:
    """Read a pickled array or FITS table; they may be views of ``payload``."""
    record = interpret(payload)
    reader = _Reader(allowance)
    return reader.fits_table(record) if _made_of(record, names.FITS_TABLE) else reader.array(record)


def pickled_shape(pickled: Any) -> tuple[int, ...] | None:
    """
    Shape of a pickled array (base64 text), from its first bytes, for overviews that decode nothing.

    None where they do not tell it in the usual way.
    """
    if not isinstance(pickled, str):
        return None
    try:
        found = _STATE.search(pybase64.b64decode(pickled[:_HEAD]))
    except ValueError:
        return None
    numbers = re.findall(_WHOLE, found[1] or found[2], re.DOTALL) if found else None
    return tuple(int.from_bytes(number[1:], "little") for number in numbers) if numbers else None


class _Reader:
    """The arrays of one payload; a dtype that many of them share is made once."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.dtypes: dict[int, np.dtype[Any]] = {}

    def array(self, record: Any) -> Array:
        maker = record.maker if isinstance(record, Instance) else None
        if maker in names.RECONSTRUCT and _class_of(record) in names.ARRAYS:
            return self._from_state(*record.state[-4:])
        if maker in names.FROM_BUFFER:
            raw, dtype, shape, order = record.args
            if order not in ("C", "F"):
                raise DecodingError("array of unknown order")
            return self._from_state(shape, dtype, order == "F", raw)
        if maker in names.SCALAR:
            dtype, raw = record.args
            return self._from_state((), dtype, False, raw)
        if maker == names.MASKED_ARRAY:
            return self._masked(*record.state[-6:-1])
        raise DecodingError(f"expected an array, got {_kind_of(record)}")

    def _masked(self, shape: Any, dtype: Any, fortran: Any, raw: Any, mask: Any) -> Array:
        data = self._from_state(shape, dtype, fortran, raw)
        self.allowance.spend(data.size, "a masked array")
        if type(mask) not in (bytes, memoryview) or data.dtype.names is not None or len(mask) != data.size:
            raise DecodingError("masked array with an unreadable mask")
        flags = np.frombuffer(mask, "u1").reshape(data.shape, order="F" if fortran else "C")
        return np.ma.MaskedArray(data, mask=flags != 0)

    def _from_state(self, shape: Any, dtype: Any, fortran: Any, raw: Any) -> Array:
        """All arrays are made here: the bytes announced must be the bytes that are there."""
        if type(raw) not in (bytes, memoryview):
            raise DecodingError("array of Python objects")
        shape = _checked_shape(shape)
        element = self.dtypes.get(id(dtype))
        if element is None:
            element = self.dtypes[id(dtype)] = _read_dtype(dtype)
        size = math.prod(shape)
        if size * element.itemsize != len(raw) or (size and not element.itemsize) or element.subdtype:
            announced = "x".join(map(str, shape))[:100]
            raise DecodingError(f"array of {announced} {element.str} announced, {len(raw)} bytes present")
        if not raw:
            return np.empty(shape, element)
        array = np.frombuffer(raw, dtype=element)
        return array if len(shape) == 1 else array.reshape(shape, order="F" if fortran else "C")

    # FITS tables

    def fits_table(self, record: Instance) -> FitsTable:
        """The state is that of an array, followed by attribute values and by attribute names."""
        _, shape, dtype, fortran, raw, values, keys = record.state
        records = self._from_state(shape, dtype, fortran, raw)
        if records.dtype.names is None or records.ndim != 1:
            raise DecodingError("FITS table without columns")
        if not all(type(key) is str for key in keys):
            raise DecodingError("FITS table with unreadable attributes")
        attributes = dict(zip(keys, values, strict=True))
        columns = _attributes_of(attributes.get("_coldefs"), names.FITS_COLUMNS)["columns"]
        converted = attributes.get("_converted") or {}
        rows = {name: self._variable_rows(value) for name, value in converted.items() if _made_of(value, names.ROWS)}
        return FitsTable(
            records,
            tuple(self._fits_column(column) for column in columns),
            {name: self.array(value) for name, value in converted.items() if name not in rows},
            rows,
        )

    def _variable_rows(self, record: Instance) -> list[Array]:
        """The rows of a variable-length column, each an array of one dimension."""
        rows = record.state[-1]
        if type(rows) is not list:
            raise DecodingError("variable-length column without rows")
        different = {id(row): row for row in rows}
        self.allowance.spend(_VIEW * len(different), "rows of a variable-length column")
        made = {key: self.array(row) for key, row in different.items()}
        if any(row.ndim != 1 or row.dtype.names is not None for row in made.values()):
            raise DecodingError("variable-length column with rows other than lists of numbers")
        return [made[id(row)] for row in rows]

    def _fits_column(self, record: Any) -> Column:
        state = _attributes_of(record, names.FITS_COLUMN)
        found = {key: self._text_or_number(state.get(f"_{key}")) for key in Column.__dataclass_fields__}
        texts = [found[key] for key in ("unit", "disp") if found[key] is not None]
        if not all(type(text) is str for text in (found["name"], found["format"], *texts)):
            raise DecodingError("FITS table with an unreadable column")
        for key in ("null", "bscale", "bzero"):
            if type(found[key]) not in (int, float) or not math.isfinite(found[key]):
                found[key] = None
        return Column(**found)

    def _text_or_number(self, value: Any) -> Any:
        """A text or a number from the record of a column's format or of a numpy scalar."""
        if not isinstance(value, Instance):
            return value
        if value.maker in names.SCALAR:
            return self.array(value).item()
        return value.args[-1] if value.args else None


def _class_of(record: Instance) -> Any:
    """The class named in ``numpy.core.multiarray._reconstruct(class, shape, code)``."""
    # anything else is left as it is: to hash or compare a tuple that is deep, or doubled often, overflows or has no end
    return record.args[0] if record.args and type(record.args[0]) is Global else None


def _made_of(record: Any, name: tuple[str, str]) -> bool:
    """Whether a record stands for an instance of the class ``name``."""
    if not isinstance(record, Instance):
        return False
    return bool((_class_of(record) if record.maker in names.RECONSTRUCT else record.maker) == name)


def _attributes_of(record: Any, name: tuple[str, str]) -> dict[str, Any]:
    if not _made_of(record, name) or type(record.state) is not dict:
        raise DecodingError(f"FITS table without a readable {name[1]}")
    return record.state


def _kind_of(record: Any) -> str:
    if not isinstance(record, Instance):
        return type(record).__name__
    return ".".join(_class_of(record) or record.maker)


# ---- types of elements


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise DecodingError("array with an impossible shape")
    return shape


def _read_dtype(record: Any) -> np.dtype[Any]:
    """Make a dtype, structured or not, from the state of a pickled one; numpy sees that fields lie in their record."""
    _, _, names_in_order, fields, itemsize = _state_of(record)
    if names_in_order is None:
        return _field_type(record)
    if not all(type(name) is str for name in names_in_order):
        raise DecodingError("array of records without names")
    parts = [(_field_type(part), offset) for part, offset in (fields[name] for name in names_in_order)]
    formats, offsets = [part for part, _ in parts], [offset for _, offset in parts]
    return np.dtype({"names": list(names_in_order), "formats": formats, "offsets": offsets, "itemsize": itemsize})


def _field_type(record: Any) -> np.dtype[Any]:
    """The dtype of a field: numbers or texts, or arrays of them."""
    _, subarray, _, _, itemsize = _state_of(record)
    base, shape = subarray or (record, ())
    order, code = _state_of(base)[0], base.args[0]
    # what is not text may be so deep that it can't even be shown
    if type(order) is not str or type(code) is not str or order not in _ORDERS or not _CODE.fullmatch(code):
        shown = printable(code, limit=60) if type(code) is str else type(code).__name__
        raise DecodingError(f"dtype {shown!r}, which products don't have")
    dtype = np.dtype(_ORDERS[order] + code)
    dtype = np.dtype((dtype, _checked_shape(shape))) if subarray else dtype
    if itemsize not in (-1, dtype.itemsize):
        raise DecodingError(f"dtype {dtype.str} with a wrong item size")
    return dtype


def _state_of(record: Any) -> tuple[Any, ...]:
    """Byte order, subarray, names, fields and item size."""
    state = record.state if isinstance(record, Instance) and record.maker == ("numpy", "dtype") else None
    if type(state) is not tuple or len(state) < 8:
        raise DecodingError("array without a readable dtype")
    return state[1:6]
