# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Values as astronomers write them (units, coordinates, times) -> the strings that the service understands."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import BaseCoordinateFrame, SkyCoord
from astropy.table import Column, Table
from astropy.time import Time, TimeDelta

from .errors import ParameterError
from .parameters import Parameter, nearest
from .text import printable

__all__ = ["designation", "energy_pair", "parse_position", "sky_position", "time_pair", "to_time", "to_wire"]

#: None on the wire; an empty string or the word would mean something else (protocol: "None: the single character NUL")
NUL = "\x00"

_UNIT_NAMES = {"sec": "s", "str": None, "isot": None, "sigma": None}
_NUMBER = r"[+-]?\d+(?:\.\d*)?"
_DECIMAL_PAIR = re.compile(rf"({_NUMBER})\s*(?:d|deg|°)?[\s,]+({_NUMBER})\s*(?:d|deg|°)?")
_SEXAGESIMAL_PAIR = re.compile(
    r"\d{1,2}\s*[h:\s]\s*\d{1,2}\s*[m:\s]\s*\d+(?:\.\d*)?\s*s?\s*[,\s]?\s*"
    r"[+-]\s*\d{1,2}\s*[d:°\s]\s*\d{1,2}\s*[m:'\s]\s*\d+(?:\.\d*)?\s*[s\"]?"
    r"|\d+(?:\.\d*)?d\d{1,2}m\d+(?:\.\d*)?s\s+[+-]?\d+d\d{1,2}m\d+(?:\.\d*)?s"
)
_LETTERED_NUMBER = re.compile(r"\s*\d+(?:\.\d*)?h[\s\d.hms]*\s+[+-]?\d+(?:\.\d*)?[d°].*")
_SCIENCE_WINDOW = re.compile(r"\d{12}\.\d{3}")
_TRUE = {"true", "yes", "1"}
_FALSE = {"false", "no", "0"}


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
    try:
        return SkyCoord(coordinates).reshape(()).icrs
    except (ValueError, u.UnitsError, AttributeError) as error:
        raise ParameterError(f"coordinates can't be turned into ICRS: {printable(error)}.") from error


def designation(position: SkyCoord) -> str:
    """
    Name a nameless position ``Jhhmmss+ddmmss``.

    Digits are cut, not rounded, as the IAU's specifications for nomenclature ask
    (https://cdsweb.u-strasbg.fr/Dic/iau-spec.html).
    """
    # the tiny shift keeps 12:00:00, written with rounding errors as 11:59:59.99999, at 12:00:00
    seconds = int(position.ra.hourangle * 3600 + 1e-5) % 86400
    arcseconds = int(abs(position.dec.deg) * 3600 + 1e-5)
    sign = "-" if position.dec.deg < 0 else "+"
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
            time.precision = 3
            mjd = float(time.mjd)
    except (ValueError, TypeError, u.UnitsError, AttributeError) as error:
        raise ParameterError(
            f"{what}={printable(value, limit=100)!r} is no time: {printable(error, limit=200)}. Give a Time, an ISO text "
            "such as '2018-03-16T11:00:00' (UTC), or a number that is an MJD (UTC)."
        ) from error
    if not 0 <= mjd <= 200_000:  # years 1858 to 2406
        raise ParameterError(
            f"{what}={printable(value, limit=100)!r} would be MJD {mjd:.1f}. Numbers are taken as MJD; write other kinds of "
            "time as Time(value, format='jd'), for example."
        )
    return time


def _read_time(value: Any, format: str | None) -> Time:
    if isinstance(value, Time):
        if value.size != 1:
            raise ValueError(f"it holds {value.size} instants, one is needed")
        return value.reshape(())
    if isinstance(value, (bool, np.bool_)):
        raise TypeError("a truth value")
    if isinstance(value, str):
        text = value.strip()
        if format in (None, "isot", "iso"):
            return Time(float(text), format="mjd") if _is_number(text) else Time(text, scale="utc")
        value = float(text) if _is_number(text) else text
    elif format in ("isot", "iso"):
        format = "mjd"
    return Time(value, format=format or "mjd", scale="utc")


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
    if not first < last:
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
    bounds = [_quantity(bound, unit, what) for bound in _pair(energy_range, what, "(lower, upper)")]
    low, high = (_convert(bound, unit, what) for bound in bounds)
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


# ---- one parameter of any type


