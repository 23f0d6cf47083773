# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The local service itself, on the wire and without our client: what other tests and the quickstart build upon.

The fixture ``local_mmoda`` (a started `LocalMmoda`, one for the session) is in conftest.py.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import requests
from astropy.io.fits import Header
from astropy.time import Time
from astropy.wcs import WCS, FITSFixedWarning

from tests.local_mmoda import environment, server, sky
from tests.local_mmoda.server import LocalMmoda
from tests.tokens import mint

CENTRE = {"RA": 275.0914, "DEC": 7.1853}
OBSERVATION = {
    "instrument": "isgri",
    # the same request is the same job in the whole session: this keeps those of other tests apart
    "src_name": "test_local_mmoda",
    **CENTRE,
    "T1": "2018-04-01T00:00:00.000",
    "T2": "2018-04-03T00:00:00.000",
    "radius": 8,
    "max_pointings": 10,
    "E1_keV": 20,
    "E2_keV": 40,
}
SHORT = {"T1": "2018-04-01T00:00:00.000", "T2": "2018-04-01T00:02:00.000"}
EVERYTHING_ELSE = {"api": "True", "query_type": "Real"}


# ---- the wire ----------------------------------------------------------------------------------------------------


def post(service, **parameters):
    """One request."""
    return requests.post(service.url + "/run_analysis", data={**EVERYTHING_ELSE, **parameters}, timeout=60)


def run(service, **parameters):
    """All replies until the job ends, one for each poll."""
    state, replies, limit = {"query_status": "new"}, [], time.monotonic() + 60
    while time.monotonic() < limit:
        reply = post(service, **parameters, **state)
        assert reply.status_code == 200, reply.text[:2000]
        replies.append(reply.json())
        status = replies[-1]["query_status"]
        if status in ("done", "failed"):
            return replies
        state = {"query_status": status, "job_id": replies[-1]["job_monitor"]["job_id"]}
        state["session_id"] = replies[-1]["session_id"]
        time.sleep(0.1)
    pytest.fail(f"no end: {[reply['query_status'] for reply in replies]}")


class _Record(np.ndarray):
    """Stands for FITS_rec: keeps the columns that were converted, as those of variable length are."""

    def __setstate__(self, state):
        super().__setstate__(state[:5])
        self.converted = dict(zip(state[6], state[5], strict=True))["_converted"] if len(state) > 5 else {}


class _Rows(np.ndarray):
    """Stands for a column of variable length, or of text."""

    def __setstate__(self, state):
        super().__setstate__(state[:5])


class _Inert:
    """Stands for the descriptions of columns, which are not needed here."""

    def __new__(cls, *args):
        return super().__new__(cls)

    def __setstate__(self, state):
        pass


class _Reader(pickle.Unpickler):
    # Only here, in a test of our own server, is an unpickler allowed near a reply, and it makes nothing but arrays:
    # the client must never do so, and this test must not depend on the client.
    ARRAYS = {("numpy", "dtype"), ("numpy", "ndarray"), ("numpy", "record"), ("numpy._core.multiarray", "_reconstruct")}

    def find_class(self, module, name):
        if (module, name) in self.ARRAYS:
            return super().find_class(module, name)
        if name == "FITS_rec":
            return _Record
        if name in ("_VLF", "chararray"):
            return _Rows
        if module.startswith("astropy.io.fits.column"):
            return type(name, (_Inert, str), {}) if name.startswith("_") else _Inert
        raise pickle.UnpicklingError(f"{module}.{name}")


def unpack(unit):
    """Array of a data unit."""
    return _Reader(BytesIO(base64.b64decode(unit["binarys"]))).load()


def products(replies):
    """The products of a finished job, with their meta-data decoded."""
    assert replies[-1]["query_status"] == "done", replies[-1]["exit_status"]
    return [
        types.SimpleNamespace(name=entry["name"], meta=json.loads(entry["meta_data"]), units=entry["data_unit_list"])
        for entry in replies[-1]["products"]["numpy_data_product_list"]
    ]


def recorded(name):
    """What the real service sent."""
    return json.loads((Path(__file__).parent / "data" / "responses" / f"{name}.json").read_text())["json"]


def catalogue(replies):
    """Rows of the catalogue, by name."""
    table = replies[-1]["products"]["catalog"]
    names = table["cat_column_names"]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*table["cat_column_list"], strict=True)]
    return {row["src_names"]: types.SimpleNamespace(**row) for row in rows}


def windows(replies):
    """Science windows that a job used."""
    return replies[0]["products"]["input_prod_list"]


def periods(replies):
    """Their times."""
    return sky.periods(windows(replies))


@pytest.fixture(scope="module")
def image(local_mmoda):
    return run(local_mmoda, **OBSERVATION, product_type="isgri_image")


@pytest.fixture(scope="module")
def spectra(local_mmoda):
    return run(local_mmoda, **OBSERVATION, product_type="isgri_spectrum")


@pytest.fixture(scope="module")
def light_curves(local_mmoda):
    return run(local_mmoda, **OBSERVATION, product_type="isgri_lc", time_bin=500)


# ---- discovery ---------------------------------------------------------------------------------------------------


def test_instrument_list(local_mmoda):
    names = {"isgri", "jemx", "spi_acs", "spacetime", "twins", "workflow", "faulty", "faulty_sync"}
    assert names <= set(requests.get(local_mmoda.url + "/instr-list", timeout=10).json())
    old = requests.get(local_mmoda.url + "/api/instr-list", params={"instrument": "mock"}, timeout=10)
    assert names <= set(old.json())


def meta_data(service, instrument):
    reply = requests.get(service.url + "/api/meta-data", params={"instrument": instrument}, timeout=10)
    assert reply.status_code == 200
    (described,) = reply.json()
    # this version sends the inner lists as text
    return described[:2] + [json.loads(text) for text in described[2:]]


@pytest.mark.parametrize("instrument", ["isgri", "jemx"])
def test_meta_data_agrees_with_the_recorded_one(local_mmoda, instrument):
    """Same products, names, units and values, but for the rows that 1.3.3 does not send, and one parameter of ours."""
    ours, (real,) = meta_data(local_mmoda, instrument), recorded(f"meta_data_{instrument}")
    assert ours[:2] == real[:2]
    for here, there in zip(ours[2:], real[2:], strict=True):
        assert [row for row in here if "name" not in row] == [row for row in there if "name" not in row]
        values = [
            {row["name"]: (row["units"], row["value"]) for row in rows if row.get("name", "_format")[-7:] != "_format"}
            for rows in (here, there)
        ]
        values[0].pop("number_of_bands", None)
        assert values[0] == values[1]


def test_meta_data_of_the_workflow(local_mmoda):
    """Rows as those of the recorded workflow, but for ontology addresses beyond its own, and our parameter `source`."""
    ours, (real,) = meta_data(local_mmoda, "workflow"), recorded("meta_data_example")
    queries = [
        {rows[0]["query_name"]: {row["name"]: row for row in rows if "name" in row} for rows in described[2:]}
        for described in (ours, real)
    ]
    sources = [rows.pop("source") for name, rows in queries[0].items() if name not in ("src_query", "instr_query")]
    assert {row["value"] for row in sources} == {"archive"}
    assert all(row["restrictions"]["allowed_values"] == sorted(sky.WORKFLOW_FLUX) for row in sources)
    for query in ("src_query", "instr_query", "everything_query", "lightcurve_query"):
        here, there = ({name: row for name, row in all_of[query].items() if name != "T_format"} for all_of in queries)
        assert list(here) == list(there)
        for name in set(here) - {"token"}:
            own = [address for address in there[name].pop("owl_uri") if "odahub" in address]
            assert (here[name].pop("owl_uri"), here[name]) == (own, there[name])


def test_instrument_without_a_place(local_mmoda):
    names = {row.get("name") for rows in meta_data(local_mmoda, "spacetime")[2:] for row in rows}
    assert {"T1", "T2"} <= names
    assert not {"RA", "DEC", "src_name"} & names


@pytest.mark.parametrize("name", ["Crab", "crab nebula", "MAXI J1820+070", "maxij1820+070", "IGR J18308+0928"])
def test_resolved_name(local_mmoda, name):
    reply = requests.get(local_mmoda.url + "/resolve_name", params={"name": name}, timeout=10).json()
    assert reply["message"] == f"{name} successfully resolved"
    assert any((reply["RA"], reply["DEC"]) == (source.ra, source.dec) for source in sky.SOURCES)


