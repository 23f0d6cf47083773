# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What each kind of query makes of the products of its analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import NoResultsWarning

from ..errors import warn
from ..text import listed
from .products import Products
from .spectrum import sources_hdu
from .storage.spectrumtable import pick_sources
from .storage.timeseries import of_curve

FORMS: Mapping[str, Callable[[Products, str | None], Any]] = {
    "image": lambda products, source: products.image(),
    "catalog": lambda products, source: products.catalog(),
    "spectrum": lambda products, source: products.spectrum(source),
    "lightcurve": lambda products, source: products.lightcurve(source),
    "product": Products.of_source,
}


def in_form(kind: str, products: Products, source: str | None, *, where: str = "") -> Any:
    """What a kind of query returns of its products; ``where`` begins the warning that there is nothing."""
    if not len(products):
        warn(f"MMODA: {where}the analysis returned nothing.", NoResultsWarning)
    form = FORMS[kind](products, source)
    if kind == "catalog" and len(products) and not len(form):
        kinds = {product.kind for product in products}
        found = "no source was found"
        if "catalog" not in kinds and "src_names" in form.colnames:
            found = f"no list of sources with positions was returned, but: {listed(sorted(kinds))}; see query_product"
        warn(f"MMODA: {where}{found}.", NoResultsWarning)
    return form


def of_source(kind: str, form: Any, source: str | None) -> Any:
    """Only one source of a form, which a kind without sources keeps as it is; `ParameterError` if it is not there."""
    if source is not None and kind == "lightcurve":
        return _only_curve(form, source)
    return form if source is None or kind != "spectrum" else _only_spectrum(form, source)


def _only_curve(table: Table, source: str) -> Table:
    return table[of_curve(table, source)]


def _only_spectrum(spectra: fits.HDUList, source: str) -> fits.HDUList:
    """Spectra of one source, numbered anew, with all that is not of a source."""
    picked = pick_sources(spectra, source)
    numbers = {version: number for number, (version, _) in enumerate(picked, start=1)}
    names = [name for _, name in pick_sources(spectra)]
    kept = fits.HDUList([hdu for hdu in spectra if "SRC_NAME" not in hdu.header or hdu.ver in numbers])
    for hdu in kept:
        if "SRC_NAME" in hdu.header:
            hdu.ver = numbers[hdu.ver]
    kept["SOURCES"] = sources_hdu([name for _, name in picked])
    if "INPUTS" in kept:  # of a sum, with a weight for each source
        inputs = Table.read(kept["INPUTS"])
        inputs["WEIGHT"] = inputs["WEIGHT"].reshape(len(inputs), -1)[:, [names.index(name) for _, name in picked]]
        kept["INPUTS"] = fits.BinTableHDU(inputs, name="INPUTS")
    return kept
