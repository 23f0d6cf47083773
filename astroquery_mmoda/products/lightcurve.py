# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_lightcurve``: one Table, all sources stacked, with real times."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time
from astroquery.exceptions import CorruptDataWarning, InputWarning

from ..errors import ServiceError, reading, warn
from ..markup import show_rounded
from ..text import printable, visible
from .budget import Budget
from .cards import flat_provenance, flat_text, number
from .curves import POSITION_CARDS, Curve, read_curves
from .kinds import likely
from .mergeable import mergeable
from .plaintable import maybe_masked

if TYPE_CHECKING:
    from .products import Products


#: key of ``meta`` for the positions of several sources, as JSON: name -> [RA_OBJ, DEC_OBJ] in deg
POSITIONS = "OBJ_POS"
# the same for a name in all light curves, or astropy would warn where they are stacked
_OF_VALUES = ".5g"
_FORMATS = {"time_bin": ".7g", "FRACEXP": ".4g"}


def lightcurve_form(products: Products, whole: Products) -> Table:
    """Light curves, of the products that are wanted, in one table; all that came is for messages."""
    budget = Budget(whole)
    found = {product: read_curves(product, budget) for product in products}
    curves = [curve for product in likely(found, "lightcurve") for curve in found[product]]
    if not curves:
        whole.require("lightcurve")
        return empty_lightcurve()
    _warn_of_times(curves, products)
    with reading("light curves"):
        return _stack(curves, whole, budget)


def _stack(curves: list[Curve], whole: Products, budget: Budget) -> Table:
    if len({curve.origin for curve in curves if curve.origin is not None}) > 1:
        raise _not_joinable("columns of times from different MJDREF", whole)
    lengths = [len(curve) for curve in curves]
    names = visible(curve.source for curve in curves)
    # all names are as wide as the longest; those of single light curves were taken into account before
    longest = max(map(len, names))
    known = sum(len(name) * length for name, length in zip(names, lengths, strict=True))
    budget.allowance.spend(4 * (longest * (sum(lengths) + len(curves)) - known), "names of sources")
    columns = {
        "src_name": np.repeat(names, lengths),
        "time": _joined_times(curves),
        "time_bin": maybe_masked(np.concatenate([curve.width for curve in curves]), u.s),
        "e_min": maybe_masked(np.repeat([curve.band[0] for curve in curves], lengths), u.keV),
        "e_max": maybe_masked(np.repeat([curve.band[1] for curve in curves], lengths), u.keV),
    }
    places = [(curve.source, str(curve.band)) for curve in curves]
    if len(set(places)) < len({(*place, curve.product) for place, curve in zip(places, curves, strict=True)}):
        # nothing else tells them apart
        products = [printable(curve.product, limit=60) for curve in curves]
        columns["product"] = np.repeat(products, lengths)
    table = Table(columns, copy=False)
    for name in dict.fromkeys(name for curve in curves for name in curve.columns):
        table.add_column(_stacked(name, curves, whole, budget), name=name, copy=False)
    table.meta = mergeable(_common_meta(curves) | flat_provenance(whole))
    return rounded_lightcurve(table)


def empty_lightcurve() -> Table:
    """The usual columns without rows."""
    units = {"time_bin": u.s, "e_min": u.keV, "e_max": u.keV, "RATE": u.ct / u.s, "ERROR": u.ct / u.s}
    table = Table({"src_name": np.array([], dtype="U1"), "time": Time(np.zeros(0), format="mjd", scale="tt")})
    table.add_columns([Column(np.zeros(0), name=name, unit=unit) for name, unit in units.items()])
    return rounded_lightcurve(table)


def rounded_lightcurve(table: Table) -> Table:
    """The same table, whose columns are shown with the digits that matter; times and positions keep all of theirs."""
    kept = (u.day, u.deg)
    units = {name: column.unit for name, column in table.columns.items() if not isinstance(column, Time)}
    measured = [name for name, unit in units.items() if unit is not None and not any(map(unit.is_equivalent, kept))]
    show_rounded(table, {**dict.fromkeys(measured, _OF_VALUES), **_FORMATS})
    return table


# ---- what the user should know


