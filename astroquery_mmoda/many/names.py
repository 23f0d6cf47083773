# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Names of objects in many queries, which mean the same positions in every run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from astropy.coordinates import SkyCoord

from ..errors import ParameterError
from ..jobs import journal
from ..request.builder import RequestBuilder
from ..request.positions import in_degrees, parse_position
from ..service.connection import Connection


class ResolvedNames:
    """
    Resolves each name once, and remembers its position on disk.

    A resolver that gives another position on another day would make another analysis of the same call.
    """

    def __init__(self, builder: RequestBuilder) -> None:
        self._builder = builder
        self._known: set[str] = set()
        self._unknown: dict[str, str] = {}

    def resolve(self, coordinates: Any, catalog: Any, connection: Connection) -> None:
        """Have the builder remember the positions of the names in a query; `ParameterError` for an unknown name."""
        for name in _names(coordinates, catalog):
            if name in self._unknown:  # resolvers take long to find nothing
                raise ParameterError(self._unknown[name])
            if name not in self._known:
                self._resolve(name, connection)
                self._known.add(name)

    def _resolve(self, name: str, connection: Connection) -> None:
        server = connection.server
        if (place := journal.place(server, name)) is not None:
            self._builder.remember(name, SkyCoord(*place, unit="deg"), server)
            return
        try:
            position = self._builder.resolve(name, connection)
        except ParameterError as error:
            self._unknown[name] = str(error)
            raise
        journal.keep_place(server, name, *in_degrees(position))


def _names(coordinates: Any, catalog: Any) -> Iterator[str]:
    """Names of objects that have to be resolved for a query."""
    if isinstance(coordinates, str) and parse_position(coordinates) is None:
        yield coordinates
    if isinstance(catalog, (list, tuple)) and all(isinstance(name, str) for name in catalog):
        yield from catalog
