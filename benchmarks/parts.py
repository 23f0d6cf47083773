"""
Parts of a long observation for the benchmark of combine: mosaics, spectra and light curves whose sum is known.

They have the form that queries return, and the cards that the peer wants. Coordinates, pixels and the width of the
point-spread function are those of ISGRI's mosaics, all values are made here.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS

SCALE = 0.0822862539155913  # deg per pixel
FWHM = 14.1  # arcmin
CENTRE = (257.65, -35.5)
BANDS = ((20.0, 40.0), (40.0, 80.0))
SOURCES = 20
# how far a pixel is like its neighbour: 0.79 in ISGRI's mosaics, which a Gaussian of this width in pixels gives
CORRELATION = 1.03
MJDREF, FIRST_DAY, STEP, LENGTH = 51544.0, 6900.0, 3.0, 2.5  # days
# of JEM-X: the peer does not take ISGRI's matrices, whose rows have a fixed length
ENERGIES, CHANNELS, LOWEST, HIGHEST = 500, 64, 3.0, 35.0
BINS, CURVES = 100, 3


def _random(*key: int) -> np.random.Generator:
    return np.random.default_rng((18, *key))


def names(count: int = SOURCES) -> list[str]:
    """Names of sources."""
    return [f"Source {number:02d}" for number in range(1, count + 1)]


def times(index: int) -> tuple[float, float]:
    """Begin and end of a part, TT, in days since MJDREF; no two overlap, and all are within half a year."""
    return FIRST_DAY + index * STEP, FIRST_DAY + index * STEP + LENGTH


def _time_cards(index: int) -> dict[str, Any]:
    begin, end = times(index)
    dates = [Time(MJDREF + day, format="mjd", scale="tt").isot for day in (begin, end)]
    cards = {"MJDREF": MJDREF, "TIMESYS": "TT", "TIMEUNIT": "d", "TIMEREF": "LOCAL", "TSTART": begin, "TSTOP": end}
    return cards | {"DATE-OBS": dates[0], "DATE-END": dates[1], "TFIRST": begin, "TLAST": end}


def _primary(index: int, product: str) -> fits.PrimaryHDU:
    hdu, instrument = fits.PrimaryHDU(), product.split("_")[0]
    hdu.header.update({"ORIGIN": "MMODA", "INSTRUM": instrument, "PRODUCT": product, "JOB_ID": f"{index:016x}"})
    hdu.header.add_history("MMODA parameter osa_version = OSA11.2")
    return hdu


# ---- mosaics


def separation(ra: Any, dec: Any, ra_0: float, dec_0: float) -> Any:
    """Angle on the sky in arcmin (haversine formula); coordinates in deg."""
    ra, dec, ra_0, dec_0 = map(np.radians, (ra, dec, ra_0, dec_0))
    root = np.sin((dec - dec_0) / 2) ** 2 + np.cos(dec) * np.cos(dec_0) * np.sin((ra - ra_0) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(root))) * 60


def pointing(index: int, pixels: int) -> tuple[float, float]:
    """Centre of a mosaic in deg: the first in the middle, the others around it."""
    radius, angle = 0.12 * pixels * SCALE * np.sqrt(index * 0.618 % 1), index * 2.4
    dec = CENTRE[1] + radius * np.sin(angle)
    return CENTRE[0] + radius * np.cos(angle) / np.cos(np.radians(dec)), dec


def coordinates(index: int, pixels: int) -> WCS:
    """Coordinates of a mosaic."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.radesys, wcs.wcs.equinox = ["RA---TAN", "DEC--TAN"], "FK5", 2000.0
    wcs.wcs.crval, wcs.wcs.crpix = pointing(index, pixels), [pixels / 2 + 0.5] * 2
    wcs.wcs.cd = [[-SCALE, 0], [0, SCALE]]
    return wcs


def _coordinate_cards(wcs: WCS) -> fits.Header:
    """Cards of the coordinates, with CD as OSA writes it."""
    header = wcs.to_header()
    for axis in (1, 2):
        header.rename_keyword(f"PC{axis}_{axis}", f"CD{axis}_{axis}")
        del header[f"CDELT{axis}"]
    return header


def exposure(index: int, pixels: int) -> np.ndarray:
    """Seconds in each pixel: a square that leaves the edge without any."""
    distance = np.abs(np.arange(pixels) - (pixels - 1) / 2) / (pixels / 2)
    vignetting = np.where(distance < 0.96, 1 - 0.7 * distance**2, 0)
    return (100e3 + 80e3 * _random(1, index).random()) * vignetting[:, None] * vignetting


