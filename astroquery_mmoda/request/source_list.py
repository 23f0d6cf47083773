# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Source lists on their way to the service: what users have, in the form that its software takes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, Table, vstack
from astroquery.exceptions import InputWarning

from ..catalog import (
    NAME_COLUMNS,
    Places,
    angles,
    cells,
    coordinate_columns,
    positions,
    read_catalog,
    read_places,
    source_names,
    table_of,
)
from ..errors import DecodingError, ParameterError, warn
from ..instruments import CATALOG_VALUES, CodedMask, coded_mask
from ..text import Pasted, printable, transliterated
from .values import as_quantity, convert, parse_position, sky_position

__all__ = ["add_sources", "to_catalog_text", "to_service"]

_Array = np.ndarray[Any, Any]
_FLAGS = ("NEW_SOURCE", "ISGRI_FLAG", "FLAG")
# values of ISGRI_FLAG with which INTEGRAL's software uses a source
_USED = (1, 2)
_NOT_EXTRACTED_BY_JEMX = "NEW SOURCE"
_SAME_PLACE = 30 / 3600
_MOST_COMPARED = 1000


def to_catalog_text(catalog: Any, instrument: str = "") -> str:
    """
    Turn what a user gives as ``catalog=`` into the service's JSON text.

    Parameters
    ----------
    catalog : Table, HDUList, dict, str or Path
        A table as `~astroquery_mmoda.catalog.read_catalog` gives it, or any table with names and coordinates; an image
        with a ``CATALOG``; the service's form as dict or JSON text; the path of a file with that text, or of an ECSV
        or FITS table.
    instrument : str
        The service's name of the instrument that it is for; see `to_service`.

    Returns
    -------
    str

    Raises
    ------
    ParameterError
        There are no names or coordinates in it, or no sources, or what its columns hold can't be sent.
    """
    table, others = _given(catalog)
    form = to_service(table, instrument)
    place = form["cat_column_names"].index("src_names")
    form["cat_column_list"][place] = _in_ascii(form["cat_column_list"][place])
    try:
        return json.dumps({**others, **form}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"catalog= can't be written as JSON: {printable(error)}.") from error


# ---- what may be given


def _given(catalog: Any) -> tuple[Table, dict[str, Any]]:
    """The table in whatever was given, and what the service's form has beside it."""
    if isinstance(catalog, (str, Path)):
        text = str(catalog)
        if not text.strip():
            raise ParameterError("catalog= is an empty text. Leave it out to let the service choose.")
        catalog = _from_json(text, "catalog=") if text.lstrip().startswith("{") else _from_file(catalog)
    if isinstance(catalog, Mapping):
        return _of_form(catalog)
    if isinstance(catalog, (list, tuple)) and not catalog:
        catalog = Table()
    if not isinstance(catalog, (Table, fits.HDUList)):
        raise ParameterError(
            "catalog= must be a Table of sources, an image with a CATALOG, a dict in the service's form, a list of "
            f"names or a path; not {printable(type(catalog).__name__)}."
        )
    return table_of(catalog), {}


def _of_form(form: Mapping[str, Any]) -> tuple[Table, dict[str, Any]]:
    # numbers as they are written, whatever precision the list once had
    descriptions = form.get("cat_column_descr")
    if isinstance(descriptions, list):
        pairs = [list(pair) for pair in descriptions if isinstance(pair, (list, tuple)) and len(pair) >= 2]
        descriptions = [
            [name, "<f8" if "f4" in str(dtype) or "float32" in str(dtype) else dtype] for name, dtype, *_ in pairs
        ]
    try:
        table = read_catalog({**form, "cat_column_descr": descriptions}, what="catalog=")
    except DecodingError as error:
        raise ParameterError(
            f"{error} (The service's form has cat_column_names, cat_column_list, cat_frame, cat_coord_units, "
            "cat_lon_name and cat_lat_name, as in products.catalog of a reply.)"
        ) from error
    return table, {name: value for name, value in form.items() if not str(name).startswith("cat_c")}


def _from_json(text: str, what: str) -> Mapping[str, Any]:
    try:
        form = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{what} is not valid JSON: {printable(error)}.") from error
    if not isinstance(form, Mapping):
        raise ParameterError(f"{what} must be a JSON object with the service's form of a catalogue.")
    return form


