# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
FITS files of unknown origin, opened in memory.

The size of the data by a header is compared with the bytes that are there before astropy reads them.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
from astropy.io import fits

from ...allowance import CARD_MEMORY, HDU_MEMORY, Allowance
from ...config import conf
from ...errors import DecodingError
from ...protocol import FITS_BLOCK, FITS_COLUMNS
from ...text import printable
from ..columnsizes import VARIABLE, WIDTHS

_MOST_AXES = 32
_LARGE_HDU = 40_000
# whole cards up to END
_HEADER = re.compile(rb"(?:.{80}){0,20000}?END {77}", re.DOTALL)


def opened(data: bytes, allowance: Allowance) -> list[Any]:
    """Read all HDUs of an uncompressed FITS file, with their data; memory beside the bytes of the file is spent."""
    # a small file of a large one would be unpacked
    if not data.startswith(b"SIMPLE  ="):
        raise DecodingError("this is not a FITS file")
    # light curves have two for each source; genuine ones of large files are large
    left, at = max(2 * int(conf.max_form_parts) + 2, len(data) // _LARGE_HDU), 0
    while at < len(data):
        header, left = _HEADER.match(data, at), left - 1
        if header is None or left < 0:
            raise DecodingError("a header without an end, or more HDUs than conf.max_form_parts allows")
        allowance.spend(HDU_MEMORY + CARD_MEMORY * (len(header[0]) // 80), "headers")
        begin = _padded(header.end())
        size = _data_size(fits.Header.fromstring(header[0]))
        if begin + size > len(data):
            raise DecodingError(f"{size} bytes of data by the header, of which {len(data) - begin} are there")
        at = begin + _padded(size)
    with fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=False, disable_image_compression=True) as hdulist:
        for hdu in hdulist:
            tuple(hdu.header.values())  # a card that can't be parsed is an error here
            _check(hdu, allowance)
            # this reads them
            if hdu.data is None and not isinstance(hdu, fits.PrimaryHDU):
                raise DecodingError(f"no data in {printable(hdu.name, limit=60)}")
            if isinstance(hdu, fits.BinTableHDU):
                _check_rows(hdu)
            for key in ("CHECKSUM", "DATASUM"):
                hdu.header.remove(key, ignore_missing=True, remove_all=True)
        return list(hdulist)


def _padded(size: int) -> int:
    return -(-size // FITS_BLOCK) * FITS_BLOCK


def _data_size(header: fits.Header) -> int:
    """Bytes of data by a header, which astropy does not check."""
    axes = header["NAXIS"]
    if axes > _MOST_AXES or header.get("TFIELDS", 0) > FITS_COLUMNS:
        raise DecodingError(f"more than {_MOST_AXES} axes or {FITS_COLUMNS} columns")
    lengths = [header[f"NAXIS{axis}"] for axis in range(1, axes + 1)]
    more, groups = header.get("PCOUNT", 0), header.get("GCOUNT", 1)
    if min(axes, more, groups, *lengths) < 0:
        raise DecodingError("a header with sizes below 0")
    return int(abs(header["BITPIX"]) // 8 * groups * (more + (math.prod(lengths) if lengths else 0)))


def _check(hdu: Any, allowance: Allowance) -> None:
    """See that the columns of a table fit into its rows, and that there is memory for a scaled image."""
    header = hdu.header
    if isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)):
        width = hdu.columns.dtype.itemsize if isinstance(hdu, fits.BinTableHDU) else header["NAXIS1"]
        if width != header["NAXIS1"]:
            raise DecodingError(f"columns of {width} bytes in rows of {header['NAXIS1']}")
        if isinstance(hdu, fits.TableHDU):
            allowance.spend(8 * header["NAXIS1"] * header["NAXIS2"], "a table of texts")
    elif hdu.is_image and {"BSCALE", "BZERO", "BLANK"} & set(header):
        size = 4 if abs(header["BITPIX"]) <= 16 else 8
        allowance.spend(size * math.prod(hdu.shape), "a scaled image")


def _check_rows(hdu: fits.BinTableHDU) -> None:
    """See that rows of variable length are in the heap."""
    records, header = np.asarray(hdu.data).view(np.ndarray), hdu.header
    begin = header["NAXIS1"] * header["NAXIS2"]
    gap = header.get("THEAP", begin) - begin
    heap = header["PCOUNT"] - gap
    for number, column in enumerate(hdu.columns):
        match = VARIABLE.match(column.format)
        if match and len(records):
            described = records[records.dtype.names[number]].reshape(len(records), -1).astype(np.int64)
            lengths, places = described[:, 0], described[:, 1]
            # as floats, which can't run over
            ends = places + np.ceil(lengths * float(WIDTHS[match[2]]))
            if gap < 0 or min(lengths.min(), places.min()) < 0 or ends.max() > heap:
                raise DecodingError(f"rows of {printable(column.name, limit=60)} that are not in the file")
