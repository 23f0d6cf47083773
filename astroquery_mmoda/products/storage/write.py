# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""All products of a reply as files, with an index from which they can be read again."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from ...errors import DecodingError, MmodaError, ParameterError, reading
from ...text import without_token
from ..cards import add_date, card_value, clean, complete_copy, provenance_cards, with_origin
from ..channels import CHANNELS_IN, Numbering, limits_of
from ..display.summary import look
from ..spectrum import ROLES, is_complete, spectral_sets, spectrum_form, tables_by_role
from .filenames import Failure, OutputDirectory, OutputFile, Report, Writer, safe_name, write_files
from .index import PREFIX, Index, Record, file_record, index_path, older_index
from .ogip import check_columns, check_options, spectra_files
from .provenance import Provenance
from .timeseries import lightcurve_hdus

if TYPE_CHECKING:
    from ..products import Product, Products

__all__ = ["write_products"]

_PICTURES = ("png", "jpg", "jpeg", "gif", "svg", "pdf")
_Made = TypeVar("_Made")
# endings that a binary product may bring along; others could make the file something that a computer runs
_ENDINGS = (".fits", ".fits.gz", ".csv", ".dat", ".h5", ".hdf5", ".tar", ".tar.gz", ".gz", ".zip", ".vot", ".xml")
# which files the tables of a spectrum are in, in their order
_TABLES_IN = {"spectrum": ("SPECTRUM",), "arf": ("SPECRESP",), "rmf": ("EBOUNDS", "MATRIX")}
_FILE_OF = {role: kind for kind, roles in _TABLES_IN.items() for role in roles}


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


@dataclass(frozen=True)
class _Refused:
    """A product that can't be written, and why."""

    product: Product
    error: MmodaError


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
    refused = {id(each.product): each for each in map(_undecodable, products) if each}
    usable = products._with([product for product in products if id(product) not in refused])
    sets = []
    for members in spectral_sets(usable):
        found = _tried(members, partial(_ogip_set, members, usable))
        if isinstance(found, _OgipSet):
            sets.append(found)
        else:
            refused |= {id(each.product): each for each in found or ()}
    _check_options(products, sets, set(refused), group=group, systematic=systematic)
    plans = list(_plans(products, usable, refused, sets, output, group=group, systematic=systematic))
    path = index_path(output.directory, without_token(products.job_id))
    older = older_index(path, products)
    report = write_files(output, _files(plans))
    try:
        _write_index(path, products, plans, older, report)
    except OSError as error:
        report = replace(report, outcomes=[*report.outcomes, (Failure("", "index", error), error)])
    return report.finish()


def _undecodable(product: Product) -> _Refused | None:
    try:
        product.data  # noqa: B018 - looking at it decodes it
    except MmodaError as error:
        return _Refused(product, error)
    return None


def _tried(products: Sequence[Product], make: Callable[[], _Made]) -> _Made | list[_Refused]:
    """Prepare the files of products that belong together; they are refused if that fails."""
    try:
        with reading(products[0].title):
            return make()
    except MmodaError as error:
        return [_Refused(product, error) for product in products]


def _files(plans: Sequence[_Plan | _Refused]) -> list[OutputFile | Failure]:
    """All files, or what stands for them; one that has tables of two products is there once."""
    found: dict[Any, OutputFile | Failure] = {}
    for plan in plans:
        if isinstance(plan, _Refused):
            product = plan.product
            found[id(product)] = Failure(without_token(product.source), product.kind, plan.error)
        else:
            found |= {file.path: file for file in plan.files}
    return list(found.values())


def _write_index(
    path: Path, products: Products, plans: Sequence[_Plan | _Refused], older: Index | None, report: Report
) -> None:
    """Describe what was written, in the order of the products, and what was there before and was not replaced."""
    written = report.written
    if products and not written:
        return
    place = {id(product): number for number, product in enumerate(products)}
    whole = [plan for plan in plans if isinstance(plan, _Plan) and written.issuperset(file.path for file in plan.files)]
    whole.sort(key=lambda plan: place[id(plan.product)])
    index = Index.of(products, [plan.record() for plan in whole])
    if older:
        index = index.joined(older, replaced={file.name for file in written})
    index.write(path, Provenance.of(products))


def _check_options(
    products: Products, sets: Sequence[_OgipSet], refused: Set[int], *, group: float | None, systematic: float | None
) -> None:
    """Refuse options that nothing of a reply can take; warn of the spectra that can't."""
    spectra = {id(each.spectrum): each.form["SPECTRUM"] for each in sets}
    kinds = {product.kind for product in products}
    named = [
        (product.source or product.name, spectra.get(id(product)))
        for product in products
        if product.kind == "spectrum" and id(product) not in refused
    ]
    check_options(named, group=group, systematic=systematic)
    if kinds and "spectrum" not in kinds and (group is not None or systematic is not None):
        raise ParameterError(
            f"group= and systematic= are for spectra, of which there are none here, only: {', '.join(sorted(kinds))}"
        )


def _plans(
    products: Products,
    usable: Products,
    refused: Mapping[int, _Refused],
    sets: Sequence[_OgipSet],
    output: OutputDirectory,
    *,
    group: float | None,
    systematic: float | None,
) -> Iterator[_Plan | _Refused]:
    """In the order of the products, but a spectrum and its responses together."""
    set_of = {id(member): each for each in sets for member in each.members}
    done: set[int] = set()
    for product in products:
        found = set_of.get(id(product))
        if id(product) in refused:
            yield refused[id(product)]
        elif not found:
            yield from _tried([product], partial(_single, product, usable, output))
        elif id(found) not in done:
            done.add(id(found))
            yield from _tried(found.members, partial(_spectrum, found, output, group=group, systematic=systematic))


