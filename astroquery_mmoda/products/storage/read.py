# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Products from the files that `Products.write` left: each file is opened when its product is looked at."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from ... import decoding
from ...allowance import Allowance
from ...errors import DecodingError, reading
from ...text import transliterated
from ..budget import size_when_read
from ..channels import limits_of, renumbered
from ..kinds import Entry, free_name
from .filenames import chosen_path
from .fitsfiles import opened
from .index import Index, Record, StoredFile, contents, find_index

if TYPE_CHECKING:
    from ..products import Products

__all__ = ["Stored", "read_products"]

_MOST_OPTIONS = 100


@dataclass(frozen=True)
class Stored:
    """Where the data of a product are; it has the place of the service's own words in an entry."""

    directory: Path
    record: Record = field(repr=False)


def read_products(cls: type[Products], directory: str | os.PathLike[str], *, job_id: str | None = None) -> Products:
    """Open what `Products.write` wrote."""
    from ..products import Product

    place = _directory(directory)
    index = Index.read(find_index(place, job_id))
    for record in index.records:
        for file in record.files:
            _check_presence(place, file)
    entries = [
        Entry(each.service_name, each.kind, Stored(place, each), _read_stored, each.meta) for each in index.records
    ]
    sizes = {file.name: file.size for record in index.records for file in record.files}
    allowance, taken = Allowance(sum(sizes.values())), dict[str, int]()
    # files of one product may have been written twice under different names
    products = [
        Product(entry, free_name(each.name, taken), each.source, allowance)
        for entry, each in zip(entries, index.records, strict=True)
    ]
    found = cls(
        products,
        parameters=index.parameters,
        job_id=index.job_id,
        comment=index.comment,
        meta=index.meta,
        service=index.service,
    )
    found._allowance = allowance
    return found


def _directory(told: str | os.PathLike[str]) -> Path:
    place = chosen_path(told).absolute()
    os.lstat(place)
    return place


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
        files = [_bytes(stored.directory, file) for file in record.files]
        return _READERS[record.format](files, record, allowance)


def _bytes(directory: Path, file: StoredFile) -> bytes:
    data = contents(directory / file.name, limit=file.size)
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise _changed(directory / file.name)
    return data


# ---- readers: bytes of the files -> data


def _fits(files: Sequence[bytes], record: Record, allowance: Allowance) -> fits.HDUList:
    primary, *rest = opened(files[0], allowance)
    options = record.options
    for key in _few(options["added"]):
        primary.header.remove(key, ignore_missing=True, remove_all=True)
    for key, value, comment in _few(options["replaced"]):
        primary.header[key] = (value, comment)
    _drop_history(primary, options["lines"])
    return fits.HDUList([primary, *rest])


def _drop_history(hdu: Any, count: int) -> None:
    """Leave out the last lines of HISTORY, all at once: one by one would take seconds for a long header."""
    places = [index for index, card in enumerate(hdu.header.cards) if card.keyword == "HISTORY"]
    gone = set(places[max(len(places) - count, 0) :])
    if gone:
        hdu.header = fits.Header([card for index, card in enumerate(hdu.header.cards) if index not in gone])


def _image(files: Sequence[bytes], record: Record, allowance: Allowance) -> fits.HDUList:
    hdus = opened(files[0], allowance)[1:]
    hdus = hdus[:-1] if record.options.get("catalog") else hdus
    for hdu in hdus:
        if hdu.is_image:
            # an image without a name got the product's
            original = hdu.header.pop("ORIGNAME", hdu.name)
            _rename(hdu, "" if original == transliterated(record.name, limit=60) else original)
    return fits.HDUList([fits.PrimaryHDU(), *hdus])


