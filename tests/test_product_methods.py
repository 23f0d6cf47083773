"""Products as other objects: FITS, tables with units, pixels, gwpy's; and images of workflows in one form."""

import base64
import gzip
import importlib.util
import io
import json
import struct
import sys
import tarfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS

from astroquery_mmoda import DecodingError, ParameterError, Products, ServiceError, conf
from conftest import require
from tests.hostile import reply

# encoded by oda_api 1.3.5: files by ImageDataProduct.from_fits_file, and as the plugin of the Legacy Survey does it.
# In each plane the brightest pixel is in the upper left corner.
IMAGES = json.loads((Path(__file__).parent / "data" / "workflow_images.json").read_text(encoding="utf-8"))


def only(**products):
    (product,) = Products.from_response(reply(**products))
    return product


def binary(data, name="file"):
    return {"name": name, "data": base64.urlsafe_b64encode(data).decode()}


def file_product(data, name="file"):
    return only(binary_data_product_list=[binary(data, name)])


def picture(data, form="png", name="picture"):
    return {"img_type": form, "b64data": base64.urlsafe_b64encode(data).decode(), "metadata": {}, "name": name}


def picture_product(data, form="png"):
    return only(binary_image_product_list=[picture(data, form)])


def ecsv(table):
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return {"name": "table", "ascii": text.getvalue(), "binary": None, "meta_data": "{}"}


def fits_file(*hdus):
    content = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(content)
    return content.getvalue()


def sky_hdu(name="SKY"):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [83.63, 22.01], [-0.1, 0.1]
    return fits.ImageHDU(np.arange(12, dtype="f4").reshape(3, 4), wcs.to_header(), name=name)


def events_hdu():
    return fits.BinTableHDU.from_columns([fits.Column("ENERGY", "E", "TeV", array=np.arange(5.0))], name="EVENTS")


# ---- FITS


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_fits_file(pack):
    data = pack(fits_file(sky_hdu(), events_hdu()))
    product = file_product(data, "events.fits")
    hdulist = product.hdulist()
    assert isinstance(hdulist, fits.HDUList)
    assert [hdu.name for hdu in hdulist] == ["PRIMARY", "SKY", "EVENTS"]
    np.testing.assert_array_equal(hdulist["EVENTS"].data["ENERGY"], np.arange(5.0))
    hdulist["SKY"].data[:] = 0
    assert product.hdulist()["SKY"].data.max() == 11
    assert product.data == data


def test_hdus_of_a_product_are_copied(recorded):
    product = Products.from_response(recorded("isgri_image_6_done"))[0]
    before = product.data[2].data.copy()
    hdulist = product.hdulist()
    assert [hdu.name for hdu in hdulist] == [hdu.name for hdu in product.data]
    hdulist[2].data[:] = -7
    hdulist[2].header["OBJECT"] = "changed"
    del hdulist[3]
    np.testing.assert_array_equal(product.data[2].data, before)
    assert product.data[2].header.get("OBJECT") != "changed"
    assert len(product.hdulist()) == len(product.data)


def test_hdus_of_files_that_were_written(recorded, tmp_path):
    Products.from_response(recorded("isgri_image_6_done")).write(tmp_path)
    product = Products.read(tmp_path)[0]
    product.hdulist()[2].data[:] = -7
    assert not (product.data[2].data == -7).all()


def archive(mode):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as tar:
        tar.add(__file__, "readme.txt")
    return content.getvalue()


