# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Source lists: the service's dictionary <-> a `~astropy.table.Table` that can be filtered and sent back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.utils.masked import Masked

from .allowance import Allowance
from .errors import DecodingError, ParameterError, reading
from .text import in_hex, original, printable, transliterated, visible
from .units import known_unit

__all__ = [
    "FRAMES",
    "NAME_COLUMNS",
    "Places",
    "angles",
    "cells",
    "coordinate_columns",
    "empty_catalog",
    "positions",
    "read_catalog",
    "read_places",
    "source_names",
    "table_of",
    "to_hdu",
]

#: frames of the service's catalogues
FRAMES = ("fk5", "icrs", "fk4", "galactic")
#: columns with names of sources, the first that is there
NAME_COLUMNS = ("src_names", "src_name", "name", "main_id", "source_name", "source", "object", "id")
# what a list of an INTEGRAL image has, for a reply that has none
_USUAL_COLUMNS = {
    **{"meta_ID": "i8", "src_names": "U20", "significance": "f8", "ra": "f8", "dec": "f8"},
    **{"NEW_SOURCE": "i8", "ISGRI_FLAG": "i8", "FLAG": "i8", "ERR_RAD": "f8"},
}
_DTYPE = re.compile(r"[<>=|]?(?:([SUa])(\d+)|([iuf])([1248])|b1|\?)|bool|str|(?:u?int|float)(?:8|16|32|64)?")
_FRAME_KEYS = ("FRAME", "LON_NAME", "LAT_NAME")
_MOST_TEXT = 30_000_000
_MOST_COLUMNS = 999  # a table of FITS has no more
_COPIES = 3  # as astropy makes them of a table that becomes FITS
_TEXT = 60  # bytes of a text beside its letters, as Python has it
_LONGEST_VALUE = 1000
_LONGEST_NAME = 60  # of a FITS column, so that a number can still be added
_EQUATORIAL = ("fk5", "icrs")
# of many archives, in small letters; those of equinox J2000 without a frame are taken as FK5
_COORDINATE_COLUMNS = (
    ("ra", "dec", "fk5"),
    ("raj2000", "dej2000", "fk5"),
    ("ra_icrs", "de_icrs", "icrs"),
    ("ra_obj", "dec_obj", "fk5"),
    ("_raj2000", "_dej2000", "fk5"),
    ("ra_d", "dec_d", "icrs"),
    ("rab1950", "deb1950", "fk4"),
    ("glon", "glat", "galactic"),
)


# ---- from the service


def read_catalog(entry: Any, *, what: str = "the catalogue") -> Table:
    """
    Turn the service's catalogue (``products.catalog`` of a reply) into a table.

    Columns, names and types are the service's; coordinates and ``ERR_RAD`` get their units. ``meta`` keeps ``FRAME``,
    ``LON_NAME`` and ``LAT_NAME``, as the service's own files do, if there are such columns.
    """
    if not isinstance(entry, Mapping):
        raise DecodingError(f"{what} must be a JSON object, not a {type(entry).__name__}.")
    for key in ("cat_column_names", "cat_column_list"):
        if not isinstance(entry.get(key), list):
            raise DecodingError(f"{what} has no list {key!r}.")
    names, columns = entry["cat_column_names"], entry["cat_column_list"]
    if not all(isinstance(name, str) and len(name) <= _LONGEST_VALUE for name in names):
        raise DecodingError(f"The column names of {what} are not texts of at most {_LONGEST_VALUE} characters.")
    if len(names) != len(columns) or len(set(names)) != len(names) or len(names) > _MOST_COLUMNS:
        raise DecodingError(
            f"{what} has {len(names)} column names for {len(columns)} columns; each needs its own, and "
            f"{_MOST_COLUMNS} are the most."
        )
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) > 1:
        raise DecodingError(f"The columns of {what} are not lists of one length.")
    _refuse_wide(columns, what)
    dtypes = _dtypes(entry.get("cat_column_descr"))
    table = Table([_column(name, values, dtypes.get(name), what) for name, values in zip(names, columns, strict=True)])
    lon, lat = str(entry.get("cat_lon_name") or "ra"), str(entry.get("cat_lat_name") or "dec")
    if {lon, lat} <= set(table.colnames):
        table.meta.update(FRAME=str(entry.get("cat_frame") or "fk5"), LON_NAME=lon, LAT_NAME=lat)
    units = _coordinate_units(entry.get("cat_coord_units"), what)
    for name, unit in zip((lon, lat, "ERR_RAD"), (*units, u.deg), strict=True):
        if name in table.colnames and table[name].dtype.kind in "fiu":
            table[name].unit = unit
    return table


