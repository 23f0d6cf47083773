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
from ..cards import card_value, clean, drop_missing
from ..channels import CHANNELS_IN, limits_of, renumbered
from ..columnsizes import size_when_read
from ..product import subset
from ..spectrum import missing_columns, spectrum_form, tables_by_role
from ..spectrum import set_name as source_of
from .fileforms import Plan, cleaned, few, name_hdu
from .filenames import OutputDirectory
from .fitsfiles import opened
from .grouping import SpectrumOptions
from .index import StoredProduct
from .ogip import TABLES_IN, ogip_files
from .ogiptables import numbering, ogip_tables
from .spectrumtable import check_columns, has_column

if TYPE_CHECKING:
    from ..product import Product
    from ..products import Products


# a product, and the number of an HDU in it
Place = tuple["Product", int]


@dataclass(frozen=True)
class SpectrumSet:
    """
    Products of a spectrum with its response, to be written as OGIP files.

    ``tables`` are the HDUs by their roles, as in the form of ``query_spectrum``; ``layout`` has the places of all
    extensions in each kind of file, of which the first have the roles.
    """

    members: Sequence[Product]
    tables: Mapping[str, Any]
    layout: Mapping[str, Sequence[Place]]
    provenance: fits.Header

    @classmethod
    def of(cls, members: Sequence[Product], products: Products) -> SpectrumSet | None:
        """Find the tables of a spectrum of channels among products of one source; None where there is none."""
        if not all(isinstance(product.data, fits.HDUList) for product in members):
            return None
        if not any(product.kind == "spectrum" for product in members):
            return None
        found = tables_by_role(members)
        roles = {role: place for role, place in found.items() if not missing_columns(_hdu(place), role)}
        try:
            check_columns(_hdu(roles["SPECTRUM"]), "SPECTRUM")
        except (KeyError, DecodingError):
            return None
        if "MATRIX" not in roles:
            roles.pop("EBOUNDS", None)  # no file is made for the energies alone
        # products without a part in it are written as they came
        members = [product for product in members if any(owner is product for owner, _ in roles.values())]
        form = spectrum_form(subset(products, members), products)
        for hdu in form:
            clean(hdu)
        layout = {kind: [roles[role] for role in TABLES_IN[kind] if role in roles] for kind in TABLES_IN}
        for product in members:
            layout[product.kind] += [place for place in _places(product) if place not in roles.values()]
        return cls(members, {hdu.name: hdu for hdu in form if hdu.name in roles}, layout, form[0].header)


def _hdu(place: Place) -> Any:
    product, number = place
    return product.data[number]


def _places(product: Product) -> list[Place]:
    """Where a product has HDUs with content."""
    return [
        (product, number)
        for number, hdu in enumerate(product.data)
        if isinstance(hdu, fits.BinTableHDU) or (hdu.data is not None and hdu.data.size > 0)
    ]


def plan_spectrum(found: SpectrumSet, output: OutputDirectory, options: SpectrumOptions) -> list[Plan]:
    """How to write the products of a spectrum."""
    tables: dict[Place, dict[str, Any]] = {}
    with reading("spectrum"):
        numbers, name = numbering(found.tables), source_of(found.members)
        contents = ogip_tables(found.tables, numbers, found.provenance, name, options)
        for kind, content in contents.items():
            roles = [role for role in TABLES_IN[kind] if role in found.tables]
            for index, place in enumerate(found.layout[kind]):
                tables[place] = {"file": kind, "hdu": index + 1, "name": _hdu(place).name}
                if index < len(roles):
                    role = roles[index]
                    tables[place] |= _differences(role, found.tables[role], numbers.shifts.get(role, 0), options)
                else:
                    content.append(cleaned(_hdu(place)))
                    drop_missing(content[-1].header)
        files = {file.kind: file for file in ogip_files(contents, found.provenance, name, output, default="source_1")}
    plans = []
    for product in found.members:
        own = [tables[place] for place in _places(product)]
        kinds = list(dict.fromkeys(table["file"] for table in own))
        chosen = [replace(files[kind], source=without_token(product.source)) for kind in kinds]
        plans.append(Plan(product, "spectrum", chosen, {"files": kinds, "tables": own}))
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


def read_spectrum(files: Sequence[bytes], record: StoredProduct, allowance: Allowance) -> fits.HDUList:
    """Tables of a product, in the service's order, from the files of a spectrum and its response."""
    kinds = zip(record.options["files"], files, strict=True)
    extensions = {kind: opened(data, allowance) for kind, data in kinds}
    hdus = []
    for each in few(record.options["tables"]):
        hdu = extensions[each["file"]][each["hdu"]]
        if each.get("shift"):
            allowance.spend(4 * size_when_read(hdu), "channels")
            _number_as_before(hdu, each["column"], each["shift"], each["limits"])
        if "quality" in each:
            hdu.data["QUALITY"] = each["quality"]
        hdu.header.remove("ORIGNAME", ignore_missing=True)
        name_hdu(hdu, each["name"])
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
