# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The index that `Products.write` leaves beside its files, so that `Products.read` finds everything again.

One per analysis, ``mmoda-<job id>.json``. Whoever sends a directory can write anything into it: an index is data to be
checked, and opens nothing but files of plain names beside itself.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...decoding import parse_body
from ...errors import DecodingError, ParameterError, reading
from ...files import read_plain
from ...text import listed, printable, without_token
from ..kinds import KINDS, check_meta, check_name
from .output import safe_name, write_whole
from .provenance import file_provenance, public_parameters

if TYPE_CHECKING:
    from ..products import Products

#: beginning of the names of indexes; files of products have no such names
PREFIX = "mmoda-"
#: how a product is kept in its files
FORMATS = ("fits", "ecsv", "text", "json", "bytes")

_FORMAT, _VERSION = "astroquery_mmoda products", 3
_LARGEST = 50_000_000
_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_.+-]{0,99}")
# types of what is in an index, in each of its products, and in each file of these
_ABOUT = {"job_id": str, "service": str, "comment": str, "parameters": dict, "meta": dict}
_IN_INDEX = {"provenance": dict, "format": str, "version": int, **_ABOUT, "products": list}
_IN_PRODUCT = {"name": str, "service_name": str, "kind": str, "source": str, "meta": dict}
_IN_PRODUCT |= {"format": str, "files": list, "options": dict}
_IN_FILE = {"name": str, "size": int, "sha256": str}


def _check_record(record: Any, types: Mapping[str, type]) -> None:
    found = {key: type(value) for key, value in record.items()} if isinstance(record, dict) else {}
    if found != types:
        wrong = [key for key in (*types, *found) if types.get(key) != found.get(key)]
        raise DecodingError(f"missing, unknown or of a wrong type: {listed(wrong)}")


def read_index(path: Path) -> dict[str, Any]:
    """Read and check an index; `DecodingError` if anything in it is not as `write_index` leaves it."""
    with reading(f"the index {path}"):
        index: dict[str, Any] = parse_body(read_plain(path, limit=_LARGEST), what="index")
        if (index.get("format"), index.get("version")) != (_FORMAT, _VERSION):
            raise DecodingError("not an index of Products.write, or one of another version")
        _check_record(index, _IN_INDEX)
        for product in index["products"]:
            _check_record(product, _IN_PRODUCT)
            for key in ("name", "service_name", "source"):
                check_name(product[key], f"{key} of a product")
            check_meta(product["meta"], "a product")
            if product["kind"] not in KINDS or product["format"] not in FORMATS or not product["files"]:
                raise DecodingError(f"unknown kind or format, or no file, of {printable(product['name'], limit=60)!r}")
            for file in product["files"]:
                _check_record(file, _IN_FILE)
                if not _NAME.fullmatch(file["name"]) or file["name"].startswith(PREFIX) or file["size"] < 0:
                    raise DecodingError(f"not name and size of a product's file: {printable(file['name'], limit=60)!r}")
        return index


def write_index(path: Path, products: Products, records: Sequence[Mapping[str, Any]]) -> None:
    """Write what `Products` know beside their data; the provenance, for people to read, comes first."""
    index = {
        "provenance": file_provenance(products),
        "format": _FORMAT,
        "version": _VERSION,
        **{key: getattr(products, key) for key in _ABOUT},
        "parameters": public_parameters(products.parameters),
        "products": records,
    }
    write_whole(path, without_token(json.dumps(index, indent=1, default=str)).encode("ascii"))


def about_products(index: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Products`."""
    return {key: index[key] for key in _ABOUT}


def file_record(path: Path) -> dict[str, Any]:
    """Name and size of a file that was written, and the sum that shows whether it is still the same."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"name": path.name, "size": os.fstat(file.fileno()).st_size, "sha256": digest}


def index_path(directory: Path, job_id: str) -> Path:
    """Where the index of an analysis is."""
    return directory / f"{PREFIX}{safe_name(job_id, default='products')}.json"


def older_records(path: Path, products: Products) -> list[dict[str, Any]]:
    """Products in an index of the same analysis that is there already; `FileExistsError` if it is anything else."""
    if not os.path.lexists(path):
        return []
    with suppress(DecodingError):
        index, job_id = read_index(path), products.job_id
        # without a job id, only the parameters distinguish analyses
        if index["job_id"] == job_id and (job_id or _as_json(index["parameters"]) == _as_json(products.parameters)):
            return list(index["products"])
    text = "nothing was written, since this is not the index of the same analysis; choose another directory"
    raise FileExistsError(errno.EEXIST, text, str(path))


def _as_json(parameters: Mapping[str, Any]) -> str:
    return without_token(json.dumps(public_parameters(parameters), sort_keys=True, default=str))


def find_index(directory: Path, job_id: str | None) -> Path:
    """Find the index of a directory, or of one analysis in it; an error of ours says which there are instead."""
    names = sorted(name for name in os.listdir(directory) if name.startswith(PREFIX) and name.endswith(".json"))
    found = [name[len(PREFIX) : -len(".json")] for name in names]
    if job_id is not None:
        name = index_path(directory, str(job_id)).name
    elif len(found) > 1:
        raise ParameterError(f"There are several analyses in {directory}; choose one by job_id=: {listed(found)}.")
    else:
        name = names[0] if names else f"{PREFIX}<job id>.json"
    if name not in names:
        raise DecodingError(f"There is no index ({name}) of Products.write in {directory}; analyses: {listed(found)}.")
    return directory / name
