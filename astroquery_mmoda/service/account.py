# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The account: the token that is held, for the server that it was given or found for; and connections in its name."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from astropy import units as u
from astropy.time import Time
from astroquery import log
from astroquery.exceptions import AuthenticationWarning

from ..auth.places import Found, Places, discover, forget_in_keyring, from_prompt, store
from ..auth.token import EMAIL_OPTIONS, HOW_TO_GET_ONE, Token, TokenAuth, moment_of
from ..config import DEFAULT_SERVER, conf
from ..errors import AuthenticationError, ParameterError, warn
from ..markup import facts_html, facts_text
from ..origin import is_loopback, origin_of
from ..text import printable
from ..units import seconds_of
from .http import Http, Patience
from .routes import Routes

_SHORT_LIFE = 3600.0  # s


@dataclass(frozen=True)
class Connection:
    """
    One server and one user, for as long as an analysis takes.

    The token is looked up at each request, so a fresh login counts at once; but only one of the same user, since the
    service would take the same request of another user for another analysis. ``Account.connect`` makes connections.

    Parameters
    ----------
    server : str
        Base address.
    account : Account
        Holds the token, and sends.
    email : str
        Who asks; empty if the token does not tell.
    anonymous : bool
        Whether nobody asks.
    token : Token, optional
        One that was given for these requests only.
    until : float
        Moment on the monotonic clock (s) at which an answer is of no use any more.
    """

    server: str
    account: Account = field(repr=False)
    email: str = ""
    anonymous: bool = True
    token: Token | None = field(default=None, repr=False)
    until: float = math.inf

    def __reduce__(self) -> tuple[Any, ...]:
        # a token is not sent to other processes by itself; there the account finds one of its own
        return Connection, (self.server, self.account, self.email, self.anonymous)

    def routes(self, patience: Patience | None = None) -> Routes:
        """The service's routes, with the present token of that user."""
        bearer = self._bearer()
        auth = TokenAuth(bearer, self.server) if bearer else None
        return Routes(self.server, self.account.http, auth, patience or Patience(self.until))

    def within(self, until: float) -> Connection:
        """The same until a moment on the monotonic clock (s)."""
        return replace(self, until=until)

    @property
    def expires(self) -> float | None:
        """`float` or None: when the present token expires, in seconds since 1970."""
        bearer = self._bearer()
        return bearer.claims.get("exp") if bearer else None

    @property
    def roles(self) -> list[str]:
        """`list` of `str`: roles of the present token."""
        bearer = self._bearer()
        return bearer.roles if bearer else []

    def warn_of_short_life(self) -> None:
        """Warn whoever submits something that the token will soon expire."""
        token = self._bearer()
        if token and token.expires is not None and token.expires.unix - time.time() < _SHORT_LIFE:
            advice = "An analysis that takes longer can be continued after a new login."
            warn(f"The token {token.lifetime}. {advice}", AuthenticationWarning)

    def _bearer(self) -> Token | None:
        """The valid token of the user of this connection, who may have logged in again; None without a token."""
        if self.anonymous:
            return None
        token = self.token
        if token is None or token.expired:
            token = self.account.token(self.server) or token
        if token is None or token.email != self.email:
            why = f"the token in use is of {printable(token.email)}" if token else "that token expired"
            asked = f"This was asked in the name of {printable(self.email)}, and {why}"
            raise AuthenticationError(f"{asked}. Log in again as that user.")
        return token


class SessionInfo(dict[str, Any]):
    """What a token says, shown as a small table."""

    def __repr__(self) -> str:
        return f"<SessionInfo>\n{facts_text(self._facts())}"

    def _repr_html_(self) -> str:
        return facts_html(self._facts(), title="MMODA session")

    def _facts(self) -> list[tuple[str, str]]:
        if not any(self.values()):
            return [("token", "none is held"), ("next", "Mmoda.login() uses one; most instruments need none")]
        shown = dict(self)
        # what the user has put in may be something else
        roles, expires, options = (shown.get(name) for name in ("roles", "expires", "email_options"))
        shown["roles"] = ", ".join(map(str, roles)) if isinstance(roles, list) else roles
        shown["expires"] = moment_of(expires) if isinstance(expires, Time) else "never" if expires is None else expires
        if isinstance(options, dict):
            shown["email_options"] = ", ".join(f"{name}={value}" for name, value in options.items())
        return [(name.replace("_", " "), printable(value or "", limit=300)) for name, value in shown.items()]


