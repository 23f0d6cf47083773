# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
JEM-X, two X-ray monitors: like ISGRI, with files, channels and a catalogue of its own.

The area is in the ARF here. Channels count from 1 in spectra and matrices, from 0 in EBOUNDS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sky
from astropy.io import fits
from cdci_data_analysis.analysis.instrument import Instrument
from cdci_data_analysis.analysis.parameters import Angle
from cdci_data_analysis.analysis.queries import ImageQuery, InstrumentQuery, SourceQuery, SpectralFitQuery

from .backend import CONFIGURATION, Backend, Parameters
from .isgri import (
    COMMON_KEYWORDS,
    MADE,
    OF_RESPONSES,
    OLD_RESPONSES,
    Curve,
    Device,
    IsgriImage,
    IsgriLightCurve,
    IsgriQuery,
    IsgriSpectrum,
    Observation,
    Target,
    bounds_columns,
    curve_keywords,
    inputs,
    matrix_columns,
    spectrum_keywords,
    table,
)
from .parameters import Choice, Count, EnergyLimit, JemxNumber, OsaVersion

FORCED = 75
"""So many sources at most are extracted because their FLAG says so; others must be above the threshold."""


def _device(number: int) -> Device:
    name = f"JMX{number}"
    return Device(
        sky.JEMX,
        {**COMMON_KEYWORDS, "INSTRUME": name},
        image=f"{name}-SKY.-IMA",
        spectrum=f"{name}-PHA1-SPE",
        arf=f"{name}-AXIS-ARF",
        bounds=f"{name}-FBDS-MOD",
        matrix=f"{name}-RMF.-RSP",
        light_curve=f"{name}-SRC.-LCR",
        maps={
            "INTENSITY": ("RECONSTRUCTED", "counts/dm2/s"),
            "VARIANCE": ("VARIANCE", "(counts/dm2/s)**2"),
            "SIGNIFICANCE": ("SIGNIFICANCE", "no units"),
            "EXPOSURE": ("EXPOSURE", "sec"),
        },
        no_exposure=np.nan,
    )


DEVICES = {number: _device(number) for number in (1, 2)}


class JemxObservation(Observation):
    """Extracts other rows of a catalogue than ISGRI does."""

    def targets(self, catalogue: list[dict[str, Any]] | None) -> list[Target]:
        """The selected sources which are in the field and are bright or wanted by FLAG, none called NEW SOURCE."""
        found = super().targets(catalogue)
        if catalogue is None:
            return found
        forced = {row["name"] for row in [row for row in catalogue if row["FLAG"] == 1][:FORCED]}
        return [
            target
            for target in found
            if target.name != "NEW SOURCE"
            and (target.name in forced or (target.source is not None and self.is_detected(target.source)))
        ]


class JemxQuery(IsgriQuery):
    """Common to all products."""

    instrument = "jemx"
    kind = JemxObservation

    def device(self, parameters: Parameters) -> Device:
        return DEVICES[int(parameters["jemx_num"])]


class JemxImage(JemxQuery, IsgriImage):
    """Mosaic, and a catalogue that does not tell which sources are new, but by their names."""

    fixed: dict[str, Any] = {}

    catalogue_columns = (("FLAG", "<i8"), ("ERR_RAD", "<f8"))

    def __init__(self, name: str) -> None:
        # past IsgriImage, which has a parameter of ours
        ImageQuery.__init__(self, name)


