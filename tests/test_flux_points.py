"""Spectra that come as tables: which column is what, the form, the table, files and plots of them."""

import re

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from astroquery_mmoda import DecodingError, ParameterError, Products, ServiceError, spectrum_table, write_spectra
from astroquery_mmoda.plotting import plot_spectrum
from tests.workflow_tables import entry, products

ENERGY_FLUX = u.erg / (u.cm**2 * u.s)
TEV_FLUX = u.TeV / (u.cm**2 * u.s)
E = np.array([1.0, 2.0, 4.0])
BINS = {"Emean[TeV]": E, "Emin[TeV]": 0.7 * E, "Emax[TeV]": 1.4 * E}
HESS = BINS | {"Flux[TeV/cm2s]": 1e-12 / E, "Flux_error[TeV/cm2s]": 1e-13 / E}
AUGER = {
    **{"Emean[eV]": E * 1e18, "Emin[eV]": E * 7e17, "Emax[eV]": E * 1.4e18},
    **{"Flux[erg/cm2s]": 1e-12 / E, "Flux_error_lo[erg/cm2s]": 1e-13 / E, "Flux_error_hi[erg/cm2s]": 3e-13 / E},
    **{"UpLim": np.array([False, False, True]), "Cts_src": [3.0, 2.0, 1.0], "Cts_bkg": [0.0, 0.0, 0.0]},
}
ROSAT = {"Emean[keV]": E, "E2dN_dE[erg/cm2s]": 3 * E, "E2dN_dE_min[erg/cm2s]": 2 * E, "E2dN_dE_max[erg/cm2s]": 5 * E}

