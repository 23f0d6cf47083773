# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The anticoincidence shield of SPI: one light curve of the whole sky, in seconds around the middle of the interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import sky
from astropy.time import Time
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
        generator = sky.generator(parameters)
        edges, width = sky.acs_bins(start * 86400.0, stop * 86400.0, float(parameters["time_bin"]), generator)
        widths = np.diff(edges)
        burst = sky.burst_counts(edges[:-1], edges[1:], (stop - start) * 86400.0)
        counts = generator.poisson(sky.ACS_BACKGROUND * widths + burst)
        # not the centre of a bin: the mean of the starts of its native bins
        times = (edges[:-1] + edges[1:] - sky.ACS_BIN) / 2.0
        middle = (edges[0] + edges[-1] - sky.ACS_BIN) / 2.0
        table = np.empty(len(counts), dtype=[("TIME", "<f8"), ("RATE", "<f8"), ("ERROR", "<f8")])
        table["TIME"] = times - middle
        table["RATE"] = counts / widths
        table["ERROR"] = np.sqrt(counts) / widths
        np.save(directory / "rate.npy", table)
        np.save(directory / "times.npy", start * 86400.0 + np.array([edges[0], edges[-1], middle]))
        np.save(directory / "width.npy", width)

    def read(self, directory: Path) -> list[Any]:
        start, stop, middle = (float(value) for value in np.load(directory / "times.npy"))
        width = float(np.load(directory / "width.npy"))
        table = np.load(directory / "rate.npy")
        # both are the start, and in TT
        begin = Time(start / 86400.0 + sky.MJDREF, format="mjd", scale="tt").isot
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
            "ONTIME": stop - start,
            "TASSIGN": "SATELLITE",
            "TSTART": start,
            "TSTOP": stop,
            "DATE-OBS": begin,
            "DATE-END": begin,
            "TIMEDEL": width,
            "MJDREF": sky.MJDREF,
            "TELESCOP": "INTEGRAL",
            "INSTRUME": "SPI-ACS",
            "TIMEZERO": middle,
            "TIMEUNIT": "s",
            "PROPHECY": "",
            # where the spacecraft was
            "EPHS": "201.5 -33.25 128450.0 0.01 0.01 30.0",
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
