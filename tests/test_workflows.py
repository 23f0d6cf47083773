# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Instruments of every shape that workflows have, on the released dispatcher, against the known truth of `sky`."""

import ast
import json
import subprocess
import time

import numpy as np
import pytest
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS
from astroquery.exceptions import NoResultsWarning

from astroquery_mmoda import (
    Products,
    errors,
    plotting,
    read_lightcurve,
    spectrum_table,
    to_timeseries,
    write_lightcurve,
    write_spectra,
)
from astroquery_mmoda.units import read_heading
from tests.local_mmoda import environment, sky

DOWN, UP = sky.SED_ERRORS
CRAB = sky.source("Crab")
NIGHTS = (59861.0, 59871.0)
"""Of the light curves: MJD, UTC."""
ENERGY_FLUX = u.erg / u.cm**2 / u.s
WITH_TIMES = {"hess", "magic", "ctao", "cta", "icecube", "photometry", "grb_detection"}


def asked(instrument, product):
    """Arguments of a query."""
    found = {"instrument": instrument, "product": product}
    if instrument != "sgwb":
        found["coordinates"] = "Crab"
    if instrument in WITH_TIMES:
        found["time_range"] = NIGHTS
    if instrument == "polar":
        found["time_range"] = (57700.0, 57700.0005)
    return found


@pytest.fixture(scope="module")
def ask(mmoda):
    """Function that asks each thing once; all jobs have been computed at the same time, which is quicker."""
    outcomes = mmoda.query_many("product", [asked(*each) for each in EVERYTHING], progress=False)
    known = {("product", *EVERYTHING[index], "{}"): outcome for index, outcome in outcomes}

    def query(kind, instrument, product, **more):
        key = (kind, instrument, product, str(more))
        if key not in known:
            known[key] = getattr(mmoda, f"query_{kind}")(**asked(instrument, product), **more)
        return known[key]

    return query


# ---- what there is

KINDS = {
    "hess": {
        "Spectrum_public_dl3": "spectrum",
        "Spectrum_folded": "spectrum",
        "Lightcurve_public_dl3": "lightcurve",
        "Image_public_dl3": "image",
    },
    "magic": {"Spectrum_public_dl3": "spectrum", "Lightcurve_public_dl3": "lightcurve", "MAGIC_simulator": "other"},
    "ctao": {"spectrum": "spectrum", "lightcurve": "lightcurve"},
    "cta": {
        "Simulate": "other",
        "Visibility": "other",
        "LST1_spectrum": "spectrum",
        "LST1_observation_simulator": "other",
        "model_CTA_events": "other",
    },
    "icecube": {"Spectrum": "spectrum", "Lightcurve": "lightcurve", "Likelihood_profile": "other"},
    "auger": {"Spectrum": "spectrum"},
    "erosita": {"Spectrum": "spectrum"},
    "rosat": {"Spectrum": "spectrum"},
    "wise": {"Spectrum": "spectrum", "Image": "image"},
    "mwa": {"Spectrum": "spectrum", "Image": "image"},
    "desi_legacy_survey": {"Catalog": "catalog", "Spectrum": "spectrum"},
    "source_extractor": {"Extract": "other"},
    "photoz_euclid": {"Run_Phosphoros_on_Catalog": "catalog"},
    "sgwb": {"Model_spectrum": "spectrum", "GW_spectrum": "spectrum"},
    "crbeam": {"Generate_events": "other", "Generate_figures": "other"},
    "agn_cascades": {"Simulate": "other"},
    "photometry": dict.fromkeys(
        ("Lightcurve", "Lightcurve_bare", "Lightcurve_magnitudes", "Lightcurve_counts", "Lightcurve_all"), "lightcurve"
    ),
    "grb_detection": {"detectgrb": "other"},
    "polar": {"polar_lc": "lightcurve"},
}
EVERYTHING = [(instrument, product) for instrument, products in KINDS.items() for product in products]


def test_instruments(mmoda):
    table = mmoda.list_instruments()
    products = dict(zip(table["instrument"], table["products"], strict=True))
    for instrument, kinds in KINDS.items():
        assert set(products[instrument].split(", ")) == set(kinds)


@pytest.mark.parametrize("instrument", KINDS)
def test_kinds(mmoda, instrument):
    table = mmoda.list_products(instrument)
    assert dict(zip(table["product"], table["kind"], strict=True)) == KINDS[instrument]


def test_parameters(mmoda):
    rows = {row["name"]: row for row in mmoda.list_parameters("hess", "Spectrum_public_dl3")}
    assert list(rows) == ["RA", "DEC", "src_name", "T1", "T2", "Emin", "Emax", "NEbins", "Radius"]
    assert [rows["Emin"][key] for key in ("default", "unit", "type", "description")] == [
        "0.1",
        "TeV",
        "energy",
        "Minimal energy",
    ]
    assert [rows["NEbins"][key] for key in ("default", "unit", "type", "min", "max")] == ["10", "", "integer", 1, 100]
    assert (rows["Radius"]["unit"], rows["Radius"]["type"], rows["T1"]["type"]) == ("deg", "angle", "time")
    assert {name for name, row in rows.items() if not row["optional"]} == {"T1", "T2"}
    (offset,) = (row for row in mmoda.list_parameters("magic", "MAGIC_simulator") if row["name"] == "Offset")
    assert offset["choices"] == "0.4 deg, 0.7 deg"
    assert mmoda.list_parameters("sgwb", "Model_spectrum")["name"].tolist() == ["T_star"]


