"""
How long it takes to make data of a reply: oda_api, this package, and the least that is possible, side by side.

::

    python benchmarks/decode.py                        # all cases, five runs of each
    python benchmarks/decode.py mosaic image --repeat 9
    python benchmarks/decode.py --check                # exit status 1 if a goal is missed
    python benchmarks/decode.py --list

Run it with the Python that has astroquery_mmoda. `oda_api` gets an environment of its own, made once by pip in
``.tox/oda-api`` (or ``--environment DIRECTORY``); its encoders also make the bodies, which are whole replies of
run_analysis like the recorded ones, in a temporary directory (or kept in ``--bodies DIRECTORY``).

Every number is the median over fresh processes of the CPU time from the body, as `bytes` in memory, to its data with
every value looked at once. A small body of the same kind is read before, so that imports do not count.

oda_api
    What ``DispatcherAPI.get_product`` does with a reply, then ``to_fits_hdu_list()`` of each product.
data
    ``Products.from_response(body)`` and ``.data`` of every product: the same things, so the goals are about this.
form
    The form that queries return instead, for example ``.image()``, in which units are joined and headers mended.
listing, parse
    ``Products.from_response(body)`` alone; ``json.loads(body)``.
floor
    ``json.loads(body)`` and the base64 of all that is in it: nobody can do with less.
astropy
    ``json.loads(body)`` and ``Table.read`` of the ECSV tables in it, where there are some.
peak
    Resident memory of ``data`` at its largest, beyond what stood before the call and without the body, in sizes of
    the body.

Beforehand, the data that come out are compared with those that went in.
"""

# ruff: noqa: S603, T201 - a program that talks to a terminal and starts its own scripts
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from cases import CASES, Case

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RECORDED = ROOT / "tests" / "data" / "responses"
WAYS = ("oda_api", "data", "form", "listing", "parse", "floor")
Result = dict[str, dict[str, float]]


def main() -> int:
    """Measure what is asked for and tell."""
    options = _options()
    if options.list:
        print("\n".join(f"{case.name:12}{case.title}" for case in CASES.values()))
        return 0
    oda_python = environment(options.environment)
    missed: list[str] = []
    print(_row("case", "body MB", *(f"{way} s" for way in WAYS), "data x", "form x", "/ floor", "peak"))
    with tempfile.TemporaryDirectory() as directory:
        for name in options.cases or CASES:
            result = _measured(CASES[name], oda_python, options.bodies or Path(directory), options.repeat)
            print(_line(CASES[name], result), flush=True)
            missed += _missed(CASES[name], result)
    print("\n".join(["", "missed:", *missed] if missed else ["", "all goals reached"]))
    return 1 if missed and options.check else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], metavar="CASE", help="default: all")
    parser.add_argument("--repeat", type=int, default=5, help="fresh processes for each number")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    parser.add_argument("--environment", type=Path, default=ROOT / ".tox" / "oda-api", help="where oda_api lives")
    parser.add_argument("--bodies", type=Path, help="directory to keep the bodies in")
    parser.add_argument("--list", action="store_true", help="tell the cases")
    return parser.parse_args()


def environment(directory: Path, package: str = "oda_api") -> str:
    """The Python that has a package which ours is measured against, after pip has put it there."""
    python = directory / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(directory, with_pip=True)
    if subprocess.run([str(python), "-c", f"import {package}"], capture_output=True, check=False).returncode:
        requirements = str(HERE / f"{package.replace('_', '-')}-requirements.txt")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    return str(python)


def _measured(case: Case, oda_python: str, directory: Path, repeat: int) -> Result:
    directory.mkdir(parents=True, exist_ok=True)
    body, small = directory / f"{case.name}.json", directory / f"{case.name}.small.json"
    if not (body.exists() and small.exists()):
        _run(oda_python, "bodies.py", case.name, str(RECORDED), str(body), str(small))
    _run(sys.executable, "reading.py", "check", case.name, str(body), str(small))
    ways = WAYS if case.astropy is None else (*WAYS, "astropy")
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    # one after another in turns, so that a busy minute of the machine hits all of them
    for _ in range(repeat):
        for way, found in runs.items():
            python = oda_python if way == "oda_api" else sys.executable
            found.append(json.loads(_run(python, "reading.py", way, case.name, str(body), str(small))))
    return {way: {key: statistics.median(run[key] for run in found) for key in found[0]} for way, found in runs.items()}


def _run(python: str, script: str, *arguments: str) -> str:
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "MPLBACKEND": "agg"}
    if python == sys.executable:  # the package that this file belongs to, installed or not
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [python, str(HERE / script), *arguments], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments[:2])} failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip().split("\n")[-1]


# ---- judging


def _missed(case: Case, result: Result) -> Iterator[str]:
    """What is behind the goals, in words."""
    cpu = {way: numbers["cpu"] for way, numbers in result.items()}
    goals = {
        "times faster than oda_api": (case.faster, -cpu["oda_api"] / cpu["data"]),
        "of the time of astropy's reader": (case.astropy, cpu["data"] / cpu.get("astropy", 1)),
        "times the floor": (case.floor, cpu["data"] / cpu["floor"]),
        "sizes of the body in memory": (case.memory, _peak(result)),
        "of decoding for the listing": (case.listing, cpu["listing"] / cpu["data"]),
        # a millisecond more for what does not depend on the size
        "times the JSON parse for the listing": (case.parse, (cpu["listing"] - 1e-3) / cpu["parse"]),
    }
    for words, (goal, value) in goals.items():
        # speed must be at least the goal and is negative here; all else at most
        if goal is not None and value > (-goal if "faster" in words else goal):
            yield f"{case.name}: {abs(value):.2f} {words}, to reach: {goal:g}"


def _peak(result: Result) -> float:
    return result["data"]["peak"] / result["data"]["body"]


def _line(case: Case, result: Result) -> str:
    oda_api, data, form, *_, floor = cpu = [result[way]["cpu"] for way in WAYS]
    factors = f"{oda_api / data:.1f}", f"{oda_api / form:.1f}", f"{data / floor:.2f}", f"{_peak(result):.2f}"
    return _row(case.title, f"{result['data']['body'] / 1e6:.1f}", *(f"{number:.4f}" for number in cpu), *factors)


def _row(first: str, *others: str) -> str:
    return f"{first:34}" + "".join(f"{other:>10}" for other in others)


if __name__ == "__main__":
    sys.exit(main())