@lru_cache
def sky(pixels: int) -> Table:
    """
    Sources: position in deg, and height in each band in count/s.

    All are in one of the first three mosaics; two are outside of the very first.
    """
    random, grids = _random(2), [coordinates(index, pixels) for index in range(3)]
    found: list[tuple[float, float]] = []
    lost = 0
    while len(found) < SOURCES:
        ra, dec = map(float, grids[0].wcs_pix2world(*(random.random(2) * pixels * 1.2 - pixels * 0.1), 0))
        places = [np.abs(np.array(wcs.wcs_world2pix(ra, dec, 0)) + 0.5 - pixels / 2) for wcs in grids]
        inside = [place.max() < 0.48 * pixels - 7 for place in places]
        outside = places[0].max() > pixels / 2 + 1
        near = [separation(ra, dec, *other) < 14 * SCALE * 60 for other in found]
        if any(near) or not any(inside) or not (outside if lost < 2 else inside[0]):
            continue
        lost += outside
        found.append((ra, dec))
    heights = {f"height_{band}": 10 ** (1 + 0.8 * random.random(SOURCES)) / band for band in (1, 2)}
    return Table({"src_name": names(), "ra": [ra for ra, _ in found], "dec": [dec for _, dec in found]} | heights)


def _shining(wcs: WCS, pixels: int, sources: Table, band: int) -> np.ndarray:
    """Gaussians of one width on the sky."""
    plane, reach = np.zeros((pixels, pixels)), 20
    for source in sources:
        x, y = (round(float(value)) for value in wcs.wcs_world2pix(source["ra"], source["dec"], 0))
        if not (-reach < x < pixels + reach and -reach < y < pixels + reach):
            continue
        box = slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1)
        rows, columns = np.mgrid[0:pixels, 0:pixels][(slice(None), *box)]
        ra, dec = wcs.wcs_pix2world(columns, rows, 0)
        away = separation(ra, dec, source["ra"], source["dec"])
        plane[box] += source[f"height_{band}"] * np.exp(-4 * np.log(2) * (away / FWHM) ** 2)
    return plane


def mosaic(index: int, pixels: int) -> fits.HDUList:
    """A mosaic of two bands."""
    from scipy.ndimage import gaussian_filter  # the peer's environment only reads

    wcs, seconds, sources = coordinates(index, pixels), exposure(index, pixels), sky(pixels)
    hdulist = fits.HDUList([_primary(index, "isgri_image")])
    for number, (e_min, e_max) in enumerate(BANDS, start=1):
        noise = gaussian_filter(_random(3, index, number).standard_normal((pixels, pixels)), CORRELATION, mode="wrap")
        noise *= np.sqrt(4 * np.pi) * CORRELATION
        variance = np.divide(760.0, seconds * number, out=np.full_like(seconds, np.nan), where=seconds > 0)
        intensity = _shining(wcs, pixels, sources, number) + noise * np.sqrt(variance)
        planes = {"INTENSITY": intensity, "VARIANCE": variance, "SIGNIFICANCE": intensity / np.sqrt(variance)}
        units = ("count / s", "count2 / s2", "", "s")
        for (kind, plane), unit in zip((planes | {"EXPOSURE": seconds}).items(), units, strict=True):
            hdu = fits.ImageHDU(plane.astype(">f4"), _coordinate_cards(wcs), name=kind, ver=number)
            hdu.header.update({"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", "IMATYPE": kind})
            hdu.header.update(_time_cards(index) | {"TELAPSE": 0.9 * LENGTH * 86400, "DEADC": 0.78})
            hdu.header.update({"E_MIN": e_min, "E_MEAN": (e_min + e_max) / 2, "E_MAX": e_max})
            hdu.header["ONTIME"] = float(seconds.max())
            if unit:
                hdu.header["BUNIT"] = unit
            hdulist.append(hdu)
    catalog = fits.BinTableHDU(_catalog(index, pixels), name="CATALOG")
    hdulist.append(catalog)
    return hdulist


