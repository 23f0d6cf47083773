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
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astroquery.exceptions import CorruptDataWarning

from ..errors import DecodingError, ParameterError, warn
from ..text import original, printable, transliterated
from ..units import known_unit
from .files import OutputDirectory, OutputFile, write_files
from .headers import add_date, number, time_reference, time_scale
from .provenance import creator
from .sources import match_source

__all__ = ["channel_table", "pick_sources", "spectra_files", "spectrum_table", "write_spectra"]

# QUALITY of a channel, OGIP/92-007
_GOOD, _BAD, _DUBIOUS = 0, 1, 2
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
        ``e_min``, ``e_max`` (keV, from EBOUNDS, matched by CHANNEL), ``rate`` and ``error`` (ct / (s keV),
        statistical errors), and ``quality`` (0 is good). Spectra in counts are divided by the exposure. ``meta`` is
        flat, with the keywords of the spectrum in capitals: ``SRC_NAME``, ``EXPOSURE`` (s), ``TELESCOP``, and so on.

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
    ...                                max_pointings=10, catalog=["MAXI J1820+070", "Ser X-1"])
    >>> table = spectrum_table(spectra, "Ser X-1")
    >>> table.colnames, str(table["rate"].unit)
    (['e_min', 'e_max', 'rate', 'error', 'quality'], 'ct / (keV s)')
    """
    sources = pick_sources(spectra, source)
    if len(sources) != 1:
        names = ", ".join(printable(name, limit=80) for _, name in sources) or "none"
        raise ParameterError(f"one source has to be named by source=; sources present: {names}")
    return channel_table(spectra, *sources[0])


def channel_table(spectra: fits.HDUList, number: int, name: str) -> Table:
    """Make the `spectrum_table` of a source as `pick_sources` gives it."""
    hdu = _find(spectra, "SPECTRUM", number)
    if hdu is None:
        raise DecodingError(f"there is no spectrum of {printable(name)}, only its responses")
    energies = _energies(spectra, number, name, np.asarray(hdu.data["CHANNEL"]))
    return _rates_per_energy(hdu, energies, name)


def _rates_per_energy(hdu: Any, energies: tuple[np.ndarray, np.ndarray], name: str) -> Table:
    e_min, e_max = energies
    value, error, in_counts = _values(hdu)
    scale = 1 / ((e_max - e_min) * (_exposure_of(hdu, name) if in_counts else 1.0))
    table = Table({"e_min": e_min * u.keV, "e_max": e_max * u.keV})
    table["rate"] = value * scale * u.Unit("ct / (s keV)")
    table["error"] = error * scale * u.Unit("ct / (s keV)")
    table["quality"] = _quality(hdu, value).astype(np.int64)
    table.meta = {"SRC_NAME": name, **{key: hdu.header[key] for key in ("EXPOSURE", *_META) if key in hdu.header}}
    return table


def _values(hdu: Any) -> tuple[np.ndarray, np.ndarray, bool]:
    """Values and errors per channel, and whether they are counts (else rates)."""
    in_counts = not _has(hdu, "RATE")
    if in_counts and not _has(hdu, "COUNTS"):
        raise DecodingError(f"the spectrum has neither RATE nor COUNTS, only {', '.join(hdu.columns.names)}")
    value = np.array(hdu.data["COUNTS" if in_counts else "RATE"], dtype=float)
    if _has(hdu, "STAT_ERR"):
        return value, np.array(hdu.data["STAT_ERR"], dtype=float), in_counts
    poisson = np.sqrt(np.maximum(value, 0)) if in_counts else np.full(value.shape, np.nan)
    return value, poisson, in_counts


def _exposure_of(hdu: Any, name: str) -> float:
    exposure = hdu.header.get("EXPOSURE")
    if not exposure:
        raise DecodingError(f"the spectrum of {printable(name)} is in counts and has no EXPOSURE to divide by")
    return float(exposure)


def _energies(spectra: fits.HDUList, number: int, name: str, channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bounds = _find(spectra, "EBOUNDS", number)
    if bounds is None:
        raise DecodingError(f"the spectrum of {printable(name)} came without the energies of its channels (EBOUNDS)")
    known = np.asarray(bounds.data["CHANNEL"])
    order = np.argsort(known)
    place = order[np.clip(np.searchsorted(known, channels, sorter=order), 0, len(known) - 1)]
    if not np.array_equal(known[place], channels):
        raise DecodingError(f"the spectrum of {printable(name)} has channels that are missing in its EBOUNDS")
    return _in_kev(bounds, "E_MIN")[place], _in_kev(bounds, "E_MAX")[place]


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
        out.
    systematic : float, optional
        Systematic error as a fraction of the value (0.01 is 1 %), for the column SYS_ERR of all channels.
    overwrite : bool
        Whether files of these names may be replaced.

    Returns
    -------
    `~astropy.table.Table`
        One row per file: ``path``, ``source``, ``kind`` (``spectrum``, ``arf``, ``rmf``) and ``size`` (bytes).

    Raises
    ------
    ParameterError
        If ``group`` or ``systematic`` has no meaning for these spectra.
    FileExistsError
        If files are there already and ``overwrite`` is False.
    OSError
        If writing failed, a full disk among other things.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, write_spectra
    >>> spectra = Mmoda.query_spectrum("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58246.892),
    ...                                max_pointings=10, catalog=["MAXI J1820+070", "Ser X-1"])
    >>> files = write_spectra(spectra, "spectra", systematic=0.01)
    >>> files["path", "kind"][3:].pprint()
              path            kind
    ----------------------- --------
    spectra/SerX-1_pha.fits spectrum
    spectra/SerX-1_arf.fits      arf
    spectra/SerX-1_rmf.fits      rmf
    """
    output = OutputDirectory(directory, overwrite=overwrite)
    return write_files(output, spectra_files(spectra, output, group=group, systematic=systematic))


