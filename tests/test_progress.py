"""The progress line: in a terminal, in a log, in a kernel of Jupyter, by a callable, or not at all."""

import io
import logging
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import astropy
import numpy as np
import pytest
from astroquery import log

from astroquery_mmoda import Job, JobFailed, JobTimeout, ParameterError, progress
from astroquery_mmoda.jobs.run import submit as hand_over
from astroquery_mmoda.jobs.waiting import how_to_continue
from astroquery_mmoda.progress import (
    Display,
    ProgressLine,
    cells_of,
    fraction,
    in_words,
    last_message,
    last_report,
    reports_table,
    windows_done,
)
from astroquery_mmoda.service.account import Account
from astroquery_mmoda.service.replies import reports
from tests.scripted_server import Reply, ScriptedServer, analysis_reply
from tests.test_job import DONE, PAYLOAD

ROOT = Path(__file__).resolve().parents[1]
LINE = ProgressLine(
    "isgri_lc", "3a5f12…", "progress", "12 min", "14 of 50", "science windows", "ii_skyimage: main done"
)


# ---- reports of the service --------------------------------------------------------------------------------------


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
    assert [windows_done(listed[:number]) for number in range(5)] == [0, 0, 1, 1, 2]


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


def test_the_last_report_names_its_step(recorded):
    listed = reports(recorded("isgri_image_3_progress"))
    assert last_report(listed[:2]) == "ScWData: restored from cache"
    assert last_report([{"stage": "simulation", "message": "working on 0"}]) == "simulation: working on 0"
    assert last_report([{"action": "progress"}]) == "progress"
    assert last_report([{"stage": "x"}]) == "x"
    assert last_report([]) == ""


def test_words_of_the_server_are_escaped():
    table = reports_table([{"message": "\x1b[2Jgone", "node": "n\u202e"}])
    assert table["message"][0] == r"\x1b[2Jgone"
    assert "\u202e" not in table["node"][0]


# ---- the text of the line ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"), (8.9, "8 s"), (60, "1 min 00 s"), (200, "3 min 20 s"), (12 * 60 + 59, "12 min"),
        (2 * 3600 + 5 * 60, "2 h 05 min"), (47 * 3600, "47 h 00 min"), (76 * 3600, "3 d 04 h"),
    ],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words


def test_the_line():
    assert LINE.fitted(100) == (
        "isgri_lc 3a5f12… · progress · 12 min · 14 of 50 science windows · ii_skyimage: main done"
    )
    assert str(LINE) == "isgri_lc 3a5f12..., progress, 12 min, 14 of 50 science windows, ii_skyimage: main done"
    assert ProgressLine(stage="submitted", elapsed="0 s").fitted(80) == "submitted · 0 s"


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (80, "isgri_lc 3a5f12… · progress · 12 min · 14 of 50 science windows · ii_skyimage: …"),
        (77, "isgri_lc 3a5f12… · progress · 12 min · 14 of 50 science windows"),
        (60, "isgri_lc 3a5f12… · progress · 12 min · 14 of 50 windows"),
        (50, "isgri_lc 3a5f12… · progress · 12 min · 14 of 50"),
        (39, "3a5f12… · progress · 12 min · 14 of 50"),
        (30, "3a5f12… · progress · 12 min"),
        (19, "3a5f12… · progress…"),
        (1, "…"),
        (0, ""),
    ],
)
def test_stage_and_time_are_the_last_to_be_cut(width, text):
    assert LINE.fitted(width) == text


def test_wide_characters():
    line = ProgressLine("模擬_lc", "3a5f12…", "progress", "12 min", "40%", "", "視野を計算しています" * 9)
    for width in range(100):
        assert cells_of(line.fitted(width)) <= width
    assert cells_of("模擬") == 4
    assert cells_of("e\u0301") == 1
    assert line.fitted(60).endswith("…")
    assert cells_of(line.fitted(60)) >= 59


def test_hostile_texts_stay_in_the_line():
    line = ProgressLine("a\r\nb", "\x1b[2J", "st\u202eage", "1 s", "40%", "", "\x1b]0;title\x07\rx\u2028y")
    for text in (line.fitted(200), str(line)):
        assert text.isprintable()


# ---- a terminal --------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """One that does not know its width: the variable COLUMNS has it."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Function that puts a terminal in the place of standard error, from within a test: pytest has it before."""

    def open_one(columns=80):
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("astroquery_mmoda.progress._Terminal.interval", 0.0)
        return stream

    return open_one


def screen(text):
    """Lines that a very wide terminal shows after a text; colours are those of astropy's log."""
    lines, at = [[]], 0
    for character in re.sub(r"\x1b\[[\d;]*m", "", text):
        if character == "\n":
            lines.append([])
        if character in "\r\n":
            at = 0
            continue
        lines[-1][at : at + 1] = [character]
        at += 1
    return ["".join(line).rstrip() for line in lines]


