# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Jobs that outlive what started them, with a real dispatcher behind.

The service's own records of jobs are a supplement of the local dispatcher (tests/local_mmoda/serve.py).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from astropy.config.paths import get_config_dir

from astroquery_mmoda import Job, JobLost, MmodaClass, ParameterError
from tests.local_mmoda.client_process import act, digest
from tests.local_mmoda.server import LocalMmoda
from tests.tokens import mint

ROOT = Path(__file__).resolve().parents[1]
QUICK = {
    "instrument": "twins",
    "product": "first_lc",
    "coordinates": "Crab",
    "time_range": ("2018-04-01T00:00:00", "2018-04-01T02:00:00"),
}
# fractions of a degree make them different questions
FRESH = count(1)


def question():
    """Something that nobody asked before."""
    return {
        "instrument": "isgri",
        "product": "isgri_lc",
        "coordinates": f"{83.6 + next(FRESH) / 1000} 22.01",
        "radius": 5,
        "time_range": ["2018-04-01T00:00:00", "2018-04-01T02:00:00"],
        "max_pointings": 2,
    }


@pytest.fixture
def client(local_mmoda):
    return MmodaClass(server=local_mmoda.url)


@pytest.fixture
def token(local_mmoda):
    """Function that mints tokens which the server accepts."""
    return partial(mint, key=local_mmoda.secret_key)


@pytest.fixture(scope="module")
def slow(local_mmoda):
    """A dispatcher whose jobs take long enough to be interrupted."""
    with LocalMmoda(local_mmoda.python, step=0.2) as service:
        yield service


@pytest.fixture
def start(tmp_path):
    """Function that starts a new Python; see client_process.py."""
    running = []

    def run(server, action, argument):
        command = [sys.executable, "-m", "tests.local_mmoda.client_process", server, action, argument]
        options = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **options))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def told(process):
    """What a process says at its good end."""
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


def records():
    """Where the journal is."""
    return Path(get_config_dir(), "astroquery_mmoda", "jobs")


# ---- the journal -------------------------------------------------------------------------------------------------


def test_a_new_process_gets_the_same_products(client, local_mmoda, start):
    job = client.submit_product(**question())
    mine = job.result()
    assert digest(mine)[0] >= 2
    assert told(start(local_mmoda.url, "resume", job.job_id)) == digest(mine)
    # a few characters are enough
    assert digest(client.get_job(job.job_id[:9]).result()) == digest(mine)


def test_what_another_process_submitted(client, local_mmoda, start):
    job_id = told(start(local_mmoda.url, "submit", json.dumps(question())))
    job = client.get_job(job_id)
    assert (job.instrument, job.product, job.parameters["max_pointings"]) == ("isgri", "isgri_lc", "2")
    assert digest(job.result())[0] >= 2
    assert local_mmoda.jobs[job_id] == 1


def test_a_status_that_the_service_lost(local_mmoda, monkeypatch):
    """As a poll and the last report leave it, when they write the file of the status at the same moment."""
    with LocalMmoda(local_mmoda.python, step=0.05) as service:
        times = ("2022-10-09T00:00:00", "2022-10-19T00:00:00")
        job = MmodaClass(server=service.url).submit_product(
            "photometry", "Crab", product="Lightcurve_bare", time_range=times
        )
        (run,) = service.log_path.parent.glob("run")
        while not list(run.glob("local-backend/*/done")):
            time.sleep(0.05)
        service.restart()  # nothing reports any more
        (place,) = run.glob(f"scratch_*_jid_{job.job_id}/job_monitor.json")
        lost = {"job_id": job.job_id, "session_id": job.session_id, "status": "unaccessible"}
        place.write_text(json.dumps(lost))
        assert job.refresh().status == "submitted"
        assert job.refresh().status == "submitted"
        assert json.loads(place.read_text()) == lost
        monkeypatch.setattr("astroquery_mmoda.jobs.job._LONGEST_UNREADABLE", 0.5)
        assert len(job.result(timeout=60)) == 1
        assert service.jobs[job.job_id] == 1


