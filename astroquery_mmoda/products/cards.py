# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Header cards that the forms of products share."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.time import Time

from ..instruments import IJD_ORIGIN
from ..text import in_hex, printable, transliterated
from ..units import known_unit
from .storage.provenance import creator, file_provenance, now

if TYPE_CHECKING:
    from .products import Products


_HDU = TypeVar("_HDU")
# UT1 would need a table from the network
_SCALES = frozenset(Time.SCALES) - {"local", "ut1"}
# names of FITS for scales that astropy calls otherwise
_ALIASES = {"tdt": "tt", "et": "tt", "iat": "tai", "gmt": "utc"}
# keywords of the provenance: its attributes, and comments of their cards
_KEYWORDS = {
    "ORIGIN": ("origin", "Multi-Messenger Online Data Analysis"),
    "SERVICE": ("service", "address of the service"),
    "SERVVERS": ("service_version", "version of the service"),
    "INSTRUM": ("instrument", "instrument, as MMODA names it"),
    "PRODUCT": ("product", "product, as MMODA names it"),
    "OBJECT": ("source", "object of the request"),
    "JOB_ID": ("job_id", "analysis on the MMODA service"),
    "CREATOR": ("creator", "program that made this"),
}
#: keywords of a primary header that say where the data are from
PROVENANCE_CARDS = tuple(_KEYWORDS)
# what cards have instead of a value, where nobody filled in the template of a header
_NO_VALUE = frozenset(
    {"", "STRING", "INTEGER", "REAL", "BOOLEAN", "LOGICAL", "UTC_FORMAT", "OBT_FORMAT", "UNKNOWN", "UNDEFINED"}
)
#: MJD: 1941 to 2105, in which all missions are
EARLIEST, LATEST = 30000.0, 90000.0
#: beginning of the lines of HISTORY with the parameters
PARAMETER = "MMODA parameter "


def primary_hdu(products: Products) -> fits.PrimaryHDU:
    """Primary HDU without data that says where the rest is from."""
    # extending a header by many cards takes the square of their count
    hdu = fits.PrimaryHDU(header=fits.Header(provenance_cards(products)))
    # astropy adds it only where no header is given
    hdu.header.set("EXTEND", True, after="NAXIS")
    return hdu


def provenance_cards(products: Products) -> list[fits.Card]:
    """Cards of a primary header: keywords, and HISTORY for the parameters, whose names are too long for them."""
    return _cards_of(_provenance_values(products))


def flat_provenance(products: Products) -> dict[str, str]:
    """The same for the ``meta`` of a light curve, without the object of the request, since each row has its source."""
    return {key: value for key, value in _provenance_values(products).items() if key != "OBJECT"}


def add_provenance(header: fits.Header, meta: Mapping[str, Any]) -> None:
    """Add to a primary header what `flat_provenance` put into the ``meta`` of a table."""
    header.extend(_cards_of({**meta, "OBJECT": "", "CREATOR": creator()}), update=True, bottom=True)
    add_date(header)


def add_date(header: fits.Header) -> None:
    """Date of the file, which a list of HDUs in memory does not have."""
    header["DATE"] = (now(), "of this file (UTC)")


def _provenance_values(products: Products) -> dict[str, str]:
    known = file_provenance(products)
    values = {keyword: transliterated(known[name]) for keyword, (name, _) in _KEYWORDS.items() if name in known}
    # one text, as parameters have small letters and long names
    return values | ({"PARAMS": flat_text(known["parameters"])} if known["parameters"] else {})


def _cards_of(values: Mapping[str, Any]) -> list[fits.Card]:
    cards = [
        fits.Card(keyword, transliterated(values[keyword]), comment if len(values[keyword]) < 40 else "")
        for keyword, (_, comment) in _KEYWORDS.items()
        if isinstance(values.get(keyword), str) and values[keyword]
    ]
    try:
        parameters = dict(json.loads(values.get("PARAMS") or "{}"))
    except (TypeError, ValueError):  # the user has changed it
        parameters = {}
    return cards + parameter_cards(parameters)


def parameter_cards(parameters: Mapping[str, Any]) -> list[fits.Card]:
    """Lines of HISTORY that `parameters_of` reads."""
    lines = [transliterated(f"{PARAMETER}{name} = {value}") for name, value in parameters.items()]
    return [fits.Card("HISTORY", line[at : at + 72]) for line in lines for at in range(0, len(line), 72)]


def parameters_of(header: fits.Header) -> dict[str, str]:
    """Parameters of the analysis that `provenance_cards` put into a primary header, as texts."""
    lines = [str(line).ljust(72) for line in header.get("HISTORY", ())]
    pairs = (part.partition(" = ") for part in "".join(lines).split(PARAMETER)[1:])
    return {name.strip(): value.strip() for name, _, value in pairs}


