# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Queries whose science windows are computed in several jobs, of a real dispatcher with and without faults between."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import NoResultsWarning
from hypothesis import given
from hypothesis import strategies as st

from astroquery_mmoda import JobFailed, JobTimeout, MmodaClass, ParameterError, Products, ServiceError, conf
from astroquery_mmoda.combine.inputs import short_windows
from astroquery_mmoda.errors import AuthenticationError
from astroquery_mmoda.request.division import parts_of_windows
from tests.local_mmoda import sky
from tests.scripted_server import Reply, Request, ScriptedServer, analysis_reply
from tests.tokens import mint

ROOT = Path(__file__).resolve().parents[1]
WINDOWS = list(sky.windows(6649.0, 6653.0))
BAND = (20, 40)
CRAB = Table({"name": ["Crab"], "ra": [83.6331], "dec": [22.0145]})
ISGRI = {"coordinates": "83.6331 22.0145", "energy_range": BAND, "progress": False}


@pytest.fixture(autouse=True)
def _polls_often():
    with conf.set_temp("many_polls_per_second", 50):
        yield


# ---- parts of a list ---------------------------------------------------------------------------------------------


def window(revolution: int, pointing: int) -> str:
    return f"{revolution:04d}{pointing:04d}0010.001"


orbits = st.lists(st.integers(1, 70), min_size=1, max_size=12).map(
    lambda sizes: [window(100 + number, at) for number, size in enumerate(sizes) for at in range(size)]
)


@given(orbits, st.integers(1, 60))
def test_parts_are_the_list_in_its_order(windows, most):
    parts = parts_of_windows(windows, most)
    assert [each for part in parts for each in part] == windows
    assert all(1 <= len(part) <= most for part in parts)


@given(orbits, st.integers(1, 60), st.data())
def test_windows_added_at_the_end_change_the_last_part_only(windows, most, data):
    known = windows[: data.draw(st.integers(1, len(windows)))]
    before, after = parts_of_windows(known, most), parts_of_windows(windows, most)
    assert after[: len(before) - 1] == before[:-1]


@given(orbits, st.integers(1, 60))
def test_a_revolution_is_divided_only_where_it_is_too_long(windows, most):
    parts = parts_of_windows(windows, most)
    size = Counter(each[:4] for each in windows)
    for revolution, number in size.items():
        holders = [part for part in parts if any(each[:4] == revolution for each in part)]
        assert len(holders) == -(-number // most) or number > most


def test_revolutions_fill_a_part():
    windows = [window(*each) for each in ((1, 1), (1, 2), (2, 1), (3, 1), (3, 2), (3, 3), (4, 1))]
    parts = [[each[:8] for each in part] for part in parts_of_windows(windows, 3)]
    assert parts == [["00010001", "00010002", "00020001"], ["00030001", "00030002", "00030003"], ["00040001"]]


# ---- what is asked for -------------------------------------------------------------------------------------------


def test_forms_of_all_jobs(mmoda):
    payloads = mmoda.query_image("isgri", **ISGRI, scw_list=WINDOWS, windows_per_job=50, get_query_payload=True)
    lists = [payload.pop("scw_list").split(",") for payload in payloads]
    assert [each for part in lists for each in part] == WINDOWS
    assert max(map(len, lists)) <= 50
    assert all(payload == payloads[0] for payload in payloads)
    one = mmoda.query_image("isgri", **ISGRI, scw_list=WINDOWS[:5], get_query_payload=True)
    assert set(one) - {"scw_list"} == set(payloads[0])


def test_the_most_that_a_token_allows(mmoda, local_mmoda):
    def sizes(number="max", **more):
        options = {"scw_list": WINDOWS, "windows_per_job": number, "get_query_payload": True}
        return [each["scw_list"].count(",") + 1 for each in mmoda.query_image("isgri", **ISGRI, **options, **more)]

    assert max(sizes()) <= 50
    full = mint(key=local_mmoda.secret_key, roles="general, unige-hpc-full")
    assert sizes(token=full) == [len(WINDOWS)]
    assert max(sizes(100, token=full)) <= 100
    with pytest.raises(ParameterError, match="a job of isgri may have 50 of them .500 with the role unige-hpc-full"):
        sizes(51)
    with pytest.raises(ParameterError, match="may have 500 of them"):
        sizes(501, token=full)
    assert sizes(501, token=mint(key=local_mmoda.secret_key, roles="unige-hpc-extreme")) == [len(WINDOWS)]


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        ("image", {"windows_per_job": 0}, "whole number above zero, or 'max'"),
        ("image", {"windows_per_job": True}, "whole number above zero"),
        ("image", {"windows_per_job": "most"}, "whole number above zero"),
        ("image", {"windows_per_job": 10, "radius": 5}, "radius chooses science windows"),
        ("image", {"windows_per_job": 10, "max_pointings": 5}, "max_pointings chooses science windows"),
        ("image", {"windows_per_job": 10, "parameters": {"max_pointings": 5}}, "max_pointings chooses"),
        ("image", {"windows_per_job": 10, "on_error": "keep"}, "must be 'raise' or 'skip'"),
        ("image", {"windows_per_job": 10, "scw_list": None}, "query_science_windows"),
        ("image", {"windows_per_job": 10, "scw_list": []}, "empty"),
        ("image", {"on_error": "skip", "scw_list": WINDOWS[:5]}, "only beside windows_per_job"),
        ("image", {}, "windows_per_job='max'"),
        ("spectrum", {"windows_per_job": 10}, "needs catalog="),
        ("lightcurve", {"windows_per_job": 10}, "needs catalog="),
        ("product", {"windows_per_job": 10, "product": "isgri_image"}, "no meaning here"),
    ],
)
def test_what_has_no_meaning(mmoda, local_mmoda, kind, options, match):
    before = local_mmoda.jobs
    with pytest.raises(ParameterError, match=match):
        getattr(mmoda, f"query_{kind}")("isgri", **{**ISGRI, "scw_list": WINDOWS, **options})
    assert local_mmoda.jobs == before


