# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Values as astronomers write them: positions, times, energies, science windows, numbers with units."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import BaseCoordinateFrame, SkyCoord, SphericalRepresentation, UnitSphericalRepresentation
from astropy.time import ScaleValueError, Time, TimeDelta
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..text import printable
from ..units import known_unit
from .metadata import Parameter
from .positions import POSITION_FORMS, parse_position

# a number of days has this much noise in its last digit
_MILLISECOND_NOISE = 2e-5
_LATEST_MJD = 200_000  # the year 2406
_NO_UNITS = frozenset({"str", "isot", "sigma"})
_DIGITS = 12  # significant ones of a converted number: more would be the noise of the conversion
_NUMBER_WITH_UNIT = re.compile(r"\s*([-+]?[\d.]*(?:[eE][-+]?\d+)?)\s*(.*?)\s*", re.DOTALL)
_OFFSET = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s*[+-]\d\d:?\d\d$")
_MJD_WORD = re.compile(r"^MJD\s*[:=]?\s*", re.IGNORECASE)


# ---- positions


def sky_position(coordinates: Any) -> SkyCoord:
    """Position in ICRS of a SkyCoord, or of a pair of numbers in degrees, Quantities or texts."""
    if not isinstance(coordinates, (SkyCoord, BaseCoordinateFrame)):
        coordinates = _position_of_pair(coordinates)
    if coordinates.size != 1:
        raise ParameterError(f"coordinates holds {coordinates.size} positions; a query is about one.")
    try:
        position = coordinates
        if not (isinstance(position, SkyCoord) and position.name == "icrs" and not position.shape):
            position = SkyCoord(coordinates).reshape(()).icrs
        finite = all(np.isfinite(in_degrees(position)))
    except (ValueError, u.UnitsError, AttributeError, TypeError) as error:
        raise ParameterError(f"coordinates can't be turned into ICRS: {printable(error)}.") from error
    if not finite:
        raise ParameterError("coordinates are not finite, or masked.")
    return position


def _position_of_pair(pair: Any) -> SkyCoord:
    """Position of a right ascension and a declination that are given beside each other."""
    is_row = isinstance(pair, (tuple, list)) or (isinstance(pair, np.ndarray) and pair.ndim == 1)
    items = list(pair) if is_row else []
    if len(items) != 2:
        raise ParameterError(
            f"coordinates must be a SkyCoord, a text with a position, the name of an object, or a pair of numbers in "
            f"degrees; not a {type(pair).__name__}."
        )
    if all(isinstance(item, str) for item in items):
        position = parse_position(f"{items[0]}, {items[1]}")
        if position is not None:
            return position
    try:
        if any(isinstance(item, (str, bool, np.bool_)) for item in items):
            raise TypeError("both must be numbers in degrees, or texts")
        longitude, latitude = (float(u.Quantity(item, u.deg).value) for item in items)
        if not (abs(longitude) <= 360 and abs(latitude) <= 90):
            raise ValueError("beyond 360 and 90 degrees")
        return SkyCoord(longitude, latitude, unit="deg")
    except (TypeError, ValueError, OverflowError, u.UnitsError) as error:
        raise ParameterError(
            f"coordinates={printable(pair, limit=100)}: not a valid position ({printable(error, limit=150)}). "
            f"{POSITION_FORMS}."
        ) from error


def in_degrees(position: SkyCoord) -> tuple[float, float]:
    """Longitude and latitude of one position; much quicker than its attributes, which make new objects."""
    data = position.data
    if not isinstance(data, UnitSphericalRepresentation | SphericalRepresentation):
        data = position.spherical
    longitude = float(data.lon.deg)
    return longitude + 360.0 * (longitude < 0), float(data.lat.deg)


def designation(position: SkyCoord) -> str:
    """Name of a nameless position, ``Jhhmmss+ddmmss``."""
    # digits are cut, not rounded, as the IAU's specifications for nomenclature ask
    # (https://cdsweb.u-strasbg.fr/Dic/iau-spec.html)
    # the tiny shift keeps 12:00:00, written with rounding errors as 11:59:59.99999, at 12:00:00
    ra, dec = in_degrees(position)
    seconds, arcseconds = int(ra * 240 + 1e-5) % 86400, int(abs(dec) * 3600 + 1e-5)
    digits = [f"{value // 3600:02d}{value // 60 % 60:02d}{value % 60:02d}" for value in (seconds, arcseconds)]
    return f"J{digits[0]}{'-' if dec < 0 else '+'}{digits[1]}"


