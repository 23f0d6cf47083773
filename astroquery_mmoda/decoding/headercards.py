# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Cards of FITS headers from the dictionaries of the service.

What describes the layout of the data is left out here: it comes from the data (`tabledata`, `hdus`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from astropy.io import fits

from ..allowance import Allowance
from ..errors import DecodingError
from ..text import printable
from .jsontext import read_json_text

UNDEFINED = object()

_CARD = 80
_BLOCK = 2880
_MAX_CARDS = 20_000
_MAX_TEXT = 100_000

# the layout of the data, compression and random groups, sums over the data, and what is no card by itself
_STRUCTURAL = frozenset(
    "SIMPLE XTENSION BITPIX NAXIS EXTEND PCOUNT GCOUNT GROUPS TFIELDS THEAP BSCALE BZERO BLANK END CONTINUE EXTNAME "
    "CHECKSUM DATASUM ZIMAGE ZTABLE ZBITPIX ZNAXIS ZCMPTYPE ZSIMPLE ZEXTEND ZPCOUNT ZGCOUNT ZTENSION".split()
)
_AXIS = re.compile(r"Z?NAXIS[0-9]+")
_COLUMN = re.compile(r"(T[A-Z]{3,4}[A-Z]?)([1-9][0-9]{0,2})")
_LEGAL = re.compile(r"[A-Z0-9_-]{1,8}")
_LONG = re.compile(r"[A-Z0-9_-][A-Z0-9_ .-]{0,40}[A-Z0-9_-]")
_COMMENTARY = frozenset({"COMMENT", "HISTORY"})
_WHOLE_NUMBERS = frozenset({"EXTVER", "EXTLEVEL"})


def read_header(value: Any, allowance: Allowance) -> dict[str, Any]:
    """
    Read the ``header`` of a unit, a dictionary or its JSON text.

    Keywords become upper-case (the first of those that become equal stays), values are of type bool, int, float, str or
    `UNDEFINED`.
    """
    value = read_json_text(value, what="header", allowance=allowance)
    if not isinstance(value, dict) or len(value) > _MAX_CARDS:
        raise DecodingError(f"expected a dictionary of at most {_MAX_CARDS} keywords as header")
    header: dict[str, Any] = {}
    for keyword, content in value.items():
        # a dictionary can't be a FITS value; the service never sends one
        if not isinstance(content, dict):
            header.setdefault(keyword.strip().upper(), _value(content))
    return header


def _value(content: Any) -> Any:
    if isinstance(content, list):
        return ",".join(str(item) for item in content)
    if content is None or content == "UNDEFINED" or (type(content) is float and not math.isfinite(content)):
        return UNDEFINED  # FITS has no word for NaN
    # more digits than a card can hold
    return UNDEFINED if type(content) is int and abs(content) >= 10**60 else content


def column_cards(header: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The cards that describe columns, without their number, by name of column: ``{"TIME": {"TUNIT": "d", ...}}``."""
    by_number: dict[str, dict[str, Any]] = {}
    for keyword, value in header.items():
        match = _COLUMN.fullmatch(keyword)
        if match:
            by_number.setdefault(match[2], {})[match[1]] = value
    named = [(cards.get("TTYPE"), cards) for cards in by_number.values()]
    return {name.strip(): cards for name, cards in reversed(named) if isinstance(name, str)}


def count_cards(header: Mapping[str, Any]) -> int:
    """About how many cards there will be: a long text takes many."""
    return sum(1 + (len(value) // 60 if type(value) is str else 0) for value in header.values())


def other_cards(header: Mapping[str, Any], *, table: bool) -> Iterator[str]:
    """The cards that say something about the content."""
    numbers = {match[2] for key in header if (match := _COLUMN.fullmatch(key)) and match[1] == "TTYPE"}
    for keyword, value in header.items():
        if keyword in _STRUCTURAL or _AXIS.fullmatch(keyword) or (table and _describes_column(keyword, numbers)):
            continue
        if keyword in _WHOLE_NUMBERS and type(value) is not int:
            continue
        yield from card(keyword, value)


# column keywords that astropy would act on, even where no TTYPE goes with them
_ASTROPY_COLUMN = frozenset(
    "TTYPE TFORM TUNIT TNULL TSCAL TZERO TDISP TBCOL TDIM TCTYP TCUNI TCRPX TCRVL TCDLT TRPOS".split()
)


def _describes_column(keyword: str, numbers: Collection[str]) -> bool:
    match = _COLUMN.fullmatch(keyword)
    return match is not None and (match[2] in numbers or match[1] in _ASTROPY_COLUMN)


def card(keyword: str, value: Any) -> Iterator[str]:
    """Cards of 80 characters, mostly one; none where FITS can't express ``keyword``."""
    if keyword in _COMMENTARY:
        if value is not UNDEFINED:
            yield from _commentary(keyword, ascii_text(str(value)))
    elif _LEGAL.fullmatch(keyword):
        image = f"{keyword:<8}= {_image(value)}"
        yield image.ljust(_CARD) if len(image) <= _CARD else str(fits.Card(keyword, ascii_text(str(value))))
    elif _LONG.fullmatch(keyword):
        image = f"HIERARCH {keyword} = {_image(value).strip()}"
        if len(image) <= _CARD:
            yield image.ljust(_CARD)


def _commentary(keyword: str, text: str) -> Iterator[str]:
    width = _CARD - 8
    for start in range(0, max(len(text), 1), width):
        yield f"{keyword:<8}{text[start : start + width]:<{width}}"


def _image(value: Any) -> str:
    """The value as it stands in a card; astropy's own way takes thirty times longer."""
    if value is UNDEFINED:
        return ""
    if isinstance(value, bool):
        return f"{'T' if value else 'F':>20}"
    if isinstance(value, (int, float)):
        return f"{repr(value).upper():>20}"
    quoted = ascii_text(str(value)).replace("'", "''")
    return f"'{quoted:<8}'"


def ascii_text(text: str) -> str:
    """Text as FITS allows it: ASCII, printable, in one line."""
    if not (text.isascii() and text.isprintable()):
        text = printable(text, limit=_MAX_TEXT).encode("ascii", "backslashreplace").decode("ascii")
    return text[:_MAX_TEXT]


def header_block(cards: Collection[str], allowance: Allowance) -> bytes:
    """A whole header: the cards, END, and blanks up to a multiple of 2880 bytes."""
    # astropy keeps a text of it, and a long text may have become many cards
    allowance.spend(2 * _CARD * len(cards), "headers")
    text = "".join(cards) + "END".ljust(_CARD)
    return text.ljust(-(-len(text) // _BLOCK) * _BLOCK).encode("ascii")