def _from_file(given: str | Path) -> Table | fits.HDUList | Mapping[str, Any]:
    path = Path(given)
    if isinstance(given, Pasted):
        raise ParameterError(
            f"catalog={printable(given, limit=100)!r} came from a snippet, a link or a record, which never name files "
            "to be read. If you want this file, give it yourself: catalog=Path(...)."
        )
    try:
        path = path.expanduser()
        there = path.is_file()
    except (OSError, RuntimeError):  # longer than any path, or the home of nobody
        there = False
    if not there:
        raise ParameterError(
            f"catalog={printable(path, limit=100)!r} is neither a file nor JSON. Names of sources go into a list: "
            f"catalog=[{printable(path, limit=100)!r}]."
        )
    what = f"catalog={printable(path)!r}"
    try:
        with path.open("rb") as file:
            start = file.read(512)
        if start.startswith((b"SIMPLE  =", b"\x1f\x8b")):
            return Table.read(path, format="fits", hdu="CATALOG" if "CATALOG" in _hdu_names(path) else 1)
        if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return _from_json(path.read_text("utf-8-sig"), what)
        return Table.read(path, format="ascii.ecsv")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ParameterError(
            f"{what} is not an ECSV or FITS table, nor a text with the service's JSON: {printable(error)}."
        ) from error


def _hdu_names(path: Path) -> list[str]:
    with fits.open(path) as hdulist:
        return [hdu.name for hdu in hdulist]


# ---- a table in the service's form


def to_service(table: Table, instrument: str = "") -> dict[str, Any]:
    """
    Turn a table of sources into the service's dictionary.

    Coordinates are sent in degrees, since the service reads them so whatever unit it is told, and nothing is null,
    since its plugin for INTEGRAL fails at that. For ISGRI and JEM-X the columns ``NEW_SOURCE``, ``ISGRI_FLAG``,
    ``FLAG`` and ``ERR_RAD`` are completed where they are missing, with the values that the service's own tools send:
    without them, INTEGRAL's software would use no source of the list.

    Parameters
    ----------
    table : Table
        With a column of names, and the coordinate columns that its ``meta`` tells, a
        `~astropy.coordinates.SkyCoord` column, or columns of usual names (``ra``, ``RAJ2000``, ``glon``, ...), FK5
        where nothing names a frame. Without a significance, zeros are sent.
    instrument : str
        The service's name of the instrument. For others than INTEGRAL's imagers no column is added but ``meta_ID`` and
        ``significance``, without which the service takes no list.

    Returns
    -------
    dict

    Raises
    ------
    ParameterError
        Names or coordinates are missing, or what its columns hold can't be sent.

    Warns
    -----
    InputWarning
        If INTEGRAL's software would not use all of the sources, or could not tell some apart, and of columns that are
        left out.
    """
    if len(table) == 0:
        raise ParameterError("catalog= has no sources in it. Leave it out to let the service choose.")
    table = table_of(table)
    places = read_places(table)
    names = _checked_names(table, places)
    _check_places(places, names)
    imager = coded_mask(instrument)
    columns = _columns(table, places, names)
    if imager is not None:
        for name, value in CATALOG_VALUES.items():
            columns.setdefault(name, np.full(len(table), value))
        _warn_of_unused(columns, names, imager)
        _warn_of_doubles(places, names)
    lon, lat = places.names
    return {
        "cat_frame": places.frame,
        "cat_coord_units": "deg",
        "cat_column_list": [column.tolist() for column in columns.values()],
        "cat_column_names": list(columns),
        "cat_column_descr": [[name, str(column.dtype.newbyteorder("<").str)] for name, column in columns.items()],
        "cat_lat_name": lat,
        "cat_lon_name": lon,
    }


def _checked_names(table: Table, places: Places) -> list[str]:
    names = source_names(table)
    if names is None:
        raise ParameterError(
            f"catalog= needs a column with the names of the sources (one of {', '.join(NAME_COLUMNS)}); it has "
            f"{', '.join(printable(name) for name in table.colnames)}."
        )
    if "" in names:
        row = names.index("")
        raise ParameterError(
            f"catalog=: row {row} (at {places.lon[row]:g}, {places.lat[row]:g} deg) has no name. Give it one, or leave "
            "it out."
        )
    return names


def _check_places(places: Places, names: Sequence[str]) -> None:
    on_sky = np.isfinite(places.lon) & (np.abs(places.lon) <= 360) & (np.abs(places.lat) <= 90)
    for row in np.flatnonzero(~on_sky)[:1]:
        raise ParameterError(
            f"catalog=: {_rows([row], names)} has no position on the sky, but ({places.lon[row]:g}, "
            f"{places.lat[row]:g}) deg. Check the units of the coordinates (columns without unit are read in degrees), "
            "or leave it out."
        )