def test_unresolved_name(local_mmoda):
    reply = requests.get(local_mmoda.url + "/resolve_name", params={"name": "zzz"}, timeout=10)
    assert reply.status_code == 200
    assert reply.json() == {"name": "zzz", "message": "zzz could not be resolved: *** Nothing found ***"}
    assert requests.get(local_mmoda.url + "/resolve_name", timeout=10).json() == {}


# ---- requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"E1_keV": 5}, "15 - 800 keV"),
        ({"E2_keV": 801}, "15 - 800 keV"),
        ({"osa_version": "OSA9"}, "should start with one of"),
        ({"integral_data_rights": "mine"}, "not in allowed"),
        ({"max_pointings": 2.5}, "Integer"),
        ({"number_of_bands": 3}, "the most is 2"),
        ({"RA": "here"}, ""),
        ({"T1": "yesterday"}, ""),
        ({"product_type": "isgri_lc", "time_bin": 20001}, "20000 s"),
        ({"product_type": "nothing"}, "not in query_dictionary"),
        ({"instrument": "jemx", "product_type": "jemx_image", "E1_keV": 2}, "3 - 35 keV"),
        ({"instrument": "jemx", "product_type": "jemx_image", "E1_keV": 3, "jemx_num": 3}, "JEM-X 1 and 2"),
        ({"instrument": "workflow", "product_type": "lightcurve", "nbins": 1}, "the least is 2"),
        ({"instrument": "workflow", "product_type": "lightcurve", "band": "z"}, "not in allowed"),
        ({"instrument": "workflow", "product_type": "everything", "flag": "perhaps"}, "not a Boolean"),
        ({"instrument": "workflow", "product_type": "everything", "cfg": "{"}, "not JSON"),
        ({"instrument": "workflow", "product_type": "everything", "cfg": "1"}, "neither object nor array"),
        ({"instrument": "nothing"}, "nothing"),
    ],
)
def test_refused_parameter(local_mmoda, change, text):
    reply = post(local_mmoda, **{**OBSERVATION, "product_type": "isgri_image", "query_status": "new", **change})
    assert reply.status_code == 400
    assert text in reply.json()["error_message"]


@pytest.mark.parametrize("version", ["OSA11.2", "OSA10.2", "OSA11.2-dev210827.0528-37487"])
def test_accepted_version(local_mmoda, version):
    request = {**OBSERVATION, "src_name": "a job of its own", "osa_version": version}
    reply = post(local_mmoda, **request, product_type="isgri_image", query_status="new")
    assert reply.status_code == 200


def test_unknown_parameter_is_ignored_without_a_word(local_mmoda):
    """Newer servers say so in a comment; 1.3.3 does not, and takes it for another job."""
    known = {"instrument": "twins", "product_type": "first_lc", "query_status": "new", **SHORT}
    plain, extended = post(local_mmoda, **known).json(), post(local_mmoda, **known, zork=1).json()
    assert extended["query_status"] == "done"
    assert extended["exit_status"]["comment"] == ""
    assert extended["products"]["analysis_parameters"]["zork"] == "1"
    assert extended["job_monitor"]["job_id"] != plain["job_monitor"]["job_id"]


# ---- states ------------------------------------------------------------------------------------------------------


def test_states_of_an_asynchronous_job(image):
    states = [reply["query_status"] for reply in image]
    order = ["submitted", "progress", "ready", "done"]
    assert states[0] == "submitted"
    assert states[-2:] == ["ready", "done"]
    assert [order.index(state) for state in states] == sorted(order.index(state) for state in states)
    assert "progress" in states
    assert len({reply["job_monitor"]["job_id"] for reply in image}) == 1
    start, stop = (Time(OBSERVATION[name]).tt.mjd - sky.MJDREF for name in ("T1", "T2"))
    assert len(windows(image)) == 10
    assert set(windows(image)) < set(sky.windows(start, stop))
    assert messages(image[-2]) == {"main starting", "restored from cache", "main done", "done"}


def messages(reply):
    """Of all reports; the server may repeat one, and changes their order, when a poll comes between."""
    return {report["message"] for report in reply["job_monitor"]["full_report_dict_list"]}


def test_products_come_again(local_mmoda, image):
    """Asked for again with the same parameters, they come at once, and the same."""
    again = run(local_mmoda, **OBSERVATION, product_type="isgri_image")
    assert again[0]["query_status"] == "done"
    assert [len(again), again[0]["job_monitor"]["job_id"]] == [1, image[0]["job_monitor"]["job_id"]]
    assert again[0]["products"]["numpy_data_product_list"] == image[-1]["products"]["numpy_data_product_list"]


def test_simultaneous_requests_stay_apart(local_mmoda):
    """The released server mixes them up, which our launcher prevents: equal requests are one job."""
    request = {**OBSERVATION, "src_name": "all at once", "product_type": "isgri_lc", "query_status": "new"}
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda _: post(local_mmoda, **request).json(), range(12)))
    assert len({reply["job_monitor"]["job_id"] for reply in replies}) == 1


def test_noise_depends_on_the_request(local_mmoda, image):
    other = run(local_mmoda, **{**OBSERVATION, "src_name": "elsewhere"}, product_type="isgri_image")
    assert other[-1]["products"]["numpy_data_product_list"] != image[-1]["products"]["numpy_data_product_list"]


@pytest.mark.parametrize(
    "change",
    [
        {"T1": "2001-01-01T00:00:00", "T2": "2001-01-02T00:00:00"},
        {"T1": "2026-06-02T00:00:00", "T2": "2026-07-01T00:00:00"},
        # near real-time data, a slew, and a pointing that an orbit does not have
        {"scw_list": "193600100010.000,193600100021.001,193609990010.001"},
        {"radius": 0},
    ],
)
def test_first_face_of_failure_without_data(local_mmoda, change):
    """The backend reports it; status and message of the reply say nothing."""
    request = {**OBSERVATION, **change}
    last = run(local_mmoda, **request, product_type="isgri_image")[-1]
    assert last["query_status"] == "failed"
    assert last["exit_status"]["status"] == 0
    assert last["exit_status"]["message"] == last["exit_status"]["error_message"] == ""
    assert "AnalysisException:NoValidScW()" in messages(last)


def test_repeated_failure_tells_the_reason(local_mmoda):
    """A failed job is submitted again, and then the backend knows at once."""
    request = {**OBSERVATION, "T1": "2002-01-01T00:00:00", "T2": "2002-01-02T00:00:00", "product_type": "isgri_lc"}
    assert run(local_mmoda, **request)[-1]["exit_status"]["status"] == 0
    (reply,) = run(local_mmoda, **request)
    assert (reply["query_status"], reply["exit_status"]["status"]) == ("failed", 1)
    assert "NoValidScW" in reply["exit_status"]["error_message"]


def test_first_face_of_failure_with_the_last_report_only(local_mmoda):
    last = run(local_mmoda, instrument="faulty", product_type="faulty_backend_image")[-1]
    assert (last["query_status"], last["exit_status"]["status"]) == ("failed", 0)
    assert "full_report_dict_list" not in last["job_monitor"]
    assert "on purpose" in last["job_monitor"]["full_report_dict"]["message"]


def test_second_face_of_failure(local_mmoda):
    """An exception when the products are built, after ``ready``."""
    replies = run(local_mmoda, instrument="faulty", product_type="faulty_build_image")
    assert replies[-2]["query_status"] == "ready"
    check_exception(replies[-1])


def test_third_face_of_failure(local_mmoda):
    """The same at once."""
    (reply,) = run(local_mmoda, instrument="faulty_sync", product_type="faulty_at_once_image")
    check_exception(reply)


def check_exception(reply):
    assert (reply["query_status"], reply["exit_status"]["status"]) == ("failed", 1)
    assert reply["exit_status"]["message"]
    assert "on purpose" in reply["exit_status"]["error_message"]
    assert "numpy_data_product_list" not in reply["products"]


@pytest.mark.parametrize("product", ["nothing_lc", "nothing_image"])
def test_nothing(local_mmoda, product):
    assert products(run(local_mmoda, instrument="faulty_sync", product_type=product)) == []


def test_field_without_sources(local_mmoda):
    field = {**OBSERVATION, "RA": 10, "DEC": -40}
    found = run(local_mmoda, **field, product_type="isgri_image")
    assert catalogue(found) == {}
    assert len(products(found)) == 1
    for product in ("isgri_spectrum", "isgri_lc"):
        assert products(run(local_mmoda, **field, product_type=product)) == []


# ---- images ------------------------------------------------------------------------------------------------------


KINDS = ("INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE")


def images(replies):
    """Header and array of each image, by kind and lower energy."""
    (mosaic,) = products(replies)
    return {(u["header"]["IMATYPE"], u["header"]["E_MIN"]): (u["header"], unpack(u)) for u in mosaic.units[2:]}


