# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The table that says which key of a reply holds what, and who reads it.

A new kind of product is one more line here, a reader, and a recorded reply with a test. Listing a reply opens no array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from astroquery import log

from .. import decoding
from ..allowance import Allowance
from ..catalog import read_catalog
from ..errors import DecodingError, reading
from ..request.metadata import kind_from_name
from ..text import printable

__all__ = [
    "LONGEST_NAME",
    "Entry",
    "check_meta",
    "check_name",
    "describe",
    "entries_of",
    "free_name",
    "names_in_headers",
]

#: characters of names of products and sources, which stand in each row of a form
LONGEST_NAME = 1000
# words of meta data that are used, beside src_name
_WORDS = ("product", "img_type", "filename")

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
        "session_id",
    }
)

# nobody reads these, but they are no news: answers of the test instruments, and what the web page is sent
_KNOWN_RAW = frozenset(
    {
        "arf_file_name",
        "echo",
        "file_name",
        "image",
        "name",
        "p",
        "ph_file_name",
        "rmf_file_name",
        "spectrum_name",
    }
)


@dataclass(frozen=True)
class Entry:
    """One product of a reply, before it is decoded."""

    name: str
    kind: str
    raw: Any = field(repr=False)
    read: Callable[[Any, str, Allowance], Any] = field(repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict)


def entries_of(products: Mapping[str, Any], allowance: Allowance) -> Iterator[Entry]:
    """All products of a reply, in its order; what nobody knows is kept as it came, and one line of the log says so."""
    promises = {key: _dictionary(products.get(key)) for key in ("prod_uris", "extra_metadata")}
    unknown = []
    for key, value in products.items():
        if key in _NOT_PRODUCTS or value is None:
            continue
        if key not in _READERS and key not in _KNOWN_RAW:
            unknown.append(printable(key, limit=60))
        for entry in _READERS.get(key, _read_raw)(key, value, allowance):
            yield _as_promised(entry, **promises)
    if unknown:
        log.warning("Kept as it came, since nothing is known about it: %s", ", ".join(unknown[:10]))


# ---- readers: key and value of a reply -> entries


