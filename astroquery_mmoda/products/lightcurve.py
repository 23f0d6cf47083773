# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_lightcurve``: one Table, all sources stacked, with real times."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time
from astroquery.exceptions import CorruptDataWarning, InputWarning

from ..errors import ServiceError, reading, warn
from ..text import printable, visible
from .budget import Budget
from .cards import flat_provenance, flat_text, number
from .curves import FURTHER_TIMES, Curve, Moments, Values, read_curves

if TYPE_CHECKING:
    from .products import Products

__all__ = ["POSITIONS", "lightcurve_form"]

#: key of ``meta`` for the positions of several sources, as JSON: name -> [RA_OBJ, DEC_OBJ] in deg
POSITIONS = "OBJ_POS"
_POSITION_CARDS = ("RA_OBJ", "DEC_OBJ")
# lengths of the service's formats for time_bin in s
_BIN_FORMATS = {"sec": 1.0, "jd": 86400.0}


def lightcurve_form(products: Products, whole: Products) -> Table:
    """
    Light curves of a reply in one table.

    Parameters
    ----------
    products : Products
        The light curves that are wanted.
    whole : Products
        All that came, for messages.

    Returns
    -------
    Table
        ``src_name``; ``time`` (bin centre, `~astropy.time.Time`, MJD; TT, or TDB where all of it came in TDB);
        ``time_bin`` (full width, s, masked where unknown); ``e_min``, ``e_max`` (keV, masked where unknown); then the
        service's columns with units. Bins without data are masked. ``meta`` is flat; ``VALUECOL`` and ``ERRORCOL`` name
        the columns of the measured value and its error, ``MJDREF`` tells from when further columns of times count,
        ``TIMEWARN`` what was assumed of the times, ``UNITWARN`` that INTEGRAL's rates came without a unit, ``TSHIFT``
        by how much the times of SPI-ACS were shifted (s).

    Raises
    ------
    ServiceError
        Products came, but no light curve; or columns of one name have units that can't be converted.
    """
    whole.require("lightcurve")
    budget = Budget.of(whole)
    curves = [curve for product in products for curve in read_curves(product, budget)]
    if not curves:
        return empty_lightcurve()
    _tell(curves, products)
    with reading("light curves"):
        return _table(_with_one_origin(curves), whole, budget)


def _table(curves: list[Curve], whole: Products, budget: Budget) -> Table:
    lengths = [len(curve) for curve in curves]
    starts = np.cumsum([0, *lengths])
    _spend_on_names(curves, budget)
    table = Table()
    table["src_name"] = np.repeat(visible(curve.source for curve in curves), lengths)
    table["time"] = _joined_times([curve.time for curve in curves])
    table["time_bin"] = _maybe_masked(np.concatenate([curve.width for curve in curves]), u.s)
    for index, name in enumerate(("e_min", "e_max")):
        table[name] = _maybe_masked(np.repeat([curve.band[index] for curve in curves], lengths), u.keV)
    for name in dict.fromkeys(name for curve in curves for name in curve.columns):
        table.add_column(_stacked(name, curves, starts, whole, budget), name=name, copy=False)
    table.meta.update(_meta(curves) | flat_provenance(whole))
    return table


def empty_lightcurve() -> Table:
    """The usual columns without rows."""
    table = Table()
    table["src_name"] = np.array([], dtype="U1")
    table["time"] = Time(np.array([], dtype=float), format="mjd", scale="tt")
    for name, unit in (
        ("time_bin", u.s),
        ("e_min", u.keV),
        ("e_max", u.keV),
        ("RATE", u.ct / u.s),
        ("ERROR", u.ct / u.s),
    ):
        table[name] = Column(np.array([], dtype=float), unit=unit)
    return table


def _spend_on_names(curves: list[Curve], budget: Budget) -> None:
    """All names are as wide as the longest; those of single light curves were taken into account before."""
    longest, rows = max(len(curve.source) for curve in curves), sum(len(curve) for curve in curves)
    known = sum(len(curve.source) * len(curve) for curve in curves)
    budget.spend(4 * (longest * (rows + len(curves)) - known), "names of sources")