def coordinates(header):
    """As astropy understands them, which has remarks on their style."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(Header(header))


def test_form_of_the_mosaic(image):
    (mosaic,) = products(image)
    assert mosaic.name == "mosaic_image"
    assert mosaic.meta == {"product": "mosaic", "instrument": "isgri", "src_name": "", "query_parameters": None}
    assert [unit["name"] for unit in mosaic.units] == ["PRIMARY", "GROUPING"] + ["ISGR-MOSA-IMA"] * 4
    there = recorded("isgri_image_6_done")["products"]["numpy_data_product_list"][0]["data_unit_list"]
    # the recorded ones were made of small files
    for here, unit in zip(mosaic.units[2:], there[2:], strict=True):
        assert (here["dt"], here["hdu_type"], here["units_dict"]) == (unit["dt"], unit["hdu_type"], unit["units_dict"])
        assert set(unit["header"]) - {"EXPOSURE"} <= set(here["header"])
    group = unpack(mosaic.units[1])
    assert [kind.decode() for kind in group["IMATYPE"]] == ["INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE"]


def test_statistics_of_the_image(image):
    """The significance is intensity over error, and away from sources it is distributed like noise."""
    found = images(image)
    units = [found[kind, 20.0][0]["BUNIT"] for kind in KINDS]
    assert units == ["counts/sec", "(counts/sec)**2", "no units", "sec"]
    intensity, variance, significance, exposure = (found[kind, 20.0][1] for kind in KINDS)
    assert intensity.shape == (370, 370)
    inside = exposure > 0
    # the whole field of view, whatever the radius that selects pointings
    radius = np.tan(np.radians(sky.ISGRI.field_limit)) / np.radians(1)
    assert np.pi * (radius / sky.PIXEL) ** 2 == pytest.approx(inside.sum(), rel=0.02)
    # outside of it there are zeros
    for values in (intensity, variance, significance, exposure):
        assert not values[~inside].any()
    np.testing.assert_allclose(significance[inside], intensity[inside] / np.sqrt(variance[inside]), rtol=1e-5)
    assert exposure.max() == pytest.approx(sky.on_time(periods(image)) * sky.LIVE_SHARE, rel=1e-5)

    wcs = coordinates(found["SIGNIFICANCE", 20.0][0])
    rows, columns = np.nonzero(inside)
    ra, dec = wcs.wcs_pix2world(columns, rows, 0)
    empty = np.all([sky.separation(ra, dec, source.ra, source.dec) > 1.0 for source in sky.SOURCES], axis=0)
    noise = significance[inside][empty].astype(float)
    assert noise.mean() == pytest.approx(0.0, abs=4.0 / np.sqrt(noise.size))
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    assert np.mean(np.abs(noise) < 1.0) == pytest.approx(0.6827, abs=0.015)


def test_times_of_the_image(image):
    """DATE-OBS is UTC beside a TIMESYS that is TT, and TELAPSE is not from TSTART to TSTOP."""
    for header, _ in images(image).values():
        assert header["TIMESYS"] == "TT"
        assert (header["TSTART"], header["TSTOP"]) == pytest.approx((periods(image).min(), periods(image).max()))
        for date, time_ in (("DATE-OBS", "TSTART"), ("DATE-END", "TSTOP")):
            seconds = Time(header[date], scale="utc").tt.mjd - sky.MJDREF - header[time_]
            assert -1.001 < seconds * 86400 <= 0.001
        assert header["ONTIME"] == pytest.approx(10 * sky.POINTING_LENGTH)
        assert 0 < header["TELAPSE"] - header["ONTIME"] < 5


def test_sources_in_the_image(image):
    """Peaks have the rates that come out of folding, at the right places."""
    found = images(image)
    header, intensity = found["INTENSITY", 20.0]
    variance = found["VARIANCE", 20.0][1]
    wcs = coordinates(header)
    for source in sky.in_field(*CENTRE.values()):
        x, y = wcs.wcs_world2pix(source.ra, source.dec, 0)
        column, row = round(float(x)), round(float(y))
        fraction = np.exp(-((column - x) ** 2 + (row - y) ** 2) * (sky.PIXEL / sky.PSF_SIGMA) ** 2 / 2.0)
        expected = sky.band_rate(source, 20, 40) * sky.mean_factor(source, periods(image)) * fraction
        error = np.sqrt(variance[row, column])
        # the bright ones show that a tangential plane is not quite the sky
        assert intensity[row, column] == pytest.approx(expected, abs=5 * error, rel=0.005), source.name


def test_catalogue_of_the_image(image):
    rows = catalogue(image)
    new = [source for source in sky.SOURCES if not source.known]
    expected = {source.name: source for source in sky.SOURCES} | {f"NEW_{i}": s for i, s in enumerate(new, start=1)}
    assert {"MAXI J1820+070", "Ser X-1", "4U 1823-00", "NEW_1", "NEW_2"} <= set(rows) <= set(expected)
    assert not {"V2301 Oph", "V426 Oph"} & set(rows)
    for name, row in rows.items():
        source = expected[name]
        assert sky.separation(row.ra, row.dec, source.ra, source.dec) < 4.0 * row.ERR_RAD + 0.002, name
        assert sky.separation(row.ra, row.dec, source.ra, source.dec) < sky.PIXEL
        assert row.significance > 7.0
        ideal = sky.significance(source, periods(image), ra=CENTRE["RA"], dec=CENTRE["DEC"], low=20, high=40)
        # a source between pixels loses up to a quarter of its peak, one that looks for the highest wins a little
        assert 0.7 * ideal - 4.0 < row.significance < ideal + 4.0, name
        assert (row.NEW_SOURCE, row.FLAG) == ((-32768, 0) if source.known else (-32767, 1))
        assert row.ISGRI_FLAG == 1
    assert rows["MAXI J1820+070"].significance > 100


def test_detection_threshold(local_mmoda):
    few = run(local_mmoda, **OBSERVATION, product_type="isgri_image", detection_threshold=30)
    assert set(catalogue(few)) == {"MAXI J1820+070", "Ser X-1"}


def test_two_bands(local_mmoda):
    found = images(run(local_mmoda, **OBSERVATION, product_type="isgri_image", number_of_bands=2))
    middle = pytest.approx(np.sqrt(20 * 40))
    bands = [(header["E_MIN"], header["E_MAX"]) for header, _ in found.values()]
    assert bands[:4] == [(20.0, middle)] * 4
    assert bands[4:] == [(middle, 40.0)] * 4


def test_other_field(local_mmoda):
    """The field of the Crab, in the largest image there is."""
    field = {**OBSERVATION, "RA": 83.6331, "DEC": 22.0145, "radius": 15, "max_pointings": 3}
    found = run(local_mmoda, **field, product_type="isgri_image")
    assert set(catalogue(found)) == {"Crab", "1A 0535+262", "SWIFT J0525.6+2416"}


def test_science_windows(local_mmoda):
    """A list is computed as it is, whatever else is said of times, numbers and the radius."""
    chosen = ["193601120010.001", "193700090010.001"]
    replies = [
        run(local_mmoda, **{**OBSERVATION, **change}, product_type="isgri_image", scw_list=",".join(chosen))
        for change in ({}, {"radius": 2, "max_pointings": 1, "T1": "2017-01-01T00:00:00", "T2": "2017-01-02T00:00:00"})
    ]
    for found in replies:
        assert windows(found) == chosen
        header, intensity = images(found)["INTENSITY", 20.0]
        assert header["ONTIME"] == pytest.approx(2 * sky.POINTING_LENGTH)
        assert header["TSTART"] == pytest.approx(sky.window_time(chosen[0]))
        assert intensity.shape == (370, 370)


def test_some_of_many_pointings(local_mmoda):
    """A random subset: the same for the same request, another for another energy or product."""
    request = {**OBSERVATION, "max_pointings": 4, "query_status": "new"}
    replies = {
        (product, low): post(local_mmoda, **(request | {"E1_keV": low}), product_type=product).json()
        for product in ("isgri_image", "isgri_spectrum")
        for low in (20, 21)
    }
    drawn = {key: tuple(windows([reply])) for key, reply in replies.items()}
    assert len(set(drawn.values())) == 4
    assert all(names == tuple(sorted(names)) for names in drawn.values())
    again = post(local_mmoda, **request, product_type="isgri_image").json()
    assert tuple(windows([again])) == drawn["isgri_image", 20]


def test_windows_of_an_interval(local_mmoda):
    """All that overlap it, as a whole."""
    short = {**OBSERVATION, "T1": "2018-04-01T12:00:00", "T2": "2018-04-01T12:45:00"}
    replies = run(local_mmoda, **short, product_type="isgri_image")
    start, stop = (Time(short[name]).tt.mjd - sky.MJDREF for name in ("T1", "T2"))
    begin, end = periods(replies).T
    assert 2 <= len(begin) <= 3
    slew = sky.ORBITS[1][2] / sky.WINDOWS - sky.POINTING_LENGTH / 86400
    assert begin[0] - slew <= start < end[0]
    assert begin[-1] < stop <= end[-1] + slew
    header, _ = images(replies)["INTENSITY", 20.0]
    assert header["TSTART"] == pytest.approx(begin[0])


# ---- spectra -----------------------------------------------------------------------------------------------------


def test_form_of_the_spectra(spectra):
    found = products(spectra)
    kinds = ["isgri_spectrum", "isgri_arf", "isgri_rmf"]
    assert [product.meta["product"] for product in found] == kinds * (len(found) // 3)
    assert {product.name for product in found} == {""}
    names = [product.meta["src_name"] for product in found[::3]]
    assert names == sorted(names)
    assert {"MAXIJ1820+070", "SerX-1", "4U1823-00"} <= set(names)
    real = recorded("isgri_spectrum_real")["products"]["numpy_data_product_list"]
    for here, there in zip(found[:3], real[:3], strict=True):
        for unit, like in zip(here.units[1:], there["data_unit_list"][1:], strict=True):
            assert unit["hdu_type"] == like["hdu_type"]
            # spectra have another name since version 11 of the analysis software
            assert unit["name"] in (like["name"], "ISGR-EVTS-SPE")
    assert found[0].units[1]["header"]["STAMP"] is None


def response(arf, rmf):
    """Response of the spectrum as it arrived: (low, high, matrix) with areas in it."""
    (unit,) = [unit for unit in rmf.units if unit["name"] == "SPECRESP MATRIX"]
    area, table = unpack(arf.units[1]), unpack(unit)
    assert set(table["F_CHAN"]) == {unit["header"]["TLMIN4"]}
    assert set(table["N_CHAN"]) == {unit["header"]["DETCHANS"]}
    matrix = table["MATRIX"] * area["SPECRESP"][:, np.newaxis]
    return table["ENERG_LO"].astype(float), table["ENERG_HI"].astype(float), matrix.astype(float)


def test_response(spectra):
    """The area is in the matrix, the ARF has ones without a unit."""
    _, arf, rmf = products(spectra)[:3]
    assert set(unpack(arf.units[1])["SPECRESP"]) == {1.0}
    assert not [key for key in arf.units[1]["header"] if key.startswith("TUNIT")]
    low, high, matrix = response(arf, rmf)
    np.testing.assert_allclose(low, sky.ENERGY_LO, rtol=1e-6)
    np.testing.assert_allclose(high, sky.ENERGY_HI, rtol=1e-6)
    np.testing.assert_allclose(matrix, sky.EFFECTIVE_AREA[:, np.newaxis] * sky.REDISTRIBUTION, rtol=1e-6)
    assert matrix.sum(axis=1).max() > 900
    bounds = unpack(rmf.units[1])
    np.testing.assert_allclose(bounds["E_MIN"], sky.CHANNEL_LO, rtol=1e-6)
    assert bounds["CHANNEL"][0] == rmf.units[1]["header"]["TLMIN1"] == 0


@pytest.mark.parametrize("name", ["MAXI J1820+070", "Ser X-1", "4U 1823-00", "IGR J18308+0928"])
def test_photon_index(spectra, name):
    """A fit with what arrived finds the truth within its errors, and is a good one."""
    found = products(spectra)
    number = [product.meta["src_name"] for product in found].index(name.replace(" ", ""))
    spectrum, arf, rmf = found[number : number + 3]
    assert spectrum.units[1]["header"]["NAME"] == name
    table = unpack(spectrum.units[1])
    low, high, matrix = response(arf, rmf)
    good = table["QUALITY"] == 0
    rate, error = (table[column].astype(float)[good] for column in ("RATE", "STAT_ERR"))

    source = sky.source(name)
    # a step that never meets 1 exactly, where the integral of the power law is another one
    indices = source.photon_index + np.arange(-1.4995, 1.5, 0.002)
    statistics, norms = [], []
    for index in indices:
        unit = (high ** (1 - index) - low ** (1 - index)) / (1 - index)
        model = (unit @ matrix)[good]
        norms.append(np.sum(rate * model / error**2) / np.sum(model**2 / error**2))
        statistics.append(np.sum(((rate - norms[-1] * model) / error) ** 2))
    best = int(np.argmin(statistics))
    within = indices[np.array(statistics) < statistics[best] + 1.0]
    uncertainty = max(0.002, (within[-1] - within[0]) / 2.0)
    freedom = good.sum() - 2
    assert abs(indices[best] - source.photon_index) < 3.5 * uncertainty
    assert abs(statistics[best] - freedom) < 4.0 * np.sqrt(2.0 * freedom)
    assert norms[int(np.argmin(np.abs(indices - source.photon_index)))] == pytest.approx(
        source.norm * sky.mean_factor(source, periods(spectra)), rel=0.5
    )


def test_selected_catalogue(local_mmoda, image):
    """Spectra and light curves of the chosen rows, also of sources without a name."""
    table = image[-1]["products"]["catalog"]
    names = table["cat_column_list"][table["cat_column_names"].index("src_names")]
    chosen = [names.index("NEW_1"), names.index("Ser X-1")]
    choice = {"selected_catalog": json.dumps(table), "catalog_selected_objects": ",".join(map(str, chosen))}
    curves = products(run(local_mmoda, **OBSERVATION, **choice, product_type="isgri_lc"))
    assert [curve.meta["src_name"] for curve in curves] == ["NEW_1", "Ser X-1"]
    found = products(run(local_mmoda, **OBSERVATION, **choice, product_type="isgri_spectrum"))
    assert [spectrum.meta["src_name"] for spectrum in found[::3]] == ["NEW_1", "SerX-1"]
    rate = sky.in_band(np.nan_to_num(unpack(found[0].units[1])["RATE"]), 20, 40)
    new = next(source for source in sky.SOURCES if not source.known)
    assert rate == pytest.approx(sky.band_rate(new, 20, 40), rel=0.3)


def catalog(*rows, columns=("NEW_SOURCE", "ISGRI_FLAG", "FLAG"), **change):
    """A catalogue in the service's form; rows are name, position and flags."""
    names = ["meta_ID", "src_names", "significance", "ra", "dec", *columns]
    filled = [(number, row[0], 10.0, *row[1:]) for number, row in enumerate(rows)]
    return {
        "selected_catalog": json.dumps(
            {
                "cat_frame": "fk5",
                "cat_coord_units": "deg",
                "cat_column_list": [list(column) for column in zip(*filled, strict=True)],
                "cat_column_names": names,
                "cat_column_descr": [],
                "cat_lat_name": "dec",
                "cat_lon_name": "ra",
                **change,
            }
        )
    }


