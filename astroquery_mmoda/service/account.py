# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Who asks and how it is sent: the address, the token that is held, and the HTTP session that astroquery provides."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time
from astroquery import log
from astroquery.exceptions import AuthenticationWarning
from astroquery.query import QueryWithLogin

from ..auth import HOW_TO_GET_ONE, Found, Token, TokenAuth, discover, forget_in_keyring, from_prompt, store
from ..auth.token import EMAIL_OPTIONS
from ..config import Conf, conf
from ..errors import AuthenticationError, ParameterError, warn, without_frames
from ..request.metadata import InstrumentSchema
from ..text import printable
from .routes import Dispatcher, NoAuth, Patience
from .transport import BoundedSession, is_loopback, origin_of

__all__ = ["Connection", "MmodaSession"]

_SHORT_LIFE = 1 * u.hour


class MmodaSession(QueryWithLogin):
    """
    The part of the client that holds its address and its token.

    astroquery's metaclass wraps ``_login`` of a class into a ``login`` that returns nothing. It does so only for the
    class that defines ``_login``, which is this one, so that the ``login`` of `MmodaClass` can keep its promise.
    """

    def __init__(self, server: str | None = None) -> None:
        super().__init__()
        if server is not None and not isinstance(server, str):
            raise ParameterError(f"server= must be an address, not a {type(server).__name__}.")
        self._session: requests.Session = BoundedSession(like=self._session)
        self._server = server
        self._held: Found | None = None
        self._logged_in = False
        self._anonymous = False
        self._pid = os.getpid()
        self._metadata: dict[tuple[str, str, str], tuple[float, InstrumentSchema]] = {}
        self._positions: dict[tuple[str, str], SkyCoord] = {}
        # instruments of a server that it describes to a user only
        self._restricted: dict[tuple[str, str], set[str]] = {}
        self._told_of_other_server = ""

    # sessions, tokens and what was learned stay in their process
    def __getstate__(self) -> dict[str, Any]:
        return {"server": self._server, "cache_location": self._cache_location}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        type(self).__init__(self, state["server"])
        self._cache_location = state["cache_location"]

    @property
    def URL(self) -> str:  # noqa: N802 - astroquery's name for it
        """
        `str`: base address of the service; ``conf.server``, unless this client was given or is set another one.

        Examples
        --------
        >>> from astroquery_mmoda import MmodaClass
        >>> MmodaClass(server="https://mmoda.example.org/dispatch-data/").URL
        'https://mmoda.example.org/dispatch-data'
        """
        return _address(self._server or conf.server)

    @URL.setter
    def URL(self, server: str | None) -> None:  # noqa: N802
        self._server = server

    # ---- login and logout

    def _login(
        self, token: str | Token | None = None, *, store_token: bool = False, reenter_token: bool = False
    ) -> bool:
        found = self._find(token, reenter_token=reenter_token)
        if found.token.expired:
            raise AuthenticationError(f"The token {found.token.lifetime}. {HOW_TO_GET_ONE}")
        if store_token:
            self._bearing(found.token, found.server).check_token()
            store(found, "keyring", found.server)
        self._held, self._logged_in, self._anonymous = found, True, False
        return True

    def _find(self, token: str | Token | None, *, reenter_token: bool) -> Found:
        """The token that a login means: given, found, or asked for."""
        if token is not None:
            return Found(_as_token(token), "argument", self.URL)
        found = None if reenter_token else discover(self.URL).found
        return replace(found or Found(from_prompt(self.URL), "prompt"), server=self.URL)

    def logout(self, *, delete_stored: bool = False) -> None:
        """
        Forget the token; queries are anonymous until the next login.

        Parameters
        ----------
        delete_stored : bool
            Whether to remove what ``login(store_token=True)`` put into the keyring as well. Files stay.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.logout()
        """
        servers = {self.URL, *([self._held.server] if self._held else [])}
        self._held, self._logged_in, self._anonymous = None, False, True
        self._authenticated = False
        self._session.headers.pop("Authorization", None)
        self._metadata.clear()
        self._restricted.clear()
        for server in servers if delete_stored else ():
            forget_in_keyring(server)

    def authenticated(self) -> bool:
        """
        Tell whether a token is held that has not expired. Looks nowhere itself.

        Returns
        -------
        bool
            False for one that has expired, or where there is none.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.authenticated()
        False
        """
        return self._held is not None and not self._held.token.expired

    def session_info(self) -> dict[str, Any]:
        """
        Tell what the token says that is held, never the token itself.

        Returns
        -------
        dict
            ``user``, ``email``, ``roles`` (list), ``expires`` (`~astropy.time.Time` or None), ``email_options`` (dict,
            named as in `set_email_notifications`), ``location`` (``argument``, ``environment``, a path, ``keyring``
            or ``prompt``). None or empty if no token is held.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> Mmoda.session_info()["roles"]
        []
        """
        if self._held is None:
            return {"user": None, "email": None, "roles": [], "expires": None, "email_options": {}, "location": None}
        token = self._held.token
        expires: Time | None = token.expires
        return {
            "user": token.user,
            "email": token.email,
            "roles": token.roles,
            "expires": expires,
            "email_options": token.email_options,
            "location": self._held.place,
        }

    # ---- renewing

    def refresh_token(self, *, store_token: bool | str | tuple[str, ...] = True, force: bool = False) -> dict[str, Any]:
        """
        Let the service make the token live longer; this needs the role ``refresh-tokens``.

        Parameters
        ----------
        store_token : bool, str or tuple of str
            True: where the old one was found (one given by hand stays in memory). Or a place, or several:
            ``"keyring"``, ``"environment"`` (of this process), ``"cwd"``, ``"home"``. False: in memory only.
        force : bool
            Whether to take a token with a shorter life or fewer roles.

        Returns
        -------
        dict
            As `session_info`.

        Raises
        ------
        AuthenticationError
            No token, no right to refresh it, or the new one is worth less than the old one, which stays.
        ServiceError
            The service can't be asked.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> logged_in = Mmoda.login(example_token)  # the text that the web page gives you
        >>> before = Mmoda.session_info()["expires"]
        >>> print((Mmoda.refresh_token(store_token=False)["expires"] - before).to("day"))
        7.0 d
        """
        held = self._require()
        token = self._bearing(held.token, held.server).refreshed_token()
        return self._replace(held, token, places=store_token, force=force)

    def set_email_notifications(
        self,
        enabled: bool | None = None,  # noqa: FBT001 - positional in the contract
        *,
        submitted: bool | None = None,
        done: bool | None = None,
        failed: bool | None = None,
        timed_out: bool | None = None,
        min_duration: float | u.Quantity | None = None,
        submit_interval: float | u.Quantity | None = None,
        store_token: bool | str | tuple[str, ...] = True,
    ) -> dict[str, Any]:
        """
        Choose when the service sends you mail; the choice is part of the token.

        Parameters
        ----------
        enabled : bool, optional
            All four kinds of mail on or off.
        submitted, done, failed, timed_out : bool, optional
            One kind of mail.
        min_duration : float or Quantity, optional
            Mail on the end only of analyses that took longer, in s.
        submit_interval : float or Quantity, optional
            Least time between two mails on submissions, in s.
        store_token : bool, str or tuple of str
            Where the new token is kept, as in `refresh_token`.

        Returns
        -------
        dict
            As `session_info`.

        Raises
        ------
        ParameterError
            Nothing was chosen, or the service does not take it.
        AuthenticationError
            No token, or the service refuses it.
        ServiceError
            The service can't be asked.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda
        >>> logged_in = Mmoda.login(example_token)  # the text that the web page gives you
        >>> info = Mmoda.set_email_notifications(done=True, min_duration=600, store_token=False)
        >>> info["email_options"]["done"], info["email_options"]["min_duration"]
        (True, 600.0)
        """
        given = {"submitted": submitted, "done": done, "failed": failed, "timed_out": timed_out}
        chosen: dict[str, Any] = {name: enabled if value is None else value for name, value in given.items()}
        for name, value in chosen.items():
            if value is not None and not isinstance(value, (bool, np.bool_)):
                raise ParameterError(f"{name}={printable(value, limit=60)!r} must be True, False or None.")
        chosen |= {"min_duration": _seconds(min_duration), "submit_interval": _seconds(submit_interval)}
        options = {EMAIL_OPTIONS[name]: str(value) for name, value in chosen.items() if value is not None}
        if not options:
            raise ParameterError(f"Choose something: True or False for all mail, or {', '.join(chosen)}.")
        held = self._require()
        token = self._bearing(held.token, held.server).token_with_options(options)
        return self._replace(held, token, places=store_token)

    def _require(self) -> Found:
        """The token that is held or lies around, or an error."""
        if self._token(self.URL) is None or self._held is None:
            raise AuthenticationError(f"No token is held for {self.URL}. {HOW_TO_GET_ONE}")
        return self._held

    def _replace(
        self, held: Found, token: Token, *, places: bool | str | tuple[str, ...], force: bool = False
    ) -> dict[str, Any]:
        if not force:
            _refuse_worse(held.token, token)
        new = replace(held, token=token)
        if places:
            store(new, "same" if isinstance(places, bool) else places, held.server)
        self._held = new
        log.info("The new token %s.", token.lifetime)
        return self.session_info()

    # ---- which token

    def _token(self, server: str) -> Token | None:
        """The token of the login, or one that lies around where that is allowed, or None for an anonymous query."""
        if self._held is not None and self._held.token.expired:
            if self._logged_in:
                raise AuthenticationError(f"The token {self._held.token.lifetime}. {HOW_TO_GET_ONE}")
            self._held = None
        if self._held is None and not self._anonymous and conf.discover_token and _may_discover(server):
            discovery = discover()
            self._held = replace(discovery.found, server=server) if discovery.found else None
            if discovery.found is None and discovery.expired:
                warn(
                    f"Only expired tokens were found; going on anonymously. {HOW_TO_GET_ONE}",
                    AuthenticationWarning,
                )
        if self._held is not None and origin_of(self._held.server) != origin_of(server):
            self._keep_from(server, self._held)
            return None
        return self._held.token if self._held else None

    def _keep_from(self, server: str, held: Found) -> None:
        """Don't let a token go to another server than its own: the one that it was given or found for."""
        why = f"The token in use is for {printable(held.server)}, and does not go to {printable(server)}"
        if self._logged_in:
            raise AuthenticationError(
                f"{why}. Call Mmoda.login() again for that server, or Mmoda.logout() to ask it anonymously; "
                "Mmoda(server=...) makes a client of its own."
            )
        if self._told_of_other_server != server:
            self._told_of_other_server = server
            warn(f"{why}; going on anonymously. Mmoda.login() uses it there too.", AuthenticationWarning)

    def _connect(self, token: str | Token | None = None, server: str | None = None) -> Connection:
        """A way to the service for one question, in the name of whoever asks now."""
        server = server or self.URL
        own = None if token is None else _as_token(token)
        bearer = own or self._token(server)
        return Connection(self, server, bearer.email if bearer else "", anonymous=bearer is None, token=own)

    # ---- how it is sent

    def _bearing(self, token: Token | None, server: str) -> Dispatcher:
        auth = TokenAuth(token, server) if token else NoAuth()
        return Dispatcher(server, self._request, auth)

    def _request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        **options: Any,
    ) -> requests.Response:
        """
        Send one request over the session, and keep nothing of it.

        Not astroquery's own way, which switches its cache for all threads and all modules at once while a request is
        under way, and remembers the last request.
        """
        if self._pid != os.getpid():  # a session shared over a fork hangs
            self._pid = os.getpid()
            self._session = type(self)(self._server)._session
        return self._session.request(method, url, params=params, data=data, **options)

    def _response_hook(self, response: requests.Response, *args: Any, **kwargs: Any) -> None:
        """Tell of each request at DEBUG; astroquery's own hook would log tokens and copy every reply."""
        log.debug("%s %s: HTTP %d", response.request.method, urlsplit(response.url).path, response.status_code)


