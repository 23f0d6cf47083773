"""The form of query_lightcurve: one table with real times, whatever the convention."""

import contextlib
import io
import json
import time

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from astroquery.exceptions import CorruptDataWarning, InputWarning

from astroquery_mmoda import Products, ServiceError, errors, read_lightcurve, to_timeseries, write_lightcurve
from astroquery_mmoda.decoding import read_hdulist
from astroquery_mmoda.products.kinds import Entry
from astroquery_mmoda.products.product import Product
from tests.genuine_like import lightcurves as like
from tests.genuine_like.encode import reply

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
    entry = Entry("lc", "lightcurve", hdulist, lambda raw, what, allowance: raw, {"src_name": source, **(meta or {})})
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
        "TIME": ([58001.0, 58002.0, 58003.0], "d"),
        "RATE": ([0.0, np.nan, 1.0], "count/s"),
        "ERROR": ([0.0, 1.0, np.nan], "count/s"),
    }
    elsewhere, integral = (form(made(columns, {"TELESCOP": name})) for name in ("FERMI", "INTEGRAL"))
    assert np.ma.getmaskarray(elsewhere["RATE"]).tolist() == [False, True, False]
    assert np.ma.getmaskarray(elsewhere["ERROR"]).tolist() == [False, True, True]
    assert np.ma.getmaskarray(integral["RATE"]).tolist() == [True, True, False]


def test_columns_that_differ_are_joined_outside():
    one = made({"TIME": ([58001.0], "d"), "RATE": ([1.0], "count/s"), "EXTRA": ([7.0], "m")})
    other = made({"TIME": ([58002.0], "d"), "RATE": ([60.0], "count/min")}, source="Y")
    table = form(one, other)
    assert table["RATE"].tolist() == [1.0, 1.0]
    assert table["EXTRA"].mask.tolist() == [False, True]
    assert table["EXTRA"].unit == u.m


def test_units_that_cannot_be_joined():
    one = made({"TIME": ([58001.0], "d"), "RATE": ([1.0], "count/s")})
    other = made({"TIME": ([58002.0], "d"), "RATE": ([60.0], "erg")}, source="Y")
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


# ---- widths


REFERENCE = {"MJDREF": 51544.0, "TIMESYS": "TT"}


def of(*entries, source="Cyg X-1", **parameters):
    """The form of a reply with these products."""
    return Products.from_response(like.lightcurve_reply(*entries, source=source, **parameters)).lightcurve()


def test_widths_are_positive_or_masked():
    width = [0.01, -0.01, 0.0, np.nan, np.inf, 0.02]
    rate = np.arange(6.0)
    table = form(
        made({"TIME": (5000 + 0.1 * rate, "d"), "TIMEDEL": (width, "d"), "RATE": (rate, "count/s")}, REFERENCE)
    )
    assert table["time_bin"].mask.tolist() == [False, True, True, True, True, False]
    np.testing.assert_allclose(table["time_bin"].compressed(), [864, 1728])
    assert table["RATE"].tolist() == rate.tolist()


def test_two_bins_of_one_time():
    table = of(like.jemx())
    assert table["time_bin"].mask.tolist() == [False, False, False, True, False]
    np.testing.assert_allclose(table["time_bin"].compressed(), 864)
    assert table["time"][2] == table["time"][3]


def test_widths_that_only_one_column_has():
    columns = {"TIME": ([1.0, 2.0], "d"), "TIMEDEL": ([np.nan, 0.5], "d"), "XAX_E": ([0.125, np.nan], "d")}
    assert form(made(columns, REFERENCE))["time_bin"].tolist() == [0.25 * 86400, 0.5 * 86400]


@pytest.mark.parametrize("value", [-0.1, 0.0, "Real"])
def test_a_width_of_the_header_that_is_none(value):
    table = form(made({"TIME": ([6000.0, 6000.5], "d"), "RATE": ([1.0, 2.0], "ct/s")}, {**REFERENCE, "TIMEDEL": value}))
    assert table["time_bin"].mask.all()


