"""The value of one parameter as the text that the service understands, or an error that tells what is allowed."""

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.time import Time, TimeDelta

from astroquery_mmoda.errors import ParameterError
from astroquery_mmoda.request.encode import to_wire
from astroquery_mmoda.request.metadata import Parameter

ANGLE = Parameter("radius", "deg", 15.0, uris=("http://odahub.io/ontology#Angle",))
ARCSEC = Parameter("ang", "arcsec", 1.0, uris=("http://odahub.io/ontology#Angle",))
ENERGY = Parameter("E1_keV", "keV", 20.0, uris=("http://odahub.io/ontology#Energy",))
BIN = Parameter("time_bin", "sec", 1000.0, uris=("http://odahub.io/ontology#TimeDeltaIsDeprecated",))
WATT = Parameter("p", "W", 10.0, uris=("http://odahub.io/ontology#Float",))
COUNT = Parameter("n", None, 5, minimum=2, maximum=8)
OPTIONAL = Parameter("opt", None, None, optional=True, uris=("http://odahub.io/ontology#Float",))
FLAG = Parameter("flag", None, True, choices=("True", "true", "yes", "1", True, "False", "false", "no", "0", False))
CHOICE = Parameter("pick", "str", "spam", choices=("spam", "eggs", "ham"))
VERSION = Parameter("osa_version", "str", "OSA11.2", choices=("OSA11.2-dev",))
CAMERA = Parameter("jemx_num", None, 2, choices=(1, 2))
STRUCT = Parameter("cfg", None, {"a": 1})
LIST = Parameter("p_list", None, [], uris=("http://odahub.io/ontology#InputProdList",))
WHEN = Parameter("when", "isot", "2021-01-02T03:04:05.000")
SIGMA = Parameter("detection_threshold", "sigma", 7.0)


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        (ANGLE, 8 * u.deg, "8.0"),
        (ANGLE, 480 * u.arcmin, "8.0"),
        (ANGLE, "8 deg", "8.0"),
        (ANGLE, "8", "8.0"),
        (ANGLE, 8, "8.0"),
        (ANGLE, np.float32(0.5), "0.5"),
        (ANGLE, np.array(0.5), "0.5"),
        (ARCSEC, 1 * u.arcmin, "60.0"),
        (ENERGY, 0.03 * u.MeV, "30.0"),
        (ENERGY, 30, "30.0"),
        (BIN, 1000 * u.s, "1000.0"),
        (BIN, 0.5 * u.hour, "1800.0"),
        (BIN, TimeDelta(100, format="sec"), "100.0"),
        (BIN, "2 min", "120.0"),
        (WATT, 1 * u.kW, "1000.0"),
        (COUNT, 5, "5"),
        (COUNT, 5.0, "5"),
        (COUNT, np.int64(5), "5"),
        (COUNT, "5", "5"),
        (OPTIONAL, None, "\x00"),
        (OPTIONAL, 1.5, "1.5"),
        (FLAG, True, "True"),
        (FLAG, np.bool_(False), "False"),
        (FLAG, "yes", "True"),
        (FLAG, 0, "False"),
        (CHOICE, "eggs", "eggs"),
        (VERSION, "OSA10.2", "OSA10.2"),
        (CAMERA, 1, "1"),
        (SIGMA, 5, "5.0"),
        (LIST, ["a", "b"], "a,b"),
        (LIST, "a, b", "a,b"),
        (WHEN, Time("2021-01-02T03:05:14.184", scale="tt"), "2021-01-02T03:04:05.000"),
        (WHEN, 59216.0, "2021-01-02T00:00:00.000"),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_values(parameter, value, text):
    assert to_wire(parameter, value) == text


def test_structures_are_json():
    assert json.loads(to_wire(STRUCT, {"a": [1, None], "b": True})) == {"a": [1, None], "b": True}
    assert json.loads(to_wire(STRUCT, (1, 2))) == [1, 2]
    assert json.loads(to_wire(STRUCT, '{"a": 1}')) == {"a": 1}
    assert json.loads(to_wire(STRUCT, {"a": np.arange(3), "b": np.float64(0.5)})) == {"a": [0, 1, 2], "b": 0.5}


def test_large_integers_are_exact():
    assert to_wire(Parameter("seed", None, 1), 2**63 + 1) == str(2**63 + 1)


@pytest.mark.parametrize(
    ("parameter", "value", "says"),
    [
        (ANGLE, 8 * u.keV, "radius=8.0 keV: not a valid quantity in deg .*not convertible"),
        (ANGLE, "wide", "radius='wide': not a valid number"),
        (
            ANGLE,
            None,
            "radius=None: .*the service needs one.* type angle, in deg, at least 0, at most 180, default 15.0",
        ),
        (ANGLE, [1, 2] * u.deg, "not a valid number"),
        (ANGLE, True, "radius=True: not a valid number or Quantity"),
        (ANGLE, float("nan"), "must be finite"),
        (ANGLE, object, "not a valid number or Quantity"),
        (BIN, 5 * u.deg, "not convertible"),
        (COUNT, 5.5, "n=5.5: .*must be a whole number"),
        (COUNT, "many", "not a valid number"),
        (
            COUNT,
            9,
            "n=9: not a valid value .9 is out of range.. Needed: type integer, at least 2, at most 8, default 5.",
        ),
        (COUNT, 1, "out of range"),
        (COUNT, float("inf"), "must be finite"),
        (COUNT, 5 * u.s, "not a valid number without a unit"),
        (FLAG, "perhaps", "True or False is needed"),
        (CHOICE, "egg", "not among the choices .did you mean 'eggs'.*: spam, eggs, ham"),
        (CAMERA, 3, "not among the choices: 1, 2"),
        (STRUCT, "{broken", "not a valid value"),
        (STRUCT, 5, "a dict, a list"),
        (STRUCT, {"a": ...}, "not a valid value"),
        (LIST, ["a,b"], "comma"),
        (LIST, 5, "not a valid value"),
        (WHEN, "noon", "when='noon': not a valid time"),
        (VERSION, ["OSA11.2"], "a text is needed"),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_wrong_values_tell_what_is_allowed(parameter, value, says):
    with pytest.raises(ParameterError, match=says):
        to_wire(parameter, value)
