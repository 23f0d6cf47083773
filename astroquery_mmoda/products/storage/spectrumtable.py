# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
One spectrum of an HDUList as ``query_spectrum`` returns it: which source, as a table, what was measured, and groups.

QUALITY and GROUPING of a channel are those of OGIP/92-007.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import InputWarning

from ...errors import DecodingError, ParameterError, reading, warn
from ...markup import show_rounded
from ...text import listed, original, printable
from ...units import known_unit
from ..cards import card_value, number
from ..channels import energy_rows
from ..fluxpoints import find_flux_hdu, flux_table, is_flux_hdu
from ..mergeable import mergeable
from ..sources import match_source
from ..spectrum import ROLES, missing_columns

#: QUALITY of a channel: good, or what marks one without a value, and one without a usable error
GOOD, MARKS = 0, (1, 5)
_BAD, _UNUSABLE = MARKS
_DUBIOUS = 2
_META = "EXPOSURE TELESCOP INSTRUME DETNAM FILTER TSTART TSTOP MJDREF TIMESYS RA_OBJ DEC_OBJ".split()


# ---- which source


def pick_sources(spectra: fits.HDUList, source: str | None = None) -> list[tuple[int, str]]:
    """Give EXTVER and name of each source, or of one; `ParameterError` if there is no such source."""
    if not isinstance(spectra, fits.HDUList):
        raise ParameterError(f"spectra are an HDUList as query_spectrum returns it, not {type(spectra).__name__}")
    headers = {hdu.ver: hdu.header for hdu in reversed([*spectra]) if hdu.name in ROLES}
    numbered = [
        (ver, original(str(header.get("SRC_NAME", ver)), str(header.get("SRCNAME8", ""))))
        for ver, header in sorted(headers.items())
    ]
    if source is None:
        return numbered
    products = _product_names(spectra)
    if isinstance(source, str) and source not in dict(numbered).values() and source in products.values():
        return [(ver, known) for ver, known in numbered if products.get(ver) == source]
    name = match_source([name for _, name in numbered], source)
    return [(ver, known) for ver, known in numbered if known == name]


def _product_names(spectra: fits.HDUList) -> dict[int, str]:
    """By EXTVER, of tables of flux points, of which one source may have several."""
    return {hdu.ver: str(hdu.header.get("ORIGNAME", "")) for hdu in spectra if is_flux_hdu(hdu)}


# ---- a spectrum as a table


