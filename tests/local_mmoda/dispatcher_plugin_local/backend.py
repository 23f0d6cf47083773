# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
How a request becomes products: a backend that does the work (at once, or in a thread that reports back) and the queries
that read what it wrote.

A query class derives from `LocalQuery` and from one of the server's query classes, and says in `compute` how to make
the files and in `read` how to turn them into the server's products.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import sky
from astropy.time import Time
from cdci_data_analysis.analysis.products import CatalogProduct, QueryOutput

logger = logging.getLogger(__name__)

CONFIGURATION = str(Path(__file__).resolve().parent / "data_server_conf.yml")
WORK = Path("local-backend")
STEP = float(os.environ.get("MMODA_LOCAL_STEP", "0.3"))
COLLECTING = ("isgri", "jemx", "empty-async")
"""Instruments of which the server keeps every report; of the others it keeps the last one only."""
LONGEST_POLL = 10.0
"""Seconds that the server takes at most to answer one, under load."""
AT_ONCE = threading.Lock()

Parameters = dict[str, Any]


class BackendFailure(Exception):
    """The analysis can't be done; the message is reported as it is."""


def ijd(isot: str) -> float:
    """UTC as the server writes it, in IJD (TT)."""
    return Time(isot, format="isot", scale="utc").tt.mjd - sky.MJDREF


def judged(roles: list[str], needed: dict[str, str]) -> dict[str, Any]:
    """Whether these roles are enough; the needed ones come with the reason for each."""
    return {
        "authorization": set(needed) <= set(roles),
        "needed_roles": list(needed),
        "needed_roles_with_comments": needed,
    }


def catalogue_rows(catalogue: Any) -> list[dict[str, Any]] | None:
    """
    The selected sources as plain values, or None when no catalogue was sent.

    As the plugin of INTEGRAL does it: a flag that is null is an error, a column of flags that is missing is 0. The
    server itself has taken all coordinates for degrees, whatever the catalogue says of them.
    """
    if catalogue is None:
        return None
    table = catalogue.table
    none = [0] * len(table)
    columns = [table[name].tolist() if name in table.colnames else none for name in ("FLAG", "ISGRI_FLAG")]
    rows = zip(catalogue.name, catalogue.ra.deg, catalogue.dec.deg, *columns, strict=True)
    return [
        {"name": str(name), "ra": float(ra), "dec": float(dec), "FLAG": int(flag), "ISGRI_FLAG": int(isgri_flag)}
        for name, ra, dec, flag, isgri_flag in rows
    ]


def parameters_of(instrument: Any, query: Any) -> Parameters:
    """What was asked for, in the service's units and as plain values: it goes into hashes and to another thread."""
    everything = [*instrument.src_query.parameters, *instrument.instrumet_query.parameters, *query.parameters]
    values = {p.name: p.get_default_value() for p in everything if p.name not in (None, "token", "selected_catalog")}
    if "user_catalog" in values:
        values["user_catalog"] = catalogue_rows(values["user_catalog"])
    values = {**query.fixed, **values}
    return {**values, "instrument": instrument.name, "product": query.task or type(query).__name__}


