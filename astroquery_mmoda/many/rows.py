# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Rows of a table, or dicts, as the arguments of one query each; nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from ..errors import ParameterError

#: arguments of a query that many have together
OF_ALL = ("token", "progress", "get_query_payload")


def row_reader(queries: Table | Iterable[Mapping[str, Any]]) -> tuple[int, Callable[[int], dict[str, Any]]]:
    """Number of queries, and a function that gives the arguments of one, or says what is wrong with it."""
    if isinstance(queries, Table):
        return len(queries), _table_reader(queries)
    if isinstance(queries, (str, bytes, Mapping)) or not np.iterable(queries):
        raise ParameterError(
            f"queries must be a Table or a list of dicts with one query in each, not a {type(queries).__name__}."
        )
    dicts = list(queries)
    return len(dicts), lambda row: _arguments_of(dicts[row])


def _table_reader(table: Table) -> Callable[[int], dict[str, Any]]:
    """Function that reads a row; a masked cell is not given."""
    sky = [name for name in table.colnames if name == "coordinates" or isinstance(table[name], SkyCoord)]
    if len(sky) > 1:
        raise ParameterError(f"Which column is the position of the query? {', '.join(sky)} are coordinates.")
    columns = QTable(table)  # in which columns with units are Quantities

    def read(row: int) -> dict[str, Any]:
        cells = {"coordinates" if name in sky else name: columns[name][row] for name in columns.colnames}
        given = {name: cell for name, cell in cells.items() if not np.any(getattr(cell, "mask", False))}
        return _arguments_of({name: _plain_cell(cell) for name, cell in given.items()})

    return read


def _plain_cell(value: Any) -> Any:
    """A value as one would write it: texts without the blanks with which FITS files fill them, and lists of texts."""
    value = getattr(value, "unmasked", value)
    if isinstance(value, str):
        return str(value).rstrip()
    is_list = type(value) is np.ndarray and value.dtype.kind in "SUO"
    return value.tolist() if is_list or isinstance(value, np.generic) else value


def _arguments_of(query: Any) -> dict[str, Any]:
    """Arguments that one of many queries can have, of which ``ra`` and ``dec`` are the coordinates."""
    if not isinstance(query, Mapping):
        raise ParameterError(f"A query is a dict of arguments, not a {type(query).__name__}.")
    given = {str(name): value for name, value in query.items()}
    if wrong := [name for name in OF_ALL if given.pop(name, None) is not None]:
        raise ParameterError(f"{wrong[0]!r} is not an argument of one of many queries, but of query_many.")
    if not isinstance(given.get("instrument"), str):
        raise ParameterError("A query needs an instrument: the name of one in list_instruments().")
    if {"ra", "dec"} <= set(given) and given.get("coordinates") is None:
        given["coordinates"] = given.pop("ra"), given.pop("dec")
    return given
