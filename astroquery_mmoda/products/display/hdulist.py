# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What is in an HDUList, as a table; from headers only."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, Table

from ...errors import ParameterError
from ...protocol import VALUE_COLUMNS
from ...text import original, printable
from ..cards import card_value, energy_band

# widths of texts, so that a row fits into 80 columns
_LIMITS = {"name": 16, "shape": 18, "unit": 16, "band": 18, "source": 24}


def show_hdulist(hdulist: fits.HDUList) -> Table:
    """
    Show what is in an image, in spectra, or in any other HDUList.

    Only headers are read, also of a file that is open.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        As returned by ``query_image`` and ``query_spectrum``, or opened by `astropy.io.fits.open`.

    Returns
    -------
    `~astropy.table.Table`
        One HDU in a row: ``index``; ``name`` and ``ver`` (EXTNAME and EXTVER, as in ``hdulist[name, ver]``); ``shape``
        (pixels, as FITS counts them, or rows of a table; empty without data); ``unit`` (BUNIT, or that of the column of
        values); ``band`` (energies in keV) and ``source`` (SRC_NAME), empty where the header has none.

    Raises
    ------
    ParameterError
        It is not an HDUList.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda, show_hdulist
    >>> mosaic = Mmoda.query_image("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58246.892),
    ...                            max_pointings=10)
    >>> show_hdulist(mosaic)["name", "ver", "shape", "unit", "band"].pprint()
        name     ver   shape       unit       band
    ------------ --- --------- ----------- ---------
         PRIMARY   1
        GROUPING   1    4 rows
       INTENSITY   1 370 x 370   count / s 20-40 keV
        VARIANCE   1 370 x 370 count2 / s2 20-40 keV
    SIGNIFICANCE   1 370 x 370             20-40 keV
        EXPOSURE   1 370 x 370           s 20-40 keV
         CATALOG   1    8 rows
    """
    if not isinstance(hdulist, fits.HDUList):
        kind = type(hdulist).__name__
        raise ParameterError(f"show_hdulist takes an HDUList, such as a mosaic or spectra, not a {kind}.")
    rows = [_row_of(hdu) for hdu in hdulist]
    table = Table({"index": np.arange(len(rows))})
    table["name"] = _texts("name", rows)
    table["ver"] = np.array([hdu.ver for hdu in hdulist], dtype=int)
    for name in ("shape", "unit", "band", "source"):
        table[name] = _texts(name, rows)
    return table


def _texts(name: str, rows: list[dict[str, Any]]) -> Column:
    return Column([printable(row[name], limit=_LIMITS[name]) for row in rows], dtype="U")


def _row_of(hdu: Any) -> dict[str, Any]:
    header = hdu.header
    is_table = isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)) and not isinstance(hdu, fits.CompImageHDU)
    lengths = reversed(() if is_table else hdu.shape)
    rows = header.get("NAXIS2", 0)
    band = energy_band(header)
    unit = _unit_of_values(hdu.columns) if is_table else card_value(header, "BUNIT")
    return {
        "name": hdu.name or ("PRIMARY" if isinstance(hdu, fits.PrimaryHDU) else ""),
        "shape": f"{rows} row{'s' * (rows != 1)}" if is_table else " x ".join(map(str, lengths)),
        "unit": unit or "",
        "band": f"{band[0]:.4g}-{band[1]:.4g} keV" if band else "",
        "source": original(str(header.get("SRC_NAME", "")), str(header.get("SRCNAME8", ""))),
    }


def _unit_of_values(columns: fits.ColDefs) -> str:
    """Unit of what was measured, as far as usual names tell it."""
    units = {column.name.upper(): column.unit for column in columns}
    return next((units[name] for name in (*VALUE_COLUMNS, "SPECRESP") if units.get(name)), "")
