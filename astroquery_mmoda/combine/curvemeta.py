# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What several light curves say of themselves, as the ``meta`` of one table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from astropy.table import Table

from ..errors import ParameterError
from ..products.cards import flat_text, number
from ..products.curves import POSITION_CARDS
from ..products.lightcurve import POSITIONS
from ..products.mergeable import mergeable
from ..protocol import TIME_COLUMNS
from ..text import printable
from .inputs import INPUTS, Inputs, parsed_json

#: which columns are what; all curves must agree in it
ROLE_CARDS = ("VALUECOL", "ERRORCOL", "ERRLOCOL", "ERRHICOL", "LIMCOL")
# what was assumed, and the parameters: each has parts
_NOTES, _PARAMETERS = ("TIMEWARN", "UNITWARN"), "PARAMS"
# of each observation: they stand in INPUTS where they differ
_OF_EACH = ("EPHS", "TSHIFT")
_OWN = {*POSITION_CARDS, POSITIONS, INPUTS, "NJOBS", "NFAILED", "SPANDAYS", *_NOTES, _PARAMETERS}
_DEGREE = 1e-5  # within which two positions of a source are the same


def common_meta(tables: Sequence[Table], inputs: Inputs, names: Mapping[str, str]) -> dict[str, Any]:
    """What all curves agree in, and what there is of each; ``names`` has the spelling that the result has."""
    filled = [table for table in tables if len(table)] or list(tables)
    metas = [table.meta for table in filled]
    _refuse_differing(filled)
    optional = {*ROLE_CARDS, "MJDREF", "TIMEREF"}  # one that has none may be joined
    meta = {}
    for key in dict.fromkeys(key for each in metas for key in each if key not in _OWN):
        values = [each[key] for each in metas if key in each]
        if len({repr(value) for value in values}) == 1 and (len(values) == len(metas) or key in optional):
            meta[key] = values[0]
    for key in _NOTES:
        if notes := dict.fromkeys(note for each in metas for note in str(each.get(key) or "").split("; ") if note):
            meta[key] = "; ".join(notes)
    meta |= _positions(filled, names)
    parameters = [parsed_json(each.get(_PARAMETERS), dict) for each in metas]
    common = {
        key: value for key, value in parameters[0].items() if all(other.get(key) == value for other in parameters[1:])
    }
    if common:
        meta[_PARAMETERS] = flat_text(common)
    return mergeable({**meta, **inputs.values(is_sum=False), INPUTS: flat_text(list(_inputs(tables, inputs, meta)))})


def _inputs(tables: Sequence[Table], inputs: Inputs, meta: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Rows of INPUTS, those of a curve that has some itself in its place."""
    for table, row in zip(tables, inputs.rows(), strict=True):
        own = {key: table.meta[key] for key in _OF_EACH if key in table.meta and key not in meta}
        earlier = [each for each in parsed_json(table.meta.get(INPUTS), list) if isinstance(each, dict)]
        for each in earlier or [row]:
            yield {**each, **own}


def _refuse_differing(tables: Sequence[Table]) -> None:
    """Refuse curves that do not mean the same by their columns."""
    for key in (*ROLE_CARDS, "TIMEREF", "MJDREF"):
        found = dict.fromkeys(str(table.meta[key]) for table in tables if table.meta.get(key) not in (None, ""))
        if key == "TIMEREF":
            found = dict.fromkeys(value.strip().upper() for value in found)
        if key == "MJDREF" and not any(name.upper() in TIME_COLUMNS for table in tables for name in table.colnames):
            continue
        if len(found) > 1:
            raise ParameterError(
                f"light curves with different {key} can't be stacked: {printable(', '.join(found), limit=200)}. "
                "Combine those of one each."
            )


def _positions(tables: Sequence[Table], names: Mapping[str, str]) -> dict[str, Any]:
    """Positions of the sources, where the curves agree in them."""
    found: dict[str, list[float]] = {}
    unknown, sources = set(), set()
    for table in tables:
        present = set(map(str, set(table["src_name"].tolist())))
        sources |= {names.get(name, name) for name in present}
        for name, place in _positions_of(table, present).items():
            known = found.setdefault(names.get(name, name), place)
            if not all(abs(one - other) < _DEGREE for one, other in zip(known, place, strict=True)):
                unknown.add(names.get(name, name))
    found = {name: place for name, place in sorted(found.items()) if name not in unknown}
    places = list(found.values())
    if not found:
        return {}
    if found.keys() >= sources and all(place == places[0] for place in places):
        return dict(zip(POSITION_CARDS, places[0], strict=True))
    return {POSITIONS: flat_text(found)}


def _positions_of(table: Table, present: Iterable[str]) -> dict[str, list[float]]:
    given = parsed_json(table.meta.get(POSITIONS), dict)
    common = [number(table.meta, key, math.nan) for key in POSITION_CARDS]
    if not given and not math.isnan(sum(common)):
        return dict.fromkeys(present, common)
    found = {}
    for name, place in given.items():
        try:
            found[name] = [float(value) for value in place]
        except (TypeError, ValueError):  # the user has changed it
            continue
    return {name: place for name, place in found.items() if len(place) == len(POSITION_CARDS)}
