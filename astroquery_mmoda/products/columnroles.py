# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the columns of a workflow's table mean, by their names and units: axis and its edges, value, errors, limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Column, Table
from astropy.time import Time

from .plaintable import maybe_masked, numbers_of

# each name is compared with each other one; genuine tables have some dozens of columns
_MOST, _LONGEST = 200, 100
# endings of the names of edges; in front of a name they mean the same
_LOW, _HIGH = "min|low|lower|lo|start|begin|left", "max|high|upper|hi|stop|end|right"
_CENTRE = "mean|mid|middle|cent(er|re)|ref|median|log|best"
# endings of errors: of both sides, of the lower, of the upper one
_ERROR = "errors?|err|uncertainty|unc|std|sigma|staterr"
_BELOW, _ABOVE = "low|lower|lo|down|dn|minus|neg|n|min", "high|upper|hi|up|plus|pos|p|max"
# words of a value that its errors are named without: F_best, F_min_68
_CENTRAL = re.compile(r"[_ ]?(best|mean|median|central)$", re.IGNORECASE)
# an error that is named without its value
_ALONE = ("error", "err", "errors", "uncertainty", "staterr")
_SIDES_ALONE = tuple(re.compile(f"({_ERROR})({side})|({side})({_ERROR})") for side in (_BELOW, _ABOVE))
_LIMITS = re.compile(r"(is_?)?(up_?lims?|ul|upper_?limits?|limits?)", re.IGNORECASE)
# values only if there is nothing else, as limits are
_MODEL = re.compile(r"(.*[_ ])?(model|fit|ref)([_ ]|$)", re.IGNORECASE)
_LIMITS_OF = re.compile(r"(^|[_ ])(ul|up(per)?_?lim(it)?s?|limits?)([_ ]|$)|upper_?limits?$", re.IGNORECASE)
_POSITIONS = {"ra", "dec", "glon", "glat", "l", "b", "raj2000", "dej2000"}
# of photons, and of pointings
_EVENTS = {"eventid", "mcid", "detx", "dety", "rapnt", "decpnt"}
_SPECTRAL = {"energy", "freq", "frequency", "wavelength"}
# lengths of time
_DURATIONS = "duration|exposure|length|(live|on|dead|exp|exposure|integration|elapsed)time"
# what was measured, the likeliest first; names in small letters, without signs
_VALUES = (
    "e2dn?de.*|nufnu|sed|dn?de.*",
    ".*flux.*|f|fbest|fnu|flambda|intensity|brightness|omega.*|h2omega.*|signal|mag|magnitude",
    ".*rate|rate.*|mag.*|counts?|cts|excess|events|n|.*counts",
)
_NO_VALUES = re.compile("(cts|counts)(s|b|src|bkg)|backgr|bkg|exposure|.*(sensitivity|signif|npred)|ts")


@dataclass(frozen=True)
class Roles:
    """Names of the columns that have a part; empty where there is none, and no axis where it follows from its edges."""

    axis: str = ""
    low: str = ""
    high: str = ""
    value: str = ""
    error_low: str = ""
    error_high: str = ""
    limit: str = ""


@dataclass(frozen=True)
class AxisKind:
    """An axis: ``names`` (a pattern, without signs between letters) and ``unit``; ``by_unit``: that alone makes one."""

    names: str
    unit: u.UnitBase
    equivalencies: tuple[Any, ...] = ()
    by_unit: bool = True

    def fits(self, column: Any) -> bool | None:
        """Whether the unit of a column is one of the axis; None if it has none."""
        if isinstance(column, Time):
            return self.unit.is_equivalent(u.s)
        unit = column.unit
        if unit is None or unit == u.dimensionless_unscaled or isinstance(unit, u.UnrecognizedUnit):
            return None
        return bool(unit.is_equivalent(self.unit, equivalencies=list(self.equivalencies)))


def find_roles(table: Table, axis: AxisKind) -> tuple[Table, Roles] | None:
    """Which column is what, and the table with columns for errors that came as bounds; None without axis or value."""
    names = [name for name in table.colnames if _is_plain(table[name]) and len(name) <= _LONGEST][:_MOST]
    roles = _axis_roles(table, names, axis)
    if not (roles.axis or (roles.low and roles.high)) or _is_list_of_events(table.colnames):
        return None
    others = [name for name in names if name not in (roles.axis, roles.low, roles.high)]
    value = _value_of(table, others, axis)
    # parameters of a source have such units as well
    if not value or (roles.axis and not (_is_value_name(value) or _has_name(roles.axis, axis))):
        return None
    return _with_errors(table, replace(roles, value=value, limit=_flag_of(table, value)), others)


