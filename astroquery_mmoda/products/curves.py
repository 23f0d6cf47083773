# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Read one light curve, whatever its convention: times, widths, energy band and columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, Table

from ..errors import DecodingError, reading
from ..protocol import ERROR_COLUMNS, TIME_COLUMNS, VALUE_COLUMNS
from ..text import printable
from ..units import known_unit, read_unit
from . import spiacs
from .budget import CURVE_ROW, Budget
from .cards import (
    EARLIEST,
    LATEST,
    TimeSystem,
    card_value,
    energy_band,
    number,
    split_number,
    time_reference,
    time_system,
)
from .columnsizes import size_when_read
from .curvetable import curve_tables
from .plaintable import as_fits_has_it, table_of_hdu

if TYPE_CHECKING:
    from .product import Product


# columns that become `time` and `time_bin`
_BINS = frozenset({"TIME", "XAX_E", "TIMEDEL"})
_TEXT_CARDS = (
    *("TELESCOP", "INSTRUME", "DETNAM", "FILTER", "TIMEREF", "TASSIGN", "EPHS", "HDUCLAS2"),
    # columns of workflows' tables
    *("ERRLOCOL", "ERRHICOL", "LIMCOL"),
)
#: position of the source
POSITION_CARDS = ("RA_OBJ", "DEC_OBJ")
_LONGEST_TEXT = 20_000
_UNIX_EPOCH = 40587.0
# astropy converts no times further away
_MOST_DAYS = 1e6


@dataclass(slots=True)
class Values:
    """A column before it is in a table, which takes long to make; ``data`` are the product's, not to be changed."""

    data: np.ndarray
    unit: u.UnitBase | None
    mask: np.ndarray | None = None

    def hide(self, flags: np.ndarray) -> None:
        """Mask where ``flags`` are set."""
        if flags.any():
            self.mask = flags if self.mask is None else self.mask | flags

    def __getitem__(self, rows: np.ndarray) -> Values:
        return Values(self.data[rows], self.unit, None if self.mask is None else self.mask[rows])

    @property
    def is_numeric(self) -> bool:
        """Whether there is one number in a row."""
        return self.data.dtype.kind in "fiu" and self.data.ndim == 1


@dataclass(frozen=True)
class Curve:
    """
    One source's light curve, of a ``product``, columns still by themselves.

    Its times are ``days`` from the MJD ``whole``, since a double does not hold both, in one time ``scale``. ``width``
    (s) is positive or NaN. ``origin`` is the MJD from which `TIME_COLUMNS` count. ``notes`` has what was assumed of its
    times, and whether the user should be warned; ``left_out`` how many rows had no time. ``acs_width`` is the width of
    all bins in a header of SPI-ACS (s).
    """

    source: str
    product: str
    whole: float
    days: np.ndarray
    scale: str
    width: np.ndarray
    band: tuple[float, float]
    columns: dict[str, Values]
    value: str | None
    error: str | None
    meta: dict[str, Any]
    origin: float | None
    notes: dict[str, bool]
    acs_width: float
    left_out: int

    def __len__(self) -> int:
        return len(self.width)


@dataclass(frozen=True)
class _Raw:
    """Header and columns of a light curve, wherever they are from, and the product's metadata."""

    header: Mapping[str, Any]
    columns: dict[str, Values]
    meta: Mapping[str, Any]

    def column(self, name: str) -> Values | None:
        """Find a column; FITS takes small letters for capitals."""
        return next((values for own, values in self.columns.items() if own.upper() == name.upper()), None)

    def numbers(self, name: str) -> np.ndarray:
        """A column as floating point numbers, NaN where it is masked."""
        column = self.column(name)
        if column is None or not column.is_numeric:
            raise DecodingError(f"its column {printable(name)} does not hold one number a row")
        data = column.data.astype(float)
        return data if column.mask is None else np.where(column.mask, np.nan, data)

    @cached_property
    def time_name(self) -> str:
        """Name, in capitals, of the column of times: that of the metadata, else TIME."""
        name = str(self.meta.get("time") or "TIME")
        return name.upper() if self.column(name) is not None else "TIME"

    @cached_property
    def times(self) -> np.ndarray:
        return self.numbers(self.time_name)

    @cached_property
    def is_integral(self) -> bool:
        return str(card_value(self.header, "TELESCOP") or "").strip().upper() == "INTEGRAL"

    @property
    def is_spi_acs(self) -> bool:
        instrument = str(card_value(self.header, "INSTRUME") or "").strip().upper()
        return self.is_integral and instrument.replace("_", "-") == "SPI-ACS"


