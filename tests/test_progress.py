"""The progress display: a line in a terminal, lines in a log, a callback, or nothing."""

import io
import sys
from types import SimpleNamespace

import pytest
from astroquery import log

from astroquery_mmoda import progress
from astroquery_mmoda.progress import Display, fraction, last_message, reports_table
from astroquery_mmoda.service.replies import reports


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Function that puts a terminal in the place of standard output, from within a test: pytest has it before."""

    def open_one():
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    return open_one


def job(*, part=None, message=""):
    return SimpleNamespace(job_id="0123456789abcdef", progress=part, message=message)


def test_fraction():
    assert fraction([]) is None
    assert fraction([{"message": "x"}]) is None
    assert fraction([{"progress": "40", "progress_max": "200"}, {"message": "x"}]) == 0.2
    assert fraction([{"progress": 30}]) == 0.3
    assert fraction([{"progress": "400"}]) == 1.0
    assert fraction([{"progress": "most"}, {"progress": None}]) is None


def test_science_windows_count_where_no_number_is_told(recorded):
    listed = reports(recorded("isgri_image_3_progress"))
    assert fraction(listed, 2) == 0.95
    assert fraction(listed[:2], 2) == 0.5
    assert fraction(listed[:1], 2) is None
    assert fraction(listed) is None


def test_recorded_reports(recorded):
    listed = reports(recorded("empty_async_3_failed"))
    assert fraction(listed) == 0.4
    assert last_message(listed) == "it broke"
    table = reports_table(listed)
    assert table["message"].tolist() == ["progressing", "progressing", "it broke"]
    assert table["progress"].tolist() == [0.4, 0.4, None]
    windows = reports_table(reports(recorded("isgri_image_3_progress")))
    assert windows["scw"][0] == "066500220010.001"
    assert windows["node"][0] == "BinMapsImage"


def test_words_of_the_server_are_escaped():
    table = reports_table([{"message": "\x1b[2Jgone", "node": "n\u202e"}])
    assert table["message"][0] == r"\x1b[2Jgone"
    assert "\u202e" not in table["node"][0]


def line(job):
    return job.progress, f"{job.job_id}: {job.message}"


def test_a_line_with_the_last_message(terminal, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_PER_DRAWING", 0.0)
    terminal = terminal()
    display = Display(None, line)
    for message in ("a very long message of the service", "short"):
        display(job(message=message))
    text = terminal.getvalue()
    assert "\r0 s, 0123456789abcdef: a very long message of the service" in text
    # what is shorter covers what was longer
    assert len(text.split("\r")[-1]) == len("0 s, 0123456789abcdef: a very long message of the service")
    display.close()
    assert terminal.getvalue().endswith(" \r")


def test_a_bar_where_the_fraction_is_known(terminal, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_PER_DRAWING", 0.0)
    terminal = terminal()
    display = Display(True, line)
    display(job())
    display(job(part=0.25))
    display(job(part=0.5))
    display.close()
    assert "\r[==========          ] 50%, 0 s, 0123456789abcdef: " in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


def test_no_terminal_no_drawing_but_a_line_now_and_then(monkeypatch, log_records, capsys):
    display = Display(None, line)
    display(job(message="m"))
    assert log_records() == []
    monkeypatch.setattr(progress, "_SECONDS_PER_LINE", 0.0)
    display(job(message="m", part=0.3))
    assert log_records() == ["30%, 0 s, 0123456789abcdef: m"]
    assert "\r" not in capsys.readouterr().out


def test_silence(terminal):
    terminal = terminal()
    Display(False, line)(job())
    level = log.level
    log.setLevel("WARNING")
    try:
        Display(None, line)(job())
    finally:
        log.setLevel(level)
    assert terminal.getvalue() == ""


def test_a_callback_takes_its_place(terminal):
    terminal = terminal()
    seen = []
    Display(seen.append, line)(job())
    assert len(seen) == 1
    assert terminal.getvalue() == ""