class Backend:
    """
    The data server, which here is a function.

    The server makes a new one for each step of a request, so all that lasts is in files.
    """

    def __init__(self, config: Any = None, instrument: Any = None, query: LocalQuery | None = None) -> None:
        self.instrument = instrument
        self.query = query

    def test_communication(self, logger: Any = None) -> QueryOutput:
        """Always there."""
        output = QueryOutput()
        output.set_done()
        return output

    def test_has_input_products(self, instrument: Any, logger: Any = None) -> tuple[QueryOutput, list[str]]:
        """The science windows (or whatever the instrument has) that the request will use."""
        output = QueryOutput()
        output.set_done()
        if not hasattr(instrument, "inputs"):
            return output, []
        return output, instrument.inputs(parameters_of(instrument, instrument.query_in_hand))

    def run_query(
        self, call_back_url: str | None = None, run_asynch: bool = True, logger: Any = None, **ignored: Any
    ) -> tuple[Path, QueryOutput]:
        """Start the work, or find it finished: the server asks again when its client wants the products."""
        parameters = parameters_of(self.instrument, self.query)
        text = json.dumps(parameters, sort_keys=True, default=str)
        directory = WORK / hashlib.sha256(text.encode()).hexdigest()[:32]
        output = QueryOutput()
        if (directory / "failed").exists():
            # Like the real one, which answers a repeated request from its cache, with the reason. Without it the server
            # would submit the job again at each poll that comes from another session than the first, without an end.
            raise BackendFailure((directory / "failed").read_text())
        if (directory / "done").exists():
            output.set_done(job_status="done", comment=self.query.comment)
        elif not run_asynch:
            with AT_ONCE:
                # an equal request may have been quicker, and its files are being read
                if not (directory / "done").exists():
                    directory.mkdir(parents=True, exist_ok=True)
                    self.query.compute(parameters, directory)
                    (directory / "done").touch()
            output.set_done(job_status="done", comment=self.query.comment)
        else:
            self._start(parameters, directory, call_back_url)
            output.set_done(job_status="submitted")
        return directory, output

    def _start(self, parameters: Parameters, directory: Path, call_back_url: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            # only one of several equal requests does the work, also among several server processes
            (directory / "lock").touch(exist_ok=False)
        except FileExistsError:
            return
        threading.Thread(target=self._work, args=(parameters, directory, call_back_url), daemon=True).start()

    def _work(self, parameters: Parameters, directory: Path, call_back_url: str) -> None:
        report = _Reporter(call_back_url)
        try:
            for step in self.query.steps(parameters):
                time.sleep(STEP)
                report(**step)
            self.query.compute(parameters, directory)
            time.sleep(STEP)
        except Exception as error:
            logger.exception("the local backend failed")
            (directory / "failed").write_text(str(error))
            last = {"action": "failed", "node_id": "object", "message": str(error)}
        else:
            (directory / "done").touch()
            last = {"action": "done", "node_id": "object", "message": "done"}
        report(**last)
        if self.instrument.name not in COLLECTING:
            report.until_it_stays(last)


class _Reporter:
    """Sends reports to the server."""

    def __init__(self, url: str) -> None:
        self.url = url
        place = parse_qs(urlsplit(url).query)
        self.status_file = Path(place["work_dir"][0], place["file_name"][0])

    def until_it_stays(self, last: dict[str, str]) -> None:
        """
        Repeat the last report until no poll can have spoilt it.

        A poll that comes at the same moment reads the one file of these instruments before and writes it after a
        report, which is then lost, and the job would never end.
        """
        # refused for ever once the token has expired
        pause, repetitions = 0.1, 20
        while pause < LONGEST_POLL and repetitions:
            time.sleep(pause)
            pause *= 2
            if self._says() not in (last["action"], "ready"):
                self(**last)
                pause, repetitions = 0.1, repetitions - 1

    def _says(self) -> str:
        try:
            return json.loads(self.status_file.read_text())["status"]
        except ValueError:
            return "being written"

    def __call__(self, **values: str) -> None:
        try:
            requests.get(self.url, params=values, timeout=30)
        except requests.RequestException:
            # the server is shutting down
            logger.warning("no report possible", exc_info=True)


class LocalQuery:
    """What the queries of this package have in common; comes before the server's class among the bases."""

    comment = ""
    """Remark that goes with the products."""
    task = ""
    """Name of the product, where several products have one class."""
    fixed: dict[str, Any] = {}
    """Parameters that the analysis has, and that nobody can set."""

    def compute(self, parameters: Parameters, directory: Path) -> None:
        """Do the work and leave the results in the directory."""
        raise NotImplementedError

    def read(self, directory: Path) -> list[Any]:
        """Products of the finished work."""
        raise NotImplementedError

    def steps(self, parameters: Parameters) -> Iterator[dict[str, str]]:
        """Reports on the way, for asynchronous instruments. `node_id` and `message` must differ and have no slash."""
        yield {"action": "progress", "node_id": "node0", "node": "Input", "message": "main starting", "progress": "10"}
        yield {"action": "progress", "node_id": "node1", "node": "Analysis", "message": "main done", "progress": "80"}

    # ---- called by the server

    def test_has_products(self, instrument: Any, *arguments: Any, **more: Any) -> QueryOutput:
        """Let the backend know what is asked for: the server makes it without the query here."""
        instrument.query_in_hand = self
        return super().test_has_products(instrument, *arguments, **more)

    def get_data_server_query(self, instrument: Any, config: Any = None, **ignored: Any) -> Backend:
        return Backend(config=config, instrument=instrument, query=self)

    def build_product_list(
        self, instrument: Any, res: Path, out_dir: str, prod_prefix: str | None = None, api: bool = False
    ) -> list[Any]:
        return self.read(res)

    def process_product_method(self, instrument: Any, prod_list: Any, api: bool = False, **ignored: Any) -> QueryOutput:
        output = QueryOutput()
        catalogues = [product for product in prod_list.prod_list if isinstance(product, CatalogProduct)]
        output.prod_dictionary["numpy_data_product_list"] = [
            product.data for product in prod_list.prod_list if product not in catalogues
        ]
        if catalogues:
            output.prod_dictionary["catalog"] = catalogues[0].catalog.get_dictionary()
        output.prod_dictionary["prod_process_message"] = ""
        return output
