# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Gaussians fitted to sources in mosaics: heights at known places, and the width of bright sources."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .skybands import SkyBand

_Array = np.ndarray[Any, Any]

# exp(-_FALL (r / w)**2) falls to one half at half of the full width w
_FALL = 4.0 * math.log(2.0)
# widths around a source in which pixels are used, weighted by the square root of the Gaussian. With a constant, as
# here, rates at empty places of genuine mosaics scatter by 0.94 to 1.01 of what VARIANCE and noise say, and a width
# that is wrong by 4 % changes a rate by 0.4 %; without, these are 1.3 and 3 %
_REACH = 1.5
# widths from which on a neighbour does not reach into these pixels
_NEIGHBOURS = 3.0
#: widths below which two places can't be separated
TWINS = 0.1
# pixels on each side of a source that are used
_MOST_PIXELS = 16
# pixels that are computed at once
_AT_ONCE = 400_000
# relative sizes below which a singular value is taken as 0
_RANK = 1e-10
_BRIGHT, _MOST_FITS = 20.0, 50


@dataclass(frozen=True)
class Heights:
    """Of each source: the height of its Gaussian, its error, both NaN outside of the field, and the pixel it is in."""

    rate: _Array
    error: _Array
    row: _Array
    column: _Array

    @property
    def is_inside(self) -> _Array:
        """Which sources could be measured."""
        return np.asarray(np.isfinite(self.rate))


def heights(band: SkyBand, x: _Array, y: _Array, vectors: _Array, width: float) -> Heights:
    """Fit Gaussians of one width (rad) at places, given as pixels and as unit vectors in the frame of the image."""
    from scipy.spatial import cKDTree

    rows, columns = _nearest(y, band.shape[0]), _nearest(x, band.shape[1])
    inside = np.flatnonzero((rows >= 0) & (columns >= 0))
    inside = inside[band.is_exposed[rows[inside], columns[inside]]]
    found = Heights(np.full(len(x), np.nan), np.full(len(x), np.nan), rows, columns)
    known = np.nan_to_num(vectors, nan=10.0)  # what has no place is far from all others
    tree = cKDTree(known)
    near = tree.query_ball_point(vectors[inside], _chord(_NEIGHBOURS * width), return_sorted=True)
    # one stands for several that can't be separated
    balls = tree.query_ball_point(known, _chord(TWINS * width))
    first = np.array([min(same) for same in balls], dtype=int)
    for begin, pixels in _stamps(band, x[inside], y[inside], _REACH * width):
        for number, (values, directions) in enumerate(pixels, begin):
            source = int(inside[number])
            others = np.unique(first[near[number]])
            apart = np.linalg.norm(vectors[others] - vectors[source], axis=-1)
            centres = vectors[[source, *others[apart > _chord(TWINS * width)]]]
            height, factor = _height(values, directions, centres, width)
            variance = float(band.variance[rows[source], columns[source]])
            found.rate[source], found.error[source] = height, factor * math.sqrt(variance)
    return found


def _nearest(coordinates: _Array, size: int) -> _Array:
    """Numbers of the pixels that coordinates are in; -1 outside."""
    with np.errstate(invalid="ignore"):
        is_inside = (coordinates > -0.5) & (coordinates < size - 0.5)
    return np.where(is_inside, np.floor(np.where(is_inside, coordinates, 0.0) + 0.5), -1).astype(int)


def _chord(angle: float) -> float:
    return 2.0 * math.sin(min(angle, math.pi) / 2.0)


