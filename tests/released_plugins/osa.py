# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Stands for INTEGRAL's Offline Scientific Analysis (OSA): FITS files of the synthetic sky, shaped like those of OSA.

Names of extensions and columns, units, keywords and what is odd about them are those of genuine files; the numbers are
those of ``tests/local_mmoda/sky.py``. Attributes of the results and the names in them are as in the service's public
back-end modules: ISGRI's sources keep their names, those of JEM-X's light curves lose ``+`` and ``-``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time

from tests.local_mmoda import sky

__all__ = ["AnalysisFailure", "analyse", "shield_text"]

FIELDS = ((275.0914, 7.1853), (83.6331, 22.0145))
"""Where even and odd revolutions look: a list of science windows does not say."""
USED_FLAGS = (1, 2)
"""Rows of a catalogue with another ISGRI_FLAG are left out."""
MATCH_RADIUS = 0.2
DAY = 86400.0
COMMON = {
    "TELESCOP": "INTEGRAL",
    "ORIGIN": "ISDC",
    "BASETYPE": "DAL_TABLE",
    "CONFIGUR": "String",
    "MJDREF": sky.MJDREF,
    "TIMESYS": "TT",
    "TIMEUNIT": "d",
    "TIMEREF": "LOCAL",
    "RADECSYS": "FK5",
    "EQUINOX": 2000.0,
}
Column = tuple[str, str, str | None, Any]


class AnalysisFailure(Exception):
    """An analysis exception of OSA; the message is its name."""


# ---- what is asked for -------------------------------------------------------------------------------------------


