"""Progress in a notebook, by a real kernel: what it sends while a cell waits, and what the saved notebook has."""

import re
from collections import defaultdict
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from conftest import require
from tests.local_mmoda import environment
from tests.local_mmoda.server import LocalMmoda

ROOT = Path(__file__).resolve().parents[1]
CELLS = {
    "setup": """
import threading
from astroquery import log
from astroquery_mmoda import JobTimeout, MmodaClass
client = MmodaClass(server=URL)
field = dict(coordinates="83.63 22.01", time_range=(57000, 57000.5), product="isgri_lc")
jobs = [client.submit_product("isgri", **field, time_bin=501.0 + number) for number in range(4)]
def wait(number, **options):
    try:
        jobs[number].wait(0.2, **options)
    except JobTimeout:
        pass
""",
    "timeout": "wait(0)",
    "quiet": "wait(0, progress=False); wait(0, progress=lambda job: None)",
    "level": "log.setLevel('WARNING'); wait(0); log.setLevel('INFO')",
    "two": "wait(1); wait(2)",
    "captured": "%%capture output\nwait(3)",
    "thread": "thread = threading.Thread(target=wait, args=(0,)); thread.start(); thread.join()",
    "query": "products = client.query_product('isgri', **field)",
    "again": "products = client.query_product('isgri', **field)",
    "failed": """
fault = client.submit_product("faulty", "Crab", product="faulty_backend_image", time_range=(58193, 58194)).exception()
""",
    "many": """
queries = [dict(instrument="isgri", **field, time_bin=width) for width in (505.0, 506.0, -1.0)]
for index, outcome in client.query_many("product", queries):
    print("outcome", index)
""",
}


class Recorder(NotebookClient):
    """Keeps what a kernel sends about the outputs of each cell."""

    def process_message(self, message, cell, cell_index):
        content = message["content"]
        if message["msg_type"] in ("display_data", "update_display_data"):
            self.sent[cell["id"]].append((message["msg_type"], content["data"]))
        return super().process_message(message, cell, cell_index)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The executed notebook's cells, and what was sent about the displays of each, by name."""
    require(environment.find(), "the local dispatcher's environment")
    cells = [nbformat.v4.new_code_cell(code, id=name) for name, code in CELLS.items()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with LocalMmoda(step=0.4) as service, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        cells[0]["source"] = CELLS["setup"].replace("URL", repr(service.url))
        client = Recorder(notebook, kernel_name="python3", timeout=120)
        client.sent = defaultdict(list)
        client.execute()
    nbformat.validate(notebook)
    return {cell["id"]: cell for cell in cells}, client.sent


def texts(cell, kind="display_data"):
    """Outputs of a cell that are of a kind."""
    of_kind = [output for output in cell["outputs"] if output["output_type"] == kind]
    return [output["data"]["text/plain"] if kind == "display_data" else output["text"] for output in of_kind]


def test_one_display_that_is_renewed_and_stays(executed):
    cells, sent = executed
    (last,) = texts(cells["query"])
    assert re.fullmatch(r"isgri_lc [0-9a-f]{6}… · done · \d+ s · 3 products", last)
    (first, *between, end) = sent["query"]
    assert [kind for kind, _ in sent["query"]] == ["display_data"] + ["update_display_data"] * (len(between) + 1)
    assert re.match(r"isgri_lc [0-9a-f]{6}… · submitted · 0 s · 0 of \d+ science windows", first[1]["text/plain"])
    assert len({data["text/plain"] for _, data in between}) >= 3
    assert any(" · progress · " in data["text/plain"] for _, data in between)
    assert end[1] == {"text/plain": last}


def test_one_line_about_the_end(executed):
    """In the display, where there is one, else in the log."""
    cells, _ = executed
    (begin,) = texts(cells["query"], "stream")
    assert re.fullmatch(r"INFO: isgri_lc of isgri: job [0-9a-f]{16} submitted .*\n", begin)
    assert texts(cells["again"]) == []
    assert re.search(r"INFO: job [0-9a-f]{16}: 3 products in \d+ s", "".join(texts(cells["again"], "stream")))


def test_how_waits_end(executed):
    cells, _ = executed
    assert re.fullmatch(r"isgri_lc [0-9a-f]{6}… · (submitted|progress), timed out · .*", *texts(cells["timeout"]))
    assert re.fullmatch(r"faulty_backend_image [0-9a-f]{6}… · failed · \d+ s( · \d+%)?", *texts(cells["failed"]))


def test_nothing_where_nothing_is_wanted(executed):
    cells, _ = executed
    assert cells["quiet"]["outputs"] == cells["level"]["outputs"] == cells["captured"]["outputs"] == []


def test_each_wait_has_its_own(executed):
    cells, _ = executed
    assert len(set(texts(cells["two"]))) == 2
    assert len(texts(cells["thread"])) == 1


def test_many_queries_have_one(executed):
    cells, sent = executed
    (last,) = texts(cells["many"])
    assert re.fullmatch(r"product queries · 2 of 3 done, 1 failed · \d+ s", last)
    assert "product queries · 0 of 3 done, 2 running, 1 failed · 0 s" in [
        data["text/plain"] for _, data in sent["many"]
    ]
    assert sorted("".join(texts(cells["many"], "stream")).splitlines()[-3:]) == ["outcome 0", "outcome 1", "outcome 2"]
