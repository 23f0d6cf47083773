"""Whatever an index or a file in a directory holds: values come out, or errors of ours."""

import copy
import hashlib
import json
import os
import random
import re

import pytest

from astroquery_mmoda import (
    Products,
    read_lightcurve,
    spectrum_table,
    to_timeseries,
    write_lightcurve,
    write_regions,
    write_spectra,
)
from astroquery_mmoda.errors import MmodaError
from astroquery_mmoda.products.kinds import KINDS
from astroquery_mmoda.products.storage.fileforms import READERS

REPLIES = ("isgri_image_dummy", "isgri_lc_real", "isgri_spectrum_dummy", "nb_everything_4_done", "spi_acs_lc_real")
WRONG = [
    *(None, True, -1, 0, 2**62, 2**70, 1e308, -1e308, float("nan"), float("inf"), 1.5, "", "x" * 3000, "\u0003\u202e"),
    *(
        "\N{GREEK CAPITAL LETTER OMEGA}",
        "None",
        "1e400",
        "9" * 5000,
        "../x",
        "TIME",
        [],
        [[1]],
        [["a", 1]],
        {},
        {"a": 1},
    ),
]
WORDS = [
    *(b"999999999E", b"PE(999999999)", b"1QB(9999999999)", b"0A", b"-1J", b"20X", b"5L", b"1PE", b"(9,9)", b"(1,0)"),
    *(b"99999999999999999999", b"-1", b"0", b"2147483648", b"1E400", b"NAN", b"T", b"", b"(1,2)", b"0.0", b"\xff"),
    *(b"RATE", b"TIME", b"TT", b"keV", b"10**99999", b"[]", b'{"a": 1}', b"a,b"),
]
TEXTS = [b"\0", b"\n", b"!!python/name:os", b"[1,[", b"{'a':", b"datatype: object", b"subtype: json", b"9" * 300, b'"']
_CARD = re.compile(rb"[A-Z0-9_-]{1,8} *= ")


@pytest.fixture(scope="module")
def written(recorded, tmp_path_factory):
    """Directories of `Products.write` by reply: the index, and the bytes of the files."""
    found = {}
    for name in REPLIES:
        directory = tmp_path_factory.mktemp(name)
        Products.from_response(recorded(name)).write(directory)
        files = {path.name: path.read_bytes() for path in directory.iterdir()}
        index = next(each for each in files if each.startswith("mmoda-"))
        found[name] = index, json.loads(files.pop(index)), files
    return found


def paths(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value[:30]) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths(inner, (*path, key))


def change_index(index, chance):
    """Put something wrong anywhere, or take something away."""
    path = chance.choice([path for path in paths(index) if path[0] == "products" or chance.random() < 0.2])
    for key in path[:-1]:
        index = index[key]
    if chance.random() < 0.3:
        del index[path[-1]]
    else:
        index[path[-1]] = copy.deepcopy(chance.choice([*WRONG, *READERS, *KINDS]))


