# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Searches in the archive of published products, with the arguments of astroquery."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astroquery import log
from astroquery.exceptions import MaxResultsWarning, NoResultsWarning

from ..errors import MmodaError, ParameterError, warn
from ..products.mergeable import mergeable
from ..request.builder import RequestBuilder
from ..request.positions import sky_position
from ..request.values import as_radius
from ..service.account import Connection
from ..text import nearest, printable
from .adql import OBSCORE, as_maxrec, conditions_of, in_region, of_target, select_published
from .obscore import no_products, plain_columns, tidy
from .tap import describe_tables, run_adql

_MOST_NAMES = 25


def query_tap(connection: Connection, adql: str, *, maxrec: int | None = None) -> Table:
    """Rows that an ADQL query finds; see `MmodaClass.query_tap`."""
    if not isinstance(adql, str) or not adql.strip():
        raise ParameterError(f"adql must be a query as text, not {printable(adql, limit=100)!r}.")
    return _run(connection, adql, as_maxrec(maxrec), Table())


def query_region(
    connection: Connection,
    builder: RequestBuilder,
    coordinates: Any,
    radius: Any,
    *,
    maxrec: int | None,
    get_query_payload: bool,
    **conditions: Any,
) -> Table | str:
    """Published products in a region of the sky; see `MmodaClass.query_region`."""
    degrees, most, where = as_radius(radius), as_maxrec(maxrec), conditions_of(**conditions)
    position, _ = builder.locate(coordinates, connection)
    adql = select_published([in_region(position, degrees)], where, most)
    return adql if get_query_payload else _run(connection, adql, most, no_products())


def query_object(
    connection: Connection,
    builder: RequestBuilder,
    name: str,
    radius: Any,
    *,
    maxrec: int | None,
    get_query_payload: bool,
    **conditions: Any,
) -> Table | str:
    """Published products around an object, or named after it; see `MmodaClass.query_object`."""
    if not isinstance(name, str) or not name.strip():
        raise ParameterError(f"not a valid name: {printable(name, limit=100)!r}; query_region takes positions.")
    degrees, most, where = as_radius(radius), as_maxrec(maxrec), conditions_of(**conditions)
    try:
        page = connection.routes().gallery_page(name)
    except MmodaError as error:  # the other names of an object are not worth failing for
        log.debug("the gallery's page of an object: %s", error)
        page = {}
    position, names = _position_of_object(connection, builder, name, page), _names(name, page)
    places = [] if position is None else [in_region(position, degrees)]
    adql = select_published([*places, *map(of_target, names)], where, most)
    if get_query_payload:
        return adql
    wanted = {text.casefold() for text in names}

    def chosen(table: Table) -> Table:
        """Without products of similar names, which the service does not tell apart."""
        if not {"target_name", "position"} <= set(table.colnames):
            return table
        targets = np.ma.getdata(table["target_name"])
        rows = np.array([not wanted.isdisjoint(_targets(str(text))) for text in targets], dtype=bool)
        if position is not None:
            rows |= table["position"].separation(position).deg <= degrees  # NaN is not inside
        return table[rows]

    return _run(connection, adql, most, no_products(), chosen)


def list_tables(connection: Connection) -> Table:
    """Tables that `query_tap` can use; see `MmodaClass.list_tables`."""
    rows = describe_tables(connection.routes())
    return Table(rows=rows or None, names=("name", "description"), dtype=("U", "U"))


def list_columns(connection: Connection, table: str) -> Table:
    """Columns of a table of the archive, those of its first row; see `MmodaClass.list_columns`."""
    names = [name for name, _ in describe_tables(connection.routes())]
    wanted = table.strip().lower() if isinstance(table, str) else ""
    name = next((name for name in names if wanted in (name.lower(), name.lower().rpartition(".")[2])), None)
    if name is None:
        hint = nearest(wanted, names)
        raise ParameterError(f"Unknown table {printable(table)!r}{hint}. There are: {', '.join(names)}.")
    found, _ = run_adql(connection.routes(), f"SELECT TOP 1 * FROM {name}", 1)  # noqa: S608 - a name of the service
    row = plain_columns(no_products() if found is None and name == OBSCORE else found or Table())
    kinds = {"f": "double", "i": "int", "b": "boolean", "U": "char"}
    rows = [
        (column.name, column.description, str(column.unit or ""), kinds.get(column.dtype.kind, ""))
        for column in row.itercols()
    ]
    return Table(rows=rows or None, names=("name", "description", "unit", "type"), dtype=("U", "U", "U", "U"))


def _run(
    connection: Connection,
    adql: str,
    maxrec: int | None,
    nothing: Table,
    chosen: Callable[[Table], Table] | None = None,
) -> Table:
    """Rows that a query finds, those of them that are chosen; ``nothing`` has the columns if there are none."""
    begin = time.monotonic()
    found, is_cut = run_adql(connection.routes(), adql, maxrec)
    table = tidy(nothing if found is None else found)
    log.info("archive: %d row%s in %.1f s", len(table), "s" * (len(table) != 1), time.monotonic() - begin)
    if is_cut or (maxrec is not None and len(table) >= maxrec):
        table = table[:maxrec]
        warn(f"MMODA: only the first {len(table)} rows are returned; there may be more.", MaxResultsWarning)
    if chosen is not None:
        table = chosen(table)
    if not len(table):
        warn("MMODA: the archive has nothing of this kind.", NoResultsWarning)
    table.meta = mergeable({**table.meta, "adql": adql})
    return table


# ---- objects


def _names(name: str, page: Mapping[str, Any]) -> list[str]:
    """The name that was given, and others of the same object."""
    # the last letter is missing in the gallery's own name of the field
    others = [str(page.get("title") or ""), *str(page.get("alternative_names_long_strin") or "").split("|")]
    tidied = (" ".join(html.unescape(text).split()) for text in (name, *others))
    return [*dict.fromkeys(filter(None, tidied))][:_MOST_NAMES]


def _targets(text: str) -> set[str]:
    """Names that a cell may mean: the parts between its commas, but a name may have commas as well."""
    return {" ".join(part.split()).casefold() for part in (text, *text.split(","))}


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
