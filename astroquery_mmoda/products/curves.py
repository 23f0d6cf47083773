# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""One light curve, whatever its convention: header and columns in, times, widths, band and columns out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, Table

from ..errors import DecodingError, reading
from ..instruments import IJD_ORIGIN, LAUNCH
from ..text import printable
from ..units import known_unit, read_unit
from . import spiacs
from .budget import Budget, size_when_read
from .cards import TimeSystem, card_value, has_time_reference, number, split_number, time_reference, time_system

if TYPE_CHECKING:
    from .products import Product

__all__ = ["FURTHER_TIMES", "VALUES", "Curve", "Moments", "Values", "read_curves"]

#: columns of moments beside TIME; they count from MJDREF as well
FURTHER_TIMES = frozenset({"BARYTIME", "TSTART", "TSTOP", "START", "STOP", "TIME_START", "TIME_STOP", "TIME_END"})
#: usual names of what was measured
VALUES = ("RATE", "FLUX", "COUNTS", "MAG", "COUNT_RATE", "MAGNITUDE")
_ERRORS = ("ERROR", "RATE_ERR", "FLUX_ERR", "FLUX_ERROR", "MAG_ERR", "COUNTS_ERR", "STAT_ERR")
# columns that become `time` and `time_bin`
_TIME_COLUMNS = frozenset({"TIME", "XAX_E", "TIMEDEL"})
_TEXT_CARDS = ("TELESCOP", "INSTRUME", "DETNAM", "FILTER", "TIMEREF", "TASSIGN", "EPHS", "HDUCLAS2")
_NUMBER_CARDS = ("RA_OBJ", "DEC_OBJ")
_LONGEST_TEXT = 20_000
# bytes for each row of the finished table beside its columns, and while it is made
_ROW = 160
# MJD: 1941 to 2105, in which all missions are
_EARLIEST, _LATEST = 30000.0, 90000.0
# astropy converts no times further away
_MOST_DAYS = 1e6


@dataclass(slots=True)
class Values:
    """
    A column before it is in a table; making table columns of hundreds of light curves would take seconds.

    ``data`` are those of the product, and not to be changed.
    """

    data: np.ndarray
    unit: u.UnitBase | None
    mask: np.ndarray | None = None

    def hide(self, flags: np.ndarray) -> None:
        """Mask where ``flags`` are set."""
        if flags.any():
            self.mask = flags if self.mask is None else self.mask | flags

    def __getitem__(self, rows: np.ndarray) -> Values:
        return Values(self.data[rows], self.unit, None if self.mask is None else self.mask[rows])


@dataclass(frozen=True)
class Moments:
    """Times as whole days (MJD) and fractions, since a double does not hold both, in one time scale."""

    whole: np.ndarray
    fraction: np.ndarray
    scale: str

    def __getitem__(self, rows: np.ndarray) -> Moments:
        return Moments(self.whole[rows], self.fraction[rows], self.scale)

    def are_usable(self) -> np.ndarray:
        """Which of them are times at all."""
        days = self.whole + self.fraction
        return np.isfinite(days) & (np.abs(days) < _MOST_DAYS)


@dataclass(frozen=True)
class Curve:
    """
    One source's light curve, columns still by themselves.

    ``width`` (s) is positive or NaN. ``origin`` is the MJD from which `FURTHER_TIMES` count. ``assumed`` says what of
    its times was taken for granted, ``odd`` what of that the user should be warned about, ``left_out`` how many rows
    had no time.
    """

    source: str
    time: Moments
    width: np.ndarray
    band: tuple[float, float]
    columns: dict[str, Values]
    value: str | None
    error: str | None
    meta: dict[str, Any]
    origin: float | None = None
    assumed: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    left_out: int = 0
    #: width that its header tells for all bins (s)
    nominal: float = math.nan
    is_spi_acs: bool = False

    def __len__(self) -> int:
        return len(self.width)


