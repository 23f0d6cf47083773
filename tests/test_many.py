# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Many queries: against a real dispatcher, and against a service that counts, forgets, refuses and stumbles."""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time

from astroquery_mmoda import JobTimeout, MmodaClass, ParameterError, conf
from astroquery_mmoda.errors import AuthenticationError, JobFailed, collecting, warn
from astroquery_mmoda.jobs import journal
from astroquery_mmoda.many.outcomes import run_item
from astroquery_mmoda.many.rows import row_reader
from astroquery_mmoda.many.work import Run, WorkItem, in_daemon
from astroquery_mmoda.request.positions import sky_position
from astroquery_mmoda.service.account import Account
from conftest import require
from tests.scripted_server import Reply, Request, ScriptedServer, analysis_reply
from tests.tokens import mint

ROOT = Path(__file__).resolve().parents[1]
META_DATA = json.loads((ROOT / "tests/data/responses/meta_data_isgri.json").read_text())["json"]
FAST = {"instrument": "isgri", "product": "isgri_lc", "time_range": (58193.5, 58194.5), "radius": 8}


class Service:
    """Computes light curves of isgri, or says so; every product is the name of the source that was asked for."""

    def __init__(self) -> None:
        self.looks = 0  # in vain, before an analysis is ready
        self.work = 0.0  # seconds before an answer to a submission
        self.size = 0
        self.faults: dict[str, Reply] = {}
        self.places = {"Crab": (83.63, 22.01)}
        self.lock = threading.Lock()
        self.running: dict[str, int] = {}
        self.most_running = 0
        self.at: list[tuple[str, float]] = []
        self.submitted: list[str] = []
        self.looked_up: list[str] = []
        self.tokens: set[str | None] = set()

    def __call__(self, request: Request) -> Reply:
        if request.path.endswith("meta-data"):
            return Reply(META_DATA)
        if request.path.endswith("par-names"):
            return Reply(["src_name"])
        if request.path.endswith("resolve_name"):
            self.looked_up.append(request.query["name"])
            if request.query["name"] not in self.places:
                return Reply({"name": request.query["name"], "message": "could not be resolved"})
            ra, dec = self.places[request.query["name"]]
            return Reply({"name": request.query["name"], "RA": ra, "DEC": dec})
        return self.analysis(request.form)

    def analysis(self, form: dict[str, str]) -> Reply:
        name, asked = form["src_name"], form["query_status"]
        said = {name: value for name, value in form.items() if name not in ("query_status", "session_id", "job_id")}
        job_id = hashlib.sha256(repr(sorted(said.items())).encode()).hexdigest()[:16]
        with self.lock:
            self.at.append((asked, time.monotonic()))
            self.tokens.add(form.get("token"))
            if asked == "new":
                self.submitted.append(name)
                self.running[job_id] = self.looks
            self.most_running = max(self.most_running, len(self.running))
            fault = self.faults.pop(name, None)
            left = self.running.get(job_id, 0)
            if fault is not None:
                self.running.pop(job_id, None)
        if self.work:
            time.sleep(self.work)
        if fault is not None:
            return fault
        with self.lock:
            self.running[job_id] = left - 1
            if left > 1:
                return Reply(analysis_reply("submitted" if asked == "new" else "progress", job_id=job_id))
            if left == 1:
                return Reply(analysis_reply("ready", job_id=job_id))
            del self.running[job_id]
        text = name.ljust(self.size)
        return Reply(analysis_reply("done", {"text_product_list": [{"name": "t", "value": text}]}, job_id=job_id))

    @property
    def looks_at(self) -> list[float]:
        """Times of all requests that are no submissions."""
        return sorted(moment for asked, moment in self.at if asked != "new")


@pytest.fixture
def service():
    service = Service()
    with ScriptedServer(service) as server:
        service.url = server.url
        yield service


@pytest.fixture
def client(service):
    return MmodaClass(server=service.url)