def _stamps(band: SkyBand, x: _Array, y: _Array, reach: float) -> Iterator[tuple[int, list[tuple[_Array, _Array]]]]:
    """Numbers of sources, and of each from there on: pixels around it (NaN without exposure) and their directions."""
    if not len(x):
        return
    half = min(math.ceil(reach / max(_pixel_size(band, x, y), 1e-12)) + 1, max(band.shape))
    # of pixels that are much smaller than sources, not all are needed
    step = max(1, half // _MOST_PIXELS)
    offsets = np.arange(-(half // step), half // step + 1) * step
    many = max(1, _AT_ONCE // len(offsets) ** 2)
    for begin in range(0, len(x), many):
        chosen = slice(begin, begin + many)
        rows = np.rint(y[chosen]).astype(int)[:, np.newaxis, np.newaxis] + offsets[:, np.newaxis]
        columns = np.rint(x[chosen]).astype(int)[:, np.newaxis, np.newaxis] + offsets
        rows, columns = (each.reshape(len(each), -1) for each in np.broadcast_arrays(rows, columns))
        directions = band.vectors_of(columns, rows)
        is_pixel = (rows >= 0) & (rows < band.shape[0]) & (columns >= 0) & (columns < band.shape[1])
        rows, columns = np.where(is_pixel, rows, 0), np.where(is_pixel, columns, 0)
        values = np.where(is_pixel & band.is_exposed[rows, columns], band.intensity[rows, columns], np.nan)
        yield begin, list(zip(values, directions, strict=True))


def _pixel_size(band: SkyBand, x: _Array, y: _Array) -> float:
    """Least side of the pixels at some places (rad)."""
    here = band.vectors_of(x, y)
    sides = [np.linalg.norm(band.vectors_of(x + step, y + 1 - step) - here, axis=-1) for step in (0, 1)]
    return float(np.nanmin(sides))


def _height(values: _Array, directions: _Array, centres: _Array, width: float) -> tuple[float, float]:
    """Height at the first of some centres, and by what factor its error is larger than that of a pixel."""
    squares = ((directions - centres[0]) ** 2).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        is_near = squares <= _chord(_REACH * width) ** 2
    values, directions = values[is_near], directions[is_near]
    models = np.stack([_gaussian(directions, centre, width) for centre in centres] + [np.ones(len(values))])
    weights = np.sqrt(models[0])
    alone, _ = _solved(models[[0, -1]], weights, np.zeros(len(values)))
    usable = np.isfinite(values)
    variance, height = _solved(models[:, usable], weights[usable], values[usable])
    return height, math.sqrt(max(variance / alone, 1.0))


def _gaussian(directions: _Array, centre: _Array, width: float) -> _Array:
    # the chord is shorter than the arc by one part in 10,000 at 3 deg
    return np.asarray(np.exp(-_FALL * ((directions - centre) ** 2).sum(axis=-1) / width**2))


def _solved(models: _Array, weights: _Array, values: _Array) -> tuple[float, float]:
    """Variance, for values of variance 1/weight, and value of the first coefficient; NaN where others hide it."""
    products = (models * weights) @ models.T
    scales = np.sqrt(np.diag(products))
    scales[scales == 0] = 1.0
    inverse = np.linalg.pinv(products / np.outer(scales, scales), rcond=_RANK, hermitian=True)
    solved = inverse @ ((models * weights) @ values / scales) / scales
    # 1 if the first one does not depend on the others
    resolved = float((inverse @ (products / np.outer(scales, scales)))[0, 0])
    if len(values) < 3 or abs(resolved - 1.0) > 1e-6:
        return math.nan, math.nan
    return float(inverse[0, 0] / scales[0] ** 2), float(solved[0])


# ---- widths


def fitted_widths(band: SkyBand, guess: float | None) -> list[float]:
    """Full widths (rad) of free Gaussians plus a constant, fitted to the single sources above 20 sigma."""
    from scipy.ndimage import maximum_filter

    significance = np.where(band.is_exposed & np.isfinite(band.significance), band.significance, -np.inf)
    bright = significance > _BRIGHT
    if not bright.any():
        return []
    rows, columns = np.nonzero(bright)
    pixel = _pixel_size(band, columns[:1].astype(float), rows[:1].astype(float))
    guess = guess or 3.0 * pixel
    size = 2 * max(1, round(guess / pixel)) + 1
    rows, columns = np.nonzero(bright & (significance == maximum_filter(significance, min(size, max(band.shape)))))
    brightest = np.argsort(-significance[rows, columns], kind="stable")[:_MOST_FITS]
    x, y = columns[brightest].astype(float), rows[brightest].astype(float)
    places = band.vectors_of(x, y)
    apart = np.linalg.norm(places[:, np.newaxis] - places, axis=-1)
    single = np.flatnonzero((apart < _chord(_NEIGHBOURS * guess)).sum(axis=1) == 1)
    widths = []
    for _, pixels in _stamps(band, x[single], y[single], 2.0 * guess):
        widths += [_free_width(*stamp, guess) for stamp in pixels]
    return [width for width in widths if guess / 3 < width < 3 * guess]


def _free_width(values: _Array, directions: _Array, guess: float) -> float:
    """Full width (rad) of a free Gaussian plus a constant; 0 if it can't be fitted."""
    from scipy.optimize import least_squares

    centre = directions[len(directions) // 2]
    across = np.cross([0.0, 0.0, 1.0] if abs(centre[2]) < 0.9 else [1.0, 0.0, 0.0], centre)
    across /= np.linalg.norm(across)
    plane = np.stack([directions @ across, directions @ np.cross(centre, across)]) / guess
    usable = np.isfinite(values) & (np.hypot(*plane) <= 2.0)
    peak = values[len(values) // 2]
    if usable.sum() <= 5 or not peak > 0:
        return 0.0
    values, plane = values[usable] / peak, plane[:, usable]

    def residuals(of: _Array) -> _Array:
        squares = (plane[0] - of[1]) ** 2 + (plane[1] - of[2]) ** 2
        return np.asarray(of[0] * np.exp(-_FALL * squares / of[3] ** 2) + of[4] - values)

    fit = least_squares(residuals, [1.0, 0.0, 0.0, 1.0, 0.0], max_nfev=200)
    is_good = fit.success and fit.x[0] > 0 and math.hypot(fit.x[1], fit.x[2]) < 0.5
    return abs(float(fit.x[3])) * guess if is_good else 0.0
