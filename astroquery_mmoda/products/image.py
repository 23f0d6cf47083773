# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_image``: one HDUList with named images that WCS-reading tools take as they are."""

from __future__ import annotations

import warnings
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.time import Time
from astroquery import log

from ..catalog import to_hdu
from ..errors import ServiceError, reading
from ..text import listed, printable, transliterated
from ..units import standard_spelling
from .budget import Budget
from .cards import drop_missing, energy_band, instant_of, number, primary_hdu, time_system, with_origin
from .conversions import is_fits, open_fits

if TYPE_CHECKING:
    from .product import Product
    from .products import Products


# JEM-X's name for its intensities
_NAMES = {"RECONSTRUCTED": "INTENSITY"}
# characters of a text in a header
_LONGEST = 1000
# dates, and the times of INTEGRAL's software that they are to agree with
_DATES = (("DATE-OBS", "MJD-OBS", "TSTART"), ("DATE-BEG", "MJD-BEG", "TSTART"), ("DATE-END", "MJD-END", "TSTOP"))
# what wcslib corrects and completes
_UNITS = ("CUNIT1", "CUNIT2", "CUNIT3")
_INSTANTS = tuple(f"{kind}-{when}" for when in ("OBS", "BEG", "AVG", "END") for kind in ("DATE", "MJD"))
# what it says where it found nothing; the last is a DATEREF that no MJDREF gave
_ABSENT = ("", None, "1858-11-17")
# what it does that by
_REFERENCE = ("CTYPE1", "CTYPE2", "CTYPE3", "TIMESYS", "MJDREF", "MJDREFI", "MJDREFF", "DATEREF")
_MOST_AXES = 9
_SHOW_EXPOSURE = ("VARIANCE", "EXPOSURE")
_BLANKED = ("INTENSITY", "VARIANCE", "SIGNIFICANCE", "RESIDUAL")


def image_form(products: Products) -> fits.HDUList:
    """
    Images of a reply in one list: primary, the service's HDUs in its order, last ``CATALOG`` if there is a source list.

    Images are named by IMATYPE where given, EXTVER is the number of the energy band, pixels without exposure are NaN.
    """
    budget = Budget(products)
    images = [(product, budget.read(product)) for product in products if product.kind in ("image", "array")]
    if not images:
        opened = ((product, _images_in(product, budget)) for product in products if is_fits(product))
        images = [(product, hdus) for product, hdus in opened if hdus]
    if not images:
        _require_image(products)
    hdulist = fits.HDUList([primary_hdu(products)])
    for product, hdus in images:
        with reading(f"image {printable(product.name, limit=100)!r}"):
            extensions = [
                _extension(hdu, product, budget)
                for hdu in hdus
                if hdu.data is not None or not isinstance(hdu, fits.PrimaryHDU)
            ]
            _blank_unexposed([hdu for hdu in extensions if hdu.is_image], budget)
        if len(images) > 1:
            for hdu in extensions:
                hdu.header["PRODNAME"] = (transliterated(product.name, limit=_LONGEST), "name of the product")
        hdulist.extend(extensions)
    _number_bands(hdulist)
    catalogs = products.select(kind="catalog")
    if len(catalogs):
        with reading("the catalogue of an image"):
            hdulist.append(to_hdu(catalogs[0].data, budget.allowance))
    return hdulist


def _images_in(product: Product, budget: Budget) -> fits.HDUList | None:
    """The HDUs of a FITS file with images, which lists of events and tables are not."""
    hdus = open_fits(product, budget.allowance)
    budget.work_on(product, len(hdus), sum(len(hdu.header) for hdu in hdus))
    return hdus if any(hdu.is_image and hdu.data is not None and hdu.data.ndim > 1 for hdu in hdus) else None


def _require_image(products: Products) -> None:
    """Refuse products without an image; pictures are named, since users call them images too."""
    try:
        products.require("image", "array")
    except ServiceError as error:
        pictures = [product.name for product in products if product.kind == "picture"]
        if not pictures:
            raise
        raise ServiceError(
            f"{error} product.picture() gives the pixels of: {listed(pictures)}.", products=products
        ) from None


def _extension(hdu: Any, product: Product, budget: Budget) -> Any:
    """An HDU of the form: images get names, mended coordinates and units; tables stay as they are."""
    own = budget.own(hdu)
    if own.is_image:
        mend_wcs(own.header)
        original = hdu.name if hdu.name not in ("", "PRIMARY") else product.name
        name = str(own.header.get("IMATYPE") or original).strip().upper()
        name = _NAMES.get(name, name)
        _mend_unit(own.header, name)
        own.name = transliterated(name, limit=_LONGEST)
        with_origin(own, original)
    return own


