# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Source lists: the service's dictionary <-> a `~astropy.table.Table` that can be filtered and sent back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
# what a list of an INTEGRAL image has, for a reply that has none
_USUAL_COLUMNS = {
    "meta_ID": "i8",
    "src_names": "U20",
    "significance": "f8",
    "ra": "f8",
    "dec": "f8",
    "NEW_SOURCE": "i8",
    "ISGRI_FLAG": "i8",
    "FLAG": "i8",
    "ERR_RAD": "f8",
}
_DTYPE = re.compile(r"[<>=|]?(?:([SUa])(\d+)|([iuf])([1248])|b1|\?)|bool|str|(?:u?int|float)(?:8|16|32|64)?")
_FRAME_KEYS = ("FRAME", "LON_NAME", "LAT_NAME")
_MOST_TEXT = 30_000_000
# a table of FITS has no more
_MOST_COLUMNS = 999
# as astropy makes them of a table that becomes FITS
_COPIES = 3
# bytes of a text beside its letters, as Python has it
_TEXT = 60
_LONGEST_VALUE = 1000
# of a FITS column, so that a number can still be added
_LONGEST_NAME = 60
#: columns with names of sources, the first that is there
NAME_COLUMNS = ("src_names", "src_name", "name", "main_id", "source_name", "source", "object", "id")
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
    Turn the service's catalogue into a table.

    Parameters
    ----------
    entry : dict
        ``products.catalog`` of a reply: names, descriptions and columns, the name of the frame.
    what : str
        Name for messages.

    Returns
    -------
    Table
        The service's columns, names and types; coordinates and ``ERR_RAD`` in degrees. ``meta`` keeps ``FRAME``,
        ``LON_NAME`` and ``LAT_NAME``, as the service's own files do, if there are such columns.

    Raises
    ------
    DecodingError
        Columns are missing, differ in length, or do not have their type.
    """
    if not isinstance(entry, Mapping):
        raise DecodingError(f"{what} must be a JSON object, not a {type(entry).__name__}.")
    names = _listed(entry, "cat_column_names", what)
    if not all(isinstance(name, str) and len(name) <= _LONGEST_VALUE for name in names):
        raise DecodingError(f"The column names of {what} are not texts of at most {_LONGEST_VALUE} characters.")
    columns = _listed(entry, "cat_column_list", what)
    if len(names) > _MOST_COLUMNS:
        raise DecodingError(f"{what} has {len(names)} columns, {_MOST_COLUMNS} are the most.")
    if len(names) != len(columns) or len(set(names)) != len(names):
        raise DecodingError(f"{what} has {len(names)} column names for {len(columns)} columns; each needs its own.")
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) > 1:
        raise DecodingError(f"The columns of {what} are not lists of one length.")
    dtypes = _dtypes(entry.get("cat_column_descr"))
    _refuse_wide(columns, what)
    table = Table([_column(name, values, dtypes.get(name), what) for name, values in zip(names, columns, strict=True)])
    units = _coordinate_units(entry.get("cat_coord_units"), what)
    lon, lat = str(entry.get("cat_lon_name") or "ra"), str(entry.get("cat_lat_name") or "dec")
    if {lon, lat} <= set(table.colnames):
        table.meta.update(FRAME=str(entry.get("cat_frame") or "fk5"), LON_NAME=lon, LAT_NAME=lat)
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


def _listed(entry: Mapping[str, Any], key: str, what: str) -> list[Any]:
    value = entry.get(key)
    if not isinstance(value, list):
        raise DecodingError(f"{what} has no list {key!r}.")
    return value


def _dtypes(descriptions: Any) -> dict[str, str]:
    """Types by column name; what is no plain type is left to the values."""
    if not isinstance(descriptions, list):
        return {}
    pairs = [pair for pair in descriptions if isinstance(pair, (list, tuple)) and len(pair) >= 2]
    return {str(name): str(dtype) for name, dtype, *_ in pairs if _DTYPE.fullmatch(str(dtype))}


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
    if dtype is None:
        numbers = {type(value) for value in values if value is not None} <= {int, float, bool}
        array = np.array(_without_none(values, math.nan if numbers else "")) if values else np.zeros(0)
        if array.ndim != 1 or array.dtype.kind not in "biufU":
            raise TypeError("values of several kinds")
        return np.array(visible(map(str, array)), dtype=str) if array.dtype.kind == "U" else array
    native = np.dtype(dtype).newbyteorder("=")
    if native.kind in "SU":  # byte strings are text in the values; the width is the values', never cut
        texts = _without_none(values, "")
        kinds = set(map(type, texts))
        if not kinds <= {str, int, float, bool}:
            raise TypeError("values of several kinds")
        return np.array(visible(map(str, texts)), dtype=str)
    if native.kind == "f":
        return np.array(_without_none(values, math.nan), dtype=native)
    if float in set(map(type, values)) and any(isinstance(value, float) and not value.is_integer() for value in values):
        raise ValueError("a fraction among whole numbers")
    return np.array(_without_none(values, 0), dtype=native)


def _without_none(values: Sequence[Any], replacement: Any) -> Sequence[Any]:
    return [replacement if value is None else value for value in values] if None in values else values


def _angle(name: str) -> u.UnitBase | None:
    """Unit of an angle, or None for anything else."""
    unit = known_unit(name)
    return unit if isinstance(unit, u.UnitBase) and unit.is_equivalent(u.deg) else None


def _coordinate_units(told: Any, what: str) -> tuple[u.UnitBase, u.UnitBase]:
    """Units of longitude and latitude; one for both, or a pair such as ``hourangle,deg``."""
    names = str(told or "deg").split(",") if not isinstance(told, (list, tuple)) else [str(name) for name in told]
    units = [_angle(name) for name in names]
    if len(units) > 2 or None in units:
        raise DecodingError(f"The unit of the coordinates in {what} is {printable(told)!r}, which is not an angle.")
    return units[0], units[-1]


# ---- into a FITS file, and out of it


def to_hdu(table: Table, allowance: Allowance | None = None) -> fits.BinTableHDU:
    """
    Source list as a binary table named CATALOG.

    Texts are written in ASCII, the only letters of FITS. If that changes names, the column ``SRCNAME8`` keeps them as
    they were, as hexadecimal digits of their UTF-8.

    Parameters
    ----------
    table : Table
        The source list.
    allowance : Allowance, optional
        Memory that it may take.

    Returns
    -------
    BinTableHDU

    Raises
    ------
    DecodingError
        The memory does not suffice.
    """
    allowance = allowance or Allowance(2**62)
    allowance.spend(_COPIES * sum(column.nbytes for column in table.itercols()), "the catalogue as a FITS table")
    columns = {
        new: _in_ascii(table[name], allowance) if table[name].dtype.kind == "U" else table[name]
        for name, new in zip(table.colnames, _fits_names(table.colnames), strict=True)
    }
    if "src_names" in table.colnames and any(not str(name).isascii() for name in table["src_names"]):
        columns["SRCNAME8"] = _texts([in_hex(str(name)) for name in table["src_names"]], allowance)
    hdu = fits.BinTableHDU(Table(list(columns.values()), names=list(columns), copy=False), name="CATALOG")
    new_names = dict(zip(table.colnames, columns, strict=False))
    for key in _FRAME_KEYS:
        if key in table.meta:
            told = str(table.meta[key])
            hdu.header[key] = transliterated(new_names.get(told, told), limit=_LONGEST_VALUE)
    return hdu


def _in_ascii(column: Column, allowance: Allowance) -> np.ndarray:
    """Texts as bytes; what is masked is empty."""
    longest = max((len(value) for value in np.ma.filled(column, "")), default=0)
    # one character may become 18, of four bytes each
    allowance.spend(72 * longest, "a text in ASCII")
    return _texts([transliterated(str(value)) for value in np.ma.filled(column, "")], allowance)


def _texts(values: list[str], allowance: Allowance) -> np.ndarray:
    size = _COPIES * len(values) * max(map(len, values), default=0)
    allowance.spend(size + sum(map(len, values)) + _TEXT * len(values), "texts of the catalogue")
    return np.array(values, dtype="S")


def _fits_names(names: Sequence[str]) -> list[str]:
    """Names of columns that fit into FITS cards, in ASCII, no two equal apart from capitals."""
    # names that can stay are given first
    kept = {name.lower(): name for name in reversed(names) if _fits_name(name) == name}
    taken = set(kept)
    found = []
    for number, name in enumerate(names):
        new = name
        if kept.get(name.lower()) != name:
            new = f"{_fits_name(name) or 'column'}_{number}"
            while new.lower() in taken:
                new += "_"
            taken.add(new.lower())
        found.append(new)
    return found


def _fits_name(name: str) -> str:
    spelled = transliterated(name).strip()
    while len(spelled) + spelled.count("'") > _LONGEST_NAME:  # a quotation mark takes two places
        spelled = spelled[:-1].rstrip()
    return spelled


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
        names, kept = (cells(table[name]) for name in ("src_names", "SRCNAME8"))
        table["src_names"] = [original(_text(name), _text(digits)) for name, digits in zip(names, kept, strict=True)]
        table.remove_column("SRCNAME8")
    return table


def _upper(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).upper(): value for key, value in meta.items()}


# ---- where the sources are, and what they are called


@dataclass(frozen=True)
class Places:
    """Positions in degrees, NaN where there is none, in a frame that the service knows."""

    lon: np.ndarray[Any, Any]
    lat: np.ndarray[Any, Any]
    frame: str
    columns: tuple[str, str] | None = None

    def as_sky_coord(self) -> SkyCoord:
        """Make positions of them."""
        with reading("positions in a catalogue"):
            return SkyCoord(self.lon * u.deg, self.lat * u.deg, frame=self.frame)

    @property
    def names(self) -> tuple[str, str]:
        """What longitude and latitude are called."""
        return self.columns or ("ra", "dec")


def positions(table: Table) -> SkyCoord:
    """
    Positions of sources, in the frame that the table tells, or else in the one that its column names mean.

    Raises
    ------
    ParameterError
        There are none, or their frame is unknown.
    """
    if frame_told(table) is None:
        column = next((column for column in table.columns.values() if isinstance(column, SkyCoord)), None)
        if column is not None:
            return column
    return read_places(table).as_sky_coord()


def read_places(table: Table) -> Places:
    """
    Read positions from the columns that ``meta`` names, a SkyCoord column, or columns of usual names.

    Where no frame is named they are FK5, the frame of the service's own catalogues.

    Raises
    ------
    ParameterError
        There are none, or their frame is unknown.
    """
    told = frame_told(table)
    if told is not None:
        return Places(*_degrees(table, *told), _frame_named(table) or "fk5", told)
    for column in table.columns.values():
        if isinstance(column, SkyCoord) and column.ndim == 1:
            return _of_sky_coord(column)
    by_lower = {name.lower(): name for name in table.colnames}
    for lon, lat, frame in _COORDINATE_COLUMNS:
        if lon in by_lower and lat in by_lower:
            names = by_lower[lon], by_lower[lat]
            there = Places(*_degrees(table, *names), _frame_of_columns(table, frame, names))
            return there if there.frame in _EQUATORIAL else _of_sky_coord(there.as_sky_coord())
    try:
        return _of_sky_coord(SkyCoord.guess_from_table(_without_mask(table), frame="fk5"))
    except (ValueError, TypeError, u.UnitsError) as error:
        raise ParameterError(
            "catalog= needs coordinates: a SkyCoord column, or columns 'ra' and 'dec' with the unit deg; it has "
            f"{', '.join(printable(name) for name in table.colnames)}."
        ) from error


def _frame_named(table: Table) -> str | None:
    """Frame that ``meta`` names, as lists of the service or as FITS headers do."""
    meta = _upper(table.meta)
    named = next((meta[key] for key in ("FRAME", "RADESYS", "RADECSYS") if meta.get(key)), None)
    frame = str(named or "").strip().lower()
    if frame and frame not in FRAMES:
        raise ParameterError(f"The catalogue's frame {printable(named)!r} is none of {', '.join(FRAMES)}.")
    return frame or None


def _frame_of_columns(table: Table, frame: str, names: tuple[str, str]) -> str:
    """What usual names of columns mean, which ``meta`` may make more precise but not contradict."""
    named = _frame_named(table)
    if named is None or frame != "fk5":
        return frame
    if named == "galactic":
        raise ParameterError(
            f"The catalogue's frame is 'galactic', but its coordinates are in the columns {printable(names[0])!r} and "
            f"{printable(names[1])!r}. Correct FRAME in its meta, or tell its columns by LON_NAME and LAT_NAME."
        )
    return named


def frame_told(table: Table) -> tuple[str, str] | None:
    """Columns of longitude and latitude, where ``meta`` tells the frame or the names and the table has them."""
    meta = _upper(table.meta)
    if not {"FRAME", "LON_NAME", "LAT_NAME"} & set(meta):
        return None
    usual = ("l", "b") if str(meta.get("FRAME")).strip().lower() == "galactic" else ("ra", "dec")
    lon, lat = str(meta.get("LON_NAME") or usual[0]), str(meta.get("LAT_NAME") or usual[1])
    return (lon, lat) if {lon, lat} <= set(table.colnames) else None


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
    lon, lat = (_in_degrees(angle.to(u.deg), u.deg).value for angle in (here.spherical.lon, here.spherical.lat))
    # what is below a micro-arcsecond comes from turning frames and units round
    return Places(np.round(lon, 9), np.round(lat, 9), here.frame.name)


def _without_mask(table: Table) -> Table:
    """Numbers that are masked as NaN: what is behind a mask is no position."""
    plain = table.copy(copy_data=False)
    for name, column in table.columns.items():
        if isinstance(column, MaskedColumn) and column.dtype.kind == "f":
            plain[name] = column.filled(math.nan)
    return plain


def _degrees(table: Table, lon: str, lat: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    default = _angle(str(_upper(table.meta).get("COORD_UNIT") or "deg"))
    if default is None:
        unit = printable(_upper(table.meta)["COORD_UNIT"])
        raise ParameterError(f"COORD_UNIT of the catalogue is {unit!r}, which is not the unit of an angle.")
    hours = "ra" in lon.lower()
    return angles(table[lon], default, hours=hours).value, angles(table[lat], default).value


def angles(column: Any, default: u.UnitBase = u.deg, *, hours: bool = False) -> u.Quantity:
    """
    Angles of a column in degrees, NaN where one is masked or empty.

    Parameters
    ----------
    column : Column or Quantity
        Numbers, or texts such as ``05 34 31.9`` and ``+22:00:52``.
    default : Unit
        Of numbers whose column has no unit.
    hours : bool
        Whether sexagesimal texts without any unit are hours, as is usual for right ascensions.

    Returns
    -------
    Quantity

    Raises
    ------
    ParameterError
        They are not angles.
    """
    try:
        if column.ndim != 1:
            raise ValueError(f"it has {column.ndim} dimensions")
        unit = _angular(column.unit)
        if column.dtype.kind in "USO":
            values = [_text_angle(_text(cell), unit, default, hours) for cell in cells(column)]
            return u.Quantity(np.round(values, 9), u.deg)
        return _in_degrees(column, unit or default)
    except (ValueError, TypeError, AttributeError) as error:  # such as that of a mixin
        raise ParameterError(
            f"The catalogue's column {printable(column.info.name)!r} holds no angles: {printable(error)}. Give "
            "numbers with the unit of an angle (deg if there is none), or sexagesimal texts."
        ) from error


def _in_degrees(column: Any, unit: Any) -> u.Quantity:
    """Numbers as they are where they are degrees; after a change of units what is below a micro-arcsecond is noise."""
    values, masked = _parts(column)
    degrees = u.Quantity(np.where(masked, math.nan, values.astype(float)), unit).to(u.deg)
    return degrees if unit == u.deg else np.round(degrees, 9)


def _angular(unit: Any) -> Any:
    """
    Read the unit of a column of angles; None if it has none.

    Right ascensions in ``h`` are hour angles, not times; ``h:m:s`` and ``"d m s"`` of VizieR and SIMBAD, which mean
    sexagesimal texts, are not units to astropy.
    """
    text = "" if unit is None else str(unit).strip("\"' ")
    if not text:
        return None
    if re.fullmatch(r"([hd])([: ])m\2s", text):
        return u.hourangle if text.startswith("h") else u.deg
    known = known_unit(text) or known_unit(text.lower()) or unit
    return u.hourangle if known == u.hour else known


def _text_angle(text: str, unit: Any, default: Any, hours: bool) -> float:  # noqa: FBT001 - passed on
    """Degrees of a sexagesimal or decimal text."""
    plain = text.strip().replace("\N{MINUS SIGN}", "-")
    if not plain:
        return math.nan
    if unit is None and not re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", plain):
        unit = u.hourangle if hours else u.deg
    return float(Angle(plain, unit or default).deg)


def source_names(table: Table) -> list[str] | None:
    """Names of sources, empty where one is masked; None if no column has them."""
    by_lower = {name.lower(): name for name in table.colnames}
    column = next((table[by_lower[name]] for name in NAME_COLUMNS if name in by_lower), None)
    return None if column is None else [_text(name).strip() for name in cells(column)]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


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
