# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Spectra as files for XSPEC, Sherpa and the like, and as tables.

The files follow the OGIP memos 92-007 and 92-007a (spectra, "PHA") and the calibration memos CAL/GEN/92-002 and 92-002a
(effective areas, "ARF", and redistribution matrices, "RMF"). All functions take the list of HDUs that
``query_spectrum`` returns and leave it as it is.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astroquery.exceptions import CorruptDataWarning, InputWarning

from ...errors import DecodingError, MmodaError, ParameterError, reading, warn
from ...instruments import is_deconvolved
from ...text import listed, original, printable, transliterated
from ...units import known_unit
from ..cards import (
    add_date,
    card_value,
    complete_copy,
    drop_missing,
    is_missing,
    mend_rows,
    number,
    time_reference,
    time_scale,
)
from ..channels import CHANNELS_IN, Numbering, energy_rows, limits_of, renumbered
from ..sources import match_source
from ..spectrum import missing_columns
from .filenames import Failure, OutputDirectory, OutputFile, write_files
from .provenance import creator

__all__ = [
    "channel_table",
    "check_columns",
    "check_options",
    "pick_sources",
    "spectra_files",
    "spectrum_table",
    "write_spectra",
]

# QUALITY of a channel, OGIP/92-007
_GOOD, _BAD, _DUBIOUS, _UNUSABLE = 0, 1, 2, 5
# a matrix has in it: redistribution only, the detector's efficiency as well, or all (CAL/GEN/92-002a)
_CONTENTS = ("REDIST", "DETECTOR", "FULL")
_LARGEST_SUM = 1.5
# columns that have a unit
_MEASURED = {"RATE", "STAT_ERR", "SPECRESP", "ENERG_LO", "ENERG_HI", "E_MIN", "E_MAX"}
_ENDINGS = {"spectrum": "_pha.fits", "arf": "_arf.fits", "rmf": "_rmf.fits"}
_META = ("TELESCOP", "INSTRUME", "DETNAM", "FILTER", "TSTART", "TSTOP", "MJDREF", "TIMESYS", "RA_OBJ", "DEC_OBJ")


# ---- which source ----


def pick_sources(spectra: fits.HDUList, source: str | None = None) -> list[tuple[int, str]]:
    """
    Give number and name of each source, or of one of them.

    Parameters
    ----------
    spectra : `~astropy.io.fits.HDUList`
        As returned by ``query_spectrum``.
    source : str, optional
        Name of one source; case and blanks make no difference.

    Returns
    -------
    list of (int, str)
        EXTVER and SRC_NAME.

    Raises
    ------
    ParameterError
        If there is no such source.
    """
    if not isinstance(spectra, fits.HDUList):
        raise ParameterError(f"spectra are an HDUList as query_spectrum returns it, not {type(spectra).__name__}")
    with reading("the list of sources"):
        numbered = _sources(spectra)
    if source is None:
        return numbered
    name = match_source([name for _, name in numbered], source)
    return [(number, known) for number, known in numbered if known == name]


def _sources(spectra: fits.HDUList) -> list[tuple[int, str]]:
    for hdu in spectra:
        if hdu.name == "SOURCES":
            digits = hdu.data["SRCNAME8"] if "SRCNAME8" in hdu.columns.names else [""] * len(hdu.data)
            named = zip(hdu.data["EXTVER"], hdu.data["SRC_NAME"], digits, strict=True)
            return [(int(number), original(str(name).strip(), kept)) for number, name, kept in named]
    # a list that somebody cut down or put together
    headers = [(hdu.ver, hdu.header) for hdu in spectra if hdu.name == "SPECTRUM"]
    return [(number, original(str(h.get("SRC_NAME", number)), h.get("SRCNAME8", ""))) for number, h in headers]


def _find(spectra: fits.HDUList, name: str, number: int) -> Any:
    return next((hdu for hdu in spectra if hdu.name == name and hdu.ver == number), None)


# ---- a spectrum as a table ----


