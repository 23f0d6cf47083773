# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Rates of sources at known places, measured in mosaics."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astroquery.exceptions import InputWarning

from ..catalog import Positions, read_positions
from ..errors import ParameterError, reading, valid, warn
from ..instruments import image_width
from ..markup import show_rounded
from ..products.cards import PROVENANCE_CARDS, card_value
from ..products.mergeable import mergeable
from ..request.positions import designation
from ..request.source_list import named_positions, table_given
from ..text import listed
from ..units import refuse_unusual
from .extra import require_extra
from .gaussians import TWINS, Heights, fitted_widths, heights
from .skybands import SkyBand, sky_bands
from .skygrids import unit_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_Array = np.ndarray[Any, Any]

# short ones, so that a row fits into a terminal
_FORMATS = {
    **{"ra": ".4f", "dec": ".4f", "e_min": ".5g", "e_max": ".5g", "rate": ".4g", "rate_error": ".3g"},
    **{"significance": ".2f", "upper_limit": ".4g", "exposure": ".0f", "noise": ".2f"},
}
_ARCMIN = math.radians(1.0 / 60.0)


def measure_rates(
    mosaic: fits.HDUList,
    sources: Table | fits.HDUList | SkyCoord | Mapping[str, Any] | str | Path,
    *,
    nsigma: float = 3,
    fwhm: u.Quantity | str | None = None,
) -> Table:
    """
    Measure rates of sources in a mosaic, with errors and upper limits.

    The rate is the height of a Gaussian of fixed width at the place of the source, fitted together with a constant and
    with the other sources that reach into the same pixels (those within three widths), by least squares. No position is
    free, so that the rate of a source that is not there scatters around 0.

    Parameters
    ----------
    mosaic : HDUList
        As ``query_image`` or `combine_images` returns it, or a file of INTEGRAL's own software: ``INTENSITY`` and
        ``VARIANCE`` of each energy band, and best ``SIGNIFICANCE`` and ``EXPOSURE``, on any grid that has sky
        coordinates.
    sources : Table, HDUList, SkyCoord, dict, str or Path
        A Table of sources as in ``catalog=`` (names are not resolved here), an image with its ``CATALOG``, a dict in
        the service's form, the path of an ECSV, FITS or JSON file, or one or several positions. Give all bright sources
        of the field: neighbours are separated only from those that are listed.
    nsigma : float
        Of the upper limits: standard deviations above the rate, or above 0 where that is negative.
    fwhm : `~astropy.units.Quantity` or str, optional
        Full width at half maximum of a source in the mosaic, an angle. By default the median of those that a free
        Gaussian has at single sources above 20 sigma in this mosaic; without such, that of the instrument (ISGRI 14
        arcmin, JEM-X 3.3 arcmin).

    Returns
    -------
    Table
        One row for each source and band, bands of a source in order of energy:

        - ``src_name``; ``ra``, ``dec`` (deg, in the frame of ``meta["FRAME"]``); ``e_min``, ``e_max`` (keV);
        - ``rate`` in the unit of the mosaic (BUNIT);
        - ``rate_error``: sqrt(VARIANCE) of the pixel at the place, larger by the covariance with overlapping neighbours
          and where pixels around it have no exposure;
        - ``significance``: rate / (rate_error noise);
        - ``upper_limit``: max(rate, 0) + nsigma rate_error noise, for every row;
        - ``exposure`` (s) at the place;
        - ``noise``: width of SIGNIFICANCE in the field of that band, 1.4826 times its median absolute deviation, at
          least 1. It is above 1 where there are systematic errors.

        Masked outside of the field, and where neighbours leave no pixels to a source. ``meta`` has the width (``FWHM``,
        arcmin), where it is from (``FWHMFROM``), and ``NSIGMA``.

    Raises
    ------
    ParameterError
        The mosaic lacks INTENSITY or VARIANCE or sky coordinates, the sources have no positions, ``nsigma`` or ``fwhm``
        make no sense, or nothing tells the width.
    ImportError
        The extra ``combine`` is missing.

    Notes
    -----
    Errors are those of VARIANCE and not those of the fit, since neighbouring pixels of such images have the same noise:
    a least-squares fit takes them for independent and finds errors that are too small by half. A Gaussian of the width
    of the point-spread function at a known place is also what INTEGRAL's own software fits (``mosaic_spec``; IBIS
    Analysis User Manual). Pixels are weighted by the square root of the Gaussian up to 1.5 widths from the place. The
    factor by which neighbours enlarge an error is that of the inverse of the weighted normal matrix.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> from astroquery_mmoda.combine import measure_rates
    >>> mosaic = Mmoda.query_image("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58246.892),
    ...                            max_pointings=10)
    >>> rates = measure_rates(mosaic, mosaic)  # of the sources in its CATALOG
    >>> str(rates["src_name"][0]), str(rates["rate"].unit)
    ('MAXI J1820+070', 'ct / s')
    """
    require_extra()
    factor, width = _nsigma(nsigma), _given_width(fwhm)
    bands = sky_bands(mosaic)
    names, places = _named(sources)
    width, origin = _width_of(bands, width)
    _require_sampled(bands, width)
    table = _table(bands, names, places, width, factor)
    first = mosaic[0].header
    meta = {key: str(value) for key in PROVENANCE_CARDS if (value := card_value(first, key)) is not None}
    meta |= {"FRAME": places.frame, "LON_NAME": "ra", "LAT_NAME": "dec"}
    table.meta = mergeable({**meta, "FWHM": round(width / _ARCMIN, 4), "FWHMFROM": origin, "NSIGMA": factor})
    return table