@dataclass(frozen=True)
class _Raw:
    """Header and columns of a light curve, wherever they are from, and the product's words about them."""

    header: Mapping[str, Any]
    columns: dict[str, Values]
    words: Mapping[str, Any]

    def column(self, name: str) -> Values | None:
        """Find a column; FITS takes small letters for capitals."""
        return next((values for own, values in self.columns.items() if own.upper() == name.upper()), None)

    @property
    def time_name(self) -> str:
        """Name, in capitals, of the column of times: as the service tells, else TIME."""
        told = str(self.words.get("time") or "TIME")
        return told.upper() if self.column(told) is not None else "TIME"

    @property
    def is_integral(self) -> bool:
        return str(card_value(self.header, "TELESCOP") or "").strip().upper() == "INTEGRAL"

    @property
    def is_spi_acs(self) -> bool:
        instrument = str(card_value(self.header, "INSTRUME") or "").strip().upper()
        return self.is_integral and instrument.replace("_", "-") == "SPI-ACS"


def read_curves(product: Product, budget: Budget) -> list[Curve]:
    """
    Read all light curves of a product.

    Raises
    ------
    DecodingError
        It has none, it can't be read, or there is not memory enough for it.
    """
    found = [raw for raw in _raw_curves(product, budget) if raw.column(raw.time_name) is not None]
    if not found:
        wanted = printable(str(product.meta.get("time") or "TIME").upper(), limit=60)
        raise DecodingError(f"The light curve {printable(product.name)!r} has no table with a column {wanted}.")
    with reading(f"light curve {printable(product.name, limit=100)!r}"):
        for raw in found:
            rows, longest = len(_numbers(raw, raw.time_name).data), len(product.source)
            budget.extend(rows, longest)
            # times, widths, bands and names, each with what it takes to make it
            budget.spend(rows * (_ROW + 4 * longest), "times and names")
        return [_read(raw, product.source, budget) for raw in found]


def _raw_curves(product: Product, budget: Budget) -> Iterator[_Raw]:
    data = budget.data_of(product)
    if isinstance(data, Table):
        columns = {name: _of_column(data[name]) for name in data.colnames if isinstance(data[name], Column)}
        yield _Raw(data.meta, columns, product.meta)
    elif isinstance(data, fits.HDUList):
        for hdu in data:
            if isinstance(hdu, fits.BinTableHDU) and _has_time(hdu, product):
                budget.spend(size_when_read(hdu), "columns of a light curve")
                yield _Raw(hdu.header, {name: _of_hdu(hdu, name) for name in hdu.columns.names}, product.meta)
    else:
        raise DecodingError(f"The light curve {printable(product.name)!r} is not a table, but {type(data).__name__}.")


def _has_time(hdu: fits.BinTableHDU, product: Product) -> bool:
    wanted = {"TIME", str(product.meta.get("time") or "TIME").upper()}
    return any(name.upper() in wanted for name in hdu.columns.names)


def _of_hdu(hdu: fits.BinTableHDU, name: str) -> Values:
    return Values(np.asarray(hdu.data[name]), _unit_of(hdu.columns[name].unit))


def _of_column(column: Column) -> Values:
    mask = np.ma.getmaskarray(column)
    unit = column.unit if column.unit is None else _unit_of(str(column.unit))
    return Values(np.asarray(np.ma.getdata(column)), unit, mask if mask.any() else None)


def _unit_of(text: Any) -> u.UnitBase | None:
    """Unit of a column; what nobody knows stays as it is written, and an empty text is none."""
    return read_unit(text) if isinstance(text, str) and text.strip() else None


