"""Products of the local service, as files, and what they should say."""

import importlib.util
from dataclasses import dataclass

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.time import Time

from astroquery_mmoda import write_spectra
from conftest import require
from tests.local_mmoda import sky

TIMES = (58193.455, 58246.892)
WINDOWS = sky.spread(*(Time(TIMES, format="mjd", scale="utc").tt.mjd - sky.MJDREF), 50)
FIELD = {"coordinates": "MAXI J1820+070", "radius": 8 * u.deg, "time_range": TIMES, "scw_list": WINDOWS}
PERIODS = sky.periods(WINDOWS)


@dataclass(frozen=True)
class Expected:
    """A power law, and the flux (photons/cm2/s) in a band (keV)."""

    index: float
    flux: float
    band: tuple[float, float]


@pytest.fixture(scope="session")
def expected():
    """Function that gives the true spectrum of a source, as the pointings see it."""

    def look_up(name, band):
        source = sky.source(name)
        return Expected(source.photon_index, float(source.photons(*band)) * sky.mean_factor(source, PERIODS), band)

    return look_up


@pytest.fixture(scope="session")
def isgri(mmoda):
    """Spectra of all sources of the field; the rows of MATRIX have variable length."""
    catalog = mmoda.query_catalog("isgri", **FIELD, energy_range=(30, 80) * u.keV)
    return mmoda.query_spectrum("isgri", **FIELD, catalog=catalog)


@pytest.fixture(scope="session")
def jemx(mmoda):
    field = {**FIELD, "radius": 4.3 * u.deg}
    catalog = mmoda.query_catalog("jemx", **field, jemx_num=1, energy_range=(3, 20) * u.keV)
    return mmoda.query_spectrum("jemx", **field, jemx_num=1, catalog=catalog)


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Function that writes spectra and gives the name of each source's PHA file."""

    def write(spectra, **options):
        directory = tmp_path_factory.mktemp("spectra")
        manifest = write_spectra(spectra, directory, **options)
        return {
            source: path for path, source, kind in manifest.iterrows("path", "source", "kind") if kind == "spectrum"
        }

    return write


@pytest.fixture(scope="session")
def widened():
    """Function that gives the same spectra with rows of MATRIX that are all as long as there are channels."""

    def widen(spectra):
        return fits.HDUList([_full(hdu) if hdu.name == "MATRIX" else hdu for hdu in spectra])

    return widen


def _full(hdu):
    rows = np.zeros((len(hdu.data), hdu.header["DETCHANS"]), dtype="f4")
    for row, first, number, values in zip(
        rows, *(hdu.data[key] for key in ("F_CHAN", "N_CHAN", "MATRIX")), strict=True
    ):
        row[first : first + number] = values
    columns = [
        *(hdu.columns[key] for key in ("ENERG_LO", "ENERG_HI", "N_GRP")),
        fits.Column("F_CHAN", "J", array=np.zeros(len(rows))),
        fits.Column("N_CHAN", "J", array=np.full(len(rows), rows.shape[1])),
        fits.Column("MATRIX", f"{rows.shape[1]}E", array=rows),
    ]
    return fits.BinTableHDU.from_columns(columns, header=hdu.header, name="MATRIX", ver=hdu.ver)


@pytest.fixture(scope="session")
def tool():
    """Function that skips a test, or fails it where everything has to be there, without a package."""

    def look_for(name):
        require(importlib.util.find_spec(name), f"{name} (tox -e interop has it)")

    return look_for
