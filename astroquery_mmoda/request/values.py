# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Values as astronomers write them: times, energies, numbers with units."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Set
from datetime import date, datetime, timedelta
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle
from astropy.time import Time, TimeDelta
from erfa import ErfaWarning

from ..errors import ParameterError, valid
from ..instruments import IJD_ORIGIN, LAUNCH
from ..units import known_unit, refuse_unusual
from .metadata import Parameter

_TIME_FORMS = "Give a Time, an ISO text (UTC), a datetime, or a number that is an MJD (UTC)."
#: the year 2406
LATEST_MJD = 200_000
_NO_UNITS = frozenset({"str", "isot", "sigma"})
_NUMBER_WITH_UNIT = re.compile(r"\s*([-+]?[\d.]*(?:[eE][-+]?\d+)?)\s*((?:[^\d\s].*)?)", re.DOTALL)
_OFFSET = re.compile(r":\d\d(?:\.\d+)?\s*[+-]\d\d:?\d\d$")


# ---- times


def to_time(value: Any, what: str, *, format: str | None = None, after_launch: bool = False) -> Time:
    """
    One instant as a Time in UTC with milliseconds; numbers are MJD unless ``format`` says otherwise.

    ``after_launch`` refuses numbers of days before there was an INTEGRAL: they are INTEGRAL's own days.
    """
    format = None if format in ("isot", "iso", "mjd") else format
    with valid(what, value, "time", _TIME_FORMS), warnings.catch_warnings():
        # years of which leap seconds are not known
        warnings.simplefilter("ignore", ErfaWarning)
        time = _read_time(value, format).utc
        time.precision = 3
        if not 0 <= time.mjd <= LATEST_MJD:
            raise ValueError(f"it would be MJD {time.mjd:.1f}")
        time = Time(time.isot, scale="utc", precision=3)  # as it is sent
        _ = time.isot  # astropy remembers the text, and would warn again where it is needed
    is_bare = is_number(value) if isinstance(value, str) else isinstance(value, Real)
    if after_launch and is_bare and format is None and time.mjd < LAUNCH:
        if len(year := f"{float(value):g}") == 4 and year.startswith("20"):
            raise ParameterError(f"{what}={value!r}: numbers are MJD (UTC). For the year, give '{year}-01-01'.")
        raise ParameterError(
            f"The time {value} would be before INTEGRAL's launch (MJD {LAUNCH:g}): numbers are MJD (UTC). If it is in "
            f"INTEGRAL's own days (IJD = MJD - {IJD_ORIGIN:g}, TT), give Time({value} + {IJD_ORIGIN:g}, format='mjd', "
            "scale='tt')."
        )
    return time


def _read_time(value: Any, format: str | None) -> Time:
    if isinstance(value, Time):
        return value.reshape(())
    if isinstance(value, str):
        return _time_of_text(value.strip(), format)
    if isinstance(value, datetime):
        return Time(value, scale="utc")
    if isinstance(value, (date, np.datetime64)):
        moment = np.datetime64(str(value), "ns")
        if np.isnat(moment):
            raise ValueError("NaT")
        return Time(moment, scale="utc")
    # numpy counts its time spans among the whole numbers
    if not isinstance(value, (Real, u.Quantity)) or isinstance(value, (bool, np.timedelta64)):
        raise TypeError(f"a {type(value).__name__}")
    return Time(value, format=format or "mjd", scale="utc").reshape(())


@lru_cache(256)  # the queries of a survey share their times
def _time_of_text(text: str, format: str | None) -> Time:
    if _OFFSET.search(text):
        return Time(datetime.fromisoformat(text), scale="utc")
    if is_number(text):
        return Time(float(text), format=format or "mjd", scale="utc")
    return Time(text.removesuffix("Z"), scale="utc")