def _read(raw: _Raw, source: str, budget: Budget) -> Curve:
    clock = _clock(raw)
    # the keyword TIMEDEL
    nominal = number(raw.header, "TIMEDEL", math.nan) * float(_header_unit(raw, clock).to(u.s))
    value, error = (
        _measured(raw.columns, raw.words.get(key), usual) for key, usual in (("rate", VALUES), ("rate_err", _ERRORS))
    )
    width = _widths(raw, clock, nominal)
    meta, assumed, odd = _meta(raw.header), list(clock.assumed), list(clock.odd)
    time, shifted = _centres(raw, clock, width)
    if not shifted:
        assumed.append("width of bins unknown: TIME is not their centre")
        odd.append(assumed[-1])
    if raw.is_spi_acs and value and error:
        width = spiacs.true_widths(raw.columns[value].data, raw.columns[error].data, width)
        shift = spiacs.shift(_seconds_from_start(raw, clock), width, _duration(raw, clock))
        if shift is not None:
            time, meta["TSHIFT"] = Moments(time.whole, time.fraction + shift / 86400, time.scale), shift
    columns = {name: each for name, each in raw.columns.items() if name.upper() not in _TIME_COLUMNS | {raw.time_name}}
    _mask_gaps(columns, value, error, integral=raw.is_integral)
    if raw.is_integral and value == "RATE" and error and _complete_units(columns[value], columns[error]):
        meta["UNITWARN"] = f"no units of {value} and {error}: count/s assumed"
    origin = _mark_further_times(columns, raw, clock)
    usable = time.are_usable()
    if not usable.all():
        budget.spend(sum(each.data.nbytes for each in columns.values()), "rows with a valid time")
        time, width = time[usable], width[usable]
        columns = {name: each[usable] for name, each in columns.items()}
    return Curve(
        source, time, width, _band(raw.header), columns, value, error, meta, origin,
        tuple(assumed), tuple(odd), int((~usable).sum()), nominal, raw.is_spi_acs,
    )  # fmt: skip


def _complete_units(value: Values, error: Values) -> bool:
    """Give INTEGRAL's rates their unit where files lost it on their way; whether that was needed."""
    needed = value.unit is None and error.unit is None
    if needed:
        value.unit = error.unit = u.ct / u.s
    return needed


# ---- times


@dataclass(frozen=True)
class _Clock:
    """What numbers in TIME mean: their unit, the MJD from which they count as whole days and fraction, their scale."""

    unit: u.UnitBase
    whole: float
    fraction: float
    system: TimeSystem
    assumed: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Count:
    """A way of counting time that does without a reference in the header; ``scale`` is part of it where it is given."""

    words: str
    unit: u.UnitBase
    whole: float = 0.0
    fraction: float = 0.0
    scale: str | None = None
    earliest: float = _EARLIEST

    def takes(self, unit: u.UnitBase | None) -> bool:
        """Whether numbers in a unit (None: not told) may be meant; days are never given in seconds, nor the reverse."""
        return unit is None or (self.unit == u.day) == (unit == u.day)

    def fits(self, values: np.ndarray, unit: u.UnitBase | None) -> bool:
        """Whether most of the numbers are in the years of the missions."""
        known = values[np.isfinite(values)]
        days = float(np.median(known)) * (unit or self.unit).to(u.day) if len(known) else math.nan
        return self.earliest < days + self.whole + self.fraction < _LATEST


_MJD = _Count("MJD", u.day)
_UNIX = _Count("Unix seconds (UTC)", u.s, 40587.0, 0.0, "utc")
_JD = _Count("JD", u.day, -2400001.0, 0.5)
_IJD = _Count("days since MJD 51544 (TT)", u.day, IJD_ORIGIN, 0.0, "tt", LAUNCH)


def _clock(raw: _Raw) -> _Clock:
    """Read the reference of TIME, or, without one, decide by the numbers."""
    unit = _time_unit(raw)
    system, note = time_system(raw.header), ""
    if has_time_reference(raw.header):
        count = _Count("", unit or u.day, *time_reference(raw.header))
    else:
        count, note = _count(raw, unit)
        if count.scale and card_value(raw.header, "TIMESYS") is None:
            system = TimeSystem(count.scale)
    notes = tuple(filter(None, (note, _zero_note(raw.header), system.assumed)))
    # no TIMESYS is UTC, and no MJDREF is MJD, by the standard
    usual = {note if count is _MJD else "", "" if system.is_odd else system.assumed}
    odd = tuple(each for each in notes if each not in usual)
    return _Clock(unit or count.unit, count.whole, count.fraction, system, notes, odd)


def _time_unit(raw: _Raw) -> u.UnitBase | None:
    """Unit of TIME, of its own or by TIMEUNIT; None where it is not told."""
    own = _numbers(raw, raw.time_name).unit
    unit = None if isinstance(own, u.UnrecognizedUnit) else own
    unit = unit or known_unit(card_value(raw.header, "TIMEUNIT"))
    if unit is not None and not unit.is_equivalent(u.day):
        raise DecodingError(f"the unit of its times is {unit}, which is not a unit of time")
    return unit