def _spectrum(files: Sequence[bytes], record: Record, allowance: Allowance) -> fits.HDUList:
    """Tables of a product, in the service's order, from the files of a spectrum and its response."""
    tables = [opened(data, allowance) for data in files]
    for each in _few(record.options.get("renumbered", ())):
        hdu = tables[each["file"]][each["hdu"]]
        allowance.spend(4 * size_when_read(hdu), "channels")
        _number_as_before(hdu, each)
    places = record.options.get("tables")  # older indexes have none
    if places and len({(file, number) for file, number in places}) < len(places):
        raise DecodingError("a table is listed twice")
    hdus = [tables[file][number] for file, number in places] if places else [hdu for each in tables for hdu in each[1:]]
    for hdu in hdus:
        if hdu.name == "SPECTRUM" and "quality" in record.options:
            name = next(name for name in hdu.columns.names if name.upper() == "QUALITY")
            hdu.data[name] = record.options["quality"]
        _rename(hdu, hdu.header.pop("ORIGNAME", hdu.name))
    return fits.HDUList([fits.PrimaryHDU(), *hdus])


def _number_as_before(hdu: Any, told: Mapping[str, Any]) -> None:
    """Give a table its own numbers of channels again, which those of other tables need not agree with."""
    values, numbers = hdu.data[told["column"]], renumbered(hdu, told["column"], -told["shift"])
    for index, number in enumerate(numbers):  # one by one, which rows of variable length need
        values[index] = number
    for key in limits_of(hdu, told["column"]):
        value = told["cards"].get(key)
        if isinstance(value, int):
            hdu.header[key] = value
        else:
            hdu.header.remove(key, ignore_missing=True)


def _lightcurve(files: Sequence[bytes], record: Record, allowance: Allowance) -> fits.HDUList:
    """The service's own tables, which follow the ones for other tools."""
    names = record.options["names"]
    hdus = opened(files[0], allowance)[-len(names) :]
    for hdu, (name, version) in zip(hdus, names, strict=True):
        hdu.header.remove("ORIGNAME", ignore_missing=True)
        hdu.ver = version
        _rename(hdu, name)
    return fits.HDUList([fits.PrimaryHDU(), *hdus])


def _few(values: Any) -> list[Any]:
    """What an index has of few things; each one costs time."""
    if not isinstance(values, (list, tuple)) or len(values) > _MOST_OPTIONS:
        raise DecodingError(f"not a list of at most {_MOST_OPTIONS} things in the index")
    return list(values)


def _rename(hdu: Any, name: str) -> None:
    """Not by the attribute, which makes capitals of small letters."""
    if name:
        hdu.header["EXTNAME"] = name
    else:
        hdu.header.remove("EXTNAME", ignore_missing=True)


def _ecsv(files: Sequence[bytes], record: Record, allowance: Allowance) -> Table:
    table = decoding.read_ecsv(_decoded(files[0], allowance), allowance=allowance)
    table.meta.pop(record.options["provenance"], None)
    masked = set(record.options["masked"])
    for name in table.colnames:
        column = table[name]
        if name in masked and not isinstance(column, MaskedColumn):
            table[name] = MaskedColumn(column)
        elif name not in masked and isinstance(column, MaskedColumn):
            # an empty text is a missing one in ECSV
            table[name] = Column(np.ma.getdata(column), unit=column.unit, **_attributes(column))
    return table


def _attributes(column: Column) -> dict[str, Any]:
    return {"description": column.description, "format": column.format, "meta": column.meta}


def _text(files: Sequence[bytes], record: Record, allowance: Allowance) -> str:
    return _decoded(files[0], allowance)


def _decoded(data: bytes, allowance: Allowance) -> str:
    if not data.isascii():  # all characters are as wide as the widest
        allowance.spend(4 * len(data), "a text")
    return str(data, "utf-8")


def _json(files: Sequence[bytes], record: Record, allowance: Allowance) -> Any:
    return decoding.parse_body(files[0], what="JSON")


def _as_bytes(files: Sequence[bytes], record: Record, allowance: Allowance) -> bytes:
    return files[0]


_READERS: Mapping[str, Callable[[Sequence[bytes], Record, Allowance], Any]] = {
    "image": _image,
    "spectrum": _spectrum,
    "lightcurve": _lightcurve,
    "fits": _fits,
    "ecsv": _ecsv,
    "text": _text,
    "json": _json,
    "bytes": _as_bytes,
}
