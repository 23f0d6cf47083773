"""Small mosaics of the shape that OSA's have: zeros outside of the field, units and dates in INTEGRAL's own way."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time

from .encode import product, reply

MJDREF = 51544.0
#: TT, days since MJDREF
BEGIN, END = 1540.25, 1540.375
ISGRI_UNITS = {"INTENSITY": "counts/sec", "VARIANCE": "(counts/sec)**2", "SIGNIFICANCE": "no units", "EXPOSURE": "sec"}
JEMX_UNITS = {
    "RECONSTRUCTED": "counts/dm2/s",
    "VARIANCE": "(counts/dm2/s)**2",
    "SIGNIFICANCE": "no units",
    "EXPOSURE": "sec",
}
#: pixel (x, y) of the one source, its rate and the scale of the pixels in degrees
SOURCE, RATE, SCALE = (14, 9), 12.5, 0.08


def field(shape: tuple[int, int] = (24, 30)) -> np.ndarray[Any, Any]:
    """Where there is exposure: a tilted square in the middle."""
    rows, columns = np.indices(shape)
    return np.abs(rows - shape[0] / 2) + np.abs(columns - shape[1] / 2) < 11


def maps(band: int, shape: tuple[int, int] = (24, 30)) -> dict[str, np.ndarray[Any, Any]]:
    """Pixels by type; the noise grows towards the edge, and outside of the field all are 0."""
    inside, (rows, columns) = field(shape), np.indices(shape)
    generator = np.random.default_rng(band)
    exposure = np.where(inside, 3000.0 / (1 + np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) ** 2 / 40), 0)
    variance = np.divide(300.0, exposure, out=np.zeros(shape), where=inside)
    source = RATE / band * np.exp(-((columns - SOURCE[0]) ** 2 + (rows - SOURCE[1]) ** 2) / 4)
    intensity = np.where(inside, generator.normal(size=shape) * np.sqrt(variance) + source, 0)
    significance = np.divide(intensity, np.sqrt(variance), out=np.zeros(shape), where=inside)
    return {"INTENSITY": intensity, "VARIANCE": variance, "SIGNIFICANCE": significance, "EXPOSURE": exposure}


def header(kind: str, unit: str, band: tuple[float, float], **cards: Any) -> fits.Header:
    """Cards of one map; DATE-OBS and DATE-END are UTC beside TIMESYS TT, as ii_skyimage writes them."""
    utc = [Time(MJDREF + day, format="mjd", scale="tt").utc.isot[:19] for day in (BEGIN, END)]
    found = fits.Header()
    found.update(
        {"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", "OGID": "String"}
        | {"MJDREF": MJDREF, "TIMESYS": "TT", "TIMEUNIT": "d", "TIMEREF": "LOCAL"}
        | {"DATE-OBS": utc[0], "DATE-END": utc[1], "TSTART": BEGIN, "TSTOP": END, "TELAPSE": 9000.0}
        | {"BUNIT": unit, "CTYPE1": "RA---TAN", "CRPIX1": 15.5, "CRVAL1": 83.0, "CUNIT1": "deg"}
        | {"CTYPE2": "DEC--TAN", "CRPIX2": 12.5, "CRVAL2": 22.0, "CUNIT2": "deg", "CD1_1": -SCALE, "CD1_2": 0.0}
        | {"CD2_1": 0.0, "CD2_2": SCALE, "LONGPOLE": 180, "LATPOLE": 0, "RADECSYS": "FK5", "EQUINOX": 2000.0}
        | {"E_MIN": band[0], "E_MAX": band[1], "IMATYPE": kind}
        | cards
    )
    return found


def mosaic(
    bands: tuple[tuple[float, float], ...] = ((20.0, 40.0),),
    *,
    units: dict[str, str] | None = None,
    extname: str = "ISGR-MOSA-IMA",
    dtype: str = ">f4",
    **cards: Any,
) -> fits.HDUList:
    """Mosaic with four maps for each band."""
    units = units or ISGRI_UNITS
    hdulist = fits.HDUList([fits.PrimaryHDU()])
    group = fits.BinTableHDU.from_columns(
        [fits.Column("MEMBER_NAME", "32A", array=np.array([extname] * 4 * len(bands)))], name="GROUPING"
    )
    hdulist.append(group)
    for number, band in enumerate(bands, start=1):
        pixels = maps(number)
        for kind, unit in units.items():
            data = pixels["INTENSITY" if kind == "RECONSTRUCTED" else kind].astype(dtype)
            hdulist.append(fits.ImageHDU(data, header(kind, unit, band, **cards), name=extname))
    return hdulist


def isgri(*bands: tuple[float, float], **cards: Any) -> dict[str, Any]:
    """Reply of ``isgri_image``."""
    return reply(product(mosaic(bands or ((20.0, 40.0),), **cards), "mosaic_image"), instrument="isgri")


def jemx(*bands: tuple[float, float], **cards: Any) -> dict[str, Any]:
    """Reply of ``jemx_image``, whose intensities are called RECONSTRUCTED."""
    hdulist = mosaic(bands or ((3.0, 10.0),), units=JEMX_UNITS, extname="JMX1-MOSA-IMA", **cards)
    for hdu in hdulist[2:]:
        hdu.header.update(INSTRUME="JMX1", DETNAM="JMX1")
    return reply(product(hdulist, "mosaic_image"), instrument="jemx")
