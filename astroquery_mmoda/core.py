# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The reception desk: what a user asks, in the words of astroquery, handed over to the rooms that do it."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astroquery import log
from astroquery.exceptions import NoResultsWarning
from astroquery.query import QueryWithLogin

from .arguments import Asked, like_a_query, like_a_submission
from .auth import Token
from .catalog import add_sources, to_catalog_text
from .dispatcher import Dispatcher
from .errors import MmodaError, ParameterError
from .job import Job
from .jobs import get_job, list_jobs
from .parameters import InstrumentSchema, nearest, read_metadata
from .payload import Question, to_payload
from .products import Products
from .session import Connection, MmodaSession
from .snippets import read_api_code
from .text import printable
from .values import parse_position

__all__ = ["Mmoda", "MmodaClass"]

_METADATA_LIFE = 3600.0  # seconds; instruments change rarely, and clear_cache() is there


class MmodaClass(MmodaSession):
    """
    Client of MMODA, the Multi-Messenger Online Data Analysis service of the University of Geneva.

    Parameters
    ----------
    server : str, optional
        Base address of a dispatcher; ``conf.server`` by default, read at every query.

    Examples
    --------
    >>>     >>> from astroquery_mmoda import Mmoda
    >>> mosaic = Mmoda.query_image("isgri", "Crab", radius=8*u.deg, energy_range=(30, 80)*u.keV,
    ...                            time_range=("2017-03-06T13:26:48", "2017-03-06T15:32:27"))  # doctest: +SKIP
    """

    # ---- images, spectra, light curves

    @like_a_query
    def query_image(self, instrument: str, coordinates: Any = None, **arguments: Any) -> fits.HDUList:
        """
        Compute a sky image.

        Returns
        -------
        HDUList
            Primary; the images in the service's order, with ``EXTNAME`` = their type (``INTENSITY``, ``VARIANCE``,
            ``SIGNIFICANCE``, ``EXPOSURE``), ``EXTVER`` = energy band counted from the lowest, and a celestial WCS;
            the other HDUs; last ``CATALOG``, the sources found in it.
        """
        return self._query("image", instrument, coordinates, arguments, lambda products, source: products.image())

    @like_a_query
    def query_catalog(self, instrument: str, coordinates: Any = None, **arguments: Any) -> Table:
        """
        Find the sources in a sky image; the same analysis as that of `query_image`.

        Returns
        -------
        Table
            The service's columns (``src_names``, ``significance``, ``ra``, ``dec`` ...), angles in deg, the frame in
            ``meta``. Filtered, it can be given to another query as ``catalog``.
        """

        def form(products: Products, source: str | None) -> Table:
            table = products.catalog()
            if len(products) and not len(table):
                self._warn_empty("no source was found")
            return table

        return self._query("image", instrument, coordinates, arguments, form)

    @like_a_query
    def query_spectrum(self, instrument: str, coordinates: Any = None, **arguments: Any) -> fits.HDUList:
        """
        Compute spectra of the sources in a catalogue, with their responses.

        Returns
        -------
        HDUList
            Primary; per source ``SPECTRUM`` (count/s), ``SPECRESP`` (cm2), ``EBOUNDS`` (keV), ``MATRIX``, with
            ``EXTVER`` = number of the source and ``SRC_NAME``; last ``SOURCES``. `write_spectra` makes files of it.
        """
        return self._query(
            "spectrum", instrument, coordinates, arguments, lambda products, source: products.spectrum(source)
        )

    @like_a_query
    def query_lightcurve(self, instrument: str, coordinates: Any = None, **arguments: Any) -> Table:
        """
        Compute light curves of the sources in a catalogue.

        Returns
        -------
        Table
            All sources stacked: ``src_name``, ``time`` (bin centre, TT), ``time_bin`` (full width, s), ``e_min``,
            ``e_max`` (keV), then the service's columns with units; bins without data are masked.
        """
        return self._query(
            "lightcurve", instrument, coordinates, arguments, lambda products, source: products.lightcurve(source)
        )

    @like_a_query
    def query_product(self, instrument: str, coordinates: Any = None, **arguments: Any) -> Products:
        """
        Compute any product of an instrument or workflow.

        Returns
        -------
        Products
            Everything that the analysis returned, whatever its kind.
        """
        return self._query("product", instrument, coordinates, arguments, Products.of_source)

    @like_a_submission
    def submit_image(self, instrument: str, coordinates: Any = None, **arguments: Any) -> Job:
        """
        Submit what `query_image` computes, without waiting for it.

        Returns
        -------
        Job
        """
        return self._submit("image", instrument, coordinates, arguments)

    @like_a_submission
    def submit_spectrum(self, instrument: str, coordinates: Any = None, **arguments: Any) -> Job:
        """
        Submit what `query_spectrum` computes, without waiting for it.

        Returns
        -------
        Job
        """
        return self._submit("spectrum", instrument, coordinates, arguments)

    @like_a_submission
    def submit_lightcurve(self, instrument: str, coordinates: Any = None, **arguments: Any) -> Job:
        """
        Submit what `query_lightcurve` computes, without waiting for it.

        Returns
        -------
        Job
        """
        return self._submit("lightcurve", instrument, coordinates, arguments)

    @like_a_submission
    def submit_product(self, instrument: str, coordinates: Any = None, **arguments: Any) -> Job:
        """
        Submit what `query_product` computes, without waiting for it.

        Returns
        -------
        Job
        """
        return self._submit("product", instrument, coordinates, arguments)

    def _query(
        self,
        kind: str,
        instrument: str,
        coordinates: Any,
        arguments: Mapping[str, Any],
        form: Callable[[Products, str | None], Any],
    ) -> Any:
        asked = Asked.of_query(arguments)
        connection = self._connect(asked.token)
        payload = self._payload(connection, kind, instrument, coordinates, asked)
        if asked.get_query_payload:
            return payload
        begin = time.monotonic()
        job = Job.submit(connection, payload)
        products = job.result(asked.timeout, progress=asked.progress)
        seconds = time.monotonic() - begin
        log.info("job %s: %d product%s in %.0f s", job.job_id, len(products), "s" * (len(products) != 1), seconds)
        for line in products.comment.splitlines():
            log.warning("remark of the service: %s", line)
        if not len(products):
            self._warn_empty("the analysis returned nothing")
        return form(products, asked.source)

    def _submit(self, kind: str, instrument: str, coordinates: Any, arguments: Mapping[str, Any]) -> Any:
        asked = Asked.of_submission(arguments)
        connection = self._connect(asked.token)
        payload = self._payload(connection, kind, instrument, coordinates, asked)
        return payload if asked.get_query_payload else Job.submit(connection, payload)

    def _payload(
        self, connection: Connection, kind: str, instrument: str, coordinates: Any, asked: Asked
    ) -> dict[str, str]:
        """The form fields of a question; asks the service for meta-data and names, but submits nothing."""
        schema = self._schema(instrument, connection)
        product = schema.choose(kind, asked.product)
        position, name = self._locate(coordinates, connection)
        question = Question(
            coordinates=position,
            name=name,
            radius=asked.radius,
            time_range=asked.time_range,
            energy_range=asked.energy_range,
            time_bin=asked.time_bin,
            scw_list=asked.scw_list,
            catalog=self._catalog_text(_catalog(asked), connection),
            query_type=asked.query_type,
            others={name: value for name, value in asked.others.items() if name != "user_catalog_file"},
        )
        return to_payload(
            schema, product, question, also_known=lambda: connection.dispatcher().parameter_names(instrument)
        )

    def _warn_empty(self, what: str) -> None:
        warnings.warn(f"MMODA: {what}.", NoResultsWarning, stacklevel=5)

    # ---- bringing what you have

    def from_api_code(self, text: str) -> dict[str, Any]:
        """
        Read the Python snippet that the web page or an e-mail of the service gives; it is never run.

        Parameters
        ----------
        text : str
            The snippet, written for oda_api.

        Returns
        -------
        dict
            Keyword arguments for `submit_product` and `query_product`, without a token.

        Raises
        ------
        ParameterError
            It is no such snippet.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> arguments = Mmoda.from_api_code("par_dict = {'instrument': 'isgri', 'product': 'isgri_lc', 'radius': 8}")
        >>> arguments["product"]
        'isgri_lc'
        """
        return read_api_code(text)

    def add_sources(self, catalog: Table, sources: Any, *, flag: int = 1, radius: u.Quantity = 1 * u.arcmin) -> Table:
        """
        Add objects of interest to a source list.

        Parameters
        ----------
        catalog : Table
            As `query_catalog` returns it; left as it is.
        sources : str, list of str, dict or Table
            Names, which are resolved; names with their positions (`~astropy.coordinates.SkyCoord`); or a table with
            names and coordinates.
        flag : int
            Value of the column ``FLAG`` for them; 1 marks objects of interest.
        radius : Quantity
            An unnamed detection (``NEW_1``, ...) that is closer than this gets the name instead.

        Returns
        -------
        Table
            A new one.

        Raises
        ------
        ParameterError
            A name is not known, or something has no position.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> more = Mmoda.add_sources(sources, ["V404 Cyg"])  # doctest: +SKIP
        """
        if isinstance(sources, str):
            sources = [sources]
        if isinstance(sources, (list, tuple)):
            connection = self._connect()
            sources = {str(name): self._resolve(str(name), connection) for name in sources}
        return add_sources(catalog, sources, flag=flag, radius=radius)

    # ---- jobs of earlier

    def get_job(self, job_id_or_link: str, *, session_id: str | None = None) -> Job:
        """
        Take up a job again, of this process, another, or the web page.

        Parameters
        ----------
        job_id_or_link : str
            Id of a job (its first characters are enough for one in the journal), or the link in an e-mail of the
            service; a token in the link is not used.
        session_id : str, optional
            Session of a job that the journal does not know, such as one that was started on the web page.

        Returns
        -------
        Job
            Nothing is asked about its state yet; ``result()`` waits for it.

        Raises
        ------
        JobLost
            Neither the journal nor the service knows it.
        ParameterError
            This is no job id.
        AuthenticationError
            It belongs to somebody else.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.get_job("bc0582f30061217d").result()  # doctest: +SKIP
        """
        return get_job(self, job_id_or_link, session_id)

    def list_jobs(self) -> Table:
        """
        List the jobs that this machine remembers, and those that the service knows of you.

        Returns
        -------
        Table
            ``job_id``, ``session_id``, ``instrument``, ``product``, ``status`` (last heard), ``submitted`` (ISO 8601,
            UTC), ``journal`` (whether this machine remembers it); newest first.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.list_jobs()["job_id", "status"]  # doctest: +SKIP
        """
        return list_jobs(self)

    # ---- the archive of published products

    def query_region(
        self,
        coordinates: Any,
        radius: Any,
        *,
        instrument: str | None = None,
        kind: str | None = None,
        time_range: Any = None,
        energy_range: Any = None,
        maxrec: int | None = None,
        get_query_payload: bool = False,
    ) -> Table | str:
        """
        Look for products of a place that are published in MMODA's gallery already.

        Parameters
        ----------
        coordinates : SkyCoord or str
            Centre, or name of an object.
        radius : Quantity or str
            Radius of the cone; a bare number is in deg.
        instrument, kind : str, optional
            Only of this instrument; only of this kind (image, spectrum, lightcurve ...).
        time_range, energy_range : pair, optional
            Only what overlaps it; as in `query_image`.
        maxrec : int, optional
            Most rows.
        get_query_payload : bool
            Return the ADQL and ask nothing.

        Returns
        -------
        Table
            Columns of IVOA's ObsCore, with ``t_min``, ``t_max`` as `~astropy.time.Time` (UTC), ``e_min``, ``e_max`` in
            keV, ``position`` (ICRS); what the archive does not know is masked.

        Raises
        ------
        ParameterError
            An argument is wrong.
        ServiceError
            The archive can't be asked, or refuses the query.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> table = Mmoda.query_region("Crab", "10 arcmin", kind="spectrum")  # doctest: +SKIP
        """
        return _gallery().query_region(
            self,
            coordinates,
            radius,
            instrument=instrument,
            kind=kind,
            time_range=time_range,
            energy_range=energy_range,
            maxrec=maxrec,
            get_query_payload=get_query_payload,
        )

    def query_object(
        self,
        name: str,
        radius: Any = 10 * u.arcmin,
        *,
        instrument: str | None = None,
        kind: str | None = None,
        time_range: Any = None,
        energy_range: Any = None,
        maxrec: int | None = None,
        get_query_payload: bool = False,
    ) -> Table | str:
        """
        Look for published products of an object, by its position and by the names that the gallery knows for it.

        Parameters
        ----------
        name : str
            Of the object.
        radius : Quantity or str
            How far from its position.
        instrument, kind, time_range, energy_range, maxrec, get_query_payload
            As in `query_region`.

        Returns
        -------
        Table
            As from `query_region`.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> table = Mmoda.query_object("Crab")  # doctest: +SKIP
        """
        return _gallery().query_object(
            self,
            name,
            radius,
            instrument=instrument,
            kind=kind,
            time_range=time_range,
            energy_range=energy_range,
            maxrec=maxrec,
            get_query_payload=get_query_payload,
        )

    def query_tap(self, adql: str, *, maxrec: int | None = None) -> Table:
        """
        Ask the archive of published products in ADQL.

        Parameters
        ----------
        adql : str
            The query; tables and columns are in `list_tables` and `list_columns`.
        maxrec : int, optional
            Most rows.

        Returns
        -------
        Table
            Tidied like that of `query_region`.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> table = Mmoda.query_tap("SELECT TOP 5 * FROM ivoa.obscore")  # doctest: +SKIP
        """
        return _gallery().query_tap(self, adql, maxrec=maxrec)

    def list_tables(self) -> Table:
        """
        List the tables of the archive.

        Returns
        -------
        Table
            ``name``, ``description``.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.list_tables()  # doctest: +SKIP
        """
        return _gallery().list_tables(self)

    def list_columns(self, table: str) -> Table:
        """
        List the columns of one table of the archive.

        Parameters
        ----------
        table : str
            As in `list_tables`.

        Returns
        -------
        Table
            ``name``, ``description``, ``unit``, ``type``.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.list_columns("ivoa.obscore")  # doctest: +SKIP
        """
        return _gallery().list_columns(self, table)

    def download_products(
        self, rows: Any, *, directory: str | os.PathLike[str] = ".", overwrite: bool = False
    ) -> Table:
        """
        Fetch the files behind rows of the archive, each whole or not at all; calling it again resumes.

        Parameters
        ----------
        rows : Table or Row
            As from `query_region`.
        directory : str or path-like
            Where to; made if it is not there.
        overwrite : bool
            Whether files that are there are fetched again.

        Returns
        -------
        Table
            Manifest: ``path``, ``url``, ``source``, ``kind``, ``size``, ``status`` (COMPLETE, SKIPPED or ERROR),
            ``message``.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> manifest = Mmoda.download_products(table[:3], directory="archive")  # doctest: +SKIP
        """
        return _gallery().download_products(self, rows, directory=directory, overwrite=overwrite)

    # ---- what there is

    def list_instruments(self) -> Table:
        """
        List the instruments that are open to you.

        Returns
        -------
        Table
            ``instrument``, ``products`` (names with commas between them; empty where the service does not tell).

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> print(Mmoda.list_instruments())  # doctest: +SKIP
        """
        connection = self._connect()
        rows = [(name, self._products_text(name, connection)) for name in connection.dispatcher().instruments()]
        return Table(rows=rows or None, names=("instrument", "products"), dtype=("U", "U"))

    def _products_text(self, instrument: str, connection: Connection) -> str:
        """Products of one instrument; one that does not answer does not spoil the list."""
        try:
            return ", ".join(printable(name) for name in self._schema(instrument, connection).products)
        except MmodaError as error:
            log.warning("%s: its products are left out (%s)", printable(instrument), error)
            return ""

    def list_products(self, instrument: str) -> Table:
        """
        List the products of an instrument.

        Parameters
        ----------
        instrument : str
            As in `list_instruments`.

        Returns
        -------
        Table
            ``product``, ``kind`` (guessed from the name; ``other`` where no word tells).

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> print(Mmoda.list_products("isgri"))  # doctest: +SKIP
        """
        schema = self._schema(instrument, self._connect())
        rows = [(printable(product), schema.kind(product)) for product in schema.products]
        return Table(rows=rows or None, names=("product", "kind"), dtype=("U", "U"))

    def list_parameters(self, instrument: str, product: str | None = None) -> Table:
        """
        List what can be asked of an instrument.

        Parameters
        ----------
        instrument : str
            As in `list_instruments`.
        product : str, optional
            Only this product's; by default all, with the common ones repeated for each.

        Returns
        -------
        Table
            ``product``, ``name``, ``default`` (text), ``unit``, ``type``, ``min``, ``max`` (masked where there is no
            limit), ``choices``, ``optional``, ``description``.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> print(Mmoda.list_parameters("isgri", "isgri_lc"))  # doctest: +SKIP
        """
        schema = self._schema(instrument, self._connect())
        chosen = list(schema.products) if product is None else [schema.choose("product", product)]
        return schema.table(chosen)

    def resolve_name(self, name: str) -> SkyCoord:
        """
        Find the position of an object, by the service's resolver or, if that does not know it, by Sesame (CDS).

        Parameters
        ----------
        name : str
            Such as ``"Crab"``.

        Returns
        -------
        SkyCoord
            ICRS.

        Raises
        ------
        ParameterError
            Neither knows it.
        """
        return self._resolve(name, self._connect())

    def _resolve(self, name: str, connection: Connection) -> SkyCoord:
        key = (self.URL, " ".join(name.split()).casefold())
        if key not in self._positions:
            self._positions[key] = _from_service(name, connection.dispatcher()) or _from_sesame(name)
        return self._positions[key]

    def _locate(self, coordinates: Any, connection: Connection) -> tuple[Any, str | None]:
        """A position, and the name under which it was given."""
        if not isinstance(coordinates, str):
            return coordinates, None
        position = parse_position(coordinates)
        if position is not None:
            return position, None
        return self._resolve(coordinates, connection), coordinates.strip()

    def _catalog_text(self, catalog: Any, connection: Connection) -> str | None:
        if catalog is None:
            return None
        if isinstance(catalog, (list, tuple)) and catalog and all(isinstance(name, str) for name in catalog):
            positions = [self._resolve(name, connection) for name in catalog]
            catalog = Table({"src_names": list(catalog), "position": SkyCoord(positions)})
        return to_catalog_text(catalog)

    def _schema(self, instrument: str, connection: Connection) -> InstrumentSchema:
        key = (self.URL, connection.email, instrument)
        known = self._metadata.get(key)
        if known is None or time.monotonic() - known[0] > _METADATA_LIFE:
            known = time.monotonic(), self._fetch_schema(instrument, connection.dispatcher())
            self._metadata[key] = known
        return known[1]

    def _fetch_schema(self, instrument: str, dispatcher: Dispatcher) -> InstrumentSchema:
        if not isinstance(instrument, str) or not instrument:
            raise ParameterError(f"instrument must be a name, as in list_instruments(); not {printable(instrument)!r}.")
        try:
            return read_metadata(dispatcher.metadata(instrument), instrument)
        except ParameterError as error:
            names = dispatcher.instruments()
            raise ParameterError(
                f"Unknown instrument {printable(instrument)!r}{nearest(instrument, names)}. The service has: "
                f"{', '.join(printable(name) for name in names)}."
            ) from error

    def clear_cache(self) -> None:
        """Forget meta-data of instruments and resolved names; the next query asks for them again."""
        super().clear_cache()
        self._metadata.clear()
        self._positions.clear()

    # ---- who asks

    def login(
        self, token: str | Token | None = None, *, store_token: bool = False, reenter_token: bool = False
    ) -> bool:
        """
        Use a token for all that follows.

        Parameters
        ----------
        token : str or Token, optional
            By default the first usable one of: environment variable ``ODA_TOKEN``, ``./.oda-token``, ``~/.oda-token``,
            the keyring, what you type when asked.
        store_token : bool
            Whether to keep it in the keyring, after the service was asked whether it accepts it.
        reenter_token : bool
            Whether to ask for it in any case.

        Returns
        -------
        bool
            True.

        Raises
        ------
        AuthenticationError
            No usable token, or the service refused to have it stored.
        ServiceError
            The service could not tell whether it accepts the token that was to be stored.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.login()  # doctest: +SKIP
        True
        """
        try:
            # by astroquery's way, which keeps its cache off meanwhile
            return bool(QueryWithLogin.login(self, token, store_token=store_token, reenter_token=reenter_token))
        except MmodaError as error:
            problem = error
        finally:
            token = None
        # without the frames below, since their local variables would show the token in a traceback
        raise problem.with_traceback(None)


