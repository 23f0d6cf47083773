"""Source lists: from the service, filtered, and back again."""

import json
import tracemalloc

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table, vstack

from astroquery_mmoda import Products
from astroquery_mmoda.catalog import add_sources, empty_catalog, read_catalog, to_catalog_text, to_service
from astroquery_mmoda.errors import DecodingError, ParameterError

IMAGES = ["isgri_image_6_done", "isgri_image_selected_catalog", "jemx_image_dummy", "jemx_image_empty"]


@pytest.fixture
def entry(recorded):
    return recorded("isgri_image_6_done")["products"]["catalog"]


def test_columns_types_and_units(entry):
    table = read_catalog(entry)
    assert table.colnames == entry["cat_column_names"]
    assert table["src_names"].tolist() == ["Crab", "3C 111", "IGR J05270+2119"]
    assert (table["meta_ID"].dtype, table["significance"].dtype) == (np.int64, np.float32)
    assert table["ra"].tolist() == entry["cat_column_list"][3]
    assert [table[name].unit for name in ("ra", "dec", "ERR_RAD")] == [u.deg] * 3
    assert table["significance"].unit is None
    assert table.meta == {"FRAME": "fk5", "LON_NAME": "ra", "LAT_NAME": "dec"}
    assert SkyCoord.guess_from_table(table)[0].separation(SkyCoord(83.63, 22.01, unit="deg")) < 1 * u.arcmin


@pytest.mark.parametrize("name", IMAGES)
def test_round_trip_is_exact(recorded, name):
    entry = recorded(name)["products"]["catalog"]
    if not entry["cat_column_list"][0]:
        assert len(read_catalog(entry)) == 0
        return
    again = to_service(read_catalog(entry))
    for key in ("cat_frame", "cat_coord_units", "cat_column_list", "cat_column_names", "cat_lat_name", "cat_lon_name"):
        assert again[key] == entry[key]


def test_new_sources_stay_plain_integers(entry):
    entry["cat_column_list"][entry["cat_column_names"].index("NEW_SOURCE")] = [-32768, -32767, -32768]
    entry["cat_column_descr"] = [[n, "<i2" if n == "NEW_SOURCE" else d] for n, d in entry["cat_column_descr"]]
    column = read_catalog(entry)["NEW_SOURCE"]
    assert column.tolist() == [-32768, -32767, -32768]
    assert not hasattr(column, "mask")


