"""
One way to make many queries, measured: ``asking.py WAY URL FIRST NUMBER ACTIVE`` prints its numbers as JSON.

Runs in the Python of either client, called by many.py. Each question is about two hours of its own, so that the times
in an answer tell which question it belongs to.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

DAY_ONE = 58200.0  # MJD (UTC)
HOURS = 2.0
MJDREF = 51544.0  # of INTEGRAL, TT
TT_MINUS_UTC = 69.184 / 86400
POSITION = {"RA": 83.63, "DEC": 22.01}
WARM_UP = 10**5


def times(row: int) -> tuple[float, float]:
    """Begin and end of what row asks for, as MJD (UTC)."""
    begin = DAY_ONE + row * HOURS / 24
    return begin, begin + HOURS / 24


def belongs(row: int, mjd: Any) -> bool:
    """Whether times of an answer are among those that were asked for; science windows begin before and end after."""
    begin, end = times(row)
    return begin - HOURS / 24 / 2 < sum(mjd) / len(mjd) < end + HOURS / 24 / 2


# ---- oda_api


def by_oda_api(url: str, rows: range, active: int) -> Iterator[bool]:
    """One client object for each job, as loops of users have it."""
    from oda_api.api import DispatcherAPI

    def ask(row: int) -> bool:
        begin, end = times(row)
        client = DispatcherAPI(url=url, instrument="mock")
        products = client.get_product(
            instrument="isgri",
            product="isgri_lc",
            product_type="Real",
            T1=begin,
            T2=end,
            T_format="mjd",
            radius=5.0,
            max_pointings=2,
            src_name=f"row {row}",
            **POSITION,
        )
        curve = next(product for product in products._p_list if "Crab" in str(product.meta_data))  # noqa: SLF001 - of oda_api
        return belongs(row, [float(value) + MJDREF - TT_MINUS_UTC for value in curve.data_unit[1].data["TIME"]])

    with ThreadPoolExecutor(active) as executor:
        yield from guarded(executor.map(caught(ask), rows))


def caught(ask: Any) -> Any:
    """With an error as its outcome."""

    def asked(row: int) -> Any:
        try:
            return ask(row)
        except Exception as error:
            return error

    return asked


def guarded(outcomes: Any) -> Iterator[bool]:
    """Whether each answer is right; errors are told."""
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            print(repr(outcome)[:500], file=sys.stderr)
            yield None
        else:
            yield outcome


# ---- this package


def by_query_many(url: str, rows: range, active: int) -> Iterator[bool]:
    """Light curves of the local dispatcher."""
    from astropy.coordinates import SkyCoord

    from astroquery_mmoda import MmodaClass

    place = SkyCoord(POSITION["RA"], POSITION["DEC"], unit="deg")
    queries = [
        {
            "instrument": "isgri",
            "coordinates": place,
            "time_range": times(row),
            "radius": 5.0,
            "max_pointings": 2,
            "src_name": f"row {row}",
        }
        for row in rows
    ]

    def judged(curve: Any) -> Any:
        if isinstance(curve, Exception):
            return curve
        return curve["time"][curve["src_name"] == "Crab"].utc.mjd

    many = MmodaClass(server=url).query_many("lightcurve", queries, max_active=active, progress=False)
    for index, curve in many:
        for right in guarded([judged(curve)]):
            yield None if right is None else belongs(rows[index], right)


def canned(url: str, rows: range, active: int, executor: Any = None) -> Iterator[bool]:
    """Answers of 80 kB that are there at once."""
    import numpy as np
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable

    from astroquery_mmoda import MmodaClass

    number = len(rows)
    queries = QTable(
        {
            "instrument": ["isgri"] * number,
            "product": ["isgri_lc"] * number,
            "coordinates": SkyCoord(np.arange(number) * 0.3 % 360, np.linspace(-60, 60, number), unit="deg"),
            "src_name": [f"row {row}" for row in rows],
            "time_range": np.array([times(row) for row in rows]),
            "energy_range": np.tile([30, 80], (number, 1)) * u.keV,
        }
    )
    client = MmodaClass(server=url)
    many = client.query_many("product", queries, max_active=active, executor=executor, progress=False)
    for index, products in many:
        for right in guarded([products]):
            yield None if right is None else products[0].data.strip() == f"row {rows[index]}"


def canned_by_dask(url: str, rows: range, active: int) -> Iterator[bool]:
    """The same by a cluster of two processes."""
    yield from canned(url, rows, active, _CLUSTER[0].get_executor())


_CLUSTER: list[Any] = []
WAYS = {"oda_api": by_oda_api, "query_many": by_query_many, "canned": canned, "canned_dask": canned_by_dask}


def main() -> None:
    """Do it, after all is imported; ready answers are asked for a few times before."""
    way, url, first, number, active = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    if way == "canned_dask":
        from distributed import Client, LocalCluster

        cluster = LocalCluster(n_workers=2, threads_per_worker=4, dashboard_address=None, silence_logs="ERROR")
        _CLUSTER.append(Client(cluster))
    if way == "oda_api":
        import oda_api.api  # noqa: F401
    elif way == "query_many":
        import astroquery_mmoda  # noqa: F401
    else:
        list(WAYS[way](url, range(first + WARM_UP, first + WARM_UP + 10), active))
    before, cpu, begin = peak(), time.process_time(), time.monotonic()
    outcomes = list(WAYS[way](url, range(first, first + number), active))
    seconds = time.monotonic() - begin
    result = {
        "seconds": seconds,
        "cpu": (time.process_time() - cpu) / number,
        "errors": outcomes.count(None),
        "mixed": outcomes.count(False),
        "growth": peak() - before,
        "threads": threading.active_count(),
    }
    print(json.dumps(result))
    if _CLUSTER:
        _CLUSTER[0].shutdown()


def peak() -> float:
    """Largest resident size so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    main()
