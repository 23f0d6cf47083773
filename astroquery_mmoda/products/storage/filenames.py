# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Safe file names for what a service named, inside a directory that the user chose."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from ...errors import ParameterError
from ...files import remove_leftovers
from ...text import printable, transliterated

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
        1 to 48 ASCII characters, not starting with ``.`` or ``-``, and not the name of a device of Windows.
    """
    # bounded first, so that a name of megabytes costs nothing
    name = re.sub(r"[^A-Za-z0-9.+-]+", "_", transliterated(text[: 4 * _LONGEST]))
    name = re.sub(r"\.{2,}", ".", name)
    name = name.lstrip(".-_")[:_LONGEST].rstrip("._")
    if name.split(".")[0].upper() in _DEVICES:
        # for Windows, the part in front of the first dot decides
        name = f"_{name}"[:_LONGEST]
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
    if os.path.lexists(directory) and not directory.is_dir():
        what = "a link to nothing, or to a file" if directory.is_symlink() else "not a directory"
        raise NotADirectoryError(errno.ENOTDIR, f"it is {what}; choose another directory", str(directory))
    directory.mkdir(parents=True, exist_ok=True)
    remove_leftovers(directory)


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

    def reserve(self, text: str, *endings: str, default: str = "product") -> list[Path]:
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
        list of `~pathlib.Path`
            One per ending, all with the same beginning. Where the plain name was given away before, whatever the case
            of its letters, the beginning ends in ``_2``, ``_3``, and so on.
        """
        stem = safe_name(text, default=default)
        names, number = [stem + ending for ending in endings], 1
        while self._taken.intersection(name.casefold() for name in names):
            number += 1
            names = [f"{stem}_{number}{ending}" for ending in endings]
        self._taken.update(name.casefold() for name in names)
        paths = [self.directory / name for name in names]
        self._paths += paths
        return paths

    def prepare(self) -> None:
        """Make the directory; `OSError` if names are in use, by directories or without ``overwrite``, or it fails."""
        for path in self._paths:
            if path.is_dir() and not path.is_symlink():
                raise IsADirectoryError(errno.EISDIR, "there is a directory of this name", str(path))
        existing = [path.name for path in self._paths if os.path.lexists(path)]
        if existing and not self.overwrite:
            more = f" and {len(existing) - 5} more" if len(existing) > 5 else ""
            text = f"nothing was written, since these files exist: {', '.join(existing[:5])}{more}"
            raise FileExistsError(errno.EEXIST, f"{text}; overwrite=True replaces them", str(self.directory))
        make_directory(self.directory)
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no file can be made in this directory", str(self.directory))
