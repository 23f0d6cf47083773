# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How much memory and work a form may take, whatever the reply that it is made of says of itself."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from ..allowance import CARD_MEMORY, HDU_MEMORY, Allowance
from ..config import conf
from ..errors import DecodingError
from ..text import printable
from .display.summary import look

if TYPE_CHECKING:
    from .product import Product
    from .products import Products

__all__ = ["CARD_MEMORY", "HDU_MEMORY", "VARIABLE", "WIDTHS", "Budget", "column_size", "size_when_read"]

# bytes of a reply that genuine HDUs and header cards come with at least; these take milliseconds, however small
_PER_HDU = 3000
_PER_CARD = 40
_PER_PART = 3500
# Python's array object for each row of variable length
_ROW_MEMORY = 150
#: bytes of the elements of rows of variable length, by the letter of their format
WIDTHS = dict(zip("LXBAIJEKDCM", (1, 0.125, 1, 1, 2, 4, 4, 8, 8, 8, 16), strict=True))
VARIABLE = re.compile(r"[01]?([PQ])([LXBIJKAEDCM])")


@dataclass(slots=True)
class Budget:
    """
    Memory and work of one form; both are taken before anything is done.

    Parameters
    ----------
    allowance : Allowance
        Memory.
    """

    allowance: Allowance
    work: int = field(init=False)

    def __post_init__(self) -> None:
        self.work = max(self.allowance.body, _PER_PART * int(conf.max_form_parts))

    @classmethod
    def of(cls, products: Products) -> Budget:
        """That of a form of these products, from the whole allowance of their reply."""
        if products.allowance.body:
            return cls(products.allowance.fresh())
        # somebody put them together: they are as large as what is in them
        return cls(Allowance(sum(look(product).size or 0 for product in products)))

    def spend(self, size: int, what: str) -> None:
        """Take memory."""
        self.allowance.spend(size, what)

    def extend(self, rows: int, longest: int) -> None:
        """Add what genuine tables of many short rows need; rows that the reply has no bytes for do not count."""
        self.allowance.left += min(rows, self.allowance.body // 8) * (160 + 4 * min(longest, 100))

    def data_of(self, product: Product) -> Any:
        """Decode a product that becomes part of a form."""
        data = product.data
        hdus = data if isinstance(data, fits.HDUList) else []
        cards = sum(len(hdu.header) for hdu in hdus)
        self.work -= max(len(hdus), 1) * _PER_HDU + cards * _PER_CARD
        if self.work < 0:
            raise DecodingError(
                f"The product {printable(product.name, limit=60)!r} is one of more arrays, tables and header cards "
                f"than a reply of {self.allowance.body} bytes has in earnest. conf.max_form_parts = "
                f"{conf.max_form_parts} can be raised; query_product gives the products one by one."
            )
        self.spend(len(hdus) * HDU_MEMORY + cards * CARD_MEMORY, "headers")
        return data


def size_when_read(hdu: Any) -> int:
    """Bytes that the columns of a table take beside its own, once all of them were looked at."""
    return sum(column_size(hdu, number) for number in range(len(hdu.columns)))


def column_size(hdu: Any, number: int) -> int:
    """
    Bytes that astropy takes for a column when it is looked at, beside those that are there already.

    Plain numbers take none. Texts are decoded, bits and logicals become bytes, scaled numbers doubles, and rows of
    variable length arrays, however many of them refer to the same bytes.
    """
    column, records = hdu.columns[number], np.asarray(hdu.data).view(np.ndarray)
    rows, kind = len(records), records.dtype[number]
    if match := VARIABLE.match(column.format):
        lengths = records[records.dtype.names[number]].reshape(rows, -1)[:, 0]
        # as a float, which can't run over
        # texts and bits become larger when they are decoded
        width = {"A": 4, "X": 1}.get(match[2], WIDTHS[match[2]])
        return int(np.maximum(lengths, 0).sum(dtype=float) * width) + _ROW_MEMORY * rows
    size, letter = rows * kind.itemsize, column.format.lstrip("0123456789")[:1]
    if letter in "XL":
        return 8 * size
    if kind.base.kind == "S":
        return 4 * size
    if column.bzero and column.bzero == 2.0 ** (8 * kind.base.itemsize - 1):  # unsigned numbers
        return size
    is_scaled = column.bscale not in ("", None, 1) or column.bzero not in ("", None, 0)
    return 8 * rows * math.prod(kind.shape) if is_scaled else 0
