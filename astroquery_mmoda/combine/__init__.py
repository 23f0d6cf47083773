# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Images, spectra, light curves and catalogues of several jobs as one, and rates of sources measured in images."""

from .catalogs import combine_catalogs
from .rates import measure_rates

__all__ = ["combine_catalogs", "measure_rates"]
