"""The main path on the released dispatcher: by type and by value against the known sky of the local service."""

import pickle
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS
from astroquery.exceptions import InputWarning, NoResultsWarning
from astroquery.query import BaseQuery, QueryWithLogin

from astroquery_mmoda import Job, Mmoda, MmodaClass, Products, conf, errors, spectrum_table
from tests.local_mmoda import sky
from tests.scripted_server import Reply, ScriptedServer

TIMES = (58193.455, 58246.892)
# the same ones in all queries: by `max_pointings` the service would draw others for each
WINDOWS = sky.spread(*(Time(TIMES, format="mjd", scale="utc").tt.mjd - sky.MJDREF), 10)
FIELD = {
    "coordinates": "MAXI J1820+070",
    "radius": 8 * u.deg,
    "time_range": TIMES,
    "osa_version": "OSA11.2",
    "scw_list": WINDOWS,
}
BAND = (30, 80) * u.keV
CENTRE = sky.source("MAXI J1820+070")


@pytest.fixture(scope="module")
def mosaic(mmoda):
    return mmoda.query_image("isgri", **FIELD, energy_range=BAND)


@pytest.fixture(scope="module")
def sources(mmoda):
    return mmoda.query_catalog("isgri", **FIELD, energy_range=BAND)


@pytest.fixture(scope="module")
def bright(sources):
    return sources[(sources["significance"] >= 8) & ["NEW" not in name for name in sources["src_names"]]]


@pytest.fixture(scope="module")
def spectra(mmoda, bright):
    return mmoda.query_spectrum("isgri", **FIELD, catalog=bright)


@pytest.fixture(scope="module")
def curve(mmoda, bright):
    return mmoda.query_lightcurve("isgri", **FIELD, catalog=bright, time_bin=1000 * u.s)


# ---- what the client is


def test_it_is_an_astroquery_class():
    assert isinstance(Mmoda, MmodaClass)
    assert isinstance(Mmoda, BaseQuery)
    assert isinstance(Mmoda, QueryWithLogin)
    assert isinstance(Mmoda(), MmodaClass)
    assert Mmoda.name == "Mmoda"


def test_a_client_pickles_without_its_secrets(mmoda):
    again = pickle.loads(pickle.dumps(mmoda))
    assert again.URL == mmoda.URL
    assert len(again.list_instruments()) == len(mmoda.list_instruments())


# ---- what there is


def test_instruments(mmoda):
    table = mmoda.list_instruments()
    assert isinstance(table, Table)
    assert table.colnames == ["instrument", "products"]
    assert {"isgri", "spi_acs", "spacetime", "twins", "faulty", "faulty_sync"} <= set(table["instrument"])
    assert "isgri_spectrum" in table["products"][list(table["instrument"]).index("isgri")]


def test_instruments_of_a_bare_server(local_mmoda):
    """Dispatcher 1.3.3 without our supplement."""
    from tests.local_mmoda.server import LocalMmoda

    with LocalMmoda(local_mmoda.python, instrument_list=False) as service:
        assert "isgri" in MmodaClass(server=service.url).list_instruments()["instrument"]


def test_products_and_parameters(mmoda):
    products = mmoda.list_products("isgri")
    assert dict(zip(products["product"], products["kind"], strict=True)) == {
        "isgri_image": "image",
        "isgri_lc": "lightcurve",
        "isgri_spectrum": "spectrum",
        "spectral_fit": "other",
    }
    parameters = mmoda.list_parameters("isgri", "isgri_image")
    row = parameters[list(parameters["name"]).index("E1_keV")]
    assert (row["default"], row["unit"], row["type"]) == ("20.0", "keV", "energy")
    assert set(mmoda.list_parameters("isgri")["product"]) == set(products["product"])


def test_names_resolve_by_the_service(mmoda):
    position = mmoda.resolve_name("maxi j1820+070")
    assert position.separation(SkyCoord(CENTRE.ra, CENTRE.dec, unit="deg")) < 0.1 * u.arcsec


def test_names_resolve_by_sesame_if_the_service_does_not_know(mmoda, monkeypatch):
    asked = []

    def sesame(name, *args, **kwargs):
        asked.append(name)
        return SkyCoord(1, 2, unit="deg")

    monkeypatch.setattr(SkyCoord, "from_name", sesame)
    mmoda.clear_cache()
    assert mmoda.resolve_name("Nova Nowhere 2099").dec.deg == 2
    assert mmoda.resolve_name("nova nowhere 2099").dec.deg == 2
    assert asked == ["Nova Nowhere 2099"]


