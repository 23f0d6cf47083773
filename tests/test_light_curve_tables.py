"""Light curves that come as tables of workflows: times, widths, values, errors, bands, and several of them."""

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.time import Time

from astroquery_mmoda import ParameterError, Products, ServiceError, read_lightcurve, to_timeseries, write_lightcurve
from astroquery_mmoda.plotting import plot_lightcurve
from tests.workflow_tables import entry, products

T = np.array([58000.0, 58001.0, 58003.0])
FLUX = np.array([1e-5, 2e-5, 3e-5])
HESS = {
    **{"Tmean[MJD]": T + 0.25, "Tmin[MJD]": T, "Tmax[MJD]": T + 0.5, "Flux[counts/cm2s]": FLUX},
    **{"Flux_error[counts/cm2s]": FLUX / 10, "Background[counts/cm2s]": FLUX / 5},
}


def curve(columns, name="lightcurve_table", **asked):
    return products(entry(columns, name), product="Lightcurve", **asked).lightcurve()


def test_the_one_form():
    table = curve(HESS)
    assert table.colnames == [
        *("src_name", "time", "time_bin", "e_min", "e_max", "Flux", "Flux_error", "Background"),
    ]
    assert set(table["src_name"]) == {"Mrk 421"}
    np.testing.assert_allclose(table["time"].utc.mjd, T + 0.25, rtol=0, atol=1e-9)
    assert (table["time"].scale, table.meta["TIMEWARN"]) == ("tt", "no TIMESYS: UTC assumed")
    np.testing.assert_allclose(table["time_bin"], 43200)
    assert table["time_bin"].unit == u.s
    np.testing.assert_array_equal(table["Flux"], FLUX)
    assert table["Flux_error"].unit == u.ct / u.cm**2 / u.s
    assert (table.meta["VALUECOL"], table.meta["ERRORCOL"]) == ("Flux", "Flux_error")
    assert table["e_min"].mask.all()


def test_mean_times_that_are_not_in_the_middle():
    table = curve(HESS | {"Tmean[MJD]": T + 0.1})
    np.testing.assert_allclose(table["time"].utc.mjd, T + 0.25, rtol=0, atol=1e-9)
    # what is not the centre stays what it was
    np.testing.assert_allclose(table["Tmean"], T + 0.1)


def test_names_that_the_form_has_itself(tmp_path):
    edges = {"time": T + 0.1, "time_min": T, "time_max": T + 0.5, "TIMEDEL": FLUX}
    own = {"e_min[keV]": FLUX, "E_MAX[keV]": FLUX, "src_name": ["a", "b", "c"], "product": ["d", "e", "f"]}
    whole = products(*(entry(edges | own | {"flux": FLUX}, name) for name in ("first", "second")), product="Lightcurve")
    table = whole.lightcurve("first")
    np.testing.assert_allclose(table["time"].utc.mjd, T + 0.25, rtol=0, atol=1e-9)
    np.testing.assert_allclose(table["time_bin"], 43200)
    np.testing.assert_allclose(table["time_given"], T + 0.1)
    assert table["src_name_given"].tolist() == ["a", "b", "c"]
    assert table["e_min_given"].unit == u.keV
    again = read_lightcurve(write_lightcurve(table, tmp_path / "curve.fits"))
    assert again.colnames == table.colnames
    both = whole.lightcurve()
    assert both["product_given"].tolist() == ["d", "e", "f"] * 2
    assert len({name.lower() for name in both.colnames}) == len(both.colnames)


def test_half_widths():
    columns = {"T[MJD]": T, "dT[MJD]": [0.1, 0.2, 0.0], "Cts_s": [1, 2, 3], "Flux[1/cm2s]": FLUX}
    table = curve(columns)
    np.testing.assert_allclose(table["time_bin"][:2], [17280, 34560])
    assert table["time_bin"].mask.tolist() == [False, False, True]
    assert "dT[MJD]" in table.meta["TIMEWARN"]
    assert table.meta["VALUECOL"] == "Flux"


def test_edges_and_bounds():
    columns = {
        **{"Tstart[MJD]": T, "Tstop[MJD]": T + 1, "F[TeV/cm2s]": FLUX, "F_min_68[TeV/cm2s]": FLUX / 2},
        **{"F_max_68[TeV/cm2s]": 3 * FLUX, "F_max_90[TeV/cm2s]": 4 * FLUX},
    }
    table = curve(columns)
    np.testing.assert_allclose(table["time"].utc.mjd, T + 0.5, rtol=0, atol=1e-9)
    np.testing.assert_allclose(table[table.meta["ERRLOCOL"]], FLUX / 2)
    np.testing.assert_allclose(table[table.meta["ERRHICOL"]], 2 * FLUX)
    # with both errors in the picture
    segments = plot_lightcurve(table).containers[0][2][1].get_segments()
    np.testing.assert_allclose([segment[:, 1] for segment in segments], np.column_stack([FLUX / 2, 3 * FLUX]))


