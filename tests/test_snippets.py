"""Snippets for oda_api, read and never run; snippets of ours, which run."""

import json

import pytest
from astroquery.exceptions import InputWarning

from astroquery_mmoda import Mmoda, ParameterError
from astroquery_mmoda.request.snippets import code_for, read_api_code
from tests.tokens import mint

SNIPPET = """
from oda_api.api import DispatcherAPI
disp=DispatcherAPI(url='http://mmoda.example:8100/mmoda/dispatch-data', instrument='mock')

par_dict={{
    "DEC": 22.01,
    "E1_keV": 28.0,
    "RA": 83.63,
    "T1": "2017-03-06T13:26:48.000",
    "T_format": "isot",
    "api": "True",
    "detection_threshold": None,
    "instrument": "isgri",
    "oda_api_version": "1.3.5",
    "product": "isgri_image",
    "product_type": "Real",
    "scw_list": ["066500220010.001"],
    "selected_catalog": '{{"cat_frame": "fk5"}}',
    "token": "{token}"
}}

data_collection = disp.get_product(**par_dict)
"""


def test_the_snippet_of_the_service():
    assert read_api_code(SNIPPET.format(token=mint())) == {
        "instrument": "isgri",
        "product": "isgri_image",
        "query_type": "Real",
        "RA": 83.63,
        "DEC": 22.01,
        "E1_keV": 28.0,
        "T1": "2017-03-06T13:26:48.000",
        "T_format": "isot",
        "detection_threshold": None,
        "scw_list": ["066500220010.001"],
        "selected_catalog": '{"cat_frame": "fk5"}',
    }


@pytest.mark.parametrize(
    "name", ["isgri_image_6_done", "isgri_lc_real", "spi_acs_lc_real", "nb_everything_4_done", "empty_echo"]
)
def test_recorded_snippets(recorded, name):
    products = recorded(name)["products"]
    arguments = Mmoda.from_api_code(products["api_code"])
    understood = products["analysis_parameters"]
    assert arguments["instrument"] == understood["instrument"]
    assert arguments["product"] == understood["product_type"]
    assert arguments["query_type"] == understood["query_type"]
    assert "token" not in arguments
    assert arguments.get("RA") == understood.get("RA")


def test_a_call_with_keywords():
    text = "disp.get_product(instrument='isgri', product='isgri_lc', product_type='Real', RA=-29.7, radius=8)"
    assert read_api_code(text) == {
        "instrument": "isgri",
        "product": "isgri_lc",
        "query_type": "Real",
        "RA": -29.7,
        "radius": 8,
    }


def test_nothing_runs(tmp_path):
    mark = tmp_path / "mark"
    text = f"par_dict = {{'instrument': 'isgri', 'product': 'p', 'x': open({str(mark)!r}, 'w').close()}}"
    with pytest.warns(InputWarning, match=r"left out: x \(open"):
        assert read_api_code(text) == {"instrument": "isgri", "product": "p"}
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    ["", "hello", "par_dict = {", "x = 1", "{'a': 1}", "(" * 5000, "\x00", "a" + "+a" * 100_000, "x" * 30_000_000],
)
def test_what_is_no_snippet(text):
    with pytest.raises(ParameterError):
        read_api_code(text)


def test_our_own_snippet():
    fields = {
        "instrument": "isgri",
        "product_type": "isgri_lc",
        "query_type": "Dummy",
        "query_status": "new",
        "api": "True",
        "oda_api_version": "1.3.5",
        "RA": "83.63",
        "opt": "\x00",
        "cfg": json.dumps({"a": "it's"}),
    }
    text = code_for(None, fields)
    compile(text, "snippet", "exec")
    assert "submit_product('isgri', product='isgri_lc', query_type='Dummy', parameters=parameters)" in text
    assert "'opt': None" in text
    assert "token" not in text
    assert "Mmoda(server='http://x').submit_product" in code_for("http://x", fields)


def test_a_job_writes_a_snippet_that_asks_the_same(mmoda):
    job = mmoda.submit_lightcurve("spacetime", time_range=(58000, 58001))
    names: dict = {}
    text = job.to_code().replace("job = Mmoda", "again = Mmoda").replace("products = job.result()", "")
    exec(text, names)
    assert names["again"].job_id == job.job_id
