# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Lists of sources as tables: from the service, into FITS files, and of any origin."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
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
from .errors import ParameterError, reading, valid
from .markup import show_rounded
from .protocol import COORDINATE_COLUMNS, FITS_COLUMNS, NAME_COLUMNS
from .text import in_hex, listed, original, printable, transliterated, visible
from .units import known_unit

# what a list of an INTEGRAL image has, for a reply that has none
_USUAL_COLUMNS = {
    **{"meta_ID": "i8", "src_names": "U20", "significance": "f8", "ra": "f8", "dec": "f8"},
    **{"NEW_SOURCE": "i8", "ISGRI_FLAG": "i8", "FLAG": "i8", "ERR_RAD": "f8"},
}
_SHOWN = {"significance": ".2f", "ra": ".5f", "dec": ".5f", "ERR_RAD": ".4g"}
_FRAMES = ("fk5", "icrs", "fk4", "galactic")  # that the service knows
_NOTHING = ("nan", "none", "null", "--", "n/a", "unknown", "notknown")  # in tables that were made texts
_FRAME_KEYS = ("FRAME", "LON_NAME", "LAT_NAME")
_EQUATORIAL = ("fk5", "icrs")
_DTYPE = re.compile(r"[<>=|]?(?:[SUa]\d+|[iuf][1248]|b1|\?)|bool|str|(?:u?int|float)(?:8|16|32|64)?")
_MOST_TEXT = 30_000_000
_COPIES = 3  # as astropy makes them of a table that becomes FITS
_TEXT = 60  # bytes of a text beside its letters, as Python has it
_MOST_ANGLES = 100_000  # as texts, which take 0.1 ms each
_HOURS = re.compile("ra|alpha|right")  # names of right ascensions, of which sexagesimal texts are hours
_LONGEST_NAME = 60  # of a FITS column, so that a number can still be added
_Array = np.ndarray[Any, Any]


# ---- from the service


def read_catalog(entry: Any, *, what: str = "the catalogue") -> Table:
    """Turn the service's catalogue (``products.catalog`` of a reply) into a table with units and frame."""
    with reading(what):
        names, columns = entry["cat_column_names"], entry["cat_column_list"]
        if not all(isinstance(each, list) for each in (names, columns, *columns)):
            raise TypeError("its names and columns must be lists")
        if not len(set(names)) == len(names) == len(columns) <= FITS_COLUMNS:
            raise ValueError(
                f"{len(names)} names for {len(columns)} columns; each needs its own, and {FITS_COLUMNS} are the most"
            )
        _refuse_wide(columns)
        pairs = [map(str, pair[:2]) for pair in entry.get("cat_column_descr") or ()]
        dtypes = {name: dtype for name, dtype in pairs if _DTYPE.fullmatch(dtype)}
        if not any(columns):  # the service calls names numbers where there are none, and these do not stack with others
            dtypes |= _USUAL_COLUMNS
        arrays = [_read_column(name, values, dtypes.get(name)) for name, values in zip(names, columns, strict=True)]
        table = Table(arrays, copy=False)
        lon, lat = str(entry.get("cat_lon_name") or "ra"), str(entry.get("cat_lat_name") or "dec")
        given = entry.get("cat_coord_units")
        if {lon, lat} <= set(names):
            # only INTEGRAL's instruments tell all of it
            frame = {"FRAME": str(entry["cat_frame"])} if entry.get("cat_frame") else {}
            table.meta.update(frame | {"LON_NAME": lon, "LAT_NAME": lat} | ({} if given else _assumed([lon, lat])))
        # one unit for both coordinates, or a pair such as hourangle,deg
        units = list(given) if isinstance(given, (list, tuple)) else str(given or "deg").split(",")
        for name, unit in ((lon, units[0]), (lat, units[-1]), ("ERR_RAD", "deg")):
            if name in names and table[name].dtype.kind in "fiu":
                table[name].unit = _angle_unit(unit) or u.deg
    return rounded_catalog(table)


def rounded_catalog(table: Table) -> Table:
    """The same table, whose numbers are shown with the digits that matter."""
    show_rounded(table, _SHOWN)
    return table


def empty_catalog() -> Table:
    """Catalogue without sources, with the usual columns."""
    names = list(_USUAL_COLUMNS)
    descriptions = [list(item) for item in _USUAL_COLUMNS.items()]
    lists: list[list[Any]] = [[] for _ in names]
    entry = {"cat_column_names": names, "cat_column_list": lists, "cat_column_descr": descriptions}
    return read_catalog(entry | {"cat_frame": "fk5", "cat_coord_units": "deg"})


