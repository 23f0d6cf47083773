# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Outputs of the notebooks of other observatories: headings, shapes and habits of theirs, the truth of `sky`."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import astropy.time
import numpy as np
import sky
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.wcs import WCS
from cdci_data_analysis.analysis.parameters import TimeDelta
from oda_api.data_products import (
    BinaryData,
    BinaryProduct,
    ImageDataProduct,
    LightCurveDataProduct,
    NumpyDataProduct,
    NumpyDataUnit,
    ODAAstropyTable,
    PictureProduct,
)

Outputs = dict[str, Any]
DOWN, UP = sky.SED_ERRORS
UNITS = {"eV": 1.0, "keV": 1e3, "GeV": 1e9, "TeV": 1e12}
PLANCK = 4.135667696e-15
"""eV s"""


class Asked:
    """Parameters of a request."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters = parameters
        self.ra, self.dec = parameters.get("RA"), parameters.get("DEC")

    def energies(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Middles, lower and upper edges of the bins, in the unit of Emin and Emax."""
        edges = np.geomspace(self.parameters["Emin"], self.parameters["Emax"], self.parameters["NEbins"] + 1)
        return np.sqrt(edges[:-1] * edges[1:]), edges[:-1], edges[1:]

    def times(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Middles, lower and upper edges of the bins: MJD in UTC."""
        start, stop = (astropy.time.Time(self.parameters[key], scale="utc").mjd for key in ("T1", "T2"))
        edges = np.linspace(start, stop, self.parameters["NTbins"] + 1)
        return (edges[:-1] + edges[1:]) / 2, edges[:-1], edges[1:]


def _sed(energies: np.ndarray, unit: str, flux: str = "") -> np.ndarray:
    """E**2 dN/dE at energies in a unit: per cm2 and s in erg, or in another unit of energy."""
    return sky.sed(energies * UNITS[unit]) / (sky.ERG * UNITS[flux] if flux else 1.0)


def _curve(times: np.ndarray) -> np.ndarray:
    return sky.CURVE_FLUX * sky.CURVE_VARIABILITY.factor(times)


def _table(*columns: Any, names: str) -> ODAAstropyTable:
    """Bare arrays, whose units stand in the headings; these are separated by semicolons."""
    return ODAAstropyTable(Table(list(columns), names=names.split(";")))


def _picture() -> PictureProduct:
    return PictureProduct(sky.workflow_picture())


def _from_fits(kind: type, *hdus: Any) -> Any:
    """A product of a file, as notebooks make it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "output.fits")
        fits.HDUList(list(hdus)).writeto(path)
        return kind.from_fits_file(str(path))


# ---- spectra -----------------------------------------------------------------------------------------------------

POINTS = "Emean[TeV];Emin[TeV];Emax[TeV];Flux[TeV/cm2s];Flux_error[TeV/cm2s]"


def public_spectrum(asked: Asked) -> Outputs:
    """Flux points, and a contour in the plane of the parameters of a power law."""
    flux = _sed(asked.energies()[0], "TeV", "TeV")
    contour = _table(
        -2.5 + 0.1 * np.cos([0, 1, 2, 3]), np.array([1, 2, 3, 4]) * 1e-11, names="Gamma;Norm_1TeV[1/(TeV cm2 s)]"
    )
    spectrum = _table(*asked.energies(), flux, DOWN * flux, names=POINTS)
    return {"png": _picture(), "table_confidence_contour": contour, "table_spectrum": spectrum}