def read_curves(product: Product, budget: Budget) -> list[Curve]:
    """Read all light curves of a product; `DecodingError` if it has none, or one that can't be read; tables may."""
    found = [raw for raw in _raw_curves(product, budget) if raw.column(raw.time_name) is not None]
    if product.kind == "table":  # lists of events and of observations have times, too
        found = [raw for raw in found if _value_and_error(raw)[0]]
    if not found and product.kind == "table":
        return []
    if not found:
        wanted = printable(str(product.meta.get("time") or "TIME").upper(), limit=60)
        raise DecodingError(f"The light curve {printable(product.name)!r} has no table with a column {wanted}.")
    with reading(f"light curve {printable(product.name, limit=100)!r}"):
        for raw in found:
            rows, longest = len(raw.times), len(product.source)
            budget.extend(rows, longest)
            # times, widths, bands and names, each with what it takes to make it
            budget.allowance.spend(rows * (CURVE_ROW + 4 * longest), "times and names")
        return [_read_curve(raw, product, budget) for raw in found]


def _raw_curves(product: Product, budget: Budget) -> Iterator[_Raw]:
    tables = budget.plain_tables(product)
    if tables is not None:
        for table in tables:
            columns = {name: Values(values, _unit_of(unit)) for name, (values, unit) in table.columns.items()}
            yield _Raw(table.header, columns, product.meta)
        return
    data = budget.read(product)
    named = str(product.meta.get("time") or "TIME").upper()
    if isinstance(data, Table):
        yield from _of_table(data, product.meta)
    elif isinstance(data, fits.HDUList):
        for hdu in data:
            if not isinstance(hdu, fits.BinTableHDU):
                continue
            names = {name.upper() for name in hdu.columns.names}
            is_usual = {"TIME", named} & names
            if is_usual or product.kind == "lightcurve":
                budget.allowance.spend(size_when_read(hdu), "columns of a light curve")
            if is_usual:
                units = {column.name: _unit_of(column.unit) for column in hdu.columns}
                columns = {name: Values(np.asarray(hdu.data[name]), unit) for name, unit in units.items()}
                yield _Raw(hdu.header, columns, product.meta)
            elif product.kind == "lightcurve" and names:
                yield from _of_table(table_of_hdu(hdu), product.meta)


def _of_table(table: Table, meta: Mapping[str, Any]) -> Iterator[_Raw]:
    """A plain table, whose columns are found by their names where the metadata do not name them."""
    is_named = str(meta.get("time") or "").upper() in {name.upper() for name in table.colnames}
    curves = [] if is_named else curve_tables(table)
    for each in [table] if is_named else curves:
        columns = {name: _of_column(each[name]) for name in each.colnames if isinstance(each[name], Column)}
        words = {"time": "TIME", "rate": each.meta.get("VALUECOL"), "rate_err": each.meta.get("ERRORCOL")}
        words["half_width"] = each.meta.get("WIDTHCOL")
        yield _Raw(each.meta, columns, {**meta, **words} if curves else meta)


def _of_column(column: Column) -> Values:
    column = as_fits_has_it(column)
    mask = np.ma.getmaskarray(column)
    return Values(np.asarray(np.ma.getdata(column)), column.unit, mask if mask.any() else None)


def _unit_of(text: Any) -> u.UnitBase | None:
    """Unit of a column; an unknown one stays as it is written, and an empty text is none."""
    return read_unit(text) if isinstance(text, str) and text.strip() else None


