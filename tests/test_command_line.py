"""The command line: what it prints where, the exit status, files, and how it ends."""

from __future__ import annotations

import doctest
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astroquery_mmoda import MmodaClass, Products, conf, read_lightcurve
from astroquery_mmoda.cli.arguments import _COMMANDS, parse_arguments
from astroquery_mmoda.cli.messages import in_words_of_the_shell
from astroquery_mmoda.cli.program import main
from astroquery_mmoda.cli.saving import save_form
from astroquery_mmoda.cli.tables import table_text
from astroquery_mmoda.plotting.drawing import pyplot
from tests.scripted_server import Reply, ScriptedServer
from tests.tokens import mint

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "command_line.rst"
FIELD = ["--time", "58193.455", "58246.892", "--radius", "8deg", "--set", "max_pointings=10"]
IMAGE = ["query", "image", "isgri", "MAXI J1820+070", *FIELD]
# less to compute and to draw
BURST = ["query", "lightcurve", "spi_acs", "--time", "2017-03-06T13:26:48", "2017-03-06T13:27:48", "--time-bin", "0.5s"]
MARKED = mint(jti="marked")
# with two backslashes and a newline the shell goes on in the next line
JOINED = re.compile(r"\\\n\s*")


@pytest.fixture(autouse=True)
def _own_journal(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    monkeypatch.setattr("astroquery_mmoda.jobs.journal.get_config_dir", lambda: tmp_path / "config")


@pytest.fixture
def run(local_mmoda, capsys, monkeypatch):
    """Function that runs a command line in this process: exit status, standard output, standard error."""

    def command(*arguments: str, given: str = ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        with conf.set_temp("server", local_mmoda.url):
            status = main(arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture
def process(local_mmoda, tmp_path):
    """Function that starts ``python -m astroquery_mmoda`` with a server of its own."""
    started = []

    def start(*arguments: str, **options) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "astroquery_mmoda", "--server", local_mmoda.url, *arguments]
        root = os.fspath(PAGE.parents[2])
        variables = {**os.environ, "PYTHONPATH": root, "XDG_CONFIG_HOME": os.fspath(tmp_path / "xdg")}
        (tmp_path / "xdg" / "astropy").mkdir(parents=True, exist_ok=True)
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=variables, **{**streams, **options}))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def one_paragraph(text: str, begin: str = "mmoda: error: ") -> str:
    assert text.startswith(begin)
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


# ---- examples


def commands_of(block: str) -> list[tuple[str, str]]:
    """Commands of a block of a page, and what they print."""
    parts = re.split(r"^\$ ", JOINED.sub(" ", block), flags=re.MULTILINE)
    return [tuple(part.split("\n", 1)) for part in parts if part.strip()]


def run_line(run, line: str) -> tuple[int, str]:
    """Do what a shell would with a line: redirections, nothing else."""
    words = shlex.split(line)
    assert words.pop(0) == "mmoda", line
    source, target = (words.pop(words.index(sign) + 1) if sign in words else None for sign in "<>")
    given = "" if source is None else Path(source).read_text()
    status, out, err = run(*[word for word in words if word not in "<>"], given=given)
    if target is not None:
        Path(target).write_text(out)
        out = ""
    return status, err + out


