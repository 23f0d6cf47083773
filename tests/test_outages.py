"""What is sat out, for how long, and what is said of it: outages of the service, and slow answers at every stage."""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from astroquery_mmoda import JobTimeout, MmodaClass, MmodaError, ParameterError, ServiceError, conf
from astroquery_mmoda.service import http
from astroquery_mmoda.service.http import asked_pause
from tests.scripted_server import Reply, ScriptedServer, analysis_reply
from tests.test_job import DONE

METADATA = [
    [
        {"prod_dict": {"isgri_image": "image"}},
        [{"name": "src_name", "value": "1E", "units": "str"}, {"name": "RA", "value": 0.0, "units": "deg"}],
        [{"name": "DEC", "value": 0.0, "units": "deg"}, {"query_name": "image"}],
    ]
]
ASK = {"instrument": "isgri", "coordinates": "10 20", "product": "isgri_image", "progress": False}


class Service(ScriptedServer):
    """A service of one image; `before` may answer in its place, or take its time."""

    def __init__(self, before=lambda route, number: None, *, states=("submitted", "progress", "done")) -> None:
        super().__init__(self._answer)
        self.before, self.states = before, states
        self.numbers: dict[str, int] = {}
        self.times: list[float] = []
        self.looks = 0
        self._lock = threading.Lock()

    def _answer(self, request):
        route = request.path.rpartition("/")[2]
        with self._lock:
            self.times.append(time.monotonic())
            number = self.numbers[route] = self.numbers.get(route, 0) + 1
        spoilt = self.before(route, number)
        if spoilt is not None:
            return spoilt
        if route == "run_analysis":
            with self._lock:
                self.looks += 1
                state = self.states[min(self.looks, len(self.states)) - 1]
            return Reply(DONE if state == "done" else analysis_reply(state))
        return Reply({"meta-data": METADATA, "instr-list": ["isgri"]}.get(route, ["src_name", "RA", "DEC"]))


@contextmanager
def timed(*, least=0.0, most):
    begin = time.monotonic()
    yield
    assert least <= time.monotonic() - begin < most


def slow(route, seconds, *, numbers=range(1, 1000)):
    return lambda asked, number: time.sleep(seconds) if asked == route and number in numbers else None


@pytest.fixture(autouse=True)
def _hurry():
    with conf.set_temp("poll_interval_max", 0.05):
        yield


# ---- timeout= counts from the call


STAGES = {
    "the description": slow("meta-data", 3),
    "the submission": slow("run_analysis", 3, numbers=[1]),
    "a look": slow("run_analysis", 3, numbers=[2]),
    "each look": slow("run_analysis", 0.4),
    "no end": lambda route, number: Reply(analysis_reply("progress")) if route == "run_analysis" else None,
    "busy": lambda route, number: Reply("", 503) if number > 1 else None,
    "busy for an hour": lambda route, number: (
        Reply("", 503, {"Retry-After": "3600"}) if route == "run_analysis" and number > 1 else None
    ),
    "busy from the start": lambda route, number: Reply("", 429, {"Retry-After": "10"}),
    "cut": lambda route, number: Reply(DONE, fault="cut") if route == "run_analysis" else None,
    "dripped": lambda route, number: Reply(DONE, fault="drip") if route == "run_analysis" else None,
}


@pytest.mark.parametrize(
    ("stage", "limit"),
    [
        *((stage, 0.5) for stage in STAGES),
        ("the description", 500 * u.ms),
        ("a look", "0.5 s"),
        ("a look", np.float32(0.5)),
    ],
    ids=str,
)
def test_the_time_of_a_query_counts_from_the_call(stage, limit):
    with Service(STAGES[stage]) as service, timed(least=0.45, most=2.0), pytest.raises(JobTimeout) as caught:
        MmodaClass(server=service.url).query_product(**ASK, timeout=limit)
    text = str(caught.value)
    assert "0.5 s" in text
    assert len(text) < 1000
    if stage in ("the description", "busy from the start"):
        assert "Nothing was submitted" in text
    elif stage in ("the submission", "cut", "dripped"):
        assert "the same call again is safe" in text
    else:
        assert caught.value.job.job_id == "0123456789abcdef"
        assert "Mmoda.get_job('0123456789abcdef').result()" in text
    if "busy" in stage:
        assert "HTTP status" in text


