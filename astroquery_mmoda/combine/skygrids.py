# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Grids of pixels on the sky: those of images, the one that holds several, and the one that the user gives."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.coordinates import ICRS, SkyCoord, UnitSphericalRepresentation
from astropy.io import fits

from ..errors import DecodingError, ParameterError, reading
from ..products.image import mend_wcs
from ..text import listed, printable

if TYPE_CHECKING:
    from astropy.wcs import WCS

_Array = np.ndarray[Any, Any]
#: rows and columns
Tile = tuple[slice, slice]

# pixels by which grids may miss whole ones: 0.3 arcsec for ISGRI; FK5 and ICRS differ by 0.02 arcsec
_WHOLE = 1e-3
# points along each side of a grid that stand for all of it
_POINTS = 33
# degrees from the centre up to which a tangential projection stretches a source by less than 1.7
_TANGENTIAL = 40.0
# of a grid that nobody asked for
_MOST_PIXELS = 30_000_000
# rows and columns that are computed at once
_TILE = 256
# what is left to chance where a tile, or a grid, is known by some of its points only
_MARGIN = 1.1
_NUMBERS = re.compile(r"(CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]")
_KEPT = ("WCSAXES", "CTYPE", "CUNIT", "LONPOLE", "LATPOLE", "RADESYS", "EQUINOX", "PV1_", "PV2_")


@dataclass(frozen=True)
class SkyGrid:
    """Celestial coordinates of an image of two axes, and its rows and columns."""

    wcs: WCS
    shape: tuple[int, int]

    @classmethod
    def of_header(cls, header: fits.Header, shape: Sequence[int], what: str) -> SkyGrid:
        """Of a header."""
        with reading(f"the sky coordinates of {what}"):
            return cls.of_wcs(wcs_of(header), shape, what)

    @classmethod
    def of_wcs(cls, wcs: WCS, shape: Sequence[int], what: str) -> SkyGrid:
        """Of coordinates that are checked here."""
        if wcs.naxis != 2 or len(shape) != 2 or {wcs.wcs.lng, wcs.wcs.lat} != {0, 1}:
            raise ParameterError(
                f"{what} must have two axes, both of celestial coordinates (such as RA---TAN, DEC--TAN)."
            )
        if wcs.has_distortion:
            raise ParameterError(f"{what} has coordinates with distortions (such as SIP), which are not supported.")
        if min(shape) < 1:
            raise ParameterError(f"{what} has no pixels: its shape is {tuple(shape)}.")
        require_frame(wcs, what)
        return cls(wcs, (int(shape[0]), int(shape[1])))

    @property
    def key(self) -> str:
        """Something to sort by, so that an order does not matter."""
        numbers = (self.wcs.wcs.crval.tolist(), self.wcs.wcs.crpix.tolist(), self.wcs.pixel_scale_matrix.tolist())
        return f"{self.wcs.to_header_string(relax=True)} {numbers} {self.shape}"

    @cached_property
    def frame(self) -> Any:
        """Celestial frame without data."""
        from astropy.wcs.utils import wcs_to_celestial_frame

        return wcs_to_celestial_frame(self.wcs)

    def shift_to(self, other: SkyGrid) -> tuple[int, int] | None:
        """Rows and columns to add to pixels of this grid for those of another; None if they are not whole numbers."""
        from astropy.wcs.utils import pixel_to_pixel

        rows, columns = _points(self.shape, 5, edge=0.0)
        x, y = pixel_to_pixel(self.wcs, other.wcs, columns, rows)
        moved = np.array([y - rows, x - columns])
        if not np.isfinite(moved).all():
            return None
        shift = np.round(moved[:, :1])
        return (int(shift[0, 0]), int(shift[1, 0])) if (abs(moved - shift) < _WHOLE).all() else None

    def outline(self, frame: Any) -> _Array:
        """Unit vectors (3, points) of points along the edges and inside; without those that are not on the sky."""
        rows, columns = _points(self.shape, _POINTS, edge=0.5)
        found = _vectors(self.wcs, columns, rows, frame)
        return found[:, np.isfinite(found).all(axis=0)]

    def tiles_near(self, other: SkyGrid) -> Iterator[Tile]:
        """Those that another grid may reach."""
        centre, radius = _cap(other.outline(self.frame))
        for tile, (tile_centre, tile_radius) in self._caps:
            distance = np.arccos(np.clip(centre @ tile_centre, -1.0, 1.0))
            if not distance > _MARGIN * (radius + tile_radius):  # also where it is not a number
                yield tile

    @cached_property
    def _caps(self) -> list[tuple[Tile, tuple[_Array, float]]]:
        found = []
        for rows, columns in tiles(self.shape):
            y, x = _points((rows.stop - rows.start, columns.stop - columns.start), 5, edge=0.5)
            found.append(((rows, columns), _cap(_vectors(self.wcs, x + columns.start, y + rows.start, self.frame))))
        return found

    def cards(self) -> list[tuple[str, Any]]:
        """Cards of a header, with all digits."""
        wcs = self.wcs.wcs
        text = self.wcs.to_header(relax=True)
        cards = [(keyword, text[keyword]) for keyword in text if keyword.rstrip("0123456789") in _KEPT]
        cards += [
            (f"{name}{i + 1}", float(getattr(wcs, name.lower())[i])) for name in ("CRPIX", "CRVAL") for i in (0, 1)
        ]
        matrix = self.wcs.pixel_scale_matrix
        return cards + [(f"CD{i + 1}_{j + 1}", float(matrix[i, j])) for i in (0, 1) for j in (0, 1)]