def test_parameters_are_used(mmoda):
    spectra = mmoda.query_spectrum("auger", "Crab", Emin=1e19 * u.eV, Emax=16 * u.J, NEbins=4)
    table = spectrum_table(spectra, "Crab")
    assert len(table) == 4
    assert u.allclose(table["e_min"].quantity[0], 1e19 * u.eV)
    assert u.allclose(table["e_max"].quantity[-1], 16 * u.J)


def test_what_an_instrument_does_not_have(mmoda):
    with pytest.raises(errors.ParameterError, match="sgwb"):
        mmoda.query_spectrum("sgwb", "Crab", product="Model_spectrum")
    with pytest.raises(errors.ParameterError, match="energy_range"):
        mmoda.query_spectrum("auger", "Crab", energy_range=(1e18, 1e19) * u.eV)
    with pytest.raises(errors.ParameterError, match="Offset"):
        mmoda.query_spectrum("magic", "Crab", product="MAGIC_simulator", time_range=NIGHTS, Offset="2 deg")
    with pytest.raises(errors.ParameterError, match="Spectrum_folded"):
        mmoda.query_spectrum("hess", "Crab", time_range=NIGHTS)


# ---- spectra

KEYWORDS = ("AXISCOL", "LOCOL", "HICOL", "VALCOL", "ERRLOCOL", "ERRHICOL", "LIMCOL")
FLUX = ("Flux", "Flux_error", "Flux_error")
SPECTRA = {
    # instrument, product, number of the spectrum: what is what, unit of the axis, unit of the values
    ("hess", "Spectrum_public_dl3", 1): (("Emean", "Emin", "Emax", *FLUX, None), "TeV", "TeV cm-2 s-1"),
    ("hess", "Spectrum_folded", 1): (("Emean", "Emin", "Emax", *FLUX, None), "TeV", "TeV cm-2 s-1"),
    ("magic", "Spectrum_public_dl3", 1): (("Emean", "Emin", "Emax", *FLUX, None), "TeV", "TeV cm-2 s-1"),
    ("magic", "MAGIC_simulator", 1): (
        ("E", None, None, "E2dNdE", "E2dNdE_error", "E2dNdE_error", None),
        "GeV",
        "TeV cm-2 s-1",
    ),
    ("ctao", "spectrum", 1): (
        ("e_ref", "e_min", "e_max", "dnde", "dnde_errn", "dnde_errp", "is_ul"),
        "TeV",
        "TeV-1 cm-2 s-1",
    ),
    ("cta", "LST1_spectrum", 1): (("Emean", None, None, *FLUX, None), "TeV", "TeV cm-2 s-1"),
    ("icecube", "Spectrum", 1): (
        ("Energy", None, None, "F_best", "F_best_err_lo", "F_best_err_hi", None),
        "TeV",
        "TeV cm-2 s-1",
    ),
    ("auger", "Spectrum", 1): (
        ("Emean", "Emin", "Emax", "Flux", "Flux_error_lo", "Flux_error_hi", "UpLim"),
        "eV",
        "erg cm-2 s-1",
    ),
    ("erosita", "Spectrum", 1): (
        ("Emean", "Emin", "Emax", "E2dN_dE", "E2dN_dE_error_down", "E2dN_dE_error_up", None),
        "keV",
        "erg cm-2 s-1",
    ),
    ("rosat", "Spectrum", 1): (
        ("Emean", None, None, "E2dN_dE", "E2dN_dE_err_lo", "E2dN_dE_err_hi", None),
        "keV",
        "erg cm-2 s-1",
    ),
    ("wise", "Spectrum", 1): (("E", None, None, "E2dN_dE", "E2dN_dE_err", "E2dN_dE_err", None), "eV", "erg cm-2 s-1"),
    ("mwa", "Spectrum", 1): (("E", None, None, *FLUX, None), "eV", "erg cm-2 s-1"),
    ("mwa", "Spectrum", 2): (("E", "Emin", "Emax", *FLUX, None), "eV", "erg cm-2 s-1"),
    ("desi_legacy_survey", "Spectrum", 1): (
        ("Energy", None, None, "Flux", "Flux_err", "Flux_err", None),
        "eV",
        "erg cm-2 s-1",
    ),
    ("crbeam", "Generate_figures", 1): (
        ("energy", None, None, "flux", "uncertainty", "uncertainty", None),
        "eV",
        "eV cm-2 s-1 sr-1",
    ),
    ("agn_cascades", "Simulate", 1): (("E", None, None, "E2 dN/dE gamma", None, None, None), "eV", "TeV cm-2 s-1"),
}
ASYMMETRIC = {"ctao", "icecube", "auger", "erosita", "rosat"}


