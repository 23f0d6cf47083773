# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Spectra of several jobs as one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Column
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, reading, warn
from ..products.cards import name_source, number
from ..products.fluxpoints import is_flux_hdu
from ..products.sources import folded_name
from ..products.spectrum import ROLES, sources_hdu
from ..products.storage.spectrumtable import pick_sources
from ..text import listed, printable
from .channelsums import SourceSum, SpectrumPart
from .headers import CommonPrimary
from .inputs import INPUTS, InputFacts, Inputs, outcomes

_WEIGHTS = ("exposure", "variance")


def combine_spectra(
    spectra: Iterable[fits.HDUList], *, weights: str = "exposure", overlap: bool = False
) -> fits.HDUList:
    """
    Average the spectra of several jobs, and their responses with the same weights.

    For each source and channel, over the parts with QUALITY 0 (and a rate and an error that can be used: RATE finite,
    STAT_ERR finite and above 0): ``RATE`` = sum(w RATE) / sum(w), ``STAT_ERR`` = sqrt(sum((w STAT_ERR)**2)) / sum(w),
    and SYS_ERR is the weighted mean. COUNTS are added. A model that is folded with the response of the result gives the
    weighted mean of what it gives with those of the parts: SPECRESP is the weighted mean of the areas, and MATRIX is
    what all parts have, or else the mean weighted by area, too. Where parts differ in the QUALITY of channels, the area
    is in the matrix (SPECRESP is 1, HDUCLAS3 is FULL), and a column WEIGHT has the sum of the weights of each channel.

    Spectra are read one after the other, and only sums are kept, so an iterator of many files takes no more memory than
    a few.

    Parameters
    ----------
    spectra : iterable of `~astropy.io.fits.HDUList`
        As returned by ``query_spectrum``, `query_many`, or this function. Lists of the primary alone, as a query
        without results returns, count as parts without any source.
    weights : str
        ``"exposure"``: w is EXPOSURE (s), which is right for all sources. ``"variance"``: w = 1 / median(STAT_ERR)**2
        of the good channels, one for each part and source, for constant sources under a strong background.
    overlap : bool
        Whether parts may have data of the same time.

    Returns
    -------
    `~astropy.io.fits.HDUList`
        In the form of ``query_spectrum``, for ``write_spectra``, ``spectrum_table``, ``plot_spectrum``. EXPOSURE,
        ONTIME and EXP_SRC (s) are sums, TSTART and TSTOP the first and the last. In each SPECTRUM, NJOBS_S is the
        number of jobs with the source, and EXPFRAC their fraction of the exposure of all jobs. Before ``SOURCES`` comes
        a table ``INPUTS`` with a row for each part: JOB_ID, WINDOWS, START and STOP (MJD), EXPOSURE (s; the longest of
        its sources), and WEIGHT, which has a number for each source in the order of ``SOURCES``. NJOBS and NFAILED are
        in the primary header.

    Raises
    ------
    ParameterError
        Parts differ in telescope, instrument, detector or osa_version, in channels, EBOUNDS or grids of energies, or in
        what they have (rates or counts, errors, responses); have the same science window (without ``overlap``); are
        flux points; or none has a spectrum.
    DecodingError
        A spectrum can't be read.

    Warns
    -----
    InputWarning
        A source is missing in some parts: its rates are averages over the others, since missing is not zero. Parts are
        empty, or have several spectra of one source, which are left out. There is no matrix. ISGRI's spectra are of
        more than half a year.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> from astroquery_mmoda.combine import combine_spectra
    >>> field = {"coordinates": "MAXI J1820+070", "radius": "8 deg", "max_pointings": 5}
    >>> parts = [Mmoda.query_spectrum("isgri", **field, time_range=times) for times in [(58193, 58210), (58220, 58247)]]
    >>> spectra = combine_spectra(parts)
    >>> spectra[0].header["NJOBS"]
    2
    >>> round(spectra["SPECTRUM"].header["EXPOSURE"] / sum(part["SPECTRUM"].header["EXPOSURE"] for part in parts), 6)
    1.0
    """
    if weights not in _WEIGHTS:
        raise ParameterError(
            f"weights={printable(repr(weights), limit=60)} has no meaning; allowed: {listed(_WEIGHTS)}"
        )
    total = _SpectraSum(weights, overlap=overlap)
    for part in outcomes(spectra, "part", fits.HDUList):
        total.add(part)
    return total.hdulist()