class JemxSpectrum(JemxQuery, IsgriSpectrum):
    """Spectrum, ARF and RMF of each source; the file of the RMF has a group and two more areas."""

    units = {
        "spectrum": [None, None],
        "arf": ["PRIMARY", "SPECRESP"],
        "rmf": ["PRIMARY", "GROUPING", "SPECRESP MATRIX", "EBOUNDS", None, None],
    }

    def spectrum(
        self, observation: Observation, target: Target, rate: np.ndarray, error: np.ndarray
    ) -> fits.BinTableHDU:
        """All channels are good, and count from 1."""
        channels, periods = len(rate), sky.periods(observation.seeing(target))
        columns = [
            ("CHANNEL", "1I", None, np.arange(channels) + 1),
            ("RATE", "1D", "count/s", rate),
            ("STAT_ERR", "1D", "count/s", error),
            ("SYS_ERR", "1D", None, np.zeros(channels)),
            ("QUALITY", "1I", None, np.zeros(channels)),
            ("GROUPING", "1I", None, np.ones(channels)),
        ]
        keywords = {
            **spectrum_keywords(observation, target),
            "HDUCLAS2": "NET",
            "AREASCAL": 1.0,
            "BACKSCAL": 1.0,
            "CORRSCAL": 0.0,
            "POISSERR": False,
            "TFIRST": periods.min(),
            "TLAST": periods.max(),
            "TLMIN1": 1,
            "TLMAX1": channels,
            "DATE-OBS": "UTC_format",
            "DATE-END": "UTC_format",
            "OGID": "String",
            "STAMP": MADE,
        }
        return table(observation.device.spectrum, columns, keywords)

    def arf(self, observation: Observation) -> fits.BinTableHDU:
        """The area, on axis here."""
        device = observation.device
        keywords = {"OGID": "String", "TSTART": observation.periods.min(), "TSTOP": observation.periods.max()}
        return _area(device, device.arf, "cm**2", device.camera.effective_area, **keywords, STAMP=MADE)

    def rmf(self, device: Device) -> list[fits.BinTableHDU]:
        camera = device.camera
        channels = len(camera.channel_lo)
        keywords = {
            **device.keywords,
            **OF_RESPONSES,
            **OLD_RESPONSES,
            "DATAMODE": "FULL_SPTI_EVENTS",
            "DETNAM": "NONE",
            "FILTER": "NONE",
            "DETCHANS": channels,
            "EXTVER": 1,
            "GRPID1": 1,
            "STAMP": MADE,
        }
        matrix = {
            "HDUCLAS2": "RSP_MATRIX",
            "HDUCLAS3": "",
            "LO_THRES": 0.0,
            "NUMGRP": len(camera.energy_lo),
            "NUMELT": camera.redistribution.size,
            "TLMIN4": 1,
            "TLMAX4": channels,
        }
        bounds = {"HDUCLAS2": "EBOUNDS", "HDUDOC": "OGIP memos CAL/GEN/92-002 & 92-002a"}
        image_name = device.arf.replace("AXIS", "IMAG")
        # these call the same numbers dm**2: whoever takes them for the area of the spectrum is wrong by a factor of 100
        on_axis = _area(device, device.arf, "dm**2", camera.effective_area, ISDCLEVL="SPE", STAMP=MADE)
        of_images = _area(device, image_name, "dm**2", camera.effective_area / 3.0, CREATOR="String", CONFIGUR="String")
        return [
            _response_group(device, [device.matrix, device.bounds, device.arf, image_name]),
            table(device.matrix, matrix_columns(camera, camera.redistribution, first=1), {**keywords, **matrix}),
            table(device.bounds, bounds_columns(camera), {**keywords, **bounds, "TLMIN1": 0, "TLMAX1": channels - 1}),
            on_axis,
            of_images,
        ]


def _area(device: Device, name: str, unit: str, area: np.ndarray, **keywords: Any) -> fits.BinTableHDU:
    columns = [
        ("ENERG_LO", "1E", "keV", device.camera.energy_lo),
        ("ENERG_HI", "1E", "keV", device.camera.energy_hi),
        ("SPECRESP", "1E", unit, area),
    ]
    keywords = {**device.keywords, **OF_RESPONSES, "HDUCLAS2": "SPECRESP", "EXTVER": 1, "GRPID1": 1, **keywords}
    return table(name, columns, keywords)


def _response_group(device: Device, members: list[str]) -> fits.BinTableHDU:
    number = len(members)
    columns = [
        ("MEMBER_XTENSION", "8A", None, ["BINTABLE"] * number),
        ("MEMBER_NAME", "32A", None, members),
        ("MEMBER_VERSION", "1J", None, np.ones(number)),
        ("MEMBER_POSITION", "1J", None, np.arange(number) + 3),
        ("MEMBER_LOCATION", "256A", None, [""] * number),
        ("MEMBER_URI_TYPE", "3A", None, [""] * number),
    ]
    keywords = {
        **device.keywords,
        "BASETYPE": "DAL_GROUP",
        "GRPNAME": device.matrix.replace("-RSP", "-GRP"),
        "EXTVER": 1,
        "VERSION": 1,
        "FILENAME": "synthetic_group.fits",
        "LOCATN": "here",
        "RESPONSI": "nobody",
        "STRT_VAL": "2002-10-17T00:00:00",
        "END_VAL": "2099-12-31T23:59:59",
        "VSTART": sky.DATA_START,
        "VSTOP": 36525.0,
        "STAMP": MADE,
    }
    return table("GROUPING", columns, keywords)


