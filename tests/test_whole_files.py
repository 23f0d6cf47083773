# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Products of every kind are written whole or not at all, whatever happens, and are read again as they were."""

import errno
import json
import os
import shutil
import subprocess

import pytest
from astropy.io import fits

from astroquery_mmoda import Products
from astroquery_mmoda.files import DiskFull
from astroquery_mmoda.products.kinds import KINDS
from astroquery_mmoda.products.product import subset
from tests.genuine_like.everything import everything
from tests.whole_files import (
    FULL_DISKS,
    check_read,
    check_same,
    check_written,
    contents,
    look_at,
    same_second,
    without_large,
)

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
            subset(untouched, [untouched[number]]).write(one)
            subset(looked_at, [product]).write(other)
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
    subset(looked_at, [looked_at["ragged"] if looked else fresh]).write(tmp_path / "out")
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
                members = subset(products, [each for each in products if each.kind in ("spectrum", "arf", "rmf")])
            members.write(tmp_path / "out")
    again = Products.read(tmp_path / "out")
    assert sorted(each.name for each in again) == sorted(each.name for each in products)
    for each in again:
        check_same(products[each.name].data, each.data)


# ---- a full disk


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
    full_disk(int(part * total), FULL_DISKS[number])
    with pytest.raises(DiskFull, match="no space left: the file needs [0-9,]+ bytes") as caught:
        products.write(place)
    assert caught.value.errno == (FULL_DISKS[number] or errno.ENOSPC)
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
        subset(products, [products[name] for name in names]).write(tmp_path / "out")
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
