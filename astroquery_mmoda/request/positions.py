# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Positions on the sky as people type them: in degrees or sexagesimal, with all sorts of signs and labels."""

from __future__ import annotations

import re
import unicodedata

from astropy.coordinates import SkyCoord

from ..errors import ParameterError
from ..text import printable, transliterated

__all__ = ["POSITION_FORMS", "parse_position", "plain_dashes"]

#: what an error tells to write instead
POSITION_FORMS = (
    "Write right ascension and declination in degrees ('83.63 22.01') or sexagesimal ('5h34m31.9s +22d00m52s', "
    "'05:34:31.9 +22:00:52', '05 34 31.9 +22 00 52'), or give a SkyCoord"
)

_LONGEST = 200
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,2})?"
# longer words first, as the first alternative that fits is taken
_UNITS = {
    **dict.fromkeys(("degrees", "degree", "deg", "d"), "d"),
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h"), "h"),
    **dict.fromkeys(("minutes", "min", "arcmin", "m", "'"), "m"),
    **dict.fromkeys(("seconds", "sec", "arcsec", "s", '"'), "s"),
    ":": ":",
}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_PART = re.compile(rf"\s*({_NUMBER})\s*({_UNIT}|(?=\s|$))")
_MARKS = str.maketrans(
    {
        **dict.fromkeys("\N{DEGREE SIGN}\N{MASCULINE ORDINAL INDICATOR}\N{RING ABOVE}", "d"),
        **dict.fromkeys("\N{PRIME}\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}\N{ACUTE ACCENT}", "'"),
        **dict.fromkeys("\N{DOUBLE PRIME}\N{RIGHT DOUBLE QUOTATION MARK}\N{LEFT DOUBLE QUOTATION MARK}", '"'),
    }
)
_LABEL = re.compile(
    r"\b(?:r\.\s?a\.|(?:right\s+ascension|declination|ra|decl?|alpha|delta)\b\.?)\s*(?:\(?\s*j2000(?:\.0)?\s*\)?)?\s*[:=]?\s*"
    r"|\(?\b(?:j2000(?:\.0)?|icrs|fk5)\b(?![+-]\d)\)?",
    re.IGNORECASE,
)
_GALACTIC = re.compile(rf"(?:galactic\s*)?l\s*[:=]?\s*({_NUMBER})\s*d?\s*[,;\s]\s*b\s*[:=]?\s*([+-]?\s*{_NUMBER})\s*d?")
# designations of sources such as 1H 0323+342, 2S 0114+650 or 0716+714, which have no blank before their sign
_DESIGNATION = re.compile(r"(?:\d{1,2}[A-Z]\s*)?\d{4,6}(?:\.\d)?[+-]\d{2,6}")
_SIGN = re.compile(r"(?<=[\d.hdms'\"])\s*(?=[+-])")


def parse_position(text: str) -> SkyCoord | None:
    """
    Read a position written as text.

    Parameters
    ----------
    text : str
        A pair of decimal degrees (``"83.63 22.01"``), or right ascension in hours and declination in degrees, both in
        sexagesimal form (``"5h34m31.9s +22d00m52s"``, ``"05:34:31.9 +22:00:52"``, ``"13 14 +33 22"``), ICRS. Signs and
        marks of typeset texts are understood, and labels such as ``RA=``; ``l=... b=...`` is galactic.

    Returns
    -------
    SkyCoord or None
        In ICRS; None if the text is not a position, so that it may be the name of an object.

    Raises
    ------
    ParameterError
        The text has the form of a position but is none, such as 75 minutes, or has nothing but numbers in it.
    """
    if len(text) > _LONGEST or not any(character.isdigit() for character in text):
        return None
    plain = _plain(text)
    if _DESIGNATION.fullmatch(plain):
        return None
    lowered = plain.lower()
    galactic = _GALACTIC.fullmatch(lowered)
    try:
        if galactic:
            longitude, latitude = float(galactic[1]), float(galactic[2].replace(" ", ""))
            return SkyCoord(_in_range(longitude, 360), _in_range(latitude, 90), unit="deg", frame="galactic").icrs
        halves = _halves(lowered)
        if halves is not None:
            return SkyCoord(_in_range(halves[0], 360), _in_range(halves[1], 90), unit="deg")
    except ValueError as error:
        raise ParameterError(
            f"coordinates={printable(text)!r}: not a valid position ({error}). {POSITION_FORMS}."
        ) from error
    if _only_numbers(lowered):
        raise ParameterError(
            f"coordinates={printable(text)!r}: not a valid position, and numbers are not looked up as a name. "
            f"{POSITION_FORMS}."
        )
    return None


