# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""`Token`: the secret, and what it says of itself."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

from astropy import units as u
from astropy.time import Time

from ..errors import AuthenticationError, without_frames

HOW_TO_GET_ONE = (
    "Get a token from the web page of the service (it is valid for 24 hours) and give it as Mmoda.login(token), in the "
    "environment variable ODA_TOKEN, or in the file ./.oda-token or ~/.oda-token."
)
# the library that reads it passes over other characters
_FORM = re.compile(r"[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]*")
#: our names of the service's e-mail options -> the claims of a token
EMAIL_OPTIONS = {
    "submitted": "mssub",
    "done": "msdone",
    "failed": "msfail",
    "timed_out": "mstout",
    "min_duration": "tem",
    "submit_interval": "intsub",
}


@dataclass(frozen=True, repr=False)
class Token:
    """
    A MMODA token, whose text is not shown anywhere.

    What it says is read, not verified: only the service can do that.

    Parameters
    ----------
    secret : str
        The text of the token, as the web page of the service gives it.

    Raises
    ------
    AuthenticationError
        The text is not a token.

    Examples
    --------
    >>> from astroquery_mmoda import Token
    >>> token = Token(example_token)  # the text that the web page gives you
    >>> token.user, token.roles, token.expired
    ('An Astronomer', ['general', 'refresh-tokens'], False)
    >>> token.email, token.claims["sub"], token.email_options["done"]
    ('astronomer@example.org', 'astronomer@example.org', False)
    >>> token.expires.scale, token.lifetime
    ('utc', 'expires ... UTC (in ... h)')
    """

    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "secret", self.secret.strip() if isinstance(self.secret, str) else "")
        _ = self.claims, self.expires  # or an error

    @cached_property
    def claims(self) -> dict[str, Any]:
        """`dict`: all that the token says, by the service's names."""
        claims = _claims(self)
        if claims is None:
            _refuse(self)
        return claims

    @property
    def user(self) -> str:
        """`str`: name of its owner, or the e-mail address if it tells no name."""
        return str(self.claims.get("name") or self.email)

    @property
    def email(self) -> str:
        """`str`: e-mail address of its owner, by which the service knows people; empty if it tells none."""
        return str(self.claims.get("sub") or self.claims.get("email") or "")

    @property
    def roles(self) -> list[str]:
        """`list` of `str`: what the service lets its owner do."""
        roles = self.claims.get("roles") or []
        if not isinstance(roles, (str, list)):
            return []
        names = roles.split(",") if isinstance(roles, str) else [str(role) for role in roles]
        return [name.strip() for name in names if name.strip()]

    @property
    def expires(self) -> Time | None:
        """`~astropy.time.Time` or None: when it expires (UTC); None if it does not."""
        if self._end is None:
            return None
        end = Time(self._end, format="unix")
        end.format = "isot"  # to be read by a person
        return end

    @property
    def _end(self) -> float | None:
        """The same in seconds since 1970: looked at several times for each request, where a Time would take long."""
        seconds = self.claims.get("exp")
        if seconds is None:
            return None
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e11:
            _refuse(self)
        return float(seconds)

    @property
    def expired(self) -> bool:
        """`bool`: whether it has expired, by the clock of this machine."""
        return self._end is not None and self._end <= time.time()

    @property
    def email_options(self) -> dict[str, Any]:
        """`dict`: when the service sends mail, by the names of ``set_email_notifications``; times in s."""
        return {name: self.claims[claim] for name, claim in EMAIL_OPTIONS.items() if claim in self.claims}

    @property
    def lifetime(self) -> str:
        """`str`: when it expires or expired, in words."""
        if self.expires is None:
            return "does not expire"
        hours = float((self.expires - Time.now()).to_value(u.hour))
        moment = f"{self.expires.iso[:16]} UTC"
        span = f"{abs(hours):.1f} h" if abs(hours) < 48 else f"{abs(hours) / 24:.0f} days"
        return f"expires {moment} (in {span})" if hours > 0 else f"expired {moment} ({span} ago)"

    @classmethod
    def discover(cls) -> Token | None:
        """
        Find a token in ``ODA_TOKEN``, ``./.oda-token`` or ``~/.oda-token``.

        Returns
        -------
        Token or None
            The first that is neither malformed nor expired; None if there is none.

        Examples
        --------
        >>> import os
        >>> from astroquery_mmoda import Token
        >>> os.environ["ODA_TOKEN"] = example_token  # the text that the web page gives you
        >>> Token.discover().user
        'An Astronomer'
        """
        from .places import discover

        found = discover().found
        return found.token if found else None

    def __repr__(self) -> str:
        return f"<Token: {self.lifetime}>"

    def __str__(self) -> str:
        return repr(self)

    def __copy__(self) -> Token:
        return self

    def __deepcopy__(self, memo: Any) -> Token:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A token is not pickled, so that it goes nowhere unseen. Let the other process find its own, or hand over "
            "token.secret knowingly."
        )


@dataclass(frozen=True)
class Handed:
    """A token that was knowingly given for a worker: unlike `Token` it is pickled; its text is not shown either."""

    secret: str = field(repr=False)

    @without_frames
    def token(self) -> Token:
        """The token itself, on arrival."""
        return Token(self.secret)


@without_frames
def as_token(token: str | Token | None) -> Token | None:
    """A token that does not show its text; `AuthenticationError` if this is not one."""
    return token if token is None or isinstance(token, Token) else Token(token)


@without_frames
def token_of(body: bytes) -> Token | None:
    """Token that a body is, or None if it is something else."""
    try:
        return Token(body.decode("ascii"))
    except (AuthenticationError, UnicodeDecodeError):
        return None


@without_frames
def _claims(token: Token) -> dict[str, Any] | None:
    """What a token says, or None if it is not one; neither the library's errors nor its frames are kept."""
    import jwt  # not at the top: it takes longer to import than the rest of this package

    if not _FORM.fullmatch(token.secret):
        return None
    try:
        return dict(jwt.decode(token.secret, options={"verify_signature": False, "verify_exp": False}))
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):
        return None


def _refuse(token: Token) -> NoReturn:
    what = "not a valid token (three parts with points between them)" if token.secret else "No token was given"
    raise AuthenticationError(f"{what}. {HOW_TO_GET_ONE}")
