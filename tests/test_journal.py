"""Jobs on disk: for their owner, whole, bounded, and shared by processes."""

import json
import multiprocessing
import os
import re
import stat
import time
from pathlib import Path

import pytest

from astroquery_mmoda import Job, MmodaClass, MmodaError, ParameterError, conf
from astroquery_mmoda.jobs import journal

SERVER = "https://mmoda.example"


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "get_config_dir", lambda: str(tmp_path / "config"))
    monkeypatch.setattr(journal, "_WRITES_PER_TIDYING", 1)
    return tmp_path / "config" / "astroquery_mmoda" / "jobs"


def record(job_id="0123456789abcdef", **more):
    return {
        "job_id": job_id,
        "session_id": "ABCDEFGHIJKLMNOP",
        "server": SERVER,
        "email": "",
        "anonymous": True,
        "instrument": "isgri",
        "product": "isgri_image",
        "parameters": {"RA": "83.6"},
        "files": [],
        "status": "submitted",
        "submitted": "2026-11-22T12:00:00",
        "expires": None,
        **more,
    }


def found(job_id="0123456789abcdef", server=SERVER):
    return [entry["job_id"] for entry in journal.find(job_id, server)]


def test_kept_and_found(directory):
    journal.keep(record())
    assert journal.find("0123456789abcdef", SERVER) == [record()]
    assert found("fedcba9876543210") == []
    journal.keep(record(status="done"))
    assert [entry["status"] for entry in journal.records()] == ["done"]


def test_jobs_of_several_servers():
    other, third = "https://other.example", "http://localhost:8001"
    for server in (SERVER, other):
        journal.keep(record(server=server))
    journal.keep(record("0123aaaa", server=other))
    assert [entry["server"] for entry in journal.find("0123456789abcdef", other)] == [other]
    assert {entry["server"] for entry in journal.find("0123456789abcdef", third)} == {SERVER, other}
    assert found("0123aaaa") == found("0123a") == ["0123aaaa"]
    assert found("0123") == ["0123456789abcdef"]
    assert sorted(found("0123", third)) == ["0123456789abcdef", "0123456789abcdef", "0123aaaa"]
    assert len(journal.records()) == 3


def test_the_first_characters_are_enough_if_only_one_has_them():
    journal.keep(record("0123aaaa"))
    journal.keep(record("0123bbbb"))
    assert found("0123a") == ["0123aaaa"]
    assert sorted(found("0123")) == ["0123aaaa", "0123bbbb"]
    assert found("012") == []


@pytest.mark.skipif(os.name != "posix", reason="modes are those of posix")
def test_only_the_owner_can_read(directory):
    previous = os.umask(0)
    try:
        journal.keep(record())
    finally:
        os.umask(previous)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


@pytest.mark.parametrize("job_id", ["../../etc/passwd", "a/b", "..", "C:\\x", "\x00", "x" * 500, "ä"])
def test_a_servers_names_choose_no_path(directory, job_id):
    journal.keep(record(job_id))
    files = [path for path in directory.parents[2].rglob("*.json")]
    assert [path.parent for path in files] == [directory]
    assert found(job_id) == []


def test_bounded_in_number_and_age(directory):
    with conf.set_temp("journal_size", 5):
        for number in range(9):
            journal.keep(record(f"job{number:05d}"))
            os.utime(next(directory.glob(f"job{number:05d}-*")), (time.time() - 100 + number,) * 2)
        journal.keep(record("job99999"))
    assert len(journal.records()) == 5
    assert found("job99999")
    assert not found("job00000")
    old = next(directory.glob("job00008-*"))
    os.utime(old, (time.time() - 100 * 86400,) * 2)
    journal.keep(record("job88888"))
    assert not old.exists()


def test_bounded_though_not_looked_through_at_each_write(directory, monkeypatch):
    monkeypatch.setattr(journal, "_WRITES_PER_TIDYING", 50)
    with conf.set_temp("journal_size", 100):
        for number in range(130):
            journal.keep(record(f"job{number:05d}"))
            assert len(list(directory.iterdir())) <= 105
    assert found("job00129")


