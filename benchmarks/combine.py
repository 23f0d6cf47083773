"""
Adding up what several jobs returned: astroquery_mmoda.combine, and what INTEGRAL's users do it with, side by side.

::

    python benchmarks/combine.py                       # 10 and 40 mosaics, 40 spectra of 20 sources, 400 light curves
    python benchmarks/combine.py images --pixels 500   # smaller mosaics; also spectra, curves, genuine
    python benchmarks/combine.py --check               # exit status 1 if a goal is missed
    python benchmarks/combine.py --without-peer

Run it with the Python that has astroquery_mmoda and its extra ``combine``. `oda-integral-wrapper` and `pymosaic-fits`
get an environment of their own, made once by pip in ``.tox/oda-integral-wrapper`` (or ``--environment DIRECTORY``), and
run as they are; they look nothing up. The parts are made here, of sources and noise that are known (see parts.py), in a
temporary directory (1.3 GB; kept in ``--parts DIRECTORY``). Every sum is made by a process of its own.

CPU s, per part
    From files (spectra and light curves of the peer: from objects in memory) to the sum in memory.
peak MB
    Resident memory at its largest, beyond what stood before the call. `combine_images` gets an iterator of mosaics that
    are in memory one at a time, or (files) a list of open files, of which the system keeps pages in memory.
lost
    Sources that are not in the sum. Two of 20 are outside of the first mosaic.
position, height, FWHM
    Of a free Gaussian plus constant in 13 x 13 pixels: error of the position in arcmin and of the height in %, median
    and largest, and the median width in arcmin (14.1 in the parts).
noise
    Width of SIGNIFICANCE where no source is; 1 if VARIANCE is right. (The peer reads one band only.)
rate, error, response
    Largest deviation in % from the mean weighted by exposure: RATE of a channel in units of the mean rate, STAT_ERR in
    units of its own, and area times matrix in units of its largest value.
bias
    Mean error in % of the rate in all channels, each of which has about 10 counts in each part.
missing, wrong
    Bins of light curves. The last of three sources is not in the first part. (The peer goes through a set of names, so
    the seed of hashes is fixed: it ends with an error where that source comes first, and else adds it to another.)

`genuine` adds the two genuine mosaics, where MMODA_GENUINE_DATA says where they lie; the position and height of
4U 1700-377 are held against the weighted means of the two, and against its place in catalogues.

Goals: a mosaic takes at most 10 times as long as in pymosaic-fits, which looks up the nearest pixel of one band; peaks
of memory for few and many differ by at most a tenth, and are below 500 MB; no source is lost, positions are within
0.15 arcmin, heights within 2 %; spectra are the mean weighted by exposure; no bin is missing or wrong.
"""

# ruff: noqa: T201 - a program that talks to a terminal
from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import parts
import sums
from decode import ROOT, _run, environment

KINDS = ("images", "spectra", "curves", "genuine")
OURS, PEER = "astroquery_mmoda", "oda-integral-wrapper"
GOAL_TIME, GOAL_MEMORY, GOAL_GROWTH = 10.0, 500e6, 0.1
GOAL_POSITION, GOAL_HEIGHT, GOAL_SPECTRUM = 0.15, 2.0, 1e-3
# 4U 1700-377 (J2000, deg)
TARGET = (255.98656, -37.84412)
HEADS = {
    "images": ("lost", "position", "worst", "height", "worst", "FWHM", "noise"),
    "spectra": ("rate", "error", "response", "bias"),
    "curves": ("missing", "wrong"),
    "genuine": ("position", "catalogue", "height", "FWHM"),
}
Result = dict[str, float]
Results = dict[tuple[str, int], Result]


def main() -> int:
    """Measure what is asked for and tell."""
    options = _options()
    warnings.simplefilter("ignore")  # of dates in what the peer writes
    os.environ["PYTHONHASHSEED"] = "0"
    python = None if options.without_peer else environment(options.environment, "oda_integral_wrapper")
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        directory = options.parts or Path(place)
        (directory / "small").mkdir(parents=True, exist_ok=True)
        for kind in options.kinds or KINDS:
            if kind == "genuine" and not os.environ.get("MMODA_GENUINE_DATA"):
                print("\ngenuine: left out, since MMODA_GENUINE_DATA names no folder")
                continue
            results = _measured(kind, python, directory, Path(place), options)
            missed += [f"{kind}: {text}" for text in _MISSED[kind](results)]
    print("\n".join(["", "missed:", *missed] if missed else ["", "all goals reached"]))
    return 1 if missed and options.check else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], metavar="KIND", help=f"default: {', '.join(KINDS)}")
    parser.add_argument("--few", type=int, default=10, help="mosaics in the smaller sum, at least 3")
    parser.add_argument("--many", type=int, default=40, help="mosaics in the larger sum, and spectra")
    parser.add_argument("--pixels", type=int, default=1000, help="along each side of a mosaic, at least 200")
    parser.add_argument("--curves", type=int, default=400, help="light curves")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    parser.add_argument("--without-peer", action="store_true", help="measure this package only")
    parser.add_argument(
        "--environment", type=Path, default=ROOT / ".tox" / "oda-integral-wrapper", help="where the peer lives"
    )
    parser.add_argument("--parts", type=Path, help="directory to keep the parts in, for the same --pixels")
    return parser.parse_args()


