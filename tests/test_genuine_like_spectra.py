"""Spectra with the shapes of genuine ones: which table is what, channels, classes, missing cards, options, names."""

import base64
import itertools
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astroquery.exceptions import CorruptDataWarning, InputWarning

from astroquery_mmoda import DecodingError, ParameterError, Products, spectrum_table, write_spectra
from astroquery_mmoda.products import cards as headers
from tests.genuine_like import spectra as like
from tests.genuine_like.encode import product, reply

NAMES = {"jemx": "JMX1", "isgri": "IBIS", "spi": "SPI"}


def made(parts, **options):
    """Products of one source from files by kind."""
    return Products.from_response(reply(*like.products(parts, **options)))


def written(products, directory, **options):
    """Paths of the files by kind."""
    return {kind: Path(path) for path, kind in products.write(directory, **options).iterrows("path", "kind")}


def check_fold(path, *, factor=like.AREA):
    """Each line appears in its channel, whose energies are right."""
    for channel in range(like.CHANNELS):
        rates, energies = like.folded(path, like.line(channel))
        expected = np.zeros(like.CHANNELS)
        expected[channel] = np.sum(np.broadcast_to(factor, like.AREA.shape)[like.line(channel) > 0])
        np.testing.assert_allclose(rates, expected, rtol=1e-6)
        np.testing.assert_allclose(energies, like.E_MIN)


# ---- which table is what


@pytest.mark.parametrize("order", list(itertools.permutations(["spectrum", "arf", "rmf"])))
def test_roles_are_those_of_the_products(order):
    parts = like.jemx()
    spectra = made({kind: parts[kind] for kind in order}).spectrum()
    assert [hdu.name for hdu in spectra[1:]] == ["SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX", "SOURCES"]
    np.testing.assert_allclose(spectra["SPECRESP"].data["SPECRESP"], like.AREA)
    assert spectra["SPECRESP"].columns["SPECRESP"].unit == "cm**2"


@pytest.mark.parametrize("others", [["JMX1-AXIS-ARF", "JMX1-IMAG-ARF"], ["OLD"]])
def test_the_area_that_fits_best(others):
    parts = like.jemx()
    parts["arf"] = like.one_file(*(like.area(name, values=7.0) for name in others), like.area())
    np.testing.assert_allclose(made(parts).spectrum()["SPECRESP"].data["SPECRESP"], like.AREA)
    # neither has the usual name: the first one
    parts["arf"] = like.one_file(like.area("FIRST"), *(like.area(name, values=7.0) for name in others))
    np.testing.assert_allclose(made(parts).spectrum()["SPECRESP"].data["SPECRESP"], like.AREA)
    # a name without the columns is not enough
    parts["arf"] = like.one_file(like.table("SPECRESP", [like.column("NOTE", "2A", ["a"])]), like.area("OTHER"))
    np.testing.assert_allclose(made(parts).spectrum()["SPECRESP"].data["SPECRESP"], like.AREA)


def test_an_area_inside_of_a_response_takes_no_role():
    parts = like.jemx()
    del parts["arf"]
    assert [hdu.name for hdu in made(parts).spectrum()[1:]] == ["SPECTRUM", "EBOUNDS", "MATRIX", "SOURCES"]


def together():
    parts = like.jemx()
    tables = [hdu for part in ("spectrum", "arf", "rmf") for hdu in parts[part][1:]]
    return {"spectrum": like.one_file(*tables)}


@pytest.mark.parametrize("meta", [{"product": "jemx_spectrum"}, {}])
def test_one_product_with_everything(tmp_path, meta):
    encoded = product(together()["spectrum"], src_name="Test 1", **meta)
    products = Products.from_response(reply(encoded))
    assert products[0].kind == "spectrum"
    spectra = products.spectrum()
    assert [hdu.name for hdu in spectra[1:]] == ["SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX", "SOURCES"]
    np.testing.assert_allclose(spectra["SPECRESP"].data["SPECRESP"], like.AREA)
    assert list(products.write(tmp_path / "out")["kind"]) == ["spectrum", "arf", "rmf"]
    check_fold(tmp_path / "out" / "Test_1_pha.fits")
    again = Products.read(tmp_path / "out")
    assert [hdu.name for hdu in again[0].data] == [hdu.name for hdu in products[0].data]
    np.testing.assert_array_equal(again[0].data["EBOUNDS"].data["CHANNEL"], np.arange(like.CHANNELS))


@pytest.mark.parametrize("name", list(NAMES))
def test_kinds_by_structure(name):
    parts = getattr(like, name)()
    products = Products.from_response(reply(*(product(file, src_name="Test 1") for file in parts.values())))
    assert [each.kind for each in products] == list(parts)
    assert spectrum_table(products.spectrum())["e_min"][0] == like.LOW


def test_kinds_by_columns():
    plain = {
        "spectrum": [like.column("CHANNEL", "I", [0, 1]), like.column("RATE", "E", [1, 2])],
        "arf": [like.column("ENERG_LO", "E", [1, 2]), like.column("SPECRESP", "E", [1, 2])],
        "rmf": [like.column("CHANNEL", "I", [0, 1]), like.column("E_MIN", "E", [1, 2])],
        "table": [like.column("E_MIN", "E", [1, 2]), like.column("MATRIX", "E", [1, 2])],
    }
    encoded = [product(like.one_file(like.table("T", columns))) for columns in plain.values()]
    assert [each.kind for each in Products.from_response(reply(*encoded))] == list(plain)


def test_spectra_of_no_source(tmp_path):
    parts = like.jemx()
    encoded = [product(file, name=f"part {kind}", product=f"jemx_{kind}") for kind, file in parts.items()]
    products = Products.from_response(reply(*encoded))
    assert products.sources == []
    assert products.spectrum()["SOURCES"].data["SRC_NAME"].tolist() == ["part spectrum"]
    check_fold(written(products, tmp_path / "out")["spectrum"])


