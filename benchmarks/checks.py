"""Whether what was read is what was written, bit by bit; times up to the precision of a double."""

from __future__ import annotations

import json
from typing import Any

import cases
import numpy as np

_MJDREF = 51544


def _same(one: Any, other: Any, what: str) -> None:
    if not np.array_equal(np.asarray(one), np.asarray(other), equal_nan=np.asarray(other).dtype.kind == "f"):
        raise SystemExit(f"wrong data: {what}")


def _same_table(table: Any, records: np.ndarray, what: str) -> None:
    for name in records.dtype.names or ():
        _same(table[name], records[name], f"{what}, column {name}")


def light_curves(case: cases.Case, products: Any) -> None:
    """Each by itself, and all of them in the table."""
    expected = [cases.light_curve(case, index) for index in range(case.count)]
    for index, product in enumerate(products):
        _same_table(product.data[1].data, expected[index], f"light curve {index}")
    records, table = np.concatenate(expected), products.lightcurve()
    for name in ("RATE", "ERROR", "BACKV", "BACKE", "FRACEXP"):
        _same(table[name], records[name], name)
    _same(table["src_name"], np.repeat([f"Source {index}" for index in range(case.count)], case.size), "src_name")
    if np.abs(table["time"].mjd - (_MJDREF + records["TIME"])).max() > 1e-9 or table["time"].scale != "tt":
        raise SystemExit("wrong data: time")
    if np.abs(np.asarray(table["time_bin"]) - 86.4).max() > 1e-9:
        raise SystemExit("wrong data: time_bin")


def images(case: cases.Case, products: Any) -> None:
    """The product's HDUs and those of the form."""
    for found in (products[0].data[1:], [hdu for hdu in products.image()[1:] if hdu.is_image]):
        if len(found) != case.count:
            raise SystemExit("wrong data: not all images")
        for index, hdu in enumerate(found):
            _same(hdu.data, cases.image(case, index), f"image {index}")


def spectra(case: cases.Case, products: Any) -> None:
    """All four parts of each source."""
    form = products.spectrum()
    for index in range(case.count):
        area = cases.effective_area(index)
        _same_table(form["SPECTRUM", index + 1].data, cases.spectrum(index), "spectrum")
        _same_table(form["SPECRESP", index + 1].data, area, "ARF")
        _same_table(form["EBOUNDS", index + 1].data, cases.channel_bounds(), "EBOUNDS")
        matrix, rows = form["MATRIX", index + 1].data, cases.response(index)
        _same(matrix["ENERG_LO"], area["ENERG_LO"], "RMF")
        if case.name == "spectra-vl":
            for number, row in enumerate(rows):
                _same(matrix["MATRIX"][number], row, f"RMF row {number}")
        else:
            _same(matrix["MATRIX"], cases.filled(rows), "RMF")


def catalogue(case: cases.Case, products: Any) -> None:
    """Every column."""
    table = products.catalog()
    for name, values in cases.sources(case).items():
        _same(table[name], values, name)


def data(case: cases.Case, products: Any) -> None:
    """A table or a file; where the package has no decoder for them yet, the service's own dictionary."""
    found = products[0].data
    if case.name == "ecsv" and not isinstance(found, dict):
        for name, values in cases.sources(case).items():
            _same(found[name], values, name)
    elif case.name == "binary" and not isinstance(found, dict) and found != cases.octets(case):
        raise SystemExit("wrong data: binary")
    if isinstance(found, dict):
        json.dumps(found)


CHECKS = {"lightcurve": light_curves, "image": images, "spectrum": spectra, "catalog": catalogue, "data": data}
