# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Light curves as FITS files after the OGIP convention (OGIP/93-003), written and read again."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table, vstack
from astropy.time import Time

from ...allowance import Allowance
from ...config import conf
from ...decoding import read_json_text, unzipped
from ...errors import DecodingError, MmodaError, ParameterError, reading
from ...files import read_plain
from ...instruments import IJD_ORIGIN, background_of_rates
from ...protocol import TIME_COLUMNS
from ...text import in_hex, original, printable, transliterated
from ...units import read_unit, standard_spelling
from ..budget import CURVE_ROW
from ..cards import add_provenance, flat_text, number, time_reference
from ..columnsizes import size_when_read
from ..curvetable import FIXED_COLUMNS
from ..lightcurve import empty_lightcurve, rounded_lightcurve
from ..mergeable import mergeable
from ..plaintable import maybe_masked, numbers_of
from .fitsfiles import opened
from .output import chosen_path, write_whole
from .timeseries import curve_names, position_of, rows_of, widths_of

_KINDS_BY_NAME = {"RATE": "RATE", "COUNT_RATE": "RATE", "COUNTS": "COUNT"}
_KINDS_BY_UNIT = {"RATE": (u.ct / u.s, u.ph / u.s, 1 / u.s), "COUNT": (u.ct, u.ph)}
# HDUCLAS2 of OGIP/93-003, section 4.1
_BACKGROUND = {"NET": "background subtracted", "TOTAL": "source + background", "BKG": "background"}
# columns of the table that are keywords where they are the same in all rows
_KEYWORDS = {"time_bin": ("TIMEDEL", u.s), "e_min": ("E_MIN", u.keV), "e_max": ("E_MAX", u.keV)}
# what of the table no other card says: columns with masks, their own names, and ``meta``
_TABLE_CARD = "MMODA"
# columns of each curve, where there are as many as conf.max_form_parts
_MOST_COLUMNS = 20


def write_lightcurve(
    table: Table, path: str | os.PathLike[str], *, source: str | None = None, overwrite: bool = False
) -> Path:
    """
    Write light curves as a FITS file after the OGIP convention.

    One extension ``RATE`` per source, with ``TIME`` (bin centres, s since MJDREF) and the columns of the table, and one
    ``GTI`` with the times of the bins that have data and a width. Tools that read one light curve read the first. Times
    and dates are in the scale of the table (TT, or TDB for barycentred times), given by TIMESYS and TIMEREF; where
    there are further columns of times (``BARYTIME``), MJDREF is theirs.

    HDUCLAS3 is written for rates (``RATE``) and counts (``COUNT``) only, HDUCLAS2 where it is known: ``NET`` for ISGRI
    and JEM-X, ``TOTAL`` (source + background) for SPI-ACS. The value and its error are called ``RATE`` (``COUNTS``)
    and ``ERROR`` in the file where they are such. A column ``FRACEXP`` beside rates is called ``EXPFRAC``, since some
    tools would correct the rates for it once more. `read_lightcurve` gives all of them their names back.

    Parameters
    ----------
    table : Table
        As returned by ``query_lightcurve``.
    path : str or path-like
        Name of the file.
    source : str, optional
        Only this source.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ParameterError
        There is no such source, the table is not a light curve, or FITS can't hold one of its columns.
    FileExistsError
        The file is there already.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, write_lightcurve
    >>> curve = Mmoda.query_lightcurve("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58195.5),
    ...                                time_bin="1000 s")
    >>> path = write_lightcurve(curve, "ser_x1.fits", source="Ser X-1")
    >>> path.name
    'ser_x1.fits'
    """
    path = chosen_path(path)
    try:
        write_whole(path, lightcurve_hdus(rows_of(table, source, single=False)), overwrite=overwrite)
    except Exception as error:  # some columns fail only when they are written
        if isinstance(error, MmodaError) or getattr(error, "errno", None) is not None:
            raise
        raise ParameterError(
            f"FITS can't hold this light curve ({printable(error, limit=300)}); remove the column, or write ECSV."
        ) from error
    return path


def lightcurve_hdus(rows: Table) -> fits.HDUList:
    """Make the file of `write_lightcurve`, without writing it."""
    names = np.array(curve_names(rows), dtype=object)
    sources = dict(zip(names.tolist(), map(str, rows["src_name"]), strict=True))
    origin = _time_origin(rows)
    primary = fits.PrimaryHDU(header=_time_header(rows, origin))
    if len(sources) == 1:
        primary.header["OBJECT"] = transliterated(next(iter(sources.values())))
    add_provenance(primary.header, rows.meta)
    hdulist = fits.HDUList([primary])
    for version, (curve, source) in enumerate(sources.items() or [("", "")], start=1):
        chosen = rows[names == curve] if sources else rows
        hdulist += [_rate_hdu(chosen, source, version, origin), _gti_hdu(chosen, version, origin)]
    return hdulist


