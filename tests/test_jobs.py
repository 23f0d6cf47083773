"""Jobs of earlier: from the journal, from links of the service, and from its records; against a scripted server."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from astropy.table import Table
from astroquery.exceptions import InputWarning

from astroquery_mmoda import (
    AuthenticationError,
    DecodingError,
    Job,
    JobLost,
    MmodaClass,
    ParameterError,
    Products,
    ServiceError,
    conf,
)
from astroquery_mmoda.config import Conf
from astroquery_mmoda.jobs import journal
from astroquery_mmoda.jobs.run import prepare, submit
from astroquery_mmoda.protocol import Upload
from astroquery_mmoda.request.encode import to_wire
from astroquery_mmoda.request.metadata import Parameter
from astroquery_mmoda.service.account import Account
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
    job = submit(Account().connect(client.URL), PAYLOAD)
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
    # the same job of another session: what the journal has is as good
    assert client.get_job(JOB, session_id="OTHERSESSION1234").session_id == SESSION


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
    with pytest.raises(JobLost, match=f"journal .* does not have job {JOB}.*could not be asked.*login.*session_id"):
        client.get_job(JOB)
    assert service.requests == []
    client.login(mint(sub="curie@example.org"))
    service.replies["/inspect-user-state"] = Reply({"records": []})
    with pytest.raises(JobLost, match="does not have job.*was asked for the jobs of curie@example.org in the last 30"):
        client.get_job(JOB)
    service.replies["/resolve-job-url"] = Reply("", 302, {"Location": "http://x/?error_message=unable+to+find"})
    with pytest.raises(JobLost, match=f"was asked for job {JOB} of session {SESSION}, and refused: unable"):
        client.get_job(JOB, session_id=SESSION)


@pytest.mark.parametrize("token", [None, mint()], ids=["anonymous", "logged in"])
@pytest.mark.parametrize("session", [None, SESSION], ids=["id", "id and session"])
def test_offline(token, session):
    client = MmodaClass(server="http://127.0.0.1:9")
    if token:
        client.login(token)
    with (
        conf.set_temp("retry_time", 0),
        pytest.raises(ServiceError, match="can.t be asked|could not be asked") as caught,
    ):
        client.get_job(JOB, session_id=session)
    assert JOB in str(caught.value)
    if token or session:  # nobody said that there is no such job
        assert not isinstance(caught.value, JobLost)


def test_offline_with_a_journal(client, service):
    job = submitted(client, service)
    service.__exit__()
    again = MmodaClass(server=service.url)
    with conf.set_temp("retry_time", 0):
        assert again.get_job(JOB).to_dict() == job.to_dict()
        assert again.get_job(JOB[:5]).submitted == job.submitted != ""
        again.login(mint())
        begin = time.monotonic()
        assert again.list_jobs()["job_id"].tolist() == [JOB]
    assert time.monotonic() - begin < 5


def test_several_servers_in_one_journal(client, service):
    submitted(client, service)
    elsewhere = MmodaClass(server="https://mmoda.example.org")
    job = elsewhere.get_job(JOB)
    assert (job.connection.server, job.connection.email) == (service.url, "")
    assert len(job.result()) == 1
    assert f"Mmoda(server={service.url!r})" in job.to_code()
    with conf.set_temp("server", "https://another.example"):
        assert MmodaClass().get_job(JOB[:8]).connection.server == service.url
        table = MmodaClass().list_jobs()
    assert table["server"].tolist() == [service.url]
    with ScriptedServer(service.answer) as second:
        submit(Account().connect(second.url), PAYLOAD)
        assert client.get_job(JOB).connection.server == service.url
        assert MmodaClass(server=second.url).get_job(JOB).connection.server == second.url
        with pytest.raises(ParameterError, match=f"several jobs.*{JOB}.*Mmoda\\(server="):
            elsewhere.get_job(JOB)
        assert set(elsewhere.list_jobs()["server"]) == {service.url, second.url}


def test_a_token_stays_with_its_server(client, service):
    submitted(client, service)
    other = MmodaClass(server="https://mmoda.example.org")
    other.login(mint())
    job = other.get_job(JOB)
    job.result()
    assert all("token" not in {**request.form, **request.query} for request in service.requests)


@pytest.mark.parametrize("text", ["", "../etc", "a b", "https://x/?a=b", "x" * 100, "https://x/?job_id=../../x"])
def test_what_is_no_job(client, text):
    with pytest.raises(ParameterError, match="is not a valid job"):
        client.get_job(text)


@pytest.mark.parametrize(
    ("job", "session"),
    [
        (None, None),
        (5, None),
        (b"bc0582f3", None),
        ("http://[?job_id=1", None),
        (JOB, "a/b"),
        (JOB, 7),
        (JOB, "x" * 65),
        (f"http://x/?job_id={JOB}&session_id=..%2F..", None),
        (f"http://x/?job_id={JOB}%0A", "\x1b[31m"),
    ],
    ids=str,
)
def test_what_is_no_job_of_other_types(client, service, job, session):
    with pytest.raises(ParameterError, match="is not a valid job"):
        client.get_job(job, session_id=session)
    assert service.requests == []


# ---- whether it is that job


@pytest.mark.parametrize("way", ["link", "record"])
def test_a_job_that_turns_out_to_be_another(client, service, way):
    service.replies["/run_analysis"] = Reply(analysis_reply("submitted", job_id="0ther0ther0ther0"))
    if way == "record":
        client.login(mint())
    with pytest.raises(ServiceError, match=f"has for job {JOB} make another job, 0ther0ther0ther0"):
        client.get_job(JOB, session_id=SESSION if way == "link" else None)
    assert "job_id" not in service.requests[-1].form
    assert service.requests[-1].form["query_status"] == "new"
    # what was begun by asking is not lost
    assert client.list_jobs()["job_id"].tolist().count("0ther0ther0ther0") == 1


@pytest.mark.parametrize(
    "reply",
    [
        {**DONE, "job_monitor": {}},
        {**DONE, "job_monitor": {"job_id": None}},
        {**DONE, "job_monitor": {"job_id": JOB[:-1]}},
        {**DONE, "job_monitor": {"job_id": JOB.upper()}},
        {**analysis_reply("failed", job_id="")},
    ],
    ids=range(5),
)
def test_a_reply_that_does_not_say_that_it_is_this_job(client, service, reply):
    service.replies["/run_analysis"] = Reply(reply)
    with pytest.raises(ServiceError):
        client.get_job(JOB, session_id=SESSION)


def test_parameters_that_are_not_taken_again(client, service):
    service.replies["/run_analysis"] = Reply({"error_message": "RA is odd", "error": "BadRequest('x')"}, 400)
    with pytest.raises(ParameterError, match=f"does not have job {JOB}.*RA is odd"):
        client.get_job(JOB, session_id=SESSION)
    service.replies["/resolve-job-url"] = Reply("", 302, {"Location": "http://x/?RA=5"})
    with pytest.raises(ServiceError, match="does not give its parameters"):
        client.get_job(JOB, session_id=SESSION)


def test_a_job_of_the_web_page_comes_back_as_data(client, service):
    job = client.get_job(JOB, session_id=SESSION)
    assert service.requests[-1].form["api"] == "True"
    assert job.status == "done"
    assert len(job.result()) == 1
    assert len(service.requests) == 2


def test_when_it_was_submitted(client, service, tmp_path):
    client.login(mint())
    assert client.get_job(JOB).submitted == "2026-11-22T11:15:12.908"
    shutil.rmtree(tmp_path / "config")
    report = {"message": "started", "time_original_request": "1700000000.5"}
    monitor = {"job_id": JOB, "full_report_dict_list": [{"message": "x"}, report]}
    service.replies["/run_analysis"] = Reply(analysis_reply("progress", job_monitor=monitor))
    assert client.get_job(JOB, session_id=SESSION).submitted == "2023-11-14T22:13:20.500"
    assert client.get_job(JOB).submitted == "2023-11-14T22:13:20.500"  # from the journal
    for odd in ("", "soon", "nan", "inf", "9" * 5000, None, [], {}):
        shutil.rmtree(tmp_path / "config")
        monitor["full_report_dict_list"] = [{"message": "x", "time_original_request": odd}]
        service.replies["/run_analysis"] = Reply(analysis_reply("progress", job_monitor=monitor))
        assert client.get_job(JOB, session_id=SESSION).submitted == ""


# ---- names that a server may not give


@pytest.mark.parametrize("name", ["../../x", "a b", "x" * 65, "\x1b]0;x\x07", "<b>", "', __import__('os') #", "é"])
def test_ids_are_checked_when_they_are_heard(client, service, name, log_records):
    for monitor in ({"job_id": name}, {"job_id": "", "session_id": SESSION}):
        body = {**analysis_reply("submitted"), "job_monitor": monitor, "products": {"job_id": name}}
        service.replies["/run_analysis"] = Reply(body)
        with pytest.raises(DecodingError, match="job_id must be 1 to 64 letters") as caught:
            submit(Account().connect(client.URL), PAYLOAD)
        assert "\x1b" not in str(caught.value)
        with pytest.raises(DecodingError, match="job_id must be"):
            Products.from_response(body)
    client.login(mint())
    records = [{"job_id": name, "session_id": SESSION}, {"job_id": JOB, "session_id": name}, {"job_id": JOB}]
    service.replies["/inspect-user-state"] = Reply({"records": records})
    assert len(client.list_jobs()) == 0
    assert any("3 records of jobs" in message for message in log_records())
    assert journal.records() == []


def test_words_of_a_server_in_the_list_are_escaped(client, service):
    client.login(mint())
    odd = "\x1b[2J\u202e<script>x</script>\n$x$"
    parameters = dict.fromkeys(("instrument", "product_type", "src_name", "E1_keV", "E2_keV", "T1", "T2"), odd)
    records = [
        {"job_id": JOB, "session_id": SESSION, "ctime": odd, "analysis_parameters": parameters},
        {"job_id": "a", "session_id": "b", "ctime": True, "analysis_parameters": {"scw_list": [odd, {}], "RA": [[]]}},
        {"job_id": "c", "session_id": "d", "ctime": float("nan"), "analysis_parameters": odd},
        {"job_id": "d", "session_id": "e", "ctime": 10**300, "analysis_parameters": [1]},
    ]
    service.replies["/inspect-user-state"] = Reply({"records": records})
    table = client.list_jobs()
    assert len(table) == 4
    text = "".join(str(value) for row in table for value in row.values())
    assert not {"\x1b", "\u202e", "\n"} & set(text)
    assert "<script>" not in table._repr_html_()


# ---- nothing that was told becomes a file that is sent


PATHS = ["~/.oda-token", "/etc/hostname", "./secret", ".netrc", "file:///etc/hostname", "C:\\secret.txt", "secret"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("way", ["link", "record", "journal", "dict"])
def test_no_path_is_taken_from_what_was_told(client, service, recorded, tmp_path, way, path):
    for name in ("secret", ".netrc", "home/.oda-token"):
        Path(tmp_path, name).touch(mode=0o600)
        Path(tmp_path, name).write_text("a secret")
    if way == "link":
        location = f"http://x/?{urlencode({**PAYLOAD, 'dummy_file': path})}"
        service.replies["/resolve-job-url"] = Reply("", 302, {"Location": location})
        job = client.get_job(JOB, session_id=SESSION)
    elif way == "record":
        body = recorded("inspect_user_state_job")
        body["records"][0]["analysis_parameters"]["dummy_file"] = path
        service.replies["/inspect-user-state"] = Reply(body)
        client.login(mint())
        job = client.get_job(JOB)
    else:
        record = submitted(client, service).to_dict()
        record["parameters"]["dummy_file"] = path
        journal.keep(record)
        job = client.get_job(JOB) if way == "journal" else Job.from_dict(json.loads(json.dumps(record)))
    job.result()
    assert not any("a secret" in str(request.form) for request in service.requests)
    parameter = Parameter("dummy_file", uris=("http://odahub.io/ontology#POSIXPath",))
    for parameters in (job.parameters, pickle.loads(pickle.dumps(job)).parameters, job.to_dict()["parameters"]):
        with pytest.raises(ParameterError, match="never name files to be uploaded"):
            to_wire(parameter, parameters["dummy_file"])
    snippet = job.to_code()
    assert repr(path) not in snippet
    assert "# to be given again" in snippet
    namespace = {}
    exec(snippet.split("\njob =")[0], namespace)  # noqa: S102 - code of ours
    with pytest.raises(ParameterError):
        to_wire(parameter, namespace["parameters"]["dummy_file"])


def test_a_file_that_was_sent_is_named_in_the_code(client):
    job = prepare(Account().connect(client.URL), {**PAYLOAD, "dummy_file": Upload("cat.fits", b"SIMPLE")})
    assert "dummy_file': Ellipsis" in job.to_code()
    assert "never sends files: dummy_file\n" in job.to_code()
    reply = {"products": {"analysis_parameters": {"dummy_file": "~/.oda-token"}}}
    job._compare(reply)  # noqa: SLF001 - checked while a job is waited for
    assert isinstance(job.parameters["dummy_file"], Upload)
    with pytest.warns(InputWarning, match="has no files.*dummy_file"):
        Job.from_dict({**job.to_dict(), "job_id": JOB})
    reply["products"]["analysis_parameters"]["dummy_file"] = "https://x/download_file?file_list=1"
    job._compare(reply)  # noqa: SLF001 - checked while a job is waited for
    assert job.parameters["dummy_file"] == "https://x/download_file?file_list=1"
    assert "download_file" in job.to_code()


# ---- code


def test_code_names_the_server_unless_it_is_the_default(client, service):
    job = submitted(client, service)
    assert f"Mmoda(server={service.url!r}).submit_product(" in job.to_code()
    with conf.set_temp("server", f"{service.url}/"):
        assert f"Mmoda(server={service.url!r})" in job.to_code()
        assert f"Mmoda(server={service.url!r})" in MmodaClass().get_job(JOB).to_code()
    default = str(Conf.server.defaultvalue)
    with conf.set_temp("server", "https://mmoda.example.org"):
        usual = Job.from_dict({**job.to_dict(), "server": default})
        assert "Mmoda.submit_product(" in usual.to_code()
        assert default not in usual.to_code()
    assert "product='isgri_image'" in Job.from_dict({**job.to_dict(), "parameters": {}}).to_code()


def test_listing(client, service):
    assert len(client.list_jobs()) == 0
    submitted(client, service)
    table = client.list_jobs()
    assert isinstance(table, Table)
    assert set(table.colnames) == {
        *("job_id", "session_id", "instrument", "product", "source", "energy_range", "time_range"),
        *("status", "submitted", "server", "journal"),
    }
    assert (table[0]["product"], table[0]["source"], table[0]["server"]) == ("isgri_image", "Crab", service.url)
    client.login(mint())
    service.replies["/inspect-user-state"] = Reply(
        {"records": [{"job_id": "feedfeedfeedfeed", "ctime": 1.0, "session_id": "S"}]}
    )
    both = client.list_jobs()
    assert both["job_id"].tolist() == [JOB, "feedfeedfeedfeed"]
    assert both["journal"].tolist() == [True, False]


def test_listing_tells_what_was_asked(client, service, recorded):
    client.login(mint())
    (row,) = client.list_jobs()
    assert (row["source"], row["energy_range"]) == ("1E 1740.7-2942", "28.0-40.0 keV")
    assert row["time_range"] == "2 science windows"
    assert row["submitted"] == "2026-11-22T11:15:12.908"
    lines = client.list_jobs().pformat(max_width=80)
    assert {"job_id", "status", "source", "product", "submitted"} <= set(lines[0].split())
    assert "2026-11-22T11:15" in lines[2]
    assert max(map(len, lines)) <= 80
    for number, (times, told) in enumerate(
        [
            (
                {"T1": "2017-03-06T13:26:48.000", "T2": "2017-03-06T15:32:27.000"},
                "2017-03-06T13:26:48 to 2017-03-06T15:",
            ),
            ({"T1": "57818.5", "T2": "57819.5", "T_format": "mjd"}, "57818.5 to 57819.5 (mjd)"),
            ({"T1": "57818.5"}, ""),
            ({"T1": "1", "T2": "2", "scw_list": "006600220010.001"}, "1 science window"),
            ({"E1_keV": "\x00", "E2_keV": "40"}, ""),
        ]
    ):
        record = {"server": service.url, "instrument": "isgri", "product": "isgri_image", "session_id": SESSION}
        record |= {"job_id": f"job{number}", "status": "submitted", "parameters": times, "submitted": f"203{number}"}
        journal.keep(record)
        newest = client.list_jobs()[0]
        assert newest["job_id"] == f"job{number}"
        assert newest["time_range"].startswith(told) if told else newest["time_range"] == ""
        assert newest["energy_range"] == ""


@pytest.mark.parametrize("way", ["nowhere", "a file", "closed"])
def test_without_a_directory_for_the_journal(client, service, tmp_path, monkeypatch, log_records, way):
    def fails():
        raise {"nowhere": RuntimeError("no home"), "closed": PermissionError(13, "Permission denied")}[way]

    Path(tmp_path, "file").write_text("")
    monkeypatch.setattr(journal, "get_config_dir", (lambda: str(tmp_path / "file")) if way == "a file" else fails)
    client.login(mint())
    assert client.list_jobs()["job_id"].tolist() == [JOB]
    assert any("journal of this machine can't be read" in message for message in log_records())
    assert client.get_job(JOB).job_id == JOB
    client.logout()
    assert len(client.list_jobs()) == 0
    with pytest.raises(JobLost, match="journal of this machine does not have.*could not be asked"):
        client.get_job(JOB)


def test_a_home_that_cannot_be_written(service, tmp_path):
    """In a process of its own, since astropy makes its directories once."""
    home = tmp_path / "not-a-directory"
    home.write_text("")
    code = f"from astroquery_mmoda import MmodaClass\nprint(len(MmodaClass(server={service.url!r}).list_jobs()))"
    hidden = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {"HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("0"), done.stderr[-2000:]
    assert "journal of this machine can't be read" in done.stdout + done.stderr


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
    assert again.connection.server == service.url
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
    with pytest.raises(ParameterError, match="not a valid record of a job"):
        Job.from_dict({**record, **change})
    with pytest.raises(ParameterError, match="not a valid record of a job"):
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
    job = submit(Account().connect(client.URL), PAYLOAD)
    assert "no data in this interval" in str(job.exception())
    assert [request.form["query_status"] for request in service.requests] == ["new", "submitted", "new"]


def test_a_failure_that_stays_without_words(client, service):
    silent = analysis_reply("failed", job_id=JOB)
    service.answer = lambda request: Reply(silent)
    job = submit(Account().connect(client.URL), PAYLOAD)
    assert "gave no reason" in str(job.exception())
    assert len(service.requests) == 2
