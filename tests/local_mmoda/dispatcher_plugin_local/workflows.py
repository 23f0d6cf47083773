# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Workflows of other observatories: products, outputs and headings as those of the service have them, and one source.

All of it goes through the encoders of `oda_api`, twice as in the service: a notebook encodes its outputs, the service
decodes them, gives names to those without, and encodes them again. In `oda_api` 1.2.33 light curves have no widths of
bins, which therefore are put into the header here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from cdci_data_analysis.analysis.instrument import Instrument
from cdci_data_analysis.analysis.parameters import Angle, Float, Name, Parameter, SpectralBoundary, Time
from cdci_data_analysis.analysis.queries import BaseQuery, InstrumentQuery, ProductQuery, SourceQuery
from oda_api.data_products import BinaryProduct, NumpyDataProduct, ODAAstropyTable, PictureProduct
from oda_api.json import CustomJSONEncoder

from . import observatories as of
from .backend import Backend, Parameters
from .parameters import Choice, Count, annotated
from .workflow import ONTOLOGY, Nothing, Reply, WorkflowQuery

# ---- what there is


class Workflow(NamedTuple):
    """A notebook: the function that makes its outputs, and a maker for each of its parameters."""

    outputs: Callable[[of.Asked], dict[str, Any]]
    parameters: tuple[Callable[[], Parameter], ...] = ()
    labels: dict[str, dict[str, str]] = {}


def _energy(name: str, value: float, unit: str, label: str) -> Callable[[], Parameter]:
    concept = f"Energy_{unit}"
    return lambda: annotated(Float(value=value, units=unit, name=name), "Float", "Energy", concept, label=label)


def _band(low: float, high: float, unit: str) -> tuple[Callable[[], Parameter], ...]:
    return (
        _energy("Emin", low, unit, "Minimal energy"),
        _energy("Emax", high, unit, "Maximal energy"),
        lambda: annotated(Count("NEbins", 10, low=1, high=100), "Integer", label="Number of energy bins"),
    )


def _radius() -> Parameter:
    return annotated(
        Angle(value=2.5, units="deg", name="Radius"), "Angle", "AngleDegrees", label="Radius of the region"
    )


def _time_bins() -> Parameter:
    return annotated(Count("NTbins", 10, low=1, high=100), "Integer", label="Number of time bins")


def _release() -> Parameter:
    return annotated(Count("data_release", 10, low=1, high=10), "Integer", label="Data Release")


def _offset() -> Parameter:
    return annotated(Choice("Offset", "0.4 deg", ["0.4 deg", "0.7 deg"]), "String")


