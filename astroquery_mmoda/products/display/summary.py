# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What a product is, at a glance: band, time, shape, unit and size.

Nothing is decoded for it. Headers and lengths are looked at, no more of them for a large product than for a small one,
and what they do not tell in the usual way is left out: looking never fails.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from ...decoding import peek_shape
from ...text import printable
from ...units import known_unit
from ..cards import number, time_reference, time_system

if TYPE_CHECKING:
    from ..product import Product

__all__ = ["Glance", "look"]

_MOST_UNITS = 500
_MOST_COLUMNS = 60
_LONGEST_TEXT = 200_000


@dataclass(frozen=True)
class Glance:
    """What can be told of a product without decoding it; empty where it is not known."""

    band: str = ""
    time: str = ""
    content: str = ""
    unit: str = ""
    size: int | None = None


def look(product: Product) -> Glance:
    """Look at what came, or at the data where they are decoded already."""
    try:
        raw = product.entry.raw
        data = product.__dict__.get("data", raw)
        if data is raw and hasattr(raw, "record"):  # in a file, which is not opened for this
            return _noted(raw.record.options["glance"])
        units = _units(data)
        sizes = [size for each in (raw, data) if (size := _size(each, product.kind)) is not None]
        return Glance(
            band=_band(units),
            time=_span(units),
            content=_content(data, units, product),
            unit=_value_unit(units, product),
            size=next(iter(sizes), None),
        )
    except Exception:  # noqa: BLE001 - a look at anything whatever must not fail
        return Glance()


def _noted(noted: Mapping[str, Any]) -> Glance:
    """What was seen when it was written, as the index of the files tells."""
    size = noted["size"]
    told = {name: noted[name] for name in ("band", "time", "content", "unit")}
    texts = {name: printable(text, limit=100) for name, text in told.items() if isinstance(text, str)}
    is_size = isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63
    return Glance(**texts, size=size if is_size else None)


# ---- the HDUs of a product, decoded or not


