# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The synthetic truth behind the local service: what is in the sky, and what the instrument makes of it.

The server makes its products from these numbers, and the tests compare what arrives with the same numbers. Names and
positions are those of real objects (except the two without a catalogue entry), everything else is invented. Only numpy
is needed, so both environments can import it.

Times are IJD (days since MJD 51544.0, TT), angles degrees, energies keV, rates counts per second.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

MJDREF = 51544.0
DATA_START = 1020.0
"""First time with data: 2002-10-17."""
DATA_STOP = 9648.0
"""End of the data: 2026-06-01."""


# ---- sources -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constant:
    """No variability."""

    def factor(self, time: Any) -> Any:
        """Flux at these times (IJD), relative to the mean."""
        return np.ones_like(np.asarray(time, dtype=float))


@dataclass(frozen=True)
class Sinusoid:
    """One sine, at its mean and rising at IJD 0."""

    period: float
    amplitude: float

    def factor(self, time: Any) -> Any:
        """Flux at these times (IJD), relative to the mean."""
        return 1.0 + self.amplitude * np.sin(2.0 * np.pi * np.asarray(time, dtype=float) / self.period)


@dataclass(frozen=True)
class Decay:
    """Outbursts every `period` days: a linear decay from 1.5 to 0.5 times the mean, then at once the next."""

    period: float

    def factor(self, time: Any) -> Any:
        """Flux at these times (IJD), relative to the mean."""
        return 1.5 - np.mod(np.asarray(time, dtype=float) / self.period, 1.0)


@dataclass(frozen=True)
class Outburst:
    """Constant between two times (IJD), and nothing before and after."""

    start: float
    stop: float

    def factor(self, time: Any) -> Any:
        """Flux at these times (IJD), relative to that of the outburst."""
        time = np.asarray(time, dtype=float)
        return ((time >= self.start) & (time < self.stop)).astype(float)


@dataclass(frozen=True)
class Flare:
    """Constant but for one flare, which rises at once and decays exponentially (time and time constant in days)."""

    start: float
    peak: float
    decay: float

    def factor(self, time: Any) -> Any:
        """Flux at these times (IJD), relative to that outside of the flare."""
        since = np.asarray(time, dtype=float) - self.start
        return 1.0 + np.where(since >= 0.0, self.peak * np.exp(-np.clip(since, 0.0, None) / self.decay), 0.0)


@dataclass(frozen=True)
class Source:
    """
    A point source with a power-law spectrum.

    `norm` is in photons/cm2/s/keV at 1 keV. `known` tells whether it is in the reference catalogue: the others are
    reported as NEW_1, NEW_2, ... in the order of `SOURCES`.
    """

    name: str
    ra: float
    dec: float
    photon_index: float
    norm: float
    variability: Constant | Sinusoid | Decay | Outburst | Flare = Constant()
    known: bool = True
    other_names: tuple[str, ...] = ()

    def photons(self, low: Any, high: Any) -> Any:
        """Mean flux between these energies (photons/cm2/s)."""
        power = 1.0 - self.photon_index
        return self.norm / power * (np.asarray(high, dtype=float) ** power - np.asarray(low, dtype=float) ** power)


