# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Tables of astropy that came as pickles.

What the pickle says about its columns and units are inert records; the table is made anew from checked arrays, and its
units from their names. No class of astropy is looked up by what a reply names.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table

from ..allowance import COLUMN_MEMORY, Allowance
from ..config import conf
from ..errors import DecodingError, reading
from ..text import printable
from ..units import check_units, read_unit
from .arrays import _class_of
from .arrays import _Reader as ArrayReader
from .envelope import opened_base64
from .plainpickle import Global, Instance, interpret

__all__ = ["read_pickled_table"]

_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_CORE, _LOGARITHMIC = "astropy.units.core", "astropy.units.function.logarithmic"
_RECONSTRUCT = frozenset((module, "_reconstruct") for module in _MULTIARRAY)
_SCALAR = frozenset((module, "scalar") for module in _MULTIARRAY)
_FROM_BUFFER = frozenset((module, "_frombuffer") for module in ("numpy.core.numeric", "numpy._core.numeric"))
_MASKED = ("numpy.ma.core", "_mareconstruct")
_QUANTITY = ("astropy.units.quantity", "Quantity")
_TABLES = frozenset({("astropy.table.table", "Table"), ("astropy.table.table", "QTable")})
_COLUMNS = frozenset(("astropy.table.column", name) for name in ("BaseColumn", "Column", "MaskedColumn"))
_IRREDUCIBLE = (_CORE, "_recreate_irreducible_unit")
_COMPOSITE = (_CORE, "CompositeUnit")
_NAMED_UNITS = frozenset((_CORE, name) for name in ("IrreducibleUnit", "PrefixUnit", "Unit", "UnrecognizedUnit"))
_NAMED_UNITS |= {("astropy.units.function.mixin", f"{kind}FunctionUnit") for kind in ("Regular", "Irreducible")}
_FUNCTION_UNITS = {(_LOGARITHMIC, cls.__name__): cls for cls in (u.MagUnit, u.DexUnit, u.DecibelUnit)}
_TIMES = {("astropy.time.core", name): name for name in ("Time", "TimeDelta")}
_TIME_FORMATS = (
    "TimeISO TimeISOT TimeFITS TimeYearDayTime TimeJD TimeMJD TimeUnix TimeUnixTai TimeCxcSec TimeGPS TimeDecimalYear "
    "TimeJulianEpoch TimeBesselianEpoch TimeDatetime TimeDatetime64 TimeYMDHMS TimePlotDate TimeGalexSec TimeStardate "
    "TimeDeltaSec TimeDeltaJD TimeDeltaDatetime TimeDeltaQuantityString"
).split()