def test_two_spectra_of_one_source_are_both_there(tmp_path):
    parts = [like.jemx(), like.isgri()]
    encoded = [each for number, part in enumerate(parts) for each in like.products(part, instrument=f"set{number}")]
    products = Products.from_response(reply(*encoded))
    spectra = products.spectrum()
    assert spectra["SOURCES"].data["SRC_NAME"].tolist() == ["Test 1"] * 2
    assert [spectra["SPECTRUM", number].header["INSTRUME"] for number in (1, 2)] == ["JMX1", "IBIS"]
    with pytest.raises(ParameterError, match="Test 1, Test 1"):
        spectrum_table(spectra, "Test 1")
    assert len(products.write(tmp_path / "out")) == 6


# ---- channels


STARTS = [
    # first number and TLMIN of spectrum, EBOUNDS and matrix
    ((1, 1), (0, 0), (1, 1)),
    ((1, None), (1, None), (1, None)),
    ((0, None), (0, None), (0, None)),
    ((1, 1), (1, None), (0, 0)),
    ((1, None), (1, "Integer"), (1, "Integer")),
    ((0, 0), (1, 1), (1, None)),
    ((0, "Integer"), (1, None), (0, None)),
    ((1, None), (0, None), (1, None)),
    ((7, 7), (3, 3), (5, 5)),
]


def numbered(spectrum, bounds, matrix, *, make=like.matrix, **options):
    cards = [
        {} if least is None else {key: least}
        for key, (_, least) in zip(("TLMIN1", "TLMIN1", "TLMIN4"), (spectrum, bounds, matrix), strict=True)
    ]
    return {
        "spectrum": like.one_file(like.spectrum(spectrum[0], **cards[0])),
        "arf": like.one_file(like.area()),
        "rmf": like.one_file(like.bounds(bounds[0], **cards[1]), make(matrix[0], **cards[2], **options)),
    }


@pytest.mark.parametrize("starts", STARTS)
def test_channels_are_compared_by_their_place(starts):
    table = spectrum_table(made(numbered(*starts)).spectrum())
    np.testing.assert_allclose(table["e_min"], like.E_MIN)
    np.testing.assert_allclose(table["rate"], like.RATES / like.WIDTH)


@pytest.mark.parametrize("make", [like.matrix, like.short_matrix])
@pytest.mark.parametrize("starts", STARTS)
def test_files_have_one_numbering(tmp_path, starts, make):
    products = made(numbered(*starts, make=make))
    paths = written(products, tmp_path / "out")
    check_fold(paths["spectrum"])
    first = starts[0][0]
    with fits.open(paths["spectrum"]) as pha, fits.open(paths["rmf"]) as rmf:
        places = {"SPECTRUM": (pha, 1), "EBOUNDS": (rmf, 1), "MATRIX": (rmf, 4)}
        for name, (file, column) in places.items():
            header = file[name].header
            limits = (header[f"TLMIN{column}"], header[f"TLMAX{column}"], header["DETCHANS"])
            assert limits == (first, first + like.CHANNELS - 1, like.CHANNELS)
    again = Products.read(tmp_path / "out")
    for ours, theirs in zip(again, products, strict=True):
        for one, other in zip(ours.data[1:], theirs.data[1:], strict=True):
            for column in {"CHANNEL", "F_CHAN"} & set(other.columns.names):
                np.testing.assert_array_equal(np.ravel(one.data[column]), np.ravel(other.data[column]))
    assert spectrum_table(again.spectrum())["e_min"][0] == like.LOW


def test_a_matrix_whose_low_channels_are_empty(tmp_path):
    starts = ((1, 1), (1, None), (1, None))
    path = written(made(numbered(*starts, make=like.short_matrix, empty=2)), tmp_path / "out")["spectrum"]
    rates, energies = like.folded(path, like.line(3))
    assert np.flatnonzero(rates).tolist() == [3]
    assert energies[3] == like.E_MIN[3]
    assert not like.folded(path, like.line(1))[0].any()