def _read_numpy(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    """Arrays and tables: each is a FITS file in the service's own clothes."""
    for index, raw in enumerate(_as_list(value)):
        what = f"product {index + 1} of {key}"
        entry, meta = _element(raw, what, allowance)
        yield Entry(_name(entry), _numpy_kind(entry, meta), entry, _hdulist, meta)


def _read_catalog_entry(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    yield Entry("catalog", "catalog", value, _catalog)


def _read_tables(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    """Tables of astropy, as text or pickled."""
    for index, raw in enumerate(_as_list(value)):
        entry, meta = _element(raw, f"product {index + 1} of {key}", allowance)
        yield Entry(_name(entry), "lightcurve" if _tells_lightcurve(meta) else "table", entry, _table, meta)


def _read_pictures(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    for raw in _as_list(value):
        entry = _dictionary(raw)
        told = {name: entry[name] for name in ("img_type", "filename") if entry.get(name)}
        meta = check_meta(_dictionary(entry.get("metadata")) | told, f"a picture in {key}")
        yield Entry(_name(entry), "picture", raw, _picture, meta)


def _read_binaries(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    for raw in _as_list(value):
        yield Entry(_name(raw), "binary", raw, _binary)


def _read_texts(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    """Texts, and the numbers and lists that a workflow gives as outputs."""
    for index, raw in enumerate(_as_list(value)):
        is_named = isinstance(raw, dict) and "value" in raw
        meta = _meta(raw.get("meta_data"), f"product {index + 1} of {key}", allowance) if is_named else {}
        yield Entry(_name(raw), "text", raw["value"] if is_named else raw, _as_it_is, meta)


def _read_strains(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    for raw in _as_list(value):
        yield Entry(_name(raw), "strain", raw, _strain)


def _read_spectrograms(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    for raw in _as_list(value):
        yield Entry(_name(raw), "spectrogram", raw, _spectrogram)


def _read_skymaps(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    """A map of the sky for each event, and its contours; the event is the source."""
    if not isinstance(value, dict):
        raise DecodingError(f"{key} must be a JSON object, not a {type(value).__name__}.")
    for event in (*_dictionary(value.get("skymaps")), *_dictionary(value.get("contours"))):
        check_name(event, f"event in {key}")
    for event, raw in _dictionary(value.get("skymaps")).items():
        entry, meta = _element(raw, f"the map of {printable(event, limit=60)!r} in {key}", allowance)
        yield Entry(_name(entry) or f"skymap_{event}", "skymap", entry, _hdulist, meta | {"src_name": event})
    for event, raw in _dictionary(value.get("contours")).items():
        yield Entry(f"contours_{event}", "contours", raw, _contours, {"src_name": event})


def _read_raw(key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    yield Entry(key, "other", value, _as_it_is)


_READERS: dict[str, Callable[[str, Any, Allowance], Iterator[Entry]]] = {
    "numpy_data_product_list": _read_numpy,
    "numpy_data_product": _read_numpy,
    "catalog": _read_catalog_entry,
    "astropy_table_product_ascii_list": _read_tables,
    "astropy_table_product_binary_list": _read_tables,
    "binary_image_product_list": _read_pictures,
    "binary_data_product_list": _read_binaries,
    "text_product_list": _read_texts,
    "progress_product_list": _read_texts,
    "gw_strain_product_list": _read_strains,
    "gw_spectrogram_product": _read_spectrograms,
    "gw_skymap_product": _read_skymaps,
}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(entry: Any) -> str:
    return check_name(_dictionary(entry).get("name"), "name of a product")


def check_name(name: Any, what: str) -> str:
    """Refuse a name that is not text, or one that would be a column of megabytes in each form; empty for none."""
    if name is not None and not isinstance(name, str):
        raise DecodingError(f"The {what} must be text, not {printable(name, limit=60)!r}.")
    if name and len(name) > LONGEST_NAME:
        raise DecodingError(f"The {what} has {len(name)} characters, where {LONGEST_NAME} are the most.")
    return name or ""


def free_name(stem: str, taken: dict[str, int]) -> str:
    """Name that no other product has; ``taken`` remembers names, and how often each was wanted."""
    number = taken.get(stem, 0) + 1
    name = stem if number == 1 else f"{stem}_{number}"
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    # all of them are free from the next number on, so that not each one is tried again
    taken[stem] = number
    taken.setdefault(name, 1)
    return name


def _element(raw: Any, what: str, allowance: Allowance) -> tuple[dict[str, Any], dict[str, Any]]:
    """An element of a list, which may be JSON text, and its meta data."""
    entry = decoding.read_json_text(raw, what=what, allowance=allowance) if isinstance(raw, str) else raw
    if not isinstance(entry, dict):
        raise DecodingError(f"{what} must be a JSON object, not a {type(entry).__name__}.")
    return entry, _meta(entry.get("meta_data"), what, allowance)


def _meta(value: Any, what: str, allowance: Allowance) -> dict[str, Any]:
    meta = (
        decoding.read_json_text(value, what=f"meta_data of {what}", allowance=allowance)
        if isinstance(value, str)
        else value
    )
    if meta is not None and not isinstance(meta, dict):
        raise DecodingError(f"The meta_data of {what} must be a JSON object, not a {type(meta).__name__}.")
    return check_meta(meta or {}, what)


def check_meta(meta: dict[str, Any], what: str) -> dict[str, Any]:
    """Refuse words of meta data that name something and are not text; workflows may number their sources."""
    source = meta.get("src_name")
    is_number = isinstance(source, (int, float)) and not isinstance(source, bool)
    check_name(None if is_number else source, f"src_name of {what}")
    for key in _WORDS:
        check_name(meta.get(key), f"{key} of {what}")
    return meta


# ---- decoders: an entry's own part of a reply -> its data; plain functions, so that products pickle


def _as_it_is(raw: Any, what: str, allowance: Allowance) -> Any:
    return raw


def _hdulist(raw: Any, what: str, allowance: Allowance) -> Any:
    return decoding.read_hdulist(raw, what=what, allowance=allowance)


def _catalog(raw: Any, what: str, allowance: Allowance) -> Any:
    with reading(what):
        return read_catalog(raw)


def _table(raw: Any, what: str, allowance: Allowance) -> Any:
    if raw.get("ascii") is not None:
        return decoding.read_ecsv(raw["ascii"], what=what, allowance=allowance)
    return decoding.read_pickled_table(raw.get("binary"), what=what, allowance=allowance)


def _picture(raw: Any, what: str, allowance: Allowance) -> Any:
    return decoding.read_picture(raw, what=what, allowance=allowance)


def _binary(raw: Any, what: str, allowance: Allowance) -> Any:
    return decoding.read_binary(raw, what=what, allowance=allowance)


def _strain(raw: Any, what: str, allowance: Allowance) -> Any:
    return decoding.read_strain(raw, what=what, allowance=allowance)


def _spectrogram(raw: Any, what: str, allowance: Allowance) -> Any:
    return decoding.read_spectrogram(raw, what=what, allowance=allowance)


def _contours(raw: Any, what: str, allowance: Allowance) -> Any:
    return decoding.read_contours(raw, what=what, allowance=allowance)


# ---- what a workflow said beforehand about the output of an entry's name


def _as_promised(entry: Entry, *, prod_uris: Mapping[str, Any], extra_metadata: Mapping[str, Any]) -> Entry:
    """Add label, description and group; and the kind, where nothing but the layout of an array told it."""
    if entry.name not in prod_uris and entry.name not in extra_metadata:
        return entry
    kind, meta = entry.kind, {**_dictionary(extra_metadata.get(entry.name)), **entry.meta}
    if entry.read is _hdulist and kind in _TOLD_BY_LAYOUT:
        uri = prod_uris.get(entry.name)
        promised = kind_from_name(str(uri or "").rpartition("#")[2])
        kind = promised if promised in _STRONGEST_FIRST else kind
    return replace(entry, kind=kind, meta=check_meta(meta, describe(entry)))


# ---- what kind of thing an array product is, without opening it


def _numpy_kind(entry: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Told by the words that only light curves have, the service's word for it, its name, the headers of its units."""
    if _tells_lightcurve(meta):
        return "lightcurve"
    for word in (meta.get("product"), entry.get("name")):
        kind = kind_from_name(str(word or ""))
        if kind != "other":
            return kind
    units = [unit for unit in _as_list(entry.get("data_unit_list")) if isinstance(unit, dict)]
    kinds = [_unit_kind(unit) for unit in units]
    return next((kind for kind in _STRONGEST_FIRST if kind in kinds), "other")


def _tells_lightcurve(meta: Mapping[str, Any]) -> bool:
    """Whether the meta data name the columns of a light curve."""
    return all(isinstance(meta.get(word), str) and meta[word].strip() for word in ("time", "rate", "rate_err"))


_STRONGEST_FIRST = ("lightcurve", "spectrum", "rmf", "arf", "image", "table", "array")
_TOLD_BY_LAYOUT = ("table", "array", "other")
_BY_HDUCLASS = {"LIGHTCURVE": "lightcurve", "SPECTRUM": "spectrum"}
_BY_HDUCLASS |= {"SPECRESP": "arf", "RSP_MATRIX": "rmf", "EBOUNDS": "rmf"}
_BY_UNIT_NAME = {"LC": "lightcurve", "SPECRESP": "arf", "EBOUNDS": "rmf", "MATRIX": "rmf", "SPECRESP MATRIX": "rmf"}
# columns that only tables of one kind have; of spectra besides one of those with values
_BY_COLUMNS = {"MATRIX": "rmf", "E_MIN": "rmf", "SPECRESP": "arf"}
_VALUE_COLUMNS = ("RATE", "FLUX", "COUNTS", "MAG")


def _unit_kind(unit: Mapping[str, Any]) -> str:
    told = unit.get("header")
    header: dict[str, Any] = told if isinstance(told, dict) else {}
    name = str(unit.get("name") or "").upper()
    classes = (str(header.get(key, "")).strip().upper() for key in ("HDUCLAS1", "HDUCLAS2"))
    by_class = [_BY_HDUCLASS[each] for each in classes if each in _BY_HDUCLASS]
    if by_class or name in _BY_UNIT_NAME:
        return by_class[0] if by_class else _BY_UNIT_NAME[name]
    if unit.get("hdu_type") in ("table", "bintable"):
        columns = {str(value).upper() for key, value in header.items() if str(key).startswith("TTYPE")}
        columns |= {str(column).upper() for column in _dictionary(unit.get("units_dict"))}
        return _table_kind(columns)
    if "CTYPE1" in header or "IMATYPE" in header:
        return "image"
    return "array" if unit.get("hdu_type") == "image" else "other"


def _table_kind(columns: set[str]) -> str:
    if "TIME" in columns and columns & set(_VALUE_COLUMNS):
        return "lightcurve"
    if {"CHANNEL", "RATE"} <= columns or {"CHANNEL", "COUNTS"} <= columns:
        return "spectrum"
    if columns & {"CHANNEL", "ENERG_LO"}:
        return next((kind for column, kind in _BY_COLUMNS.items() if column in columns), "table")
    return "table"


def names_in_headers(entries: Iterable[Entry]) -> Iterator[str]:
    """Names of sources in the headers of array products (NAME), which have blanks where ``src_name`` has lost them."""
    for entry in entries:
        for unit in _as_list(entry.raw.get("data_unit_list")) if entry.read is _hdulist else ():
            name = _dictionary(_dictionary(unit).get("header")).get("NAME")
            if isinstance(name, str) and name.strip() and len(name) <= LONGEST_NAME:
                yield name.strip()


def describe(entry: Entry) -> str:
    """Short name of an entry for messages."""
    return f"product {printable(entry.name or entry.kind, limit=60)!r}"
