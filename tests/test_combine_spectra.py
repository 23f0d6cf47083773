"""Spectra of several jobs as one: against their definition, and what must not be summed."""

import gzip
import io
import tracemalloc
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import InputWarning
from hypothesis import given, settings
from hypothesis import strategies as st

from astroquery_mmoda import DecodingError, ParameterError, Products, spectrum_table, write_spectra
from astroquery_mmoda.combine import combine_spectra
from astroquery_mmoda.products.spectrum import sources_hdu
from tests.genuine_like import spectra as like

CHANNELS, ENERGIES = 7, 12
GRID = np.geomspace(15, 200, ENERGIES + 1)
E_MIN = np.linspace(20, 140, CHANNELS)
COMMON = {"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI"}
SECONDS = 1000.0


def area_hdu(area, unit="cm**2"):
    columns = [
        fits.Column("ENERG_LO", "E", "keV", array=GRID[:-1]),
        fits.Column("ENERG_HI", "E", "keV", array=GRID[1:]),
        fits.Column("SPECRESP", "D", unit, array=area),
    ]
    return fits.BinTableHDU.from_columns(columns, name="SPECRESP")


def matrix_hdu(matrix, *, first=0, form="dense"):
    """A matrix with all channels in a row, in two groups, or in rows of variable length."""
    rows, count = matrix.shape
    if form == "dense":
        groups = [np.ones(rows), np.full(rows, first), np.full(rows, count)]
        forms, values = ("I", "I", "I"), fits.Column("MATRIX", f"{count}D", array=matrix)
    elif form == "groups":
        half = count // 2
        groups = [np.full(rows, 2), np.tile([first, first + half], (rows, 1)), np.tile([half, count - half], (rows, 1))]
        forms, values = ("I", "2I", "2I"), fits.Column("MATRIX", f"{count}D", array=matrix)
    else:
        used = [np.flatnonzero(row) for row in matrix]
        groups = [
            [int(len(each) > 0) for each in used],
            [first + each[0] if len(each) else 0 for each in used],
            [each[-1] - each[0] + 1 if len(each) else 0 for each in used],
        ]
        cells = np.empty(rows, dtype=object)
        for number, each in enumerate(used):
            cells[number] = matrix[number, each[0] : each[-1] + 1] if len(each) else np.zeros(0)
        forms, values = ("I", "J", "J"), fits.Column("MATRIX", "PD()", array=cells)
    columns = [
        fits.Column("ENERG_LO", "E", "keV", array=GRID[:-1]),
        fits.Column("ENERG_HI", "E", "keV", array=GRID[1:]),
        *(fits.Column(*each) for each in ()),
        *(
            fits.Column(name, each, array=np.array(array))
            for name, each, array in zip(("N_GRP", "F_CHAN", "N_CHAN"), forms, groups, strict=True)
        ),
        values,
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="MATRIX")
    hdu.header["TLMIN4"], hdu.header["LO_THRES"], hdu.header["HDUCLAS3"] = first, 1e-7, "REDIST"
    return hdu


def bounds_hdu(first=0):
    columns = [
        fits.Column("CHANNEL", "J", array=first + np.arange(CHANNELS)),
        fits.Column("E_MIN", "E", "keV", array=E_MIN),
        fits.Column("E_MAX", "E", "keV", array=E_MIN + 20),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="EBOUNDS")
    hdu.header["TLMIN1"] = first
    return hdu


def spectrum_hdu(
    rate, error, *, quality=None, systematic=None, exposure=SECONDS, first=0, counts=None, start=0.0, **cards
):
    """A spectrum of rates, or of counts where ``rate`` is None."""
    columns = [fits.Column("CHANNEL", "I", array=first + np.arange(CHANNELS))]
    if rate is not None:
        columns.append(fits.Column("RATE", "D", "count/s", array=rate))
    if counts is not None:
        columns.append(fits.Column("COUNTS", "J", "count", array=counts))
    if error is not None:
        columns.append(fits.Column("STAT_ERR", "D", "count" if rate is None else "count/s", array=error))
    columns.append(fits.Column("SYS_ERR", "D", array=np.zeros(CHANNELS) if systematic is None else systematic))
    columns.append(fits.Column("QUALITY", "I", array=np.zeros(CHANNELS) if quality is None else quality))
    hdu = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    times = {"MJDREF": 51544.0, "TIMEUNIT": "d", "TIMESYS": "TT", "TSTART": 7000 + start, "TSTOP": 7000.5 + start}
    hdu.header.update({**COMMON, **times, "TLMIN1": first, "EXPOSURE": exposure, "ONTIME": 2 * exposure, **cards})
    return hdu


def listed(sources, **cards):
    """HDUList as of query_spectrum; ``sources`` are lists of tables by name, or pairs of these."""
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update(cards)
    pairs = list(sources.items() if isinstance(sources, dict) else sources)
    for number, (name, tables) in enumerate(pairs, start=1):
        for hdu in tables:
            hdu.ver, hdu.header["SRC_NAME"] = number, name
            hdus.append(hdu)
    return fits.HDUList([*hdus, sources_hdu([name for name, _ in pairs])])