def _refuse_wide(columns: Sequence[Sequence[Any]]) -> None:
    """A column of texts is as wide as its longest one in each row: one name of megabytes would take gigabytes."""
    present, needed = 0, 0
    for column in columns:
        # numbers with a fraction are left out: they are many, and short
        lengths = [len(str(value)) for value in column] if set(map(type, column)) - {float, bool} else [0]
        present += sum(lengths)
        needed += max(lengths, default=0) * len(column)
    if needed > _MOST_TEXT // 4 + 2 * present:
        raise ValueError(f"texts that are too long for a table of {len(columns[0])} sources")


def _read_column(name: str, values: Sequence[Any], dtype: str | None) -> Column:
    """Values of one type, by default their own; missing ones are NaN, empty or masked."""
    missing = [value is None for value in values]
    kinds = set(map(type, values)) - {type(None)}
    with reading(f"column {printable(name)!r} of type {printable(dtype)}"):
        if not all(issubclass(kind, (str, Real)) for kind in kinds):
            raise TypeError("values of several kinds")
        own = str if any(issubclass(kind, str) for kind in kinds) else float
        kind = np.dtype(dtype or own).kind
        fill = {"f": math.nan, "S": "", "U": ""}.get(kind, 0)
        filled = [fill if value is None else value for value in values]
        if kind in "iu" and any(isinstance(value, float) and not value.is_integer() for value in filled):
            raise ValueError("a fraction among whole numbers")
        # byte strings are text in the values; the width is the values', never cut
        texts = kind in "SU"
        array = np.array(visible(map(str, filled)), dtype=str) if texts else np.array(filled, dtype=dtype)
        if array.dtype.kind not in "biufU":
            raise ValueError("numbers that are too large")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    masked = any(missing) and kind != "f"
    return MaskedColumn(array, name=name, mask=missing) if masked else Column(array, name=name)


# ---- from workflows, which send tables of any columns


def as_catalog(table: Table) -> Table | None:
    """
    A table that has positions on the sky, with units for them and ``meta`` about them; None of another.

    Positions that are not numbers with the unit of an angle become degrees; the other columns are shared.
    """
    lon, lat, frame = find_sky_columns(table)
    if not lon:
        return None
    columns = {name: table[name] for name in table.colnames}
    try:
        columns |= {name: _sky_column(table[name]) for name in (lon, lat)}
    except ParameterError:  # not angles
        return None
    found = Table(list(columns.values()), names=list(columns), meta=dict(table.meta), copy=False)
    bare = [name for name in (lon, lat) if table[name].unit is None and table[name].dtype.kind in "fiu"]
    # names alone say only that it is equatorial
    stated = {"FRAME": frame} if frame not in ("", "fk5") else {}
    found.meta.update({"LON_NAME": lon, "LAT_NAME": lat} | stated | (_assumed(bare) if bare else {}))
    return found


def find_sky_columns(table: Table) -> tuple[str, str, str]:
    """Names of the columns with positions, and the frame that usual names mean; all empty where there are none."""
    by_lower = {name.lower(): name for name in table.colnames}
    for lon, lat, frame in COORDINATE_COLUMNS:
        if {lon, lat} <= set(by_lower):
            return by_lower[lon], by_lower[lat], frame
    # a SkyCoord, as astropy writes it; of other frames it says more than is kept
    for lon in (name for name in table.colnames if name.endswith(".ra")):
        lat = f"{lon.removesuffix('.ra')}.dec"
        if lat in table.colnames and (table[lon].info.meta or {}).get("frame") == "icrs":
            return lon, lat, "icrs"
    return "", "", ""


def _sky_column(column: Any) -> Column:
    dtype, unit = getattr(column, "dtype", np.dtype("O")), column.info.unit
    if column.ndim == 1 and dtype.kind in "fiu" and (unit is None or u.Unit(unit).is_equivalent(u.deg)):
        return type(column)(column, unit=unit or u.deg, copy=False)
    if len(column) > _MOST_ANGLES:
        raise ValueError(f"{len(column)} positions that are not numbers, {_MOST_ANGLES} are the most")
    degrees = angles(column, hours=bool(_HOURS.search(column.info.name.lower())))
    return MaskedColumn(degrees.value, column.info.name, mask=np.isnan(degrees.value), unit=u.deg)


def _assumed(names: Sequence[str]) -> dict[str, str]:
    return {"UNITWARN": f"{listed(names)}: degrees assumed"}


# ---- into a FITS file, and out of it


