# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Multi-Messenger Online Data Analysis (MMODA), the astroquery way.

Images, spectra and light curves of high-energy instruments, computed on demand at the University of Geneva
(https://www.astro.unige.ch/mmoda/) and handed over as astropy objects.
"""

import importlib as _importlib
from importlib.metadata import version as _version
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .auth.token import Token
from .config import Conf, conf
from .core import Mmoda, MmodaClass
from .errors import (
    AuthenticationError,
    DecodingError,
    JobFailed,
    JobLost,
    JobTimeout,
    MmodaError,
    ParameterError,
    ServiceError,
)
from .jobs.job import Job
from .products import Product, Products

if _TYPE_CHECKING:
    from .many import ManyQueries
    from .products.storage.lightcurvefiles import read_lightcurve, write_lightcurve
    from .products.storage.ogip import write_spectra
    from .products.storage.regions import write_regions
    from .products.storage.spectrumtable import spectrum_table
    from .products.storage.timeseries import to_timeseries

__version__ = _version("astroquery_mmoda")

__all__ = [
    "AuthenticationError",
    "Conf",
    "DecodingError",
    "Job",
    "JobFailed",
    "JobLost",
    "JobTimeout",
    "ManyQueries",
    "Mmoda",
    "MmodaClass",
    "MmodaError",
    "ParameterError",
    "Product",
    "Products",
    "ServiceError",
    "Token",
    "conf",
    "read_lightcurve",
    "spectrum_table",
    "to_timeseries",
    "write_lightcurve",
    "write_regions",
    "write_spectra",
]

# what writes files is imported when it is used, at the end of a session
_LATER = {
    "ManyQueries": "many",
    "read_lightcurve": "products.storage.lightcurvefiles",
    "spectrum_table": "products.storage.spectrumtable",
    "to_timeseries": "products.storage.timeseries",
    "write_lightcurve": "products.storage.lightcurvefiles",
    "write_regions": "products.storage.regions",
    "write_spectra": "products.storage.ogip",
}


def __getattr__(name: str) -> _Any:
    if name in ("__citation__", "__bibtex__"):
        return _Path(__file__).with_name("CITATION").read_text(encoding="utf-8")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_importlib.import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
