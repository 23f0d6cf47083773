# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What is kept of each query: small, however large its products are. Nothing here travels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from ..text import printable
from .hands import Ended

__all__ = ["Ledger"]

STATES = ("waiting", "running", "done", "failed")


@dataclass(slots=True)
class Record:
    """One query."""

    status: str = "waiting"
    job_id: str = ""
    seconds: float | None = None
    size: int | None = None
    error: str = ""


class Ledger:
    """
    The records of all queries, and how many are in which state.

    Parameters
    ----------
    number : int
        Number of queries.
    """

    def __init__(self, number: int) -> None:
        self._records = [Record() for _ in range(number)]
        self._counts = Counter(waiting=number)

    def __len__(self) -> int:
        return len(self._records)

    @property
    def counts(self) -> dict[str, int]:
        """`dict`: number of queries in each state."""
        return {state: self._counts[state] for state in STATES}

    def set(self, index: int, status: str) -> None:
        """Note a new state of a query."""
        self._counts[self._records[index].status] -= 1
        self._counts[status] += 1
        self._records[index].status = status

    def name(self, job_ids: Mapping[int, str]) -> None:
        """Note the names of running analyses."""
        for index, job_id in job_ids.items():
            self._records[index].job_id = job_id

    def end(self, ended: Ended, error: BaseException | None) -> None:
        """Note the end of a query."""
        record = self._records[ended.index]
        record.job_id, record.seconds, record.size = ended.job_id, ended.seconds, ended.size
        if error is not None:
            record.error = printable(error, limit=500) or type(error).__name__
        self.set(ended.index, "done" if error is None else "failed")

    def table(self) -> Table:
        """See ``ManyQueries.summary``."""
        records = self._records
        columns = {
            "index": np.arange(len(records)),
            **{name: np.array([getattr(record, name) for record in records], "U") for name in ("job_id", "status")},
            "seconds": _masked([record.seconds for record in records], "f8", "s"),
            "size": _masked([record.size for record in records], "i8", "byte"),
            "error": np.array([record.error for record in records], "U"),
        }
        return Table(columns)

    def __str__(self) -> str:
        told = ", ".join(f"{number} {state}" for state, number in self.counts.items() if number)
        return f"{len(self)} {'query' if len(self) == 1 else 'queries'}{', ' if told else ''}{told}"


def _masked(values: list[Any], dtype: str, unit: str) -> MaskedColumn:
    mask = [value is None for value in values]
    return MaskedColumn([0 if value is None else value for value in values], mask=mask, dtype=dtype, unit=unit)
