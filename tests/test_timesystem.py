"""Science windows of INTEGRAL: the request to the time system, what its replies mean, and the Table made of them."""

from __future__ import annotations

import json
import resource
import time
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, angular_separation
from astropy.table import Table, vstack
from astropy.time import Time, TimeDelta
from astroquery.exceptions import CorruptDataWarning, NoResultsWarning
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astroquery_mmoda import MmodaClass, conf, errors
from astroquery_mmoda.request.encode import science_windows
from tests import tokens
from tests.scripted_server import Reply, ScriptedServer

CRAB = SkyCoord(83.6324, 22.0174, unit="deg")
COLUMNS = ["scw_id", "scw_ver", "ra", "dec", "start", "stop", "duration", "offset", "revolution"]
NAMES = ("SWID", "RA_SCX", "DEC_SCX", "TSTART", "TSTOP", "TELAPSE")
RANGE = ("2010-02-26T00:00:00", "2010-02-27T00:00:00")
#: IJD (TT) at the begin of that range: 66.184 s after the same text in UTC
BEGIN = Time(RANGE[0], scale="utc").tt.mjd - 51544
ROUTE = "/gw/timesystem/api/v1.0/scwlist"

# identifier, RA, dec, begin and end in s after BEGIN
WINDOWS = (
    ("090100020010", 84.0, 22.5, 40_000, 43_000),
    ("090100010021", 83.0, 22.0, 35_000, 35_100),  # a slew
    ("090100010010", 83.6324, 26.0174, 30_000, 35_000),
    ("090100030010", 83.6324, 31.5, 50_000, 53_500),
    ("090100030022", 83.6324, 22.0, 53_500, 53_600),  # engineering
    ("090000990010", 359.5, -30.0, -3_000, 500),
)


def index(windows=WINDOWS, **changes):
    """Reply of the time system with columns."""
    rows = [(name, ra, dec, BEGIN + a / 86400, BEGIN + b / 86400, float(b - a)) for name, ra, dec, a, b in windows]
    return {**dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True)), **changes}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr("astroquery_mmoda.service.http._pause", lambda attempt, asked: 0.01)
    with conf.set_temp("retry_time", 0.3):
        yield


@pytest.fixture
def serve():
    """Function that starts a server with an answer, and gives a client of it, and the server."""
    servers = []

    def start(answer):
        reply = answer if callable(answer) else lambda request: answer if isinstance(answer, Reply) else Reply(answer)
        servers.append(ScriptedServer(reply).__enter__())
        return MmodaClass(server=f"{servers[-1].url}/mmoda/dispatch-data"), servers[-1]

    yield start
    for server in servers:
        server.__exit__()


# ---- the request


def test_the_request(serve):
    mmoda, server = serve(index())
    mmoda.query_science_windows(CRAB, 12 * u.deg, RANGE, min_duration=1000)
    (request,) = server.requests
    assert request.method == "GET"
    assert request.path == f"/mmoda/dispatch-data{ROUTE}/cons/2010-02-25T23:50:00.000/2010-02-27T00:10:00.000"
    # never the service's own cut of good time, which drops windows of JEM-X
    assert request.query == {"ra": "83.6324", "dec": "22.0174", "radius": "12", "return_columns": ",".join(NAMES)}


def test_the_payload_is_what_is_sent(serve):
    mmoda, server = serve(index())
    arguments = (CRAB.galactic, "720 arcmin", (Time(RANGE[0]) + 12 * u.h, 12 * u.h))
    payload = mmoda.query_science_windows(*arguments, nrt=True, get_query_payload=True)
    assert server.requests == []
    assert list(payload) == ["readiness", "T1", "T2", "ra", "dec", "radius", "return_columns"]
    assert all(type(text) is str for text in payload.values())
    mmoda.query_science_windows(*arguments, nrt=True)
    (request,) = server.requests
    assert request.path.endswith("/".join(("scwlist", payload["readiness"], payload["T1"], payload["T2"])))
    assert request.query == dict(list(payload.items())[3:])
    assert payload["readiness"] == "nrt"
    assert float(payload["ra"]) == pytest.approx(83.6324)


