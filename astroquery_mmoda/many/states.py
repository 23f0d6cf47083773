# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What is kept of each query: small, however large its products are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from ..text import printable

_STATES = ("waiting", "running", "done", "failed")
# so that a terminal of 80 columns shows index, status and error at least: columns in the middle are left out first
_LONGEST_ERROR = 30
# columns only where the queries differ in them
_CONDITIONS = ("energy_range", "time_range")
_NUMBERS = {"seconds": ("f8", "s"), "size": ("i8", "byte")}


@dataclass(slots=True)
class Record:
    """One query; instrument, source and ranges are filled when it is made."""

    status: str = "waiting"
    instrument: str = ""
    source: str = ""
    energy_range: str = ""
    time_range: str = ""
    seconds: float | None = None
    job_id: str = ""
    size: int | None = None
    error: str = ""


class Records:
    """The records of all queries, and how many are in which state."""

    def __init__(self, number: int) -> None:
        self._records = [Record() for _ in range(number)]
        self._counts = Counter(waiting=number)

    def __len__(self) -> int:
        return len(self._records)

    @property
    def counts(self) -> dict[str, int]:
        """`dict`: number of queries in each state."""
        return {state: self._counts[state] for state in _STATES}

    def update(self, index: int, **values: Any) -> None:
        """Set values of a record."""
        record = self._records[index]
        self._counts[record.status] -= 1
        for name, value in values.items():
            setattr(record, name, value)
        self._counts[record.status] += 1

    def end(self, index: int, error: BaseException | None, **values: Any) -> None:
        """Set the values of a query that is over."""
        words = (printable(error, limit=_LONGEST_ERROR) or type(error).__name__) if error is not None else ""
        self.update(index, status="failed" if error is not None else "done", error=words, **values)

    def table(self, job_ids: Mapping[int, str]) -> Table:
        """See ``ManyQueries.summary``."""
        columns: dict[str, Any] = {"index": np.arange(len(self))}
        for name in Record.__slots__:
            values = [getattr(record, name) for record in self._records]
            if name == "job_id":
                values = [job_ids.get(index, value) for index, value in enumerate(values)]
            if name in _NUMBERS:
                mask = [value is None for value in values]
                kind, unit = _NUMBERS[name]
                columns[name] = MaskedColumn([value or 0 for value in values], mask=mask, dtype=kind, unit=unit)
            elif name not in _CONDITIONS or len({*values} - {""}) > 1:
                columns[name] = np.array(values, "U")
        return Table(columns)

    def __str__(self) -> str:
        counted = "".join(f", {number} {state}" for state, number in self.counts.items() if number)
        return f"{len(self)} {'query' if len(self) == 1 else 'queries'}{counted}"
