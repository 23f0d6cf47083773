# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Words on plots: labels of axes and curves, legends, notes in a corner, units and bands."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import nan
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from astropy import units as u

from ..text import printable
from ..units import known_unit

#: what legends say of arrows: those at so many standard deviations, and those that the service sent
SIGMA_LIMITS, SERVICE_LIMITS = r"3$\sigma$ upper limits", "upper limits"
# of energy bands, in keV
_BAND_UNITS = ((1e9, "TeV"), (1e6, "GeV"))
# of exposures, in s
_LENGTHS = ((1e6, "Ms"), (1e3, "ks"))
# inches: axes that have no space beside them for names, and a figure that has
_NARROW, _WIDE = 3.0, (8.2, 4.4)
_CORNERS = {"upper right": (1, 1), "upper left": (0, 1), "lower left": (0, 0), "lower right": (1, 0)}
_MOST_BARS = 2000
# between words, but not before a unit
_BREAKS = re.compile(r" (?![kGT]?eV\b)")
_MARGIN = 5.0  # points between a text in a corner and the axes


@dataclass(frozen=True)
class CurveLabel:
    """What tells a curve from others on the same axes, for its label, and its exposure (s)."""

    name: str
    instrument: str = ""
    band: str = ""
    exposure: float = field(default=nan, compare=False)


# curves on axes and their numbers, by label; and the text in the corner
_DRAWN: WeakKeyDictionary[Any, dict[str, tuple[CurveLabel, int]]] = WeakKeyDictionary()
_NOTES: WeakKeyDictionary[Any, ref[Any]] = WeakKeyDictionary()


# ---- axes ----


def write_label(axes: Any, which: str, text: str, **place: Any) -> None:
    """Label the x or y axis; of axes that share it, only the lowest, or the one on the left."""
    outer = outer_axes(axes, which)
    if outer is not axes:
        side = "bottom" if which == "x" else "left"
        axes.tick_params(axis=which, which="both", **{f"label{side}": False})
        getattr(axes, f"{which}axis").get_offset_text().set_visible(False)
        axes.set(**{f"{which}label": ""})
    if outer is axes or not getattr(outer, f"get_{which}label")():
        length = outer.bbox.width if which == "x" else outer.bbox.height
        getattr(outer, f"set_{which}label")(_in_lines(axes, text, length), **place)


def outer_axes(axes: Any, which: str) -> Any:
    """Of the axes that share the x or y axis: the lowest in the same column, or that on the left in the same row."""
    siblings = getattr(axes, f"get_shared_{which}_axes")().get_siblings(axes)
    near, low, high = ("y0", "x0", "x1") if which == "x" else ("x0", "y0", "y1")
    own = axes.get_position()

    def is_before(place: Any) -> bool:
        in_line = getattr(place, low) < getattr(own, high) and getattr(own, low) < getattr(place, high)
        return in_line and getattr(place, near) < getattr(own, near) - 1e-3

    others = [other for other in siblings if other.figure is axes.figure and is_before(other.get_position())]
    return min(others, key=lambda other: getattr(other.get_position(), near), default=axes)


def _in_lines(axes: Any, text: str, length: float, size: Any = None) -> str:
    """Break a text between words where it would be longer than so many pixels."""
    measured = axes.figure.text(0, 0, "", fontsize=size)
    lines = [""]
    for word in _BREAKS.split(text):
        measured.set_text(f"{lines[-1]} {word}".strip())
        if lines[-1] and measured.get_window_extent().width > length:
            lines.append(word)
        else:
            lines[-1] = measured.get_text()
    measured.remove()
    return "\n".join(lines)


def note(axes: Any, text: str, *, y: float = 0.5) -> None:
    """Say why there is nothing to be seen."""
    axes.text(0.5, y, text, ha="center", va="center", transform=axes.transAxes, fontsize="large")


# ---- curves ----


def register(axes: Any, curve: CurveLabel) -> tuple[str, int]:
    """Give a curve its label, for the time being, and its number; one that is there already has no other label."""
    present = axes.get_legend_handles_labels()[1]
    known = {label: entry for label, entry in _DRAWN.get(axes, {}).items() if label in present}
    for other, number in known.values():
        if other == curve:
            return "_nolegend_", number
    number = sum(not label.startswith((SIGMA_LIMITS, SERVICE_LIMITS)) for label in present)
    label = repr(curve)
    _DRAWN[axes] = {**known, label: (curve, number)}
    return label, number


