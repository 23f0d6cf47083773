# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
ISGRI, the soft gamma-ray imager: mosaic images with a catalogue, spectra with their response, light curves.

JEM-X (jemx.py) derives from what is here. Columns, units and keywords are those of genuine products, with numbers of our
own: tests/test_genuine_standin.py compares the two where the genuine ones are at hand.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sky
from astropy.io import fits
from astropy.time import Time
from cdci_data_analysis.analysis.catalog import BasicCatalog
from cdci_data_analysis.analysis.instrument import Instrument
from cdci_data_analysis.analysis.parameters import Angle
from cdci_data_analysis.analysis.products import CatalogProduct, ImageProduct, LightCurveProduct, SpectrumProduct
from cdci_data_analysis.analysis.queries import (
    ImageQuery,
    InstrumentQuery,
    ProductQuery,
    SourceQuery,
    SpectralFitQuery,
    SpectrumQuery,
)
from oda_api.data_products import NumpyDataProduct, NumpyDataUnit
from scipy.ndimage import gaussian_filter

from .backend import CONFIGURATION, Backend, BackendFailure, LocalQuery, Parameters, ijd, judged
from .parameters import Choice, Count, EnergyLimit, OsaVersion, TimeBin

DETECTABLE = 7.0
"""Without a catalogue, spectra and light curves are made of the known sources above this significance."""
MATCH_RADIUS = 0.2
NOISE_SIGMA = 0.85
"""Width of what pixels have in common, in that of a point source: a correlation of 0.8 between neighbours of ISGRI."""
LARGEST_OFFSET = 40.0
"""Images of pointings that are farther from their middle would not fit on a plane."""
MADE = "2026-01-31T12:00:00"
COMMON_KEYWORDS = {
    "BASETYPE": "DAL_TABLE",
    "TELESCOP": "INTEGRAL",
    "ORIGIN": "ISDC",
    "EXTREL": "11.0",
    "CREATOR": "local sky 2.0",
    "CONFIGUR": "synthetic",
    "DATE": MADE,
    "MJDREF": sky.MJDREF,
    "TIMESYS": "TT",
    "TIMEUNIT": "d",
    "TIMEREF": "LOCAL",
}
OF_RESPONSES = {"HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "HDUVERS": "1.3.0"}
OLD_RESPONSES = {"HDUVERS1": "1.0.0", "HDUVERS2": "1.3.0", "RMFVERSN": "1992a", "CHANTYPE": "PI", "EFFAREA": 1.0}
"""What the tools that rebin responses write besides."""


@dataclass(frozen=True)
class Device:
    """A camera, and what is peculiar to its files: keywords, and names of their extensions."""

    camera: sky.Camera
    keywords: dict[str, Any]
    image: str
    spectrum: str
    arf: str
    bounds: str
    matrix: str
    light_curve: str
    maps: dict[str, tuple[str, str]]
    """Images of a mosaic: IMATYPE and BUNIT of each."""
    no_exposure: float
    """Value of pixels outside of the field."""


ISGRI = Device(
    sky.ISGRI,
    {**COMMON_KEYWORDS, "INSTRUME": "IBIS", "DETNAM": "ISGRI"},
    image="ISGR-MOSA-IMA",
    spectrum="ISGR-EVTS-SPE",
    arf="ISGR-ARF.-RSP",
    bounds="ISGR-EBDS-MOD",
    matrix="ISGR-RMF.-RSP",
    light_curve="ISGR-SRC.-LCR",
    maps={
        "INTENSITY": ("INTENSITY", "counts/sec"),
        "VARIANCE": ("VARIANCE", "(counts/sec)**2"),
        "SIGNIFICANCE": ("SIGNIFICANCE", "no units"),
        "EXPOSURE": ("EXPOSURE", "sec"),
    },
    no_exposure=0.0,
)


# ---- the observation ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """Something to extract: a source under the name and at the place that were asked for."""

    name: str
    ra: float
    dec: float
    source: sky.Source | None

    def channel_rates(self, camera: sky.Camera, periods: np.ndarray) -> np.ndarray:
        """Mean rates during these times; an empty place has none."""
        if self.source is None:
            return np.zeros(len(camera.channel_lo))
        return camera.channel_rates(self.source) * sky.mean_factor(self.source, periods)


class Observation:
    """
    What the instrument does for a request.

    Science windows are computed as a whole, also where an end of the interval is inside of one. All of them look exactly
    at the position that is asked for, so that any `radius` selects all; it does not limit the field of view. Only a list
    with windows of the long observation is different (`pointings`): there each window is computed for itself, with noise
    that depends on nothing but that window, the energies and the source.
    """

    def __init__(self, parameters: Parameters, device: Device) -> None:
        self.device, self.camera = device, device.camera
        self.ra, self.dec = (float(parameters[name]) for name in ("RA", "DEC"))
        self.low, self.high = float(parameters["E1_keV"]), float(parameters["E2_keV"])
        self.windows = _windows(parameters)
        self.pointings = None
        if parameters["scw_list"] and any(sky.pointing(window) for window in self.windows):
            self.pointings = sky.Pointings(self.camera, self.windows, self.ra, self.dec)
            self.windows = list(self.pointings.names)
        self.periods = sky.periods(self.windows)
        self.sources = self.pointings.sources if self.pointings else self.camera.in_field(self.ra, self.dec)

    def require_data(self) -> None:
        """Fail like the real analysis when there is nothing to analyse."""
        if not self.windows or self.low >= self.high:
            raise BackendFailure("AnalysisException:NoValidScW()")

    def seeing(self, target: Target) -> list[str]:
        """Windows which have the target in their field."""
        if self.pointings is None:
            return self.windows
        return [self.windows[number] for number in np.flatnonzero(self.pointings.sees(target.ra, target.dec))]

    def offset(self, ra: float, dec: float) -> float:
        """Distance of a place from the axis, or from the nearest of them."""
        if self.pointings is None:
            return float(sky.separation(ra, dec, self.ra, self.dec))
        return float(self.pointings.offsets(ra, dec).min())

    def random(self, window: str, product: str, **more: Any) -> np.random.Generator:
        """Noise of a window of the long observation."""
        device = self.device.keywords["INSTRUME"]
        return sky.generator({"window": window, "product": product, "device": device, **more})

    def useful_time(self, ra: float, dec: float, seconds: float) -> float:
        """What an exposure is worth for a place in the sky, where all windows look at one."""
        offset = sky.separation(ra, dec, self.ra, self.dec)
        return seconds * self.camera.live_share * sky.CODED_SHARE * float(self.camera.vignetting(offset))

    def detector_rates(self) -> np.ndarray:
        """All that the detector counts in each channel: every source adds to the noise of the others."""
        rates = [self.camera.channel_rates(source) * sky.mean_factor(source, self.periods) for source in self.sources]
        return sum(rates, self.camera.background_rates)

    def targets(self, catalogue: list[dict[str, Any]] | None) -> list[Target]:
        """The selected sources which are in the field, or those that an image would show; by name."""
        if catalogue is None:
            found = [
                Target(source.name, source.ra, source.dec, source)
                for source in self.sources
                if source.known and self.is_detected(source)
            ]
        else:
            found = [
                Target(row["name"], row["ra"], row["dec"], self._nearest(row["ra"], row["dec"]))
                for row in catalogue
                # the analysis software selects by this flag, without a word about the others
                if row["ISGRI_FLAG"] in (1, 2) and self.offset(row["ra"], row["dec"]) < self.camera.field_limit
            ]
        return sorted(found, key=lambda target: target.name)

    def is_detected(self, source: sky.Source) -> bool:
        """Whether an image would show it."""
        if self.pointings:
            return self.pointings.significance(source, self.low, self.high) > DETECTABLE
        band = {"low": self.low, "high": self.high}
        return self.camera.significance(source, self.periods, ra=self.ra, dec=self.dec, **band) > DETECTABLE

    def _nearest(self, ra: float, dec: float) -> sky.Source | None:
        near = [(float(sky.separation(ra, dec, source.ra, source.dec)), source) for source in self.sources]
        distance, source = min(near, key=lambda pair: pair[0], default=(math.inf, None))
        return source if distance < MATCH_RADIUS else None


def _windows(parameters: Parameters) -> list[str]:
    """Science windows of a request: those of the list, else a random subset of those that match."""
    asked = parameters["scw_list"]
    if any(not re.fullmatch(r"\d{12}\.\d{3}", window) for window in asked):
        raise BackendFailure("AnalysisException:NotAScienceWindow()")
    if asked:
        needs_isgri = parameters["instrument"] == "isgri"
        return [window for window in asked if sky.exists(window) and (sky.has_isgri(window) or not needs_isgri)]
    if float(parameters["radius"]) <= 0.0:
        return []
    matching = sky.windows(ijd(parameters["T1"]), ijd(parameters["T2"]))
    return sky.drawn(matching, int(parameters["max_pointings"]), parameters)


class IsgriQuery(LocalQuery):
    """Common to all products: reports as the real workers send them, one for each step of each science window."""

    instrument = "isgri"
    kind = Observation

    def observation(self, parameters: Parameters) -> Observation:
        """What was asked for; it fails like the real analysis when there is nothing to analyse."""
        observation = self.kind(parameters, self.device(parameters))
        observation.require_data()
        return observation

    def device(self, parameters: Parameters) -> Device:
        """Which one is asked for."""
        return ISGRI

    def check_query_roles(self, roles: list[str], par_dic: dict[str, Any]) -> dict[str, Any]:
        """What needs rights of its own; the words are those of the real instrument."""
        windows = par_dic.get("scw_list") or []
        name, number = ("scw_list", len(windows)) if windows else ("max_pointings", int(par_dic["max_pointings"]))
        needed = {}
        for most, role in ((50, "unige-hpc-full"), (500, "unige-hpc-extreme")):
            if number > most:
                needed[role] = f"it is needed to request > {most} ScW, you requested {name}={number}"
        if any(window[12:] == ".000" and sky.exists(window) for window in windows):
            needed["integral-public-nrt"] = "this role is needed to access near real-time data"
        if par_dic["integral_data_rights"] == "all-private":
            needed["integral-private-qla"] = (
                "this role is needed to access private INTEGRAL data requested with "
                'integral_data_rights == "all-private"'
            )
        return judged(roles, needed)

    def steps(self, parameters: Parameters) -> Iterator[dict[str, str]]:
        window = (_windows(parameters) or ["none"])[0]
        for number, (node, message) in enumerate(
            [("BinMapsImage", "main starting"), ("ScWData", "restored from cache"), ("ii_skyimage", "main done")]
        ):
            action = "restored" if "cache" in message else message
            yield {"action": action, "node_id": f"node{number}", "node": node, "message": message, "scwid": window}


def inputs(parameters: Parameters) -> list[str]:
    """Science windows of a request."""
    return parameters["scw_list"] or _windows(parameters)


def primary(**keywords: Any) -> fits.PrimaryHDU:
    """Without data."""
    return fits.PrimaryHDU(header=fits.Header(keywords))


def table(name: str, columns: list[tuple[str, str, str | None, Any]], keywords: dict[str, Any]) -> fits.BinTableHDU:
    """Columns are name, format, unit, values; unsigned numbers are in two bytes, as FITS has them."""
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column(name=title, format=form, unit=unit, array=array, bzero=32768 if _is_unsigned(array) else None)
            for title, form, unit, array in columns
        ]
    )
    hdu.header.extend({"EXTNAME": name, **keywords}.items(), update=True)
    return hdu