def wcs_of(header: fits.Header) -> WCS:
    """Coordinates of a header as the service, or anybody else, wrote it."""
    from astropy.wcs import WCS  # slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wcslib corrects and completes headers
        mended = header.copy()
        mend_wcs(mended)
        # wcslib takes 0 for a text
        if texts := [key for key in mended if _NUMBERS.fullmatch(key) and isinstance(mended[key], str)]:
            raise DecodingError(f"not a number: {listed(texts)}")
        return WCS(mended)


def require_frame(wcs: WCS, what: str) -> None:
    """Refuse sky coordinates in a frame that astropy does not know."""
    from astropy.wcs.utils import wcs_to_celestial_frame

    try:
        wcs_to_celestial_frame(wcs)
    except ValueError as error:
        raise ParameterError(
            f"{what} has sky coordinates in an unknown frame: RADESYS is {printable(wcs.wcs.radesys, limit=60)!r} "
            "(known: ICRS, FK5, FK4). Correct its header."
        ) from error


def given_grid(wcs: Any) -> SkyGrid:
    """Grid that a user gives: a WCS with its shape, a header, or an image."""
    from astropy.wcs import WCS

    if isinstance(wcs, WCS):
        if wcs.array_shape is None:
            raise ParameterError("wcs= has no shape: set wcs.array_shape = (rows, columns), or give a header or image.")
        return SkyGrid.of_wcs(wcs.deepcopy(), wcs.array_shape, "wcs=")
    header, shape = getattr(wcs, "header", wcs), getattr(wcs, "shape", None)
    if not isinstance(header, fits.Header):
        raise ParameterError(
            f"wcs= must be an astropy.wcs.WCS with array_shape, a header, or an image HDU, not a {type(wcs).__name__}."
        )
    if shape is None:
        shape = [header[f"NAXIS{axis}"] for axis in range(header.get("NAXIS", 0), 0, -1) if f"NAXIS{axis}" in header]
    if len(shape) < 2:
        raise ParameterError("wcs= has no shape: the header needs NAXIS, NAXIS1 and NAXIS2.")
    return SkyGrid.of_header(header, shape, "wcs=")


def common_grid(grids: Iterable[SkyGrid]) -> SkyGrid:
    """Grid that holds all, whatever their order: their own, if they agree up to whole pixels, else a new one."""
    by_key = {grid.key: grid for grid in grids}
    distinct = [by_key[key] for key in sorted(by_key)]
    shifts = [grid.shift_to(distinct[0]) for grid in distinct]
    whole = [shift for shift in shifts if shift is not None]
    if len(whole) < len(distinct):
        return _new_grid(distinct)
    low = np.min(whole, axis=0)
    high = np.max([np.add(shift, grid.shape) for shift, grid in zip(whole, distinct, strict=True)], axis=0)
    return _moved(distinct[0].wcs, low, high - low)


