"""Source lists as DS9 region files, read again by the regions package."""

import sys
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import FK5, SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table

from astroquery_mmoda import Products, errors, write_regions
from astroquery_mmoda.catalog import empty_catalog
from conftest import require

try:
    import regions
except ImportError:
    regions = None


@pytest.fixture(autouse=True)
def _with_regions():
    require(regions, "the regions package (astroquery_mmoda[regions])")


@pytest.fixture
def products(recorded):
    return Products.from_response(recorded("isgri_image_6_done"))


def read(path):
    return regions.Regions.read(path, format="ds9")


def texts(path):
    return [region.meta.get("text") for region in read(path)]


def test_a_catalogue_as_circles(products, tmp_path):
    sources = products.catalog()
    path = write_regions(sources, tmp_path / "sources.reg")
    assert path == tmp_path / "sources.reg"
    assert texts(path) == ["Crab", "3C 111", "IGR J05270+2119"]
    for region, row in zip(read(path), sources, strict=True):
        assert isinstance(region, regions.CircleSkyRegion)
        assert region.center.frame.name == "fk5"
        assert region.center.ra.deg == pytest.approx(row["ra"], abs=1e-9)
        assert region.center.dec.deg == pytest.approx(row["dec"], abs=1e-9)
        assert region.radius.to_value("deg") == pytest.approx(row["ERR_RAD"], rel=1e-6)


def test_an_image_gives_its_own_sources(products, tmp_path):
    products.image().writeto(tmp_path / "mosaic.fits")
    with fits.open(tmp_path / "mosaic.fits") as mosaic:
        write_regions(mosaic, tmp_path / "image.reg")
    write_regions(products.catalog(), tmp_path / "table.reg")
    assert (tmp_path / "image.reg").read_text() == (tmp_path / "table.reg").read_text()


@pytest.mark.parametrize("frame", ["icrs", "fk5", "fk4", "galactic"])
def test_the_frame_is_kept(tmp_path, frame):
    places = SkyCoord([1.23456789, 359.9] * u.deg, [-89.5, 5] * u.deg, frame=frame)
    path = write_regions(Table({"name": ["a", "b"], "position": places}), tmp_path / "x.reg")
    found = read(path)
    assert [region.center.frame.name for region in found] == [frame if frame == "fk5" else "icrs"] * 2
    assert all(
        region.center.icrs.separation(place.icrs) < 1 * u.mas for region, place in zip(found, places, strict=True)
    )
    assert all(isinstance(region, regions.PointSkyRegion) for region in found)


def test_the_service_s_galactic_lists(tmp_path):
    table = Table({"src_names": ["a"], "lon": [184.5] * u.deg, "lat": [-5.8] * u.deg})
    table.meta.update(FRAME="galactic", LON_NAME="lon", LAT_NAME="lat")
    (region,) = read(write_regions(table, tmp_path / "x.reg"))
    assert region.center.galactic.l.deg == pytest.approx(184.5)


def test_a_frame_that_ds9_does_not_know(tmp_path):
    place = SkyCoord([10] * u.deg, [20] * u.deg, frame=FK5(equinox="J1950"))
    (region,) = read(write_regions(Table({"name": ["a"], "position": place}), tmp_path / "x.reg"))
    assert region.center.separation(place[0]) < 1 * u.mas
    table = Table({"src_names": ["a"], "ra": [1.0], "dec": [2.0]})
    table.meta.update(FRAME="x", LON_NAME="ra", LAT_NAME="dec")
    with pytest.raises(errors.ParameterError, match="frame 'x' must be one of"):
        write_regions(table, tmp_path / "y.reg")


def test_error_radii_of_other_tables(tmp_path):
    table = QTable({"main_id": list("abcd"), "ra": [1, 2, 3, 4] * u.deg, "dec": [1, 2, 3, 4] * u.deg})
    table["err_rad"] = [1, 0, np.nan, 2] * u.arcmin
    found = read(write_regions(table, tmp_path / "x.reg"))
    assert [type(region).__name__[:5] for region in found] == ["Circl", "Point", "Point", "Circl"]
    assert found[3].radius.to_value("arcmin") == pytest.approx(2)
    table["err_rad"] = [1, 0, 1, 2] * u.m
    with pytest.raises(errors.ParameterError, match="'err_rad': not a valid column of angles"):
        write_regions(table, tmp_path / "x.reg", overwrite=True)


def test_sources_without_a_position_are_left_out(tmp_path):
    table = Table({"name": ["a", "b", "c"], "ra": MaskedColumn([1.0, 2.0, 3.0], mask=[0, 1, 0], unit="deg")})
    table["dec"] = [1.0, 2.0, np.nan] * u.deg
    assert texts(write_regions(table, tmp_path / "x.reg")) == ["a"]


NAMES = {
    "a{b}c": "a(b)c",
    "}": ")",
    "text={x": "text=(x",
    "a;circle(1,2,3)": "a,circle(1,2,3)",
    'Barnard\'s "star"': 'Barnard\'s "star"',
    "two\nlines\r\t": "two lines",
    "# not a comment": "# not a comment",
    "η Car": "eta Car",
    "日": "?",
    "back\\slash=$x": "back\\slash=$x",
    "x" * 500: "x" * 60,
    "  ": None,
}


def test_any_name_is_a_label(tmp_path):
    table = Table({"name": list(NAMES), "ra": np.arange(len(NAMES)) * u.deg, "dec": np.zeros(len(NAMES)) * u.deg})
    path = write_regions(table, tmp_path / "x.reg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read(path)
    assert [region.meta.get("text") for region in found] == list(NAMES.values())
    assert [region.center.ra.deg for region in found] == pytest.approx(list(range(len(NAMES))))
    assert path.read_text().count("\n") == len(NAMES) + 2
    for row, label in enumerate(NAMES.values()):  # a single source is written in another way
        assert texts(write_regions(table[row : row + 1], path, overwrite=True)) == [label]


def test_nothing_to_write(tmp_path):
    assert read(write_regions(empty_catalog(), tmp_path / "x.reg")).regions == []


def test_files_are_not_replaced_unless_asked(products, tmp_path):
    path = tmp_path / "x.reg"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_regions(products.catalog(), path)
    assert path.read_text() == "mine"
    write_regions(products.catalog(), str(path), overwrite=True)
    assert len(read(path)) == 3
    assert list(tmp_path.glob(".*.part")) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (5, "must be a Table"),
        (Table({"name": ["a"]}), "needs coordinates"),
        (fits.HDUList([fits.PrimaryHDU()]), "without a CATALOG"),
    ],
    ids=["number", "no coordinates", "no CATALOG"],
)
def test_what_is_no_catalogue(tmp_path, given, says):
    with pytest.raises(errors.ParameterError, match=says):
        write_regions(given, tmp_path / "x.reg")
    assert not (tmp_path / "x.reg").exists()


def test_the_package_is_named_where_it_is_missing(monkeypatch, products, tmp_path):
    monkeypatch.setitem(sys.modules, "regions", None)
    with pytest.raises(ImportError, match="region files need regions, .*: pip install regions"):
        write_regions(products.catalog(), tmp_path / "x.reg")


def test_a_single_source_is_labelled_where_ds9_looks(tmp_path):
    table = Table({"src_names": ["Crab"], "ra": [83.63] * u.deg, "dec": [22.01] * u.deg, "ERR_RAD": [0.01] * u.deg})
    lines = write_regions(table, tmp_path / "one.reg").read_text().splitlines()
    assert lines[-1].startswith("circle(83.63")
    assert lines[-1].endswith("# text={Crab}")
    assert not any("text" in line for line in lines[:-1])
