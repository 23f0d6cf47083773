# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_lightcurve``: one Table, all sources stacked, with real times."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time

from ..decoding.boundary import reading
from ..errors import DecodingError, ServiceError
from ..text import printable
from .headers import flat_provenance, number, time_reference, time_scale

if TYPE_CHECKING:
    from .products import Product, Products

__all__ = ["lightcurve_form"]

# columns that become `time` and `time_bin`
_TIME_COLUMNS = frozenset({"TIME", "XAX_E", "TIMEDEL"})
_VALUES = ("RATE", "FLUX", "COUNTS", "MAG", "COUNT_RATE", "MAGNITUDE")
_ERRORS = ("ERROR", "RATE_ERR", "FLUX_ERR", "FLUX_ERROR", "MAG_ERR", "COUNTS_ERR", "STAT_ERR")
_META_CARDS = ("TELESCOP", "INSTRUME", "DETNAM", "FILTER")


@dataclass(slots=True)
class _Values:
    """A column before it is in a table; making table columns of hundreds of light curves would take seconds."""

    data: np.ndarray
    unit: u.UnitBase | str | None
    mask: np.ndarray | None = None

    def hide(self, flags: np.ndarray) -> None:
        """Mask where ``flags`` are set."""
        if flags.any():
            self.mask = np.zeros(self.data.shape, dtype=bool) if self.mask is None else self.mask
            self.mask |= flags


@dataclass(frozen=True)
class _Moments:
    """Times as whole days and fractions, since a double does not hold both, in one time scale."""

    whole: np.ndarray
    fraction: np.ndarray
    scale: str


@dataclass(frozen=True)
class _Curve:
    """One source's light curve, columns still by themselves."""

    source: str
    time: _Moments
    width: np.ndarray
    band: tuple[float, float]
    columns: dict[str, _Values]


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
    curves = [_read_curve(product, hdu) for product in products for hdu in _tables(product)]
    if not curves:
        return empty_lightcurve()
    with reading("light curves"):
        return _table(curves, products, whole)


def _table(curves: list[_Curve], products: Products, whole: Products) -> Table:
    lengths = [len(curve.width) for curve in curves]
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


def _read_curve(product: Product, hdu: fits.BinTableHDU) -> _Curve:
    with reading(f"light curve {product.name!r}"):
        return _curve(product, hdu)


def _curve(product: Product, hdu: fits.BinTableHDU) -> _Curve:
    names = _upper(hdu)
    time_name = names[_time_name(product)]
    time_unit = _unit(hdu.columns[time_name].unit) or _unit(hdu.header.get("TIMEUNIT")) or u.day
    if not time_unit.is_equivalent(u.day):
        raise DecodingError(f"the unit of its times is {time_unit}")
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


def _times(hdu: fits.BinTableHDU, name: str, unit: u.UnitBase, width: u.Quantity) -> _Moments:
    """
    Bin centres.

    MJDREF + (TIMEZERO + TIME + (0.5 - TIMEPIXR) TIMEDEL) in TIMEUNIT, as in FITS standard 4.0, section 9; all three
    conventions of the service are cases of it. Reference and offset stay apart, to keep the precision.
    """
    header = hdu.header
    reference, offset = time_reference(header)
    zero = number(header, "TIMEZERO", 0.0) * (_unit(header.get("TIMEUNIT")) or unit)
    shift = 0.5 - number(header, "TIMEPIXR", 0.5)
    elapsed = (np.asarray(hdu.data[name], dtype=float) * unit).to(u.day)
    if shift:
        elapsed = elapsed + shift * np.nan_to_num(width.to(u.day))
    days = (elapsed + zero.to(u.day)).value + offset
    whole = np.floor(np.nan_to_num(days))
    return _Moments(reference + whole, days - whole, time_scale(header))


def _width(hdu: fits.BinTableHDU, names: dict[str, str], time_unit: u.UnitBase) -> u.Quantity:
    """Full width of the bins: column TIMEDEL, twice the column XAX_E, or keyword TIMEDEL; NaN where unknown."""
    for name, factor in (("TIMEDEL", 1.0), ("XAX_E", 2.0)):
        if name in names:
            unit = _unit(hdu.columns[names[name]].unit) or time_unit
            return factor * np.asarray(hdu.data[names[name]], dtype=float) * unit
    unit = _unit(hdu.header.get("TIMEUNIT")) or time_unit
    return np.full(len(hdu.data), number(hdu.header, "TIMEDEL", np.nan)) * unit


def _band(header: fits.Header) -> tuple[float, float]:
    unit = _unit(header.get("EUNIT")) or u.keV
    if not unit.is_equivalent(u.keV):
        return np.nan, np.nan
    factor = unit.to(u.keV)
    return number(header, "E_MIN", np.nan) * factor, number(header, "E_MAX", np.nan) * factor


