# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What can go wrong, as a tree.

::

    MmodaError
    |-- ParameterError        the question is wrong         (astroquery: InvalidQueryError)
    |-- AuthenticationError   who asks is wrong             (astroquery: LoginError)
    |-- ServiceError          the service is wrong          (astroquery: RemoteServiceError)
    |   |-- JobFailed           ... the analysis ended without a result
    |   `-- JobLost             ... the service forgot the job
    |-- JobTimeout            nobody is wrong, it takes long (astroquery's and the builtin TimeoutError)
    `-- DecodingError         the answer can't be read

Messages go first and positionally, everything else by keyword, so that all of them survive pickling.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from astroquery import exceptions as astroquery_exceptions

if TYPE_CHECKING:
    from .job import Job
    from .products import Products

__all__ = [
    "AuthenticationError",
    "DecodingError",
    "JobFailed",
    "JobLost",
    "JobTimeout",
    "MmodaError",
    "ParameterError",
    "ServiceError",
]


class MmodaError(Exception):
    """
    Base of all errors of this package.

    Parameters
    ----------
    message : str
        What was wrong, what is allowed, what to do next.
    job : `~astroquery_mmoda.Job`, optional
        The analysis it happened to; it can be continued or looked at.
    products : `~astroquery_mmoda.Products`, optional
        What came instead of the thing asked for.
    """

    def __init__(self, message: str = "", *, job: Job | None = None, products: Products | None = None) -> None:
        super().__init__(message)
        self.job = job
        self.products = products


class ParameterError(MmodaError, astroquery_exceptions.InvalidQueryError):
    """A name, value, unit or range that the service would not take; nothing was submitted."""


class AuthenticationError(MmodaError, astroquery_exceptions.LoginError):
    """A token is missing, expired or refused, or lacks a role."""


class ServiceError(MmodaError, astroquery_exceptions.RemoteServiceError):
    """The service can't be reached, or answers with something that is no answer."""


class JobFailed(ServiceError):
    """The analysis failed on the service; the message carries its reason, ``job`` the analysis."""


class JobLost(ServiceError):
    """The service has no record of this job (any more); submitting it again makes a new one."""


class JobTimeout(MmodaError, astroquery_exceptions.TimeoutError, builtins.TimeoutError):
    """The waiting time is over. The analysis goes on: ``job`` can be waited for again."""


class DecodingError(MmodaError):
    """A reply, or a product in it, is not what the protocol promises."""
