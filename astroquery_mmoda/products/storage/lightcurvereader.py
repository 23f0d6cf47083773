# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Light curves from the files of `write_lightcurve`."""

from __future__ import annotations

import json
import math
import os

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table, vstack
from astropy.time import Time

from ...allowance import Allowance
from ...config import conf
from ...decoding import unzipped
from ...errors import DecodingError, reading
from ...files import read_plain
from ...text import original
from ...units import read_unit
from ..cards import number, time_reference
from ..columnsizes import size_when_read
from ..lightcurve import empty_lightcurve
from .filenames import chosen_path
from .fitsfiles import opened
from .lightcurvefiles import KEYWORDS

# bytes for each row beside its columns
_ROW = 160
# columns times sources; genuine files have some thousands
_MOST_JOINED = 50_000


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
    # columns are copied; times and names come on top
    allowance.spend(size_when_read(hdu) + 3 * hdu.data.nbytes, "a light curve")
    allowance.left += min(count, allowance.body // 8) * _ROW
    allowance.spend((_ROW + 4 * len(str(header["OBJECT"]))) * count, "times and names")
    stored = {column.name: column for column in hdu.columns}
    day, fraction = time_reference(header) or (0.0, 0.0)
    reference = Time(day, fraction, format="mjd", scale=str(header.get("TIMESYS", "TT")).lower())
    name = original(str(header["OBJECT"]), header.get("SRCNAME8", ""))
    table = Table()
    table["src_name"] = np.array([name] * count, dtype=str)
    table["time"] = Time(reference + np.asarray(hdu.data["TIME"]) * u.s, format="mjd")
    for column, (keyword, unit) in KEYWORDS.items():
        constant = np.full(count, number(header, keyword, math.nan))
        values = np.asarray(hdu.data[keyword], dtype=float) if keyword in stored else constant
        unknown = np.isnan(values)
        table[column] = MaskedColumn(values, mask=unknown, unit=unit) if unknown.any() else Column(values, unit=unit)
    masked = str(header.get("MASKCOLS") or "").split(",")
    renamed = json.loads(header.get("RENAMED") or "{}")
    for column in (each for each in stored if each not in ("TIME", "TIMEDEL", "E_MIN", "E_MAX")):
        name = renamed.get(column, column)
        table[name] = _restored(hdu, stored[column], masked=name in masked)
    for key in filter(None, str(header.get("METAKEYS") or "").split(",")):
        table.meta[key] = day + fraction if key == "MJDREF" else header[key]
    return table


def _restored(hdu: fits.BinTableHDU, column: fits.Column, *, masked: bool) -> Column:
    """Read a column by itself: astropy's reader would parse its unit, however long that takes."""
    data = np.array(hdu.data[column.name])
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    unit = read_unit(column.unit) if column.unit else None
    if not masked:
        return Column(data, unit=unit)
    gone = np.isnan(data) if data.dtype.kind == "f" else column.null is not None and data == column.null
    return MaskedColumn(data, mask=gone, unit=unit)


def _joined(parts: list[Table], allowance: Allowance) -> Table:
    """All light curves in one table, in which each row is as wide as the widest."""
    if len(parts) == 1:
        return parts[0]
    widths: dict[str, int] = {}
    for part in parts:
        for name in part.colnames:
            width = part[name].dtype.itemsize * math.prod(part[name].shape[1:]) if name != "time" else 16
            widths[name] = max(widths.get(name, 0), width + 1)
    allowance.spend(sum(widths.values()) * sum(map(len, parts)), "all light curves")
    return vstack(parts, metadata_conflicts="silent")
