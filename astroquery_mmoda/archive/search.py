# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Searches in the archive of published products, with the arguments of astroquery."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astroquery import log
from astroquery.exceptions import MaxResultsWarning, NoResultsWarning

from ..errors import MmodaError, ParameterError, warn
from ..request.builder import RequestBuilder
from ..request.positions import sky_position
from ..request.values import energy_pair, time_pair
from ..service.account import Connection
from ..text import nearest, printable
from .adql import OBSCORE, Search, as_maxrec, as_radius, is_plain
from .obscore import PUBLISHED, empty_table, standard, tidy
from .tap import ArchiveTable, describe_tables, run_adql

_SELECT = re.compile(
    r"\s*select\s+(?:distinct\s+)?(?:top\s+\d+\s+)?([\w.,*\s]*[\w*])\s+from\s+(?:ivoa\.)?obscore\b", re.I
)
_TABLE_NAME = re.compile(r"\w+(\.\w+){0,2}", re.ASCII)


def query_tap(connection: Connection, adql: str, *, maxrec: int | None = None) -> Table:
    """Rows that an ADQL query finds; see `MmodaClass.query_tap`."""
    if not isinstance(adql, str) or not adql.strip():
        raise ParameterError(f"adql must be a query as text, not {printable(adql, limit=100)!r}.")
    return _run(connection, adql, as_maxrec(maxrec), _columns_of(adql))


def search(
    radius: Any, *, instrument: str | None, kind: str | None, time_range: Any, energy_range: Any, maxrec: int | None
) -> Search:
    """The conditions of a search but its position; see `MmodaClass.query_region`."""
    return Search(
        radius=as_radius(radius),
        instrument=instrument,
        kind=kind,
        times=None if time_range is None else time_pair(time_range),
        energies=None if energy_range is None else energy_pair(energy_range, u.keV),
        maxrec=as_maxrec(maxrec),
    )


def query_region(
    connection: Connection,
    builder: RequestBuilder,
    coordinates: Any,
    search: Search,
    *,
    get_query_payload: bool = False,
) -> Table | str:
    """Published products in a region of the sky; see `MmodaClass.query_region`."""
    position, _ = builder.locate(coordinates, connection)
    return _find(connection, replace(search, position=position), get_query_payload=get_query_payload)


def query_object(
    connection: Connection, builder: RequestBuilder, name: str, search: Search, *, get_query_payload: bool = False
) -> Table | str:
    """Published products around an object, or named after it; see `MmodaClass.query_object`."""
    if not isinstance(name, str) or not name.strip():
        raise ParameterError(f"not a valid name: {printable(name, limit=100)!r}; query_region takes positions.")
    try:
        page = connection.routes().gallery_page(name)
    except MmodaError as error:  # the other names of an object are not worth failing for
        log.debug("the gallery's page of an object: %s", error)
        page = {}
    position = _position_of_object(connection, builder, name, page)
    complete = replace(search, position=position, names=_names(name, page))
    return _find(connection, complete, get_query_payload=get_query_payload)


def list_tables(connection: Connection) -> Table:
    """Tables that `query_tap` can use; see `MmodaClass.list_tables`."""
    rows = [(table.name, table.description) for table in describe_tables(connection.routes())]
    return Table(rows=rows or None, names=("name", "description"), dtype=("U", "U"))


def list_columns(connection: Connection, table: str) -> Table:
    """Columns of a table of the archive; see `MmodaClass.list_columns`."""
    found = _archive_table(connection, table)
    types = {"f8": "double", "i8": "int", "U": "char"}
    rows = []
    for name, description, unit, kind in found.columns or _columns_of_a_row(connection, found.name):
        its_type, its_unit, its_description = standard(name)
        rows.append((name, description or its_description, unit or its_unit, kind or types.get(its_type, "")))
    return Table(rows=rows or None, names=("name", "description", "unit", "type"), dtype=("U", "U", "U", "U"))


# ---- running a query


def _find(connection: Connection, search: Search, *, get_query_payload: bool) -> Table | str:
    if get_query_payload:
        return search.adql()
    table = _run(connection, search.adql(), search.maxrec, PUBLISHED, limited=True)
    return table if all(is_plain(name) for name in search.names) else _without_similar(table, search)


