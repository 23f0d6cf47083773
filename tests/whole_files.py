# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What tests of written files share: products of all kinds, and whether what is there is whole."""

import errno
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from astroquery_mmoda import MmodaError, Products
from astroquery_mmoda.products.product import subset

__all__ = [
    "FULL_DISKS",
    "check_read",
    "check_same",
    "check_written",
    "contents",
    "look_at",
    "same_second",
    "without_large",
]

# what a full disk may say: numbers of errors, and the text of numpy without one
FULL_DISKS = {"no space": errno.ENOSPC, "quota": getattr(errno, "EDQUOT", errno.ENOSPC), "without a number": None}


def same_second(patch):
    """Let all files have the same date, so that equal ones are equal in each byte."""
    for module in ("cards", "storage.provenance"):
        patch.setattr(f"astroquery_mmoda.products.{module}.now", lambda: "2024-05-06T07:08:09")
    patch.setattr("astropy.io.fits.hdu.base._ValidHDU._get_timestamp", lambda hdu: "2024-05-06T07:08:09")


def without_large(body):
    """Products of all kinds, without the largest of them, which takes most of the time."""
    products = Products.from_response(body)
    return subset(products, [product for product in products if product.name != "large heap"])


def look_at(products):
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


def check_same(one, other):
    """Data are the same, cell for cell; but NaN in images where nothing was exposed."""
    assert type(one) is type(other)
    if isinstance(one, fits.HDUList):
        assert [hdu.name for hdu in one] == [hdu.name for hdu in other]
        is_mosaic = any("IMATYPE" in hdu.header for hdu in one)
        for first, second in zip(one, other, strict=True):
            if isinstance(first, fits.BinTableHDU):
                assert first.columns.names == second.columns.names
                for name in first.columns.names:
                    for a, b in zip(first.data[name], second.data[name], strict=True):
                        np.testing.assert_array_equal(a, b)
            elif is_mosaic and first.data is not None:
                left_out = np.isnan(second.data)
                assert not left_out.all()
                np.testing.assert_array_equal(first.data[~left_out], second.data[~left_out])
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


def check_read(place, products):
    """`Products.read` gives the same products, and tools find the sums in their files right."""
    again = Products.read(place)
    assert [each.name for each in again] == [each.name for each in products]
    for one, other in zip(products, again, strict=True):
        check_same(one.data, other.data)
    for path in Path(place).glob("*.fits"):
        with fits.open(path, checksum=True) as hdulist:  # a wrong sum is a warning, which is an error here
            hdulist.verify("exception")


def check_written(place, manifest, whole, older=None):
    """
    Files are as in ``whole`` where the manifest lists them, else not there, or as in ``older``.

    The index tells of what is there now, and nothing else is left.
    """
    there = contents(place) if Path(place).is_dir() else {}
    written = {Path(row["path"]).name: int(row["size"]) for row in manifest if row["path"]}
    assert all(bool(row["error"]) == (not row["path"]) for row in manifest)
    assert all(row["size"] == 0 for row in manifest if row["error"])
    assert {name: len(there[name]) for name in written} == written
    expected = {**(older or {}), **{name: whole[name] for name in written}}
    assert {name: data for name, data in there.items() if not name.startswith("mmoda-")} == {
        name: data for name, data in expected.items() if not name.startswith("mmoda-")
    }
    assert [name for name in there if name.startswith(".")] == []
    return written
