# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Columns of tables of sources, whatever their origin: names, positions, angles."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Table
from astropy.utils.masked import Masked

from ..errors import ParameterError, reading
from ..protocol import COORDINATE_COLUMNS, NAME_COLUMNS
from ..text import listed, printable
from ..units import known_unit

#: frames of the service's catalogues
FRAMES = ("fk5", "icrs", "fk4", "galactic")
#: in the meta of a table
FRAME_KEYS = ("FRAME", "LON_NAME", "LAT_NAME")
_EQUATORIAL = ("fk5", "icrs")


@dataclass(frozen=True)
class Positions:
    """Positions in degrees, NaN where there is none, in a frame that the service knows; ``names`` of the columns."""

    lon: np.ndarray[Any, Any]
    lat: np.ndarray[Any, Any]
    frame: str
    names: tuple[str, str] = ("ra", "dec")

    def as_sky_coord(self) -> SkyCoord:
        """Make positions of them."""
        with reading("positions in a catalogue"):
            return SkyCoord(self.lon * u.deg, self.lat * u.deg, frame=self.frame)


def positions(table: Table) -> SkyCoord:
    """Positions of sources, in the frame of the table."""
    column = next((column for column in table.columns.values() if isinstance(column, SkyCoord)), None)
    if column is not None and coordinate_columns(table) is None:
        return column
    return read_positions(table).as_sky_coord()


def read_positions(table: Table) -> Positions:
    """Positions from the columns that ``meta`` names, a SkyCoord column, or columns of usual names (FK5)."""
    named, columns = _frame_named(table), coordinate_columns(table)
    if columns is not None:
        return Positions(*_columns_in_degrees(table, *columns), named or "fk5", columns)
    for column in table.columns.values():
        if isinstance(column, SkyCoord) and column.ndim == 1:
            return _of_sky_coord(column)
    lon, lat, frame = _usual_columns(table)
    if named == "galactic" and frame == "fk5":
        raise ParameterError(
            f"The catalogue's frame is 'galactic', but its coordinates are in the columns {printable(lon)!r} and "
            f"{printable(lat)!r}. Correct FRAME in its meta, or name its columns by LON_NAME and LAT_NAME."
        )
    given = Positions(*_columns_in_degrees(table, lon, lat), named if named and frame == "fk5" else frame)
    return given if given.frame in _EQUATORIAL else _of_sky_coord(given.as_sky_coord())


def coordinate_columns(table: Table) -> tuple[str, str] | None:
    """Columns of longitude and latitude, if ``meta`` names the frame or the columns, and the table has them."""
    meta = _meta_in_capitals(table.meta)
    if not set(FRAME_KEYS) & set(meta):
        return None
    usual = ("l", "b") if str(meta.get("FRAME")).strip().lower() == "galactic" else ("ra", "dec")
    lon, lat = str(meta.get("LON_NAME") or usual[0]), str(meta.get("LAT_NAME") or usual[1])
    return (lon, lat) if {lon, lat} <= set(table.colnames) else None


def _meta_in_capitals(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).upper(): value for key, value in meta.items()}


def _frame_named(table: Table) -> str | None:
    """Frame that ``meta`` names, as lists of the service or as FITS headers do."""
    meta = _meta_in_capitals(table.meta)
    named = next((meta[key] for key in ("FRAME", "RADESYS", "RADECSYS") if meta.get(key)), None)
    frame = str(named or "").strip().lower()
    if frame and frame not in FRAMES:
        raise ParameterError(f"The catalogue's frame {printable(named)!r} must be one of {', '.join(FRAMES)}.")
    return frame or None


def _usual_columns(table: Table) -> tuple[str, str, str]:
    """Columns of longitude and latitude by their names, and the frame that these mean."""
    by_lower = {name.lower(): name for name in table.colnames}
    for lon, lat, frame in COORDINATE_COLUMNS:
        if lon in by_lower and lat in by_lower:
            return by_lower[lon], by_lower[lat], frame
    # such as RA_deg and "dec (J2000)"
    words = {name: re.split("[^a-z]+", name.lower()) for name in table.colnames}
    found = [next((name for name in words if word in words[name]), None) for word in ("ra", "dec")]
    if found[0] is None or found[1] is None:
        raise ParameterError(
            "catalog= needs coordinates: a SkyCoord column, or columns 'ra' and 'dec' with the unit deg; it has "
            f"{listed(table.colnames)}."
        )
    return found[0], found[1], "fk5"


