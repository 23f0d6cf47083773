# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Sources on an image, with names that keep out of each other's way."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from astropy.table import Table

from ..catalog import positions, source_names
from .drawing import literal, plain_numbers

# where a name may go, nearest first: points from the source to the near end of the name
_OFFSETS = [
    (sign_x * x * distance, sign_y * y * distance)
    for distance in (9, 20, 34, 50, 70)
    for x, y in ((1, 0), (0.8, 0.8), (0, 1.3), (0.9, 1.4))
    for sign_x, sign_y in product((1, -1) if x else (1,), (1, -1) if y else (1,))
]
_SIZE = 9.0  # points, of the letters
_FAR = 16.0  # from so many points on, a line leads from a name to its source
_MARK = 5.0  # half width of a mark (points)


def mark_sources(axes: Any, catalog: Table, shape: tuple[int, ...]) -> None:
    """Mark and name the sources of a catalogue that are on an image of this shape."""
    from matplotlib.patheffects import withStroke

    x, y = (np.atleast_1d(values) for values in axes.wcs.world_to_pixel(positions(catalog)))
    # a projection may have no pixel for the other side of the sky
    with np.errstate(invalid="ignore"):
        inside = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    names = np.array([literal(name, limit=40) for name in source_names(catalog) or [""] * len(catalog)], dtype=object)
    new = np.array([name.upper().startswith("NEW") for name in names], dtype=bool)
    column = next((name for name in catalog.colnames if name.lower() == "significance"), None)
    significances = np.zeros(len(catalog)) if column is None else np.nan_to_num(plain_numbers(catalog[column]))
    outline = [withStroke(linewidth=2.4, foreground="black", alpha=0.85)]
    for chosen, marker, edge in ((inside & ~new, "o", "white"), (inside & new, "D", "orange")):
        style = {"facecolors": "none", "linewidths": 1.2, "path_effects": outline}
        axes.scatter(x[chosen], y[chosen], s=90, marker=marker, edgecolors=edge, **style)
    order = [row for row in np.lexsort((-significances, new)) if inside[row]]
    colours = np.where(new, "orange", "white")
    _name_sources(axes, [(names[row], (x[row], y[row]), colours[row]) for row in order], outline)


def _name_sources(axes: Any, sources: list[tuple[str, tuple[float, float], str]], outline: list[Any]) -> None:
    """Write each name where it meets no other one, nor a mark if possible; without such a place it is left out."""
    from matplotlib.transforms import Bbox

    figure = axes.figure.canvas.figure
    # distances on paper are known only after the layout
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().execute(figure)
    axes.apply_aspect()
    pixels = figure.dpi / 72  # in a point
    places = [axes.transData.transform(place) for _, place, _ in sources]
    marks = [Bbox([place - _MARK * pixels, place + _MARK * pixels]) for place in places]
    taken: list[Any] = []
    for name, place, colour in sources:
        measured = axes.text(*place, name, fontsize=_SIZE, ha="center", va="center")
        box = measured.get_window_extent()
        measured.remove()
        boxes = [box.translated(x * pixels + np.sign(x) * box.width / 2, y * pixels) for x, y in _OFFSETS]
        inside = [number for number, box in enumerate(boxes) if all(axes.bbox.contains(*end) for end in box.corners())]
        free = [
            number for others in (taken + marks, taken) for number in inside if not boxes[number].count_overlaps(others)
        ]
        if free:
            taken.append(boxes[free[0]])
            offset = _OFFSETS[free[0]]
            line = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 5}
            axes.annotate(
                name, place, offset, textcoords="offset points", color=colour, fontsize=_SIZE, va="center",
                ha={1.0: "left", -1.0: "right"}.get(np.sign(offset[0]), "center"),
                arrowprops=line if np.hypot(*offset) > _FAR else None, path_effects=outline,
            )  # fmt: skip
