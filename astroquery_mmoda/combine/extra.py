# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The libraries that sums of images and rates need beyond those of the package: the extra ``combine``."""

from __future__ import annotations

from importlib import import_module

from ..errors import not_installed

# in this order, as reproject imports scipy
_LIBRARIES = ("scipy", "reproject")


def require_extra() -> None:
    """Import the libraries of the extra, or say how to get them."""
    for library in _LIBRARIES:
        try:
            import_module(library)
        except ImportError as error:
            raise not_installed("sums of images and rates", library) from error
