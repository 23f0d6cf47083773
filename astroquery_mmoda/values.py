# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Values as astronomers write them: positions, times, energies, science windows, numbers with units."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import BaseCoordinateFrame, SkyCoord, SphericalRepresentation, UnitSphericalRepresentation
from astropy.table import Column, Table
from astropy.time import Time, TimeDelta
from astroquery.exceptions import InputWarning

from .errors import ParameterError, warn
from .parameters import Parameter
from .text import printable
from .units import known_unit

__all__ = [
    "as_quantity",
    "convert",
    "designation",
    "energy_pair",
    "in_degrees",
    "is_number",
    "list_items",
    "parse_position",
    "science_windows",
    "service_unit",
    "sky_position",
    "time_pair",
    "to_time",
]

_LONGEST_PATH = 1000
# a number of days has this much noise in its last digit
_MILLISECOND_NOISE = 2e-5
_LATEST_MJD = 200_000  # the year 2406
_NO_UNITS = frozenset({"str", "isot", "sigma"})
_NUMBER = r"[+-]?\d+(?:\.\d*)?"
_DECIMAL_PAIR = re.compile(rf"({_NUMBER})\s*(?:d|deg|°)?[\s,]+({_NUMBER})\s*(?:d|deg|°)?")
_SEXAGESIMAL_PAIR = re.compile(
    r"\d{1,2}\s*[h:\s]\s*\d{1,2}\s*[m:\s]\s*\d+(?:\.\d*)?\s*s?\s*[,\s]?\s*"
    r"[+-]\s*\d{1,2}\s*[d:°\s]\s*\d{1,2}\s*[m:'\s]\s*\d+(?:\.\d*)?\s*[s\"]?"
    r"|\d+(?:\.\d*)?d\d{1,2}m\d+(?:\.\d*)?s\s+[+-]?\d+d\d{1,2}m\d+(?:\.\d*)?s"
)
_LETTERED_NUMBER = re.compile(r"\s*\d+(?:\.\d*)?h[\s\d.hms]*\s+[+-]?\d+(?:\.\d*)?[d°].*")
_SCIENCE_WINDOW = re.compile(r"\d{12}\.\d{3}")


# ---- positions


def parse_position(text: str) -> SkyCoord | None:
    """
    Read a position written as text.

    Parameters
    ----------
    text : str
        A pair of decimal degrees (``"83.63 22.01"``), or right ascension and declination in sexagesimal form
        (``"5h34m31.9s +22d00m52s"``, ``"05:34:31.9 +22:00:52"``), ICRS.

    Returns
    -------
    SkyCoord or None
        None if the text is no position, so that it may be the name of an object.

    Raises
    ------
    ParameterError
        The text has the form of a position but is none, such as 75 minutes.
    """
    stripped = text.strip()
    try:
        decimal = _DECIMAL_PAIR.fullmatch(stripped)
        if decimal:
            return SkyCoord(float(decimal[1]), float(decimal[2]), unit="deg")
        if _SEXAGESIMAL_PAIR.fullmatch(stripped) or _LETTERED_NUMBER.fullmatch(stripped):
            unit = "deg" if re.match(r"\d+(?:\.\d*)?d", stripped) else (u.hourangle, u.deg)
            return SkyCoord(stripped, unit=unit)
    except ValueError as error:
        raise ParameterError(
            f"coordinates={printable(text)!r} is no position on the sky: {printable(error, limit=200)}. Write decimal "
            "degrees ('83.63 22.01') or sexagesimal hours and degrees ('5h34m31.9s +22d00m52s'), or give a SkyCoord."
        ) from error
    return None


def sky_position(coordinates: Any) -> SkyCoord:
    """
    Bring one position on the sky into ICRS.

    Raises
    ------
    ParameterError
        Not a position, or more than one.
    """
    if not isinstance(coordinates, (SkyCoord, BaseCoordinateFrame)):
        raise ParameterError(
            f"coordinates must be a SkyCoord, a text with a position, or the name of an object; not a "
            f"{type(coordinates).__name__}."
        )
    if coordinates.size != 1:
        raise ParameterError(f"coordinates holds {coordinates.size} positions; a query is about one.")
    if isinstance(coordinates, SkyCoord) and coordinates.name == "icrs" and not coordinates.shape:
        return coordinates
    try:
        return SkyCoord(coordinates).reshape(()).icrs
    except (ValueError, u.UnitsError, AttributeError) as error:
        raise ParameterError(f"coordinates can't be turned into ICRS: {printable(error)}.") from error


