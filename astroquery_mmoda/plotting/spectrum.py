# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Pictures of spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..products.storage.spectrumtable import channel_table, pick_sources
from .drawing import Points, curves_on, draw_points, legend, literal, note, plain_axes, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_spectrum(hdulist: fits.HDUList, source: str | None = None, ax: Axes | None = None) -> Axes:
    """
    Draw spectra: count rate per energy over energy, both on logarithmic scales.

    Horizontal bars are the widths of the channels, vertical ones the statistical errors. Below a signal to noise ratio
    of 2 an arrow stands at 3 standard deviations, an upper limit. Channels of bad quality are left out.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        As returned by ``query_spectrum``. The response is not taken out: the rates are those of the detector.
    source : str, optional
        Name of one source (case and blanks ignored); all of them by default.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw. What is there already stays, and gets other colours.

    Returns
    -------
    `~matplotlib.axes.Axes`
        With a note in place of curves where the list has no spectra.

    Raises
    ------
    ParameterError
        If there is no such source.
    DecodingError
        If a spectrum has no energies.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> from astroquery_mmoda.plotting import plot_spectrum
    >>> spectra = Mmoda.query_spectrum("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58246.892),
    ...                                max_pointings=10)
    >>> ax = plot_spectrum(spectra, "Ser X-1")
    >>> ax.get_xscale(), ax.get_yscale()
    ('log', 'log')
    """
    pyplot()
    sources = pick_sources(hdulist, source)
    spectra = [_points(channel_table(hdulist, number, name), literal(name)) for number, name in sources]
    axes = plain_axes(ax)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for index, points in enumerate(spectra, start=curves_on(axes)):
        draw_points(axes, points, index)
    _write_energies(axes)
    axes.set_xlabel("Energy (keV)")
    axes.set_ylabel(r"Count rate ($\mathrm{ct\,s^{-1}\,keV^{-1}}$)")
    # spectra fall, so that there is space for names above them
    legend(axes, inside=8, widen=ax is None)
    if not any(len(points.x) for points in spectra):
        note(axes, "no spectra")
    return axes


def _points(table: Table, name: str) -> Points:
    rate, error = np.asarray(table["rate"]), np.asarray(table["error"])
    low, high = np.asarray(table["e_min"]), np.asarray(table["e_max"])
    # the middle on a logarithmic scale; a first channel may begin at 0
    middle = np.where(low > 0, np.sqrt(low * high), (low + high) / 2)
    usable = (np.asarray(table["quality"]) == 0) & np.isfinite(rate) & (high > 0)
    return Points(name, middle, np.array([middle - low, high - middle]), rate, error).among(usable)


def _write_energies(axes: Any) -> None:
    """Write energies as 20, 50, 100 and not as powers of ten, of which a spectrum may span one or two."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda energy, _: f"{energy:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