def empty_catalog() -> Table:
    """Catalogue without sources, with the usual columns."""
    table = Table({name: np.zeros(0, dtype=dtype) for name, dtype in _USUAL_COLUMNS.items()})
    for name in ("ra", "dec", "ERR_RAD"):
        table[name].unit = u.deg
    table.meta.update(FRAME="fk5", LON_NAME="ra", LAT_NAME="dec")
    return table


def _dtypes(descriptions: Any) -> dict[str, str]:
    """Types by column name; what is not a plain type is left to the values."""
    pairs = descriptions if isinstance(descriptions, list) else []
    pairs = [pair[:2] for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) >= 2]
    return {str(name): str(dtype) for name, dtype in pairs if _DTYPE.fullmatch(str(dtype))}


def _refuse_wide(columns: Sequence[Sequence[Any]], what: str) -> None:
    """A column of texts is as wide as its longest one in each row: one name of megabytes would take gigabytes."""
    present, needed = 0, 0
    for column in columns:
        # numbers with a fraction are left out: they are many, and short
        lengths = [len(str(value)) for value in column] if set(map(type, column)) - {float, bool} else [0]
        present += sum(lengths)
        needed += max(lengths, default=0) * len(column)
    if needed > _MOST_TEXT // 4 + 2 * present:
        raise DecodingError(f"{what} has texts that are too long for a table of {len(columns[0])} sources.")