def spectrum_table(spectra: fits.HDUList, source: str | None = None) -> Table:
    """
    One spectrum as a table of count rates per energy.

    Parameters
    ----------
    spectra : `~astropy.io.fits.HDUList`
        As returned by ``query_spectrum``.
    source : str, optional
        Name of the source (case and blanks ignored); can be left out where there is only one.

    Returns
    -------
    `~astropy.table.Table`
        ``e_min``, ``e_max`` (keV, from EBOUNDS, matched by the place of the channel: CHANNEL - TLMIN of each table),
        ``rate`` and ``error`` (ct / (s keV), statistical errors), and ``quality`` as in OGIP/92-007: 0 is good, 1 has
        no value, 5 has a value, but no error that is finite and above 0. Spectra in counts are divided by the
        exposure. ``meta`` is flat, with the keywords of the spectrum in capitals: ``SRC_NAME``, ``EXPOSURE`` (s),
        ``TELESCOP``, and so on.

    Raises
    ------
    ParameterError
        If there is no such source, or several and none was named.
    DecodingError
        If the spectrum came without energies for its channels.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, spectrum_table
    >>> spectra = Mmoda.query_spectrum("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58246.892),
    ...                                max_pointings=10)
    >>> table = spectrum_table(spectra, "Ser X-1")
    >>> table.colnames, str(table["rate"].unit)
    (['e_min', 'e_max', 'rate', 'error', 'quality'], 'ct / (keV s)')
    """
    sources = pick_sources(spectra, source)
    if len(sources) != 1:
        names = listed(name for _, name in sources)
        raise ParameterError(f"one source has to be named by source=; sources present: {names}")
    return channel_table(spectra, *sources[0])


def channel_table(spectra: fits.HDUList, number: int, name: str) -> Table:
    """Make the `spectrum_table` of a source as `pick_sources` gives it."""
    hdu = _find(spectra, "SPECTRUM", number)
    if hdu is None:
        raise DecodingError(f"there is no spectrum of {printable(name)}, only its responses")
    with reading("spectrum"):
        check_columns(hdu, "SPECTRUM")
        return _rates_per_energy(hdu, _energies(spectra, number, name, hdu), name)


def _rates_per_energy(hdu: Any, energies: tuple[np.ndarray, np.ndarray], name: str) -> Table:
    e_min, e_max = energies
    values = _Values.of(hdu)
    scale = 1 / ((e_max - e_min) * (_exposure_of(hdu, name) if values.in_counts else 1.0))
    table = Table({"e_min": e_min * u.keV, "e_max": e_max * u.keV})
    table["rate"] = values.value * scale * u.Unit("ct / (s keV)")
    table["error"] = values.error * scale * u.Unit("ct / (s keV)")
    table["quality"] = values.quality.astype(np.int64)
    told = {key: card_value(hdu.header, key) for key in ("EXPOSURE", *_META)}
    table.meta = {"SRC_NAME": name, **{key: value for key, value in told.items() if value is not None}}
    return table


@dataclass(frozen=True)
class _Values:
    """What was measured in each channel: ``value`` and ``error`` are counts, or else rates."""

    value: np.ndarray
    error: np.ndarray
    quality: np.ndarray
    in_counts: bool
    has_errors: bool

    @classmethod
    def of(cls, hdu: Any) -> _Values:
        check_columns(hdu, "SPECTRUM")
        in_counts = _is_in_counts(hdu)
        name = "COUNTS" if in_counts else "RATE"
        value = np.array(hdu.data[name], dtype=float) * _factor(hdu, name)
        told = _has(hdu, "STAT_ERR")
        error = _assumed_errors(value, hdu.header, in_counts=in_counts)
        if told:
            error = np.array(hdu.data["STAT_ERR"], dtype=float) * _factor(hdu, "STAT_ERR", like=name)
        quality = _flags(hdu, "QUALITY")
        quality[(quality == _GOOD) & ~np.isfinite(value)] = _BAD
        if told and not (in_counts and hdu.header.get("POISSERR") is True):
            usable = np.isfinite(error) & (error > 0)
            if in_counts:
                usable |= (value == 0) & (error == 0)  # as sqrt(N) has it
            quality[(quality == _GOOD) & ~usable] = _UNUSABLE
        return cls(value, error, quality, in_counts, told or bool(np.isfinite(error).any()))


def _is_in_counts(hdu: Any) -> bool:
    """Whether a spectrum is in counts; where both columns are, HDUCLAS3 tells which one STAT_ERR belongs to."""
    is_said = str(hdu.header.get("HDUCLAS3", "")).strip().upper().startswith("COUNT")
    return not _has(hdu, "RATE") or (is_said and _has(hdu, "COUNTS"))


def _assumed_errors(value: np.ndarray, header: fits.Header, *, in_counts: bool) -> np.ndarray:
    """Errors without a column: a keyword for all channels, else those of Poisson; of most rates nothing is known."""
    is_poisson = header.get("POISSERR") is True
    told = number(header, "STAT_ERR", 0.0)
    if told > 0 and not is_poisson:
        return np.full(value.shape, told)
    exposure = 1.0 if in_counts else number(header, "EXPOSURE", 0.0)
    if in_counts or (is_poisson and exposure > 0):
        return np.sqrt(np.maximum(value, 0) / exposure)
    return np.full(value.shape, np.nan)


