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
from .index import about_products, find_index, read_index
from .output import chosen_path

if TYPE_CHECKING:
    from ..products import Products


@dataclass(frozen=True)
class Stored:
    """Where the data of a product are; in an entry it replaces the service's reply."""

    directory: Path
    record: dict[str, Any] = field(repr=False)


def read_products(cls: type[Products], directory: str | os.PathLike[str], *, job_id: str | None = None) -> Products:
    """Open what `Products.write` wrote."""
    from ..product import Product

    place = chosen_path(directory).absolute()
    index = read_index(find_index(place, job_id))
    sizes = {file["name"]: file["size"] for record in index["products"] for file in record["files"]}
    for name, size in sizes.items():
        try:
            is_same = os.lstat(place / name).st_size == size
        except OSError as error:
            raise DecodingError(f"The file {place / name} is missing.") from error
        if not is_same:
            raise _changed(place / name)
    allowance, taken, products = Allowance(sum(sizes.values())), dict[str, int](), []
    for record in index["products"]:
        entry = Entry(record["service_name"], record["kind"], Stored(place, record), _read_stored, record["meta"])
        # files of one product may have been written twice under different names
        products.append(Product(entry, free_name(record["name"], taken), record["source"], allowance))
    found = cls(products, **about_products(index))
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
