# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Spectra that come as tables of flux points: values at energies, frequencies or wavelengths, without a response."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, Table
from astropy.time import Time

from ..allowance import Allowance
from ..catalog import ascii_table
from ..errors import DecodingError, reading
from ..markup import show_rounded
from ..protocol import FITS_COLUMNS
from ..text import printable, transliterated
from ..units import standard_spelling
from .columnroles import AxisKind, Roles, find_roles, has_limits, limited
from .mergeable import mergeable
from .plaintable import as_fits_has_it, maybe_masked, numbers_of, plain_table, table_of_hdu

#: an axis of energies, or of what light of these energies has
SPECTRAL_AXIS = AxisKind(
    "e|en|ener|energy|energies|logenergy|f|freq|frequency|nu|wavelength|wave|lambda|lam|wl|spectralaxis",
    u.eV,
    tuple(u.spectral()),
)
#: keywords of a table of flux points for the parts of its columns
KEYWORDS = {
    "axis": "AXISCOL",
    "low": "LOCOL",
    "high": "HICOL",
    "value": "VALCOL",
    "error_low": "ERRLOCOL",
    "error_high": "ERRHICOL",
    "limit": "LIMCOL",
}
_COMMENTS = {
    "axis": "energy, frequency or wavelength",
    "low": "lower edge of the bin",
    "high": "upper edge of the bin",
    "value": "what was measured",
    "error_low": "error towards smaller values",
    "error_high": "error towards larger values",
    "limit": "whether the value is an upper limit",
}


@dataclass(frozen=True)
class FluxPoints:
    """A table with clean names and units, and which of its columns is what."""

    table: Table
    roles: Roles


def flux_points(data: Any, *, by_unit: bool = True) -> FluxPoints | None:
    """Read a table, or the first such one of an HDUList, as flux points; ``by_unit``: whatever the axis is called."""
    if isinstance(data, Table):
        tables = [data]
    elif isinstance(data, fits.HDUList):
        tables = [table_of_hdu(hdu) for hdu in data if isinstance(hdu, fits.BinTableHDU) and len(hdu.columns)]
    else:
        return None
    for table in tables:
        found = find_roles(plain_table(table), replace(SPECTRAL_AXIS, by_unit=by_unit))
        if found is not None:
            return FluxPoints(*found)
    return None


def named_points(points: FluxPoints, source: str, product: str) -> Table:
    """The table itself, with what its columns are in ``meta``, by the keywords of a header."""
    words = {keyword: getattr(points.roles, role) for role, keyword in KEYWORDS.items()}
    meta = {**points.table.meta, "SRC_NAME": source, "ORIGNAME": product, **words}
    return Table(points.table, meta={key: value for key, value in meta.items() if value != ""}, copy=False)


def points_of_hdu(hdu: fits.BinTableHDU) -> Table:
    """The same of an extension."""
    table = table_of_hdu(hdu)
    table.meta = {key: hdu.header[key] for key in ("SRC_NAME", "ORIGNAME", *KEYWORDS.values()) if key in hdu.header}
    return table


def flux_hdu(points: FluxPoints, allowance: Allowance) -> fits.BinTableHDU:
    """The table as an extension SPECTRUM, whose header says which column is what."""
    if len(points.table.colnames) > FITS_COLUMNS:
        raise DecodingError(
            f"it has {len(points.table.colnames)} columns, where {FITS_COLUMNS} are the most in FITS; "
            "query_product has it as a Table"
        )
    columns = {name: _for_fits(points.table[name]) for name in points.table.colnames}
    units = [column.unit for column in columns.values()]
    table, names = ascii_table(Table(columns, copy=False), allowance)
    for column in table.itercols():
        column.unit = None
    hdu = fits.BinTableHDU(table, name="SPECTRUM")
    for column, unit in zip(hdu.columns, units, strict=True):
        if unit is not None:
            # one that FITS does not have is written as it is spelled
            column.unit = standard_spelling(str(unit)) or transliterated(str(unit))
    for role, keyword in KEYWORDS.items():
        name = getattr(points.roles, role)
        if name:
            hdu.header[keyword] = (names[name], _COMMENTS[role])
    return hdu


