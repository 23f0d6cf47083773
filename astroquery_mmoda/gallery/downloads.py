# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Files of published products, fetched whole or not at all.

A file gets its published name and a mark of its address, so that a later call knows what is there already. What was
begun is kept beside it under a name with a dot in front, and continued if the service's file is still the same.
"""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import logging
import math
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
from astropy.table import Row, Table
from astropy.utils.console import ProgressBar, isatty
from astroquery import log

from ..config import conf
from ..dispatcher import Dispatcher, Interrupted, Stream, wait_for_next_try
from ..errors import ParameterError, ServiceError
from ..products.files import safe_name
from ..session import Connection
from ..text import printable

if TYPE_CHECKING:
    from ..core import MmodaClass

_locks: ModuleType | None
try:
    import fcntl as _locks
except ImportError:  # Windows
    _locks = None

__all__ = ["download_products"]

_MOST_REDIRECTS = 5
_SEVERAL = re.compile(r"\s*,\s+|[,;|\s]+(?=https?://)", re.I)
_ENDING = re.compile(r"((?:\.(?:fits|tar|ecsv|txt|csv|xml))?\.[A-Za-z0-9]{1,8})$")
_PAGES = ("html", "htm")


@dataclass(frozen=True)
class File:
    """A file to fetch: its address, what of which source is in it, and where it goes."""

    url: str
    source: str
    kind: str
    path: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    size: int
    status: str
    message: str = ""


def download_products(
    client: MmodaClass, rows: Any, *, directory: str | os.PathLike[str] = ".", overwrite: bool = False
) -> Table:
    """Fetch the files behind rows of the archive; see `MmodaClass.download_products`."""
    place = Path(directory).expanduser()
    files = _files(rows, place, client.URL)
    place.mkdir(parents=True, exist_ok=True)
    dispatcher = Connection(client).dispatcher()
    bar = _Bar(len(files))
    outcomes = []
    for file in files:
        outcomes.append(_one(dispatcher, file, overwrite=overwrite, bar=bar))
        bar.next_file()
    return _manifest(files, outcomes)


def _manifest(files: list[File], outcomes: list[Outcome]) -> Table:
    table = Table(
        rows=[
            (str(file.path), printable(file.url), file.source, file.kind, result.size, result.status, result.message)
            for file, result in zip(files, outcomes, strict=True)
        ]
        or None,
        names=("path", "url", "source", "kind", "size", "status", "message"),
        dtype=("U", "U", "U", "U", "i8", "U", "U"),
    )
    table["size"].unit = "byte"
    return table


# ---- which files


def _files(rows: Any, place: Path, server: str) -> list[File]:
    """Each address once, in the order of the rows."""
    found: dict[str, File] = {}
    for row in _rows(rows):
        page = _text(row.get("product_path"))
        base = page if page.lower().startswith(("http://", "https://")) else f"{server}/"
        for reference in _references(row):
            url = _joined(base, reference)
            source, kind = _text(row.get("target_name")), _text(row.get("dataproduct_type"))
            found.setdefault(url, File(url, source, kind, place / _file_name(url)))
    return list(found.values())


def _joined(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:  # such as brackets that hold no address; told of when it is to be fetched
        return reference


def _rows(rows: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(rows, (Row, Mapping)):
        rows = [rows]
    if not isinstance(rows, (Table, list, tuple)):
        raise ParameterError(f"rows must be a Table of published products or rows of one, not {type(rows).__name__}.")
    for row in rows:
        names = row.colnames if isinstance(row, Row) else list(row) if isinstance(row, Mapping) else []
        if not {"access_url", "file_uri"}.intersection(names):
            raise ParameterError("rows need a column access_url, as query_region() and query_object() return it.")
        yield {name: row[name] for name in names}


def _references(row: Mapping[str, Any]) -> list[str]:
    """Addresses in a row: none, one, or several with commas or blanks between them."""
    value = row["access_url"] if "access_url" in row else row["file_uri"]
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value):
        parts = [_text(item) for item in value]
    else:
        text = _text(value)
        parts = _SEVERAL.split(text) if "://" in text else text.split(",")
    return [part.strip() for part in parts if part and part.strip()]


def _text(value: Any) -> str:
    """Text of a cell; empty if it is masked."""
    if value is None or value is np.ma.masked:
        return ""
    return printable(value.decode("utf-8", "replace") if isinstance(value, bytes) else value, limit=20_000)


def _file_name(url: str) -> str:
    """The published name in safe letters, with a mark that no other address has."""
    mark = hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:8]
    last = unquote(re.split(r"[?#]", url)[0].rstrip("/").rpartition("/")[2])
    ending = _ENDING.search(last)
    stem = last[: ending.start()] if ending else last
    return f"{safe_name(stem)}_{mark}{ending[1] if ending else ''}"


# ---- which addresses


def _refusal(url: str, server: str) -> str:
    """Why an address is not asked; empty if it may be."""
    try:
        parts, own = urlsplit(url), urlsplit(server)
        origin, port = (parts.scheme, parts.hostname, parts.port), parts.port or 443
        same = origin == (own.scheme, own.hostname, own.port)
    except ValueError:
        return "this is no address"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "only http and https addresses are asked"
    if parts.username is not None or parts.password is not None:
        return "the address has a user name in it"
    if same:
        return ""
    if parts.scheme != "https":
        return "only https addresses are asked outside of the service's own"
    return "" if _is_public(parts.hostname, port) else "this is an address inside a private network"


def _is_public(host: str, port: int) -> bool:
    """Whether a name leads to the internet only; one that can't be looked up here leads nowhere, or to a proxy."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return all(address.is_global and not address.is_multicast for address in addresses)


