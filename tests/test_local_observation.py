# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The long observation of the local service: the list of its science windows, and what the instruments make of them."""

from __future__ import annotations

import numpy as np
import pytest
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time

from tests.local_mmoda import sky
from tests.local_mmoda.server import LocalMmoda
from tests.test_local_mmoda import catalog, catalogue, coordinates, images, messages, post, products, run, unpack
from tests.tokens import mint

SERPENS, NOVA = sky.source("Ser X-1"), sky.source("XTE J1856+053")
FIELD = {
    "instrument": "isgri",
    "src_name": "test_local_observation",
    "RA": SERPENS.ra,
    "DEC": SERPENS.dec,
    # means nothing beside a list of windows
    **{"T1": "2018-04-01T00:00:00.000", "T2": "2018-04-03T00:00:00.000", "radius": 8, "max_pointings": 10},
    "E1_keV": 20,
    "E2_keV": 40,
}
XRAYS = {**FIELD, "instrument": "jemx", "E1_keV": 3, "E2_keV": 20}
WINDOWS = [window for window in sky.index() if window.name[-1] == "0"]


def of_revolution(number, version="001"):
    """Names of its pointings, as `scw_list` wants them."""
    kind = {"001": "cons", "000": "nrt"}[version]
    names = [window.name for window in sky.index(kind) if int(window.name[:4]) == number]
    return [f"{name}.{version}" for name in names if name[-1] == "0"]


LONG, QUIET, ACTIVE = of_revolution(420), of_revolution(417)[:25], of_revolution(538)[:25]


# ---- the list of science windows ---------------------------------------------------------------------------------


def listed(service, kind="cons", start="2000-01-01T00:00:00", stop="2030-01-01T00:00:00", status=200, **more):
    """Answer of the time system."""
    address = f"{service.url}/gw/timesystem/api/v1.0/scwlist/{kind}/{start}/{stop}"
    reply = requests.get(address, params=more, timeout=10)
    assert reply.status_code == status, reply.text
    return reply.json()


def test_names_of_all_windows(local_mmoda):
    """Sorted, although the index is not, and with slews and engineering windows."""
    names = listed(local_mmoda)
    assert names == sorted(window.name for window in sky.index())
    assert names != [window.name for window in sky.index()]
    assert all(len(name) == 12 for name in names)
    assert {name[-1] for name in names} == {"0", "1", "2"}
    assert 300 < sum(name[-1] == "0" for name in names) < 400
    assert len({name[:4] for name in names}) > 10


def test_columns_of_all_windows(local_mmoda):
    """In the order of the index; times are IJD, and their difference the elapsed time."""
    names = ["SWID", "RA_SCX", "DEC_SCX", "TSTART", "TSTOP", "TELAPSE", "IBISMODE"]
    found = listed(local_mmoda, return_columns=",".join(names))
    assert set(found) == set(names)
    assert found["SWID"] == [window.name for window in sky.index()]
    start, stop = (np.array(found[name]) for name in ("TSTART", "TSTOP"))
    np.testing.assert_allclose((stop - start) * 86400.0, found["TELAPSE"], atol=1e-4)
    years = Time(start + 51544.0, format="mjd", scale="tt").jyear
    assert 2005.0 < years.min() < 2006.0 < 2008.0 < years.max() < 2009.0
    pointings = [number for number, name in enumerate(found["SWID"]) if name[-1] == "0"]
    lengths = np.array(found["TELAPSE"])[pointings]
    assert 3 <= np.sum(lengths < 500.0) < 20
    assert 1 <= np.sum(np.array(found["IBISMODE"])[pointings] != 41) < 20
    # windows follow each other without an overlap
    order = np.argsort(start)
    assert (np.diff(start[order]) > 0).all()
    assert (start[order][1:] - stop[order][:-1] > -1e-9).all()


