# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""All products of a reply as files, with an index from which they can be read again."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from ..decoding.boundary import reading
from ..errors import MmodaError
from ..text import without_token
from .files import OutputDirectory, OutputFile, Writer, safe_name, write_files
from .glance import look
from .headers import add_date, clean, provenance_cards, with_origin
from .index import PREFIX, Index, Record, file_record, index_path, older_index
from .ogip import spectra_files
from .provenance import Provenance
from .spectrum import spectrum_form, table_role
from .timeseries import lightcurve_hdus

if TYPE_CHECKING:
    from .products import Product, Products

__all__ = ["write_products"]

_PICTURES = ("png", "jpg", "jpeg", "gif", "svg", "pdf")
# endings that a binary product may bring along; others could make the file something that a computer runs
_ENDINGS = (".fits", ".fits.gz", ".csv", ".dat", ".h5", ".hdf5", ".tar", ".tar.gz", ".gz", ".zip", ".vot", ".xml")
_SPECTRAL = ("spectrum", "arf", "rmf")
# what each table of a spectrum must have, and which file it is in
_NEEDED = {
    "SPECTRUM": {"CHANNEL"},
    "SPECRESP": {"ENERG_LO", "ENERG_HI", "SPECRESP"},
    "EBOUNDS": {"CHANNEL", "E_MIN", "E_MAX"},
    "MATRIX": {"ENERG_LO", "ENERG_HI", "N_GRP", "F_CHAN", "N_CHAN", "MATRIX"},
}
_FILE_OF = {"SPECTRUM": "spectrum", "SPECRESP": "arf", "EBOUNDS": "rmf", "MATRIX": "rmf"}


