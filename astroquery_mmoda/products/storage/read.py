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
from ..kinds import Entry, free_name
from .fileforms import READERS
from .filenames import chosen_path
from .index import Index, StoredFile, StoredProduct, contents, find_index

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
    sizes = {file.name: file.size for record in index.products for file in record.files}
    for record in index.products:
        for file in record.files:
            _check_presence(place, file)
    allowance, taken = Allowance(sum(sizes.values())), dict[str, int]()
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
    found = cls(
        products,
        parameters=index.parameters,
        job_id=index.job_id,
        comment=index.comment,
        meta=index.meta,
        service=index.service,
    )
    found.allowance = allowance
    return found


def _check_presence(directory: Path, file: StoredFile) -> None:
    try:
        size = os.lstat(directory / file.name).st_size
    except OSError as error:
        raise DecodingError(f"The file {file.name} of the products in {directory} is missing.") from error
    if size != file.size:
        raise _changed(directory / file.name)


def _changed(path: Path) -> DecodingError:
    return DecodingError(f"The file {path} is not as Products.write left it: it was changed or damaged.")


def _read_stored(stored: Stored, what: str, allowance: Allowance) -> Any:
    """Data of a product, from bytes that are certainly those that were written."""
    record = stored.record
    names = ", ".join(file.name for file in record.files)
    with reading(f"{what} in {stored.directory} ({names})"):
        # bytes that several products refer to are read for each of them
        allowance.spend(sum(file.size for file in record.files), "a product of these files")
        files = [_bytes(stored.directory / file.name, file) for file in record.files]
        return READERS[record.format](files, record, allowance)


def _bytes(path: Path, file: StoredFile) -> bytes:
    data = contents(path, limit=file.size)
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise _changed(path)
    return data
