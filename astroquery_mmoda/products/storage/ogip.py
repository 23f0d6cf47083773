# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Spectra as files for XSPEC, Sherpa and the like.

The files follow the OGIP memos 92-007 and 92-007a (spectra, "PHA") and the calibration memos CAL/GEN/92-002 and 92-002a
(effective areas, "ARF", and redistribution matrices, "RMF"). The HDUs that they are made of stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from astropy.io import fits
from astropy.table import Table

from ...errors import MmodaError, reading
from ..cards import add_date, drop_missing, mend_rows
from ..spectrum import ROLES
from .grouping import SpectrumOptions
from .ogiptables import numbering, ogip_tables, plain_header
from .output import OutputDirectory, OutputFile, manifest_of, write_files
from .provenance import creator
from .spectrumtable import find_table, pick_sources

#: which tables are in a file of a kind, in their order
TABLES_IN = {"spectrum": ("SPECTRUM",), "arf": ("SPECRESP",), "rmf": ("EBOUNDS", "MATRIX")}
_ENDINGS = {"spectrum": "_pha.fits", "arf": "_arf.fits", "rmf": "_rmf.fits"}


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
    output, options = OutputDirectory(directory, overwrite=overwrite), SpectrumOptions(group, systematic)
    sources = pick_sources(spectra)
    found = [{role: hdu for role in ROLES if (hdu := find_table(spectra, role, ver)) is not None} for ver, _ in sources]
    options.check([(name, own["SPECTRUM"]) for (_, name), own in zip(sources, found, strict=True) if "SPECTRUM" in own])
    files: list[OutputFile] = []
    for (ver, name), tables in zip(sources, found, strict=True):
        try:
            with reading("spectrum"):
                contents = ogip_tables(tables, numbering(tables), spectra[0].header, name, options)
                files += ogip_files(contents, spectra[0].header, name, output, default=f"source_{ver}")
        except MmodaError as error:
            files.append(OutputFile(name, "spectrum", error))
    return manifest_of(output.directory, write_files(output, files))


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
    responses = tuple(path for kind, path in paths.items() if kind != "spectrum")
    return [
        OutputFile(name, kind, _ogip_file(provenance, hdus), paths[kind], needs=responses if kind == "spectrum" else ())
        for kind, hdus in contents.items()
    ]


def _ogip_file(provenance: fits.Header, hdus: Sequence[Any]) -> fits.HDUList:
    """Make a file of some tables; its primary says where they are from, as the one of the query did."""
    primary = fits.PrimaryHDU(header=plain_header(provenance))
    primary.header.setdefault("CREATOR", creator())
    add_date(primary.header)
    for hdu in hdus:
        drop_missing(hdu.header, words=False)  # such as TUNIT of a column that lost its unit
        mend_rows(hdu)
    return fits.HDUList([primary, *hdus])
