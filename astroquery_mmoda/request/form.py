# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""A query -> the fields of its form; nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from astropy import units as u
from astropy.time import Time
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..instruments import INTEGRAL
from ..protocol import FORMAT_FIELDS, IGNORED_FIELDS, OWN_FIELDS, PROTOCOL_VERSION, SWITCHES
from ..text import nearest, printable
from .encode import to_wire
from .metadata import InstrumentSchema, Parameter, expected_names
from .positions import designation, in_degrees, sky_position
from .query import Query
from .values import as_quantity, energy_pair, service_unit, time_pair

# argument -> the service's parameters that it stands for
_STANDS_FOR = {
    "coordinates": ("RA", "DEC"),
    "time_range": ("T1", "T2"),
    "energy_range": ("E1_keV", "E2_keV"),
    "time_bin": ("time_bin",),
    "radius": ("radius",),
    "scw_list": ("scw_list",),
    "catalog": ("selected_catalog",),
}
# None for one of these means that it is not given, whatever the service's default is
_NONE_IS_NOTHING = ("src_name", "user_catalog", "product_type", *FORMAT_FIELDS)
_BIN_UNITS = {"sec": u.s, "jd": u.day}
_NOTHING = Parameter("")


def form_fields(
    schema: InstrumentSchema,
    product: str,
    query: Query,
    *,
    name: str | None = None,
    also_known: Callable[[], Iterable[str]] = tuple,
) -> dict[str, str]:
    """Fields of the form of a query, whose coordinates are a position (of an object of that name)."""
    # `also_known` gives further names that the service accepts without describing them (api/par-names)
    known = schema.products[product]
    raw = {
        name: value
        for name, value in (query.parameters or {}).items()
        if name not in IGNORED_FIELDS and not _is_not_given(known, name, value)
    }
    query_type = str(raw.pop("product_type", query.query_type)).strip()  # its old meaning in oda_api's calls
    if query_type not in ("Real", "Dummy"):
        raise ParameterError(f"query_type={printable(query_type)!r} must be 'Real', or 'Dummy' for canned data.")
    _check_names(known, query, raw, f"{product} of instrument {schema.instrument!r}", also_known)
    time_format, bin_format = _taken_formats(raw)
    values = _values_of_arguments(known, query, name) | raw
    times = partial(time_pair, format=time_format, after_launch=schema.instrument in INTEGRAL)
    values |= _bounds(known, raw, ("T1", "T2"), query.time_range, times)
    energies = partial(energy_pair, unit=service_unit(known.get("E1_keV", _NOTHING)) or u.keV)
    values |= _bounds(known, raw, ("E1_keV", "E2_keV"), query.energy_range, energies)
    fields = {"T_format": "isot"} if any(name in known and known[name].type == "time" for name in values) else {}
    if "time_bin" in values and bin_format is not None:
        values["time_bin"] = as_quantity(values["time_bin"], _BIN_UNITS[bin_format], "time_bin")
    if "time_bin" in values and "time_bin_format" in known:
        fields["time_bin_format"] = "sec"
    for name, value in values.items():
        # a switch is True or False
        parameter = known.get(name) or Parameter(name, default=True if name in SWITCHES else None)
        fields[name] = to_wire(parameter, value, time_format=time_format)
    fields |= _explicit_defaults(known, fields, product)
    return {
        "instrument": schema.instrument,
        "product_type": product,
        "query_type": query_type,
        "query_status": "new",
        "api": "True",
        "oda_api_version": PROTOCOL_VERSION,
        **fields,
    }


def _taken_formats(raw: dict[str, Any]) -> tuple[str | None, str | None]:
    """Take the formats of raw times and widths of bins out of the raw parameters; None where not given."""
    time_format, bin_format = (str(raw.pop(name)).strip().lower() if name in raw else None for name in FORMAT_FIELDS)
    if time_format is not None and time_format not in Time.FORMATS:
        guess = nearest(time_format, Time.FORMATS)
        raise ParameterError(f"T_format={printable(time_format)!r} is not a time format{guess}.")
    if bin_format is not None and bin_format not in _BIN_UNITS:
        raise ParameterError(f"time_bin_format={printable(bin_format)!r} must be 'sec', or 'jd' for days.")
    return time_format, bin_format


