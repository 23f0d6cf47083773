"""Light curves that the genuine service sent, against the FITS files that they were made of, value by value."""

import gzip
import io

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.fits.scripts import fitscheck
from astropy.table import Table
from astropy.time import Time
from astropy.timeseries import BinnedTimeSeries, TimeSeries

from astroquery_mmoda import Products, read_lightcurve, to_timeseries, write_lightcurve
from tests.genuine_like import lightcurves as like

FIXED = ["src_name", "time", "time_bin", "e_min", "e_max"]
DROPPED = {"TIME", "XAX_E", "TIMEDEL"}
REPLIES = {
    "isgri_lc": ["IBIS_lc_GRB221009A.fits"],
    "jemx_lc": ["JMX1_lc_GRB221009A.fits", "JMX1_lc_SGR_1935p2154.fits"],
    "spi_acs_lc": ["spiacs_lc_query-3.1.fits"],
}
FILES = [*(name for names in REPLIES.values() for name in names), "jemx_query_lc.fits.gz"]
# of GRB 230307A, in UTC; before it, bins of SPI-ACS have background only
ONSET = Time("2023-03-07T15:44:07.1")


def rows_of(hdulist):
    """The table with the light curve, its times (MJD, TT) and full widths (s) as its header tells."""
    hdu = next(hdu for hdu in hdulist if isinstance(hdu, fits.BinTableHDU) and "TIME" in hdu.columns.names)
    header, data = hdu.header, hdu.data
    length = {"d": 1.0, "s": 86400.0}[header["TIMEUNIT"]]
    time = Time(header["MJDREF"], (data["TIME"] + header.get("TIMEZERO", 0.0)) / length, format="mjd", scale="tt")
    if "TIMEDEL" in data.names:
        width = data["TIMEDEL"] * 86400.0
    else:
        width = np.full(len(data), header["TIMEDEL"] * 86400.0 / length)
    return hdu, time, width


@pytest.fixture(scope="module")
def opened(genuine):
    """Function that opens a genuine file by name."""
    lists = {}

    def open_file(name):
        if name not in lists:
            with fits.open(genuine / name) as hdulist:
                lists[name] = fits.HDUList([hdu.copy() for hdu in hdulist])
        return lists[name]

    return open_file


@pytest.fixture(scope="module")
def replied(genuine):
    """Function that gives the products of a genuine reply by name."""
    return lambda name: Products.from_response(gzip.decompress((genuine / f"replies/{name}.json.gz").read_bytes()))


@pytest.fixture
def encoded(opened):
    """Function that gives the products of a genuine file in the service's encoding."""

    def encode(name):
        hdulist, source = opened(name), "Crab" if "query_lc" in name else "GRB 1"
        if name == "jemx_query_lc.fits.gz":
            entry = like.with_appended_widths(hdulist, "jemx_lc", rows_of(hdulist)[0].header["NAME"])
        else:
            entry = like.encode(hdulist, name="lc", meta={"src_name": "query", **like.WORDS})
        return Products.from_response(like.lightcurve_reply(entry, source=source))

    return encode


def assert_is(table, hdulist, *, shift=0.0):
    """Compare a table with the file; SPI-ACS has its own widths."""
    hdu, time, width = rows_of(hdulist)
    assert len(table) == len(hdu.data)
    assert table.colnames == [*FIXED, *(name for name in hdu.columns.names if name not in DROPPED)]
    assert table["time"].scale == hdu.header["TIMESYS"].lower()
    np.testing.assert_allclose((table["time"] - time).to_value(u.s), shift, rtol=0, atol=1e-6)
    if hdu.header["INSTRUME"] != "SPI-ACS":
        known = ~np.ma.getmaskarray(table["time_bin"])
        np.testing.assert_array_equal(known, width > 0)
        np.testing.assert_allclose(np.asarray(table["time_bin"])[known], width[known], rtol=2e-7)
        assert set(table["e_min"]) == {hdu.header["E_MIN"]}
        assert set(table["e_max"]) == {hdu.header["E_MAX"]}
    for name in table.colnames[5:]:
        np.testing.assert_array_equal(np.ma.getdata(table[name]), hdu.data[name])
        assert not np.ma.is_masked(table[name])
        unit = hdu.columns[name].unit or {"BARYTIME": "d", "RATE": "ct/s", "ERROR": "ct/s"}.get(name)
        assert table[name].unit == (None if unit is None else u.Unit(unit))
    for key in ("TELESCOP", "INSTRUME", "TIMEREF", "EPHS", "RA_OBJ", "DEC_OBJ"):
        assert table.meta.get(key) == hdu.header.get(key)
    assert table.meta.get("MJDREF") == (51544.0 if "BARYTIME" in table.colnames else None)
    assert "TIMEWARN" not in table.meta
    assert ("UNITWARN" in table.meta) == (hdu.columns["RATE"].unit is None)


