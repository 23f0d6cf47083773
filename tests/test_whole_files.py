# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Products of every kind are written whole or not at all, whatever happens, and are read again as they were."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astroquery_mmoda import MmodaError, Products, write_lightcurve, write_regions, write_spectra
from astroquery_mmoda.files import DiskFull
from astroquery_mmoda.parameters import KINDS
from tests.genuine_like.everything import everything

ON_WINDOWS = os.name == "nt"
IS_ROOT = not ON_WINDOWS and os.geteuid() == 0


@pytest.fixture(scope="module")
def body():
    """Text of a reply with all kinds."""
    return json.dumps(everything())


@pytest.fixture(scope="module")
def looked_at(body):
    """Products of which everything was looked at, as somebody in a notebook does."""
    products = Products.from_response(body)
    look_at(products)
    return products


@pytest.fixture(scope="module")
def whole(body, tmp_path_factory):
    """What is in the files of `without_large`, written without disturbance."""
    with pytest.MonkeyPatch.context() as patch:
        same_second(patch)
        place = tmp_path_factory.mktemp("whole")
        without_large(body).write(place)
        return contents(place)


@pytest.fixture
def one_second(monkeypatch):
    same_second(monkeypatch)


def same_second(patch):
    """Let all files have the same date, so that equal ones are equal in each byte."""
    for module in ("headers", "provenance"):
        patch.setattr(f"astroquery_mmoda.products.{module}.now", lambda: "2024-05-06T07:08:09")
    patch.setattr("astropy.io.fits.hdu.base._ValidHDU._get_timestamp", lambda hdu: "2024-05-06T07:08:09")


def without_large(body):
    """Products of all kinds, without the largest of them, which takes most of the time."""
    products = Products.from_response(body)
    return products._with([product for product in products if product.name != "large heap"])


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
    """Data of a product are the same, cell for cell; images have NaN where they were not exposed."""
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


# ---- every kind


def test_all_kinds_are_in_the_reply(body):
    assert {product.kind for product in Products.from_response(body)} == set(KINDS)


def test_all_at_once(body, looked_at, tmp_path, one_second):
    untouched = Products.from_response(body)
    assert not any(untouched.write(tmp_path / "untouched")["error"])
    check_read(tmp_path / "untouched", looked_at)
    looked_at.write(tmp_path / "looked at")
    assert contents(tmp_path / "untouched") == contents(tmp_path / "looked at")


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind(body, looked_at, tmp_path, one_second, kind):
    selected = looked_at.select(kind=kind)
    assert not any(Products.from_response(body).select(kind=kind).write(tmp_path / "untouched")["error"])
    check_read(tmp_path / "untouched", selected)
    selected.write(tmp_path / "looked at")
    assert contents(tmp_path / "untouched") == contents(tmp_path / "looked at")


@pytest.mark.parametrize("kind", KINDS)
def test_each_alone(body, looked_at, tmp_path, one_second, kind):
    untouched = Products.from_response(body)
    for number, product in enumerate(looked_at):
        if product.kind == kind:
            one, other = tmp_path / f"untouched {number}", tmp_path / f"looked at {number}"
            untouched._with([untouched[number]]).write(one)
            looked_at._with([product]).write(other)
            assert contents(one) == contents(other)
            check_read(one, [product])


@pytest.mark.parametrize("source", ["Ser X-1", "GX 17+2", "Cyg X-1", "GW1"])
def test_one_source(body, looked_at, tmp_path, one_second, source):
    Products.from_response(body).select(source=source).write(tmp_path / "untouched")
    check_read(tmp_path / "untouched", looked_at.select(source=source))
    looked_at.select(source=source).write(tmp_path / "looked at")
    assert contents(tmp_path / "untouched") == contents(tmp_path / "looked at")


@pytest.mark.parametrize("descriptor", ["P", "Q"])
@pytest.mark.parametrize("looked", [False, True])
def test_columns_of_variable_length_come_back_as_they_are(body, looked_at, tmp_path, descriptor, looked):
    (fresh,) = (each for each in Products.from_response(body) if each.name == "ragged")
    looked_at._with([looked_at["ragged"] if looked else fresh]).write(tmp_path / "out")
    expected = looked_at["ragged"].data[f"RAGGED_{descriptor}"].data
    with fits.open(tmp_path / "out" / "ragged.fits") as hdulist:
        hdu = hdulist[f"RAGGED_{descriptor}"]
        assert all(form.lstrip("1")[0] in "PQ" for form in hdu.columns.formats[1:])
        for name in hdu.columns.names[1:]:
            assert [len(row) for row in hdu.data[name]][:2] == [0, 9]
            assert [row.tolist() for row in hdu.data[name]] == [row.tolist() for row in expected[name]]


@pytest.mark.parametrize("first", ["rmf", "table"])
def test_writing_changes_nothing(body, tmp_path, one_second, first, whole):
    products = without_large(body)
    products.select(kind=first).write(tmp_path / "part")
    products.write(tmp_path / "once")
    look_at(products)
    products.write(tmp_path / "twice")
    assert whole == contents(tmp_path / "once") == contents(tmp_path / "twice")


def test_parts_of_an_analysis_after_each_other(body, tmp_path):
    products = without_large(body)
    for kind in KINDS:
        if kind not in ("arf", "rmf"):  # they go with their spectra
            members = products.select(kind=kind)
            if kind == "spectrum":
                members = products._with([each for each in products if each.kind in ("spectrum", "arf", "rmf")])
            members.write(tmp_path / "out")
    again = Products.read(tmp_path / "out")
    assert sorted(each.name for each in again) == sorted(each.name for each in products)
    for each in again:
        check_same(products[each.name].data, each.data)