def _is_unsigned(values: Any) -> bool:
    return getattr(values, "dtype", None) == np.uint16


def utc(time: float) -> str:
    """As the headers have it: UTC, to the second, although TIMESYS is TT."""
    return Time(time + sky.MJDREF, format="mjd", scale="tt").utc.isot[:19]


# ---- images ------------------------------------------------------------------------------------------------------


class IsgriImage(IsgriQuery, ImageQuery):
    """Mosaic of one or two energy bands, and the sources in it."""

    catalogue_columns = (("NEW_SOURCE", ">i2"), ("ISGRI_FLAG", "<i8"), ("FLAG", "<i8"), ("ERR_RAD", "<f8"))
    """After the name, the position and the significance."""

    fixed = {"number_of_bands": 1}
    """So that pointings and noise are the same, whether a server has the parameter or not."""

    def __init__(self, name: str) -> None:
        # the real service has one band, and no such parameter
        several = os.environ.get("MMODA_LOCAL_BANDS", "1") != "1"
        super().__init__(name, [Count("number_of_bands", 1, high=2)] if several else [])

    def compute(self, parameters: Parameters, directory: Path) -> None:
        observation = self.observation(parameters)
        generator = sky.generator(parameters)
        edges = np.geomspace(observation.low, observation.high, int(parameters.get("number_of_bands", 1)) + 1)
        bands = [_Band(observation, low, high, generator) for low, high in zip(edges[:-1], edges[1:], strict=True)]

        images = [image for band in bands for image in band.images()]
        for version, image in enumerate(images, start=1):
            image.header["EXTVER"] = version
        hdus = [primary(), _image_group(observation, images), *images]
        fits.HDUList(hdus).writeto(directory / "mosaic.fits", overwrite=True)

        found = _catalogue(observation, bands, float(parameters["detection_threshold"]))
        (directory / "catalogue.json").write_text(json.dumps(found))

    def read(self, directory: Path) -> list[Any]:
        meta = {"product": "mosaic", "instrument": self.instrument, "src_name": "", "query_parameters": None}
        with fits.open(directory / "mosaic.fits", memmap=False) as hdus:
            units = [_unit(hdu, hdu.name) for hdu in hdus]
        for unit in units[2:]:
            # astropy does not write them where they do nothing
            unit.header |= {"BSCALE": 1, "BZERO": 0}
        data = NumpyDataProduct(units, meta_data=meta, name="mosaic_image")
        found = json.loads((directory / "catalogue.json").read_text())
        return [
            ImageProduct(name="mosaic_image", data=data, meta_data=meta),
            CatalogProduct("mosaic_catalog", catalog=_catalogue_object(found, self.catalogue_columns)),
        ]


