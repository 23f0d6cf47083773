# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""A query -> the fields of its form; nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from astropy import units as u
from astropy.time import Time, TimeDelta
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..instruments import IJD_ORIGIN, INTEGRAL, LAUNCH
from ..protocol import FORMAT_FIELDS, IGNORED_FIELDS, OWN_FIELDS, PROTOCOL_VERSION, SWITCHES
from ..text import nearest, printable
from .encode import to_wire
from .metadata import InstrumentSchema, Parameter
from .query import Query
from .values import (
    as_quantity,
    designation,
    energy_pair,
    first_items,
    in_degrees,
    is_number,
    service_unit,
    sky_position,
    time_pair,
    to_time,
)

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
# of these None says that there is nothing to say, whatever the service's default is
_NONE_IS_NOTHING = ("src_name", "user_catalog", "product_type", *FORMAT_FIELDS)
_BIN_UNITS = {"sec": u.s, "jd": u.day}


def form_fields(
    schema: InstrumentSchema,
    product: str,
    query: Query,
    *,
    name: str | None = None,
    also_known: Callable[[], Iterable[str]] = tuple,
) -> dict[str, str]:
    """
    Fields of the form of a query, whose coordinates are a position and whose catalogue is a text.

    ``name`` is that of the object at the position. ``also_known`` gives further names that the service accepts without
    describing them (``api/par-names``); it is called only for a name that is not in the schema. Times are written in
    ISO 8601, UTC, to the millisecond. `ParameterError` for a wrong name, unit, value or range.
    """
    known = schema.products[product]
    where = f"{product} of instrument {schema.instrument!r}"
    raw = {
        name: value
        for name, value in (query.parameters or {}).items()
        if name not in IGNORED_FIELDS and not _is_not_given(known, name, value)
    }
    query_type = str(raw.pop("product_type", query.query_type)).strip()  # its old meaning in oda_api's calls
    if query_type not in ("Real", "Dummy"):
        raise ParameterError(
            f"query_type={printable(query_type)!r} must be 'Real', or 'Dummy' for canned data. "
            "(A product is chosen with product=.)"
        )
    _check_names(known, query, raw, where, also_known)
    time_format, bin_format = (_word(raw.pop(name, None)) for name in FORMAT_FIELDS)
    if schema.instrument in INTEGRAL:
        _refuse_times_before_launch(query, raw, time_format)
    values = _values_of_arguments(known, query, name) | raw
    fields = _formats(known, values, time_format, bin_format)
    _check_ranges(known, raw, time_format)
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


def _is_not_given(known: Mapping[str, Parameter], name: str, value: Any) -> bool:
    """Whether a value says that none is given: None where that is the default, or the empty text that stands for it."""
    if value is None and name in _NONE_IS_NOTHING:
        return True
    nothing = value is None or (isinstance(value, str) and not value)
    return nothing and name in known and known[name].default is None


def _word(value: Any) -> str | None:
    return None if value is None else str(value).strip().lower()


# ---- names


def _check_names(
    known: Mapping[str, Parameter],
    query: Query,
    raw: Mapping[str, Any],
    where: str,
    also_known: Callable[[], Iterable[str]],
) -> None:
    """Refuse what is given twice, has no meaning for a product, or is not known."""
    for name in OWN_FIELDS:
        if name in raw:
            raise ParameterError(f"{name!r} is not a parameter of an analysis; this package takes care of it.")
    for argument, names in _STANDS_FOR.items():
        if getattr(query, argument) is None:
            continue
        missing = [name for name in names if name not in known]
        if missing:
            raise ParameterError(f"{argument}= has no meaning for {where}: it has no parameter {' or '.join(missing)}.")
        for name in (*names, "T_format") if argument == "time_range" else names:
            if name in raw:
                raise ParameterError(f"{argument}= and {name!r} say the same thing; give one of them.")
    if "time_bin_format" in raw and query.time_bin is not None and not _is_bare(query.time_bin):
        raise ParameterError("time_bin= with a unit and 'time_bin_format' say the same thing; give one of them.")
    has_times = any(parameter.type == "time" for parameter in known.values())
    accepted = {*known, *SWITCHES, *["T_format"] * has_times, *["time_bin_format"] * ("time_bin" in known)}
    if not accepted.issuperset(raw):
        accepted |= set(also_known())
    for name in raw:
        if name not in accepted:
            valid = sorted(parameter.name for parameter in known.values() if not parameter.hidden)
            raise ParameterError(
                f"Unknown parameter {printable(name)!r} for {where}"
                f"{nearest(name, [*valid, *_STANDS_FOR])}. It takes: {', '.join(valid)}."
            )


def _is_bare(value: Any) -> bool:
    """Whether a number has no unit of its own."""
    return is_number(value) if isinstance(value, str) else not isinstance(value, (u.Quantity, TimeDelta))


# ---- values


