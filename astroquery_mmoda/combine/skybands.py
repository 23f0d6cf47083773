# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Energy bands of a mosaic: intensities with their variances and their places on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits

from ..errors import ParameterError, reading
from ..products.cards import card_value, energy_band
from ..text import listed, printable
from ..units import known_unit, read_unit
from .mosaics import images_by_band
from .skygrids import require_frame, unit_vectors, wcs_of

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.wcs import WCS

_Array = np.ndarray[Any, Any]
_NORMAL = 1.4826  # standard deviation of normally distributed numbers, in their median absolute deviations


@dataclass(frozen=True)
class SkyBand:
    """
    Maps of one energy band.

    Attributes
    ----------
    intensity, variance, significance : array
        Pixels, (ny, nx), in the data type of the file.
    exposure : array or None
        Seconds.
    is_exposed : array of bool
        Where the others have values.
    wcs : `~astropy.wcs.WCS`
        Of these pixels.
    unit : unit
        Of the intensities.
    energies : pair of float or None
        keV.
    header : `~astropy.io.fits.Header`
        Of the intensities.
    """

    intensity: _Array
    variance: _Array
    significance: _Array
    exposure: _Array | None
    is_exposed: _Array
    wcs: WCS
    unit: u.UnitBase
    energies: tuple[float, float] | None
    header: fits.Header

    @classmethod
    def of_maps(cls, maps: dict[str, Any], number: int) -> SkyBand:
        """Of HDUs by their names."""
        what = f"band {number} of the mosaic"
        with reading(what):
            planes = {name: _plane(hdu, what) for name, hdu in maps.items()}
            if len({plane.shape for plane in planes.values()}) > 1:
                raise ParameterError(f"{what}: its images have different sizes.")
            intensity, variance = planes["INTENSITY"], planes["VARIANCE"]
            with np.errstate(invalid="ignore", divide="ignore"):
                is_exposed = np.isfinite(intensity) & (variance > 0) & np.isfinite(variance)
                exposure = planes.get("EXPOSURE")
                if exposure is not None:
                    is_exposed &= exposure > 0
                    unit = known_unit(card_value(maps["EXPOSURE"].header, "BUNIT"))
                    if unit is not None and unit != u.s and unit.is_equivalent(u.s):
                        exposure = exposure * float(unit.to(u.s))
                significance = planes.get("SIGNIFICANCE")
                if significance is None:
                    significance = intensity / np.sqrt(variance)
            header = maps["INTENSITY"].header
            return cls(
                intensity,
                variance,
                significance,
                exposure,
                is_exposed,
                _coordinates(header, what),
                read_unit(card_value(header, "BUNIT")) or u.dimensionless_unscaled,
                energy_band(header),
                header,
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.intensity.shape[0], self.intensity.shape[1]

    def pixel_size(self) -> float:
        """Least side of a pixel at the reference point of the projection (rad)."""
        from astropy.wcs.utils import proj_plane_pixel_scales

        return float(np.radians(np.min(proj_plane_pixel_scales(self.wcs))))

    def noise(self) -> float:
        """Robust width of SIGNIFICANCE in the field, at least 1; NaN where there is no field."""
        values = self.significance[self.is_exposed & np.isfinite(self.significance)]
        if not values.size:
            return float("nan")
        return max(1.0, _NORMAL * float(np.median(np.abs(values - np.median(values)))))

    def pixels_of(self, places: SkyCoord) -> tuple[_Array, _Array]:
        """Column and row of places, with fractions; NaN where the projection has none."""
        with np.errstate(invalid="ignore"):
            x, y = self.wcs.world_to_pixel(places)
        return np.atleast_1d(x), np.atleast_1d(y)

    def vectors_of(self, x: _Array, y: _Array) -> _Array:
        """Unit vectors to pixels in the frame of the image, NaN beyond the projection."""
        with np.errstate(invalid="ignore"):
            places = self.wcs.pixel_to_world(x, y)
        return unit_vectors(places)


def sky_bands(mosaic: fits.HDUList) -> list[SkyBand]:
    """Bands of a mosaic from the lowest to the highest."""
    if not isinstance(mosaic, fits.HDUList):
        raise ParameterError(
            "mosaic must be an HDUList, as query_image or combine_images returns it (or astropy.io.fits.open of a file "
            f"that was written from it), not {printable(type(mosaic).__name__)}."
        )
    images = [hdu for hdu in mosaic if getattr(hdu, "is_image", False) and hdu.header.get("NAXIS", 0) >= 2]
    names = ("INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE")
    bands = [maps for _, maps in images_by_band(images, names) if "INTENSITY" in maps]
    if not bands or any("VARIANCE" not in maps for maps in bands):
        present = listed(f"{hdu.name} {hdu.ver}" for hdu in images)
        raise ParameterError(
            "Rates need an INTENSITY and a VARIANCE of each energy band, as the images of ISGRI and JEM-X have them; "
            f"images present: {present}. Errors can't be measured in others."
        )
    return [SkyBand.of_maps(maps, number) for number, maps in enumerate(bands, start=1)]


def _plane(hdu: Any, what: str) -> _Array:
    data = np.asarray(hdu.data)
    if data.ndim < 2 or data.size != data.shape[-1] * data.shape[-2]:
        raise ParameterError(f"{what}: {hdu.name} must have two dimensions, not {data.ndim}.")
    return data.reshape(data.shape[-2:])


def _coordinates(header: fits.Header, what: str) -> WCS:
    whole = wcs_of(header)
    if not whole.has_celestial or {whole.wcs.lng, whole.wcs.lat} != {0, 1}:
        raise ParameterError(f"{what}: its first two axes must be sky coordinates.")
    require_frame(whole, what)
    return whole if whole.naxis == 2 else whole.celestial
