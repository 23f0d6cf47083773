"""A question as the fields of a form: exactly what would be sent."""

import warnings

import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time
from astroquery.exceptions import InputWarning

from astroquery_mmoda.errors import ParameterError
from astroquery_mmoda.request.form import form_fields
from astroquery_mmoda.request.metadata import InstrumentSchema, Parameter, read_metadata
from astroquery_mmoda.request.query import Query

CRAB = SkyCoord(83.6331, 22.0145, unit="deg")
SINCE, UNTIL = "2017-03-06T13:26:48.000", "2017-03-06T15:32:27.000"
WHEN = {"time_range": (SINCE, UNTIL)}


@pytest.fixture(scope="session")
def schemas(recorded):
    return {
        name: read_metadata(recorded(f"meta_data_{name}"), name) for name in ("isgri", "spi_acs", "example", "empty")
    }


@pytest.fixture
def payload(schemas):
    def make(product="isgri_lc", instrument="isgri", *, name=None, also_known=tuple, **asked):
        return form_fields(
            schemas[instrument],
            product,
            Query.of_arguments(instrument, asked.pop("coordinates", None), asked),
            name=name,
            also_known=also_known,
        )

    return make


def test_everything_in_the_friendly_way(payload):
    assert payload(
        coordinates=CRAB,
        name="Crab",
        radius=8 * u.deg,
        energy_range=(30, 80) * u.keV,
        time_bin=0.5 * u.hour,
        scw_list=["066500220010.001"],
        parameters={"max_pointings": 10},
        **WHEN,
    ) == {
        "instrument": "isgri",
        "product_type": "isgri_lc",
        "query_type": "Real",
        "query_status": "new",
        "api": "True",
        "oda_api_version": "1.3.5",
        "RA": "83.6331",
        "DEC": "22.0145",
        "src_name": "Crab",
        "T1": SINCE,
        "T2": UNTIL,
        "T_format": "isot",
        "E1_keV": "30.0",
        "E2_keV": "80.0",
        "time_bin": "1800.0",
        "time_bin_format": "sec",
        "radius": "8.0",
        "scw_list": "066500220010.001",
        "max_pointings": "10",
    }


def test_a_call_written_for_oda_api(payload):
    old = payload(
        parameters={
            "RA": 83.6331,
            "DEC": "22.0145",
            "T1": 57818.56027777778,
            "T2": "57818.64753472222",
            "T_format": "mjd",
            "E1_keV": 30,
            "E2_keV": "80",
            "time_bin": 1800,
            "time_bin_format": "sec",
            "src_name": "Crab",
            "radius": 8,
            "product_type": "Dummy",
            "api": True,
            "oda_api_version": "1.1",
            "off_line": False,
            "verbose": True,
            "user_catalog_file": None,
            "selected_catalog": '{"cat_frame": "fk5"}',
        }
    )
    new = payload(
        coordinates=CRAB,
        name="Crab",
        radius=8 * u.deg,
        energy_range=(30, 80) * u.keV,
        time_bin="30 min",
        catalog='{"cat_frame": "fk5"}',
        query_type="Dummy",
        **WHEN,
    )
    assert old == new


def test_a_position_without_a_name_gets_a_designation(payload):
    assert payload(coordinates=CRAB, radius=1, **WHEN)["src_name"] == "J053431+220052"
    assert payload(coordinates=CRAB, radius=1, parameters={"src_name": "mine"}, **WHEN)["src_name"] == "mine"


def test_days_as_bins(payload):
    asked = payload(coordinates=CRAB, radius=1, parameters={"time_bin": 0.5, "time_bin_format": "jd"}, **WHEN)
    assert (asked["time_bin"], asked["time_bin_format"]) == ("43200.0", "sec")


def test_time_formats(payload):
    for value, form in ((57818.5, "mjd"), (2457819.0, "jd"), ("57818.5", "mjd"), (Time(57818.5, format="mjd"), "jd")):
        asked = payload(
            coordinates=CRAB,
            radius=1,
            parameters={"T1": value, "T2": "2457820.5" if form == "jd" else 57820, "T_format": form},
        )
        assert asked["T1"] == "2017-03-06T12:00:00.000"
    with pytest.raises(ParameterError, match=r"T_format='mjt' is not a time format.*'mjd'"):
        payload(parameters={"T1": 57818.5, "T_format": "mjt"})


def test_missing_position_and_time_are_said_aloud(payload):
    with pytest.warns(
        InputWarning,
        match="no position and no time range given; .* is used: RA=265.97845833.*T1=2017-03-06T13:26:48.000",
    ):
        asked = payload(radius=8 * u.deg)
    assert (asked["RA"], asked["src_name"], asked["T2"], asked["T_format"]) == (
        "265.97845833",
        "1E 1740.7-2942",
        UNTIL,
        "isot",
    )


