# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""From a query to the fields of its form, with the service's metadata of instruments and objects."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from astropy.coordinates import SkyCoord
from astropy.table import Table
from astroquery import log

from ..config import conf
from ..errors import MmodaError, ParameterError
from ..text import nearest, printable
from .form import form_fields
from .metadata import InstrumentSchema, folded, read_metadata
from .parts import check_number, divided
from .positions import find_position, parse_position, plain_dashes, sky_position
from .query import Query
from .source_list import to_catalog_text

if TYPE_CHECKING:
    from ..service.account import Connection


_SCHEMA_LIFETIME = 3600.0  # seconds; instruments change rarely


class RequestBuilder:
    """Builds the forms of requests; remembers the metadata of instruments and the positions of named objects."""

    def __init__(self) -> None:
        self._schemas: dict[tuple[str, str, str], tuple[float, InstrumentSchema]] = {}
        self._positions: dict[tuple[str, str], SkyCoord] = {}

    def clear(self) -> None:
        """Forget everything; the next query asks for it again."""
        self._schemas.clear()
        self._positions.clear()

    def build(self, kind: str, query: Query, connection: Connection) -> dict[str, str]:
        """
        Fields of the form of a query, without token and session; `ParameterError` if something is wrong with it.

        The service is asked for metadata and positions; nothing is submitted.
        """
        schema = self.schema(query.instrument, connection)
        product = schema.choose(kind, query.product)
        name = None
        if query.coordinates is not None:
            position, name = self.locate(query.coordinates, connection)
            query = replace(query, coordinates=position)
        catalog = query.catalog
        if isinstance(catalog, (list, tuple)) and catalog and all(isinstance(source, str) for source in catalog):
            positions = self.resolve_all(catalog, connection)
            catalog = Table({"src_names": list(positions), "position": SkyCoord(list(positions.values()))})
        if catalog is not None:
            query = replace(query, catalog=to_catalog_text(catalog, schema.instrument))
        also_known = partial(connection.routes().parameter_names, schema.instrument)
        fields = form_fields(schema, product, query, name=name, also_known=also_known)
        check_number(fields.get("scw_list", ""), schema.instrument, connection.roles)
        return fields

    def build_parts(self, kind: str, query: Query, connection: Connection) -> list[dict[str, str]]:
        """Fields of the forms of all jobs of a query; without ``windows_per_job`` it is one."""
        if query.windows_per_job is None:
            return [self.build(kind, query, connection)]
        schema = self.schema(query.instrument, connection)
        first, parts = divided(kind, query, schema.instrument, connection.roles)
        fields = self.build(kind, first, connection)
        return [{**fields, "scw_list": ",".join(part)} for part in parts]

    # ---- instruments

    def schema(self, instrument: str, connection: Connection) -> InstrumentSchema:
        """What an instrument offers, whose name may differ in case, blanks, ``-`` and ``_`` from the service's."""
        if not isinstance(instrument, str) or not instrument.strip():
            raise ParameterError(f"instrument must be a name, as in list_instruments(); not {printable(instrument)!r}.")
        key = (connection.server, connection.email, instrument)
        known = self._schemas.get(key)
        if known is None or time.monotonic() - known[0] > _SCHEMA_LIFETIME:
            known = self._schemas[key] = time.monotonic(), _fetch_schema(instrument, connection)
        return known[1]

    def list_instruments(self, connection: Connection) -> Table:
        """Instruments that are open to the user, and their products."""
        rows = []
        for name in connection.routes().instruments():
            products: Iterable[str] = ()
            try:
                products = self.schema(name, connection).products
            except MmodaError as error:
                log.warning("%s: its products are left out (%s)", printable(name), error)
                # an outage is waited out once, not for each instrument
                connection = connection.within(min(connection.until, time.monotonic() + conf.retry_time))
            rows.append((printable(name), ", ".join(map(printable, products))))
        return Table(rows=rows or None, names=("instrument", "products"), dtype=("U", "U"))

    # ---- positions

    def resolve(self, name: str, connection: Connection) -> SkyCoord:
        """Position of a named object (ICRS); `ParameterError` if no resolver knows it."""
        if not isinstance(name, str):
            raise ParameterError(f"name must be text, not a {type(name).__name__}.")
        key = _position_key(name, connection.server)
        if key not in self._positions:
            # a number is never the name of an object
            self._positions[key] = parse_position(name) or find_position(plain_dashes(name), connection.routes())
        return self._positions[key]

    def resolve_all(self, names: str | Iterable[Any], connection: Connection) -> dict[str, SkyCoord]:
        """Positions of several objects, or of one."""
        return {
            str(name): self.resolve(str(name), connection) for name in ([names] if isinstance(names, str) else names)
        }

    def remember(self, name: str, position: SkyCoord, server: str) -> None:
        """Keep a position as that of a name."""
        self._positions[_position_key(name, server)] = position

    def locate(self, coordinates: Any, connection: Connection) -> tuple[SkyCoord, str | None]:
        """Position (ICRS) of coordinates or of the name of an object, and that name."""
        if not isinstance(coordinates, str):
            return sky_position(coordinates), None
        if not coordinates.strip():
            raise ParameterError("coordinates is an empty text; give a position or the name of an object.")
        position = self.resolve(coordinates, connection)
        return position, None if parse_position(coordinates) else plain_dashes(coordinates).strip()


def _position_key(name: str, server: str) -> tuple[str, str]:
    return server, " ".join(plain_dashes(name).split()).casefold()


def _fetch_schema(instrument: str, connection: Connection) -> InstrumentSchema:
    routes = connection.routes()
    try:
        return read_metadata(routes.metadata(instrument), instrument)
    except ParameterError as error:
        names = routes.instruments(openly=True)
        meant = [name for name in names if folded(name) == folded(instrument) and name != instrument]
        if len(meant) != 1:
            several = f"; it may be {' or '.join(map(printable, meant))}" if meant else nearest(instrument, names)
            raise ParameterError(
                f"Unknown instrument {printable(instrument)!r}{several}. The service has, for everybody: "
                f"{', '.join(map(printable, names))}. Mmoda.list_instruments() has those that are open to you."
            ) from error
    return read_metadata(routes.metadata(meant[0]), meant[0])
