# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Source lists: the service's dictionary <-> a `~astropy.table.Table` that can be filtered and sent back."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table, vstack
from astroquery.exceptions import InputWarning

from .errors import DecodingError, ParameterError, warn
from .text import in_hex, original, printable, transliterated
from .units import known_unit

__all__ = [
    "add_sources",
    "angles",
    "empty_catalog",
    "positions",
    "read_catalog",
    "source_names",
    "table_of",
    "to_catalog_text",
    "to_hdu",
    "to_service",
]

_FRAMES = ("fk5", "icrs", "fk4", "galactic")
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
_NAME_COLUMNS = ("src_names", "src_name", "name", "main_id", "source_name", "source", "object", "id")


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
    names = [str(name) for name in _listed(entry, "cat_column_names", what)]
    columns = _listed(entry, "cat_column_list", what)
    if len(names) != len(columns) or len(set(names)) != len(names):
        raise DecodingError(f"{what} has {len(names)} column names for {len(columns)} columns; each needs its own.")
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) > 1:
        raise DecodingError(f"The columns of {what} are not lists of one length.")
    dtypes = _dtypes(entry.get("cat_column_descr"))
    _refuse_wide(columns, what)
    table = Table([_column(name, values, dtypes.get(name), what) for name, values in zip(names, columns, strict=True)])
    unit = str(entry.get("cat_coord_units") or "deg")
    lon, lat = str(entry.get("cat_lon_name") or "ra"), str(entry.get("cat_lat_name") or "dec")
    if {lon, lat} <= set(table.colnames):
        table.meta.update(FRAME=str(entry.get("cat_frame") or "fk5"), LON_NAME=lon, LAT_NAME=lat)
    for name in (lon, lat, "ERR_RAD"):
        if name in table.colnames and table[name].dtype.kind in "fiu":
            table[name].unit = _angle_unit(unit if name != "ERR_RAD" else "deg", what)
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
        array = np.array(_without_none(values, "")) if values else np.zeros(0)
        if array.ndim != 1 or array.dtype.kind not in "biufU":
            raise TypeError("values of several kinds")
        return array
    native = np.dtype(dtype).newbyteorder("=")
    if native.kind in "SU":  # byte strings are text in the values; the width is the values', never cut
        texts = _without_none(values, "")
        kinds = set(map(type, texts))
        if not kinds <= {str, int, float, bool}:
            raise TypeError("values of several kinds")
        return np.array(texts if kinds <= {str} else [str(text) for text in texts], dtype=str)
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


def _angle_unit(name: str, what: str) -> u.UnitBase:
    unit = _angle(name)
    if unit is not None:
        return unit
    raise DecodingError(f"The unit of the coordinates in {what} is {printable(name)!r}, which is no angle.")


# ---- into a FITS file, and out of it


def to_hdu(table: Table) -> fits.BinTableHDU:
    """
    Source list as a binary table named CATALOG.

    Texts are written in ASCII, the only letters of FITS. If that changes names, the column ``SRCNAME8`` keeps them as
    they were, as hexadecimal digits of their UTF-8.
    """
    plain = table.copy()
    for number, name in enumerate(table.colnames):
        if plain[name].dtype.kind == "U":
            plain[name] = [transliterated(str(value)) for value in np.ma.filled(plain[name], "")]
        if not (name.isascii() and name.isprintable() and len(name) <= 60):
            plain.rename_column(name, f"{transliterated(name)[:60]}_{number}")
    kept = [in_hex(str(name)) for name in table["src_names"]] if "src_names" in table.colnames else []
    if any(kept):
        plain["SRCNAME8"] = kept
    meta, plain.meta = plain.meta, {}
    hdu = fits.BinTableHDU(plain, name="CATALOG")
    for key in _FRAME_KEYS:
        if key in meta:
            hdu.header[key] = transliterated(str(meta[key]))
    return hdu


def table_of(catalog: Table | fits.HDUList) -> Table:
    """Sources with their names as they were before `to_hdu`."""
    if isinstance(catalog, fits.HDUList):
        if "CATALOG" not in catalog:
            raise ParameterError("catalog= is an HDUList without a CATALOG; query_image gives one that has it.")
        catalog = Table.read(catalog["CATALOG"])
    if not {"src_names", "SRCNAME8"} <= set(catalog.colnames):
        return catalog
    table = catalog.copy()
    names, kept = (_values(table[name], None) for name in ("src_names", "SRCNAME8"))
    table["src_names"] = [original(_text(name), _text(digits)) for name, digits in zip(names, kept, strict=True)]
    table.remove_column("SRCNAME8")
    return table