def test_the_name_of_an_object_is_looked_up(serve):
    def answer(request):
        is_name = request.path.endswith("/resolve_name")
        return Reply({"name": "Crab", "RA": 83.6324, "DEC": 22.0174} if is_name else index())

    mmoda, server = serve(answer)
    payload = mmoda.query_science_windows("Crab", "12 deg", RANGE, get_query_payload=True)
    assert payload["ra"] == "83.6324"
    assert [request.path.rpartition("/")[2] for request in server.requests] == ["resolve_name"]
    assert len(mmoda.query_science_windows("Crab", "12 deg", RANGE)) == 3
    assert len(server.requests) == 2  # the position is known


def test_no_token_is_sent(serve, monkeypatch):
    mmoda, server = serve(index())
    mmoda.login(tokens.mint())
    mmoda.query_science_windows(CRAB, "12 deg", RANGE)
    assert "token" not in server.requests[-1].line
    assert not {name.lower() for name in server.requests[-1].headers} & {"authorization", "cookie"}
    # an expired one does not matter
    monkeypatch.setenv("ODA_TOKEN", tokens.mint(exp=time.time() - 10))
    other, _ = serve(index())
    assert len(other.query_science_windows(CRAB, "12 deg", RANGE)) == 3


def test_without_times_from_launch_to_now(serve):
    mmoda, server = serve(index())
    mmoda.query_science_windows(CRAB, "12 deg")
    (request,) = server.requests
    first, last = (Time(text) for text in request.path.split("/")[-2:])
    assert abs(first - Time("2002-10-17")) < 20 * u.min
    assert abs(last - Time.now()) < 20 * u.min


def test_the_whole_sky_over_many_years_is_requested_in_parts(serve):
    mmoda, server = serve(index())
    table = mmoda.query_science_windows()
    spans = [tuple(map(Time, request.path.split("/")[-2:])) for request in server.requests]
    assert 3 <= len(spans) <= 5
    assert all(last - first < 8.01 * u.yr for first, last in spans)
    # they overlap by the margin, so nothing is between them, and each window came once
    assert all(next_first < last for (_, last), (next_first, _) in zip(spans, spans[1:], strict=False))
    payload = mmoda.query_science_windows(get_query_payload=True)
    assert payload["T1"] == spans[0][0].isot
    assert abs(Time(payload["T2"]) - spans[-1][1]) < 1 * u.min
    assert len(table) == len(set(table["scw_id"])) == 4
    mmoda.query_science_windows(CRAB, 180)
    assert len(server.requests) == 2 * len(spans)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"coordinates": CRAB}, r"radius= is needed.*12 deg for ISGRI.*3.5 to 5 deg for JEM-X"),
        ({"radius": "5 deg"}, "radius= needs coordinates="),
        ({"coordinates": CRAB, "radius": "5"}, None),
        ({"coordinates": CRAB, "radius": 0}, "radius"),
        ({"coordinates": CRAB, "radius": 181}, "radius"),
        ({"coordinates": CRAB, "radius": float("nan")}, "radius"),
        ({"coordinates": CRAB, "radius": 5 * u.keV}, "radius"),
        ({"coordinates": "", "radius": 5}, "coordinates"),
        ({"coordinates": SkyCoord([1, 2], [3, 4], unit="deg"), "radius": 5}, "coordinates"),
        ({"time_range": ("2010-02-27", "2010-02-26")}, "the end must come after the begin"),
        ({"time_range": (3709.0, 3710.0)}, "IJD"),
        ({"time_range": "2010-02-27"}, "time_range"),
        ({"min_duration": -1}, "min_duration"),
        ({"min_duration": 5 * u.m}, "min_duration"),
        ({"min_duration": float("nan")}, "min_duration"),
        ({"nrt": "no"}, "nrt"),
    ],
    ids=str,
)
def test_wrong_arguments(serve, arguments, says):
    mmoda, server = serve(index())
    if says is None:
        assert mmoda.query_science_windows(**arguments, get_query_payload=True)["radius"] == "5"
        return
    with pytest.raises(errors.ParameterError, match=says):
        mmoda.query_science_windows(**arguments)
    assert server.requests == []