_DICTIONARIES = frozenset({("collections", "OrderedDict")})  # a plain one keeps its order, too
_NAMES = _DICTIONARIES | frozenset(
    {
        ("fractions", "Fraction"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.ma.core", "MaskedArray"),
        ("numpy.ma", "MaskedArray"),
        ("astropy.units.quantity", "QuantityInfo"),
        ("astropy.time.core", "TimeInfo"),
        ("astropy.time.core", "TimeDeltaInfo"),
        *(("astropy.time.formats", name) for name in _TIME_FORMATS),
        *(_RECONSTRUCT | _SCALAR | _FROM_BUFFER | _TABLES | _COLUMNS | _NAMED_UNITS),
        *(_MASKED, _QUANTITY, _IRREDUCIBLE, _COMPOSITE, *_FUNCTION_UNITS, *_TIMES),
    }
)

_MJD = 2400000.5
_MAX_BASES = 30
# most remarks, and factors of units, in a table
_MAX_VALUES = 50_000
_MAX_FACTORS = 10_000
# memory of an array, of a remark, and of a number of an array that becomes a list
_ARRAY = 150
_REMARK = 70
_LISTED = 40
# columns of a table have an object each for its description, and a masked one more of them
_COLUMN = 2 * COLUMN_MEMORY


def read_pickled_table(text: Any, *, what: str = "table", allowance: Allowance | None = None) -> Table:
    """
    Read a table from the base64 of its pickle.

    Parameters
    ----------
    text : str
        The encoded pickle.
    what : str
        Short name of it for error messages.
    allowance : Allowance, optional
        Of the reply; without it one for this alone.

    Returns
    -------
    `~astropy.table.Table`
        With plain columns: quantities keep their units; times are their MJD (time differences: days), in the scale
        that the column's ``meta`` tells, whatever their format was.

    Raises
    ------
    DecodingError
        If it is no such pickle, or holds columns of other kinds (objects, positions).
    """
    with reading(what):
        if not isinstance(text, str):
            raise DecodingError(f"expected base64 text, got {type(text).__name__}")
        allowance = allowance or Allowance.of(text)
        record = interpret(opened_base64(text, allowance), _NAMES, _DICTIONARIES)
        if not isinstance(record, Instance) or record.maker not in _TABLES:
            raise DecodingError("expected a pickled table of astropy")
        state = record.state
        if type(state) is not tuple or len(state) < 2 or type(state[0]) is not dict or type(state[1]) is not dict:
            raise DecodingError("pickled table with an unreadable state")
        reader = _Columns(allowance)
        columns = [reader.column(str(name), column) for name, column in state[0].items()]
        if len({len(column) for column in columns}) > 1:
            raise DecodingError("pickled table with columns of different lengths")
        return Table(columns, meta=reader.plain(state[1]), copy=False)


class _Columns:
    """The columns of one table."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.arrays = ArrayReader(allowance)
        self.unfolded = _Unfolded(self.arrays)
        self.units: dict[int, Any] = {}
        self.factors = 0
        self.names: set[str | None] = set()

    def column(self, name: str, record: Any) -> Any:
        with reading(f"column {printable(name, limit=60)!r}"):
            if not isinstance(record, Instance):
                raise DecodingError(f"expected a column, got {type(record).__name__}")
            self.allowance.spend(_COLUMN, "columns")
            if record.maker in _TIMES:
                return self._time(name, record)
            cls = _class_of(record)
            if record.maker in _RECONSTRUCT and cls == _QUANTITY:
                return self._quantity(name, record.state)
            if record.maker in _RECONSTRUCT and cls in _COLUMNS:
                return self._plain_column(name, record, 5)
            if record.maker == _MASKED and cls in _COLUMNS:
                return self._plain_column(name, record, 7)
            raise DecodingError(f"expected a column, got {_described(record)}")

    def _plain_column(self, name: str, record: Instance, count: int) -> Any:
        """The state is that of an array (``count`` items), followed by a tuple of the column's attributes."""
        state = record.state
        if type(state) is not tuple or len(state) != count + 1 or type(state[-1]) is not tuple or len(state[-1]) < 5:
            raise DecodingError("column with an unreadable state")
        _, unit, form, description, meta = state[-1][:5]
        del form  # a display format may ask for anything
        array = self._array(state[:-1], masked=count == 7)
        return _made(name, array, self._unit(unit), description, self.plain(meta))

    def _quantity(self, name: str, state: Any) -> Any:
        if type(state) is not tuple or len(state) != 2 or type(state[1]) is not dict:
            raise DecodingError("quantity with an unreadable state")
        info = _state(state[1].get("info"))
        array = self._array(state[0], masked=False)
        return _made(
            name, array, self._unit(state[1].get("_unit")), info.get("description"), self.plain(info.get("meta"))
        )

    def _time(self, name: str, record: Instance) -> Any:
        state = _state(record)
        clock = _state(state.get("_time"))
        jd1, jd2 = (self.arrays.array(clock.get(key)) for key in ("_jd1", "_jd2"))
        if jd1.dtype.kind != "f" or jd2.dtype.kind != "f" or jd1.shape != jd2.shape:
            raise DecodingError("time with unreadable days")
        is_delta = _TIMES[record.maker] == "TimeDelta"
        info = _state(state.get("info"))
        kind = "jd" if is_delta else "mjd"
        meta = {"format": kind, "scale": _text(clock.get("_scale"))} | self.plain(info.get("meta"))
        self.allowance.spend(3 * jd1.nbytes, "a column of times")
        days = (jd1 - (0 if is_delta else _MJD)) + jd2
        return _made(name, days, u.day, info.get("description"), meta)

    def _unit(self, record: Any) -> Any:
        """Columns may refer to one record of a unit; making a unit takes long."""
        if id(record) not in self.units:
            factors = _factors(record)
            self.factors += len(factors)
            if self.factors > _MAX_FACTORS:
                raise DecodingError(f"units of more than {_MAX_FACTORS} factors in one table")
            self.names.update(factor if isinstance(factor, str) else _unit_name(factor) for factor in factors)
            check_units(self.names)
            self.units[id(record)] = _unit(record)
        return self.units[id(record)]

    def _array(self, state: Any, *, masked: bool) -> np.ndarray[Any, Any]:
        """An array that may be changed, from a state that is handed on as if no class of astropy had been there."""
        maker = Global(*_MASKED) if masked else Global(_MULTIARRAY[0], "_reconstruct")
        array = self.arrays.array(Instance(maker, (Global("numpy", "ndarray"),), state))
        self.allowance.spend(2 * array.size + array.nbytes if masked else array.nbytes, "a column")
        return array.copy()

    def plain(self, meta: Any) -> dict[Any, Any]:
        """Remarks as plain values."""
        values = self.unfolded.value(meta) if meta is not None else {}
        if not isinstance(values, dict):
            raise DecodingError("table with unreadable remarks")
        return values


class _Unfolded:
    """Copies without anything shared, hence limited in number, for all columns together."""

    def __init__(self, arrays: ArrayReader) -> None:
        self.arrays = arrays
        self.room = _MAX_VALUES

    def value(self, value: Any, depth: int = 0) -> Any:
        self.room -= 1
        if self.room < 0 or depth > conf.max_nesting:
            raise DecodingError(f"remarks of more than {_MAX_VALUES} values, or nested deeper than conf.max_nesting")
        if isinstance(value, dict):
            self.arrays.allowance.spend(_REMARK * (2 + len(value)), "remarks")
            return {key: self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)) and not isinstance(value, Global):
            self.arrays.allowance.spend(_REMARK * (2 + len(value)), "remarks")
            return [self.value(item, depth + 1) for item in value]
        if isinstance(value, memoryview):
            self.arrays.allowance.spend(len(value), "remarks")
            return bytes(value)
        return self._instance(value) if isinstance(value, (Instance, Global)) else value

    def _instance(self, record: Instance | Global) -> Any:
        """A number or an array; a quantity is told by its value and unit."""
        if isinstance(record, Instance) and record.maker in _SCALAR:
            return self._spent(self.arrays.array(record), 1).item()
        if isinstance(record, Instance) and _class_of(record) == _QUANTITY and type(record.state) is tuple:
            array = self.arrays.array(Instance(record.maker, (Global("numpy", "ndarray"),), record.state[0]))
            return {"value": self._spent(array, _LISTED).tolist(), "unit": str(_unit(record.state[-1].get("_unit")))}
        is_array = isinstance(record, Instance) and (
            record.maker in _FROM_BUFFER or _class_of(record) == ("numpy", "ndarray")
        )
        if is_array:
            return self._spent(self.arrays.array(record), 1).copy()
        raise DecodingError(f"table with {_described(record)} among its remarks")

    def _spent(self, array: np.ndarray[Any, Any], times: int) -> np.ndarray[Any, Any]:
        """An array that is about to be copied; a list takes up to five times as much."""
        self.arrays.allowance.spend(times * array.nbytes + _ARRAY, "remarks")
        return array