@dataclass(frozen=True)
class _Unit:
    """One HDU: its header, its shape as numpy counts, and units of columns that the header may lack."""

    name: str
    header: Mapping[str, Any]
    is_table: bool
    shape: tuple[int, ...]
    units: Mapping[str, Any]

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Units of columns: of the header, and those told besides, which are later and know better."""
        names = ((self.header.get(f"TTYPE{n}"), self.header.get(f"TUNIT{n}")) for n in range(1, _MOST_COLUMNS + 1))
        told = {name: unit for name, unit in names if isinstance(name, str)}
        return told | dict(islice(self.units.items(), _MOST_COLUMNS))


def _units(data: Any) -> list[_Unit]:
    """HDUs with something in them; lists of members only where there is nothing else."""
    if isinstance(data, fits.HDUList):
        found = [_of_hdu(hdu) for hdu in data[:_MOST_UNITS]]
    else:
        units = data.get("data_unit_list") if isinstance(data, Mapping) else None
        found = [_of_reply(unit) for unit in _list(units)[:_MOST_UNITS] if isinstance(unit, Mapping)]
    full = [unit for unit in found if unit.shape and all(unit.shape)]
    return [unit for unit in full if unit.name != "GROUPING" and "GRPNAME" not in unit.header] or full


def _of_hdu(hdu: Any) -> _Unit:
    is_table = isinstance(hdu, (fits.BinTableHDU, fits.TableHDU))
    return _Unit(hdu.name, hdu.header, is_table, _header_shape(hdu.header, is_table=is_table), {})


def _of_reply(unit: Mapping[str, Any]) -> _Unit:
    header = _mapping(unit.get("header"))
    is_table = unit.get("hdu_type") in ("table", "bintable")
    shape: tuple[int, ...] = ()
    if unit.get("binarys") is not None:
        shape = peek_shape(unit["binarys"]) or _header_shape(header, is_table=is_table)
    elif isinstance(unit.get("data"), list):
        shape = _nested_shape(unit["data"], is_table=is_table)
    return _Unit(str(unit.get("name") or "").upper(), header, is_table, shape, _mapping(unit.get("units_dict")))


def _header_shape(header: Mapping[str, Any], *, is_table: bool) -> tuple[int, ...]:
    axes = int(min(max(number(header, "NAXIS", 0), 0), 32))
    lengths = [int(number(header, f"NAXIS{axis}", 0)) for axis in range(axes, 0, -1)]
    return tuple(lengths[:1] if is_table else lengths)


def _nested_shape(value: Any, *, is_table: bool) -> tuple[int, ...]:
    """Shape of lists in lists, by the first of each."""
    shape: list[int] = []
    while isinstance(value, list) and len(shape) < (1 if is_table else 32):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


# ---- energy band


def _band(units: Iterable[_Unit]) -> str:
    bands = sorted({band for unit in units if (band := _edges(unit.header))})
    if len(bands) > 3:
        return f"{len(bands)} bands, {min(low for low, _ in bands):.4g}-{max(high for _, high in bands):.4g} keV"
    if bands:
        return f"{', '.join(f'{low:.4g}-{high:.4g}' for low, high in bands)} keV"
    channels = {(number(unit.header, "CHANMIN", 0), number(unit.header, "CHANMAX", 0)) for unit in units}
    low, high = channels.pop() if len(channels) == 1 else (0, 0)
    return f"channels {low:.0f}-{high:.0f}" if high > low else ""


def _edges(header: Mapping[str, Any]) -> tuple[float, float] | None:
    unit = known_unit(header.get("EUNIT")) or u.keV
    low, high = number(header, "E_MIN", 0.0), number(header, "E_MAX", 0.0)
    if not (unit.is_equivalent(u.keV) and 0 <= low < high):
        return None
    factor = unit.to(u.keV)
    return low * factor, high * factor


# ---- time

_EARLIEST, _LATEST = 30000.0, 90000.0  # MJD: 1941 to 2105
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{0,9})?)?)?")


def _span(units: Iterable[_Unit]) -> str:
    """From when to when, in UTC; the first HDU that tells it speaks for all."""
    for unit in units:
        start, stop = (_instant(unit.header, *keywords) for keywords in (("TSTART", "DATE-OBS"), ("TSTOP", "DATE-END")))
        if start and stop and start < stop:
            same_day = start[:10] == stop[:10]
            return f"{start} to {stop[11:]}" if same_day else f"{start[:16]} to {stop[:16]}"
        if start:
            return start
    return ""


def _instant(header: Mapping[str, Any], elapsed: str, date: str) -> str:
    system = time_system(header)
    scale = system.scale
    unit = known_unit(header.get("TIMEUNIT")) or u.day
    days = number(header, elapsed, float("nan")) * (unit.to(u.day) if unit.is_equivalent(u.day) else float("nan"))
    days += sum(time_reference(header)) + system.offset / 86400
    if _EARLIEST < days < _LATEST:
        return _utc(days, "mjd", scale)
    text = header.get(date)
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        return ""
    return _utc(text, "isot" if "T" in text else "iso", scale)


@lru_cache(maxsize=1024)
def _utc(value: float | str, form: str, scale: str) -> str:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        try:
            return str(Time(value, format=form, scale=scale, precision=0).utc.iso)
        except ValueError:  # the 31st of February
            return ""


# ---- shape

_ROWS = {"arf": "energies", "lightcurve": "bins", "catalog": "sources"}
_ONE = {"energies": "energy", "entries": "entry"}
_VALUES = ("RATE", "FLUX", "COUNTS", "MAG", "COUNT_RATE", "MAGNITUDE", "SPECRESP")


def _content(data: Any, units: list[_Unit], product: Product) -> str:
    if isinstance(data, fits.HDUList) or (isinstance(data, Mapping) and "data_unit_list" in data):
        counts = Counter(_shape(unit, product.kind) for unit in units)
        words = [shape if count == 1 else f"{shape} x {count}" for shape, count in counts.items()]
        return ", ".join([*words[:2], *([f"and {len(words) - 2} more"] if len(words) > 2 else [])]) or "empty"
    if isinstance(data, Table):
        return _counted(len(data), _ROWS.get(product.kind, "rows"))
    if product.kind == "picture":
        return printable(product.meta.get("img_type") or "", limit=10)
    if isinstance(data, Mapping):
        return _content_of_dictionary(data, product.kind)
    if isinstance(data, list):
        return f"list of {len(data)}"
    is_told = isinstance(data, (str, int, float)) and product.kind != "binary"
    return printable(data, limit=30) if is_told else ""


def _shape(unit: _Unit, kind: str) -> str:
    if unit.is_table:
        return _counted(unit.shape[0], _row_word(unit, kind))
    size = " x ".join(str(length) for length in reversed(unit.shape[-6:]))
    return f"{size} {'values' if len(unit.shape) == 1 else 'array' if kind == 'array' else 'image'}"


def _row_word(unit: _Unit, kind: str) -> str:
    if kind in ("spectrum", "arf", "rmf"):
        names = {str(name).upper() for name in unit.columns}
        told = {"MATRIX", "SPECRESP", "ENERG_LO"} & names or "MATRIX" in unit.name
        if told or _class_of(unit) in ("RSP_MATRIX", "SPECRESP"):
            return "energies"
        is_of_channels = "DETCHANS" in unit.header or unit.name == "EBOUNDS" or "CHANNEL" in names
        return "channels" if is_of_channels else _ROWS.get(kind, "rows")
    return _ROWS.get(kind, "rows")


def _class_of(unit: _Unit) -> str:
    return str(unit.header.get("HDUCLAS2", "")).strip().upper()


def _counted(count: int, word: str) -> str:
    return f"{count} {_ONE.get(word, word[:-1]) if count == 1 else word}"


def _content_of_dictionary(data: Mapping[str, Any], kind: str) -> str:
    if kind in ("table", "lightcurve"):
        count = _ecsv_rows(data.get("ascii"))
        return "" if count is None else _counted(count, _ROWS.get(kind, "rows"))
    rows, word = {
        "catalog": (next(iter(_list(data.get("cat_column_list"))), None), "sources"),
        "strain": (data.get("value"), "samples"),
        "spectrogram": (data.get("value"), "times"),
        "contours": (data.get("levels"), "levels"),
    }.get(kind, (None, ""))
    if isinstance(rows, list):
        return _counted(len(rows), word)
    return _counted(len(data), "entries") if kind in ("other", "text") else ""


def _ecsv_rows(text: Any) -> int | None:
    """Count rows as ECSV has them: a quoted cell may have line ends in it."""
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        return None
    delimiter = "," if re.search(r"^# delimiter: ','", text, re.MULTILINE) else " "
    lines = (line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    try:
        return max(sum(1 for row in csv.reader(lines, delimiter=delimiter) if row) - 1, 0)
    except csv.Error:
        return None


# ---- unit of what was measured


def _value_unit(units: Iterable[_Unit], product: Product) -> str:
    told = product.meta.get("rate")
    wanted = (told.upper() if isinstance(told, str) else "", *_VALUES)
    if product.kind == "rmf":  # areas beside a matrix are not what is in it
        return ""
    for unit in units:
        by_upper = {str(name).upper(): text for name, text in unit.columns.items()} if unit.is_table else {}
        named = (by_upper[name] for name in wanted if name in by_upper)
        text = next(named, None) if unit.is_table else unit.header.get("BUNIT")
        if isinstance(text, str) and text.strip():
            return printable(text, limit=30)
    return ""


# ---- size of what came

_ENCODED = ("binarys", "b64data", "data", "binary")


def _size(raw: Any, kind: str) -> int | None:
    """Bytes, without what base64 adds."""
    if isinstance(raw, bytes):
        return len(raw)
    if isinstance(raw, str):
        return _decoded_size(raw) if kind == "binary" else _text_size(raw)
    if isinstance(raw, fits.HDUList):
        return sum(hdu.size for hdu in raw)
    if isinstance(raw, Table):
        return sum(column.nbytes for column in raw.itercols())
    if not isinstance(raw, Mapping):
        return None
    if isinstance(raw.get("ascii"), str):
        return _text_size(raw["ascii"])
    parts = [unit for unit in _list(raw.get("data_unit_list")) if isinstance(unit, Mapping)] or [raw]
    sizes = [_decoded_size(part[key]) for part in parts for key in _ENCODED if isinstance(part.get(key), str)]
    return sum(sizes) if sizes else None


def _text_size(text: str) -> int:
    # of very long ones the letters are counted, which takes no time
    return len(text) if text.isascii() or len(text) > _LONGEST_TEXT else len(text.encode("utf-8", "surrogatepass"))


def _decoded_size(encoded: str) -> int:
    return len(encoded) * 3 // 4 - encoded[-2:].count("=")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
