"""What Products.write leaves is read again by Products.read: the same products and forms, and nothing else."""

import gzip
import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from astroquery_mmoda import DecodingError, MmodaError, ParameterError, Products
from astroquery_mmoda.products.cards import is_missing
from astroquery_mmoda.products.kinds import Entry
from astroquery_mmoda.products.product import Product
from tests.genuine_like import spectra as like

RESPONSES = Path(__file__).parent / "data" / "responses"
# of the files, or another spelling of the same
FILE_CARDS = {
    "CHECKSUM",
    "DATASUM",
    "DATE",
    "HISTORY",
    "RESPFILE",
    "ANCRFILE",
    "BACKFILE",
    "CORRFILE",
    "HDUCLAS2",
    "HDUCLAS3",
    "PCOUNT",
}
FORMS = ("TFORM", "TDIM")


def readable():
    """Names of the recorded replies that have products."""
    for path in sorted(RESPONSES.glob("*.json")):
        body = json.loads(path.read_text(encoding="utf-8")).get("json")
        if isinstance(body, dict) and body.get("query_status") == "done" and body.get("products"):
            yield path.stem


def same_tables(one, other):
    assert one.colnames == other.colnames
    assert dict(one.meta) == dict(other.meta)
    for name in one.colnames:
        first, second = one[name], other[name]
        if name == "time":
            assert (first.scale, first.format) == (second.scale, second.format)
            np.testing.assert_array_equal([first.jd1, first.jd2], [second.jd1, second.jd2])
            continue
        assert (type(first), first.dtype.kind, first.unit) == (type(second), second.dtype.kind, second.unit), name
        mask = np.ma.getmaskarray(first)
        np.testing.assert_array_equal(mask, np.ma.getmaskarray(second))
        np.testing.assert_array_equal(np.asarray(first)[~mask], np.asarray(second)[~mask])


def same_hdus(one, other):
    assert [(hdu.name, hdu.ver, type(hdu)) for hdu in one] == [(hdu.name, hdu.ver, type(hdu)) for hdu in other]
    for first, second in zip(one, other, strict=True):
        for key in set(first.header) - FILE_CARDS:
            missing = is_missing(first.header[key])
            assert key.startswith(FORMS) or missing or second.header[key] == first.header[key], (first.name, key)
        if isinstance(first, fits.BinTableHDU):
            assert first.columns.names == second.columns.names
            units = [[column.unit for column in hdu.columns] for hdu in (first, second)]
            # files for tools have units where the reply has none
            assert all(one in (None, other) for one, other in zip(*units, strict=True))
            for name in first.columns.names:
                for a, b in zip(first.data[name], second.data[name], strict=True):
                    np.testing.assert_array_equal(a, b)
        elif first.data is not None:
            np.testing.assert_array_equal(first.data, second.data)


def same_products(one, other):
    assert [(each.name, each.kind, each.source, each.meta) for each in one] == [
        (each.name, each.kind, each.source, each.meta) for each in other
    ]
    assert (one.job_id, one.comment, one.meta, one.service) == (other.job_id, other.comment, other.meta, other.service)
    assert {key: value for key, value in one.parameters.items() if key != "session_id"} == other.parameters
    for first, second in zip(one, other, strict=True):
        assert type(first.data) is type(second.data)
        if isinstance(first.data, Table):
            same_tables(first.data, second.data)
        elif not isinstance(first.data, fits.HDUList):
            assert first.data == second.data
    for form in ("image", "spectrum", "lightcurve"):
        try:
            expected = getattr(one, form)()
        except MmodaError as error:
            with pytest.raises(type(error)):
                getattr(other, form)()
            continue
        (same_tables if form == "lightcurve" else same_hdus)(expected, getattr(other, form)())
    same_tables(one.catalog(), other.catalog())


