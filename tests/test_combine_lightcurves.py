"""Light curves of several jobs as one."""

import contextlib
import gzip
import json
import time
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from astroquery.exceptions import InputWarning
from hypothesis import given, settings
from hypothesis import strategies as st

from astroquery_mmoda import DecodingError, ParameterError, Products, read_lightcurve, to_timeseries, write_lightcurve
from astroquery_mmoda.combine import combine_lightcurves
from astroquery_mmoda.products.lightcurve import empty_lightcurve

META = {"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", "TIMEREF": "LOCAL", "VALUECOL": "RATE"}
META |= {"ERRORCOL": "ERROR", "INSTRUM": "isgri"}
WIDTH = 1000.0


def curve(
    start=58000.0,
    rows=5,
    sources=("Crab",),
    *,
    band=(20.0, 40.0),
    scale="tt",
    unit="count/s",
    seed=0,
    osa="OSA11.2",
    **meta,
):
    """A light curve as query_lightcurve returns it."""
    rng = np.random.default_rng([seed, int(start * 10)])
    count = rows * len(sources)
    table = Table()
    table["src_name"] = np.repeat(np.array(sources, dtype=str), rows)
    table["time"] = Time(np.tile(start + np.arange(rows) * WIDTH / 86400, len(sources)), format="mjd", scale=scale)
    table["time_bin"] = np.full(count, WIDTH) * u.s
    table["e_min"], table["e_max"] = (np.full(count, edge) * u.keV for edge in band)
    table["RATE"] = Column(rng.normal(10, 1, count), unit=unit)
    table["ERROR"] = Column(rng.uniform(0.5, 1, count), unit=unit)
    table["FRACEXP"] = rng.uniform(0.5, 1, count)
    params = {"scw_list": f"0665{int(start * 10) % 10000:04d}0010.001", **({"osa_version": osa} if osa else {})}
    table.meta = {**META, "PARAMS": json.dumps(params), "JOB_ID": f"job{start}", **meta}
    return table


def rows_of(table):
    """Rows as they can be compared in any order."""
    return sorted(
        (str(row["src_name"]), float(row["e_min"]), float(row["time"].mjd), float(row["RATE"])) for row in table
    )


def without_warnings(curves):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return combine_lightcurves(curves)


def test_order_and_columns():
    curves = [
        curve(58001, sources=("Ser X-1", "Crab")),
        curve(58000, sources=("Ser X-1", "Crab")),
        curve(58000, sources=("Crab",), band=(40.0, 80.0), osa=""),
    ]
    result = without_warnings(curves)
    assert result.colnames == [*curves[0].colnames, "osa_version"]
    assert len(result) == 25
    keys = list(zip(result["src_name"].tolist(), result["e_min"].tolist(), result["time"].mjd.tolist(), strict=True))
    assert keys == sorted(keys)
    assert rows_of(result) == sorted(row for each in curves for row in rows_of(each))
    assert result["time"].scale == "tt"
    assert result["time"].format == "mjd"
    assert rows_of(without_warnings(enumerate(curves))) == rows_of(result)  # as query_many gives them
    assert result["RATE"].unit == u.ct / u.s
    versions = result["osa_version"]
    assert set(versions[result["e_min"] == 20].tolist()) == {"OSA11.2"}
    assert versions.mask[result["e_min"] == 40].all()


