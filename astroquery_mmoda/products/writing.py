# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""All products of a reply as files."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from astropy.io import fits
from astropy.table import Table

from .files import OutputDirectory, OutputFile, Writer, write_files
from .ogip import spectra_files

if TYPE_CHECKING:
    from .products import Product, Products

__all__ = ["write_products"]

_PICTURES = ("png", "jpg", "jpeg", "gif", "svg", "pdf")
_SPECTRAL = ("spectrum", "arf", "rmf")


def write_products(
    products: Products,
    directory: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    group: float | None = None,
    systematic: float | None = None,
) -> Table:
    """
    Write what came: spectra with their responses as OGIP files, images with their source list in one FITS file.

    Everything else is written as the service gave it: FITS for arrays and tables, ECSV for tables, text, JSON or bytes.
    """
    output = OutputDirectory(directory, overwrite=overwrite)
    files: list[OutputFile] = []
    rest = list(products)
    if _has_channels(products):
        files += spectra_files(products.spectrum(), output, group=group, systematic=systematic)
        rest = [product for product in rest if product.kind not in _SPECTRAL]
    images = [product for product in rest if product.kind == "image"]
    if images:
        (path,) = output.reserve(images[0].name, ".fits", default="image")
        files.append(OutputFile(path, images[0].source, "image", _fits_writer(products.image())))
        rest = [product for product in rest if product.kind != "image"]
    return write_files(output, files + [_file(product, output) for product in rest])


def _has_channels(products: Products) -> bool:
    """Whether the spectra are of the OGIP kind; a workflow may call any table a spectrum."""
    tables = [hdu for product in products.select(kind="spectrum") for hdu in product.data if hasattr(hdu, "columns")]
    return any({"RATE", "COUNTS"} & {name.upper() for name in hdu.columns.names} for hdu in tables)


def _file(product: Product, output: OutputDirectory) -> OutputFile:
    ending, writer = _format(product.data)
    if product.kind == "picture" and product.meta.get("img_type") in _PICTURES:
        ending = f".{product.meta['img_type']}"
    (path,) = output.reserve(product.title, ending, default=product.kind)
    return OutputFile(path, product.source, product.kind, writer)


def _format(data: Any) -> tuple[str, Writer]:
    if isinstance(data, fits.HDUList):
        return ".fits", _fits_writer(data)
    if isinstance(data, Table):
        return ".ecsv", _text_writer("\n".join(_ecsv_lines(data)) + "\n")
    if isinstance(data, str):
        return ".txt", _text_writer(data)
    if isinstance(data, bytes):
        return ".bin", lambda file: file.write(data)
    return ".json", _text_writer(json.dumps(data, indent=1) + "\n")


def _fits_writer(hdulist: fits.HDUList) -> Writer:
    return lambda file: hdulist.writeto(file, output_verify="silentfix", checksum=True)


def _text_writer(text: str) -> Writer:
    return lambda file: file.write(text.encode())


def _ecsv_lines(table: Table) -> list[str]:
    import io

    buffer = io.StringIO()
    table.write(buffer, format="ascii.ecsv")
    return buffer.getvalue().splitlines()
