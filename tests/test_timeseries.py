"""Light curves for other tools: astropy's time series and OGIP files."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.fits.scripts import fitscheck
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from astropy.timeseries import BinnedTimeSeries, LombScargle, TimeSeries

from astroquery_mmoda import DecodingError, ParameterError, Products, read_lightcurve, to_timeseries, write_lightcurve
from tests.local_mmoda import sky

RECORDED = ["isgri_lc_real", "spi_acs_lc_real", "jemx_lc_dummy", "nb_lightcurve_4_done", "isgri_lc_empty"]


@pytest.fixture
def curve(recorded):
    return lambda name: Products.from_response(recorded(name)).lightcurve()


def assert_same(one, other, *, seconds=1e-7):
    assert one.colnames == other.colnames
    assert dict(one.meta) == dict(other.meta)
    for name in one.colnames:
        if name == "time":
            assert abs((one[name] - other[name]).to_value(u.s)).max(initial=0) < seconds
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


@pytest.mark.parametrize("name", RECORDED)
def test_ecsv_gives_the_same_table(curve, tmp_path, name):
    table = curve(name)
    table.write(tmp_path / "lc.ecsv")
    again = Table.read(tmp_path / "lc.ecsv")
    # there, a time is one number
    assert_same(table, again, seconds=1e-6)
    np.testing.assert_array_equal(again["time"].mjd, table["time"].mjd)


@pytest.mark.parametrize("name", RECORDED)
def test_all_extensions_tell_when_it_was(curve, tmp_path, name):
    table = curve(name)
    path = write_lightcurve(table, tmp_path / "lc.fits")
    assert fitscheck.main([str(path)]) == 0
    with fits.open(path) as hdulist:
        for hdu in hdulist:
            header = hdu.header
            assert [header[key] for key in ("TIMESYS", "TIMEUNIT", "TIMEREF")] == ["TT", "s", "LOCAL"]
            if not len(table):
                continue
            assert header["TSTART"] >= 0
            reference = Time(header["MJDREFI"], header["MJDREFF"], format="mjd", scale="tt")
            for date, seconds in (("DATE-OBS", "TSTART"), ("DATE-END", "TSTOP")):
                assert abs((Time(header[date], scale="tt") - reference).to_value(u.s) - header[seconds]) < 1e-3
            assert header.get("TELESCOP") == table.meta.get("TELESCOP")
        assert "TIMEDEL" in hdulist["RATE"].header or np.ma.getmaskarray(table["time_bin"]).all()


def test_a_bin_that_begins_the_day_before(curve, tmp_path):
    table = curve("spi_acs_lc_real")[:3]
    table["time"] = Time([58000.0001, 58000.0101, 58000.0201], format="mjd", scale="tt")
    table["time_bin"] = [100, 100, 100] * u.s
    path = write_lightcurve(table, tmp_path / "lc.fits")
    header = fits.getheader(path, "RATE")
    assert (header["MJDREFI"], header["DATE-OBS"]) == (57999, "2017-09-03T23:59:18.640")
    assert header["TSTART"] == pytest.approx(86400 + 8.64 - 50)
    assert_same(table, read_lightcurve(path))


def test_widths_that_differ_are_a_column(curve, tmp_path):
    table = curve("jemx_lc_dummy")
    path = write_lightcurve(table, tmp_path / "lc.fits")
    with fits.open(path) as hdulist:
        np.testing.assert_array_equal(hdulist["RATE"].data["TIMEDEL"], table["time_bin"])
        # for tools that know the keyword only
        assert hdulist["RATE"].header["TIMEDEL"] == pytest.approx(20)
        assert hdulist["RATE"].columns["RATE"].unit == "count/s"


def test_good_times_of_points(curve, tmp_path):
    table = curve("nb_lightcurve_4_done")
    path = write_lightcurve(table, tmp_path / "lc.fits")
    times, good = fits.getdata(path, "RATE")["TIME"], fits.getdata(path, "GTI")
    # one of them has no value
    assert np.flatnonzero(table["FLUX"].mask).tolist() == [3]
    assert (good["START"].tolist(), good["STOP"].tolist()) == ([times[0], times[4]], [times[2], times[-1]])


@pytest.mark.parametrize(("value", "stored"), [("RATE", "EXPFRAC"), ("COUNTS", "FRACEXP")])
def test_rates_are_not_corrected_twice(curve, tmp_path, value, stored):
    table = curve("jemx_lc_dummy")
    table.rename_column("RATE", value)
    table.meta["VALUECOL"] = value
    table["FRACEXP"] = MaskedColumn(table["FRACEXP"], mask=np.arange(len(table)) == 3)
    path = write_lightcurve(table, tmp_path / "lc.fits")
    names = fits.getdata(path, "RATE").names
    assert {"FRACEXP", "EXPFRAC"} & set(names) == {stored}
    assert_same(table, read_lightcurve(path))
    table.rename_column("BRATE", "EXPFRAC")
    assert_same(table, read_lightcurve(write_lightcurve(table, path, overwrite=True)))
    del table["FRACEXP"]
    assert_same(table, read_lightcurve(write_lightcurve(table, path, overwrite=True)))


def test_meta_does_not_replace_what_the_file_needs(curve, tmp_path):
    table = curve("spi_acs_lc_real")
    table.meta.update(TIMEZERO=5.0, MJDREFI=40000, NOTE="kept", VALUE=float("nan"))
    again = read_lightcurve(write_lightcurve(table, tmp_path / "lc.fits"))
    assert abs((again["time"] - table["time"]).to_value(u.s)).max() < 1e-7
    assert again.meta["NOTE"] == "kept"
    assert not {"TIMEZERO", "MJDREFI", "VALUE"} & set(again.meta)


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
    # for tools that know no masks
    gaps = np.ma.getmaskarray(table["RATE"][:60])
    assert gaps.any()
    np.testing.assert_array_equal(series["RATE"].mask, gaps)
    assert np.isnan(series["RATE"].unmasked[gaps]).all()
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