SERPENS, MAXI = ("Ser X-1", 279.9896, 5.0358), ("MAXI J1820+070", *CENTRE.values())
FEW = {**OBSERVATION, "scw_list": "193601120010.001,193700090010.001"}


def extracted(service, choice, instrument="isgri", **change):
    """Names of the sources that have a light curve."""
    request = {**FEW, "instrument": instrument, **change, **choice}
    return [curve.meta["src_name"] for curve in products(run(service, **request, product_type=f"{instrument}_lc"))]


def test_coordinates_are_degrees_whatever_is_said(local_mmoda):
    in_radians = [(name, *np.radians(place), -32768, 2, 1) for name, *place in (SERPENS, MAXI)]
    assert extracted(local_mmoda, catalog(*in_radians, cat_coord_units="rad")) == []
    in_degrees = [(*row, -32768, 2, 1) for row in (SERPENS, MAXI)]
    assert extracted(local_mmoda, catalog(*in_degrees, cat_coord_units="rad")) == ["MAXI J1820+070", "Ser X-1"]


@pytest.mark.parametrize("frame", ["FK5", "Galactic", ""])
def test_frames_are_in_lower_case(local_mmoda, frame):
    choice = catalog((*MAXI, -32768, 2, 1), cat_frame=frame)
    assert post(local_mmoda, **FEW, **choice, product_type="isgri_lc", query_status="new").status_code in (400, 500)
    assert extracted(local_mmoda, catalog((*MAXI, -32768, 2, 1), cat_frame="icrs")) == ["MAXI J1820+070"]