def test_meta():
    one = curve(
        58000, RA_OBJ=83.6, DEC_OBJ=22.0, EPHS="1 2 3", TSHIFT=0.025, TIMEWARN="no TIMESYS: TT assumed", MJDREF=51544.0
    )
    two = curve(
        58001, RA_OBJ=83.6, DEC_OBJ=22.0, EPHS="4 5 6", TSHIFT=0.025, TIMEWARN="other", MJDREF=51544.0, NFAILED=2
    )
    result = without_warnings([one, two])
    meta = result.meta
    assert (meta["NJOBS"], meta["NFAILED"], meta["SPANDAYS"]) == (2, 2, pytest.approx(1 + 5000 / 86400, abs=2e-3))
    assert {key: meta[key] for key in META} == META
    assert (meta["RA_OBJ"], meta["DEC_OBJ"], meta["MJDREF"], meta["TSHIFT"]) == (83.6, 22.0, 51544.0, 0.025)
    assert meta["TIMEWARN"] == "no TIMESYS: TT assumed; other"
    assert not {"JOB_ID", "EPHS"} & set(meta)
    assert json.loads(meta["PARAMS"]) == {"osa_version": "OSA11.2"}
    inputs = json.loads(meta["INPUTS"])
    assert [(row["job_id"], row["windows"], row["EPHS"]) for row in inputs] == [
        ("job58000", "0665:0", "1 2 3"),
        ("job58001", "0665:10", "4 5 6"),
    ]
    assert all(isinstance(value, str | int | float) for value in meta.values())
    again = without_warnings([result, curve(58002, EPHS="4 5 6")])
    assert [row["EPHS"] for row in json.loads(again.meta["INPUTS"])] == ["1 2 3", "4 5 6", "4 5 6"]
    assert again.meta["NJOBS"] == 3


def test_long_spans_are_not_sums():
    assert without_warnings([curve(58000), curve(58900)]).meta["SPANDAYS"] > 800


def test_positions_of_several_sources():
    one = curve(58000, sources=("Crab", "Ser X-1"), OBJ_POS='{"Crab": [83.6, 22.0], "Ser X-1": [279.9, 5.0]}')
    two = curve(58001, sources=("Crab",), RA_OBJ=83.6, DEC_OBJ=22.0)
    assert json.loads(without_warnings([one, two]).meta["OBJ_POS"]) == {"Crab": [83.6, 22.0], "Ser X-1": [279.9, 5.0]}
    series = to_timeseries(without_warnings([one, two]), "Ser X-1")
    assert (series.meta["RA_OBJ"], series.meta["DEC_OBJ"]) == (279.9, 5.0)
    two.meta["RA_OBJ"] = 84.0
    assert json.loads(without_warnings([one, two]).meta["OBJ_POS"]) == {"Ser X-1": [279.9, 5.0]}


def test_sources_are_found_by_name():
    result = without_warnings(
        [curve(58000, sources=("Ser X-1",)), curve(58001, sources=("SER_X-1",)), curve(58002, sources=("Ser X-1",))]
    )
    assert set(result["src_name"]) == {"Ser X-1"}
    # two of one curve are different, whatever they are called
    apart = without_warnings([curve(58000, sources=("NEW 1", "NEW_1")), curve(58001, sources=("NEW_1",))])
    assert [str(name) for name in apart["src_name"]] == ["NEW 1"] * 5 + ["NEW_1"] * 10


# ---- bins that came twice