def _arguments(assume: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Values by name of the analysis node; what the plugin sends is Python source, which is read and not run."""
    found: dict[str, dict[str, Any]] = {}
    for text in assume:
        call = ast.parse(text.strip(), mode="eval").body
        name = ast.unparse(call.func).rpartition(".")[2]
        found.setdefault(name, {}).update({word.arg: _value(word.value) for word in call.keywords})
    return found


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return {word.arg: _value(word.value) for word in node.keywords}
    return ast.unparse(node) if isinstance(node, ast.Attribute) else ast.literal_eval(node)


def _ijd(isot: str) -> float:
    return Time(isot, format="isot", scale="utc").tt.mjd - sky.MJDREF


def _utc(ijd: float) -> str:
    return Time(ijd + sky.MJDREF, format="mjd", scale="tt").utc.isot[:19]


@dataclass(frozen=True)
class _Target:
    """A source to extract, under the name and at the place of the catalogue; an empty place has no source."""

    name: str
    ra: float
    dec: float
    source: sky.Source | None


class _Observation:
    """What an instrument sees."""

    def __init__(self, camera: sky.Camera, arguments: dict[str, dict[str, Any]]) -> None:
        self.camera, self.arguments = camera, arguments
        if "IDScWList" in arguments:
            windows = [name for name in arguments["IDScWList"]["use_scwid_list"] if sky.exists(name)]
            self.ra, self.dec = FIELDS[int(windows[0][:4]) % 2] if windows else FIELDS[0]
        else:
            asked = arguments["TimeDirectionScWList"]
            self.ra, self.dec = (float(asked["use_coordinates"][name]) for name in ("RA", "DEC"))
            matching = sky.windows(*(_ijd(asked["use_timespan"][name]) for name in ("T1", "T2")))
            windows = sky.drawn(matching, int(asked["use_max_pointings"]), arguments)
        self.periods = sky.periods(windows)
        if not len(self.periods):
            raise AnalysisFailure("NoValidScW")
        self.start, self.stop = float(self.periods.min()), float(self.periods.max())
        self.on_time = sky.on_time(self.periods)
        self.sources = camera.in_field(self.ra, self.dec)
        self.random = sky.generator(arguments)

    def band(self, node: str, name: str) -> tuple[float, float]:
        """Energies (keV) that a node was given."""
        ((low, high),) = self.arguments[node][name]
        return float(low), float(high)

    def offset(self, ra: float, dec: float) -> float:
        """Distance from the axis."""
        return float(sky.separation(ra, dec, self.ra, self.dec))

    def useful_time(self, ra: float, dec: float, seconds: float) -> float:
        """What an exposure is worth for a place in the sky."""
        share = self.camera.live_share * sky.CODED_SHARE
        return seconds * share * float(self.camera.vignetting(self.offset(ra, dec)))

    def everything(self) -> np.ndarray:
        """Rate of the whole detector in each channel."""
        rates = [self.camera.channel_rates(each) * sky.mean_factor(each, self.periods) for each in self.sources]
        return sum(rates, self.camera.background_rates)

    def significance(self, source: sky.Source, low: float, high: float) -> float:
        """Of a source in an image."""
        return self.camera.significance(source, self.periods, ra=self.ra, dec=self.dec, low=low, high=high)

    def targets(self, catalog: list[dict[str, Any]] | None, low: float, high: float, least: float) -> list[_Target]:
        """Rows of the catalogue that OSA uses and that are in the field; without one, known sources of the image."""
        if catalog is None:
            return [
                _Target(each.name, each.ra, each.dec, each)
                for each in self.sources
                if each.known and self.significance(each, low, high) > least
            ]
        return [
            _Target(row["NAME"], row["RA"], row["DEC"], self._nearest(row["RA"], row["DEC"]))
            for row in catalog
            if row["ISGRI_FLAG"] in USED_FLAGS and self.offset(row["RA"], row["DEC"]) < self.camera.field_limit
        ]

    def _nearest(self, ra: float, dec: float) -> sky.Source | None:
        near = [each for each in self.sources if sky.separation(ra, dec, each.ra, each.dec) < MATCH_RADIUS]
        return near[0] if near else None

    def span(self) -> dict[str, Any]:
        """Keywords of the time: the dates are UTC, whatever TIMESYS says."""
        return {
            "DATE-OBS": _utc(self.start),
            "DATE-END": _utc(self.stop),
            "TSTART": self.start,
            "TSTOP": self.stop,
            "TFIRST": self.start,
            "TLAST": self.stop,
            "TELAPSE": self.on_time,
            "ONTIME": self.on_time,
            "DEADC": self.camera.live_share,
        }


# ---- FITS --------------------------------------------------------------------------------------------------------


def _table(name: str, columns: list[Column], keywords: dict[str, Any]) -> fits.BinTableHDU:
    """Columns are name, format, unit, values."""
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column(name=title, format=form, unit=unit, array=values) for title, form, unit, values in columns]
    )
    hdu.header.extend({"EXTNAME": name, **COMMON, **keywords}.items(), update=True)
    return hdu


def _write(path: Path, *hdus: Any) -> str:
    primary = fits.PrimaryHDU()
    primary.header["COMMENT"] = "This file was written by a stand-in of OSA."
    fits.HDUList([primary, *hdus]).writeto(path)
    return path.as_posix()


def _grouping(name: str, members: list[Any]) -> fits.BinTableHDU:
    """The index that precedes the extensions of one kind."""
    numbers = np.arange(1, len(members) + 1)
    columns: list[Column] = [
        ("MEMBER_XTENSION", "8A", None, [member.header["XTENSION"] for member in members]),
        ("MEMBER_NAME", "32A", None, [member.name for member in members]),
        ("MEMBER_VERSION", "1J", None, numbers),
        ("MEMBER_POSITION", "1J", None, numbers + 1),
        ("MEMBER_LOCATION", "256A", None, [""] * len(members)),
    ]
    return _table("GROUPING", columns, {"GRPNAME": f"{name}-IDX", "BASETYPE": "DAL_GROUP"})


# ---- images ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _MosaicStyle:
    """What differs between the mosaics of ISGRI and JEM-X: extension, keywords, and BUNIT of each kind of map."""

    extension: str
    keywords: dict[str, Any]
    units: dict[str, str]


def _mosaic(seen: _Observation, style: _MosaicStyle, low: float, high: float) -> list[fits.ImageHDU]:
    """Maps of one energy band; outside of the field all of them are zero."""
    camera = seen.camera
    size = 2 * (int(camera.field_limit / camera.pixel) + 3)
    axis = (np.arange(size) - (size - 1) / 2.0) * camera.pixel
    east, north = -axis[np.newaxis, :], axis[:, np.newaxis]
    offset = np.degrees(np.arctan(np.radians(np.hypot(east, north))))
    inside = offset < camera.field_limit
    exposure = np.where(inside, seen.on_time * camera.live_share * camera.vignetting(offset), 0.0)
    useful = np.where(inside, exposure, 1.0) * sky.CODED_SHARE
    total = camera.in_band(seen.everything(), low, high)
    rates = seen.random.poisson(total * useful) / useful - total
    for source in seen.sources:
        rate = camera.band_rate(source, low, high) * sky.mean_factor(source, seen.periods)
        x, y = sky.project(source.ra, source.dec, seen.ra, seen.dec)
        rates += rate * np.exp(-((east - x) ** 2 + (north - y) ** 2) / (2.0 * camera.psf_sigma**2))
    variance = total / useful
    maps = [rates / camera.image_area, variance / camera.image_area**2, rates / np.sqrt(variance), exposure]
    wcs = {"CTYPE1": "RA---TAN", "CRPIX1": (size + 1) / 2.0, "CRVAL1": seen.ra, "CUNIT1": "deg"}
    wcs |= {"CTYPE2": "DEC--TAN", "CRPIX2": (size + 1) / 2.0, "CRVAL2": seen.dec, "CUNIT2": "deg"}
    wcs |= {"CD1_1": -camera.pixel, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": camera.pixel}
    energies = {"CHANMIN": int(low), "CHANMAX": int(high), "E_MIN": low, "E_MEAN": (low + high) / 2.0, "E_MAX": high}
    hdus = []
    for number, ((kind, unit), values) in enumerate(zip(style.units.items(), maps, strict=True), start=1):
        hdu = fits.ImageHDU(np.where(inside, values, 0.0).astype(np.float32))
        keywords = {**COMMON, **style.keywords, **seen.span(), **wcs, **energies, "OGID": "String"}
        keywords |= {"EXTNAME": style.extension, "BASETYPE": "DAL_ARRAY", "EXTVER": number}
        hdu.header.extend({**keywords, "IMATYPE": kind, "BUNIT": unit}.items(), update=True)
        hdus.append(hdu)
    return hdus


def _found(
    seen: _Observation, catalog: list[dict[str, Any]] | None, low: float, high: float
) -> list[tuple[_Target, float]]:
    """Sources of the catalogue, or of the reference catalogue, and new ones; each with its significance."""
    known = seen.targets(catalog, low, high, least=0.0)
    taken = {target.source.name for target in known if target.source}
    unknown = [each for each in seen.sources if not each.known and each.name not in taken]
    new = [_Target(f"NEW_{number}", each.ra, each.dec, each) for number, each in enumerate(unknown, start=1)]
    return [(each, seen.significance(each.source, low, high) if each.source else 0.0) for each in [*known, *new]]


def _source_list(found: list[tuple[_Target, float]]) -> list[Column]:
    """Columns that ISGRI's and JEM-X's lists have in common."""
    return [
        ("SOURCE_ID", "16A", None, [""] * len(found)),
        ("NAME", "100A", None, [target.name for target, _ in found]),
        ("RA_OBJ", "1E", "deg", [target.ra for target, _ in found]),
        ("DEC_OBJ", "1E", "deg", [target.dec for target, _ in found]),
        ("ERR_RAD", "1E", "deg", [0.02 / max(significance, 1.0) for _, significance in found]),
        ("DETSIG", "1E", None, [significance for _, significance in found]),
        ("FLAG", "1I", None, [int(target.name.startswith("NEW_")) for target, _ in found]),
    ]


def _isgri_image(arguments: dict[str, Any], catalog: list[dict[str, Any]] | None, directory: Path) -> dict[str, Any]:
    seen = _Observation(sky.ISGRI, arguments)
    low, high = seen.band("ImageBins", "use_ebins")
    units = {"INTENSITY": "counts/sec", "VARIANCE": "(counts/sec)**2", "SIGNIFICANCE": "no units", "EXPOSURE": "sec"}
    keywords = {"INSTRUME": "IBIS", "DETNAM": "ISGRI", "ISDCLEVL": "IMA"}
    maps = _mosaic(seen, _MosaicStyle("ISGR-MOSA-IMA", keywords, units), low, high)
    found = _found(seen, catalog, low, high)
    # found positions of those that were not detected are zero, and the plugin then takes the catalogue's
    detected = np.array([significance > 5.0 for _, significance in found])
    ra, dec = (np.array([getattr(target, name) for target, _ in found]) for name in ("ra", "dec"))
    new = np.array([int(target.name.startswith("NEW_")) for target, _ in found])
    columns: list[Column] = [
        *_source_list(found),
        ("RA_FIN", "1E", "deg", np.where(detected, ra + 0.001, 0.0)),
        ("DEC_FIN", "1E", "deg", np.where(detected, dec - 0.001, 0.0)),
        ("NEW_SOURCE", "1I", None, new),
        ("ISGRI_FLAG", "1I", None, np.ones(len(found))),
    ]
    return {
        "skyima": _write(directory / "isgri_mosa_ima.fits", _grouping("ISGR-MOSA-IMA", maps), *maps),
        "srclres": _write(directory / "isgri_srcl_res.fits", _table("ISGR-SRCL-RES", columns, keywords)),
    }


def _jemx_name(arguments: dict[str, Any]) -> str:
    return f"JMX{arguments['JEMX']['use_num']}"


def _jemx_image(arguments: dict[str, Any], catalog: list[dict[str, Any]] | None, directory: Path) -> dict[str, Any]:
    seen, name = _Observation(sky.JEMX, arguments), _jemx_name(arguments)
    low, high = seen.band("JEnergyBins", "use_bins")
    units = {"RECONSTRUCTED": "counts/dm2/s", "VARIANCE": "(counts/dm2/s)**2", "SIGNIFICANCE": "no units"}
    units["EXPOSURE"] = "sec"
    keywords = {"INSTRUME": name, "ISDCLEVL": "IMA"}
    maps = _mosaic(seen, _MosaicStyle(f"{name}-MOSA-IMA", keywords, units), low, high)
    columns = _source_list(_found(seen, catalog, low, high))
    return {
        "skyima": _write(directory / f"{name.lower()}_osa_mosaic.fits", _grouping(f"{name}-MOSA-IMA", maps), *maps),
        "srclres": _write(
            directory / f"{name.lower()}_sloc_res.fits", _table(f"{name}-SLOC-RES", columns, {"INSTRUME": name})
        ),
    }


# ---- spectra -----------------------------------------------------------------------------------------------------


def _short(name: str) -> str:
    return re.sub("[ /]", "_", name.strip())


def _rates(seen: _Observation, target: _Target) -> tuple[np.ndarray, np.ndarray]:
    """Rates and errors in the channels."""
    useful, everything = seen.useful_time(target.ra, target.dec, seen.on_time), seen.everything()
    noise = seen.random.poisson(everything * useful) / useful - everything
    own = 0.0
    if target.source:
        own = seen.camera.channel_rates(target.source) * sky.mean_factor(target.source, seen.periods)
    return own + noise, np.sqrt(everything / useful)


def _spectrum_keywords(seen: _Observation, target: _Target, channels: int, first: int) -> dict[str, Any]:
    return {
        **seen.span(),
        "ISDCLEVL": "SPE",
        "OGID": "String",
        "RA_OBJ": target.ra,
        "DEC_OBJ": target.dec,
        "SOURCEID": target.name,
        "NAME": target.name,
        "EXPOSURE": seen.on_time * seen.camera.live_share,
        "HDUCLASS": "OGIP",
        "HDUCLAS1": "SPECTRUM",
        "HDUCLAS3": "RATE",
        "HDUVERS": "1.2.1",
        "DETCHANS": channels,
        "CHANTYPE": "PI",
        "AREASCAL": 1,
        "BACKSCAL": 1,
        "CORRSCAL": 0,
        "BACKFILE": "NONE",
        "CORRFILE": "NONE",
        "TLMIN1": first,
        "TLMAX1": first + channels - 1,
    }


def _response_columns(camera: sky.Camera, matrix: np.ndarray, first: int) -> list[Column]:
    """All channels in every row, as both instruments have them."""
    rows, channels = matrix.shape
    return [
        ("ENERG_LO", "E", "keV", camera.energy_lo),
        ("ENERG_HI", "E", "keV", camera.energy_hi),
        ("N_GRP", "I", None, np.ones(rows)),
        ("F_CHAN", "1I", None, np.full(rows, first)),
        ("N_CHAN", "1I", None, np.full(rows, channels)),
        ("MATRIX", f"{channels}E", None, matrix),
    ]


def _bounds_columns(camera: sky.Camera) -> list[Column]:
    return [
        ("CHANNEL", "J", None, np.arange(len(camera.channel_lo))),
        ("E_MIN", "E", "keV", camera.channel_lo),
        ("E_MAX", "E", "keV", camera.channel_hi),
    ]


def _area_columns(camera: sky.Camera, unit: str | None, area: np.ndarray) -> list[Column]:
    return [
        ("ENERG_LO", "1E", "keV" if unit else None, camera.energy_lo),
        ("ENERG_HI", "1E", "keV" if unit else None, camera.energy_hi),
        ("SPECRESP", "1E", unit, area),
    ]


RESPONSE = {"HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "HDUVERS": "1.3.0"}


def _isgri_responses(seen: _Observation) -> tuple[list[Any], list[Any]]:
    """ARF and RMF: the area is in the matrix, and the ARF, freshly made of a template, is 1 everywhere."""
    camera, channels = seen.camera, len(seen.camera.channel_lo)
    keywords = {"INSTRUME": "IBIS", "DETNAM": "ISGRI", **RESPONSE}
    template = {"ORIGIN": "String", "VERSION": "Integer", "VSTART": "Real", "STRT_VAL": "UTC_format"}
    arf = _table(
        "ISGR-ARF.-RSP",
        _area_columns(camera, None, np.ones(len(camera.energy_lo))),
        {**keywords, **template, "HDUCLAS2": "SPECRESP"},
    )
    limits = {"TLMIN1": 0, "TLMAX1": channels - 1, "DETCHANS": channels, "CHANTYPE": "PI"}
    bounds = _table("ISGR-EBDS-MOD", _bounds_columns(camera), {**keywords, **limits, "HDUCLAS2": "EBOUNDS"})
    limits = {"TLMIN4": 0, "TLMAX4": channels - 1, "DETCHANS": channels, "CHANTYPE": "PI"}
    matrix = camera.redistribution * camera.effective_area[:, np.newaxis]
    response = _table(
        "ISGR-RMF.-RSP",
        _response_columns(camera, matrix, first=0),
        {**keywords, **limits, "HDUCLAS2": "RSP_MATRIX", "HDUCLAS3": " "},
    )
    return [arf], [bounds, response]


def _isgri_spectra(arguments: dict[str, Any], catalog: list[dict[str, Any]] | None, directory: Path) -> dict[str, Any]:
    seen = _Observation(sky.ISGRI, arguments)
    low, high = seen.band("ImageBins", "use_ebins")
    least = float(arguments["CatForSpectraFromImaging"]["use_minsig"])
    result: dict[str, Any] = {"extracted_sources": []}
    arf, rmf = _isgri_responses(seen)
    for target in seen.targets(catalog, low, high, least):
        rate, error = _rates(seen, target)
        channels = len(rate)
        columns: list[Column] = [
            ("CHANNEL", "1I", None, np.arange(channels)),
            ("RATE", "1E", "count/s", rate),
            ("SYS_ERR", "1E", None, np.zeros(channels)),
            ("STAT_ERR", "1E", "count/s", error),
            ("QUALITY", "1I", None, np.where(seen.camera.channel_lo < 30.0, 3, 0)),
            ("GROUPING", "1I", None, np.ones(channels)),
        ]
        short = _short(target.name)
        names = [f"isgri_sum_{short}", f"rmf_sum_{short}", f"arf_sum_{short}"]
        keywords = {**_spectrum_keywords(seen, target, channels, first=0), "INSTRUME": "IBIS", "DETNAM": "ISGRI"}
        keywords |= {"HDUCLAS2": "TOTAL", "EXP_SRC": seen.useful_time(target.ra, target.dec, seen.on_time)}
        keywords |= {"RESPFILE": f"{names[1]}.fits", "ANCRFILE": f"{names[2]}.fits", "STAMP": None, "FILTER": "none"}
        hdus = ([_table("ISGR-EVTS-SPE", columns, keywords)], rmf, arf)
        for name, content in zip(names, hdus, strict=True):
            result[name] = _write(directory / f"{name}.fits", *content)
        result["extracted_sources"].append([target.name, *names])
    return result


def _jemx_responses(seen: _Observation, name: str) -> tuple[list[Any], list[Any]]:
    """ARF and RMF; the RMF's file has two more areas, in another unit."""
    camera, channels = seen.camera, len(seen.camera.channel_lo)
    keywords = {"INSTRUME": name, **RESPONSE}
    area = {**keywords, "HDUCLAS2": "SPECRESP"}
    arf = _table(f"{name}-AXIS-ARF", _area_columns(camera, "cm**2", camera.effective_area), {**area, "OGID": "String"})
    limits = {"TLMIN4": 1, "TLMAX4": channels, "DETCHANS": channels, "CHANTYPE": "PI"}
    response = _table(
        f"{name}-RMF.-RSP",
        _response_columns(camera, camera.redistribution, first=1),
        {**keywords, **limits, "HDUCLAS2": "RSP_MATRIX", "HDUCLAS3": ""},
    )
    limits = {"TLMIN1": 0, "TLMAX1": channels - 1, "DETCHANS": channels, "CHANTYPE": "PI"}
    bounds = _table(f"{name}-FBDS-MOD", _bounds_columns(camera), {**keywords, **limits, "HDUCLAS2": "EBOUNDS"})
    inner = [
        _table(f"{name}-{kind}-ARF", _area_columns(camera, "dm**2", camera.effective_area * factor), area)
        for kind, factor in (("AXIS", 1.0), ("IMAG", 1.2))
    ]
    return [arf], [_grouping(f"{name}-RMF.-GRP", [response, bounds, *inner]), response, bounds, *inner]


def _jemx_spectra(arguments: dict[str, Any], catalog: list[dict[str, Any]] | None, directory: Path) -> dict[str, Any]:
    seen, name = _Observation(sky.JEMX, arguments), _jemx_name(arguments)
    low, high = seen.band("JEnergyBins", "use_bins")
    arf, rmf = _jemx_responses(seen, name)
    result: dict[str, Any] = {}
    for target in _jemx_targets(seen, catalog, low, high):
        rate, error = _rates(seen, target)
        channels = len(rate)
        columns: list[Column] = [
            ("CHANNEL", "1I", None, np.arange(1, channels + 1)),
            ("RATE", "1D", "count/s", rate),
            ("STAT_ERR", "1D", "count/s", error),
            ("SYS_ERR", "1D", None, np.zeros(channels)),
            ("QUALITY", "1I", None, np.zeros(channels)),
            ("GROUPING", "1I", None, np.ones(channels)),
        ]
        keywords = {**_spectrum_keywords(seen, target, channels, first=1), "INSTRUME": name, "HDUCLAS2": "NET"}
        keywords |= {"DATE-OBS": "UTC_format", "DATE-END": "UTC_format", "POISSERR": False}
        spectrum = _table(f"{name}-PHA1-SPE", columns, keywords)
        for kind, suffix, hdus in (("spectrum", "pha", [spectrum]), ("arf", "arf", arf), ("rmf", "rmf", rmf)):
            path = directory / f"spec_{_short(target.name)}_{suffix}.fits"
            result[f"{kind}_{target.name}"] = _write(path, *hdus)
    return result


def _jemx_targets(seen: _Observation, catalog: list[dict[str, Any]] | None, low: float, high: float) -> list[_Target]:
    """JEM-X does not extract what has no name."""
    return [each for each in seen.targets(catalog, low, high, least=5.0) if each.name != "NEW SOURCE"]


# ---- light curves ------------------------------------------------------------------------------------------------


def _light_curve(seen: _Observation, target: _Target, band: tuple[float, float], width: float) -> dict[str, np.ndarray]:
    """Bins of the pointings, each at most `width` days long; the first one has no data, which OSA writes as zeros."""
    begin = np.concatenate([np.arange(start, stop - 1e-9, width) for start, stop in seen.periods])
    ends = np.concatenate([np.full(len(np.arange(a, b - 1e-9, width)), b) for a, b in seen.periods])
    half = np.minimum(width, ends - begin) / 2.0
    seconds = 2.0 * half * DAY
    seconds[0] = 0.0
    useful = np.maximum(seen.useful_time(target.ra, target.dec, 1.0) * seconds, 1e-6)
    total = seen.camera.in_band(seen.everything(), *band)
    expected = np.zeros(len(begin))
    if target.source:
        factors = target.source.variability.factor(begin + half)
        expected = seen.camera.band_rate(target.source, *band) * factors
    rate = expected + seen.random.poisson(total * useful) / useful - total
    background = np.full(len(begin), seen.camera.in_band(seen.camera.background_rates, *band))
    empty = seconds == 0.0
    return {
        "TIME": begin + half,
        "XAX_E": half,
        "RATE": np.where(empty, 0.0, rate),
        "ERROR": np.where(empty, 0.0, np.sqrt(total / useful)),
        "BACKGROUND": np.where(empty, 0.0, background),
        "BACKGROUND_ERROR": np.where(empty, 0.0, np.sqrt(background / useful)),
        "FRACEXP": seconds * seen.camera.live_share / (width * DAY),
        "TOT_COUNTS": np.where(empty, 0.0, (rate + background) * seconds),
    }


def _curve_keywords(
    seen: _Observation, target: _Target, band: tuple[float, float], curve: dict[str, np.ndarray], width: float
) -> dict[str, Any]:
    return {
        **{key: value for key, value in seen.span().items() if not key.startswith("DATE")},
        "ISDCLEVL": "LCR",
        "TELAPSE": seen.stop - seen.start,
        "SWBOUND": "String",
        "CHANTYPE": "PI",
        "E_MIN": band[0],
        "E_MAX": band[1],
        "EUNIT": "keV",
        "SOURCEID": target.name,
        "RA_OBJ": target.ra,
        "DEC_OBJ": target.dec,
        "BACKAPP": True,
        "DEADAPP": True,
        "VIGNAPP": True,
        "TIMEDEL": width,
        "TIMEPIXR": 0.5,
    }


def _isgri_light_curves(
    arguments: dict[str, Any], catalog: list[dict[str, Any]] | None, directory: Path
) -> dict[str, Any]:
    seen = _Observation(sky.ISGRI, arguments)
    band = seen.band("LCEnergyBins", "use_ebins")
    width = float(arguments["LCTimeBin"]["use_time_bin_seconds"]) / DAY
    result: dict[str, Any] = {"extracted_sources": []}
    for target in seen.targets(catalog, *band, least=float(arguments["CatForLC"]["use_minsig"])):
        curve = _light_curve(seen, target, band, width)
        # TIMEUNIT gives the unit of the times, there is none at the columns
        columns: list[Column] = [
            ("TIME", "D", None, curve["TIME"]),
            ("TOT_COUNTS", "E", None, curve["TOT_COUNTS"]),
            ("BACKV", "E", None, curve["BACKGROUND"]),
            ("BACKE", "E", None, curve["BACKGROUND_ERROR"]),
            ("RATE", "E", None, curve["RATE"]),
            ("ERROR", "E", None, curve["ERROR"]),
            ("FRACEXP", "E", None, curve["FRACEXP"]),
            ("XAX_E", "E", None, curve["XAX_E"]),
        ]
        keywords = {**_curve_keywords(seen, target, band, curve, width), "INSTRUME": "IBIS", "DETNAM": "ISGRI"}
        attribute = f"isgri_sum_lc_{_short(target.name)}"
        hdu = _table("ISGR-SRC.-LCR", columns, {**keywords, "NAME": target.name})
        result[attribute] = _write(directory / f"{attribute}.fits", hdu)
        result["extracted_sources"].append([target.name, attribute])
    return result


def _jemx_light_curves(
    arguments: dict[str, Any], catalog: list[dict[str, Any]] | None, directory: Path
) -> dict[str, Any]:
    seen, name = _Observation(sky.JEMX, arguments), _jemx_name(arguments)
    band = seen.band("JEnergyBinsLC", "use_bins")
    width = float(arguments["LCTimeBin"]["use_time_bin_seconds"]) / DAY
    result: dict[str, Any] = {}
    for target in _jemx_targets(seen, catalog, *band):
        curve = _light_curve(seen, target, band, width)
        columns: list[Column] = [
            ("TIME", "1D", "d", curve["TIME"]),
            ("RATE", "1E", "count/s", curve["RATE"]),
            ("ERROR", "1E", "count/s", curve["ERROR"]),
            ("BRATE", "1E", "count/s", curve["BACKGROUND"]),
            ("BERROR", "1E", "count/s", curve["BACKGROUND_ERROR"]),
            ("BARYTIME", "1D", "d", curve["TIME"] + 0.002),
            ("FRACEXP", "1E", None, curve["FRACEXP"]),
        ]
        keywords = {**_curve_keywords(seen, target, band, curve, width), "INSTRUME": name, "NAME": "String"}
        hdu = _table(f"{name}-SRC.-LCR", columns, keywords)
        attribute = "lc_" + re.sub("[- +]", "_", target.name)
        path = directory / f"{attribute}.fits"
        result[attribute] = _write(path, _grouping(f"{name}-SRC.-LCR", [hdu]), hdu)
    return result


# ---- all together ------------------------------------------------------------------------------------------------

ANALYSES: dict[str, Callable[[dict[str, Any], list[dict[str, Any]] | None, Path], dict[str, Any]]] = {
    "mosaic_ii_skyimage": _isgri_image,
    "mosaic_jemx_osa": _jemx_image,
    "ISGRISpectraSum": _isgri_spectra,
    "spe_pick": _jemx_spectra,
    "ISGRILCSum": _isgri_light_curves,
    "lc_pick": _jemx_light_curves,
}
"""By the name that the plugin gives."""


def analyse(target: str, assume: list[str], inject: list[Any], directory: Path) -> dict[str, Any]:
    """Write the files of an analysis into a directory; attributes of the result, most of them paths of files."""
    catalogs = [content["catalog"] for kind, content in inject if kind == "SourceCatalog"]
    return ANALYSES[target](_arguments(assume), catalogs[0] if catalogs else None, directory)


def shield_text(middle: str, half_width: float) -> str:
    """
    Counts of the anticoincidence shield in bins of 0.05 s, as the service's archive of housekeeping data sends them.

    Lines of: start of the bin (IJD), seconds since the middle, counts, seconds of the day.
    """
    centre = _ijd(middle)
    if not sky.DATA_START <= centre <= sky.DATA_STOP:
        return "ZeroData"
    length = 2.0 * half_width
    edges = np.arange(round(length / sky.ACS_BIN) + 1) * sky.ACS_BIN
    expected = sky.ACS_BACKGROUND * sky.ACS_BIN + sky.burst_counts(edges[:-1], edges[1:], length)
    counts = sky.generator({"middle": middle, "length": length}).poisson(expected)
    since = edges[:-1] - half_width
    days = centre + since / DAY
    return "\n".join(
        f"{day:.12f} {second:.4f} {count} {day % 1.0 * DAY:.4f}"
        for day, second, count in zip(days, since, counts, strict=True)
    )