def test_examples_of_the_page(run, ring, local_mmoda, tmp_path, monkeypatch):
    # other tests write real ones, and drawing takes longer than all else
    monkeypatch.setattr("astroquery_mmoda.cli.saving._png", lambda axes: pyplot().close(axes.figure) or b"a picture")
    (tmp_path / "token.txt").write_text(mint(key=local_mmoda.secret_key))
    blocks = re.findall(r"^\.\. code-block:: console\n\n((?:   .*\n|\n)+)", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    examples = [example for block in blocks for example in commands_of(re.sub("^   ", "", block, flags=re.MULTILINE))]
    assert len(examples) > 10
    options, wrong = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, []
    for line, wanted in examples:
        status, shown = run_line(run, line)
        agrees = doctest.OutputChecker().check_output(wanted.strip() + "\n", shown.strip() + "\n", options)
        if status != (2 if "error: " in wanted else 0) or not agrees:
            wrong.append(f"$ {line}\n{shown}\nis not\n{wanted}")
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def test_examples_of_the_help(run, local_mmoda, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # pictures take longer than all else
    (tmp_path / "token.txt").write_text(mint(key=local_mmoda.secret_key))
    times = "'T1': '2017-03-06T13:26:48', 'T2': '2017-03-06T13:27:48', 'product_type': 'Real'"
    snippet = f"par_dict = {{'instrument': 'spi_acs', 'product': 'spi_acs_lc', 'time_bin': 1, {times}}}"
    (tmp_path / "snippet.py").write_text(snippet)
    job_id = ""
    for name, (_, _, examples, _) in _COMMANDS.items():
        lines = [line.strip() for line in JOINED.sub(" ", examples).splitlines()]
        assert lines, name
        for line in lines:
            assert line.startswith(f"mmoda {name}")
            line = line.replace("--out image", "--submit")  # the examples of the page compute one
            status, shown = run_line(run, re.sub(r"\b3a5f\w*", job_id, line))
            assert status == 0, f"{line}\n{shown}"
            job_id = job_id or (re.findall(r"job (\w{16}) ", shown) or [""])[0]


def test_help_and_version(run):
    for name in _COMMANDS:
        status, out, err = run(name, "--help")
        assert (status, err) == (0, "")
        assert out.startswith(f"usage: mmoda {name} ")
    assert "commands:" in run("--help")[1]
    assert re.fullmatch(r"mmoda \d+\.\d+.*\n", run("--version")[1])


# ---- arguments


USAGE = {
    "nothing": ([], "required: COMMAND"),
    "unknown command": (["instrument"], "invalid choice: 'instrument'"),
    "unknown option": (["jobs", "--nope"], "--nope"),
    "too many": (["instruments", "more"], "unrecognized arguments: more"),
    "a parameter as an option": (["query", "image", "isgri", "--max_pointings", "5", "--out", "x"], "--set NAME=VALUE"),
    "no kind": (["query"], "give a kind and an instrument"),
    "no instrument": (["query", "image"], "give a kind and an instrument"),
    "no directory": (["query", "image", "isgri", "Crab"], "--out DIR says where"),
    "too many words": (
        ["query", "image", "isgri", "Ser", "X-1", "--out", "x"],
        'quotes, as in "Ser X-1". See: mmoda query',
    ),
    "no name": (["query", "image", "isgri", "", "--out", "x"], "argument NAME: it is empty"),
    "no value in a variable": ([*IMAGE, "--out", ""], "argument --out: it is empty"),
    "no server": (["--server", "", "jobs"], "argument --server: it is empty"),
    "a name as position": (["query", "image", "isgri", "--position", "Ser", "X-1", "--out", "x"], "'Ser X-1': not two"),
    "unit of a position": (["windows", "--position", "83", "-22keV", "--radius", "3"], "'83 -22keV': not two angles"),
    "negative": ([*IMAGE, "--timeout", "-3", "--out", "x"], "--timeout '-3'"),
    "unit alone": ([*IMAGE, "--energy", "keV", "40keV", "--out", "x"], "--energy 'keV': not a valid number, with or"),
    "windows from nowhere": (["query", "image", "isgri", "--scw-list", "-", "--out", "x"], "there is nothing in '-'"),
    "half a position": (["windows", "--position", "83.6"], "expected 2 arguments"),
    "submit in parts": (
        ["query", "image", "isgri", "--submit", "--windows-per-job", "5"],
        "--submit is for a single job",
    ),
    "snippet and kind": (["query", "image", "isgri", "--code", "x.py", "--out", "x"], "--code takes kind, instrument"),
    "unknown instrument": (["query", "image", "isgr", "Crab", "--out", "x"], "did you mean 'isgri'"),
    "unknown product": (["parameters", "isgri", "isgri_xx"], "Unknown product 'isgri_xx'"),
    "unknown parameter": ([*IMAGE, "--out", "x", "--set", "osa=3"], "Unknown parameter 'osa'"),
    "no value": ([*IMAGE, "--out", "x", "--set", "osa_version"], "NAME=VALUE"),
    "two values": ([*IMAGE, "--out", "x", "--set", "max_pointings=3"], "'max_pointings' twice"),
    "time": (
        ["query", "image", "isgri", "--time", "yesterday", "today", "--out", "x"],
        "--time 'yesterday': not a valid",
    ),
    "days of INTEGRAL": (["query", "image", "isgri", "--time", "6274", "6275", "--out", "x"], "add 51544"),
    "order": (["query", "image", "isgri", "--time", "58194", "58193", "--out", "x"], "--time runs from"),
    "energy": ([*IMAGE, "--energy", "40keV", "20keV", "--out", "x"], "--energy runs from 40.0 keV"),
    "timeout": ([*IMAGE, "--timeout", "soon", "--out", "x"], "--timeout 'soon'"),
    "no catalogue": ([*IMAGE, "--catalog", "no.ecsv", "--out", "x"], "there is no file 'no.ecsv'"),
    "no windows": (["query", "image", "isgri", "--scw-list", "no.txt", "--out", "x"], "'no.txt' can't be read"),
    "no snippet": (["query", "--code", "no.py", "--out", "x"], "'no.py' can't be read"),
    "no list": ([*IMAGE[:4], "--windows-per-job", "3", "--out", "x"], "it needs --scw-list"),
    "not a job": (["wait", "not a job"], "is not a valid job"),
    "password": (["--server", "http://user:secret@127.0.0.1:1", "instruments"], "must not have a user name"),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_arguments(run, case):
    arguments, reason = USAGE[case]
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert reason in one_paragraph(err)
    assert not os.path.exists("x")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--token", MARKED, "jobs"],
        ["jobs", f"--token={MARKED}"],
        ["jobs", "--token"],
        ["token", "login", MARKED],
        ["token", "login", "--text", MARKED],
        [*IMAGE, "--out", "x", "--set", f"token={MARKED}"],
        ["query", "image", "isgri", "Crab", MARKED, "--submit"],
    ],
    ids=["option", "option with value", "option alone", "behind login", "invented option", "parameter", "somewhere"],
)
def test_a_token_is_never_an_argument(run, arguments):
    status, out, err = run(*arguments)
    assert status == 2
    assert "a token is never an argument" in one_paragraph(err)
    assert MARKED[:30] not in out + err


@pytest.mark.parametrize(
    "arguments",
    [
        ["query", "image", "isgri", "--position", "83.6", "-22.0", "M 1", "--submit"],
        ["query", "--submit", "image", "--position", "83.6", "-22.0", "isgri", "M 1"],
        ["query", "--position", "83.6", "-22.0", "image", "isgri", "M 1", "--submit"],
    ],
)
def test_names_may_stand_between_options(arguments):
    found = parse_arguments(arguments)
    assert (found.kind, found.instrument, found.name) == ("image", "isgri", "M 1")


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (("83.6", "-22.0"), (83.6, -22.0)),
        (("83.6", "-.5"), (83.6, -0.5)),
        (("05:34:00", "-5:12:36"), (83.5, -5.21)),
        (("5h34m", "-5d12m36s"), (83.5, -5.21)),
        (("83.6", "−22"), (83.6, -22.0)),
    ],
)
def test_negative_declinations(run, mmoda, position, expected):
    command = ["query", "image", "isgri", "Here", "--position", *position, *FIELD, "--submit", "--quiet"]
    status, out, err = run(*command)
    assert (status, err) == (0, "")
    parameters = mmoda.get_job(out.strip()).parameters
    assert (float(parameters["RA"]), float(parameters["DEC"])) == pytest.approx(expected)
    assert parameters["src_name"] == "Here"


