"""The form of query_image: named images that WCS-reading tools take as they are."""

import importlib.util
import json
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS

from astroquery_mmoda import DecodingError, Products, conf
from astroquery_mmoda.products.image import mend_wcs
from conftest import require
from tests.local_mmoda import sky
from tests.test_core import BAND, FIELD


@pytest.fixture
def reply(recorded):
    return recorded("isgri_image_6_done")


def test_names_order_and_origin(reply):
    mosaic = Products.from_response(reply).image()
    names = ["PRIMARY", "GROUPING", "INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE", "CATALOG"]
    assert [hdu.name for hdu in mosaic] == names
    assert mosaic["SIGNIFICANCE"].header["ORIGNAME"] == "ISGR-MOSA-IMA"
    assert mosaic["SIGNIFICANCE"].data.dtype.kind == "f"
    assert "PRODNAME" not in mosaic["SIGNIFICANCE"].header
    assert mosaic[0].header["JOB_ID"] == "bc0582f30061217d"
    assert mosaic[0].header["INSTRUM"] == "isgri"


def test_an_error_names_the_product_once(reply):
    with conf.set_temp("max_product_size", 1000), pytest.raises(DecodingError, match="^product 'mosaic_image': unit "):
        Products.from_response(reply).image()


def test_pixels_are_the_products(reply):
    products = Products.from_response(reply)
    mosaic = products.image()
    raw = products[0].data
    for hdu, original in zip(mosaic[2:6], raw[2:6], strict=True):
        np.testing.assert_array_equal(hdu.data, original.data)


def test_wcs_is_silent_and_right(reply):
    mosaic = Products.from_response(reply).image()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("INTENSITY", "SIGNIFICANCE"):
            wcs = WCS(mosaic[name].header)
    assert wcs.wcs.radesys == "FK5"
    assert wcs.pixel_to_world(19.5, 19.5).ra.deg == pytest.approx(83.63)
    assert "RADECSYS" not in mosaic["SIGNIFICANCE"].header


def test_it_is_valid_fits(reply, tmp_path):
    mosaic = Products.from_response(reply).image()
    mosaic.verify("exception")
    mosaic.writeto(tmp_path / "mosaic.fits", checksum=True)
    with fits.open(tmp_path / "mosaic.fits", checksum=True) as again:
        np.testing.assert_array_equal(again["SIGNIFICANCE"].data, mosaic["SIGNIFICANCE"].data)
        assert Table.read(again["CATALOG"])["src_names"].tolist() == ["Crab", "3C 111", "IGR J05270+2119"]
        assert again["CATALOG"].header["FRAME"] == "fk5"


def test_bands_are_counted_from_the_lowest(reply):
    units = reply["products"]["numpy_data_product_list"][0]["data_unit_list"]
    images = units[2:]
    lower = json.loads(json.dumps(images))
    for unit in lower:
        unit["header"] |= {"E_MIN": 20.0, "E_MAX": 28.0}
    # the service's order is by type, the upper band first
    units[2:] = [unit for pair in zip(images, lower, strict=True) for unit in pair]
    mosaic = Products.from_response(reply).image()
    found = [(hdu.name, hdu.ver, hdu.header["E_MIN"]) for hdu in mosaic if hdu.name in ("INTENSITY", "EXPOSURE")]
    assert found == [("INTENSITY", 2, 28.0), ("INTENSITY", 1, 20.0), ("EXPOSURE", 2, 28.0), ("EXPOSURE", 1, 20.0)]
    assert mosaic["INTENSITY", 1].header["E_MIN"] == 20.0
    assert mosaic["SIGNIFICANCE", 2].header["E_MAX"] == 40.0


def test_several_image_products(reply, recorded):
    listed = reply["products"]["numpy_data_product_list"]
    listed += recorded("nb_image_4_done")["products"]["numpy_data_product_list"]
    mosaic = Products.from_response(reply).image()
    assert mosaic["SIGNIFICANCE"].header["PRODNAME"] == "mosaic_image"
    assert mosaic["SKY"].header["PRODNAME"] == "sky"
    assert mosaic["CUBE"].header["ORIGNAME"] == "CUBE"
    assert [hdu.name for hdu in mosaic][-1] == "CATALOG"


def test_an_image_in_the_primary_of_a_product(recorded):
    image = Products.from_response(recorded("nb_image_4_done")).image()
    assert [hdu.name for hdu in image] == ["PRIMARY", "SKY", "CUBE"]
    assert image["SKY"].data.shape == (24, 24)


# ---- other tools, on a mosaic of the known sky


@pytest.fixture(scope="module")
def mosaic(mmoda):
    return mmoda.query_image("isgri", **FIELD, energy_range=BAND, max_pointings=10)


@pytest.fixture(scope="module")
def brightest(mosaic):
    """Name and position of the most significant source, as the list of the image has it."""
    sources = Table.read(mosaic["CATALOG"])
    row = int(np.argmax(sources["significance"]))
    return sources["src_names"][row], SkyCoord.guess_from_table(sources)[row]


