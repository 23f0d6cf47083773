# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
How products are kept in files: what is written, and for each format a function that reads it again.

Readers get the bytes of the files, the record of the product, and the allowance of memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ... import decoding
from ...allowance import Allowance
from ...errors import DecodingError, MmodaError, reading
from ..cards import add_date, complete_copy, drop_missing, number, provenance_cards, with_origin
from ..channels import CHANNELS_IN, limits_of, renumbered
from ..columnsizes import size_when_read
from ..fluxpoints import flux_points, named_points
from ..kinds import KINDS
from ..product import subset
from ..spectrum import missing_columns, name_of_set, spectrum_form, tables_by_role
from .ecsvfiles import ecsv_of, read_ecsv_file, read_text_file
from .fitsfiles import opened
from .lightcurvefiles import lightcurve_hdus
from .ogip import TABLES_IN, ogip_files, ogip_tables
from .output import INDEX_PREFIX, OutputDirectory, OutputFile, safe_name
from .provenance import file_provenance
from .spectrumtable import GOOD, MARKS, SpectrumOptions, check_columns, has_column

if TYPE_CHECKING:
    from ..product import Product
    from ..products import Products


# that a picture or a binary product may have; others could make the file something that a computer runs
_ENDINGS = "png jpg jpeg gif svg pdf fits fits.gz csv dat h5 hdf5 tar tar.gz gz zip vot xml".split()


@dataclass(frozen=True)
class Plan:
    """A product, its files, the form of these, and what their reader needs beside."""

    product: Product
    format: str
    files: Sequence[OutputFile]
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def failed(cls, product: Product, error: MmodaError) -> Plan:
        """Plan of a product that can't be written."""
        return cls(product, "", [OutputFile(product.source, product.kind, error=error)])


def plan_files(
    members: Sequence[Product], products: Products, output: OutputDirectory, options: SpectrumOptions
) -> list[Plan]:
    """How to write a product, or the products of a spectrum with its response."""
    plans = _plan_spectrum(members, products, output, options) if KINDS[members[0].kind].file == "spectrum" else []
    for product in members:
        if all(plan.product is not product for plan in plans):
            plans.append(_plan_single(product, products, output))
            if product.kind == "spectrum":
                reason = "it is not a spectrum of channels in counts or count rates, and is written as it came"
                options.refuse(product.source or product.name, reason)
    return plans


def _plan_single(product: Product, products: Products, output: OutputDirectory) -> Plan:
    """How to write a product that is not part of a spectrum."""
    data, form = product.data, KINDS[product.kind].file
    content: bytes | fits.HDUList
    options: dict[str, Any] = {}
    if form == "image" or isinstance(data, fits.HDUList):
        file_format, ending = "fits", ".fits"
        content, options["hdus"] = _hdus_for_file(product, products, form)
        for hdu in content:
            drop_missing(hdu.header, words=False)
        add_date(content[0].header)
    elif isinstance(data, Table):
        file_format, ending = "ecsv", ".ecsv"
        if points := flux_points(data, by_unit=False):
            # units on the columns, as other tools want them
            data = named_points(points, product.source, product.name)
        content, options["masked"] = ecsv_of(data, file_provenance(products))
    elif isinstance(data, bytes):
        file_format, ending, content = "bytes", _ending(product), data
    elif isinstance(data, str):
        # JSON can have halves of characters
        file_format, ending, content = "text", ".txt", data.encode("utf-8", "surrogatepass")
    else:
        file_format, ending, content = "json", ".json", json.dumps(data, indent=1).encode()
    title = product.title
    if title.lower().endswith(ending):
        title = title[: -len(ending)]
    if safe_name(title).casefold().startswith(INDEX_PREFIX):
        title = f"product {title}"  # only indexes begin like this
    (path,) = output.reserve(title, ending, default=product.kind)
    return Plan(product, file_format, [OutputFile(product.source, product.kind, content, path)], options)


def _ending(product: Product) -> str:
    wanted = f".{product.meta.get('img_type')}" if product.kind == "picture" else product.title.lower()
    return max((f".{ending}" for ending in _ENDINGS if wanted.endswith(f".{ending}")), key=len, default=".bin")


def _cleaned(hdu: Any) -> Any:
    """Copy of an HDU to be written; a primary one becomes an extension, as it is not the first."""
    own = complete_copy(hdu)
    own = fits.ImageHDU(own.data, own.header) if isinstance(own, fits.PrimaryHDU) else own
    drop_missing(own.header, words=False)
    return own


# ---- FITS: a form that other tools read, and where in the files the service's own HDUs are


def _has_content(hdu: Any) -> bool:
    return isinstance(hdu, fits.BinTableHDU) or (hdu.data is not None and hdu.data.size > 0)


