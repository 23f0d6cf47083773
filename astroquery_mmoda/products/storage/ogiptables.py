# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Extensions of OGIP files: spectra (OGIP/92-007a), effective areas and redistribution matrices (CAL/GEN/92-002a).

The HDUs that they are made of stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.time import Time
from astroquery.exceptions import CorruptDataWarning

from ...errors import DecodingError, warn
from ...instruments import is_deconvolved
from ...text import printable, transliterated
from ...units import known_unit
from ..cards import (
    card_value,
    drop_missing,
    is_missing,
    number,
    time_reference,
    time_system,
)
from ..channels import CHANNELS_IN, Numbering, limits_of, renumbered
from .grouping import SpectrumOptions
from .spectrumtable import (
    ChannelValues,
    check_columns,
    count_factors,
    has_column,
    is_in_counts,
    unit_of,
)

# a matrix has in it: redistribution only, the detector's efficiency as well, or all (CAL/GEN/92-002a)
_CONTENTS = ("REDIST", "DETECTOR", "FULL")
_LARGEST_SUM = 1.5
# columns that have a unit
_MEASURED = {"RATE", "STAT_ERR", "SPECRESP", "ENERG_LO", "ENERG_HI", "E_MIN", "E_MAX"}
_ENERGIES = {
    "SPECRESP": ("ENERG_LO", "ENERG_HI"),
    "EBOUNDS": ("E_MIN", "E_MAX"),
    "MATRIX": ("ENERG_LO", "ENERG_HI"),
}
# HDUCLAS2, and the version of the convention
_CLASSES = {"SPECRESP": ("SPECRESP", "1.1.0"), "EBOUNDS": ("EBOUNDS", "1.2.0"), "MATRIX": ("RSP_MATRIX", "1.3.0")}


def numbering(tables: Mapping[str, Any]) -> Numbering:
    """How the channels are numbered in files of these tables, by their roles; `DecodingError` if one can't be used."""
    for role, hdu in tables.items():
        check_columns(hdu, role)
    return Numbering.of(tables)


def ogip_tables(
    tables: Mapping[str, Any], numbers: Numbering, provenance: fits.Header, name: str, options: SpectrumOptions
) -> dict[str, list[Any]]:
    """
    Make the extensions of each kind of file.

    Parameters
    ----------
    tables : mapping
        SPECTRUM, SPECRESP, EBOUNDS and MATRIX of one source, as far as they came.
    numbers : Numbering
        That of the files.
    provenance : Header
        Primary header of the query.
    name : str
        Name of the source.
    options : SpectrumOptions
        Groups and systematic error.
    """
    like = tables["SPECTRUM"].header if "SPECTRUM" in tables else {}
    made: dict[str, list[Any]] = {}
    if "SPECTRUM" in tables:
        made["spectrum"] = [_spectrum(tables["SPECTRUM"], provenance, name, numbers, options)]
    if "SPECRESP" in tables:
        made["arf"] = [_effective_area(tables["SPECRESP"], like, numbers)]
    if "MATRIX" in tables:
        bounds = [_response(tables["EBOUNDS"], "EBOUNDS", like, numbers)] if "EBOUNDS" in tables else []
        made["rmf"] = [*bounds, _matrix(tables["MATRIX"], tables.get("SPECRESP"), like, numbers)]
    return made


def plain_header(header: fits.Header) -> fits.Header:
    """Copy of a header without sums and without cards that lack a value."""
    plain = header.copy(strip=True)
    for key in ("CHECKSUM", "DATASUM"):
        plain.remove(key, ignore_missing=True, remove_all=True)
    drop_missing(plain)  # Sherpa refuses cards without a value, and words of templates mislead
    return plain


# ---- the kinds of extension


def _spectrum(
    hdu: Any, provenance: fits.Header, name: str, numbers: Numbering, options: SpectrumOptions
) -> fits.BinTableHDU:
    """Make a PHA extension (OGIP/92-007a, HDUVERS 1.2): every mandatory keyword is there, others stay."""
    values = ChannelValues.of(hdu)
    changed = {"QUALITY": values.quality} if has_column(hdu, "QUALITY") or values.quality.any() else {}
    table = _table(hdu, "SPECTRUM", changed | options.columns(values, name))
    _state_counts(table)
    _limit_channels(table, "SPECTRUM", numbers)
    header, has_errors = table.header, has_column(table, "STAT_ERR")
    _identify(header, {})
    # readers choose the column by HDUCLAS3
    header["HDUCLAS3"] = "COUNT" if values.in_counts else "RATE"
    _set_missing(header, HDUCLASS="OGIP", HDUCLAS1="SPECTRUM", HDUCLAS4="TYPE:I", HDUVERS="1.2.1")
    if is_deconvolved(str(header["INSTRUME"])):
        header["HDUCLAS2"] = ("NET", "background was separated by the coded mask")
    # several science windows make one spectrum: what they have in common is the job
    observation = card_value(provenance, "OBS_ID") or card_value(provenance, "JOB_ID") or "UNKNOWN"
    _set_missing(header, CHANTYPE="PI", OBJECT=transliterated(name), OBS_ID=observation)
    exposure = number(header, "EXPOSURE", 0.0)
    header["EXPOSURE"] = exposure if exposure > 0 else (1.0, "unknown")
    if exposure <= 0:
        warn(f"the spectrum of {printable(name)} has no EXPOSURE; 1 s is written instead", CorruptDataWarning)
    _complete_dates(header)
    # these may be columns, each channel having its own
    constants = {"AREASCAL": 1.0, "BACKSCAL": 1.0, "CORRSCAL": 0.0, "SYS_ERR": 0.0, "QUALITY": 0, "GROUPING": 0}
    for key, value in constants.items():
        if has_column(table, key):
            header.remove(key, ignore_missing=True)
        else:
            _set_missing(header, **{key: value})
    header["BACKFILE"] = header["CORRFILE"] = "none"
    if not isinstance(header.get("POISSERR"), bool) or (has_errors and not values.in_counts):
        header["POISSERR"] = values.in_counts and not has_errors and not number(header, "STAT_ERR", 0.0)
    return table


