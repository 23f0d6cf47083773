# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Light curves of several jobs as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table, TableMergeError, vstack
from astropy.time import Time
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, reading, warn
from ..products.lightcurve import rounded_lightcurve
from ..products.plaintable import numbers_of
from ..products.sources import folded_name
from ..products.storage.timeseries import rows_of, widths_of
from ..text import listed, printable
from .curvemeta import ROLE_CARDS, common_meta
from .inputs import InputFacts, Inputs, outcomes

# s, and of the width of a bin: rounding of times as numbers of days
_ROUNDING, _RELATIVE = 1e-5, 1e-6
_SAME = 1e-6  # of values
# while the table is made: the number of the curve that a row is of
_NUMBER = "\0curve"


def combine_lightcurves(curves: Iterable[Table]) -> Table:
    """
    Stack the light curves of several jobs.

    Units that can be converted become those of the first. Columns that only some have are masked in the others. A bin
    that came in two of them (same source, band, instrument, time and width, but for rounding) is kept once; where both
    differ, the one that has data, and of these the one of larger FRACEXP.

    Parameters
    ----------
    curves : iterable of `~astropy.table.Table`
        As returned by ``query_lightcurve``, `query_many`, or this function; some may have no rows.

    Returns
    -------
    `~astropy.table.Table`
        In the form of ``query_lightcurve``, for ``write_lightcurve``, ``to_timeseries``, ``plot_lightcurve``: in order
        of source (by name), band and time, with a column ``osa_version`` (masked where it is not known), and
        ``instrument`` where that is not the same for all. ``meta`` has what all of them agree in, ``NJOBS`` and
        ``NFAILED``, and ``INPUTS``, which is JSON: a list of ``job_id``, ``windows``, ``start`` and ``stop`` (MJD), and
        ``EPHS`` and ``TSHIFT`` of SPI-ACS where these differ.

    Raises
    ------
    ParameterError
        Something is not a light curve, or they differ in the time scale (TT and TDB), in TIMEREF, in the columns of
        values and errors, or have units that can't be converted.

    Warns
    -----
    InputWarning
        Bins came twice with different values.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astroquery_mmoda import Mmoda
    >>> from astroquery_mmoda.combine import combine_lightcurves
    >>> field = {"coordinates": "MAXI J1820+070", "radius": 8 * u.deg, "time_bin": 1000 * u.s, "max_pointings": 5}
    >>> times = [(58193, 58210), (58220, 58247)]
    >>> curve = combine_lightcurves(Mmoda.query_lightcurve("isgri", **field, time_range=span) for span in times)
    >>> curve.meta["NJOBS"], curve.colnames[-1]
    (2, 'osa_version')
    """
    inputs, tables = Inputs("light curve", overlap=True), []
    for given in outcomes(curves, "light curve", Table):
        facts, table = _read(given, len(inputs))
        inputs.facts.append(facts)  # they need not be of one instrument or version
        tables.append(table)
    if not tables:
        raise ParameterError("there are no light curves to combine")
    names = _common_names(tables)
    meta = common_meta(tables, inputs, names)
    filled = [(index, table) for index, table in enumerate(tables) if len(table)]
    if filled:
        stacked = _in_order(_stacked(filled, inputs.facts, names), meta)
    else:
        stacked = Table(tables[0], copy=True)
        stacked["osa_version"] = MaskedColumn(np.zeros(0, "U1"))
    stacked.meta = meta
    return rounded_lightcurve(stacked)


def _read(given: Table, index: int) -> tuple[InputFacts, Table]:
    """A light curve with its valid times, and what it says of itself."""
    try:
        with reading(f"light curve {index}"):
            table = rows_of(Table(given, copy=False) if isinstance(given, QTable) else given, None, single=False)
            if len(table) and table["src_name"].ndim > 1:
                raise ParameterError("its column src_name has several values in a row.")
            return InputFacts.of_table(table), table
    except ParameterError as error:
        raise ParameterError(f"light curve {index}: {error}") from error


def _common_names(tables: Sequence[Table]) -> dict[str, str]:
    """For each spelling of a source the most frequent one, except where one curve has two of them."""
    spellings: dict[str, Counter[str]] = {}
    apart = set()
    for table in tables:
        keys = Counter[str]()
        for name in set(map(str, table["src_name"].tolist())):
            key = folded_name(name)
            spellings.setdefault(key, Counter())[name] += 1
            keys[key] += 1
        apart |= {key for key, count in keys.items() if count > 1}
    return {
        name: name if key in apart else min(known, key=lambda each: (-known[each], each))
        for key, known in spellings.items()
        for name in known
    }


