# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What bytes are wrapped in: base64, checked strictly, and gzip, opened up to a limit."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pybase64

from ..config import conf
from ..errors import DecodingError

__all__ = ["Allowance", "decode_base64", "memory_from_base64", "unzipped"]

_Bytes = TypeVar("_Bytes", bytes, bytearray)


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
    if not urlsafe:
        return _strictly(pybase64.b64decode, text)
    # pybase64 would take the other alphabet's characters as well
    if ("+" in text or "/" in text) if isinstance(text, str) else (b"+" in text or b"/" in text):
        raise DecodingError("expected base64 (of the alphabet with - and _)")
    return _strictly(pybase64.b64decode, text, altchars=b"-_")


def memory_from_base64(text: str | bytes) -> bytearray:
    """Decode base64 like `decode_base64`, to memory that an array can have for its own."""
    return _strictly(pybase64.b64decode_as_bytearray, text)


def _strictly(decode: Callable[..., _Bytes], text: str | bytes, **options: bytes) -> _Bytes:
    if not isinstance(text, (str, bytes)):
        raise DecodingError(f"expected base64 text, got {type(text).__name__}")
    if len(text) // 4 * 3 > conf.max_product_size:
        raise DecodingError(f"{len(text) // 4 * 3} bytes are more than conf.max_product_size = {conf.max_product_size}")
    try:
        # Python's own decoder, which stands in where pybase64 has no compiled one, takes padding after whole groups
        if text[-3:] in ("===", b"==="):
            raise ValueError("too much padding")
        return decode(text, validate=True, **options)
    # a character outside of ASCII is a ValueError as well
    except ValueError as error:
        raise DecodingError(f"expected base64 ({error})") from error


@dataclass(slots=True)
class Allowance:
    """How many bytes may come of much shorter data; one for a whole product, however many parts it has."""

    gunzip: int = field(default_factory=lambda: conf.max_gunzip_size)
    nested: int = 100_000_000


def unzipped(data: bytes | bytearray, allowance: Allowance | None = None) -> bytes | bytearray:
    """Undo gzip where ``data`` begins with its mark, up to `conf.max_gunzip_size` or what is left of it."""
    if data[:2] != b"\x1f\x8b":
        return data
    allowance = allowance or Allowance()
    limit = allowance.gunzip
    stream = zlib.decompressobj(wbits=31)
    try:
        opened = stream.decompress(data, limit)
        # one more byte tells the end of the data from the end of the allowance
        whole = stream.eof or not stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise DecodingError(f"unreadable gzip data ({error})") from error
    if not whole:
        raise DecodingError(f"gzip data of more than conf.max_gunzip_size = {conf.max_gunzip_size} bytes")
    if not stream.eof or stream.unused_data:
        raise DecodingError("gzip data cut short, or followed by something else")
    allowance.gunzip -= len(opened)
    return opened
