"""Arguments of any kind: what comes out is a value or an error of ours, in words fit to be read."""

import json
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time, TimeDelta

from astroquery_mmoda import (
    MmodaClass,
    MmodaError,
    ParameterError,
    Products,
    conf,
    read_lightcurve,
    spectrum_table,
    to_timeseries,
    write_lightcurve,
    write_regions,
    write_spectra,
)
from astroquery_mmoda.plotting import plot_image, plot_lightcurve
from astroquery_mmoda.request.form import form_fields
from astroquery_mmoda.request.metadata import read_metadata
from astroquery_mmoda.request.query import Query
from astroquery_mmoda.request.source_list import to_catalog_text
from tests.scripted_server import Reply, ScriptedServer
from tests.test_fuzz_routes import is_fit
from tests.tokens import mint

HERE = Path(__file__).parent / "data" / "responses"
ODD = [
    *(None, True, -3, 10**500, -(10**500), 0.0, float("nan"), float("inf"), 2j, Decimal("NaN"), Fraction(1, 3)),
    *("", " ", "x" * 6000, "\0", "\ud8ff", "\x1b[2J\u202e", "~nobody.of.this.name/x", b"\xfe", b"", "1e999 deg"),
    *([], [[]], [None, None], (1,), (1, 2, 3), {}, {"a": None}, {3: 4}, {7}, ..., object(), int, range(5), iter("ab")),
    *(np.array(3.5), np.array([]), np.array([1.5, 2.5]), np.array(["a", "b"]), np.ma.masked, np.datetime64("NaT"), np.zeros((2, 3))),
    *(3 * u.deg, np.nan * u.s, [4, 5] * u.keV, 2 * u.mag, timedelta(1), Time(58000, format="mjd"), TimeDelta(3 * u.s)),
    *(SkyCoord(3, 4, unit="deg"), SkyCoord([3, 4], [5, 6], unit="deg"), SkyCoord(3, 4, unit="deg").ra),
    *(Table(), Table({"ra": [1.0], "dec": ["x"]}), fits.HDUList(), fits.HDUList([fits.PrimaryHDU()]), fits.PrimaryHDU()),
]  # fmt: skip
ISGRI = json.loads((HERE / "meta_data_isgri.json").read_text())["json"]


def try_all(call):
    """What came out of a call with each of the odd values, if it is neither a value nor an error of ours."""
    faults = []
    for number, value in enumerate(ODD):
        try:
            call(value)
        except MmodaError as error:
            if not is_fit(str(error)):
                faults.append(f"{number}: {str(error)[:200]!r}")
        except OSError as error:  # of a path that can't be
            if error.errno is None or error.filename is None:
                faults.append(f"{number}: {error!r}")
        except Exception as error:  # noqa: BLE001 - the point of the test
            faults.append(f"{number}: {error!r:.200}")
    return faults


@pytest.fixture(autouse=True)
def _no_sesame(monkeypatch):
    monkeypatch.setattr("astroquery_mmoda.request.positions.answer_within", lambda seconds, ask: "\ud800".encode())


def products(name):
    return Products.from_response(json.loads((HERE / f"{name}.json").read_text())["json"])


QUESTION = {"coordinates": SkyCoord(83.6, 22, unit="deg"), "time_range": (58193, 58195)}
OWN = ("coordinates", "radius", "time_range", "energy_range", "time_bin", "catalog", "scw_list", "query_type")
OTHERS = ("T1", "E1_keV", "RA", "max_pointings", "scw_list", "selected_catalog", "osa_version", "src_name", "odd")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*OWN, *(f"others {name}" for name in OTHERS)])
def test_of_a_query(name):
    schema = read_metadata(ISGRI, "isgri")

    def call(value):
        others, _, key = name.rpartition(" ")
        question = QUESTION | ({"parameters": {key: value}} if others else {key: value})
        form_fields(schema, "isgri_lc", Query("isgri", **question))

    assert not try_all(call)


CLIENT = {
    "server": lambda m, x: MmodaClass(server=x),
    "parameters": lambda m, x: m.query_image("isgri", "1 2", time_range=(58193, 58195), parameters=x, get_query_payload=True),
    "name": lambda m, x: m.resolve_name(x),
    "job": lambda m, x: m.get_job(x),
    "session": lambda m, x: m.get_job("0123456789abcdef", session_id=x),
    "kind of many": lambda m, x: m.query_many(x, []),
    "many": lambda m, x: m.query_many("image", x),
    "on_error": lambda m, x: m.query_many("image", [], on_error=x),
    "maxrec": lambda m, x: m.query_region("1 2", 1, maxrec=x, get_query_payload=True),
    "radius": lambda m, x: m.query_region("1 2", x, get_query_payload=True),
    "address": lambda m, x: m.download_products([{"access_url": x}], directory="files"),
    "directory": lambda m, x: m.download_products([], directory=x),
    "mail": lambda m, x: m.set_email_notifications(x, store_token=False),
    "mail of": lambda m, x: m.set_email_notifications(failed=x, store_token=False),
    "min_duration": lambda m, x: m.set_email_notifications(min_duration=x, store_token=False),
    "snippet": lambda m, x: m.from_api_code(x),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CLIENT)
