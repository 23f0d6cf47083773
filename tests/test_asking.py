"""Arguments as people have them: what can be understood is sent right, what can't be is told before anything is sent."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time, TimeDelta
from astroquery.exceptions import InputWarning

from astroquery_mmoda import MmodaClass, ParameterError
from astroquery_mmoda.many.rows import row_reader
from astroquery_mmoda.request.encode import science_windows, to_wire
from astroquery_mmoda.request.form import form_fields
from astroquery_mmoda.request.metadata import InstrumentSchema, Parameter, folded, read_metadata
from astroquery_mmoda.request.positions import parse_position, plain_dashes, sky_position
from astroquery_mmoda.request.query import Query
from astroquery_mmoda.request.values import convert, energy_pair, time_pair
from tests.scripted_server import Reply, ScriptedServer

RESPONSES = Path(__file__).parent / "data" / "responses"
INSTRUMENTS = ["isgri", "jemx", "spi_acs", "example", "empty", "empty_async"]
CENTRE = SkyCoord("17h45m40.04s -29d00m28.1s")
LAUNCH = 52564


@pytest.fixture(scope="module")
def schemas():
    return {name: read_metadata(_metadata(name), name) for name in INSTRUMENTS}


def _metadata(name):
    return json.loads((RESPONSES / f"meta_data_{name}.json").read_text("utf-8"))["json"]


@pytest.fixture
def payload(schemas):
    def make(product="isgri_lc", instrument="isgri", *, name=None, **asked):
        asked = {"time_range": (58000, 58001), "radius": 5, **asked}
        query = Query.of_arguments(instrument, asked.pop("coordinates", CENTRE), asked)
        return form_fields(schemas[instrument], product, query, name=name)

    return make


# ---- positions


@pytest.mark.parametrize(
    "text",
    [
        "17h45m40.04s, -29d00m28.1s",
        "17h45m40.04s \N{MINUS SIGN}29d00m28.1s",
        "17:45:40.04 \N{EN DASH}29:00:28.1",
        "17 45 40.04 -29 00 28.1",
        "17h 45m 40.04s -29d 00m 28.1s",
        "17 h 45 m 40.04 s - 29 d 0 m 28.1 s",
        "17H45M40.04S -29D00M28.1S",
        "17\u02b045\u1d5040.04\u02e2 \N{MINUS SIGN}29\N{DEGREE SIGN}00\N{PRIME}28.1\N{DOUBLE PRIME}",
        "17h45m40.04s -29\N{DEGREE SIGN}00'28.1\"",
        "17h45m40.04s -29d00'28.1''",
        "(266.416833, -29.007806)",
        "[266.416833, -29.007806]",
        "266.416833d -29.007806d",
        "266.416833\N{DEGREE SIGN}, \N{MINUS SIGN}29.007806\N{DEGREE SIGN}",
        "266.416833 deg -29.007806 deg",
        "266.416833;-29.007806",
        "266.416833\u00a0-29.007806",
        "266.416833-29.007806",
        "266d25m00.6s -29d00m28.1s",
        "2.66416833e2, -2.9007806e1",
        "-93.583167 -29.007806",
    ],
)
def test_positions_as_typed(text):
    assert parse_position(text).separation(CENTRE) < 0.01 * u.arcsec


def test_short_positions():
    assert parse_position("13 14 +33 22").to_string("decimal", precision=3) == "198.500 33.367"
    assert parse_position("13h14m +33d22m").to_string("decimal", precision=3) == "198.500 33.367"


@pytest.mark.parametrize(
    "name",
    [
        "J1820+070", "MAXI J1820+070", "PSR J2000+3210", "J2000+3210", "1H 0323+342", "2S 0114+650", "1M 1836-237",
        "0716+714", "PKS 2155-304", "HD 226868", "30 Dor", "51 Peg", "47 Tuc", "S5 0716+71", "Sgr A*", "GX 1+4",
        "GRS 1915+105", "[KRL2007b] 84", "1RXS J170849.0-400910", "4C 39.25", "M 1", "NGC 4151", "alpha Cen", "3C 273",
        "Swift J1727.8-1613", "2MASS J17454004-2900281", "1E 1740.7\N{MINUS SIGN}2942", "delta Cep",
    ],
)  # fmt: skip
def test_names_stay_names(name):
    assert parse_position(name) is None


@pytest.mark.parametrize(
    "text",
    [
        "266.4", "17 45 40.04", "17h45m40s", "1 2 3 4 5", "17 45 -29", "266.4 -95", "470 10", "17h65m00s -29d00m00s",
        "17h45m61s -29d00m00s", "25:00:00 +10:00:00", "17h45m40,04s -29d00m28,1s", "266.4, -29.0, 1.5", "17.5h45m -29d",
        "266:25:00 -29:00:28", "17h45m40s -29h00m28s", "12/34/56", "+5",
    ],
)  # fmt: skip
def test_numbers_are_never_looked_up(text):
    with pytest.raises(ParameterError, match=r"not a valid position.*'83\.63 22\.01'.*SkyCoord"):
        parse_position(text)


@pytest.mark.parametrize(
    "pair",
    [
        (266.416833, -29.007806),
        [266.416833, -29.007806],
        np.array([266.416833, -29.007806]),
        (266.416833 * u.deg, -29.007806 * u.deg),
        [266.416833, -29.007806] * u.deg,
        (Angle("17h45m40.04s"), Angle("-29d00m28.1s")),
        (CENTRE.ra, CENTRE.dec.to(u.arcmin)),
        ("17:45:40.04", "-29:00:28.1"),
        ("266.416833", "-29.007806"),
    ],
    ids=str,
)
def test_pairs_are_positions(pair):
    assert sky_position(pair).separation(CENTRE) < 0.01 * u.arcsec


@pytest.mark.parametrize("wrong", [(266.4, float("nan")), (266.4, 5 * u.s), ("a", 5), (True, 5), (266.4, 95), (470, 5)])
def test_pairs_that_are_none(wrong):
    with pytest.raises(ParameterError, match="not a valid position"):
        sky_position(wrong)


def test_positions_without_numbers_are_not_sent():
    for wrong in (SkyCoord(np.nan, 5, unit="deg"), SkyCoord(5, np.nan, unit="deg")):
        with pytest.raises(ParameterError, match="not finite"):
            sky_position(wrong)


def test_dashes_in_names():
    assert plain_dashes("1E 1740.7\N{MINUS SIGN}2942") == plain_dashes("1E 1740.7\N{EN DASH}2942") == "1E 1740.7-2942"


# ---- times


@pytest.mark.parametrize(
    "time_range",
    [
        (datetime.datetime(2018, 3, 16, 10, 55, 12), datetime.datetime(2018, 3, 16, 11, 55, 12)),
        (
            datetime.datetime(2018, 3, 16, 11, 55, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
            datetime.datetime(2018, 3, 16, 11, 55, 12, tzinfo=datetime.UTC),
        ),
        (np.datetime64("2018-03-16T10:55:12"), np.datetime64("2018-03-16T11:55:12.000000000")),
        np.array(["2018-03-16T10:55:12", "2018-03-16T11:55:12"], dtype="datetime64[s]"),
        (np.datetime64("2018-03-16T10:55:12"), "2018-03-16 11:55:12"),
        (58193.455, datetime.datetime(2018, 3, 16, 11, 55, 12)),
        (datetime.datetime(2018, 3, 16, 11, 25, 12), datetime.timedelta(minutes=30)),
        (58193.475833333333, TimeDelta(0.5 * u.hour)),
        ("2018-03-16T10:55:12Z", "2018-03-16T11:55:12Z"),
        ("2018-03-16T11:55:12+01:00", "2018-03-16 12:55:12+0100"),
    ],
    ids=str,
)
def test_time_ranges_of_python_and_numpy(time_range):
    begin, end = time_pair(time_range)
    assert (begin.isot, end.isot) == ("2018-03-16T10:55:12.000", "2018-03-16T11:55:12.000")
    assert begin.scale == "utc"


def test_dates():
    begin, end = time_pair((datetime.date(2018, 3, 16), np.datetime64("2018-03-17")))
    assert (begin.isot, end.isot) == ("2018-03-16T00:00:00.000", "2018-03-17T00:00:00.000")


@pytest.mark.parametrize(
    "wrong",
    [
        (np.datetime64("NaT"), 58200),
        (datetime.timedelta(1), 58200),
        (np.timedelta64(1, "D"), 58200),
        (datetime.time(5), 58200),
        (datetime.datetime(1700, 1, 1), 58200),
    ],
    ids=str,
)
def test_what_is_no_time(wrong):
    with pytest.raises(ParameterError, match="not a valid time|would be MJD") as caught:
        time_pair(wrong)
    assert "formats where" not in str(caught.value)
    assert "__array" not in str(caught.value)


@pytest.mark.parametrize(
    "times", [(6274.5, 6275), ("6274.5", "6275"), (np.float64(5000), 58000), (1000, TimeDelta(5 * u.day))]
)
@pytest.mark.parametrize("instrument", ["isgri", "jemx", "spi_acs"])
def test_days_before_the_launch_are_refused(payload, instrument, times):
    asked = {"time_range": times, "radius": None if instrument == "spi_acs" else 5}
    with pytest.raises(ParameterError, match=rf"before INTEGRAL's launch \(MJD {LAUNCH}\).*IJD = MJD - 51544.*Time\("):
        payload(f"{instrument}_lc", instrument, **asked)


@pytest.mark.parametrize("years", [(2018, 2019), ("2018", "2019"), (2018.0, 58200)])
def test_years_are_not_taken_for_days(payload, years):
    with pytest.raises(ParameterError, match=r"numbers are MJD.*give '2018-01-01'"):
        payload("isgri_lc", "isgri", time_range=years)


def test_raw_days_before_the_launch_are_refused(payload):
    for form in ({}, {"T_format": "mjd"}, {"T_format": " MJD "}):
        with pytest.raises(ParameterError, match="before INTEGRAL's launch"):
            payload(time_range=None, parameters={"T1": "6274.5", "T2": 6275, **form})
    with pytest.raises(ParameterError, match="before INTEGRAL's launch"):
        payload(time_range=(LAUNCH - 0.5, 58000))
    assert payload(time_range=(LAUNCH + 0.5, 58000))["T1"] == "2002-10-17T12:00:00.000"
    # what is said to be a time is one, and other instruments are older
    assert payload(time_range=(Time(50000, format="mjd"), 58000))["T1"].startswith("1995")
    assert payload("lightcurve", "example", time_range=(50000, "50001"), radius=None)["T1"].startswith("1995")


def test_integrals_own_days(payload):
    """What the message advises gives the time that was meant."""
    begin = Time(6274.5 + 51544, format="mjd", scale="tt")
    assert payload(time_range=(begin, begin + 1 * u.hour))["T1"] == "2017-03-06T11:58:50.816"


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        (("57818.5", " 57819.5"), "mjd"),
        ((57818.5, 57819.5), " MJD"),
        (("2457819.0", 2457820.0), "jd"),
        (("2017-03-06T12:00:00", "2017-03-07T12:00:00"), "isot"),
        (("2017-03-06 12:00:00 ", "2017-03-07 12:00:00"), "iso"),
        (("2017-03-06T12:00:00", "57819.5"), None),
    ],
)
def test_raw_times(payload, raw, form):
    asked = payload(time_range=None, parameters={"T1": raw[0], "T2": raw[1], "T_format": form})
    assert (asked["T1"], asked["T2"]) == ("2017-03-06T12:00:00.000", "2017-03-07T12:00:00.000")
    assert asked["T_format"] == "isot"


# ---- energies and other numbers


def test_wavelengths_in_either_order(payload):
    for pair in (([80, 30] * u.keV).to(u.angstrom, u.spectral()), ([30, 80] * u.keV).to(u.angstrom, u.spectral())):
        asked = payload(energy_range=pair)
        assert (asked["E1_keV"], asked["E2_keV"]) == ("30.0", "80.0")
    with pytest.raises(ParameterError, match="lower bound must come first"):
        energy_pair(([80, 30] * u.keV).to(u.Hz, u.spectral()), u.keV)


@pytest.mark.parametrize("keV", [15, 20, 28.1, 31.0, 35, 40, 57.3, 100, 511, 800])
@pytest.mark.parametrize("unit", [u.GeV, u.MeV, u.eV, u.J, u.erg, u.Hz, u.angstrom, u.m, u.GHz, u.TeV])
def test_converted_energies_are_round_again(keV, unit):
    assert convert((keV * u.keV).to(unit, u.spectral()), u.keV, "E") == keV


def test_limits_are_checked_with_rounded_numbers(payload):
    """15 keV is the lowest energy of ISGRI, however it is written."""
    asked = payload("isgri_image", energy_range=(1.5e-5, 8e-4) * u.GeV)
    assert (asked["E1_keV"], asked["E2_keV"]) == ("15.0", "800.0")
    lowest = Parameter("E1_keV", "keV", 20.0, minimum=15.0, maximum=800.0)
    assert to_wire(lowest, (15 * u.keV).to(u.GeV)) == "15.0"
    with pytest.raises(ParameterError, match=r"14\.9999 is out of range.*at least 15"):
        to_wire(lowest, 14.9999 * u.keV)


def test_plain_numbers_stay():
    energy = Parameter("E1_keV", "keV", 20.0)
    assert to_wire(energy, 28.123456789012345) == "28.123456789012344"
    assert to_wire(energy, 28.123456789012345 * u.keV) == "28.123456789012344"
    assert to_wire(energy, np.float32(28.1)) == "28.1"
    assert to_wire(energy, np.float32(28.1) * u.keV) == "28.1"


@pytest.mark.parametrize(
    "asked",
    [
        {"radius": 400 * u.deg},
        {"radius": 180.5},
        {"radius": 0},
        {"radius": -1 * u.deg},
        {"radius": "-3 arcmin"},
        {"parameters": {"max_pointings": 0}},
        {"parameters": {"max_pointings": -5}},
        {"parameters": {"max_pointings": "0"}},
        {"time_bin": -5},
        {"time_bin": 0 * u.s},
        {"parameters": {"RA": 500, "DEC": 5}, "coordinates": None},
        {"parameters": {"RA": 5, "DEC": -91}, "coordinates": None},
    ],
    ids=str,
)
def test_numbers_that_only_the_service_complained_of(payload, asked):
    with pytest.raises(ParameterError, match="out of range"):
        payload(**asked)


def test_a_radius_in_another_unit():
    assert to_wire(Parameter("Region_radius", "arcmin", 5.0), 10_800) == "10800.0"
    with pytest.raises(ParameterError, match="at most 10800"):
        to_wire(Parameter("Region_radius", "arcmin", 5.0), 181 * u.deg)


# ---- bins


@pytest.mark.parametrize(
    ("value", "form", "seconds"),
    [
        (1000, "sec", "1000.0"),
        ("1000", "sec", "1000.0"),
        (0.01, "jd", "864.0"),
        ("0.01", " JD ", "864.0"),
        (np.float64(0.01), "jd", "864.0"),
        (1000.0, None, "1000.0"),
    ],
)
def test_bins_with_their_format(payload, value, form, seconds):
    for asked in (
        {"time_bin": value, "parameters": {"time_bin_format": form}},
        {"parameters": {"time_bin": value, "time_bin_format": form}},
    ):
        found = payload(**asked)
        assert (found["time_bin"], found["time_bin_format"]) == (seconds, "sec")


def test_formats_of_bins_that_make_no_sense(payload):
    for value, says in (("days", "must be 'sec', or 'jd'"), (5, "must be 'sec', or 'jd'")):
        with pytest.raises(ParameterError, match=says):
            payload(time_bin=1, parameters={"time_bin_format": value})
    for asked in ({"time_bin": 5}, {"parameters": {"time_bin": 5}}):
        with pytest.raises(
            ParameterError, match="time_bin= has no meaning for isgri_image|Unknown parameter 'time_bin'"
        ):
            payload("isgri_image", **asked)


# ---- science windows


WINDOWS = ["035200230010.001", "035200240010.002"]


@pytest.mark.parametrize(
    "value",
    [
        WINDOWS,
        tuple(WINDOWS),
        "\n".join(f"/isdc/arc/rev_3/scw/0352/{window}/swg.fits[1]" for window in WINDOWS),
        [f"scw/0352/{window}/swg.fits[SWG]" for window in WINDOWS],
        [f"scw/0352/{window}/swg.fits[GROUPING,1,BINTABLE]".replace(",", ";") for window in WINDOWS],
        "# burst\n" + "\n".join(WINDOWS) + "  # the second",
        str(WINDOWS),
        json.dumps(WINDOWS),
        np.array(WINDOWS),
        np.array(WINDOWS, dtype="S"),
        Column(WINDOWS),
        MaskedColumn(WINDOWS),
        [np.str_(window) for window in WINDOWS],
        Table({"SCW_ID": [35200230010, 35200240010], "SCW_VER": [1, 2]}),
        Table({"scw_id": [35200230010.0, 35200240010.0], "scw_ver": ["1", "002"]}),
        Table({"scw_id": [b"035200230010", b"035200240010"], "scw_ver": [b"001", b"002"]}),
        Table({"scw_id": ["35200230010 ", "035200240010"], "scw_ver": [1.0, 2.0]}),
        Table({"scw_id": WINDOWS}),
        Table({"scw_id": WINDOWS, "scw_ver": ["001", "002"]}),
    ],
    ids=lambda value: f"{type(value).__name__} {str(value)[:30]!r}",
)
def test_windows(value):
    assert science_windows(value) == WINDOWS


def test_a_file_of_windows():
    Path("list.txt").write_text("\ufeff" + "\n".join(f"scw/0352/{window}/swg.fits[1]" for window in WINDOWS), "utf-8")
    assert science_windows("list.txt") == science_windows(Path("list.txt")) == WINDOWS


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([35200230010], "'35200230010': it has no version.*scw_ver"),
        (np.array([35200230010]), "it has no version"),
        (["035200230010"], "it has no version"),
        ([35200230010.001], "not a valid science window"),
        (["35200230010.001"], "not a valid science window: '35200230010.001'. Give texts of twelve digits"),
        (["035200230010.1"], "not a valid science window"),
        (["scw/0352/035200230010.001/../035200240010.001/swg.fits"], "not a valid science window"),
        (MaskedColumn(WINDOWS, mask=[False, True]), "masked in row 1"),
        (Table({"scw_id": MaskedColumn([1, 2, 3], mask=[1, 0, 1]), "scw_ver": [1, 1, 1]}), "it is masked in row 0, 2"),
        ("066500220010.001,066500230010.001,066500220010.000", r"science window: 066500220010\.000, 066500220010\.001\. Keep one"),
        (Table({"scw_id": ["035200230010"]}), "a Table with scw_id and scw_ver"),
        (Table({"scw_id": np.zeros(0, "U16"), "scw_ver": np.zeros(0, "U3")}), "it is empty"),
        pytest.param(set(WINDOWS), "a list is needed", id="set"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_windows_that_are_refused(value, says):
    with pytest.raises(ParameterError, match=says):
        science_windows(value)


def test_windows_given_twice_are_sent_once():
    with pytest.warns(InputWarning, match=r"came more than once are sent once \(1 left out\)"):
        assert science_windows([*WINDOWS, WINDOWS[0]]) == WINDOWS


# ---- nothing, and defaults given back


@pytest.mark.parametrize(
    "others",
    [
        {"selected_catalog": None}, {"src_name": None}, {"user_catalog": None}, {"T_format": None},
        {"product_type": None}, {"api": True, "off_line": "False", "verbose": None},
    ],
)  # fmt: skip
def test_none_says_nothing(payload, others):
    assert payload(parameters=others) == payload()


def test_none_where_a_value_is_needed(payload):
    with pytest.raises(ParameterError, match="max_pointings=None: .*the service needs one.*default 50"):
        payload(parameters={"max_pointings": None})


def test_none_of_an_optional_parameter_with_a_default():
    """There None is a value of its own."""
    schema = InstrumentSchema(
        "flow", {"it": {"x": Parameter("x", None, 5.0, optional=True), "y": Parameter("y", None, None)}}
    )
    assert form_fields(schema, "it", Query("isgri", parameters={"x": None, "y": None})).get("x") == "\x00"
    assert "y" not in form_fields(schema, "it", Query("isgri", parameters={"x": None, "y": None}))


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_defaults_given_back_as_text(schemas, instrument):
    """Every default of list_parameters is accepted as it stands there, and means the same."""
    schema = schemas[instrument]
    for product in schema.products:
        listed = schema.list_parameters(product)
        texts = {str(row["name"]): str(row["default"]) for row in listed}
        own = ("radius", "time_bin", "scw_list")
        question = Query(
            "isgri",
            **{name: texts[name] for name in own if name in texts},
            parameters={name: text for name, text in texts.items() if name not in own},
        )
        found = form_fields(schema, product, question)
        for name, text in texts.items():
            default = schema.products[product][name].default
            if default is None:
                assert name not in found
            else:
                assert found[name] == to_wire(schema.products[product][name], default), (product, name, text)


def test_raw_beside_friendly(payload):
    for others in ({"RA": 5}, {"DEC": 5}, {"T1": 58000}, {"T2": 58000}, {"T_format": "mjd"}):
        with pytest.raises(ParameterError, match="say the same thing"):
            payload(parameters=others)
    with pytest.raises(ParameterError, match="say the same thing"):
        payload(energy_range=(20, 40), parameters={"E1_keV": 20})
    with pytest.raises(ParameterError, match="say the same thing"):
        payload(catalog="{}", parameters={"selected_catalog": "{}"})
    assert payload(name="Crab", parameters={"src_name": "mine"})["src_name"] == "mine"


# ---- instruments and products


def test_folding():
    assert len({folded(name) for name in ("SPI-ACS", "spi_acs", "Spi Acs", " spiacs ", "SPI\N{EN DASH}ACS")}) == 1
    assert folded("jemx") != folded("jemx1")


@pytest.fixture
def service():
    """A service with instruments that differ in little, which counts what is asked."""
    known = {"isgri": "isgri", "spi_acs": "spi_acs", "Twin-1": "example", "twin_1": "empty", "TWIN 1": "jemx"}

    def answer(request):
        server.asked.append((request.path, request.query.get("instrument")))
        name = known.get(request.query.get("instrument", ""))
        if request.path.endswith("instr-list"):
            return Reply(json.dumps(list(known)))
        if request.path.endswith("api/meta-data") and name:
            return Reply(json.dumps(_metadata(name)))
        return Reply(json.dumps({"error_message": "instrument not recognized"}), 400)

    with ScriptedServer(answer) as server:
        server.asked = []
        yield server


@pytest.mark.parametrize(
    ("instrument", "arguments", "says"),
    [
        (["isgri"], {}, "instrument must be a name"),
        ({"isgri"}, {}, "instrument must be a name"),
        ("isgri", {"product": ["isgri_image"]}, "Unknown product"),
        ("isgri", {"product": 5}, "Unknown product '5'"),
        ("isgri", {"coordinates": " "}, "coordinates is an empty text"),
        ("isgri", {"energy_range": {20, 40}}, "energy_range={.*}: not a valid pair"),
        ("isgri", {"time_range": (Time(58000, format="mjd", scale="local"), 58001)}, "not a valid time"),
        ("isgri", {"catalog": ""}, "catalog= is an empty text"),
        ("isgri", {"selected_catalog": []}, "catalog= must be a Table"),
    ],
)
def test_arguments_of_odd_types(mmoda, instrument, arguments, says):
    with pytest.raises(ParameterError, match=says):
        mmoda.query_image(instrument, **{"coordinates": "83.6 22.0", **arguments}, get_query_payload=True)


def test_an_empty_text_for_a_pasted_catalogue(mmoda):
    asked = {"time_range": (58000, 58001), "get_query_payload": True}
    assert "selected_catalog" not in mmoda.query_image("isgri", "83.6 22.0", **asked, selected_catalog="")


@pytest.mark.parametrize("name", ["ISGRI", "isgri", " Isgri", "IS-GRI"])
def test_names_of_instruments(service, name):
    client = MmodaClass(server=service.url)
    when = {"coordinates": "83.6 22.0", "radius": 5, "time_range": (58000, 58001), "get_query_payload": True}
    assert client.query_image(name, **when)["instrument"] == "isgri"
    assert client.submit_image(name, **when)["instrument"] == "isgri"
    assert "isgri_lc" in client.list_products(name)["product"]
    assert "time_bin" in client.list_parameters(name, "isgri_lc")["name"]
    before = len(service.asked)
    client.query_image(name, **when)
    assert len(service.asked) == before  # once it is known


def test_the_exact_name_wins(service):
    client = MmodaClass(server=service.url)
    for name, product in (("Twin-1", "lightcurve"), ("twin_1", "numerical"), ("TWIN 1", "jemx_lc")):
        assert product in client.list_products(name)["product"]
    with pytest.raises(ParameterError, match="Unknown instrument 'twin1'; it may be Twin-1 or twin_1 or TWIN 1"):
        client.list_products("twin1")
    with pytest.raises(ParameterError, match=r"Unknown instrument 'isgr1' \(did you mean 'isgri'\?\)"):
        client.list_products("isgr1")
    for wrong in ("", "  ", None, 5):
        with pytest.raises(ParameterError, match="instrument must be a name"):
            client.list_products(wrong)


def test_what_an_instrument_has_instead(schemas):
    with pytest.raises(ParameterError) as caught:
        schemas["spi_acs"].choose("image", None)
    assert str(caught.value) == ("Instrument 'spi_acs' has no image products. It has: spi_acs_lc (lightcurve).")
    with pytest.raises(ParameterError, match="no image products. Choose one with product="):
        schemas["empty"].choose("image", None)


# ---- many


def test_dicts_of_many_have_positions_like_tables():
    wanted = SkyCoord(275.09, 7.19, unit="deg")
    queries = [
        {"instrument": "isgri", "ra": 275.09, "dec": 7.19},
        {"instrument": "isgri", "ra": 275.09 * u.deg, "dec": Angle("7.19d")},
        {"instrument": "isgri", "ra": 275.09, "dec": 7.19, "coordinates": None},
    ]
    number, read = row_reader(queries)
    for row in range(number):
        found = read(row)
        assert sky_position(found["coordinates"]).separation(wanted) < 0.001 * u.arcsec
        assert not {"ra", "dec"} & set(found)
    _, read = row_reader(Table({"instrument": ["isgri"], "ra": [275.09], "dec": [7.19]}))
    assert sky_position(read(0)["coordinates"]).separation(wanted) < 0.001 * u.arcsec
    _, read = row_reader([{"instrument": "isgri", "ra": "18:20:21.6", "dec": "+07:11:24"}])
    assert sky_position(read(0)["coordinates"]).separation(wanted) < 0.1 * u.arcsec
    _, read = row_reader([{"instrument": "isgri", "RA": 275.09, "DEC": 7.19}])
    assert (read(0)["RA"], read(0)["DEC"]) == (275.09, 7.19)


def test_many_as_with_a_table(mmoda):
    field = {"radius": 8, "time_range": (58193.455, 58195.5), "max_pointings": 3}
    queries = [{"instrument": "ISGRI", "ra": 275.09, "dec": 7.19, **field}]
    table = Table({"instrument": ["isgri"], "ra": [275.09], "dec": [7.19], "radius": [8.0], "max_pointings": [3]})
    table["time_range"] = [[58193.455, 58195.5]]
    (one,) = dict(mmoda.query_many("image", queries, progress=False)).values()
    (other,) = dict(mmoda.query_many("image", table, progress=False)).values()
    assert one[0].header["JOB_ID"] == other[0].header["JOB_ID"]


def test_instruments_of_the_released_dispatcher(mmoda):
    for name, product in (("SPI-ACS", "spi_acs_lc"), ("JEM-X", "jemx_lc"), ("jem x", "jemx_lc"), ("ISGRI", "isgri_lc")):
        assert product in mmoda.list_products(name)["product"]
    with pytest.raises(ParameterError, match="has no image products"):
        mmoda.query_image("SPI-ACS", get_query_payload=True)
    with pytest.raises(ParameterError, match="numbers are not looked up as a name"):
        mmoda.query_image("isgri", "275.09", get_query_payload=True)
    assert mmoda.resolve_name("18:39:57.5 +05:02:09").separation(SkyCoord("18h39m57.5s +05d02m09s")) < 0.1 * u.arcsec
    with pytest.raises(ParameterError, match="it may be in hours or in degrees"):
        mmoda.resolve_name("18:39:57.5")
    asked = mmoda.query_image(
        "isgri", "Ser X\N{MINUS SIGN}1", radius=5, time_range=(58193, 58194), get_query_payload=True
    )
    assert asked["src_name"] == "Ser X-1"


@pytest.mark.parametrize("value", [np.ma.masked, np.ma.array([5.0], mask=[True]), np.True_, 1j], ids=repr)
def test_values_that_astropy_would_take_for_numbers(value):
    with pytest.raises(ParameterError, match="coordinates=.*masked number"):
        sky_position((83.6, value))
    with pytest.raises(ParameterError, match="energy_range=.*masked number"):
        energy_pair((value, 40), u.keV)
