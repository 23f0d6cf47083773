# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""All products of a reply as files, with an index from which they can be read again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from astropy.table import Table

from ...errors import MmodaError, ParameterError, reading
from ..kinds import KINDS
from ..product import subset
from ..spectrum import spectral_sets
from .fileforms import Plan, plan_files
from .index import index_path, older_records, write_index
from .output import OutputDirectory, OutputFile, manifest_of, write_files
from .spectrumtable import SpectrumOptions

if TYPE_CHECKING:
    from ..product import Product
    from ..products import Products


def write_products(
    products: Products,
    directory: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    group: float | None = None,
    systematic: float | None = None,
) -> Table:
    """Write all products; everything is made and all names are checked before the first file is written."""
    output, options = OutputDirectory(directory, overwrite=overwrite), SpectrumOptions(group, systematic)
    if options.given and products and all(product.kind != "spectrum" for product in products):
        raise ParameterError("group= and systematic= are for spectra, of which there are none here")
    plans = _plans(products, output, options)
    options.report()
    path = index_path(output.directory, products.job_id)
    older = older_records(path, products)
    # a file that has tables of two products is there once
    files = list(dict.fromkeys(file for plan in plans for file in plan.files))
    write_files(output, files)
    if not products or not all(file.error for file in files):
        try:
            # what was there before and was not replaced stays
            written = {file.path.name for file in files if not file.error}
            kept = [each for each in older if written.isdisjoint(file["name"] for file in each["files"])]
            whole = [plan.record() for plan in plans if not any(file.error for file in plan.files)]
            write_index(path, products, kept + whole)
        except OSError as error:
            files.append(OutputFile("", "index", error=error))
    return manifest_of(output.directory, files)


def _plans(products: Products, output: OutputDirectory, options: SpectrumOptions) -> list[Plan]:
    """How to write each product, in their order, but a spectrum and its responses together."""
    plans: dict[Product, Plan] = {}
    for product in products:
        try:
            product.data  # noqa: B018 - this decodes it
        except MmodaError as error:
            plans[product] = Plan.failed(product, error)
    usable = subset(products, [product for product in products if product not in plans])
    groups = spectral_sets(usable)
    groups += [[product] for product in usable if KINDS[product.kind].file != "spectrum"]
    for members in groups:
        try:
            with reading(members[0].title):
                made = plan_files(members, usable, output, options)
        except MmodaError as error:
            made = [Plan.failed(product, error) for product in members]
        plans |= {plan.product: plan for plan in made}
    return [plans[product] for product in products]