def test_other_instruments_have_no_windows(mmoda):
    with pytest.raises(ParameterError, match="only isgri and jemx"):
        mmoda.query_lightcurve("spi_acs", scw_list=WINDOWS, windows_per_job=10)


def test_without_the_extra_nothing_is_submitted(mmoda, local_mmoda, monkeypatch):
    monkeypatch.setitem(sys.modules, "reproject", None)
    before = local_mmoda.jobs
    with pytest.raises(ImportError, match="pip install reproject"):
        mmoda.query_image("isgri", **ISGRI, scw_list=WINDOWS[:20], windows_per_job=10)
    assert local_mmoda.jobs == before


# ---- a dispatcher with faults before it --------------------------------------------------------------------------


class Between:
    """Hands requests on to a dispatcher; `fault` may answer submissions and polls in its place."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fault = lambda form: None
        self.submitted: list[str] = []
        self.lock = threading.Lock()
        self.running: set[str] = set()
        self.most_running = 0

    def __call__(self, request: Request) -> Reply:
        is_analysis = "run_analysis" in request.path and "scw_list" in request.form
        windows = request.form.get("scw_list", "")
        if is_analysis:
            with self.lock:
                if request.form["query_status"] == "new":
                    self.submitted.append(windows)
                self.running.add(windows)
                self.most_running = max(self.most_running, len(self.running))
            if (reply := self.fault(request.form)) is not None:
                self.running.discard(windows)
                return reply
        address = f"{self.url}{request.path}" + (f"?{urlencode(request.query)}" if request.query else "")
        body = urlencode(request.form).encode() if request.method == "POST" else None
        try:
            with urllib.request.urlopen(urllib.request.Request(address, body), timeout=60) as answer:
                reply = Reply(answer.read(), answer.status)
        except urllib.error.HTTPError as error:
            reply = Reply(error.read(), error.code)
        if is_analysis and json.loads(reply.body).get("query_status") in ("done", "failed"):
            self.running.discard(windows)
        return reply


@pytest.fixture
def between(local_mmoda):
    between = Between(local_mmoda.url)
    with ScriptedServer(between) as server:
        between.client = MmodaClass(server=server.url)
        yield between


def failed(reason: str = "AnalysisException:NoValidScW()") -> Reply:
    reply = analysis_reply("failed", job_id="f" * 16)
    reply["exit_status"] |= {"status": 1, "message": reason, "error_message": reason}
    return Reply(reply)


@pytest.fixture
def curve(between):
    """Function that makes a light curve of 40 science windows in jobs of 10."""

    def curve(windows=WINDOWS[11:51], **more):
        options = {"catalog": CRAB, "time_bin": "1000 s", "windows_per_job": 10, **ISGRI, **more}
        return between.client.query_lightcurve("isgri", scw_list=windows, **options)

    return curve


def test_a_few_jobs_at_a_time(between, curve):
    table = curve()
    assert len(between.submitted) == 4
    assert 1 < between.most_running <= 4
    assert table.meta["NJOBS"] == 4
    assert table.meta["NFAILED"] == 0
    between.most_running = 0
    with conf.set_temp("max_active_jobs", 1):
        curve(WINDOWS[51:91])
    assert between.most_running == 1


def test_inputs_are_in_the_order_of_the_parts(between, curve):
    """Whichever job ends first."""

    def late(form):
        if form["query_status"] == "new" and form["scw_list"].startswith(WINDOWS[11]):
            time.sleep(1.5)

    between.fault = late
    windows = [row["windows"] for row in json.loads(curve(time_bin="800 s").meta["INPUTS"])]
    assert windows == [short_windows(WINDOWS[at : at + 10]) for at in (11, 21, 31, 41)]
    options = {**ISGRI, "scw_list": WINDOWS[11:41], "windows_per_job": 10}
    rows = between.client.query_image("isgri", **options)["INPUTS"].data
    assert [row[:16] for row in rows["WINDOWS"]] == [WINDOWS[at] for at in (11, 21, 31)]
    assert (np.diff(rows["START"]) > 0).all()


def test_parts_and_whole_are_equal(mmoda, curve):
    parts = curve()
    whole = mmoda.query_lightcurve("isgri", **ISGRI, catalog=CRAB, time_bin="1000 s", scw_list=WINDOWS[11:51])
    assert len(parts) == len(whole)
    np.testing.assert_allclose(parts["time"].mjd, whole["time"].mjd, rtol=0, atol=1e-9)
    np.testing.assert_allclose(parts["time_bin"], whole["time_bin"], rtol=1e-6)


def fails(between, *numbers: int, times: int = 10**6, reply=failed) -> None:
    """Let some jobs fail, by the first science window in them."""
    left = Counter({WINDOWS[11 + 10 * number]: times for number in numbers})

    def fault(form):
        first = form["scw_list"].split(",")[0]
        if left[first] <= 0:
            return None
        left[first] -= 1
        return reply()

    between.fault = fault


def test_a_job_that_fails_for_ever(between, curve):
    fails(between, 1, 2)
    with pytest.raises(JobFailed, match=f"2 of 4 jobs gave no result: job f*.*{WINDOWS[21]}.*NoValidScW") as caught:
        curve()
    assert len(caught.value.jobs) == 2
    assert [job.parameters["scw_list"][:16] for job in caught.value.jobs] == [WINDOWS[21], WINDOWS[31]]
    assert len(set(between.submitted)) == 4  # the others went on to their end
    with pytest.warns(NoResultsWarning, match="2 of 4 jobs gave no result.*are missing in what is returned"):
        table = curve(on_error="skip")
    assert (table.meta["NJOBS"], table.meta["NFAILED"]) == (2, 2)
    assert len(table) > 20


def test_all_jobs_fail(between, curve):
    fails(between, 0, 1, 2, 3)
    with pytest.raises(JobFailed, match="4 of 4 jobs gave no result") as caught:
        curve(on_error="skip")
    assert len(caught.value.jobs) == 4


def test_a_job_that_fails_once(between, curve, local_mmoda):
    fails(between, 1, times=1)
    with pytest.raises(JobFailed) as caught:
        curve()
    assert len(caught.value.jobs) == 1
    before = local_mmoda.jobs
    table = curve()
    assert (table.meta["NJOBS"], table.meta["NFAILED"]) == (4, 0)
    assert len(local_mmoda.jobs - before) == 4


def test_an_outage_of_one_job(between, curve):
    fails(between, 2, reply=lambda: Reply("gone", status=503))
    with conf.set_temp("retry_time", 0.1), pytest.raises(ServiceError, match="1 of 4 jobs gave no result") as caught:
        curve()
    assert not isinstance(caught.value, JobFailed)


def test_a_token_that_expires_in_the_middle(between, curve, local_mmoda):
    """The error is that of the token, no further jobs are submitted, and a new one goes on."""
    refused = Reply("The token provided is expired, please try to logout and login again.", status=403)
    moments = iter(range(10**6))
    between.fault = lambda form: refused if next(moments) >= 2 else None
    token = mint(key=local_mmoda.secret_key)
    with conf.set_temp("max_active_jobs", 1), pytest.raises(AuthenticationError, match="expired"):
        curve(token=token, on_error="skip")
    assert len(between.submitted) < 4
    between.fault = lambda form: None
    assert curve(token=token).meta["NJOBS"] == 4


def test_jobs_that_take_too_long(between, curve):
    going = iter(range(10**6))
    between.fault = lambda form: Reply(
        analysis_reply("progress", job_id=f"{hash(form['scw_list']) % 16**16:016x}", number=next(going))
    )
    with conf.set_temp("max_active_jobs", 3), pytest.raises(JobTimeout, match="1 more were not begun") as caught:
        curve(timeout=1)
    assert len(caught.value.jobs) == 3
    assert len(set(between.submitted)) == 3


def test_an_error_of_the_query_ends_it(between, curve):
    between.fault = lambda form: Reply({"error_message": "bad", "error": "RequestNotUnderstood('x')"}, status=400)
    with conf.set_temp("max_active_jobs", 1), pytest.raises(ParameterError):
        curve(on_error="skip")
    assert len(between.submitted) == 1


def test_windows_without_data(mmoda):
    """Of a real failure: slews have no data, and one job has nothing else."""
    slews = [each[:11] + "1.001" for each in WINDOWS[21:31]]
    options = {**ISGRI, "scw_list": [*WINDOWS[11:21], *slews, *WINDOWS[31:41]], "catalog": CRAB, "windows_per_job": 10}
    with pytest.raises(JobFailed, match="1 of 3 jobs gave no result.*NoValidScW"):
        mmoda.query_lightcurve("isgri", **options)
    with pytest.warns(NoResultsWarning, match="1 of 3 jobs"):
        table = mmoda.query_lightcurve("isgri", **options, on_error="skip")
    assert (table.meta["NJOBS"], table.meta["NFAILED"]) == (2, 1)


# ---- again, and longer -------------------------------------------------------------------------------------------

LONG = """
import sys
from astroquery import log
from astroquery_mmoda import MmodaClass, conf
from tests.test_windows_per_job import CRAB, ISGRI, WINDOWS
log.setLevel("WARNING")
conf.many_polls_per_second = 50
number = int(sys.argv[2])
table = MmodaClass(server=sys.argv[1]).query_lightcurve(
    "isgri", scw_list=WINDOWS[11:11 + number], catalog=CRAB, windows_per_job=5, **{**ISGRI, "progress": lambda job: print(
        job.job_id, job.status, flush=True)})
