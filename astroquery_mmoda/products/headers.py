# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Header cards that the forms of products share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from astropy.io import fits

from ..text import transliterated

if TYPE_CHECKING:
    from .products import Products

__all__ = ["primary_hdu", "with_origin"]

_HDU = TypeVar("_HDU")
_TOLD = (
    ("INSTRUM", "instrument", "instrument, as MMODA names it"),
    ("PRODUCT", "product_type", "product, as MMODA names it"),
    ("OBJECT", "src_name", "object of the request"),
)


def primary_hdu(products: Products) -> fits.PrimaryHDU:
    """Primary HDU without data that tells where the rest comes from."""
    hdu = fits.PrimaryHDU()
    hdu.header["ORIGIN"] = ("MMODA", "Multi-Messenger Online Data Analysis")
    for keyword, name, comment in _TOLD:
        value = products.parameters.get(name)
        if isinstance(value, str) and value:
            hdu.header[keyword] = (transliterated(value)[:60], comment)
    if products.job_id:
        hdu.header["JOB_ID"] = (transliterated(products.job_id)[:60], "analysis on the MMODA service")
    return hdu


def with_origin(hdu: _HDU, original: str) -> _HDU:
    """Note the service's own name of an HDU that bears another one now."""
    hdu.header["ORIGNAME"] = (transliterated(original)[:60], "name given by the service")  # type: ignore[attr-defined]
    return hdu