@pytest.mark.parametrize("groups", ["fixed", "variable"])
def test_several_groups_are_numbered_anew(tmp_path, groups):
    """Two groups in some rows, one in others; numbers of groups without channels mean nothing."""
    half = like.CHANNELS // 2
    hdu = like.matrix(0)
    rows = len(hdu.data)
    firsts, lengths = np.tile([0, half], (rows, 1)), np.tile([half, half], (rows, 1))
    counts = np.full(rows, 2)
    firsts[0], lengths[0], counts[0] = (0, 0), (like.CHANNELS, 0), 1
    form = "2I" if groups == "fixed" else "PI(2)"
    arrays = [firsts, lengths] if groups == "fixed" else [_ragged(values, counts) for values in (firsts, lengths)]
    columns = [column for column in hdu.columns if column.name in ("ENERG_LO", "ENERG_HI", "MATRIX")]
    columns[2:2] = [
        fits.Column("N_GRP", "I", array=counts),
        fits.Column("F_CHAN", form, array=arrays[0]),
        fits.Column("N_CHAN", form, array=arrays[1]),
    ]
    matrix = fits.BinTableHDU.from_columns(columns, header=hdu.header, name="MATRIX")
    matrix.header["TLMIN4"] = 0
    parts = numbered((1, 1), (0, 0), (0, 0)) | {"rmf": like.one_file(like.bounds(0), matrix)}
    paths = written(made(parts), tmp_path / "out")
    with fits.open(paths["rmf"]) as rmf:
        data = rmf["MATRIX"].data
        assert np.asarray(data["F_CHAN"][0])[0] == 1
        assert np.asarray(data["F_CHAN"][1]).tolist() == [1, half + 1]
        assert rmf["MATRIX"].header["TLMIN4"] == 1
        if groups == "fixed":
            assert data["F_CHAN"][0][1] == 0
    again = Products.read(tmp_path / "out").select(kind="rmf")[0].data["MATRIX"]
    for ours, theirs in zip(again.data["F_CHAN"], matrix.data["F_CHAN"], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.header["TLMIN4"] == 0


def _ragged(values, counts):
    rows = np.empty(len(values), dtype=object)
    for index, (row, count) in enumerate(zip(values, counts, strict=True)):
        rows[index] = row[:count].astype("i2")
    return rows


@pytest.mark.parametrize(
    "starts", [((1, 0), (1, 1), (1, 1)), ((1, 1), (1, 1), (1, 0)), ((0, 1), (0, 0), (0, 0)), ((0, 0), (0, 0), (0, 1))]
)
def test_a_start_that_cannot_be_is_told(tmp_path, starts):
    products = made(numbered(*starts))
    with pytest.warns(CorruptDataWarning, match="TLMIN"):
        paths = written(products, tmp_path / "out")
    check_fold(paths["spectrum"])


def test_channels_that_are_missing():
    parts = numbered((1, 1), (1, 1), (1, 1))
    parts["rmf"][1].data = parts["rmf"][1].data[:-1]
    with pytest.raises(DecodingError, match="missing in its EBOUNDS"):
        spectrum_table(made(parts).spectrum())


def test_a_part_of_the_channels(tmp_path):
    parts = numbered((1, 1), (0, 0), (1, 1))
    parts["spectrum"][1].data = parts["spectrum"][1].data[2:5]
    products = made(parts)
    np.testing.assert_allclose(spectrum_table(products.spectrum())["e_min"], like.E_MIN[2:5])
    path = written(products, tmp_path / "out")["spectrum"]
    rates, energies = like.folded(path, like.line(3))
    assert (np.flatnonzero(rates).tolist(), energies.tolist()) == ([1], like.E_MIN[2:5].tolist())
    assert fits.getheader(path, "SPECTRUM")["DETCHANS"] == like.CHANNELS


# ---- what is in the files


@pytest.mark.parametrize("name", list(NAMES))
def test_nothing_is_lost_and_nothing_without_a_value(tmp_path, name):
    products = made(getattr(like, name)())
    manifest = products.write(tmp_path / "out", group=2.0, systematic=0.03)
    header = fits.getheader(manifest["path"][0], "SPECTRUM")
    assert (header["RESPFILE"], header["ANCRFILE"]) == (
        "Test_1_rmf.fits",
        "none" if name == "spi" else "Test_1_arf.fits",
    )
    assert header["INSTRUME"] == NAMES[name]
    assert header["HDUCLAS2"] == "NET"
    words = {"", "String", "Integer", "Real", "UTC_format"}
    for path in manifest["path"]:
        with fits.open(path, checksum=True) as hdulist:
            hdulist.verify("exception")
            for hdu in hdulist:
                cards = {key: value for key, value in hdu.header.items() if key != "HISTORY"}
                assert None not in cards.values()
                assert not [key for key, value in cards.items() if value in words]
    for ours, theirs in zip(Products.read(tmp_path / "out"), products, strict=True):
        assert [hdu.name for hdu in ours.data] == [hdu.name for hdu in theirs.data]
        for one, other in zip(ours.data[1:], theirs.data[1:], strict=True):
            for column in other.columns.names:
                if column not in ("GROUPING", "QUALITY", "SYS_ERR"):
                    one_values, other_values = (np.ravel(hdu.data[column]) for hdu in (one, other))
                    np.testing.assert_array_equal(one_values, other_values)


def test_mandatory_cards_are_completed(tmp_path):
    parts = like.isgri()
    for key in ("TELESCOP", "DETNAM", "FILTER", "CHANTYPE", "HDUCLASS", "BACKSCAL"):
        parts["spectrum"][1].header[key] = "UNKNOWN"
        parts["rmf"][2].header[key] = "String"
    parts["rmf"][2].header["INSTRUME"] = "String"
    paths = written(made(parts), tmp_path / "out")
    header = fits.getheader(paths["spectrum"], "SPECTRUM")
    expected = {"TELESCOP": "UNKNOWN", "FILTER": "none", "CHANTYPE": "PI", "HDUCLASS": "OGIP", "BACKSCAL": 1.0}
    assert {key: header[key] for key in expected} == expected
    assert "DETNAM" not in header
    header = fits.getheader(paths["rmf"], "SPECRESP MATRIX")
    assert (header["INSTRUME"], header["CHANTYPE"], header["HDUCLASS"]) == ("IBIS", "PI", "OGIP")


@pytest.mark.parametrize("exposure", ["Real", None, 0.0, -5.0])
def test_an_exposure_that_is_none(tmp_path, exposure):
    parts = like.jemx()
    parts["spectrum"][1].header["EXPOSURE"] = exposure
    with pytest.warns(CorruptDataWarning, match="no EXPOSURE"):
        paths = written(made(parts), tmp_path / "out")
    assert fits.getheader(paths["spectrum"], "SPECTRUM")["EXPOSURE"] == 1


@pytest.mark.parametrize(
    ("instrument", "area", "factor", "stated", "content"),
    [
        ("JMX1", like.AREA, 1.0, "", "REDIST"),
        ("JMX1", like.AREA, 1.0, "UNKNOWN", "REDIST"),
        ("JMX1", like.AREA, 0.8, "DETECTOR", "DETECTOR"),
        ("JMX1", like.AREA, 1.4, "REDIST", "REDIST"),
        ("JMX1", like.AREA, 1.6, "REDIST", "FULL"),
        ("JMX1", 1.0, 0.5, "REDIST", "FULL"),
        ("IBIS", like.AREA, 1.0, "", "FULL"),
        ("String", None, like.AREA, "String", "FULL"),
    ],
)
def test_what_is_in_a_matrix(tmp_path, instrument, area, factor, stated, content):
    parts = {
        "spectrum": like.one_file(like.spectrum(INSTRUME=instrument)),
        "rmf": like.one_file(like.bounds(), like.matrix(factor=factor, HDUCLAS3=stated, INSTRUME=instrument)),
    }
    if area is not None:
        parts["arf"] = like.one_file(like.area(values=area))
    paths = written(made(parts), tmp_path / "out")
    header = fits.getheader(paths["rmf"], 2)
    assert header["HDUCLAS3"] == content
    assert header["EXTNAME"] == ("SPECRESP MATRIX" if content == "FULL" else "MATRIX")
    check_fold(paths["spectrum"], factor=factor * (1.0 if area is None else area))


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (1.0, None, None),
        (1.0, "no units", None),
        (2.0, None, "cm**2"),
        (1.0, "cm**2", "cm**2"),
        (0.5, "dm**2", "cm**2"),
    ],
)
def test_unit_of_an_area(tmp_path, values, unit, expected):
    parts = like.isgri()
    parts["arf"] = like.one_file(like.area(values=values, unit=unit))
    path = written(made(parts), tmp_path / "out")["arf"]
    header, data = fits.getheader(path, "SPECRESP"), fits.getdata(path, "SPECRESP")
    assert header.get("TUNIT3") == expected
    np.testing.assert_allclose(data["SPECRESP"], values * (100 if unit == "dm**2" else 1))


