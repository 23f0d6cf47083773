# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What to cite, as BibTeX: MMODA, and the instruments whose papers are known for certain."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...text import transliterated
from .provenance import provenance

if TYPE_CHECKING:
    from ..products import Products


# keys of entries in references.bib
_SERVICE, _MISSION = "Neronov2021", "Winkler2003"
_PAPERS = {
    "isgri": ("Ubertini2003", "Lebrun2003"),
    "jemx": ("Lund2003",),
    "spi": ("Vedrenne2003",),
    "spi_acs": ("Vedrenne2003", "vonKienlin2003"),
}
# braces that are not balanced would end the entry
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "{": "(", "}": ")"}
_SPECIAL |= {character: f"\\{character}" for character in "#$%&_"}


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
    notes = {"product": known["product"], "job": known["job_id"]}
    fields = {
        "key": "MMODA",
        "title": f"{{{_latex(known['instrument'])}}}, an analysis workflow on {{MMODA}}",
        "howpublished": rf"\url{{{re.sub(r'[^A-Za-z0-9:/._~+-]', '', known['service'])}}}" if known["service"] else "",
        "note": _latex(", ".join(f"{what} {name}" for what, name in notes.items() if name)),
    }
    key = re.sub(r"[^A-Za-z0-9]+", "-", transliterated(known["instrument"])).strip("-")
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{MMODA-{key},", *lines, "}"])


def _latex(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in transliterated(text))
