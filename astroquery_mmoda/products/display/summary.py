# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
A summary of a product: energy band, time, shape, unit and size.

Nothing is decoded for it. Headers and lengths are read, no more of them for a large product than for a small one, and
what they do not tell in the usual way is left out: a summary never fails.
"""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from astropy.time import Time

from ...decoding import pickled_shape
from ...protocol import VALUE_COLUMNS
from ...text import printable
from ..cards import EARLIEST, LATEST, energy_band, instant_of, time_system
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
    """Summary of what came, decoded or not."""
    raw = product.entry.raw
    try:
        if hasattr(raw, "record"):  # in a file, which is not opened for this
            found = raw.record["options"]["summary"]
            texts = {name: printable(found[name], limit=100) for name in ("band", "time", "content", "unit")}
            size = found["size"]  # the file may be somebody else's
            return Summary(**texts, size=size if isinstance(size, int) and size < 10**18 else None)
        units = _units(raw)
        content, unit = _content_of(raw, units, product), _value_unit(units, product)
        return Summary(_bands(units), _span(units), content, unit, _size(raw, product.kind))
    except Exception:  # noqa: BLE001 - whatever a product is, its summary must not fail
        return Summary()


# ---- the HDUs of a product


class _Unit(NamedTuple):
    """One HDU: its header, its shape as numpy counts, and units of its columns by their names (None: an image)."""

    header: Mapping[str, Any]
    shape: tuple[int, ...]
    columns: dict[str, Any] | None


def _units(raw: Any) -> list[_Unit]:
    """HDUs with something in them, but for lists of members."""
    units = raw.get("data_unit_list") if isinstance(raw, Mapping) else None
    found = []
    for unit in units[:_MOST_UNITS] if isinstance(units, list) else ():
        header, shape, columns = unit.get("header") or {}, pickled_shape(unit.get("binarys")), None
        if not shape or not all(shape) or unit.get("name") == "GROUPING" or "GRPNAME" in header:
            continue
        if unit.get("hdu_type") in ("table", "bintable"):
            known = {header.get(f"TTYPE{n}"): header.get(f"TUNIT{n}") for n in range(1, _MOST_COLUMNS + 1)}
            known |= islice((unit.get("units_dict") or {}).items(), _MOST_COLUMNS)  # these know better
            columns = {name.upper(): text for name, text in known.items() if isinstance(name, str)}
        found.append(_Unit(header, shape, columns))
    return found


# ---- energy band


def _bands(units: Iterable[_Unit]) -> str:
    bands = sorted({band for unit in units if (band := energy_band(unit.header)) and band[0] < band[1]})
    if len(bands) > 3:
        return f"{len(bands)} bands, {min(low for low, _ in bands):.4g}-{max(high for _, high in bands):.4g} keV"
    return f"{', '.join(f'{low:.4g}-{high:.4g}' for low, high in bands)} keV" if bands else ""


# ---- time


def _span(units: Iterable[_Unit]) -> str:
    """From when to when, in UTC, of the first HDU that has it."""
    for unit in units:
        start, stop = (
            _utc(instant_of(unit.header, key), time_system(unit.header).scale) for key in ("TSTART", "TSTOP")
        )
        if start and stop and start < stop:
            same_day = start[:10] == stop[:10]
            return f"{start} to {stop[11:]}" if same_day else f"{start[:16]} to {stop[:16]}"
        if start:
            return start
    return ""


@lru_cache(maxsize=1024)
def _utc(instant: tuple[float, float] | None, scale: str) -> str:
    if not instant or not EARLIEST < sum(instant) < LATEST:
        return ""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        return str(Time(*instant, format="mjd", scale=scale, precision=0).utc.iso)


# ---- shape

_SINGULARS = {"energies": "energy", "entries": "entry"}


def _content_of(raw: Any, units: list[_Unit], product: Product) -> str:
    kind = KINDS[product.kind]
    if isinstance(raw, Mapping) and "data_unit_list" in raw:
        counts = Counter(_shape(unit, kind) for unit in units)
        words = [shape if count == 1 else f"{shape} x {count}" for shape, count in counts.items()]
        return ", ".join([*words[:2], *([f"and {len(words) - 2} more"] if len(words) > 2 else [])]) or "empty"
    if kind.name == "picture":
        return printable(product.meta.get("img_type") or "", limit=10)
    rows = _count_rows(raw, kind)
    if rows is not None:
        return _counted(rows, kind.rows)
    return printable(raw, limit=30) if isinstance(raw, (str, int, float)) and kind.name != "binary" else ""


def _count_rows(raw: Any, kind: Kind) -> int | None:
    if isinstance(raw, list) or (isinstance(raw, Mapping) and kind.rows == "entries"):
        return len(raw)
    if not isinstance(raw, Mapping):
        return None
    if kind.name == "catalog":
        return len(raw["cat_column_list"][0])
    if kind.name == "contours":
        return sum(len(line) for of_level in raw["contours"] for line in of_level)
    if isinstance(raw.get("ascii"), str) and len(raw["ascii"]) <= _LONGEST_TEXT:
        lines = (line for line in raw["ascii"].splitlines(keepends=True) if not line.startswith("#"))
        # a quoted cell may have line ends; the first row has the names
        return max(sum(1 for row in csv.reader(lines, delimiter=" ") if row) - 1, 0)
    return len(raw["value"]) if isinstance(raw.get("value"), list) else None


def _shape(unit: _Unit, kind: Kind) -> str:
    if unit.columns is not None:
        return _counted(unit.shape[0], kind.rows)
    size = " x ".join(str(length) for length in reversed(unit.shape[-6:]))
    return f"{size} {'values' if len(unit.shape) == 1 else 'array' if kind.name == 'array' else 'image'}"


def _counted(count: int, word: str) -> str:
    return f"{count} {_SINGULARS.get(word, word[:-1]) if count == 1 else word}"


# ---- unit of what was measured, and size of what came


def _value_unit(units: Iterable[_Unit], product: Product) -> str:
    if product.kind == "rmf":  # areas beside a matrix are not what is in it
        return ""
    wanted = (str(product.meta.get("rate")).upper(), *VALUE_COLUMNS, "SPECRESP")
    for unit in units:
        text = unit.header.get("BUNIT")
        if unit.columns is not None:
            text = next((unit.columns[name] for name in wanted if name in unit.columns), None)
        if isinstance(text, str) and text.strip():
            return printable(text, limit=30)
    return ""


_ENCODED = ("binarys", "b64data", "data", "binary")


def _size(raw: Any, kind: str) -> int | None:
    """Bytes, without what base64 adds."""
    text = raw.get("ascii") if isinstance(raw, Mapping) else raw
    if isinstance(text, str):
        return _decoded_size(text) if kind == "binary" else len(text.encode("utf-8", "surrogatepass"))
    if not isinstance(raw, Mapping):
        return None
    parts = raw.get("data_unit_list") or [raw]
    sizes = [_decoded_size(part[key]) for part in parts for key in _ENCODED if isinstance(part.get(key), str)]
    return sum(sizes) if sizes else None


def _decoded_size(encoded: str) -> int:
    return len(encoded) * 3 // 4 - encoded[-2:].count("=")