def _of_sky_coord(given: SkyCoord) -> Positions:
    """Positions in ICRS, unless they are in FK5 of J2000."""
    known = given.frame.name in _EQUATORIAL and given.frame.is_equivalent_frame(type(given.frame)())
    try:
        known_frame = given if known else given.icrs
    except Exception as error:  # astropy raises several kinds where a frame can't be changed into another
        raise ParameterError(
            f"The catalogue's positions are in the frame {printable(given.frame.name)!r}, which can't be changed into "
            f"ICRS: {printable(error, limit=200)}."
        ) from error
    parts = [_values_and_mask(angle.to(u.deg)) for angle in (known_frame.spherical.lon, known_frame.spherical.lat)]
    # what is below a micro-arcsecond comes from turning frames and units round
    lon, lat = (np.round(np.where(masked, math.nan, values), 9) for values, masked in parts)
    return Positions(lon, lat, known_frame.frame.name)


def _columns_in_degrees(table: Table, lon: str, lat: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    try:
        default = angle_unit(_meta_in_capitals(table.meta).get("COORD_UNIT")) or u.deg
    except ValueError as error:
        raise ParameterError(f"COORD_UNIT of the catalogue: {error}.") from error
    return angles(table[lon], default, hours="ra" in lon.lower()).value, angles(table[lat], default).value


def angles(column: Any, default: u.UnitBase = u.deg, *, hours: bool = False) -> u.Quantity:
    """Angles of a column in degrees, NaN where one is masked or empty; numbers without a unit are in ``default``."""
    try:
        if column.ndim != 1:
            raise ValueError(f"it has {column.ndim} dimensions")
        unit = angle_unit(column.unit)
        if column.dtype.kind in "USO":
            sexagesimal = u.hourangle if hours else u.deg
            degrees = u.Quantity([_angle_of_text(cell, unit, default, sexagesimal) for cell in cells(column)], u.deg)
        else:
            values, masked = _values_and_mask(column)
            degrees = u.Quantity(np.where(masked, math.nan, values.astype(float)), unit or default).to(u.deg)
            if (unit or default) == u.deg:
                return degrees
        return np.round(degrees, 9)  # what is below a micro-arcsecond comes from the change of units
    except (ValueError, TypeError, AttributeError) as error:  # such as that of a mixin
        raise ParameterError(
            f"The catalogue's column {printable(column.info.name)!r} holds no angles: {printable(error)}. Give "
            "numbers with the unit of an angle (deg if there is none), or sexagesimal texts."
        ) from error


def angle_unit(given: Any) -> u.UnitBase | None:
    """Unit of angles; None if there is none, `ValueError` if it is that of something else."""
    # right ascensions in h are hour angles, not times; h:m:s and "d m s" of VizieR and SIMBAD mean sexagesimal texts
    text = "" if given is None else str(given).strip("\"' ")
    if not text:
        return None
    text = re.sub(r"^([hd])([: ])m\2s$", r"\1", text)
    unit = known_unit(text) or known_unit(text.lower())
    unit = {u.hour: u.hourangle, u.day: u.deg}.get(unit, unit)
    if not isinstance(unit, u.UnitBase) or not unit.is_equivalent(u.deg):
        raise ValueError(f"{printable(given)!r} is not the unit of an angle")
    return unit


def _angle_of_text(cell: Any, unit: Any, default: Any, sexagesimal: Any) -> float:
    """Degrees of a sexagesimal or decimal text."""
    text = str("" if cell is None else cell).strip().replace("\N{MINUS SIGN}", "-")
    if not text:
        return math.nan
    decimal = re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", text)
    return float(Angle(text, unit or (default if decimal else sexagesimal)).deg)


def source_names(table: Table) -> list[str] | None:
    """Names of sources, empty where one is masked; None if no column has them."""
    by_lower = {name.lower(): name for name in table.colnames}
    column = next((table[by_lower[name]] for name in NAME_COLUMNS if name in by_lower), None)
    return None if column is None else ["" if name is None else str(name).strip() for name in cells(column)]


def cells(column: Any) -> list[Any]:
    """Values of a column as Python has them; None for what is masked or not finite."""
    values, masked = _values_and_mask(column)
    return [_plain_cell(value, gone) for value, gone in zip(values.tolist(), masked.tolist(), strict=True)]


def _values_and_mask(column: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Values and mask of a column of any kind, without unit."""
    plain = getattr(column, "value", column)
    if isinstance(plain, Masked):
        return np.asarray(plain.unmasked), np.asarray(plain.mask)
    return np.ma.getdata(plain), np.ma.getmaskarray(plain)


def _plain_cell(value: Any, gone: bool) -> Any:  # noqa: FBT001 - a pair from zip
    if gone or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
