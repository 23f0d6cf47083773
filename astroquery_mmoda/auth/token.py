# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Tokens: their claims, where they may be sent, and how they are kept out of logs."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NoReturn

from astropy.time import Time

from ..config import conf
from ..errors import AuthenticationError, without_frames
from ..origin import is_loopback, origin_of
from ..text import without_token

HOW_TO_GET_ONE = (
    "Get a token from the web page of the service (it is valid for 24 hours) and give it as Mmoda.login(token), in the "
    "environment variable ODA_TOKEN, or in the file ./.oda-token or ~/.oda-token."
)
# the library that reads it passes over other characters
_FORM = re.compile(r"[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]*")
_IN_QUERY = re.compile(r"([?&]token=)[^&\s\"']+")
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

    Its claims are read, not verified: only the service can do that.

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
        end = self.claims.get("exp")
        if not self.claims or not (end is None or (isinstance(end, (int, float)) and 0 <= end < 1e11)):
            what = "not a valid token (three parts with points between them)" if self.secret else "No token was given"
            raise AuthenticationError(f"{what}. {HOW_TO_GET_ONE}")

    @cached_property
    @without_frames
    def claims(self) -> dict[str, Any]:
        """`dict`: all that the token says, by the service's names."""
        import jwt  # not at the top: it takes longer to import than the rest of this package

        if not _FORM.fullmatch(self.secret):
            return {}
        try:
            return dict(jwt.decode(self.secret, options={"verify_signature": False, "verify_exp": False}))
        except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):
            return {}

    @property
    def user(self) -> str:
        """`str`: name of its owner, or the e-mail address if it tells no name."""
        return str(self.claims.get("name") or self.email)

    @property
    def email(self) -> str:
        """`str`: e-mail address of its owner, by which the service identifies users; empty if it has none."""
        return str(self.claims.get("sub") or self.claims.get("email") or "")

    @property
    def roles(self) -> list[str]:
        """`list` of `str`: what the service lets its owner do."""
        roles = self.claims.get("roles")
        names = roles if isinstance(roles, list) else str(roles or "").split(",")
        return [str(name).strip() for name in names if str(name).strip()]

    @property
    def expires(self) -> Time | None:
        """`~astropy.time.Time` or None: when it expires (UTC); None if it does not."""
        end = self.claims.get("exp")
        return None if end is None else Time(Time(end, format="unix"), format="isot")  # to be read by a person

    @property
    def expired(self) -> bool:
        """`bool`: whether it has expired, by the clock of this machine."""
        end = self.claims.get("exp")  # asked for several times for each request, where a Time would take long
        return end is not None and end <= time.time()

    @property
    def email_options(self) -> dict[str, Any]:
        """`dict`: when the service sends mail, by the names of ``set_email_notifications``; times in s."""
        return {name: self.claims[claim] for name, claim in EMAIL_OPTIONS.items() if claim in self.claims}

    @property
    def lifetime(self) -> str:
        """`str`: when it expires or expired, in words."""
        if self.expires is None:
            return "does not expire"
        return f"{'expired' if self.expired else 'expires'} {moment_of(self.expires)}"

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

        found, _ = discover()
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
        raise TypeError("A token is not pickled; let the other process find its own, or pass on token.secret.")


def moment_of(moment: Time) -> str:
    """A time in words, such as ``2026-12-01 12:00 UTC (in 3.5 h)``."""
    seconds = float(moment.unix)
    hours = (seconds - time.time()) / 3600
    span = f"{abs(hours):.1f} h" if abs(hours) < 48 else f"{abs(hours) / 24:.0f} days"
    # astropy would warn of years of which leap seconds are not known
    utc = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    return f"{utc} ({f'in {span}' if hours > 0 else f'{span} ago'})"


@without_frames
def as_token(token: str | Token | None) -> Token | None:
    """A token that does not show its text; `AuthenticationError` if this is not one."""
    return token if token is None or isinstance(token, Token) else Token(token)


# ---- requests


class TokenAuth:
    """A token for requests to one origin, that of a server; `AuthenticationError` if it would go there in clear."""

    def __init__(self, token: Token, server: str) -> None:
        self._token, self._origin = token, origin_of(server)
        # before any request is made for it
        if self._origin and self._origin[0] != "https" and not is_loopback(server) and not conf.insecure_http:
            advice = "Use https, or, if you know the network, set astroquery_mmoda.conf.insecure_http = True."
            raise AuthenticationError(f"The token was not sent: over plain http others can read it. {advice}")
        for name in ("urllib3.connectionpool", "urllib3.util.retry"):
            logging.getLogger(name).addFilter(_MASK)  # adding it again changes nothing

    @without_frames
    def secret_for(self, url: str) -> str:
        """Text of the token, if it may be sent to an address; added to the form or the query as the last step."""
        if self._origin is None or origin_of(url) != self._origin:
            raise AuthenticationError("The token was not sent: the request goes to another server.")
        if self._token.expired:
            raise AuthenticationError(f"The token {self._token.lifetime}. {HOW_TO_GET_ONE}")
        return self._token.secret

    @without_frames
    def masked(self, body: bytes) -> bytes:
        """Body of a reply without the token, which the service often sends back."""
        return body.replace(self._token.secret.encode(), b"<token>")


class _TokenMask(logging.Filter):
    """Takes tokens out of the addresses that the HTTP library logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, masked."""
        record.msg, record.args = without_token(_IN_QUERY.sub(r"\1<token>", record.getMessage())), None
        record.exc_info = None  # of headers that can't be read, which quote them
        return True


_MASK = _TokenMask()
