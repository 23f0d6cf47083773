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
from ..text import Pasted, nearest, printable
from .expressions import literal_value
from .metadata import Parameter
from .values import as_quantity, convert, is_number, plain_float, service_unit, to_time
from .windows import list_items, science_windows

_BOOLEANS = {**dict.fromkeys(("true", "yes", "1"), "True"), **dict.fromkeys(("false", "no", "0"), "False")}


def to_wire(parameter: Parameter, value: Any, *, time_format: str | None = None) -> str:
    """
    Text that a value is sent as, checked against what the service says of its parameter.

    Numbers and texts are in the service's unit, times in ``time_format``. `ParameterError` for a wrong type, unit,
    range or choice; the message names what is allowed.
    """
    value = _python_value(value)
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


def _python_value(value: Any) -> Any:
    """Numpy scalars and zero-dimensional arrays as the Python values they stand for."""
    if isinstance(value, np.floating):
        return plain_float(value)
    if isinstance(value, np.generic) or (
        isinstance(value, np.ndarray) and value.ndim == 0 and type(value) is np.ndarray
    ):
        return value.item()
    return value


def _write_number(parameter: Parameter, value: Any) -> str:
    name, number = parameter.name, _number(parameter, value)
    whole = parameter.type == "integer"
    if not math.isfinite(number) or (whole and number != int(number)):
        what = "whole" if whole else "finite"
        raise ParameterError(f"{name}={printable(value, limit=100)} must be a {what} number{_hint(parameter)}.")
    if name in _POSITIVE and number <= 0:
        raise ParameterError(f"{name}={number:g} must be larger than zero{_hint(parameter)}.")
    low, high = _limits(parameter)
    if not low <= number <= high:
        raise ParameterError(f"{name}={number:.12g} is out of range{_hint(parameter)}.")
    if whole:  # not through float, which would round beyond 2**53
        return str(int(value if isinstance(value, Integral) else number))
    return repr(number)


def _number(parameter: Parameter, value: Any) -> float:
    name, unit = parameter.name, service_unit(parameter)
    if isinstance(value, bool) or not isinstance(value, (str, Real, u.Quantity, TimeDelta)):
        raise ParameterError(
            f"{name}={printable(value, limit=100)!r} must be a number or a Quantity{_hint(parameter)}; "
            f"not a {type(value).__name__}."
        )
    if isinstance(value, TimeDelta):
        value = value.to(u.s)
    if unit is not None:
        return convert(as_quantity(value, unit, name), unit, name)
    try:
        return float(value.to_value(u.dimensionless_unscaled) if isinstance(value, u.Quantity) else value)
    except u.UnitsError as error:
        raise ParameterError(f"{name}={value}: the service knows no unit for it; give a number.") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(f"{name}={printable(value)!r} is not a number{_hint(parameter)}.") from error


def _write_boolean(parameter: Parameter, value: Any) -> str:
    word = str(value).lower()
    if word not in _BOOLEANS:
        raise ParameterError(f"{parameter.name}={printable(value)!r} must be True or False.")
    return _BOOLEANS[word]


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
        if isinstance(plain, (dict, list, tuple)):
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
            return literal_value(text)
        except ValueError:
            raise error from None


def _json_value(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def is_address(value: object) -> TypeGuard[str]:
    """Whether a value of a file parameter is an address, which the service fetches itself, and not a file here."""
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _write_file(parameter: Parameter, value: Any) -> str:
    name = parameter.name
    if isinstance(value, (bytes, bytearray)):
        return Upload(f"{name}.dat", bytes(value))
    if is_address(value):
        return value
    if isinstance(value, str) and value == parameter.default and not os.path.exists(value):
        return value  # a file of the service's own
    if isinstance(value, Pasted):
        raise ParameterError(
            f"{name}={printable(value)!r} came from a snippet, a link or a record, which never name files to be "
            f"uploaded. If you want this file to be sent, give it yourself: {name}=Path(...)."
        )
    if not isinstance(value, (str, Path)):
        raise ParameterError(f"{name} takes a file: a path, bytes, or an address; not a {type(value).__name__}.")
    try:
        path = Path(value).expanduser()
        return Upload(path.name, read_plain(path, limit=int(conf.max_product_size), links=True))
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in it, or the home of nobody
        reason = getattr(error, "strerror", None) or printable(error)
        raise ParameterError(f"{name}={printable(value)!r} can't be read: {reason}.") from error


_WRITERS = {
    **dict.fromkeys(("float", "angle", "energy", "duration", "integer"), _write_number),
    **dict.fromkeys(("structured", "catalog"), _write_structured),
    "boolean": _write_boolean,
    "string": _write_string,
    "list": _write_list,
    "file": _write_file,
}

# ---- what is allowed

# in the service's units, which checks none of these; angles in deg
_IMPLIED_LIMITS = {"RA": (-360.0, 360.0), "DEC": (-90.0, 90.0), "max_pointings": (1.0, math.inf)}
_LARGEST_RADIUS = 180 * u.deg
_POSITIVE = ("radius", "time_bin", "E1_keV", "E2_keV")


def _limits(parameter: Parameter) -> tuple[float, float]:
    """What the service says, or what the meaning of the parameter implies."""
    low, high = _IMPLIED_LIMITS.get(parameter.name, (-math.inf, math.inf))
    if parameter.type == "angle" and parameter.name.lower().endswith("radius"):
        unit = service_unit(parameter) or u.deg
        low, high = 0.0, float(_LARGEST_RADIUS.to_value(unit)) if unit.is_equivalent(u.deg) else math.inf
    return (
        low if parameter.minimum is None else parameter.minimum,
        high if parameter.maximum is None else parameter.maximum,
    )


def _check_choice(parameter: Parameter, text: str) -> None:
    choices = [str(choice) for choice in parameter.enforced_choices]
    number = float(text) if is_number(text) else None
    if choices and text not in choices and number not in [float(choice) for choice in choices if is_number(choice)]:
        raise ParameterError(
            f"{parameter.name}={printable(text)!r} is not among the choices{nearest(text, choices)}: "
            f"{', '.join(map(printable, choices))}."
        )


def _hint(parameter: Parameter) -> str:
    """What is allowed, in brackets."""
    unit, (low, high) = service_unit(parameter), _limits(parameter)
    words = [
        f"type {parameter.type}",
        f"in {unit}" if unit is not None else "",
        f"at least {low:g}" if math.isfinite(low) else "",
        f"at most {high:g}" if math.isfinite(high) else "",
        f"default {printable(parameter.default, limit=60)}",
    ]
    return f" ({', '.join(filter(None, words))})"
