# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Multi-Messenger Online Data Analysis (MMODA), the astroquery way.

Images, spectra and light curves of high-energy instruments, computed on demand at the University of Geneva
(https://www.astro.unige.ch/mmoda/) and returned as astropy objects.
"""

from importlib.metadata import version as _version
from pathlib import Path as _Path

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
from .products.display.hdulist import show_hdulist
from .products.storage.lightcurvefiles import read_lightcurve, write_lightcurve
from .products.storage.ogip import write_spectra
from .products.storage.regions import write_regions
from .products.storage.spectrumtable import spectrum_table
from .products.storage.timeseries import to_timeseries

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
    "show_hdulist",
    "spectrum_table",
    "to_timeseries",
    "write_lightcurve",
    "write_regions",
    "write_spectra",
]
