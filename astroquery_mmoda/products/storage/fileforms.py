# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
How a product alone is kept in a file: for each form a function that plans the file, and one that reads it again.

Readers get the bytes of the files, the record of the product, and the allowance of memory.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from ... import decoding
from ...allowance import Allowance
from ...errors import DecodingError, MmodaError, reading
from ...text import transliterated, without_token
from ..cards import add_date, clean, complete_copy, provenance_cards, with_origin
from ..display.summary import summarize
from ..kinds import KINDS
from ..product import subset
from .filenames import OutputDirectory, safe_name
from .fitsfiles import opened
from .index import PREFIX, StoredFile, StoredProduct
from .lightcurvefiles import lightcurve_hdus
from .output import OutputFile
from .provenance import Provenance

if TYPE_CHECKING:
    from ..product import Product
    from ..products import Products


_MOST_OPTIONS = 100
_PICTURES = ("png", "jpg", "jpeg", "gif", "svg", "pdf")
# endings that a binary product may bring along; others could make the file something that a computer runs
_ENDINGS = (".fits", ".fits.gz", ".csv", ".dat", ".h5", ".hdf5", ".tar", ".tar.gz", ".gz", ".zip", ".vot", ".xml")


@dataclass(frozen=True)
class Plan:
    """A product, its files, the form of these, and what their reader needs beside."""

    product: Product
    format: str
    files: Sequence[OutputFile]
    options: dict[str, Any] = field(default_factory=dict)

    def record(self) -> StoredProduct:
        """Entry of the index, when the files are written."""
        return StoredProduct(
            name=without_token(self.product.name),
            service_name=without_token(self.product.entry.name),
            kind=self.product.kind,
            source=without_token(self.product.source),
            meta=dict(self.product.meta),
            format=self.format,
            files=tuple(StoredFile.of(file.path) for file in self.files),
            options=self.options | {"summary": asdict(summarize(self.product))},
        )


def plan_single(product: Product, products: Products, output: OutputDirectory) -> Plan:
    """How to write a product that is not part of a spectrum."""
    data = product.data
    file_form = KINDS[product.kind].file
    if file_form == "image":
        return _plan_image(product, products, output)
    if isinstance(data, fits.HDUList):
        if file_form == "lightcurve":
            with suppress(MmodaError), reading("light curve"):  # what is not a light curve is written as it came
                return _plan_lightcurve(product, products, output)
        return _plan_fits(product, products, output)
    if isinstance(data, Table):
        return _plan_ecsv(product, products, output)
    if isinstance(data, bytes):
        return Plan(product, "bytes", [_file(product, _ending(product), data, output)])
    with suppress(UnicodeEncodeError):  # JSON can hold halves of characters
        if isinstance(data, str):
            return Plan(product, "text", [_file(product, ".txt", without_token(data).encode(), output)])
    text = without_token(json.dumps(data, indent=1) + "\n")
    return Plan(product, "json", [_file(product, ".json", text.encode(), output)])


def _file(product: Product, ending: str, content: bytes | fits.HDUList, output: OutputDirectory) -> OutputFile:
    if isinstance(content, fits.HDUList):
        for hdu in content:
            clean(hdu)
        add_date(content[0].header)
    title = without_token(product.title)
    if title.lower().endswith(ending):
        title = title[: -len(ending)]
    if safe_name(title).casefold().startswith(PREFIX):
        title = f"product {title}"  # only indexes begin like this
    (path,) = output.reserve(title, ending, default=product.kind)
    return OutputFile(without_token(product.source), product.kind, content, path)


def _ending(product: Product) -> str:
    if product.kind == "picture" and product.meta.get("img_type") in _PICTURES:
        return f".{product.meta['img_type']}"
    known = [ending for ending in _ENDINGS if product.title.lower().endswith(ending)]
    return max(known, key=len, default=".bin")


def cleaned(hdu: Any) -> Any:
    """Copy of an HDU to be written; a primary one becomes an extension, as it is not the first."""
    own = complete_copy(hdu)
    own = fits.ImageHDU(own.data, own.header) if isinstance(own, fits.PrimaryHDU) else own
    clean(own)
    return own


def name_hdu(hdu: Any, name: str) -> None:
    """Name an HDU; not by the attribute, which makes capitals of small letters."""
    if name:
        hdu.header["EXTNAME"] = name
    else:
        hdu.header.remove("EXTNAME", ignore_missing=True)


def few(values: Any) -> list[Any]:
    """A list in an index, of which each element costs time."""
    if not isinstance(values, list) or len(values) > _MOST_OPTIONS:
        raise DecodingError(f"not a list of at most {_MOST_OPTIONS} elements in the index")
    return values


# ---- an image with its source list


def _plan_image(product: Product, products: Products, output: OutputDirectory) -> Plan:
    catalogs = products.select(kind="catalog")
    hdulist = subset(products, [product, *catalogs[:1]]).image()
    return Plan(product, "image", [_file(product, ".fits", hdulist, output)], {"catalog": len(catalogs) > 0})


def _read_image(files: Sequence[bytes], record: StoredProduct, allowance: Allowance) -> fits.HDUList:
    hdus = opened(files[0], allowance)[1:]
    hdus = hdus[:-1] if record.options.get("catalog") else hdus
    for hdu in hdus:
        if hdu.is_image:
            # an image without a name got the product's
            original = hdu.header.pop("ORIGNAME", hdu.name)
            name_hdu(hdu, "" if original == transliterated(record.name, limit=60) else original)
    return fits.HDUList([fits.PrimaryHDU(), *hdus])


