# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Source lists as region files for DS9, by the regions package."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from ...catalog import angles, read_positions, source_names, table_of
from ...errors import ParameterError, not_installed
from ...text import transliterated
from .output import chosen_path, write_whole

_FRAMES = ("icrs", "fk5", "fk4", "galactic")
_HEADER = "# Region file format: DS9\n"
# DS9 keeps 79 characters of a label
_LONGEST = 60
# braces quote a label, and semicolons separate regions
_IN_LABELS = str.maketrans("{};", "(),")


def write_regions(catalog: Table | fits.HDUList, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """
    Write sources as a DS9 region file, each labelled with its name.

    A source with an error radius (column ``ERR_RAD``) becomes a circle of it, one without a point. Sources without a
    position are left out. Names are spelled in ASCII and cut to 60 characters, ``{``, ``}`` and ``;`` in them replaced.

    Parameters
    ----------
    catalog : Table or HDUList
        As returned by ``query_catalog``, or an image of ``query_image`` with its ``CATALOG``; any other table with
        coordinates works as well.
    path : str or path-like
        Name of the file.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    Path
        The file. Its coordinates are in the frame of the catalogue (FK5, which DS9 also calls J2000, for INTEGRAL).

    Raises
    ------
    ParameterError
        There are no coordinates in it.
    FileExistsError
        The file is there already.
    ImportError
        The regions package is missing.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, write_regions
    >>> sources = Mmoda.query_catalog("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58246.892),
    ...                               max_pointings=10)
    >>> path = write_regions(sources[:2], "sources.reg")
    >>> print(path.read_text())
    # Region file format: DS9 astropy/regions
    j2000
    circle(275.0911...,7.1852...,0.0003...) # text={MAXI J1820+070}
    circle(279.9893...,5.0364...,0.0016...) # text={Ser X-1}
    """
    if not isinstance(catalog, (Table, fits.HDUList)):
        raise ParameterError(f"catalog must be a Table of sources or an image, not a {type(catalog).__name__}.")
    try:
        import regions
    except ImportError as error:
        raise not_installed("region files", "regions") from error
    table, text = table_of(catalog), _HEADER
    shapes = _shapes(regions, table) if len(table) else []
    if shapes:
        # properties common to all go into a line of their own, in which DS9 ignores labels: so one more has another
        other = regions.PointSkyRegion(shapes[0].center, meta={"text": "-"}, visual={"marker": "+"})
        lines = regions.Regions([*shapes, other]).serialize(format="ds9", precision=10).splitlines()
        text = "\n".join(lines[:-1]) + "\n"
    path = chosen_path(path)
    write_whole(path, text.encode("ascii"), overwrite=overwrite)
    return path


def _shapes(regions: ModuleType, table: Table) -> list[Any]:
    """Circles of the errors, or points, of sources with a position."""
    places, names, radii = (
        read_positions(table).as_sky_coord(),
        source_names(table) or [""] * len(table),
        np.zeros(len(table)),
    )
    for name in (each for each in table.colnames if each.upper() == "ERR_RAD"):
        radii = np.nan_to_num(angles(table[name]).to_value(u.deg), posinf=0.0)
    frame = places.frame
    if frame.name not in _FRAMES or not frame.is_equivalent_frame(type(frame)()):
        places = places.icrs  # frames of another equinox have no name in DS9
    shapes = []
    for row in np.flatnonzero(np.isfinite(places.spherical.lon.deg) & np.isfinite(places.spherical.lat.deg)):
        label = transliterated(" ".join(names[row].split())).translate(_IN_LABELS)[:_LONGEST]
        meta = {"text": label} if label else {}
        if radii[row] > 0:
            shapes.append(regions.CircleSkyRegion(places[row], radii[row] * u.deg, meta=meta))
        else:
            shapes.append(regions.PointSkyRegion(places[row], meta=meta, visual={"marker": "x"}))
    return shapes
