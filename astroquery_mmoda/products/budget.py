# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How much memory and work a form may take, whatever sizes the reply declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from astropy.io import fits
from astropy.table import Table

from ..allowance import CARD_MEMORY, HDU_MEMORY, Allowance
from ..config import conf
from ..decoding.hdus import PlainTable, read_plain_tables
from ..errors import DecodingError
from ..text import printable
from .columnsizes import size_when_read
from .product import read_data

if TYPE_CHECKING:
    from .product import Product
    from .products import Products


# bytes of a reply that genuine HDUs and header cards come with at least; these take milliseconds, however small
_PER_HDU = 3000
_PER_CARD = 40
_PER_PART = 3500
# a column of a workflow's table takes as long as so many cards, until it is in a form
_CARDS_OF_COLUMN = 15
#: bytes for each row of a light curve beside its columns
CURVE_ROW = 160


class Budget:
    """Memory and work of one form, of the whole reply; both are taken before anything is done."""

    def __init__(self, products: Products) -> None:
        # products may be of several replies
        bodies = {id(each.allowance): each.allowance.body for each in (products, *products)}
        self.allowance = Allowance(sum(bodies.values()))
        self.work = max(self.allowance.body, _PER_PART * int(conf.max_form_parts))
        self._own: dict[int, Any] = {}  # by id

    def extend(self, rows: int, longest: int) -> None:
        """Add what genuine tables of many short rows need; rows that the reply has no bytes for do not count."""
        self.allowance.left += min(rows, self.allowance.body // 8) * (CURVE_ROW + 4 * min(longest, 100))

    def read(self, product: Product) -> Any:
        """Decode a product for this form, unless its data are kept; only what `own` makes of HDUs may be changed."""
        is_own = "data" not in product.__dict__ and isinstance(product.entry.raw, Mapping)
        data = read_data(product, self.allowance) if is_own else product.data
        hdus = data if isinstance(data, fits.HDUList) else []
        if is_own:
            self._own |= {id(hdu): hdu for hdu in hdus}
        columns = len(data.colnames) if isinstance(data, Table) else 0
        self.work_on(product, len(hdus), sum(len(hdu.header) for hdu in hdus) + _CARDS_OF_COLUMN * columns)
        self.allowance.spend(len(hdus) * HDU_MEMORY, "headers")
        return data

    def plain_tables(self, product: Product) -> list[PlainTable] | None:
        """Tables of a product without making FITS of them; None where that is not possible, or was done anyway."""
        raw = product.entry.raw
        tables = None if "data" in product.__dict__ else read_plain_tables(raw, self.allowance)
        if tables is not None:
            cards = sum(len(table.header) + len(table.columns) for table in tables)
            self.work_on(product, len(raw["data_unit_list"]), cards)
        return tables

    def work_on(self, product: Product, hdus: int, cards: int) -> None:
        """Take the work for so many HDUs and cards of a product."""
        self.work -= max(hdus, 1) * _PER_HDU + cards * _PER_CARD
        if self.work < 0:
            raise DecodingError(
                f"The product {printable(product.name, limit=60)!r} has more arrays, tables and header cards than is "
                f"plausible; conf.max_form_parts = {conf.max_form_parts} can be raised."
            )
        self.allowance.spend(cards * CARD_MEMORY, "headers")

    def is_own(self, hdu: Any) -> bool:
        """Whether an HDU was decoded for this form."""
        return id(hdu) in self._own

    def own(self, hdu: Any) -> Any:
        """An extension that may be changed: the same where it was decoded for this form, else one with its values."""
        if not hdu.is_image:
            self.allowance.spend(size_when_read(hdu), "a table")
        if self.is_own(hdu) and not isinstance(hdu, fits.PrimaryHDU):
            return hdu
        return (fits.ImageHDU if hdu.is_image else fits.BinTableHDU)(hdu.data, hdu.header.copy(), name=hdu.name)
