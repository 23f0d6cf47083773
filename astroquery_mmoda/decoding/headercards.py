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
from ..protocol import FITS_BLOCK
from ..text import printable
from .jsontext import read_json_text

UNDEFINED = object()

_CARD = 80
_MAX_CARDS = 20_000
_MAX_TEXT = 100_000

# the layout of the data, compression and random groups, sums over the data, and what is not a card by itself
_STRUCTURAL = frozenset(
    "SIMPLE XTENSION BITPIX NAXIS EXTEND PCOUNT GCOUNT GROUPS TFIELDS THEAP BSCALE BZERO BLANK END CONTINUE EXTNAME "
    "CHECKSUM DATASUM ZIMAGE ZTABLE ZBITPIX ZNAXIS ZCMPTYPE ZSIMPLE ZEXTEND ZPCOUNT ZGCOUNT ZTENSION".split()
)
_AXIS = re.compile(r"Z?NAXIS[0-9]+")
_COLUMN = re.compile(r"(T[A-Z]{3,4}[A-Z]?)([1-9][0-9]{0,2})")
_LEGAL = re.compile(r"[A-Z0-9_-]{1,8}")
_LONG = re.compile(r"[A-Z0-9_-][A-Z0-9_ .-]{0,40}[A-Z0-9_-]")
_WHOLE_NUMBERS = ("EXTVER", "EXTLEVEL")
# column keywords that astropy would act on, even where no TTYPE goes with them
_ASTROPY_COLUMN = frozenset(
    "TTYPE TFORM TUNIT TNULL TSCAL TZERO TDISP TBCOL TDIM TCTYP TCUNI TCRPX TCRVL TCDLT TRPOS".split()
)


def read_cards(value: Any, allowance: Allowance) -> dict[str, Any]:
    """Keywords and values (bool, int, float, str or `UNDEFINED`) of the ``header`` of a unit, or of its JSON text."""
    value = read_json_text(value, what="header", allowance=allowance)
    if not isinstance(value, dict) or len(value) > _MAX_CARDS:
        raise DecodingError(f"expected a dictionary of at most {_MAX_CARDS} keywords as header")
    header: dict[str, Any] = {}
    for keyword, content in value.items():
        # a dictionary can't be a FITS value; the service never sends one
        if not isinstance(content, dict):
            header.setdefault(keyword.strip().upper(), _card_value(content))  # of equal ones the first
    return header


def _card_value(content: Any) -> Any:
    if isinstance(content, list):
        return ",".join(str(item) for item in content)
    # FITS has no word for NaN
    is_undefined = content is None or content == "UNDEFINED" or (type(content) is float and not math.isfinite(content))
    return UNDEFINED if is_undefined else content


def plain_value(value: Any) -> Any:
    """Value of a card as it would be read from a FITS header."""
    return None if value is UNDEFINED else ascii_text(value).rstrip() if isinstance(value, str) else value


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
    columns = [(keyword, match) for keyword in header if table and (match := _COLUMN.fullmatch(keyword))]
    numbers = {match[2] for _, match in columns if match[1] == "TTYPE"}
    left_out = {keyword for keyword, match in columns if match[2] in numbers or match[1] in _ASTROPY_COLUMN}
    for keyword, value in header.items():
        is_odd = keyword in _WHOLE_NUMBERS and type(value) is not int
        if not (is_odd or keyword in left_out or keyword in _STRUCTURAL or _AXIS.fullmatch(keyword)):
            yield from cards_of(keyword, value)


def all_cards(values: Mapping[str, Any]) -> list[str]:
    """Cards of several keywords."""
    return [card for keyword, value in values.items() for card in cards_of(keyword, value)]


def cards_of(keyword: str, value: Any) -> Iterator[str]:
    """Cards of 80 characters, mostly one; none where FITS can't express ``keyword``."""
    if keyword in ("COMMENT", "HISTORY"):
        if value is not UNDEFINED:
            text, width = ascii_text(str(value)), _CARD - 8
            for start in range(0, max(len(text), 1), width):
                yield f"{keyword:<8}{text[start : start + width]:<{width}}"
    elif _LEGAL.fullmatch(keyword):
        image = f"{keyword:<8}= {_value_image(value)}"
        yield image.ljust(_CARD) if len(image) <= _CARD else str(fits.Card(keyword, ascii_text(str(value))))
    elif _LONG.fullmatch(keyword):
        image = f"HIERARCH {keyword} = {_value_image(value).strip()}"
        if len(image) <= _CARD:
            yield image.ljust(_CARD)


def _value_image(value: Any) -> str:
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
    return text.ljust(-(-len(text) // FITS_BLOCK) * FITS_BLOCK).encode("ascii")
