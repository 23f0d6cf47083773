# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Positions on the sky: as people type them, as astropy has them, and those of named objects."""

from __future__ import annotations

import math
import re
import time
import unicodedata
from typing import TYPE_CHECKING, Any

from astropy import units as u
from astropy.coordinates import BaseCoordinateFrame, SkyCoord
from astroquery import log

from ..errors import JobTimeout, MmodaError, ParameterError, valid
from ..service.sockets import answer_within
from ..text import printable
from ..units import refuse_unusual
from .values import is_number

if TYPE_CHECKING:
    from ..service.routes import Routes

_FORMS = (
    "Write right ascension and declination in degrees ('83.63 22.01') or sexagesimal ('5h34m31.9s +22d00m52s', "
    "'05 34 31.9 +22 00 52'), or give a SkyCoord."
)
_LONGEST = 200
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,2})?"
_UNIT = r"(?:d(?:eg(?:rees?)?)?|h(?:(?:ou)?rs?)?|m(?:in(?:utes)?)?|s(?:ec(?:onds)?)?|arcmin|arcsec)(?![a-z])|['\"]"
_ONLY_ANGLES = re.compile(rf"(?:{_NUMBER}\s*(?:{_UNIT})?|[\s.,;:+/-])++")
_HALF = rf"{_NUMBER}[\s:]+{_NUMBER}(?:[\s:]+{_NUMBER})?"
_SEXAGESIMAL = re.compile(rf"[+-]?{_HALF}\s*[\s+-]\s*{_HALF}")
# designations of sources such as 1H 0323+342, 2S 0114+650 or 0716+714, which have no blank before their sign
_DESIGNATION = re.compile(r"(?:\d{1,2}[a-z]\s*)?\d{4,6}(?:\.\d)?[+-]\d{2,6}")


def parse_position(text: str) -> SkyCoord | None:
    """Position that a text of two angles means (ICRS); None if it may be the name of an object."""
    plain = unicodedata.normalize("NFKC", plain_dashes(text[: _LONGEST + 1])).lower().strip(" ()[]")
    for typeset, typed in (("\N{DEGREE SIGN}", "d"), ("\N{PRIME}", "'"), ("''", '"')):
        plain = plain.replace(typeset, typed)
    if len(text) > _LONGEST or not re.search(r"\d", plain):
        return None
    if _DESIGNATION.fullmatch(plain) or not _ONLY_ANGLES.fullmatch(plain):
        return None
    with valid("coordinates", text, "position", _FORMS):
        # at a comma, too, astropy sees by a sign where the second angle begins
        plain = re.sub(r"\s*[,;]\s*([+-]?)", lambda comma: f" {comma[1] or '+'}", plain, count=1)
        first, numbers = re.match(rf"([+-]?{_NUMBER})\s*([dh]?)", plain), len(re.findall(_NUMBER, plain))
        if first is None or numbers < 2 or re.search("[dh].*h", plain):
            raise ValueError("numbers are not looked up as a name")
        value, label = float(first[1]), first[2]
        if not label and numbers > 2 and (re.search("[dh]", plain) or not _SEXAGESIMAL.fullmatch(plain)):
            raise ValueError("it may be in hours or in degrees")
        in_hours = label == "h" or (not label and numbers > 2)
        if abs(value) > 360 or (in_hours and not 0 <= value < 24):
            raise ValueError("hours must be below 24; mark degrees as in 83d37m59s" if in_hours else "beyond 360 deg")
        if all(map(is_number, pair := plain.split())) and len(pair) == 2:  # astropy reads no exponents in angles
            return SkyCoord(*map(float, pair), unit=u.deg)
        return SkyCoord(plain, unit=(u.hourangle if in_hours else u.deg, u.deg))


def sky_position(coordinates: Any) -> SkyCoord:
    """Position in ICRS of a SkyCoord, or of a pair of numbers in degrees, Quantities or texts."""
    position = coordinates
    with valid("coordinates", coordinates, "position", _FORMS):
        if not isinstance(coordinates, (SkyCoord, BaseCoordinateFrame)):
            longitude, latitude = coordinates
            if isinstance(longitude, str) and isinstance(latitude, str):
                position = parse_position(f"{longitude}, {latitude}")
            elif isinstance(coordinates, (dict, set)) or any(isinstance(angle, (str, list)) for angle in coordinates):
                raise TypeError(f"a {type(coordinates).__name__}")
            else:
                refuse_unusual(longitude)
                refuse_unusual(latitude)
                position = SkyCoord(u.Quantity(longitude, u.deg), u.Quantity(latitude, u.deg))
                if abs(u.Quantity(longitude, u.deg)) > 360 * u.deg:
                    raise ValueError(f"{longitude} is beyond 360 deg")
        if not (isinstance(position, SkyCoord) and position.name == "icrs" and not position.shape):
            position = SkyCoord(position).reshape(()).icrs
        if not all(map(math.isfinite, in_degrees(position))):
            raise ValueError("not finite, or masked")
    return position


def in_degrees(position: SkyCoord) -> tuple[float, float]:
    """Longitude and latitude of one position."""
    angles = position.spherical
    longitude = float(angles.lon.deg)
    return longitude + 360.0 * (longitude < 0), float(angles.lat.deg)


def designation(position: SkyCoord) -> str:
    """Name of a nameless position, ``Jhhmmss+ddmmss``."""
    # digits are cut, not rounded, as the IAU's specifications for nomenclature ask
    # (https://cdsweb.u-strasbg.fr/Dic/iau-spec.html)
    # the tiny shift keeps 12:00:00, written with rounding errors as 11:59:59.99999, at 12:00:00
    ra, dec = in_degrees(position)
    seconds, arcseconds = int(ra * 240 + 1e-5) % 86400, int(abs(dec) * 3600 + 1e-5)
    digits = [f"{value // 3600:02d}{value // 60 % 60:02d}{value % 60:02d}" for value in (seconds, arcseconds)]
    return f"J{digits[0]}{'-' if dec < 0 else '+'}{digits[1]}"


# ---- named objects


def plain_dashes(name: str) -> str:
    """Name of an object with plain hyphens instead of the dashes and minus signs of typeset texts."""
    return "".join("-" if each == "\N{MINUS SIGN}" or unicodedata.category(each) == "Pd" else each for each in name)


def find_position(name: str, routes: Routes) -> SkyCoord:
    """Position of an object (ICRS) by the service's resolver, else by Sesame; `ParameterError` if neither knows it."""
    try:
        found = routes.resolve_name(name)
        if "RA" in found:
            return sky_position((found["RA"], found.get("DEC")))
    except JobTimeout:
        raise
    except MmodaError as error:
        log.debug("the service's name resolver: %s", error)
    return from_sesame(name, routes.patience.until)


def from_sesame(name: str, until: float = math.inf) -> SkyCoord:
    """Position of an object by the resolver of CDS, before a moment on the monotonic clock (s)."""
    try:
        # astropy gives no way to set its timeout here
        return answer_within(until - time.monotonic(), lambda: SkyCoord.from_name(name))
    except MmodaError:
        raise
    except Exception as error:  # of the resolver, the libraries below it, and a name that can't be sent
        if time.monotonic() >= until:
            raise JobTimeout(f"Sesame was asked for {printable(name)!r}, and did not answer in time.") from None
        reason = str(error).partition(" See errors")[0].rstrip(".")  # without the list of addresses that were asked
        raise ParameterError(
            f"The service does not know an object {printable(name)!r}, and Sesame did not give a position either "
            f"({printable(reason, limit=150)}). Give its position as a SkyCoord, or as a text such as '83.63 22.01'."
        ) from error
