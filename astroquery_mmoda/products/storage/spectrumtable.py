# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
One spectrum of an HDUList as ``query_spectrum`` returns it: which source, as a table, what was measured, and groups.

QUALITY and GROUPING of a channel are those of OGIP/92-007.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import InputWarning

from ...errors import DecodingError, ParameterError, reading, warn
from ...text import listed, original, printable
from ...units import known_unit
from ..cards import card_value, number
from ..channels import energy_rows
from ..sources import match_source
from ..spectrum import ROLES, missing_columns

_GOOD, _BAD, _DUBIOUS, _UNUSABLE = 0, 1, 2, 5
_META = "EXPOSURE TELESCOP INSTRUME DETNAM FILTER TSTART TSTOP MJDREF TIMESYS RA_OBJ DEC_OBJ".split()


# ---- which source


def pick_sources(spectra: fits.HDUList, source: str | None = None) -> list[tuple[int, str]]:
    """Give EXTVER and name of each source, or of one; `ParameterError` if there is no such source."""
    if not isinstance(spectra, fits.HDUList):
        raise ParameterError(f"spectra are an HDUList as query_spectrum returns it, not {type(spectra).__name__}")
    headers = {hdu.ver: hdu.header for hdu in reversed(spectra) if hdu.name in ROLES}
    numbered = [
        (ver, original(str(header.get("SRC_NAME", ver)), str(header.get("SRCNAME8", ""))))
        for ver, header in sorted(headers.items())
    ]
    if source is None:
        return numbered
    name = match_source([name for _, name in numbered], source)
    return [(ver, known) for ver, known in numbered if known == name]


def find_table(spectra: fits.HDUList, name: str, number: int) -> Any:
    """HDU of a name and number, or None."""
    return next((hdu for hdu in spectra if hdu.name == name and hdu.ver == number), None)


# ---- a spectrum as a table


def spectrum_table(spectra: fits.HDUList, source: str | None = None) -> Table:
    """
    One spectrum as a table of count rates per energy.

    Parameters
    ----------
    spectra : `~astropy.io.fits.HDUList`
        As returned by ``query_spectrum``.
    source : str, optional
        Name of the source (case and blanks ignored); can be left out where there is only one.

    Returns
    -------
    `~astropy.table.Table`
        ``e_min``, ``e_max`` (keV, from EBOUNDS, matched by the place of the channel: CHANNEL - TLMIN of each table),
        ``rate`` and ``error`` (ct / (s keV), statistical errors), and ``quality`` as in OGIP/92-007: 0 is good, 1 has
        no value, 5 has a value, but no error that is finite and above 0. Spectra in counts are divided by the
        exposure. ``meta`` is flat, with the keywords of the spectrum in capitals: ``SRC_NAME``, ``EXPOSURE`` (s),
        ``TELESCOP``, and so on.

    Raises
    ------
    ParameterError
        If there is no such source, or several and none was named.
    DecodingError
        If the spectrum came without energies for its channels.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, spectrum_table
    >>> spectra = Mmoda.query_spectrum("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58246.892),
    ...                                max_pointings=10)
    >>> table = spectrum_table(spectra, "Ser X-1")
    >>> table.colnames, str(table["rate"].unit)
    (['e_min', 'e_max', 'rate', 'error', 'quality'], 'ct / (keV s)')
    """
    sources = pick_sources(spectra, source)
    if len(sources) != 1:
        names = listed(name for _, name in sources)
        raise ParameterError(f"one source has to be named by source=; sources present: {names}")
    return channel_table(spectra, *sources[0])


def channel_table(spectra: fits.HDUList, ver: int, name: str) -> Table:
    """Make the `spectrum_table` of a source as `pick_sources` gives it."""
    hdu, bounds = (find_table(spectra, role, ver) for role in ("SPECTRUM", "EBOUNDS"))
    with reading(f"the spectrum of {printable(name)}"):
        if hdu is None or bounds is None:
            raise DecodingError("it came without a SPECTRUM, or without the energies of its channels (EBOUNDS)")
        values = ChannelValues.of(hdu)
        check_columns(bounds, "EBOUNDS")
        rows = energy_rows(hdu, bounds)
        if rows is None:
            raise DecodingError("it has channels that are missing in its EBOUNDS")
        table = Table()
        for column in ("e_min", "e_max"):
            energies = np.array(bounds.data[column], dtype=float) * (unit_of(bounds, column) or u.keV)
            table[column] = energies.to(u.keV)[rows]
        exposure = number(hdu.header, "EXPOSURE", 0.0) if values.in_counts else 1.0
        if exposure <= 0:
            raise DecodingError("it is in counts and has no EXPOSURE to divide by")
        scale = 1 / (np.asarray(table["e_max"] - table["e_min"]) * exposure) * u.Unit("ct / (s keV)")
        table["rate"], table["error"] = values.value * scale, values.error * scale
        table["quality"] = values.quality.astype(np.int64)
        cards = {key: card_value(hdu.header, key) for key in _META}
        table.meta = {"SRC_NAME": name, **{key: value for key, value in cards.items() if value is not None}}
        return table


