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

# name: (type, unit, description); the last ones are no part of the standard
_STANDARD = {
    "dataproduct_type": ("U", "", "Kind of data product"),
    "calib_level": ("i8", "", "Level of calibration, 0 to 4"),
    "obs_collection": ("U", "", "Name of the data collection"),
    "obs_id": ("U", "", "Identifier of the observation"),
    "obs_publisher_did": ("U", "", "Identifier that the publisher gave the data set"),
    "obs_title": ("U", "", "Title of the data set"),
    "access_url": ("U", "", "Address of the data"),
    "access_format": ("U", "", "MIME type of the data"),
    "access_estsize": ("i8", "kbyte", "Estimated size of the data"),
    "target_name": ("U", "", "Observed object or objects"),
    "target_class": ("U", "", "Class of the observed object"),
    "s_ra": ("f8", "deg", "Right ascension of the centre (ICRS)"),
    "s_dec": ("f8", "deg", "Declination of the centre (ICRS)"),
    "s_fov": ("f8", "deg", "Approximate diameter of the covered region"),
    "s_region": ("U", "", "Covered region of the sky"),
    "s_resolution": ("f8", "arcsec", "Angular resolution"),
    "s_xel1": ("i8", "", "Elements along the first spatial axis"),
    "s_xel2": ("i8", "", "Elements along the second spatial axis"),
    "t_min": ("f8", "d", "Begin of the observation (MJD)"),
    "t_max": ("f8", "d", "End of the observation (MJD)"),
    "t_exptime": ("f8", "s", "Exposure time"),
    "t_resolution": ("f8", "s", "Resolution in time"),
    "t_xel": ("i8", "", "Elements along the time axis"),
    "em_min": ("f8", "m", "Shortest wavelength"),
    "em_max": ("f8", "m", "Longest wavelength"),
    "em_res_power": ("f8", "", "Spectral resolving power"),
    "em_xel": ("i8", "", "Elements along the spectral axis"),
    "o_ucd": ("U", "", "Nature of the observable (UCD)"),
    "pol_states": ("U", "", "Polarisation states"),
    "pol_xel": ("i8", "", "Number of polarisation states"),
    "facility_name": ("U", "", "Observatory or mission"),
    "instrument_name": ("U", "", "Instrument"),
    "proposal_id": ("U", "", "Identifier of the proposal"),
    "product_path": ("U", "", "Page of the product in the gallery"),
    "time_bin": ("f8", "", "Length of a time bin, as the gallery has it"),
    "image_uri": ("U", "", "Preview"),
}
PUBLISHED = (
    *("obs_title", "product_path", "em_min", "em_max", "s_ra", "s_dec", "time_bin", "instrument_name"),
    *("dataproduct_type", "t_min", "t_max", "proposal_id", "target_name", "access_url", "image_uri"),
)
"""Columns of the service's table of published products."""
# no MJD of an observation is that large, and every JD of one is
_FIRST_JD = 2_400_000.5
_LATEST_MJD = 200_000


def standard(name: str) -> tuple[str, str, str]:
    """Type, unit and description of a column; empty where the standard does not know it."""
    return _STANDARD.get(name.lower(), ("", "", ""))


def empty_table(names: Iterable[str]) -> Table:
    """No rows, but the columns that some would have."""
    table = Table(masked=True)
    for name in names:
        table[name] = MaskedColumn([], dtype=standard(name)[0] or "U")
    return tidy(table)


def tidy(table: Table) -> Table:
    """
    Turn the service's table into one for astronomers.

    Parameters
    ----------
    table : Table
        As pyvo gives it: numbers may be arrays of one element, and -1, NaN and empty text may stand for nothing.

    Returns
    -------
    Table
        Plain columns, masked where there is nothing, with units and descriptions; ``t_min`` and ``t_max`` are
        `~astropy.time.Time`; besides ``e_min`` and ``e_max`` (keV) and ``position`` (SkyCoord).
    """
    plain = Table([_plain(table[name]) for name in table.colnames])
    for name in ("t_min", "t_max"):
        _replace_by_times(plain, name)
    _add_energies(plain)
    _add_position(plain)
    return plain


# ---- plain columns


def _plain(column: Column) -> MaskedColumn:
    """Numbers or texts, masked where there is nothing, with the standard's unit and description where it has none."""
    its_type, its_unit, its_description = standard(column.name)
    about = {
        "name": column.name,
        "unit": column.unit,
        "description": printable(column.description or its_description) or None,
    }
    if column.ndim > 1:  # arrays of one size, which only an honest service sends
        plain = MaskedColumn(column, **about)
    else:
        cells = zip(np.ma.getdata(column.data), np.ma.getmaskarray(column.data).tolist(), strict=True)
        items = [None if masked else _scalar(item) for item, masked in cells]
        kind = column.dtype if column.dtype.kind != "O" else _kind(items, column) or np.dtype(its_type or "U")
        filler: Any = {"O": None, "S": "", "U": ""}.get(kind.kind, 0)
        plain = MaskedColumn(
            [filler if item is None else item for item in items],
            dtype="U" if kind.kind in "SU" else kind,
            mask=[item is None for item in items],
            **about,
        )
    if its_unit and plain.unit is None and plain.dtype.kind in "iuf":
        plain.unit = u.Unit(its_unit)
    return plain