def _gallery() -> ModuleType:
    """The room of the archive, opened when it is entered: it takes long to import, and few sessions need it."""
    from . import gallery

    return gallery


def _catalog(asked: Asked) -> Any:
    """The catalogue of a query, whichever way it is called."""
    file = asked.others.get("user_catalog_file")
    if file is not None and asked.catalog is not None:
        raise ParameterError("catalog= and 'user_catalog_file' say the same thing; give one of them.")
    return asked.catalog if file is None else file


def _from_service(name: str, dispatcher: Dispatcher) -> SkyCoord | None:
    try:
        found = dispatcher.resolve_name(name)
        return SkyCoord(float(found["RA"]), float(found["DEC"]), unit="deg") if "RA" in found else None
    except (MmodaError, KeyError, TypeError, ValueError) as error:
        log.debug("the service's name resolver: %s", error)
        return None


def _from_sesame(name: str) -> SkyCoord:
    from astropy.coordinates.name_resolve import NameResolveError

    try:
        return SkyCoord.from_name(name)
    except (NameResolveError, OSError) as error:
        raise ParameterError(
            f"Neither the service nor Sesame knows an object {printable(name)!r}. Give its position as a SkyCoord, or "
            "as a text such as '83.63 22.01'."
        ) from error


Mmoda = MmodaClass()
