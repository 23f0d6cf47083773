"""A job from submission to result against a scripted server: states, failures, and what is sent at every look."""

import pickle
import time
from types import SimpleNamespace

import pytest
from astropy import units as u
from astropy.table import Table

from astroquery_mmoda import Products, conf, errors
from astroquery_mmoda.jobs.job import Job
from astroquery_mmoda.jobs.run import submit as hand_over
from astroquery_mmoda.service.account import Account
from tests.scripted_server import Reply, ScriptedServer, analysis_reply

PAYLOAD = {
    "instrument": "isgri",
    "product_type": "isgri_image",
    "query_status": "new",
    "RA": "83.63",
    "src_name": "Crab",
}
CATALOG = {
    "cat_frame": "fk5",
    "cat_coord_units": "deg",
    "cat_column_list": [[0], ["Crab"], [61.3], [83.63], [22.01]],
    "cat_column_names": ["meta_ID", "src_names", "significance", "ra", "dec"],
    "cat_column_descr": [
        ["meta_ID", "<i8"],
        ["src_names", "<U4"],
        ["significance", ">f4"],
        ["ra", ">f4"],
        ["dec", ">f4"],
    ],
    "cat_lat_name": "dec",
    "cat_lon_name": "ra",
}
DONE = analysis_reply("done", {"catalog": CATALOG})


@pytest.fixture
def play():
    """Function that plays replies one after the other, and submits a job to them."""
    servers = []

    def start(*replies):
        played = [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]
        server = ScriptedServer(lambda request: played[min(len(server.requests), len(played)) - 1]).__enter__()
        servers.append(server)
        return server, lambda: hand_over(Account().connect(server.url), PAYLOAD)

    yield start
    for server in servers:
        server.__exit__()


def test_from_submitted_to_done(play):
    reports = {
        "job_monitor": {
            "job_id": "0123456789abcdef",
            "full_report_dict_list": [{"message": "main starting", "node": "n"}],
        }
    }
    server, submit = play(
        analysis_reply("submitted"), analysis_reply("progress", **reports), analysis_reply("ready"), DONE
    )
    job = submit()
    assert (job.status, job.job_id, job.instrument, job.product) == (
        "submitted",
        "0123456789abcdef",
        "isgri",
        "isgri_image",
    )
    products = job.result(progress=False)
    assert isinstance(products, Products)
    assert products.catalog()["src_names"].tolist() == ["Crab"]
    assert products.job_id == job.job_id
    assert job.status == "done"
    assert job.progress == 1.0
    assert job.exception() is None
    assert job.messages["message"].tolist() == ["main starting"]

    sent = [request.form for request in server.requests]
    assert [form["query_status"] for form in sent] == ["new", "submitted", "progress", "ready"]
    assert "job_id" not in sent[0]
    assert {form["job_id"] for form in sent[1:]} == {"0123456789abcdef"}
    sessions = {form["session_id"] for form in sent}
    assert len(sessions) == 1
    assert len(sessions.pop()) == 16
    rest = [{name: form[name] for name in ("instrument", "product_type", "RA", "src_name")} for form in sent]
    assert all(form == rest[0] for form in rest)

    # what is known is not asked again
    job.refresh()
    assert job.done()
    assert job.result() is products
    assert len(server.requests) == 4


def test_done_at_once(play):
    server, submit = play(DONE)
    assert len(submit().result()) == 1
    assert len(server.requests) == 1


def test_done_without_products_is_asked_anew(play):
    """A poll with "done" returns no products, a new submission of the same does."""
    server, submit = play(analysis_reply("ready"), analysis_reply("done"), DONE)
    assert len(submit().result()) == 1
    assert [request.form["query_status"] for request in server.requests] == ["new", "ready", "new"]
    assert "job_id" not in server.requests[-1].form


def test_unaccessible_is_waited_for(play):
    server, submit = play(analysis_reply("submitted"), analysis_reply("unaccessible"), DONE)
    assert len(submit().result()) == 1
    assert [request.form["query_status"] for request in server.requests] == ["new", "submitted", "unaccessible"]


def test_a_job_that_stays_unaccessible_is_submitted_again(play, monkeypatch):
    """Less and less often: the service repeats the status that it was asked with, and can't say more."""
    monkeypatch.setattr("astroquery_mmoda.jobs.job._LONGEST_UNREADABLE", 0.5)
    lost = analysis_reply("submitted", job_monitor={"job_id": "0123456789abcdef", "status": "unaccessible"})
    server, submit = play(analysis_reply("submitted"), *[lost] * 20)
    with pytest.raises(errors.JobTimeout):
        submit().result(timeout=2.5)
    sent = [request.form["query_status"] for request in server.requests]
    assert 2 <= sent.count("new") <= 3
    assert "submitted" in sent


def test_a_status_that_can_be_read_again(play, monkeypatch):
    monkeypatch.setattr("astroquery_mmoda.jobs.job._LONGEST_UNREADABLE", 1.0)
    lost = analysis_reply("submitted", job_monitor={"job_id": "0123456789abcdef", "status": "unaccessible"})
    server, submit = play(*[analysis_reply("submitted"), lost] * 9, DONE)
    assert len(submit().result()) == 1
    assert [request.form["query_status"] for request in server.requests].count("new") == 1


def failed(message="", debug="", reports=()):
    reply = analysis_reply("failed")
    reply["exit_status"] |= {"status": int(bool(message)), "message": message, "debug_message": debug}
    reply["job_monitor"]["full_report_dict_list"] = list(reports)
    return reply


