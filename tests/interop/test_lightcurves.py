"""Stingray and lightkurve read light curves with the right times, rates and errors."""

import gzip

import numpy as np
import pytest
from astropy import units as u
from astropy.timeseries import TimeSeries

from astroquery_mmoda import Products, to_timeseries, write_lightcurve
from tests.genuine_like import lightcurves as like
from tests.local_mmoda import sky

# Stingray warns of every FITS file that its times might be wrong (here they are not); others of their own future
pytestmark = pytest.mark.filterwarnings("ignore")
BRIGHT = sky.source("MAXI J1820+070")
RECORDED = ["isgri_lc_real", "jemx_lc_dummy", "spi_acs_lc_real"]


@pytest.fixture(scope="module")
def curve(mmoda):
    """Several sources, in pointings with gaps between them; Stingray wants bins that are all equally wide."""
    width = sky.POINTING_LENGTH / 2 * u.s
    return mmoda.query_lightcurve(
        "isgri", BRIGHT.name, radius=8 * u.deg, time_range=(58193, 58198), max_pointings=20, time_bin=width
    )


@pytest.fixture
def recorded_curve(recorded):
    return lambda name: Products.from_response(recorded(name)).lightcurve()


def _of(table, source):
    return table[table["src_name"] == source]


def _with_data(rows):
    return rows[~np.ma.getmaskarray(rows["RATE"])]


def _within_intervals(rows, light):
    """Stingray takes all bins for equally wide, and drops one at an end that would be too wide for its interval."""
    time = (rows["time"].tt.mjd - light.mjdref) * 86400
    inside = [(time - light.dt / 2 > begin - 1e-3) & (time + light.dt / 2 < end + 1e-3) for begin, end in light.gti]
    return rows[np.any(inside, axis=0)]


def assert_stingray_has(light, rows):
    """Compare with the bins that have data, to which its GTIs lead it."""
    width = np.quantile(rows["time_bin"], 0.5, method="lower")
    light = light.apply_gtis(inplace=False)
    total = np.sum(_with_data(rows)["time_bin"])
    rows = _within_intervals(_with_data(rows), light)
    np.testing.assert_allclose(light.mjdref + light.time / 86400, rows["time"].tt.mjd, rtol=0, atol=1e-9)
    np.testing.assert_allclose(light.countrate, rows["RATE"], rtol=1e-6)
    np.testing.assert_allclose(light.countrate_err, rows["ERROR"], rtol=1e-6)
    np.testing.assert_allclose(light.dt, width, rtol=1e-6)
    exposure = np.sum(light.gti[:, 1] - light.gti[:, 0])
    # bins of some services overlap a little
    np.testing.assert_allclose(exposure, total, rtol=0.01)


# ---- Stingray


@pytest.fixture
def read(tool):
    tool("stingray")
    from stingray import Lightcurve

    return lambda path, **options: Lightcurve.read(str(path), fmt="ogip", **options)


def test_stingray(read, curve, tmp_path):
    path = write_lightcurve(curve, tmp_path / "lc.fits", source=BRIGHT.name)
    light = read(path)
    assert_stingray_has(light, _of(curve, BRIGHT.name))
    assert light.instr == "IBIS"


def test_stingray_finds_other_sources_of_the_file_by_number(read, curve, tmp_path):
    path = write_lightcurve(curve, tmp_path / "lc.fits")
    for number, name in enumerate(dict.fromkeys(curve["src_name"]), start=1):
        light = read(path, ratehdu=("RATE", number), gtistring=("GTI", number))
        assert_stingray_has(light, _of(curve, name))


@pytest.mark.parametrize("name", RECORDED)
def test_stingray_reads_recorded_ones(read, recorded_curve, tmp_path, name):
    table = recorded_curve(name)
    source = table["src_name"][0]
    assert_stingray_has(read(write_lightcurve(table, tmp_path / "lc.fits", source=source)), _of(table, source))


@pytest.mark.parametrize("make", [like.isgri, like.jemx, like.spi_acs, like.polar])
def test_stingray_reads_the_shapes_of_genuine_ones(read, make, tmp_path):
    table = Products.from_response(like.lightcurve_reply(make())).lightcurve()
    value, error = table.meta["VALUECOL"], table.meta["ERRORCOL"]
    light = read(write_lightcurve(table, tmp_path / "lc.fits"))
    np.testing.assert_allclose(light.mjdref + light.time / 86400, table["time"].mjd, rtol=0, atol=1e-9)
    np.testing.assert_allclose(light.countrate, table[value], rtol=1e-6)
    np.testing.assert_allclose(light.countrate_err, table[error], rtol=1e-6)