@dataclass(frozen=True)
class Connection:
    """
    A way to one server in the name of one user, for as long as an analysis takes, wherever its client goes meanwhile.

    The token is looked up at each request, so a fresh login counts at once; but only one of the same user, since the
    service would take another's question for another analysis.
    """

    client: MmodaSession = field(repr=False)
    server: str = ""
    email: str = ""
    anonymous: bool = True
    token: Token | None = field(default=None, repr=False)
    until: float = math.inf

    def __post_init__(self) -> None:
        object.__setattr__(self, "server", _address(self.server or self.client.URL))

    def dispatcher(self, patience: Patience | None = None) -> Dispatcher:
        """The service's routes, with today's token of that user."""
        return replace(
            self.client._bearing(None if self.anonymous else self._bearer(), self.server),
            patience=patience or Patience(self.until),
            restricted=self.client._restricted.setdefault((self.server, self.email), set()),
        )

    def within(self, until: float) -> Connection:
        """The same until a moment on the monotonic clock (s), for what is asked before an analysis."""
        return replace(self, until=until)

    def _bearer(self) -> Token:
        token = self.token
        if token is None or token.expired:
            token = self.client._token(self.server) or token
        if token is None:
            raise AuthenticationError(f"This was asked in the name of {self.email or 'a user'}, whose token is gone.")
        if token.email != self.email:
            raise AuthenticationError(
                f"This was asked in the name of {self.email}, and now the token of {token.email} is in use. Log in "
                "again with a token of the former."
            )
        return token

    @property
    def expires(self) -> float | None:
        """`float` or None: end of the life of today's token, in seconds since 1970."""
        end = None if self.anonymous else self._bearer().claims.get("exp")
        return None if end is None else float(end)

    def warn_of_short_life(self) -> None:
        """Tell whoever submits something that the token will soon be over."""
        token = None if self.anonymous else self._bearer()
        if token is not None and token.expires is not None and token.expires - Time.now() < _SHORT_LIFE:
            warn(
                f"The token {token.lifetime}. An analysis that takes longer can be continued after a new login.",
                AuthenticationWarning,
            )

    def warn_of_missing_roles(self, needed: Mapping[str, str]) -> None:
        """Tell whoever submits something that the service will refuse it, as far as its rules are known."""
        roles = [] if self.anonymous else self._bearer().roles
        missing = [f"{role} for {reason}" for role, reason in needed.items() if role not in roles]
        if missing:
            why = "nobody is logged in, and it needs" if self.anonymous else "the token lacks"
            warn(
                f"The service will probably refuse this, since {why} the role {'; and the role '.join(missing)}.",
                AuthenticationWarning,
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # a token goes to no other process by itself; there the client finds one of its own
        return Connection, (self.client, self.server, self.email, self.anonymous)


def _address(server: object) -> str:
    """Base address of a service; one with a password in it would be shown in messages, records and snippets."""
    address = str(server).rstrip("/")
    if "@" in address.partition("//")[2].partition("/")[0]:
        raise ParameterError(
            "The address of the service has a user name or a password in it (before @), which this package does not "
            "send. Write it without them: astroquery_mmoda.conf.server, or Mmoda(server=...)."
        )
    return address


def _may_discover(server: str) -> bool:
    """A token that was not handed over knowingly goes to the default server or to this machine only."""
    return is_loopback(server) or origin_of(server) == origin_of(str(Conf.server.defaultvalue))


@without_frames
def _as_token(token: str | Token) -> Token:
    return token if isinstance(token, Token) else Token(token)


def _seconds(value: float | u.Quantity | None) -> float | None:
    try:
        seconds = None if value is None else float(u.Quantity(value, u.s).value)
    except (TypeError, ValueError, OverflowError, u.UnitsError) as error:
        problem = f"{printable(value, limit=60)!r} is not a valid time span; give seconds or a Quantity."
        raise ParameterError(problem) from error
    if seconds is not None and not 0 <= seconds < math.inf:
        raise ParameterError(f"{seconds:g} s is not a valid time span; it must be zero or more, and finite.")
    return seconds


def _refuse_worse(old: Token, new: Token) -> None:
    """Keep a good token from being replaced by one that is worth less."""
    lost = sorted(set(old.roles) - set(new.roles))
    if lost:
        raise AuthenticationError(f"The new token lacks roles of the old one, which is kept: {', '.join(lost)}.")
    if new.expires is not None and (old.expires is None or new.expires < old.expires):
        raise AuthenticationError(
            f"The new token lives shorter than the old one, which is kept: it {new.lifetime}; the old one "
            f"{old.lifetime}. force=True takes it all the same, where that can be said."
        )