# headings of public workflows: axis, low and high edge, value, lower and upper error, flag
ROLES = {
    "Emean[TeV] Emin[TeV] Emax[TeV] Flux[TeV/cm2s] Flux_error[TeV/cm2s] Cts_s Cts_b Exposure[cm2s]": (
        *("Emean", "Emin", "Emax", "Flux", "Flux_error", "Flux_error"),
        "",
    ),
    "Emean[eV] Emin[eV] Emax[eV] Flux[erg/cm2s] Flux_error_lo[erg/cm2s] Flux_error_hi[erg/cm2s] UpLim Cts_src": (
        *("Emean", "Emin", "Emax", "Flux", "Flux_error_lo", "Flux_error_hi"),
        "UpLim",
    ),
    "Emean[keV] E2dN_dE[erg/cm2s] E2dN_dE_error_down[erg/cm2s] E2dN_dE_error_up[erg/cm2s]": (
        *("Emean", "", "", "E2dN_dE", "E2dN_dE_error_down", "E2dN_dE_error_up"),
        "",
    ),
    "E[eV] E2dN_dE[erg/cm2s] E2dN_dE_err[erg/cm2s]": ("E", "", "", "E2dN_dE", "E2dN_dE_err", "E2dN_dE_err", ""),
    "E[eV] Emin[eV] Emax[eV] f[Hz] fmin[Hz] fmax[Hz] Flux[erg/cm2s] Flux_error[erg/cm2s]": (
        *("E", "Emin", "Emax", "Flux", "Flux_error", "Flux_error"),
        "",
    ),
    "Energy[eV] frequency[Hz] Flux[erg/cm2s]": ("Energy", "", "", "Flux", "", "", ""),
    "f[Hz] Omega_sound_waves[MJD] Omega_turbulence[MJD]": ("f", "", "", "Omega_sound_waves[MJD]", "", "", ""),
    "Energy Total_flux Total_flux_err": ("Energy", "", "", "Total_flux", "Total_flux_err", "Total_flux_err", ""),
    "E[GeV] E2dNdE[TeV/cm2s] E2dNdE_error[TeV/cm2s] detection_sigma": (
        *("E", "", "", "E2dNdE", "E2dNdE_error", "E2dNdE_error"),
        "",
    ),
    "Emean[MTeV] Flux[TeV/cm2s] Flux_error[TeV/cm2s]": ("Emean[MTeV]", "", "", "Flux", "Flux_error", "Flux_error", ""),
    "energy flux uncertainty": ("energy", "", "", "flux", "uncertainty", "uncertainty", ""),
    "E[eV] nuFnu[erg/cm2s] nuFnu_err[erg/cm2s] nuFnu_sensitivity[erg/cm2s]": (
        *("E", "", "", "nuFnu", "nuFnu_err", "nuFnu_err"),
        "",
    ),
    "e_ref[TeV] e_min[TeV] e_max[TeV] dnde[1/(TeV cm2 s)] dnde_errn[1/(TeV cm2 s)] dnde_errp[1/(TeV cm2 s)] is_ul ts": (
        *("e_ref", "e_min", "e_max", "dnde", "dnde_errn", "dnde_errp"),
        "is_ul",
    ),
    "e_min[keV] e_max[keV] rate[1/s] rate_err[1/s]": ("", "e_min", "e_max", "rate", "rate_err", "rate_err", ""),
    "rate[1/s] E[keV] rate_err[1/s]": ("E", "", "", "rate", "rate_err", "rate_err", ""),
    "Frequency[GHz] S[Jy] e_S[Jy]": ("Frequency", "", "", "S", "e_S", "e_S", ""),
    "wavelength[Angstrom] flux[erg/(s cm2 Angstrom)] ivar": ("wavelength", "", "", "flux", "", "", ""),
    "Freq[Hz] Flux_upper_limit[erg/cm2s] Flux[erg/cm2s] Flux_err_low[erg/cm2s] Flux_err_high[erg/cm2s]": (
        *("Freq", "", "", "Flux", "Flux_err_low", "Flux_err_high"),
        "",
    ),
    "E[TeV] model[erg/cm2s] data[erg/cm2s] data_err[erg/cm2s]": ("E", "", "", "data", "data_err", "data_err", ""),
    "E[TeV] model_flux[erg/cm2s] rate[1/s] rate_err[%]": ("E", "", "", "rate", "", "", ""),
    "E[TeV] model_flux[erg/cm2s]": ("E", "", "", "model_flux", "", "", ""),
    "e_ref[TeV] e_min[TeV] e_max[TeV] ref_dnde[1/(TeV cm2 s)] ref_flux[1/(cm2 s)] norm norm_err norm_ul ts": (
        *("e_ref", "e_min", "e_max", "norm", "norm_err", "norm_err"),
        "",
    ),
    "E[TeV] Flux[TeV/cm2s] error_down[TeV/cm2s] err_hi[TeV/cm2s]": ("E", "", "", "Flux", "error_down", "err_hi", ""),
    "Etrue[TeV] Signal_counts Background_counts Li_Ma_significance": ("Etrue", "", "", "Signal_counts", "", "", ""),
}
KEYWORDS = ("AXISCOL", "LOCOL", "HICOL", "VALCOL", "ERRLOCOL", "ERRHICOL", "LIMCOL")


def columns_of(headings):
    """Columns with some numbers, by headings which have blanks in brackets only."""
    return {name: np.arange(1.0, 4.0) for name in re.findall(r"(?:[^\s\[]|\[[^\]]*(?:\]|$))+", headings)}


@pytest.mark.parametrize("headings", ROLES)
def test_which_column_is_what(headings):
    spectra = products(entry(columns_of(headings))).spectrum()
    header = spectra["SPECTRUM", 1].header
    assert tuple(header.get(keyword, "") for keyword in KEYWORDS) == ROLES[headings]
    assert (header["SRC_NAME"], header["ORIGNAME"]) == ("Mrk 421", "spectrum_table")


