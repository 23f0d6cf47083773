# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Light curves for other tools: astropy's time series, and FITS files after the OGIP convention (OGIP/93-003).

All functions take the table that ``query_lightcurve`` returns and leave it as it is.
"""

from __future__ import annotations

import errno
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time
from astroquery.exceptions import CorruptDataWarning

from ...allowance import Allowance
from ...config import conf
from ...decoding.envelope import unzipped
from ...errors import DecodingError, MmodaError, ParameterError, reading, warn
from ...files import read_plain
from ...instruments import IJD_ORIGIN, background_of_rates
from ...text import in_hex, listed, original, printable, transliterated
from ...units import known_unit, read_unit, standard_spelling
from ..budget import size_when_read
from ..cards import add_provenance, flat_text, number, time_reference
from ..curves import FURTHER_TIMES
from ..lightcurve import POSITIONS, empty_lightcurve
from ..sources import match_source
from .filenames import chosen_path, write_whole
from .fitsfiles import opened

if TYPE_CHECKING:
    from astropy.timeseries import BinnedTimeSeries, TimeSeries

__all__ = ["lightcurve_hdus", "read_lightcurve", "to_timeseries", "write_lightcurve"]

_FIXED = ("src_name", "time", "time_bin", "e_min", "e_max")
# Stingray divides rates by FRACEXP and takes bins below 0.9 for empty; the service's rates are corrected already
_FRACTION, _STORED_FRACTION = "FRACEXP", "EXPFRAC"
# names of columns by HDUCLAS3; tools look for no others
_OGIP_NAMES = {"RATE": "RATE", "COUNT": "COUNTS"}
_RATE_UNIT = "count/s"
# OGIP/93-003, section 4.1
_BACKGROUND = {"NET": "background subtracted", "TOTAL": "source + background", "BKG": "background"}
_PLACES = frozenset({"LOCAL", "GEOCENTRIC", "HELIOCENTRIC", "SOLARSYSTEM"})
# bytes for each row beside its columns
_ROW = 160
# columns times sources; genuine files have some thousands
_MOST_JOINED = 50_000
_TIME_COMMENTS = {"BARYTIME": "barycentric time (TDB) since MJDREF"}


# ---- astropy's time series


def to_timeseries(table: Table, source: str | None = None) -> BinnedTimeSeries | TimeSeries:
    """
    Make an astropy time series of one source's light curve.

    Parameters
    ----------
    table : Table
        As returned by ``query_lightcurve``.
    source : str, optional
        Name of the source (case and blanks ignored); can be left out where there is only one.

    Returns
    -------
    BinnedTimeSeries or TimeSeries
        Binned where the widths of all bins are known: ``time_bin_start`` and ``time_bin_size`` (s); else with ``time``,
        and the widths as a column ``time_bin`` where some are known. Times are in the scale of the table (TT, or TDB).
        Columns with units become quantities; bins without data stay masked, and are NaN for tools that know no masks.

    Raises
    ------
    ParameterError
        There is no such source, or several and none was named.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, to_timeseries
    >>> curve = Mmoda.query_lightcurve("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58195.5),
    ...                                time_bin="1000 s")
    >>> series = to_timeseries(curve, "Ser X-1")
    >>> series.colnames[:2], series.time_bin_size[0].round()
    (['time_bin_start', 'time_bin_size'], <Quantity 1000. s>)
    """
    from astropy.timeseries import BinnedTimeSeries, TimeSeries  # slow to import, and needed here only

    rows = _with_times(_rows(_checked(table), source))
    with reading("the light curve"):
        columns = {name: _blanked(rows[name]) for name in rows.colnames if name not in _FIXED}
        width = _widths(rows)
    if not len(rows) or np.isnan(width).any():
        partly = {} if np.isnan(width).all() else {"time_bin": MaskedColumn(width, mask=np.isnan(width), unit=u.s)}
        series = TimeSeries(time=rows["time"], data=partly | columns)
    else:
        start = rows["time"] - width / 2 * u.s
        series = BinnedTimeSeries(time_bin_start=start, time_bin_size=width * u.s, data=columns)
    name = str(rows["src_name"][0]) if len(rows) else ""
    series.meta.update(rows.meta, SRC_NAME=name)
    series.meta.update(_position(rows, name))
    return series


def _checked(table: Table) -> Table:
    """Refuse what is not a light curve of ``query_lightcurve``."""
    missing = [name for name in _FIXED if name not in getattr(table, "colnames", ())]
    if missing:
        raise ParameterError(
            f"There is no light curve of query_lightcurve in this {type(table).__name__}: it has no column "
            f"{', '.join(missing)}."
        )
    if not isinstance(table["time"], Time):
        raise ParameterError(
            "There is no light curve of query_lightcurve in this table: its column time does not hold astropy's Time."
        )
    return table


def _with_times(rows: Table) -> Table:
    """Rows that have a time; those of ``query_lightcurve`` all have one, but tables can be changed."""
    days = np.ma.filled(np.ma.asarray(getattr(rows["time"].mjd, "unmasked", rows["time"].mjd)).astype(float), np.nan)
    valid = np.isfinite(days) & ~np.asarray(rows["time"].mask)
    if valid.all():
        return rows
    warn(f"MMODA: {(~valid).sum()} of {len(rows)} rows have no valid time and are left out.", CorruptDataWarning)
    return rows[valid]


def _widths(rows: Table) -> np.ndarray:
    """Widths of the bins in s; NaN where masked, or not a width."""
    width = _plain(rows["time_bin"]) * (u.Unit(rows["time_bin"].unit or u.s).to(u.s))
    with np.errstate(invalid="ignore"):
        return np.where((width > 0) & np.isfinite(width), width, np.nan)


def _position(rows: Table, name: str) -> dict[str, float]:
    """Position of one source, of which ``meta`` tells that of several."""
    try:
        told = json.loads(rows.meta.get(POSITIONS) or "{}")
        right_ascension, declination = (float(value) for value in told[name])
    except (KeyError, TypeError, ValueError):  # there is none, or the user has changed it
        return {}
    return {"RA_OBJ": right_ascension, "DEC_OBJ": declination}


def _rows(table: Table, source: str | None) -> Table:
    """Rows of one source."""
    names = list(dict.fromkeys(str(name) for name in table["src_name"]))
    if source is not None:
        chosen = match_source(names, source)
        return table[[str(name) == chosen for name in table["src_name"]]]
    if len(names) > 1:
        raise ParameterError(f"one source has to be named by source=; sources present: {listed(names)}")
    return table


def _plain(column: Any) -> np.ndarray:
    """Plain numbers of a column, NaN where it is masked."""
    return np.ma.filled(np.ma.asarray(column).astype(float), np.nan)


def _blanked(column: Column) -> Column:
    """NaN below the mask."""
    if not isinstance(column, MaskedColumn) or column.dtype.kind != "f":
        return column
    data = np.where(np.ma.getmaskarray(column), np.nan, np.ma.getdata(column))
    return MaskedColumn(data, mask=np.ma.getmaskarray(column), unit=column.unit)


# ---- files


def write_lightcurve(
    table: Table, path: str | os.PathLike[str], *, source: str | None = None, overwrite: bool = False
) -> Path:
    """
    Write light curves as a FITS file after the OGIP convention.

    One extension ``RATE`` per source, with ``TIME`` (bin centres, s since MJDREF) and the columns of the table, and one
    ``GTI`` with the times of the bins that have data and a width. Tools that read one light curve read the first. Times
    and dates are in the scale of the table (TT, or TDB for barycentred times), which TIMESYS and TIMEREF tell; where
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
    rows = _rows(_checked(table), source) if source is not None else _checked(table)
    path = chosen_path(path)
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(errno.EEXIST, "the file is there already; overwrite=True replaces it", str(path))
    try:
        hdulist = lightcurve_hdus(rows)
        write_whole(path, lambda file: hdulist.writeto(file, checksum=True))
    except MmodaError:
        raise
    except Exception as error:  # some columns fail only when they are written
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ParameterError(
            f"FITS can't hold this light curve ({printable(error, limit=300)}); remove the column, or write ECSV."
        ) from error
    return path