def test_options_replace_what_a_snippet_has(run, mmoda):
    fields = "'T1': '2018-03-16', 'T2': '2018-03-17', 'T_format': 'isot', 'RA': 83, 'DEC': 22, 'src_name': 'Crab'"
    fields += ", 'E1_keV': 20, 'E2_keV': 40, 'radius': 8, 'max_pointings': 10"
    Path("snippet.py").write_text(f"par_dict = {{'instrument': 'isgri', 'product': 'isgri_image', {fields}}}")
    options = ["--time", "58194", "58195", "--position", "84", "-21", "--energy", "30", "60", "--radius", "7"]
    status, out, err = run("query", "--code", "snippet.py", *options, "--set", "max_pointings=5", "--submit", "--quiet")
    assert (status, err) == (0, "")
    found = mmoda.get_job(out.strip()).parameters
    assert [float(found[name]) for name in ("RA", "DEC", "E1_keV", "E2_keV", "radius")] == [84, -21, 30, 60, 7]
    assert (found["T1"][:10], found["max_pointings"], "Crab" in found["src_name"]) == ("2018-03-17", "5", False)


# ---- tables


def test_tables_for_programs(run):
    status, out, _ = run("--format", "json", "instruments")
    assert status == 0
    assert {"instrument": "spi_acs", "products": "spi_acs_lc"} in json.loads(out)
    _, out, _ = run("windows", "Ser X-1", "--radius", "4deg", "--time", "2005-03-15", "2005-03-17", "--format=ecsv")
    assert Table.read(out, format="ascii.ecsv")["scw_id"][0] == "029500100010"
    _, out, _ = run("parameters", "isgri", "--format", "json")
    assert None in {row["max"] for row in json.loads(out)}