def show(choice, *lines):
    """Show some lines, the last of which is the end."""
    state = list(lines)
    with Display(choice, lambda: state[0]) as display:
        while len(state) > 1:
            display()
            state.pop(0)


def test_one_line_that_is_written_over(terminal):
    terminal = terminal()
    show(None, LINE, ProgressLine(stage="short", elapsed="8 s"))
    assert screen(terminal.getvalue()) == ["short · 8 s", ""]
    assert "main" not in screen(terminal.getvalue())[0]
    assert "\x1b" not in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_the_same_text_is_not_drawn_again(terminal):
    terminal = terminal()
    with Display(None, lambda: LINE) as display:
        display()
        length = len(terminal.getvalue())
        display()
        assert len(terminal.getvalue()) == length


def test_the_width_is_measured_each_time(terminal, monkeypatch):
    terminal = terminal(90)
    with Display(None, lambda: LINE) as display:
        display()
        for columns in (40, 20, 60):
            before = len(terminal.getvalue())
            monkeypatch.setenv("COLUMNS", str(columns))
            display()
            drawn = terminal.getvalue()[before:]
            assert all(cells_of(part) < columns for part in drawn.split("\r"))
            assert "progress" in drawn


def test_records_and_warnings_begin_a_line(terminal, monkeypatch):
    terminal = terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with Display(None, lambda: LINE) as display:
        display()
        log.info("a record")
        display()
        astropy.log.warning("a warning")
        display()
    lines = screen(terminal.getvalue())
    assert [line.partition(" [")[0] for line in lines[:2]] == ["INFO: a record", "WARNING: a warning"]
    assert lines[2:] == [LINE.fitted(79), ""]
    assert not any("before_record" in str(each) for logger in (log, astropy.log) for each in logger.filters)


def test_no_filter_stays_after_an_error_in_the_line(terminal):
    terminal()
    before, state = [logger.filters[:] for logger in (log, astropy.log)], [LINE]
    with pytest.raises(IndexError), Display(None, lambda: state[0]) as display:  # noqa: PT012 - its end fails
        display()
        state.clear()
    assert [logger.filters for logger in (log, astropy.log)] == before


def test_one_display_within_another(terminal):
    terminal = terminal()
    with Display(None, lambda: LINE) as outer:
        outer()
        with Display(None, lambda: ProgressLine(stage="inner", elapsed="1 s")) as inner:
            inner()
        outer()
    assert screen(terminal.getvalue()) == ["inner · 1 s", LINE.fitted(79), ""]


def test_a_terminal_of_few_characters(terminal):
    terminal = terminal(50)
    terminal.__class__ = type("Ascii", (Terminal,), {"encoding": "ascii"})
    show(None, LINE, LINE)
    assert screen(terminal.getvalue())[0] == "isgri_lc 3a5f12. - progress - 12 min - 14 of 50"
    assert terminal.getvalue().isascii()


def test_a_terminal_that_was_closed(terminal):
    terminal = terminal()
    with Display(None, lambda: LINE) as display:
        terminal.close()
        display()


@pytest.mark.parametrize(
    ("kind", "words"),
    [(KeyboardInterrupt, "interrupted"), (JobTimeout, "timed out"), (ValueError, "error"), (GeneratorExit, None)],
)
def test_how_it_ended(terminal, kind, words):
    terminal = terminal()
    with pytest.raises(kind), Display(None, lambda: LINE) as display:  # noqa: PT012 - the error is within the display
        display()
        raise kind
    stage = f"progress, {words}" if words else "progress"
    assert screen(terminal.getvalue())[0].startswith(f"isgri_lc 3a5f12… · {stage} · 12 min · 14 of 50 ")


def test_silence(terminal, monkeypatch):
    terminal = terminal()
    show(False, LINE, LINE)
    show(np.False_, LINE, LINE)
    monkeypatch.setattr(log, "level", logging.WARNING)
    show(None, LINE, LINE)
    show(True, LINE, LINE)
    assert terminal.getvalue() == ""


def test_a_callable_takes_its_place(terminal):
    terminal = terminal()
    seen = []
    with Display(seen.append, None, "subject") as display:
        display()
        display.renew()
    assert seen == ["subject"]
    assert not display.is_live
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("wrong", ["x", 0, 1, [], {}])
def test_what_progress_may_be(wrong, mmoda):
    with pytest.raises(ParameterError, match=r"progress=.* must be True, False or a callable"):
        Display(wrong, None)
    with pytest.raises(ParameterError, match=r"progress=.* must be True, False or a callable"):
        mmoda.query_product("isgri", "Crab", product="isgri_image", progress=wrong, get_query_payload=True)


