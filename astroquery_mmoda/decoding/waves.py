# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Gravitational waves: strain, spectrograms, and the contours of sky maps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Column, Table

from ..allowance import Allowance
from ..errors import DecodingError, reading
from .literals import read_json_text

__all__ = ["read_contours", "read_spectrogram", "read_strain"]

# a number with the time, or the level and contour, that goes with it; a contour of any length
_NUMBER = 24
_CONTOUR = 250
_TIME = "GPS time: seconds since 1980-01-06 00:00:00 UTC, without leap seconds"


def read_strain(entry: Any, *, what: str = "strain", allowance: Allowance | None = None) -> Table:
    """
    Read one element of ``gw_strain_product_list``.

    Parameters
    ----------
    entry : dict
        With ``value`` (numbers), ``t0`` and ``dt`` (seconds).
    what : str
        Short name of it for error messages.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    `~astropy.table.Table`
        With columns ``time`` (GPS seconds) and ``strain``.
    """
    with reading(what):
        allowance = allowance or Allowance.of(_dictionary(entry))
        values = _numbers(_dictionary(entry).get("value"), 1, allowance)
        return Table([_times(entry, "t0", "dt", len(values)), Column(values, name="strain")], copy=False)


def read_spectrogram(entry: Any, *, what: str = "spectrogram", allowance: Allowance | None = None) -> Table:
    """
    Read ``gw_spectrogram_product``.

    Parameters
    ----------
    entry : dict
        With ``value`` (a list of numbers per time), ``x0`` and ``dx`` (seconds), ``yindex`` (frequencies).
    what : str
        Short name of it for error messages.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    `~astropy.table.Table`
        With columns ``time`` (GPS seconds) and ``value``, each of whose rows has one number per frequency; these
        are in ``meta["frequency"]``, a list (Hz).
    """
    with reading(what):
        allowance = allowance or Allowance.of(_dictionary(entry))
        values = _numbers(_dictionary(entry).get("value"), 2, allowance)
        frequencies = _numbers(entry.get("yindex"), 1, allowance)
        if values.shape[1] != len(frequencies):
            raise DecodingError(f"{values.shape[1]} values per time for {len(frequencies)} frequencies")
        meta = {"frequency": frequencies.tolist(), "frequency_unit": "Hz"}
        return Table([_times(entry, "x0", "dx", len(values)), Column(values, name="value")], meta=meta, copy=False)


def read_contours(entry: Any, *, what: str = "contours", allowance: Allowance | None = None) -> Table:
    """
    Read the contours of one event of ``gw_skymap_product``.

    Parameters
    ----------
    entry : dict
        With ``levels`` (percent) and, for each of these, a list of contours, which are lists of positions.
    what : str
        Short name of it for error messages.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    `~astropy.table.Table`
        One row per position: ``level`` (percent), ``contour`` (number of the contour in the whole table, from 0),
        ``ra`` and ``dec`` (ICRS).
    """
    with reading(what):
        allowance = allowance or Allowance.of(_dictionary(entry))
        levels = _numbers(_dictionary(entry).get("levels"), 1, allowance)
        contours = _list(read_json_text(entry.get("contours"), what="contours"))
        if len(levels) != len(contours):
            raise DecodingError(f"{len(levels)} levels, but contours of {len(contours)}")
        allowance.spend(_CONTOUR * sum(len(of_level) for of_level in map(_list, contours)), "contours")
        by_level = zip(levels, contours, strict=True)
        lines = [(level, _positions(line, allowance)) for level, of_level in by_level for line in of_level]
        lengths = [len(line) for _, line in lines]
        points = np.concatenate([np.empty((0, 2)), *(line for _, line in lines)])
        table = Table({"level": np.repeat([level for level, _ in lines] or np.empty(0), lengths)})
        table["contour"] = np.repeat(np.arange(len(lines)), lengths)
        table["ra"], table["dec"] = (Column(points[:, axis].copy(), unit=u.deg) for axis in (0, 1))
        table["level"].unit = u.percent
        return table


def _dictionary(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DecodingError(f"expected a dictionary, got {type(value).__name__}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise DecodingError(f"expected a list, got {type(value).__name__}")
    return value


def _numbers(value: Any, dimensions: int, allowance: Allowance) -> np.ndarray[Any, Any]:
    """Numbers in nested lists; null, which stands for NaN, becomes that again."""
    plain = _list(read_json_text(value, what="numbers") if isinstance(value, str) else value)
    count = len(plain) if dimensions == 1 else sum(len(_list(row)) for row in plain)
    allowance.spend(_NUMBER * count, "numbers")
    values = np.array(plain, dtype=float)
    if not values.size and dimensions == 1:
        return values
    if values.ndim != dimensions:
        raise DecodingError(f"expected numbers in {dimensions} dimensions, got {values.ndim}")
    return values


def _positions(line: Any, allowance: Allowance) -> np.ndarray[Any, Any]:
    points = _numbers(line, 2, allowance) if line else np.empty((0, 2))
    if points.shape[1] != 2:
        raise DecodingError(f"expected pairs of coordinates, got {points.shape[1]} numbers")
    return points


def _times(entry: dict[str, Any], start: str, step: str, count: int) -> Column:
    first, width = (_number(entry.get(key), key) for key in (start, step))
    return Column(first + width * np.arange(count), name="time", unit=u.s, description=_TIME)


def _number(value: Any, name: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise DecodingError(f"expected a number as {name}")
    return float(value)
