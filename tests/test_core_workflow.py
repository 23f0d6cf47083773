"""JEM-X and a workflow on the released dispatcher, against the known sky of the local service."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from astroquery_mmoda import errors, spectrum_table
from tests.local_mmoda import sky

TIMES = (58209.0, 58211.0)
WINDOWS = sky.spread(*(Time(TIMES, format="mjd", scale="utc").tt.mjd - sky.MJDREF), 8)
PERIODS = sky.periods(WINDOWS)
FIELD = {
    "coordinates": "MAXI J1820+070",
    "radius": 4.3 * u.deg,
    "time_range": TIMES,
    "energy_range": (3, 20) * u.keV,
    "scw_list": WINDOWS,
    "jemx_num": 1,
}
CENTRE = sky.source("MAXI J1820+070")
NIGHT = (59861.5, 59862.25)
BLAZAR = {"coordinates": SkyCoord(166.113808, 38.208833, unit="deg"), "src_name": "Mrk 421", "time_range": NIGHT}


# ---- JEM-X


@pytest.fixture(scope="module")
def sources(mmoda):
    return mmoda.query_catalog("jemx", **FIELD)


@pytest.fixture(scope="module")
def chosen(sources):
    return sources[[name in (CENTRE.name, "NEW_1") for name in sources["src_names"]]]


def test_xray_image(mmoda):
    mosaic = mmoda.query_image("jemx", **FIELD)
    assert isinstance(mosaic, fits.HDUList)
    names = ["PRIMARY", "GROUPING", "INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE", "CATALOG"]
    assert [hdu.name for hdu in mosaic] == names
    header = mosaic["SIGNIFICANCE"].header
    assert (header["E_MIN"], header["E_MAX"], header["ORIGNAME"]) == (3, 20, "JMX1-SKY.-IMA")
    expected = sky.JEMX.significance(CENTRE, PERIODS, ra=CENTRE.ra, dec=CENTRE.dec, low=3, high=20)
    assert (mosaic["INTENSITY"].header["IMATYPE"], mosaic["INTENSITY"].header["ORIGNAME"]) == (
        "RECONSTRUCTED",
        "JMX1-SKY.-IMA",
    )
    assert u.Unit(mosaic["INTENSITY"].header["BUNIT"]) == u.ct / u.dm**2 / u.s
    # the source may lie between four pixels
    assert 0.7 * expected < np.nanmax(mosaic["SIGNIFICANCE"].data) < 1.05 * expected


def test_xray_catalogue_tells_new_sources_by_their_names_only(sources):
    assert isinstance(sources, Table)
    assert sources.colnames == ["meta_ID", "src_names", "significance", "ra", "dec", "FLAG", "ERR_RAD"]
    assert {CENTRE.name, "NEW_1"} <= set(sources["src_names"])
    row = sources[list(sources["src_names"]).index(CENTRE.name)]
    assert sky.separation(row["ra"], row["dec"], CENTRE.ra, CENTRE.dec) < 0.002


@pytest.mark.parametrize("number", [1, 2])
def test_xray_spectra(mmoda, chosen, number):
    spectra = mmoda.query_spectrum("jemx", **{**FIELD, "jemx_num": number}, catalog=chosen)
    assert spectra["SOURCES"].data["SRC_NAME"].tolist() == ["MAXI J1820+070", "NEW_1"]
    assert [hdu.name for hdu in spectra[1:5]] == ["SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX"]
    assert spectra["SPECTRUM", 1].header["ORIGNAME"] == f"JMX{number}-PHA1-SPE"
    # that of the ARF, not one of those inside of the RMF, which are the same number of dm**2
    area = spectra["SPECRESP", 1]
    np.testing.assert_allclose(area.data["SPECRESP"], sky.JEMX.effective_area, rtol=1e-6)
    assert u.Unit(area.columns["SPECRESP"].unit) == u.cm**2
    np.testing.assert_allclose(spectra["MATRIX", 1].data["MATRIX"], sky.JEMX.redistribution, rtol=1e-6)
    # the service counts from 1 in spectrum and matrix, and from 0 in EBOUNDS: place by place they are the same
    places = [
        spectra[name, 1].data[column].ravel()[0] - spectra[name, 1].header[f"TLMIN{index}"]
        for name, column, index in (("SPECTRUM", "CHANNEL", 1), ("EBOUNDS", "CHANNEL", 1), ("MATRIX", "F_CHAN", 4))
    ]
    assert places == [0, 0, 0]

    table = spectrum_table(spectra, CENTRE.name)
    np.testing.assert_allclose(table["e_min"], sky.JEMX.channel_lo, rtol=1e-6)
    expected = sky.JEMX.channel_rates(CENTRE) * sky.mean_factor(CENTRE, PERIODS)
    expected /= sky.JEMX.channel_hi - sky.JEMX.channel_lo
    deviations = (np.asarray(table["rate"]) - expected) / np.asarray(table["error"])
    assert abs(np.sum(deviations**2) - len(table)) < 4.5 * np.sqrt(2 * len(table))


def test_xray_light_curves(mmoda, chosen):
    curve = mmoda.query_lightcurve("jemx", **FIELD, catalog=chosen, time_bin=500 * u.s)
    first = ["src_name", "time", "time_bin", "e_min", "e_max"]
    assert curve.colnames == [*first, "RATE", "ERROR", "BRATE", "BERROR", "BARYTIME", "FRACEXP"]
    assert set(curve["src_name"]) == {CENTRE.name, "NEW_1"}
    assert curve["time"].scale == "tt"
    np.testing.assert_allclose(curve["time_bin"], 500)
    assert (set(curve["e_min"]), set(curve["e_max"])) == ({3}, {20})
    rows = curve[curve["src_name"] == CENTRE.name]
    rows = rows[~np.ma.getmaskarray(rows["RATE"])]
    expected = sky.JEMX.band_rate(CENTRE, 3, 20) * CENTRE.variability.factor(rows["time"].mjd - sky.MJDREF)
    deviations = (np.asarray(rows["RATE"]) - expected) / np.asarray(rows["ERROR"])
    assert abs(np.sum(deviations**2) - len(rows)) < 4.5 * np.sqrt(2 * len(rows))


def test_xray_limits(mmoda):
    with pytest.raises(errors.ParameterError, match="energy range"):
        mmoda.query_image("jemx", **{**FIELD, "energy_range": (2, 20) * u.keV})
    with pytest.raises(errors.ParameterError, match="jemx_num"):
        mmoda.query_image("jemx", **{**FIELD, "jemx_num": 3})


def test_all_xray_reports_are_kept(mmoda):
    job = mmoda.submit_image("jemx", **FIELD, src_name="a job of its own")
    job.wait()
    assert {"main starting", "restored from cache", "main done"} <= set(job.messages["message"])


# ---- what a workflow offers


def test_products_of_a_workflow(mmoda):
    products = mmoda.list_products("workflow")
    kinds = dict(zip(products["product"], products["kind"], strict=True))
    assert list(kinds) == ["everything", "lightcurve", "tables"]
    assert kinds["lightcurve"] == "lightcurve"


def test_parameters_of_a_workflow(mmoda):
    def rows(product):
        return {row["name"]: row for row in mmoda.list_parameters("workflow", product)}

    curve, everything = rows("lightcurve"), rows("everything")
    types = {name: row["type"] for name, row in {**curve, **everything}.items()}
    assert types == {
        "RA": "angle",
        "DEC": "angle",
        "src_name": "string",
        "T1": "time",
        "T2": "time",
        "nbins": "integer",
        "band": "string",
        "source": "string",
        "flag": "boolean",
        "cfg": "structured",
        "scale": "float",
        "opt": "float",
        "when": "time",
    }
    assert (curve["nbins"]["min"], curve["nbins"]["max"]) == (2, 1000)
    assert curve["nbins"]["description"] == "Number of bins - how many bins to make"
    assert (curve["band"]["choices"], curve["source"]["choices"]) == ("g, i, r", "archive, simulation")
    assert everything["scale"]["min"] == 0.1
    assert {name for name, row in everything.items() if not row["optional"]} == {"T1", "T2"}


# ---- light curves of a workflow


def test_times_in_mjd_become_tt(mmoda):
    """The workflow writes MJD in UTC, without saying so; a Table has real times."""
    curve = mmoda.query_lightcurve("workflow", **BLAZAR, nbins=20, band="r")
    days, flux = sky.workflow_light_curve(*NIGHT, 20, "archive", "r")
    assert isinstance(curve["time"], Time)
    assert (curve["time"].scale, curve["time"].format) == ("tt", "mjd")
    expected = Time(days, format="mjd", scale="utc")
    assert np.max(np.abs((curve["time"] - expected).to_value(u.ms))) < 0.01
    # leap seconds and 32.184 s
    np.testing.assert_allclose((curve["time"].mjd - days) * 86400, 69.184, atol=1e-3)
    np.testing.assert_allclose(curve["FLUX"], flux)
    assert curve["FLUX"].unit == curve["ERROR"].unit == u.erg / u.s / u.cm**2
    assert set(curve["src_name"]) == {"Mrk 421"}


def fluxes(curve):
    """Which value of the parameter `source` a light curve was made with."""
    (made,) = (
        name
        for name in sky.WORKFLOW_FLUX
        if np.allclose(curve["FLUX"], sky.workflow_light_curve(*NIGHT, len(curve), name, "g")[1], rtol=1e-6, atol=0)
    )
    return made


@pytest.mark.parametrize("chosen", ["archive", "simulation"])
def test_a_parameter_called_source_is_not_the_keyword(mmoda, chosen):
    curve = mmoda.query_lightcurve("workflow", **BLAZAR, parameters={"source": chosen})
    assert fluxes(curve) == chosen
    both = mmoda.query_lightcurve("workflow", **BLAZAR, source="mrk421", parameters={"source": chosen})
    assert fluxes(both) == chosen


def test_the_keyword_source_is_not_the_parameter(mmoda):
    assert fluxes(mmoda.query_lightcurve("workflow", **BLAZAR, source="Mrk 421")) == "archive"
    with pytest.raises(errors.ParameterError, match="Mrk 421"):
        mmoda.query_lightcurve("workflow", **BLAZAR, source="simulation")
    payload = mmoda.query_lightcurve("workflow", **BLAZAR, source="simulation", get_query_payload=True)
    assert payload.get("source", "archive") == "archive"
    payload = mmoda.submit_product(
        "workflow", product="tables", **BLAZAR, parameters={"source": "simulation"}, get_query_payload=True
    )
    assert payload["source"] == "simulation"


def test_remarks_of_a_workflow(mmoda):
    products = mmoda.query_product("workflow", product="lightcurve", **BLAZAR)
    assert products.comment == sky.WORKFLOW_COMMENT
    assert [(product.name, product.kind, product.source) for product in products] == [
        ("Mrk 421 lc", "lightcurve", "Mrk 421")
    ]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"nbins": 1}, "nbins"),
        ({"nbins": 1001}, "nbins"),
        ({"nbins": 2.5}, "nbins"),
        ({"band": "z"}, "band.*g"),
        ({"parameters": {"source": "Crab"}}, "source.*archive"),
        ({"product": "everything", "scale": 0}, "scale"),
        ({"product": "everything", "scale": None}, "scale"),
        ({"product": "everything", "flag": "perhaps"}, "flag"),
        ({"product": "everything", "opt": "many"}, "opt"),
    ],
)
def test_mistakes_in_parameters_of_a_workflow(mmoda, wrong, says):
    with pytest.raises(errors.ParameterError, match=says):
        mmoda.submit_lightcurve("workflow", **BLAZAR, **wrong, get_query_payload=True)


# ---- everything else that a workflow returns


@pytest.fixture(scope="module")
def everything(mmoda):
    return mmoda.query_product(
        "workflow",
        product="everything",
        **BLAZAR,
        flag=False,
        cfg={"b": [1, None]},
        scale=3,
        opt=None,
        when=Time("2020-01-01T00:00:00", scale="utc"),
        parameters={"source": "simulation"},
    )


KINDS = {
    "Mrk 421 lc": "lightcurve",
    "Mrk 421 lc_2": "lightcurve",
    "my spectrum": "spectrum",
    "cat": "table",
    "raw.bin": "binary",
    "plot": "picture",
    "plot_2": "picture",
    "text": "text",
    "number": "text",
    "asked": "text",
}


def test_names_and_kinds(everything):
    assert {product.name: product.kind for product in everything} == KINDS
    assert len(everything) == len(KINDS)
    assert {product.name: product.source for product in everything} == {
        name: "Crab" if name == "my spectrum" else "Mrk 421" for name in KINDS
    }
    assert [product.name for product in everything.select(kind="picture")] == ["plot", "plot_2"]
    assert everything.table["name"].tolist() == [product.name for product in everything]


def test_two_light_curves_of_one_name(everything):
    curve = everything.lightcurve()
    time, flux = zip(*(sky.workflow_light_curve(*NIGHT, 12, "simulation", band) for band in "gr"), strict=True)
    np.testing.assert_allclose(curve["FLUX"], np.concatenate(flux))
    np.testing.assert_allclose(curve["time"].utc.mjd, np.concatenate(time), rtol=0, atol=1e-9)


def test_a_table_of_its_own_making(everything):
    (hdu,) = everything["my spectrum"].data[1:]
    assert hdu.columns.names == ["E", "F", "N"]
    np.testing.assert_allclose(hdu.data["F"], [1.0, 0.5, 0.25])
    assert u.Unit(hdu.columns["F"].unit) == u.Unit("cm-2 s-1 keV-1")


def check_sources(table, entries):
    assert isinstance(table, Table)
    assert table.colnames == ["name", "ra", "dec", "photon_index"]
    assert table["name"].tolist() == [entry.name for entry in entries]
    np.testing.assert_allclose(table["ra"], [entry.ra for entry in entries])
    assert table["ra"].unit == table["dec"].unit == u.deg
    assert np.ma.getmaskarray(table["photon_index"]).tolist() == [False] * (len(entries) - 1) + [True]


def test_tables(mmoda, everything):
    check_sources(everything["cat"].data, sky.WORKFLOW_TABLES[0])
    tables = mmoda.query_product("workflow", product="tables", **BLAZAR)
    assert [(product.name, product.kind) for product in tables] == [(n, "table") for n in ("cat", "cat_2", "cat_3")]
    for product, entries in zip(tables, sky.WORKFLOW_TABLES, strict=True):
        check_sources(product.data, entries)


def test_pictures_and_binaries(everything):
    assert everything["plot"].data == everything["plot_2"].data == sky.workflow_picture()
    assert everything["raw.bin"].data == sky.WORKFLOW_BYTES


def test_texts(everything):
    assert everything["text"].data == sky.WORKFLOW_TEXT
    assert everything["number"].data == sky.WORKFLOW_NUMBER


def test_parameters_arrive(everything):
    asked = {
        "source": "simulation",
        "flag": False,
        "cfg": {"b": [1, None]},
        "scale": 3.0,
        "opt": None,
        "when": "2020-01-01T00:00:00.000",
    }
    assert everything["asked"].data == asked
    assert {name: everything.parameters[name] for name in asked} == asked
