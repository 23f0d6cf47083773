"""
Add parts up in one way, in a process of its own, write the sum, and print what it took.

    python adding.py WAY DIRECTORY NUMBER SUM

WAY is one of `WAYS`; ours run in the Python that has astroquery_mmoda, those of the peer in its own. A sum of two small
parts (in DIRECTORY/small) is made first, for what is imported and built on first use.

The peer's code runs as it is. Its mosaics and catalogues are read by its own functions; for spectra and light curves
these take one source only, so the objects that it adds, which a query would have returned, are put together here.
"""

# ruff: noqa: T201 - its answer goes to the one who started it
from __future__ import annotations

import gc
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import parts
from astropy.io import fits
from astropy.table import Table
from reading import peak_memory, reset_peak

Way = Callable[[Path, int], Callable[[], Any]]


def main(way: str, directory: Path, number: int, target: Path) -> dict[str, float]:
    """Add parts up, and tell the CPU time in seconds and the peak of memory in bytes."""
    prepare, write = WAYS[way]
    prepare(directory / "small", 2)()
    add = prepare(directory, number)
    gc.collect()
    before, start = reset_peak(), time.process_time()
    found = add()
    used, peak = time.process_time() - start, max(peak_memory() - before, 0)
    write(found, target)
    return {"cpu": used, "peak": peak}


def _paths(directory: Path, kind: str, number: int) -> list[Path]:
    return sorted(directory.glob(f"{kind}_*.fits"))[:number]


def _genuine_paths(directory: Path, pattern: str, number: int) -> list[Path]:
    """Of genuine files there are no small ones."""
    return sorted((directory.parent if directory.name == "small" else directory).glob(pattern))[:number]


# ---- this package


def _fresh(paths: list[Path], *left_out: str) -> Iterator[fits.HDUList]:
    """What queries return, one after the other: all in memory, and nowhere else."""
    for path in paths:
        with fits.open(path, memmap=False) as hdulist:
            yield fits.HDUList([hdu for hdu in hdulist if hdu.data is None or hdu.name not in left_out])


def _images(directory: Path, number: int) -> Callable[[], Any]:
    from astroquery_mmoda.combine import combine_images

    return lambda: combine_images(_fresh(_paths(directory, "mosaic", number), "CATALOG"))


def _images_with_catalogs(directory: Path, number: int) -> Callable[[], Any]:
    from astroquery_mmoda.combine import combine_images

    return lambda: combine_images(_fresh(_paths(directory, "mosaic", number)))


def _files(directory: Path, number: int) -> Callable[[], Any]:
    """Files opened as users do, which stay mapped into memory as long as the list is there."""
    from astroquery_mmoda.combine import combine_images

    return lambda: combine_images([fits.open(path) for path in _paths(directory, "mosaic", number)])


def _genuine(directory: Path, number: int) -> Callable[[], Any]:
    import gzip

    from astroquery_mmoda import Products
    from astroquery_mmoda.combine import combine_images

    replies = sorted(
        (directory.parent if directory.name == "small" else directory).glob("replies/isgri_image_*.json.gz")
    )
    return lambda: combine_images(
        (Products.from_response(gzip.decompress(reply.read_bytes())).image() for reply in replies[:number]),
        overlap=True,
    )


def _spectra(directory: Path, number: int) -> Callable[[], Any]:
    from astroquery_mmoda.combine import combine_spectra

    return lambda: combine_spectra(_fresh(_paths(directory, "spectra", number)))


def _curves(directory: Path, number: int) -> Callable[[], Any]:
    from astroquery_mmoda.combine import combine_lightcurves

    tables = [parts.curves(index) for index in range(number)]
    return lambda: combine_lightcurves(tables)


def _write_hdulist(hdulist: fits.HDUList, target: Path) -> None:
    hdulist.writeto(target, overwrite=True)


def _write_table(table: Table, target: Path) -> None:
    days = table["time"].tt.mjd - parts.MJDREF
    Table({"src_name": table["src_name"], "TIME": days, "RATE": table["RATE"]}).write(target, overwrite=True)


# ---- the peer


def _pymosaic(directory: Path, number: int) -> Callable[[], Any]:
    import mosaic

    paths = [str(path) for path in _paths(directory, "mosaic", number)]
    return lambda: mosaic.mosaic_list(paths, pixels="first").to_hdu_list()


def _pymosaic_genuine(directory: Path, number: int) -> Callable[[], Any]:
    import mosaic

    paths = [str(path) for path in _genuine_paths(directory, "isgri_mosa_ima_*.fits.gz", number)]
    return lambda: mosaic.mosaic_list(paths, pixels="first").to_hdu_list()


def _wrapper() -> Any:
    from oda_integral_wrapper.wrapper import INTEGRALwrapper

    return INTEGRALwrapper()  # without a token it looks nothing up


