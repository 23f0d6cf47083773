"""Tables of several results put together by astropy: silent, and what they say of themselves stays true."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
import yaml
from astropy.table import QTable, Table, hstack, join, vstack
from astropy.utils.metadata import MergeConflictWarning

from astroquery_mmoda import Products, read_lightcurve, spectrum_table, write_lightcurve
from astroquery_mmoda.combine import combine_lightcurves
from astroquery_mmoda.products.mergeable import mergeable
from tests.test_entries import recorded


def curve(job_id="1" * 16, **parameters):
    body = recorded("isgri_lc_real")
    products = Products.from_response(body)
    products.job_id = job_id
    products.parameters.update(parameters)
    return products.lightcurve()


@pytest.fixture
def curves():
    return [curve("1" * 16, T1="2017-03-06"), curve("2" * 16, T1="2018-03-06")]


def test_vstack_is_silent_and_true(curves):
    stacked = vstack([*curves, curves[0]])
    assert len(stacked) == 3 * len(curves[0])
    assert stacked.meta["JOB_ID"] == f"{'1' * 16},{'2' * 16}"
    parameters = json.loads(stacked.meta["PARAMS"])
    assert "T1" not in parameters
    assert parameters["instrument"] == "isgri"
    assert stacked.meta["INSTRUME"] == curves[0].meta["INSTRUME"]
    # they are what plain texts are
    assert combine_lightcurves([stacked]).meta["NJOBS"] == 2
    assert json.loads(combine_lightcurves([stacked]).meta["INPUTS"])[0]["job_id"] == stacked.meta["JOB_ID"]


def test_what_differs_is_left_empty(curves):
    for number, table in enumerate(curves):
        table.meta.update(mergeable({"RA_OBJ": 1.5 + number, "TELESCOP": f"no. {number}", "NFAILED": number}))
    stacked = vstack([*curves, curves[0]])
    assert stacked.meta["RA_OBJ"] == stacked.meta["TELESCOP"] == stacked.meta["NFAILED"] == ""


def test_columns_that_mean_something_else_are_not_stacked_silently(curves):
    curves[1].meta["VALUECOL"] = "FLUX"
    with pytest.warns(MergeConflictWarning, match="VALUECOL"):
        vstack(curves)


@pytest.mark.parametrize("together", [hstack, lambda tables: join(*tables, keys=["src_name", "e_min"])])
def test_side_by_side(curves, together):
    narrow = [table["src_name", "e_min", "RATE"][:1] for table in curves]
    assert together(narrow).meta["JOB_ID"] == f"{'1' * 16},{'2' * 16}"


def test_other_results():
    spectra = Products.from_response(recorded("isgri_spectrum_real")).spectrum()
    table = spectrum_table(spectra, "3C 111")
    other = table.copy()
    other.meta["SRC_NAME"] = type(table.meta["SRC_NAME"])("Crab")
    assert vstack([table, other]).meta["SRC_NAME"] == ""
    catalog = Products.from_response(recorded("isgri_image_6_done")).catalog()
    assert vstack([catalog, catalog]).meta == catalog.meta


def test_a_field_without_sources():
    catalogs = [Products.from_response(recorded(name)).catalog() for name in ("isgri_image_6_done", "jemx_image_empty")]
    for given in (catalogs, catalogs[::-1]):
        assert [*vstack(given)["src_names"]] == [*catalogs[0]["src_names"]]


def test_formats_are_not_for_files():
    products = Products.from_response(recorded("isgri_image_6_done"))
    assert not [keyword for keyword in products.image()["CATALOG"].header if keyword.startswith("TDISP")]
    assert products.catalog()["ra"].info.format == ".5f"


def test_parameters_stay_fit_for_headers():
    stacked = vstack([curve(src_name="O'Neill & Co") for _ in "12"])
    assert "'" not in stacked.meta["PARAMS"]
    assert json.loads(stacked.meta["PARAMS"])["src_name"] == "O'Neill & Co"


def test_tables_of_others_warn_as_ever():
    tables = [Table({"a": [1]}, meta={"JOB_ID": name}) for name in "ab"]
    with pytest.warns(MergeConflictWarning, match="JOB_ID"):
        vstack(tables)


@pytest.mark.parametrize(
    "kept", [Table.copy, lambda t: t[::2], copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t)), QTable]
)
def test_what_is_kept_stacks_silently(curves, kept):
    stacked = vstack([kept(table) for table in curves])
    assert stacked.meta["JOB_ID"].count(",") == 1


@pytest.mark.parametrize("form", ["fits", "ascii.ecsv"])
@pytest.mark.parametrize("number", [1, 2])
def test_files_have_all_of_it(curves, tmp_path, form, number):
    table = vstack(curves[:number])
    table.write(tmp_path / "file", format=form)
    same = Table.read(tmp_path / "file", format=form, **({"astropy_native": True} if form == "fits" else {}))
    assert {name: same.meta[name] for name in table.meta} == table.meta
    assert {type(value) for value in same.meta.values()} <= {str, float, int}
    for name in ("RATE", "ERROR", "time_bin"):  # rounded when shown only
        filled = [np.ma.filled(np.ma.asarray(each[name]), -1.0) for each in (same, table)]
        assert np.array_equal(*filled)
    assert np.abs(np.asarray((same["time"] - table["time"]).jd)).max() < 1e-10


def test_own_files_stack_silently(curves, tmp_path):
    paths = [write_lightcurve(table, tmp_path / f"{number}.fits") for number, table in enumerate(curves)]
    stacked = vstack([*map(read_lightcurve, paths), curves[0]])
    assert stacked.meta["JOB_ID"].count(",") == 1


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_and_a_result_stack_silently(curves, tmp_path, order):
    curves[0].write(tmp_path / "curve.ecsv")
    stacked = vstack([Table.read(tmp_path / "curve.ecsv"), curves[1]][::order])
    assert sorted(stacked.meta["JOB_ID"].split(",")) == ["1" * 16, "2" * 16]
    assert "T1" not in json.loads(stacked.meta["PARAMS"])
    assert stacked.meta["INSTRUME"] == curves[0].meta["INSTRUME"]


def test_json(curves):
    assert json.loads(json.dumps(curves[0].meta)) == curves[0].meta


def test_yaml_as_asdf_writes_it():
    meta = {"JOB_ID": "1" * 16, "PARAMS": '{"a": 1}', "TELESCOP": "INTEGRAL", "NJOBS": 2, "FWHM": 14.0}
    assert yaml.safe_dump(mergeable(meta)) == yaml.safe_dump(meta)


# ---- shown with few digits


def test_few_digits_are_shown_and_all_are_kept(curves):
    table = curves[0]
    row = next(row for row in table if row["RATE"] is not np.ma.masked)
    shown = dict(
        zip(table.colnames, table[row.index : row.index + 1].pformat(show_unit=False)[-1].split(), strict=False)
    )
    assert shown["e_min"] == "28"
    assert len(shown["RATE"]) <= 8
    assert float(shown["RATE"]) == pytest.approx(row["RATE"], rel=1e-4)
    assert float(shown["time"]) == row["time"].mjd
    assert len(repr(float(row["RATE"]))) > len(shown["RATE"])


def test_formats_are_the_same_for_all_results():
    tables = [Products.from_response(recorded(name)).lightcurve() for name in ("isgri_lc_real", "jemx_lc_dummy")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stacked = vstack([table["RATE", "ERROR", "e_min", "time_bin"] for table in tables])
    assert stacked["RATE"].info.format == tables[0]["RATE"].info.format
