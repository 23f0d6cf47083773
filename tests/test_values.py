"""Positions, times, energies and numbers as astronomers write them."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import FK5, SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time, TimeDelta

from astroquery_mmoda.errors import ParameterError
from astroquery_mmoda.request.encode import science_windows
from astroquery_mmoda.request.positions import designation, parse_position, sky_position
from astroquery_mmoda.request.values import energy_pair, time_pair

CRAB = SkyCoord(83.6331, 22.0145, unit="deg")


@pytest.mark.parametrize(
    "text",
    [
        "83.6331 22.0145",
        "83.6331, 22.0145",
        "83.6331d +22.0145d",
        "5h34m31.944s +22d00m52.2s",
        "05:34:31.944 +22:00:52.2",
        "05 34 31.944 +22 00 52.2",
        "05h34m31.944s+22d00m52.2s",
        "83d37m59.16s +22d00m52.2s",
    ],
)
def test_positions_as_text(text):
    assert parse_position(text).separation(CRAB) < 0.01 * u.arcsec


@pytest.mark.parametrize(
    "name",
    [
        "Crab",
        "MAXI J1820+070",
        "1E 1740.7-2942",
        "4U 1700-377",
        "3C 273",
        "M 1",
        "2MASS J05343194+2200521",
        "IGR J17091-3624",
        "[VV2006] J053431.9+220052",
        "PSR B0531+21",
        "4U 1823-00",
    ],
)
def test_names_are_no_positions(name):
    assert parse_position(name) is None


@pytest.mark.parametrize("text", ["05:75:31.9 +22:00:52", "05:34:31.9 +95:00:52", "83.6 122.0", "25h00m00s +10d00m00s"])
def test_sexagesimal_mistakes(text):
    with pytest.raises(ParameterError, match="not a valid position"):
        parse_position(text)


def test_frames_become_icrs():
    for frame in ("galactic", "fk5", "fk4", "icrs"):
        assert sky_position(CRAB.transform_to(frame)).separation(CRAB) < 1e-6 * u.arcsec
    assert sky_position(CRAB).frame.name == "icrs"
    assert sky_position(FK5(10 * u.deg, 5 * u.deg)).frame.name == "icrs"
    assert sky_position(SkyCoord([CRAB])).shape == ()


@pytest.mark.parametrize(
    "wrong", [SkyCoord([CRAB, CRAB]), (83.6, 22.0, 1.0), 83.6, None, ("Crab", "Pulsar"), (83.6, 91.0), (True, 2)]
)
def test_what_is_no_position(wrong):
    with pytest.raises(ParameterError, match="coordinates"):
        sky_position(wrong)


@pytest.mark.parametrize(
    ("position", "name"),
    [
        (CRAB, "J053431+220052"),  # cut, where rounding would give 32 s
        (SkyCoord("12h00m00s +00d00m00s"), "J120000+000000"),
        (SkyCoord("00h00m01s -00d00m30s"), "J000001-000030"),
        (SkyCoord("23h59m59.99s -89d59m59.9s"), "J235959-895959"),
    ],
)
def test_designation(position, name):
    assert designation(position) == name


# ---- times


@pytest.mark.parametrize(
    "time_range",
    [
        ("2018-03-16T10:55:12", "2018-03-16T11:55:12"),
        ["2018-03-16 10:55:12", "2018-03-16 11:55:12.000"],
        (58193.455, 58193.455 + 1 / 24),
        ("58193.455", "58193.4966666667"),
        (np.float64(58193.455), Time(58193.455, format="mjd") + 1 * u.hour),
        Time(["2018-03-16T10:55:12", "2018-03-16T11:55:12"]),
        (Time("2018-03-16T10:56:21.184", scale="tt"), Time("2018-03-16T11:56:21.184", scale="tt")),
        (Time("2018-03-16T11:25:12"), TimeDelta(1800, format="sec")),
        (Time("2018-03-16T11:25:12"), 0.5 * u.hour),
        ("2018-03-16T11:25:12", TimeDelta(1800 * u.s)),
    ],
    ids=str,
)
def test_time_ranges(time_range):
    begin, end = time_pair(time_range)
    assert (begin.isot, end.isot) == ("2018-03-16T10:55:12.000", "2018-03-16T11:55:12.000")


def test_times_are_utc_to_the_millisecond():
    begin, _ = time_pair((Time("2017-03-06T13:26:48.1236", scale="tt"), 58000))
    assert begin.scale == "utc"
    assert begin.isot == "2017-03-06T13:25:38.940"


@pytest.mark.parametrize(
    ("time_range", "says"),
    [
        ((58200, 58100), "the end must come after the begin"),
        ((58200, 58200), "the end must come after the begin"),
        (("yesterday", 58200), "not a valid time"),
        ((58100, 58200, 58300), "not a valid pair"),
        ("2018-03-16T10:55:12", r"not a valid pair.*Give two times, such as \("),
        (58100, "not a valid pair"),
        ((2458200.5, 2458300.5), "would be MJD.*that is an MJD"),
        ((True, False), "not a valid time"),
        ((58100 * u.keV, 58200), "not a valid time"),
        ((Time([58100, 58200], format="mjd"), 58300), "not a valid time"),
        ((float("nan"), 58200), "not a valid time"),
    ],
    ids=str,
)
def test_wrong_time_ranges(time_range, says):
    with pytest.raises(ParameterError, match=says):
        time_pair(time_range)


# ---- energies


@pytest.mark.parametrize(
    "energy_range",
    [
        (30, 80) * u.keV,
        (30 * u.keV, 0.08 * u.MeV),
        (30, 80),
        ("30 keV", "80 keV"),
        ((30, 80) * u.keV).to(u.Hz, u.spectral()),
        ((80, 30) * u.keV).to(u.angstrom, u.spectral()),
        ((30, 80) * u.keV).to(u.erg),
        np.array([30, 80]),
    ],
    ids=str,
)
def test_energy_ranges(energy_range):
    assert energy_pair(energy_range, u.keV) == pytest.approx((30, 80))


def test_energies_are_exactly_those_given():
    assert energy_pair((28.1, 40.3) * u.keV, u.keV) == (28.1, 40.3)


@pytest.mark.parametrize(
    ("energy_range", "says"),
    [
        ((80, 30) * u.keV, "lower bound must come first"),
        ((30, 30) * u.keV, "lower bound must come first"),
        (((80, 30) * u.keV).to(u.Hz, u.spectral()), "lower bound must come first"),
        ((30, 80) * u.s, "not convertible"),
        ((30, 80) * u.deg, "not convertible"),
        (30 * u.keV, "not a valid pair"),
        ("30-80 keV", r"not a valid pair.*Give \(30, 80\)\*u.keV"),
        (("thirty", 80), "not a valid number or Quantity"),
        ((-1, 80), "lower bound"),
        ((float("nan"), 80), "lower bound"),
    ],
    ids=str,
)
def test_wrong_energy_ranges(energy_range, says):
    with pytest.raises(ParameterError, match=says):
        energy_pair(energy_range, u.keV)


# ---- science windows


def test_a_file_without_science_windows_is_refused(tmp_path):
    path = tmp_path / "windows.txt"
    path.write_text("# none of them is good\n")
    for value in (path, str(path), Table({"SCW_ID": [], "SCW_VER": []})):
        with pytest.raises(ParameterError, match="it is empty"):
            science_windows(value)
    for value in ("", "[]", [], ()):  # the service's default
        assert science_windows(value) == []


def test_science_windows():
    windows = ["066500220010.001", "066500230010.001"]
    assert science_windows(windows) == windows
    assert science_windows(", ".join(windows)) == windows
    for number in (10, 20, 50, 200, 1000):  # longer than a path, or a name in it, can be
        many = [f"0665{pointing:04d}0010.001" for pointing in range(number)]
        assert science_windows(",".join(many)) == many
    assert science_windows("\n".join(windows)) == windows
    assert science_windows(Column(windows)) == windows
    assert science_windows(np.array(windows, dtype="S")) == windows
    assert science_windows(Table({"SCW_ID": ["066500220010", "066500230010"], "SCW_VER": [1, 1]})) == windows
    with pytest.raises(ParameterError, match="has no version.*066500220010.001"):
        science_windows(["066500220010"])
    with pytest.raises(ParameterError, match="scw_id and scw_ver"):
        science_windows(Table({"a": [1]}))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"Scw_Id": [66500220010], "sCW_vER": [1]}, ["066500220010.001"]),
        ({"scw_id": [66500220010.0], "scw_ver": [0.0]}, ["066500220010.000"]),
        ({"scw_id": ["066500220010.001"]}, ["066500220010.001"]),
        ({"scw_id": ["066500220010.001"], "scw_ver": [1]}, ["066500220010.001"]),
        ({"scw_id": ["066500220010.001"], "scw_ver": MaskedColumn([1], mask=[True])}, ["066500220010.001"]),
        ({"scw_id": MaskedColumn([66500220010], mask=[False]), "scw_ver": ["001 "]}, ["066500220010.001"]),
        ({"scw_id": np.array(["066500220010"], dtype=object), "scw_ver": np.array([b"001"])}, ["066500220010.001"]),
        ({"scw_id": ["066500220010.001"], "scw_ver": ["002"]}, "versions in scw_id and scw_ver differ"),
        ({"scw_id": MaskedColumn([66500220010], mask=[True]), "scw_ver": [1]}, "masked in row 0"),
        ({"scw_id": [66500220010], "scw_ver": MaskedColumn([1], mask=[True])}, "masked in row 0"),
        ({"scw_id": [np.nan], "scw_ver": [1]}, "masked in row 0"),
        ({"scw_id": [66500220010.5], "scw_ver": [1]}, "must be whole"),
        ({"scw_id": [np.inf], "scw_ver": [1]}, "must be whole"),
        # it would be the window 066500218880
        ({"scw_id": np.array([66500220010], dtype="f4"), "scw_ver": [1]}, "all of their digits"),
        ({"scw_id": [-66500220010], "scw_ver": [1]}, "not a valid science window"),
        ({"scw_id": [66500220010], "scw_ver": [-1]}, "not a valid science window"),
    ],
)
def test_tables_of_science_windows(columns, expected):
    for table in (Table(columns), Table(columns, masked=True), QTable(columns)):
        if isinstance(expected, list):
            assert science_windows(table) == expected
        else:
            with pytest.raises(ParameterError, match=expected):
                science_windows(table)