def _columns(table: Table, places: Places, names: Sequence[str]) -> dict[str, _Array]:
    """All that is sent, by the service's names; a list of the service keeps its columns and their order."""
    lon, lat = places.names
    lower = {name.lower(): name for name in table.colnames}
    made = {
        "meta_ID": _identifiers(table["meta_ID"] if "meta_ID" in table.colnames else None, len(table)),
        "src_names": np.array(names),
        "significance": _significances(table[lower["significance"]] if "significance" in lower else None, len(table)),
        lon: np.where(places.lon < 0, places.lon + 360, places.lon),
        lat: places.lat,
    }
    given = {name: _column_for(name, table.colnames) for name in CATALOG_VALUES}
    made |= {name: _flags(table[column], CATALOG_VALUES[name]) for name in _FLAGS if (column := given[name])}
    if given["ERR_RAD"]:
        made["ERR_RAD"] = _error_radii(table[given["ERR_RAD"]])
    if coordinate_columns(table) is None or "src_names" not in table.colnames:
        return made  # a table of other origin has many columns that mean nothing to the service
    used = {*made, *given.values()}
    others = {name: _plain(table[name]) for name in table.colnames if name not in used}
    left_out = [name for name, column in others.items() if column is None]
    if left_out:
        warn(
            f"catalog=: left out, since they have gaps or values that the service can't take: columns "
            f"{', '.join(printable(name) for name in left_out)}.",
            InputWarning,
        )
    kept = {name: column for name, column in others.items() if column is not None}
    order = [name for name in made if name not in table.colnames]
    everything = {**made, **kept}
    return {name: everything[name] for name in (*order, *table.colnames) if name in everything}


def _column_for(name: str, columns: Sequence[str]) -> str | None:
    """Column of this name, in small letters too where it can mean nothing else."""
    if name in columns or name == "FLAG":
        return name if name in columns else None
    return next((column for column in columns if column.upper() == name), None)


def _identifiers(column: Any, count: int) -> _Array:
    """meta_ID, by which the service picks rows: counted anew where it does not name one row each."""
    given = [None] * count if column is None else cells(column)
    whole = all(isinstance(value, (int, float)) and value == int(value) for value in given)
    if not whole or len(set(given)) < count:
        return np.arange(count)
    return np.array([int(value) for value in given])  # type: ignore[arg-type]


def _significances(column: Any, count: int) -> _Array:
    if column is None:
        return np.zeros(count)
    if column.dtype.kind not in "biuf" or column.ndim != 1:
        raise ParameterError(f"catalog=: the column {printable(column.info.name)!r} must hold numbers; rename it.")
    return _filled(column, 0)


def _flags(column: Any, value: float) -> _Array:
    given = cells(column) if column.ndim == 1 else ["?"]
    filled = [value if flag is None or flag == "" else flag for flag in given]
    try:
        numbers = [int(flag) for flag in filled]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or any(isinstance(flag, float) and flag != int(flag) for flag in filled):
        raise ParameterError(
            f"catalog=: the column {printable(column.info.name)!r} must hold whole numbers, which tell INTEGRAL's "
            f"software what to do with a source. Rename or remove it to have {value:g} sent."
        )
    return np.array(numbers)


def _error_radii(column: Any) -> _Array:
    """Degrees; those of a list of the service have no unit where it was lost."""
    degrees: _Array = angles(column).value
    return np.where(np.isfinite(degrees), degrees, CATALOG_VALUES["ERR_RAD"])


def _plain(column: Any) -> _Array | None:
    """Values of a further column; None if the service can't take them."""
    kind = getattr(getattr(column, "dtype", None), "kind", "")
    if getattr(column, "ndim", 0) != 1 or kind not in "biufUSO" or isinstance(column, SkyCoord):
        return None
    values = cells(column)
    if kind in "USO":
        return np.array(["" if value is None else value for value in values]) if _texts(values) else None
    return None if None in values else _filled(column, 0)


def _texts(values: Iterable[Any]) -> bool:
    return all(value is None or isinstance(value, str) for value in values)


def _filled(column: Any, value: float) -> _Array:
    """Numbers of the column's type, with something else in the gaps."""
    return np.array([value if cell is None else cell for cell in cells(column)], dtype=column.dtype)


