# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The value of one parameter -> the text that is sent, checked against what the service says of it."""

from __future__ import annotations

import json
import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from astropy import units as u

from ..config import conf
from ..errors import ParameterError
from ..files import read_plain
from ..protocol import NUL, Upload
from ..text import Pasted, nearest, printable
from .expressions import literal_value
from .metadata import Parameter
from .values import as_quantity, convert, is_number, plain_float, service_unit, to_time, valid
from .windows import list_items, science_windows

_BOOLEANS = {**dict.fromkeys(("true", "yes", "1"), "True"), **dict.fromkeys(("false", "no", "0"), "False")}


def to_wire(parameter: Parameter, value: Any, *, time_format: str | None = None) -> str:
    """Text that a value is sent as; `ParameterError` if its type, unit or range is not what the service requires."""
    if isinstance(value, np.floating):
        value = plain_float(value)
    elif isinstance(value, np.generic) or (type(value) is np.ndarray and value.ndim == 0):
        value = value.item()
    if value is None and parameter.optional:
        return NUL
    if parameter.type == "time":
        return str(to_time(value, parameter.name, format=time_format).isot)
    with valid(parameter.name, value, "value", f"Needed: {_allowed(parameter)}."):
        if value is None:
            raise ValueError("the service needs one")
        text = _WRITERS[parameter.type](parameter, value)
    if parameter.type not in ("boolean", "file"):
        _check_choice(parameter, text)
    return text


# these may raise anything; `to_wire` names the parameter and what is allowed


def _write_number(parameter: Parameter, value: Any) -> str:
    unit = service_unit(parameter) or u.dimensionless_unscaled
    number = convert(as_quantity(value, unit, parameter.name), unit, parameter.name)
    low, high = _limits(parameter)
    if not math.isfinite(number):
        raise ValueError("it must be finite")
    if not low <= number <= high or (parameter.name in _POSITIVE and number == 0):
        raise ValueError(f"{number:.12g} is out of range")
    if parameter.type != "integer":
        return repr(number)
    if number != int(number):
        raise ValueError("it must be a whole number")
    return str(int(value if isinstance(value, Integral) else number))  # floats round beyond 2**53


def _write_boolean(parameter: Parameter, value: Any) -> str:
    if str(value).lower() not in _BOOLEANS:
        raise ValueError("True or False is needed")
    return _BOOLEANS[str(value).lower()]


def _write_string(parameter: Parameter, value: Any) -> str:
    if not isinstance(value, (str, Real)):
        raise TypeError(f"a text is needed, not a {type(value).__name__}")
    return str(value)


def _write_list(parameter: Parameter, value: Any) -> str:
    items = science_windows(value) if parameter.name == "scw_list" else list_items(value)
    if any("," in item for item in items):
        raise ValueError("an entry with a comma in it would be split by the service")
    return ",".join(items)


def _write_structured(parameter: Parameter, value: Any) -> str:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:  # the service's snippets mix it with Python's words
            value = literal_value(value)
    if not isinstance(value, (dict, list, tuple)):
        raise TypeError("a dict, a list, or the JSON text of one is needed")
    return json.dumps(value, default=_numpy_value)


def _numpy_value(value: Any) -> Any:
    return value.tolist()  # of numpy


def is_address(value: object) -> TypeGuard[str]:
    """Whether a value of a file parameter is an address, which the service fetches itself, and not a file here."""
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _write_upload(parameter: Parameter, value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return Upload(f"{parameter.name}.dat", bytes(value))
    if is_address(value) or (isinstance(value, str) and value == parameter.default and not os.path.exists(value)):
        return value  # the default is a file of the service's own
    if isinstance(value, Pasted):
        raise ParameterError(
            f"{parameter.name}={printable(value)!r} came from a snippet, a link or a record, which never name files to "
            f"be uploaded. If you want this file to be sent, pass it explicitly: {parameter.name}=Path(...)."
        )
    path = Path(value).expanduser()
    return Upload(path.name, read_plain(path, limit=int(conf.max_product_size), links=True))


_WRITERS = {
    **dict.fromkeys(("float", "angle", "energy", "duration", "integer"), _write_number),
    **dict.fromkeys(("structured", "catalog"), _write_structured),
    "boolean": _write_boolean,
    "string": _write_string,
    "list": _write_list,
    "file": _write_upload,
}

# ---- what is allowed

_POSITIVE = ("radius", "time_bin", "E1_keV", "E2_keV")
# in the service's units, which checks none of these; angles in deg
_IMPLIED_LIMITS = {
    "RA": (-360.0, 360.0),
    "DEC": (-90.0, 90.0),
    "max_pointings": (1.0, math.inf),
    **dict.fromkeys(_POSITIVE, (0.0, math.inf)),
}


def _limits(parameter: Parameter) -> tuple[float, float]:
    """What the service says, or what the meaning of the parameter implies."""
    low, high = _IMPLIED_LIMITS.get(parameter.name, (-math.inf, math.inf))
    if parameter.type == "angle" and parameter.name.lower().endswith("radius"):
        low, high = 0.0, float((180 * u.deg).to_value(service_unit(parameter) or u.deg))
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


def _allowed(parameter: Parameter) -> str:
    unit, (low, high) = service_unit(parameter), _limits(parameter)
    words = [
        f"type {parameter.type}",
        f"in {unit}" if unit is not None else "",
        f"at least {low:g}" if math.isfinite(low) else "",
        f"at most {high:g}" if math.isfinite(high) else "",
        f"default {printable(parameter.default, limit=60)}",
    ]
    return ", ".join(filter(None, words))
