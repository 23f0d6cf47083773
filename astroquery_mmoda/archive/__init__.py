# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The archive of published products: found by TAP through pyvo, fetched as files."""

from .downloads import download_products
from .search import list_columns, list_tables, query_object, query_region, query_tap

__all__ = ["download_products", "list_columns", "list_tables", "query_object", "query_region", "query_tap"]