# ---- a light curve as other tools read it, and behind it the service's own tables


def _plan_lightcurve(product: Product, products: Products, output: OutputDirectory) -> Plan:
    hdulist = lightcurve_hdus(subset(products, [product]).lightcurve())
    names = []
    for hdu in product.data:
        if hdu.data is not None and not (hdu.is_image and hdu.data.size == 0):
            names.append((hdu.name, hdu.ver))
            own = with_origin(cleaned(hdu), hdu.name)
            own.name, own.ver = "SERVICE", len(names)
            hdulist.append(own)
    return Plan(product, "lightcurve", [_file(product, ".fits", hdulist, output)], {"names": names})


def _read_lightcurve(files: Sequence[bytes], record: StoredProduct, allowance: Allowance) -> fits.HDUList:
    names = record.options["names"]
    hdus = opened(files[0], allowance)[-len(names) :]
    for hdu, (name, version) in zip(hdus, names, strict=True):
        hdu.header.remove("ORIGNAME", ignore_missing=True)
        hdu.ver = version
        name_hdu(hdu, name)
    return fits.HDUList([fits.PrimaryHDU(), *hdus])


# ---- arrays and tables as they came, with cards of ours in the primary header


def _plan_fits(product: Product, products: Products, output: OutputDirectory) -> Plan:
    hdulist = fits.HDUList([complete_copy(hdu) for hdu in product.data])
    header, cards = hdulist[0].header, provenance_cards(products)
    added = [card.keyword for card in cards if card.keyword != "HISTORY"] + ["DATE"]
    replaced = [
        (card.keyword, card.value if isinstance(card.value, (str, int, float)) else None, card.comment)
        for card in header.cards
        if card.keyword in added
    ]
    for keyword in added:
        header.remove(keyword, ignore_missing=True, remove_all=True)
    header.extend(cards, bottom=True)
    options = {"added": added, "replaced": replaced, "lines": len(cards) - len(added) + 1}
    return Plan(product, "fits", [_file(product, ".fits", hdulist, output)], options)


def _read_fits(files: Sequence[bytes], record: StoredProduct, allowance: Allowance) -> fits.HDUList:
    """All HDUs, without our cards and the last lines of HISTORY, which are ours as well."""
    primary, *rest = opened(files[0], allowance)
    added, replaced = few(record.options["added"]), few(record.options["replaced"])
    history = sum(card.keyword == "HISTORY" for card in primary.header.cards) - record.options["lines"]
    cards = []
    # all at once: removing them one by one would take seconds for a long header
    for card in primary.header.cards:
        history -= card.keyword == "HISTORY"
        if card.keyword not in added and not (card.keyword == "HISTORY" and history < 0):
            cards.append(card)
    primary.header = fits.Header([*cards, *(fits.Card(*each) for each in replaced)])
    return fits.HDUList([primary, *rest])


# ---- tables of astropy


def _plan_ecsv(product: Product, products: Products, output: OutputDirectory) -> Plan:
    """ECSV takes empty texts for missing ones, unless columns say themselves what is missing."""
    table = product.data.copy(copy_data=False)
    key = "MMODA"
    while key in table.meta:
        key += "_"
    table.meta[key] = Provenance.of(products).to_dict()
    masked = [name for name in table.colnames if isinstance(table[name], MaskedColumn)]
    unclear = [name for name in masked if table[name].dtype.kind == "U" and (table[name].filled("x") == "").any()]
    buffer = io.StringIO()
    table.write(buffer, format="ascii.ecsv", serialize_method=dict.fromkeys(unclear, "data_mask"))
    content = without_token(buffer.getvalue()).encode()
    return Plan(product, "ecsv", [_file(product, ".ecsv", content, output)], {"provenance": key, "masked": masked})


def _read_ecsv(files: Sequence[bytes], record: StoredProduct, allowance: Allowance) -> Table:
    table = decoding.read_ecsv(_read_text(files, record, allowance), allowance=allowance)
    table.meta.pop(record.options["provenance"], None)
    masked = set(record.options["masked"])
    for name in table.colnames:
        column = table[name]
        if name in masked and not isinstance(column, MaskedColumn):
            table[name] = MaskedColumn(column)
        elif name not in masked and isinstance(column, MaskedColumn):
            # an empty text is a missing one in ECSV
            kept = {key: getattr(column, key) for key in ("unit", "description", "format", "meta")}
            table[name] = Column(np.ma.getdata(column), **kept)
    return table


# ---- texts, plain values and bytes


def _read_text(files: Sequence[bytes], record: StoredProduct, allowance: Allowance) -> str:
    if not files[0].isascii():  # all characters are as wide as the widest
        allowance.spend(4 * len(files[0]), "a text")
    return str(files[0], "utf-8")


#: readers by the form of the files
READERS = {
    "image": _read_image,
    "lightcurve": _read_lightcurve,
    "fits": _read_fits,
    "ecsv": _read_ecsv,
    "text": _read_text,
    "json": lambda files, record, allowance: decoding.parse_body(files[0], what="JSON"),
    "bytes": lambda files, record, allowance: files[0],
}