# ---- what INTEGRAL's software makes of it


def _warn_of_unused(columns: Mapping[str, _Array], names: Sequence[str], imager: CodedMask) -> None:
    unused = np.flatnonzero(~np.isin(columns["ISGRI_FLAG"], _USED))
    if unused.size:
        warn(
            f"catalog=: INTEGRAL's software uses only sources with an ISGRI_FLAG of 1 or 2, and leaves out "
            f"{_rows(unused, names)}. Set the flag to 2 to have them extracted.",
            InputWarning,
        )
    if len(names) > imager.most_sources:
        warn(
            f"catalog= has {len(names)} sources; the software of {imager.name} takes at most {imager.most_sources}. "
            "Keep those that are bright, or that you want.",
            InputWarning,
        )
    nameless = [row for row, name in enumerate(names) if " ".join(name.upper().split()) == _NOT_EXTRACTED_BY_JEMX]
    if nameless and imager.name == "jemx":
        warn(
            f"catalog=: JEM-X does not extract sources called 'NEW SOURCE': {_rows(nameless, names)}. Rename them.",
            InputWarning,
        )


def _warn_of_doubles(places: Places, names: Sequence[str]) -> None:
    """One source in two rows: a coded mask shares its counts out between them."""
    seen: dict[str, int] = {}
    doubles = [row for row, name in enumerate(names) if seen.setdefault(_cleaned(name), row) != row]
    if doubles:
        warn(
            f"catalog=: names that are there before come again in {_rows(doubles, names)}. A source in two rows gets a "
            "share of its counts in each: keep one row per source, and give each a name of its own.",
            InputWarning,
        )
    close = [pair for pair in _close_pairs(places) if pair[1] not in doubles]
    if close:
        pairs = "; ".join(_rows(pair, names) for pair in close[:3]) + ("; ..." if len(close) > 3 else "")
        warn(
            f"catalog=: these are less than 30 arcsec apart, which a coded mask can't separate: {pairs}. Keep one row "
            "per source.",
            InputWarning,
        )


def _close_pairs(places: Places) -> list[tuple[int, int]]:
    if len(places.lon) > _MOST_COMPARED:
        return []
    lon, lat = np.radians(places.lon), np.radians(places.lat)
    vectors = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    # the chord, since the cosine of so small an angle has no digits left
    chords = np.sqrt(sum((axis[:, None] - axis[None, :]) ** 2 for axis in vectors))
    first, second = np.nonzero(np.triu(chords < math.radians(_SAME_PLACE), k=1))
    return [(int(one), int(other)) for one, other in zip(first, second, strict=True)]


def _cleaned(name: str) -> str:
    return "".join(name.split()).casefold()


def _rows(rows: Iterable[Any], names: Sequence[str]) -> str:
    numbers = list(rows)
    told = ", ".join(f"row {row} ({printable(names[row])!r})" for row in numbers[:5])
    return told + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")


def _in_ascii(names: list[Any]) -> list[Any]:
    """Names of sources in the only letters that the service can take; results are found by either spelling."""
    foreign = [name for name in names if not name.isascii()]
    if not foreign:
        return names
    spelled = [transliterated(name) for name in names]
    if any("?" in transliterated(name) for name in foreign) or len(set(spelled)) < len(set(names)):
        raise ParameterError(
            f"catalog=: the source name {printable(foreign[0])!r} is not plain ASCII, at which the service fails, and "
            "has no spelling of its own in it. Rename it."
        )
    told = ", ".join(f"{printable(name)!r} is sent as {transliterated(name)!r}" for name in foreign[:5])
    more = f", and {len(foreign) - 5} more" if len(foreign) > 5 else ""
    warn(f"MMODA: the service takes names of sources in ASCII only; {told}{more}.", InputWarning)
    return spelled


# ---- objects of interest


