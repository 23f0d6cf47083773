"""Mosaics as INTEGRAL's software makes them: units, dates, and pixels that nothing was seen in."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS

from astroquery_mmoda import Products
from astroquery_mmoda.catalog import empty_catalog, read_positions, table_of, to_hdu
from astroquery_mmoda.products.image import mend_wcs
from tests.genuine_like import images
from tests.genuine_like.encode import product, reply

TYPES = ["INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE"]
UNITS = {"INTENSITY": u.ct / u.s, "VARIANCE": u.ct**2 / u.s**2, "SIGNIFICANCE": u.one, "EXPOSURE": u.s}
PER_AREA = {"INTENSITY": u.ct / u.dm**2 / u.s, "VARIANCE": u.ct**2 / u.dm**4 / u.s**2}


@pytest.fixture(params=["isgri", "jemx"])
def instrument(request):
    return request.param


@pytest.fixture
def products(instrument):
    return Products.from_response(getattr(images, instrument)())


@pytest.fixture
def mosaic(products):
    return products.image()


def expected_units(instrument):
    return UNITS | (PER_AREA if instrument == "jemx" else {})


def test_names_and_origin(mosaic, instrument):
    assert [hdu.name for hdu in mosaic[2:]] == TYPES
    kinds = ["RECONSTRUCTED" if instrument == "jemx" else "INTENSITY", *TYPES[1:]]
    assert [hdu.header["IMATYPE"] for hdu in mosaic[2:]] == kinds
    assert mosaic["INTENSITY"].header["ORIGNAME"] == ("JMX1-MOSA-IMA" if instrument == "jemx" else "ISGR-MOSA-IMA")


def test_units_are_read_by_all(mosaic, instrument, tmp_path):
    mosaic.writeto(tmp_path / "mosaic.fits")
    for name, unit in expected_units(instrument).items():
        assert u.Unit(mosaic[name].header["BUNIT"], format="fits") == unit
        number = mosaic.index_of(name)
        data = CCDData.read(tmp_path / "mosaic.fits", hdu=number)
        assert data.unit == unit
        np.testing.assert_array_equal(data.data, mosaic[name].data)


def test_spelling_of_units(instrument):
    mosaic = Products.from_response(images.isgri()).image()
    assert [mosaic[name].header["BUNIT"] for name in TYPES] == ["count / s", "count2 / s2", "", "s"]


def test_a_unit_that_nobody_knows_stays():
    assert Products.from_response(images.isgri(BUNIT="glorp/sec")).image()["INTENSITY"].header["BUNIT"] == "glorp/sec"


@pytest.mark.parametrize("unit", [None, "UNKNOWN", "String"])
def test_a_unit_that_is_missing(unit, tmp_path):
    mosaic = Products.from_response(images.isgri(BUNIT=unit)).image()
    assert "BUNIT" not in mosaic["INTENSITY"].header
    mosaic.writeto(tmp_path / "m.fits")
    assert CCDData.read(tmp_path / "m.fits", hdu=mosaic.index_of("SIGNIFICANCE")).unit == u.one
    assert CCDData.read(tmp_path / "m.fits", hdu=mosaic.index_of("INTENSITY"), unit="ct / s").unit == u.ct / u.s


# ---- pixels without exposure


def test_pixels_without_exposure_are_nan(mosaic):
    outside = ~images.field()
    truth = images.maps(1)
    assert outside.sum() > 100
    for name in TYPES[:3]:
        pixels = mosaic[name].data
        assert pixels.dtype.kind == "f"
        assert pixels.dtype.itemsize == 4
        np.testing.assert_array_equal(np.isnan(pixels), outside)
        np.testing.assert_array_equal(pixels[~outside], truth[name].astype("f4")[~outside])
    np.testing.assert_array_equal(mosaic["EXPOSURE"].data, truth["EXPOSURE"].astype("f4"))


def test_what_the_product_holds_stays(products):
    products.image()
    for hdu in products[0].data[2:]:
        assert np.isfinite(hdu.data).all()
    assert products[0].data[2].header["BUNIT"].startswith("counts/")


def test_it_is_the_same_after_writing_and_reading(products, tmp_path):
    mosaic = products.image()
    products.write(tmp_path / "out")
    again = Products.read(tmp_path / "out").image()
    for name in TYPES:
        np.testing.assert_array_equal(again[name].data, mosaic[name].data)
        for keyword in ("BUNIT", "DATE-OBS", "MJD-OBS", "TELAPSE", "IMATYPE"):
            assert again[name].header[keyword] == mosaic[name].header[keyword]


def one_band(keep, **changes):
    """Product with some maps of one band, in which pixels (0..3, 5) are changed."""
    hdulist = images.mosaic()
    del hdulist["GROUPING"]
    for hdu in hdulist[1:]:
        hdu.data[0:4, 5] = changes.get(hdu.header["IMATYPE"], 7.0)
    hdulist = fits.HDUList([hdulist[0], *(hdu for hdu in hdulist[1:] if hdu.header["IMATYPE"] in keep)])
    return Products.from_response(reply(product(hdulist, "mosaic"))).image()


@pytest.mark.parametrize("value", [0.0, np.nan])
@pytest.mark.parametrize("which", ["VARIANCE", "EXPOSURE"])
def test_either_map_tells(which, value):
    for keep in (TYPES, ["INTENSITY", "SIGNIFICANCE", which]):
        mosaic = one_band(keep, **{which: value})
        for name in ("INTENSITY", "SIGNIFICANCE"):
            assert np.isnan(mosaic[name].data[0:4, 5]).all()
    assert not np.isnan(one_band(TYPES)["INTENSITY"].data[0:4, 5]).any()


def test_without_such_maps_nothing_is_changed():
    mosaic = one_band(["INTENSITY", "SIGNIFICANCE"], INTENSITY=0.0)
    assert np.isfinite(mosaic["INTENSITY"].data).all()
    assert (mosaic["INTENSITY"].data == 0).any()


def test_zeros_within_the_field_stay():
    mosaic = one_band(TYPES, INTENSITY=0.0)
    assert (mosaic["INTENSITY"].data[0:4, 5] == 0).all()


def test_each_band_has_its_own_exposure():
    hdulist = images.mosaic(((20.0, 40.0), (40.0, 80.0)))
    hdulist[2 + 3].data[:, :] = 1.0  # EXPOSURE of the first band
    hdulist[2 + 1].data[:, :] = 1.0  # its VARIANCE
    mosaic = Products.from_response(reply(product(hdulist, "mosaic"))).image()
    assert not np.isnan(mosaic["INTENSITY", 1].data).any()
    np.testing.assert_array_equal(np.isnan(mosaic["INTENSITY", 2].data), ~images.field())


def test_maps_of_another_shape_or_product_tell_nothing():
    first, second = images.mosaic(), images.mosaic()
    for hdu in (first[3], first[5]):
        hdu.data = hdu.data[:-1]
    del second[5], second[3]
    found = Products.from_response(reply(product(first, "one"), product(second, "two"))).image()
    assert not any(np.isnan(hdu.data).any() for hdu in found if hdu.name == "INTENSITY")


@pytest.mark.parametrize("energy", [None, "Real", "NaN"])
def test_bands_that_are_not_told(energy):
    single = Products.from_response(images.isgri(E_MIN=energy, E_MAX=energy)).image()
    assert np.isnan(single["INTENSITY"].data).any()
    assert single["INTENSITY"].ver == 1
    hdulist = images.mosaic(((20.0, 40.0), (40.0, 80.0)), E_MIN=energy)
    both = Products.from_response(reply(product(hdulist, "mosaic"))).image()
    assert not np.isnan(both["INTENSITY", 1].data).any()
    assert [hdu.ver for hdu in both if hdu.name == "INTENSITY"] == [1, 2]


def test_whole_numbers_become_fractions():
    hdulist = images.mosaic(dtype=">i2")
    mosaic = Products.from_response(reply(product(hdulist, "mosaic"))).image()
    assert mosaic["INTENSITY"].data.dtype.kind == "f"
    assert np.isnan(mosaic["INTENSITY"].data[0, 0])
    assert mosaic["EXPOSURE"].data.dtype.kind == "i"


def test_a_type_that_nobody_filled_in():
    mosaic = Products.from_response(images.isgri(IMATYPE="String")).image()
    assert {hdu.name for hdu in mosaic[2:]} == {"ISGR-MOSA-IMA"}


# ---- dates


BEGIN, END = (Time(images.MJDREF + day, format="mjd", scale="tt") for day in (images.BEGIN, images.END))


def test_dates_are_those_of_the_times(mosaic):
    for hdu in mosaic[2:]:
        header = hdu.header
        assert header["TIMESYS"] == "TT"
        assert header["MJD-OBS"] == pytest.approx(BEGIN.mjd, abs=1e-8)
        assert header["MJD-END"] == pytest.approx(END.mjd, abs=1e-8)
        assert abs((Time(header["DATE-OBS"], scale="tt") - BEGIN).sec) < 1e-3
        assert abs((Time(header["DATE-END"], scale="tt") - END).sec) < 1e-3
        assert (header["TSTART"], header["TELAPSE"]) == (images.BEGIN, 9000.0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert WCS(header).wcs.mjdobs == pytest.approx(BEGIN.mjd, abs=1e-8)


SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg", "CRVAL1": 10.0, "CRVAL2": 5.0}
TIMES = {"MJDREF": 51544.0, "TIMESYS": "TT", "TIMEUNIT": "d", "TSTART": 1540.25, "TSTOP": 1540.375}


def mended(**cards):
    header = fits.Header({**SKY, **{key.replace("_", "-"): value for key, value in cards.items()}})
    mend_wcs(header)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WCS(header)
    return header


@pytest.mark.parametrize(
    "told",
    [
        {"DATE_OBS": BEGIN.utc.isot},
        {"MJD_OBS": BEGIN.utc.mjd},
        {"DATE_OBS": BEGIN.isot[:10]},
        {"DATE_OBS": "19/03/04"},
        {"DATE_OBS": BEGIN.utc.isot, "MJD_OBS": BEGIN.utc.mjd},
        {"DATE_OBS": BEGIN.isot, "MJD_OBS": BEGIN.utc.mjd},
    ],
    ids=str,
)
def test_dates_that_contradict_the_times(told):
    header = mended(**TIMES, **told)
    assert header["DATE-OBS"] == BEGIN.isot
    assert header["MJD-OBS"] == pytest.approx(BEGIN.mjd, abs=1e-8)


@pytest.mark.parametrize("unit", ["d", "s"])
@pytest.mark.parametrize("scale", ["TT", "TDB", "UTC"])
def test_dates_are_in_the_scale_of_the_times(scale, unit):
    factor = 86400 if unit == "s" else 1
    times = TIMES | {"TIMESYS": scale, "TIMEUNIT": unit, "TSTART": 1540.25 * factor}
    header = mended(**times, DATE_OBS=BEGIN.isot[:19])
    assert header["DATE-OBS"] == BEGIN.isot


def test_dates_of_others_are_trusted():
    header = mended(DATE_OBS="2020-05-06T07:08:09", TIMESYS="TT")
    assert header["MJD-OBS"] == pytest.approx(Time("2020-05-06T07:08:09", scale="tt").mjd)
    assert "MJD-OBS" not in mended(TELESCOP="INTEGRAL")


@pytest.mark.parametrize("lacking", ["TSTART", "TIMEUNIT"])
def test_dates_of_integral_without_times_are_left_out(lacking):
    cards = {key: value for key, value in TIMES.items() if key != lacking}
    header = mended(**cards, TELESCOP="INTEGRAL", DATE_OBS="2020-05-06T07:08:09")
    assert not {"DATE-OBS", "MJD-OBS"} & set(header)
    assert "2020-05-06T07:08:09" in str(header["HISTORY"])


@pytest.mark.parametrize("word", ["UTC_format", "UNKNOWN", "", None])
def test_words_of_templates_are_no_dates_or_frames(word):
    header = mended(**TIMES, DATE_OBS=word, DATE_END=word, RADECSYS=word, EQUINOX=word, TIMEREF=word)
    assert not {"DATE-OBS", "MJD-OBS", "RADESYS", "EQUINOX", "TIMEREF"} & set(header)


# ---- the list of sources


NAMES = [
    "x" * 70, "'" * 60, "it's " * 20, "a\nb", "tab\tx", " ", "日本", "日" * 70, "ra ", "RA", "flag", "column_9", "c&", "é", "e",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:It is strongly recommended:astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize("name", [*NAMES, NAMES], ids=lambda name: "all" if isinstance(name, list) else repr(name)[:12])
def test_names_of_columns_of_all_kinds(name, tmp_path):
    table = empty_catalog()
    table.add_row(dict.fromkeys(table.colnames, 1) | {"src_names": "Crab"})
    usual = table.colnames
    for number, extra in enumerate(name if isinstance(name, list) else [name]):
        table[extra] = [float(number)]
    hdu = to_hdu(table)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "c.fits", checksum=True)
    with fits.open(tmp_path / "c.fits") as opened:
        opened.verify("exception")
        again = Table.read(opened["CATALOG"])
    assert again.colnames[: len(usual)] == usual
    assert [float(again[column][0]) for column in again.colnames[len(usual) :]] == list(
        range(len(table.colnames) - len(usual))
    )
    assert len({column.lower() for column in again.colnames}) == len(table.colnames)


def test_names_of_coordinates_that_change(tmp_path):
    table = Table({"src_names": ["Crab"], "Länge": [83.6] * u.deg, "Breite": [22.0] * u.deg})
    table.meta.update(FRAME="fk5", LON_NAME="Länge", LAT_NAME="Breite")
    fits.HDUList([fits.PrimaryHDU(), to_hdu(table)]).writeto(tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits") as opened:
        assert read_positions(table_of(opened)).lon.tolist() == [83.6]


def test_a_long_name_in_a_reply(recorded):
    body = copy.deepcopy(recorded("isgri_image_6_done"))
    catalog = body["products"]["catalog"]
    catalog["cat_column_names"].append("a note's length " * 5)
    catalog["cat_column_list"].append(["x", "y", "z"])
    mosaic = Products.from_response(body).image()
    assert len(mosaic["CATALOG"].columns) == 10


def test_images_pickle(mosaic):
    again = pickle.loads(pickle.dumps(mosaic))  # as workers of query_many send them
    np.testing.assert_array_equal(again["INTENSITY"].data, mosaic["INTENSITY"].data)
