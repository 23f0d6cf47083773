"""Units as the service writes them."""

import time

import pytest
from astropy import units as u

from astroquery_mmoda.units import known_unit, read_unit, standard_spelling

RATE = u.ct / u.s


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("counts/sec", RATE),
        ("counts/s", RATE),
        ("cts/s", RATE),
        ("Counts/Sec", RATE),
        ("count/s", RATE),
        ("ct s-1", RATE),
        ("counts sec**-1", RATE),
        ("(counts/sec)**2", RATE**2),
        ("(count/s)**2", RATE**2),
        ("(counts/dm2/s)**2", RATE**2 / u.dm**4),
        ("(counts/sec)", RATE),
        ("((cts/s))**2", RATE**2),
        ("( counts / (dm2 sec) )^2", RATE**2 / u.dm**4),
        ("(counts/sec)**-1", 1 / RATE),
        ("counts/dm2/s", RATE / u.dm**2),
        ("counts/cm2/s", RATE / u.cm**2),
        ("photons/cm**2/sec", u.photon / u.cm**2 / u.s),
        ("sec", u.s),
        ("no units", u.dimensionless_unscaled),
        ("sigma", u.dimensionless_unscaled),
        ("none", u.dimensionless_unscaled),
        ("No  Units", u.dimensionless_unscaled),
        ("erg / (s cm**2)", u.erg / u.s / u.cm**2),
        ("cm**2", u.cm**2),
        ("keV", u.keV),
        ("degrees", u.deg),
        ("arcsec", u.arcsec),
    ],
)
def test_spellings_of_the_service(text, unit):
    assert known_unit(text) == unit


@pytest.mark.parametrize("text", ["furlongs/sec", "COUNT_RATE", "10**9999999 m", "(" * 300, "counts sectors"])
def test_what_nobody_knows_stays_text_and_takes_no_time(text):
    begin = time.process_time()
    assert known_unit(text) is None
    assert isinstance(read_unit(text), u.UnrecognizedUnit)
    assert standard_spelling(text) is None
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("counts/sec", "count / s"),
        ("(counts/sec)**2", "count2 / s2"),
        ("no units", ""),
        ("sec", "s"),
        ("counts/dm2/s", "count / (s dm2)"),
    ],
)
def test_spelling_of_the_standard(text, spelling):
    found = standard_spelling(text)
    assert found.replace("ct", "count") == spelling
    assert u.Unit(found, format="fits") == known_unit(text)
