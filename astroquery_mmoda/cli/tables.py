# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Tables as text for people, and as ECSV or JSON for programs."""

from __future__ import annotations

import io
import json
import math
from shutil import get_terminal_size
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.time import Time

from ..text import shorten, without_token

_NARROWEST = 12  # characters of a column that is cut
_WHOLE = frozenset({"instrument", "job_id", "name", "path", "submitted"})  # to be copied, or of no use if cut


def table_text(table: Table, form: str, *, fit: bool = False) -> str:
    """A table in one of the forms of ``--format``; as text, ``fit`` makes it as wide as the terminal at most."""
    if form == "json":
        columns = [_plain_values(table[name]) for name in table.colnames]
        rows = [dict(zip(table.colnames, row, strict=True)) for row in zip(*columns, strict=True)]
        return without_token(json.dumps(rows, indent=1))
    if form == "ecsv":
        buffer = io.StringIO()
        table.write(buffer, format="ascii.ecsv")
        return without_token(buffer.getvalue()).rstrip("\n")
    return "\n".join(line.rstrip() for line in _lines(table, get_terminal_size().columns if fit else None))


def _plain_values(column: Any) -> list[Any]:
    """Values for JSON: times as ISO 8601, None for what is masked or not a number."""
    values = column.isot if isinstance(column, Time) else np.ma.getdata(column).tolist()
    mask = np.broadcast_to(np.asarray(getattr(column, "mask", False)), len(column))
    return [
        None if hidden or (isinstance(value, float) and not math.isfinite(value)) else value
        for value, hidden in zip(values, mask, strict=True)
    ]


def _lines(table: Table, width: int | None) -> list[str]:
    """Lines of text, without columns in which there is nothing; the longest texts are cut to fit a width."""
    shown = table[[name for name in table.colnames if not _is_empty(table[name])] or table.colnames]
    lines: list[str] = shown.pformat(max_lines=-1, max_width=-1, align="<")
    texts = [name for name in shown.colnames if name not in _WHOLE and _is_text(shown[name]) and len(shown)]
    longest = {name: max(map(len, shown[name])) for name in texts}
    too_much = 0 if width is None else max(len(line.rstrip()) for line in lines) - width
    if too_much <= 0 or not longest:
        return lines
    for _ in range(too_much):
        widest = max(longest, key=lambda name: longest[name])
        longest[widest] = max(longest[widest] - 1, _NARROWEST)
    for name, limit in longest.items():
        shown[name] = [shorten(text, limit) for text in shown[name].tolist()]
    return list(shown.pformat(max_lines=-1, max_width=-1, align="<"))


def _is_text(column: Any) -> bool:
    return getattr(getattr(column, "dtype", None), "kind", "") == "U"


def _is_empty(column: Any) -> bool:
    return len(column) > 0 and bool(
        np.all(getattr(column, "mask", False)) or (_is_text(column) and not np.any(column != ""))
    )
