# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
FITS files of unknown origin, opened in memory.

The size of the data by a header is compared with the bytes that are there before astropy reads them.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from astropy.io import fits

from ...allowance import CARD_MEMORY, HDU_MEMORY, Allowance
from ...config import conf
from ...errors import DecodingError
from ...text import printable
from ..columnsizes import VARIABLE, WIDTHS

_BLOCK, _CARD = 2880, 80
_MOST_CARDS = 20_000
_MOST_COLUMNS = 999
_MOST_AXES = 32
_LARGE_HDU = 40_000
_BITPIX = frozenset({8, 16, 32, 64, -32, -64})
_STRUCTURAL = re.compile(rb"(BITPIX|NAXIS[0-9]*|PCOUNT|GCOUNT|TFIELDS|GROUPS) *= *(.*?) *(?:/.*)?")
_END = re.compile(rb"END {77}")


def opened(data: bytes, allowance: Allowance) -> list[Any]:
    """
    Read all HDUs of a FITS file, without the sums over their data.

    Parameters
    ----------
    data : bytes
        The file; compressed ones are refused.
    allowance : Allowance
        Memory that it may take, beside the bytes of the file.

    Returns
    -------
    list of HDU
        Their data are in memory. Those of an extension are never None.

    Raises
    ------
    DecodingError
        It is not a FITS file, is cut short, or says of itself what can't be.
    """
    # a small file of a large one would be unpacked
    if not data.startswith(b"SIMPLE  ="):
        raise DecodingError("this is not a FITS file")
    # light curves have two for each source; genuine ones of large files are large
    most = max(2 * int(conf.max_form_parts) + 2, len(data) // _LARGE_HDU)
    for number, layout in enumerate(_layouts(data)):
        if number >= most:
            raise DecodingError(f"more than {most} HDUs; conf.max_form_parts can be raised")
        allowance.spend(HDU_MEMORY + CARD_MEMORY * layout["cards"], "headers")
    with fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=False, disable_image_compression=True) as hdulist:
        for hdu in hdulist:
            _check(hdu, allowance)
            # this reads them
            if hdu.data is None and not isinstance(hdu, fits.PrimaryHDU):
                raise DecodingError(f"no data in {printable(hdu.name, limit=60)}")
            if isinstance(hdu, fits.BinTableHDU):
                _check_rows(hdu)
            for key in ("CHECKSUM", "DATASUM"):
                hdu.header.remove(key, ignore_missing=True, remove_all=True)
        return list(hdulist)


# ---- before astropy reads anything


def _layouts(data: bytes) -> Iterator[dict[str, int]]:
    """Structural cards of each header, and how many cards it has; `DecodingError` if the data are not all there."""
    at = 0
    while at < len(data):
        layout = _layout(data, at)
        at += -(-layout["cards"] * _CARD // _BLOCK) * _BLOCK
        size = _data_size(layout)
        if at + size > len(data):
            raise DecodingError(f"{size} bytes of data by the header, of which {len(data) - at} are there")
        at += -(-size // _BLOCK) * _BLOCK
        yield layout


def _layout(data: bytes, start: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for number in range(_MOST_CARDS):
        card = data[start + number * _CARD : start + (number + 1) * _CARD]
        if _END.fullmatch(card):
            return found | {"cards": number + 1}
        if match := _STRUCTURAL.fullmatch(card):
            key = match[1].decode("ascii")
            if key in found or not re.fullmatch(rb"[0-9]{1,18}|-[0-9]{2}", match[2]):
                raise DecodingError(f"the card {key} is repeated, or not a number of things")
            found[key] = int(match[2])
    raise DecodingError(f"a header without end, or of more than {_MOST_CARDS} cards")


def _data_size(layout: dict[str, int]) -> int:
    axes = layout.get("NAXIS", -1)
    lengths = [layout.get(f"NAXIS{axis}", -1) for axis in range(1, min(axes, _MOST_AXES) + 1)]
    counts = [axes, layout.get("PCOUNT", 0), layout.get("GCOUNT", 1), layout.get("TFIELDS", 0), *lengths]
    if layout.get("BITPIX") not in _BITPIX or min(counts) < 0 or axes > _MOST_AXES or counts[3] > _MOST_COLUMNS:
        raise DecodingError("a header without valid BITPIX, NAXIS, NAXISn, PCOUNT, GCOUNT or TFIELDS")
    cells = math.prod(lengths) if lengths else 0
    return abs(layout["BITPIX"]) // 8 * layout.get("GCOUNT", 1) * (layout.get("PCOUNT", 0) + cells)


# ---- before and after it reads the data of an HDU


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