def _column(name: str, values: Sequence[Any], dtype: str | None, what: str) -> Column:
    # most columns have none missing, which `in` tells much faster than looking at each value
    missing = [value is None for value in values] if None in values else None
    try:
        array = _array(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise DecodingError(
            f"Column {printable(name)!r} of {what} does not hold {printable(dtype)}: {printable(error, limit=200)}."
        ) from error
    if missing and array.dtype.kind != "f":
        return MaskedColumn(array, name=name, mask=missing)
    return Column(array, name=name)


def _array(values: Sequence[Any], dtype: str | None) -> np.ndarray:
    """Values of one type, by default their own; missing ones are NaN, 0 or empty."""
    kinds = set(map(type, values)) - {type(None)}
    native = None if dtype is None else np.dtype(dtype).newbyteorder("=")
    if not all(issubclass(kind, (str, Real, np.bool_)) for kind in kinds):
        raise TypeError("values of several kinds")
    texts = any(issubclass(kind, str) for kind in kinds)
    kind = ("U" if texts else "f") if native is None else native.kind
    fill = {"f": math.nan, "S": "", "U": ""}.get(kind, 0)
    filled = [fill if value is None else value for value in values] if None in values else values
    if kind in "SU":  # byte strings are text in the values; the width is the values', never cut
        return np.array(visible(map(str, filled)), dtype=str)
    if kind in "iu" and any(isinstance(value, float) and not value.is_integer() for value in filled):
        raise ValueError("a fraction among whole numbers")
    array = np.array(filled, dtype=native)
    if array.dtype.kind not in "biuf":
        raise ValueError("numbers that are too large")
    return array


def _coordinate_units(given: Any, what: str) -> list[u.UnitBase]:
    """Units of longitude and latitude; one for both, or a pair such as ``hourangle,deg``."""
    names = list(given) if isinstance(given, (list, tuple)) else str(given or "deg").split(",")
    try:
        first, last = (_angle_unit(name) or u.deg for name in (names[0], names[-1]))
    except ValueError as error:
        raise DecodingError(f"The unit of the coordinates in {what}: {error}.") from error
    return [first, last]


# ---- into a FITS file, and out of it


def to_hdu(table: Table, allowance: Allowance | None = None) -> fits.BinTableHDU:
    """
    Source list as a binary table named CATALOG.

    Texts are written in ASCII, the only letters of FITS. If that changes names, the column ``SRCNAME8`` keeps them as
    they were, as hexadecimal digits of their UTF-8.
    """
    allowance = allowance or Allowance(2**62)
    allowance.spend(_COPIES * sum(column.nbytes for column in table.itercols()), "the catalogue as a FITS table")
    new_names = dict(zip(table.colnames, _fits_names(table.colnames), strict=True))
    columns: dict[str, Any] = {}
    for name, new in new_names.items():
        columns[new] = table[name]
        if table[name].dtype.kind == "U":
            texts = [str(value) for value in np.ma.filled(table[name], "")]
            # one character may become 18, of four bytes each
            allowance.spend(72 * max(map(len, texts), default=0), "a text in ASCII")
            columns[new] = _ascii_column([transliterated(text) for text in texts], allowance)
            if name == "src_names" and not all(map(str.isascii, texts)):
                columns["SRCNAME8"] = _ascii_column([in_hex(text) for text in texts], allowance)
    if "SRCNAME8" in columns:
        columns["SRCNAME8"] = columns.pop("SRCNAME8")  # the last
    hdu = fits.BinTableHDU(Table(columns, copy=False), name="CATALOG")
    for key in _FRAME_KEYS:
        if key in table.meta:
            value = str(table.meta[key])
            hdu.header[key] = transliterated(new_names.get(value, value), limit=_LONGEST_VALUE)
    return hdu


def _ascii_column(values: list[str], allowance: Allowance) -> np.ndarray:
    size = _COPIES * len(values) * max(map(len, values), default=0)
    allowance.spend(size + sum(map(len, values)) + _TEXT * len(values), "texts of the catalogue")
    return np.array(values, dtype="S")


def _fits_names(names: Sequence[str]) -> list[str]:
    """Names of columns that fit into FITS cards, in ASCII, no two equal apart from capitals."""
    taken = {name.lower() for name in names}
    found: dict[str, str] = {}
    for number, name in enumerate(names):
        new = transliterated(name).strip()
        while len(new) + new.count("'") > _LONGEST_NAME:  # a quotation mark takes two places
            new = new[:-1].rstrip()
        if new != name or new.lower() in found:
            new = f"{new or 'column'}_{number}"
            while new.lower() in taken:
                new += "_"
            taken.add(new.lower())
        found[new.lower()] = new
    return list(found.values())


def table_of(catalog: Table | fits.HDUList) -> Table:
    """Sources with their names as they were before `to_hdu`."""
    if isinstance(catalog, fits.HDUList):
        if "CATALOG" not in catalog:
            raise ParameterError("catalog= is an HDUList without a CATALOG; query_image gives one that has it.")
        with reading("the CATALOG of an HDUList"):
            catalog = Table.read(catalog["CATALOG"])
    if not {"src_names", "SRCNAME8"} <= set(catalog.colnames):
        return catalog
    table = catalog.copy()
    with reading("names in a catalogue"):
        names, kept = ([cell or "" for cell in cells(table[name])] for name in ("src_names", "SRCNAME8"))
        table["src_names"] = [original(str(name), digits) for name, digits in zip(names, kept, strict=True)]
        table.remove_column("SRCNAME8")
    return table


# ---- where the sources are, and what they are called


@dataclass(frozen=True)
class Places:
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
    return read_places(table).as_sky_coord()


def read_places(table: Table) -> Places:
    """
    Read positions from the columns that ``meta`` names, a SkyCoord column, or columns of usual names.

    Where no frame is named they are FK5, the frame of the service's own catalogues.
    """
    named, columns = _frame_named(table), coordinate_columns(table)
    if columns is not None:
        return Places(*_degrees(table, *columns), named or "fk5", columns)
    for column in table.columns.values():
        if isinstance(column, SkyCoord) and column.ndim == 1:
            return _of_sky_coord(column)
    lon, lat, frame = _usual_columns(table)
    if named == "galactic" and frame == "fk5":
        raise ParameterError(
            f"The catalogue's frame is 'galactic', but its coordinates are in the columns {printable(lon)!r} and "
            f"{printable(lat)!r}. Correct FRAME in its meta, or tell its columns by LON_NAME and LAT_NAME."
        )
    places = Places(*_degrees(table, lon, lat), named if named and frame == "fk5" else frame)
    return places if places.frame in _EQUATORIAL else _of_sky_coord(places.as_sky_coord())


def coordinate_columns(table: Table) -> tuple[str, str] | None:
    """Columns of longitude and latitude, where ``meta`` tells the frame or the names and the table has them."""
    meta = _upper(table.meta)
    if not set(_FRAME_KEYS) & set(meta):
        return None
    usual = ("l", "b") if str(meta.get("FRAME")).strip().lower() == "galactic" else ("ra", "dec")
    lon, lat = str(meta.get("LON_NAME") or usual[0]), str(meta.get("LAT_NAME") or usual[1])
    return (lon, lat) if {lon, lat} <= set(table.colnames) else None


def _upper(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).upper(): value for key, value in meta.items()}


def _frame_named(table: Table) -> str | None:
    """Frame that ``meta`` names, as lists of the service or as FITS headers do."""
    meta = _upper(table.meta)
    named = next((meta[key] for key in ("FRAME", "RADESYS", "RADECSYS") if meta.get(key)), None)
    frame = str(named or "").strip().lower()
    if frame and frame not in FRAMES:
        raise ParameterError(f"The catalogue's frame {printable(named)!r} is none of {', '.join(FRAMES)}.")
    return frame or None


