# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Origins of addresses: scheme, host and port, as they will be asked."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit

import requests


def origin_of(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of an address; None if it is not a valid one."""
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(url, None)  # names in other alphabets, and signs that libraries read differently
        parts = urlsplit(prepared.url or "")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except (ValueError, requests.RequestException):
        return None
    return (parts.scheme, parts.hostname.lower(), port) if parts.hostname else None


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    origin = origin_of(url)
    if origin is None:
        return False
    with suppress(ValueError):
        address = ipaddress.ip_address(origin[1])
        return address.is_loopback or address.is_unspecified  # connecting to 0.0.0.0 leads here
    return origin[1] in ("localhost", "localhost.")