def _upper(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).upper(): value for key, value in meta.items()}


# ---- to the service


def to_catalog_text(catalog: Any) -> str:
    """
    Turn what a user gives as ``catalog=`` into the service's JSON text.

    Parameters
    ----------
    catalog : Table, HDUList, dict, str or Path
        A table as `read_catalog` gives it, or any table with names and coordinates; an image with a ``CATALOG``;
        the service's form as dict or JSON text; the path of an ECSV or FITS file.

    Returns
    -------
    str

    Raises
    ------
    ParameterError
        There are no names or coordinates in it, or no sources.
    """
    if isinstance(catalog, Mapping):
        return _checked_text(dict(catalog))
    if isinstance(catalog, str) and catalog.lstrip().startswith("{"):
        try:
            return _checked_text(json.loads(catalog))
        except (ValueError, RecursionError) as error:
            raise ParameterError(f"catalog= is no JSON: {printable(error)}.") from error
    if isinstance(catalog, (str, Path)):
        catalog = _from_file(Path(catalog))
    if not isinstance(catalog, (Table, fits.HDUList)):
        raise ParameterError(
            f"catalog= must be a Table of sources, an image with a CATALOG, a dict, a list of names or a path; not a "
            f"{type(catalog).__name__}."
        )
    return _checked_text(to_service(table_of(catalog)))


def to_service(table: Table) -> dict[str, Any]:
    """
    Turn a table of sources into the service's dictionary.

    Parameters
    ----------
    table : Table
        With a column of names and either the coordinate columns that its ``meta`` names, a
        `~astropy.coordinates.SkyCoord` column, or columns that `~astropy.coordinates.SkyCoord.guess_from_table`
        understands. Without a significance, zeros are sent.

    Returns
    -------
    dict

    Raises
    ------
    ParameterError
        Names or coordinates are missing, or there is no source in it.
    """
    if len(table) == 0:
        raise ParameterError("catalog= has no sources in it. Leave it out to let the service choose.")
    plain = table_of(table) if _is_ours(table) else _from_any_table(table)
    meta = _upper(plain.meta)
    lon, lat = str(meta.get("LON_NAME", "ra")), str(meta.get("LAT_NAME", "dec"))
    for name in (lon, lat):
        angles(plain[name])  # raises what is wrong with them; values without need of another unit are sent as they are
    unit = _angle(str(meta.get("COORD_UNIT") or plain[lon].unit or "deg"))
    if unit is None:
        raise ParameterError(f"COORD_UNIT of catalog= is {printable(meta['COORD_UNIT'])!r}, which is no angle.")
    names = [name for name in plain.colnames if plain[name].ndim == 1]
    return {
        "cat_frame": str(meta.get("FRAME", "fk5")),
        "cat_coord_units": unit.to_string(),
        "cat_column_list": [_values(plain[name], unit if name in (lon, lat) else None) for name in names],
        "cat_column_names": names,
        "cat_column_descr": [[name, _description(plain[name])] for name in names],
        "cat_lat_name": lat,
        "cat_lon_name": lon,
    }


def _is_ours(table: Table) -> bool:
    meta = _upper(table.meta)
    needed = {"meta_ID", "src_names", "significance", meta.get("LON_NAME", "ra"), meta.get("LAT_NAME", "dec")}
    return needed <= set(table.colnames) and str(meta.get("FRAME", "fk5")).lower() in _FRAMES


def _from_any_table(table: Table) -> Table:
    """A table of our form from one of any origin."""
    position = positions(table).icrs
    names = source_names(table)
    if names is None:
        raise ParameterError(
            f"catalog= needs a column with the names of the sources (one of {', '.join(_NAME_COLUMNS)}); it has "
            f"{', '.join(printable(name) for name in table.colnames)}."
        )
    nowhere = [name for name, known in zip(names, np.isfinite(position.ra.deg), strict=True) if not known]
    if nowhere:
        raise ParameterError(f"catalog=: the source {printable(nowhere[0])!r} has no position.")
    count = len(table)
    significance = {name.lower(): name for name in table.colnames}.get("significance")
    plain = Table(
        {
            "meta_ID": np.arange(count),
            "src_names": names,
            "significance": np.array(table[significance], dtype=float) if significance else np.zeros(count),
            "ra": position.ra.deg,
            "dec": position.dec.deg,
        }
    )
    plain.meta.update(FRAME="icrs", LON_NAME="ra", LAT_NAME="dec")
    return plain


