# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Where an object is: what the service's resolver says, else Sesame (CDS)."""

from __future__ import annotations

import math
import time

from astropy.coordinates import SkyCoord
from astroquery import log

from ..errors import JobTimeout, MmodaError, ParameterError
from ..service.routes import Routes
from ..service.sockets import answer_within
from ..text import printable
from .values import sky_position


def find_position(name: str, routes: Routes) -> SkyCoord:
    """Position of an object (ICRS); `ParameterError` if neither resolver knows it."""
    try:
        found = routes.resolve_name(name)
        if "RA" in found:
            return sky_position((found["RA"], found.get("DEC")))
    except JobTimeout:
        raise
    except MmodaError as error:
        log.debug("the service's name resolver: %s", error)
    return from_sesame(name, routes.patience.until)


def from_sesame(name: str, until: float = math.inf) -> SkyCoord:
    """Position of an object by the resolver of CDS, before a moment on the monotonic clock (s)."""
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
