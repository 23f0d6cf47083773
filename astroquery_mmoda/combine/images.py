# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Sums of mosaics."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, Table
from astroquery.exceptions import InputWarning

from ..catalog import to_hdu
from ..errors import ParameterError, warn
from ..products.image import mend_wcs
from ..text import listed
from .catalogs import combine_catalogs
from .extra import require_extra
from .headers import CommonCards, CommonPrimary, add_times
from .inputs import Inputs, outcomes
from .mosaics import InputMosaic
from .resampling import Planes, Resampling
from .skygrids import SkyGrid, common_grid, given_grid

_Array = np.ndarray[Any, Any]

_WHAT = "mosaic"
# cards of an image that stay where all inputs agree
_CARDS = (
    *("TELESCOP", "INSTRUME", "DETNAM", "MJDREF", "MJDREFI", "MJDREFF", "TIMESYS", "TIMEUNIT", "TIMEREF", "DEADC"),
    *("CHANTYPE", "CHANMIN", "CHANMAX", "EUNIT", "E_MIN", "E_MEAN", "E_MAX", "IMATYPE", "MOSASPR", "ISDCLEVL"),
    *("HDUCLASS", "HDUDOC", "HDUVERS", "HDUCLAS1", "ORIGNAME", "PRODNAME", "ONTIME"),
)


def combine_images(mosaics: Iterable[fits.HDUList], *, wcs: Any = None, overlap: bool = False) -> fits.HDUList:
    """
    Add mosaics of several jobs.

    In each pixel and energy band, intensities are averaged with the weights 1/VARIANCE (the estimate of least variance
    for independent data), VARIANCE is that of the average, 1 / sum(1/VARIANCE), SIGNIFICANCE is INTENSITY /
    sqrt(VARIANCE), and EXPOSURE is summed. Pixels without exposure, or without finite INTENSITY and positive VARIANCE,
    weigh nothing.

    Mosaics on other grids than that of the sum are interpolated: INTENSITY by splines of fifth order, so that sources
    keep their place and height; VARIANCE and EXPOSURE bilinearly. Noise of neighbouring pixels is correlated already,
    so VARIANCE is not made smaller by that. On grids that agree up to whole pixels, nothing is interpolated.

    Parameters
    ----------
    mosaics : iterable of `~astropy.io.fits.HDUList`
        As `query_image`, or `query_many`, returns them, or read by `astropy.io.fits.open`; also earlier sums, and files
        of INTEGRAL's own software. They must be of one instrument, detector, version of the software, and of the same
        energy bands and units. Those without an image are left out, with a warning.
    wcs : `~astropy.wcs.WCS`, `~astropy.io.fits.Header` or image HDU, optional
        The grid of the sum: celestial coordinates of two axes, and a shape (``wcs.array_shape``, or ``NAXIS1`` and
        ``NAXIS2``). By default the mosaics' own, if they agree up to whole pixels; else one that holds all, with the
        smallest of their scales (tangential up to 40 deg from its centre, else zenithal equal-area).
    overlap : bool
        Whether mosaics may hold the same science windows, or the same times where the windows are not known. They are
        added as if they were independent.

    Returns
    -------
    `~astropy.io.fits.HDUList`
        Primary (``INSTRUM``, ``PRODUCT``, ``NJOBS``, ``NFAILED``, ``SPANDAYS``, and what else is the same in all),
        then ``INTENSITY``, ``VARIANCE``, ``SIGNIFICANCE`` and ``EXPOSURE`` of each band in the units of the inputs,
        NaN (EXPOSURE: 0) where nothing was exposed. EXTVER is the number of the band, from the lowest. Then
        ``INPUTS``: a table with jobs, science windows, ``START`` and ``STOP`` (MJD in the scale of TIMESYS),
        ``EXPOSURE`` (s, in the pixel where it is largest) and ``WEIGHT`` (its part of all weights in the sum) of each
        mosaic. Last, where mosaics have one, ``CATALOG``: `combine_catalogs` of theirs, with significances measured in
        the sum.

    Raises
    ------
    ParameterError
        If there are no mosaics, they must not be summed, some have no VARIANCE or EXPOSURE, or the grid can't be used.
    DecodingError
        If one of them can't be read.
    ImportError
        If reproject or scipy is missing: ``pip install reproject scipy``.

    Notes
    -----
    A list is read where it is, and files that were opened by `astropy.io.fits.open` are read one by one; what an
    iterator gives is written to temporary files (where `tempfile` puts them) unless ``wcs`` is given. So memory does
    not grow with the number of mosaics.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> from astroquery_mmoda.combine import combine_images
    >>> parts = [["005000400010.001", "005000410010.001"], ["005100340010.001", "005100350010.001"]]
    >>> mosaics = [Mmoda.query_image("isgri", "MAXI J1820+070", scw_list=windows) for windows in parts]
    >>> mosaic = combine_images(mosaics)
    >>> mosaic[0].header["NJOBS"]
    2
    """
    require_extra()
    grid = None if wcs is None else given_grid(wcs)
    inputs, total = Inputs(_WHAT, overlap=overlap), _Sum()
    with tempfile.TemporaryDirectory(prefix="mmoda-") as directory:
        found: Iterable[InputMosaic] = _checked(mosaics, inputs, total)
        if isinstance(mosaics, (list, tuple)):
            found = sorted(found, key=lambda mosaic: mosaic.key)
        elif grid is None:
            found = sorted((mosaic.spooled(Path(directory)) for mosaic in found), key=lambda mosaic: mosaic.key)
        if grid is None:
            inputs.require_some()
            grid = common_grid(mosaic.grid for mosaic in found)
        for mosaic in found:
            total.add(mosaic, grid)
    if wcs is not None:
        inputs.require_some()
    return total.hdulist(inputs)


