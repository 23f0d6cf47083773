# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Axes of time: days (MJD), dates in UTC, and seconds after an event."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from astropy import units as u
from astropy.time import Time
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..request.values import to_time
from ..text import listed, printable
from .lettering import write_label

TIME_FORMATS = ("mjd", "utc", "relative")
# light curves shorter than this (days) have the day in the label, and its fraction at the ticks
_SHORT = 1.0


@dataclass(frozen=True)
class TimeAxis:
    """What a time axis shows: its format, the scale of the times, and what is subtracted: an instant, or whole days."""

    format: str
    scale: str
    t0: Time | None = None
    days: int = 0

    @classmethod
    def of(cls, axes: Any, time: Time, half: np.ndarray, format: str, t0: Any) -> TimeAxis:
        """Take that of curves on these axes, or on axes that share it; else make one for these times."""
        if format not in TIME_FORMATS:
            raise ParameterError(f"time_format={printable(repr(format), limit=60)}: use one of {listed(TIME_FORMATS)}")
        if t0 is not None and format != "relative":
            raise ParameterError('t0= is the time from which time_format="relative" counts; give both, or neither')
        siblings = [] if axes is None else axes.get_shared_x_axes().get_siblings(axes)
        used = next((_AXES[other] for other in siblings if other in _AXES and other.has_data()), None)
        if used is not None:
            used.check(format, t0)
            return used
        scale = time.scale
        if format == "relative":
            return cls(format, scale, _start(time, half) if t0 is None else _instant(t0))
        days = time.mjd[np.isfinite(time.mjd)]
        is_short = format == "mjd" and len(days) and np.ptp(days) < _SHORT
        return cls(format, scale, days=int(days.min()) if is_short else 0)

    def check(self, format: str, t0: Any) -> None:
        """Refuse what would need another axis."""
        # MJD, the default, takes what is there
        if format not in ("mjd", self.format):
            raise ParameterError(
                f'the time axis has time_format="{self.format}" already, not "{format}": use that for all curves on it'
            )
        if t0 is not None and self.t0 is not None and abs((_instant(t0) - self.t0).to_value(u.s)) > 5e-4:
            raise ParameterError(
                f"t0={_text(_instant(t0))} differs from that of the time axis, {_text(self.t0)}: one axis has one t0; "
                "use ax= to draw on others"
            )

    @property
    def label(self) -> str:
        """What the axis shows."""
        if self.t0 is not None:
            return f"Time since {_text(self.t0)} (s)"
        scale = self.scale.upper()
        if self.format == "utc":
            return "Time (UTC at the barycentre)" if scale == "TDB" else "Time (UTC)"
        return f"Time (MJD \N{MINUS SIGN} {self.days}, {scale})" if self.days else f"Time (MJD, {scale})"

    def place(self, time: Time, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give times and half widths of bins (s) as numbers for the axis."""
        if self.scale != time.scale:
            warn(
                f"MMODA: times in {time.scale.upper()} are drawn on an axis in {self.scale.upper()}: barycentred times "
                "and those on board differ by up to 8.5 minutes.",
                InputWarning,
            )
            time = getattr(time, self.scale)
        if self.t0 is not None:
            return np.asarray((time - self.t0).to_value(u.s)), half
        days = _dates(time) if self.format == "utc" else np.asarray(time.mjd, dtype=float)
        return days, half / 86400

    def prepare(self, axes: Any) -> None:
        """Take dates, before curves are drawn: matplotlib then forgets how far the error bars reach that are there."""
        if self.format == "utc":
            reach = axes.dataLim.get_points()
            axes.xaxis_date(UTC)
            if axes.has_data():
                axes.update_datalim(reach)

    def write(self, axes: Any) -> None:
        """Label the axis; and number its ticks, in full or as dates."""
        _AXES[axes] = self
        place = {}
        if self.format == "utc":
            _write_dates(axes)
            place["loc"] = "left"  # matplotlib writes what all dates have in common on the right
        else:
            with suppress(AttributeError):  # formats of the user's own stay
                # what is subtracted stands in the label
                axes.ticklabel_format(axis="x", style="plain", useOffset=float(self.days) if self.days else False)
                axes.locator_params(axis="x", nbins=_most_intervals(axes))
                axes.xaxis.get_offset_text().set_visible(False)
        write_label(axes, "x", self.label, **place)


_AXES: WeakKeyDictionary[Any, TimeAxis] = WeakKeyDictionary()


def _most_intervals(axes: Any) -> int:
    """Number of intervals between ticks whose numbers stay apart."""
    inches = axes.bbox.width / axes.figure.dpi
    digits = max(len(f"{end:.0f}") for end in axes.get_xlim())
    return min(6 if inches > 3.5 else 4, max(2, int(72 * inches / (7 * digits + 12))))


# ---- instants ----


def _instant(t0: Any) -> Time:
    """Read t0= as other time arguments are read; to the millisecond that a label says."""
    time = to_time(t0, "t0")
    # what was given in a scale of light curves is written in it
    scale = t0.scale if isinstance(t0, Time) and t0.scale in ("tt", "tdb") else "utc"
    return _to_milliseconds(getattr(time, scale))


def _start(time: Time, half: np.ndarray) -> Time:
    """Begin of the first bin."""
    if not np.isfinite(time.mjd).any():
        return Time(0, format="mjd", scale=time.scale)
    first = int(np.nanargmin(time.mjd))
    return _to_milliseconds(time[first] - np.nan_to_num(half[first]) * u.s)


def _to_milliseconds(time: Time) -> Time:
    time.precision = 3
    return Time(time.isot, scale=time.scale, precision=3)


def _text(time: Time) -> str:
    return f"{time.isot.rstrip('0').rstrip('.')} {time.scale.upper()}"


# ---- dates ----


def _dates(time: Time) -> np.ndarray:
    """Days of matplotlib, of which all have 86400 s; in UTC some have a second more."""
    from matplotlib.dates import get_epoch

    utc = time.utc
    midnight = Time(np.floor(utc.mjd), format="mjd", scale="utc")
    seconds = (utc - midnight).to_value(u.s)
    if (inserted := seconds >= 86400).any():
        warn(
            f"MMODA: {inserted.sum()} bins are within the leap second at the end of {utc[inserted][0].isot[:10]} and "
            'are drawn over the second after it; time_format="relative" draws them one after the other.',
            InputWarning,
        )
    return midnight.mjd - Time(get_epoch(), scale="utc").mjd + seconds / 86400


def _write_dates(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    few = axes.bbox.width < 3.5 * axes.figure.dpi
    locator = AutoDateLocator(UTC, minticks=2 if few else 3, maxticks=5 if few else 8)
    formatter = ConciseDateFormatter(locator, UTC)
    # as in ISO dates, and without names of months, which depend on the language
    formatter.formats = ["%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M", "%S.%f"]
    formatter.zero_formats = ["", "%Y", "%Y-%m-%d", "%m-%d", "%H:%M", "%H:%M:%S"]
    formatter.offset_formats = ["", "", "%Y", "%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d %H:%M"]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)
