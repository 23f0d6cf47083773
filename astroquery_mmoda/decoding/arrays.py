# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
From the inert records of a pickle to arrays, each checked against the bytes that are there before numpy sees it.

The arrays are views of the payload as far as possible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..allowance import Allowance
from ..errors import DecodingError
from . import dtypes
from .plainpickle import Global, Instance, interpret

__all__ = ["Column", "FitsTable", "read_pickle"]

_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_FITS_COLUMN = "astropy.io.fits.column"

_RECONSTRUCT = frozenset((module, "_reconstruct") for module in _MULTIARRAY)
_SCALAR = frozenset((module, "scalar") for module in _MULTIARRAY)
_FROM_BUFFER = frozenset((module, "_frombuffer") for module in _NUMERIC)
_MASKED_RECONSTRUCT = ("numpy.ma.core", "_mareconstruct")
_FITS_REC = ("astropy.io.fits.fitsrec", "FITS_rec")
_ROWS = (_FITS_COLUMN, "_VLF")
_COLUMNS = (_FITS_COLUMN, "ColDefs")
_COLUMN = (_FITS_COLUMN, "Column")

# classes whose instances hold nothing but the array
_ARRAYS = frozenset(
    {
        ("numpy", "ndarray"),
        ("numpy", "recarray"),
        ("numpy.rec", "recarray"),
        ("numpy.core.records", "recarray"),
        ("numpy", "chararray"),
        ("numpy.char", "chararray"),
        ("numpy.core.defchararray", "chararray"),
        ("numpy._core.defchararray", "chararray"),
        ("astropy.utils.compat.numpycompat", "chararray"),
    }
)
_MASKED_ARRAYS = frozenset({("numpy.ma.core", "MaskedArray"), ("numpy.ma", "MaskedArray")})

# protocols 0 and 1 write Python objects as copyreg._reconstructor(class, base class, base value)
_RECONSTRUCTORS = frozenset({("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")})
_BASES = frozenset((module, name) for module in ("builtins", "__builtin__") for name in ("object", "str", "unicode"))

# an array that looks at the bytes of others
_ARRAY = 150
_NAMES = (
    _RECONSTRUCT
    | _SCALAR
    | _FROM_BUFFER
    | _ARRAYS
    | _MASKED_ARRAYS
    | _RECONSTRUCTORS
    | _BASES
    | {("numpy", "dtype"), ("numpy", "record"), ("numpy.rec", "record"), ("numpy.core.records", "record")}
    | {_MASKED_RECONSTRUCT, _FITS_REC, _ROWS, _COLUMNS, _COLUMN, (_FITS_COLUMN, "_ColumnFormat")}
    | {(_FITS_COLUMN, name) for name in ("_FormatP", "_FormatQ", "_FormatX", "Delayed")}
)


@dataclass(frozen=True, slots=True)
class Column:
    """What astropy on the server knew about a column of a FITS table; None where it knew nothing."""

    name: str
    format: str
    unit: str | None = None
    null: int | float | None = None
    bscale: int | float | None = None
    bzero: int | float | None = None
    disp: str | None = None
    dim: str | None = None


@dataclass(frozen=True, slots=True)
class FitsTable:
    """A table as it stood in a FITS file: raw records, their columns, and the columns converted on the server."""

    records: np.ndarray[Any, Any]
    columns: tuple[Column, ...]
    converted: dict[str, np.ndarray[Any, Any]]
    rows: dict[str, list[np.ndarray[Any, Any]]]


def read_pickle(payload: bytes | bytearray, allowance: Allowance | None = None) -> np.ndarray[Any, Any] | FitsTable:
    """
    Read a pickled array or FITS table.

    Parameters
    ----------
    payload : bytes or bytearray
        The pickle. A `bytearray` is handed over: its memory becomes that of the array, which can be written to.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    numpy.ndarray or FitsTable
    """
    return _Reader(allowance or Allowance(len(payload))).anything(interpret(payload, _NAMES))


