"""What notebooks show, in a real browser: text stays text, nothing runs, nothing is fetched, and it can be read."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy.io import fits
from matplotlib.image import imread

from astroquery_mmoda import Job, MmodaClass, conf, show_hdulist
from astroquery_mmoda.service.account import Account
from conftest import require
from tests.scripted_server import Reply, ScriptedServer
from tests.test_summary import HOSTILE, hostile
from tests.tokens import mint

WIDTH, HEIGHT = 500, 4000
# the page's own script and picture show that scripts run and pictures are fetched where they are there
PAGE = """<!doctype html><meta charset="utf-8"><title>untouched</title>
<body style="margin:0;font:13px sans-serif"><img src="/control.png" width="1" height="1" style="position:absolute">
<section style="height:{half}px;overflow:hidden;background:white;color:black">{content}</section>
<section style="height:{half}px;overflow:hidden;background:black;color:white;color-scheme:dark">{content}</section>
<script>document.body.id = "too-wide-by-" + (document.documentElement.scrollWidth - innerWidth)</script></body>"""


class Cells(HTMLParser):
    """Rows of all tables of a page, as lists of texts, and its title."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.title, self._at = [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th", "title"):
            self._at = tag
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self._at in ("td", "th"):
            self.rows[-1][-1] += data
        if self._at == "title":
            self.title += data

    def handle_endtag(self, tag):
        if tag == self._at:
            self._at = ""


@pytest.fixture
def job():
    connection = Account().connect("https://mmoda.example")
    parameters = {"src_name": HOSTILE[1], "T1": HOSTILE[0], "T2": HOSTILE[2], "E1_keV": "20", "E2_keV": "40"}
    reports = [{"message": HOSTILE[0], "progress": 30, "progress_max": 100}]
    return Job(
        connection, "isgri", "isgri_image", parameters, "S" * 16, job_id=HOSTILE[1], status="progress", reports=reports
    )


def others():
    """A client, its session, queries, settings, and an HDUList, as far as they can be hostile."""
    client = MmodaClass(server=f"https://mmoda.example/{HOSTILE[0]}")
    client.login(mint(name=HOSTILE[1], roles=HOSTILE[0]))
    with conf.set_temp("server", f"https://mmoda.example/{HOSTILE[1]}"):
        shown = [each._repr_html_() for each in (client, client.session_info(), client.query_many("image", []), conf)]
    hdu = fits.ImageHDU(np.zeros((3, 4)), fits.Header({"SRC_NAME": HOSTILE[1], "BUNIT": HOSTILE[0][:20]}), name="<b>")
    table = show_hdulist(fits.HDUList([fits.PrimaryHDU(), hdu]))
    # as notebooks do it with tables of astropy's
    return "".join([*shown, f'<div style="overflow-x:auto">{table._repr_html_()}</div>'])


def test_in_a_browser(job, tmp_path):
    chromium = shutil.which("chromium")
    require(chromium, "chromium")
    products = hostile()
    content = products._repr_html_() + job._repr_html_() + others()
    page = PAGE.format(half=HEIGHT // 2, content=content)
    html = {"Content-Type": "text/html"}
    with ScriptedServer(lambda request: Reply(page, 200, html) if request.path == "/" else Reply("", 404)) as server:
        command = [
            chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={WIDTH},{HEIGHT}",
            f"--screenshot={tmp_path / 'page.png'}", "--dump-dom", f"{server.url}/",
        ]  # fmt: skip
        dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        fetched = {request.path for request in server.requests}
    assert {"/", "/control.png"} <= fetched <= {"/", "/control.png", "/favicon.ico"}

    # wide tables scroll by themselves, not the page
    assert re.findall(r'<body [^>]*id="([^"]*)"', dom) == ["too-wide-by-0"]
    cells = Cells(dom)
    assert cells.title == "untouched"
    rows = Cells(content).rows
    assert cells.rows == rows * 2
    names = [row[1] for row in rows[: len(products) + 1]]
    assert names == ["name", *(product.name for product in products)]
    facts = dict(row for row in cells.rows if len(row) == 2)
    assert facts["last report"] == HOSTILE[0]
    assert facts["source"] == HOSTILE[1]
    assert facts["progress"] == " 30%"
    assert facts["login"].startswith(f"logged in as {HOSTILE[1]}, until")
    assert facts["roles"] == HOSTILE[0]
    assert next(row for row in rows if row[0] == "server")[1].startswith(f"https://mmoda.example/{HOSTILE[1]}(default")
    assert rows[-1][1:3] == ["<B>", "1"]
    assert facts["time (UTC)"].endswith("a\\u202ebc\\x1b[1m")

    picture = imread(tmp_path / "page.png")[..., :3]
    light, dark = picture[: len(picture) // 2], picture[len(picture) // 2 :]
    for half, background in ((light, 1.0), (dark, 0.0)):
        written = np.abs(half - background).max(axis=-1) > 0.5
        assert np.median(half) == background
        assert 0.01 < written.mean() < 0.3