def test_meta_data_and_names_are_asked_for_once():
    replies = {"/api/meta-data": META, "/resolve_name": {"RA": 10.0, "DEC": 5.0}}
    with ScriptedServer(lambda request: Reply(replies[request.path])) as server:
        client = MmodaClass(server=server.url)
        assert server.requests == []
        for _ in range(2):
            client.query_lightcurve("toy", "X", get_query_payload=True)
        assert [request.path for request in server.requests] == ["/api/meta-data", "/resolve_name"]
        client.clear_cache()
        client.list_products("toy")
        assert len(server.requests) == 3


META = [
    [
        {"instrumet": "toy"},
        {"prod_dict": {"toy_lc": "q"}},
        [{"query_name": "src_query"}, *({"name": name, "units": "deg", "value": 1.0} for name in ("RA", "DEC"))],
        [{"query_name": "q"}, {"product_name": "toy_lc"}],
    ]
]


# ---- images


def test_image_form(mosaic):
    assert isinstance(mosaic, fits.HDUList)
    names = ["PRIMARY", "GROUPING", "INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE", "CATALOG"]
    assert [hdu.name for hdu in mosaic] == names
    mosaic.verify("exception")
    header = mosaic["SIGNIFICANCE"].header
    assert (header["E_MIN"], header["E_MAX"], header["ORIGNAME"]) == (30, 80, "ISGR-MOSA-IMA")
    # the service sends zeros where it has not looked
    for name in ("INTENSITY", "VARIANCE", "SIGNIFICANCE"):
        assert np.isnan(mosaic[name].data[0, 0])
    assert u.Unit(mosaic["INTENSITY"].header["BUNIT"]) == u.ct / u.s