@pytest.mark.parametrize("flags", [(-32768, None, 1), (-32768, 2, None)])
def test_a_flag_that_is_null_kills_the_job(local_mmoda, flags):
    choice = catalog((*SERPENS, -32768, 2, 1), (*MAXI, *flags))
    (reply,) = run(local_mmoda, **FEW, **choice, product_type="isgri_lc")
    assert (reply["query_status"], reply["exit_status"]["status"]) == ("failed", 1)
    assert "NoneType" in reply["exit_status"]["error_message"]


@pytest.mark.parametrize("instrument", ["isgri", "jemx"])
def test_flags_select_without_a_word(local_mmoda, instrument):
    band = {} if instrument == "isgri" else {"E1_keV": 3, "E2_keV": 20}
    for flag, used in ((0, False), (1, True), (2, True), (3, False)):
        choice = catalog((*SERPENS, -32768, 1, 1), (*MAXI, -32768, flag, 1))
        assert ("MAXI J1820+070" in extracted(local_mmoda, choice, instrument, **band)) is used
    # a column that is missing is filled with 0
    assert extracted(local_mmoda, catalog((*MAXI, 1), columns=("FLAG",)), instrument, **band) == []


def test_xray_sources_that_are_not_extracted(local_mmoda):
    """Those of one name, and faint ones without the flag that forces it."""
    place = ("NEW SOURCE", *SERPENS[1:])
    empty = ("Nothing here", CENTRE["RA"] + 1.0, CENTRE["DEC"])
    choice = catalog((*place, -32767, 1, 1), (*empty, -32768, 1, 0), (*MAXI, -32768, 1, 0))
    band = {"E1_keV": 3, "E2_keV": 20}
    assert extracted(local_mmoda, choice, "jemx", **band) == ["MAXI J1820+070"]
    assert extracted(local_mmoda, choice) == ["MAXI J1820+070", "NEW SOURCE", "Nothing here"]
    forced = catalog((*empty, -32768, 1, 1))
    assert extracted(local_mmoda, forced, "jemx", **band) == ["Nothing here"]


# ---- light curves ------------------------------------------------------------------------------------------------


def test_form_of_the_light_curves(light_curves):
    found = products(light_curves)
    assert {"MAXI J1820+070", "Ser X-1", "4U 1823-00"} <= {curve.meta["src_name"] for curve in found}
    like = recorded("isgri_lc_real")["products"]["numpy_data_product_list"][0]
    for curve in found:
        assert curve.name == like["name"]
        assert set(curve.meta) == set(json.loads(like["meta_data"]))
        assert curve.meta["time_bin"] == pytest.approx(500 / 86400)
        assert [unit["name"] for unit in curve.units] == [unit["name"] for unit in like["data_unit_list"]]
        header, table = curve.units[1]["header"], unpack(curve.units[1])
        names = ["TIME", "TOT_COUNTS", "BACKV", "BACKE", "RATE", "ERROR", "FRACEXP", "XAX_E"]
        assert [header[f"TTYPE{number}"] for number in range(1, header["TFIELDS"] + 1)] == names
        assert {header[key] for key in header if key.startswith("TUNIT")} == {"count/s"}
        assert not {"TUNIT1", "TUNIT8"} & set(header)
        # appended by the service, which does not tell
        assert list(table.dtype.names) == [*names, "TIMEDEL"]
        np.testing.assert_allclose(table["TIMEDEL"], 2 * table["XAX_E"].astype(float))


def test_bins_begin_anew_in_each_window(light_curves):
    for curve in products(light_curves):
        table = unpack(curve.units[1])
        start, stop = table["TIME"] - table["TIMEDEL"] / 2, table["TIME"] + table["TIMEDEL"] / 2
        for begin, end in periods(light_curves):
            inside = (table["TIME"] > begin) & (table["TIME"] < end)
            np.testing.assert_allclose(table["TIMEDEL"][inside] * 86400, [500, 500, 500, 400], atol=0.01)
            assert (start[inside][0], stop[inside][-1]) == pytest.approx((begin, end), abs=1e-7)


def test_light_curve_follows_the_truth(light_curves):
    for curve in products(light_curves):
        source = sky.source(curve.meta["src_name"])
        table, header = unpack(curve.units[1]), curve.units[1]["header"]
        moment, rate, error = (table[name].astype(float) for name in ("TIME", "RATE", "ERROR"))
        assert header["TSTART"] == pytest.approx(periods(light_curves).min(), abs=1e-6)
        observed = error > 0
        # without telemetry there is nothing, which the service says by zeros
        lost = [int(window[4:8]) % sky.TELEMETRY_GAP == 0 for window in windows(light_curves)]
        assert (~observed).sum() == sum(lost) > 0
        assert np.all(rate[~observed] == 0)
        expected = sky.band_rate(source, 20, 40) * source.variability.factor(moment[observed])
        chi_squared = np.sum(((rate[observed] - expected) / error[observed]) ** 2)
        assert abs(chi_squared - observed.sum()) < 4.5 * np.sqrt(2.0 * observed.sum()), source.name
        if source.name == "MAXI J1820+070":
            constant = np.average(rate[observed], weights=error[observed] ** -2)
            assert np.sum(((rate[observed] - constant) / error[observed]) ** 2) > 20 * observed.sum()


@pytest.mark.parametrize("data_level", ["ordinary", "realtime"])
def test_shield(local_mmoda, data_level):
    request = {"instrument": "spi_acs", **CENTRE, **SHORT, "time_bin": 0.52, "data_level": data_level}
    if data_level == "realtime":
        request["token"] = mint(key=local_mmoda.secret_key, roles="general, integral-realtime")
    (curve,) = products(run(local_mmoda, **request, product_type="spi_acs_lc"))
    assert curve.name is None
    assert curve.meta == {"src_name": "query", "time_bin": 0.5, "time": "TIME", "rate": "RATE", "rate_err": "ERROR"}
    primary, unit = curve.units
    assert (primary["name"], unit["name"]) == ("Primary", "RATE")
    assert unit["units_dict"] == {"TIME": "s", "RATE": "count/s", "ERROR": "count/s"}
    header, table = unit["header"], unpack(unit)
    # both are the start, and not in UTC
    assert header["DATE-OBS"] == header["DATE-END"]
    assert Time(header["DATE-OBS"], scale="tt").mjd == pytest.approx(header["MJDREF"] + header["TSTART"] / 86400)
    start = (Time(SHORT["T1"]).tt.mjd - sky.MJDREF) * 86400
    assert 0 <= header["TSTART"] - start < sky.ACS_BIN
    assert header["TSTOP"] - header["TSTART"] == pytest.approx(header["ONTIME"], abs=1e-6)
    times, widths = header["TIMEZERO"] + table["TIME"], table["RATE"] / table["ERROR"] ** 2
    # TIME is the mean of the starts of native bins: half of one before the centre
    centres = times + sky.ACS_BIN / 2
    np.testing.assert_allclose(np.diff(centres), (widths[:-1] + widths[1:]) / 2, atol=1e-5)
    edges = centres[0] - widths[0] / 2, centres[-1] + widths[-1] / 2
    assert edges == pytest.approx((header["TSTART"], header["TSTOP"]), abs=1e-5, rel=0)
    low = times - start - (widths - sky.ACS_BIN) / 2
    expected = sky.ACS_BACKGROUND + sky.burst_counts(low, low + widths, 120.0) / widths
    pulls = (table["RATE"] - expected) / table["ERROR"]
    assert abs(np.sum(pulls**2) - len(table)) < 4.5 * np.sqrt(2 * len(table))
    assert (times - start)[np.argmax(table["RATE"])] == pytest.approx(sky.BURST_FRACTION * 120.0, abs=1.5)


@pytest.mark.parametrize(("asked", "got"), [(0.3, 0.25), (0.52, 0.5), (0.1, 0.1), (0.04, 0.05)])
def test_bins_of_the_shield(local_mmoda, asked, got):
    """Rounded down to native bins, by a division that makes 5 of 0.3 / 0.05; some take one from their neighbour."""
    long = {**SHORT, "T2": "2018-04-01T00:10:00.000"}
    (curve,) = products(run(local_mmoda, instrument="spi_acs", **long, time_bin=asked, product_type="spi_acs_lc"))
    header, table = curve.units[1]["header"], unpack(curve.units[1])
    assert header["TIMEDEL"] == curve.meta["time_bin"] == got
    slips = np.round((table["RATE"] / table["ERROR"] ** 2 - got) / sky.ACS_BIN, 3)
    assert set(slips) <= {-1.0, 0.0, 1.0}
    assert np.mean(slips != 0) < 0.02
    assert np.sum(slips == 1) == np.sum(slips == -1)
    if got == 0.1:
        assert np.any(slips != 0)