def _time_origin(rows: Table) -> Time:
    """MJDREF of further columns of times, else the day on which the first bin begins: not all take negative times."""
    scale = "tdb" if rows["time"].scale == "tdb" else "tt"
    stated = number(rows.meta, "MJDREF", math.nan)
    if math.isfinite(stated) and any(name.upper() in TIME_COLUMNS for name in rows.colnames):
        return Time(stated, format="mjd", scale=scale)
    if not len(rows):
        return Time(IJD_ORIGIN, format="mjd", scale=scale)
    day = Time(math.floor(np.min(getattr(rows["time"], scale).mjd)), format="mjd", scale=scale)
    return day + math.floor(np.min(_edges(rows, day)[0]) / 86400) * u.day


def _seconds(rows: Table, origin: Time) -> np.ndarray:
    return np.asarray((getattr(rows["time"], origin.scale) - origin).to_value(u.s), dtype=float)


def _edges(rows: Table, origin: Time) -> tuple[np.ndarray, np.ndarray]:
    times, half = _seconds(rows, origin), np.nan_to_num(widths_of(rows)) / 2
    return times - half, times + half


def _time_header(rows: Table, origin: Time) -> fits.Header:
    """Cards that say when it was, and with what; the same for all extensions."""
    header = fits.Header()
    for key in ("TELESCOP", "INSTRUME"):
        if key in rows.meta:
            header[key] = transliterated(str(rows.meta[key]))
    scale = origin.scale.upper()
    place = str(rows.meta.get("TIMEREF") or ("SOLARSYSTEM" if scale == "TDB" else "LOCAL"))
    header["TIMESYS"], header["TIMEUNIT"], header["TIMEREF"] = scale, "s", transliterated(place.upper())
    header["MJDREFI"] = (math.floor(origin.mjd), f"MJD ({scale}) from which TIME counts")
    header["MJDREFF"] = origin.mjd % 1
    if len(rows):
        starts, stops = _edges(rows, origin)
        for key, date, moment in (("TSTART", "DATE-OBS", np.min(starts)), ("TSTOP", "DATE-END", np.max(stops))):
            header[key] = float(moment)
            header[date] = ((origin + moment * u.s).isot, f"{scale}, as TIMESYS says")
    return header


def _rate_hdu(rows: Table, name: str, version: int, origin: Time) -> fits.BinTableHDU:
    kind = _kind_of_values(rows)
    header = _rate_header(rows, name, kind, origin)
    columns: dict[str, Any] = {"TIME": Column(_seconds(rows, origin), unit=u.s), **_bins(rows, header)}
    stored, others = _stored_names(rows, kind), [each for each in rows.colnames if each not in FIXED_COLUMNS]
    columns |= {stored.get(column, column): _storable(rows[column]) for column in others}
    _add_meta(rows, header, others, stored)
    units = [_spelled(column.unit) for column in columns.values()]
    plain = Table(columns)
    for column in plain.colnames:
        plain[column].unit = None  # astropy would spell it otherwise
    hdu = fits.BinTableHDU(plain, header=header, name="RATE", ver=version)
    for index, (column, unit) in enumerate(zip(hdu.columns, units, strict=True), start=1):
        column.unit = unit
        if column.name.upper() == "BARYTIME":
            hdu.header.comments[f"TTYPE{index}"] = "barycentric time (TDB) since MJDREF"
    return hdu


def _rate_header(rows: Table, name: str, kind: str | None, origin: Time) -> fits.Header:
    """Cards that say what was measured, and of which source."""
    header = _time_header(rows, origin)
    header["HDUCLASS"], header["HDUCLAS1"] = "OGIP", "LIGHTCURVE"
    background = background_of_rates(str(rows.meta.get("TELESCOP", "")), str(rows.meta.get("INSTRUME", "")))
    background = background or str(rows.meta.get("HDUCLAS2", "")).strip().upper()
    if background in _BACKGROUND:
        header["HDUCLAS2"] = (background, _BACKGROUND[background])
    if kind:
        header["HDUCLAS3"] = kind
    header["TIMVERSN"], header["TIMEZERO"] = "OGIP/93-003", 0.0
    header["TIMEPIXR"] = (0.5, "TIME is the centre of a bin")
    header["OBJECT"] = transliterated(name)
    if in_hex(name):
        header["SRCNAME8"] = in_hex(name)  # FITS has no letters for it
    header.update(position_of(rows, name))
    return header


