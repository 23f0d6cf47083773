# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Where a token may be sent, and how it is kept out of logs."""

from __future__ import annotations

import logging
import re

from ..config import conf
from ..errors import AuthenticationError, without_frames
from ..origin import is_loopback, origin_of
from ..text import without_token
from .token import HOW_TO_GET_ONE, Token

_IN_QUERY = re.compile(r"([?&]token=)[^&\s\"']+")
_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


class TokenAuth:
    """
    A token for requests to one origin.

    Parameters
    ----------
    token : Token
        The secret.
    server : str
        The one address whose origin may receive it.

    Raises
    ------
    AuthenticationError
        It would go in clear to another machine.
    """

    def __init__(self, token: Token, server: str) -> None:
        self._token, self._origin, self.user = token, origin_of(server), token.email
        # before anything is asked for its sake
        _check_encryption(server)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_MASK)  # adding it again changes nothing

    @without_frames
    def secret_for(self, url: str) -> str:
        """Text of the token, if it may be sent to an address; it goes into the form or the query last of all."""
        if self._origin is None or origin_of(url) != self._origin:
            raise AuthenticationError("The token was not sent: the request goes to another server.")
        _check_encryption(url)
        if self._token.expired:
            raise AuthenticationError(f"The token {self._token.lifetime}. {HOW_TO_GET_ONE}")
        return self._token.secret

    @without_frames
    def masked(self, body: bytes) -> bytes:
        """Body of a reply without the token, which the service likes to send back."""
        return body.replace(self._token.secret.encode(), b"<token>")

    def __repr__(self) -> str:
        return "<TokenAuth>"


def _check_encryption(url: str) -> None:
    """Refuse to send a token in clear to another machine."""
    origin = origin_of(url)
    if origin is not None and origin[0] != "https" and not is_loopback(url) and not conf.insecure_http:
        raise AuthenticationError(
            "The token was not sent: over plain http others can read it. Use the https address of the service, or, "
            "if you know the network, set astroquery_mmoda.conf.insecure_http = True. Mmoda.logout() asks anonymously."
        )


class _TokenMask(logging.Filter):
    """Takes tokens out of the addresses that the HTTP library logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, masked."""
        record.msg, record.args = without_token(_IN_QUERY.sub(r"\1<token>", record.getMessage())), None
        record.exc_info = None  # of headers that can't be read, which quote them
        return True


_MASK = _TokenMask()
