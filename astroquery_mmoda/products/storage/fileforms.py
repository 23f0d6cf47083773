# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
How products are kept in files: what is written, and for each format a function that reads it again.

Readers get the bytes of the files, the record of the product, and the allowance of memory.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from astropy.io import fits
from astropy.table import MaskedColumn, Table

from ... import decoding
from ...allowance import Allowance
from ...errors import DecodingError, MmodaError, reading
from ...text import without_token
from ..cards import add_date, complete_copy, drop_missing, provenance_cards, with_origin
from ..channels import CHANNELS_IN, limits_of, renumbered
from ..columnsizes import size_when_read
from ..display.summary import summarize
from ..kinds import KINDS
from ..product import subset
from ..spectrum import missing_columns, spectrum_form, tables_by_role
from ..spectrum import set_name as source_of
from .fitsfiles import opened
from .index import PREFIX, StoredFile, StoredProduct
from .lightcurvefiles import lightcurve_hdus
from .ogip import TABLES_IN, numbering, ogip_files, ogip_tables
from .output import OutputDirectory, OutputFile, safe_name
from .provenance import Provenance
from .spectrumtable import SpectrumOptions, check_columns

if TYPE_CHECKING:
    from ..product import Product
    from ..products import Products


_PICTURES = ("png", "jpg", "jpeg", "gif", "svg", "pdf")
# endings of names that a binary product may have; others could make the file something that a computer runs
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
    data, form = product.data, KINDS[product.kind].file
    if form == "image" or isinstance(data, fits.HDUList):
        hdulist, places = _hdus_for_file(product, products, form)
        return Plan(product, "fits", [_output_file(product, ".fits", hdulist, output)], {"hdus": places})
    if isinstance(data, Table):
        content, masked = _ecsv(data, products)
        return Plan(product, "ecsv", [_output_file(product, ".ecsv", content, output)], {"masked": masked})
    if isinstance(data, bytes):
        return Plan(product, "bytes", [_output_file(product, _ending(product), data, output)])
    with suppress(UnicodeEncodeError):  # JSON can have halves of characters (surrogates)
        if isinstance(data, str):
            return Plan(product, "text", [_output_file(product, ".txt", without_token(data).encode(), output)])
    text = without_token(json.dumps(data, indent=1) + "\n")
    return Plan(product, "json", [_output_file(product, ".json", text.encode(), output)])


def _output_file(product: Product, ending: str, content: bytes | fits.HDUList, output: OutputDirectory) -> OutputFile:
    if isinstance(content, fits.HDUList):
        for hdu in content:
            drop_missing(hdu.header, words=False)
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


def _cleaned(hdu: Any) -> Any:
    """Copy of an HDU to be written; a primary one becomes an extension, as it is not the first."""
    own = complete_copy(hdu)
    own = fits.ImageHDU(own.data, own.header) if isinstance(own, fits.PrimaryHDU) else own
    drop_missing(own.header, words=False)
    return own


# ---- FITS: a form that other tools read, and where in the files the service's own HDUs are


def _has_content(hdu: Any) -> bool:
    return isinstance(hdu, fits.BinTableHDU) or (hdu.data is not None and hdu.data.size > 0)


def _place_in_file(hdu: Any, file: int, number: int, shift: int = 0) -> list[Any]:
    """Where an HDU of the service is: number of the file and in it, its name, and what was added to its channels."""
    return [file, number, str(hdu.header.get("EXTNAME", "")), hdu.ver, shift]


def _hdus_for_file(product: Product, products: Products, form: str) -> tuple[fits.HDUList, list[Any]]:
    """An image with its source list, a light curve followed by the service's tables, or all as it came."""
    if form == "image":
        hdulist = subset(products, [product, *products.select(kind="catalog")[:1]]).image()
        extensions = [hdu for hdu in product.data if hdu.data is not None or not isinstance(hdu, fits.PrimaryHDU)]
        return hdulist, [_place_in_file(hdu, 0, number) for number, hdu in enumerate(extensions, start=1)]
    if form == "lightcurve":
        with suppress(MmodaError), reading("light curve"):  # what is not a light curve is written as it came
            hdulist, places = lightcurve_hdus(subset(products, [product]).lightcurve()), []
            for version, hdu in enumerate(filter(_has_content, product.data), start=1):
                places.append(_place_in_file(hdu, 0, len(hdulist)))
                own = with_origin(_cleaned(hdu), hdu.name)
                own.name, own.ver = "SERVICE", version
                hdulist.append(own)
            return hdulist, places
    hdulist = fits.HDUList([complete_copy(hdu) for hdu in product.data])
    drop_missing(hdulist[0].header, words=False)
    hdulist[0].header.extend(provenance_cards(products), unique=True, bottom=True)
    return hdulist, [_place_in_file(hdu, 0, number) for number, hdu in enumerate(product.data)]


def _read_fits(files: Sequence[bytes], record: StoredProduct, allowance: Allowance) -> fits.HDUList:
    contents = [opened(data, allowance) for data in files]
    hdus = []
    # each place once, whatever the index says
    places = {tuple(place[:2]): place[2:] for place in record.options["hdus"]}
    for (file, number), (name, version, shift) in places.items():
        hdu = contents[file][number]
        if shift:
            allowance.spend(4 * size_when_read(hdu), "channels")
            _shift_channels(hdu, -shift)
        hdu.header.remove("ORIGNAME", ignore_missing=True)
        hdu.header.remove("EXTNAME", ignore_missing=True)
        if name:
            hdu.header["EXTNAME"] = name  # not by the attribute, which makes capitals of small letters
        if hdu.ver != version:
            hdu.ver = version
        hdus.append(hdu)
    return fits.HDUList(hdus if isinstance(hdus[0], fits.PrimaryHDU) else [fits.PrimaryHDU(), *hdus])


