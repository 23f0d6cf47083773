# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Source lists of several jobs as one: known sources once by their name, unnamed ones once by their position."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astroquery.exceptions import InputWarning

from ..catalog import angles, cells, empty_catalog, read_positions, rounded_catalog, table_of
from ..errors import ParameterError, valid, warn
from ..instruments import CATALOG_VALUES
from ..products.mergeable import mergeable
from ..products.sources import folded_name
from ..request.source_list import named_positions
from ..text import listed
from ..units import refuse_unusual
from .detections import UNNAMED, USUAL, Detections, plain_numbers_of
from .inputs import INPUTS, InputFacts, Inputs, outcomes
from .rates import measure_rates

_Array = np.ndarray[Any, Any]

_FLAGS = tuple(name for name in CATALOG_VALUES if name != "ERR_RAD")
_SIGMA = math.sqrt(8.0 * math.log(2.0))  # full width at half maximum of a Gaussian, in its standard deviations


def combine_catalogs(
    catalogs: Iterable[Table | fits.HDUList],
    *,
    mosaic: fits.HDUList | None = None,
    radius: u.Quantity | str | None = None,
) -> Table:
    """
    Join the source lists of several jobs.

    A source with a name is taken once, whatever blanks, case and spelling its name has. Unnamed ones (``NEW_1``,
    ``NEW SOURCE``) are taken once by position: the two that are closest to each other become one, then again, until no
    two are within ``radius``. Those that coincide with a known source are left out, and the rest is numbered from
    ``NEW_1``, the most significant one. The result does not depend on the order of the inputs.

    Parameters
    ----------
    catalogs : iterable of Table or HDUList
        As ``query_catalog`` returns them, images with their ``CATALOG``, tables read from files, or earlier results.
        Their frames may differ.
    mosaic : HDUList, optional
        Image, best the sum of those that the sources were found in: significances and position errors are measured
        there (this needs the extra ``combine``).
    radius : `~astropy.units.Quantity` or str, optional
        Distance up to which two positions are of one source; by default 3 arcmin, or the larger one of the two
        ``ERR_RAD`` where that is more.

    Returns
    -------
    Table
        Columns as in ``query_catalog``, accepted by ``catalog=``: known sources first, in order of significance; what
        some inputs have no values for is masked. ``ra`` and ``dec`` are in deg, in the frame of the inputs (FK5 where
        they differ, or are not equatorial). A position is the mean of those found, weighted by 1/ERR_RAD**2, or by
        significance**2 where these are equal or missing; flags are those of the most significant detection.

        With a mosaic, ``significance`` is the largest of its bands of rate / sqrt(VARIANCE) (`measure_rates`), masked
        outside of it, and ``ERR_RAD`` of unnamed sources is the standard deviation of the point-spread function over
        rate / (rate_error noise); known sources keep theirs where it is smaller. Without, they are the largest
        significance and the smallest error radius in the inputs. ``meta`` tells which (``SIGNIFIC``), and the inputs
        (``INPUTS``, JSON).

    Raises
    ------
    ParameterError
        Something is not a list of sources, a source has no name or position, columns can't be joined, or ``radius`` is
        not an angle.
    ImportError
        A mosaic is given, and the extra ``combine`` is missing.

    Notes
    -----
    The position of a Gaussian in noise that is as wide as itself is known to its standard deviation over the
    signal-to-noise ratio, up to a factor near 1 (e.g. Gros et al. 2003, A&A 411, L179, for ISGRI).

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> from astroquery_mmoda.combine import combine_catalogs
    >>> field = dict(coordinates="MAXI J1820+070", radius="8 deg", max_pointings=10)
    >>> times = (58193.455, 58220), (58220, 58246.892)
    >>> catalogs = [Mmoda.query_catalog("isgri", **field, time_range=interval) for interval in times]
    >>> sources = combine_catalogs(catalogs)
    >>> str(sources["src_names"][0])
    'MAXI J1820+070'
    """
    near = _radius(radius)
    # of several detectors or years, there is nothing to be summed: no warnings and errors of sums
    inputs, tables = Inputs("catalog", overlap=True), []
    for number, catalog in enumerate(outcomes(catalogs, "catalog", Table, fits.HDUList)):
        facts, table = _read(catalog, number)
        inputs.add(replace(facts, alike=dict.fromkeys(facts.alike, "")))
        tables.append(table)
    inputs.require_some()
    frames = {table.meta["FRAME"] for table in tables if len(table)}
    frame = frames.pop() if len(frames) == 1 and frames <= {"fk5", "icrs"} else "fk5"
    detections = Detections.of_tables(tables, frame, near)
    found = _table(detections) if detections else empty_catalog()
    found.meta.update({"FRAME": frame, "LON_NAME": "ra", "LAT_NAME": "dec"})
    found.meta["SIGNIFIC"] = "largest of the inputs"
    if mosaic is not None:
        _measure(found, mosaic)
    found = _numbered(found)
    found.meta = mergeable({**found.meta, **inputs.values(), INPUTS: inputs.text()})
    return rounded_catalog(found)