def test_of_a_client(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def answer(request):
        return Reply(
            ISGRI if "meta-data" in request.path else {"error": "none"}, 200 if "meta-data" in request.path else 500
        )

    with ScriptedServer(answer) as server, conf.set_temp("retry_time", 0):
        client = MmodaClass(server=server.url)
        client.login(mint())
        assert not try_all(lambda value: CLIENT[name](client, value))


FUNCTIONS = {
    "write_spectra": lambda p, x: write_spectra(x, "a", overwrite=True),
    "group": lambda p, x: write_spectra(p["s"].spectrum(), "a", group=x, overwrite=True),
    "systematic": lambda p, x: write_spectra(p["s"].spectrum(), "a", systematic=x, overwrite=True),
    "spectrum_table": lambda p, x: spectrum_table(x, "a"),
    "source of a spectrum": lambda p, x: spectrum_table(p["s"].spectrum(), x),
    "to_timeseries": lambda p, x: to_timeseries(x),
    "source of a light curve": lambda p, x: to_timeseries(p["l"].lightcurve(), x),
    "write_lightcurve": lambda p, x: write_lightcurve(x, "a.fits", overwrite=True),
    "path": lambda p, x: write_lightcurve(p["l"].lightcurve(), x),
    "read_lightcurve": lambda p, x: read_lightcurve(x),
    "write_regions": lambda p, x: write_regions(x, "a.reg", overwrite=True),
    "path of regions": lambda p, x: write_regions(p["i"].catalog(), x),
    "write": lambda p, x: p["i"].write(x),
    "read": lambda p, x: Products.read(x),
    "of_source": lambda p, x: p["s"].of_source(x),
    "select": lambda p, x: p["s"].select(source=x, kind=x),
    "reply": lambda p, x: Products.from_response(x),
    "requested": lambda p, x: Products.from_response({"query_status": "done", "products": {"text_product_list": []}}, requested=x),
    "plot_image": lambda p, x: plot_image(x),
    "catalog of a plot": lambda p, x: plot_image(p["i"].image(), catalog=x),
    "extension": lambda p, x: plot_image(p["i"].image(), extension=x),
}  # fmt: skip


@pytest.fixture(scope="module")
def known():
    return {"s": products("isgri_spectrum_dummy"), "l": products("isgri_lc_real"), "i": products("isgri_image_dummy")}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_of_a_function(name, known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not try_all(lambda value: FUNCTIONS[name](known, value))


def test_replies_nested_without_end():
    reply = {"query_status": "done"}
    reply["products"] = {"text_product_list": [reply]}
    with pytest.raises(MmodaError, match="recursion"):
        Products.from_response(reply)


@pytest.mark.parametrize("wrong", [Time(58000, format="mjd"), 5 * u.d, np.array(58000.0), range(58000, 10**15)])
def test_times_that_are_no_pair(wrong):
    with pytest.raises(ParameterError, match="time_range="):
        form_fields(read_metadata(ISGRI, "isgri"), "isgri_lc", Query("isgri", **QUESTION | {"time_range": wrong}))


def in_each_row(table, value):
    column = np.empty(len(table), dtype=object)
    column[:] = [value] * len(table)
    return column


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("value", [None, [], [1, "x"], {"a": 1}, object(), 10**400, b"\xff"], ids=range(7))
@pytest.mark.parametrize("name", ["note", "RATE", "time_bin", "src_name"])
def test_columns_of_objects(name, value, tmp_path):
    table = products("isgri_lc_real").lightcurve()[:3]
    table[name] = in_each_row(table, value)
    for call in (
        lambda: write_lightcurve(table, tmp_path / "a.fits"),
        lambda: to_timeseries(table),
        lambda: plot_lightcurve(table),
    ):
        try:
            call()
        except MmodaError as error:
            assert is_fit(str(error))  # noqa: PT017 - one of two outcomes
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("wrong", [b"\xff", 1j, 2**63 - 1, "x"], ids=range(4))
@pytest.mark.parametrize("column", ["EXTVER", "SRC_NAME", ""])
def test_lists_of_sources_of_other_columns(column, wrong, tmp_path):
    spectra = products("isgri_spectrum_dummy").spectrum()
    sources = Table(spectra["SOURCES"].data)
    if column:
        sources[column] = [wrong] * len(sources)
    else:
        sources.remove_column("EXTVER" if isinstance(wrong, bytes) else "SRC_NAME")
    spectra["SOURCES"] = fits.BinTableHDU(sources, name="SOURCES")
    for call in (lambda: write_spectra(spectra, tmp_path / "a"), lambda: spectrum_table(spectra, "Crab")):
        try:
            call()
        except MmodaError as error:
            assert is_fit(str(error))  # noqa: PT017 - one of two outcomes


CATALOGUES = {
    "latitude": {"src_names": ["a", "b"], "ra": [1.0, 2.0], "dec": [1e20, 91.0]},
    "positions for angles": {"src_names": ["a"], "ra": SkyCoord([1], [2], unit="deg"), "dec": [3.0]},
    "times for angles": {"src_names": ["a"], "ra": Time([58000], format="mjd"), "dec": [3.0]},
    "complex": {"src_names": ["a"], "ra": [1j], "dec": [3.0]},
    "digits": {"src_names": ["a"], "SRCNAME8": [[1, 2]], "ra": [1.0], "dec": [3.0]},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", CATALOGUES)
def test_catalogues_without_positions(kind, tmp_path):
    table = Table(CATALOGUES[kind])
    calls = (
        lambda: write_regions(table, tmp_path / "a.reg"),
        lambda: to_catalog_text(table, "isgri"),
        lambda: plot_image(products("isgri_image_dummy").image(), catalog=table),
    )
    for call in calls:
        try:
            call()
        except MmodaError as error:
            assert is_fit(str(error))  # noqa: PT017 - one of two outcomes