def test_places_of_names(tmp_path, directory):
    assert journal.place(SERVER, "Crab") is None
    journal.keep_place(SERVER, "Crab", 83.63, 22.01)
    assert journal.place(SERVER, " crab ") == (83.63, 22.01)
    assert journal.place("https://elsewhere.example", "Crab") is None
    file = next((directory.parent / "places").glob("*.json"))
    if os.name == "posix":
        assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    file.write_text("[" * 100_000)
    assert journal.place(SERVER, "Crab") is None
    journal.forget_places()
    assert not file.exists()


def test_newest_first():
    for day in (3, 1, 2):
        journal.keep(record(f"job{day}", submitted=f"2026-11-0{day}T00:00:00"))
    assert [entry["job_id"] for entry in journal.records()] == ["job3", "job2", "job1"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "{}", "\x00\xff", "[" * 100_000, '{"a":' * 50_000, "9" * 6000, '"\\ud800"', "NaN", "null"],
    ids=["empty", "cut", "list", "nothing", "bytes", "lists", "dicts", "number", "surrogate", "nan", "null"],
)
def test_what_cannot_be_read_is_passed_over(directory, text, log_records):
    journal.keep(record())
    (directory / "broken-0.json").write_text(text, encoding="utf-8")
    assert len(journal.records()) == 1
    assert any("passed over" in message for message in log_records())


def test_a_journal_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch, log_records):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(journal, "get_config_dir", lambda: str(tmp_path / "file"))
    journal.keep(record())
    assert any("could not be written to the journal" in message for message in log_records())


def test_a_failed_write_leaves_the_old_record(directory, monkeypatch):
    journal.keep(record())

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    journal.keep(record(status="done"))
    assert journal.find("0123456789abcdef", SERVER)[0]["status"] == "submitted"
    assert len(list(directory.iterdir())) == 1


def test_leftovers_of_the_killed_go_away(directory):
    journal.keep(record())
    leftover = directory / ".mmoda-0011223344556677.part"
    leftover.write_text("half")
    journal.keep(record())
    assert leftover.exists()
    os.utime(leftover, (time.time() - 7200,) * 2)
    journal.keep(record())
    assert not leftover.exists()


def _keep_many(place, worker):
    journal.get_config_dir = lambda: place
    for number in range(30):
        journal.keep(record(f"job{number:04d}", parameters={"worker": str(worker), "more": "x" * 5000}))


