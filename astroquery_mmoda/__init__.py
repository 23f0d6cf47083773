# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Multi-Messenger Online Data Analysis (MMODA), the astroquery way.

Images, spectra and light curves of high-energy instruments, computed on demand at the University of Geneva
(https://www.astro.unige.ch/mmoda/) and handed over as astropy objects.
"""

import importlib as _importlib
from importlib.metadata import version as _version
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .auth import Token
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
from .job import Job
from .products import Product, Products

if _TYPE_CHECKING:
    from .products.ogip import spectrum_table, write_spectra
    from .products.timeseries import read_lightcurve, to_timeseries, write_lightcurve

__version__ = _version("astroquery_mmoda")

__all__ = [
    "AuthenticationError",
    "Conf",
    "DecodingError",
    "Job",
    "JobFailed",
    "JobLost",
    "JobTimeout",
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
    "write_spectra",
]

# files are written at the end of a session, not at its begin: these rooms are opened when they are entered
_HOMES = {
    "read_lightcurve": "timeseries",
    "spectrum_table": "ogip",
    "to_timeseries": "timeseries",
    "write_lightcurve": "timeseries",
    "write_spectra": "ogip",
}


def __getattr__(name: str) -> _Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_importlib.import_module(f".products.{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
