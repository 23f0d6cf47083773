# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Sources on an image, with names that keep out of each other's way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.table import Table

from ..catalog import positions, source_names
from .drawing import literal, plain_numbers

# points: of the letters, around a mark, and from where on a line leads from a name to its mark
_SIZE, _MARK, _FAR = 9.0, 6.0, 16.0
# a name of which more than this part would be upon other names is left out
_HIDDEN = 0.1
# where a name may go, nearest first (points from the source to the near end of the name)
_OFFSETS = np.array(
    [
        (sign_x * distance * cos, sign_y * distance * sin)
        for distance in (9, 20, 34, 50, 70)
        for cos, sin in ((1, 0), (0.8, 0.8), (0, 1.3), (0.9, 1.4))
        for sign_x in ((1, -1) if cos else (1,))
        for sign_y in ((1, -1) if sin else (1,))
    ]
)


def mark_sources(axes: Any, catalog: Table, shape: tuple[int, ...]) -> None:
    """Mark and name the sources of a catalogue that are on an image of this shape."""
    from matplotlib.patheffects import withStroke

    x, y = (np.atleast_1d(values) for values in axes.wcs.world_to_pixel(positions(catalog)))
    # a projection may have no place for the other side of the sky
    with np.errstate(invalid="ignore"):
        inside = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    names = np.array([literal(name, limit=40) for name in source_names(catalog) or [""] * len(catalog)], dtype=object)
    new = np.array([name.upper().startswith("NEW") for name in names], dtype=bool)
    x, y, names, new, significances = (values[inside] for values in (x, y, names, new, _significances(catalog)))
    outline = [withStroke(linewidth=2.4, foreground="black", alpha=0.85)]
    for chosen, marker, edge in ((~new, "o", "white"), (new, "D", "orange")):
        if chosen.any():
            style = {"facecolors": "none", "linewidths": 1.2, "path_effects": outline}
            axes.scatter(x[chosen], y[chosen], s=90, marker=marker, edgecolors=edge, **style)
    if len(names):
        order = np.lexsort((-significances, new))
        _name_sources(axes, np.column_stack([x, y])[order], names[order], new[order], outline)


def _significances(catalog: Table) -> np.ndarray:
    name = next((name for name in catalog.colnames if name.lower() == "significance"), None)
    return np.zeros(len(catalog)) if name is None else np.nan_to_num(plain_numbers(catalog[name]))


# ---- where names go ----


def _name_sources(axes: Any, places: np.ndarray, names: np.ndarray, new: np.ndarray, outline: list[Any]) -> None:
    """Write names next to their sources, moved away from each other where they would overlap."""
    figure = axes.figure.canvas.figure
    # distances on paper are known only after the layout
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
    axes.apply_aspect()
    points = figure.dpi / 72
    offsets = _spread(axes.transData.transform(places) / points, _text_widths(names), axes.bbox.extents / points)
    for place, name, is_new, offset in zip(places, names, new, offsets, strict=True):
        if offset is None:
            continue
        colour = "orange" if is_new else "white"
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 5}
        axes.annotate(
            name, place, tuple(offset), textcoords="offset points", color=colour, fontsize=_SIZE, va="center",
            ha={1.0: "left", -1.0: "right"}.get(np.sign(offset[0]), "center"),
            arrowprops=line if np.hypot(*offset) > _FAR else None, path_effects=outline,
        )  # fmt: skip


def _text_widths(names: Iterable[str]) -> list[float]:
    """Measure names (points), their outline included."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=_SIZE)
    return [text_to_path.get_text_width_height_descent(name, font, ismath=False)[0] + 3 for name in names]


def _spread(places: np.ndarray, widths: list[float], limits: np.ndarray) -> list[np.ndarray | None]:
    """Offset of each name (points) so that it meets neither a name before it nor a mark, or None for want of room."""
    marks = np.concatenate([places - _MARK, places + _MARK], axis=1)
    taken = np.empty((0, 4))
    offsets: list[np.ndarray | None] = []
    for own, (place, width) in enumerate(zip(places, widths, strict=True)):
        boxes = _boxes(place, width)
        area = width * 1.3 * _SIZE
        upon_names = _common(boxes, taken).sum(axis=1)
        upon_marks = _common(boxes, np.delete(marks, own, axis=0)).sum(axis=1)
        # a name that is cut off is worse than one upon another
        outside = 5 * (area - _common(boxes, limits[np.newaxis]).sum(axis=1))
        costs = 2 * upon_names + upon_marks + outside + 0.5 * np.hypot(*_OFFSETS.T)
        # the first of equal ones, whatever the last digits are
        best = int(np.argmin(np.round(costs, 3)))
        room = upon_names[best] <= _HIDDEN * area
        offsets.append(_OFFSETS[best] if room else None)
        taken = np.concatenate([taken, boxes[best : best + 1]]) if room else taken
    return offsets


def _boxes(place: np.ndarray, width: float) -> np.ndarray:
    """Left, bottom, right, top of a name at each of the offsets."""
    x, y = (place + _OFFSETS).T
    left = np.where(_OFFSETS[:, 0] > 0, x, np.where(_OFFSETS[:, 0] < 0, x - width, x - width / 2))
    height = 1.3 * _SIZE
    return np.column_stack([left, y - height / 2, left + width, y + height / 2])


def _common(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Area that each box has in common with each of the others."""
    low = np.maximum(boxes[:, np.newaxis, :2], others[:, :2])
    high = np.minimum(boxes[:, np.newaxis, 2:], others[:, 2:])
    return np.prod(np.maximum(high - low, 0), axis=-1)
