# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Rows of the archive as astronomers use them, after the IVOA's standard ObsCore 1.1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time

from ..text import printable, without_token

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
PUBLISHED = tuple(_STANDARD)
# larger than each MJD of an observation, smaller than each JD
_FIRST_JD = 2_400_000.5
_LATEST_MJD = 200_000


def standard(name: str) -> tuple[str, str, str]:
    """Type, unit and description of a column; empty for other ones."""
    return _STANDARD.get(name.lower(), ("", "", ""))


def empty_table(names: Iterable[str]) -> Table:
    """No rows, but the columns that some would have."""
    table = Table(masked=True)
    for name in names:
        table[name] = MaskedColumn([], dtype=standard(name)[0] or "U")
    return tidy(table)


def tidy(table: Table) -> Table:
    """
    The service's table for astronomers: plain columns, masked where there is nothing, with units and descriptions.

    ``t_min`` and ``t_max`` become Time; ``e_min`` and ``e_max`` (keV) and ``position`` (SkyCoord) are added.
    """
    plain = Table([_plain_column(table[name]) for name in table.colnames])
    for name in ("t_min", "t_max"):
        _replace_by_times(plain, name)
    _add_energies(plain)
    _add_position(plain)
    return plain


# ---- plain columns


def _plain_column(column: Column) -> MaskedColumn:
    """Numbers or texts, masked where there is nothing, with the standard's unit and description where it has none."""
    kind, unit, description = standard(column.name)
    plain = MaskedColumn(column)
    if column.ndim == 1 and column.dtype.kind in "OSU":
        cells = zip(np.ma.getdata(column.data), np.ma.getmaskarray(column.data).tolist(), strict=True)
        items = [None if masked else _scalar(item) for item, masked in cells]
        known = [item for item in items if item is not None]
        is_odd = any(np.ndim(item) for item in known) or len({isinstance(item, str) for item in known}) > 1
        filler = known[0] if known else np.zeros((), kind or "U")[()]
        plain = MaskedColumn(
            [filler if item is None else item for item in items],
            dtype=object if is_odd else None if known else kind or "U",
            mask=[item is None for item in items],
        )
    if plain.dtype.kind == "f":
        plain.mask |= ~np.isfinite(plain.data)
    plain.name, plain.description = column.name, printable(column.description or description) or None
    plain.unit = column.unit or (u.Unit(unit) if unit and plain.dtype.kind in "iuf" else None)
    return plain


def _scalar(item: Any) -> Any:
    """A value without the array around it; None for an empty text, an array of nothing, and -1 in an array."""
    if isinstance(item, np.ndarray) and item.size < 2:
        # a service that follows VOTable says which number means nothing; the other one sends arrays
        nothing = not item.size or np.ma.getmaskarray(item).any() or (item.dtype.kind == "i" and item == -1)
        return None if nothing else np.ma.getdata(item).reshape(-1)[0]
    if isinstance(item, (bytes, str)):
        text = item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
        safe = text.isascii() and text.isprintable() and without_token(text) is text  # faster
        return (text if safe else printable(text, limit=100_000)) or None
    return item


# ---- columns of astropy's kinds


def _replace_by_times(table: Table, name: str) -> None:
    """Times of observations are UTC in the gallery, and MJD; JD and ISO text are known to occur."""
    if name not in table.colnames:
        return
    column = table[name]
    mask = np.ma.getmaskarray(column).copy()
    try:
        if column.dtype.kind == "U":
            days = Time(np.where(mask, "2000-01-01", column.data), scale="utc").mjd
        else:
            days = np.asarray(column.data, dtype=float)
            days = np.where(days > _FIRST_JD, days - _FIRST_JD, days)
            mask |= ~(np.abs(days) < _LATEST_MJD)
    except ValueError:
        return  # left as it is
    days = np.where(mask, 0.0, days)
    times = Time(np.ma.MaskedArray(days, mask=mask) if mask.any() else days, format="mjd", scale="utc")
    times.info.description = column.description
    table.replace_column(name, times)


def _numbers_in(table: Table, name: str, unit: u.UnitBase) -> np.ndarray[Any, Any] | None:
    """Numbers of a column in this unit, NaN where there are none; None if there is no such column."""
    column = table[name] if name in table.colnames else None
    if column is None or column.dtype.kind != "f" or not (column.unit or unit).is_equivalent(unit):
        return None
    return np.asarray(column.filled(np.nan)) * (column.unit or unit).to(unit)


def _add_energies(table: Table) -> None:
    """The longest wavelength is the lowest energy."""
    for old, new, description in (("em_min", "e_max", "Highest energy"), ("em_max", "e_min", "Lowest energy")):
        metres = _numbers_in(table, old, u.m)
        if metres is None or new in table.colnames or not {"em_min", "em_max"} <= set(table.colnames):
            continue
        known = metres > 0
        energies = (np.where(known, metres, 1.0) * u.m).to_value(u.keV, equivalencies=u.spectral())
        # wavelengths were made of round energies, by division
        rounded = [float(f"{energy:.12g}") for energy in energies]
        column = MaskedColumn(rounded, mask=~known, name=new, unit=u.keV, description=description, dtype=float)
        table.add_column(column, index=max(map(table.colnames.index, ("em_min", "em_max"))) + 1)


def _add_position(table: Table) -> None:
    """Impossible positions are known to occur."""
    ra, dec = (_numbers_in(table, name, u.deg) for name in ("s_ra", "s_dec"))
    if ra is None or dec is None or "position" in table.colnames:
        return
    wrong = ~(np.isfinite(ra) & (np.abs(dec) <= 90))
    position = SkyCoord(np.where(wrong, np.nan, ra), np.where(wrong, np.nan, dec), unit="deg", frame="icrs")
    position.info.description = "Centre (ICRS)"
    table.add_column(position, name="position", index=max(map(table.colnames.index, ("s_ra", "s_dec"))) + 1)
