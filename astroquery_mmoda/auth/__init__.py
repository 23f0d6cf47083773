# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Tokens: reading them, finding and keeping them, and where they may be sent. No other package knows secrets."""

from .places import Found, discover, forget_in_keyring, from_keyring, from_prompt, store
from .request_auth import TokenAuth
from .token import HOW_TO_GET_ONE, Handed, Token, as_token, token_of

__all__ = [
    "HOW_TO_GET_ONE",
    "Found",
    "Handed",
    "Token",
    "TokenAuth",
    "as_token",
    "discover",
    "forget_in_keyring",
    "from_keyring",
    "from_prompt",
    "store",
    "token_of",
]
