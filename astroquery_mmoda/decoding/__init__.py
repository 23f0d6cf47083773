# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What the service sends, made into plain data, arrays and FITS HDUs: the only place where bytes are decoded.

A reply is data. Nothing here imports, calls or evaluates what a reply names, opens a file or asks a server.
"""

from __future__ import annotations

from .envelope import decode_base64
from .hdus import read_array, read_hdulist
from .literals import parse_body, read_json_text

__all__ = ["decode_base64", "parse_body", "read_array", "read_hdulist", "read_json_text"]