def _single(product: Product, products: Products, output: OutputDirectory) -> list[_Plan]:
    """How to write a product that is not part of a spectrum."""
    if product.kind == "image":
        return [_image(product, products, output)]
    return [_lightcurve(product, products, output) or _as_given(product, products, output)]


# ---- spectra


@dataclass(frozen=True)
class _OgipSet:
    """
    A spectrum with its response, to be written as OGIP files.

    ``roles`` tells for each role the product and the HDU in it; ``others`` are HDUs without a role, in their order, by
    the kind of file that keeps them.
    """

    members: Sequence[Product]
    roles: Mapping[str, tuple[Product, int]]
    others: Mapping[str, Sequence[tuple[Product, int]]]
    form: fits.HDUList

    @property
    def spectrum(self) -> Product:
        """The product that has the spectrum."""
        return self.roles["SPECTRUM"][0]

    def place(self, product: Product, index: int) -> tuple[str, int]:
        """Where in the files an HDU of a product is: kind of the file, and number of the HDU in it."""
        for kind, roles in _TABLES_IN.items():
            content = [self.roles[role] for role in roles if role in self.roles] + [*self.others.get(kind, ())]
            for number, (owner, found) in enumerate(content, start=1):
                if owner is product and found == index:
                    return kind, number
        raise LookupError(index)


def _ogip_set(members: Sequence[Product], products: Products) -> _OgipSet | None:
    """Tables of an OGIP spectrum with their places in files; None where it is of another kind."""
    if not all(isinstance(product.data, fits.HDUList) for product in members):
        return None
    if not any(product.kind == "spectrum" for product in members):
        return None
    roles = {role: found for role, found in tables_by_role(members).items() if is_complete(_hdu(found), role)}
    if "SPECTRUM" not in roles or not _holds_counts(_hdu(roles["SPECTRUM"])):
        return None
    if "MATRIX" not in roles:
        roles.pop("EBOUNDS", None)  # no file is made for the energies alone
    # what has no part in it is written as it came
    members = [product for product in members if any(owner is product for owner, _ in roles.values())]
    others: dict[str, list[tuple[Product, int]]] = {}
    for product in members:
        for index, hdu in enumerate(product.data):
            if _has_content(hdu) and (product, index) not in roles.values():
                others.setdefault(product.kind, []).append((product, index))
    form = _cleaned(spectrum_form(products._with(members), products))
    kept = [hdu for hdu in form if hdu.name not in ROLES or hdu.name in roles]
    return _OgipSet(members, roles, others, fits.HDUList(kept))


def _holds_counts(hdu: Any) -> bool:
    """Whether a spectrum is one of counts or count rates, which OGIP files hold."""
    try:
        check_columns(hdu, "SPECTRUM")
    except DecodingError:
        return False
    return True


def _hdu(found: tuple[Product, int]) -> Any:
    product, index = found
    return product.data[index]


def _has_content(hdu: Any) -> bool:
    return isinstance(hdu, fits.BinTableHDU) or (hdu.data is not None and hdu.data.size > 0)


def _spectrum(
    found: _OgipSet, output: OutputDirectory, *, group: float | None, systematic: float | None
) -> list[_Plan]:
    others = {kind: [_cleaned_hdu(_hdu(each)) for each in tables] for kind, tables in found.others.items()}
    files = {}
    for file in spectra_files(found.form, output, group=group, systematic=systematic, others=others):
        if isinstance(file, Failure):
            raise file.error
        files[file.kind] = file
    plans = []
    with reading("spectrum"):
        numbers = Numbering.of(*(_hdu(found.roles[role]) if role in found.roles else None for role in CHANNELS_IN))
    for product in found.members:
        places = [found.place(product, index) for index, hdu in enumerate(product.data) if _has_content(hdu)]
        kinds = list(dict.fromkeys(kind for kind, _ in places))
        own = tuple(replace(files[kind], source=without_token(product.source)) for kind in kinds)
        options: dict[str, Any] = {"tables": [(kinds.index(kind), number) for kind, number in places]}
        if product is found.spectrum and group is None:
            # channels without a value get a quality in the file that the service did not give them
            options["quality"] = _quality(found.form["SPECTRUM"])
        options["renumbered"] = [
            _renumbering(_hdu(each), role, kinds.index(_FILE_OF[role]), found.place(*each)[1], numbers.shifts[role])
            for role, each in found.roles.items()
            if each[0] is product and numbers.shifts.get(role)
        ]
        plans.append(_Plan(product, "spectrum", own, {key: value for key, value in options.items() if value}))
    return plans


def _renumbering(hdu: Any, role: str, file: int, number: int, shift: int) -> dict[str, Any]:
    """How to find the service's own numbers of channels again, which files of one spectrum have in common."""
    column = CHANNELS_IN[role]
    cards = {key: card_value(hdu.header, key) for key in limits_of(hdu, column)}
    return {"file": file, "hdu": number, "column": column, "shift": shift, "cards": cards}


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
        own = with_origin(complete_copy(hdu), hdu.name)
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
    copied = fits.HDUList([complete_copy(hdu) for hdu in hdulist])
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


def _cleaned_hdu(hdu: Any) -> Any:
    copied = complete_copy(hdu)
    clean(copied)
    return copied


def _fits_writer(hdulist: fits.HDUList) -> Writer:
    _cleaned(hdulist)
    add_date(hdulist[0].header)
    return lambda file: hdulist.writeto(file, output_verify="silentfix", checksum=True)


def _text_writer(text: str) -> Writer:
    return lambda file: file.write(without_token(text).encode())
