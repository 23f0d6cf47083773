"""Source lists: from the service, filtered, and back again."""

import json
import tracemalloc

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import FK5, SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table, vstack
from astroquery.exceptions import InputWarning

from astroquery_mmoda import Products
from astroquery_mmoda.catalog import empty_catalog, read_catalog
from astroquery_mmoda.errors import DecodingError, ParameterError
from astroquery_mmoda.request.source_list import add_sources, to_catalog_text, to_service

IMAGES = ["isgri_image_6_done", "isgri_image_selected_catalog", "jemx_image_dummy", "jemx_image_empty"]


@pytest.fixture
def entry(recorded):
    return recorded("isgri_image_6_done")["products"]["catalog"]


@pytest.fixture
def table(entry):
    entry["cat_column_list"][1][2] = "NEW_1"
    return read_catalog(entry)


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


def test_missing_values_are_read_as_such_and_filled_when_sent(entry):
    entry["cat_column_list"][2][1] = None
    entry["cat_column_list"][0][1] = None
    table = read_catalog(entry)
    assert np.isnan(table["significance"][1])
    assert table["meta_ID"].mask.tolist() == [False, True, False]
    again = to_service(table)
    assert again["cat_column_list"][2][1] == 0.0
    assert again["cat_column_list"][0] == [0, 1, 2]


