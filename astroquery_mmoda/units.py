# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Units from texts, some of which astropy would not take and some of which it should not try."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u

from .errors import DecodingError, valid

_MAX_TEXT = 200
_MOST = 200
_MOST_CHARACTERS = 5000
# astropy works out 10**9999999 digit by digit before it finds that this is not a unit
_LARGE_NUMBER = re.compile(r"[0-9]{5,}")
# spellings of the service that are in none of the standards
_WORDS = {
    **dict.fromkeys(("counts", "cts", "cnt", "cnts"), "count"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **{"photons": "photon", "degrees": "deg", "days": "d", "hours": "h"},
}
# after numbers such as 3e-12
_WORD_IN_UNIT = re.compile("[0-9.]+[eE][-+]?[0-9]+|([A-Za-z_]+)")
_WORD = re.compile(r"(?<![A-Za-z_])[A-Za-z]+(?![A-Za-z_])")
# astropy reads no bracket around the whole, nor a power of one with two slashes in it, such as (counts/dm2/s)**2
_POWER = re.compile(r"\((.+)\)(?:\s*(?:\*\*|\^)\s*([-+]?[0-9]{1,2}))?")
_NO_UNIT = frozenset({"no unit", "no units", "none", "unitless", "dimensionless", "sigma"})
# a column heading of workflows: Flux[TeV/cm2s], Tmean[MJD]
_HEADING = re.compile(r"(?P<name>[^\[\]]*[^\[\]\s])\s*\[(?P<bracket>[^\[\]]*)\]\s*")
#: what stands in the brackets of a heading in the place of a unit -> astropy's format of time, and its scale
_TIMES = {"MJD": "mjd", "JD": "jd", "UNIX": "unix", "ISO": "iso", "ISOT": "isot", "UTC": "isot"}
# where a blank is missing: cm2s
_JOINED = re.compile(r"(?<=[a-z][0-9])(?=[A-Za-z])")


def read_unit(text: Any) -> u.UnitBase | None:
    """Unit of a text; what astropy doesn't know stays as it is written, but for numbers of five digits and more."""
    return _parsed(text) if isinstance(text, str) else None


def check_units(texts: Iterable[Any]) -> None:
    """Refuse a table with more different units than there are: each that astropy doesn't know takes milliseconds."""
    different = {text for text in texts if isinstance(text, str)}
    if len(different) > _MOST or sum(min(len(text), _MAX_TEXT) for text in different) > _MOST_CHARACTERS:
        raise DecodingError(f"{len(different)} units, {_MOST} (of {_MOST_CHARACTERS} characters) are the most")


def count_parsed() -> int:
    """How many units were worked out so far, each of which takes milliseconds if astropy does not know it."""
    return _parsed.cache_info().misses


def known_unit(text: Any) -> u.UnitBase | None:
    """Likewise, but None for what astropy doesn't know, and for an empty text."""
    unit = read_unit(text) if isinstance(text, str) and text.strip() else None
    return None if isinstance(unit, u.UnrecognizedUnit) else unit


class Heading(NamedTuple):
    """A column heading in its parts; without brackets that can be read, ``name`` is all of it."""

    name: str
    unit: u.UnitBase | None = None
    time_format: str | None = None


def read_heading(heading: str) -> Heading:
    """Name, and unit or format of time, of a column heading such as ``Flux[TeV/cm2s]`` or ``Tmean[MJD]``."""
    parts = _HEADING.fullmatch(heading)
    if parts is None:
        return Heading(heading)
    name, bracket = parts["name"].strip(), parts["bracket"].strip()
    if bracket.upper() in _TIMES:
        return Heading(name, None, _TIMES[bracket.upper()])
    unit = _heading_unit(bracket)
    return Heading(heading) if unit is None else Heading(name, unit)


def _heading_unit(text: str) -> u.UnitBase | None:
    """Likewise, where all that follows the first slash divides, and blanks may be missing: ``TeV/cm2s``."""
    # astropy takes milliseconds to find that a word means nothing
    known = u.get_current_unit_registry().registry
    words = [word for word in _WORD_IN_UNIT.findall(text) if word]
    if any(_WORDS.get(word.lower(), word) not in known for word in words):
        return None
    if "(" in text or not text.isascii():
        return known_unit(text)
    above, *below = (_JOINED.sub(" ", part).strip() for part in text.split("/"))
    if not below:
        return known_unit(above)
    return known_unit(f"{above} / ({' '.join(below)})") if all(below) else None


def standard_spelling(text: Any) -> str | None:
    """Spell a unit as the FITS standard does (4.0, section 4.3), empty where it has none; None if it is not known."""
    unit = known_unit(text)
    try:
        return None if unit is None else str(u.Unit(unit).to_string("fits", fraction="inline"))
    except (ValueError, TypeError):  # known to astropy only, or logarithmic
        return None


def refuse_unusual(value: Any) -> None:
    """Raise `TypeError` for what astropy would take for a number: a truth value, a complex or masked one."""
    if isinstance(value, (bool, np.bool_)) or np.iscomplexobj(value) or np.any(getattr(value, "mask", False)):
        raise TypeError("a truth value, or a complex or masked number")


def seconds_of(value: Any, name: str) -> float:
    """A time span of a user in s: a Quantity, or a number of seconds; zero or more, and maybe infinite."""
    with valid(name, value, "time span in seconds, or as a Quantity"):
        refuse_unusual(value)
        seconds = float(u.Quantity(value, u.s).value)
        if not seconds >= 0:
            raise ValueError("it must be zero or more")
    return seconds


@lru_cache(maxsize=512)
def _parsed(text: str) -> u.UnitBase:
    if len(text) > _MAX_TEXT or _LARGE_NUMBER.search(text):
        # without its digits, since astropy would read the text once more wherever a column of this unit is used
        return u.UnrecognizedUnit(_LARGE_NUMBER.sub("...", text)[:_MAX_TEXT])
    if " ".join(text.lower().split()) in _NO_UNIT:
        return u.dimensionless_unscaled
    for spelling in dict.fromkeys((text, _WORD.sub(_in_standard_words, text))):
        for form in (None, "fits", "ogip"):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", u.UnitsWarning)
                    unit = u.Unit(spelling, format=form, parse_strict="silent")
            # older versions of astropy fail at some of what they don't know
            except (ValueError, TypeError, ArithmeticError):
                continue
            if not isinstance(unit, u.UnrecognizedUnit):
                return unit
    power = _POWER.fullmatch(text.strip())
    base = _parsed(power[1]) if power else u.UnrecognizedUnit(text)
    if power is None or isinstance(base, u.UnrecognizedUnit):
        return u.UnrecognizedUnit(text)
    return base ** int(power[2] or 1)


def _in_standard_words(word: re.Match[str]) -> str:
    return _WORDS.get(word[0].lower(), word[0])
