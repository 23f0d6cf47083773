"""FITS files in the encoding of the service: headers as dictionaries, data pickled, units besides or not at all."""

from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.io import fits

_TYPES = {fits.PrimaryHDU: "primary", fits.ImageHDU: "image", fits.BinTableHDU: "bintable"}


def encode(
    hdus: Iterable[Any], *, name: str = "", meta: Mapping[str, Any] | None = None, units: bool = False
) -> dict[str, Any]:
    """One element of ``numpy_data_product_list``; ``units``: whether ``units_dict`` tells those of columns."""
    return {
        "name": name,
        "meta_data": json.dumps(dict(meta or {})),
        "data_unit_list": [_unit(hdu, units=units) for hdu in hdus],
    }


def _unit(hdu: Any, *, units: bool) -> dict[str, Any]:
    kind = next(word for cls, word in _TYPES.items() if isinstance(hdu, cls))
    return unit(
        records(hdu) if kind == "bintable" else hdu.data,
        name=hdu.name,
        header={card.keyword: card.value for card in hdu.header.cards},
        kind=kind,
        units_dict={column.name: column.unit for column in hdu.columns} if units and kind == "bintable" else None,
    )


def records(hdu: Any) -> Any:
    """Data of a table as read from a file: what has been in other HDUs does not pickle."""
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu.copy()]).writeto(file, output_verify="ignore")
    file.seek(0)
    with fits.open(file) as hdulist:
        return hdulist[1].data.copy()


def unit(
    data: np.ndarray | None,
    *,
    name: str,
    header: Mapping[str, Any],
    kind: str = "bintable",
    units_dict: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One element of ``data_unit_list``."""
    cards = {key: None if isinstance(value, fits.card.Undefined) else value for key, value in header.items()}
    return {
        "name": name,
        "header": {key: str(value) if key in ("COMMENT", "HISTORY") else value for key, value in cards.items()},
        "binarys": None if data is None else base64.b64encode(pickle.dumps(data, protocol=4)).decode(),
        "data": None,
        "dt": None if data is None else str((type(data), data.dtype)),
        "meta_data": {},
        "hdu_type": kind,
        "units_dict": units_dict,
    }


def product(hdulist: fits.HDUList, name: str = "", **meta: Any) -> dict[str, Any]:
    """Element of ``numpy_data_product_list`` of a file; ``meta`` is what the service says besides, such as src_name."""
    buffer = io.BytesIO()
    hdulist.writeto(buffer)
    # tables of a file that was opened can be pickled, others not
    with fits.open(io.BytesIO(buffer.getvalue()), memmap=False) as opened:
        return {"name": name, "data_unit_list": [_looked_at(hdu) for hdu in opened], "meta_data": json.dumps(meta)}


def _looked_at(hdu: Any) -> dict[str, Any]:
    kind = next(word for cls, word in _TYPES.items() if isinstance(hdu, cls))
    for name in hdu.columns.names if kind == "bintable" else ():
        _ = hdu.data[name]  # as the service looks at all columns; rows of variable length come only then
    cards = {key: hdu.header[key] for key in hdu.header if key not in ("COMMENT", "HISTORY", "")}
    return {**unit(hdu.data, name=hdu.name, header=cards, kind=kind), "dt": None}


def reply(
    *products: dict[str, Any],
    job_id: str = "fedcba9876543210",
    more: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    """Body of a finished analysis; ``parameters`` are those that the service repeats, ``more`` further keys of products."""
    return {
        "query_status": "done",
        "exit_status": {"status": 0, "message": "", "error_message": "", "comment": "", "warning": ""},
        "job_monitor": {"job_id": job_id, "status": "done"},
        "products": {"numpy_data_product_list": list(products), "analysis_parameters": parameters, **(more or {})},
    }
