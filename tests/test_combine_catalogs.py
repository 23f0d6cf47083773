"""Source lists of several jobs as one, against what the rules say of small lists and properties of random ones."""

import itertools
import json

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table, vstack
from astroquery.exceptions import InputWarning
from hypothesis import given, settings
from hypothesis import strategies as st

from astroquery_mmoda.catalog import empty_catalog, read_catalog, to_hdu
from astroquery_mmoda.combine import combine_catalogs, measure_rates
from astroquery_mmoda.errors import ParameterError
from astroquery_mmoda.request.source_list import to_catalog_text
from tests.test_measure_rates import sky

CRAB = ("Crab", 100.0, 83.633, 22.014)
USUAL = ["meta_ID", "src_names", "significance", "ra", "dec", "NEW_SOURCE", "ISGRI_FLAG", "FLAG", "ERR_RAD"]


def entry(*rows, flags=(-32768, 1, 0), error=0.01, jemx=False, frame="fk5"):
    """List in the service's form: name, significance, position, and maybe its error."""
    names, significances, ra, dec = (list(values) for values in zip(*(row[:4] for row in rows), strict=True))
    errors = [row[4] if len(row) > 4 else error for row in rows]
    columns = {"meta_ID": list(range(len(rows))), "src_names": names, "significance": significances}
    columns |= {"ra": ra, "dec": dec}
    columns |= {} if jemx else {"NEW_SOURCE": [flags[0]] * len(rows), "ISGRI_FLAG": [flags[1]] * len(rows)}
    columns |= {"FLAG": [flags[2]] * len(rows), "ERR_RAD": errors}
    return {
        "cat_frame": frame,
        "cat_coord_units": "deg",
        "cat_column_names": list(columns),
        "cat_column_list": list(columns.values()),
        "cat_lon_name": "ra",
        "cat_lat_name": "dec",
    }


def listing(*rows, **options):
    return read_catalog(entry(*rows, **options))


def rows_of(table):
    """All values of the table, to be compared."""
    return [tuple(None if np.ma.is_masked(value) else value for value in row) for row in table.as_array()]


def offset(ra, dec, arcmin, angle=90.0):
    place = SkyCoord(ra, dec, unit="deg").directional_offset_by(angle * u.deg, arcmin * u.arcmin)
    return float(place.ra.deg), float(place.dec.deg)


# ---- known sources


def test_known_sources_once_by_name():
    one = listing(CRAB, ("1A 0535+262", 12.0, 84.727, 26.316))
    other = listing(("  crab", 150.0, 83.634, 22.015), ("X Per", 20.0, 58.846, 31.046))
    found = combine_catalogs([one, other])
    assert found.colnames == USUAL
    assert found["src_names"].tolist() == ["crab", "X Per", "1A 0535+262"]
    assert found["significance"].tolist() == [150.0, 20.0, 12.0]
    assert found["meta_ID"].tolist() == [0, 1, 2]
    # of equal errors: weighted by significance**2
    assert found["ra"][0] == pytest.approx((83.633 * 100**2 + 83.634 * 150**2) / (100**2 + 150**2), abs=1e-6)
    assert found["ERR_RAD"].tolist() == [0.01] * 3
    assert {key: found.meta[key] for key in ("FRAME", "LON_NAME", "LAT_NAME")} == {
        "FRAME": "fk5",
        "LON_NAME": "ra",
        "LAT_NAME": "dec",
    }
    assert found.meta["SIGNIFIC"] == "largest of the inputs"
    assert [found[name].unit for name in ("ra", "dec", "ERR_RAD")] == [u.deg] * 3


def test_one_of_a_name_far_away():
    far = listing(("Crab", 9.0, 84.633, 22.014))
    with pytest.warns(InputWarning, match=r"^Crab is at places .* 55\.\d arcmin"):
        assert len(combine_catalogs([listing(CRAB), far])) == 1


def test_a_position_found_once_is_kept_exactly():
    one = listing(CRAB, ("NEW_1", 8.0, 80.123456789012, 20.1))
    found = combine_catalogs([one, one.copy(), empty_catalog()])
    assert found["ra"].tolist() == one["ra"].tolist()
    assert found["dec"].tolist() == one["dec"].tolist()