def flat_text(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON for one card or cell; quotes and ampersands would disturb FITS."""
    return json.dumps(value).replace("'", "\\u0027").replace("&", "\\u0026")


def complete_copy(hdu: _HDU) -> _HDU:
    """Copy of an HDU; rows of variable length are read before, since astropy does not find them in a copy."""
    for column in hdu.columns if isinstance(hdu, fits.BinTableHDU) else ():
        if "P" in column.format or "Q" in column.format:
            hdu.data[column.name]  # type: ignore[attr-defined]
    copied: _HDU = hdu.copy()  # type: ignore[attr-defined]
    return copied


def name_source(header: fits.Header, source: str) -> None:
    """Note the name of a source in ASCII, as FITS wants it; where it has other letters, the original goes beside it."""
    header["SRC_NAME"] = (transliterated(source, limit=60), "name of the source")
    if in_hex(source):
        header["SRCNAME8"] = in_hex(source)


def with_origin(hdu: _HDU, original: str) -> _HDU:
    """Note the service's own name of an HDU that is renamed."""
    hdu.header["ORIGNAME"] = (transliterated(original, limit=60), "name given by the service")  # type: ignore[attr-defined]
    return hdu


# ---- what cards say: `header` is a FITS header, or what the service sends instead


def is_missing(value: Any) -> bool:
    """Whether a card has no value: none was written, or only the word of a template."""
    if value is None or isinstance(value, fits.card.Undefined):
        return True
    # "None" is Python's, NONE and none are those of FITS files for "no such file"
    return isinstance(value, str) and (value.strip().upper() in _NO_VALUE or value.strip() == "None")


def card_value(header: Mapping[str, Any], keyword: str) -> Any:
    """Value of a card, or None where it is missing."""
    value = header.get(keyword)
    return None if is_missing(value) else value


def drop_missing(header: fits.Header, *, words: bool = True) -> None:
    """Remove cards without a value; ``words``: also empty texts and the words of templates."""
    for index in range(len(header.cards) - 1, -1, -1):
        card = header.cards[index]
        missing = is_missing(card.value) if words else isinstance(card.value, fits.card.Undefined)
        if missing and card.keyword not in ("", "COMMENT", "HISTORY"):
            del header[index]


def number(header: Mapping[str, Any], keyword: str, default: float) -> float:
    """A finite number, or ``default``."""
    try:
        value = float(header.get(keyword, default))
    except (TypeError, ValueError, OverflowError):  # "Real" and the like, from templates that were not filled in
        return default
    return value if math.isfinite(value) else default


def time_reference(header: Mapping[str, Any]) -> tuple[float, float] | tuple[()]:
    """MJDREF, from which TIME counts, as whole days and fraction; empty where there is none."""
    whole, fraction = split_number(header, "MJDREF")
    return (whole, fraction) if math.isfinite(whole) else ()


def split_number(header: Mapping[str, Any], keyword: str) -> tuple[float, float]:
    """Whole and fraction of a number in two cards (``MJDREFI``, ``MJDREFF``), which are more exact, or in one."""
    stem = keyword[:7]
    parts = number(header, f"{stem}I", math.nan), number(header, f"{stem}F", math.nan)
    if not all(map(math.isnan, parts)):
        return float(np.nan_to_num(parts[0])), float(np.nan_to_num(parts[1]))
    value = number(header, keyword, math.nan)
    return (math.nan, 0.0) if math.isnan(value) else (float(math.floor(value)), value - math.floor(value))


def instant_of(header: Mapping[str, Any], keyword: str) -> tuple[float, float] | None:
    """A time such as TSTART as MJD in the scale of the header, whole days and what is left; None where unknown."""
    unit, reference = known_unit(card_value(header, "TIMEUNIT")), time_reference(header)
    elapsed = number(header, keyword, math.nan)
    if unit is None or not unit.is_equivalent(u.day) or not math.isfinite(elapsed) or not reference:
        return None
    return reference[0], reference[1] + elapsed * float(unit.to(u.day))


def energy_band(header: Mapping[str, Any]) -> tuple[float, float] | None:
    """E_MIN and E_MAX in keV; None where unknown."""
    unit = known_unit(card_value(header, "EUNIT") or "keV")
    low, high = number(header, "E_MIN", math.nan), number(header, "E_MAX", math.nan)
    if unit is None or not unit.is_equivalent(u.keV) or math.isnan(low + high):
        return None
    factor = float(unit.to(u.keV))
    return low * factor, high * factor


class TimeSystem(NamedTuple):
    """A time scale of astropy; ``assumed``: why, if not by the header; ``is_odd``: that of the header is unknown."""

    scale: str
    assumed: str = ""
    is_odd: bool = False


def time_system(header: Mapping[str, Any]) -> TimeSystem:
    """Read TIMESYS (FITS 4.0, section 9.2.1); without it, it is TT for INTEGRAL's MJDREF, else UTC."""
    stated = str(card_value(header, "TIMESYS") or "").strip()
    # a realization may follow, as in TT(TAI)
    name = stated.partition("(")[0].strip().lower()
    name = _ALIASES.get(name, name)
    if name in _SCALES:
        return TimeSystem(name)
    scale = "tt" if sum(time_reference(header)) == IJD_ORIGIN else "utc"
    what = f"TIMESYS {printable(stated, limit=20)} unknown" if stated else "no TIMESYS"
    return TimeSystem(scale, f"{what}: {scale.upper()} assumed", is_odd=bool(stated))
