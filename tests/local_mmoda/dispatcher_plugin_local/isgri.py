# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
ISGRI, the soft gamma-ray imager: mosaic images with a catalogue, spectra with their response, light curves.

JEM-X (jemx.py) derives from what is here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sky
from astropy.io import fits
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

from .backend import CONFIGURATION, Backend, BackendFailure, LocalQuery, Parameters, ijd, judged
from .parameters import Choice, Count, EnergyLimit, OsaVersion, TimeBin

DETECTABLE = 7.0
"""Without a catalogue, spectra and light curves are made of the known sources above this significance."""
MATCH_RADIUS = 0.2
COMMON_KEYWORDS = {
    "TELESCOP": "INTEGRAL",
    "ORIGIN": "ISDC",
    "MJDREF": sky.MJDREF,
    "TIMESYS": "TT",
    "TIMEUNIT": "d",
    "TIMEREF": "LOCAL",
}


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


ISGRI = Device(
    sky.ISGRI,
    {**COMMON_KEYWORDS, "INSTRUME": "IBIS", "DETNAM": "ISGRI"},
    image="ISGR-MOSA-IMA",
    spectrum="ISGR-PHA1-SPE",
    arf="ISGR-ARF.-RSP",
    bounds="ISGR-EBDS-MOD",
    matrix="ISGR-RMF.-RSP",
    light_curve="ISGR-SRC.-LCR",
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
    """What the instrument does for a request."""

    def __init__(self, parameters: Parameters, device: Device) -> None:
        self.device, self.camera = device, device.camera
        self.ra, self.dec, self.radius = (float(parameters[name]) for name in ("RA", "DEC", "radius"))
        self.low, self.high = float(parameters["E1_keV"]), float(parameters["E2_keV"])
        self.start, self.stop = ijd(parameters["T1"]), ijd(parameters["T2"])
        windows = parameters["scw_list"]
        if any(not re.fullmatch(r"\d{12}\.\d{3}", window) for window in windows):
            raise BackendFailure("AnalysisException:NotAScienceWindow()")
        if windows:
            begin = np.array([sky.window_time(window) for window in windows])
            begin = begin[(begin >= sky.DATA_START) & (begin < sky.DATA_STOP)]
            self.periods = np.column_stack([begin, begin + sky.POINTING_LENGTH / 86400.0])
            if len(begin):
                self.start, self.stop = float(self.periods.min()), float(self.periods.max())
        else:
            self.periods = sky.pointings(self.start, self.stop, int(parameters["max_pointings"]))
        self.windows = [sky.window_name(begin) for begin in self.periods[:, 0]]
        self.sources = self.camera.in_field(self.ra, self.dec, self.radius)

    def require_data(self) -> None:
        """Fail like the real analysis when there is nothing to analyse."""
        if not self.windows or self.low >= self.high:
            raise BackendFailure("AnalysisException:NoValidScW()")

    def useful_time(self, ra: float, dec: float, seconds: float) -> float:
        """What an exposure is worth for a place in the sky."""
        offset = sky.separation(ra, dec, self.ra, self.dec)
        return seconds * self.camera.live_share * sky.CODED_SHARE * float(self.camera.vignetting(offset))

    def detector_rates(self) -> np.ndarray:
        """All that the detector counts in each channel: every source adds to the noise of the others."""
        rates = [self.camera.channel_rates(source) * sky.mean_factor(source, self.periods) for source in self.sources]
        return sum(rates, self.camera.background_rates)

    def targets(self, catalogue: list[dict[str, Any]] | None) -> list[Target]:
        """The selected sources which are in the field, or those that an image would show; by name."""
        if catalogue is None:
            place = {"ra": self.ra, "dec": self.dec, "radius": self.radius, "low": self.low, "high": self.high}
            found = [
                Target(source.name, source.ra, source.dec, source)
                for source in self.sources
                if source.known and self.camera.significance(source, self.periods, **place) > DETECTABLE
            ]
        else:
            limit = self.camera.field_radius(self.radius)
            found = [
                Target(**row, source=self._nearest(row["ra"], row["dec"]))
                for row in catalogue
                if sky.separation(row["ra"], row["dec"], self.ra, self.dec) < limit
            ]
        return sorted(found, key=lambda target: target.name)

    def _nearest(self, ra: float, dec: float) -> sky.Source | None:
        near = [(float(sky.separation(ra, dec, source.ra, source.dec)), source) for source in self.sources]
        distance, source = min(near, key=lambda pair: pair[0], default=(math.inf, None))
        return source if distance < MATCH_RADIUS else None


class IsgriQuery(LocalQuery):
    """Common to all products: reports as the real workers send them, one for each step of each science window."""

    instrument = "isgri"

    def observation(self, parameters: Parameters) -> Observation:
        """What was asked for; it fails like the real analysis when there is nothing to analyse."""
        observation = Observation(parameters, self.device(parameters))
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
        if par_dic["integral_data_rights"] == "all-private":
            needed["integral-private-qla"] = (
                "this role is needed to access private INTEGRAL data requested with "
                'integral_data_rights == "all-private"'
            )
        return judged(roles, needed)

    def steps(self, parameters: Parameters) -> Iterator[dict[str, str]]:
        window = (Observation(parameters, self.device(parameters)).windows or ["none"])[0]
        for number, (node, message) in enumerate(
            [("BinMapsImage", "main starting"), ("ScWData", "restored from cache"), ("ii_skyimage", "main done")]
        ):
            action = "restored" if "cache" in message else message
            yield {"action": action, "node_id": f"node{number}", "node": node, "message": message, "scwid": window}


def inputs(instrument: Instrument) -> list[str]:
    """Science windows of a request."""
    names = ("RA", "DEC", "radius", "E1_keV", "E2_keV", "T1", "T2", "max_pointings", "scw_list")
    values = {name: instrument.get_par_by_name(name).get_default_value() for name in names}
    # of whatever device, since only the times matter here
    return values["scw_list"] or Observation(values, ISGRI).windows


def primary(**keywords: Any) -> fits.PrimaryHDU:
    """Without data."""
    return fits.PrimaryHDU(header=fits.Header(keywords))


def table(name: str, columns: list[tuple[str, str, str | None, Any]], keywords: dict[str, Any]) -> fits.BinTableHDU:
    """Columns are name, format, unit, values."""
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column(name=title, format=form, unit=unit, array=array) for title, form, unit, array in columns]
    )
    hdu.header.extend({"EXTNAME": name, **keywords}.items(), update=True)
    return hdu