# ---- a log -------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but when it is set."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_records_at_growing_intervals(clock, log_records, capsys):
    at = []
    with Display(None, lambda: LINE) as display:
        for _ in range(24 * 120):
            display()
            at += [clock.now] * (len(log_records()) - len(at))
            clock.now += 30
    assert log_records()[0] == "isgri_lc 3a5f12..., progress, 12 min, 14 of 50 science windows, ii_skyimage: main done"
    assert at[:3] == [1060.0, 1120.0, 1180.0]
    assert 50 < len(at) < 90
    assert max(later - earlier for earlier, later in zip(at, at[1:], strict=False)) <= 3630
    assert len(log_records()) == len(at) + 1  # the end
    shown = capsys.readouterr()
    assert "\r" not in shown.out + shown.err


def test_a_short_wait_is_not_recorded(clock, log_records):
    show(None, LINE, LINE)
    assert log_records() == []


@pytest.mark.parametrize("place", ["TERM=dumb", "thread", "Spyder"])
def test_where_a_line_can_not_be_renewed(place, terminal, monkeypatch):
    terminal = terminal()
    if place == "TERM=dumb":
        monkeypatch.setenv("TERM", "dumb")
    if place == "Spyder":
        shell = SimpleNamespace(kernel=object(), display_pub=None)
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        monkeypatch.setitem(sys.modules, "spyder_kernels", SimpleNamespace())
    found = []
    thread = threading.Thread(target=lambda: found.append(Display(None, lambda: LINE).is_live))
    (thread.start if place == "thread" else thread.run)()
    if place == "thread":
        thread.join()
    assert found == [False]
    assert terminal.getvalue() == ""


def test_ipython_in_a_terminal_is_a_terminal(terminal, monkeypatch):
    terminal = terminal()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    show(None, LINE, LINE)
    assert screen(terminal.getvalue()) == [LINE.fitted(79), ""]


# ---- a job -------------------------------------------------------------------------------------------------------


@pytest.fixture
def submitted():
    """Function that submits a job to a server which gives some replies after the first one, the last one for ever."""
    servers = []

    def submit(*replies, **more):
        played = [analysis_reply("submitted", {"input_prod_list": ["a", "b", "c"]}), *replies]
        server = ScriptedServer(lambda request: Reply(played[min(len(server.requests), len(played)) - 1])).__enter__()
        servers.append(server)
        return hand_over(Account().connect(server.url), {**PAYLOAD, **more})

    yield submit
    for server in servers:
        server.__exit__()


def going(*messages):
    """A reply of a job that goes on, with a report about each of some science windows."""
    listed = [
        {"node": "ii_skyimage", "message": message, "scwid": f"06650022{number:04d}.001"}
        for number, message in enumerate(messages)
    ]
    monitor = {"job_id": "0123456789abcdef", "full_report_dict_list": listed}
    return analysis_reply("progress", job_monitor=monitor)


def test_from_submitted_to_done(terminal, submitted):
    terminal = terminal(120)
    submitted(going("main starting"), going("main done", "main starting"), analysis_reply("ready"), DONE).result()
    drawn = re.sub(r"\d+ s ", "N s ", terminal.getvalue())
    assert [text.strip() for text in re.split(r"\r+", drawn) if text.strip()] == [
        "isgri_image 012345… · submitted · N s · 0 of 3 science windows",
        "isgri_image 012345… · progress · N s · 0 of 3 science windows · ii_skyimage: main starting",
        "isgri_image 012345… · progress · N s · 1 of 3 science windows · ii_skyimage: main starting",
        "isgri_image 012345… · ready · N s",
        "isgri_image 012345… · done · N s · 1 product",
    ]


def test_a_job_that_fails(terminal, submitted):
    terminal = terminal()
    job = submitted(going("main done", "main done", "main done", "main done"), analysis_reply("failed"))
    assert isinstance(job.exception(), JobFailed)
    assert re.fullmatch(r"isgri_image 012345… · failed · \d s · 3 of 3 science windows", screen(terminal.getvalue())[0])


def test_one_line_about_the_end(terminal, mmoda, log_records):
    """Either the last line of the display, or one in the log."""
    field = {"coordinates": "83.63 22.01", "time_range": (57000, 57000.5), "product": "isgri_lc", "time_bin": 911.0}
    terminal = terminal()
    mmoda.query_product("isgri", **field)
    assert len(screen(terminal.getvalue())) == 2
    assert not any("product" in message for message in log_records())
    mmoda.query_product("isgri", **field)
    assert [message for message in log_records() if re.search(r"3 products in \d+ s$", message)]
    assert len(screen(terminal.getvalue())) == 2