def test_times_of_the_list(local_mmoda):
    """ISO text, MJD and IJD are one; windows that overlap the interval, which may be UTC or TT, nobody knows."""
    low, high = 2274.5, 2274.9
    forms = [[Time(day + 51544.0, format="mjd").isot for day in (low, high)], [low + 51544, high + 51544], [low, high]]
    found = [listed(local_mmoda, "cons", *form) for form in forms]
    assert found[0] == found[1] == found[2]
    assert found[0] == sorted(window.name for window in sky.index() if window.start < high and window.stop > low)
    assert 20 < len(found[0]) < 50


@pytest.mark.parametrize("radius", [0.5, 4.0, 30.0])
def test_distance_of_the_axis(local_mmoda, radius):
    place = {"ra": 275.0914, "dec": 7.1853}
    found = listed(local_mmoda, **place, radius=radius, return_columns="SWID,RA_SCX,DEC_SCX")
    axes = SkyCoord([w.ra for w in sky.index()], [w.dec for w in sky.index()], unit="deg")
    near = axes.separation(SkyCoord(*place.values(), unit="deg")).deg < radius
    assert found["SWID"] == [window.name for window, is_near in zip(sky.index(), near, strict=True) if is_near]
    assert 0 < len(found["SWID"]) < len(sky.index())
    # all three are needed
    assert len(listed(local_mmoda, **place)) == len(sky.index())


def test_least_good_time_is_something_else(local_mmoda):
    """Elapsed time of windows in one mode, which drops some that JEM-X has data of."""
    dropped = set(listed(local_mmoda)) - set(listed(local_mmoda, min_good_isgri=1000))
    assert {name for name in dropped if name[-1] == "0"} == {
        window.name for window in WINDOWS if window.stop - window.start < 1000 / 86400 or window.mode != 41
    }


def test_both_kinds_of_data(local_mmoda):
    """Near real-time ones first, so that a window may come twice, and with other times."""
    columns = {"return_columns": "SWID,TSTART"}
    near, consolidated, both = (listed(local_mmoda, kind, **columns) for kind in ("nrt", "cons", "ANY"))
    assert both == {name: near[name] + consolidated[name] for name in near}
    twice = set(near["SWID"]) & set(consolidated["SWID"])
    assert 20 < len(twice) < len(near["SWID"])
    assert len(listed(local_mmoda, "any")) == len(set(both["SWID"]))
    times = [dict(zip(each["SWID"], each["TSTART"], strict=True)) for each in (near, consolidated)]
    assert all(abs(times[0][name] - times[1][name]) > 1.0 / 86400.0 for name in twice)


def test_version_of_the_index(local_mmoda):
    for kind in ("cons", "nrt"):
        found = listed(local_mmoda, kind, return_index_version="yes")
        assert found == {"scwlist": listed(local_mmoda, kind), "index_version": sky.INDEX_VERSION[kind]}
    assert listed(local_mmoda, "any", return_index_version="yes")["index_version"] is None
    columns = listed(local_mmoda, return_index_version="yes", return_columns="SWID")["scwlist"]
    assert columns == {"SWID": [window.name for window in sky.index()]}


def test_nothing_in_the_list(local_mmoda):
    before = ("cons", "2003-01-01T00:00:00", "2003-02-01T00:00:00")
    assert listed(local_mmoda, *before) == []
    assert listed(local_mmoda, *before, return_columns="SWID,TSTART") == {"SWID": [], "TSTART": []}


def test_refused_lists(local_mmoda):
    (problem,) = listed(local_mmoda, return_columns="SWID,SCW_VER", status=400)
    assert "SCW_VER" in problem["problem in CONS"]
    assert [*problem] == ["problem in CONS"]
    both = listed(local_mmoda, "any", return_columns="X", status=400)
    assert [key for problem in both for key in problem] == ["problem in NRT", "problem in CONS"]
    for change in ({"kind": "cat"}, {"start": "yesterday"}, {"stop": "2006-13-01T00:00:00"}):
        assert [*listed(local_mmoda, **change, status=400)] == ["bad request"]