# ---- the Table


def test_the_table(serve, log_records):
    mmoda, _ = serve(index())
    table = mmoda.query_science_windows(CRAB, 12 * u.deg, RANGE)
    assert table.colnames == COLUMNS
    assert list(table["scw_id"]) == ["090100010010", "090100020010", "090100030010"]
    assert list(table["scw_ver"]) == ["001"] * 3
    assert list(table["revolution"]) == [901] * 3
    assert table["revolution"].dtype.kind == "i"
    assert [str(table[name].unit) for name in ("ra", "dec", "duration", "offset")] == ["deg", "deg", "s", "deg"]
    assert list(table["duration"]) == [5000, 3000, 3500]
    begins = Time(RANGE[0], scale="utc") + TimeDelta([30_000, 40_000, 50_000] * u.s)
    assert np.all(np.abs((table["start"] - begins).sec) < 1e-3)
    assert table["start"].scale == table["stop"].scale == "utc"
    assert np.allclose((table["stop"] - table["start"]).sec, table["duration"], atol=1e-3)
    expected = angular_separation(
        *(np.radians(np.array(each)) for each in (83.6324, 22.0174, table["ra"], table["dec"]))
    )
    expected = np.degrees(expected)
    assert np.allclose(table["offset"], expected)
    assert table["offset"][0] == pytest.approx(4.0)
    (line,) = [line for line in log_records() if "science window" in line]
    assert line == "3 science windows, 11.5 ks elapsed, 2010-02-26 08:20:00 to 2010-02-26 14:51:40 (UTC)"


def test_near_real_time_data_have_another_version(serve):
    mmoda, _ = serve(index())
    table = mmoda.query_science_windows(CRAB, 12 * u.deg, RANGE, nrt=True)
    assert list(table["scw_ver"]) == ["000"] * 3
    assert science_windows(table)[0] == "090100010010.000"


def test_without_a_position_the_offset_is_masked(serve):
    mmoda, _ = serve(index())
    table = mmoda.query_science_windows(time_range=RANGE)
    assert table.colnames == COLUMNS
    assert table["offset"].mask.all()
    assert table["offset"].unit == u.deg
    # also the one that began before the range
    assert list(table["scw_id"]) == ["090000990010", "090100010010", "090100020010", "090100030010"]


@pytest.mark.parametrize("seconds", [(-100, -1e-3), (-100, 0), (86_400, 86_500), (86_400.001, 86_500)])
def test_windows_outside_by_our_own_clock_are_left_out(serve, seconds):
    """The service takes UTC for TT and would have them, or those that are 66 s off."""
    mmoda, _ = serve(index([*WINDOWS, ("090100990010", 83.0, 22.0, *seconds)]))
    assert "090100990010" not in mmoda.query_science_windows(time_range=RANGE)["scw_id"]


@pytest.mark.parametrize("seconds", [(-100, 0.01), (86_399.99, 86_500), (-1e6, 1e6), (10, 20)])
def test_windows_that_overlap_the_range_belong_to_it(serve, seconds):
    mmoda, _ = serve(index([*WINDOWS, ("090100990010", 83.0, 22.0, *seconds)]))
    assert "090100990010" in mmoda.query_science_windows(time_range=RANGE)["scw_id"]


def test_radius_and_duration_are_cut_here(serve):
    mmoda, _ = serve(index())  # which has all of them, whatever is requested
    assert list(mmoda.query_science_windows(CRAB, 3.99, RANGE)["scw_id"]) == ["090100020010"]
    assert len(mmoda.query_science_windows(CRAB, 4.01, RANGE)) == 2
    assert len(mmoda.query_science_windows(CRAB, 12, RANGE, min_duration=3000)) == 3
    assert len(mmoda.query_science_windows(CRAB, 12, RANGE, min_duration=3001 * u.s)) == 2
    assert len(mmoda.query_science_windows(CRAB, 12, RANGE, min_duration="1.2 h")) == 1


