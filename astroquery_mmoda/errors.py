# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Errors of this package, as a tree.

::

    MmodaError
    |-- ParameterError        the query is wrong            (astroquery: InvalidQueryError)
    |-- AuthenticationError   the token is wrong            (astroquery: LoginError)
    |-- ServiceError          the service is wrong          (astroquery: RemoteServiceError)
    |   |-- JobFailed           ... the analysis ended without a result
    |   `-- JobLost             ... the service has no record of the job
    |-- JobTimeout            it takes longer than allowed   (astroquery's and the builtin TimeoutError)
    `-- DecodingError         the answer can't be read

Messages go first and positionally, everything else by keyword, so that all of them survive pickling. `warn` is for what
is not an error.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast

from astroquery import exceptions as astroquery_exceptions

from .text import printable, shorten

if TYPE_CHECKING:
    from astropy.table import Table

    from .jobs.job import Job
    from .products import Products

_LONGEST_REASON = 150  # longer ones are of libraries, about forms of their own
_LONGEST = 1900  # characters of a message


class MmodaError(Exception):
    """
    Base of all errors of this package.

    Parameters
    ----------
    message : str
        What was wrong, what is allowed, what to do next.
    job : `~astroquery_mmoda.Job`, optional
        The analysis that it is about; it can be continued or inspected.
    jobs : sequence of `~astroquery_mmoda.Job`, optional
        All of them, of a query that was divided by ``windows_per_job``: those that failed, or that are not over.
    products : `~astroquery_mmoda.Products`, optional
        What came instead of the thing asked for.
    manifest : `~astropy.table.Table`, optional
        What was written before and after it, and what was not: its column ``error`` says why.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, MmodaError
    >>> try:
    ...     Mmoda.query_product("faulty", "Crab", product="faulty_backend_image", time_range=(58193, 58194))
    ... except MmodaError as error:
    ...     print(error.job.status)
    failed
    """

    def __init__(
        self,
        message: str = "",
        *,
        job: Job | None = None,
        jobs: Sequence[Job] = (),
        products: Products | None = None,
        manifest: Table | None = None,
    ) -> None:
        # parts of it may be the words of a server
        super().__init__(printable(message, limit=_LONGEST, newlines=True))
        self.job = job if job is not None else next(iter(jobs), None)
        self._jobs = list(jobs)
        self.products = products
        self.manifest = manifest

    @property
    def jobs(self) -> list[Job]:
        """
        `list` of `~astroquery_mmoda.Job`: the analyses that it is about.

        Examples
        --------
        >>> from astroquery_mmoda import Mmoda, MmodaError
        >>> try:
        ...     Mmoda.query_product("faulty", "Crab", product="faulty_backend_image", time_range=(58193, 58194))
        ... except MmodaError as error:
        ...     print([job.status for job in error.jobs])
        ['failed']
        """
        return self._jobs or ([] if self.job is None else [self.job])


class ParameterError(MmodaError, astroquery_exceptions.InvalidQueryError):
    """
    A name, value, unit or range that the service would not take; nothing was submitted.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, ParameterError
    >>> try:
    ...     Mmoda.query_image("isgr", "Crab")
    ... except ParameterError as error:
    ...     print(error)
    Unknown instrument 'isgr' (did you mean 'isgri'?). ...
    """


class AuthenticationError(MmodaError, astroquery_exceptions.LoginError):
    """
    A token is missing, expired or refused, or lacks a role.

    Examples
    --------
    >>> from astroquery_mmoda import AuthenticationError, Mmoda
    >>> try:
    ...     Mmoda.login("no token")
    ... except AuthenticationError as error:
    ...     print(error)
    not a valid token ...
    """


class ServiceError(MmodaError, astroquery_exceptions.RemoteServiceError):
    """
    The service can't be reached, or what it answers is not what was asked for.

    Examples
    --------
    >>> from astroquery_mmoda import MmodaClass, ServiceError, conf
    >>> try:
    ...     with conf.set_temp("retry_time", 0):
    ...         MmodaClass(server="http://localhost:9/dispatch-data").list_instruments()
    ... except ServiceError as error:
    ...     print(error)
    http://localhost:9/dispatch-data can't be asked ...
    """


