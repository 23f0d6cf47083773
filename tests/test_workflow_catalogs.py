# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Catalogues of workflows and plugins other than INTEGRAL's: tables of any columns that have positions on the sky."""

import json
import warnings
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astroquery.exceptions import InputWarning, NoResultsWarning

from astroquery_mmoda import Products, write_regions
from astroquery_mmoda.catalog import read_catalog
from astroquery_mmoda.errors import DecodingError, ParameterError
from astroquery_mmoda.products.forms import in_form
from astroquery_mmoda.request.source_list import to_service

RECORDED = json.loads((Path(__file__).parent / "data" / "workflows" / "products.json").read_text(encoding="utf-8"))


def products(*names, arrays=(), **more):
    body = {"astropy_table_product_ascii_list": [RECORDED["tables"][name] for name in names]}
    body["numpy_data_product_list"] = [product for product in RECORDED["numpy"] if product["name"] in arrays]
    return Products.from_response({"query_status": "done", "products": {**body, **more}})


def table_named(name, data):
    text = StringIO()
    data.write(text, format="ascii.ecsv")
    return {**RECORDED["tables"]["catalog_table"], "name": name, "ascii": text.getvalue()}


# ---- tables of workflows


def test_the_legacy_survey():
    table = products("catalog_table").catalog()
    assert table.colnames == ["RA", "DEC", "Type", "flux_g", "ref_cat"]
    assert table["RA"].unit == table["DEC"].unit == u.deg
    assert table["RA"].tolist() == [166.1, 166.2]
    assert table["Type"].tolist() == ["PSF", "REX"]
    assert table["flux_g"].mask.tolist() == [False, True]
    assert table["flux_g"].unit is None
    assert table.meta.items() >= {"LON_NAME": "RA", "LAT_NAME": "DEC", "UNITWARN": "RA, DEC: degrees assumed"}.items()


def test_headings_have_the_units():
    table = products("old_catalog").catalog()
    assert table.colnames == ["RA", "DEC", "Type", "flux_g"]
    assert (table["RA"].unit, table["DEC"].unit, table["flux_g"].unit) == (u.deg, u.deg, u.Jy)
    assert table.meta.items() >= {"LON_NAME": "RA", "LAT_NAME": "DEC"}.items()


@pytest.mark.parametrize(
    ("name", "first", "meta"),
    [
        ("catalog_table", (166.1, 38.2), {"LON_NAME": "RA", "LAT_NAME": "DEC"}),
        ("old_catalog", (166.1, 38.2), {"LON_NAME": "RA", "LAT_NAME": "DEC"}),
        ("named", (83.633083333, 22.0145), {"LON_NAME": "RAJ2000", "LAT_NAME": "DEJ2000"}),
        ("galactic", (184.5575, -5.7844), {"LON_NAME": "glon", "LAT_NAME": "glat", "FRAME": "galactic"}),
        ("mixin", (83.6, 22.0), {"LON_NAME": "position.ra", "LAT_NAME": "position.dec", "FRAME": "icrs"}),
        ("texts", (83.6, 22.0), {"LON_NAME": "RA", "LAT_NAME": "Dec"}),
        ("hours", (83.55, 22.0), {"LON_NAME": "RA", "LAT_NAME": "DEC"}),
    ],
)
def test_positions_of_every_shape(name, first, meta):
    found = products(name)
    table = found.catalog()
    assert {key: table.meta.get(key) for key in ("LON_NAME", "LAT_NAME", "FRAME")} == {"FRAME": None} | meta
    columns = [table[meta[key]] for key in ("LON_NAME", "LAT_NAME")]
    assert all(u.Unit(column.unit).is_equivalent(u.deg) for column in columns)
    np.testing.assert_allclose([u.Quantity(column[0], column.unit).to_value("deg") for column in columns], first)
    assert ("UNITWARN" in table.meta) == (name == "catalog_table")
    assert len(table) == 2


@pytest.mark.parametrize("name", ["catalog_table", "old_catalog", "mixin", "texts", "hours"])
def test_astropy_guesses_the_positions(name):
    table = products(name).catalog()
    places = SkyCoord.guess_from_table(table)
    nearest, distance, _ = places[:1].match_to_catalog_sky(places[:1])
    assert distance[0] < 1 * u.arcsec
    assert abs(places[0].dec.deg - (38.2 if "catalog" in name else 22)) < 1


def test_other_columns_stay_as_they_are():
    table = products("galactic").catalog()
    assert table.colnames == ["source_name", "glon", "glat"]
    assert table.meta["origin"] == "somewhere"
    assert products("mixin").catalog()["flux"].unit == u.mJy
    texts = products("texts").catalog()
    assert texts["Main ID Name"].tolist() == ["Crab", "?"]
    assert texts["RA"].mask.tolist() == [False, True]