# ---- one file


def _one(dispatcher: Dispatcher, file: File, *, overwrite: bool, bar: _Bar) -> Outcome:
    """Fetch a file; what is wrong with it does not keep the others from being fetched."""
    if file.path.is_file() and not overwrite:
        return Outcome(file.path.stat().st_size, "SKIPPED", "it is there already")
    try:
        return Outcome(_fetched(dispatcher, file, bar), "COMPLETE")
    except (ServiceError, OSError) as error:
        message = printable(error)
    log.warning("%s could not be fetched: %s", printable(file.url, limit=200), message)
    return Outcome(0, "ERROR", message)


def _fetched(dispatcher: Dispatcher, file: File, bar: _Bar) -> int:
    """Size of a file, after as many tries as passing faults take."""
    if file.path.is_dir() and not file.path.is_symlink():
        raise ServiceError("there is a directory of its name")
    with _Part(file.path).opened() as part:
        attempt, failing_since = 0, math.inf
        while True:
            attempt += 1
            try:
                _follow(dispatcher, file.url, part, bar)
                return part.finish()
            except Interrupted as error:
                fault = error
                log.debug("a file: %s", fault)
            failing_since = min(failing_since, time.monotonic())
            if time.monotonic() - failing_since >= conf.seconds("retry_time"):
                break
            wait_for_next_try(attempt, fault)
    raise ServiceError(f"{fault}; tried {attempt} {'time' if attempt == 1 else 'times'}")


def _follow(dispatcher: Dispatcher, url: str, part: _Part, bar: _Bar) -> None:
    """Ask an address, and others that it leads to, as long as they may be asked."""
    for _ in range(_MOST_REDIRECTS + 1):
        refusal = _refusal(url, dispatcher.url)
        if refusal:
            raise ServiceError(refusal)
        with dispatcher.stream(url, part.headers()) as reply:
            if reply.status not in (301, 302, 303, 307, 308):
                _receive(reply, url, part, bar)
                return
            url = _joined(url, reply.headers.get("Location", ""))
    raise ServiceError("it leads from one address to the next without end")


def _receive(reply: Stream, url: str, part: _Part, bar: _Bar) -> None:
    if reply.status == 416:  # more is here than there
        part.restart("")
        raise Interrupted("the file has changed meanwhile")
    if reply.status not in (200, 206):
        raise ServiceError(f"HTTP status {reply.status}")
    _refuse_page(reply, url)
    part.whole = _length(reply.headers, part.begin(reply.status, reply.headers))
    _refuse_large(part, part.whole or 0)
    for piece in reply.pieces:
        part.write(piece)
        _refuse_large(part, part.size)
        bar.show(part.size, part.whole)
    if part.whole is not None and part.size != part.whole:
        raise Interrupted(f"only {part.size} of {part.whole} bytes came")


def _refuse_large(part: _Part, size: int) -> None:
    limit = int(conf.max_reply_size)
    if size > limit:
        part.restart("")
        raise ServiceError(f"it is larger than {limit} bytes (astroquery_mmoda.conf.max_reply_size)")


def _refuse_page(reply: Stream, url: str) -> None:
    """A page about something gone wrong is not the file that was asked for."""
    kind = reply.headers.get("Content-Type", "").lower()
    if kind.startswith("text/html") and urlsplit(url).path.rpartition(".")[2].lower() not in _PAGES:
        raise ServiceError("a web page came instead of the file")


def _length(headers: Mapping[str, str], begin: int) -> int | None:
    """Size of the whole file, if it was told."""
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        return None
    length = headers.get("Content-Length", "")
    return begin + int(length) if length.isdigit() else None


