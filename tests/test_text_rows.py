"""Texts of variable length in tables: astropy reads characters of four bytes, and writes them where one is counted."""

import numpy as np
import pytest
from astropy.io import fits

from astroquery_mmoda import Products, write_spectra
from tests.genuine_like import encode

TEXTS = [["first", "2nd"], ["", "abc"], ["x" * 300, "y"], ["a b", ""]]


def table(texts, *, kind="PA()", name="FOO", spectrum=False):
    columns = [
        fits.Column("NOTE", kind, array=np.array(texts, object)),
        fits.Column("NUMBERS", "PI()", array=np.array([[1, 2, 3], [4]], object)),
        fits.Column("LAST", "QD()", array=np.array([[0.5], [1.5, 2.5]], object)),
    ]
    if spectrum:
        columns = [
            fits.Column("CHANNEL", "I", array=[1, 2]),
            fits.Column("RATE", "E", array=[1, 2], unit="count/s"),
            fits.Column("STAT_ERR", "E", array=[1, 2], unit="count/s"),
            *columns,
        ]
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    if spectrum:
        hdu.header.update({"HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "EXPOSURE": 9.0, "TELESCOP": "INTEGRAL"})
    return hdu


def rows(hdu):
    found = {name: [np.asarray(row).tolist() for row in hdu.data[name]] for name in ("NUMBERS", "LAST")}
    return {"NOTE": [list(np.asarray(row).astype("U1")) for row in hdu.data["NOTE"]], **found}


def expected(texts):
    return {"NOTE": [list(text) for text in texts], "NUMBERS": [[1, 2, 3], [4]], "LAST": [[0.5], [1.5, 2.5]]}


def products(hdu, name="thing"):
    # encoded as read from a file
    product = encode.product(fits.HDUList([fits.PrimaryHDU(), hdu]), name, src_name="Crab")
    return Products.from_response(encode.reply(product))


@pytest.mark.parametrize("looked_at", [False, True])
@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize("kind", ["PA()", "QA()"])
def test_written_and_read_again(texts, kind, looked_at, tmp_path):
    found = products(table(texts, kind=kind))
    if looked_at:
        assert rows(found[0].data[1]) == expected(texts)
    found.write(tmp_path / "a")
    again = Products.read(tmp_path / "a")
    again.write(tmp_path / "b")
    for each in (found, again, Products.read(tmp_path / "b")):
        assert rows(each[0].data[1]) == expected(texts)


@pytest.mark.parametrize("texts", TEXTS)
def test_beside_a_spectrum(texts, tmp_path):
    found = products(table(texts, name="ISGR-EVTS-SPE", spectrum=True), "isgri_spectrum")
    (path, *_) = write_spectra(found.spectrum(), tmp_path / "own")["path"]
    with fits.open(path) as hdulist:
        assert rows(hdulist["SPECTRUM"]) == expected(texts)
    found.write(tmp_path / "all")
    assert rows(Products.read(tmp_path / "all")[0].data[1]) == expected(texts)