def changed_file(data, chance):
    """Bits turned over, a file cut, a card or some of the text replaced."""
    data, how = bytearray(data), chance.random()
    if how < 0.25:
        for _ in range(chance.choice((1, 3, 30))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how < 0.35:
        del data[chance.randrange(len(data)) :]
    elif data.startswith(b"SIMPLE"):
        card = chance.choice([match.start() for match in _CARD.finditer(data) if match.start() % 80 == 0])
        word = chance.choice(WORDS)
        data[card + 10 : card + 80] = (b"'%s'" % word if chance.random() < 0.5 else word).ljust(70)[:70]
    else:
        place = chance.randrange(len(data))
        data[place : place + chance.randrange(20)] = chance.choice(TEXTS)
    return bytes(data)


def put(directory, name, index, files):
    """Write files and the index, which tells the true sums of the files."""
    for each in index["products"]:
        for file in each["files"]:
            data = files[file["name"]]
            (directory / file["name"]).write_bytes(data)
            file |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return directory / name


def tried(ask):
    try:
        return ask()
    except (MmodaError, FileNotFoundError) as error:
        assert len(str(error)) < 2000  # noqa: PT017 - whether there is an error is left open


def look_at(directory, output):
    """Everything that can be made of a directory."""
    products = tried(lambda: Products.read(directory))
    for product in products or ():
        tried(lambda product=product: product.data)
    if products is not None:
        image, spectrum, curve, catalog = (
            tried(ask) for ask in (products.image, products.spectrum, products.lightcurve, products.catalog)
        )
        for made, ask in (
            (image, lambda: write_regions(image, output / "image.reg", overwrite=True)),
            (catalog, lambda: write_regions(catalog, output / "catalog.reg", overwrite=True)),
            (spectrum, lambda: spectrum_table(spectrum)),
            (spectrum, lambda: write_spectra(spectrum, output, overwrite=True)),
            (curve, lambda: to_timeseries(curve)),
            (curve, lambda: write_lightcurve(curve, output / "curve.fits", overwrite=True)),
        ):
            if made is not None:
                tried(ask)
        assert repr(products)
        assert products._repr_html_()
        tried(lambda: products.write(output, overwrite=True))
    for file in directory.glob("*.fits"):
        curve = tried(lambda file=file: read_lightcurve(file))
        if curve is not None:
            tried(lambda curve=curve: to_timeseries(curve))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("reply", REPLIES)
def test_index_and_files_of_any_content(written, tmp_path, reply, seed):
    chance = random.Random(f"{reply} {seed}")
    name, whole, files = written[reply]
    for number in range(5):
        directory, output = tmp_path / f"{number}", tmp_path / f"{number} out"
        directory.mkdir()
        output.mkdir()
        index = whole | {"products": copy.deepcopy(chance.choices(whole["products"], k=chance.choice((1, 2))))}
        path = put(directory, name, index, files)
        if chance.random() < 0.6:
            chosen = chance.choice(chance.choice(index["products"])["files"])["name"]
            put(directory, name, index, files | {chosen: changed_file(files[chosen], chance)})
        if chance.random() < 0.5:
            change_index(index, chance)
        told = bytearray(json.dumps(index).encode())
        if chance.random() < 0.05:
            told[chance.randrange(len(told))] ^= 1 << chance.randrange(8)
        path.write_bytes(told)
        look_at(directory, output)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_kinds_that_do_not_fit_their_files(written, tmp_path, kind):
    begin = sorted(KINDS).index(kind)
    for reply in (REPLIES[begin % len(REPLIES)], REPLIES[(begin + 2) % len(REPLIES)]):
        name, whole, files = written[reply]
        for number, record in enumerate({each["format"]: each for each in whole["products"]}.values()):
            directory, output = tmp_path / f"{reply} {number}", tmp_path / f"{reply} {number} out"
            directory.mkdir()
            output.mkdir()
            index = whole | {"products": [copy.deepcopy(record) | {"kind": kind}]}
            put(directory, name, index, files).write_text(json.dumps(index))
            look_at(directory, output)


def to_directory(path):
    path.unlink()
    path.mkdir()


def to_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def to_pipe(path):
    path.unlink()
    os.mkfifo(path)


def to_ring(path):
    path.unlink()
    path.symlink_to(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
@pytest.mark.parametrize("which", ["index", "file"])
@pytest.mark.parametrize("change", [to_directory, to_link, to_pipe, to_ring])
@pytest.mark.parametrize("when", ["before", "between"])
def test_files_that_are_something_else(written, tmp_path, which, change, when):
    name, whole, files = written["isgri_image_dummy"]
    index = put(tmp_path, name, whole, files)
    index.write_text(json.dumps(whole))
    file = tmp_path / whole["products"][-1]["files"][0]["name"]
    products = Products.read(tmp_path) if when == "between" else None
    change(index if which == "index" else file)
    if products is None:
        with pytest.raises(MmodaError):
            _ = Products.read(tmp_path)[-1].data
    elif which == "file":
        with pytest.raises(MmodaError):
            _ = products[-1].data
    else:
        assert products[-1].data