def add_sources(catalog: Table, sources: Mapping[str, SkyCoord] | Table, *, flag: int, radius: u.Quantity) -> Table:
    """Add sources, or give their names to unnamed detections close by; see ``Mmoda.add_sources``."""
    if not isinstance(catalog, Table) or "src_names" not in catalog.colnames or not _is_ours(catalog):
        raise ParameterError("add_sources needs a table as query_catalog returns it.")
    wanted = _wanted(sources)
    radius = _radius(radius)
    if isinstance(flag, bool) or not isinstance(flag, Integral):
        raise ParameterError(f"flag={printable(flag)!r} must be a whole number, such as 1 for objects of interest.")
    table = table_of(catalog).copy()
    names = [str(name) for name in source_names(table) or ()]
    for name, position in wanted.items():
        row = _row_of(name, position, table, names, radius)
        if row is None:
            names.append(name)
            table = vstack(
                [table, _new_row(table, name, position, flag)], join_type="outer", metadata_conflicts="silent"
            )
        else:
            names[row] = name
            _mark(table, row, flag)
        # a column of names is as wide as its longest
        table["src_names"] = names
    return table


def _is_ours(table: Table) -> bool:
    """Whether it has the columns of the service's lists; an unknown frame is an error."""
    return {"meta_ID", "src_names", *read_places(table).names} <= set(table.colnames)


def _wanted(sources: Any) -> dict[str, SkyCoord]:
    if isinstance(sources, Table):
        plain = table_of(sources)
        places = read_places(plain)
        names = _checked_names(plain, places)
        _check_places(places, names)
        found = positions(plain)
        return {name: found[row] for row, name in enumerate(names)}
    if not isinstance(sources, Mapping):
        raise ParameterError("sources must be names, a dict of names and positions, or a table.")
    if any(not str(name).strip() for name in sources):
        raise ParameterError("sources: one of the names is empty.")
    return {str(name).strip(): _position(str(name), place) for name, place in sources.items()}


def _position(name: str, place: Any) -> SkyCoord:
    """Position of one source, as a SkyCoord, a text or a pair."""
    try:
        found = parse_position(place) if isinstance(place, str) else place
        return sky_position(place if found is None else found)
    except ParameterError as error:
        raise ParameterError(f"sources: {printable(name)!r} has no position. {error}") from error


def _radius(radius: Any) -> u.Quantity:
    # a bare number may be meant in arcmin
    degrees = convert(as_quantity(radius, u.dimensionless_unscaled, "radius"), u.deg, "radius")
    if not degrees >= 0:
        raise ParameterError(f"radius={printable(radius)} must be an angle of 0 or more, as in 3*u.arcmin.")
    return degrees * u.deg


def _row_of(name: str, position: SkyCoord, table: Table, names: Sequence[str], radius: u.Quantity) -> int | None:
    """Row of a source that is there, or of the nearest unnamed detection within the radius."""
    known = [_cleaned(each) for each in names]
    if _cleaned(name) in known:
        return known.index(_cleaned(name))
    if not len(table):
        return None
    separations = positions(table).icrs.separation(position.icrs)
    unnamed = [row for row, each in enumerate(names) if each.upper().startswith("NEW")]
    near = [row for row in unnamed if separations[row] <= radius]
    return min(near, key=lambda row: separations[row]) if near else None


def _mark(table: Table, row: int, flag: int) -> None:
    """Have a source that is there already extracted."""
    if "FLAG" in table.colnames:
        table["FLAG"][row] = flag
    if "ISGRI_FLAG" in table.colnames and table["ISGRI_FLAG"][row] not in _USED:
        table["ISGRI_FLAG"][row] = CATALOG_VALUES["ISGRI_FLAG"]


def _new_row(table: Table, name: str, position: SkyCoord, flag: int) -> Table:
    """A row with a name and a position, as the service marks known sources; zeros elsewhere."""
    lon, lat = read_places(table).names
    here = position.transform_to(read_places(table).frame)
    values: dict[str, Any] = {**CATALOG_VALUES, "FLAG": flag, "src_names": name}
    values["meta_ID"] = max((int(value) for value in cells(table["meta_ID"]) if value is not None), default=-1) + 1
    for key, angle in ((lon, here.spherical.lon), (lat, here.spherical.lat), ("ERR_RAD", values["ERR_RAD"] * u.deg)):
        unit = table[key].unit if key in table.colnames else None
        values[key] = float(angle.to_value(unit or u.deg))
    row = Table()
    for column in table.columns.values():
        if isinstance(column, SkyCoord):
            row[column.info.name] = SkyCoord([position.transform_to(column.frame)])
        elif column.ndim == 1 and getattr(column, "dtype", None) is not None:
            empty = "" if column.dtype.kind in "US" else 0
            kind = "U" if column.dtype.kind in "US" else column.dtype
            row[column.info.name] = Column([values.get(column.info.name, empty)], dtype=kind, unit=column.unit)
    return row