def _checked(mosaics: Iterable[Any], inputs: Inputs, total: _Sum) -> Iterator[InputMosaic]:
    """Mosaics that may be summed, one by one."""
    for position, hdulist in enumerate(outcomes(mosaics, _WHAT, fits.HDUList)):
        mosaic = InputMosaic.of_hdulist(hdulist, position)
        if mosaic is None:
            inputs.leave_out()
            continue
        alike = mosaic.alike
        total.alike = total.alike or alike
        inputs.require_alike(alike, total.alike)
        inputs.add(mosaic.facts)
        total.describe(mosaic)
        yield mosaic


class _BandSum:
    """Sums over the inputs in one energy band."""

    def __init__(self, name: str, units: Mapping[str, str]) -> None:
        self.name, self.units = name, units
        self.cards = CommonCards(_CARDS)
        self.dtype = np.dtype(np.float32)
        self.weights: dict[int, float] = {}  # of each input, summed over its pixels
        self._sums: _Array = np.zeros((3, 0, 0))  # of weighted intensity, weight, exposure

    def add(self, number: int, planes: Planes, resampling: Resampling) -> None:
        """Add an input."""
        if not self._sums.size:
            self._sums = np.zeros((3, *resampling.target.shape))
        self.dtype = np.result_type(self.dtype, *planes[:3])
        self.weights[number] = 0.0
        for part in resampling.parts(planes):
            weight = 1.0 / part.variance
            for plane, values in zip(self._sums, (weight * part.intensity, weight, part.exposure), strict=True):
                plane[part.tile][part.inside] += values
            self.weights[number] += float(weight.sum())

    def images(self) -> dict[str, _Array]:
        """Images by name; the sums are not kept."""
        (intensity, variance, exposure), self._sums = self._sums, np.zeros((3, 0, 0))
        exposed = variance > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            intensity /= variance
            np.divide(1.0, variance, out=variance)
            variance[~exposed] = np.nan
            return {
                "INTENSITY": intensity.astype(self.dtype),
                "VARIANCE": variance.astype(self.dtype),
                "SIGNIFICANCE": (intensity / np.sqrt(variance)).astype(self.dtype),
                "EXPOSURE": exposure.astype(self.dtype),
            }


