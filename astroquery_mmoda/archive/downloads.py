# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Files of published products, fetched whole or not at all.

A file gets its published name and a hash of its address, so that a later call finds what is there already.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
from astropy.table import Row, Table
from astroquery import log

from ..config import conf
from ..errors import ParameterError, ServiceError
from ..files import whole_file
from ..origin import origin_of
from ..products.storage.output import chosen_path, make_directory, safe_name
from ..progress import Display, ProgressLine, done_in_words, in_words
from ..service.account import Connection
from ..service.http import Fault, Patience, Stream, retrying
from ..text import printable

_MOST_REDIRECTS = 5
# the gallery writes several addresses into one cell
_BETWEEN = re.compile(r"\s*,\s+|[,;|\s]+(?=https?://)", re.I)
_ENDING = re.compile(r"(?:\.(?:fits|tar|ecsv|txt|csv|xml))?\.[A-Za-z0-9]{1,8}$")


def download_products(
    connection: Connection, rows: Any, *, directory: str | os.PathLike[str] = ".", overwrite: bool = False
) -> Table:
    """Fetch the files behind rows of the archive; see `MmodaClass.download_products`."""
    chosen = chosen_path(directory)
    files = _addresses(rows, connection.server)
    make_directory(chosen)
    manifest: list[tuple[str, str, str, str, int, str, str]] = []
    part, begin = 0.0, time.monotonic()

    def line() -> ProgressLine:
        failed = sum(row[5] == "ERROR" for row in manifest)
        count = f"{part:.0%} of {printable(path.name, limit=60)}" if len(manifest) < len(files) else ""
        stage = done_in_words(len(manifest) - failed, f"{len(files)} files", 0, failed)
        return ProgressLine(stage=stage, elapsed=in_words(time.monotonic() - begin), count=count)

    def show(present: float) -> None:
        nonlocal part
        part = present
        display()

    with Display(None, line) as display:
        for url, (source, kind) in files.items():
            path, size, status, message = chosen / _file_name(url), 0, "COMPLETE", ""
            part = 0.0
            try:
                if overwrite or not os.path.lexists(path):
                    attempt = partial(_fetch, connection, url, path, show)
                    size = retrying(attempt, Patience(advice="Try again later."), "The server of the file")
                elif path.is_file():
                    size, status, message = path.stat().st_size, "SKIPPED", "it is there already"
                else:
                    what = "there is something of its name that is not a file"
                    raise FileExistsError(f"{what}; overwrite=True replaces it")
            except (ServiceError, OSError) as error:  # does not keep the others from being fetched
                status, message = "ERROR", printable(error)
                log.warning("%s could not be fetched: %s", printable(url, limit=200), message)
            manifest.append((str(path), printable(url), source, kind, size, status, message))
    names = ("path", "url", "source", "kind", "size", "status", "message")
    table = Table(rows=manifest or None, names=names, dtype=("U", "U", "U", "U", "i8", "U", "U"))
    table["size"].unit = "byte"
    return table


# ---- which files


def _addresses(rows: Any, server: str) -> dict[str, tuple[str, str]]:
    """Source and kind by address, in the order of the rows."""
    found: dict[str, tuple[str, str]] = {}
    try:
        for row in [rows] if isinstance(rows, (Row, Mapping)) else rows:
            columns = ("target_name", "dataproduct_type")
            source, kind = (_cell_text(row[name]) if name in row.keys() else "" for name in columns)
            for reference in filter(None, _BETWEEN.split(_cell_text(row["access_url"]))):
                found.setdefault(_absolute_address(f"{server}/", reference), (source, kind))
    except (AttributeError, KeyError, TypeError) as error:
        raise ParameterError("rows must be rows with a column access_url, as query_region() returns them.") from error
    return found


def _absolute_address(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:  # such as brackets that hold no address; refused when it is to be fetched
        return reference


def _cell_text(value: Any) -> str:
    """Text of a cell; empty if it is masked."""
    return "" if value is None or value is np.ma.masked else printable(value, limit=20_000)


def _file_name(url: str) -> str:
    """The published name in safe letters, with a hash of its address."""
    mark = hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:8]
    last = unquote(re.split(r"[?#]", url)[0].rstrip("/").rpartition("/")[2])
    stem = _ENDING.sub("", last)
    return f"{safe_name(stem)}_{mark}{last[len(stem) :]}"


# ---- one file


def _fetch(connection: Connection, url: str, path: Path, show: Callable[[float], None]) -> int:
    """Write a file as a whole, and give its size."""
    limit, size = int(conf.max_reply_size), 0
    with _answer(connection, url) as reply:
        length = reply.headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,18}", length):
            # a body that was cut would be taken for a whole one
            raise ServiceError(f"its size is {printable(length, limit=40)!r}, which is not a number of bytes")
        whole = int(length)
        with whole_file(path, needed=lambda: whole or None) as target:
            for piece in reply.pieces:
                size += len(piece)
                if max(size, whole) > limit:
                    raise ServiceError(f"it is larger than {limit} bytes (astroquery_mmoda.conf.max_reply_size)")
                target.write(piece)
                show(min(size / whole, 1.0) if whole else 0.0)
            if not size:
                raise Fault("the reply was empty")
    return size


@contextmanager
def _answer(connection: Connection, url: str) -> Iterator[Stream]:
    """The answer of an address, or of another one to which it leads, if that may be asked."""
    for _ in range(_MOST_REDIRECTS + 1):
        _check_address(url, connection.server)
        with connection.account.http.stream(url) as reply:
            if reply.status not in (301, 302, 303, 307, 308):
                if reply.status != 200:
                    raise ServiceError(f"HTTP status {reply.status}")
                is_page = reply.headers.get("Content-Type", "").lower().startswith("text/html")
                if is_page and not urlsplit(url).path.lower().endswith((".html", ".htm")):
                    raise ServiceError("a web page came instead of the file")
                yield reply
                return
            url = _absolute_address(url, reply.headers.get("Location", ""))
    raise ServiceError("it redirects from one address to the next without end")


def _check_address(url: str, server: str) -> None:
    """Refuse an address of a file that is neither the service's nor a public one."""
    origin = origin_of(url)
    if origin is None or origin[0] not in ("http", "https"):
        raise ServiceError("it is not a valid address of http or https")
    scheme, host, port = origin
    if origin == origin_of(server):
        return
    if scheme != "https":
        raise ServiceError("only https addresses are asked outside of the service's own")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # a name that can't be resolved here has no route, or a proxy resolves it
        return
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not all(address.is_global and not address.is_multicast for address in addresses):
        raise ServiceError("this is an address inside a private network")
