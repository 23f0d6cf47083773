"""Light curves for other tools: astropy's time series and OGIP files."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.timeseries import BinnedTimeSeries, LombScargle, TimeSeries

from astroquery_mmoda import DecodingError, ParameterError, Products, read_lightcurve, to_timeseries, write_lightcurve
from tests.local_mmoda import sky

RECORDED = ["isgri_lc_real", "spi_acs_lc_real", "jemx_lc_dummy", "nb_lightcurve_4_done", "isgri_lc_empty"]


@pytest.fixture
def curve(recorded):
    return lambda name: Products.from_response(recorded(name)).lightcurve()


def assert_same(one, other):
    assert one.colnames == other.colnames
    assert dict(one.meta) == dict(other.meta)
    for name in one.colnames:
        if name == "time":
            assert abs((one[name] - other[name]).to_value(u.s)).max(initial=0) < 1e-7
            assert other[name].scale == "tt"
            continue
        first, second = one[name], other[name]
        assert (first.dtype.kind, type(first)) == (second.dtype.kind, type(second)), name
        assert first.unit == second.unit
        mask = np.ma.getmaskarray(first)
        np.testing.assert_array_equal(mask, np.ma.getmaskarray(second))
        np.testing.assert_array_equal(np.asarray(first)[~mask], np.asarray(second)[~mask])


@pytest.mark.parametrize("name", RECORDED)
def test_a_file_gives_the_same_table(curve, tmp_path, name):
    table = curve(name)
    path = write_lightcurve(table, tmp_path / "lc.fits")
    again = read_lightcurve(path)
    if len(table):
        assert_same(table, again)
    else:
        assert again.colnames == table.colnames


def test_headers_are_those_of_the_convention(curve, tmp_path):
    table = curve("isgri_lc_real")
    path = write_lightcurve(table, tmp_path / "lc.fits")
    with fits.open(path, checksum=True) as hdulist:
        hdulist.verify("exception")
        assert [(hdu.name, hdu.ver) for hdu in hdulist] == [
            ("PRIMARY", 1),
            ("RATE", 1),
            ("GTI", 1),
            ("RATE", 2),
            ("GTI", 2),
        ]
        header = hdulist["RATE", 1].header
        assert (header["HDUCLASS"], header["HDUCLAS1"], header["HDUCLAS3"]) == ("OGIP", "LIGHTCURVE", "RATE")
        assert (header["TIMESYS"], header["TIMEUNIT"], header["OBJECT"]) == ("TT", "s", "Crab")
        assert header["TIMEDEL"] == pytest.approx(100)
        first = Time(header["MJDREFI"], header["MJDREFF"], format="mjd", scale="tt") + header["TSTART"] * u.s
        assert abs((first - table["time"][0]).to_value(u.s) + 50) < 1e-6
        good = hdulist["GTI", 1].data
        assert (good["STOP"] > good["START"]).all()
        with_data = (~np.ma.getmaskarray(table["RATE"][:60])).sum() * 100
        assert np.sum(good["STOP"] - good["START"]) == pytest.approx(with_data)


def test_one_source_and_existing_files(curve, tmp_path):
    table = curve("isgri_lc_real")
    path = write_lightcurve(table, tmp_path / "lc.fits", source="3c111")
    assert set(read_lightcurve(path)["src_name"]) == {"3C 111"}
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_lightcurve(table, path)
    write_lightcurve(table, path, overwrite=True)
    assert len(read_lightcurve(path)) == len(table)
    with pytest.raises(ParameterError, match="'Crab', '3C 111'"):
        write_lightcurve(table, path, source="Vela", overwrite=True)


def test_names_beyond_ascii_come_back(curve, tmp_path):
    table = curve("spi_acs_lc_real")
    table["src_name"] = "γ Cas"
    path = write_lightcurve(table, tmp_path / "lc.fits")
    assert fits.getheader(path, "RATE")["OBJECT"] == "gamma Cas"
    assert set(read_lightcurve(path)["src_name"]) == {"γ Cas"}


def test_other_files_are_refused(tmp_path):
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "empty.fits")
    with pytest.raises(DecodingError, match="no extension RATE"):
        read_lightcurve(tmp_path / "empty.fits")
    with pytest.raises(ParameterError, match="no light curve"):
        write_lightcurve(Table({"a": [1]}), tmp_path / "x.fits")


def test_binned_series(curve):
    table = curve("isgri_lc_real")
    series = to_timeseries(table, "crab")
    assert isinstance(series, BinnedTimeSeries)
    assert len(series) == 60
    assert series.meta["SRC_NAME"] == "Crab"
    np.testing.assert_allclose(series.time_bin_center.mjd, table["time"].mjd[:60], rtol=0, atol=1e-9)
    assert series["RATE"].unit == u.ct / u.s
    with pytest.raises(ParameterError, match="one source has to be named"):
        to_timeseries(table)


def test_series_without_bins(curve):
    series = to_timeseries(curve("nb_lightcurve_4_done"))
    assert type(series) is TimeSeries
    assert series.time.scale == "tt"


def test_the_period_of_the_local_source_comes_back(mmoda):
    bright = sky.source("MAXI J1820+070")
    table = mmoda.query_lightcurve(
        "isgri", bright.name, radius=2 * u.deg, time_range=(58193, 58213), max_pointings=50, time_bin=1000 * u.s
    )
    rows = table[(table["src_name"] == bright.name) & ~np.ma.getmaskarray(table["RATE"])]
    periodogram = LombScargle(rows["time"].mjd, np.asarray(rows["RATE"]), np.asarray(rows["ERROR"]))
    frequency = np.linspace(3.5, 4.5, 5000)
    best = 1 / frequency[np.argmax(periodogram.power(frequency))]
    assert best == pytest.approx(bright.variability.period, rel=0.005)