def to_hdu(table: Table, allowance: Allowance | None = None) -> fits.BinTableHDU:
    """Source list as a binary table named CATALOG; ``SRCNAME8`` keeps names that are not ASCII, in hexadecimal."""
    allowance = allowance or Allowance(2**62)
    plain, new_names = ascii_table(table, allowance)
    if "src_names" in table.colnames and table["src_names"].dtype.kind == "U":
        texts = [str(value) for value in np.ma.filled(table["src_names"], "")]
        if not all(map(str.isascii, texts)):
            plain["SRCNAME8"] = _ascii_column([in_hex(text) for text in texts], allowance)
    hdu = fits.BinTableHDU(plain, name="CATALOG")
    for key in _FRAME_KEYS:
        if key in table.meta:
            value = str(table.meta[key])
            hdu.header[key] = transliterated(new_names.get(value, value), limit=_LONGEST_NAME)
    return hdu


def ascii_table(table: Table, allowance: Allowance) -> tuple[Table, dict[str, str]]:
    """A table whose names and texts fit into FITS, without ``meta``; and the new names by the old ones."""
    allowance.spend(_COPIES * sum(column.nbytes for column in table.itercols()), "a table as a FITS table")
    new_names = _fits_names(table.colnames)
    columns: dict[str, Any] = {}
    for name, new in new_names.items():
        columns[new] = table[name]
        if table[name].dtype.kind == "U":
            texts = [str(value) for value in np.ma.filled(table[name], "")]
            # one character may become 18, of four bytes each
            allowance.spend(72 * max(map(len, texts), default=0), "a text in ASCII")
            columns[new] = _ascii_column([transliterated(text) for text in texts], allowance)
    found = Table(columns, copy=False)
    for name, column in found.columns.items():
        if column is not columns[name]:
            column.info.format = None  # those of the eye are not for files
    return found, new_names


def _ascii_column(values: list[str], allowance: Allowance) -> _Array:
    size = _COPIES * len(values) * max(map(len, values), default=0)
    allowance.spend(size + sum(map(len, values)) + _TEXT * len(values), "texts of the catalogue")
    return np.array(values, dtype="S")


def _fits_names(names: Sequence[str]) -> dict[str, str]:
    """Names of columns that fit into FITS cards, in ASCII, no two equal apart from capitals."""
    found: dict[str, str] = {}
    for number, name in enumerate(names):
        new = transliterated(name, limit=_LONGEST_NAME).replace("'", "").strip()
        if new != name or new.lower() in {other.lower() for other in found.values()}:
            new = f"{new or 'column'}_{number}_"
        found[name] = new
    return found


def table_of(catalog: Table | fits.HDUList) -> Table:
    """Sources with their names as they were before `to_hdu`."""
    if isinstance(catalog, fits.HDUList):
        if "CATALOG" not in catalog:
            raise ParameterError("catalog= is an HDUList without a CATALOG; query_image gives one that has it.")
        with reading("the CATALOG of an HDUList"):
            catalog = rounded_catalog(Table.read(catalog["CATALOG"]))
    if not {"src_names", "SRCNAME8"} <= set(catalog.colnames):
        return catalog
    table = catalog.copy()
    with reading("names in a catalogue"):
        names, kept = ([cell or "" for cell in cells(table[name])] for name in ("src_names", "SRCNAME8"))
        table["src_names"] = [original(str(name), digits) for name, digits in zip(names, kept, strict=True)]
        table.remove_column("SRCNAME8")
    return table


# ---- names and positions


@dataclass(frozen=True)
class Positions:
    """Positions in degrees, NaN where there is none, in a frame that the service knows; ``names`` of the columns."""

    lon: _Array
    lat: _Array
    frame: str
    names: tuple[str, str] = ("ra", "dec")

    def as_sky_coord(self) -> SkyCoord:
        """Make positions of them."""
        with reading("positions in a catalogue"):
            return SkyCoord(self.lon * u.deg, self.lat * u.deg, frame=self.frame)


