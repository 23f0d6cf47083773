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
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...decoding import parse_body
from ...errors import DecodingError, ParameterError, reading
from ...files import read_plain
from ...text import listed, printable, without_token
from ..kinds import KINDS, check_meta, check_name
from .output import safe_name, write_whole
from .provenance import Provenance, public_parameters

#: beginning of the names of indexes; files of products have no such names
PREFIX = "mmoda-"
#: how a product is kept in its files
FORMATS = ("fits", "ecsv", "text", "json", "bytes")

_FORMAT, _VERSION = "astroquery_mmoda products", 3
_LARGEST = 50_000_000
_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_.+-]{0,99}")
_INDEX = re.compile(re.escape(PREFIX) + r"([A-Za-z0-9_.+-]{1,60})\.json")


# of fields, by what is written there
_TYPES = {"str": str, "int": int, "dict[str, Any]": dict}


def _check_types(record: Any) -> None:
    """Refuse values of other types than those of the fields, from an index that somebody else wrote."""
    for each in fields(record):
        value, expected = getattr(record, each.name), _TYPES.get(str(each.type), tuple)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise DecodingError(f"{each.name} must be of type {expected.__name__}, not {type(value).__name__}")


@dataclass(frozen=True)
class StoredFile:
    """A file of a product, and the sum that shows whether it is still the same."""

    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        _check_types(self)
        if not _NAME.fullmatch(self.name) or _INDEX.fullmatch(self.name) or self.size < 0:
            raise DecodingError(f"not the name and size of a product's file: {printable(self.name, limit=60)!r}")

    @classmethod
    def of(cls, path: Path) -> StoredFile:
        """Describe a file that was written."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(path.name, os.fstat(file.fileno()).st_size, digest)


@dataclass(frozen=True)
class StoredProduct:
    """A product in the index: all that is not in its files, and how these are to be read."""

    name: str
    service_name: str
    kind: str
    source: str
    meta: dict[str, Any]
    format: str
    files: tuple[StoredFile, ...]
    options: dict[str, Any]

    def __post_init__(self) -> None:
        _check_types(self)
        for name in (self.name, self.service_name, self.source):
            check_name(name, "name of a product or source")
        check_meta(self.meta, "a product")
        if self.kind not in KINDS or self.format not in FORMATS or not self.files:
            raise DecodingError(f"unknown kind or format, or no file, of product {printable(self.name, limit=60)!r}")


@dataclass(frozen=True)
class Index:
    """What `Products` know beside their data."""

    job_id: str
    service: str
    comment: str
    parameters: dict[str, Any]
    meta: dict[str, Any]
    products: tuple[StoredProduct, ...]
    format: str = _FORMAT
    version: int = _VERSION

    def __post_init__(self) -> None:
        _check_types(self)

    @classmethod
    def read(cls, path: Path) -> Index:
        """Read and check an index; `DecodingError` if anything in it is not as `write` leaves it."""
        with reading(f"the index {path}"):
            content = parse_body(read_plain(path, limit=_LARGEST), what="index")
            if (content.get("format"), content.get("version")) != (_FORMAT, _VERSION):
                raise DecodingError("not an index of Products.write, or one of another version")
            content.pop("provenance", None)
            products = [
                StoredProduct(**each | {"files": tuple(StoredFile(**file) for file in each["files"])})
                for each in content.pop("products")
            ]
            return cls(**content, products=tuple(products))

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write it whole or not at all; the provenance, for people to read, comes first."""
        content = {"provenance": provenance.to_dict(), **asdict(self)}
        write_whole(path, without_token(json.dumps(content, indent=1, default=str)).encode("ascii"))


def index_path(directory: Path, job_id: str) -> Path:
    """Where the index of an analysis is."""
    return directory / f"{PREFIX}{safe_name(job_id, default='products')}.json"


def older_index(path: Path, job_id: str, parameters: Mapping[str, Any]) -> Index | None:
    """Index of the same analysis that is there already; `FileExistsError` if it is anything else."""
    if not os.path.lexists(path):
        return None
    index = None
    with suppress(DecodingError):
        index = Index.read(path)
    # without a job id, only the parameters distinguish analyses
    if index and index.job_id == job_id and (job_id or _as_json(index.parameters) == _as_json(parameters)):
        return index
    text = "nothing was written, since this is not the index of the same analysis; choose another directory"
    raise FileExistsError(errno.EEXIST, text, str(path))


def _as_json(parameters: Mapping[str, Any]) -> str:
    return without_token(json.dumps(public_parameters(parameters), sort_keys=True, default=str))


def find_index(directory: Path, job_id: str | None) -> Path:
    """Find the index of a directory, or of one analysis in it; an error of ours says which there are instead."""
    found = {match[1]: match[0] for match in map(_INDEX.fullmatch, sorted(os.listdir(directory))) if match}
    if job_id is None and len(found) > 1:
        raise ParameterError(f"There are several analyses in {directory}; choose one by job_id=: {listed(found)}.")
    wanted = next(iter(found.values()), None) if job_id is None else index_path(directory, str(job_id)).name
    if wanted not in found.values():
        missing = wanted or f"index ({PREFIX}<job id>.json)"
        raise DecodingError(f"There is no {missing} of Products.write in {directory}; analyses there: {listed(found)}.")
    return directory / str(wanted)