def questions(number: int, **more) -> list[dict]:
    """Each about another source."""
    return [{**FAST, "coordinates": f"{10 + row} 20", "src_name": f"source {row}", **more} for row in range(number)]


def name_of(products) -> str:
    return products[0].data.strip()


def stop_after(turns: int):
    """A display that is interrupted."""
    calls = iter(range(100))

    def progress(many):
        if next(calls) == turns:
            raise KeyboardInterrupt

    return progress


def process_of(products) -> tuple[int, str]:
    return os.getpid(), name_of(products)


# ---- rows --------------------------------------------------------------------------------------------------------


def read(table) -> list[dict]:
    number, read_row = row_reader(table)
    return [read_row(row) for row in range(number)]


def test_columns_are_arguments():
    table = Table(
        {
            "instrument": ["isgri", "jemx"],
            "radius": [8.0, 0.5],
            "max_pointings": [10, 20],
            "time_range": [[58193.0, 58194.0], [58195.0, 58196.0]],
            "product": MaskedColumn(["isgri_lc", ""], mask=[False, True]),
        }
    )
    table["radius"].unit = "deg"
    first, second = read(table)
    assert first["radius"] == 8 * u.deg
    assert (first["instrument"], first["product"], first["max_pointings"]) == ("isgri", "isgri_lc", 10)
    assert type(first["max_pointings"]) is int
    assert second["time_range"].tolist() == [58195.0, 58196.0]
    assert "product" not in second


def test_columns_with_units_times_and_texts():
    table = QTable(
        {
            "instrument": np.array([b"isgri  ", b"isgri"]),
            "energy_range": [[20, 40], [40, 80]] * u.keV,
            "time_range": Time([["2018-03-16", "2018-03-17"], ["2018-03-18", "2018-03-19"]]),
            "scw_list": [["066500220010.001", "066500230010.001"]] * 2,
            "pair": np.array([("a", 1), None], dtype=object),
        }
    )
    first, second = read(table)
    assert first["instrument"] == "isgri"
    assert second["energy_range"].to_value("keV").tolist() == [40, 80]
    assert second["time_range"][1].isot == "2018-03-19T00:00:00.000"
    assert first["scw_list"] == ["066500220010.001", "066500230010.001"]
    assert first["pair"] == ("a", 1)


@pytest.mark.parametrize(
    "columns",
    [
        {"place": SkyCoord([83.63, 84], [22.01, 23], unit="deg")},
        {"coordinates": SkyCoord([83.63, 84], [22.01, 23], unit="deg")},
        {"ra": [83.63, 84], "dec": [22.01, 23]},
        {"ra": u.Quantity([83.63, 84], "deg").to("hourangle"), "dec": [22.01, 23] * u.deg},
        {"ra": ["5h34m31.2s", ""], "dec": ["22d0m36s", ""]},
    ],
)
def test_columns_that_are_coordinates(columns):
    first, _ = read(QTable({"instrument": ["isgri"] * 2, **columns}))
    assert set(first) == {"instrument", "coordinates"}
    assert sky_position(first["coordinates"]).separation(SkyCoord(83.63, 22.01, unit="deg")) < 1e-6 * u.arcsec


def test_a_position_that_is_masked(client):
    table = Table({"instrument": ["isgri"] * 2, "ra": [1.0, 2.0], "dec": MaskedColumn([0.0, 95.0], mask=[True, False])})
    table["product"] = "isgri_lc"
    outcomes = dict(client.query_many("product", table, progress=False))
    assert "parameter 'ra'" in str(outcomes[0])
    assert "not a valid position" in str(outcomes[1])
    sky = SkyCoord([1, 2, 3], [1, 2, 3], unit="deg")
    with pytest.raises(ParameterError, match="Which column"):
        client.query_many("product", QTable({"instrument": ["isgri"] * 3, "here": sky, "there": sky}))