def _bins(rows: Table, header: fits.Header) -> dict[str, Column]:
    """Columns of widths and bands where they differ from row to row; a keyword has the usual value."""
    columns = {}
    for column, (keyword, unit) in _KEYWORDS.items():
        values = widths_of(rows) if column == "time_bin" else numbers_of(rows[column], unit)
        known = values[np.isfinite(values)]
        if len(known):
            # a column comes before a keyword of its name, but not all tools read it; Stingray leaves out all bins that
            # are narrower, hence not the mean of two widths
            header[keyword] = (float(np.quantile(known, 0.5, method="lower")), f"{unit}, or the median of the column")
            header["EUNIT"] = "keV"
        if np.any(values[1:] != values[:-1]) and len(known):
            columns[keyword] = Column(values, unit=unit)
    return columns


def _add_meta(rows: Table, header: fits.Header, others: list[str], stored: dict[str, str]) -> None:
    """Cards of what the table says besides, for other tools and for `read_lightcurve`."""
    meta = {key: value for key, value in rows.meta.items() if isinstance(value, str | int | float)}
    meta = {key: value for key, value in meta.items() if isinstance(value, str) or math.isfinite(value)}
    for key, value in meta.items():  # what is written already is right, whatever is there
        if re.fullmatch(r"[A-Z0-9_]{1,8}", str(key)) and key != "MJDREF" and key not in header:
            header[key] = transliterated(value) if isinstance(value, str) else value
    # columns in which NaN and TNULL mean: no data
    masked = [column for column in others if isinstance(rows[column], MaskedColumn)]
    renamed = {there: here for here, there in stored.items()}
    header[_TABLE_CARD] = flat_text({"masked": masked, "renamed": renamed, "meta": meta})


def _kind_of_values(rows: Table) -> str | None:
    """Whether the values are rates or counts, in the words of HDUCLAS3; None where name and unit don't say so."""
    name = str(rows.meta.get("VALUECOL") or "RATE")
    if name not in rows.colnames:
        return None
    by_name, unit = _KINDS_BY_NAME.get(name.upper()), rows[name].unit
    if unit is None or unit == u.dimensionless_unscaled:
        return by_name
    by_unit = next((kind for kind, units in _KINDS_BY_UNIT.items() if any(map(unit.is_equivalent, units))), None)
    return by_unit if by_name in (None, by_unit) else None


def _stored_names(rows: Table, kind: str | None) -> dict[str, str]:
    """Columns that have another name in the file, where other tools expect it; no two get the same."""
    value = rows.meta.get("VALUECOL")
    wanted: dict[Any, str] = {}
    if kind:  # names that tools expect
        wanted = {value: "COUNTS" if kind == "COUNT" else "RATE", rows.meta.get("ERRORCOL"): "ERROR"}
    if kind != "COUNT" and str(value).upper() != "COUNTS":
        # Stingray divides rates by it and takes bins below 0.9 for empty; the service's rates are corrected already
        wanted["FRACEXP"] = "EXPFRAC"
    taken = {name.upper() for name in rows.colnames if name not in wanted}
    found = [name for name in rows.colnames if name in wanted and name not in FIXED_COLUMNS]
    return {name: wanted[name] for name in found if wanted[name] not in {name, *taken}}


def _storable(column: Column) -> Column:
    """As FITS can have it: names in ASCII. Masked numbers become NaN or TNULL by astropy, masked texts are empty."""
    if column.dtype.kind != "U":
        return column
    texts = np.ma.filled(np.ma.asarray(column), "")
    return Column(np.array([transliterated(str(value)) for value in texts], dtype=str))


def _spelled(unit: Any) -> str | None:
    """Spell a unit for a file as FITS does, and count/s as OGIP."""
    text = "" if unit is None else str(unit)
    spelled = standard_spelling(text)
    return (text if spelled is None else spelled).replace(" / ", "/") or None


def _gti_hdu(rows: Table, version: int, origin: Time) -> fits.BinTableHDU:
    """Begin and end of each stretch of bins with data; a bin of unknown width alone covers no time."""
    value = rows.meta.get("VALUECOL")
    gaps = np.ma.getmaskarray(rows[value]) if value in rows.colnames else np.zeros(len(rows), dtype=bool)
    starts, stops = _edges(rows, origin)
    order = np.argsort(starts + stops)
    filled = np.flatnonzero(~gaps[order])
    starts, stops = starts[order][filled], stops[order][filled]
    if len(filled):
        if np.array_equal(starts, stops):  # all widths unknown: neighbours belong together
            apart = np.diff(filled) > 1
        else:  # bins that touch, but for rounding, belong together; they may overlap, or lie within others
            margin = 5e-4 * np.maximum((stops - starts)[1:], 2e-6)
            apart = starts[1:] > np.maximum.accumulate(stops)[:-1] + margin
        first = np.flatnonzero(np.append(True, apart))
        starts, stops = np.minimum.reduceat(starts, first), np.maximum.reduceat(stops, first)
    header = _time_header(rows, origin)
    header["HDUCLASS"], header["HDUCLAS1"], header["HDUCLAS2"] = "OGIP", "GTI", "STANDARD"
    columns = {"START": starts[stops > starts] * u.s, "STOP": stops[stops > starts] * u.s}
    return fits.BinTableHDU(Table(columns), header=header, name="GTI", ver=version)


