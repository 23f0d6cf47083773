# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Images of one grid on another.

Intensities are interpolated by splines of fifth order, which keep the height of a source that is two or three pixels
wide: of ISGRI's width they lose 0.1 % at most, cubic splines 0.9 %, which is more than the error of a bright source,
and bilinear interpolation takes 8 % from the brightest pixel. Variance and exposure are maps, interpolated bilinearly.
Pixels without exposure get the values of the nearest one that has some before, so that nothing of the field's edge is
lost and nothing is mixed with zeros; what is exposed is decided apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .skygrids import SkyGrid, Tile, tiles

_Array = np.ndarray[Any, Any]

# pixels; a point on the border of two pixels lies on both
_BORDER = 1e-6
_ORDER = 5  # of the splines


class Planes(NamedTuple):
    """Intensity, variance and exposure of one energy band, and which pixels have all three."""

    intensity: _Array
    variance: _Array
    exposure: _Array
    exposed: _Array

    @classmethod
    def of_arrays(cls, intensity: _Array, variance: _Array, exposure: _Array) -> Planes:
        """Find the pixels that weigh something."""
        with np.errstate(all="ignore"):
            usable = (variance > 0) & (exposure > 0) & np.isfinite(1.0 / variance.astype(float))
        return cls(
            intensity,
            variance,
            exposure,
            usable & np.isfinite(intensity) & np.isfinite(variance) & np.isfinite(exposure),
        )


class Part(NamedTuple):
    """Some pixels of the output: a tile, which of it, and intensity, variance and exposure of those."""

    tile: Tile
    inside: _Array
    intensity: _Array
    variance: _Array
    exposure: _Array


@dataclass(frozen=True)
class Resampling:
    """Where each pixel of the output is in an image; made once for all planes of a mosaic."""

    shift: tuple[int, int] | None
    target: SkyGrid
    places: list[tuple[Tile, _Array, _Array]]  # rows and columns in the image; empty if it is shifted by whole pixels

    @classmethod
    def between(cls, source: SkyGrid, target: SkyGrid) -> Resampling:
        """From one grid to another."""
        from astropy.wcs.utils import pixel_to_pixel

        shift = source.shift_to(target)
        places = []
        for tile in [] if shift is not None else target.tiles_near(source):
            rows, columns = np.mgrid[tile]
            with np.errstate(invalid="ignore"):  # pixels that are not on the sky
                x, y = pixel_to_pixel(target.wcs, source.wcs, columns.astype(float), rows.astype(float))
                inside = (abs(x - (source.shape[1] - 1) / 2) < source.shape[1]) & (
                    abs(y - (source.shape[0] - 1) / 2) < source.shape[0]
                )
            if inside.any():
                places.append((tile, y, x))
        return cls(shift, target, places)

    def parts(self, planes: Planes) -> Iterator[Part]:
        """Pixels of the output that lie on an exposed pixel of the image."""
        if not planes.exposed.any():
            return iter(())
        return self._interpolated(planes) if self.shift is None else self._shifted(planes, *self.shift)

    def _shifted(self, planes: Planes, down: int, right: int) -> Iterator[Part]:
        """Without interpolation."""
        shape = (planes.exposed.shape[0], planes.exposed.shape[1])
        for rows, columns in tiles(shape):
            target = _cut(rows, down, self.target.shape[0]), _cut(columns, right, self.target.shape[1])
            source = _cut(target[0], -down, shape[0]), _cut(target[1], -right, shape[1])
            inside = planes.exposed[source]
            if inside.any():
                yield Part(target, inside, *(plane[source][inside].astype(float) for plane in planes[:3]))

    def _interpolated(self, planes: Planes) -> Iterator[Part]:
        from scipy import ndimage

        filled = _filled(planes)
        spline = ndimage.spline_filter(filled[0], order=_ORDER, mode="mirror")
        exposed = np.pad(planes.exposed, 1)
        for tile, rows, columns in self.places:
            inside = _on_exposed(exposed, rows, columns)
            if inside.any():
                at = np.array([rows[inside], columns[inside]])
                yield Part(
                    tile,
                    inside,
                    ndimage.map_coordinates(spline, at, order=_ORDER, mode="mirror", prefilter=False),
                    *(ndimage.map_coordinates(plane, at, order=1, mode="nearest") for plane in filled[1:]),
                )


def _cut(part: slice, shift: int, size: int) -> slice:
    """Part of an axis, shifted, as far as it is on the other."""
    start, stop = np.clip([part.start + shift, part.stop + shift], 0, size)
    return slice(int(start), int(stop))


def _filled(planes: Planes) -> list[_Array]:
    """Planes in which each pixel without exposure has the value of the nearest one that has some."""
    from scipy import ndimage

    rows, columns = ndimage.distance_transform_edt(~planes.exposed, return_distances=False, return_indices=True)
    return [plane[rows, columns].astype(float) for plane in planes[:3]]


def _on_exposed(exposed: _Array, rows: _Array, columns: _Array) -> _Array:
    """Which points lie on exposed pixels; ``exposed`` has a row and a column more on each side."""
    up, left = _pixel(rows - _BORDER, exposed.shape[0]), _pixel(columns - _BORDER, exposed.shape[1])
    down, right = _pixel(rows + _BORDER, exposed.shape[0]), _pixel(columns + _BORDER, exposed.shape[1])
    found: _Array = exposed[up, left] | exposed[up, right] | exposed[down, left] | exposed[down, right]
    return found


def _pixel(place: _Array, size: int) -> _Array:
    """Number of the pixel; those outside, and what is not a number, are on the margin."""
    number: _Array = np.floor(np.nan_to_num(np.clip(place, -1.0, size - 2.0), nan=-1.0) + 0.5).astype(np.intp)
    return number + 1