def test_flags_are_those_of_the_most_significant():
    found = combine_catalogs(
        [listing(CRAB, flags=(-32768, 2, 1)), listing((CRAB[0], 200.0, *CRAB[2:]), flags=(-32768, 0, 0))]
    )
    assert (found["ISGRI_FLAG"][0], found["FLAG"][0]) == (0, 0)
    assert found["src_names"].tolist() == ["Crab"]  # ISGRI_FLAG 0 makes no new name


# ---- unnamed ones


def test_unnamed_sources_once_by_position():
    place = (80.0, 20.0)
    one = listing(CRAB, ("NEW_1", 8.0, *place), ("NEW_2", 9.0, 85.0, 25.0))
    other = listing(CRAB, ("NEW_1", 16.0, *offset(*place, 2.0)), ("NEW_7", 7.5, 79.0, 24.0))
    found = combine_catalogs([one, other])
    assert found["src_names"].tolist() == ["Crab", "NEW_1", "NEW_2", "NEW_3"]
    assert found["significance"].tolist() == [100.0, 16.0, 9.0, 7.5]
    apart = SkyCoord(*place, unit="deg").separation(SkyCoord(found["ra"][1], found["dec"][1], unit="deg"))
    assert apart.arcmin == pytest.approx(2.0 * 16**2 / (16**2 + 8**2), abs=1e-4)


def test_position_by_error_radii():
    place = (80.0, 20.0)
    one = listing(("NEW_1", 20.0, *place, 0.03))
    other = listing(("NEW_4", 10.0, *offset(*place, 2.0), 0.01))
    found = combine_catalogs([one, other])
    apart = SkyCoord(*place, unit="deg").separation(SkyCoord(found["ra"][0], found["dec"][0], unit="deg"))
    assert apart.arcmin == pytest.approx(2.0 * 0.9, abs=1e-4)
    assert (found["ERR_RAD"][0], found["significance"][0]) == (0.01, 20.0)


@pytest.mark.parametrize(
    ("apart", "error", "radius", "count"),
    [
        (2.99, 0.001, None, 1),
        (3.01, 0.001, None, 2),
        (5.9, 0.1, None, 1),  # the error is 6 arcmin
        (6.1, 0.1, None, 2),
        (1.9, 0.1, 2 * u.arcmin, 1),
        (2.1, 0.1, "2 arcmin", 2),
        (0.01, 0.1, 0 * u.deg, 2),
    ],
)
def test_radius(apart, error, radius, count):
    one = listing(("NEW_1", 20.0, 80.0, 20.0, error))
    other = listing(("NEW SOURCE", 10.0, *offset(80.0, 20.0, apart), 0.001))
    assert len(combine_catalogs([one, other], radius=radius)) == count


def test_unnamed_ones_at_known_sources_are_dropped():
    one = listing(("NEW_1", 50.0, *offset(83.633, 22.014, 2.0)), ("NEW_2", 8.0, 80.0, 20.0))
    found = combine_catalogs([one, listing(CRAB)])
    assert found["src_names"].tolist() == ["Crab", "NEW_1"]
    assert found["ra"][1] == 80.0
    assert len(combine_catalogs([one, listing(CRAB)], radius=1 * u.arcmin)) == 3


def test_a_chain_of_detections():
    """Each 2 arcmin from the next: the closest are joined first, and what is too far away stays apart."""
    places = [offset(80.0, 20.0, step) for step in (0.0, 2.0, 4.1, 6.3)]
    lists = [listing(("NEW_1", 10.0, *place)) for place in places]
    expected = None
    for order in itertools.permutations(lists):
        found = combine_catalogs(order)
        assert len(found) == 2
        expected = expected or rows_of(found)
        assert rows_of(found) == expected


NAMES = st.sampled_from(["NEW_1", "NEW_2", "NEW SOURCE", "new_3", "Crab", "CRAB ", "X Per", "4U 0352+309"])
ROWS = st.tuples(
    NAMES, st.floats(1, 100), st.floats(0, 0.4), st.floats(-0.2, 0.2), st.sampled_from([0.001, 0.02, 0.06])
)
KNOWN = {"crab": (0.0, 1.0), "xper": (0.0, 2.0), "4u0352+309": (0.0, 3.0)}