@pytest.mark.parametrize(("instrument", "product", "number"), SPECTRA)
def test_spectra(ask, instrument, product, number):
    roles, axis_unit, value_unit = SPECTRA[instrument, product, number]
    spectra = ask("spectrum", instrument, product)
    assert isinstance(spectra, fits.HDUList)
    assert [hdu.name for hdu in (spectra[0], spectra[-1])] == ["PRIMARY", "SOURCES"]
    hdu = spectra["SPECTRUM", number]
    assert tuple(hdu.header.get(keyword) for keyword in KEYWORDS) == roles
    assert (hdu.header["SRC_NAME"], hdu.header["EXTVER"]) == ("Crab", number)
    assert not any("[" in name for name in hdu.columns.names)
    units = {name: u.Unit(hdu.columns[name].unit) for name in roles[:-1] if name}
    assert all(units[name] == u.Unit(axis_unit) for name in roles[:3] if name)
    assert all(units[name] == u.Unit(value_unit) for name in roles[3:6] if name)

    table = spectrum_table(spectra, hdu.header["ORIGNAME"] if number > 1 or len(spectra) > 3 else "Crab")
    assert table.colnames == ["energy", "e_min", "e_max", "value", "error_low", "error_high", "is_upper_limit"]
    values = table["value"].quantity
    if u.Unit(value_unit).is_equivalent(1 / u.eV / u.cm**2 / u.s):
        values = values * table["energy"].quantity ** 2
    values = values * u.sr if "sr" in value_unit else values
    expected = sky.sed(table["energy"].quantity.to_value(u.eV)) * np.where(table["is_upper_limit"], sky.LIMIT, 1.0)
    known = ~np.ma.getmaskarray(table["value"]) & (np.asarray(np.ma.filled(table["value"], 0.0)) != 0.0)
    assert known.sum() >= len(table) - 1
    single = hdu.columns[roles[3]].format == "E"
    np.testing.assert_allclose(
        np.asarray(values.to_value(ENERGY_FLUX))[known], expected[known], rtol=1e-6 if single else 1e-12
    )
    if roles[1]:
        assert np.all((table["e_min"] < table["energy"]) & (table["energy"] < table["e_max"]))
    else:
        assert np.ma.getmaskarray(table["e_min"]).all()

    for side, share in (("error_low", DOWN), ("error_high", UP if instrument in ASYMMETRIC else DOWN)):
        measured = known & ~table["is_upper_limit"] & ~np.ma.getmaskarray(table[side])
        assert measured.any() == (roles[4] is not None)
        np.testing.assert_allclose(
            np.asarray(table[side])[measured], share * np.asarray(table["value"])[measured], rtol=1e-5
        )


def test_limits_and_gaps_of_spectra(ask):
    def table(instrument, product="Spectrum"):
        return spectrum_table(ask("spectrum", instrument, product), "Crab")

    assert table("auger")["is_upper_limit"].tolist() == [False] * 8 + [True] * 2
    gammapy = table("ctao", "spectrum")
    assert gammapy["is_upper_limit"].tolist() == [False] * 9 + [True]
    assert np.ma.getmaskarray(gammapy["error_low"])[-1]
    assert np.ma.getmaskarray(table("hess", "Spectrum_folded")["value"]).tolist() == [False] * 9 + [True]
    infrared = table("wise")
    assert np.all(np.diff(infrared["energy"]) < 0)
    assert np.ma.getmaskarray(infrared["error_low"]).tolist() == [False, False, False, True]
    assert table("desi_legacy_survey")["value"][-1] == 0.0


def test_limits_that_were_never_computed(ask):
    spectra = ask("spectrum", "icecube", "Spectrum")
    assert spectra["SPECTRUM"].data["F_min_68"][-1] == 1.0
    assert np.ma.getmaskarray(spectrum_table(spectra, "Crab")["error_low"]).tolist() == [False] * 9 + [True]


def test_nothing_found_is_one_row_of_zeros(mmoda):
    spectra = mmoda.query_spectrum("mwa", SkyCoord(10, 10, unit="deg"))
    table = spectrum_table(spectra, "spectrum_catalog_table")
    assert [len(table), table["energy"][0], table["value"][0], table["error_low"][0]] == [1, 0, 0, 0]


def test_a_unit_that_does_not_exist(ask):
    hdu = ask("spectrum", "cta", "LST1_observation_simulator")["SPECTRUM"]
    assert (hdu.header["AXISCOL"], hdu.columns[0].unit) == ("Emean[MTeV]", None)
    assert u.Unit(hdu.columns[hdu.header["VALCOL"]].unit) == u.TeV / u.cm**2 / u.s
    assert spectrum_table(ask("spectrum", "cta", "LST1_observation_simulator"), "Crab")["energy"].unit is None


