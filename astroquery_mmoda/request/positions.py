# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Positions on the sky as people type them: in degrees or sexagesimal, with all sorts of signs and labels."""

from __future__ import annotations

import re
import unicodedata

from astropy.coordinates import SkyCoord

from ..errors import ParameterError
from ..text import printable, transliterated

#: for errors: what to write instead
POSITION_FORMS = (
    "Write right ascension and declination in degrees ('83.63 22.01') or sexagesimal ('5h34m31.9s +22d00m52s', "
    "'05:34:31.9 +22:00:52', '05 34 31.9 +22 00 52'), or give a SkyCoord"
)

_LONGEST = 200
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,2})?"
# longer words first, as the first alternative that fits is taken
_WORDS = {
    "d": r"degrees|degree|deg|d",
    "h": r"hours|hour|hrs|hr|h",
    "m": r"minutes|arcmin|min|m|'",
    "s": r"seconds|arcsec|sec|s|\"",
}
_UNIT = "|".join(_WORDS.values())
_NEXT = r"(?:(?<=[dhm:])|\s)\s*"
_ANGLE = re.compile(
    rf"(?P<sign>[+-]?)\s*({_NUMBER})(?:\s*(?P<unit>[dh:]))?"
    rf"(?:{_NEXT}({_NUMBER})(?:\s*[m:])?(?:{_NEXT}({_NUMBER})(?:\s*s)?)?)?"
)
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
_SIGN = re.compile(r"(?<=[\d.hdms])\s*(?=[+-])")


def parse_position(text: str) -> SkyCoord | None:
    """Position that a text means (ICRS, or galactic as ``l=... b=...``); None if it may be the name of an object."""
    if len(text) > _LONGEST or not any(character.isdigit() for character in text):
        return None
    plain = _keyboard_text(text)
    if _DESIGNATION.fullmatch(plain):
        return None
    plain = plain.lower()
    galactic = _GALACTIC.fullmatch(plain)
    try:
        if galactic:
            return SkyCoord(float(galactic[1]), float(galactic[2].replace(" ", "")), unit="deg", frame="galactic").icrs
        halves = _halves(plain)
        if halves is not None:
            if abs(halves[0]) > 360:
                raise ValueError(f"{halves[0]:g} deg is beyond 360 deg")
            return SkyCoord(*halves, unit="deg")
    except ValueError as error:
        raise ParameterError(
            f"coordinates={printable(text)!r}: not a valid position ({error}). {POSITION_FORMS}."
        ) from error
    if _only_numbers(plain):
        raise ParameterError(
            f"coordinates={printable(text)!r}: not a valid position, and numbers are not looked up as a name. "
            f"{POSITION_FORMS}."
        )
    return None


def _keyboard_text(text: str) -> str:
    """Text with the signs of a keyboard, without labels and brackets around it."""
    if not text.isascii():
        # before the compatibility forms, which would take marks apart
        text = transliterated(unicodedata.normalize("NFKC", text.translate(_MARKS)))
    plain = " ".join(text.replace("`", "'").split()).replace("''", '"')
    stripped = _LABEL.sub(" ", plain).strip(" ,;:/")
    return stripped[1:-1].strip() if stripped[:1] + stripped[-1:] in ("()", "[]") else stripped


def _halves(text: str) -> tuple[float, float] | None:
    """Both angles in degrees, or None if this is not a pair of them: at the comma, at the second sign, or halfway."""
    for letter, words in _WORDS.items():
        text = re.sub(rf"(?<=[\d.])\s*(?:{words})(?![a-z])|(?<=[\d.])\s*(?:{words})(?=\d)", letter, text)
    pieces = re.split(r"\s*[,;]\s*", text)
    numbers = text.split()
    if len(pieces) == 1:
        pieces = _SIGN.split(text)
    if len(pieces) == 1 and len(numbers) % 2 == 0:
        pieces = [" ".join(numbers[: len(numbers) // 2]), " ".join(numbers[len(numbers) // 2 :])]
    angles = [angle for angle in map(_ANGLE.fullmatch, pieces) if angle]
    if len(pieces) != 2 or len(angles) != 2:
        return None
    longitude, latitude = ([number for number in angle.group(2, 4, 5) if number] for angle in angles)
    if len(longitude) != len(latitude) and len(longitude) < 3 and not angles[0]["unit"]:
        return None  # it may be hours or degrees
    return _angle_in_degrees(angles[0], longitude, in_hours=True), _angle_in_degrees(
        angles[1], latitude, in_hours=False
    )


def _angle_in_degrees(angle: re.Match[str], parts: list[str], *, in_hours: bool) -> float:
    """Angle in degrees; `ValueError` says what is wrong with it."""
    unit, numbers = angle["unit"], [float(part) for part in parts]
    if any("." in part for part in parts[:-1]):
        raise ValueError("only the last number of a sexagesimal angle has decimals")
    if any(number >= 60 for number in numbers[1:]):
        raise ValueError("minutes and seconds must be below 60")
    hours = unit == "h" or (in_hours and unit != "d" and len(parts) > 1)
    if hours and not in_hours:
        raise ValueError("a declination is in degrees, not in hours")
    if hours and numbers[0] >= 24:
        raise ValueError("hours must be below 24; mark degrees as in 83d37m59s")
    degrees = sum(number / 60**power for power, number in enumerate(numbers))
    return (-degrees if angle["sign"] == "-" else degrees) * (15.0 if hours else 1.0)


def _only_numbers(text: str) -> bool:
    """Whether nothing but numbers, signs and units is in a text that could be a name otherwise."""
    rest = re.sub(rf"(?<=[\d.])\s*(?:{_UNIT})(?![a-z])|[\s\d.,;:+/'\"()\[\]-]", "", text)
    return not rest or rest in ("lb", "galacticlb")


def plain_dashes(name: str) -> str:
    """Name of an object with the hyphen of a keyboard in the place of dashes and minus signs of typeset texts."""
    return "".join("-" if each == "\N{MINUS SIGN}" or unicodedata.category(each) == "Pd" else each for each in name)
