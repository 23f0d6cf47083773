# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""`Product`: one thing that an analysis returned, decoded at the first access."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..allowance import Allowance
from ..text import printable
from .kinds import Entry
from .masking import mask_tokens

if TYPE_CHECKING:
    from .products import Products


class Product:
    """
    One thing that an analysis returned; an item of `Products`.

    Attributes
    ----------
    name : str
        As the service calls it, or made from its kind and source; no two in one reply are the same.
    kind : str
        image, spectrum, arf, rmf, lightcurve, catalog, table, picture, text, binary, ... or other.
    source : str
        The object it is about, as the catalogue that was sent, or the headers of the reply, have its name.
    meta : dict
        Further facts from the service.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
    ...                                time_range=(58193.455, 58246.892), max_pointings=10)
    >>> mosaic = products["mosaic_image"]
    >>> mosaic.title, mosaic.kind, mosaic.source
    ('mosaic_image', 'image', 'MAXI J1820+070')
    >>> mosaic.data["ISGR-MOSA-IMA", 1].shape
    (370, 370)
    """

    def __init__(self, entry: Entry, name: str, source: str, allowance: Allowance | None = None) -> None:
        self.name = name
        self.kind = entry.kind
        self.source = source
        self.meta = dict(entry.meta)
        self.entry = entry
        self.allowance = allowance or Allowance()

    @cached_property
    def data(self) -> Any:
        """
        `~astropy.io.fits.HDUList`, `~astropy.table.Table`, array, text or bytes: the content, as the service gave it.

        It is decoded at the first access, and kept; a `DecodingError` names what can't be read.
        """
        with self.allowance.attempt():
            return read_data(self, self.allowance)

    @property
    def title(self) -> str:
        """`str`: the service's name, and the source if the service uses one name for all of them."""
        name = self.entry.name.strip() or self.name
        return f"{name} {self.source}" if self.kind == "lightcurve" and self.source not in name else name

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("data", None)  # made again; an HDUList may not pickle
        return state

    def __repr__(self) -> str:
        # imported when needed, like all of display and storage: it takes long
        from .display.overview import product_line

        return product_line(self)


def read_data(product: Product, allowance: Allowance) -> Any:
    """Decode a product, tokens in texts masked; nothing is kept."""
    entry = product.entry
    data = entry.read(entry.raw, f"product {printable(entry.name or entry.kind, limit=60)!r}", allowance)
    return mask_tokens(data, allowance)


def subset(products: Products, items: Iterable[Product]) -> Products:
    """Some products of a reply, with what it said besides."""
    some = copy(products)
    vars(some)["_items"] = tuple(items)
    return some