@st.composite
def random_curves(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bands = [(20.0, 40.0), (40.0, 80.0), (np.nan, np.nan)]
    curves = []
    for index in range(draw(st.integers(1, 5))):
        made = curve(
            58000 + index,
            draw(st.integers(0, 6)),
            draw(st.sampled_from([("Crab",), ("Ser X-1", "Crab"), ("A", "B", "C")])),
            band=bands[draw(st.integers(0, 2))],
            osa=draw(st.sampled_from(["", "OSA10.2", "OSA11.2"])),
        )
        made["RATE"] = MaskedColumn(made["RATE"], mask=rng.random(len(made)) < 0.2)
        curves.append(made)
    return curves


def same(one, other):
    assert one.colnames == other.colnames
    assert len(one) == len(other)
    for name in one.colnames:
        if name == "time":
            assert np.all(np.abs((one[name] - other[name]).sec) < 1e-7)
            continue
        np.testing.assert_array_equal(np.ma.getmaskarray(one[name]), np.ma.getmaskarray(other[name]))
        values, wanted = (np.ma.asarray(table[name]) for table in (one, other))
        assert np.ma.allequal(values, wanted) or np.array_equal(values.filled(), wanted.filled(), equal_nan=True)


@given(random_curves(), st.randoms(use_true_random=False))
@settings(max_examples=12, deadline=None)
def test_order_repetition_and_brackets_do_not_matter(curves, random):
    whole = without_warnings(curves)
    assert len(whole) == sum(map(len, curves))
    if not len(whole):
        return
    same(without_warnings(random.sample(curves, len(curves))), whole)
    same(without_warnings([*curves, *curves]), whole)
    same(without_warnings([whole]), whole)
    cut = random.randint(0, len(curves) - 1)
    parts = [combine_lightcurves(some) for some in (curves[:cut], curves[cut:]) if some]
    nested = without_warnings(parts)
    same(nested, whole)
    assert nested.meta["NJOBS"] == whole.meta["NJOBS"]


def test_bins_that_came_twice_and_differ():
    one, two = curve(58000, 4), curve(58000, 4)
    one["FRACEXP"], two["FRACEXP"] = [0.9, 0.2, 0.5, 0.5], [0.1, 0.8, 0.5, 0.5]
    two["RATE"][:2] += 1
    for curves in ([one, two], [two, one]):
        with pytest.warns(InputWarning, match="2 bins came twice.*Crab.*larger FRACEXP"):
            result = combine_lightcurves(curves)
        np.testing.assert_array_equal(result["FRACEXP"], [0.9, 0.8, 0.5, 0.5])
        np.testing.assert_array_equal(result["RATE"], [one["RATE"][0], two["RATE"][1], *one["RATE"][2:]])


def test_the_one_that_has_data_is_kept():
    one, two = curve(58000, 2), curve(58000, 2)
    two["RATE"] = MaskedColumn(two["RATE"], mask=[True, False])
    two["FRACEXP"][0] = 1.0
    with pytest.warns(InputWarning, match="1 bins came twice"):
        result = combine_lightcurves([two, one])
    np.testing.assert_array_equal(result["RATE"], one["RATE"])


@pytest.mark.parametrize("shift", [1e-6, -1e-6, 1e-7])
def test_rounding_of_times(shift):
    one, two = curve(58000), curve(58000)
    two["time"] = two["time"] + shift * u.s
    two["time_bin"] *= 1 + 1e-8
    two["e_min"] *= 1 + 1e-9
    assert len(without_warnings([one, two])) == len(one)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.replace_column("time", table["time"] + 0.01 * u.s),
        lambda table: table.replace_column("time_bin", table["time_bin"] * 1.001),
        lambda table: table.replace_column("e_max", table["e_max"] * 1.001),
        lambda table: table.replace_column("src_name", Column(["Other"] * len(table))),
        lambda table: table.meta.update(INSTRUME="JMX1", DETNAM=""),
    ],
)
def test_other_bins_are_kept(change):
    one, two = curve(58000), curve(58000)
    change(two)
    assert len(without_warnings([one, two])) == 10


def test_native_bins_of_spi_acs_are_apart():
    table = curve(58000, 1000)
    table["time"] = Time(58000, np.arange(1000) * 0.05 / 86400, format="mjd", scale="tt")
    table["time_bin"] = 0.05 * u.s
    halves = [table[:600], table[400:]]
    assert len(without_warnings(halves)) == 1000


def test_equal_times_in_one_curve_stay():
    table = curve(58000, 4)
    table["time"][1] = table["time"][0]
    table["time_bin"] = MaskedColumn(table["time_bin"], mask=[True, True, False, False])
    assert len(without_warnings([table])) == 4
    assert rows_of(without_warnings([table, table])) == rows_of(table)


# ---- what differs


def test_instruments():
    curves = [
        curve(58000),
        curve(58000, INSTRUME="JMX1", DETNAM="", INSTRUM="jemx"),
        curve(58000, INSTRUME="JMX2", DETNAM="", INSTRUM="jemx"),
    ]
    result = without_warnings(curves)
    assert sorted(set(result["instrument"])) == ["IBIS ISGRI", "JMX1", "JMX2"]
    assert len(result) == 15
    assert "INSTRUME" not in result.meta
    assert result.meta["TELESCOP"] == "INTEGRAL"
    assert len(without_warnings([result, *curves])) == 15
    assert "instrument" not in without_warnings(curves[:1] * 2).colnames


def test_units_are_converted():
    one, two = curve(58000), curve(58001, unit="count/min")
    result = without_warnings([one, two])
    assert result["RATE"].unit == u.ct / u.s
    np.testing.assert_allclose(result["RATE"][5:], two["RATE"] / 60)
    result = without_warnings([QTable(one), two])
    np.testing.assert_allclose(result["ERROR"][5:], two["ERROR"] / 60)
    two["RATE"].unit = "erg/s"
    with pytest.raises(ParameterError, match="light curve 1 has RATE in erg / s, those before it in ct / s"):
        combine_lightcurves([one, two])