class _SpectraSum:
    """Sums of all sources."""

    def __init__(self, weights: str, *, overlap: bool) -> None:
        self._inputs, self._weights = Inputs("part", overlap=overlap), weights
        self._primary = CommonPrimary()
        self._sources: dict[str, SourceSum] = {}
        self._exposures: list[float] = []
        self._weights_of: list[dict[str, float]] = []
        self._twice: dict[str, str] = {}

    def add(self, part: fits.HDUList) -> None:
        """Take one more part."""
        number_of_part = len(self._inputs)
        tables = _tables(part, number_of_part)
        with reading(f"part {number_of_part}"):
            facts = InputFacts.of_hdulist(part, "SPECTRUM")
        self._inputs.add(facts)
        self._primary.add(part[0].header)
        sources = [(ver, name) for ver, name in pick_sources(part) if "SPECTRUM" in tables[ver]]
        count = Counter(folded_name(name) for _, name in sources)
        self._twice |= {folded_name(name): name for _, name in sources if count[folded_name(name)] > 1}
        with reading(f"part {number_of_part}"):
            exposure = _exposure_of_part(part, [tables[ver]["SPECTRUM"] for ver, _ in sources])
        found: dict[str, float] = {}
        for ver, name in sources:
            key = folded_name(name)
            if count[key] == 1:
                what = f"part {number_of_part}, spectrum of {printable(name, limit=60)!r}"
                try:
                    with reading(what):
                        weight = self._add_source(key, ver, name, tables[ver], exposure)
                except ParameterError as error:
                    raise ParameterError(f"{what}: {error}. Combine those that agree.") from error
                if weight > 0:
                    found[key] = weight
        self._exposures.append(exposure)
        self._weights_of.append(found)

    def _add_source(self, key: str, ver: int, name: str, tables: Mapping[str, Any], exposure: float) -> float:
        """Take the spectrum of a source, and give its weight; without one it counts as missing."""
        part = SpectrumPart(tables, self._weights)
        if not part.weight > 0:
            return 0.0
        if key not in self._sources:
            self._sources[key] = SourceSum(part)
        self._sources[key].add(part, ver, name, exposure)
        return part.weight

    def hdulist(self) -> fits.HDUList:
        """Make the result, with all warnings."""
        for key in self._twice:
            self._sources.pop(key, None)
        if not self._sources:
            raise ParameterError(
                f"there is nothing to sum: none of {len(self._inputs)} parts has a spectrum with an EXPOSURE"
            )
        self._warn()
        keys = sorted(self._sources, key=lambda key: (self._sources[key].least_ver, key))
        hdulist = fits.HDUList([self._primary.hdu(self._inputs.values())])
        whole = math.fsum(self._exposures)
        for ver, key in enumerate(keys, start=1):
            for hdu in self._sources[key].hdus(whole, self._weights):
                hdu.ver = ver
                name_source(hdu.header, self._sources[key].name)
                hdulist.append(hdu)
        weights = np.array([[found.get(key, 0.0) for key in keys] for found in self._weights_of])
        hdulist.append(self._inputs.hdu(EXPOSURE=Column(self._exposures, unit="s"), WEIGHT=weights))
        hdulist.append(sources_hdu([self._sources[key].name for key in keys]))
        return hdulist

    def _warn(self) -> None:
        empty = [number for number, found in enumerate(self._weights_of) if not found]
        if empty:
            warn(f"parts without any spectrum: {listed(map(str, empty))} of {len(self._inputs)}", InputWarning)
        if self._twice:
            warn(
                f"left out, since parts have several spectra of that name: {listed(self._twice.values())}. Give them "
                "names of their own, in the catalogue that is sent or by SRC_NAME.",
                InputWarning,
            )
        bare = [source.name for source in self._sources.values() if not source.has_response]
        if bare:
            warn(f"no MATRIX, so that no model can be fitted to the sum: {listed(bare)}", InputWarning)
        whole = math.fsum(self._exposures)
        partly = [
            f"{printable(source.name, limit=60)} ({source.share / whole:.0%} of the exposure)"
            for source in self._sources.values()
            if source.share < whole * (1 - 1e-9)
        ]
        if partly:
            warn(
                f"sources that are missing in some of {len(self._inputs)} parts: {listed(partly)}. Their rates are "
                "averages over the parts that have them.",
                InputWarning,
            )


def _tables(part: fits.HDUList, number_of_part: int) -> dict[int, dict[str, Any]]:
    """Tables of each source (EXTVER) by their roles."""
    if any(is_flux_hdu(hdu) for hdu in part):
        raise ParameterError(
            f"part {number_of_part} has flux points, as workflows give them: these have no exposure and no response to "
            "be averaged with. Fit or draw them together instead."
        )
    tables: dict[int, dict[str, Any]] = {}
    for hdu in part:
        if hdu.name in ROLES:
            tables.setdefault(hdu.ver, {}).setdefault(hdu.name, hdu)
    others = [hdu.name for hdu in part[1:] if hdu.name not in ("SOURCES", INPUTS)]
    if others and not any("SPECTRUM" in found for found in tables.values()):
        raise ParameterError(
            f"part {number_of_part} has no SPECTRUM, but {listed(others)}: not a result of query_spectrum"
        )
    return tables


def _exposure_of_part(part: fits.HDUList, spectra: Iterable[Any]) -> float:
    """Exposure of a part: of a sum, that of its inputs; else the longest of its sources."""
    if INPUTS in part and "EXPOSURE" in part[INPUTS].columns.names:
        return float(np.nansum(part[INPUTS].data["EXPOSURE"]))
    return max((number(hdu.header, "EXPOSURE", 0.0) for hdu in spectra), default=0.0)