def test_each_window_comes_once(serve):
    mmoda, _ = serve(index([*WINDOWS, *WINDOWS]))
    assert len(mmoda.query_science_windows(CRAB, 12, RANGE)) == 3


def test_nothing_matches(serve, log_records):
    for reply in (index(), {name: [] for name in NAMES}, {"scwlist": {name: [] for name in NAMES}}, []):
        mmoda, _ = serve(reply)
        with pytest.warns(NoResultsWarning, match="no science windows match"):
            table = mmoda.query_science_windows(CRAB.directional_offset_by(0, 60 * u.deg), 1, RANGE)
        assert (table.colnames, len(table)) == (COLUMNS, 0)
        assert isinstance(table["start"], Time)
        kinds = [table[name].dtype.kind for name in ("scw_id", "ra", "duration", "offset", "revolution")]
        assert kinds == ["U", "f", "f", "f", "i"]
    assert not [line for line in log_records() if "science window" in line]


def test_it_can_be_read_in_a_terminal(serve):
    mmoda, _ = serve(index())
    table = mmoda.query_science_windows(CRAB, 12, RANGE)
    assert table["scw_id", "start", "stop", "duration", "offset"].pformat() == [
        "   scw_id           start                stop        duration offset",
        "                                                        s      deg  ",
        "------------ ------------------- ------------------- -------- ------",
        "090100010010 2010-02-26 08:20:00 2010-02-26 09:43:20     5000   4.00",
        "090100020010 2010-02-26 11:06:40 2010-02-26 11:56:40     3000   0.59",
        "090100030010 2010-02-26 13:53:20 2010-02-26 14:51:40     3500   9.48",
    ]
    assert max(map(len, table.pformat(max_width=80))) <= 80
    assert "09010001" in table._repr_html_()


# ---- as scw_list


ALL = ["090000990010.001", "090100010010.001", "090100020010.001", "090100030010.001"]


@pytest.fixture
def windows(serve):
    """Table of four windows in two revolutions."""
    return serve(index())[0].query_science_windows(time_range=RANGE)


def test_the_table_goes_into_scw_list(windows):
    assert science_windows(windows) == ALL
    assert science_windows(windows[windows["revolution"] == 901]) == ALL[1:]
    assert science_windows(windows[:1]) == ALL[:1]
    groups = windows.group_by("revolution").groups
    assert [science_windows(group) for group in groups] == [ALL[:1], ALL[1:]]
    assert science_windows(vstack([windows[2:], windows[:2]])) == ALL[2:] + ALL[:2]
    masked = Table(windows, masked=True)
    assert science_windows(masked) == ALL
    masked["scw_id"].mask[1] = True
    with pytest.raises(errors.ParameterError, match="masked in row 1"):
        science_windows(masked)