def _place_in_file(hdu: Any, file: int, number: int, shift: int = 0, marked: Any = ()) -> list[Any]:
    """Where an HDU of the service is: file and number in it, name and version, and what was changed in the file."""
    # that is what was added to its channels, and what `_marked_channels` gives
    return [file, number, str(hdu.header.get("EXTNAME", "")), hdu.ver, shift, marked]


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


def _read_fits(files: Sequence[bytes], options: Mapping[str, Any], allowance: Allowance) -> fits.HDUList:
    contents = [opened(data, allowance) for data in files]
    hdus = []
    # each place once, whatever the index says
    places = {tuple(place[:2]): place[2:] for place in options["hdus"]}
    for (file, position), (name, version, shift, marked) in places.items():
        hdu = contents[file][position]
        if marked is None:
            kept = [column for column in hdu.columns if column.name != "QUALITY"]
            hdu = fits.BinTableHDU.from_columns(kept, header=hdu.header)
        elif marked:
            hdu.data["QUALITY"][marked] = GOOD
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


def _plan_spectrum(
    members: Sequence[Product], products: Products, output: OutputDirectory, options: SpectrumOptions
) -> list[Plan]:
    """How to write those products of one source that have a part in a spectrum of channels; none without one."""
    roles = _whole_roles(members)
    if not roles:
        return []
    members = [product for product in members if any(owner is product for owner, _ in roles.values())]
    form = spectrum_form(subset(products, members), products)
    tables, name = {hdu.name: hdu for hdu in form if hdu.name in roles}, name_of_set(members)
    contents, numbers = ogip_tables(tables, form[0].header, name, options)
    marked = _marked_channels(tables["SPECTRUM"], contents["spectrum"][0])
    role_at = {place: role for role, place in roles.items()}
    plans = []
    for product in members:
        kinds: list[str] = []
        hdus = []
        for index, hdu in enumerate(product.data):
            role = role_at.get((product, index), "")
            if role:
                kind = next(kind for kind, in_file in TABLES_IN.items() if role in in_file)
                position = 1 + [each for each in TABLES_IN[kind] if each in roles].index(role)
            elif _has_content(hdu):
                kind = product.kind
                contents[kind].append(_cleaned(hdu))
                drop_missing(contents[kind][-1].header)
                position = len(contents[kind])
            else:
                continue
            if kind not in kinds:
                kinds.append(kind)
            changes = numbers.shifts.get(role, 0), marked if role == "SPECTRUM" else []
            hdus.append(_place_in_file(hdu, kinds.index(kind), position, *changes))
        plans.append((product, kinds, hdus))
    files = {file.kind: file for file in ogip_files(contents, form[0].header, name, output, default="source_1")}
    return [Plan(product, "fits", [files[kind] for kind in kinds], {"hdus": hdus}) for product, kinds, hdus in plans]


def _whole_roles(members: Sequence[Product]) -> dict[str, tuple[Product, int]]:
    """Tables with all columns of their role in a spectrum of channels, as product and number of the HDU."""
    if not all(isinstance(product.data, fits.HDUList) for product in members):
        return {}
    found = tables_by_role(members)
    roles = {
        role: (owner, index) for role, (owner, index) in found.items() if not missing_columns(owner.data[index], role)
    }
    try:
        owner, index = roles["SPECTRUM"]
        check_columns(owner.data[index], "SPECTRUM")
    except (KeyError, DecodingError):
        return {}
    if "MATRIX" not in roles:
        roles.pop("EBOUNDS", None)  # no file is made for the energies alone
    return roles


def _marked_channels(hdu: Any, table: fits.BinTableHDU) -> list[int] | None:
    """Rows of channels that the service calls good and a file does not; None if all of QUALITY is ours."""
    if not has_column(table, "QUALITY"):
        return []
    written = np.asarray(table.data["QUALITY"])
    own = hdu.data["QUALITY"] if has_column(hdu, "QUALITY") else number(hdu.header, "QUALITY", GOOD)
    marked = (own == GOOD) & np.isin(written, MARKS)
    is_ours = not has_column(hdu, "QUALITY") and not written[~marked].any()
    return None if is_ours else np.flatnonzero(marked).tolist()


def _shift_channels(hdu: Any, shift: int) -> None:
    """Number channels as the service did."""
    column = next(name for name in hdu.columns.names if name.upper() in CHANNELS_IN.values())
    values = hdu.data[column]
    for index, channels in enumerate(renumbered(hdu, column.upper(), shift)):  # rows of variable length need it so
        values[index] = channels
    for key in limits_of(hdu, column.upper())[:2]:
        hdu.header[key] += shift


#: readers by format
READERS = {
    "fits": _read_fits,
    "ecsv": read_ecsv_file,
    "text": read_text_file,
    "json": lambda files, options, allowance: decoding.parse_body(files[0], what="JSON"),
    "bytes": lambda files, options, allowance: files[0],
}