def test_columns_that_differ():
    one, two = curve(58000), curve(58001)
    one["BACKV"] = np.arange(5.0) * u.ct
    two["TOT"] = np.arange(5)
    two.remove_column("FRACEXP")
    result = without_warnings([one, two])
    assert result.colnames == [*one.colnames, "TOT", "osa_version"]
    assert result["FRACEXP"].mask.tolist() == result["BACKV"].mask.tolist() == [False] * 5 + [True] * 5
    assert result["TOT"].mask.tolist() == [True] * 5 + [False] * 5
    two["BACKV"] = [1.0] * 5
    with pytest.raises(ParameterError, match="BACKV in no unit, those before it in ct"):
        combine_lightcurves([one, two])
    two["BACKV"] = np.ones((5, 2)) * u.ct
    with pytest.raises(ParameterError, match="can't be joined"):
        combine_lightcurves([one, two])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": "tdb"}, "TT and in TDB"),
        ({"TIMEREF": "SOLARSYSTEM"}, "TIMEREF.*LOCAL, SOLARSYSTEM"),
        ({"VALUECOL": "FLUX"}, "VALUECOL.*RATE, FLUX"),
        ({"ERRORCOL": "ERR"}, "ERRORCOL"),
    ],
)
def test_what_must_not_be_stacked(change, message):
    with pytest.raises(ParameterError, match=message):
        combine_lightcurves([curve(58000), curve(58001, **change)])


def test_references_of_further_times():
    one, two = curve(58000, MJDREF=51544.0), curve(58001, MJDREF=0.0)
    assert "MJDREF" not in without_warnings([one, two]).meta
    one["BARYTIME"] = two["BARYTIME"] = np.arange(5.0) * u.d
    with pytest.raises(ParameterError, match="MJDREF"):
        combine_lightcurves([one, two])


def test_barycentred_times_stay():
    assert without_warnings([curve(58000, scale="tdb"), curve(58001, scale="tdb")])["time"].scale == "tdb"
    utc = without_warnings([curve(58000), curve(58001, scale="utc")])
    assert utc["time"].scale == "tt"
    assert utc["time"][5].utc.mjd == pytest.approx(58001, abs=1e-9)


def test_curves_without_rows():
    empty = empty_lightcurve()
    empty.meta["JOB_ID"] = "none"
    result = without_warnings([empty, curve(58000, unit="count/min"), empty])
    assert result["RATE"].unit == u.ct / u.min
    assert len(result) == 5
    assert result.meta["TELESCOP"] == "INTEGRAL"
    assert result.meta["NJOBS"] == 2
    nothing = without_warnings([empty, empty])
    assert len(nothing) == 0
    assert nothing.colnames == [*empty.colnames, "osa_version"]
    assert "osa_version" not in empty.colnames
    assert len(without_warnings([nothing, curve(58000)])) == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: curve(), "list, or another iterable, of Tables"),
        (lambda: "curve.fits", "list, or another iterable, of Tables"),
        (lambda: None, "list, or another iterable, of Tables"),
        (lambda: [], "no light curves"),
        (lambda: [(0, curve()), (1, ParameterError("too far"))], "light curve 1 is the error of a query.*too far"),
        (lambda: [curve(), "a"], "light curve 1 is not of type Table"),
        (lambda: [Table({"a": [1]})], "light curve 0: not a light curve"),
    ],
)
def test_not_light_curves(wrong, message):
    with pytest.raises(ParameterError, match=message):
        combine_lightcurves(wrong())


def test_what_query_many_gives():
    curves = [curve(58001), curve(58000)]
    same(combine_lightcurves(iter(enumerate(curves))), combine_lightcurves(curves))
    with pytest.raises(ParameterError, match="light curve 1 is the error of a query that failed; leave it out: no"):
        combine_lightcurves([(0, curves[0]), (1, ValueError("no"))])