@pytest.mark.parametrize("queries", ["isgri", {"instrument": "isgri"}, 7, None])
def test_queries_are_a_table_or_a_list(client, queries):
    with pytest.raises(ParameterError, match="a Table or a list of dicts"):
        client.query_many("image", queries)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"kind": "images"}, "is not one of: image, catalog"),
        ({"on_error": "ignore"}, "'keep' or 'raise'"),
        ({"max_active": 0}, "above zero"),
        ({"max_active": True}, "above zero"),
    ],
)
def test_what_is_wrong_with_the_call_is_raised_at_once(client, wrong, match):
    with pytest.raises(ParameterError, match=match):
        client.query_many(**{"kind": "image", "queries": [], **wrong})


# ---- all are made, and not all at once ---------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [0, 2])
def test_each_outcome_belongs_to_its_question(client, service, looks):
    service.looks = looks
    with conf.set_temp("many_polls_per_second", 200):
        many = client.query_many("product", questions(30), max_active=5, progress=False)
        assert len(many) == 30
        assert service.submitted == []
        outcomes = dict(many)
    assert {row: name_of(products) for row, products in outcomes.items()} == {n: f"source {n}" for n in range(30)}
    assert (2 if looks else 1) <= service.most_running <= 5
    assert len(service.submitted) == 30

    summary = many.summary
    assert summary.colnames == ["index", "status", "source", "instrument", "job_id", "size", "seconds", "error"]
    assert summary["source"].tolist() == [f"source {row}" for row in range(30)]
    assert set(summary["instrument"]) == {"isgri"}
    assert summary["index"].tolist() == list(range(30))
    assert set(summary["status"]) == {"done"}
    assert summary["job_id"].tolist() == [outcomes[row].job_id for row in range(30)]
    assert all(summary["size"] > 300)
    assert all(summary["seconds"] > 0)
    assert sum(record["server"] == service.url for record in journal.records()) == 30
    assert list(many) == []


def test_nothing_to_do(client):
    many = client.query_many("image", Table({"instrument": np.array([], "U5")}))
    assert (len(many), list(many), len(many.summary)) == (0, [], 0)


def test_what_is_wrong_with_a_row_is_its_outcome(client, service):
    rows = questions(8)
    rows[1]["radius"] = -3
    rows[2]["raduis"] = 3
    rows[3] = "Crab"
    del rows[4]["instrument"]
    rows[5]["token"] = "a.secret.token"
    rows.append({**rows[0], "timeout": "soon"})
    refused = analysis_reply("failed", exit_status={"status": 1, "message": "no data", "error_message": "x"})
    service.faults["source 6"] = Reply(refused)
    many = client.query_many("product", rows, progress=False)
    outcomes = dict(many)
    assert sorted(service.submitted) == ["source 0", "source 6", "source 7"]
    assert [type(outcomes[row]) for row in range(1, 7)] == [ParameterError] * 5 + [JobFailed]
    assert name_of(outcomes[7]) == "source 7"
    assert "but of query_many" in str(outcomes[5])
    assert "secret" not in repr(outcomes[5].__dict__)
    assert "not a valid time span" in str(outcomes[8])
    assert many.counts == {"waiting": 0, "running": 0, "done": 2, "failed": 7}
    assert many.summary["status"].tolist() == ["done", *["failed"] * 6, "done", "failed"]
    assert many.summary["error"][1] == str(outcomes[1])[:27] + "..."
    assert "out of range" in str(outcomes[1])
    assert outcomes[6].job.job_id == many.summary["job_id"][6]


def test_an_error_that_is_raised_loses_nothing(client, service):
    rows = questions(6)
    rows[2]["radius"] = -3
    many = client.query_many("product", rows, on_error="raise", progress=False)
    seen = []
    with pytest.raises(ParameterError, match="out of range"):
        seen.extend(many)  # what comes before the error stays
    seen = dict([*seen, *many])
    assert {row: name_of(products) for row, products in seen.items()} == {
        row: f"source {row}" for row in range(6) if row != 2
    }


