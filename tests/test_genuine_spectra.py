"""Spectra as the genuine service sends them: files and replies that are not ours, where they lie."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astroquery_mmoda import Products, spectrum_table, write_spectra
from tests.genuine_like.encode import product, reply
from tests.genuine_like.spectra import folded


@dataclass(frozen=True)
class Genuine:
    """Files of one spectrum, and the reply that has them (if not ours)."""

    spectrum: str
    arf: str
    rmf: str
    reply: str
    source: str


SETS = {
    "jemx": Genuine(
        "JMX1_spectrum_GRB221009A.fits",
        "JMX1_arf_GRB221009A.fits",
        "JMX1_rmf_GRB221009A.fits",
        "jemx_spectrum.json.gz",
        "GRB221009A",
    ),
    "isgri": Genuine("isgri_phaI.fits.gz", "isgri_arf.fits.gz", "isgri_rmf.fits.gz", "isgri_spectrum.json.gz", "Crab"),
    "spi": Genuine("spi_spectrum_GRB221009A.fits", "", "spi_rmf_GRB221009A.fits", "", "GRB221009A"),
}
# what is decided for files: numbering and classes, links, and what a file has of itself
MENDED = ("TLM", "TFORM", "TDIM", "TUNIT", "HDUCLAS", "CHECKSUM", "DATASUM", "EXTNAME", "DETCHANS")
MENDED += (
    "RESPFILE",
    "ANCRFILE",
    "BACKFILE",
    "CORRFILE",
    "POISSERR",
    "OBS_ID",
    "DATE-",
    "SYS_ERR",
    "QUALITY",
    "GROUPING",
)

# what stands for a value that nobody filled in
WORDS = {"", "String", "Integer", "Real", "UTC_format"}

pytestmark = [
    # the files are as they are: units in odd spelling and cards that the standard does not have
    pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning"),
    pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning"),
]


@pytest.fixture(params=list(SETS))
def files(request):
    """Names of the files of one instrument."""
    return SETS[request.param]


@pytest.fixture
def products(genuine, files):
    """The reply that has them."""
    if files.reply:
        return Products.from_response(gzip.open(genuine / "replies" / files.reply).read())
    parts = [("spectrum", files.spectrum), ("rmf", files.rmf)]
    encoded = [product(_whole(genuine / name), src_name=files.source, product=f"spi_{kind}") for kind, name in parts]
    return Products.from_response(reply(*encoded))


def _whole(path):
    """All of a FITS file in memory."""
    with fits.open(path, memmap=False, lazy_load_hdus=False) as hdulist:
        return fits.HDUList([hdu.copy() for hdu in hdulist])


def _original(genuine, files, kind):
    return _whole(genuine / getattr(files, kind))


def same_values(ours, theirs):
    """All columns of a table, value by value."""
    assert [name.upper() for name in ours.columns.names] == [name.upper() for name in theirs.columns.names]
    for name in theirs.columns.names:
        one, other = (np.asarray(hdu.data[name]) for hdu in (ours, theirs))
        if one.dtype.kind == "U":  # blanks behind a text mean nothing
            one, other = np.char.rstrip(one), np.char.rstrip(other)
        np.testing.assert_array_equal(one.reshape(other.shape), other, err_msg=name)


def test_every_table_is_that_of_the_file(genuine, files, products):
    assert products.sources == [files.source]
    for each in products:
        original = _original(genuine, files, each.kind)
        assert [hdu.name for hdu in each.data] == [hdu.name for hdu in original]
        for ours, theirs in zip(each.data[1:], original[1:], strict=True):
            same_values(ours, theirs)


def test_roles(genuine, files, products):
    spectra = products.spectrum()
    roles = ["SPECTRUM", *(["SPECRESP"] if files.arf else []), "EBOUNDS", "MATRIX"]
    assert [hdu.name for hdu in spectra[1:]] == [*roles, "SOURCES"]
    rmf = {hdu.columns.names[-1]: hdu for hdu in _original(genuine, files, "rmf")[1:]}
    same_values(spectra["SPECTRUM"], _original(genuine, files, "spectrum")[-1])
    same_values(spectra["MATRIX"], rmf["MATRIX"])
    same_values(spectra["EBOUNDS"], rmf["E_MAX"])
    if files.arf:
        same_values(spectra["SPECRESP"], _original(genuine, files, "arf")[1])


def test_numbers_of_jemx(genuine):
    products = Products.from_response(gzip.open(genuine / "replies" / "jemx_spectrum.json.gz").read())
    spectra = products.spectrum()
    assert spectra["SPECRESP"].data["SPECRESP"].max() == pytest.approx(64.68, abs=0.005)
    assert spectra["SPECRESP"].columns["SPECRESP"].unit == "cm**2"
    assert spectra["MATRIX"].data["MATRIX"].shape == (500, 16)
    assert spectrum_table(spectra)["e_min"][0] == pytest.approx(3.04, abs=1e-6)


def test_table(genuine, files, products):
    table = spectrum_table(products.spectrum())
    spectrum, bounds = (
        next(hdu for hdu in _original(genuine, files, kind)[1:] if column in hdu.columns.names)
        for kind, column in (("spectrum", "RATE"), ("rmf", "E_MIN"))
    )
    width = (bounds.data["E_MAX"] - bounds.data["E_MIN"]).astype(float)
    np.testing.assert_allclose(table["e_min"], bounds.data["E_MIN"], rtol=1e-7)
    np.testing.assert_allclose(table["rate"], spectrum.data["RATE"] / width, rtol=1e-5)
    np.testing.assert_allclose(table["error"], spectrum.data["STAT_ERR"] / width, rtol=1e-5)
    np.testing.assert_array_equal(table["quality"], spectrum.data["QUALITY"])
    assert not [value for value in table.meta.values() if value in ("Real", "String")]


def test_picture(products):
    pytest.importorskip("matplotlib")
    from astroquery_mmoda.plotting import plot_spectrum

    table = spectrum_table(products.spectrum())
    axes = plot_spectrum(products.spectrum(), limits=True)
    good = table[table["quality"] == 0]
    low, high = axes.get_xlim()
    assert low < good["e_max"].min()
    assert high > good["e_min"].max()


def _cards(header):
    return {
        key: header[key] for key in header if key and key not in ("COMMENT", "HISTORY") and not key.startswith(MENDED)
    }


@pytest.mark.parametrize("options", [{}, {"group": 3.0, "systematic": 0.03}])
def test_written_and_read_again(genuine, files, products, tmp_path, options):
    manifest = products.write(tmp_path / "out", **options)
    kinds = ["spectrum", *(["arf"] if files.arf else []), "rmf"]
    assert list(manifest["kind"]) == kinds
    header = fits.getheader(manifest["path"][0], "SPECTRUM")
    names = {kind: Path(path).name for path, kind in manifest.iterrows("path", "kind")}
    assert (header["RESPFILE"], header["ANCRFILE"]) == (names["rmf"], names.get("arf", "none"))
    again = Products.read(tmp_path / "out")
    assert [(each.name, each.kind, each.source) for each in again] == [
        (each.name, each.kind, each.source) for each in products
    ]
    for each in again:
        original = _original(genuine, files, each.kind)
        assert [hdu.name for hdu in each.data] == [hdu.name for hdu in original]
        for ours, theirs in zip(each.data[1:], original[1:], strict=True):
            if options and "RATE" in theirs.columns.names:
                assert (ours.data["SYS_ERR"] == np.float32(0.03)).all()
                assert set(ours.data["GROUPING"]) == {-1, 1}
                continue
            same_values(ours, theirs)
            cards = _cards(theirs.header)
            kept = {key: value for key, value in _cards(ours.header).items() if key in cards}
            changed = {key: cards[key] for key in cards if kept.get(key) != cards[key]}
            assert {str(value).strip() for value in changed.values()} <= WORDS


def test_no_card_without_a_value(products, tmp_path):
    for path in products.write(tmp_path / "out")["path"]:
        with fits.open(path, checksum=True) as hdulist:
            hdulist.verify("exception")
            for hdu in hdulist:
                values = {
                    str(value).strip() for key, value in hdu.header.items() if key not in ("COMMENT", "HISTORY", "")
                }
                assert not values & WORDS
                assert None not in hdu.header.values()


@pytest.mark.parametrize(
    ("name", "first", "count", "content"),
    [("jemx", 1, 16, "REDIST"), ("isgri", 0, 256, "FULL"), ("spi", 1, 10, "FULL")],
)
def test_one_numbering(genuine, request, tmp_path, name, first, count, content):
    files = SETS[name]
    parts = [kind for kind in ("spectrum", "arf", "rmf") if getattr(files, kind)]
    encoded = [
        product(_original(genuine, files, kind), src_name=files.source, product=f"{name}_{kind}") for kind in parts
    ]
    spectra = Products.from_response(reply(*encoded)).spectrum()
    paths = {kind: path for path, kind in write_spectra(spectra, tmp_path / "out").iterrows("path", "kind")}
    with fits.open(paths["spectrum"]) as pha, fits.open(paths["rmf"]) as rmf:
        matrix = next(hdu for hdu in rmf if hdu.name in ("MATRIX", "SPECRESP MATRIX"))
        assert (matrix.name == "SPECRESP MATRIX") == (content == "FULL")
        assert matrix.header["HDUCLAS3"] == content
        assert pha["SPECTRUM"].header["HDUCLAS2"] == "NET"
        for hdu, place, column in (
            (pha["SPECTRUM"], 1, "CHANNEL"),
            (rmf["EBOUNDS"], 1, "CHANNEL"),
            (matrix, 4, "F_CHAN"),
        ):
            limits = (hdu.header[f"TLMIN{place}"], hdu.header[f"TLMAX{place}"], hdu.header["DETCHANS"])
            assert limits == (first, first + count - 1, count)
            assert np.min(hdu.data[column]) == first
    if "arf" in paths:
        assert fits.getheader(paths["arf"], "SPECRESP").get("TUNIT3") == (None if name == "isgri" else "cm**2")


def test_fold_of_isgri(genuine, tmp_path):
    products = Products.from_response(gzip.open(genuine / "replies" / "isgri_spectrum.json.gz").read())
    path = Path(products.write(tmp_path / "out")["path"][0])
    response = fits.getdata(genuine / "isgri_rmf.fits.gz", "ISGR-RMF.-RSP")
    low, high = (response[name].astype(float) for name in ("ENERG_LO", "ENERG_HI"))
    photons = 10 / 1.1 * (low**-1.1 - high**-1.1)
    rates, energies = folded(path, photons)
    assert rates.sum() == pytest.approx(366.05090633, rel=1e-6)
    np.testing.assert_allclose(rates, photons @ response["MATRIX"], rtol=1e-6)
    assert energies[0] == 12.5
