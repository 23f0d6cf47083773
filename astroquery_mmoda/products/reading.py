# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Products from the files that `Products.write` left: each file is opened when its product is looked at."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from .. import decoding
from ..allowance import Allowance
from ..decoding.boundary import reading
from ..errors import DecodingError
from ..text import transliterated
from .channels import limits_of, renumbered
from .entries import Entry
from .index import Index, Record, StoredFile, contents, find_index

if TYPE_CHECKING:
    from .products import Products

__all__ = ["Stored", "read_products"]


@dataclass(frozen=True)
class Stored:
    """Where the data of a product are; it has the place of the service's own words in an entry."""

    directory: Path
    record: Record = field(repr=False)


def read_products(cls: type[Products], directory: str | os.PathLike[str], *, job_id: str | None = None) -> Products:
    """Open what `Products.write` wrote."""
    from .products import Product

    place = Path(directory).expanduser().absolute()
    index = Index.read(find_index(place, job_id))
    for record in index.records:
        for file in record.files:
            _check_presence(place, file)
    entries = [
        Entry(each.service_name, each.kind, Stored(place, each), _read_stored, each.meta) for each in index.records
    ]
    return cls(
        (Product(entry, each.name, each.source) for entry, each in zip(entries, index.records, strict=True)),
        parameters=index.parameters,
        job_id=index.job_id,
        comment=index.comment,
        meta=index.meta,
        service=index.service,
    )


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
        return _READERS[record.format]([_bytes(stored.directory, file) for file in record.files], record)


def _bytes(directory: Path, file: StoredFile) -> bytes:
    data = contents(directory / file.name, limit=file.size)
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise _changed(directory / file.name)
    return data


# ---- readers: bytes of the files -> data


def _open(data: bytes) -> list[Any]:
    """All HDUs, in memory, without the sums that writing added."""
    if not data.startswith(b"SIMPLE  ="):
        raise DecodingError("this is no FITS file")  # but maybe a small one of a large one, which would be unpacked
    with fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=False, disable_image_compression=True) as hdulist:
        for hdu in hdulist:
            # looking at its data reads them
            if hdu.data is None and not isinstance(hdu, fits.PrimaryHDU):
                raise DecodingError(f"no data in {hdu.name}")
            for key in ("CHECKSUM", "DATASUM"):
                hdu.header.remove(key, ignore_missing=True)
        return list(hdulist)


def _fits(files: Sequence[bytes], record: Record) -> fits.HDUList:
    primary, *rest = _open(files[0])
    options = record.options
    for key in options["added"]:
        primary.header.remove(key, ignore_missing=True, remove_all=True)
    for key, value, comment in options["replaced"]:
        primary.header[key] = (value, comment)
    lines = [index for index, card in enumerate(primary.header.cards) if card.keyword == "HISTORY"]
    for index in reversed(lines[len(lines) - options["lines"] :]):
        del primary.header[index]
    return fits.HDUList([primary, *rest])


def _image(files: Sequence[bytes], record: Record) -> fits.HDUList:
    hdus = _open(files[0])[1:]
    hdus = hdus[:-1] if record.options.get("catalog") else hdus
    for hdu in hdus:
        if hdu.is_image:
            # an image without a name got the product's
            original = hdu.header.pop("ORIGNAME", hdu.name)
            _rename(hdu, "" if original == transliterated(record.name)[:60] else original)
    return fits.HDUList([fits.PrimaryHDU(), *hdus])


def _spectrum(files: Sequence[bytes], record: Record) -> fits.HDUList:
    """Tables of a product, in the service's order, from the files of a spectrum and its response."""
    opened = [_open(data) for data in files]
    for each in record.options.get("renumbered", ()):
        _number_as_before(opened[each["file"]][each["hdu"]], each)
    places = record.options.get("tables")  # older indexes have none
    hdus = [opened[file][number] for file, number in places] if places else [hdu for each in opened for hdu in each[1:]]
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


def _lightcurve(files: Sequence[bytes], record: Record) -> fits.HDUList:
    """The service's own tables, which follow the ones for other tools."""
    names = record.options["names"]
    hdus = _open(files[0])[-len(names) :]
    for hdu, (name, version) in zip(hdus, names, strict=True):
        hdu.header.remove("ORIGNAME", ignore_missing=True)
        hdu.ver = version
        _rename(hdu, name)
    return fits.HDUList([fits.PrimaryHDU(), *hdus])


def _rename(hdu: Any, name: str) -> None:
    """Not by the attribute, which makes capitals of small letters."""
    if name:
        hdu.header["EXTNAME"] = name
    else:
        hdu.header.remove("EXTNAME", ignore_missing=True)


def _ecsv(files: Sequence[bytes], record: Record) -> Table:
    table = decoding.read_ecsv(str(files[0], "utf-8"))
    table.meta.pop(record.options["provenance"], None)
    masked = record.options["masked"]
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


def _text(files: Sequence[bytes], record: Record) -> str:
    return str(files[0], "utf-8")


def _json(files: Sequence[bytes], record: Record) -> Any:
    return decoding.parse_body(files[0], what="JSON")


def _as_bytes(files: Sequence[bytes], record: Record) -> bytes:
    return files[0]


_READERS: Mapping[str, Callable[[Sequence[bytes], Record], Any]] = {
    "image": _image,
    "spectrum": _spectrum,
    "lightcurve": _lightcurve,
    "fits": _fits,
    "ecsv": _ecsv,
    "text": _text,
    "json": _json,
    "bytes": _as_bytes,
}
