# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
A summary of a product: energy band, time, shape, unit and size.

Nothing is decoded for it. Headers and lengths are read, no more of them for a large product than for a small one, and
what they do not tell in the usual way is left out: a summary never fails.
"""

from __future__ import annotations

import csv
import math
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

from ...decoding import pickled_shape
from ...protocol import VALUE_COLUMNS
from ...text import printable
from ...units import known_unit
from ..cards import number, time_reference, time_system
from ..kinds import KINDS, Kind

if TYPE_CHECKING:
    from ..product import Product


_MOST_UNITS = 500
_MOST_COLUMNS = 60
_LONGEST_TEXT = 200_000


@dataclass(frozen=True)
class Summary:
    """What is known of a product without decoding it; empty where it is not known."""

    band: str = ""
    time: str = ""
    content: str = ""
    unit: str = ""
    size: int | None = None


def summarize(product: Product) -> Summary:
    """Summary of what came, or of the data where they are decoded already."""
    raw = product.entry.raw
    data = product.__dict__.get("data", raw)
    try:
        if data is raw and hasattr(raw, "record"):  # in a file, which is not opened for this
            found = raw.record["options"]["summary"]
            texts = {name: printable(found[name], limit=100) for name in ("band", "time", "content", "unit")}
            return Summary(**texts, size=found["size"] if type(found["size"]) is int else None)
        units = _units(data)
        size = _size(raw, product.kind)
        return Summary(
            band=_bands(units),
            time=_span(units),
            content=_content_of(data, units, product),
            unit=_value_unit(units, product),
            size=_size(data, product.kind) if size is None else size,
        )
    except Exception:  # noqa: BLE001 - whatever a product is, its summary must not fail
        return Summary()


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
        """Units of columns, by their names in capitals: of the header, and then those besides, which know better."""
        names = ((self.header.get(f"TTYPE{n}"), self.header.get(f"TUNIT{n}")) for n in range(1, _MOST_COLUMNS + 1))
        found = {name: unit for name, unit in names if isinstance(name, str)}
        found |= dict(islice(self.units.items(), _MOST_COLUMNS))
        return {name.upper(): unit for name, unit in found.items()}


def _units(data: Any) -> list[_Unit]:
    """HDUs with something in them; lists of members only where there is nothing else."""
    if isinstance(data, fits.HDUList):
        found = []
        for hdu in data[:_MOST_UNITS]:
            is_table = isinstance(hdu, (fits.BinTableHDU, fits.TableHDU))
            found.append(_Unit(hdu.name, hdu.header, is_table, _header_shape(hdu.header, is_table=is_table), {}))
    else:
        units = data.get("data_unit_list") if isinstance(data, Mapping) else None
        units = units if isinstance(units, list) else []
        found = [_of_reply(unit) for unit in units[:_MOST_UNITS] if isinstance(unit, Mapping)]
    full = [unit for unit in found if unit.shape and all(unit.shape)]
    return [unit for unit in full if unit.name != "GROUPING" and "GRPNAME" not in unit.header] or full


def _of_reply(unit: Mapping[str, Any]) -> _Unit:
    header, is_table = unit.get("header") or {}, unit.get("hdu_type") in ("table", "bintable")
    shape: tuple[int, ...] = ()
    if unit.get("binarys") is not None:
        shape = pickled_shape(unit["binarys"]) or _header_shape(header, is_table=is_table)
    else:  # lists in lists
        value = unit.get("data")
        while isinstance(value, list) and len(shape) < (1 if is_table else 32):
            shape, value = (*shape, len(value)), value[0] if value else None
    return _Unit(str(unit.get("name") or "").upper(), header, is_table, shape, unit.get("units_dict") or {})


def _header_shape(header: Mapping[str, Any], *, is_table: bool) -> tuple[int, ...]:
    axes = int(min(number(header, "NAXIS", 0), 32))
    lengths = [int(number(header, f"NAXIS{axis}", 0)) for axis in range(axes, 0, -1)]
    return tuple(lengths[:1] if is_table else lengths)


# ---- energy band


def _bands(units: Iterable[_Unit]) -> str:
    bands = sorted({band for unit in units if (band := _edges(unit.header))})
    if len(bands) > 3:
        return f"{len(bands)} bands, {min(low for low, _ in bands):.4g}-{max(high for _, high in bands):.4g} keV"
    return f"{', '.join(f'{low:.4g}-{high:.4g}' for low, high in bands)} keV" if bands else ""


def _edges(header: Mapping[str, Any]) -> tuple[float, float] | None:
    unit = known_unit(header.get("EUNIT")) or u.keV
    low, high = number(header, "E_MIN", 0.0), number(header, "E_MAX", 0.0)
    if not (unit.is_equivalent(u.keV) and 0 <= low < high):
        return None
    return low * unit.to(u.keV), high * unit.to(u.keV)


# ---- time

_EARLIEST, _LATEST = 30000.0, 90000.0  # MJD: 1941 to 2105
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{0,9})?)?)?")


def _span(units: Iterable[_Unit]) -> str:
    """From when to when, in UTC, of the first HDU that has it."""
    for unit in units:
        start, stop = (_instant(unit.header, *keywords) for keywords in (("TSTART", "DATE-OBS"), ("TSTOP", "DATE-END")))
        if start and stop and start < stop:
            same_day = start[:10] == stop[:10]
            return f"{start} to {stop[11:]}" if same_day else f"{start[:16]} to {stop[:16]}"
        if start:
            return start
    return ""


def _instant(header: Mapping[str, Any], elapsed: str, date: str) -> str:
    scale = time_system(header).scale
    unit = known_unit(header.get("TIMEUNIT")) or u.day
    days = number(header, elapsed, math.nan) * (unit.to(u.day) if unit.is_equivalent(u.day) else math.nan)
    days += sum(time_reference(header))
    if _EARLIEST < days < _LATEST:
        return _utc(days, "mjd", scale)
    text = header.get(date)
    return _utc(text, None, scale) if isinstance(text, str) and _DATE.fullmatch(text) else ""


@lru_cache(maxsize=1024)
def _utc(value: float | str, form: str | None, scale: str) -> str:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        try:
            return str(Time(value, format=form, scale=scale, precision=0).utc.iso)
        except ValueError:  # the 31st of February
            return ""


# ---- shape

_SINGULARS = {"energies": "energy", "entries": "entry"}
_ENERGIES = {"MATRIX", "SPECRESP", "ENERG_LO"}


def _content_of(data: Any, units: list[_Unit], product: Product) -> str:
    kind = KINDS.get(product.kind, KINDS["other"])
    if isinstance(data, fits.HDUList) or (isinstance(data, Mapping) and "data_unit_list" in data):
        counts = Counter(_shape(unit, kind) for unit in units)
        words = [shape if count == 1 else f"{shape} x {count}" for shape, count in counts.items()]
        return ", ".join([*words[:2], *([f"and {len(words) - 2} more"] if len(words) > 2 else [])]) or "empty"
    if kind.name == "picture":
        return printable(product.meta.get("img_type") or "", limit=10)
    if isinstance(data, (Table, list)) or (isinstance(data, Mapping) and kind.rows == "entries"):
        return _counted(len(data), kind.rows)
    if isinstance(data, Mapping) and kind.name == "catalog":
        return _counted(len(data["cat_column_list"][0]), kind.rows)
    if isinstance(data, Mapping) and kind.name == "contours":
        return _counted(sum(len(line) for of_level in data["contours"] for line in of_level), kind.rows)
    if isinstance(data, Mapping) and isinstance(data.get("value"), list):
        return _counted(len(data["value"]), kind.rows)
    if isinstance(data, Mapping) and isinstance(data.get("ascii"), str):
        return _counted(_ecsv_rows(data["ascii"]), kind.rows) if len(data["ascii"]) <= _LONGEST_TEXT else ""
    return printable(data, limit=30) if isinstance(data, (str, int, float)) and kind.name != "binary" else ""


def _ecsv_rows(text: str) -> int:
    """Rows of ECSV, in which a quoted cell may have line ends."""
    delimiter = "," if re.search(r"^# delimiter: ','", text, re.MULTILINE) else " "
    lines = (line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    return max(sum(1 for row in csv.reader(lines, delimiter=delimiter) if row) - 1, 0)


def _shape(unit: _Unit, kind: Kind) -> str:
    if not unit.is_table:
        size = " x ".join(str(length) for length in reversed(unit.shape[-6:]))
        return f"{size} {'values' if len(unit.shape) == 1 else 'array' if kind.name == 'array' else 'image'}"
    rows, names = kind.rows, {*unit.columns, unit.name, str(unit.header.get("HDUCLAS2")).strip().upper()}
    if kind.file == "spectrum" and names & {*_ENERGIES, "SPECRESP MATRIX", "RSP_MATRIX"}:
        rows = "energies"
    elif kind.file == "spectrum" and ("DETCHANS" in unit.header or names & {"EBOUNDS", "CHANNEL"}):
        rows = "channels"
    return _counted(unit.shape[0], rows)


def _counted(count: int, word: str) -> str:
    return f"{count} {_SINGULARS.get(word, word[:-1]) if count == 1 else word}"


# ---- unit of what was measured, and size of what came


def _value_unit(units: Iterable[_Unit], product: Product) -> str:
    if product.kind == "rmf":  # areas beside a matrix are not what is in it
        return ""
    wanted = (str(product.meta.get("rate")).upper(), *VALUE_COLUMNS, "SPECRESP")
    for unit in units:
        text = unit.header.get("BUNIT")
        if unit.is_table:
            text = next((unit.columns[name] for name in wanted if name in unit.columns), None)
        if isinstance(text, str) and text.strip():
            return printable(text, limit=30)
    return ""


_ENCODED = ("binarys", "b64data", "data", "binary")


def _size(raw: Any, kind: str) -> int | None:
    """Bytes, without what base64 adds."""
    if isinstance(raw, fits.HDUList):
        return sum(hdu.size for hdu in raw)
    if isinstance(raw, Table):
        return sum(column.nbytes for column in raw.itercols())
    if isinstance(raw, Mapping) and not isinstance(raw.get("ascii"), str):
        parts = raw.get("data_unit_list") or [raw]
        sizes = [_decoded_size(part[key]) for part in parts for key in _ENCODED if isinstance(part.get(key), str)]
        return sum(sizes) if sizes else None
    text = raw["ascii"] if isinstance(raw, Mapping) else raw
    if not isinstance(text, (str, bytes)):
        return None
    if isinstance(text, str) and kind == "binary":
        return _decoded_size(text)
    if isinstance(text, str) and not text.isascii() and len(text) <= _LONGEST_TEXT:
        text = text.encode("utf-8", "surrogatepass")
    return len(text)


def _decoded_size(encoded: str) -> int:
    return len(encoded) * 3 // 4 - encoded[-2:].count("=")