def _unit(text: Any) -> u.UnitBase | None:
    """Unit of a FITS text, or None."""
    return _parsed_unit(text) if isinstance(text, str) and text.strip() else None


@lru_cache(maxsize=256)
def _parsed_unit(text: str) -> u.UnitBase | None:
    """The service writes some that FITS would not."""
    for form in ("fits", "generic", "ogip"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", u.UnitsWarning)
            unit = u.Unit(text.strip(), format=form, parse_strict="silent")
        if not isinstance(unit, u.UnrecognizedUnit):
            return unit
    return u.s if text.strip().lower() in ("sec", "seconds") else None


def _column(hdu: fits.BinTableHDU, name: str) -> _Values:
    data = np.asarray(hdu.data[name])
    # pandas and others take no foreign byte order; what is not foreign must not be shared with the HDU
    native = data.astype(data.dtype.newbyteorder("="))
    text = hdu.columns[name].unit
    return _Values(native, _unit(text) or text or None)


def _mask_gaps(columns: dict[str, _Values], product: Product, *, integral: bool) -> None:
    """Mask bins without data: NaN, and in INTEGRAL's light curves value and error both 0."""
    value, error = (
        _measured(columns, product.meta.get(key), usual) for key, usual in (("rate", _VALUES), ("rate_err", _ERRORS))
    )
    if value is None:
        return
    gap = _isnan(columns[value].data)
    if error is not None:
        if integral:
            gap |= (columns[value].data == 0) & (columns[error].data == 0)
        columns[error].hide(gap | _isnan(columns[error].data))
    columns[value].hide(gap)


def _measured(columns: dict[str, _Values], told: Any, usual: tuple[str, ...]) -> str | None:
    """Column of the value, or of its error: as the service tells, else by the usual names."""
    by_upper = {
        name.upper(): name
        for name, column in columns.items()
        if column.data.dtype.kind in "fiu" and column.data.ndim == 1
    }
    return next((by_upper[name] for name in (str(told).upper(), *usual) if name in by_upper), None)


def _isnan(data: np.ndarray) -> np.ndarray:
    return np.isnan(data) if data.dtype.kind == "f" else np.zeros(len(data), dtype=bool)


# ---- all of them together


def _joined_times(moments: list[_Moments]) -> Time:
    """All of them in TT; each time scale is converted in one go."""
    whole = np.concatenate([moment.whole for moment in moments])
    fraction = np.concatenate([moment.fraction for moment in moments])
    scales = list(dict.fromkeys(moment.scale for moment in moments))
    if len(scales) == 1:
        return Time(_in_tt(whole, fraction, scales[0]), format="mjd")
    scale_of = np.repeat([moment.scale for moment in moments], [len(moment.whole) for moment in moments])
    first, second = np.empty_like(whole), np.empty_like(fraction)
    for scale in scales:
        rows = scale_of == scale
        times = _in_tt(whole[rows], fraction[rows], scale)
        first[rows], second[rows] = times.jd1, times.jd2
    return Time(Time(first, second, format="jd", scale="tt"), format="mjd")


def _in_tt(whole: np.ndarray, fraction: np.ndarray, scale: str) -> Time:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        return Time(whole, fraction, format="mjd", scale=scale).tt


def _maybe_masked(values: np.ndarray, unit: u.UnitBase) -> Column:
    unknown = np.isnan(values)
    return MaskedColumn(values, mask=unknown, unit=unit) if unknown.any() else Column(values, unit=unit)


def _stacked(name: str, curves: list[_Curve], lengths: list[int], whole: Products) -> Column:
    """One column of all sources; masked where a source has none of that name."""
    first = next(curve.columns[name] for curve in curves if name in curve.columns)
    pieces, masks = [], []
    for curve, length in zip(curves, lengths, strict=True):
        column = curve.columns.get(name)
        if column is None:
            pieces.append(np.zeros((length, *first.data.shape[1:]), dtype=first.data.dtype))
            masks.append(np.ones(pieces[-1].shape, dtype=bool))
        else:
            pieces.append(_in_unit(column, first, name, whole))
            masks.append(np.zeros(pieces[-1].shape, dtype=bool) if column.mask is None else column.mask)
    joined = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    if any(mask.any() for mask in masks):
        return MaskedColumn(joined, mask=np.concatenate(masks), unit=first.unit)
    return Column(joined, unit=first.unit)


def _in_unit(column: _Values, first: _Values, name: str, whole: Products) -> np.ndarray:
    # a text is a unit that nobody understands, and can't even be compared with one
    texts = [isinstance(unit, str) for unit in (column.unit, first.unit)]
    if any(texts) == all(texts) and column.unit == first.unit:
        return column.data
    try:
        return column.data * column.unit.to(first.unit)  # type: ignore[union-attr]
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
    return meta | flat_provenance(whole)