@pytest.mark.parametrize("name", REPLIES)
def test_replies_are_their_files(replied, opened, name):
    products = replied(name)
    assert len(products) == len(REPLIES[name])
    for product, file in zip(products, REPLIES[name], strict=True):
        assert product.kind == "lightcurve"
        table = products.lightcurve(product.source) if len(products) > 1 else products.lightcurve()
        assert_is(table, opened(file), shift=table.meta.get("TSHIFT", 0.0))
    whole = products.lightcurve()
    assert len(whole) == sum(len(rows_of(opened(file))[0].data) for file in REPLIES[name])


@pytest.mark.parametrize("name", FILES)
def test_files_in_the_encoding_of_the_service(encoded, opened, name):
    table = encoded(name).lightcurve()
    assert_is(table, opened(name), shift=table.meta.get("TSHIFT", 0.0))
    # NAME is a word of the template there
    assert set(table["src_name"]) == {"Crab" if "query_lc" in name else "GRB 1"}


@pytest.mark.parametrize("name", FILES)
def test_files_that_we_write(encoded, tmp_path, name):
    table = encoded(name).lightcurve()
    path = write_lightcurve(table, tmp_path / "lc.fits")
    assert fitscheck.main([str(path)]) == 0
    again = read_lightcurve(path)
    assert again.colnames == table.colnames
    assert dict(again.meta) == dict(table.meta)
    assert abs((again["time"] - table["time"]).to_value(u.s)).max() < 2e-7
    for column in table.colnames[2:]:
        np.testing.assert_array_equal(np.ma.getmaskarray(again[column]), np.ma.getmaskarray(table[column]))
        np.testing.assert_array_equal(np.ma.compressed(again[column]), np.ma.compressed(table[column]))
        assert again[column].unit == table[column].unit
    with fits.open(path) as hdulist:
        header, good = hdulist["RATE"].header, hdulist["GTI"].data
        assert (good["STOP"] > good["START"]).all()
        assert (good["START"][1:] > good["STOP"][:-1]).all()
        known = ~np.ma.getmaskarray(table["time_bin"])
        # bins of ISGRI overlap by parts of a second
        np.testing.assert_allclose(np.sum(good["STOP"] - good["START"]), np.sum(table["time_bin"][known]), rtol=2e-3)
        np.testing.assert_allclose(
            header["MJDREFI"] + header["MJDREFF"] + hdulist["RATE"].data["TIME"] / 86400, table["time"].mjd, rtol=1e-15
        )
        assert header["HDUCLAS2"] == ("TOTAL" if table.meta["INSTRUME"] == "SPI-ACS" else "NET")
        assert header["HDUCLAS3"] == "RATE"
        assert (header["TIMESYS"], header["TIMEREF"]) == ("TT", "LOCAL")
        for key in ("EPHS", "RA_OBJ", "DEC_OBJ"):
            assert header.get(key) == table.meta.get(key)
        if "BARYTIME" in table.colnames:
            assert header["MJDREFI"] == 51544


@pytest.mark.parametrize("name", FILES)
def test_series(encoded, name):
    table = encoded(name).lightcurve()
    series = to_timeseries(table)
    if np.ma.is_masked(table["time_bin"]):
        assert type(series) is TimeSeries
        assert (series["time_bin"].unmasked[~series["time_bin"].mask] > 0 * u.s).all()
        centre = series.time
    else:
        assert type(series) is BinnedTimeSeries
        assert (series.time_bin_size > 0 * u.s).all()
        centre = series.time_bin_center
    assert abs((centre - table["time"]).to_value(u.s)).max() < 1e-6
    np.testing.assert_array_equal(np.asarray(getattr(series["RATE"], "value", series["RATE"])), table["RATE"])


@pytest.mark.parametrize("name", FILES)
def test_pictures(encoded, name):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    from astroquery_mmoda.plotting import plot_lightcurve

    figure, axes = pyplot.subplots()
    plot_lightcurve(encoded(name).lightcurve(), ax=axes)
    low, high = axes.get_ylim()
    axes.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, dpi=50)
    pyplot.close(figure)
    file.seek(0)
    assert np.isfinite([low, high]).all()
    assert (pyplot.imread(file)[..., :3] < 0.9).any(axis=2).sum() > 200


