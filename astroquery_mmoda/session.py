# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Who asks and how it is sent: the address, the token that is held, and the HTTP session that astroquery provides."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from astropy.coordinates import SkyCoord
from astroquery import log
from astroquery.exceptions import AuthenticationWarning
from astroquery.query import QueryWithLogin

from .auth import Token, TokenAuth, find_token, is_loopback
from .config import Conf, conf
from .dispatcher import Dispatcher, NoAuth
from .errors import AuthenticationError
from .parameters import InstrumentSchema

__all__ = ["MmodaSession"]


class MmodaSession(QueryWithLogin):
    """
    The part of the client that holds its address and its token.

    astroquery's metaclass wraps ``_login`` of a class into a ``login`` that returns nothing. It does so only for the
    class that defines ``_login``, which is this one, so that the ``login`` of `MmodaClass` can keep its promise.
    """

    def __init__(self, server: str | None = None) -> None:
        super().__init__()
        self._server = server
        self._start()

    def _start(self) -> None:
        """What belongs to this process and is never carried to another."""
        self._token: Token | None = None
        self._token_place = ""
        self._logged_in = False
        self._anonymous = False
        self._pid = os.getpid()
        self._metadata: dict[tuple[str, str, str], tuple[float, InstrumentSchema]] = {}
        self._positions: dict[tuple[str, str], SkyCoord] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"server": self._server, "cache_location": self._cache_location}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        type(self).__init__(self, state["server"])
        self._cache_location = state["cache_location"]

    @property
    def URL(self) -> str:  # noqa: N802 - astroquery's name for it
        """`str`: base address of the service."""
        return str(self._server or conf.server).rstrip("/")

    @URL.setter
    def URL(self, server: str | None) -> None:  # noqa: N802
        self._server = server

    # ---- who asks

    def _login(
        self, token: str | Token | None = None, *, store_token: bool = False, reenter_token: bool = False
    ) -> bool:
        if store_token or reenter_token:
            raise AuthenticationError("This version can't use the keyring or ask for a token; give it as login(token).")
        found = (_as_token(token), "argument") if token is not None else find_token()
        if found is None:
            raise AuthenticationError(
                "No usable token found. Get one from the web page of the service (it lives 24 hours) and give it as "
                "login(token), in the environment variable ODA_TOKEN, or in the file ./.oda-token or ~/.oda-token."
            )
        if found[0].expired:
            raise AuthenticationError("This token has expired. Get a new one from the web page of the service.")
        self._token, self._token_place = found
        self._logged_in, self._anonymous = True, False
        return True

    def logout(self) -> None:
        """Forget the token; queries are anonymous until the next login."""
        self._token, self._token_place = None, ""
        self._logged_in, self._anonymous = False, True
        self._session.cookies.clear()
        self._metadata.clear()

    def authenticated(self) -> bool:
        """Tell whether a token is held that has not expired."""
        return self._token is not None and not self._token.expired

    def _token_for(self, token: str | Token | None) -> Token | None:
        """The token of one call: its own, the login's, or one that lies around, where that is allowed."""
        if token is not None:
            return _as_token(token)
        if self._token is not None and self._token.expired and not self._logged_in:
            warnings.warn("The token has expired; going on without.", AuthenticationWarning, stacklevel=6)
            self._token = None
        if self._token is None and not self._anonymous and conf.discover_token and self._may_discover():
            found = find_token()
            if found:
                self._token, self._token_place = found
        return self._token

    def _may_discover(self) -> bool:
        """A token that was not handed over knowingly goes to the default server or to this machine only."""
        default = urlsplit(Conf.server.defaultvalue)
        here = urlsplit(self.URL)
        return is_loopback(self.URL) or (here.scheme, here.netloc) == (default.scheme, default.netloc)

    # ---- how it is sent

    def _dispatcher(self, token: str | Token | None = None) -> Dispatcher:
        held = self._token_for(token)
        return Dispatcher(self.URL, self._request, TokenAuth(held, self.URL) if held else NoAuth())

    def _request(self, *args: Any, **kwargs: Any) -> requests.Response:
        if self._pid != os.getpid():  # a session shared over a fork hangs
            self._pid = os.getpid()
            self._session: requests.Session = type(self)(self._server)._session
        return super()._request(*args, **kwargs)

    def _response_hook(self, response: requests.Response, *args: Any, **kwargs: Any) -> None:
        """Tell of each request at DEBUG; astroquery's own hook would log tokens and copy every reply."""
        log.debug("%s %s: HTTP %d", response.request.method, urlsplit(response.url).path, response.status_code)


def _as_token(token: str | Token) -> Token:
    return token if isinstance(token, Token) else Token(token)