@pytest.mark.parametrize(
    ("column", "mjd"),
    [
        ({"time": T}, T),
        ({"MJD": T}, T),
        ({"JD": T + 2400000.5}, T),
        ({"t[JD]": T + 2400000.5}, T),
        ({"Time [d]": T}, T),
        ({"date[UTC]": Time(T, format="mjd").isot}, T),
        ({"obs_date": Time(T, format="mjd", scale="tt")}, None),
        ({"time": Time(T, format="mjd", scale="tdb")}, None),
        ({"time[UNIX]": Time(T, format="mjd").unix}, T),
    ],
)
def test_times_of_any_kind(column, mjd):
    table = curve({**column, "mag": FLUX, "mag_err": FLUX / 10})
    stated = next(iter(column.values()))
    if mjd is None:
        assert "TIMEWARN" not in table.meta
        np.testing.assert_allclose((table["time"] - stated).to_value(u.s), 0, atol=1e-5)
    else:
        np.testing.assert_allclose(table["time"].utc.mjd, mjd, rtol=0, atol=1e-9)
        assert "UTC assumed" in table.meta["TIMEWARN"]
    assert table.meta["VALUECOL"] == "mag"


def test_seconds_without_a_reference():
    with pytest.warns(match="no time reference"):
        curve({"time[s]": [0.0, 1.0, 2.0], "rate[1/s]": FLUX})


def gammapy(bands):
    """As gammapy writes light curves: a value for each band in a cell, and the reference time beside times in MJD."""
    edges = np.array([1.0, 3.0, 10.0])[: bands + 1]
    low, high = np.tile(edges[:-1], (3, 1)) * u.TeV, np.tile(edges[1:], (3, 1)) * u.TeV
    flux = np.outer(FLUX, np.arange(1, bands + 1)) * u.Unit("cm-2 s-1")
    columns = {"time_min": T, "time_max": T + 0.5, "e_min": low, "e_max": high, "flux": flux, "flux_err": flux / 10}
    meta = {"MJDREFI": 57999, "MJDREFF": 0.0, "TIMEUNIT": "d", "TIMESYS": "tt", "SED_TYPE": "flux"}
    return Table(columns | {"is_ul": np.tile([False, True], (3, 1))[:, :bands]}, meta=meta)


@pytest.mark.parametrize("bands", [1, 2])
def test_light_curves_of_gammapy(bands):
    table = curve(gammapy(bands), "lc_table")
    assert len(table) == 3 * bands
    np.testing.assert_allclose(table["time"].tt.mjd, np.tile(T + 0.25, bands), rtol=0, atol=1e-9)
    np.testing.assert_allclose(table["e_min"].quantity.to_value(u.TeV), np.repeat([1, 3][:bands], 3))
    np.testing.assert_allclose(table["flux"], np.outer(np.arange(1, bands + 1), FLUX).ravel())
    assert table["flux"].unit == 1 / u.cm**2 / u.s
    assert table.meta["LIMCOL"] == "is_ul"


@pytest.mark.parametrize(("unit", "heights"), [("mJy", [1e-8, 2e-8, 3e-8]), ("Jy", [1e-5, 2e-5, 3e-5]), ("s", [])])
def test_errors_are_drawn_in_the_unit_of_the_values(unit, heights):
    axes = plot_lightcurve(curve({"Time[MJD]": T, "Flux[Jy]": 3 * FLUX, f"Flux_error[{unit}]": FLUX}))
    segments = [line for bars in axes.containers[0].lines[2] for line in bars.get_segments() if len(line)]
    lengths = [abs(line[1][1] - line[0][1]) / 2 for line in segments]
    np.testing.assert_allclose([length for length in lengths if length > 0], heights, rtol=1e-6)


def test_upper_limits_of_gammapy_are_drawn():
    table = gammapy(1)
    table["is_ul"] = [[False], [False], [True]]
    table["flux_ul"] = 2 * table["flux"]
    ax = plot_lightcurve(curve(table))
    np.testing.assert_allclose(ax.containers[1].lines[0].get_ydata(), 2 * FLUX[2:])
    assert [text.get_text() for text in ax.texts] == ["1\N{EN DASH}3 TeV"]


def test_several_tables():
    whole = products(entry(HESS, "first"), entry({"Time[MJD]": T, "mag": FLUX}, "second"), product="Lightcurve")
    table = whole.lightcurve()
    assert set(table["src_name"]) == {"Mrk 421"}
    assert table["product"].tolist() == ["first"] * 3 + ["second"] * 3
    assert table["mag"].mask.tolist() == [True] * 3 + [False] * 3
    assert len(whole.lightcurve("second")) == 3
    assert "product" not in whole.lightcurve("second").colnames