def test_stopping_and_going_on(client, service):
    service.looks = 1
    with conf.set_temp("many_polls_per_second", 200):
        many = client.query_many("product", questions(9), max_active=3, progress=False)
        first = next(iter(many))
        time.sleep(0.3)
        assert len(service.submitted) <= 4  # nobody asked for more
        running = many.summary[many.summary["status"] == "running"]
        assert 1 <= len(running) == sum(running["job_id"] != "")
        rest = list(many)
    assert sorted(row for row, _ in [first, *rest]) == list(range(9))
    assert len(service.submitted) == 9
    assert "9 done" in repr(many)
    assert many._repr_html_().startswith("<")


def test_instruments_that_answer_at_once_work_side_by_side(client, service):
    service.work = 0.25
    outcomes = dict(client.query_many("product", questions(16), max_active=8, progress=False))
    assert len(outcomes) == 16
    assert service.most_running == 8  # one after another it would be 1


def test_few_connections_for_many_analyses(client, service):
    service.work = 0.5
    assert len(list(client.query_many("product", questions(40), max_active=40, progress=False))) == 40
    assert 2 < service.most_running <= 16
    limit = time.monotonic() + 5
    while (left := [thread for thread in threading.enumerate() if thread.name == "mmoda"]) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not left


def test_a_script_ends_while_queries_are_under_way():
    """Their threads wait for an answer that does not come, and nobody waits for them."""
    script = """
import sys
from astroquery_mmoda import MmodaClass

def stop(many):
    if many.counts["running"] == 3:
        sys.exit("stopped")

queries = [{"instrument": "isgri", "product": "isgri_lc", "coordinates": f"{row} 20"} for row in range(3)]
many = MmodaClass(server=sys.argv[1]).query_many("product", queries, progress=stop)
list(many)
"""

    def answer(request):
        if request.path.endswith("run_analysis"):
            time.sleep(30)
        return Reply(META_DATA if request.path.endswith("meta-data") else ["src_name"])

    with ScriptedServer(answer) as server:
        command = [sys.executable, "-W", "ignore", "-c", script, server.url]
        begin = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert time.monotonic() - begin < 15
    assert done.stderr.splitlines()[-1:] == ["stopped"]


def test_what_nobody_asks_for_any_more_ends(client, service):
    service.looks = 10**6
    with conf.set_temp("many_polls_per_second", 100):
        many = client.query_many("product", questions(3, timeout=3600), max_active=3, progress=stop_after(3))
        with pytest.raises(KeyboardInterrupt):
            list(many)
        time.sleep(0.3)
        polls = len(service.at)
        time.sleep(0.3)
        assert len(service.at) == polls  # paused
        # a script can end although they wait
        assert [thread.daemon for thread in threading.enumerate() if thread.name == "mmoda"] == [True] * 3
        del many
        gc.collect()
        limit = time.monotonic() + 5
        while "mmoda" in [thread.name for thread in threading.enumerate()] and time.monotonic() < limit:
            time.sleep(0.02)
    assert "mmoda" not in [thread.name for thread in threading.enumerate()]


def test_the_summary_tells_queries_apart(client, service):
    rows = questions(3)
    del rows[0]["src_name"]
    rows[1]["time_range"] = ("2018-03-20T00:00:00", "2018-03-21T00:00:00")
    rows[2]["radius"] = -1
    many = client.query_many("product", rows, progress=False)
    assert many.summary.colnames == ["index", "status", "source", "instrument", "job_id", "size", "seconds", "error"]
    list(many)
    summary = many.summary
    assert "time_range" in summary.colnames
    assert "energy_range" not in summary.colnames
    assert summary["source"].tolist() == ["J004000+200000", "source 1", "12 20"]
    assert summary["time_range"][1].startswith("2018-03-20")
    lines = summary.pformat(max_width=80)
    assert max(map(len, lines)) <= 80
    assert {"index", "status", "seconds", "error"} <= set(lines[0].split())