def test_spectra_stay_what_they_are_in_files(ask, tmp_path):
    spectra = ask("spectrum", "ctao", "spectrum")
    spectra.writeto(tmp_path / "points.fits")
    with fits.open(tmp_path / "points.fits") as again:
        one, two = spectrum_table(spectra, "Crab"), spectrum_table(again, "Crab")
    assert [column.unit for column in one.itercols()] == [column.unit for column in two.itercols()]
    for name in one.colnames:
        np.testing.assert_array_equal(np.ma.getmaskarray(one[name]), np.ma.getmaskarray(two[name]))
        np.testing.assert_array_equal(np.ma.filled(one[name], 0), np.ma.filled(two[name], 0))


def test_further_columns_of_spectra(ask):
    folded = ask("spectrum", "hess", "Spectrum_folded")["SPECTRUM"]
    assert folded.columns.names[5:] == ["Cts_s", "Cts_b", "Exposure"]
    assert u.Unit(folded.columns["Exposure"].unit) == u.cm**2 * u.s
    assert folded.data["Cts_s"].dtype.kind == "i"
    points = ask("spectrum", "ctao", "spectrum")["SPECTRUM"]
    assert points.data["norm_scan"].shape == (10, 11)
    assert points.data["is_ul"].dtype.kind == "b"
    radio = ask("spectrum", "mwa", "Spectrum")["SPECTRUM", 2]
    assert u.Unit(radio.columns["fmin"].unit) == u.Hz
    assert u.Unit(ask("spectrum", "agn_cascades", "Simulate")[1].columns["E2 dN/dE nu"].unit) == u.TeV / u.cm**2 / u.s


def test_several_spectra_in_a_reply(ask):
    spectra = ask("spectrum", "mwa", "Spectrum")
    assert [hdu.header["ORIGNAME"] for hdu in spectra[1:3]] == ["spectrum_catalog_table", "spectrum_image_table"]
    assert spectra["SOURCES"].data["EXTVER"].tolist() == [1, 2]
    with pytest.raises(errors.ParameterError, match=r"spectrum_catalog_table.*spectrum_image_table"):
        spectrum_table(spectra, "Crab")
    figures = ask("spectrum", "crbeam", "Generate_figures")
    names = [hdu.header["ORIGNAME"] for hdu in figures if hdu.name == "SPECTRUM"]
    assert sorted(names) == ["spectrum", "total_spectrum_table"]  # neither the cube nor the delays
    bare = spectrum_table(figures, "total_spectrum_table")
    assert bare["value"].unit is None
    np.testing.assert_allclose(bare["value"] * sky.ERG, sky.sed(np.asarray(bare["energy"])), rtol=1e-12)


def test_spectra_of_frequencies_without_a_source(ask):
    spectra = ask("spectrum", "sgwb", "Model_spectrum")
    header = spectra["SPECTRUM"].header
    assert (header["AXISCOL"], header["VALCOL"], header["SRC_NAME"]) == ("f", "Omega_sound_waves", "astropy_table")
    table = spectrum_table(spectra, "astropy_table")
    assert table["energy"].unit == u.Hz
    np.testing.assert_allclose(table["value"], 0.1 * np.asarray(table["energy"]), rtol=1e-12)
    # no times, whatever the heading says
    called_times = ask("spectrum", "sgwb", "GW_spectrum")["SPECTRUM"]
    assert called_times.header["VALCOL"].startswith("Omega_sound_waves")
    np.testing.assert_array_equal(called_times.data[called_times.header["VALCOL"]], table["value"])


def test_one_energy_distribution_of_several_instruments(mmoda):
    """Radio, infrared, X-rays, gamma rays and cosmic rays are on one curve."""
    chosen = [(name, "Spectrum") for name in ("mwa", "wise", "erosita", "auger")] + [("hess", "Spectrum_public_dl3")]
    outcomes = dict(mmoda.query_many("spectrum", [asked(*each) for each in chosen]))
    points = []
    for number in range(len(chosen)):
        spectra = outcomes[number]
        table = spectrum_table(spectra, spectra[-2].header["ORIGNAME"])
        table = table[~table["is_upper_limit"]]
        points += zip(
            table["energy"].quantity.to_value(u.eV), table["value"].quantity.to_value(ENERGY_FLUX), strict=True
        )
    energies, values = np.array(sorted(points)).T
    assert energies[-1] / energies[0] > 1e25
    np.testing.assert_allclose(values, sky.sed(energies), rtol=1e-5)


# ---- light curves

CURVES = {
    # unit of the values, names of value and errors, width of the bins in days
    ("hess", "Lightcurve_public_dl3"): ("count cm-2 s-1", "Flux", ("Flux_error",), 1.0),
    ("magic", "Lightcurve_public_dl3"): ("cm-2 s-1", "Flux", ("Flux_error",), 1.0),
    ("icecube", "Lightcurve"): ("TeV cm-2 s-1", "F", ("F_err_lo", "F_err_hi"), 1.0),
    ("ctao", "lightcurve"): ("cm-2 s-1", "flux", ("flux_err",), 1.0),
    ("photometry", "Lightcurve"): ("erg cm-2 s-1", "FLUX", ("ERROR",), 1.0),
    ("grb_detection", "detectgrb"): (None, "RATE", ("ERROR",), None),
}


