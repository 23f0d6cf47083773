# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Names and files: nothing from a service chooses a path, nothing half written stays."""

import errno
import os
import re
import stat

import numpy as np
import pytest
from astropy.io import fits

from astroquery_mmoda.files import whole_file
from astroquery_mmoda.products.storage.output import (
    OutputDirectory,
    OutputFile,
    manifest_of,
    safe_name,
    write_files,
    write_whole,
)


@pytest.fixture
def folder(tmp_path):
    """A directory with nothing in it; `tmp_path` may hold the configuration of the session."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


def write(output, content):
    files = [OutputFile("", "text", data, path) for path, data in content.items()]
    write_files(output, files)
    return manifest_of(output.directory, files)


@pytest.mark.parametrize("source", ["odd\x1b[2J", "\u202eodd", "two\nlines"])
def test_words_of_the_service_in_a_manifest_are_escaped(folder, source):
    files = [OutputFile(source, "text", b"x", folder / "a")]
    assert not {"\x1b", "\u202e", "\n"} & set("".join(manifest_of(folder, files)["source"]))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Crab", "Crab"),
        ("Cyg X-1", "Cyg_X-1"),
        ("MAXI J1820+070", "MAXI_J1820+070"),
        ("1E 1740.7\N{MINUS SIGN}2942", "1E_1740.7-2942"),
        ("GX 339\N{EN DASH}4", "GX_339-4"),
        ("\N{GREEK SMALL LETTER BETA} Cyg", "beta_Cyg"),
        ("Mira \N{LATIN CAPITAL LETTER A WITH RING ABOVE}", "Mira_A"),
        ("Sgr A*", "Sgr_A"),
        ("../../etc/passwd", "etc_passwd"),
        ("C:\\Windows", "C_Windows"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("a..b", "a.b"),
        ("a\0b\nc", "a_b_c"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}stif.exe", "stif.exe"),
        ("name. ", "name"),
    ],
)
def test_safe_name(text, name):
    assert safe_name(text) == name


@pytest.mark.parametrize("text", ["", "..", "/", " ", "\N{CJK UNIFIED IDEOGRAPH-5929}", "***"])
def test_safe_name_of_nothing(text):
    assert safe_name(text) == "product"
    assert safe_name(text, default="source_3") == "source_3"


def test_safe_name_is_bounded_and_safe():
    everything = "".join(map(chr, range(1, 0x3000)))
    for start in range(0, len(everything), 7):
        name = safe_name(everything[start : start + 60])
        assert re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,47}", name)
    assert len(safe_name("a" * 1_000_000)) == 48


def test_names_are_unique_also_without_case(folder):
    output = OutputDirectory(folder)
    names = [output.reserve(name, ".fits")[0].name for name in ("Crab", "crab", "CRAB", "Crab 2", "Crab?")]
    assert names == ["Crab.fits", "crab_2.fits", "CRAB_3.fits", "Crab_2_2.fits", "Crab_4.fits"]
    assert len({name.casefold() for name in names}) == len(names)


def test_files_of_a_group_share_their_beginning(folder):
    output = OutputDirectory(folder)
    output.reserve("Crab", "_arf.fits")
    paths = output.reserve("Crab", "_pha.fits", "_arf.fits")
    assert [path.name for path in paths] == ["Crab_2_pha.fits", "Crab_2_arf.fits"]
    assert all(path.parent == folder for path in paths)


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "..", "a/../../b", "~root"])
def test_the_directory_is_not_left(folder, name):
    output = OutputDirectory(folder / "inside")
    (path,) = output.reserve(name, ".fits")
    write(output, {path: b"x"})
    assert path.resolve().parent == (folder / "inside").resolve()
    assert [entry.name for entry in folder.iterdir()] == ["inside"]


def test_refusal_comes_before_the_first_file(folder):
    (folder / "b.txt").write_bytes(b"old")
    output = OutputDirectory(folder)
    paths = [output.reserve(name, ".txt")[0] for name in "ab"]
    with pytest.raises(FileExistsError, match=r"b\.txt; overwrite=True"):
        write(output, dict.fromkeys(paths, b"new"))
    assert not (folder / "a.txt").exists()
    assert (folder / "b.txt").read_bytes() == b"old"


def test_overwrite(folder):
    (folder / "b.txt").write_bytes(b"old")
    output = OutputDirectory(folder, overwrite=True)
    (path,) = output.reserve("b", ".txt")
    assert list(write(output, {path: b"newer"})["size"]) == [5]
    assert path.read_bytes() == b"newer"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_replaced_and_not_followed(folder, exists):
    outside = folder / "outside.txt"
    if exists:
        outside.write_bytes(b"precious")
    inside = folder / "inside"
    inside.mkdir()
    (inside / "a.txt").symlink_to(outside)
    careful = OutputDirectory(inside)
    careful.reserve("a", ".txt")
    with pytest.raises(FileExistsError):
        careful.prepare()
    output = OutputDirectory(inside, overwrite=True)
    (path,) = output.reserve("a", ".txt")
    write(output, {path: b"new"})
    assert not path.is_symlink()
    assert path.read_bytes() == b"new"
    assert outside.exists() == exists
    assert not exists or outside.read_bytes() == b"precious"


def failing(error):
    """An HDUList that can't be written to the end."""

    class Failing(fits.HDUList):
        def writeto(self, fileobj, *args, **options):
            fileobj.write(b"half")
            raise error

    return Failing([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((100, 90), ">f4"))])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, PermissionError])
