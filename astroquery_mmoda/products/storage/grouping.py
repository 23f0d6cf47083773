# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Options of written spectra: groups of channels, and a systematic error."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from astroquery.exceptions import InputWarning

from ...errors import DecodingError, ParameterError, reading, warn
from ...text import listed, printable
from .spectrumtable import DUBIOUS, GOOD, ChannelValues


@dataclass(frozen=True)
class SpectrumOptions:
    """The options ``group`` and ``systematic`` of `write_spectra`; `ParameterError` if they have no meaning."""

    group: float | None = None
    systematic: float | None = None

    def __post_init__(self) -> None:
        if self.group is not None and not (_is_number(self.group) and 0 < self.group <= sys.float_info.max):
            raise ParameterError(
                f"group={printable(repr(self.group), limit=80)} has no meaning; "
                "allowed: an int above 0 (least counts per group) or a float above 0 (least signal to noise ratio)"
            )
        if self.systematic is not None and not (_is_number(self.systematic) and 0 <= self.systematic <= 1):
            raise ParameterError(
                f"systematic={printable(repr(self.systematic), limit=80)} has no meaning; "
                "allowed: a fraction from 0 to 1 (0.01 is 1 %)"
            )

    def check(self, spectra: Sequence[tuple[str, Any]]) -> None:
        """
        Refuse what none of the spectra can take, and warn where some can't.

        Parameters
        ----------
        spectra : sequence of (str, HDU or None)
            Names and spectra; None for those that are not of the OGIP kind.
        """
        for option, value in {"group": self.group, "systematic": self.systematic}.items():
            if value is None:
                continue
            reasons: dict[str, list[str]] = {}
            for name, hdu in spectra:
                try:
                    with reading("spectrum"):
                        reasons.setdefault(self._obstacle(option, hdu and ChannelValues.of(hdu)), []).append(name)
                except DecodingError:  # it can't be written at all, which the manifest will say
                    continue
            is_possible = not reasons or "" in reasons
            reasons.pop("", None)
            text = "; ".join(f"{listed(names, most=10)}: {reason}" for reason, names in reasons.items())
            if not is_possible:
                raise ParameterError(f"{option}={value!r} can't be applied to any spectrum here. {text}")
            if reasons:
                warn(f"{option}={value!r} is left out of the spectrum of {text}", InputWarning)

    def _obstacle(self, option: str, values: ChannelValues | None) -> str:
        """Why an option can't be applied to a spectrum; empty if it can."""
        if values is None:
            return "it is not a spectrum of channels in counts or count rates, and is written as it came"
        if option == "group" and isinstance(self.group, Integral) and not values.in_counts:
            return f"it is in count rates; give the least signal to noise as a float, such as group={float(self.group)}"
        if option == "group" and not isinstance(self.group, Integral) and not values.has_errors:
            return "its rates have no errors (STAT_ERR); leave group= out"
        return ""

    def columns(self, values: ChannelValues, name: str) -> dict[str, np.ndarray]:
        """Columns of a spectrum that the options set."""
        found = {}
        if self.group is not None and not self._obstacle("group", values):
            found["GROUPING"], found["QUALITY"] = self._grouping(values)
            if GOOD in values.quality and GOOD not in found["QUALITY"]:
                text = f"no channels of {printable(name)} reach group={self.group!r}; all have QUALITY 2 (dubious)"
                warn(text, InputWarning)
        if self.systematic is not None:
            found["SYS_ERR"] = np.full(len(values.value), float(self.systematic))
        return found

    def _grouping(self, values: ChannelValues) -> tuple[np.ndarray, np.ndarray]:
        """Find GROUPING (1 opens a group, -1 continues it) and the QUALITY that goes with it (OGIP/92-007)."""
        grouping, quality = np.ones(len(values.value), dtype=np.int16), values.quality.copy()
        is_good = quality == GOOD
        first, signal, variance = 0, 0.0, 0.0
        for channel, (value, error) in enumerate(zip(values.value, values.error, strict=True)):
            if not is_good[channel]:
                # a group can't step over a channel: what was begun stays incomplete
                quality[first:channel] = DUBIOUS
                first, signal, variance = channel + 1, 0.0, 0.0
                continue
            grouping[channel] = 1 if channel == first else -1
            signal += value
            variance += error**2
            if self._is_enough(signal, variance):
                first, signal, variance = channel + 1, 0.0, 0.0
        quality[first:] = DUBIOUS
        return grouping, quality

    def _is_enough(self, signal: float, variance: float) -> bool:
        group = self.group or 0
        if isinstance(group, Integral):
            return signal >= group
        return variance > 0 and signal >= group * math.sqrt(variance)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)