@pytest.mark.parametrize("stage", ["the description", "the submission", "a look", "each look", "no end", "busy"])
def test_the_time_of_many_queries(stage):
    with Service(STAGES[stage]) as service, timed(least=0.45, most=2.5):
        outcomes = dict(MmodaClass(server=service.url).query_many("product", [{**ASK_MANY, "timeout": 0.5}]))
    assert isinstance(outcomes[0], JobTimeout)
    assert "0.5 s" in str(outcomes[0])


def test_the_time_of_a_query_is_that_of_sesame_too(monkeypatch):
    monkeypatch.setattr(SkyCoord, "from_name", lambda *_, **__: time.sleep(3))
    unknown = Service(lambda route, number: Reply({"name": "x"}) if route == "resolve_name" else None)
    with (
        unknown as service,
        timed(least=0.45, most=2.0),
        pytest.raises(JobTimeout, match=r"Sesame.*Nothing was submitted"),
    ):
        MmodaClass(server=service.url).query_product(**ASK | {"coordinates": "Nova 1"}, timeout=0.5)


ASK_MANY = {name: value for name, value in ASK.items() if name != "progress"}


def test_no_time_submits_and_does_not_wait():
    with Service(slow("run_analysis", 0.3, numbers=[1])) as service, pytest.raises(JobTimeout) as caught:
        MmodaClass(server=service.url).query_product(**ASK, timeout=0)
    assert caught.value.job.job_id == "0123456789abcdef"
    assert service.looks == 1


def test_no_end_of_time():
    with Service() as service:
        assert len(MmodaClass(server=service.url).query_product(**ASK, timeout=math.inf)) == 1


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        -1,
        -math.inf,
        True,
        np.True_,
        "soon",
        "3 m",
        3 * u.m,
        [1, 2],
        math.nan * u.s,
        1j,
        10**400,
        {},
        np.ma.masked,
        np.ma.array(5, mask=True),
        np.ma.array([5], mask=[True])[0],
    ],
    ids=repr,
)
def test_what_is_not_a_time(value):
    with Service() as service:
        client = MmodaClass(server=service.url)
        with pytest.raises(ParameterError, match="timeout=.*seconds"):
            client.query_product(**ASK, timeout=value)
        outcome = dict(client.query_many("product", [{**ASK_MANY, "timeout": value}]))[0]
        job = client.submit_product(**ASK_MANY)
        for wait in (job.wait, job.result, job.exception):
            with pytest.raises(ParameterError, match="timeout=.*seconds"):
                wait(value)
    assert isinstance(outcome, ParameterError)


@pytest.mark.parametrize("name", ["timeout", "idle_timeout"])
@pytest.mark.parametrize("value", [math.inf, 1e12, 1e300])
def test_times_that_the_system_does_not_know(name, value):
    with Service() as service, conf.set_temp("timeout", value), conf.set_temp(name, value):
        assert MmodaClass(server=service.url).list_products("isgri")["product"].tolist() == ["isgri_image"]


@pytest.mark.parametrize("name", ["timeout", "idle_timeout", "poll_interval_max", "retry_time", "job_timeout"])
@pytest.mark.parametrize("value", [math.nan, -1.0])
def test_times_of_the_configuration(name, value):
    failing = lambda route, number: Reply("", 503) if number == 1 else None  # noqa: E731
    with Service(failing) as service, conf.set_temp(name, value), pytest.raises(ParameterError, match=f"conf.{name}"):
        MmodaClass(server=service.url).query_product(**ASK)


@pytest.mark.parametrize("name", ["timeout", "idle_timeout"])
def test_no_time_at_all_for_a_request(name):
    with (
        Service() as service,
        conf.set_temp(name, 0),
        conf.set_temp("retry_time", 0),
        pytest.raises(ServiceError, match=f"0 s .astroquery_mmoda.conf.{name}"),
    ):
        MmodaClass(server=service.url).list_products("isgri")


# ---- outages


def test_a_request_that_timed_out_is_tried_again():
    before = slow("run_analysis", 1.5, numbers=[1, 3])
    with Service(before) as service, conf.set_temp("timeout", 0.5), timed(most=8):
        assert len(MmodaClass(server=service.url).query_product(**ASK)) == 1
    assert service.numbers["run_analysis"] >= 4