def _usual_columns(table: Table) -> tuple[str, str, str]:
    """Columns of longitude and latitude by their names, and the frame that these mean."""
    by_lower = {name.lower(): name for name in table.colnames}
    for lon, lat, frame in _COORDINATE_COLUMNS:
        if lon in by_lower and lat in by_lower:
            return by_lower[lon], by_lower[lat], frame
    # such as RA_deg and "dec (J2000)"
    words = {name: re.split("[^a-z]+", name.lower()) for name in table.colnames}
    found = [next((name for name in words if word in words[name]), None) for word in ("ra", "dec")]
    if found[0] is None or found[1] is None:
        raise ParameterError(
            "catalog= needs coordinates: a SkyCoord column, or columns 'ra' and 'dec' with the unit deg; it has "
            f"{', '.join(printable(name) for name in table.colnames)}."
        )
    return found[0], found[1], "fk5"


def _of_sky_coord(places: SkyCoord) -> Places:
    """Positions in ICRS, unless they are in FK5 of J2000."""
    known = places.frame.name in _EQUATORIAL and places.frame.is_equivalent_frame(type(places.frame)())
    try:
        here = places if known else places.icrs
    except Exception as error:  # astropy raises several kinds where a frame has no way to the sky
        raise ParameterError(
            f"The catalogue's positions are in the frame {printable(places.frame.name)!r}, which can't be changed into "
            f"ICRS: {printable(error, limit=200)}."
        ) from error
    parts = [_parts(angle.to(u.deg)) for angle in (here.spherical.lon, here.spherical.lat)]
    # what is below a micro-arcsecond comes from turning frames and units round
    lon, lat = (np.round(np.where(masked, math.nan, values), 9) for values, masked in parts)
    return Places(lon, lat, here.frame.name)


def _degrees(table: Table, lon: str, lat: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    try:
        default = _angle_unit(_upper(table.meta).get("COORD_UNIT")) or u.deg
    except ValueError as error:
        raise ParameterError(f"COORD_UNIT of the catalogue: {error}.") from error
    return angles(table[lon], default, hours="ra" in lon.lower()).value, angles(table[lat], default).value


def angles(column: Any, default: u.UnitBase = u.deg, *, hours: bool = False) -> u.Quantity:
    """
    Angles of a column in degrees, NaN where one is masked or empty.

    Numbers without a unit are in ``default``; sexagesimal texts without one are degrees, or ``hours`` as is usual for
    right ascensions.
    """
    try:
        if column.ndim != 1:
            raise ValueError(f"it has {column.ndim} dimensions")
        unit = _angle_unit(column.unit)
        if column.dtype.kind in "USO":
            sexagesimal = u.hourangle if hours else u.deg
            degrees = u.Quantity([_angle_of_text(cell, unit, default, sexagesimal) for cell in cells(column)], u.deg)
        else:
            values, masked = _parts(column)
            degrees = u.Quantity(np.where(masked, math.nan, values.astype(float)), unit or default).to(u.deg)
            if (unit or default) == u.deg:
                return degrees
        return np.round(degrees, 9)  # what is below a micro-arcsecond comes from the change of units
    except (ValueError, TypeError, AttributeError) as error:  # such as that of a mixin
        raise ParameterError(
            f"The catalogue's column {printable(column.info.name)!r} holds no angles: {printable(error)}. Give "
            "numbers with the unit of an angle (deg if there is none), or sexagesimal texts."
        ) from error


def _angle_unit(given: Any) -> u.UnitBase | None:
    """
    Read the unit of angles; None if there is none, `ValueError` if it is that of something else.

    Right ascensions in ``h`` are hour angles, not times; ``h:m:s`` and ``"d m s"`` of VizieR and SIMBAD, which mean
    sexagesimal texts, are not units to astropy.
    """
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
    values, masked = _parts(column)
    return [_cell(value, gone) for value, gone in zip(values.tolist(), masked.tolist(), strict=True)]


def _parts(column: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Values and mask of a column of any kind, without unit."""
    plain = getattr(column, "value", column)
    if isinstance(plain, Masked):
        return np.asarray(plain.unmasked), np.asarray(plain.mask)
    return np.ma.getdata(plain), np.ma.getmaskarray(plain)


def _cell(value: Any, gone: bool) -> Any:  # noqa: FBT001 - a pair from zip
    if gone or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