@pytest.mark.parametrize(
    ("telescope", "name", "units", "expected"),
    [
        ("INTEGRAL", "RATE", (None, None), u.ct / u.s),
        ("INTEGRAL", "RATE", ("", " "), u.ct / u.s),
        ("INTEGRAL", "RATE", ("ct/ks", None), u.ct / u.ks),
        ("INTEGRAL", "FLUX", (None, None), None),
        ("SWIFT", "RATE", (None, None), None),
    ],
)
def test_rates_of_integral_that_lost_their_unit(telescope, name, units, expected):
    columns = {"TIME": ([6000.0, 6000.5], "d"), name: ([1.0, 2.0], units[0]), "ERROR": ([0.5, 0.5], units[1])}
    table = form(made(columns, {**REFERENCE, "TELESCOP": telescope}))
    assert table[name].unit == expected
    assert ("UNITWARN" in table.meta) == (expected == u.ct / u.s)


def test_centres_that_want_a_width():
    columns = {"TIME": ([6000.0, 6001.0], "d"), "TIMEDEL": ([0.5, -0.5], "d"), "RATE": ([1.0, 2.0], "ct/s")}
    with pytest.warns(CorruptDataWarning, match="TIME is not their centre"):
        table = form(made(columns, {**REFERENCE, "TIMEPIXR": 0.0}))
    np.testing.assert_allclose(table["time"].mjd, [57544.25, 57545.0])
    assert "not their centre" in table.meta["TIMEWARN"]


def test_rows_without_a_time_are_left_out():
    time = [6000.0, np.nan, np.inf, 1e300, 6001.0]
    columns = {"TIME": (time, "d"), "RATE": (np.arange(5.0), "ct/s"), "BARYTIME": (np.arange(5.0), "d")}
    with pytest.warns(CorruptDataWarning, match="'X': 3 of 5 rows have no valid time"):
        table = form(made(columns, REFERENCE))
    assert table["RATE"].tolist() == [0.0, 4.0]
    assert table["BARYTIME"].tolist() == [0.0, 4.0]
    assert not table["time"].masked
    with pytest.warns(CorruptDataWarning, match="2 of 2 rows"):
        assert len(form(made({"TIME": ([np.nan] * 2, "d"), "RATE": ([1.0] * 2, "ct/s")}, REFERENCE))) == 0


# ---- SPI-ACS


def test_spi_acs_bins_of_other_widths():
    per_bin = (2, 3, 1, 2, 2, 3, 1, 2)
    entry = like.spi_acs(per_bin)
    table = of(entry, source="GRB 230307A")
    assert table["time_bin"].tolist() == [count / 20 for count in per_bin]
    raw = read_hdulist(entry)[1]
    header, half = raw.header, np.asarray(table["time_bin"]) / 2
    reference = Time(51544, header["TSTART"] / 86400, format="mjd", scale="tt")
    seconds = (table["time"] - reference).to_value(u.s)
    assert seconds[0] - half[0] == pytest.approx(0, abs=2e-6)
    assert seconds[-1] + half[-1] == pytest.approx(header["TSTOP"] - header["TSTART"], abs=2e-6)
    np.testing.assert_allclose(seconds[1:] - half[1:], seconds[:-1] + half[:-1], rtol=0, atol=2e-6)
    assert table.meta["TSHIFT"] == pytest.approx(0.025, abs=1e-5)
    assert table.meta["EPHS"] == like.SPI_ACS_EPHS
    assert set(table["src_name"]) == {"GRB 230307A"}
    np.testing.assert_array_equal(table["RATE"], raw.data["RATE"])


def test_spi_acs_without_counts_or_poisson_errors():
    table = of(like.spi_acs((2,) * 400, level=0.02))
    empty = np.ma.getmaskarray(table["RATE"])
    assert empty.any()
    assert not empty.all()
    assert set(table["time_bin"]) == {0.1}
    # errors that are no Poisson errors say nothing of widths
    entry = like.spi_acs((2, 3, 1, 2))
    rate = read_hdulist(entry)[1].data
    columns = {"TIME": (rate["TIME"], "s"), "RATE": (rate["RATE"], "ct/s"), "ERROR": (1.2 * rate["ERROR"], "ct/s")}
    header = {key: value for key, value in read_hdulist(entry)[1].header.items() if key[:5] not in ("TTYPE", "TUNIT")}
    table = form(
        made(columns, {key: header[key] for key in ("TELESCOP", "INSTRUME", "TIMEDEL", *REFERENCE, "TIMEUNIT")})
    )
    assert set(table["time_bin"]) == {0.1}


