# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Images, spectra, light curves and catalogues of several jobs as one, and rates of sources measured in images."""

from .images import combine_images

__all__ = ["combine_images"]
