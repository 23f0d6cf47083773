# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Source lists for the service: from what users have to the form that its software takes; and adding sources."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, Table
from astroquery.exceptions import InputWarning

from ..catalog import Positions, angles, cells, read_catalog, read_positions, source_names, table_of
from ..config import conf
from ..errors import DecodingError, ParameterError, valid, warn
from ..files import read_plain
from ..instruments import CATALOG_VALUES, MOST_SOURCES, USED_FLAGS
from ..protocol import NAME_COLUMNS
from ..text import Pasted, listed, printable, transliterated
from .positions import designation, parse_position, sky_position
from .values import as_quantity, convert

_Array = np.ndarray[Any, Any]


def to_catalog_text(catalog: Any, instrument: str = "") -> str:
    """The service's JSON text of what a user gives as ``catalog=``, for an instrument by the service's name."""
    form = to_service(table_given(catalog), instrument)
    row = form["cat_column_names"].index("src_names")
    form["cat_column_list"][row] = _in_ascii(form["cat_column_list"][row])
    return json.dumps(form)


# ---- what may be given


def table_given(catalog: Any) -> Table:
    """The table of what a user gives as ``catalog=``, apart from names that have to be resolved."""
    if isinstance(catalog, (str, Path)):
        catalog = _from_text_or_file(catalog)
    if isinstance(catalog, Mapping):
        try:
            # numbers as they are written, whatever precision the list once had
            table = read_catalog({**catalog, "cat_column_descr": None}, what="catalog=")
        except DecodingError as error:
            raise ParameterError(f"{error} (The service's form is that of products.catalog in a reply.)") from error
        if source_names(table) is None:
            table.meta.clear()  # the service's form has names; a table of the service may lack them
        return table
    if not isinstance(catalog, (Table, fits.HDUList)):
        raise ParameterError(
            "catalog= must be a Table of sources, an image with a CATALOG, a dict in the service's form, a list of "
            f"names or a path; not {printable(type(catalog).__name__)}."
        )
    return table_of(catalog)


def _from_text_or_file(given: str | Path) -> Table | Mapping[str, Any]:
    text = str(given).strip()
    if not text:
        raise ParameterError("catalog= is an empty text. Leave it out to let the service choose.")
    content = b""
    if not text.startswith("{"):
        if isinstance(given, Pasted):
            raise ParameterError(
                f"catalog={printable(given)!r} came from a snippet, a link or a record, which never name files to be "
                "read. If you want this file, pass it explicitly: catalog=Path(...)."
            )
        with valid("catalog", given, "file or JSON", "Names of sources go into a list: catalog=['Crab']."):
            content = read_plain(Path(given).expanduser(), limit=int(conf.max_product_size), links=True)
        text = content.decode("utf-8-sig", "replace")
    with valid("catalog", given, "ECSV or FITS table, or text with the service's JSON"):
        if content.startswith((b"SIMPLE  =", b"\x1f\x8b")):
            with fits.open(BytesIO(content)) as hdulist:
                return Table.read(hdulist["CATALOG" if "CATALOG" in hdulist else 1])
        is_json = text.lstrip().startswith("{")
        return json.loads(text) if is_json else Table.read(text.splitlines(), format="ascii.ecsv")


# ---- a table in the service's form


def to_service(table: Table, instrument: str = "") -> dict[str, Any]:
    """A table of sources as the service's dictionary: in degrees, whatever unit is named, and without nulls."""
    # without these columns and values, which the service's own tools send, INTEGRAL's software uses no source, and its
    # plugin fails at nulls
    if len(table) == 0:
        raise ParameterError("catalog= has no sources in it. Leave it out to let the service choose.")
    table = table_of(table)
    names, places = named_positions(table)
    columns = _sent_columns(table, places, names)
    if instrument in MOST_SOURCES:
        for name, value in CATALOG_VALUES.items():
            columns.setdefault(name, np.full(len(table), value))
        _warn_of_unused(columns["ISGRI_FLAG"], names, instrument)
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


