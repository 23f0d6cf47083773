# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Mosaics that are to be summed: what is in them, and copies on disk of those that come one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..catalog import table_of
from ..errors import ParameterError, reading
from ..files import whole_file
from ..products.cards import card_value, energy_band, number
from ..text import listed
from ..units import standard_spelling
from .inputs import INPUTS, InputFacts
from .resampling import Planes
from .skygrids import SkyGrid

#: what a sum is made of
NEEDED = ("INTENSITY", "VARIANCE", "EXPOSURE")
# JEM-X's name, where the file is not of `query_image`
_NAMES = {"RECONSTRUCTED": "INTENSITY"}
# cards of coordinates that are the same in all images of a mosaic
_AXES = ("NAXIS", "CTYPE", "CRVAL", "CRPIX", "CDELT", "CROTA")
_COORDINATES = (*(f"{name}{axis}" for name in _AXES for axis in (1, 2)), "CD1_1", "CD1_2", "CD2_1", "CD2_2")
_LEAST = 2  # axes of an image

_Band = tuple[float, float] | None


@dataclass(frozen=True)
class MosaicBand:
    """Images of one energy band."""

    energies: _Band
    header: fits.Header
    units: Mapping[str, str]
    read: Callable[[], Planes]

    @property
    def name(self) -> str:
        """For messages."""
        return "unknown" if self.energies is None else f"{self.energies[0]:g}-{self.energies[1]:g} keV"


@dataclass(frozen=True)
class InputMosaic:
    """One input of a sum; the number is that of the user's list."""

    number: int
    primary: fits.Header
    facts: InputFacts
    grid: SkyGrid
    bands: list[MosaicBand]
    catalog: Table | None = None
    empty: int = 0  # inputs without images of a sum

    @classmethod
    def of_hdulist(cls, hdulist: fits.HDUList, position: int) -> InputMosaic | None:
        """Of what `query_image` returns, or of a file; None where there is no image in it."""
        what = f"mosaic {position}"
        images = [hdu for hdu in hdulist if getattr(hdu, "is_image", False) and hdu.shape]
        if not images:
            return None
        with reading(what):
            found = _bands(images, what)
            first = found[0][1]["INTENSITY"]
            bands = [MosaicBand(energies, *_described(hdus, first, what)) for energies, hdus in found]
            # headers alone, with the names of `query_image`
            named = [fits.ImageHDU(header=band.header, name="INTENSITY") for band in bands]
            sums = [hdulist[INPUTS]] if INPUTS in hdulist else []
            return cls(
                position,
                hdulist[0].header,
                InputFacts.of_hdulist(fits.HDUList([hdulist[0], *named, *sums]), "INTENSITY"),
                SkyGrid.of_header(first.header, first.shape, what),
                bands,
                table_of(hdulist) if "CATALOG" in hdulist else None,
                int(number(hdulist[0].header, "NNODATA", 0)),
            )

    @property
    def alike(self) -> dict[str, str]:
        """What must be the same in all inputs."""
        found = {"energy bands": ", ".join(band.name for band in self.bands)}
        for band in self.bands:
            found |= {f"BUNIT of {name} ({band.name})": unit for name, unit in band.units.items()}
        return found | {"TIMESYS": str(card_value(self.bands[0].header, "TIMESYS") or "").upper()}

    @property
    def key(self) -> tuple[Any, ...]:
        """Something to sort by, so that the order of the inputs does not matter."""
        return self.facts.start, self.facts.stop, self.facts.jobs, self.grid.key

    def spooled(self, directory: Path) -> InputMosaic:
        """The same with its pixels on disk."""
        bands = []
        for count, band in enumerate(self.bands):
            path = directory / f"{self.number}-{count}.npy"
            planes = band.read()
            pixels = np.array(planes[:3])
            with whole_file(path, private=True, firmly=False, needed=partial(int, pixels.nbytes)) as file:
                np.save(file, pixels, allow_pickle=False)
            # headers are large, and not needed again
            bands.append(replace(band, header=fits.Header(), read=partial(_of_file, path)))
        return replace(self, bands=bands, primary=fits.Header())


def _of_file(path: Path) -> Planes:
    return Planes.of_arrays(*np.load(path, allow_pickle=False))


def images_by_band(images: list[Any], names: tuple[str, ...]) -> list[tuple[_Band, dict[str, Any]]]:
    """Energies and images by name (EXTNAME, else IMATYPE) of each band, from the lowest."""
    groups: dict[tuple[_Band, int], dict[str, Any]] = {}
    for hdu in images:
        kind = str(hdu.header.get("IMATYPE", "")).strip().upper()
        name = hdu.name if hdu.name in names else _NAMES.get(kind, kind)
        if name in names:
            energies, count = energy_band(hdu.header), 0
            while name in groups.setdefault((energies, count), {}):  # of two products
                count += 1
            groups[energies, count][name] = hdu
    found = sorted(groups.items(), key=lambda item: (item[0][0] or (np.inf, np.inf), item[0][1]))
    return [(energies, hdus) for (energies, _), hdus in found]


def _bands(images: list[Any], what: str) -> list[tuple[_Band, dict[str, Any]]]:
    """Bands that have all images of a sum."""
    found = images_by_band(images, NEEDED)
    for energies, hdus in found or [(None, {})]:
        if missing := [name for name in NEEDED if name not in hdus]:
            band = f" of {energies[0]:g}-{energies[1]:g} keV" if energies else ""
            present = listed(hdu.name for hdu in images)
            raise ParameterError(
                f"{what} has no image {' and '.join(missing)}{band} (images present: {present}). A sum "
                f"needs {', '.join(NEEDED)} for each energy band, as query_image returns them for isgri and jemx."
            )
    return found


def _described(hdus: dict[str, Any], first: Any, what: str) -> tuple[fits.Header, dict[str, str], Callable[[], Planes]]:
    """Header, units, and a function that reads the pixels."""
    for name, hdu in hdus.items():
        if len(hdu.shape) != _LEAST:
            raise ParameterError(f"image {name} of {what} must have two axes, not {len(hdu.shape)}.")
        if hdu.shape != first.shape or any(hdu.header.get(card) != first.header.get(card) for card in _COORDINATES):
            raise ParameterError(
                f"the images of {what} are on different grids ({name} and INTENSITY): give one mosaic each."
            )
    units = {}
    for name, hdu in hdus.items():
        unit = card_value(hdu.header, "BUNIT")
        units[name] = standard_spelling(unit) or str(unit or "").strip()
    return hdus["INTENSITY"].header, units, partial(_of_hdus, [hdus[name] for name in NEEDED], what)


def _of_hdus(hdus: list[Any], what: str) -> Planes:
    with reading(f"the pixels of {what}"):
        return Planes.of_arrays(*map(np.asarray, _pixels(hdus)))


def _pixels(hdus: list[Any]) -> list[Any]:
    files = [None if "data" in vars(hdu) else hdu.fileinfo() for hdu in hdus]
    names = {info and info["file"].name for info in files}
    if len(names) == 1 and (name := names.pop()) and Path(name).is_file():
        # apart, so that neither its pixels nor its pages stay in memory as long as the user has it open
        places = [info["datLoc"] for info in files if info]
        with fits.open(name, memmap=False) as opened:
            found = {hdu.fileinfo()["datLoc"]: hdu for hdu in opened}
            if all(place in found for place in places):
                return [found[place].data for place in places]
    return [hdu.data for hdu in hdus]
