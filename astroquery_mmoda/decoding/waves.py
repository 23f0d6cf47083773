# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Gravitational waves: strain, spectrograms, and the contours of sky maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Column, Table

from ..allowance import Allowance
from ..errors import DecodingError, reading
from .arrays import Array

# memory of a number with the time, or the level and contour, that goes with it; of a contour of any length
_NUMBER = 24
_CONTOUR = 250
_TIME = "GPS time: seconds since 1980-01-06 00:00:00 UTC, without leap seconds"


def read_strain(entry: Any, *, what: str = "strain", allowance: Allowance | None = None) -> Table:
    """Read one element of ``gw_strain_product_list``: columns ``time`` (GPS seconds) and ``strain``."""
    with reading(what):
        allowance = allowance or Allowance.of(entry)
        values = _number_array(entry["value"], 1, allowance)
        times = _times(entry["t0"], entry["dt"], len(values))
        return Table([times, Column(values, name="strain")], meta=_axis(entry["t0"], entry["dt"]), copy=False)


def read_spectrogram(entry: Any, *, what: str = "spectrogram", allowance: Allowance | None = None) -> Table:
    """Read ``gw_spectrogram_product``: times (GPS seconds), in each row a value per ``meta["frequency"]`` (Hz)."""
    with reading(what):
        allowance = allowance or Allowance.of(entry)
        values = _number_array(entry["value"], 2, allowance)
        frequencies = _number_array(entry["yindex"], 1, allowance)
        if values.shape[1] != len(frequencies):
            raise DecodingError(f"{values.shape[1]} values per time for {len(frequencies)} frequencies")
        meta = {"frequency": frequencies.tolist(), "frequency_unit": "Hz", **_axis(entry["x0"], entry["dx"])}
        times = _times(entry["x0"], entry["dx"], len(values))
        return Table([times, Column(values, name="value")], meta=meta, copy=False)


def read_contours(entry: Any, *, what: str = "contours", allowance: Allowance | None = None) -> Table:
    """Read the contours of one event of ``gw_skymap_product``: one row per position."""
    # columns: percent, number of the contour in the whole table (from 0), ICRS
    with reading(what):
        allowance = allowance or Allowance.of(entry)
        levels, contours = _number_array(entry["levels"], 1, allowance), entry["contours"]
        allowance.spend(_CONTOUR * sum(map(len, contours)), "contours")
        lines = [
            (level, _number_array(line, 2, allowance))
            for level, of_level in zip(levels, contours, strict=True)
            for line in of_level
            if line
        ]
        lengths = [len(line) for _, line in lines]
        points = np.concatenate([np.empty((0, 2)), *(line for _, line in lines)])
        columns = {
            "level": np.repeat([level for level, _ in lines] or np.empty(0), lengths),
            "contour": np.repeat(np.arange(len(lines)), lengths),
            "ra": points[:, 0],
            "dec": points[:, 1],
        }
        return Table(columns, units={"level": u.percent, "ra": u.deg, "dec": u.deg})


def _number_array(plain: Any, dimensions: int, allowance: Allowance) -> Array:
    """Numbers in nested lists; null becomes NaN."""
    allowance.spend(_NUMBER * (len(plain) if dimensions == 1 else sum(map(len, plain))), "numbers")
    values = np.array(plain, dtype=float)
    if values.ndim != dimensions:
        raise DecodingError(f"expected numbers in {dimensions} dimensions, got {values.ndim}")
    return values


def _axis(start: Any, step: Any) -> dict[str, float]:
    # the step can't be had from the times, which are rounded to 0.2 microseconds
    return {"t0": float(start), "dt": float(step)}


def _times(start: Any, step: Any, count: int) -> Column:
    return Column(float(start) + float(step) * np.arange(count), name="time", unit=u.s, description=_TIME)
