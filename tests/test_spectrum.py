"""The form of query_spectrum: spectra and responses of all sources in one list."""

import io

import numpy as np
import pytest
from astropy.io import fits

from astroquery_mmoda import Products, spectrum_table, write_spectra


@pytest.fixture(params=["isgri_spectrum_real", "isgri_spectrum_dummy", "jemx_spectrum_dummy"])
def products(request, recorded):
    return Products.from_response(recorded(request.param))


def test_four_parts_per_source(products):
    spectra = products.spectrum()
    sources = products.sources
    expected = [
        (name, number)
        for number in range(1, len(sources) + 1)
        for name in ("SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX")
    ]
    assert [(hdu.name, hdu.ver) for hdu in spectra] == [("PRIMARY", 1), *expected, ("SOURCES", 1)]
    assert spectra["SOURCES"].data["SRC_NAME"].tolist() == sources
    assert spectra["SOURCES"].data["EXTVER"].tolist() == list(range(1, len(sources) + 1))
    for number, source in enumerate(sources, start=1):
        assert spectra["SPECTRUM", number].header["SRC_NAME"] == source
    assert spectra["MATRIX", 1].header["ORIGNAME"]


def test_values_are_the_products(products):
    spectra = products.spectrum()
    raw = products.select(kind="spectrum")[0].data[-1]
    np.testing.assert_array_equal(spectra["SPECTRUM", 1].data["RATE"], raw.data["RATE"])
    assert spectra["SPECTRUM", 1].columns["RATE"].unit == "count/s"
    assert spectra["SPECRESP", 1].columns["SPECRESP"].unit == "cm**2"


def test_it_is_valid_fits_and_reads_back(products):
    spectra = products.spectrum()
    spectra.verify("exception")
    buffer = io.BytesIO()
    spectra.writeto(buffer, checksum=True)
    with fits.open(io.BytesIO(buffer.getvalue()), checksum=True) as again:
        assert [hdu.name for hdu in again] == [hdu.name for hdu in spectra]
        for row in range(len(again["MATRIX", 1].data)):
            np.testing.assert_array_equal(
                again["MATRIX", 1].data["MATRIX"][row], spectra["MATRIX", 1].data["MATRIX"][row]
            )


def test_one_source(recorded):
    products = Products.from_response(recorded("isgri_spectrum_real"))
    spectra = products.spectrum(source="3c 111")
    assert spectra["SOURCES"].data["SRC_NAME"].tolist() == ["3C111"]
    assert spectra["SPECTRUM"].header["SRC_NAME"] == "3C111"


def test_a_missing_part_is_missing(recorded):
    reply = recorded("isgri_spectrum_real")
    listed = reply["products"]["numpy_data_product_list"]
    reply["products"]["numpy_data_product_list"] = [listed[0], *listed[3:]]
    spectra = Products.from_response(reply).spectrum()
    assert [(hdu.name, hdu.ver) for hdu in spectra[1:6]] == [
        ("SPECTRUM", 1),
        ("SPECTRUM", 2),
        ("SPECRESP", 2),
        ("EBOUNDS", 2),
        ("MATRIX", 2),
    ]


def test_a_spectrum_of_a_workflow(recorded):
    spectra = Products.from_response(recorded("nb_everything_4_done")).spectrum()
    assert [hdu.name for hdu in spectra] == ["PRIMARY", "SPECTRUM", "SOURCES"]


def test_it_suits_the_writers(products, tmp_path):
    spectra = products.spectrum()
    manifest = write_spectra(spectra, tmp_path / "spectra")
    assert len(manifest) == 3 * len(products.sources)
    table = spectrum_table(spectra, products.sources[0])
    assert (table["e_max"] > table["e_min"]).all()