def _image_group(observation: Observation, images: list[fits.ImageHDU]) -> fits.BinTableHDU:
    """What is in the file."""
    number, name, headers = len(images), observation.device.image, [image.header for image in images]

    def cards(key: str) -> list[Any]:
        return [header[key] for header in headers]

    columns = [
        ("MEMBER_XTENSION", "8A", None, ["IMAGE"] * number),
        ("MEMBER_NAME", "32A", None, [name] * number),
        ("MEMBER_VERSION", "1J", None, cards("EXTVER")),
        ("MEMBER_POSITION", "1J", None, np.arange(number) + 3),
        ("MEMBER_LOCATION", "256A", None, [""] * number),
        ("MEMBER_URI_TYPE", "3A", None, [""] * number),
        ("IMATYPE", "32A", None, cards("IMATYPE")),
        ("CHANMIN", "1I", None, np.array(cards("CHANMIN"), dtype=np.uint16)),
        ("CHANMAX", "1I", None, np.array(cards("CHANMAX"), dtype=np.uint16)),
        ("E_MIN", "1E", "keV", cards("E_MIN")),
        ("E_MEAN", "1E", "keV", cards("E_MEAN")),
        ("E_MAX", "1E", "keV", cards("E_MAX")),
        ("TFIRST", "1D", "d", cards("TFIRST")),
        ("TLAST", "1D", "d", cards("TLAST")),
        ("TELAPSE", "1D", "s", cards("TELAPSE")),
        ("ONTIME", "1D", "s", cards("ONTIME")),
    ]
    shared = {key: headers[0][key] for key in ("ISDCLEVL", "DATE-OBS", "DATE-END", "TSTART", "TSTOP", "STAMP")}
    keywords = {
        **observation.device.keywords,
        **shared,
        "BASETYPE": "DAL_GROUP",
        "GRPNAME": f"{name}-IDX",
        "GRPID1": -1,
        "GRPLC1": "group.fits",
        "IDXMEMBR": name,
        "EXTVER": 1,
    }
    return table("GROUPING", columns, keywords)