def name_limits(axes: Any, name: str, addition: str = "") -> None:
    """Say once in the legend what arrows are."""
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
        if label.startswith(name):
            handle.set_label(name + addition)
            return
    style = {"marker": r"$\downarrow$", "markersize": 4, "linestyle": "none", "color": "0.5"}
    axes.plot([], [], label=name + addition, **style)


def name_curves(axes: Any, *, inside: int, widen: bool) -> None:
    """Write the legend, and in a corner what all curves have in common."""
    handles, labels = axes.get_legend_handles_labels()
    known = {label: entry for label, entry in _DRAWN.get(axes, {}).items() if label in labels}
    curves = [curve for curve, _ in known.values()]
    instruments, bands = ({getattr(curve, part) for curve in curves} for part in ("instrument", "band"))
    renamed = {}
    for label, (curve, number) in known.items():
        instrument = f" ({curve.instrument})" if len(instruments) > 1 and curve.instrument else ""
        band = f" {curve.band}" if len(bands) > 1 and curve.band else ""
        renamed[label] = curve.name + instrument + band
        _DRAWN[axes][renamed[label]] = curve, number
    labels = [renamed.get(label, label) for label in labels]
    for handle, label in zip(handles, labels, strict=True):
        handle.set_label(label)
    taken = [_legend(axes, handles, labels, inside=inside, widen=widen).get_window_extent()] if labels else []
    exposures = [curve.exposure for curve in curves if curve.exposure > 0]
    lines = [*(bands if len(bands) == 1 else []), exposure_text(exposures)]
    if (drawn := write_in_corner(axes, lines, "upper left")) is not None:
        corner, _ = _emptiest(axes, drawn.get_window_extent(), *taken)
        write_in_corner(axes, lines, corner)