def _warn_of_times(curves: list[Curve], products: Products) -> None:
    """Warn of what was assumed against expectation, left out, or is not as requested; of each once."""
    for note in dict.fromkeys(note for curve in curves for note, is_odd in curve.notes.items() if is_odd):
        warn(f"MMODA: times of this light curve: {note}.", CorruptDataWarning)
    for curve in curves:
        if curve.left_out:
            warn(
                f"MMODA: light curve of {printable(curve.source, limit=60)!r}: {curve.left_out} of "
                f"{curve.left_out + len(curve)} rows have no valid time and are left out.",
                CorruptDataWarning,
            )
    # bins of SPI-ACS consist of whole native ones; the service's reply repeats the request all the same
    request = products.parameters
    is_real = request.get("time_bin_format", "sec") == "sec" and request.get("query_type", "Real") == "Real"
    requested = number(request, "time_bin", math.nan) if is_real else math.nan
    for width in sorted({curve.acs_width for curve in curves if curve.acs_width > 0 and requested > 0}):
        if not math.isclose(width, requested, rel_tol=1e-6):
            warn(
                f"MMODA: requested time bins of {requested:g} s, got {width:g} s: the service rounds time_bin of "
                "SPI-ACS down to a multiple of 0.05 s.",
                InputWarning,
            )


# ---- all of them together


def _joined_times(curves: list[Curve]) -> Time:
    """In TDB where all came in a barycentric scale, else in TT."""
    scales, lengths = {curve.scale for curve in curves}, [len(curve) for curve in curves]
    whole = np.repeat([curve.whole for curve in curves], lengths)
    days = np.concatenate([curve.days for curve in curves])
    common = "tdb" if scales <= {"tdb", "tcb"} else "tt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        times = Time(whole, days, format="mjd", scale=common)
        for scale in scales - {common}:
            rows = np.repeat([curve.scale == scale for curve in curves], lengths)
            times[rows] = Time(whole[rows], days[rows], format="mjd", scale=scale)  # which converts it
    return times


def _stacked(name: str, curves: list[Curve], whole: Products, budget: Budget) -> Column:
    """One column of all sources, in native byte order; masked where a source has none of that name."""
    found = [curve.columns.get(name) for curve in curves]
    present = [column for column in found if column is not None]
    unit, shape, label = present[0].unit, present[0].data.shape[1:], printable(name, limit=60)
    if any(column.data.shape[1:] != shape for column in present):
        raise _not_joinable(f"{label} with different numbers of values in a row", whole)
    try:
        for values in present:
            if values.unit != unit:
                values.data = values.data * values.unit.to(unit)  # type: ignore[union-attr]
    except (u.UnitsError, AttributeError, TypeError) as error:
        raise _not_joinable(f"{label} in units that can't be converted", whole) from error
    kind = np.result_type(*{column.data.dtype for column in present}).newbyteorder("=")
    rows = sum(map(len, curves))
    budget.allowance.spend(rows * math.prod(shape) * (kind.itemsize + 1), f"the column {label} of all light curves")
    joined, mask = np.zeros((rows, *shape), kind), np.zeros((rows, *shape), bool)
    start = 0
    for curve, column in zip(curves, found, strict=True):
        place = slice(start, start := start + len(curve))
        if column is not None:
            joined[place] = column.data
        mask[place] = column is None or (column.mask is not None and column.mask)
    if not mask.any():
        return Column(joined, unit=unit)
    # FITS has no mask for flags, and a flag that is not known is not set
    return MaskedColumn(joined, mask=mask, unit=unit, fill_value=False if kind.kind == "b" else None)


def _not_joinable(what: str, whole: Products) -> ServiceError:
    return ServiceError(
        f"Light curves in this reply have {what}, which can't be put into one table. Use query_product, or source= for "
        "one of them.",
        products=whole,
    )


def _common_meta(curves: list[Curve]) -> dict[str, Any]:
    """What FITS and ECSV headers can hold: short keys, plain values; of cards those in which all curves agree."""
    first = curves[0]
    origin = next((curve.origin for curve in curves if curve.origin is not None), None)
    meta = {key: value for key, value in first.meta.items() if all(curve.meta.get(key) == value for curve in curves)}
    places = {curve.source: [curve.meta.get(key) for key in POSITION_CARDS] for curve in curves}
    known = {source: place for source, place in places.items() if None not in place}
    if known and not meta.keys() >= set(POSITION_CARDS):
        meta = {key: value for key, value in meta.items() if key not in POSITION_CARDS}
        meta[POSITIONS] = flat_text(known)
    notes = "; ".join(dict.fromkeys(note for curve in curves for note in curve.notes))
    more = {"VALUECOL": first.value, "ERRORCOL": first.error, "MJDREF": origin, "TIMEWARN": notes or None}
    return meta | {key: value for key, value in more.items() if value is not None}
