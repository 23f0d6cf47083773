# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The contributor's guide shows the house as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_architecture import FLOOR_OF, ROOT

DOCS = Path(__file__).resolve().parents[1] / "docs"
GUIDE = (DOCS / "development" / "contributing.rst").read_text(encoding="utf-8")


def test_every_room_is_on_its_floor():
    told, floor = {}, -1
    for number, rooms in re.findall(r"^   \* -(?: (\d))?\n     - (``.*``)$", GUIDE, flags=re.MULTILINE):
        floor = int(number) if number else floor
        told |= dict.fromkeys(re.findall(r"``(\w+)``", rooms), floor)
    assert told == {room: floor for room, floor in FLOOR_OF.items() if room != "__init__"}


def test_the_files_that_it_names_are_there():
    for name in re.findall(r"``((?:astroquery_mmoda|tests|docs)/[\w./]+)``", GUIDE):
        assert (ROOT.parent / name).exists(), name