def _count(raw: _Raw, unit: u.UnitBase | None) -> tuple[_Count, str]:
    """MJD, as FITS has it; another count where only this one leads to the years of the missions."""
    values = _numbers(raw, raw.time_name).data
    zero = sum(split_number(raw.header, "TIMEZERO"))
    values = values if math.isnan(zero) else values + zero
    others = (_UNIX, _JD, *((_IJD,) if raw.is_integral else ()))
    for count in (_MJD, *(other for other in others if other.takes(unit))):
        if count.fits(values, unit):
            return count, "" if count is _MJD else f"no time reference: {count.words} assumed"
    return _MJD, "no time reference: MJD assumed" if len(values) else ""


def _zero_note(header: Mapping[str, Any]) -> str:
    pair, single = sum(split_number(header, "TIMEZERO")), number(header, "TIMEZERO", math.nan)
    differ = math.isfinite(pair) and math.isfinite(single) and not math.isclose(pair, single, rel_tol=1e-12)
    return "TIMEZERO is not TIMEZERI + TIMEZERF, which were used" if differ else ""


def _numbers(raw: _Raw, name: str) -> Values:
    column = raw.column(name)
    if column is None or column.data.dtype.kind not in "fiu" or column.data.ndim != 1:
        raise DecodingError(f"its column {printable(name)} does not hold one number a row")
    data = column.data.astype(float)
    return Values(data if column.mask is None else np.where(column.mask, np.nan, data), column.unit)


def _centres(raw: _Raw, clock: _Clock, width: np.ndarray) -> tuple[Moments, bool]:
    """
    Bin centres, and whether all of them are.

    MJDREF + (TIMEZERO + TIME + (0.5 - TIMEPIXR) TIMEDEL) in TIMEUNIT, as in FITS standard 4.0, section 9; the
    conventions of the service are cases of it. Whole days and fractions stay apart, to keep the precision.
    """
    whole, fraction = _days(_numbers(raw, raw.time_name).data, clock.unit)
    for part in split_number(raw.header, "TIMEZERO"):
        more = _days(np.array(0.0 if math.isnan(part) else part), _header_unit(raw, clock))
        whole, fraction = whole + more[0], fraction + more[1]
    shift = 0.5 - number(raw.header, "TIMEPIXR", 0.5)
    if shift:
        fraction = fraction + shift * np.nan_to_num(width) / 86400
    fraction = fraction + clock.fraction + clock.system.offset / 86400
    carried = np.floor(np.nan_to_num(fraction))
    time = Moments(clock.whole + whole + carried, fraction - carried, clock.system.scale)
    return time, not shift or not np.isnan(width).any()


def _header_unit(raw: _Raw, clock: _Clock) -> u.UnitBase:
    """Unit of the times that stand in cards."""
    return known_unit(card_value(raw.header, "TIMEUNIT")) or clock.unit


def _days(values: np.ndarray, unit: u.UnitBase) -> tuple[np.ndarray, np.ndarray]:
    """Whole days, and what is left of them."""
    length, scaled = (1.0, values) if unit == u.day else (86400.0, values * unit.to(u.s))
    with np.errstate(invalid="ignore"):
        whole = np.floor(scaled / length)
        return whole, (scaled - whole * length) / length


# ---- widths


def _widths(raw: _Raw, clock: _Clock, nominal: float) -> np.ndarray:
    """
    Full widths of the bins in s; NaN where unknown.

    Column TIMEDEL, twice the column XAX_E, keyword TIMEDEL, or what the service tells of all bins. A width that is not
    positive is none: the service's plugin gives each bin what its predecessor left before the centre, which is
    negative where two bins have one time, and then says nothing about the width.
    """
    rows = len(_numbers(raw, raw.time_name).data)
    width, is_column = np.full(rows, np.nan), False
    for name, factor in (("TIMEDEL", 1.0), ("XAX_E", 2.0)):
        if raw.column(name) is not None:
            column, is_column = _numbers(raw, name), True
            unit = clock.unit if column.unit is None or not column.unit.is_equivalent(u.s) else column.unit
            told = factor * column.data * unit.to(u.s)
            width = np.where(np.isnan(width), _positive(told), width)
    if is_column:
        return width
    width = _positive(np.full(rows, nominal))
    return np.full(rows, _told_width(raw, clock)) if np.isnan(width).all() else width