# ---- times


def to_time(value: Any, what: str, *, format: str | None = None) -> Time:
    """One instant as a Time in UTC with milliseconds; numbers are MJD unless ``format`` says otherwise."""
    try:
        with _years_of_unknown_leap_seconds():
            time = _read_time(value, format).utc
            mjd = float(time.jd1 - 2_400_000.5 + time.jd2)
            if not 0 <= mjd <= _LATEST_MJD:
                raise ParameterError(
                    f"{what}={printable(value, limit=100)!r} would be MJD {mjd:.1f}. Numbers are taken as MJD; write "
                    "other kinds of time as Time(value, format='jd'), for example."
                )
            time.precision = 3
            lost = 0.0
            milliseconds = float(time.jd2) * 86_400_000
            if abs(milliseconds - round(milliseconds)) > _MILLISECOND_NOISE * 1000:  # maybe a day with a leap second
                lost = abs(float((Time(time.isot, format="isot", scale="utc") - time).to_value(u.s)))
            _ = time.isot  # astropy remembers the text, and would warn again where it is needed
    except (ValueError, TypeError, u.UnitsError, AttributeError, ScaleValueError) as error:
        if isinstance(error, ParameterError):
            raise
        # astropy may only say all that it tried
        detail = (
            "" if re.search("did not match|input", str(error), re.IGNORECASE) else f" ({printable(error, limit=200)})"
        )
        raise ParameterError(
            f"{what}={printable(value, limit=100)!r}: not a valid time{detail}. Give a Time, an ISO text such "
            "as '2018-03-16T11:00:00' (UTC), a datetime, or a number that is an MJD (UTC)."
        ) from error
    if lost > _MILLISECOND_NOISE:
        warn(f"{what}: the service takes milliseconds, so {lost * 1e3:.3g} ms are rounded away.", InputWarning)
    return time


