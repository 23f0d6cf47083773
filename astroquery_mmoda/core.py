# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""`MmodaClass`: the public methods, named as in astroquery."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from types import ModuleType
from typing import Any

from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astroquery.query import QueryWithLogin

from .auth.token import Token, as_token
from .config import conf
from .diagnosis import diagnosis
from .errors import without_frames
from .jobs import journal
from .jobs.history import get_job, list_jobs
from .jobs.job import Job
from .jobs.run import run_query, submit_query
from .many import ManyQueries, query_in_parts
from .markup import facts_html, facts_text
from .products import Products
from .request.builder import RequestBuilder
from .request.query import Query, query_method
from .request.snippets import read_api_code
from .request.source_list import add_sources
from .request.windows import find_windows, windows_wanted
from .service.account import Account, Connection, base_address, email_options, facts_of_client
from .service.http import Http
from .text import without_token

__all__ = ["Mmoda", "MmodaClass"]


class _LoginOfAstroquery(QueryWithLogin):
    """Astroquery wraps ``_login`` into a ``login`` that returns nothing, in the class that defines ``_login`` only."""

    _account: Account

    def _login(self, server: str, token: Token | None, **options: Any) -> bool:
        return self._account.login(server, token, **options)


class MmodaClass(_LoginOfAstroquery):
    """
    Client of MMODA, the Multi-Messenger Online Data Analysis service of the University of Geneva.

    Parameters
    ----------
    server : str, optional
        Base address of a dispatcher; ``conf.server`` by default, read at every query.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astroquery_mmoda import Mmoda
    >>> mosaic = Mmoda.query_image("isgri", "MAXI J1820+070", radius=8*u.deg, energy_range=(30, 80)*u.keV,
    ...                            time_range=("2018-03-16T10:55:12", "2018-05-08T21:24:29"), max_pointings=10)
    >>> mosaic["SIGNIFICANCE"].header["E_MIN"]
    30.0
    """

    def __init__(self, server: str | None = None) -> None:
        super().__init__()
        self._server = server
        self._account = Account(Http(self._session))
        self._builder = RequestBuilder()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._server,)  # sessions, tokens and caches stay in their process

    def _connect(self, token: Token | None = None) -> Connection:
        return self._account.connect(self.URL, token)

    def _openly(self) -> Connection:
        return Connection(self.URL, self._account)

    def _run(self, kind: str, query: Query) -> Any:
        if query.windows_per_job is None:
            return run_query(kind, query, self._builder, self._connect(query.token))
        return query_in_parts(kind, query, self._account, self._builder, self.URL)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(value for name, value in self._facts() if name != 'next')}>"

    def __str__(self) -> str:
        return facts_text(self._facts())

    def _repr_html_(self) -> str:
        return facts_html(self._facts(), title="MMODA client")

    def _facts(self) -> list[tuple[str, str]]:
        return facts_of_client(self._server or conf.server, self._account)

    @property
    def URL(self) -> str:  # noqa: N802 - astroquery's name for it
        """
        `str`: base address of the service; ``conf.server``, unless this client was given or is set another one.

        Examples
        --------
        >>> from astroquery_mmoda import MmodaClass
        >>> MmodaClass(server="https://mmoda.example.org/dispatch-data/").URL
        'https://mmoda.example.org/dispatch-data'
        """
        return base_address(self._server or conf.server)

    @URL.setter
    def URL(self, server: str | None) -> None:  # noqa: N802
        self._server = server

    # ---- images, spectra, light curves

    @query_method
    def query_image(self, query: Query) -> fits.HDUList:
        """
        Compute a sky image.

        Returns
        -------
        HDUList
            Primary; the images in the service's order, with ``EXTNAME`` = their type (``INTENSITY``, ``VARIANCE``,
            ``SIGNIFICANCE``, ``EXPOSURE``), ``EXTVER`` = energy band counted from the lowest, ``BUNIT`` as the FITS
            standard spells units, and a celestial WCS; the other HDUs; last ``CATALOG``, the sources found in it.
            Pixels without exposure are NaN.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> mosaic = Mmoda.query_image("isgri", "MAXI J1820+070", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> mosaic["SIGNIFICANCE", 1].data.shape
        (370, 370)
        """
        return self._run("image", query)

    @query_method
    def query_catalog(self, query: Query) -> Table:
        """
        Find the sources in a sky image; the same analysis as that of ``query_image``, unless there are catalogues.

        Returns
        -------
        Table
            The service's columns (``src_names``, ``significance``, ``ra``, ``dec`` ...), angles in deg, the frame in
            ``meta``. Filtered, it can be given to another query as ``catalog``. Of a workflow: its table with positions
            on the sky, of any columns; see `Products.catalog`.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> sources = Mmoda.query_catalog("isgri", "MAXI J1820+070", radius="8 deg",
        ...                               time_range=(58193.455, 58246.892), max_pointings=10)
        >>> sources["src_names", "significance"][sources["significance"] > 50].pprint()
          src_names    significance
        -------------- ------------
        MAXI J1820+070    311.2...
               Ser X-1     59.4...
        """
        return self._run("catalog", query)

    @query_method
    def query_spectrum(self, query: Query) -> fits.HDUList:
        """
        Compute spectra: of the sources in a catalogue, with their responses, or flux points of a workflow.

        Returns
        -------
        HDUList
            Primary; per source ``SPECTRUM`` (count/s), ``SPECRESP`` (cm2), ``EBOUNDS`` (keV), ``MATRIX``, with
            ``EXTVER`` = number of the source and ``SRC_NAME``; last ``SOURCES``. `write_spectra` makes files of it.

            Workflows (H.E.S.S., Fermi-LAT, ...) send tables of flux points: each becomes a ``SPECTRUM`` without
            response, with units on its columns and keywords that say which column is what: ``AXISCOL`` (energy,
            frequency or wavelength), ``LOCOL``, ``HICOL`` (edges of the bin), ``VALCOL``, ``ERRLOCOL``, ``ERRHICOL``
            (errors to both sides), ``LIMCOL`` (whether the value is an upper limit). `spectrum_table` gives them in one
            form.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> spectra = Mmoda.query_spectrum("isgri", "MAXI J1820+070", radius="8 deg",
        ...    time_range=(58193.455, 58246.892), max_pointings=10)
        >>> [(hdu.name, hdu.ver) for hdu in spectra[1:6]]
        [('SPECTRUM', 1), ('SPECRESP', 1), ('EBOUNDS', 1), ('MATRIX', 1), ('SPECTRUM', 2)]
        """
        return self._run("spectrum", query)

    @query_method
    def query_lightcurve(self, query: Query) -> Table:
        """
        Compute light curves: of the sources in a catalogue, or those of a workflow.

        Returns
        -------
        Table
            All sources stacked: ``src_name``, ``time`` (bin centre, TT), ``time_bin`` (full width, s), ``e_min``,
            ``e_max`` (keV), then the service's columns with units; bins without data are masked. ``meta`` names the
            columns of values (``VALUECOL``), errors (``ERRORCOL``, or ``ERRLOCOL`` and ``ERRHICOL``) and upper limits
            (``LIMCOL``), and what was assumed of the times (``TIMEWARN``): workflows name no time scale, and UTC is
            taken. Where one source has several light curves in one energy band, a column ``product`` tells them apart.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> curve = Mmoda.query_lightcurve("isgri", "MAXI J1820+070", radius="8 deg",
        ...     time_range=(58193.455, 58195.5), time_bin="1000 s")
        >>> curve["time"].scale, str(curve["time_bin"].unit), str(curve["RATE"].unit)
        ('tt', 's', 'ct / s')
        """
        return self._run("lightcurve", query)

    @query_method
    def query_product(self, query: Query) -> Products:
        """
        Compute any product of an instrument or workflow.

        Returns
        -------
        Products
            Everything that the analysis returned, whatever its kind.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> products = Mmoda.query_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                                time_range=(58193.455, 58246.892), max_pointings=10)
        >>> [(product.name, product.kind) for product in products]
        [('catalog', 'catalog'), ('mosaic_image', 'image')]
        """
        return run_query("product", query, self._builder, self._connect(query.token))

    @without_frames
    def query_many(
        self,
        kind: str,
        queries: Table | Iterable[Mapping[str, Any]],
        *,
        max_active: int = 8,
        executor: Executor | None = None,
        on_error: str = "keep",
        reduce: Callable[[Any], Any] | None = None,
        token: str | Token | None = None,
        progress: bool | Callable[[ManyQueries], Any] | None = None,
    ) -> ManyQueries:
        """
        Make many queries of one kind, a few at a time, and give each outcome as soon as it is available.

        Nothing is sent before the first outcome is requested. Every analysis is in the journal. After an interruption
        the same call continues: the service computes equal requests of one user once, so what is finished is only
        fetched, and what failed or was lost is computed again.

        Parameters
        ----------
        kind : str
            ``image``, ``catalog``, ``spectrum``, ``lightcurve`` or ``product``.
        queries : Table or list of dict
            One query in each row, by the names of the arguments of the query methods; ``instrument`` is needed,
            ``source`` and ``timeout`` are understood as there. In a Table, cells of a column with a unit are
            Quantities, a column of `~astropy.coordinates.SkyCoord` or the two columns ``ra`` and ``dec`` (deg without
            a unit) are the ``coordinates``, ranges are columns with two values in each cell, and what is masked is
            not given.
        max_active : int
            Most of these analyses that run on the service at a time.
        executor : `~concurrent.futures.Executor`, optional
            Where queries are made, waited for and fetched: threads, processes, dask
            (``Client.get_executor()``), MPI. By default a few threads of this process do it.
        on_error : str
            ``keep``: an error is the outcome of its query; ``raise``: the first one is raised, and iterating again
            goes on with the others.
        reduce : callable, optional
            Function of the form that ``query_<kind>`` returns; what it returns is the outcome. It is called where
            the products were fetched, so that an executor need not send them back.
        token : str or Token, optional
            For these queries; with an executor it is sent to the workers. Without it, they find one of their own,
            which must be of the same user.
        progress : bool or callable, optional
            False: quiet; a callable gets the `ManyQueries` after every event, and an error of it ends the iteration.

        Returns
        -------
        ManyQueries
            Iterable of ``(index, outcome)``, the index being that of the row; its ``summary`` is a Table.

        Raises
        ------
        ParameterError
            An argument of this method is wrong. What is wrong with one query is its outcome.
        AuthenticationError
            The token is malformed.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> queries = [{"instrument": "isgri", "coordinates": name, "radius": "8 deg", "max_pointings": 10,
        ...             "time_range": (58193.455, 58246.892)} for name in ("MAXI J1820+070", "Ser X-1")]
        >>> mosaics = dict(Mmoda.query_many("image", queries))
        >>> mosaics[1]["SIGNIFICANCE"].data.shape
        (370, 370)
        """
        return ManyQueries(
            kind,
            queries,
            account=self._account,
            builder=self._builder,
            server=self.URL,
            max_active=max_active,
            executor=executor,
            on_error=on_error,
            reduce=reduce,
            token=as_token(token),
            progress=progress,
        )

    @query_method
    def submit_image(self, query: Query) -> Job:
        """
        Submit what ``query_image`` computes, without waiting for it.

        Returns
        -------
        Job
            Recorded in the journal; ``result()`` waits for it, in this process or another.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_image("isgri", "MAXI J1820+070", radius="8 deg",
        ...                          time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.result(progress=False).image()["EXPOSURE"].shape
        (370, 370)
        """
        return submit_query("image", query, self._builder, self._connect(query.token))

    @query_method
    def submit_spectrum(self, query: Query) -> Job:
        """
        Submit what ``query_spectrum`` computes, without waiting for it.

        Returns
        -------
        Job
            Recorded in the journal; ``result()`` waits for it, in this process or another.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_spectrum("isgri", "MAXI J1820+070", radius="8 deg",
        ...    time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.result(progress=False).spectrum("Ser X-1")["SPECTRUM"].columns.names[:2]
        ['CHANNEL', 'RATE']
        """
        return submit_query("spectrum", query, self._builder, self._connect(query.token))

    @query_method
    def submit_lightcurve(self, query: Query) -> Job:
        """
        Submit what ``query_lightcurve`` computes, without waiting for it.

        Returns
        -------
        Job
            Recorded in the journal; ``result()`` waits for it, in this process or another.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_lightcurve("isgri", "MAXI J1820+070", radius="8 deg",
        ...     time_range=(58193.455, 58195.5), time_bin="1000 s")
        >>> str(job.result(progress=False).lightcurve()["time_bin"].unit)
        's'
        """
        return submit_query("lightcurve", query, self._builder, self._connect(query.token))

    @query_method
    def submit_product(self, query: Query) -> Job:
        """
        Submit what ``query_product`` computes, without waiting for it.

        Returns
        -------
        Job
            Recorded in the journal; ``result()`` waits for it, in this process or another.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_product("isgri", "MAXI J1820+070", product="isgri_image", radius="8 deg",
        ...                            time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.result(progress=False).sources
        ['MAXI J1820+070']
        """
        return submit_query("product", query, self._builder, self._connect(query.token))

    # ---- snippets, source lists

    @without_frames
    def from_api_code(self, text: str) -> dict[str, Any]:
        """
        Read the Python snippet that the web page or an e-mail of the service gives, or a cell of a notebook.

        It is parsed, never run. Constants are understood, arithmetic and text formatting of constants, and what is
        done with dictionaries of them; lines for the shell and magics of notebooks are passed over.

        Parameters
        ----------
        text : str
            The snippet, written for oda_api or for this package.

        Returns
        -------
        dict
            Keyword arguments for `submit_product` and every ``query_...`` method, without a token. Texts in it never
            become paths of files to be uploaded.

        Raises
        ------
        ParameterError
            There are no parameters of an analysis in the text.

        Warns
        -----
        InputWarning
            Parameters had to be left out, since their values are only known when the code runs; each is named.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> arguments = Mmoda.from_api_code("par_dict = {'instrument': 'isgri', 'product': 'isgri_lc', 'radius': 8}")
        >>> arguments["product"]
        'isgri_lc'
        """
        return read_api_code(text)

    def add_sources(self, catalog: Table, sources: Any, *, flag: int = 1, radius: u.Quantity = 3 * u.arcmin) -> Table:
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
            Value of the column ``FLAG`` for them; 1 marks objects of interest, which JEM-X extracts even below its
            threshold.
        radius : Quantity
            An unnamed detection (``NEW_1``, ...) that is closer than this gets the name instead.

        Returns
        -------
        Table
            A new one. Rows that were added have an ``ISGRI_FLAG`` of 2 and an ``ERR_RAD`` of 0.001 deg, as the
            service's own tools give them, where the table has these columns.

        Raises
        ------
        ParameterError
            A name is not known, or something has no position.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> sources = Mmoda.query_catalog("isgri", "MAXI J1820+070", radius="8 deg",
        ...                               time_range=(58193.455, 58246.892), max_pointings=10)
        >>> [str(name) for name in Mmoda.add_sources(sources, "V426 Oph")["src_names"][-2:]]
        ['NEW_2', 'V426 Oph']
        """
        if isinstance(sources, (str, list, tuple)):
            sources = self._builder.resolve_all(sources, self._connect())
        return add_sources(catalog, sources, flag=flag, radius=radius)

    # ---- earlier jobs

    @without_frames
    def get_job(self, job_id_or_link: str, *, session_id: str | None = None) -> Job:
        """
        Return an earlier job, of this process, another, or the web page.

        A job in the journal of this machine is returned without asking the service, also one of another server. For any
        other job the parameters are requested from the service: by the link of the job, or, with a token, from the
        records of your jobs. They are submitted again, and the job is returned if it has the same id.

        Parameters
        ----------
        job_id_or_link : str
            Id of a job (its first characters are enough for one in the journal), or the link in an e-mail of the
            service; neither the server nor a token in the link is used.
        session_id : str, optional
            Session of a job that the journal does not know, such as one that was started on the web page.

        Returns
        -------
        Job
            ``result()`` waits for it. No text in its ``parameters`` is taken for the path of a file to be uploaded.

        Raises
        ------
        JobLost
            The journal does not have it, and the service does not know it or can't be asked without a token or a
            ``session_id``; the message says which.
        ServiceError
            The service can't be asked, or reports parameters that make another job.
        ParameterError
            This is not a valid job id, or the journal has several jobs that it may mean.
        AuthenticationError
            It belongs to somebody else.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_image("isgri", "MAXI J1820+070", radius="8 deg",
        ...                          time_range=(58193.455, 58246.892), max_pointings=10)
        >>> len(Mmoda.get_job(job.job_id).result())
        2
        """
        job_id_or_link = without_token(job_id_or_link) if isinstance(job_id_or_link, str) else job_id_or_link
        return get_job(self._account, self.URL, job_id_or_link, session_id)

    def list_jobs(self) -> Table:
        """
        List the jobs in the journal of this machine, and those of you that the service has.

        Returns
        -------
        Table
            ``job_id``, ``status`` (last known), ``source``, ``energy_range``, ``time_range`` (UTC, or the number of
            science windows), ``session_id``, ``server``, ``journal`` (whether it is in the journal), ``instrument``,
            ``product``, ``submitted`` (ISO 8601, UTC, shown to minutes); newest first. Jobs of all servers are in the
            journal. The service of this client is asked only where there is a token for it; if it or the journal can't
            be read, a warning in the log says so.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> job = Mmoda.submit_image("isgri", "MAXI J1820+070", radius="8 deg",
        ...                          time_range=(58193.455, 58246.892), max_pointings=10)
        >>> job.job_id in Mmoda.list_jobs()["job_id"]
        True
        """
        return list_jobs(self._account, self.URL)

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
        Search for products around a position that were published in MMODA's gallery.

        Parameters
        ----------
        coordinates : SkyCoord or str
            Centre, or name of an object.
        radius : Quantity or str
            Radius of the cone; a bare number is in deg.
        instrument, kind : str, optional
            Only of this instrument; only of this kind: image, spectrum, lightcurve, catalog, or the archive's own name.
        time_range, energy_range : pair, optional
            Only what overlaps it; as in `query_image`.
        maxrec : int, optional
            Most rows.
        get_query_payload : bool
            Return the ADQL, and send nothing.

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
        >>> table = Mmoda.query_region("Crab", "10 arcmin", kind="image")
        >>> str(table["obs_title"][0]), table["t_min"].scale
        ('Crab image', 'utc')
        """
        conditions = {"instrument": instrument, "kind": kind, "time_range": time_range, "energy_range": energy_range}
        options = {"maxrec": maxrec, "get_query_payload": get_query_payload}
        return _archive().query_region(self._openly(), self._builder, coordinates, radius, **conditions, **options)

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
        Search for published products of an object, by its position and by the names that the gallery has for it.

        Parameters
        ----------
        name : str
            Of the object.
        radius : Quantity or str
            How far from its position; a bare number is in deg.
        instrument, kind : str, optional
            Only of this instrument; only of this kind, as in `query_region`.
        time_range, energy_range : pair, optional
            Only what overlaps it; as in `query_image`.
        maxrec : int, optional
            Most rows.
        get_query_payload : bool
            Return the ADQL, and send nothing to the archive.

        Returns
        -------
        Table
            As from `query_region`.

        Raises
        ------
        ParameterError
            An argument is wrong, or the name is not known.
        ServiceError
            The archive can't be asked, or refuses the query.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> table = Mmoda.query_object("Crab", instrument="isgri")
        >>> [str(title) for title in table["obs_title"]]
        ['Crab old lc', 'Crab lc', 'Crab image']
        """
        conditions = {"instrument": instrument, "kind": kind, "time_range": time_range, "energy_range": energy_range}
        options = {"maxrec": maxrec, "get_query_payload": get_query_payload}
        return _archive().query_object(self._openly(), self._builder, name, radius, **conditions, **options)

    def query_tap(self, adql: str, *, maxrec: int | None = None) -> Table:
        """
        Query the archive of published products in ADQL.

        Parameters
        ----------
        adql : str
            The query; tables and columns are in `list_tables` and `list_columns`.
        maxrec : int, optional
            Most rows.

        Returns
        -------
        Table
            With units, times and masks as that of `query_region`.

        Raises
        ------
        ParameterError
            It is not a text.
        ServiceError
            The archive can't be asked, or refuses the query.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.query_tap("SELECT TOP 2 obs_title, t_min FROM ivoa.obscore ORDER BY t_min").pprint()
         obs_title   t_min
        ----------- -------
        Crab old lc 52000.0
         product 17 53008.5
        """
        return _archive().query_tap(self._openly(), adql, maxrec=maxrec)

    def list_tables(self) -> Table:
        """
        List the tables of the archive.

        Returns
        -------
        Table
            ``name``, ``description``.

        Raises
        ------
        ServiceError
            The archive can't be asked.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> "ivoa.obscore" in Mmoda.list_tables()["name"]
        True
        """
        return _archive().list_tables(self._openly())

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

        Raises
        ------
        ParameterError
            There is no such table.
        ServiceError
            The archive can't be asked.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> columns = Mmoda.list_columns("ivoa.obscore")
        >>> columns["name", "unit", "type"][columns["name"] == "em_min"].pprint()
         name  unit  type
        ------ ---- ------
        em_min    m double
        """
        return _archive().list_columns(self._openly(), table)

    def download_products(
        self, rows: Any, *, directory: str | os.PathLike[str] = ".", overwrite: bool = False
    ) -> Table:
        """
        Fetch the files behind rows of the archive, each whole or not at all; calling it again fetches what is missing.

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
            ``message``; ``size`` in bytes.

        Raises
        ------
        ParameterError
            These are not rows of the archive.
        OSError
            The directory can't be made. What is wrong with one file is said in its row.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> rows = Mmoda.query_region("Crab", "10 arcmin", kind="lightcurve", time_range=(56999, 57001))
        >>> Mmoda.download_products(rows, directory="archive")["source", "kind", "status"].pprint()
        source    kind     status
        ------ ---------- --------
          Crab timeseries COMPLETE
        """
        return _archive().download_products(self._openly(), rows, directory=directory, overwrite=overwrite)

    # ---- instruments, objects

    def list_instruments(self) -> Table:
        """
        List the instruments that are open to you.

        Returns
        -------
        Table
            ``instrument``, ``products`` (names with commas between them; empty where the service does not give them).

        Raises
        ------
        ServiceError
            The service can't be asked.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.list_instruments()[:3].pprint()
        instrument                       products
        ---------- ---------------------------------------------------
             isgri isgri_image, isgri_lc, isgri_spectrum, spectral_fit
              jemx    jemx_image, jemx_lc, jemx_spectrum, spectral_fit
           spi_acs                                          spi_acs_lc
        """
        return self._builder.list_instruments(self._connect())

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
            ``product``, ``kind`` (guessed from the name; ``other`` where no word matches).

        Raises
        ------
        ParameterError
            There is no such instrument, or it is not open to you.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.list_products("isgri").pprint()
           product        kind
        -------------- ----------
           isgri_image      image
              isgri_lc lightcurve
        isgri_spectrum   spectrum
          spectral_fit      other
        """
        return self._builder.schema(instrument, self._connect()).list_products()

    def list_parameters(self, instrument: str, product: str | None = None) -> Table:
        """
        List the parameters of an instrument.

        Parameters
        ----------
        instrument : str
            As in `list_instruments`.
        product : str, optional
            Only this product's; by default all, with the common ones repeated for each.

        Returns
        -------
        Table
            ``product``, ``name``, ``default`` (text), ``unit`` (as astropy reads it), ``type``, ``min``, ``max``
            (masked where there is no limit), ``choices``, ``optional`` (can be left out: the default is used; those of
            positions and times are only examples), ``description`` (the service's, or one of ours).

        Raises
        ------
        ParameterError
            There is no such instrument or product.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.list_parameters("isgri", "isgri_lc")["name", "default", "unit"][-3:].pprint()
          name   default unit
        -------- ------- ----
          E1_keV    20.0  keV
          E2_keV    40.0  keV
        time_bin  1000.0    s
        """
        return self._builder.schema(instrument, self._connect()).list_parameters(product)

    def query_science_windows(
        self,
        coordinates: Any = None,
        radius: Any = None,
        time_range: Any = None,
        *,
        min_duration: float | u.Quantity | None = None,
        nrt: bool = False,
        get_query_payload: bool = False,
    ) -> Table | dict[str, str]:
        """
        List INTEGRAL's pointings, in order of time and each once; slews and engineering windows are left out.

        Parameters
        ----------
        coordinates : SkyCoord or str, optional
            Position, or name of an object; by default the whole sky.
        radius : Quantity or str
            Largest distance of the pointing axis from ``coordinates``, with which it is needed; a bare number is in
            deg. A source farther away is outside of the field of view: 12 deg for ISGRI, 3.5 to 5 deg for JEM-X.
        time_range : pair, optional
            Only windows that overlap it, cut by the times in the Table; as in `query_image`. By default from launch
            to now.
        min_duration : float or Quantity, optional
            Least elapsed time of a window, in s. The time in which an instrument took good data may be shorter.
        nrt : bool
            Near real-time data instead of consolidated data, which are complete, and follow after some weeks. The
            service computes them for tokens with the role ``integral-public-nrt``.
        get_query_payload : bool
            Return the fields of the request, and send nothing but the look-up of a name.

        Returns
        -------
        Table
            ``scw_id`` (12 digits), ``scw_ver`` (``001``, of near real-time data ``000``), ``ra``, ``dec`` (pointing
            axis, J2000, deg), ``start``, ``stop`` (`~astropy.time.Time`, UTC), ``duration`` (elapsed time, s),
            ``offset`` (of the axis from ``coordinates``, deg; masked without them), ``revolution``. Whole or filtered,
            it is what ``scw_list`` takes.
        dict
            With ``get_query_payload``: text of each field. The service takes UTC for TT, so ten minutes more are
            requested at both ends; a long time is requested in parts if the radius is beyond 60 deg.

        Raises
        ------
        ParameterError
            An argument is wrong, or ``radius`` is missing.
        ServiceError
            The service can't be asked, or has no time system; HEASARC's table ``intscw`` is another way then.
        DecodingError
            The reply is not a list of science windows.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> windows = Mmoda.query_science_windows("Ser X-1", "4 deg", ("2004-01-01", "2008-01-01"), min_duration=1000)
        >>> windows["scw_id", "start", "duration", "offset"][:3].pprint(show_unit=False)
           scw_id           start        duration offset
        ------------ ------------------- -------- ------
        029500100010 2005-03-15 07:02:11     1900   1.55
        029500110010 2005-03-15 07:39:39     1900   3.53
        029500130010 2005-03-15 08:54:34     1900   2.78
        >>> mosaic = Mmoda.query_image("isgri", "Ser X-1", scw_list=windows[:3])
        >>> Mmoda.query_science_windows(time_range=("2004-01-01", "2008-01-01"), get_query_payload=True)["T1"]
        '2003-12-31T23:50:00.000'
        """
        wanted = windows_wanted(self._builder, self._openly(), coordinates, radius, time_range, min_duration, nrt=nrt)
        return wanted.payload() if get_query_payload else find_windows(wanted, self._openly())

    def resolve_name(self, name: str) -> SkyCoord:
        """
        Find the position of an object, by the service's resolver or, if that does not have it, by Sesame (CDS).

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
            Neither has it.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.resolve_name("Ser X-1")
        <SkyCoord (ICRS): (ra, dec) in deg
            (279.9896, 5.0358)>
        """
        return self._builder.resolve(name, self._connect())

    def clear_cache(self) -> None:
        """
        Forget metadata of instruments and resolved names; the next query requests them again.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.clear_cache()
        """
        self._builder.clear()
        journal.forget_places()

    def diagnose(self) -> str:
        """
        Describe versions, server, token, journal and settings, for a report of a fault.

        Nothing is in it that others must not see: no token, name or e-mail address of yours, no password of a proxy.
        It makes one small request, and never fails: what can't be found out is said in its line.

        Returns
        -------
        str
            Lines of text.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> print(Mmoda.diagnose())
        astroquery_mmoda: 0.1.0...
        ...
        """
        return diagnosis(self._account, lambda: self.URL)

    # ---- login

    @without_frames
    def login(
        self,
        token: str | Token | None = None,
        *,
        store_token: bool | str | tuple[str, ...] = False,
        reenter_token: bool = False,
    ) -> bool:
        """
        Use a token for all further queries.

        Parameters
        ----------
        token : str or Token, optional
            By default the first usable one of: environment variable ``ODA_TOKEN``, ``./.oda-token``, ``~/.oda-token``,
            the keyring, what you type when asked.
        store_token : bool, str or tuple of str
            Whether to keep it in the keyring (or in other places, as in `refresh_token`), after the service was asked
            whether it accepts it.
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
        >>> Mmoda.login(example_token)  # the text that the web page gives you
        True
        """
        # through astroquery's login, which switches its cache off while it runs
        options = {"store_token": store_token, "reenter_token": reenter_token}
        return bool(QueryWithLogin.login(self, self.URL, as_token(token), **options))

    def logout(self, *, delete_stored: bool = False) -> None:
        """
        Forget the token; queries are anonymous until the next login.

        Parameters
        ----------
        delete_stored : bool
            Whether to remove what ``login(store_token=True)`` put into the keyring as well. Files stay.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.logout()
        """
        self._authenticated = False
        self._account.logout(self.URL, delete_stored=delete_stored)

    def authenticated(self) -> bool:
        """
        Return whether a token is held that has not expired; none is searched for.

        Returns
        -------
        bool
            False for one that has expired, or where there is none.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.authenticated()
        False
        """
        return self._account.authenticated

    def session_info(self) -> dict[str, Any]:
        """
        Return what the token in use says, never the token itself.

        Returns
        -------
        dict
            ``user``, ``email``, ``roles`` (list), ``expires`` (`~astropy.time.Time` or None), ``email_options`` (dict,
            named as in `set_email_notifications`), ``location`` (``argument``, ``environment``, a path, ``keyring``
            or ``prompt``). None or empty if no token is held. It is shown as a small table.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.session_info()["roles"]
        []
        """
        return self._account.info()

    def refresh_token(self, *, store_token: bool | str | tuple[str, ...] = True, force: bool = False) -> dict[str, Any]:
        """
        Get a token with a longer life from the service; this needs the role ``refresh-tokens``.

        Parameters
        ----------
        store_token : bool, str or tuple of str
            True: where the old one was found (one given by hand stays in memory). Or a place, or several:
            ``"keyring"``, ``"environment"`` (of this process), ``"cwd"``, ``"home"``. False: in memory only.
        force : bool
            Whether to take a token with a shorter life or fewer roles.

        Returns
        -------
        dict
            As `session_info`.

        Raises
        ------
        AuthenticationError
            No token, no right to refresh it, or the new one has a shorter life or fewer roles; the old one stays.
        ServiceError
            The service can't be asked.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> logged_in = Mmoda.login(example_token)  # the text that the web page gives you
        >>> before = Mmoda.session_info()["expires"]
        >>> print((Mmoda.refresh_token(store_token=False)["expires"] - before).to("day"))
        7.0 d
        """
        return self._account.renew(self.URL, store_token=store_token, force=force)

    def set_email_notifications(
        self,
        enabled: bool | None = None,  # noqa: FBT001 - positional in the contract
        *,
        submitted: bool | None = None,
        done: bool | None = None,
        failed: bool | None = None,
        timed_out: bool | None = None,
        min_duration: float | u.Quantity | None = None,
        submit_interval: float | u.Quantity | None = None,
        store_token: bool | str | tuple[str, ...] = True,
    ) -> dict[str, Any]:
        """
        Choose when the service sends you mail; the choice is part of the token.

        Parameters
        ----------
        enabled : bool, optional
            All four kinds of mail on or off.
        submitted, done, failed, timed_out : bool, optional
            One kind of mail.
        min_duration : float or Quantity, optional
            Mail on the end only of analyses that took longer, in s.
        submit_interval : float or Quantity, optional
            Least time between two mails on submissions, in s.
        store_token : bool, str or tuple of str
            Where the new token is kept, as in `refresh_token`.

        Returns
        -------
        dict
            As `session_info`.

        Raises
        ------
        ParameterError
            Nothing was chosen, or the service does not take it.
        AuthenticationError
            No token, or the service refuses it.
        ServiceError
            The service can't be asked.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> logged_in = Mmoda.login(example_token)  # the text that the web page gives you
        >>> info = Mmoda.set_email_notifications(done=True, min_duration=600, store_token=False)
        >>> info["email_options"]["done"], info["email_options"]["min_duration"]
        (True, 600.0)
        """
        mails = {"submitted": submitted, "done": done, "failed": failed, "timed_out": timed_out}
        spans = {"min_duration": min_duration, "submit_interval": submit_interval}
        options = email_options(mails, spans, enabled=enabled)
        return self._account.renew(self.URL, options, store_token=store_token)


def _archive() -> ModuleType:
    """The package of the archive, which takes long to import, and few sessions need it."""
    from . import archive

    return archive


Mmoda = MmodaClass()
