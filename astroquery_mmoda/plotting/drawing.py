# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the plots have in common: figures, colours, and points with errors."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from ..errors import ParameterError, not_installed
from ..text import printable
from .lettering import SERVICE_LIMITS, SIGMA_LIMITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


#: below this signal to noise ratio a point is drawn as an upper limit of so many standard deviations
DETECTED, LIMIT = 2.0, 3.0
# dark ones of Okabe and Ito, which colour-blind readers can tell apart
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_MARKERS = "o^sv<>Dp"
# fewer bins than this are not drawn as steps, and more than this with a band in the place of error bars
_FEW, _MANY = 10, 300
# more points than this are pixels in a PDF
_HEAVY = 2000


# ---- figures ----


def pyplot() -> ModuleType:
    """Import matplotlib's pyplot, or say how to get it."""
    try:
        from matplotlib import pyplot as module
    except ImportError as error:
        raise not_installed("plots", "matplotlib") from error
    return module


def new_figure(size: tuple[float, float]) -> Any:
    """Make a figure of this size (inches), or of the one that the user has set."""
    from matplotlib import rcParams, rcParamsDefault

    own = rcParams["figure.figsize"]
    plt = pyplot()
    return plt.figure(figsize=size if own == rcParamsDefault["figure.figsize"] else own, layout="constrained")


def plain_axes(ax: Axes | None) -> Any:
    """Return these axes as they are, or make new ones with the ticks that are usual in journals."""
    if ax is not None:
        return ax
    axes = new_figure((6.4, 4.4)).add_subplot()
    axes.minorticks_on()
    axes.tick_params(which="both", direction="in", top=True, right=True)
    return axes


# ---- points ----


@dataclass(frozen=True)
class Points:
    """
    Measured values with their errors and the half widths of their bins, one each or two, below and above; NaN: unknown.

    ``limits`` tells which values are upper limits; without it they are those below a signal to noise ratio.
    """

    x: np.ndarray
    widths: np.ndarray
    y: np.ndarray
    error: np.ndarray | None
    limits: np.ndarray | None = None

    @property
    def noise(self) -> np.ndarray:
        """The errors, upwards where they differ; 0 where they are unknown."""
        noise = np.zeros(len(self.y)) if self.error is None else np.nan_to_num(self.error)
        return noise[-1] if noise.ndim > 1 else noise

    def among(self, chosen: np.ndarray) -> Points:
        """Give some of them."""
        error, limits = (None if values is None else values[..., chosen] for values in (self.error, self.limits))
        return Points(self.x[chosen], self.widths[..., chosen], self.y[chosen], error, limits)


def colour_and_marker(index: int) -> tuple[str, str]:
    """Give a colour of ours, or of the user's own cycle if there is one, and a marker; each pair once among many."""
    from matplotlib import rcParams, rcParamsDefault

    cycle = rcParams["axes.prop_cycle"]
    is_own = cycle != rcParamsDefault["axes.prop_cycle"]
    turn, place = divmod(index, len(cycle if is_own else _COLOURS))
    return f"C{place}" if is_own else _COLOURS[place], _MARKERS[(place + turn) % len(_MARKERS)]


def draw_curve(axes: Any, points: Points, index: int, *, label: str, steps: bool = False) -> set[str]:
    """
    Draw values with error bars, and widths of bins or steps; return what arrows were drawn.

    Arrows are upper limits: those of the service, and on a logarithmic scale of what is not detected.
    """
    colour, marker = colour_and_marker(index)
    # many of them would make a heavy PDF
    common = {"color": colour, "rasterized": len(points.x) > _HEAVY}
    symbol = {"marker": marker, "markersize": 3, "zorder": 3, "elinewidth": 0.9, "capsize": 0, "linestyle": "none"}
    seen, noise = np.isfinite(points.y), points.noise
    limits = np.zeros(len(points.y), dtype=bool) if points.limits is None else points.limits
    undetected, too_low = seen & limits, np.zeros(len(points.y), dtype=bool)
    height = points.y.copy()
    if axes.get_yscale() == "log":
        detected = (points.y > 0) & ((points.limits is not None) | (points.y >= DETECTED * noise))
        too_low = seen & ~detected & (noise > 0)
        height[too_low] = LIMIT * noise[too_low]
        seen, undetected = seen & detected, (undetected & detected) | too_low
    measured = seen & ~limits
    many = steps and len(points.x) > _MANY
    if steps:
        _draw_steps(axes, points, measured, label if many else "_nolegend_", many=many, style=common)
    if not many:
        chosen = points.among(measured)
        bars = _bars(chosen.error), None if steps else _bars(chosen.widths)
        axes.errorbar(chosen.x, chosen.y, *bars, label=label, **symbol, **common)
    if undetected.any():
        limit, width = height[undetected], _bars(points.widths[..., undetected])
        arrows = {"marker": "none", "zorder": 2, "alpha": 0.5, "elinewidth": 0.7, "capsize": 1.6, "uplims": True}
        # arrows of one length on a logarithmic scale
        axes.errorbar(points.x[undetected], limit, 0.3 * np.abs(limit), width, linestyle="none", **arrows, **common)
    kinds = {SIGMA_LIMITS: too_low, SERVICE_LIMITS: undetected & ~too_low}
    return {kind for kind, drawn in kinds.items() if drawn.any()}


def _bars(lengths: np.ndarray | None) -> np.ndarray | None:
    """Lengths of bars, of which matplotlib takes no negative ones, and old versions not only unknown ones."""
    if lengths is None or not (lengths >= 0).any():
        return None
    return np.where(lengths >= 0, lengths, np.nan)


# ---- steps ----


def is_contiguous(axes: Any, curve: Points) -> bool:
    """Whether there are more than a few bins, most of them one right after the other, without limits among them."""
    has_limits = curve.limits is not None and curve.limits.any()
    if len(curve.x) < _FEW or has_limits or axes.get_yscale() == "log" or not np.isfinite(curve.widths).all():
        return False
    return bool((np.diff(curve.x) > 0).all() and _gaps(curve.x - curve.widths, curve.x + curve.widths).mean() < 0.1)


def _gaps(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether the next bin begins somewhere other than at the end of each, by half a bin."""
    return np.append(np.abs(low[1:] - high[:-1]) > 0.5 * (high - low)[:-1], True)


def _draw_steps(axes: Any, curve: Points, seen: np.ndarray, label: str, *, many: bool, style: dict[str, Any]) -> None:
    """Draw bins from edge to edge, or to the middle between them; many of them with a band of errors."""
    order = np.argsort(curve.x)
    curve, value = curve.among(order), np.where(seen, curve.y, np.nan)[order]
    known = np.nan_to_num(curve.widths) > 0
    middle = (curve.x[1:] + curve.x[:-1]) / 2
    ends = (2 * curve.x[:1] - middle[:1], 2 * curve.x[-1:] - middle[-1:]) if len(middle) else (curve.x, curve.x)
    low = np.where(known, curve.x - curve.widths, np.append(ends[0], middle))
    high = np.where(known, curve.x + curve.widths, np.append(middle, ends[1]))
    # along each bin, then up or down to the next one, or nowhere
    x = np.column_stack([low, high, high]).ravel()
    y = np.column_stack([value, value, np.where(_gaps(low, high), np.nan, value)]).ravel()
    axes.plot(x, y, linewidth=0.8, label=label, zorder=3, **style)
    if many and curve.error is not None:
        below, above = np.repeat(np.broadcast_to(curve.error, (2, len(curve.y))), 3, axis=1)
        axes.fill_between(x, y - below, y + above, alpha=0.25, linewidth=0, **style)


# ---- numbers ----


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