def test_tables_for_people():
    table = Table({"name": ["a" * 50, "b"], "value": [1.5, 2.5], "nothing": ["", ""], "more": ["c" * 30, "d" * 5]})
    assert table_text(table, "text").splitlines()[2].split() == ["a" * 50, "1.5", "c" * 30]


def test_tables_fit_a_terminal(monkeypatch):
    table = Table({"source": ["a" * 50, "b"], "value": [1.5, 2.5], "more": ["c" * 30, "d" * 5]})
    monkeypatch.setenv("COLUMNS", "60")
    shown = table_text(table, "text", fit=True).splitlines()
    assert max(map(len, shown)) <= 60
    assert "a" * 20 + "..." in shown[2]
    monkeypatch.setenv("COLUMNS", "10")
    assert len(table_text(table, "text", fit=True).splitlines()) == 4
    table["job_id"] = ["7ad6479b5e05d2d3", "ca4929cb1bec8076"]  # is there to be copied
    assert "7ad6479b5e05d2d3" in table_text(table, "text", fit=True)


def test_parameters_fit_a_terminal(run, monkeypatch):
    assert "right ascension (NAME or --position)" in run("parameters", "isgri", "--format", "ecsv")[1]
    monkeypatch.setattr(
        "astroquery_mmoda.cli.commands.table_text", lambda table, *_, **__: table_text(table, "text", fit=True)
    )
    out = run("parameters", "isgri", "isgri_image")[1]
    assert max(map(len, out.splitlines())) <= 80
    assert "integral_data_rights" in out


# ---- what is written


def test_existing_files_and_a_job_that_is_not_lost(run):
    assert run(*BURST, "--out", "here", "--quiet")[0] == 0
    (picture,) = Path("here").glob("*.png")
    before = picture.stat().st_mtime_ns
    status, out, err = run(*BURST, "--out", "here")
    assert (status, out) == (1, "")
    assert "nothing was written" in err
    assert "--overwrite replaces them" in err
    again = re.search(r"mmoda (result \w+ --out) DIR", err)[1].split()
    assert run(*again, "there")[0] == 0
    assert len(Products.read("there")) == 1
    status, out, _ = run(*BURST, "--out", "here", "--overwrite", "--format", "json")
    assert status == 0
    assert [row["kind"] for row in json.loads(out)] == ["lightcurve", "picture"]
    assert picture.stat().st_mtime_ns > before


def test_a_directory_that_can_not_be_written_to_is_refused_at_once(run, local_mmoda):
    Path("taken").write_text("")
    before = local_mmoda.jobs
    for name in ("taken", "taken/below"):
        status, out, err = run("query", "image", "isgri", "Crab", "--time", "57001", "57002", "--out", name)
        assert (status, out) == (1, "")
        assert "no files can be written into this directory" in one_paragraph(err)
    assert local_mmoda.jobs == before


