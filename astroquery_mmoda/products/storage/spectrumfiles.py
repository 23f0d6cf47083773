# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How a spectrum and its response are kept in OGIP files, and the products that they were read again from these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from ...allowance import Allowance
from ...errors import DecodingError, reading
from ...text import without_token
from ..budget import size_when_read
from ..cards import card_value, clean, drop_missing
from ..channels import CHANNELS_IN, limits_of, renumbered
from ..product import subset
from ..spectrum import is_complete, spectrum_form, tables_by_role
from ..spectrum import set_name as source_of
from .fileforms import Plan, cleaned, few, set_name
from .filenames import OutputDirectory
from .fitsfiles import opened
from .grouping import SpectrumOptions
from .index import Record
from .ogip import TABLES_IN, ogip_files
from .ogiptables import numbering, ogip_tables
from .spectrumtable import check_columns, has_column

if TYPE_CHECKING:
    from ..product import Product
    from ..products import Products

__all__ = ["SpectrumSet", "plan_spectrum", "read_spectrum"]


@dataclass(frozen=True)
class SpectrumSet:
    """
    A spectrum with its response, to be written as OGIP files.

    ``roles`` has the product and the number of the HDU of each role, and ``layout`` those of all tables in a kind of
    file, in their order; ``tables`` are the HDUs of the roles as in the form of ``query_spectrum``.
    """

    members: Sequence[Product]
    roles: Mapping[str, tuple[Product, int]]
    layout: Mapping[str, Sequence[tuple[Product, int]]]
    tables: Mapping[str, Any]
    provenance: fits.Header

    @classmethod
    def of(cls, members: Sequence[Product], products: Products) -> SpectrumSet | None:
        """Find the tables of a spectrum of channels among products of one source; None where there is none."""
        if not all(isinstance(product.data, fits.HDUList) for product in members):
            return None
        if not any(product.kind == "spectrum" for product in members):
            return None
        roles = {role: found for role, found in tables_by_role(members).items() if is_complete(_hdu(found), role)}
        try:
            check_columns(_hdu(roles["SPECTRUM"]), "SPECTRUM")
        except (KeyError, DecodingError):
            return None
        if "MATRIX" not in roles:
            roles.pop("EBOUNDS", None)  # no file is made for the energies alone
        # products without a part in it are written as they came
        members = [product for product in members if any(owner is product for owner, _ in roles.values())]
        layout = {
            kind: [roles[role] for role in TABLES_IN[kind] if role in roles]
            + [
                (product, number)
                for product in members
                if product.kind == kind
                for number in _numbers(product)
                if (product, number) not in roles.values()
            ]
            for kind in TABLES_IN
        }
        form = spectrum_form(subset(products, members), products)
        for hdu in form:
            clean(hdu)
        tables = {hdu.name: hdu for hdu in form if hdu.name in roles}
        return cls(members, roles, layout, tables, form[0].header)

    @property
    def spectrum(self) -> Product:
        """The product that has the spectrum."""
        return self.roles["SPECTRUM"][0]


def _hdu(found: tuple[Product, int]) -> Any:
    product, number = found
    return product.data[number]


def _numbers(product: Product) -> list[int]:
    """Which HDUs of a product have content."""
    return [
        number
        for number, hdu in enumerate(product.data)
        if isinstance(hdu, fits.BinTableHDU) or (hdu.data is not None and hdu.data.size > 0)
    ]


def plan_spectrum(found: SpectrumSet, output: OutputDirectory, options: SpectrumOptions) -> list[Plan]:
    """How to write the products of a spectrum."""
    with reading("spectrum"):
        numbers, name = numbering(found.tables), source_of(found.members)
        contents = ogip_tables(found.tables, numbers, found.provenance, name, options)
        for kind, content in contents.items():
            for each in found.layout[kind][len(content) :]:
                content.append(cleaned(_hdu(each)))
                drop_missing(content[-1].header)
        files = ogip_files(contents, found.provenance, name, output, default="source_1")
    by_kind = {file.kind: file for file in files}
    place_of = {
        (id(product), number): (kind, place)
        for kind in contents
        for place, (product, number) in enumerate(found.layout[kind], start=1)
    }
    role_of = {(id(product), number): role for role, (product, number) in found.roles.items()}
    plans = []
    for product in found.members:
        keys = [(id(product), number) for number in _numbers(product)]
        kinds = list(dict.fromkeys(place_of[key][0] for key in keys))
        tables = []
        for key in keys:
            kind, place = place_of[key]
            table = {"file": kinds.index(kind), "hdu": place, "name": product.data[key[1]].name}
            if role := role_of.get(key):
                table |= _differences(role, found.tables[role], numbers.shifts.get(role, 0), options)
            tables.append(table)
        own = [replace(by_kind[kind], source=without_token(product.source)) for kind in kinds]
        plans.append(Plan(product, "spectrum", own, {"tables": tables}))
    return plans


def _differences(role: str, hdu: Any, shift: int, options: SpectrumOptions) -> dict[str, Any]:
    """What the table in the file has otherwise than the service's: numbers of channels, quality."""
    found: dict[str, Any] = {}
    if shift:
        column = CHANNELS_IN[role]
        limits = [card_value(hdu.header, key) for key in limits_of(hdu, column)]
        found = {"column": column, "shift": shift, "limits": limits}
    if role == "SPECTRUM" and options.group is None and has_column(hdu, "QUALITY"):
        # channels without a value get a quality in the file that the service did not give them
        found["quality"] = np.asarray(hdu.data["QUALITY"], dtype=int).tolist()
    return found


def read_spectrum(files: Sequence[bytes], record: Record, allowance: Allowance) -> fits.HDUList:
    """Tables of a product, in the service's order, from the files of a spectrum and its response."""
    extensions = [opened(data, allowance) for data in files]
    hdus = []
    for each in few(record.options["tables"]):
        hdu = extensions[each["file"]][each["hdu"]]
        if each.get("shift"):
            allowance.spend(4 * size_when_read(hdu), "channels")
            _number_as_before(hdu, each["column"], each["shift"], each["limits"])
        if "quality" in each:
            hdu.data["QUALITY"] = each["quality"]
        hdu.header.remove("ORIGNAME", ignore_missing=True)
        set_name(hdu, each["name"])
        hdus.append(hdu)
    return fits.HDUList([fits.PrimaryHDU(), *hdus])


def _number_as_before(hdu: Any, column: str, shift: int, limits: Sequence[Any]) -> None:
    """Give a table its own numbers of channels again, which those of other tables need not agree with."""
    values = hdu.data[column]
    for index, number in enumerate(renumbered(hdu, column, -shift)):  # one by one, which rows of variable length need
        values[index] = number
    for key, value in zip(limits_of(hdu, column), limits, strict=True):
        if isinstance(value, int):
            hdu.header[key] = value
        else:
            hdu.header.remove(key, ignore_missing=True)
