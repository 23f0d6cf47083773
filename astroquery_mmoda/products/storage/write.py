# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""All products of a reply as files, with an index from which they can be read again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import Table

from ...errors import MmodaError, ParameterError, reading
from ...text import without_token
from ..product import subset
from ..spectrum import spectral_sets
from .fileforms import Plan, SpectrumSet, plan_single, plan_spectrum
from .index import Index, index_path, older_index
from .output import OutputDirectory, OutputFile, manifest_of, write_files
from .provenance import Provenance, public_parameters
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
    plans = _plans(products, output, options)
    job_id = without_token(products.job_id)
    path = index_path(output.directory, job_id)
    older = older_index(path, job_id, products.parameters)
    # a file that has tables of two products is there once
    files = {file.path if file.path.name else id(plan): file for plan in plans for file in plan.files}
    outcomes = write_files(output, list(files.values()))
    written = {file.path for file, outcome in outcomes if not isinstance(outcome, Exception)}
    if written or not products:
        try:
            _write_index(path, products, plans, older, written)
        except OSError as error:
            outcomes.append((OutputFile("", "index", error), error))
    return manifest_of(output.directory, outcomes)


def _plans(products: Products, output: OutputDirectory, options: SpectrumOptions) -> list[Plan]:
    """How to write each product, in their order, but a spectrum and its responses together."""
    failed: dict[Product, MmodaError] = {}
    for product in products:
        try:
            product.data  # noqa: B018 - this decodes it
        except MmodaError as error:
            failed[product] = error
    usable = subset(products, [product for product in products if product not in failed])
    sets: dict[Product, SpectrumSet] = {}
    for members in spectral_sets(usable):
        try:
            with reading(members[0].title):
                if spectrum := SpectrumSet.of(members, usable):
                    sets |= dict.fromkeys(spectrum.members, spectrum)
        except MmodaError as error:
            failed |= dict.fromkeys(members, error)
    _check_options(products, set(failed), sets, options)
    plans: dict[Product, Plan] = {}
    for product in products:
        found = sets.get(product)
        together = found.members if found else [product]
        try:
            if product in failed:
                raise failed[product]
            if product not in plans:
                with reading(product.title):
                    new = plan_spectrum(found, output, options) if found else [plan_single(product, usable, output)]
                plans |= {plan.product: plan for plan in new}
        except MmodaError as error:
            for each in together:
                plans[each] = Plan(each, "", [OutputFile(without_token(each.source), each.kind, error)])
    return list(plans.values())


def _check_options(
    products: Products, failed: Set[Product], sets: Mapping[Product, SpectrumSet], options: SpectrumOptions
) -> None:
    """Refuse options that none of the products can take; warn of the spectra that can't."""
    spectra = [product for product in products if product.kind == "spectrum"]
    usable = [product for product in spectra if product not in failed]
    tables = [sets[product].tables["SPECTRUM"] if product in sets else None for product in usable]
    options.check([(product.source or product.name, hdu) for product, hdu in zip(usable, tables, strict=True)])
    if products and not spectra and options != SpectrumOptions():
        kinds = ", ".join(sorted({product.kind for product in products}))
        raise ParameterError(f"group= and systematic= are for spectra, of which there are none here, only: {kinds}")


def _write_index(
    path: Path, products: Products, plans: Sequence[Plan], older: Index | None, written: Set[Path]
) -> None:
    """Describe what was written, in the order of the products, and what was there before and was not replaced."""
    whole = {plan.product: plan for plan in plans if written >= {file.path for file in plan.files}}
    replaced = {file.name for file in written}
    kept = [each for each in older.products if replaced.isdisjoint(file.name for file in each.files)] if older else []
    index = Index(
        job_id=products.job_id,
        service=products.service,
        comment=products.comment,
        parameters=public_parameters(products.parameters),
        meta=dict(products.meta),
        products=(*kept, *(whole[product].record() for product in products if product in whole)),
    )
    index.write(path, Provenance.of(products))
