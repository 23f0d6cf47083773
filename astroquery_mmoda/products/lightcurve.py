# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_lightcurve``: one Table, all sources stacked, with real times."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time

from ..errors import DecodingError, ServiceError
from ..text import printable

if TYPE_CHECKING:
    from .products import Product, Products

__all__ = ["lightcurve_form"]

# columns that become `time` and `time_bin`
_TIME_COLUMNS = frozenset({"TIME", "XAX_E", "TIMEDEL"})
_VALUES = ("RATE", "FLUX", "COUNTS", "MAG", "COUNT_RATE", "MAGNITUDE")
_ERRORS = ("ERROR", "RATE_ERR", "FLUX_ERR", "FLUX_ERROR", "MAG_ERR", "COUNTS_ERR", "STAT_ERR")
_SCALES = frozenset(Time.SCALES) - {"local"}
_META_CARDS = ("TELESCOP", "INSTRUME", "DETNAM", "FILTER")


@dataclass(frozen=True)
class _Curve:
    """One source's light curve, columns still by themselves."""

    source: str
    time: Time
    width: np.ndarray
    band: tuple[float, float]
    columns: dict[str, Column]


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
        ``src_name``; ``time`` (bin centre, `~astropy.time.Time`, TT, MJD); ``time_bin`` (full width, s); ``e_min``,
        ``e_max`` (keV, masked where unknown); then the service's columns with units. Bins without data are masked.
        ``meta`` is flat; ``VALUECOL`` and ``ERRORCOL`` name the columns of the measured value and its error.

    Raises
    ------
    ServiceError
        Products came, but no light curve; or columns of one name have units that can't be converted.
    """
    whole.require("lightcurve")
    curves = [_curve(product, hdu) for product in products for hdu in _tables(product)]
    if not curves:
        return _empty()
    lengths = [len(curve.time) for curve in curves]
    table = Table()
    table["src_name"] = np.repeat([curve.source for curve in curves], lengths)
    table["time"] = _joined_times([curve.time for curve in curves])
    table["time_bin"] = _maybe_masked(np.concatenate([curve.width for curve in curves]), u.s)
    for index, name in enumerate(("e_min", "e_max")):
        table[name] = _maybe_masked(np.repeat([curve.band[index] for curve in curves], lengths), u.keV)
    for name in dict.fromkeys(name for curve in curves for name in curve.columns):
        table[name] = _stacked(name, curves, lengths, whole)
    table.meta.update(_meta(products, whole))
    return table


def _empty() -> Table:
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


# ---- one light curve


def _tables(product: Product) -> list[fits.BinTableHDU]:
    if not isinstance(product.data, fits.HDUList):
        raise DecodingError(f"The light curve {product.name!r} is no FITS data.")
    time_name = _time_name(product)
    found = [hdu for hdu in product.data if isinstance(hdu, fits.BinTableHDU) and time_name in _upper(hdu)]
    if not found:
        raise DecodingError(f"The light curve {printable(product.name)!r} has no table with a column {time_name}.")
    return found


def _time_name(product: Product) -> str:
    return str(product.meta.get("time") or "TIME").upper()


def _upper(hdu: fits.BinTableHDU) -> dict[str, str]:
    """Names of columns as they are, by their names in capitals."""
    return {name.upper(): name for name in hdu.columns.names}


def _curve(product: Product, hdu: fits.BinTableHDU) -> _Curve:
    names = _upper(hdu)
    time_name = names[_time_name(product)]
    time_unit = _unit(hdu.columns[time_name].unit) or _unit(hdu.header.get("TIMEUNIT")) or u.day
    width = _width(hdu, names, time_unit)
    dropped = _TIME_COLUMNS | {time_name.upper()}
    columns = {name: _column(hdu, name) for upper, name in names.items() if upper not in dropped}
    _mask_gaps(columns, product, integral=str(hdu.header.get("TELESCOP", "")).strip().upper() == "INTEGRAL")
    return _Curve(
        source=product.source,
        time=_times(hdu, time_name, time_unit, width),
        width=width.to_value(u.s),
        band=_band(hdu.header),
        columns=columns,
    )


def _times(hdu: fits.BinTableHDU, name: str, unit: u.UnitBase, width: u.Quantity) -> Time:
    """
    Bin centres in TT.

    MJDREF + (TIMEZERO + TIME + (0.5 - TIMEPIXR) TIMEDEL) in TIMEUNIT, as in FITS standard 4.0, section 9; all three
    conventions of the service are cases of it. Reference and offset stay apart, to keep the precision.
    """
    header = hdu.header
    reference, offset = _reference(header)
    zero = _card(header, "TIMEZERO", 0.0) * (_unit(header.get("TIMEUNIT")) or unit)
    shift = 0.5 - _card(header, "TIMEPIXR", 0.5)
    elapsed = (np.asarray(hdu.data[name], dtype=float) * unit).to(u.day)
    if shift:
        elapsed = elapsed + shift * np.nan_to_num(width.to(u.day))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        days = (elapsed + zero.to(u.day)).value + offset
        whole = np.floor(np.nan_to_num(days))
        centres = Time(reference + whole, days - whole, format="mjd", scale=_scale(header)).tt
    return Time(centres, format="mjd")


def _reference(header: fits.Header) -> tuple[float, float]:
    """MJDREF as whole days and fraction; 0 where TIME is MJD itself."""
    if "MJDREFI" in header:
        return _card(header, "MJDREFI", 0.0), _card(header, "MJDREFF", 0.0)
    reference = _card(header, "MJDREF", 0.0)
    return float(np.floor(reference)), reference - float(np.floor(reference))


def _scale(header: fits.Header) -> str:
    """TIMESYS; without it TT for INTEGRAL's MJDREF, else UTC, the standard's and astropy's default."""
    system = str(header.get("TIMESYS") or "").strip().lower()
    if system in _SCALES:
        return system
    return "tt" if sum(_reference(header)) == 51544 else "utc"