@pytest.mark.parametrize(("instrument", "product"), CURVES)
def test_light_curves(ask, instrument, product):
    unit, value, error, width = CURVES[instrument, product]
    table = ask("lightcurve", instrument, product)
    assert isinstance(table, Table)
    assert table.colnames[:5] == ["src_name", "time", "time_bin", "e_min", "e_max"]
    if instrument == "ctao":  # two bands
        assert table.colnames == [*table.colnames[:5], "flux", "flux_err", "flux_ul", "is_ul"]
        assert [set(band) for band in (table["e_min"], table["e_max"])] == [{1e8, 1e9}, {1e9, 1e10}]
        table = table[table["e_min"] == 1e8]
    assert set(table["src_name"]) == {"Crab"}
    assert isinstance(table["time"], Time)
    assert table["time"].scale == "tt"
    np.testing.assert_allclose(table["time"].utc.mjd, np.arange(*NIGHTS) + 0.5, rtol=0, atol=1e-9)
    if width:
        np.testing.assert_allclose(table["time_bin"], 86400.0 * width)
        assert table["time_bin"].unit == u.s
    else:
        assert np.ma.getmaskarray(table["time_bin"]).all()
    assert table[value].unit == (unit and u.Unit(unit))
    expected = sky.CURVE_FLUX * sky.CURVE_VARIABILITY.factor(np.arange(*NIGHTS) + 0.5)
    np.testing.assert_allclose(table[value], expected, rtol=1e-9)
    for name, share in zip(error, (DOWN, UP), strict=False):
        np.testing.assert_allclose(table[name], share * expected, rtol=1e-9)
        assert table[name].unit == table[value].unit
    meta = ask("lightcurve", instrument, product).meta
    assert meta["VALUECOL"] == value
    assert tuple(meta[key] for key in ("ERRORCOL", "ERRLOCOL", "ERRHICOL") if key in meta) == error
    if instrument == "ctao":  # which says what its times are
        assert "TIMEWARN" not in meta
        assert meta["LIMCOL"] == "is_ul"
    else:
        assert "UTC assumed" in meta["TIMEWARN"]


def test_further_columns_of_light_curves(ask):
    counts = ask("lightcurve", "hess", "Lightcurve_public_dl3")
    assert counts["Background_error"].unit == u.ct / u.cm**2 / u.s
    np.testing.assert_allclose(counts["Background"], counts["Flux"] / 2)
    runs = ask("lightcurve", "magic", "Lightcurve_public_dl3")
    assert runs["Cts_s"].tolist() == list(range(10))
    gammapy = ask("lightcurve", "ctao", "lightcurve")
    assert gammapy["is_ul"].tolist() == ([False] * 9 + [True]) * 2
    np.testing.assert_allclose(gammapy["flux_ul"], sky.LIMIT * gammapy["flux"])
    best = ask("lightcurve", "icecube", "Lightcurve")
    np.testing.assert_allclose(best["F_max_90"], sky.LIMIT * best["F"])


@pytest.mark.parametrize(("instrument", "product"), [each for each in CURVES if each[0] != "ctao"])
def test_light_curves_stay_what_they_are_in_files(ask, tmp_path, instrument, product):
    table = ask("lightcurve", instrument, product)
    write_lightcurve(table, tmp_path / "curve.fits")
    again = read_lightcurve(tmp_path / "curve.fits")
    assert again.colnames == table.colnames
    np.testing.assert_allclose((again["time"] - table["time"]).sec, 0, atol=1e-4)
    for name in table.colnames[5:]:
        np.testing.assert_array_equal(again[name], table[name])
        assert again[name].unit == table[name].unit
    names = ("VALUECOL", "ERRORCOL", "ERRLOCOL", "ERRHICOL", "LIMCOL")
    assert {key: again.meta.get(key) for key in names} == {key: table.meta.get(key) for key in names}


def test_missing_values_of_light_curves(ask):
    table = ask("lightcurve", "photometry", "Lightcurve_bare")
    assert np.ma.getmaskarray(table["FLUX"]).tolist() == [False, False, True] + [False] * 7
    assert np.ma.getmaskarray(table["ERROR"]).all()


def test_light_curves_of_other_values(ask):
    magnitudes = ask("lightcurve", "photometry", "Lightcurve_magnitudes")
    factor = sky.CURVE_VARIABILITY.factor(np.arange(*NIGHTS) + 0.5)
    np.testing.assert_allclose(magnitudes["MAG"], 20 - 2.5 * np.log10(factor), rtol=1e-9)
    assert (magnitudes["MAG"].unit, magnitudes["ERROR"].unit) == (u.mag, u.mag)
    both = ask("lightcurve", "photometry", "Lightcurve_counts")
    assert both["product"].tolist() == ["rates"] * 10 + ["counts"] * 10
    assert np.ma.getmaskarray(both["COUNTS"]).tolist() == [True] * 10 + [False] * 10
    np.testing.assert_array_equal(both["COUNTS"][10:], np.round(1e13 * sky.CURVE_FLUX * factor))
    with pytest.raises(errors.ServiceError, match=r"units that can't be converted.*query_product") as caught:
        ask("lightcurve", "photometry", "Lightcurve_all")
    assert caught.value.products.table["kind"].tolist() == ["lightcurve"] * 2