def test_dispatcher_without_time_system():
    with LocalMmoda(time_system=False) as service:
        address = service.url + "/gw/timesystem/api/v1.0/scwlist/cons/2006-01-01/2007-01-01"
        assert requests.get(address, timeout=10).status_code == 404


# ---- windows of a request ----------------------------------------------------------------------------------------


def analysed(service, windows, product="isgri_lc", **change):
    """All replies of a job."""
    instrument = product.partition("_")[0]
    base = FIELD if instrument == "isgri" else XRAYS
    return run(service, **{**base, **change}, product_type=product, scw_list=",".join(windows))


def test_axes_of_windows():
    assert len(sky.index()) == len({window.name for window in sky.index()})
    for window in WINDOWS[::20]:
        assert sky.pointing(window.name + ".001") == (window.ra, window.dec)
    for name in ("193601120010.001", "042000100021.001", "042000090012.001", LONG[0][:12] + ".000"):
        assert sky.pointing(name) is None
    centre = SkyCoord(*sky.FIELDS["Ser X-1"], unit="deg")
    axes = SkyCoord([sky.pointing(name) for name in of_revolution(296)], unit="deg")
    assert len(set(zip(axes.ra.deg, axes.dec.deg, strict=True))) == 25
    distances = np.sort(axes.separation(centre).deg)
    assert distances[:6] == pytest.approx([0, 2, 2, 2, 2, 2 * np.sqrt(2)], abs=0.01)
    assert distances[-1] == pytest.approx(4 * np.sqrt(2), abs=0.05)


@pytest.mark.parametrize(
    "windows",
    [
        # a slew, an engineering window, near real-time data that do not exist, half of a pointing that was not split
        ["042000100021.001", "042000090012.001", "042000100010.000", "042000100020.001"],
        # not consolidated
        ["066300100010.001"],
        # not the mode of ISGRI
        ["029600220010.001"],
    ],
)
def test_windows_without_data(local_mmoda, windows):
    last = analysed(local_mmoda, windows)[-1]
    assert last["query_status"] == "failed"
    assert "AnalysisException:NoValidScW()" in messages(last)


def test_some_windows_without_data(local_mmoda):
    """They are passed over, and none counts twice."""
    several = [LONG[1], "042000100021.001", LONG[0], LONG[1]]
    parts = [products(analysed(local_mmoda, each, product="isgri_spectrum")) for each in (several, LONG[:2])]
    headers = [spectra[0].units[1]["header"] for spectra in parts]
    assert headers[0]["ONTIME"] == headers[1]["ONTIME"] == pytest.approx(2 * sky.POINTING_LENGTH)
    np.testing.assert_array_equal(*(unpack(spectra[0].units[1])["RATE"] for spectra in parts))


def test_other_mode_has_xrays(local_mmoda):
    (curve, *_) = products(analysed(local_mmoda, ["029600220010.001"], "jemx_lc", time_bin=500))
    assert len(unpack(curve.units[1])) == 4


def test_many_windows_need_a_role(local_mmoda):
    windows = [name for number in (295, 296, 299) for name in of_revolution(number)]
    request = {**FIELD, "product_type": "isgri_lc", "query_status": "new"}
    for number, status in ((50, 200), (51, 403)):
        reply = post(local_mmoda, **request, scw_list=",".join(windows[:number]))
        assert reply.status_code == status
    assert "it is needed to request > 50 ScW, you requested scw_list=51" in reply.json()["exit_status"]["message"]


def test_near_real_time_data_need_a_role(local_mmoda):
    windows = of_revolution(663, "000")[:2]
    reply = post(local_mmoda, **FIELD, product_type="isgri_lc", query_status="new", scw_list=",".join(windows))
    assert reply.status_code == 403
    assert "integral-public-nrt" in reply.json()["exit_status"]["message"]
    token = mint(key=local_mmoda.secret_key, roles="general, integral-public-nrt")
    curve = products(analysed(local_mmoda, windows, token=token))[0]
    assert curve.units[1]["header"]["REVOL"] == 663


