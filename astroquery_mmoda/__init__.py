# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Multi-Messenger Online Data Analysis (MMODA), the astroquery way.

Images, spectra and light curves of high-energy instruments, computed on demand at the University of Geneva
(https://www.astro.unige.ch/mmoda/) and returned as astropy objects.
"""

import typing as _typing
from importlib import import_module as _import_module
from importlib.metadata import version as _version
from pathlib import Path as _Path

if _typing.TYPE_CHECKING:
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
    from .many import ManyQueries
    from .products import Product, Products
    from .products.storage.lightcurvefiles import read_lightcurve, write_lightcurve
    from .products.storage.ogip import write_spectra
    from .products.storage.regions import write_regions
    from .products.storage.spectrumtable import spectrum_table
    from .products.storage.timeseries import to_timeseries
else:

    def __getattr__(name):
        """Import what is used: `mmoda --help` should not wait for astropy."""
        for module, names in _EXPORTED.items():
            if name in names.split():
                globals()[name] = value = getattr(_import_module(f".{module}", __name__), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


# module -> what is exported from it
_EXPORTED = {
    "auth.token": "Token",
    "config": "Conf conf",
    "core": "Mmoda MmodaClass",
    "errors": ("AuthenticationError DecodingError JobFailed JobLost JobTimeout MmodaError ParameterError ServiceError"),
    "jobs.job": "Job",
    "many": "ManyQueries",
    "products": "Product Products",
    "products.storage.lightcurvefiles": "read_lightcurve write_lightcurve",
    "products.storage.ogip": "write_spectra",
    "products.storage.regions": "write_regions",
    "products.storage.spectrumtable": "spectrum_table",
    "products.storage.timeseries": "to_timeseries",
}

__citation__ = __bibtex__ = _Path(__file__).with_name("CITATION").read_text(encoding="utf-8")
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
