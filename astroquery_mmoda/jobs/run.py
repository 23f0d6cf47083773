# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""A query from its arguments to its result."""

from __future__ import annotations

import time
from typing import Any

from astroquery import log

from ..products.forms import in_form
from ..request.builder import RequestBuilder
from ..request.query import Query
from ..service.account import Connection
from .job import Job, deadline_of, in_time, longest_wait, submit

__all__ = ["run_query", "submit_query"]


def run_query(kind: str, query: Query, builder: RequestBuilder, connection: Connection) -> Any:
    """Submit a query, wait for it, and return what a query of its kind does; or the fields of its form."""
    begin = time.monotonic()
    limit = longest_wait(query.timeout)
    with in_time(limit):
        fields = builder.build(kind, query, connection.within(deadline_of(limit, begin)))
    if query.get_query_payload:
        return fields
    job = submit(connection, fields, limit=limit, begin=begin)
    products = job._wait(limit, begin, query.progress)._outcome()
    seconds = time.monotonic() - begin
    log.info("job %s: %d product%s in %.0f s", job.job_id, len(products), "s" * (len(products) != 1), seconds)
    for line in products.comment.splitlines():
        log.warning("remark of the service: %s", line)
    return in_form(kind, products, query.source)


def submit_query(kind: str, query: Query, builder: RequestBuilder, connection: Connection) -> Job | dict[str, str]:
    """Submit a query, or return the fields of its form."""
    fields = builder.build(kind, query, connection)
    return fields if query.get_query_payload else submit(connection, fields)
