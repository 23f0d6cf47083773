"""Strain and spectrograms of gravitational waves in gwpy."""

import numpy as np
import pytest
from astropy import units as u

from astroquery_mmoda import Products
from conftest import require
from tests.hostile import reply
from tests.test_product_methods import SPECTROGRAM, STRAIN

# of gwpy, about future versions of astropy
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def product():
    """Function that gives the only product of a reply."""
    import importlib.util

    require(importlib.util.find_spec("gwpy"), "gwpy")
    return lambda **products: Products.from_response(reply(**products))[0]


def test_strain(product):
    strain = product(gw_strain_product_list=[STRAIN])
    series = strain.to_gwpy()
    assert type(series).__name__ == "TimeSeries"
    np.testing.assert_array_equal(series.value, STRAIN["value"])
    assert (series.t0, series.dt, series.name) == (STRAIN["t0"] * u.s, STRAIN["dt"] * u.s, "Strain")
    assert series.sample_rate == 4096 * u.Hz
    # of its own
    series.value[:] = 0
    assert strain.data["strain"][0] == 1e-21


def test_spectrogram(product):
    spectrogram = product(gw_spectrogram_product=SPECTROGRAM).to_gwpy()
    assert type(spectrogram).__name__ == "Spectrogram"
    np.testing.assert_array_equal(spectrogram.value, SPECTROGRAM["value"])
    np.testing.assert_array_equal(spectrogram.frequencies.to_value("Hz"), SPECTROGRAM["yindex"])
    assert (spectrogram.t0, spectrogram.dt) == (SPECTROGRAM["x0"] * u.s, SPECTROGRAM["dx"] * u.s)
    assert spectrogram.crop_frequencies(25, 45).shape == (2, 2)
