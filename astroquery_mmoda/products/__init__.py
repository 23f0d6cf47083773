# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What an analysis returned: a sequence of products, and the astropy forms of it that queries hand over."""

from .product import Product
from .products import Products

__all__ = ["Product", "Products"]
