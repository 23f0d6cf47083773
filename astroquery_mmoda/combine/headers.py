# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Headers of sums: what all parts agree in, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from astropy import units as u
from astropy.io import fits
from astropy.time import Time

from ..products.cards import card_value, is_missing, number, parameter_cards, parameters_of, time_reference, time_system
from ..units import known_unit
from .inputs import add_values

_COMMENTS = ("COMMENT", "HISTORY", "")
_SUMMED = ("EXPOSURE", "ONTIME", "EXP_SRC", "LIVETIME")
_LEAST, _LARGEST = ("TSTART", "TFIRST", "DATE-OBS"), ("TSTOP", "TLAST", "DATE-END")
# from where and how times are counted
_CLOCK = frozenset({"MJDREF", "MJDREFI", "MJDREFF", "TIMEUNIT", "TIMESYS", "TIMEREF", "TIMEZERO"})
# of the file, or of the bytes of one table
_LEFT_OUT = ("CHECKSUM", "DATASUM", "DATE")


class CommonCards:
    """
    Cards in which all parts agree.

    Of others, EXPOSURE, ONTIME, EXP_SRC and LIVETIME are summed where all have them, TSTART and DATE-OBS are the least,
    TSTOP and DATE-END the largest, and TELAPSE (s) is the time between; the rest is left out.

    Parameters
    ----------
    keywords : iterable of str, optional
        The only cards that are looked at.
    """

    def __init__(self, keywords: Iterable[str] | None = None) -> None:
        self._keywords = None if keywords is None else frozenset(keywords)
        self._first = fits.Header()
        self._values: dict[str, Any] = {}
        self._count = 0
        #: keywords that are not the same in all
        self.differing: set[str] = set()

    def add(self, header: fits.Header) -> None:
        """Take the header of one more part."""
        if self._keywords is not None:
            header = fits.Header([card for card in header.cards if card.keyword in self._keywords])
        values = {card.keyword: card.value for card in header.cards if card.keyword not in _COMMENTS}
        values |= {keyword: "\n".join(map(str, header.get(keyword, ()))) for keyword in _COMMENTS}
        self._count += 1
        if self._count == 1:
            self._first, self._values = header.copy(strip=True), values
            return
        for keyword in (self._values.keys() | values.keys()) - self.differing:
            one, other = self._values.get(keyword), values.get(keyword)
            found = _joined(keyword, one, other)
            if found is None and not (is_missing(one) and is_missing(other)):
                self.differing.add(keyword)
            elif keyword in self._values:
                self._values[keyword] = found

    def header(self) -> fits.Header:
        """The header of the sum."""
        header, gone = self._first.copy(), set(self.differing)
        if gone & _CLOCK:
            gone |= {*_LEAST, *_LARGEST, "TELAPSE"}
        for keyword in [*gone, *(_LEFT_OUT if self._count > 1 else _LEFT_OUT[:2])]:
            header.remove(keyword, ignore_missing=True, remove_all=True)
        for keyword in (*_SUMMED, *_LEAST, *_LARGEST):
            if self._count > 1 and keyword in header and self._values[keyword] is not None:
                header[keyword] = self._values[keyword]
        unit = known_unit(header.get("TIMEUNIT"))
        if self._count > 1 and "TELAPSE" in self._values and "TSTART" in header and "TSTOP" in header and unit:
            elapsed = number(header, "TSTOP", 0.0) - number(header, "TSTART", 0.0)
            header["TELAPSE"] = (elapsed * unit.to(u.s), "[s] from TSTART to TSTOP")
        return header


def _joined(keyword: str, one: Any, other: Any) -> Any:
    """Value of a card for two parts together; None where they differ."""
    if keyword in _SUMMED:
        return one + other if _is_number(one) and _is_number(other) else None
    if keyword in (*_LEAST, *_LARGEST) and not (is_missing(one) or is_missing(other)):
        if _is_number(one) != _is_number(other) or isinstance(one, bool):
            return None
        return min(one, other) if keyword in _LEAST else max(one, other)
    return one if type(one) is type(other) and one == other else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class CommonPrimary:
    """Primary header of a sum, whose lines of HISTORY have the parameters in which all analyses agree."""

    def __init__(self) -> None:
        self._cards = CommonCards()
        self._parameters: dict[str, str] | None = None

    def add(self, header: fits.Header) -> None:
        """Take that of one more part."""
        known, new = self._parameters, parameters_of(header)
        self._parameters = new if known is None else {key: known[key] for key in known if new.get(key) == known[key]}
        self._cards.add(header)

    def hdu(self, values: Mapping[str, Any]) -> fits.PrimaryHDU:
        """Primary HDU with the values of `Inputs.values`."""
        header = self._cards.header()
        header.remove("HISTORY", ignore_missing=True, remove_all=True)
        header.extend(parameter_cards(self._parameters or {}))
        add_values(header, values)
        hdu = fits.PrimaryHDU(header=header)
        hdu.header.set("EXTEND", True, after="NAXIS")
        return hdu


def add_times(header: fits.Header, interval: tuple[float, float]) -> None:
    """Put begin and end (MJD in the scale of the header), TELAPSE and dates into a header."""
    start, stop = interval
    if not stop >= start:
        return
    reference, unit = sum(time_reference(header)), known_unit(card_value(header, "TIMEUNIT"))
    if not reference or unit is None or not unit.is_equivalent(u.day):
        for keyword in ("MJDREFI", "MJDREFF"):
            header.remove(keyword, ignore_missing=True)
        header["MJDREF"], header["TIMEUNIT"], reference, unit = 0.0, "d", 0.0, u.day
    scale = time_system(header).scale
    header["TIMESYS"] = scale.upper()
    factor = float(u.day.to(unit))
    for keyword, date, mjd, text in (("TSTART", "DATE-OBS", start, "begin"), ("TSTOP", "DATE-END", stop, "end")):
        header[keyword] = (round((mjd - reference) * factor, 11), f"{text} of the observation")
        header[date] = (Time(mjd, format="mjd", scale=scale).isot, f"from {keyword}, in the scale of TIMESYS")
    header["TELAPSE"] = (round((stop - start) * 86400.0, 6), "[s] TSTOP - TSTART")