class Account:
    """
    Holds a token, and makes connections for its owner.

    Parameters
    ----------
    http : Http, optional
        Sends.
    """

    def __init__(self, http: Http | None = None) -> None:
        self.http = http or Http()
        self._held: Found | None = None
        self._logged_in = False
        #: whether not to look for a token
        self.anonymous = False
        #: whether to look for one in the keyring, too, without a login
        self.uses_keyring = False

    def __reduce__(self) -> tuple[Any, ...]:
        # tokens stay in their process
        return Account, ()

    def connect(self, server: str, token: Token | None = None) -> Connection:
        """A connection for the owner of a token given for it, or of the one held; else an anonymous one."""
        bearer = token or self.token(server)
        return Connection(server, self, bearer.email if bearer else "", anonymous=bearer is None, token=token)

    # ---- which token

    @property
    def authenticated(self) -> bool:
        """`bool`: whether a token is held that has not expired."""
        return self._held is not None and not self._held.token.expired

    def token(self, server: str) -> Token | None:
        """The token of the login, or one that is found where that is allowed, or None for an anonymous query."""
        if self._held is not None and self._held.token.expired:
            if self._logged_in:
                raise AuthenticationError(f"The token {self._held.token.lifetime}. {HOW_TO_GET_ONE}")
            self._held = None
        # one that was not given knowingly is sent to the default server or to this machine only
        is_usual = is_loopback(server) or origin_of(server) == origin_of(DEFAULT_SERVER)
        keyring = server if self.uses_keyring else None
        if self._held is None and not self.anonymous and conf.discover_token and (is_usual or keyring):
            found, expired = discover(keyring, only_keyring=not is_usual)
            self._held = replace(found, server=server) if found else None
            if expired and not found:
                warn(f"Only expired tokens were found; going on anonymously. {HOW_TO_GET_ONE}", AuthenticationWarning)
        if self._held is None or origin_of(self._held.server) == origin_of(server):
            return self._held.token if self._held else None
        why = f"The token in use is for {printable(self._held.server)}, and does not go to {printable(server)}"
        if self._logged_in:
            raise AuthenticationError(f"{why}. Mmoda.login() uses it there too, Mmoda.logout() asks anonymously.")
        warn(f"{why}; going on anonymously. Mmoda.login() uses it there too.", AuthenticationWarning)
        return None

    # ---- login and logout

    def login(
        self, server: str, token: Token | None, *, store_token: bool | Places = False, reenter_token: bool = False
    ) -> bool:
        """Hold a token that is given, found, or asked for; see ``Mmoda.login``."""
        found = Found(token, "argument") if token else None if reenter_token else discover(server)[0]
        found = replace(found or Found(from_prompt(server), "prompt"), server=server)
        if found.token.expired:
            raise AuthenticationError(f"The token {found.token.lifetime}. {HOW_TO_GET_ONE}")
        if store_token:
            self._routes(found).check_token()
            store(found, store_token if isinstance(store_token, Collection) else "keyring", server)
        self._held, self._logged_in, self.anonymous = found, True, False
        return True

    def logout(self, server: str = "", *, delete_stored: bool = False) -> None:
        """Forget the token; see ``Mmoda.logout``."""
        servers = {server, *([self._held.server] if self._held else [])}
        self._held, self._logged_in, self.anonymous = None, False, True
        for each in servers if delete_stored else ():
            forget_in_keyring(each)

    def info(self) -> dict[str, Any]:
        """What the token in use says; see ``Mmoda.session_info``."""
        names = ("user", "email", "roles", "expires", "email_options")
        if self._held is None:
            return SessionInfo(dict.fromkeys(names) | {"roles": [], "email_options": {}, "location": None})
        token = self._held.token
        return SessionInfo({name: getattr(token, name) for name in names} | {"location": self._held.place})

    def renew(
        self, server: str, options: Mapping[str, str] | None = None, *, store_token: bool | Places, force: bool = False
    ) -> dict[str, Any]:
        """Let the service make a new token, with a longer life or other e-mail options (by the names of the claims)."""
        held = self._held if self.token(server) else None
        if held is None:
            raise AuthenticationError(f"No token is held for {server}. {HOW_TO_GET_ONE}")
        new = replace(held, token=self._routes(held).new_token(options))
        if not force:
            _refuse_worse(held.token, new.token)
        if store_token:
            store(new, store_token if isinstance(store_token, Collection) else "same", held.server)
        self._held = new
        log.info("The new token %s.", new.token.lifetime)
        return self.info()

    def _routes(self, found: Found) -> Routes:
        return Routes(found.server, self.http, TokenAuth(found.token, found.server))