print("result", len(table), table.meta["NJOBS"])
"""


def long_query(url: str, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LONG, url, str(number)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_killed_in_the_middle_of_twenty_jobs(local_mmoda, between):
    """No job is computed twice: what was done or runs is only asked for, by the same form."""
    url, before = between.client.URL, local_mmoda.computed
    with long_query(url, 100) as killed:
        while len(set(between.submitted)) < 8:
            assert killed.stdout.readline(), "it ended too early"
        os.kill(killed.pid, signal.SIGKILL)
    begun = set(between.submitted)
    assert 8 <= len(begun) < 20
    with long_query(url, 100) as again:
        last = again.communicate(timeout=120)[0].split("\n")[-2]
    assert last.startswith("result")
    assert last.endswith(" 20")
    assert len(set(between.submitted)) == 20
    new = local_mmoda.computed - before
    assert len(new) == 20
    assert set(new.values()) == {1}


def test_memory_does_not_grow_with_the_number_of_jobs(mmoda, monkeypatch):
    """What was summed is not kept."""
    alive: list[weakref.ref] = []
    most = 0

    def counted(products):
        nonlocal most
        alive.append(weakref.ref(products))
        most = max(most, sum(each() is not None for each in alive))
        return image(products)

    image = Products.image
    monkeypatch.setattr(Products, "image", counted)
    with conf.set_temp("max_active_jobs", 1):
        mosaic = mmoda.query_image("isgri", **ISGRI, scw_list=WINDOWS[11:41], windows_per_job=5)
    assert mosaic[0].header["NJOBS"] == len(alive) == 6
    assert most <= 3  # one that is summed, one that ended, one on its way


def test_windows_added_at_the_end(between, curve):
    curve(WINDOWS[11:56])
    first = set(between.submitted)
    between.submitted.clear()
    table = curve(WINDOWS[11:66])
    assert table.meta["NJOBS"] == 6
    assert len(first & set(between.submitted)) == 4  # all but the last
    assert len(set(between.submitted)) == 6


# ---- of many -----------------------------------------------------------------------------------------------------


def epochs(number: int = 3) -> list[dict]:
    """Of some days each."""
    return [
        {
            "instrument": "isgri",
            "coordinates": "83.6331 22.0145",
            "energy_range": BAND,
            "catalog": CRAB,
            "scw_list": WINDOWS[11 + 20 * epoch : 31 + 20 * epoch],
            "windows_per_job": 10,
        }
        for epoch in range(number)
    ]


def jobs_of(table: Table) -> int:
    return int(table.meta["NJOBS"])


def test_epochs_by_query_many(between):
    many = between.client.query_many("lightcurve", epochs(), max_active=2, progress=False)
    outcomes = dict(many)
    assert [jobs_of(outcomes[row]) for row in range(3)] == [2, 2, 2]
    assert all(" +1" in job_id for job_id in many.summary["job_id"])
    assert between.most_running <= 2 * 4
    assert many.progress == (1.0, "3 of 3 done; 6 of 6 jobs done, 60 of 60 science windows")


def test_epochs_on_workers(between):
    with ThreadPoolExecutor(2) as executor:
        found = dict(
            between.client.query_many("lightcurve", epochs(), reduce=jobs_of, executor=executor, progress=False)
        )
    assert found == {0: 2, 1: 2, 2: 2}


def test_an_epoch_that_fails(between):
    fails(between, 2)
    outcomes = dict(between.client.query_many("lightcurve", epochs(), progress=False))
    assert isinstance(outcomes[1], JobFailed)
    assert isinstance(outcomes[0], Table)
    skipped = [{**each, "on_error": "skip"} for each in epochs()]
    with pytest.warns(NoResultsWarning, match="1 of 2 jobs gave no result"):
        outcomes = dict(between.client.query_many("lightcurve", skipped, progress=False))
    assert [int(outcomes[row].meta["NFAILED"]) for row in range(3)] == [0, 1, 0]


# ---- what is shown -----------------------------------------------------------------------------------------------


def test_one_line_for_all_jobs(between, log_records, monkeypatch, capsys):
    monkeypatch.setattr("astroquery_mmoda.progress.isatty", lambda file: True)
    options = {"scw_list": WINDOWS[11:51], "catalog": CRAB, "windows_per_job": 10, "time_bin": "900 s"}
    between.client.query_lightcurve("isgri", **options, **{**ISGRI, "progress": None})
    shown = capsys.readouterr().err
    going = r"\rlightcurve of isgri · \d of 4 jobs done, \d running · \d+ s · \d+ of 40( science)? windows *\r"
    assert re.search(going, shown), shown
    assert re.search(r"\rlightcurve of isgri · 4 of 4 jobs done · \d+ s · 40 of 40 science windows *\n$", shown), shown
    messages = log_records()
    assert any("isgri_lc of isgri: 40 science windows in 4 jobs, at most 4 at a time" in each for each in messages)
    assert not any("jobs done" in each for each in messages)
    between.client.query_lightcurve("isgri", **options, **ISGRI)
    assert any("lightcurve: 4 of 4 jobs done, 40 of 40 science windows in" in each for each in log_records())


def test_a_callable_gets_each_job(between, curve):
    seen = set()
    curve(time_bin="950 s", progress=lambda job: seen.add(job.job_id))
    assert len(seen - {""}) == 4


def test_only_one_source(curve):
    table = curve(catalog=["Crab", "1A 0535+262"], source="crab")
    assert set(table["src_name"]) == {"Crab"}
    with pytest.raises(ParameterError, match="there is no source 'Cyg X-1'"):
        curve(catalog=["Crab", "1A 0535+262"], source="Cyg X-1")


# ---- images, catalogues and spectra ------------------------------------------------------------------------------


def test_images_catalogues_and_spectra(mmoda):
    options = {**ISGRI, "scw_list": WINDOWS[11:31], "windows_per_job": 10}
    mosaic = mmoda.query_image("isgri", **options)
    assert mosaic[0].header["NJOBS"] == 2
    assert [row[:16] for row in mosaic["INPUTS"].data["WINDOWS"]] == [WINDOWS[11], WINDOWS[21]]
    assert {"INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE", "CATALOG"} <= {hdu.name for hdu in mosaic}
    catalog = mmoda.query_catalog("isgri", **options)
    assert isinstance(catalog, Table)
    assert catalog.meta["NJOBS"] == 2
    inputs = json.loads(catalog.meta["INPUTS"])
    assert {each["job_id"] for each in inputs} == set(mosaic["INPUTS"].data["JOB_ID"])
    assert all(each["windows"] and each["start"] < each["stop"] for each in inputs)
    assert list(catalog["src_names"]) == list(mosaic["CATALOG"].data["src_names"])
    spectra = mmoda.query_spectrum("isgri", **options, catalog=catalog, source="Crab")
    assert isinstance(spectra, fits.HDUList)
    assert [hdu.name for hdu in spectra[1:5]] == ["SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX"]
    assert spectra["SPECTRUM"].header["SRC_NAME"] == "Crab"
    assert len(spectra["SOURCES"].data) == 1
    assert spectra["INPUTS"].data["WEIGHT"].shape == (2, 1)
    assert spectra["INPUTS"].columns["EXPOSURE"].unit == "s"
    assert spectra[0].header["NJOBS"] == 2