# ---- what was measured in each channel


@dataclass(frozen=True)
class ChannelValues:
    """What was measured in each channel: ``value`` and ``error`` are counts, or else rates."""

    value: np.ndarray
    error: np.ndarray
    quality: np.ndarray
    in_counts: bool
    has_errors: bool

    @classmethod
    def of(cls, hdu: Any) -> ChannelValues:
        """Read a table, with the errors of Poisson, and flags, where it has none."""
        check_columns(hdu, "SPECTRUM")
        in_counts, factors = is_in_counts(hdu), count_factors(hdu)
        columns = [np.array(hdu.data[name], dtype=float) * factor for name, factor in factors.items()]
        value, with_errors = columns[0], len(columns) > 1
        error = columns[1] if with_errors else _assumed_errors(value, hdu.header, in_counts=in_counts)
        quality = np.array(hdu.data["QUALITY"]) if has_column(hdu, "QUALITY") else number(hdu.header, "QUALITY", 0)
        quality = np.broadcast_to(np.int16(quality), value.shape).copy()
        quality[(quality == _GOOD) & ~np.isfinite(value)] = _BAD
        if with_errors and not (in_counts and hdu.header.get("POISSERR") is True):
            usable = np.isfinite(error) & (error > 0)
            if in_counts:
                usable |= (value == 0) & (error == 0)  # as sqrt(N) has it
            quality[(quality == _GOOD) & ~usable] = _UNUSABLE
        return cls(value, error, quality, in_counts, with_errors or bool(np.isfinite(error).any()))


def is_in_counts(hdu: Any) -> bool:
    """Whether a spectrum is in counts; where both columns are, HDUCLAS3 says which one STAT_ERR belongs to."""
    states_counts = str(hdu.header.get("HDUCLAS3", "")).strip().upper().startswith("COUNT")
    return not has_column(hdu, "RATE") or (states_counts and has_column(hdu, "COUNTS"))


def count_factors(hdu: Any) -> dict[str, float]:
    """
    Columns of values and errors, with the factors that make counts, or counts per second, of them.

    Those without a known unit are taken to be in it.
    """
    name = "COUNTS" if is_in_counts(hdu) else "RATE"
    wanted = u.Unit("count" if name == "COUNTS" else "count / s")
    factors = {}
    for column in (name, "STAT_ERR") if has_column(hdu, "STAT_ERR") else (name,):
        text = hdu.columns[column].unit or hdu.columns[name].unit
        given = known_unit(text)
        if given is None or given == u.dimensionless_unscaled:
            factors[column] = 1.0
            continue
        # 1/s is meant for counts, too
        unit = next((each for each in (given, given * u.ct) if each.is_equivalent(wanted)), None)
        if unit is None:
            raise DecodingError(f"{column} is in {printable(text, limit=40)}, not in {wanted} or the like")
        factors[column] = float(unit.to(wanted))
    return factors


def _assumed_errors(value: np.ndarray, header: fits.Header, *, in_counts: bool) -> np.ndarray:
    """Errors without a column: a keyword for all channels, else those of Poisson; of most rates nothing is known."""
    is_poisson, constant = header.get("POISSERR") is True, number(header, "STAT_ERR", 0.0)
    if constant > 0 and not is_poisson:
        return np.full(value.shape, constant)
    exposure = 1.0 if in_counts else number(header, "EXPOSURE", 0.0)
    if in_counts or (is_poisson and exposure > 0):
        return np.sqrt(np.maximum(value, 0) / exposure)
    return np.full(value.shape, np.nan)


# ---- columns


def check_columns(hdu: Any, role: str) -> None:
    """Refuse a table that can't be what it is taken for."""
    if missing := missing_columns(hdu, role):
        raise DecodingError(
            f"{printable(hdu.name or role, limit=60)} can't be the {role} of a spectrum of channels: it has no "
            f"{', '.join(missing)} of one number a row, only {listed(hdu.columns.names)}"
        )
    if role == "SPECTRUM":
        count_factors(hdu)