def test_an_area_in_other_units_is_refused(tmp_path):
    parts = like.isgri()
    parts["arf"] = like.one_file(like.area(unit="keV"))
    with pytest.raises(DecodingError, match="SPECRESP is in keV, not in cm"):
        made(parts).write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("instrument", "stated", "expected"),
    [("IBIS", "TOTAL", "NET"), ("JMX2", None, "NET"), ("MIRAX", "TOTAL", "TOTAL"), ("MIRAX", None, None)],
)
def test_background(tmp_path, instrument, stated, expected):
    parts = {"spectrum": like.one_file(like.spectrum(INSTRUME=instrument, HDUCLAS2=stated))}
    assert fits.getheader(written(made(parts), tmp_path / "out")["spectrum"], 1).get("HDUCLAS2") == expected


@pytest.mark.parametrize(
    ("unit", "factor"), [("counts/sec", 1), ("cts/s", 1), ("1/s", 1), ("ct / ks", 1e-3), (None, 1), ("no units", 1)]
)
def test_units_of_rates(tmp_path, unit, factor):
    hdu = like.spectrum()
    columns = [fits.Column(each.name, each.format, array=hdu.data[each.name]) for each in hdu.columns]
    for column in columns:
        if column.name in ("RATE", "STAT_ERR"):
            column.unit = unit
    hdu = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    hdu.header["EXPOSURE"] = 10.0
    products = made({"spectrum": like.one_file(hdu), "rmf": like.one_file(like.bounds(), like.matrix())})
    table = spectrum_table(products.spectrum())
    np.testing.assert_allclose(table["rate"] * like.WIDTH, like.RATES * factor)
    np.testing.assert_allclose(table["error"] * like.WIDTH, like.ERRORS * factor)
    path = written(products, tmp_path / "out")["spectrum"]
    header, data = fits.getheader(path, 1), fits.getdata(path, 1)
    assert (header["TUNIT2"], header["TUNIT3"]) == ("count/s", "count/s")
    np.testing.assert_allclose(data["RATE"], like.RATES * factor)
    np.testing.assert_allclose(data["STAT_ERR"], like.ERRORS * factor)


def test_what_is_no_rate_of_counts_is_written_as_it_came(tmp_path):
    hdu = like.spectrum()
    hdu.columns["RATE"].unit = "erg / (cm2 s)"
    products = made({"spectrum": like.one_file(hdu), "rmf": like.one_file(like.bounds(), like.matrix())})
    with pytest.raises(DecodingError, match="RATE is in erg"):
        spectrum_table(products.spectrum())
    with pytest.raises(DecodingError, match="RATE is in erg"):
        write_spectra(products.spectrum(), tmp_path / "spectra")
    manifest = products.write(tmp_path / "out")
    assert [Path(path).name for path in manifest["path"]] == ["jemx_spectrum_Test_1.fits", "jemx_rmf_Test_1.fits"]
    with pytest.raises(ParameterError, match="not a spectrum of channels"):
        products.write(tmp_path / "grouped", group=3.0)


def test_spectra_of_several_sources_in_one_product(tmp_path):
    """As in the files of OSA, which the service takes apart."""
    parts = like.isgri()
    parts["spectrum"] = like.one_file(
        like.spectrum(0, "ISGR-EVTS-SPE", NAME="Other"),
        like.spectrum(0, "ISGR-EVTS-SPE", values={"RATE": 2 * like.RATES}, NAME="Test 1"),
        like.spectrum(0, "ISGR-EVTS-SPE", NAME="Background"),
    )
    products = made(parts)
    with pytest.warns(InputWarning, match="left out.*: ISGR-EVTS-SPE Other, ISGR-EVTS-SPE Background"):
        spectra = products.spectrum()
    np.testing.assert_allclose(spectrum_table(spectra)["rate"], 2 * like.RATES / like.WIDTH)


def test_responses_of_several_times_in_one_product():
    parts = like.isgri()
    parts["rmf"].append(like.matrix(0, factor=like.AREA / 2, EXTVER=2))
    with pytest.warns(InputWarning, match="more than one MATRIX; left out"):
        spectra = made(parts).spectrum()
    # the one that is called so
    assert spectra["MATRIX"].data["MATRIX"].max() == pytest.approx(like.AREA.max() / 2)


COUNTS = np.array([100, 50, 25, 16, 9, 0])