def check_columns(hdu: Any, role: str) -> None:
    """Refuse a table that can't be what it is taken for."""
    if missing := missing_columns(hdu, role):
        raise DecodingError(
            f"{printable(hdu.name or role, limit=60)} can't be the {role} of a spectrum of channels: it has no "
            f"{', '.join(missing)} of one number a row, only "
            f"{printable(', '.join(hdu.columns.names), limit=200)}; query_product gives it as it came"
        )
    if role == "SPECTRUM":
        name = "COUNTS" if _is_in_counts(hdu) else "RATE"
        for column in (name, "STAT_ERR") if _has(hdu, "STAT_ERR") else (name,):
            _factor(hdu, column, like=name)


def _factor(hdu: Any, name: str, *, like: str = "") -> float:
    """Factor that makes counts, or counts per second, of values; those without a known unit are taken for it."""
    text = hdu.columns[name].unit or (hdu.columns[like].unit if like else None)
    given = known_unit(text)
    wanted = u.Unit("count") if "COUNTS" in (name, like) else u.Unit("count / s")
    if given is None or given == u.dimensionless_unscaled:
        return 1.0
    for unit in (given, given * u.ct):  # 1/s is meant for counts, too
        if unit.is_equivalent(wanted):
            return float(unit.to(wanted))
    raise DecodingError(
        f"{name} is in {printable(text, limit=40)}, not in {wanted} or the like: not a spectrum of counts"
    )


def _exposure_of(hdu: Any, name: str) -> float:
    exposure = number(hdu.header, "EXPOSURE", 0.0)
    if exposure <= 0:
        raise DecodingError(f"the spectrum of {printable(name)} is in counts and has no EXPOSURE to divide by")
    return exposure


def _energies(spectra: fits.HDUList, number: int, name: str, hdu: Any) -> tuple[np.ndarray, np.ndarray]:
    bounds = _find(spectra, "EBOUNDS", number)
    if bounds is None:
        raise DecodingError(f"the spectrum of {printable(name)} came without the energies of its channels (EBOUNDS)")
    check_columns(bounds, "EBOUNDS")
    rows = energy_rows(hdu, bounds)
    if rows is None:
        raise DecodingError(f"the spectrum of {printable(name)} has channels that are missing in its EBOUNDS")
    return _in_kev(bounds, "E_MIN")[rows], _in_kev(bounds, "E_MAX")[rows]


def _in_kev(hdu: Any, name: str) -> np.ndarray:
    unit = _unit(hdu.columns[name].unit) or u.keV
    return (np.array(hdu.data[name], dtype=float) * unit).to_value(u.keV)


def _unit(text: str | None) -> u.UnitBase | None:
    """Read a TUNIT; None where it says nothing that astropy knows."""
    unit = known_unit(text)
    return None if unit is None or unit == u.dimensionless_unscaled else unit


# ---- spectra as files ----


