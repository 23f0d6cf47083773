# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The form of ``query_spectrum``: spectra and responses of all sources in one HDUList."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import InputWarning

from ..errors import DecodingError, reading, warn
from ..text import in_hex, printable, transliterated
from .budget import Budget
from .cards import name_source, primary_hdu, with_origin
from .fluxpoints import FluxPoints, flux_hdu, flux_points
from .kinds import likely
from .sources import same_source

if TYPE_CHECKING:
    from .product import Product
    from .products import Products


#: what the form of a spectrum consists of, in its order
ROLES = ("SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX")
_SPECTRAL = ("spectrum", "arf", "rmf")
# kind of the product that has the table of a role
_OWNER = {"SPECTRUM": "spectrum", "SPECRESP": "arf", "EBOUNDS": "rmf", "MATRIX": "rmf"}
# names of a table, or its class (OGIP's HDUCLAS2, for spectra HDUCLAS1)
_NAMES = {role: {role} for role in ROLES} | {"MATRIX": {"MATRIX", "SPECRESP MATRIX"}}
_CLASSES = {role: role for role in ROLES} | {"MATRIX": "RSP_MATRIX"}
_COLUMNS = {
    "SPECTRUM": {"CHANNEL"},
    "SPECRESP": {"ENERG_LO", "ENERG_HI", "SPECRESP"},
    "EBOUNDS": {"CHANNEL", "E_MIN", "E_MAX"},
    "MATRIX": {"ENERG_LO", "ENERG_HI", "N_GRP", "F_CHAN", "N_CHAN", "MATRIX"},
}
# columns with more than one number in a row
_VECTORS = {"F_CHAN", "N_CHAN", "MATRIX"}


def spectrum_form(products: Products, whole: Products) -> fits.HDUList:
    """Spectra with their responses, of the products that are wanted; all that came is for messages and provenance."""
    budget, hdulist = Budget(whole), fits.HDUList([primary_hdu(whole)])
    names: list[str] = []
    for members in spectral_sets(products):
        if any(each.kind == "spectrum" for each in members):
            data = {product: budget.read(product) for product in members}
            names.append(name_of_set(members))
            points = _points_of_set(data)
            if points is None:
                hdulist.extend(_of_channels(members, data, names[-1], len(names), budget))
            else:
                hdulist.append(_of_points(points, members[0], len(names), budget))
    tables = {product: _points_of(product, budget.read(product)) for product in products if product.kind == "table"}
    for product in likely(tables, "spectrum"):
        if points := tables[product]:
            names.append(product.source or product.name)
            hdulist.append(_of_points(points, product, len(names), budget))
    if names:
        hdulist.append(sources_hdu(names))
    else:
        whole.require("spectrum")
    return hdulist


def _of_channels(
    members: Sequence[Product], data: Mapping[Product, Any], name: str, number: int, budget: Budget
) -> Iterator[Any]:
    """Extensions of a spectrum with its response."""
    found = tables_by_role(members, data.__getitem__)
    for role in ROLES:
        if role in found:
            product, index = found[role]
            _warn_of_others(product, data[product], role, index)
            missing = missing_columns(data[product][index], role) if role == "SPECTRUM" and len(members) == 1 else []
            if missing:
                text = f"the spectrum {printable(product.name, limit=60)} has no {', '.join(missing)}, and no energies"
                warn(f"{text} beside values; it stays as it came", InputWarning)
            with reading(f"{role} of {name!r}"):
                part = budget.own(data[product][index])
                with_origin(part, part.name)
                part.name, part.ver = role, number
                name_source(part.header, name)
                yield part


def _of_points(points: FluxPoints, product: Product, number: int, budget: Budget) -> fits.BinTableHDU:
    """Extension of a table of flux points."""
    with reading(f"table {printable(product.name, limit=100)!r}"):
        part = with_origin(flux_hdu(points, budget.allowance), product.name)
        part.ver = number
        name_source(part.header, product.source or product.name)
        return part


def _points_of_set(data: Mapping[Product, Any]) -> FluxPoints | None:
    """Flux points, where a spectrum came as a table of these and not as one of channels."""
    if len(data) > 1:
        return None
    ((product, hdus),) = data.items()
    if any(_may_have_role(hdu) and not missing_columns(hdu, "SPECTRUM") for hdu in hdus):
        return None
    return _points_of(product, hdus)