def simple(start=0.0, names=("Crab",), exposure=SECONDS, *, seed=0, quality=None, form="dense", first=0, **cards):
    """A part with some sources, all with one response."""
    rng = np.random.default_rng(seed)
    response = np.random.default_rng(5)
    area, matrix = response.uniform(10, 90, ENERGIES), response.uniform(0, 0.2, (ENERGIES, CHANNELS))
    return listed(
        {
            name: [
                spectrum_hdu(
                    rng.normal(3, 1, CHANNELS), rng.uniform(0.1, 1, CHANNELS),
                    quality=quality, exposure=exposure, start=start, first=first, **cards,
                ),
                area_hdu(area),
                bounds_hdu(first),
                matrix_hdu(matrix, form=form, first=first),
            ]
            for name in names
        }
    )  # fmt: skip


def folded(spectra, photons, ver=1):
    """Model rate of each channel, worked out row by row as CAL/GEN/92-002 has it."""
    matrix = spectra["MATRIX", ver]
    area = spectra["SPECRESP", ver].data["SPECRESP"] if ("SPECRESP", ver) in spectra else np.ones(len(matrix.data))
    place = matrix.columns.names.index("F_CHAN") + 1
    rates = np.zeros(CHANNELS)
    for row, photon, square in zip(matrix.data, photons, area, strict=True):
        at = 0
        for group in range(row["N_GRP"]):
            start = int(np.atleast_1d(row["F_CHAN"])[group]) - matrix.header[f"TLMIN{place}"]
            length = int(np.atleast_1d(row["N_CHAN"])[group])
            rates[start : start + length] += photon * square * np.atleast_1d(row["MATRIX"])[at : at + length]
            at += length
    return rates


def same(one, other, rtol=1e-6):
    """All tables of two sums."""
    assert [(hdu.name, hdu.ver) for hdu in one] == [(hdu.name, hdu.ver) for hdu in other]
    for left, right in zip(one[1:], other[1:], strict=True):
        if left.name == "INPUTS":
            continue
        assert left.columns.names == right.columns.names
        for name in left.columns.names:
            values, wanted = left.data[name], right.data[name]
            if values.dtype.kind in "OU":
                assert all(np.array_equal(*pair) for pair in zip(values, wanted, strict=True))
            else:
                scale = np.nanmax(np.abs(wanted), initial=0)
                np.testing.assert_allclose(values, wanted, rtol=rtol, atol=rtol * scale, err_msg=name)
        for key in ("EXPOSURE", "ONTIME", "TSTART", "TSTOP", "TELAPSE", "NJOBS_S", "EXPFRAC", "HDUCLAS3", "DETCHANS"):
            if left.header.get(key) is not None or right.header.get(key) is not None:
                assert left.header[key] == pytest.approx(right.header[key], rel=1e-9), key


# ---- random parts