def placed(row):
    """Known sources have one place each."""
    name, significance, ra, dec, error = row
    ra, dec = KNOWN.get(name.strip().lower().replace(" ", ""), (ra, dec))
    return name, significance, ra, dec, error


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=5), st.randoms())
def test_properties(lists, random):
    tables = [listing(*map(placed, rows)) for rows in lists]
    found = combine_catalogs(tables)
    shuffled = random.sample(tables, len(tables))
    # the order of the inputs, one table of all, and the result again
    for others in (shuffled, [vstack(tables, metadata_conflicts="silent")], [found]):
        assert rows_of(combine_catalogs(others)) == rows_of(found)
    # all of them twice: one alone would move means, and so may join others
    assert combine_catalogs([*tables, *tables])["src_names"].tolist() == found["src_names"].tolist()
    unnamed = np.char.startswith(found["src_names"].tolist(), "NEW")
    assert found["src_names"][unnamed].tolist() == [f"NEW_{number}" for number in range(1, sum(unnamed) + 1)]
    expected = {row[0].strip().upper() for rows in lists for row in rows if not row[0].lower().startswith("new")}
    assert {name.upper() for name in found["src_names"][~unnamed]} == expected
    # no two are one
    places, errors = SkyCoord(found["ra"], found["dec"]), np.asarray(found["ERR_RAD"])
    apart = places[:, np.newaxis].separation(places).deg
    limits = np.maximum(np.maximum(errors, errors[:, np.newaxis]), 0.05)
    close = (apart <= limits - 1e-9) & ~np.eye(len(found), dtype=bool)
    assert not close[unnamed].any()
    # all are there: each detection is near a source, or went into one whose mean moved
    assert set(found["significance"]) <= {row[1] for rows in lists for row in rows}


def test_many_detections_of_few_sources():
    generator = np.random.default_rng(3)
    lists = []
    for _ in range(80):
        rows = [
            (
                f"NEW_{n}",
                10.0 + generator.random(),
                *offset(80.0 + n, 20.0, generator.random(), 360 * generator.random()),
            )
            for n in range(10)
        ]
        lists.append(listing(CRAB, *rows))
    found = combine_catalogs(lists)
    assert len(found) == 11
    assert np.abs(np.sort(found["ra"][1:]) - np.arange(80, 90)).max() < 0.3 / 60


# ---- forms, frames and columns


def test_accepted_by_catalog_again():
    found = combine_catalogs([listing(CRAB), listing(("NEW_1", 8.0, 80.0, 20.0), jemx=True)])
    sent = json.loads(to_catalog_text(found, "isgri"))
    columns = dict(zip(sent["cat_column_names"], sent["cat_column_list"], strict=True))
    assert list(columns) == USUAL
    assert columns["src_names"] == ["Crab", "NEW_1"]
    assert columns["ISGRI_FLAG"] == [1, 2]  # what JEM-X does not have is completed
    assert columns["NEW_SOURCE"] == [-32768, -32768]
    assert columns["ra"] == [83.633, 80.0]


def test_jemx_alone_has_its_columns():
    found = combine_catalogs([listing(CRAB, jemx=True), listing(CRAB, jemx=True)])
    assert found.colnames == [name for name in USUAL if name not in ("NEW_SOURCE", "ISGRI_FLAG")]


def test_frames():
    place = SkyCoord(80.0, 20.0, unit="deg", frame="fk5")
    one = listing(CRAB, ("NEW_1", 8.0, 80.0, 20.0))
    icrs, galactic = place.icrs, place.galactic
    other = listing(("NEW_9", 7.0, icrs.ra.deg, icrs.dec.deg), frame="icrs")
    third = Table({"name": ["NEW_2"], "glon": [galactic.l.deg], "glat": [galactic.b.deg], "significance": [6.0]})
    fourth = Table({"name": ["Crab"], "position": SkyCoord([83.633], [22.014], unit="deg", frame="fk5")})
    found = combine_catalogs([one, other, third, fourth])
    assert found["src_names"].tolist() == ["Crab", "NEW_1"]
    assert found.meta["FRAME"] == "fk5"
    assert SkyCoord(found["ra"][1], found["dec"][1], unit="deg", frame="fk5").separation(place) < 0.01 * u.arcsec
    only = combine_catalogs([other, other])
    assert only.meta["FRAME"] == "icrs"
    assert only["ra"][0] == icrs.ra.deg


