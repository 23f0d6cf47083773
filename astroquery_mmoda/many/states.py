# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What is kept of each query: small, however large its products are."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Column, MaskedColumn, Table

_STATES = ("waiting", "running", "done", "failed")
_SAID = ("source", "energy_range", "time_range", "instrument")


@dataclass(slots=True)
class Record:
    """One query; instrument, source and ranges are filled when it is made."""

    status: str = "waiting"
    source: str = ""
    energy_range: str = ""
    time_range: str = ""
    instrument: str = ""
    job_id: str = ""
    size: int = 0
    seconds: float = math.nan
    error: str = ""


def counts_of(records: list[Record]) -> dict[str, int]:
    """Number of queries in each state."""
    counts = Counter(record.status for record in records)
    return {state: counts[state] for state in _STATES}


def describe_records(records: list[Record]) -> str:
    """How many queries there are, and how many in which state."""
    counted = "".join(f", {number} {state}" for state, number in counts_of(records).items() if number)
    return f"{len(records)} {'query' if len(records) == 1 else 'queries'}{counted}"


def summary_of_records(records: list[Record]) -> Table:
    """See ``ManyQueries.summary``."""
    columns: dict[str, Any] = {name: [getattr(record, name) for record in records] for name in Record.__slots__}
    columns["seconds"] = MaskedColumn(np.ma.masked_invalid(columns["seconds"]), unit="s", format=".1f")
    columns["size"] = Column(columns["size"], unit="byte")
    differing = [name for name in _SAID if len({*columns[name]} - {""}) > 1]
    # a narrow terminal leaves out those in the middle first
    same = [name for name in ("source", "instrument") if name not in differing]
    names = ("status", *differing, *same, "job_id", "size", "seconds", "error")
    return Table({"index": np.arange(len(records)), **{name: columns[name] for name in names}})