def _read_curve(raw: _Raw, product: Product, budget: Budget) -> Curve:
    header, clock, meta = raw.header, _clock(raw), _kept_cards(raw.header)
    reference, nominal = time_reference(header), clock.seconds(header, "TIMEDEL")
    width, shift = _widths(raw, clock, nominal), 0.5 - number(header, "TIMEPIXR", 0.5)
    days = raw.times * float(clock.unit.to(u.day)) + (clock.fraction + shift * np.nan_to_num(width) / 86400)
    if shift and np.isnan(width).any():
        clock.notes["width of bins unknown: TIME is not their centre"] = True
    if name := raw.meta.get("half_width"):
        clock.notes[f"{printable(name, limit=40)} taken as half of the width of a bin"] = False
    value, error = _value_and_error(raw)
    if raw.is_spi_acs and value and error:
        width = spiacs.true_widths(raw.columns[value].data, raw.columns[error].data, width)
        start, stop = clock.seconds(header, "TSTART"), clock.seconds(header, "TSTOP")
        correction = spiacs.shift((clock.whole - sum(reference) + days) * 86400 - start, width, stop - start)
        if correction is not None:
            days, meta["TSHIFT"] = days + correction / 86400, correction
    columns = {name: each for name, each in raw.columns.items() if name.upper() not in _BINS | {raw.time_name}}
    _mask_gaps(columns, value, error, integral=raw.is_integral)
    has_moments = _complete_units(raw, columns, value, error, clock, meta)
    usable = np.abs(clock.whole + days) < _MOST_DAYS
    if not usable.all():
        budget.allowance.spend(sum(each.data.nbytes for each in columns.values()), "rows with a valid time")
        days, width = days[usable], width[usable]
        columns = {name: each[usable] for name, each in columns.items()}
    return Curve(
        source=product.source or product.name,
        product=product.name,
        whole=clock.whole,
        days=days,
        scale=clock.scale,
        width=width,
        band=energy_band(header) or (math.nan, math.nan),
        columns=columns,
        value=value,
        error=error,
        meta=meta,
        origin=sum(reference) if has_moments and reference else None,
        notes=clock.notes,
        acs_width=nominal if raw.is_spi_acs else math.nan,
        left_out=len(usable) - len(days),
    )


def _value_and_error(raw: _Raw) -> tuple[str | None, str | None]:
    """Names of the columns of values and errors: those that the metadata name, else the usual ones."""
    numeric = {name.upper(): name for name, column in raw.columns.items() if column.is_numeric}
    value, error = (
        next((numeric[name] for name in (str(raw.meta.get(word)).upper(), *usual) if name in numeric), None)
        for word, usual in (("rate", VALUE_COLUMNS), ("rate_err", ERROR_COLUMNS))
    )
    return value, error


def _complete_units(
    raw: _Raw, columns: Mapping[str, Values], value: str | None, error: str | None, clock: _Clock, meta: dict[str, Any]
) -> bool:
    """Give units to rates of INTEGRAL and further times that came without; return whether there are such times."""
    if raw.is_integral and value == "RATE" and error and columns[value].unit is columns[error].unit is None:
        # some files have lost it
        columns[value].unit = columns[error].unit = u.ct / u.s
        meta["UNITWARN"] = f"no units of {value} and {error}: count/s assumed"
    moments = [each for name, each in columns.items() if name.upper() in TIME_COLUMNS and each.data.dtype.kind in "fiu"]
    for column in moments:
        column.unit = column.unit or clock.card_unit
    return bool(moments)


# ---- times


@dataclass(frozen=True)
class _Clock:
    """
    What numbers in TIME mean.

    MJDREF + (TIMEZERO + TIME + (0.5 - TIMEPIXR) TIMEDEL) in TIMEUNIT, as in FITS standard 4.0, section 9; the
    conventions of the service are cases of it. ``whole`` and ``fraction`` are the MJD from which TIME counts.
    """

    unit: u.UnitBase
    card_unit: u.UnitBase
    whole: float
    fraction: float
    scale: str
    notes: dict[str, bool]

    def seconds(self, header: Mapping[str, Any], keyword: str) -> float:
        """A card with a time or a length of time, in s; NaN where it is missing."""
        return number(header, keyword, math.nan) * float(self.card_unit.to(u.s))