def _measured(kind: str, python: str | None, directory: Path, place: Path, options: argparse.Namespace) -> Results:
    """All sums of a kind."""
    few, many, judge = options.few, options.many, partial(sums.of_mosaics, pixels=options.pixels)
    ways: list[tuple[str, str, str, int, Callable[[Path], Result]]] = []
    if kind == "images":
        parts.write_mosaics(directory, many, options.pixels)
        parts.write_mosaics(directory / "small", 2, 200)
        for number in (few, many):
            ways += [
                (OURS, sys.executable, "images", number, judge),
                (f"{OURS}, files", sys.executable, "files", number, judge),
                (f"{OURS}, with catalogues", sys.executable, "images_with_catalogs", number, judge),
                ("pymosaic-fits", python or "", "pymosaic", number, judge),
                (f"{PEER}, with catalogues", python or "", "wrapped_images", number, judge),
            ]
    elif kind == "spectra":
        parts.write_spectra(directory, many)
        parts.write_spectra(directory / "small", 2, 2)
        in_spectra = partial(sums.of_spectra, number=many, sources=parts.SOURCES)
        ways = [(OURS, sys.executable, "spectra", many, in_spectra)]
        ways += [(PEER, python or "", "wrapped_spectra", many, in_spectra)]
    elif kind == "curves":
        in_curves = partial(sums.of_curves, number=options.curves)
        ways = [(OURS, sys.executable, "curves", options.curves, in_curves)]
        ways += [(PEER, python or "", "wrapped_curves", options.curves, in_curves)]
    else:
        directory = Path(os.environ["MMODA_GENUINE_DATA"])
        files = sorted(directory.glob("isgri_mosa_ima_*.fits.gz"))
        in_genuine = partial(sums.of_genuine, files=files, position=TARGET)
        ways = [(OURS, sys.executable, "genuine", 2, in_genuine)]
        ways += [("pymosaic-fits", python or "", "pymosaic_genuine", 2, in_genuine)]
    results: Results = {}
    print(f"\n{_row(kind, 'parts', 'CPU s', 'per part', 'peak MB', *HEADS[kind])}")
    for title, interpreter, way, number, judged in ways:
        if interpreter:
            target = place / f"{way}.fits"
            told = json.loads(_run(interpreter, "adding.py", way, str(directory), str(number), str(target)))
            results[title, number] = told | judged(target)
            print(_line(title, number, results[title, number]), flush=True)
    return results


# ---- judging


def _missed_images(results: Results) -> Iterator[str]:
    few = min((number for _, number in results), default=0)
    for (title, number), result in results.items():
        if not title.startswith(OURS):
            continue
        name = f"{title}, {number} parts"
        peer = results.get(("pymosaic-fits", number))
        if title == OURS and peer and result["cpu"] > GOAL_TIME * peer["cpu"]:
            yield f"{name}: {result['cpu'] / peer['cpu']:.1f} times as long as pymosaic-fits, to reach: {GOAL_TIME:g}"
        if title != f"{OURS}, files":
            if result["peak"] > GOAL_MEMORY:
                yield f"{name}: {result['peak'] / 1e6:.0f} MB, to reach: {GOAL_MEMORY / 1e6:g}"
            if result["peak"] > (1 + GOAL_GROWTH) * results[title, few]["peak"]:
                yield f"{name}: {result['peak'] / results[title, few]['peak']:.2f} times the memory of {few}"
        yield from _missed_places(name, result, result["worst position"], result["worst height"])
        if result["lost"]:
            yield f"{name}: {result['lost']} sources lost"


def _missed_places(name: str, result: Result, position: float, height: float) -> Iterator[str]:
    if position > GOAL_POSITION:
        yield f"{name}: position wrong by {position:.2f} arcmin, to reach: {GOAL_POSITION:g}"
    if abs(height) > GOAL_HEIGHT:
        yield f"{name}: height wrong by {height:.1f} %, to reach: {GOAL_HEIGHT:g}"


def _missed_spectra(results: Results) -> Iterator[str]:
    for (title, _), result in results.items():
        for what in ("rate", "error", "response"):
            if title == OURS and result[what] > GOAL_SPECTRUM:
                yield f"{what} deviates by {result[what]:.2g} %, to reach: {GOAL_SPECTRUM:g}"


def _missed_curves(results: Results) -> Iterator[str]:
    for (title, _), result in results.items():
        if title == OURS and (result["missing"] or result["wrong"]):
            yield f"{result['missing']} bins missing, {result['wrong']} wrong"


def _missed_genuine(results: Results) -> Iterator[str]:
    for (title, _), result in results.items():
        if title == OURS:
            yield from _missed_places(title, result, result["position"], result["height"])


_MISSED = {"images": _missed_images, "spectra": _missed_spectra, "curves": _missed_curves, "genuine": _missed_genuine}


def _line(title: str, number: int, result: Result) -> str:
    numbers = f"{result['cpu']:.2f}", f"{result['cpu'] / number:.3f}", f"{result['peak'] / 1e6:.0f}"
    others = (f"{value:.3g}" for name, value in result.items() if name not in ("cpu", "peak"))
    return _row(title, str(number), *numbers, *others)


def _row(first: str, *others: str) -> str:
    return f"{first:38}" + "".join(f"{other:>10}" for other in others)


if __name__ == "__main__":
    sys.exit(main())