@pytest.mark.parametrize("name", REPLIES)
def test_products_on_disk(replied, tmp_path, name):
    products = replied(name)
    products.write(tmp_path / "out")
    again = Products.read(tmp_path / "out").lightcurve()
    table = products.lightcurve()
    assert again.colnames == table.colnames
    for column in table.colnames[2:]:
        np.testing.assert_array_equal(np.ma.compressed(again[column]), np.ma.compressed(table[column]))
    assert abs((again["time"] - table["time"]).to_value(u.s)).max() < 1e-7


@pytest.mark.parametrize("name", REPLIES)
def test_ecsv(replied, tmp_path, name):
    table = replied(name).lightcurve()
    table.write(tmp_path / "lc.ecsv")
    again = Table.read(tmp_path / "lc.ecsv")
    assert dict(again.meta) == dict(table.meta)
    np.testing.assert_array_equal(np.ma.compressed(again["time_bin"]), np.ma.compressed(table["time_bin"]))


# ---- numbers


def test_two_rows_of_one_time(replied, opened):
    table = replied("jemx_lc").lightcurve("GRB221009A")
    width = rows_of(opened("JMX1_lc_GRB221009A.fits"))[2]
    assert np.ma.getmaskarray(table["time_bin"]).tolist() == (width < 0).tolist()
    (row,) = np.flatnonzero(width < 0)
    assert width[row] == pytest.approx(-0.01157407 * 86400)
    assert table["time"][row] == table["time"][row - 1]
    assert (table["time_bin"].compressed() > 0).all()


def test_several_sources(replied, tmp_path):
    table = replied("jemx_lc").lightcurve()
    path = write_lightcurve(table, tmp_path / "lc.fits")
    headers = [fits.getheader(path, ("RATE", number)) for number in (1, 2)]
    assert [header["RA_OBJ"] for header in headers] == [288.2643, 293.732]
    assert [header["DEC_OBJ"] for header in headers] == [19.77308, 21.89672]
    assert dict(read_lightcurve(path).meta) == dict(table.meta)


def test_the_burst(replied, opened):
    table = replied("spi_acs_lc").lightcurve()
    hdu, time, _ = rows_of(opened("spiacs_lc_query-3.1.fits"))
    header = hdu.header
    widths, counts = np.unique(table["time_bin"], return_counts=True)
    assert widths.tolist() == [0.05, 0.1, 0.15]
    assert counts.tolist() == [4, 5392, 4]
    seconds = (table["time"] - Time(header["MJDREF"], format="mjd", scale="tt")).to_value(u.s)
    half = np.asarray(table["time_bin"]) / 2
    assert seconds[0] - half[0] == pytest.approx(header["TSTART"], abs=2e-6)
    assert seconds[-1] + half[-1] == pytest.approx(header["TSTOP"], abs=2e-6)
    np.testing.assert_allclose(seconds[1:] - half[1:], (seconds + half)[:-1], rtol=0, atol=4e-6)
    assert table.meta["TSHIFT"] == pytest.approx(0.025, abs=1e-6)
    first = np.argmax(np.asarray(table["RATE"]) > 1.1e5)
    start = table["time"][first] - half[first] * u.s
    assert abs((start - ONSET).to_value(u.s)) < 0.01


def test_the_rate_before_the_burst(replied):
    """It is background, and scatters more than its Poisson errors say; the documentation gives both numbers."""
    table = replied("spi_acs_lc").lightcurve()
    before = table[table["time"] < ONSET - 1 * u.s]
    rate, error = np.asarray(before["RATE"]), np.asarray(before["ERROR"])
    assert np.mean(rate) == pytest.approx(91000, rel=0.01)
    assert np.std((rate - np.mean(rate)) / error) == pytest.approx(1.18, abs=0.01)


def test_one_good_time_interval(replied, tmp_path):
    path = write_lightcurve(replied("spi_acs_lc").lightcurve(), tmp_path / "lc.fits")
    good, header = fits.getdata(path, "GTI"), fits.getheader(path, "RATE")
    assert (good["START"].tolist(), good["STOP"].tolist()) == ([header["TSTART"]], [header["TSTOP"]])
    assert header["TSTOP"] - header["TSTART"] == pytest.approx(540.0003352, abs=1e-5)
