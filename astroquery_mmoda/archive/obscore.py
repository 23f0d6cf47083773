# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Rows of the archive as astronomers use them, after the IVOA's standard ObsCore 1.1."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time

from ..allowance import Allowance
from ..errors import reading
from ..request.values import LATEST_MJD
from ..text import printable, visible, without_token

# columns of the service's table of published products, in its order: type, unit, description
_STANDARD = {
    "obs_title": ("U", "", "Title of the data set"),
    "product_path": ("U", "", "Page of the product in the gallery"),
    "em_min": ("f8", "m", "Shortest wavelength"),
    "em_max": ("f8", "m", "Longest wavelength"),
    "s_ra": ("f8", "deg", "Right ascension of the centre (ICRS)"),
    "s_dec": ("f8", "deg", "Declination of the centre (ICRS)"),
    "time_bin": ("f8", "", "Length of a time bin, as the gallery has it"),
    "instrument_name": ("U", "", "Instrument"),
    "dataproduct_type": ("U", "", "Kind of data product"),
    "t_min": ("f8", "d", "Begin of the observation (MJD)"),
    "t_max": ("f8", "d", "End of the observation (MJD)"),
    "proposal_id": ("U", "", "Identifier of the proposal"),
    "target_name": ("U", "", "Observed object or objects"),
    "access_url": ("U", "", "Address of the data"),
    "image_uri": ("U", "", "Preview"),
}
# larger than each MJD of an observation, smaller than each JD
_FIRST_JD = 2_400_000.5


def no_products() -> Table:
    """The service's table of published products without rows; it sends no columns either then."""
    return Table({name: MaskedColumn([], dtype=kind) for name, (kind, _, _) in _STANDARD.items()})


def plain_columns(table: Table) -> Table:
    """The service's columns, masked where there is nothing, with the standard's units and descriptions."""
    allowance = Allowance()
    with reading("the archive's answer"):
        return Table([_plain_column(column, allowance) for column in table.itercols()])


def _plain_column(column: Column, allowance: Allowance) -> MaskedColumn:
    _, unit, description = _STANDARD.get(column.name, ("", "", ""))
    if column.dtype.kind in "OSU":
        texts = visible(without_token(str(text)) for text in MaskedColumn(column).filled(""))
        # all cells become as wide as the longest, of which there may be one
        allowance.left += sum(map(len, texts))
        allowance.spend(4 * max(map(len, texts), default=0) * len(texts), f"the column {printable(column.name)}")
        plain = MaskedColumn(texts, mask=[not text for text in texts], dtype="U")
    else:
        plain = MaskedColumn(column, unit=column.unit or unit or None)
        plain.mask |= ~np.isfinite(plain.data)
        plain.meta.pop("values", None)  # what VOTable has for no value: a NaN, for which astropy warns in vstack
    plain.name, plain.description = printable(column.name), printable(column.description or description)
    return plain


def tidy(table: Table) -> Table:
    """
    The service's table for astronomers: plain columns, of which ``t_min`` and ``t_max`` become Time.

    ``e_min`` and ``e_max`` (keV) and ``position`` (SkyCoord) are added.
    """
    plain = plain_columns(table)
    for name in ("t_min", "t_max"):
        _replace_by_times(plain, name)
    _add_energies(plain)
    _add_position(plain)
    return plain


def _numbers_in(table: Table, name: str, unit: u.UnitBase) -> np.ndarray[Any, Any] | None:
    """Numbers of a column in this unit, NaN where there are none; None if there is no such column."""
    column = table[name] if name in table.colnames else None
    if column is None or column.dtype.kind != "f" or not (column.unit or unit).is_equivalent(unit):
        return None
    return np.asarray(column.filled(np.nan)) * (column.unit or unit).to(unit)


def _replace_by_times(table: Table, name: str) -> None:
    """Make Time (UTC) of a column of MJD, in which the gallery has some JD, too."""
    days = _numbers_in(table, name, u.d)
    if days is not None:
        days = np.where(days > _FIRST_JD, days - _FIRST_JD, days)
        wrong = ~(np.abs(days) < LATEST_MJD)
        times = Time(np.ma.MaskedArray(np.where(wrong, 0.0, days), mask=wrong), format="mjd", scale="utc")
        times.info.description = table[name].description
        table.replace_column(name, times)


def _add_energies(table: Table) -> None:
    """Add energies: the lowest is that of the longest wavelength."""
    for old, new, description in (("em_max", "e_min", "Lowest energy"), ("em_min", "e_max", "Highest energy")):
        metres = _numbers_in(table, old, u.m)
        if metres is not None and new not in table.colnames:
            known = metres > 0
            energies = (np.where(known, metres, 1.0) * u.m).to_value(u.keV, equivalencies=u.spectral())
            # wavelengths were made of round energies, by division
            rounded = np.array([float(f"{energy:.12g}") for energy in energies])
            table[new] = MaskedColumn(rounded, mask=~known, unit=u.keV, description=description)


def _add_position(table: Table) -> None:
    """Add positions, NaN for impossible ones, which the gallery has in places."""
    ra, dec = (_numbers_in(table, name, u.deg) for name in ("s_ra", "s_dec"))
    if ra is not None and dec is not None and "position" not in table.colnames:
        wrong = ~(np.isfinite(ra) & (np.abs(dec) <= 90))
        table["position"] = SkyCoord(np.where(wrong, np.nan, ra), np.where(wrong, np.nan, dec), unit="deg")
        table["position"].info.description = "Centre (ICRS)"