def test_images_with_a_catalog_and_names_that_are_not_ascii():
    table = listing(("Étoile 1", 30.0, 83.633, 22.014), ("NEW_1", 8.0, 80.0, 20.0))
    image = fits.HDUList([fits.PrimaryHDU(), to_hdu(table)])
    image[0].header["JOB_ID"] = "abc"
    found = combine_catalogs([image, table, listing(("etoile1", 5.0, 83.633, 22.014))])
    assert found["src_names"].tolist() == ["Étoile 1", "NEW_1"]
    assert [row["job_id"] for row in json.loads(found.meta["INPUTS"])] == ["abc", "", ""]
    assert found.meta["NJOBS"] == 3


@pytest.mark.parametrize("form", ["ecsv", "fits"])
def test_files(form, tmp_path):
    tables = [listing(CRAB, ("NEW_1", 8.0, 80.0, 20.0)), listing(("NEW_1", 8.5, 80.01, 20.0), jemx=True)]
    expected, read = combine_catalogs(tables), []
    for number, table in enumerate(tables):
        table.write(tmp_path / f"{number}.{form}")
        read.append(Table.read(tmp_path / f"{number}.{form}"))
    found = combine_catalogs(read)
    assert rows_of(found) == rows_of(expected)
    found.write(tmp_path / f"sum.{form}")
    again = Table.read(tmp_path / f"sum.{form}")
    assert again["src_names"].tolist() == found["src_names"].tolist()
    assert rows_of(combine_catalogs([again])) == rows_of(found)
    assert len(json.loads(again.meta["INPUTS"])) == 2


def test_gaps_and_further_columns():
    one = listing(CRAB)
    one["notes"], one["count"] = ["a"], [3]
    other = listing((CRAB[0], 120.0, *CRAB[2:]))
    other["significance"] = MaskedColumn([120.0], mask=[True])
    found = combine_catalogs([one, other, listing(("X Per", 5.0, 58.8, 31.0))])
    assert found.colnames == [*USUAL, "count", "notes"]
    assert found["notes"].tolist() == ["a", None]
    assert found["significance"].tolist() == [100.0, 5.0]
    one["count"].unit, other["count"] = u.m, [4] * u.s
    with pytest.raises(ParameterError, match="'count' has different units"):
        combine_catalogs([one, other])


def test_empty_lists():
    found = combine_catalogs([empty_catalog(), empty_catalog()])
    assert (len(found), found.colnames) == (0, USUAL)
    assert found.meta["FRAME"] == "fk5"
    assert combine_catalogs([empty_catalog(), listing(CRAB)])["src_names"].tolist() == ["Crab"]


def test_an_iterator_and_the_inputs_are_unchanged():
    tables = [listing(CRAB, frame="icrs"), listing(("NEW_4", 8.0, 80.0, 20.0))]
    before = [rows_of(table) for table in tables]
    assert len(combine_catalogs(iter(tables))) == 2
    assert [rows_of(table) for table in tables] == before


# ---- with a mosaic


def test_measured_in_a_mosaic():
    places = SkyCoord([83.633, 82.0, 83.0, 95.0], [22.014, 21.0, 23.5, 22.0], unit="deg", frame="fk5")
    mosaic = sky(places[:3], [10.0, 4.0, 0.0], _header(places[0]))
    one = listing(CRAB, ("NEW_1", 9.0, 82.0, 21.0, 0.05), ("Faint", 3.0, 83.0, 23.5, 0.0003), ("Far", 2.0, 95.0, 22.0))
    with pytest.warns(InputWarning, match="no exposure at Far: "):
        found = combine_catalogs([one, one], mosaic=mosaic)
    assert found["src_names"].tolist() == ["Crab", "Faint", "Far", "NEW_1"]
    assert found["significance"].mask.tolist() == [False, False, True, False]
    rows = dict(zip(found["src_names"], found, strict=True))
    assert rows["Crab"]["significance"] == pytest.approx(50.0, rel=1e-3)  # 10 / 0.2
    assert rows["NEW_1"]["significance"] == pytest.approx(20.0, rel=1e-3)
    sigma = 14.0 / 60 / 2.3548
    assert rows["NEW_1"]["ERR_RAD"] == pytest.approx(sigma / 20, rel=1e-2)
    assert rows["Crab"]["ERR_RAD"] == pytest.approx(sigma / 50, rel=1e-2)  # less than the 0.01 that was listed
    assert rows["Faint"]["ERR_RAD"] == 0.0003  # of a catalogue
    assert rows["Far"]["ERR_RAD"] == 0.01
    assert found.meta["SIGNIFIC"] == "measured in the mosaic"
    to_catalog_text(found, "isgri")


