# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Detections in several source lists: which of them are of the same source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from astroquery.exceptions import InputWarning

from ..catalog import cells
from ..errors import ParameterError, valid, warn
from ..instruments import CATALOG_VALUES
from ..products.plaintable import numbers_of
from ..products.sources import folded_name
from ..text import listed
from .skygrids import unit_vectors

_Array = np.ndarray[Any, Any]

#: what is in no catalogue is called so by the software of INTEGRAL
UNNAMED = re.compile(r"NEW[\s_-]*(SOURCE)?[\s_-]*\d*", re.IGNORECASE)
#: columns that all source lists have
USUAL = ("meta_ID", "src_names", "significance", "ra", "dec")
# deg within which two detections are of one source, where their errors are not larger
_NEAR = 3.0 / 60.0


@dataclass(frozen=True)
class Detections:
    """Rows of all inputs, in an order that does not depend on theirs: the most significant first."""

    table: Table
    vectors: _Array  # on the unit sphere
    errors: _Array  # deg, NaN where unknown
    significances: _Array  # NaN where unknown
    radius: float | None

    @classmethod
    def of_tables(cls, tables: list[Table], frame: str, radius: float | None) -> Detections | None:
        """All rows of the tables in one frame; None if there are none."""
        filled = [_in_frame(table, frame) for table in tables if len(table)]
        if not filled:
            return None
        units: dict[str, Any] = {}
        for table in filled:
            for name in table.colnames:
                if units.setdefault(name, table[name].unit) != table[name].unit:
                    raise ParameterError(f"The column {name!r} has different units in the catalogs; convert it before.")
        with valid("catalogs", f"{len(filled)} tables", "set of tables that can be joined"):
            joined = vstack(filled, metadata_conflicts="silent")
        usual = [name for name in (*USUAL, *CATALOG_VALUES) if name in joined.colnames]
        joined = joined[usual + sorted(set(joined.colnames) - set(usual))]
        significances, errors = plain_numbers_of(joined, "significance"), plain_numbers_of(joined, "ERR_RAD")
        errors[errors == 0] = np.nan
        texts = [str(row) for row in zip(*(cells(joined[name]) for name in joined.colnames), strict=True)]
        keys = np.nan_to_num(-significances, nan=np.inf), joined["ra"], joined["dec"], texts
        order = sorted(range(len(joined)), key=lambda row: tuple(key[row] for key in keys))
        joined = joined[order]
        vectors = unit_vectors(SkyCoord(joined["ra"], joined["dec"]))
        return cls(joined, vectors, errors[order], significances[order], radius)

    def groups(self) -> tuple[list[list[int]], list[list[int]]]:
        """Rows of each known source, and of each unnamed one that is not close to those."""
        known: dict[str, list[int]] = {}
        unnamed = []
        for row, name in enumerate(self.table["src_names"]):
            if UNNAMED.fullmatch(str(name)):
                unnamed.append(row)
            else:
                known.setdefault(folded_name(name), []).append(row)
        named = list(known.values())
        places, errors = self.summaries(named)
        self._warn_of_distant(named)

        def is_new(rows: list[int]) -> bool:
            (place,), (error,) = self.summaries([rows])
            return not (_separations(places, place) <= self._limits(errors, error)).any()

        # twice, since means have other places than what they are made of
        candidates = self._merged([[row] for row in unnamed if is_new([row])])
        return named, [rows for rows in candidates if is_new(rows)]

    def _limits(self, errors: _Array, error: float) -> _Array:
        """Distances (deg) up to which sources with these errors are one with another one."""
        if self.radius is not None:
            return np.full(len(errors), self.radius)
        return np.fmax(np.fmax(errors, error), _NEAR)

    def summaries(self, groups: list[list[int]]) -> tuple[_Array, _Array]:
        """Mean place and least error of each group."""
        places = np.array([self._mean(rows) for rows in groups]).reshape(-1, 3)
        return places, np.array([np.fmin.reduce(self.errors[rows]) for rows in groups])

    def _mean(self, rows: list[int]) -> _Array:
        vectors, errors, significances = self.vectors[rows], self.errors[rows], self.significances[rows]
        if (vectors == vectors[0]).all():
            return np.asarray(vectors[0])
        weights = np.ones(len(rows))
        if (errors > 0).all() and (errors != errors[0]).any():
            weights = errors[0] ** 2 / errors**2
        elif (significances > 0).all():  # the service repeats the error of a catalogue for known sources
            weights = significances**2
        mean = weights @ vectors
        return np.asarray(mean / np.linalg.norm(mean))

    def _merged(self, groups: list[list[int]]) -> list[list[int]]:
        """Join the two groups that are closest to each other until all are too far away; those that are left."""
        places, errors = self.summaries(groups)
        left = np.ones(len(groups), dtype=bool)
        gaps, partners = np.full(len(groups), np.inf), np.zeros(len(groups), dtype=int)

        def distances(one: int) -> _Array:
            apart = _separations(places, places[one])
            apart[(apart > self._limits(errors, errors[one])) | ~left] = np.inf
            apart[one] = np.inf
            return apart

        def find_partner(one: int) -> _Array:
            apart = distances(one)
            partners[one] = np.argmin(apart)
            gaps[one] = apart[partners[one]]
            return apart

        for one in range(len(groups)):
            find_partner(one)
        while len(groups) and np.isfinite(gaps).any():
            one = int(np.argmin(gaps))
            kept, joined = sorted((one, int(partners[one])))
            groups[kept] = sorted(groups[kept] + groups[joined])
            left[joined], gaps[joined] = False, np.inf
            places[kept : kept + 1], errors[kept : kept + 1] = self.summaries([groups[kept]])
            for other in np.flatnonzero(left & np.isin(partners, (kept, joined)) & np.isfinite(gaps)):
                find_partner(int(other))
            apart = find_partner(kept)
            closer = apart < gaps
            partners[closer], gaps[closer] = kept, apart[closer]
        return [group for group, is_left in zip(groups, left, strict=True) if is_left]

    def _warn_of_distant(self, groups: list[list[int]]) -> None:
        """Warn of sources of one name at places that are too far from each other."""
        for rows in groups:
            apart = _separations(self.vectors[rows], self.vectors[rows[0]])
            if (apart > np.fmax(self._limits(self.errors[rows], self.errors[rows[0]]), _NEAR)).any():
                name = str(self.table["src_names"][rows[0]])
                warn(
                    f"{listed([name])} is at places that are up to {60 * apart.max():.1f} arcmin from each other: the "
                    "mean is taken. If these are several sources, rename them.",
                    InputWarning,
                )


def _in_frame(table: Table, frame: str) -> Table:
    """Positions in another frame; unchanged where they are in it."""
    if table.meta["FRAME"] != frame:
        places = SkyCoord(table["ra"], table["dec"], frame=table.meta["FRAME"]).transform_to(frame)
        # what is below a micro-arcsecond comes from the change
        table["ra"], table["dec"] = np.round(places.ra.to(u.deg), 9), np.round(places.dec.to(u.deg), 9)
    return table


def plain_numbers_of(table: Table, name: str) -> _Array:
    """Numbers of a column, NaN where there are none."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return numbers_of(table[name])


def _separations(vectors: _Array, vector: _Array) -> _Array:
    """Angles (deg) between vectors and one."""
    halves = np.linalg.norm(vectors - vector, axis=-1) / 2.0
    return np.asarray(2.0 * np.degrees(np.arcsin(np.minimum(halves, 1.0))))