def test_nothing_is_lost_in_missing_values(entry):
    entry["cat_column_list"][2][1] = None
    entry["cat_column_list"][0][1] = None
    table = read_catalog(entry)
    assert np.isnan(table["significance"][1])
    assert table["meta_ID"].mask.tolist() == [False, True, False]
    again = to_service(table)
    assert again["cat_column_list"][2][1] is None
    assert again["cat_column_list"][0][1] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cat_column_names": ["a"]}, "1 column names for 9 columns"),
        ({"cat_column_names": None}, "has no list 'cat_column_names'"),
        ({"cat_column_list": [[1], [1, 2]], "cat_column_names": ["a", "b"]}, "one length"),
        ({"cat_column_list": ["ab", "cd"], "cat_column_names": ["a", "b"]}, "one length"),
        (
            {"cat_column_list": [["x"]], "cat_column_names": ["a"], "cat_column_descr": [["a", "<f4"]]},
            "does not hold <f4",
        ),
        ({"cat_column_list": [[1.5]], "cat_column_names": ["a"], "cat_column_descr": [["a", "<i4"]]}, "fraction"),
        ({"cat_column_list": [[{}]], "cat_column_names": ["a"], "cat_column_descr": []}, "does not hold"),
        (
            {"cat_column_list": [[2**70]], "cat_column_names": ["a"], "cat_column_descr": [["a", "<i8"]]},
            "does not hold",
        ),
        ({"cat_coord_units": "keV"}, "which is no angle"),
        ({"cat_coord_units": "nonsense("}, "which is no angle"),
        ({"cat_coord_units": "dex(deg)"}, "which is no angle"),
        ({"cat_coord_units": "10**99999999 deg"}, "which is no angle"),
        (
            {"cat_column_list": [[["x"]]], "cat_column_names": ["a"], "cat_column_descr": [["a", "<U9"]]},
            "several kinds",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_broken_catalogues(entry, change, says):
    with pytest.raises(DecodingError, match=says):
        read_catalog(entry | change)


def test_a_type_that_is_none_is_left_to_the_values(entry):
    entry["cat_column_descr"] = [["significance", "object; import os"], ["src_names", "|S15"]]
    table = read_catalog(entry)
    assert table["significance"].dtype == float
    assert table["src_names"].dtype.kind == "U"


def test_a_list_without_coordinates_names_none(entry):
    for key in ("cat_column_list", "cat_column_names"):
        entry[key] = entry[key][:3]
    table = read_catalog(entry)
    assert table.colnames == ["meta_ID", "src_names", "significance"]
    assert table.meta == {}
    with pytest.raises(ParameterError, match="needs coordinates"):
        to_catalog_text(table)


def lists(rows, **columns):
    return {"cat_column_names": ["src_names", *columns], "cat_column_list": [rows, *columns.values()]}


@pytest.mark.parametrize("dtype", ["<U9", "int64", None])
@pytest.mark.parametrize("long", ["x" * 200_000, 10**4000], ids=["text", "number"])
def test_one_long_name_does_not_fill_the_memory(dtype, long):
    """A column of texts has the width of the longest in each row: 40 GB, or 2 GB for the digits."""
    entry = lists(["a"] * 50_000, other=[long, *["b"] * 49_999])
    entry["cat_column_descr"] = [["other", dtype]]
    tracemalloc.start()
    try:
        with pytest.raises(DecodingError, match="too long for a table of 50000 sources"):
            read_catalog(entry)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_many_columns_with_a_long_name_each_do_not_either():
    rows = ["x" * 10_000, *["y"] * 999]
    with pytest.raises(DecodingError, match="too long"):
        read_catalog(lists(rows, **{f"c{number}": rows for number in range(100)}))


def test_long_lists_and_long_remarks_are_fine():
    names = [f"Source {number}" for number in range(100_000)]
    assert read_catalog(lists(names))["src_names"].tolist() == names
    remarks = ["no remark", "a remark of some length " * 2000, *["none"] * 98]
    assert read_catalog(lists(remarks))["src_names"].tolist() == remarks
    assert len(read_catalog(lists(["z" * 3000] * 3000))) == 3000


def test_filtered_edited_and_stacked(entry):
    table = read_catalog(entry)
    bright = table[table["significance"] > 10]
    assert to_service(bright)["cat_column_list"][1] == ["Crab", "IGR J05270+2119"]
    bright["src_names"][0] = "Cr"
    assert to_service(vstack([bright, table[1:2]]))["cat_column_list"][1] == ["Cr", "IGR J05270+2119", "3C 111"]


def test_tables_of_any_origin():
    vizier = Table({"Name": ["Crab", "Mrk 421"], "RAJ2000": [83.63, 166.11], "DEJ2000": [22.01, 38.21]})
    text = json.loads(to_catalog_text(vizier))
    assert text["cat_column_names"] == ["meta_ID", "src_names", "significance", "ra", "dec"]
    assert text["cat_column_list"] == [[0, 1], ["Crab", "Mrk 421"], [0, 0], [83.63, 166.11], [22.01, 38.21]]
    assert text["cat_frame"] == "icrs"
    simbad = Table({"main_id": ["Crab"], "position": SkyCoord([184.5] * u.deg, [-5.8] * u.deg, frame="galactic")})
    columns = json.loads(to_catalog_text(simbad))["cat_column_list"]
    assert columns[3][0] == pytest.approx(SkyCoord(184.5, -5.8, unit="deg", frame="galactic").icrs.ra.deg)
    hours = Table({"name": ["Crab"], "ra": [5.5755] * u.hourangle, "dec": [22.01] * u.deg})
    assert json.loads(to_catalog_text(hours))["cat_column_list"][3][0] == pytest.approx(83.6325)


def test_other_forms(entry, recorded, tmp_path):
    table = read_catalog(entry)
    expected = to_service(table)["cat_column_list"][1]
    mosaic = Products.from_response(recorded("isgri_image_6_done")).image()
    table.write(tmp_path / "c.ecsv")
    mosaic.writeto(tmp_path / "c.fits")
    for given in (table, entry, json.dumps(entry), mosaic, tmp_path / "c.ecsv", str(tmp_path / "c.fits")):
        text = json.loads(to_catalog_text(given))
        assert text["cat_column_list"][1] == expected
        assert text["cat_frame"] == "fk5"
        assert text["cat_coord_units"] == "deg"


def in_frame(frame, *, unit="deg", **meta):
    table = empty_catalog()
    table.add_row()
    table.meta.update(meta, FRAME=frame)
    table["ra"].unit = unit
    return table


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (empty_catalog(), "no sources in it"),
        (Table({"ra": [1.0], "dec": [2.0]}), "column with the names"),
        (Table({"name": ["x"]}), "needs coordinates"),
        (Table({"name": ["日本"], "ra": [1.0], "dec": [2.0]}), "not plain ASCII"),
        (Table({"name": ["x"], "ra": MaskedColumn([1.0], mask=True), "dec": [2.0]}), "'x' has no position"),
        (Table({"name": ["x"], "raj2000": ["1 2 3 4 5"], "dej2000": ["2"]}), "'raj2000' holds no angles"),
        (in_frame("fk5", unit="m"), "holds no angles"),
        (in_frame("fk5", COORD_UNIT="keV"), "'keV', which is no angle"),
        (in_frame("ecliptic"), "frame 'ecliptic' is none of fk5, icrs"),
        (fits.HDUList([fits.PrimaryHDU()]), "without a CATALOG"),
        ("no/such/file", "neither a file nor JSON"),
        ("{broken", "is no JSON"),
        ({"cat_column_names": ["a"]}, "needs the columns meta_ID, src_names, significance"),
        (
            {"cat_column_names": ["meta_ID", "src_names", "significance"], "cat_column_list": [[1], ["a"]]},
            "needs the columns themselves",
        ),
        (5, "must be a Table of sources"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_catalogue(given, says):
    with pytest.raises(ParameterError, match=says):
        to_catalog_text(given)


def test_a_file_that_is_no_table(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(ParameterError, match="no ECSV or FITS table"):
        to_catalog_text(path)


def test_fits_and_ecsv_keep_the_table(entry, tmp_path):
    table = read_catalog(entry)
    for name in ("t.ecsv", "t.fits"):
        table.write(tmp_path / name)
        again = Table.read(tmp_path / name)
        assert again.colnames == table.colnames
        assert again["src_names"].tolist() == table["src_names"].tolist()
        assert again["ra"].unit == u.deg
        assert again.meta["FRAME"] == "fk5"


# ---- objects of interest


@pytest.fixture
def table(entry):
    entry["cat_column_list"][1][2] = "NEW_1"
    return read_catalog(entry)


def test_adding_a_source(table):
    more = add_sources(table, {"V404 Cygni, far away": SkyCoord(306.0, 33.9, unit="deg")}, flag=1, radius=1 * u.arcmin)
    assert len(table) == 3
    assert more["src_names"].tolist() == ["Crab", "3C 111", "NEW_1", "V404 Cygni, far away"]
    row = more[-1]
    assert (row["meta_ID"], row["FLAG"], row["NEW_SOURCE"], row["significance"]) == (3, 1, -32768, 0)
    assert row["ra"] == pytest.approx(306.0, abs=1e-4)
    assert [more[name].dtype for name in ("ra", "meta_ID")] == [table[name].dtype for name in ("ra", "meta_ID")]
    assert more["ra"].unit == u.deg
    assert more.meta == table.meta
    assert to_service(more)["cat_column_list"][1][3] == "V404 Cygni, far away"


def test_an_unnamed_detection_gets_the_name(table):
    here = SkyCoord(table["ra"][2], table["dec"][2], unit="deg", frame="fk5")
    near = here.directional_offset_by(0 * u.deg, 0.5 * u.arcmin)
    more = add_sources(table, {"IGR J05270+2119": near}, flag=1, radius=1 * u.arcmin)
    assert more["src_names"].tolist() == ["Crab", "3C 111", "IGR J05270+2119"]
    assert more["FLAG"][2] == 1
    assert len(add_sources(table, {"x": near}, flag=1, radius=0.1 * u.arcmin)) == 4


def test_a_known_source_is_marked(table):
    more = add_sources(table, {"Crab": SkyCoord(83.63, 22.01, unit="deg")}, flag=2, radius=1 * u.arcmin)
    assert len(more) == 3
    assert more["FLAG"][0] == 2


def test_sources_of_another_table(table):
    other = Table({"main_id": ["Mrk 421"], "ra": [166.11] * u.deg, "dec": [38.21] * u.deg})
    assert add_sources(table, other, flag=1, radius=1 * u.arcmin)["src_names"][-1] == "Mrk 421"
    with pytest.raises(ParameterError, match="needs a table as query_catalog returns it"):
        add_sources(other, table, flag=1, radius=1 * u.arcmin)
    with pytest.raises(ParameterError, match="names, a dict"):
        add_sources(table, 5, flag=1, radius=1 * u.arcmin)


def test_into_an_empty_list():
    more = add_sources(empty_catalog(), {"Crab": SkyCoord(83.63, 22.01, unit="deg")}, flag=1, radius=1 * u.arcmin)
    assert more["src_names"].tolist() == ["Crab"]
    assert more["meta_ID"].tolist() == [0]
