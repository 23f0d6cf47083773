# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Pictures of light curves."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from astropy import units as u
from astropy.table import Table
from astropy.time import Time

from ..errors import ParameterError
from ..products.columnroles import limited
from ..products.curvetable import FIXED_COLUMNS
from ..products.storage.timeseries import curve_names, of_curve
from ..protocol import VALUE_COLUMNS
from ..text import printable
from .drawing import Points, draw_curve, is_contiguous, numbers_in, plain_axes, plain_numbers, pyplot
from .lettering import (
    CurveLabel,
    band_text,
    literal,
    name_curves,
    name_limits,
    note,
    quantity_label,
    register,
    unit_text,
    write_label,
)
from .timeaxis import TimeAxis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# curves farther apart than this factor can't be read on one linear scale
_APART = 30.0
# of the values on axes that have a light curve
_UNITS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def plot_lightcurve(
    table: Table,
    source: str | None = None,
    *,
    time_format: str = "mjd",
    t0: Any = None,
    steps: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw light curves: the value of the service (RATE, FLUX, COUNTS, MAG, ...) over time.

    Ten bins and more, one right after the other, become steps with error bars (more than 300: with a band of errors);
    others are points, with the widths of their bins. Masked bins are gaps. Magnitudes grow downwards. Errors may differ
    below and above; arrows are the upper limits that ``meta["LIMCOL"]`` tells. The energy band stands in a corner,
    several of them in the legend.

    The values are on a linear scale, as they were measured. Curves that are more than a factor of 30 apart get a
    logarithmic one, on which a bin below a signal to noise ratio of 2 is an arrow at 3 standard deviations, an upper
    limit; so do all curves on an ``ax`` of yours with that scale.

    Parameters
    ----------
    table : `~astropy.table.Table`
        As returned by ``query_lightcurve``: columns ``src_name``, ``time``, ``time_bin``, ``e_min``, ``e_max``, values.
    source : str, optional
        Name of one source (case and blanks ignored), or of a product where a source has several light curves; all of
        them by default.
    time_format : str, optional
        ``"mjd"``: days in the scale of the table, TT or TDB; of less than a day, the label has the whole days.
        ``"utc"``: dates and times in UTC. ``"relative"``: seconds after ``t0``. The label says which it is.
    t0 : `~astropy.time.Time`, str, datetime or float, optional
        Where ``"relative"`` begins: an instant as in ``time_range`` (ISO texts are UTC, numbers MJD in UTC), taken to
        the millisecond. By default the start of the first bin.
    steps : bool, optional
        True draws steps and False points, whatever the bins are. Where their widths are unknown, steps change in the
        middle between two bins.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw. What is there already stays, and gets no second label; a curve of the same source, band and
        instrument gets the same colour. The time axis keeps its format and ``t0``, also that of axes which share it.

    Returns
    -------
    `~matplotlib.axes.Axes`
        With a note in place of curves where the table has no rows, or all its bins are masked.

    Raises
    ------
    ParameterError
        If there is no such source, the table is not a light curve, or time format, ``t0`` or unit of the values differ
        from those of ``ax``.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> from astroquery_mmoda.plotting import plot_lightcurve
    >>> curve = Mmoda.query_lightcurve("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58195.5),
    ...                                time_bin="1000 s")
    >>> ax = plot_lightcurve(curve, "Ser X-1")
    >>> ax.get_xlabel()
    'Time (MJD, TT)'
    >>> ax = plot_lightcurve(curve, "Ser X-1", time_format="relative", t0="2018-03-16T12:00")
    >>> ax.get_xlabel()
    'Time since 2018-03-16T12:00:00 UTC (s)'
    """
    pyplot()
    value, errors = _value_columns(table)
    rows = table if source is None else table[of_curve(table, source)]
    half, time = plain_numbers(rows["time_bin"]) / 2, Time(rows["time"])
    time = time if time.scale == "tdb" else time.tt
    time_axis = TimeAxis.of(ax, time, half, time_format, t0)
    unit = _unit_on(ax, rows[value])
    points = _points(rows, *time_axis.place(time, half), value, errors, unit)
    names = np.array(curve_names(rows), dtype=object)
    texts, bands = _bands(rows)
    instrument = literal(table.meta.get("INSTRUM", ""))
    curves = [
        (CurveLabel(literal(name), instrument, band), points.among(own))
        for name in dict.fromkeys(names)
        for band in bands
        if (own := (names == name) & (texts == band)).any()
    ]
    axes = plain_axes(ax)
    time_axis.prepare(axes)
    magnitude = value.upper().startswith("MAG") or table[value].unit == u.mag
    if not (magnitude or axes.has_data()) and _far_apart([drawn for _, drawn in curves]):
        axes.set_yscale("log")
    if not axes.has_data() and axes.margins()[1] == pyplot().rcParams["axes.ymargin"]:
        axes.set_ymargin(0.15)  # for the legend
    for curve, drawn in curves:
        label, number = register(axes, curve)
        with_steps = is_contiguous(axes, drawn) if steps is None else steps
        for kind in draw_curve(axes, drawn, number, label=label, steps=with_steps):
            name_limits(axes, kind)
    time_axis.write(axes)
    _UNITS[axes] = unit
    write_label(axes, "y", _value_label(value, unit))
    with suppress(AttributeError):  # formats of the user's own, and of logarithmic scales, stay
        axes.ticklabel_format(axis="y", style="sci", useOffset=False, useMathText=True)
    if magnitude and not axes.yaxis_inverted():
        axes.invert_yaxis()
    name_curves(axes, inside=3, widen=ax is None)
    if not any(np.isfinite(drawn.y).any() for _, drawn in curves):
        note(axes, "no data")
    return axes


# ---- what to draw ----


def _value_columns(table: Table) -> tuple[str, list[str]]:
    """Names of the column to draw and of its error, or two of them: those that ``meta`` names, then usual ones."""
    missing = [name for name in FIXED_COLUMNS[:3] if name not in getattr(table, "colnames", ())]
    if missing:
        raise ParameterError(f"this {type(table).__name__} is not a light curve: it has no column {', '.join(missing)}")
    known = {
        name.upper(): name
        for name in table.colnames
        if name not in FIXED_COLUMNS
        and table[name].ndim == 1
        and getattr(table[name], "dtype", np.dtype("O")).kind in "fiu"
    }

    def first(*wanted: str) -> str | None:
        return next((known[name] for name in wanted if name in known), None)

    value = first(str(table.meta.get("VALUECOL", "")).upper(), *VALUE_COLUMNS, *known)
    if value is None:
        raise ParameterError(f"this light curve has no column of values, only {', '.join(table.colnames)}")
    sides = [first(str(table.meta.get(word, "")).upper()) for word in ("ERRLOCOL", "ERRHICOL")]
    if all(sides):
        return value, [side for side in sides if side]
    usual = [f"{value.upper()}{ending}" for ending in ("_ERR", "_ERROR", "ERR")]
    error = first(str(table.meta.get("ERRORCOL", "")).upper(), *usual, "ERROR", "STAT_ERR")
    return value, [error] if error else []


def _bands(rows: Table) -> tuple[np.ndarray, list[str]]:
    """Energy band of each row, and the different ones, the lowest first."""
    if not {"e_min", "e_max"} <= set(rows.colnames):
        return np.full(len(rows), "", dtype=object), [""]
    bounds = list(zip(plain_numbers(rows["e_min"]).tolist(), plain_numbers(rows["e_max"]).tolist(), strict=True))
    texts = np.array([band_text(*band) for band in bounds], dtype=object)
    edges = {text: band if text else (-1.0, -1.0) for text, band in zip(texts, bounds, strict=True)}
    return texts, sorted(edges, key=edges.__getitem__)


def _unit_on(ax: Axes | None, column: Any) -> Any:
    """Unit in which a column is drawn: that of the curves which are there already."""
    unit = getattr(column, "unit", None)
    used = _UNITS.get(ax) if ax is not None and ax.has_data() else None
    if not (used and unit) or used == unit:
        return unit
    # magnitudes are not converted by a factor
    if not unit.is_equivalent(used) or isinstance(unit, u.FunctionUnitBase):
        raise ParameterError(
            f"{printable(column.name, limit=60)} ({unit}) can't be drawn on axes in {used}: give it other axes by ax="
        )
    return used


def _points(rows: Table, time: np.ndarray, half: np.ndarray, value: str, errors: list[str], unit: Any) -> Points:
    """Values, errors and upper limits of the service in a unit."""
    bars = [numbers_in(rows[error], unit) for error in errors]
    numbers = plain_numbers(rows[value])
    limit = str(rows.meta.get("LIMCOL", ""))
    limits = np.nan_to_num(plain_numbers(rows[limit])).astype(bool) if limit in rows.colnames else None
    if limits is not None:
        numbers = limited(rows, value, numbers, limits)
    own = rows[value].unit
    factor = own.to(unit) if own and unit and own != unit else 1.0
    return Points(time, half, numbers * factor, np.array(bars) if len(bars) > 1 else next(iter(bars), None), limits)


def _far_apart(curves: list[Points]) -> bool:
    """Whether levels, or the noise where nothing is detected, differ much."""
    levels = []
    for curve in curves:
        if np.isfinite(curve.y).any():
            noise = curve.error if curve.error is not None and np.isfinite(curve.error).any() else curve.y
            levels.append(max(np.nanmedian(curve.y), np.nanmedian(noise)))
    return len(levels) > 1 and 0 < _APART * min(levels) < max(levels)


def _value_label(name: str, unit: Any) -> str:
    title = literal(name, limit=40)
    title = "Magnitude" if title.upper() == "MAG" else title.capitalize() if title.isupper() else title
    return quantity_label(title, unit_text(unit))
