# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Analyses on the service: one of them, those of earlier, and the journal on disk."""
