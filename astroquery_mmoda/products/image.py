# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_image``: one HDUList with named images that WCS-reading tools take as they are."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from astropy.io import fits
from astroquery import log

from ..catalog import to_hdu
from ..decoding.boundary import reading
from ..errors import DecodingError
from ..text import transliterated
from .headers import primary_hdu, with_origin

if TYPE_CHECKING:
    from .products import Product, Products

__all__ = ["image_form"]


def image_form(products: Products) -> fits.HDUList:
    """
    Images of a reply in one list.

    Parameters
    ----------
    products : Products
        All that came.

    Returns
    -------
    HDUList
        Primary, the service's HDUs in its order, last ``CATALOG`` if there is a source list. Images have EXTNAME from
        IMATYPE where given, EXTVER = number of the energy band (from the lowest), ORIGNAME, and, if there are several
        products, PRODNAME.

    Raises
    ------
    ServiceError
        Products came, but no image.
    """
    products.require("image", "array")
    # an array without coordinates is an image to whom asks for an image
    images = [product for product in products if product.kind in ("image", "array")]
    hdulist = fits.HDUList([primary_hdu(products)])
    for product in images:
        hdulist.extend(_extensions(product, name_products=len(images) > 1))
    _number_bands(hdulist)
    catalogs = products.select(kind="catalog")
    if len(catalogs):
        hdulist.append(to_hdu(catalogs[0].data))
    return hdulist


def _extensions(product: Product, *, name_products: bool) -> list[fits.hdu.base.ExtensionHDU]:
    """Copies of a product's HDUs, images among them renamed and mended."""
    if not isinstance(product.data, fits.HDUList):
        raise DecodingError(f"The image {product.name!r} is no FITS data.")
    found = []
    for hdu in product.data:
        if isinstance(hdu, fits.PrimaryHDU) and hdu.data is None:
            continue
        with reading(f"image {product.name!r}"):
            extension = _image_hdu(hdu, product) if hdu.is_image else _table_hdu(hdu)
        if name_products:
            extension.header["PRODNAME"] = (transliterated(product.name), "name of the product")
        found.append(extension)
    return found


def _image_hdu(hdu: fits.ImageHDU, product: Product) -> fits.ImageHDU:
    header = hdu.header.copy()
    mend_wcs(header)
    original = hdu.name if hdu.name not in ("", "PRIMARY") else product.name
    name = str(header.get("IMATYPE") or original).strip()
    # ver=1 for now: bands are counted when all of them are known
    image = fits.ImageHDU(hdu.data, header, name=transliterated(name).upper(), ver=1)
    return with_origin(image, original)


def _table_hdu(hdu: fits.BinTableHDU) -> fits.BinTableHDU:
    return fits.BinTableHDU(hdu.data, hdu.header.copy(), name=hdu.name)


def mend_wcs(header: fits.Header) -> None:
    """
    Mend the cards of the coordinate system in place, so that ``WCS(header)`` has nothing to say.

    RADECSYS was replaced by RADESYS in the FITS standard (version 3.0, section 8.3). The other things are those that
    wcslib would complete or correct each time the header is read: dates without their MJD or the other way round, the
    date of MJDREF, spellings of units.
    """
    for card in [card for card in header.cards if card.keyword.startswith("RADECSYS")]:
        suffix = card.keyword[len("RADECSYS") :]
        if f"RADESYS{suffix}" not in header:
            header.set(f"RADESYS{suffix}", card.value, card.comment, after=card.keyword)
        del header[card.keyword]
    if isinstance(header.get("EQUINOX"), str):
        header["EQUINOX"] = _number(header["EQUINOX"], 2000.0)
    _take_over_fixes(header)


def _take_over_fixes(header: fits.Header) -> None:
    """Write down what wcslib would fix each time it reads the header."""
    cards = ((card.keyword, card.value) for card in header.cards if not card.keyword.startswith(_NOT_COORDINATES))
    # all images of a mosaic have the same coordinates, and reading them takes longer than everything else
    plain = tuple((keyword, value) for keyword, value in cards if isinstance(value, (str, int, float)))
    for keyword, value in _fixes(plain):
        header[keyword] = value


@lru_cache(maxsize=32)
def _fixes(cards: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    """Let wcslib read a header once; the cards that it would add or change."""
    from astropy.wcs import WCS  # slow to import, and needed for images only

    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        try:
            wcs = WCS(fits.Header(cards)).wcs
        except Exception as error:  # noqa: BLE001 - wcslib raises many kinds; the header is the user's to look at
            log.debug("the coordinate system of an image can't be read: %s", error)
            return ()
    found = _fixed_cards(wcs) if remarks else ()
    return tuple(
        (keyword, value)
        for keyword, value in found
        if value not in ("", None) and not (isinstance(value, float) and math.isnan(value))
    )


# what differs among the images of a mosaic
_NOT_COORDINATES = ("IMATYPE", "BUNIT", "EXTNAME", "EXTVER", "E_M", "CHAN", "ORIGNAME", "COMMENT", "HISTORY")


def _fixed_cards(wcs: Any) -> Iterator[tuple[str, Any]]:
    for keyword, name in _DATE_CARDS:
        yield keyword, getattr(wcs, name, None)
    for axis, unit in enumerate(wcs.cunit, start=1):
        yield f"CUNIT{axis}", unit.to_string()


_DATE_CARDS = (
    ("DATEREF", "dateref"),
    ("DATE-OBS", "dateobs"),
    ("MJD-OBS", "mjdobs"),
    ("DATE-BEG", "datebeg"),
    ("MJD-BEG", "mjdbeg"),
    ("DATE-AVG", "dateavg"),
    ("MJD-AVG", "mjdavg"),
    ("DATE-END", "dateend"),
    ("MJD-END", "mjdend"),
)


def _number(text: str, default: float) -> float:
    try:
        return float(text)
    except ValueError:
        return default


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
    try:
        return float(hdu.header["E_MIN"]), float(hdu.header["E_MAX"])
    except (KeyError, TypeError, ValueError):
        return None