def _made(name: str, array: Any, unit: Any, description: Any, meta: dict[Any, Any]) -> Any:
    if array.ndim == 0 or array.dtype.names is not None:
        raise DecodingError("expected a column of values")
    cls = MaskedColumn if isinstance(array, np.ma.MaskedArray) else Column
    description = description if isinstance(description, str) else None
    return cls(array, name=name, unit=unit, description=description, meta=meta)


def _state(record: Any) -> dict[str, Any]:
    state = record.state if isinstance(record, Instance) else None
    return state if isinstance(state, dict) else {}


def _text(value: Any) -> str:
    """A text; of anything else, such as a tuple doubled over and over, there may be no end."""
    if not isinstance(value, str):
        raise DecodingError(f"expected a text, got {type(value).__name__}")
    return value


def _described(record: Any) -> str:
    name = record if isinstance(record, Global) else record.maker
    return f"{name.module}.{name.name}"


# ---- units


def _unit(record: Any) -> Any:
    """A unit made of the names in its record; what they are said to stand for does not count."""
    if record is None or isinstance(record, str):
        return read_unit(record)
    if isinstance(record, Instance) and record.maker in _FUNCTION_UNITS:
        return _FUNCTION_UNITS[record.maker](_simple_unit(_state(record).get("_physical_unit")))
    return _simple_unit(record)


