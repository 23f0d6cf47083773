# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_spectrum``: spectra and responses of all sources in one HDUList."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from astropy.io import fits

from ..decoding.boundary import reading
from ..errors import DecodingError
from ..text import in_hex, printable, transliterated
from .headers import name_source, primary_hdu, with_origin

if TYPE_CHECKING:
    from .products import Product, Products

__all__ = ["spectrum_form", "table_role"]

# what the service calls a unit (or its header class) -> what the form calls it, in the form's order
_ROLES = ("SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX")
_BY_NAME = {"SPECTRUM": "SPECTRUM", "SPECRESP": "SPECRESP", "EBOUNDS": "EBOUNDS"}
_BY_NAME |= dict.fromkeys(("MATRIX", "SPECRESP MATRIX"), "MATRIX")
_BY_CLASS = {"SPECTRUM": "SPECTRUM", "SPECRESP": "SPECRESP", "EBOUNDS": "EBOUNDS", "RSP_MATRIX": "MATRIX"}
_BY_KIND = {"spectrum": "SPECTRUM", "arf": "SPECRESP", "rmf": "MATRIX"}


def spectrum_form(products: Products, whole: Products) -> fits.HDUList:
    """
    Spectra of a reply in one list.

    Parameters
    ----------
    products : Products
        Spectra, ARFs and RMFs of the sources that are wanted.
    whole : Products
        All that came, for messages and provenance.

    Returns
    -------
    HDUList
        Primary; per source SPECTRUM, SPECRESP, EBOUNDS, MATRIX with EXTVER = number of the source, SRC_NAME and
        ORIGNAME; last SOURCES (EXTVER, SRC_NAME). Beside a name that is not ASCII, SRCNAME8 keeps the original, as
        hexadecimal digits of its UTF-8. A part that the service did not send is missing.

    Raises
    ------
    ServiceError
        Products came, but no spectrum.
    """
    whole.require("spectrum")
    hdulist = fits.HDUList([primary_hdu(whole)])
    sources = products.select(kind="spectrum").sources
    for number, source in enumerate(sources, start=1):
        parts = {role: hdu for product in products.select(source=source) for role, hdu in _parts(product)}
        for role in _ROLES:
            if role in parts:
                hdulist.append(_named_part(parts[role], role, number, source))
    if sources:
        hdulist.append(_sources_hdu(sources))
    return hdulist


def _parts(product: Product) -> Iterator[tuple[str, fits.BinTableHDU]]:
    if not isinstance(product.data, fits.HDUList):
        raise DecodingError(f"The spectrum {printable(product.name)!r} is no FITS data.")
    for hdu in product.data:
        if isinstance(hdu, fits.BinTableHDU):
            role = table_role(hdu, product)
            if role is not None:
                yield role, hdu


def table_role(hdu: fits.BinTableHDU, product: Product) -> str | None:
    """Told by the unit's name, by its OGIP class, or, for the only table of its kind, by its columns."""
    by_class = _BY_CLASS.get(str(hdu.header.get("HDUCLAS2", "")).upper()) or _BY_CLASS.get(
        str(hdu.header.get("HDUCLAS1", "")).upper()
    )
    role = _BY_NAME.get(hdu.name) or by_class
    if role is None and {"CHANNEL", "E_MIN"} <= {name.upper() for name in hdu.columns.names}:
        return "EBOUNDS"
    if role is None and hdu.name == "GROUPING":
        return None
    return role or _BY_KIND.get(product.kind)


def _named_part(hdu: fits.BinTableHDU, role: str, number: int, source: str) -> fits.BinTableHDU:
    with reading(f"{role} of {source!r}"):
        part = fits.BinTableHDU(hdu.data, hdu.header.copy(), name=role, ver=number)
        name_source(part.header, source)
        return with_origin(part, hdu.name)


def _sources_hdu(sources: list[str]) -> fits.BinTableHDU:
    texts = {"SRC_NAME": [transliterated(source) for source in sources], "SRCNAME8": [in_hex(name) for name in sources]}
    columns = [fits.Column("EXTVER", "J", array=range(1, len(sources) + 1))]
    for name, values in texts.items():
        width = max(len(value) for value in values)
        if width:  # no original names, no column of them
            columns.append(fits.Column(name, f"{width}A", array=values))
    return fits.BinTableHDU.from_columns(columns, name="SOURCES")
