# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Sums of the spectra of one source, channel by channel."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from astropy.io import fits

from ..allowance import Allowance
from ..errors import DecodingError, ParameterError
from ..products.cards import complete_copy, number
from ..products.channels import Numbering, energy_rows
from ..products.spectrum import ROLES
from ..products.storage.spectrumtable import GOOD, ChannelValues, check_columns, has_column, unit_factor
from .headers import CommonCards
from .responses import MeanResponse, channel_hdu, same_energies

# column of a sum with the weights of each channel, where these are not all the same, and what these are
_WEIGHT, _KIND = "WEIGHT", "WEIGHTS"
# columns that are averaged or summed; others stay where they are the same in all
_AVERAGED = frozenset({"RATE", "COUNTS", "STAT_ERR", "SYS_ERR", "QUALITY", _WEIGHT})
_OWN = _AVERAGED | {"CHANNEL"}
_ARRAYS = 3  # with a number for each channel, beside those of the columns


class SpectrumPart:
    """
    The spectrum of one source in one part.

    ``weight`` is that of the part, ``weights`` those of its channels, which are different only if the part is a sum.
    """

    def __init__(self, tables: Mapping[str, Any], weights: str) -> None:
        for role, hdu in tables.items():
            check_columns(hdu, role)
        self.tables, hdu = tables, tables["SPECTRUM"]
        self.numbers = Numbering.of(tables)
        # it may be declared only
        Allowance(hdu.data.nbytes).spend(_ARRAYS * 8 * self.numbers.count, f"{self.numbers.count} channels")
        self.values = ChannelValues.of(hdu)
        self.good = self.values.quality == GOOD
        self.places = np.asarray(hdu.data["CHANNEL"]).astype(np.int64) - self.numbers.first
        if len(np.unique(self.places)) < len(self.places):
            raise DecodingError("a channel occurs twice")
        self.exposure = number(hdu.header, "EXPOSURE", math.nan)
        if math.isnan(self.exposure):
            raise ParameterError("it has no EXPOSURE (s), by which it could be weighted; set it in the header")
        self.weight = self.exposure
        if weights == "variance":
            if self.values.in_counts:
                raise ParameterError('it is in counts, which are added: use weights="exposure"')
            errors = self.values.error[self.good]
            self.weight = 1 / float(np.median(errors)) ** 2 if len(errors) else 0.0
        self.weights = np.full(len(self.places), self.weight)
        if has_column(hdu, _WEIGHT) and hdu.header.get(_KIND) == weights:
            self.weights = np.array(hdu.data[_WEIGHT], dtype=float)
            self.weight = number(hdu.header, _WEIGHT, self.weight)

    def column(self, name: str) -> np.ndarray | None:
        """A column of its table, if it has that."""
        hdu = self.tables["SPECTRUM"]
        return np.asarray(hdu.data[name]) if has_column(hdu, name.upper()) else None

    @property
    def systematic(self) -> np.ndarray:
        """Systematic error of each channel, as a fraction."""
        column = self.column("SYS_ERR")
        constant = number(self.tables["SPECTRUM"].header, "SYS_ERR", 0.0)
        return np.full(len(self.places), constant) if column is None else column.astype(float)

    @property
    def bounds(self) -> np.ndarray | None:
        """Energies of the channels (keV)."""
        if "EBOUNDS" not in self.tables:
            return None
        hdu, rows = self.tables["EBOUNDS"], energy_rows(self.tables["SPECTRUM"], self.tables["EBOUNDS"])
        if rows is None:
            raise DecodingError("it has channels that are missing in its EBOUNDS")
        return np.array(
            [hdu.data[name][rows] * unit_factor(hdu, name, "keV") for name in ("E_MIN", "E_MAX")], dtype=float
        )