def in_degrees(position: SkyCoord) -> tuple[float, float]:
    """Longitude and latitude of one position; much quicker than its attributes, which make new objects."""
    data = position.data
    if not isinstance(data, UnitSphericalRepresentation | SphericalRepresentation):
        data = position.spherical
    longitude = float(data.lon.deg)
    return longitude + 360.0 * (longitude < 0), float(data.lat.deg)


def designation(position: SkyCoord) -> str:
    """
    Name a nameless position ``Jhhmmss+ddmmss``.

    Digits are cut, not rounded, as the IAU's specifications for nomenclature ask
    (https://cdsweb.u-strasbg.fr/Dic/iau-spec.html).
    """
    # the tiny shift keeps 12:00:00, written with rounding errors as 11:59:59.99999, at 12:00:00
    ra, dec = in_degrees(position)
    seconds = int(ra * 240 + 1e-5) % 86400
    arcseconds = int(abs(dec) * 3600 + 1e-5)
    sign = "-" if dec < 0 else "+"
    return f"J{_sexagesimal(seconds)}{sign}{_sexagesimal(arcseconds)}"


def _sexagesimal(seconds: int) -> str:
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


# ---- times


def to_time(value: Any, what: str, *, format: str | None = None) -> Time:
    """
    Read one instant.

    Parameters
    ----------
    value : Time, str or number
        Text is ISO 8601 in UTC, or a number; numbers are MJD (UTC) unless ``format`` says otherwise.
    what : str
        Name of the argument, for messages.
    format : str, optional
        Any time format of astropy.

    Returns
    -------
    Time
        Scalar, in UTC, shown to the millisecond.

    Raises
    ------
    ParameterError
        It can't be read as a time, or is far from any that an instrument saw.
    """
    try:
        with warnings.catch_warnings():
            # "dubious year": leap seconds before 1960 or in the future are nobody's concern here
            warnings.filterwarnings("ignore", message=".*dubious year.*")
            time = _read_time(value, format).utc
            mjd = float(time.jd1 - 2_400_000.5 + time.jd2)
            lost = _below_milliseconds(time) if 0 <= mjd <= _LATEST_MJD else 0.0
    except (ValueError, TypeError, u.UnitsError, AttributeError) as error:
        raise ParameterError(
            f"{what}={printable(value, limit=100)!r} is no time{_detail(error)}. Give a Time, an ISO text such as "
            "'2018-03-16T11:00:00' (UTC), or a number that is an MJD (UTC)."
        ) from error
    if lost > _MILLISECOND_NOISE:
        warn(
            f"{what}: the service takes milliseconds, so {lost * 1e3:.3g} ms are rounded away.",
            InputWarning,
        )
    if not 0 <= mjd <= _LATEST_MJD:
        raise ParameterError(
            f"{what}={printable(value, limit=100)!r} would be MJD {mjd:.1f}. Numbers are taken as MJD; write "
            "other kinds of time as Time(value, format='jd'), for example."
        )
    return time


def _below_milliseconds(time: Time) -> float:
    """Seconds by which an instant misses a whole millisecond; it is shown to the millisecond from then on."""
    if time.precision != 3:  # setting it makes astropy forget its texts
        time.precision = 3
    milliseconds = float(time.jd2) * 86_400_000
    if abs(milliseconds - round(milliseconds)) * 1e-3 <= _MILLISECOND_NOISE:
        return 0.0
    # it may be a day with a leap second, which only the slower text knows
    time.precision = 9
    nanoseconds = int(time.isot.rpartition(".")[2]) % 1_000_000
    time.precision = 3
    return min(nanoseconds, 1_000_000 - nanoseconds) * 1e-9


