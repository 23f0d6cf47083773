# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Arrays written as nested lists with the text of a dtype, the form of old servers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..allowance import Allowance
from ..errors import DecodingError
from . import dtypes
from .literals import read_json_text

__all__ = ["read_nested"]


def read_nested(data: Any, dt: Any, allowance: Allowance | None = None) -> np.ndarray[Any, Any]:
    """
    Make an array of nested lists.

    Parameters
    ----------
    data : str or list
        JSON text of the lists, or the lists; the rows of a structured dtype are lists, too.
    dt : str
        Text of the dtype.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.
    """
    dtype = dtypes.from_text(dt)
    allowance = allowance or Allowance.of(data)
    values = read_json_text(data, what="data")
    if not isinstance(values, list):
        raise DecodingError(f"expected nested lists, got {type(values).__name__}")
    shape: tuple[int, ...] = dtypes.checked_shape(_shape(values, dtype))
    size: int = math.prod(shape)
    if dtype.itemsize == 0 and size:
        raise DecodingError(f"array of {dtype.str}, which has no room for values")
    allowance.spend(size * dtype.itemsize, "the array that nested lists announce")
    if dtype.names is not None:
        values = [_record(row, len(dtype.names)) for row in values]
    # a number that is too large for its type becomes infinite, as it would on the server
    with np.errstate(all="ignore"):
        return np.array(values, dtype=dtype)


def _shape(values: list[Any], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """The shape that the array will have, judged by the first of each level."""
    shape = [len(values)]
    while dtype.names is None and values and isinstance(values[0], list):
        values = values[0]
        shape.append(len(values))
    return tuple(shape)


def _record(row: Any, width: int) -> tuple[Any, ...]:
    if not isinstance(row, list) or len(row) != width:
        raise DecodingError(f"expected rows of {width} values")
    return tuple(row)
