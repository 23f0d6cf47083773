# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""JEM-X, two X-ray monitors: like ISGRI, with files and a catalogue of its own."""

from __future__ import annotations

import numpy as np
import sky
from astropy.io import fits
from cdci_data_analysis.analysis.instrument import Instrument
from cdci_data_analysis.analysis.parameters import Angle
from cdci_data_analysis.analysis.queries import ImageQuery, InstrumentQuery, SourceQuery, SpectralFitQuery

from .backend import CONFIGURATION, Backend, Parameters
from .isgri import (
    COMMON_KEYWORDS,
    Curve,
    Device,
    IsgriImage,
    IsgriLightCurve,
    IsgriQuery,
    IsgriSpectrum,
    Observation,
    Target,
    inputs,
    table,
)
from .parameters import Choice, Count, EnergyLimit, JemxNumber, OsaVersion


def _device(number: int) -> Device:
    name = f"JMX{number}"
    return Device(
        sky.JEMX,
        {**COMMON_KEYWORDS, "INSTRUME": name},
        image=f"{name}-SKY.-IMA",
        spectrum=f"{name}-SRC.-SPE",
        arf=f"{name}-AXIS-ARF",
        bounds=f"{name}-FBDS-MOD",
        matrix=f"{name}-RMF.-RSP",
        light_curve=f"{name}-SRC.-LCR",
    )


DEVICES = {number: _device(number) for number in (1, 2)}


class JemxQuery(IsgriQuery):
    """Common to all products."""

    instrument = "jemx"

    def device(self, parameters: Parameters) -> Device:
        return DEVICES[int(parameters["jemx_num"])]


class JemxImage(JemxQuery, IsgriImage):
    """Mosaic, and a catalogue that does not tell which sources are new, but by their names."""

    catalogue_columns = (("FLAG", "<i8"), ("ERR_RAD", "<f8"))

    def __init__(self, name: str) -> None:
        # past IsgriImage, which has a parameter of ours
        ImageQuery.__init__(self, name)


class JemxSpectrum(JemxQuery, IsgriSpectrum):
    """Spectrum, ARF and RMF of each source."""


class JemxLightCurve(JemxQuery, IsgriLightCurve):
    """Light curve of each source, in a group, and without a column for the width of the bins."""

    def hdus(self, observation: Observation, target: Target, curve: Curve) -> list[fits.BinTableHDU]:
        time, name = curve.begin + curve.width / 2.0, observation.device.light_curve
        columns = [
            ("TIME", "1D", "d", time),
            ("RATE", "1E", "count/s", curve.rate),
            ("ERROR", "1E", "count/s", curve.error),
            ("BRATE", "1E", "count/s", curve.background),
            ("BERROR", "1E", "count/s", curve.background_error),
            # here the sun does not move
            ("BARYTIME", "1D", "d", time),
            ("FRACEXP", "1E", None, curve.fraction),
        ]
        seconds = sky.on_time(observation.periods)
        keywords = {
            **observation.device.keywords,
            **curve.keywords(observation, target),
            "ISDCLEVL": "LCR",
            "TELAPSE": (curve.begin[-1] + curve.width - curve.begin[0]) * 86400.0,
            "ONTIME": seconds,
            "DEADC": observation.camera.live_share,
            "RADECSYS": "FK5",
            "EQUINOX": 2000.0,
            "CHANTYPE": "PI",
            "CHANMIN": 46,
            "CHANMAX": 223,
            "EUNIT": "keV",
            "EXTVER": 1,
        }
        return [_group(observation, target, name), table(name, columns, keywords)]


def _group(observation: Observation, target: Target, name: str) -> fits.BinTableHDU:
    """The one light curve of a file; the channels are unsigned numbers, as FITS has them."""
    offset = sky.separation(target.ra, target.dec, observation.ra, observation.dec)
    rows = [
        ("MEMBER_XTENSION", "8A", None, "BINTABLE"),
        ("MEMBER_NAME", "32A", None, name),
        ("MEMBER_VERSION", "1J", None, 1),
        ("MEMBER_POSITION", "1J", None, 3),
        ("MEMBER_LOCATION", "256A", None, ""),
        ("MEMBER_URI_TYPE", "3A", None, ""),
        ("SOURCEID", "16A", None, ""),
        ("NAME", "20A", None, target.name),
        ("RA_OBJ", "1E", "deg", target.ra),
        ("DEC_OBJ", "1E", "deg", target.dec),
        ("DETSIG", "1E", None, 0.0),
        ("OFFANGLE", "1E", "deg", offset),
        ("DATAMODE", "4A", None, "FULL"),
        ("CHANMIN", "1I", None, 46),
        ("CHANMAX", "1I", None, 223),
        ("E_MIN", "1E", "keV", observation.low),
        ("E_MAX", "1E", "keV", observation.high),
    ]
    columns = [
        fits.Column(
            name=title,
            format=form,
            unit=unit,
            array=np.array([value], dtype=np.uint16 if form == "1I" else None),
            bzero=32768 if form == "1I" else None,
            null=0 if form == "1J" else None,
        )
        for title, form, unit, value in rows
    ]
    group = fits.BinTableHDU.from_columns(columns, name="GROUPING")
    keywords = {**observation.device.keywords, "GRPNAME": f"{name}-IDX", "IDXMEMBR": name, "BASETYPE": "DAL_GROUP"}
    group.header.extend(keywords.items(), update=True)
    return group


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
