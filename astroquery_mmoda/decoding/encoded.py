# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Base64, checked strictly; gzip, opened up to a limit; and the products that are nothing but encoded bytes."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import pybase64

from ..allowance import Allowance
from ..config import conf
from ..errors import DecodingError, reading
from ..text import printable

_PIECE = 1 << 15


def decode_base64(text: Any, allowance: Allowance | None = None, *, urlsafe: bool = False) -> bytes:
    """Decode base64, refusing any character outside of its alphabet and any missing padding."""
    size = _checked_size(text)
    if allowance is not None:
        allowance.spend(size, "base64")
    return _decoded_strictly(text, urlsafe=urlsafe)


def decode_between(text: str, allowance: Allowance, before: int, after: int) -> bytearray:
    """Decode base64 into the middle of new memory, in pieces: there is no time when all of it stands twice."""
    size = before + _checked_size(text) - text[-2:].count("=") + after
    allowance.spend(size, "base64")
    if text.find("=", 0, -2) >= 0:
        raise DecodingError("expected base64 (padding in the middle)")
    memory = bytearray(size)
    for start in range(0, len(text), 4 * _PIECE):
        piece = _decoded_strictly(text[start : start + 4 * _PIECE])
        begin = before + 3 * start // 4
        memory[begin : begin + len(piece)] = piece
    return memory


def _checked_size(text: Any) -> int:
    if not isinstance(text, str):
        raise DecodingError(f"expected base64 text, got {type(text).__name__}")
    size = len(text) // 4 * 3
    if size > conf.max_product_size:
        raise DecodingError(f"{size} bytes are more than conf.max_product_size = {conf.max_product_size}")
    return size


def _decoded_strictly(text: str, *, urlsafe: bool = False) -> bytes:
    # pybase64 takes the characters of the other alphabet as well, and may take too much padding
    if (urlsafe and ("+" in text or "/" in text)) or text.endswith("==="):
        raise DecodingError("expected base64 (of the alphabet with - and _)" if urlsafe else "expected base64")
    try:
        return pybase64.b64decode(text, b"-_" if urlsafe else None, validate=True)
    # a character outside of ASCII is a ValueError as well
    except ValueError as error:
        raise DecodingError(f"expected base64 ({error})") from error


def unzipped(data: bytes | bytearray | memoryview, allowance: Allowance | None = None) -> Any:
    """Undo gzip where ``data`` begins with its mark, up to `conf.max_gunzip_size`; else the same data."""
    if data[:2] != b"\x1f\x8b":
        return data
    allowance = allowance or Allowance(len(data))
    limit = max(min(conf.max_gunzip_size, allowance.left), 0)
    stream = zlib.decompressobj(wbits=31)
    with reading("gzip data"):
        opened = stream.decompress(data, limit + 1)
    if len(opened) > limit:
        raise DecodingError(f"gzip data of more than {limit} bytes (conf.max_gunzip_size, conf.max_extra_memory)")
    if not stream.eof or stream.unused_data:
        raise DecodingError("unreadable gzip data (cut short, or in several parts)")
    allowance.spend(len(opened), "gzip data")
    return opened


def begin_of(data: bytes, size: int) -> bytes:
    """So many of the first bytes at most, of what is in it where it is compressed by gzip."""
    if data[:2] != b"\x1f\x8b":
        return data[:size]
    try:
        return zlib.decompressobj(wbits=31).decompress(data[:_PIECE], size)
    except zlib.error:
        return b""


def read_picture(entry: Any, *, what: str = "picture", allowance: Allowance | None = None) -> bytes:
    """Read one element of ``binary_image_product_list``: a picture as a file has it, whose pixels are not decoded."""
    with reading(what):
        return decode_base64(entry.get("b64data"), allowance, urlsafe=True)


def read_binary(entry: Any, *, what: str = "file", allowance: Allowance | None = None) -> bytes:
    """Read one element of ``binary_data_product_list``; old servers send the encoded bytes alone."""
    with reading(what):
        entry = {"data": entry} if isinstance(entry, str) else entry
        data = decode_base64(entry.get("data"), allowance, urlsafe=True)
        # against damage; it can not protect from intent
        found, announced = hashlib.md5(data, usedforsecurity=False).hexdigest(), entry.get("md5")
        if announced is not None and str(announced).strip().lower() != found:
            raise DecodingError(f"its MD5 sum is {found}, but {printable(announced, limit=60)} was announced")
        return data
