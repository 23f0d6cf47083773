"""Every kind of product in a reply: what it is called, what its data are, and what happens if it is damaged."""

import base64
import hashlib
import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astroquery import log

from astroquery_mmoda import Products
from astroquery_mmoda.errors import DecodingError
from astroquery_mmoda.products.kinds import KINDS

RESPONSES = Path(__file__).parent / "data" / "responses"


def recorded(name):
    return json.loads((RESPONSES / f"{name}.json").read_text())["json"]


def reply(**products):
    """A reply to a finished analysis, as text, with these products."""
    body = {"query_status": "done", "products": products, "exit_status": {"status": 0}, "job_monitor": {"job_id": "1"}}
    return json.dumps(body)


def only(**products):
    (product,) = Products.from_response(reply(**products))
    return product


def encoded(data, *, urlsafe=True):
    return (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(data).decode()


@pytest.fixture
def warned(monkeypatch):
    """What was logged as a warning."""
    records = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    log.addHandler(handler)
    yield records
    log.removeHandler(handler)


@pytest.fixture
def everything():
    return Products.from_response(recorded("nb_everything_4_done"))


# ---- recorded


def test_a_reply_with_all_kinds(everything):
    assert [(product.name, product.kind) for product in everything] == [
        ("my spectrum", "spectrum"),
        ("cat", "table"),
        ("cat_2", "table"),
        ("cat_3", "table"),
        ("raw.bin", "binary"),
        ("plot", "picture"),
        ("text", "text"),
    ]
    table = everything["cat"].data
    assert type(table) is Table
    assert table["name"].tolist() == ["Crab", "3C 273", "β Cas"]
    assert table["flux"].unit == u.Jy
    assert np.isnan(table["flux"][1])
    assert table["n"].dtype == np.int64
    assert table.meta == {"origin": "synthetic"}
    assert everything["cat"].meta == {"epoch": 2000.0, "k": [1, 2]}
    assert everything["plot"].data.startswith(b"\x89PNG\r\n\x1a\n")
    assert everything["plot"].meta == {"img_type": "png"}
    assert everything["raw.bin"].data == b"\x00\x01binary\xff"
    assert everything["text"].data == "héllo wörld\nsecond line"
    assert isinstance(everything["my spectrum"].data, fits.HDUList)


def test_all_kinds_pickle_and_are_written(everything, tmp_path):
    again = pickle.loads(pickle.dumps(everything))
    assert again["cat"].data["n"].tolist() == [1, 2, 3]
    image = Products.from_response(recorded("isgri_image_6_done"))
    assert len(pickle.loads(pickle.dumps(image)).catalog()) == 3
    manifest = everything.write(tmp_path)
    assert len(manifest) == len(everything)
    assert (tmp_path / "text.txt").read_text("utf-8") == everything["text"].data
    assert Table.read(tmp_path / "cat.ecsv")["n"].tolist() == [1, 2, 3]


def test_listing_reads_nothing(monkeypatch):
    for name in ("read_ecsv", "read_binary", "read_picture", "read_hdulist", "read_catalog"):

        def fail(*args, name=name, **kwargs):
            raise AssertionError(name)

        room = "products.kinds" if name == "read_catalog" else "decoding"
        monkeypatch.setattr(f"astroquery_mmoda.{room}.{name}", fail, raising=False)
    products = Products.from_response(recorded("nb_everything_4_done"))
    assert "cat_3" in repr(products)
    with pytest.raises(AssertionError, match="read_ecsv"):
        products["cat"].data  # noqa: B018 - the property is what is tested


# ---- tables


ECSV = '# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, unit: m, datatype: int64}\n# schema: astropy-2.0\na\n1\n""\n'


@pytest.mark.parametrize("meta", [{"k": 1}, '{"k": 1}', json.dumps('{"k": 1}'), "{'k': 1}"])
@pytest.mark.parametrize("as_text", [False, True])
def test_tables_as_text(meta, as_text):
    entry = {"name": "cat", "ascii": ECSV, "binary": None, "meta_data": meta}
    product = only(astropy_table_product_ascii_list=[json.dumps(entry) if as_text else entry])
    assert (product.name, product.kind, product.meta) == ("cat", "table", {"k": 1})
    assert product.data["a"].mask.tolist() == [False, True]
    assert product.data["a"].unit == u.m


def test_pickled_tables_are_refused_by_name():
    product = only(astropy_table_product_binary_list=[{"name": "cat", "ascii": None, "binary": "AAAA"}])
    assert product.kind == "table"
    with pytest.raises(DecodingError, match="'cat': a pickled table of astropy"):
        product.data  # noqa: B018 - the property is what is tested


# ---- files and texts


def test_pictures():
    product = only(
        binary_image_product_list=[
            {"name": "plot", "img_type": "svg", "b64data": encoded(b"\xfb\xff<svg/>"), "metadata": {"dpi": 3}}
        ]
    )
    assert (product.kind, product.data) == ("picture", b"\xfb\xff<svg/>")
    assert product.meta == {"img_type": "svg", "dpi": 3}


def test_binaries():
    data = bytes(range(256))
    whole = {"name": "raw", "data": encoded(data), "md5": hashlib.md5(data).hexdigest().upper()}
    assert only(binary_data_product_list=[whole]).data == data
    without_sum = {"name": "raw", "data": encoded(data)}
    assert only(binary_data_product_list=[without_sum]).data == data
    old = only(binary_data_product_list=[encoded(data)])
    assert (old.name, old.kind, old.data) == ("binary", "binary", data)
    assert only(binary_data_product_list=[{"name": "none", "data": ""}]).data == b""
    assert len(Products.from_response(reply(binary_data_product_list=[], session_id="x"))) == 0


@pytest.mark.parametrize("value", ["text", "", "null", 5, 1.5, True, [1, {"a": None}], {"a": 1}, None])
def test_texts(value):
    entry = {"name": "out", "value": value, "meta_data": {"uri": "http://odahub.io/ontology#x"}}
    product = only(text_product_list=[entry])
    assert (product.name, product.kind, product.data) == ("out", "text", value)
    assert product.meta == {"uri": "http://odahub.io/ontology#x"}


def test_bare_texts_and_progress():
    assert only(text_product_list=["hello"]).data == "hello"
    page = only(progress_product_list=[{"name": "progress", "value": "<html/>"}])
    assert (page.name, page.kind, page.data) == ("progress", "text", "<html/>")


# ---- gravitational waves (made after their description, as there is no recording)


def test_strains():
    strains = [
        {"value": [1e-21, None, 3], "name": name, "t0": 1126259446, "dt": 0.5} for name in ("Strain", "Strain_bp")
    ]
    products = Products.from_response(reply(gw_strain_product_list=strains))
    assert [(product.name, product.kind) for product in products] == [("Strain", "strain"), ("Strain_bp", "strain")]
    table = products["Strain"].data
    assert table["time"].tolist() == [1126259446.0, 1126259446.5, 1126259447.0]
    assert table["time"].unit == u.s
    np.testing.assert_array_equal(table["strain"], [1e-21, np.nan, 3])


def test_spectrograms(tmp_path):
    entry = {"value": [[1, 2, 3], [4, 5, None]], "x0": 1e9, "dx": 0.25, "yindex": [20, 30.5, 41], "dy": "none"}
    product = only(gw_spectrogram_product=entry)
    assert (product.name, product.kind) == ("spectrogram", "spectrogram")
    assert product.data["time"].tolist() == [1e9, 1e9 + 0.25]
    assert product.data["value"].shape == (2, 3)
    assert product.data.meta == {"frequency": [20.0, 30.5, 41.0], "frequency_unit": "Hz", "t0": 1e9, "dt": 0.25}
    Products.from_response(reply(gw_spectrogram_product=entry)).write(tmp_path)
    written = dict(Table.read(tmp_path / "spectrogram.ecsv").meta)
    assert written.pop("MMODA")["origin"] == "MMODA"
    assert written == product.data.meta


def test_skymaps():
    spectrum = recorded("nb_everything_4_done")["products"]["numpy_data_product_list"][0]
    square = [[[0, 0], [1, 0], [1, 1]]]
    skymap = {
        "skymaps": {
            "GW150914": {**spectrum, "name": "skymap_GW150914"},
            "GW170104": json.dumps(spectrum | {"name": None}),
        },
        "contours": {"GW150914": {"levels": [50, 90], "contours": [square, square * 2]}},
    }
    products = Products.from_response(reply(gw_skymap_product=skymap))
    assert [(product.name, product.kind, product.source) for product in products] == [
        ("skymap_GW150914", "skymap", "GW150914"),
        ("skymap_GW170104", "skymap", "GW170104"),
        ("contours_GW150914", "contours", "GW150914"),
    ]
    assert isinstance(products[0].data, fits.HDUList)
    assert isinstance(products[1].data, fits.HDUList)
    contours = products[2].data
    assert contours["level"].tolist() == [50.0] * 3 + [90.0] * 6
    assert contours["contour"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert contours["ra"].tolist() == [0, 1, 1] * 3
    assert contours["dec"].unit == u.deg
    no_contours = only(gw_skymap_product={"skymaps": {}, "contours": {"GW1": {"levels": [], "contours": []}}})
    assert no_contours.data.colnames == ["level", "contour", "ra", "dec"]


# ---- source lists


def test_a_catalogue_without_frame_and_with_other_names():
    """As from the gravitational wave instrument, and in galactic coordinates."""
    events = {
        "cat_column_list": [[0, 1], ["GW150914", "GW151012"], [440.0, None]],
        "cat_column_names": ["index", "commonName", "luminosity_distance"],
        "cat_column_descr": [["index", "<i8"], ["commonName", "<U8"], ["luminosity_distance", "<f8"]],
        "cat_meta": {},
    }
    table = only(catalog=events).data
    assert table["commonName"].tolist() == ["GW150914", "GW151012"]
    assert np.isnan(table["luminosity_distance"][1])
    galactic = {
        "cat_frame": "galactic",
        "cat_coord_units": "rad",
        "cat_column_list": [[0], ["a"], [1.5], [-0.5]],
        "cat_column_names": ["meta_ID", "src_names", "glon", "glat"],
        "cat_column_descr": [["meta_ID", "<i8"], ["src_names", "|S3"], ["glon", ">f4"], ["glat", ">f4"]],
        "cat_lon_name": "glon",
        "cat_lat_name": "glat",
    }
    table = only(catalog=galactic).data
    assert (table["glon"].unit, table["glat"].unit) == (u.rad, u.rad)
    assert table.meta == {"FRAME": "galactic", "LON_NAME": "glon", "LAT_NAME": "glat"}


# ---- kinds


def array(name):
    data = {"name": "PRIMARY", "hdu_type": "image", "header": {}, "data": "[[1.0, 2.0]]", "dt": "float64"}
    return {"name": name, "meta_data": "{}", "data_unit_list": [data]}


def test_promises_tell_a_kind_that_nothing_else_tells():
    uris = {"out": "http://odahub.io/ontology#Image", "lc_out": "http://odahub.io/ontology#Image", "x": None, "y": 5}
    extra = {"out": {"label": "A map", "group": "maps"}, "text": {"label": "Words"}, "y": None}
    products = Products.from_response(
        reply(
            prod_uris=uris,
            extra_metadata=extra,
            numpy_data_product_list=[array(name) for name in ("out", "lc_out", "x", "y", "other")],
            text_product_list=[{"name": "text", "value": 1}],
        )
    )
    kinds = {product.name: product.kind for product in products}
    assert kinds == {
        "out": "image",
        "lc_out": "image",
        "x": "array",
        "y": "array",
        "other": "array",
        "text": "text",
    }
    assert products["out"].meta == {"label": "A map", "group": "maps"}
    assert products["text"].meta == {"label": "Words"}
    assert set(kinds.values()) <= set(KINDS)


def test_promises_of_the_wrong_shape_do_no_harm():
    products = Products.from_response(
        reply(prod_uris=[1], extra_metadata="x", text_product_list=[{"name": "a", "value": 1}])
    )
    assert products["a"].meta == {}


# ---- what nobody knows


def test_unknown_keys_are_kept_and_said_once(warned):
    products = Products.from_response(reply(novelty={"a": [1]}, other_list=[1, 2], **{"evil\x1b[31m\n": 1}))
    assert [(product.name, product.kind, product.data) for product in products] == [
        ("novelty", "other", {"a": [1]}),
        ("other_list", "other", [1, 2]),
        ("evil\x1b[31m", "other", 1),
    ]
    (record,) = warned
    assert "novelty, other_list" in record.getMessage()
    assert "\x1b" not in record.getMessage()
    assert "\n" not in record.getMessage()


def test_echoes_and_the_parts_of_pages_are_no_news(warned):
    for name in ("empty_echo", "isgri_lc_dummy_noapi", "isgri_spectrum_dummy_noapi", "nb_everything_4_done"):
        assert len(Products.from_response(recorded(name)))
    assert not warned


# ---- damage


@pytest.mark.parametrize(
    ("products", "reason"),
    [
        ({"binary_data_product_list": [{"name": "cat", "data": encoded(b"x"), "md5": "0" * 32}]}, "MD5 sum"),
        ({"binary_data_product_list": [{"name": "cat", "data": encoded(b"x"), "md5": 5}]}, "MD5 sum"),
        ({"binary_data_product_list": [{"name": "cat", "data": "AA"}]}, "base64"),
        ({"binary_data_product_list": [{"name": "cat", "data": "AA==\n"}]}, "base64"),
        ({"binary_data_product_list": [{"name": "cat", "data": "A*=="}]}, "base64"),
        ({"binary_data_product_list": [{"name": "cat", "data": "+/+/"}]}, "base64"),
        ({"binary_data_product_list": [{"name": "cat", "data": None}]}, "base64"),
        ({"binary_data_product_list": [{"name": "cat", "data": ["AAAA"]}]}, "base64"),
        ({"binary_data_product_list": [{"name": "cat"}]}, "base64 text, got NoneType"),
        ({"binary_image_product_list": [{"name": "cat", "b64data": 5}]}, "base64"),
        ({"binary_image_product_list": [{"name": "cat", "metadata": 5}]}, "base64 text"),
        ({"astropy_table_product_ascii_list": [{"name": "cat", "ascii": "/etc/passwd"}]}, "expected an ECSV table"),
        ({"astropy_table_product_ascii_list": [{"name": "cat", "ascii": 5}]}, "expected ECSV text"),
        ({"astropy_table_product_ascii_list": [{"name": "cat"}]}, "expected ECSV text"),
        ({"astropy_table_product_binary_list": [{"name": "cat", "binary": "AAAA"}]}, "pickle"),
        ({"gw_strain_product_list": [{"name": "cat", "value": [1], "t0": "x", "dt": 1}]}, "malformed"),
        ({"gw_strain_product_list": [{"name": "cat", "value": 5, "t0": 1, "dt": 1}]}, "malformed"),
        ({"gw_strain_product_list": [{"name": "cat", "value": [[1]], "t0": 1, "dt": 1}]}, "1 dimensions"),
        ({"gw_strain_product_list": [{"name": "cat", "value": ["x"], "t0": 1, "dt": 1}]}, "malformed"),
        (
            {"gw_spectrogram_product": {"name": "cat", "value": [[1], [1, 2]], "x0": 1, "dx": 1, "yindex": [1]}},
            "malform",
        ),
        (
            {"gw_spectrogram_product": {"name": "cat", "value": [[1, 2]], "x0": 1, "dx": 1, "yindex": [1]}},
            "frequencies",
        ),
        ({"gw_skymap_product": {"contours": {"cat": {"levels": [1, 2], "contours": [[]]}}}}, "malformed"),
        ({"gw_skymap_product": {"contours": {"cat": {"levels": [1], "contours": [[[[1, 2, 3]]]]}}}}, "malformed"),
        ({"gw_skymap_product": {"contours": {"cat": {"levels": [1], "contours": [5]}}}}, "malformed"),
        ({"gw_skymap_product": {"contours": {"cat": 5}}}, "malformed"),
        ({"gw_skymap_product": {"skymaps": {"cat": {"name": "cat"}}}}, "data_unit_list"),
        ({"catalog": {"cat_column_names": ["cat"], "cat_column_list": [[1], [2]]}}, "malformed"),
        ({"catalog": [1]}, "malformed"),
    ],
)
def test_damaged_products_are_named(products, reason):
    product = only(**products)
    with pytest.raises(DecodingError, match=reason) as caught:
        product.data  # noqa: B018 - the property is what is tested
    assert "cat" in str(caught.value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "products",
    [
        {"numpy_data_product_list": [5]},
        {"astropy_table_product_ascii_list": [5]},
        {"astropy_table_product_ascii_list": ["/etc/passwd"]},
        {"astropy_table_product_ascii_list": [{"name": "cat", "meta_data": "os.system('x')"}]},
        {"gw_skymap_product": 5},
        {"gw_skymap_product": {"skymaps": {"cat": 5}}},
    ],
)
def test_lists_of_something_else(products):
    with pytest.raises(DecodingError):
        Products.from_response(reply(**products))


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [None], [5], ["x"], [[]], [{}], {"a": 5}, {"name": {}}])
@pytest.mark.parametrize(
    "key",
    [
        "astropy_table_product_ascii_list",
        "astropy_table_product_binary_list",
        "binary_image_product_list",
        "binary_data_product_list",
        "text_product_list",
        "progress_product_list",
        "gw_strain_product_list",
        "gw_spectrogram_product",
        "gw_skymap_product",
        "catalog",
        "numpy_data_product_list",
        "prod_uris",
    ],
)
def test_anything_in_the_place_of_anything(key, value):
    try:
        products = Products.from_response(reply(**{key: value, "session_id": "x"}))
        repr(products)
        for product in products:
            product.data  # noqa: B018 - the property is what is tested
    except DecodingError as error:
        assert len(str(error)) < 2000  # noqa: PT017 - both outcomes are right


def test_names_are_no_paths(tmp_path):
    names = ["../../up", "/etc/passwd", "C:\\x", "con", "a/b", "..", "\x00", "x" * 500, "http://x/y"]
    texts = [{"name": name, "value": "x"} for name in names]
    products = Products.from_response(reply(text_product_list=texts))
    manifest = products.write(tmp_path / "out")
    assert all(Path(path).resolve().parent == (tmp_path / "out").resolve() for path in manifest["path"])
    assert [product.name for product in products][:2] == ["../../up", "/etc/passwd"]