def test_a_full_disk(run, full_disk):
    status, out, _ = run(*BURST, "--submit")
    job_id = out.strip()
    assert run("wait", job_id)[:2] == (0, "done\n")
    full_disk(1000)
    status, out, err = run("result", job_id, "--out", "full")
    assert status == 1
    assert "not tried" in out or "no space left" in out
    assert "no space left" in err.splitlines()[-1]
    assert not list(Path("full").glob("*.part"))


def test_without_matplotlib(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, err = run(*BURST, "--out", "plain")
    assert status == 0
    assert "picture" not in out
    assert "no pictures: plots need matplotlib" in err


def test_one_source_of_spectra(run):
    status, out, _ = run(
        "query", "spectrum", "isgri", "MAXI J1820+070", *FIELD, "--source", "ser x-1", "--out", "one", "--quiet"
    )
    assert status == 0
    assert sorted(path.suffix for path in Path("one").iterdir()) == [".fits", ".fits", ".fits", ".json", ".png"]
    assert fits.getheader("one/Ser_X-1_pha.fits", 1)["RESPFILE"] == "Ser_X-1_rmf.fits"


def test_tables_of_workflows_are_spectra_if_they_are_asked_for(run):
    status, out, _ = run("query", "spectrum", "auger", "--out", "auger", "--quiet")
    assert status == 0
    assert "picture" in out


def test_another_kind_of_product_than_that_asked_for(run):
    lines = ["query", "lightcurve", "isgri", "MAXI J1820+070", *FIELD, "--product", "isgri_image", "--out", "other"]
    status, out, err = run(*lines, "--quiet")
    assert status == 1
    assert "mosaic_image.fits" in out
    assert "The service sent no lightcurve, but: catalog, image." in one_paragraph(err)


def test_light_curves_of_several_jobs(run):
    Path("windows.txt").write_text("029500100010.001\n029500110010.001\n")
    sources = Table({"src_names": ["Ser X-1", "4U 1823-00"], "ra": [279.99, 276.34], "dec": [5.04, -0.01]})
    sources.write("sources.ecsv")
    command = ["query", "lightcurve", "isgri", "Ser X-1", "--scw-list", "windows.txt", "--windows-per-job", "1"]
    assert run(*command, "--catalog", "sources.ecsv", "--source", "Ser X-1", "--out", "sum", "--quiet")[0] == 0
    table = Table.read("sum/lightcurve.ecsv")
    assert table.meta["NJOBS"] == 2
    assert len(read_lightcurve("sum/lightcurve.fits")) == len(table) > 0
    assert [path.name for path in Path("sum").glob("*.png")] == ["lightcurve_Ser_X-1.png"]


def test_images_of_several_jobs():
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.1, "CDELT2": 0.1})
    bands = [fits.ImageHDU(np.ones((4, 4)), header, name="SIGNIFICANCE", ver=version) for version in (1, 2)]
    manifest = save_form("image", fits.HDUList([fits.PrimaryHDU(), *bands]), "sum", overwrite=False)
    names = [Path(path).name for path in manifest["path"]]
    assert names == ["image.fits", "image_band_1.png", "image_band_2.png"]
    assert all(Path("sum", name).stat().st_size == size for name, size in zip(names, manifest["size"], strict=True))


# ---- messages


def test_a_job_that_fails(run):
    command = ["query", "image", "faulty", "Crab", "--product", "faulty_backend_image", "--time", "57000", "57001"]
    status, out, err = run(*command, "--out", "x", "--quiet")
    assert (status, out) == (1, "")
    reason = "the synthetic backend fails on purpose"
    assert reason in one_paragraph(err)
    status, out, err = run("jobs", "--format", "json")
    job_id = json.loads(out)[0]["job_id"]
    status, out, err = run("wait", job_id, "--quiet")
    assert (status, out) == (1, "failed\n")
    assert reason in one_paragraph(err)
    status, out, err = run("--debug", "wait", job_id)
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("mmoda: error: ")


def test_warnings_are_lines(run):
    arguments = ["query", "lightcurve", "faulty_sync", "Crab", "--product", "nothing_lc", "--time", "57000", "57001"]
    status, _, err = run(*arguments, "--out", "x")
    assert status == 0
    assert "mmoda: warning: MMODA: the analysis returned nothing.\n" in err
    assert ".py" not in err
    assert all(line.startswith("mmoda: ") for line in err.splitlines())
    assert run(*arguments, "--out", "y", "--quiet")[2] == ""


