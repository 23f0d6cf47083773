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
def test_matrix_of_the_local_isgri(isgri, tmp_path, shortened, shape):
    """It has the area in it, and the file of the area has ones."""
    from gammapy.irf import EDispKernel
    from gammapy.maps import RegionNDMap

    paths = _responses(shortened(isgri) if shape == "variable" else isgri, tmp_path)
    matrix = fits.getheader(paths["rmf"], 2)
    assert ("P" in matrix["TFORM6"]) == (shape == "variable")
    kernel = EDispKernel.read(paths["rmf"], hdu1=matrix["EXTNAME"], checksum=True)
    with_area = sky.EFFECTIVE_AREA[:, np.newaxis] * sky.REDISTRIBUTION
    np.testing.assert_allclose(kernel.pdf_matrix, with_area, rtol=1e-6)
    np.testing.assert_allclose(kernel.axes["energy_true"].edges.to_value(u.keV)[:-1], sky.ENERGY_LO, rtol=1e-6)
    np.testing.assert_allclose(kernel.axes["energy"].edges.to_value(u.keV)[1:], sky.CHANNEL_HI, rtol=1e-6)
    area = RegionNDMap.read(paths["arf"], format="ogip-arf", checksum=True)
    assert area.unit == ""
    assert set(area.data.ravel()) == {1.0}


@pytest.mark.parametrize("shape", ["variable", "fixed"])
def test_matrix_of_the_local_jemx(jemx, tmp_path, shortened, shape):
    """Its channels count from 1, as TLMIN4 says; gammapy takes F_CHAN for an index, so it needs that to be 0."""
    from gammapy.irf import EDispKernel
    from gammapy.maps import RegionNDMap

    paths = _responses(shortened(jemx) if shape == "variable" else jemx, tmp_path)
    with fits.open(paths["rmf"], mode="update") as hdus:
        assert hdus[2].header["TLMIN4"] == 1
        name = hdus[2].name
        if shape == "fixed":
            with pytest.raises(ValueError, match="broadcast"):
                EDispKernel.read(paths["rmf"], hdu1=name)
        hdus[2].data["F_CHAN"] -= 1
    kernel = EDispKernel.read(paths["rmf"], hdu1=name)
    np.testing.assert_allclose(kernel.pdf_matrix, sky.JEMX.redistribution, rtol=1e-6)
    np.testing.assert_allclose(kernel.axes["energy"].edges.to_value(u.keV)[1:], sky.JEMX.channel_hi, rtol=1e-6)
    area = RegionNDMap.read(paths["arf"], format="ogip-arf", checksum=True)
    np.testing.assert_allclose(area.quantity.to_value(u.cm**2).ravel(), sky.JEMX.effective_area, rtol=1e-6)


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
