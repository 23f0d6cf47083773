# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The index that `Products.write` leaves beside its files, so that `Products.read` finds everything again.

One per analysis, ``mmoda-<job id>.json``. Whoever hands over a directory can write what he likes into it: an index is
data to be checked, and opens nothing but files of plain names beside itself.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...decoding import parse_body
from ...errors import DecodingError, ParameterError, reading
from ...files import opened_plain, read_plain
from ...request.metadata import KINDS
from ...text import listed, printable, without_token
from ..kinds import check_meta, check_name
from .filenames import safe_name, write_whole
from .provenance import Provenance, public_parameters

if TYPE_CHECKING:
    from ..products import Products

__all__ = ["FORMATS", "PREFIX", "Index", "Record", "StoredFile", "contents", "file_record", "find_index"]

#: beginning of the names of indexes; no product's file has such a name
PREFIX = "mmoda-"
#: how a product is kept in its files
FORMATS = ("image", "spectrum", "lightcurve", "fits", "ecsv", "text", "json", "bytes")

_MARK = "astroquery_mmoda products"
_VERSION = 1
_LARGEST = 50_000_000
_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_.+-]{0,99}")
_INDEX = re.compile(re.escape(PREFIX) + r"([A-Za-z0-9_.+-]{1,60})\.json")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredFile:
    """A file of a product, and what tells whether it is still the same."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """A product in the index: all that is not in its files, and how these are to be read."""

    name: str
    service_name: str
    kind: str
    source: str
    meta: Mapping[str, Any]
    format: str
    files: tuple[StoredFile, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Index:
    """What `Products` know beside their data."""

    job_id: str
    service: str
    comment: str
    parameters: Mapping[str, Any]
    meta: Mapping[str, Any]
    records: tuple[Record, ...]

    @classmethod
    def of(cls, products: Products, records: Iterable[Record]) -> Index:
        """Describe products whose files were written."""
        return cls(
            products.job_id,
            products.service,
            products.comment,
            public_parameters(products.parameters),
            products.meta,
            tuple(records),
        )

    @classmethod
    def read(cls, path: Path) -> Index:
        """Read and check an index; `DecodingError` if anything in it is not as `write` leaves it."""
        with reading(f"the index {path}"):
            found = parse_body(contents(path, limit=_LARGEST), what="index")
            if not isinstance(found, dict) or found.get("format") != _MARK:
                raise DecodingError("this is no index of Products.write")
            if found.get("version") != _VERSION:
                raise DecodingError(f"version {printable(found.get('version'), limit=20)} of the index is unknown")
            return cls(
                **{key: _typed(found, key, str) for key in ("job_id", "service", "comment")},
                **{key: _typed(found, key, dict) for key in ("parameters", "meta")},
                records=tuple(_record(each) for each in _typed(found, "products", list)),
            )

    def joined(self, older: Index, replaced: Set[str]) -> Index:
        """With products of the same analysis that were written before, unless files of theirs were replaced now."""
        kept = [each for each in older.records if replaced.isdisjoint(file.name for file in each.files)]
        return Index(self.job_id, self.service, self.comment, self.parameters, self.meta, (*kept, *self.records))

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write it whole or not at all; what others wrote for people to read comes first."""
        told = {"format": _MARK, "version": _VERSION, "provenance": provenance.to_dict(), **asdict(self)}
        told["products"] = told.pop("records")
        text = without_token(json.dumps(told, indent=1, default=str))
        write_whole(path, lambda file: file.write(text.encode("ascii")))


def index_path(directory: Path, job_id: str) -> Path:
    """Where the index of an analysis is."""
    return directory / f"{PREFIX}{safe_name(job_id, default='products')}.json"


def older_index(path: Path, products: Products) -> Index | None:
    """Index that is there already, of the same analysis."""
    if not os.path.lexists(path):
        return None
    try:
        index = Index.read(path)
        same = without_token(products.job_id) == index.job_id
        # without a job id, only the question tells analyses apart
        same &= bool(products.job_id) or _as_json(products.parameters) == _as_json(index.parameters)
    except DecodingError:
        same = False
    if not same:
        text = "nothing was written, since this is not the index of the same analysis; choose another directory"
        raise FileExistsError(errno.EEXIST, text, str(path))
    return index


def _as_json(parameters: Mapping[str, Any]) -> str:
    return without_token(json.dumps(public_parameters(parameters), sort_keys=True, default=str))


def find_index(directory: Path, job_id: str | None) -> Path:
    """
    Find the index of a directory, or of one analysis in it.

    Raises
    ------
    DecodingError
        There is none.
    ParameterError
        There are several, and none was chosen.
    """
    found = {match[1]: match[0] for match in map(_INDEX.fullmatch, sorted(os.listdir(directory))) if match}
    if job_id is not None and not isinstance(job_id, str):
        raise ParameterError(f"job_id must be text, not {printable(job_id, limit=60)!r}.")
    if job_id is not None:
        path = index_path(directory, job_id)
        if path.name not in found.values():
            raise DecodingError(
                f"There is no {path.name} of Products.write in {directory}; analyses there: {listed(found)}."
            )
        return path
    if not found:
        raise DecodingError(f"There is no index ({PREFIX}<job id>.json) of Products.write in {directory}.")
    if len(found) > 1:
        raise ParameterError(
            f"There are several analyses in {directory}; choose one by job_id=, of these: {listed(found)}."
        )
    return directory / next(iter(found.values()))


def file_record(path: Path) -> StoredFile:
    """Describe a file that was written."""
    with opened_plain(path, limit=sys.maxsize) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return StoredFile(path.name, os.fstat(file.fileno()).st_size, digest)


def contents(path: Path, *, limit: int) -> bytes:
    """All of a plain file: no link, no pipe, no more than so many bytes."""
    try:
        return read_plain(path, limit=limit)
    except OSError as error:
        raise DecodingError(error.strerror or str(error)) from error


# ---- what an index says, checked


def _typed(found: Mapping[str, Any], key: str, kind: type) -> Any:
    value = found.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DecodingError(f"{key} must be of type {kind.__name__}, not {type(value).__name__}")
    return value


def _record(found: Any) -> Record:
    if not isinstance(found, dict):
        raise DecodingError(f"a product must be a JSON object, not {type(found).__name__}")
    files = tuple(_stored_file(each) for each in _typed(found, "files", list))
    texts = {key: _typed(found, key, str) for key in ("name", "service_name", "kind", "source", "format")}
    for key in ("name", "service_name", "source"):
        check_name(texts[key], f"{key} of a product")
    if texts["kind"] not in KINDS or texts["format"] not in FORMATS or not files:
        raise DecodingError(f"unknown kind or format of product {printable(texts['name'], limit=60)!r}, or no file")
    meta = check_meta(_typed(found, "meta", dict), "a product")
    return Record(**texts, meta=meta, files=files, options=_typed(found, "options", dict))


def _stored_file(found: Any) -> StoredFile:
    if not isinstance(found, dict):
        raise DecodingError(f"a file must be a JSON object, not {type(found).__name__}")
    name, size, digest = _typed(found, "name", str), _typed(found, "size", int), _typed(found, "sha256", str)
    if not _NAME.fullmatch(name) or _INDEX.fullmatch(name):
        raise DecodingError(f"{printable(name, limit=60)!r} is no plain name of a product's file")
    if size < 0 or not _DIGEST.fullmatch(digest):
        raise DecodingError(f"no size and SHA-256 of {name}")
    return StoredFile(name, size, digest)