def test_jobs_are_listed(client):
    first, second = (client.submit_product(**question()) for _ in range(2))
    second.result()
    table = client.list_jobs()
    assert {"source", "energy_range", "time_range", "server", "journal"} < set(table.colnames)
    assert list(table["job_id"][:2]) == [second.job_id, first.job_id]
    row = table[0]
    assert (row["session_id"], row["instrument"], row["product"]) == (second.session_id, "isgri", "isgri_lc")
    assert (row["status"], row["journal"]) == ("done", True)
    assert row["submitted"] == second.submitted
    assert set(table["journal"]) == {True}


def test_jobs_are_listed_with_records_of_the_supplement(client, token):
    client.login(token(sub="lists@example.org"))
    known, forgotten = (client.submit_product(**question()) for _ in range(2))
    forgotten.result()
    next(records().glob(f"{forgotten.job_id}-*")).unlink()
    table = client.list_jobs()
    table = table[table["server"] == client.URL]
    rows = {row["job_id"]: row for row in table}
    assert len(rows) == len(table)
    assert (rows[known.job_id]["journal"], rows[forgotten.job_id]["journal"]) == (True, False)
    row = rows[forgotten.job_id]
    assert (row["instrument"], row["product"], row["status"]) == ("isgri", "isgri_lc", "done")
    # both clocks are that of this machine
    assert row["submitted"][:16] == forgotten.submitted[:16] or row["submitted"] > forgotten.submitted


# ---- without the journal -----------------------------------------------------------------------------------------


def test_a_job_that_only_the_service_knows(client, token):
    client.login(token(sub="session@example.org"))
    job = client.submit_product(**question())
    mine = job.result()
    shutil.rmtree(records())
    revived = client.get_job(job.job_id, session_id=job.session_id)
    assert (revived.instrument, revived.product, revived.session_id) == ("isgri", "isgri_lc", job.session_id)
    assert digest(revived.result()) == digest(mine)
    assert revived.job_id == job.job_id


def test_an_anonymous_job_that_only_the_service_knows(client):
    job = client.submit_product(**question())
    mine = job.result()
    shutil.rmtree(records())
    assert digest(client.get_job(job.job_id, session_id=job.session_id).result()) == digest(mine)


def test_a_job_in_records_of_the_supplement(client, token):
    client.login(token(sub="records@example.org"))
    job = client.submit_product(**question())
    mine = job.result()
    shutil.rmtree(records())
    assert digest(client.get_job(job.job_id).result()) == digest(mine)


def test_a_link_is_not_a_login(client, token, local_mmoda):
    """The token in the link of a mail belongs to whoever got the mail."""
    owner = token(sub="mailed@example.org")
    client.login(owner)
    job = client.submit_product(**question())
    mine = job.result()
    link = f"{local_mmoda.url}/resolve-job-url?job_id={job.job_id}&session_id={job.session_id}&token={owner}"
    shutil.rmtree(records())
    begin = local_mmoda.log_path.stat().st_size
    assert digest(client.get_job(link).result()) == digest(mine)

    stranger = MmodaClass(server=local_mmoda.url)
    stranger.login(token(sub="stranger@example.org"))
    shutil.rmtree(records())
    asked = local_mmoda.log_path.stat().st_size
    with pytest.raises(Exception, match="not authorized"):
        stranger.get_job(link)
    log = local_mmoda.log_path.read_bytes()
    assert owner.encode() in log[begin:asked]
    assert owner.encode() not in log[asked:]
    assert not list(records().glob("*.json"))


@pytest.mark.parametrize("session_id", [None, "ABCDEFGHIJKLMNOP"])
@pytest.mark.parametrize("logged_in", [True, False])
def test_an_unknown_job(client, token, session_id, logged_in):
    if logged_in:
        client.login(token())
    with pytest.raises(JobLost, match="fedcba9876543210"):
        client.get_job("fedcba9876543210", session_id=session_id)
    with pytest.raises(ParameterError, match="is not a valid job"):
        client.get_job("../../etc/passwd")


def test_a_job_that_the_service_forgot(client):
    job = client.submit_product(**question())
    lost = Job.from_dict({**job.to_dict(), "job_id": "fedcba9876543210"}, client=client)
    with pytest.raises(JobLost, match=r"Submit it again") as caught:
        lost.result()
    assert caught.value.job is lost