@st.composite
def random_parts(draw, *, counts=False):
    """Some parts of one source; areas, matrices and QUALITY are the same in all, or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    number = draw(st.integers(2, 5))
    same_area, same_matrix, same_quality, has_area = (draw(st.booleans()) for _ in range(4))
    form, first = draw(st.sampled_from(["dense", "groups", "variable"])), draw(st.sampled_from([0, 1]))
    areas = rng.uniform(0, 100, (number, ENERGIES)) * (rng.random(ENERGIES) > 0.1)
    matrices = rng.uniform(0, 1, (number, ENERGIES, CHANNELS)) * (rng.random((number, ENERGIES, CHANNELS)) > 0.3)
    qualities = np.where(rng.random((number, CHANNELS)) < 0.3, 2, 0)
    parts = []
    for index in range(number):
        tables = [bounds_hdu(first), matrix_hdu(matrices[0 if same_matrix else index], form=form, first=first)]
        if has_area:
            tables.append(area_hdu(areas[0 if same_area else index]))
        observed = rng.poisson(50, CHANNELS)
        values = {
            "rate": None if counts else rng.normal(5, 2, CHANNELS),
            "error": None if counts else rng.uniform(0.1, 2, CHANNELS),
            "counts": observed if counts else None,
        }
        spectrum = spectrum_hdu(
            **values,
            quality=qualities[0 if same_quality else index],
            systematic=rng.uniform(0, 0.1, CHANNELS),
            exposure=rng.uniform(100, 5000),
            first=first,
            start=float(index),
        )
        parts.append(listed({"Crab": [spectrum, *tables]}))
    return parts


PHOTONS = 10 * GRID[:-1] ** -2.1


def weighted(parts, values):
    """Mean over the parts with a good channel, by exposure; what is bad in all is NaN."""
    good = np.array([part["SPECTRUM"].data["QUALITY"] == 0 for part in parts])
    weight = good * np.array([part["SPECTRUM"].header["EXPOSURE"] for part in parts])[:, np.newaxis]
    with np.errstate(invalid="ignore"):
        return (weight * values).sum(axis=0) / weight.sum(axis=0), weight


@given(random_parts())
@settings(max_examples=6, deadline=None)
def test_sum_folds_as_its_parts_do(parts):
    result = combine_spectra(parts)
    expected, weight = weighted(parts, np.array([folded(part, PHOTONS) for part in parts]))
    known = weight.any(axis=0)
    np.testing.assert_allclose(folded(result, PHOTONS)[known], expected[known], rtol=1e-6)
    table, columns = result["SPECTRUM"].data, [part["SPECTRUM"].data for part in parts]
    np.testing.assert_array_equal(table["QUALITY"] == 0, known)
    for name in ("RATE", "SYS_ERR"):
        mean, _ = weighted(parts, np.array([each[name] for each in columns]))
        np.testing.assert_allclose(table[name][known], mean[known], rtol=1e-9, atol=1e-12)
    errors = np.sqrt(((weight * [each["STAT_ERR"] for each in columns]) ** 2).sum(axis=0))
    np.testing.assert_allclose(table["STAT_ERR"][known], errors[known] / weight.sum(axis=0)[known], rtol=1e-9)


@given(random_parts())
@settings(max_examples=6, deadline=None)
def test_area_is_the_mean_or_in_the_matrix(parts):
    result = combine_spectra(parts)
    good = [part["SPECTRUM"].data["QUALITY"] == 0 for part in parts]
    agree = all(np.array_equal(each, good[0]) for each in good)
    assert result["MATRIX"].header["HDUCLAS3"] == ("REDIST" if agree else "FULL")
    if "SPECRESP" in result:
        exposure = np.array([part["SPECTRUM"].header["EXPOSURE"] for part in parts])
        mean = exposure @ [part["SPECRESP"].data["SPECRESP"] for part in parts] / exposure.sum()
        np.testing.assert_allclose(result["SPECRESP"].data["SPECRESP"], mean if agree else 1.0, rtol=1e-9)
        assert result["SPECRESP"].columns["SPECRESP"].unit == ("cm**2" if agree else None)


@given(random_parts(), st.randoms(use_true_random=False))
@settings(max_examples=6, deadline=None)
def test_order_and_brackets_do_not_matter(parts, random):
    whole = combine_spectra(parts)
    shuffled = random.sample(parts, len(parts))
    same(combine_spectra(shuffled), whole)
    cut = random.randint(1, len(parts) - 1)
    # without science windows, what interleaves may be the same data
    nested = combine_spectra([combine_spectra(shuffled[:cut]), combine_spectra(shuffled[cut:])], overlap=True)
    same(nested, whole, rtol=2e-6)
    assert nested[0].header["NJOBS"] == len(parts)


@given(random_parts(counts=True), st.randoms(use_true_random=False))
@settings(max_examples=5, deadline=None)
def test_counts_are_added(parts, random):
    result = combine_spectra(parts)
    columns = [part["SPECTRUM"].data for part in parts]
    good = np.array([each["QUALITY"] == 0 for each in columns])
    known = good.any(axis=0)
    counts = (good * np.array([each["COUNTS"] for each in columns])).sum(axis=0)
    np.testing.assert_array_equal(result["SPECTRUM"].data["COUNTS"][known], counts[known])
    assert result["SPECTRUM"].columns["COUNTS"].format == "J"
    exposures = np.array([part["SPECTRUM"].header["EXPOSURE"] for part in parts])
    models = np.array([folded(part, PHOTONS) for part in parts]) * exposures[:, np.newaxis]
    expected = (good * models).sum(axis=0)
    total = folded(result, PHOTONS) * result["SPECTRUM"].header["EXPOSURE"]
    np.testing.assert_allclose(total[known], expected[known], rtol=1e-6)
    cut = random.randint(1, len(parts) - 1)
    same(combine_spectra([combine_spectra(parts[:cut]), combine_spectra(parts[cut:])]), result, rtol=2e-6)


@given(random_parts(), st.randoms(use_true_random=False))
@settings(max_examples=5, deadline=None)
def test_weights_by_variance(parts, random):
    good = np.array([part["SPECTRUM"].data["QUALITY"] == 0 for part in parts])
    parts = [part for part, any_good in zip(parts, good.any(axis=1), strict=True) if any_good]
    if len(parts) < 2:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = combine_spectra(parts, weights="variance")
    columns = [part["SPECTRUM"].data for part in parts]
    good = np.array([each["QUALITY"] == 0 for each in columns])
    weights = [1 / np.median(each["STAT_ERR"][ok]) ** 2 for each, ok in zip(columns, good, strict=True)]
    weight = good * np.array(weights)[:, np.newaxis]
    known = good.any(axis=0)
    with np.errstate(invalid="ignore"):
        rate = (weight * [each["RATE"] for each in columns]).sum(axis=0) / weight.sum(axis=0)
        model = (weight * [folded(part, PHOTONS) for part in parts]).sum(axis=0) / weight.sum(axis=0)
    np.testing.assert_allclose(result["SPECTRUM"].data["RATE"][known], rate[known], rtol=1e-9)
    np.testing.assert_allclose(folded(result, PHOTONS)[known], model[known], rtol=1e-6)
    np.testing.assert_allclose(result["INPUTS"].data["WEIGHT"][:, 0], weights)
    cut = random.randint(1, len(parts) - 1)
    nested = [combine_spectra(some, weights="variance") for some in (parts[:cut], parts[cut:])]
    same(combine_spectra(nested, weights="variance"), result, rtol=2e-6)


@pytest.mark.parametrize("form", ["dense", "groups", "variable"])
def test_a_part_alone(form):
    part = simple(form=form, quality=[0, 2, 0, 0, 5, 0, 0], names=("B", "A"))
    part["SPECTRUM"].data["RATE"][1] = np.nan
    result = combine_spectra([part])
    assert [(hdu.name, hdu.ver) for hdu in result if hdu.name != "INPUTS"] == [(hdu.name, hdu.ver) for hdu in part]
    for hdu in part[1:]:
        for name in hdu.columns.names:
            ours, theirs = result[hdu.name, hdu.ver].data[name], hdu.data[name]
            if theirs.dtype.kind in "OU":
                assert all(np.array_equal(*pair) for pair in zip(ours, theirs, strict=True))
            else:
                np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        assert result[hdu.name, hdu.ver].columns.formats == hdu.columns.formats
        changed = {key for key, value in hdu.header.items() if result[hdu.name, hdu.ver].header.get(key) != value}
        assert not changed


def test_repetition():
    part = simple()
    with pytest.raises(ParameterError, match="same time.*overlap=True"):
        combine_spectra([part, part])
    result = combine_spectra([part] * 2, overlap=True)
    np.testing.assert_allclose(result["SPECTRUM"].data["RATE"], part["SPECTRUM"].data["RATE"], rtol=1e-12)
    np.testing.assert_allclose(result["SPECTRUM"].data["STAT_ERR"] * 2**0.5, part["SPECTRUM"].data["STAT_ERR"])
    assert result["SPECTRUM"].header["EXPOSURE"] == 2 * SECONDS


# ---- QUALITY


def test_channels_without_rate_or_error_do_not_count():
    parts = [simple(start=float(number), seed=number) for number in range(3)]
    one, two = (part["SPECTRUM"].data for part in parts[:2])
    one["RATE"][0], one["STAT_ERR"][1], two["STAT_ERR"][1], two["STAT_ERR"][2] = np.nan, 0, np.inf, -1
    result = combine_spectra(parts)["SPECTRUM"].data
    rates = np.array([part["SPECTRUM"].data["RATE"] for part in parts])
    expected = [rates[1:, 0].mean(), rates[2, 1], rates[[0, 2], 2].mean(), rates[:, 3].mean()]
    np.testing.assert_allclose(result["RATE"][:4], expected)
    assert not result["QUALITY"].any()
    np.testing.assert_allclose(result["WEIGHT"], SECONDS * np.array([2, 1, 2, 3, 3, 3, 3]))


def test_channels_bad_in_all_parts_stay_bad():
    qualities = ([0, 2, 2, 0, 0, 0, 0], [0, 5, 0, 0, 0, 0, 0])
    parts = [simple(start=float(number), quality=quality) for number, quality in enumerate(qualities)]
    assert combine_spectra(parts)["SPECTRUM"].data["QUALITY"].tolist() == [0, 5, 0, 0, 0, 0, 0]


# ---- which sources


def test_sources_are_found_by_name():
    parts = [
        simple(0, ("Ser X-1", "4U 1823-00")),
        simple(1, ("SER_X-1", "New 2"), seed=1),
        simple(2, ("ser x-1",), seed=2),
    ]
    with pytest.warns(InputWarning, match="missing in some of 3 parts: 4U 1823-00.*New 2") as records:
        result = combine_spectra(parts)
    assert len(records) == 1
    assert "33% of the exposure" in str(records[0].message)
    assert "Ser" not in str(records[0].message)
    assert sorted(result["SOURCES"].data["SRC_NAME"]) == ["4U 1823-00", "New 2", "SER_X-1"]
    assert result[-1].name == "SOURCES"
    headers = {hdu.header["SRC_NAME"]: hdu.header for hdu in result if hdu.name == "SPECTRUM"}
    assert (headers["SER_X-1"]["NJOBS_S"], headers["SER_X-1"]["EXPFRAC"]) == (3, 1)
    assert headers["New 2"]["NJOBS_S"] == 1
    assert headers["New 2"]["EXPFRAC"] == pytest.approx(1 / 3)
    assert all(len(keyword) <= 8 for hdu in result for keyword in hdu.header)
    # in sums of sums, too
    with pytest.warns(InputWarning, match="missing"):
        inner = combine_spectra(parts[:2])
    with pytest.warns(InputWarning, match="33% of the exposure"):
        nested = combine_spectra([parts[2], inner])
    for hdu in nested:
        if hdu.name == "SPECTRUM" and hdu.header["SRC_NAME"] != "ser x-1":
            assert hdu.header["EXPFRAC"] == pytest.approx(
                headers.get(hdu.header["SRC_NAME"], {"EXPFRAC": 1})["EXPFRAC"]
            )


def test_order_of_sources_does_not_depend_on_that_of_parts():
    parts = [simple(0, ("X", "Y")), simple(1, ("X", "Z"), seed=1)]
    with pytest.warns(InputWarning, match="missing"):
        one, other = combine_spectra(parts), combine_spectra(parts[::-1])
    same(one, other)


def test_two_spectra_of_one_name():
    hdus = simple(0, ("NEW", "Crab"))
    more = simple(0, ("NEW",), seed=3)
    for hdu in more[1:-1]:
        hdu.ver = 3
    part = fits.HDUList([*hdus[:-1], *more[1:-1], hdus[-1]])
    with pytest.warns(InputWarning, match="several spectra of that name: NEW"):
        result = combine_spectra([part, simple(1, ("NEW", "Crab"))])
    assert result["SOURCES"].data["SRC_NAME"].tolist() == ["Crab"]


def test_empty_parts():
    parts = [fits.HDUList([fits.PrimaryHDU()]), simple(0), simple(1, seed=1)]
    parts[0][0].header["JOB_ID"] = "abc"
    with pytest.warns(InputWarning, match="without any spectrum: 0 of 3") as records:
        result = combine_spectra(parts)
    assert len(records) == 1
    assert result[0].header["NJOBS"] == 3
    assert result["SPECTRUM"].header["NJOBS_S"] == 2
    assert result["INPUTS"].data["WEIGHT"][:, 0].tolist() == [0, SECONDS, SECONDS]
    with pytest.raises(ParameterError, match="nothing to sum: none of 1"):
        combine_spectra(parts[:1])
    with pytest.raises(ParameterError, match="nothing to sum"):
        combine_spectra([])


def test_a_source_without_exposure_counts_as_missing():
    parts = [simple(0), simple(1, exposure=0.0)]
    with pytest.warns(InputWarning, match="without any spectrum: 1 of 2"):
        result = combine_spectra(parts)
    assert result["SPECTRUM"].header["NJOBS_S"] == 1
    del parts[1]["SPECTRUM"].header["EXPOSURE"]
    with pytest.raises(ParameterError, match="part 1, spectrum of 'Crab': it has no EXPOSURE"):
        combine_spectra(parts)


# ---- what must not be summed


def changed(part, role, column=None, factor=1.0, **cards):
    """A part with another column or other cards in a table."""
    hdu = part[role]
    hdu.header.update(cards)
    if column:
        hdu.data[column] = hdu.data[column] * factor
    return part


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: changed(simple(1), "SPECTRUM", DETNAM="PICSIT"), "DETNAM 'PICSIT'"),
        (lambda: changed(simple(1), "SPECTRUM", INSTRUME="JMX2"), "INSTRUME 'JMX2'"),
        (lambda: changed(simple(1), "EBOUNDS", "E_MIN", 1.01), "part 1, spectrum of 'Crab'.*other energies"),
        (lambda: changed(simple(1), "SPECRESP", "ENERG_LO", 1.01), "another grid of energies"),
        (lambda: changed(simple(1), "MATRIX", "ENERG_HI", 1.01), "another grid of energies"),
        (lambda: changed(simple(1), "SPECTRUM", AREASCAL=2.0), "AREASCAL"),
        (lambda: fits.HDUList([hdu for hdu in simple(1) if hdu.name != "SPECRESP"]), "no SPECRESP"),
        (lambda: fits.HDUList([hdu for hdu in simple(1) if hdu.name != "MATRIX"]), "no MATRIX"),
        (lambda: fits.HDUList([hdu for hdu in simple(1) if hdu.name != "EBOUNDS"]), "no EBOUNDS"),
        (lambda: (1, ParameterError("too far")), "part 1 is the error of a query that failed.*too far"),
        (lambda: "spectra.fits", "part 1 is not of type HDUList"),
        (
            lambda: fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(name="SIGNIFICANCE")]),
            "no SPECTRUM, but SIGNIFICANCE",
        ),
    ],
)
def test_what_differs_is_refused(other, message):
    with pytest.raises(ParameterError, match=message):
        combine_spectra([simple(0), other()])


def test_other_channels_are_refused():
    part = simple(1)
    rows = part["SPECTRUM"].data[:-1]
    part["SPECTRUM"].data = rows
    with pytest.raises(ParameterError, match="other channels"):
        combine_spectra([simple(0), part])


def test_rates_and_counts_are_refused():
    part = simple(1)
    spectrum = spectrum_hdu(None, np.ones(CHANNELS), counts=np.arange(CHANNELS), start=1.0, SRC_NAME="Crab")
    other = fits.HDUList([spectrum if hdu.name == "SPECTRUM" else hdu for hdu in part])
    with pytest.raises(ParameterError, match="counts, unlike those before"):
        combine_spectra([simple(0), other])
    with pytest.raises(ParameterError, match='in counts, which are added: use weights="exposure"'):
        combine_spectra([other], weights="variance")


def test_other_units_of_rates():
    part = simple(1)
    part["SPECTRUM"].columns["RATE"].unit = "erg/s"
    with pytest.raises(DecodingError, match="part 1, spectrum of 'Crab'.*erg/s"):
        combine_spectra([simple(0), part])
    part = simple(1)
    for name in ("RATE", "STAT_ERR"):
        part["SPECTRUM"].data[name] *= 60
        part["SPECTRUM"].columns[name].unit = "count/min"
    same(combine_spectra([part, simple(0)]), combine_spectra([simple(0), simple(1)]))


def test_osa_versions_and_windows():
    def part(start, **parameters):
        made = simple(start)
        for name, value in parameters.items():
            made[0].header["HISTORY"] = f"MMODA parameter {name} = {value}"
        return made

    with pytest.raises(ParameterError, match=r"osa_version 'OSA11.2'"):
        combine_spectra([part(0, osa_version="OSA10.2"), part(1, osa_version="OSA11.2")])
    shared = part(0, scw_list="066500220010.001"), part(1, scw_list="066500220010.001,066500230010.001")
    with pytest.raises(ParameterError, match=r"part 0 and part 1 both hold the science window 066500220010"):
        combine_spectra(shared)
    result = combine_spectra(shared, overlap=True)
    assert result["INPUTS"].data["WINDOWS"].tolist() == ["066500220010.001", "066500220010.001,066500230010.001"]
    again = combine_spectra([part(0, osa_version="OSA11.2"), part(1, osa_version="OSA11.2")])
    with pytest.raises(ParameterError, match=r"osa_version"):
        combine_spectra([again, part(2, osa_version="OSA10.2")])


def test_detectors_after_an_empty_part():
    parts = [fits.HDUList([fits.PrimaryHDU()]), simple(0), changed(simple(1), "SPECTRUM", DETNAM="PICSIT")]
    with pytest.raises(ParameterError, match="DETNAM"):
        combine_spectra(parts)


def test_flux_points_are_refused(recorded):
    table = Table({"Emean": [1.0, 2.0], "Flux": [1.0, 0.5]})
    hdu = fits.BinTableHDU(table, name="SPECTRUM")
    hdu.header.update(AXISCOL="Emean", VALCOL="Flux", SRC_NAME="Crab")
    with pytest.raises(ParameterError, match="part 0 has flux points.*no exposure and no response"):
        combine_spectra([fits.HDUList([fits.PrimaryHDU(), hdu])])


@pytest.mark.parametrize("wrong", [{"weights": "snr"}, {"weights": None}])
def test_wrong_options(wrong):
    with pytest.raises(ParameterError, match="weights=.*exposure, variance"):
        combine_spectra([simple()], **wrong)


def test_pairs_of_query_many():
    pairs = combine_spectra((number, simple(number)) for number in range(2))
    assert pairs[0].header["NJOBS"] == combine_spectra([simple(0), simple(1)])[0].header["NJOBS"]


@pytest.mark.parametrize("wrong", [lambda: simple(), lambda: "a.fits", lambda: 3, lambda: None])
def test_not_a_list_of_spectra(wrong):
    with pytest.raises(ParameterError, match="list, or another iterable, of HDULists"):
        combine_spectra(wrong())


def test_what_query_many_gives():
    parts = [simple(0), simple(1)]
    same(combine_spectra(iter(enumerate(parts))), combine_spectra(parts))
    with pytest.raises(ParameterError, match="part 1 is the error of a query that failed; leave it out: no"):
        combine_spectra([(0, parts[0]), (1, ValueError("no"))])


def with_inputs(table):
    return fits.HDUList([*simple(), table])


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (fits.HDUList, "part 1 is an HDUList without any HDU"),
        (lambda: with_inputs(fits.BinTableHDU(Table({"JOB_ID": ["a"]}), name="INPUTS")), "part 1: malformed"),
        (lambda: with_inputs(fits.ImageHDU(np.zeros((2, 2)), name="INPUTS")), "part 1: malformed"),
    ],
)
def test_malformed_parts(wrong, match):
    with pytest.raises((ParameterError, DecodingError), match=match):
        combine_spectra([simple(), wrong()], overlap=True)


def test_no_matrix_at_all():
    parts = [fits.HDUList([hdu for hdu in simple(start) if hdu.name not in ("MATRIX", "SPECRESP")]) for start in (0, 1)]
    with pytest.warns(InputWarning, match="no MATRIX.*Crab"):
        result = combine_spectra(parts)
    assert [hdu.name for hdu in result[1:]] == ["SPECTRUM", "EBOUNDS", "INPUTS", "SOURCES"]


@pytest.mark.parametrize(
    ("column", "value"), [("N_CHAN", 30000), ("N_CHAN", -3), ("F_CHAN", 30000), ("F_CHAN", -2), ("N_GRP", 5)]
)
@pytest.mark.parametrize("form", ["dense", "groups", "variable"])
def test_malformed_matrices(form, column, value):
    part, other = simple(form=form), simple(1, form=form, quality=[0, 0, 2, 0, 0, 0, 0])
    other["MATRIX"].data[column][3] = value
    if column == "N_GRP":  # more than there are: as if it were all of them
        return same(
            combine_spectra([part, other]), combine_spectra([part, simple(1, form=form, quality=[0, 0, 2, 0, 0, 0, 0])])
        )
    warnings.simplefilter("ignore")  # of the numbering
    with pytest.raises((DecodingError, ParameterError), match="part 1, spectrum of 'Crab'"):
        combine_spectra([part, other])
    return None


def test_channels_that_are_only_declared_take_no_memory():
    part, other = simple(form="variable"), simple(1, form="variable", quality=[0, 0, 2, 0, 0, 0, 0])
    for each in (part, other):
        each["EBOUNDS"].header["DETCHANS"] = each["SPECTRUM"].header["DETCHANS"] = 2_000_000_000
    with pytest.raises(DecodingError, match="memory"):
        combine_spectra([part, other])


# ---- headers, inputs, other forms


def test_headers_and_inputs():
    parts = [simple(float(start), exposure=1000.0 + start, REVOL=start, CREATOR="x") for start in range(3)]
    for number, part in enumerate(parts):
        part[0].header["JOB_ID"], part[0].header["ORIGIN"] = f"job{number}", "MMODA"
        part["SPECTRUM"].header["DATE-OBS"] = f"2019-03-0{number + 1}T00:00:00"
        part["SPECTRUM"].header["EXP_SRC"] = 10.0
    result = combine_spectra(parts)
    header = result["SPECTRUM"].header
    assert (header["EXPOSURE"], header["ONTIME"], header["EXP_SRC"]) == (3003, 6006, 30)
    assert (header["TSTART"], header["TSTOP"], header["TELAPSE"] if "TELAPSE" in header else None) == (
        7000,
        7002.5,
        None,
    )
    assert header["DATE-OBS"] == "2019-03-01T00:00:00"
    assert header["CREATOR"] == "x"
    assert "REVOL" not in header
    assert "JOB_ID" not in result[0].header
    assert (result[0].header["NJOBS"], result[0].header["NFAILED"], result[0].header["ORIGIN"]) == (3, 0, "MMODA")
    inputs = result["INPUTS"].data
    assert inputs["JOB_ID"].tolist() == ["job0", "job1", "job2"]
    np.testing.assert_allclose(inputs["EXPOSURE"], [1000, 1001, 1002])
    np.testing.assert_allclose(inputs["WEIGHT"][:, 0], [1000, 1001, 1002])
    np.testing.assert_allclose(inputs["START"], 58544 + np.arange(3))
    assert result["INPUTS"].columns["EXPOSURE"].unit == "s"
    parts[0]["SPECTRUM"].header["TELAPSE"] = parts[1]["SPECTRUM"].header["TELAPSE"] = 43200.0
    assert combine_spectra(parts[:2])["SPECTRUM"].header["TELAPSE"] == pytest.approx(1.5 * 86400)


def test_long_spans_of_isgri_are_reported():
    with pytest.warns(InputWarning, match="200 days"):
        result = combine_spectra([simple(0), simple(200)])
    assert result[0].header["SPANDAYS"] == 200.5


@pytest.mark.parametrize("form", ["dense", "groups", "variable"])
@pytest.mark.parametrize("quality", [None, [0, 0, 2, 0, 0, 0, 0]])
@pytest.mark.parametrize("first", [0, 1])
def test_files(tmp_path, form, quality, first):
    parts = [simple(0, form=form, first=first), simple(1, form=form, seed=1, quality=quality, first=first)]
    result = combine_spectra(parts)
    manifest = write_spectra(result, tmp_path / "out")
    assert list(manifest["kind"]) == ["spectrum", "arf", "rmf"]
    if form != "groups" or quality:  # it knows one group in a row only
        rates = like.folded(tmp_path / "out" / "Crab_pha.fits", PHOTONS)[0]
        np.testing.assert_allclose(rates, folded(result, PHOTONS), rtol=1e-6)
    table = spectrum_table(result)
    np.testing.assert_allclose(table["rate"], result["SPECTRUM"].data["RATE"] / 20, rtol=1e-6)
    buffer = io.BytesIO()
    result.writeto(buffer)
    with fits.open(io.BytesIO(buffer.getvalue()), checksum=True) as opened:
        opened.verify("exception")
        same(combine_spectra([opened]), combine_spectra([result]))
    # files that are closed when the next one is read
    for number, part in enumerate(parts):
        part.writeto(tmp_path / f"{number}.fits")

    def read():
        for number in range(2):
            with fits.open(tmp_path / f"{number}.fits") as hdulist:
                yield hdulist

    same(combine_spectra(read()), result)


def test_picture():
    pytest.importorskip("matplotlib")
    from astroquery_mmoda.plotting import plot_spectrum

    axes = plot_spectrum(combine_spectra([simple(0), simple(1)]))
    assert axes.get_xlim()[0] < E_MIN[0] + 20


def test_inputs_stay_as_they_are():
    parts = [simple(0), simple(1, seed=1, quality=[0, 1, 0, 0, 0, 0, 0])]
    before = [[hdu.data.copy() if hdu.data is not None else None for hdu in part] for part in parts]
    headers = [[hdu.header.copy() for hdu in part] for part in parts]
    combine_spectra(parts)["SPECTRUM"].data["RATE"][:] = -1
    for part, data, cards in zip(parts, before, headers, strict=True):
        for hdu, values, header in zip(part[1:], data[1:], cards[1:], strict=True):
            assert repr(hdu.header) == repr(header)
            for name in hdu.columns.names:
                np.testing.assert_array_equal(hdu.data[name], values[name])


def test_memory_does_not_grow_with_the_number_of_parts():
    energies = np.geomspace(10, 1000, 401)
    rng = np.random.default_rng(1)

    def part(number):
        columns = [
            *(fits.Column(name, "E", "keV", array=array) for name, array in (("ENERG_LO", energies[:-1]), ("ENERG_HI", energies[1:]))),
            *(fits.Column(name, "I", array=np.full(400, value)) for name, value in (("N_GRP", 1), ("F_CHAN", 0), ("N_CHAN", CHANNELS))),
            fits.Column("MATRIX", f"{CHANNELS}E", array=rng.random((400, CHANNELS))),
        ]  # fmt: skip
        matrix = fits.BinTableHDU.from_columns(columns, name="MATRIX")
        spectrum = spectrum_hdu(np.ones(CHANNELS), np.ones(CHANNELS), start=float(number))
        return listed({f"S{source}": [spectrum.copy(), bounds_hdu(), matrix.copy()] for source in range(2)})

    def peak(count):
        tracemalloc.start()
        combine_spectra(part(number) for number in range(count))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    assert peak(8) < 1.3 * peak(3)


# ---- files that are not ours


@pytest.fixture(params=["isgri", "jemx"])
def genuine_spectra(genuine, request):
    """Spectra of the service, as their reply gives them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Products.from_response(
            gzip.open(genuine / "replies" / f"{request.param}_spectrum.json.gz").read()
        ).spectrum()