SOURCES = (
    Source("MAXI J1820+070", 275.0914, 7.1853, 1.7, 3.2, Sinusoid(0.25, 0.3), other_names=("V3721 Oph", "ASASSN-18ey")),
    Source("Ser X-1", 279.9896, 5.0358, 2.6, 11.0, Decay(10.0), other_names=("4U 1837+04",)),
    Source("4U 1823-00", 276.3417, -0.0122, 2.3, 1.6),
    Source("IGR J18308+0928", 277.7108, 9.4783, 1.8, 0.105),
    Source("IGR J18078+1123", 271.9570, 11.3470, 1.9, 0.185),
    Source("1RXS J180834.7+101041", 272.1446, 10.1781, 2.2, 0.42, Flare(2274.7814, 60.0, 600.0 / 86400.0)),
    Source("V2301 Oph", 270.1483, 8.1706, 2.4, 0.45),
    Source("V426 Oph", 271.9663, 5.8636, 2.4, 0.30),
    Source("Local J1829+0354", 277.4000, 3.9000, 2.0, 0.50, known=False),
    Source("Local J1812+0306", 273.2000, 3.1000, 2.0, 0.30, known=False),
    Source("Crab", 83.6331, 22.0145, 2.1, 10.0, other_names=("Crab Nebula", "M 1", "NGC 1952", "4U 0531+21")),
    Source("1A 0535+262", 84.7274, 26.3158, 2.0, 0.9, Decay(4.0), other_names=("V725 Tau",)),
    Source("SWIFT J0525.6+2416", 81.3468, 24.2257, 2.0, 0.33, other_names=("1RXS J052523.2+241331",)),
    # on from 2007-02-22 to 2007-06-15
    Source("XTE J1856+053", 284.1790, 5.3094, 2.1, 1.2, Outburst(2609.0, 2722.0)),
)


def source(name: str) -> Source:
    """The source of this name."""
    return next(entry for entry in SOURCES if entry.name == name)


# ---- instruments -------------------------------------------------------------------------------------------------


class Camera:
    """
    A telescope with a coded mask.

    Parameters
    ----------
    energy_edges, channel_edges : array
        Bins of the response (keV).
    area, width : callable
        Effective area (cm**2), and sigma of the energy resolution (keV), at an energy (keV).
    background : float
        Strength of the background of the whole detector, a power law of index 1.4.
    live_share : float
        DEADC: EXPOSURE is this part of ONTIME.
    psf_sigma, pixel : float
        Width of a point source in an image, a gaussian whose peak is the count rate; and size of a pixel.
    image_area : float
        Images hold count rates divided by this (dm**2, or 1 where they are plain count rates).
    fully_coded, field_limit : float
        Up to where the exposure is that of the axis, and where the field ends.
    threshold : float
        Channels below it are bad.
    """

    def __init__(
        self,
        energy_edges: np.ndarray,
        channel_edges: np.ndarray,
        *,
        area: Callable[[np.ndarray], np.ndarray],
        width: Callable[[np.ndarray], np.ndarray],
        background: float,
        live_share: float,
        psf_sigma: float,
        pixel: float,
        image_area: float = 1.0,
        fully_coded: float,
        field_limit: float,
        threshold: float,
    ) -> None:
        self.energy_lo, self.energy_hi = energy_edges[:-1], energy_edges[1:]
        self.channel_lo, self.channel_hi = channel_edges[:-1], channel_edges[1:]
        self.live_share, self.psf_sigma, self.pixel, self.image_area = live_share, psf_sigma, pixel, image_area
        self.fully_coded, self.field_limit, self.threshold = fully_coded, field_limit, threshold
        middle = np.sqrt(self.energy_lo * self.energy_hi)
        # as stored in the files, so that folding there and here is the same
        self.effective_area = area(middle).astype(np.float32).astype(float)
        deviations = (channel_edges[np.newaxis, :] - middle[:, np.newaxis]) / width(middle)[:, np.newaxis]
        matrix = np.diff(0.5 * (1.0 + np.vectorize(math.erf)(deviations / math.sqrt(2.0))), axis=1)
        # gaussian, cut where it no longer matters
        self.redistribution = np.where(matrix < 1e-4, 0.0, matrix).astype(np.float32).astype(float)
        self.background_rates = background / 0.4 * (self.channel_lo**-0.4 - self.channel_hi**-0.4)

    def fold(self, photons: Any) -> np.ndarray:
        """Count rate in each channel, for fluxes (photons/cm2/s) in the bins of the response."""
        return (np.asarray(photons) * self.effective_area) @ self.redistribution

    def channel_rates(self, entry: Source) -> np.ndarray:
        """Mean count rate of a source in each channel."""
        return self.fold(entry.photons(self.energy_lo, self.energy_hi))

    def in_band(self, rates: Any, low: float, high: float) -> float:
        """Sum of channel rates between two energies; channels which are partly inside count in part."""
        return float(np.sum(np.asarray(rates) * self.shares(low, high)))

    def shares(self, low: float, high: float) -> np.ndarray:
        """The part of each channel that is between two energies."""
        overlap = np.minimum(self.channel_hi, high) - np.maximum(self.channel_lo, low)
        return np.clip(overlap / (self.channel_hi - self.channel_lo), 0.0, 1.0)

    def band_rate(self, entry: Source, low: float, high: float) -> float:
        """Mean count rate of a source between two energies."""
        return self.in_band(self.channel_rates(entry), low, high)

    def vignetting(self, offset: Any) -> Any:
        """Exposure away from the axis, relative to that on the axis."""
        return np.interp(offset, [self.fully_coded, self.field_limit], [1.0, 0.1])

    def transmission(self, offset: Any) -> Any:
        """The same, and nothing outside of the field."""
        return np.where(np.asarray(offset) < self.field_limit, self.vignetting(offset), 0.0)

    def in_field(self, ra: float, dec: float) -> list[Source]:
        """Sources that an observation of this field sees."""
        return [entry for entry in SOURCES if separation(entry.ra, entry.dec, ra, dec) < self.field_limit]

    def significance(self, entry: Source, periods: Any, *, ra: float, dec: float, low: float, high: float) -> float:
        """What a source should have in an image of this field: its rate over its error, noise apart."""
        everything = self.in_band(self.background_rates, low, high)
        everything += sum(
            self.band_rate(other, low, high) * mean_factor(other, periods) for other in self.in_field(ra, dec)
        )
        offset = separation(entry.ra, entry.dec, ra, dec)
        time = on_time(periods) * self.live_share * CODED_SHARE * float(self.vignetting(offset))
        return self.band_rate(entry, low, high) * mean_factor(entry, periods) / math.sqrt(everything / time)


