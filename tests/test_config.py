"""Configuration is read at call time and stands in a section of its own."""

from astropy.config import generate_config

import astroquery_mmoda
from astroquery_mmoda import MmodaClass, conf


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