@pytest.mark.parametrize(
    ("replies", "says"),
    [
        (
            [analysis_reply("submitted"), failed(reports=[{"action": "failed", "message": "NoValidScW"}])],
            "0123456789abcdef.*last report: NoValidScW",
        ),
        (
            [analysis_reply("ready"), failed("Error when getting query products", "it broke")],
            "query products - it broke",
        ),
        ([failed("no data", "ZeroData")], "no data - ZeroData"),
    ],
    ids=["in the back end", "while building", "at once"],
)
def test_failures(play, replies, says):
    _, submit = play(*replies)
    job = submit()
    with pytest.raises(errors.JobFailed, match=says) as caught:
        job.result()
    assert caught.value.job is job
    assert job.status == "failed"
    assert job.exception() is caught.value
    with pytest.raises(errors.JobFailed):
        job.raise_if_error()


def test_a_failed_submission_raises_when_asked_for_its_result(play):
    _, submit = play(failed("no data"))
    assert submit().status == "failed"


def test_time_runs_out(play):
    _, submit = play(analysis_reply("submitted"))
    job = submit()
    begin = time.monotonic()
    with pytest.raises(
        errors.JobTimeout, match=r"0123456789abcdef .*not over after 0.3 s; last status: submitted"
    ) as caught:
        job.result(300 * u.ms)
    assert 0.2 < time.monotonic() - begin < 15
    assert caught.value.job is job
    with pytest.raises(TimeoutError):
        job.wait(0.1)


def test_waiting_time_from_the_configuration(play):
    _, submit = play(analysis_reply("submitted"))
    with conf.set_temp("job_timeout", 0.2), pytest.raises(errors.JobTimeout, match=r"0.2 s"):
        submit().wait()


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (analysis_reply("dreaming"), errors.ServiceError, "'dreaming'"),
        (analysis_reply("progress", job_id="fedcba9876543210"), errors.ServiceError, "about job fedcba9876543210"),
        (
            Reply({"error_message": "unable to find any record for x", "error": "InvalidJobIDProvided():"}, 400),
            errors.JobLost,
            "Submit it again",
        ),
        (
            Reply({**failed("Request not authorized"), "status_code": 403}, 403),
            errors.AuthenticationError,
            "not authorized",
        ),
        (Reply("<html>hello</html>"), errors.ServiceError, "hello"),
    ],
    ids=["unknown state", "another job", "forgotten", "foreign", "page"],
)
def test_strange_answers_keep_the_job(play, reply, kind, says):
    server, submit = play(analysis_reply("submitted"), reply, DONE)
    job = submit()
    with pytest.raises(kind, match=says) as caught:
        job.result()
    assert caught.value.job is job
    assert job.job_id == "0123456789abcdef"
    if kind is errors.ServiceError:  # it may heal, and then the result is there
        assert len(job.result()) == 1


def test_a_refused_submission_has_no_job(play):
    _, submit = play(Reply({"error_message": "wrong", "error": "RequestNotUnderstood():wrong"}, 400))
    with pytest.raises(errors.ParameterError, match="wrong") as caught:
        submit()
    assert caught.value.job is None


def clock_of(**functions):
    """The module ``time`` with other functions, for one module only: servers of other tests may still look at it."""
    return SimpleNamespace(**vars(time) | functions)


def test_an_interrupt_leaves_the_job_as_it_was(play, monkeypatch):
    _, submit = play(analysis_reply("submitted"))
    job = submit()

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("astroquery_mmoda.jobs.waiting.time", clock_of(sleep=interrupt))
    with pytest.raises(KeyboardInterrupt):
        job.result()
    assert job.status == "submitted"


def test_pauses_grow_with_the_elapsed_time(play, monkeypatch):
    clock = {"now": time.monotonic()}
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        clock["now"] += seconds + 1e-6  # rounded sums might never reach the limit

    server, submit = play(analysis_reply("submitted"))
    job = submit()
    for module in ("job", "waiting"):
        fake = clock_of(sleep=sleep, monotonic=lambda: clock["now"])
        monkeypatch.setattr(f"astroquery_mmoda.jobs.{module}.time", fake)
    monkeypatch.setattr(Job, "_poll", lambda self, patience: None)
    with pytest.raises(errors.JobTimeout):
        job.wait(3600)
    assert 0.08 < pauses[0] <= 0.1
    assert 25 < max(pauses) <= 30
    assert len(pauses) < 450
    assert sum(pauses) == pytest.approx(3600)


def test_progress_callback_sees_the_job(play):
    _, submit = play(analysis_reply("submitted"), analysis_reply("progress"), DONE)
    seen = []
    submit().result(progress=lambda job: seen.append(job.status))
    assert seen == ["submitted", "progress"]


def test_messages_of_a_job_without_reports(play):
    _, submit = play(analysis_reply("submitted"))
    job = submit()
    assert isinstance(job.messages, Table)
    assert job.messages.colnames == ["time", "node", "message", "scw", "progress"]
    assert len(job.messages) == 0
    assert job.progress is None


def test_a_job_pickles_and_goes_on(play):
    _, submit = play(analysis_reply("submitted"), DONE)
    again = pickle.loads(pickle.dumps(submit()))
    assert len(again.result()) == 1


def test_repr_tells_the_state(play):
    _, submit = play(analysis_reply("submitted"))
    text = repr(submit())
    assert "0123456789abcdef" in text
    assert "submitted" in text
