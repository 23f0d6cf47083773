# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What each kind of query makes of the products of its analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from astroquery.exceptions import NoResultsWarning

from ..errors import warn
from ..text import listed
from .products import Products

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