# ---- what was begun


@dataclass
class _Part:
    """A file that is not whole yet, and what tells whether the service's file is still the same."""

    path: Path
    size: int = 0
    whole: int | None = None
    _file: Any = field(default=None, repr=False)

    @property
    def _place(self) -> Path:
        return self.path.with_name(f".{self.path.name}.part")

    @property
    def _mark(self) -> Path:
        return self.path.with_name(f".{self.path.name}.mark")

    @contextmanager
    def opened(self) -> Iterator[_Part]:
        """Open it for as long as it takes; what is there stays when that ends early."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(self._place, flags, 0o666), "r+b", buffering=0) as file:
            _lock(file, self._place)
            self._file, self.size = file, file.seek(0, os.SEEK_END)
            try:
                yield self
            finally:
                self._tidy_up()
                self._file = None

    def _tidy_up(self) -> None:
        """Keep nothing that can't be continued."""
        if self._file is not None and not (self.size and self._mark.is_file()):
            for place in (self._place, self._mark):
                place.unlink(missing_ok=True)

    def headers(self) -> dict[str, str]:
        """Ask for what is missing, if the file is still the same; compressed pieces would not fit together."""
        mark = self._mark.read_text(encoding="latin-1") if self._mark.is_file() else ""
        if not self.size or not mark:
            return {"Accept-Encoding": "identity"}
        return {"Accept-Encoding": "identity", "Range": f"bytes={self.size}-", "If-Range": mark}

    def begin(self, status: int, headers: Mapping[str, str]) -> int:
        """Get ready for a body; the number of bytes that precede it."""
        if status == 206:
            if not headers.get("Content-Range", "").replace(" ", "").startswith(f"bytes{self.size}-"):
                self.restart("")
                raise Interrupted("another part of the file came than was asked for")
            return self.size
        tag = headers.get("ETag", "")
        self.restart(tag if tag.startswith('"') else headers.get("Last-Modified", ""))
        return 0

    def restart(self, mark: str) -> None:
        """Forget what is there; ``mark`` is what the new body can be continued by."""
        self._opened().seek(0)
        self._opened().truncate()
        self.size = 0
        self._mark.unlink(missing_ok=True)
        if mark and mark.isascii() and mark.isprintable() and len(mark) < 500:
            self._mark.write_text(mark, encoding="latin-1")

    def write(self, piece: bytes) -> None:
        """Add what came."""
        rest = memoryview(piece)
        while rest:
            try:
                written = self._opened().write(rest)
            except OSError as error:
                raise self._shortage(error) from error
            rest = rest[written:]
            self.size += written

    def _shortage(self, error: OSError) -> OSError:
        """A full disk is told of by the bytes that are missing."""
        if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)) or self.whole is None:
            return error
        free, rest = shutil.disk_usage(self.path.parent).free, self.whole - self.size
        words = f"no space left: {rest:,} of {self.whole:,} bytes have not been written, {free:,} bytes are free"
        return OSError(error.errno, words, str(self.path))

    def finish(self) -> int:
        """Put the whole file under its name."""
        file = self._opened()
        file.flush()
        os.fsync(file.fileno())
        os.replace(self._place, self.path)
        self._mark.unlink(missing_ok=True)
        self._file = None
        return self.size

    def _opened(self) -> Any:
        if self._file is None:
            raise ValueError("this file is not open")
        return self._file


def _lock(file: Any, place: Path) -> None:
    """Two processes that wrote into one file would spoil it."""
    try:
        if _locks is not None:
            _locks.flock(file, _locks.LOCK_EX | _locks.LOCK_NB)
        same = os.path.samestat(os.fstat(file.fileno()), os.stat(place))
    except OSError:
        same = False
    if not same:  # or it has been finished since it was opened
        raise ServiceError("another process is fetching it")


# ---- showing


class _Bar:
    """A progress bar over all files, in terminals and notebooks where the log level is INFO or lower."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._done = 0
        self._last = 0.0
        shown = number > 0 and log.getEffectiveLevel() <= logging.INFO and isatty(sys.stdout)
        self._bar = ProgressBar(100 * number) if shown else None

    def show(self, size: int, whole: int | None) -> None:
        """Show how much of the present file is here."""
        if self._bar is not None and whole and time.monotonic() - self._last > 0.1:
            self._last = time.monotonic()
            self._bar.update(100 * self._done + min(99, 100 * size // whole))

    def next_file(self) -> None:
        """Count the present file as done."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(100 * self._done)
            if self._done == self._number:
                sys.stdout.write("\n")