class JobFailed(ServiceError):
    """
    The analysis failed on the service; the message has its reason, ``job`` the analysis.

    Examples
    --------
    >>> from astroquery_mmoda import JobFailed, Mmoda
    >>> try:
    ...     Mmoda.query_product("faulty", "Crab", product="faulty_backend_image", time_range=(58193, 58194))
    ... except JobFailed as error:
    ...     print(error)
    The analysis failed (job ...): ...
    """


class JobLost(ServiceError):
    """
    The service has no record of this job (any more); submitting it again makes a new one.

    Examples
    --------
    >>> from astroquery_mmoda import JobLost, Mmoda
    >>> try:
    ...     job = Mmoda.get_job("0123456789abcdef")
    ... except JobLost:
    ...     print("unknown")
    unknown
    """


class JobTimeout(MmodaError, astroquery_exceptions.TimeoutError, builtins.TimeoutError):
    """
    The time to wait is over. The analysis goes on: ``job`` can be waited for again.

    Examples
    --------
    >>> from astroquery_mmoda import JobTimeout, Mmoda
    >>> try:
    ...     image = Mmoda.query_image("isgri", "MAXI J1820+070", time_range=(58193, 58247), timeout=0)
    ... except JobTimeout as error:
    ...     image = error.job.result().image()
    """


class DecodingError(MmodaError):
    """
    A reply, or a product in it, is not as the protocol has it.

    Examples
    --------
    >>> from astroquery_mmoda import DecodingError, Products
    >>> try:
    ...     Products.from_response(b"<html>")
    ... except DecodingError as error:
    ...     print(error)
    the reply to an analysis: ...
    """


_Function = TypeVar("_Function", bound=Callable[..., Any])


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Name what is being read in whatever goes wrong, and turn errors of Python, numpy and astropy into ours."""
    try:
        yield
    except DecodingError as error:
        # the cause, if there is one, has more; our own message is complete already
        raise DecodingError(_about(what, str(error))) from error.__cause__
    # not about data: an unknown source, units that can't be joined
    except MmodaError:
        raise
    # hostile input can raise any exception
    except Exception as error:
        raise DecodingError(_about(what, f"malformed data ({type(error).__name__}: {error})")) from error


@contextmanager
def valid(name: str, value: Any, wanted: str, advice: str = "") -> Iterator[None]:
    """Turn what Python, numpy and astropy raise at a value of a user into a `ParameterError` that names it."""
    try:
        yield
    except MmodaError:
        raise
    # values of any type can raise anything
    except Exception as error:
        reason = f" ({error})" if len(str(error)) <= _LONGEST_REASON else ""
        text = printable(repr(value) if isinstance(value, str) else value, limit=100)
        message = f"{name}={text}: not a valid {wanted}{reason}. {advice}".rstrip()
        # a second traceback would not have more than the reason
        raise ParameterError(message) from None if reason else error


def not_installed(purpose: str, library: str) -> ImportError:
    """Error for an optional library; its own name works however this package was installed."""
    return ImportError(f"{purpose} need {library}, which can't be imported; install it by: pip install {library}")


def _about(what: str, reason: str) -> str:
    # two limits, so that a long name can't hide the reason
    return f"{printable(what, limit=200)}: {shorten(printable(reason, limit=1200), 1200)}"


def bare(error: BaseException) -> BaseException:
    """Error without its history: frames whose variables a traceback may show, and what it was made of."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def without_frames(function: _Function) -> _Function:
    """Let errors, and Ctrl-C too, leave a function that handles secrets without its frames and its arguments."""

    @functools.wraps(function)
    def closed(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except BaseException as error:
            problem = bare(error)
        finally:
            arguments, options = (), {}
        raise problem

    return cast(_Function, closed)


_collected: ContextVar[list[tuple[str, type[Warning]]] | None] = ContextVar("collected", default=None)


@contextmanager
def collecting(into: list[tuple[str, type[Warning]]]) -> Iterator[None]:
    """Keep what `warn` would say in this thread, which has no line of the user, for the one that waits for it."""
    token = _collected.set(into)
    try:
        yield
    finally:
        _collected.reset(token)


def warn(message: str, category: type[Warning]) -> None:
    """Warn about the line of the user, however many functions of this package are between."""
    collected = _collected.get()
    if collected is not None:
        collected.append((message, category))
        return
    package, level, frame = __name__.partition(".")[0], 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (package, "contextlib"):
        level, frame = level + 1, frame.f_back
    warnings.warn(printable(message, limit=_LONGEST, newlines=True), category, stacklevel=level)
