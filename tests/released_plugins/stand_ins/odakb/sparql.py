# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Queries of the knowledge base."""

from __future__ import annotations

VERSIONS = ("OSA10.2", "OSA11.0")
"""Those that release 1.0 of the plugin can run: it raises an error for any other, OSA11.2 of today's service included."""


def select(query: str) -> list[dict[str, str]]:
    """Versions of OSA, whatever the query says."""
    return [{"vs": version} for version in VERSIONS]
