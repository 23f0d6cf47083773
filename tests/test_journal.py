"""Jobs on disk: for their owner, whole, bounded, and shared by processes."""

import json
import multiprocessing
import os
import stat
import time
from pathlib import Path

import pytest

from astroquery_mmoda import conf, journal

SERVER = "https://mmoda.example"


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "get_config_dir", lambda: str(tmp_path / "config"))
    monkeypatch.setattr(journal, "_WRITES_PER_TIDYING", 1)
    return tmp_path / "config" / "astroquery_mmoda" / "jobs"


def record(job_id="0123456789abcdef", **more):
    return {"job_id": job_id, "server": SERVER, "status": "submitted", "submitted": "2026-11-22T12:00:00", **more}


def test_kept_and_found(directory):
    journal.keep(record(parameters={"RA": "83.6"}))
    assert journal.find("0123456789abcdef", SERVER) == record(parameters={"RA": "83.6"})
    assert journal.find("0123456789abcdef", "https://elsewhere.example") is None
    assert journal.find("fedcba9876543210", SERVER) is None
    journal.keep(record(status="done"))
    assert [entry["status"] for entry in journal.records(SERVER)] == ["done"]


def test_the_first_characters_are_enough_if_only_one_has_them():
    journal.keep(record("0123aaaa"))
    journal.keep(record("0123bbbb"))
    assert journal.find("0123a", SERVER)["job_id"] == "0123aaaa"
    assert journal.find("0123", SERVER) is None
    assert journal.find("012", SERVER) is None


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
    assert journal.find(job_id, SERVER)["job_id"] == job_id


def test_bounded_in_number_and_age(directory):
    with conf.set_temp("journal_size", 5):
        for number in range(9):
            journal.keep(record(f"job{number:05d}"))
            os.utime(next(directory.glob(f"job{number:05d}-*")), (time.time() - 100 + number,) * 2)
        journal.keep(record("job99999"))
    assert len(journal.records(SERVER)) == 5
    assert journal.find("job99999", SERVER)
    assert journal.find("job00000", SERVER) is None
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
    assert journal.find("job00129", SERVER)


def test_places_of_names(tmp_path, directory):
    assert journal.place(SERVER, "Crab") is None
    journal.keep_place(SERVER, "Crab", 83.63, 22.01)
    assert journal.place(SERVER, " crab ") == (83.63, 22.01)
    assert journal.place("https://elsewhere.example", "Crab") is None
    file = next((directory.parent / "places").glob("*.json"))
    if os.name == "posix":
        assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    os.utime(file, (time.time() - 100 * 86400,) * 2)
    assert journal.place(SERVER, "Crab") is None
    journal.keep_place(SERVER, "Crab", 83.63, 22.01)
    file.write_text("[" * 100_000)
    assert journal.place(SERVER, "Crab") is None
    journal.forget_places(SERVER)
    assert not file.exists()


def test_newest_first():
    for day in (3, 1, 2):
        journal.keep(record(f"job{day}", submitted=f"2026-11-0{day}T00:00:00"))
    assert [entry["job_id"] for entry in journal.records(SERVER)] == ["job3", "job2", "job1"]


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", "\x00\xff", "[" * 100_000])
def test_what_cannot_be_read_is_passed_over(directory, text, log_records):
    journal.keep(record())
    (directory / "broken-0.json").write_text(text, encoding="utf-8")
    assert len(journal.records(SERVER)) == 1
    assert any("passed over" in message for message in log_records())


def test_a_journal_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch, log_records):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(journal, "get_config_dir", lambda: str(tmp_path / "file"))
    journal.keep(record())
    assert any("could not be noted" in message for message in log_records())


def test_a_failed_write_leaves_the_old_record(directory, monkeypatch):
    journal.keep(record())

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    journal.keep(record(status="done"))
    assert journal.find("0123456789abcdef", SERVER)["status"] == "submitted"
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
    found = journal.records(SERVER)
    assert len(found) == 30
    assert all(len(entry["parameters"]["more"]) == 5000 for entry in found)
    assert {path.suffix for path in directory.iterdir()} == {".json"}
    assert all(json.loads(Path(path).read_text()) for path in directory.iterdir())
