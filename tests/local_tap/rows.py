# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Published products of our own making, the same at every run.

Plain Python without packages: both the tests and the server, which have environments of their own, import it.
"""

from __future__ import annotations

import math
import random

COLUMNS = {
    "obs_title": "text",
    "product_path": "text",
    "em_min": "double precision",
    "em_max": "double precision",
    "s_ra": "double precision",
    "s_dec": "double precision",
    "time_bin": "double precision",
    "instrument_name": "text",
    "dataproduct_type": "text",
    "t_min": "double precision",
    "t_max": "double precision",
    "proposal_id": "text",
    "target_name": "text",
    "access_url": "text",
    "image_uri": "text",
}
NUMBER = 10_000
METRES_TIMES_KEV = 1.2398419843320025e-09
"""Wavelength of 1 keV."""

Row = tuple[str | float | None, ...]


def row(
    title: str,
    ra: float | None,
    dec: float | None,
    target: str | None,
    *,
    instrument: str | None = "isgri",
    kind: str | None = "timeseries",
    band: tuple[float, float] | None = (28.0, 40.0),
    times: tuple[float, float] | None = (57000.0, 57000.5),
    url: str | None = "",
) -> Row:
    """One product; what is None is NULL in the database."""
    longest = METRES_TIMES_KEV / band[0] if band else None
    shortest = METRES_TIMES_KEV / band[1] if band else None
    begin, end = times or (None, None)
    path = f"/data-products/{title.replace(' ', '-').lower()}"
    return (
        *(title, path, shortest, longest, ra, dec, None if kind == "image" else 100.0),
        *(instrument, kind, begin, end, None, target, url, None),
    )


def special_rows(url: str) -> list[Row]:
    """Products at awkward places and with awkward names."""
    return [
        row("Crab lc", 83.6324, 22.0174, "Crab", url=f"{url}/files/crab_lc.fits"),
        row(
            "Crab image",
            83.7,
            22.1,
            "Crab, 1A 0535+262",
            kind="image",
            times=(58000.25, 58001.75),
            url=f"{url}/files/crab_image.fits, {url}/files/crab_image.png",
        ),
        row("M 1 spectrum", 200.0, -70.0, "M 1", kind="spectrum", instrument="jemx", band=(3.0, 20.0)),
        row("Crab old lc", 83.6324, 22.0174, "Crab", kind="isgri_lc", times=(52000.0, 52000.1)),
        row("west of zero", 359.9, -60.0, "W"),
        row("east of zero", 0.1, -60.0, "E"),
        row("at the pole", 10.0, 89.95, "N1"),
        row("beyond the pole", 190.0, 89.95, "N2"),
        row("south pole", 77.0, -89.9, "S"),
        row("quoted", 150.0, 70.0, "Barnard's star"),
        row("injected", 151.0, 70.0, "'; DROP TABLE ivoa.obscore; --"),
        row("greek", 161.265, -59.6844, "η Car"),
        row("other greek", 150.5, 10.0, "α Car"),
        row("blanks", 152.0, 70.0, "X ( Y ) , Z_ W"),
        row("percent", 153.0, 70.0, "100% X_1"),
        row("nothing known", None, None, None, instrument=None, kind=None, band=None, times=None, url=None),
        row("impossible", 12.0, 145.0, "test", times=(2458849.5, 2458850.5), url="test"),
    ]


def all_rows(url: str = "http://127.0.0.1") -> list[Row]:
    """The special products, and others all over the sky, but not near the special ones."""
    made = special_rows(url)
    chance = random.Random(8)
    kinds = ("image", "spectrum", "timeseries")
    while len(made) < NUMBER:
        number = len(made)
        ra = chance.uniform(210, 330)
        dec = math.degrees(math.asin(chance.uniform(-0.8, 0.8)))
        begin = 53000 + number * 0.5
        low = chance.choice((3.0, 20.0, 40.0, 100.0))
        made.append(
            row(
                f"product {number}",
                ra,
                dec,
                f"Source {number % 500}",
                instrument=chance.choice(("isgri", "jemx", "spi_acs")),
                kind=kinds[number % 3],
                band=(low, low * 2),
                times=(begin, begin + 0.25),
                url=f"{url}/files/product_{number}.fits",
            )
        )
    return made
