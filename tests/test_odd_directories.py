# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Files are whole or as they were, whatever is in their directory, and also if the process is killed."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from astroquery_mmoda import MmodaError, Products, write_lightcurve, write_regions, write_spectra
from astroquery_mmoda.files import DiskFull
from astroquery_mmoda.products.product import subset
from astroquery_mmoda.products.storage import output as product_files
from tests.genuine_like.everything import everything
from tests.whole_files import FULL_DISKS, check_read, contents, same_second

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no such things on Windows")

ROOT_DIRECTORY = Path(__file__).parents[1]
CHOSEN = ("mosaic_image", "jemx_spectrum Ser X-1", "jemx_rmf Ser X-1", "isgri_lc", "ragged", "cat", "plot", "remark")
INDEX = "mmoda-fedcba9876543210.json"
WRITERS = ("products", "spectra", "lightcurve", "regions")
IN_THE_WAY = ("file", "link", "link to nothing", "link to a directory", "pipe", "directory")


@pytest.fixture(scope="module")
def body():
    return json.dumps(everything())


@pytest.fixture(scope="module")
def writers(body):
    """Functions that write into a directory."""
    pytest.importorskip("regions")
    return make_writers(body)


def make_writers(body):
    products = Products.from_response(body)
    spectra, curve, catalog = products.spectrum(), products.lightcurve(), products.catalog()
    return {
        "products": subset(products, [products[name] for name in CHOSEN]).write,
        "spectra": lambda place, **options: write_spectra(spectra, place, **options),
        "lightcurve": lambda place, **options: write_lightcurve(curve, place / "one.fits", **options),
        "regions": lambda place, **options: write_regions(catalog, place / "one.reg", **options),
    }