def _catalog(index: int, pixels: int) -> Table:
    """What this mosaic detected, of which all are known sources."""
    sources, seconds = sky(pixels), exposure(index, pixels)
    places = coordinates(index, pixels).wcs_world2pix(sources["ra"], sources["dec"], 0)
    columns, rows = (np.round(values).astype(int) for values in places)
    inside = (columns >= 0) & (columns < pixels) & (rows >= 0) & (rows < pixels)
    inside[inside] = seconds[rows[inside], columns[inside]] > 0
    found = sources["src_name", "ra", "dec"][inside]
    found["significance"] = sources["height_1"][inside] / np.sqrt(760 / seconds[rows[inside], columns[inside]])
    found.rename_column("src_name", "src_names")
    found.add_column(np.arange(len(found)), name="meta_ID", index=0)
    for name, value in {"NEW_SOURCE": 0, "ISGRI_FLAG": 2, "FLAG": 1, "ERR_RAD": 0.001}.items():
        found[name] = value
    found["ra"].unit = found["dec"].unit = found["ERR_RAD"].unit = "deg"
    found.meta["FRAME"] = "fk5"
    return found


def write_mosaics(directory: Path, count: int, pixels: int) -> None:
    """Mosaics as files, and their catalogues as the JSON text that the peer reads."""
    for index in range(count):
        path = directory / f"mosaic_{index:03d}.fits"
        if not path.exists():
            hdulist = mosaic(index, pixels)
            found = Table(hdulist["CATALOG"].data)
            text = json.dumps(
                {
                    "cat_column_list": [np.asarray(found[name]).tolist() for name in found.colnames],
                    "cat_column_names": found.colnames,
                    "cat_column_descr": [[name, found[name].dtype.str.replace(">", "<")] for name in found.colnames],
                    "cat_frame": "fk5",
                    "cat_coord_units": "deg",
                    "cat_lon_name": "ra",
                    "cat_lat_name": "dec",
                }
            )
            path.with_suffix(".json").write_text(text)
            hdulist.writeto(path)


# ---- spectra


def _edges() -> np.ndarray:
    return np.geomspace(LOWEST, HIGHEST, ENERGIES + 1).astype("f4")


def seconds(index: int) -> float:
    """Exposure of the spectra of a part in s."""
    return float(_random(4, index).uniform(2e3, 20e3))


def true_rate(index: int, source: int) -> np.ndarray:
    """Rate in count/s/channel: about 10 counts, more in one part than in another."""
    return 1e-3 * (1 + source / SOURCES) * _random(5, index).uniform(0.5, 1.5) * np.linspace(1.2, 0.8, CHANNELS)


def spectral_columns(index: int, source: int) -> dict[str, np.ndarray]:
    """Columns of a spectrum with the noise of its counts."""
    counts = _random(6, index, source).poisson(true_rate(index, source) * seconds(index))
    return {
        "CHANNEL": np.arange(CHANNELS, dtype="i2"),
        "RATE": (counts / seconds(index)).astype("f4"),
        "SYS_ERR": np.full(CHANNELS, 0.01, "f4"),
        "STAT_ERR": (np.sqrt(np.maximum(counts, 1)) / seconds(index)).astype("f4"),
        "QUALITY": np.zeros(CHANNELS, "i2"),
        "GROUPING": np.ones(CHANNELS, "i2"),
    }


def area(index: int) -> np.ndarray:
    """Effective area in cm**2, another in each part."""
    return (60 * (1 + 0.2 * np.sin(index)) * np.ones(ENERGIES)).astype("f4")


@lru_cache
def _smearing() -> np.ndarray:
    energies, channels = _edges()[1:, None], np.geomspace(LOWEST, HIGHEST, CHANNELS + 1)[1:]
    matrix = np.exp(-(((energies - channels) / (0.1 * channels)) ** 2))
    return matrix / matrix.sum(axis=1, keepdims=True)


def matrix(index: int) -> np.ndarray:
    """Response, which loses a little in each part."""
    return (_smearing() * (1 - 0.002 * index)).astype("f4")