# ---- what is given


def _nsigma(value: Any) -> float:
    with valid("nsigma", value, "number of standard deviations", "Give a number above 0, such as 3."):
        refuse_unusual(value)
        if not isinstance(value, (Real, u.Quantity)):
            raise TypeError(f"a {type(value).__name__}")
        number = float(u.Quantity(value).to_value(u.dimensionless_unscaled))
        if not 0 < number < math.inf:
            raise ValueError("it must be above 0 and finite")
    return number


def _given_width(fwhm: Any) -> float | None:
    """The width in radians, None if it is not given."""
    if fwhm is None:
        return None
    with valid("fwhm", fwhm, "angle", "Give a Quantity, such as 14*u.arcmin."):
        refuse_unusual(fwhm)
        width = float(u.Quantity(fwhm).to_value(u.rad))
        if not 0 < width < math.radians(20):
            raise ValueError("it must be above 0 and below 20 deg")
    return width


def _named(sources: Any) -> tuple[list[str], Positions]:
    """Names and equatorial positions of sources."""
    if isinstance(sources, SkyCoord):
        places = read_positions(Table({"position": sources.reshape(-1)}))
        if not np.isfinite([places.lon, places.lat]).all():
            raise ParameterError("sources: a position is not finite.")
        return [designation(place) for place in places.as_sky_coord().reshape(-1).icrs], places
    if isinstance(sources, (list, tuple)) and not isinstance(sources, fits.HDUList):
        raise ParameterError(
            "sources must be a Table with names and positions, an image with CATALOG, a SkyCoord, a dict in the "
            "service's form or a path; names alone are not resolved here: use Mmoda.resolve_name."
        )
    try:
        names, places = named_positions(table_given(sources))
    except ParameterError as error:
        raise ParameterError(f"sources: {error}") from error
    if places.frame not in ("fk5", "icrs", "fk4"):
        there = places.as_sky_coord().icrs
        places = Positions(np.round(there.ra.deg, 9), np.round(there.dec.deg, 9), "icrs")
    return names, places


def _width_of(bands: list[SkyBand], given: float | None) -> tuple[float, str]:
    """Width of all sources (rad), and where it is from."""
    if given is not None:
        return given, "given"
    names = [str(card_value(bands[0].header, keyword) or "") for keyword in ("INSTRUME", "DETNAM")]
    typical = image_width(*names)
    guess = None if typical is None else typical * _ARCMIN
    widths = [width for band in bands for width in fitted_widths(band, guess)]
    if widths:
        return float(np.median(widths)), f"median of {len(widths)} fitted above 20 sigma"
    if guess is None:
        what = " ".join(names).strip() or "this instrument"
        raise ParameterError(
            f"The width of sources in images of {listed([what])} is not known, and "
            "no source above 20 sigma shows it: give fwhm=, such as 14*u.arcmin."
        )
    return guess, "typical of the instrument"