def counted(*columns, **cards):
    """A spectrum of 100 s in other columns, with the area and response of JEM-X."""
    table = like.table("SPECTRUM", [like.column("CHANNEL", "I", 1 + np.arange(like.CHANNELS)), *columns])
    table.header.update({"HDUCLAS1": "SPECTRUM", "EXPOSURE": 100.0, "TLMIN1": 1} | cards)
    return like.jemx() | {"spectrum": like.one_file(table)}


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"POISSERR": True}, np.sqrt(COUNTS / 100) / 10),
        ({"POISSERR": False, "STAT_ERR": 0.25}, np.full(6, 0.25)),
        ({"POISSERR": False}, np.full(6, np.nan)),
    ],
)
def test_errors_without_a_column(tmp_path, told, error):
    products = made(counted(like.column("RATE", "D", COUNTS / 100, "count/s"), **told))
    np.testing.assert_allclose(spectrum_table(products.spectrum())["error"] * like.WIDTH, error)
    header = fits.getheader(written(products, tmp_path)["spectrum"], "SPECTRUM")
    assert {key: header.get(key) for key in told} == told


@pytest.mark.parametrize(("said", "error"), [("COUNT", np.sqrt(COUNTS) / 100), ("RATE", np.sqrt(COUNTS))])
def test_rates_and_counts(tmp_path, said, error):
    columns = [like.column("COUNTS", "J", COUNTS), like.column("RATE", "D", COUNTS / 100)]
    parts = counted(*columns, like.column("STAT_ERR", "D", np.sqrt(COUNTS)), HDUCLAS3=said)
    table = spectrum_table(made(parts).spectrum())
    np.testing.assert_allclose(table["rate"] * like.WIDTH, COUNTS / 100)
    np.testing.assert_allclose(table["error"] * like.WIDTH, error)
    assert fits.getheader(written(made(parts), tmp_path)["spectrum"], 1)["HDUCLAS3"] == said


def test_whole_numbers_that_are_scaled_or_converted(tmp_path):
    counts = like.column("COUNTS", "I", 2 * COUNTS)
    parts = counted(counts, POISSERR=True)
    bounds = [
        ("CHANNEL", np.arange(6), None),
        ("E_MIN", like.E_MIN * 1000, "eV"),
        ("E_MAX", like.E_MIN * 1000 + 1e4, "eV"),
    ]
    columns = [like.column(name, "J", values, unit) for name, values, unit in bounds]
    parts["rmf"][3] = like.table("EBOUNDS", columns, TLMIN1=0, HDUCLAS2="EBOUNDS")
    encoded = like.products(parts)
    # scaled in the file: what was written as whole numbers means the half
    unit = encoded[0]["data_unit_list"][1]
    rows = list(zip(1 + np.arange(like.CHANNELS), 2 * COUNTS, strict=True))
    stored = np.array(rows, [("CHANNEL", ">i2"), ("COUNTS", ">i2")])
    unit["binarys"] = base64.b64encode(pickle.dumps(stored)).decode()
    unit["header"]["TSCAL2"] = 0.5
    products = Products.from_response(reply(*encoded))
    assert spectrum_table(products.spectrum())["e_min"].tolist() == like.E_MIN.tolist()
    paths = written(products, tmp_path, group=20)
    assert fits.getdata(paths["spectrum"], "SPECTRUM")["COUNTS"].tolist() == COUNTS.tolist()
    assert fits.getdata(paths["rmf"], "EBOUNDS")["E_MIN"].tolist() == like.E_MIN.tolist()


def test_spectra_in_rows(tmp_path):
    """Type II of OGIP/92-007: each row is a spectrum."""
    columns = [
        like.column("CHANNEL", f"{like.CHANNELS}I", [np.arange(like.CHANNELS)]),
        like.column("RATE", f"{like.CHANNELS}D", [like.RATES], "count/s"),
    ]
    parts = like.isgri()
    parts["spectrum"] = like.one_file(like.table("SPECTRUM", columns, HDUCLAS1="SPECTRUM", EXPOSURE=10.0))
    products = made(parts)
    with pytest.raises(DecodingError, match="no CHANNEL, RATE or COUNTS of one number a row"):
        spectrum_table(products.spectrum())
    products.write(tmp_path / "out")
    again = Products.read(tmp_path / "out").select(kind="spectrum")[0].data[1]
    np.testing.assert_array_equal(again.data["RATE"], [like.RATES])


@pytest.mark.parametrize(("kind", "column"), [("spectrum", "CHANNEL"), ("rmf", "N_GRP"), ("arf", "ENERG_HI")])
def test_tables_that_lack_a_column(tmp_path, kind, column):
    parts = like.jemx()
    if kind == "rmf":
        parts["rmf"] = fits.HDUList(parts["rmf"][:4])
    for index, hdu in enumerate(parts[kind][1:], start=1):
        if column in hdu.columns.names and hdu.name != "EBOUNDS":
            kept = [each for each in hdu.columns if each.name != column]
            parts[kind][index] = fits.BinTableHDU.from_columns(kept, header=hdu.header, name=hdu.name)
    products = made(parts)
    with pytest.raises(DecodingError, match=f"it has no {column}"):
        write_spectra(products.spectrum(), tmp_path / "spectra")
    products.write(tmp_path / "out")
    for ours, theirs in zip(Products.read(tmp_path / "out"), products, strict=True):
        assert [hdu.columns.names for hdu in ours.data[1:]] == [hdu.columns.names for hdu in theirs.data[1:]]