@pytest.mark.parametrize("name", [name for name in readable() if not name.endswith(("_noapi", "_6_done"))])
def test_every_recorded_reply_comes_back(recorded, tmp_path, name):
    products = Products.from_response(recorded(name), service="https://mmoda.example/dispatch-data")
    products.write(tmp_path / "out")
    again = Products.read(tmp_path / "out")
    for product in again:
        product.data  # noqa: B018 - looking reads the file
    shutil.rmtree(tmp_path / "out")
    same_products(products, again)


@pytest.mark.parametrize(
    "name", ["isgri_image_6_done", "jemx_spectrum_dummy", "spi_acs_lc_real", "nb_everything_4_done"]
)
def test_what_was_read_can_be_written_again(recorded, tmp_path, name):
    products = Products.from_response(recorded(name))
    products.write(tmp_path / "once")
    Products.read(tmp_path / "once").write(tmp_path / "twice")
    once, twice = ({path.name: path for path in (tmp_path / name).iterdir()} for name in ("once", "twice"))
    assert set(once) == set(twice)
    for name, path in once.items():
        if name.endswith(".fits"):
            with fits.open(path) as first, fits.open(twice[name]) as second:
                assert [len(hdu.header) for hdu in first] == [len(hdu.header) for hdu in second]
    same_products(products, Products.read(tmp_path / "twice"))


@pytest.mark.parametrize(
    ("instrument", "question"),
    [
        ("isgri", {"product": "isgri_image", "energy_range": (20, 40) * u.keV}),
        ("isgri", {"product": "isgri_spectrum"}),
        ("isgri", {"product": "isgri_lc", "time_bin": 1000 * u.s}),
        ("spi_acs", {"product": "spi_acs_lc", "time_bin": 0.5 * u.s}),
    ],
    ids=lambda value: value["product"] if isinstance(value, dict) else "",
)
def test_products_of_the_local_service_come_back(mmoda, tmp_path, instrument, question):
    radius = {} if instrument == "spi_acs" else {"radius": 8 * u.deg}
    times = (57818.56, 57818.562) if instrument == "spi_acs" else (57818.56, 57818.65)
    products = mmoda.query_product(instrument, "Crab", time_range=times, **radius, **question)
    assert products.service == mmoda.URL
    products.write(tmp_path / "out")
    same_products(products, Products.read(tmp_path / "out"))


@pytest.fixture(scope="module")
def curves(recorded, tmp_path_factory):
    """Light curves, and a directory that they were written into once."""
    products = Products.from_response(recorded("isgri_lc_real"))
    directory = tmp_path_factory.mktemp("written") / "out"
    products.write(directory)
    return directory, products


@pytest.fixture
def written(curves, tmp_path):
    """A directory of a test's own with light curves, and what is in it."""
    directory, products = curves
    return Path(shutil.copytree(directory, tmp_path / "out")), products


def test_nothing_is_opened_before_it_is_looked_at(written, monkeypatch):
    directory, _ = written
    again = Products.read(directory)
    monkeypatch.setattr(fits, "open", lambda *args, **options: pytest.fail("opened"))
    repr(again)
    again.select(source="Crab").table.pformat()


def test_the_overview_is_there_before_a_file_is_opened(written, monkeypatch):
    directory, curves = written
    again = Products.read(directory)
    monkeypatch.setattr(
        "astroquery_mmoda.products.storage.directory.read_plain", lambda *_, **__: pytest.fail("a file was opened")
    )
    assert again.table["content"][0] == curves.table["content"][0] != ""
    assert again.table["size"][0] > 0
    assert again.table["band", "time", "unit"][0].as_void() == curves.table["band", "time", "unit"][0].as_void()