def _require_sampled(bands: list[SkyBand], width: float) -> None:
    """Refuse a width that is less than a pixel."""
    for band in bands:
        pixel = band.pixel_size()
        if width < pixel:
            raise ParameterError(
                f"A full width (fwhm) of {width / _ARCMIN:.3g} arcmin is less than a pixel of this mosaic, which has "
                f"{pixel / _ARCMIN:.3g} arcmin: give that of a source in it."
            )


# ---- the result


def _table(bands: list[SkyBand], names: list[str], places: Positions, width: float, factor: float) -> Table:
    """Rows of all sources and bands."""
    there = places.as_sky_coord()
    unit, columns = bands[0].unit, []
    for band in bands:
        if band.unit != unit and not band.unit.is_equivalent(unit):
            raise ParameterError(
                f"Bands of the mosaic have intensities in {unit} and in {band.unit}: measure them apart."
            )
        scale = 1.0 if band.unit == unit else float(band.unit.to(unit))
        columns.append(_measured(band, there, width, scale, factor))
    _warn_of_twins(names, there, width)
    count = len(bands)
    table = Table({"src_name": np.repeat(np.array(names, dtype=str), count)})
    table["ra"], table["dec"] = (np.repeat(angle, count) * u.deg for angle in (places.lon % 360.0, places.lat))
    units = {"e_min": u.keV, "e_max": u.keV, "exposure": u.s}
    units |= dict.fromkeys(("rate", "rate_error", "upper_limit"), unit)
    for name in columns[0]:
        values = np.stack([column[name] for column in columns], axis=1).reshape(-1)
        mask = ~np.isfinite(values)
        table[name] = MaskedColumn(np.where(mask, 0.0, values), mask=mask, unit=units.get(name))
    show_rounded(table, _FORMATS)
    return table


def _measured(band: SkyBand, there: SkyCoord, width: float, scale: float, factor: float) -> dict[str, _Array]:
    """Columns of one band, NaN where masked."""
    count, noise = np.size(there.data.lon), band.noise()
    found = _heights(band, there, width) if count else Heights(*np.zeros((2, 0)), *np.zeros((2, 0), dtype=int))
    rate, error = found.rate * scale, found.error * scale
    exposure = np.full(count, np.nan)
    if band.exposure is not None:
        inside = found.is_inside
        exposure[inside] = band.exposure[found.row[inside], found.column[inside]]
    low, high = band.energies or (math.nan, math.nan)
    return {
        "e_min": np.full(count, low),
        "e_max": np.full(count, high),
        "rate": rate,
        "rate_error": error,
        "significance": rate / (error * noise),
        "upper_limit": np.maximum(rate, 0.0) + factor * error * noise,
        "exposure": exposure,
        "noise": np.full(count, noise),
    }


def _heights(band: SkyBand, there: SkyCoord, width: float) -> Heights:
    from astropy.wcs.utils import wcs_to_celestial_frame

    with reading("the sky coordinates of the mosaic"):
        frame = wcs_to_celestial_frame(band.wcs)
        x, y = band.pixels_of(there)
        return heights(band, x, y, unit_vectors(there.transform_to(frame)), width)


def _warn_of_twins(names: list[str], there: SkyCoord, width: float) -> None:
    """Warn of sources that are too close to each other to be separated."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(unit_vectors(there)).query_pairs(TWINS * width) if len(names) > 1 else set()
    if pairs:
        shown = listed((f"{names[one]} and {names[other]}" for one, other in sorted(pairs)), most=5)
        warn(
            f"Less than {TWINS:g} widths ({TWINS * width / _ARCMIN:.1f} arcmin) from each other, so that each rate is "
            f"that of both: {shown}.",
            InputWarning,
        )