# ---- what is given


def _radius(radius: Any) -> float | None:
    """The radius in degrees, None for the default."""
    if radius is None:
        return None
    with valid("radius", radius, "angle", "Give a Quantity, such as 3*u.arcmin."):
        refuse_unusual(radius)
        degrees = float(u.Quantity(radius).to_value(u.deg))
        if not 0 <= degrees < 180:
            raise ValueError("it must be 0 or more")
    return degrees


def _read(catalog: Table | fits.HDUList, number: int) -> tuple[InputFacts, Table]:
    """What one input says of itself, and its sources with the usual columns."""
    is_image = isinstance(catalog, fits.HDUList)
    facts = InputFacts.of_hdulist(catalog, "INTENSITY") if is_image else InputFacts.of_table(catalog)
    try:
        return facts, _usual(table_of(catalog))
    except ParameterError as error:
        raise ParameterError(f"catalog {number}: {error}") from error


def _usual(table: Table) -> Table:
    """Sources with names, positions in degrees and flags in the usual columns; further ones of the service's lists."""
    names, places = named_positions(table) if len(table) else ([], read_positions(table))
    by_lower = {name.lower(): name for name in reversed(table.colnames)}
    columns: dict[str, Any] = {
        "src_names": Column(names, dtype=str),
        "ra": Column(places.lon, unit=u.deg),
        "dec": Column(places.lat, unit=u.deg),
    }
    used = {*USUAL, *places.names}
    for name in ("significance", *CATALOG_VALUES):
        # FLAG alone may mean anything where it is in small letters
        given = name if name in table.colnames or name == "FLAG" else by_lower.get(name.lower(), "")
        if given in table.colnames:
            used.add(given)
            columns[name] = _numbers(table[given], name)
        elif name == "significance":
            columns[name] = MaskedColumn(np.zeros(len(table)), mask=np.ones(len(table), dtype=bool))
    # tables of other origin have columns that mean nothing to the service
    for name in table.colnames if {"meta_ID", "src_names"} <= set(table.colnames) else ():
        if name not in used and table[name].ndim == 1 and table[name].dtype.kind in "biufUS":
            columns[name] = table[name]
    return Table(columns, meta={"FRAME": places.frame})


def _numbers(column: Any, name: str) -> MaskedColumn:
    """Significances, error radii in degrees, or whole flags; masked where missing."""
    with valid("catalog", name, "column of numbers"):
        if name == "ERR_RAD":
            degrees = angles(column).value
            return MaskedColumn(degrees, unit=u.deg, mask=~(degrees >= 0))
        values = cells(column)
        missing = np.array([value in (None, "") for value in values], dtype=bool)
        numbers = np.array([0 if lacks else value for value, lacks in zip(values, missing, strict=True)], dtype=float)
        if name in _FLAGS and (numbers % 1).any():
            raise ValueError("fractions")
        return MaskedColumn(numbers, mask=missing, dtype=int if name in _FLAGS else float)