def positions(table: Table) -> SkyCoord:
    """
    Positions of sources, in the frame that the table tells, or else in the one that its column names mean.

    Raises
    ------
    ParameterError
        There are none, or they are in a frame that nobody knows.
    """
    for column in table.columns.values():
        if isinstance(column, SkyCoord):
            return column
    meta = _upper(table.meta)
    frame, lon, lat = (str(meta.get(key, "")) for key in _FRAME_KEYS)
    if frame and {lon, lat} <= set(table.colnames):
        if frame.lower() not in _FRAMES:
            raise ParameterError(f"The catalogue's frame {printable(frame)!r} is none of {', '.join(_FRAMES)}.")
        return SkyCoord(angles(table[lon]), angles(table[lat]), frame=frame.lower())
    try:
        return SkyCoord.guess_from_table(_without_mask(table))
    except (ValueError, TypeError, u.UnitsError):
        pass
    by_lower = {name.lower(): name for name in table.colnames}
    for lon, lat in (("ra", "dec"), ("raj2000", "dej2000"), ("ra_icrs", "de_icrs")):
        if lon in by_lower and lat in by_lower:
            return SkyCoord(*(angles(table[by_lower[name]]) for name in (lon, lat)))
    raise ParameterError(
        "catalog= needs coordinates: a SkyCoord column, or columns 'ra' and 'dec' with the unit deg; it has "
        f"{', '.join(printable(name) for name in table.colnames)}."
    )


def _without_mask(table: Table) -> Table:
    """Numbers that are masked as NaN: what is behind a mask is no position."""
    plain = table.copy(copy_data=False)
    for name, column in table.columns.items():
        if isinstance(column, MaskedColumn) and column.dtype.kind == "f":
            plain[name] = column.filled(math.nan)
    return plain


def angles(column: Any) -> u.Quantity:
    """NaN where it is masked; what has no unit is in degrees."""
    try:
        plain: Any = np.ma.filled(np.ma.asarray(getattr(column, "value", column), dtype=float), math.nan)
        return u.Quantity(plain, column.unit or u.deg).to(u.deg)
    except (ValueError, TypeError) as error:
        name = printable(column.info.name)
        raise ParameterError(f"The catalogue's column {name!r} holds no angles: {printable(error)}.") from error


def source_names(table: Table) -> list[str] | None:
    """Names of sources, empty where one is masked; None if no column has them."""
    by_lower = {name.lower(): name for name in table.colnames}
    column = next((table[by_lower[name]] for name in _NAME_COLUMNS if name in by_lower), None)
    return None if column is None else [_text(name).strip() for name in _values(column, None)]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _values(column: Column, unit: u.UnitBase | None) -> list[Any]:
    if unit is not None and column.unit is not None and column.unit != unit:
        column = Column(u.Quantity(column).to(unit).value, name=getattr(column, "name", None))
    masked = np.ma.getmaskarray(column)
    values = np.ma.getdata(column).tolist()
    return [_value(value, gone) for value, gone in zip(values, masked.tolist(), strict=True)]


def _value(value: Any, gone: bool) -> Any:  # noqa: FBT001 - a pair from zip
    if gone or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _description(column: Column) -> str:
    dtype = column.dtype
    return f"<U{max(dtype.itemsize, 1)}" if dtype.kind == "S" else str(dtype.newbyteorder("<").str)


def _checked_text(catalog: dict[str, Any]) -> str:
    columns = catalog.get("cat_column_names") or []
    missing = [name for name in ("meta_ID", "src_names", "significance") if name not in columns]
    if missing or len(catalog.get("cat_column_list") or ()) != len(columns):
        raise ParameterError(f"catalog= in the service's form needs the columns {', '.join(missing) or 'themselves'}.")
    lists, place = list(catalog["cat_column_list"]), columns.index("src_names")
    lists[place] = _in_ascii(lists[place])
    return json.dumps({**catalog, "cat_column_list": lists})


