# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_image``: one HDUList with named images that WCS-reading tools take as they are."""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.time import Time
from astroquery import log

from ..catalog import to_hdu
from ..errors import reading
from ..text import printable, transliterated
from ..units import known_unit, standard_spelling
from .budget import Budget
from .cards import card_value, is_missing, number, primary_hdu, time_reference, time_system, with_origin

if TYPE_CHECKING:
    from .product import Product
    from .products import Products


# JEM-X's word for its intensities
_NAMES = {"RECONSTRUCTED": "INTENSITY"}
# of a text in a header
_LONGEST = 1000


def image_form(products: Products) -> fits.HDUList:
    """
    Images of a reply in one list.

    Primary, the service's HDUs in its order, last ``CATALOG`` if there is a source list. Images have EXTNAME from
    IMATYPE where given (INTENSITY for the RECONSTRUCTED of JEM-X), EXTVER = number of the energy band (from the
    lowest), ORIGNAME, BUNIT as the FITS standard spells it, and, if there are several products, PRODNAME. Pixels
    without exposure are NaN; what the products hold stays as it came.
    """
    products.require("image", "array")
    # an array without coordinates is an image to whom asks for an image
    images = [product for product in products if product.kind in ("image", "array")]
    budget, hdulist = Budget(products), fits.HDUList([primary_hdu(products)])
    for product in images:
        with reading(f"image {printable(product.name, limit=100)!r}"):
            extensions = [
                _extension(hdu, product, budget)
                for hdu in budget.hdus(product)
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


def _extension(hdu: Any, product: Product, budget: Budget) -> Any:
    """An HDU of the form: images get names, mended coordinates and units; tables stay as they are."""
    own = budget.own(hdu)
    if own.is_image:
        mend_wcs(own.header)
        original = hdu.name if hdu.name not in ("", "PRIMARY") else product.name
        name = str(card_value(own.header, "IMATYPE") or original).strip().upper()
        name = _NAMES.get(name, name)
        _mend_unit(own.header, name)
        own.name = transliterated(name, limit=_LONGEST)
        with_origin(own, original)
    return own


def mend_wcs(header: fits.Header) -> None:
    """
    Mend the cards of the coordinate system in place, so that ``WCS(header)`` has nothing to say.

    RADECSYS was replaced by RADESYS in the FITS standard (version 3.0, section 8.3). Words of templates and cards
    without value are left out, and dates that contradict TSTART and TSTOP are made from these. The other things are
    those that wcslib would complete or correct each time the header is read: dates without their MJD or the other way
    round, the date of MJDREF, spellings of units.
    """
    for keyword in _COORDINATE_CARDS:
        if keyword in header and is_missing(header[keyword]):
            del header[keyword]
    if "RADECSYS" in header:
        header.setdefault("RADESYS", header["RADECSYS"])
        del header["RADECSYS"]
    if isinstance(header.get("EQUINOX"), str):
        header["EQUINOX"] = number(header, "EQUINOX", 2000.0)
    _mend_dates(header)
    # images of a mosaic differ in few cards only, and wcslib takes longer than everything else
    cards = re.findall(".{80}", header.tostring(endcard=False, padding=False))
    for keyword, value in _fixes("".join(card for card in cards if not card.startswith(_NOT_COORDINATES))):
        header[keyword] = value


def _mend_dates(header: fits.Header) -> None:
    """
    Replace dates that contradict the times of the header itself.

    FITS wants them in the scale of TIMESYS (standard 4.0, section 9.2.1), while INTEGRAL's software writes UTC beside
    TT: the start of an image would be a minute off.
    """
    scale = time_system(header).scale
    for date, mjd, own in _DATES:
        told = [keyword for keyword in (date, mjd) if keyword in header]
        begin = _own_time(header, own)
        if begin is None:
            # dates of INTEGRAL's software are UTC in some products and TT in others
            if scale == "tt" and str(header.get("TELESCOP")).strip().upper() == "INTEGRAL":
                _leave_out(header, told)
        elif not all(abs(_mjd(header[keyword], scale) - sum(begin)) * 86400 <= _DATE_TOLERANCE for keyword in told):
            _leave_out(header, [keyword for keyword in told if keyword != date])
            text = Time(*begin, format="mjd", scale=scale).isot
            header[date] = (text, f"from {own}, in the scale of TIMESYS")
            header.setdefault("TIMESYS", scale.upper())


def _own_time(header: fits.Header, keyword: str) -> tuple[float, float] | None:
    """TSTART or TSTOP as MJD in the scale of the header, whole days and what is left."""
    unit = known_unit(card_value(header, "TIMEUNIT"))
    elapsed = number(header, keyword, math.nan)
    days, fraction = time_reference(header) or (0.0, 0.0)
    if unit is None or not unit.is_equivalent(u.day) or not math.isfinite(elapsed) or not days:
        return None
    return days, fraction + elapsed * float(unit.to(u.day))


@lru_cache(maxsize=64)
def _mjd(told: Any, scale: str) -> float:
    try:
        return float(Time(told, format="mjd" if isinstance(told, (int, float)) else None, scale=scale).mjd)
    except (ValueError, TypeError):
        return math.nan


def _leave_out(header: fits.Header, keywords: Iterable[str]) -> None:
    """Move dates of unknown scale to HISTORY, where no program reads them as dates."""
    for keyword in keywords:
        header.add_history(transliterated(f"MMODA: left out {keyword} = {header[keyword]}, which is not in TIMESYS"))
        del header[keyword]


# dates are whole seconds in most headers
_DATE_TOLERANCE = 1.5
_DATES = (("DATE-OBS", "MJD-OBS", "TSTART"), ("DATE-BEG", "MJD-BEG", "TSTART"), ("DATE-END", "MJD-END", "TSTOP"))
# in which a word of a template would be read as a value
_COORDINATE_CARDS = (
    *("RADECSYS", "RADESYS", "EQUINOX", "CUNIT1", "CUNIT2", "LONPOLE", "LATPOLE", "TIMESYS", "TIMEUNIT", "TIMEREF"),
    *("MJDREF", "MJDREFI", "MJDREFF", "TSTART", "TSTOP", *(keyword for dates in _DATES for keyword in dates[:2])),
)
# what differs among the images of a mosaic, and what is not for wcslib
_NOT_COORDINATES = ("IMATYPE", "BUNIT", "EXTNAME", "EXTVER", "E_M", "CHAN", "ORIGNAME", "COMMENT", "HISTORY")
# what wcslib completes, as keyword and attribute
_COMPLETED = {"DATEREF": "dateref"} | {
    f"{kind}-{when}": f"{kind}{when}".lower() for when in ("OBS", "BEG", "AVG", "END") for kind in ("DATE", "MJD")
}


@lru_cache(maxsize=32)
def _fixes(cards: str) -> tuple[tuple[str, Any], ...]:
    """Let wcslib read a header once; the cards that it would add or change."""
    from astropy.wcs import WCS  # slow to import, and needed for images only

    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        try:
            wcs = WCS(fits.Header.fromstring(cards)).wcs
        except Exception as error:  # noqa: BLE001 - wcslib raises many kinds; the header is the user's to look at
            log.debug("the coordinate system of an image can't be read: %s", error)
            return ()
    found = {keyword: getattr(wcs, name, None) for keyword, name in _COMPLETED.items()} if remarks else {}
    found |= {f"CUNIT{axis}": unit.to_string() for axis, unit in enumerate(wcs.cunit, start=1)} if remarks else {}
    return tuple((keyword, value) for keyword, value in found.items() if value not in ("", None) and value == value)


def _number_bands(hdulist: fits.HDUList) -> None:
    """EXTVER of images: the energy band they are of, counted from the lowest; the order of the list is untouched."""
    found = {_band(hdu) for hdu in hdulist[1:] if hdu.is_image}
    bands = sorted(band for band in found if band is not None)
    used: Counter[tuple[str, int]] = Counter()
    for hdu in hdulist[1:]:
        band = _band(hdu) if hdu.is_image else None
        version = bands.index(band) + 1 if band is not None else 1
        while used[hdu.name, version]:  # two images of one type and band, from two products
            version += 1
        used[hdu.name, version] += 1
        hdu.ver = version


def _band(hdu: fits.ImageHDU) -> tuple[float, float] | None:
    band = number(hdu.header, "E_MIN", math.nan), number(hdu.header, "E_MAX", math.nan)
    return None if math.isnan(sum(band)) else band


# ---- units, and pixels without exposure


def _mend_unit(header: fits.Header, name: str) -> None:
    """BUNIT as `~astropy.units.Unit` and `~astropy.nddata.CCDData` read it; what nobody knows stays as it is."""
    told = header.get("BUNIT")
    if is_missing(told) and told != "":
        header.remove("BUNIT", ignore_missing=True)
    spelled = standard_spelling(told)
    if spelled is not None:
        header["BUNIT"] = spelled
    elif name == "SIGNIFICANCE":
        header.setdefault("BUNIT", "")


def _blank_unexposed(images: list[fits.ImageHDU], budget: Budget) -> None:
    """
    NaN for pixels that nothing was seen in: those where VARIANCE or EXPOSURE of their band is 0 or NaN.

    EXPOSURE stays, since 0 is what it means. Images of a band without such maps, or with several, stay as they are.
    """
    groups: dict[Any, list[fits.ImageHDU]] = {}
    for image in images:
        if image.data is not None:
            groups.setdefault((_band(image), image.shape), []).append(image)
    for (band, _), alike in groups.items():
        unexposed = _unexposed(alike, is_one_band=band is not None)
        for image in alike if unexposed is not None else ():
            if image.name in _BLANKED and (unexposed & ~np.isnan(image.data)).any():
                kind = np.result_type(image.data, np.float32)
                if not (budget.is_own(image) and image.data.dtype == kind and image.data.flags.writeable):
                    budget.spend(image.data.size * kind.itemsize, "pixels without exposure")
                    # a copy: the product keeps what came
                    image.data = image.data.astype(kind, copy=True)
                image.data[unexposed] = np.nan


def _unexposed(alike: list[fits.ImageHDU], *, is_one_band: bool) -> np.ndarray[Any, Any] | None:
    """Where the maps of one band and shape have no exposure; None if they don't tell."""
    count = Counter(image.name for image in alike)
    if not is_one_band and max(count.values()) > 1:
        return None
    maps = [image.data for image in alike if image.name in _TELL_EXPOSURE and count[image.name] == 1]
    return np.logical_or.reduce([(pixels == 0) | np.isnan(pixels) for pixels in maps]) if maps else None


_TELL_EXPOSURE = ("VARIANCE", "EXPOSURE")
_BLANKED = ("INTENSITY", "VARIANCE", "SIGNIFICANCE", "RESIDUAL")
