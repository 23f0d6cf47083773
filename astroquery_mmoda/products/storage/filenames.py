# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Files for what a service named: safe names inside one directory, written whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from astropy.table import Table

from ...errors import MmodaError, ParameterError, reading
from ...files import DiskFull, remove_leftovers, whole_file
from ...text import printable, shorten, transliterated

__all__ = [
    "Failure",
    "OutputDirectory",
    "OutputFile",
    "Report",
    "chosen_path",
    "make_directory",
    "safe_name",
    "write_files",
    "write_whole",
]

Writer = Callable[[BinaryIO], Any]

# with a counter and "_pha.fits" behind it, a name still fits into the 68 characters of a FITS keyword (RESPFILE)
_LONGEST = 48
_MOST_SHOWN = 5
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


def chosen_path(path: str | os.PathLike[str]) -> Path:
    """
    Path that a user gave, with ``~`` spelled out.

    Raises
    ------
    ParameterError
        It can't be one.
    """
    try:
        chosen = Path(path).expanduser()
        if b"\0" in os.fsencode(chosen):
            raise ValueError("it has a NUL character")
    except (TypeError, ValueError, RuntimeError) as error:  # the last one about the home of nobody
        raise ParameterError(f"{printable(path, limit=200)!r} is not a valid path ({printable(error)}).") from error
    return chosen


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
        self.directory = chosen_path(directory)
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
        OSError
            If the directory can't be made or written to.
        """
        for path in self._paths:
            if path.is_dir() and not path.is_symlink():
                raise IsADirectoryError(errno.EISDIR, "there is a directory of this name", str(path))
        existing = [path.name for path in self._paths if os.path.lexists(path)]
        if existing and not self.overwrite:
            raise FileExistsError(errno.EEXIST, _refusal(existing), str(self.directory))
        make_directory(self.directory)
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no file can be made in this directory", str(self.directory))


@dataclass(frozen=True)
class OutputFile:
    """
    A file to be written: where to, what of which source is in it, and the function that writes it.

    It is not written if one of those that it ``needs``, since it names them, could not be.
    """

    path: Path
    source: str
    kind: str
    write: Writer
    needs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Failure:
    """In the place of a file: what could not even be prepared, and why."""

    source: str
    kind: str
    error: MmodaError | OSError


@dataclass(frozen=True)
class Report:
    """What became of files, in their order: their sizes (bytes), or why they could not be written."""

    directory: Path
    outcomes: Sequence[tuple[OutputFile | Failure, int | Exception]]

    @property
    def written(self) -> set[Path]:
        """Paths of the files that are there now."""
        return {file.path for file, outcome in self.outcomes if isinstance(file, OutputFile) and _is_size(outcome)}

    def manifest(self) -> Table:
        """
        List what was written and what was not.

        Returns
        -------
        Table
            One row per file: ``path``, ``source``, ``kind``, ``size`` (bytes) and ``error``. What could not be written
            has an empty path, the size 0, and the reason as error, which is empty otherwise.
        """
        rows = [
            ("", printable(file.source), file.kind, 0, _reason(outcome))
            if isinstance(file, Failure) or isinstance(outcome, Exception)
            else (str(file.path), printable(file.source), file.kind, outcome, "")
            for file, outcome in self.outcomes
        ]
        names = ("path", "source", "kind", "size", "error")
        return Table(rows=rows or None, names=names, dtype=("U", "U", "U", "i8", "U"))

    def finish(self) -> Table:
        """
        Give the manifest if all was written.

        Raises
        ------
        DiskFull
            No space was left, so that nothing was tried after that.
        MmodaError
            Some files could not be written; of the class of their errors where it is one for all.
        """
        manifest, errors = self.manifest(), [outcome for _, outcome in self.outcomes if not _is_size(outcome)]
        for error in errors:
            if isinstance(error, DiskFull):
                error.manifest = manifest
                raise error
        if not errors:
            return manifest
        kinds = {type(error) for error in errors}
        kind = kinds.pop() if len(kinds) == 1 else MmodaError
        raise (kind if issubclass(kind, MmodaError) else MmodaError)(self._summary(manifest), manifest=manifest)

    def _summary(self, manifest: Table) -> str:
        failed = manifest[manifest["error"] != ""]
        shown = [
            f"{row['kind']} {printable(row['source'], limit=60)}".strip() + f": {shorten(row['error'], 250)}"
            for row in failed[:_MOST_SHOWN]
        ]
        more = [f"and {len(failed) - _MOST_SHOWN} more"] if len(failed) > _MOST_SHOWN else []
        return (
            f"{len(failed)} of {len(manifest)} files could not be written to {printable(self.directory, limit=200)}: "
            f"{'; '.join(shown + more)}. The manifest of this error (.manifest) lists these and what was written."
        )


def _is_size(outcome: int | Exception) -> bool:
    return not isinstance(outcome, Exception)


def _reason(error: int | Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return printable(f"{Path(error.filename2 or error.filename).name}: {error.strerror}")
    return printable(error)


def write_files(output: OutputDirectory, files: Sequence[OutputFile | Failure]) -> Report:
    """
    Write files, each whole or not at all; one that can't be written does not stop the others, unless the disk is full.

    Parameters
    ----------
    output : OutputDirectory
        Where their names were reserved.
    files : sequence of OutputFile or Failure
        What to write, and what failed already.

    Raises
    ------
    OSError
        As from `OutputDirectory.prepare`; then nothing was written.
    """
    if not files or any(isinstance(file, OutputFile) for file in files):
        output.prepare()
    outcomes: dict[int, int | Exception] = {}
    missing: set[Path] = set()
    full = False
    # those that others need come first
    for index, file in sorted(enumerate(files), key=lambda each: bool(getattr(each[1], "needs", ()))):
        outcomes[index] = outcome = _outcome(file, missing, full=full)
        full |= isinstance(outcome, DiskFull)
        if isinstance(file, OutputFile) and isinstance(outcome, Exception):
            missing.add(file.path)
    return Report(output.directory, [(file, outcomes[index]) for index, file in enumerate(files)])


def _outcome(file: OutputFile | Failure, missing: set[Path], *, full: bool) -> int | Exception:
    """Size of a file that was written, or why it was not."""
    if isinstance(file, Failure):
        return file.error
    if full:
        return MmodaError("not tried, since no space is left")
    if needed := ", ".join(path.name for path in file.needs if path in missing):
        return MmodaError(f"{file.path.name} names {needed}, which could not be written")
    try:
        with reading(file.path.name):
            try:
                return write_whole(file.path, file.write)
            except OSError as error:
                if error.errno is None:  # of the library, about the data
                    raise
                return error
    except MmodaError as error:
        return error


def make_directory(directory: Path) -> None:
    """
    Make a directory for files, or clear one that is there of what killed writers left.

    Raises
    ------
    OSError
        If there is something else of its name, or it can't be made.
    """
    if os.path.lexists(directory) and not directory.is_dir():
        what = "a link to nothing, or to a file" if directory.is_symlink() else "not a directory"
        raise NotADirectoryError(errno.ENOTDIR, f"it is {what}; choose another directory", str(directory))
    directory.mkdir(parents=True, exist_ok=True)
    remove_leftovers(directory)


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
