"""Against the real service; left out unless pytest is called with --remote-data."""

import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from astroquery_mmoda import Mmoda, MmodaClass, ParameterError

pytestmark = pytest.mark.remote_data


def test_instruments():
    table = Mmoda.list_instruments()
    assert "isgri" in table["instrument"]
    assert "isgri_image" in Mmoda.list_products("isgri")["product"]
    assert "E1_keV" in Mmoda.list_parameters("isgri", "isgri_image")["name"]


def test_resolve_name():
    assert Mmoda.resolve_name("Crab").separation(Mmoda.resolve_name("M 1")) < 1 * u.arcmin


def test_nothing_is_submitted_for_a_wrong_name():
    with pytest.raises(ParameterError, match="radius"):
        Mmoda.query_image("isgri", "Crab", radus=8 * u.deg)


def test_canned_image():
    mosaic = Mmoda.query_image("isgri", "Crab", query_type="Dummy", time_range=(57818.56, 57818.65), radius=8 * u.deg)
    assert isinstance(mosaic, fits.HDUList)
    assert "SIGNIFICANCE" in mosaic


def test_lightcurve_of_spi_acs():
    curve = Mmoda.query_lightcurve(
        "spi_acs", "Crab", time_range=("2017-03-06T13:26:48", "2017-03-06T13:27:18"), time_bin=0.5 * u.s
    )
    assert isinstance(curve, Table)
    assert curve["time"].scale == "tt"
    assert len(curve) == 60


def test_archive():
    table = Mmoda.query_region("83.633 22.014", "30 arcmin", maxrec=3)
    assert len(table) <= 3
    assert {"target_name", "e_min", "position"} <= set(table.colnames)


def test_who_asks(live_token):
    mmoda = MmodaClass()
    assert mmoda.login(live_token)
    assert mmoda.session_info()["location"] == "argument"
    assert "isgri" in mmoda.list_instruments()["instrument"]
