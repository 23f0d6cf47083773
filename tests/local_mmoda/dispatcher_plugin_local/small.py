# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Small synchronous instruments, each with one peculiarity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import sky
from cdci_data_analysis.analysis.instrument import Instrument
from cdci_data_analysis.analysis.parameters import ParameterRange, Time
from cdci_data_analysis.analysis.products import LightCurveProduct
from cdci_data_analysis.analysis.queries import BaseQuery, InstrumentQuery, LightCurveQuery, ProductQuery, SourceQuery
from oda_api.data_products import NumpyDataProduct, NumpyDataUnit

from .backend import CONFIGURATION, Backend, LocalQuery, Parameters, ijd


def _light_curve(name: str, columns: dict[str, np.ndarray], units: dict[str, str]) -> LightCurveProduct:
    """A light curve as the notebooks of the platform write it: TIME in MJD, no MJDREF, units beside the data."""
    table = np.rec.fromarrays(list(columns.values()), names=list(columns))
    empty = NumpyDataUnit(np.array([]), name="PRIMARY", hdu_type="primary")
    unit = NumpyDataUnit(np.asarray(table), name="LC", hdu_type="bintable", units_dict=units)
    return LightCurveProduct(name=name, data=NumpyDataProduct([empty, unit], name=name, meta_data={}))


class SteadyLightCurve(LocalQuery):
    """A constant of 100 count/s in 50 bins with errors of 5 count/s."""

    RATE, ERROR, BINS = 100.0, 5.0, 50

    def compute(self, parameters: Parameters, directory: Path) -> None:
        mjd = sky.MJDREF + np.linspace(ijd(parameters["T1"]), ijd(parameters["T2"]), self.BINS + 1)
        rate = sky.generator(parameters).normal(self.RATE, self.ERROR, self.BINS)
        error = np.full(self.BINS, self.ERROR)
        np.savez(directory / "light_curve.npz", TIME=(mjd[:-1] + mjd[1:]) / 2.0, RATE=rate, ERROR=error)

    def read(self, directory: Path) -> list[Any]:
        with np.load(directory / "light_curve.npz") as columns:
            units = {"TIME": "d", "RATE": "count/s", "ERROR": "count/s"}
            return [_light_curve(self.name.removesuffix("_query"), dict(columns), units)]


class WithoutBins(SteadyLightCurve, ProductQuery):
    """Without any parameter of its own."""


class WithBins(SteadyLightCurve, LightCurveQuery):
    """With the usual `time_bin`, which it ignores."""


class TimesOnly(SourceQuery):
    """A request without a place in the sky: only T1 and T2."""

    def __init__(self, name: str) -> None:
        start = Time(value="2017-03-06T13:26:48.000", name="T1", Time_format_name="T_format")
        stop = Time(value="2017-03-06T15:32:27.000", name="T2", Time_format_name="T_format")
        # past SourceQuery, whose list of parameters is fixed
        BaseQuery.__init__(self, name, [ParameterRange(start, stop, "time")])


def _instrument(name: str, source_query: SourceQuery, query: type, products: tuple[str, ...]) -> Instrument:
    return Instrument(
        name,
        src_query=source_query,
        instrumet_query=InstrumentQuery(f"{name}_parameters"),
        product_queries_list=[query(f"{product}_query") for product in products],
        query_dictionary={product: f"{product}_query" for product in products},
        data_serve_conf_file=CONFIGURATION,
        data_server_query_class=Backend,
        asynch=False,
    )


def spacetime() -> Instrument:
    """Has no RA and DEC."""
    return _instrument("spacetime", TimesOnly("src_query"), WithoutBins, ("spacetime_lc",))


def twins() -> Instrument:
    """Has two products of one kind."""
    return _instrument("twins", SourceQuery("src_query"), WithBins, ("first_lc", "second_lc"))


def restricted() -> Instrument:
    """Is for those only who develop workflows; what minds the role is a supplement in serve.py."""
    instrument = _instrument("restricted", SourceQuery("src_query"), WithoutBins, ("restricted_lc",))
    instrument.needed_role = "oda workflow developer"
    return instrument