class _Sum:
    """Sum of mosaics that belong together, which grows one by one."""

    def __init__(self) -> None:
        self.alike: dict[str, str] = {}
        self.catalogs: list[Table] = []
        self.empty = 0
        self._primary = CommonPrimary()
        self._bands: list[_BandSum] = []
        self._exposures: dict[int, float] = {}  # of each input, in the pixel where it is largest
        self._grid: SkyGrid

    def describe(self, mosaic: InputMosaic) -> None:
        """Note what the headers of a mosaic say."""
        self._primary.add(mosaic.primary)
        self._bands = self._bands or [_BandSum(band.name, band.units) for band in mosaic.bands]
        for band, own in zip(self._bands, mosaic.bands, strict=True):
            band.cards.add(own.header)
        if mosaic.catalog is not None:
            self.catalogs.append(mosaic.catalog)
        self.empty += mosaic.empty

    def add(self, mosaic: InputMosaic, grid: SkyGrid) -> None:
        """Add its pixels."""
        self._grid = grid
        resampling = Resampling.between(mosaic.grid, grid)
        exposures = []
        for band, own in zip(self._bands, mosaic.bands, strict=True):
            planes = own.read()
            exposures.append(float(np.max(planes.exposure, where=planes.exposed, initial=0.0)))
            band.add(mosaic.number, planes, resampling)
        self._exposures[mosaic.number] = max(exposures)

    def hdulist(self, inputs: Inputs) -> fits.HDUList:
        """The form of `query_image`."""
        shares = self._shares()
        values = inputs.values()
        if self.empty + len(inputs.left_out):
            values["NNODATA"] = self.empty + len(inputs.left_out)
        hdulist = fits.HDUList([self._primary.hdu(values)])
        for version, band in enumerate(self._bands, start=1):
            hdulist += self._hdus(band, version, inputs.interval())
        exposures = [self._exposures[number] for number in sorted(self._exposures)]
        hdulist.append(inputs.hdu(EXPOSURE=Column(exposures, unit="s"), WEIGHT=Column(shares)))
        if self.catalogs:
            hdulist.append(to_hdu(combine_catalogs(self.catalogs, mosaic=hdulist)))
        return hdulist

    def _hdus(self, band: _BandSum, version: int, interval: tuple[float, float]) -> list[fits.ImageHDU]:
        """Images of a band."""
        header = band.cards.header()
        add_times(header, interval)
        header.update(self._grid.cards())
        mend_wcs(header)
        hdus = []
        for name, pixels in band.images().items():
            hdu = fits.ImageHDU(pixels, header, name=name, ver=version)
            hdu.header["BUNIT"] = band.units.get(name, "")
            if name != "INTENSITY":
                hdu.header["IMATYPE"] = name
            hdus.append(hdu)
        return hdus

    def _shares(self) -> _Array:
        """Part of each input in the weights, mean of the bands; in the order of the user."""
        weights = np.array([[band.weights[number] for number in sorted(band.weights)] for band in self._bands])
        totals = weights.sum(axis=1, keepdims=True)
        if not totals.any():
            raise ParameterError("none of the mosaics has exposed pixels on the grid of the sum.")
        shares: _Array = (weights / np.where(totals > 0, totals, np.inf)).sum(axis=0) / np.count_nonzero(totals)
        if nothing := [
            str(number) for number, share in zip(sorted(self._exposures), shares, strict=True) if share == 0
        ]:
            warn(
                f"mosaic {listed(nothing)}: no exposed pixel is on the grid of the sum, where it weighs nothing; its "
                "times and jobs count nevertheless.",
                InputWarning,
            )
        return shares