@pytest.mark.parametrize(
    "headings",
    [
        "bins_min bins_max counts",
        "Slopes Fnorms_1TeV[1/(Gev s cm2)",
        "Gamma Norm_1TeV[1/(TeV cm2 s)]",
        "Index 1GeV_norm",
        "EVENT_ID TIME RA DEC ENERGY",
        "TIME ENERGY[keV] PI",
        "E_cut[TeV] Gamma Norm[1/(TeV cm2 s)]",
        "Name z E_peak[keV]",
        "time freq[MHz] snr dm[pc/cm3]",
        "number value[keV] quality",
        "counts livetime[s] counts_rate[1/s] background_rate[1/s] excess_rate[1/s] n_bins",
        "RA DEC Type flux_g flux_g_err",
        "Tmean[MJD] Tmin[MJD] Tmax[MJD] Flux[counts/cm2s] Flux_error[counts/cm2s]",
        "x y flux",
        "E[keV]",
    ],
)
def test_tables_that_are_not_spectra(headings):
    with pytest.raises(ServiceError, match="no spectrum") as caught:
        products(entry(columns_of(headings))).spectrum()
    assert len(caught.value.products) == 1


def test_values_and_units_of_the_form():
    spectra = products(entry(HESS)).spectrum()
    assert [hdu.name for hdu in spectra] == ["PRIMARY", "SPECTRUM", "SOURCES"]
    table = Table.read(spectra["SPECTRUM", 1])
    assert table.colnames == ["Emean", "Emin", "Emax", "Flux", "Flux_error"]
    for heading, name in zip(HESS, table.colnames, strict=True):
        np.testing.assert_array_equal(table[name], HESS[heading])
    assert (table["Emean"].unit, table["Flux"].unit) == (u.TeV, TEV_FLUX)
    assert spectra["SOURCES"].data["SRC_NAME"].tolist() == ["Mrk 421"]


def test_the_service_sent_what_it_sent():
    whole = products(entry(HESS))
    whole.spectrum()
    assert whole[0].kind == "table"
    assert whole[0].data.colnames == list(HESS)


def test_one_form_for_all():
    table = spectrum_table(products(entry(HESS)).spectrum())
    names = ["energy", "e_min", "e_max", "value", "error_low", "error_high", "is_upper_limit"]
    assert table.colnames == names
    np.testing.assert_allclose(table["e_max"], 1.4 * E)
    np.testing.assert_allclose(table["error_low"], 1e-13 / E)
    assert table["error_high"].unit == TEV_FLUX
    assert not table["is_upper_limit"].any()
    assert (table.meta["SRC_NAME"], table.meta["VALCOL"]) == ("Mrk 421", "Flux")


def test_two_errors_and_upper_limits():
    table = spectrum_table(products(entry(AUGER)).spectrum())
    np.testing.assert_allclose(table["error_high"], 3 * table["error_low"])
    assert table["is_upper_limit"].tolist() == [False, False, True]


def test_bounds_become_errors():
    spectra = products(entry(ROSAT)).spectrum()
    table = spectrum_table(spectra)
    np.testing.assert_allclose(table["error_low"], E)
    np.testing.assert_allclose(table["error_high"], 2 * E)
    assert table["e_min"].mask.all()
    # what came is there as well
    np.testing.assert_array_equal(spectra["SPECTRUM", 1].data["E2dN_dE_min"], 2 * E)


def test_bounds_that_are_not_around_the_value():
    # a workflow fills bounds with 1 where it found none
    bounds = {"F_min_68[TeV/cm2s]": [1e-13, 1.0, 1e-13], "F_max_68[TeV/cm2s]": [3e-12, 3e-12, 3e-12]}
    table = spectrum_table(products(entry({"Energy[TeV]": E, "F_best[TeV/cm2s]": 1e-12 / E, **bounds})).spectrum())
    assert table["error_low"].mask.tolist() == [False, True, False]
    np.testing.assert_allclose(table["error_high"], 3e-12 - 1e-12 / E)


@pytest.mark.parametrize(("low", "high", "errors"), [(2, 5, (1, 2)), (0.1, 0.2, (0.1, 0.2)), (-0.1, 0.2, (0.1, 0.2))])
def test_names_that_may_be_bounds_or_errors(low, high, errors):
    columns = {"E[keV]": E, "flux[erg/cm2s]": 3 * E, "flux_lo[erg/cm2s]": low * E, "flux_hi[erg/cm2s]": high * E}
    table = spectrum_table(products(entry(columns)).spectrum())
    for name, factor in zip(("error_low", "error_high"), errors, strict=True):
        np.testing.assert_allclose(table[name], factor * E)


