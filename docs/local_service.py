# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The service that the examples of this documentation ask: a MMODA dispatcher on this machine, with an archive.

Both the build of the pages (``conf.py``) and their tests (``conftest.py`` of the project) use it. Where PostgreSQL is
missing there is no archive: `needs_archive` tells which examples can't be run then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from astroquery_mmoda import MmodaClass
from tests.local_mmoda.server import LocalMmoda
from tests.local_tap.server import LocalTap, missing

_ARCHIVE = re.compile(r"Mmoda\.(query_object|query_region|query_tap|list_tables|list_columns|download_products)\(")


def needs_archive(source: str) -> bool:
    """Whether a text has examples that ask the archive."""
    return _ARCHIVE.search(source) is not None


@contextmanager
def documented_service(*, with_archive: bool = True) -> Iterator[LocalMmoda]:
    """Start it."""
    with ExitStack() as stack:
        archive = stack.enter_context(LocalTap()) if with_archive and not missing() else None
        service = stack.enter_context(LocalMmoda(step=0.05, archive=archive.url if archive else None))
        if archive:
            _publish(MmodaClass(server=service.url), archive.files / "crab_lc.fits")
        yield service


def _publish(mmoda: MmodaClass, path: Path) -> None:
    """Put a light curve behind the address that the archive tells of it."""
    from astropy import units as u

    curves = mmoda.query_product(
        "isgri",
        "Crab",
        product="isgri_lc",
        time_range=(57000.0, 57000.5),
        energy_range=(28, 40) * u.keV,
        time_bin=1000 * u.s,
        radius=5 * u.deg,
        progress=False,
    )
    curves.select(source="Crab")[0].data.writeto(path, overwrite=True, output_verify="silentfix")
