# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What a product can be made into: FITS, a table with units, pixels, and objects of gwpy."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..allowance import Allowance
from ..decoding import begin_of, unzipped
from ..errors import DecodingError, ParameterError, not_installed, reading
from ..text import printable
from .columnsizes import size_when_read
from .masking import mask_tokens
from .plaintable import plain_table
from .storage.fitsfiles import opened

if TYPE_CHECKING:
    from .product import Product


# what files begin with
_FITS = b"SIMPLE  ="
_MARKS = {
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "a file compressed by bzip2",
    b"\xfd7zXZ\0": "a file compressed by xz",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x93NUMPY": "a file of numpy",
    b"root": "a file of ROOT",
    _FITS: "a FITS file",
}
_IN_TEXTS = {b"<svg": "an SVG drawing", b"<VOTABLE": "a VOTable", b"<html": "a web page"}
_BEGIN = 4000
# by kind: what gives the content of products without FITS, and without a table
_NO_FITS = {"picture": "picture()", "table": "to_table()", "catalog": "to_table()"}
_NO_TABLE = {"picture": "picture()", "image": "hdulist()", "array": "hdulist()", "binary": "hdulist(), if it is FITS"}
# the ones that are usual in notebooks; Pillow reads others by programs that are not made for files of unknown origin
_PICTURES = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")
# bytes of a pixel while it is decoded
_PIXEL = 8
# pixels, and bytes, of a picture that a notebook shows
_MOST_SHOWN = 25_000_000


def _named(product: Product) -> str:
    """How messages call a product."""
    return f"product {printable(product.name, limit=60)!r}"


def _seems_to_be(data: bytes) -> str:
    """What kind of file it is by its first bytes, which nobody vouches for."""
    begin, is_zipped = begin_of(data, _BEGIN), data[:2] == b"\x1f\x8b"
    found = next((name for mark, name in _MARKS.items() if begin.startswith(mark)), "")
    found = found or next((name for mark, name in _IN_TEXTS.items() if mark in begin), "")
    if begin[257:262] == b"ustar":
        found = "a tar archive"
    if not found and begin:
        is_text = begin.isascii() and b"\0" not in begin
        found = "a text" if is_text else "a file of unknown format"
    return f"{found or 'empty'}{', compressed by gzip' if is_zipped else ''}"


def is_fits(product: Product) -> bool:
    """Whether a product is a FITS file, by its first bytes."""
    data = product.data if product.kind == "binary" else None
    return isinstance(data, bytes) and begin_of(data, _BEGIN).startswith(_FITS)


def open_fits(product: Product, allowance: Allowance) -> fits.HDUList:
    """Open the bytes of a FITS file, also of one compressed by gzip."""
    data = product.data
    if not isinstance(data, bytes):
        advice = _NO_FITS.get(product.kind)
        raise ParameterError(
            f"{_named(product)} is of kind {product.kind}, not FITS; {'use .' + advice if advice else '.data has it'}."
        )
    if not begin_of(data, _BEGIN).startswith(_FITS):
        advice = "use .picture()" if product.kind == "picture" else "its bytes are in .data"
        raise ParameterError(f"{_named(product)} seems to be {_seems_to_be(data)}, not FITS; {advice}.")
    with reading(_named(product)):
        content = unzipped(data, allowance)
        # astropy copies what it reads
        allowance.spend(len(content), "a FITS file")
        return mask_tokens(fits.HDUList(opened(content, allowance)), allowance)


def table_with_units(product: Product, allowance: Allowance) -> Table:
    """A copy of the table of a product, names and units from its headings."""
    data = product.data
    if isinstance(data, fits.HDUList):
        # lists of members, which products of INTEGRAL begin with, are not meant
        data = fits.HDUList([hdu for hdu in data if isinstance(hdu, fits.BinTableHDU) and "GRPNAME" not in hdu.header])
    if product.kind == "image" or not (isinstance(data, Table) or (isinstance(data, fits.HDUList) and data)):
        advice = _NO_TABLE.get(product.kind, "data")
        raise ParameterError(f"{_named(product)} is of kind {product.kind}, without a table; use .{advice}.")
    with reading(_named(product)):
        allowance.spend(_size_of(data), "a table")
        return plain_table(data).copy()


def _size_of(data: Any) -> int:
    """Bytes of a copy of a table, or of the first table of an HDUList, which is converted as well."""
    if isinstance(data, Table):
        return sum(getattr(column, "nbytes", 0) for column in data.itercols())
    return 2 * (data[0].data.nbytes + size_when_read(data[0]))


# ---- pictures


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise not_installed("pictures", "pillow") from error
    return Image


def pixels_of(product: Product, allowance: Allowance) -> Any:
    """Decode a picture; whether there is memory for its pixels is known before."""
    pillow = _pillow()
    if product.kind not in ("picture", "binary"):
        raise ParameterError(f"{_named(product)} is of kind {product.kind}, not a picture; .data has it.")
    data = product.data
    with reading(_named(product)), warnings.catch_warnings():
        # of sizes, which are limited here
        warnings.simplefilter("ignore")
        try:
            image = pillow.open(io.BytesIO(data), formats=_PICTURES)
        except pillow.UnidentifiedImageError:
            found, known = _seems_to_be(data), ", ".join(_PICTURES)
            if "picture" in found:
                raise DecodingError(f"{found} that can't be read") from None
            raise ParameterError(
                f"{_named(product)} seems to be {found}; pictures of pixels can be read ({known}). .data has its bytes."
            ) from None
        with image:
            width, height = image.size
            allowance.spend(_PIXEL * width * height, f"a picture of {width} x {height} pixels")
            # numbers of more than 8 bits would be cut off
            if image.mode[0] in "IF":
                return np.array(image)
            # also what is grey, for which matplotlib would use colours of its own
            return np.array(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def shown_picture(product: Product, form: str) -> bytes | None:
    """The bytes of a picture of this format for a notebook; None where it has another, or is too large to be shown."""
    if product.kind != "picture":
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _pillow().open(io.BytesIO(product.data), formats=[form]) as image:
                width, height = image.size
        return product.data if max(width * height, len(product.data)) <= _MOST_SHOWN else None
    except Exception:  # noqa: BLE001 - the line of the product is shown instead, whatever is wrong
        return None


# ---- gravitational waves


def gwpy_series(product: Product) -> Any:
    """Make a time series or spectrogram of gwpy."""
    if product.kind not in ("strain", "spectrogram"):
        raise ParameterError(
            f"{_named(product)} is of kind {product.kind}; gwpy has objects for strain and spectrogram only."
        )
    try:
        from gwpy.spectrogram import Spectrogram
        from gwpy.timeseries import TimeSeries
    except ImportError as error:
        raise not_installed("objects of gwpy", "gwpy") from error
    table = product.data
    with reading(_named(product)):
        axis = {"t0": table.meta["t0"], "dt": table.meta["dt"], "name": product.name}
        if product.kind == "strain":
            return TimeSeries(table["strain"].data, **axis)
        return Spectrogram(table["value"].data, frequencies=table.meta["frequency"], **axis)