def _in_ascii(names: list[Any]) -> list[Any]:
    """Names of sources in the only letters that the service can take; results are found by either spelling."""
    foreign = [str(name) for name in names if not str(name).isascii()]
    if not foreign:
        return names
    spelled = [transliterated(str(name)) for name in names]
    if any("?" in transliterated(name) for name in foreign) or len(set(spelled)) < len(set(map(str, names))):
        raise ParameterError(
            f"catalog=: the source name {printable(foreign[0])!r} is not plain ASCII, at which the service fails, and "
            "has no spelling of its own in it. Rename it."
        )
    warn(
        f"MMODA: the service takes names of sources in ASCII only; {printable(foreign[0])!r} is sent as "
        f"{transliterated(foreign[0])!r}.",
        InputWarning,
    )
    return spelled


# ---- objects of interest


def add_sources(catalog: Table, sources: Mapping[str, SkyCoord] | Table, *, flag: int, radius: u.Quantity) -> Table:
    """Add sources, or give their names to unnamed detections close by; see ``Mmoda.add_sources``."""
    if not isinstance(catalog, Table) or not _is_ours(catalog):
        raise ParameterError("add_sources needs a table as query_catalog returns it.")
    if isinstance(sources, Table):
        plain = table_of(sources) if _is_ours(sources) else _from_any_table(sources)
        places = positions(plain)
        sources = {str(name): places[row] for row, name in enumerate(plain["src_names"])}
    if not isinstance(sources, Mapping):
        raise ParameterError("sources must be names, a dict of names and positions, or a table.")
    table = table_of(catalog).copy()
    names = [str(name) for name in table["src_names"]]
    for name, position in sources.items():
        row = _row_of(name, position, table, names, radius)
        if row is None:
            names.append(name)
            table = vstack([table, _new_row(table, name, position)], join_type="outer", metadata_conflicts="silent")
        else:
            names[row] = name
        # a column of names is as wide as its longest
        table["src_names"] = names
        if "FLAG" in table.colnames:
            table["FLAG"][-1 if row is None else row] = flag
    return table


def _row_of(name: str, position: SkyCoord, table: Table, names: Sequence[str], radius: u.Quantity) -> int | None:
    """Row of a source that is there, or of the nearest unnamed detection within the radius."""
    if name in names:
        return names.index(name)
    if not len(table):
        return None
    separations = positions(table).separation(position)
    unnamed = [row for row, known in enumerate(names) if known.upper().startswith("NEW")]
    near = [row for row in unnamed if separations[row] <= radius]
    return min(near, key=lambda row: separations[row]) if near else None


def _new_row(table: Table, name: str, position: SkyCoord) -> Table:
    """A row of zeros with a name and a position; known, as the service marks it."""
    lon, lat = str(table.meta.get("LON_NAME", "ra")), str(table.meta.get("LAT_NAME", "dec"))
    here = position.transform_to(_frame(table))
    longitude, latitude = here.spherical.lon, here.spherical.lat
    values = {"meta_ID": int(max(table["meta_ID"], default=-1)) + 1, "src_names": name, "NEW_SOURCE": -32768}
    values |= {lon: longitude.to_value(table[lon].unit or u.deg), lat: latitude.to_value(table[lat].unit or u.deg)}
    row = Table()
    for column in table.columns.values():
        empty = "" if column.dtype.kind in "US" else 0
        kind = "U" if column.dtype.kind in "US" else column.dtype
        row[column.name] = Column([values.get(column.name, empty)], dtype=kind, unit=column.unit)
    return row


def _frame(table: Table) -> str:
    return str(table.meta.get("FRAME", "fk5")).lower()


def _from_file(path: Path) -> Table | fits.HDUList:
    if not path.is_file():
        raise ParameterError(f"catalog={printable(path)!r} is neither a file nor JSON.")
    try:
        with path.open("rb") as file:
            start = file.read(16)
        if start.startswith(b"SIMPLE  ="):
            return Table.read(path, format="fits", hdu="CATALOG" if "CATALOG" in _hdu_names(path) else 1)
        return Table.read(path, format="ascii.ecsv")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ParameterError(f"catalog={printable(path)!r} is no ECSV or FITS table: {printable(error)}.") from error


def _hdu_names(path: Path) -> list[str]:
    with fits.open(path) as hdulist:
        return [hdu.name for hdu in hdulist]