def write_spectra(
    spectra: fits.HDUList,
    directory: str | os.PathLike[str],
    *,
    group: float | None = None,
    systematic: float | None = None,
    overwrite: bool = False,
) -> Table:
    """
    Write the spectra and responses of all sources as OGIP files.

    For each source ``<name>_pha.fits``, ``<name>_arf.fits`` and ``<name>_rmf.fits``, the first naming the others by
    RESPFILE and ANCRFILE, without a directory. What did not come is not written and named ``none``. Everything is
    checked before the first file is written, and each file appears only when it is complete.

    All three files number the channels as the spectrum does (TLMIN, TLMAX and DETCHANS say how), whatever the tables of
    the reply did. Cards without a value, and those with the word of a template (``String``), are completed where OGIP
    wants them, and left out otherwise. Spectra of INTEGRAL's coded masks are called NET, since the background is
    subtracted in them. A matrix that contains the effective area (of IBIS, or beside an ARF of 1 everywhere, or with
    rows that sum up to more than 1.5) has HDUCLAS3 FULL and the name ``SPECRESP MATRIX``; the ARF of 1 then has no
    unit.

    Parameters
    ----------
    spectra : `~astropy.io.fits.HDUList`
        As returned by ``query_spectrum``.
    directory : str or path-like
        Where to; made if it is not there.
    group : int or float, optional
        Group the channels, by the column GROUPING: an `int` is the least number of counts in a group (for spectra in
        counts), a `float` its least signal to noise ratio (statistical). Channels of bad quality stay alone;
        good ones left over at the end, or in front of a bad one, get quality 2 (dubious): ``ignore bad`` leaves them
        out. Channels with a rate and without an error that is finite and above 0 have quality 5 and count as bad.
    systematic : float, optional
        Systematic error as a fraction of the value (0.01 is 1 %), for the column SYS_ERR of all channels.
    overwrite : bool
        Whether files of these names may be replaced.

    Returns
    -------
    `~astropy.table.Table`
        One row per file: ``path``, ``source``, ``kind`` (``spectrum``, ``arf``, ``rmf``), ``size`` (bytes) and
        ``error`` (empty).

    Raises
    ------
    ParameterError
        If ``group`` or ``systematic`` has no meaning, or none of these spectra can take it. Where only some can't, an
        ``InputWarning`` names them, and they are written without it.
    FileExistsError
        If files are there already and ``overwrite`` is False.
    MmodaError
        If some files could not be written; a `DecodingError` where tables lack columns, or an effective area or
        energies are in units of another kind. Its ``manifest`` lists what was written, and these with an empty ``path``
        and the reason in ``error``; a spectrum is not written without the responses that it names.
    OSError
        If the directory can't be written to, or the disk is full; the latter has a ``manifest``, too.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, write_spectra
    >>> spectra = Mmoda.query_spectrum("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58246.892),
    ...                                max_pointings=10)
    >>> files = write_spectra(spectra, "spectra", systematic=0.01)
    >>> files["path", "kind"][-3:].pprint()
              path            kind
    ------------------------ --------
    spectra/Ser_X-1_pha.fits spectrum
    spectra/Ser_X-1_arf.fits      arf
    spectra/Ser_X-1_rmf.fits      rmf
    """
    output = OutputDirectory(directory, overwrite=overwrite)
    named = [(name, _find(spectra, "SPECTRUM", number)) for number, name in pick_sources(spectra)]
    check_options([(name, hdu) for name, hdu in named if hdu is not None], group=group, systematic=systematic)
    return write_files(output, spectra_files(spectra, output, group=group, systematic=systematic)).finish()


def check_options(spectra: Sequence[tuple[str, Any]], *, group: float | None, systematic: float | None) -> None:
    """
    Refuse options that make no sense or that none of the spectra can take, and warn where some can't.

    Parameters
    ----------
    spectra : sequence of (str, HDU or None)
        Names and spectra; None for those that are not of the OGIP kind.
    group, systematic : float, optional
        As in `write_spectra`.
    """
    _check_group(group)
    _check_systematic(systematic)
    for option, value in {"group": group, "systematic": systematic}.items():
        if value is None:
            continue
        found = [(name, reason) for name, hdu in spectra if (reason := _obstacle(hdu, option, value)) is not None]
        refusing: dict[str, list[str]] = {}
        for name, reason in found:
            if reason:
                refusing.setdefault(reason, []).append(name)
        text = "; ".join(f"{listed(names, most=10)}: {reason}" for reason, names in refusing.items())
        if found and all(reason for _, reason in found):
            raise ParameterError(f"{option}={value!r} can't be applied to any spectrum here. {text}")
        if refusing:
            warn(f"{option}={value!r} is left out of the spectrum of {text}", InputWarning)


def _obstacle(hdu: Any, option: str, value: float) -> str | None:
    """Why an option can't be applied to a spectrum; empty if it can, None if it can't be written at all."""
    if hdu is None:
        return "it is not a spectrum of channels in counts or count rates, and is written as it came"
    try:
        with reading("spectrum"):
            values = _Values.of(hdu)
    except DecodingError:
        return None
    if option != "group":
        return ""
    if isinstance(value, Integral) and not values.in_counts:
        return f"it is in count rates; give the least signal to noise as a float, such as group={float(value)}"
    if not isinstance(value, Integral) and not values.has_errors:
        return "its rates have no errors (STAT_ERR); leave group= out"
    return ""


def spectra_files(
    spectra: fits.HDUList,
    output: OutputDirectory,
    *,
    group: float | None = None,
    systematic: float | None = None,
    others: Mapping[str, Sequence[Any]] | None = None,
) -> list[OutputFile | Failure]:
    """
    Make the files of `write_spectra`, with names reserved in a directory, without writing them.

    Options were checked by `check_options`. ``others`` are tables to be kept behind those of a kind of file.
    """
    files: list[OutputFile | Failure] = []
    for ver, name in pick_sources(spectra):
        try:
            with reading("spectrum"):
                found = _source_files(
                    spectra, ver, name, output, group=group, systematic=systematic, others=others or {}
                )
        except MmodaError as error:
            files.append(Failure(name, "spectrum", error))
            continue
        responses = tuple(path for path, kind, _ in found if kind != "spectrum")
        files += [
            OutputFile(path, name, kind, _writer(hdulist), needs=responses if kind == "spectrum" else ())
            for path, kind, hdulist in found
        ]
    return files