class JemxLightCurve(JemxQuery, IsgriLightCurve):
    """Light curve of each source, without a column for the width of the bins."""

    def hdus(self, observation: Observation, target: Target, curve: Curve) -> list[fits.BinTableHDU]:
        columns = [
            ("TIME", "1D", "d", curve.begin + curve.width / 2.0),
            ("RATE", "1E", "count/s", curve.rate),
            ("ERROR", "1E", "count/s", curve.error),
            ("BRATE", "1E", "count/s", curve.background),
            ("BERROR", "1E", "count/s", curve.background_error),
            # not computed there, either
            ("BARYTIME", "1D", "d", np.zeros(len(curve.begin))),
            ("FRACEXP", "1E", None, curve.fraction),
        ]
        offset = observation.offset(target.ra, target.dec)
        keywords = {
            **curve_keywords(observation, target, curve),
            "TIMVERS": "OGIP/93-003",
            "DATAMODE": "FULL",
            "SWBOUND": "OTF",
            "CHANMIN": 46,
            "CHANMAX": 223,
            "OFFANGLE": offset,
            "VIGNET": float(observation.camera.vignetting(offset)),
            "DETSIG": float(np.sum(curve.rate) / np.sqrt(np.sum(curve.error**2))),
        }
        return [table(observation.device.light_curve, columns, keywords)]

    def told_name(self, name: str) -> str:
        """The real plugin takes names from those of attributes, and makes blanks of their underscores."""
        return name.replace("_", " ")

    def bins(self, observation: Observation, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All of one width, at multiples of it from the first window on; only those with data."""
        origin, exposure = float(observation.periods.min()), {}
        for begin, end in observation.periods:
            for number in range(int((begin - origin) // width), int((end - origin) // width) + 1):
                low = origin + number * width
                overlap = max(0.0, min(end, low + width) - max(begin, low)) * 86400.0
                # less than a second is nothing: it would be a bin with an enormous error
                exposure[number] = exposure.get(number, 0.0) + (overlap if overlap > 1.0 else 0.0)
        numbers = sorted(number for number, seconds in exposure.items() if seconds > 0.0)
        seconds = np.array([exposure[number] for number in numbers])
        return origin + np.array(numbers) * width, np.full(len(numbers), width), seconds

    def bins_of(
        self, window: str, start: float, stop: float, width: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of one window of the long observation: of one width, with less exposure in the last."""
        width = min(width, sky.POINTING_LENGTH / 86400.0)
        begin = np.arange(start, stop - 1.0 / 86400.0, width)
        return begin, np.full(len(begin), width), (np.minimum(begin + width, stop) - begin) * 86400.0


def jemx() -> Instrument:
    """The instrument, asynchronous; its name makes the server collect all reports."""
    instrument = Instrument(
        "jemx",
        src_query=SourceQuery("src_query"),
        instrumet_query=InstrumentQuery(
            "jemx_parameters",
            extra_parameters_list=[
                Angle(value=4.0, units="deg", name="radius"),
                Count("max_pointings", 50),
                OsaVersion(),
                Choice("integral_data_rights", "public", ["public", "all-private"]),
                JemxNumber(),
                EnergyLimit("E1_keV", 3.0, "JEM-X", 3, 35),
                EnergyLimit("E2_keV", 20.0, "JEM-X", 3, 35),
            ],
            input_prod_list_name="scw_list",
            catalog_name="user_catalog",
        ),
        product_queries_list=[
            JemxImage("jemx_image_query"),
            JemxSpectrum("jemx_spectrum_query"),
            SpectralFitQuery("spectral_fit_query"),
            JemxLightCurve("jemx_lc_query"),
        ],
        query_dictionary={
            "jemx_image": "jemx_image_query",
            "jemx_spectrum": "jemx_spectrum_query",
            "jemx_lc": "jemx_lc_query",
            "spectral_fit": "spectral_fit_query",
        },
        data_serve_conf_file=CONFIGURATION,
        data_server_query_class=Backend,
    )
    instrument.inputs = inputs
    return instrument