def named_positions(table: Table) -> tuple[list[str], Positions]:
    """Names and positions of sources; `ParameterError` names a row that lacks one."""
    names, places = source_names(table), read_positions(table)
    if names is None and "LON_NAME" in table.meta:  # a list of the service, which may have no names
        names = [designation(place) if np.isfinite(place.ra) else "nowhere" for place in places.as_sky_coord().icrs]
        warn(
            f"catalog= has no column with names ({', '.join(NAME_COLUMNS)}): its sources are called by their "
            f"positions, such as {listed(names, most=2)}. Rename the column that has them, if there is one.",
            InputWarning,
        )
    if names is None:
        raise ParameterError(
            f"catalog= needs a column with the names of the sources (one of {', '.join(NAME_COLUMNS)}); it has "
            f"{listed(table.colnames)}."
        )
    for row, (name, lon, lat) in enumerate(zip(names, places.lon.tolist(), places.lat.tolist(), strict=True)):
        if not name:
            raise ParameterError(f"catalog=: row {row} (at {lon:g}, {lat:g} deg) has no name. Give it one.")
        if not (abs(lon) <= 360 and abs(lat) <= 90):
            raise ParameterError(
                f"catalog=: {_rows_of([row], names)} has no position on the sky, but ({lon:g}, {lat:g}) deg. Check the "
                "units of the coordinates (columns without unit are read in degrees), or leave it out."
            )
    return names, places


def _sent_columns(table: Table, places: Positions, names: Sequence[str]) -> dict[str, _Array]:
    """All that is sent, by the service's names; a list of the service keeps its columns and their order."""
    by_lower = {name.lower(): name for name in reversed(table.colnames)}
    lon, lat = places.names
    columns = {
        "meta_ID": _identifiers(table),
        "src_names": np.array(names),
        "significance": np.zeros(len(table)),
        lon: np.where(places.lon < 0, places.lon + 360, places.lon),
        lat: places.lat,
    }
    used: set[str | None] = set(columns)
    for name, value in {"significance": 0, **CATALOG_VALUES}.items():
        # in small letters too where it can mean nothing else
        given = name if name in table.colnames or name == "FLAG" else by_lower.get(name.lower())
        if given in table.colnames:
            used.add(given)
            columns[name] = _numbers_of(table[given], value)
    if not _is_of_service(table):
        return columns  # a table of other origin has many columns that mean nothing to the service
    left_out = []
    for name in table.colnames:
        column = table[name]
        if name in used:
            continue
        plain = isinstance(column, (Column, u.Quantity)) and column.ndim == 1 and column.dtype.kind in "biufUS"
        if plain and None not in (values := cells(column)):
            columns[name] = np.array(values)
        else:
            left_out.append(name)
    if left_out:
        warn(
            f"catalog=: left out, since the service can't take their values: columns {listed(left_out)}.", InputWarning
        )
    order = [name for name in columns if name not in table.colnames] + table.colnames
    return {name: columns[name] for name in order if name in columns}


def _is_of_service(table: Any) -> bool:
    return isinstance(table, Table) and {"meta_ID", "src_names"} <= set(table.colnames)


def _identifiers(table: Table) -> _Array:
    """meta_ID, by which the service picks rows: counted anew where it does not name one row each."""
    given = cells(table["meta_ID"]) if "meta_ID" in table.colnames else []
    whole = all(isinstance(value, (int, float)) and value == int(value) for value in given)
    return np.array(given, dtype=int) if whole and len(set(given)) == len(table) else np.arange(len(table))


def _numbers_of(column: Any, value: float) -> _Array:
    """Radii in degrees, significances, or whole flags of a column; ``value`` where one is missing."""
    name = column.info.name
    if name.upper() == "ERR_RAD":
        degrees = angles(column).value
        return np.where(np.isfinite(degrees), degrees, value)
    flags = name.lower() != "significance"
    with valid("catalog", name, f"column of {'whole ' if flags else ''}numbers", f"Remove it to have {value:g} sent."):
        numbers = np.array([value if cell in (None, "") else cell for cell in cells(column)], dtype=float)
        if flags and (numbers % 1).any():
            raise ValueError("fractions")
    return numbers.astype(int) if flags else numbers


def _warn_of_unused(flags: _Array, names: Sequence[str], instrument: str) -> None:
    """Warn of what INTEGRAL's software leaves out, or takes for two sources."""
    plain, most = list(map(_same_name, names)), MOST_SOURCES[instrument]
    if len(names) > most:
        warn(f"catalog= has {len(names)} sources; the software of {instrument} takes at most {most}.", InputWarning)
    unused = np.flatnonzero(~np.isin(flags, USED_FLAGS)).tolist()
    doubles = [row for row, name in enumerate(plain) if plain.index(name) != row]
    nameless = [row for row, name in enumerate(plain) if name == "newsource" and instrument == "jemx"]
    problems = (
        (unused, "INTEGRAL's software leaves out sources with an ISGRI_FLAG other than 1 or 2; set it to 2"),
        (nameless, "JEM-X does not extract sources called 'NEW SOURCE'; rename them"),
        (doubles, "a source in two rows gets a share of its counts in each; names repeat earlier ones"),
    )
    for rows, problem in problems:
        if rows:
            warn(f"catalog=: {problem}: {_rows_of(rows, names)}.", InputWarning)