def _writer(hdulist: fits.HDUList) -> Any:
    # astropy mends what it can (the service writes the headers), and refuses the rest
    return lambda file: hdulist.writeto(file, output_verify="silentfix", checksum=True)


def _source_files(
    spectra: fits.HDUList,
    number: int,
    name: str,
    output: OutputDirectory,
    *,
    group: float | None,
    systematic: float | None,
    others: Mapping[str, Sequence[Any]],
) -> list[tuple[Any, str, fits.HDUList]]:
    """Path, kind and content of each file of one source."""
    spectrum, area, bounds, matrix = (
        _find(spectra, role, number) for role in ("SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX")
    )
    for role, hdu in {"SPECTRUM": spectrum, "SPECRESP": area, "EBOUNDS": bounds, "MATRIX": matrix}.items():
        if hdu is not None:
            check_columns(hdu, role)
    numbers = Numbering.of(spectrum, bounds, matrix)
    tables: dict[str, list[Any]] = {}
    if spectrum is not None:
        tables["spectrum"] = [_spectrum(spectrum, spectra[0].header, name, numbers, group, systematic)]
    like = {} if spectrum is None else spectrum.header
    if area is not None:
        tables["arf"] = [_effective_area(area, like)]
    if matrix is not None:
        tables["rmf"] = [_matrix(matrix, area, like, numbers)]
        tables["rmf"][:0] = [] if bounds is None else [_bounds(bounds, like, numbers)]
    paths = output.reserve(name, *(_ENDINGS[kind] for kind in tables), default=f"source_{number}")
    path_of = dict(zip(tables, paths, strict=True))
    if spectrum is not None:
        tables["spectrum"][0].header["RESPFILE"] = (_bare(path_of, "rmf"), "redistribution matrix")
        tables["spectrum"][0].header["ANCRFILE"] = (_bare(path_of, "arf"), "effective area")
    for kind, more in others.items():
        tables[kind] += [_other(hdu) for hdu in more]
    return [(path_of[kind], kind, _file(spectra[0].header, hdus)) for kind, hdus in tables.items()]


def _other(hdu: Any) -> Any:
    """Copy a table that has no part in the spectrum, to be kept behind those that have."""
    own = complete_copy(hdu)
    drop_missing(own.header)
    return fits.ImageHDU(own.data, own.header) if isinstance(own, fits.PrimaryHDU) else own


def _bare(paths: dict[str, Any], kind: str) -> str:
    return paths[kind].name if kind in paths else "none"


def _file(provenance: fits.Header, hdus: Sequence[Any]) -> fits.HDUList:
    """Make a file of some tables; its primary says where they are from, as the one of the query did."""
    primary = fits.PrimaryHDU(header=_plain_header(provenance))
    primary.header.setdefault("CREATOR", creator())
    add_date(primary.header)
    for hdu in hdus:
        drop_missing(hdu.header, words=False)  # such as TUNIT of a column that lost its unit
        mend_rows(hdu)
    return fits.HDUList([primary, *hdus])


def _plain_header(header: fits.Header) -> fits.Header:
    plain = header.copy(strip=True)
    for key in ("CHECKSUM", "DATASUM"):
        plain.remove(key, ignore_missing=True, remove_all=True)
    drop_missing(plain)  # Sherpa refuses cards without a value, and words of templates mislead
    return plain


# ---- the three kinds of extension ----


def _spectrum(
    hdu: Any, provenance: fits.Header, name: str, numbers: Numbering, group: float | None, systematic: float | None
) -> fits.BinTableHDU:
    """Make a PHA extension (OGIP/92-007a, HDUVERS 1.2): every mandatory keyword is there, others stay."""
    values = _Values.of(hdu)
    changed = {"QUALITY": values.quality} if _has(hdu, "QUALITY") or values.quality.any() else {}
    if group is not None and not _obstacle(hdu, "group", group):
        changed["GROUPING"], changed["QUALITY"] = _grouping(values.value, values.error, values.quality, group)
        if _GOOD in values.quality and _GOOD not in changed["QUALITY"]:
            warn(f"no channels of {printable(name)} reach group={group!r}; all have QUALITY 2 (dubious)", InputWarning)
    if systematic is not None:
        changed["SYS_ERR"] = np.full(len(values.value), float(systematic))
    table = _table(hdu, "SPECTRUM", changed)
    _complete_spectrum(table, provenance, name)
    _limit_channels(table, "SPECTRUM", numbers)
    return table