# ---- columns of one curve


def _prepared(
    table: Table, index: int, names: Mapping[str, str], units: Mapping[str, Any], scale: str, cells: Mapping[str, str]
) -> Table:
    """Columns of a curve in common units and names; ``cells`` are columns that are the same in all of its rows."""
    columns = {}
    for name in table.colnames:
        column = table[name]
        if name == "src_name":
            column = np.array([names[str(source)] for source in column.tolist()])
        elif isinstance(column, Time):
            column = getattr(column, "unmasked", column)
            column = Time(getattr(column, scale), format="mjd") if name == "time" else column
        elif name in units:
            column = _converted(column, units[name], name, index)
        elif column.dtype.kind == "S":  # texts of FITS files
            texts = np.char.decode(np.ma.getdata(column), "utf-8")
            column = MaskedColumn(texts, mask=np.ma.getmaskarray(column))
        columns[name] = column
    rows = len(table)
    for name, text in cells.items():
        if name not in columns:
            columns[name] = MaskedColumn(np.full(rows, text or "?"), mask=np.full(rows, not text))
    columns[_NUMBER] = np.full(rows, index)
    return Table(columns, copy=False)


def _converted(column: Any, unit: Any, name: str, index: int) -> Any:
    given = column.unit
    if (given or u.dimensionless_unscaled) == (unit or u.dimensionless_unscaled):
        return column
    try:
        values = given.to(unit, np.asarray(np.ma.getdata(column), dtype=float))
    except (u.UnitsError, AttributeError, TypeError, ValueError) as error:
        raise ParameterError(
            f"light curve {index} has {printable(name, limit=60)} in {_worded(given)}, those before it in "
            f"{_worded(unit)}, to which it can't be converted. Combine those of one unit each."
        ) from error
    return MaskedColumn(values, mask=np.ma.getmaskarray(column), unit=unit)


def _worded(unit: Any) -> str:
    return "no unit" if unit is None else printable(unit, limit=60)


def _units(tables: Iterable[Table]) -> dict[str, Any]:
    """Units of all columns of numbers, by the first curve that has each."""
    units: dict[str, Any] = {"time_bin": u.s, "e_min": u.keV, "e_max": u.keV}
    for table in tables:
        for name in table.colnames:
            column = table[name]
            if not isinstance(column, Time) and column.dtype.kind in "fiu":
                units.setdefault(name, column.unit)
    return units


def _scale(tables: Iterable[Table]) -> str:
    scales = {"tdb" if table["time"].scale in ("tdb", "tcb") else "tt" for table in tables}
    if len(scales) > 1:
        raise ParameterError(
            "light curves in TT and in TDB (barycentred times) can't be stacked: their times differ by minutes. "
            "Combine those of one each."
        )
    return scales.pop()


def _instrument(table: Table) -> str:
    """Names of instrument and detector."""
    words = [str(table.meta.get(key) or "").strip() for key in ("INSTRUME", "DETNAM")]
    known = dict.fromkeys(word for word in words if word and word.upper() != "NONE")
    return " ".join(known) or str(table.meta.get("INSTRUM") or "").strip()


# ---- all curves


def _stacked(filled: Sequence[tuple[int, Table]], facts: Sequence[InputFacts], names: Mapping[str, str]) -> Table:
    """All rows of all curves, one after the other."""
    tables = [table for _, table in filled]
    scale, units = _scale(tables), _units(tables)
    instruments = [_instrument(table) for table in tables]
    several = len(set(instruments)) > 1 or any("instrument" in table.colnames for table in tables)
    parts = []
    for (index, table), instrument in zip(filled, instruments, strict=True):
        cells = {"instrument": instrument} if several else {}
        cells["osa_version"] = facts[index].alike.get("osa_version", "")
        parts.append(_prepared(table, index, names, units, scale, cells))
    try:
        stacked = vstack(parts, metadata_conflicts="silent")
    except (TableMergeError, TypeError, ValueError) as error:
        raise ParameterError(
            f"columns of these light curves can't be joined: {printable(error, limit=300)}. Remove or rename them."
        ) from error
    for name in cells:  # after those that only some have
        column = stacked[name]
        stacked.remove_column(name)
        stacked.add_column(column, copy=False)
    return stacked


