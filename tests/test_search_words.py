# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What people search for on the site leads to the page about it.

Sphinx's search puts main entries of the index (``.. index:: ! word``) before all else, those first of which the word is
the larger part. This test does the same with the sources, and needs no browser.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
ENTRIES = [
    (entry.strip().lower(), page.relative_to(DOCS).with_suffix("").as_posix())
    for page in sorted(DOCS.rglob("*.rst"))
    for line in re.findall(r"(?m)^\.\. index:: ((?:.|\n(?=   ))*)", page.read_text(encoding="utf-8"))
    for entry in re.findall(r"! ([^,;]+)", line)
]


@pytest.mark.parametrize(
    ("word", "page"),
    [
        ("fold", "user_guide/long_observations"),
        ("hardness", "science/fluxes"),
        ("flux", "science/fluxes"),
        ("upper limit", "science/fluxes"),
        ("cron", "user_guide/jobs"),
        ("cluster", "user_guide/many"),
        ("token", "getting_started/login"),
        ("mcrab", "science/fluxes"),
        ("spectrum", "user_guide/spectra"),
        ("light curve", "user_guide/lightcurves"),
        ("image", "user_guide/images"),
        ("catalogue", "user_guide/catalogs"),
        ("catalog", "user_guide/catalogs"),
        ("science window", "user_guide/queries"),
        ("systematics", "science/systematics"),
        ("background", "science/coded_masks"),
        ("grb", "science/spi_acs"),
        ("timeout", "user_guide/jobs"),
        ("cite", "user_guide/products"),
        ("xspec", "user_guide/spectra"),
    ],
)
def test_a_word_finds_its_page_first(word, page):
    found = sorted((len(entry), where) for entry, where in ENTRIES if word in entry and len(word) >= len(entry) / 2)
    assert found[0][1] == page
    shortest = {where for length, where in found if length == found[0][0]}
    assert shortest == {page}
