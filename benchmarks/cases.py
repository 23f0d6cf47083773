"""The cases of the benchmark: what is in each body, made anew by whoever needs it, and the goals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

LIGHT_CURVE = [(name, ">f8") for name in ("TIME", "XAX_E")]
LIGHT_CURVE += [(name, ">f4") for name in ("RATE", "ERROR", "BACKV", "BACKE", "FRACEXP")]
CHANNELS, ENERGIES = 256, 2000


@dataclass(frozen=True)
class Case:
    """One body, the form that is asked of it, and what is to be reached."""

    name: str
    title: str
    form: str
    count: int = 1
    size: int = 1
    faster: float | None = 5  # at least so many times faster than oda_api
    floor: float | None = None  # at most so many times the floor
    memory: float | None = None  # at most so many times the body, likewise
    listing: float | None = None  # listing at most this part of decoding
    parse: float | None = 1.5  # listing at most so many times the JSON parse
    astropy: float | None = None  # at most this part of the time that astropy's own reader takes


CASES = {
    case.name: case
    for case in (
        Case("lc-1k", "light curve, 1k rows", "lightcurve", size=1000),
        Case("mosaic", "mosaic 5 x 500 x 500", "image", count=5, size=500, floor=2, memory=2.2),
        Case("spectra", "2 sources, spectrum + ARF + RMF", "spectrum", count=2, memory=2.2),
        Case("spectra-vl", "the same, variable-length RMF", "spectrum", count=2, faster=2.5),
        Case(
            "lc-200", "200 light curves x 1000", "lightcurve", count=200, size=1000, faster=10, memory=2.2, listing=0.3
        ),
        Case("lc-1m", "light curve, 1M rows", "lightcurve", size=1_000_000, faster=10, floor=2, memory=2.2),
        Case("image", "image 4096 x 4096", "image", count=1, size=4096, faster=10, floor=2, memory=2.2),
        # oda_api leaves its tables to astropy's reader
        Case("ecsv", "ECSV, 100k rows", "data", size=100_000, faster=None, astropy=0.65),
        Case("catalog", "catalogue of 5000", "catalog", size=5000, faster=10),
        Case("binary", "binary 8 MiB", "data", size=8 * 2**20),
    )
}


def small(case: Case) -> Case:
    """The same, made small: for a first reading that is not measured."""
    return replace(case, count=min(case.count, 1), size=min(case.size, 10))


def _random(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)


def light_curve(case: Case, index: int) -> np.ndarray:
    """Records of one source, big-endian as in a FITS file."""
    random = _random(1, index)
    table = np.zeros(case.size, LIGHT_CURVE)
    table["TIME"] = 6000 + np.arange(case.size) * 1e-3
    table["XAX_E"] = 5e-4
    for name in ("RATE", "ERROR", "BACKV", "BACKE", "FRACEXP"):
        table[name] = random.random(case.size, dtype="f4") + 0.1
    return table


def image(case: Case, index: int) -> np.ndarray:
    """Pixels of one image, without data at its edge."""
    pixels = _random(2, index).standard_normal((case.size, case.size), dtype="f4").astype(">f4")
    pixels[:, : case.size // 10] = np.nan
    return pixels


def spectrum(index: int) -> np.ndarray:
    """Records of one spectrum."""
    names = [("CHANNEL", ">i2"), ("RATE", ">f4"), ("STAT_ERR", ">f4"), ("SYS_ERR", ">f4"), ("QUALITY", ">i2")]
    table = np.zeros(CHANNELS, [*names, ("GROUPING", ">i2")])
    table["CHANNEL"] = np.arange(CHANNELS)
    for name in ("RATE", "STAT_ERR", "SYS_ERR"):
        table[name] = _random(3, index).random(CHANNELS)
    return table


def effective_area(index: int) -> np.ndarray:
    """Records of one ARF."""
    table = np.zeros(ENERGIES, [(name, ">f4") for name in ("ENERG_LO", "ENERG_HI", "SPECRESP")])
    table["ENERG_LO"], table["ENERG_HI"] = np.arange(ENERGIES), np.arange(ENERGIES) + 1
    table["SPECRESP"] = _random(4, index).random(ENERGIES)
    return table


def channel_bounds() -> np.ndarray:
    """Records of EBOUNDS."""
    table = np.zeros(CHANNELS, [("CHANNEL", ">i2"), ("E_MIN", ">f4"), ("E_MAX", ">f4")])
    table["CHANNEL"], table["E_MIN"] = np.arange(CHANNELS), np.arange(CHANNELS) * 2 + 10
    table["E_MAX"] = table["E_MIN"] + 2
    return table


def response(index: int) -> list[np.ndarray]:
    """Rows of the matrix; a fixed-length one has all of them filled up with zeros."""
    random = _random(5, index)
    lengths = random.integers(1, CHANNELS, ENERGIES)
    return [random.random(length, dtype="f4") for length in lengths]


def filled(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of different lengths as an array."""
    matrix = np.zeros((len(rows), CHANNELS), ">f4")
    for row, target in zip(rows, matrix, strict=True):
        target[: len(row)] = row
    return matrix


def sources(case: Case) -> dict[str, list]:
    """Columns of a catalogue or of a table."""
    random, count = _random(6), case.size
    return {
        "meta_ID": list(range(count)),
        "src_names": [f"Source {number}" for number in range(count)],
        "significance": (random.random(count) * 100).tolist(),
        "ra": (random.random(count) * 360).tolist(),
        "dec": (random.random(count) * 180 - 90).tolist(),
        "NEW_SOURCE": [0] * count,
        "ISGRI_FLAG": [2] * count,
        "FLAG": [1] * count,
        "ERR_RAD": [0.01] * count,
    }


def octets(case: Case) -> bytes:
    """A file; one whose base64 has no "null" in it, which oda_api would turn into "None"."""
    return _random(8).bytes(case.size)