@pytest.mark.parametrize("edges", [{"TSTART": 700000000.0}, {"TSTOP": 700000001.2}, {"TSTART": "Real"}])
def test_spi_acs_is_not_shifted_by_edges_that_disagree(edges):
    table = of(like.spi_acs(**edges))
    raw = read_hdulist(like.spi_acs())[1]
    assert "TSHIFT" not in table.meta
    seconds = (table["time"] - Time(51544, format="mjd", scale="tt")).to_value(u.s)
    np.testing.assert_allclose(seconds, raw.header["TIMEZERO"] + raw.data["TIME"], rtol=0, atol=3e-7)


def test_only_spi_acs_has_native_bins():
    assert set(of(like.spi_acs(INSTRUME="OTHER"))["time_bin"]) == {0.1}
    assert set(of(like.spi_acs(TELESCOP="KONUS"))["time_bin"]) == {0.1}


def test_bins_that_are_not_as_they_were_asked_for():
    entry = like.spi_acs((5, 5, 5, 6, 5))
    with pytest.warns(InputWarning, match=r"requested time bins of 0.3 s, got 0.25 s: .* multiple of 0.05 s"):
        of(entry, time_bin=0.3, time_bin_format="sec")
    of(entry, time_bin="0.25", time_bin_format="sec")
    of(entry, time_bin=0.25 / 86400, time_bin_format="jd")
    of(entry, time_bin=0.3, query_type="Dummy")
    of(like.isgri(), time_bin=1000.0)


# ---- time systems


def test_times_in_tdb_stay_so():
    table = of(like.jemx(TIMESYS="TDB", TIMEREF="SOLARSYSTEM"))
    assert (table["time"].scale, table.meta["TIMEREF"]) == ("tdb", "SOLARSYSTEM")
    np.testing.assert_allclose(table["time"].mjd, 51544 + np.array([5000, 5000.02, 5000.04, 5000.04, 5000.06]))
    assert table.meta["MJDREF"] == 51544.0
    assert table["BARYTIME"].unit == u.d
    assert "TIMEWARN" not in table.meta


def test_unknown_systems():
    with pytest.warns(CorruptDataWarning, match="TIMESYS STARDATE unknown: TT assumed"):
        table = of(like.jemx(TIMESYS="STARDATE"))
    assert table["time"][0].tt.mjd == 56544
    assert "STARDATE" in table.meta["TIMEWARN"]


@pytest.mark.parametrize(("system", "scale"), [("TT(TAI)", "tt"), ("ET", "tt"), ("IAT", "tai"), ("GMT", "utc")])
def test_names_that_only_fits_has(system, scale):
    table = of(like.jemx(TIMESYS=system))
    assert getattr(table["time"][0], scale).mjd == pytest.approx(56544, abs=1e-9)
    assert "TIMEWARN" not in table.meta


def test_ut1_wants_no_table_from_the_network():
    with pytest.warns(CorruptDataWarning, match="UT1 unknown"):
        of(like.jemx(TIMESYS="UT1"))


@pytest.mark.parametrize("system", ["String", "", None])
def test_systems_that_nobody_filled_in(system):
    table = of(like.jemx(TIMESYS=system))
    assert table["time"][0].tt.mjd == 56544
    assert table.meta["TIMEWARN"] == "no TIMESYS: TT assumed"


def test_zero_in_two_parts():
    base = {"MJDREFI": 56000, "MJDREFF": 0.0007, "TIMEUNIT": "s", "TIMESYS": "TT", "TIMEDEL": 10.0}
    columns = {"TIME": ([0.25, 10.25], "s"), "RATE": ([1.0, 2.0], "count/s")}
    expected = Time(56000, 0.0007 + (90061.5 + 0.25) / 86400, format="mjd", scale="tt")
    for zero in ({"TIMEZERO": 90061.5}, {"TIMEZERI": 90061, "TIMEZERF": 0.5}, {"TIMEZERI": 90061.5}):
        table = form(made(columns, {**base, **zero}))
        assert abs((table["time"][0] - expected).to_value(u.s)) < 1e-7


def test_origins_that_differ():
    columns = {"TIME": ([1.0], "d"), "TSTART": ([43200.0], "s"), "RATE": ([1.0], "ct/s")}
    later = made({**columns, "TIME": ([0.5], "d")}, {"MJDREF": 58000.5, "TIMESYS": "TT"}, source="Y")
    with pytest.raises(ServiceError, match="different MJDREF"):
        form(made(columns, {"MJDREF": 58000.0, "TIMESYS": "TT"}), later)


# ---- times without a reference