def test_stingray_reads_genuine_ones(read, genuine, tmp_path):
    for name in ("isgri_lc", "jemx_lc", "spi_acs_lc"):
        body = gzip.decompress((genuine / f"replies/{name}.json.gz").read_bytes())
        table = Products.from_response(body).lightcurve()
        rows = _of(table, table["src_name"][0])
        light = read(write_lightcurve(rows, tmp_path / f"{name}.fits"))
        np.testing.assert_allclose(light.mjdref + light.time / 86400, rows["time"].mjd, rtol=0, atol=1e-9)
        np.testing.assert_allclose(light.countrate, rows["RATE"], rtol=1e-6)
        np.testing.assert_allclose(light.countrate_err, rows["ERROR"], rtol=1e-6)
        exposure = np.sum(light.gti[:, 1] - light.gti[:, 0])
        np.testing.assert_allclose(float(exposure), np.nansum(np.ma.filled(rows["time_bin"], np.nan)), rtol=2e-3)


def test_stingray_reads_fluxes(read, recorded_curve, tmp_path):
    table = recorded_curve("nb_lightcurve_4_done")
    light = read(write_lightcurve(table, tmp_path / "lc.fits"), ratecolumn="FLUX")
    told = ~np.ma.getmaskarray(table["FLUX"])
    np.testing.assert_allclose(light.mjdref + light.time / 86400, table["time"].tt.mjd, rtol=0, atol=1e-9)
    np.testing.assert_allclose(light.counts[told], np.asarray(table["FLUX"])[told], rtol=1e-6)


def test_stingray_finds_the_variability(read, curve, tmp_path):
    light = read(write_lightcurve(curve, tmp_path / "lc.fits", source=BRIGHT.name)).apply_gtis(inplace=False)
    expected = BRIGHT.variability.factor(light.mjdref - sky.MJDREF + light.time / 86400)
    assert np.corrcoef(light.countrate, expected)[0, 1] > 0.9


# ---- lightkurve


@pytest.mark.parametrize("name", RECORDED)
def test_lightkurve_takes_the_series(tool, recorded_curve, name):
    tool("lightkurve")
    from lightkurve import LightCurve

    table = recorded_curve(name)
    rows = _of(table, table["src_name"][0])
    series = to_timeseries(table, rows["src_name"][0])
    light = LightCurve(time=series.time_bin_center, flux=series["RATE"], flux_err=series["ERROR"])
    assert_lightkurve_has(light, rows)
    assert_lightkurve_has(light.remove_nans(), _with_data(rows))


def test_lightkurve_takes_a_series_without_bins(tool, recorded_curve):
    tool("lightkurve")
    from lightkurve import LightCurve

    table = recorded_curve("nb_lightcurve_4_done")
    series = to_timeseries(table)
    assert type(series) is TimeSeries
    light = LightCurve(time=series.time, flux=series["FLUX"], flux_err=series["ERROR"])
    np.testing.assert_allclose(light.time.tt.mjd, table["time"].tt.mjd, rtol=0, atol=1e-9)
    assert light.flux.unit == table["FLUX"].unit


def test_lightkurve_reads_the_file(tool, curve, tmp_path):
    tool("lightkurve")
    from lightkurve.io.generic import read_generic_lightcurve

    path = write_lightcurve(curve, tmp_path / "lc.fits", source=BRIGHT.name)
    light = read_generic_lightcurve(str(path), flux_column="rate", flux_err_column="error")
    assert_lightkurve_has(light, _of(curve, BRIGHT.name))
    assert (light.meta["LABEL"], light.meta["MISSION"]) == (BRIGHT.name, "INTEGRAL")


def assert_lightkurve_has(light, rows):
    assert len(light) == len(rows)
    assert light.time.scale == "tt"
    np.testing.assert_allclose(light.time.mjd, rows["time"].tt.mjd, rtol=0, atol=1e-9)
    assert light.flux.unit == u.ct / u.s
    for mine, column in ((light.flux, "RATE"), (light.flux_err, "ERROR")):
        values = np.ma.filled(np.ma.asarray(getattr(mine, "unmasked", mine).value, dtype=float), np.nan)
        told = np.ma.getmaskarray(rows[column])
        np.testing.assert_allclose(values[~told], np.asarray(rows[column])[~told], rtol=1e-6)