def test_a_fault_of_ours_is_one_paragraph_too(run, monkeypatch):
    def fail(self):
        raise KeyError("nothing\nof this name")

    monkeypatch.setattr(MmodaClass, "list_instruments", fail)
    status, _, err = run("instruments")
    assert status == 1
    assert "KeyError" in one_paragraph(err)
    assert "mmoda diagnose" in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Mmoda.get_job('abc').result() continues. error.job.result() waits again, and timeout= waits longer.",
            "'mmoda wait abc' continues. --timeout waits longer.",
        ),
        (
            "give it as Mmoda.login(token), in the environment",
            "give it to 'mmoda token login', or have it in the environment",
        ),
        (
            "radius= is needed with coordinates=, such as radius=10*u.deg;",
            "--radius is needed with NAME or --position, such as --radius 10deg;",
        ),
        ("these files exist: a; overwrite=True replaces them", "these files exist: a; --overwrite replaces them"),
        ("Choose one with product=: a, b", "Choose one with --product: a, b"),
        (
            "it needs scw_list=. Mmoda.query_science_windows(coordinates, radius, time_range) gives one",
            "it needs --scw-list. 'mmoda windows' gives one",
        ),
        ("scw_list: not a valid science window", "--scw-list: not a valid science window"),
        ("it is for query_image and query_catalog", "it is for 'mmoda query image' and 'mmoda query catalog'"),
        ("seconds, or as a Quantity (it", "seconds, or with a unit (it"),
        ("or check astroquery_mmoda.conf.server.", "or check --server."),
        ("set astroquery_mmoda.conf.insecure_http = True.", "set insecure_http = True in astroquery_mmoda.cfg."),
        ("more than conf.max_nesting allows", "more than max_nesting in astroquery_mmoda.cfg allows"),
        ("a\n b", "a b"),
    ],
)
def test_messages_in_the_words_of_the_command_line(text, expected):
    assert in_words_of_the_shell(text) == expected


# ---- tokens


def test_login_from_standard_input(run, ring, local_mmoda):
    token = mint(key=local_mmoda.secret_key)
    status, out, err = run("token", "login", given=f"{token}\n")
    assert status == 0
    assert "location:      keyring" in out
    status, out, err = run("token", "--format", "json")
    assert json.loads(out)[0]["roles"] == "general, refresh-tokens"
    before = json.loads(out)[0]["expires"]
    status, out, _ = run("token", "refresh", "--format", "json")
    assert json.loads(out)[0]["expires"] > before
    # a token of the keyring is used by queries
    status, out, err = run("jobs")
    assert "Using the token in keyring" in err
    assert token[:30] not in out + err
    status, out, err = run("token", "logout")
    assert status == 0
    assert not ring.kept
    assert run("token")[1] == ""
    assert json.loads(run("token", "--format", "json")[1]) == []


def test_login_without_a_keyring(run, local_mmoda):
    token = mint(key=local_mmoda.secret_key)
    status, out, err = run("token", "login", "--quiet", given=token)
    assert (status, out) == (1, "")
    assert "--store home" in one_paragraph(err)
    status, out, _ = run("token", "login", "--store", "home", given=token)
    assert status == 0
    path = Path.home() / ".oda-token"
    assert path.read_text().strip() == token
    assert path.stat().st_mode & 0o077 == 0
    status, _, err = run("token", "logout")
    assert f"There is still a token in {path} (expires" in err
    path.write_text("garbage")
    assert f"There is still a token in {path} (malformed)" in run("token", "logout")[2]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "No token was given"),
        ("garbage", "not a valid token"),
        (MARKED, "refused the token"),
        (mint(hours=-5), "expired"),
    ],
    ids=["empty", "garbage", "refused", "expired"],
)
def test_tokens_that_are_not_kept(run, ring, given, reason):
    status, out, err = run("token", "login", given=given)
    assert (status, out) == (1, "")
    assert reason in one_paragraph(err)
    assert not ring.kept
    assert MARKED[:30] not in err