def mend_wcs(header: fits.Header) -> None:
    """Mend the cards of the coordinate system in place, so that ``WCS(header)`` has nothing to correct or complete."""
    drop_missing(header)
    if "RADECSYS" in header:  # replaced by RADESYS in FITS 3.0, section 8.3
        header.setdefault("RADESYS", header["RADECSYS"])
        del header["RADECSYS"]
    if isinstance(header.get("EQUINOX"), str):
        header["EQUINOX"] = number(header, "EQUINOX", 2000.0)
    _mend_dates(header)
    if any(key.startswith("CD1_") for key in header):
        for axis in range(3, min(header.get("NAXIS", 0), _MOST_AXES) + 1):  # of a cube; wcslib takes 1 as well
            if not any(f"CD{one}_{other}" in header for one, other in ((axis, axis), (axis, 1), (1, axis))):
                header[f"CD{axis}_{axis}"] = 1.0
    cards = tuple((key, header[key]) for key in (*_REFERENCE, *_UNITS, *_INSTANTS) if key in header)
    for keyword, value in _wcs_cards(cards):
        header[keyword] = value


def _mend_dates(header: fits.Header) -> None:
    """Dates in the scale of TIMESYS (FITS 4.0, section 9.2.1); INTEGRAL's are UTC in some products, TT in others."""
    scale = time_system(header).scale
    is_unsure = scale == "tt" and header.get("TELESCOP") == "INTEGRAL"
    for date, mjd, own in _DATES:
        instant = instant_of(header, own)
        if not {date, mjd} & set(header) or not (instant or is_unsure):
            continue
        if instant:
            header[date] = (Time(*instant, format="mjd", scale=scale).isot, f"from {own}, in the scale of TIMESYS")
            header.setdefault("TIMESYS", scale.upper())
        else:
            header.add_history(transliterated(f"MMODA: left out {date} = {header.get(date)}, not in TIMESYS"))
            header.remove(date, ignore_missing=True)
        header.remove(mjd, ignore_missing=True)


@lru_cache(maxsize=32)
def _wcs_cards(cards: tuple[tuple[str, Any], ...]) -> list[tuple[str, Any]]:
    """Cards that wcslib would add or change; it takes long, and the images of a mosaic have the same."""
    from astropy.wcs import WCS  # slow to import, and needed for images only

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wcs = WCS(fits.Header(cards)).wcs
            found = {keyword: getattr(wcs, keyword.replace("-", "").lower()) for keyword in (*_INSTANTS, "DATEREF")}
            found |= {f"CUNIT{axis}": unit.to_string("fits") for axis, unit in enumerate(wcs.cunit, start=1)}
        except Exception as error:  # noqa: BLE001 - wcslib raises many kinds; the user can inspect the header
            log.debug("the coordinate system of an image can't be read: %s", error)
            return []
    return [(keyword, value) for keyword, value in found.items() if value not in _ABSENT and value == value]


def _number_bands(hdulist: fits.HDUList) -> None:
    """EXTVER of images: the energy band they are of, counted from the lowest; the order of the list is untouched."""
    bands = sorted({band for hdu in hdulist[1:] if (band := energy_band(hdu.header))})
    used = set()
    for hdu in hdulist[1:]:
        band, version = energy_band(hdu.header), 1
        if hdu.is_image and band:
            version += bands.index(band)
        while (hdu.name, version) in used:  # two images of one type and band, from two products
            version += 1
        used.add((hdu.name, version))
        hdu.ver = version


# ---- units, and pixels without exposure


def _mend_unit(header: fits.Header, name: str) -> None:
    """BUNIT as `~astropy.units.Unit` and `~astropy.nddata.CCDData` read it; an unknown unit stays as it is."""
    spelled = standard_spelling(header.get("BUNIT"))
    if spelled is not None:
        header["BUNIT"] = spelled
    elif name == "SIGNIFICANCE":
        header.setdefault("BUNIT", "")


def _blank_unexposed(images: list[fits.ImageHDU], budget: Budget) -> None:
    """NaN for pixels where VARIANCE or EXPOSURE of their band is 0 or NaN; without one such map, they stay."""
    groups: dict[Any, list[fits.ImageHDU]] = {}
    for image in images:
        if image.data is not None:
            groups.setdefault((energy_band(image.header), image.shape), []).append(image)
    for (band, _), alike in groups.items():
        count = Counter(image.name for image in alike)
        maps = [image.data for image in alike if image.name in _SHOW_EXPOSURE and count[image.name] == 1]
        if not maps or (band is None and max(count.values()) > 1):
            continue
        unexposed = np.logical_or.reduce([(pixels == 0) | np.isnan(pixels) for pixels in maps])
        for image in alike:
            if image.name in _BLANKED and (unexposed & ~np.isnan(image.data)).any():
                kind = np.result_type(image.data, np.float32)
                if not (budget.is_own(image) and image.data.dtype == kind and image.data.flags.writeable):
                    budget.allowance.spend(image.data.size * kind.itemsize, "pixels without exposure")
                    # a copy: the product keeps what came
                    image.data = image.data.astype(kind, copy=True)
                image.data[unexposed] = np.nan