# ---- images ------------------------------------------------------------------------------------------------------


class IsgriImage(IsgriQuery, ImageQuery):
    """Mosaic of one or two energy bands, and the sources in it."""

    catalogue_columns = (("NEW_SOURCE", ">i2"), ("ISGRI_FLAG", "<i8"), ("FLAG", "<i8"), ("ERR_RAD", "<f8"))
    """After the name, the position and the significance."""

    def __init__(self, name: str) -> None:
        # ours: the real service has one band
        super().__init__(name, [Count("number_of_bands", 1, high=2)])

    def compute(self, parameters: Parameters, directory: Path) -> None:
        observation = self.observation(parameters)
        generator = sky.generator(parameters)
        edges = np.geomspace(observation.low, observation.high, int(parameters.get("number_of_bands", 1)) + 1)
        bands = [_Band(observation, low, high, generator) for low, high in zip(edges[:-1], edges[1:], strict=True)]

        images = [image for band in bands for image in band.images()]
        for version, image in enumerate(images, start=1):
            image.header["EXTVER"] = version
        members = [(image.header["IMATYPE"], image.header["E_MIN"], image.header["E_MAX"]) for image in images]
        kinds, lows, highs = zip(*members, strict=True)
        numbers = np.arange(1, len(images) + 1)
        name = observation.device.image
        group = table(
            "GROUPING",
            [
                ("MEMBER_XTENSION", "8A", None, ["IMAGE"] * len(images)),
                ("MEMBER_NAME", "32A", None, [name] * len(images)),
                ("MEMBER_VERSION", "1J", None, numbers),
                ("MEMBER_POSITION", "1J", None, numbers + 1),
                ("IMATYPE", "32A", None, kinds),
                ("E_MIN", "1E", "keV", lows),
                ("E_MAX", "1E", "keV", highs),
            ],
            {"GRPNAME": f"{name}-IDX"},
        )
        keywords = {key: value for key, value in observation.device.keywords.items() if key != "DETNAM"}
        fits.HDUList([primary(**keywords), group, *images]).writeto(directory / "mosaic.fits", overwrite=True)

        found = _catalogue(observation, bands, float(parameters["detection_threshold"]))
        (directory / "catalogue.json").write_text(json.dumps(found))

    def read(self, directory: Path) -> list[Any]:
        meta = {"product": "mosaic", "instrument": self.instrument, "src_name": "", "query_parameters": None}
        data = NumpyDataProduct.from_fits_file(directory / "mosaic.fits", meta_data=meta, name="mosaic_image")
        found = json.loads((directory / "catalogue.json").read_text())
        return [
            ImageProduct(name="mosaic_image", data=data, meta_data=meta),
            CatalogProduct("mosaic_catalog", catalog=_catalogue_object(found, self.catalogue_columns)),
        ]


