"""threeML fits the written spectra; it looks for the responses where it runs, not beside the spectrum."""

from pathlib import Path

import numpy as np
import pytest

# of other libraries, not of ours
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("name", "source", "band"), [("isgri", "Ser X-1", (20, 200)), ("jemx", "MAXI J1820+070", (4, 25))]
)
def test_fit(tool, request, written, expected, monkeypatch, name, source, band):
    tool("threeML")
    from threeML import DataList, JointLikelihood, Model, OGIPLike, PointSource, Powerlaw

    path = Path(written(request.getfixturevalue(name))[source])
    monkeypatch.chdir(path.parent)
    spectrum = OGIPLike("spectrum", observation=path.name)
    spectrum.set_active_measurements(f"{band[0]}-{band[1]}")
    law = Powerlaw(piv=np.sqrt(band[0] * band[1]), K=1e-3)
    fit = JointLikelihood(Model(PointSource("source", 0, 0, spectral_shape=law)), DataList(spectrum))
    values, _ = fit.fit(quiet=True)
    truth = expected(source, band)
    index, error = (values[key]["source.spectrum.main.Powerlaw.index"] for key in ("value", "error"))
    assert abs(-index - truth.index) < 3 * error
    power = 1 - truth.index
    norm = truth.flux * power / (band[1] ** power - band[0] ** power) * law.piv.value**-truth.index
    norm_found, norm_error = (values[key]["source.spectrum.main.Powerlaw.K"] for key in ("value", "error"))
    assert abs(norm_found - norm) < 3 * norm_error
    assert error < 0.15
    assert norm_error < 0.15 * norm