def test_words_for_nothing_are_masked():
    data = Table(
        {"Raw Source Name": ["Crab", "x"], "RIGHT_ASCENSION": ["05 34 31.94", "NotKnown"], "DECLINATION": ["22", "--"]}
    )
    table = products(astropy_table_product_ascii_list=[table_named("table_sources", data)]).catalog()
    np.testing.assert_allclose(table["RIGHT_ASCENSION"][0], 83.633083, rtol=1e-6)
    assert table["DECLINATION"][0] == 22
    assert table["RIGHT_ASCENSION"].mask.tolist() == table["DECLINATION"].mask.tolist() == [False, True]


def test_the_form_is_not_the_product():
    found = products("catalog_table")
    table = found.catalog()
    table["RA"][0] = 0
    assert found["catalog_table"].data["RA"][0] == 166.1
    assert found["catalog_table"].data["RA"].unit is None
    assert found.catalog()["RA"][0] == 166.1


@pytest.mark.parametrize("name", ["named", "galactic", "hours"])
def test_named_sources_are_accepted_as_a_catalogue(name):
    sent = to_service(products(name).catalog(), "isgri")
    columns = dict(zip(sent["cat_column_names"], sent["cat_column_list"], strict=True))
    assert columns["src_names"] == ["Crab", "Mrk 421"]
    place = SkyCoord(
        columns[sent["cat_lon_name"]][0], columns[sent["cat_lat_name"]][0], unit="deg", frame=sent["cat_frame"]
    )
    assert place.separation(SkyCoord("05:34:31.94 +22:00:52.2", unit=("hourangle", "deg"))) < 0.2 * u.deg


def test_nameless_ones_are_called_by_their_positions(tmp_path):
    table = products("catalog_table").catalog()
    with pytest.warns(InputWarning, match="called by their positions, such as J110423.381200"):
        sent = to_service(table, "isgri")
    columns = dict(zip(sent["cat_column_names"], sent["cat_column_list"], strict=True))
    assert columns["src_names"] == ["J110423+381200", "J110447+381800"]
    assert (sent["cat_lon_name"], columns["RA"]) == ("RA", [166.1, 166.2])
    # others of unknown origin may have names that were not found
    with pytest.raises(ParameterError, match="names of the sources"):
        to_service(Table({"ra": [1.0], "dec": [2.0]}))
    assert "point(166.1000" in write_regions(table, tmp_path / "a.reg").read_text()


def test_survives_ecsv(tmp_path):
    table = products("catalog_table").catalog()
    table.write(tmp_path / "a.ecsv")
    again = Table.read(tmp_path / "a.ecsv")
    assert again["RA"].unit == u.deg
    assert again.meta == table.meta


# ---- which table


def test_the_one_that_is_called_a_catalogue():
    with pytest.warns(InputWarning, match="'catalog_table' is taken as the catalogue; 'named' has positions, too"):
        table = products("named", "catalog_table").catalog()
    assert "flux_g" in table.colnames


def test_else_the_first():
    with pytest.warns(InputWarning, match="'galactic' is taken as the catalogue; 'named', 'mixin' have positions, too"):
        assert "glon" in products("galactic", "named", "mixin").catalog().colnames


def test_tables_without_positions_are_passed_over():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "glon" in products("sextractor", "galactic", arrays=("events_fits", "points")).catalog().colnames


def test_a_table_of_a_fits_file():
    table = products(arrays=("source_catalog",)).catalog()
    assert table["NAME"].tolist() == ["one", "two"]
    assert table["RAJ2000"].unit == u.deg
    assert table.meta["UNITWARN"] == "RAJ2000, DEJ2000: degrees assumed"


def test_the_list_of_the_service_comes_first():
    listed = {"cat_column_names": ["ra", "dec"], "cat_column_list": [[1.0], [2.0]]}
    assert products("catalog_table", catalog=listed).catalog().colnames == ["ra", "dec"]


@pytest.mark.parametrize(
    "data",
    [
        Table({"RA": ["a", "b"], "DEC": ["c", "d"]}),
        Table({"RA": [1.0, 2.0] * u.m, "DEC": [1.0, 2.0] * u.m}),
        Table({"RA": [[1.0, 2.0]], "DEC": [[1.0, 2.0]]}),
        Table({"RA": [1.0]}),
        Table({"ra_pnt": [1.0], "dec_pnt": [2.0]}),
        Table({"radius": [1.0], "decade": [2.0]}),
    ],
    ids=lambda data: str(data.colnames),
)
def test_what_has_no_positions(data):
    found = products(astropy_table_product_ascii_list=[table_named("catalog", data)])
    with pytest.warns(NoResultsWarning, match="no list of sources with positions was returned, but: table"):
        table = in_form("catalog", found, None)
    assert len(table) == 0
    assert table.colnames[:2] == ["meta_ID", "src_names"]


