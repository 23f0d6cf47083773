# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What the service sends, made into plain data, arrays and FITS HDUs: the only package that decodes bytes.

A reply is data. Nothing here imports, calls or evaluates what a reply names, opens a file or asks a server.
"""

from .arrays import pickled_shape
from .ecsv import read_ecsv
from .encoded import begin_of, read_binary, read_picture, unzipped
from .hdus import read_hdulist
from .jsontext import parse_body, read_json_text
from .waves import read_contours, read_spectrogram, read_strain

__all__ = [
    "begin_of",
    "parse_body",
    "pickled_shape",
    "read_binary",
    "read_contours",
    "read_ecsv",
    "read_hdulist",
    "read_json_text",
    "read_picture",
    "read_spectrogram",
    "read_strain",
    "unzipped",
]
