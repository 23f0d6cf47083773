"""Tokens in what a service sends as data: those of other people and other days, in every place that holds text."""

from __future__ import annotations

import base64
import json
import time
import tracemalloc

import jwt
import numpy as np
import pytest
from astropy.io import fits

from astroquery_mmoda import DecodingError, Products
from astroquery_mmoda.allowance import Allowance
from astroquery_mmoda.products.masking import mask_tokens
from astroquery_mmoda.request.metadata import read_metadata
from astroquery_mmoda.service.replies import without_tokens
from astroquery_mmoda.text import without_token
from tests.genuine_like import encode
from tests.scripted_server import analysis_reply
from tests.tokens import mint

OLD = mint(sub="somebody.else@example.org", key="another key, of a server that nobody has any more")
PARTS = [OLD.split(".")[0], OLD.split(".")[1][:30], OLD.split(".")[1][-30:], OLD.split(".")[2][:20]]


def shows(text: object) -> bool:
    return any(part in str(text) for part in PARTS)


def each(pattern: str, text: str = OLD) -> str:
    """A text with all of its characters escaped."""
    return "".join(pattern.format(ord(character)) for character in text)


def in_lines(width: int, end: str) -> str:
    return end.join(OLD[begin : begin + width] for begin in range(0, len(OLD), width))


def headed(head: str) -> str:
    return ".".join([base64.urlsafe_b64encode(head.encode()).decode().rstrip("="), *OLD.split(".")[1:]])


FORMS = {
    "plain": OLD,
    "JSON": each("\\u{:04x}"),
    "JSON, first letter": "\\u0065" + OLD[1:],
    "JSON, third letter": "ey\\u004A" + OLD[3:],
    "JSON twice": each("\\\\u{:04X}"),
    "points": OLD.replace(".", "\\u002e"),
    "address": each("%{:02X}"),
    "address, points": OLD.replace(".", "%2e"),
    "address twice": OLD.replace(".", "%252E"),
    "address, second letter": "e%79" + OLD[2:],
    "Python": each("\\x{:02x}"),
    "long signature": jwt.encode({"sub": "me", "roles": "r" * 90}, "k" * 64, algorithm="HS512"),
    "other head": jwt.encode({"sub": "me"}, "k" * 32, headers={"kid": "7", "typ": "at+jwt"}),
    "a head that is filled up": headed('{"alg": "RS256"}').replace(".", "=.", 1),
    "parts that are filled up": headed('{"alg":  "RS256"}').replace(".", "==."),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("https://x.example/?token=", "&job_id=1"), ("glued", ";"), ('{"a": "', '"}'), ("on ", "\nNext words.")],
    ids=["alone", "address", "glued", "JSON", "prose"],
)
def test_a_token_in_any_writing_is_masked_and_nothing_else(form, before, after):
    masked = without_token(f"{before}{FORMS[form]}{after}")
    assert masked.replace("<token><token>", "<token>") == f"{before}<token>{after}"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("width", [72, 45])
def test_a_token_in_several_lines_is_masked(width, end):
    assert not shows(without_token(f"by {in_lines(width, end)}").replace(end, ""))


@pytest.mark.parametrize("number", [60, 90, 150, 250])
def test_a_token_that_is_cut_is_masked(number):
    assert without_token(f"'{OLD[:number]}'") == "'<token>'"


@pytest.mark.parametrize(
    "text",
    [
        "monkeyJungle.tar.gz",
        "HoneyJar2000.fits, keyJournal.json",
        "IGR J17091-3624.keyBinding",
        "eyJ.eyJ. eyA ew0.",
        "C:\\eyes\\u0041.txt e%79e.x",
        "newkeyJ0123.45.67",
        base64.b64encode(b'{"' + bytes(range(256)) * 3).decode(),
        base64.b64encode(json.dumps({"alg": "none", "data": list(range(300))}).encode()).decode(),
        "1.5e+03 2.0e-10 " * 20,
    ],
)
def test_other_texts_stay(text):
    assert without_token(text) is text


def test_long_texts_take_no_long_time():
    """A few ns for each character; ten times less than this on an idle machine."""
    rng = np.random.default_rng(3)
    picture = base64.b64encode(rng.bytes(15_000_000)).decode()
    texts = {
        "base64": picture,
        "base64 of addresses, with a point": picture.translate({43: "-", 47: "_"}) + ".",
        "prose": "They keyed in e.g. the Crab nebula and file%20names, 1.5e-03.\n" * 300_000,
        "numbers": "1.23456e-05 " * 1_600_000,
    }
    for name, text in texts.items():
        begin = time.process_time()
        assert without_token(text) == text
        assert time.process_time() - begin < 5, name


