# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Instruments that fail in each way there is, or return nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdci_data_analysis.analysis.instrument import Instrument
from cdci_data_analysis.analysis.queries import ImageQuery, InstrumentQuery, LightCurveQuery, SourceQuery

from .backend import CONFIGURATION, Backend, BackendFailure, LocalQuery, Parameters


class FailsInBackend(LocalQuery, ImageQuery):
    """Face 1: the backend reports a failure."""

    def compute(self, parameters: Parameters, directory: Path) -> None:
        raise BackendFailure("AnalysisException: the synthetic backend fails on purpose")


class FailsWhileBuilding(LocalQuery, ImageQuery):
    """Faces 2 (asynchronous) and 3 (synchronous): an exception while the products are being made."""

    def compute(self, parameters: Parameters, directory: Path) -> None:
        """All is well so far."""

    def read(self, directory: Path) -> list[Any]:
        raise RuntimeError("the synthetic products can't be built, on purpose")


class NoLightCurve(LocalQuery, LightCurveQuery):
    """Done, with an empty list."""

    def compute(self, parameters: Parameters, directory: Path) -> None:
        """Nothing to do."""

    def read(self, directory: Path) -> list[Any]:
        return []


class NoImage(LocalQuery, ImageQuery):
    """Done, with an empty list."""

    compute = NoLightCurve.compute
    read = NoLightCurve.read


def _instrument(name: str, queries: dict[str, Any], asynch: bool) -> Instrument:
    return Instrument(
        name,
        src_query=SourceQuery("src_query"),
        instrumet_query=InstrumentQuery(f"{name}_parameters", catalog_name="user_catalog"),
        product_queries_list=[query(f"{product}_query") for product, query in queries.items()],
        query_dictionary={product: f"{product}_query" for product in queries},
        data_serve_conf_file=CONFIGURATION,
        data_server_query_class=Backend,
        asynch=asynch,
    )


def faulty() -> Instrument:
    """The asynchronous ones."""
    return _instrument(
        "faulty", {"faulty_backend_image": FailsInBackend, "faulty_build_image": FailsWhileBuilding}, asynch=True
    )


def faulty_sync() -> Instrument:
    """Those that answer at once."""
    queries = {"faulty_at_once_image": FailsWhileBuilding, "nothing_lc": NoLightCurve, "nothing_image": NoImage}
    return _instrument("faulty_sync", queries, asynch=False)