def has_column(hdu: Any, name: str) -> bool:
    """Whether a table has a column; column names of FITS have no case."""
    return name in (each.upper() for each in hdu.columns.names)


def unit_of(hdu: Any, name: str) -> u.UnitBase | None:
    """Unit of a column, or None where TUNIT says nothing that astropy knows."""
    unit = known_unit(hdu.columns[name].unit)
    return None if unit is None or unit == u.dimensionless_unscaled else unit


# ---- groups of channels, and a systematic error


@dataclass(frozen=True)
class SpectrumOptions:
    """The options ``group`` and ``systematic`` of `write_spectra`; `ParameterError` if they have no meaning."""

    group: float | None = None
    systematic: float | None = None

    def __post_init__(self) -> None:
        for option, value, most, allowed in (
            (
                "group",
                self.group,
                sys.float_info.max,
                "an int (counts) or a float (signal to noise) above 0",
            ),
            ("systematic", self.systematic, 1, "a fraction from 0 to 1 (0.01 is 1 %)"),
        ):
            is_number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
            if value is not None and not (is_number and 0 <= value <= most and (value or option != "group")):
                raise ParameterError(f"{option}={printable(repr(value), limit=80)} has no meaning; allowed: {allowed}")

    def check(self, spectra: Sequence[tuple[str, Any]]) -> None:
        """Refuse what none of the spectra (names and HDUs, or None) can take, and warn where some can't."""
        for option, value in {"group": self.group, "systematic": self.systematic}.items():
            if value is None:
                continue
            reasons: dict[str, list[str]] = {}
            for name, hdu in spectra:
                try:
                    with reading("spectrum"):
                        reasons.setdefault(self._obstacle(option, hdu and ChannelValues.of(hdu)), []).append(name)
                except DecodingError:  # it can't be written at all, which the manifest will say
                    continue
            text = "; ".join(f"{listed(names, most=10)}: {reason}" for reason, names in reasons.items() if reason)
            if text and "" not in reasons:
                raise ParameterError(f"{option}={value!r} can't be applied to any spectrum here. {text}")
            if text:
                warn(f"{option}={value!r} is left out of the spectrum of {text}", InputWarning)

    def _obstacle(self, option: str, values: ChannelValues | None) -> str:
        """Why an option can't be applied to a spectrum; empty if it can."""
        if values is None:
            return "it is not a spectrum of channels in counts or count rates, and is written as it came"
        if option == "group" and isinstance(self.group, Integral) and not values.in_counts:
            return f"it is in count rates; give the least signal to noise as a float, such as group={float(self.group)}"
        if option == "group" and not isinstance(self.group, Integral) and not values.has_errors:
            return "its rates have no errors (STAT_ERR); leave group= out"
        return ""

    def columns(self, values: ChannelValues, name: str) -> dict[str, np.ndarray]:
        """Columns of a spectrum that the options set."""
        found = {}
        if self.group is not None and not self._obstacle("group", values):
            found["GROUPING"], found["QUALITY"] = self._grouping(values)
            if _GOOD in values.quality and _GOOD not in found["QUALITY"]:
                text = f"no channels of {printable(name)} reach group={self.group!r}; all have QUALITY 2 (dubious)"
                warn(text, InputWarning)
        if self.systematic is not None:
            found["SYS_ERR"] = np.full(len(values.value), float(self.systematic))
        return found

    def _grouping(self, values: ChannelValues) -> tuple[np.ndarray, np.ndarray]:
        """Find GROUPING (1 opens a group, -1 continues it) and the QUALITY that goes with it (OGIP/92-007)."""
        grouping, quality = np.ones(len(values.value), dtype=np.int16), values.quality.copy()
        is_good, is_least_counts = quality == _GOOD, isinstance(self.group, Integral)
        first, signal, variance = 0, 0.0, 0.0
        for channel, good in enumerate(is_good):
            ends_here = True
            if good:
                grouping[channel] = 1 if channel == first else -1
                signal += values.value[channel]
                variance += values.error[channel] ** 2
                noise = 1.0 if is_least_counts else math.sqrt(variance)
                ends_here = noise > 0 and signal >= (self.group or 0) * noise
            else:  # a group can't step over a channel: what was begun stays incomplete
                quality[first:channel] = _DUBIOUS
            if ends_here:
                first, signal, variance = channel + 1, 0.0, 0.0
        quality[first:] = _DUBIOUS
        return grouping, quality
