# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Decoded products without the tokens that stood in their texts; bytes (pictures, files) are left as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, Table

from ..allowance import Allowance
from ..service.replies import without_tokens
from ..text import may_hold_token, without_token
from .budget import column_size
from .kinds import free_name

_PIECE = 250_000  # of a column that is looked at in one go, bytes
_COPIES = 16  # that looking takes
_CONTINUED = re.compile(r"&' *CONTINUE  '")  # within a long value, which goes over several cards
_SHORTEST = 10  # that is a token, characters


def mask_tokens(data: Any, allowance: Allowance) -> Any:
    """
    Mask tokens in the texts, headers and columns of text of a product, in place where that is possible.

    Numbers are not looked at, and nothing is converted or copied unless a token was found; copies are taken from the
    allowance. It gives the same object, or a new text or array.
    """
    if isinstance(data, str):
        return without_token(data)
    if isinstance(data, fits.HDUList):
        for hdu in data:
            if isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)) and not isinstance(hdu, fits.CompImageHDU):
                _mask_columns(hdu, allowance)
            _mask_header(hdu.header)
    elif isinstance(data, Table):
        _mask_table(data, allowance)
    elif isinstance(data, np.ndarray):
        return _masked_array(data, allowance)
    return data


def _new_names(names: Sequence[str], *, mark: str = "<token>") -> list[tuple[str, str]]:
    """Names of columns with tokens in them, and others in their place that no column has."""
    taken = dict.fromkeys(names, 1)
    masked = [(name, without_token(name)) for name in names]
    return [(name, free_name(new.replace("<token>", mark), taken)) for name, new in masked if new != name]


# ---- FITS


def _mask_columns(hdu: Any, allowance: Allowance) -> None:
    records = np.asarray(hdu.data).view(np.ndarray)
    names = records.dtype.names or ()
    for number, column in enumerate(hdu.columns):
        # of variable length, which is rare, they have to be read to be looked at
        is_fixed = "A" in column.format and records.dtype[number].base.kind == "S"
        if "A" not in column.format or (is_fixed and not _has_tokens(records[names[number]], allowance)):
            continue
        allowance.spend(column_size(hdu, number), "texts of a column")
        if is_fixed and not records.flags.writeable:
            allowance.spend(2 * hdu.data.nbytes, "a table without tokens")
            hdu.data = hdu.data.copy()
            records = np.asarray(hdu.data).view(np.ndarray)
        if is_fixed:
            _mask_array(records[names[number]], allowance)
        # astropy may keep a decoded copy of it
        _mask_array(np.asarray(hdu.data.field(number)), allowance)
    for name, masked in _new_names(hdu.columns.names, mark="token"):  # FITS advises against < and >
        hdu.columns.change_name(name, masked)


def _mask_header(header: fits.Header) -> None:
    if not _header_may_hold_token(header):
        return
    for keyword in ("HISTORY", "COMMENT"):
        _mask_remarks(header, keyword)
    for index, card in enumerate(header.cards):
        if isinstance(card.value, str) and (masked := without_token(card.value)) != card.value:
            header[index] = masked
        if card.comment and (masked := without_token(card.comment)) != card.comment:
            header.comments[index] = masked


def _header_may_hold_token(header: fits.Header) -> bool:
    """Whether a closer look is needed, for which astropy would interpret each card."""
    images = [getattr(card, "_image", None) or "" for card in header.cards]  # as it was read, if it was
    return not all(images) or may_hold_token("\n".join(_CONTINUED.sub("", image) for image in images))


def _mask_remarks(header: fits.Header, keyword: str) -> None:
    """Mask tokens in long remarks, which go over several cards."""
    text = "\n".join(str(line) for line in header[keyword]) if keyword in header else ""
    if (masked := without_token(text)) != text:
        header.remove(keyword, remove_all=True)
        for line in masked.split("\n"):
            header[keyword] = line


# ---- tables and arrays


def _mask_table(table: Table, allowance: Allowance) -> None:
    for name in table.colnames:
        column = table[name]
        values = getattr(column, "data", None)
        if isinstance(values, np.ndarray):
            values = np.ma.getdata(values)
            masked_values = _masked_array(values, allowance)
            if masked_values is not values:
                table.replace_column(name, _like(column, masked_values))
                column = table[name]
        if isinstance(column.info.description, str):
            column.info.description = without_token(column.info.description)
        if column.info.meta:
            column.info.meta = without_tokens(column.info.meta)
    for name, masked in _new_names(table.colnames):
        table.rename_column(name, masked)
    if table.meta:
        table.meta = without_tokens(table.meta)


