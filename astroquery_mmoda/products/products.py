# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""`Products`: all that an analysis returned, as a sequence, as the forms of queries, and as files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from astropy.io import fits
from astropy.table import Table

from ..allowance import Allowance
from ..decoding import parse_body
from ..errors import ParameterError, ServiceError, reading
from ..service.replies import without_tokens
from ..text import listed, nearest, printable
from .product import Product, subset
from .reply import read_reply
from .sources import match_source, same_source


class Products(Sequence[Product]):
    """
    All that an analysis returned, in the service's order.

    Index it by number or by name. Nothing is decoded before its data are used.

    Parameters
    ----------
    items : iterable of Product
        The products.
    parameters : dict, optional
        The parameters as the service understood them.
    job_id : str, optional
        The analysis.
    comment : str, optional
        Comments and warnings of the service.
    meta : dict, optional
        What the reply says besides its products: ``input_prod_list``, ``prod_uris``, ``extra_metadata`` ...
    service : str, optional
        Address of the service.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
    ...                                time_range=(58193.455, 58246.892), max_pointings=10)
    >>> [product.name for product in products]
    ['catalog', 'mosaic_image']
    >>> products["mosaic_image"].kind, products[0].kind
    ('image', 'catalog')
    """

    def __init__(
        self,
        items: Iterable[Product] = (),
        *,
        parameters: Mapping[str, Any] | None = None,
        job_id: str = "",
        comment: str = "",
        meta: Mapping[str, Any] | None = None,
        service: str = "",
    ) -> None:
        self.allowance = Allowance()
        self._items = tuple(items)
        self.parameters = dict(parameters or {})
        self.job_id = job_id
        self.comment = comment
        self.meta = dict(meta or {})
        self.service = service

    @classmethod
    def from_response(
        cls, reply: bytes | str | Mapping[str, Any], *, requested: Mapping[str, Any] | None = None, service: str = ""
    ) -> Products:
        """
        Read the body of a ``run_analysis`` reply, fresh or recorded.

        Parameters
        ----------
        reply : bytes, str or dict
            The body, or its parsed JSON.
        requested : dict, optional
            The request's fields, for what the reply does not repeat.
        service : str, optional
            Address of the service that sent it.

        Returns
        -------
        Products
            What it lists, in its order; nothing is decoded yet.

        Raises
        ------
        JobFailed, AuthenticationError
            The analysis failed or was refused.
        ParameterError, JobLost, ServiceError
            It is an error, or it has no result (yet).
        DecodingError
            It is not a reply to an analysis.

        Examples
        --------
        >>> from astroquery_mmoda import Products
        >>> reply = {"query_status": "done", "products": {"text_product_list": [{"name": "note", "value": "fine"}]}}
        >>> Products.from_response(reply)["note"].data
        'fine'
        """
        if requested is not None and not isinstance(requested, Mapping):
            raise ParameterError(f"requested must be a dict of the request's fields, not a {type(requested).__name__}.")
        body = parse_body(reply, what="the reply to an analysis") if isinstance(reply, (bytes, str)) else reply
        with reading("the reply to an analysis"):
            body, requested = without_tokens(body), without_tokens(dict(requested or {}))
        return products_of(body, requested=requested, service=service)

    # ---- a sequence

    @overload
    def __getitem__(self, index: int | str) -> Product: ...
    @overload
    def __getitem__(self, index: slice) -> Products: ...
    def __getitem__(self, index: int | str | slice) -> Product | Products:
        if isinstance(index, slice):
            return subset(self, self._items[index])
        if isinstance(index, str):
            for product in self:
                if product.name == index:
                    return product
            names = [product.name for product in self]
            raise KeyError(f"No product {printable(index)!r}{nearest(index, names)}; there are: {listed(names)}.")
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in [product.name for product in self] if isinstance(item, str) else item in self._items

    def __repr__(self) -> str:
        from .display.overview import products_text

        return products_text(self)

    def _repr_html_(self) -> str:
        from .display.overview import products_html

        return products_html(self)

    # ---- choosing

    @property
    def sources(self) -> list[str]:
        """
        `list` of `str`: names of the sources, each once, in the order of the reply.

        They are spelled as in the catalogue that was sent (without one: as in the headers of the reply), where a name
        in the reply, in which blanks are missing, means exactly one of its sources.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_spectrum", radius="8 deg",
        ...     time_range=(58193.455, 58246.892), max_pointings=10)
        >>> products.sources[-2:]
        ['MAXI J1820+070', 'Ser X-1']
        """
        return list(dict.fromkeys(product.source for product in self if product.source))

    @property
    def table(self) -> Table:
        """
        `~astropy.table.Table`: overview, one product in a row, none of them decoded.

        Columns: ``name``, ``kind``, ``source``, ``band`` (energies), ``time`` (from when to when, UTC), ``content``
        (shape), ``unit`` (of what was measured) and ``size`` (bytes that came, masked where unknown). What the headers
        do not tell is empty.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> products.table["name", "kind", "band"].pprint()
            name       kind     band
        ------------ ------- ---------
             catalog catalog
        mosaic_image   image 20-40 keV
        """
        from .display.overview import overview

        return overview(self)

    def select(self, *, source: str | None = None, kind: str | None = None, **meta: Any) -> Products:
        """
        Keep some of the products.

        Parameters
        ----------
        source : str, optional
            Name of a source; blanks and case do not count, since names in replies lack some characters.
        kind : str, optional
            A kind.
        **meta
            Values that the products' ``meta`` must have.

        Returns
        -------
        Products
            Those that have all of it, maybe none.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> [product.name for product in products.select(kind="image", instrument="isgri")]
        ['mosaic_image']
        """
        chosen = [
            product
            for product in self
            if (source is None or same_source(product.source, source))
            and (kind is None or product.kind == kind)
            and all(product.meta.get(key) == value for key, value in meta.items())
        ]
        return subset(self, chosen)

    def of_source(self, source: str | None) -> Products:
        """
        Keep the products of one source; unlike ``select(source=...)``, refuse one that is not here.

        Parameters
        ----------
        source : str or None
            Its name; blanks and case do not count. Where no source has this name, that of a product. None keeps
            everything.

        Returns
        -------
        Products
            At least one, except where nothing was returned at all.

        Raises
        ------
        ParameterError
            There is no such source, or several could be meant; ``error.products`` has everything.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_spectrum", radius="8 deg",
        ...     time_range=(58193.455, 58246.892), max_pointings=10)
        >>> [product.kind for product in products.of_source("ser x-1")]
        ['spectrum', 'arf', 'rmf']
        """
        if source is None or not len(self):
            return self
        names = {product: product.source or product.name for product in self}
        if isinstance(source, str) and source not in names.values() and source in [product.name for product in self]:
            names = {product: product.name for product in self}
        try:
            name = match_source(names.values(), source)
        except ParameterError as error:
            error.products = self
            raise
        return subset(self, [product for product in self if names[product] == name])

    # ---- the forms that queries return

    def image(self) -> fits.HDUList:
        """
        Images, as ``query_image`` returns them.

        Returns
        -------
        HDUList
            Primary; image HDUs named by their type (``INTENSITY``, ``SIGNIFICANCE``, ...) with ``EXTVER`` counting
            energy bands from the lowest; the other HDUs; last ``CATALOG``, if there is a source list. Pixels
            without exposure (``VARIANCE`` or ``EXPOSURE`` of their band) are NaN; `Product.data` is raw. If no product
            is an image, those in FITS files that came as binary products.

        Raises
        ------
        ServiceError
            Products came, but no image.
        DecodingError
            An image can't be read.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> [hdu.name for hdu in products.image()[2:]]
        ['INTENSITY', 'VARIANCE', 'SIGNIFICANCE', 'EXPOSURE', 'CATALOG']
        """
        from .image import image_form

        return image_form(self)

    def spectrum(self, source: str | None = None) -> fits.HDUList:
        """
        Spectra with their responses, as ``query_spectrum`` returns them.

        Parameters
        ----------
        source : str, optional
            Only this one; blanks and case do not count.

        Returns
        -------
        HDUList
            Primary; per source ``SPECTRUM`` (count/s), ``SPECRESP`` (cm2), ``EBOUNDS`` (keV), ``MATRIX``; last
            ``SOURCES``. ``SPECRESP`` is from the product of kind arf, ``EBOUNDS`` and ``MATRIX`` are from that of kind
            rmf (or all from one product that has the spectrum as well); other tables of these are not used. Tables of
            flux points (with an axis of energy, frequency or wavelength) become a ``SPECTRUM`` each, see
            ``query_spectrum``.

        Raises
        ------
        ParameterError
            There is no such source.
        ServiceError
            Products came, but no spectrum.
        DecodingError
            A spectrum or response can't be read.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_spectrum", radius="8 deg",
        ...     time_range=(58193.455, 58246.892), max_pointings=10)
        >>> [hdu.name for hdu in products.spectrum("Ser X-1")[1:]]
        ['SPECTRUM', 'SPECRESP', 'EBOUNDS', 'MATRIX', 'SOURCES']
        """
        from .spectrum import spectrum_form

        return spectrum_form(_of_kinds(self, "spectrum", "arf", "rmf", "table").of_source(source), self)

    def lightcurve(self, source: str | None = None) -> Table:
        """
        Light curves of all sources, or of one, as ``query_lightcurve`` returns them.

        Parameters
        ----------
        source : str, optional
            Only this one; blanks and case do not count.

        Returns
        -------
        Table
            One bin in a row: ``src_name``, ``time`` (centre, TT), ``time_bin`` (full width, s), ``e_min``, ``e_max``
            (keV) and the service's columns. Tables with a column of times are light curves as well.

        Raises
        ------
        ParameterError
            There is no such source.
        ServiceError
            Products came, but no light curve.
        DecodingError
            A light curve can't be read.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_lc", radius="8 deg",
        ...     time_range=(58193.455, 58195.5), time_bin="1000 s")
        >>> curve = products.lightcurve("Ser X-1")
        >>> curve["time"].scale, str(curve["RATE"].unit)
        ('tt', 'ct / s')
        """
        from .lightcurve import lightcurve_form

        return lightcurve_form(_of_kinds(self, "lightcurve", "table").of_source(source), self)

    def catalog(self) -> Table:
        """
        Source list, as ``query_catalog`` returns it.

        Returns
        -------
        Table
            One source in a row, ``ra`` and ``dec`` in deg. Of workflows: the table that has positions on the sky, with
            its own columns and units. ``meta`` names the columns of the positions (``LON_NAME``, ``LAT_NAME``), their
            frame if it is stated, and those without unit, taken as degrees (``UNITWARN``). Of several such tables it is
            the one that is called a catalogue, or the first; a warning names the others.
            Empty, with the usual columns, if the reply has none.

        Raises
        ------
        DecodingError
            It can't be read.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> str(products.catalog()["src_names"][0])
        'MAXI J1820+070'
        """
        from .sourcelists import catalog_form

        return catalog_form(self)

    def require(self, *kinds: str) -> None:
        """
        Refuse products among which there is none of these kinds; an empty reply is accepted.

        Parameters
        ----------
        *kinds : str
            Any of these will do.

        Raises
        ------
        ServiceError
            Products came, but none of these kinds; ``error.products`` has what came.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> products.require("image", "spectrum")
        """
        if len(self) and not any(product.kind in kinds for product in self):
            came = ", ".join(sorted({product.kind for product in self}))
            names = [product.name for product in self if product.kind == "table"]
            if names and {"spectrum", "lightcurve"} & set(kinds):
                axis = "energies, frequencies or wavelengths" if "spectrum" in kinds else "times"
                came += f" ({listed(names)}; both a column of {axis} and one of values are needed)"
            raise ServiceError(
                f"The service sent no {' or '.join(kinds)}, but: {came}. See error.products, or use query_product.",
                products=self,
            )

    # ---- files

    def write(
        self,
        directory: str | Path,
        *,
        overwrite: bool = False,
        group: float | None = None,
        systematic: float | None = None,
    ) -> Table:
        """
        Write all products as files that other tools read.

        Spectra and light curves become OGIP files (for spectra see `~astroquery_mmoda.write_spectra`; tables that have
        no part in a spectrum stay behind those that have), an image a FITS file that has the source list as well; the
        rest is written as it came: FITS, ECSV, text, JSON or bytes. Every header has the origin of the data; an
        index, ``mmoda-<job id>.json``, tells it for all files and lets `read` find them. It is not in the manifest.

        Several analyses may be written into one directory, and parts of one after the other. Each file is written whole
        or not at all. What can't be written does not stop the rest, unless the disk is full.

        Parameters
        ----------
        directory : str or Path
            Made if it is not there.
        overwrite : bool
            Whether existing files are replaced.
        group : int or float, optional
            Grouping of spectra: minimum counts (int) or minimum signal to noise (float).
        systematic : float, optional
            Systematic error of spectra, as a fraction.

        Returns
        -------
        Table
            Manifest: ``path``, ``source``, ``kind``, ``size`` (bytes), ``error`` (empty).

        Raises
        ------
        FileExistsError
            A file is there already, or the index of another analysis; nothing was written.
        ParameterError
            ``group`` or ``systematic`` has no meaning, or no spectrum here can take it; nothing was written. Where only
            some can't, an ``InputWarning`` names them.
        MmodaError
            Some products could not be written; a `DecodingError` if they can't be decoded. Its ``manifest`` lists what
            was written, and these with an empty ``path``, the size 0 and the reason in ``error``.
        OSError
            The directory can't be made or written to, and nothing was written; or the disk is full, and nothing more
            was tried. The latter has a ``manifest``, too.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> products.write("maxi")["path", "kind"].pprint()
                 path            kind
        ---------------------- -------
             maxi/catalog.ecsv catalog
        maxi/mosaic_image.fits   image
        """
        from .storage.directory import write_products

        return write_products(self, directory, overwrite=overwrite, group=group, systematic=systematic)

    @classmethod
    def read(cls, directory: str | Path, *, job_id: str | None = None) -> Products:
        """
        Open what `write` wrote.

        Files are read when the data of their products are used, and not needed after that. Spectra and images have the
        headers of the files, which were mended for other tools; spectra are grouped if they were written so, their
        QUALITY is the service's own (but 2 for what a group left over), and images are NaN where nothing was exposed.

        Parameters
        ----------
        directory : str or Path
            Where they were written.
        job_id : str, optional
            Which analysis, if there are several.

        Returns
        -------
        Products
            With the same names, kinds, sources and forms. A ``session_id`` is not kept.

        Raises
        ------
        ParameterError
            There are several analyses, and ``job_id`` was not given.
        DecodingError
            There is no index, or a file is missing, or not as `write` left it.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda, Products
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> manifest = products.write("maxi")
        >>> [product.name for product in Products.read("maxi")]
        ['catalog', 'mosaic_image']
        """
        from .storage.directory import read_products

        return read_products(cls, directory, job_id=job_id)

    # ---- in a paper

    def cite(self) -> str:
        """
        Give the references for a paper that uses these products.

        Returns
        -------
        str
            BibTeX entries: MMODA; the instrument, if it is one of INTEGRAL's; else the service's own name of what was
            run there.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> print(products.cite())
        @article{Neronov2021,
          author = {Neronov, A. and Savchenko, V. and Tramacere, A. and Meharga, M. and Ferrigno, C. and Paltani, S.},
        ...
        """
        from .storage.provenance import bibtex

        return bibtex(self)


def products_of(body: Any, *, requested: Mapping[str, Any] | None = None, service: str = "") -> Products:
    """Like `Products.from_response`, of JSON that was parsed and freed of tokens before."""
    items, details, allowance = read_reply(body, requested or {})
    products = Products(items, **details, service=service)
    products.allowance = allowance
    return products


def _of_kinds(products: Products, *kinds: str) -> Products:
    return subset(products, (product for product in products if product.kind in kinds))