def test_several_processes_at_once(tmp_path, directory):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_keep_many, args=(str(tmp_path / "config"), worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    kept = journal.records()
    assert len(kept) == 30
    assert all(len(entry["parameters"]["more"]) == 5000 for entry in kept)
    assert {path.suffix for path in directory.iterdir()} == {".json"}
    assert all(json.loads(Path(path).read_text()) for path in directory.iterdir())


# ---- what else may lie in the directory, and in a record

ODD = [
    None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**400, "", " ", "a b", "../x", "x" * 70, "\x1b[31m", "\ud800",
    "javascript:1", "file:///etc/passwd", "http://[", "http://x:99999", [], [1], {}, {"a": 1}, {"token": "t"}, {"a": []},
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:The record of job .* has no files")
@pytest.mark.parametrize("name", sorted(record()))
def test_any_value_in_any_field_gives_a_job_or_our_error(directory, name):
    client = MmodaClass(server=SERVER)
    client.logout()
    journal.keep(record())
    (kept,) = os.listdir(directory)
    for value in ODD:
        changed = record(**{name: value})
        job = outcome(lambda changed=changed: Job.from_dict(changed), f"not a valid record of a job.*{name}")
        if job is not None:
            assert all((repr(job), str(job), job._repr_html_(), job.to_code()))
            json.dumps(job.to_dict(), allow_nan=False)
        (directory / kept).write_text(json.dumps(changed))
        table = client.list_jobs()
        assert len(table) <= 1
        assert "\x1b" not in "".join(map(str, table[0].values()) if len(table) else "")
        outcome(lambda: client.get_job("0123456789abcdef"), "could not be asked")


def outcome(action, message):
    """What comes of an action; None if that is an error of ours with this message."""
    try:
        return action()
    except MmodaError as error:
        problem = str(error)
    assert re.search(message, problem)
    assert len(problem) < 500
    return None


@pytest.mark.parametrize(
    "change",
    [
        {"job_id": "a/b"},
        {"job_id": "a\n"},
        {"job_id": "x" * 65},
        {"session_id": ""},
        {"session_id": "a b"},
        {"server": "ftp://x.example"},
        {"server": "mmoda.example"},
        {"anonymous": "no"},
        {"email": ["a"]},
        {"parameters": [["RA", "1"]]},
    ],
    ids=str,
)
def test_records_that_are_refused(change):
    with pytest.raises(ParameterError, match=f"not a valid record of a job.*{next(iter(change))}"):
        journal.checked(record(**change))
    incomplete = record()
    del incomplete[next(iter(change))]
    if next(iter(change)) in ("job_id", "session_id", "server", "parameters"):
        with pytest.raises(ParameterError, match=f"{next(iter(change))} can't be 'None'"):
            journal.checked(incomplete)


@pytest.mark.skipif(os.name != "posix", reason="pipes and links of posix")
def test_what_is_not_a_plain_file_is_passed_over(directory, tmp_path, log_records):
    journal.keep(record())
    kept = next(directory.glob("*.json"))
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(record("feedfeedfeedfeed")))
    os.mkfifo(directory / "pipe.json")
    (directory / "directory.json").mkdir()
    (directory / "link.json").symlink_to(outside)
    (directory / "loop.json").symlink_to(directory / "loop.json")
    (directory / "zero.json").symlink_to("/dev/zero")
    with (directory / "huge.json").open("wb") as file:
        file.truncate(10**12)
    begin = time.process_time()
    assert journal.records() == [record()]
    assert time.process_time() - begin < 2
    assert sum("passed over" in message for message in log_records()) == 6
    # the same under the very name of a record
    for replace in (os.mkfifo, os.mkdir, lambda path: path.symlink_to(outside)):
        kept.unlink(missing_ok=True) if not kept.is_dir() else kept.rmdir()
        replace(kept)
        assert found() == []
    # whoever tidies up leaves what is not a file of ours, and notes go on
    with conf.set_temp("journal_size", 1):
        journal.keep(record("newjob00"))
    assert outside.exists()
    assert found("newjob00") == ["newjob00"]
    assert not any("could not be written to the journal" in message for message in log_records())


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="nothing is closed to root")
def test_files_that_are_not_open_to_us(directory, log_records):
    journal.keep(record())
    journal.keep(record("feedfeedfeedfeed"))
    next(directory.glob("feed*")).chmod(0)
    assert [entry["job_id"] for entry in journal.records()] == ["0123456789abcdef"]
    assert any("passed over" in message for message in log_records())


def test_a_clock_that_jumps(directory, monkeypatch):
    now = time.time()
    for number, shift in enumerate((0, 50 * 365 * 86400, -30 * 365 * 86400, 1e9)):
        monkeypatch.setattr(time, "time", lambda shift=shift: now + shift)
        journal.keep(record(f"job{number:05d}", submitted=f"{2026 + number * 70}-01-01T00:00:00"))
    assert len(journal.records()) == 4
    for path in directory.iterdir():
        os.utime(path, (0, 0))
    assert len(journal.records()) == 4
    journal.keep(record("job99999"))
    assert [entry["job_id"] for entry in journal.records()] == ["job99999"]


def test_a_directory_that_cannot_be_read(tmp_path, monkeypatch, log_records):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    (tmp_path / "file").write_text("")
    for place in (nowhere, lambda: str(tmp_path / "file")):
        monkeypatch.setattr(journal, "get_config_dir", place)
        log_records().clear()
        assert journal.records() == journal.find("0123456789abcdef", SERVER) == []
        assert sum("journal of this machine can't be read" in message for message in log_records()) == 2
        journal.keep(record())
        journal.keep_place(SERVER, "Crab", 83.63, 22.01)
        assert journal.place(SERVER, "Crab") is None
        journal.forget_places()


@pytest.mark.parametrize("text", ['{"ra": 1e999, "dec": 0}', '{"ra": 1, "dec": 100}', '{"ra": [], "dec": {}}', "[]"])
def test_places_that_are_none(directory, text):
    journal.keep_place(SERVER, "Crab", 83.63, 22.01)
    next((directory.parent / "places").glob("*.json")).write_text(text)
    assert journal.place(SERVER, "Crab") is None
