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


@dataclass(slots=True)
class Record:
    """One query; instrument, source and ranges are filled when it is made."""

    # a terminal of 80 columns shows index, status and error at least: columns in the middle are left out first
    status: str = "waiting"
    instrument: str = ""
    source: str = ""
    energy_range: str = ""
    time_range: str = ""
    seconds: float = math.nan
    job_id: str = ""
    size: int = 0
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
    columns: dict[str, Any] = {"index": np.arange(len(records))}
    columns |= {name: [getattr(record, name) for record in records] for name in Record.__slots__}
    columns["seconds"] = MaskedColumn(np.ma.masked_invalid(columns["seconds"]), unit="s")
    columns["size"] = Column(columns["size"], unit="byte")
    for name in ("energy_range", "time_range"):
        if len({*columns[name]} - {""}) < 2:  # queries do not differ in it
            del columns[name]
    return Table(columns)
