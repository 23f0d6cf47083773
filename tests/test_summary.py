"""What products, jobs, clients, settings and HDULists are, at a glance: without decoding or asking, and escaped."""

import copy
import json
import pickle
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from hypothesis import HealthCheck, given, settings

from astroquery_mmoda import (
    Conf,
    Job,
    JobFailed,
    MmodaClass,
    MmodaError,
    ParameterError,
    Products,
    conf,
    show_hdulist,
)
from astroquery_mmoda.decoding import pickled_shape
from astroquery_mmoda.service.account import Account
from tests.test_decoding_limits import BODIES, mutations, put
from tests.test_entries import encoded, only, recorded, reply
from tests.tokens import mint

HOSTILE = ("<script>document.title=1</script>", '"><img src=/x onload=document.title=1>', "a\u202ebc\x1b[1m")


@pytest.fixture
def undecoded(monkeypatch):
    """Decoding is an error."""
    monkeypatch.setenv("COLUMNS", "120")  # nothing is left out for want of room

    def fail(*args, **kwargs):
        raise AssertionError("decoded")

    for name in ("read_hdulist", "read_ecsv", "read_pickled_table", "read_picture", "read_binary"):
        monkeypatch.setattr(f"astroquery_mmoda.decoding.{name}", fail, raising=False)


def told(products):
    columns = ("name", "band", "time", "content", "unit")
    return [tuple(str(row[column]) for column in columns) for row in products.table]


# ---- what is told


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "isgri_image_6_done",
            [
                ("mosaic_image", "28-40 keV", "2017-03-06 13:26:49 to 15:32:28", "40 x 40 image x 4", "count/s"),
                ("catalog", "", "", "3 sources", ""),
            ],
        ),
        (
            "isgri_spectrum_real",
            [
                ("isgri_spectrum 3C111", "", "2017-03-06 13:26:49 to 15:32:28", "62 bins", "count/s"),
                ("isgri_arf 3C111", "", "", "40 energies", "cm**2"),
                ("isgri_rmf 3C111", "", "", "62 rows, 40 rows", ""),
            ],
        ),
        ("isgri_lc_real", [("isgri_lc", "28-40 keV", "2017-03-06 13:26:00 to 15:06:00", "60 bins", "count/s")]),
        ("jemx_lc_dummy", [("jemx_lc", "3.04-34.88 keV", "2003-08-15 17:13:53 to 17:50:33", "96 bins", "count/s")]),
        # its times are in seconds, and in TT, which is 69 s ahead of UTC
        (
            "spi_acs_lc_real",
            [("spi_acs_lc 1E 1740.7-2942", "", "2017-03-06 13:25:39 to 13:26:09", "60 bins", "count/s")],
        ),
        # the headers of workflows tell no shapes: the arrays do
        ("nb_lightcurve_4_done", [("Mrk 421 lc", "", "", "12 bins", "erg / (s cm**2)")]),
        ("nb_image_4_done", [("sky", "", "", "24 x 24 image, 5 x 4 x 3 image", "")]),
        ("empty_numerical", [("numerical 1E 1740.7-2942", "", "", "100 x 100 array", "")]),
        ("empty_echo", [("echo", "", "", "20 entries", "")]),
    ],
)
def test_recorded_replies_undecoded(undecoded, name, expected):
    products = Products.from_response(recorded(name))
    assert told(products)[: len(expected)] == expected
    for row in expected:
        assert row[0] in repr(products)
        assert row[3] in repr(products)
        assert all(word in products._repr_html_() for word in row)


def test_everything_else(undecoded):
    everything = Products.from_response(recorded("nb_everything_4_done"))
    assert [row[3] for row in told(everything)] == [
        "4 bins", "3 rows", "3 rows", "3 rows", "", "png", "héllo wörld second line"
    ]  # fmt: skip
    table = everything.table
    assert table.colnames[:3] == ["name", "kind", "source"]
    assert table["size"].unit == u.byte
    assert table["size"][4] == 9
    assert table["size"][6] == len("héllo wörld\nsecond line".encode())