# ---- the products of a spectrum, as OGIP files


@dataclass(frozen=True)
class SpectrumSet:
    """
    Products of a spectrum with its response, to be written as OGIP files.

    ``tables`` are the HDUs by their roles, as in the form of ``query_spectrum``; ``layout`` has, for each kind of file,
    the products and the numbers of the HDUs in them, with their roles or ``""``.
    """

    members: Sequence[Product]
    tables: Mapping[str, Any]
    layout: Mapping[str, Mapping[tuple[Product, int], str]]
    provenance: fits.Header

    @classmethod
    def of(cls, members: Sequence[Product], products: Products) -> SpectrumSet | None:
        """Find the tables of a spectrum of channels among products of one source; None where there is none."""
        if not all(isinstance(product.data, fits.HDUList) for product in members):
            return None
        found = tables_by_role(members)
        roles = {role: place for role, place in found.items() if not missing_columns(_hdu_at(place), role)}
        try:
            check_columns(_hdu_at(roles["SPECTRUM"]), "SPECTRUM")
        except (KeyError, DecodingError):
            return None
        if "MATRIX" not in roles:
            roles.pop("EBOUNDS", None)  # no file is made for the energies alone
        # products without a part in it are written as they came
        members = [product for product in members if any(owner is product for owner, _ in roles.values())]
        form = spectrum_form(subset(products, members), products)
        for hdu in form:
            drop_missing(hdu.header, words=False)
        layout = {kind: {roles[role]: role for role in TABLES_IN[kind] if role in roles} for kind in TABLES_IN}
        for product in members:
            others = [(product, number) for number, hdu in enumerate(product.data) if _has_content(hdu)]
            layout[product.kind] |= {place: "" for place in others if place not in roles.values()}
        return cls(members, {hdu.name: hdu for hdu in form if hdu.name in roles}, layout, form[0].header)


def _hdu_at(place: tuple[Product, int]) -> Any:
    product, number = place
    return product.data[number]


def plan_spectrum(found: SpectrumSet, output: OutputDirectory, options: SpectrumOptions) -> list[Plan]:
    """How to write the products of a spectrum."""
    name, numbers = source_of(found.members), numbering(found.tables)
    contents = ogip_tables(found.tables, numbers, found.provenance, name, options)
    places = {}
    for kind, content in contents.items():
        for number, (place, role) in enumerate(found.layout[kind].items(), start=1):
            places[place] = kind, number, numbers.shifts.get(role, 0)
            if not role:
                content.append(_cleaned(_hdu_at(place)))
                drop_missing(content[-1].header)
    files = {file.kind: file for file in ogip_files(contents, found.provenance, name, output, default="source_1")}
    plans = []
    for product in found.members:
        own = {i: places[product, i] for i in range(len(product.data)) if (product, i) in places}
        kinds = list(dict.fromkeys(kind for kind, _, _ in own.values()))
        hdus = [_place_in_file(product.data[i], kinds.index(kind), *rest) for i, (kind, *rest) in own.items()]
        chosen = [replace(files[kind], source=without_token(product.source)) for kind in kinds]
        plans.append(Plan(product, "fits", chosen, {"hdus": hdus}))
    return plans


def _shift_channels(hdu: Any, shift: int) -> None:
    """Number channels as the service did."""
    column = next(name for name in hdu.columns.names if name.upper() in CHANNELS_IN.values())
    values = hdu.data[column]
    for index, number in enumerate(renumbered(hdu, column.upper(), shift)):  # rows of variable length need it so
        values[index] = number
    for key in limits_of(hdu, column.upper())[:2]:
        hdu.header[key] += shift


# ---- tables of astropy


def _ecsv(data: Table, products: Products) -> tuple[bytes, list[str]]:
    """Make ECSV, which takes empty texts for missing ones unless columns say what is missing; and name masked ones."""
    table = data.copy(copy_data=False)
    table.meta["MMODA"] = Provenance.of(products).to_dict()
    masked = [name for name in table.colnames if isinstance(table[name], MaskedColumn)]
    unclear = [name for name in masked if table[name].dtype.kind == "U" and (table[name].filled("x") == "").any()]
    buffer = io.StringIO()
    table.write(buffer, format="ascii.ecsv", serialize_method=dict.fromkeys(unclear, "data_mask"))
    return without_token(buffer.getvalue()).encode(), masked


def _read_ecsv(files: Sequence[bytes], record: StoredProduct, allowance: Allowance) -> Table:
    table = decoding.read_ecsv(_read_text_file(files, record, allowance), allowance=allowance)
    table.meta.pop("MMODA", None)
    masked = set(record.options["masked"])
    for name in table.colnames:
        is_masked = isinstance(table[name], MaskedColumn)
        if name in masked and not is_masked:
            table[name] = MaskedColumn(table[name])
        elif is_masked and name not in masked:
            table[name] = table[name].filled("")  # an empty text is a missing one in ECSV
    return table


# ---- texts, plain values and bytes


def _read_text_file(files: Sequence[bytes], record: StoredProduct, allowance: Allowance) -> str:
    if not files[0].isascii():  # all characters are as wide as the widest
        allowance.spend(4 * len(files[0]), "a text")
    return str(files[0], "utf-8")


#: readers by format
READERS = {
    "fits": _read_fits,
    "ecsv": _read_ecsv,
    "text": _read_text_file,
    "json": lambda files, record, allowance: decoding.parse_body(files[0], what="JSON"),
    "bytes": lambda files, record, allowance: files[0],
}
