# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The value of one parameter -> the text that goes over the wire, checked against what the service says of it."""

from __future__ import annotations

import json
import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from astropy import units as u
from astropy.time import TimeDelta

from ..config import conf
from ..errors import ParameterError
from ..files import read_plain
from ..protocol import NUL, Upload
from ..text import Pasted, printable
from .constants import literal
from .metadata import Parameter, nearest
from .values import as_quantity, convert, is_number, list_items, plain_float, science_windows, service_unit, to_time

__all__ = ["is_address", "to_wire"]

_TRUE = {"true", "yes", "1"}
_FALSE = {"false", "no", "0"}


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
    if parameter.type not in ("boolean", "file"):
        _check_choice(parameter, text)
    return text


def _plain(value: Any) -> Any:
    """Numpy scalars and zero-dimensional arrays as the Python values they stand for."""
    if isinstance(value, np.floating):
        return plain_float(value)
    if isinstance(value, np.generic) or (
        isinstance(value, np.ndarray) and value.ndim == 0 and type(value) is np.ndarray
    ):
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
        raise ParameterError(
            f"{parameter.name}={printable(value, limit=100)} must be a whole number{_hint(parameter)}."
        )
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
        return convert(as_quantity(value, unit, parameter.name), unit, parameter.name)
    if isinstance(value, u.Quantity):
        try:
            return float(value.to_value(u.dimensionless_unscaled))
        except (u.UnitsError, TypeError, ValueError) as error:
            raise ParameterError(
                f"{parameter.name}={value}: the service knows no unit for it; give a number."
            ) from error
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise ParameterError(f"{parameter.name}={printable(value)!r} is not a number{_hint(parameter)}.") from error


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
    items = science_windows(value) if parameter.name == "scw_list" else list_items(value)
    if any("," in item for item in items):
        raise ParameterError(f"{parameter.name}: an entry with a comma in it would be split by the service.")
    return ",".join(items)


def _write_structured(parameter: Parameter, value: Any) -> str:
    try:
        plain = _from_text(value) if isinstance(value, str) else value
        if isinstance(plain, tuple):
            plain = list(plain)
        if isinstance(plain, (dict, list)):
            return json.dumps(plain, default=_json_value)
    except (ValueError, TypeError, RecursionError) as error:
        raise ParameterError(f"{parameter.name} can't be written as JSON: {printable(error)}.") from error
    raise ParameterError(f"{parameter.name} must be a dict, a list, or the JSON text of one.")


def _from_text(text: str) -> Any:
    """What a text of JSON means; the service's snippets mix it with Python's words."""
    try:
        return json.loads(text)
    except ValueError as error:
        try:
            return literal(text)
        except ValueError:
            raise error from None


def _json_value(value: Any) -> Any:
    """Arrays and numpy scalars within a structure."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def _write_catalog(parameter: Parameter, value: Any) -> str:
    return _write_structured(parameter, value)


def is_address(value: object) -> TypeGuard[str]:
    """Whether a value of a file parameter is an address, which the service fetches itself, and not a file here."""
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _write_file(parameter: Parameter, value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return Upload(f"{parameter.name}.dat", bytes(value))
    if is_address(value):
        return str(value)  # the service fetches it itself
    if isinstance(value, str) and value == parameter.default and not os.path.exists(value):
        return value  # a file of the service's own
    if isinstance(value, Pasted):
        raise ParameterError(
            f"{parameter.name}={printable(value)!r} came from a snippet, a link or a record, which never name files to "
            f"be uploaded. If you want this file to be sent, give it yourself: {parameter.name}=Path(...)."
        )
    if not isinstance(value, (str, Path)):
        raise ParameterError(
            f"{parameter.name} takes a file: a path, bytes, or an address; not a {type(value).__name__}."
        )
    path = Path(value)
    try:
        path = path.expanduser()
        return Upload(path.name, read_plain(path, limit=int(conf.max_product_size), links=True))
    except OSError as error:
        raise ParameterError(f"{parameter.name}={printable(path)!r} can't be read: {error.strerror}.") from error
    except (ValueError, RuntimeError) as error:  # a NUL in it, or the home of nobody
        raise ParameterError(
            f"{parameter.name}={printable(value)!r} is not a valid path: {printable(error)}."
        ) from error


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
    "file": _write_file,
}


# in the service's units, which checks none of these; angles in deg
_IMPLIED_LIMITS = {"RA": (-360.0, 360.0), "DEC": (-90.0, 90.0), "max_pointings": (1.0, math.inf)}
_LARGEST_RADIUS = 180.0
_POSITIVE = frozenset({"radius", "time_bin", "E1_keV", "E2_keV"})


def _check_limits(parameter: Parameter, number: float) -> None:
    low, high = _limits(parameter)
    if parameter.name in _POSITIVE and number <= 0:
        raise ParameterError(f"{parameter.name}={number:g} must be larger than zero{_hint(parameter)}.")
    if not low <= number <= high:
        raise ParameterError(f"{parameter.name}={number:.12g} is out of range{_hint(parameter)}.")


def _largest_radius(unit: u.UnitBase | None) -> float:
    if unit is None or unit == u.deg:
        return _LARGEST_RADIUS
    return float((_LARGEST_RADIUS * u.deg).to_value(unit)) if unit.is_equivalent(u.deg) else math.inf


def _limits(parameter: Parameter) -> tuple[float, float]:
    """What the service says, or what the meaning of the parameter implies."""
    low, high = _IMPLIED_LIMITS.get(parameter.name, (-math.inf, math.inf))
    if parameter.type == "angle" and parameter.name.lower().endswith("radius"):
        low, high = 0.0, _largest_radius(service_unit(parameter))
    low = low if parameter.minimum is None else float(parameter.minimum)
    return low, high if parameter.maximum is None else float(parameter.maximum)


def _check_choice(parameter: Parameter, text: str) -> None:
    choices = [str(choice) for choice in parameter.enforced_choices]
    if choices and text not in choices and not _equal_number(text, choices):
        listing = ", ".join(printable(choice) for choice in choices)
        raise ParameterError(
            f"{parameter.name}={printable(text)!r} is not among the choices{nearest(text, choices)}: {listing}."
        )


def _equal_number(text: str, choices: list[str]) -> bool:
    return is_number(text) and any(is_number(choice) and float(choice) == float(text) for choice in choices)


def _hint(parameter: Parameter) -> str:
    """What is allowed, in brackets."""
    words = [f"type {parameter.type}"]
    unit = service_unit(parameter)
    if unit is not None:
        words.append(f"in {unit}")
    low, high = _limits(parameter)
    words += [f"at least {low:g}"] if math.isfinite(low) else []
    words += [f"at most {high:g}"] if math.isfinite(high) else []
    words.append(f"default {printable(parameter.default, limit=60)}")
    return f" ({', '.join(words)})"