class _Band:
    """The image of one energy band."""

    def __init__(self, observation: Observation, low: float, high: float, generator: np.random.Generator) -> None:
        self.observation, self.low, self.high = observation, float(low), float(high)
        self.camera = observation.camera
        if observation.pointings is None:
            self._look_at_one_place(generator)
        else:
            self._add_pointings(observation.pointings)
        significance = self.rate / np.sqrt(np.where(self.inside, self.variance, 1.0))
        self.significance = np.where(self.inside, significance, np.nan)

    def _plane(self) -> tuple[np.ndarray, np.ndarray]:
        """Degrees to the east and to the north of the centre."""
        rows, columns = ((np.arange(size) - (size - 1) / 2.0) * self.camera.pixel for size in self.shape)
        return -columns[np.newaxis, :], rows[:, np.newaxis]

    def _look_at_one_place(self, generator: np.random.Generator) -> None:
        observation = self.observation
        self.centre = observation.ra, observation.dec
        self.shape = (2 * (int(self.camera.field_limit / self.camera.pixel) + 3),) * 2
        east, north = self._plane()
        offset = np.degrees(np.arctan(np.radians(np.hypot(east, north))))
        self.inside = offset < self.camera.field_limit

        on_axis = sky.on_time(observation.periods) * self.camera.live_share
        self.exposure = on_axis * self.camera.vignetting(offset)
        useful = self.exposure * sky.CODED_SHARE
        total = self.camera.in_band(observation.detector_rates(), self.low, self.high)
        # the noise of all that the detector counts, in each pixel independently
        self.rate = generator.poisson(total * useful) / useful - total
        self.variance = total / useful
        for source in observation.sources:
            rate = self.camera.band_rate(source, self.low, self.high) * sky.mean_factor(source, observation.periods)
            x, y = sky.project(source.ra, source.dec, observation.ra, observation.dec)
            self.rate += rate * np.exp(-((east - x) ** 2 + (north - y) ** 2) / (2.0 * self.camera.psf_sigma**2))

    def _add_pointings(self, pointings: sky.Pointings) -> None:
        """Images of the windows on a grid that holds all, each pixel weighted by the inverse of its variance."""
        axes = _frames(pointings.ra, pointings.dec)
        middle = axes[:, 0].mean(axis=0)
        if (axes[:, 0] @ (middle / np.linalg.norm(middle)) < math.cos(math.radians(LARGEST_OFFSET))).any():
            raise BackendFailure("AnalysisException:PointingsTooFarApart()")
        # headers have it in single precision
        self.centre = (
            float(np.float32(math.degrees(math.atan2(middle[1], middle[0])) % 360.0)),
            float(np.float32(math.degrees(math.atan2(middle[2], math.hypot(middle[0], middle[1]))))),
        )
        (frame,) = _frames(np.array([self.centre[0]]), np.array([self.centre[1]]))
        self.shape = self._size(axes, frame)
        east, north = self._plane()
        plane = np.stack(np.broadcast_arrays(1.0, np.radians(east), np.radians(north))).reshape(3, -1)
        places = frame.T @ (plane / np.linalg.norm(plane, axis=0))

        shines = []
        for source in pointings.sources:
            ((place, *_),) = _frames(np.array([source.ra]), np.array([source.dec]))
            distance = np.degrees(2.0 * np.arcsin(np.linalg.norm(places - place[:, np.newaxis], axis=0) / 2.0))
            near = np.flatnonzero(distance < 6.0 * self.camera.psf_sigma)
            shape = np.exp(-((distance[near] / self.camera.psf_sigma) ** 2) / 2.0)
            rates = self.camera.band_rate(source, self.low, self.high) * pointings.factors(source)
            shines.append((near, shape, rates))

        totals = pointings.totals(self.low, self.high)
        exposure, weights, weighted = np.zeros((3, places.shape[1]))
        for number, (name, axis) in enumerate(zip(pointings.names, axes, strict=True)):
            cosine, x, y = axis @ places
            seen = np.flatnonzero(cosine > math.cos(math.radians(self.camera.field_limit)))
            x, y = (np.degrees(coordinate[seen] / cosine[seen]) for coordinate in (x, y))
            offset = np.degrees(np.arccos(np.minimum(cosine[seen], 1.0)))
            live = pointings.seconds[number] * self.camera.live_share * self.camera.vignetting(offset)
            weight = np.zeros(len(exposure))
            weight[seen] = live * sky.CODED_SHARE / totals[number]
            exposure[seen] += live
            weights += weight
            weighted[seen] += np.sqrt(weight[seen]) * self._noise(name, x, y)
            for near, shape, rates in shines:
                weighted[near] += weight[near] * rates[number] * shape

        inside = weights > 0.0
        divisor = np.where(inside, weights, 1.0)
        flat = {"inside": inside, "exposure": exposure, "rate": weighted / divisor, "variance": inside / divisor}
        for name, values in flat.items():
            setattr(self, name, values.reshape(self.shape))

    def _size(self, axes: np.ndarray, frame: np.ndarray) -> tuple[int, int]:
        """Odd numbers of pixels that hold the fields of all windows, and a margin."""
        angle, limit = np.linspace(0.0, 2.0 * np.pi, 73), math.radians(self.camera.field_limit)
        rim = np.stack([np.full_like(angle, math.cos(limit)), *(math.sin(limit) * f(angle) for f in (np.cos, np.sin))])
        z, x, y = np.moveaxis(frame @ np.swapaxes(axes, 1, 2) @ rim, 1, 0)
        widest = (math.degrees(np.abs(coordinate / z).max()) / self.camera.pixel for coordinate in (y, x))
        rows, columns = (2 * (int(pixels) + 4) + 1 for pixels in widest)
        return rows, columns

    def _noise(self, window: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of the image of a window, of width 1: neighbouring pixels (x, y: degrees from the axis) have it in common."""
        half = int(math.degrees(math.tan(math.radians(self.camera.field_limit))) / self.camera.pixel) + 2
        random = self.observation.random(window, "image", band=[self.low, self.high])
        white = random.standard_normal((2 * half + 1,) * 2, dtype=np.float32)
        width = NOISE_SIGMA * self.camera.psf_sigma / self.camera.pixel
        spike = np.zeros(65)
        spike[32] = 1.0
        # sum of the squares of the smoothing function, for two dimensions
        norm = float(np.sum(gaussian_filter(spike, width) ** 2))
        smooth = gaussian_filter(white, width, mode="wrap") / norm
        columns, rows = (np.rint(values / self.camera.pixel).astype(int) + half for values in (-x, y))
        return smooth[rows, columns]

    def images(self) -> list[fits.ImageHDU]:
        """In the order in which the real mosaics have them."""
        device, area = self.observation.device, self.camera.image_area
        values = {
            "INTENSITY": self.rate / area,
            "VARIANCE": self.variance / area**2,
            "SIGNIFICANCE": self.significance,
            "EXPOSURE": self.exposure,
        }
        images, keywords = [], fits.Header(self._keywords())
        for kind, (name, unit) in device.maps.items():
            pixels = np.where(self.inside, values[kind], device.no_exposure).astype(">f4")
            header = keywords.copy()
            header["IMATYPE"], header["BUNIT"] = name, unit
            images.append(fits.ImageHDU(pixels, header=header, name=device.image))
        return images

    def _keywords(self) -> dict[str, Any]:
        observation = self.observation
        start, stop = float(observation.periods.min()), float(observation.periods.max())
        seconds = sky.on_time(observation.periods)
        place = {
            "CTYPE1": "RA---TAN",
            "CRPIX1": (self.shape[1] + 1) / 2.0,
            "CRVAL1": self.centre[0],
            "CUNIT1": "deg",
            "CTYPE2": "DEC--TAN",
            "CRPIX2": (self.shape[0] + 1) / 2.0,
            "CRVAL2": self.centre[1],
            "CUNIT2": "deg",
            "CD1_1": -self.camera.pixel,
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": self.camera.pixel,
            "LONGPOLE": 180,
            "LATPOLE": 0,
            "RADECSYS": "FK5",
            "EQUINOX": 2000.0,
        }
        times = {
            "DATE-OBS": utc(start),
            "DATE-END": utc(stop),
            "TSTART": start,
            "TSTOP": stop,
            "TFIRST": start,
            "TLAST": stop,
            # of the pointings, without what is between them
            "TELAPSE": float(math.ceil(seconds) + 1),
            "ONTIME": seconds,
            "DEADC": self.camera.live_share,
        }
        return {
            **observation.device.keywords,
            "BASETYPE": "DAL_ARRAY",
            "ISDCLEVL": "IMA",
            "OGID": "String",
            **times,
            **place,
            "HDUCLASS": "OGIP",
            "HDUDOC": "synthetic",
            "HDUVERS": "1.1.0",
            "HDUCLAS1": "IMAGE",
            "CHANTYPE": "PI",
            "CHANMIN": int(self.low),
            "CHANMAX": int(self.high),
            "E_MIN": self.low,
            "E_MEAN": (self.low + self.high) / 2.0,
            "E_MAX": self.high,
            "MOSASPR": 1,
            "EXTVER": 1,
            "GRPID1": 1,
            "STAMP": f"{MADE} local sky",
        }

    def measure(self, source: sky.Source) -> tuple[float, float, float]:
        """Significance and position (RA, DEC) of a source, from the image: a fit of the known shape around its peak."""
        east, north = sky.project(source.ra, source.dec, *self.centre)
        middle_y, middle_x = ((size - 1) / 2.0 for size in self.shape)
        column, row = round(middle_x - east / self.camera.pixel), round(middle_y + north / self.camera.pixel)
        reach = 3
        window = np.s_[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        significance = self.significance[window]
        if not np.isfinite(significance).any():
            return -math.inf, source.ra, source.dec
        rows, columns = np.mgrid[window]
        good = np.isfinite(significance)
        x, y, values = columns[good], rows[good], self.rate[window][good]
        width = self.camera.psf_sigma / self.camera.pixel
        best = np.argmax(significance[good])
        x0, y0 = float(x[best]), float(y[best])
        for _ in range(10):
            shape = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2.0 * width**2))
            design = np.column_stack([shape, shape * (x - x0) / width**2, shape * (y - y0) / width**2])
            amplitude, dx, dy = np.linalg.lstsq(design, values, rcond=None)[0]
            # a step of at most half a pixel: faint ones would run away
            x0 += float(np.clip(dx / amplitude, -0.5, 0.5))
            y0 += float(np.clip(dy / amplitude, -0.5, 0.5))
        place = sky.unproject((middle_x - x0) * self.camera.pixel, (y0 - middle_y) * self.camera.pixel, *self.centre)
        return float(significance[good][best]), *place


def _frames(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Unit vectors towards these directions, and towards the east and the north there; shape (number, 3, 3)."""
    a, d, zero = np.radians(ra), np.radians(dec), np.zeros(len(ra))
    to = [np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)]
    east = [-np.sin(a), np.cos(a), zero]
    north = [-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)]
    return np.moveaxis(np.array([to, east, north]), 2, 0)


