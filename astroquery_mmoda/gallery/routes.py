# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The archive's routes of the service; none of them is ever given a token."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..config import conf
from ..dispatcher import _CONNECT_TIMEOUT, Answer, Dispatcher, NoAuth, _chunks, _describe
from ..errors import ServiceError

__all__ = ["Interrupted", "Stream", "source_page", "stream", "tap_sync", "tap_tables"]


class Interrupted(ServiceError):
    """A fault that may pass by itself."""


@dataclass(frozen=True)
class Stream:
    """A reply whose body is still to come."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


def tap_sync(dispatcher: Dispatcher, form: Mapping[str, str]) -> Answer:
    """Answer to an ADQL query, whatever it is."""
    return dispatcher._exchange("POST", "tap/sync", form=form)


def tap_tables(dispatcher: Dispatcher) -> Answer:
    """Description of the archive's tables."""
    return dispatcher._exchange("GET", "tap/tables")


def source_page(dispatcher: Dispatcher, name: str) -> Mapping[str, Any]:
    """What the gallery knows of an object; empty if nothing."""
    what = "the gallery's page of an object"
    query = {"src_name": name}
    answer = dispatcher._exchange("GET", "get_astro_entity_info_by_source_name", query, what=what)
    found = dispatcher._judged(answer, what)
    return found if isinstance(found, dict) else {}


@contextmanager
def stream(dispatcher: Dispatcher, url: str, headers: Mapping[str, str]) -> Iterator[Stream]:
    """
    One GET of any address, without a token, its body in pieces.

    Raises
    ------
    Interrupted
        By this or by its pieces: a fault that may pass, or no end within ``conf.timeout``.
    ServiceError
        A fault that won't pass.
    """
    timeout = float(conf.timeout)
    deadline = time.monotonic() + timeout
    fault: Exception | None = None
    try:
        response = dispatcher.request(
            "GET",
            url,
            auth=NoAuth(),
            headers=dict(headers),
            timeout=(min(_CONNECT_TIMEOUT, timeout), timeout),
            stream=True,
            allow_redirects=False,
        )
    except (OSError, ValueError) as error:  # all errors of requests, and what it says of odd redirects
        fault = error
    if fault is not None:
        raise _translated(fault)
    with response:
        yield Stream(response.status_code, response.headers, _until(deadline, _chunks(response)))


def _until(deadline: float, chunks: Iterator[bytes]) -> Iterator[bytes]:
    fault: OSError | None = None
    try:
        for chunk in chunks:
            yield chunk
            if time.monotonic() > deadline:
                raise Interrupted(f"it took longer than {conf.timeout:g} s (astroquery_mmoda.conf.timeout)")
    except OSError as error:
        fault = error
    if fault is not None:
        raise _translated(fault)


def _translated(error: Any) -> ServiceError:
    """Without the library's error: it quotes addresses."""
    if type(error) is ValueError:
        return ServiceError("it leads to something that is no address")
    passing, words = _describe(error)
    return Interrupted(words) if passing else ServiceError(words)