PLACE, TIMES = ("RA", "DEC", "src_name"), ("T1", "T2")
TEV = _band(0.1, 100.0, "TeV")
INSTRUMENTS: dict[str, tuple[tuple[str, ...], dict[str, Workflow]]] = {
    "hess": (
        PLACE + TIMES,
        {
            "Spectrum_public_dl3": Workflow(
                of.public_spectrum,
                (*TEV, _radius),
                {"table_spectrum": {"label": "Spectrum", "description": "E2 dN/dE"}},
            ),
            "Spectrum_folded": Workflow(of.folded_spectrum, TEV),
            "Lightcurve_public_dl3": Workflow(of.binned_curve, (_time_bins,)),
            "Image_public_dl3": Workflow(of.counts_map, (_radius,)),
        },
    ),
    "magic": (
        PLACE + TIMES,
        {
            "Spectrum_public_dl3": Workflow(of.public_spectrum, TEV),
            "Lightcurve_public_dl3": Workflow(of.curve_of_runs, (_time_bins,)),
            "MAGIC_simulator": Workflow(of.simulated_points, (*_band(100.0, 1e4, "GeV"), _offset)),
        },
    ),
    "ctao": (
        PLACE + TIMES,
        {
            "spectrum": Workflow(of.gammapy_points, TEV),
            "lightcurve": Workflow(of.gammapy_curves, (_time_bins,)),
        },
    ),
    "cta": (
        PLACE + TIMES,
        {
            "Simulate": Workflow(of.simulated_events),
            "Visibility": Workflow(of.visibility),
            "LST1_spectrum": Workflow(of.quantities, TEV),
            "LST1_observation_simulator": Workflow(of.misspelled, TEV),
            "model_CTA_events": Workflow(of.events_called_spectrum),
        },
    ),
    "icecube": (
        PLACE + TIMES,
        {
            "Spectrum": Workflow(of.neutrino_spectrum, _band(1.0, 1e3, "TeV")),
            "Lightcurve": Workflow(of.neutrino_curve, (_time_bins,)),
            "Likelihood_profile": Workflow(of.likelihood_profile),
        },
    ),
    "auger": (PLACE, {"Spectrum": Workflow(of.limits_flagged, _band(1e18, 1e20, "eV"))}),
    "erosita": (PLACE, {"Spectrum": Workflow(of.down_and_up, _band(0.3, 8.0, "keV"))}),
    "rosat": (PLACE, {"Spectrum": Workflow(of.between_bounds, _band(0.1, 2.4, "keV"))}),
    "wise": (PLACE, {"Spectrum": Workflow(of.infrared_bands), "Image": Workflow(of.one_image, (_radius,))}),
    "mwa": (PLACE, {"Spectrum": Workflow(of.radio_spectra), "Image": Workflow(of.several_images, (_radius,))}),
    "desi_legacy_survey": (
        PLACE,
        {"Catalog": Workflow(of.survey_catalog, (_radius, _release)), "Spectrum": Workflow(of.survey_bands)},
    ),
    "source_extractor": (PLACE, {"Extract": Workflow(of.extracted_sources)}),
    "photoz_euclid": (PLACE, {"Run_Phosphoros_on_Catalog": Workflow(of.redshifts)}),
    "sgwb": (
        (),
        {
            "Model_spectrum": Workflow(of.densities, (_energy("T_star", 100.0, "GeV", "Temperature"),)),
            "GW_spectrum": Workflow(of.densities_called_times),
        },
    ),
    "crbeam": (
        PLACE,
        {"Generate_events": Workflow(of.cascade_events), "Generate_figures": Workflow(of.cascade_figures)},
    ),
    "agn_cascades": (PLACE, {"Simulate": Workflow(of.cascade_spectrum)}),
    "photometry": (
        PLACE + TIMES,
        {
            "Lightcurve": Workflow(of.curve_of_fluxes, (_time_bins,)),
            "Lightcurve_magnitudes": Workflow(of.curve_of_magnitudes, (_time_bins,)),
            "Lightcurve_counts": Workflow(of.curves_of_counts, (_time_bins,)),
            "Lightcurve_bare": Workflow(of.curve_without_errors, (_time_bins,)),
            "Lightcurve_all": Workflow(of.curves_of_everything, (_time_bins,)),
        },
    ),
    "grb_detection": (PLACE + TIMES, {"detectgrb": Workflow(of.detection, (_time_bins,))}),
}
"""For each instrument: what its notebooks take for place and time, and its products."""


# ---- how it is served


class NotebookQuery(WorkflowQuery):
    """One product of an instrument that is a workflow."""

    def __init__(self, product: str, workflow: Workflow) -> None:
        self.task, self.workflow, self.labels = product, workflow, {}
        ProductQuery.__init__(self, f"{product}_query", [make() for make in workflow.parameters])

    def reply(self, parameters: Parameters) -> Reply:
        found = self.workflow.outputs(of.Asked(parameters))
        self.outputs = {name: _concept(value) for name, value in found.items()}
        reply: Reply = {}
        for name, value in found.items():
            for each in value if isinstance(value, list) else [value]:
                key, content = _sent(each, name)
                reply.setdefault(key, []).append(content)
        return reply

    def process_product_method(self, *arguments: Any, **more: Any) -> Any:
        output = super().process_product_method(*arguments, **more)
        output.prod_dictionary["extra_metadata"].update(self.workflow.labels)
        return output


LISTS = {
    ODAAstropyTable: "astropy_table_product_ascii_list",
    PictureProduct: "binary_image_product_list",
    BinaryProduct: "binary_data_product_list",
    NumpyDataProduct: "numpy_data_product_list",
}
CONCEPTS = {
    "ODAAstropyTable": "ODAAstropyTable",
    "PictureProduct": "ODAPictureProduct",
    "BinaryProduct": "ODABinaryProduct",
    "ImageDataProduct": "Image",
    "LightCurveDataProduct": "LightCurve",
    "NumpyDataProduct": "Spectrum",
    "str": "ODATextProduct",
    "float": "Float",
}


