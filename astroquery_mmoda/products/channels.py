# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Numbers of channels, which each table of a spectrum may count from another start.

A channel is identified by its place: its number less TLMIN of the column, the lowest legal number (OGIP/92-007 for
spectra, CAL/GEN/92-002 for responses; there a missing TLMIN means 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astroquery.exceptions import CorruptDataWarning

from ..allowance import Allowance
from ..errors import DecodingError, warn
from ..text import printable
from .cards import number

#: columns with numbers of channels, by the role of their table, in the order in which their numbering is preferred
CHANNELS_IN = {"SPECTRUM": "CHANNEL", "EBOUNDS": "CHANNEL", "MATRIX": "F_CHAN"}


@dataclass(frozen=True)
class Numbering:
    """
    How the channels of one spectrum and its response are numbered in files.

    ``first`` and ``count`` hold for all of their tables; ``shifts`` has, for each table by its role, what is added to
    its own numbers.
    """

    first: int
    count: int
    shifts: dict[str, int]

    @classmethod
    def of(cls, tables: Mapping[str, Any]) -> Numbering:
        """Take that of the spectrum, else that of the energies of the channels, else that of the matrix."""
        bounds = tables.get("EBOUNDS")
        present = {role: tables[role] for role in CHANNELS_IN if tables.get(role) is not None}
        starts = {role: first_channel(hdu, CHANNELS_IN[role], bounds) for role, hdu in present.items()}
        first = next(iter(starts.values()), 1)
        used = [_extent(hdu, CHANNELS_IN[role])[1] - starts[role] + 1 for role, hdu in present.items()]
        known = [_stated_count(hdu) for hdu in (present.values() if bounds is None else [bounds])]
        return cls(first, max([*used, *known], default=0), {role: first - start for role, start in starts.items()})


def limits_of(hdu: Any, column: str) -> tuple[str, str, str]:
    """Keywords of the lowest and the highest legal number in a column, and of how many channels there are."""
    place = [name.upper() for name in hdu.columns.names].index(column) + 1
    return f"TLMIN{place}", f"TLMAX{place}", "DETCHANS"


def first_channel(hdu: Any, column: str, bounds: Any) -> int:
    """Lowest legal number in a column: TLMIN, else that of EBOUNDS, 1 or 0, if compatible with the numbers."""
    keyword = limits_of(hdu, column)[0]
    value = number(hdu.header, keyword, math.nan)
    stated = int(value) if value.is_integer() else None
    others = (1, 0) if bounds is None or hdu is bounds else (first_channel(bounds, "CHANNEL", bounds), 1, 0)
    possible = others if stated is None else (stated, *others)
    least, most = _extent(hdu, column)
    count = max(_stated_count(hdu), _stated_count(bounds)) or math.inf
    fitting = (start for start in possible if start <= least and most < start + count)
    found = next(fitting, min(possible[0], least))
    if stated is not None and found != stated:
        warn(
            f"the channels in {printable(hdu.name, limit=60)} run from {least} to {most}, but {keyword} is {stated}; "
            f"they are counted from {found}",
            CorruptDataWarning,
        )
    return found


def _extent(hdu: Any, column: str) -> tuple[int, int]:
    """First and last channel in a table."""
    if column == "CHANNEL":
        begins = ends = np.asarray(hdu.data["CHANNEL"]).astype(np.int64)
    else:
        firsts, lengths, _ = _groups(hdu)
        begins = firsts[lengths > 0]
        ends = begins + lengths[lengths > 0] - 1
    return (int(begins.min()), int(ends.max())) if len(begins) else (1, -1)


def _stated_count(hdu: Any) -> int:
    """How many channels there are as far as a table says; EBOUNDS has a row for each."""
    if hdu is None:
        return 0
    count = int(number(hdu.header, "DETCHANS", 0))
    return max(count, len(hdu.data)) if "E_MIN" in (name.upper() for name in hdu.columns.names) else count


def energy_rows(spectrum: Any, bounds: Any) -> np.ndarray | None:
    """Row of EBOUNDS for each channel of a spectrum, found by its place; None where one is missing."""
    shift = first_channel(bounds, "CHANNEL", bounds) - first_channel(spectrum, "CHANNEL", bounds)
    known = {channel: row for row, channel in enumerate(np.asarray(bounds.data["CHANNEL"]).tolist())}
    rows = [known.get(channel + shift) for channel in np.asarray(spectrum.data["CHANNEL"]).tolist()]
    return None if None in rows else np.array(rows, dtype=np.int64)


# ---- groups of channels in a matrix: in each row the first N_GRP of F_CHAN and N_CHAN, unless they are empty


def _groups(matrix: Any) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """F_CHAN and N_CHAN of all rows one after the other, N_CHAN 0 for what is not a group, and where rows end."""
    counts, starts, widths = (np.asarray(matrix.data[name]) for name in ("N_GRP", "F_CHAN", "N_CHAN"))
    if len(counts) and "O" not in (starts.dtype.kind, widths.dtype.kind) and starts.shape == widths.shape:
        starts, widths = (column.reshape(len(counts), -1).astype(np.int64) for column in (starts, widths))
        widths[np.arange(widths.shape[1]) >= counts.reshape(len(counts), 1)] = 0
        return starts.ravel(), widths.ravel(), np.cumsum(np.full(len(counts), starts.shape[1])).tolist()
    firsts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for count, first, length in zip(counts, matrix.data["F_CHAN"], matrix.data["N_CHAN"], strict=True):
        first, length = np.atleast_1d(first), np.atleast_1d(length)
        groups = min(count, len(first), len(length))
        used = np.zeros(len(first), np.int64)
        used[:groups] = length[:groups]
        firsts.append(first.astype(np.int64))
        lengths.append(used)
    return np.concatenate(firsts), np.concatenate(lengths), np.cumsum([len(first) for first in firsts[1:]]).tolist()


def renumbered(hdu: Any, column: str, shift: int) -> np.ndarray:
    """Column CHANNEL or F_CHAN with another start, as a new array; groups without channels have any number."""
    values = hdu.data[column]
    if column == "CHANNEL":
        return np.asarray(values).astype(np.int64) + shift
    firsts, lengths, ends = _groups(hdu)
    firsts[lengths > 0] += shift
    if values.dtype.kind != "O":
        return firsts.reshape(values.shape)
    return np.fromiter(np.split(firsts, ends[:-1]), dtype=object)


def dense_matrix(matrix: Any, first: int, count: int) -> np.ndarray:
    """Values of a matrix for all channels, (energies, channels); F_CHAN counts from ``first``."""
    values = matrix.data["MATRIX"]
    if values.dtype.kind == "O":
        flat = np.concatenate([np.zeros(0), *map(np.atleast_1d, values)])
        widths = np.array([np.size(row) for row in values], dtype=np.int64)
    else:
        flat = np.asarray(values, dtype=float).ravel()
        widths = np.full(len(values), flat.size // max(len(values), 1))
    Allowance(flat.nbytes).spend(8 * len(values) * count, "the matrix of a response")
    firsts, lengths, ends = _groups(matrix)
    used = lengths > 0
    if (
        (lengths < 0).any()
        or (firsts[used] < first).any()
        or (firsts + lengths)[used].max(initial=first) > first + count
    ):
        raise DecodingError(f"its MATRIX has channels outside of {first} to {first + count - 1}")
    rows = np.repeat(np.arange(len(values)), np.diff(ends, prepend=0))
    in_row = np.bincount(rows, lengths, len(values)).astype(np.int64)
    if (in_row > widths).any():
        raise DecodingError("its MATRIX has fewer values than N_CHAN says")
    if flat.size == len(values) * count and (lengths[used] == count).all() and used.sum() == len(values):
        return flat.reshape(len(values), count)
    # where the values of each group begin: those of a row follow one another
    before = np.cumsum(lengths) - lengths
    begins = before - (np.cumsum(in_row) - in_row)[rows] + (np.cumsum(widths) - widths)[rows]
    steps = np.arange(lengths.sum()) - np.repeat(before, lengths)
    dense = np.zeros((len(values), count))
    dense[np.repeat(rows, lengths), np.repeat(firsts - first, lengths) + steps] = flat[
        np.repeat(begins, lengths) + steps
    ]
    return dense