def test_looks_are_limited_for_all_together(client, service):
    service.looks = 2
    with conf.set_temp("many_polls_per_second", 20):
        assert len(dict(client.query_many("product", questions(12), max_active=12, progress=False))) == 12
    looks = service.looks_at
    assert len(looks) == 24
    # of when they came: the first may be late on a busy machine
    assert looks[-1] - looks[0] > (len(looks) - 1) / 20 - 0.2


def test_looks_become_rarer(client, service):
    service.looks = 10**6
    with conf.set_temp("many_polls_per_second", 100):
        (outcome,) = dict(client.query_many("product", questions(1, timeout=2 * u.s), progress=False)).values()
    assert isinstance(outcome, JobTimeout)
    assert outcome.job.status == "progress"
    pauses = np.diff(service.looks_at)
    assert len(pauses) < 20
    assert pauses[-2] > 0.12


def test_a_pause_that_the_service_asks_for_holds_for_all(client, service):
    service.looks = 1
    service.faults["source 5"] = Reply("busy", status=429, headers={"Retry-After": "1"})
    with conf.set_temp("many_polls_per_second", 100):
        outcomes = dict(client.query_many("product", questions(30), max_active=4, progress=False))
    assert {name_of(products) for products in outcomes.values()} == {f"source {row}" for row in range(30)}
    gaps = np.diff(sorted(moment for _, moment in service.at))
    assert 0.8 < max(gaps) < 1.5  # during which nobody asked


def test_memory_does_not_grow_with_the_number(client, service):
    service.size = 80_000
    dict(client.query_many("product", questions(10), reduce=name_of, progress=False))
    rows = questions(100)
    tracemalloc.start()
    try:
        for row, products in client.query_many("product", rows, progress=False):
            assert name_of(products) == f"source {row}"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # the server, which is in this process too, keeps the requests
    assert peak < 6e6 < 100 * 80_000


# ---- shown, and interrupted --------------------------------------------------------------------------------------


def test_a_callable_is_told(client, service):
    told = []
    many = client.query_many("product", questions(4), progress=lambda many: told.append(dict(many.counts)))
    list(many)
    assert told[-1] == {"waiting": 0, "running": 0, "done": 4, "failed": 0}
    assert any(counts["running"] for counts in told)


def test_one_line(client, service, monkeypatch, capsys):
    monkeypatch.setattr("astroquery_mmoda.progress.isatty", lambda stream: True)
    list(client.query_many("product", questions(4)))
    shown = capsys.readouterr()
    assert shown.err.endswith("\rproduct queries · 4 of 4 done · 0 s\n")
    assert "product" not in shown.out  # what is in the log about the end is in the last line
    list(client.query_many("product", questions(4), progress=False))
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "product: 4 queries, 4 done in 0 s" in shown.out


def test_what_the_user_prints_has_lines_of_its_own(client, monkeypatch, capsys):
    monkeypatch.setattr("astroquery_mmoda.progress.isatty", lambda stream: True)
    monkeypatch.setattr("astroquery_mmoda.progress._Terminal.interval", 0.0)
    monkeypatch.setattr("sys.stderr", sys.stdout)
    for index, _ in client.query_many("product", questions(3), max_active=1, reduce=lambda _: print("reduced")):
        print(f"outcome {index}")
    shown = capsys.readouterr().out
    assert len(re.findall(r"\r *\rreduced\n", shown)) == 3
    assert re.findall(r"\r *\routcome (\d)\n", shown) == ["0", "1", "2"]


