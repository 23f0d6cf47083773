# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Source lists for the service: what users have, in the form that its software takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import InputWarning

from ..catalog import (
    Positions,
    angles,
    cells,
    coordinate_columns,
    read_catalog,
    read_positions,
    source_names,
    table_of,
)
from ..errors import DecodingError, ParameterError, warn
from ..instruments import CATALOG_VALUES, MOST_SOURCES, USED_FLAGS
from ..protocol import NAME_COLUMNS
from ..text import Pasted, listed, printable, transliterated

_Array = np.ndarray[Any, Any]
_NOT_EXTRACTED_BY_JEMX = "NEW SOURCE"
_SAME_PLACE = 30 * u.arcsec
_MOST_COMPARED = 1000


def to_catalog_text(catalog: Any, instrument: str = "") -> str:
    """The service's JSON text of what a user gives as ``catalog=``, for an instrument by the service's name."""
    table, others = _table_given(catalog)
    form = to_service(table, instrument)
    row = form["cat_column_names"].index("src_names")
    form["cat_column_list"][row] = _in_ascii(form["cat_column_list"][row])
    try:
        return json.dumps({**others, **form}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"catalog= can't be written as JSON: {printable(error)}.") from error


# ---- what may be given


def _table_given(catalog: Any) -> tuple[Table, dict[str, Any]]:
    """The table in whatever was given, and what the service's form has beside it."""
    if isinstance(catalog, (str, Path)):
        text = str(catalog).lstrip()
        if not text:
            raise ParameterError("catalog= is an empty text. Leave it out to let the service choose.")
        catalog = _from_json(text, "catalog=") if text.startswith("{") else _from_file(catalog)
    if isinstance(catalog, Mapping):
        try:
            # numbers as they are written, whatever precision the list once had
            table = read_catalog({**catalog, "cat_column_descr": None}, what="catalog=")
        except DecodingError as error:
            raise ParameterError(
                f"{error} (The service's form has cat_column_names, cat_column_list, cat_frame, cat_coord_units, "
                "cat_lon_name and cat_lat_name, as in products.catalog of a reply.)"
            ) from error
        return table, {name: value for name, value in catalog.items() if not str(name).startswith("cat_c")}
    if isinstance(catalog, (list, tuple)) and not catalog:
        catalog = Table()
    if not isinstance(catalog, (Table, fits.HDUList)):
        raise ParameterError(
            "catalog= must be a Table of sources, an image with a CATALOG, a dict in the service's form, a list of "
            f"names or a path; not {printable(type(catalog).__name__)}."
        )
    return table_of(catalog), {}


def _from_json(text: str, what: str) -> Mapping[str, Any]:
    try:
        form = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{what} is not valid JSON: {printable(error)}.") from error
    if not isinstance(form, Mapping):
        raise ParameterError(f"{what} must be a JSON object with the service's form of a catalogue.")
    return form


def _from_file(given: str | Path) -> Table | Mapping[str, Any]:
    what = f"catalog={printable(given, limit=100)!r}"
    if isinstance(given, Pasted):
        raise ParameterError(
            f"{what} came from a snippet, a link or a record, which never name files to be read. If you want this "
            "file, give it yourself: catalog=Path(...)."
        )
    path = Path(given)
    try:
        path = path.expanduser()
        exists = path.is_file()
    except (OSError, RuntimeError):  # longer than any path, or the home of nobody
        exists = False
    if not exists:
        raise ParameterError(
            f"{what} is neither a file nor JSON. Names of sources go into a list: "
            f"catalog=[{printable(given, limit=100)!r}]."
        )
    try:
        with path.open("rb") as file:
            start = file.read(512)
        if start.startswith((b"SIMPLE  =", b"\x1f\x8b")):
            with fits.open(path) as hdulist:
                return Table.read(hdulist["CATALOG" if "CATALOG" in hdulist else 1])
        if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return _from_json(path.read_text("utf-8-sig"), what)
        return Table.read(path, format="ascii.ecsv")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ParameterError(
            f"{what} is not an ECSV or FITS table, nor a text with the service's JSON: {printable(error)}."
        ) from error


# ---- a table in the service's form


