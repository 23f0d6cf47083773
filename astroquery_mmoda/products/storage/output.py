# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Files with their contents, written whole or not at all, and the list of what was written."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from astropy.io import fits
from astropy.table import Table

from ...errors import MmodaError, reading
from ...files import DiskFull, whole_file
from ...text import printable, shorten
from .filenames import OutputDirectory

_MOST_SHOWN = 5


@dataclass(frozen=True)
class OutputFile:
    """
    A file to be written: what of which source is in it, its content, and where it goes.

    What could not even be prepared has the error as content. A file is not written if one of those that it ``needs``,
    since it names them, could not be.
    """

    source: str
    kind: str
    content: bytes | fits.HDUList | Exception
    path: Path = Path()
    needs: tuple[Path, ...] = ()


#: a file with its size (bytes), or why it was not written
FileOutcome = tuple[OutputFile, int | Exception]


def write_whole(path: Path, content: bytes | fits.HDUList, *, overwrite: bool = True) -> int:
    """
    Write a file that appears under its name only when it is complete; a link is replaced, not followed.

    Parameters
    ----------
    path : Path
        Name of the file.
    content : bytes or HDUList
        Of an HDUList, astropy mends what it can (the service writes the headers), and refuses the rest.
    overwrite : bool
        Whether a file that is there is replaced at the end.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    FileExistsError
        The file is there already.
    OSError
        As from `~astroquery_mmoda.files.whole_file`.
    """
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "the file is there already; overwrite=True replaces it", str(path))
    with whole_file(path, needed=lambda: _size_of(content)) as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            content.writeto(file, output_verify="silentfix", checksum=True)
        file.flush()
        return os.fstat(file.fileno()).st_size


def _size_of(content: bytes | fits.HDUList) -> int | None:
    if isinstance(content, bytes):
        return len(content)
    return sum(hdu.filebytes() for hdu in content)


def write_files(output: OutputDirectory, files: Sequence[OutputFile]) -> list[FileOutcome]:
    """
    Write files, each whole or not at all; one that can't be written does not stop the others, unless the disk is full.

    Parameters
    ----------
    output : OutputDirectory
        Where their names were reserved; `OSError` as from its ``prepare`` if nothing was written.
    files : sequence of OutputFile
        What to write, and what failed already.

    Returns
    -------
    list of (OutputFile, int or Exception)
        In the order of ``files``.
    """
    if not files or not all(isinstance(file.content, Exception) for file in files):
        output.prepare()
    outcomes: dict[int, int | Exception] = {}
    missing: set[Path] = set()
    is_full = False
    # those that others need come first
    for index, file in sorted(enumerate(files), key=lambda each: bool(each[1].needs)):
        outcomes[index] = outcome = _written(file, missing, is_full=is_full)
        is_full |= isinstance(outcome, DiskFull)
        if isinstance(outcome, Exception):
            missing.add(file.path)
    return [(file, outcomes[index]) for index, file in enumerate(files)]


def _written(file: OutputFile, missing: set[Path], *, is_full: bool) -> int | Exception:
    """Size of a file that was written, or why it was not."""
    if isinstance(file.content, Exception):
        return file.content
    if is_full:
        return MmodaError("not tried, since no space is left")
    if needed := ", ".join(path.name for path in file.needs if path in missing):
        return MmodaError(f"{file.path.name} names {needed}, which could not be written")
    try:
        with reading(file.path.name):
            try:
                return write_whole(file.path, file.content)
            except OSError as error:
                if error.errno is None:  # of the library, about the data
                    raise
                return error
    except MmodaError as error:
        return error


def manifest_of(directory: Path, outcomes: Sequence[FileOutcome]) -> Table:
    """
    List what was written, if all was.

    Parameters
    ----------
    directory : Path
        Where the files are.
    outcomes : sequence of (OutputFile, int or Exception)
        As from `write_files`.

    Returns
    -------
    Table
        One row per file: ``path``, ``source``, ``kind``, ``size`` (bytes) and ``error``. What could not be written has
        an empty path, the size 0, and the reason as error, which is empty otherwise.

    Raises
    ------
    DiskFull
        No space was left, so that nothing was tried after that.
    MmodaError
        Some files could not be written; of the class of their errors where it is one for all.
    """
    rows: list[tuple[str, str, str, int, str]] = []
    for file, outcome in outcomes:
        what = printable(file.source), file.kind
        if isinstance(outcome, Exception):
            rows.append(("", *what, 0, _reason(outcome)))
        else:
            rows.append((str(file.path), *what, outcome, ""))
    manifest = Table(
        rows=rows or None, names=("path", "source", "kind", "size", "error"), dtype=("U", "U", "U", "i8", "U")
    )
    errors = [outcome for _, outcome in outcomes if isinstance(outcome, Exception)]
    for error in errors:
        if isinstance(error, DiskFull):
            error.manifest = manifest
            raise error
    if errors:
        kinds = {type(error) if isinstance(error, MmodaError) else MmodaError for error in errors}
        kind = kinds.pop() if len(kinds) == 1 else MmodaError
        raise kind(_summary(directory, manifest), manifest=manifest)
    return manifest


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return printable(f"{Path(error.filename2 or error.filename).name}: {error.strerror}")
    return printable(error)


def _summary(directory: Path, manifest: Table) -> str:
    failed = manifest[manifest["error"] != ""]
    shown = [
        f"{row['kind']} {printable(row['source'], limit=60)}".strip() + f": {shorten(row['error'], 250)}"
        for row in failed[:_MOST_SHOWN]
    ]
    more = [f"and {len(failed) - _MOST_SHOWN} more"] if len(failed) > _MOST_SHOWN else []
    return (
        f"{len(failed)} of {len(manifest)} files could not be written to {printable(directory, limit=200)}: "
        f"{'; '.join(shown + more)}. The manifest of this error (.manifest) lists these and what was written."
    )
