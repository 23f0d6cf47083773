# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Images, spectra, light curves and catalogues of several jobs as one, and rates of sources measured in images."""

from .catalogs import combine_catalogs
from .images import combine_images
from .lightcurves import combine_lightcurves
from .rates import measure_rates
from .spectra import combine_spectra

__all__ = ["combine_catalogs", "combine_images", "combine_lightcurves", "combine_spectra", "measure_rates"]
