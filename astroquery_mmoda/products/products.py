# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""`Product` and `Products`: what an analysis returned, listed at once and decoded when looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

from astropy.io import fits
from astropy.table import Table

from ..allowance import Allowance
from ..catalog import empty_catalog
from ..decoding import parse_body
from ..errors import DecodingError, ParameterError, ServiceError
from ..service.replies import check_reply, error_from_body, failure, section, without_tokens
from ..text import listed, nearest, printable
from .cards import is_missing
from .kinds import LONGEST_NAME, Entry, check_name, describe, entries_of, free_name, names_in_headers
from .sources import Spellings, match_source, same_source
from .storage.provenance import SERVICE_VERSION

__all__ = ["Product", "Products"]

# memory of a product without its content, and of a remark about it
_PRODUCT = 2000
_REMARK = 200
_META = (
    "input_prod_list",
    "instrument_parameters",
    "prod_uris",
    "extra_metadata",
    "prod_process_message",
    SERVICE_VERSION,
)
# what replies have in the place of a source's name
_PLACEHOLDERS = frozenset({"", "query", "lc", "string", "none"})


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
        What the service says besides.

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
        self._entry = entry
        self._allowance = allowance or Allowance()

    @cached_property
    def data(self) -> Any:
        """
        `~astropy.io.fits.HDUList`, `~astropy.table.Table`, array, text or bytes: the content, as the service gave it.

        It is decoded when it is looked at first, and kept; a `DecodingError` tells what can't be read.
        """
        from .masking import mask_tokens

        with self._allowance.attempt():
            data = self._entry.read(self._entry.raw, describe(self._entry), self._allowance)
            return mask_tokens(data, self._allowance)

    @property
    def title(self) -> str:
        """`str`: the service's name, and the source if the service uses one name for all of them."""
        name = self._entry.name.strip() or self.name
        return f"{name} {self.source}" if self.kind == "lightcurve" and self.source not in name else name

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("data", None)  # made again when looked at; an HDUList may not pickle
        return state

    def __repr__(self) -> str:
        from .display.overview import (
            product_line,
        )  # like all rooms of displays and files entered when needed: imports take long

        return product_line(self)

    def __str__(self) -> str:
        from .display.overview import product_text

        return product_text(self)

    def _repr_html_(self) -> str:
        from .display.overview import product_html

        return product_html(self)