def _complete_spectrum(table: fits.BinTableHDU, provenance: fits.Header, name: str) -> None:
    header = table.header
    in_counts = _is_in_counts(table)
    _identify(header, {})
    # readers choose the column by HDUCLAS3
    header["HDUCLAS3"] = "COUNT" if in_counts else "RATE"
    _class(header, "SPECTRUM", header.get("HDUCLAS2"), header["HDUCLAS3"], "TYPE:I", version="1.2.1")
    if is_deconvolved(str(header["INSTRUME"])):
        header["HDUCLAS2"] = ("NET", "background was separated by the coded mask")
    _set_missing(header, CHANTYPE="PI", OBJECT=transliterated(name))
    # several science windows make one spectrum: what they have in common is the job
    observation = card_value(provenance, "OBS_ID") or card_value(provenance, "JOB_ID")
    _set_missing(header, OBS_ID=observation or "UNKNOWN")
    _complete_exposure(header, name)
    _complete_dates(header)
    _state_counts(table, "COUNTS" if in_counts else "RATE")
    # these may be columns, each channel having its own
    numbers = {"AREASCAL": 1.0, "BACKSCAL": 1.0, "CORRSCAL": 0.0, "SYS_ERR": 0.0, "QUALITY": 0, "GROUPING": 0}
    for key, value in numbers.items():
        if _has(table, key):
            header.remove(key, ignore_missing=True)
        else:
            _set_missing(header, **{key: value})
    header["BACKFILE"] = header["CORRFILE"] = "none"
    if not isinstance(header.get("POISSERR"), bool) or (_has(table, "STAT_ERR") and not in_counts):
        header["POISSERR"] = in_counts and not _has(table, "STAT_ERR") and not number(header, "STAT_ERR", 0.0)


def _state_counts(table: fits.BinTableHDU, name: str) -> None:
    """Give values and errors the unit that OGIP wants for them."""
    factors = {name: _factor(table, name)}
    if _has(table, "STAT_ERR"):
        factors["STAT_ERR"] = _factor(table, "STAT_ERR", like=name)
    for key, factor in factors.items():
        if factor != 1:
            table.data[key] = np.asarray(table.data[key]) * factor
        table.columns[key].unit = "count" if name == "COUNTS" else "count/s"


def _complete_exposure(header: fits.Header, name: str) -> None:
    exposure = number(header, "EXPOSURE", 0.0)
    if exposure <= 0:
        warn(
            f"the spectrum of {printable(name)} has no EXPOSURE; 1 s is written instead",
            CorruptDataWarning,
        )
        header["EXPOSURE"] = (1.0, "unknown")
    elif isinstance(header["EXPOSURE"], str):
        header["EXPOSURE"] = exposure


def _complete_dates(header: fits.Header) -> None:
    """Tell TSTART and TSTOP as dates, which are in the time scale of TIMESYS (FITS standard 4.0, 9.2.1)."""
    unit = _unit(str(header.get("TIMEUNIT") or ""))
    if unit is None or not unit.is_equivalent(u.day):
        return
    whole, fraction = time_reference(header)
    for key, edge in (("DATE-OBS", "TSTART"), ("DATE-END", "TSTOP")):
        days = number(header, edge, math.nan) * unit.to(u.day) + fraction
        # 1950 to 2150: anything else is no date of an observation
        if 33282 < whole + days < 106331:
            date = Time(whole, days, format="mjd", scale=time_scale(header))
            _set_missing(header, **{key: (date.isot, f"{date.scale.upper()}, as TIMESYS says")})


def _identify(header: fits.Header, like: Mapping[str, Any]) -> None:
    """Say which instrument it is, as in another header where this one does not know."""
    for key, unknown in (("TELESCOP", "UNKNOWN"), ("INSTRUME", "UNKNOWN"), ("FILTER", "none")):
        _set_missing(header, **{key: card_value(like, key) or unknown})