def _catalogue(observation: Observation, bands: list[_Band], threshold: float) -> list[dict[str, Any]]:
    """Sources above the threshold in some band, as measured in the band where they are most significant."""
    rows, unknown = [], 0
    for source in observation.sources:
        significance, ra, dec = max(band.measure(source) for band in bands)
        if significance <= threshold:
            continue
        unknown += not source.known
        rows.append(
            {
                "src_names": source.name if source.known else f"NEW_{unknown}",
                "significance": significance,
                "ra": ra,
                "dec": dec,
                "NEW_SOURCE": -32768 if source.known else -32767,
                "ISGRI_FLAG": 1,
                "FLAG": 0 if source.known else 1,
                "ERR_RAD": observation.camera.psf_sigma / significance,
            }
        )
    return rows


def _catalogue_object(rows: list[dict[str, Any]], columns: tuple[tuple[str, str], ...]) -> BasicCatalog:
    def column(name: str, dtype: str | None = None) -> np.ndarray:
        return np.array([row[name] for row in rows], dtype=dtype)

    catalogue = BasicCatalog(
        column("src_names", None if rows else "U1"),
        column("ra", ">f4"),
        column("dec", ">f4"),
        column("significance", ">f4"),
        unit="deg",
        frame="fk5",
    )
    for name, dtype in columns:
        catalogue.add_column(column(name, dtype), name=name, dtype=dtype)
    return catalogue


# ---- spectra -----------------------------------------------------------------------------------------------------


