"""
Write the body of one case, as the dispatcher would send it.

Runs with the Python of the environment that has `oda_api`: its encoders make the products. Headers and everything
around the products come from the recorded replies.

    python bodies.py CASE RECORDED_REPLIES BODY SMALL_BODY
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import cases
import numpy as np
from astropy.io import fits
from astropy.table import Table
from oda_api.data_products import ApiCatalog, BinaryProduct, NumpyDataProduct, ODAAstropyTable
from oda_api.json import CustomJSONEncoder

_RECORDED = {"lightcurve": "isgri_lc_dummy", "image": "isgri_image_6_done", "spectrum": "isgri_spectrum_dummy"}
_RECORDED |= {"catalog": "isgri_image_6_done", "data": "nb_everything_4_done"}
_LAYOUT = ("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "TFIELDS", "EXTEND", "EXTNAME", "CHECKSUM")
_LAYOUT += ("DATASUM", "TTYPE", "TFORM", "TUNIT", "TNULL", "TDISP", "THEAP", "BSCALE", "BZERO")
_LISTS = ("numpy_data_product_list", "astropy_table_product_ascii_list", "binary_data_product_list")
_LISTS += ("binary_image_product_list", "text_product_list")


def write(case: cases.Case, recorded: Path, target: Path) -> None:
    """Write the reply of one case."""
    record = json.loads((recorded / f"{_RECORDED[case.form]}.json").read_text(encoding="utf-8"))["json"]
    reply = copy.deepcopy(record)
    products = {key: value for key, value in record["products"].items() if key not in (*_LISTS, "catalog")}
    reply["products"] = products | _products(case, record["products"].get("numpy_data_product_list") or [])
    target.write_text(json.dumps(reply, cls=CustomJSONEncoder), encoding="utf-8")


def _products(case: cases.Case, templates: list[dict[str, Any]]) -> dict[str, Any]:
    if case.name == "catalog":
        return {"numpy_data_product_list": [], "catalog": _catalog(case)}
    if case.name == "ecsv":
        table = Table(cases.sources(case))
        return {"astropy_table_product_ascii_list": [ODAAstropyTable(table, name="sources").encode()]}
    if case.name == "binary":
        return {"binary_data_product_list": [BinaryProduct(cases.octets(case), name="file").encode()]}
    makers = {"lightcurve": _light_curves, "image": _mosaic, "spectrum": _spectra}
    return {"numpy_data_product_list": makers[case.form](case, templates)}


def _catalog(case: cases.Case) -> dict[str, Any]:
    meta = {"FRAME": "fk5", "COORD_UNIT": "deg", "LON_NAME": "ra", "LAT_NAME": "dec"}
    return ApiCatalog(Table(cases.sources(case), meta=meta)).encode()


def _header(template: dict[str, Any]) -> fits.Header:
    cards = template["header"].items()
    return fits.Header([card for card in cards if not card[0].startswith(_LAYOUT)])


def _encoded(hdus: list[Any], name: str, meta: dict[str, Any]) -> dict[str, Any]:
    """A product made of a FITS file, as the plugins of the instruments do."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "product.fits")
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
        return NumpyDataProduct.from_fits_file(str(path), name=name, meta_data=meta).encode()


def _table(data: Any, template: dict[str, Any]) -> fits.BinTableHDU:
    units = {"TIME": "d", "XAX_E": "d", "RATE": "count/s", "ERROR": "count/s"}
    hdu = fits.BinTableHDU(data, _header(template), name=template["name"])
    for column in hdu.columns.names:
        if column in units:
            hdu.columns.change_unit(column, units[column])
    return hdu


def _light_curves(case: cases.Case, templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    template = templates[0]["data_unit_list"][1]
    meta = {"time_bin": 1e-3, "time": "TIME", "rate": "RATE", "rate_err": "ERROR"}
    tables = (_table(cases.light_curve(case, index), template) for index in range(case.count))
    return [_encoded([hdu], "isgri_lc", {"src_name": f"Source {index}", **meta}) for index, hdu in enumerate(tables)]


def _mosaic(case: cases.Case, templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    units = templates[0]["data_unit_list"][2:]
    hdus = [
        fits.ImageHDU(cases.image(case, index), _header(units[index % len(units)]), name="ISGR-MOSA-IMA")
        for index in range(case.count)
    ]
    return [_encoded(hdus, "mosaic_image", {"product": "mosaic", "instrument": "isgri", "src_name": ""})]


def _spectra(case: cases.Case, templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    spectrum, area, (bounds, matrix) = (templates[i]["data_unit_list"][1:] for i in range(3))
    found = []
    for index in range(case.count):
        parts = {
            "isgri_spectrum": [_table(cases.spectrum(index), spectrum[0])],
            "isgri_arf": [_table(cases.effective_area(index), area[0])],
            "isgri_rmf": [_table(cases.channel_bounds(), bounds), _matrix(case, index, matrix)],
        }
        found += [
            _encoded(hdus, "", {"src_name": f"Source {index}", "product": product}) for product, hdus in parts.items()
        ]
    return found


def _matrix(case: cases.Case, index: int, template: dict[str, Any]) -> fits.BinTableHDU:
    rows = cases.response(index)
    area = cases.effective_area(index)
    if case.name == "spectra-vl":
        values = fits.Column("MATRIX", f"PE({cases.CHANNELS})", array=np.array(rows, dtype=object))
    else:
        values = fits.Column("MATRIX", f"{cases.CHANNELS}E", array=cases.filled(rows))
    columns = [fits.Column(name, "E", array=area[name]) for name in ("ENERG_LO", "ENERG_HI")]
    columns += [fits.Column("N_CHAN", "J", array=[len(row) for row in rows]), values]
    return fits.BinTableHDU.from_columns(columns, _header(template), name=template["name"])


if __name__ == "__main__":
    chosen = cases.CASES[sys.argv[1]]
    write(chosen, Path(sys.argv[2]), Path(sys.argv[3]))
    write(cases.small(chosen), Path(sys.argv[2]), Path(sys.argv[4]))
