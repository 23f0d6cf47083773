# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The table that says which key of a reply holds what, and who reads it.

A new kind of product is one more line here, a reader, and a recorded reply with a test. Listing a reply opens no array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..catalog import read_catalog
from ..decoding import read_hdulist, read_json_text
from ..errors import DecodingError
from ..parameters import kind_from_name
from ..text import printable

__all__ = ["Entry", "describe", "entries_of"]

# keys of a reply that are about the analysis, not what it found
_NOT_PRODUCTS = frozenset(
    {
        "analysis_parameters",
        "api_code",
        "download_file_name",
        "extra_metadata",
        "input_prod_list",
        "instrument_parameters",
        "job_id",
        "prod_process_message",
        "prod_uris",
        "progress_product_list",
        "session_id",
    }
)


@dataclass(frozen=True)
class Entry:
    """One product of a reply, before it is decoded."""

    name: str
    kind: str
    raw: Any = field(repr=False)
    read: Callable[[Any, str], Any] = field(repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict)


def entries_of(products: Mapping[str, Any]) -> Iterator[Entry]:
    """All products of a reply, in its order, with unknown keys last in line for reading, never dropped."""
    for key, value in products.items():
        if key in _NOT_PRODUCTS or value is None:
            continue
        reader = _READERS.get(key)
        if reader is not None:
            yield from reader(key, value)
        else:
            yield Entry(key, "other", value, _as_it_is)


# ---- readers: key and value of a reply -> entries


def _read_numpy(key: str, value: Any) -> Iterator[Entry]:
    """Arrays and tables: each is a FITS file in the service's own clothes."""
    for index, raw in enumerate(_as_list(value)):
        what = f"product {index + 1} of {key}"
        entry = read_json_text(raw, what=what) if isinstance(raw, str) else raw
        if not isinstance(entry, dict):
            raise DecodingError(f"{what} must be a JSON object, not a {type(entry).__name__}.")
        meta = _meta(entry.get("meta_data"), what)
        yield Entry(str(entry.get("name") or ""), _numpy_kind(entry, meta), entry, _hdulist, meta)


def _read_catalog_entry(key: str, value: Any) -> Iterator[Entry]:
    yield Entry("catalog", "catalog", value, lambda raw, what: read_catalog(raw, what=what))


def _raw_list(kind: str) -> Callable[[str, Any], Iterator[Entry]]:
    """Entries that are handed over as they came."""

    def read(key: str, value: Any) -> Iterator[Entry]:
        for raw in _as_list(value):
            named = raw if isinstance(raw, dict) else {}
            yield Entry(str(named.get("name") or ""), kind, raw, _as_it_is)

    return read


_READERS: dict[str, Callable[[str, Any], Iterator[Entry]]] = {
    "numpy_data_product_list": _read_numpy,
    "numpy_data_product": _read_numpy,
    "catalog": _read_catalog_entry,
    "astropy_table_product_ascii_list": _raw_list("table"),
    "astropy_table_product_binary_list": _raw_list("table"),
    "binary_image_product_list": _raw_list("picture"),
    "binary_data_product_list": _raw_list("binary"),
    "text_product_list": _raw_list("text"),
    "gw_strain_product_list": _raw_list("strain"),
    "gw_spectrogram_product": _raw_list("spectrogram"),
    "gw_skymap_product": _raw_list("skymap"),
}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _as_it_is(raw: Any, what: str) -> Any:
    return raw


def _hdulist(raw: Any, what: str) -> Any:
    return read_hdulist(raw, what=what)


def _meta(value: Any, what: str) -> dict[str, Any]:
    meta = read_json_text(value, what=f"meta_data of {what}") if isinstance(value, str) else value
    return meta if isinstance(meta, dict) else {}


# ---- what kind of thing an array product is, without opening it


def _numpy_kind(entry: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Told by the service's word for it, else by its name, else by the headers of its units."""
    for word in (meta.get("product"), entry.get("name")):
        kind = kind_from_name(str(word or ""))
        if kind != "other":
            return kind
    units = [unit for unit in _as_list(entry.get("data_unit_list")) if isinstance(unit, dict)]
    kinds = [_unit_kind(unit) for unit in units]
    return next((kind for kind in _STRONGEST_FIRST if kind in kinds), "other")


_STRONGEST_FIRST = ("lightcurve", "spectrum", "rmf", "arf", "image", "table", "array")
_BY_HDUCLASS = {"LIGHTCURVE": "lightcurve", "SPECTRUM": "spectrum"}
_BY_UNIT_NAME = {"LC": "lightcurve", "SPECRESP": "arf", "EBOUNDS": "rmf", "MATRIX": "rmf", "SPECRESP MATRIX": "rmf"}
_VALUE_COLUMNS = ("RATE", "FLUX", "COUNTS", "MAG")


def _unit_kind(unit: Mapping[str, Any]) -> str:
    told = unit.get("header")
    header: dict[str, Any] = told if isinstance(told, dict) else {}
    name = str(unit.get("name") or "").upper()
    by_class = _BY_HDUCLASS.get(str(header.get("HDUCLAS1", "")).upper()) or _BY_UNIT_NAME.get(name)
    if by_class:
        return by_class
    if unit.get("hdu_type") in ("table", "bintable"):
        columns = {str(value).upper() for key, value in header.items() if str(key).startswith("TTYPE")}
        columns |= {str(column).upper() for column in unit.get("units_dict") or ()}
        return "lightcurve" if "TIME" in columns and columns & set(_VALUE_COLUMNS) else "table"
    if "CTYPE1" in header or "IMATYPE" in header:
        return "image"
    return "array" if unit.get("hdu_type") == "image" else "other"


def describe(entry: Entry) -> str:
    """Short name of an entry for messages."""
    return f"product {printable(entry.name or entry.kind, limit=60)!r}"
