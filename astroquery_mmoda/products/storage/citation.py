# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What to cite, as BibTeX: MMODA, and the instruments whose papers are known for certain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...text import transliterated
from .provenance import Provenance

if TYPE_CHECKING:
    from ..products import Products

__all__ = ["bibtex"]

_MMODA = (
    "Neronov2021",
    "Neronov, A. and Savchenko, V. and Tramacere, A. and Meharga, M. and Ferrigno, C. and Paltani, S.",
    "Online data analysis system of the {INTEGRAL} telescope",
    2021,
    "651",
    "A97",
    "10.1051/0004-6361/202037850",
)
# all in the issue on the first results of INTEGRAL, Astronomy & Astrophysics 411
_PAPERS = {
    "mission": ("Winkler2003", "Winkler, C. and others", "The {INTEGRAL} mission", "L1", "20031288"),
    "ibis": ("Ubertini2003", "Ubertini, P. and others", "{IBIS}: The Imager on-board {INTEGRAL}", "L131", "20031224"),
    "isgri": (
        "Lebrun2003",
        "Lebrun, F. and others",
        "{ISGRI}: The {INTEGRAL} Soft Gamma-Ray Imager",
        "L141",
        "20031367",
    ),
    "jemx": ("Lund2003", "Lund, N. and others", "{JEM-X}: The X-ray monitor aboard {INTEGRAL}", "L231", "20031358"),
    "spi": ("Vedrenne2003", "Vedrenne, G. and others", "{SPI}: The spectrometer aboard {INTEGRAL}", "L63", "20031482"),
    "acs": (
        "vonKienlin2003",
        "{von Kienlin}, A. and others",
        "{INTEGRAL} Spectrometer {SPI}'s {GRB} detection capabilities",
        "L299",
        "20031231",
    ),
}
_INSTRUMENTS = {
    "isgri": ("mission", "ibis", "isgri"),
    "jemx": ("mission", "jemx"),
    "spi": ("mission", "spi"),
    "spi_acs": ("mission", "spi", "acs"),
}
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {character: f"\\{character}" for character in "#$%&_"}
# unbalanced braces would end the entry
_SPECIAL |= {"{": "(", "}": ")"}


def bibtex(products: Products) -> str:
    """Entries for the service and for the instrument."""
    known = Provenance.of(products)
    papers = _INSTRUMENTS.get(known.instrument.lower(), ())
    entries = [_article(*_MMODA), *(_letter(*_PAPERS[name]) for name in papers)]
    if known.instrument and not papers:
        entries.append(_workflow(known))
    return "\n\n".join(entries) + "\n"


def _letter(key: str, author: str, title: str, page: str, number: str) -> str:
    return _article(key, author, title, 2003, "411", page, f"10.1051/0004-6361:{number}")


def _article(key: str, author: str, title: str, year: int, volume: str, page: str, doi: str) -> str:
    journal = r"Astronomy \& Astrophysics"
    fields = {"author": author, "title": title, "journal": journal, "year": str(year)}
    return _entry("article", key, fields | {"volume": volume, "pages": page, "doi": doi})


def _workflow(known: Provenance) -> str:
    """What others contributed to MMODA has a name there, and maybe a paper that the service does not tell of."""
    product = f"product {known.product}" if known.product else ""
    note = ", ".join(part for part in (product, f"job {known.job_id}" if known.job_id else "") if part)
    fields = {"key": "MMODA", "title": f"{{{_latex(known.instrument)}}}, an analysis workflow on {{MMODA}}"}
    fields |= {"howpublished": rf"\url{{{_address(known.service)}}}"} if known.service else {}
    fields |= {"note": _latex(note)} if note else {}
    return _entry("misc", f"MMODA-{re.sub(r'[^A-Za-z0-9]+', '-', transliterated(known.instrument)).strip('-')}", fields)


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _address(url: str) -> str:
    return re.sub(r"[^A-Za-z0-9:/._~+-]", "", url)


def _latex(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in transliterated(text))