def test_shield_without_data(local_mmoda):
    request = {"instrument": "spi_acs", "T1": "2001-01-01T00:00:00", "T2": "2001-01-01T00:01:00"}
    (reply,) = run(local_mmoda, **request, product_type="spi_acs_lc")
    assert (reply["query_status"], reply["exit_status"]["status"]) == ("failed", 1)


@pytest.mark.parametrize(
    ("instrument", "product"), [("spacetime", "spacetime_lc"), ("twins", "first_lc"), ("twins", "second_lc")]
)
def test_small_instruments(local_mmoda, instrument, product):
    (curve,) = products(run(local_mmoda, instrument=instrument, product_type=product, **SHORT))
    assert curve.name == product
    assert [unit["name"] for unit in curve.units] == ["PRIMARY", "LC"]
    assert "MJDREF" not in curve.units[1]["header"]
    table = unpack(curve.units[1])
    assert table["RATE"].mean() == pytest.approx(100.0, abs=3.0)
    start, stop = (Time(SHORT[name]).tt.mjd for name in ("T1", "T2"))
    assert start < table["TIME"].min() < table["TIME"].max() < stop


# ---- JEM-X -------------------------------------------------------------------------------------------------------

XRAYS = {**OBSERVATION, "instrument": "jemx", "radius": 4.3, "E1_keV": 3, "E2_keV": 20}
XRAY_NAMES = ["1RXS J180834.7+101041", "IGR J18078+1123", "IGR J18308+0928", "MAXI J1820+070", "Ser X-1"]
"""The known sources that are significant in spectra and light curves of `XRAYS`."""
FAINT_XRAY_NAMES = ["V2301 Oph", "V426 Oph"]
"""Those that may be, or not."""


def like(here, there):
    """Whether two units have the same form."""
    return all(here[key] == there[key] for key in ("dt", "hdu_type", "units_dict"))


@pytest.mark.parametrize("number", [1, 2])
def test_xray_image(local_mmoda, number):
    replies = run(local_mmoda, **XRAYS, product_type="jemx_image", jemx_num=number)
    assert messages(replies[-2]) == {"main starting", "restored from cache", "main done", "done"}
    real = recorded("jemx_image_dummy")["products"]
    (mosaic,) = products(replies)
    assert (mosaic.name, mosaic.meta["instrument"]) == ("mosaic_image", "jemx")
    assert [unit["name"] for unit in mosaic.units] == ["PRIMARY", "GROUPING"] + [f"JMX{number}-SKY.-IMA"] * 4
    there = real["numpy_data_product_list"][0]["data_unit_list"]
    for unit, model in zip(mosaic.units[2:], there[2:], strict=True):
        assert like(unit, model)
        # the recorded one was made of a small file
        assert set(model["header"]) - {"EXPOSURE"} <= set(unit["header"])

    assert replies[-1]["products"]["catalog"]["cat_column_names"] == real["catalog"]["cat_column_names"]
    rows = catalogue(replies)
    assert {*XRAY_NAMES, "NEW_1"} <= set(rows) <= {*XRAY_NAMES, *FAINT_XRAY_NAMES, "NEW_1", "NEW_2"}
    found = images(replies)
    units = {kind: header["BUNIT"] for (kind, _), (header, _) in found.items()}
    assert units == {
        "RECONSTRUCTED": "counts/dm2/s",
        "VARIANCE": "(counts/dm2/s)**2",
        "SIGNIFICANCE": "no units",
        "EXPOSURE": "sec",
    }
    source, header, intensity = sky.source("MAXI J1820+070"), *found["RECONSTRUCTED", 3.0]
    significance, variance = found["SIGNIFICANCE", 3.0][1], found["VARIANCE", 3.0][1]
    np.testing.assert_allclose(significance, intensity / np.sqrt(variance), rtol=1e-5)
    assert sky.separation(rows[source.name].ra, rows[source.name].dec, source.ra, source.dec) < 0.002
    x, y = coordinates(header).wcs_world2pix(source.ra, source.dec, 0)
    fraction = np.exp(-((x - round(float(x))) ** 2 + (y - round(float(y))) ** 2) * (0.04 / 0.05) ** 2 / 2.0)
    expected = sky.JEMX.band_rate(source, 3, 20) * sky.mean_factor(source, periods(replies)) * fraction
    expected /= sky.JEMX.image_area
    assert intensity[round(float(y)), round(float(x))] == pytest.approx(expected, rel=0.02)


def xray_names(found):
    """Names of spectra or light curves, the uncertain ones aside."""
    faint = {name.replace(" ", "") for name in FAINT_XRAY_NAMES} | set(FAINT_XRAY_NAMES)
    return [entry.meta["src_name"] for entry in found if entry.meta["src_name"] not in faint]


def test_xray_spectra(local_mmoda):
    replies = run(local_mmoda, **XRAYS, product_type="jemx_spectrum")
    found = products(replies)
    names = [name.replace(" ", "") for name in XRAY_NAMES]
    assert xray_names(found[::3]) == names
    number = 3 * [product.meta["src_name"] for product in found[::3]].index("MAXIJ1820+070")
    spectrum, arf, rmf = found[number : number + 3]
    kinds = [product.meta["product"] for product in (spectrum, arf, rmf)]
    assert kinds == ["jemx_spectrum", "jemx_arf", "jemx_rmf"]
    assert [unit["name"] for unit in spectrum.units] == ["PRIMARY", "JMX2-PHA1-SPE"]
    assert [unit["name"] for unit in arf.units] == ["PRIMARY", "SPECRESP"]
    inner = ["JMX2-AXIS-ARF", "JMX2-IMAG-ARF"]
    assert [unit["name"] for unit in rmf.units] == ["PRIMARY", "GROUPING", "SPECRESP MATRIX", "EBOUNDS", *inner]

    # channels count from 1, but not everywhere
    table, bounds = unpack(spectrum.units[1]), unpack(rmf.units[3])
    assert (table["CHANNEL"][0], bounds["CHANNEL"][0]) == (1, 0)
    assert (spectrum.units[1]["header"]["TLMIN1"], rmf.units[3]["header"]["TLMIN1"]) == (1, 0)
    # the area of the spectrum is in the ARF; the tables inside the RMF say the same number of another unit
    area = unpack(arf.units[1])["SPECRESP"]
    np.testing.assert_allclose(area, sky.JEMX.effective_area, rtol=1e-6)
    assert [unit["header"]["TUNIT3"] for unit in (arf.units[1], *rmf.units[4:])] == ["cm**2", "dm**2", "dm**2"]
    assert {unit["header"]["HDUCLAS2"] for unit in rmf.units[4:]} == {"SPECRESP"}
    np.testing.assert_array_equal(unpack(rmf.units[4])["SPECRESP"], area)

    low, high, matrix = response(arf, rmf)
    np.testing.assert_allclose(matrix, sky.JEMX.effective_area[:, np.newaxis] * sky.JEMX.redistribution, rtol=1e-6)
    source = sky.source("MAXI J1820+070")
    expected = source.photons(low, high) @ matrix * sky.mean_factor(source, periods(replies))
    chi_squared = np.sum(((table["RATE"] - expected) / table["STAT_ERR"]) ** 2)
    assert abs(chi_squared - len(table)) < 4.5 * np.sqrt(2.0 * len(table))


@pytest.mark.parametrize("number", [1, 2])
def test_xray_light_curves(local_mmoda, number):
    """With a column that the server appended and did not announce."""
    replies = run(local_mmoda, **XRAYS, product_type="jemx_lc", jemx_num=number, time_bin=500)
    found = products(replies)
    assert xray_names(found) == XRAY_NAMES
    real = recorded("jemx_lc_dummy")["products"]["numpy_data_product_list"][0]
    for curve in found:
        assert curve.name == real["name"]
        assert set(curve.meta) == set(json.loads(real["meta_data"]))
        assert [unit["name"] for unit in curve.units] == ["PRIMARY", f"JMX{number}-SRC.-LCR"]
        unit, there = curve.units[1], real["data_unit_list"][2]
        table, header, source = unpack(unit), unit["header"], sky.source(curve.meta["src_name"])
        assert unit["dt"] == there["dt"]
        columns = [key for key in there["header"] if key[:5] in ("TTYPE", "TFORM", "TUNIT")]
        assert [header.get(key) for key in columns] == [there["header"][key] for key in columns]
        assert "TIMEDEL" not in [value for key, value in header.items() if key.startswith("TTYPE")]
        assert header["NAME"] == source.name
        np.testing.assert_allclose(table["TIMEDEL"], 500 / 86400)
        # bins at multiples of their width, and only those with data
        number_of_bin = (table["TIME"] - header["TSTART"]) / table["TIMEDEL"] - 0.5
        np.testing.assert_allclose(number_of_bin, np.round(number_of_bin), atol=1e-5)
        assert np.all(table["ERROR"] > 0)
        grid = table["TIME"][:, np.newaxis] + table["TIMEDEL"][:, np.newaxis] * ((np.arange(20) + 0.5) / 20 - 0.5)
        expected = sky.JEMX.band_rate(source, 3, 20) * source.variability.factor(grid).mean(axis=1)
        chi_squared = np.sum(((table["RATE"] - expected) / table["ERROR"]) ** 2)
        assert abs(chi_squared - len(table)) < 4.5 * np.sqrt(2.0 * len(table)), source.name


