# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Element types of arrays, from the state of a pickled ``numpy.dtype``."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ..errors import DecodingError
from ..text import printable
from .plainpickle import Instance

# half, single and double precision; long double is left out, as its bytes mean something else on each machine
_CODE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU][0-9]{1,9}")
_ORDERS = {"<": "<", ">": ">", "|": "|", "=": "<"}
_MAX_ITEMSIZE = 2**31 - 1
_MAX_FIELDS = 999  # as in FITS
_MAX_DIMENSIONS = 32


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape that is a short tuple of whole numbers, none of them negative."""
    if type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise DecodingError("array with an impossible shape")
    return shape


def read_dtype(record: Any) -> np.dtype[Any]:
    """Make a dtype, structured or not, from what a pickle says about it."""
    *_, names, fields, itemsize = _state(record)
    if names is None:
        return _element(record)
    if len(names) > _MAX_FIELDS or not all(type(name) is str for name in names):
        raise DecodingError(f"array of records without names, or of more than {_MAX_FIELDS} fields")
    parts = [(offset, _element(part)) for part, offset in (fields[name] for name in names)]
    end = 0
    for offset, part in sorted(parts, key=lambda pair: pair[0]):
        if type(offset) is not int or offset < end:
            raise DecodingError("array of records with overlapping fields")
        end = offset + part.itemsize
    if type(itemsize) is not int or not end <= itemsize <= _MAX_ITEMSIZE:
        raise DecodingError("array of records with a field outside of its record")
    offsets, formats = [offset for offset, _ in parts], [part for _, part in parts]
    return np.dtype({"names": list(names), "formats": formats, "offsets": offsets, "itemsize": itemsize})


def _state(record: Any) -> tuple[Any, ...]:
    """Byte order, subarray, names, fields and item size."""
    state = record.state if isinstance(record, Instance) and record.maker == ("numpy", "dtype") else None
    if type(state) is not tuple or len(state) < 8:
        raise DecodingError("array without a readable dtype")
    return state[1:6]


def _element(record: Any) -> np.dtype[Any]:
    """The dtype of a field: numbers or texts, or arrays of them."""
    order, subarray, names, _, itemsize = _state(record)
    if names is not None:
        raise DecodingError("array of records in records")
    if subarray is not None:
        base, shape = subarray
        dtype = _simple(base)
        if dtype.itemsize * math.prod(checked_shape(shape)) > _MAX_ITEMSIZE:
            raise DecodingError("array of records with a field that is too large")
        dtype = np.dtype((dtype, shape))
    else:
        dtype = _simple(record)
    if type(itemsize) is not int or itemsize not in (-1, dtype.itemsize):
        raise DecodingError(f"dtype {dtype.str} with a wrong item size")
    return dtype


def _simple(record: Any) -> np.dtype[Any]:
    order, code = _state(record)[0], record.args[0]
    # what is not text may be so deep that it can't even be shown
    if type(order) is not str or type(code) is not str or order not in _ORDERS or not _CODE.fullmatch(code):
        shown = printable(code, limit=60) if type(code) is str else type(code).__name__
        raise DecodingError(f"dtype {shown!r}, which products don't have")
    return np.dtype(_ORDERS[order] + code)
