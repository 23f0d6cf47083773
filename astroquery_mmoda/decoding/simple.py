# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Products that are handed over as they are: pictures, files of any kind, texts."""

from __future__ import annotations

import hashlib
from typing import Any

from ..allowance import Allowance
from ..errors import DecodingError, reading
from ..text import printable
from .envelope import decode_base64

__all__ = ["read_binary", "read_picture"]


def read_picture(entry: Any, *, what: str = "picture", allowance: Allowance | None = None) -> bytes:
    """
    Read one element of ``binary_image_product_list``; its pixels are not looked at.

    Parameters
    ----------
    entry : dict
        The element.
    what : str
        Short name of it for error messages.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    bytes
        The picture as a file would have it.
    """
    with reading(what):
        if not isinstance(entry, dict):
            raise DecodingError(f"expected a dictionary, got {type(entry).__name__}")
        return decode_base64(_encoded(entry, "b64data"), urlsafe=True, allowance=allowance)


def read_binary(entry: Any, *, what: str = "file", allowance: Allowance | None = None) -> bytes:
    """
    Read one element of ``binary_data_product_list``.

    Parameters
    ----------
    entry : dict or str
        The element; old servers send the encoded bytes alone.
    what : str
        Short name of it for error messages.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    bytes

    Raises
    ------
    DecodingError
        If it is no base64, or the bytes do not have the MD5 sum that came with them.
    """
    with reading(what):
        if isinstance(entry, str):
            return decode_base64(entry, urlsafe=True, allowance=allowance)
        if not isinstance(entry, dict):
            raise DecodingError(f"expected a dictionary or a text, got {type(entry).__name__}")
        data = decode_base64(_encoded(entry, "data"), urlsafe=True, allowance=allowance)
        told = entry.get("md5")
        if told is not None:
            # it tells damage, not intent
            found = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if str(told).strip().lower() != found:
                raise DecodingError(f"its MD5 sum is {found}, but {printable(told, limit=60)} was announced")
        return data


def _encoded(entry: dict[str, Any], key: str) -> str:
    text = entry.get(key)
    if not isinstance(text, str):
        raise DecodingError(f"expected base64 text as {key!r}, got {type(text).__name__}")
    return text
