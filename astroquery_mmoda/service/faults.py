# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What errors of the HTTP library mean, in words without an address or a form."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from typing import TypeVar

import requests
import urllib3

from ..config import conf
from ..errors import MmodaError, ServiceError, bare
from .sockets import Bounds, TooLarge

#: HTTP status of an answer in the place of which another one may come later
PASSING = frozenset({429, 502, 503, 504})

_Result = TypeVar("_Result")


class Fault(ServiceError):
    """
    There is no answer.

    Parameters
    ----------
    message : str
        What was wrong, without an address.
    passing : bool
        Whether it may pass by itself.
    pause : float, optional
        For how long the server wants to be left alone, in s.
    """

    def __init__(self, message: str = "", *, passing: bool = True, pause: float | None = None) -> None:
        super().__init__(message)
        self.passing, self.pause = passing, pause


def translated(action: Callable[[], _Result], bounds: Bounds, *, known: bool) -> _Result:
    """
    What a function of the HTTP library gives.

    Errors are raised anew, and nothing of the library's error is kept: it quotes addresses, and the frames in its
    traceback hold forms with tokens, also where Ctrl-C came in the middle.
    """
    problem: BaseException
    try:
        return action()
    except MmodaError as error:
        problem = bare(error)
    except Exception as error:
        problem = _fault(error, bounds, known=known)
    except BaseException as error:
        problem = bare(error)
    raise problem


_ADDRESS = "this is not a valid address, or that of the proxy is not"
_SCHEME = "only http and https addresses work (and SOCKS proxies where PySocks is installed)"
_CERTIFICATE = "its certificate could not be verified"
_UNKNOWN_HOST = "unknown host"
# words of the library -> whether the fault may pass, and what it is
_FAULTS = (
    ("URLSchemeUnknown|InvalidSchema", False, _SCHEME),
    ("InvalidURL|MissingSchema|LocationParseError", False, _ADDRESS),
    ("connect timeout=", True, "no connection in time"),
    ("timed out", True, "nothing came for {idle:g} s (astroquery_mmoda.conf.idle_timeout)"),
    ("EOF occurred", True, "the encrypted connection was closed"),
    ("CERTIFICATE_VERIFY_FAILED|CertificateError", False, _CERTIFICATE),
    ("SSLError", False, "no encrypted connection can be made; it may be an http address, or an old server"),
    ("Name or service not known|nodename nor servname|No address associated", False, _UNKNOWN_HOST),
    ("Connection refused", True, "connection refused"),
    ("reset by peer", True, "connection reset"),
    ("IncompleteRead|Response ended prematurely", True, "the reply was cut"),
    ("failed to decode", True, "the reply can't be decompressed"),
)
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, ConnectionError)


def _fault(error: Exception, bounds: Bounds, *, known: bool) -> Fault:
    """What was wrong, in words without an address or a form, and whether it may pass by itself."""
    words = ""
    made_of: BaseException | None = error
    while made_of is not None and len(words) < 10_000:
        words += f"{type(made_of).__name__} {made_of} "
        made_of = made_of.__cause__ or made_of.__context__
    if isinstance(error, TooLarge):
        limit = f"{bounds.size} bytes (astroquery_mmoda.conf.max_reply_size)"
        return Fault(f"the reply is larger than {limit}; not all of it was read", passing=False)
    if refused := re.search(r"Tunnel connection failed: (\d{3})", words):
        passing = int(refused[1]) in PASSING
        return Fault(f"the proxy refused to connect (HTTP status {refused[1]})", passing=passing)
    if bounds.over:
        return Fault(f"no complete reply within {conf.timeout:g} s (astroquery_mmoda.conf.timeout)")
    for signs, passing, meaning in _FAULTS:
        if re.search(signs, words):
            # a host that was there before is away with the network, such as that of an institute behind a VPN
            passing = passing or (known and meaning is _UNKNOWN_HOST)
            return Fault(meaning.format(idle=bounds.idle), passing=passing)
    what = type(error).__name__
    if isinstance(error, _BROKEN):
        return Fault(f"the connection failed ({what})")
    # such as a file of certificates that is not there
    return Fault(f"the request can't be made, or its answer read ({what}); see REQUESTS_CA_BUNDLE", passing=False)
