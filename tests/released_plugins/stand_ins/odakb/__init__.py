# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Stands for the service's knowledge base, which is not on PyPI: the plugin asks it for versions of OSA only."""

from . import sparql

__all__ = ["sparql"]