def to_service(table: Table, instrument: str = "") -> dict[str, Any]:
    """A table of sources as the service's dictionary: in degrees, whatever unit is named, and without nulls."""
    # without these columns and values, which the service's own tools send, INTEGRAL's software uses no source, and its
    # plugin fails at nulls
    if len(table) == 0:
        raise ParameterError("catalog= has no sources in it. Leave it out to let the service choose.")
    table = table_of(table)
    names, positions = named_positions(table)
    columns = _sent_columns(table, positions, names)
    if instrument in MOST_SOURCES:
        for name, value in CATALOG_VALUES.items():
            columns.setdefault(name, np.full(len(table), value))
        _warn_of_unused(columns, names, instrument)
        _warn_of_doubles(positions, names)
    lon, lat = positions.names
    return {
        "cat_frame": positions.frame,
        "cat_coord_units": "deg",
        "cat_column_list": [column.tolist() for column in columns.values()],
        "cat_column_names": list(columns),
        "cat_column_descr": [[name, str(column.dtype.newbyteorder("<").str)] for name, column in columns.items()],
        "cat_lat_name": lat,
        "cat_lon_name": lon,
    }


def named_positions(table: Table) -> tuple[list[str], Positions]:
    """Names and positions of sources; `ParameterError` names a row that lacks one."""
    names, positions = source_names(table), read_positions(table)
    if names is None:
        raise ParameterError(
            f"catalog= needs a column with the names of the sources (one of {', '.join(NAME_COLUMNS)}); it has "
            f"{listed(table.colnames)}."
        )
    on_sky = np.isfinite(positions.lon) & (np.abs(positions.lon) <= 360) & (np.abs(positions.lat) <= 90)
    for row, (name, lon, lat) in enumerate(zip(names, positions.lon, positions.lat, strict=True)):
        if not name:
            raise ParameterError(
                f"catalog=: row {row} (at {lon:g}, {lat:g} deg) has no name. Give it one, or leave it out."
            )
        if not on_sky[row]:
            raise ParameterError(
                f"catalog=: {_rows_of([row], names)} has no position on the sky, but ({lon:g}, {lat:g}) deg. Check the "
                "units of the coordinates (columns without unit are read in degrees), or leave it out."
            )
    return names, positions


def _sent_columns(table: Table, positions: Positions, names: Sequence[str]) -> dict[str, _Array]:
    """All that is sent, by the service's names; a list of the service keeps its columns and their order."""
    lon, lat = positions.names
    made = {
        "meta_ID": _identifiers(table),
        "src_names": np.array(names),
        "significance": _known_significances(table),
        lon: np.where(positions.lon < 0, positions.lon + 360, positions.lon),
        lat: positions.lat,
    }
    used = set(made)
    for name, value in CATALOG_VALUES.items():
        # in small letters too where it can mean nothing else
        same = [each for each in table.colnames if each == name or (each.upper() == name and name != "FLAG")]
        if same:
            used.add(same[0])
            made[name] = _radii_in_degrees(table[same[0]]) if name == "ERR_RAD" else _whole_flags(table[same[0]], value)
    if coordinate_columns(table) is None or "src_names" not in table.colnames:
        return made  # a table of other origin has many columns that mean nothing to the service
    others = {name: _further_column(table[name]) for name in table.colnames if name not in used}
    left_out = [name for name, column in others.items() if column is None]
    if left_out:
        warn(
            f"catalog=: left out, since they have gaps or values that the service can't take: columns "
            f"{listed(left_out)}.",
            InputWarning,
        )
    everything = {**made, **{name: column for name, column in others.items() if column is not None}}
    order = dict.fromkeys([name for name in made if name not in table.colnames] + table.colnames)
    return {name: everything[name] for name in order if name in everything}


def _identifiers(table: Table) -> _Array:
    """meta_ID, by which the service picks rows: counted anew where it does not name one row each."""
    given = cells(table["meta_ID"]) if "meta_ID" in table.colnames else []
    whole = all(isinstance(value, (int, float)) and value == int(value) for value in given)
    if not whole or len(set(given)) < len(table):
        return np.arange(len(table))
    return np.array([int(value) for value in given])


def _known_significances(table: Table) -> _Array:
    name = next((name for name in table.colnames if name.lower() == "significance"), None)
    if name is None:
        return np.zeros(len(table))
    column = table[name]
    if column.dtype.kind not in "biuf" or column.ndim != 1:
        raise ParameterError(f"catalog=: the column {printable(name)!r} must hold numbers; rename it.")
    return np.array([cell or 0 for cell in cells(column)], dtype=column.dtype)