@pytest.mark.parametrize("number", [1, 2], ids=["submission", "look"])
def test_an_outage_counts_from_its_first_failure(number):
    """However long the request took that failed."""
    before = lambda route, asked: (  # noqa: E731
        (time.sleep(1), Reply("", 503))[1] if route == "run_analysis" and asked >= number else None
    )
    with (
        Service(before, states=["submitted"]) as service,
        conf.set_temp("retry_time", 0.3),
        timed(least=2, most=9),
        pytest.raises(ServiceError, match="HTTP status 503.*tries: [0-9]+, in"),
    ):
        MmodaClass(server=service.url).query_product(**ASK)
    assert service.numbers["run_analysis"] >= number + 1


def down_for(seconds, *, route="run_analysis", first=2, reply=None):
    """A service that fails for a while, counted from its first failure."""
    since = []

    def before(asked, number):
        if asked != route or number < first:
            return None
        since[:] = since or [time.monotonic()]
        return (reply or Reply("", 503)) if time.monotonic() - since[0] < seconds else None

    return before


def test_while_waiting_an_outage_is_sat_out_five_times_as_long():
    with Service(down_for(2.0)) as service, conf.set_temp("retry_time", 0.8):
        assert len(MmodaClass(server=service.url).query_product(**ASK)) == 1
    with (
        Service(down_for(2.0, first=1)) as service,
        conf.set_temp("retry_time", 0.8),
        pytest.raises(ServiceError, match="the same call again is safe"),
    ):
        MmodaClass(server=service.url).query_product(**ASK)


def test_many_sit_it_out_as_well():
    with Service(down_for(2.0)) as service, conf.set_temp("retry_time", 0.8):
        assert len(dict(MmodaClass(server=service.url).query_many("product", [ASK_MANY]))[0]) == 1


WRONG = {
    "another place": Reply("", 302, {"Location": "https://login.example/wifi?id=1"}),
    "not found": Reply("<html>", 404),
    "a page": Reply("<html>Please log in</html>", 200),
    "an error": Reply("<html>", 500),
    "another job": Reply(analysis_reply("progress", job_id="fedcba9876543210")),
    "an odd state": Reply(analysis_reply("resting")),
    "refused": Reply("<p>no</p>", 403),
    "a long reason": Reply({"error": "SomeError()", "error_message": "x " * 4000}, 500),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_what_is_wrong_on_the_way_to_a_job(kind, many):
    """Whatever it is: the message names the job and the line that continues."""
    spoilt = lambda route, number: WRONG[kind] if route == "run_analysis" and number > 1 else None  # noqa: E731
    with Service(spoilt) as service:
        client = MmodaClass(server=service.url)
        if many:
            error = dict(client.query_many("product", [ASK_MANY]))[0]
        else:
            with pytest.raises(MmodaError) as caught:
                client.query_product(**ASK)
            error = caught.value
        assert isinstance(error, MmodaError)
        assert str(error).count("Mmoda.get_job('0123456789abcdef').result() continues") == 1
        assert len(str(error)) < 2000
        assert error.job.job_id == "0123456789abcdef"
        service.before = lambda route, number: None
        assert len(client.get_job("0123456789abcdef").result(progress=False)) == 1


def test_a_name_that_is_unknown_for_a_while(monkeypatch):
    """Such as that of an institute's own machine while the VPN is down; a name that never was found is an error."""
    ask, down = socket.getaddrinfo, threading.Event()

    def look_up(name, port, *args, **options):
        if name == "never.example" or down.is_set():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask("127.0.0.1" if name == "mmoda.example" else name, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with Service(states=["submitted", "done"]) as service:
        address = service.url.replace("127.0.0.1", "mmoda.example")
        client = MmodaClass(server=address)
        job = client.submit_product(**ASK_MANY)
        client._account.http._adapter.close()  # noqa: SLF001 - a connection that ends
        down.set()
        timer = threading.Timer(1.0, down.clear)
        timer.start()
        with timed(least=0.8, most=8):
            assert len(job.result(progress=False)) == 1
        timer.join()
        with timed(most=1), pytest.raises(ServiceError, match="unknown host"):
            MmodaClass(server="http://never.example").list_instruments()


@pytest.mark.parametrize("reply", [Reply("", 502), Reply(b"", fault="reset"), Reply("")], ids=["502", "reset", "empty"])
def test_an_outage_that_does_not_end(reply):
    """The message names the job, what is safe, and the line that continues; and that line does."""
    before = down_for(1e9, reply=reply)
    with Service(lambda route, number: before(route, number)) as service, conf.set_temp("retry_time", 0.1):
        client = MmodaClass(server=service.url)
        with timed(least=0.5, most=4), pytest.raises(ServiceError, match="nothing is lost") as caught:
            client.query_product(**ASK)
        assert "Mmoda.get_job('0123456789abcdef').result() continues" in str(caught.value)
        assert caught.value.job.job_id == "0123456789abcdef"
        service.before = lambda route, number: None
        assert len(client.get_job("0123456789abcdef").result(progress=False)) == 1


def test_an_outage_of_the_whole_machine():
    """Nobody listens for a while, and then somebody does at the same address."""
    with Service(states=["submitted"]) as first:
        job = MmodaClass(server=first.url).submit_product(**ASK_MANY)
        port = first.listener.server_port
    later = Service(states=["done"])
    later.listener.server_close()

    def start():
        later.listener.socket = socket.create_server(("127.0.0.1", port))
        later.__enter__()

    timer = threading.Timer(1.5, start)
    timer.start()
    try:
        with conf.set_temp("retry_time", 1.0):
            assert len(job.result(progress=False)) == 1
    finally:
        timer.join()
        later.__exit__()


# ---- what the service asks for


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "+1", "1.5", "1e3", "\xb2", "\u0663", "0x10", "soon", "nan", "inf", "1, 2", "Thu, 99 Foo 2026",
     "Fri, 31 Dec 99999 23:59:59 GMT", "Mon, 01 Jan 0000 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -9999", "\0", "," * 5000,
     "Sat, 01 Jan 2022 00:00:00 +99999999999999"],
    ids=lambda text: repr(text)[:20],
)  # fmt: skip
def test_pauses_that_are_none(text):
    assert asked_pause(text) is None or 0 <= asked_pause(text) <= 60