def test_an_error_of_the_callable_says_how_to_continue(client):
    many = client.query_many("product", questions(1), progress=lambda many: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        list(many)
    assert "the same call continues" in caught.value.__notes__[0]


def test_a_wrong_progress_is_refused_at_once(client):
    with pytest.raises(ParameterError, match="progress='x' must be True, False or a callable"):
        client.query_many("product", questions(1), progress="x")


def test_few_lines_in_the_log(client, service, log_records):
    from astroquery import log

    log.setLevel("INFO")
    list(client.query_many("product", questions(20)))
    about = [message for message in log_records() if "product" in message]
    assert len(about) == 1
    assert "20 queries, 20 done" in about[0]


def test_interrupted_and_continued(client, service, log_records):
    service.looks = 1
    moments = iter([None, None, None, KeyboardInterrupt])

    def progress(many):
        if (error := next(moments, None)) is not None:
            raise error

    with conf.set_temp("many_polls_per_second", 100):
        many = client.query_many("product", questions(8), max_active=3, progress=progress)
        with pytest.raises(KeyboardInterrupt):
            list(many)
        assert any("goes on at the service" in message for message in log_records())
        outcomes = dict(many)
    assert sorted(outcomes) == list(range(8))
    assert sorted(service.submitted) == sorted(f"source {row}" for row in range(8))


def test_names_are_looked_up_once_for_all_runs(client, service):
    rows = [{**FAST, "coordinates": "Crab", "max_pointings": number} for number in (1, 2)]
    first = client.query_many("product", rows, progress=False)
    list(first)
    service.places["Crab"] = (83.64, 22.02)  # the resolver learns
    other = MmodaClass(server=service.url)
    second = other.query_many("product", rows, progress=False)
    list(second)
    assert second.summary["job_id"].tolist() == first.summary["job_id"].tolist()
    other.clear_cache()
    third = other.query_many("product", rows, progress=False)
    list(third)
    assert not set(third.summary["job_id"]) & set(first.summary["job_id"])


def test_names_that_nobody_knows_are_looked_up_once(client, service, monkeypatch):
    def from_sesame(name, until):
        raise ParameterError(f"nobody knows {name}")

    monkeypatch.setattr("astroquery_mmoda.request.positions.from_sesame", from_sesame)
    rows = [{**FAST, "coordinates": name, "max_pointings": n} for n in (1, 2) for name in ("Crab", "Planet X")]
    outcomes = dict(client.query_many("product", rows, progress=False))
    assert [name_of(outcomes[row]) for row in (0, 2)] == ["Crab", "Crab"]
    assert [str(outcomes[row]) for row in (1, 3)] == ["nobody knows Planet X"] * 2
    assert service.looked_up == ["Crab", "Planet X"]


# ---- workers -----------------------------------------------------------------------------------------------------


def test_threads_of_somebody_else(client, service):
    token = mint()
    client.login(token)
    service.looks = 1
    with ThreadPoolExecutor(4) as executor, conf.set_temp("many_polls_per_second", 100):
        many = client.query_many("product", questions(12), max_active=4, executor=executor, progress=False)
        outcomes = dict(many)
        assert executor.submit(int).result() == 0  # it is still theirs
    assert {row: name_of(products) for row, products in outcomes.items()} == {n: f"source {n}" for n in range(12)}
    assert service.most_running <= 4
    assert service.tokens == {token}
    assert set(many.summary["status"]) == {"done"}
    assert all(many.summary["job_id"] != "")


def test_what_is_sent_has_no_token(client, service):
    token = mint(jti="marked")
    parts = [part.encode() for part in token.split(".")[1:]]
    sent = []

    class Post(ThreadPoolExecutor):
        def submit(self, function, *arguments):
            sent.append(pickle.dumps((function, arguments)))
            function, arguments = pickle.loads(sent[-1])
            return super().submit(function, *arguments)

    client.login(token)
    with Post(2) as executor:
        list(client.query_many("product", questions(3), executor=executor, progress=False))
        assert len(sent) == 3
        assert not any(part in message for message in sent for part in parts)
        # unless it is handed over, and then nobody sees it
        many = client.query_many("product", questions(1), executor=executor, token=token, progress=False)
        list(many)
    assert all(part in sent[-1] for part in parts)
    assert token not in repr(pickle.loads(sent[-1])) + repr(many) + repr(vars(many))


def test_a_token_that_is_none_does_not_show(client):
    with pytest.raises(AuthenticationError) as caught:
        client.query_many("product", [], token="marked-nonsense")
    frames = []
    trace = caught.value.__traceback__
    while trace is not None:
        if "astroquery_mmoda" in trace.tb_frame.f_code.co_filename:
            frames.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert not any("marked-nonsense" in frame for frame in frames)


def test_a_worker_asks_in_nobody_elses_name(service, client, monkeypatch):
    payload = client.query_product(**questions(1)[0], get_query_payload=True)
    monkeypatch.setenv("ODA_TOKEN", mint(sub="other@example.com"))
    there = replace(Account().connect(service.url), email="somebody@example.com")
    result = run_item(WorkItem(Run(pickle.loads(pickle.dumps(there)), 1), "product", payloads=[payload]))
    assert isinstance(result.error, AuthenticationError)
    assert "somebody@example.com" in str(result.error)
    assert service.submitted == []


def test_a_worker_finds_its_own_token(service, client, monkeypatch):
    payload = client.query_product(**questions(1)[0], get_query_payload=True)
    monkeypatch.setenv("ODA_TOKEN", mint())
    there = pickle.loads(pickle.dumps(Account().connect(service.url)))
    assert name_of(run_item(WorkItem(Run(there, 1), "product", payloads=[payload])).products) == "source 0"
    assert service.tokens == {os.environ["ODA_TOKEN"]}
    run_item(WorkItem(Run(replace(there, email="", anonymous=True), 1), "product", payloads=[payload]))
    assert service.tokens == {os.environ["ODA_TOKEN"], None}


def test_interrupted_workers_give_back_what_they_have_not_begun(client, service):
    service.work = 0.2
    with ThreadPoolExecutor(1) as executor:
        many = client.query_many("product", questions(6), max_active=6, executor=executor, progress=stop_after(6))
        with pytest.raises(KeyboardInterrupt):
            list(many)
        assert many.counts["waiting"] >= 3
        assert sorted(row for row, _ in many) == list(range(6))
    assert len(service.submitted) == 6


@pytest.fixture
def processes():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_processes(client, service, processes):
    rows = questions(6)
    rows[3]["radius"] = -1
    many = client.query_many("product", rows, executor=processes, reduce=process_of, progress=False)
    outcomes = dict(many)
    assert isinstance(outcomes.pop(3), ParameterError)
    assert {row: name for row, (_, name) in outcomes.items()} == {n: f"source {n}" for n in range(6) if n != 3}
    assert os.getpid() not in {process for process, _ in outcomes.values()}
    assert many.counts == {"waiting": 0, "running": 0, "done": 5, "failed": 1}

    # a worker dies: what it had, and all the others, go on
    service.work = 0.1
    many = client.query_many("product", questions(20), executor=processes, max_active=4, progress=False)
    outcomes = {}
    for row, products in many:
        outcomes[row] = name_of(products)
        if len(outcomes) == 3:
            os.kill(next(iter(processes._processes)), signal.SIGKILL)  # noqa: SLF001 - of concurrent.futures
    assert outcomes == {row: f"source {row}" for row in range(20)}
    assert set(many.summary["status"]) == {"done"}


def die(products) -> str:
    if name_of(products) == "source 1":
        os._exit(1)
    return name_of(products)


def test_a_reduce_that_kills_is_not_called_here(client, service, processes):
    many = client.query_many("product", questions(8), executor=processes, max_active=2, reduce=die, progress=False)
    outcomes = {}
    for row, outcome in many:
        outcomes[row] = outcome
    lost = [row for row, outcome in outcomes.items() if isinstance(outcome, Exception)]
    assert 1 in lost
    assert len(lost) <= 2
    assert {row: outcome for row, outcome in outcomes.items() if row not in lost} == {
        row: f"source {row}" for row in range(8) if row not in lost
    }


# dask's own ways at its start and at its end
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:.*port.*:UserWarning", "ignore::DeprecationWarning")
def test_a_dask_cluster_of_processes(client, service):
    require(find_spec("distributed"), "dask.distributed")
    import distributed

    service.work = 0.05
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, silence_logs="CRITICAL"
        ) as cluster,
        distributed.Client(cluster) as dask,
    ):
        many = client.query_many(
            "product", questions(24), executor=dask.get_executor(), max_active=4, reduce=process_of, progress=False
        )
        outcomes = {}
        for row, outcome in many:
            outcomes[row] = outcome
            if len(outcomes) == 6:
                os.kill(outcome[0], signal.SIGKILL)
    assert {row: name for row, (_, name) in outcomes.items()} == {row: f"source {row}" for row in range(24)}
    assert os.getpid() not in {process for process, _ in outcomes.values()}
    assert len({process for process, _ in outcomes.values()}) >= 2
    assert set(many.summary["status"]) == {"done"}