def _scalar(item: Any) -> Any:
    """A value without the array around it; None for what stands for nothing."""
    boxed = isinstance(item, np.ndarray)
    if boxed:
        if item.size > 1:
            return item
        # an index into a masked array would be ten times as slow
        hidden = item.size == 0 or bool(np.ma.getmaskarray(item).any())
        item = None if hidden else np.ma.getdata(item).reshape(-1)[0]
    if item is None or item is np.ma.masked:
        return None
    if isinstance(item, (bytes, str)):
        text = item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
        safe = text.isascii() and text.isprintable() and without_token(text) is text
        return (text if safe else printable(text, limit=100_000)) or None
    if isinstance(item, (float, np.floating)) and not np.isfinite(item):
        return None
    # an honest service says which number means nothing, and then this is masked already; the other one sends arrays
    if boxed and isinstance(item, np.integer) and item == -1:
        return None
    return item


def _kind(items: list[Any], column: Column) -> np.dtype[Any] | None:
    """The one type that all values have, or would have; None if that is unknown."""
    known = [item for item in items if item is not None]
    if not known:  # the arrays around nothing have a type
        return next((item.dtype for item in np.ma.getdata(column.data) if isinstance(item, np.ndarray)), None)
    if all(isinstance(item, str) for item in known):
        return np.dtype("U")
    kinds = {np.asarray(item).dtype for item in known}
    plain = not any(np.ndim(item) for item in known) and all(kind.kind in "biuf" for kind in kinds)
    return np.result_type(*kinds) if plain else np.dtype(object)


# ---- columns of astropy's kinds


def _replace_by_times(table: Table, name: str) -> None:
    """Times of observations are UTC in the gallery, and MJD; JD and ISO text are known to occur."""
    if name not in table.colnames:
        return
    column = table[name]
    try:
        days = _days_of_texts(column) if column.dtype.kind == "U" else _days_of_numbers(column)
    except ValueError:
        return  # left as it is
    masked = bool(np.ma.getmaskarray(days).any())
    times = Time(days if masked else days.filled(0.0), format="mjd", scale="utc")
    times.info.description = column.description
    table.replace_column(name, times)


def _days_of_numbers(column: MaskedColumn) -> np.ma.MaskedArray[Any, Any]:
    days = np.ma.MaskedArray(column.data, dtype=float)
    days = np.ma.where(days > _FIRST_JD, days - _FIRST_JD, days)
    return np.ma.masked_outside(days, -_LATEST_MJD, _LATEST_MJD)


def _days_of_texts(column: MaskedColumn) -> np.ma.MaskedArray[Any, Any]:
    mask = np.ma.getmaskarray(column)
    days = [0.0 if missing else Time(str(text), scale="utc").mjd for text, missing in zip(column, mask, strict=True)]
    return np.ma.MaskedArray(days, mask=mask, dtype=float)


def _add_energies(table: Table) -> None:
    """The longest wavelength is the lowest energy."""
    if not {"em_min", "em_max"} <= set(table.colnames):
        return
    index = max(table.colnames.index(name) for name in ("em_min", "em_max")) + 1
    for old, new, description in (("em_min", "e_max", "Highest energy"), ("em_max", "e_min", "Lowest energy")):
        unit = table[old].unit or u.m
        if table[old].dtype.kind == "f" and unit.is_equivalent(u.m) and new not in table.colnames:
            metres = _floats(table[old]) * unit.to(u.m)
            known = metres > 0
            values = np.zeros(len(metres))
            found = (metres[known] * u.m).to_value(u.keV, equivalencies=u.spectral())
            # wavelengths were made of round energies, by division
            values[known] = [float(f"{energy:.12g}") for energy in np.atleast_1d(found)]
            column = MaskedColumn(values, mask=~known, name=new, unit=u.keV, description=description)
            table.add_column(column, index=index)


def _floats(column: MaskedColumn) -> np.ndarray[Any, Any]:
    """Bare numbers, NaN where there are none."""
    return np.ma.MaskedArray(column.data, dtype=float).filled(np.nan)


def _add_position(table: Table) -> None:
    """Impossible positions are known to occur."""
    if "position" in table.colnames or not {"s_ra", "s_dec"} <= set(table.colnames):
        return
    columns = [(table[name], table[name].unit or u.deg) for name in ("s_ra", "s_dec")]
    if any(column.dtype.kind != "f" or not unit.is_equivalent(u.deg) for column, unit in columns):
        return
    ra, dec = (_floats(column) * unit.to(u.deg) for column, unit in columns)
    wrong = ~(np.isfinite(ra) & (np.abs(dec) <= 90))
    position = SkyCoord(np.where(wrong, np.nan, ra), np.where(wrong, np.nan, dec), unit="deg", frame="icrs")
    position.info.description = "Centre (ICRS)"
    table.add_column(position, name="position", index=max(map(table.colnames.index, ("s_ra", "s_dec"))) + 1)
