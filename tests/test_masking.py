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
from astropy.table import Column, MaskedColumn, Table

from astroquery_mmoda import DecodingError, Products
from astroquery_mmoda.allowance import Allowance
from astroquery_mmoda.products.masking import mask_tokens
from astroquery_mmoda.products.storage.fitsfiles import opened
from astroquery_mmoda.request.metadata import read_metadata
from astroquery_mmoda.service.replies import without_tokens
from astroquery_mmoda.text import without_token
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
        told = (product.data, product.name, product.meta, product, repr(product), product._repr_html_(), vars(product))
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


def test_text_tables():
    ascii_table = (
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, datatype: string, description: by " + OLD + "}\n"
        "# - {name: b, datatype: float64}\n# meta: {note: " + OLD + "}\n# schema: astropy-2.0\n"
        f"a b\n{OLD} 1.5\nplain 2.5\n"
    )
    table = Products.from_response(reply(astropy_table_product_ascii_list=[{"name": "t", "ascii": ascii_table}]))[
        0
    ].data
    assert list(table["a"]) == ["<token>", "plain"]
    assert list(table["b"]) == [1.5, 2.5]
    assert not shows([table.meta, table["a"].description])


def test_all_columns_of_decoded_tables():
    table = Table(
        {
            "text": [f"by {OLD}", "b"],
            "bytes": np.array([OLD.encode(), b"q"]),
            "objects": np.array([{"k": OLD}, [OLD, 1]], dtype=object),
            "number": [1.0, np.nan],
            OLD: [1, 2],
        },
        meta={"list": [OLD, (1, OLD)], "bytes": OLD.encode(), OLD: 1},
        masked=True,
    )
    table["text"].description = OLD
    table["number"].info.meta = {"x": {"y": OLD}}
    assert mask_tokens(table, Allowance()) is table
    assert list(table["text"]) == ["by <token>", "b"]
    assert list(table["bytes"]) == [b"<token>", b"q"] or list(table["bytes"]) == ["<token>", "q"]
    assert np.isnan(table["number"][1])
    told = (table.meta, table.colnames, table["text"].description, table["number"].info.meta, list(table["objects"]))
    assert not any(shows(each) for each in told)


def test_headers_and_columns_of_fits(tmp_path):
    rows = np.array([(OLD.encode(), 1.5), (b"Crab", 2.5)], dtype=[("name", "S400"), ("rate", ">f8")])
    hdus = fits.HDUList([fits.PrimaryHDU(np.ones((2, 2))), fits.BinTableHDU(fits.FITS_rec.from_columns(rows))])
    hdus[0].header["TELL"] = (f"a {OLD}", "long text")
    hdus[0].header["NOTE"] = (1, OLD[:45])
    hdus[1].header["HISTORY"] = f"called with token={OLD} at noon"
    hdus[1].header["HISTORY"] = "second"
    hdus[1].columns["rate"].unit = OLD[:60]
    mask_tokens(hdus, Allowance())
    hdus.writeto(tmp_path / "x.fits")
    assert not shows((tmp_path / "x.fits").read_bytes().decode("latin-1").replace("CONTINUE", ""))
    with fits.open(tmp_path / "x.fits") as again:
        assert again[0].header["TELL"] == "a <token>"
        assert list(again[1].data["name"]) == ["<token>", "Crab"]
        assert list(again[1].data["rate"]) == [1.5, 2.5]
        assert again[1].header["HISTORY"][-1] == "second"


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
    values = np.ones(12_500_000)
    columns = np.ones(1000, dtype=[("a", "f8"), ("b", "i4", (3,)), ("c", "?")])
    tracemalloc.start()
    for data in (values, columns, Table({"a": values}, copy=False), fits.HDUList([fits.ImageHDU(values)])):
        mask_tokens(data, Allowance())
    table = fits.BinTableHDU(columns)
    table.columns["a"].bscale = 2.0
    mask_tokens(fits.HDUList([table]), Allowance())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("kind", ["S", "U", ">U"])
def test_long_columns_of_text_take_little_memory(kind):
    values = np.full(100_000, "4U 1722.5-30 and others", dtype=f"{kind}40" if kind != ">U" else ">U40")
    values[77_777] = OLD[:40]
    values[3] = "eyJhbGci.x"
    tracemalloc.start()
    begin = time.process_time()
    mask_tokens(values, Allowance())
    assert time.process_time() - begin < 3
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    changed = np.flatnonzero(values != values[0])
    assert list(changed) == [3, 77_777]
    assert values[77_777] in ("<token>", b"<token>")


@pytest.mark.parametrize("kind", ["S400", "U400"])
def test_what_can_not_be_written_to_is_copied(kind):
    values = np.array([OLD, "Crab"], dtype=kind)
    values.flags.writeable = False
    masked = mask_tokens(values, Allowance())
    assert not shows(masked.tolist())
    assert masked[1] == values[1]
    assert shows(values.tolist())
    clean = values[1:]
    assert mask_tokens(clean, Allowance()) is clean
    table = Table({"a": values, "n": [1, 2]}, copy=False)
    mask_tokens(table, Allowance())
    assert not shows(table["a"].tolist())


def file_with_tokens(path, *more):
    columns = [
        fits.Column("name", "400A", array=[OLD, "Crab"]),
        fits.Column("rate", "D", array=[1.5, 2.5]),
        fits.Column("scaled", "I", array=[3, 5]),
        *more,
    ]
    table = fits.BinTableHDU.from_columns(columns)
    table.header["HISTORY"] = f"asked with {OLD}"
    table.header["SHORT"] = "eyJhbGciOiJI.eyJz"
    table.header["TSCAL3"] = 0.5
    table.writeto(path)
    return path