def test_polar(mmoda):
    with pytest.warns(match="Unix seconds"):
        table = mmoda.query_lightcurve(**asked("polar", "polar_lc"))
    assert table.colnames[5:] == ["rate", "rate_err"]
    assert set(table["src_name"]) == {"Crab"}
    np.testing.assert_allclose((table["time"].utc.mjd - 57700.0) * 86400, 0.5 * np.arange(86) + 0.25, atol=1e-5)
    np.testing.assert_allclose(table["time_bin"], 0.5)
    np.testing.assert_array_equal(table["rate"], 900 + np.arange(86))
    assert "Unix seconds" in table.meta["TIMEWARN"]


# ---- images

IMAGES = {
    ("hess", "Image_public_dl3"): ["FITS"],
    ("wise", "Image"): ["FITS"],
    ("mwa", "Image"): ["IMAGE", "IMAGE_2", "IMAGE_3"],
    ("grb_detection", "detectgrb"): ["IMAGE_FITS"],
}


@pytest.mark.parametrize(("instrument", "product"), IMAGES)
def test_images(ask, instrument, product):
    hdulist = ask("image", instrument, product)
    assert [hdu.name for hdu in hdulist] == ["PRIMARY", *IMAGES[instrument, product]]
    for hdu in hdulist[1:]:
        y, x = np.unravel_index(np.argmax(hdu.data), hdu.data.shape)
        assert hdu.data[y, x] == sky.IMAGE_PEAK
        place = WCS(hdu.header).pixel_to_world(x, y)
        assert place.separation(SkyCoord(CRAB.ra, CRAB.dec, unit="deg")) < 0.001 * u.arcsec
    if instrument == "mwa":
        assert [hdu.header["FREQ"] for hdu in hdulist[1:]] == [88e6, 154e6, 200e6]
        assert u.Unit(hdulist[1].header["BUNIT"]) == u.Jy / u.beam
        assert [hdu.header["PRODNAME"] for hdu in hdulist[1:]] == ["image", "image_2", "image_3"]


def test_a_cube_announced_as_a_spectrum(ask):
    cube, bands = ask("image", "crbeam", "Generate_figures")[1:]
    assert (cube.data.shape, cube.name, bands.name) == ((3, 10, 10), "MAP3D", "PRIMARY_BANDS")
    assert WCS(cube.header).celestial.world_to_pixel(SkyCoord(CRAB.ra, CRAB.dec, unit="deg"))[0] == pytest.approx(4)
    np.testing.assert_array_equal(bands.data["ENERGY"], [1e9, 2e9, 3e9])


def test_pictures_and_files(ask):
    products = ask("product", "mwa", "Image")
    assert products["picture"].picture().shape[:2] == (8, 16)
    assert products["mwa.fits"].hdulist()[0].data.max() == sky.IMAGE_PEAK
    events = ask("product", "cta", "Simulate")["events.fits"].hdulist()
    np.testing.assert_array_equal(events["EVENTS"].data["ENERGY"], [0.5, 2.0])


# ---- catalogues


def test_catalogue_of_any_columns(ask):
    table = ask("catalog", "desi_legacy_survey", "Catalog")
    types, east, north, flux = zip(*sky.FIELD_SOURCES, strict=True)
    assert table["Type"].tolist() == list(types)
    places = SkyCoord.guess_from_table(table)
    offsets = SkyCoord(CRAB.ra, CRAB.dec, unit="deg").spherical_offsets_to(places)
    np.testing.assert_allclose(offsets[0].deg, east, atol=1e-6)
    np.testing.assert_allclose(offsets[1].deg, north, atol=1e-6)
    np.testing.assert_array_equal(table["flux_g"], flux)
    assert np.isnan(np.ma.filled(table["flux_i"].astype(float), np.nan)).all()


def test_no_catalogue_in_pixels(mmoda):
    with pytest.warns(NoResultsWarning, match="picture, table; see query_product"):
        assert len(mmoda.query_catalog(**asked("source_extractor", "Extract"))) == 0


# ---- all forms in use