def test_several_tables_without_a_source():
    whole = products(entry(HESS, "first"), entry(HESS, "second"), product="Lightcurve", source="")
    assert whole.lightcurve()["src_name"].tolist() == ["first"] * 3 + ["second"] * 3


def test_gaps():
    table = curve(HESS | {"Flux[counts/cm2s]": np.array([1e-5, np.nan, 0.0])})
    assert table["Flux"].mask.tolist() == [False, True, False]
    assert table["Flux_error"].mask.tolist() == [False, True, False]


@pytest.mark.parametrize(
    "columns",
    [
        {"bins_min": T, "bins_max": T + 1, "counts": FLUX},
        {"Tstarts": Time(T, format="mjd"), "Tstops": Time(T + 1, format="mjd"), "Obs_length[hr]": FLUX},
        {"RA": T, "DEC": T, "TIME": T, "ENERGY": T},
        {"E[TeV]": T, "Flux[TeV/cm2s]": T},
        {"Counts": T, "TS": T},
        {"OBS_ID": np.arange(3), "RA_PNT[deg]": T, "DEC_PNT[deg]": T, "TSTART[s]": T, "TSTOP[s]": T, "ONTIME[s]": T},
        {"name": ["stacked"] * 3, "counts": T, "livetime[s]": T, "counts_rate[1/s]": T},
        {"TIME[d]": T, "ENERGY[keV]": T, "PI": T},
        {"T90[s]": T, "Epeak[keV]": T, "fluence[erg/cm2]": T},
        {"lag[s]": T, "ccf": T, "ccf_err": T},
    ],
)
def test_tables_that_are_not_light_curves(columns):
    with pytest.raises(ServiceError, match="no lightcurve"):
        curve(columns, "table")


@pytest.mark.parametrize("times", [[], [np.nan] * 3, [np.inf, -np.inf, 1e308]])
@pytest.mark.parametrize("heading", ["JD", "Tmean[MJD]"])
@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore:MMODA")
def test_no_time_is_one(heading, times):
    columns = {heading: np.array(times, float), "Tmin[MJD]": times, "Tmax[MJD]": times, "flux": np.ones(len(times))}
    assert len(curve({name: np.array(values, float) for name, values in columns.items()})) == 0


def test_files_and_series(tmp_path):
    table = curve(HESS)
    again = read_lightcurve(write_lightcurve(table, tmp_path / "curve.fits"))
    assert again.colnames == table.colnames
    np.testing.assert_allclose((again["time"] - table["time"]).to_value(u.s), 0, atol=1e-5)
    assert again["Flux"].unit == table["Flux"].unit
    assert to_timeseries(table).time_bin_size[0] == 12 * u.h
    # some workflows give a light curve the name of something else
    whole = products(entry(HESS, "spectrum_table"), product="Lightcurve")
    whole.write(tmp_path / "all")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = Products.read(tmp_path / "all").lightcurve()
    assert read.colnames == table.colnames
    assert read.meta["TIMEWARN"] == table.meta["TIMEWARN"]


def test_columns_that_fits_does_not_have(tmp_path):
    columns = HESS | {"half": FLUX.astype("f2"), "byte": np.array([-2, 0, 2], "i1")}
    table = curve(columns | {"UpLim": MaskedColumn([True, True, False], mask=[False, True, False])})
    again = read_lightcurve(write_lightcurve(table, tmp_path / "curve.fits"))
    table.write(tmp_path / "table.fits")
    for read in (again, Table.read(tmp_path / "table.fits")):
        assert read["byte"].tolist() == [-2, 0, 2]
        assert read["half"].tolist() == FLUX.astype("f2").tolist()
        # which has no mask for these
        assert read["UpLim"].tolist() == [True, False, False]


def test_several_light_curves_of_one_source(tmp_path):
    whole = products(entry(HESS, "first"), entry({"Time[MJD]": T, "Flux[counts/cm2s]": FLUX}, "second"))
    table = whole.lightcurve()
    with pytest.raises(ParameterError, match=r"Mrk 421 \(first\), Mrk 421 \(second\)"):
        to_timeseries(table, "mrk421")
    assert len(to_timeseries(table, "second")) == 3
    assert plot_lightcurve(table).get_legend_handles_labels()[1] == ["Mrk 421 (first)", "Mrk 421 (second)"]
    assert plot_lightcurve(table, "first").get_legend_handles_labels()[1] == ["Mrk 421 (first)"]
    path = write_lightcurve(table, tmp_path / "curves.fits")
    with fits.open(path) as hdulist:
        assert [hdu.name for hdu in hdulist].count("RATE") == 2
    again = read_lightcurve(path)
    assert again["product"].tolist() == table["product"].tolist()
    assert set(again["src_name"]) == {"Mrk 421"}