def _simple_unit(record: Any) -> Any:
    if not isinstance(record, Instance) or record.maker != _COMPOSITE:
        return _named_unit(record)
    state = _state(record)
    scale, bases, powers = (state.get(key) for key in ("_scale", "_bases", "_powers"))
    if type(bases) is not list or type(powers) is not list or not len(bases) == len(powers) <= _MAX_BASES:
        raise DecodingError("column with an unreadable unit")
    factors = [(_named_unit(base), _power(power)) for base, power in zip(bases, powers, strict=True)]
    if any(isinstance(unit, u.UnrecognizedUnit) for unit, _ in factors):
        return u.UnrecognizedUnit(" ".join([str(_number(scale)), *(f"{unit}**{power}" for unit, power in factors)]))
    product = math.prod([unit**power for unit, power in factors], start=u.dimensionless_unscaled)
    return u.CompositeUnit(_number(scale), [], []) * product


def _factors(record: Any) -> list[Any]:
    """Records of the units that a unit is made of; what can't be read is told later."""
    if isinstance(record, Instance) and record.maker in _FUNCTION_UNITS:
        record = _state(record).get("_physical_unit")
    bases = _state(record).get("_bases") if isinstance(record, Instance) and record.maker == _COMPOSITE else None
    return bases if type(bases) is list else [record]


def _named_unit(record: Any) -> Any:
    name = _unit_name(record)
    if name is None:
        raise DecodingError("column with an unreadable unit")
    return read_unit(name)


def _unit_name(record: Any) -> str | None:
    if isinstance(record, Instance) and record.maker in _NAMED_UNITS:
        names = _state(record).get("_names")
    elif isinstance(record, Instance) and record.maker == _IRREDUCIBLE and len(record.args) > 1:
        names = record.args[1]
    else:
        return None
    return next((name for name in (names if isinstance(names, list) else ()) if isinstance(name, str)), None)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise DecodingError("column with an unreadable unit")
    return float(value)


def _power(value: Any) -> Any:
    """A power of a unit: whole, broken, or a fraction that was written as text or as two numbers."""
    if isinstance(value, Instance) and value.maker == ("fractions", "Fraction"):
        parts = _text(value.args[0]).split("/") if len(value.args) == 1 else value.args
        numerator, denominator = (int(part) for part in (*parts, 1)[:2])
        value = numerator / denominator
    if abs(_number(value)) > 100:
        raise DecodingError("column with an unreadable unit")
    return value