@pytest.mark.parametrize("text", ["0", "000", "7", "60", "61", "9" * 300, " 7 "], ids=lambda text: text[:5])
def test_pauses_in_seconds(text):
    assert asked_pause(text) == min(float(text[:300]), 60)


def test_pauses_until_a_date():
    assert 3 < asked_pause(formatdate(time.time() + 5, usegmt=True)) <= 5
    assert 3 < asked_pause(formatdate(time.time() + 5)) <= 5
    assert asked_pause(formatdate(time.time() + 1e6, usegmt=True)) == 60
    assert asked_pause(formatdate(0, usegmt=True)) == 0


@pytest.mark.parametrize("asked", ["0", formatdate(0, usegmt=True)], ids=["0", "1970"])
@pytest.mark.parametrize("status", [429, 503])
def test_to_be_asked_at_once_is_not_done_without_end(status, asked):
    with Service(lambda *_: Reply("", status, {"Retry-After": asked})) as service, conf.set_temp("retry_time", 2.0):
        with pytest.raises(ServiceError, match="retry_time"):
            MmodaClass(server=service.url).list_instruments()
    assert 3 <= len(service.times) < 12


@pytest.mark.parametrize("attempt", [1, 3, 1024, 5000, 10**6])
def test_pauses_of_long_outages(attempt):
    assert 0 < http._pause(attempt, None) <= 15  # noqa: SLF001 - of outages that last for hours


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_what_the_service_asks_for_is_done(status, form):
    asked = []

    def before(route, number):
        if route != "run_analysis" or number != 2:
            return None
        asked[:] = ["2" if form == "seconds" else formatdate(math.floor(time.time()) + 3, usegmt=True)]
        return Reply("", status, {"Retry-After": asked[0]})

    with Service(before) as service:
        assert len(MmodaClass(server=service.url).query_product(**ASK)) == 1
    assert 1.9 < service.times[-1] - service.times[-2] < 5 or 1.9 < service.times[-2] - service.times[-3] < 5


def test_a_pause_that_is_longer_than_outages_are_waited_out_is_an_error_at_once():
    with Service(lambda *_: Reply("", 503, {"Retry-After": "60"})) as service, conf.set_temp("retry_time", 2.0):
        with timed(most=2), pytest.raises(ServiceError, match=r"a pause of 60 s.*retry_time"):
            MmodaClass(server=service.url).list_instruments()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 501])
def test_what_does_not_heal_is_asked_once(status):
    before = lambda route, number: Reply("<html>no</html>", status) if route == "run_analysis" else None  # noqa: E731
    with Service(before) as service, timed(most=2), pytest.raises(MmodaError):
        MmodaClass(server=service.url).query_product(**ASK)
    assert service.numbers["run_analysis"] == 1


# ---- Ctrl-C

_SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from astroquery_mmoda import MmodaClass, conf
conf.poll_interval_max = 0.1
if "silent names" in sys.argv[2]:
    import socket, time
    socket.getaddrinfo = lambda *arguments, **options: time.sleep(20)
client = MmodaClass(server=sys.argv[1])
print("begun", flush=True)
ask = dict(instrument="isgri", coordinates="10 20", product="isgri_image")
if "many" in sys.argv[2]:
    dict(client.query_many("product", [ask] * 3, progress=False))
else:
    client.query_product(**ask, progress=False)
"""


@pytest.mark.parametrize("how", ["busy", "silent", "silent names", "many busy"])
def test_an_interrupt_in_an_outage(how):
    before = {
        "busy": down_for(1e9, reply=Reply("", 503, {"Retry-After": "60"})),
        "silent": lambda route, number: time.sleep(30) if route == "run_analysis" and number > 1 else None,
    }.get(how.split()[-1], lambda route, number: None)
    with Service(before, states=["submitted"]) as service:
        url = {"refused": "http://127.0.0.1:9", "silent names": "http://mmoda.example"}.get(how, service.url)
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, url, how], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        with process:
            assert process.stdout.readline() == "begun\n"
            time.sleep(1.5)
            assert process.poll() is None
            with timed(most=2):
                process.send_signal(signal.SIGINT)
                told = process.stdout.read()
                process.wait(10)
    assert "KeyboardInterrupt" in told
    if how in ("busy", "silent"):
        assert "Job 0123456789abcdef goes on at the service, and nothing is lost" in told
        assert "Mmoda.get_job('0123456789abcdef').result() continues." in told.rpartition("KeyboardInterrupt")[2]


# ---- names of machines


def test_a_name_that_nobody_looks_up(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: time.sleep(4))
    with (
        conf.set_temp("timeout", 0.5),
        conf.set_temp("retry_time", 0),
        timed(least=0.4, most=2),
        pytest.raises(ServiceError, match="no complete reply within 0.5 s"),
    ):
        MmodaClass(server="http://mmoda.example").list_instruments()


@pytest.mark.parametrize("others", [["127.0.0.2"], ["::1", "127.0.0.3"], []], ids=str)
def test_a_name_of_several_machines(monkeypatch, others):
    """Those that do not answer are passed over."""
    real = socket.getaddrinfo

    def several(host, *arguments, **options):
        hosts = [*others, "127.0.0.1"] if host == "mmoda.example" else [host]
        return [entry for each in hosts for entry in real(each, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    with Service() as service, conf.set_temp("retry_time", 0):
        url = f"http://mmoda.example:{service.listener.server_port}"
        client = MmodaClass(server=url)
        assert client.list_products("isgri")["product"].tolist() == ["isgri_image"]
        assert client.list_parameters("isgri")["product"][0] == "isgri_image"
    assert service.requests[0].headers["Host"] == url.removeprefix("http://")


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example", "no such.example"])
def test_names_that_are_not_valid(host):
    with timed(most=2), pytest.raises(ServiceError, match=r"not a valid address \(such as http://"):
        MmodaClass(server=f"http://{host}").list_instruments()


def test_an_outage_is_sat_out_once_for_a_list_of_instruments():
    names = [f"instrument_{number}" for number in range(20)]
    with (
        Service(lambda route, number: Reply(names) if route == "instr-list" else Reply("", 503)) as service,
        conf.set_temp("retry_time", 0.5),
        timed(least=0.5, most=5.0),
    ):
        table = MmodaClass(server=service.url).list_instruments()
    assert list(table["instrument"]) == names
    assert set(table["products"]) == {""}


def test_one_instrument_that_fails_spoils_no_list():
    def answer(route, number):
        if route == "instr-list":
            return Reply(["broken", "isgri", "jemx"])
        return Reply("<html>oops</html>", 500) if number == 1 else None

    with Service(answer) as service, timed(most=2.0):
        table = MmodaClass(server=service.url).list_instruments()
    assert list(table["products"]) == ["", "isgri_image", "isgri_image"]


def test_an_outage_is_said_once_it_lasts(monkeypatch, log_records):
    monkeypatch.setattr(http, "_pause", lambda attempt, asked: 0.01)
    spoilt = lambda route, number: Reply("", 503) if route == "run_analysis" and 2 <= number < 10 else None  # noqa: E731
    with Service(spoilt) as service:
        MmodaClass(server=service.url).query_product(**ASK)
    assert len([line for line in log_records() if "trying again, for 300 s at most" in line]) == 1
