# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What the service sends, made into plain data, arrays and FITS HDUs: the only place where bytes are decoded.

A reply is data. Nothing here imports, calls or evaluates what a reply names, opens a file or asks a server.
"""

from __future__ import annotations

from .ecsv import read_ecsv
from .envelope import decode_base64
from .files import read_binary, read_picture
from .hdus import read_array, read_hdulist
from .literals import parse_body, read_json_text
from .pickledtables import read_pickled_table
from .waves import read_contours, read_spectrogram, read_strain

__all__ = [
    "decode_base64",
    "parse_body",
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