def brightest_pixel(mosaic):
    """Its significance, and how far its centre is from the bright source."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wcs = WCS(mosaic["SIGNIFICANCE"].header)
    y, x = np.unravel_index(np.nanargmax(mosaic["SIGNIFICANCE"].data), mosaic["SIGNIFICANCE"].data.shape)
    offset = wcs.pixel_to_world(x, y).separation(SkyCoord(CENTRE.ra, CENTRE.dec, unit="deg"))
    return mosaic["SIGNIFICANCE"].data[y, x], offset


def test_the_source_is_where_it_is(mosaic):
    assert brightest_pixel(mosaic)[1] < sky.PIXEL * u.deg


def test_the_significance_is_right(mosaic):
    found, offset = brightest_pixel(mosaic)
    expected = sky.significance(CENTRE, sky.periods(WINDOWS), ra=CENTRE.ra, dec=CENTRE.dec, low=30, high=80)
    # the pixel's centre is beside the peak of the point-spread function
    expected *= np.exp(-0.5 * (offset.deg / sky.PSF_SIGMA) ** 2)
    assert found == pytest.approx(expected, rel=0.02)
    noise = mosaic["INTENSITY"].data / np.sqrt(mosaic["VARIANCE"].data)
    np.testing.assert_allclose(noise, mosaic["SIGNIFICANCE"].data, rtol=1e-4)


def test_two_energy_bands(mmoda):
    two = mmoda.query_image("isgri", **FIELD, energy_range=BAND, number_of_bands=2)
    low, high = two["SIGNIFICANCE", 1].header, two["SIGNIFICANCE", 2].header
    assert low["E_MIN"] == 30
    assert low["E_MAX"] == high["E_MIN"]
    assert high["E_MAX"] == 80


def test_catalogue(sources):
    assert isinstance(sources, Table)
    expected = ["meta_ID", "src_names", "significance", "ra", "dec", "NEW_SOURCE", "ISGRI_FLAG", "FLAG", "ERR_RAD"]
    assert sources.colnames == expected
    known = {entry.name: entry for entry in sky.SOURCES}
    for row in sources:
        name = str(row["src_names"])
        assert row["NEW_SOURCE"] == (-32767 if name.startswith("NEW_") else -32768)
        if name in known:
            truth = SkyCoord(known[name].ra, known[name].dec, unit="deg")
            assert SkyCoord(row["ra"], row["dec"], unit="deg").separation(truth) < sky.PIXEL * u.deg
    assert {"NEW_1", "NEW_2", "Ser X-1"} <= set(sources["src_names"])
    assert sources["ra"].unit == u.deg
    assert sources.meta["FRAME"] == "fk5"
    assert (sources["significance"] >= 7).all()


def test_the_catalogue_depends_on_the_threshold(mmoda, sources):
    fewer = mmoda.query_catalog("isgri", **FIELD, energy_range=BAND, detection_threshold=20)
    assert 0 < len(fewer) < len(sources)


# ---- spectra


def test_spectrum_form(spectra, bright):
    assert len(spectra["SOURCES"].data) == len(bright)
    assert [hdu.name for hdu in spectra[1:5]] == ["SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX"]
    # the area is in the matrix
    assert set(spectra["SPECRESP", 1].data["SPECRESP"]) == {1.0}
    matrix = spectra["MATRIX", 1].data["MATRIX"]
    np.testing.assert_allclose(matrix, sky.EFFECTIVE_AREA[:, np.newaxis] * sky.REDISTRIBUTION, rtol=1e-6)
    assert spectra["SPECTRUM", 1].header["EXPOSURE"] == pytest.approx(10 * sky.POINTING_LENGTH * sky.LIVE_SHARE)


@pytest.mark.parametrize("name", ["MAXI J1820+070", "Ser X-1"])
def test_the_photon_index_comes_back(spectra, name):
    """A chi2 fit of a power law through the shipped response, two free parameters."""
    truth = sky.source(name)
    table = spectrum_table(spectra, name)
    number = [
        row["EXTVER"] for row in spectra["SOURCES"].data if row["SRC_NAME"].replace(" ", "") == name.replace(" ", "")
    ][0]
    widths = np.asarray(table["e_max"] - table["e_min"])
    rate, error = np.asarray(table["rate"]) * widths, np.asarray(table["error"]) * widths
    used = (np.asarray(table["quality"]) == 0) & (np.asarray(table["e_min"]) > 20) & (np.asarray(table["e_max"]) < 200)
    used &= error > 0
    area = spectra["SPECRESP", number].data
    matrix = np.zeros((len(area), len(table)))
    first = int(spectra["EBOUNDS", number].data["CHANNEL"][0])
    for row, line in zip(matrix, spectra["MATRIX", number].data, strict=True):
        start = int(np.atleast_1d(line["F_CHAN"])[0]) - first
        values = np.asarray(line["MATRIX"])
        row[start : start + len(values)] = values

    def chi2(index):
        power = 1 - index
        photons = (area["ENERG_HI"].astype(float) ** power - area["ENERG_LO"].astype(float) ** power) / power
        model = (photons * area["SPECRESP"]) @ matrix
        weight = 1 / error[used] ** 2
        norm = np.sum(weight * model[used] * rate[used]) / np.sum(weight * model[used] ** 2)
        return np.sum(weight * (rate[used] - norm * model[used]) ** 2), norm

    indices = np.linspace(truth.photon_index - 0.5, truth.photon_index + 0.5, 1001)
    values = np.array([chi2(index)[0] for index in indices])
    best = indices[np.argmin(values)]
    sigma = np.ptp(indices[values < values.min() + 1]) / 2
    assert 0 < sigma < 0.2
    assert abs(best - truth.photon_index) < 4 * sigma + 1e-3
    assert values.min() / used.sum() < 2


def test_one_source_of_a_reply(mmoda, bright):
    one = mmoda.query_spectrum("isgri", **FIELD, catalog=bright, source="ser x-1")
    assert one["SOURCES"].data["SRC_NAME"].tolist() == ["Ser X-1"]


# ---- light curves


def test_lightcurve_form(curve, bright):
    assert isinstance(curve, Table)
    columns = ["TOT_COUNTS", "BACKV", "BACKE", "RATE", "ERROR", "FRACEXP"]
    assert curve.colnames == ["src_name", "time", "time_bin", "e_min", "e_max", *columns]
    assert isinstance(curve["time"], Time)
    assert curve["time"].scale == "tt"
    assert set(curve["src_name"]) == set(bright["src_names"])
    assert curve["RATE"].unit == u.ct / u.s
    # the service's bins begin anew in each science window, and the last one is shorter
    begin, end = sky.periods(WINDOWS).T
    one = curve[curve["src_name"] == "Ser X-1"]
    assert one["time"].mjd.min() - sky.MJDREF == pytest.approx(begin.min() + 500 / 86400)
    assert one["time"].mjd.max() - sky.MJDREF == pytest.approx(end.max() - 450 / 86400)
    np.testing.assert_allclose(one["time_bin"].reshape(-1, 2), [[1000, 900]] * 10, atol=0.01)
    gaps = np.ma.getmaskarray(curve["RATE"])
    assert 0 < gaps.sum() < len(curve)
    assert (curve["ERROR"][~gaps] > 0).all()


def test_rates_follow_the_variability(curve):
    """Against the known sinusoid of the bright source."""
    rows = curve[curve["src_name"] == CENTRE.name]
    rows = rows[~np.ma.getmaskarray(rows["RATE"])]
    model = sky.band_rate(CENTRE, 20, 40) * CENTRE.variability.factor(rows["time"].mjd - sky.MJDREF)
    deviations = (np.asarray(rows["RATE"]) - model) / np.asarray(rows["ERROR"])
    assert abs(np.mean(deviations)) < 0.5
    assert np.std(deviations) < 2
    assert np.std(rows["RATE"]) > 5 * np.median(np.asarray(rows["ERROR"]))


def test_spi_acs(mmoda):
    times = ("2017-03-06T13:26:48", "2017-03-06T13:27:48")
    table = mmoda.query_lightcurve("spi_acs", "Crab", time_range=times, time_bin=0.5 * u.s)
    assert set(table["src_name"]) == {"Crab"}
    # a few bins take a native one from their neighbour
    assert np.mean(np.abs(table["time_bin"] - 0.5) < 1e-6) > 0.95
    begin = Time(times[0], scale="utc")
    burst = table["time"][np.argmax(table["RATE"])]
    assert abs((burst - begin).to_value(u.s) - sky.BURST_FRACTION * 60) < 1
    start = (table["time"][0] - begin).to_value(u.s) - table["time_bin"][0] / 2
    assert 0 <= start < sky.ACS_BIN
    edges = table["time"][1:] - table["time"][:-1]
    np.testing.assert_allclose(edges.to_value(u.s), (table["time_bin"][1:] + table["time_bin"][:-1]) / 2, atol=1e-4)


def test_an_instrument_without_position(mmoda):
    table = mmoda.query_lightcurve("spacetime", time_range=TIMES)
    assert len(table) > 0
    with pytest.raises(errors.ParameterError, match="coordinates= has no meaning for spacetime_lc"):
        mmoda.query_lightcurve("spacetime", "Crab", time_range=TIMES)


# ---- jobs and products


def test_submitting(mmoda, bright, tmp_path):
    job = mmoda.submit_spectrum("isgri", **{**FIELD, "scw_list": WINDOWS[1:]}, catalog=bright)
    assert isinstance(job, Job)
    assert len(job.job_id) == 16
    seen = []
    job.wait(progress=lambda job: seen.append(job.status))
    assert set(seen) <= {"submitted", "progress", "ready"}
    assert "main starting" in set(job.messages["message"])
    products = job.result()
    assert isinstance(products, Products)
    assert {product.kind for product in products} == {"spectrum", "arf", "rmf"}
    manifest = products.write(tmp_path / "spectra")
    with fits.open(tmp_path / "spectra" / "Ser_X-1_pha.fits") as pha:
        assert pha["SPECTRUM"].header["RESPFILE"] == "Ser_X-1_rmf.fits"
        assert pha["SPECTRUM"].header["ANCRFILE"] == "Ser_X-1_arf.fits"
        assert pha["SPECTRUM"].header["HDUCLAS2"] == "NET"
    with fits.open(tmp_path / "spectra" / "Ser_X-1_rmf.fits") as rmf:
        assert rmf["SPECRESP MATRIX"].header["HDUCLAS3"] == "FULL"
    assert len(manifest) == 3 * len(bright)


def test_query_product_is_everything(mmoda):
    products = mmoda.query_product("isgri", product="isgri_image", **FIELD, energy_range=BAND)
    assert {product.kind for product in products} == {"image", "catalog"}
    assert products.parameters["radius"] == 8.0


def test_the_same_question_is_the_same_job(mmoda):
    jobs = [mmoda.submit_image("isgri", **FIELD, energy_range=BAND) for _ in range(2)]
    assert jobs[0].job_id == jobs[1].job_id
    assert jobs[0].session_id != jobs[1].session_id


def test_raw_names_and_friendly_ones_ask_the_same(mmoda):
    friendly = mmoda.query_image("isgri", **FIELD, energy_range=BAND, get_query_payload=True)
    raw = mmoda.query_image(
        "isgri",
        RA=CENTRE.ra,
        DEC=CENTRE.dec,
        src_name="MAXI J1820+070",
        radius=8,
        T1=TIMES[0],
        T2=TIMES[1],
        T_format="mjd",
        scw_list=",".join(WINDOWS),
        E1_keV=30,
        E2_keV=80,
        osa_version="OSA11.2",
        product_type="Real",
        get_query_payload=True,
    )
    assert raw == friendly


def test_payload_is_what_is_sent_and_nothing_is_submitted(mmoda):
    payload = mmoda.query_image("isgri", **FIELD, energy_range=BAND, get_query_payload=True)
    assert all(isinstance(value, str) for value in payload.values())
    assert {"token", "session_id", "job_id"}.isdisjoint(payload)
    assert payload["T1"] == "2018-03-16T10:55:12.000"
    assert payload["product_type"] == "isgri_image"
    assert payload == mmoda.submit_image("isgri", **FIELD, energy_range=BAND, get_query_payload=True)


# ---- empty and broken


def test_nothing_found(mmoda):
    nowhere = {**FIELD, "coordinates": SkyCoord(200, -60, unit="deg"), "scw_list": WINDOWS[:2]}
    with pytest.warns(NoResultsWarning, match="no source was found"):
        table = mmoda.query_catalog("isgri", **nowhere)
    assert len(table) == 0
    assert "src_names" in table.colnames
    with pytest.warns(NoResultsWarning, match="returned nothing"):
        empty = mmoda.query_lightcurve("faulty_sync", product="nothing_lc", time_range=TIMES)
    assert len(empty) == 0
    assert empty["time"].scale == "tt"
    with pytest.warns(NoResultsWarning, match="returned nothing"):
        bare = mmoda.query_image("faulty_sync", product="nothing_image", time_range=TIMES)
    assert [hdu.name for hdu in bare] == ["PRIMARY"]


@pytest.mark.parametrize(
    ("instrument", "product"),
    [("faulty", "faulty_backend_image"), ("faulty", "faulty_build_image"), ("faulty_sync", "faulty_at_once_image")],
)
def test_the_three_faces_of_failure(mmoda, instrument, product):
    with pytest.raises(errors.JobFailed) as caught:
        mmoda.query_image(instrument, product=product, time_range=TIMES)
    assert caught.value.job.job_id in str(caught.value)
    assert caught.value.job.status == "failed"
    reason = str(caught.value).split("):", 1)[1]
    assert len(reason.strip()) > 10
    assert "gave no reason" not in reason


def test_no_data_in_the_interval(mmoda):
    before = {**FIELD, "scw_list": None, "time_range": ("1998-07-06", "1998-07-07")}
    with pytest.raises(errors.JobFailed, match=r"NoValidScW.*no INTEGRAL pointings match"):
        mmoda.query_image("isgri", **before, energy_range=BAND, src_name="no data")


def test_the_service_has_limits_that_its_meta_data_do_not_tell(mmoda):
    with pytest.raises(errors.ParameterError, match="energy range"):
        mmoda.query_image("isgri", **FIELD, energy_range=(1, 5) * u.keV)


def test_time_runs_out_and_nothing_is_lost(mmoda):
    slow = {**FIELD, "coordinates": "Crab", "scw_list": WINDOWS[:7]}
    with pytest.raises(errors.JobTimeout) as caught:
        mmoda.query_image("isgri", **slow, energy_range=(22, 50) * u.keV, timeout=0)
    assert len(caught.value.job.result()) == 2


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m.query_image("isgry", "Crab"), r"Unknown instrument 'isgry' \(did you mean 'isgri'\?\)"),
        (
            lambda m: m.query_image("isgri", "Crab", product="isgri_pic"),
            r"Unknown product 'isgri_pic'.*isgri_image \(image\)",
        ),
        (lambda m: m.query_image("isgri", **FIELD, radus=8), "Unknown parameter 'radus'.*did you mean 'radius'"),
        (lambda m: m.query_image("isgri", **{**FIELD, "radius": 8 * u.s}), "not convertible"),
        (lambda m: m.query_image("isgri", **FIELD, energy_range=(80, 30) * u.keV), "lower bound must come first"),
        (lambda m: m.query_image("isgri", **{**FIELD, "time_range": TIMES[::-1]}), "the end must come after the begin"),
        (
            lambda m: m.query_image("isgri", **{**FIELD, "coordinates": "Nova Nowhere"}),
            "does not know an object .Nova Nowhere., and Sesame did not give a position either .Unable to retrieve coordinates.. Give its",
        ),
        (lambda m: m.query_image("isgri", **{**FIELD, "coordinates": "05:99:00 +20:00:00"}), "not a valid position"),
        (lambda m: m.query_image("spi_acs", "Crab"), r"no image product.*spi_acs_lc \(lightcurve\)"),
        (lambda m: m.query_lightcurve("twins", "Crab"), r"2 lightcurve products.*product=.*first_lc.*second_lc"),
        (lambda m: m.query_product("isgri", "Crab"), r"4 products.*product="),
        (lambda m: m.query_image("isgri", **FIELD, catalog=Table()), "no sources"),
        (lambda m: m.query_image("", "Crab"), "instrument must be a name"),
        (lambda m: m.list_products("isgry"), "Unknown instrument"),
        (lambda m: m.query_image("isgri", **FIELD, parameters={"max_pointings": 5}, max_pointings=5), "given twice"),
        (lambda m: m.query_image("isgri", **FIELD, parameters=[1]), "must be a dict"),
    ],
    ids=range(16),
)
def test_mistakes_are_caught_before_anything_is_submitted(mmoda, monkeypatch, call, says):
    def fail(*args, **kwargs):
        raise AssertionError("submitted")

    def unknown(name, *args, **kwargs):
        from astropy.coordinates.name_resolve import NameResolveError

        raise NameResolveError("Unable to retrieve coordinates. See errors per URL below:\nhttps://sesame.example")

    monkeypatch.setattr("astroquery_mmoda.jobs.run.submit", fail)
    monkeypatch.setattr(SkyCoord, "from_name", unknown)
    with pytest.raises(errors.ParameterError, match=says):
        call(mmoda)


def test_positional_arguments_after_the_first_noun_are_refused(mmoda):
    with pytest.raises(TypeError):
        mmoda.query_image("isgri", "Crab", 8 * u.deg)


def test_defaults_are_said_aloud(mmoda):
    with pytest.warns(InputWarning, match="RA=265.97845833"):
        payload = mmoda.query_image("isgri", radius=8 * u.deg, time_range=TIMES, get_query_payload=True)
    assert payload["RA"] == "265.97845833"


def test_the_cache_of_astroquery_is_never_used(mmoda, tmp_path):
    mmoda.cache_location = tmp_path / "cache"
    try:
        mmoda.list_instruments()
        mmoda.query_lightcurve("spacetime", time_range=TIMES)
        assert list(mmoda.cache_location.iterdir()) == []
    finally:
        mmoda.reset_cache_location()


def test_a_server_that_is_not_there():
    with conf.set_temp("retry_time", 0), pytest.raises(errors.ServiceError, match="connection refused"):
        MmodaClass(server="http://127.0.0.1:9").list_instruments()


def test_names_in_tables_are_escaped():
    names = ["isgri", "odd\x1b[2J\u202e", "a\nb"]
    with ScriptedServer(lambda request: Reply(names if "instr-list" in request.path else "no", 200)) as server:
        table = MmodaClass(server=server.url).list_instruments()
    assert table["instrument"].tolist() == ["isgri", "odd\\x1b[2J\\u202e", "a b"]


def test_a_server_of_another_kind():
    with ScriptedServer(lambda request: Reply("<html><title>Welcome</title></html>")) as server:
        with pytest.raises(errors.ServiceError, match="Welcome"):
            MmodaClass(server=server.url).list_instruments()
        with pytest.raises(errors.ServiceError, match="Welcome"):
            MmodaClass(server=server.url).query_image("isgri", "1 2")