@pytest.mark.parametrize("name", ["windows.ecsv", "windows.fits", "windows.vot"])
@pytest.mark.parametrize("native", [False, True])
def test_files_of_it_are_windows_as_well(windows, tmp_path, name, native):
    path = tmp_path / name
    for table in (windows, windows[1:], windows.group_by("revolution")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if name.endswith("vot"):
                table["scw_id", "scw_ver"].write(path, format="votable", overwrite=True)
            else:
                table.write(path, overwrite=True)
            options = {"astropy_native": True} if native and name.endswith("fits") else {}
            again = Table.read(path, **options)
        assert science_windows(again) == ALL[-len(table) :]
        if name.endswith("ecsv") or options:
            assert again["start"].scale == "utc"
            assert np.all(np.abs((again["start"] - table["start"]).sec) < 1e-3)
            assert science_windows(list(again.group_by("revolution").groups)[-1]) == ALL[1:]
        if not name.endswith("vot"):
            assert again["offset"].mask.all()


def test_a_csv_has_lost_the_zeros(windows, tmp_path):
    path = tmp_path / "windows.csv"
    windows.write(path)
    assert science_windows(Table.read(path)) == ALL


# ---- replies


@pytest.mark.parametrize(
    "change",
    [
        lambda reply: {"scwlist": reply, "index_version": "20240101"},
        lambda reply: reply | {"SWID": [int(name) for name in reply["SWID"]]},
        lambda reply: reply | {"SWID": [float(name) for name in reply["SWID"]]},
        lambda reply: reply | {"RA_SCX": [str(ra) for ra in reply["RA_SCX"]]},
        lambda reply: reply | {"IBISMODE": [41] * len(WINDOWS)},
        lambda reply: dict(reversed(reply.items())),
    ],
    ids=["index version", "integers", "floats", "numbers as texts", "more columns", "another order"],
)
def test_forms_of_a_good_reply(serve, change):
    mmoda, _ = serve(change(index()))
    table = mmoda.query_science_windows(CRAB, 12, RANGE)
    assert list(table["scw_id"]) == ["090100010010", "090100020010", "090100030010"]
    assert table["ra"][0] == 83.6324


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("RA_SCX", float("nan")),
        ("RA_SCX", None),
        ("RA_SCX", 400.0),
        ("DEC_SCX", 90.1),
        ("TSTART", float("nan")),
        ("TSTART", -1.0),
        ("TSTOP", 3000.0),
        ("TSTOP", 1e300),
        ("TELAPSE", float("inf")),
        ("TELAPSE", -1.0),
    ],
)
def test_windows_without_valid_numbers_are_left_out(serve, column, value):
    reply = index()
    reply[column][0] = value
    reply[column][1] = float("nan")  # a slew, which is left out anyway
    mmoda, _ = serve(reply)
    with pytest.warns(CorruptDataWarning, match="1 science windows without a valid .*: 090100020010") as caught:
        table = mmoda.query_science_windows(time_range=RANGE)
    assert len(caught) == 1
    assert list(table["scw_id"]) == ["090000990010", "090100010010", "090100030010"]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ({name: column for name, column in index().items() if name != "DEC_SCX"}, "no column DEC_SCX"),
        (index(TSTOP=[1.0]), "differ in length"),
        (index(RA_SCX="83.0"), "no column RA_SCX"),
        (index(RA_SCX=["north"] * 6), "could not convert"),
        (index(RA_SCX=[[1.0]] * 6), "RA_SCX: values that are neither"),
        (index(RA_SCX=[{}] * 6), "RA_SCX: values that are neither"),
        (index(RA_SCX=[10**400] * 6), "OverflowError"),
        (index(TELAPSE=[True] * 6), "TELAPSE: values that are neither"),
        (index(SWID=["09010002001"] * 5 + ["Crab"]), "not the identifier of a science window"),
        (index(SWID=["0901000200100"] * 6), "not the identifier"),
        (index(SWID=["090100020010.001"] * 6), "not the identifier"),
        (index(SWID=["\u0660" * 12] * 6), "not the identifier"),
        (index(SWID=[12] * 6), "not the identifier"),
        (index(SWID=[-90100020010] * 6), "not the identifier"),
        (index(SWID=[90100020010.5] * 6), "not the identifier"),
        (index(SWID=[None] * 6), "not the identifier"),
        (index(SWID=[True] * 6), "SWID: values that are neither"),
        (["090100020010"], "columns were requested"),
        ({"scwlist": ["090100020010"]}, "columns were requested"),
        ("090100020010", "columns were requested"),
        (17, "columns were requested"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed_replies(serve, reply, says):
    mmoda, _ = serve(Reply(json.dumps(reply)))
    with pytest.raises(errors.DecodingError, match=says) as caught:
        mmoda.query_science_windows(CRAB, 12, RANGE)
    assert "the list of science windows" in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Reply([{"problem in CONS": "no column X"}], 400), errors.ParameterError, "problem in CONS: no column X"),
        (Reply({"bad request": "wrong time"}, 400), errors.ParameterError, "bad request: wrong time"),
        (Reply("null", 400), errors.ParameterError, "did not accept"),
        (Reply("no such thing", 400), errors.ParameterError, "no such thing"),
        (Reply({"error": "index is away"}), errors.ServiceError, "failed: index is away"),
        (Reply({"scwlist": {"error": "index is away"}}), errors.ServiceError, "failed: index is away"),
        (Reply({}), errors.ServiceError, "no reason"),
        (Reply([{"error from scwlist_rbp": "KeyError"}], 500), errors.ServiceError, "HTTP status 500.*KeyError"),
        (Reply("<html>Maintenance</html>", 200, {"Content-Type": "text/html"}), errors.ServiceError, "Maintenance"),
        (Reply("<html>oops</html>", 500), errors.ServiceError, "HTTP status 500"),
        (Reply("", 302, {"Location": "https://new.example/x?token=secret"}), errors.ServiceError, "new.example/x"),
        (Reply("<html>no</html>", 404), errors.ServiceError, "intscw.*long-observations"),
        (Reply({"error": "no"}, 404), errors.ServiceError, "intscw.*long-observations"),
        (Reply("", 503), errors.ServiceError, "HTTP status 503"),
        (Reply(index(), fault="cut"), errors.ServiceError, "can't be asked"),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_errors(serve, reply, kind, says):
    mmoda, server = serve(reply)
    with pytest.raises(kind, match=says) as caught:
        mmoda.query_science_windows(CRAB, 12, RANGE)
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)
    if kind is errors.ParameterError or reply.status in (404, 500):
        assert len(server.requests) == 1


