"""Recorded replies as Products: what they list, what is refused, and the names of things."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astroquery_mmoda import Product, Products, errors
from astroquery_mmoda.products.kinds import KINDS

RESPONSES = Path(__file__).parent / "data" / "responses"
RECORDS = {path.stem: json.loads(path.read_text()) for path in sorted(RESPONSES.glob("*.json"))}


def body(record):
    return json.dumps(record["json"]).encode() if "json" in record else record["text"]


def expected_error(record):
    """What the protocol says that a body means, or None for a result."""
    content = record.get("json")
    if not isinstance(content, dict) or not {"query_status", "error_message", "error"} & set(content):
        return errors.DecodingError
    if "query_status" not in content:
        return errors.MmodaError
    if content["query_status"] == "failed":
        return errors.AuthenticationError if content.get("status_code") == 403 else errors.JobFailed
    if content["query_status"] != "done" or not content["products"]:
        return errors.ServiceError
    return None


@pytest.mark.parametrize("name", RECORDS)
def test_every_recorded_reply_decodes_or_raises_the_right_error(name):
    record = RECORDS[name]
    kind = expected_error(record)
    if kind is not None:
        with pytest.raises(kind) as caught:
            Products.from_response(body(record))
        assert len(str(caught.value)) < 2000
        assert "eyJ" not in str(caught.value)
        return
    products = Products.from_response(body(record))
    assert len({product.name for product in products}) == len(products)
    for product in products:
        assert product.kind in KINDS
        assert product.data is product.data
    assert "token" not in products.parameters
    assert products.table.colnames[:3] == ["name", "kind", "source"]
    assert len(products.table) == len(products)


def test_bytes_text_and_json_are_the_same():
    record = RECORDS["isgri_lc_real"]
    text = json.dumps(record["json"])
    listings = [repr(Products.from_response(reply)) for reply in (text, text.encode(), record["json"])]
    assert listings[0] == listings[1] == listings[2]


@pytest.fixture
def spectra():
    return Products.from_response(RECORDS["isgri_spectrum_real"]["json"])


def test_names_kinds_and_sources(spectra):
    assert [(product.name, product.kind, product.source) for product in spectra[:4]] == [
        ("isgri_spectrum 3C111", "spectrum", "3C111"),
        ("isgri_arf 3C111", "arf", "3C111"),
        ("isgri_rmf 3C111", "rmf", "3C111"),
        ("isgri_spectrum Crab", "spectrum", "Crab"),
    ]
    assert spectra.sources == ["3C111", "Crab"]


def test_repeated_names_are_counted():
    names = [product.name for product in Products.from_response(RECORDS["isgri_lc_real"]["json"])]
    assert names == ["isgri_lc", "isgri_lc_2"]


def test_placeholders_become_the_requested_source():
    acs = Products.from_response(RECORDS["spi_acs_lc_real"]["json"])
    assert (acs[0].name, acs[0].source) == ("spi_acs_lc 1E 1740.7-2942", "1E 1740.7-2942")
    asked = Products.from_response(RECORDS["jemx_lc_dummy"]["json"])
    assert asked.sources == [asked.parameters["src_name"]]


def test_a_sequence_by_number_and_by_name(spectra):
    assert isinstance(spectra[0], Product)
    assert spectra["isgri_arf Crab"] is spectra[4]
    assert isinstance(spectra[1:3], Products)
    assert len(spectra[1:3]) == 2
    assert "isgri_arf Crab" in spectra
    assert spectra[0] in spectra
    assert "isgri_arf" not in spectra
    with pytest.raises(KeyError, match="isgri_arf Crab"):
        spectra["isgri_arf Crb"]
    with pytest.raises(IndexError):
        spectra[99]


def test_selecting(spectra):
    assert [product.kind for product in spectra.select(source="3c 111")] == ["spectrum", "arf", "rmf"]
    assert spectra.select(source="3C 111", kind="rmf")[0] is spectra[2]
    assert spectra.select(product="isgri_arf").sources == ["3C111", "Crab"]
    assert len(spectra.select(source="nobody")) == 0
    with pytest.raises(
        errors.ParameterError, match=r"no source 'Crob' \(did you mean 'Crab'\?\).*'3C111', 'Crab'"
    ) as caught:
        spectra.spectrum(source="Crob")
    assert isinstance(caught.value.products, Products)


def test_looking_decodes_nothing_before(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("decoded")

    monkeypatch.setattr("astroquery_mmoda.decoding.read_hdulist", fail, raising=False)
    products = Products.from_response(RECORDS["isgri_spectrum_real"]["json"])
    repr(products)
    products.select(source="Crab").table.pformat()
    with pytest.raises(AssertionError, match="decoded"):
        products[0].data  # noqa: B018 - the property is what is tested


def test_remarks_of_the_service():
    products = Products.from_response(RECORDS["empty_unknown_args"]["json"])
    assert products.comment == "Please note that arguments zork, blip are not used"


def test_what_a_reply_says_besides_is_kept():
    everything = Products.from_response(RECORDS["nb_everything_4_done"]["json"])
    assert everything.meta["prod_uris"]
    assert everything.select(kind="text").meta == everything.meta
    isgri = Products.from_response(RECORDS["isgri_lc_real"]["json"])
    assert isgri.meta["input_prod_list"] == ["066500220010.001", "066500230010.001"]


def test_unknown_keys_are_kept():
    reply = json.loads(json.dumps(RECORDS["isgri_lc_empty"]["json"]))
    reply["products"]["novelty_list"] = [1, 2]
    products = Products.from_response(reply)
    assert (products[0].name, products[0].kind, products[0].data) == ("novelty_list", "other", [1, 2])


def test_data_are_as_the_service_gave_them(spectra):
    hdulist = spectra[0].data
    assert isinstance(hdulist, fits.HDUList)
    assert hdulist[1].name == "ISGR-PHA1-SPE"
    image = Products.from_response(RECORDS["isgri_image_6_done"]["json"])
    assert isinstance(image["catalog"].data, Table)


@pytest.mark.parametrize(
    ("name", "form", "came"),
    [
        ("isgri_lc_real", "image", "lightcurve"),
        ("isgri_image_6_done", "spectrum", "catalog, image"),
        ("empty_echo", "lightcurve", "other"),
    ],
)
def test_another_kind_than_asked_for(name, form, came):
    products = Products.from_response(RECORDS[name]["json"])
    with pytest.raises(errors.ServiceError, match=f"but: {came}") as caught:
        getattr(products, form)()
    assert caught.value.products is products


def test_an_empty_reply_has_empty_forms():
    products = Products.from_response(RECORDS["isgri_lc_empty"]["json"])
    assert len(products) == 0
    assert [hdu.name for hdu in products.image()] == ["PRIMARY"]
    assert [hdu.name for hdu in products.spectrum()] == ["PRIMARY"]
    assert len(products.lightcurve()) == 0
    assert products.lightcurve().colnames[:5] == ["src_name", "time", "time_bin", "e_min", "e_max"]
    assert "src_names" in products.catalog().colnames


def test_products_pickle(spectra):
    spectra[0].data  # noqa: B018 - decoded, then pickled
    again = pickle.loads(pickle.dumps(spectra))
    assert repr(again) == repr(spectra)
    np.testing.assert_array_equal(again[0].data[1].data["RATE"], spectra[0].data[1].data["RATE"])


def test_text_of_the_server_is_escaped_where_it_is_shown():
    reply = json.loads(json.dumps(RECORDS["isgri_lc_real"]["json"]))
    reply["products"]["numpy_data_product_list"][0]["name"] = "\x1b[31mlc\u202e"
    products = Products.from_response(reply)
    for text in (repr(products), repr(products[0]), str(products.table)):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_writing_all_kinds(tmp_path):
    directory = tmp_path / "out"
    manifest = Products.from_response(RECORDS["isgri_image_6_done"]["json"]).write(directory)
    assert manifest.colnames == ["path", "source", "kind", "size", "error"]
    assert not any(manifest["error"])
    assert [Path(path).name for path in manifest["path"]] == ["mosaic_image.fits", "catalog.ecsv"]
    with fits.open(directory / "mosaic_image.fits") as mosaic:
        mosaic.verify("exception")
        assert "SIGNIFICANCE" in mosaic
    assert Table.read(directory / "catalog.ecsv")["src_names"][0] == "Crab"

    curves = Products.from_response(RECORDS["isgri_lc_real"]["json"]).write(directory)
    assert [Path(path).name for path in curves["path"]] == ["isgri_lc_Crab.fits", "isgri_lc_3C_111.fits"]
    spectra = Products.from_response(RECORDS["isgri_spectrum_real"]["json"]).write(directory)
    assert [Path(path).name for path in spectra["path"]][:3] == ["3C111_pha.fits", "3C111_arf.fits", "3C111_rmf.fits"]
    assert all(
        Path(row["path"]).stat().st_size == row["size"] for table in (manifest, curves, spectra) for row in table
    )

    everything = Products.from_response(RECORDS["nb_everything_4_done"]["json"])
    with pytest.raises(FileExistsError):
        Products.from_response(RECORDS["isgri_lc_real"]["json"]).write(directory)
    assert len(everything.write(tmp_path / "everything")) == len(everything)


def test_catalog_says_which_job_it_is_from(recorded):
    products = Products.from_response(recorded("isgri_image_6_done"))
    assert products.catalog().meta["JOB_ID"] == products.job_id != ""
    # the product's own table is as it came
    assert "JOB_ID" not in products.select(kind="catalog")[0].data.meta