def _positive(width: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where((width > 0) & np.isfinite(width), width, np.nan)


def _told_width(raw: _Raw, clock: _Clock) -> float:
    """``time_bin`` of the product's meta data, in the unit of TIME, if bins of this width do not overlap."""
    width = number(raw.words, "time_bin", math.nan) * float(clock.unit.to(u.s))
    distance = np.diff(np.unique(_numbers(raw, raw.time_name).data)) * clock.unit.to(u.s)
    distance = distance[np.isfinite(distance)]
    are_apart = len(distance) > 0 and width <= 1.01 * np.median(distance)
    return width if width > 0 and are_apart else math.nan


# ---- SPI-ACS


def _seconds_from_start(raw: _Raw, clock: _Clock) -> np.ndarray:
    """TIME since TSTART in s; NaN where it is not told."""
    values = _numbers(raw, raw.time_name).data * clock.unit.to(u.s)
    parts = split_number(raw.header, "TIMEZERO")
    zero = sum(0.0 if math.isnan(part) else part for part in parts)
    return values + (zero - number(raw.header, "TSTART", math.nan)) * _header_unit(raw, clock).to(u.s)


def _duration(raw: _Raw, clock: _Clock) -> float:
    start, stop = (number(raw.header, key, math.nan) for key in ("TSTART", "TSTOP"))
    return (stop - start) * float(_header_unit(raw, clock).to(u.s))


# ---- band, values, cards


def _band(header: Mapping[str, Any]) -> tuple[float, float]:
    """Energy band in keV; NaN where it is unknown."""
    told = card_value(header, "EUNIT")
    unit = u.keV if told is None else known_unit(told)
    if unit is None or not unit.is_equivalent(u.keV):
        return math.nan, math.nan
    factor = float(unit.to(u.keV))
    return number(header, "E_MIN", math.nan) * factor, number(header, "E_MAX", math.nan) * factor


def _mask_gaps(columns: dict[str, Values], value: str | None, error: str | None, *, integral: bool) -> None:
    """Mask bins without data: NaN, and in INTEGRAL's light curves value and error both 0."""
    if value is None:
        return
    gap = _isnan(columns[value].data)
    if error is not None:
        if integral:
            gap |= (columns[value].data == 0) & (columns[error].data == 0)
        columns[error].hide(gap | _isnan(columns[error].data))
    columns[value].hide(gap)


def _measured(columns: dict[str, Values], told: Any, usual: tuple[str, ...]) -> str | None:
    """Column of the value, or of its error: as the service tells, else by the usual names."""
    by_upper = {
        name.upper(): name
        for name, column in columns.items()
        if column.data.dtype.kind in "fiu" and column.data.ndim == 1
    }
    return next((by_upper[name] for name in (str(told).upper(), *usual) if name in by_upper), None)


def _isnan(data: np.ndarray) -> np.ndarray:
    return np.isnan(data) if data.dtype.kind == "f" else np.zeros(len(data), dtype=bool)


def _mark_further_times(columns: dict[str, Values], raw: _Raw, clock: _Clock) -> float | None:
    """Give `FURTHER_TIMES` the unit of TIME where they have none, and tell from when they count."""
    found = [each for name, each in columns.items() if name.upper() in FURTHER_TIMES and each.data.dtype.kind in "fiu"]
    for column in found:
        column.unit = column.unit or _header_unit(raw, clock)
    return clock.whole + clock.fraction if found and has_time_reference(raw.header) else None


def _meta(header: Mapping[str, Any]) -> dict[str, Any]:
    """Cards that the table keeps."""
    texts = {key: card_value(header, key) for key in _TEXT_CARDS}
    kept: dict[str, Any] = {
        key: " ".join(printable(value, limit=_LONGEST_TEXT).split())
        for key, value in texts.items()
        if isinstance(value, str)
    }
    numbers = {key: number(header, key, math.nan) for key in _NUMBER_CARDS}
    return kept | {key: value for key, value in numbers.items() if math.isfinite(value)}
