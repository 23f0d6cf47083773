# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""A query from its arguments to its result."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from astroquery import log

from ..products import Products
from ..products.forms import in_form
from ..protocol import Upload
from ..request.builder import RequestBuilder
from ..request.query import Query
from ..service.account import Connection
from .job import Job
from .waiting import follow, in_time, longest_wait, submit_within


def run_query(kind: str, query: Query, builder: RequestBuilder, connection: Connection) -> Any:
    """Submit a query, wait for it, and return what a query of its kind does; or the fields of its form."""
    begin = time.monotonic()
    limit = longest_wait(query.timeout)
    with in_time(connection, limit, begin) as timed:
        fields = builder.build(kind, query, timed)
    if query.get_query_payload:
        return fields
    job = submit(connection, fields, limit=limit, begin=begin)
    products = wait_for_products(job, limit, begin, progress=query.progress)
    return in_form(kind, products, query.source)


def wait_for_products(
    job: Job, limit: float, begin: float, *, progress: bool | Callable[[Job], Any] | None = None
) -> Products:
    """Wait at most so many seconds since a moment on the monotonic clock; say what came, and the service's comments."""
    has_shown = follow(job, limit, begin, progress=progress)
    products = job.result()
    if not has_shown:
        seconds = time.monotonic() - begin
        log.info("job %s: %d product%s in %.0f s", job.job_id, len(products), "s" * (len(products) != 1), seconds)
    for line in products.comment.splitlines():
        log.warning("the service says: %s", line)
    return products


def submit_query(kind: str, query: Query, builder: RequestBuilder, connection: Connection) -> Any:
    """Submit a query, or return the fields of its form."""
    fields = builder.build(kind, query, connection)
    return fields if query.get_query_payload else submit(connection, fields)


def submit(connection: Connection, fields: Mapping[str, str], *, limit: float = math.inf, begin: float = 0.0) -> Job:
    """Submit the fields of a form; the answer has to come so many seconds after a moment on the monotonic clock."""
    connection.warn_of_short_life()
    for name, value in fields.items():
        if isinstance(value, Upload):
            log.info("Uploading %s for %s.", value, name)
    job = prepare(connection, fields)
    submit_within(job, limit, begin)
    log.info("%s of %s: job %s %s", job.product, job.instrument, job.job_id, job.status)
    return job


def prepare(connection: Connection, fields: Mapping[str, str]) -> Job:
    """Make a job that is submitted by its first `refresh`."""
    session_id = secrets.token_hex(8).upper()
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    names = fields["instrument"], fields["product_type"]
    return Job(connection, *names, dict(fields), session_id, submitted=now, expires=connection.expires)
