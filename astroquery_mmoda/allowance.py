# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How much memory may be made of one reply, whatever it says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import DecodingError

__all__ = ["Allowance"]

# what a reply may take beside its own bytes; astropy's and numpy's own needs come on top, within 200 MB in all
_SPARE = 100_000_000


@dataclass(slots=True)
class Allowance:
    """
    Bytes that may be allocated for one reply beyond what its own bytes hold.

    Whoever copies, fills, stacks or joins spends from it before anything is allocated, however often the same bytes
    are referred to, and whatever an empty cell is declared to be.

    Parameters
    ----------
    body : int
        Size of the reply, or of the file, in bytes.
    """

    body: int = 0
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.body + _SPARE

    def spend(self, size: int, what: str) -> None:
        """Take so many bytes for something; `DecodingError` that names it if they are not there."""
        if size > self.left:
            raise DecodingError(f"{what} would take {size} bytes, where {max(self.left, 0)} of the memory are left")
        self.left -= size

    def fresh(self, extra: int = 0) -> Allowance:
        """One of the same size and so many bytes more, for a form that is handed out and not kept."""
        other = Allowance(self.body)
        other.left += extra
        return other
