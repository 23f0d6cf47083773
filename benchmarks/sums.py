"""How near a sum of parts is to what went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import parts
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

Numbers = dict[str, float]
BOX = 6  # pixels from the middle of a box to its edge
FAR = 60.0  # arcmin from all sources, where there is nothing but noise


def fitted(hdulist: fits.HDUList, ra: float, dec: float) -> dict[str, float] | None:
    """Free Gaussian on the sky plus constant in 13 x 13 pixels: ra, dec (deg), height, fwhm (arcmin); None if lost."""
    from scipy.optimize import curve_fit

    hdu = next(hdu for hdu in hdulist if hdu.header.get("IMATYPE") == "INTENSITY")
    wcs, plane = WCS(hdu.header), hdu.data
    column, row = (round(float(value)) for value in wcs.wcs_world2pix(ra, dec, 0))
    if not (BOX <= column < plane.shape[1] - BOX and BOX <= row < plane.shape[0] - BOX):
        return None
    rows, columns = np.mgrid[row - BOX : row + BOX + 1, column - BOX : column + BOX + 1]
    values = np.asarray(plane[rows, columns], dtype=float)
    good = np.isfinite(values)
    if good.mean() < 0.9:
        return None
    longitudes, latitudes = wcs.wcs_pix2world(columns[good], rows[good], 0)

    def shape(_: Any, east: float, north: float, height: float, fwhm: float, constant: float) -> np.ndarray:
        centre = ra + east / 60 / np.cos(np.radians(dec)), dec + north / 60
        away = parts.separation(longitudes, latitudes, *centre)
        return height * np.exp(-4 * np.log(2) * (away / fwhm) ** 2) + constant

    start = (0.0, 0.0, float(values[good].max()), parts.FWHM, 0.0)
    (east, north, height, fwhm, _), _ = curve_fit(shape, longitudes, values[good], p0=start, maxfev=5000)
    centre = ra + east / 60 / np.cos(np.radians(dec)), dec + north / 60
    return {"ra": centre[0], "dec": centre[1], "height": height, "fwhm": abs(fwhm)}


def of_mosaics(path: Path, pixels: int) -> Numbers:
    """Errors of positions (arcmin) and heights (%) of all sources, and how wide SIGNIFICANCE is far from them."""
    sources = parts.sky(pixels)
    with fits.open(path) as hdulist:
        found = [(source, fitted(hdulist, source["ra"], source["dec"])) for source in sources]
        pairs = [(source, fit) for source, fit in found if fit]
        distances = [parts.separation(fit["ra"], fit["dec"], source["ra"], source["dec"]) for source, fit in pairs]
        heights = [100 * (fit["height"] / source["height_1"] - 1) for source, fit in pairs]
        width = _noise(hdulist, sources)
    return {
        "lost": len(sources) - len(pairs),
        "position": float(np.median(distances)),
        "worst position": float(np.max(distances)),
        "height": float(np.median(heights)),
        "worst height": float(np.max(np.abs(heights))),
        "fwhm": float(np.median([fit["fwhm"] for _, fit in pairs])),
        "noise": width,
    }


def _noise(hdulist: fits.HDUList, sources: Table) -> float:
    hdu = next(hdu for hdu in hdulist if hdu.header.get("IMATYPE") == "SIGNIFICANCE")
    rows, columns = np.indices(hdu.data.shape)[:, ::5, ::5]
    ra, dec = WCS(hdu.header).wcs_pix2world(columns, rows, 0)
    far = np.all([parts.separation(ra, dec, source["ra"], source["dec"]) > FAR for source in sources], axis=0)
    return float(np.nanstd(hdu.data[::5, ::5][far]))


def of_genuine(path: Path, files: list[Path], position: tuple[float, float]) -> Numbers:
    """Position (arcmin) and height (%) of a source against the means of what the inputs say, weighted by VARIANCE."""
    single, weights = [], []
    for file in files:
        with fits.open(file) as hdulist:
            planes = {hdu.header["IMATYPE"]: hdu for hdu in hdulist if "IMATYPE" in hdu.header}
            column, row = WCS(planes["VARIANCE"].header).wcs_world2pix(*position, 0)
            weights.append(1 / planes["VARIANCE"].data[round(float(row)), round(float(column))])
            single.append(fitted(hdulist, *position))
    mean = {key: float(np.average([fit[key] for fit in single], weights=weights)) for key in ("ra", "dec", "height")}
    with fits.open(path) as hdulist:
        fit = fitted(hdulist, *position)
    return {
        "position": float(parts.separation(fit["ra"], fit["dec"], mean["ra"], mean["dec"])),
        "catalogue": float(parts.separation(fit["ra"], fit["dec"], *position)),
        "height": 100 * (fit["height"] / mean["height"] - 1),
        "fwhm": fit["fwhm"],
    }


def of_spectra(path: Path, number: int, sources: int) -> Numbers:
    """Largest deviations (%) from the exposure-weighted means of the inputs, and of all rates from their truth."""
    weights = np.array([parts.seconds(index) for index in range(number)])
    # a model is folded with area times matrix, so the mean of the product counts
    products = [parts.area(index)[:, None] * parts.matrix(index).astype(float) for index in range(number)]
    response = np.average(products, axis=0, weights=weights)
    worst, bias = {"rate": 0.0, "error": 0.0, "response": 0.0}, []
    with fits.open(path) as hdulist:
        tables = {hdu.header["SRC_NAME"]: hdu.ver for hdu in hdulist if hdu.name == "SPECTRUM"}
        for source, name in enumerate(parts.names(sources), start=1):
            columns = [parts.spectral_columns(index, source) for index in range(number)]
            rate = np.average([each["RATE"] for each in columns], axis=0, weights=weights)
            variance = np.average([each["STAT_ERR"] ** 2.0 for each in columns], axis=0, weights=weights**2)
            error = np.sqrt(variance * np.sum(weights**2)) / weights.sum()
            truth = np.average([parts.true_rate(index, source) for index in range(number)], axis=0, weights=weights)
            found = {role: hdulist[role, tables[name]].data for role in ("SPECTRUM", "SPECRESP", "MATRIX")}
            # of single channels, some of which have no counts at all
            worst["rate"] = max(worst["rate"], _deviation(found["SPECTRUM"]["RATE"], rate, rate.mean()))
            worst["error"] = max(worst["error"], _deviation(found["SPECTRUM"]["STAT_ERR"], error, error))
            folded = found["SPECRESP"]["SPECRESP"][:, None] * np.asarray(found["MATRIX"]["MATRIX"], dtype=float)
            worst["response"] = max(worst["response"], _deviation(folded, response, response.max()))
            bias.append(found["SPECTRUM"]["RATE"].sum() / truth.sum() - 1)
    return {**{key: 100 * value for key, value in worst.items()}, "bias": 100 * float(np.mean(bias))}


def _deviation(found: Any, expected: Any, scale: Any) -> float:
    return float(np.nanmax(np.abs(np.asarray(found, dtype=float) - expected) / scale))


def of_curves(path: Path, number: int) -> Numbers:
    """Bins that are missing, and bins that are those of another source."""
    table, missing = Table.read(path), 0
    known = parts.names(parts.CURVES)
    owner = np.array([known.index(str(name).strip()) + 1 for name in table["src_name"]])
    right = np.asarray(table["RATE"]) // 1000 == owner
    for source in range(1, parts.CURVES + 1):
        indices = [index for index in range(number) if source in parts.sources_of(index)]
        expected = np.concatenate([parts.curve_columns(index, source)["TIME"] for index in indices])
        times = np.asarray(table["TIME"])[right & (owner == source)]
        missing += len(expected) - len(np.intersect1d(np.round(expected, 6), np.round(times, 6)))
    return {"missing": missing, "wrong": int((~right).sum())}
