# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Where an object is: what the service's resolver says, else Sesame (CDS)."""

from __future__ import annotations

import math
import time
from typing import Any

from astropy.coordinates import SkyCoord
from astroquery import log

from ..errors import JobTimeout, MmodaError, ParameterError
from ..service.routes import Routes
from ..service.sockets import answer_within
from ..text import printable

__all__ = ["find_position", "position_of"]


def find_position(name: str, routes: Routes) -> SkyCoord:
    """Find the position of an object (ICRS); `ParameterError` if nobody knows it."""
    return from_service(name, routes) or from_sesame(name, routes.patience.until)


def from_service(name: str, routes: Routes) -> SkyCoord | None:
    """What the service's resolver says, or None."""
    try:
        found = routes.resolve_name(name)
        return position_of(found["RA"], found["DEC"]) if "RA" in found else None
    except JobTimeout:
        raise
    except (MmodaError, KeyError, TypeError, ValueError, OverflowError) as error:
        log.debug("the service's name resolver: %s", error)
        return None


def position_of(ra: Any, dec: Any) -> SkyCoord:
    """Position of two numbers in degrees; `ValueError` or `TypeError` where they are none."""
    if isinstance(ra, bool) or isinstance(dec, bool):
        raise TypeError("a truth value")
    longitude, latitude = float(ra), float(dec)
    if not (math.isfinite(longitude) and abs(latitude) <= 90):
        raise ValueError(f"{longitude}, {latitude} are not a position")
    return SkyCoord(longitude, latitude, unit="deg")


def from_sesame(name: str, until: float = math.inf) -> SkyCoord:
    """What the resolver of CDS says before a moment on the monotonic clock (s)."""
    from astropy.coordinates.name_resolve import NameResolveError

    try:
        # it takes no timeout
        return answer_within(until - time.monotonic(), lambda: SkyCoord.from_name(name))
    except MmodaError:
        raise
    except Exception as error:  # of the resolver, the libraries below it, and a name that can't be sent
        if time.monotonic() >= until:
            raise JobTimeout(f"Sesame was asked for {printable(name)!r}, and did not answer in time.") from None
        unreachable = not isinstance(error, (NameResolveError, ValueError)) or "queries failed" in str(error)
        sesame = "Sesame can't be reached" if unreachable else "neither does Sesame"
        raise ParameterError(
            f"The service does not know an object {printable(name)!r}, and {sesame}. Give its position as a SkyCoord, "
            "or as a text such as '83.63 22.01'."
        ) from error