class IsgriSpectrum(IsgriQuery, SpectrumQuery):
    """Spectrum, effective area (ARF) and redistribution (RMF) of each source."""

    units: dict[str, list[str | None]] = {
        "spectrum": [None, None],
        "arf": ["PRIMARY", "SPECRESP"],
        "rmf": ["PRIMARY", "EBOUNDS", "SPECRESP MATRIX"],
    }
    """Names of the data units of each product where the service gives them others than the files (None)."""

    def compute(self, parameters: Parameters, directory: Path) -> None:
        observation = self.observation(parameters)
        generator = sky.generator(parameters)
        targets = observation.targets(parameters["user_catalog"])
        for number, target in enumerate(targets):
            spectrum = self.spectrum(observation, target, *_channel_rates(observation, target, generator))
            fits.HDUList([primary(), spectrum]).writeto(directory / f"spectrum_{number}.fits", overwrite=True)
        fits.HDUList([primary(), self.arf(observation)]).writeto(directory / "arf.fits", overwrite=True)
        fits.HDUList([primary(), *self.rmf(observation.device)]).writeto(directory / "rmf.fits", overwrite=True)
        (directory / "names.json").write_text(json.dumps([target.name for target in targets]))

    def spectrum(
        self, observation: Observation, target: Target, rate: np.ndarray, error: np.ndarray
    ) -> fits.BinTableHDU:
        """The table of a source; channels below the threshold are bad, and the first has no value at all."""
        camera, channels = observation.camera, len(rate)
        rate[0], error[0] = np.nan, np.inf
        columns = [
            ("CHANNEL", "1I", None, np.arange(channels)),
            ("RATE", "1E", "count/s", rate),
            ("SYS_ERR", "1E", None, np.zeros(channels)),
            ("STAT_ERR", "1E", "count/s", error),
            ("QUALITY", "1I", None, np.where(camera.channel_lo < camera.threshold, 3, 0)),
            ("GROUPING", "1I", None, np.ones(channels)),
        ]
        keywords = {
            **spectrum_keywords(observation, target),
            "SW_TYPE": "POINTING",
            "EXP_SRC": _useful_times(observation, target).sum(),
            # they are background-subtracted, whatever is said here
            "HDUCLAS2": "TOTAL",
            "AREASCAL": 1,
            "BACKSCAL": 1,
            "CORRSCAL": 0,
            "RDATASUM": "NONE",
            "FITTYPE": 6,
            "OFFCORR": "synthetic_corr.fits",
            "BKGPARAM": "synthetic_back.fits",
            "TLMIN1": 0,
            "TLMAX1": channels - 1,
            "TUNIT3": "",
            # a card without value
            "STAMP": None,
            "FILTER": "none",
            "REVOLS": "..".join(observation.seeing(target)[number][:4] for number in (0, -1)),
        }
        return table(observation.device.spectrum, columns, keywords)

    def arf(self, observation: Observation) -> fits.BinTableHDU:
        """Ones without a unit: the area is in the matrix."""
        device, camera = observation.device, observation.camera
        columns = [
            ("ENERG_LO", "E", None, camera.energy_lo),
            ("ENERG_HI", "E", None, camera.energy_hi),
            ("SPECRESP", "E", None, np.ones(len(camera.energy_lo))),
        ]
        template = {
            **dict.fromkeys(("ORIGIN", "FILENAME", "LOCATN", "RESPONSI"), "String"),
            **dict.fromkeys(("VERSION", "RISE_MIN", "RISE_MAX"), "Integer"),
            **dict.fromkeys(("VSTART", "VSTOP", "VETO_THR", "YPOS", "ZPOS"), "Real"),
            **dict.fromkeys(("STRT_VAL", "END_VAL"), "UTC_format"),
        }
        keywords = {**device.keywords, **template, **OF_RESPONSES, "HDUCLAS2": "SPECRESP", "EXTVER": 1, "STAMP": MADE}
        return table(device.arf, columns, keywords)

    def rmf(self, device: Device) -> list[fits.BinTableHDU]:
        """Energies of the channels, and the matrix with the area in it; all channels in each row."""
        camera = device.camera
        channels, rows = len(camera.channel_lo), len(camera.energy_lo)
        matrix = camera.redistribution * camera.effective_area[:, np.newaxis]
        validity = {"VERSION": 1, "LOCATN": "here", "RESPONSI": "nobody", "STRT_VAL": "1999-01-01"}
        keywords = {
            **device.keywords,
            **OF_RESPONSES,
            **OLD_RESPONSES,
            **validity,
            "VSTART": -365.0,
            "VSTOP": 99999,
            "FILTER": "NONE",
            "DETCHANS": channels,
            "EXTVER": 1,
            "STAMP": MADE,
        }
        bounds = {
            "HDUCLAS2": "EBOUNDS",
            "HDUDOC": "OGIP memos CAL/GEN/92-002 & 92-002a",
            "TLMIN1": 0,
            "TLMAX1": channels - 1,
            "FILENAME": "synthetic_ebds.fits",
            "GRPID1": -1,
            "GRPLC1": "group.fits",
        }
        redistribution = {
            "HDUCLAS2": "RSP_MATRIX",
            # not even REDIST
            "HDUCLAS3": "",
            "TLMIN4": 0,
            "TLMAX4": channels - 1,
            "NUMGRP": rows,
            "NUMELT": rows * channels,
            "LO_THRES": 0.0,
            "FILENAME": "synthetic_rmf.fits",
            "BINNING": "FULL_RES",
            "VETO_THR": 80.0,
            "RISE_MIN": 16,
            "RISE_MAX": 116,
            "YPOS": 0.0,
            "ZPOS": 0.0,
        }
        return [
            table(device.bounds, bounds_columns(camera), {**keywords, **bounds}),
            table(device.matrix, matrix_columns(camera, matrix, first=0), {**keywords, **redistribution}),
        ]

    def read(self, directory: Path) -> list[Any]:
        names = json.loads((directory / "names.json").read_text())
        products = []
        for number, name in enumerate(names):
            for kind, units in self.units.items():
                file_name = f"spectrum_{number}.fits" if kind == "spectrum" else f"{kind}.fits"
                # the real service takes the name from a file name without blanks
                meta = {"src_name": name.replace(" ", ""), "product": f"{self.instrument}_{kind}"}
                with fits.open(directory / file_name, memmap=False) as hdus:
                    data = [_unit(hdu, unit or hdu.name) for hdu, unit in zip(hdus, units, strict=True)]
                product = NumpyDataProduct(data, meta_data=meta, name="")
                products.append(SpectrumProduct(name="", data=product, meta_data=meta, file_name=file_name))
        return products


def _unit(hdu: Any, name: str) -> NumpyDataUnit:
    """Like ``NumpyDataUnit.from_fits_hdu``, without its print of all the data and its trial of writing them."""
    kinds = {fits.PrimaryHDU: "primary", fits.ImageHDU: "image", fits.BinTableHDU: "bintable"}
    return NumpyDataUnit(hdu.data, data_header=dict(hdu.header), name=name, hdu_type=kinds[type(hdu)])


def _useful_times(observation: Observation, target: Target) -> np.ndarray:
    """What the exposure is worth for a source: of each window of the long observation, or of all together."""
    if observation.pointings is None:
        return np.array([observation.useful_time(target.ra, target.dec, sky.on_time(observation.periods))])
    return observation.pointings.useful(target.ra, target.dec)