def test_a_job_as_a_record(client):
    job = client.submit_product(**question())
    record = json.loads(json.dumps(job.to_dict()))
    again = Job.from_dict(record)
    assert again.to_dict() == job.to_dict()
    assert digest(again.result()) == digest(job.result())
    done = Job.from_dict(job.to_dict())
    assert (done.status, done.job_id) == ("done", job.job_id)
    assert digest(done.result()) == digest(job.result())


# ---- the end of processes, and of the server ---------------------------------------------------------------------


def test_killed_at_any_time_and_resumed(slow, monkeypatch):
    """Whenever the end comes, a new process continues with the same result; no second job is started."""
    jobs = set(slow.jobs)
    # processes without a past of ours, that need not import everything each; before Python 3.13 these ignore sys.path
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.local_mmoda.client_process"])

    def begin(action, argument):
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=act, args=(slow.url, action, argument, sending.send))
        process.start()
        sending.close()
        return process, receiving.recv()

    def once(number):
        asked = question()
        waiting, job_id = begin("wait", json.dumps(asked))
        time.sleep(number * 0.15)
        os.kill(waiting.pid, signal.SIGKILL)
        waiting.join()
        resumed, products = begin("resume", job_id)
        resumed.join()
        return job_id, products, digest(MmodaClass(server=slow.url).query_product(**asked))

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(once, range(6)))
    assert [resumed for _, resumed, _ in results] == [asked_again for _, _, asked_again in results]
    assert all(resumed[0] >= 2 for _, resumed, _ in results)
    assert len({job_id for job_id, _, _ in results}) == 6
    assert set(slow.jobs) - jobs == {job_id for job_id, _, _ in results}


def test_an_interrupt_ends_the_wait_and_tells_the_job(slow, start):
    waiting = start(slow.url, "watch", json.dumps(question()))
    job_id = json.loads(waiting.stdout.readline())
    assert json.loads(waiting.stdout.readline()) == "submitted"  # it waits by now
    waiting.send_signal(signal.SIGINT)
    output, errors = waiting.communicate(timeout=20)
    assert waiting.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert job_id in output + errors
    assert f"get_job('{job_id}')" in output + errors
    assert told(start(slow.url, "resume", job_id))[0] >= 2


def test_jobs_survive_the_server(slow):
    client = MmodaClass(server=slow.url)
    job = client.submit_product(**question())
    mine = job.result()
    slow.restart()
    assert digest(client.get_job(job.job_id).result()) == digest(mine)
    assert slow.jobs[job.job_id] == 1
    # also while somebody is waiting: nobody answers meanwhile
    waiting = client.submit_product(**QUICK)
    restarted = threading.Thread(target=slow.restart)
    restarted.start()
    assert len(client.submit_product(**QUICK).result(timeout=30)) == len(waiting.result())
    restarted.join()


# ---- many at once ------------------------------------------------------------------------------------------------


def test_threads_share_a_client(client, token):
    client.login(token(sub="threads@example.org"))

    def ask(number):
        source = f"{83.0 + number / 10} 22.01"
        times = ("2018-04-01T00:00:00", f"2018-04-01T{number + 1:02d}:00:00")
        job = client.submit_product(**{**QUICK, "coordinates": source, "time_range": times})
        return job.job_id, job.result()["first_lc"].data["LC"].data["TIME"]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, [*range(8), *range(8)]))
    assert [job_id for job_id, _ in answers[:8]] == [job_id for job_id, _ in answers[8:]]
    assert len({job_id for job_id, _ in answers}) == 8
    for number, (_, time_) in enumerate(answers[:8]):
        assert len(time_) == 50
        assert (time_[-1] - time_[0]) * 24 * 50 / 49 == pytest.approx(number + 1, rel=1e-6)
    assert {row["job_id"] for row in client.list_jobs()} >= {job_id for job_id, _ in answers}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_of_a_client_in_use(client):
    mine = client.query_product(**QUICK)
    reading, writing = os.pipe()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                answer = digest(client.query_product(**QUICK)) == digest(mine)
                os.write(writing, b"same" if answer else b"other")
            finally:
                os._exit(0)
        children.append(child)
        assert digest(client.query_product(**QUICK)) == digest(mine)
    os.close(writing)
    for child in children:
        os.waitpid(child, 0)
    with open(reading, "rb") as answers:
        assert answers.read() == b"same" * 3