def test_polar():
    with pytest.warns(CorruptDataWarning, match="Unix seconds"):
        table = of(like.polar(), source="GRB 161010A")
    assert table.colnames == [*FIXED, "rate", "rate_err"]
    np.testing.assert_allclose(table["time"].unix, 1.476e9 + 0.5 * np.arange(40), rtol=0, atol=1e-6)
    assert set(table["time_bin"]) == {0.5}
    assert (table["time"].scale, table["src_name"][0]) == ("tt", "GRB 161010A")
    assert (table.meta["VALUECOL"], table.meta["ERRORCOL"]) == ("rate", "rate_err")
    assert table.meta["TIMEWARN"] == "no time reference: Unix seconds (UTC) assumed"


def test_a_width_of_the_metadata_must_not_make_bins_overlap():
    with pytest.warns(CorruptDataWarning, match="Unix"):
        assert of(like.polar(time_bin=30.0))["time_bin"].mask.all()
    with pytest.warns(CorruptDataWarning, match="Unix"):
        assert of(like.polar(time_bin=None))["time_bin"].mask.all()


@pytest.mark.parametrize(
    ("times", "unit", "mjd", "words"),
    [
        ([58000.0, 58000.5], None, 58000.0, "no TIMESYS: UTC assumed"),
        ([58000.0, 58000.5], "d", 58000.0, "no TIMESYS: UTC assumed"),
        ([1504483200.0, 1504483300.0], "s", 58000.0, "no time reference: Unix seconds (UTC) assumed"),
        ([1504483200000.0, 1504483201000.0], "ms", 58000.0, "no time reference: Unix seconds (UTC) assumed"),
        ([5011200000.0, 5011200100.0], "s", 58000.0, "no TIMESYS: UTC assumed"),
    ],
)
def test_numbers_decide(times, unit, mjd, words):
    product = made({"TIME": (times, unit), "RATE": ([1.0, 2.0], "ct/s")})
    with pytest.warns(CorruptDataWarning, match="no time ref") if "ref" in words else contextlib.nullcontext():
        table = form(product)
    assert table["time"][0].utc.mjd == pytest.approx(mjd, abs=1e-9)
    assert table.meta["TIMEWARN"] == words


def test_numbers_that_decide_nothing_are_mjd():
    with pytest.warns(CorruptDataWarning, match="MJD assumed"):
        table = form(made({"TIME": ([3.0, 4.0], "d"), "RATE": ([1.0, 2.0], "ct/s")}))
    assert table["time"][0].tt.mjd == pytest.approx(3, abs=1e-3)
    assert table.meta["TIMEWARN"] == "no time reference: MJD assumed; no TIMESYS: UTC assumed"


@pytest.mark.parametrize("number", [1e17, -1e17, 1e300])
def test_numbers_that_are_no_time_at_all(number):
    with pytest.warns(CorruptDataWarning, match="have no valid time|MJD assumed"):
        assert len(form(made({"TIME": ([number, number], "d"), "RATE": ([1.0, 2.0], "ct/s")}))) == 0


def test_words_of_a_table_mark_a_light_curve():
    words = json.dumps({"time": "t", "rate": "flux", "rate_err": "e"})
    text = Table({"t": [58000.0, 58001.0] * u.d, "flux": [1.0, 2.0] * u.mJy, "e": [0.1, 0.1] * u.mJy})
    buffer = io.StringIO()
    text.write(buffer, format="ascii.ecsv")
    entry = {"name": "something", "ascii": buffer.getvalue(), "meta_data": words}
    products = Products.from_response(reply(src_name="Z", more={"astropy_table_product_ascii_list": [entry]}))
    assert products.table["kind", "content"].as_array().tolist() == [("lightcurve", "2 bins")]
    table = products.lightcurve()
    assert table.colnames == [*FIXED, "flux", "e"]
    assert table["flux"].unit == u.mJy
    np.testing.assert_allclose(table["time"].utc.mjd, [58000, 58001])


def test_words_are_stronger_than_names(tmp_path):
    entry = like.polar() | {"name": "spectrum"}
    products = Products.from_response(like.lightcurve_reply(entry, prod_uris={"spectrum": "x#Image"}))
    assert products[0].kind == "lightcurve"
    with pytest.warns(CorruptDataWarning, match="Unix"):
        products.write(tmp_path / "out")
    again = Products.read(tmp_path / "out")
    with pytest.warns(CorruptDataWarning, match="Unix"):
        assert len(again.lightcurve()) == 40


