# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Pictures of light curves."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from astropy import units as u
from astropy.table import Table
from astropy.time import Time
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..products.columnroles import limited
from ..products.curvetable import FIXED_COLUMNS
from ..products.storage.timeseries import curve_names, of_curve
from ..protocol import VALUE_COLUMNS
from .drawing import (
    Points,
    band_text,
    curves_on,
    draw_points,
    draw_steps,
    is_continuous,
    legend,
    literal,
    note,
    numbers_in,
    plain_axes,
    plain_numbers,
    pyplot,
    quantity_label,
    unit_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# light curves shorter than this (days) are drawn in seconds
_SHORT = 0.1
# curves farther apart than this factor can't be read on one linear scale
_APART = 30.0
# start (None for MJD) and scale of the times on axes that have a light curve
_ORIGINS: WeakKeyDictionary[Any, tuple[Time | None, str]] = WeakKeyDictionary()


def plot_lightcurve(table: Table, source: str | None = None, ax: Axes | None = None) -> Axes:
    """
    Draw light curves: the value of the service (RATE, FLUX, COUNTS, MAG, ...) over time.

    Horizontal bars are the widths of the bins, vertical ones the errors; masked bins are gaps. Hundreds of bins, one
    after the other, become steps with a band of errors. Times are MJD (TT, or TDB where the table has it), or, where
    all of them are within a tenth of a day, seconds since the start of the first bin, which the axis names. Magnitudes
    grow downwards. Errors may differ below and above; arrows are the upper limits that ``meta["LIMCOL"]`` tells.

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
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw. What is there already stays, and the time axis keeps its unit and start.

    Returns
    -------
    `~matplotlib.axes.Axes`
        With a note in place of curves where the table has no rows, or all its bins are masked.

    Raises
    ------
    ParameterError
        If there is no such source, or the table is not a light curve.
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
    """
    pyplot()
    value, errors = _value_columns(table)
    rows = table if source is None else table[of_curve(table, source)]
    names = np.array(curve_names(rows), dtype=object)
    texts, bands = _bands(rows)
    axes = plain_axes(ax)
    time, half, label = _time_axis(axes, rows)
    bars = [numbers_in(rows[error], rows[value].unit) for error in errors]
    limit = str(table.meta.get("LIMCOL", ""))
    limits = np.nan_to_num(plain_numbers(rows[limit])).astype(bool) if limit in rows.colnames else None
    error = np.array(bars) if len(bars) > 1 else next(iter(bars), None)
    numbers = plain_numbers(rows[value])
    if limits is not None:
        numbers = limited(rows, value, numbers, limits)
    points = Points("", time, half, numbers, error, limits)
    curves = [
        replace(points.among(own), label=f"{literal(name)} {band if len(bands) > 1 else ''}".strip())
        for name in dict.fromkeys(names)
        for band in bands
        if (own := (names == name) & (texts == band)).any()
    ]
    magnitude = value.upper().startswith("MAG") or table[value].unit == u.mag
    if not (magnitude or axes.has_data()) and _far_apart(curves):
        axes.set_yscale("log")
    if ax is None:
        # for the legend
        axes.set_ymargin(0.1)
    for index, curve in enumerate(curves, start=curves_on(axes)):
        (draw_steps if is_continuous(axes, curve) else draw_points)(axes, curve, index)
    axes.set_xlabel(label)
    axes.set_ylabel(_value_label(value, table[value].unit, bands))
    _write_numbers(axes)
    if magnitude and not axes.yaxis_inverted():
        axes.invert_yaxis()
    legend(axes, inside=3, widen=ax is None, points=len(rows))
    if not any(np.isfinite(curve.y).any() for curve in curves):
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


def _time_axis(axes: Any, rows: Table) -> tuple[np.ndarray, np.ndarray, str]:
    """Centres and half widths in the unit of the axis, and its label."""
    half = plain_numbers(rows["time_bin"]) / 2
    time = Time(rows["time"])
    time = time if time.scale == "tdb" else time.tt
    # a curve that is there already, also on axes below or above, decides
    siblings = axes.get_shared_x_axes().get_siblings(axes)
    start, scale = next((_ORIGINS[other] for other in siblings if other in _ORIGINS and other.has_data()), (None, ""))
    if not scale:
        scale = time.scale
        if len(time) and np.ptp(time.mjd) < _SHORT:
            first = int(np.argmin(time.mjd))
            begin = time[first] - np.nan_to_num(half[first]) * u.s
            begin.precision = 3  # what the label says has to be exact
            start = Time(begin.isot, scale=scale)
    _ORIGINS[axes] = start, scale
    if scale != time.scale:
        warn(
            f"MMODA: times in {time.scale.upper()} are drawn on an axis in {scale.upper()}: barycentred times and "
            "those on board differ by up to 8.5 minutes.",
            InputWarning,
        )
        time = getattr(time, scale)
    if start is None:
        return np.asarray(time.mjd, dtype=float), half / 86400, f"Time (MJD, {scale.upper()})"
    return np.asarray((time - start).to_value(u.s)), half, f"Time since {start.isot} {scale.upper()} (s)"


def _far_apart(curves: list[Points]) -> bool:
    """Whether levels, or the noise where nothing is detected, differ much."""
    levels = []
    for curve in curves:
        if np.isfinite(curve.y).any():
            noise = curve.error if curve.error is not None and np.isfinite(curve.error).any() else curve.y
            levels.append(max(np.nanmedian(curve.y), np.nanmedian(noise)))
    return len(levels) > 1 and 0 < _APART * min(levels) < max(levels)


# ---- axes ----


def _write_numbers(axes: Any) -> None:
    """Write times in full and small values as a multiple of a power of ten, without offsets."""
    with suppress(AttributeError):  # formats of the user's own, and of logarithmic scales, stay
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        axes.locator_params(axis="x", nbins=6)
        axes.ticklabel_format(axis="y", style="sci", useOffset=False, useMathText=True)


def _value_label(name: str, unit: Any, bands: list[str]) -> str:
    title = literal(name, limit=40)
    title = "Magnitude" if title.upper() == "MAG" else title.capitalize() if title.isupper() else title
    # one band for all stands here, several of them in the legend
    return quantity_label(title, unit_text(unit), bands[0] if len(bands) == 1 else "")
