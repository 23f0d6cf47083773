# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_catalog``: the service's list of sources, or a workflow's table of what is on the sky."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import InputWarning

from ..catalog import as_catalog, empty_catalog
from ..errors import reading, warn
from ..request.metadata import kind_from_name
from ..text import listed, printable
from .budget import Budget
from .cards import flat_provenance
from .columnsizes import size_when_read
from .conversions import is_fits, open_fits
from .mergeable import mergeable
from .plaintable import plain_table, table_of_hdu

if TYPE_CHECKING:
    from .product import Product
    from .products import Products


def catalog_form(products: Products) -> Table:
    """The list of sources, else the table with positions whose name says catalogue, else the first one."""
    budget = Budget(products)
    lists = products.select(kind="catalog")
    if len(lists):
        with reading("the catalogue"):
            return _copied(lists[0].data, products, budget)
    found = _with_positions(products.select(kind="table"), budget)
    # some workflows send a file instead
    found = found or _with_positions((product for product in products if is_fits(product)), budget)
    if not found:
        return empty_catalog()
    chosen = next((name for name in found if kind_from_name(name) == "catalog"), next(iter(found)))
    others = [repr(printable(name, limit=60)) for name in found if name != chosen]
    if others:
        warn(
            f"Table {printable(chosen, limit=60)!r} is taken as the catalogue; {listed(others)} "
            f"{'have' if len(others) > 1 else 'has'} positions, too: see query_product.",
            InputWarning,
        )
    with reading("the catalogue"):
        return _copied(found[chosen], products, budget)


def _with_positions(products: Iterable[Product], budget: Budget) -> dict[str, Table]:
    """The first table with positions of each product that has one, by its name."""
    found = {}
    for product in products:
        data = open_fits(product, budget.allowance) if product.kind == "binary" else budget.read(product)
        with reading(f"table {printable(product.name, limit=100)!r}"):
            catalogs = (as_catalog(plain_table(table)) for table in _tables(data, budget))
            first = next((catalog for catalog in catalogs if catalog is not None), None)
        if first is not None:
            found[product.name] = first
    return found


def _tables(data: Any, budget: Budget) -> Iterator[Table]:
    if isinstance(data, Table):
        yield data
    for hdu in data if isinstance(data, fits.HDUList) else []:
        # photons are no sources
        if isinstance(hdu, fits.BinTableHDU) and hdu.name != "EVENTS":
            budget.allowance.spend(size_when_read(hdu), "a table")
            yield table_of_hdu(hdu)


def _copied(table: Table, products: Products, budget: Budget) -> Table:
    """A copy that says in ``meta`` where it is from, as a light curve does."""
    budget.allowance.spend(sum(column.nbytes for column in table.itercols()), "the catalogue")
    copy = table.copy()
    copy.meta = mergeable({**copy.meta, **flat_provenance(products)})
    return copy
