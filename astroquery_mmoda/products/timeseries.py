# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Light curves for other tools: astropy's time series, and FITS files after the OGIP convention (OGIP/93-003).

All functions take the table that ``query_lightcurve`` returns and leave it as it is.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time

from ..errors import DecodingError, ParameterError
from ..text import in_hex, original, printable, transliterated
from ..units import read_unit
from .files import write_whole
from .headers import add_provenance
from .sources import match_source

if TYPE_CHECKING:
    from astropy.timeseries import BinnedTimeSeries, TimeSeries

__all__ = ["lightcurve_hdus", "read_lightcurve", "to_timeseries", "write_lightcurve"]

_FIXED = ("src_name", "time", "time_bin", "e_min", "e_max")
# Stingray divides rates by FRACEXP and takes bins below 0.9 for empty; the service's rates are corrected already
_FRACTION, _STORED_FRACTION = "FRACEXP", "EXPFRAC"


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
        Binned where the widths of the bins are known: ``time_bin_start`` (TT) and ``time_bin_size`` (s); else with
        ``time`` (TT) only. Columns with units become quantities; bins without data stay masked, and are NaN for tools
        that know no masks.

    Raises
    ------
    ParameterError
        There is no such source, or several and none was named.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, to_timeseries
    >>> curve = Mmoda.query_lightcurve("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58195.5),
    ...                                time_bin="1000 s", catalog=["MAXI J1820+070", "Ser X-1"])
    >>> series = to_timeseries(curve, "Ser X-1")
    >>> series.colnames[:4], series.time_bin_size[0]
    (['time_bin_start', 'time_bin_size', 'RATE', 'ERROR'], <Quantity 1000. s>)
    """
    from astropy.timeseries import BinnedTimeSeries, TimeSeries  # slow to import, and needed here only

    rows = _rows(table, source)
    columns = {name: _blanked(rows[name]) for name in rows.colnames if name not in _FIXED}
    width = _plain(rows["time_bin"])
    if not len(rows) or np.isnan(width).any():
        series = TimeSeries(time=rows["time"], data=columns)
    else:
        start = rows["time"] - width / 2 * u.s
        series = BinnedTimeSeries(time_bin_start=start, time_bin_size=width * u.s, data=columns)
    series.meta.update(rows.meta, SRC_NAME=str(rows["src_name"][0]) if len(rows) else "")
    return series


def _rows(table: Table, source: str | None) -> Table:
    """Rows of one source."""
    names = list(dict.fromkeys(str(name) for name in table["src_name"]))
    if source is not None:
        chosen = match_source(names, source)
        return table[[str(name) == chosen for name in table["src_name"]]]
    if len(names) > 1:
        raise ParameterError(f"one source has to be named by source=; sources present: {', '.join(names)}")
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

    One extension ``RATE`` per source, with ``TIME`` (bin centres, s since MJDREF, TT) and the columns of the table, and
    one ``GTI`` with the times of the bins that have data. Tools that read one light curve read the first. Dates are in
    TT like the times. A column ``FRACEXP`` beside rates is called ``EXPFRAC`` in the file, since some tools would
    correct the rates for it once more; `read_lightcurve` gives it its name back.

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
        There is no such source, or the table is no light curve.
    FileExistsError
        The file is there already.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, write_lightcurve
    >>> curve = Mmoda.query_lightcurve("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58195.5),
    ...                                time_bin="1000 s", catalog=["MAXI J1820+070", "Ser X-1"])
    >>> path = write_lightcurve(curve, "ser_x1.fits", source="Ser X-1")
    >>> path.name
    'ser_x1.fits'
    """
    missing = [name for name in _FIXED if name not in table.colnames]
    if missing:
        raise ParameterError(f"This is no light curve of query_lightcurve: it has no column {', '.join(missing)}.")
    rows = _rows(table, source) if source is not None else table
    hdulist = lightcurve_hdus(rows)
    path = Path(path).expanduser()
    if path.exists() and not overwrite:
        raise FileExistsError(errno.EEXIST, "the file is there already; overwrite=True replaces it", str(path))
    write_whole(path, lambda file: hdulist.writeto(file, checksum=True))
    return path


def lightcurve_hdus(rows: Table) -> fits.HDUList:
    """Make the file of `write_lightcurve`, without writing it."""
    names = list(dict.fromkeys(str(name) for name in rows["src_name"]))
    reference = _reference(rows)
    hdulist = fits.HDUList([_primary_hdu(rows, names, reference)])
    add_provenance(hdulist[0].header, rows.meta)
    for number, name in enumerate(names or [""], start=1):
        chosen = rows[[str(other) == name for other in rows["src_name"]]] if names else rows
        hdulist.append(_rate_hdu(chosen, name, number, reference))
        hdulist.append(_gti_hdu(chosen, number, reference))
    return hdulist


