# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""One question to an instrument -> the form fields of its request; nothing is sent here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import TimeDelta
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..instruments import IJD_ORIGIN, INTEGRAL, LAUNCH
from ..protocol import PROTOCOL_VERSION, STATE_FIELDS
from ..text import Pasted, printable
from .encode import NUL, to_wire
from .metadata import InstrumentSchema, Parameter, nearest
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

__all__ = [
    "Question",
    "fields_of_link",
    "fields_of_record",
    "summary_of",
    "to_payload",
]

_QUERY_TYPES = ("Real", "Dummy")
# words of calls written for oda_api that say nothing about the analysis
_IGNORED = frozenset({"api", "oda_api_version", "off_line", "verbose"})
# of these None says that there is nothing to say, whatever the service's default is
_NONE_IS_NOTHING = frozenset(
    {"src_name", "selected_catalog", "user_catalog", "user_catalog_file", "T_format", "time_bin_format", "product_type"}
)
# how the service runs an analysis; it lists these nowhere, and they are in its snippets
_SWITCHES = frozenset({"run_asynch", "async_dispatcher"})
_BIN_UNITS = {"sec": u.s, "jd": u.day}
# friendly argument -> the service's own names that it stands for
_STANDS_FOR = {
    "coordinates": ("RA", "DEC"),
    "time_range": ("T1", "T2", "T_format"),
    "energy_range": ("E1_keV", "E2_keV"),
    "catalog": ("selected_catalog",),
    "radius": ("radius",),
    "time_bin": ("time_bin",),
    "scw_list": ("scw_list",),
}


@dataclass(frozen=True)
class Question:
    """
    What a user asks of a product, names already resolved and catalogues already written as text.

    Attributes
    ----------
    coordinates : SkyCoord, pair or None
        Position; a pair is in degrees.
    name : str or None
        Name of the object at that position, if it was given by name.
    radius, time_range, energy_range, time_bin, scw_list
        As in the query methods.
    catalog : str or None
        JSON text in the service's form.
    query_type : str
        ``Real`` or ``Dummy``.
    others : dict
        Parameters by the service's own names.
    """

    coordinates: SkyCoord | Any = None
    name: str | None = None
    radius: Any = None
    time_range: Any = None
    energy_range: Any = None
    time_bin: Any = None
    scw_list: Any = None
    catalog: str | None = None
    query_type: str = "Real"
    others: Mapping[str, Any] = field(default_factory=dict)


def to_payload(
    schema: InstrumentSchema, product: str, question: Question, *, also_known: Callable[[], Iterable[str]] = tuple
) -> dict[str, str]:
    """
    Write a question as the fields of a form.

    Parameters
    ----------
    schema : InstrumentSchema
        What the instrument offers.
    product : str
        One of its products.
    question : Question
        What is asked.
    also_known : callable
        Gives further names that the service accepts, without telling more about them (``api/par-names``); called
        only when a name is not in the schema.

    Returns
    -------
    dict of str
        Neither token nor session in it. Times are ISO 8601, UTC, to the millisecond.

    Raises
    ------
    ParameterError
        A name, unit, value or range is wrong.
    """
    known = schema.products[product]
    where = f"{product} of instrument {schema.instrument!r}"
    raw, query_type = _raw_parameters(known, question)
    _refuse_doubles(question, raw)
    if schema.instrument in INTEGRAL:
        _refuse_times_before_launch(question, raw)
    extra = _unlisted(known, raw, where, also_known)
    fields = {
        **_position(known, question, raw, where),
        **_times(known, question, raw, where),
        **_energies(known, question, raw, where),
        **_time_bin(known, question, raw, where),
        **_single(known, "radius", question.radius, where),
        **_single(known, "scw_list", question.scw_list, where),
        **_single(known, "selected_catalog", question.catalog, where, argument="catalog"),
        **_remaining(known, raw),
        **extra,
    }
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


