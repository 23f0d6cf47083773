# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
From an image to catalogue, spectra and light curves, against a local MMODA that this script starts.

Run it by ``tox -e quickstart`` (which builds the two environments that it needs) from the directory of the project.
Against the real service the same calls work without ``server=``; the sources of the local one are synthetic.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from matplotlib import pyplot as plt

from astroquery_mmoda import Mmoda, MmodaClass, write_spectra
from astroquery_mmoda.plotting import plot_image, plot_lightcurve, plot_spectrum
from tests.local_mmoda.server import LocalMmoda

FIELD = {
    "coordinates": "MAXI J1820+070",
    "radius": 8 * u.deg,
    "time_range": (58206.6, 58209.3),  # MJD (UTC)
    # Ten pointings of revolution 1936, the same ones in all queries. By max_pointings= the service would draw some of
    # those that match at random, and others for each query.
    "scw_list": [f"1936{pointing:04d}0010.001" for pointing in range(20, 40, 2)],
    "osa_version": "OSA11.2",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("quickstart-output"), help="directory for what it writes")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)

    print("Starting a MMODA dispatcher on this machine ...")
    with LocalMmoda() as service:
        print(f"... it answers at {service.url}\n")
        analyse(Mmoda(server=service.url), output)
    print("The dispatcher is stopped. These files were written:")
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        print(f"  {path}  ({path.stat().st_size:,} bytes)")


def analyse(mmoda: MmodaClass, output: Path) -> None:
    """Do what an astronomer would do with a field of INTEGRAL/ISGRI, and with a burst in SPI-ACS."""
    print("What is there?")
    mmoda.list_instruments().pprint_all()

    print("\n1. A mosaic of the field of MAXI J1820+070, 30-80 keV")
    mosaic = mmoda.query_image("isgri", **FIELD, energy_range=(30, 80) * u.keV)
    mosaic.info()
    mosaic.writeto(output / "mosaic.fits", overwrite=True)

    print("\n2. The sources in it")
    sources = mmoda.query_catalog("isgri", **FIELD, energy_range=(30, 80) * u.keV)
    sources.pprint_all()
    sources.write(output / "catalog.ecsv", overwrite=True)

    # also those without a name: what is bright and not in the catalogue spoils the spectra of what is
    bright = sources[sources["significance"] >= 8]
    print(f"\n   {len(bright)} of {len(sources)} are above 8 sigma: {', '.join(bright['src_names'])}")

    print("\n3. Their spectra, with responses, as files for XSPEC or Sherpa")
    spectra = mmoda.query_spectrum("isgri", **FIELD, catalog=bright)
    files = write_spectra(spectra, output / "spectra", overwrite=True)
    files["path"] = [str(Path(path).relative_to(output)) for path in files["path"]]
    files.pprint_all()

    print("\n4. Their light curves in bins of 1000 s")
    curve = mmoda.query_lightcurve("isgri", **FIELD, catalog=bright, time_bin=1000 * u.s)
    curve.pprint(max_lines=14, max_width=-1)
    curve.write(output / "lightcurve.ecsv", overwrite=True)

    print("\n5. A burst in the anticoincidence shield of SPI")
    burst = mmoda.query_lightcurve(
        "spi_acs",
        time_range=("2017-03-06T13:26:48", "2017-03-06T13:27:48"),
        time_bin=0.5 * u.s,
        src_name="GRB 170306",
    )
    burst.pprint(max_lines=10, max_width=-1)
    burst.write(output / "lightcurve_spi_acs.ecsv", overwrite=True)

    draw(mosaic, sources, spectra, curve, burst, output / "quickstart.png")


def draw(mosaic: fits.HDUList, sources: Table, spectra: fits.HDUList, curve: Table, burst: Table, path: Path) -> None:
    """Put the results on one page."""
    figure = plt.figure(figsize=(15, 11), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.15, 1), height_ratios=(1.25, 1))
    sky = figure.add_subplot(grid[0, 0], projection=WCS(mosaic["SIGNIFICANCE"].header))
    plot_image(mosaic, catalog=sources, ax=sky)
    sky.set_title("ISGRI mosaic around MAXI J1820+070", pad=40)
    plot_spectrum(spectra, ax=figure.add_subplot(grid[0, 1])).set_title("ISGRI spectra")
    bright = ["MAXI J1820+070", "Ser X-1"]
    shown = curve[[name in bright for name in curve["src_name"]]]
    plot_lightcurve(shown, ax=figure.add_subplot(grid[1, 0])).set_title("ISGRI light curves")
    plot_lightcurve(burst, ax=figure.add_subplot(grid[1, 1])).set_title("SPI-ACS light curve")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