def folded_spectrum(asked: Asked) -> Outputs:
    """With counts and exposures, without which the last bin has no flux."""
    middle, *edges = asked.energies()
    flux, counts, exposure = _sed(middle, "TeV", "TeV"), np.arange(len(middle)), np.full(len(middle), 1e13)
    flux[-1], exposure[-1] = np.nan, 0.0
    columns = (middle, *edges, flux, DOWN * flux, counts, counts // 2, exposure)
    table = _table(*columns, names=f"{POINTS};Cts_s;Cts_b;Exposure[cm2s]")
    return {"picture_png": _picture(), "spectrum_astropy_table": table}


def simulated_points(asked: Asked) -> Outputs:
    """Energies in GeV and fluxes in TeV."""
    middle, flux = asked.energies()[0], _sed(asked.energies()[0], "GeV", "TeV")
    names = "E[GeV];E2dNdE[TeV/cm2s];E2dNdE_error[TeV/cm2s];detection_sigma"
    return {
        "spectrum_png": _picture(),
        "spectrum_table": _table(middle, flux, DOWN * flux, middle * 0 + 5, names=names),
    }


def gammapy_points(asked: Asked) -> Outputs:
    """Differential fluxes as `gammapy` writes them: units on the columns, the last point an upper limit."""
    middle, low, high = (edges * u.TeV for edges in asked.energies())
    dnde = _sed(middle.value, "TeV", "TeV") / middle.value**2
    is_limit = np.arange(len(dnde)) == len(dnde) - 1
    table = Table({"e_ref": middle, "e_min": low, "e_max": high}, meta={"SED_TYPE": "dnde", "UL_CONF": 0.95})
    measured = np.where(is_limit, np.nan, dnde)
    columns = {"dnde": measured, "dnde_err": UP * measured, "dnde_errp": UP * measured, "dnde_errn": DOWN * measured}
    for name, values in (columns | {"dnde_ul": sky.LIMIT * dnde}).items():
        table[name] = values * u.Unit("TeV-1 s-1 cm-2")
    table["sqrt_ts"], table["is_ul"] = 5.0, is_limit
    table["norm_scan"] = np.tile(np.linspace(0.2, 5.0, 11), (len(dnde), 1))
    table["success"] = True
    fitted = Table(
        {
            "type": ["spectral"] * 2,
            "name": ["index", "amplitude"],
            "value": [2.5, 1e-11],
            "unit": ["", "cm-2 s-1 TeV-1"],
        }
    )
    fitted["error"], fitted["frozen"] = [np.nan, 1e-12], [True, False]
    return {
        "flux_points_image": _picture(),
        "flux_points": ODAAstropyTable(table),
        "model_params": ODAAstropyTable(fitted),
    }


def neutrino_spectrum(asked: Asked) -> Outputs:
    """The best value, bounds around it, and an upper limit; the last lower bound was never computed."""
    middle, flux = asked.energies()[0], _sed(asked.energies()[0], "TeV", "TeV")
    names = "Energy[TeV];F_best[TeV/cm2s];F_min_68[TeV/cm2s];F_max_68[TeV/cm2s];F_max_90[TeV/cm2s]"
    lower = flux * (1 - DOWN)
    lower[-1] = 1.0
    return {
        "png": _picture(),
        "table": _table(middle, flux, lower, flux * (1 + UP), sky.LIMIT * flux, names=names),
    }


def quantities(asked: Asked) -> Outputs:
    """Fluxes with units of their own, too; a spectrum of counts."""
    middle = asked.energies()[0]
    flux = _sed(middle, "TeV", "TeV") * u.Unit("TeV cm-2 s-1")
    points = _table(middle, flux, DOWN * flux, names="Emean[TeV];Flux[TeV/cm2s];Flux_error[TeV/cm2s]")
    counts = _table(middle, middle * 10, middle, names="Ereco[TeV];Signal_counts;Background_counts")
    return {"SED": _picture(), "SED_astropy_table": points, "Count_spectrum_astropy_table": counts}


def misspelled(asked: Asked) -> Outputs:
    """A heading has a unit that does not exist."""
    middle, flux = asked.energies()[0], _sed(asked.energies()[0], "TeV", "TeV")
    points = _table(middle, flux, DOWN * flux, names="Emean[MTeV];Flux[TeV/cm2s];Flux_error[TeV/cm2s]")
    return {"picture_png": _picture(), "spectrum_astropy_table": points}


def limits_flagged(asked: Asked) -> Outputs:
    """The last two points are upper limits."""
    middle, *edges = asked.energies()
    flux, is_limit = _sed(middle, "eV"), np.arange(len(middle)) >= len(middle) - 2
    flux[is_limit] *= sky.LIMIT
    low, high = np.where(is_limit, 0.5, DOWN) * flux, np.where(is_limit, 1.0, UP) * flux
    names = "Emean[eV];Emin[eV];Emax[eV];Flux[erg/cm2s];Flux_error_lo[erg/cm2s];Flux_error_hi[erg/cm2s];UpLim;Cts_src;Cts_bkg"
    table = _table(middle, *edges, flux, low, high, is_limit, middle * 0 + 3, middle * 0, names=names)
    return {"picture_png": _picture(), "spectrum_astropy_table": table}


def down_and_up(asked: Asked) -> Outputs:
    """In single precision."""
    middle, *edges = asked.energies()
    flux = _sed(middle, "keV")
    names = "Emean[keV];Emin[keV];Emax[keV];E2dN_dE[erg/cm2s];E2dN_dE_error_down[erg/cm2s];E2dN_dE_error_up[erg/cm2s]"
    columns = [column.astype(np.float32) for column in (middle, *edges, flux, DOWN * flux, UP * flux)]
    return {"picture_png": _picture(), "spectrum_astropy_table": _table(*columns, names=names)}


def between_bounds(asked: Asked) -> Outputs:
    """A butterfly."""
    middle, flux = asked.energies()[0], _sed(asked.energies()[0], "keV")
    names = "Emean[keV];E2dN_dE[erg/cm2s];E2dN_dE_min[erg/cm2s];E2dN_dE_max[erg/cm2s]"
    return {
        "picture_png": _picture(),
        "spectrum_astropy_table": _table(middle, flux, flux * (1 - DOWN), flux * (1 + UP), names=names),
    }


def infrared_bands(asked: Asked) -> Outputs:
    """Falling energies; an error is missing."""
    energies = PLANCK * 2.998e14 / np.array([3.4, 4.6, 12.0, 22.0])
    flux = _sed(energies, "eV")
    errors = MaskedColumn(DOWN * flux, mask=[False, False, False, True])
    table = _table(energies, flux, errors, names="E[eV];E2dN_dE[erg/cm2s];E2dN_dE_err[erg/cm2s]")
    return {"picture_png": _picture(), "spectrum_astropy_table": table}


def radio_spectra(asked: Asked) -> Outputs:
    """Two tables, of a catalogue and of images, against both energy and frequency; zeros far from the Crab."""
    edges = np.geomspace(72e6, 231e6, 6)
    bins = np.sqrt(edges[:-1] * edges[1:]), edges[:-1], edges[1:]
    energies, flux = [PLANCK * each for each in bins], _sed(PLANCK * bins[0], "eV")
    images = _table(
        *energies,
        *bins,
        flux,
        DOWN * flux,
        names="E[eV];Emin[eV];Emax[eV];f[Hz];fmin[Hz];fmax[Hz];Flux[erg/cm2s];Flux_error[erg/cm2s]",
    )
    columns = [column[::2] for column in (energies[0], bins[0], flux, DOWN * flux)]
    crab = sky.source("Crab")
    if sky.separation(asked.ra, asked.dec, crab.ra, crab.dec) > 1:
        columns = [np.array([0])] * 4
    catalog = _table(*columns, names="E[eV];frequency[Hz];Flux[erg/cm2s];Flux_error[erg/cm2s]")
    return {"picture_png": _picture(), "spectrum_catalog_table": catalog, "spectrum_image_table": images}


def survey_bands(asked: Asked) -> Outputs:
    """Of bands, in no order; the last has neither flux nor error."""
    energies = PLANCK * 2.998e14 / np.array([0.64, 0.48, 0.92, 3.4])
    flux = _sed(energies, "eV") * [1, 1, 1, 0]
    table = _table(energies, flux, DOWN * flux, names="Energy[eV];Flux[erg/cm2s];Flux_err[erg/cm2s]")
    return {"spectrum_png": _picture(), "spectrum_table": table}


def densities(asked: Asked) -> Outputs:
    """Energy densities of gravitational waves against frequency, without units."""
    frequency = np.geomspace(1e-9, 1e-6, 20)
    columns = 1e-9 * frequency / 1e-8 * u.one, 1e-10 * frequency / 1e-8 * u.one
    return {
        "png": _picture(),
        "astropy_table": _table(frequency, *columns, names="f[Hz];Omega_sound_waves;Omega_turbulence"),
    }


def densities_called_times(asked: Asked) -> Outputs:
    """The headings say MJD of densities."""
    table = densities(asked)["astropy_table"].table
    names = "f[Hz];Omega_sound_waves[MJD];Omega_turbulence[MJD]"
    return {"picture": _picture(), "spectrum_astropy_table": _table(*table.itercols(), names=names)}


def cascade_spectrum(asked: Asked) -> Outputs:
    """Blanks in the headings, even in a unit; two spectra."""
    energies = np.geomspace(1e9, 1e14, 12)
    flux = _sed(energies, "eV", "TeV")
    names = "E[eV];E2 dN/dE gamma [TeV/cm2s];E2 dN/dE nu[ TeV/cm2 s]"
    return {"picture": _picture(), "spectrum_astropy_table": _table(energies, flux, 0.1 * flux, names=names)}


def cascade_figures(asked: Asked) -> Outputs:
    """Spectra without units and of `specutils`, a cube of the sky that is called a spectrum, delays as times."""
    energies = np.geomspace(1e9, 1e14, 12)
    flux = _sed(energies, "eV", "eV")
    density = u.Unit("eV cm-2 s-1 sr-1")
    columns = {"energy": energies * u.eV, "flux": flux * density, "uncertainty": DOWN * flux * density}
    cube = WCS(naxis=3)
    cube.wcs.ctype, cube.wcs.crval, cube.wcs.cdelt = (
        ["RA---CAR", "DEC--CAR", "ENERGY"],
        [asked.ra, 0, 1e9],
        [-0.1, 0.1, 1e9],
    )
    cube.wcs.crpix, cube.wcs.cunit = [5, 5 - asked.dec / 0.1, 1], ["deg", "deg", "eV"]
    bands = Table({"CHANNEL": [0, 1, 2], "ENERGY": [1e9, 2e9, 3e9] * u.eV})
    delays = np.array([0.0, 10.0, 100.0])
    return {
        "spectrum_png": _picture(),
        "total_spectrum_table": _table(energies, flux, DOWN * flux, names="Energy;Total_flux;Total_flux_err"),
        "spectrum": _from_fits(NumpyDataProduct, fits.PrimaryHDU(), fits.BinTableHDU(Table(columns), name="DATA")),
        "map3d": _from_fits(
            NumpyDataProduct,
            fits.PrimaryHDU(np.ones((3, 10, 10)), cube.to_header()),
            fits.BinTableHDU(bands, name="PRIMARY_BANDS"),
        ),
        "lc_result": LightCurveDataProduct.from_arrays(
            delays, fluxes=delays + 1, errors=delays * 0 + 1, time_format="unix"
        ),
    }


# ---- light curves ------------------------------------------------------------------------------------------------


def binned_curve(asked: Asked) -> Outputs:
    """With edges of bins, and the background."""
    middle, low, high = asked.times()
    flux = _curve(middle)
    names = "Tmean[MJD];Tmin[MJD];Tmax[MJD];Flux[counts/cm2s];Flux_error[counts/cm2s];Background[counts/cm2s];Background_error[counts/cm2s]"
    return {
        "png": _picture(),
        "table": _table(middle, low, high, flux, DOWN * flux, flux / 2, DOWN * flux / 2, names=names),
    }


def curve_of_runs(asked: Asked) -> Outputs:
    """With half widths that are called MJD, and whole numbers."""
    middle, low, high = asked.times()
    flux, counts = _curve(middle), np.arange(len(middle))
    names = "T[MJD];dT[MJD];Cts_s;Cts_b;Flux[1/cm2s];Flux_error[1/cm2s]"
    table = _table(middle, (high - low) / 2, counts, counts // 2, flux, DOWN * flux, names=names)
    return {"lightcurve_picture": _picture(), "lightcurve_table": table}


def neutrino_curve(asked: Asked) -> Outputs:
    """With edges only, bounds and upper limits."""
    middle, low, high = asked.times()
    flux = _curve(middle)
    names = "Tstart[MJD];Tstop[MJD];F[TeV/cm2s];F_min_68[TeV/cm2s];F_max_68[TeV/cm2s];F_max_90[TeV/cm2s]"
    table = _table(low, high, flux, flux * (1 - DOWN), flux * (1 + UP), sky.LIMIT * flux, names=names)
    return {"lightcurve_png": _picture(), "lightcurve_table": table}


def gammapy_curves(asked: Asked) -> Outputs:
    """As `gammapy` writes them: a number for each of two energy bands in a cell, MJD without unit beside MJDREF."""
    middle, low, high = asked.times()
    flux = np.column_stack([_curve(middle), 0.1 * _curve(middle)])
    bands = np.tile([0.1, 1.0, 10.0], (len(middle), 1))
    is_limit = np.zeros(flux.shape, bool)
    is_limit[-1] = True
    meta = {"MJDREFI": 51544, "MJDREFF": 0.000742870370370241, "TIMEUNIT": "d", "TIMESYS": "utc", "SED_TYPE": "flux"}
    table = Table({"time_min": low, "time_max": high}, meta=meta)
    table["e_min"], table["e_max"] = bands[:, :2] * u.TeV, bands[:, 1:] * u.TeV
    columns = {"flux": flux, "flux_err": DOWN * flux, "flux_ul": sky.LIMIT * flux}
    for name, values in columns.items():
        table[name] = values * u.Unit("cm-2 s-1")
    table["is_ul"] = is_limit
    return {"lc_image": _picture(), "lc_table": ODAAstropyTable(table)}


def _from_arrays(asked: Asked, **values: Any) -> LightCurveDataProduct:
    """A light curve as the service's library makes it of arrays."""
    return LightCurveDataProduct.from_arrays(astropy.time.Time(asked.times()[0], format="mjd"), **values)


def curve_of_fluxes(asked: Asked) -> Outputs:
    """With units, and the width of all bins."""
    middle, low, high = asked.times()
    flux = _curve(middle) * u.Unit("erg cm-2 s-1")
    curve = _from_arrays(asked, fluxes=flux, errors=DOWN * flux)
    curve.data_unit[1].header["TIMEDEL"] = float(high[0] - low[0])
    return {"picture": _picture(), "lc": curve}


def curve_of_magnitudes(asked: Asked) -> Outputs:
    """Of optical telescopes."""
    middle = asked.times()[0]
    magnitudes = 20.0 - 2.5 * np.log10(_curve(middle) / sky.CURVE_FLUX)
    return {"lc": _from_arrays(asked, magnitudes=magnitudes * u.mag, errors=np.full(len(middle), 0.1) * u.mag)}


def curves_of_counts(asked: Asked) -> Outputs:
    """Two, without units."""
    flux = _curve(asked.times()[0])
    counts = np.round(1e13 * flux).astype(int)
    rates = _from_arrays(asked, rates=flux, errors=DOWN * flux)
    return {"rates": rates, "counts": _from_arrays(asked, counts=counts, errors=np.sqrt(counts))}


def curve_without_errors(asked: Asked) -> Outputs:
    """Errors are not known, nor is one of the values; the library does not make light curves without errors."""
    flux = _curve(asked.times()[0])
    flux[2] = np.nan
    return {"lc": _from_arrays(asked, fluxes=flux, errors=np.full(len(flux), np.nan))}


def curves_of_everything(asked: Asked) -> Outputs:
    """In units that can't be in one column."""
    return {"fluxes": curve_of_fluxes(asked)["lc"], "magnitudes": curve_of_magnitudes(asked)["lc"]}


def detection(asked: Asked) -> Outputs:
    """A light curve without units, a remark and a number, an image and its picture."""
    middle, flux = asked.times()[0], _curve(asked.times()[0])
    return {
        "lc": LightCurveDataProduct.from_arrays(middle, rates=flux, errors=DOWN * flux, time_format="mjd"),
        "detection_comment": str({"n_peaks": 1, "significance": 12.5}),
        "peak": float(flux.max()),
        "image_output": _picture(),
        "image_fits": _from_fits(ImageDataProduct, _image_hdu(asked)),
    }


def time_bin() -> TimeDelta:
    """The parameter of POLAR."""
    return TimeDelta(value=0.5, name="time_bin", delta_T_format_name="time_bin_format")


def polar_curve(asked: Asked) -> tuple[NumpyDataProduct, BinaryData]:
    """Unix seconds, of which nothing tells; the file is one of ROOT."""
    start, stop = (astropy.time.Time(asked.parameters[key], scale="utc").unix for key in ("T1", "T2"))
    width = asked.parameters["time_bin"]
    number = min(int((stop - start) / width), 500)
    data = np.zeros(number, dtype=[("rate", "<f8"), ("rate_err", "<f8"), ("time", "<f8")])
    data["time"] = start + width * (np.arange(number) + 0.5)
    data["rate"], data["rate_err"] = 900.0 + np.arange(number), 30.0
    meta = {"src_name": "lc", "time_bin": width, "time": "time", "rate": "rate", "rate_err": "rate_err"}
    file = Path(tempfile.mkdtemp(dir="."), "polar_lc.root")
    file.write_bytes(b"root" + sky.WORKFLOW_BYTES)
    return NumpyDataProduct(NumpyDataUnit(data, hdu_type="bintable", name="POLAR_LC"), meta_data=meta), BinaryData(
        str(file)
    )


# ---- images ------------------------------------------------------------------------------------------------------


def _image_hdu(asked: Asked, **cards: Any) -> fits.PrimaryHDU:
    """A plate carree with the equator as its reference, as in the notebooks; a source in the middle."""
    wcs, size = WCS(naxis=2), 0.05
    wcs.wcs.ctype, wcs.wcs.cunit, wcs.wcs.cdelt = ["RA---CAR", "DEC--CAR"], ["deg", "deg"], [-size, size]
    wcs.wcs.crval, wcs.wcs.crpix = [asked.ra, 0.0], [31.0, 26.0 - asked.dec / size]
    y, x = np.mgrid[:50, :60]
    data = sky.IMAGE_PEAK * np.exp(-((x - 30) ** 2 + (y - 25) ** 2) / 8.0)
    hdu = fits.PrimaryHDU(data, wcs.to_header())
    hdu.header.update(cards)
    return hdu


def counts_map(asked: Asked) -> Outputs:
    """Without a unit."""
    return {"png": _picture(), "fits": _from_fits(ImageDataProduct, _image_hdu(asked))}


def one_image(asked: Asked) -> Outputs:
    """With a unit that FITS does not have."""
    return {
        "picture": _picture(),
        "fits": _from_fits(ImageDataProduct, _image_hdu(asked, BUNIT="DN", SURVEY="WISE 3.4")),
    }


def several_images(asked: Asked) -> Outputs:
    """A list of them, and a file."""
    images = [_image_hdu(asked, BUNIT="Jy/beam", FREQ=frequency) for frequency in (88e6, 154e6, 200e6)]
    file = io.BytesIO()
    images[0].writeto(file)
    return {
        "picture": _picture(),
        "image": [_from_fits(ImageDataProduct, hdu) for hdu in images],
        "image_file": BinaryProduct(file.getvalue(), name="mwa.fits"),
    }


# ---- tables of other things --------------------------------------------------------------------------------------


def survey_catalog(asked: Asked) -> Outputs:
    """Sources with texts, units and values that are missing; also as a dictionary of python."""
    types, east, north, flux = (np.array(column) for column in zip(*sky.FIELD_SOURCES, strict=True))
    table = Table({"RA": asked.ra + east / np.cos(np.radians(asked.dec)), "DEC": asked.dec + north, "Type": types})
    for band, factor in (("g", 1.0), ("r", 1.2), ("i", np.nan)):
        table[f"flux_{band}"], table[f"flux_{band}_err"] = factor * flux, 0.05 * factor * flux
    table["ebv"], table["ref_cat"] = 0.02, ["None", "L3", "None"]
    return {
        "catalog_table": ODAAstropyTable(table),
        "dictionary_filters": str({"filter": ["g", "r"], "flux": flux.tolist()}),
    }


def extracted_sources(asked: Asked) -> Outputs:
    """Sources in pixels, without a place in the sky."""
    table = Table({"thresh": [1.5, 1.5], "npix": [12, 40], "x": [3.5, 20.25], "y": [7.0, 11.5], "theta": [0.1, -1.2]})
    table["flux"], table["flag"] = [120.0, 4000.0], [0, 2]
    return {"catalog_table": ODAAstropyTable(table), "bkg_picture": _picture(), "sources_picture": _picture()}


def redshifts(asked: Asked) -> Outputs:
    """A catalogue as a file, a table without columns, and one that is all text."""
    file = io.BytesIO()
    rows = Table(
        {"ID": [1, 2], "RA": [asked.ra] * 2, "DEC": [asked.dec] * 2, "Z": [0.5, -99.0], "Z-1D-PDF": np.ones((2, 5))}
    )
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(rows)]).writeto(file)
    texts = Table({"Name": ["Crab", "nan"], "Energy": ["1.0", "None"], "Flux": ["2.0", "nan"]})
    return {
        "z_hist": _picture(),
        "output_catalog": BinaryProduct(file.getvalue(), name="catalog.fits"),
        "output_zpc": ODAAstropyTable(Table()),
        "table_sources": ODAAstropyTable(texts),
    }


