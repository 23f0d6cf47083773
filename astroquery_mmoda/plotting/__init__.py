# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Plots of what the queries return.

Each function returns the `~matplotlib.axes.Axes` it drew on. Without ``ax`` it opens a new pyplot figure, as astropy
users expect: a notebook displays it by itself, a script by ``matplotlib.pyplot.show()``; many of them are closed by
``matplotlib.pyplot.close(ax.figure)``. Your own cycle of colours (``axes.prop_cycle``) is followed.

Matplotlib is needed: ``pip install matplotlib``.
"""

from .image import plot_image
from .lightcurve import plot_lightcurve
from .spectrum import plot_spectrum

__all__ = ["plot_image", "plot_lightcurve", "plot_spectrum"]