def test_no_sources_in_a_mosaic():
    place = SkyCoord(83.633, 22.014, unit="deg", frame="fk5")
    found = combine_catalogs([empty_catalog()], mosaic=sky([place], [10.0], _header(place)))
    assert (len(found), found.colnames) == (0, USUAL)


def test_the_best_band_counts():
    place = SkyCoord(83.633, 22.014, unit="deg", frame="fk5")
    mosaic = sky([place], [10.0], _header(place), bands=((20.0, 40.0), (40.0, 80.0)))
    found = combine_catalogs([listing(CRAB)], mosaic=mosaic)
    rates = measure_rates(mosaic, place)
    assert found["significance"][0] == pytest.approx(rates["significance"][0] * rates["noise"][0], rel=1e-6)


def _header(centre):
    from tests.test_measure_rates import sky_header

    return sky_header(81, centre=centre)


def test_lists_of_the_local_service(mmoda):
    field = {"coordinates": "MAXI J1820+070", "radius": "8 deg", "max_pointings": 10}
    images = [
        mmoda.query_image("isgri", **field, time_range=times) for times in ((58193.455, 58220.0), (58220.0, 58246.892))
    ]
    found = combine_catalogs(images, mosaic=images[0])
    assert "MAXI J1820+070" in found["src_names"]
    assert not found["significance"].mask.any()
    assert len(json.loads(found.meta["INPUTS"])) == found.meta["NJOBS"] == 2
    payload = mmoda.query_spectrum(
        "isgri", "MAXI J1820+070", time_range=(58193.455, 58246.892), catalog=found, get_query_payload=True
    )
    assert len(json.loads(payload["selected_catalog"])["cat_column_list"][0]) == len(found)


# ---- what is refused


@pytest.mark.parametrize(
    "catalogs",
    [[], None, "Crab", listing(CRAB), fits.HDUList([fits.PrimaryHDU()]), iter(())],
    ids=["none", "None", "name", "table", "image", "iterator"],
)
def test_not_several_lists(catalogs):
    with pytest.raises(ParameterError, match="Tables or HDULists is needed|at least one catalog"):
        combine_catalogs(catalogs)


def test_tables_with_a_time_of_their_own():
    table = listing(CRAB)
    table["time"] = ["yesterday"]
    assert len(combine_catalogs([table, table])) == 1


def test_something_else_among_them():
    with pytest.raises(ParameterError, match="catalog 1 is not of type Table or HDUList.*but str"):
        combine_catalogs([listing(CRAB), "list.ecsv"])
    with pytest.raises(ParameterError, match="catalog 1: .*CATALOG"):
        combine_catalogs([listing(CRAB), fits.HDUList([fits.PrimaryHDU()])])
    with pytest.raises(ParameterError, match="catalog 0: .*coordinates"):
        combine_catalogs([Table({"name": ["Crab"]})])
    with pytest.raises(ParameterError, match="catalog 0: .*names"):
        combine_catalogs([Table({"ra": [1.0], "dec": [2.0]})])


def test_rows_that_make_no_sense():
    with pytest.raises(ParameterError, match=r"catalog 1: .*row 0 .*no name"):
        combine_catalogs([listing(CRAB), listing(("", 1.0, 2.0, 3.0))])
    with pytest.raises(ParameterError, match=r"catalog 0: .*row 1 \('X'\)"):
        combine_catalogs([listing(CRAB, ("X", 1.0, np.nan, 3.0))])
    table = listing(CRAB)
    table["ISGRI_FLAG"] = [1.5]
    with pytest.raises(ParameterError, match="ISGRI_FLAG"):
        combine_catalogs([table])


@pytest.mark.parametrize("radius", [3, -1 * u.arcmin, np.nan * u.deg, 3 * u.s, "far", [1, 2] * u.deg, 400 * u.deg])
def test_wrong_radius(radius):
    with pytest.raises(ParameterError, match="radius"):
        combine_catalogs([listing(CRAB)], radius=radius)


def test_wrong_mosaic():
    with pytest.raises(ParameterError, match="mosaic must be an HDUList"):
        combine_catalogs([empty_catalog()], mosaic="mosaic.fits")
    with pytest.raises(ParameterError, match="mosaic must be an HDUList"):
        combine_catalogs([listing(CRAB)], mosaic="mosaic.fits")