def _clock(raw: _Raw) -> _Clock:
    """Read the reference of TIME, or, without one, decide by the numbers: MJD, as in FITS, or Unix seconds."""
    header, notes, column = raw.header, dict[str, bool](), raw.column(raw.time_name)
    unit = card_unit = known_unit(card_value(header, "TIMEUNIT"))
    if column and column.unit is not None and not isinstance(column.unit, u.UnrecognizedUnit):
        unit = column.unit
    if unit is not None and not unit.is_equivalent(u.day):
        raise DecodingError(f"the unit of its times is {unit}, which is not a unit of time")
    system, (whole, fraction) = time_system(header), time_reference(header) or (0.0, 0.0)
    zero = float(np.nan_to_num(sum(split_number(header, "TIMEZERO"))))
    finite = raw.times[np.isfinite(raw.times)]
    if not whole and len(finite):
        middle = float(np.median(finite)) + zero
        if not EARLIEST < middle * (unit or u.day).to(u.day) < LATEST:
            is_unix = unit != u.day and EARLIEST < middle * (unit or u.s).to(u.day) + _UNIX_EPOCH < LATEST
            # no MJDREF is MJD by the standard, but hardly with these numbers
            notes[f"no time reference: {'Unix seconds (UTC)' if is_unix else 'MJD'} assumed"] = True
            if is_unix:
                whole, unit = _UNIX_EPOCH, unit or u.s
                system = system if card_value(header, "TIMESYS") else TimeSystem("utc")
    if system.assumed:
        notes[system.assumed] = system.is_odd
    unit = unit or u.day
    card_unit = card_unit or unit
    days, rest = divmod(zero * float(card_unit.to(u.s)), 86400)
    return _Clock(unit, card_unit, whole + days, fraction + rest / 86400, system.scale, notes)


# ---- widths


def _widths(raw: _Raw, clock: _Clock, nominal: float) -> np.ndarray:
    """Full widths of the bins in s; NaN where unknown, or not positive, as where two times are equal."""
    width, is_column = np.full(len(raw.times), np.nan), False
    for name, factor in (("TIMEDEL", 1.0), ("XAX_E", 2.0)):
        column = raw.column(name)
        if column is not None:
            unit = clock.unit if column.unit is None or not column.unit.is_equivalent(u.s) else column.unit
            own = raw.numbers(name) * (factor * float(unit.to(u.s)))
            width, is_column = np.where(np.isnan(width) & (own > 0) & np.isfinite(own), own, width), True
    if not is_column and nominal > 0:
        width[:] = nominal
    elif not is_column:  # time_bin of the metadata, in the unit of TIME, if bins of this width do not overlap
        second = float(clock.unit.to(u.s))
        common = number(raw.meta, "time_bin", math.nan) * second
        distances = np.diff(np.unique(raw.times[np.isfinite(raw.times)])) * second
        if len(distances) and 0 < common <= 1.01 * np.median(distances):
            width[:] = common
    return width


# ---- values, cards


def _mask_gaps(columns: dict[str, Values], value: str | None, error: str | None, *, integral: bool) -> None:
    """Mask bins without data: NaN, and in INTEGRAL's light curves value and error both 0."""
    if value is None:
        return
    gap = np.isnan(columns[value].data)
    if error is not None:
        if integral:
            gap |= (columns[value].data == 0) & (columns[error].data == 0)
        columns[error].hide(gap | np.isnan(columns[error].data))
    columns[value].hide(gap)


def _kept_cards(header: Mapping[str, Any]) -> dict[str, Any]:
    """Cards that the table keeps."""
    texts = {key: card_value(header, key) for key in _TEXT_CARDS}
    kept: dict[str, Any] = {
        key: " ".join(printable(text, limit=_LONGEST_TEXT).split())
        for key, text in texts.items()
        if isinstance(text, str)
    }
    numbers = {key: number(header, key, math.nan) for key in POSITION_CARDS}
    return kept | {key: value for key, value in numbers.items() if math.isfinite(value)}