def test_a_read_product_pickles_and_does_not_depend_on_the_working_directory(written, monkeypatch, tmp_path):
    directory, products = written
    monkeypatch.chdir(directory.parent)
    again = Products.read(directory.name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    same_tables(products.lightcurve(), pickle.loads(pickle.dumps(again)).lightcurve())


def test_grouped_spectra_come_back_grouped(recorded, tmp_path):
    products = Products.from_response(recorded("isgri_spectrum_real"))
    products.write(tmp_path / "out", group=100.0, systematic=0.02)
    spectrum = Products.read(tmp_path / "out").spectrum("Crab")["SPECTRUM"]
    assert -1 in spectrum.data["GROUPING"]
    assert np.allclose(spectrum.data["SYS_ERR"], 0.02)
    np.testing.assert_array_equal(spectrum.data["RATE"], products.spectrum("Crab")["SPECTRUM"].data["RATE"])


RATES = np.array([1.0, np.nan, 3.0, 4.0, 5.0, 6.0])
ERRORS = np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0])


def measured(quality):
    """A spectrum of which two channels can't be used: with a column QUALITY, or without."""
    hdu = like.spectrum(values={"RATE": RATES, "STAT_ERR": ERRORS})
    columns = [column for column in hdu.columns if column.name != "QUALITY"]
    if quality is not None:
        columns.append(fits.Column("QUALITY", "I", array=quality))
    table = fits.BinTableHDU.from_columns(columns, header=hdu.header, name="SPECTRUM")
    return made(like.one_file(table), kind="spectrum")


@pytest.mark.parametrize("quality", [[0] * 6, [1, 0, 0, 0, 0, 5], [0, 1, 5, 0, 2, 0], None])
def test_quality_comes_back_as_it_was_sent(tmp_path, quality):
    products = measured(quality)
    (path,) = products.write(tmp_path / "out")["path"]
    in_file = fits.getdata(path, "SPECTRUM")["QUALITY"]
    assert in_file[[1, 2]].tolist() == [1, 5]
    again = Products.read(tmp_path / "out")
    hdu = again[0].data["SPECTRUM"]
    assert hdu.columns.names == products[0].data["SPECTRUM"].columns.names
    assert quality is None or hdu.data["QUALITY"].tolist() == quality
    np.testing.assert_array_equal(hdu.data["RATE"], RATES)
    again.write(tmp_path / "again")
    assert fits.getdata(tmp_path / "again" / Path(path).name, "SPECTRUM")["QUALITY"].tolist() == in_file.tolist()


@pytest.mark.parametrize("quality", [[0] * 6, None])
def test_quality_of_groups_stays(tmp_path, quality):
    measured(quality).write(tmp_path / "out", group=5.5)
    data = Products.read(tmp_path / "out")[0].data["SPECTRUM"].data
    assert data["GROUPING"].tolist() == [1, 1, 1, 1, -1, 1]
    # 2 is what is left over in front of a bad channel
    assert data["QUALITY"].tolist() == [2, 0, 0, 0, 0, 0]


# ---- several analyses in one directory


def test_analyses_in_one_directory_do_not_mix(recorded, tmp_path):
    names = ["isgri_lc_real", "isgri_spectrum_real"]
    analyses = [Products.from_response(recorded(name)) for name in names]
    for products in analyses:
        products.write(tmp_path / "out")
    with pytest.raises(ParameterError, match=f"job_id=.*{min(products.job_id for products in analyses)}"):
        Products.read(tmp_path / "out")
    for products in analyses:
        same_products(products, Products.read(tmp_path / "out", job_id=products.job_id))
    with pytest.raises(DecodingError, match=analyses[0].job_id):
        Products.read(tmp_path / "out", job_id="0123456789abcdef")


def test_parts_of_an_analysis_come_together(recorded, tmp_path):
    products = Products.from_response(recorded("isgri_spectrum_real"))
    for source in products.sources:
        products.select(source=source).write(tmp_path / "out")
    same_products(products, Products.read(tmp_path / "out"))
    products.select(source="Crab").write(tmp_path / "out", overwrite=True)
    assert {each.name for each in Products.read(tmp_path / "out")} == {each.name for each in products}
    assert len(list((tmp_path / "out").glob("mmoda-*.json"))) == 1