class _Band:
    """The image of one energy band."""

    def __init__(self, observation: Observation, low: float, high: float, generator: np.random.Generator) -> None:
        self.observation, self.low, self.high = observation, float(low), float(high)
        self.camera = observation.camera
        limit = self.camera.field_radius(observation.radius)
        self.size = 2 * (int(limit / self.camera.pixel) + 3)
        axis = (np.arange(self.size) - (self.size - 1) / 2.0) * self.camera.pixel
        east, north = -axis[np.newaxis, :], axis[:, np.newaxis]
        offset = np.degrees(np.arctan(np.radians(np.hypot(east, north))))
        inside = offset < limit

        on_axis = sky.on_time(observation.periods) * self.camera.live_share
        self.exposure = np.where(inside, on_axis * self.camera.vignetting(offset), np.nan)
        useful = np.where(inside, self.exposure, 1.0) * sky.CODED_SHARE
        total = self.camera.in_band(observation.detector_rates(), self.low, self.high)
        # the noise of all that the detector counts, in each pixel independently
        self.intensity = np.where(inside, generator.poisson(total * useful) / useful - total, np.nan)
        self.variance = np.where(inside, total / useful, np.nan)
        for source in observation.sources:
            rate = self.camera.band_rate(source, self.low, self.high) * sky.mean_factor(source, observation.periods)
            x, y = sky.project(source.ra, source.dec, observation.ra, observation.dec)
            self.intensity += rate * np.exp(-((east - x) ** 2 + (north - y) ** 2) / (2.0 * self.camera.psf_sigma**2))
        self.significance = self.intensity / np.sqrt(self.variance)

    def images(self) -> list[fits.ImageHDU]:
        """In the order in which the real mosaics have them."""
        observation = self.observation
        span = {"TFIRST": observation.periods.min(), "TLAST": observation.periods.max()}
        seconds = sky.on_time(observation.periods)
        keywords = {
            **observation.device.keywords,
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CRVAL1": observation.ra,
            "CRVAL2": observation.dec,
            "CRPIX1": (self.size + 1) / 2.0,
            "CRPIX2": (self.size + 1) / 2.0,
            "CD1_1": -self.camera.pixel,
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": self.camera.pixel,
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "RADECSYS": "FK5",
            "EQUINOX": 2000.0,
            "E_MIN": self.low,
            "E_MAX": self.high,
            "CHANMIN": 0,
            "CHANMAX": 0,
            **span,
            "TSTART": span["TFIRST"],
            "TSTOP": span["TLAST"],
            "TELAPSE": (span["TLAST"] - span["TFIRST"]) * 86400.0,
            "ONTIME": seconds,
            "EXPOSURE": seconds * self.camera.live_share,
        }
        kinds = {
            "INTENSITY": ("count/s", self.intensity),
            "VARIANCE": ("(count/s)**2", self.variance),
            "SIGNIFICANCE": ("no units", self.significance),
            "EXPOSURE": ("s", self.exposure),
        }
        images = []
        for kind, (unit, values) in kinds.items():
            image = fits.ImageHDU(values.astype(">f4"), name=observation.device.image)
            image.header.extend({**keywords, "IMATYPE": kind, "BUNIT": unit}.items(), update=True)
            images.append(image)
        return images

    def measure(self, source: sky.Source) -> tuple[float, float, float]:
        """Significance and position (RA, DEC) of a source, from the image: a fit of the known shape around its peak."""
        east, north = sky.project(source.ra, source.dec, self.observation.ra, self.observation.dec)
        middle = (self.size - 1) / 2.0
        column, row = round(middle - east / self.camera.pixel), round(middle + north / self.camera.pixel)
        reach = 3
        window = np.s_[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        significance = self.significance[window]
        if not np.isfinite(significance).any():
            return -math.inf, source.ra, source.dec
        rows, columns = np.mgrid[window]
        good = np.isfinite(significance)
        x, y, values = columns[good], rows[good], self.intensity[window][good]
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
        place = sky.unproject(
            (middle - x0) * self.camera.pixel,
            (y0 - middle) * self.camera.pixel,
            self.observation.ra,
            self.observation.dec,
        )
        return float(significance[good][best]), *place


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

    def compute(self, parameters: Parameters, directory: Path) -> None:
        observation = self.observation(parameters)
        generator = sky.generator(parameters)
        targets = observation.targets(parameters["user_catalog"])
        for number, target in enumerate(targets):
            spectrum = _spectrum(observation, target, generator)
            fits.HDUList([primary(), spectrum]).writeto(directory / f"spectrum_{number}.fits", overwrite=True)
        fits.HDUList([primary(), _arf(observation.device)]).writeto(directory / "arf.fits", overwrite=True)
        fits.HDUList([primary(), *_rmf(observation.device)]).writeto(directory / "rmf.fits", overwrite=True)
        (directory / "names.json").write_text(json.dumps([target.name for target in targets]))

    def read(self, directory: Path) -> list[Any]:
        names = json.loads((directory / "names.json").read_text())
        products = []
        for number, name in enumerate(names):
            for kind, file_name, units in (
                ("spectrum", f"spectrum_{number}.fits", ["PRIMARY", None]),
                ("arf", "arf.fits", ["PRIMARY", "SPECRESP"]),
                ("rmf", "rmf.fits", ["PRIMARY", "EBOUNDS", "SPECRESP MATRIX"]),
            ):
                # the real service takes the name from a file name without blanks
                meta = {"src_name": name.replace(" ", ""), "product": f"{self.instrument}_{kind}"}
                with fits.open(directory / file_name, memmap=False) as hdus:
                    # units are not called like the extensions in the files, except for the spectra
                    data = [_unit(hdu, unit or hdu.name) for hdu, unit in zip(hdus, units, strict=True)]
                product = NumpyDataProduct(data, meta_data=meta, name="")
                products.append(SpectrumProduct(name="", data=product, meta_data=meta, file_name=file_name))
        return products


def _unit(hdu: Any, name: str) -> NumpyDataUnit:
    """Like ``NumpyDataUnit.from_fits_hdu``, which prints the data and can't do so with columns of variable length."""
    if hdu.data is not None and "MATRIX" in hdu.data.names:
        # the rows are outside of the table proper: only those that have been read travel with it
        _ = hdu.data["MATRIX"]
    kind = "primary" if isinstance(hdu, fits.PrimaryHDU) else "bintable"
    return NumpyDataUnit(hdu.data, data_header=dict(hdu.header), name=name, hdu_type=kind)


def _spectrum(observation: Observation, target: Target, generator: np.random.Generator) -> fits.BinTableHDU:
    seconds = sky.on_time(observation.periods)
    useful = observation.useful_time(target.ra, target.dec, seconds)
    everything = observation.detector_rates()
    # counts of all that the detector sees, less what the deconvolution takes for other than this source
    counts = generator.poisson(everything * useful)
    rate = counts / useful - everything + target.channel_rates(observation.camera, observation.periods)
    channels = np.arange(len(rate))
    return table(
        observation.device.spectrum,
        [
            ("CHANNEL", "1I", None, channels),
            ("RATE", "1E", "count/s", rate),
            ("STAT_ERR", "1E", "count/s", np.sqrt(everything / useful)),
            ("SYS_ERR", "1E", None, np.full(len(rate), 0.01)),
            # below the threshold of the detector
            ("QUALITY", "1I", None, (observation.camera.channel_lo < observation.camera.threshold).astype(int)),
            ("GROUPING", "1I", None, np.ones(len(rate))),
        ],
        {
            **observation.device.keywords,
            "NAME": target.name,
            "FILTER": "none",
            "HDUCLASS": "OGIP",
            "HDUCLAS1": "SPECTRUM",
            "HDUCLAS2": "TOTAL",
            "HDUCLAS3": "RATE",
            "HDUCLAS4": "TYPE:I",
            "HDUVERS": "1.1.0",
            "CHANTYPE": "PI",
            "DETCHANS": len(rate),
            "TLMIN1": 0,
            "TLMAX1": len(rate) - 1,
            "AREASCAL": 1,
            "BACKSCAL": 1,
            "CORRSCAL": 0,
            "BACKFILE": "NONE",
            "CORRFILE": "NONE",
            "ANCRFILE": "NONE",
            "RESPFILE": "NONE",
            "EXPOSURE": seconds * observation.camera.live_share,
            "ONTIME": seconds,
            "TSTART": observation.periods.min(),
            "TSTOP": observation.periods.max(),
            "DEADC": observation.camera.live_share,
            "RA_OBJ": target.ra,
            "DEC_OBJ": target.dec,
        },
    )


def _arf(device: Device) -> fits.BinTableHDU:
    camera = device.camera
    return table(
        device.arf,
        [
            ("ENERG_LO", "1E", "keV", camera.energy_lo),
            ("ENERG_HI", "1E", "keV", camera.energy_hi),
            ("SPECRESP", "1E", "cm**2", camera.effective_area),
        ],
        {**device.keywords, "HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "HDUCLAS2": "SPECRESP", "HDUVERS": "1.1.0"},
    )


def _rmf(device: Device) -> list[fits.BinTableHDU]:
    camera = device.camera
    channels = len(camera.channel_lo)
    bounds = table(
        device.bounds,
        [
            ("CHANNEL", "1I", None, np.arange(channels)),
            ("E_MIN", "1E", "keV", camera.channel_lo),
            ("E_MAX", "1E", "keV", camera.channel_hi),
        ],
        {**device.keywords, "HDUCLAS1": "RESPONSE", "HDUCLAS2": "EBOUNDS", "DETCHANS": channels},
    )
    # each row has one run of channels
    used = [np.flatnonzero(row) for row in camera.redistribution]
    rows = np.empty(len(used), dtype=object)
    for number, (row, where) in enumerate(zip(camera.redistribution, used, strict=True)):
        rows[number] = row[where[0] : where[-1] + 1].astype(np.float32)
    matrix = table(
        device.matrix,
        [
            ("ENERG_LO", "1E", "keV", camera.energy_lo),
            ("ENERG_HI", "1E", "keV", camera.energy_hi),
            ("N_GRP", "1I", None, np.ones(len(rows))),
            ("F_CHAN", "1J", None, [where[0] for where in used]),
            ("N_CHAN", "1J", None, [len(row) for row in rows]),
            ("MATRIX", "PE()", None, rows),
        ],
        {
            **device.keywords,
            "HDUCLASS": "OGIP",
            "HDUCLAS1": "RESPONSE",
            "HDUCLAS2": "RSP_MATRIX",
            "DETCHANS": channels,
            "TLMIN4": 0,
            "TLMAX4": channels - 1,
        },
    )
    return [bounds, matrix]


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
            hdus = self.hdus(observation, target, _light_curve(observation, target, width, generator))
            fits.HDUList([primary(), *hdus]).writeto(directory / f"light_curve_{number}.fits", overwrite=True)
        (directory / "names.json").write_text(json.dumps([target.name for target in targets]))

    def hdus(self, observation: Observation, target: Target, curve: Curve) -> list[fits.BinTableHDU]:
        """What is in a file."""
        columns = [
            ("TIME", "1D", "d", curve.begin + curve.width / 2.0),
            ("XAX_E", "1D", "d", np.full(len(curve.begin), curve.width / 2.0)),
            ("RATE", "1E", "count/s", curve.rate),
            ("ERROR", "1E", "count/s", curve.error),
            ("BACKV", "1E", "count/s", curve.background),
            ("BACKE", "1E", "count/s", curve.background_error),
            ("FRACEXP", "1E", None, curve.fraction),
        ]
        keywords = {"TIMEZERO": 0.0, "HDUCLASS": "OGIP", "HDUCLAS1": "LIGHTCURVE", "HDUCLAS3": "RATE"}
        return [
            table(
                observation.device.light_curve,
                columns,
                {**observation.device.keywords, **curve.keywords(observation, target), **keywords},
            )
        ]

    def read(self, directory: Path) -> list[Any]:
        names = json.loads((directory / "names.json").read_text())
        products = []
        for number, name in enumerate(names):
            path = directory / f"light_curve_{number}.fits"
            data = NumpyDataProduct.from_fits_file(path, name=f"{self.instrument}_lc")
            width = _with_widths(data.data_unit[-1])
            data.meta_data = {"src_name": name, "time_bin": width, "time": "TIME", "rate": "RATE", "rate_err": "ERROR"}
            products.append(LightCurveProduct(name=data.name, data=data, meta_data=data.meta_data))
        return products


def _with_widths(unit: NumpyDataUnit) -> float:
    """Width of the bins; where no column tells it, the real server appends one, but not to the header."""
    width = unit.header["TIMEDEL"]
    if "XAX_E" not in unit.data.names:
        plain = unit.data.view(np.ndarray)
        unit.data = np.empty(len(plain), dtype=[*plain.dtype.descr, ("TIMEDEL", "<f8")])
        for name in plain.dtype.names:
            unit.data[name] = plain[name]
        unit.data["TIMEDEL"] = width
    return width


@dataclass(frozen=True)
class Curve:
    """A light curve, before it becomes a file; bins without data have zeros, as the real ones."""

    begin: np.ndarray
    width: float
    rate: np.ndarray
    error: np.ndarray
    background: np.ndarray
    background_error: np.ndarray
    fraction: np.ndarray

    def keywords(self, observation: Observation, target: Target) -> dict[str, Any]:
        """What all files tell."""
        return {
            "NAME": target.name,
            "RA_OBJ": target.ra,
            "DEC_OBJ": target.dec,
            "TIMEDEL": self.width,
            "TIMEPIXR": 0.5,
            "TSTART": self.begin[0],
            "TSTOP": self.begin[-1] + self.width,
            "E_MIN": observation.low,
            "E_MAX": observation.high,
        }


def _bins(observation: Observation, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Start of each bin, and the time (s) of pointings in it; of the gaps only the bins next to a pointing are kept."""
    exposure: dict[int, float] = {}
    for begin, end in observation.periods:
        first, last = int((begin - observation.start) // width), int((end - observation.start) // width)
        for number in range(max(0, first - 1), last + 2):
            low = observation.start + number * width
            overlap = max(0.0, min(end, low + width) - max(begin, low)) * 86400.0
            # less than a second is nothing: it would be a bin with an enormous error
            exposure[number] = exposure.get(number, 0.0) + (overlap if overlap > 1.0 else 0.0)
    most = max(1, math.ceil((observation.stop - observation.start) / width - 1e-6))
    numbers = sorted(number for number in exposure if number < most)
    return observation.start + np.array(numbers) * width, np.array([exposure[number] for number in numbers])


def _light_curve(observation: Observation, target: Target, width: float, generator: np.random.Generator) -> Curve:
    camera, band = observation.camera, (observation.low, observation.high)
    begin, seconds = _bins(observation, width)
    observed = seconds > 0.0
    everything = camera.in_band(observation.detector_rates(), *band)
    expected = np.zeros(len(begin))
    if target.source is not None:
        grid = begin[:, np.newaxis] + width * (np.arange(20) + 0.5) / 20.0
        expected = camera.band_rate(target.source, *band) * target.source.variability.factor(grid).mean(axis=1)
    useful = np.where(observed, observation.useful_time(target.ra, target.dec, 1.0) * seconds, 1.0)
    noise = generator.poisson(everything * useful) / useful - everything
    background = camera.in_band(camera.background_rates, *band)
    live = np.where(observed, seconds * camera.live_share, np.inf)
    return Curve(
        begin,
        width,
        rate=np.where(observed, expected + noise, 0.0),
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
