"""Configuration is read at call time and stands in a section of its own."""

import math

import pytest
from astropy.config import ConfigItem, generate_config, get_config

import astroquery_mmoda
from astroquery_mmoda import MmodaClass, ParameterError, conf
from astroquery_mmoda.config import Conf


def test_server_is_read_when_it_is_needed():
    client = MmodaClass()
    with conf.set_temp("server", "https://elsewhere.example/dispatch"):
        assert client.URL == "https://elsewhere.example/dispatch"
    assert client.URL == "https://www.astro.unige.ch/mmoda/dispatch-data"


def test_a_server_of_its_own():
    assert MmodaClass(server="http://127.0.0.1:1/").URL == "http://127.0.0.1:1"
    assert astroquery_mmoda.Mmoda(server="http://127.0.0.1:2").URL == "http://127.0.0.1:2"


def test_items_stand_in_the_section_of_the_package(tmp_path):
    path = tmp_path / "generated.cfg"
    generate_config("astroquery_mmoda", filename=path)
    text = path.read_text()
    for name in ("server", "timeout", "job_timeout", "poll_interval_max", "discover_token", "insecure_http"):
        assert f"\n# {name} =" in text
    assert "[config]" not in text


NUMBERS = [
    name
    for name, item in vars(Conf).items()
    if isinstance(item, ConfigItem) and isinstance(item.defaultvalue, (int, float)) and item.cfgtype != "boolean"
]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-1, -math.inf, math.nan, None])
def test_numbers_are_checked_when_they_are_read(name, value):
    try:
        setattr(conf, name, value)
    except (TypeError, ValueError):  # astropy wants whole numbers for some
        return
    try:
        with pytest.raises(ParameterError, match=f"conf.{name} = .* must be a number"):
            getattr(conf, name)
    finally:
        setattr(conf, name, getattr(Conf, name).defaultvalue)
    assert getattr(conf, name) == getattr(Conf, name).defaultvalue


@pytest.mark.parametrize(
    "line", ["timeout = soon", "timeout = nan", "max_nesting = 1e3", "insecure_http = perhaps", "journal_size = -3"]
)
def test_a_configuration_file_with_odd_values(line, monkeypatch):
    name, _, text = line.partition(" = ")
    # as text, like all that was read from the file
    monkeypatch.setitem(get_config("astroquery_mmoda", rootname=getattr(Conf, name).rootname), name, text)
    with pytest.raises(ParameterError, match=f"conf.{name}"):
        getattr(conf, name)