def _wrapped_images(directory: Path, number: int) -> Callable[[], Any]:
    wrapper, paths = _wrapper(), _paths(directory, "mosaic", number)

    def add() -> Any:
        wrapper.load_mosaics_and_catalogs(list(map(str, paths)), [str(path.with_suffix(".json")) for path in paths])
        return wrapper.combine_mosaics()

    return add


def _write_wrapped_images(found: Any, target: Path) -> None:
    units = [unit for unit in found.mosaic_image_0.data_unit if unit.hdu_type == "image"]
    hdus = [fits.ImageHDU(unit.data, fits.Header(unit.header)) for unit in units]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(target, overwrite=True)


def _product(hdus: list[Any], kind: str, source: str) -> Any:
    from oda_api.data_products import NumpyDataProduct, NumpyDataUnit

    # not by from_fits_hdu, which writes all data into a text that nobody reads, for minutes
    units = [NumpyDataUnit(None, {}, hdu_type="primary", name="PRIMARY")]
    units += [NumpyDataUnit(hdu.data, dict(hdu.header), hdu_type="bintable", name=hdu.name) for hdu in hdus]
    return NumpyDataProduct(units, name=kind, meta_data={"product": kind, "src_name": source})


def _wrapped_spectra(directory: Path, number: int) -> Callable[[], Any]:
    wrapper = _wrapper()
    wrapper.all_data = []
    for path in _paths(directory, "spectra", number):
        with fits.open(path, memmap=False) as hdulist:
            wrapper.all_data.append(SimpleNamespace(_p_list=list(_spectral_products(hdulist))))
    return wrapper.sum_spectra


def _spectral_products(hdulist: fits.HDUList) -> Iterator[Any]:
    for row in hdulist["SOURCES"].data:
        found = {role: hdulist[role, int(row["EXTVER"])] for role in ("SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX")}
        yield _product([found["SPECTRUM"]], "jemx_spectrum", row["SRC_NAME"])
        yield _product([found["SPECRESP"]], "jemx_arf", row["SRC_NAME"])
        yield _product([found["EBOUNDS"], found["MATRIX"]], "jemx_rmf", row["SRC_NAME"])


def _write_wrapped_spectra(found: Any, target: Path) -> None:
    """In the form of ``query_spectrum``, as far as it is looked at."""
    hdus: list[Any] = [fits.PrimaryHDU()]
    for number in range(len(found._p_list) // 3):  # noqa: SLF001 - of the peer
        spectrum, area, response = found._p_list[3 * number : 3 * number + 3]  # noqa: SLF001 - of the peer
        units = {"SPECTRUM": spectrum.data_unit[1], "SPECRESP": area.data_unit[1], "MATRIX": response.data_unit[2]}
        for role, unit in units.items():
            hdu = fits.BinTableHDU(Table(unit.data), name=role, ver=number + 1)
            hdu.header["SRC_NAME"] = spectrum.meta_data["src_name"]
            hdus.append(hdu)
    fits.HDUList(hdus).writeto(target, overwrite=True)


def _wrapped_curves(directory: Path, number: int) -> Callable[[], Any]:
    wrapper = _wrapper()
    wrapper.all_data = []
    for index in range(number):
        products = []
        for source in parts.sources_of(index):
            name = parts.names()[source - 1]
            hdu = fits.BinTableHDU(Table(parts.curve_columns(index, source)), name="ISGR-SRC.-LCR")
            hdu.header.update(parts.curve_header(index, name))
            products.append(_product([hdu], "isgri_lc", name))
        wrapper.all_data.append(SimpleNamespace(_p_list=products))
    return wrapper.stitch_lc


def _write_wrapped_curves(found: Any, target: Path) -> None:
    from astropy.table import vstack

    tables = []
    for product in found._p_list:  # noqa: SLF001 - of the peer
        table = Table(product.data_unit[1].data)["TIME", "RATE"]
        table["src_name"] = product.meta_data["src_name"]
        tables.append(table)
    vstack(tables).write(target, overwrite=True)


WAYS: dict[str, tuple[Way, Callable[[Any, Path], None]]] = {
    "images": (_images, _write_hdulist),
    "images_with_catalogs": (_images_with_catalogs, _write_hdulist),
    "files": (_files, _write_hdulist),
    "genuine": (_genuine, _write_hdulist),
    "spectra": (_spectra, _write_hdulist),
    "curves": (_curves, _write_table),
    "pymosaic": (_pymosaic, _write_hdulist),
    "pymosaic_genuine": (_pymosaic_genuine, _write_hdulist),
    "wrapped_images": (_wrapped_images, _write_wrapped_images),
    "wrapped_spectra": (_wrapped_spectra, _write_wrapped_spectra),
    "wrapped_curves": (_wrapped_curves, _write_wrapped_curves),
}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
