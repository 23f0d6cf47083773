# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Units from the texts of others, some of which astropy would not take and some of which it should not try."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any

from astropy import units as u

__all__ = ["known_unit", "read_unit"]

_MAX_TEXT = 200
# astropy works out 10**9999999 digit by digit before it finds that this is no unit
_LARGE_NUMBER = re.compile(r"[0-9]{5}")
# what the service writes and no standard knows
_SYNONYMS = {"sec": "s", "seconds": "s"}


def read_unit(text: Any) -> u.UnitBase | None:
    """
    Make a unit of its text; what astropy doesn't know stays as it is written.

    Parameters
    ----------
    text : str or None
        Such as ``erg / (s cm2)``.
    """
    return _read(text) if isinstance(text, str) else None


def known_unit(text: Any) -> u.UnitBase | None:
    """Likewise, but None for what astropy doesn't know, and for an empty text."""
    unit = read_unit(text) if isinstance(text, str) and text.strip() else None
    return None if isinstance(unit, u.UnrecognizedUnit) else unit


@lru_cache(maxsize=512)
def _read(text: str) -> u.UnitBase:
    if len(text) > _MAX_TEXT or _LARGE_NUMBER.search(text):
        return u.UnrecognizedUnit(text[:_MAX_TEXT])
    name = _SYNONYMS.get(text.strip().lower(), text)
    for form in (None, "fits", "ogip"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", u.UnitsWarning)
                unit = u.Unit(name, format=form, parse_strict="silent")
        # older versions of astropy fail at some of what they don't know
        except (ValueError, TypeError, ArithmeticError):
            continue
        if not isinstance(unit, u.UnrecognizedUnit):
            return unit
    return u.UnrecognizedUnit(text)