def test_limits_of_gammapy():
    unit = u.Unit("TeV-1 cm-2 s-1")
    table = Table({"e_ref": E * u.TeV, "dnde": 1e-12 / E * unit, "dnde_err": 1e-13 / E * unit})
    table["dnde_ul"] = MaskedColumn([np.nan, np.nan, 5e-12], unit=unit)
    table["is_ul"] = [False, False, True]
    found = spectrum_table(products(entry(table)).spectrum())
    np.testing.assert_allclose(found["value"], [1e-12, 5e-13, 5e-12])
    assert found["value"].unit == unit


def test_flags_of_a_value():
    columns = {"E[keV]": E, "flux[1/cm2s]": E, "flux_ul": np.array([False, True, False])}
    table = spectrum_table(products(entry(columns)).spectrum())
    assert table["is_upper_limit"].tolist() == [False, True, False]
    np.testing.assert_array_equal(table["value"], E)


def test_all_are_limits():
    # as ANTARES has them
    columns = {"E[GeV]": E, "flux_UL * E^2": E * u.Unit("GeV / (cm2 s)")}
    table = spectrum_table(products(entry(Table(columns), "src")).spectrum())
    assert table["is_upper_limit"].all()
    np.testing.assert_array_equal(table["value"], E)


def test_only_edges():
    columns = {"e_min[keV]": E, "e_max[keV]": 4 * E, "flux[1/cm2s]": E}
    table = spectrum_table(products(entry(columns)).spectrum())
    np.testing.assert_allclose(table["energy"], 2 * E)


def test_missing_cells_and_units_that_fits_does_not_have():
    columns = Table({"E[keV]": E, "flux[3e-12 erg/cm2s]": E, "note": ["ä", "b", ""]})
    columns["flux_err[3e-12 erg/cm2s]"] = MaskedColumn(E, mask=[True, False, False])
    table = spectrum_table(products(entry(columns)).spectrum())
    assert table["value"].unit.to(ENERGY_FLUX) * table["value"][1] == pytest.approx(6e-12)
    assert table["error_low"].mask.tolist() == [True, False, False]


def test_columns_that_fits_does_not_have():
    columns = Table({"E[keV]": E, "counts": MaskedColumn([1, 2, 3], mask=[False, True, False])})
    columns["counts_err"] = np.array([1, -1, 2], "i1")
    columns["half"], columns["ra"], columns["g"] = E.astype("f2"), E * u.hourangle, E * u.dex(u.cm / u.s**2)
    columns["UpLim"] = MaskedColumn([False, True, True], mask=[False, False, True])
    spectra = products(entry(columns)).spectrum()
    table = spectrum_table(spectra)
    assert table["value"].tolist() == [1, None, 3]
    assert table["error_low"].tolist() == [1, 1, 2]
    assert table["is_upper_limit"].tolist() == [False, True, False]
    assert spectra["SPECTRUM"].columns["ra"].unit == "hourangle"
    assert spectra["SPECTRUM"].columns["g"].unit == "dex(cm / s2)"
    np.testing.assert_array_equal(spectra["SPECTRUM"].data["half"], E)


# ---- several tables, sources, kinds


@pytest.mark.parametrize(("heading", "problem"), [("f{}[1/cm2s]", "1002 columns"), ("f{}[{}kg/m]", "1002 units")])
def test_more_columns_than_can_be_used(heading, problem):
    columns = {"E[keV]": E, "flux[1/cm2s]": E} | {heading.format(i, i): E for i in range(1000)}
    with pytest.raises(DecodingError, match=problem):
        products(entry(columns)).spectrum()