def read_lightcurve(path: str | os.PathLike[str]) -> Table:
    """
    Read what `write_lightcurve` wrote.

    Parameters
    ----------
    path : str or path-like
        Name of the file.

    Returns
    -------
    Table
        The table that was written.

    Raises
    ------
    DecodingError
        It is another kind of file.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, read_lightcurve, write_lightcurve
    >>> curve = Mmoda.query_lightcurve("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58195.5),
    ...                                time_bin="1000 s")
    >>> same = read_lightcurve(write_lightcurve(curve, "curves.fits"))
    >>> len(same) == len(curve), same["time"].scale
    (True, 'tt')
    """
    data = read_plain(chosen_path(path), limit=int(conf.max_product_size), links=True)
    with reading(f"{path} is not a file of write_lightcurve"):
        allowance = Allowance(len(data))
        hdus = opened(bytes(unzipped(data, allowance)), allowance)
        curves = [hdu for hdu in hdus if hdu.name == "RATE" and isinstance(hdu, fits.BinTableHDU)]
        if not curves:
            raise DecodingError("it has no extension RATE")
        names = {name for hdu in curves for name in hdu.columns.names}
        # joining them takes time for each of these columns in each curve
        if len(curves) > conf.max_form_parts or len(curves) * len(names) > _MOST_COLUMNS * conf.max_form_parts:
            raise DecodingError("light curves too many for one table; conf.max_form_parts can be raised")
        filled = [hdu for hdu in curves if len(hdu.data)]
        parts = [_read_part(hdu, allowance) for hdu in filled]
        if len(parts) > 1:
            # in one table, each row is as wide as the widest
            widths: Counter[str] = Counter()
            for hdu in filled:
                widths |= Counter({name: hdu.columns.dtype[name].itemsize for name in hdu.columns.names})
            width = 2 * widths.total() + max(part["src_name"].dtype.itemsize for part in parts) + CURVE_ROW
            allowance.spend(width * sum(map(len, parts)), "all light curves")
        return rounded_lightcurve(vstack(parts, metadata_conflicts="silent")) if parts else empty_lightcurve()


def _read_part(hdu: fits.BinTableHDU, allowance: Allowance) -> Table:
    header, count = hdu.header, len(hdu.data)
    # columns are copied; times and names come on top
    allowance.spend(size_when_read(hdu) + 3 * hdu.data.nbytes, "a light curve")
    allowance.left += min(count, allowance.body // 8) * CURVE_ROW
    name = original(str(header["OBJECT"]), header.get("SRCNAME8", ""))
    allowance.spend((CURVE_ROW + 4 * len(name)) * count, "times and names")
    day, fraction = time_reference(header) or (0.0, 0.0)
    reference = Time(day, fraction, format="mjd", scale=str(header.get("TIMESYS", "TT")).lower())
    table = Table()
    table["src_name"] = np.array([name] * count, dtype=str)
    table["time"] = Time(reference + np.asarray(hdu.data["TIME"]) * u.s, format="mjd")
    for column, (keyword, unit) in _KEYWORDS.items():
        constant = np.full(count, number(header, keyword, math.nan))
        values = np.asarray(hdu.data[keyword], dtype=float) if keyword in hdu.columns.names else constant
        table[column] = maybe_masked(values, unit)
    kept = read_json_text(header.get(_TABLE_CARD), what=_TABLE_CARD, allowance=allowance)
    for column in hdu.columns:
        if column.name not in ("TIME", "TIMEDEL", "E_MIN", "E_MAX"):
            name = kept.get("renamed", {}).get(column.name, column.name)
            table[name] = _restored(hdu, column, masked=name in kept.get("masked", ()))
    table.meta = mergeable(kept.get("meta", {}))
    return table


def _restored(hdu: fits.BinTableHDU, column: fits.Column, *, masked: bool) -> Column:
    """Read a column by itself: astropy's reader would parse its unit, however long that takes."""
    data = np.array(hdu.data[column.name])
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    unit = read_unit(column.unit) if column.unit else None
    if not masked:
        return Column(data, unit=unit)
    if data.dtype.kind == "f":
        gone = np.isnan(data)
    else:
        gone = data == "" if data.dtype.kind in "SU" else column.null is not None and data == column.null
    return MaskedColumn(data, mask=gone, unit=unit)
