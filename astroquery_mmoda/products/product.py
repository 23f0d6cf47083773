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
    import numpy as np
    from astropy.io import fits
    from astropy.table import Table

    from .products import Products

# gwpy is large, and few need it
__doctest_requires__ = {"Product.to_gwpy": ["gwpy"]}


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

    # ---- as other objects; their modules are imported when needed, since that takes long

    def hdulist(self) -> fits.HDUList:
        """
        Open a binary product that is a FITS file, also compressed by gzip, or copy the HDUs of another product.

        Returns
        -------
        `~astropy.io.fits.HDUList`
            One of its own, which may be changed: `data` stays as it is. Nothing is mended or renamed, and images that
            are compressed within the file stay tables.

        Raises
        ------
        ParameterError
            It is something else; the error says what it seems to be.
        DecodingError
            It can't be read.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> hdulist = products["mosaic_image"].hdulist()
        >>> hdulist["ISGR-MOSA-IMA", 1].header["IMATYPE"]
        'INTENSITY'
        """
        from .conversions import open_fits

        allowance = Allowance(self.allowance.body)
        return read_data(self, allowance) if hasattr(self.data, "writeto") else open_fits(self, allowance)

    def picture(self) -> np.ndarray:
        """
        Give the pixels of a picture (PNG, JPEG, GIF, WebP, TIFF, BMP), for `matplotlib.pyplot.imshow`.

        Pillow is needed: ``pip install pillow`` (matplotlib brings it as well).

        Returns
        -------
        `~numpy.ndarray`
            Height x width x 3 (red, green, blue) or 4 (with opacity), from 0 to 255; height x width if a grey picture
            has numbers of more than 8 bits. The first row is the upper one.

        Raises
        ------
        ParameterError
            It is something else, or a picture without pixels, such as SVG.
        DecodingError
            It can't be read, or is too large.
        ImportError
            If Pillow is missing.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("workflow", "Crab", product="everything",
        ...                                time_range=("2022-10-09", "2022-10-10"))
        >>> products["plot"].picture().shape
        (8, 16, 3)
        """
        from .conversions import pixels_of

        return pixels_of(self, Allowance(self.allowance.body))

    def to_table(self) -> Table:
        """
        Make a table with names and units read from headings such as ``Flux[TeV/cm2s]``; of HDUs, the first table.

        A unit of the column's own counts before that of its heading, and a heading that can't be read stays as it is.
        Columns of times (``Tmean[MJD]``) become `~astropy.time.Time` in UTC, which workflows mean without saying it;
        ``MJD`` on a duration or a number (``dT[MJD]``) stays in the heading.

        Returns
        -------
        `~astropy.table.Table`
            A copy: `data` stays as it is, as the service gave it.

        Raises
        ------
        ParameterError
            It has no table; the error names what to use.
        DecodingError
            It can't be read.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("workflow", "Crab", product="everything",
        ...                                time_range=("2022-10-09", "2022-10-10"))
        >>> products["cat"].to_table()["ra"].unit
        Unit("deg")
        """
        from .conversions import table_with_units

        return table_with_units(self, Allowance(self.allowance.body))

    def to_gwpy(self) -> Any:
        """
        Make an object of gwpy of a strain or spectrogram; needs gwpy: ``pip install gwpy``.

        Returns
        -------
        gwpy.timeseries.TimeSeries or gwpy.spectrogram.Spectrogram
            With times in GPS seconds, and frequencies in Hz.

        Raises
        ------
        ParameterError
            It is neither.
        ImportError
            If gwpy is missing.

        Examples
        --------
        >>> from astroquery_mmoda import Products
        >>> strain = {"name": "Strain", "value": [1e-21, -2e-21, 3e-21], "t0": 1126259446.0, "dt": 0.25}
        >>> reply = {"query_status": "done", "products": {"gw_strain_product_list": [strain]}}
        >>> Products.from_response(reply)["Strain"].to_gwpy().dt  # doctest: +IGNORE_WARNINGS
        <Quantity 0.25 s>
        """
        from .conversions import gwpy_series

        return gwpy_series(self)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("data", None)  # made again; an HDUList may not pickle
        return state

    def __repr__(self) -> str:
        # imported when needed, like all of display and storage: it takes long
        from .display.overview import product_line

        return product_line(self)

    def _repr_png_(self) -> bytes | None:
        """A picture, as notebooks show it."""
        from .conversions import shown_picture

        return shown_picture(self, "PNG")

    def _repr_jpeg_(self) -> bytes | None:
        """A picture, as notebooks show it."""
        from .conversions import shown_picture

        return shown_picture(self, "JPEG")


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
