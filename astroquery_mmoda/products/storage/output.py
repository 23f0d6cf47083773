# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Files with safe names in a directory of the user, written whole or not at all, and the list of what was written."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from astropy.io import fits
from astropy.table import Table

from ...errors import MmodaError, ParameterError, reading
from ...files import DiskFull, remove_leftovers, whole_file
from ...text import listed, printable, shorten, transliterated

#: beginning of the names of indexes; files of products have no such names
INDEX_PREFIX = "mmoda-"
# with a counter and "_pha.fits" behind it, a name still fits into the 68 characters of a FITS keyword (RESPFILE)
_LONGEST = 48


def safe_name(text: str, *, default: str = "product") -> str:
    """Turn any text into a file name in letters that all file systems have: 1 to 48 of ``A-Z a-z 0-9 . _ + -``."""
    # bounded first, so that a name of megabytes costs nothing
    name = re.sub(r"[^A-Za-z0-9.+-]+", "_", transliterated(text[: 4 * _LONGEST]))
    name = re.sub(r"\.{2,}", ".", name).lstrip(".-_")[:_LONGEST].rstrip("._")
    return name or default


def chosen_path(path: str | os.PathLike[str]) -> Path:
    """Path that a user gave, with ``~`` spelled out; `ParameterError` if it can't be one."""
    try:
        chosen = Path(path).expanduser()
        if b"\0" in os.fsencode(chosen):
            raise ValueError("it has a NUL character")
    except (TypeError, ValueError, RuntimeError) as error:  # the last one for an unknown home directory
        raise ParameterError(f"{printable(path, limit=200)!r} is not a valid path ({printable(error)}).") from error
    return chosen


def make_directory(directory: Path) -> None:
    """Make a directory for files, or clear one that is there of what killed writers left; `OSError` if it can't be."""
    directory.mkdir(parents=True, exist_ok=True)
    remove_leftovers(directory)


class OutputDirectory:
    """
    Names for new files inside one directory, which the user chose and is hence taken as it is, links included.

    All names of one writing are reserved before anything is written, so that a refusal leaves the directory as it was.
    """

    def __init__(self, directory: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.directory = chosen_path(directory)
        self.overwrite = overwrite
        self._names: list[str] = []
        self._taken: set[str] = set()  # without case

    def reserve(self, text: str, *endings: str, default: str = "product") -> list[Path]:
        """Find names with one beginning, from a text, and these endings; ends in ``_2`` where it is in use."""
        stem = safe_name(text, default=default)
        names, number = [stem + ending for ending in endings], 1
        while self._taken.intersection(map(str.casefold, names)):
            number += 1
            names = [f"{stem}_{number}{ending}" for ending in endings]
        self._taken.update(map(str.casefold, names))
        self._names += names
        return [self.directory / name for name in names]

    def prepare(self) -> None:
        """Make the directory; `OSError` if names are in use and not to be overwritten, or if it fails."""
        existing = [name for name in self._names if os.path.lexists(self.directory / name)]
        if existing and not self.overwrite:
            text = f"nothing was written, since these files exist: {listed(existing, most=5)}"
            raise FileExistsError(errno.EEXIST, f"{text}; overwrite=True replaces them", str(self.directory))
        make_directory(self.directory)
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no file can be made in this directory", str(self.directory))


@dataclass(eq=False)
class OutputFile:
    """A file to be written: what of which source is in it, its content, where it goes, its size, and what failed."""

    source: str
    kind: str
    content: bytes | fits.HDUList = b""
    path: Path = Path()
    size: int = 0
    error: Exception | None = None


def write_whole(path: Path, content: bytes | fits.HDUList, *, overwrite: bool = True) -> int:
    """Write a file that appears under its name only when it is complete, and give its size; a link is replaced."""
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "the file is there already; overwrite=True replaces it", str(path))
    with whole_file(path, needed=lambda: _size_of(content)) as file:
        if isinstance(content, bytes):
            file.write(content)
        else:  # astropy mends what it can (the service writes the headers), and refuses the rest
            columns = (column for hdu in content for column in getattr(hdu, "columns", ()))
            # astropy 6 fails at the checksum of rows of text of variable length
            checksum = not any(re.match("[01]?[PQ]A", column.format) for column in columns)
            content.writeto(file, output_verify="silentfix", checksum=checksum)
        file.flush()
        return os.fstat(file.fileno()).st_size


def _size_of(content: bytes | fits.HDUList) -> int:
    return len(content) if isinstance(content, bytes) else sum(hdu.filebytes() for hdu in content)


def write_files(output: OutputDirectory, files: Sequence[OutputFile]) -> None:
    """Write files, and note what fails; one that can't be written stops others only on a full disk."""
    prepared = [file for file in files if not file.error]
    if prepared or not files:
        output.prepare()
    is_full = False
    for file in prepared:
        try:
            if is_full:
                raise MmodaError("not tried, since no space is left")
            with reading(file.path.name):
                file.size = write_whole(file.path, file.content)
        except MmodaError as error:
            cause = error.__cause__
            # errors of the system have a number, those of the library about the data have none
            file.error = cause if isinstance(cause, OSError) and cause.errno is not None else error
            is_full |= isinstance(cause, DiskFull)


def manifest_of(directory: Path, files: Sequence[OutputFile]) -> Table:
    """List what was written; if not all was, the list is the ``manifest`` of the error that is raised."""
    rows = []
    for file in files:
        path, reason = ("", printable(file.error)) if file.error else (str(file.path), "")
        rows.append((path, printable(file.source), file.kind, file.size, reason))
    names = ("path", "source", "kind", "size", "error")
    manifest = Table(rows=rows or None, names=names, dtype=("U", "U", "U", "i8", "U"))
    errors = [file.error for file in files if file.error]
    for error in errors:
        if isinstance(error, DiskFull):
            error.manifest = manifest
            raise error
    if errors:
        kinds = {type(error) if isinstance(error, MmodaError) else MmodaError for error in errors}
        failed = manifest[manifest["error"] != ""]
        reasons = [f"{row['kind']} {row['source'][:60]}: {shorten(row['error'], 250)}" for row in failed]
        raise (kinds.pop() if len(kinds) == 1 else MmodaError)(
            f"{len(errors)} of {len(files)} files could not be written to {printable(directory, limit=200)} (the "
            f".manifest of this error lists all): {'; '.join(reasons)}",
            manifest=manifest,
        )
    return manifest
