# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Decoded products without the tokens that stood in their texts; bytes (pictures, files) are left as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..allowance import Allowance
from ..service.replies import without_tokens
from ..text import may_hold_token, without_token
from .columnsizes import column_size
from .kinds import free_name

_PIECE = 250_000  # bytes of a column that are searched in one go
_CONTINUED = re.compile(r"&' *CONTINUE  '")  # within a long value, which goes over several cards
_SHORTEST = 10  # characters of a token


def mask_tokens(data: Any, allowance: Allowance) -> Any:
    """Mask tokens in texts, headers and columns of text, in place where possible; else it gives a new text or array."""
    if isinstance(data, fits.HDUList):
        for hdu in data:
            if isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)) and not isinstance(hdu, fits.CompImageHDU):
                _mask_hdu(hdu, allowance)
            _mask_header(hdu.header)
    elif isinstance(data, Table):
        _mask_table(data, allowance)
    elif isinstance(data, (str, np.ndarray)):
        return _masked(data, allowance)
    return data


def _new_names(names: Sequence[str], mark: str) -> list[tuple[str, str]]:
    """Names of columns with tokens in them, and others in their place that no column has."""
    taken = dict.fromkeys(names, 1)
    masked = [(name, without_token(name)) for name in names]
    return [(name, free_name(new.replace("<token>", mark), taken)) for name, new in masked if new != name]


def _mask_hdu(hdu: Any, allowance: Allowance) -> None:
    for number, column in enumerate(hdu.columns):
        values = np.asarray(hdu.data).view(np.ndarray)[column.name]
        # of variable length, which is rare, they have to be read to be searched
        is_fixed = values.dtype.kind == "S"
        if "A" not in column.format or (is_fixed and not _has_tokens(values, allowance)):
            continue
        allowance.spend(column_size(hdu, number), "texts of a column")
        if is_fixed and not values.flags.writeable:
            allowance.spend(2 * hdu.data.nbytes, "a table without tokens")
            hdu.data = hdu.data.copy()
        if is_fixed:
            _mask_array(np.asarray(hdu.data).view(np.ndarray)[column.name], allowance)
        # astropy may keep a decoded copy of it
        _mask_array(np.asarray(hdu.data.field(number)), allowance)
    for column in hdu.columns:
        if column.unit and (unit := without_token(column.unit)) != column.unit:
            column.unit = unit
    for name, masked in _new_names(hdu.columns.names, "token"):  # FITS advises against < and >
        hdu.columns.change_name(name, masked)


def _mask_header(header: fits.Header) -> None:
    # astropy would interpret each card, hence first as they were read
    images = [getattr(card, "_image", None) or "" for card in header.cards]
    if all(images) and not may_hold_token("\n".join(_CONTINUED.sub("", image) for image in images)):
        return
    for keyword in ("HISTORY", "COMMENT"):  # a text may go over several cards
        text = "\n".join(str(line) for line in header[keyword]) if keyword in header else ""
        if (masked := without_token(text)) != text:
            header.remove(keyword, remove_all=True)
            for line in masked.split("\n"):
                header[keyword] = line
    for index, card in enumerate(header.cards):
        if isinstance(card.value, str) and (masked := without_token(card.value)) != card.value:
            header[index] = masked
        if card.comment and (masked := without_token(card.comment)) != card.comment:
            header.comments[index] = masked


def _mask_table(table: Table, allowance: Allowance) -> None:
    for name in table.colnames:
        column = table[name]
        if isinstance(column, np.ndarray) and _has_tokens(np.ma.getdata(column, subok=False), allowance):
            if not np.ma.getdata(column).flags.writeable:
                allowance.spend(column.nbytes, "a copy without tokens")
                table.replace_column(name, column.copy(), copy=False)
                column = table[name]
            _mask_array(np.ma.getdata(column, subok=False), allowance)
        if isinstance(column.info.description, str):
            column.info.description = without_token(column.info.description)
        if column.info.meta:
            column.info.meta = without_tokens(column.info.meta)
    for name, masked in _new_names(table.colnames, "<token>"):
        table.rename_column(name, masked)
    if table.meta:
        table.meta = without_tokens(table.meta)


def _has_tokens(values: np.ndarray[Any, Any], allowance: Allowance) -> bool:
    return next(_cells_with_tokens(values, allowance), None) is not None


def _mask_array(values: np.ndarray[Any, Any], allowance: Allowance) -> None:
    for part, place, masked in _cells_with_tokens(values, allowance):
        part[place] = masked


def _cells_with_tokens(values: np.ndarray[Any, Any], allowance: Allowance) -> Iterator[tuple[Any, Any, Any]]:
    """For each cell: the array that it is in, its place there, and what it is without a token."""
    for name in values.dtype.names or ():
        yield from _cells_with_tokens(values[name], allowance)
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind != "O" and (kind not in "SU" or size // np.dtype(f"{kind}1").itemsize < _SHORTEST):
        return
    step = max(1, _PIECE // size)
    for begin in range(0, values.size, step):
        piece = values.flat[begin : begin + step].tolist()
        # first all of them as one text, with something between them
        joined = (b"\0" if kind == "S" else "\0").join(piece) if kind != "O" else None
        if kind == "O" or _masked(joined, allowance) is not joined:
            for number, value in enumerate(piece, start=begin):
                masked = _masked(value, allowance)
                if masked is not value:
                    yield values, np.unravel_index(number, values.shape), masked


def _masked(value: Any, allowance: Allowance) -> Any:
    """The same value if there is no token in it."""
    if isinstance(value, str):
        return without_token(value)
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        masked = without_token(text)
        return value if masked is text else masked.encode("latin-1")
    if isinstance(value, (dict, list, tuple)):
        return without_tokens(value)
    if not isinstance(value, np.ndarray):
        return value
    if value.ndim == 1 and value.dtype.str[1:] in ("S1", "U1"):  # a text, as astropy reads rows of variable length
        characters: Any = (b"" if value.dtype.kind == "S" else "").join(value.tolist())
        masked = _masked(characters, allowance)
        same = masked is characters
        return value if same else np.array([masked[at : at + 1] for at in range(len(masked))], value.dtype)
    if not _has_tokens(value, allowance):
        return value
    if not value.flags.writeable:
        allowance.spend(value.nbytes, "a copy without tokens")
        value = value.copy()
    _mask_array(value, allowance)
    return value