def test_texts_of_nothing_but_beginnings_take_no_long_time():
    pieces = ("eyJ", "eyJhbGci", "eyJhbGci\n", "eyJhbGci.", "\\u0065", "%65%79", "e\\", "eyJhbGciabc.aaaaaaaa\n", "e&#")
    for piece in pieces:
        begin = time.process_time()
        without_token(piece * (2_000_000 // len(piece)))
        assert time.process_time() - begin < 10, piece
    begin = time.process_time()
    without_token("eyJhbGci.aaaaaaaa" + "\naaaaaaaa" * 200_000)
    assert time.process_time() - begin < 10


# ---- in replies


def reply(**products):
    return analysis_reply("done", products)


@pytest.mark.parametrize("form", ["plain", "JSON", "address"])
def test_products_of_text(form):
    text = f"made with {FORMS[form]}"
    names = [{"name": f"n {OLD}", "value": text, "meta_data": {"label": text, OLD: "x"}}]
    products = Products.from_response(
        reply(
            text_product_list=[*names, text, json.dumps({"name": "json", "value": text})],
            progress_product_list=[{"name": "page", "value": f"<p>{text}</p>"}],
            whatever={"deep": [[text, 1.0], {OLD: text}]},
            extra_metadata={"page": {"description": text}},
        )
    )
    for product in products:
        told = (product.data, product.name, product.meta, product, repr(product), products._repr_html_(), vars(product))
        assert not any(shows(each) for each in told)
        assert "<token>" in str(product.data)
    assert not shows(products.table)
    assert not shows(list(products.table.iterrows()))


def test_catalogues_keep_their_numbers():
    catalog = {
        "cat_frame": "fk5",
        "cat_coord_units": "deg",
        "cat_column_list": [[f"Crab {OLD}", "x"], [83.63, 2.5], [22.01, 3.5]],
        "cat_column_names": ["src_names", "ra", "dec"],
        "cat_column_descr": [["src_names", "<U300"], ["ra", "<f8"], ["dec", "<f8"]],
        "cat_lat_name": "dec",
        "cat_lon_name": "ra",
    }
    table = Products.from_response(reply(catalog=catalog)).catalog()
    assert list(table["src_names"]) == ["Crab <token>", "x"]
    assert list(table["ra"]) == [83.63, 2.5]


LOG = base64.b64encode(f"asked with {OLD}".encode()).decode()


def test_text_tables(tmp_path):
    ascii_table = (
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, datatype: string, description: by " + OLD + "}\n"
        "# - {name: b, datatype: float64}\n# meta: {note: "
        + OLD
        + ", log: !!binary "
        + LOG
        + "}\n# schema: astropy-2.0\n"
        f"a b\n{OLD} 1.5\nplain 2.5\n"
    )
    products = Products.from_response(reply(astropy_table_product_ascii_list=[{"name": "t", "ascii": ascii_table}]))
    table = products[0].data
    assert list(table["a"]) == ["<token>", "plain"]
    assert list(table["b"]) == [1.5, 2.5]
    assert not shows([table.meta, table["a"].description])
    assert table.meta["log"] == b"asked with <token>"
    products.write(tmp_path)
    assert LOG not in (tmp_path / "t.ecsv").read_text()


@pytest.mark.parametrize("looked_at", [False, True])
def test_columns_of_arrays(looked_at, tmp_path):
    columns = [
        fits.Column("name", "400A", array=[OLD, "Crab"]),
        fits.Column("names", "800A", dim="(400,2)", array=[["a", f"by {OLD}"], [FORMS["JSON, first letter"], "b"]]),
        fits.Column("rate", "D", array=[1.5, 2.5]),
        fits.Column(OLD[:60], "J", array=[3, 4]),
        fits.Column("token", "J", array=[5, 6]),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="T")
    table.header["NOTE"] = f"asked with {OLD}"
    table.header["HISTORY"] = f"called with token={OLD[:45]} at noon"
    if looked_at:  # astropy keeps what it has decoded
        table.data["name"], table.data["names"]  # noqa: B018
    entry = encode.product(fits.HDUList([fits.PrimaryHDU(), table]), "thing", src_name="Crab")
    products = Products.from_response(encode.reply(entry))
    products.write(tmp_path / "out")
    for found in (products, Products.read(tmp_path / "out")):
        hdu = found[0].data[1]
        assert list(hdu.data["name"]) == ["<token>", "Crab"]
        assert hdu.data["names"].tolist() == [["a", "by <token>"], ["<token>", "b"]]
        assert list(hdu.data["rate"]) == [1.5, 2.5]
        assert hdu.columns.names[-2:] == ["token_2", "token"]
        assert hdu.data["token_2"].tolist() == [3, 4]
        assert hdu.header["NOTE"] == "asked with <token>"
        assert not shows(repr(hdu.header))
        assert not shows(bytes(hdu.data).decode("latin-1"))
    for path in (tmp_path / "out").iterdir():
        assert not shows(path.read_bytes().decode("latin-1"))


def test_rows_of_variable_length():
    table = fits.BinTableHDU.from_columns([fits.Column("notes", "PA()", array=[f"by {OLD}", "nobody"])], name="T")
    entry = encode.product(fits.HDUList([fits.PrimaryHDU(), table]), "thing", src_name="Crab")
    rows = Products.from_response(encode.reply(entry))[0].data[1].data["notes"]
    assert [np.asarray(row).tobytes() for row in rows] == [b"by <token>", b"nobody"]


def test_what_is_written_has_none(tmp_path):
    products = Products.from_response(
        reply(text_product_list=[{"name": f"n {OLD}", "value": FORMS["JSON"]}], comment=OLD),
        requested={"instrument": "x", "product_type": "y", "note": OLD},
    )
    products.write(tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not shows(path.name)
        assert not shows(path.read_text("utf-8", "replace"))
    assert not shows([str(vars(product)) for product in Products.read(tmp_path / "out")])


def test_the_fields_of_the_request_have_none():
    requested = {"instrument": "x", "token": OLD, "note": OLD}
    products = Products.from_response(reply(text_product_list=["x"]), requested=requested)
    assert products.parameters["note"] == "<token>"
    assert not shows(vars(products))
    assert requested["token"] == OLD  # the caller's own stay as they are


def test_metadata():
    told = [
        [
            {"instrumet": "toy"},
            {"prod_dict": {"toy_lc": "q"}},
            [
                {"query_name": "q"},
                {"product_name": "toy_lc"},
                {"name": "p", "units": "W", "value": OLD, "description": FORMS["JSON"], "label": OLD},
            ],
        ]
    ]
    schema = read_metadata(without_tokens(told), "toy")
    assert not shows(schema)
    assert not shows(list(schema.list_parameters("toy_lc").iterrows()))


# ---- at what cost


def test_numbers_are_not_searched():
    columns = np.ones(1_000_000, dtype=[("a", "f8"), ("b", "i4", (3,)), ("c", "?")])
    table = fits.BinTableHDU(columns)
    table.columns["a"].bscale = 2.0
    hdulist = fits.HDUList([fits.PrimaryHDU(np.ones(1_000_000)), table])
    tracemalloc.start()
    mask_tokens(hdulist, Allowance())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_long_columns_of_text_take_little_memory():
    values = np.full(400_000, b"4U 1722.5-30 and others", dtype="S40")
    values[377_777], values[3] = OLD[:40].encode(), b"eyJhbGci.x"
    hdulist = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(values.view([("a", "S40")]))])
    tracemalloc.start()
    begin = time.process_time()
    mask_tokens(hdulist, Allowance())
    assert time.process_time() - begin < 3
    # astropy decodes the column, where a token was found
    assert tracemalloc.get_traced_memory()[1] < 5.5 * values.nbytes
    tracemalloc.stop()
    masked = np.asarray(hdulist[1].data).view(np.ndarray)["a"]
    assert np.flatnonzero(masked != values[0]).tolist() == [3, 377_777]
    assert masked[377_777] == b"<token>"


def test_texts_that_are_read_are_taken_from_the_allowance():
    small = Allowance()
    small.left = 7_000_000
    table = fits.BinTableHDU.from_columns([fits.Column("notes", "PA()", array=["x" * 3_000_000, OLD])])
    with pytest.raises(DecodingError, match="max_extra_memory"):
        mask_tokens(fits.HDUList([table]), small)