def _raw_parameters(known: Mapping[str, Parameter], question: Question) -> tuple[dict[str, Any], str]:
    """Parameters by the service's names without the words of `oda_api` that mean something else."""
    raw = {
        name: value
        for name, value in question.others.items()
        if name not in _IGNORED and not _is_not_given(known, name, value)
    }
    query_type = str(raw.pop("product_type", question.query_type)).strip()  # its old meaning in oda_api's calls
    if query_type not in _QUERY_TYPES:
        raise ParameterError(
            f"query_type={printable(query_type)!r} must be 'Real', or 'Dummy' for canned data. "
            "(A product is chosen with product=.)"
        )
    for name in ("query_status", "session_id", "job_id", "token", "instrument"):
        if name in raw:
            raise ParameterError(f"{name!r} is not a parameter of an analysis; this package takes care of it.")
    return raw, query_type


def _is_not_given(known: Mapping[str, Parameter], name: str, value: Any) -> bool:
    """Whether a value says that none is given: None where that is the default, or the empty text that stands for it."""
    if value is None and name in _NONE_IS_NOTHING:
        return True
    nothing = value is None or (isinstance(value, str) and not value)
    return nothing and name in known and known[name].default is None


def _refuse_doubles(question: Question, raw: Mapping[str, Any]) -> None:
    for argument, names in _STANDS_FOR.items():
        doubles = [name for name in names if name in raw]
        if getattr(question, argument) is not None and doubles:
            raise ParameterError(f"{argument}= and {doubles[0]!r} say the same thing; give one of them.")
    if "time_bin_format" in raw and question.time_bin is not None and not _is_bare(question.time_bin):
        raise ParameterError("time_bin= with a unit and 'time_bin_format' say the same thing; give one of them.")


def _is_bare(value: Any) -> bool:
    """Whether a number has no unit of its own."""
    return is_number(value.strip()) if isinstance(value, str) else not isinstance(value, (u.Quantity, TimeDelta))


def _refuse_times_before_launch(question: Question, raw: Mapping[str, Any]) -> None:
    """Numbers that would be days before there was an INTEGRAL are INTEGRAL's own days."""
    times = first_items(question.time_range, 3)
    if _format(raw.get("T_format")) in (None, "mjd", "isot"):
        times += [raw[name] for name in ("T1", "T2") if name in raw]
    numbers = [float(time) for time in times if _is_plain_number(time)]
    early = [number for number in numbers if number < LAUNCH]
    if early:
        raise ParameterError(
            f"The time {early[0]:.12g} would be before INTEGRAL's launch (MJD {LAUNCH:g}): numbers are MJD (UTC). "
            f"If it is in INTEGRAL's own days (IJD = MJD - {IJD_ORIGIN:g}, TT), give "
            f"Time({early[0]:.12g} + {IJD_ORIGIN:g}, format='mjd', scale='tt')."
        )


def _is_plain_number(value: Any) -> bool:
    if isinstance(value, str):
        return is_number(value.strip())
    # numpy counts its time spans among the whole numbers
    return isinstance(value, Real) and not isinstance(value, (bool, u.Quantity, np.timedelta64))


def _format(value: Any) -> Any:
    """A format of times as astropy spells it."""
    return value.strip().lower() if isinstance(value, str) else value


def _unlisted(
    known: Mapping[str, Parameter], raw: Mapping[str, Any], where: str, also_known: Callable[[], Iterable[str]]
) -> dict[str, str]:
    """Names that the schema lacks: those the service takes all the same (unit selectors), or an error."""
    # servers up to 1.3.3 take formats without telling so
    formats = {"T_format"} if any(parameter.type == "time" for parameter in known.values()) else set()
    formats |= {"time_bin_format"} if "time_bin" in known else set()
    missing = [name for name in raw if name not in known and name not in formats]
    if not missing:
        return {}
    accepted = _SWITCHES if _SWITCHES.issuperset(missing) else {*_SWITCHES, *also_known()}
    for name in missing:
        if name not in accepted:
            valid = sorted(parameter.name for parameter in known.values() if not parameter.hidden)
            raise ParameterError(
                f"Unknown parameter {printable(name)!r} for {where}"
                f"{nearest(name, [*valid, *_STANDS_FOR])}. It takes: {', '.join(valid)}."
            )
    # a switch is True or False
    return {name: to_wire(Parameter(name, default=True if name in _SWITCHES else None), raw[name]) for name in missing}


def _need(known: Mapping[str, Parameter], names: Iterable[str], argument: str, where: str) -> None:
    missing = [name for name in names if name not in known]
    if missing:
        raise ParameterError(f"{argument}= has no meaning for {where}: it has no parameter {' or '.join(missing)}.")


