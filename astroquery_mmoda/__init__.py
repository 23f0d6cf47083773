# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Multi-Messenger Online Data Analysis (MMODA), the astroquery way.

Images, spectra and light curves of high-energy instruments, computed on demand at the University of Geneva
(https://www.astro.unige.ch/mmoda/) and handed over as astropy objects.
"""

from importlib.metadata import version as _version

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