def _detail(error: Exception) -> str:
    """What is wrong with a time, unless astropy only tells all that it tried."""
    return "" if "did not match any" in str(error) else f": {printable(error, limit=200)}"


def _read_time(value: Any, format: str | None) -> Time:
    if isinstance(value, Time):
        if value.size != 1:
            raise ValueError(f"it holds {value.size} instants, one is needed")
        return value.reshape(())
    if isinstance(value, (bool, np.bool_)):
        raise TypeError("a truth value")
    if not isinstance(value, str) and np.ndim(value):
        raise TypeError(f"a {type(value).__name__}, where one instant is needed")
    return _known_time(value, format) if isinstance(value, (str, float)) else _new_time(value, format)


def _new_time(value: Any, format: str | None) -> Time:
    if isinstance(value, str):
        text = value.strip()
        if format in (None, "isot", "iso"):
            return Time(float(text), format="mjd") if is_number(text) else Time(text, scale="utc")
        value = float(text) if is_number(text) else text
    elif format in ("isot", "iso"):
        format = "mjd"
    return Time(value, format=format or "mjd", scale="utc")


# the queries of a survey share their times
_known_time = lru_cache(256)(_new_time)


def time_pair(time_range: Any, what: str = "time_range") -> tuple[Time, Time]:
    """
    Read a time range.

    Parameters
    ----------
    time_range : pair
        Begin and end as `~astropy.time.Time`, ISO text (UTC) or MJD (UTC); a Time array of two; or a centre and
        a `~astropy.time.TimeDelta` (or a Quantity of time) that reaches to both sides of it.
    what : str
        Name of the argument, for messages.

    Returns
    -------
    tuple of Time

    Raises
    ------
    ParameterError
        No pair, no times, or the end is not after the begin.
    """
    begin, end = _pair(time_range, what, "(begin, end) or (centre, TimeDelta)")
    if isinstance(end, TimeDelta) or (isinstance(end, u.Quantity) and end.unit.is_equivalent(u.s)):
        centre = to_time(begin, what)
        begin, end = centre - end, centre + end
    first, last = to_time(begin, what), to_time(end, what)
    if not (last.jd1 - first.jd1) + (last.jd2 - first.jd2) > 0:  # both are in UTC
        raise ParameterError(f"{what} runs from {first.isot} to {last.isot}: the end must come after the begin.")
    return first, last


# ---- energies


def energy_pair(energy_range: Any, unit: u.UnitBase, what: str = "energy_range") -> tuple[float, float]:
    """
    Read an energy band.

    Parameters
    ----------
    energy_range : pair
        Lower and upper bound: Quantities of energy, frequency or wavelength, texts with a unit, or numbers in
        ``unit``. A pair of wavelengths goes from short to long, so it is turned round.
    unit : Unit
        Unit of the result.
    what : str
        Name of the argument, for messages.

    Returns
    -------
    tuple of float

    Raises
    ------
    ParameterError
        No pair, no energies, or the larger one first.
    """
    bounds = [as_quantity(bound, unit, what) for bound in _pair(energy_range, what, "(lower, upper)")]
    low, high = (convert(bound, unit, what) for bound in bounds)
    if bounds[0].unit.is_equivalent(u.m) and bounds[1].unit.is_equivalent(u.m):
        low, high = high, low
    if not 0 <= low < high:
        raise ParameterError(
            f"{what} runs from {printable(energy_range[0])} to {printable(energy_range[1])}: the lower bound must come "
            f"first and be smaller, as in (20, 40)*u.keV."
        )
    return low, high


def _pair(value: Any, what: str, shape: str) -> tuple[Any, Any]:
    try:
        # a text has characters, not bounds
        items = [] if isinstance(value, (str, bytes, dict)) else list(value)
    except TypeError:
        items = []
    if len(items) != 2:
        raise ParameterError(f"{what}={printable(value, limit=100)!r} must be a pair {shape}.")
    return items[0], items[1]


# ---- science windows