def _is_not_given(known: Mapping[str, Parameter], name: str, value: Any) -> bool:
    """Whether a value says that none is given: None where that is the default, or the empty text that stands for it."""
    if value is None and name in _NONE_IS_NOTHING:
        return True
    nothing = value is None or (isinstance(value, str) and not value)
    return nothing and name in known and known[name].default is None


# ---- names


def _check_names(
    known: Mapping[str, Parameter],
    query: Query,
    raw: Mapping[str, Any],
    where: str,
    also_known: Callable[[], Iterable[str]],
) -> None:
    """Refuse what is given twice, has no meaning for a product, or is not known."""
    for argument, names in _STANDS_FOR.items():
        if getattr(query, argument) is None:
            continue
        missing = [name for name in names if name not in known]
        if missing:
            raise ParameterError(f"{argument}= has no meaning for {where}: it has no parameter {' or '.join(missing)}.")
        for name in (*names, "T_format") if argument == "time_range" else names:
            if name in raw:
                raise ParameterError(f"{argument}= and {name!r} say the same thing; give one of them.")
    accepted = {*known, *SWITCHES, *FORMAT_FIELDS}
    if not accepted.issuperset(raw):
        accepted |= set(also_known())
    for name in raw:
        if name not in accepted or name in OWN_FIELDS:
            valid = sorted(parameter.name for parameter in known.values() if not parameter.hidden)
            arguments = [argument for argument, names in _STANDS_FOR.items() if all(each in known for each in names)]
            ours = {each for argument in arguments for each in _STANDS_FOR[argument]}
            offered = [*arguments, *(each for each in valid if each not in ours)]
            raise ParameterError(
                f"Unknown parameter {printable(name)!r} for {where}"
                f"{nearest(name, [*valid, *_STANDS_FOR])}. It takes: {', '.join(offered)}."
            )


# ---- values


def _values_of_arguments(known: Mapping[str, Parameter], query: Query, name: str | None) -> dict[str, Any]:
    """What the arguments of the query methods mean, by the service's names; without the ranges."""
    values = {names[0]: getattr(query, argument) for argument, names in _STANDS_FOR.items() if len(names) == 1}
    values = {key: value for key, value in values.items() if value is not None and not _is_not_given(known, key, value)}
    if query.coordinates is not None:
        position = sky_position(query.coordinates)
        # a micro-arcsecond; what is below comes from changing frames, and would make another job of the same place
        values |= {key: round(angle, 9) + 0.0 for key, angle in zip(("RA", "DEC"), in_degrees(position), strict=True)}
        if "src_name" in known:
            values["src_name"] = name or designation(position)
    return values


def _bounds(
    known: Mapping[str, Parameter],
    raw: Mapping[str, Any],
    names: tuple[str, str],
    argument: Any,
    read: Callable[..., tuple[Any, Any]],
) -> dict[str, Any]:
    """Bounds of a range by its argument or the service's names; one that is not given is its default, and not sent."""
    if argument is not None:
        return dict(zip(names, read(argument), strict=True))
    given = [name for name in names if name in raw]
    if not given or not all(name in known for name in names):
        return {}
    pair = read([raw[name] if name in raw else known[name].default for name in names], what=", ".join(names))
    return {name: bound for name, bound in zip(names, pair, strict=True) if name in given}


def _explicit_defaults(known: Mapping[str, Parameter], fields: Mapping[str, str], product: str) -> dict[str, str]:
    """Position and times that the service would choose silently, with a warning."""
    wanted = expected_names(known)
    if fields.get("scw_list"):
        wanted = {name: what for name, what in wanted.items() if what != "time range"}
    missing = [name for name in wanted if name in known and name not in fields and known[name].default is not None]
    if not missing:
        return {}
    defaults = {name: to_wire(known[name], known[name].default) for name in missing}
    what = " and no ".join(dict.fromkeys(wanted[name] for name in missing))
    used = ", ".join(f"{name}={text}" for name, text in defaults.items())
    warn(f"{product}: no {what} given; the service's default is used: {used}.", InputWarning)
    if "RA" in missing and "src_name" in known and "src_name" not in fields:
        defaults["src_name"] = str(known["src_name"].default)
    if "T1" in missing or "T2" in missing:
        defaults["T_format"] = "isot"
    return defaults
