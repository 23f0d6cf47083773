# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Numbers of channels, which each table of a spectrum may count from another start.

A channel is told by its place: its number less TLMIN of the column, the lowest legal number (OGIP/92-007 for spectra,
CAL/GEN/92-002 for responses; there a missing TLMIN means 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from astroquery.exceptions import CorruptDataWarning

from ..errors import warn
from ..text import printable
from .cards import number

#: columns with numbers of channels, by the role of their table, in the order of their claim to the numbering
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
    def of(cls, spectrum: Any, bounds: Any, matrix: Any) -> Numbering:
        """Take that of the spectrum, else that of the energies of the channels, else that of the matrix."""
        starts = {}
        if spectrum is not None:
            starts["SPECTRUM"] = first_channel(spectrum, bounds)
        if bounds is not None:
            starts["EBOUNDS"] = first_channel(bounds, bounds)
        if matrix is not None:
            starts["MATRIX"] = first_of_matrix(matrix, bounds)
        first = next(iter(starts.values()), 1)
        known = [hdu for hdu in (spectrum, matrix) if hdu is not None] if bounds is None else [bounds]
        ends = {"SPECTRUM": _last(spectrum), "EBOUNDS": _last(bounds), "MATRIX": _last_of_matrix(matrix)}
        used = [ends[role] - start + 1 for role, start in starts.items()]
        count = max([*used, *(_rows(hdu) for hdu in known)], default=0)
        return cls(first, count, {role: first - start for role, start in starts.items()})


def _column_number(hdu: Any, column: str) -> int:
    """Number of a column as FITS counts them; names have no case."""
    return [name.upper() for name in hdu.columns.names].index(column) + 1


def limits_of(hdu: Any, column: str) -> tuple[str, str, str]:
    """Keywords that tell the lowest and the highest legal number in a column, and how many channels there are."""
    place = _column_number(hdu, column)
    return f"TLMIN{place}", f"TLMAX{place}", "DETCHANS"


def first_channel(hdu: Any, bounds: Any = None) -> int:
    """Lowest legal number in the column CHANNEL; how many channels there are is known from EBOUNDS, if at all."""
    channels = np.asarray(hdu.data["CHANNEL"])
    if not len(channels):
        return _stated(hdu, "CHANNEL") or 0
    least = int(channels.min())
    count = max(_rows(hdu), _rows(bounds)) or None
    return _fitting(hdu, "CHANNEL", (0 if least == 0 else 1,), least, int(channels.max()), count)


def first_of_matrix(matrix: Any, bounds: Any = None) -> int:
    """Lowest legal number in the column F_CHAN; without TLMIN that of the EBOUNDS beside it, where it is possible."""
    firsts = _groups(matrix)[0]
    least = int(firsts.min()) if len(firsts) else 1
    others = (1, 0) if bounds is None else (first_channel(bounds, bounds), 1, 0)
    return _fitting(matrix, "F_CHAN", others, least, _last_of_matrix(matrix), _rows(bounds) or _rows(matrix) or None)


def _fitting(hdu: Any, column: str, others: tuple[int, ...], least: int, most: int, count: int | None) -> int:
    """First of the possible starts that is compatible with the numbers in the column."""
    stated = _stated(hdu, column)
    possible = others if stated is None else (stated, *others)
    fitting = (start for start in possible if start <= least and (count is None or most < start + count))
    found = next(fitting, min(possible[0], least))
    if stated is not None and found != stated:
        warn(
            f"the channels in {printable(hdu.name, limit=60)} run from {least} to {most}, although the lowest is said "
            f"to be {stated} (TLMIN{_column_number(hdu, column)}); they are counted from {found}",
            CorruptDataWarning,
        )
    return found


def _stated(hdu: Any, column: str) -> int | None:
    keyword = f"TLMIN{_column_number(hdu, column)}"
    value = number(hdu.header, keyword, math.nan)
    return int(value) if math.isfinite(value) and value == round(value) else None


def _rows(hdu: Any) -> int:
    """How many channels there are as far as a table tells; EBOUNDS has a row for each."""
    if hdu is None:
        return 0
    told = int(number(hdu.header, "DETCHANS", 0))
    return max(told, len(hdu.data)) if "E_MIN" in (name.upper() for name in hdu.columns.names) else told


def _last(hdu: Any) -> int:
    return -1 if hdu is None or not len(hdu.data) else int(np.max(hdu.data["CHANNEL"]))


def _last_of_matrix(matrix: Any) -> int:
    if matrix is None:
        return -1
    firsts, lengths = _groups(matrix)
    return int((firsts + lengths).max(initial=0)) - 1


def energy_rows(spectrum: Any, bounds: Any) -> np.ndarray | None:
    """Row of EBOUNDS for each channel of a spectrum, found by its place; None where one is missing."""
    places = np.asarray(spectrum.data["CHANNEL"]).astype(np.int64) - first_channel(spectrum, bounds)
    known = np.asarray(bounds.data["CHANNEL"]).astype(np.int64) - first_channel(bounds, bounds)
    if not len(known):
        return None if len(places) else np.zeros(0, dtype=np.int64)
    order = np.argsort(known)
    rows: np.ndarray = order[np.clip(np.searchsorted(known, places, sorter=order), 0, len(known) - 1)]
    return rows if np.array_equal(known[rows], places) else None


# ---- groups of channels in a matrix: in each row the first N_GRP of F_CHAN and N_CHAN, unless they are empty


def _groups(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Beginnings and lengths of all groups of channels that have values."""
    used = _used_groups(matrix)
    if not used:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    firsts, lengths = (
        np.concatenate([row[: len(use)][use] for row, use in zip(_in_rows(matrix.data[name]), used, strict=True)])
        for name in ("F_CHAN", "N_CHAN")
    )
    return firsts, lengths


def _in_rows(values: np.ndarray) -> list[np.ndarray]:
    """Each row as a vector of whole numbers, also where there is one number in it or none."""
    if values.dtype.kind != "O":
        return list(values.astype(np.int64).reshape(len(values), -1))
    return [np.atleast_1d(np.asarray(row)).astype(np.int64) for row in values]


def _used_groups(matrix: Any) -> list[np.ndarray]:
    """For each row, which of its groups of channels have values."""
    data = matrix.data
    rows = zip(data["N_GRP"], *(_in_rows(data[name]) for name in ("F_CHAN", "N_CHAN")), strict=True)
    return [
        (np.arange(min(len(first), len(length))) < count) & (length[: len(first)] > 0) for count, first, length in rows
    ]


def renumbered(hdu: Any, column: str, shift: int) -> np.ndarray:
    """
    Column CHANNEL or F_CHAN with another start, as a new array.

    In F_CHAN only groups that have channels are changed; the others have any number.
    """
    values = hdu.data[column]
    if column == "CHANNEL":
        return np.asarray(values).astype(np.int64) + shift
    rows = _in_rows(values)
    for row, use in zip(rows, _used_groups(hdu), strict=True):
        row[: len(use)][use] += shift
    if values.dtype.kind != "O":
        return np.array(rows, dtype=np.int64).reshape(values.shape)
    changed = np.empty(len(rows), dtype=object)
    for index, row in enumerate(rows):
        changed[index] = row
    return changed