def test_a_token_of_the_shell_can_not_be_replaced(run, local_mmoda, monkeypatch):
    monkeypatch.setenv("ODA_TOKEN", mint(key=local_mmoda.secret_key))
    status, _, err = run("token", "refresh", "--quiet")
    assert status == 1
    assert "only your shell can change" in one_paragraph(err)
    assert run("token", "refresh", "--store", "cwd")[0] == 0
    assert Path(".oda-token").is_file()


def test_a_report_names_the_token_that_queries_would_use(run, local_mmoda, monkeypatch):
    monkeypatch.setenv("ODA_TOKEN", mint(key=local_mmoda.secret_key))
    assert re.search("^token: +environment, expires", run("diagnose")[1], re.MULTILINE)
    monkeypatch.setenv("ODA_TOKEN", mint(hours=-5))
    assert re.search("^token: +none in use", run("diagnose")[1], re.MULTILINE)


def test_a_token_of_the_keyring_is_for_its_server_only(capsys, ring):
    with ScriptedServer(lambda request: Reply(["toy"] if "instr" in request.path else {}, 200)) as server:
        ring.set_password("astroquery:other.example", "mmoda-token", MARKED)
        assert main(["--server", server.url, "instruments"]) == 0
    assert all("token" not in request.query for request in server.requests)
    assert "Using the token" not in capsys.readouterr().err


# ---- processes


def test_an_interrupt_and_how_to_go_on(process):
    # a shell has its background jobs ignore interrupts, and what they start inherits that
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    command = [*IMAGE[:4], "--time", "57000", "57100", "--set", "max_pointings=49", "--radius", "8deg", "--debug"]
    first = process(*command, "--out", "never", **options)
    # until it waits
    job_id = next(found[1] for line in first.stderr if (found := re.search(r"debug: job (\w+): progress", line)))
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert (first.returncode, out) == (130, ""), err
    assert f"'mmoda wait {job_id}' continues" in err
    assert err.endswith("mmoda: interrupted\n")
    assert "Traceback" not in err
    assert not Path("never").exists()
    assert process("wait", job_id[:6], "--timeout", "60").communicate(timeout=90)[0] == "done\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_to_end(run, monkeypatch, name):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # nohup ignores one of them
    monkeypatch.setattr("astroquery_mmoda.jobs.waiting.time.sleep", lambda seconds: signal.raise_signal(number))
    radius = f"{6 + number / 100}deg"  # one that was not computed yet
    try:
        status, out, err = run(*IMAGE[:4], *FIELD[:3], "--radius", radius, "--out", "never", "--quiet")
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert (status, out) == (128 + number, "")
    assert re.match(r"mmoda: interrupted \(Job \w+ goes on at the service, and nothing is lost: 'mmoda wait", err)


def test_an_interrupt_while_files_are_written(run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("astroquery_mmoda.cli.commands.save_products", interrupt)
    status, out, err = run(*BURST, "--out", "never", "--quiet")
    assert (status, out) == (130, "")
    assert re.search(r"interrupted \(The products are not lost: 'mmoda result \w+ --out DIR' writes them.\)\n$", err)


def test_a_reader_that_leaves(process):
    reader, writer = os.pipe()
    os.close(reader)
    left = process("jobs", "--quiet", stdout=writer)
    os.close(writer)
    assert (left.communicate(timeout=60)[1], left.returncode) == ("", 0)


def test_an_output_that_is_full_or_closed(run, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    assert run("jobs")[::2] == (1, "mmoda: error: standard output is closed\n")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w", encoding="ascii") as full:
            monkeypatch.setattr("sys.stdout", full)
            status, _, err = run("jobs")
        assert status == 1
        assert "nothing can be written to standard output (No space left on device)" in one_paragraph(err)


def test_a_terminal_shows_progress_on_standard_error(local_mmoda, run, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    status, out, _ = run(*IMAGE[:4], "--time", "58193.455", "58246.892", "--radius", "7.5deg", "--out", "seen")
    assert status == 0
    assert "\r" not in out
    assert "isgri_image" in terminal.getvalue()