def test_missing_numbers_of_no_told_type_are_numbers(entry):
    entry["cat_column_list"][8][1] = None
    entry["cat_column_descr"] = [[name, "|O"] for name in entry["cat_column_names"]]
    assert np.isnan(read_catalog(entry)["ERR_RAD"][1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cat_column_names": ["a"]}, "1 names for 9 columns"),
        ({"cat_column_names": None}, "names and columns must be lists"),
        ({"cat_column_list": [[1], [1, 2]], "cat_column_names": ["a", "b"]}, "length"),
        ({"cat_column_list": ["ab", "cd"], "cat_column_names": ["a", "b"]}, "must be lists"),
        (
            {"cat_column_list": [["x"]], "cat_column_names": ["a"], "cat_column_descr": [["a", "<f4"]]},
            "of type <f4",
        ),
        ({"cat_column_list": [[1.5]], "cat_column_names": ["a"], "cat_column_descr": [["a", "<i4"]]}, "fraction"),
        ({"cat_column_list": [[{}]], "cat_column_names": ["a"], "cat_column_descr": []}, "column 'a' of type"),
        (
            {"cat_column_list": [[2**70]], "cat_column_names": ["a"], "cat_column_descr": [["a", "<i8"]]},
            "column 'a' of type",
        ),
        ({"cat_coord_units": "keV"}, "not the unit of an angle"),
        ({"cat_coord_units": "nonsense("}, "not the unit of an angle"),
        ({"cat_coord_units": "dex(deg)"}, "not the unit of an angle"),
        ({"cat_coord_units": "10**99999999 deg"}, "not the unit of an angle"),
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
    assert text["cat_frame"] == "fk5"
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
        ([], "must be a Table of sources"),
        (Table({"name": ["x"], "ra": [1.0], "dec": [2.0]}, meta={"FRAME": "galactic"}), "galactic.*'ra' and 'dec'"),
        (Table({"name": ["x"], "ra": [1.0], "dec": [2.0]}, meta={"RADESYS": "GAPPT"}), "'gappt' must be one of"),
        (Table({"ra": [1.0], "dec": [2.0]}), "column with the names"),
        (Table({"name": ["x"]}), "needs coordinates"),
        (Table({"name": ["日本"], "ra": [1.0], "dec": [2.0]}), "not plain ASCII"),
        (
            Table({"name": ["x"], "ra": MaskedColumn([1.0], mask=True), "dec": [2.0]}),
            r"row 0 \('x'\) has no position on the sky",
        ),
        (Table({"name": ["x"], "raj2000": ["1 2 3 4 5"], "dej2000": ["2"]}), "'raj2000': not a valid column of angles"),
        (in_frame("fk5", unit="m"), "not a valid column of angles"),
        (in_frame("fk5", COORD_UNIT="keV"), "COORD_UNIT must be deg, not keV"),
        (in_frame("ecliptic"), "frame 'ecliptic' must be one of fk5, icrs"),
        (fits.HDUList([fits.PrimaryHDU()]), "without a CATALOG"),
        ("no/such/file", "not a valid file or JSON"),
        ("Crab", r"into a list: catalog=\['Crab'\]"),
        ("{broken", "text with the service's JSON"),
        ({"cat_column_names": ["a"]}, "cat_column_list"),
        (
            {"cat_column_names": ["meta_ID", "src_names", "significance"], "cat_column_list": [[1], ["a"]]},
            "3 names for 2 columns",
        ),
        ({"cat_column_names": ["ra", "dec"], "cat_column_list": [[1], [2]]}, "column with the names"),
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
    with pytest.raises(ParameterError, match="not a valid ECSV or FITS table, or text"):
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


# ---- as the service reads it: degrees, no nulls, flags


CRAB = SkyCoord(83.633083, 22.0145, unit="deg", frame="fk5")
IMAGERS = ["isgri", "jemx"]


def sent(catalog, instrument="isgri"):
    """The columns of what would be sent, by name."""
    form = json.loads(to_catalog_text(catalog, instrument), parse_constant=pytest.fail)
    assert all(None not in column for column in form["cat_column_list"])
    assert all(len(column) == len(form["cat_column_list"][0]) for column in form["cat_column_list"])
    assert form["cat_frame"] in ("fk5", "icrs", "fk4", "galactic")
    return form, dict(zip(form["cat_column_names"], form["cat_column_list"], strict=True))


def as_read(catalog, instrument="isgri"):
    """Positions as the service makes them, which takes degrees whatever unit it is told."""
    form, columns = sent(catalog, instrument)
    lon, lat = (columns[form[key]] for key in ("cat_lon_name", "cat_lat_name"))
    return SkyCoord(lon, lat, unit="deg", frame=form["cat_frame"]).fk5


UNITS = [u.rad, u.hourangle, u.arcmin, u.deg, u.hour, u.mas]


@pytest.mark.parametrize("unit", UNITS, ids=str)
@pytest.mark.parametrize("ours", [True, False], ids=["list of the service", "other table"])
def test_coordinates_leave_in_degrees(table, unit, ours):
    catalog = table[:1] if ours else Table({"name": ["Crab"], "ra": [0.0], "dec": [0.0]})
    for name, angle in (("ra", CRAB.ra), ("dec", CRAB.dec)):
        angular = u.hourangle if unit == u.hour else unit
        catalog[name] = np.array([angle.to_value(angular)])
        catalog[name].unit = unit
    form, columns = sent(catalog)
    assert form["cat_coord_units"] == "deg"
    assert columns["ra"] == pytest.approx([83.633083], abs=1e-8)
    assert all(len(repr(value).lstrip("-").replace(".", "")) <= 12 for value in columns["ra"] + columns["dec"])
    assert as_read(catalog)[0].separation(CRAB) < 1 * u.mas


@pytest.mark.parametrize("unit", ["rad", "hourangle", "hourangle, deg", ["hourangle", "deg"], "arcsec"], ids=str)
def test_dicts_of_other_software_leave_in_degrees(unit):
    units = [u.Unit(name.strip()) for name in (unit.split(",") if isinstance(unit, str) else unit)]
    ra, dec = CRAB.ra.to_value(units[0]), CRAB.dec.to_value(units[-1])
    form = {
        "cat_frame": "FK5",
        "cat_coord_units": unit,
        "cat_column_list": [[0], ["Crab"], [1.0], [ra], [dec]],
        "cat_column_names": ["meta_ID", "src_names", "significance", "ra", "dec"],
        "cat_column_descr": [["ra", "<f4"], ["dec", "<f4"]],
        "cat_lon_name": "ra",
        "cat_lat_name": "dec",
    }
    for given in (form, json.dumps(form)):
        text, columns = sent(given)
        assert text["cat_frame"] == "fk5"
        assert as_read(given)[0].separation(CRAB) < 1 * u.mas
        assert columns["ISGRI_FLAG"] == [2]


@pytest.mark.parametrize(
    ("ra", "dec", "units"),
    [
        ("05 34 31.94", "+22 00 52.2", ("h:m:s", "d:m:s")),
        ("05:34:31.94", "+22:00:52.2", ('"h:m:s"', '"d:m:s"')),
        ("05 34 31.94", "+22 00 52.2", (None, None)),
        ("5h34m31.94s", "22d00m52.2s", (None, None)),
        ("83.633083", "22.0145", (None, None)),
        ("83.633083", "22.0145", ("deg", "deg")),
        ("5.57553889", "22.0145", ("h", "deg")),
    ],
)
def test_sexagesimal_texts_of_vizier_and_simbad(ra, dec, units):
    for names in (("RAJ2000", "DEJ2000"), ("RA", "DEC"), ("RA_OBJ", "DEC_OBJ")):
        table = Table({"main_id": ["Crab", "its mirror"], names[0]: [ra, ra], names[1]: [dec, "-" + dec.lstrip("+")]})
        for name, unit in zip(names, units, strict=True):
            table[name].unit = unit
        read = as_read(table)
        assert max(read.separation(SkyCoord([CRAB, SkyCoord(CRAB.ra, -CRAB.dec, frame="fk5")]))) < 0.1 * u.arcsec
    table[names[1]] = [dec, "\N{MINUS SIGN}1 30 00"]
    assert as_read(table)[1].dec.deg == pytest.approx(-1.5)


def test_positions_have_no_digits_that_come_from_changing_units(table):
    texts = Table({"main_id": ["Crab"], "RA": ["05 34 31.94"], "DEC": ["+22 00 52.2"]})
    assert to_service(texts)["cat_column_list"][3:5] == [[83.633083333], [22.0145]]
    other = Table({"main_id": ["Mrk 421"], "ra": [1.0] * u.deg, "dec": [2.0] * u.deg})
    row = add_sources(table, other, flag=1, radius=1 * u.arcmin)[-1]
    assert (row["ra"], row["dec"]) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("names", "frame"),
    [
        (("RAJ2000", "DEJ2000"), "fk5"),
        (("RA_ICRS", "DE_ICRS"), "icrs"),
        (("GLON", "GLAT"), "galactic"),
        (("RAB1950", "DEB1950"), "fk4"),
    ],
)
def test_the_frame_that_columns_name(names, frame):
    there = CRAB.transform_to(frame).spherical
    table = Table({"Name": ["Crab"], names[0]: [there.lon.deg] * u.deg, names[1]: [there.lat.deg] * u.deg})
    assert sent(table)[0]["cat_frame"] == (frame if frame == "fk5" else "icrs")
    assert as_read(table)[0].separation(CRAB) < 1 * u.mas


@pytest.mark.parametrize("frame", ["FK5", "Galactic", "ICRS ", "FK4"])
def test_the_frame_in_meta_has_any_case(table, frame):
    there = CRAB.transform_to(frame.strip().lower()).spherical
    table = table[:1]
    names = ("l", "b") if frame == "Galactic" else ("ra", "dec")
    table.rename_columns(["ra", "dec"], names)
    table[names[0]], table[names[1]] = [there.lon.deg], [there.lat.deg]
    table.meta.update(FRAME=frame, LON_NAME=names[0], LAT_NAME=names[1])
    assert sent(table)[0]["cat_frame"] == frame.strip().lower()
    assert as_read(table)[0].separation(CRAB) < 1 * u.mas
    table.meta = {"frame": frame}
    assert as_read(table)[0].separation(CRAB) < 1 * u.mas
    more = add_sources(table, {"Mrk 421": SkyCoord(166.114, 38.209, unit="deg")}, flag=1, radius=1 * u.arcmin)
    assert as_read(more)[1].separation(SkyCoord(166.114, 38.209, unit="deg")) < 0.1 * u.arcsec


def test_positions_at_another_equinox_are_turned():
    old = CRAB.transform_to(FK5(equinox="J1975"))
    table = Table({"name": ["Crab"], "position": SkyCoord([old])})
    assert as_read(table)[0].separation(CRAB) < 1 * u.mas


VALUES = {"NEW_SOURCE": -32768, "ISGRI_FLAG": 2, "FLAG": 1, "ERR_RAD": 0.001}


@pytest.mark.parametrize("instrument", IMAGERS)
def test_flags_for_integral_are_completed(table, instrument):
    plain = Table({"name": ["a", "b"], "ra": [1.0, 2.0], "dec": [3.0, 4.0]})
    for catalog in (plain, table["src_names", "ra", "dec"], to_service(plain)):
        columns = sent(catalog, instrument)[1]
        assert {name: set(columns[name]) for name in VALUES} == {name: {value} for name, value in VALUES.items()}
        assert all(isinstance(flag, int) for name in list(VALUES)[:3] for flag in columns[name])
    kept = sent(table, instrument)[1]
    assert kept["ERR_RAD"] == table["ERR_RAD"].tolist()
    assert kept["FLAG"] == table["FLAG"].tolist()


def test_other_instruments_get_what_was_given():
    table = Table({"name": ["a"], "ra": [1.0], "dec": [3.0]})
    assert sent(table, "polar")[0]["cat_column_names"] == ["meta_ID", "src_names", "significance", "ra", "dec"]
    table["ISGRI_FLAG"] = [0]
    assert sent(table, "polar")[1]["ISGRI_FLAG"] == [0]


@pytest.mark.parametrize("instrument", IMAGERS)
def test_stacked_lists_of_two_instruments(recorded, instrument):
    isgri, jemx = (
        Products.from_response(recorded(name)).catalog() for name in ("isgri_image_6_done", "jemx_image_dummy")
    )
    jemx["src_names"] = [f"JEM-X {row}" for row in range(len(jemx))]
    jemx["dec"] = np.linspace(-10, 10, len(jemx))
    both = vstack([isgri, jemx], metadata_conflicts="silent")
    assert np.ma.is_masked(both["ISGRI_FLAG"])
    columns = sent(both, instrument)[1]
    assert columns["meta_ID"] == list(range(len(both)))
    assert columns["ISGRI_FLAG"] == isgri["ISGRI_FLAG"].tolist() + [2] * len(jemx)
    assert columns["NEW_SOURCE"][-1] == -32768
    assert columns["FLAG"] == isgri["FLAG"].tolist() + jemx["FLAG"].tolist()


def test_columns_of_other_tables_that_mean_the_same():
    table = Table({"name": ["a", "b"], "ra": [1.0, 2.0], "dec": [1.0, 2.0], "flag": ["x", "y"], "Isgri_flag": [1, 2]})
    table["err_rad"] = [30, 60] * u.arcmin
    columns = sent(table)[1]
    assert (columns["ISGRI_FLAG"], columns["ERR_RAD"], columns["FLAG"]) == ([1, 2], [0.5, 1.0], [1, 1])
    assert not {"flag", "Isgri_flag", "err_rad"} & set(columns)
    table.meta["RADECSYS"] = "ICRS"
    assert sent(table)[0]["cat_frame"] == "icrs"


def test_small_letters_in_a_list_of_the_service(table):
    table.rename_column("ISGRI_FLAG", "isgri_flag")
    columns = sent(table)[1]
    assert columns["ISGRI_FLAG"] == table["isgri_flag"].tolist()
    assert "isgri_flag" not in columns


def test_columns_that_were_renamed_keep_their_frame(table):
    table.rename_columns(["ra", "dec"], ["RA", "DEC"])
    table.meta["FRAME"] = "icrs"
    assert sent(table)[0]["cat_frame"] == "icrs"
    table.meta["FRAME"] = "fk4"
    assert (
        as_read(table)[0].separation(SkyCoord(table["RA"][0], table["DEC"][0], unit="deg", frame="fk5")) > 0.5 * u.deg
    )


def test_unique_numbers_of_rows_stay(table):
    table["meta_ID"] = [7, 3, 90]
    assert sent(table)[1]["meta_ID"] == [7, 3, 90]


def test_error_radii_leave_in_degrees(table):
    table["ERR_RAD"] = MaskedColumn([3.0, 0.6, np.nan], mask=[0, 1, 0], unit=u.arcmin)
    assert sent(table)[1]["ERR_RAD"] == [0.05, 0.001, 0.001]
    quantities = QTable(table["src_names", "ra", "dec"])
    quantities["ERR_RAD"] = [36, 72, 3.6] * u.arcsec
    assert sent(quantities)[1]["ERR_RAD"] == [0.01, 0.02, 0.001]
    other = QTable({"src_names": ["x"], "ra": [10] * u.deg, "dec": [-10] * u.deg})
    assert sent(vstack([quantities, other]))[1]["ERR_RAD"] == [0.01, 0.02, 0.001, 0.001]


@pytest.mark.parametrize("instrument", IMAGERS)
def test_flags_that_leave_a_source_out_are_told(table, instrument):
    table["ISGRI_FLAG"] = [1, 0, 5]
    with pytest.warns(InputWarning, match=r"leaves out sources.*: row 1 \('3C 111'\), row 2 \('NEW_1'\)"):
        assert sent(table, instrument)[1]["ISGRI_FLAG"] == [1, 0, 5]


@pytest.mark.parametrize("values", [["a", "b", "c"], [1.5, 1, 1]], ids=str)
def test_flags_that_are_not_numbers(table, values):
    table["FLAG"] = values
    with pytest.raises(ParameterError, match="'FLAG': not a valid column of whole numbers"):
        to_catalog_text(table, "isgri")


def test_flags_that_are_whole_floats_or_logical(table):
    table["FLAG"], table["ISGRI_FLAG"] = [1.0, np.nan, 0.0], [True, True, True]
    columns = sent(table)[1]
    assert columns["FLAG"] == [1, 1, 0]
    assert [type(flag) for flag in columns["ISGRI_FLAG"]] == [int] * 3


def many(count):
    return Table(
        {"name": [f"S{row}" for row in range(count)], "ra": np.arange(count) % 360, "dec": np.arange(count) / 9}
    )


@pytest.mark.parametrize(("instrument", "most"), [("isgri", 200), ("jemx", 75)])
def test_more_sources_than_the_software_takes(instrument, most):
    to_catalog_text(many(most), instrument)
    with pytest.warns(InputWarning, match=f"{most + 1} sources; the software of {instrument} takes at most {most}"):
        to_catalog_text(many(most + 1), instrument)
    to_catalog_text(many(most + 1), "other")


@pytest.mark.parametrize(
    "names",
    [("ra_err", "dec_err"), ("pm_ra", "pm_dec"), ("ra_rad", "dec_rad"), ("RA (h)", "Dec"), ("RA1950", "DEC1950")],
)
def test_columns_that_may_be_no_coordinates_in_degrees(names):
    with pytest.raises(ParameterError, match="needs coordinates"):
        to_catalog_text(Table({"name": ["Crab"], names[0]: [1.0], names[1]: [2.0]}), "isgri")


def test_a_name_that_jemx_does_not_extract():
    table = Table({"name": ["Crab", "new  source"], "ra": [83.6, 1.0], "dec": [22.0, 2.0]})
    with pytest.warns(InputWarning, match=r"does not extract sources called 'NEW SOURCE'; rename them: row 1"):
        to_catalog_text(table, "jemx")
    to_catalog_text(table, "isgri")


def test_a_source_in_two_rows():
    table = Table({"name": ["Ser X-1", "Crab", "serx-1"], "ra": [280.0, 83.6, 1.0], "dec": [5.0, 22.0, 2.0]})
    with pytest.warns(InputWarning, match=r"repeat earlier ones.*: row 2 \('serx-1'\)"):
        to_catalog_text(table, "isgri")
    to_catalog_text(table, "other")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"src_names": MaskedColumn(["Crab", "", "x"], mask=[0, 1, 0])},
            r"row 1 \(at 64.5\d*, 38.\d* deg\) has no name",
        ),
        ({"src_names": ["Crab", "  ", "x"]}, "row 1 .* has no name"),
        ({"ra": [83.6, np.nan, 1.0]}, r"row 1 \('3C 111'\) has no position on the sky, but \(nan,"),
        ({"ra": [83.6, 1.0, np.inf]}, r"row 2 \('NEW_1'\)"),
        ({"dec": [22.0, 91.0, 1.0]}, r"row 1 \('3C 111'\) has no position on the sky, but \(64.\d*, 91\) deg"),
        ({"dec": MaskedColumn([22.0, 1.0, 1.0], mask=[1, 0, 0])}, r"row 0 \('Crab'\)"),
        ({"ra": [1254.0, 1.0, 2.0]}, r"row 0 \('Crab'\)"),
        ({"ra": np.ones((3, 2))}, "'ra': not a valid column of angles .it has 2 dimensions"),
        ({"ra": ["5 34", "noon", "1 1"]}, "'ra': not a valid column of angles"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("instrument", ["isgri", "other"])
def test_rows_that_can_not_be_sent(table, change, says, instrument):
    for name, values in change.items():
        table[name] = values
    with pytest.raises(ParameterError, match=says):
        to_catalog_text(table, instrument)


def test_negative_longitudes_are_turned_round():
    table = Table({"name": ["a"], "ra": [-10.0], "dec": [1.0]})
    assert sent(table)[1]["ra"] == [350.0]


def test_further_columns_are_kept_or_told(table):
    table["rate"], table["note"] = [1.5, 2.5, 3.5], ["x", "y", "z"]
    columns = sent(table)[1]
    assert (columns["rate"], columns["note"]) == ([1.5, 2.5, 3.5], ["x", "y", "z"])
    table["rate"][1], table["place"] = np.nan, SkyCoord([CRAB] * 3)
    table["image"] = np.zeros((3, 4))
    with pytest.warns(InputWarning, match="left out.*: columns rate, place, image"):
        columns = sent(table)[1]
    assert not {"rate", "place", "image"} & set(columns)


def test_a_text_file_with_the_form_of_the_service(entry, tmp_path):
    for name, encoding in (("saved.txt", "utf-8"), ("saved.json", "utf-8-sig")):
        (tmp_path / name).write_text(json.dumps(entry, indent=1), encoding)
        assert sent(tmp_path / name)[1]["src_names"] == ["Crab", "3C 111", "IGR J05270+2119"]
    (tmp_path / "half.txt").write_text(json.dumps(entry)[:-9])
    with pytest.raises(ParameterError, match="half.txt': not a valid ECSV or FITS table, or text"):
        to_catalog_text(str(tmp_path / "half.txt"))


def test_what_the_service_sent_is_sent_back_as_it_was(entry):
    for given in (entry, read_catalog(entry), json.dumps(entry | {"cat_meta": {}})):
        _, columns = sent(given, "isgri")
        assert columns == dict(zip(entry["cat_column_names"], entry["cat_column_list"], strict=True))


def test_forms_of_one_list_are_one_request(entry, recorded, tmp_path):
    """A table, its file and its image make the same job."""
    table = read_catalog(entry)
    table.write(tmp_path / "c.ecsv")
    table.write(tmp_path / "c.fits")
    mosaic = Products.from_response(recorded("isgri_image_6_done")).image()
    given = (table, tmp_path / "c.ecsv", tmp_path / "c.fits", mosaic, entry)
    assert len({json.dumps(sent(form)[1]) for form in given}) == 1


# ---- as users call it


@pytest.mark.parametrize("instrument", IMAGERS)
def test_names_get_flags_in_a_query(mmoda, instrument):
    fields = mmoda.query_spectrum(
        instrument, "Crab", time_range=(58193.455, 58246.892), catalog=["Crab", "Ser X-1"], get_query_payload=True
    )
    form = json.loads(fields["selected_catalog"])
    columns = dict(zip(form["cat_column_names"], form["cat_column_list"], strict=True))
    assert {name: set(columns[name]) for name in VALUES} == {name: {value} for name, value in VALUES.items()}


def test_the_raw_name_is_understood_likewise(mmoda, entry):
    field = {"coordinates": CRAB, "time_range": (58193.455, 58246.892), "get_query_payload": True}
    entry["cat_frame"] = "FK5"
    expected = mmoda.query_spectrum("isgri", **field, catalog=entry)
    assert mmoda.query_spectrum("isgri", **field, selected_catalog=json.dumps(entry)) == expected
    assert mmoda.query_spectrum("isgri", **field, parameters={"selected_catalog": entry}) == expected
    assert "selected_catalog" not in mmoda.query_spectrum("isgri", **field, selected_catalog=None)
    with pytest.raises(ParameterError, match="catalog= and 'selected_catalog' say the same thing"):
        mmoda.query_spectrum("isgri", **field, catalog=entry, selected_catalog=entry)


# ---- objects of interest


def test_adding_a_source(table):
    more = add_sources(table, {"V404 Cygni, far away": SkyCoord(306.0, 33.9, unit="deg")}, flag=1, radius=1 * u.arcmin)
    assert len(table) == 3
    assert more["src_names"].tolist() == ["Crab", "3C 111", "NEW_1", "V404 Cygni, far away"]
    row = more[-1]
    assert (row["meta_ID"], row["FLAG"], row["NEW_SOURCE"], row["significance"]) == (3, 1, -32768, 0)
    assert (row["ISGRI_FLAG"], row["ERR_RAD"]) == (2, pytest.approx(0.001))
    assert row["ra"] == pytest.approx(306.0, abs=1e-4)
    assert more["meta_ID"].dtype == table["meta_ID"].dtype
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


def test_a_list_with_additions_is_in_degrees(table):
    for name, unit in (("ra", u.rad), ("dec", u.arcmin), ("ERR_RAD", u.arcmin)):
        table[name] = table[name].quantity.to(unit)
    more = add_sources(table, {"Mrk 421": SkyCoord(166.114, 38.209, unit="deg")}, flag=1, radius=1 * u.arcmin)
    assert more["ERR_RAD"][-1] == pytest.approx(0.001)
    assert [more[name].unit for name in ("ra", "dec", "ERR_RAD")] == [u.deg] * 3
    assert as_read(more)[-1].separation(SkyCoord(166.114, 38.209, unit="deg")) < 1 * u.arcsec


def test_adding_to_a_list_with_gaps_and_positions(table):
    short = Table({"src_names": ["x"], "ra": [10.0], "dec": [-10.0]})
    for name in ("ra", "dec"):
        short[name].unit = "deg"
    both = vstack([table, short], metadata_conflicts="silent")
    both["place"] = SkyCoord(both["ra"], both["dec"])
    with pytest.warns(InputWarning, match="columns place"):
        more = add_sources(both, {"Mrk 421": SkyCoord(166.114, 38.209, unit="deg")}, flag=1, radius=1 * u.arcmin)
    assert more["meta_ID"].tolist()[-1] == 4
    assert sent(more)[1]["ISGRI_FLAG"] == [*table["ISGRI_FLAG"], 2, 2]


def test_a_detection_that_gets_a_name_is_extracted(table):
    table["ISGRI_FLAG"][2] = 0
    here = SkyCoord(table["ra"][2], table["dec"][2], unit="deg", frame="fk5")
    more = add_sources(table, {"mine": here}, flag=1, radius=3 * u.arcmin)
    assert more["ISGRI_FLAG"].tolist()[2] == 2
    assert len(add_sources(table, {"crab": here}, flag=1, radius=3 * u.arcmin)) == 3


def test_a_source_without_position_is_not_added(table):
    other = Table({"main_id": ["a", "b"], "ra": [1.0, np.nan], "dec": [2.0, 3.0]})
    with pytest.raises(ParameterError, match="row 1 .'b'. has no position"):
        add_sources(table, other, flag=1, radius=1 * u.arcmin)


CENTRES = [(83.9, 22.0), "83.9 22.0", "05h35m36s +22d00m00s", SkyCoord(83.9, 22.0, unit="deg").galactic]


@pytest.mark.parametrize("place", CENTRES)
def test_positions_of_added_sources_as_people_have_them(place):
    more = add_sources(empty_catalog(), {" Mine ": place}, flag=1, radius="1 arcmin")
    assert more["src_names"][0] == "Mine"
    assert more["ra"][0] == pytest.approx(83.9, abs=1e-5)  # FK5
    assert more["dec"][0] == pytest.approx(22.0, abs=1e-5)


@pytest.mark.parametrize(
    ("sources", "options", "says"),
    [
        ({"X": SkyCoord([1, 2], [1, 2], unit="deg")}, {}, "'X' has no position. coordinates=.*not a valid position"),
        ({"X": SkyCoord(np.nan, 1, unit="deg")}, {}, "'X' has no position. coordinates=.*not finite"),
        ({"X": None}, {}, "'X' has no position"),
        ({"X": "Y"}, {}, "'X' has no position"),
        ({" ": (1, 2)}, {}, "sources must be names"),
        ({"X": (1, 2)}, {"flag": 1.5}, "flag='1.5' must be a whole number"),
        ({"X": (1, 2)}, {"flag": "1"}, "flag='1' must be a whole number"),
        ({"X": (1, 2)}, {"radius": 3}, "radius=3.0: not a valid quantity in deg"),
        ({"X": (1, 2)}, {"radius": 3 * u.m}, "radius=3.0 m: not a valid quantity in deg"),
        ({"X": (1, 2)}, {"radius": -3 * u.deg}, "must be an angle of 0 or more"),
        ({"X": (1, 2)}, {"radius": np.nan * u.deg}, "must be an angle of 0 or more"),
    ],
)
def test_additions_that_make_no_sense(sources, options, says):
    with pytest.raises(ParameterError, match=says):
        add_sources(empty_catalog(), sources, **{"flag": 1, "radius": 1 * u.arcmin, **options})


@pytest.mark.parametrize(
    "path", ["x" * 5000, json.dumps(json.dumps({"cat_frame": "x" * 300})), "~nobody-of-this-name/x"]
)
def test_texts_that_are_no_paths(path):
    with pytest.raises(ParameterError, match="not a valid file or JSON") as caught:
        to_catalog_text(path)
    assert len(str(caught.value)) < 500


def test_an_empty_text_is_no_catalogue():
    with pytest.raises(ParameterError, match="catalog= is an empty text"):
        to_catalog_text(" ")


def test_every_name_that_is_respelled_is_told():
    table = Table({"name": ["é Cas", "β Cas", "Crab"], "ra": [1.0, 2.0, 3.0], "dec": [1.0, 2.0, 3.0]})
    with pytest.warns(InputWarning, match="'é Cas' is sent as 'e Cas', 'β Cas' is sent as 'beta Cas'"):
        to_catalog_text(table)
