"""Roles that a request will need, and parameters that the service understood otherwise."""

import pytest

from astroquery_mmoda.protocol import Upload
from astroquery_mmoda.request.records import misunderstood, needed_roles

ISGRI = {"instrument": "isgri", "osa_version": "OSA11.2", "integral_data_rights": "public"}


@pytest.mark.parametrize(
    ("fields", "roles"),
    [
        (ISGRI, []),
        ({**ISGRI, "max_pointings": "50"}, []),
        ({**ISGRI, "max_pointings": "51"}, ["unige-hpc-full"]),
        ({**ISGRI, "max_pointings": "501"}, ["unige-hpc-full", "unige-hpc-extreme"]),
        ({**ISGRI, "scw_list": ",".join(["066500220010.001"] * 51)}, ["unige-hpc-full"]),
        ({**ISGRI, "integral_data_rights": "all-private"}, ["integral-private-qla"]),
        ({**ISGRI, "osa_version": "OSA11.2-dev210827"}, ["integral-private-qla"]),
        ({**ISGRI, "scw_list": "066500220010.000"}, ["integral-public-nrt"]),
        ({"instrument": "spi_acs", "data_level": "realtime"}, ["integral-realtime"]),
        ({"instrument": "spi_acs", "data_level": "ordinary"}, []),
        ({"instrument": "workflow", "max_pointings": "1000"}, []),
        ({**ISGRI, "max_pointings": "many"}, []),
    ],
    ids=str,
)
def test_needed_roles(fields, roles):
    assert list(needed_roles(fields)) == roles


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
