# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The mean response of several spectra of one source.

What a fit compares with the mean rate R_j = sum_i w_i R_ij / W_j of channel j is the mean of the folded models,
sum_e phi_e [sum_i w_i A_i(e) M_i(e, j) / W_j], with the same weights and over the same parts i. So the mean of the
product of area A and matrix M has to be right; the product of two means is not the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.io import fits

from ..errors import ParameterError
from ..products.cards import complete_copy
from ..products.channels import CHANNELS_IN, Numbering, dense_matrix, limits_of
from ..products.storage.spectrumtable import unit_factor
from .headers import CommonCards

_TOLERANCE = 1e-5  # of energies, which are floats of 32 bits


def same_energies(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two grids of energies are the same but for rounding."""
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=_TOLERANCE, atol=0))


class MeanResponse:
    """
    Sums of effective areas and matrices of one source.

    As long as all parts have the same matrix and use the same channels, only the areas are summed. Then the products of
    both are; the mean matrix is their sum over that of the areas, and the mean area stays what it is. Where parts use
    different channels, no area holds for all of them, and it goes into the matrix.
    """

    def __init__(self, tables: Mapping[str, Any], numbers: Numbering) -> None:
        self._first = {role: complete_copy(tables[role]) for role in ("SPECRESP", "MATRIX") if role in tables}
        self.cards = {role: CommonCards() for role in self._first}
        self._numbers, self._start = numbers, numbers.first - numbers.shifts.get("MATRIX", 0)
        self._energies = _energies(self._first)
        rows = len(self._energies[0]) if self._first else 0
        self._area, self._total, self._is_factor = np.zeros(rows), 0.0, _is_factor(tables)
        self._products: np.ndarray | None = None
        self._is_full = False

    def add(
        self,
        tables: Mapping[str, Any],
        numbers: Numbering,
        total: float,
        weight: np.ndarray,
        reset: np.ndarray,
        *,
        alike: bool,
    ) -> None:
        """
        Take a response: weights of the part and its channels, sums that begin anew, whether it uses the same channels.
        """
        if not self._first:
            return
        if not all(map(same_energies, _energies(tables), self._energies)):
            raise ParameterError("its response has another grid of energies (ENERG_LO, ENERG_HI)")
        area = _area(tables, len(self._area))
        self._is_full |= not alike or _is_factor(tables) != self._is_factor
        for role, cards in self.cards.items():
            cards.add(tables[role].header)
        if "MATRIX" in self._first and not (alike and self._products is None and self._has_first_matrix(tables)):
            if self._products is None:
                self._products = self._area[:, np.newaxis] * self._first_matrix()
            self._products[:, reset] = 0
            start = numbers.first - numbers.shifts["MATRIX"]
            self._products += area[:, np.newaxis] * dense_matrix(tables["MATRIX"], start, self._numbers.count) * weight
        self._area += total * area
        self._total += total

    def _has_first_matrix(self, tables: Mapping[str, Any]) -> bool:
        one, other = self._first["MATRIX"], tables["MATRIX"]
        return all(_same_column(one.data[name], other.data[name]) for name in ("N_GRP", "F_CHAN", "N_CHAN", "MATRIX"))

    def _first_matrix(self) -> np.ndarray:
        return dense_matrix(self._first["MATRIX"], self._start, self._numbers.count)

    def hdus(self, weight: np.ndarray) -> dict[str, fits.BinTableHDU]:
        """Extensions of the mean, by their roles; ``weight`` is the sum of weights of each channel."""
        made: dict[str, fits.BinTableHDU] = {}
        mean = self._area / self._total if self._total else self._area
        is_full = self._is_full and self._products is not None
        if "SPECRESP" in self._first:
            hdu = self._first["SPECRESP"]
            like, factor = hdu.columns["SPECRESP"], unit_factor(hdu, "SPECRESP", "cm**2")
            unit = None if is_full else like.unit
            array = np.ones(len(mean)) if is_full else mean / factor
            area = fits.Column("SPECRESP", like.format, unit, array=array)
            columns = [area if column is like else column for column in hdu.columns]
            made["SPECRESP"] = fits.BinTableHDU.from_columns(
                columns, header=self.cards["SPECRESP"].header(), name="SPECRESP"
            )
        if "MATRIX" in self._first:
            columns, values = self._first["MATRIX"].columns, self._products
            if values is not None:
                values = values / np.where(weight > 0, weight, 1.0)
                if not is_full:
                    areas = np.broadcast_to(mean[:, np.newaxis], values.shape)
                    values = np.divide(values, areas, out=np.zeros_like(values), where=areas != 0)
                columns = _dense_columns(columns, values, self._start)
            made["MATRIX"] = channel_hdu("MATRIX", columns, self.cards["MATRIX"], self._numbers)
            changed = {} if values is None else {"NUMGRP": len(values), "NUMELT": values.size, "LO_THRES": 0.0}
            made["MATRIX"].header.update({key: value for key, value in changed.items() if key in made["MATRIX"].header})
            if is_full:
                made["MATRIX"].header["HDUCLAS3"] = ("FULL", "the effective area is in the matrix")
        return made


def channel_hdu(role: str, columns: Any, cards: CommonCards, numbers: Numbering) -> fits.BinTableHDU:
    """Table with numbers of channels, and from where to where these go, as its columns may have other places."""
    header = cards.header()
    for keyword in [keyword for keyword in header if keyword.startswith(("TLMIN", "TLMAX"))]:
        del header[keyword]
    hdu = fits.BinTableHDU.from_columns(columns, header=header, name=role)
    start = numbers.first - numbers.shifts[role]
    for keyword, value in zip(
        limits_of(hdu, CHANNELS_IN[role]), (start, start + numbers.count - 1, numbers.count), strict=True
    ):
        hdu.header[keyword] = value
    return hdu


def _dense_columns(columns: fits.ColDefs, values: np.ndarray, start: int) -> list[fits.Column]:
    """Columns of a matrix with all channels in each row."""
    rows, count = values.shape
    groups = {"N_GRP": np.ones(rows), "F_CHAN": np.full(rows, start), "N_CHAN": np.full(rows, count)}
    return [
        *(column for column in columns if column.name.upper() in ("ENERG_LO", "ENERG_HI")),
        *(fits.Column(name, "J", array=array) for name, array in groups.items()),
        fits.Column("MATRIX", f"{count}E", unit=columns["MATRIX"].unit, array=values),
    ]


def _same_column(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.kind == "O" or other.dtype.kind == "O":
        return len(one) == len(other) and all(map(np.array_equal, one, other))
    return np.array_equal(one, other)


def _energies(tables: Mapping[str, Any]) -> list[np.ndarray]:
    """Edges (keV) of the grids of area and matrix, one after the other."""
    return [
        np.asarray(tables[role].data[name], dtype=float) * unit_factor(tables[role], name, "keV")
        for role in ("SPECRESP", "MATRIX")
        if role in tables
        for name in ("ENERG_LO", "ENERG_HI")
    ]


def _area(tables: Mapping[str, Any], rows: int) -> np.ndarray:
    """Effective area in cm2; 1 where the matrix has it."""
    if "SPECRESP" not in tables:
        return np.ones(rows)
    hdu = tables["SPECRESP"]
    return np.asarray(hdu.data["SPECRESP"], dtype=float) * unit_factor(hdu, "SPECRESP", "cm**2")


def _is_factor(tables: Mapping[str, Any]) -> bool:
    """Whether the area is 1 everywhere, since the matrix has it."""
    return "SPECRESP" in tables and bool(np.all(np.asarray(tables["SPECRESP"].data["SPECRESP"]) == 1))