@pytest.mark.parametrize(
    ("kind", "index", "column"),
    [("spectrum", 1, "CHANNEL"), ("spectrum", 1, "RATE"), ("rmf", 2, "F_CHAN"), ("arf", 1, "SPECRESP")],
)
def test_columns_of_another_type(tmp_path, kind, index, column):
    parts = like.jemx()
    hdu = parts[kind][index]
    columns = [
        fits.Column(each.name, "3A", array=["abc"] * len(hdu.data)) if each.name == column else each
        for each in hdu.columns
    ]
    parts[kind][index] = fits.BinTableHDU.from_columns(columns, header=hdu.header, name=hdu.name)
    products = made(parts)
    if kind == "spectrum":
        with pytest.raises(DecodingError, match=f"it has no {column}"):
            spectrum_table(products.spectrum())
    with pytest.raises(DecodingError, match=f"it has no {column}"):
        write_spectra(products.spectrum(), tmp_path / "spectra")
    assert not (tmp_path / "spectra").exists()
    products.write(tmp_path / "out")
    again = Products.read(tmp_path / "out").select(kind=kind)[0].data[index]
    assert again.data[column].tolist() == ["abc"] * len(hdu.data)


# ---- quality


BAD = [0.0, -1.0, np.nan, np.inf]


def with_errors(*, counts=False, **cards):
    errors = np.array([0.4, *BAD, 0.25])
    values = {"COUNTS" if counts else "RATE": like.RATES * 10, "STAT_ERR": errors * 10}
    hdu = like.spectrum(values=values, **cards)
    if counts:
        kept = [column for column in hdu.columns if column.name != "RATE"]
        hdu = fits.BinTableHDU.from_columns(kept, header=hdu.header, name="SPECTRUM")
    return {"spectrum": like.one_file(hdu), "rmf": like.one_file(like.bounds(), like.matrix())}


@pytest.mark.parametrize("counts", [False, True])
def test_values_without_a_usable_error(tmp_path, counts):
    products = made(with_errors(counts=counts))
    assert list(spectrum_table(products.spectrum())["quality"]) == [0, 5, 5, 5, 5, 0]
    data = fits.getdata(written(products, tmp_path / "out", group=0.5)["spectrum"], "SPECTRUM")
    assert data["QUALITY"].tolist() == [0, 5, 5, 5, 5, 0]
    assert data["GROUPING"].tolist() == [1] * 6
    again = Products.read(tmp_path / "out")
    assert list(spectrum_table(again.spectrum())["quality"]) == [0, 5, 5, 5, 5, 0]


def test_they_do_not_count_in_groups(tmp_path):
    errors = np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    parts = {"spectrum": like.one_file(like.spectrum(values={"RATE": np.full(6, 2.0), "STAT_ERR": errors}))}
    data = fits.getdata(written(made(parts), tmp_path / "out", group=2.5)["spectrum"], "SPECTRUM")
    # sqrt(2) x 2 = 2.8
    assert data["GROUPING"].tolist() == [1, -1, 1, 1, -1, 1]
    assert data["QUALITY"].tolist() == [0, 0, 5, 0, 0, 2]


def test_counts_without_errors_may_be_zero(tmp_path):
    counts = np.array([0, 5, 0, 7, 0, 0])
    for values in ({"COUNTS": counts}, {"COUNTS": counts, "STAT_ERR": np.sqrt(counts)}):
        hdu = like.spectrum(values=values)
        kept = [column for column in hdu.columns if column.name in ("CHANNEL", *values)]
        hdu = fits.BinTableHDU.from_columns(kept, header=hdu.header, name="SPECTRUM")
        products = made({"spectrum": like.one_file(hdu), "rmf": like.one_file(like.bounds(), like.matrix())})
        assert not np.any(spectrum_table(products.spectrum())["quality"])


def test_plots_leave_them_out():
    pytest.importorskip("matplotlib")
    from astroquery_mmoda.plotting import plot_spectrum

    (container,) = plot_spectrum(made(with_errors()).spectrum(), limits=True).containers
    assert len(container.lines[0].get_xdata()) == 2


# ---- options


def several(**kinds):
    """Sources with spectra of different kinds: rates, counts, rates without errors, flux points."""
    counts = like.spectrum(values={"COUNTS": np.full(6, 30)})
    plain = like.spectrum()
    tables = {
        "rates": plain,
        "counts": fits.BinTableHDU.from_columns(
            [column for column in counts.columns if column.name in ("CHANNEL", "COUNTS")],
            header=counts.header,
            name="SPECTRUM",
        ),
        "no errors": fits.BinTableHDU.from_columns(
            [column for column in plain.columns if column.name in ("CHANNEL", "RATE")], header=plain.header, name="S"
        ),
        "points": like.table("Spectrum", [like.column("Energy", "E", [1, 2]), like.column("Flux", "E", [1, 2])]),
    }
    chosen = kinds["kinds"]
    encoded = [each for kind in chosen for each in like.products({"spectrum": like.one_file(tables[kind])}, kind)]
    return Products.from_response(reply(*encoded))


@pytest.mark.parametrize(
    ("kinds", "options", "match"),
    [
        (["rates"], {"group": 20}, r"rates: it is in count rates; give .* group=20\.0"),
        (
            ["rates", "points"],
            {"group": 20},
            r"any spectrum here\. rates: it is in count rates; .*; points: .* as it came",
        ),
        (["points"], {"systematic": 0.1}, "not a spectrum of channels"),
        (["no errors"], {"group": 3.0}, "no errors"),
    ],
)
def test_options_that_no_spectrum_can_take(tmp_path, kinds, options, match):
    with pytest.raises(ParameterError, match=match):
        several(kinds=kinds).write(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kinds", "options", "named", "grouped"),
    [
        (["rates", "counts"], {"group": 50}, "rates", {"counts": True, "rates": False}),
        (["counts", "no errors"], {"group": 7.0}, "no errors", {"counts": True, "no_errors": False}),
        (["rates", "points"], {"group": 5.0}, "points", {"rates": True}),
    ],
)
def test_options_that_some_can_take(tmp_path, kinds, options, named, grouped):
    with pytest.warns(InputWarning, match=f"left out of the spectrum of {named}"):
        several(kinds=kinds).write(tmp_path / "out", **options)
    for name, expected in grouped.items():
        data = fits.getdata(tmp_path / "out" / f"{name}_pha.fits", "SPECTRUM")
        is_grouped = "GROUPING" in data.names and -1 in data["GROUPING"]
        assert is_grouped == expected