# ---- what the user should know


def _tell(curves: list[Curve], products: Products) -> None:
    """Warn of what was assumed against expectation, left out, or is not as it was asked for; of each once."""
    for words in dict.fromkeys(words for curve in curves for words in curve.odd):
        warn(f"MMODA: times of this light curve: {words}.", CorruptDataWarning)
    for curve in curves:
        if curve.left_out:
            count = curve.left_out + len(curve)
            warn(
                f"MMODA: light curve of {printable(curve.source, limit=60)!r}: {curve.left_out} of {count} rows have "
                "no valid time and are left out.",
                CorruptDataWarning,
            )
    _compare_bins(curves, products)
    references = {str(curve.meta.get("TIMEREF", "")).upper() for curve in curves if curve.meta.get("TIMEREF")}
    if len(references) > 1:
        warn(
            f"MMODA: times of these light curves refer to different places (TIMEREF {', '.join(sorted(references))}), "
            "so they can't be compared as they are; source= gives one of them.",
            CorruptDataWarning,
        )


def _compare_bins(curves: Iterable[Curve], products: Products) -> None:
    """Bins of SPI-ACS consist of whole native ones; the service's reply repeats what was asked all the same."""
    told = products.parameters
    factor = _BIN_FORMATS.get(str(told.get("time_bin_format") or "sec"))
    asked = number(told, "time_bin", math.nan) * (factor or math.nan)
    if not asked > 0 or str(told.get("query_type", "Real")) != "Real":
        return
    got = {curve.nominal for curve in curves if curve.is_spi_acs and curve.nominal > 0}
    for width in sorted(got):
        if not math.isclose(width, asked, rel_tol=1e-6):
            warn(
                f"MMODA: asked for time bins of {asked:g} s, got {width:g} s: the service rounds time_bin of SPI-ACS "
                "down to a multiple of 0.05 s.",
                InputWarning,
            )


# ---- all of them together


def _with_one_origin(curves: list[Curve]) -> list[Curve]:
    """Let further columns of times of all curves count from the same moment."""
    origin = _origin(curves)
    return [curve if curve.origin in (None, origin) else _moved(curve, origin) for curve in curves]


def _origin(curves: Iterable[Curve]) -> float | None:
    return next((curve.origin for curve in curves if curve.origin is not None), None)


def _moved(curve: Curve, origin: float | None) -> Curve:
    columns = dict(curve.columns)
    for name, column in columns.items():
        if name.upper() in FURTHER_TIMES and column.unit is not None and column.unit.is_equivalent(u.day):
            days = (curve.origin or 0.0) - (origin or 0.0)
            columns[name] = Values(column.data + days * u.day.to(column.unit), column.unit, column.mask)
    return replace(curve, columns=columns, origin=origin)


def _joined_times(moments: list[Moments]) -> Time:
    """All of them in TDB where all came in a barycentric scale, else in TT; each scale is converted in one go."""
    whole = np.concatenate([moment.whole for moment in moments])
    fraction = np.concatenate([moment.fraction for moment in moments])
    scales = list(dict.fromkeys(moment.scale for moment in moments))
    common = "tdb" if set(scales) <= {"tdb", "tcb"} else "tt"
    if len(scales) == 1:
        return Time(_in_scale(common, whole, fraction, scales[0]), format="mjd")
    scale_of = np.repeat([moment.scale for moment in moments], [len(moment.whole) for moment in moments])
    first, second = np.empty_like(whole), np.empty_like(fraction)
    for scale in scales:
        rows = scale_of == scale
        times = _in_scale(common, whole[rows], fraction[rows], scale)
        first[rows], second[rows] = times.jd1, times.jd2
    return Time(Time(first, second, format="jd", scale=common), format="mjd")


def _in_scale(wanted: str, whole: np.ndarray, fraction: np.ndarray, scale: str) -> Time:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        return getattr(Time(whole, fraction, format="mjd", scale=scale), wanted)


