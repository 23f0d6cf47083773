# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""From the arguments of one query to the fields of its form, the same ones in every run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from astropy.coordinates import SkyCoord

from ..errors import ParameterError
from ..jobs import journal
from ..jobs.job import deadline_of, in_time, longest_wait
from ..request.positions import parse_position
from ..request.preflight import needed_roles
from ..request.query import Query
from ..request.values import in_degrees
from ..service.account import Connection
from .hands import Question

if TYPE_CHECKING:
    from ..core import MmodaClass

__all__ = ["Questions"]


class Questions:
    """
    Writes questions of one kind.

    Names of objects are looked up once and remembered on disk: a resolver that answers otherwise another day would make
    another analysis of the same call.

    Parameters
    ----------
    client : MmodaClass
        Who asks.
    connection : Connection
        Way to the service, for meta-data and names.
    kind : str
        Kind of the queries.
    """

    def __init__(self, client: MmodaClass, connection: Connection, kind: str) -> None:
        self._client = client
        self._connection = connection
        self._kind = kind
        self._found: set[str] = set()
        self._unknown: dict[str, str] = {}

    def write(self, arguments: Mapping[str, Any]) -> Question:
        """
        Write the question that these arguments are.

        Raises
        ------
        ParameterError
            The service would not take it.
        """
        arguments = dict(arguments)
        instrument, coordinates = arguments.pop("instrument"), arguments.pop("coordinates", None)
        begin, asked = time.monotonic(), Query.of_arguments(instrument, coordinates, arguments)
        limit = longest_wait(asked.timeout)
        connection = self._connection.within(deadline_of(limit, begin))
        with in_time(limit):
            for name in _names(coordinates, asked.catalog):
                self._find(name, connection)
            payload = self._client._builder.build(self._kind, asked, connection)
        if needed := needed_roles(payload):
            self._connection.warn_of_missing_roles(needed)
        return Question(payload, asked.source, limit, begin)

    def _find(self, name: str, connection: Connection) -> None:
        """Have the client know the place of an object: that of an earlier run, or what the resolvers say."""
        if name in self._unknown:
            raise ParameterError(self._unknown[name])
        if name in self._found:
            return
        url = connection.server
        if (known := journal.place(url, name)) is not None:
            self._client._builder.remember(name, SkyCoord(*known, unit="deg"), url)
        else:
            journal.keep_place(url, name, *in_degrees(self._resolve(name, connection)))
        self._found.add(name)

    def _resolve(self, name: str, connection: Connection) -> SkyCoord:
        try:
            return self._client._builder.resolve(name, connection)
        except ParameterError as error:
            self._unknown[name] = str(error)  # resolvers take long to know nothing
            raise


def _names(coordinates: Any, catalog: Any) -> Iterator[str]:
    """Names of objects that have to be resolved for a query."""
    if isinstance(coordinates, str) and parse_position(coordinates) is None:
        yield coordinates
    if isinstance(catalog, (list, tuple)) and all(isinstance(name, str) for name in catalog):
        yield from catalog
