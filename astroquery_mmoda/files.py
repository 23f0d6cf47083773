# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Files on disk: written whole or not at all, and read without waiting for pipes, following links or filling memory."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from astropy.table import Table


_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_LEFTOVER = re.compile(r"\.mmoda-[0-9a-f]{16}\.part")
_LEFTOVER_AGE = 3600.0
# no waiting for the other end of a pipe
_READING = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))


class DiskFull(OSError):
    """No space is left, on the disk or of the user's quota; ``manifest`` lists what was written before, if anything."""

    manifest: Table | None = None


# ---- writing


@contextmanager
def whole_file(
    path: str | os.PathLike[str],
    *,
    private: bool = False,
    firmly: bool = True,
    needed: Callable[[], int | None] = lambda: None,
) -> Iterator[BinaryIO]:
    """
    Open a new file, for its owner only (forever if ``private``), that gets its name when the block ends without error.

    What had that name is replaced, also a link. ``needed`` gives the size (bytes), for the error of a full disk.
    """
    path = Path(path)
    temporary = path.with_name(f".mmoda-{secrets.token_hex(8)}.part")
    try:
        # mode "xb" would be the same, but astropy.io.fits does not know it
        with open(temporary, "wb", opener=partial(_create, mode=0o600 if private else 0o666)) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            _set_mode(file, 0o600)
            yield file
            file.flush()
            if firmly:
                os.fsync(file.fileno())
            if not private:
                _set_mode(file, mode)
        os.replace(temporary, path)
    except OSError as error:
        number = _errno(error)
        if full := _disk_full(number, path, needed):
            raise full from error
        if number is not None and (error.errno is None or error.filename == str(temporary)):
            # the name that the user gave
            raise OSError(number, error.strerror or os.strerror(number), str(path)) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _create(name: str, flags: int, *, mode: int) -> int:
    return os.open(name, flags | os.O_EXCL, mode)


def _set_mode(file: BinaryIO, mode: int) -> None:
    # there are file systems without modes
    with suppress(OSError, AttributeError):
        os.fchmod(file.fileno(), mode)


def _errno(error: BaseException | None) -> int | None:
    """Number of an error of the system; astropy raises one of its own, without a number, while handling it."""
    while isinstance(error, OSError) and error.errno is None:
        error = error.__cause__ or error.__context__
    return error.errno if isinstance(error, OSError) else None


def _disk_full(number: int | None, path: Path, needed: Callable[[], int | None]) -> DiskFull | None:
    """Error that says how much space is missing, if that is what happened; numpy reports a full disk without number."""
    try:
        free, size = shutil.disk_usage(path.parent).free, needed()
    except OSError:  # the directory was removed
        return None
    missing = 0 if size is None else size - free
    if number not in _FULL and (number is not None or missing <= 0):
        return None
    needs = " for this file" if size is None else f": the file needs {size:,} bytes"
    # a quota, or another program meanwhile, can leave more free than this user may take
    more = f"{missing:,} are missing" if missing > 0 else "a quota may allow less"
    return DiskFull(number or errno.ENOSPC, f"no space left{needs}, {free:,} are free, {more}", str(path))


def can_be_made(directory: Path) -> bool:
    """Whether a directory can be written to, or be made, as far as its permissions say."""
    while not os.path.lexists(directory) and directory != directory.parent:
        directory = directory.parent
    return directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)


def remove_leftovers(directory: Path, *, age: float = _LEFTOVER_AGE) -> None:
    """Remove what killed writers left in a directory: files of `whole_file`'s names, not written to for so long (s)."""
    for path in directory.glob(".mmoda-*.part"):
        with suppress(OSError):
            status = path.lstat()
            is_ours = _LEFTOVER.fullmatch(path.name) and stat.S_ISREG(status.st_mode)
            if is_ours and time.time() - status.st_mtime > age:
                path.unlink()


# ---- reading


def read_plain(path: str | os.PathLike[str], *, limit: int, links: bool = False) -> bytes:
    """All bytes of a plain file; `OSError` for a pipe, which would block, a device, a link, or a larger file."""
    if not links and os.path.islink(path):
        raise OSError(errno.ELOOP, "it is a link", str(path))
    flags = _READING if links else _READING | getattr(os, "O_NOFOLLOW", 0)
    with open(path, "rb", opener=lambda name, given: os.open(name, given | flags)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file", str(path))
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit} bytes", str(path))
    return data
