"""Replies as the service makes them of FITS files."""

from __future__ import annotations

import base64
import io
import json
import pickle
from typing import Any

from astropy.io import fits

_KINDS = {fits.PrimaryHDU: "primary", fits.ImageHDU: "image", fits.BinTableHDU: "bintable"}


def product(hdulist: fits.HDUList, name: str = "", **meta: Any) -> dict[str, Any]:
    """Element of ``numpy_data_product_list``; ``meta`` is what the service says besides, such as src_name."""
    buffer = io.BytesIO()
    hdulist.writeto(buffer)
    # tables of a file that was opened can be pickled, others not
    with fits.open(io.BytesIO(buffer.getvalue()), memmap=False) as opened:
        return {"name": name, "data_unit_list": [_unit(hdu) for hdu in opened], "meta_data": json.dumps(meta)}


def _unit(hdu: Any) -> dict[str, Any]:
    for name in hdu.columns.names if isinstance(hdu, fits.BinTableHDU) else ():
        _ = hdu.data[name]  # as the service looks at all columns; rows of variable length come only then
    pickled = None if hdu.data is None else base64.b64encode(pickle.dumps(hdu.data, protocol=4)).decode()
    return {
        "name": hdu.name,
        "hdu_type": _KINDS[type(hdu)],
        "header": {key: _value(hdu.header[key]) for key in hdu.header if key not in ("COMMENT", "HISTORY", "")},
        "binarys": pickled,
        "data": None,
        "dt": None,
        "units_dict": None,
        "meta_data": {},
    }


def _value(value: Any) -> Any:
    return None if isinstance(value, fits.card.Undefined) else value


def reply(*products: dict[str, Any], job_id: str = "fedcba9876543210", **parameters: Any) -> dict[str, Any]:
    """Body of a finished analysis; ``parameters`` are those that the service repeats."""
    return {
        "query_status": "done",
        "exit_status": {"status": 0, "message": "", "error_message": "", "comment": "", "warning": ""},
        "job_monitor": {"job_id": job_id, "status": "done"},
        "products": {"numpy_data_product_list": list(products), "analysis_parameters": parameters},
    }
