# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Light curves that come as plain tables, made into the columns that those of instruments have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Column, Table
from astropy.time import Time

from .cards import EARLIEST, LATEST, time_reference
from .columnroles import AxisKind, Roles, bare, find_roles
from .plaintable import maybe_masked, numbers_of, plain_table

TIME_AXIS = AxisKind("t|times?|(time)?(mjd|jd|bjd|hjd)(obs)?|tmjd|date|dateobs|obsdate|epoch|timeutc", u.day)
# half of the width of a bin
_HALF_WIDTHS = ("dt", "terr", "timeerr", "timeerror")
# of all bands together, since each takes memory and time
_MOST_COLUMNS = 3000
_JD_OF_MJD = 2400000.5
#: columns that each light curve has, whatever it came as
FIXED_COLUMNS = ("src_name", "time", "time_bin", "e_min", "e_max")
# names that the form has for other things
_TAKEN = frozenset({*FIXED_COLUMNS, "product"})


def curve_tables(data: Table) -> list[Table]:
    """
    Make a table with TIME (centres) and TIMEDEL (widths, if known) of each light curve; none if it has none.

    ``meta`` has what headers say of times and band, and which columns are ``VALUECOL``, ``ERRORCOL`` and so on.
    """
    plain = plain_table(data)
    # gammapy has a value for each energy band in a cell
    bands = {column.shape[1] for column in plain.itercols() if column.ndim == 2}
    count = bands.pop() if len(bands) == 1 else 0
    parts = [plain]
    if 0 < count * len(plain.colnames) <= _MOST_COLUMNS:
        parts = [_band_of(plain, number) for number in range(count)]
    found = [find_roles(part, TIME_AXIS) for part in parts]
    return [_curve_table(*each) for each in found if each is not None]


def _band_of(table: Table, number: int) -> Table:
    columns = [column[:, number] if column.ndim == 2 else column for column in table.itercols()]
    return Table(columns, meta=table.meta, copy=False)


def _curve_table(table: Table, roles: Roles) -> Table:
    cards = _band_cards(table) | _value_cards(roles)
    # that of headings is only assumed
    stated = [column for name in (roles.axis, roles.low) if name and isinstance(column := table[name], Time)]
    if stated and not stated[0].info.meta:
        cards["TIMESYS"] = stated[0].scale.upper()
    unit, times = u.day, {}
    for role in ("axis", "low", "high"):
        if name := getattr(roles, role):
            times[role], unit = _numbers(table[name])
    meta = _without_reference(table.meta, *times.values())
    columns, centre = {}, times.get("axis")
    dropped = {roles.axis, roles.low, roles.high}
    if "low" in times:
        with np.errstate(invalid="ignore", over="ignore"):
            width = times["high"] - times["low"]
            middle = times["low"] + width / 2
            if centre is not None and (np.abs(centre - middle) > 1e-3 * np.abs(width)).any():
                # such as the mean time of what was counted
                dropped.discard(roles.axis)
        centre = np.where(np.isfinite(middle), middle, np.nan if centre is None else centre)
        columns["TIMEDEL"] = maybe_masked(width, unit)
    elif half := next((name for name in table.colnames if bare(name) in _HALF_WIDTHS), ""):
        columns["TIMEDEL"] = maybe_masked(2 * numbers_of(table[half]), table[half].unit or unit)
        cards["WIDTHCOL"] = half
    columns["TIME"] = Column(centre, unit=unit)
    taken = _TAKEN | {name.lower() for name in columns}
    for name in table.colnames:
        if name not in dropped and not (name in _TAKEN and name.upper() in cards):
            values = table[name]
            # names that differ in capitals only are the same in FITS
            new = f"{name}_given" if name.lower() in taken else name
            columns[new] = Column(values.mjd, unit=u.day) if isinstance(values, Time) else values
    return Table(columns, meta={**meta, **cards}, copy=False)


def _value_cards(roles: Roles) -> dict[str, str]:
    """Names of the columns of values and errors, as ``meta`` of a light curve has them."""
    cards = {"VALUECOL": roles.value, "LIMCOL": roles.limit}
    if roles.error_low == roles.error_high:
        cards["ERRORCOL"] = roles.error_low
    else:
        cards |= {"ERRLOCOL": roles.error_low, "ERRHICOL": roles.error_high}
    return {key: name for key, name in cards.items() if name}


def _without_reference(meta: Mapping[str, Any], *times: np.ndarray) -> dict[str, Any]:
    """Leave out an MJDREF beside times that are MJD by themselves, as gammapy has it."""
    first = _middle(times[0])
    is_mjd = EARLIEST < first < LATEST < first + sum(time_reference(meta))
    return {key: value for key, value in meta.items() if not (is_mjd and str(key).startswith("MJDREF"))}


def _numbers(column: Any) -> tuple[np.ndarray, u.UnitBase | None]:
    """Times as numbers: MJD where it is known that they are times, else as they came."""
    if isinstance(column, Time):
        return np.asarray(np.ma.filled(np.ma.asarray(column.mjd), np.nan)), u.day
    values = numbers_of(column)
    if bare(column.name).endswith("jd") and _middle(values) > _JD_OF_MJD:
        return values - _JD_OF_MJD, u.day
    return values, column.unit


def _middle(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def _band_cards(table: Table) -> dict[str, Any]:
    """The energy band, where columns give one and the same for all rows."""
    cards = {}
    for name in ("e_min", "e_max"):
        column = table[name] if name in table.colnames else None
        if column is not None and column.unit is not None and column.unit.is_equivalent(u.keV):
            values = np.unique(numbers_of(column, u.keV))
            if len(values) == 1:
                cards[name.upper()] = float(values[0])
    return cards if len(cards) == 2 else {}