CODED_SHARE = 0.25
"""Part of the exposure that is worth something for one place in the sky, behind a coded mask and on axis."""

ISGRI = Camera(
    np.geomspace(13.0, 1000.0, 81),
    np.geomspace(13.0, 1000.0, 63),
    area=lambda energy: 960.0 * np.exp(-0.5 * (np.log(energy / 66.0) / 0.72) ** 2),
    width=lambda energy: 0.045 * np.sqrt(60.0 * energy),
    background=7.0 * 30.0**1.4,
    live_share=0.818,
    psf_sigma=0.1,
    pixel=0.0823,
    fully_coded=4.5,
    field_limit=15.0,
    threshold=15.0,
)
JEMX = Camera(
    np.geomspace(2.5, 38.0, 91),
    np.geomspace(3.04, 34.88, 41),
    area=lambda energy: 75.0 * np.exp(-0.5 * (np.log(energy / 8.0) / 0.8) ** 2),
    width=lambda energy: 0.17 * np.sqrt(energy),
    background=25.0,
    live_share=0.9,
    psf_sigma=0.05,
    pixel=0.04,
    image_area=0.75,
    fully_coded=2.4,
    field_limit=6.6,
    threshold=3.0,
)
"""Both units are the same."""

# ISGRI's own, which most tests use
ENERGY_LO, ENERGY_HI = ISGRI.energy_lo, ISGRI.energy_hi
CHANNEL_LO, CHANNEL_HI = ISGRI.channel_lo, ISGRI.channel_hi
EFFECTIVE_AREA, REDISTRIBUTION = ISGRI.effective_area, ISGRI.redistribution
LIVE_SHARE, PSF_SIGMA, PIXEL = ISGRI.live_share, ISGRI.psf_sigma, ISGRI.pixel
in_band, band_rate = ISGRI.in_band, ISGRI.band_rate
in_field, significance = ISGRI.in_field, ISGRI.significance