def _maybe_masked(values: np.ndarray, unit: u.UnitBase) -> Column:
    unknown = np.isnan(values)
    return MaskedColumn(values, mask=unknown, unit=unit) if unknown.any() else Column(values, unit=unit)


def _stacked(name: str, curves: list[Curve], starts: np.ndarray, whole: Products, budget: Budget) -> Column:
    """One column of all sources, in native byte order; masked where a source has none of that name."""
    found = [
        (int(start), curve.columns[name]) for start, curve in zip(starts, curves, strict=False) if name in curve.columns
    ]
    first, count = found[0][1], int(starts[-1])
    _refuse_shapes(name, [column for _, column in found], whole)
    kinds = [_kind_in_unit(column, first) for _, column in found]
    kind = np.result_type(*dict.fromkeys(kinds)).newbyteorder("=")
    cells = count * math.prod(first.data.shape[1:])
    budget.spend(cells * (kind.itemsize + 1), f"the column {printable(name, limit=60)} of all light curves")
    joined, mask = np.zeros((count, *first.data.shape[1:]), dtype=kind), np.ones(0, dtype=bool)
    if len(found) < len(curves) or any(column.mask is not None for _, column in found):
        mask = np.ones(joined.shape, dtype=bool)
    for start, column in found:
        rows = slice(start, start + len(column.data))
        joined[rows] = _in_unit(column, first, name, whole)
        if mask.size:
            mask[rows] = False if column.mask is None else column.mask
    if mask.any():
        return MaskedColumn(joined, mask=mask, unit=first.unit)
    return Column(joined, unit=first.unit)


def _refuse_shapes(name: str, columns: list[Values], whole: Products) -> None:
    shapes = list(dict.fromkeys(column.data.shape[1:] for column in columns))
    if len(shapes) > 1:
        raise ServiceError(
            f"Light curves in this reply have {printable(name, limit=60)} with {shapes[0] or 'one value'} and "
            f"{shapes[1] or 'one value'} in a row, which can't be put into one table. Use query_product, or "
            "source= for one of them.",
            products=whole,
        )


def _kind_in_unit(column: Values, first: Values) -> np.dtype[Any]:
    """Type of the values once they are in the unit of the first."""
    kind = column.data.dtype
    return kind if column.unit == first.unit or kind.kind == "f" else np.result_type(kind, float)


def _in_unit(column: Values, first: Values, name: str, whole: Products) -> np.ndarray:
    if column.unit == first.unit:
        return column.data
    try:
        return column.data * column.unit.to(first.unit)  # type: ignore[union-attr]
    except (u.UnitsError, AttributeError, TypeError) as error:
        raise ServiceError(
            f"Light curves in this reply have {printable(name)} in {column.unit} and in {first.unit}, which can't be "
            "put into one table. Use query_product, or source= for one of them.",
            products=whole,
        ) from error


def _meta(curves: list[Curve]) -> dict[str, Any]:
    """What FITS and ECSV headers can hold: short keys, plain values; of cards those in which all curves agree."""
    first = curves[0]
    meta = {key: value for key, value in first.meta.items() if all(curve.meta.get(key) == value for curve in curves)}
    if not all(key in meta for key in _POSITION_CARDS):
        meta = {key: value for key, value in meta.items() if key not in _POSITION_CARDS}
        positions = {
            curve.source: [curve.meta[key] for key in _POSITION_CARDS]
            for curve in curves
            if all(key in curve.meta for key in _POSITION_CARDS)
        }
        meta |= {POSITIONS: flat_text(positions)} if positions else {}
    meta |= {"VALUECOL": first.value} if first.value else {}
    meta |= {"ERRORCOL": first.error} if first.error else {}
    origin = _origin(curves)
    meta |= {} if origin is None else {"MJDREF": origin}
    assumed = list(dict.fromkeys(words for curve in curves for words in curve.assumed))
    return meta | ({"TIMEWARN": "; ".join(assumed)} if assumed else {})