def _legend(axes: Any, handles: list[Any], labels: list[str], *, inside: int, widen: bool) -> Any:
    """Name so many curves in the emptiest corner, more of them beside or above the data."""
    width, height = _space_of(axes)
    # markers tell curves apart; what arrows are comes last
    style: dict[str, Any] = {"fontsize": "small", "markerscale": 1.6, "framealpha": 0.8, "edgecolor": "none"}
    order = sorted(range(len(labels)), key=lambda number: labels[number].startswith((SIGMA_LIMITS, SERVICE_LIMITS)))

    def make(**place: Any) -> Any:
        texts = [_in_lines(axes, labels[number], 0.45 * width, style["fontsize"]) for number in order]
        return axes.legend([handles[number] for number in order], texts, **style, **place)

    # only a layout engine makes space beside or above the axes
    has_space = axes.figure.get_layout_engine() is not None
    is_narrow = axes.bbox.width < _NARROW * axes.figure.dpi
    spec = axes.get_subplotspec()
    # beside them it would take space from other axes
    is_last = spec is None or spec.get_gridspec().ncols == 1
    if has_space and is_last and not is_narrow and len(labels) > inside:
        if widen:
            axes.figure.set_size_inches(_WIDE)
        return make(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0.0, ncols=-(-len(labels) // 24))
    legend = make(loc="upper right")
    corner, points = _emptiest(axes, legend.get_window_extent())
    if not (has_space and ((is_narrow and points) or len(labels) > inside)):
        # among many points, looking for another empty place takes long
        return make(loc="best" if 0 < points < _MOST_BARS else corner)
    style |= {"borderaxespad": 0.6, "handlelength": 1.2, "handletextpad": 0.5, "columnspacing": 1.0}
    for style["fontsize"], columns in itertools.product(("small", "x-small", "xx-small"), (3, 2, 1)):
        box = make(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns).get_window_extent()
        if box.width <= 0.95 * width and box.height <= 0.4 * height:
            return axes.get_legend()
    legend = make(loc="upper right")
    legend.set_in_layout(False)  # there would be no space for the data
    return legend


def _space_of(axes: Any) -> tuple[float, float]:
    """Width and height in pixels of the part of the figure where axes are, with what is around them."""
    width, height = axes.figure.bbox.size
    spec = axes.get_subplotspec()
    if spec is None:
        return width, height
    columns, rows = spec.get_gridspec().get_width_ratios(), spec.get_gridspec().get_height_ratios()
    part = sum(columns[n] for n in spec.colspan) / sum(columns), sum(rows[n] for n in spec.rowspan) / sum(rows)
    return width * part[0], height * part[1]


# ---- corners ----


def write_in_corner(axes: Any, lines: Iterable[str], corner: str, **style: Any) -> Any:
    """Write lines into a corner, in the place of what was written there before."""
    before = _NOTES.pop(axes, None)
    drawn = before() if before else None
    if drawn is not None and drawn.axes is axes:
        drawn.remove()
    text = "\n".join(line for line in lines if line)
    if not text:
        return None
    x, y = _CORNERS[corner]
    place = (x, y), (_MARGIN * (1 - 2 * x), _MARGIN * (1 - 2 * y))
    align = {"ha": ("left", "right")[x], "va": ("bottom", "top")[y]}
    units = {"xycoords": "axes fraction", "textcoords": "offset points"}
    behind = {"facecolor": axes.get_facecolor(), "edgecolor": "none", "alpha": 0.8, "pad": 1}
    drawn = axes.annotate(text, *place, **units, **align, **{"fontsize": "small", "bbox": behind, **style})
    _NOTES[axes] = ref(drawn)
    return drawn


def _emptiest(axes: Any, box: Any, *taken: Any) -> tuple[str, int]:
    """Find the corner where a box of this size covers the fewest points, and none of those boxes; and how many."""
    from matplotlib.transforms import Bbox

    pixels = 2 * _MARGIN * axes.figure.dpi / 72
    width, height = (box.width + pixels) / axes.bbox.width, (box.height + pixels) / axes.bbox.height
    axes.get_xlim()  # the limits of the axes are worked out when they are asked for
    # of very many bars, those of the points in between say the same
    lines = [bars for bars in axes.collections if hasattr(bars, "get_segments") and len(bars.get_paths()) < _MOST_BARS]
    bars = (bars.get_segments() for bars in lines)
    ends = np.array([bar for bar in itertools.chain(*bars) if len(bar) == 2]).reshape(-1, 2, 2)
    along = [part * ends[:, 0] + (1 - part) * ends[:, 1] for part in np.linspace(0, 1, 8)]
    drawn = np.concatenate([*(line.get_xydata() for line in axes.lines), *along])
    with np.errstate(all="ignore"):
        x, y = (axes.transScale + axes.transLimits).transform(drawn).T

    def covered(corner: str) -> int:
        right, top = _CORNERS[corner]
        left, bottom = right * (1 - width), top * (1 - height)
        place = Bbox.from_bounds(left, bottom, width, height).transformed(axes.transAxes)
        inside = (x > left) & (x < left + width) & (y > bottom) & (y < bottom + height)
        return int(inside.sum()) + (len(drawn) + 1) * place.count_overlaps(taken)

    corner = min(_CORNERS, key=covered)
    return corner, covered(corner)


# ---- texts ----


def literal(name: Any, limit: int = 60) -> str:
    """Make a name safe to draw: matplotlib takes what is between two dollars for a formula."""
    return printable(name, limit=limit).replace("$", r"\$")


def band_text(low: Any, high: Any) -> str:
    """Write an energy band given in keV, or nothing where it is unknown."""
    if not all(isinstance(bound, (int, float)) and np.isfinite(bound) for bound in (low, high)):
        return ""
    size, unit = next((each for each in _BAND_UNITS if low >= each[0]), (1, "keV"))
    return f"{low / size:.4g}\N{EN DASH}{high / size:.4g} {unit}"


def range_text(values: list[float], unit: str) -> str:
    """Write the range of numbers with three digits, or the one that all are."""
    ends = dict.fromkeys(f"{float(f'{value:.3g}'):g}" for value in (min(values), max(values)))
    return "\N{EN DASH}".join(ends) + f" {unit}"


def exposure_text(exposures: list[float], word: str = "Exposure") -> str:
    """Write exposures given in s, or nothing without any."""
    if not exposures:
        return ""
    size, unit = next((each for each in _LENGTHS if max(exposures) >= each[0]), (1, "s"))
    return f"{word} {range_text([exposure / size for exposure in exposures], unit)}"


def unit_text(unit: Any) -> str:
    """Write a unit for a label, or nothing where there is none."""
    parsed = known_unit(unit) if isinstance(unit, str) else unit
    if parsed is None:
        return literal(unit or "", limit=40)
    return "" if parsed == u.dimensionless_unscaled else parsed.to_string("latex_inline")


def quantity_label(title: str, unit: str) -> str:
    """Write what an axis or a bar shows."""
    return title + (f" ({unit})" if unit else "")
