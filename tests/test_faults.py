"""Faults between us and a real dispatcher: whatever can heal gives the same result, and nothing starts twice."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from astropy import units as u

from astroquery_mmoda import JobTimeout, MmodaClass, ServiceError, conf
from tests.scripted_server import Reply, ScriptedServer

# named ones: of those that match, the service would draw others for each name of a source
WINDOWS = ["193100100010.001", "193100300010.001", "193100500010.001"]
CURVE = {"coordinates": "MAXI J1820+070", "radius": 2 * u.deg, "time_range": (58193, 58195), "scw_list": WINDOWS}


class Proxy(ScriptedServer):
    """Hands requests on to a real service, and spoils the answers that a test names."""

    def __init__(self, target: str) -> None:
        super().__init__(self._forward)
        self.target = target
        self.spoil = lambda number, request, reply: reply
        self.analyses: list[dict[str, str]] = []

    def _forward(self, request):
        analysis = request.path == "/run_analysis"
        if analysis:
            self.analyses.append(request.form)
        spoilt = self.spoil(len(self.analyses), request, None) if analysis else None
        if spoilt is not None:
            return spoilt
        answer = requests.request(
            request.method, self.target + request.path, params=request.query, data=request.form, timeout=60
        )
        reply = Reply(answer.content, answer.status_code, {"Content-Type": answer.headers["Content-Type"]})
        return (self.spoil(len(self.analyses), request, reply) if analysis else None) or reply


@pytest.fixture
def proxy(local_mmoda, monkeypatch):
    monkeypatch.setattr("astroquery_mmoda.service.http._pause", lambda attempt, asked: 0.02)
    with Proxy(local_mmoda.url) as server:
        yield server


@pytest.fixture(scope="module")
def truth(mmoda):
    return mmoda.query_lightcurve("isgri", **CURVE)


def spoil_before(*numbers, reply):
    """Answer these requests without handing them on."""
    return lambda number, request, real: reply if number in numbers and real is None else None


def spoil_after(*numbers, change):
    """Hand them on, and spoil what comes back."""
    return lambda number, request, real: change(real) if number in numbers and real is not None else None


def cut(reply):
    return Reply(reply.body, reply.status, reply.headers, fault="cut")


def stopped(reply):
    return Reply(reply.body[: len(reply.body) // 2], reply.status, reply.headers)


FAULTS = {
    "refused at submission": spoil_before(1, 2, reply=Reply("", 503)),
    "reset at submission": spoil_before(1, 3, reply=Reply(b"", fault="reset")),
    "reset after submission": spoil_after(1, change=lambda reply: Reply(b"", fault="reset")),
    "cut reply to the submission": spoil_after(1, change=cut),
    "cut JSON": spoil_after(1, 3, change=stopped),
    "busy while polling": spoil_before(2, 3, 5, reply=Reply("busy", 429, {"Retry-After": "0"})),
    "proxy errors while polling": spoil_before(2, 4, 5, reply=Reply("<html>bad gateway</html>", 502)),
    "gateway timeout": spoil_before(3, reply=Reply("<html>timeout</html>", 504)),
    "every other reply is cut": spoil_after(*range(1, 100, 2), change=cut),
    "empty replies": spoil_before(2, 3, reply=Reply(b"")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_heals_gives_the_same_result(proxy, truth, fault):
    proxy.spoil = FAULTS[fault]
    table = MmodaClass(server=proxy.url).query_lightcurve("isgri", **CURVE, src_name=fault)
    np.testing.assert_array_equal(table["time"].mjd, truth["time"].mjd)
    assert len(table) == len(truth)
    jobs = {form["job_id"] for form in proxy.analyses if "job_id" in form}
    assert len(jobs) <= 1
    submissions = [form for form in proxy.analyses if form["query_status"] == "new"]
    assert all(form == submissions[0] for form in submissions)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply("<html>Please log in to the hotel's network</html>"), "hotel"),
        (Reply("", 301, {"Location": "https://elsewhere.example/x?token=s"}), "elsewhere.example"),
        (Reply("<html>oops</html>", 500), "HTTP status 500"),
        (Reply({"query_status": "sleeping", "job_monitor": {}}), "'sleeping'"),
    ],
    ids=["portal", "moved", "broken", "unknown state"],
)
def test_what_does_not_heal_keeps_the_job(proxy, truth, reply, says):
    proxy.spoil = spoil_before(2, reply=reply)
    with pytest.raises(ServiceError, match=says) as caught:
        MmodaClass(server=proxy.url).query_lightcurve("isgri", **CURVE, src_name=says)
    job = caught.value.job
    assert len(job.job_id) == 16
    assert len(proxy.analyses) == 2
    assert len(job.result().lightcurve()) == len(truth)


def test_endless_progress_ends_with_the_time_limit(proxy):
    running = {}

    def spoil(number, request, reply):
        if reply is not None and number == 1:
            running["reply"] = reply
        return running.get("reply") if number > 1 else None

    proxy.spoil = spoil
    begin = time.monotonic()
    with pytest.raises(JobTimeout) as caught:
        MmodaClass(server=proxy.url).query_lightcurve("isgri", **CURVE, src_name="endless", timeout=1)
    assert time.monotonic() - begin < 15
    assert caught.value.job.status in ("submitted", "progress")


def test_an_answer_that_takes_too_long(proxy):
    proxy.spoil = lambda number, request, reply: time.sleep(1.5) if number == 2 and reply is None else None
    with conf.set_temp("timeout", 0.5), conf.set_temp("retry_time", 0):
        with pytest.raises(ServiceError, match="no complete reply within") as caught:
            MmodaClass(server=proxy.url).query_lightcurve("isgri", **CURVE, src_name="slow")
    assert caught.value.job.result() is not None


def test_eight_threads_with_one_client(mmoda, truth):
    def ask(number):
        table = mmoda.query_lightcurve("isgri", **CURVE, src_name=f"thread {number}", progress=False)
        return np.array_equal(table["time"].mjd, truth["time"].mjd)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(16)))
