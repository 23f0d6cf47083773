# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the plots have in common: figures, colours, points with errors, legends, and texts for labels."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from ..errors import ParameterError, not_installed
from ..text import printable
from ..units import known_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# below this signal to noise ratio a point is drawn as an upper limit of so many standard deviations
_DETECTED, _LIMIT = 2.0, 3.0
# dark ones of Okabe and Ito, which colour-blind readers can tell apart; each round of them has another marker
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_MARKERS = "o^sv<>Dp"
# of energy bands, in keV
_BAND_UNITS = ((1e9, "TeV"), (1e6, "GeV"))
# from so many bins on, one after the other, they are drawn as steps
_MANY = 300
# inches of a figure of ours, and wider where names stand beside the data
_SIZE, _WIDE = (6.4, 4.4), (8.2, 4.4)


# ---- figures ----


def pyplot() -> ModuleType:
    """Import matplotlib's pyplot, or say how to get it."""
    try:
        from matplotlib import pyplot as module
    except ImportError as error:
        raise not_installed("plots", "matplotlib") from error
    return module


def plain_axes(ax: Axes | None) -> Any:
    """Return these axes as they are, or make new ones with the ticks that are usual in journals."""
    if ax is not None:
        return ax
    axes = pyplot().figure(figsize=_SIZE, layout="constrained").add_subplot()
    axes.minorticks_on()
    axes.tick_params(which="both", direction="in", top=True, right=True)
    return axes


def note(axes: Any, text: str, *, y: float = 0.5) -> None:
    """Say why there is nothing to be seen."""
    axes.text(0.5, y, text, ha="center", va="center", transform=axes.transAxes, fontsize="large")


# ---- points ----


@dataclass(frozen=True)
class Points:
    """
    Measured values with their errors and the half widths of their bins, one each or two, below and above; NaN: unknown.

    ``limits`` tells which values are upper limits; without it they are those below a signal to noise ratio.
    """

    label: str
    x: np.ndarray
    widths: np.ndarray
    y: np.ndarray
    error: np.ndarray | None
    limits: np.ndarray | None = None

    def among(self, chosen: np.ndarray) -> Points:
        """Give some of them."""
        error, limits = (None if values is None else values[..., chosen] for values in (self.error, self.limits))
        return Points(self.label, self.x[chosen], self.widths[..., chosen], self.y[chosen], error, limits)


def colour_and_marker(index: int) -> tuple[str, str]:
    """Give a colour of ours, or of the user's own cycle if there is one, and the marker of its round."""
    from matplotlib import rcParams, rcParamsDefault

    cycle = rcParams["axes.prop_cycle"]
    is_own = cycle != rcParamsDefault["axes.prop_cycle"]
    turn, place = divmod(index, len(cycle if is_own else _COLOURS))
    return f"C{place}" if is_own else _COLOURS[place], _MARKERS[turn % len(_MARKERS)]


def curves_on(axes: Any) -> int:
    """Count the curves that axes have already, which need other colours than the next."""
    return len(axes.get_legend_handles_labels()[0])


def draw_points(axes: Any, points: Points, index: int) -> None:
    """Draw error bars and widths of bins; arrows for upper limits, on a logarithmic scale for what is not detected."""
    colour, marker = colour_and_marker(index)
    symbol = {"marker": marker, "markersize": 3, "zorder": 3, "elinewidth": 0.9, "capsize": 0}
    style = {"color": colour, "linestyle": "none"}
    seen = np.isfinite(points.y)
    # without errors only the sign of a point tells whether it can be drawn
    noise = np.zeros(len(points.y)) if points.error is None else np.nan_to_num(points.error)
    noise = noise[-1] if noise.ndim > 1 else noise
    limits = np.zeros(len(points.y), dtype=bool) if points.limits is None else points.limits
    undetected = seen & limits
    height = points.y.copy()
    if axes.get_yscale() == "log":
        detected = (points.y > 0) & ((points.limits is not None) | (points.y >= _DETECTED * noise))
        too_low = seen & ~detected & (noise > 0)
        height[too_low] = _LIMIT * noise[too_low]
        seen, undetected = seen & detected, (undetected & detected) | too_low
    chosen = points.among(seen & ~limits)
    bars = _bars(chosen.error), _bars(chosen.widths)
    axes.errorbar(chosen.x, chosen.y, *bars, label=points.label, **symbol, **style)
    if undetected.any():
        limit, width = height[undetected], _bars(points.widths[..., undetected])
        arrows = {"marker": "none", "zorder": 2, "alpha": 0.5, "elinewidth": 0.7, "capsize": 1.6, "uplims": True}
        # arrows of one length on a logarithmic scale
        axes.errorbar(points.x[undetected], limit, 0.3 * np.abs(limit), width, **arrows, **style)


