# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Light curves as astropy's time series. The table that ``query_lightcurve`` returns stays as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time
from astroquery.exceptions import CorruptDataWarning

from ...errors import ParameterError, reading, warn
from ...text import listed
from ..curvetable import FIXED_COLUMNS
from ..lightcurve import POSITIONS
from ..plaintable import numbers_of
from ..sources import match_source, same_source

if TYPE_CHECKING:
    from astropy.timeseries import BinnedTimeSeries, TimeSeries


def to_timeseries(table: Table, source: str | None = None) -> BinnedTimeSeries | TimeSeries:
    """
    Make an astropy time series of one source's light curve.

    Parameters
    ----------
    table : Table
        As returned by ``query_lightcurve``.
    source : str, optional
        Name of the source (case and blanks ignored), or of a product where a source has several light curves; can be
        left out where there is only one.

    Returns
    -------
    BinnedTimeSeries or TimeSeries
        Binned where the widths of all bins are known: ``time_bin_start`` and ``time_bin_size`` (s); else with ``time``,
        and the widths as a column ``time_bin`` where some are known. Times are in the scale of the table (TT, or TDB).
        Columns with units become quantities; bins without data stay masked, and are NaN for tools that know no masks.

    Raises
    ------
    ParameterError
        There is no such source, or several and none was named.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, to_timeseries
    >>> curve = Mmoda.query_lightcurve("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58195.5),
    ...                                time_bin="1000 s")
    >>> series = to_timeseries(curve, "Ser X-1")
    >>> series.colnames[:2], series.time_bin_size[0].round()
    (['time_bin_start', 'time_bin_size'], <Quantity 1000. s>)
    """
    from astropy.timeseries import BinnedTimeSeries, TimeSeries  # slow to import, and needed here only

    rows = rows_of(table, source)
    with reading("the light curve"):
        columns = {name: blanked(rows[name]) for name in rows.colnames if name not in FIXED_COLUMNS}
        width = widths_of(rows)
    if not len(rows) or np.isnan(width).any():
        partly = {} if np.isnan(width).all() else {"time_bin": MaskedColumn(width, mask=np.isnan(width), unit=u.s)}
        series = TimeSeries(time=rows["time"], data=partly | columns)
    else:
        start = rows["time"] - width / 2 * u.s
        series = BinnedTimeSeries(time_bin_start=start, time_bin_size=width * u.s, data=columns)
    name = str(rows["src_name"][0]) if len(rows) else ""
    series.meta.update(rows.meta, SRC_NAME=name)
    series.meta.update(position_of(rows, name))
    return series


def rows_of(table: Table, source: str | None, *, single: bool = True) -> Table:
    """Rows with a time of a light curve, of one source if it is named, as it has to be for a ``single`` one."""
    if not set(FIXED_COLUMNS) <= set(getattr(table, "colnames", ())) or not isinstance(table["time"], Time):
        columns = ", ".join(FIXED_COLUMNS)
        advice = "of a FITS file: Table.read(path, astropy_native=True)"
        raise ParameterError(
            f"not a light curve of query_lightcurve, which has the columns {columns} (time as a Time; {advice})"
        )
    if source is not None:
        table = table[of_curve(table, source)]
    known = list(dict.fromkeys(curve_names(table)))
    if single and len(known) > 1:
        raise ParameterError(f"one light curve has to be named by source=; there are: {listed(known)}")
    days = numbers_of(getattr(table["time"].mjd, "unmasked", table["time"].mjd))
    valid = np.isfinite(days) & ~np.asarray(table["time"].mask)
    if valid.all():
        return table
    # those of `query_lightcurve` all have one, but tables can be changed
    warn(f"MMODA: {(~valid).sum()} of {len(table)} rows have no valid time and are left out.", CorruptDataWarning)
    return table[valid]


def curve_names(table: Table) -> list[str]:
    """Name of the source of each row, and of the product where a source has several light curves."""
    names = [str(name) for name in table["src_name"]]
    if "product" not in table.colnames:
        return names
    return [f"{name} ({product})" for name, product in zip(names, table["product"], strict=True)]


def of_curve(table: Table, source: str) -> np.ndarray:
    """Which rows are of a source, or of a product where no source has the name."""
    names = [str(name) for name in table["src_name"]]
    if "product" in table.colnames and not any(same_source(name, source) for name in names):
        products = [str(name) for name in table["product"]]
        names = products if source in products else curve_names(table)
    return np.array(names, dtype=object) == match_source(names, source)


def widths_of(rows: Table) -> np.ndarray:
    """Widths of the bins in s; NaN where masked, or not a width."""
    width = numbers_of(rows["time_bin"], u.s)
    with np.errstate(invalid="ignore"):
        return np.where((width > 0) & np.isfinite(width), width, np.nan)


def position_of(rows: Table, name: str) -> dict[str, float]:
    """Position of one source, of which ``meta`` has those of several."""
    try:
        positions = json.loads(rows.meta.get(POSITIONS) or "{}")
        right_ascension, declination = (float(value) for value in positions[name])
    except (KeyError, TypeError, ValueError):  # there is none, or the user has changed it
        return {}
    return {"RA_OBJ": right_ascension, "DEC_OBJ": declination}


def blanked(column: Column) -> Column:
    """NaN below the mask."""
    if not isinstance(column, MaskedColumn) or column.dtype.kind != "f":
        return column
    data = np.where(np.ma.getmaskarray(column), np.nan, np.ma.getdata(column))
    return MaskedColumn(data, mask=np.ma.getmaskarray(column), unit=column.unit)