def _like(column: Any, values: np.ndarray[Any, Any]) -> Any:
    """A column with other values."""
    if isinstance(column, np.ma.MaskedArray):
        values = np.ma.MaskedArray(values, mask=column.mask, fill_value=column.fill_value)
    return column.copy(data=values, copy_data=False) if isinstance(column, Column) else type(column)(values)


def _masked_array(values: np.ndarray[Any, Any], allowance: Allowance) -> np.ndarray[Any, Any]:
    """The same array, or a copy of one that can't be written to."""
    if not _has_tokens(values, allowance):
        return values
    if not values.flags.writeable:
        allowance.spend(values.nbytes, "a copy without tokens")
        values = values.copy()
    _mask_array(values, allowance)
    return values


def _has_tokens(values: np.ndarray[Any, Any], allowance: Allowance) -> bool:
    """Whether an array of text, of objects, or with fields of them may hold a token."""
    if values.dtype.names:
        return any(_has_tokens(values[name], allowance) for name in values.dtype.names)
    if values.dtype.kind == "O":
        return any(_masked(value, allowance) is not value for value in values.flat)
    return any(_may_hold(piece, allowance) for piece in _pieces(values))


def _mask_array(values: np.ndarray[Any, Any], allowance: Allowance) -> None:
    """Mask tokens in an array that can be written to."""
    for name in values.dtype.names or ():
        _mask_array(values[name], allowance)
    for piece in [values] if values.dtype.kind == "O" else _pieces(values):
        if values.dtype.kind == "O" or _may_hold(piece, allowance):
            for place, value in np.ndenumerate(piece):
                if (masked := _masked(value, allowance)) is not value:
                    piece[place] = masked


def _pieces(values: np.ndarray[Any, Any]) -> Any:
    """Views of an array of text, in pieces that are small enough to be copied; none of an array without text."""
    characters = values.dtype.itemsize // (4 if values.dtype.kind == "U" else 1)
    if values.dtype.kind not in "SU" or characters < _SHORTEST or not values.size:
        return
    if values.ndim > 1:
        for part in values:
            yield from _pieces(part)
        return
    values = values.reshape(-1)  # of a single text a view, too
    step = max(1, _PIECE // values.dtype.itemsize)
    for begin in range(0, len(values), step):
        yield values[begin : begin + step]


def _may_hold(piece: np.ndarray[Any, Any], allowance: Allowance) -> bool:
    """Whether a token is in texts that are looked at as one, with something between them."""
    kind, width, encoding = piece.dtype.kind, piece.dtype.itemsize, "latin-1"
    if kind == "U":
        width, encoding = width // 4, "utf-32-le"
    cost = _COPIES * piece.size * (width + 1)
    allowance.spend(cost, "texts of a column")
    text = piece.astype(f"<{kind}{width + 1}").tobytes().decode(encoding, "replace")
    found = without_token(text) is not text
    allowance.refund(cost)
    return found


def _masked(value: Any, allowance: Allowance) -> Any:
    """The same value if there is no token in it."""
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        masked = without_token(text)
        return value if masked is text else masked.encode("latin-1")
    if isinstance(value, str):
        return without_token(value)
    if isinstance(value, np.ndarray):
        # as astropy reads rows of variable length
        is_one_text = value.ndim == 1 and value.dtype.str[1:] in ("S1", "U1")
        return _masked_characters(value, allowance) if is_one_text else _masked_array(value, allowance)
    if isinstance(value, (dict, list)):
        return without_tokens(value)
    return value


def _masked_characters(values: np.ndarray[Any, Any], allowance: Allowance) -> np.ndarray[Any, Any]:
    """The same for a text that comes as an array of characters."""
    allowance.spend(cost := _COPIES * values.size, "a text")
    kind, encoding = ("<U1", "utf-32-le") if values.dtype.kind == "U" else ("S1", "latin-1")
    text = values.astype(kind).tobytes().decode(encoding, "replace")
    masked = without_token(text)
    allowance.refund(cost)
    return values if masked is text else np.frombuffer(bytearray(masked, encoding), kind).astype(values.dtype)