# ---- images ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mosaic(local_mmoda):
    """All replies to a request for the 50 windows of a revolution."""
    return analysed(local_mmoda, LONG, "isgri_image")


def pixels(header, ra, dec):
    """Row and column of the nearest pixel, and how far it is (deg)."""
    wcs = coordinates(header)
    x, y = wcs.wcs_world2pix(ra, dec, 0)
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    return row, column, sky.separation(ra, dec, *wcs.wcs_pix2world(column, row, 0))


def test_exposure_map(mosaic):
    """On-time, live share and vignetting of each window, added in another way."""
    header, exposure = images(mosaic)["EXPOSURE", 20.0]
    rows, columns = np.random.default_rng(1).integers(0, exposure.shape, (3000, 2)).T
    ra, dec = coordinates(header).wcs_pix2world(columns, rows, 0)
    places, expected = SkyCoord(ra, dec, unit="deg"), np.zeros(len(ra))
    for window in WINDOWS:
        if window.name + ".001" in LONG:
            offset = places.separation(SkyCoord(window.ra, window.dec, unit="deg")).deg
            share = np.interp(offset, [4.5, 15.0], [1.0, 0.1]) * (offset < 15.0)
            expected += (window.stop - window.start) * 86400.0 * 0.818 * share
    found = exposure[rows, columns]
    # up to a pixel at the rim of a window
    close = np.abs(found - expected) < 1e-4 * expected.max()
    assert close.mean() > 0.995
    assert 0.3 < np.mean(found > 0) < 0.95
    assert header["ONTIME"] == pytest.approx(50 * sky.POINTING_LENGTH)
    assert header["TELAPSE"] - header["ONTIME"] == pytest.approx(1, abs=1)
    assert header["TSTOP"] - header["TSTART"] > 1.15 * header["ONTIME"] / 86400


def test_grid_of_a_mosaic(mosaic, local_mmoda):
    """Around the mean of the axes, whatever place was asked for, with a margin; not the same for other windows."""
    header, exposure = images(mosaic)["EXPOSURE", 20.0]
    centre = SkyCoord(header["CRVAL1"], header["CRVAL2"], unit="deg")
    assert centre.separation(SkyCoord(*sky.FIELDS["Ser X-1"], unit="deg")) < 0.01 * u.deg
    assert [header["CRPIX1"], header["CRPIX2"]] == [(size + 1) / 2 for size in exposure.shape[::-1]]
    assert not exposure[[0, -1]].any()
    assert not exposure[:, [0, -1]].any()
    other = images(analysed(local_mmoda, QUIET[16:], "isgri_image"))["EXPOSURE", 20.0]
    assert exposure.shape != other[1].shape
    assert abs(header["CRVAL1"] - other[0]["CRVAL1"]) > sky.PIXEL


def test_noise_of_a_mosaic(mosaic):
    """Significances have a width of 1, and neighbours are as much alike as in genuine mosaics."""
    found = images(mosaic)
    header, significance = found["SIGNIFICANCE", 20.0]
    inside = found["EXPOSURE", 20.0][1] > 0
    rows, columns = np.nonzero(inside)
    ra, dec = coordinates(header).wcs_pix2world(columns, rows, 0)
    empty = np.zeros(inside.shape, bool)
    empty[rows, columns] = np.all([sky.separation(ra, dec, s.ra, s.dec) > 1.0 for s in sky.SOURCES], axis=0)
    noise = significance.astype(float)
    # as many independent values as there are spots of the width of a source
    independent = empty.sum() / 10
    assert noise[empty].mean() == pytest.approx(0.0, abs=4.0 / np.sqrt(independent))
    assert noise[empty].std() == pytest.approx(1.0, abs=0.04)
    pairs = empty[:, 1:] & empty[:, :-1]
    assert np.corrcoef(noise[:, 1:][pairs], noise[:, :-1][pairs])[0, 1] == pytest.approx(0.79, abs=0.04)


