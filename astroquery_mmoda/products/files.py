# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Files for what a service named: safe names inside one directory, written whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from astropy.table import Table

from ..files import whole_file
from ..text import transliterated

__all__ = ["OutputDirectory", "OutputFile", "safe_name", "write_files", "write_whole"]

Writer = Callable[[BinaryIO], Any]

# with a counter and "_pha.fits" behind it, a name still fits into the 68 characters of a FITS keyword (RESPFILE)
_LONGEST = 48
_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
)


def safe_name(text: str, *, default: str = "product") -> str:
    """
    Turn any text into a name that is a plain file name on every common file system.

    Letters with accents lose them, Greek letters are spelled out, dashes of all kinds become ``-``, and whatever
    remains outside of ``A-Z a-z 0-9 . _ + -`` becomes one ``_``.

    Parameters
    ----------
    text : str
        For instance the name of a source: ``"Cyg X-1"`` gives ``"Cyg_X-1"``.
    default : str
        Name to use where nothing readable is left of ``text``; taken as it is.

    Returns
    -------
    str
        1 to 48 ASCII characters, not starting with ``.`` or ``-``, and no device name of Windows.
    """
    # bounded first, so that a name of megabytes costs nothing
    name = re.sub(r"[^A-Za-z0-9.+-]+", "_", transliterated(text[: 4 * _LONGEST]))
    name = re.sub(r"\.{2,}", ".", name)
    name = name.lstrip(".-_")[:_LONGEST].rstrip("._")
    if name.split(".")[0].upper() in _DEVICES:
        # Windows looks at the part in front of the first dot only
        name = f"_{name}"[:_LONGEST]
    return name or default


class OutputDirectory:
    """
    Names for new files inside one directory.

    All names of one writing are reserved before anything is written, so that a refusal leaves the directory as it was.

    Parameters
    ----------
    directory : str or path-like
        Chosen by the user, hence taken as it is (links included); made by `prepare` if it is not there.
    overwrite : bool
        Whether files that are there already may be replaced.
    """

    def __init__(self, directory: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.directory = Path(directory).expanduser()
        self.overwrite = overwrite
        self._paths: list[Path] = []
        self._taken: set[str] = set()

    def reserve(self, text: str, *endings: str, default: str = "product") -> tuple[Path, ...]:
        """
        Find names for files that belong together.

        Parameters
        ----------
        text : str
            What to call them; made safe by `safe_name`.
        *endings : str
            One per file, written by the caller and not by a service: ``"_pha.fits"``, ``"_arf.fits"``.
        default : str
            Name to use where nothing readable is left of ``text``.

        Returns
        -------
        tuple of `~pathlib.Path`
            One per ending, all with the same beginning. Where the plain name was given away before, whatever the case
            of its letters, the beginning ends in ``_2``, ``_3``, and so on.
        """
        stem = safe_name(text, default=default)
        names, number = [stem + ending for ending in endings], 1
        while self._taken.intersection(name.casefold() for name in names):
            number += 1
            names = [f"{stem}_{number}{ending}" for ending in endings]
        self._taken.update(name.casefold() for name in names)
        paths = tuple(self.directory / name for name in names)
        self._paths.extend(paths)
        return paths

    def prepare(self) -> None:
        """
        Make the directory, and refuse names that are in use.

        Raises
        ------
        FileExistsError
            If there are files of these names and ``overwrite`` is False.
        IsADirectoryError
            If there is a directory of such a name; it is not replaced.
        """
        for path in self._paths:
            if path.is_dir() and not path.is_symlink():
                raise IsADirectoryError(errno.EISDIR, "there is a directory of this name", str(path))
        existing = [path.name for path in self._paths if os.path.lexists(path)]
        if existing and not self.overwrite:
            raise FileExistsError(errno.EEXIST, _refusal(existing), str(self.directory))
        self.directory.mkdir(parents=True, exist_ok=True)

    def write(self, writers: Mapping[Path, Writer]) -> dict[Path, int]:
        """
        Write files under reserved names, each whole or not at all.

        Parameters
        ----------
        writers : dict
            For each path given by `reserve` a function that writes into the binary file it is handed.

        Returns
        -------
        dict
            Size of each file in bytes.

        Raises
        ------
        OSError
            As from `prepare`, before the first file is written, or from `write_whole`.
        """
        self.prepare()
        return {path: write_whole(path, writer) for path, writer in writers.items()}


@dataclass(frozen=True)
class OutputFile:
    """A file to be written: where to, what of which source is in it, and the function that writes it."""

    path: Path
    source: str
    kind: str
    write: Writer


def write_files(output: OutputDirectory, files: Sequence[OutputFile]) -> Table:
    """
    Write files and list them.

    Parameters
    ----------
    output : OutputDirectory
        Where their names were reserved.
    files : sequence of OutputFile
        What to write.

    Returns
    -------
    Table
        One row per file: ``path``, ``source``, ``kind`` and ``size`` (bytes).

    Raises
    ------
    OSError
        As from `OutputDirectory.write`.
    """
    sizes = output.write({file.path: file.write for file in files})
    rows = [(str(file.path), file.source, file.kind, sizes[file.path]) for file in files]
    return Table(rows=rows or None, names=("path", "source", "kind", "size"), dtype=("U", "U", "U", "i8"))


def _refusal(existing: list[str]) -> str:
    shown = ", ".join(existing[:5]) + (f" and {len(existing) - 5} more" if len(existing) > 5 else "")
    return f"nothing was written, since these files exist: {shown}; overwrite=True replaces them"


def write_whole(path: str | os.PathLike[str], write: Writer) -> int:
    """
    Write a file that appears under its name only when it is complete.

    Parameters
    ----------
    path : str or path-like
        Name of the file. What was there is replaced at the end; a link is replaced too, not followed.
    write : callable
        Called with a binary file open for writing. On a full disk it is called a second time, with a file that keeps
        nothing, to learn how much space is needed.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    OSError
        As from `~astroquery_mmoda.files.whole_file`.
    """
    with whole_file(path, needed=lambda: _size_of(write)) as file:
        write(file)
        file.flush()
        return os.fstat(file.fileno()).st_size


class _Counter(io.BytesIO):
    """A file that only counts."""

    size = 0

    def write(self, data: Any) -> int:
        length = memoryview(data).nbytes
        self.size += length
        return length

    def tell(self) -> int:
        return self.size


def _size_of(write: Writer) -> int | None:
    counter = _Counter()
    try:
        write(counter)
    except Exception:  # the first error is the one to tell about, this was only about its size
        return None
    return counter.size