def _seconds(times: Time, reference: float) -> np.ndarray:
    return (times - Time(reference, format="mjd", scale="tt")).to_value(u.s)


def _edges(rows: Table, reference: float) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end of each bin; both are its time where the width is unknown."""
    times, half = _seconds(rows["time"], reference), np.nan_to_num(_plain(rows["time_bin"])) / 2
    return times - half, times + half


def _reference(rows: Table) -> float:
    """The day on which the first bin begins: readers don't expect negative times."""
    if not len(rows):
        return 51544.0
    day = float(np.floor(np.min(rows["time"].tt.mjd)))
    return day + float(np.floor(np.min(_edges(rows, day)[0]) / 86400))


def _primary_hdu(rows: Table, names: list[str], reference: float) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU(header=_time_header(rows, reference))
    if len(names) == 1:
        hdu.header["OBJECT"] = transliterated(names[0])
    return hdu


def _rate_hdu(rows: Table, name: str, number: int, reference: float) -> fits.BinTableHDU:
    plain = Table({"TIME": _seconds(rows["time"], reference) * u.s})
    header = _rate_header(rows, reference)
    header["OBJECT"] = transliterated(name)
    if in_hex(name):
        header["SRCNAME8"] = in_hex(name)  # FITS has no letters for it
    for column, keyword in (("time_bin", "TIMEDEL"), ("e_min", "E_MIN"), ("e_max", "E_MAX")):
        _constant_or_column(rows, column, keyword, header, plain)
    masked = []
    for column in (each for each in rows.colnames if each not in _FIXED):
        plain[_stored_name(column, rows)] = _storable(rows[column])
        if isinstance(rows[column], MaskedColumn):
            masked.append(column)
    header["MASKCOLS"] = ",".join(masked)  # columns in which NaN and TNULL mean: no data
    if _FRACTION in rows.colnames and _FRACTION not in plain.colnames:
        header["RENAMED"] = (_STORED_FRACTION, f"{_FRACTION} of the service")
    _write_meta(rows, header)
    hdu = fits.BinTableHDU(plain, header=header, name="RATE", ver=number)
    for column in hdu.columns:
        # FITS knows more ways to spell it than OGIP
        column.unit = "count/s" if column.unit == "count s-1" else column.unit
    return hdu


def _stored_name(column: str, rows: Table) -> str:
    renamed = column == _FRACTION and not _in_counts(rows) and _STORED_FRACTION not in rows.colnames
    return _STORED_FRACTION if renamed else column


def _in_counts(rows: Table) -> bool:
    return str(rows.meta.get("VALUECOL", "RATE")).upper() == "COUNTS"


def _rate_header(rows: Table, reference: float) -> fits.Header:
    header = _time_header(rows, reference)
    header["HDUCLASS"], header["HDUCLAS1"] = "OGIP", "LIGHTCURVE"
    header["HDUCLAS2"] = ("NET", "background subtracted")
    header["HDUCLAS3"] = "COUNT" if _in_counts(rows) else "RATE"
    header["TIMVERSN"] = "OGIP/93-003"
    header["TIMEZERO"], header["TIMEPIXR"] = 0.0, (0.5, "TIME is the centre of a bin")
    return header


def _time_header(rows: Table, reference: float) -> fits.Header:
    """Say when it was, and with what; the same for all extensions."""
    header = fits.Header()
    for key in ("TELESCOP", "INSTRUME"):
        if isinstance(rows.meta.get(key), str):
            header[key] = transliterated(rows.meta[key])
    header["TIMESYS"], header["TIMEUNIT"], header["TIMEREF"] = "TT", "s", "LOCAL"
    header["MJDREFI"], header["MJDREFF"] = (int(reference), "MJD (TT) from which TIME counts"), 0.0
    if len(rows):
        starts, stops = _edges(rows, reference)
        for key, date, moment in (("TSTART", "DATE-OBS", np.min(starts)), ("TSTOP", "DATE-END", np.max(stops))):
            header[key] = float(moment)
            header[date] = ((Time(reference, format="mjd", scale="tt") + moment * u.s).isot, "TT, as TIMESYS says")
    return header


def _constant_or_column(rows: Table, column: str, keyword: str, header: fits.Header, plain: Table) -> None:
    """A keyword for what is the same in all rows, nothing for what is unknown in all, else a column."""
    values = _plain(rows[column])
    if len(values) and not np.isnan(values).any() and np.all(values == values[0]):
        header[keyword] = float(values[0])
    elif len(values) and not np.isnan(values).all():
        plain[keyword] = values * (rows[column].unit or u.one)
        if column == "time_bin":
            # a column comes before a keyword of its name, but not all tools look for it
            header[keyword] = (float(np.nanmedian(values)), "median, see the column")
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
    # what is written already is right, whatever somebody has put into meta
    kept = [key for key, value in told.items() if header.get(key, value) == value]
    for key in kept:
        value = rows.meta[key]
        header[key] = transliterated(value) if isinstance(value, str) else value
    header["METAKEYS"] = ",".join(kept)
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