def _new_grid(grids: Sequence[SkyGrid]) -> SkyGrid:
    """The frame of all, else ICRS; the smallest scale; the centre is the mean direction."""
    from astropy.wcs.utils import skycoord_to_pixel
    from reproject.mosaicking import find_optimal_celestial_wcs

    frame = grids[0].frame
    if not all(grid.frame.is_equivalent_frame(frame) for grid in grids):
        frame = ICRS()
    points = np.hstack([grid.outline(frame) for grid in grids])
    centre, radius = _cap(points)
    if not np.isfinite(centre).all():
        raise ParameterError("the mosaics are all over the sky, without a centre: give the grid by wcs=.")
    # an equal-area projection shows all of the sky
    projection = "TAN" if np.degrees(radius) < _TANGENTIAL else "ZEA"
    wcs, _ = find_optimal_celestial_wcs(
        [(grid.shape, grid.wcs) for grid in grids],
        frame=frame,
        projection=projection,
        reference=_sky(centre, frame),
    )
    # it looks at the corners alone, and edges may be curved
    x, y = skycoord_to_pixel(_sky(points, frame), wcs)
    low = np.floor([np.min(y), np.min(x)])
    return _moved(wcs, low, np.ceil([np.max(y), np.max(x)]) - low + 1)


def _moved(wcs: WCS, low: _Array, size: _Array) -> SkyGrid:
    """Grid with the origin at other rows and columns."""
    if not np.prod(size, dtype=float) <= _MOST_PIXELS:
        raise ParameterError(
            f"a grid that holds all mosaics has {size[0]:.0f} x {size[1]:.0f} pixels, more than {_MOST_PIXELS:,} in "
            "all: combine those of one region, or give the grid by wcs=."
        )
    moved = wcs.deepcopy()
    moved.wcs.crpix = moved.wcs.crpix - low[::-1]
    moved.wcs.set()
    return SkyGrid(moved, (int(size[0]), int(size[1])))


def tiles(shape: tuple[int, int]) -> Iterator[Tile]:
    """Parts of at most 256 rows and columns."""
    for row in range(0, shape[0], _TILE):
        for column in range(0, shape[1], _TILE):
            yield slice(row, min(row + _TILE, shape[0])), slice(column, min(column + _TILE, shape[1]))


# ---- points on the sky


def _points(shape: tuple[int, int], count: int, *, edge: float) -> tuple[_Array, _Array]:
    """Rows and columns of points that are spread over a grid, the outermost ``edge`` pixels from the outer centres."""
    axes = [np.linspace(-edge, size - 1 + edge, count) for size in shape]
    rows, columns = np.meshgrid(*axes, indexing="ij")
    return rows.ravel(), columns.ravel()


def _vectors(wcs: WCS, x: _Array, y: _Array, frame: Any) -> _Array:
    from astropy.wcs.utils import pixel_to_skycoord

    return unit_vectors(pixel_to_skycoord(x, y, wcs).transform_to(frame)).T


def unit_vectors(places: SkyCoord) -> _Array:
    """Places as vectors of length 1, along the last axis."""
    found: _Array = places.represent_as(UnitSphericalRepresentation).to_cartesian().get_xyz(xyz_axis=-1).value
    return found


def _cap(vectors: _Array) -> tuple[_Array, float]:
    """Centre and radius (rad) of points on the sky; NaN where they have no centre."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = vectors.mean(axis=1) if vectors.size else np.full(3, np.nan)
        norm = np.linalg.norm(mean)
        centre = mean / norm if norm > 1e-6 else np.full(3, np.nan)
        return centre, float(np.max(np.arccos(np.clip(centre @ vectors, -1.0, 1.0)), initial=0.0))


def _sky(vectors: _Array, frame: Any) -> SkyCoord:
    lon, lat = np.arctan2(vectors[1], vectors[0]), np.arcsin(np.clip(vectors[2], -1.0, 1.0))
    return SkyCoord(lon, lat, unit="rad", frame=frame)