def spectra_files(
    spectra: fits.HDUList, output: OutputDirectory, *, group: float | None = None, systematic: float | None = None
) -> list[OutputFile]:
    """Make the files of `write_spectra`, with names reserved in a directory, without writing them."""
    _check_group(group)
    _check_systematic(systematic)
    return [
        OutputFile(path, name, kind, _writer(hdulist))
        for number, name in pick_sources(spectra)
        for path, kind, hdulist in _source_files(spectra, number, name, output, group=group, systematic=systematic)
    ]


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
) -> list[tuple[Any, str, fits.HDUList]]:
    """Path, kind and content of each file of one source."""
    parts = {
        "spectrum": _find(spectra, "SPECTRUM", number),
        "arf": _find(spectra, "SPECRESP", number),
        "rmf": _find(spectra, "MATRIX", number),
    }
    present = {kind: hdu for kind, hdu in parts.items() if hdu is not None}
    paths = output.reserve(name, *(_ENDINGS[kind] for kind in present), default=f"source_{number}")
    path_of = dict(zip(present, paths, strict=True))
    contents = {}
    if "spectrum" in present:
        spectrum = _spectrum(present["spectrum"], spectra[0].header, name, group=group, systematic=systematic)
        spectrum.header["RESPFILE"] = (_bare(path_of, "rmf"), "redistribution matrix")
        spectrum.header["ANCRFILE"] = (_bare(path_of, "arf"), "effective area")
        contents["spectrum"] = [spectrum]
    if "arf" in present:
        contents["arf"] = [_effective_area(present["arf"], present.get("spectrum"))]
    if "rmf" in present:
        contents["rmf"] = _redistribution(present["rmf"], _find(spectra, "EBOUNDS", number), present.get("spectrum"))
    return [(path_of[kind], kind, _file(spectra[0].header, hdus)) for kind, hdus in contents.items()]


def _bare(paths: dict[str, Any], kind: str) -> str:
    return paths[kind].name if kind in paths else "none"


def _file(provenance: fits.Header, hdus: Sequence[Any]) -> fits.HDUList:
    """Make a file of some tables; its primary says where they are from, as the one of the query did."""
    primary = fits.PrimaryHDU(header=_plain_header(provenance))
    primary.header.setdefault("CREATOR", creator())
    add_date(primary.header)
    return fits.HDUList([primary, *hdus])


def _plain_header(header: fits.Header) -> fits.Header:
    plain = header.copy(strip=True)
    for key in ("CHECKSUM", "DATASUM"):
        plain.remove(key, ignore_missing=True, remove_all=True)
    return plain


# ---- the three kinds of extension ----


