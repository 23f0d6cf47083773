# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The table of kinds of products: where each is in a reply, how it is read, shown and written.

A new kind is one more entry of `KINDS`, a reader in `decoding`, and a recorded reply with a test. Listing a reply opens
no array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from astroquery import log

from .. import decoding
from ..allowance import Allowance
from ..catalog import read_catalog
from ..errors import DecodingError, reading
from ..protocol import VALUE_COLUMNS
from ..request.metadata import kind_from_name
from ..text import printable

if TYPE_CHECKING:
    from .product import Product

#: characters of names of products and sources, which stand in each row of a form
LONGEST_NAME = 1000

# keys of a reply that are about the analysis, not what it found
_NOT_PRODUCTS = frozenset(
    "analysis_parameters api_code download_file_name extra_metadata input_prod_list instrument_parameters job_id "
    "prod_process_message prod_uris session_id".split()
)
# kept as they come without a warning: answers of the test instruments, and what the web page is sent
_KNOWN_RAW = frozenset("arf_file_name echo file_name image name p ph_file_name rmf_file_name spectrum_name".split())

Reader = Callable[[Any, str, Allowance], Any]


@dataclass(frozen=True)
class Entry:
    """One product of a reply, before it is decoded; ``read`` makes its data of ``raw``."""

    name: str
    kind: str
    raw: Any = field(repr=False)
    read: Reader = field(repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict)


def _as_it_is(raw: Any, what: str, allowance: Allowance) -> Any:
    return raw


