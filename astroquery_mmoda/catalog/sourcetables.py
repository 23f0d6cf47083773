# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Source lists: the service's dictionary <-> a `~astropy.table.Table` that can be filtered and sent back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from ..allowance import Allowance
from ..errors import DecodingError, ParameterError, reading
from ..text import in_hex, original, printable, transliterated, visible
from .sourcecolumns import FRAME_KEYS, angle_unit, cells

# what a list of an INTEGRAL image has, for a reply that has none
_USUAL_COLUMNS = {
    **{"meta_ID": "i8", "src_names": "U20", "significance": "f8", "ra": "f8", "dec": "f8"},
    **{"NEW_SOURCE": "i8", "ISGRI_FLAG": "i8", "FLAG": "i8", "ERR_RAD": "f8"},
}
_DTYPE = re.compile(r"[<>=|]?(?:([SUa])(\d+)|([iuf])([1248])|b1|\?)|bool|str|(?:u?int|float)(?:8|16|32|64)?")
_MOST_TEXT = 30_000_000
_MOST_COLUMNS = 999  # a table of FITS has no more
_COPIES = 3  # as astropy makes them of a table that becomes FITS
_TEXT = 60  # bytes of a text beside its letters, as Python has it
_LONGEST_VALUE = 1000
_LONGEST_NAME = 60  # of a FITS column, so that a number can still be added


# ---- from the service


def read_catalog(entry: Any, *, what: str = "the catalogue") -> Table:
    """Turn the service's catalogue (``products.catalog`` of a reply) into a table with units and frame."""
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
    table = Table(
        [_read_column(name, values, dtypes.get(name), what) for name, values in zip(names, columns, strict=True)],
        copy=False,
    )
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


def _read_column(name: str, values: Sequence[Any], dtype: str | None, what: str) -> Column:
    # most columns have none missing, which `in` finds much faster than looking at each value
    missing = [value is None for value in values] if None in values else None
    try:
        array = _typed_array(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise DecodingError(
            f"Column {printable(name)!r} of {what} does not hold {printable(dtype)}: {printable(error, limit=200)}."
        ) from error
    if missing and array.dtype.kind != "f":
        return MaskedColumn(array, name=name, mask=missing)
    return Column(array, name=name)


def _typed_array(values: Sequence[Any], dtype: str | None) -> np.ndarray:
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
        first, last = (angle_unit(name) or u.deg for name in (names[0], names[-1]))
    except ValueError as error:
        raise DecodingError(f"The unit of the coordinates in {what}: {error}.") from error
    return [first, last]


# ---- into a FITS file, and out of it


def to_hdu(table: Table, allowance: Allowance | None = None) -> fits.BinTableHDU:
    """Source list as a binary table named CATALOG; ``SRCNAME8`` keeps names that are not ASCII, in hexadecimal."""
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
    for key in FRAME_KEYS:
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