def likelihood_profile(asked: Asked) -> Outputs:
    """Neither spectrum nor light curve."""
    counts = np.arange(5.0)
    return {"png": _picture(), "likelihood_profile_table": _table(counts, (counts - 2) ** 2, names="Counts;TS")}


def cascade_events(asked: Asked) -> Outputs:
    """Photons: slashes in front of units, and between numbers."""
    columns = np.abs(np.sin(np.arange(1.0, 56.0))).reshape(5, 11)
    columns[:, 0] *= 1e12
    names = "E/eV;weight;Theta;Phi;dT_raw/T;dT_calc/T;z_cascade_production;N_interactions;z_src;E_src/eV;z_prod"
    return {"Event_file": _table(*columns.T, names=names)}


def _events(asked: Asked) -> list[Any]:
    """HDUs of a list of events."""
    events = Table(
        {"EVENT_ID": [1, 2], "TIME": [0.5, 1.5] * u.s, "RA": [asked.ra] * 2 * u.deg, "DEC": [asked.dec] * 2 * u.deg}
    )
    events["ENERGY"] = [0.5, 2.0] * u.TeV
    good = Table({"START": [0.0] * u.s, "STOP": [2.0] * u.s})
    return [fits.PrimaryHDU(), fits.BinTableHDU(events, name="EVENTS"), fits.BinTableHDU(good, name="GTI")]


def simulated_events(asked: Asked) -> Outputs:
    """A file with a list of events, and figures."""
    file = io.BytesIO()
    fits.HDUList(_events(asked)).writeto(file)
    events = BinaryProduct(file.getvalue(), name="events.fits")
    return {"image_png": _picture(), "theta2_png": _picture(), "spectrum_png": _picture(), "event_list_fits": events}


def events_called_spectrum(asked: Asked) -> Outputs:
    """A list of events that is announced as a spectrum."""
    return {"events_summary_png": _picture(), "events_fits": _from_fits(NumpyDataProduct, *_events(asked))}


def visibility(asked: Asked) -> Outputs:
    """Times as such, in columns."""
    start = astropy.time.Time(["2022-10-09T01:00:00", "2022-10-10T01:00:00"], scale="utc")
    table = Table({"Tstarts": start, "Tstops": start + 2 * u.hour, "Obs_length[hr]": [2.0, 2.0]})
    return {"GTI_png": _picture(), "GTI_table": ODAAstropyTable(table)}