def _effective_area(hdu: Any, like: Mapping[str, Any]) -> fits.BinTableHDU:
    """Make an ARF extension (CAL/GEN/92-002)."""
    table = _table(hdu, "SPECRESP")
    _class(table.header, "RESPONSE", "SPECRESP", version="1.1.0")
    _identify(table.header, like)
    _convert(table, "keV", "ENERG_LO", "ENERG_HI")
    if _unit(table.columns["SPECRESP"].unit) is None and _is_one(table):
        # a factor: the area is in the matrix
        table.columns["SPECRESP"].unit = None
    else:
        _convert(table, "cm**2", "SPECRESP")
    return table


def _is_one(area: Any) -> bool:
    """Whether an effective area is 1 everywhere, which means that it is a factor, not an area."""
    return bool(len(area.data)) and bool(np.all(np.asarray(area.data["SPECRESP"]) == 1))


def _matrix(hdu: Any, area: Any, like: Mapping[str, Any], numbers: Numbering) -> fits.BinTableHDU:
    """Make the matrix of an RMF (CAL/GEN/92-002a), which is called otherwise where the area is in it."""
    instrument = card_value(hdu.header, "INSTRUME") or card_value(like, "INSTRUME") or ""
    stated = str(hdu.header.get("HDUCLAS3", "")).strip().upper()
    content = "FULL" if _has_area(hdu, area, str(instrument)) else stated if stated in _CONTENTS else "REDIST"
    name = "SPECRESP MATRIX" if content == "FULL" else "MATRIX"
    table = _table(hdu, name, shift=numbers.shifts["MATRIX"])
    table.header["HDUCLAS3"] = content
    _class(table.header, "RESPONSE", "RSP_MATRIX", content, version="1.3.0")
    _identify(table.header, like)
    _set_missing(table.header, CHANTYPE=card_value(like, "CHANTYPE") or "PI")
    _set_missing(table.header, ORIGNAME=hdu.name)
    _convert(table, "keV", "ENERG_LO", "ENERG_HI")
    _limit_channels(table, "MATRIX", numbers)
    return table


def _has_area(matrix: Any, area: Any, instrument: str) -> bool:
    """
    Whether a matrix contains the effective area.

    IBIS has it there (OSA 11); otherwise it shows by an ARF of 1, or by probabilities that sum up to more than 1, with
    a margin for rounding.
    """
    if instrument.strip().upper() == "IBIS" or (area is not None and _is_one(area)):
        return True
    values = matrix.data["MATRIX"]
    sums = [np.nansum(row) for row in values] if values.dtype.kind == "O" else np.nansum(values, axis=-1)
    return bool(np.max(sums, initial=0.0) > _LARGEST_SUM)


def _bounds(hdu: Any, like: Mapping[str, Any], numbers: Numbering) -> fits.BinTableHDU:
    table = _table(hdu, "EBOUNDS", shift=numbers.shifts["EBOUNDS"])
    _class(table.header, "RESPONSE", "EBOUNDS", version="1.2.0")
    _identify(table.header, like)
    _set_missing(table.header, CHANTYPE=card_value(like, "CHANTYPE") or "PI")
    _convert(table, "keV", "E_MIN", "E_MAX")
    _limit_channels(table, "EBOUNDS", numbers)
    return table


# ---- grouping ----


def _check_group(group: float | None) -> None:
    if group is None:
        return
    number = isinstance(group, Real) and not isinstance(group, bool | np.bool_)
    if not number or not 0 < group <= sys.float_info.max:
        raise ParameterError(
            f"group={printable(repr(group), limit=80)} has no meaning; "
            "allowed: an int above 0 (least counts per group) or a float above 0 (least signal to noise ratio)"
        )


def _check_systematic(systematic: float | None) -> None:
    if systematic is None:
        return
    number = isinstance(systematic, Real) and not isinstance(systematic, bool | np.bool_)
    if not number or not 0 <= systematic <= 1:
        raise ParameterError(
            f"systematic={printable(repr(systematic), limit=80)} has no meaning; "
            "allowed: a fraction from 0 to 1 (0.01 is 1 %)"
        )


def _grouping(value: np.ndarray, error: np.ndarray, quality: np.ndarray, group: float) -> tuple[np.ndarray, np.ndarray]:
    """Find GROUPING (1 opens a group, -1 continues it) and the QUALITY that goes with it (OGIP/92-007)."""
    grouping = np.ones(len(value), dtype=np.int16)
    quality = quality.copy()
    good = quality == _GOOD
    first, signal, variance = 0, 0.0, 0.0
    for channel in range(len(value)):
        if not good[channel]:
            # a group can't step over a channel: what was begun stays incomplete
            quality[first:channel] = _DUBIOUS
            first, signal, variance = channel + 1, 0.0, 0.0
            continue
        grouping[channel] = 1 if channel == first else -1
        signal += value[channel]
        variance += error[channel] ** 2
        if _enough(signal, variance, group):
            first, signal, variance = channel + 1, 0.0, 0.0
    quality[first:] = _DUBIOUS
    return grouping, quality