def _whole_flags(column: Any, value: float) -> _Array:
    given = cells(column) if column.ndim == 1 else ["?"]
    try:
        numbers = [int(value if flag in (None, "") else flag) for flag in given]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or any(isinstance(flag, float) and flag != int(flag) for flag in given):
        raise ParameterError(
            f"catalog=: the column {printable(column.info.name)!r} must hold whole numbers, which tell INTEGRAL's "
            f"software what to do with a source. Rename or remove it to have {value:g} sent."
        )
    return np.array(numbers)


def _radii_in_degrees(column: Any) -> _Array:
    """Degrees; those of a list of the service have no unit where it was lost."""
    degrees: _Array = angles(column).value
    return np.where(np.isfinite(degrees), degrees, CATALOG_VALUES["ERR_RAD"])


def _further_column(column: Any) -> _Array | None:
    """Values of a further column; None if the service can't take them."""
    kind = getattr(getattr(column, "dtype", None), "kind", "")
    if getattr(column, "ndim", 0) != 1 or not kind or kind not in "biufUSO" or isinstance(column, SkyCoord):
        return None
    values = cells(column)
    if kind in "USO":
        texts = all(value is None or isinstance(value, str) for value in values)
        return np.array([value or "" for value in values]) if texts else None
    return None if None in values else np.array(values, dtype=column.dtype)


# ---- what INTEGRAL's software makes of it


def _warn_of_unused(columns: Mapping[str, _Array], names: Sequence[str], instrument: str) -> None:
    unused = np.flatnonzero(~np.isin(columns["ISGRI_FLAG"], USED_FLAGS))
    if unused.size:
        warn(
            f"catalog=: INTEGRAL's software uses only sources with an ISGRI_FLAG of 1 or 2, and leaves out "
            f"{_rows_of(unused, names)}. Set the flag to 2 to have them extracted.",
            InputWarning,
        )
    if len(names) > MOST_SOURCES[instrument]:
        warn(
            f"catalog= has {len(names)} sources; the software of {instrument} takes at most "
            f"{MOST_SOURCES[instrument]}. Keep those that are bright, or that you want.",
            InputWarning,
        )
    nameless = [row for row, name in enumerate(names) if " ".join(name.upper().split()) == _NOT_EXTRACTED_BY_JEMX]
    if nameless and instrument == "jemx":
        warn(
            f"catalog=: JEM-X does not extract sources called 'NEW SOURCE': {_rows_of(nameless, names)}. Rename them.",
            InputWarning,
        )


def _warn_of_doubles(positions: Positions, names: Sequence[str]) -> None:
    """One source in two rows: a coded mask shares its counts out between them."""
    seen: dict[str, int] = {}
    doubles = [row for row, name in enumerate(names) if seen.setdefault(same_name(name), row) != row]
    if doubles:
        warn(
            f"catalog=: names repeat earlier ones in {_rows_of(doubles, names)}. A source in two rows gets a "
            "share of its counts in each: keep one row per source, and give each a name of its own.",
            InputWarning,
        )
    if len(names) > _MOST_COMPARED:
        return
    sky = positions.as_sky_coord()
    pairs = np.argwhere(np.triu(sky[:, np.newaxis].separation(sky) < _SAME_PLACE, k=1))
    close = [pair for pair in pairs.tolist() if pair[1] not in doubles]
    if close:
        shown = "; ".join(_rows_of(pair, names) for pair in close[:3]) + ("; ..." if len(close) > 3 else "")
        warn(
            f"catalog=: these are less than 30 arcsec apart, which a coded mask can't separate: {shown}. Keep one row "
            "per source.",
            InputWarning,
        )


def same_name(name: str) -> str:
    """Name of a source without blanks and capitals, which do not distinguish sources."""
    return "".join(name.split()).casefold()


def _rows_of(rows: Iterable[Any], names: Sequence[str]) -> str:
    numbers = list(rows)
    first = ", ".join(f"row {row} ({printable(names[row])!r})" for row in numbers[:5])
    return first + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")


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
        shown = ", ".join(f"{printable(name)!r} is sent as {spelled[name]!r}" for name in foreign[:5])
        more = f", and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        warn(f"MMODA: the service takes names of sources in ASCII only; {shown}{more}.", InputWarning)
    return [spelled[name] if name in foreign else name for name in names]
