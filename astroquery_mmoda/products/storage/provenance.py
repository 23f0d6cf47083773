# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Where products are from: what every file says of it, and never a token; and what to cite."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...text import printable, transliterated, without_token

if TYPE_CHECKING:
    from ..products import Products


#: what the service calls its own version, in those replies that have it
SERVICE_VERSION = "cdci_data_analysis_version"

# not about the analysis
_LEFT_OUT = frozenset(
    {"token", "session_id", "job_id", "query_status", "api", "oda_api_version", "off_line", "verbose", "client-name"}
)
_LONGEST = 2000
# sources with their positions are too long for a header; the index of `Products.write` has them in full
_LONGEST_CATALOG = 200
# a thousand science windows: which ones they were decides what may be summed
_LONGEST_WINDOWS = 20_000
# what the service calls the science windows that an analysis used, where the request did not name them
_USED = "input_prod_list"


def provenance(products: Products) -> dict[str, Any]:
    """What the reply said of the origin of some products; texts are empty where it said nothing."""
    parameters = dict(products.parameters)
    if not parameters.get("scw_list") and isinstance(products.meta.get(_USED), list):
        parameters[_USED] = products.meta[_USED]
    return {
        "service": plain_address(products.service),
        "service_version": _short(products.meta.get(SERVICE_VERSION)),
        "instrument": _short(parameters.get("instrument")),
        "product": _short(parameters.get("product_type")),
        "source": _short(parameters.get("src_name")),
        "job_id": _short(products.job_id),
        "parameters": {
            printable(name, limit=100): _parameter_text(value, _longest(name))
            for name, value in parameters.items()
            if name not in _LEFT_OUT and value is not None
        },
    }


def file_provenance(products: Products) -> dict[str, Any]:
    """The same with what is known of a file, without what is not known."""
    values = {"origin": "MMODA", **provenance(products), "creator": creator(), "date": now()}
    return {key: value for key, value in values.items() if value or key == "parameters"}


def public_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters in full, without token and session."""
    return {name: value for name, value in parameters.items() if name not in ("token", "session_id")}


def plain_address(url: str) -> str:
    """Address of a service without user, password, query and fragment."""
    try:
        parts = urlsplit(without_token(url))
    except ValueError:  # brackets without an address of version 6
        return ""
    host = parts.netloc.rpartition("@")[2]
    return printable(f"{parts.scheme}://{host}{parts.path}", limit=300) if host else ""


@lru_cache(maxsize=1)
def creator() -> str:
    """Name and version of this package."""
    return f"astroquery_mmoda {version('astroquery_mmoda')}"


def now() -> str:
    """Date and time (UTC) as FITS has them."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _short(value: Any) -> str:
    return printable(value, limit=200) if isinstance(value, str) else ""


def _longest(name: str) -> int:
    if name in ("scw_list", _USED):
        return _LONGEST_WINDOWS
    return _LONGEST_CATALOG if "catalog" in name else _LONGEST


def _parameter_text(value: Any, longest: int) -> str:
    """A parameter as one line; of what is too long for one, how long it is."""
    text = without_token(value if isinstance(value, str) else json.dumps(value, default=str))
    return printable(text, limit=longest) if len(text) <= longest else f"({len(text)} characters)"


# ---- what to cite, as BibTeX: MMODA, and the instruments whose papers are known for certain

# keys of entries in references.bib
_SERVICE, _MISSION = "Neronov2021", "Winkler2003"
_PAPERS = {
    "isgri": ("Ubertini2003", "Lebrun2003"),
    "jemx": ("Lund2003",),
    "spi": ("Vedrenne2003",),
    "spi_acs": ("Vedrenne2003", "vonKienlin2003"),
}


def bibtex(products: Products) -> str:
    """Entries for the service and for the instrument."""
    text = Path(__file__).with_name("references.bib").read_text(encoding="utf-8")
    entries = {re.split("[{,]", entry, maxsplit=2)[1]: entry for entry in text.strip().split("\n\n")}
    known = provenance(products)
    papers = _PAPERS.get(known["instrument"].lower(), ())
    cited = [entries[key] for key in ((_SERVICE, _MISSION, *papers) if papers else (_SERVICE,))]
    if known["instrument"] and not papers:
        cited.append(_workflow(known))
    return "\n\n".join(cited) + "\n"


def _workflow(known: dict[str, Any]) -> str:
    """What others contributed to MMODA has a name there, and maybe a paper that the service does not report."""
    instrument, product, job = (_latex(known[key]) for key in ("instrument", "product", "job_id"))
    service = re.sub(r"[^A-Za-z0-9:/._~+-]", "", known["service"])
    key = re.sub(r"[^A-Za-z0-9]+", "-", transliterated(known["instrument"])).strip("-")
    return (
        f"@misc{{MMODA-{key},\n"
        "  key = {MMODA},\n"
        f"  title = {{{{{instrument}}}, an analysis workflow on {{MMODA}}}},\n"
        f"  howpublished = {{\\url{{{service}}}}},\n"
        f"  note = {{product {product}, job {job}}},\n"
        "}"
    )


def _latex(text: str) -> str:
    """Text in which LaTeX takes no character for a command."""
    return re.sub(r"[^A-Za-z0-9 .:+_-]", "-", transliterated(text)).replace("_", r"\_")
