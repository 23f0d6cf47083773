# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The contributor's guide shows the package as it is."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_architecture import LAYER_OF, ROOT, modules

DOCS = Path(__file__).resolve().parents[1] / "docs"
GUIDE = (DOCS / "development" / "contributing.rst").read_text(encoding="utf-8")


def test_each_package_is_in_its_layer():
    listed, layer = {}, -1
    for number, packages in re.findall(r"^   \* -(?: (\d))?\n     - (``.*``)$", GUIDE, flags=re.MULTILINE):
        layer = int(number) if number else layer
        listed |= dict.fromkeys(re.findall(r"``(\w+)``", packages), layer)
    assert listed == {module.package: LAYER_OF[module.package] for module in modules() if module.package != "__init__"}


def test_the_files_that_it_names_exist():
    for name in re.findall(r"``((?:astroquery_mmoda|tests|docs)/[\w./]+)``", GUIDE):
        assert (ROOT.parent / name).exists(), name