def test_spectra_and_responses_in_any_order(recorded, tmp_path):
    products = Products.from_response(recorded("isgri_spectrum_real"))
    shuffled = Products(
        [products[number] for number in (2, 3, 0, 5, 4, 1)], parameters=products.parameters, job_id=products.job_id
    )
    shuffled.write(tmp_path / "out")
    same_products(shuffled, Products.read(tmp_path / "out"))


def test_a_foreign_index_is_not_overwritten(written):
    directory, products = written
    (path,) = directory.glob("mmoda-*.json")
    path.write_text("{}")
    shutil.copytree(directory, directory.with_name("kept"))
    with pytest.raises(FileExistsError, match="nothing was written"):
        products.write(directory, overwrite=True)
    for file in directory.iterdir():
        assert file.read_bytes() == (directory.with_name("kept") / file.name).read_bytes()


def test_without_a_job_id_the_question_tells_analyses_apart(tmp_path):
    def made(name, energy):
        entry = Entry(name, "text", name, _as_it_is)
        return Products([Product(entry, name, "")], parameters={"E1_keV": energy, "session_id": "A" * 16})

    made("a", 20.0).write(tmp_path / "out")
    made("b", 20.0).write(tmp_path / "out")
    with pytest.raises(FileExistsError, match="another directory"):
        made("c", 30.0).write(tmp_path / "out")
    again = Products.read(tmp_path / "out")
    assert [each.data for each in again] == ["a", "b"]
    assert again.parameters == {"E1_keV": 20.0}


# ---- data of all kinds


def _as_it_is(raw, what, allowance):
    return raw


def made(data, name="thing", kind="other", **meta):
    return Products([Product(Entry(name, kind, data, _as_it_is, meta), name, "Cyg X-1")], job_id="0123")


def test_texts_that_a_table_could_lose(tmp_path):
    table = Table({"plain": ["", "a", 'b "c"'], "number": [1.0, np.nan, 3.0], "MMODA": [1, 2, 3]})
    table["some"] = MaskedColumn(["", "x", "y"], mask=[False, True, False], description="d", meta={"k": 1})
    table["all"] = MaskedColumn([1, 2, 3], mask=[False, False, False], unit="keV")
    table["deep"] = np.arange(6).reshape(3, 2)
    table.meta.update({"when": "2020-01-01", "nested": {"a": [1, None]}})
    made(table, kind="table").write(tmp_path / "out")
    again = Products.read(tmp_path / "out")[0].data
    same_tables(table, again)
    assert (again["some"].description, again["some"].meta) == ("d", {"k": 1})
    assert Table.read(tmp_path / "out" / "thing.ecsv", format="ascii.ecsv").meta["MMODA"]["job_id"] == "0123"


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        ("line\r\nβ Cas\n", "txt"),
        ("half \ud800", "txt"),
        ({"a": [1, None, 2.5, float("inf")], "β": True}, "json"),
        (None, "json"),
        (7, "json"),
        (b"\x00\xff", "bin"),
        (b"", "bin"),
    ],
)
def test_plain_values(tmp_path, data, ending):
    made(data).write(tmp_path / "out")
    assert (tmp_path / "out" / f"thing.{ending}").exists()
    assert Products.read(tmp_path / "out")[0].data == data


def test_a_file_of_the_service_keeps_its_own_cards(tmp_path):
    primary = fits.PrimaryHDU(np.arange(4))
    primary.header["ORIGIN"], primary.header["JOB_ID"] = ("ISDC", "theirs"), fits.card.Undefined()
    primary.header["HISTORY"] = "their own"
    columns = [
        fits.Column("N", "PJ()", array=np.array([[1], [2, 3]], dtype=object)),
        fits.Column("U", "I", bzero=32768, array=np.array([1, 65535], dtype="u2")),
        fits.Column("L", "L", array=[True, False]),
    ]
    # not in one table: versions of astropy before 7 make a wrong sum of it
    tables = [fits.BinTableHDU.from_columns(some, name="T", ver=3) for some in (columns[:1], columns[1:])]
    products = made(fits.HDUList([primary, *tables]), kind="array")
    products.write(tmp_path / "out")
    with fits.open(tmp_path / "out" / "thing.fits", checksum=True) as hdulist:
        assert hdulist[0].header["ORIGIN"] == "ISDC"
        assert hdulist[0].header["JOB_ID"] == "0123"
    again = Products.read(tmp_path / "out")[0].data
    same_hdus(products[0].data, again)
    assert next(iter(again[0].header["HISTORY"])) == "their own"
    assert isinstance(primary.header["JOB_ID"], fits.card.Undefined)
    assert "CHECKSUM" not in primary.header
    assert "DATE" not in primary.header
    Products.read(tmp_path / "out").write(tmp_path / "again")
    with fits.open(tmp_path / "again" / "thing.fits") as hdulist:
        assert list(hdulist[0].header["HISTORY"]) == list(again[0].header["HISTORY"])