def test_sources_of_a_mosaic(mosaic):
    """Pixels have the mean of what the sources were in each window."""
    found = images(mosaic)
    header, intensity = found["INTENSITY", 20.0]
    pointings = sky.Pointings(sky.ISGRI, LONG, 0.0, 0.0)
    assert NOVA in pointings.sources
    for source in pointings.sources:
        row, column, distance = pixels(header, source.ra, source.dec)
        expected = sky.band_rate(source, 20, 40) * pointings.image_factor(source, 20, 40)
        expected *= np.exp(-((distance / sky.PSF_SIGMA) ** 2) / 2)
        error = np.sqrt(found["VARIANCE", 20.0][1][row, column])
        weights = pointings.image_weights(source.ra, source.dec, 20, 40)
        assert error == pytest.approx(1.0 / np.sqrt(weights.sum()), rel=5e-3)
        assert intensity[row, column] == pytest.approx(expected, abs=4.5 * error, rel=1e-4), source.name


def test_variance_of_a_window(local_mmoda):
    """All that the detector counts, of which sources away from the axis are a part, over the useful time."""
    found = images(analysed(local_mmoda, LONG[3:4], "isgri_image"))
    (start, stop), ra_dec = sky.periods(LONG[3:4])[0], sky.pointing(LONG[3])
    row, column, distance = pixels(found["VARIANCE", 20.0][0], *ra_dec)
    assert distance < 0.001
    total = sky.in_band(sky.ISGRI.background_rates, 20, 40)
    for source in sky.SOURCES:
        offset = SkyCoord(source.ra, source.dec, unit="deg").separation(SkyCoord(*ra_dec, unit="deg")).deg
        share = np.interp(offset, [4.5, 15.0], [1.0, 0.1]) * (offset < 15.0)
        times = np.linspace(start, stop, 2001)
        total += sky.band_rate(source, 20, 40) * share * np.mean(source.variability.factor(times))
    variance = found["VARIANCE", 20.0][1][row, column]
    assert variance == pytest.approx(total / (sky.POINTING_LENGTH * 0.818 * sky.CODED_SHARE), rel=1e-3)


def test_mosaic_of_parts(mosaic, local_mmoda):
    """The weighted sum of two halves is the whole: a window gives the same image in any company."""
    halves = [images(analysed(local_mmoda, part, "isgri_image")) for part in (LONG[:25], LONG[25:])]
    whole = images(mosaic)
    heads = [found["INTENSITY", 20.0][0] for found in (whole, *halves)]
    places = [[header[key] for key in ("CRVAL1", "CRVAL2", "NAXIS1", "NAXIS2")] for header in heads]
    assert places[0] == places[1] == places[2]
    inside = whole["EXPOSURE", 20.0][1] > 0
    intensity, variance, exposure = (
        [found[kind, 20.0][1][inside].astype(float) for found in (whole, *halves)]
        for kind in ("INTENSITY", "VARIANCE", "EXPOSURE")
    )
    np.testing.assert_allclose(exposure[1] + exposure[2], exposure[0], rtol=1e-5)
    weights = [
        np.where(exposed > 0, 1.0 / np.where(exposed > 0, v, 1.0), 0.0)
        for v, exposed in zip(variance, exposure, strict=True)
    ]
    np.testing.assert_allclose(weights[1] + weights[2], weights[0], rtol=1e-5)
    total = (weights[1] * intensity[1] + weights[2] * intensity[2]) / weights[0]
    np.testing.assert_allclose(total, intensity[0], atol=2e-4 * np.sqrt(variance[0].max()))