def limited(table: Table, name: str, values: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Values of a column; where they are flagged, the upper limits that gammapy has beside it (``flux_ul``)."""
    limits = table[f"{name}_ul"] if f"{name}_ul" in table.colnames else None
    if not _is_plain(limits):
        return values
    limits = numbers_of(limits, table[name].unit)
    return np.where(flags & np.isfinite(limits), limits, values)


@lru_cache(maxsize=5_000)
def bare(name: str) -> str:
    """A name in small letters, without what stands between them, nor a unit that could not be read."""
    return re.sub(r"[^a-z0-9]", "", name.partition("[")[0].lower())


def has_limits(name: str) -> bool:
    """Whether all numbers of a column are upper limits, by its name: ``flux_UL * E^2``."""
    return bool(_LIMITS_OF.search(name[:_LONGEST]))


def _flag_of(table: Table, value: str) -> str:
    """The column that tells limits: ``is_ul``, ``UpLim``, or ``flux_ul`` if it has truth values."""
    columns = [table[name] for name in table.colnames[:_MOST] if isinstance(table[name], Column)]
    for stem, kinds in (("", "biuf"), (value, "b")):
        for column in columns:
            rest = column.name.removeprefix(stem).lstrip("_ ")
            if column.dtype.kind in kinds and column.name.startswith(stem) and _LIMITS.fullmatch(rest):
                return str(column.name)
    return ""


def _is_plain(column: Any) -> bool:
    if isinstance(column, Time):
        return True
    return isinstance(column, Column) and column.dtype.kind in "fiu" and column.ndim == 1


def _is_list_of_events(names: Iterable[str]) -> bool:
    found = {bare(name) for name in names}
    return bool(found & _EVENTS) or ("time" in found and len(found & _POSITIONS) > 1)


# ---- the axis


def _axis_roles(table: Table, names: list[str], axis: AxisKind) -> Roles:
    """Axis and edges: by names whose unit agrees, else the first column with such a unit."""
    # "F" is a flux where "f" is a frequency
    words = {name: bare(name) for name in names if axis.fits(table[name]) is not False and name != "F"}

    def named(*patterns: str) -> str:
        found = [name for pattern in patterns for name, word in words.items() if re.fullmatch(pattern, word)]
        # a column with a unit before one that only has the name
        return min(found, key=lambda name: axis.fits(table[name]) is not True, default="")

    low, high, centre = (f"({axis.names})({ending})|({ending})({axis.names})" for ending in (_LOW, _HIGH, _CENTRE))
    roles = Roles(axis=named(centre, axis.names), low=named(low), high=named(high))
    if not (roles.low and roles.high):
        roles = Roles(axis=roles.axis)
    if axis.by_unit and not (roles.axis or roles.low):
        # a rate has the unit of a frequency
        others = (name for name in names if not (_has_edge_name(name) or _is_value_name(name)))
        return Roles(axis=next((name for name in others if axis.fits(table[name])), ""))
    return roles


def _has_name(name: str, axis: AxisKind) -> bool:
    return bool(re.fullmatch(f"({axis.names})({_CENTRE})?|({_CENTRE})({axis.names})", bare(name)))


def _has_edge_name(name: str) -> bool:
    return bool(re.search(rf"({_LOW}|{_HIGH}|err(or)?|width|step|delay|{_DURATIONS})$", bare(name)))


# ---- values and errors


def _value_of(table: Table, names: list[str], axis: AxisKind) -> str:
    """The column of what was measured: by its name, else the first with a unit that no axis has, or the only one."""
    numeric = [name for name in names if isinstance(table[name], Column) and bare(name) not in _POSITIONS]
    candidates = [
        name
        for name in numeric
        if not (_NO_VALUES.match(bare(name)) or _is_secondary(name, numeric))
        and not (axis.fits(table[name]) and (re.fullmatch(axis.names, bare(name)) or not _is_value_name(name)))
    ]
    candidates = [name for name in candidates if not (has_limits(name) or _MODEL.match(name))] or candidates
    candidates.sort(key=lambda name: table[name].unit is None)
    for pattern in _VALUES:
        for name in candidates:
            if re.fullmatch(pattern, bare(name)):
                return name
    found = {bare(name) for name in table.colnames}
    if "time" in found and found & _SPECTRAL:  # such as photons
        return ""
    measured = [name for name in candidates if table[name].unit is not None and not _is_coordinate(table[name].unit)]
    floats = [name for name in candidates if table[name].dtype.kind == "f"]
    return next(iter(measured), floats[0] if floats == candidates and len(floats) == 1 else "")


def _is_coordinate(unit: u.UnitBase) -> bool:
    return any(unit.is_equivalent(each, equivalencies=u.spectral()) for each in (u.s, u.deg, u.eV))


def _is_value_name(name: str) -> bool:
    return any(re.fullmatch(pattern, bare(name)) for pattern in _VALUES)


def _is_secondary(name: str, names: list[str]) -> bool:
    """Whether a column is an error, a bound or a flag of another one."""
    word = bare(name)
    if _LIMITS.fullmatch(name) or word in _ALONE or any(side.fullmatch(word) for side in _SIDES_ALONE):
        return True
    return any(_side(name, other) for other in names if other != name)


@lru_cache(maxsize=50_000)
def _side(name: str, value: str) -> str:
    """What a column is to another: ``error`` (both sides), ``error_low``, ``error_high``, ``bound_low`` ..., or not."""
    word = bare(name)
    for stem in dict.fromkeys((bare(value), bare(_CENTRAL.sub("", value)))):
        if stem not in word:  # as of most pairs
            continue
        if word in {f"{before}{stem}" for before in ("err", "error", "d", "delta")} or name.lower() == f"e_{stem}":
            return "error"
        rest = word[len(stem) :] if stem and word.startswith(stem) else ""
        if re.fullmatch(_ERROR, rest):
            return "error"
        for side, words in (("low", _BELOW), ("high", _ABOVE)):
            if re.fullmatch(f"({_ERROR})({words})(68)?|({words})({_ERROR})", rest):
                return f"error_{side}"
            if re.fullmatch(f"({words})(68)?", rest):
                return f"bound_{side}"
    return ""


def _with_errors(table: Table, roles: Roles, names: list[str]) -> tuple[Table, Roles]:
    sides: dict[str, str] = {}
    unit = table[roles.value].unit
    for name in names:
        # not those in per cent
        is_like = isinstance(table[name], Column) and (
            not (unit and table[name].unit) or table[name].unit.is_equivalent(unit)
        )
        if name != roles.value and is_like:
            sides.setdefault(_side(name, roles.value) or bare(name), name)
    alone = [next((name for word, name in sides.items() if side.fullmatch(word)), "") for side in _SIDES_ALONE]
    low, high = sides.get("error_low", alone[0]), sides.get("error_high", alone[1])
    if not (low and high):
        low = high = next((sides[word] for word in ("error", *_ALONE) if word in sides), "")
    bounds = sides.get("bound_low", ""), sides.get("bound_high", "")
    if not low and all(bounds):
        if _are_bounds(table, roles.value, *bounds):
            return _with_distances(table, roles, *bounds)
        low, high = bounds
    return table, replace(roles, error_low=low, error_high=high)


def _are_bounds(table: Table, value: str, low: str, high: str) -> bool:
    """``Flux_min`` and ``Flux_max`` always; ``Flux_lo``, ``Flux_hi`` if most values are between them, else errors."""
    if re.search("(min|max)(68)?$", bare(high)):
        return True
    middle, bottom, top = (numbers_of(table[name], table[value].unit) for name in (value, low, high))
    is_between = ((bottom <= middle) & (middle <= top))[np.isfinite(middle + bottom + top)]
    return len(is_between) > 0 and bool(is_between.mean() > 0.5)


def _with_distances(table: Table, roles: Roles, low: str, high: str) -> tuple[Table, Roles]:
    """Add columns with the distances of bounds from the value; of none where it is not between them."""
    unit = table[roles.value].unit
    middle, bottom, top = (numbers_of(table[name], unit) for name in (roles.value, low, high))
    below, above = f"{roles.value}_err_lo", f"{roles.value}_err_hi"
    slack = 1e-6 * np.abs(middle)  # of rounding
    columns = [
        maybe_masked(np.where(values >= -slack, np.maximum(values, 0), np.nan), unit, name=name)
        for name, values in ((below, middle - bottom), (above, top - middle))
    ]
    more = Table([*table.itercols(), *columns], meta=dict(table.meta), copy=False)
    return more, replace(roles, error_low=below, error_high=above)
