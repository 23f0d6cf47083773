# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_spectrum``: spectra and responses of all sources in one HDUList."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from astropy.io import fits
from astroquery.exceptions import InputWarning

from ..errors import DecodingError, reading, warn
from ..text import in_hex, printable, transliterated
from .budget import Budget
from .cards import name_source, primary_hdu, with_origin
from .sources import same_source

if TYPE_CHECKING:
    from .product import Product
    from .products import Products


#: what the form of a spectrum consists of, in its order
ROLES = ("SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX")
_SPECTRAL = ("spectrum", "arf", "rmf")
# kind of the product that has the table of a role
_OWNER = {"SPECTRUM": "spectrum", "SPECRESP": "arf", "EBOUNDS": "rmf", "MATRIX": "rmf"}
# what the service calls a unit, and its class (OGIP's HDUCLAS2, for spectra HDUCLAS1)
_NAMES = {role: {role} for role in ROLES} | {"MATRIX": {"MATRIX", "SPECRESP MATRIX"}}
_CLASSES = {role: role for role in ROLES} | {"MATRIX": "RSP_MATRIX"}
# columns by which a table is told, and those without which it has no use
_COLUMNS = {
    "SPECTRUM": {"CHANNEL"},
    "SPECRESP": {"SPECRESP"},
    "EBOUNDS": {"CHANNEL", "E_MIN"},
    "MATRIX": {"MATRIX"},
}
_NEEDED = {
    "SPECTRUM": {"CHANNEL"},
    "SPECRESP": {"ENERG_LO", "ENERG_HI", "SPECRESP"},
    "EBOUNDS": {"CHANNEL", "E_MIN", "E_MAX"},
    "MATRIX": {"ENERG_LO", "ENERG_HI", "N_GRP", "F_CHAN", "N_CHAN", "MATRIX"},
}
_VALUES = {"RATE", "COUNTS"}
# roles of which another table in the same product would be another spectrum, or the response of another time
_SINGLE = {"SPECTRUM", "MATRIX"}
# columns with more than one number in a row
_VECTORS = {"F_CHAN", "N_CHAN", "MATRIX"}


def spectrum_form(products: Products, whole: Products) -> fits.HDUList:
    """
    Spectra, of the products that are wanted, in one list; all that came is for messages and provenance.

    Primary; per source SPECTRUM, SPECRESP, EBOUNDS, MATRIX with EXTVER = number of the source, SRC_NAME and ORIGNAME (a
    source with two spectra is listed twice); last SOURCES (EXTVER, SRC_NAME). Beside a name that is not ASCII, SRCNAME8
    keeps the original, as hexadecimal digits of its UTF-8. A part that the service did not send is missing.
    """
    whole.require("spectrum")
    budget, hdulist = Budget(whole), fits.HDUList([primary_hdu(whole)])
    sets = [members for members in spectral_sets(products) if any(each.kind == "spectrum" for each in members)]
    names = [set_name(members) for members in sets]
    for number, (name, members) in enumerate(zip(names, sets, strict=True), start=1):
        data = {product: budget.hdus(product) for product in members}
        found = tables_by_role(members, data.__getitem__)
        for role in ROLES:
            if role in found:
                product, index = found[role]
                _tell_of_others(product, data[product], role, index)
                with reading(f"{role} of {name!r}"):
                    hdulist.append(_named_part(data[product][index], role, number, name, budget))
    if names:
        hdulist.append(_sources_hdu(names))
    return hdulist


def spectral_sets(products: Iterable[Product]) -> list[list[Product]]:
    """Spectra, ARFs and RMFs that belong together, by their source; a second spectrum of a source begins another."""
    latest: dict[str, dict[str, Product]] = {}
    sets = []
    for product in products:
        if product.kind in _SPECTRAL:
            if product.kind in latest.get(product.source, {product.kind: None}):
                latest[product.source] = {}
                sets.append(latest[product.source])
            latest[product.source][product.kind] = product
    return [list(members.values()) for members in sets]


def set_name(members: Sequence[Product]) -> str:
    """Name of the source; of the spectrum where no source was told."""
    spectrum = next(product for product in members if product.kind == "spectrum")
    return spectrum.source or spectrum.name