def test_light_curves_of_unnamed_sources(local_mmoda):
    """Their headers have a word of a template for the name."""
    new = next(source for source in sky.SOURCES if not source.known)
    choice = catalog(("NEW_1", new.ra, new.dec, -32767, 1, 1), (*MAXI, -32768, 1, 1))
    for change in ({}, {"instrument": "jemx", "E1_keV": 3, "E2_keV": 20}):
        request = {**FEW, **change}
        found = products(run(local_mmoda, **request, **choice, product_type=f"{request['instrument']}_lc"))
        names = {curve.meta["src_name"]: curve.units[1]["header"]["NAME"] for curve in found}
        new_name = "NEW 1" if change else "NEW_1"
        assert names == {"MAXI J1820+070": "MAXI J1820+070", new_name: "String"}


# ---- a workflow --------------------------------------------------------------------------------------------------


def test_everything(local_mmoda):
    """Keys, names and forms as in the recorded reply of a notebook."""
    asked = {"source": "simulation", "flag": "no", "cfg": '{"b": [1]}', "opt": "\0", "scale": 3, "src_name": "raw"}
    replies = run(local_mmoda, instrument="workflow", product_type="everything", **asked)
    found, real = replies[-1]["products"], recorded("nb_everything_4_done")["products"]
    assert set(found) == set(real)
    assert set(found["prod_uris"]) == set(found["extra_metadata"])
    for key in (key for key in real if key.endswith("_list") and real[key]):
        assert {name for entry in real[key] for name in entry} <= {name for entry in found[key] for name in entry}

    (table,) = found["astropy_table_product_ascii_list"]
    model = real["astropy_table_product_ascii_list"][0]
    assert (table["name"], table["binary"], table["meta_data"]) == (model["name"], None, model["meta_data"])
    assert table["ascii"].startswith("# %ECSV 1.0\n")
    (binary,) = found["binary_data_product_list"]
    assert base64.urlsafe_b64decode(binary["data"]) == sky.WORKFLOW_BYTES
    assert binary["md5"] == hashlib.md5(sky.WORKFLOW_BYTES).hexdigest()
    pictures = found["binary_image_product_list"]
    assert [picture["name"] for picture in pictures] == ["plot", "plot"]
    assert all(base64.urlsafe_b64decode(picture["b64data"]) == sky.workflow_picture() for picture in pictures)
    values = {entry["name"]: entry["value"] for entry in found["text_product_list"]}
    assert (values["text"], values["number"]) == (sky.WORKFLOW_TEXT, sky.WORKFLOW_NUMBER)
    assert values["asked"] == {
        "source": "simulation",
        "flag": False,
        "cfg": {"b": [1]},
        "scale": 3.0,
        "opt": None,
        "when": "2021-01-02T03:04:05.000",
    }
    arrays = products(replies)
    assert [product.name for product in arrays] == ["raw lc", "raw lc", "my spectrum"]
    (spectrum,) = real["numpy_data_product_list"]
    for unit, there in zip(arrays[2].units, spectrum["data_unit_list"], strict=True):
        assert like(unit, there)


def test_light_curve_of_the_workflow(local_mmoda):
    """In MJD; and the remark is in the status."""
    request = {"instrument": "workflow", "product_type": "lightcurve", "source": "simulation", "band": "r", **SHORT}
    replies = run(local_mmoda, **request, nbins=20)
    assert replies[-1]["exit_status"]["comment"] == sky.WORKFLOW_COMMENT
    (curve,) = products(replies)
    real = recorded("nb_lightcurve_4_done")["products"]["numpy_data_product_list"][0]
    assert curve.name == real["name"] == "Mrk 421 lc"
    assert curve.meta == {}
    for unit, there in zip(curve.units, real["data_unit_list"], strict=True):
        assert like(unit, there)
        assert unit["header"] == there["header"] == {}
    assert unpack(curve.units[0]).shape == (0,)
    table, (start, stop) = unpack(curve.units[1]), (Time(SHORT[name], scale="utc").mjd for name in ("T1", "T2"))
    time, flux = sky.workflow_light_curve(start, stop, 20, "simulation", "r")
    np.testing.assert_allclose(table["TIME"], time, rtol=0, atol=1e-9)
    np.testing.assert_allclose(table["FLUX"], flux)


def test_tables_of_one_name(local_mmoda):
    reply = run(local_mmoda, instrument="workflow", product_type="tables")[-1]
    tables = reply["products"]["astropy_table_product_ascii_list"]
    assert [table["name"] for table in tables] == ["cat"] * 3
    for table, entries in zip(tables, sky.WORKFLOW_TABLES, strict=True):
        assert table["ascii"].count("\n") - table["ascii"].count("\n#") - 2 == len(entries)


def test_reports_of_the_workflow(local_mmoda):
    """All values are texts; only the last report is kept: polls of a busy machine may miss one, so that longer steps follow."""
    first, second = [], []
    for step in (0.3, 1, 3):
        with LocalMmoda(local_mmoda.python, step=step) as service:
            replies = run(service, instrument="workflow", product_type="lightcurve")
        reports = [reply["job_monitor"].get("full_report_dict", {}) for reply in replies]
        first += [report for report in reports if report.get("action") == "progress" and "stage" not in report]
        second += [report for report in reports if "stage" in report]
        if first and second:
            break
    assert first
    real = recorded("nb_slow_progress_report")["job_monitor"]["full_report_dict"]
    wanted = {"stage": "simulation", "progress": "25", "progress_max": "100"}
    assert any(set(report) == set(real) and wanted.items() <= report.items() for report in second), second


# ---- who may do what ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "roles", "request_"),
    [
        ("isgri_max_pointings", "general", {**OBSERVATION, "product_type": "isgri_image", "max_pointings": 51}),
        (
            "isgri_private_data",
            "general",
            {**OBSERVATION, "product_type": "isgri_image", "integral_data_rights": "all-private"},
        ),
        (
            "spi_acs_realtime",
            "general, unige-hpc-full",
            {"instrument": "spi_acs", "product_type": "spi_acs_lc", **CENTRE, **SHORT, "data_level": "realtime"},
        ),
    ],
)
def test_lacking_role(local_mmoda, reply, roles, request_):
    """In the words of the recorded refusals."""
    token = mint(key=local_mmoda.secret_key, roles=roles)
    answer = post(local_mmoda, **request_, token=token, query_status="new")
    assert answer.status_code == 403
    assert answer.json()["exit_status"]["message"] == recorded(f"error_403_{reply}")["exit_status"]["message"]


@pytest.mark.parametrize(
    ("change", "roles", "lacking"),
    [
        ({"max_pointings": 50}, None, set()),
        ({"max_pointings": 51}, None, {"unige-hpc-full"}),
        ({"max_pointings": 500}, "unige-hpc-full", set()),
        ({"max_pointings": 501}, "unige-hpc-full", {"unige-hpc-extreme"}),
        ({"scw_list": ",".join(["066500220010.001"] * 51)}, "general", {"unige-hpc-full"}),
        ({"integral_data_rights": "all-private"}, "general, integral-private-qla", set()),
    ],
)
def test_roles(local_mmoda, change, roles, lacking):
    # cheap: no source is in the field
    request = {**OBSERVATION, "RA": 200.0, "DEC": -60.0, "product_type": "isgri_lc", **change, "query_status": "new"}
    if roles is not None:
        request["token"] = mint(key=local_mmoda.secret_key, roles=roles)
    answer = post(local_mmoda, **request)
    assert answer.status_code == (403 if lacking else 200)
    message = answer.json()["exit_status"]["message"]
    assert {role for role in ("unige-hpc-full", "unige-hpc-extreme") if f" - {role}: " in message} == lacking