def test_pulls_of_parts(local_mmoda):
    """Sources in images of single windows are distributed as their errors say, around the truth."""
    pulls = []
    for name in LONG[:6]:
        found = images(analysed(local_mmoda, [name], "isgri_image", number_of_bands=2))
        pointings = sky.Pointings(sky.ISGRI, [name], 0.0, 0.0)
        for (kind, low), (header, intensity) in found.items():
            if kind != "INTENSITY":
                continue
            band = low, header["E_MAX"]
            for source in pointings.sources:
                row, column, distance = pixels(header, source.ra, source.dec)
                shape = np.exp(-((distance / sky.PSF_SIGMA) ** 2) / 2)
                expected = sky.band_rate(source, *band) * pointings.image_factor(source, *band) * shape
                pulls.append((intensity[row, column] - expected) / np.sqrt(found["VARIANCE", low][1][row, column]))
    assert len(pulls) > 100
    assert abs(np.mean(pulls)) < 4.0 / np.sqrt(len(pulls))
    assert 0.8 < np.std(pulls) < 1.2


def test_windows_of_two_kinds(local_mmoda):
    """Those without an axis of their own look at the position that is asked for, as ever."""
    ordinary = "193601120010.001"
    header, exposure = images(analysed(local_mmoda, [ordinary, LONG[24]], "isgri_image"))["EXPOSURE", 20.0]
    for place in ((FIELD["RA"], FIELD["DEC"]), sky.pointing(LONG[24])):
        row, column, _ = pixels(header, *place)
        other = sky.Pointings(sky.ISGRI, [ordinary, LONG[24]], FIELD["RA"], FIELD["DEC"]).useful(*place).sum()
        assert exposure[row, column] == pytest.approx(other / sky.CODED_SHARE, rel=2e-3)


def test_fields_that_are_far_apart(local_mmoda):
    last = analysed(local_mmoda, [LONG[0], of_revolution(422)[0]], "isgri_image")[-1]
    assert last["query_status"] == "failed"
    assert "AnalysisException:PointingsTooFarApart()" in messages(last)


def test_source_that_is_on_at_times(local_mmoda, mosaic):
    active = analysed(local_mmoda, ACTIVE, "isgri_image")
    assert NOVA.name in catalogue(active)
    assert NOVA.name not in catalogue(mosaic)
    assert {"MAXI J1820+070", "Ser X-1", "NEW_1"} <= set(catalogue(active)) & set(catalogue(mosaic))


def test_xray_mosaic(local_mmoda):
    """Values are of an area, without exposure there is no number, and faint sources are off the axis."""
    replies = analysed(local_mmoda, LONG[:25], "jemx_image")
    found, pointings = images(replies), sky.Pointings(sky.JEMX, LONG[:25], 0.0, 0.0)
    header, intensity = found["RECONSTRUCTED", 3.0]
    assert np.isnan(intensity).any()
    assert (np.isnan(intensity) == np.isnan(found["EXPOSURE", 3.0][1])).all()
    for source in pointings.sources:
        row, column, distance = pixels(header, source.ra, source.dec)
        expected = sky.JEMX.band_rate(source, 3, 20) * pointings.image_factor(source, 3, 20) / sky.JEMX.image_area
        expected *= np.exp(-((distance / sky.JEMX.psf_sigma) ** 2) / 2)
        error = np.sqrt(found["VARIANCE", 3.0][1][row, column])
        assert intensity[row, column] == pytest.approx(expected, abs=4.5 * error, rel=1e-4), source.name


# ---- spectra -----------------------------------------------------------------------------------------------------

CHOICE = catalog(*((s.name, s.ra, s.dec, -32768, 2, 1) for s in (SERPENS, NOVA, sky.source("4U 1823-00"))))


def spectra_of(replies, instrument="isgri"):
    """Header and table of each spectrum, by name."""
    found = [p.units[1] for p in products(replies) if p.meta["product"] == f"{instrument}_spectrum"]
    return {unit["header"]["NAME"]: (unit["header"], unpack(unit)) for unit in found}


