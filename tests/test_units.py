"""Units as the service writes them."""

import time

import pytest
from astropy import units as u

from astroquery_mmoda.units import known_unit, read_heading, read_unit, standard_spelling

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


# ---- headings of workflows' tables

ENERGY_FLUX = u.erg / (u.cm**2 * u.s)
HEADINGS = {
    "Emean[TeV]": ("Emean", u.TeV),
    "Emin[eV]": ("Emin", u.eV),
    "Flux[TeV/cm2s]": ("Flux", u.TeV / (u.cm**2 * u.s)),
    "Flux_error_lo[erg/cm2s]": ("Flux_error_lo", ENERGY_FLUX),
    "E2dN_dE_error_down[erg/cm2s]": ("E2dN_dE_error_down", ENERGY_FLUX),
    "E2 dN/dE gamma [TeV/cm2s]": ("E2 dN/dE gamma", u.TeV / (u.cm**2 * u.s)),
    "E2 dN/dE nu[ TeV/cm2 s]": ("E2 dN/dE nu", u.TeV / (u.cm**2 * u.s)),
    "Exposure[cm2s]": ("Exposure", u.cm**2 * u.s),
    "frequency[Hz]": ("frequency", u.Hz),
    "Flux[counts/cm2s]": ("Flux", u.ct / (u.cm**2 * u.s)),
    # further ways to write the same
    "dN/dE[1/TeV/cm2/s]": ("dN/dE", 1 / (u.TeV * u.cm**2 * u.s)),
    "dN/dE [1/(TeV cm2 s)]": ("dN/dE", 1 / (u.TeV * u.cm**2 * u.s)),
    "dN/dE[TeV-1 cm-2 s-1]": ("dN/dE", 1 / (u.TeV * u.cm**2 * u.s)),
    "dN/dE[TeV**-1 cm**-2 s**-1]": ("dN/dE", 1 / (u.TeV * u.cm**2 * u.s)),
    "Flux[10^-12 erg/cm2/s]": ("Flux", 1e-12 * ENERGY_FLUX),
    "Flux[3e-12 erg/cm2s]": ("Flux", 3e-12 * ENERGY_FLUX),
    "Flux[1E-12 erg/cm2/sec]": ("Flux", 1e-12 * ENERGY_FLUX),
    "Flux[photons/cm2s]": ("Flux", u.ph / (u.cm**2 * u.s)),
    "Intensity[GeV/(m2 s sr)]": ("Intensity", u.GeV / (u.m**2 * u.s * u.sr)),
    "delay [days]": ("delay", u.day),
}


@pytest.mark.parametrize("heading", HEADINGS)
def test_headings_with_a_unit(heading):
    name, unit = HEADINGS[heading]
    read = read_heading(heading)
    assert read.name == name
    assert read.unit.is_equivalent(unit)
    assert read.unit.to(unit) == pytest.approx(1)
    assert read.time_format is None


@pytest.mark.parametrize(("heading", "name", "form"), [("Tmean[MJD]", "Tmean", "mjd"), ("t [UTC]", "t", "isot")])
def test_headings_with_a_format_of_time(heading, name, form):
    assert read_heading(heading) == (name, None, form)


@pytest.mark.parametrize(
    "heading", ["UpLim", "Omega_sound_waves", "bins_min", "x[]", "[TeV]", "x[foo]", "E[log10(eV)]", "a[1][2]", ""]
)
def test_headings_that_stay(heading):
    assert read_heading(heading) == (heading, None, None)


def test_headings_without_end():
    begin = time.monotonic()
    for heading in (
        "a" * 10**6,
        "[" * 10**6,
        " " * 10**6 + "[m]",
        "x[" + "m " * 10**5 + "]",
        "x[1/" + "/" * 10**5 + "]",
    ):
        assert read_heading(heading).unit is None or len(heading) < 10
    assert time.monotonic() - begin < 2