def _position(known: Mapping[str, Parameter], question: Question, raw: dict[str, Any], where: str) -> dict[str, str]:
    if question.coordinates is None:
        return {}
    _need(known, ("RA", "DEC"), "coordinates", where)
    position = sky_position(question.coordinates)
    ra, dec = in_degrees(position)
    fields = {"RA": _degrees(ra), "DEC": _degrees(dec)}
    if "src_name" in known and "src_name" not in raw:
        fields["src_name"] = question.name or designation(position)
    return fields


def _degrees(angle: float) -> str:
    # a micro-arcsecond; what is below comes from turning frames round, and would make another job of the same place
    return repr(round(float(angle), 9) + 0.0)


def _times(known: Mapping[str, Parameter], question: Question, raw: dict[str, Any], where: str) -> dict[str, str]:
    """T1 and T2, whether friendly or raw, as isot; the other times of a product share their format."""
    time_format = _format(raw.pop("T_format", None))
    if time_format is not None and time_format not in _time_formats():
        raise ParameterError(
            f"T_format={printable(time_format)!r} is not a time format{nearest(time_format, _time_formats())}; the web "
            "page and its snippets use isot, mjd and jd."
        )
    if question.time_range is not None:
        _need(known, ("T1", "T2"), "time_range", where)
        begin, end = time_pair(question.time_range)
        times = {"T1": begin.isot, "T2": end.isot}
    else:
        times = _raw_times(known, raw, time_format)
    others = {name: raw.pop(name) for name in list(raw) if name in known and known[name].type == "time"}
    times |= {name: to_wire(known[name], value, time_format=time_format) for name, value in others.items()}
    return times | ({"T_format": "isot"} if times else {})


def _raw_times(known: Mapping[str, Parameter], raw: dict[str, Any], time_format: str | None) -> dict[str, str]:
    given = {name: to_time(raw.pop(name), name, format=time_format) for name in ("T1", "T2") if name in raw}
    if not given:
        return {}
    complete = {name: given.get(name) or to_time(known[name].default, name) for name in ("T1", "T2") if name in known}
    if len(complete) == 2:
        time_pair((complete["T1"], complete["T2"]), "T1, T2")
    return {name: time.isot for name, time in given.items()}


def _time_formats() -> list[str]:
    from astropy.time import Time

    return list(Time.FORMATS)


def _energies(known: Mapping[str, Parameter], question: Question, raw: dict[str, Any], where: str) -> dict[str, str]:
    names = ("E1_keV", "E2_keV")
    if question.energy_range is not None:
        _need(known, names, "energy_range", where)
        bounds = dict(zip(names, energy_pair(question.energy_range, _energy_unit(known)), strict=True))
    else:
        bounds = {name: raw.pop(name) for name in names if name in raw and name in known}
        complete = [bounds.get(name, known[name].default) for name in names if name in known]
        if bounds and len(complete) == 2:
            energy_pair(complete, _energy_unit(known), "E1_keV, E2_keV")
    return {name: to_wire(known[name], value) for name, value in bounds.items()}


def _energy_unit(known: Mapping[str, Parameter]) -> u.UnitBase:
    return service_unit(known["E1_keV"]) or u.keV


def _time_bin(known: Mapping[str, Parameter], question: Question, raw: dict[str, Any], where: str) -> dict[str, str]:
    """The bin width in the unit that the service names, whatever the format beside it says."""
    value = question.time_bin if question.time_bin is not None else raw.pop("time_bin", None)
    word = raw.pop("time_bin_format", None)
    if value is None and word is None:
        return {}
    _need(known, ("time_bin",), "time_bin", where)
    unit = _BIN_UNITS.get(_format(word)) if word is not None else None
    if word is not None and unit is None:
        raise ParameterError(f"time_bin_format={printable(word)!r} must be 'sec', or 'jd' for days.")
    if value is None:
        if unit == u.s:
            return {}
        raise ParameterError("time_bin_format='jd' needs a time_bin beside it, in days.")
    if unit == u.day and _is_bare(value) and not isinstance(value, bool):
        value = as_quantity(value, u.day, "time_bin")
    return {"time_bin": to_wire(known["time_bin"], value)} | (
        {"time_bin_format": "sec"} if "time_bin_format" in known else {}
    )