@pytest.mark.filterwarnings("ignore:The sum reaches over")
def test_genuine_spectra_with_themselves(genuine_spectra, tmp_path):
    result = combine_spectra([genuine_spectra] * 3, overlap=True)
    for hdu in genuine_spectra[1:-1]:
        for name in hdu.columns.names:
            values, factor = result[hdu.name].data[name], 3**-0.5 if name == "STAT_ERR" else 1
            np.testing.assert_allclose(np.squeeze(values), np.squeeze(hdu.data[name]) * factor, rtol=1e-6, err_msg=name)
    header, original = result["SPECTRUM"].header, genuine_spectra["SPECTRUM"].header
    for key in ("EXPOSURE", "ONTIME", "EXP_SRC"):
        assert header.get(key) == (pytest.approx(3 * original[key]) if key in original else None)
    write_spectra(result, tmp_path / "out")


@pytest.mark.filterwarnings("ignore:The sum reaches over")
@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("bad", [False, True])
def test_genuine_fold_of_isgri(genuine, tmp_path, bad):
    products = Products.from_response(gzip.open(genuine / "replies" / "isgri_spectrum.json.gz").read())
    one, two = products.spectrum(), products.spectrum()
    if bad:
        two["SPECTRUM"].data["QUALITY"][20:30] = 1
    path = (
        tmp_path
        / "out"
        / write_spectra(combine_spectra([one, two], overlap=True), tmp_path / "out")["path"][0].split("/")[-1]
    )
    low, high = (np.asarray(one["MATRIX"].data[name], dtype=float) for name in ("ENERG_LO", "ENERG_HI"))
    rates, _ = like.folded(path, 10 / 1.1 * (low**-1.1 - high**-1.1))
    assert rates.sum() == pytest.approx(366.05090633, rel=1e-6)