def _listed(kind: Kind, key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    """The elements of a list, or the only one: their content, their names and metadata if they have some."""
    for index, raw in enumerate(_as_list(value)):
        what = f"product {index + 1} of {key}"
        content = _json_object(raw, what, allowance) if kind.refine else raw
        described = _as_dict(content)
        meta = _read_meta(described, what, allowance)
        name = kind.refine(described, meta) if kind.refine else kind.name
        if kind.name == "text" and "value" in described:
            content = described["value"]
        yield Entry(_product_name(described), name, content, kind.read, meta)


@dataclass(frozen=True)
class Kind:
    """
    A kind of product.

    ``keys`` are those of a reply under which it stands; ``elements`` lists the entries there, and ``refine`` gives
    those that are JSON objects, or texts of them, another kind by their content and metadata. ``read`` makes the data
    of an entry. ``rows`` is what the rows of its tables are called. ``file`` is the form of its file, where it does not
    follow from the type of the data: image, spectrum or lightcurve.
    """

    name: str
    keys: tuple[str, ...] = ()
    read: Reader = _as_it_is
    elements: Callable[[Kind, str, Any, Allowance], Iterator[Entry]] = _listed
    refine: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
    rows: str = "rows"
    file: str = ""


def entries_of(products: Mapping[str, Any], allowance: Allowance) -> Iterator[Entry]:
    """All products of a reply, in its order; what is unknown is kept as it came, and one line of the log says so."""
    uris, extra = (_as_dict(products.get(key)) for key in ("prod_uris", "extra_metadata"))
    found = {key: value for key, value in products.items() if key not in _NOT_PRODUCTS and value is not None}
    for key, value in found.items():
        kind = _BY_KEY.get(key, KINDS["other"])
        for entry in kind.elements(kind, key, value, allowance):
            is_announced = entry.name in uris or entry.name in extra
            yield _as_announced(entry, uris.get(entry.name), extra.get(entry.name)) if is_announced else entry
    unknown = [printable(key, limit=60) for key in found if key not in _BY_KEY and key not in _KNOWN_RAW]
    if unknown:
        log.warning("Kept as it came, since nothing is known about it: %s", ", ".join(unknown[:10]))


def _as_announced(entry: Entry, uri: Any, extra: Any) -> Entry:
    """Add what a workflow announced about an output; its kind by the ontology, if the layout can be that."""
    meta = check_meta({**_as_dict(extra), **entry.meta}, f"product {printable(entry.name, limit=60)!r}")
    units = _units_of(_as_dict(entry.raw))
    kind = _kind_from_uri(str(uri or ""))
    # before names of columns, but not before what a header states
    is_open = kind in ("image", "lightcurve", "spectrum") and bool(units) and not any(map(_stated_kind, units))
    return replace(entry, kind=kind if is_open and _can_be(kind, units) else entry.kind, meta=meta)


def _kind_from_uri(uri: str) -> str:
    """Kind by an address of the ontology, such as ``http://odahub.io/ontology#LightCurve``; ``other`` if unclear."""
    # that of a subclass that a workflow makes has its class, its label and other words, sorted, with _ between them
    parts = [part.removeprefix("ODA") for part in uri[:1000].rpartition("#")[2].split("_")]
    kinds = {kind_from_name(part) for part in parts if part in _CLASSES}
    return kinds.pop() if len(kinds) == 1 else "other"


def likely(found: Mapping[Product, Any], kind: str) -> list[Product]:
    """Products that are what was asked for: tables that can be read as such only if no others have the name of it."""
    readable = [product for product, content in found.items() if content]
    # asked for is what counts, but a reply may have tables of several kinds
    named_otherwise = {"spectrum", "lightcurve", "catalog"} - {kind}
    fitting = [each for each in readable if each.kind == kind or kind_from_name(each.name) not in named_otherwise]
    return fitting or readable


# ---- what stands under a key


def _whole(kind: Kind, key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    yield Entry(key, kind.name, value, kind.read)


def _skymaps(kind: Kind, key: str, value: Any, allowance: Allowance) -> Iterator[Entry]:
    """A map of the sky for each event, and its contours; the event is the source."""
    parts = _json_object(value, key, allowance)
    maps, contours = (_as_dict(parts.get(part)) for part in ("skymaps", "contours"))
    for event in (*maps, *contours):
        check_name(event, f"event in {key}")
    for event, raw in maps.items():
        what = f"the map of {printable(event, limit=60)!r} in {key}"
        for entry in _listed(kind, what, _json_object(raw, what, allowance), allowance):
            yield replace(entry, name=entry.name or f"skymap_{event}", meta={**entry.meta, "src_name": event})
    for event, raw in contours.items():
        yield Entry(f"contours_{event}", "contours", raw, KINDS["contours"].read, {"src_name": event})


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _json_object(value: Any, what: str, allowance: Allowance) -> dict[str, Any]:
    """A JSON object, or the text of one."""
    found = decoding.read_json_text(value, what=what, allowance=allowance) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise DecodingError(f"{what} must be a JSON object, not a {type(found).__name__}.")
    return found


def _read_meta(element: Mapping[str, Any], what: str, allowance: Allowance) -> dict[str, Any]:
    """Metadata of a product; pictures have theirs under other names."""
    meta = element.get("meta_data")
    found = {} if meta in (None, "") else _json_object(meta, f"meta_data of {what}", allowance)
    own = {key: element[key] for key in ("img_type", "filename") if element.get(key)}
    return check_meta({**found, **_as_dict(element.get("metadata")), **own}, what)


# ---- names


def _product_name(entry: Any) -> str:
    return check_name(_as_dict(entry).get("name"), "name of a product")


def check_name(name: Any, what: str) -> str:
    """Refuse a name that is not text, or one that would be a column of megabytes in each form; empty for none."""
    if name is not None and not isinstance(name, str):
        raise DecodingError(f"The {what} must be text, not {printable(name, limit=60)!r}.")
    if name and len(name) > LONGEST_NAME:
        raise DecodingError(f"The {what} has {len(name)} characters, where {LONGEST_NAME} are the most.")
    return name or ""


def check_meta(meta: dict[str, Any], what: str) -> dict[str, Any]:
    """Refuse metadata that name something and are not text; workflows may number their sources."""
    source = meta.get("src_name")
    if isinstance(source, bool) or not isinstance(source, (int, float)):
        check_name(source, f"src_name of {what}")
    check_name(meta.get("product"), f"product of {what}")
    return meta


def free_name(stem: str, taken: dict[str, int]) -> str:
    """Name that no other product has; ``taken`` has names, and how often each was wanted."""
    number = taken.get(stem, 0) + 1
    while (name := stem if number == 1 else f"{stem}_{number}") in taken:
        number += 1
    # all of them are free from the next number on, so that not each one is tried again
    taken[stem] = number
    taken.setdefault(name, 1)
    return name


def names_in_headers(entries: Iterable[Entry]) -> Iterator[str]:
    """Names of sources in the headers of array products (NAME), which have blanks where ``src_name`` has lost them."""
    for entry in entries:
        for unit in _as_list(_as_dict(entry.raw).get("data_unit_list")):
            name = _as_dict(_as_dict(unit).get("header")).get("NAME")
            if isinstance(name, str) and name.strip() and len(name) <= LONGEST_NAME:
                yield name.strip()


# ---- readers: what came -> data; plain functions, so that products pickle


def _decoded(function: str, raw: Any, what: str, allowance: Allowance) -> Any:
    """By a function of `decoding`, whose modules are imported when they are needed."""
    return getattr(decoding, function)(raw, what=what, allowance=allowance)


def _catalog(raw: Any, what: str, allowance: Allowance) -> Any:
    with reading(what):
        return read_catalog(raw)


def _read_table(raw: Any, what: str, allowance: Allowance) -> Any:
    if raw.get("binary") is None:
        return decoding.read_ecsv(raw.get("ascii"), what=what, allowance=allowance)
    raise DecodingError(f"{what}: a pickled table of astropy, which is not read: the service sends tables as text.")


# ---- what kind of thing an array or a table is, without opening it


def _kind_of_table(element: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Light curves have names of columns in their metadata."""
    names = (meta.get(key) for key in ("time", "rate", "rate_err"))
    return "lightcurve" if all(isinstance(name, str) and name.strip() for name in names) else "table"


def _kind_of_arrays(element: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """By the metadata of light curves, the service's name for it, its own name, the headers of its units."""
    if _kind_of_table(element, meta) == "lightcurve":
        return "lightcurve"
    units = _units_of(element)
    named = (kind_from_name(str(name or "")) for name in (meta.get("product"), element.get("name")))
    return next((kind for kind in named if _can_be(kind, units)), _layout(units))


def _units_of(element: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [unit for unit in _as_list(element.get("data_unit_list")) if isinstance(unit, dict)]


def _layout(units: Iterable[Mapping[str, Any]]) -> str:
    kinds = {_kind_of_unit(unit) for unit in units}
    return next((kind for kind in _STRONGEST_FIRST if kind in kinds), "other")


def _can_be(kind: str, units: list[dict[str, Any]]) -> bool:
    """Whether arrays can be what their name or the service says: lists of events and maps are no spectra."""
    has_events = any(str(unit.get("name")).strip().upper() == "EVENTS" for unit in units)
    if kind in ("lightcurve", "spectrum", "arf", "rmf"):
        return not has_events and _layout(units) not in ("image", "array")
    return kind == "image" and _layout(units) in ("image", "array", "other")


# cubes have tables of their energies, which could be those of a matrix
_STRONGEST_FIRST = ("image", "lightcurve", "spectrum", "rmf", "arf", "table", "array")
# of the ontology, which are products
_CLASSES = frozenset("AstropyTable BinaryProduct Image LightCurve LightCurveList PictureProduct Spectrum".split())
# by HDUCLAS1, HDUCLAS2 or the name of a unit
_BY_NAME = {
    **dict.fromkeys(("LIGHTCURVE", "LC"), "lightcurve"),
    "SPECTRUM": "spectrum",
    "SPECRESP": "arf",
    **dict.fromkeys(("RSP_MATRIX", "MATRIX", "SPECRESP MATRIX", "EBOUNDS"), "rmf"),
}
# by columns: one of the first, and one of the second
_BY_COLUMNS = (
    ({"TIME"}, set(VALUE_COLUMNS), "lightcurve"),
    ({"CHANNEL"}, {"RATE", "COUNTS"}, "spectrum"),
    ({"CHANNEL", "ENERG_LO"}, {"MATRIX", "E_MIN"}, "rmf"),
    ({"CHANNEL", "ENERG_LO"}, {"SPECRESP"}, "arf"),
)


def _stated_kind(unit: Mapping[str, Any]) -> str:
    header = _as_dict(unit.get("header"))
    names = (header.get("HDUCLAS1"), header.get("HDUCLAS2"), unit.get("name"))
    return next(filter(None, (_BY_NAME.get(str(name).strip().upper(), "") for name in names)), "")


def _kind_of_unit(unit: Mapping[str, Any]) -> str:
    if kind := _stated_kind(unit):
        return kind
    header = _as_dict(unit.get("header"))
    if unit.get("hdu_type") in ("table", "bintable"):
        names = {str(value).upper() for key, value in header.items() if str(key).startswith("TTYPE")}
        names |= {str(name).upper() for name in _as_dict(unit.get("units_dict"))}
        return next((kind for one, other, kind in _BY_COLUMNS if names & one and names & other), "table")
    if "CTYPE1" in header or "IMATYPE" in header:
        return "image"
    return "array" if unit.get("hdu_type") == "image" else "other"


_ARRAYS = ("numpy_data_product_list", "numpy_data_product")
_TABLES = ("astropy_table_product_ascii_list", "astropy_table_product_binary_list")
_HDULIST = partial(_decoded, "read_hdulist")

KINDS = {
    kind.name: kind
    for kind in (
        Kind("image", file="image"),
        Kind("spectrum", rows="bins", file="spectrum"),
        Kind("arf", rows="energies", file="spectrum"),
        Kind("rmf", file="spectrum"),
        Kind("lightcurve", rows="bins", file="lightcurve"),
        Kind("array", _ARRAYS, _HDULIST, refine=_kind_of_arrays),
        Kind("catalog", ("catalog",), _catalog, _whole, rows="sources"),
        Kind("table", _TABLES, _read_table, refine=_kind_of_table),
        Kind("picture", ("binary_image_product_list",), partial(_decoded, "read_picture")),
        Kind("text", ("text_product_list", "progress_product_list"), rows="entries"),
        Kind("binary", ("binary_data_product_list",), partial(_decoded, "read_binary")),
        Kind("skymap", ("gw_skymap_product",), _HDULIST, _skymaps),
        Kind("contours", read=partial(_decoded, "read_contours"), rows="points"),
        Kind("strain", ("gw_strain_product_list",), partial(_decoded, "read_strain"), rows="samples"),
        Kind("spectrogram", ("gw_spectrogram_product",), partial(_decoded, "read_spectrogram"), rows="times"),
        Kind("other", elements=_whole, rows="entries"),
    )
}
_BY_KEY = {key: kind for kind in KINDS.values() for key in kind.keys}
