# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What the service sends, made into plain data, arrays and FITS HDUs: the only place where bytes are decoded.

A reply is data. Nothing here imports, calls or evaluates what a reply names, opens a file or asks a server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .literals import parse_body, read_json_text

if TYPE_CHECKING:
    from .ecsv import read_ecsv
    from .envelope import decode_base64
    from .hdus import read_array, read_hdulist
    from .peek import peek_shape
    from .pickledtables import read_pickled_table
    from .simple import read_binary, read_picture
    from .waves import read_contours, read_spectrogram, read_strain

__all__ = [
    "decode_base64",
    "parse_body",
    "peek_shape",
    "read_array",
    "read_binary",
    "read_contours",
    "read_ecsv",
    "read_hdulist",
    "read_json_text",
    "read_pickled_table",
    "read_picture",
    "read_spectrogram",
    "read_strain",
]

# opened when the first reply of their kind comes, so that importing the package costs next to nothing
_HOMES = {
    "decode_base64": "envelope",
    "peek_shape": "peek",
    "read_array": "hdus",
    "read_binary": "simple",
    "read_contours": "waves",
    "read_ecsv": "ecsv",
    "read_hdulist": "hdus",
    "read_pickled_table": "pickledtables",
    "read_picture": "simple",
    "read_spectrogram": "waves",
    "read_strain": "waves",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
