# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Headers of sums: what all inputs have in common, and the times from the first to the last."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from astropy import units as u
from astropy.io import fits
from astropy.time import Time

from ..products.cards import (
    PROVENANCE_CARDS,
    add_provenance,
    card_value,
    flat_text,
    number,
    parameters_of,
    time_reference,
    time_system,
)
from ..units import known_unit


class CommonCards:
    """
    Cards that are the same in all headers that were added, and the sum of their ONTIME.

    Parameters
    ----------
    keywords : iterable of str
        Which cards are looked at.
    """

    def __init__(self, keywords: Iterable[str]) -> None:
        self.keywords = tuple(keywords)
        self._cards: dict[str, tuple[Any, str]] | None = None
        self._ontimes: list[float] = []

    def add(self, header: fits.Header) -> None:
        """One more."""
        cards = {
            keyword: (value, header.comments[keyword])
            for keyword in self.keywords
            if (value := card_value(header, keyword)) is not None
        }
        self._ontimes.append(number(header, "ONTIME", math.nan))
        if self._cards is not None:
            cards = {name: card for name, card in self._cards.items() if name in cards and cards[name][0] == card[0]}
        self._cards = cards

    @property
    def ontime(self) -> float:
        """Sum of ONTIME (s); NaN where one has none."""
        return math.fsum(self._ontimes)

    def header(self) -> fits.Header:
        """A header of them."""
        return fits.Header([(keyword, *card) for keyword, card in (self._cards or {}).items()])


class CommonProvenance:
    """Keywords and parameters that are the same in all primary headers that were added."""

    def __init__(self) -> None:
        self._cards = CommonCards(PROVENANCE_CARDS)
        self._parameters: dict[str, str] | None = None

    def add(self, primary: fits.Header) -> None:
        """One more."""
        self._cards.add(primary)
        parameters = parameters_of(primary)
        if self._parameters is not None:
            parameters = {name: value for name, value in self._parameters.items() if parameters.get(name) == value}
        self._parameters = parameters

    def primary(self) -> fits.PrimaryHDU:
        """A primary HDU with them."""
        hdu = fits.PrimaryHDU()
        header = self._cards.header()
        add_provenance(hdu.header, {**header, "PARAMS": flat_text(self._parameters or {})})
        if "OBJECT" in header:  # which tables have for each row, and so it is left out above
            hdu.header.set("OBJECT", header["OBJECT"], header.comments["OBJECT"], before="CREATOR")
        return hdu


def add_times(header: fits.Header, interval: tuple[float, float], ontime: float) -> None:
    """Put begin and end (MJD in the scale of the header), TELAPSE, ONTIME and dates into a header."""
    start, stop = interval
    if math.isfinite(ontime):
        header["ONTIME"] = (ontime, "[s] sum of good time intervals")
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
