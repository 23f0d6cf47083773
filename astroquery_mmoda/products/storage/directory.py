# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
All products of a reply as files in a directory, with an index from which they can be read again.

One index per analysis, ``mmoda-<job id>.json``. Whoever sends a directory can write anything into it: an index is data
to be checked, and opens nothing but files of plain names beside itself.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astropy.table import Table

from ...allowance import Allowance
from ...decoding import parse_body
from ...errors import DecodingError, MmodaError, ParameterError, reading
from ...files import read_plain
from ...text import listed, printable, without_token
from ..display.summary import summarize
from ..kinds import KINDS, Entry, check_meta, check_name, free_name
from ..product import Product, subset
from ..spectrum import spectral_sets
from .fileforms import READERS, Plan, plan_files
from .output import (
    INDEX_PREFIX,
    OutputDirectory,
    OutputFile,
    chosen_path,
    manifest_of,
    safe_name,
    write_files,
    write_whole,
)
from .provenance import file_provenance, public_parameters
from .spectrumtable import SpectrumOptions

if TYPE_CHECKING:
    from ..products import Products


_FORMAT, _VERSION = "astroquery_mmoda products", 3
_LARGEST = 50_000_000
_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_.+-]{0,99}")
# types of what is in an index, in each of its products, and in each file of these
_ABOUT = {"job_id": str, "service": str, "comment": str, "parameters": dict, "meta": dict}
_IN_INDEX = {"provenance": dict, "format": str, "version": int, **_ABOUT, "products": list}
_IN_PRODUCT = {"name": str, "service_name": str, "kind": str, "source": str, "meta": dict}
_IN_PRODUCT |= {"format": str, "files": list, "options": dict}
_IN_FILE = {"name": str, "size": int, "sha256": str}


# ---- writing


def write_products(
    products: Products,
    directory: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    group: float | None = None,
    systematic: float | None = None,
) -> Table:
    """Write all products; everything is made and all names are checked before the first file is written."""
    output, options = OutputDirectory(directory, overwrite=overwrite), SpectrumOptions(group, systematic)
    if options.given and products and all(product.kind != "spectrum" for product in products):
        raise ParameterError("group= and systematic= are for spectra, of which there are none here")
    plans = _plans(products, output, options)
    options.report()
    path = _index_path(output.directory, products.job_id)
    older = _older_records(path, products)
    # a file that has tables of two products is there once
    files = list(dict.fromkeys(file for plan in plans for file in plan.files))
    write_files(output, files)
    if not products or not all(file.error for file in files):
        try:
            # what was there before and was not replaced stays
            written = {file.path.name for file in files if not file.error}
            kept = [each for each in older if written.isdisjoint(file["name"] for file in each["files"])]
            whole = [_record_of(plan) for plan in plans if not any(file.error for file in plan.files)]
            _write_index(path, products, kept + whole)
        except OSError as error:
            files.append(OutputFile("", "index", error=error))
    return manifest_of(output.directory, files)


def _plans(products: Products, output: OutputDirectory, options: SpectrumOptions) -> list[Plan]:
    """How to write each product, in their order, but a spectrum and its responses together."""
    plans: dict[Product, Plan] = {}
    for product in products:
        try:
            product.data  # noqa: B018 - this decodes it
        except MmodaError as error:
            plans[product] = Plan.failed(product, error)
    usable = subset(products, [product for product in products if product not in plans])
    groups = spectral_sets(usable)
    groups += [[product] for product in usable if KINDS[product.kind].file != "spectrum"]
    for members in groups:
        try:
            with reading(members[0].title):
                made = plan_files(members, usable, output, options)
        except MmodaError as error:
            made = [Plan.failed(product, error) for product in members]
        plans |= {plan.product: plan for plan in made}
    return [plans[product] for product in products]


# ---- reading: each file is opened when the data of its product are used


@dataclass(frozen=True)
class Stored:
    """Where the data of a product are; in an entry it replaces the service's reply."""

    directory: Path
    record: dict[str, Any] = field(repr=False)


def read_products(cls: type[Products], directory: str | os.PathLike[str], *, job_id: str | None = None) -> Products:
    """Open what `Products.write` wrote."""
    place = chosen_path(directory).absolute()
    index = _read_index(_find_index(place, job_id))
    sizes = {file["name"]: file["size"] for record in index["products"] for file in record["files"]}
    for name, size in sizes.items():
        if not os.path.lexists(place / name):
            raise DecodingError(f"The file {place / name} is missing.")
        if os.lstat(place / name).st_size != size:
            raise _changed(place / name)
    allowance, taken, products = Allowance(sum(sizes.values())), dict[str, int](), []
    for record in index["products"]:
        entry = Entry(record["service_name"], record["kind"], Stored(place, record), _read_stored, record["meta"])
        # files of one product may have been written twice under different names
        products.append(Product(entry, free_name(record["name"], taken), record["source"], allowance))
    found = cls(products, **{key: index[key] for key in _ABOUT})
    found.allowance = allowance
    return found