def time_pair(
    time_range: Any, what: str = "time_range", *, format: str | None = None, after_launch: bool = False
) -> tuple[Time, Time]:
    """Begin and end, from such a pair or from a centre and half of the length."""
    advice = "Give two times, such as ('2018-03-16', '2018-03-17')."
    begin, end = _pair(time_range, what, "pair (begin, end) or (centre, TimeDelta)", advice)
    if isinstance(end, (TimeDelta, timedelta)) or (isinstance(end, u.Quantity) and end.unit.is_equivalent(u.s)):
        with valid(what, time_range, "pair (centre, TimeDelta)"):
            centre, half = to_time(begin, what, format=format, after_launch=after_launch), TimeDelta(end)
            begin, end = centre - half, centre + half
    first, last = (to_time(time, what, format=format, after_launch=after_launch) for time in (begin, end))
    if not first < last:
        raise ParameterError(f"{what} runs from {first.isot} to {last.isot}: the end must come after the begin.")
    return first, last


# ---- energies


def energy_pair(energy_range: Any, unit: u.UnitBase, what: str = "energy_range") -> tuple[float, float]:
    """Bounds of an energy band as numbers in ``unit``, in which bare numbers are; wavelengths in either order."""
    advice = "Give (30, 80)*u.keV, or ('30 keV', '80 keV')."
    bounds = [as_quantity(bound, unit, what) for bound in _pair(energy_range, what, "pair (lower, upper)", advice)]
    low, high = (convert(bound, unit, what) for bound in bounds)
    if all(bound.unit.is_equivalent(u.m) for bound in bounds):
        low, high = sorted((low, high))
    if not 0 <= low < high:
        raise ParameterError(f"{what} runs from {bounds[0]} to {bounds[1]}: the lower bound must come first.")
    return low, high


def _pair(value: Any, what: str, wanted: str, advice: str) -> tuple[Any, Any]:
    with valid(what, value, wanted, advice):
        if isinstance(value, (str, bytes, Set, Mapping)):
            raise TypeError(f"a {type(value).__name__}")
        first, second = value
    return first, second


# ---- numbers with units


def service_unit(parameter: Parameter) -> u.UnitBase | None:
    """Unit in which the service takes a parameter; None if it is a plain number, or a format of times."""
    return None if parameter.units in _NO_UNITS else known_unit(parameter.units)


def as_quantity(value: Any, unit: u.UnitBase, what: str) -> u.Quantity:
    """One value as a Quantity; a number without a unit is in ``unit``."""
    with valid(what, value, "number or Quantity", f"The service's unit is {unit}." if str(unit) else ""):
        if isinstance(value, str):
            parts = _NUMBER_WITH_UNIT.fullmatch(value)
            given = (known_unit(parts[2]) if parts[2] else unit) if parts else None
            if parts is None or given is None or not is_number(parts[1]):
                raise ValueError("no number, or an unknown unit")
            return u.Quantity(float(parts[1]), given)
        if isinstance(value, TimeDelta):
            return value.to(u.s)
        refuse_unusual(value)
        return u.Quantity(value, None if isinstance(value, u.Quantity) else unit).reshape(())


def as_radius(radius: Any) -> float:
    """Radius of a region in degrees; a bare number is in degrees as well."""
    with valid("radius", radius, "angle", "Give 10*u.arcmin, or '10 arcmin'; 180 deg is the most."):
        degrees = float(Angle(radius, u.deg).deg)
        if not 0 < degrees <= 180:
            raise ValueError(f"{degrees:g} deg")
        return degrees


def convert(quantity: u.Quantity, unit: u.UnitBase, what: str) -> float:
    """Number of a Quantity in another unit, to 12 digits; energies also from frequencies and wavelengths."""
    with valid(what, quantity, f"quantity in {unit}" if str(unit) else "number without a unit"):
        if quantity.unit == unit:  # exactly as given, not divided by one
            return plain_float(quantity.value)
        with np.errstate(divide="ignore"):
            number = float(quantity.to_value(unit, equivalencies=u.spectral() if unit.is_equivalent(u.eV) else []))
        # more would be the noise of the conversion: 15 keV given in GeV are 15 keV again
        return float(f"{number:.12g}")


def plain_float(value: Any) -> float:
    """Float of a number, or of one of lower precision the float that has the same digits."""
    number = np.asarray(value)[()]
    return float(str(number)) if isinstance(number, np.floating) and number.itemsize < 8 else float(number)


def is_number(text: str) -> bool:
    """Whether a text is a plain number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
