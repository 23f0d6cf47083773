# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What a query becomes, wherever it is made: its result, the form of that, and what ``reduce`` makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..errors import collecting
from ..products.forms import in_form
from .parts import run_parts
from .work import Result, WorkItem, run_job


def run_item(item: WorkItem) -> Result:
    """Compute what a query asks for; in a thread or a worker."""
    begin = time.monotonic() - item.spent
    found: list[tuple[str, type[Warning]]] = []
    with collecting(found):
        result = run_parts(item) if item.most_jobs else run_job(item, 0, begin)
        if item.reduce is not None and result.error is None:
            try:
                result.outcome = outcome_of(item, result, item.reduce)
                result.products = result.form = None  # need not be sent back
            except Exception as error:
                result.error = error
    result.jobs = ()  # of this process
    result.seconds, result.warnings = time.monotonic() - begin, found
    return result


def outcome_of(item: WorkItem, result: Result, reduce: Callable[[Any], Any] | None) -> Any:
    """What the user gets of the result of a query."""
    form = result.form
    if result.products is not None:
        form = in_form(item.kind, result.products, item.source, where=f"query {item.index}: ")
    return form if reduce is None else reduce(form)