def _spectrum(
    hdu: Any, provenance: fits.Header, name: str, *, group: float | None, systematic: float | None
) -> fits.BinTableHDU:
    """Make a PHA extension (OGIP/92-007a, HDUVERS 1.2): every mandatory keyword is there, others stay."""
    value, error, in_counts = _values(hdu)
    quality = _quality(hdu, value)
    changed = {"QUALITY": quality} if _has(hdu, "QUALITY") or quality.any() else {}
    if group is not None:
        if isinstance(group, Integral) and not in_counts:
            raise ParameterError(
                f"group={group} asks for counts, but the spectrum of {printable(name)} is in count rates; "
                f"give the least signal to noise as a float, such as group={float(group)}"
            )
        changed["GROUPING"], changed["QUALITY"] = _grouping(value, error, quality, group)
    if systematic is not None:
        changed["SYS_ERR"] = np.full(len(value), float(systematic))
    table = _table(hdu, "SPECTRUM", changed)
    _complete_spectrum(table, provenance, name)
    return table


def _complete_spectrum(table: fits.BinTableHDU, provenance: fits.Header, name: str) -> None:
    header = table.header
    in_counts = not _has(table, "RATE")
    channels = np.asarray(table.data["CHANNEL"])
    # readers choose the column by HDUCLAS3
    header["HDUCLAS3"] = "COUNT" if in_counts else "RATE"
    _class(header, "SPECTRUM", "NET", header["HDUCLAS3"], "TYPE:I", version="1.2.1")
    _identify(header, {})
    _set_missing(header, CHANTYPE="PI", OBJECT=transliterated(name), DETCHANS=len(channels))
    # several science windows make one spectrum: what they have in common is the job
    _set_missing(header, OBS_ID=provenance.get("OBS_ID") or provenance.get("JOB_ID") or "UNKNOWN")
    _complete_exposure(header, name)
    _complete_dates(header)
    for column in table.columns:
        if column.name.upper() in ("RATE", "COUNTS", "STAT_ERR") and not column.unit:
            column.unit = "count" if in_counts else "count/s"
    # these may be columns, each channel having its own
    numbers = {"AREASCAL": 1.0, "BACKSCAL": 1.0, "CORRSCAL": 0.0, "SYS_ERR": 0.0, "QUALITY": 0, "GROUPING": 0}
    for key, value in numbers.items():
        if _has(table, key):
            header.remove(key, ignore_missing=True)
        else:
            _set_missing(header, **{key: value})
    header["BACKFILE"] = header["CORRFILE"] = "none"
    _set_missing(header, POISSERR=not _has(table, "STAT_ERR"))
    if not in_counts:
        header["POISSERR"] = False
    _set_limits(table, "CHANNEL", int(channels.min(initial=0)), int(channels.max(initial=0)))


def _complete_exposure(header: fits.Header, name: str) -> None:
    if not header.get("EXPOSURE"):
        warn(
            f"the spectrum of {printable(name)} has no EXPOSURE; 1 s is written instead",
            CorruptDataWarning,
        )
        header["EXPOSURE"] = (1.0, "unknown")


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


def _identify(header: fits.Header, like: Any) -> None:
    """Say which instrument it is, as in another header where this one does not know."""
    for key, unknown in (("TELESCOP", "UNKNOWN"), ("INSTRUME", "UNKNOWN"), ("FILTER", "none")):
        _set_missing(header, **{key: like.get(key) or unknown})


def _effective_area(hdu: Any, spectrum: Any) -> fits.BinTableHDU:
    """Make an ARF extension (CAL/GEN/92-002)."""
    table = _table(hdu, "SPECRESP")
    _class(table.header, "RESPONSE", "SPECRESP", version="1.1.0")
    _identify(table.header, {} if spectrum is None else spectrum.header)
    _convert(table, "keV", "ENERG_LO", "ENERG_HI")
    _convert(table, "cm**2", "SPECRESP")
    return table


def _redistribution(matrix: Any, bounds: Any, spectrum: Any) -> list[fits.BinTableHDU]:
    """Make the extensions of an RMF (CAL/GEN/92-002a)."""
    like = {} if spectrum is None else spectrum.header
    tables = [_bounds(bounds, like)] if bounds is not None else []
    table = _table(matrix, "MATRIX")
    # the area is in a file of its own, hence REDIST and not FULL
    _class(table.header, "RESPONSE", "RSP_MATRIX", "REDIST", version="1.3.0")
    _identify(table.header, like)
    _set_missing(table.header, CHANTYPE=like.get("CHANTYPE", "PI"))
    _convert(table, "keV", "ENERG_LO", "ENERG_HI")
    if tables:
        channels = np.asarray(tables[0].data["CHANNEL"])
        _set_missing(table.header, DETCHANS=len(channels))
        # readers count the rows of the matrix from here; without it they take 1
        _set_limits(table, "F_CHAN", int(channels.min(initial=0)), int(channels.max(initial=0)))
    return [*tables, table]


