# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What bytes are wrapped in: base64, checked strictly, and gzip, opened up to a limit."""

from __future__ import annotations

import binascii
import zlib

from ..config import conf
from ..errors import DecodingError

__all__ = ["decode_base64", "unzipped"]

_URLSAFE = bytes.maketrans(b"-_+/", b"+/??")


def decode_base64(text: str | bytes, *, urlsafe: bool = False) -> bytes:
    """
    Decode base64, refusing any character outside of its alphabet and any missing padding.

    Parameters
    ----------
    text : str or bytes
        The encoded bytes, without line ends.
    urlsafe : bool
        Whether the alphabet is the one with ``-`` and ``_``.
    """
    if not isinstance(text, (str, bytes)):
        raise DecodingError(f"expected base64 text, got {type(text).__name__}")
    if len(text) // 4 * 3 > conf.max_product_size:
        raise DecodingError(f"{len(text) // 4 * 3} bytes are more than conf.max_product_size = {conf.max_product_size}")
    try:
        if urlsafe:
            text = (text.encode("ascii") if isinstance(text, str) else text).translate(_URLSAFE)
        # even in its strict mode Python takes padding after whole groups
        if text[-3:] in ("===", b"==="):
            raise ValueError("too much padding")
        return binascii.a2b_base64(text, strict_mode=True)
    # a character outside of ASCII is a ValueError as well
    except ValueError as error:
        raise DecodingError(f"expected base64 ({error})") from error


def unzipped(data: bytes) -> bytes:
    """Undo gzip where ``data`` begins with its mark, up to `conf.max_gunzip_size`."""
    if data[:2] != b"\x1f\x8b":
        return data
    limit = conf.max_gunzip_size
    stream = zlib.decompressobj(wbits=31)
    try:
        opened = stream.decompress(data, limit)
        # one more byte tells the end of the data from the end of the allowance
        whole = stream.eof or not stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise DecodingError(f"unreadable gzip data ({error})") from error
    if not whole:
        raise DecodingError(f"gzip data of more than conf.max_gunzip_size = {limit} bytes")
    if not stream.eof or stream.unused_data:
        raise DecodingError("gzip data cut short, or followed by something else")
    return opened