def peak(data):
    return np.unravel_index(np.nanargmax(data), data.shape)


def test_every_image_has_the_coordinates_of_the_sky(mosaic, brightest):
    name, position = brightest
    assert position.separation(SkyCoord(sky.source(name).ra, sky.source(name).dec, unit="deg")) < 0.1 * u.deg
    for hdu in mosaic:
        if hdu.is_image and hdu.data is not None:
            wcs = WCS(hdu.header)
            assert wcs.has_celestial
            assert wcs.footprint_contains(position)
    row, column = peak(mosaic["SIGNIFICANCE"].data)
    wcs = WCS(mosaic["SIGNIFICANCE"].header)
    assert np.hypot(*(np.array(wcs.world_to_pixel(position)) - (column, row))) < 1


def test_a_cutout_around_a_source(mosaic, brightest):
    _, position = brightest
    hdu = mosaic["SIGNIFICANCE"]
    whole = WCS(hdu.header)
    cutout = Cutout2D(hdu.data, position, 1.5 * u.deg, wcs=whole)
    assert max(cutout.shape) < max(hdu.shape) / 3
    assert cutout.wcs.pixel_to_world(*cutout.wcs.world_to_pixel(position)).separation(position) < 1 * u.mas
    x, y = (int(np.rint(number)) for number in cutout.wcs.world_to_pixel(position))
    far_x, far_y = (int(np.rint(number)) for number in whole.world_to_pixel(position))
    assert cutout.data[y, x] == hdu.data[far_y, far_x]
    assert np.nanmax(cutout.data) == np.nanmax(hdu.data)
    row, column = peak(cutout.data)
    assert cutout.to_original_position((column, row)) == peak(hdu.data)[::-1]


def test_a_reprojection_to_galactic_coordinates(mosaic, brightest):
    require(importlib.util.find_spec("reproject"), "the reproject package")
    from reproject import reproject_interp
    from reproject.mosaicking import find_optimal_celestial_wcs

    hdu = fits.ImageHDU(mosaic["SIGNIFICANCE"].data, mosaic["SIGNIFICANCE"].header)
    target, shape = find_optimal_celestial_wcs([hdu], frame="galactic")
    data, footprint = reproject_interp(hdu, target, shape_out=shape)
    assert 0.2 < footprint.mean() <= 1
    row, column = peak(data)
    assert np.hypot(*(np.array(target.world_to_pixel(brightest[1])) - (column, row))) < 1
    assert data[row, column] == pytest.approx(np.nanmax(hdu.data), rel=0.3)


def test_foreign_letters_become_ascii_in_fits(reply):
    reply["products"]["catalog"]["cat_column_list"][1][0] = "Étoile Ψ"
    products = Products.from_response(reply)
    mosaic = products.image()
    mosaic.verify("exception")
    assert Table.read(mosaic["CATALOG"])["src_names"][0] == "Etoile Psi"
    assert products.catalog()["src_names"][0] == "Étoile Ψ"


def test_asking_twice_gives_two_lists(reply):
    products = Products.from_response(reply)
    first = products.image()
    first["SIGNIFICANCE"].header["EXTNAME"] = "CHANGED"
    assert "SIGNIFICANCE" in products.image()


@pytest.mark.parametrize(
    "cards",
    [
        {"RADECSYS": "FK5", "EQUINOX": 2000.0},
        {"RADECSYS": "ICRS"},
        {"RADESYS": "FK5", "EQUINOX": "2000.0"},
        {"MJDREF": 51544.0, "TIMESYS": "TT"},
        {"DATE-OBS": "2017-03-06T13:26:48.000", "DATE-END": "2017-03-06T13:26:48.000"},
        {"MJD-OBS": 57818.56},
        {"CUNIT1": "DEG", "CUNIT2": "DEG"},
    ],
    ids=str,
)
def test_mended_headers(cards):
    header = fits.Header()
    header.update(
        {
            "NAXIS": 2,
            "NAXIS1": 4,
            "NAXIS2": 4,
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CRVAL1": 10.0,
            "CRVAL2": 5.0,
        }
    )
    header.update({"CUNIT1": "deg", "CUNIT2": "deg", **cards})
    mend_wcs(header)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WCS(header)


def test_a_header_without_sky_is_left_alone():
    header = fits.Header({"CTYPE1": "NONSENSE-XYZ", "CUNIT1": "glorp"})
    mend_wcs(header)
    assert header["CTYPE1"] == "NONSENSE-XYZ"


@pytest.mark.parametrize("cards", [{}, {"DATE-OBS": "2017-03-06T13:26:48.000"}, {"MJDREF": 51544.0}], ids=str)
def test_a_header_without_sky_gets_no_reference_of_times(cards):
    header = fits.Header(cards)
    mend_wcs(header)
    assert dict(header) == cards