def _values_of_arguments(known: Mapping[str, Parameter], query: Query, name: str | None) -> dict[str, Any]:
    """What the arguments of the query methods mean, by the service's names."""
    values = {names[0]: getattr(query, argument) for argument, names in _STANDS_FOR.items() if len(names) == 1}
    values = {key: value for key, value in values.items() if value is not None and not _is_not_given(known, key, value)}
    if query.coordinates is not None:
        position = sky_position(query.coordinates)
        # a micro-arcsecond; what is below comes from changing frames, and would make another job of the same place
        values |= {key: round(angle, 9) + 0.0 for key, angle in zip(("RA", "DEC"), in_degrees(position), strict=True)}
        if "src_name" in known:
            values["src_name"] = name or designation(position)
    if query.time_range is not None:
        values["T1"], values["T2"] = time_pair(query.time_range)
    if query.energy_range is not None:
        values["E1_keV"], values["E2_keV"] = energy_pair(query.energy_range, _energy_unit(known))
    return values


def _energy_unit(known: Mapping[str, Parameter]) -> u.UnitBase:
    return service_unit(known["E1_keV"]) or u.keV


def _check_ranges(known: Mapping[str, Parameter], raw: Mapping[str, Any], time_format: str | None) -> None:
    """Check ranges of which one bound or both are given by the service's names; the other one is its default."""
    if ("T1" in raw or "T2" in raw) and "T1" in known and "T2" in known:
        time_pair(
            [
                to_time(raw[name], name, format=time_format) if name in raw else to_time(known[name].default, name)
                for name in ("T1", "T2")
            ],
            "T1, T2",
        )
    if ("E1_keV" in raw or "E2_keV" in raw) and "E1_keV" in known and "E2_keV" in known:
        bounds = [raw.get(name, known[name].default) for name in ("E1_keV", "E2_keV")]
        energy_pair(bounds, _energy_unit(known), "E1_keV, E2_keV")


def _refuse_times_before_launch(query: Query, raw: Mapping[str, Any], time_format: str | None) -> None:
    """Numbers that would be days before there was an INTEGRAL are INTEGRAL's own days."""
    times = first_items(query.time_range, 3)
    if time_format in (None, "mjd", "isot"):
        times += [raw[name] for name in ("T1", "T2") if name in raw]
    for time in times:
        # numpy counts its time spans among the whole numbers
        is_plain = is_number(time) if isinstance(time, str) else isinstance(time, Real)
        if is_plain and not isinstance(time, np.timedelta64) and float(time) < LAUNCH:
            raise ParameterError(
                f"The time {float(time):.12g} would be before INTEGRAL's launch (MJD {LAUNCH:g}): numbers are MJD "
                f"(UTC). If it is in INTEGRAL's own days (IJD = MJD - {IJD_ORIGIN:g}, TT), give "
                f"Time({float(time):.12g} + {IJD_ORIGIN:g}, format='mjd', scale='tt')."
            )


def _formats(
    known: Mapping[str, Parameter], values: dict[str, Any], time_format: str | None, bin_format: str | None
) -> dict[str, str]:
    """The formats in which times and widths of bins are sent, whatever those are in which they are given."""
    if time_format is not None and time_format not in Time.FORMATS:
        raise ParameterError(
            f"T_format={printable(time_format)!r} is not a time format{nearest(time_format, Time.FORMATS)}; the web "
            "page and its snippets use isot, mjd and jd."
        )
    fields = {}
    if any(name in known and known[name].type == "time" for name in values):
        fields["T_format"] = "isot"
    if bin_format is not None and bin_format not in _BIN_UNITS:
        raise ParameterError(f"time_bin_format={printable(bin_format)!r} must be 'sec', or 'jd' for days.")
    if bin_format == "jd":
        if values.get("time_bin") is None:
            raise ParameterError("time_bin_format='jd' needs a time_bin beside it, in days.")
        if _is_bare(values["time_bin"]) and not isinstance(values["time_bin"], bool):
            values["time_bin"] = as_quantity(values["time_bin"], u.day, "time_bin")
    if "time_bin" in values and "time_bin_format" in known:
        fields["time_bin_format"] = "sec"
    return fields


def _explicit_defaults(known: Mapping[str, Parameter], fields: Mapping[str, str], product: str) -> dict[str, str]:
    """Position and times that the service would choose silently, with a warning."""
    wanted = {"RA": "position", "DEC": "position"} if "radius" in known else {}
    if not fields.get("scw_list"):
        wanted |= {"T1": "time range", "T2": "time range"}
    missing = [name for name in wanted if name in known and name not in fields and known[name].default is not None]
    if not missing:
        return {}
    defaults = {name: to_wire(known[name], known[name].default) for name in missing}
    what = " and ".join(dict.fromkeys(wanted[name] for name in missing))
    used = ", ".join(f"{name}={text}" for name, text in defaults.items())
    warn(f"{product}: no {what} given; using the service's default, {used}.", InputWarning)
    if "RA" in missing and "src_name" in known and "src_name" not in fields:
        defaults["src_name"] = str(known["src_name"].default)
    if "T1" in missing or "T2" in missing:
        defaults["T_format"] = "isot"
    return defaults