@pytest.mark.parametrize("name", ["isgri_image_6_done", "isgri_spectrum_real", "jemx_lc_dummy", "nb_image_4_done"])
def test_the_same_when_decoded(name):
    products = Products.from_response(recorded(name))
    before = told(products), products.table["size"][0]
    for product in products:
        product.data  # noqa: B018 - decoded by it
    assert (told(products), products.table["size"][0]) == before


def image(shape, **header):
    binarys = encoded(pickle.dumps(np.zeros(shape, "f4"), 4), urlsafe=False)
    return {"name": "X", "hdu_type": "image", "dt": "float32", "binarys": binarys, "header": header}


def mosaic(*units):
    (glance,) = told(Products.from_response(reply(numpy_data_product_list=[{"name": "m", "data_unit_list": units}])))
    return dict(zip(("band", "time", "content", "unit"), glance[1:], strict=True))


def test_several_bands_and_shapes():
    bands = [image((2, 3), E_MIN=low, E_MAX=2 * low, IMATYPE="X") for low in (20, 40)]
    assert mosaic(*bands, *bands) == {"band": "20-40, 40-80 keV", "time": "", "content": "3 x 2 image x 4", "unit": ""}
    many = [image((low, 2), E_MIN=low, E_MAX=low + 1, IMATYPE="X") for low in range(1, 6)]
    glance = mosaic(*many)
    assert (glance["band"], glance["content"]) == ("5 bands, 1-6 keV", "2 x 1 image, 2 x 2 image, and 3 more")
    assert mosaic(image((2, 2), E_MIN=0.02, E_MAX=0.04, EUNIT="MeV"))["band"] == "20-40 keV"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"MJDREF": 58849, "TSTART": 0, "TSTOP": 2.5, "TIMEUNIT": "d"}, "2020-01-01 00:00 to 2020-01-03 12:00"),
        ({"MJDREF": 58849, "TSTART": 69.2, "TIMEUNIT": "s", "TIMESYS": "TT"}, "2020-01-01 00:00:00"),
        ({"MJDREF": 58849.0, "TSTART": 0, "TSTOP": 12, "TIMEUNIT": "h"}, "2020-01-01 00:00:00 to 12:00:00"),
        ({"TSTART": "Real", "TSTOP": None}, ""),
        ({"TSTART": 1e300, "MJDREF": 51544}, ""),
    ],
)
def test_times(header, expected):
    assert mosaic(image((2, 2), **header))["time"] == expected


@pytest.mark.parametrize("protocol", range(2, 5))
@pytest.mark.parametrize("shape", [(0,), (7,), (300,), (70000,), (2, 300), (2, 3, 4), (2, 3, 4, 5)])
def test_shapes_of_pickles(protocol, shape):
    for dtype in (">f4", [("a", "<f8"), ("b", "S4")]):
        assert pickled_shape(encoded(pickle.dumps(np.zeros(shape, dtype), protocol), urlsafe=False)) == shape


@pytest.mark.parametrize("text", ["", "AAAA", "é", "====", None, 3, encoded(b"(K\x01" * 300, urlsafe=False)])
def test_no_shape(text):
    assert pickled_shape(text) is None


def test_rows_of_tables():
    text = '# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, datatype: string}\na\nx\n"two\nlines"\n""\n'
    product = only(astropy_table_product_ascii_list=[{"name": "t", "ascii": text, "binary": None}])
    assert "3 rows" in repr(product)
    assert len(product.data) == 3


# ---- how it is shown