def _width(hdu: fits.BinTableHDU, names: dict[str, str], time_unit: u.UnitBase) -> u.Quantity:
    """Full width of the bins: column TIMEDEL, twice the column XAX_E, or keyword TIMEDEL; NaN where unknown."""
    for name, factor in (("TIMEDEL", 1.0), ("XAX_E", 2.0)):
        if name in names:
            unit = _unit(hdu.columns[names[name]].unit) or time_unit
            return factor * np.asarray(hdu.data[names[name]], dtype=float) * unit
    unit = _unit(hdu.header.get("TIMEUNIT")) or time_unit
    return np.full(len(hdu.data), _card(hdu.header, "TIMEDEL", np.nan)) * unit


def _band(header: fits.Header) -> tuple[float, float]:
    unit = _unit(header.get("EUNIT")) or u.keV
    if not unit.is_equivalent(u.keV):
        return np.nan, np.nan
    factor = unit.to(u.keV)
    return _card(header, "E_MIN", np.nan) * factor, _card(header, "E_MAX", np.nan) * factor


def _card(header: fits.Header, keyword: str, default: float) -> float:
    try:
        return float(header.get(keyword, default))
    except (TypeError, ValueError):  # "Real" and the like, from templates that nobody filled in
        return default


def _unit(text: Any) -> u.UnitBase | None:
    """Unit of a FITS text, or None; the service writes some that FITS would not."""
    if not isinstance(text, str) or not text.strip():
        return None
    for form in ("fits", "generic", "ogip"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", u.UnitsWarning)
            unit = u.Unit(text.strip(), format=form, parse_strict="silent")
        if not isinstance(unit, u.UnrecognizedUnit):
            return unit
    return u.s if text.strip().lower() in ("sec", "seconds") else None


def _column(hdu: fits.BinTableHDU, name: str) -> Column:
    data = np.asarray(hdu.data[name])
    native = data.astype(data.dtype.newbyteorder("="))  # pandas and others take no foreign byte order
    text = hdu.columns[name].unit
    return MaskedColumn(native, name=name, unit=_unit(text) or text or None)


def _mask_gaps(columns: dict[str, Column], product: Product, *, integral: bool) -> None:
    """Mask bins without data: NaN, and in INTEGRAL's light curves value and error both 0."""
    value, error = (
        _measured(columns, product.meta.get(key), usual) for key, usual in (("rate", _VALUES), ("rate_err", _ERRORS))
    )
    if value is None:
        return
    gap = _isnan(columns[value])
    if error is not None:
        nothing = np.asarray((columns[value] == 0) & (columns[error] == 0)) if integral else np.zeros_like(gap)
        gap |= nothing
        columns[error].mask |= gap | _isnan(columns[error])
    columns[value].mask |= gap


def _measured(columns: dict[str, Column], told: Any, usual: tuple[str, ...]) -> str | None:
    """Column of the value, or of its error: as the service tells, else by the usual names."""
    by_upper = {
        name.upper(): name for name, column in columns.items() if column.dtype.kind in "fiu" and column.ndim == 1
    }
    return next((by_upper[name] for name in (str(told).upper(), *usual) if name in by_upper), None)


def _isnan(column: Column) -> np.ndarray:
    data = np.ma.getdata(column)
    return np.isnan(data) if data.dtype.kind == "f" else np.zeros(len(data), dtype=bool)


# ---- all of them together


def _joined_times(times: list[Time]) -> Time:
    # by their two parts: joining Time objects one by one takes seconds for hundreds of sources
    return Time(
        Time(
            np.concatenate([time.jd1 for time in times]),
            np.concatenate([time.jd2 for time in times]),
            format="jd",
            scale="tt",
        ),
        format="mjd",
    )


def _maybe_masked(values: np.ndarray, unit: u.UnitBase) -> Column:
    unknown = np.isnan(values)
    return MaskedColumn(values, mask=unknown, unit=unit) if unknown.any() else Column(values, unit=unit)


def _stacked(name: str, curves: list[_Curve], lengths: list[int], whole: Products) -> Column:
    """One column of all sources; masked where a source has none of that name."""
    first = next(curve.columns[name] for curve in curves if name in curve.columns)
    pieces = []
    for curve, length in zip(curves, lengths, strict=True):
        if name in curve.columns:
            pieces.append(_in_unit(curve.columns[name], first, name, whole))
        else:
            empty = np.zeros((length, *first.shape[1:]), dtype=first.dtype)
            pieces.append(np.ma.MaskedArray(empty, mask=True))
    joined = np.ma.concatenate(pieces)
    if np.ma.getmaskarray(joined).any():
        return MaskedColumn(joined, unit=first.unit)
    return Column(joined.data, unit=first.unit)


def _in_unit(column: Column, first: Column, name: str, whole: Products) -> np.ma.MaskedArray:
    values = np.ma.MaskedArray(np.ma.getdata(column), mask=np.ma.getmaskarray(column))
    if column.unit == first.unit:
        return values
    try:
        return values * column.unit.to(first.unit)
    except (u.UnitsError, AttributeError, TypeError) as error:
        raise ServiceError(
            f"Light curves in this reply have {printable(name)} in {column.unit} and in {first.unit}, which can't be "
            "put into one table. Use query_product, or source= for one of them.",
            products=whole,
        ) from error


def _meta(products: Products, whole: Products) -> dict[str, str]:
    """What FITS and ECSV headers can hold: short keys, plain texts."""
    told = products[0].meta
    columns = _tables(products[0])[0]
    meta = {key: str(columns.header[key]).strip() for key in _META_CARDS if isinstance(columns.header.get(key), str)}
    named = {name: _column(columns, name) for name in columns.columns.names}
    for key, word, usual in (("VALUECOL", "rate", _VALUES), ("ERRORCOL", "rate_err", _ERRORS)):
        column = _measured(named, told.get(word), usual)
        if column:
            meta[key] = column
    for key, name in (("INSTRUM", "instrument"), ("PRODUCT", "product_type")):
        if isinstance(whole.parameters.get(name), str):
            meta[key] = printable(whole.parameters[name], limit=60)
    if whole.job_id:
        meta["JOB_ID"] = printable(whole.job_id, limit=60)
    return meta