def test_nothing_is_missing_where_it_has_no_meaning(payload):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with_windows = payload(coordinates=CRAB, radius=8, scw_list="066500220010.001")
        no_radius = payload("spi_acs_lc", "spi_acs", **WHEN)
    assert "T1" not in with_windows
    assert "RA" not in no_radius


def test_parameters_of_a_workflow(payload):
    asked = payload(
        "everything",
        "example",
        coordinates=CRAB,
        parameters={"flag": False, "cfg": {"a": None}, "scale": 3, "opt": None, "when": Time(59216, format="mjd")},
        **WHEN,
    )
    assert asked["flag"] == "False"
    assert asked["cfg"] == '{"a": null}'
    assert "opt" not in asked  # None is its default
    assert asked["when"] == "2021-01-02T00:00:00.000"


def test_names_that_only_the_service_knows(payload):
    asked = payload(
        "echo", "empty", parameters={"energ": 1.5, "energy_units": "keV"}, also_known=lambda: ["energy_units"], **WHEN
    )
    assert asked["energy_units"] == "keV"


@pytest.mark.parametrize(
    ("product", "instrument", "asked", "says"),
    [
        (
            "isgri_lc",
            "isgri",
            {"parameters": {"radus": 8}},
            r"Unknown parameter 'radus' for isgri_lc.*did you mean 'radius'.*It takes: coordinates, time_range, energy_range, time_bin, .*, max_pointings, ",
        ),
        ("isgri_lc", "isgri", {"parameters": {"detection_threshold": 8}}, "Unknown parameter 'detection_threshold'"),
        ("isgri_lc", "isgri", {"parameters": {"max_pointings": "many"}}, "max_pointings='many': not a valid number"),
        (
            "isgri_lc",
            "isgri",
            {"parameters": {"integral_data_rights": "private"}},
            "not among the choices.*public, all-private",
        ),
        ("isgri_lc", "isgri", {"coordinates": CRAB, "parameters": {"RA": 5}}, "coordinates= and 'RA' say the same"),
        ("isgri_lc", "isgri", {"parameters": {"T1": 5}, **WHEN}, "time_range= and 'T1' say the same"),
        ("isgri_lc", "isgri", {"parameters": {"T1": 58200, "T2": 58100}}, "the end must come after the begin"),
        ("isgri_lc", "isgri", {"parameters": {"T1": 58200}}, "the end must come after the begin"),
        ("isgri_lc", "isgri", {"parameters": {"E1_keV": 80, "E2_keV": 30}}, "lower bound must come first"),
        ("isgri_lc", "isgri", {"parameters": {"E1_keV": 80}}, "lower bound must come first"),
        ("isgri_lc", "isgri", {"energy_range": (80, 30) * u.keV}, "lower bound must come first"),
        ("isgri_lc", "isgri", {"radius": -1 * u.deg}, "out of range"),
        ("isgri_lc", "isgri", {"time_bin": 0 * u.s}, "time_bin=0.0 s.*0 is out of range"),
        ("isgri_image", "isgri", {"time_bin": 10 * u.s}, r"time_bin= has no meaning for isgri_image"),
        ("spi_acs_lc", "spi_acs", {"radius": 10 * u.deg}, "radius= has no meaning for spi_acs_lc"),
        ("spi_acs_lc", "spi_acs", {"energy_range": (30, 80) * u.keV}, "energy_range= has no meaning"),
        ("spi_acs_lc", "spi_acs", {"scw_list": "066500220010.001"}, "scw_list= has no meaning"),
        ("isgri_lc", "isgri", {"query_type": "Fake"}, "must be 'Real', or 'Dummy'"),
        ("isgri_lc", "isgri", {"parameters": {"session_id": "X"}}, "Unknown parameter 'session_id'"),
        ("isgri_lc", "isgri", {"parameters": {"job_id": "1"}}, "Unknown parameter 'job_id'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_refused(payload, product, instrument, asked, says):
    with pytest.raises(ParameterError, match=says):
        payload(product, instrument, **asked)


def test_an_instrument_without_position():
    schema = InstrumentSchema(
        "times", {"times_lc": {"T1": Parameter("T1", "isot", SINCE), "T2": Parameter("T2", "isot", UNTIL)}}
    )
    with pytest.raises(ParameterError, match="coordinates= has no meaning.*no parameter RA or DEC"):
        form_fields(schema, "times_lc", Query("isgri", coordinates=CRAB, **WHEN))
    assert form_fields(schema, "times_lc", Query("isgri", **WHEN))["T1"] == SINCE
