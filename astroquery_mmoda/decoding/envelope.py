# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What bytes are wrapped in: base64, checked strictly, and gzip, opened up to a limit."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TypeVar

import pybase64

from ..allowance import Allowance
from ..config import conf
from ..errors import DecodingError

__all__ = ["decode_base64", "opened_base64", "unzipped"]

_Bytes = TypeVar("_Bytes", bytes, bytearray)
_PIECE = 1 << 18


def decode_base64(text: str | bytes, *, urlsafe: bool = False, allowance: Allowance | None = None) -> bytes:
    """
    Decode base64, refusing any character outside of its alphabet and any missing padding.

    Parameters
    ----------
    text : str or bytes
        The encoded bytes, without line ends.
    urlsafe : bool
        Whether the alphabet is the one with ``-`` and ``_``.
    allowance : Allowance, optional
        Of the reply.
    """
    if not urlsafe:
        return _strictly(pybase64.b64decode, text, allowance)
    # pybase64 would take the other alphabet's characters as well
    if ("+" in text or "/" in text) if isinstance(text, str) else (b"+" in text or b"/" in text):
        raise DecodingError("expected base64 (of the alphabet with - and _)")
    return _strictly(pybase64.b64decode, text, allowance, altchars=b"-_")


def opened_base64(text: str | bytes, allowance: Allowance) -> bytes | bytearray:
    """Decode base64 like `decode_base64`, and gzip in it, to memory that an array can have for its own."""
    memory = _strictly(pybase64.b64decode_as_bytearray, text, allowance)
    opened = unzipped(memory, allowance)
    if opened is not memory:
        allowance.refund(len(memory))
    return opened


def _strictly(
    decode: Callable[..., _Bytes], text: str | bytes, allowance: Allowance | None, **options: bytes
) -> _Bytes:
    if not isinstance(text, (str, bytes)):
        raise DecodingError(f"expected base64 text, got {type(text).__name__}")
    size = len(text) // 4 * 3
    if size > conf.max_product_size:
        raise DecodingError(f"{size} bytes are more than conf.max_product_size = {conf.max_product_size}")
    if allowance is not None:
        allowance.spend(size, "base64")
    try:
        # Python's own decoder, which stands in where pybase64 has no compiled one, takes padding after whole groups
        if text[-3:] in ("===", b"==="):
            raise ValueError("too much padding")
        return decode(text, validate=True, **options)
    # a character outside of ASCII is a ValueError as well
    except ValueError as error:
        raise DecodingError(f"expected base64 ({error})") from error


def unzipped(data: bytes | bytearray, allowance: Allowance | None = None) -> bytes | bytearray:
    """Undo gzip where ``data`` begins with its mark, up to `conf.max_gunzip_size`."""
    if data[:2] != b"\x1f\x8b":
        return data
    allowance = allowance or Allowance(len(data))
    stream = zlib.decompressobj(wbits=31)
    opened, position = bytearray(), 0
    try:
        # in pieces, as zlib would take twice the memory for the whole
        while not stream.eof:
            waiting = stream.unconsumed_tail or data[position : position + _PIECE]
            position += 0 if stream.unconsumed_tail else len(waiting)
            piece = stream.decompress(waiting, _PIECE)
            if not piece and not waiting:
                break
            allowance.spend(len(piece), "gzip data")
            opened += piece
            if len(opened) > conf.max_gunzip_size:
                raise DecodingError(f"gzip data of more than conf.max_gunzip_size = {conf.max_gunzip_size} bytes")
    except zlib.error as error:
        raise DecodingError(f"unreadable gzip data ({error})") from error
    if not stream.eof or stream.unused_data or position < len(data):
        raise DecodingError("gzip data cut short, or followed by something else")
    return opened