def _bars(lengths: np.ndarray | None) -> np.ndarray | None:
    """Lengths of bars, of which matplotlib takes no negative ones, and old versions not only unknown ones."""
    if lengths is None or not (lengths >= 0).any():
        return None
    return np.where(lengths >= 0, lengths, np.nan)


def is_continuous(axes: Any, curve: Points) -> bool:
    """Whether there are many bins, most of them one right after the other."""
    has_limits = curve.limits is not None and curve.limits.any()
    if len(curve.x) < _MANY or has_limits or axes.get_yscale() == "log" or not np.isfinite(curve.widths).all():
        return False
    return bool((np.diff(curve.x) > 0).all() and _gaps(curve).mean() < 0.1)


def _gaps(curve: Points) -> np.ndarray:
    """Whether there is a gap after each bin."""
    pauses = (curve.x - curve.widths)[1:] - (curve.x + curve.widths)[:-1]
    return np.append(pauses > curve.widths[:-1], True)


def draw_steps(axes: Any, curve: Points, index: int) -> None:
    """Draw bins from edge to edge, with a band of errors."""
    low, high = curve.x - curve.widths, curve.x + curve.widths
    # along each bin, then up or down to the next one, or nowhere
    x = np.column_stack([low, high, high]).ravel()
    y = np.column_stack([curve.y, curve.y, np.where(_gaps(curve), np.nan, curve.y)]).ravel()
    colour, _ = colour_and_marker(index)
    axes.plot(x, y, color=colour, linewidth=0.8, label=curve.label, zorder=3)
    if curve.error is not None:
        below, above = np.repeat(np.broadcast_to(curve.error, (2, len(curve.y))), 3, axis=1)
        # a hundred thousand of them would make a heavy PDF
        rasterized = len(x) > 15000
        axes.fill_between(x, y - below, y + above, color=colour, alpha=0.25, linewidth=0, rasterized=rasterized)


# ---- legends ----


def legend(axes: Any, *, inside: int, widen: bool, points: int = 0) -> None:
    """Name the curves: so many of them inside, more of them beside the data, for which a figure may be widened."""
    entries = curves_on(axes)
    if not entries:
        return
    # among many points, looking for an empty corner takes long
    place: dict[str, Any] = {"loc": "best" if points < 2000 else "upper right"}
    # only a layout engine makes the axes narrower
    if entries > inside and axes.figure.get_layout_engine() is not None:
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0.0, "ncols": -(-entries // 24)}
        if widen:
            axes.figure.set_size_inches(_WIDE)
    # larger than in the plot: markers tell rounds of colours apart
    axes.legend(fontsize="small", markerscale=2, framealpha=0.8, edgecolor="none", **place)


# ---- texts and numbers ----


def literal(name: Any, limit: int = 60) -> str:
    """Make a name safe to draw: matplotlib takes what is between two dollars for a formula."""
    return printable(name, limit=limit).replace("$", r"\$")


def band_text(low: Any, high: Any) -> str:
    """Write an energy band given in keV, or nothing where it is unknown."""
    if not all(isinstance(bound, (int, float)) and np.isfinite(bound) for bound in (low, high)):
        return ""
    size, unit = next((each for each in _BAND_UNITS if low >= each[0]), (1, "keV"))
    return f"{low / size:g}\N{EN DASH}{high / size:g} {unit}"


def unit_text(unit: Any) -> str:
    """Write a unit for a label, or nothing where there is none."""
    parsed = known_unit(unit) if isinstance(unit, str) else unit
    if parsed is None:
        return literal(unit or "", limit=40)
    return "" if parsed == u.dimensionless_unscaled else parsed.to_string("latex_inline")


def quantity_label(title: str, unit: str, band: str) -> str:
    """Write what an axis or a bar shows."""
    return title + (f" ({unit})" if unit else "") + (f", {band}" if band else "")


def plain_numbers(column: Any) -> np.ndarray:
    """Plain numbers; a masked one becomes NaN, which is not drawn."""
    values = getattr(column, "value", column)
    try:
        return np.ma.filled(np.ma.asarray(values).astype(float), np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        name = printable(getattr(column, "name", None) or "a column", limit=60)
        raise ParameterError(f"{name} has something else than numbers, which can't be drawn.") from error


def numbers_in(column: Any, unit: Any) -> np.ndarray:
    """Likewise, in a unit, such as that of the values for their errors; NaN if the column can't be in it."""
    values, own = plain_numbers(column), getattr(column, "unit", None)
    # errors of magnitudes have no zero point
    if not (own and unit) or own == unit or isinstance(unit, u.FunctionUnitBase):
        return values
    return values * own.to(unit) if own.is_equivalent(unit) else np.full_like(values, np.nan)
