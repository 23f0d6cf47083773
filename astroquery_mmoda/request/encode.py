# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The value of one parameter -> the text that is sent, checked against what the service says of it."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from astropy import units as u
from astropy.table import MaskedColumn, Table
from astroquery.exceptions import InputWarning

from ..config import conf
from ..errors import ParameterError, valid, warn
from ..files import read_plain
from ..protocol import NUL, Upload
from ..text import Pasted, listed, nearest, printable
from .expressions import literal_value
from .metadata import BOOLEANS, Parameter
from .values import as_quantity, convert, is_number, plain_float, service_unit, to_time

_LONGEST_PATH = 1000
_WINDOW = re.compile(r"(?<!\d)\d{12}\.\d{3}(?!\d)")
_WINDOW_FORMS = (
    "Give texts of twelve digits, a point and the version (066500220010.001), or a Table with scw_id and scw_ver."
)


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
    if str(value).lower() not in BOOLEANS:
        raise ValueError("True or False is needed")
    return BOOLEANS[str(value).lower()]


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


# ---- science windows, and other lists


def science_windows(value: Any) -> list[str]:
    """INTEGRAL's science windows ``ddddddddpppp.vvv`` of a text, file, sequence or Table, each once and in order."""
    with valid("scw_list", value, "list of science windows", _WINDOW_FORMS):
        if isinstance(value, Table):
            items = _windows_of_table(value)
        elif isinstance(value, (str, Path)):
            lines = _text_or_file(value).lstrip("\ufeff").splitlines()
            items = list_items("\n".join(line.split("#")[0] for line in lines))
        else:
            items = list_items(value)
        is_default = isinstance(value, (list, tuple)) or (isinstance(value, str) and not value.strip("[]() "))
        if not items and not is_default:
            raise ValueError("it is empty; without windows the service would choose by position and time")
        windows = list(dict.fromkeys(map(_window, items)))
        _require_one_version(windows)
    if repeated := len(items) - len(windows):
        warn(f"scw_list: science windows that came more than once are sent once ({repeated} left out).", InputWarning)
    return windows


def _require_one_version(windows: Sequence[str]) -> None:
    """Near real-time and final data of a window are one observation, which would count twice."""
    versions = Counter(window[:12] for window in windows)
    if twice := sorted(window for window in windows if versions[window[:12]] > 1):
        raise ParameterError(
            f"scw_list: two versions of the same science window: {listed(twice, most=6)}. Keep one version of each."
        )


def _window(item: str) -> str:
    """The identifier in an item: alone, or in a path of OSA's archive such as scw/0665/066500220010.001/swg.fits[1]."""
    identifiers = set(_WINDOW.findall(item))
    if len(identifiers) != 1 or not (item in identifiers or "/" in item or "[" in item):
        version = ": it has no version" if re.fullmatch(r"\d{11,12}", item) else ""
        raise ParameterError(f"scw_list: not a valid science window: {printable(item)!r}{version}. {_WINDOW_FORMS}")
    return str(identifiers.pop())


def _windows_of_table(table: Table) -> list[str]:
    """Identifiers of a Table; its integers have lost their zeros, and some lists have the version in both columns."""
    columns = {name.lower(): table[name] for name in table.colnames}
    identifiers = _digits(columns["scw_id"], 12)
    own, given = [name.partition(".")[2] for name in identifiers], columns.get("scw_ver")
    if not all(own):
        versions = _digits(columns["scw_ver"], 3)
        return [f"{number}.{version}" for number, version in zip(identifiers, versions, strict=True)]
    if given is not None and not np.any(getattr(given, "mask", False)) and own != _digits(given, 3):
        raise ValueError("versions in scw_id and scw_ver differ")
    return identifiers


def _digits(column: Any, digits: int) -> list[str]:
    """Texts without blanks, with the zeros that numbers have lost."""
    array, mask = np.asarray(column), np.asarray(getattr(column, "mask", False))
    if array.dtype.kind == "f":
        mask = mask | np.isnan(array)  # as other libraries have what is missing
        array = np.where(mask, 0, array)
        if np.any((np.trunc(array) != array) | (np.abs(array) > 2.0 ** np.finfo(array.dtype).nmant)):
            raise ValueError("numbers must be whole, and have all of their digits")
        array = array.astype(int)
    return [item.zfill(digits) for item in list_items(MaskedColumn(array, mask=mask))]


def _text_or_file(value: str | Path) -> str:
    """Text of a file, if the value is the path of one, else the value."""
    text = str(value)
    if isinstance(value, Pasted) or len(text) > _LONGEST_PATH or "\n" in text:
        return text
    path = Path(value).expanduser()
    try:
        is_file = path.is_file()
    except OSError:  # a list of more than 255 letters can't be a name
        is_file = False
    return path.read_text(encoding="utf-8") if is_file else text


def list_items(value: Any) -> list[str]:
    """Items of a sequence, a column, or a text with commas or blanks, also in Python's brackets."""
    if isinstance(value, str):
        text = value.strip()
        # as list_parameters shows a default, and as Python shows a list
        brackets = text[:1] + text[-1:] in ("[]", "()")
        items = (text[1:-1] if brackets else text).replace(",", " ").split()
        return [item.strip("'\" ") for item in items] if brackets else items
    # a set has no order, and another order is another analysis
    if isinstance(value, (bytes, dict, set, frozenset)):
        raise TypeError(f"a list is needed, not a {type(value).__name__}")
    masked = np.flatnonzero(np.asarray(getattr(value, "mask", False)))
    if len(masked):
        raise ValueError(f"it is masked in row {listed(map(str, masked), most=5)}")
    # masked arrays take long for each item
    items = value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind in "SUiu" else value
    return [(item.decode() if isinstance(item, bytes) else str(item)).strip() for item in items]


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
