# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""A connection: the address of a server, the HTTP client, and the user."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from astropy import units as u
from astropy.time import Time
from astroquery.exceptions import AuthenticationWarning

from ..auth.token import Token, TokenAuth
from ..errors import AuthenticationError, warn
from .http import Http, Patience
from .routes import Routes

if TYPE_CHECKING:
    from .account import Account


_SHORT_LIFE = 1 * u.hour


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
    http : Http
        Sends.
    account : Account
        Holds the token.
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
    http: Http = field(repr=False)
    account: Account = field(repr=False)
    email: str = ""
    anonymous: bool = True
    token: Token | None = field(default=None, repr=False)
    until: float = math.inf

    def __reduce__(self) -> tuple[Any, ...]:
        # a token is not sent to other processes by itself; there the account finds one of its own
        return Connection, (self.server, self.http, self.account, self.email, self.anonymous)

    def routes(self, patience: Patience | None = None) -> Routes:
        """The service's routes, with the present token of that user."""
        bearer = self._bearer()
        auth = TokenAuth(bearer, self.server) if bearer else None
        return Routes(self.server, self.http, auth, patience or Patience(self.until))

    def within(self, until: float) -> Connection:
        """The same until a moment on the monotonic clock (s)."""
        return replace(self, until=until)

    def throttled(self) -> Connection:
        """The same for many analyses at once: they share the pauses that the server asks for."""
        return replace(self, http=self.http.throttled())

    @property
    def expires(self) -> float | None:
        """`float` or None: when the present token expires, in seconds since 1970."""
        bearer = self._bearer()
        return bearer.claims.get("exp") if bearer else None

    def warn_of_short_life(self) -> None:
        """Warn whoever submits something that the token will soon expire."""
        token = self._bearer()
        if token is not None and token.expires is not None and token.expires - Time.now() < _SHORT_LIFE:
            warn(
                f"The token {token.lifetime}. An analysis that takes longer can be continued after a new login.",
                AuthenticationWarning,
            )

    def _bearer(self) -> Token | None:
        """Today's token of who asks."""
        if self.anonymous:
            return None
        token = self.token
        if token is None or token.expired:
            token = self.account.token(self.server) or token
        if token is None:
            raise AuthenticationError(f"This was asked in the name of {self.email or 'a user'}, whose token expired.")
        if token.email != self.email:
            raise AuthenticationError(
                f"This was asked in the name of {self.email}, and now the token of {token.email} is in use. Log in "
                "again with a token of the former."
            )
        return token
