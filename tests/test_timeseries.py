"""Light curves for other tools: astropy's time series and OGIP files."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.fits.scripts import fitscheck
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from astropy.timeseries import BinnedTimeSeries, LombScargle, TimeSeries
from astroquery.exceptions import CorruptDataWarning

from astroquery_mmoda import DecodingError, ParameterError, Products, read_lightcurve, to_timeseries, write_lightcurve
from tests.genuine_like import lightcurves as like
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
            assert other[name].scale == one[name].scale
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


def test_the_one_width_of_two_is_one_of_them(curve, tmp_path):
    """Tools that take all bins for equally wide would leave out every second one, if it were their mean."""
    table = curve("isgri_lc_real")[:4]
    table["time_bin"] = [800.0, 600.0, 800.0, 600.0] * u.s
    header = fits.getheader(write_lightcurve(table, tmp_path / "lc.fits"), "RATE")
    assert header["TIMEDEL"] == 600


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
    path = write_lightcurve(table, tmp_path / "lc.fits")
    assert fits.getheader(path, "RATE")["TIMEZERO"] == 0
    again = read_lightcurve(path)
    assert abs((again["time"] - table["time"]).to_value(u.s)).max() < 1e-7
    del table.meta["VALUE"]
    assert dict(again.meta) == dict(table.meta)


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
    with pytest.raises(ParameterError, match="not a light curve"):
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
    with pytest.raises(ParameterError, match="one light curve has to be named"):
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


# ---- shapes of genuine replies


def of(*entries, source="Cyg X-1"):
    return Products.from_response(like.lightcurve_reply(*entries, source=source)).lightcurve()


def written(table, tmp_path, **options):
    """The file of a table, and that it gives the table back."""
    path = write_lightcurve(table, tmp_path / "lc.fits", overwrite=True, **options)
    if not options:
        assert_same(table, read_lightcurve(path), seconds=2e-7)
    assert fitscheck.main([str(path)]) == 0
    with fits.open(path) as hdulist:
        for hdu in hdulist[2::2]:
            assert (hdu.data["STOP"] > hdu.data["START"]).all()
            assert (hdu.data["START"][1:] > hdu.data["STOP"][:-1]).all()
    return path


def polar():
    with pytest.warns(CorruptDataWarning, match="Unix"):
        return of(like.polar())


@pytest.mark.parametrize("make", [like.isgri, like.jemx, like.spi_acs])
def test_genuine_shapes_come_back(make, tmp_path):
    written(of(make()), tmp_path)


def test_polar_comes_back(tmp_path):
    table = polar()
    path = written(table, tmp_path)
    header, data = fits.getheader(path, "RATE"), fits.getdata(path, "RATE")
    assert data.names == ["TIME", "RATE", "ERROR"]  # where other tools look for them
    assert header["HDUCLAS3"] == "RATE"
    assert "HDUCLAS2" not in header
    assert header["TIMEWARN"] == table.meta["TIMEWARN"]
    np.testing.assert_array_equal(data["RATE"], table["rate"])


def test_bins_of_one_time_and_without_a_width(tmp_path):
    table = of(like.jemx((5000.0, 5000.0, 5000.01, 5000.5), (0.01, -0.01, 0.01, np.nan)))
    path = written(table, tmp_path)
    good = fits.getdata(path, "GTI")
    # the last one covers no time that is known
    np.testing.assert_allclose(good["STOP"] - good["START"], [0.02 * 86400])
    series = to_timeseries(table)
    assert type(series) is TimeSeries
    assert series["time_bin"].mask.tolist() == [False, True, False, True]
    assert series["time_bin"].unit == u.s
    assert to_timeseries(table[[0, 2]]).time_bin_size.to_value(u.s).tolist() == pytest.approx([864, 864])


def test_no_width_at_all(tmp_path):
    table = of(like.jemx((5000.0, 5001.0, 5002.0), (0.0, -1.0, np.nan)))
    assert table["time_bin"].mask.all()
    good = fits.getdata(written(table, tmp_path), "GTI")
    np.testing.assert_allclose(good["STOP"] - good["START"], 2 * 86400)
    assert "time_bin" not in to_timeseries(table).colnames


def test_widths_that_the_user_made_wrong(tmp_path):
    table = of(like.isgri())
    table["time_bin"][:4] = [-5, 0, np.nan, np.inf]
    path = write_lightcurve(table, tmp_path / "lc.fits")
    assert (fits.getdata(path, "GTI")["STOP"] > fits.getdata(path, "GTI")["START"]).all()
    assert read_lightcurve(path)["time_bin"].mask.sum() == 4
    assert type(to_timeseries(table)) is TimeSeries


def test_overlapping_bins_make_one_interval(tmp_path):
    table = of(like.jemx((5000.0, 5000.001, 5000.2), (0.02, 0.002, 0.01)))
    good = fits.getdata(written(table, tmp_path), "GTI")
    np.testing.assert_allclose(good["STOP"] - good["START"], [0.02 * 86400, 0.01 * 86400], rtol=1e-6)


@pytest.mark.parametrize("how", ["masked", "nan"])
def test_rows_without_a_time(how, tmp_path):
    table = of(like.isgri())
    gone = np.arange(12) == 3
    if how == "masked":
        table["time"] = Time(np.ma.array(table["time"].mjd, mask=gone), format="mjd", scale="tt")
    else:
        table["time"] = Time(table["time"].mjd, np.where(gone, np.nan, 0.0), format="mjd", scale="tt")
    with pytest.warns(CorruptDataWarning, match="1 of 12 rows"):
        path = write_lightcurve(table, tmp_path / "lc.fits")
    assert len(read_lightcurve(path)) == 11
    with pytest.warns(CorruptDataWarning, match="1 of 12 rows"):
        assert len(to_timeseries(table)) == 11
    table["time"] = Time(np.full(12, 5e4), np.full(12, np.nan), format="mjd", scale="tt")
    with pytest.warns(CorruptDataWarning, match="12 of 12 rows"):
        path = write_lightcurve(table, tmp_path / "lc.fits", overwrite=True)
    assert len(read_lightcurve(path)) == 0


def test_what_fits_cannot_hold(tmp_path):
    table = of(like.isgri())
    table["odd"] = np.array([{"a": 1}] * 12, dtype=object)
    with pytest.raises(ParameterError, match="FITS can't hold this light curve"):
        write_lightcurve(table, tmp_path / "lc.fits")
    table = of(like.isgri())
    table.replace_column("time", table["time"].mjd)
    with pytest.raises(ParameterError, match="not a light curve.*time as a Time"):
        write_lightcurve(table, tmp_path / "lc.fits")
    with pytest.raises(ParameterError, match="has the columns src_name"):
        to_timeseries(Table({"a": [1]}))


def test_spi_acs_has_no_false_gaps(tmp_path):
    table = of(like.spi_acs((2, 3, 1, 2, 2) * 40))
    path = written(table, tmp_path)
    header, good = fits.getheader(path, "RATE"), fits.getdata(path, "GTI")
    assert len(good) == 1
    assert (good["START"][0], good["STOP"][0]) == (header["TSTART"], header["TSTOP"])
    assert (header["HDUCLAS2"], header["HDUCLAS3"]) == ("TOTAL", "RATE")
    assert header["EPHS"] == like.SPI_ACS_EPHS
    assert header["TSHIFT"] == table.meta["TSHIFT"]
    start = Time(header["MJDREFI"], header["TSTART"] / 86400, format="mjd", scale="tt")
    assert abs((start - Time(51544, 700000000.125 / 86400, format="mjd", scale="tt")).to_value(u.s)) < 1e-5
    assert header["DATE-END"] > header["DATE-OBS"]


@pytest.mark.parametrize(
    ("make", "background"),
    [
        (like.isgri, "NET"),
        (like.jemx, "NET"),
        (like.spi_acs, "TOTAL"),
        (lambda: like.jemx(TELESCOP="NONE SUCH"), None),
        (lambda: like.jemx(INSTRUME="OMC"), None),
        (lambda: like.jemx(TELESCOP="SWIFT", INSTRUME="XRT", HDUCLAS2="TOTAL"), "TOTAL"),
        (lambda: like.jemx(TELESCOP="SWIFT", INSTRUME="XRT", HDUCLAS2="String"), None),
    ],
)
def test_what_is_known_of_the_background(make, background, tmp_path):
    assert fits.getheader(written(of(make()), tmp_path), "RATE").get("HDUCLAS2") == background


@pytest.mark.parametrize(
    ("name", "unit", "kind"),
    [
        ("RATE", "count/s", "RATE"),
        ("RATE", None, "RATE"),
        ("COUNT_RATE", "1/s", "RATE"),
        ("FLUX", "ct/min", "RATE"),
        ("COUNTS", "ct", "COUNT"),
        ("COUNTS", None, "COUNT"),
        ("FLUX", "erg / (cm2 s)", None),
        ("FLUX", "ct / (cm2 s)", None),
        ("FLUX", None, None),
        ("MAG", "mag", None),
        ("RATE", "mJy", None),
        ("COUNTS", "ct/s", None),
        ("RATE", "furlongs", None),
    ],
)
def test_only_rates_are_called_rates(name, unit, kind, tmp_path):
    columns = {"TIME": [58000.0, 58001.0], name: [3.0, 4.0], "ERROR": [1.0, 1.0]}
    hdu = like.table(columns, {"MJDREF": 0.0, "TIMESYS": "TT", "TIMEDEL": 1.0}, "LC")
    entry = like.encode([fits.PrimaryHDU(), hdu], name="lightcurve", meta={"src_name": "X"})
    entry["data_unit_list"][1]["units_dict"] = {name: unit, "ERROR": unit, "TIME": "d"}
    table = of(entry)
    header = fits.getheader(written(table, tmp_path), "RATE")
    assert header.get("HDUCLAS3") == kind
    assert "HDUCLAS2" not in header


def test_names_that_are_taken_stay(tmp_path):
    table = polar()
    table["RATE"] = np.arange(40.0)
    table["ERROR"] = np.arange(40.0)
    table.rename_column("rate", "value")
    table.meta["VALUECOL"] = "value"
    table["value"].unit = u.ct / u.s
    assert fits.getdata(written(table, tmp_path), "RATE").names == ["TIME", "value", "rate_err", "RATE", "ERROR"]


def test_barycentric_times_keep_their_origin(tmp_path):
    table = of(like.jemx())
    path = written(table, tmp_path)
    with fits.open(path) as hdulist:
        for hdu in hdulist:
            assert (hdu.header["MJDREFI"], hdu.header["MJDREFF"]) == (51544, 0)
            assert (hdu.header["TIMESYS"], hdu.header["TIMEREF"]) == ("TT", "LOCAL")
        rates = hdulist["RATE"]
        np.testing.assert_array_equal(rates.data["BARYTIME"], table["BARYTIME"])
        assert rates.columns["BARYTIME"].unit == "d"
        number = rates.data.names.index("BARYTIME") + 1
        assert rates.header.comments[f"TTYPE{number}"] == "barycentric time (TDB) since MJDREF"
        np.testing.assert_allclose(51544 + rates.data["TIME"] / 86400, table["time"].mjd, rtol=0, atol=1e-9)
    again = read_lightcurve(path)
    assert again.meta["MJDREF"] == 51544.0
    del table["BARYTIME"]
    path = written_without_origin(table, tmp_path)
    assert fits.getheader(path, "RATE")["MJDREFI"] == 56543


def written_without_origin(table, tmp_path):
    """An MJDREF in meta of which no column makes use is not that of the file."""
    path = write_lightcurve(table, tmp_path / "lc.fits", overwrite=True)
    assert abs((read_lightcurve(path)["time"] - table["time"]).to_value(u.s)).max() < 1e-7
    return path


def test_an_origin_with_a_fraction(tmp_path):
    table = of(like.jemx(MJDREF=51544.25))
    header = fits.getheader(written(table, tmp_path), "RATE")
    assert (header["MJDREFI"], header["MJDREFF"]) == (51544, 0.25)


def test_tdb_stays_tdb(tmp_path):
    table = of(like.jemx(TIMESYS="TDB", TIMEREF="SOLARSYSTEM"))
    path = written(table, tmp_path)
    with fits.open(path) as hdulist:
        for hdu in hdulist:
            assert (hdu.header["TIMESYS"], hdu.header["TIMEREF"]) == ("TDB", "SOLARSYSTEM")
            assert hdu.header["DATE-OBS"] == "2013-09-08T23:52:48.000"
    assert read_lightcurve(path)["time"].scale == "tdb"
    assert to_timeseries(table[:2]).time_bin_start.scale == "tdb"
    table.write(tmp_path / "lc.ecsv")
    assert Table.read(tmp_path / "lc.ecsv")["time"].scale == "tdb"


def test_tdb_without_a_place_is_barycentred(tmp_path):
    table = of(like.jemx(TIMESYS="TDB", TIMEREF="String"))
    assert "TIMEREF" not in table.meta
    assert fits.getheader(written(table, tmp_path), "RATE")["TIMEREF"] == "SOLARSYSTEM"
