# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""``python -m tests.local_mmoda``, as a user starts and ends it."""

import contextlib
import doctest
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from astroquery import log

from astroquery_mmoda import MmodaClass, conf
from conftest import require
from tests.local_mmoda import environment

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "getting_started" / "try_out.rst"
LIMIT = 90


def command(*arguments):
    return [sys.executable, "-m", "tests.local_mmoda", *arguments]


class TryOut:
    """One that runs, with a directory for temporary files of its own, and what it printed."""

    def __init__(self, directory):
        require(environment.find(), "the local dispatcher's environment")
        self.directory = directory
        # as a shell starts its background jobs, which ignore interrupts
        self.process = subprocess.Popen(
            ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command("--step", "0.05")],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(directory), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read(self):
        lines = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C"):
                break
        self.text = "\n".join(lines)
        self.lines = lines
        self.url = re.search(r"http://127\.0\.0\.1:\d+", self.text)[0]
        return self

    def server(self):
        import urllib.request

        with urllib.request.urlopen(self.url + "/local-mmoda") as reply:
            return int(reply.read())

    def end(self, number):
        server = self.server()
        self.process.send_signal(number)
        self.process.communicate(timeout=LIMIT)
        with pytest.raises(ProcessLookupError):
            os.killpg(server, 0)
        return self.process.returncode, os.listdir(self.directory)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    started = [TryOut(tmp_path_factory.mktemp("try-out")) for _ in range(2)]
    yield [one.read() for one in started]
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            one.process.kill()
        one.process.communicate()


def test_says_what_it_is(two):
    assert two[0].url != two[1].url
    assert "synthetic" in two[0].text


def test_three_lines_give_a_table(two):
    start = two[0].lines.index("from astroquery_mmoda import Mmoda")
    lines = "\n".join(two[0].lines[start : start + 3])
    result = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 0, result.stderr
    assert re.search(r"src_names +significance.*\n.*deg.*\n-.*\n +Crab +\d", result.stdout)


def test_token_is_accepted(two):
    token = next(line for line in two[0].lines if line.startswith("eyJ"))
    client = MmodaClass(server=two[0].url)
    assert client.login(token)
    assert "unige-hpc-full" in client.session_info()["roles"]


def test_page(two):
    page = PAGE.read_text(encoding="utf-8").replace("http://127.0.0.1:8765", two[0].url)
    examples = doctest.DocTestParser().get_doctest(page, {}, "try_out.rst", str(PAGE), 0)
    assert len(examples.examples) > 8
    words = []
    level = log.level
    log.setLevel("WARNING")  # what is said at INFO has a job id
    try:
        with conf.set_temp("server", conf.server):
            doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=words.append)
    finally:
        log.setLevel(level)
    assert not words, "".join(words)


def test_port_that_is_taken(two):
    port = two[0].url.rpartition(":")[2]
    result = subprocess.run(command("--port", port), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"port {port} is taken; name another one by --port" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("--port", "65536"), ("--port", "http"), ("--step", "-1"), ("--step", "nan"), ("x",)]
)
def test_usage(arguments):
    result = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 2
    assert arguments[-1] in result.stderr


@pytest.mark.parametrize("index", [0, 1], ids=["interrupt", "terminate"])
def test_ends_and_leaves_nothing(two, index):
    # the last test of both
    number = (signal.SIGINT, signal.SIGTERM)[index]
    assert two[index].end(number) == (0, [])
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(two[index].url[-5:]))):
        pass


BUILD = """
from tests.local_mmoda import __main__, environment
environment.find = lambda: None
def build():
    {build}
environment.build = build
__main__.main()
"""


@pytest.mark.parametrize(
    ("build", "status", "words"),
    [
        ("raise RuntimeError('pip could not install it')", 1, "could not start: pip could not install it"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 0, "ended"),
    ],
    ids=["fails", "interrupted"],
)
def test_environment_is_built_first(build, status, words):
    command = [sys.executable, "-c", BUILD.format(build=build)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == status
    assert "must be built first, once: some minutes, 660 MB" in result.stdout
    assert words in result.stderr
