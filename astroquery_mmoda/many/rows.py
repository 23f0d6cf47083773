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

_NOTHING = object()
_NOT_OF_ONE = {
    "token": "a token serves all queries: query_many(..., token=...)",
    "progress": "there is one display for all queries: query_many(..., progress=...)",
    "get_query_payload": "query_many submits; ask query_image and its sisters for the fields of one request",
}
Cell = Callable[[int], Any]


@dataclass(frozen=True)
class Rows:
    """
    The queries, read one by one when their turn comes.

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
        """
        Check the queries as a user gives them.

        Parameters
        ----------
        queries : Table or iterable of dict
            See ``Mmoda.query_many``.

        Returns
        -------
        Rows

        Raises
        ------
        ParameterError
            They are something else, or it is not clear which columns are the coordinates.
        """
        if isinstance(queries, Table):
            cells = _cells(queries)
            return cls(len(queries), lambda row: _checked(_given(cells, row)))
        # scalars of numpy and astropy look like collections
        is_scalar = not isinstance(queries, Iterable) or getattr(queries, "shape", None) == ()
        if is_scalar or isinstance(queries, (str, bytes, Mapping)):
            raise ParameterError(
                f"queries must be a Table or a list of dicts with one query in each, not a {type(queries).__name__}."
            )
        dicts = list(queries)
        return cls(len(dicts), lambda row: _checked(dicts[row]))


def _checked(arguments: Any) -> dict[str, Any]:
    if not isinstance(arguments, Mapping):
        raise ParameterError(f"A query is a dict of arguments, not a {type(arguments).__name__}.")
    given = _with_coordinates({str(name): value for name, value in arguments.items() if name not in _NOT_OF_ONE})
    wrong = [name for name in arguments if name in _NOT_OF_ONE and arguments[name] is not None]
    more = given.get("parameters")
    if isinstance(more, Mapping) and "token" in more:
        given["parameters"] = {name: value for name, value in more.items() if name != "token"}
        wrong.append("token")
    # neither here nor in a traceback: one of them may be a secret
    arguments = more = None
    if wrong:
        raise ParameterError(f"{wrong[0]!r} does not belong to one of many queries: {_NOT_OF_ONE[wrong[0]]}.")
    if not isinstance(given.get("instrument"), str):
        raise ParameterError("A query needs an instrument: the name of one in list_instruments().")
    return given


def _with_coordinates(given: dict[str, Any]) -> dict[str, Any]:
    """With ``ra`` and ``dec`` put together, as those of a Table are; RA and DEC are the service's own parameters."""
    pair = [name for wanted in ("ra", "dec") for name in given if name.lower() == wanted and name != wanted.upper()]
    if len(pair) == 2 and given.get("coordinates") is None:
        ra, dec = (given.pop(name) for name in pair)
        given["coordinates"] = _position(ra, dec)
    return given


# ---- tables


def _given(cells: Mapping[str, Cell], row: int) -> dict[str, Any]:
    values = {name: cell(row) for name, cell in cells.items()}
    return {name: value for name, value in values.items() if value is not _NOTHING}


def _cells(table: Table) -> dict[str, Cell]:
    """How to read each column; several that make one argument are one."""
    cells = {name: _cell(table[name]) for name in table.colnames}
    sky = [name for name in table.colnames if isinstance(table[name], SkyCoord)]
    if len({*sky, *(name for name in cells if name == "coordinates")}) > 1:
        raise ParameterError(f"Which column is the position of the query? {', '.join(sky)} are coordinates.")
    if sky:
        cells["coordinates"] = cells.pop(sky[0])
    pair = [name for wanted in ("ra", "dec") for name in cells if name.lower() == wanted]
    if len(pair) == 2 and "coordinates" not in cells:
        ra, dec = (cells.pop(name) for name in pair)
        cells["coordinates"] = lambda row: _position(ra(row), dec(row))
    return cells


def _cell(column: Any) -> Cell:
    unit = getattr(column, "unit", None)
    unit = None if isinstance(column, u.Quantity) else unit
    maskable = bool(getattr(column, "masked", hasattr(column, "mask")))

    def read(row: int) -> Any:
        value = column[row]
        return _NOTHING if maskable and _is_masked(value) else _plain(value, unit)

    return read


def _is_masked(value: Any) -> bool:
    return value is np.ma.masked or bool(np.any(getattr(value, "mask", False)))


def _plain(value: Any, unit: u.UnitBase | None) -> Any:
    """A value as one would write it: a Quantity where the column has a unit, text and lists of text as such."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):  # FITS files fill texts with blanks
        return str(value).rstrip()
    if isinstance(value, np.ndarray) and value.dtype.kind in "SUO" and not isinstance(value, u.Quantity):
        return [_plain(item, unit) for item in value.tolist()]
    if unit is not None and isinstance(value, (np.number, np.ndarray)):
        return u.Quantity(value, unit)
    return value.item() if isinstance(value, np.generic) else value


def _position(ra: Any, dec: Any) -> Any:
    if ra is _NOTHING or dec is _NOTHING:
        return _NOTHING
    try:
        if isinstance(ra, str) and isinstance(dec, str):
            return f"{ra}, {dec}"
        place = SkyCoord(u.Quantity(ra, u.deg), u.Quantity(dec, u.deg))
        if math.isfinite(place.ra.deg) and math.isfinite(place.dec.deg):
            return place
        problem = "not finite"
    except (ValueError, TypeError, u.UnitsError) as error:
        problem = printable(error, limit=200)
    raise ParameterError(f"ra={printable(ra)}, dec={printable(dec)} is not a valid position on the sky: {problem}.")