def check_masked(path):
    assert not shows(path.read_bytes().decode("latin-1"))
    with fits.open(path) as again:
        assert again[1].header["SHORT"] == "<token>"
        assert list(again[1].data["scaled"]) == [1.5, 2.5]
        assert list(again[1].data["name"]) == ["<token>", "Crab"]
        assert list(again[1].data["rate"]) == [1.5, 2.5]


def test_a_file_that_can_not_be_written_to(tmp_path):
    path = file_with_tokens(tmp_path / "x.fits")
    with fits.open(path, mode="denywrite", memmap=True) as hdus:
        mask_tokens(hdus, Allowance())
        hdus.writeto(tmp_path / "y.fits")
    check_masked(tmp_path / "y.fits")


def test_rows_of_variable_length(tmp_path):
    rows = fits.Column("rows", "PD()", array=np.array([np.ones(3), np.zeros(2)], dtype=object))
    notes = fits.Column("notes", "PA()", array=[f"by {OLD}", "nobody"])
    path = file_with_tokens(tmp_path / "x.fits", rows, notes)
    hdus = fits.HDUList(opened(path.read_bytes(), Allowance(path.stat().st_size)))
    mask_tokens(hdus, Allowance())
    assert "rows" not in hdus[1].data._converted  # numbers are not unfolded  # noqa: SLF001 - of astropy
    assert ["".join(note) for note in hdus[1].data["notes"]] == ["by <token>", "nobody"]
    hdus.writeto(tmp_path / "y.fits")
    check_masked(tmp_path / "y.fits")
    with fits.open(tmp_path / "y.fits") as again:
        assert [len(row) for row in again[1].data["rows"]] == [3, 2]


def test_copies_are_taken_from_the_allowance():
    values = np.array([OLD, "Crab"], dtype="U1000000")
    values.flags.writeable = False
    small = Allowance()
    small.left = 7_000_000
    with pytest.raises(DecodingError, match="max_extra_memory"):
        mask_tokens(values, small)
    table = fits.BinTableHDU.from_columns([fits.Column("notes", "PA()", array=["x" * 3_000_000, OLD])])
    with pytest.raises(DecodingError, match="max_extra_memory"):
        mask_tokens(fits.HDUList([table]), small)


@pytest.mark.parametrize("kind", ["S", "U", ">U"])
def test_characters_one_by_one(kind):
    text = f"\xe9 {OLD} \xff"
    data = np.frombuffer(bytearray(text, "latin-1"), "S1")
    if kind != "S":
        data = np.array(list(text), "U1").astype(f"{kind}1")
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0], cells[0, 1] = data, ["a", {"b": OLD}]
    mask_tokens(cells, Allowance())
    encoded = [b"\xe9 <token> \xff"[at : at + 1] for at in range(11)]
    assert cells[0, 0].dtype == data.dtype
    assert cells[0, 0].tolist() == (encoded if kind == "S" else list("\xe9 <token> \xff"))
    assert cells[0, 1] == ["a", {"b": "<token>"}]


@pytest.mark.parametrize("masked", [False, True])
def test_a_column_that_cant_be_written_to_keeps_what_it_says(masked):
    values = np.array([f"by {OLD}", "nobody"])
    values.flags.writeable = False
    told = {"unit": "keV", "format": "%s", "description": "whose", "meta": {"a": 1}}
    more = {"mask": [False, True], "fill_value": "?"} if masked else {}
    column = (MaskedColumn if masked else Column)(values, name="who", copy=False, **told, **more)
    table = mask_tokens(Table([column], copy=False), Allowance(10**6))
    found = table["who"]
    assert {name: getattr(found, name) for name in told} == told
    assert found.tolist() == ["by <token>", None if masked else "nobody"]
    assert not masked or found.fill_value == "?"


@pytest.mark.parametrize(
    "names", [(OLD, mint(sub="b")), (OLD, "<token>"), ("<token>", "x", f"{OLD}"), (OLD, "<token>_2", mint(sub="c"))]
)
def test_names_of_columns_stay_different(names):
    table = mask_tokens(Table({name: [number] for number, name in enumerate(names)}), Allowance(10**6))
    assert [table[name][0] for name in table.colnames] == list(range(len(names)))
    assert not shows(table.colnames)


def test_names_of_columns_of_a_file_stay_different():
    names = [*(OLD[:length] for length in (68, 67, 66)), "token"]
    columns = [fits.Column(name, "J", array=[len(name)]) for name in names]
    hdulist = mask_tokens(fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]), Allowance(10**6))
    table = hdulist[1]
    assert [table.data[name][0] for name in table.columns.names] == [68, 67, 66, 5]
    assert not shows(table.columns.names)
    assert not shows(repr(table.header))


@pytest.mark.parametrize("kind", [Column, MaskedColumn])
@pytest.mark.parametrize("words", [["a", "b"], ["a", OLD]], ids=["plain", "token"])
def test_what_else_a_column_has_stays(kind, words):
    values = np.array(words)
    values.flags.writeable = False
    options = {"mask": [False, True]} if kind is MaskedColumn else {}
    given = kind(values, name="x", unit="m", description="words", meta={"k": 1}, copy=False, **options)
    column = mask_tokens(Table([given], copy=False), Allowance(1000))["x"]
    assert (column.unit, column.description, column.meta) == ("m", "words", {"k": 1})
    assert column[0] == "a"
    assert OLD not in np.ma.getdata(column.data)
    if kind is MaskedColumn:
        assert column.mask.tolist() == [False, True]