def facts_of_client(server: str, account: Account) -> list[tuple[str, str]]:
    """Where a client asks, in whose name as far as is known, and what can be done next; nothing is searched or sent."""
    try:
        address = printable(base_address(server), limit=200)
    except ParameterError as error:
        address = str(error)
    info = account.info()
    if account.authenticated:
        # a token without a name has the e-mail address as user, which not everybody who sees this needs to know
        login = "logged in" if info["user"] == info["email"] else f"logged in as {printable(info['user'], limit=100)}"
        login += f", until {moment_of(info['expires'])}" if info["expires"] is not None else ""
        following = "Mmoda.session_info() says more of the token"
    elif info["location"]:
        login, following = "the token expired", "Mmoda.login() uses another one, Mmoda.logout() asks anonymously"
    else:
        login, following = "not logged in", "Mmoda.list_instruments(); Mmoda.login() if an instrument needs a token"
    return [("service", address), ("login", login), ("next", following)]


def email_options(
    mails: Mapping[str, bool | None], spans: Mapping[str, float | u.Quantity | None], *, enabled: bool | None
) -> dict[str, str]:
    """Choices of ``Mmoda.set_email_notifications`` by the names of the claims; `ParameterError` if there is none."""
    chosen: dict[str, Any] = {name: enabled if value is None else value for name, value in mails.items()}
    for name, value in chosen.items():
        if value is not None and not isinstance(value, bool):
            raise ParameterError(f"{name}={printable(value, limit=60)!r} must be True, False or None.")
    chosen |= {name: seconds_of(span, name) for name, span in spans.items() if span is not None}
    if math.inf in chosen.values():
        raise ParameterError(f"{' and '.join(spans)} must be finite.")
    options = {EMAIL_OPTIONS[name]: str(value) for name, value in chosen.items() if value is not None}
    if not options:
        raise ParameterError(f"Choose something: True or False for all mail, or {', '.join(EMAIL_OPTIONS)}.")
    return options


def base_address(server: object) -> str:
    """Base address of a service; one with a password in it would be shown in messages, records and snippets."""
    address = str(server).rstrip("/")
    if "@" in address.partition("//")[2].partition("/")[0]:
        raise ParameterError("The address of the service (conf.server) must not have a user name or a password in it.")
    return address


def _refuse_worse(old: Token, new: Token) -> None:
    """Keep a good token from being replaced by one that is worth less."""
    lost = sorted(set(old.roles) - set(new.roles))
    if lost:
        raise AuthenticationError(f"The new token lacks roles of the old one, which is kept: {', '.join(lost)}.")
    if new.expires is not None and (old.expires is None or new.expires < old.expires):
        both = f"The new token {new.lifetime}, the old one, which is kept, {old.lifetime}"
        raise AuthenticationError(f"{both}; refresh_token(force=True) takes the new one.")
