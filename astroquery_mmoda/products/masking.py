# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Tokens in decoded tables: names and texts that came in base64; all else was masked in the JSON of the reply."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..allowance import Allowance
from ..service.replies import without_tokens
from ..text import without_token
from .columnsizes import column_size
from .kinds import free_name

# one of these is in each text with a token, however it is written
_SIGNS = ("eyJ", "\\", "%")
_PIECE = 1000  # cells that are searched in one go


def mask_tokens(data: Any, allowance: Allowance) -> Any:
    """Mask tokens in the columns of text of HDUs, and in the metadata of tables, in place."""
    if isinstance(data, Table):
        data.meta = without_tokens(dict(data.meta))  # of bytes, which are in base64 there
    for hdu in data if isinstance(data, fits.HDUList) else ():
        if isinstance(hdu, fits.BinTableHDU):
            _mask_columns(hdu, allowance)
            _mask_names(hdu)
    return data


def _mask_columns(hdu: Any, allowance: Allowance) -> None:
    for number, column in enumerate(hdu.columns):
        values = np.asarray(hdu.data).view(np.ndarray)[column.name]
        if values.dtype.kind == "S":
            if _mask_texts(values):
                # astropy may keep a decoded copy of it
                allowance.spend(column_size(hdu, number), "texts of a column")
                _mask_texts(hdu.data.field(number))
        elif "A" in column.format:  # rows of variable length, which have to be read to be searched
            allowance.spend(column_size(hdu, number), "texts of a column")
            rows = hdu.data.field(number)
            for index, row in enumerate(rows):
                # bytes, since astropy writes all four of a character where one is counted
                text = without_token(np.asarray(row).astype("S1").tobytes().decode("latin-1"))
                rows[index] = np.frombuffer(text.encode("latin-1"), "S1")


def _mask_texts(values: np.ndarray) -> bool:
    """Mask tokens in an array of texts, or of their bytes; whether there were any."""
    found, is_text = False, values.dtype.kind == "U"
    for begin in range(0, values.size, _PIECE):
        cells = values.flat[begin : begin + _PIECE].tolist()
        texts = cells if is_text else [cell.decode("latin-1") for cell in cells]
        together = "\0".join(texts)
        for number, text in enumerate(texts, begin) if any(sign in together for sign in _SIGNS) else ():
            masked = without_token(text)
            if masked != text:
                values.flat[number] = masked if is_text else masked.encode("latin-1")
                found = True
    return found


def _mask_names(hdu: Any) -> None:
    """Give columns whose names have tokens in them others that no column has."""
    taken = dict.fromkeys(hdu.columns.names, 1)
    for name in hdu.columns.names:
        if (masked := without_token(name)) != name:
            hdu.columns.change_name(
                name, free_name(masked.replace("<token>", "token"), taken)
            )  # FITS advises against <
