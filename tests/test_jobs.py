"""Jobs of earlier: from the journal, from links of the service, and from its records; against a scripted server."""

import json

import pytest
from astropy.table import Table

from astroquery_mmoda import AuthenticationError, Job, JobLost, MmodaClass, ParameterError, journal
from astroquery_mmoda.job import submit
from tests.scripted_server import Reply, ScriptedServer, analysis_reply
from tests.test_job import DONE, PAYLOAD
from tests.tokens import mint

JOB = "bc0582f30061217d"
SESSION = "ABCDEFGHIJKLMNOP"


@pytest.fixture(autouse=True)
def _own_journal(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "get_config_dir", lambda: str(tmp_path / "config"))


@pytest.fixture
def service(recorded):
    """A server with the recorded redirect and records."""
    location = (
        "http://mmoda.example:8100/mmoda?RA=83.63&instrument=isgri&product_type=isgri_image&query_status=new&token=x"
    )
    replies = {
        "/run_analysis": Reply({**DONE, "job_monitor": {"job_id": JOB}}),
        "/resolve-job-url": Reply("<html>Redirecting</html>", 302, {"Location": location}),
        "/inspect-user-state": Reply(recorded("inspect_user_state_job")),
    }
    with ScriptedServer(lambda request: replies[request.path]) as server:
        server.replies = replies
        yield server


@pytest.fixture
def client(service):
    return MmodaClass(server=service.url)


def submitted(client, service):
    service.replies["/run_analysis"] = Reply(analysis_reply("submitted", job_id=JOB))
    job = submit(client._connect(), PAYLOAD)
    service.replies["/run_analysis"] = Reply({**DONE, "job_monitor": {"job_id": JOB}})
    return job


def test_from_the_journal(client, service):
    job = submitted(client, service)
    again = MmodaClass(server=service.url).get_job(JOB)
    assert (again.job_id, again.session_id, again.parameters) == (job.job_id, job.session_id, job.parameters)
    assert len(service.requests) == 1
    assert again.result().catalog()["src_names"].tolist() == ["Crab"]
    form = service.requests[-1].form
    assert {name: form[name] for name in PAYLOAD if name != "query_status"} == {
        name: value for name, value in PAYLOAD.items() if name != "query_status"
    }
    assert client.get_job(JOB[:6]).job_id == JOB
    assert client.list_jobs()["status"].tolist() == ["done"]


def test_a_job_that_was_done_gives_its_products_again(client, service):
    submitted(client, service).result()
    again = client.get_job(JOB)
    assert again.status == "done"
    assert len(again.result()) == 1
    assert service.requests[-1].form["query_status"] == "new"


def test_from_a_link_of_an_email(client, service):
    link = f"https://www.astro.unige.ch/mmoda/dispatch-data/resolve-job-url?job_id={JOB}&session_id={SESSION}&token=eyJx.y.z"
    job = client.get_job(link)
    request = service.requests[0]
    assert (request.path, request.query) == ("/resolve-job-url", {"job_id": JOB, "session_id": SESSION, "token": ""})
    assert (job.instrument, job.product, job.session_id) == ("isgri", "isgri_image", SESSION)
    assert job.parameters["RA"] == "83.63"
    assert "token" not in job.parameters
    assert len(job.result()) == 1
    assert client.get_job(JOB, session_id="OTHERSESSION1234").session_id == "OTHERSESSION1234"


def test_a_link_that_leads_nowhere(client, service, recorded):
    for status, kind in (("403", AuthenticationError), ("400", JobLost)):
        location = f"http://x/mmoda?error_message=Request+not+authorized&status_code={status}"
        service.replies["/resolve-job-url"] = Reply("", 302, {"Location": location})
        with pytest.raises(kind, match="Request not authorized"):
            client.get_job(JOB, session_id=SESSION)


