# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Spectra as files for XSPEC, Sherpa and similar tools.

The files follow the OGIP memos 92-007 and 92-007a (spectra, "PHA") and the calibration memos CAL/GEN/92-002 and 92-002a
(effective areas, "ARF", and redistribution matrices, "RMF"). The HDUs that they are made of stay as they are.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astroquery.exceptions import CorruptDataWarning, InputWarning

from ...errors import MmodaError, reading, warn
from ...instruments import is_deconvolved
from ...text import printable, transliterated
from ...units import known_unit
from ..cards import PROVENANCE_CARDS, add_date, card_value, drop_missing, is_missing, number
from ..channels import CHANNELS_IN, Numbering, limits_of, renumbered
from ..fluxpoints import find_flux_hdu, points_of_hdu
from ..spectrum import ROLES
from .ecsvfiles import ecsv_of
from .output import OutputDirectory, OutputFile, manifest_of, write_files
from .spectrumtable import (
    ChannelValues,
    SpectrumOptions,
    check_columns,
    count_columns,
    has_column,
    pick_sources,
    unit_factor,
)

#: which tables are in a file of a kind, in their order
TABLES_IN = {"spectrum": ("SPECTRUM",), "arf": ("SPECRESP",), "rmf": ("EBOUNDS", "MATRIX")}
_ENDINGS = {"spectrum": "_pha.fits", "arf": "_arf.fits", "rmf": "_rmf.fits"}
# a matrix has in it: redistribution only, the detector's efficiency as well, or all (CAL/GEN/92-002a)
_CONTENTS = ("REDIST", "DETECTOR", "FULL")
_LARGEST_SUM = 1.5
# columns that have a unit
_MEASURED = {"RATE", "STAT_ERR", "SPECRESP", "ENERG_LO", "ENERG_HI", "E_MIN", "E_MAX"}
# what each spectrum has to say; some of it may be columns
_MANDATORY = {
    **{"HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "HDUCLAS4": "TYPE:I", "HDUVERS": "1.2.1", "CHANTYPE": "PI"},
    **{"TELESCOP": "UNKNOWN", "INSTRUME": "UNKNOWN", "FILTER": "none"},
    **{"AREASCAL": 1.0, "BACKSCAL": 1.0, "CORRSCAL": 0.0, "SYS_ERR": 0.0, "QUALITY": 0, "GROUPING": 0},
}
# HDUCLAS2, the version of the convention, and columns of energies
_RESPONSES = {
    "SPECRESP": ("SPECRESP", "1.1.0", ("ENERG_LO", "ENERG_HI")),
    "EBOUNDS": ("EBOUNDS", "1.2.0", ("E_MIN", "E_MAX")),
    "MATRIX": ("RSP_MATRIX", "1.3.0", ("ENERG_LO", "ENERG_HI")),
}


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
    checked before the first file is written, and each file appears only when it is complete. Flux points, which have no
    response, become one ECSV table with units, ``<name>.ecsv``, whose ``meta`` says which column is what.

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
        and the reason in ``error``.
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
    output, options = OutputDirectory(directory, overwrite=overwrite), SpectrumOptions(group, systematic)
    files: list[OutputFile] = []
    for ver, name in pick_sources(spectra):
        if flux_hdu := find_flux_hdu(spectra, ver):
            files.append(_flux_file(flux_hdu, spectra[0].header, name, output))
            options.refuse(name, "it came as flux points, which have no channels and no counts")
            continue
        tables = {role: spectra[role, ver] for role in ROLES if (role, ver) in spectra}
        try:
            with reading("spectrum"):
                contents, _ = ogip_tables(tables, spectra[0].header, name, options)
                files += ogip_files(contents, spectra[0].header, name, output, default=f"source_{ver}")
        except MmodaError as error:
            files.append(OutputFile(name, "spectrum", error=error))
    if not files and len(spectra) > 1:  # not the empty form of a query without results
        warn("There is no spectrum in this HDUList; no file was written.", InputWarning)
    options.report()
    write_files(output, files)
    return manifest_of(output.directory, files)


def _flux_file(hdu: Any, provenance: fits.Header, name: str, output: OutputDirectory) -> OutputFile:
    """Flux points as ECSV, which keeps units, and has no response."""
    origin = {key.lower(): provenance[key] for key in PROVENANCE_CARDS if key in provenance}
    content, _ = ecsv_of(points_of_hdu(hdu), origin)
    (path,) = output.reserve(name, ".ecsv", default=f"source_{hdu.ver}")
    return OutputFile(name, "spectrum", content, path)


def ogip_files(
    contents: Mapping[str, Sequence[Any]], provenance: fits.Header, name: str, output: OutputDirectory, *, default: str
) -> list[OutputFile]:
    """Make files of these extensions, with names reserved in a directory; ``default`` is one for a nameless source."""
    reserved = output.reserve(name, *(_ENDINGS[kind] for kind in contents), default=default)
    paths = dict(zip(contents, reserved, strict=True))
    if "spectrum" in contents:
        header = contents["spectrum"][0].header
        header["RESPFILE"] = (paths["rmf"].name if "rmf" in paths else "none", "redistribution matrix")
        header["ANCRFILE"] = (paths["arf"].name if "arf" in paths else "none", "effective area")
    return [OutputFile(name, kind, _ogip_file(provenance, hdus), paths[kind]) for kind, hdus in contents.items()]


def _ogip_file(provenance: fits.Header, hdus: Sequence[Any]) -> fits.HDUList:
    """Make a file of some tables; its primary says where they are from, as the one of the query did."""
    primary = fits.PrimaryHDU(header=_plain_header(provenance))
    add_date(primary.header)
    for hdu in hdus:
        drop_missing(hdu.header, words=False)  # such as TUNIT of a column that lost its unit
    return fits.HDUList([primary, *hdus])


# ---- extensions of the files


def ogip_tables(
    tables: Mapping[str, Any], provenance: fits.Header, name: str, options: SpectrumOptions
) -> tuple[dict[str, list[Any]], Numbering]:
    """
    Make the extensions of each kind of file, of tables of one source by their roles; and how channels are numbered.

    `DecodingError` if one of the tables can't be used.
    """
    for role, hdu in tables.items():
        check_columns(hdu, role)
    numbers = Numbering.of(tables)
    like = tables["SPECTRUM"].header if "SPECTRUM" in tables else {}
    made: dict[str, list[Any]] = {}
    if "SPECTRUM" in tables:
        made["spectrum"] = [_spectrum(tables["SPECTRUM"], provenance, name, numbers, options)]
    if "SPECRESP" in tables:
        made["arf"] = [_effective_area(tables["SPECRESP"], like, numbers)]
    if "MATRIX" in tables:
        bounds = [_response(tables["EBOUNDS"], "EBOUNDS", like, numbers)] if "EBOUNDS" in tables else []
        made["rmf"] = [*bounds, _matrix(tables["MATRIX"], tables.get("SPECRESP"), like, numbers)]
    return made, numbers


def _plain_header(header: fits.Header) -> fits.Header:
    """Copy of a header for other data, without cards that lack a value."""
    plain = header.copy(strip=True)
    drop_missing(plain)  # Sherpa refuses cards without a value, and words of templates mislead
    return plain


# ---- the kinds of extension


def _spectrum(
    hdu: Any, provenance: fits.Header, name: str, numbers: Numbering, options: SpectrumOptions
) -> fits.BinTableHDU:
    """Make a PHA extension (OGIP/92-007a, HDUVERS 1.2): every mandatory keyword is there, others stay."""
    values = ChannelValues.of(hdu)
    changed = {"QUALITY": values.quality} if has_column(hdu, "QUALITY") or values.quality.any() else {}
    table = _file_table(hdu, "SPECTRUM", changed | options.columns(values, name))
    factors, unit = count_columns(table)
    _convert(table, unit, factors)
    _limit_channels(table, "SPECTRUM", numbers)
    header, has_errors = table.header, has_column(table, "STAT_ERR")
    # readers choose the column by HDUCLAS3
    header["HDUCLAS3"] = "COUNT" if values.in_counts else "RATE"
    if is_deconvolved(str(header.get("INSTRUME", ""))):
        header["HDUCLAS2"] = ("NET", "background was separated by the coded mask")
    exposure = number(header, "EXPOSURE", 0.0)
    header["EXPOSURE"] = exposure if exposure > 0 else (1.0, "unknown")
    if exposure <= 0:
        warn(f"the spectrum of {printable(name)} has no EXPOSURE; 1 s is written instead", CorruptDataWarning)
    # several science windows make one spectrum: what they have in common is the job
    observation = card_value(provenance, "OBS_ID") or card_value(provenance, "JOB_ID") or "UNKNOWN"
    _set_missing(header, **_MANDATORY, OBJECT=transliterated(name), OBS_ID=observation)
    for column in table.columns.names:
        header.remove(column, ignore_missing=True)  # each channel has its own
    header["BACKFILE"] = header["CORRFILE"] = "none"
    if not isinstance(header.get("POISSERR"), bool) or (has_errors and not values.in_counts):
        header["POISSERR"] = values.in_counts and not has_errors and not number(header, "STAT_ERR", 0.0)
    return table


def _response(
    hdu: Any, role: str, like: Mapping[str, Any], numbers: Numbering, name: str | None = None
) -> fits.BinTableHDU:
    """Make an extension of a response (CAL/GEN/92-002 and 92-002a), of the instrument that a spectrum is of."""
    table = _file_table(hdu, name or role, {}, shift=numbers.shifts.get(role, 0))
    hduclas2, version, energies = _RESPONSES[role]
    _set_missing(table.header, HDUCLASS="OGIP", HDUCLAS1="RESPONSE", HDUCLAS2=hduclas2, HDUVERS=version)
    names = ("TELESCOP", "INSTRUME", "FILTER")
    _set_missing(table.header, **{key: card_value(like, key) or _MANDATORY[key] for key in names})
    _convert(table, "keV", {name: unit_factor(table, name, "keV") for name in energies})
    if role in CHANNELS_IN:
        _set_missing(table.header, CHANTYPE=card_value(like, "CHANTYPE") or "PI")
        _limit_channels(table, role, numbers)
    return table


def _effective_area(hdu: Any, like: Mapping[str, Any], numbers: Numbering) -> fits.BinTableHDU:
    table = _response(hdu, "SPECRESP", like, numbers)
    factor = unit_factor(table, "SPECRESP", "cm**2")
    # an area of 1 is a factor: the area is in the matrix
    is_area = known_unit(table.columns["SPECRESP"].unit) == u.cm**2 or factor != 1 or not _is_one(table)
    _convert(table, "cm**2" if is_area else None, {"SPECRESP": factor})
    return table


def _is_one(area: Any) -> bool:
    """Whether an effective area is 1 everywhere, which means that it is a factor, not an area."""
    return bool(len(area.data)) and bool(np.all(np.asarray(area.data["SPECRESP"]) == 1))


def _matrix(hdu: Any, area: Any, like: Mapping[str, Any], numbers: Numbering) -> fits.BinTableHDU:
    """Make the matrix of an RMF, which has another name where the effective area is in it."""
    instrument = card_value(hdu.header, "INSTRUME") or card_value(like, "INSTRUME") or ""
    stated = str(hdu.header.get("HDUCLAS3", "")).strip().upper()
    content = "FULL" if _has_area(hdu, area, str(instrument)) else stated if stated in _CONTENTS else "REDIST"
    table = _response(hdu, "MATRIX", like, numbers, "SPECRESP MATRIX" if content == "FULL" else "MATRIX")
    table.header["HDUCLAS3"] = content
    return table


def _has_area(matrix: Any, area: Any, instrument: str) -> bool:
    """Whether a matrix contains the effective area: of IBIS (OSA 11), beside an ARF of 1, or by its sums."""
    if instrument.strip().upper() == "IBIS" or (area is not None and _is_one(area)):
        return True
    values = matrix.data["MATRIX"]
    sums = [np.nansum(row) for row in values] if values.dtype.kind == "O" else np.nansum(values, axis=-1)
    return bool(np.max(sums, initial=0.0) > _LARGEST_SUM)


# ---- tables and headers


def _file_table(hdu: Any, name: str, values: Mapping[str, np.ndarray], *, shift: int = 0) -> fits.BinTableHDU:
    """Copy an extension for a file of its own, some columns set or added, and the channels in one counted anew."""
    changed = {
        key: fits.Column(key, "E" if array.dtype.kind == "f" else "I", array=array) for key, array in values.items()
    }
    # in their old places, since TLMINn and the like go by number
    columns = [changed.pop(column.name.upper(), None) or _file_column(hdu, column, shift) for column in hdu.columns]
    header = _plain_header(hdu.header)
    return fits.BinTableHDU.from_columns([*columns, *changed.values()], header=header, name=name, ver=1)


def _file_column(hdu: Any, column: fits.Column, shift: int) -> fits.Column:
    # not column.copy(), whose changes would reach the old header
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
        kept |= {"format": f"{math.prod(array.shape[1:])}D", **dict.fromkeys(("null", "bscale", "bzero", "disp"))}
    return fits.Column(column.name, array=array, **kept)


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


def _convert(table: fits.BinTableHDU, unit: str | None, factors: Mapping[str, float]) -> None:
    """Convert columns to a unit by these factors."""
    for name, factor in factors.items():
        if factor != 1:
            table.data[name] = np.asarray(table.data[name]) * factor
        table.columns[name].unit = unit
