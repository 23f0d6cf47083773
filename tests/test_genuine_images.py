"""Genuine ISGRI mosaics against the FITS files that they were made of: read, form, plot, write, read again."""

import gzip
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, Cutout2D
from astropy.wcs import WCS

from astroquery_mmoda import Products
from tests.genuine_like import images

TYPES = ["INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE"]
POSITION = SkyCoord(255.98656, -37.84412, unit="deg", frame="fk5")  # 4U 1700-377
# peak pixel and VARIANCE there; distance of the fit in arcmin; TELAPSE, and pixels without exposure
NUMBERS = {1: (41.92, 0.0957, 0.09, 7911.0, 97059), 2: (47.34, 0.2031, 0.16, 3178.0, 82542)}


@pytest.fixture(scope="module", params=[1, 2])
def number(request):
    return request.param


@pytest.fixture(scope="module")
def original(genuine, number):
    with fits.open(genuine / f"isgri_mosa_ima_{number}.fits.gz") as opened:
        for hdu in opened:
            _ = hdu.data
        yield opened


@pytest.fixture(scope="module")
def products(genuine, number):
    return Products.from_response(gzip.decompress((genuine / "replies" / f"isgri_image_{number}.json.gz").read_bytes()))


@pytest.fixture(scope="module")
def mosaic(products):
    return products.image()


def originals(original):
    return {hdu.header["IMATYPE"]: hdu for hdu in original[2:]}


def test_the_product_is_the_file(products, original):
    assert len(products) == 1
    assert products[0].kind == "image"
    for ours, theirs in zip(products[0].data[2:], original[2:], strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
        assert (ours.header["BUNIT"], ours.header["DATE-OBS"]) == (theirs.header["BUNIT"], theirs.header["DATE-OBS"])


def test_pixels_of_the_form(mosaic, original, number):
    assert [hdu.name for hdu in mosaic] == ["PRIMARY", "GROUPING", *TYPES]
    theirs = originals(original)
    unexposed = theirs["EXPOSURE"].data == 0
    np.testing.assert_array_equal(unexposed, theirs["VARIANCE"].data == 0)
    assert unexposed.sum() == NUMBERS[number][4]
    for name in TYPES[:3]:
        np.testing.assert_array_equal(mosaic[name].data[~unexposed], theirs[name].data[~unexposed])
        np.testing.assert_array_equal(np.isnan(mosaic[name].data), unexposed)
    np.testing.assert_array_equal(mosaic["EXPOSURE"].data, theirs["EXPOSURE"].data)


def test_cards_of_the_form(mosaic, original, number):
    for name, theirs in originals(original).items():
        header = mosaic[name].header
        assert header["TELAPSE"] == theirs.header["TELAPSE"] == NUMBERS[number][3]
        for keyword in ("TSTART", "TSTOP", "MJDREF", "TIMESYS", "E_MIN", "E_MAX", "ONTIME", "IMATYPE", "CRVAL1"):
            assert header[keyword] == theirs.header[keyword]
        assert header["MJD-OBS"] == pytest.approx(header["MJDREF"] + header["TSTART"], abs=1e-8)
        assert header["MJD-END"] == pytest.approx(header["MJDREF"] + header["TSTOP"], abs=1e-8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ours = WCS(header)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            own = WCS(theirs.header)
        assert ours.pixel_to_world(200, 200).separation(own.pixel_to_world(200, 200)) < 1 * u.mas


def test_written_files(products, mosaic, tmp_path, number):
    manifest = products.write(tmp_path / "out")
    (path,) = (path for path, kind in manifest["path", "kind"] if kind == "image")
    with fits.open(path) as opened:
        opened.verify("exception")
        for name, unit in zip(TYPES, (u.ct / u.s, u.ct**2 / u.s**2, u.one, u.s), strict=True):
            data = CCDData.read(path, hdu=opened.index_of(name))
            assert data.unit == unit == u.Unit(opened[name].header["BUNIT"], format="fits")
            np.testing.assert_array_equal(data.data, mosaic[name].data)
    again = Products.read(tmp_path / "out").image()
    for name in TYPES:
        np.testing.assert_array_equal(again[name].data, mosaic[name].data)


def gaussian(parameters, x, y):
    height, x0, y0, sigma, constant = parameters
    return height * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 2 / sigma**2) + constant


def fitted(cutout):
    """A free Gaussian and a constant, by Gauss-Newton steps."""
    rows, columns = np.indices(cutout.shape)
    parameters = np.array([np.nanmax(cutout), 6.0, 6.0, 1.2, 0.0])
    for _ in range(50):
        residual = (cutout - gaussian(parameters, columns, rows)).ravel()
        steps = np.diag([1e-4] * 5)
        jacobian = np.stack(
            [
                (gaussian(parameters + step, columns, rows) - gaussian(parameters - step, columns, rows)).ravel() / 2e-4
                for step in steps
            ],
            axis=1,
        )
        parameters = parameters + np.linalg.lstsq(jacobian, residual, rcond=None)[0]
    return parameters


def test_a_bright_source(mosaic, number):
    rate, variance, distance, *_ = NUMBERS[number]
    intensity = mosaic["INTENSITY"]
    wcs = WCS(intensity.header)
    cutout = Cutout2D(intensity.data, POSITION, 13, wcs=wcs)
    row, column = np.unravel_index(np.argmax(cutout.data), cutout.shape)
    assert cutout.data[row, column] == pytest.approx(rate, abs=0.005)
    place = cutout.to_original_position((column, row))
    assert mosaic["VARIANCE"].data[place[1], place[0]] == pytest.approx(variance, abs=5e-5)
    _, x, y, sigma, _ = fitted(cutout.data.astype(float))
    assert cutout.wcs.pixel_to_world(x, y).separation(POSITION).arcmin == pytest.approx(distance, abs=0.01)
    scale = abs(wcs.wcs.cd[0, 0]) * 60
    assert 2.3548 * abs(sigma) * scale == pytest.approx(14.1, abs=0.1)


def test_the_picture_is_on_the_scale_of_the_field(mosaic, original):
    pytest.importorskip("matplotlib")
    from astroquery_mmoda.plotting import plot_image

    ax = plot_image(mosaic, extension="INTENSITY")
    pixels = originals(original)["INTENSITY"].data[originals(original)["EXPOSURE"].data > 0]
    noise = 1.4826 * np.median(np.abs(pixels - np.median(pixels)))
    assert ax.images[0].norm.linear_width == pytest.approx(3 * noise, rel=1e-5)
    assert plot_image(mosaic).images[0].norm.linear_width == pytest.approx(3 * 1.37, rel=0.03)
    ax.figure.draw_without_rendering()


def test_our_own_mosaics_have_the_same_shape(products):
    """What the tests without the folder use has the same HDUs, types, cards and units."""
    ours = Products.from_response(images.isgri())[0].data
    theirs = products[0].data
    assert [(hdu.name, type(hdu)) for hdu in ours] == [(hdu.name, type(hdu)) for hdu in theirs]
    for one, other in zip(ours[2:], theirs[2:], strict=True):
        assert one.data.dtype == other.data.dtype
        assert set(one.header) <= set(other.header)
        same = ("IMATYPE", "BUNIT", "TIMESYS", "TIMEUNIT", "MJDREF", "RADECSYS", "CTYPE1", "CTYPE2", "OGID", "TIMEREF")
        assert [one.header[keyword] for keyword in same] == [other.header[keyword] for keyword in same]
