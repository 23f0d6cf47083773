# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Rows of a table, or dicts, as the arguments of one query each; nothing is sent here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..errors import ParameterError
from ..text import printable

_OF_ALL = ("token", "progress", "get_query_payload")


@dataclass(frozen=True)
class Rows:
    """
    The queries, read one by one when they are submitted.

    Attributes
    ----------
    number : int
        How many there are.
    read : callable
        Gives the arguments of a row by its number; `ParameterError` if there is something wrong with it.
    """

    number: int
    read: Callable[[int], dict[str, Any]]

    @classmethod
    def of(cls, queries: Table | Iterable[Mapping[str, Any]]) -> Rows:
        """Queries as a user gives them; `ParameterError` if it is not clear what they mean."""
        if isinstance(queries, Table):
            return cls(len(queries), _reader(queries))
        # scalars of numpy and astropy look like collections
        is_scalar = not isinstance(queries, Iterable) or getattr(queries, "shape", None) == ()
        if is_scalar or isinstance(queries, (str, bytes, Mapping)):
            raise ParameterError(
                f"queries must be a Table or a list of dicts with one query in each, not a {type(queries).__name__}."
            )
        dicts = list(queries)
        return cls(len(dicts), lambda row: _arguments_of(dicts[row]))


def _arguments_of(query: Any) -> dict[str, Any]:
    """Arguments in a dict of a user, in which RA and DEC are the service's own parameters."""
    if not isinstance(query, Mapping):
        raise ParameterError(f"A query is a dict of arguments, not a {type(query).__name__}.")
    given = {str(name): value for name, value in query.items()}
    query = None  # a secret may be in it, and not in a traceback
    has_position = given.get("coordinates") is not None
    return _complete_arguments(given, () if has_position else [name for name in given if name not in ("RA", "DEC")])


def _complete_arguments(given: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Arguments that one of many queries can have, with one position for the two coordinates among names."""
    wrong = [name for name in _OF_ALL if given.pop(name, None) is not None]
    more = given.get("parameters")
    if isinstance(more, Mapping) and "token" in more:
        given["parameters"] = {name: value for name, value in more.items() if name != "token"}
        wrong.append("token")
    more = None  # as above
    if wrong:
        hint = "" if wrong[0] == "get_query_payload" else f", but to all: query_many(..., {wrong[0]}=...)"
        raise ParameterError(f"{wrong[0]!r} does not belong to one of many queries{hint}.")
    pair = [name for wanted in ("ra", "dec") for name in names if name.lower() == wanted]
    if len(pair) == 2:
        ra, dec = (given.pop(name, None) for name in pair)
        if ra is not None and dec is not None:
            given["coordinates"] = _sky_position(ra, dec)
    if not isinstance(given.get("instrument"), str):
        raise ParameterError("A query needs an instrument: the name of one in list_instruments().")
    return given


def _reader(table: Table) -> Callable[[int], dict[str, Any]]:
    """Function that reads a row of a table; a masked cell is not given."""
    sky = [name for name in table.colnames if isinstance(table[name], SkyCoord)]
    if len({*sky, *{"coordinates"}.intersection(table.colnames)}) > 1:
        raise ParameterError(f"Which column is the position of the query? {', '.join(sky)} are coordinates.")
    has_position = sky or "coordinates" in table.colnames
    units = {name: None if isinstance(table[name], u.Quantity) else table[name].info.unit for name in table.colnames}

    def read(row: int) -> dict[str, Any]:
        cells = {"coordinates" if name in sky else name: (table[name][row], units[name]) for name in table.colnames}
        given = {
            name: _plain_cell(*cell) for name, cell in cells.items() if not np.any(getattr(cell[0], "mask", False))
        }
        return _complete_arguments(given, () if has_position else table.colnames)

    return read


def _plain_cell(value: Any, unit: u.UnitBase | None) -> Any:
    """A value as one would write it: a Quantity where the column has a unit, text and lists of text as such."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):  # FITS files fill texts with blanks
        return str(value).rstrip()
    if isinstance(value, np.ndarray) and value.dtype.kind in "SUO" and not isinstance(value, u.Quantity):
        return [_plain_cell(item, unit) for item in value.tolist()]
    if unit is not None and isinstance(value, (np.number, np.ndarray)):
        return u.Quantity(value, unit)
    return value.item() if isinstance(value, np.generic) else value


def _sky_position(ra: Any, dec: Any) -> Any:
    if isinstance(ra, str) and isinstance(dec, str):
        return f"{ra}, {dec}"
    try:
        place = SkyCoord(u.Quantity(ra, u.deg), u.Quantity(dec, u.deg))
        if math.isfinite(place.ra.deg) and math.isfinite(place.dec.deg):
            return place
        problem = "not finite"
    except (ValueError, TypeError, u.UnitsError) as error:
        problem = printable(error, limit=200)
    raise ParameterError(f"ra={printable(ra)}, dec={printable(dec)} is not a valid position on the sky: {problem}.")