def to_wire(parameter: Parameter, value: Any, *, time_format: str | None = None) -> str:
    """
    Turn a value of a parameter into the text that goes over the wire.

    Parameters
    ----------
    parameter : Parameter
        What the service says of it: type, unit, limits, choices.
    value : object
        Number or text in the service's unit, Quantity, Time, list, dict, bool or None.
    time_format : str, optional
        Format of times given as text or number.

    Returns
    -------
    str

    Raises
    ------
    ParameterError
        Wrong type, unit, range or choice; the message tells what is allowed.
    """
    value = _plain(value)
    if value is None:
        if parameter.optional:
            return NUL
        raise ParameterError(f"{parameter.name}=None: the service needs a value{_hint(parameter)}.")
    if parameter.type == "time":
        return str(to_time(value, parameter.name, format=time_format).isot)
    text = _WRITERS[parameter.type](parameter, value)
    if parameter.type != "boolean":
        _check_choice(parameter, text)
    return text


def _plain(value: Any) -> Any:
    """Numpy scalars and zero-dimensional arrays as the Python values they stand for."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0 and type(value) is np.ndarray):
        return value.item()
    return value


def _write_float(parameter: Parameter, value: Any) -> str:
    number = _number(parameter, value)
    if not math.isfinite(number):
        raise ParameterError(f"{parameter.name}={number} is not finite{_hint(parameter)}.")
    _check_limits(parameter, number)
    return repr(number)


def _write_integer(parameter: Parameter, value: Any) -> str:
    number = _number(parameter, value)
    if not math.isfinite(number) or number != int(number):
        raise ParameterError(f"{parameter.name}={printable(value, limit=100)} must be a whole number{_hint(parameter)}.")
    _check_limits(parameter, number)
    # not through float, which would round beyond 2**53
    return str(int(value)) if isinstance(value, Integral) else str(int(number))


def _number(parameter: Parameter, value: Any) -> float:
    unit = service_unit(parameter)
    if isinstance(value, TimeDelta):
        value = value.to(u.s)
    if isinstance(value, bool) or not isinstance(value, (str, Real, u.Quantity)):
        raise ParameterError(
            f"{parameter.name}={printable(value, limit=100)!r} must be a number or a Quantity{_hint(parameter)}; "
            f"not a {type(value).__name__}."
        )
    if unit is not None:
        return _convert(_quantity(value, unit, parameter.name), unit, parameter.name)
    if isinstance(value, u.Quantity):
        try:
            return float(value.to_value(u.dimensionless_unscaled))
        except (u.UnitsError, TypeError, ValueError) as error:
            raise ParameterError(f"{parameter.name}={value}: the service knows no unit for it; give a number.") from error
    try:
        return float(value)
    except ValueError as error:
        raise ParameterError(f"{parameter.name}={printable(value)!r} is no number{_hint(parameter)}.") from error


def _write_boolean(parameter: Parameter, value: Any) -> str:
    word = str(value).lower()
    if word in _TRUE:
        return "True"
    if word in _FALSE:
        return "False"
    raise ParameterError(f"{parameter.name}={printable(value)!r} must be True or False.")


def _write_string(parameter: Parameter, value: Any) -> str:
    if isinstance(value, (str, Real)):
        return str(value)
    raise ParameterError(f"{parameter.name} must be a text, not a {type(value).__name__}{_hint(parameter)}.")


def _write_list(parameter: Parameter, value: Any) -> str:
    items = science_windows(value) if parameter.name == "scw_list" else _items(value)
    if any("," in item for item in items):
        raise ParameterError(f"{parameter.name}: an entry with a comma in it would be split by the service.")
    return ",".join(items)


def _write_structured(parameter: Parameter, value: Any) -> str:
    try:
        plain = json.loads(value) if isinstance(value, str) else value
        if isinstance(plain, tuple):
            plain = list(plain)
        if isinstance(plain, (dict, list)):
            return json.dumps(plain, default=_json_value)
    except (ValueError, TypeError, RecursionError) as error:
        raise ParameterError(f"{parameter.name} can't be written as JSON: {printable(error)}.") from error
    raise ParameterError(f"{parameter.name} must be a dict, a list, or the JSON text of one.")


def _json_value(value: Any) -> Any:
    """Arrays and numpy scalars within a structure."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _write_catalog(parameter: Parameter, value: Any) -> str:
    return _write_structured(parameter, value)