@pytest.fixture(scope="module")
def whole(writers, tmp_path_factory):
    """Contents of the files of each writer, undisturbed."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        same_second(patch)
        for name, write in writers.items():
            place = tmp_path_factory.mktemp(name)
            write(place)
            found[name] = contents(place)
    return found


@pytest.fixture(autouse=True)
def _one_second(monkeypatch):
    same_second(monkeypatch)


@pytest.fixture
def place(tmp_path):
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


@pytest.fixture
def victim(tmp_path):
    """A directory with a file, that nobody asked to change."""
    directory = tmp_path / "victim"
    directory.mkdir()
    (directory / "precious").write_bytes(b"precious")
    yield directory
    assert contents(directory) == {"precious": b"precious"}


def put(path, what, victim):
    """Put something in the place of a file or directory."""
    targets = {"link": victim / "precious", "link to nothing": victim / "nothing", "link to a directory": victim}
    if what in targets:
        path.symlink_to(targets[what])
    elif what == "link to itself":
        path.symlink_to(path)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"old")


def listing(directory):
    """Names in a directory, and what they are of."""
    return sorted((path.name, path.lstat().st_mode, path.lstat().st_ino) for path in directory.iterdir())


# ---- the directory


@pytest.mark.parametrize("writer", WRITERS)
def test_a_link_to_a_directory_is_the_choice_of_the_user(writers, whole, place, tmp_path, writer):
    link = tmp_path / "link"
    link.symlink_to(place)
    writers[writer](link)
    assert contents(place) == whole[writer]
    assert link.is_symlink()


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("what", ["file", "link", "link to nothing", "link to itself", "pipe"])
@pytest.mark.parametrize("below", ["", "deeper"])
def test_what_is_not_a_directory(writers, place, victim, writer, what, below):
    put(place / "odd", what, victim)
    before = listing(place)
    makes_directories = writer in ("products", "spectra")
    if what == "link to nothing" and below and makes_directories:
        pytest.skip("made, as mkdir -p does")
    with pytest.raises(OSError, match="odd") as caught:
        writers[writer](place / "odd" / below)
    assert caught.value.errno in (errno.ENOTDIR, errno.ENOENT, errno.ELOOP, errno.EEXIST)
    assert ".part" not in str(caught.value)
    assert listing(place) == before


@pytest.fixture
def not_writable(place):
    """A directory in which nobody may write, not even root."""
    if os.geteuid():
        place.chmod(0o500)
        yield place
        place.chmod(0o700)
        return
    command = ["mount", "-t", "tmpfs", "-o", "ro", "none", str(place)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("root may write everywhere")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_directory_that_is_not_writable(writers, not_writable, writer, below):
    with pytest.raises(OSError, match=r"[Ff]ile") as caught:
        writers[writer](not_writable / below)
    assert caught.value.errno in (errno.EACCES, errno.EROFS, errno.ENOENT)
    assert listing(not_writable) == []


@pytest.mark.parametrize("writer", ["products", "spectra"])
@pytest.mark.parametrize("after", [0, 1, 4])
@pytest.mark.parametrize("becomes", ["nothing", "a file"])
def test_a_directory_that_vanishes(writers, place, monkeypatch, writer, after, becomes):
    count, real = 0, product_files.write_whole

    def write_whole(path, content):
        nonlocal count
        count += 1
        if count == after + 1:
            shutil.rmtree(place)
            if becomes == "a file":
                place.write_bytes(b"other")
        return real(path, content)

    monkeypatch.setattr(product_files, "write_whole", write_whole)
    with pytest.raises(MmodaError, match="could not be written") as caught:
        writers[writer](place)
    manifest = caught.value.manifest
    assert sum(1 for row in manifest if row["path"]) == after
    assert all(bool(row["path"]) != bool(row["error"]) for row in manifest)
    assert not any(".part" in text for text in manifest["error"])
    assert place.read_bytes() == b"other" if becomes == "a file" else not place.exists()


# ---- what has the name of a file


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_in_the_place_of_a_file(writers, whole, place, victim, writer, what):
    names = sorted(set(whole[writer]) - {INDEX})
    for number, name in enumerate({names[0], names[len(names) // 2], names[-1]}):
        inner = place / str(number)
        inner.mkdir()
        put(inner / name, what, victim)
        before = listing(inner)
        with pytest.raises(OSError, match=re.escape(name) + "|there already"):
            writers[writer](inner)
        assert listing(inner) == before
        if what == "directory":
            with pytest.raises((IsADirectoryError, MmodaError), match="directory"):
                writers[writer](inner, overwrite=True)
            assert (inner / name).is_dir()
        else:
            writers[writer](inner, overwrite=True)
            assert not any(path.is_symlink() for path in inner.iterdir())
            assert contents(inner) == whole[writer]


@pytest.mark.parametrize("what", IN_THE_WAY)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_in_the_place_of_the_index(writers, place, victim, what, overwrite):
    put(place / INDEX, what, victim)
    before = listing(place)
    with pytest.raises(FileExistsError, match="not the index of the same analysis"):
        writers["products"](place, overwrite=overwrite)
    assert listing(place) == before


# ---- a full disk


@pytest.mark.parametrize("writer", ["spectra", "lightcurve", "regions"])
@pytest.mark.parametrize("number", FULL_DISKS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_other_writers_on_a_full_disk(writers, whole, place, full_disk, writer, number, overwrite):
    expected = whole[writer]
    for name in expected if overwrite else ():
        (place / name).write_bytes(b"old")
    full_disk(max(map(len, expected.values())) - 1, FULL_DISKS[number])
    with pytest.raises(DiskFull, match="no space left: the file needs [0-9,]+ bytes, [0-9,]+ are free"):
        writers[writer](place, overwrite=overwrite)
    left = contents(place)
    assert set(left) == set(expected) if overwrite else set(left) < set(expected)
    assert all(data in (expected[name], b"old") for name, data in left.items())
    assert any(left.get(name) != data for name, data in expected.items())


# ---- kill -9

KILLED = """
    import os, signal, sys
    from pathlib import Path

    import pytest
    from astroquery_mmoda import files
    from tests.test_odd_directories import make_writers
    from tests.whole_files import same_second

    same_second(pytest.MonkeyPatch())
    body, place = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    writers = make_writers(body)
    {code}