def test_an_outage_is_waited_out(serve):
    mmoda, server = serve(lambda request: Reply("", 503) if len(server.requests) < 3 else Reply(index()))
    assert len(mmoda.query_science_windows(CRAB, 12, RANGE)) == 3


def test_a_reply_that_is_too_large(serve):
    mmoda, _ = serve(index())
    with conf.set_temp("max_reply_size", 200), pytest.raises(errors.ServiceError, match="max_reply_size"):
        mmoda.query_science_windows(CRAB, 12, RANGE)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*NAMES, "scwlist", "a"]), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    reply=ODD | st.dictionaries(st.sampled_from(NAMES), st.lists(ODD, min_size=3, max_size=3), min_size=5),
    status=st.sampled_from([200, 400]),
)
def test_whatever_comes_is_a_table_or_an_error_of_ours(reply, status):
    from astroquery_mmoda.service.http import Answer
    from astroquery_mmoda.service.routes import Routes
    from astroquery_mmoda.service.timesystem import list_pointings

    class Recorded(Routes):
        def time_system(self, path, query):
            return Answer(status, b"{}", content=reply)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            columns = list_pointings(Recorded("http://a", None), {"readiness": "cons", "T1": "a", "T2": "b"})
        except errors.MmodaError:
            return
    assert len({len(column) for column in columns.values()}) == 1
    assert all(np.isfinite(columns[name]).all() for name in NAMES[1:])


# ---- size


def test_many_windows_take_little_time_and_memory(serve):
    count = 200_000
    number = np.arange(count)
    begin = 1100 + number * 0.01
    rows = {
        "SWID": [f"{1 + each // 80:04d}{each % 80:04d}0010" for each in range(count)],
        "RA_SCX": (number * 0.37 % 360).tolist(),
        "DEC_SCX": (number * 0.11 % 180 - 90).tolist(),
        "TSTART": begin.tolist(),
        "TSTOP": (begin + 0.01).tolist(),
        "TELAPSE": [864.0] * count,
    }
    mmoda, _ = serve(Reply(json.dumps(rows)))
    times = ("2003-01-01", "2008-12-31")
    assert len(mmoda.query_science_windows(CRAB, 12, times)) > 1000  # what is imported once
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    table = mmoda.query_science_windows(CRAB, 180, times)
    names = science_windows(table)
    seconds = time.process_time() - began
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert names == [f"{name}.001" for name in rows["SWID"]]
    assert seconds < 10  # measured: 1.9
    assert taken < 300_000  # kB; measured: 94 000
