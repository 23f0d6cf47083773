"""Science windows from the local MMODA's time system, whose index is that of its synthetic observation."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time
from astroquery.exceptions import NoResultsWarning

from astroquery_mmoda import MmodaClass, errors
from conftest import require
from tests.local_mmoda import environment, sky
from tests.local_mmoda.server import LocalMmoda

SER = SkyCoord(279.9896, 5.0358, unit="deg")


def expected(kind="cons", near=None, radius=180.0, begin=-np.inf, end=np.inf, least=0.0):
    """Names of pointings in the index, in order of time; times in IJD."""
    windows = sorted(
        {window for window in sky.index(kind) if window.name.endswith("0")}, key=lambda window: window.start
    )
    return [
        window.name
        for window in windows
        if (near is None or SkyCoord(window.ra, window.dec, unit="deg").separation(near).deg <= radius)
        and window.start < end
        and window.stop > begin
        and (window.stop - window.start) * 86400 >= least - 1e-3
    ]


def test_all_pointings(mmoda):
    table = mmoda.query_science_windows()
    assert list(table["scw_id"]) == expected()
    assert len(table) > 300
    by_name = {window.name: window for window in sky.index("cons")}
    windows = [by_name[name] for name in table["scw_id"]]
    assert np.allclose((table["start"].tt.mjd - 51544 - [window.start for window in windows]) * 86400, 0, atol=1e-3)
    assert np.allclose((table["stop"].tt.mjd - 51544 - [window.stop for window in windows]) * 86400, 0, atol=1e-3)
    assert np.allclose(table["ra"], [window.ra for window in windows])
    assert np.allclose(table["duration"], [(window.stop - window.start) * 86400 for window in windows])
    # also those that the service's own cut of good time would drop
    assert any(window.mode != sky.SCIENCE_MODE for window in windows)


def test_a_name_a_radius_and_a_duration(mmoda):
    table = mmoda.query_science_windows("Ser X-1", 4 * u.deg, min_duration=sky.SHORT_LENGTH + 1)
    assert list(table["scw_id"]) == expected(near=SER, radius=4, least=sky.SHORT_LENGTH + 1)
    assert 0 < len(table) < len(expected(near=SER, radius=4))
    assert np.allclose(table["offset"], SkyCoord(table["ra"], table["dec"]).separation(SER).deg)


def test_times_are_cut_by_our_own_clock(mmoda):
    """A second makes the difference, at both ends, although the service is wrong by more than a minute."""
    table = mmoda.query_science_windows()
    first, last = table[40], table[60]
    second = 1 * u.s
    assert list(
        mmoda.query_science_windows(time_range=(first["stop"] - second, last["start"] + second))["scw_id"]
    ) == list(table["scw_id"][40:61])
    inner = mmoda.query_science_windows(time_range=(first["stop"] + second, last["start"] - second))
    assert list(inner["scw_id"]) == list(table["scw_id"][41:60])
    begin = Time("2007-03-01")
    found = mmoda.query_science_windows(time_range=(begin, begin + 200 * u.d))
    ijd = begin.tt.mjd - 51544
    assert list(found["scw_id"]) == expected(begin=ijd, end=ijd + 200)


def test_near_real_time_data(mmoda):
    table = mmoda.query_science_windows(nrt=True)
    assert list(table["scw_id"]) == expected("nrt")
    assert set(table["scw_ver"]) == {"000"}


def test_nothing(mmoda):
    with pytest.warns(NoResultsWarning):
        assert len(mmoda.query_science_windows("120 -60", 10)) == 0
    with pytest.warns(NoResultsWarning):
        assert len(mmoda.query_science_windows(time_range=("1999-01-01", "2001-01-01"))) == 0


def test_an_analysis_of_the_windows_that_were_found(mmoda):
    windows = mmoda.query_science_windows("Crab", 5 * u.deg, min_duration=1000)[:4]
    mosaic = mmoda.query_image("isgri", "Crab", scw_list=windows, energy_range=(30, 80) * u.keV, progress=False)
    assert mosaic["EXPOSURE"].data[np.isfinite(mosaic["EXPOSURE"].data)].max() > 0
    payload = mmoda.query_image("isgri", "Crab", scw_list=windows, get_query_payload=True)
    assert payload["scw_list"] == ",".join(f"{name}.001" for name in windows["scw_id"])


def test_a_dispatcher_without_a_time_system():
    python = environment.find()
    require(python, "the local dispatcher's environment")
    with LocalMmoda(python, time_system=False) as service:
        with pytest.raises(errors.ServiceError, match="no time system.*intscw.*long-observations"):
            MmodaClass(server=service.url).query_science_windows()