# ---- the result


def _table(detections: Detections) -> Table:
    """One row for each source, with the values of its most significant detection."""
    named, unnamed = detections.groups()
    groups = named + unnamed
    table = detections.table[[rows[0] for rows in groups]]
    for number, rows in enumerate(groups):
        _fill(table, number, detections, rows)
    names = [str(name) for name in table["src_names"]]
    table["src_names"] = names[: len(named)] + ["NEW"] * len(unnamed)
    return table


def _fill(table: Table, number: int, detections: Detections, rows: list[int]) -> None:
    """Put what several detections of a source say into its row."""
    for name in table.colnames:
        masked = np.ma.getmaskarray(detections.table[name])[rows]
        if masked[0] and not masked.all():
            table[name][number] = detections.table[name][rows[int(np.argmin(masked))]]
    if len(rows) > 1:
        (place,), (error,) = detections.summaries([rows])
        if (place != detections.vectors[rows[0]]).any():
            lon, lat = np.degrees(np.arctan2(place[1], place[0])) % 360.0, np.degrees(np.arcsin(place[2]))
            table["ra"][number], table["dec"][number] = round(lon, 9), round(lat, 9)
        if "ERR_RAD" in table.colnames and np.isfinite(error):
            table["ERR_RAD"][number] = error


def _measure(table: Table, mosaic: fits.HDUList) -> None:
    """Significances and errors of positions by a mosaic, in place."""
    rates = measure_rates(mosaic, table)
    table.meta["SIGNIFIC"] = "measured in the mosaic"
    if not len(table):
        return
    shape = len(table), -1  # a column for each band
    scaled, noise = (plain_numbers_of(rates, name).reshape(shape) for name in ("significance", "noise"))
    significance = np.fmax.reduce(scaled * noise, axis=1)
    is_inside = np.isfinite(significance)
    table["significance"] = MaskedColumn(np.where(is_inside, significance, 0.0), mask=~is_inside, format=".2f")
    best = np.fmax.reduce(scaled, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = np.where(best > 0, rates.meta["FWHM"] / 60.0 / _SIGMA / best, np.nan)
    known = np.array([not UNNAMED.fullmatch(str(name)) for name in table["src_names"]])
    given = plain_numbers_of(table, "ERR_RAD")
    errors = np.where(known, np.fmin(given, measured), np.where(np.isfinite(measured), measured, given))
    table["ERR_RAD"] = MaskedColumn(np.nan_to_num(errors), mask=np.isnan(errors), unit=u.deg)
    if not is_inside.all():
        outside = [str(name) for name in table["src_names"][~is_inside]]
        warn(f"The mosaic has no exposure at {listed(outside)}: their significance is masked.", InputWarning)


def _numbered(table: Table) -> Table:
    """Known sources first, then the unnamed, in order of significance, with names and numbers."""
    if not len(table):
        return table
    unnamed = np.array([UNNAMED.fullmatch(str(name)) is not None for name in table["src_names"]])
    lacking = np.nan_to_num(-plain_numbers_of(table, "significance"), nan=np.inf)
    keys = unnamed, lacking, [folded_name(name) for name in table["src_names"]], table["ra"], table["dec"]
    table = table[sorted(range(len(table)), key=lambda row: tuple(key[row] for key in keys))]
    names = [str(name) for name in table["src_names"]]
    first = len(table) - int(unnamed.sum())
    names[first:] = [f"NEW_{number}" for number in range(1, len(table) - first + 1)]
    table["src_names"] = names
    if "meta_ID" in table.colnames:
        table.remove_column("meta_ID")
    table.add_column(np.arange(len(table)), name="meta_ID", index=0)
    return table