def spectrum_table(spectra: fits.HDUList, source: str | None = None) -> Table:
    """
    One spectrum as a table: count rates per energy, or flux points.

    Parameters
    ----------
    spectra : `~astropy.io.fits.HDUList`
        As returned by ``query_spectrum``.
    source : str, optional
        Name of the source (case and blanks ignored); can be left out where there is only one spectrum. Of several
        tables of flux points of one source, the name of the product (ORIGNAME).

    Returns
    -------
    `~astropy.table.Table`
        ``e_min``, ``e_max`` (keV, from EBOUNDS, matched by the place of the channel: CHANNEL - TLMIN of each table),
        ``rate`` and ``error`` (ct / (s keV), statistical errors), and ``quality`` as in OGIP/92-007: 0 is good, 1 has
        no value, 5 has a value, but no error that is finite and above 0. Spectra in counts are divided by the
        exposure. ``meta`` is flat, with the keywords of the spectrum in capitals: ``SRC_NAME``, ``EXPOSURE`` (s),
        ``TELESCOP``, and so on.

        Of a table of flux points: ``energy``, ``e_min``, ``e_max`` in the unit of its axis, which may be one of
        frequency or wavelength (``energy`` is the geometric mean of the edges where the table has only these);
        ``value``, ``error_low``, ``error_high`` in the unit of the value; ``is_upper_limit``, where ``value`` is the
        limit. What is unknown is masked. ``meta`` has the service's names of axis and value (``AXISCOL``, ``VALCOL``).

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
        names = [name for _, name in sources]
        if len(set(names)) == 1:
            # several tables of flux points of one source
            names = [_product_names(spectra).get(ver, name) for ver, name in sources]
        raise ParameterError(f"one spectrum has to be named by source=; there are: {listed(names)}")
    ver, name = sources[0]
    flux_hdu = find_flux_hdu(spectra, ver)
    return channel_table(spectra, ver, name) if flux_hdu is None else flux_table(flux_hdu)


def channel_table(spectra: fits.HDUList, ver: int, name: str) -> Table:
    """Make the `spectrum_table` of a source as `pick_sources` gives it."""
    with reading(f"the spectrum of {printable(name)}"):
        if ("SPECTRUM", ver) not in spectra or ("EBOUNDS", ver) not in spectra:
            raise DecodingError("it came without a SPECTRUM, or without the energies of its channels (EBOUNDS)")
        hdu, bounds = spectra["SPECTRUM", ver], spectra["EBOUNDS", ver]
        values = ChannelValues.of(hdu)
        check_columns(bounds, "EBOUNDS")
        rows = energy_rows(hdu, bounds)
        if rows is None:
            raise DecodingError("it has channels that are missing in its EBOUNDS")
        table = Table()
        for column in ("e_min", "e_max"):
            energies = np.array(bounds.data[column], dtype=float)[rows]
            table[column] = energies * unit_factor(bounds, column, "keV") * u.keV
        exposure = number(hdu.header, "EXPOSURE", 0.0) if values.in_counts else 1.0
        if exposure <= 0:
            raise DecodingError("it is in counts and has no EXPOSURE to divide by")
        scale = 1 / (np.asarray(table["e_max"] - table["e_min"]) * exposure) * u.Unit("ct / (s keV)")
        table["rate"], table["error"] = values.value * scale, values.error * scale
        table["quality"] = values.quality.astype(np.int64)
        cards = {key: card_value(hdu.header, key) for key in _META}
        known = {key: value for key, value in cards.items() if value is not None}
        table.meta = mergeable({"SRC_NAME": name, **known})
        show_rounded(table, {"e_min": ".5g", "e_max": ".5g", "rate": ".4g", "error": ".3g"})
        return table


# ---- what was measured in each channel


@dataclass(frozen=True)
class ChannelValues:
    """What was measured in each channel: ``value`` and ``error`` are counts, or else rates."""

    value: np.ndarray
    error: np.ndarray
    quality: np.ndarray
    in_counts: bool

    @classmethod
    def of(cls, hdu: Any) -> ChannelValues:
        """Read a table, with the errors of Poisson, and flags, where it has none."""
        check_columns(hdu, "SPECTRUM")
        factors, unit = count_columns(hdu)
        in_counts = unit == "count"
        value, *errors = [np.array(hdu.data[name], dtype=float) * factor for name, factor in factors.items()]
        error = errors[0] if errors else _assumed_errors(value, hdu.header, in_counts=in_counts)
        quality = np.array(hdu.data["QUALITY"]) if has_column(hdu, "QUALITY") else number(hdu.header, "QUALITY", 0)
        quality = np.broadcast_to(np.int16(quality), value.shape).copy()
        quality[(quality == GOOD) & ~np.isfinite(value)] = _BAD
        if errors and not (in_counts and hdu.header.get("POISSERR") is True):
            usable = np.isfinite(error) & (error > 0)
            if in_counts:
                usable |= (value == 0) & (error == 0)  # as sqrt(N) has it
            quality[(quality == GOOD) & ~usable] = _UNUSABLE
        return cls(value, error, quality, in_counts)


def count_columns(hdu: Any) -> tuple[dict[str, float], str]:
    """
    Columns of the values and, if there is one, of their errors, with factors that make them counts or rates; the unit.

    Where there are both, HDUCLAS3 says which of them STAT_ERR belongs to.
    """
    states_counts = str(hdu.header.get("HDUCLAS3", "")).strip().upper().startswith("COUNT")
    in_counts = not has_column(hdu, "RATE") or (states_counts and has_column(hdu, "COUNTS"))
    name, unit = ("COUNTS", "count") if in_counts else ("RATE", "count/s")
    columns = [name, "STAT_ERR"] if has_column(hdu, "STAT_ERR") else [name]
    return {column: unit_factor(hdu, column, unit, like=name) for column in columns}, unit


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
        count_columns(hdu)  # units of another kind are refused there


def has_column(hdu: Any, name: str) -> bool:
    """Whether a table has a column; column names of FITS have no case."""
    return name in (each.upper() for each in hdu.columns.names)


def unit_factor(hdu: Any, column: str, wanted: str, *, like: str = "") -> float:
    """Factor from the unit of a column, or of one ``like`` it, to another; a column without a known unit is in it."""
    text = hdu.columns[column].unit or (hdu.columns[like].unit if like else None)
    given = known_unit(text)
    if given is None or given == u.dimensionless_unscaled:
        return 1.0
    for unit in (given, given * u.ct):  # 1/s is meant for counts, too
        if unit.is_equivalent(wanted):
            return float(unit.to(wanted))
    raise DecodingError(f"{column} is in {printable(text, limit=40)}, not in {wanted} or the like")


# ---- groups of channels, and a systematic error


class SpectrumOptions:
    """The options ``group`` and ``systematic`` of `write_spectra`, and which spectra can't take them."""

    def __init__(self, group: float | None, systematic: float | None) -> None:
        if group is not None and not (_is_number(group) and 0 < group < math.inf):
            allowed = "an int (counts) or a float (signal to noise) above 0"
            raise ParameterError(f"group={printable(repr(group), limit=80)} has no meaning; allowed: {allowed}")
        if systematic is not None and not (_is_number(systematic) and 0 <= systematic <= 1):
            allowed = "a fraction from 0 to 1 (0.01 is 1 %)"
            raise ParameterError(
                f"systematic={printable(repr(systematic), limit=80)} has no meaning; allowed: {allowed}"
            )
        options = {"group": group, "systematic": systematic}
        self.given = {option: value for option, value in options.items() if value is not None}
        self._taken: set[str] = set()
        self._refused: dict[str, list[str]] = {option: [] for option in self.given}

    def refuse(self, name: str, reason: str, *options: str) -> None:
        """Note that a spectrum can't take some options, or any."""
        for option in options or self.given:
            self._refused[option].append(f"{name}: {reason}")

    def report(self) -> None:
        """Refuse what none of the spectra could take, and warn where some could not."""
        for option, value in self.given.items():
            text = "; ".join(self._refused[option])
            if text and option not in self._taken:
                raise ParameterError(f"{option}={value!r} can't be applied to any spectrum here. {text}")
            if text:
                warn(f"{option}={value!r} is left out of the spectrum of {text}", InputWarning)

    def columns(self, values: ChannelValues, name: str) -> dict[str, np.ndarray]:
        """Columns of a spectrum that the options set."""
        found, group = {}, self.given.get("group")
        if isinstance(group, Integral) and not values.in_counts:
            reason = f"it is in count rates; give the least signal to noise as a float, such as group={float(group)}"
            self.refuse(name, reason, "group")
        elif group is not None and not np.isfinite(values.error).any():
            self.refuse(name, "its rates have no errors (STAT_ERR); leave group= out", "group")
        elif group is not None:
            self._taken.add("group")
            found["GROUPING"], found["QUALITY"] = _grouping(values, group)
            if GOOD in values.quality and GOOD not in found["QUALITY"]:
                text = f"no channels of {printable(name)} reach group={group!r}; all have QUALITY 2 (dubious)"
                warn(text, InputWarning)
        if "systematic" in self.given:
            self._taken.add("systematic")
            found["SYS_ERR"] = np.full(len(values.value), float(self.given["systematic"]))
        return found


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _grouping(values: ChannelValues, group: float) -> tuple[np.ndarray, np.ndarray]:
    """Find GROUPING (1 opens a group, -1 continues it) and the QUALITY that goes with it (OGIP/92-007)."""
    grouping, quality = np.ones(len(values.value), dtype=np.int16), values.quality.copy()
    is_good, is_least_counts = quality == GOOD, isinstance(group, Integral)
    first, signal, variance = 0, 0.0, 0.0
    for channel, good in enumerate(is_good):
        ends_here = True
        if good:
            grouping[channel] = 1 if channel == first else -1
            signal += values.value[channel]
            variance += values.error[channel] ** 2
            noise = 1.0 if is_least_counts else math.sqrt(variance)
            ends_here = noise > 0 and signal >= group * noise
        else:  # a group can't step over a channel: what was begun stays incomplete
            quality[first:channel] = _DUBIOUS
        if ends_here:
            first, signal, variance = channel + 1, 0.0, 0.0
    quality[first:] = _DUBIOUS
    return grouping, quality