"""

AT_A_BYTE = """
    def mortal(limit):
        written = 0

        def opened(path, mode, opener=None):
            file = open(path, mode, opener=opener, buffering=0 if "w" in mode else -1)
            if "w" not in mode:
                return file
            own = file.write

            class Mortal:
                def __getattr__(self, name):
                    return getattr(file, name)
                def __enter__(self):
                    return self
                def __exit__(self, *error):
                    file.close()
                def write(self, data):
                    nonlocal written
                    data = memoryview(data).cast("B")
                    if written + len(data) > limit:
                        file.write(data[: limit - written])
                        os.kill(os.getpid(), signal.SIGKILL)
                    written += len(data)
                    return file.write(data)
            return Mortal()
        files.open = opened

    for argument in sys.argv[3:]:
        writer, limit = argument.split(":")
        child = os.fork()
        if not child:
            mortal(int(limit))
            (place / argument).mkdir(exist_ok=True)
            writers[writer](place / argument, overwrite=True)
            os._exit(1)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, argument
"""

AT_ANY_TIME = """
    import random, time

    for number in range(12):
        child = os.fork()
        if not child:
            for each in range(10**6):
                for name in ("products", "spectra")[:: (-1) ** number]:
                    writers[name](place / name, overwrite=True, systematic=(each % 2 + 1) / 100)
            os._exit(1)
        time.sleep(random.uniform(0.02, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
"""


def run(code, body, place, *arguments):
    """Run a program whose children are killed; a process of its own, since threads of ours must not be forked."""
    path = place.with_name("body.json")
    path.write_text(body)
    program = textwrap.dedent(KILLED).format(code=textwrap.dedent(code))
    command = [sys.executable, "-W", "ignore", "-c", program, str(path), str(place), *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT_DIRECTORY), *sys.path[1:]])}
    subprocess.run(command, check=True, timeout=200, env=environment)


def check_killed(directory, allowed):
    """Each file under a final name is one of those allowed; else there are our own temporary ones only, private."""
    for path in directory.iterdir():
        if re.fullmatch(r"\.mmoda-[0-9a-f]{16}\.part", path.name):
            # new ones are empty until they are private
            assert path.stat().st_mode & 0o077 == 0 or path.stat().st_size == 0
            os.utime(path, (0, 0))
        else:
            assert path.read_bytes() in allowed[path.name], path.name


def test_killed_at_a_byte(writers, whole, body, place):
    """With nothing there before, and over older files."""
    arguments = []
    for writer, files in whole.items():
        total = sum(map(len, files.values()))
        arguments += [f"{writer}:{int(part * total)}" for part in (0, 0.02, 0.4, 0.999)]
    for each in arguments[::2]:
        (place / each).mkdir()
        for name in set(whole[each.partition(":")[0]]) - {INDEX}:
            (place / each / name).write_bytes(b"old")
    run(AT_A_BYTE, body, place, *arguments)
    left = 0
    for each in arguments:
        writer = each.partition(":")[0]
        check_killed(place / each, {name: (b"old", data) for name, data in whole[writer].items()})
        left += len(list((place / each).glob(".mmoda-*.part")))
        writers[writer](place / each, overwrite=True)
        if writer in ("products", "spectra"):
            assert contents(place / each) == whole[writer]  # what was left is gone
    assert left == len(arguments)


def test_killed_at_any_time(writers, body, place, tmp_path):
    allowed = {"products": {}, "spectra": {}}
    for writer, found in allowed.items():
        for number, systematic in enumerate((0.01, 0.02)):
            writers[writer](tmp_path / f"{writer} {number}", systematic=systematic)
            for name, data in contents(tmp_path / f"{writer} {number}").items():
                found.setdefault(name, []).append(data)
    for writer in allowed:
        (place / writer).mkdir()
    run(AT_ANY_TIME, body, place)
    for writer, found in allowed.items():
        check_killed(place / writer, found)
    for path in place.glob("*/mmoda-*"):
        path.unlink()  # its files may be of the other writing, which `read` refuses by name
    writers["products"](place / "products", overwrite=True)
    products = Products.from_response(body)
    check_read(place / "products", [products[name] for name in CHOSEN])
