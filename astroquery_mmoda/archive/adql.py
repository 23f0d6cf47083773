# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
A search in the archive, written in ADQL.

The service's translator does not have the whole language: numbers have no exponent, there is no LOWER, text is plain
ASCII, and blanks beside some punctuation are lost even inside quotes. What is written here is translated correctly.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from astropy.time import Time

from ..errors import ParameterError
from ..text import nearest, printable

OBSCORE = "ivoa.obscore"

# patterns (in lower case) that the archive's names of product types fit to, which are those of ObsCore or our own
_TYPES = {
    "image": ("%image%",),
    "spectrum": ("%spectrum%", "%spectra%"),
    "lightcurve": ("%time%series%", "%light%curve%", "lc", r"%\_lc"),
    "catalog": ("%catalog%", "measurements"),
    "skymap": ("%sky%map%", "cube"),
    "spectrogram": ("%spectrogram%",),
}
_OTHER_TYPES = (
    *("arf", "rmf", "table", "picture", "text", "binary", "contours", "strain", "array", "other"),
    *("cube", "sed", "timeseries", "visibility", "event", "measurements"),
)
_MOST_NAMES = 25
_LONGEST_NAME = 300
# the translator rewrites these although they stand between quotes
_LOST_BLANKS = re.compile(r"_ | \. | , |\( | \)")
_NOT_PLAIN = re.compile(r"[^ -~]")


@dataclass(frozen=True)
class Search:
    """
    What to search for; None: not a condition.

    Parameters
    ----------
    position : SkyCoord, optional
        Centre of the region, ICRS.
    radius : float
        Radius of the region (deg).
    names : tuple of str
        Names of an object; a product of one of them need not be in the region.
    instrument : str, optional
        Name of the instrument, in any case.
    kind : str, optional
        Kind of product, as this package or the archive calls it.
    times : pair of Time, optional
        Products whose time range overlaps with this one.
    energies : pair of float, optional
        Products whose energy band overlaps with this one (keV).
    maxrec : int, optional
        Most rows.
    """

    position: SkyCoord | None = None
    radius: float = 0.0
    names: tuple[str, ...] = ()
    instrument: str | None = None
    kind: str | None = None
    times: tuple[Time, Time] | None = None
    energies: tuple[float, float] | None = None
    maxrec: int | None = None

    def adql(self) -> str:
        """The search as one line of ADQL."""
        limits: dict[str, float] = {}
        if self.times is not None:
            limits["t_max >="], limits["t_min <="] = (time.utc.mjd for time in self.times)
        if self.energies is not None:
            # the standard has wavelengths, so the lower energy is the upper bound; 0 is none
            for column, energy in zip(("em_max >=", "em_min <="), reversed(self.energies), strict=True):
                if energy > 0:
                    limits[column] = (energy * u.keV).to_value(u.m, equivalencies=u.spectral())
        conditions = [
            [*self._region(), *self._named()],
            [] if self.instrument is None else [_matching("instrument_name", _pattern(_tidied_name(self.instrument)))],
            [] if self.kind is None else [_matching("dataproduct_type", text) for text in _types(self.kind)],
            *([f"{column} {decimal_text(limit)}"] for column, limit in limits.items()),
        ]
        alternatives = [
            " OR ".join(several) if len(several) < 2 else f"({' OR '.join(several)})" for several in conditions
        ]
        where = " AND ".join(filter(None, alternatives))
        top = "" if self.maxrec is None else f"TOP {self.maxrec}"
        # an order of its own makes TOP mean something
        parts = ("SELECT", top, "*", "FROM", OBSCORE, where and f"WHERE {where}", "ORDER BY t_min")
        return " ".join(filter(None, parts))

    def _region(self) -> list[str]:
        if self.position is None or self.radius >= 180:
            return []
        ra, dec, radius, inside = self.position.ra.deg, self.position.dec.deg, self.radius, 1
        if radius > 90:  # the database's circles end there; what lies outside of the opposite one is the same
            ra, dec, radius, inside = (ra + 180) % 360, -dec, 180 - radius, 0
        circle = f"CIRCLE('ICRS', {decimal_text(ra)}, {decimal_text(dec)}, {decimal_text(radius)})"
        return [f"{inside} = CONTAINS(POINT('ICRS', s_ra, s_dec), {circle})"]

    def _named(self) -> list[str]:
        """A product may be of several targets, with commas between them."""
        patterns = [_pattern(_tidied_name(name)) for name in self.names[:_MOST_NAMES]]
        forms = ("{}", "{},%", "%, {}", "%, {},%")
        return [_matching("target_name", form.replace("{}", name)) for name in patterns for form in forms]


def decimal_text(value: float) -> str:
    """A number with all its digits and without an exponent."""
    if not math.isfinite(value):
        raise ParameterError(f"A finite number is needed, not {value}.")
    return format(Decimal(repr(float(value))), "f")


def as_radius(radius: Any) -> float:
    """Radius of a region in degrees; a bare number is in degrees as well."""
    try:
        degrees = float(Angle(radius, u.deg).deg)
    except (TypeError, ValueError, OverflowError, RecursionError, u.UnitsError) as error:
        raise ParameterError(
            f"radius={printable(radius, limit=100)!r} is not a valid angle; write 10*u.arcmin, or '10 arcmin'."
        ) from error
    if isinstance(radius, bool) or not 0 < degrees <= 180:
        raise ParameterError(f"radius={printable(radius, limit=100)} must be larger than 0 and at most 180 deg.")
    return degrees


def as_maxrec(maxrec: Any) -> int | None:
    """Most rows to return."""
    whole = isinstance(maxrec, (int, np.integer)) and not isinstance(maxrec, bool)
    if maxrec is not None and not (whole and maxrec >= 1):
        raise ParameterError(f"maxrec={printable(maxrec, limit=100)!r} must be a whole number, at least 1, or None.")
    return None if maxrec is None else int(maxrec)


def is_plain(name: str) -> bool:
    """Whether a name reaches the database as it is; otherwise something similar is searched for."""
    return not (_LOST_BLANKS.search(name) or _NOT_PLAIN.search(name))


def _tidied_name(text: Any) -> str:
    name = " ".join(text.split()) if isinstance(text, str) else ""
    if not name or len(name) > _LONGEST_NAME:
        raise ParameterError(f"not a valid name: {printable(text, limit=100)!r}.")
    return name


def _types(kind: str) -> tuple[str, ...]:
    """Patterns for a kind of product."""
    known = (*_TYPES, *_OTHER_TYPES)
    word = _tidied_name(kind).lower()
    if word in _TYPES:
        return _TYPES[word]
    if word in known or "_" in word:  # isgri_lc is a product's name
        return (_pattern(word),)
    raise ParameterError(
        f"Unknown kind {printable(kind)!r}{nearest(word, list(known))}. Known are: {', '.join(known)}."
    )


def _pattern(text: str) -> str:
    """A text as a pattern that matches it, and to little else where the translator would change it."""
    escaped = re.sub(r"([\\%_])", r"\\\1", _NOT_PLAIN.sub("\0", _LOST_BLANKS.sub("\0", text)))
    return escaped.replace("\0", "%")


def _matching(column: str, pattern: str) -> str:
    """Condition that holds in any case of letters."""
    quoted = pattern.replace("'", "''")
    return f"{column} ILIKE '{quoted}'"