def lightcurve_hdus(rows: Table) -> fits.HDUList:
    """Make the file of `write_lightcurve`, without writing it."""
    rows = _with_times(rows)
    names = list(dict.fromkeys(str(name) for name in rows["src_name"]))
    clock = _clock(rows)
    hdulist = fits.HDUList([_primary_hdu(rows, names, clock)])
    add_provenance(hdulist[0].header, rows.meta)
    for version, name in enumerate(names or [""], start=1):
        chosen = rows[[str(other) == name for other in rows["src_name"]]] if names else rows
        hdulist.append(_rate_hdu(chosen, name, version, clock))
        hdulist.append(_gti_hdu(chosen, version, clock))
    return hdulist


@dataclass(frozen=True)
class _Clock:
    """MJD from which the times of a file count, as whole days and fraction, and their scale."""

    day: int
    fraction: float
    scale: str

    @property
    def start(self) -> Time:
        return Time(self.day, self.fraction, format="mjd", scale=self.scale)

    def seconds(self, times: Time) -> np.ndarray:
        return np.asarray((getattr(times, self.scale) - self.start).to_value(u.s), dtype=float)

    def edges(self, rows: Table) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end of each bin; both are its time where the width is unknown."""
        times, half = self.seconds(rows["time"]), np.nan_to_num(_widths(rows)) / 2
        return times - half, times + half


def _clock(rows: Table) -> _Clock:
    """MJDREF of further columns of times, else the day on which the first bin begins: not all take negative times."""
    scale = "tdb" if rows["time"].scale == "tdb" else "tt"
    told = number(rows.meta, "MJDREF", math.nan)
    if math.isfinite(told) and any(name.upper() in FURTHER_TIMES for name in rows.colnames):
        return _Clock(math.floor(told), told - math.floor(told), scale)
    if not len(rows):
        return _Clock(int(IJD_ORIGIN), 0.0, scale)
    day = math.floor(np.min(getattr(rows["time"], scale).mjd))
    return _Clock(day + math.floor(np.min(_Clock(day, 0.0, scale).edges(rows)[0]) / 86400), 0.0, scale)


def _primary_hdu(rows: Table, names: list[str], clock: _Clock) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU(header=_time_header(rows, clock))
    if len(names) == 1:
        hdu.header["OBJECT"] = transliterated(names[0])
    return hdu


def _rate_hdu(rows: Table, name: str, version: int, clock: _Clock) -> fits.BinTableHDU:
    plain = Table({"TIME": clock.seconds(rows["time"]) * u.s})
    header = _rate_header(rows, clock)
    header["OBJECT"] = transliterated(name)
    if in_hex(name):
        header["SRCNAME8"] = in_hex(name)  # FITS has no letters for it
    header.update(_position(rows, name))
    for column, keyword in (("time_bin", "TIMEDEL"), ("e_min", "E_MIN"), ("e_max", "E_MAX")):
        _constant_or_column(rows, column, keyword, header, plain)
    stored, masked = _stored_names(rows), []
    for column in (each for each in rows.colnames if each not in _FIXED):
        plain[stored.get(column, column)] = _storable(rows[column])
        if isinstance(rows[column], MaskedColumn):
            masked.append(column)
    header["MASKCOLS"] = ",".join(masked)  # columns in which NaN and TNULL mean: no data
    if stored:
        header["RENAMED"] = flat_text({there: here for here, there in stored.items()})
    _write_meta(rows, header)
    units = {column: _spelled(plain[column].unit) for column in plain.colnames}
    for column in plain.colnames:
        plain[column].unit = None
    hdu = fits.BinTableHDU(plain, header=header, name="RATE", ver=version)
    for column in hdu.columns:
        column.unit = units[column.name]
    for index, column in enumerate(hdu.columns, start=1):
        if column.name.upper() in FURTHER_TIMES:
            hdu.header.comments[f"TTYPE{index}"] = _TIME_COMMENTS.get(column.name.upper(), "time since MJDREF")
    return hdu


def _spelled(unit: Any) -> str | None:
    """Spell a unit for a file; FITS knows more ways to spell count/s than OGIP."""
    if unit is None:
        return None
    text = standard_spelling(str(unit))
    text = str(unit) if text is None else text
    return _RATE_UNIT if known_unit(text) == u.ct / u.s else text or None


def _stored_names(rows: Table) -> dict[str, str]:
    """Columns that have another name in the file, where other tools look for it; no two get the same."""
    wanted: dict[Any, str] = {}
    kind, value = _kind_of_values(rows), rows.meta.get("VALUECOL")
    if kind:
        wanted = {value: _OGIP_NAMES[kind], rows.meta.get("ERRORCOL"): "ERROR"}
    # tools correct counts for it, as they should
    if kind != "COUNT" and str(value).upper() != "COUNTS":
        wanted[_FRACTION] = _STORED_FRACTION
    taken = {name.upper() for name in rows.colnames if name not in wanted}
    return {
        here: there
        for here, there in wanted.items()
        if here in rows.colnames and here not in _FIXED and here != there and there not in taken
    }


def _kind_of_values(rows: Table) -> str | None:
    """Whether the values are rates or counts, in the words of HDUCLAS3; None where name and unit don't say so."""
    name = str(rows.meta.get("VALUECOL") or "RATE")
    if name not in rows.colnames:
        return None
    by_name = {"RATE": "RATE", "COUNT_RATE": "RATE", "COUNTS": "COUNT"}.get(name.upper())
    unit = rows[name].unit
    if unit is None or unit == u.dimensionless_unscaled:
        return by_name
    kinds = {"RATE": (u.ct / u.s, u.ph / u.s, 1 / u.s), "COUNT": (u.ct, u.ph)}
    by_unit = next((kind for kind, units in kinds.items() if any(unit.is_equivalent(each) for each in units)), None)
    return by_unit if by_name in (None, by_unit) else None


