# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Products from the files that `Products.write` left: each file is opened when the data of its product are used."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...allowance import Allowance
from ...errors import DecodingError, reading
from ...files import read_plain
from ..kinds import Entry, free_name
from .fileforms import READERS
from .index import Index, StoredProduct, find_index
from .output import chosen_path

if TYPE_CHECKING:
    from ..products import Products


@dataclass(frozen=True)
class Stored:
    """Where the data of a product are; in an entry it replaces the service's reply."""

    directory: Path
    record: StoredProduct = field(repr=False)


def read_products(cls: type[Products], directory: str | os.PathLike[str], *, job_id: str | None = None) -> Products:
    """Open what `Products.write` wrote."""
    from ..product import Product

    place = chosen_path(directory).absolute()
    index = Index.read(find_index(place, job_id))
    files = {file.name: file for record in index.products for file in record.files}
    for file in files.values():
        try:
            size = os.lstat(place / file.name).st_size
        except OSError as error:
            raise DecodingError(f"The file {place / file.name} is missing.") from error
        if size != file.size:
            raise _changed(place / file.name)
    allowance, taken = Allowance(sum(file.size for file in files.values())), dict[str, int]()
    # files of one product may have been written twice under different names
    products = [
        Product(
            Entry(each.service_name, each.kind, Stored(place, each), _read_stored, each.meta),
            free_name(each.name, taken),
            each.source,
            allowance,
        )
        for each in index.products
    ]
    about = {key: getattr(index, key) for key in ("parameters", "job_id", "comment", "meta", "service")}
    found = cls(products, **about)
    found.allowance = allowance
    return found


def _changed(path: Path) -> DecodingError:
    return DecodingError(f"The file {path} is not as Products.write left it: it was changed or damaged.")


def _read_stored(stored: Stored, what: str, allowance: Allowance) -> Any:
    """Data of a product, from bytes that are certainly those that were written."""
    record = stored.record
    names = ", ".join(file.name for file in record.files)
    with reading(f"{what} in {stored.directory} ({names})"):
        # bytes that several products refer to are read for each of them
        allowance.spend(sum(file.size for file in record.files), "a product of these files")
        contents = [read_plain(stored.directory / file.name, limit=file.size) for file in record.files]
        for file, data in zip(record.files, contents, strict=True):
            if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
                raise _changed(stored.directory / file.name)
        return READERS[record.format](contents, record, allowance)