POINTING_LENGTH = 1900.0
"""Seconds that a science window lasts; the slew to the next takes the rest of its share of the orbit."""
WINDOWS = 115
"""Pointings in an orbit."""
ORBITS = ((1, 1020.5, 2.9917), (1489, 5472.2, 2.663))
"""Number, start (IJD) and length (d) of the first revolution, and of the first after the orbit was lowered."""
TELEMETRY_GAP = 5
"""Of each fifth pointing of an orbit the first minutes are lost: light curves have bins without data there."""


# ---- geometry ----------------------------------------------------------------------------------------------------


def separation(ra: Any, dec: Any, other_ra: Any, other_dec: Any) -> Any:
    """Angle between two directions."""
    first, second, difference = np.radians(dec), np.radians(other_dec), np.radians(np.subtract(ra, other_ra))
    half = np.sin((first - second) / 2.0) ** 2 + np.cos(first) * np.cos(second) * np.sin(difference / 2.0) ** 2
    return np.degrees(2.0 * np.arcsin(np.sqrt(half)))


def project(ra: float, dec: float, ra_centre: float, dec_centre: float) -> tuple[float, float]:
    """Gnomonic projection (FITS: TAN): degrees to the east and to the north of the centre."""
    a, d, d0 = math.radians(ra - ra_centre), math.radians(dec), math.radians(dec_centre)
    scale = math.sin(d) * math.sin(d0) + math.cos(d) * math.cos(d0) * math.cos(a)
    east = math.cos(d) * math.sin(a) / scale
    north = (math.sin(d) * math.cos(d0) - math.cos(d) * math.sin(d0) * math.cos(a)) / scale
    return math.degrees(east), math.degrees(north)


def unproject(east: float, north: float, ra_centre: float, dec_centre: float) -> tuple[float, float]:
    """Inverse of `project`."""
    x, y, d0 = math.radians(east), math.radians(north), math.radians(dec_centre)
    below = math.cos(d0) - y * math.sin(d0)
    dec = math.atan2(math.sin(d0) + y * math.cos(d0), math.hypot(x, below))
    return (ra_centre + math.degrees(math.atan2(x, below))) % 360.0, math.degrees(dec)


# ---- observations ------------------------------------------------------------------------------------------------


def window_name(revolution: int, number: int) -> str:
    """Identifier of a science window, such as ``066500220010.001``: revolution and pointing, each counted from 1."""
    return f"{revolution:04d}{number:04d}0010.001"


def window_time(name: str) -> float:
    """Start of a science window (IJD)."""
    if name in _observed():
        return _observed()[name].start
    revolution, number = int(name[:4]), int(name[4:8])
    first, start, length = max(orbit for orbit in ORBITS if orbit[0] <= max(revolution, 1))
    return start + length * (revolution - first + (number - 1) / WINDOWS)


def exists(name: str) -> bool:
    """Whether there are data of a science window: a pointing (slews end in 1), consolidated, of the mission's time."""
    if name[:12] in _unconsolidated() or name in _observed():
        return name in _observed()
    pointing = int(name[:4]) >= 1 and 1 <= int(name[4:8]) <= WINDOWS and name[8:] == "0010.001"
    return pointing and DATA_START <= window_time(name) < DATA_STOP


