# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""One bar for many queries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..progress import Display

if TYPE_CHECKING:
    from .queries import ManyQueries

__all__ = ["Bar"]

_SECONDS_PER_TURN = 0.2
_WIDTH = 20


class Bar(Display):
    """
    Shows how far many queries are: a bar in a terminal or notebook, a line now and then in a log file, or nothing.

    Parameters
    ----------
    progress : bool, callable or None
        As for one query; a callable is called with the `ManyQueries`.
    """

    def __init__(self, progress: bool | Callable[[ManyQueries], Any] | None) -> None:  # noqa: FBT001 - the only argument
        super().__init__(progress)
        self._last_turn = 0.0

    def __call__(self, many: Any) -> None:
        """Show the state now."""
        now = time.monotonic()
        if self._callback:
            self._callback(many)
        elif self._terminal and now - self._last_turn > _SECONDS_PER_TURN:
            self._last_turn = now
            self._draw_spinner(many)
        else:
            self._tell_now_and_then(many)

    def _line(self, many: Any) -> str:
        counts = many.counts
        over = counts["done"] + counts["failed"]
        bar = ("=" * (_WIDTH * over // max(1, len(many)))).ljust(_WIDTH)
        failed = f", {counts['failed']} failed" if counts["failed"] else ""
        return f"[{bar}] {counts['done']} of {len(many)} done, {counts['running']} running{failed}"