def test_restricted_instrument_of_the_supplement(local_mmoda):
    token = mint(key=local_mmoda.secret_key, roles="general, oda workflow developer")
    lists, descriptions, curves = [], [], []
    for query in ({}, {"token": token}):
        lists.append(requests.get(local_mmoda.url + "/instr-list", params=query, timeout=10).json())
        query = {"instrument": "restricted", **query}
        descriptions.append(requests.get(local_mmoda.url + "/api/meta-data", params=query, timeout=10))
        curves.append(post(local_mmoda, **query, product_type="restricted_lc", **SHORT, query_status="new"))
    assert set(lists[1]) - set(lists[0]) == {"restricted"}
    for replies, name in ((descriptions, "error_meta_data_restricted"), (curves, "error_403_restricted_instrument")):
        assert [reply.status_code for reply in replies] == [403, 200]
        refusal, real = replies[0].json(), recorded(name)
        assert all(refusal[key] == real[key] for key in ("error", "error_message"))
    assert curves[1].json()["query_status"] == "done"


@pytest.mark.parametrize(
    ("name", "claims", "query"),
    [
        ("none", None, {"query_status": "new"}),
        ("expired", {"hours": -1}, {"query_status": "new"}),
        ("role", {"roles": "general"}, {"query_status": "new"}),
        ("no_query_status", {}, {}),
        ("too_long", {}, {"query_status": "new", "refresh_interval": 10000000}),
    ],
)
def test_refused_refresh_of_the_supplement(local_mmoda, name, claims, query):
    record = json.loads((Path(__file__).parent / "data" / "responses" / f"error_refresh_{name}.json").read_text())
    token = {} if claims is None else {"token": mint(key=local_mmoda.secret_key, **claims)}
    reply = requests.get(local_mmoda.url + "/refresh_token", params={**token, **query}, timeout=10)
    assert reply.status_code == record["status_code"]
    if "text" in record:
        assert reply.text == record["text"]
    else:
        assert reply.json()["error_message"].startswith(record["json"]["error_message"][:20])


def test_job_records_of_the_supplement(local_mmoda):
    """Only one's own, in the form of the recorded ones."""
    tokens = [mint(key=local_mmoda.secret_key, sub=f"{name}@records.example") for name in ("first", "second")]
    request = {"instrument": "twins", "product_type": "first_lc", **SHORT, "query_status": "new"}
    jobs = [post(local_mmoda, **request, token=token).json()["job_monitor"]["job_id"] for token in tokens]

    def ask(token, **query):
        query["token"] = token
        return requests.get(local_mmoda.url + "/inspect-user-state", params=query, timeout=10).json()["records"]

    for token, job in zip(tokens, jobs, strict=True):
        (record,) = ask(token)
        assert [record] == ask(token, job_id=job[:8])
        assert record["job_id"] == job
        assert record["request_completed"] is True
        (real, *_) = recorded("inspect_user_state_job")["records"]
        assert set(record) == set(real)
        assert set(record["job_monitor"][0]) == set(real["job_monitor"][0])
        assert record["analysis_parameters"]["token"]["sub"].endswith("@records.example")
        assert ask(token, job_id=job) == ask(token, job_id=jobs[0][:8] if job == jobs[1] else jobs[1][:8]) == []
        assert ask(token, recent_days=0) == []
    assert requests.get(local_mmoda.url + "/inspect-user-state", timeout=10).text == "A token must be provided."


# ---- starting and stopping ---------------------------------------------------------------------------------------


def is_running(number):
    """Whether there is such a process (and not only its remains)."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        pass
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self").exists()


@pytest.mark.usefixtures("local_mmoda")
class TestLaunch:
    """With servers of their own; the fixture is there to skip them when there is no server environment."""

    def test_stop_leaves_nothing(self):
        with LocalMmoda(instrument_list=False, debug_instruments=True) as service:
            number, directory = service.process.pid, service.log_path.parent
            assert is_running(number)
            # like the bare released server
            assert requests.get(service.url + "/instr-list", timeout=10).status_code == 404
            old = requests.get(service.url + "/api/instr-list", params={"instrument": "mock"}, timeout=10).json()
            assert {"isgri", "empty", "empty-async"} <= set(old)
            with pytest.raises(RuntimeError, match="already running"):
                service.start()
        assert not is_running(number)
        assert not directory.exists()
        service.stop()

    def test_occupied_port(self, local_mmoda):
        port = int(local_mmoda.url.rpartition(":")[2])
        with pytest.raises(RuntimeError, match=r"(?s)ended at once.*in use"):
            LocalMmoda(port=port).start()

    def test_failed_start(self, tmp_path):
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\necho I am not a python; exit 3\n")
        broken.chmod(0o755)
        with pytest.raises(RuntimeError, match=r"(?s)status 3.*I am not a python"):
            LocalMmoda(broken).start()

    def test_no_orphans(self):
        """The server follows the process that started it, even if that is killed."""
        program = (
            "import time; from tests.local_mmoda.server import LocalMmoda; s = LocalMmoda().start(); "
            "print(s.process.pid, s.log_path.parent, flush=True); time.sleep(100)"
        )
        root = Path(__file__).resolve().parents[1]
        with subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True) as starter:
            number, directory = starter.stdout.readline().split()
            assert is_running(int(number))
            starter.send_signal(signal.SIGKILL)
        limit = time.monotonic() + 10
        while is_running(int(number)) and time.monotonic() < limit:
            time.sleep(0.1)
        assert not is_running(int(number))
        assert not Path(directory).exists()


def test_no_environment(monkeypatch):
    monkeypatch.setattr(environment, "find", lambda: None)
    with pytest.raises(RuntimeError, match="MMODA_SERVER_PYTHON"):
        LocalMmoda()


# ---- the server's environment ------------------------------------------------------------------------------------


@pytest.fixture
def fake_installation(monkeypatch):
    """Stands for venv and pip: counts the environments, and fails while `error` is set."""
    state = types.SimpleNamespace(installations=0, error="")

    def create(directory, with_pip):
        state.installations += 1
        (Path(directory) / "bin").mkdir(parents=True)
        (Path(directory) / "pyvenv.cfg").touch()
        (Path(directory) / "bin" / "python").touch()

    def install(command, **options):
        if "--target" in command:
            Path(command[command.index("--target") + 1]).mkdir()
        return types.SimpleNamespace(returncode=bool(state.error), stdout=state.error)

    monkeypatch.setattr(environment.venv, "create", create)
    monkeypatch.setattr(environment.subprocess, "run", install)
    return state


def test_environment_is_built_once(tmp_path, fake_installation, monkeypatch):
    directory = tmp_path / "server"
    assert environment.build(directory) == environment.build(directory) == directory / "bin" / "python"
    assert fake_installation.installations == 1
    assert environment.find_plugins(directory / "bin" / "python") == directory / "released-plugins"
    assert environment.find_plugins(tmp_path / "other" / "bin" / "python") is None
    monkeypatch.delenv("MMODA_SERVER_PYTHON", raising=False)
    monkeypatch.setattr(environment, "DEFAULT_DIRECTORY", directory)
    assert environment.find() == directory / "bin" / "python"
    monkeypatch.setenv("MMODA_SERVER_PYTHON", "/somewhere/python")
    assert environment.find() == Path("/somewhere/python")


def test_half_built_environment_is_rebuilt(tmp_path, fake_installation, monkeypatch):
    directory = tmp_path / "server"
    fake_installation.error = "many words\nERROR: no such package"
    with pytest.raises(RuntimeError, match="no such package"):
        environment.build(directory)
    monkeypatch.delenv("MMODA_SERVER_PYTHON", raising=False)
    monkeypatch.setattr(environment, "DEFAULT_DIRECTORY", directory)
    assert environment.find() is None
    fake_installation.error = ""
    environment.build(directory)
    assert environment.find() is not None


def test_changed_constraints_rebuild(tmp_path, fake_installation, monkeypatch):
    environment.build(tmp_path / "server")
    changed = tmp_path / "constraints.txt"
    changed.write_text("numpy==1.0\n")
    monkeypatch.setattr(environment, "CONSTRAINTS", changed)
    environment.build(tmp_path / "server")
    monkeypatch.setattr(environment, "PLUGINS", ("dispatcher-plugin-integral==2.0",))
    environment.build(tmp_path / "server")
    assert fake_installation.installations == 3


def test_foreign_directory_is_left_alone(tmp_path, fake_installation):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RuntimeError, match="choose another"):
        environment.build(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_port_that_is_taken_is_not_given_out(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.free_port()))
        port = taken.getsockname()[1]
        monkeypatch.setattr(server, "_PORTS", iter([port, *range(port + 1, 65_000)]))
        assert server.free_port() > port
        monkeypatch.setattr(server, "_PORTS", iter([port]))
        with pytest.raises(RuntimeError, match="no free port"):
            server.free_port()