def test_options_without_any_spectrum(tmp_path):
    products = made(like.jemx()).select(kind="rmf")
    with pytest.raises(ParameterError, match="for spectra, of which there are none here"):
        products.write(tmp_path / "out", group=3.0)
    assert len(products.write(tmp_path / "out")) == 1
    assert len(products.select(kind="image").write(tmp_path / "none", group=3.0)) == 0


def test_systematic_errors_that_some_can_take(tmp_path):
    with pytest.warns(
        InputWarning, match="systematic=0.03 is left out of the spectrum of points: it is not a spectrum"
    ):
        several(kinds=["points", "rates", "no errors"]).write(tmp_path / "out", systematic=0.03)
    for name in ("rates", "no_errors"):
        assert np.allclose(fits.getdata(tmp_path / "out" / f"{name}_pha.fits", "SPECTRUM")["SYS_ERR"], 0.03)


@pytest.mark.parametrize(
    ("kinds", "group", "reasons"),
    [
        (["rates"], 7, ["rates: it is in count rates; .*group=7.0"]),
        (["no errors"], 4.5, ["no errors: its rates have no errors"]),
        (["no errors", "rates"], 3, ["no errors: it is in count rates.*", "rates: it is in count rates"]),
    ],
)
def test_options_that_write_spectra_refuses(tmp_path, kinds, group, reasons):
    spectra = several(kinds=kinds).spectrum()
    with pytest.raises(ParameterError, match="any spectrum here. " + "; ".join(reasons)):
        write_spectra(spectra, tmp_path / "out", group=group)
    assert not (tmp_path / "out").exists()


def test_one_that_cannot_be_decoded_is_none_that_takes_an_option(tmp_path):
    """Nor does it stop those that can."""
    for kinds, group in ((["rates", "counts"], 40), (["counts", "rates"], 40)):
        chosen = several(kinds=kinds)
        broken = next(each for each in chosen if each.kind == "spectrum" and each.source == "rates")
        broken.entry.raw["data_unit_list"][-1]["binarys"] = "AAAA"
        with pytest.raises(DecodingError) as caught:
            chosen.write(tmp_path / kinds[0], group=group)
        assert "rates" in set(caught.value.manifest[caught.value.manifest["error"] != ""]["source"])
        assert -1 in fits.getdata(tmp_path / kinds[0] / "counts_pha.fits", 1)["GROUPING"]


def test_options_of_write_spectra(tmp_path):
    spectra = several(kinds=["rates", "counts"]).spectrum()
    with pytest.warns(InputWarning, match="group=50 is left out of the spectrum of rates"):
        write_spectra(spectra, tmp_path / "out", group=50)
    assert fits.getdata(tmp_path / "out" / "counts_pha.fits", 1)["GROUPING"].tolist() == [1, -1] * 3
    assert set(fits.getdata(tmp_path / "out" / "rates_pha.fits", 1)["GROUPING"]) == {1}


def test_each_spectrum_is_named_with_its_own_reason(tmp_path):
    chosen = several(kinds=["rates", "counts", "points", "no errors"])
    with pytest.warns(InputWarning) as told:
        chosen.write(tmp_path / "out", group=5)
    text = (
        r"group=5 .* spectrum of rates: .*group=5\.0; points: it is not a spectrum.*; no errors: it is in count rates"
    )
    assert [bool(re.search(text, str(each.message))) for each in told] == [True]


@pytest.mark.parametrize("options", [{"group": 9.0}, {"systematic": 0.02}])
def test_a_spectrum_that_cannot_be_written_stops_no_other(tmp_path, options):
    spectra = several(kinds=["rates", "counts"]).spectrum()
    spectra["SPECTRUM", 1].columns["RATE"].unit = "keV"
    with pytest.raises(DecodingError, match="1 of 2 files .* rates: .*keV") as caught:
        write_spectra(spectra, tmp_path / "out", **options)
    assert [bool(row["error"]) for row in caught.value.manifest] == [True, False]
    data = fits.getdata(tmp_path / "out" / "counts_pha.fits", 1)
    assert -1 in data["GROUPING"] if "group" in options else np.allclose(data["SYS_ERR"], 0.02)


def test_one_that_cannot_be_written_is_none_that_takes_an_option(tmp_path):
    spectra = several(kinds=["rates", "no errors"]).spectrum()
    spectra["SPECTRUM", 1].columns["RATE"].unit = "keV"
    with pytest.raises(ParameterError, match="any spectrum here. no errors: its rates have no errors"):
        write_spectra(spectra, tmp_path / "out", group=3.0)
    assert not (tmp_path / "out").exists()


def test_a_group_that_is_never_reached_is_told(tmp_path):
    with pytest.warns(InputWarning, match=r"no channels of Test 1 reach group=1000\.0"):
        written(made(like.jemx()), tmp_path / "out", group=1000.0)


# ---- the overview


def test_what_the_overview_says():
    parts = like.jemx()
    overview = made(parts | like.isgri()).table
    assert overview["content"].tolist() == ["6 bins", "18 energies", "6 rows, 18 rows"]
    overview = made(parts).table
    assert overview["content"].tolist() == ["6 bins", "18 energies", "18 rows x 3, 6 rows"]
    # the areas beside a matrix are not what is in it
    assert overview["unit"].tolist() == ["count/s", "cm**2", ""]


# ---- written untouched, and after a look