# ---- the real thing ----------------------------------------------------------------------------------------------


def survey(number: int, first: int = 0) -> Table:
    """Light curves of other places at other times, by an asynchronous instrument."""
    rows = np.arange(first, first + number)
    begin = Time("2018-04-01T00:00:00") + rows * u.h
    return Table(
        {
            "instrument": ["isgri"] * number,
            "ra": 83.6 + rows / 50,
            "dec": 22.0 + rows / 50,
            "src_name": [f"place {row}" for row in rows],
            "time_range": np.stack([begin.isot, (begin + 2 * u.h).isot], axis=1),
            "max_pointings": [2] * number,
            "radius": [5.0] * number * u.deg,
        }
    )


def test_light_curves_and_images_of_the_dispatcher(mmoda):
    table = survey(6)
    with conf.set_temp("many_polls_per_second", 50):
        many = mmoda.query_many("lightcurve", table, max_active=3, progress=False)
        for row, curve in many:
            begin, end = Time(table["time_range"][row])
            assert "Crab" in curve["src_name"]
            # science windows come as a whole
            assert begin - 1 * u.h < curve["time"].utc.min() < curve["time"].utc.max() < end + 1 * u.h
        images = dict(
            mmoda.query_many(
                "image", table[:2], reduce=lambda image: image["SIGNIFICANCE"].header["CRVAL1"], progress=False
            )
        )
    assert images == pytest.approx(dict(enumerate(table["ra"][:2])))
    assert set(many.summary["status"]) == {"done"}


