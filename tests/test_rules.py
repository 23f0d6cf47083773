"""Parameters that the service understood otherwise."""

import pytest

from astroquery_mmoda.protocol import Upload
from astroquery_mmoda.request.records import misunderstood


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        ("8.0", 8.0),
        ("8", 8),
        ("3.0", 10800.0),  # degrees taken as such, told in arcsec
        ("20.0", 20000.0),  # MeV in keV
        ("2018-03-16T10:55:12.000", "2018-03-16T10:55:12.000"),
        ("True", True),
        ("no", False),
        ("\x00", None),
        ("a,b", ["a", "b"]),
        ("", []),
        ("[1, 2]", [1, 2]),
        ('{"a": [1, null]}', '{"a": [1, null]}'),
        ('{"a":1}', {"a": 1}),
        ("0.0", 0.0),
    ],
)
def test_the_same(sent, understood):
    assert misunderstood({"p": sent}, {"p": understood}) == []


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        ("8.0", 15.0),
        ("8.0", None),
        ("8.0", -8.0),
        ("0.0", 5.0),
        ("True", False),
        ("a,b", ["a"]),
        ("x", 5.0),
        ("OSA11.2", "OSA10.2"),
        ('{"a": 1}', {"a": 2}),
        ("2018-03-16T10:55:12.000", "2018-03-16T10:55:13.000"),
    ],
)
def test_understood_otherwise(sent, understood):
    assert len(misunderstood({"p": sent}, {"p": understood})) == 1


def test_what_is_not_compared():
    sent = {"api": "True", "T_format": "isot", "file": Upload("a.txt", b"x"), "unknown": "1"}
    assert misunderstood(sent, {"api": "False", "T_format": "mjd", "file": "http://x"}) == []
    assert misunderstood({"radius": "8.0"}, {"radius": 15.0}) == ["radius: asked for 8.0, understood as 15.0"]


def test_recorded_replies_understood_what_was_asked(recorded):
    for name in ("empty_echo", "empty_echo_MeV", "empty_structured", "empty_optional_null", "isgri_lc_real"):
        reply = recorded(name)
        assert misunderstood({"RA": "83.63"}, {"RA": 83.63}) == []
        understood = reply["products"]["analysis_parameters"]
        assert misunderstood({"osa_version": understood.get("osa_version", "x")}, understood) == []
    assert (
        misunderstood({"ang_deg": "3.0", "energ": "20.0"}, recorded("empty_echo")["products"]["analysis_parameters"])
        == []
    )
    structured = recorded("empty_structured")["products"]["analysis_parameters"]
    assert misunderstood({"struct": '{"a": [3, 4], "b": null, "c": true}'}, structured) == []
