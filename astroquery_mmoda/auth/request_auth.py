# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The token on the wire, and out of everybody's logs."""

from __future__ import annotations

import logging
import re
from urllib.parse import urlencode, urlsplit, urlunsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from ..config import conf
from ..errors import AuthenticationError, without_frames
from ..origin import is_loopback, origin_of
from ..text import without_token
from .token import HOW_TO_GET_ONE, Token

__all__ = ["TokenAuth"]

_IN_QUERY = re.compile(r"([?&]token=)[^&\s\"']+")
_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


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

    Raises
    ------
    AuthenticationError
        It would go in clear to another machine.
    """

    def __init__(self, token: Token, server: str) -> None:
        self._token = token
        self._origin = origin_of(server)
        # before anything is asked for its sake
        _check_way(server)
        _mask_logs()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the token to a request, if it goes to the right place over a safe way."""
        url = request.url or ""
        self._check(url)
        if request.method == "POST":
            _into_form(request, self._token.secret)
        else:
            parts = urlsplit(url)
            query = "&".join(part for part in (parts.query, urlencode({"token": self._token.secret})) if part)
            request.url = urlunsplit(parts._replace(query=query))
        return request

    def _check(self, url: str) -> None:
        if self._origin is None or origin_of(url) != self._origin:
            raise AuthenticationError("The token was not sent: the request goes to another server.")
        _check_way(url)
        if self._token.expired:
            raise AuthenticationError(f"The token {self._token.lifetime}. {HOW_TO_GET_ONE}")

    @without_frames
    def masked(self, body: bytes) -> bytes:
        """Body of a reply without the token, which the service likes to send back."""
        return body.replace(self._token.secret.encode(), b"<token>")

    def __repr__(self) -> str:
        return "<TokenAuth>"


def _check_way(url: str) -> None:
    """Refuse to send a token in clear to another machine."""
    origin = origin_of(url)
    if origin is not None and origin[0] != "https" and not is_loopback(url) and not conf.insecure_http:
        raise AuthenticationError(
            "The token was not sent: over plain http others can read it. Use the https address of the service, or, "
            "if you know the network, set astroquery_mmoda.conf.insecure_http = True. Mmoda.logout() asks anonymously."
        )


def _into_form(request: PreparedRequest, secret: str) -> None:
    kind = str(request.headers.get("Content-Type") or "")
    boundary = re.fullmatch(r"multipart/form-data; boundary=([0-9A-Za-z]+)", kind)
    if boundary and isinstance(request.body, bytes):
        # one more part in front of the others
        head = f'--{boundary[1]}\r\nContent-Disposition: form-data; name="token"\r\n\r\n'
        request.body = f"{head}{secret}\r\n".encode() + request.body
        request.prepare_content_length(request.body)
        return
    text = request.body or ""
    if not isinstance(text, str):
        raise AuthenticationError("The token was not sent: the request has no form to put it into.")
    request.prepare_body("&".join(part for part in (text, urlencode({"token": secret})) if part), None)
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"


class _TokenMask(logging.Filter):
    """Takes tokens out of the addresses that the HTTP library logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, masked."""
        if isinstance(record.args, tuple):
            record.args = tuple(_masked(value) for value in record.args)
        record.msg = _masked(record.msg)
        record.exc_info = None  # of headers that can't be read, which quote them
        return True


def _masked(value: object) -> object:
    if isinstance(value, (int, float)) or value is None:
        return value
    text = str(value)
    masked = without_token(_IN_QUERY.sub(r"\1<token>", text))
    return value if masked == text else masked


_MASK = _TokenMask()


def _mask_logs() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_MASK)  # adding it again changes nothing