def _for_fits(column: Any) -> Column:
    """A column as FITS has it: times as MJD, units without a factor, and no objects."""
    if isinstance(column, Time):
        return Column(column.mjd, unit=u.day)
    if column.dtype.kind == "O":
        return Column([str(value) for value in column])
    if isinstance(column.unit, u.CompositeUnit) and column.unit.scale != 1:
        unit = u.CompositeUnit(1, column.unit.bases, column.unit.powers)
        return type(column)(column.astype(float) * column.unit.scale, unit=unit)
    if column.dtype.kind == "b":  # it has no mask for flags, and one that is not known is not set
        return Column(np.ma.filled(column, False))
    return as_fits_has_it(column).copy(copy_data=False)


def is_flux_hdu(hdu: Any) -> bool:
    """Whether an extension is a spectrum of flux points."""
    return "VALCOL" in hdu.header and hdu.name == "SPECTRUM"


def find_flux_hdu(spectra: fits.HDUList, number: int) -> fits.BinTableHDU | None:
    """The extension of flux points with this EXTVER; None where the spectrum is one of channels."""
    return next((hdu for hdu in spectra if hdu.ver == number and is_flux_hdu(hdu)), None)


def flux_table(hdu: fits.BinTableHDU) -> Table:
    """Flux points of an extension in the form of `spectrum_table`; where one is an upper limit, it is the value."""
    with reading("flux points"):
        source = table_of_hdu(hdu)
        columns = {role: _named(source, hdu.header.get(keyword)) for role, keyword in KEYWORDS.items()}
        value = columns["value"]
        if value is None:
            raise DecodingError(f"its header names no column of values ({KEYWORDS['value']})")
        along = next((columns[role] for role in ("axis", "low") if columns[role] is not None), None)
        if along is None:
            raise DecodingError(f"its header names no axis ({KEYWORDS['axis']})")
        rows = {role: _numbers(columns[role], len(source), along.unit) for role in ("axis", "low", "high")}
        if columns["axis"] is None:  # the middle on a logarithmic scale
            with np.errstate(invalid="ignore", over="ignore"):
                rows["axis"] = np.sqrt(rows["low"]) * np.sqrt(rows["high"])
        table = Table()
        for name, role in (("energy", "axis"), ("e_min", "low"), ("e_max", "high")):
            table[name] = maybe_masked(rows[role], along.unit)
        flags = np.full(len(source), has_limits(value.name))
        if columns["limit"] is not None:
            flags = _flags(columns["limit"])
        values = limited(source, value.name, numbers_of(value), flags)
        table["value"] = maybe_masked(values, value.unit)
        for name in ("error_low", "error_high"):
            # those below are negative in some tables
            table[name] = maybe_masked(np.abs(_numbers(columns[name], len(source), value.unit)), value.unit)
        table["is_upper_limit"] = flags
        kept = ("SRC_NAME", "ORIGNAME", "AXISCOL", "VALCOL")
        table.meta = mergeable({key: hdu.header[key] for key in kept if key in hdu.header})
        formats = dict.fromkeys(("energy", "e_min", "e_max"), ".5g") | {"value": ".4g"}
        show_rounded(table, formats | dict.fromkeys(("error_low", "error_high"), ".3g"))
        return table


def _named(table: Table, name: Any) -> Column | None:
    if name is None:
        return None
    if name not in table.colnames:
        raise DecodingError(f"its header names a column {printable(name, limit=60)}, which it does not have")
    return table[name]


def _numbers(column: Column | None, rows: int, unit: Any) -> np.ndarray:
    return np.full(rows, np.nan) if column is None else numbers_of(column, unit)


def _flags(column: Column) -> np.ndarray:
    """Flags as truth values; they also come as 0 and 1, or as the numbers of limits, NaN where there is none."""
    return np.nan_to_num(np.asarray(column)).astype(bool)