# ---- units, cards


@pytest.mark.parametrize("text", ["counts/s", "cts/s", "counts/sec", "Counts/sec", "count/s"])
def test_spellings_of_rates(text):
    table = form(made({"TIME": ([6000.0], "sec"), "RATE": ([5.0], text)}, {**REFERENCE, "TIMEUNIT": "sec"}))
    assert table["RATE"].unit == u.ct / u.s
    assert table["time"].mjd[0] == pytest.approx(51544 + 6000 / 86400)


def test_units_that_would_take_long(tmp_path):
    begin = time.process_time()
    hostile = "10**9999999 m"
    entry = like.isgri(EUNIT=hostile)
    entry["data_unit_list"][1]["units_dict"] = {"RATE": hostile, "ERROR": hostile, "TIME": "d"}
    table = of(entry)
    assert isinstance(table["RATE"].unit, u.UnrecognizedUnit)
    assert table["e_min"].mask.all()
    table.write(tmp_path / "lc.ecsv")
    Table.read(tmp_path / "lc.ecsv")
    read_lightcurve(write_lightcurve(table, tmp_path / "lc.fits"))
    assert time.process_time() - begin < 5


def test_the_unit_of_a_band():
    table = of(like.isgri(EUNIT="MeV", E_MIN=0.025, E_MAX=0.06))
    assert (table["e_min"][0], table["e_max"][0]) == (25.0, 60.0)
    assert of(like.isgri(EUNIT="furlong"))["e_min"].mask.all()
    assert of(like.isgri(E_MIN="Real"))["e_min"].mask.all()


def test_words_of_templates_are_missing():
    table = of(like.jemx(source="String"), source="4U 1700-377")
    assert set(table["src_name"]) == {"4U 1700-377"}
    assert not {"DETNAM", "FILTER"} & set(table.meta)
    assert set(of(like.jemx(source="UNKNOWN"), source="V")["src_name"]) == {"V"}


def test_positions_of_one_and_of_several_sources(tmp_path):
    one = of(like.jemx())
    assert (one.meta["RA_OBJ"], one.meta["DEC_OBJ"]) == (299.59, 35.2)
    assert of(like.jemx(), like.jemx(source="Y")).meta["RA_OBJ"] == 299.59
    both = of(
        like.jemx(), like.jemx(source="Q'Y & Z", RA_OBJ=10.5, DEC_OBJ=-2.25), like.jemx(source="W", RA_OBJ="Real")
    )
    assert "RA_OBJ" not in both.meta
    assert json.loads(both.meta["OBJ_POS"]) == {"Cyg X-1": [299.59, 35.2], "Q'Y & Z": [10.5, -2.25]}
    assert to_timeseries(both, "Q'Y & Z").meta["DEC_OBJ"] == -2.25
    path = write_lightcurve(both, tmp_path / "lc.fits")
    assert [fits.getheader(path, ("RATE", number)).get("RA_OBJ") for number in (1, 2, 3)] == [299.59, 10.5, None]
    assert dict(read_lightcurve(path).meta) == dict(both.meta)


def test_genuine_like_isgri():
    entry = like.isgri()
    table, raw = of(entry), read_hdulist(entry)[1].data
    assert table.colnames == [*FIXED, "TOT_COUNTS", "BACKV", "BACKE", "RATE", "ERROR", "FRACEXP"]
    np.testing.assert_allclose(table["time"].mjd - 51544, raw["TIME"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(table["time_bin"], 2 * 86400.0 * raw["XAX_E"])
    assert not isinstance(table["time_bin"], MaskedColumn)
    assert (table["e_min"][0], table["e_max"][0]) == (25.0, 60.0)
    assert table.meta["DETNAM"] == "ISGRI"


def test_widths_that_the_server_appended():
    columns = {"TIME": [2000.0, 2000.01, 2000.013, 2000.05], "RATE": [1.0, 2.0, 3.0, 4.0]}
    hdu = like.table(columns, like.integral_header(INSTRUME="JMX1", TIMEDEL=0.01), "JMX1-SRC.-LCR")
    entry = like.with_appended_widths(fits.HDUList([fits.PrimaryHDU(), hdu]), "jemx_lc", "Cyg X-1")
    table = of(entry)
    np.testing.assert_allclose(table["time_bin"].compressed(), [864, 864, 864])
    assert table["time_bin"].mask.tolist() == [False, False, True, False]
