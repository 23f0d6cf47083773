# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Images, spectra, light curves and catalogues of several jobs as one, and rates of sources measured in images."""

from .lightcurves import combine_lightcurves
from .spectra import combine_spectra

__all__ = ["combine_lightcurves", "combine_spectra"]
