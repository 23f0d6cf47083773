# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Products of every kind are written whole or not at all, whatever happens, and are read again as they were."""

import errno
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astroquery_mmoda import (
    DecodingError,
    MmodaError,
    Products,
    write_lightcurve,
    write_regions,
    write_spectra,
)
from astroquery_mmoda.files import DiskFull
from astroquery_mmoda.parameters import KINDS
from astroquery_mmoda.products import files as product_files
from tests.genuine_like import lightcurves
from tests.genuine_like import spectra as like
from tests.genuine_like.encode import reply
from tests.genuine_like.everything import everything


@pytest.fixture(scope="module")
def body():
    """Text of a reply with all kinds."""
    return json.dumps(everything())


@pytest.fixture
def one_second(monkeypatch):
    """All files have the same date, so that equal ones are equal in each byte."""
    for module in ("headers", "provenance"):
        monkeypatch.setattr(f"astroquery_mmoda.products.{module}.now", lambda: "2024-05-06T07:08:09", raising=False)


def look_at(products):
    """Look at everything in all ways, as somebody in a notebook does."""
    repr(products)
    products._repr_html_()
    products.table  # noqa: B018 - the property is what is looked at
    for form in (products.image, products.spectrum, products.lightcurve, products.catalog):
        try:
            form()
        except MmodaError:
            continue
    for product in products:
        for hdu in product.data if isinstance(product.data, fits.HDUList) else ():
            repr(hdu.header)
            for name in hdu.columns.names if isinstance(hdu, fits.BinTableHDU) else ():
                repr(hdu.data[name])
            if isinstance(hdu, fits.BinTableHDU):
                hdu.data.tolist()


def contents(directory):
    return {path.name: path.read_bytes() for path in Path(directory).iterdir()}


def same(one, other):
    """Whether data of a product are the same, cell for cell."""
    assert type(one) is type(other)
    if isinstance(one, fits.HDUList):
        assert [hdu.name for hdu in one] == [hdu.name for hdu in other]
        for first, second in zip(one, other, strict=True):
            if isinstance(first, fits.BinTableHDU):
                assert first.columns.names == second.columns.names
                for name in first.columns.names:
                    for a, b in zip(first.data[name], second.data[name], strict=True):
                        np.testing.assert_array_equal(a, b)
            else:
                np.testing.assert_array_equal(first.data, second.data)
    elif isinstance(one, Table):
        assert one.colnames == other.colnames
        for name in one.colnames:
            assert one[name].unit == other[name].unit
            np.testing.assert_array_equal(np.ma.getmaskarray(one[name]), np.ma.getmaskarray(other[name]))
            np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(other[name]))
    else:
        assert one == other


def check(directory, manifest, whole):
    """What is there is whole, is in the manifest, and nothing else is left behind."""
    there = contents(directory) if Path(directory).is_dir() else {}
    written = {Path(row["path"]).name: int(row["size"]) for row in manifest if row["path"]}
    assert all(bool(row["error"]) == (not row["path"]) for row in manifest)
    assert {name: data for name, data in there.items() if name in written} == {name: whole[name] for name in written}
    assert {name: len(there[name]) for name in written} == written
    assert all(name.startswith("mmoda-") for name in set(there) - set(written))
    return written


# ---- every kind


def test_all_kinds_are_in_the_reply(body):
    assert {product.kind for product in Products.from_response(body)} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_or_looked_at_alone_or_selected(body, tmp_path, one_second, kind):
    made = {}
    for looked in (False, True):
        for what in ("selected", "alone", "all"):
            products = Products.from_response(body)
            if looked:
                look_at(products)
            if what != "all":
                products = products.select(kind=kind)
            if what == "alone":  # each by itself
                for number, product in enumerate(products):
                    products._with([product]).write(tmp_path / f"{looked} alone {number}")
                    alone = Products.read(tmp_path / f"{looked} alone {number}")
                    same(product.data, alone[0].data)
                made[looked, what] = [contents(tmp_path / f"{looked} alone {n}") for n in range(len(products))]
                continue
            place = tmp_path / f"{looked} {what}"
            manifest = products.write(place)
            assert not any(manifest["error"])
            again = Products.read(place)
            assert [each.name for each in again] == [each.name for each in products]
            for one, other in zip(products, again, strict=True):
                same(one.data, other.data)
            for path in place.glob("*.fits"):
                with fits.open(path, checksum=True) as hdulist:  # a wrong sum is a warning, which is an error here
                    hdulist.verify("exception")
            made[looked, what] = contents(place)
    for what in ("selected", "alone", "all"):
        assert made[False, what] == made[True, what]


@pytest.mark.parametrize("descriptor", ["P", "Q"])
def test_columns_of_variable_length_come_back_as_they_are(body, tmp_path, descriptor):
    (product,) = Products.from_response(body).select(kind="table", name="ragged") if False else [
        each for each in Products.from_response(body) if each.name == "ragged"
    ]
    Products.from_response(body)._with([product]).write(tmp_path)
    with fits.open(tmp_path / "ragged.fits") as hdulist:
        hdu = hdulist[f"RAGGED_{descriptor}"]
        assert all(form.startswith(descriptor) for form in hdu.columns.formats[1:])
        original = product.data[f"RAGGED_{descriptor}"]
        assert {len(row) for row in hdu.data["OF_D"]} >= {0, 9}
        for name in hdu.columns.names:
            assert [np.asarray(a).tolist() for a in hdu.data[name]] == [
                np.asarray(b).tolist() for b in original.data[name]
            ]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_what_is_written_twice_is_the_same(body, tmp_path, one_second, first):
    """Writing changes nothing in memory: neither what is written after it nor what is looked at."""
    products = Products.from_response(body)
    other = [products.select(kind=("rmf", "table", "image")[first]), products.select(source="Ser X-1")][first % 2]
    other.write(tmp_path / "other")
    products.write(tmp_path / "once")
    look_at(products)
    products.write(tmp_path / "twice")
    assert contents(tmp_path / "once") == contents(tmp_path / "twice")