def test_several_tables_of_one_source():
    whole = products(entry(HESS, "total"), entry(AUGER, "psf"), entry(ROSAT, "observations"))
    spectra = whole.spectrum()
    assert [(hdu.ver, hdu.header["ORIGNAME"]) for hdu in spectra[1:-1]] == [
        (1, "total"),
        (2, "psf"),
        (3, "observations"),
    ]
    with pytest.raises(ParameterError, match="total, psf, observations"):
        spectrum_table(spectra)
    assert "energy" in spectrum_table(spectra, "psf").colnames
    assert len(whole.spectrum("psf")) == 3
    with pytest.raises(ParameterError, match="Mrk 421"):
        whole.spectrum("Mrk 501")


def test_without_a_source_the_product_names_it():
    spectra = products(entry(HESS, "total"), entry(AUGER, "psf"), source="").spectrum()
    assert spectra["SOURCES"].data["SRC_NAME"].tolist() == ["total", "psf"]
    assert len(spectrum_table(spectra, "psf")) == 3


def test_what_was_asked_for_decides():
    # energies and times in one table, whatever it is called; where there are others, names decide
    both = {"Tmean[MJD]": 58000 + E} | HESS
    assert "SPECTRUM" in products(entry(both, "table")).spectrum()
    assert len(products(entry(both, "table")).lightcurve()) == 3
    assert len(products(entry(both, "lightcurve_table")).spectrum()) == 3
    several = products(entry(both, "lightcurve_table"), entry(both, "table"), entry(both, "spectrum_table"))
    assert [hdu.header["ORIGNAME"] for hdu in several.spectrum()[1:-1]] == ["table", "spectrum_table"]
    assert several.lightcurve()["product"].tolist() == ["lightcurve_table"] * 3 + ["table"] * 3


def test_numpy_spectra_of_workflows(recorded):
    spectra = Products.from_response(recorded("nb_everything_4_done")).spectrum()
    header = spectra["SPECTRUM", 1].header
    assert (header["AXISCOL"], header["VALCOL"], header["SRC_NAME"]) == ("E", "F", "Crab")
    assert spectrum_table(spectra, "Crab")["energy"].unit == u.keV


def test_nothing_is_made_of_an_empty_table():
    with pytest.raises(ServiceError, match="no spectrum"):
        products(entry(Table())).spectrum()
    assert len(spectrum_table(products(entry(Table(HESS)[:0])).spectrum())) == 0


# ---- files


def test_written_and_read_again(tmp_path):
    whole = products(entry(HESS, "total"), entry(AUGER, "psf"), entry(ROSAT, "rosat"))
    manifest = whole.write(tmp_path)
    assert [path.rsplit("/")[-1] for path in manifest["path"]] == ["total.ecsv", "psf.ecsv", "rosat.ecsv"]
    again = Products.read(tmp_path)
    assert fits.FITSDiff(whole.spectrum(), again.spectrum()).identical
    table = Table.read(tmp_path / "psf.ecsv")
    assert (table["Flux"].unit, table.meta["LIMCOL"], table.meta["SRC_NAME"]) == (ENERGY_FLUX, "UpLim", "Mrk 421")


def test_files_of_spectra(tmp_path):
    spectra = products(entry(HESS, "total"), entry(AUGER, "psf")).spectrum()
    manifest = write_spectra(spectra, tmp_path)
    assert set(manifest["kind"]) == {"spectrum"}
    table = Table.read(manifest["path"][1])
    assert (table["Emean"].unit, table.meta["ERRLOCOL"], table.meta["ORIGNAME"]) == (u.eV, "Flux_error_lo", "psf")
    np.testing.assert_array_equal(table["Flux"], AUGER["Flux[erg/cm2s]"])


@pytest.mark.parametrize("option", [{"group": 20}, {"group": 3.0}, {"systematic": 0.01}])
def test_options_of_channels(tmp_path, option):
    whole = products(entry(HESS))
    with pytest.raises(ParameterError, match="flux points"):
        write_spectra(whole.spectrum(), tmp_path / "files", **option)
    with pytest.raises(ParameterError, match=next(iter(option))):
        whole.write(tmp_path / "files", **option)
    assert not (tmp_path / "files").exists()


# ---- plots


def drawn(ax):
    """Places of all points and arrows."""
    return [container[0].get_xydata() if container[0] else None for container in ax.containers]


