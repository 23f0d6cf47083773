# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What light curves of SPI-ACS don't tell by themselves: the true widths of their bins, and where the bins begin.

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


def true_widths(rate: np.ndarray, error: np.ndarray, told: np.ndarray) -> np.ndarray:
    """
    Give the widths of bins (s) by their Poisson errors.

    Parameters
    ----------
    rate, error : array
        As the service sends them (count/s).
    told : array
        Widths in s that the header tells, kept where the errors tell none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        count = np.asarray(rate, dtype=float) / np.asarray(error, dtype=float) ** 2 * _PER_SECOND
        whole = np.round(count)
        # a bin may have a native one more or less than the others
        exact = (whole >= 1) & (np.abs(count - whole) < _EXACT) & (whole <= 2 * np.maximum(told, NATIVE) * _PER_SECOND)
    filled = np.isfinite(count)
    if not filled.any() or exact[filled].mean() < _ENOUGH:
        return told
    return np.where(exact, whole / _PER_SECOND, told)


def shift(time: np.ndarray, width: np.ndarray, duration: float) -> float | None:
    """
    Give the time (s) to be added to TIME, so that the first bin begins at TSTART and the last one ends at TSTOP.

    Parameters
    ----------
    time, width : array
        TIME since TSTART, and full widths of the bins, in s.
    duration : float
        From TSTART to TSTOP in s.

    Returns
    -------
    float or None
        None where both ends don't agree, or want more than half of a native bin.
    """
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
