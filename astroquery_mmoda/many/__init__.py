# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Many queries: one rate of requests for all of them, here or on the workers of any executor."""

from .queries import ManyQueries, query_in_parts

__all__ = ["ManyQueries", "query_in_parts"]
