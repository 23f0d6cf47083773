# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""One query in several jobs, each with a part of its science windows, and the sum of their results."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from operator import itemgetter
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import NoResultsWarning

from ..catalog import empty_catalog, table_of
from ..errors import JobFailed, JobTimeout, ServiceError, warn
from ..products import Products
from ..products.forms import in_form, of_source
from ..products.mergeable import mergeable
from ..text import shorten
from .work import Result, Tally, WorkItem, in_daemon, run_job

# the end of one job only, the likeliest to stay first; after any other error the next job would end in the same way
_OF_ONE_JOB = (JobFailed, JobTimeout, ServiceError)
_MOST_NAMED = 5
_LONGEST_REASON = 250


def check_extra(kind: str) -> None:
    """Refuse to begin what could not be combined in the end."""
    from ..combine.extra import require_extra

    if kind in ("image", "catalog"):
        require_extra()


def run_parts(item: WorkItem) -> Result:
    """Compute the science windows of a query in several jobs, and combine their results."""
    jobs, result = _Jobs(item), Result()
    kind = "image" if item.kind == "catalog" else item.kind
    forms = ((number, in_form(kind, each, None, where=f"job {each.job_id}: ")) for number, each in jobs.products())
    try:
        form = _combined(item.kind, forms, jobs)
        _count_failed(form, len(jobs.errors))
        result.form = of_source(item.kind, form, item.source)
    except Exception as error:
        result.error = error
    ended = [jobs.results[number] for number in sorted(jobs.results)]
    ids = [each.job_id for each in ended if each.job_id]
    result.job_id = f"{ids[0]} +{len(ids) - 1}" if len(ids) > 1 else "".join(ids)
    result.size = sum(each.size for each in ended)
    result.comments = [line for each in ended for line in each.comments]
    return result


def _combined(kind: str, forms: Iterator[tuple[int, Any]], jobs: _Jobs) -> Any:
    """Sum of the forms of jobs, which come as they end, with their numbers; as if they had come in order."""
    from .. import combine  # needed by few sessions

    if kind in ("spectrum", "lightcurve"):
        in_order = [form for _, form in sorted(forms, key=itemgetter(0))]
        return combine.combine_spectra(in_order) if kind == "spectrum" else combine.combine_lightcurves(in_order)
    # these are many and large, and the sum does not depend on their order
    mosaic = combine.combine_images(form for _, form in forms)
    numbers = {result.job_id: number for number, result in jobs.results.items()}
    rows = mosaic["INPUTS"].data
    mosaic["INPUTS"].data = rows[np.argsort([numbers.get(job_id, len(numbers)) for job_id in rows["JOB_ID"]])]
    return mosaic if kind == "image" else _catalog_of(mosaic)


def _catalog_of(mosaic: fits.HDUList) -> Table:
    """Sources of a sum of images, as measured there."""
    from ..combine.inputs import INPUTS, text_of_hdu

    catalog = table_of(mosaic) if "CATALOG" in mosaic else empty_catalog()
    if not len(catalog):
        warn("MMODA: no source was found in any of the jobs.", NoResultsWarning)
    counts = {keyword: mosaic[0].header[keyword] for keyword in ("NJOBS", "NFAILED")}
    catalog.meta |= mergeable({**counts, INPUTS: text_of_hdu(mosaic[INPUTS])})
    return catalog


def _count_failed(form: Any, number: int) -> None:
    known = form.meta if isinstance(form, Table) else form[0].header
    known["NFAILED"] = int(known.get("NFAILED") or 0) + number


class _Jobs:
    """The jobs of a query, a few at a time; the results of those that ended, without their products."""

    def __init__(self, item: WorkItem) -> None:
        self.item = item
        self.results: dict[int, Result] = {}
        windows = [item.windows(number) for number in range(len(item.payloads))]
        self.tally = item.run.tallies[item.index] = Tally(len(windows), sum(windows))
        self._waiting = deque(range(len(windows)))

    @property
    def errors(self) -> dict[int, BaseException]:
        """Errors by the number of the job."""
        return {number: each.error for number, each in sorted(self.results.items()) if each.error is not None}

    def products(self) -> Iterator[tuple[int, Products]]:
        """Number and products of each job as they end; errors are raised, or skipped, after all have ended."""
        active: dict[Future[Result], int] = {}
        while active or self._may_begin():
            while self._may_begin() and len(active) + self._still_open() < self.item.most_jobs:
                self.item.run.require_open()
                number = self._waiting.popleft()
                active[in_daemon(run_job, self.item, number, time.monotonic())] = number
            self.tally.running = len(active)
            for future in wait(active, return_when=FIRST_COMPLETED).done:
                number = active.pop(future)
                products = self._take(number, future.result())
                self.tally.running = len(active)
                if products is not None:
                    yield number, products
                    del products  # may be large
        self._raise_or_skip()

    def _may_begin(self) -> bool:
        return bool(self._waiting) and self._still_open() < self.item.most_jobs and self._general_error() is None

    def _still_open(self) -> int:
        """Number of jobs that are not waited for any more, but go on at the service."""
        return sum(isinstance(error, JobTimeout) for error in self.errors.values())

    def _general_error(self) -> BaseException | None:
        """An error that every further job would have, such as an expired token."""
        return next((error for error in self.errors.values() if not isinstance(error, _OF_ONE_JOB)), None)

    def _take(self, number: int, result: Result) -> Products | None:
        products, result.products = result.products, None
        # a job keeps its products, which may be large
        self.item.run.jobs.pop((self.item.index, number), None)
        if result.error is None:
            result.jobs = ()
        self.results[number] = result
        self.tally.done += result.error is None
        self.tally.failed += result.error is not None
        windows = self.item.windows(number)
        self.tally.windows_over += windows
        self.tally.windows_done += windows if result.error is None else 0
        return products

    def _raise_or_skip(self) -> None:
        """Raise what went wrong, or warn of it where the others are wanted all the same."""
        errors, total = self.errors, len(self.item.payloads)
        general = self._general_error()
        if general is not None:
            raise general
        if not errors:
            return
        reasons = [self._reason(number, error) for number, error in list(errors.items())[:_MOST_NAMED]]
        if len(errors) > len(reasons):
            reasons.append(f"and {len(errors) - len(reasons)} more")
        what = f"{len(errors)} of {total} jobs gave no result: {'; '.join(reasons)}."
        if self.item.on_error == "skip" and len(errors) < total and not self._waiting:
            warn(f"{what} Their science windows are missing in what is returned.", NoResultsWarning)
            return
        if self._waiting:
            what = f"{what} {len(self._waiting)} more were not begun, since so many are still open."
        kind = next(kind for kind in _OF_ONE_JOB if any(isinstance(error, kind) for error in errors.values()))
        jobs = [job for number, error in errors.items() if isinstance(error, kind) for job in self.results[number].jobs]
        skip = "; on_error='skip' leaves them out" if self.item.on_error == "raise" and len(errors) < total else ""
        raise kind(f"{what} The same call again computes only what is missing{skip}.", jobs=jobs)

    def _reason(self, number: int, error: BaseException) -> str:
        windows = self.item.payloads[number]["scw_list"].split(",")
        job_id = self.results[number].job_id or "(not submitted)"
        span = f"science window {windows[0]}"
        if len(windows) > 1:
            span = f"{len(windows)} science windows, {windows[0]} to {windows[-1]}"
        return f"job {job_id} ({span}): {shorten(str(error), _LONGEST_REASON)}"