def read_positions(table: Table) -> Positions:
    """Positions from the columns that ``meta`` names, a SkyCoord column, or columns of usual names (FK5)."""
    meta = {str(key).upper(): value for key, value in table.meta.items()}
    frame = str(meta.get("FRAME") or meta.get("RADESYS") or meta.get("RADECSYS") or "").strip().lower()
    if frame not in ("", *_FRAMES):
        raise ParameterError(f"The catalogue's frame {printable(frame)!r} must be one of {', '.join(_FRAMES)}.")
    if str(meta.get("COORD_UNIT") or "deg") != "deg":
        raise ParameterError(f"The catalogue's COORD_UNIT must be deg, not {printable(meta['COORD_UNIT'])}.")
    usual = ("l", "b") if frame == "galactic" else ("ra", "dec")
    lon, lat = str(meta.get("LON_NAME") or usual[0]), str(meta.get("LAT_NAME") or usual[1])
    named, implied = set(_FRAME_KEYS) & set(meta) and {lon, lat} <= set(table.colnames), "fk5"
    if not named:
        for column in table.columns.values():
            if isinstance(column, SkyCoord) and column.ndim == 1:
                return _equatorial(column)
        lon, lat, implied = find_sky_columns(table)
        if not lon:
            raise ParameterError(
                "catalog= needs coordinates: a SkyCoord column, or columns 'ra' and 'dec' with the unit deg; it has "
                f"{listed(table.colnames)}."
            )
        if frame == "galactic" and implied == "fk5":
            raise ParameterError("The catalogue's frame is 'galactic', but its columns are 'ra' and 'dec'.")
    degrees = angles(table[lon], hours=bool(_HOURS.search(lon.lower()))).value, angles(table[lat]).value
    frame = frame if frame and implied == "fk5" else implied
    if named:
        return Positions(*degrees, frame, (lon, lat))
    given = Positions(*degrees, frame)
    return given if frame in _EQUATORIAL else _equatorial(given.as_sky_coord())


def _equatorial(given: SkyCoord) -> Positions:
    """Positions in ICRS, unless they are in FK5 of J2000."""
    known = given.frame.name in _EQUATORIAL and given.frame.is_equivalent_frame(type(given.frame)())
    with reading("positions in a catalogue"):
        given = given if known else given.icrs
    # what is below a micro-arcsecond comes from turning frames and units round
    lon, lat = (np.round(angles(angle).value, 9) for angle in (given.spherical.lon, given.spherical.lat))
    return Positions(lon, lat, given.frame.name)


def angles(column: Any, *, hours: bool = False) -> u.Quantity:
    """Angles of a column in degrees, NaN where one is masked or empty; numbers without a unit are degrees."""
    advice = "Give numbers with the unit of an angle (deg if there is none), or sexagesimal texts."
    with valid("catalog", column.info.name, "column of angles", advice):
        if column.ndim != 1:
            raise ValueError(f"it has {column.ndim} dimensions")
        unit, is_text = _angle_unit(column.unit), column.dtype.kind in "USO"
        if is_text:
            sexagesimal = u.hourangle if hours else u.deg
            degrees = u.Quantity([_angle_of_text(cell, unit, sexagesimal) for cell in cells(column)], u.deg)
        else:
            values, masked = _values_and_mask(column)
            degrees = u.Quantity(np.where(masked, math.nan, values.astype(float)), unit or u.deg).to(u.deg)
        # what is below a micro-arcsecond comes from the change of units
        return np.round(degrees, 9) if is_text or unit not in (None, u.deg) else degrees


def _angle_unit(given: Any) -> u.UnitBase | None:
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


def _angle_of_text(cell: Any, unit: Any, sexagesimal: Any) -> float:
    """Degrees of a sexagesimal or decimal text."""
    text = str(cell or "").strip().replace("\N{MINUS SIGN}", "-")
    text = "" if text.lower() in _NOTHING else text
    decimal = re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", text)
    if decimal and unit in (None, u.deg):
        return float(text)
    return float(Angle(text, unit or sexagesimal).deg) if text else math.nan


def source_names(table: Table) -> list[str] | None:
    """Names of sources, empty where one is masked; None if no column has them."""
    by_lower = {name.lower(): name for name in table.colnames}
    column = next((table[by_lower[name]] for name in NAME_COLUMNS if name in by_lower), None)
    return None if column is None else ["" if name is None else str(name).strip() for name in cells(column)]


def cells(column: Any) -> list[Any]:
    """Values of a column as Python has them; None for what is masked or not finite."""
    values, masked = _values_and_mask(column)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    found = values.astype(object)
    found[masked | ~np.isfinite(values) if values.dtype.kind == "f" else masked] = None
    return list(found.tolist())


def _values_and_mask(column: Any) -> tuple[_Array, _Array]:
    """Values and mask of a column of any kind, without unit."""
    plain = getattr(column, "value", column)
    if isinstance(plain, Masked):
        return np.asarray(plain.unmasked), np.asarray(plain.mask)
    return np.ma.getdata(plain), np.ma.getmaskarray(plain)