class Products(Sequence[Product]):
    """
    All that an analysis returned, in the service's order.

    Index it by number or by name. Nothing is decoded before it is looked at.

    Parameters
    ----------
    items : iterable of Product
        The products.
    parameters : dict, optional
        The question as the service understood it.
    job_id : str, optional
        The analysis.
    comment : str, optional
        Remarks of the service.
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
        self._allowance = Allowance()
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
            The reply tells of a failed or refused analysis.
        ParameterError, JobLost, ServiceError
            It is an error, or it has no result (yet).
        DecodingError
            It is no reply to an analysis at all.

        Examples
        --------
        >>> from astroquery_mmoda import Products
        >>> reply = {"query_status": "done", "products": {"text_product_list": [{"name": "remark", "value": "fine"}]}}
        >>> Products.from_response(reply)["remark"].data
        'fine'
        """
        if requested is not None and not isinstance(requested, Mapping):
            raise ParameterError(f"requested must be a dict of the request's fields, not a {type(requested).__name__}.")
        body = parse_body(reply, what="the reply to an analysis") if isinstance(reply, (bytes, str)) else reply
        try:
            body = without_tokens(body)
        except RecursionError:
            raise DecodingError("This reply is nested too deeply to be one of an analysis.") from None
        return cls._from_clean(body, requested=requested, service=service)

    @classmethod
    def _from_clean(cls, body: Any, *, requested: Mapping[str, Any] | None = None, service: str = "") -> Products:
        """Like `from_response`, of JSON that was parsed and freed of tokens before."""
        if not isinstance(body, Mapping) or not {"query_status", "error", "error_message"} & set(body):
            raise DecodingError("This is no reply to an analysis: it has neither a query_status nor an error_message.")
        if "query_status" not in body:
            raise error_from_body(body)
        check_reply(body)
        _refuse_unfinished(body)
        products = body.get("products") or {}
        if not isinstance(products, Mapping):
            raise DecodingError(f"The products of a reply must be a JSON object, not a {type(products).__name__}.")
        parameters = {**(requested or {}), **section(products, "analysis_parameters")}
        allowance = Allowance.of(body)
        found = cls(
            _named(_counted(entries_of(products, allowance), allowance), parameters, allowance),
            parameters=parameters,
            job_id=str(section(body, "job_monitor").get("job_id") or products.get("job_id") or ""),
            comment=_remarks(body),
            meta={key: part[key] for part in (body, products) for key in _META if part.get(key)},
            service=service,
        )
        found._allowance = allowance
        return found

    # ---- a sequence

    @overload
    def __getitem__(self, index: int | str) -> Product: ...
    @overload
    def __getitem__(self, index: slice) -> Products: ...
    def __getitem__(self, index: int | str | slice) -> Product | Products:
        if isinstance(index, slice):
            return self._with(self._items[index])
        if isinstance(index, str):
            return self._named(index)
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Product]:
        return iter(self._items)

    def __contains__(self, item: object) -> bool:
        return item in [product.name for product in self] if isinstance(item, str) else item in self._items

    def _named(self, name: str) -> Product:
        for product in self:
            if product.name == name:
                return product
        names = [product.name for product in self]
        raise KeyError(f"No product {printable(name)!r}{nearest(name, names)}; there are: {listed(names)}.")

    def _with(self, items: Iterable[Product]) -> Products:
        some = Products(
            items,
            parameters=self.parameters,
            job_id=self.job_id,
            comment=self.comment,
            meta=self.meta,
            service=self.service,
        )
        some._allowance = self._allowance
        return some

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
            Name of a source; blanks and case do not count, since replies carry cleaned names.
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
        return self._with(
            product
            for product in self
            if (source is None or same_source(product.source, source))
            and (kind is None or product.kind == kind)
            and all(product.meta.get(key) == value for key, value in meta.items())
        )

    def of_source(self, source: str | None) -> Products:
        """
        Keep the products of one source; unlike ``select(source=...)``, refuse one that is not here.

        Parameters
        ----------
        source : str or None
            Its name; blanks and case do not count. None keeps everything.

        Returns
        -------
        Products
            At least one, except where nothing was returned at all.

        Raises
        ------
        ParameterError
            There is no such source, or several could be meant; the message lists those that are here, and
            ``error.products`` has everything.

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
        try:
            name = match_source(self.sources, source)
        except ParameterError as error:
            error.products = self
            raise
        return self._with(product for product in self if product.source == name)

    # ---- the forms that queries return

    def image(self) -> fits.HDUList:
        """
        Images, as ``query_image`` returns them.

        Returns
        -------
        HDUList
            Primary; image HDUs named by their type (``INTENSITY``, ``SIGNIFICANCE``, ...) with ``EXTVER`` counting
            energy bands from the lowest; the other HDUs; last ``CATALOG``, if there is a source list. Pixels that
            ``VARIANCE`` or ``EXPOSURE`` of their band tell to be without exposure are NaN; `Product.data` is raw.

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
            rmf (or all from one product that has the spectrum as well); other tables of these have no part in it.

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

        return spectrum_form(self._of_kinds("spectrum", "arf", "rmf").of_source(source), self)

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
            (keV) and the service's columns.

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

        return lightcurve_form(self._of_kinds("lightcurve").of_source(source), self)

    def catalog(self) -> Table:
        """
        Source list, as ``query_catalog`` returns it.

        Returns
        -------
        Table
            One source in a row, ``ra`` and ``dec`` in deg; empty, with the usual columns, if the reply has none.

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
        from .budget import Budget

        lists = self.select(kind="catalog")
        if not len(lists):
            return empty_catalog()
        table = lists[0].data
        if not isinstance(table, Table):
            raise DecodingError(
                f"The catalogue {printable(lists[0].name)!r} is not a table, but {type(table).__name__}."
            )
        Budget.of(self).spend(sum(column.nbytes for column in table.itercols()), "the catalogue")
        return table.copy()

    def _of_kinds(self, *kinds: str) -> Products:
        return self._with(product for product in self if product.kind in kinds)

    def require(self, *kinds: str) -> None:
        """
        Refuse products among which there is none of these kinds; an empty reply is let through.

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
        rest is written as it came: FITS, ECSV, text, JSON or bytes. Every header tells where the data are from; an
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
        from .storage.write import write_products

        return write_products(self, directory, overwrite=overwrite, group=group, systematic=systematic)

    @classmethod
    def read(cls, directory: str | Path, *, job_id: str | None = None) -> Products:
        """
        Open what `write` wrote.

        Files are read when their products are looked at, and not needed after that. Spectra and images have the
        headers of the files, which were mended for other tools; spectra are grouped if they were written so, and images
        are NaN where nothing was exposed.

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
        from .storage.read import read_products

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
        from .storage.citation import bibtex

        return bibtex(self)


def _refuse_unfinished(body: Mapping[str, Any]) -> None:
    status = body.get("query_status")
    if status == "failed":
        raise failure(body)
    if status != "done":
        raise ServiceError(
            f"The analysis is not over: its status is {printable(status)!r}, so this reply has no result."
        )
    if not body.get("products"):
        raise ServiceError(
            "This reply tells that the analysis is done, but not what it found; ask again with query_status=new."
        )


def _counted(entries: Iterable[Entry], allowance: Allowance) -> list[Entry]:
    """All of them; each takes memory, however short it is in the reply."""
    found = []
    for entry in entries:
        # what is said about an output by its name is copied for each product of this name
        allowance.spend(_PRODUCT + _REMARK * len(entry.meta), "the list of products")
        found.append(entry)
    return found


def _named(entries: Sequence[Entry], parameters: Mapping[str, Any], allowance: Allowance) -> list[Product]:
    """Products with their sources and with names that differ."""
    requested = check_name(parameters.get("src_name"), "src_name of analysis_parameters")
    spelled = Spellings(_catalogued_names(parameters.get("selected_catalog")) or names_in_headers(entries))
    product_type = check_name(parameters.get("product_type"), "product_type of analysis_parameters")
    taken: dict[str, int] = {}
    named = []
    for entry in entries:
        source = str(entry.meta.get("src_name") or "").strip()
        source = requested if source.lower() in _PLACEHOLDERS or is_missing(source) else spelled.of(source)
        stem = entry.name.strip() or " ".join(
            word for word in (entry.meta.get("product") or product_type or entry.kind, source) if word
        )
        named.append(Product(entry, free_name(stem, taken), source, allowance))
    return named


def _catalogued_names(catalog: Any) -> list[str]:
    """Names of the sources in the catalogue that was sent; replies have them without blanks."""
    try:
        told = parse_body(catalog, what="selected_catalog") if isinstance(catalog, str) else catalog
    except DecodingError:
        return []
    columns = section({"catalog": told}, "catalog")
    names, lists = columns.get("cat_column_names"), columns.get("cat_column_list")
    if not isinstance(names, list) or not isinstance(lists, list) or "src_names" not in names[: len(lists)]:
        return []
    found = lists[names.index("src_names")]
    names = [name.strip() for name in found if isinstance(name, str)] if isinstance(found, list) else []
    return [name for name in names if 0 < len(name) <= LONGEST_NAME]


def _remarks(body: Mapping[str, Any]) -> str:
    exit_status = section(body, "exit_status")
    words = (printable(exit_status.get(key) or "", limit=2000, newlines=True) for key in ("comment", "warning"))
    return "\n".join(word for word in words if word)
