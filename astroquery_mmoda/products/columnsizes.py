# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Memory that astropy takes for the columns of FITS tables when they are read."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

# Python's array object for each row of variable length
_ROW_MEMORY = 150
#: bytes of the elements of rows of variable length, by the letter of their format
WIDTHS = dict(zip("LXBAIJEKDCM", (1, 0.125, 1, 1, 2, 4, 4, 8, 8, 8, 16), strict=True))
VARIABLE = re.compile(r"[01]?([PQ])([LXBIJKAEDCM])")


def size_when_read(hdu: Any) -> int:
    """Bytes that the columns of a table take beside its own, once all of them were read."""
    return sum(column_size(hdu, number) for number in range(len(hdu.columns)))


def column_size(hdu: Any, number: int) -> int:
    """The same for one: 0 for plain numbers; texts, bits, scaled numbers and rows of variable length are converted."""
    column, records = hdu.columns[number], np.asarray(hdu.data).view(np.ndarray)
    rows, kind = len(records), records.dtype[number]
    if match := VARIABLE.match(column.format):
        lengths = records[records.dtype.names[number]].reshape(rows, -1)[:, 0]
        # texts and bits become larger when they are decoded
        width = {"A": 4, "X": 1}.get(match[2], WIDTHS[match[2]])
        # as a float, which can't run over
        return int(np.maximum(lengths, 0).sum(dtype=float) * width) + _ROW_MEMORY * rows
    if column.format.lstrip("0123456789")[:1] in ("X", "L"):
        return 8 * rows * kind.itemsize
    if kind.base.kind == "S":
        return 4 * rows * kind.itemsize
    is_scaled = column.bscale not in ("", None, 1) or column.bzero not in ("", None, 0)
    return 8 * rows * math.prod(kind.shape) if is_scaled else 0