def _run(
    connection: Connection, adql: str, maxrec: int | None, columns: Iterable[str], *, limited: bool = False
) -> Table:
    """Rows of a query; ``limited``: it has a TOP for ``maxrec``, so there may be more."""
    begin = time.monotonic()
    found, is_cut = run_adql(connection.routes(), adql, maxrec)
    table = empty_table(columns) if found is None else tidy(found)
    log.info("archive: %d row%s in %.1f s", len(table), "s" * (len(table) != 1), time.monotonic() - begin)
    if not len(table):
        warn("MMODA: the archive has nothing of this kind.", NoResultsWarning)
    if maxrec is not None and (len(table) > maxrec or (limited and len(table) == maxrec)):
        warn(f"MMODA: only the first {maxrec} rows are returned (maxrec); there may be more.", MaxResultsWarning)
        table = table[:maxrec]
    elif is_cut:
        warn(f"MMODA: the service returned only the first {len(table)} rows; there are more.", MaxResultsWarning)
    table.meta["adql"] = adql
    return table


def _columns_of(adql: str) -> list[str]:
    """Columns that rows of the published products would have, where the query is simple."""
    select = _SELECT.match(adql)
    items = [item.split() for item in select[1].split(",")] if select else []
    names = [words[-1].rpartition(".")[2] for words in items if words]
    return [*(PUBLISHED if "*" in names else dict.fromkeys(names))]


# ---- objects


def _names(name: str, page: Mapping[str, Any]) -> tuple[str, ...]:
    """The name that was given, and others of the same object."""
    others = [str(page.get("title") or ""), *str(page.get("alternative_names_long_strin") or "").split("|")]
    tidied = [" ".join(html.unescape(text).split()) for text in (name, *others)]
    return tuple({text.casefold(): text for text in reversed(tidied) if text}.values())[::-1]


def _position_of_object(
    connection: Connection, builder: RequestBuilder, name: str, page: Mapping[str, Any]
) -> SkyCoord | None:
    try:
        return builder.resolve(name, connection)
    except ParameterError:
        pass
    try:
        return sky_position((page["source_ra"], page["source_dec"]))
    except (KeyError, ParameterError):
        log.warning("no position is known for %s, so only products with its name are found", printable(name))
        return None


def _without_similar(table: Table, search: Search) -> Table:
    """Without products of other names, which the service could not tell apart from the wanted ones."""
    wanted = {" ".join(name.split()).casefold() for name in search.names}

    def is_wanted(text: str) -> bool:
        # a name may have commas as well
        return any(" ".join(part.split()).casefold() in wanted for part in (text, *text.split(",")))

    targets = np.ma.filled(table["target_name"], "") if "target_name" in table.colnames else [""] * len(table)
    chosen = np.array([is_wanted(str(text)) for text in targets], dtype=bool)
    if search.position is not None and "position" in table.colnames and len(table):
        chosen |= table["position"].separation(search.position).deg <= search.radius  # NaN is not inside
    return table[chosen]


# ---- tables


def _archive_table(connection: Connection, table: str) -> ArchiveTable:
    """A table by its name, with or without its schema."""
    tables = describe_tables(connection.routes())
    wanted = table.strip().lower() if isinstance(table, str) else ""
    for each in tables:
        if wanted in (each.name.lower(), each.name.lower().rpartition(".")[2]):
            return each
    names = [each.name for each in tables]
    raise ParameterError(f"Unknown table {printable(table)!r}{nearest(wanted, names)}. There are: {', '.join(names)}.")


def _columns_of_a_row(connection: Connection, table: str) -> list[tuple[str, str, str, str]]:
    """Columns of a table of which the service describes none: those of its first row."""
    if not _TABLE_NAME.fullmatch(table):
        return []
    found, _ = run_adql(connection.routes(), " ".join(("SELECT TOP 1 * FROM", table)), 1)
    if found is None:
        return [(name, "", "", "") for name in (PUBLISHED if table.lower() == OBSCORE else ())]
    row = tidy(found)
    kinds = {"f": "double", "i": "int", "u": "int", "b": "boolean", "U": "char"}
    # times are numbers there
    return [(name, "", "", kinds.get(getattr(row[name], "dtype", np.dtype("f8")).kind, "")) for name in found.colnames]