def _plain(text: str) -> str:
    """Text with the signs of a keyboard, without labels and brackets around it."""
    if not text.isascii():
        # before the compatibility forms, which would take marks apart
        text = transliterated(unicodedata.normalize("NFKC", text.translate(_MARKS)))
    plain = " ".join(text.replace("`", "'").split()).replace("''", '"')
    stripped = _LABEL.sub(" ", plain).strip(" ,;:/")
    return stripped[1:-1].strip() if stripped[:1] + stripped[-1:] in ("()", "[]") else stripped


def _halves(text: str) -> tuple[float, float] | None:
    """Both angles in degrees, or None if this is not a pair of them."""
    halves = _split(text)
    if halves is None:
        return None
    first, second = _parts(halves[0]), _parts(halves[1])
    if first is None or second is None or _unclear(first[1], second[1]):
        return None
    return _degrees(*first, in_hours=True), _degrees(*second, in_hours=False)


def _unclear(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> bool:
    """Whether the first may be hours or degrees: it has another number of parts, and no unit or too few parts."""
    return len(first) != len(second) and len(first) < 3 and not first[0][1]


def _split(text: str) -> list[str] | None:
    """Two halves: at the comma, at the sign of the second, or in the middle."""
    pieces = re.split(r"\s*[,;]\s*", text)
    if len(pieces) == 1:
        pieces = _SIGN.split(text)
    words = text.split()
    if len(pieces) == 1 and len(words) % 2 == 0:
        pieces = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
    return pieces if len(pieces) == 2 else None


def _parts(half: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Sign, and up to three numbers with the unit behind each; None if there is anything else in it."""
    sign = half[0] if half[:1] in ("+", "-") else ""
    position, found = len(sign), []
    while position < len(half):
        part = _PART.match(half, position)
        if part is None or part.end() == position:
            return None
        found.append((part[1], _UNITS.get(part[2], "")))
        position = part.end()
    units = tuple(unit for _, unit in found)
    return (sign, found) if units in _UNIT_ORDERS else None


def _unit_orders() -> frozenset[tuple[str, ...]]:
    lettered = [(first, "m", "s")[:length] for first in "dh" for length in (1, 2, 3)]
    bare = [("",), ("", ""), ("", "", ""), (":", ""), (":", ":", "")]
    unfinished = [(*order[:-1], "") for order in lettered if len(order) > 1]
    return frozenset([*lettered, *bare, *unfinished])


_UNIT_ORDERS = _unit_orders()


def _degrees(sign: str, parts: list[tuple[str, str]], *, in_hours: bool) -> float:
    """Angle in degrees; `ValueError` tells what is wrong with it."""
    unit = parts[0][1]
    numbers = [float(number) for number, _ in parts]
    if any("." in number for number, _ in parts[:-1]):
        raise ValueError("only the last number of a sexagesimal angle has decimals")
    if any(number >= 60 for number in numbers[1:]):
        raise ValueError("minutes and seconds must be below 60")
    hours = unit == "h" or (in_hours and unit != "d" and len(parts) > 1)
    if hours and not in_hours:
        raise ValueError("a declination is in degrees, not in hours")
    if hours and numbers[0] >= 24:
        raise ValueError("hours must be below 24; mark degrees as in 83d37m59s")
    angle = sum(number / 60**power for power, number in enumerate(numbers))
    return (-angle if sign == "-" else angle) * (15.0 if hours else 1.0)


def _in_range(degrees: float, limit: float) -> float:
    if abs(degrees) > limit:
        raise ValueError(f"{degrees:g} deg is beyond {limit:g} deg")
    return degrees


def _only_numbers(text: str) -> bool:
    """Whether nothing but numbers, signs and units is in a text that could be a name otherwise."""
    rest = re.sub(rf"(?<=[\d.])\s*(?:{_UNIT})(?![a-z])|[\s\d.,;:+/'\"()\[\]-]", "", text)
    return not rest or rest in ("lb", "galacticlb")


def plain_dashes(name: str) -> str:
    """Name of an object with the hyphen of a keyboard in the place of dashes and minus signs of typeset texts."""
    return "".join("-" if _is_dash(character) else character for character in name)


def _is_dash(character: str) -> bool:
    return character == "\N{MINUS SIGN}" or unicodedata.category(character) == "Pd"
