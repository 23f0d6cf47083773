"""gammapy reads the responses; its reader of whole OGIP data sets takes counts with a background, and not rates."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from astroquery_mmoda import Products, write_spectra
from tests.local_mmoda import sky
from tests.workflow_tables import entry, products

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


# ---- flux points of workflows

ENERGIES = np.array([1.0, 2.0, 4.0])
TABLES = {
    "hess": {
        **{"Emean[TeV]": ENERGIES, "Emin[TeV]": 0.7 * ENERGIES, "Emax[TeV]": 1.4 * ENERGIES},
        **{"Flux[TeV/cm2s]": 1e-12 / ENERGIES, "Flux_error[TeV/cm2s]": 1e-13 / ENERGIES},
    },
    "auger": {
        **{"Emean[eV]": 1e18 * ENERGIES, "Emin[eV]": 7e17 * ENERGIES, "Emax[eV]": 1.4e18 * ENERGIES},
        **{"Flux[erg/cm2s]": 1e-12 / ENERGIES, "Flux_error_lo[erg/cm2s]": 1e-13 / ENERGIES},
        **{"Flux_error_hi[erg/cm2s]": 3e-13 / ENERGIES, "UpLim": [False, False, True]},
    },
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("by", ["products", "spectra"])
def test_flux_points(tmp_path, name, by):
    """The names of gammapy's columns are given as the page of spectra shows it."""
    from gammapy.estimators import FluxPoints

    columns = TABLES[name]
    whole = products(entry(columns))
    manifest = whole.write(tmp_path) if by == "products" else write_spectra(whole.spectrum(), tmp_path)
    table = Table.read(manifest["path"][0])
    names = {"AXISCOL": "e_ref", "LOCOL": "e_min", "HICOL": "e_max", "VALCOL": "e2dnde", "LIMCOL": "is_ul"}
    if table.meta["ERRLOCOL"] == table.meta["ERRHICOL"]:
        names["ERRLOCOL"] = "e2dnde_err"
    else:
        names |= {"ERRLOCOL": "e2dnde_errn", "ERRHICOL": "e2dnde_errp"}
    for keyword, new in names.items():
        if keyword in table.meta:
            table.rename_column(table.meta[keyword], new)
    if "is_ul" in table.colnames:
        table["e2dnde_ul"] = table["e2dnde"]
    points = FluxPoints.from_table(table, sed_type="e2dnde", format="gadf-sed")
    values = list(columns.values())
    unit = u.Unit("TeV cm-2 s-1") if name == "hess" else u.Unit("erg cm-2 s-1")
    np.testing.assert_allclose(points.e2dnde.quantity.squeeze().to_value(unit), values[3])
    np.testing.assert_allclose(points.energy_min.to_value(table["e_min"].unit), values[1])
    if name == "hess":
        np.testing.assert_allclose(points.e2dnde_err.quantity.squeeze().to_value(unit), values[4])
    else:
        np.testing.assert_allclose(points.e2dnde_errp.quantity.squeeze().to_value(unit), values[5])
        assert points.is_ul.data.squeeze().tolist() == values[6]