def _single(
    known: Mapping[str, Parameter], name: str, value: Any, where: str, *, argument: str | None = None
) -> dict[str, str]:
    if value is None:
        return {}
    _need(known, (name,), argument or name, where)
    if _is_not_given(known, name, value):
        return {}
    return {name: to_wire(known[name], value)}


def _remaining(known: Mapping[str, Parameter], raw: Mapping[str, Any]) -> dict[str, str]:
    return {name: to_wire(known[name], value) for name, value in raw.items() if name in known}


def _explicit_defaults(known: Mapping[str, Parameter], fields: Mapping[str, str], product: str) -> dict[str, str]:
    """Position and times that the service would choose silently, said aloud."""
    wanted: list[str] = []
    if "radius" in known:
        wanted += ["RA", "DEC"]
    if not fields.get("scw_list"):
        wanted += ["T1", "T2"]
    missing = [name for name in wanted if name in known and name not in fields and known[name].default is not None]
    if not missing:
        return {}
    defaults = {name: to_wire(known[name], known[name].default) for name in missing}
    told = ", ".join(f"{name}={text}" for name, text in defaults.items())
    warn(
        f"{product}: no {' and '.join(_friendly(missing))} given; using the service's default, {told}.",
        InputWarning,
    )
    if "RA" in missing and "src_name" in known and "src_name" not in fields:
        defaults["src_name"] = str(known["src_name"].default)
    if {"T1", "T2"} & set(missing):
        defaults["T_format"] = "isot"
    return defaults


def _friendly(names: Iterable[str]) -> list[str]:
    words = {"RA": "position", "DEC": "position", "T1": "time range", "T2": "time range"}
    return list(dict.fromkeys(words[name] for name in names))


# ---- requests of others: links of the service, and its own records


def fields_of_link(link: str) -> dict[str, str]:
    """
    Read the parameters in an address of the service, as it sends them by e-mail or redirects to.

    Parameters
    ----------
    link : str
        Any address with a query.

    Returns
    -------
    dict of str
        Without the token, should there be one in it; empty if it is not a valid address. No value is a path of a file
        to be uploaded.
    """
    try:
        pairs = parse_qsl(urlsplit(link).query, keep_blank_values=True)
    except ValueError:
        return {}
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, Pasted(value))  # the service takes the first of several too
    fields.pop("token", None)
    return fields


def fields_of_record(parameters: Mapping[str, Any]) -> dict[str, str]:
    """
    Write parameters that the service understood as fields of a form again.

    Parameters
    ----------
    parameters : dict
        ``analysis_parameters`` of a reply or of the service's records.

    Returns
    -------
    dict of str
        Without token and state. No value is a path of a file to be uploaded.
    """
    kept = {str(name): value for name, value in parameters.items() if name not in ("token", *STATE_FIELDS)}
    return {name: Pasted(_form_text(name, value)) for name, value in kept.items()}


def _form_text(name: str, value: Any) -> str:
    if value is None:
        return NUL
    if isinstance(value, list) and (name.endswith("_list") or not value):
        return ",".join(str(item) for item in value)
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


# ---- requests at a glance


def summary_of(fields: Mapping[str, str]) -> dict[str, str]:
    """
    Tell what a request is about in a few words.

    Parameters
    ----------
    fields : dict of str
        Fields of the request.

    Returns
    -------
    dict of str
        ``source`` (name), ``energy_range`` (keV) and ``time_range``: UTC, in the format of ``T_format`` unless that is
        isot, or the number of science windows. Empty where the request does not tell.
    """
    told = {name: "" if value == NUL else str(value).strip() for name, value in fields.items()}
    low, high, start, stop = (told.get(name, "") for name in ("E1_keV", "E2_keV", "T1", "T2"))
    windows = len([window for window in told.get("scw_list", "").split(",") if window.strip()])
    form = told.get("T_format", "")
    times = f"{start[:19]} to {stop[:19]}{f' ({form})' if form not in ('', 'isot') else ''}" if start and stop else ""
    return {
        "source": told.get("src_name", ""),
        "energy_range": f"{low}-{high} keV" if low and high else "",
        "time_range": f"{windows} science window{'s' * (windows != 1)}" if windows else times,
    }