def test_an_error_in_the_middle_leaves_the_old_file(folder, error):
    path = folder / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(error):
        write_whole(path, failing(error))
    assert path.read_bytes() == b"old"
    assert list(folder.iterdir()) == [path]


class _Usage:
    def __init__(self, free):
        self.free = free


def test_full_disk_says_how_much_is_missing(folder, monkeypatch):
    path = folder / "a.fits"
    path.write_bytes(b"old")
    needed = 2880 * (2 + 13)
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage(3200))
    with pytest.raises(
        OSError, match=f"needs {needed:,} bytes, 3,200 are free, {needed - 3200:,} are missing"
    ) as caught:
        write_whole(path, failing(OSError(errno.ENOSPC, "No space left on device")))
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert list(folder.iterdir()) == [path]


def test_full_disk_that_comes_without_its_number(folder, monkeypatch):
    content = failing(OSError("1000 requested and 300 written"))  # as numpy does
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage(300))
    with pytest.raises(OSError, match="needs 43,200 bytes, 300 are free, 42,900 are missing"):
        write_whole(folder / "a.fits", content)
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage(300_000))
    with pytest.raises(OSError, match="1000 requested"):
        write_whole(folder / "a.fits", content)


def test_full_disk_with_unknown_size(folder):
    with (
        pytest.raises(OSError, match="no space left for this file"),
        whole_file(folder / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(folder.iterdir())


@pytest.mark.parametrize("private", [False, True])
def test_nothing_is_written_through_what_lies_under_a_temporary_name(folder, monkeypatch, private):
    monkeypatch.setattr("secrets.token_hex", lambda length: "0" * 2 * length)
    (folder / "target").write_bytes(b"kept")
    (folder / f".mmoda-{'0' * 16}.part").symlink_to(folder / "target")
    with pytest.raises(OSError, match="exists|symbolic"), whole_file(folder / "a.txt", private=private) as file:
        file.write(b"secret")
    assert [path.read_bytes() for path in folder.iterdir()] == [b"kept"]


@pytest.mark.skipif(os.name == "nt", reason="no such permissions on Windows")
def test_permissions_are_those_of_any_new_file(folder):
    (folder / "plain").write_bytes(b"")
    write_whole(folder / "whole", b"")
    modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in ("plain", "whole")]
    assert modes[0] == modes[1]


def test_fits_goes_straight_to_the_file(folder):
    hdulist = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.arange(12.0).reshape(3, 4))])
    size = write_whole(folder / "a.fits", hdulist)
    assert size == (folder / "a.fits").stat().st_size
    assert fits.getdata(folder / "a.fits")[2, 3] == 11