# ---- files that were damaged, and indexes that lie


def test_a_missing_file(written):
    directory, _ = written
    (directory / "isgri_lc_Crab.fits").unlink()
    with pytest.raises(DecodingError, match=r"isgri_lc_Crab\.fits.*missing"):
        Products.read(directory)


def test_a_cut_file(written):
    directory, _ = written
    path = directory / "isgri_lc_Crab.fits"
    path.write_bytes(path.read_bytes()[:-2880])
    with pytest.raises(DecodingError, match=r"isgri_lc_Crab\.fits.*damaged"):
        Products.read(directory)


def test_a_file_that_changes_later(written):
    directory, _ = written
    again = Products.read(directory)
    path = directory / "isgri_lc_Crab.fits"
    data = bytearray(path.read_bytes())
    data[-3000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DecodingError, match=r"isgri_lc_Crab\.fits.*damaged"):
        again.lightcurve()
    path.unlink()
    with pytest.raises(DecodingError, match=r"isgri_lc_Crab\.fits"):
        again.lightcurve()
    again["isgri_lc_2"].data.info(output=False)  # the other one is whole


def test_no_index(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DecodingError, match=r"no index \(mmoda-<job id>\.json\)"):
        Products.read(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        Products.read(tmp_path / "nowhere")


def change(directory, function):
    """Let somebody write into the index."""
    (path,) = directory.glob("mmoda-*.json")
    index = json.loads(path.read_text())
    function(index)
    path.write_text(json.dumps(index))


HOSTILE_NAMES = [
    "../secret.txt",
    "/etc/hostname",
    "sub/secret.txt",
    "..",
    ".",
    ".hidden",
    "",
    "C:\\secret.txt",
    "sub\\secret.txt",
    "a\0b",
    "\N{FULLWIDTH FULL STOP}\N{FULLWIDTH FULL STOP}",
    "mmoda-x.json",
    "a" * 300,
    5,
    None,
    ["a"],
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_an_index_opens_no_other_files(written, name, monkeypatch):
    directory, _ = written
    change(directory, lambda index: index["products"][0]["files"][0].update(name=name))
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *args, **options: opened.append(str(path)) or real(path, *args))
    with pytest.raises(DecodingError, match="index") as caught:
        Products.read(directory)
    assert len(str(caught.value)) < 2000
    assert all(Path(path).parent == directory and Path(path).name.startswith("mmoda-") for path in opened)


def test_a_link_is_not_followed(written, tmp_path):
    directory, _ = written
    path = directory / "isgri_lc_Crab.fits"
    secret = tmp_path / "secret"
    shutil.move(path, secret)
    path.symlink_to(secret)
    change(directory, lambda index: index["products"][0]["files"][0].update(size=os.lstat(path).st_size))
    with pytest.raises(DecodingError, match="link"):
        Products.read(directory)[0].data  # noqa: B018 - looking opens the file


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_does_not_block(written):
    directory, _ = written
    path = directory / "isgri_lc_Crab.fits"
    path.unlink()
    os.mkfifo(path)
    change(directory, lambda index: index["products"][0]["files"][0].update(size=0))
    with pytest.raises(DecodingError, match="not a plain file"):
        Products.read(directory)[0].data  # noqa: B018


def test_a_linked_or_huge_index_is_refused(written, tmp_path):
    directory, _ = written
    (path,) = directory.glob("mmoda-*.json")
    shutil.move(path, tmp_path / "index")
    path.symlink_to(tmp_path / "index")
    with pytest.raises(DecodingError, match=rf"{path.name}.*link"):
        Products.read(directory)
    path.unlink()
    with open(path, "wb") as file:
        file.truncate(60_000_000)  # a hole, no bytes on the disk
    with pytest.raises(DecodingError, match=rf"{path.name}.*50000000 bytes"):
        Products.read(directory)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "null", '{"format": "other"}', "[" * 100_000, "\xff"], ids=lambda text: text[:20]
)
def test_an_index_that_is_none(written, text):
    directory, _ = written
    (path,) = directory.glob("mmoda-*.json")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DecodingError, match=path.name) as caught:
        Products.read(directory)
    assert len(str(caught.value)) < 2000