@pytest.mark.parametrize("kind", ["spectrum", "arf", "rmf", None])
@pytest.mark.parametrize("make", [like.matrix, like.short_matrix])
def test_writing_untouched_gives_the_same(tmp_path, monkeypatch, kind, make):
    monkeypatch.setattr(headers, "now", lambda: "2026-01-01T00:00:00")
    body = reply(*like.products(numbered((1, 1), (0, 0), (1, 1), make=make)))
    written_untouched_and_looked_at(lambda: Products.from_response(body).select(kind=kind), tmp_path / "reply")
    directory = tmp_path / "reply" / "looked at"
    written_untouched_and_looked_at(lambda: Products.read(directory), tmp_path / "files")


@pytest.mark.parametrize("name", ["isgri_spectrum_dummy", "jemx_spectrum_dummy", "isgri_image_dummy", "isgri_lc_real"])
def test_recorded_replies_are_written_untouched(recorded, tmp_path, monkeypatch, name):
    monkeypatch.setattr(headers, "now", lambda: "2026-01-01T00:00:00")
    for kind in {each.kind for each in Products.from_response(recorded(name))}:
        written_untouched_and_looked_at(
            lambda kind=kind: Products.from_response(recorded(name)).select(kind=kind), tmp_path / kind
        )


@pytest.mark.parametrize("name", ["isgri_image_dummy", "isgri_lc_real", "isgri_spectrum_dummy", "nb_everything_4_done"])
def test_no_file_has_a_card_without_a_value(recorded, tmp_path, name):
    body = recorded(name)
    for each in body["products"]["numpy_data_product_list"]:
        for unit in each["data_unit_list"]:
            unit["header"]["STAMP"] = None
            unit["header"]["REMARK"] = "fine"
    products = Products.from_response(body)
    decoded = [each.data[-1] for each in products if isinstance(each.data, fits.HDUList)]
    assert all("STAMP" in hdu.header and hdu.header["STAMP"] is None for hdu in decoded)
    products.write(tmp_path / "all")
    for kind in {each.kind for each in products}:
        products.select(kind=kind).write(tmp_path / kind)
    remarks = 0
    for path in tmp_path.glob("*/*.fits"):
        with fits.open(path) as hdulist:
            for hdu in hdulist:
                assert None not in hdu.header.values()
                remarks += hdu.header.get("REMARK") == "fine"
    assert remarks


def written_untouched_and_looked_at(make, directory):
    untouched, looked_at = make(), make()
    for each in looked_at:
        for hdu in each.data if isinstance(each.data, fits.HDUList) else ():
            if isinstance(hdu, fits.BinTableHDU):
                assert all(len(hdu.data[name]) == len(hdu.data) for name in hdu.columns.names)
    untouched.write(directory / "untouched")
    looked_at.write(directory / "looked at")
    names = sorted(path.name for path in (directory / "untouched").glob("*.fits"))
    assert names == sorted(path.name for path in (directory / "looked at").glob("*.fits"))
    for name in names:
        # sums have the time in their comments
        difference = fits.FITSDiff(
            *(directory / place / name for place in ("untouched", "looked at")),
            ignore_keywords=["CHECKSUM"],
            ignore_comments=["DATASUM"],
        )
        assert difference.identical, difference.report()


# ---- names


def catalogue(*names):
    return {
        "cat_column_names": ["meta_ID", "src_names", "significance"],
        "cat_column_list": [list(range(len(names))), list(names), [7.0] * len(names)],
    }


@pytest.mark.parametrize("form", [json.dumps, dict])
def test_names_as_in_the_catalogue(tmp_path, form):
    encoded = [
        each
        for source in ("Ser_X-1", "CygX-1", "NEW_1", "GX1+4", "Other")
        for each in like.products(like.jemx(), source)
    ]
    sent = form(catalogue("Ser X-1", "Cyg X-1", "cyg x-1", "NEW_1", "GX 1+4", "Far X-1"))
    products = Products.from_response(reply(*encoded), requested={"selected_catalog": sent})
    # two sources could be meant by CygX-1
    assert products.sources == ["Ser X-1", "CygX-1", "NEW_1", "GX 1+4", "Other"]
    assert products[0].name == "jemx_spectrum Ser X-1"
    spectra = products.spectrum()
    assert spectra["SOURCES"].data["SRC_NAME"].tolist() == products.sources
    for spelling in ("SerX-1", "ser x-1", "Ser X-1"):
        assert spectrum_table(spectra, spelling).meta["SRC_NAME"] == "Ser X-1"
        assert len(products.of_source(spelling)) == 3
    products.write(tmp_path / "out")
    assert (tmp_path / "out" / "Ser_X-1_pha.fits").exists()
    assert Products.read(tmp_path / "out").sources == products.sources


@pytest.mark.parametrize(
    "sent",
    [
        "no JSON",
        "[1, 2]",
        {"cat_column_names": None},
        {"cat_column_names": ["src_names"], "cat_column_list": []},
        {"cat_column_names": ["src_names"], "cat_column_list": [5]},
        {"cat_column_names": ["src_names"], "cat_column_list": [[None, 3]]},
        None,
    ],
)
def test_catalogues_that_tell_no_names(sent):
    body = reply(*like.products(like.jemx(), "SerX-1"), selected_catalog=sent)
    assert Products.from_response(body).sources == ["SerX-1"]


@pytest.mark.parametrize(
    ("header", "sent", "expected"),
    [
        ("Ser X-1", None, "Ser X-1"),
        ("Ser X-1", catalogue("SER X-1"), "SER X-1"),
        ("String", None, "SerX-1"),
        ("4U 1837+04", None, "SerX-1"),
    ],
)
def test_names_in_headers_where_no_catalogue_tells_them(header, sent, expected):
    encoded = like.products(like.jemx(), "SerX-1")
    for unit in encoded[0]["data_unit_list"]:
        unit["header"]["NAME"] = header
    products = Products.from_response(reply(*encoded), requested={"selected_catalog": sent})
    assert products.sources == [expected]
    assert len(products.select(source=expected)) == 3
