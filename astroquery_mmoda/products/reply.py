# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""From the reply to an analysis to its products, none of them decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..allowance import Allowance
from ..decoding import parse_body
from ..errors import DecodingError, ServiceError
from ..service.replies import check_reply, error_from_body, failure, section
from ..text import printable
from .cards import is_missing
from .kinds import LONGEST_NAME, Entry, check_name, entries_of, free_name, names_in_headers
from .product import Product
from .sources import Spellings
from .storage.provenance import SERVICE_VERSION

# memory of a product without its content, and of each of its meta data
_PRODUCT, _META_DATUM = 2000, 200
_META = (
    SERVICE_VERSION,
    *"input_prod_list instrument_parameters prod_uris extra_metadata prod_process_message".split(),
)
# what replies have instead of a source's name
_PLACEHOLDERS = frozenset({"", "query", "lc", "string", "none"})


def read_reply(body: Any, requested: Mapping[str, Any]) -> tuple[list[Product], dict[str, Any], Allowance]:
    """Products of a reply, what it says besides (arguments of `Products`), and its allowance."""
    if not isinstance(body, Mapping) or not {"query_status", "error", "error_message"} & set(body):
        raise DecodingError("Not a reply to an analysis: it has neither a query_status nor an error_message.")
    if "query_status" not in body:
        raise error_from_body(body)
    check_reply(body)
    products = _finished(body)
    parameters = {**requested, **section(products, "analysis_parameters")}
    allowance, entries = Allowance.of(body), []
    for entry in entries_of(products, allowance):
        # each takes memory, however short it is; what is said of an output is copied for each product of its name
        allowance.spend(_PRODUCT + _META_DATUM * len(entry.meta), "the list of products")
        entries.append(entry)
    exit_status = section(body, "exit_status")
    comments = (printable(exit_status.get(key) or "", limit=2000, newlines=True) for key in ("comment", "warning"))
    details = {
        "parameters": parameters,
        "job_id": str(section(body, "job_monitor").get("job_id") or products.get("job_id") or ""),
        "comment": "\n".join(filter(None, comments)),
        "meta": {key: part[key] for part in (body, products) for key in _META if part.get(key)},
    }
    return _named(entries, parameters, allowance), details, allowance


def _finished(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Products of an analysis that is over."""
    status, products = body.get("query_status"), body.get("products")
    if status == "failed":
        raise failure(body)
    if status != "done":
        raise ServiceError(f"The analysis is not over: its status is {printable(status)!r}.")
    if not products:
        raise ServiceError("The analysis is done, but the reply has no products; ask again with query_status=new.")
    return products


def _named(entries: Sequence[Entry], parameters: Mapping[str, Any], allowance: Allowance) -> list[Product]:
    """Products with their sources and with names that differ."""
    requested = check_name(parameters.get("src_name"), "src_name of analysis_parameters")
    spelled = Spellings(_catalogued_names(parameters.get("selected_catalog")) or names_in_headers(entries))
    product_type = check_name(parameters.get("product_type"), "product_type of analysis_parameters")
    taken: dict[str, int] = {}
    named = []
    for entry in entries:
        source = str(entry.meta.get("src_name") or "").strip()
        source = requested if source.lower() in _PLACEHOLDERS or is_missing(source) else spelled.of(source)
        words = (entry.meta.get("product") or product_type or entry.kind, source)
        stem = entry.name.strip() or " ".join(filter(None, words))
        named.append(Product(entry, free_name(stem, taken), source, allowance))
    return named


def _catalogued_names(catalog: Any) -> list[str]:
    """Names of the sources in the catalogue that was sent; replies have them without blanks."""
    try:
        catalog = parse_body(catalog, what="selected_catalog") if isinstance(catalog, str) else catalog
        names = catalog["cat_column_list"][catalog["cat_column_names"].index("src_names")]
        stripped = [name.strip() for name in names if isinstance(name, str)]
    except (DecodingError, LookupError, TypeError, ValueError, AttributeError):
        return []
    return [name for name in stripped if 0 < len(name) <= LONGEST_NAME]
