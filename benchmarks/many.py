"""
How fast many queries are made: this package and loops over oda_api, side by side in one run.

::

    python benchmarks/many.py                 # 64 queries each way, and 1000 of a service with ready answers
    python benchmarks/many.py --number 16     # fewer of the first kind
    python benchmarks/many.py --check         # exit status 1 if a goal is missed

Run it with the Python that has astroquery_mmoda and distributed. It starts the local dispatcher of the tests (see
tests/local_mmoda) with light curves of two science windows as questions, each about times of its own that nobody asked
for before; answers are held against their question. `oda_api` gets an environment of its own, made once by pip in
``.tox/oda-api`` (or ``--environment DIRECTORY``).

queries/s
    Of wall time, from the first submission to the last light curve.
CPU ms
    CPU time of the client's process for each query: requests, waiting, decoding. With dask, of the process that asks.
errors, mixed
    Queries without an answer, and answers that belong to another question.
growth MB
    Resident memory at its largest, beyond what stood there after a few queries.

Goals: twice the queries per second of the sequential loop over oda_api, with 8 active; less than 4 ms of CPU for a
query with a ready answer, by threads; no errors; no mixed answers; growth below 20 MB.
"""

# ruff: noqa: S603, T201 - a program that talks to a terminal and starts its own scripts
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from decode import HERE, ROOT, environment

sys.path.insert(0, str(ROOT))
from tests.local_mmoda.server import LocalMmoda  # noqa: E402

READY = 1000
GOAL_RATIO, GOAL_CPU, GOAL_GROWTH = 2.0, 4e-3, 20e6
Result = dict[str, float]


def main() -> int:
    """Measure and tell."""
    options = _options()
    oda_python = environment(options.environment)
    ways = [
        ("oda_api, one after another", oda_python, "oda_api", 1),
        ("oda_api, 8 threads", oda_python, "oda_api", 8),
        *((f"query_many, {active} active", sys.executable, "query_many", active) for active in (1, 8, 16)),
    ]
    results: dict[str, Result] = {}
    print(f"{options.number} light curves of the local dispatcher\n{_row('', *_HEADS)}")
    with LocalMmoda(step=options.step) as service:
        for turn, (title, python, way, active) in enumerate(ways):
            results[title] = _run(python, way, service.url, turn * options.number, options.number, active)
            _tell(title, results[title], options.number)
    print(f"\n{options.ready} answers of 80 kB that are ready\n{_row('', *_HEADS)}")
    with _canned() as url:
        for title, way in (("query_many, threads", "canned"), ("query_many, dask", "canned_dask")):
            results[title] = _run(sys.executable, way, url, 0, options.ready, 16)
            _tell(title, results[title], options.ready)
    print(f"\nthis machine, now: {_yardstick():.2f} s of CPU for three million empty steps of Python")
    missed = list(_missed(results))
    print("\n".join(["", "missed:", *missed] if missed else ["", "all goals reached"]))
    return 1 if missed and options.check else 0


def _yardstick() -> float:
    """How fast the machine is: shared ones differ by a factor of two within an hour, and so does CPU time."""
    begin = time.process_time()
    for _ in range(3_000_000):
        pass
    return time.process_time() - begin


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--number", type=int, default=64, help="queries to the local dispatcher")
    parser.add_argument("--ready", type=int, default=READY, help="queries to the service with ready answers")
    parser.add_argument("--step", type=float, default=0.3, help="a third of the length of an analysis in s")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    parser.add_argument("--environment", type=Path, default=ROOT / ".tox" / "oda-api", help="where oda_api lives")
    return parser.parse_args()


def _run(python: str, way: str, url: str, first: int, number: int, active: int) -> Result:
    arguments = [python, str(HERE / "asking.py"), way, url, *map(str, (first, number, active))]
    with tempfile.TemporaryDirectory() as place:  # no journal, token or cache of the user
        Path(place, "astropy").mkdir()
        variables = os.environ | {"PYTHONWARNINGS": "ignore", "MPLBACKEND": "agg", "HOME": place}
        variables |= {"XDG_CONFIG_HOME": place, "XDG_CACHE_HOME": place}
        if python == sys.executable:
            variables["PYTHONPATH"] = str(ROOT)
        done = subprocess.run(arguments, capture_output=True, text=True, env=variables, cwd=place, check=False)
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.strip().split("\n")[-1])
    if result["errors"]:
        print(done.stderr[-500:], file=sys.stderr)
    return result


@contextmanager
def _canned() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, str(HERE / "canned.py")], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


# ---- judging


def _missed(results: dict[str, Result]) -> Iterator[str]:
    """What is behind the goals, in words."""
    ratio = results["oda_api, one after another"]["seconds"] / results["query_many, 8 active"]["seconds"]
    if ratio < GOAL_RATIO:
        yield f"8 active: {ratio:.2f} times oda_api, to reach: {GOAL_RATIO:g}"
    threads = results["query_many, threads"]
    if threads["cpu"] > GOAL_CPU:
        yield f"threads: {threads['cpu'] * 1e3:.2f} ms of CPU for a query, to reach: {GOAL_CPU * 1e3:g}"
    for title, result in results.items():
        if "query_many" in title:
            yield from (f"{title}: {result[what]:g} {what}" for what in ("errors", "mixed") if result[what])
    if threads["growth"] > GOAL_GROWTH:
        yield f"threads: memory grew by {threads['growth'] / 1e6:.0f} MB, to reach: {GOAL_GROWTH / 1e6:g}"


_HEADS = ("s", "queries/s", "CPU ms", "errors", "mixed", "growth MB")


def _tell(title: str, result: Result, number: int) -> None:
    numbers = f"{result['seconds']:.1f}", f"{number / result['seconds']:.2f}", f"{result['cpu'] * 1e3:.2f}"
    print(
        _row(title, *numbers, *(f"{result[what]:g}" for what in ("errors", "mixed")), f"{result['growth'] / 1e6:.1f}")
    )


def _row(first: str, *others: str) -> str:
    return f"{first:30}" + "".join(f"{other:>11}" for other in others)


if __name__ == "__main__":
    sys.exit(main())
