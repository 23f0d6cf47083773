# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Conditions of a search in the archive, written in ADQL.

The service's translator does not have the whole language: numbers have no exponent, there is no LOWER, text is plain
ASCII, and blanks beside some punctuation are lost even inside quotes. What is written here is translated correctly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from ..errors import ParameterError
from ..request.values import energy_pair, time_pair
from ..text import printable

OBSCORE = "ivoa.obscore"

# patterns that the archive's names of product types fit to
_KINDS = {
    "image": ["%image%"],
    "spectrum": ["%spectrum%", "%spectra%"],
    "lightcurve": ["%time%series%", "%light%curve%", "lc", r"%\_lc"],
    "catalog": ["%catalog%", "measurements"],
}
_NOT_PLAIN = re.compile(r"\s*[^A-Za-z0-9+\s-]+\s*")


def select_published(any_of: list[str], all_of: list[str], maxrec: int | None) -> str:
    """Query for products that meet one of some conditions, and all of others."""
    where = " AND ".join((_any_of(any_of), *all_of))
    top = "" if maxrec is None else f"TOP {maxrec} "
    # an order of its own makes TOP mean something
    return f"SELECT {top}* FROM {OBSCORE} WHERE {where} ORDER BY t_min"  # noqa: S608 - made of patterns and numbers


def conditions_of(instrument: str | None, kind: str | None, time_range: Any, energy_range: Any) -> list[str]:
    """Conditions on products; what is None is not a condition, and ranges are to overlap."""
    conditions = []
    if instrument is not None:
        conditions.append(_matching("instrument_name", [name_pattern(instrument)]))
    if kind is not None:
        pattern = name_pattern(kind)
        conditions.append(_matching("dataproduct_type", _KINDS.get(pattern.lower(), [pattern])))
    if time_range is not None:
        begin, end = time_pair(time_range)
        conditions += [f"t_max >= {decimal_text(begin.utc.mjd)}", f"t_min <= {decimal_text(end.utc.mjd)}"]
    if energy_range is not None:
        # ObsCore has wavelengths, so the lower energy is the upper bound; an energy of 0 bounds nothing
        low, high = energy_pair(energy_range, u.keV)
        for column, energy in (("em_max >=", high), ("em_min <=", low)):
            if energy > 0:
                wavelength = (energy * u.keV).to_value(u.m, equivalencies=u.spectral())
                conditions.append(f"{column} {decimal_text(wavelength)}")
    return conditions


def in_region(position: SkyCoord, radius: float) -> str:
    """Condition that a product is at most so many degrees from a position."""
    ra, dec, inside = position.ra.deg, position.dec.deg, 1
    if radius > 90:  # larger circles are unknown to the database; this one is all that is outside of the opposite one
        ra, dec, radius, inside = (ra + 180) % 360, -dec, 180 - radius, 0
    numbers = ", ".join(decimal_text(number) for number in (ra, dec, radius))
    return f"{inside} = CONTAINS(POINT('ICRS', s_ra, s_dec), CIRCLE('ICRS', {numbers}))"


def of_target(name: str) -> str:
    """Condition that a product is of an object, or a similar name; it may have several, with commas between them."""
    pattern = name_pattern(name)
    return _matching("target_name", [pattern, f"{pattern},%", f"%, {pattern}", f"%, {pattern},%"])


def name_pattern(name: Any) -> str:
    """Pattern that fits to a name, and to similar ones where it has more than letters and digits."""
    if not isinstance(name, str) or not name.strip():
        raise ParameterError(f"not a valid name: {printable(name, limit=100)!r}.")
    return _NOT_PLAIN.sub("%", " ".join(name.split()))


def decimal_text(value: float) -> str:
    """A number with all its digits and without an exponent."""
    return np.format_float_positional(value, trim="0")


def as_maxrec(maxrec: Any) -> int | None:
    """Most rows to return."""
    if maxrec is not None and not (isinstance(maxrec, (int, np.integer)) and maxrec >= 1):
        raise ParameterError(f"maxrec={printable(maxrec, limit=100)!r} must be a whole number, at least 1, or None.")
    return None if maxrec is None else int(maxrec)


def _matching(column: str, patterns: Iterable[str]) -> str:
    """Condition that holds in any case of letters."""
    return _any_of([f"{column} ILIKE '{pattern}'" for pattern in patterns])


def _any_of(conditions: list[str]) -> str:
    return conditions[0] if len(conditions) == 1 else f"({' OR '.join(conditions)})"