def test_each_can_be_drawn_and_written(ask, tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    for number, (instrument, product, version) in enumerate(SPECTRA):
        spectra = ask("spectrum", instrument, product)
        plotting.plot_spectrum(spectra, spectra["SPECTRUM", version].header["ORIGNAME"])
        assert not any(write_spectra(spectra, tmp_path / str(number))["error"])
        pyplot.close("all")
    for instrument, product in CURVES:
        curve = ask("lightcurve", instrument, product)
        plotting.plot_lightcurve(curve)
        assert len(to_timeseries(curve)) == len(curve)
        pyplot.close("all")
    for instrument, product in IMAGES:
        plotting.plot_image(ask("image", instrument, product))
        pyplot.close("all")


# ---- what can't be given

NOT_THERE = {
    ("spectrum", "cta", "Simulate"): "binary, picture",
    ("lightcurve", "cta", "Simulate"): "binary, picture",
    ("image", "cta", "Visibility"): "picture, table",
    ("lightcurve", "cta", "Visibility"): "picture, table",
    ("spectrum", "cta", "model_CTA_events"): "picture, table",
    ("lightcurve", "cta", "model_CTA_events"): "picture, table",
    ("spectrum", "photoz_euclid", "Run_Phosphoros_on_Catalog"): "binary, picture, table",
    ("lightcurve", "photoz_euclid", "Run_Phosphoros_on_Catalog"): "binary, picture, table",
    ("spectrum", "icecube", "Likelihood_profile"): "picture, table",
    ("lightcurve", "icecube", "Likelihood_profile"): "picture, table",
    ("spectrum", "crbeam", "Generate_events"): "table",
    ("lightcurve", "crbeam", "Generate_events"): "table",
    ("spectrum", "grb_detection", "detectgrb"): "image, lightcurve, picture, text",
    ("spectrum", "source_extractor", "Extract"): "picture, table",
    ("lightcurve", "hess", "Spectrum_public_dl3"): "picture, table",
    ("image", "hess", "Spectrum_public_dl3"): "picture, table",
}


@pytest.mark.parametrize(("kind", "instrument", "product"), NOT_THERE)
def test_what_a_reply_does_not_have(ask, kind, instrument, product):
    with pytest.raises(errors.ServiceError, match=f"no .*{kind}.*: {NOT_THERE[kind, instrument, product]}") as caught:
        ask(kind, instrument, product)
    assert len(caught.value.products)


# ---- as it came


def test_data_as_they_came(ask):
    products = ask("product", "hess", "Spectrum_public_dl3")
    assert sorted(product.name for product in products) == ["png", "table_confidence_contour", "table_spectrum"]
    assert products["table_spectrum"].meta["label"] == "Spectrum"
    assert products["table_spectrum"].data.colnames == [
        "Emean[TeV]",
        "Emin[TeV]",
        "Emax[TeV]",
        "Flux[TeV/cm2s]",
        "Flux_error[TeV/cm2s]",
    ]
    assert products["table_confidence_contour"].data.colnames == ["Gamma", "Norm_1TeV[1/(TeV cm2 s)]"]
    assert products["png"].data == sky.workflow_picture()
    remarks = ask("product", "grb_detection", "detectgrb")
    assert ast.literal_eval(remarks["detection_comment"].data) == {"n_peaks": 1, "significance": 12.5}
    assert remarks["peak"].data == pytest.approx(1.5 * sky.CURVE_FLUX, rel=0.1)
    visible = ask("product", "cta", "Visibility")["GTI_table"].data
    assert visible["Tstops"].tolist() == ["2022-10-09T03:00:00.000", "2022-10-10T03:00:00.000"]
    assert visible["Tstops"].meta == {"format": "isot", "scale": "utc"}


def test_tables_with_names_and_units(ask):
    points = ask("product", "hess", "Spectrum_public_dl3")
    table = points["table_spectrum"].to_table()
    assert table.colnames == ["Emean", "Emin", "Emax", "Flux", "Flux_error"]
    assert [column.unit for column in table.itercols()] == [u.TeV] * 3 + [u.TeV / u.cm**2 / u.s] * 2
    assert points["table_confidence_contour"].to_table()["Norm_1TeV"].unit == 1 / (u.TeV * u.cm**2 * u.s)
    visible = ask("product", "cta", "Visibility")["GTI_table"].to_table()
    assert visible["Tstops"].isot.tolist() == ["2022-10-09T03:00:00.000", "2022-10-10T03:00:00.000"]
    assert visible["Obs_length"].unit == u.h
    events = ask("product", "crbeam", "Generate_events")["Event_file"].to_table()
    assert len(events.colnames) == 11
    assert len(ask("product", "photoz_euclid", "Run_Phosphoros_on_Catalog")["output_zpc"].to_table().colnames) == 0


def unit_of(column):
    """Of a column, or of its heading."""
    return column.unit or read_heading(column.name).unit


def same(first, second):
    """Whether two products hold the same."""
    if isinstance(first, fits.HDUList):
        # an empty primary goes before what is written
        arrays, others = ([np.asarray(hdu.data) for hdu in each if hdu.data is not None] for each in (first, second))
        return len(arrays) == len(others) and all(map(np.array_equal, arrays, others))
    if isinstance(first, Table):
        # flux points are written with the units of their headings, and errors instead of bounds beside
        return len(second.columns) >= len(first.columns) and all(
            repr(one.tolist()) == repr(two.tolist())
            and (two.name, two.unit) in ((one.name, one.unit), (read_heading(one.name).name, unit_of(one)))
            for one, two in zip(first.itercols(), second.itercols(), strict=False)
        )
    return first == second


@pytest.mark.parametrize(("instrument", "product"), EVERYTHING)
def test_written_and_read_again(ask, tmp_path, instrument, product):
    products = ask("product", instrument, product)
    manifest = products.write(tmp_path / "products")
    assert not any(manifest["error"])
    again = Products.read(tmp_path / "products")
    assert [(each.name, each.kind) for each in again] == [(each.name, each.kind) for each in products]
    # light curves are written in their form
    differ = [
        one.name
        for one, two in zip(products, again, strict=True)
        if one.kind != "lightcurve" and not same(one.data, two.data)
    ]
    assert not differ
    if KINDS[instrument][product] == "spectrum":
        spectra = again.spectrum()
        for one in products.spectrum()[1:-1]:
            two = spectra["SPECTRUM", one.ver]
            assert [one.header.get(keyword) for keyword in KEYWORDS] == [
                two.header.get(keyword) for keyword in KEYWORDS
            ]
            assert repr(one.data.tolist()) == repr(two.data.tolist())


# ---- as oda_api reads the same replies

DECODE = """
import json, sys
import numpy as np
from oda_api.data_products import BinaryProduct, NumpyDataProduct, ODAAstropyTable, PictureProduct

def plain(values):
    values = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    return ["" if value is None else str(value) for value in values.ravel().tolist()]

found = {}
for label, products in json.load(open(sys.argv[1])).items():
    for each in products["numpy_data_product_list"]:
        for number, unit in enumerate(NumpyDataProduct.decode(each).data_unit):
            data = unit.data
            names = (data.dtype.names if data is not None else None) or [""]
            for name in names:
                column = data if not name else data[name]
                found[f"{label} {each['name']} {number} {name}"] = [] if column is None else plain(column)
    for each in products.get("astropy_table_product_ascii_list", []):
        table = ODAAstropyTable.decode(each).table
        for name in table.colnames:
            found[f"{label} {each['name']} {name}"] = plain(table[name])
            found[f"{label} {each['name']} {name} (unit)"] = [str(getattr(table[name], "unit", None))]
    for each in products.get("binary_data_product_list", []):
        if isinstance(each, dict):
            found[f"{label} {each['name']}"] = [BinaryProduct.decode(each).bin_data.hex()]
    for each in products.get("binary_image_product_list", []):
        found[f"{label} {each['name']}"] = [PictureProduct.decode(each).binary_data.hex()]
json.dump(found, open(sys.argv[2], "w"))
"""


def raw_reply(url, payload):
    """Products of the reply as they are on the wire."""
    state = {"query_status": "new"}
    while True:
        reply = requests.post(f"{url}/run_analysis", data=payload | state, timeout=60).json()
        if reply["query_status"] in ("done", "failed"):
            return reply["products"]
        state = {"query_status": reply["query_status"], "job_id": reply["job_monitor"]["job_id"]}
        state["session_id"] = reply["session_id"]
        time.sleep(0.05)


def decoded(label, products):
    """What the script above gives, by this package."""

    def plain(values):
        values = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
        return ["" if value is None else str(value) for value in values.ravel().tolist()]

    found = {}
    for each in products:
        if isinstance(each.data, fits.HDUList):
            for number, hdu in enumerate(each.data):
                names = hdu.columns.names if isinstance(hdu, fits.BinTableHDU) else [""]
                for name in names:
                    column = hdu.data if not name else hdu.data[name]
                    found[f"{label} {each.name} {number} {name}"] = [] if column is None else plain(column)
        elif isinstance(each.data, Table):
            for name in each.data.colnames:
                found[f"{label} {each.name} {name}"] = plain(each.data[name])
                found[f"{label} {each.name} {name} (unit)"] = [str(getattr(each.data[name], "unit", None))]
        elif isinstance(each.data, bytes):
            found[f"{label} {each.name}"] = [each.data.hex()]
    return found


def test_the_same_as_oda_api(ask, mmoda, local_mmoda, tmp_path):
    chosen = [each for each in EVERYTHING if each[0] not in ("polar", "mwa")]  # names of theirs get numbers here
    replies, ours = {}, {}
    for instrument, product in chosen:
        label = f"{instrument} {product}"
        payload = mmoda.query_product(**asked(instrument, product), get_query_payload=True)
        replies[label] = raw_reply(local_mmoda.url, payload)
        ours |= decoded(label, ask("product", instrument, product))
    (tmp_path / "replies.json").write_text(json.dumps(replies))
    command = [environment.find(), "-W", "ignore", "-c", DECODE, tmp_path / "replies.json", tmp_path / "theirs.json"]
    subprocess.run(command, check=True, timeout=60, cwd=tmp_path)
    theirs = json.loads((tmp_path / "theirs.json").read_text())
    assert len(theirs) > 200
    assert ours.keys() == theirs.keys()
    assert {name: (ours[name], theirs[name]) for name in theirs if ours[name] != theirs[name]} == {}


def test_a_catalogue_that_is_a_fits_file(ask):
    table = ask("catalog", "photoz_euclid", "Run_Phosphoros_on_Catalog")
    assert table.colnames == ["ID", "RA", "DEC", "Z", "Z-1D-PDF"]
    assert table["RA"].unit == u.deg
    assert table["Z-1D-PDF"].shape == (2, 5)