def test_the_time_goes_on_between_polls(terminal, submitted, monkeypatch):
    terminal, clock, polls = terminal(), {"now": time.monotonic()}, []
    job = submitted()

    def sleep(seconds):
        clock["now"] += seconds + 1e-6  # rounded sums might never reach the limit

    fake = SimpleNamespace(**vars(time) | {"sleep": sleep, "monotonic": lambda: clock["now"]})
    for module in ("jobs.waiting", "progress"):
        monkeypatch.setattr(f"astroquery_mmoda.{module}.time", fake)
    monkeypatch.setattr(type(job), "_poll", lambda job, patience: polls.append(clock["now"]))
    with pytest.raises(JobTimeout):
        job.wait(1000)
    seen = set(re.findall(r"submitted · (\d+ (?:s|min(?: \d\d s)?)) ", terminal.getvalue()))
    assert len(polls) < 120
    # each second as long as seconds are shown, less what falls between two looks
    assert 500 < len(seen) <= 600 + 7
    assert {"16 min", "15 min"} < seen


@pytest.mark.parametrize(
    ("zone", "ago", "shown"),
    [
        (UTC, timedelta(hours=2, minutes=5, seconds=20), r"submitted · 2 h 05 min · "),
        (None, timedelta(hours=2, minutes=5, seconds=20), r"submitted · 2 h 05 min · "),
        (UTC, -timedelta(days=1), r"submitted · \d s · "),
        (UTC, None, r"submitted · waiting for \d s · "),
    ],
    ids=["aware", "UTC", "of a wrong clock", "unknown"],
)
def test_a_job_that_was_found_again(zone, ago, shown, terminal, submitted):
    """Its time is that since it was submitted, by whatever process."""
    submitted_at = "" if ago is None else str((datetime.now(UTC) - ago).replace(tzinfo=zone))
    terminal = terminal()
    job = submitted(scw_list="066500220010.001,066500230010.001")
    record = {**job.to_dict(), "submitted": submitted_at}
    with pytest.raises(JobTimeout):
        Job.from_dict(record).wait(0.5)
    assert re.search(shown + "0 of 2 science windows", terminal.getvalue())


def test_a_job_that_may_have_been_over_long_before(terminal, submitted):
    terminal = terminal()
    record = {**submitted(DONE).to_dict(), "submitted": str(datetime.now(UTC) - timedelta(hours=26))}
    Job.from_dict(record).wait()
    assert screen(terminal.getvalue())[0] == "isgri_image 012345… · done · submitted 26 h 00 min ago · 1 product"


def test_an_error_of_the_callable_says_how_to_continue(submitted):
    def show(job):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        submitted().wait(progress=show)
    assert caught.value.__notes__ == [how_to_continue(SimpleNamespace(job_id="0123456789abcdef"))]


# ---- processes ---------------------------------------------------------------------------------------------------

WAITS = """
import sys
from astroquery import log
from astroquery_mmoda import MmodaClass
log.setLevel(sys.argv[2])
client = MmodaClass(server=sys.argv[1])
field = dict(coordinates="83.63 22.01", time_range=(57000, 57000.5), product="isgri_lc")
for columns in map(int, sys.argv[3:]):
    if sys.stderr.isatty():
        import fcntl, struct, termios
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    client.query_product("isgri", **field, time_bin=float(columns + 1000))
    print("result")
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudoterminals")
def test_in_a_real_terminal(mmoda):
    """Of 80 and then of 40 columns, with records of the log in between."""
    command = [sys.executable, "-W", "ignore", "-c", WAITS, mmoda.URL, "DEBUG", "80", "40"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    environment.pop("COLUMNS", None)
    ours, theirs = os.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the process has ended
                break
        os.close(ours)
    assert process.returncode == 0
    text = shown.decode().replace("\r\n", "\n")  # the terminal writes both for the end of a line
    for columns, part in zip((80, 40), text.split("result\n"), strict=False):
        drawn = [each for each in re.split(r"[\r\n]", part) if " · " in each]
        assert len(drawn) >= 2
        assert max(map(cells_of, drawn)) < columns
        *records, last, _ = screen(part)
        name = "isgri_lc " if columns == 80 else ""
        assert re.fullmatch(name + r"[0-9a-f]{6}… · done · \d+ s · 3 products", last), last
        assert len(records) > 3
        lines = (re.fullmatch(r"(DEBUG|INFO): .* \[astroquery_mmoda\.[a-z._]+\]", record) for record in records)
        assert all(lines), records
    assert text.endswith("result\n")


def test_in_a_pipe(mmoda):
    command = [sys.executable, "-W", "ignore", "-c", WAITS, mmoda.URL, "INFO", "100"]
    done = subprocess.run(
        command, capture_output=True, timeout=60, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stderr == b""
    assert not re.search(rb"[\r\x1b]", done.stdout)
    assert re.fullmatch(
        r"INFO: isgri_lc of isgri: job [0-9a-f]+ submitted \[.*\]\nINFO: job [0-9a-f]+: 3 products in \d+ s \[.*\]\nresult\n",
        done.stdout.decode(),
    )