@pytest.mark.parametrize("instrument", ["isgri", "jemx"])
def test_spectra_of_parts(local_mmoda, instrument):
    """Mean rates with the exposure at the source as the weight, of the windows that see it; these make the truth, too."""
    product, camera = f"{instrument}_spectrum", {"isgri": sky.ISGRI, "jemx": sky.JEMX}[instrument]
    parts = [QUIET + ACTIVE[:10], ACTIVE[10:]]
    whole, *halves = (
        spectra_of(analysed(local_mmoda, part, product, **CHOICE), instrument) for part in (QUIET + ACTIVE, *parts)
    )
    assert set(whole) == {"Ser X-1", "XTE J1856+053", "4U 1823-00"}
    pointings = sky.Pointings(camera, QUIET + ACTIVE, 0.0, 0.0)
    for name, (header, table) in whole.items():
        source = sky.source(name)
        seen = pointings.sees(source.ra, source.dec)
        assert header["ONTIME"] == pytest.approx(pointings.seconds[seen].sum())
        assert header["EXPOSURE"] == pytest.approx(header["ONTIME"] * camera.live_share)
        assert header["ONTIME"] == pytest.approx(sum(half[name][0]["ONTIME"] for half in halves))
        good = np.isfinite(table["RATE"])
        weights = [sky.Pointings(camera, part, 0.0, 0.0).useful(source.ra, source.dec).sum() for part in parts]
        mean = np.average([half[name][1]["RATE"][good] for half in halves], axis=0, weights=weights)
        np.testing.assert_allclose(mean, table["RATE"][good], rtol=1e-5, atol=1e-5)
        errors = [half[name][1]["STAT_ERR"][good] for half in halves]
        np.testing.assert_allclose(
            np.sqrt(np.sum((np.array(weights)[:, np.newaxis] * errors) ** 2, axis=0)) / np.sum(weights),
            table["STAT_ERR"][good],
            rtol=1e-5,
        )
        expected = camera.channel_rates(source) * pointings.spectrum_factor(source)
        deviations = ((table["RATE"] - expected) / table["STAT_ERR"])[good]
        assert abs(np.sum(deviations**2) - good.sum()) < 4.5 * np.sqrt(2.0 * good.sum()), name
    assert whole["XTE J1856+053"][0]["REVOLS" if instrument == "isgri" else "NAME"].startswith(("0417", "XTE"))


def test_spectra_of_windows_that_do_not_see_a_source(local_mmoda):
    """Not extracted where no window has it in its field; elsewhere the windows that have it count."""
    crab = sky.source("Crab")
    wanted = catalog((crab.name, crab.ra, crab.dec, -32768, 2, 1), ("Ser X-1", SERPENS.ra, SERPENS.dec, -32768, 2, 1))
    both = [*LONG[:3], *of_revolution(422)[:2]]
    assert set(spectra_of(analysed(local_mmoda, LONG[:3], "isgri_spectrum", **wanted))) == {"Ser X-1"}
    found = spectra_of(analysed(local_mmoda, both, "isgri_spectrum", **wanted))
    assert [found[name][0]["ONTIME"] for name in ("Ser X-1", "Crab")] == pytest.approx([5700.0, 3800.0])
    assert (found["Ser X-1"][0]["REVOLS"], found["Crab"][0]["REVOLS"]) == ("0420..0420", "0422..0422")


# ---- light curves ------------------------------------------------------------------------------------------------


def curves_of(replies):
    """Table of each light curve, by name."""
    return {curve.meta["src_name"]: unpack(curve.units[-1]) for curve in products(replies)}