def _in_order(table: Table, meta: Mapping[str, Any]) -> Table:
    """Rows in order of source, band and time, each bin once."""
    source, product, instrument = (_codes(table, name) for name in ("src_name", "product", "instrument"))
    low, high = (_band_codes(table, name) for name in ("e_min", "e_max"))
    time, width = table["time"], np.nan_to_num(widths_of(table), nan=-1.0)
    seconds = (time.jd1 - np.min(time.jd1) + time.jd2) * 86400.0
    bins = _bins(np.array([source, product, instrument, low, high]), seconds, width, np.asarray(table[_NUMBER]))
    kept = _once(table, bins, meta)
    keys = [key[kept] for key in (width, instrument, product, seconds, high, low, source)]
    table.remove_column(_NUMBER)
    return table[kept[np.lexsort(keys)]]


def _codes(table: Table, name: str) -> np.ndarray:
    """Number of each text in alphabetical order."""
    if name not in table.colnames:
        return np.zeros(len(table), dtype=np.int64)
    texts = np.ma.filled(np.ma.asarray(table[name]).astype(str), "")
    return np.unique(texts, return_inverse=True)[1].ravel()


def _band_codes(table: Table, name: str) -> np.ndarray:
    """Number of each energy in order, those that differ by rounding the same; unknown ones are last."""
    known, rows = np.unique(np.nan_to_num(numbers_of(table[name]), nan=np.inf), return_inverse=True)
    rounded = np.array([float(f"{value:.6g}") for value in known])
    return np.unique(rounded, return_inverse=True)[1].ravel()[rows.ravel()]


def _bins(codes: np.ndarray, seconds: np.ndarray, width: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Number of the bin of each row; those that one curve has several times are different bins."""

    def numbered(order: np.ndarray, begins: np.ndarray) -> np.ndarray:
        numbers = np.empty(len(order), dtype=np.int64)
        numbers[order] = np.cumsum(np.append(0, begins))
        return numbers

    order = np.lexsort((seconds, *codes))
    step = np.diff(seconds[order]) > _ROUNDING + _RELATIVE * width[order][1:]
    moment = numbered(order, step | (np.diff(codes[:, order], axis=1) != 0).any(axis=0))
    order = np.lexsort((width, moment))
    step = np.diff(width[order]) > _ROUNDING + 10 * _RELATIVE * width[order][1:]
    bins = numbered(order, step | (np.diff(moment[order]) != 0))
    # which of the bins of one curve it is
    order = np.lexsort((curve, bins))
    begins = np.append(True, (np.diff(bins[order]) != 0) | (np.diff(curve[order]) != 0))
    places = np.arange(len(order))
    repeated = np.empty(len(order), dtype=np.int64)
    repeated[order] = places - np.maximum.accumulate(np.where(begins, places, 0))
    order = np.lexsort((repeated, bins))
    return numbered(order, (np.diff(bins[order]) != 0) | (np.diff(repeated[order]) != 0))


def _once(table: Table, bins: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """Rows without those whose bin another row has, with a warning where they differ."""
    names = [str(meta.get(key, "RATE" if key == "VALUECOL" else "")) for key in ROLE_CARDS]
    columns = {
        name: numbers_of(table[name])
        for name in (*names, "FRACEXP")
        if name in table.colnames and table[name].dtype.kind in "fiub" and table[name].ndim == 1
    }
    nothing = np.full(len(table), np.nan)
    value, error, fraction = (columns.get(name, nothing) for name in (names[0], names[1], "FRACEXP"))
    best = (np.nan_to_num(error, nan=np.inf), np.nan_to_num(-fraction, nan=np.inf), np.isnan(value))
    order = np.lexsort((value, *best, bins))
    is_first = np.append(True, np.diff(bins[order]) != 0)
    taken = order[is_first]
    if len(taken) < len(order):
        place = np.empty(bins.max() + 1, dtype=np.int64)
        place[bins[taken]] = taken
        others = order[~is_first]
        differ = np.zeros(len(others), dtype=bool)
        for values in columns.values():
            differ |= ~np.isclose(values[others], values[place[bins[others]]], rtol=_SAME, atol=0, equal_nan=True)
        if differ.any():
            sources = dict.fromkeys(map(str, table["src_name"][others[differ]]))
            warn(
                f"{len(set(bins[others[differ]].tolist()))} bins came twice with different values (of "
                f"{listed(sources)}); those of larger FRACEXP are kept.",
                InputWarning,
            )
    return taken
