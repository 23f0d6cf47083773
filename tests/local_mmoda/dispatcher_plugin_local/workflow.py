# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
A workflow, as the platform makes an instrument of a notebook: whatever the outputs of a notebook can be.

The released server has no classes for some of the outputs of newer ones, so that the reply is put together here.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.time
import numpy as np
import sky
from astropy.table import MaskedColumn, Table
from cdci_data_analysis.analysis.instrument import Instrument
from cdci_data_analysis.analysis.parameters import Angle, Float, Name, Time
from cdci_data_analysis.analysis.products import QueryOutput
from cdci_data_analysis.analysis.queries import BaseQuery, InstrumentQuery, ProductQuery, SourceQuery
from oda_api.data_products import NumpyDataProduct, NumpyDataUnit

from .backend import CONFIGURATION, Backend, LocalQuery, Parameters
from .parameters import Boolean, Choice, Count, OptionalFloat, Structured, annotated

ONTOLOGY = "http://odahub.io/ontology#"
Reply = dict[str, Any]


# ---- outputs -----------------------------------------------------------------------------------------------------


def _numpy(name: str, unit: str, columns: dict[str, Any], units: dict[str, str], **meta: str) -> NumpyDataProduct:
    """An empty primary and a table; the headers are empty too."""
    rows = np.rec.fromarrays(list(columns.values()), names=list(columns))
    primary = NumpyDataUnit(np.array([]), name="PRIMARY", hdu_type="primary")
    table = NumpyDataUnit(np.asarray(rows), name=unit, hdu_type="bintable", units_dict=units)
    return NumpyDataProduct([primary, table], name=name, meta_data=meta)


def _light_curve(name: str, parameters: Parameters, bins: int, band: str) -> NumpyDataProduct:
    """Against MJD in UTC."""
    start, stop = (astropy.time.Time(parameters[key], scale="utc").mjd for key in ("T1", "T2"))
    time, flux = sky.workflow_light_curve(start, stop, bins, parameters["source"], band)
    columns = {"TIME": time, "FLUX": flux, "ERROR": np.full(bins, sky.WORKFLOW_ERROR)}
    return _numpy(name, "LC", columns, {"TIME": "d", "FLUX": "erg / (s cm**2)", "ERROR": "erg / (s cm**2)"})


def _table(entries: tuple[sky.Source, ...]) -> Reply:
    table = Table({"name": [entry.name for entry in entries]}, meta={"origin": "synthetic"})
    for column, unit in (("ra", "deg"), ("dec", "deg"), ("photon_index", None)):
        values = [getattr(entry, column) for entry in entries]
        table[column] = MaskedColumn(values, unit=unit)
    # nobody knows that of the last one
    table["photon_index"].mask[-1] = True
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    # sic: JSON in JSON
    meta = json.dumps(json.dumps({"epoch": 2000.0, "k": [1, 2]}))
    return {"name": "cat", "ascii": text.getvalue(), "binary": None, "meta_data": meta}


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()


def _picture(name: str) -> Reply:
    return {"img_type": "png", "b64data": _base64(sky.workflow_picture()), "metadata": {}, "name": name}


# ---- products ----------------------------------------------------------------------------------------------------


class WorkflowQuery(LocalQuery, ProductQuery):
    """A notebook."""

    outputs: dict[str, str] = {}
    """Concept of the ontology for each output."""
    labels: dict[str, str] = {}

    def __init__(self, name: str, parameters: list[Any]) -> None:
        source = Choice("source", "archive", sorted(sky.WORKFLOW_FLUX))
        super().__init__(name, [*parameters, annotated(source, "String", description="where the data come from")])

    def reply(self, parameters: Parameters) -> Reply:
        """Products by their keys in the reply; those that are missing are empty lists."""
        raise NotImplementedError

    def compute(self, parameters: Parameters, directory: Path) -> None:
        (directory / "parameters.json").write_text(json.dumps(parameters))

    def read(self, directory: Path) -> list[Any]:
        # the server wants a list, and does not look into it
        return [self.reply(json.loads((directory / "parameters.json").read_text()))]

    def process_product_method(self, instrument: Any, prod_list: Any, api: bool = False, **ignored: Any) -> QueryOutput:
        (reply,) = prod_list.prod_list
        output = QueryOutput()
        output.prod_dictionary = {
            "extra_metadata": {
                name: {"label": self.labels[name]} if name in self.labels else {} for name in self.outputs
            },
            "prod_uris": {name: ONTOLOGY + concept for name, concept in self.outputs.items()},
            "numpy_data_product_list": [],
            "astropy_table_product_ascii_list": [],
            "binary_data_product_list": [],
            "binary_image_product_list": [],
            "text_product_list": [],
            "progress_product_list": [],
            **reply,
        }
        return output

    def steps(self, parameters: Parameters) -> Iterator[dict[str, str]]:
        """As the notebooks report: first that there is progress, then how much."""
        yield {"action": "progress"}
        yield {
            "action": "progress",
            "stage": "simulation",
            "progress": "25",
            "progress_max": "100",
            "substage": "step 0",
            "subprogress_max": "100.0",
            "message": "working on 0",
        }


