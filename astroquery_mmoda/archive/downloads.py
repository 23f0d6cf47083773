# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Files of published products, fetched whole or not at all.

A file gets its published name and a mark of its address, so that a later call knows what is there already.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
from astropy.table import Row, Table
from astropy.utils.console import ProgressBar, isatty
from astroquery import log

from ..config import conf
from ..errors import ParameterError, ServiceError
from ..files import whole_file
from ..products.storage.filenames import chosen_path, make_directory, safe_name
from ..service.account import Connection
from ..service.routes import Dispatcher, Interrupted, Stream, wait_for_next_try
from ..text import printable

if TYPE_CHECKING:
    from ..core import MmodaClass

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
    place = chosen_path(directory)
    files = _files(rows, place, client.URL)
    make_directory(place)
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
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim):
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
    try:
        if _is_there(file.path, overwrite=overwrite):
            return Outcome(file.path.stat().st_size, "SKIPPED", "it is there already")
        return Outcome(_fetched(dispatcher, file, bar), "COMPLETE")
    except (ServiceError, OSError) as error:
        message = printable(error)
    log.warning("%s could not be fetched: %s", printable(file.url, limit=200), message)
    return Outcome(0, "ERROR", message)


def _is_there(path: Path, *, overwrite: bool) -> bool:
    """Whether there is a file of this name that is to stay; `ServiceError` if something else is in its place."""
    if path.is_dir() and not path.is_symlink():
        raise ServiceError("there is a directory of its name")
    if overwrite or not os.path.lexists(path):
        return False
    if not path.is_file():
        raise ServiceError("there is something of its name that is not a file; overwrite=True replaces it")
    return True


def _fetched(dispatcher: Dispatcher, file: File, bar: _Bar) -> int:
    """Size of a file, after as many tries as passing faults take; each begins anew."""
    attempt, failing_since = 0, math.inf
    while True:
        attempt += 1
        try:
            return _attempt(dispatcher, file, bar)
        except Interrupted as error:
            fault = error
            log.debug("a file: %s", fault)
        failing_since = min(failing_since, time.monotonic())
        if time.monotonic() - failing_since >= conf.seconds("retry_time"):
            break
        wait_for_next_try(attempt, fault)
    raise ServiceError(f"{fault}; tried {attempt} {'time' if attempt == 1 else 'times'}")


def _attempt(dispatcher: Dispatcher, file: File, bar: _Bar) -> int:
    limit = int(conf.max_reply_size)
    with _answer(dispatcher, file.url) as reply:
        whole = _length(reply.headers, limit)
        with whole_file(file.path, needed=lambda: whole) as target:
            size = 0
            for piece in reply.pieces:
                size += len(piece)
                if size > limit:  # unpacked
                    raise _too_large(limit)
                target.write(piece)
                bar.show(size, whole)
            if not size:
                raise Interrupted("the reply was empty")
            if whole not in (None, size):
                raise Interrupted(f"{size} bytes came of a file of {whole}")
    return size


@contextmanager
def _answer(dispatcher: Dispatcher, url: str) -> Iterator[Stream]:
    """Ask an address, and others that it leads to, as long as they may be asked."""
    for _ in range(_MOST_REDIRECTS + 1):
        refusal = _refusal(url, dispatcher.url)
        if refusal:
            raise ServiceError(refusal)
        with dispatcher.stream(url, {"Accept-Encoding": "identity"}) as reply:
            if reply.status not in (301, 302, 303, 307, 308):
                _check_answer(reply, url)
                yield reply
                return
            url = _joined(url, reply.headers.get("Location", ""))
    raise ServiceError("it leads from one address to the next without end")


def _check_answer(reply: Stream, url: str) -> None:
    """Refuse what is not the file that was asked for, such as a page about something gone wrong."""
    if reply.status != 200:
        raise ServiceError(f"HTTP status {reply.status}")
    kind = reply.headers.get("Content-Type", "").lower()
    if kind.startswith("text/html") and urlsplit(url).path.rpartition(".")[2].lower() not in _PAGES:
        raise ServiceError("a web page came instead of the file")


def _length(headers: Mapping[str, str], limit: int) -> int | None:
    """Size of the file (bytes), if it was told."""
    text = headers.get("Content-Length", "0").strip()
    if not re.fullmatch(r"[0-9]{1,18}", text):
        # where the body ends is not known then, so that a cut one could not be told from a whole one
        raise ServiceError(f"its size was told as {printable(text, limit=40)!r}, which is not a number of bytes")
    if int(text) > limit:
        raise _too_large(limit)
    is_plain = headers.get("Content-Encoding", "identity").strip().lower() in ("identity", "")
    return int(text) if is_plain and "Content-Length" in headers else None


def _too_large(limit: int) -> ServiceError:
    return ServiceError(f"it is larger than {limit} bytes (astroquery_mmoda.conf.max_reply_size)")


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
