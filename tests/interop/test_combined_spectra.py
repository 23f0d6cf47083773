"""Sherpa fits sums of spectra: the index of a power law that was folded with the different responses of their parts."""

import logging

import numpy as np
import pytest

from astroquery_mmoda import write_spectra
from astroquery_mmoda.combine import combine_spectra
from tests.genuine_like import spectra as like

pytestmark = pytest.mark.filterwarnings("ignore")
INDEX, NORM = 2.1, 60.0


@pytest.fixture
def ui(tool):
    tool("sherpa")
    from sherpa.astro import ui

    logging.getLogger("sherpa").setLevel(logging.ERROR)
    ui.clean()
    ui.set_stat("chi2datavar")
    return ui


def parts(count, *, areas, blurred, qualities, index=INDEX, seed=5):
    """Spectra of a source that is the same in all, with other responses, exposures, and bad channels in each."""
    rng = np.random.default_rng(seed)
    low, high = like.ENERGIES[:-1], like.ENERGIES[1:]
    photons = NORM / (index - 1) * (low ** (1 - index) - high ** (1 - index))
    made = []
    for number in range(count):
        area = like.AREA * (1 + number * np.linspace(0.5, -0.15, len(like.AREA)) if areas else 1)
        matrix = like.matrix(0, "MATRIX", TLMIN4=0)
        if blurred:
            spread = np.roll(matrix.data["MATRIX"], 1, axis=1) * 0.1 * number
            matrix.data["MATRIX"] = matrix.data["MATRIX"] * (1 - 0.1 * number) + spread
        exposure = 20_000.0 * (1 + number)
        rate = (photons * area) @ matrix.data["MATRIX"]
        error = np.sqrt(rate / exposure)
        spectrum = like.spectrum(
            0, values={"RATE": rng.normal(rate, error), "STAT_ERR": error}, EXPOSURE=exposure, TLMIN1=0
        )
        if qualities:
            spectrum.data["QUALITY"][number] = 2
            spectrum.data["RATE"][number] *= 50
        spectrum.header.update(TSTART=100.0 * number, TSTOP=100.0 * number + 50, MJDREF=51544.0, TIMEUNIT="s")
        hdus = like.one_file(spectrum, like.area(values=area), like.bounds(0, TLMIN1=0), matrix)
        for hdu, name in zip(hdus[1:], ("SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX"), strict=True):
            hdu.name, hdu.ver, hdu.header["SRC_NAME"] = name, 1, "Crab"
        made.append(hdus)
    return made


@pytest.mark.parametrize("areas", [False, True])
@pytest.mark.parametrize("blurred", [False, True])
@pytest.mark.parametrize("qualities", [False, True])
@pytest.mark.parametrize("weights", ["exposure", "variance"])
def test_fit(ui, tmp_path, areas, blurred, qualities, weights):
    spectra = combine_spectra(parts(4, areas=areas, blurred=blurred, qualities=qualities), weights=weights)
    path = write_spectra(spectra, tmp_path)["path"][0]
    ui.load_pha(path, use_errors=True)
    ui.ignore_bad()
    ui.set_source(ui.powlaw1d.source)
    ui.powlaw1d.source.ref = 40
    ui.guess(ui.powlaw1d.source)
    ui.fit()
    ui.covar()
    fitted = dict(zip(ui.get_covar_results().parnames, ui.get_covar_results().parmaxes, strict=True))
    source, error = ui.powlaw1d.source, fitted["source.gamma"]
    assert error < 0.01  # errors which are too large would let everything pass
    assert abs(source.gamma.val - INDEX) < 3 * error
    assert abs(source.ampl.val - NORM * 40**-INDEX) < 3 * fitted["source.ampl"]
    assert ui.get_fit_results().rstat < 3
    assert ui.get_fit_results().numpoints == like.CHANNELS


def test_local_mmoda(ui, mmoda, isgri, expected, tmp_path):
    from tests.interop.conftest import FIELD, WINDOWS

    catalog = mmoda.query_catalog("isgri", **FIELD, energy_range=(30, 80))
    halves = [
        mmoda.query_spectrum("isgri", **{**FIELD, "scw_list": windows}, catalog=catalog)
        for windows in (WINDOWS[:25], WINDOWS[25:])
    ]
    spectra = combine_spectra(halves)
    assert spectra[0].header["NJOBS"] == 2
    name = "Ser X-1"
    for manifest in (write_spectra(spectra, tmp_path / "sum"), write_spectra(isgri, tmp_path / "whole")):
        path = next(
            path
            for path, source, kind in manifest.iterrows("path", "source", "kind")
            if (source, kind) == (name, "spectrum")
        )
        ui.load_pha(path, use_errors=True)
        ui.ignore_bad()
        ui.notice(20, 200)
        ui.set_source(ui.powlaw1d.source)
        ui.powlaw1d.source.ref = 60
        ui.guess(ui.powlaw1d.source)
        ui.fit()
        ui.covar()
        error = ui.get_covar_results().parmaxes[0]
        assert error < 0.15
        assert abs(ui.powlaw1d.source.gamma.val - expected(name, (20, 200)).index) < 3 * error
