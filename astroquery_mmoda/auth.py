# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Tokens: reading them, finding them, and putting them on the wire. The only room that knows secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from astropy.time import Time
from astroquery import log
from requests import PreparedRequest
from requests.auth import AuthBase

from .config import conf
from .errors import AuthenticationError

__all__ = ["Token", "TokenAuth", "find_token", "is_loopback"]

_ENVIRONMENT = "ODA_TOKEN"
_FILE = ".oda-token"
_LARGEST_FILE = 100_000
_HOW = (
    "Get a token from the web page of the service (it lives 24 hours) and give it as Mmoda.login(token), in the "
    "environment variable ODA_TOKEN, or in a file ./.oda-token or ~/.oda-token."
)


@dataclass(frozen=True)
class Token:
    """
    A MMODA token, which never shows itself.

    Parameters
    ----------
    secret : str
        The text of the token, as the web page of the service gives it.

    Raises
    ------
    AuthenticationError
        The text is no token.
    """

    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        text = self.secret.strip() if isinstance(self.secret, str) else ""
        object.__setattr__(self, "secret", text)
        _ = self.claims  # an unreadable token should not travel

    @cached_property
    def claims(self) -> dict[str, Any]:
        """`dict`: what the token says of itself. Read, not verified: only the service can do that."""
        import jwt  # not at the top: it costs more to import than the rest of this package

        try:
            return dict(jwt.decode(self.secret, options={"verify_signature": False, "verify_exp": False}))
        except jwt.InvalidTokenError:
            pass
        # outside the except block, since the library's error may quote the text
        raise AuthenticationError(f"This text is no token (three parts with points between them). {_HOW}")

    @property
    def user(self) -> str:
        """`str`: e-mail address of its owner; empty if it names none."""
        return str(self.claims.get("sub") or self.claims.get("email") or "")

    @property
    def roles(self) -> list[str]:
        """`list` of `str`: roles that the service grants to its owner."""
        roles = self.claims.get("roles") or []
        return [
            role.strip() for role in (roles.split(",") if isinstance(roles, str) else map(str, roles)) if role.strip()
        ]

    @property
    def expires(self) -> Time | None:
        """`~astropy.time.Time` or None: end of its life; None if it has none."""
        seconds = self.claims.get("exp")
        return Time(float(seconds), format="unix") if isinstance(seconds, (int, float)) else None

    @property
    def expired(self) -> bool:
        """`bool`: whether its life is over by this machine's clock."""
        return self.expires is not None and bool(self.expires <= Time.now())

    @classmethod
    def discover(cls) -> Token | None:
        """Token of the environment or of a file, or None; expired and malformed ones are passed over."""
        found = find_token()
        return found[0] if found else None

    def __str__(self) -> str:
        return "<Token>"

    def __reduce__(self) -> Any:
        raise TypeError("A token is not pickled; let the other process find its own, or hand it over knowingly.")


def find_token() -> tuple[Token, str] | None:
    """
    Look for a token in the environment and in files.

    Returns
    -------
    tuple of Token and str, or None
        The first one that is not expired, and where it was.
    """
    for text, place in _places():
        try:
            token = Token(text)
        except AuthenticationError:
            log.warning("The token in %s is malformed or empty; it is passed over.", place)
            continue
        if token.expired:
            log.warning("The token in %s expired %s; it is passed over.", place, _since(token))
            continue
        log.info(
            "Using the token in %s%s.", place, f", which expires {token.expires.iso[:16]} UTC" if token.expires else ""
        )
        return token, place
    return None


def _places() -> Iterator[tuple[str, str]]:
    if _ENVIRONMENT in os.environ:
        yield os.environ[_ENVIRONMENT], "environment"
    for directory in (Path.cwd(), Path.home()):
        path = directory / _FILE
        try:
            if path.is_file() and path.stat().st_size <= _LARGEST_FILE:
                yield path.read_text(encoding="utf-8", errors="replace"), str(path)
        except OSError as error:
            log.warning("%s can't be read: %s", path, error.strerror)


def _since(token: Token) -> str:
    return token.expires.iso[:16] + " UTC" if token.expires is not None else ""


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    host = (urlsplit(url).hostname or "").lower()
    return host in ("localhost", "::1") or host.startswith("127.")


class TokenAuth(AuthBase):
    """
    Puts the token into a request: into the form of a POST, where the service takes it, else into the query.

    The request is changed after everything else is made, so the token is in no payload, cache key or saved job.

    Parameters
    ----------
    token : Token
        The secret.
    server : str
        The one address whose origin may receive it.
    """

    def __init__(self, token: Token, server: str) -> None:
        self._token = token
        self._origin = _origin(server)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the token to a request to the right place over a safe way."""
        url = request.url or ""
        if _origin(url) != self._origin:
            raise AuthenticationError("The token was not sent: the request goes to another server.")
        if urlsplit(url).scheme != "https" and not is_loopback(url) and not conf.insecure_http:
            raise AuthenticationError(
                "The token was not sent: over plain http others can read it. Use the https address of the service, or, "
                "if you know the network, set astroquery_mmoda.conf.insecure_http = True."
            )
        if self._token.expired:
            raise AuthenticationError(f"The token expired {_since(self._token)}. {_HOW}")
        if request.method == "POST":
            _into_form(request, {"token": self._token.secret})
        else:
            parts = urlsplit(url)
            query = "&".join(part for part in (parts.query, urlencode({"token": self._token.secret})) if part)
            request.url = urlunsplit(parts._replace(query=query))
        return request

    def __repr__(self) -> str:
        return "<TokenAuth>"


def _into_form(request: PreparedRequest, fields: Mapping[str, str]) -> None:
    body = request.body or ""
    text = body.decode("ascii") if isinstance(body, bytes) else str(body)
    request.prepare_body("&".join(part for part in (text, urlencode(fields)) if part), None)
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default
