# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How much memory may be made of one reply, whatever sizes it declares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .config import conf
from .errors import DecodingError

#: what astropy's objects take: a card of a header, an HDU, a column of a table
CARD_MEMORY = 500
HDU_MEMORY = 20_000
COLUMN_MEMORY = 5_000

# a number in a list of them
_VALUE = 32
_WITH_SIZE = (str, dict, list)


@dataclass(slots=True)
class Allowance:
    """
    Bytes that may be allocated for one reply beyond what its own bytes hold.

    Code that copies, fills, stacks or joins spends from it before anything is allocated, however often the same bytes
    are referred to, and whatever an empty cell is declared to be.

    Parameters
    ----------
    body : int
        Size of the reply, or of the file, in bytes.
    """

    body: int = 0
    left: int = field(init=False)

    def __post_init__(self) -> None:
        # astropy's and numpy's own needs come on top
        self.left = self.body + conf.max_extra_memory

    def __reduce__(self) -> tuple[Any, ...]:
        # data are left out of pickles and made again, so nothing of it has been spent there
        return type(self), (self.body,)

    @classmethod
    def of(cls, value: Any) -> Allowance:
        """One for plain data that were parsed already: for their texts, less what their values take."""
        try:
            size, count = _measured(value)
        except RecursionError:
            raise DecodingError("nested too deeply") from None
        allowance = cls(size + 2 * count)
        allowance.spend(_VALUE * count, "a reply of so many values")
        return allowance

    def spend(self, size: int, what: str) -> None:
        """Take so many bytes for something; `DecodingError` that names it if they are not there."""
        if size > self.left:
            raise DecodingError(
                f"{what} would take {size} bytes of memory, {max(self.left, 0)} are left for this reply; a larger "
                "conf.max_extra_memory allows more"
            )
        self.left -= size

    def refund(self, size: int) -> None:
        """Give back what was taken for something that is not kept."""
        self.left += size

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What is spent inside is refunded if it fails, since nothing is kept then."""
        before = self.left
        try:
            yield
        except BaseException:
            self.left = before
            raise


def _measured(value: Any) -> tuple[int, int]:
    """Characters of all texts in plain data, and the number of values."""
    if not isinstance(value, (dict, list)):
        return len(value) if isinstance(value, str) else 0, 0
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    inner = [_measured(part) for part in parts if isinstance(part, _WITH_SIZE)]
    return sum(size for size, _ in inner), len(parts) + sum(count for _, count in inner)
