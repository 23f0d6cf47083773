"""gammapy reads the responses; its reader of whole OGIP data sets takes counts with a background, and not rates."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from astroquery_mmoda import Products, write_spectra
from tests.local_mmoda import sky

# of other libraries, not of ours
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _gammapy(tool):
    tool("gammapy")


def _responses(spectra, directory, **options):
    manifest = write_spectra(spectra, directory, **options)
    return {kind: path for path, kind in manifest.iterrows("path", "kind")}


@pytest.mark.parametrize("shape", ["variable", "fixed"])
@pytest.mark.parametrize("name", ["isgri", "jemx"])
def test_responses_of_the_local_service(request, tmp_path, widened, name, shape):
    from gammapy.irf import EDispKernel
    from gammapy.maps import RegionNDMap

    spectra, camera = request.getfixturevalue(name), {"isgri": sky.ISGRI, "jemx": sky.JEMX}[name]
    paths = _responses(widened(spectra) if shape == "fixed" else spectra, tmp_path)
    matrix = fits.getheader(paths["rmf"], 2)
    assert ("P" in matrix["TFORM6"]) == (shape == "variable")
    kernel = EDispKernel.read(paths["rmf"], hdu1=matrix["EXTNAME"], checksum=True)
    np.testing.assert_allclose(kernel.pdf_matrix, camera.redistribution, rtol=1e-6)
    np.testing.assert_allclose(kernel.axes["energy_true"].edges.to_value(u.keV)[:-1], camera.energy_lo, rtol=1e-6)
    np.testing.assert_allclose(kernel.axes["energy"].edges.to_value(u.keV)[1:], camera.channel_hi, rtol=1e-6)
    area = RegionNDMap.read(paths["arf"], format="ogip-arf", checksum=True)
    np.testing.assert_allclose(area.quantity.to_value(u.cm**2).ravel(), camera.effective_area, rtol=1e-6)


@pytest.mark.parametrize("name", ["isgri_spectrum_real", "jemx_spectrum_dummy"])
def test_recorded_responses(recorded, tmp_path, widened, name):
    from gammapy.irf import EDispKernel
    from gammapy.maps import RegionNDMap

    spectra = Products.from_response(recorded(name)).spectrum()
    paths = _responses(spectra, tmp_path)
    number = len(spectra["SOURCES"].data)  # the last is what the names of the files stand for
    kernel = EDispKernel.read(paths["rmf"], hdu1=fits.getheader(paths["rmf"], 2)["EXTNAME"])
    np.testing.assert_allclose(kernel.pdf_matrix, widened(spectra)["MATRIX", number].data["MATRIX"], rtol=1e-6)
    area = RegionNDMap.read(paths["arf"], format="ogip-arf")
    np.testing.assert_allclose(area.data.ravel(), spectra["SPECRESP", number].data["SPECRESP"], rtol=1e-6)