def _channel_rates(
    observation: Observation, target: Target, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rate of a source in each channel, and its error."""
    if observation.pointings is not None:
        return _summed_rates(observation, observation.pointings, target)
    useful = observation.useful_time(target.ra, target.dec, sky.on_time(observation.periods))
    everything = observation.detector_rates()
    # counts of all that the detector sees, less what the deconvolution takes for other than this source
    counts = generator.poisson(everything * useful)
    rate = counts / useful - everything + target.channel_rates(observation.camera, observation.periods)
    return rate, np.sqrt(everything / useful)


def _summed_rates(observation: Observation, pointings: sky.Pointings, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """The same, of the windows that have the source in their field: all counts over the whole of the exposure."""
    useful = pointings.useful(target.ra, target.dec)
    total, variance = np.zeros((2, len(observation.camera.channel_lo)))
    for number in np.flatnonzero(useful):
        expected = pointings.detector_rates[number] * useful[number]
        counts = observation.random(pointings.names[number], "spectrum", source=target.name).poisson(expected)
        own = target.channel_rates(observation.camera, pointings.periods[number : number + 1]) * useful[number]
        total += counts - expected + own
        variance += expected
    return total / useful.sum(), np.sqrt(variance) / useful.sum()


def spectrum_keywords(observation: Observation, target: Target) -> dict[str, Any]:
    """What the headers of all spectra tell."""
    periods = sky.periods(observation.seeing(target))
    seconds = sky.on_time(periods)
    return {
        **observation.device.keywords,
        "ISDCLEVL": "SPE",
        "TSTART": periods.min(),
        "TSTOP": periods.max(),
        "TELAPSE": float(math.ceil(seconds) + 1),
        "ONTIME": seconds,
        "DEADC": observation.camera.live_share,
        "EXPOSURE": seconds * observation.camera.live_share,
        "RADECSYS": "FK5",
        "EQUINOX": 2000.0,
        "RA_OBJ": target.ra,
        "DEC_OBJ": target.dec,
        "SOURCEID": target.name,
        "NAME": target.name,
        "HDUCLASS": "OGIP",
        "HDUCLAS1": "SPECTRUM",
        "HDUCLAS3": "RATE",
        "HDUVERS": "1.2.1",
        "DETCHANS": len(observation.camera.channel_lo),
        "CHANTYPE": "PI",
        "BACKFILE": "NONE",
        "CORRFILE": "NONE",
        # the service puts this in the place of the names of files which it does not send as such
        "ANCRFILE": "NONE",
        "RESPFILE": "NONE",
        "EXTVER": 1,
        "GRPID1": 1,
    }


def bounds_columns(camera: sky.Camera) -> list[tuple[str, str, str | None, Any]]:
    """Of EBOUNDS, which counts channels from 0 in all instruments."""
    return [
        ("CHANNEL", "J", None, np.arange(len(camera.channel_lo))),
        ("E_MIN", "E", "keV", camera.channel_lo),
        ("E_MAX", "E", "keV", camera.channel_hi),
    ]


def matrix_columns(camera: sky.Camera, matrix: np.ndarray, first: int) -> list[tuple[str, str, str | None, Any]]:
    """Of a matrix whose channels count from `first`."""
    rows, channels = matrix.shape
    return [
        ("ENERG_LO", "E", "keV", camera.energy_lo),
        ("ENERG_HI", "E", "keV", camera.energy_hi),
        ("N_GRP", "I", None, np.ones(rows)),
        ("F_CHAN", "1I", None, np.full(rows, first)),
        ("N_CHAN", "1I", None, np.full(rows, channels)),
        ("MATRIX", f"{channels}E", None, matrix),
    ]


# ---- light curves ------------------------------------------------------------------------------------------------


class IsgriLightCurve(IsgriQuery, ProductQuery):
    """Rate of each source against time."""

    def __init__(self, name: str) -> None:
        # like LightCurveQuery, but with the limit of the real instrument
        super().__init__(name, [TimeBin()])

    def compute(self, parameters: Parameters, directory: Path) -> None:
        observation = self.observation(parameters)
        generator = sky.generator(parameters)
        width = float(parameters["time_bin"]) / 86400.0
        targets = observation.targets(parameters["user_catalog"])
        for number, target in enumerate(targets):
            if observation.pointings is None:
                curve = _light_curve(observation, target, self.bins(observation, width), generator)
            else:
                curve = self.joined_curve(observation, observation.pointings, target, width)
            hdus = self.hdus(observation, target, curve)
            fits.HDUList([primary(), *hdus]).writeto(directory / f"light_curve_{number}.fits", overwrite=True)
        (directory / "names.json").write_text(json.dumps([target.name for target in targets]))

    def hdus(self, observation: Observation, target: Target, curve: Curve) -> list[fits.BinTableHDU]:
        """What is in a file: times have the unit of the header (TIMEUNIT)."""
        columns = [
            ("TIME", "D", None, curve.begin + curve.width / 2.0),
            ("TOT_COUNTS", "E", "count/s", curve.total),
            ("BACKV", "E", "count/s", curve.background),
            ("BACKE", "E", "count/s", curve.background_error),
            ("RATE", "E", "count/s", curve.rate),
            ("ERROR", "E", "count/s", curve.error),
            ("FRACEXP", "E", None, curve.fraction),
            ("XAX_E", "E", None, curve.width / 2.0),
        ]
        keywords = {
            **curve_keywords(observation, target, curve),
            "BANDTYPE": "ENERGY",
            "BKGPARAM": "synthetic_back.fits",
            "OFFCORR": "synthetic_corr.fits",
            "EXPOSURE": float(np.sum(curve.fraction * curve.width) * 86400.0),
            "EXP_SRC": float(np.sum(curve.fraction * curve.width) * 86400.0 * sky.CODED_SHARE),
            "FITTYPE": 6,
            "VIGNET": 1.0,
            "Y_FIN": 0.0,
            "Z_FIN": 0.0,
            "SWBOUND": "String",
        }
        return [table(observation.device.light_curve, columns, keywords)]

    def told_name(self, name: str) -> str:
        """How the service calls a source beside its light curve."""
        return name

    def bins(self, observation: Observation, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Starts, widths, and seconds with data of the bins: they begin anew in each window, where the last is shorter."""
        windows = zip(observation.windows, observation.periods, strict=True)
        begin, length, seconds = zip(*(self.bins_of(name, *period, width) for name, period in windows), strict=True)
        return np.concatenate(begin), np.concatenate(length), np.concatenate(seconds)

    def bins_of(
        self, window: str, start: float, stop: float, width: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of one window."""
        edges = np.append(np.arange(start, stop - 1.0 / 86400.0, width), stop)
        with_data = np.diff(edges) * 86400.0
        if int(window[4:8]) % sky.TELEMETRY_GAP == 0:
            with_data[0] = 0.0
        return edges[:-1], np.diff(edges), with_data

    def joined_curve(self, observation: Observation, pointings: sky.Pointings, target: Target, width: float) -> Curve:
        """Of the windows that have the source in their field, each for itself."""
        band, useful = (observation.low, observation.high), pointings.useful(target.ra, target.dec)
        totals = pointings.totals(*band)
        parts = [
            _curve(
                observation,
                target,
                self.bins_of(pointings.names[number], *pointings.periods[number], width),
                observation.random(pointings.names[number], "curve", source=target.name, band=band, width=width),
                totals[number],
                useful[number] / pointings.seconds[number],
            )
            for number in np.flatnonzero(useful)
        ]
        return Curve(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])))

    def read(self, directory: Path) -> list[Any]:
        names = json.loads((directory / "names.json").read_text())
        products = []
        for number, name in enumerate(names):
            path = directory / f"light_curve_{number}.fits"
            data = NumpyDataProduct.from_fits_file(path, name=f"{self.instrument}_lc")
            _append_widths(data.data_unit[-1])
            width = data.data_unit[-1].header["TIMEDEL"]
            words = {"time": "TIME", "rate": "RATE", "rate_err": "ERROR"}
            data.meta_data = {"src_name": self.told_name(name), "time_bin": width, **words}
            products.append(LightCurveProduct(name=data.name, data=data, meta_data=data.meta_data))
        return products


def _append_widths(unit: NumpyDataUnit) -> None:
    """The column that the real server appends to the data, but not to the header: full widths of the bins, in days."""
    plain = unit.data.view(np.ndarray)
    unit.data = np.empty(len(plain), dtype=[*plain.dtype.descr, ("TIMEDEL", "<f8")])
    for name in plain.dtype.names:
        unit.data[name] = plain[name]
    if "XAX_E" in plain.dtype.names:
        unit.data["TIMEDEL"] = 2.0 * plain["XAX_E"].astype(float)
    else:
        unit.data["TIMEDEL"] = unit.header["TIMEDEL"]


@dataclass(frozen=True)
class Curve:
    """A light curve, before it becomes a file; bins without data have zeros, as the real ones."""

    begin: np.ndarray
    width: np.ndarray
    total: np.ndarray
    rate: np.ndarray
    error: np.ndarray
    background: np.ndarray
    background_error: np.ndarray
    fraction: np.ndarray


def curve_keywords(observation: Observation, target: Target, curve: Curve) -> dict[str, Any]:
    """What the headers of all light curves tell; unnamed sources have a word of the template there."""
    seen = observation.seeing(target)
    start, stop = float(curve.begin[0]), float(curve.begin[-1] + curve.width[-1])
    good = curve.error > 0.0
    count = float(np.average(curve.rate[good])) if good.any() else 0.0
    return {
        **observation.device.keywords,
        "ISDCLEVL": "LCR",
        "NAME": "String" if target.name.startswith("NEW") else target.name,
        "SOURCEID": "" if target.name.startswith("NEW") else target.name,
        "RA_OBJ": target.ra,
        "DEC_OBJ": target.dec,
        "RADECSYS": "FK5",
        "EQUINOX": 2000.0,
        "CHANTYPE": "PI",
        "E_MIN": observation.low,
        "E_MAX": observation.high,
        "EUNIT": "keV",
        "TIMEDEL": float(curve.width.max()),
        "TIMEPIXR": 0.5,
        "TSTART": start,
        "TSTOP": stop,
        "TFIRST": start,
        "TLAST": stop,
        # in days, unlike those of images
        "TELAPSE": stop - start,
        "ONTIME": sky.on_time(sky.periods(seen)) / 86400.0,
        "DEADC": observation.camera.live_share,
        "TIERABSO": 0.0,
        "TIERRELA": 0.0,
        "OBTSTART": "OBT_format",
        "OBTEND": "OBT_format",
        "REVOL": int(seen[-1][:4]),
        "SWID": seen[-1][:12],
        "SW_TYPE": "POINTING",
        "SRCCNT": count,
        "SRCCNTE": float(np.sqrt(np.sum(curve.error**2)) / len(curve.error)),
        "BACKAPP": True,
        "DEADAPP": True,
        "VIGNAPP": True,
        "EXTVER": 1,
        "GRPID1": 1,
        "STAMP": MADE,
    }


def _light_curve(
    observation: Observation,
    target: Target,
    bins: tuple[np.ndarray, np.ndarray, np.ndarray],
    generator: np.random.Generator,
) -> Curve:
    everything = observation.camera.in_band(observation.detector_rates(), observation.low, observation.high)
    useful = observation.useful_time(target.ra, target.dec, 1.0)
    return _curve(observation, target, bins, generator, everything, useful)


def _curve(
    observation: Observation,
    target: Target,
    bins: tuple[np.ndarray, np.ndarray, np.ndarray],
    generator: np.random.Generator,
    everything: float,
    worth: float,
) -> Curve:
    """With all that the detector counts in a second, and what a second of exposure is worth for this source."""
    camera, band = observation.camera, (observation.low, observation.high)
    begin, width, seconds = bins
    observed = seconds > 0.0
    expected = np.zeros(len(begin))
    if target.source is not None:
        grid = begin[:, np.newaxis] + width[:, np.newaxis] * (np.arange(20) + 0.5) / 20.0
        expected = camera.band_rate(target.source, *band) * target.source.variability.factor(grid).mean(axis=1)
    useful = np.where(observed, worth * seconds, 1.0)
    total = generator.poisson(everything * useful) / useful
    background = camera.in_band(camera.background_rates, *band)
    live = np.where(observed, seconds * camera.live_share, np.inf)
    return Curve(
        begin,
        width,
        total=np.where(observed, total, 0.0),
        rate=np.where(observed, expected + total - everything, 0.0),
        error=np.where(observed, np.sqrt(everything / useful), 0.0),
        background=np.where(observed, background, 0.0),
        background_error=np.sqrt(background / live),
        fraction=seconds * camera.live_share / (width * 86400.0),
    )


# ---- the instrument ----------------------------------------------------------------------------------------------


def isgri() -> Instrument:
    """The instrument, asynchronous; its name makes the server collect all reports."""
    instrument = Instrument(
        "isgri",
        src_query=SourceQuery("src_query"),
        instrumet_query=InstrumentQuery(
            "isgri_parameters",
            extra_parameters_list=[
                Angle(value=15.0, units="deg", name="radius"),
                Count("max_pointings", 50),
                OsaVersion(),
                Choice("integral_data_rights", "public", ["public", "all-private"]),
                EnergyLimit("E1_keV", 20.0, "ISGRI", 15, 800),
                EnergyLimit("E2_keV", 40.0, "ISGRI", 15, 800),
            ],
            input_prod_list_name="scw_list",
            catalog_name="user_catalog",
        ),
        product_queries_list=[
            IsgriImage("isgri_image_query"),
            IsgriSpectrum("isgri_spectrum_query"),
            IsgriLightCurve("isgri_lc_query"),
            SpectralFitQuery("spectral_fit_query"),
        ],
        query_dictionary={
            "isgri_image": "isgri_image_query",
            "isgri_spectrum": "isgri_spectrum_query",
            "isgri_lc": "isgri_lc_query",
            "spectral_fit": "spectral_fit_query",
        },
        data_serve_conf_file=CONFIGURATION,
        data_server_query_class=Backend,
    )
    instrument.inputs = inputs
    return instrument