@pytest.mark.parametrize("name", ["src_name", "time_bin"])
@pytest.mark.parametrize("cell", ["x", [0.0, 1.0], object()])
def test_malformed_columns(name, cell):
    wrong = curve()
    wrong.replace_column(name, Column([cell] * len(wrong), name))
    with contextlib.suppress(ParameterError, DecodingError):  # those, and no errors of others
        combine_lightcurves([wrong, curve(58001)])


def test_inputs_stay_as_they_are():
    curves = [curve(58001), curve(58000, unit="count/min")]
    before = [each.copy() for each in curves]
    combine_lightcurves(curves)["RATE"][:] = 0
    for one, other in zip(curves, before, strict=True):
        same(one, other)
        assert one.meta == other.meta


# ---- files, and curves of the service


def test_tables_in_fits_files(tmp_path):
    """Without the times as such nobody would know their scale."""
    result = without_warnings([curve(58000), curve(58001)])
    result.write(tmp_path / "curve.fits")
    same(without_warnings([Table.read(tmp_path / "curve.fits", astropy_native=True)]), result)
    with pytest.raises(ParameterError, match="astropy_native=True"):
        combine_lightcurves([Table.read(tmp_path / "curve.fits")])


@pytest.mark.parametrize("form", ["fits", "ecsv"])
def test_files(tmp_path, form):
    result = without_warnings(
        [curve(58000, sources=("Crab", "Ser X-1")), curve(58001, osa="", INSTRUME="JMX1", DETNAM="")]
    )
    path = tmp_path / f"curve.{form}"
    if form == "fits":
        again = read_lightcurve(write_lightcurve(result, path))
    else:
        result.write(path)
        again = Table.read(path)
    same(again, result)
    assert {key: again.meta[key] for key in result.meta} == dict(result.meta)
    assert to_timeseries(again, "Crab").colnames[:2] == ["time_bin_start", "time_bin_size"]
    same(without_warnings([again, again]), result)


def test_tables_of_workflows(tmp_path):
    table = curve(58000, INSTRUM="hess", VALUECOL="Flux", ERRLOCOL="low", ERRHICOL="high", LIMCOL="is_limit")
    for key in ("TELESCOP", "INSTRUME", "DETNAM", "ERRORCOL", "TIMEREF"):
        del table.meta[key]
    table.rename_columns(["RATE", "ERROR"], ["Flux", "low"])
    table["high"], table["is_limit"] = table["low"], np.arange(5) > 3
    other = table.copy()
    other["time"] = other["time"] + 1 * u.d
    result = without_warnings([table, other, table])
    assert len(result) == 10
    assert {key: result.meta[key] for key in ("VALUECOL", "LIMCOL", "ERRLOCOL", "ERRHICOL")} == {
        "VALUECOL": "Flux", "LIMCOL": "is_limit", "ERRLOCOL": "low", "ERRHICOL": "high",
    }  # fmt: skip
    assert result["is_limit"].dtype == bool
    same(read_lightcurve(write_lightcurve(result, tmp_path / "curve.fits")), result)


@pytest.mark.parametrize("name", ["isgri_lc", "jemx_lc", "spi_acs_lc"])
def test_genuine_curves(genuine, tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = Products.from_response(gzip.open(genuine / "replies" / f"{name}.json.gz").read()).lightcurve()
    half = len(table) // 2
    whole = without_warnings([table])
    assert len(whole) == len(table)
    same(without_warnings([table[half - 10 :], table[: half + 10]]), whole)
    same(without_warnings([whole, table]), whole)
    for key in ("EPHS", "TSHIFT", "TIMEREF", "RA_OBJ", "OBJ_POS"):
        if key in table.meta:
            assert whole.meta[key] == table.meta[key]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(read_lightcurve(write_lightcurve(whole, tmp_path / "curve.fits")), whole)


def test_many_curves():
    curves = [curve(50000 + number, 1000, seed=number) for number in range(400)]
    for number, each in enumerate(curves):
        each["time"] = Time(50000 + number * 20, np.arange(1000) * WIDTH / 86400, format="mjd", scale="tt")
    begin = time.perf_counter()
    result = combine_lightcurves(curves)
    assert time.perf_counter() - begin < 30  # 3 s on a free machine
    assert len(result) == 400_000