def spectra(index: int, sources: int = SOURCES) -> fits.HDUList:
    """Spectra of a part with their responses."""
    edges, bounds = _edges(), np.geomspace(LOWEST, HIGHEST, CHANNELS + 1).astype("f4")
    both = {"ENERG_LO": edges[:-1], "ENERG_HI": edges[1:]}
    ones = np.ones(ENERGIES, "i2")
    groups = {"N_GRP": ones, "F_CHAN": 0 * ones, "N_CHAN": CHANNELS * ones, "MATRIX": matrix(index)}
    hdulist = fits.HDUList([_primary(index, "jemx_spectrum")])
    for number, name in enumerate(names(sources), start=1):
        tables = {
            "SPECTRUM": (spectral_columns(index, number), {"HDUCLAS1": "SPECTRUM", "HDUCLAS3": "RATE"}),
            "SPECRESP": (both | {"SPECRESP": area(index)}, {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "SPECRESP"}),
            "EBOUNDS": (
                {"CHANNEL": np.arange(CHANNELS, dtype="i4"), "E_MIN": bounds[:-1], "E_MAX": bounds[1:]},
                {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "EBOUNDS"},
            ),
            "MATRIX": (both | groups, {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "RSP_MATRIX", "HDUCLAS3": "REDIST"}),
        }
        for role, (columns, cards) in tables.items():
            hdu = fits.BinTableHDU(Table(columns), name=role, ver=number)
            for column in hdu.columns:
                column.unit = {"RATE": "count/s", "STAT_ERR": "count/s", "SPECRESP": "cm**2"}.get(
                    column.name, "keV" if column.name.startswith("E") else None
                )
            hdu.header.update({"TELESCOP": "INTEGRAL", "INSTRUME": "JMX1", "DETNAM": "JMX1", "HDUCLASS": "OGIP"})
            hdu.header.update({"SRC_NAME": name, "NAME": name, "DETCHANS": CHANNELS, "CHANTYPE": "PI"} | cards)
            if role == "SPECTRUM":
                hdu.header.update(_time_cards(index) | {"TLMIN1": 0, "TLMAX1": CHANNELS - 1})
                times_of_it = {"EXPOSURE": seconds(index), "ONTIME": 1.2 * seconds(index)}
                hdu.header.update(times_of_it | {"EXP_SRC": 0.8 * seconds(index)})
            elif role in ("EBOUNDS", "MATRIX"):
                key = "1" if role == "EBOUNDS" else "4"
                hdu.header.update({f"TLMIN{key}": 0, f"TLMAX{key}": CHANNELS - 1})
            hdulist.append(hdu)
    hdulist.append(
        fits.BinTableHDU(Table({"EXTVER": np.arange(1, sources + 1), "SRC_NAME": names(sources)}), name="SOURCES")
    )
    return hdulist


def write_spectra(directory: Path, count: int, sources: int = SOURCES) -> None:
    """Spectra as files."""
    for index in range(count):
        path = directory / f"spectra_{index:03d}.fits"
        if not path.exists():
            spectra(index, sources).writeto(path)


# ---- light curves


def curve_columns(index: int, source: int) -> dict[str, np.ndarray]:
    """Columns of a light curve of ISGRI; the rate tells which source and bin it is."""
    step = LENGTH / BINS
    return {
        "TIME": times(index)[0] + step * (np.arange(BINS) + 0.5),
        "XAX_E": np.full(BINS, step / 2),
        "RATE": (source * 1000 + np.arange(BINS)).astype("f4"),
        "ERROR": np.full(BINS, 0.5, "f4"),
        "FRACEXP": np.ones(BINS, "f4"),
    }


def curve_header(index: int, name: str) -> dict[str, Any]:
    """Cards of a light curve."""
    begin, end = times(index)
    cards = {"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", "NAME": name, "E_MIN": 20.0, "E_MAX": 40.0}
    cards |= {"ONTIME": 2e5, "EXPOSURE": 1e5, "EXP_SRC": 1e5, "TELAPSE": end - begin}
    return cards | {key: value for key, value in _time_cards(index).items() if not key.startswith("DATE")}


def sources_of(index: int) -> range:
    """Numbers of the sources of a part; the last one is not yet in the first part."""
    return range(1, CURVES + (index > 0))


def curves(index: int) -> Table:
    """Light curves of a part in the form of ``query_lightcurve``."""
    columns = [curve_columns(index, source) for source in sources_of(index)]
    joined = {name: np.concatenate([each[name] for each in columns]) for name in columns[0]}
    table = Table({"src_name": np.repeat(names()[: len(columns)], BINS)})
    table["time"] = Time(MJDREF, joined.pop("TIME"), format="mjd", scale="tt")
    table["time_bin"] = 2 * 86400 * joined.pop("XAX_E")
    table["e_min"], table["e_max"] = 20.0, 40.0
    units = {"time_bin": "s", "e_min": "keV", "e_max": "keV", "RATE": "ct / s", "ERROR": "ct / s"}
    for name, values in joined.items():
        table[name] = values
    for name, unit in units.items():
        table[name].unit = unit
    table.meta |= {"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", "TIMEREF": "LOCAL", "ORIGIN": "MMODA"}
    table.meta |= {"VALUECOL": "RATE", "ERRORCOL": "ERROR", "INSTRUM": "isgri", "PRODUCT": "isgri_lc"}
    parameters = {"instrument": "isgri", "product_type": "isgri_lc", "osa_version": "OSA11.2"}
    table.meta |= {"JOB_ID": f"{index:016x}", "PARAMS": json.dumps(parameters)}
    return table