def tables_by_role(
    members: Iterable[Product], hdus_of: Callable[[Product], Any] = lambda product: product.data
) -> dict[str, tuple[Product, int]]:
    """
    Find the tables that make up a spectrum with its response, among products of which there is at most one of a kind.

    For each role it gives the product, and which HDU of it: that of the product whose kind it is, else one of a product
    that has the spectrum and all of its response. Other tables of an ARF or RMF product never have a role, whatever
    they are called.
    """
    by_kind = {product.kind: product for product in members}
    found: dict[str, tuple[Product, int]] = {}
    for role in ("SPECTRUM", "MATRIX", "EBOUNDS", "SPECRESP"):
        for product in filter(None, (by_kind.get(_OWNER[role]), by_kind.get("spectrum"))):
            taken = {index for owner, index in found.values() if owner is product}
            index = _best(hdus_of(product), product, role, taken)
            if index is not None:
                found[role] = product, index
                break
    return found


def _best(hdus: Any, product: Product, role: str, taken: set[int]) -> int | None:
    """Which HDU of a product fits a role best by its columns, name and class; of equal ones the first."""
    if not isinstance(hdus, fits.HDUList):
        raise DecodingError(f"The spectrum {printable(product.name)!r} is not FITS data.")
    tables = {index: hdu for index, hdu in enumerate(hdus) if index not in taken and _may_have_role(hdu)}
    marks = {index: _marks(hdu, role) for index, hdu in tables.items()}
    fitting = {index: mark for index, mark in marks.items() if any(mark)}
    if fitting:
        # files of OSA may have the spectra of several sources, told by NAME
        return max(
            fitting, key=lambda index: (fitting[index], same_source(hdus[index].header.get("NAME"), product.source))
        )
    # spectra of workflows have names and columns of their own
    return next(iter(tables), None) if role == "SPECTRUM" else None


def _tell_of_others(product: Product, hdus: fits.HDUList, role: str, taken: int) -> None:
    """Warn of spectra or matrices that a product has beside the one that was taken."""
    others = [
        f"{hdu.name} {hdu.header.get('NAME', '')}".strip()
        for index, hdu in enumerate(hdus)
        if index != taken and role in _SINGLE and _may_have_role(hdu) and is_complete(hdu, role)
    ]
    if others:
        warn(
            f"the product {printable(product.name, limit=60)} has more than one {role}; left out "
            f"(query_product has them): {printable(', '.join(others), limit=200)}",
            InputWarning,
        )


def _may_have_role(hdu: Any) -> bool:
    return isinstance(hdu, fits.BinTableHDU) and hdu.name != "GROUPING" and "GRPNAME" not in hdu.header


def _marks(hdu: fits.BinTableHDU, role: str) -> tuple[bool, bool, bool, bool]:
    header = hdu.header
    stated = str(header.get("HDUCLAS1" if role == "SPECTRUM" else "HDUCLAS2", "")).strip().upper()
    columns = {name.upper() for name in hdu.columns.names}
    by_columns = columns >= _COLUMNS[role] and (role != "SPECTRUM" or bool(columns & _VALUES))
    by_class = stated == _CLASSES[role] and str(header.get("HDUCLAS2", "")).strip().upper() != "BKG"
    return is_complete(hdu, role), hdu.name in _NAMES[role], by_class, by_columns


def is_complete(hdu: fits.BinTableHDU, role: str) -> bool:
    """Whether a table has all columns that its role needs."""
    return not missing_columns(hdu, role)


def missing_columns(hdu: fits.BinTableHDU, role: str) -> list[str]:
    """Columns that a role needs and a table does not have, at least not as numbers (one a row, or vectors)."""
    types = hdu.columns.dtype
    names = [name for name in hdu.columns.names if types[name].base.kind != "S"]
    columns = {name.upper() for name in names if name.upper() in _VECTORS or not types[name].shape}
    values = ["RATE or COUNTS"] if role == "SPECTRUM" and not columns & _VALUES else []
    return sorted(_NEEDED[role] - columns) + values


def _named_part(hdu: Any, role: str, number: int, source: str, budget: Budget) -> Any:
    original, part = hdu.name, budget.own(hdu)
    part.name, part.ver = role, number
    name_source(part.header, source)
    return with_origin(part, original)


def _sources_hdu(sources: list[str]) -> fits.BinTableHDU:
    texts = {"SRC_NAME": [transliterated(source) for source in sources], "SRCNAME8": [in_hex(name) for name in sources]}
    columns = [fits.Column("EXTVER", "J", array=range(1, len(sources) + 1))]
    for name, values in texts.items():
        width = max(len(value) for value in values)
        if width:  # no original names, no column of them
            columns.append(fits.Column(name, f"{width}A", array=values))
    return fits.BinTableHDU.from_columns(columns, name="SOURCES")