def _state_counts(table: fits.BinTableHDU) -> None:
    """Give values and errors the unit that OGIP wants for them."""
    unit = "count" if is_in_counts(table) else "count/s"
    for column, factor in count_factors(table).items():
        if factor != 1:
            table.data[column] = np.asarray(table.data[column]) * factor
        table.columns[column].unit = unit


def _complete_dates(header: fits.Header) -> None:
    """Write TSTART and TSTOP as dates, which are in the time scale of TIMESYS (FITS standard 4.0, 9.2.1)."""
    unit = known_unit(str(header.get("TIMEUNIT") or ""))
    if unit is None or not unit.is_equivalent(u.day):
        return
    whole, fraction = time_reference(header) or (0.0, 0.0)
    for key, edge in (("DATE-OBS", "TSTART"), ("DATE-END", "TSTOP")):
        days = number(header, edge, math.nan) * unit.to(u.day) + fraction
        # 1950 to 2150: anything else is not the date of an observation
        if 33282 < whole + days < 106331:
            date = Time(whole, days, format="mjd", scale=time_system(header).scale)
            _set_missing(header, **{key: (date.isot, f"{date.scale.upper()}, as TIMESYS says")})


def _response(
    hdu: Any, role: str, like: Mapping[str, Any], numbers: Numbering, name: str | None = None
) -> fits.BinTableHDU:
    """Make an extension of a response (CAL/GEN/92-002 and 92-002a), of the instrument that a spectrum is of."""
    table = _table(hdu, name or role, shift=numbers.shifts.get(role, 0))
    hduclas2, version = _CLASSES[role]
    _set_missing(table.header, HDUCLASS="OGIP", HDUCLAS1="RESPONSE", HDUCLAS2=hduclas2, HDUVERS=version)
    _identify(table.header, like)
    _convert(table, "keV", *_ENERGIES[role])
    if role in CHANNELS_IN:
        _set_missing(table.header, CHANTYPE=card_value(like, "CHANTYPE") or "PI")
        _limit_channels(table, role, numbers)
    return table


def _effective_area(hdu: Any, like: Mapping[str, Any], numbers: Numbering) -> fits.BinTableHDU:
    table = _response(hdu, "SPECRESP", like, numbers)
    if unit_of(table, "SPECRESP") is None and _is_one(table):
        # a factor: the area is in the matrix
        table.columns["SPECRESP"].unit = None
    else:
        _convert(table, "cm**2", "SPECRESP")
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
    _set_missing(table.header, ORIGNAME=hdu.name)
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


def _identify(header: fits.Header, like: Mapping[str, Any]) -> None:
    """Say which instrument it is, as in another header where this one does not know."""
    for key, unknown in (("TELESCOP", "UNKNOWN"), ("INSTRUME", "UNKNOWN"), ("FILTER", "none")):
        _set_missing(header, **{key: card_value(like, key) or unknown})


# ---- tables and headers


def _table(hdu: Any, name: str, values: Mapping[str, np.ndarray] | None = None, *, shift: int = 0) -> fits.BinTableHDU:
    """Copy an extension for a file of its own, some columns set or added, and the channels in one counted anew."""
    changed = {
        key: fits.Column(key, "E" if array.dtype.kind == "f" else "I", array=array)
        for key, array in (values or {}).items()
    }
    # in their old places, since TLMINn and the like go by number
    columns = [changed.pop(column.name.upper(), None) or _column(hdu, column, shift) for column in hdu.columns]
    header = plain_header(hdu.header)
    return fits.BinTableHDU.from_columns([*columns, *changed.values()], header=header, name=name, ver=1)


def _column(hdu: Any, column: fits.Column, shift: int) -> fits.Column:
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
        kept |= {"format": f"{math.prod(array.shape[1:])}D", "null": None, "bscale": None, "bzero": None, "disp": None}
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


def _convert(table: fits.BinTableHDU, unit: str, *names: str) -> None:
    """Convert columns to a unit; unknown ones stay."""
    for name in names:
        column, given = table.columns[name], unit_of(table, name)
        if given is not None and not given.is_equivalent(unit):
            raise DecodingError(f"{name} is in {printable(column.unit, limit=40)}, not in {unit} or the like")
        if given is not None and given != u.Unit(unit):
            table.data[name] = (np.asarray(table.data[name]) * given).to_value(u.Unit(unit))
        if given is not None or known_unit(column.unit or "1") is not None:
            column.unit = unit