def science_windows(value: Any) -> list[str]:
    """
    Read a list of INTEGRAL science windows.

    Parameters
    ----------
    value : str, Path, list, Column or Table
        Identifiers ``ddddddddpppp.vvv``: text with commas or blanks between them, the path of a file with such text,
        a sequence, a column; or a Table with columns ``scw_id`` and ``scw_ver`` in any case.

    Returns
    -------
    list of str

    Raises
    ------
    ParameterError
        An identifier has another form.
    """
    if isinstance(value, Table):
        names = {name.lower(): name for name in value.colnames}
        if not {"scw_id", "scw_ver"} <= set(names):
            raise ParameterError("A Table as scw_list needs the columns scw_id and scw_ver.")
        pairs = zip(value[names["scw_id"]], value[names["scw_ver"]], strict=True)
        items = [f"{str(window).strip()}.{str(version).strip().zfill(3)}" for window, version in pairs]
    else:
        items = list_items(_text_of_file(value))
    wrong = [item for item in items if not _SCIENCE_WINDOW.fullmatch(item)]
    if wrong:
        raise ParameterError(
            f"scw_list: {printable(wrong[0])!r} is no science window; they look like '066500220010.001' "
            "(twelve digits, a point, three digits of the version)."
        )
    return items


def _text_of_file(value: Any) -> Any:
    """Content of a file, if the value is the path of one."""
    if not isinstance(value, (str, Path)) or len(str(value)) > _LONGEST_PATH:
        return value
    path = Path(value).expanduser()
    try:
        if not path.is_file():
            return str(value)
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ParameterError(f"scw_list={printable(value)!r} can't be read: {printable(error)}.") from error
    # a comment may tell where the list is from
    return "\n".join(line.split("#")[0] for line in text.splitlines())


def list_items(value: Any) -> list[str]:
    """Items of a list however it is written: text with commas or blanks, a sequence, a column."""
    if isinstance(value, str):
        return value.replace(",", " ").split()
    if isinstance(value, (Column, np.ndarray)):
        value = value.tolist()
    # a set has no order, and another order is another analysis
    if not isinstance(value, Iterable) or isinstance(value, (bytes, dict, set, frozenset)):
        raise ParameterError(f"A list is needed, not a {type(value).__name__}.")
    return [item.decode() if isinstance(item, bytes) else str(item).strip() for item in value]


# ---- numbers with units


def service_unit(parameter: Parameter) -> u.UnitBase | None:
    """Unit of a parameter's bare numbers, or None where the service gives none that astropy knows."""
    return None if parameter.units in _NO_UNITS else known_unit(parameter.units)


def as_quantity(value: Any, unit: u.UnitBase, what: str) -> u.Quantity:
    """Scalar Quantity of a number, text or Quantity; what bears no unit is in ``unit``."""
    if isinstance(value, bool):
        raise ParameterError(f"{what}={value} must be a number or a Quantity, as in 5*u.Unit('{unit}').")
    try:
        if isinstance(value, str) and is_number(value.strip()):
            value = float(value)
        quantity = u.Quantity(value) if isinstance(value, (str, u.Quantity)) else u.Quantity(value, unit)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"{what}={printable(value, limit=100)!r} is no number with a unit: {printable(error, limit=200)}. "
            f"The service's unit is {unit}."
        ) from error
    if quantity.size != 1:
        raise ParameterError(f"{what} must be one value, not {quantity.size}.")
    return quantity.reshape(())


def convert(quantity: u.Quantity, unit: u.UnitBase, what: str) -> float:
    """Number of a Quantity in another unit; energies also from frequencies and wavelengths."""
    try:
        if quantity.unit == unit:  # exactly as given, not divided by one
            return float(quantity.value)
        with np.errstate(divide="ignore"):
            return float(quantity.to_value(unit, equivalencies=u.spectral() if unit.is_equivalent(u.eV) else []))
    except (u.UnitsError, TypeError, ValueError) as error:
        raise ParameterError(
            f"{what}={printable(quantity)} has the wrong unit: give {unit} or anything equivalent to it."
        ) from error


def is_number(text: str) -> bool:
    """Whether a text is a plain number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