@pytest.mark.parametrize(
    ("product", "bin_"), [("isgri_lc", 300), ("isgri_lc", 2500), ("jemx_lc", 300), ("jemx_lc", 2500)]
)
def test_light_curve_of_parts(local_mmoda, product, bin_):
    """Bins begin anew in each window and depend on nothing else, whatever the order of the list."""
    windows = [*of_revolution(480)[5:12], *ACTIVE[:3]]
    parts = [windows, windows[:4], windows[:3:-1]]
    whole, first, second = (curves_of(analysed(local_mmoda, part, product, time_bin=bin_, **CHOICE)) for part in parts)
    for name, table in whole.items():
        joined = np.concatenate([part[name] for part in (first, second) if name in part])
        assert len(table) == len(joined) > 3
        for column in set(table.dtype.names) - {"TIMEDEL"}:
            np.testing.assert_array_equal(table[column], joined[column], err_msg=column)
        assert (np.diff(table["TIME"]) > 0).all()


def test_bins_of_short_windows(local_mmoda):
    """A pointing in two parts has bins in each."""
    parts = ["048000170010.001", "048000170020.001"]
    tables = curves_of(analysed(local_mmoda, parts, time_bin=200, **CHOICE))
    starts = [sky.window_time(name) for name in parts]
    table = tables["Ser X-1"]
    begin = table["TIME"] - table["TIMEDEL"] / 2
    np.testing.assert_allclose(np.diff(starts) * 86400, 300.0, rtol=1e-6)
    for start in starts:
        assert np.abs(begin - start).min() < 1e-6
    assert len(table) == 2 + 8
    assert table["TIMEDEL"].sum() * 86400 == pytest.approx(sky.POINTING_LENGTH, rel=1e-5)


def test_outburst_in_a_light_curve(local_mmoda):
    """Nothing before, the rate of the outburst within."""
    tables = curves_of(analysed(local_mmoda, [*QUIET, *ACTIVE], time_bin=1900, **CHOICE))
    table = tables[NOVA.name]
    observed = table["ERROR"] > 0
    expected = np.where(table["TIME"] > NOVA.variability.start, sky.band_rate(NOVA, 20, 40), 0.0)
    pulls = ((table["RATE"] - expected) / np.where(observed, table["ERROR"], 1.0))[observed]
    assert len(set(expected)) == 2
    assert abs(pulls.mean()) < 4.0 / np.sqrt(len(pulls))
    assert 0.7 < pulls.std() < 1.3


def test_flare_in_a_light_curve(local_mmoda):
    star = sky.source("1RXS J180834.7+101041")
    wanted = catalog((star.name, star.ra, star.dec, -32768, 2, 1))
    flaring = next(name for name in LONG if 0 < star.variability.start - sky.window_time(name) < 1500 / 86400)
    around = LONG[LONG.index(flaring) - 1 :][:2]
    table = curves_of(analysed(local_mmoda, around, time_bin=200, **wanted))[star.name]
    before = table["TIME"] + 1e-3 < star.variability.start
    assert before.sum() > 5
    assert (table["RATE"][before] < 5 * table["ERROR"][before] + sky.band_rate(star, 20, 40)).all()
    (peak,) = np.nonzero(table["RATE"] == table["RATE"].max())
    assert -200 < (table["TIME"][peak[0]] - star.variability.start) * 86400 < 300
    assert table["RATE"][peak[0]] > 20 * sky.band_rate(star, 20, 40)


def test_light_curve_where_the_source_is_in_the_field(local_mmoda):
    """JEM-X sees less of the sky: no bins of windows that look elsewhere."""
    star = sky.source("IGR J18078+1123")
    wanted = catalog((star.name, star.ra, star.dec, -32768, 2, 1))
    table = curves_of(analysed(local_mmoda, LONG[:25], "jemx_lc", time_bin=1900, **wanted))[star.name]
    place = SkyCoord(star.ra, star.dec, unit="deg")
    near = [name for name in LONG[:25] if place.separation(SkyCoord(*sky.pointing(name), unit="deg")).deg < 6.6]
    assert 0 < len(near) < 25
    np.testing.assert_allclose(table["TIME"], sky.periods(near).mean(axis=1), atol=1e-6)