CONTINUE = """
import sys
from astroquery import log
from astroquery_mmoda import MmodaClass, conf
from tests.test_many import survey
log.setLevel("WARNING")
conf.many_polls_per_second = 50
table = survey(8, first=30)
client = MmodaClass(server=sys.argv[1])
many = client.query_many("lightcurve", table, max_active=4, on_error="raise", progress=False)
for row, products in many:
    print(row, flush=True)
print(*many.summary["job_id"])
"""


def test_killed_in_the_middle_and_run_again(local_mmoda, tmp_path):
    command = [sys.executable, "-c", CONTINUE, local_mmoda.url]
    start = partial(
        subprocess.Popen, command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    before = local_mmoda.jobs
    with start() as killed:
        seen = [int(killed.stdout.readline()) for _ in range(2)]
        killed.kill()
    assert len(set(seen)) == 2
    with start() as again:
        output = again.communicate(timeout=60)[0].split("\n")
    assert again.returncode == 0
    assert sorted(int(line) for line in output[:8]) == list(range(8))
    new = local_mmoda.jobs - before
    assert set(new) == set(output[8].split())  # the same analyses, no more of them
    assert 8 < sum(new.values()) <= 16  # some of them for the second time, from another session


def test_warnings_of_all_threads_of_a_query_are_kept():
    found = []
    with collecting(found):
        in_daemon(warn, "late", UserWarning).result()
    assert found == [("late", UserWarning)]