def _same_name(name: str) -> str:
    """Name of a source without blanks and capitals, which do not distinguish sources."""
    return "".join(name.split()).casefold()


def _rows_of(rows: Iterable[int], names: Sequence[str]) -> str:
    return listed([f"row {row} ({printable(names[row])!r})" for row in rows], most=5)


def _in_ascii(names: list[Any]) -> list[Any]:
    """Names of sources in the only letters that the service can take; results are found by either spelling."""
    spelled = {name: transliterated(name) for name in names}
    foreign = [name for name in spelled if not name.isascii()]
    if any("?" in spelled[name] for name in foreign) or len(set(spelled.values())) < len(spelled):
        raise ParameterError(
            f"catalog=: the source name {printable(foreign[0])!r} is not plain ASCII, at which the service fails, and "
            "has no spelling of its own in it. Rename it."
        )
    if foreign:
        shown = listed([f"{printable(name)!r} is sent as {spelled[name]!r}" for name in foreign], most=5)
        warn(f"MMODA: the service takes names of sources in ASCII only; {shown}.", InputWarning)
    return list(map(spelled.__getitem__, names))


# ---- objects of interest


def add_sources(catalog: Table, sources: Mapping[str, SkyCoord] | Table, *, flag: int, radius: u.Quantity) -> Table:
    """Add sources, or give their names to unnamed detections close by; see ``Mmoda.add_sources``."""
    if not _is_of_service(catalog):
        raise ParameterError("add_sources needs a table as query_catalog returns it.")
    wanted = _positions_to_add(sources)
    # a bare number may be meant in arcmin
    degrees = convert(as_quantity(radius, u.dimensionless_unscaled, "radius"), u.deg, "radius")
    if not degrees >= 0:
        raise ParameterError(f"radius={printable(radius)} must be an angle of 0 or more, as in 3*u.arcmin.")
    if isinstance(flag, bool) or not isinstance(flag, Integral):
        raise ParameterError(f"flag={printable(flag)!r} must be a whole number, such as 1 for objects of interest.")
    # in the service's form all coordinates are in degrees
    table = read_catalog(to_service(catalog)) if len(catalog) else catalog.copy()
    names = source_names(table) or []
    for name, position in wanted.items():
        row = _row_of(name, position, table, names, degrees * u.deg)
        if row is None:
            names.append(name)
            table.add_row(_new_row(table, name, position, flag))
            continue
        names[row] = name
        if "FLAG" in table.colnames:
            table["FLAG"][row] = flag
        if "ISGRI_FLAG" in table.colnames and table["ISGRI_FLAG"][row] not in USED_FLAGS:
            table["ISGRI_FLAG"][row] = CATALOG_VALUES["ISGRI_FLAG"]
    # a column of names is as wide as its longest
    table["src_names"] = names
    return table


def _positions_to_add(sources: Any) -> dict[str, SkyCoord]:
    if isinstance(sources, Table):
        names, places = named_positions(table_of(sources))
        return dict(zip(names, places.as_sky_coord(), strict=True))
    if not isinstance(sources, Mapping) or not all(str(name).strip() for name in sources):
        raise ParameterError("sources must be names, a dict of names and positions, or a table.")
    wanted: dict[str, SkyCoord] = {}
    for name, place in sources.items():
        try:
            found = parse_position(place) if isinstance(place, str) else place
            wanted[str(name).strip()] = sky_position(place if found is None else found)
        except ParameterError as error:
            raise ParameterError(f"sources: {printable(name)!r} has no position. {error}") from error
    return wanted


def _row_of(name: str, position: SkyCoord, table: Table, names: Sequence[str], radius: u.Quantity) -> int | None:
    """Row of a known source, or of the nearest unnamed detection within the radius."""
    known = [_same_name(each) for each in names]
    if _same_name(name) in known:
        return known.index(_same_name(name))
    if not names:
        return None
    separations = read_positions(table).as_sky_coord().icrs.separation(position.icrs)
    near = [row for row, each in enumerate(names) if each.upper().startswith("NEW") and separations[row] <= radius]
    return min(near, key=lambda row: separations[row], default=None)


def _new_row(table: Table, name: str, position: SkyCoord, flag: int) -> dict[str, Any]:
    """Values of a row with a name and a position, as the service marks known sources; the others become zero."""
    here = position.transform_to(table.meta["FRAME"]).spherical
    values = {
        **{**CATALOG_VALUES, "FLAG": flag, "src_names": name, "meta_ID": max(table["meta_ID"], default=-1) + 1},
        **{table.meta["LON_NAME"]: round(here.lon.deg, 9), table.meta["LAT_NAME"]: round(here.lat.deg, 9)},
    }
    return {key: value for key, value in values.items() if key in table.colnames}
