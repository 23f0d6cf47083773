# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Decoded products without the tokens that stood in their texts; bytes (pictures, files) are left as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..replies import without_tokens
from ..text import without_token

__all__ = ["mask_tokens"]


def mask_tokens(data: Any) -> Any:
    """
    Mask tokens in the texts, headers and columns of text of a product, in place where that is possible.

    Parameters
    ----------
    data : HDUList, Table, array, str or other
        The product, as it was decoded.

    Returns
    -------
    object
        The same one, or a new text.
    """
    if isinstance(data, str):
        return without_token(data)
    if isinstance(data, fits.HDUList):
        for hdu in data:
            _mask_hdu(hdu)
    elif isinstance(data, Table):
        _mask_table(data)
    elif isinstance(data, np.ndarray):
        _mask_array(data)
    return data


def _mask_hdu(hdu: Any) -> None:
    is_table = isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)) and not isinstance(hdu, fits.CompImageHDU)
    if is_table and hdu.data is not None:
        _mask_array(np.asarray(hdu.data))
        for name in hdu.columns.names:
            if "A" in hdu.columns[name].format:  # astropy may keep a decoded copy of it
                _mask_array(np.asarray(hdu.data[name]))
            if (masked := without_token(name)) != name:
                hdu.columns.change_name(name, masked)
    for keyword in ("HISTORY", "COMMENT"):
        _mask_remarks(hdu.header, keyword)
    for index, card in enumerate(hdu.header.cards):
        if isinstance(card.value, str) and (masked := without_token(card.value)) != card.value:
            hdu.header[index] = masked
        if card.comment and (masked := without_token(card.comment)) != card.comment:
            hdu.header.comments[index] = masked


def _mask_remarks(header: fits.Header, keyword: str) -> None:
    """Mask tokens in long remarks, which go over several cards."""
    text = "\n".join(str(line) for line in header[keyword]) if keyword in header else ""
    if (masked := without_token(text)) != text:
        header.remove(keyword, remove_all=True)
        for line in masked.split("\n"):
            header[keyword] = line


def _mask_table(table: Table) -> None:
    for name in table.colnames:
        column = table[name]
        values = getattr(column, "data", None)
        if isinstance(values, np.ndarray):
            _mask_array(values)
        if isinstance(column.info.description, str):
            column.info.description = without_token(column.info.description)
        if column.info.meta:
            column.info.meta = without_tokens(column.info.meta)
        if (masked := without_token(name)) != name:
            table.rename_column(name, masked)
    if table.meta:
        table.meta = without_tokens(table.meta)


def _mask_array(values: np.ndarray[Any, Any]) -> None:
    """Mask tokens in an array of text, of objects with texts in them, or with fields of them."""
    for name in values.dtype.names or ():
        _mask_array(values[name])
    if values.dtype.kind not in "SUO":
        return
    values = np.ma.getdata(values)
    if values.dtype.kind == "O":
        for place, value in enumerate(values.flat):
            values.flat[place] = _masked(value)
        return
    # columns of text say the same thing many times, mostly without a point, as tokens have
    for value in set(values.ravel().tolist()) if any(point in values.tobytes() for point in b".%\\&") else ():
        if (masked := _masked(value)) != value:
            values[values == value] = masked


def _masked(value: Any) -> Any:
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        masked = without_token(text)
        return value if masked is text else masked.encode("latin-1")
    return without_tokens(value) if isinstance(value, (dict, list)) else _masked_text(value)


def _masked_text(value: Any) -> Any:
    return without_token(value) if isinstance(value, str) else value