WRONG = [
    (key, value)
    for key, values in {
        "version": [2, "3", None],
        "job_id": [7, None, []],
        "service": [{}],
        "comment": [["a"]],
        "parameters": [[], "a", None],
        "meta": [[], 3],
        "products": [None, [1], [{}], "abc", [None]],
    }.items()
    for value in values
]
WRONG_PRODUCT = [
    (key, value)
    for key, values in {
        "name": [None, 3, {}],
        "kind": ["evil", None, 1],
        "source": [{}],
        "meta": [[]],
        "format": ["pickle", "image", None, ["fits"]],
        "files": [{}, None, [], ["isgri_lc_Crab.fits"]],
        "options": [[], None],
    }.items()
    for value in values
]
WRONG_FILE = [("size", -1), ("size", True), ("size", "12"), ("size", 1.0), ("sha256", None)]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_wrong_types_in_an_index(written, key, value):
    directory, _ = written
    change(directory, lambda index: index.update({key: value}))
    with pytest.raises(DecodingError, match="index"):
        Products.read(directory)


@pytest.mark.parametrize(("key", "value"), WRONG_PRODUCT)
def test_wrong_types_in_a_product_of_an_index(written, key, value):
    directory, _ = written
    change(directory, lambda index: index["products"][0].update({key: value}))
    with pytest.raises(DecodingError, match="index"):
        Products.read(directory)


@pytest.mark.parametrize(("key", "value"), WRONG_FILE)
def test_wrong_types_in_a_file_of_an_index(written, key, value):
    directory, _ = written
    change(directory, lambda index: index["products"][0]["files"][0].update({key: value}))
    with pytest.raises(DecodingError, match="index"):
        Products.read(directory)


@pytest.mark.parametrize("form", ["fits", "ecsv", "text", "json"])
def test_a_file_of_another_format_than_the_index_says(written, form):
    directory, _ = written
    change(directory, lambda index: index["products"][0].update(format=form, options={}))
    with pytest.raises(DecodingError, match=r"isgri_lc_Crab\.fits"):
        Products.read(directory)[0].data  # noqa: B018


def test_nothing_is_unpacked(written):
    directory, _ = written
    path = directory / "isgri_lc_Crab.fits"
    data = gzip.compress(path.read_bytes())
    path.write_bytes(data)
    sums = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    change(directory, lambda index: index["products"][0]["files"][0].update(sums))
    with pytest.raises(DecodingError, match="not a FITS file"):
        Products.read(directory)[0].data  # noqa: B018


@pytest.mark.parametrize(
    "options", [{}, {"hdus": 5}, {"hdus": []}, {"hdus": [[1, 2]]}, {"hdus": [[0, 99, "", 1, 0, []]]}]
)
def test_wrong_options_of_a_format(written, options):
    directory, _ = written
    change(directory, lambda index: index["products"][0].update(options=options))
    with pytest.raises(DecodingError, match=r"isgri_lc_Crab\.fits"):
        Products.read(directory)[0].data  # noqa: B018