class Everything(WorkflowQuery):
    """All kinds of outputs, two of one kind and of one name among them."""

    outputs = {
        "lc": "LightCurve",
        "lcs": "LightCurve",
        "spectrum": "Spectrum",
        "table": "ODAAstropyTable",
        "picture": "ODAPictureProduct",
        "binary": "ODABinaryProduct",
        "text": "ODATextProduct",
        "number": "Float",
        "asked": "ODATextProduct",
    }
    labels = {"picture": "A picture"}

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            [
                annotated(Boolean(name="flag", value=True), "Boolean"),
                annotated(Structured(name="cfg", value={"a": [1, 2], "b": None}), "StructuredParameter"),
                annotated(Float(name="scale", value=2.5), "Float", min_value=0.1),
                annotated(OptionalFloat(name="opt", value=None), "Float"),
                annotated(
                    Time(name="when", value="2021-01-02T03:04:05.000", Time_format_name="T_format"), "TimeInstant"
                ),
            ],
        )

    def reply(self, parameters: Parameters) -> Reply:
        name = f"{parameters['src_name']} lc"
        spectrum = {"E": [1.0, 2.0, 4.0], "F": [1.0, 0.5, 0.25], "N": np.array([1, 2, 3], dtype=np.int16)}
        asked = {key: parameters[key] for key in ("source", "flag", "cfg", "scale", "opt", "when")}
        binary = {"name": "raw.bin", "data": _base64(sky.WORKFLOW_BYTES)}
        return {
            "numpy_data_product_list": [
                *(_light_curve(name, parameters, 12, band) for band in ("g", "r")),
                _numpy(
                    "my spectrum",
                    "SPECTRUM",
                    spectrum,
                    {"E": "keV", "F": "cm**(-2) s**(-1) keV**(-1)"},
                    src_name="Crab",
                ),
            ],
            "astropy_table_product_ascii_list": [_table(sky.WORKFLOW_TABLES[0])],
            "binary_data_product_list": [{**binary, "md5": hashlib.md5(sky.WORKFLOW_BYTES).hexdigest()}],
            "binary_image_product_list": [_picture("plot"), _picture("plot")],
            "text_product_list": [
                {"name": "text", "value": sky.WORKFLOW_TEXT},
                {"name": "number", "value": sky.WORKFLOW_NUMBER, "meta_data": {"uri": ONTOLOGY + "Float"}},
                {"name": "asked", "value": asked},
            ],
        }


class LightCurve(WorkflowQuery):
    """One light curve, with a remark."""

    outputs = {"lc": "LightCurve"}
    comment = sky.WORKFLOW_COMMENT

    def __init__(self, name: str) -> None:
        bins = Count("nbins", 12, low=2, high=1000)
        super().__init__(
            name,
            [
                annotated(bins, "Integer", label="Number of bins", description="how many bins to make"),
                annotated(Choice("band", "g", sorted(sky.WORKFLOW_BANDS)), "String"),
            ],
        )

    def reply(self, parameters: Parameters) -> Reply:
        name, bins = f"{parameters['src_name']} lc", parameters["nbins"]
        return {"numpy_data_product_list": [_light_curve(name, parameters, bins, parameters["band"])]}


class Tables(WorkflowQuery):
    """Several tables of one name, as a notebook's list of tables becomes."""

    outputs = {"lst": "ODAAstropyTable"}

    def __init__(self, name: str) -> None:
        super().__init__(name, [])

    def reply(self, parameters: Parameters) -> Reply:
        return {"astropy_table_product_ascii_list": [_table(entries) for entries in sky.WORKFLOW_TABLES]}


# ---- the instrument ----------------------------------------------------------------------------------------------


class WorkflowSource(SourceQuery):
    """The same parameters as ever, with other values and in another order."""

    def __init__(self, name: str) -> None:
        BaseQuery.__init__(
            self,
            name,
            [
                annotated(Angle(name="RA", value=166.113808, units="deg"), "Angle"),
                annotated(Angle(name="DEC", value=38.208833, units="deg"), "Angle"),
                annotated(Name(name="src_name", value="Mrk 421"), "String", "AstrophysicalObject"),
                annotated(Time(name="T1", value="2022-10-09T13:00:00.000", Time_format_name="T_format"), "TimeInstant"),
                annotated(Time(name="T2", value="2022-10-10T13:00:00.000", Time_format_name="T_format"), "TimeInstant"),
                Name(name="token"),
            ],
        )


class Nothing(InstrumentQuery):
    """No parameters of the instrument, not even a catalogue."""

    def __init__(self, name: str) -> None:
        BaseQuery.__init__(self, name)
        self.input_prod_list_name = self.catalog_name = None


def workflow() -> Instrument:
    """The instrument, asynchronous; of its reports the server keeps the last one."""
    products = {"everything": Everything, "lightcurve": LightCurve, "tables": Tables}
    return Instrument(
        "workflow",
        src_query=WorkflowSource("src_query"),
        instrumet_query=Nothing("instr_query"),
        product_queries_list=[query(f"{product}_query") for product, query in products.items()],
        query_dictionary={product: f"{product}_query" for product in products},
        data_serve_conf_file=CONFIGURATION,
        data_server_query_class=Backend,
    )
