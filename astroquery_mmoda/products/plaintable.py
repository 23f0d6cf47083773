# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Tables of workflows, whose columns have headings such as ``Flux[TeV/cm2s]``, as tables with names and units."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time

from ..errors import DecodingError
from ..units import Heading, check_units, read_heading, read_unit

# names of columns that may have times, and what MJD of any mission are in
_TIME_NAME = re.compile(r"t($|[_\W0-9])|t(mean|mid|min|max|start|stop|ref)|.*(time|date|mjd|jd|start|stop|epoch)", re.I)
# formats of times that are texts, and numbers
_TEXTS, _NUMBERS = ("iso", "isot", "fits"), ("mjd", "jd", "unix", "gps", "cxcsec", "decimalyear", "jyear")


def plain_table(data: Any) -> Table:
    """
    Make a table of names and units of one whose headings have both; its numbers are shared.

    A heading that can't be read, or would give a name that is in use, stays. Of an HDUList, the first table is taken.
    """
    table = data if isinstance(data, Table) else _table_of(data)
    check_units(name.partition("[")[2] for name in table.colnames)
    headings = [read_heading(name) for name in table.colnames]
    count = Counter(heading.name for heading in headings)
    columns = []
    for name, heading in zip(table.colnames, headings, strict=True):
        read = heading if count[heading.name] == 1 else Heading(name)
        columns.append(_plain_column(table[name], name, read))
    return Table(columns, meta=dict(table.meta), copy=False)


def _plain_column(column: Any, name: str, heading: Heading) -> Any:
    stated = dict(getattr(column, "meta", None) or {})
    times = None
    if {"format", "scale"} <= set(stated):  # as astropy wrote them
        times = _times(column, heading.name, str(stated["format"]), str(stated["scale"]))
    elif heading.time_format and _TIME_NAME.match(heading.name):
        # workflows mean UTC without saying it
        times = _times(column, heading.name, heading.time_format, "utc")
        if times is not None:
            times.info.meta = {"assumed": "scale"}
    if times is not None:
        return times
    if heading.time_format:
        return type(column)(column, name=name, copy=False)
    unit = column.unit  # before that of the heading
    if unit is None or isinstance(unit, u.UnrecognizedUnit):
        unit = heading.unit or unit
    return type(column)(column, name=heading.name, unit=unit, copy=False)


def _times(column: Column, name: str, form: str, scale: str) -> Time | None:
    """Times in a format and scale; None where the column can't be these."""
    is_text = form in _TEXTS
    if column.ndim != 1 or column.dtype.kind not in ("U" if is_text else "fiu") or form not in {*_TEXTS, *_NUMBERS}:
        return None
    # a masked time is one that is not a number
    values = column if is_text else numbers_of(column)
    try:
        times = Time(values, format=form, scale=scale)
    except ValueError:
        return None
    times.info.name, times.info.description = name, column.info.description
    return times


def _table_of(data: Any) -> Table:
    """The first table of an HDUList, its cards as ``meta``."""
    tables = [hdu for hdu in data if isinstance(hdu, fits.BinTableHDU)] if isinstance(data, fits.HDUList) else []
    if not tables:
        raise DecodingError("it has no table")
    return table_of_hdu(tables[0])


def table_of_hdu(hdu: fits.BinTableHDU) -> Table:
    """A table with the columns of an HDU, units as they can be read, and its cards as ``meta``."""
    columns = []
    for column in hdu.columns:
        values = np.asarray(hdu.data[column.name])
        if values.dtype.kind == "S":
            values = np.char.decode(values, "ascii", "replace")
        unit = read_unit(column.unit) if column.unit else None
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        is_null = values == column.null if values.dtype.kind in "iu" and column.null is not None else np.False_
        made = MaskedColumn(values, column.name, mask=is_null) if np.any(is_null) else Column(values, column.name)
        made.unit = unit
        columns.append(made)
    cards = {card.keyword: card.value for card in hdu.header.cards if card.keyword not in ("COMMENT", "HISTORY", "")}
    return Table(columns, meta=cards, copy=False)


# ---- columns of numbers


def numbers_of(column: Any, unit: u.UnitBase | None = None) -> np.ndarray:
    """Plain numbers of a column, in its unit or another, NaN where it is masked."""
    values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    return values * column.unit.to(unit) if unit and column.unit and column.unit != unit else values


def as_fits_has_it(column: Column) -> Column:
    """A column of a type that FITS has, else the same one."""
    # neither numbers of 16 bits nor integers of 8 with a sign
    new = {"f2": "f4", "i1": "i2"}.get(column.dtype.str[1:])
    return column.astype(new) if new else column


def maybe_masked(values: np.ndarray, unit: u.UnitBase | None, *, name: str | None = None) -> Column:
    """Column of numbers, of which NaN are masked."""
    unknown = np.isnan(values)
    return MaskedColumn(values, name, mask=unknown, unit=unit) if unknown.any() else Column(values, name, unit=unit)
