"""Against the real service; left out unless pytest is called with --remote-data."""

import os

import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from astroquery_mmoda import Mmoda, ParameterError

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
    if "ODA_TOKEN" not in os.environ:
        pytest.skip("no token in ODA_TOKEN")
    curve = Mmoda.query_lightcurve(
        "spi_acs", "Crab", time_range=("2017-03-06T13:26:48", "2017-03-06T13:27:18"), time_bin=0.5 * u.s
    )
    assert isinstance(curve, Table)
    assert curve["time"].scale == "tt"