def _changed(path: Path) -> DecodingError:
    return DecodingError(f"The file {path} is not as Products.write left it: it was changed or damaged.")


def _read_stored(stored: Stored, what: str, allowance: Allowance) -> Any:
    """Data of a product, from bytes that are certainly those that were written."""
    record, contents = stored.record, []
    names = ", ".join(file["name"] for file in record["files"])
    with reading(f"{what} in {stored.directory} ({names})"):
        # bytes that several products refer to are read for each of them
        allowance.spend(sum(file["size"] for file in record["files"]), "a product of these files")
        for file in record["files"]:
            contents.append(read_plain(stored.directory / file["name"], limit=file["size"]))
            if hashlib.sha256(contents[-1]).hexdigest() != file["sha256"]:
                raise _changed(stored.directory / file["name"])
        return READERS[record["format"]](contents, record["options"], allowance)


# ---- the index


def _check_record(record: Any, types: Mapping[str, type]) -> None:
    """Refuse what lacks a value, has others, or is of another type."""
    if not isinstance(record, dict) or {key: type(value) for key, value in record.items()} != types:
        raise DecodingError(f"there must be {listed(types)}, of their types and nothing else")


def _read_index(path: Path) -> dict[str, Any]:
    """Read and check an index; `DecodingError` if anything in it is not as `_write_index` leaves it."""
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
            if product["kind"] not in KINDS or product["format"] not in READERS or not product["files"]:
                raise DecodingError(f"unknown kind or format, or no file, of {printable(product['name'], limit=60)!r}")
            for file in product["files"]:
                _check_record(file, _IN_FILE)
                if not _NAME.fullmatch(file["name"]) or file["name"].startswith(INDEX_PREFIX) or file["size"] < 0:
                    raise DecodingError(f"not name and size of a product's file: {printable(file['name'], limit=60)!r}")
        return index


def _write_index(path: Path, products: Products, records: Sequence[Mapping[str, Any]]) -> None:
    """Write what `Products` know beside their data; the provenance, for people to read, comes first."""
    index = {
        "provenance": file_provenance(products),
        "format": _FORMAT,
        "version": _VERSION,
        **{key: getattr(products, key) for key in _ABOUT},
        "parameters": public_parameters(products.parameters),
        "products": records,
    }
    write_whole(path, _as_json(index).encode("ascii"))


def _record_of(plan: Plan) -> dict[str, Any]:
    """Entry of a product whose files are written, with the sums that show whether they are still the same."""
    files = []
    for path in (file.path for file in plan.files):
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            files.append({"name": path.name, "size": os.fstat(file.fileno()).st_size, "sha256": sha256})
    return {
        "name": plan.product.name,
        "service_name": plan.product.entry.name,
        "kind": plan.product.kind,
        "source": plan.product.source,
        "meta": plan.product.meta,
        "format": plan.format,
        "files": files,
        "options": plan.options | {"summary": asdict(summarize(plan.product))},
    }


def _index_path(directory: Path, job_id: str) -> Path:
    """Where the index of an analysis is."""
    return directory / f"{INDEX_PREFIX}{safe_name(job_id, default='products')}.json"


def _older_records(path: Path, products: Products) -> list[dict[str, Any]]:
    """Products in an index of the same analysis that is there already; `FileExistsError` if it is anything else."""
    if not os.path.lexists(path):
        return []
    with suppress(DecodingError):
        index = _read_index(path)
        # without a job id, only the parameters distinguish analyses
        is_same = products.job_id or index["parameters"] == json.loads(_as_json(public_parameters(products.parameters)))
        if is_same and index["job_id"] == products.job_id:
            return list(index["products"])
    text = "nothing was written, since this is not the index of the same analysis; choose another directory"
    raise FileExistsError(errno.EEXIST, text, str(path))


def _as_json(value: Any) -> str:
    return without_token(json.dumps(value, indent=1, default=str))


def _find_index(directory: Path, job_id: str | None) -> Path:
    """Find the index of a directory, or of one analysis in it; an error of ours says which there are instead."""
    names = sorted(name for name in os.listdir(directory) if name.startswith(INDEX_PREFIX) and name.endswith(".json"))
    found = [name[len(INDEX_PREFIX) : -len(".json")] for name in names]
    if job_id is not None:
        name = _index_path(directory, str(job_id)).name
    elif len(found) > 1:
        raise ParameterError(f"There are several analyses in {directory}; choose one by job_id=: {listed(found)}.")
    else:
        name = names[0] if names else f"{INDEX_PREFIX}<job id>.json"
    if name not in names:
        raise DecodingError(f"There is no index ({name}) of Products.write in {directory}; analyses: {listed(found)}.")
    return directory / name
