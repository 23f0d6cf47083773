# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What light curves of SPI-ACS don't say by themselves: the true widths of their bins, and where the bins begin.

They are made of native bins of 0.05 s. The service's code gives a bin the rate N / width and the Poisson error
sqrt(N) / width, so RATE / ERROR**2 is the width; and it takes the mean of the *starts* of the native bins for TIME,
while TSTART and TSTOP are the edges of the first and the last one. This is published nowhere, hence the times are
shifted only where it agrees with TSTART and TSTOP.
"""

from __future__ import annotations

import math

import numpy as np

#: width of the native bins (s)
NATIVE = 0.05
_PER_SECOND = 20
# of a native bin
_EXACT = 1e-3
# s; TSTART and TSTOP follow the clock of the spacecraft, which drifts by some microseconds
_AGREE = 1e-3
# most widths have to be exact multiples, or errors mean something else
_ENOUGH = 0.9


def true_widths(rate: np.ndarray, error: np.ndarray, nominal: np.ndarray) -> np.ndarray:
    """Widths of bins (s) by their Poisson errors (count/s), those of the header where the errors show none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        count = np.asarray(rate, dtype=float) / np.asarray(error, dtype=float) ** 2 * _PER_SECOND
        whole = np.round(count)
        # a bin may have a native one more or less than the others
        exact = (
            (whole >= 1) & (np.abs(count - whole) < _EXACT) & (whole <= 2 * np.maximum(nominal, NATIVE) * _PER_SECOND)
        )
    filled = np.isfinite(count)
    if not filled.any() or exact[filled].mean() < _ENOUGH:
        return nominal
    return np.where(exact, whole / _PER_SECOND, nominal)


def shift(time: np.ndarray, width: np.ndarray, duration: float) -> float | None:
    """Time (s) to add so that the bins fill the time from TSTART to TSTOP; None if that is not plausible."""
    known = np.flatnonzero(np.isfinite(time) & np.isfinite(width))
    if not len(known):
        return None
    first, last = known[np.argmin(time[known])], known[np.argmax(time[known])]
    before = -(time[first] - width[first] / 2)
    after = duration - (time[last] + width[last] / 2)
    found = (before + after) / 2
    if not math.isfinite(found) or abs(before - after) > _AGREE or abs(found) > NATIVE / 2 + _AGREE:
        return None
    return round(float(found), 6)
