# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What inputs of a sum say of themselves: jobs, science windows and times, and which must not be summed."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from astropy.io import fits
from astroquery.exceptions import InputWarning

from astroquery_mmoda import ParameterError, Products
from astroquery_mmoda.combine.inputs import InputFacts, Inputs, short_windows
from astroquery_mmoda.products.cards import parameters_of
from tests.local_mmoda import sky

WINDOWS = list(sky.windows(6649.0, 6655.0))


def reply(**parameters):
    """Body of the reply to an analysis with these parameters."""
    return {
        "query_status": "done",
        "job_monitor": {"job_id": "0123456789abcdef"},
        "products": {"analysis_parameters": parameters, "text_product_list": [{"name": "t", "value": "x"}]},
    }


def facts(windows=(), start=53000.0, stop=53001.0, **alike) -> InputFacts:
    known = {"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", "osa_version": "OSA11.2", **alike}
    return InputFacts(("a" * 16,), tuple(windows), start, stop, known)


# ---- what was analysed


def primary_of(body) -> fits.PrimaryHDU:
    """Written and read again."""
    from astroquery_mmoda.products.cards import primary_hdu

    file = io.BytesIO()
    fits.HDUList([primary_hdu(Products.from_response(body))]).writeto(file)
    with fits.open(io.BytesIO(file.getvalue())) as hdus:
        return hdus[0].copy()


@pytest.mark.parametrize("number", [1, 50, 200])
def test_science_windows_survive_in_files(number):
    """The text of 50 is 1000 characters, in lines of 72, whatever is at their ends."""
    primary = primary_of(reply(scw_list=WINDOWS[:number], osa_version="OSA11.2", E1_keV=20.0))
    found = InputFacts.of_hdulist(fits.HDUList([primary]), "INTENSITY")
    assert list(found.windows) == WINDOWS[:number]
    assert found.jobs == ("0123456789abcdef",)
    assert found.alike["osa_version"] == "OSA11.2"
    assert parameters_of(primary.header)["E1_keV"] == "20.0"


def test_science_windows_that_the_service_chose():
    body = reply(scw_list=[], osa_version="OSA11.2")
    body["products"]["input_prod_list"] = WINDOWS[:7]
    found = InputFacts.of_hdulist(fits.HDUList([primary_of(body)]), "INTENSITY")
    assert list(found.windows) == WINDOWS[:7]


def test_nothing_is_known_of_other_files():
    found = InputFacts.of_hdulist(fits.HDUList([fits.PrimaryHDU()]), "INTENSITY")
    assert (found.jobs, found.windows) == ((), ())
    assert not found.stop >= found.start


# ---- what may be summed


def test_the_same_window_twice():
    """Whatever its version."""
    inputs = Inputs("mosaic")
    inputs.add(facts(["053800100010.001", "053800110010.001"]))
    with pytest.raises(ParameterError, match="mosaic 0 and mosaic 1 both hold the science window 053800110010.000"):
        inputs.add(facts(["053800110010.000"]))
    Inputs("mosaic", overlap=True).add(facts(["053800100010.001"]))


def test_the_same_time_where_windows_are_unknown():
    inputs = Inputs("mosaic")
    inputs.add(facts())
    inputs.add(facts(start=53001.0, stop=53002.0))  # touches it
    with pytest.raises(ParameterError, match="the same time"):
        inputs.add(facts(["053800100010.001"], start=53000.5, stop=53000.6))


def test_windows_decide_where_both_are_known():
    """Parts of an observation may be interleaved."""
    inputs = Inputs("mosaic")
    inputs.add(facts(["053800100010.001"]))
    inputs.add(facts(["053800110010.001"]))
    assert inputs.values() == {"NJOBS": 1, "NFAILED": 0, "SPANDAYS": 1.0}  # of one job, since both say so


@pytest.mark.parametrize("name", ["TELESCOP", "INSTRUME", "DETNAM", "osa_version"])
def test_what_must_agree(name):
    inputs = Inputs("mosaic", overlap=True)
    inputs.add(facts(**{name: ""}))
    inputs.add(facts())
    with pytest.raises(ParameterError, match=f"mosaic 2 has {name} 'other'"):
        inputs.add(facts(**{name: "other"}))


def test_long_spans_of_isgri():
    inputs = Inputs("mosaic")
    inputs.add(facts())
    inputs.add(facts(start=53200.0, stop=53201.0))
    with pytest.warns(InputWarning, match="over 201 days.*half a year"):
        assert inputs.values()["SPANDAYS"] == 201.0
    inputs = Inputs("mosaic")
    inputs.add(facts(INSTRUME="JMX1", DETNAM=""))
    inputs.add(facts(INSTRUME="JMX1", DETNAM="", start=53200.0, stop=53201.0))
    assert inputs.values()["SPANDAYS"] == 201.0


def test_sums_of_sums_know_all_windows():
    inputs = Inputs("mosaic")
    inputs.add(facts(["053800100010.001"]))
    inputs.add(facts(["053800110010.001", "054500100010.001"], start=53002.0, stop=53003.0))
    table = inputs.hdu(WEIGHT=np.array([0.5, 0.5]))
    found = InputFacts.of_hdulist(fits.HDUList([fits.PrimaryHDU(), table]), "INTENSITY")
    assert found.windows == ("053800100010.001", "053800110010.001", "054500100010.001")
    rows = json.loads(inputs.text())
    assert [row["windows"] for row in rows] == ["0538:10", "0538:11 0545:10"]


def test_short_windows():
    names = ["053800100010.001", "053800110010.001", "053800130010.001", "054500010010.001"]
    assert short_windows(names) == "0538:10-11,13 0545:1"
    assert short_windows([]) == ""
