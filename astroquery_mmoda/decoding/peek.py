# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the first bytes of a pickled array tell about it, for overviews that decode nothing."""

from __future__ import annotations

import re
import zlib
from typing import Any

import pybase64

__all__ = ["peek_shape"]

# base64 of the head of a pickle: the shape comes before the type and the bytes
_HEAD = 1200
_WHOLE = rb"(?:K.|M..|J....|I[0-9]{1,18}\n)"
# the state of an array begins with its version, 1, and its shape, a tuple of one to three, or more after a mark
_STATE = re.compile(rb"\((?:K\x01|I1\n)(?:(" + _WHOLE + rb"{1,3})[\x85-\x87]|\((" + _WHOLE + rb"{1,32})t)", re.DOTALL)
_EACH = re.compile(_WHOLE, re.DOTALL)


def peek_shape(pickled: Any) -> tuple[int, ...] | None:
    """
    Shape of a pickled array, without its elements.

    Parameters
    ----------
    pickled : object
        The base64 text of a pickle, maybe in gzip, as a unit's ``binarys`` has it.

    Returns
    -------
    tuple of int or None
        As numpy counts, without the fields of records; None where the beginning does not tell it in the usual way.
    """
    if not isinstance(pickled, str):
        return None
    try:
        head = pybase64.b64decode(pickled[:_HEAD])
        if head[:2] == b"\x1f\x8b":
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD)
    except (ValueError, zlib.error):
        return None
    found = _STATE.search(head)
    return tuple(_whole(number) for number in _EACH.findall(found[1] or found[2])) if found else None


def _whole(number: bytes) -> int:
    return int(number[1:]) if number[:1] == b"I" else int.from_bytes(number[1:], "little")