@contextmanager
def _years_of_unknown_leap_seconds() -> Iterator[None]:
    """Without ERFA's warning of a "dubious year", which means before 1960 or some years from now."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        yield


def _read_time(value: Any, format: str | None) -> Time:
    if isinstance(value, Time):
        if value.size != 1:
            raise ValueError(f"it holds {value.size} instants, one is needed")
        return value.reshape(())
    if isinstance(value, (bool, np.bool_, timedelta, np.timedelta64)) or np.ndim(value):
        raise TypeError(f"a {type(value).__name__}, where one instant is needed")
    if isinstance(value, (date, np.datetime64)):
        if value != value:
            raise ValueError("NaT")
        if isinstance(value, np.datetime64):
            value = value.astype("datetime64[ns]")
        elif not isinstance(value, datetime):
            value = datetime.combine(value, datetime.min.time())
        return Time(value, scale="utc")
    if isinstance(value, str):
        return _time_of_text(value.strip(), format)
    return Time(value, format="mjd" if format in (None, "isot", "iso") else format, scale="utc")


@lru_cache(256)  # the queries of a survey share their times
def _time_of_text(text: str, format: str | None) -> Time:
    if format in (None, "isot", "iso"):
        text, format = _MJD_WORD.sub("", text), None
        if _OFFSET.search(text):
            return Time(datetime.fromisoformat(text), scale="utc")
    if is_number(text):
        return Time(float(text), format=format or "mjd", scale="utc")
    return Time(text.removesuffix("Z"), format=format, scale="utc")


def time_pair(time_range: Any, what: str = "time_range") -> tuple[Time, Time]:
    """Begin and end, from such a pair or from a centre and half of the length."""
    begin, end = _pair(time_range, what, "(begin, end) or (centre, TimeDelta)")
    if isinstance(end, np.timedelta64):
        end = end.astype("timedelta64[ns]").astype(float) * u.ns
    if isinstance(end, (TimeDelta, timedelta)) or (isinstance(end, u.Quantity) and end.unit.is_equivalent(u.s)):
        centre, half = to_time(begin, what), TimeDelta(end)
        with _years_of_unknown_leap_seconds():
            begin, end = centre - half, centre + half
    first, last = to_time(begin, what), to_time(end, what)
    if not (last.jd1 - first.jd1) + (last.jd2 - first.jd2) > 0:  # both are in UTC
        raise ParameterError(f"{what} runs from {first.isot} to {last.isot}: the end must come after the begin.")
    return first, last


# ---- energies


def energy_pair(energy_range: Any, unit: u.UnitBase, what: str = "energy_range") -> tuple[float, float]:
    """Bounds of an energy band as numbers in ``unit``, in which bare numbers are; wavelengths in either order."""
    bounds = [as_quantity(bound, unit, what) for bound in _pair(energy_range, what, "(lower, upper)")]
    low, high = (convert(bound, unit, what) for bound in bounds)
    if bounds[0].unit.is_equivalent(u.m) and bounds[1].unit.is_equivalent(u.m):
        low, high = sorted((low, high))
    if not 0 <= low < high:
        raise ParameterError(
            f"{what} runs from {printable(bounds[0])} to {printable(bounds[1])}: the lower bound must come "
            f"first and be smaller, as in (20, 40)*u.keV."
        )
    return low, high


def _pair(value: Any, what: str, shape: str) -> tuple[Any, Any]:
    items = first_items(value, 3)
    if len(items) != 2:
        raise ParameterError(f"{what}={printable(value, limit=100)!r} must be a pair {shape}.")
    return items[0], items[1]


def first_items(value: Any, most: int) -> list[Any]:
    """Items of an ordered collection, of more than so many the first; none of anything else."""
    try:
        # a text has characters, not bounds, and a set has no order
        return [] if isinstance(value, (str, bytes, Mapping, Set)) else list(islice(value, most))
    except TypeError:  # also of a scalar Time, Quantity or array, which look like collections
        return []


# ---- numbers with units


def service_unit(parameter: Parameter) -> u.UnitBase | None:
    """Unit of a parameter's bare numbers, or None where the service gives none that astropy knows."""
    return None if parameter.units in _NO_UNITS else known_unit(parameter.units)


def as_quantity(value: Any, unit: u.UnitBase, what: str) -> u.Quantity:
    """Scalar Quantity of a number, text or Quantity; what bears no unit is in ``unit``."""
    if isinstance(value, bool):
        raise ParameterError(f"{what}={value} must be a number or a Quantity, as in 5*u.Unit('{unit}').")
    try:
        if isinstance(value, str):
            number, word = _NUMBER_WITH_UNIT.fullmatch(value).groups()  # type: ignore[union-attr]
            given = known_unit(word) if word else unit
            if given is None:
                raise ValueError(f"unknown unit {word!r}")
            quantity = u.Quantity(float(number), given)
        else:
            quantity = u.Quantity(value, None if isinstance(value, u.Quantity) else unit)
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(
            f"{what}={printable(value, limit=100)!r} is not a number with a unit ({printable(error, limit=200)}). "
            f"The service's unit is {unit}."
        ) from error
    if quantity.size != 1:
        raise ParameterError(f"{what} must be one value, not {quantity.size}.")
    return quantity.reshape(())


def convert(quantity: u.Quantity, unit: u.UnitBase, what: str) -> float:
    """
    Number of a Quantity in another unit; energies also from frequencies and wavelengths.

    A converted number is rounded to 12 significant digits: 15 keV given in GeV are 15 keV again.
    """
    try:
        if quantity.unit == unit:  # exactly as given, not divided by one
            return plain_float(quantity.value)
        with np.errstate(divide="ignore"):
            number = float(quantity.to_value(unit, equivalencies=u.spectral() if unit.is_equivalent(u.eV) else []))
        return float(f"{number:.{_DIGITS}g}")
    except (u.UnitsError, TypeError, ValueError) as error:
        raise ParameterError(
            f"{what}={printable(quantity)} has the wrong unit: give {unit} or anything equivalent to it."
        ) from error


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