@dataclass(frozen=True)
class _Plan:
    """A product, its files, and how they are to be read again."""

    product: Product
    format: str
    files: tuple[OutputFile, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> Record:
        """Entry of the index, when the files are written."""
        return Record(
            name=without_token(self.product.name),
            service_name=without_token(self.product._entry.name),
            kind=self.product.kind,
            source=without_token(self.product.source),
            meta=self.product.meta,
            format=self.format,
            files=tuple(file_record(file.path) for file in self.files),
            options=dict(self.options) | {"glance": asdict(look(self.product))},
        )


def write_products(
    products: Products,
    directory: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    group: float | None = None,
    systematic: float | None = None,
) -> Table:
    """
    Write what came: spectra and light curves as OGIP files, an image with its source list in one FITS file.

    Everything else is written as the service gave it: FITS for arrays and tables, ECSV for tables, text, JSON or bytes.
    All of it is made and all names are checked before the first file is written.
    """
    output = OutputDirectory(directory, overwrite=overwrite)
    plans = list(_plans(products, output, group=group, systematic=systematic))
    path = index_path(output.directory, without_token(products.job_id))
    older = older_index(path, products)
    manifest = write_files(output, [file for plan in plans for file in plan.files])
    place = {id(product): number for number, product in enumerate(products)}
    plans.sort(key=lambda plan: place[id(plan.product)])
    index = Index.of(products, [plan.record() for plan in plans])
    (index.joined(older) if older else index).write(path, Provenance.of(products))
    return manifest


def _plans(
    products: Products, output: OutputDirectory, *, group: float | None, systematic: float | None
) -> Iterator[_Plan]:
    """In the order of the products, but a spectrum and its responses together."""
    sets = {id(members[0]): members for members in _spectral_sets(products)}
    seen: set[int] = set()
    for product in products:
        members = sets.get(id(product))
        if id(product) in seen:
            continue
        if members:
            seen.update(map(id, members))
            yield from _spectrum(members, products, output, group=group, systematic=systematic)
        elif product.kind == "image":
            yield _image(product, products, output)
        else:
            yield _lightcurve(product, products, output) or _as_given(product, products, output)


# ---- spectra


def _spectral_sets(products: Iterable[Product]) -> list[list[Product]]:
    """Spectra with the ARF and RMF of their source, where they are of the OGIP kind: others are called spectra too."""
    latest: dict[str, dict[str, Product]] = {}
    sets = []
    for product in products:
        if product.kind in _SPECTRAL and product.source:
            if product.kind in latest.get(product.source, {product.kind: None}):
                latest[product.source] = {}
                sets.append(latest[product.source])
            latest[product.source][product.kind] = product
    return [list(members.values()) for members in sets if "spectrum" in members and _is_ogip(members.values())]


def _is_ogip(members: Iterable[Product]) -> bool:
    """Whether the files would have all that came, each table in one of them."""
    roles = [role for product in members for role in _roles(product)]
    files = {_FILE_OF.get(role): index for index, product in enumerate(members) for role in _roles(product)}
    owners = {(_FILE_OF.get(role), index) for index, product in enumerate(members) for role in _roles(product)}
    return "SPECTRUM" in roles and "" not in roles and len(set(roles)) == len(roles) and len(owners) == len(files)


def _roles(product: Product) -> list[str]:
    """Names in the form of ``query_spectrum`` of a product's tables; empty for what has no place there."""
    if not isinstance(product.data, fits.HDUList):
        return [""]
    found = []
    for hdu in product.data:
        if isinstance(hdu, fits.BinTableHDU) and hdu.name != "GROUPING":
            columns = {name.upper() for name in hdu.columns.names}
            role = table_role(hdu, product) or ""
            complete = _NEEDED.get(role, {""}) <= columns and (role != "SPECTRUM" or columns & {"RATE", "COUNTS"})
            found.append(role if complete else "")
        elif hdu.data is not None and hdu.data.size and not isinstance(hdu, fits.BinTableHDU):
            found.append("")
    return found


def _spectrum(
    members: Sequence[Product],
    products: Products,
    output: OutputDirectory,
    *,
    group: float | None,
    systematic: float | None,
) -> Iterator[_Plan]:
    form = _cleaned(spectrum_form(products._with(members), products))
    files = {file.kind: file for file in spectra_files(form, output, group=group, systematic=systematic)}
    for product in members:
        kinds = dict.fromkeys(_FILE_OF[role] for role in _roles(product))
        own = tuple(replace(files[kind], source=without_token(product.source)) for kind in kinds)
        # channels without a value get a quality in the file that the service did not give them
        quality = _quality(form["SPECTRUM"]) if group is None and "spectrum" in kinds else None
        yield _Plan(product, "spectrum", own, {"quality": quality} if quality else {})


def _quality(hdu: fits.BinTableHDU) -> list[int] | None:
    name = next((name for name in hdu.columns.names if name.upper() == "QUALITY"), None)
    return None if name is None else np.asarray(hdu.data[name], dtype=int).tolist()


# ---- images and light curves


def _image(product: Product, products: Products, output: OutputDirectory) -> _Plan:
    catalogs = products.select(kind="catalog")
    hdulist = products._with([product, *catalogs[:1]]).image()
    file = _file(product, ".fits", _fits_writer(hdulist), output)
    return _Plan(product, "image", (file,), {"catalog": len(catalogs) > 0})


def _lightcurve(product: Product, products: Products, output: OutputDirectory) -> _Plan | None:
    """A light curve as other tools read it, and behind it the service's own tables; None where it is no such thing."""
    if product.kind != "lightcurve" or not isinstance(product.data, fits.HDUList):
        return None
    try:
        with reading("light curve"):
            hdulist = lightcurve_hdus(products._with([product]).lightcurve())
    except MmodaError:
        return None
    names = []
    for number, hdu in enumerate(_filled(product.data), start=1):
        own = with_origin(hdu.copy(), hdu.name)
        names.append((hdu.name, hdu.ver))
        own.name, own.ver = "SERVICE", number
        hdulist.append(own)
    return _Plan(product, "lightcurve", (_file(product, ".fits", _fits_writer(hdulist), output),), {"names": names})


def _filled(hdulist: fits.HDUList) -> list[Any]:
    """HDUs with data; a primary one becomes an extension, as it is no longer the first."""
    found = [hdu for hdu in hdulist if hdu.data is not None and not (hdu.is_image and hdu.data.size == 0)]
    return [fits.ImageHDU(hdu.data, hdu.header) if isinstance(hdu, fits.PrimaryHDU) else hdu for hdu in found]


# ---- everything else


def _as_given(product: Product, products: Products, output: OutputDirectory) -> _Plan:
    data = product.data
    if isinstance(data, fits.HDUList):
        hdulist, options = _with_provenance(data, products)
        return _Plan(product, "fits", (_file(product, ".fits", _fits_writer(hdulist), output),), options)
    if isinstance(data, Table):
        text, options = _ecsv(data, products)
        return _Plan(product, "ecsv", (_file(product, ".ecsv", _text_writer(text), output),), options)
    if isinstance(data, bytes):
        return _Plan(product, "bytes", (_file(product, _ending(product), lambda file: file.write(data), output),))
    if isinstance(data, str) and _is_unicode(data):
        return _Plan(product, "text", (_file(product, ".txt", _text_writer(data), output),))
    text = json.dumps(data, indent=1) + "\n"
    return _Plan(product, "json", (_file(product, ".json", _text_writer(text), output),))


def _file(product: Product, ending: str, writer: Writer, output: OutputDirectory) -> OutputFile:
    title = without_token(product.title)
    if title.lower().endswith(ending):
        title = title[: -len(ending)]
    if safe_name(title).casefold().startswith(PREFIX):
        title = f"product {title}"  # only indexes begin like this
    (path,) = output.reserve(title, ending, default=product.kind)
    return OutputFile(path, without_token(product.source), product.kind, writer)


def _ending(product: Product) -> str:
    if product.kind == "picture" and product.meta.get("img_type") in _PICTURES:
        return f".{product.meta['img_type']}"
    known = [ending for ending in _ENDINGS if product.title.lower().endswith(ending)]
    return max(known, key=len, default=".bin")


def _is_unicode(text: str) -> bool:
    """Whether it has an encoding: JSON can hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_provenance(hdulist: fits.HDUList, products: Products) -> tuple[fits.HDUList, dict[str, Any]]:
    """Copy with our cards in the primary header, and what `Products.read` needs to take them out again."""
    copied = fits.HDUList([hdu.copy() for hdu in hdulist])
    header, cards = copied[0].header, provenance_cards(products)
    added = [card.keyword for card in cards if card.keyword != "HISTORY"] + ["DATE"]
    replaced = [
        (card.keyword, card.value if isinstance(card.value, (str, int, float)) else None, card.comment)
        for card in header.cards
        if card.keyword in added
    ]
    for keyword in added:
        header.remove(keyword, ignore_missing=True, remove_all=True)
    header.extend(cards, bottom=True)
    add_date(header)
    return copied, {"added": added, "replaced": replaced, "lines": len(cards) - len(added) + 1}


def _ecsv(table: Table, products: Products) -> tuple[str, dict[str, Any]]:
    """Text of a table that tells where it is from; ECSV takes empty texts for missing ones, if it is not told."""
    told = table.copy(copy_data=False)
    key = "MMODA"
    while key in told.meta:
        key += "_"
    told.meta[key] = Provenance.of(products).to_dict()
    masked = [name for name in told.colnames if isinstance(told[name], MaskedColumn)]
    unclear = [name for name in masked if told[name].dtype.kind == "U" and (told[name].filled("x") == "").any()]
    buffer = io.StringIO()
    told.write(buffer, format="ascii.ecsv", serialize_method=dict.fromkeys(unclear, "data_mask"))
    return buffer.getvalue(), {"provenance": key, "masked": masked}


def _cleaned(hdulist: fits.HDUList) -> fits.HDUList:
    for hdu in hdulist:
        clean(hdu)
    return hdulist


def _fits_writer(hdulist: fits.HDUList) -> Writer:
    _cleaned(hdulist)
    add_date(hdulist[0].header)
    return lambda file: hdulist.writeto(file, output_verify="silentfix", checksum=True)


def _text_writer(text: str) -> Writer:
    return lambda file: file.write(without_token(text).encode())
