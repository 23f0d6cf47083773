"""The form of query_lightcurve: one table with real times, whatever the convention."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from astroquery_mmoda import Products, errors
from astroquery_mmoda.products.entries import Entry
from astroquery_mmoda.products.products import Product

FIXED = ["src_name", "time", "time_bin", "e_min", "e_max"]


@pytest.fixture
def curve(recorded):
    return lambda name: Products.from_response(recorded(name)).lightcurve()


def test_isgri(curve, recorded):
    table = curve("isgri_lc_real")
    assert table.colnames == [*FIXED, "RATE", "ERROR", "BACKV", "BACKE", "FRACEXP"]
    assert isinstance(table["time"], Time)
    assert (table["time"].scale, table["time"].format) == ("tt", "mjd")
    assert list(dict.fromkeys(table["src_name"])) == ["Crab", "3C 111"]
    raw = Products.from_response(recorded("isgri_lc_real"))[0].data[1].data
    np.testing.assert_allclose(table["time"].mjd[:60] - 51544, raw["TIME"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(table["time_bin"][:60], 2 * 86400 * raw["XAX_E"])
    assert table["time_bin"].unit == u.s
    assert set(table["e_min"]) == {28.0}
    assert table["e_max"].unit == u.keV
    assert table["RATE"].unit == u.ct / u.s
    assert table["RATE"].dtype.isnative


def test_bins_without_data_are_masked(curve, recorded):
    table = curve("isgri_lc_real")
    raw = Products.from_response(recorded("isgri_lc_real"))[0].data[1].data
    gaps = np.isnan(raw["RATE"]) | ((raw["RATE"] == 0) & (raw["ERROR"] == 0))
    assert gaps.any()
    np.testing.assert_array_equal(np.ma.getmaskarray(table["RATE"])[:60], gaps)
    np.testing.assert_array_equal(np.ma.getmaskarray(table["ERROR"])[:60], gaps)
    assert not np.ma.is_masked(table["FRACEXP"])


def test_spi_acs(curve):
    """Seconds around the middle; bins of 9, 10 or 11 native ones, the first of which starts with the interval."""
    table = curve("spi_acs_lc_real")
    # the recorded back end was a stand-in that took UTC for TT
    start = Time("2017-03-06T13:26:48.000", scale="tt")
    assert abs((table["time"][0] - start).to_value(u.s) - table["time_bin"][0] / 2) < 1e-5
    assert set(table["time_bin"]) == {0.45, 0.5, 0.55}
    half = np.asarray(table["time_bin"]) / 2
    np.testing.assert_allclose(np.diff(table["time"].mjd) * 86400, half[1:] + half[:-1], atol=1e-5)
    assert table.meta["TSHIFT"] == pytest.approx(0.025, abs=1e-5)
    assert table["e_min"].mask.all()
    assert set(table["src_name"]) == {"1E 1740.7-2942"}


def test_jemx_with_a_column_that_the_server_appended(curve, recorded):
    table = curve("jemx_lc_dummy")
    raw = Products.from_response(recorded("jemx_lc_dummy"))[0].data[-1]
    assert raw.header["TIMEPIXR"] == 0.5
    np.testing.assert_allclose(table["time"].mjd - 51544, raw.data["TIME"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(table["time_bin"], 86400 * raw.data["TIMEDEL"])
    assert "TIMEDEL" not in table.colnames
    assert table["BARYTIME"].unit == u.d


def test_workflow_in_mjd_utc(curve, recorded):
    table = curve("nb_lightcurve_4_done")
    raw = Products.from_response(recorded("nb_lightcurve_4_done"))[0].data["LC"].data
    np.testing.assert_allclose(table["time"].utc.mjd, raw["TIME"], rtol=0, atol=1e-9)
    assert table["FLUX"].unit == u.erg / u.s / u.cm**2
    assert table["time_bin"].mask.all()


def test_meta_survives_fits_and_ecsv(curve, tmp_path):
    table = curve("isgri_lc_real")
    assert table.meta["VALUECOL"] == "RATE"
    assert table.meta["ERRORCOL"] == "ERROR"
    table.write(tmp_path / "lc.ecsv")
    again = Table.read(tmp_path / "lc.ecsv")
    assert dict(again.meta) == dict(table.meta)
    assert abs((again["time"] - table["time"]).to_value(u.s)).max() < 1e-6
    assert again["time"].scale == "tt"
    np.testing.assert_array_equal(np.ma.getmaskarray(again["RATE"]), np.ma.getmaskarray(table["RATE"]))
    table.write(tmp_path / "lc.fits")
    assert Table.read(tmp_path / "lc.fits").meta["INSTRUME"] == "IBIS"


def test_one_source(recorded):
    products = Products.from_response(recorded("isgri_lc_real"))
    table = products.lightcurve(source="3c111")
    assert set(table["src_name"]) == {"3C 111"}
    with pytest.raises(errors.ParameterError, match="'Crab', '3C 111'"):
        products.lightcurve(source="Vela")


# ---- made by hand: conventions and differences that no recording has


def made(columns, header=(), *, meta=None, source="X"):
    """A light curve product of these columns: name -> (values, unit)."""
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, "D", unit=unit, array=values) for name, (values, unit) in columns.items()], name="LC"
    )
    table.header.update(dict(header))
    hdulist = fits.HDUList([fits.PrimaryHDU(), table])
    entry = Entry("lc", "lightcurve", hdulist, lambda raw, what: raw, {"src_name": source, **(meta or {})})
    return Product(entry, f"lc {source}", source)


def form(*made_products):
    return Products(made_products).lightcurve()


def test_start_of_bin_is_shifted_to_the_centre():
    header = {"MJDREF": 51544.0, "TIMEUNIT": "d", "TIMEPIXR": 0.0, "TIMEDEL": 0.5, "TIMESYS": "TT"}
    table = form(made({"TIME": ([100.0, 100.5], "d"), "RATE": ([1.0, 2.0], "count/s")}, header))
    np.testing.assert_allclose(table["time"].mjd, [51644.25, 51644.75])
    assert table["time_bin"][0] == 43200


def test_timezero_and_split_reference():
    header = {"MJDREFI": 50000, "MJDREFF": 0.25, "TIMEUNIT": "s", "TIMEZERO": 43200.0, "TIMESYS": "TT", "TIMEDEL": 10}
    table = form(made({"TIME": ([0.0, 10.0], "s"), "RATE": ([1.0, 2.0], "count/s")}, header))
    np.testing.assert_allclose(table["time"].mjd, [50000.75, 50000.75 + 10 / 86400])
    assert set(table["time_bin"]) == {10}


def test_other_scales_become_tt():
    columns = {"TIME": ([58000.0], "d"), "RATE": ([1.0], "count/s")}
    assert form(made(columns, {"TIMESYS": "TDB"}))["time"].tdb.mjd == pytest.approx(58000, abs=1e-9)
    assert form(made(columns))["time"].utc.mjd == pytest.approx(58000, abs=1e-9)
    assert form(made({"TIME": ([10.0], "d")}, {"MJDREF": 51544.0}))["time"].tt.mjd == pytest.approx(51554, abs=1e-9)


def test_precision_is_better_than_a_microsecond():
    header = {"MJDREF": 51544.0, "TIMEUNIT": "s", "TIMEZERO": 542122022.9750003, "TIMESYS": "TT", "TIMEDEL": 0.05}
    table = form(made({"TIME": ([0.0, 1e-6], "s"), "RATE": ([1.0, 2.0], "count/s")}, header))
    assert (table["time"][1] - table["time"][0]).to_value(u.s) == pytest.approx(1e-6, rel=0.2)


def test_zeros_are_data_outside_of_integral():
    columns = {
        "TIME": ([1.0, 2.0, 3.0], "d"),
        "RATE": ([0.0, np.nan, 1.0], "count/s"),
        "ERROR": ([0.0, 1.0, np.nan], "count/s"),
    }
    elsewhere, integral = (form(made(columns, {"TELESCOP": name})) for name in ("FERMI", "INTEGRAL"))
    assert np.ma.getmaskarray(elsewhere["RATE"]).tolist() == [False, True, False]
    assert np.ma.getmaskarray(elsewhere["ERROR"]).tolist() == [False, True, True]
    assert np.ma.getmaskarray(integral["RATE"]).tolist() == [True, True, False]


def test_columns_that_differ_are_joined_outside():
    one = made({"TIME": ([1.0], "d"), "RATE": ([1.0], "count/s"), "EXTRA": ([7.0], "m")})
    other = made({"TIME": ([2.0], "d"), "RATE": ([60.0], "count/min")}, source="Y")
    table = form(one, other)
    assert table["RATE"].tolist() == [1.0, 1.0]
    assert table["EXTRA"].mask.tolist() == [False, True]
    assert table["EXTRA"].unit == u.m


def test_units_that_cannot_be_joined():
    one = made({"TIME": ([1.0], "d"), "RATE": ([1.0], "count/s")})
    other = made({"TIME": ([2.0], "d"), "RATE": ([60.0], "erg")}, source="Y")
    with pytest.raises(errors.ServiceError, match="query_product") as caught:
        form(one, other)
    assert len(caught.value.products) == 2


def test_told_columns_count():
    product = made({"T": ([58000.0], "d"), "N": ([np.nan], "count")}, meta={"time": "T", "rate": "N"})
    table = form(product)
    assert table["time"].utc.mjd == pytest.approx(58000, abs=1e-9)
    assert table["N"].mask.tolist() == [True]
    assert table.meta["VALUECOL"] == "N"


def test_a_curve_without_time():
    with pytest.raises(errors.DecodingError, match="no table with a column TIME"):
        form(made({"RATE": ([1.0], "count/s")}))


def test_hundreds_of_sources_in_a_second():
    rows = 1000
    columns = {
        "TIME": (np.arange(rows, dtype=float), "d"),
        "RATE": (np.ones(rows), "count/s"),
        "ERROR": (np.ones(rows), "count/s"),
    }
    table = form(*(made(columns, {"MJDREF": 51544.0}, source=f"S{number}") for number in range(200)))
    assert len(table) == 200 * rows
