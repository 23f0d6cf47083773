# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Lists of sources as tables: from the service, into FITS files, and of any origin."""

from .sourcecolumns import (
    Positions,
    angles,
    cells,
    coordinate_columns,
    positions,
    read_positions,
    source_names,
)
from .sourcetables import empty_catalog, read_catalog, table_of, to_hdu

__all__ = [
    "Positions",
    "angles",
    "cells",
    "coordinate_columns",
    "empty_catalog",
    "positions",
    "read_catalog",
    "read_positions",
    "source_names",
    "table_of",
    "to_hdu",
]
