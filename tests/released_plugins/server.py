# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Start and stop a second local service: the released dispatcher with the released INTEGRAL plugins.

::

    with ReleasedPlugins() as service:
        requests.get(service.url + "/api/meta-data", params={"instrument": "isgri"})
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.local_mmoda import environment
from tests.local_mmoda.server import LocalMmoda

__all__ = ["Analysis", "ReleasedPlugins"]

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Analysis:
    """
    What the back end was asked for, and what it made.

    Attributes
    ----------
    target : str
        What the plugin wanted, such as ``ISGRISpectraSum``.
    assume : list of str
        How it wanted it: windows, energies, width of the bins.
    catalog : list of dict or None
        Rows of the catalogue as they arrived, None without one.
    result : dict
        Attributes of the result: the paths of FITS files are those which the plugin then read.
    """

    target: str
    assume: list[str]
    catalog: list[dict[str, Any]] | None
    result: dict[str, Any]


class ReleasedPlugins(LocalMmoda):
    """Like `LocalMmoda`, with ``dispatcher-plugin-integral`` and ``dispatcher-plugin-integral-all-sky``."""

    _script = HERE / "serve.py"

    def _variables(self, directory: Path) -> dict[str, str]:
        plugins = environment.find_plugins(self.python)
        if plugins is None:
            raise RuntimeError(f"there are no plugins in the environment of {self.python}: make it again")
        shared = {"dispatcher_mnt_point": ".", "data_server_cache": "cache", "dummy_cache": "none"}
        addresses = {
            "isgri": f"{self.url}/no-dda",
            "jemx": f"{self.url}/no-dda",
            "spi_acs": f"{self.url}/acs/{{t0_isot}}/{{dt_s}}",
        }
        configuration = directory / "data_server_conf.yml"
        # JSON is YAML
        configuration.write_text(
            json.dumps({"instruments": {name: {**shared, "data_server_url": url} for name, url in addresses.items()}})
        )
        return {
            "PYTHONPATH": os.pathsep.join(map(os.fspath, [HERE.parents[1], HERE / "stand_ins", plugins])),
            "CDCI_OSA_PLUGIN_CONF_FILE": os.fspath(configuration),
            "CDCI_SPIACS_PLUGIN_CONF_FILE": os.fspath(configuration),
        }

    def analysis(self, job_id: str) -> Analysis:
        """The analysis of a job; KeyError when the back end was not asked."""
        for path in self._run.glob("osa/*/request.json"):
            asked = json.loads(path.read_text())
            if asked["job_id"] == job_id:
                made = path.with_name("result.json")
                result = json.loads(made.read_text()) if made.exists() else {}
                paths = {
                    name: self._run / value if isinstance(value, str) and value.endswith(".fits") else value
                    for name, value in result.items()
                }
                catalogs = [content["catalog"] for kind, content in asked["inject"] if kind == "SourceCatalog"]
                return Analysis(asked["target"], asked["assume"], catalogs[0] if catalogs else None, paths)
        raise KeyError(job_id)

    @property
    def shield_texts(self) -> list[str]:
        """What was sent as light curves of the anticoincidence shield, oldest first."""
        found = sorted(self._run.glob("acs/*.txt"), key=lambda path: path.stat().st_mtime_ns)
        return [path.read_text() for path in found]

    @property
    def _run(self) -> Path:
        assert self._directory is not None
        return self._directory / "run"