def test_from_the_records_of_the_service(client, service):
    client.login(mint())
    job = client.get_job(JOB)
    assert service.requests[0].query["job_id"] == JOB[:8]
    assert (job.instrument, job.product) == ("isgri", "isgri_image")
    assert job.parameters["scw_list"] == "066500220010.001,066500230010.001"
    assert job.parameters["RA"] == "83.63"
    assert "token" not in job.parameters
    assert len(job.result()) == 1


def test_a_job_that_nobody_knows(client, service):
    with pytest.raises(JobLost, match=f"knows a job '{JOB}' of yours"):
        client.get_job(JOB)
    assert service.requests == []


@pytest.mark.parametrize("text", ["", "../etc", "a b", "https://x/?a=b", "x" * 100, "https://x/?job_id=../../x"])
def test_what_is_no_job(client, text):
    with pytest.raises(ParameterError, match="is no job"):
        client.get_job(text)


def test_listing(client, service):
    assert len(client.list_jobs()) == 0
    submitted(client, service)
    table = client.list_jobs()
    assert isinstance(table, Table)
    names = ["job_id", "session_id", "instrument", "product", "status", "submitted", "journal"]
    assert table.colnames == names
    assert table[0]["product"] == "isgri_image"
    client.login(mint())
    service.replies["/inspect-user-state"] = Reply(
        {"records": [{"job_id": "feedfeedfeedfeed", "ctime": 1.0, "session_id": "S"}]}
    )
    both = client.list_jobs()
    assert both["job_id"].tolist() == [JOB, "feedfeedfeedfeed"]
    assert both["journal"].tolist() == [True, False]


def test_records_that_fail_do_not_spoil_the_list(client, service, log_records):
    submitted(client, service)
    client.login(mint())
    service.replies["/inspect-user-state"] = Reply("<html>oops</html>", 500)
    assert len(client.list_jobs()) == 1
    assert any("records are left out" in message for message in log_records())


def test_as_a_record_and_back(client, service):
    job = submitted(client, service)
    record = json.loads(json.dumps(job.to_dict()))
    assert "token" not in json.dumps(record)
    again = Job.from_dict(record)
    assert again.connection.client.URL == service.url
    assert again.to_dict() == record
    assert len(again.result()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"job_id": ""},
        {"job_id": 5},
        {"parameters": None},
        {"parameters": {"a": 1}},
        {"parameters": {"token": "x"}},
        {"server": None},
    ],
)
def test_what_is_no_record(client, service, change):
    record = submitted(client, service).to_dict()
    with pytest.raises(ParameterError, match="no record of a job"):
        Job.from_dict({**record, **change})
    with pytest.raises(ParameterError, match="no record of a job"):
        Job.from_dict({})


def test_at_a_glance(client, service):
    job = submitted(client, service)
    job.reports = [{"message": "<script>alert(1)</script>\x1b[31m"}]
    assert f"id {JOB}" in repr(job)
    assert "status submitted" in repr(job)
    html = job._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    for text in (repr(job), html):
        assert "\x1b" not in text


def test_a_failure_without_words_is_asked_for_its_reason(client, service):
    reason = analysis_reply("failed", job_id=JOB)
    reason["exit_status"]["message"] = "no data in this interval"
    silent = analysis_reply("failed", job_id=JOB)
    silent["exit_status"]["message"] = "failed: submitted job"
    replies = [analysis_reply("submitted", job_id=JOB), silent, reason]
    service.answer = lambda request: Reply(replies.pop(0))
    job = submit(client._connect(), PAYLOAD)
    assert "no data in this interval" in str(job.exception())
    assert [request.form["query_status"] for request in service.requests] == ["new", "submitted", "new"]


def test_a_failure_that_stays_without_words(client, service):
    silent = analysis_reply("failed", job_id=JOB)
    service.answer = lambda request: Reply(silent)
    job = submit(client._connect(), PAYLOAD)
    assert "gave no reason" in str(job.exception())
    assert len(service.requests) == 2