def _concept(value: Any) -> str:
    """What a notebook annotates the output with."""
    return CONCEPTS[type(value[0] if isinstance(value, list) else value).__name__]


def _sent(value: Any, name: str) -> tuple[str, Reply]:
    """An output as it is in the reply, and its key there."""
    for kind, key in LISTS.items():
        if isinstance(value, kind):
            from_notebook = json.loads(json.dumps(value.encode(), cls=CustomJSONEncoder))
            again = kind.decode(from_notebook)
            if kind is not BinaryProduct:  # of which the service takes no notice
                again.name = again.name or name
            return key, again.encode()
    if isinstance(value, float):
        return "text_product_list", {"name": name, "value": value, "meta_data": {"uri": f"{ONTOLOGY}Float"}}
    return "text_product_list", {"name": name, "value": str(value)}


class NotebookSource(SourceQuery):
    """Those parameters of place and time that the notebooks have."""

    def __init__(self, names: tuple[str, ...]) -> None:
        crab = of.sky.source("Crab")
        makers = {
            "RA": lambda: annotated(Angle(name="RA", value=crab.ra, units="deg"), "Angle"),
            "DEC": lambda: annotated(Angle(name="DEC", value=crab.dec, units="deg"), "Angle"),
            "src_name": lambda: annotated(Name(name="src_name", value="Crab"), "String", "AstrophysicalObject"),
            "T1": lambda: _instant("T1", "2022-10-09T00:00:00.000"),
            "T2": lambda: _instant("T2", "2022-10-19T00:00:00.000"),
        }
        BaseQuery.__init__(self, "src_query", [*(makers[name]() for name in names), Name(name="token")])


def _instant(name: str, value: str) -> Parameter:
    return annotated(Time(name=name, value=value, Time_format_name="T_format"), "TimeInstant")


class Observatory(Instrument):
    """An instrument that reads no file of settings: each request makes all instruments anew."""

    def set_data_server_conf_dict(self, file: None) -> None:
        self.data_server_conf_dict = {"data_server_url": "http://127.0.0.1:9", "dummy_cache": "none"}


def _factory(name: str) -> Callable[[], Instrument]:
    places, products = INSTRUMENTS[name]

    def make() -> Instrument:
        return Observatory(
            name,
            src_query=NotebookSource(places),
            instrumet_query=Nothing("instr_query"),
            product_queries_list=[NotebookQuery(product, workflow) for product, workflow in products.items()],
            query_dictionary={product: f"{product}_query" for product in products},
            data_server_query_class=Backend,
        )

    return make


# ---- POLAR, which is not a notebook


class PolarQuery(WorkflowQuery):
    """A light curve in small letters, without header and units, beside a file of another kind."""

    def __init__(self) -> None:
        ProductQuery.__init__(self, "polar_lc_query", [of.time_bin()])

    def reply(self, parameters: Parameters) -> Reply:
        curve, file = of.polar_curve(of.Asked(parameters))
        return {"numpy_data_product_list": [curve], "binary_data_product_list": [file.encode()[0].decode()]}

    def process_product_method(self, instrument: Any, prod_list: Any, api: bool = False, **ignored: Any) -> Any:
        output = super().process_product_method(instrument, prod_list, api=api)
        (reply,) = prod_list.prod_list
        output.prod_dictionary = {**reply, "prod_process_message": ""}
        return output


def polar() -> Instrument:
    """The instrument."""
    limits = [
        SpectralBoundary(value=value, E_units="keV", name=name) for name, value in (("E1_keV", 0.0), ("E2_keV", 1e4))
    ]
    query = InstrumentQuery(
        name="polar_parameters", extra_parameters_list=limits, catalog=None, catalog_name="user_catalog"
    )
    return Observatory(
        "polar",
        asynch=False,
        src_query=SourceQuery("src_query"),
        instrumet_query=query,
        product_queries_list=[PolarQuery()],
        query_dictionary={"polar_lc": "polar_lc_query"},
        data_server_query_class=Backend,
    )


factories = [*(_factory(name) for name in INSTRUMENTS), polar]