def _refuse_file(parameter: Parameter, value: Any) -> str:
    raise ParameterError(f"{parameter.name} takes a file, and this version of the package does not upload files yet.")


_WRITERS = {
    "float": _write_float,
    "angle": _write_float,
    "energy": _write_float,
    "duration": _write_float,
    "integer": _write_integer,
    "boolean": _write_boolean,
    "string": _write_string,
    "list": _write_list,
    "structured": _write_structured,
    "catalog": _write_catalog,
    "file": _refuse_file,
}


def science_windows(value: Any) -> list[str]:
    """
    Read a list of INTEGRAL science windows.

    Parameters
    ----------
    value : str, list, Column or Table
        Identifiers ``ddddddddpppp.vvv``: text with commas or blanks between them, a sequence, a column; or a Table
        with columns ``scw_id`` and ``scw_ver`` in any case.

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
        items = _items(value)
    wrong = [item for item in items if not _SCIENCE_WINDOW.fullmatch(item)]
    if wrong:
        raise ParameterError(
            f"scw_list: {printable(wrong[0])!r} is no science window; they look like '066500220010.001' "
            "(twelve digits, a point, three digits of the version)."
        )
    return items


def _items(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.replace(",", " ").split()
    if isinstance(value, (Column, np.ndarray)):
        value = value.tolist()
    if not isinstance(value, Iterable) or isinstance(value, (bytes, dict)):
        raise ParameterError(f"A list is needed, not a {type(value).__name__}.")
    return [item.decode() if isinstance(item, bytes) else str(item).strip() for item in value]


# ---- numbers with units


def service_unit(parameter: Parameter) -> u.UnitBase | None:
    """Unit of a parameter's bare numbers, or None where the service gives none that astropy knows."""
    name = _UNIT_NAMES.get(parameter.units or "str", parameter.units)
    if name is None:
        return None
    unit = u.Unit(name, parse_strict="silent")
    return None if isinstance(unit, u.UnrecognizedUnit) else unit


def _quantity(value: Any, unit: u.UnitBase, what: str) -> u.Quantity:
    """A number, text or Quantity as a scalar Quantity; what bears no unit is in ``unit``."""
    if isinstance(value, bool):
        raise ParameterError(f"{what}={value} must be a number or a Quantity, as in 5*u.Unit('{unit}').")
    try:
        if isinstance(value, str) and _is_number(value.strip()):
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


def _convert(quantity: u.Quantity, unit: u.UnitBase, what: str) -> float:
    try:
        if quantity.unit == unit:  # exactly as given, not divided by one
            return float(quantity.value)
        with np.errstate(divide="ignore"):
            return float(quantity.to_value(unit, equivalencies=u.spectral() if unit.is_equivalent(u.eV) else []))
    except (u.UnitsError, TypeError, ValueError) as error:
        raise ParameterError(
            f"{what}={printable(quantity)} has the wrong unit: the service takes {unit}, so anything equivalent to it."
        ) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_limits(parameter: Parameter, number: float) -> None:
    low = -math.inf if parameter.minimum is None else float(parameter.minimum)
    high = math.inf if parameter.maximum is None else float(parameter.maximum)
    if not low <= number <= high:
        raise ParameterError(f"{parameter.name}={number:g} is out of range{_hint(parameter)}.")


def _check_choice(parameter: Parameter, text: str) -> None:
    choices = [str(choice) for choice in parameter.enforced_choices]
    if choices and text not in choices and not _equal_number(text, choices):
        listing = ", ".join(printable(choice) for choice in choices)
        raise ParameterError(
            f"{parameter.name}={printable(text)!r} is not among the choices{nearest(text, choices)}: {listing}."
        )


def _equal_number(text: str, choices: list[str]) -> bool:
    return _is_number(text) and any(_is_number(choice) and float(choice) == float(text) for choice in choices)


def _hint(parameter: Parameter) -> str:
    """What is allowed, in brackets."""
    words = [f"type {parameter.type}"]
    unit = service_unit(parameter)
    if unit is not None:
        words.append(f"in {unit}")
    if parameter.minimum is not None:
        words.append(f"at least {parameter.minimum:g}")
    if parameter.maximum is not None:
        words.append(f"at most {parameter.maximum:g}")
    words.append(f"default {printable(parameter.default, limit=60)}")
    return f" ({', '.join(words)})"
