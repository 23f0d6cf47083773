# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How fast one service is asked by all that goes on at once."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..config import conf
from ..service.account import Connection, MmodaSession
from ..service.routes import Dispatcher, Patience, asked_pause
from ..service.transport import Bounds

if TYPE_CHECKING:
    import requests

__all__ = ["PacedConnection", "between_looks"]


def between_looks() -> float:
    """Shortest time between two looks, of all analyses together, in s."""
    return 1.0 / float(conf.many_polls_per_second)


class Pace:
    """When the next request to a service may go; nothing goes while the service wants a pause (Retry-After)."""

    def __init__(self) -> None:
        self._free = 0.0

    def around(self, request: Callable[..., requests.Response]) -> Callable[..., requests.Response]:
        """The same way to send a request, at this pace."""

        def paced(*arguments: Any, timeout: Bounds, **options: Any) -> requests.Response:
            self._wait(timeout.deadline)
            response = request(*arguments, timeout=timeout, **options)
            self._mind(response)
            return response

        return paced

    def _wait(self, until: float) -> None:
        while (left := min(self._free, until) - time.monotonic()) > 0:
            time.sleep(left)

    def _mind(self, response: requests.Response) -> None:
        pause = asked_pause(response.headers.get("Retry-After", "")) if response.status_code in (429, 503) else None
        if pause is not None:
            self._free = max(self._free, time.monotonic() + pause)


# one per service for the whole process, so that it holds among threads of other people's executors too
_PACES: dict[str, Pace] = {}


class _Own(threading.local):
    """A client of each thread's own: sessions of the HTTP library are not made for several."""

    def __init__(self, client: MmodaSession, server: str) -> None:
        self.client = copy.copy(client)
        session = self.client._session
        # the library looks through the whole environment for proxies and certificates at each request
        found = session.merge_environment_settings(server, {}, None, None, None)
        session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
        session.trust_env = False


@dataclass(frozen=True)
class PacedConnection(Connection):
    """A way to the service for several threads, with one pace for all; where it is pickled, a plain one is left."""

    own: _Own | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, connection: Connection) -> PacedConnection:
        """Of a plain one."""
        return cls(
            connection.client,
            connection.server,
            connection.email,
            anonymous=connection.anonymous,
            token=connection.token,
            own=_Own(connection.client, connection.server),
        )

    def dispatcher(self, patience: Patience | None = None) -> Dispatcher:
        """The service's routes, with today's token of that user."""
        plain = super().dispatcher(patience)
        request = self.own.client._request if self.own else plain.request
        return replace(plain, request=_PACES.setdefault(plain.url, Pace()).around(request))