def _rate_header(rows: Table, clock: _Clock) -> fits.Header:
    header = _time_header(rows, clock)
    header["HDUCLASS"], header["HDUCLAS1"] = "OGIP", "LIGHTCURVE"
    background = _background(rows)
    if background:
        header["HDUCLAS2"] = (background, _BACKGROUND.get(background, ""))
    kind = _kind_of_values(rows)
    if kind:
        header["HDUCLAS3"] = kind
    header["TIMVERSN"] = "OGIP/93-003"
    header["TIMEZERO"], header["TIMEPIXR"] = 0.0, (0.5, "TIME is the centre of a bin")
    return header


def _background(rows: Table) -> str | None:
    known = background_of_rates(str(rows.meta.get("TELESCOP", "")), str(rows.meta.get("INSTRUME", "")))
    told = str(rows.meta.get("HDUCLAS2", "")).strip().upper()
    return known or (told if told in _BACKGROUND else None)


def _time_header(rows: Table, clock: _Clock) -> fits.Header:
    """Say when it was, and with what; the same for all extensions."""
    header = fits.Header()
    for key in ("TELESCOP", "INSTRUME"):
        if isinstance(rows.meta.get(key), str):
            header[key] = transliterated(rows.meta[key])
    scale = clock.scale.upper()
    place = str(rows.meta.get("TIMEREF") or "").strip().upper()
    place = place if place in _PLACES else "SOLARSYSTEM" if scale == "TDB" else "LOCAL"
    header["TIMESYS"], header["TIMEUNIT"], header["TIMEREF"] = scale, "s", place
    header["MJDREFI"] = (clock.day, f"MJD ({scale}) from which TIME counts")
    header["MJDREFF"] = clock.fraction
    if len(rows):
        starts, stops = clock.edges(rows)
        for key, date, moment in (("TSTART", "DATE-OBS", np.min(starts)), ("TSTOP", "DATE-END", np.max(stops))):
            header[key] = float(moment)
            header[date] = ((clock.start + moment * u.s).isot, f"{scale}, as TIMESYS says")
    return header