def _points_of(product: Product, data: Any) -> FluxPoints | None:
    with reading(f"table {printable(product.name, limit=100)!r}"):
        return flux_points(data)


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


def name_of_set(members: Sequence[Product]) -> str:
    """Name of the source; of the spectrum where there is none."""
    spectrum = next(product for product in members if product.kind == "spectrum")
    return spectrum.source or spectrum.name


def tables_by_role(
    members: Iterable[Product], hdus_of: Callable[[Product], Any] = lambda product: product.data
) -> dict[str, tuple[Product, int]]:
    """The product of each role, and which HDU of it, of products of different kinds that belong together."""
    by_kind = {product.kind: product for product in members}
    found: dict[str, tuple[Product, int]] = {}
    for role in ("SPECTRUM", "MATRIX", "EBOUNDS", "SPECRESP"):
        # else of a product that has the spectrum and all of its response; never other tables of an ARF or RMF
        for product in filter(None, (by_kind.get(_OWNER[role]), by_kind.get("spectrum"))):
            taken = {index for owner, index in found.values() if owner is product}
            index = _best_hdu(hdus_of(product), product, role, taken)
            if index is not None:
                found[role] = product, index
                break
    return found


def _best_hdu(hdus: Any, product: Product, role: str, taken: set[int]) -> int | None:
    """Which HDU of a product fits a role best by its columns, name and class; of equal ones the first."""
    if not isinstance(hdus, fits.HDUList):
        raise DecodingError(f"The spectrum {printable(product.name)!r} is not FITS data.")
    tables = {index: hdu for index, hdu in enumerate(hdus) if index not in taken and _may_have_role(hdu)}
    marks = {}
    for index, hdu in tables.items():
        first, second = (str(hdu.header.get(key, "")).strip().upper() for key in ("HDUCLAS1", "HDUCLAS2"))
        by_class = (first if role == "SPECTRUM" else second) == _CLASSES[role] and second != "BKG"
        mark = (not missing_columns(hdu, role), hdu.name in _NAMES[role], by_class)
        if any(mark):
            # files of OSA may have the spectra of several sources, with their NAME
            marks[index] = (*mark, same_source(hdu.header.get("NAME"), product.source))
    # spectra of workflows have names and columns of their own
    if not marks:
        return next(iter(tables), None) if role == "SPECTRUM" else None
    return max(marks, key=lambda index: marks[index])


def _may_have_role(hdu: Any) -> bool:
    return isinstance(hdu, fits.BinTableHDU) and hdu.name != "GROUPING" and "GRPNAME" not in hdu.header


def _warn_of_others(product: Product, hdus: fits.HDUList, role: str, taken: int) -> None:
    """Warn of spectra or matrices beside the one that was taken: another spectrum, or the response of another time."""
    others = [
        f"{hdu.name} {hdu.header.get('NAME', '')}".strip()
        for index, hdu in enumerate(hdus)
        if index != taken and role in ("SPECTRUM", "MATRIX") and _may_have_role(hdu) and not missing_columns(hdu, role)
    ]
    if others:
        warn(
            f"the product {printable(product.name, limit=60)} has more than one {role}; left out "
            f"(query_product has them): {printable(', '.join(others), limit=200)}",
            InputWarning,
        )


def missing_columns(hdu: fits.BinTableHDU, role: str) -> list[str]:
    """Columns that a role needs and a table does not have, at least not as numbers (one a row, or vectors)."""
    types = hdu.columns.dtype
    names = [name for name in hdu.columns.names if types[name].base.kind != "S"]
    columns = {name.upper() for name in names if name.upper() in _VECTORS or not types[name].shape}
    lacks_values = role == "SPECTRUM" and not columns & {"RATE", "COUNTS"}
    return sorted(_COLUMNS[role] - columns) + ["RATE or COUNTS"] * lacks_values


def sources_hdu(sources: Sequence[str]) -> fits.BinTableHDU:
    """Table of the sources, by the EXTVER of their extensions."""
    table = Table({"EXTVER": np.arange(1, len(sources) + 1), "SRC_NAME": [transliterated(name) for name in sources]})
    if any(map(in_hex, sources)):
        table["SRCNAME8"] = [in_hex(name) for name in sources]
    return fits.BinTableHDU(table, name="SOURCES")