def test_texts_of_positions_are_bounded():
    data = Table({"RA": ["1 2 3"] * 100_001, "DEC": ["1 2 3"] * 100_001})
    found = products(astropy_table_product_ascii_list=[table_named("catalog", data)])
    with pytest.raises(DecodingError, match="table 'catalog'.*100000 are the most"):
        found.catalog()


def test_a_source_extractor():
    with pytest.warns(NoResultsWarning, match="with positions was returned, but: table; see query_product"):
        assert len(in_form("catalog", products("sextractor"), None)) == 0


def test_a_list_of_events_is_not_one_of_sources():
    with pytest.warns(NoResultsWarning):
        assert len(in_form("catalog", products(arrays=("events_fits",)), None)) == 0


def test_an_empty_table_of_sources():
    data = Table({"RA": np.zeros(0), "DEC": np.zeros(0), "flux": np.zeros(0)})
    found = products(astropy_table_product_ascii_list=[table_named("catalog", data)])
    with pytest.warns(NoResultsWarning, match="no source was found"):
        assert in_form("catalog", found, None).colnames == ["RA", "DEC", "flux"]


# ---- lists of other plugins


LEGACY_SURVEY = {
    "cat_column_list": [[0, 1], [166.1, 166.2], [38.2, 38.3], [1.5, None], [10.5, -1.0], ["PSF", "REX"], [True, False]],
    "cat_column_names": ["index", "ra", "dec", "flux_g", "flux_r", "type", "brick_primary"],
    "cat_column_descr": [
        *(["index", "<i8"], ["ra", "<f8"], ["dec", "<f8"], ["flux_g", "<f8"], ["flux_r", "<f4"], ["type", "<U3"]),
        ["brick_primary", "|b1"],
    ],
    "cat_meta": {"comments": ["made by a query"]},
}
WAVES = {
    "cat_column_list": [[0, 1], ["GW150914", "GW170817"], [440.0, 40.0], [150.0, None], [-170.0, None]],
    "cat_column_names": ["index", "commonName", "luminosity_distance", *("luminosity_distance_upper", "x_lower")],
    "cat_column_descr": [
        ["index", "<i8"],
        ["commonName", "<U8"],
        *([name, "<f8"] for name in ("luminosity_distance", "x")),
    ],
    "cat_meta": {},
}


def test_the_legacy_survey_of_the_older_plugin(tmp_path):
    """It tells neither the frame nor the units."""
    found = products(catalog=LEGACY_SURVEY)
    table = found.catalog()
    assert table.colnames == LEGACY_SURVEY["cat_column_names"]
    assert table["ra"].unit == table["dec"].unit == u.deg
    assert np.isnan(table["flux_g"][1])
    assert table["brick_primary"].tolist() == [True, False]
    assert table.meta.items() >= {"LON_NAME": "ra", "LAT_NAME": "dec", "UNITWARN": "ra, dec: degrees assumed"}.items()
    assert SkyCoord.guess_from_table(table).dec.deg.tolist() == [38.2, 38.3]
    with pytest.warns(InputWarning, match="called by their positions"):
        assert to_service(table)["cat_frame"] == "fk5"
    image = products(arrays=("fits",), catalog=LEGACY_SURVEY).image()
    assert image["CATALOG"].data["ra"].tolist() == [166.1, 166.2]
    assert "FRAME" not in image["CATALOG"].header
    assert len(found.write(tmp_path / "out")) == 1
    assert Products.read(tmp_path / "out").catalog().colnames == table.colnames


def test_the_list_of_gravitational_waves():
    table = products(catalog=WAVES).catalog()
    assert table["commonName"].tolist() == ["GW150914", "GW170817"]
    assert "LON_NAME" not in table.meta
    with pytest.raises(ParameterError, match="needs coordinates"):
        to_service(table)


def test_a_frame_that_was_sent_is_told():
    stated = {"cat_frame": "icrs", "cat_coord_units": "deg", "cat_lon_name": "ra", "cat_lat_name": "dec"}
    assert read_catalog(LEGACY_SURVEY | stated).meta == {"FRAME": "icrs", "LON_NAME": "ra", "LAT_NAME": "dec"}