def _bounds(hdu: Any, like: Any) -> fits.BinTableHDU:
    table = _table(hdu, "EBOUNDS")
    channels = np.asarray(table.data["CHANNEL"])
    _class(table.header, "RESPONSE", "EBOUNDS", version="1.2.0")
    _identify(table.header, like)
    _set_missing(table.header, CHANTYPE=like.get("CHANTYPE", "PI"), DETCHANS=len(channels))
    _set_limits(table, "CHANNEL", int(channels.min(initial=0)), int(channels.max(initial=0)))
    _convert(table, "keV", "E_MIN", "E_MAX")
    return table


# ---- grouping ----


def _check_group(group: float | None) -> None:
    if group is None:
        return
    number = isinstance(group, Real) and not isinstance(group, bool | np.bool_)
    if not number or not math.isfinite(group) or group <= 0:
        raise ParameterError(
            f"group={group!r} has no meaning; allowed: an int above 0 (least counts per group) "
            "or a float above 0 (least signal to noise ratio)"
        )


def _check_systematic(systematic: float | None) -> None:
    if systematic is None:
        return
    number = isinstance(systematic, Real) and not isinstance(systematic, bool | np.bool_)
    if not number or not 0 <= systematic <= 1:
        raise ParameterError(f"systematic={systematic!r} has no meaning; allowed: a fraction from 0 to 1 (0.01 is 1 %)")


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
    return np.full(len(hdu.data), hdu.header.get(name, 0), dtype=np.int16)


def _quality(hdu: Any, value: np.ndarray) -> np.ndarray:
    """QUALITY of each channel; those without a value are bad."""
    quality = _flags(hdu, "QUALITY")
    quality[(quality == _GOOD) & ~np.isfinite(value)] = _BAD
    return quality


def _table(hdu: Any, name: str, values: dict[str, np.ndarray] | None = None) -> fits.BinTableHDU:
    """Copy an extension for a file of its own, some columns set or added."""
    changed = {key: fits.Column(key, _form(array), array=array) for key, array in (values or {}).items()}
    # in their old places, since TLMINn and the like go by number
    columns = [changed.pop(column.name.upper(), None) or _column(hdu, column) for column in hdu.columns]
    header = _plain_header(hdu.header)
    return fits.BinTableHDU.from_columns([*columns, *changed.values()], header=header, name=name, ver=1)


def _column(hdu: Any, column: fits.Column) -> fits.Column:
    # not column.copy(), whose result still tells the old header of its changes
    kept = {key: getattr(column, key) for key in ("format", "unit", "null", "bscale", "bzero", "disp", "dim")}
    array = hdu.data[column.name]
    if column.name.upper() in ("F_CHAN", "N_CHAN") and array.ndim == 1 and array.dtype.kind != "O":
        # one group per row, and so one number: still a vector, which gammapy counts on; the bytes are the same
        array, kept["dim"] = array[:, np.newaxis], "(1)"
    return fits.Column(column.name, array=array, **kept)


def _form(values: np.ndarray) -> str:
    return "E" if values.dtype.kind == "f" else "I"


def _class(header: fits.Header, *classes: str, version: str) -> None:
    keys = ["HDUCLASS", *(f"HDUCLAS{number}" for number in range(1, len(classes) + 1)), "HDUVERS"]
    _set_missing(header, **dict(zip(keys, ("OGIP", *classes, version), strict=True)))


def _set_missing(header: fits.Header, **values: Any) -> None:
    """Set keywords, except those that the reply has."""
    for key, value in values.items():
        if header.get(key) in (None, "") or isinstance(header[key], fits.card.Undefined):
            header[key] = value


def _set_limits(table: fits.BinTableHDU, column: str, least: int, most: int) -> None:
    """Legal values of a column that holds channel numbers."""
    place = _names(table).index(column) + 1
    _set_missing(table.header, **{f"TLMIN{place}": least, f"TLMAX{place}": most})


def _convert(table: fits.BinTableHDU, unit: str, *names: str) -> None:
    for name in names:
        column = table.columns[name]
        given = _unit(column.unit)
        if given is not None and given != u.Unit(unit):
            table.data[name] = (np.asarray(table.data[name]) * given).to_value(u.Unit(unit))
        if given is not None or not column.unit:
            column.unit = unit
