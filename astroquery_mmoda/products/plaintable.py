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
from ..text import printable
from ..units import Heading, read_heading, read_unit

# names of columns that may have times, and what MJD of any mission are in
_TIME_NAME = re.compile(r"t($|[_\W0-9])|t(mean|mid|min|max|start|stop|ref)|.*(time|date|mjd|jd|start|stop|epoch)", re.I)


def plain_table(data: Any) -> Table:
    """
    Make a table of names and units of one whose headings have both; its numbers are shared.

    A unit of the column's own counts before that of the heading. A heading that can't be read, or would give a name
    that is in use, stays. Of an HDUList, the first table is taken.
    """
    table = data if isinstance(data, Table) else _table_of(data)
    headings = [read_heading(name) for name in table.colnames]
    count = Counter(heading.name for heading in headings)
    columns = []
    for name, heading in zip(table.colnames, headings, strict=True):
        read = heading if count[heading.name] == 1 else Heading(name)
        columns.append(_plain_column(table[name], name, read))
    return Table(columns, meta=dict(table.meta), copy=False)


def _plain_column(column: Any, name: str, heading: Heading) -> Any:
    if heading.time_format:
        times = _times(column, heading)
        return times if times is not None else _renamed(column, name, column.unit)
    unit = column.unit
    if unit is None or isinstance(unit, u.UnrecognizedUnit):
        unit = heading.unit or unit
    return _renamed(column, heading.name, unit)


def _renamed(column: Column, name: str, unit: Any) -> Column:
    found = type(column)(column, name=name, unit=unit, copy=False)
    found.info.description, found.info.meta = column.info.description, column.info.meta
    return found


def _times(column: Column, heading: Heading) -> Time | None:
    """Times in the format of a heading, in UTC, which workflows mean without saying it; None where it is a mistake."""
    if not _TIME_NAME.match(heading.name) or column.ndim != 1:
        return None
    is_text = heading.time_format in ("iso", "isot")
    if column.dtype.kind not in ("U" if is_text else "fiu"):
        return None
    values = column
    if not is_text:
        # a masked time is one that is not a number
        values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    try:
        times = Time(values, format=heading.time_format, scale="utc")
    except ValueError:
        return None
    times.info.name, times.info.description = heading.name, column.info.description
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
        columns.append(Column(values.astype(values.dtype.newbyteorder("="), copy=False), name=column.name, unit=unit))
    cards = {card.keyword: card.value for card in hdu.header.cards if card.keyword not in ("COMMENT", "HISTORY", "")}
    return Table(columns, meta=cards, copy=False)
