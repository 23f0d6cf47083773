# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Each entry of the table of kinds can be listed, shown, decoded, written and read back."""

import json

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