def _gti_hdu(rows: Table, number: int, reference: float) -> fits.BinTableHDU:
    starts, stops = _good_times(rows, reference)
    columns = [fits.Column("START", "D", unit="s", array=starts), fits.Column("STOP", "D", unit="s", array=stops)]
    header = _time_header(rows, reference)
    header["HDUCLASS"], header["HDUCLAS1"], header["HDUCLAS2"] = "OGIP", "GTI", "STANDARD"
    return fits.BinTableHDU.from_columns(columns, header=header, name="GTI", ver=number)


def _good_times(rows: Table, reference: float) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end of each stretch of bins with data."""
    value = rows.meta.get("VALUECOL")
    gaps = np.ma.getmaskarray(rows[value]) if value in rows.colnames else np.zeros(len(rows), dtype=bool)
    starts, stops = _edges(rows, reference)
    order = np.argsort(starts + stops)
    filled = np.flatnonzero(~gaps[order])
    order = order[filled]
    starts, stops = starts[order], stops[order]
    new = np.ones(len(order), dtype=bool)
    if np.array_equal(starts, stops):
        # widths unknown: neighbours belong together
        new[1:] = np.diff(filled) > 1
    else:
        # bins that touch, but for rounding, belong together
        new[1:] = starts[1:] > stops[:-1] + 5e-4 * np.maximum((stops - starts)[1:], 2e-6)
    return starts[new], stops[np.append(np.flatnonzero(new)[1:] - 1, len(order) - 1)] if len(order) else stops


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
    ...                                time_bin="1000 s", catalog=["MAXI J1820+070", "Ser X-1"])
    >>> same = read_lightcurve(write_lightcurve(curve, "curves.fits"))
    >>> len(same) == len(curve), same["time"].scale
    (True, 'tt')
    """
    from .lightcurve import empty_lightcurve

    try:
        with fits.open(path, memmap=False) as hdulist:
            parts = list(_read_parts(hdulist))
    except (KeyError, ValueError, TypeError) as error:
        raise DecodingError(f"{printable(path)} is no light curve of write_lightcurve: {printable(error)}.") from error
    if not parts:
        raise DecodingError(f"{printable(path)} is no light curve of write_lightcurve: it has no extension RATE.")
    filled = [part for part in parts if len(part)]
    return _joined(filled) if filled else empty_lightcurve()


def _read_parts(hdulist: fits.HDUList) -> Iterator[Table]:
    for hdu in hdulist:
        if hdu.name == "RATE" and isinstance(hdu, fits.BinTableHDU):
            yield _read_part(hdu)


def _read_part(hdu: fits.BinTableHDU) -> Table:
    header, stored = hdu.header, Table.read(hdu, mask_invalid=False)
    count = len(stored)
    reference = Time(header["MJDREFI"], header["MJDREFF"], format="mjd", scale="tt")
    name = original(str(header["OBJECT"]), header.get("SRCNAME8", ""))
    table = Table()
    table["src_name"] = np.array([name] * count, dtype=str)
    table["time"] = Time(reference + np.asarray(stored["TIME"]) * u.s, format="mjd")
    for column, keyword, unit in (("time_bin", "TIMEDEL", u.s), ("e_min", "E_MIN", u.keV), ("e_max", "E_MAX", u.keV)):
        told = (
            np.asarray(stored[keyword], dtype=float)
            if keyword in stored.colnames
            else np.full(count, header.get(keyword, np.nan))
        )
        unknown = np.isnan(told)
        table[column] = MaskedColumn(told, mask=unknown, unit=unit) if unknown.any() else Column(told, unit=unit)
    masked = str(header.get("MASKCOLS") or "").split(",")
    for column in (each for each in stored.colnames if each not in ("TIME", "TIMEDEL", "E_MIN", "E_MAX")):
        name = _FRACTION if column == header.get("RENAMED") else column
        table[name] = _restored(stored[column], masked=name in masked)
    for key in filter(None, str(header.get("METAKEYS") or "").split(",")):
        table.meta[key] = header[key]
    return table


def _restored(column: Column, *, masked: bool) -> Column:
    data = np.array(np.ma.getdata(column))
    data = data.astype(data.dtype.newbyteorder("="))
    unit = read_unit(str(column.unit)) if column.unit is not None else None
    if not masked:
        return Column(data, unit=unit)
    gone = np.isnan(data) if data.dtype.kind == "f" else np.ma.getmaskarray(column)
    return MaskedColumn(data, mask=gone, unit=unit)


def _joined(parts: list[Table]) -> Table:
    from astropy.table import vstack

    return parts[0] if len(parts) == 1 else vstack(parts, metadata_conflicts="silent")