def _enough(signal: float, variance: float, group: float) -> bool:
    if isinstance(group, Integral):
        return signal >= group
    return variance > 0 and signal >= group * math.sqrt(variance)


# ---- tables and headers ----


def _has(hdu: Any, name: str) -> bool:
    return name in _names(hdu)


def _names(hdu: Any) -> list[str]:
    # column names of FITS have no case
    return [name.upper() for name in hdu.columns.names]


def _flags(hdu: Any, name: str) -> np.ndarray:
    """Read a column of flags, or what the keyword of that name says for all channels."""
    if _has(hdu, name):
        return np.array(hdu.data[name], dtype=np.int16)
    return np.full(len(hdu.data), int(number(hdu.header, name, 0)), dtype=np.int16)


def _table(hdu: Any, name: str, values: Mapping[str, np.ndarray] | None = None, *, shift: int = 0) -> fits.BinTableHDU:
    """Copy an extension for a file of its own, some columns set or added, and the channels in one counted anew."""
    changed = {key: fits.Column(key, _form(array), array=array) for key, array in (values or {}).items()}
    # in their old places, since TLMINn and the like go by number
    columns = [changed.pop(column.name.upper(), None) or _column(hdu, column, shift) for column in hdu.columns]
    header = _plain_header(hdu.header)
    return fits.BinTableHDU.from_columns([*columns, *changed.values()], header=header, name=name, ver=1)


def _column(hdu: Any, column: fits.Column, shift: int) -> fits.Column:
    # not column.copy(), whose result still tells the old header of its changes
    kept = {key: getattr(column, key) for key in ("format", "unit", "null", "bscale", "bzero", "disp", "dim")}
    name = column.name.upper()
    array = renumbered(hdu, name, shift) if shift and name in CHANNELS_IN.values() else hdu.data[column.name]
    if name in ("F_CHAN", "N_CHAN") and array.ndim == 1 and array.dtype.kind != "O":
        # one group per row, and so one number: still a vector, which gammapy counts on; the bytes are the same
        array, kept["dim"] = array[:, np.newaxis], "(1)"
    letter = column.format.lstrip("0123456789")[:1]
    if letter in "BIJK" and (array.dtype.kind == "f" or (array.dtype.kind in "iu" and name in _MEASURED)):
        # scaled, or perhaps to be converted to another unit: as whole numbers they would be cut off
        array = array.astype(float)
        kept |= {"format": f"{math.prod(array.shape[1:])}D", "null": None, "bscale": None, "bzero": None, "disp": None}
    return fits.Column(column.name, array=array, **kept)


def _form(values: np.ndarray) -> str:
    return "E" if values.dtype.kind == "f" else "I"


def _class(header: fits.Header, *classes: str | None, version: str) -> None:
    """Set the classes of OGIP that are missing, without those that are not known."""
    keys = ["HDUCLASS", *(f"HDUCLAS{number}" for number in range(1, len(classes) + 1)), "HDUVERS"]
    known = zip(keys, ("OGIP", *classes, version), strict=True)
    _set_missing(header, **{key: value for key, value in known if value is not None})


def _set_missing(header: fits.Header, **values: Any) -> None:
    """Set keywords, except those that the reply has."""
    for key, value in values.items():
        if is_missing(header.get(key)):
            header[key] = value


def _limit_channels(table: fits.BinTableHDU, role: str, numbers: Numbering) -> None:
    """Say from where to where the channels are counted."""
    lowest, highest, count = limits_of(table, CHANNELS_IN[role])
    table.header[lowest] = (numbers.first, "lowest legal channel number")
    table.header[highest] = (numbers.first + numbers.count - 1, "highest legal channel number")
    table.header[count] = numbers.count


def _convert(table: fits.BinTableHDU, unit: str, *names: str) -> None:
    """Convert columns to a unit; unknown ones stay."""
    for name in names:
        column = table.columns[name]
        given = _unit(column.unit)
        if given is not None and not given.is_equivalent(unit):
            raise DecodingError(f"{name} is in {printable(column.unit, limit=40)}, not in {unit} or the like")
        if given is not None and given != u.Unit(unit):
            table.data[name] = (np.asarray(table.data[name]) * given).to_value(u.Unit(unit))
        if given is not None or known_unit(column.unit or "1") is not None:
            column.unit = unit