def _constant_or_column(rows: Table, column: str, keyword: str, header: fits.Header, plain: Table) -> None:
    """A keyword for what is the same in all rows, nothing for what is unknown in all, else a column."""
    values = _widths(rows) if column == "time_bin" else _plain(rows[column])
    if len(values) and not np.isnan(values).any() and np.all(values == values[0]):
        header[keyword] = float(values[0])
    elif len(values) and not np.isnan(values).all():
        plain[keyword] = Column(values, unit=u.s if column == "time_bin" else rows[column].unit)
        if column == "time_bin":
            # a column comes before a keyword of its name, but not all tools look for it; Stingray leaves out all bins
            # that are narrower, hence not the mean of two widths
            header[keyword] = (float(np.nanquantile(values, 0.5, method="lower")), "median, see the column")
    if column == "e_min" and not np.isnan(values).all():
        header["EUNIT"] = "keV"


def _storable(column: Column) -> Column:
    """As FITS can have it: NaN for masked numbers; names in ASCII. Integers are masked by astropy's TNULL."""
    if column.dtype.kind == "f":
        return Column(np.ma.getdata(_blanked(column)), unit=column.unit)
    if column.dtype.kind == "U":
        return Column([transliterated(str(value)) for value in column])
    return column


def _write_meta(rows: Table, header: fits.Header) -> None:
    told = {key: value for key, value in rows.meta.items() if _is_keyword(key) and _is_value(value)}
    # the two cards of it are there already
    reference = told.pop("MJDREF", None)
    has_reference = reference == header["MJDREFI"] + header["MJDREFF"]
    # what is written already is right, whatever somebody has put into meta
    kept = [key for key, value in told.items() if header.get(key, value) == value]
    for key in kept:
        value = rows.meta[key]
        header[key] = transliterated(value) if isinstance(value, str) else value
    header["METAKEYS"] = ",".join([*kept, *(["MJDREF"] if has_reference else [])])
    if any(isinstance(value, str) and len(value) > 68 for value in header.values()):
        header["LONGSTRN"] = ("OGIP 1.0", "strings go on in CONTINUE")


