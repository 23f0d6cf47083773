# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Pictures of spectra."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from ..errors import ParameterError, valid
from ..products.fluxpoints import find_flux_hdu, flux_table
from ..products.storage.spectrumtable import GOOD, channel_table, pick_sources
from ..request.values import as_quantity, convert
from ..text import printable
from .drawing import DETECTED, LIMIT, Points, draw_curve, plain_axes, plain_numbers, pyplot
from .lettering import (
    CurveLabel,
    literal,
    name_curves,
    name_limits,
    note,
    quantity_label,
    range_text,
    register,
    unit_text,
    write_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_RATE = u.ct / (u.s * u.keV)
# values as they are usually written, by the beginnings of their names without signs between letters
_SYMBOLS = {
    "e2dn": r"$E^2\,dN/dE$",
    "dnde": r"$dN/dE$",
    "nufnu": r"$\nu F_\nu$",
    "omega": r"$\Omega$",
}
_AXES = {u.eV: "Energy", u.Hz: "Frequency", u.m: "Wavelength"}
# upper limits are drawn up to so many times the last energy that is detected
_OCTAVE = 2.0


@dataclass(frozen=True)
class _Drawn:
    """Units of x and y of axes that have spectra, and the energies (keV) where upper limits of these end."""

    x: u.UnitBase
    y: u.UnitBase
    ends: list[float] = field(default_factory=list)


_DRAWN: WeakKeyDictionary[Any, _Drawn] = WeakKeyDictionary()


def plot_spectrum(
    hdulist: fits.HDUList,
    source: str | None = None,
    *,
    limits: bool | u.Quantity | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw spectra on logarithmic scales: count rate per energy over energy, or flux points as they came.

    Horizontal bars are the widths of the channels or bins, vertical ones the errors. Of channels: statistical errors;
    below a signal to noise ratio of 2 an arrow stands at 3 standard deviations, an upper limit; channels of which
    QUALITY is not 0 are left out; the exposure stands in a corner. Of flux points (spectra of workflows): the values of
    the service (E^2 dN/dE, nu F_nu, ...) over its axis, with their errors on both sides; arrows are its upper limits,
    and 3 standard deviations where a value is not positive.

    Spectra after the first one on the same axes are drawn in the units of the first. For that, energies, frequencies
    and wavelengths are converted into each other, and dN/dE is multiplied by E or E^2 where the axes need it.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        As returned by ``query_spectrum``. The response is not taken out: rates of channels are those of the detector.
    source : str, optional
        Name of one source (case and blanks ignored), or of one product with flux points; all of them by default.
    limits : bool, `~astropy.units.Quantity` or str, optional
        Which upper limits are drawn. None: those of channels up to one octave in energy above the last channel that is
        detected at 3 standard deviations, which the legend says (all of a source without such a channel), and all of
        flux points. True: all of them. False: none. An energy (``200*u.keV``; numbers are keV): those below it. Where
        limits end, nothing below 3 standard deviations is drawn.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw. What is there already stays, and gets other colours.

    Returns
    -------
    `~matplotlib.axes.Axes`
        With a note in place of curves where the list has no spectra.

    Raises
    ------
    ParameterError
        If there is no such source, ``limits`` is something else, or spectra can't have the same axes, such as count
        rates and fluxes.
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
    wanted = bool(limits) if isinstance(limits, (bool, np.bool_)) else None if limits is None else _energy(limits)
    spectra = [spectrum.with_limits(wanted) for spectrum in _spectra(hdulist, source)]
    axes = plain_axes(ax)
    used = _DRAWN.get(axes) if axes.has_data() else None
    drawn = used or next((_Drawn(spectrum.x.unit, spectrum.y.unit) for spectrum in spectra), None)
    points = [spectrum.points(drawn.x, drawn.y) for spectrum in spectra] if drawn else []
    axes.set_xscale("log")
    axes.set_yscale("log")
    if drawn:
        _DRAWN[axes] = drawn
        for spectrum, each in zip(spectra, points, strict=True):
            label, number = register(axes, spectrum.curve)
            for kind in draw_curve(axes, each, number, label=label):
                drawn.ends.extend([] if spectrum.limits_end is None else [spectrum.limits_end])
                name_limits(axes, kind, f" up to {range_text(drawn.ends, 'keV')}" if drawn.ends else "")
    _write_energies(axes)
    if not used:
        write_label(axes, "x", spectra[0].x_label if spectra else "Energy")
        write_label(axes, "y", spectra[0].y_label if spectra else "Count rate")
    # spectra fall, so that there is space for names above them
    name_curves(axes, inside=8, widen=ax is None)
    if not any(len(each.x) for each in points):
        note(axes, "no spectra" if not spectra else "no data")
    return axes


def _energy(value: Any) -> float:
    """Read an energy up to which limits are drawn, in keV."""
    energy = convert(as_quantity(value, u.keV, "limits"), u.keV, "limits")
    with valid("limits", value, "energy", "Give True, False, None, or an energy above 0 such as 200*u.keV."):
        if not 0 < energy < np.inf:
            raise ValueError("it must be above 0")
    return energy


# ---- one spectrum


@dataclass(frozen=True)
class _Spectrum:
    """Values over energies, frequencies or wavelengths; edges and errors as they are below and above."""

    curve: CurveLabel
    x: u.Quantity
    edges: u.Quantity
    y: u.Quantity
    error: u.Quantity
    limits: np.ndarray | None
    x_label: str
    y_label: str
    limits_end: float | None = None

    def with_limits(self, wanted: float | None) -> _Spectrum:
        """Leave out upper limits that are not wanted; and what is above their end (keV), but for what is detected."""
        if wanted is True or (wanted is None and self.limits is not None):
            return self
        y, noise = self.y.value, np.nan_to_num(self.error.value)
        noise = noise[-1] if noise.ndim > 1 else noise
        is_limit = y < DETECTED * noise if self.limits is None else self.limits | (y <= 0)
        detected = ~is_limit & ((y >= LIMIT * noise) if self.limits is None else True)
        if wanted is False:
            return self._among(~is_limit)
        try:
            energy, edges = (each.to_value(u.keV, u.spectral()) for each in (self.x, self.edges))
        except u.UnitsError as reason:
            raise ParameterError(f"limits= needs energies; {self._name} has {self.x.unit or 'no unit'}") from reason
        end = wanted
        if wanted is None:
            end = _OCTAVE * edges[1][detected & (noise > 0)].max(initial=0.0) or None
        if end is None or (chosen := detected | (energy < end)).all():
            return self
        return replace(self._among(chosen), limits_end=end)

    @property
    def _name(self) -> str:
        return f"the spectrum {printable(self.curve.name, limit=60)}"

    def _among(self, chosen: np.ndarray) -> _Spectrum:
        """Give some of its bins."""
        limits = None if self.limits is None else self.limits[chosen]
        arrays = {name: getattr(self, name)[..., chosen] for name in ("x", "edges", "y", "error")}
        return replace(self, limits=limits, **arrays)

    def points(self, x_unit: u.UnitBase, y_unit: u.UnitBase) -> Points:
        """Give it in the units of axes."""
        try:
            x, edges = (each.to_value(x_unit, u.spectral()) for each in (self.x, self.edges))
            factor = self._factor(y_unit)
        except u.UnitsError as reason:
            pairs = (self.y.unit, self.x.unit), (y_unit, x_unit)
            own, others = (" over ".join(str(unit) or "no unit" for unit in pair) for pair in pairs)
            raise ParameterError(
                f"{self._name} ({own}) can't be drawn on axes in {others}; choose "
                "one by source=, or give it other axes by ax="
            ) from reason
        # energies become wavelengths in the other order
        edges = np.sort(edges, axis=0) if np.isfinite(edges).any() else edges
        widths = np.array([x - edges[0], edges[1] - x])
        y, errors = self.y.value * factor, self.error.value * factor
        usable = np.isfinite(y) & np.isfinite(x) & (x > 0)
        error = errors if np.isfinite(errors).any() else None
        return Points(x, widths, y, error, self.limits).among(usable)

    def _factor(self, unit: u.UnitBase) -> np.ndarray:
        """What values are multiplied by: a factor of units, and E or E^2, so that dN/dE becomes E^2 dN/dE."""
        if self.y.unit.is_equivalent(unit):
            return np.full(len(self.x), self.y.unit.to(unit))
        energy = self.x.to(u.eV, u.spectral())
        for power in (1, 2):
            for particle in (u.dimensionless_unscaled, u.ph):
                given = self.y.unit * u.eV**power / particle
                if given.is_equivalent(unit):
                    return np.asarray(energy.value**power * given.to(unit))
        raise u.UnitConversionError(f"{self.y.unit} and {unit}")


def _spectra(hdulist: fits.HDUList, source: str | None) -> Iterator[_Spectrum]:
    chosen = pick_sources(hdulist, source)
    names = [name for _, name in chosen]
    for number, name in chosen:
        hdu = find_flux_hdu(hdulist, number)
        if hdu is None:
            yield _of_channels(channel_table(hdulist, number, name), name, hdulist[0].header)
        else:
            # several instruments, or several tables of one, are often drawn together
            which = hdu.header.get("ORIGNAME") if names.count(name) > 1 else hdulist[0].header.get("INSTRUM")
            yield _of_flux_points(flux_table(hdu), CurveLabel(literal(f"{name} ({which})" if which else name)))


def _of_channels(table: Table, name: str, header: fits.Header) -> _Spectrum:
    rate, error = np.asarray(table["rate"]), np.asarray(table["error"])
    low, high = np.asarray(table["e_min"]), np.asarray(table["e_max"])
    # the middle on a logarithmic scale; a first channel may begin at 0
    middle = np.where(low > 0, np.sqrt(low * high), (low + high) / 2)
    usable = (np.asarray(table["quality"]) == GOOD) & (high > 0)
    exposure = table.meta.get("EXPOSURE")
    exposure = float(exposure) if isinstance(exposure, (int, float)) else math.nan
    return _Spectrum(
        curve=CurveLabel(literal(name), literal(header.get("INSTRUM", "")), exposure=exposure),
        x=middle[usable] * u.keV,
        edges=np.array([low, high])[:, usable] * u.keV,
        y=rate[usable] * _RATE,
        error=error[usable] * _RATE,
        limits=None,
        x_label="Energy (keV)",
        y_label=quantity_label("Count rate", unit_text(_RATE)),
    )


def _of_flux_points(table: Table, curve: CurveLabel) -> _Spectrum:
    x_unit, y_unit = (table[column].unit or u.dimensionless_unscaled for column in ("energy", "value"))
    word = next((word for unit, word in _AXES.items() if x_unit.is_equivalent(unit)), "")
    x_name = word or literal(str(table.meta.get("AXISCOL", "Energy")))
    value = str(table.meta.get("VALCOL", "value"))
    letters = re.sub(r"[^a-z0-9]", "", value.lower())
    title = next((symbol for word, symbol in _SYMBOLS.items() if letters.startswith(word)), literal(value))
    numbers = {column: plain_numbers(table[column]) for column in table.colnames}
    return _Spectrum(
        curve=curve,
        x=numbers["energy"] * x_unit,
        edges=np.array([numbers["e_min"], numbers["e_max"]]) * x_unit,
        y=numbers["value"] * y_unit,
        error=np.array([numbers["error_low"], numbers["error_high"]]) * y_unit,
        limits=np.asarray(table["is_upper_limit"]),
        x_label=quantity_label(x_name, unit_text(x_unit)),
        y_label=quantity_label(title, unit_text(y_unit)),
    )


def _write_energies(axes: Any) -> None:
    """Write energies as 20, 50, 100 and not as powers of ten, where they span few of these."""
    from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

    low, high = axes.dataLim.intervalx
    if high > low and not (high < 1e3 * low and 1e-2 < low and high < 1e4):
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_major_formatter(LogFormatterSciNotation())
        return
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda energy, _: f"{energy:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