class _Reader:
    """The arrays of one payload; what is the same record in it is made once."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self._dtypes: dict[int, np.dtype[Any]] = {}
        self._made: dict[int, np.dtype[Any]] = {}

    def anything(self, record: Any) -> np.ndarray[Any, Any] | FitsTable:
        if _made_of(record, _FITS_REC):
            return self.fits_table(record)
        return self.array(record)

    def array(self, record: Any) -> np.ndarray[Any, Any]:
        maker = record.maker if isinstance(record, Instance) else None
        if maker in _RECONSTRUCT and _class_of(record) in _ARRAYS:
            return self._from_state(record.state)
        if maker in _FROM_BUFFER and len(record.args) == 4:
            return self._from_buffer(*record.args)
        if maker in _SCALAR and len(record.args) == 2:
            return self._checked((), record.args[0], False, record.args[1])
        if maker == _MASKED_RECONSTRUCT and type(record.state) is tuple and len(record.state) == 7:
            return self._masked(record.state)
        raise DecodingError(f"expected an array, got {_described(record)}")

    def _from_buffer(self, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
        if order not in ("C", "F"):
            raise DecodingError("array of unknown order")
        return self._checked(shape, dtype, order == "F", raw)

    def _from_state(self, state: Any) -> np.ndarray[Any, Any]:
        if type(state) is not tuple or len(state) not in (4, 5):
            raise DecodingError("array with an unreadable state")
        shape, dtype, fortran, raw = state[-4:]
        return self._checked(shape, dtype, fortran, raw)

    def _masked(self, state: tuple[Any, ...]) -> np.ndarray[Any, Any]:
        _, shape, dtype, fortran, raw, mask, _ = state
        data = self._checked(shape, dtype, fortran, raw)
        if data.dtype.names is not None or not _is_bytes(mask) or len(mask) != data.size:
            raise DecodingError("masked array with an unreadable mask")
        self.allowance.spend(data.size, "a masked array")
        flags = _from_bytes(data.shape, np.dtype("u1"), mask, fortran=bool(fortran)) != 0
        return np.ma.MaskedArray(data, mask=flags)

    def _checked(self, shape: Any, dtype: Any, fortran: Any, raw: Any) -> np.ndarray[Any, Any]:
        """Every array comes by here: the bytes announced must be the bytes that are there."""
        if not _is_bytes(raw):
            raise DecodingError("array of Python objects")
        shape = dtypes.checked_shape(shape)
        element = self.dtype(dtype)
        size = math.prod(shape) * element.itemsize
        if size != len(raw) or (element.itemsize == 0 and math.prod(shape)):
            raise DecodingError(f"array of {_shape_text(shape)} {element.str} announced, {len(raw)} bytes present")
        return _from_bytes(shape, element, raw, fortran=bool(fortran))

    def dtype(self, record: Any) -> np.dtype[Any]:
        if id(record) not in self._dtypes:
            dtype = dtypes.from_record(record, made=self._made)
            if dtype.subdtype is not None:
                raise DecodingError("array of subarrays")
            self._dtypes[id(record)] = dtype
        return self._dtypes[id(record)]

    # FITS tables

    def fits_table(self, record: Instance) -> FitsTable:
        """The state is that of an array, followed by attribute values and by attribute names."""
        state = record.state
        if type(state) is not tuple or len(state) != 7:
            raise DecodingError("FITS table with an unreadable state")
        attributes = _attributes(*state[5:])
        records = self._from_state(state[:5])
        if records.dtype.names is None or records.ndim != 1:
            raise DecodingError("FITS table without columns")
        columns = tuple(self._column(column) for column in _column_records(attributes.get("_coldefs")))
        converted = _text_keys(attributes.get("_converted") or {})
        rows = {name: self._rows(value) for name, value in converted.items() if _made_of(value, _ROWS)}
        arrays = {name: self.array(value) for name, value in converted.items() if name not in rows}
        return FitsTable(records, columns, arrays, rows)

    def _rows(self, record: Instance) -> list[np.ndarray[Any, Any]]:
        """The rows of a variable-length column, each an array of one dimension."""
        state = record.state
        if type(state) is not tuple or len(state) != 5 or not dtypes.is_object(state[2]) or type(state[4]) is not list:
            raise DecodingError("variable-length column with an unreadable state")
        if dtypes.checked_shape(state[1]) != (len(state[4]),):
            raise DecodingError(f"variable-length column of {_shape_text(state[1])} rows has {len(state[4])}")
        arrays = {id(row): row for row in state[4]}
        self.allowance.spend(_ARRAY * len(arrays), "rows of a variable-length column")
        made = {key: self.array(row) for key, row in arrays.items()}
        rows = [made[id(row)] for row in state[4]]
        if any(row.ndim != 1 or row.dtype.names is not None for row in made.values()):
            raise DecodingError("variable-length column with a row that is no list of numbers")
        return rows

    def _column(self, record: Any) -> Column:
        state = _text_keys(record.state if _made_of(record, _COLUMN) else None)
        # astropy keeps them as _name, _format, ... (versions before 1.0 as name, format, ...)
        found = {key: state.get(f"_{key}", state.get(key)) for key in Column.__dataclass_fields__}
        found = {key: self._plain(value) for key, value in found.items()}
        texts = [found[key] for key in ("unit", "disp", "dim") if found[key] is not None]
        if not all(isinstance(text, str) for text in (found["name"], found["format"], *texts)):
            raise DecodingError("FITS table with an unreadable column")
        numbers = {key: found[key] if _is_number(found[key]) else None for key in ("null", "bscale", "bzero")}
        return Column(**cast(dict[str, Any], found | numbers))

    def _plain(self, value: Any) -> Any:
        """A text or a number from the records of a column format or of a numpy scalar."""
        if isinstance(value, bytes):
            return value.decode("latin-1")
        if not isinstance(value, Instance):
            return value
        if value.maker in _SCALAR:
            return self.array(value).item()
        return value.args[-1] if value.args else None


def _is_bytes(raw: Any) -> bool:
    return isinstance(raw, (bytes, memoryview))


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _from_bytes(shape: tuple[int, ...], dtype: np.dtype[Any], raw: Any, *, fortran: bool) -> np.ndarray[Any, Any]:
    if not len(raw):
        return np.empty(shape, dtype)
    array = np.frombuffer(raw, dtype=dtype)
    return array if len(shape) == 1 else array.reshape(shape, order="F" if fortran else "C")


def _class_of(record: Instance) -> Any:
    """
    The class named in ``numpy.core.multiarray._reconstruct(class, shape, code)``.

    Anything else is not looked at: to hash or compare a tuple that is deep, or doubled often, overflows or has no end.
    """
    return record.args[0] if record.args and type(record.args[0]) is Global else None


def _made_of(record: Any, name: tuple[str, str]) -> bool:
    """Whether a record stands for an instance of the class ``name``, whichever way the protocol makes one."""
    if not isinstance(record, Instance):
        return False
    if record.maker in _RECONSTRUCT or record.maker in _RECONSTRUCTORS:
        return bool(_class_of(record) == name)
    return bool(record.maker == name)


def _attributes(values: Any, names: Any) -> dict[str, Any]:
    if type(values) is not list or type(names) is not list or len(values) != len(names):
        raise DecodingError("FITS table with unreadable attributes")
    if not all(isinstance(name, (str, bytes)) for name in names):
        raise DecodingError("FITS table with unreadable attributes")
    return _text_keys(dict(zip(names, values, strict=True)))


def _text_keys(mapping: Any) -> dict[str, Any]:
    """A dictionary of attributes; Python 2 wrote their names as byte strings."""
    if type(mapping) is not dict:
        raise DecodingError("FITS table with an unreadable part")
    return {key.decode("latin-1") if isinstance(key, bytes) else str(key): value for key, value in mapping.items()}


def _column_records(coldefs: Any) -> list[Any]:
    columns = _text_keys(coldefs.state if _made_of(coldefs, _COLUMNS) else None).get("columns")
    if type(columns) is not list:
        raise DecodingError("FITS table without a description of its columns")
    return columns


def _shape_text(shape: Any) -> str:
    text = "x".join(str(n) for n in shape) if isinstance(shape, tuple) else str(shape)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _described(record: Any) -> str:
    if not isinstance(record, Instance):
        return type(record).__name__
    cls = _class_of(record)
    name = cls if isinstance(cls, Global) else record.maker
    return f"{name.module}.{name.name}"