def _is_keyword(key: object) -> bool:
    return (
        isinstance(key, str)
        and 0 < len(key) <= 8
        and key.isascii()
        and key.replace("_", "").isalnum()
        and key.isupper()
    )


def _is_value(value: object) -> bool:
    return isinstance(value, (str, int)) or (isinstance(value, float) and np.isfinite(value))


def _gti_hdu(rows: Table, version: int, clock: _Clock) -> fits.BinTableHDU:
    starts, stops = _good_times(rows, clock)
    columns = [fits.Column("START", "D", unit="s", array=starts), fits.Column("STOP", "D", unit="s", array=stops)]
    header = _time_header(rows, clock)
    header["HDUCLASS"], header["HDUCLAS1"], header["HDUCLAS2"] = "OGIP", "GTI", "STANDARD"
    return fits.BinTableHDU.from_columns(columns, header=header, name="GTI", ver=version)


def _good_times(rows: Table, clock: _Clock) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end of each stretch of bins with data; a bin of unknown width alone covers no time."""
    value = rows.meta.get("VALUECOL")
    gaps = np.ma.getmaskarray(rows[value]) if value in rows.colnames else np.zeros(len(rows), dtype=bool)
    starts, stops = clock.edges(rows)
    order = np.argsort(starts + stops)
    filled = np.flatnonzero(~gaps[order])
    starts, stops = starts[order][filled], stops[order][filled]
    # bins may overlap, or lie within others
    reached = np.maximum.accumulate(stops) if len(stops) else stops
    new = np.ones(len(starts), dtype=bool)
    if np.array_equal(starts, stops):
        # all widths unknown: neighbours belong together
        new[1:] = np.diff(filled) > 1
    else:
        # bins that touch, but for rounding, belong together
        new[1:] = starts[1:] > reached[:-1] + 5e-4 * np.maximum((stops - starts)[1:], 2e-6)
    first = np.flatnonzero(new)
    if not len(first):
        return starts, stops
    begins, ends = np.minimum.reduceat(starts, first), np.maximum.reduceat(stops, first)
    return begins[ends > begins], ends[ends > begins]


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
    place = chosen_path(path)
    data = read_plain(place, limit=int(conf.max_product_size), links=True)
    with reading(f"{place} is not a file of write_lightcurve"):
        allowance = Allowance(len(data))
        hdus = opened(bytes(unzipped(data, allowance)), allowance)
        curves = [hdu for hdu in hdus if hdu.name == "RATE" and isinstance(hdu, fits.BinTableHDU)]
        _check_count(curves)
        parts = [_read_part(hdu, allowance) for hdu in curves]
        if not parts:
            raise DecodingError("it has no extension RATE")
        filled = [part for part in parts if len(part)]
        return _joined(filled, allowance) if filled else empty_lightcurve()


def _check_count(curves: list[fits.BinTableHDU]) -> None:
    """Refuse what would take minutes to read."""
    columns = len({name for hdu in curves for name in hdu.columns.names})
    if len(curves) > conf.max_form_parts or columns * len(curves) > _MOST_JOINED:
        raise DecodingError(
            f"{columns} columns of {len(curves)} light curves are too many for one table; conf.max_form_parts = "
            f"{conf.max_form_parts} can be raised"
        )


def _read_part(hdu: fits.BinTableHDU, allowance: Allowance) -> Table:
    header, count = hdu.header, len(hdu.data)
    # the columns are copied on their way; and times and names
    allowance.spend(size_when_read(hdu) + 3 * hdu.data.nbytes, "a light curve")
    allowance.left += min(count, allowance.body // 8) * _ROW
    allowance.spend((_ROW + 4 * len(str(header["OBJECT"]))) * count, "times and names")
    stored = {column.name: column for column in hdu.columns}
    day, fraction = time_reference(header)
    reference = Time(day, fraction, format="mjd", scale=str(header.get("TIMESYS", "TT")).lower())
    name = original(str(header["OBJECT"]), header.get("SRCNAME8", ""))
    table = Table()
    table["src_name"] = np.array([name] * count, dtype=str)
    table["time"] = Time(reference + np.asarray(hdu.data["TIME"]) * u.s, format="mjd")
    for column, keyword, unit in (("time_bin", "TIMEDEL", u.s), ("e_min", "E_MIN", u.keV), ("e_max", "E_MAX", u.keV)):
        told = (
            np.asarray(hdu.data[keyword], dtype=float)
            if keyword in stored
            else np.full(count, number(header, keyword, math.nan))
        )
        unknown = np.isnan(told)
        table[column] = MaskedColumn(told, mask=unknown, unit=unit) if unknown.any() else Column(told, unit=unit)
    masked = str(header.get("MASKCOLS") or "").split(",")
    renamed = json.loads(header.get("RENAMED") or "{}")
    for column in (each for each in stored if each not in ("TIME", "TIMEDEL", "E_MIN", "E_MAX")):
        name = renamed.get(column, column)
        table[name] = _restored(hdu, stored[column], masked=name in masked)
    for key in filter(None, str(header.get("METAKEYS") or "").split(",")):
        table.meta[key] = day + fraction if key == "MJDREF" else header[key]
    return table


def _restored(hdu: fits.BinTableHDU, column: fits.Column, *, masked: bool) -> Column:
    """Read a column by itself: astropy's reader would try to understand its unit, whatever it costs."""
    data = np.array(hdu.data[column.name])
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    unit = read_unit(column.unit) if column.unit else None
    if not masked:
        return Column(data, unit=unit)
    gone = np.isnan(data) if data.dtype.kind == "f" else column.null is not None and data == column.null
    return MaskedColumn(data, mask=gone, unit=unit)


def _joined(parts: list[Table], allowance: Allowance) -> Table:
    from astropy.table import vstack

    widths: dict[str, int] = {}
    for part in parts:
        for name in part.colnames:
            width = part[name].dtype.itemsize * math.prod(part[name].shape[1:]) if name != "time" else 16
            widths[name] = max(widths.get(name, 0), width + 1)
    allowance.spend(sum(widths.values()) * sum(map(len, parts)), "all light curves")
    return parts[0] if len(parts) == 1 else vstack(parts, metadata_conflicts="silent")