def test_plot():
    ax = plot_spectrum(products(entry(HESS)).spectrum())
    assert ax.get_xlabel() == r"Energy ($\mathrm{TeV}$)"
    assert ax.get_ylabel().startswith("Flux ($")
    np.testing.assert_allclose(drawn(ax)[0], np.column_stack([E, 1e-12 / E]))
    assert ax.get_legend_handles_labels()[1] == ["Mrk 421 (hess)"]


def test_plot_of_several_instruments():
    """A spectral energy distribution in the units of the first."""
    ax = plot_spectrum(products(entry(ROSAT)).spectrum())
    ax.clear()
    plot_spectrum(products(entry(ROSAT)).spectrum(), ax=ax)
    assert ax.get_ylabel().startswith("$E^2")
    plot_spectrum(products(entry(HESS)).spectrum(), ax=ax)
    differential = {"E[MeV]": 1e3 * E, "dN/dE[1/(cm2 s MeV)]": 1e-9 / E**2}
    plot_spectrum(products(entry(differential)).spectrum(), ax=ax)
    infrared = {"wavelength[um]": E, "nuFnu[erg/cm2s]": E}
    plot_spectrum(products(entry(infrared)).spectrum(), ax=ax)
    assert ax.get_xlabel() == r"Energy ($\mathrm{keV}$)"
    _, hess, fermi, wise = drawn(ax)
    np.testing.assert_allclose(hess, np.column_stack([1e9 * E, (1e-12 * u.TeV).to_value(u.erg) / E]))
    np.testing.assert_allclose(fermi, np.column_stack([1e6 * E, (1e-3 * u.MeV).to_value(u.erg) * E**0]))
    np.testing.assert_allclose(wise[:, 0], (E * u.um).to_value(u.keV, u.spectral()))


def test_plot_of_upper_limits():
    columns = HESS | {"Flux[TeV/cm2s]": np.array([1e-12, -1e-13, 5e-13]), "UpLim": [False, False, True]}
    ax = plot_spectrum(products(entry(columns)).spectrum())
    np.testing.assert_allclose(drawn(ax)[0], [[1, 1e-12]])
    arrows = [line.get_xydata() for line in ax.lines if line.get_marker() == 11 or len(line.get_xdata()) == 2]
    heights = {round(float(y) * 1e13, 3) for places in arrows for _, y in places}
    # 3 standard deviations of the negative one, and the service's own limit
    assert {1.5, 5.0} <= heights


def test_rates_and_fluxes_have_no_common_axes(recorded):
    ax = plot_spectrum(products(entry(HESS)).spectrum())
    with pytest.raises(ParameterError, match="axes"):
        plot_spectrum(Products.from_response(recorded("isgri_spectrum_real")).spectrum(), ax=ax)
    with pytest.raises(ParameterError, match="no unit over keV"):
        plot_spectrum(products(entry({"E[keV]": E, "rate": E})).spectrum(), ax=ax)


# ---- many tables


def with_units(name, unit_of):
    """A table of 20 columns with units of their own, which astropy may not know."""
    columns = {"E": E} | {f"flux{number}": E for number in range(20)}
    table = entry(columns, name)
    for number in range(20):
        text = f"- {{name: flux{number}, "
        table["ascii"] = table["ascii"].replace(text, f"{text}unit: {unit_of(number)}, ")
    return table


def test_many_tables_with_the_same_units_that_nobody_knows():
    tables = [with_units(f"table {number}", lambda column: f"zork{'xyz'[column % 3]}") for number in range(60)]
    assert len(products(*tables).spectrum()) == 62


def test_many_tables_with_new_units_that_nobody_knows():
    letters = "abcdefghijklmnopqrst"
    tables = [
        with_units(f"table {a}{b}", lambda column, a=a, b=b: f"zz{a}{letters[column]}{b}")
        for a in letters[:4]
        for b in letters[:5]
    ]
    with pytest.raises(DecodingError, match="units that astropy does not know"):
        products(*tables).spectrum()