@lru_cache(maxsize=100)
def windows(start: float, stop: float) -> tuple[str, ...]:
    """All science windows with data that overlap an interval (IJD), in order of time."""
    found: list[str] = []
    length_of_window = POINTING_LENGTH / 86400.0
    for (first, begin, length), following in zip(ORBITS, [*ORBITS[1:], (10_000, math.inf, 0.0)], strict=True):
        step, last = length / WINDOWS, (following[0] - first) * WINDOWS
        low, high = max(start, begin, DATA_START), min(stop, following[1], DATA_STOP)
        numbers = np.arange(max(0, int((low - begin) / step) - 1), min(last, max(0, int((high - begin) / step) + 2)))
        times = begin + length * (numbers / WINDOWS)
        kept = (times >= DATA_START) & (times < DATA_STOP) & (times < stop) & (times + length_of_window > start)
        found += [window_name(first + int(number) // WINDOWS, int(number) % WINDOWS + 1) for number in numbers[kept]]
    return tuple(found)


def spread(start: float, stop: float, number: int) -> list[str]:
    """So many science windows of an interval (IJD), evenly over it: for requests that name theirs."""
    names = list(windows(start, stop))
    return names[:: max(1, len(names) // number)][:number]


def drawn(names: Sequence[str], most: int, request: dict[str, Any]) -> list[str]:
    """At most so many of these science windows: a random subset, always the same for the same request."""
    if len(names) <= most:
        return list(names)
    chosen = generator({"draw": request}).choice(len(names), size=most, replace=False)
    return [names[index] for index in sorted(chosen)]


def periods(names: Sequence[str]) -> np.ndarray:
    """Start and stop of each of these science windows (IJD), shape (number, 2)."""
    begin = np.array([window_time(name) for name in names], dtype=float)
    stop = begin + POINTING_LENGTH / 86400.0
    for number, name in enumerate(names):
        if name in _observed():
            stop[number] = _observed()[name].stop
    return np.column_stack([begin, stop])


def on_time(periods: Any) -> float:
    """Total length of the pointings, in seconds."""
    return float(np.sum(np.diff(periods, axis=1)) * 86400.0)


def mean_factor(entry: Source, periods: Any) -> float:
    """Mean flux of a source during the pointings, relative to its long-term mean."""
    periods = np.asarray(periods)
    grid = (np.arange(20) + 0.5) / 20.0
    times = periods[:, :1] + np.diff(periods, axis=1) * grid
    return float(np.average(entry.variability.factor(times).mean(axis=1), weights=np.diff(periods, axis=1)[:, 0]))


def generator(parameters: dict[str, Any]) -> np.random.Generator:
    """Random numbers that are the same whenever and wherever the parameters are the same."""
    text = json.dumps(parameters, sort_keys=True, default=str)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


# ---- the long observation ----------------------------------------------------------------------------------------

FIELDS = {"Ser X-1": (278.5, 5.5), "Crab": (83.6331, 22.0145)}
"""Middle of the pattern in which the spacecraft pointed."""
VISITS = (
    *((295, "Ser X-1", 25), (296, "Ser X-1", 25), (299, "Ser X-1", 25), (300, "Crab", 8)),
    *((360, "Ser X-1", 25), (365, "Crab", 8), (417, "Ser X-1", 25), (420, "Ser X-1", 50)),
    *((422, "Crab", 8), (480, "Ser X-1", 25), (483, "Crab", 8), (484, "Ser X-1", 25)),
    *((538, "Ser X-1", 25), (541, "Crab", 8), (545, "Ser X-1", 30), (603, "Ser X-1", 25), (660, "Ser X-1", 25)),
    # was processed after the others, so that its windows come last in the index
    (362, "Ser X-1", 15),
)
"""Revolution, field and number of pointings of the long observation, in the order of the index."""
LATEST = ((603, "Ser X-1", 25), (660, "Ser X-1", 25), (663, "Ser X-1", 10))
"""Those of which there are near real-time data; of the last of them there are no others."""
FIRST_POINTING = 10
"""Number of the first pointing of a visit in its revolution."""
DITHER = 2.0
"""Step of the pattern."""
INTERRUPTED = 7
"""This pointing of each third visit is in two parts, the first of them short ..."""
SHORT_LENGTH = 300.0
"""... so many seconds."""
SCIENCE_MODE, OTHER_MODE = 41, 43
"""IBISMODE: of windows with data of ISGRI, and of some others, which JEM-X has data of."""
OFF_POINTING = 12
"""This pointing of each fourth visit is in the other mode."""
NEAR_REAL_TIME_DELAY = 2.0
"""Seconds by which near real-time data begin later."""
INDEX_VERSION = {"cons": "20081231000000", "nrt": "20081231060000"}


@dataclass(frozen=True)
class Window:
    """A science window of the index: name (12 digits), direction of the axis, times (IJD), mode of IBIS."""

    name: str
    ra: float
    dec: float
    start: float
    stop: float
    mode: int = SCIENCE_MODE


def _pattern() -> list[tuple[int, int]]:
    """Steps of 5 x 5 pointings, on a spiral from the middle outwards."""
    x, y, dx, dy, steps = 0, 0, 1, 0, [(0, 0)]
    for leg in range(1, 11):
        for _ in range((leg + 1) // 2):
            x, y = x + dx, y + dy
            steps.append((x, y))
        dx, dy = -dy, dx
    return steps[:25]


def _axis(revolution: int, field: str, number: int) -> tuple[float, float]:
    """Where a pointing of a visit looks; the pattern turns with the Sun, and is repeated after 25 pointings."""
    east, north = _pattern()[number % 25]
    roll = math.radians(2.95 * revolution)
    return unproject(
        DITHER * (east * math.cos(roll) - north * math.sin(roll)),
        DITHER * (east * math.sin(roll) + north * math.cos(roll)),
        *FIELDS[field],
    )


def _visit(order: int, revolution: int, field: str, number: int) -> list[Window]:
    """All windows of a visit: an engineering window, pointings, and the slews between them."""
    first, start, length = ORBITS[0]
    step, pointing = length / WINDOWS, POINTING_LENGTH / 86400.0
    begin = start + length * (revolution - first) + step * (FIRST_POINTING - 1)
    found = [Window(f"{revolution:04d}{FIRST_POINTING - 1:04d}0012", *_axis(revolution, field, 0), begin - step, begin)]
    for each in range(number):
        name, at = f"{revolution:04d}{FIRST_POINTING + each:04d}", begin + step * each
        axis, end = _axis(revolution, field, each), at + pointing
        mode = OTHER_MODE if each == OFF_POINTING and order % 4 == 1 else SCIENCE_MODE
        if each == INTERRUPTED and order % 3 == 0:
            middle = at + SHORT_LENGTH / 86400.0
            found += [
                Window(f"{name}0010", *axis, at, middle, mode),
                Window(f"{name}0020", *axis, middle, end, mode),
            ]
        else:
            found.append(Window(f"{name}0010", *axis, at, end, mode))
        if each + 1 < number:
            found.append(Window(f"{name}0021", *axis, end, at + step, mode))
    return found


@lru_cache
def index(kind: str = "cons") -> tuple[Window, ...]:
    """The service's index of science windows: consolidated ones (``cons``), or near real-time ones (``nrt``)."""
    visits = [list(visit) for visit in (VISITS if kind == "cons" else LATEST)]
    order = [visit[0] for visit in VISITS]
    found = [w for visit in visits for w in _visit(order.index(visit[0]) if visit[0] in order else 2, *visit)]
    if kind == "cons":
        return tuple(found)
    delay = NEAR_REAL_TIME_DELAY / 86400.0
    return tuple(replace(window, start=window.start + delay) for window in found)


@lru_cache
def _observed() -> dict[str, Window]:
    """Pointings of the long observation with data, by name and version."""
    kinds = (("cons", ".001"), ("nrt", ".000"))
    return {w.name + version: w for kind, version in kinds for w in index(kind) if w.name[-1] == "0"}


@lru_cache
def _unconsolidated() -> frozenset[str]:
    """Windows of which there are near real-time data only."""
    return frozenset(window.name for window in index("nrt")) - {window.name for window in index("cons")}


def pointing(name: str) -> tuple[float, float] | None:
    """Direction of the axis (RA, DEC) of a window with data of the long observation; others look where they shall."""
    window = _observed().get(name)
    return None if window is None else (window.ra, window.dec)


def has_isgri(name: str) -> bool:
    """Whether ISGRI was taking data; JEM-X does not depend on that mode."""
    return name not in _observed() or _observed()[name].mode == SCIENCE_MODE


class Pointings:
    """
    What a camera sees in science windows which have an axis of their own; others look at the position given.

    Arrays have a value for each window, in order of time. The mean of a source is weighted as in the products: in images
    by the inverse of the variance, in spectra by the exposure at the place of the source.
    """

    def __init__(self, camera: Camera, names: Sequence[str], ra: float, dec: float) -> None:
        self.camera = camera
        self.names = tuple(sorted(set(names), key=window_time))
        self.periods = periods(self.names)
        self.seconds = np.diff(self.periods, axis=1)[:, 0] * 86400.0
        self.ra, self.dec = np.array([pointing(name) or (ra, dec) for name in self.names]).T
        self.sources = [entry for entry in SOURCES if self.sees(entry.ra, entry.dec).any()]

    def offsets(self, ra: float, dec: float) -> np.ndarray:
        """Distance of a place from the axes."""
        return separation(ra, dec, self.ra, self.dec)

    def sees(self, ra: float, dec: float) -> np.ndarray:
        """Whether a place is in the field."""
        return self.offsets(ra, dec) < self.camera.field_limit

    def useful(self, ra: float, dec: float) -> np.ndarray:
        """What the exposure is worth for a place (s), which may be outside of the field."""
        worth = self.seconds * self.camera.live_share * CODED_SHARE
        return worth * self.camera.transmission(self.offsets(ra, dec))

    def factors(self, entry: Source) -> np.ndarray:
        """Mean flux of a source, relative to its long-term mean."""
        return np.array([mean_factor(entry, [period]) for period in self.periods])

    @cached_property
    def detector_rates(self) -> np.ndarray:
        """All that the detector counts, shape (windows, channels): sources away from the axis reach a part of it only."""
        rates = np.tile(self.camera.background_rates, (len(self.names), 1))
        for entry in self.sources:
            reached = self.camera.transmission(self.offsets(entry.ra, entry.dec)) * self.factors(entry)
            rates += reached[:, np.newaxis] * self.camera.channel_rates(entry)
        return rates

    def totals(self, low: float, high: float) -> np.ndarray:
        """The same between two energies."""
        return self.detector_rates @ self.camera.shares(low, high)

    def image_weights(self, ra: float, dec: float, low: float, high: float) -> np.ndarray:
        """Inverse of the variance at a place of an image (s**2)."""
        return self.useful(ra, dec) / self.totals(low, high)

    def image_factor(self, entry: Source, low: float, high: float) -> float:
        """Mean flux in a mosaic of these windows, relative to the long-term mean of the source."""
        return float(np.average(self.factors(entry), weights=self.image_weights(entry.ra, entry.dec, low, high)))

    def spectrum_factor(self, entry: Source) -> float:
        """Mean flux in a spectrum of these windows, relative to the long-term mean of the source."""
        return float(np.average(self.factors(entry), weights=self.useful(entry.ra, entry.dec)))

    def significance(self, entry: Source, low: float, high: float) -> float:
        """What a source should have in a mosaic of these windows, noise apart."""
        rate = self.camera.band_rate(entry, low, high) * self.image_factor(entry, low, high)
        return rate * math.sqrt(float(np.sum(self.image_weights(entry.ra, entry.dec, low, high))))


# ---- anticoincidence shield --------------------------------------------------------------------------------------

ACS_BACKGROUND = 80000.0
ACS_BIN = 0.05
"""Native bins (seconds); those of light curves are made of a whole number of them."""
ACS_PHASE = 0.0312
"""Seconds after a multiple of the native bins (since IJD 0) when a native bin begins."""
ACS_SLIPS = 0.002
"""Part of the edges between bins of a light curve that come one native bin late, so that two bins differ in width."""


def acs_bins(start: float, stop: float, time_bin: float, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """
    Edges of the bins (seconds since `start`) between two times (seconds since IJD 0), and their nominal width.

    The width is rounded down to native bins, by a division that knows nothing of 0.3 / 0.05 = 5.999...
    """
    native = max(1, int(time_bin / ACS_BIN))
    first = ACS_BIN * np.ceil((start - ACS_PHASE) / ACS_BIN) + ACS_PHASE - start
    number = max(native, int((stop - start - first) / ACS_BIN))
    edges = np.arange(0, number + 1, native)
    if native > 1:
        late = generator.random(len(edges)) < ACS_SLIPS
        late[[0, -1]] = False
        edges = edges + late
    return first + edges * ACS_BIN, round(native * ACS_BIN, 2)


BURST_FRACTION = 0.4
"""A burst begins at this part of whatever interval is asked for ..."""
BURST_PEAK = 40000.0
"""... jumps to this rate above the background ..."""
BURST_DECAY = 8.0
"""... and decays exponentially with this time constant (seconds)."""


def burst_counts(low: Any, high: Any, length: float) -> Any:
    """Counts of the burst between two times, in seconds since the start of an interval of this length."""
    since_low, since_high = (np.clip(np.asarray(edge) - BURST_FRACTION * length, 0.0, None) for edge in (low, high))
    return BURST_PEAK * BURST_DECAY * (np.exp(-since_low / BURST_DECAY) - np.exp(-since_high / BURST_DECAY))


# ---- workflow ----------------------------------------------------------------------------------------------------

WORKFLOW_FLUX = {"archive": 2.5e-11, "simulation": 4.0e-11}
"""Mean flux (erg/cm2/s) of the light curves in band g, for each value of the workflow's parameter `source`."""
WORKFLOW_BANDS = {"g": 1.0, "i": 0.8, "r": 0.9}
"""Flux in each band, relative to that in g."""
WORKFLOW_ERROR = 1.0e-12
WORKFLOW_COMMENT = "flux is νFν, synthetic"
WORKFLOW_TEXT = "héllo wörld\nsecond line"
WORKFLOW_NUMBER = 4.5
WORKFLOW_BYTES = bytes(range(256))
WORKFLOW_TABLES = (SOURCES[:8], SOURCES[8:10], SOURCES[10:13])
"""Sources in each of the tables, all of which have the same name."""


def workflow_light_curve(start: float, stop: float, bins: int, source: str, band: str) -> tuple[np.ndarray, np.ndarray]:
    """Bin centres between two times, in whatever unit these are, and fluxes: one period of a sine."""
    phase = (np.arange(bins) + 0.5) / bins
    flux = WORKFLOW_FLUX[source] * WORKFLOW_BANDS[band] * (1.0 + 0.5 * np.sin(2.0 * np.pi * phase))
    return start + phase * (stop - start), flux


def workflow_picture() -> bytes:
    """A PNG of 16 x 8 pixels, all grey values from 0 to 127."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + bytes(range(16 * row, 16 * row + 16)) for row in range(8))
    header = struct.pack(">IIBBBBB", 16, 8, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# ---- workflows of other observatories ----------------------------------------------------------------------------

ERG = 1.602176634e-12
"""An electronvolt."""
SED_CURVATURE = 0.02
SED_ERRORS = (0.1, 0.2)
"""Errors towards smaller and towards larger values, relative to these; the first one where there is only one."""
LIMIT = 2.0
"""Upper limits, relative to the truth."""
CURVE_FLUX = 2.0e-11
"""Mean of the light curves, whatever their unit."""
CURVE_VARIABILITY = Sinusoid(10.0, 0.5)
"""Of the light curves; its times are MJD in UTC."""
FIELD_SOURCES = (("PSF", 0.0, 0.0, 10.0), ("REX", 0.004, 0.002, 20.0), ("DUP", -0.003, 0.001, 0.5))
"""Of a catalogue: type, degrees to the east and to the north of the centre, flux in band g (microJy)."""
IMAGE_PEAK = 50.0
"""Of the one source of an image, a gaussian with a width of 2 pixels that is in the middle of a pixel."""


def sed(energy: Any) -> Any:
    """
    E**2 dN/dE of the Crab (erg/cm2/s) at energies in eV, from radio waves to cosmic rays.

    A log-parabola that touches the power law of INTEGRAL's instruments at 1 keV.
    """
    crab = source("Crab")
    decades = np.log10(np.asarray(energy, dtype=float) / 1e3)
    return crab.norm * 1e3 * ERG * 10.0 ** ((2.0 - crab.photon_index) * decades - SED_CURVATURE * decades**2)