@pytest.mark.parametrize("columns", ["40", "80", "100", "300"])
def test_width(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    lines = repr(Products.from_response(recorded("isgri_spectrum_real"))).splitlines()
    assert max(len(line) for line in lines) <= min(max(int(columns), 80), 120)
    assert ("more columns in .table" in lines[-1]) == (int(columns) <= 100)


def test_remarks_and_nothing():
    assert "arguments zork, blip are not used" in repr(Products.from_response(recorded("empty_unknown_args")))
    empty = Products.from_response(recorded("isgri_lc_empty"))
    assert repr(empty) == "<Products of job 53dddad8e0234952 (isgri_lc of isgri): none>"
    assert "<table" not in empty._repr_html_()
    assert repr(Products()) == "<Products of job ?: none>"
    assert len(Products().table) == 0


def test_one_product():
    curve = Products.from_response(recorded("isgri_lc_real"))[0]
    assert repr(curve) == (
        "<Product 'isgri_lc': lightcurve of 'Crab', 28-40 keV, 2017-03-06 13:26:00 to 15:06:00, 60 bins, count/s, 6.738 kB>"
    )


def test_long_lists_are_shortened():
    body = recorded("isgri_spectrum_real")
    entries = body["products"]["numpy_data_product_list"]
    body["products"]["numpy_data_product_list"] = [entries[number % 6] for number in range(1000)]
    products = Products.from_response(body)
    begin = time.process_time()
    assert repr(products).splitlines()[-1] == "... and 980 more, see .table"
    assert products._repr_html_().count("<tr>") == 22
    assert time.process_time() - begin < 1
    assert len(products.table) == 1000


def test_large_replies_take_no_longer():
    letters = "A" * 30_000_000
    body = recorded("isgri_image_6_done")
    units = body["products"]["numpy_data_product_list"][0]["data_unit_list"]
    units[2]["binarys"] = letters
    units += [units[3]] * 20_000
    body["products"] |= {
        "text_product_list": [
            "é" * 10_000_000,
            list(range(1_000_000)),
            {"value": dict.fromkeys(map(str, range(10_000)))},
        ],
        "astropy_table_product_ascii_list": [{"name": "t", "ascii": "# %ECSV 1.0\n" + "1 2\n" * 5_000_000}],
        "binary_data_product_list": [letters],
    }
    products = Products.from_response(body)
    begin = time.process_time()
    for text in (repr(products), products._repr_html_(), *(str(product) for product in products)):
        assert len(text) < 10_000
    assert time.process_time() - begin < 2


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts = set(), set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.texts.append(data)


def hostile():
    """A reply whose every word wants to be more than text."""
    body = recorded("isgri_lc_real")
    first, second = body["products"]["numpy_data_product_list"]
    for entry, name, source in ((first, HOSTILE[0], HOSTILE[1]), (second, HOSTILE[1], HOSTILE[2])):
        entry["name"] = name
        entry["meta_data"] = json.dumps({"src_name": source, HOSTILE[0]: 1})
        entry["data_unit_list"][1]["units_dict"] = {"RATE": HOSTILE[0]}
    body["exit_status"]["comment"] = "\n".join(HOSTILE)
    body["products"]["analysis_parameters"] |= {"instrument": HOSTILE[0], "product_type": HOSTILE[1]}
    body["products"]["text_product_list"] = [{"name": "text", "value": HOSTILE[0]}]
    return Products.from_response(body)


def test_hostile_words_stay_words():
    products = hostile()
    page = Page(products._repr_html_())
    assert page.tags <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.attributes <= {"class", "style"}
    for text in (products._repr_html_(), *map(repr, (products, *products))):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert any(HOSTILE[0] in text for text in Page(products._repr_html_()).texts)
    assert "\u202e" not in str(products.table)


@settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(mutations())
@pytest.mark.filterwarnings("ignore")
def test_a_look_never_fails(mutation):
    number, changes = mutation
    body = copy.deepcopy(BODIES[number])
    for at, change in changes:
        put(body, at, change)
    try:
        products = Products.from_response(json.dumps(body))
    except MmodaError:
        return
    for _ in range(2):
        assert len(products.table) == len(products)
        for text in (products._repr_html_(), *map(repr, (products, *products))):
            assert len(text) < 30_000
        for product in products:
            try:
                product.data  # noqa: B018 - looked at again after it was decoded
            except MmodaError:
                continue


# ---- jobs


def job(**state):
    connection = Account().connect("https://mmoda.example")
    asked = {"src_name": "Crab", "T1": "2017-03-06T13:26:48.000", "T2": "2017-03-06T15:32:27.000"}
    return Job(connection, "isgri", "isgri_lc", asked, "S" * 16, job_id="65ac0b054ca2d65f", **state)


def test_jobs():
    half_way = [{"message": "ibis_science_analysis", "progress": 1, "progress_max": 2}]
    going = job(status="progress", reports=half_way)
    assert "status progress, progress 50%, last report ibis_science_analysis" in repr(going)
    assert '<progress value="0.5000" max="1"></progress> 50%' in going._repr_html_()
    assert "time (UTC):  2017-03-06T13:26:48 to 2017-03-06T15:32:27\n" in str(going)
    assert "Mmoda.get_job('65ac0b054ca2d65f')" in str(going)

    done = job(status="done", reports=half_way)
    done._products = Products.from_response(recorded("isgri_lc_real"))  # noqa: SLF001 - as after waiting
    assert "status done, products 2 lightcurve" in repr(done)

    failed = job(status="failed", reports=half_way)
    failed._failure = JobFailed("no data in this interval")  # noqa: SLF001 - as after waiting
    assert "failure no data in this interval" in repr(failed)
    assert ".raise_if_error() raises the error" in str(failed)
    for over in (done, failed):
        assert "50%" not in repr(over)
        assert "<progress" not in over._repr_html_()


# ---- clients, sessions, queries, settings


@pytest.fixture
def client(monkeypatch):
    """A client in whose surroundings there is a token, and that must not be used to send or find anything."""

    def fail(*args, **kwargs):
        raise AssertionError("sent or searched")

    monkeypatch.setenv("ODA_TOKEN", mint())
    monkeypatch.setattr("socket.socket.connect", fail)
    monkeypatch.setattr("astroquery_mmoda.service.account.discover", fail)
    return MmodaClass(server="https://mmoda.example")


def shown(thing):
    return [repr(thing), str(thing), "".join(Page(thing._repr_html_()).texts)]


def test_a_client(client):
    assert repr(client) == "<MmodaClass https://mmoda.example, not logged in>"
    assert str(client).splitlines()[0] == "service: https://mmoda.example"
    for text in (str(client), client._repr_html_()):
        assert "Mmoda.login()" in text
    token = mint(name=HOSTILE[1], exp=2_000_000_000)
    client.login(token)
    for text in (*shown(client), *shown(client.session_info())):
        assert "2033-05-18 03:33 UTC" in text
        assert HOSTILE[1] in text
        assert token not in text
        assert token.split(".")[1] not in text
    assert Page(client._repr_html_()).tags == {"div", "strong", "table", "tbody", "tr", "th", "td"}
    client.login(mint(hours=None))
    assert repr(client) == "<MmodaClass https://mmoda.example, logged in as An Astronomer>"
    assert "expires:       never" in repr(client.session_info())
    client.login(mint(hours=None, name=""))
    assert client.session_info()["user"] == "astronomer@example.org"
    assert not [text for text in shown(client) if "astronomer" in text]


def test_a_client_whose_token_expired(client, monkeypatch):
    client.login(mint(hours=0.001))
    monkeypatch.setattr("astroquery_mmoda.auth.token.time.time", lambda: 4e9)
    for text in shown(client):
        assert "the token expired" in text


def test_a_client_with_a_password_in_its_address(client):
    client.URL = "https://user:secret@mmoda.example"
    for text in shown(client):
        assert "password" in text
        assert "secret" not in text


def test_a_session_is_a_dict(client):
    info = client.session_info()
    assert json.loads(json.dumps(info)) == info == dict(info)
    assert isinstance(info, dict)
    assert "none is held" in repr(info)
    client.login(mint())
    info = client.session_info()
    assert pickle.loads(pickle.dumps(info)) == info == {**info}
    assert info["roles"] == ["general", "refresh-tokens"]
    info.clear()
    info.update(roles=3, expires="soon", email_options="x")  # the user may do that
    assert "soon" in repr(info)


def test_many_queries(client):
    many = client.query_many("image", [{"instrument": "isgri"}] * 3)
    assert repr(many) == "<ManyQueries image: 3 queries, 3 waiting>"
    assert str(many).splitlines()[:3] == ["queries: 3 of kind image", "over:    0%", "waiting: 3"]
    assert '<progress value="0.0000" max="1"></progress> 0%' in many._repr_html_()
    for text in (str(many), many._repr_html_()):
        assert ".summary" in text


def test_settings():
    lines = repr(conf).splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(conf) == list(conf.keys())
    assert max(map(len, lines)) <= 90
    assert ["max_reply_size", "4_000_000_000", "bytes"] in [line.split() for line in lines]
    assert "Longest pause between two polls of a running analysis." in conf._repr_html_()
    with conf.set_temp("timeout", 5.5), conf.set_temp("server", "https://user:secret@mmoda.example"):
        assert ["timeout", "5.5", "s", "600"] in [line.split() for line in repr(conf).splitlines()]
        assert "5.5<br>(default 600)" in conf._repr_html_()
        assert "secret" not in repr(conf) + conf._repr_html_()
    with conf.set_temp("timeout", -1.0):
        assert ["timeout", "not", "valid", "s", "600"] in [line.split() for line in repr(conf).splitlines()]
    assert str(conf).startswith("Configuration of")  # astropy's own
    assert repr(Conf) == "<class 'astroquery_mmoda.config.Conf'>"


# ---- HDULists


def test_an_hdulist(tmp_path):
    mosaic = Products.from_response(recorded("isgri_image_6_done")).image()
    table = show_hdulist(mosaic)
    assert type(table).__name__ == "Table"
    rows = {name: tuple(row) for name, *row in table["name", "ver", "shape", "unit", "band"].iterrows()}
    assert rows["INTENSITY"] == (1, "40 x 40", "count / s", "28-40 keV")
    assert rows["CATALOG"] == (1, "3 rows", "", "")
    assert max(map(len, table.pformat(max_width=80))) <= 80
    assert "..." not in table.pformat(max_width=80)[0]
    mosaic.append(fits.CompImageHDU(np.zeros((20, 30), "f4"), name="PACKED"))
    mosaic.writeto(tmp_path / "mosaic.fits", output_verify="silentfix")
    with fits.open(tmp_path / "mosaic.fits") as hdus:
        again = show_hdulist(hdus)
        assert not any(hdu._data_loaded for hdu in hdus)  # noqa: SLF001 - nothing public says it
    assert again["shape"][-1] == "30 x 20"
    assert (again[:-1] == table).all()


def test_spectra():
    table = show_hdulist(Products.from_response(recorded("isgri_spectrum_real")).spectrum())
    assert table["name"].tolist()[:3] == ["PRIMARY", "SPECTRUM", "SPECRESP"]
    assert (table["source"][1], table["unit"][1], table["shape"][1]) == ("3C111", "count/s", "62 rows")
    assert max(map(len, table.pformat(max_width=80))) <= 80


def test_an_odd_hdulist():
    assert len(show_hdulist(fits.HDUList())) == 0
    header = fits.Header({"SRC_NAME": HOSTILE[1], "E_MIN": "low", "EXTNAME": HOSTILE[0][:40]})
    table = show_hdulist(fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(header=header)]))
    assert Page(table._repr_html_()).tags <= {"div", "i", "table", "thead", "tbody", "tr", "th", "td"}
    assert (table["shape"][1], table["band"][1]) == ("", "")
    with pytest.raises(ParameterError, match="takes an HDUList"):
        show_hdulist("mosaic.fits")
