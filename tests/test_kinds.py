# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Each entry of the table of kinds can be listed, shown, decoded, written and read back."""

import json
from pathlib import Path

import pytest

from astroquery_mmoda import Products
from astroquery_mmoda.products.kinds import KINDS
from astroquery_mmoda.request import metadata
from tests.genuine_like.everything import everything


@pytest.fixture(scope="module")
def body():
    """Text of a reply with all kinds."""
    return json.dumps(everything())


def test_the_table_has_all_kinds():
    assert set(KINDS) >= set(metadata.KINDS_IN_NAMES)
    assert all(name == kind.name for name, kind in KINDS.items())
    keys = [key for kind in KINDS.values() for key in kind.keys]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("kind", KINDS)
def test_from_a_reply_to_files_and_back(body, tmp_path, kind):
    products = Products.from_response(body).select(kind=kind)
    assert len(products), "add one to tests/genuine_like/everything.py"
    table = products.table
    assert list(table["kind"]) == [kind] * len(products)
    for product, row in zip(products, table, strict=True):
        assert kind in repr(product)
        assert row["content"] or kind in ("picture", "binary", "text")
        assert "data" not in product.__dict__
        assert product.data is not None
    manifest = products.write(tmp_path / "out")
    assert set(manifest["kind"]) == {kind}
    found = Products.read(tmp_path / "out")
    assert [(each.name, each.kind, each.source) for each in found] == [
        (each.name, each.kind, each.source) for each in products
    ]
    for before, after in zip(products, found, strict=True):
        assert type(after.data) is type(before.data)
        assert list(found.table["content"]) == list(table["content"])


# ---- what a workflow announces


WORKFLOW = json.loads((Path(__file__).parent / "data" / "workflows" / "products.json").read_text(encoding="utf-8"))
HTTP, HTTPS, OLD = "http://odahub.io/ontology#", "https://odahub.io/ontology#", "https://odahub.io/ontology/#"
# of the recorded arrays: what they are if nothing is announced, and if any of these is
ARRAYS = {
    "lc": ("lightcurve", "lightcurve", "lightcurve", "lightcurve"),
    "fits": ("image", "image", "image", "image"),
    "map3d": ("image", "image", "image", "image"),
    "events_fits": ("table", "table", "table", "table"),
    "spectrum_rotated": ("spectrum", "spectrum", "lightcurve", "spectrum"),
    "points": ("table", "spectrum", "lightcurve", "table"),
    "counts_by_channel": ("spectrum", "spectrum", "spectrum", "spectrum"),
    "effective_area": ("arf", "arf", "arf", "arf"),
    "source_catalog": ("table", "spectrum", "lightcurve", "table"),
    "array_of_counts": ("image", "image", "image", "image"),
}


def kinds_of_arrays(uri):
    products = {
        "numpy_data_product_list": WORKFLOW["numpy"],
        "prod_uris": {} if uri is None else dict.fromkeys(ARRAYS, uri),
    }
    found = Products.from_response({"query_status": "done", "products": products})
    return {product.name: product.kind for product in found}


@pytest.mark.parametrize(
    ("uris", "column"),
    [
        ([None, "", 5, "#", f"{HTTP}NumpyDataProduct", f"{HTTPS}Float", "nonsense", "#" * 5000], 0),
        ([f"{HTTP}Spectrum", f"{HTTPS}Spectrum", f"{OLD}Spectrum", f"{HTTP}Myown_Spectrum_label"], 1),
        ([f"{HTTP}LightCurve", f"{HTTP}LightCurveList", f"{HTTPS}A_LightCurve_description_label"], 2),
        ([f"{HTTP}Image", f"{OLD}Image", f"{HTTP}200decimal_Image_label_upper_limit"], 3),
        # a label that is the name of another class leaves it open
        ([f"{HTTP}Image_Spectrum_label", f"{HTTP}ODAPictureProduct", f"{HTTP}ODAPictureProductSED_astropy_table"], 0),
    ],
)
def test_arrays_are_what_is_announced_if_they_can_be(uris, column):
    for uri in uris:
        assert kinds_of_arrays(uri) == {name: kinds[column] for name, kinds in ARRAYS.items()}


@pytest.mark.parametrize(("name", "kind"), [("DATA", "lightcurve"), ("SPECTRUM", "spectrum")])
def test_what_is_announced_comes_before_names_of_columns(name, kind):
    """But not before what a header says."""
    header = {"TTYPE1": "CHANNEL", "TTYPE2": "RATE"}
    unit = {"name": name, "hdu_type": "bintable", "header": header, "data": None, "binarys": None, "units_dict": {}}
    arrays = [{"name": "out", "meta_data": "{}", "data_unit_list": [unit]}]
    for uris, expected in (({}, "spectrum"), ({"out": f"{HTTP}LightCurve"}, kind)):
        products = {"numpy_data_product_list": arrays, "prod_uris": uris}
        assert Products.from_response({"query_status": "done", "products": products})[0].kind == expected


@pytest.mark.parametrize(
    "uri", [f"{HTTP}ODAAstropyTable", f"{HTTP}Spectrum", f"{HTTP}ODAPictureProduct", "nonsense", None]
)
def test_other_products_are_what_they_come_as(uri):
    """Workflows announce pictures that are light curves, and tables that are lists."""
    reply = {
        "astropy_table_product_ascii_list": [WORKFLOW["tables"]["catalog_table"]],
        "binary_data_product_list": [{"name": "file", "data": "AAAA"}],
        "text_product_list": [{"name": "list", "value": [1, 2, 3]}],
        "binary_image_product_list": [{"name": "picture", "img_type": "png", "b64data": "AAAA"}],
        "prod_uris": dict.fromkeys(("catalog_table", "file", "list", "picture"), uri),
    }
    found = Products.from_response({"query_status": "done", "products": reply})
    kinds = {product.name: product.kind for product in found}
    assert kinds == {"catalog_table": "table", "file": "binary", "list": "text", "picture": "picture"}


@pytest.mark.parametrize("name", ["spectrum of events", "lc", "arf", "RMF", "image"])
def test_a_list_of_events_is_a_table_whatever_it_is_called(name):
    events = next(product for product in WORKFLOW["numpy"] if product["name"] == "events_fits")
    reply = {"numpy_data_product_list": [{**events, "name": name}], "prod_uris": {name: f"{HTTP}LightCurve"}}
    assert Products.from_response({"query_status": "done", "products": reply})[0].kind == "table"