# ---- a full disk


NUMBERS = {"no space": errno.ENOSPC, "quota": getattr(errno, "EDQUOT", errno.ENOSPC), "without a number": None}


@pytest.mark.parametrize(
    ("part", "number"),
    [
        (0.01, "no space"),
        (0.3, "quota"),
        (0.3, "without a number"),
        (0.5, "without a number"),
        (0.6, "no space"),
        (0.9, "quota"),
    ],
)
def test_a_full_disk_ends_at_once(body, looked_at, tmp_path, one_second, full_disk, whole, number, part):
    place, products = tmp_path / "out", without_large(body)
    total = sum(len(data) for name, data in whole.items() if not name.startswith("mmoda-"))
    full_disk(int(part * total), NUMBERS[number])
    with pytest.raises(DiskFull, match="no space left: the file needs [0-9,]+ bytes") as caught:
        products.write(place)
    assert caught.value.errno == (NUMBERS[number] or errno.ENOSPC)
    manifest = caught.value.manifest
    files = manifest[manifest["kind"] != "index"]
    assert len(files) == len(whole) - 1
    written = check_written(place, manifest, whole)
    assert len(written) < len(whole) - 1
    assert sum(written.values()) <= part * total
    reasons = [text for text in files["error"] if text]
    assert sum("no space left: the file needs" in text for text in reasons) == 1
    assert {text for text in reasons if "the file needs" not in text} <= {"not tried, since no space is left"}
    if list(place.glob("mmoda-*")):
        again = Products.read(place)
        assert len(again) <= len(written)
        for each in again:
            check_same(looked_at[each.name].data, each.data)


def test_the_index_tells_of_what_fitted(body, looked_at, tmp_path, full_disk):
    full_disk(1_000_000)
    products = Products.from_response(body)
    names = ["cat", "ragged", "remark", "large heap", "plot"]
    with pytest.raises(DiskFull) as caught:
        products._with([products[name] for name in names]).write(tmp_path / "out")
    assert [bool(text) for text in caught.value.manifest["error"]] == [False, False, False, True, True]
    check_read(tmp_path / "out", [looked_at[name] for name in names[:3]])


def test_a_disk_that_is_full_for_the_index_only(body, tmp_path, one_second, full_disk, whole):
    files = {name: len(data) for name, data in whole.items() if not name.startswith("mmoda-")}
    full_disk(sum(files.values()) + 100)
    with pytest.raises(DiskFull) as caught:
        without_large(body).write(tmp_path / "out")
    manifest = caught.value.manifest
    assert check_written(tmp_path / "out", manifest, whole) == files
    assert [row["kind"] for row in manifest if row["error"]] == ["index"]
    assert not list((tmp_path / "out").glob("mmoda-*"))


@pytest.mark.parametrize("part", [0.3, 0.6])
def test_old_files_outlive_a_full_disk(body, tmp_path, one_second, full_disk, whole, part):
    place, products = tmp_path / "out", without_large(body)
    products.write(place)
    for path in place.iterdir():
        if not path.name.startswith("mmoda-"):
            path.write_bytes(b"old")
    older = contents(place)
    full_disk(int(part * sum(map(len, whole.values()))))
    with pytest.raises(DiskFull) as caught:
        products.write(place, overwrite=True)
    assert 0 < len(check_written(place, caught.value.manifest, whole, older)) < len(whole) - 1


@pytest.fixture
def small_disk(tmp_path):
    """Function that mounts a disk of so many bytes in memory, which only root may do."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size):
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
        if not IS_ROOT or not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no file system can be mounted here")
        return place

    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("size", [80_000, 120_000, 200_000])
def test_a_real_disk(body, looked_at, one_second, whole, small_disk, size):
    place = small_disk(size) / "out"
    with pytest.raises(DiskFull, match="no space left: the file needs") as caught:
        without_large(body).write(place)
    assert check_written(place, caught.value.manifest, whole)
    if "index" not in caught.value.manifest["kind"]:  # there was space for it
        for each in Products.read(place):
            check_same(looked_at[each.name].data, each.data)


@pytest.fixture(scope="module")
def forms(looked_at):
    """Functions that write what queries return under a name in a directory, and the names of their files."""
    pytest.importorskip("regions")
    spectra, curve, catalog = looked_at.spectrum(), looked_at.lightcurve(), looked_at.catalog()
    return {
        "spectra": lambda place, **options: write_spectra(spectra, place, **options),
        "lightcurve": lambda place, **options: write_lightcurve(curve, place / "one.fits", **options),
        "regions": lambda place, **options: write_regions(catalog, place / "one.reg", **options),
    }


FORMS = ["spectra", "lightcurve", "regions"]


@pytest.fixture
def place(tmp_path):
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_other_writers_on_a_full_disk(forms, place, one_second, full_disk, form, number, overwrite):
    forms[form](place)
    older = contents(place)
    for name in older:
        if overwrite:
            (place / name).write_bytes(b"old")
        else:
            (place / name).unlink()
    size = max(map(len, older.values()))
    full_disk(size - 1, NUMBERS[number])
    with pytest.raises(DiskFull, match="no space left: the file needs [0-9,]+ bytes, [0-9,]+ are free"):
        forms[form](place, overwrite=overwrite)
    left = contents(place)
    assert set(left) == set(older) if overwrite else set(left) < set(older)
    assert all(data in (older[name], b"old") for name, data in left.items())
    assert any(left.get(name) != data for name, data in older.items())