class SourceSum:
    """Sums over the parts that have a source."""

    def __init__(self, first: SpectrumPart) -> None:
        # not the part itself, of which all other sources would stay in memory
        self._places, self._numbers, self._in_counts = first.places, first.numbers, first.values.in_counts
        self._tables = {
            role: complete_copy(first.tables[role]) for role in ("SPECTRUM", "EBOUNDS") if role in first.tables
        }
        self._cards = {role: CommonCards() for role in self._tables}
        self._bounds, self._response = first.bounds, MeanResponse(first.tables, first.numbers)
        self._has = _kinds_of(first)
        size = len(first.places)
        self._good, self._stated = np.zeros(size, dtype=bool), np.zeros(size, dtype=np.int16)
        self._sums = {name: np.zeros(size) for name in ("weight", "value", "variance", "systematic", "counts")}
        self._others = {
            name: first.column(name) for name in first.tables["SPECTRUM"].columns.names if name.upper() not in _OWN
        }
        self._total, self._alike = 0.0, True
        self._is_systematic = first.column("SYS_ERR") is not None
        self._names: Counter[str] = Counter()
        self._jobs = 0
        #: exposure of the parts that have the source (s), and its least EXTVER there
        self.share, self.least_ver = 0.0, math.inf
        self.name = ""

    def add(self, part: SpectrumPart, ver: int, name: str, exposure: float) -> None:
        """Take one more part, of which ``exposure`` is that of all its sources."""
        rows = self._rows_of(part)
        good, alike = part.good[rows], self._joins(part, part.good[rows])
        reset, used = good & ~self._good, good | ~(good | self._good)
        self._good |= good
        weight = np.where(used, part.weights[rows], 0.0)
        # counts are sums over the whole exposure: what a channel misses is missing in its response, too
        factor = np.where(used, part.exposure, 0.0) if part.values.in_counts else weight
        in_counts = part.values.in_counts
        terms = {
            "weight": weight,
            "value": part.values.value[rows] * (1.0 if in_counts else weight),
            "variance": (part.values.error[rows] * (1.0 if in_counts else weight)) ** 2,
            "systematic": part.systematic[rows] * weight,
            "counts": 0.0 if (column := part.column("COUNTS")) is None else column[rows].astype(float),
        }
        for key, term in terms.items():
            self._sums[key] = np.where(reset, 0.0, self._sums[key]) + np.where(used, term, 0.0)
        self._stated = np.maximum(self._stated, self._quality(part)[rows])
        by_channel = np.full(self._numbers.count, part.weight)
        by_channel[self._places] = factor
        all_reset = np.zeros(self._numbers.count, dtype=bool)
        all_reset[self._places] = reset
        self._response.add(part.tables, part.numbers, part.weight, by_channel, all_reset, alike=alike)
        self._total += part.weight
        header = part.tables["SPECTRUM"].header
        self._jobs += int(number(header, "NJOBS_S", 1))
        self.share += number(header, "EXPFRAC", 1.0) * exposure
        self.least_ver = min(self.least_ver, ver)
        self._names[name] += 1
        self.name = min(self._names, key=lambda name: (-self._names[name], name))
        for role, cards in self._cards.items():
            cards.add(part.tables[role].header)
        for column, values in self._others.items():
            other = part.column(column)
            if values is not None and (other is None or not np.array_equal(values, other[rows])):
                self._others[column] = None
        if "AREASCAL" in self._cards["SPECTRUM"].differing or self._others.get("AREASCAL", 0) is None:
            raise ParameterError("its AREASCAL differs from that of those before it, which is a part of the response")

    def _rows_of(self, part: SpectrumPart) -> np.ndarray:
        """Rows of a part in the order of the first; refuse one with other channels."""
        order, wanted = np.argsort(part.places), np.argsort(self._places)
        if not np.array_equal(part.places[order], self._places[wanted]) or part.numbers.count != self._numbers.count:
            raise ParameterError("it has other channels")
        rows = np.empty(len(order), dtype=np.int64)
        rows[wanted] = order
        for what, has in _kinds_of(part).items():
            if has != self._has[what]:
                raise ParameterError(f"it has {'' if has else 'no '}{what}, unlike those before it")
        bounds = part.bounds
        if bounds is not None and self._bounds is not None and not same_energies(bounds[:, rows], self._bounds):
            raise ParameterError("its channels have other energies (EBOUNDS)")
        return rows

    def _joins(self, part: SpectrumPart, good: np.ndarray) -> bool:
        """Whether the sum still is one over the same parts in all channels."""
        is_first = not self._names
        self._alike &= (is_first or np.array_equal(good, self._good)) and bool(np.all(part.weights == part.weight))
        return self._alike

    @staticmethod
    def _quality(part: SpectrumPart) -> np.ndarray:
        """What a part itself says of its channels."""
        column = part.column("QUALITY")
        if column is None:
            return np.full(len(part.places), number(part.tables["SPECTRUM"].header, "QUALITY", 0), dtype=np.int16)
        return column.astype(np.int16)

    @property
    def has_response(self) -> bool:
        """Whether a model can be folded for it."""
        return self._has["MATRIX"]

    def hdus(self, whole: float, weights: str) -> Iterator[fits.BinTableHDU]:
        """Extensions of the mean; ``whole`` is the exposure of all parts, also of those without the source."""
        in_counts = self._in_counts
        by_channel = np.full(self._numbers.count, self._total)
        if not in_counts:
            by_channel[self._places] = self._sums["weight"]
        made = self._response.hdus(by_channel)
        made["SPECTRUM"] = self._spectrum(weights)
        made["SPECTRUM"].header["NJOBS_S"] = (self._jobs, "number of jobs with this source")
        made["SPECTRUM"].header["EXPFRAC"] = (
            min(self.share / whole, 1.0),
            "their fraction of the exposure of all jobs",
        )
        if "EBOUNDS" in self._tables:
            columns, cards = self._tables["EBOUNDS"].columns, self._cards["EBOUNDS"]
            made["EBOUNDS"] = channel_hdu("EBOUNDS", columns, cards, self._numbers)
        yield from (made[role] for role in ROLES if role in made)

    def _spectrum(self, weights: str) -> fits.BinTableHDU:
        columns = dict(self._columns(weights))
        kept = [column for column in self._tables["SPECTRUM"].columns if self._others.get(column.name, 0) is not None]
        given = {column.name.upper(): column for column in kept}
        unit = "count" if self._in_counts else "count/s"
        made = [
            _column(columns.pop(name, None), name, column, unit)
            for name, column in given.items()
            if name in columns or name not in _AVERAGED
        ]
        made += [_column(values, name, None, unit) for name, values in columns.items()]
        hdu = channel_hdu("SPECTRUM", made, self._cards["SPECTRUM"], self._numbers)
        for column in made:
            hdu.header.remove(column.name.upper(), ignore_missing=True)  # each channel has its own
        hdu.header.remove(_WEIGHT, ignore_missing=True)
        hdu.header[_KIND] = (weights, "what the weights of the mean are")
        if has_column(hdu, _WEIGHT):
            hdu.header[_WEIGHT] = (self._total, "sum of the weights of all parts")
        return hdu

    def _columns(self, weights: str) -> Iterator[tuple[str, np.ndarray]]:
        """What is averaged or summed, by the names of columns."""
        in_counts, sums = self._in_counts, self._sums
        weight = np.where(sums["weight"] > 0, sums["weight"], 1.0)
        divisor = 1.0 if in_counts else weight
        yield "COUNTS" if in_counts else "RATE", sums["value"] / divisor
        if self._has["STAT_ERR"]:
            yield "STAT_ERR", np.sqrt(sums["variance"]) / divisor
        if not in_counts and self._has["COUNTS"]:
            yield "COUNTS", sums["counts"]
        if self._is_systematic or sums["systematic"].any():
            yield "SYS_ERR", sums["systematic"] / weight
        yield "QUALITY", np.where(self._good, GOOD, self._stated).astype(np.int16)
        if not self._alike or weights == "variance":
            yield _WEIGHT, sums["weight"]


def _kinds_of(part: SpectrumPart) -> dict[str, bool]:
    """What a spectrum and its response consist of."""
    return {
        "values in counts": part.values.in_counts,
        **{name: part.column(name) is not None for name in ("STAT_ERR", "COUNTS")},
        **{role: role in part.tables for role in ROLES[1:]},
    }


def _column(values: np.ndarray | None, name: str, like: fits.Column | None, unit: str) -> fits.Column:
    """A column of the sum, in the form of that of the first part if its numbers fit into it; ``unit``: of values."""
    if values is None:
        return like
    if like is None:
        return fits.Column(name, "I" if values.dtype.kind == "i" else "D", array=values)
    if name == "COUNTS":
        form = "J" if like.dtype.kind in "iu" and values.max(initial=0) < 2**31 else "D"
        return fits.Column(like.name, form, unit="count", array=values)
    return fits.Column(like.name, like.format, unit=unit if name in ("RATE", "STAT_ERR") else like.unit, array=values)
