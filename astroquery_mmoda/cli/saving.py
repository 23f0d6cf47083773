# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Files of results: the products, sums of several jobs, and pictures."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from astropy.table import Table, vstack
from astroquery import log

from ..files import can_be_made
from ..products import Products
from ..products.forms import FORMS
from ..products.storage.lightcurvefiles import lightcurve_hdus
from ..products.storage.ogip import write_spectra
from ..products.storage.output import OutputDirectory, OutputFile, chosen_path, manifest_of, write_files
from ..products.storage.spectrumtable import pick_sources
from ..products.storage.timeseries import curve_names
from ..text import printable
from .tables import table_text

_DRAWN = ("image", "spectrum", "lightcurve")


def check_directory(directory: str) -> None:
    """Refuse a directory that can't be written to, before an analysis of hours."""
    if not can_be_made(chosen_path(directory).absolute()):
        raise PermissionError(
            errno.EACCES, "no files can be written into this directory, and nothing was submitted", directory
        )


def save_products(products: Products, directory: str, kind: str, *, source: str | None, overwrite: bool) -> Table:
    """Write products, or those of one source, and pictures of what was asked for; the manifest has both."""
    chosen = products.of_source(source)
    manifest = chosen.write(directory, overwrite=overwrite)
    kinds = {product.kind for product in chosen}
    # tables may be light curves and spectra, if that is what was asked for
    drawn = [each for each in _DRAWN if each in kinds or (each == kind and "table" in kinds)]
    forms = ((each, FORMS[each](chosen, None)) for each in drawn if kind in (each, "catalog", "product"))
    return _with_pictures(manifest, forms, directory, overwrite=overwrite)


def save_form(kind: str, form: Any, directory: str, *, overwrite: bool) -> Table:
    """Write the sum of several jobs, and pictures of it."""
    if kind == "spectrum":
        manifest = write_spectra(form, directory, overwrite=overwrite)
    else:
        output = OutputDirectory(directory, overwrite=overwrite)
        contents = {".fits": form} if kind == "image" else {".ecsv": f"{table_text(form, 'ecsv')}\n".encode()}
        if kind == "lightcurve":
            contents = {".fits": lightcurve_hdus(form), **contents}
        paths = output.reserve(kind, *contents)
        files = [OutputFile("", kind, content, path) for path, content in zip(paths, contents.values(), strict=True)]
        write_files(output, files)
        manifest = manifest_of(output.directory, files)
    return _with_pictures(manifest, [(kind, form)] if kind in _DRAWN else [], directory, overwrite=overwrite)


def _with_pictures(manifest: Table, forms: Iterable[Any], directory: str, *, overwrite: bool) -> Table:
    """Manifest with the pictures of some forms; what goes wrong with them is a warning, as the files are there."""
    output, files = OutputDirectory(directory, overwrite=overwrite), []
    os.environ["MPLBACKEND"] = "agg"  # machines may have no screen
    try:
        for kind, form in forms:
            for name, source, picture in _pictures(kind, form):
                (path,) = output.reserve(name, ".png")
                files.append(OutputFile(source, "picture", picture, path))
        if not files:
            return manifest
        write_files(output, files)
        return vstack([manifest, manifest_of(output.directory, files)], metadata_conflicts="silent")
    except ImportError as error:
        log.info("no pictures: %s", error)
    except Exception as error:  # noqa: BLE001 - of three libraries
        log.warning("No pictures: %s", printable(error))
    return manifest


def _pictures(kind: str, form: Any) -> Iterator[tuple[str, str, bytes]]:
    """Name, source and PNG of each picture of a form: an energy band, or a source."""
    from .. import plotting

    if kind == "image":
        versions = [hdu.ver for hdu in form if hdu.name == "SIGNIFICANCE"]
        for version in versions or [None]:
            chosen = {} if version is None else {"extension": ("SIGNIFICANCE", version)}
            name = kind if len(versions) < 2 else f"{kind} band {version}"
            yield name, "", _png(plotting.plot_image(form, **chosen))
        return
    names = curve_names(form) if kind == "lightcurve" else [name for _, name in pick_sources(form)]
    draw: Callable[..., Any] = plotting.plot_lightcurve if kind == "lightcurve" else plotting.plot_spectrum
    for name in dict.fromkeys(names):
        yield f"{kind} {name}", name, _png(draw(form, name))


def _png(axes: Any) -> bytes:
    from ..plotting.drawing import pyplot

    buffer = io.BytesIO()
    try:
        axes.figure.savefig(buffer, format="png", dpi=150)
    finally:
        pyplot().close(axes.figure)
    return buffer.getvalue()