@pytest.mark.parametrize(
    ("data", "seems"),
    [
        (archive("w"), "a tar archive, not FITS"),
        (archive("w:gz"), "a tar archive, compressed by gzip, not FITS"),
        (b"PK\x03\x04" + bytes(90), "a ZIP archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file"),
        (gzip.compress(b"a,b\n1,2\n"), "a text, compressed by gzip"),
        (b"\x1f\x8b" + bytes(90), "compressed by gzip"),
        (b"<?xml version='1.0'?><VOTABLE/>", "a VOTable"),
        (bytes(range(256)), "a file of unknown format"),
        (b"", "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else len(value),
)
def test_files_that_are_not_fits(data, seems):
    product = file_product(data, "arxive")
    with pytest.raises(ParameterError, match=f"^product 'arxive' seems to be .*{seems}") as caught:
        product.hdulist()
    assert ".data" in str(caught.value)
    assert product.data == data


def test_other_products_are_not_fits():
    with pytest.raises(ParameterError, match=r"of kind table, not FITS; use \.to_table\(\)"):
        only(astropy_table_product_ascii_list=[ecsv(Table({"a": [1]}))]).hdulist()
    with pytest.raises(ParameterError, match=r"of kind text, not FITS; \.data has it"):
        only(text_product_list=[{"name": "note", "value": "fine"}]).hdulist()
    with pytest.raises(ParameterError, match=r"a PNG picture, not FITS; use \.picture\(\)"):
        picture_product(png()).hdulist()


def header(**cards):
    return fits.Header({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, **cards}).tostring().encode()


@pytest.mark.parametrize(
    "data",
    [
        header(NAXIS=2, NAXIS1=10**9, NAXIS2=10**9),
        header(NAXIS=1, NAXIS1=-5),
        header(NAXIS=10**6),
        header()[:2000],
        fits_file(sky_hdu())[:-3000],
        gzip.compress(header(NAXIS=1, NAXIS1=10**8) + bytes(10**8)),
        gzip.compress(fits_file(sky_hdu()))[:-20],
        header() * 3000,
    ],
    ids=["huge", "negative", "axes", "header cut short", "data cut short", "gzip bomb", "gzip cut short", "HDUs"],
)
def test_hostile_fits_files(data):
    product = file_product(data)
    with pytest.raises(DecodingError, match="^product 'file': "):
        product.hdulist()


def test_memory_of_a_fits_file_is_bounded():
    product = file_product(fits_file(fits.ImageHDU(np.zeros((300, 300)))))
    assert len(product.data) > 720_000
    with conf.set_temp("max_extra_memory", 0), pytest.raises(DecodingError, match="conf.max_extra_memory"):
        Products.from_response(reply(binary_data_product_list=[binary(gzip.compress(product.data))]))[0].hdulist()


# ---- pictures


def png(width=16, height=8, rows=None, *, depth=8, colour=0, more=b""):
    """Without Pillow, so that it can declare more than it has."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    if rows is None:
        rows = b"".join(b"\0" + bytes(range(16 * row, 16 * row + 16)) for row in range(8))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.fixture
def pillow():
    require(importlib.util.find_spec("PIL"), "Pillow")
    from PIL import Image

    return Image


def saved(pillow, mode, form, **options):
    image = pillow.fromarray(np.arange(60, dtype="u1").reshape(5, 4, 3), "RGB") if mode == "RGB" else None
    image = image or pillow.new(mode, (4, 5), **options)
    content = io.BytesIO()
    image.save(content, form)
    return content.getvalue()


def test_pixels_of_a_picture(pillow):
    product = picture_product(png())
    pixels = product.picture()
    assert (pixels.shape, pixels.dtype) == ((8, 16, 3), np.uint8)
    np.testing.assert_array_equal(pixels[..., 0].ravel(), np.arange(128))
    assert (pixels[..., 0] == pixels[..., 2]).all()
    # of its own
    pixels[:] = 0
    assert product.picture().max() == 127


@pytest.mark.parametrize(
    ("mode", "form", "shape"),
    [
        ("RGB", "PNG", (5, 4, 3)),
        ("RGBA", "PNG", (5, 4, 4)),
        ("LA", "PNG", (5, 4, 4)),
        ("P", "PNG", (5, 4, 3)),
        ("1", "PNG", (5, 4, 3)),
        ("I;16", "PNG", (5, 4)),
        ("RGB", "JPEG", (5, 4, 3)),
        ("L", "JPEG", (5, 4, 3)),
        ("CMYK", "JPEG", (5, 4, 3)),
        ("RGB", "GIF", (5, 4, 3)),
        ("RGB", "TIFF", (5, 4, 3)),
        ("RGB", "BMP", (5, 4, 3)),
    ],
)
def test_pictures_of_many_kinds(pillow, mode, form, shape):
    pixels = picture_product(saved(pillow, mode, form), form.lower()).picture()
    assert pixels.shape == shape
    if (mode, form) == ("RGB", "PNG"):
        np.testing.assert_array_equal(pixels.ravel(), np.arange(60))


def test_a_picture_in_a_file(pillow):
    assert file_product(png(), "plot.png").picture().shape == (8, 16, 3)


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", ParameterError, "an SVG drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", ParameterError, "a PostScript document"),
        (b"%PDF-1.4", ParameterError, "a PDF document"),
        (b"", ParameterError, "empty"),
        (png(200_000, 200_000), DecodingError, "decompression bomb"),
        (png(20_000, 5_000), DecodingError, "a picture of 20000 x 5000 pixels would take"),
        (png()[:60], DecodingError, "malformed"),
        (png()[:20], DecodingError, "malformed"),
        (png().replace(b"IDAT", b"IDAX"), DecodingError, "a PNG picture that can't be read"),
        (b"\xff\xd8\xff\xe0" + bytes(50), DecodingError, "a JPEG picture that can't be read"),
    ],
    ids=["svg", "eps", "pdf", "empty", "huge", "large", "cut short", "header cut short", "no pixels", "jpeg"],
)
def test_hostile_pictures(pillow, data, error, reason):
    product = picture_product(data)
    with pytest.raises(error, match=f"^product 'picture'.*({reason})"):
        product.picture()
    # the line is shown instead, or the browser shows what there is
    product._repr_png_()
    product._repr_jpeg_()


def test_a_truncated_jpeg(pillow):
    image = pillow.fromarray(np.random.default_rng(1).integers(0, 255, (90, 90, 3), dtype="u1"))
    content = io.BytesIO()
    image.save(content, "JPEG")
    with pytest.raises(DecodingError, match="truncated"):
        picture_product(content.getvalue()[:-2000], "jpeg").picture()


def test_only_pictures_have_pixels(recorded):
    product = Products.from_response(recorded("isgri_image_6_done"))[0]
    with pytest.raises(ParameterError, match="of kind image, not a picture"):
        product.picture()


def test_pictures_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    product = picture_product(png())
    with pytest.raises(ImportError, match="pip install pillow"):
        product.picture()
    assert product._repr_png_() is None


def test_notebooks_show_pictures(pillow):
    formatted = picture_product(png())
    assert (formatted._repr_png_(), formatted._repr_jpeg_()) == (formatted.data, None)
    jpeg = picture_product(saved(pillow, "RGB", "JPEG"), "jpg")
    assert (jpeg._repr_png_(), jpeg._repr_jpeg_()) == (None, jpeg.data)
    # a browser would decode it
    bomb = picture_product(png(30_000, 30_000))
    assert bomb._repr_png_() is None
    for product in (
        only(text_product_list=["x"]),
        file_product(png()),
        only(binary_image_product_list=[{"name": "p", "b64data": "?"}]),
        picture_product(b"<svg/>", "svg"),
    ):
        assert product._repr_png_() is product._repr_jpeg_() is None
        assert repr(product).startswith("<Product ")


# ---- tables


def headings():
    names = (
        "Tmean[MJD]",
        "dT[MJD]",
        "Omega[MJD]",
        "Flux[TeV/cm2s]",
        "E2 dN/dE nu[ TeV/cm2 s]",
        "Cts_s",
        "Norm[1/(Gev s",
    )
    return Table([np.array([59000.0, 59001.5]) + number for number in range(7)], names=names)


def test_a_table_with_units():
    product = only(astropy_table_product_ascii_list=[ecsv(headings())])
    table = product.to_table()
    assert table.colnames == ["Tmean", "dT[MJD]", "Omega[MJD]", "Flux", "E2 dN/dE nu", "Cts_s", "Norm[1/(Gev s"]
    assert isinstance(table["Tmean"], Time)
    assert (table["Tmean"].scale, table["Tmean"].mjd.tolist()) == ("utc", [59000.0, 59001.5])
    assert table["dT[MJD]"].unit is None
    assert table["Flux"].unit == table["E2 dN/dE nu"].unit == u.TeV / u.cm**2 / u.s
    # of its own
    table["Flux"][:] = 0
    table["Cts_s"][0] = 0
    table.meta["x"] = 1
    assert product.data.colnames == headings().colnames
    assert product.data["Flux[TeV/cm2s]"][0] == 59003.0
    assert product.data["Cts_s"][0] == 59005.0
    assert "x" not in product.data.meta


def test_tables_of_hdus(recorded):
    product = Products.from_response(recorded("isgri_lc_real"))[0]
    table = product.to_table()
    assert {"TIME", "RATE"} <= set(table.colnames)
    table["RATE"][:] = -1
    curves = [hdu for hdu in product.data if isinstance(hdu, fits.BinTableHDU) and "RATE" in hdu.columns.names]
    assert curves
    assert not any((hdu.data["RATE"] == -1).all() for hdu in curves)


def test_products_without_a_table(recorded):
    for product, advice in (
        (picture_product(png()), r"picture\(\)"),
        (file_product(fits_file(events_hdu())), r"hdulist\(\), if it is FITS"),
        (Products.from_response(recorded("isgri_image_6_done"))[0], r"hdulist\(\)"),
        (only(text_product_list=["x"]), "data"),
        (only(numpy_data_product_list=[IMAGES["plain"]]), r"hdulist\(\)"),
    ):
        with pytest.raises(ParameterError, match=rf"without a table; use \.{advice}\.$"):
            product.to_table()


def test_memory_of_a_table_is_bounded():
    product = only(astropy_table_product_ascii_list=[ecsv(Table({"a": ["x" * 1000, *["y"] * 1000]}))])
    assert len(product.data) == 1001
    with conf.set_temp("max_extra_memory", 0), pytest.raises(DecodingError, match="conf.max_extra_memory"):
        product.to_table()


# ---- gravitational waves

STRAIN = {"name": "Strain", "value": [1e-21, -2e-21, 3e-21], "t0": 1126259446.0, "dt": 1 / 4096}
SPECTROGRAM = {
    "value": [[1, 2, 3], [4, 5, 6]],
    "x0": 1126259446.0,
    "dx": 0.01,
    "yindex": [20.0, 30.5, 41.0],
    "dy": "none",
}


def test_gwpy_is_for_gravitational_waves():
    with pytest.raises(ParameterError, match="gwpy has objects for strain and spectrogram only"):
        only(text_product_list=["x"]).to_gwpy()


def test_without_gwpy(monkeypatch):
    for name in ("gwpy", "gwpy.timeseries", "gwpy.spectrogram"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install gwpy"):
        only(gw_strain_product_list=[STRAIN]).to_gwpy()


def test_steps_of_times_are_exact(tmp_path):
    products = Products.from_response(reply(gw_strain_product_list=[STRAIN], gw_spectrogram_product=SPECTROGRAM))
    products.write(tmp_path)
    for product in (*products, *Products.read(tmp_path)):
        step = STRAIN["dt"] if product.kind == "strain" else SPECTROGRAM["dx"]
        assert (product.data.meta["t0"], product.data.meta["dt"]) == (1126259446.0, step)


# ---- images of workflows


def images(*names, **more):
    return Products.from_response(reply(numpy_data_product_list=[IMAGES[name] for name in names], **more))


@pytest.mark.parametrize("name", [name for name in IMAGES if name != "plain"])
def test_images_of_workflows(name):
    mosaic = images(name).image()
    pictures = [hdu for hdu in mosaic[1:] if hdu.is_image]
    assert pictures
    for hdu in pictures:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            wcs = WCS(hdu.header)
        # the middle of each is where the Crab is
        ra, dec = wcs.celestial.pixel_to_world_values(14.5, 9.5)
        assert (float(ra), float(dec)) == (pytest.approx(83.63, abs=0.1), pytest.approx(22.01, abs=0.1))
        assert {"EXTNAME", "ORIGNAME"} <= set(hdu.header)


def test_names_of_several_images():
    mosaic = images("hess_air", "several", "legacysurvey", "legacysurvey_g").image()
    assert [(hdu.name, hdu.ver) for hdu in mosaic[1:]] == [
        ("HESS_AIR", 1), ("RADIO", 1), ("COUNTS", 1), ("IMAGE", 1), ("IMAGE", 2),
    ]  # fmt: skip
    assert mosaic["IMAGE", 2].header["PRODNAME"] == "legacysurvey_image_2"
    assert mosaic["IMAGE", 1].data.shape == (3, 20, 30)


def test_images_in_files(tmp_path):
    data = [binary(fits_file(events_hdu()), "events"), binary(fits_file(sky_hdu(), events_hdu()), "sky.fits")]
    products = Products.from_response(reply(binary_data_product_list=data, text_product_list=["x"]))
    mosaic = products.image()
    assert [hdu.name for hdu in mosaic] == ["PRIMARY", "SKY", "EVENTS"]
    mosaic.writeto(tmp_path / "sky.fits")
    mosaic["SKY"].data[:] = 0
    assert products[1].hdulist()["SKY"].data.max() == 11
    # what is announced as an image comes first
    both = images("hess_car", binary_data_product_list=data).image()
    assert [hdu.name for hdu in both] == ["PRIMARY", "HESS_CAR"]


def test_files_without_images():
    data = [binary(fits_file(events_hdu()), "events"), binary(b"x", "other")]
    with pytest.raises(ServiceError, match="sent no image or array, but: binary"):
        Products.from_response(reply(binary_data_product_list=data)).image()


def test_a_picture_is_no_image():
    products = Products.from_response(reply(binary_image_product_list=[picture(png(), name="sky")]))
    with pytest.raises(ServiceError, match=r"but: picture.* product\.picture\(\) gives the pixels of: sky\.") as caught:
        products.image()
    assert caught.value.products is products


class TestPlots:
    """What is drawn of them."""

    @pytest.fixture(autouse=True)
    def _figures(self):
        require(importlib.util.find_spec("matplotlib"), "matplotlib")
        yield
        from matplotlib import pyplot

        pyplot.close("all")

    @pytest.mark.parametrize(
        ("name", "label"),
        [
            ("hess_air", "Hess_air"),
            ("hess_car", "Hess_car"),
            ("skyview", "Skyview ("),
            ("map3d", "Map3d, plane 1 of 2"),
            ("several", "Radio ("),
            ("legacysurvey", "Image, plane 1 of 3"),
            ("legacysurvey_g", "Image"),
        ],
    )
    def test_the_image_that_there_is(self, name, label):
        from astroquery_mmoda.plotting import plot_image

        ax = plot_image(images(name).image())
        (drawn,) = ax.images
        pixels = np.asarray(drawn.get_array())
        assert pixels.shape == (20, 30)
        # upper left
        assert np.unravel_index(pixels.argmax(), pixels.shape) == (15, 7)
        assert ax.transData.transform((7, 15))[1] > ax.transData.transform((7, 5))[1]
        assert ax.figure.axes[1].get_ylabel().startswith(label)
        assert ax.coords[0].get_axislabel().startswith("Right ascension")
        ax.figure.canvas.draw()

    def test_which_one_of_several(self, log_records):
        from astroquery_mmoda.plotting import plot_image

        mosaic = images("several").image()
        plot_image(mosaic)
        assert log_records()[-1] == "There is no SIGNIFICANCE; ('RADIO', 1) is drawn, of 2 images."
        mosaic["COUNTS"].name = "INTENSITY"
        assert plot_image(mosaic).figure.axes[1].get_ylabel() == "Intensity"
        with pytest.raises(ParameterError, match="there is no image 'VARIANCE'; images present: "):
            plot_image(mosaic, extension="VARIANCE")

    def test_noise_and_bright_stars(self):
        """As in images of the Legacy Survey, of which a linear scale would show a few pixels."""
        from astroquery_mmoda.plotting import plot_image

        mosaic = images("legacysurvey_g").image()
        mosaic["IMAGE"].data[:] = np.random.default_rng(3).normal(0, 0.01, (20, 30))
        mosaic["IMAGE"].data[3, 4] = 50
        (drawn,) = plot_image(mosaic).images
        assert type(drawn.norm).__name__ == "AsinhNorm"
        assert 0.02 < drawn.norm.linear_width < 0.04
        (drawn,) = plot_image(images("hess_car").image()).images
        assert type(drawn.norm).__name__ == "Normalize"

    def test_without_sky_coordinates(self):
        from astroquery_mmoda.plotting import plot_image

        with pytest.raises(ParameterError, match=r"of extension \('MAP', 1\) are missing; matplotlib.pyplot.imshow"):
            plot_image(images("plain").image())

    def test_other_axes(self):
        from astroquery_mmoda.plotting import plot_image

        mosaic = images("map3d").image()
        for keyword in ("CTYPE", "CRVAL", "CDELT", "CRPIX"):
            header = mosaic["MAP3D"].header
            header[f"{keyword}1"], header[f"{keyword}3"] = header[f"{keyword}3"], header[f"{keyword}1"]
        header["CUNIT1"] = ""
        header["CUNIT3"] = "deg"
        with pytest.raises(ParameterError, match="not along the first two axes"):
            plot_image(mosaic)
