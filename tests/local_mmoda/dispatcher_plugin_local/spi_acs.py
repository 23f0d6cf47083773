# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The anticoincidence shield of SPI: one light curve of the whole sky, in seconds around the middle of the interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import sky
from cdci_data_analysis.analysis.instrument import Instrument
from cdci_data_analysis.analysis.products import LightCurveProduct
from cdci_data_analysis.analysis.queries import InstrumentQuery, LightCurveQuery, SourceQuery
from oda_api.data_products import NumpyDataProduct, NumpyDataUnit

from .backend import CONFIGURATION, Backend, BackendFailure, LocalQuery, Parameters, ijd, judged
from .parameters import Choice


class ShieldLightCurve(LocalQuery, LightCurveQuery):
    """Background with a burst."""

    def check_query_roles(self, roles: list[str], par_dic: dict[str, Any]) -> dict[str, Any]:
        """Like the real one."""
        comment = "access to real time data requires special role"
        return judged(roles, {"integral-realtime": comment} if par_dic["data_level"] == "realtime" else {})

    def compute(self, parameters: Parameters, directory: Path) -> None:
        start, stop = ijd(parameters["T1"]), ijd(parameters["T2"])
        if not sky.DATA_START <= start < stop <= sky.DATA_STOP:
            raise BackendFailure("ZeroData: no SPI-ACS data in this interval")
        length = (stop - start) * 86400.0
        width = round(max(1, round(float(parameters["time_bin"]) / sky.ACS_BIN)) * sky.ACS_BIN, 2)
        edges = np.arange(max(1, int(length / width)) + 1) * width
        expected = sky.ACS_BACKGROUND * width + sky.burst_counts(edges[:-1], edges[1:], length)
        counts = sky.generator(parameters).poisson(expected)
        table = np.empty(len(counts), dtype=[("TIME", "<f8"), ("RATE", "<f8"), ("ERROR", "<f8")])
        table["TIME"] = (edges[:-1] + edges[1:] - length) / 2.0
        table["RATE"] = counts / width
        table["ERROR"] = np.sqrt(counts) / width
        np.save(directory / "rate.npy", table)
        np.save(directory / "times.npy", [start, stop, width])
        (directory / "start.txt").write_text(parameters["T1"])

    def read(self, directory: Path) -> list[Any]:
        start, stop, width = (float(value) for value in np.load(directory / "times.npy"))
        table = np.load(directory / "rate.npy")
        begin = (directory / "start.txt").read_text()
        header = {
            "XTENSION": "BINTABLE",
            "BITPIX": 8,
            "NAXIS": 2,
            "NAXIS1": 24,
            "NAXIS2": len(table),
            "PCOUNT": 0,
            "GCOUNT": 1,
            "TFIELDS": 3,
            "TTYPE1": "TIME",
            "TFORM1": "D",
            "TTYPE2": "RATE",
            "TFORM2": "D",
            "TTYPE3": "ERROR",
            "TFORM3": "D",
            "EXTNAME": "RATE",
            "TIMESYS": "TT",
            "TIMEREF": "LOCAL",
            "ONTIME": (stop - start) * 86400.0,
            "TASSIGN": "SATELLITE",
            "TSTART": start * 86400.0,
            "TSTOP": stop * 86400.0,
            "DATE-OBS": begin,
            # sic: the real service repeats the start here
            "DATE-END": begin,
            "TIMEDEL": width,
            "MJDREF": sky.MJDREF,
            "TELESCOP": "INTEGRAL",
            "INSTRUME": "SPI-ACS",
            "TIMEZERO": (start + stop) / 2.0 * 86400.0,
            "TIMEUNIT": "s",
            "PROPHECY": "",
            "EPHS": "EPH 1.0\\n2.0",
        }
        units = {"RATE": "count/s", "ERROR": "count/s", "TIME": "s"}
        meta = {"src_name": "query", "time_bin": width, "time": "TIME", "rate": "RATE", "rate_err": "ERROR"}
        data = NumpyDataProduct(
            [
                NumpyDataUnit(None, name="Primary", hdu_type="primary"),
                NumpyDataUnit(table, data_header=header, name="RATE", hdu_type="bintable", units_dict=units),
            ],
            meta_data=meta,
        )
        return [LightCurveProduct(name="spi_acs_lc", data=data, meta_data=meta)]


def spi_acs() -> Instrument:
    """The instrument, which answers at once."""
    instrument = Instrument(
        "spi_acs",
        src_query=SourceQuery("src_query"),
        instrumet_query=InstrumentQuery("spiacs_parameters", catalog_name="user_catalog"),
        product_queries_list=[
            ShieldLightCurve("spi_acs_lc_query", [Choice("data_level", "ordinary", ["ordinary", "realtime"])])
        ],
        query_dictionary={"spi_acs_lc": "spi_acs_lc_query"},
        data_serve_conf_file=CONFIGURATION,
        data_server_query_class=Backend,
        asynch=False,
    )
    # the real backend has no list of inputs and says that there is one
    instrument.inputs = lambda _: [1]
    return instrument
