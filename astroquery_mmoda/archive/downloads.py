# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Files of published products, fetched whole or not at all.

A file gets its published name and a mark of its address, so that a later call knows what is there already.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
from astropy.table import Row, Table
from astroquery import log

from ..config import conf
from ..errors import ParameterError, ServiceError
from ..files import whole_file
from ..products.storage.output import chosen_path, make_directory, safe_name
from ..progress import Display
from ..service.connection import Connection
from ..service.http import Patience, Stream, retrying
from ..service.sockets import Fault
from ..text import printable

_MOST_REDIRECTS = 5
_SEVERAL = re.compile(r"\s*,\s+|[,;|\s]+(?=https?://)", re.I)
_ENDING = re.compile(r"((?:\.(?:fits|tar|ecsv|txt|csv|xml))?\.[A-Za-z0-9]{1,8})$")
_PAGES = ("html", "htm")


@dataclass
class Download:
    """A file to fetch: its address, what of which source is in it, where it goes, and what became of it."""

    url: str
    source: str
    kind: str
    path: Path
    size: int = 0
    status: str = "ERROR"
    message: str = ""


def download_products(
    connection: Connection, rows: Any, *, directory: str | os.PathLike[str] = ".", overwrite: bool = False
) -> Table:
    """Fetch the files behind rows of the archive; see `MmodaClass.download_products`."""
    chosen = chosen_path(directory)
    downloads = _downloads(rows, chosen, connection.server)
    make_directory(chosen)
    display = Display(None, lambda place: (place[0] / len(downloads), place[1]))

    def fetch(number: int, download: Download) -> None:
        if _is_there(download.path, overwrite=overwrite):
            download.size, download.status = download.path.stat().st_size, "SKIPPED"
            download.message = "it is there already"
            return

        def show(part: float) -> None:
            display((number + part, f"file {number + 1} of {len(downloads)}"))

        patience = Patience(advice="Try again later.")
        download.size = retrying(lambda: _fetched(connection, download, show), patience, "The server of the file")
        download.status = "COMPLETE"

    for number, download in enumerate(downloads):
        try:
            fetch(number, download)
        except (ServiceError, OSError) as error:  # does not keep the others from being fetched
            download.message = printable(error)
            log.warning("%s could not be fetched: %s", printable(download.url, limit=200), download.message)
    display.close()
    table = Table(
        rows=[
            (str(each.path), printable(each.url), each.source, each.kind, each.size, each.status, each.message)
            for each in downloads
        ]
        or None,
        names=("path", "url", "source", "kind", "size", "status", "message"),
        dtype=("U", "U", "U", "U", "i8", "U", "U"),
    )
    table["size"].unit = "byte"
    return table


# ---- which files


def _downloads(rows: Any, directory: Path, server: str) -> list[Download]:
    """Each address once, in the order of the rows."""
    found: dict[str, Download] = {}
    for row in _rows(rows):
        page = _text(row.get("product_path"))
        base = page if page.lower().startswith(("http://", "https://")) else f"{server}/"
        for reference in _references(row):
            url = _joined(base, reference)
            source, kind = _text(row.get("target_name")), _text(row.get("dataproduct_type"))
            found.setdefault(url, Download(url, source, kind, directory / _file_name(url)))
    return list(found.values())


def _joined(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:  # such as brackets that hold no address; refused when it is to be fetched
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


def _is_there(path: Path, *, overwrite: bool) -> bool:
    """Whether there is a file of this name that is to stay; `ServiceError` if something else is in its place."""
    if path.is_dir() and not path.is_symlink():
        raise ServiceError("there is a directory of its name")
    if overwrite or not os.path.lexists(path):
        return False
    if not path.is_file():
        raise ServiceError("there is something of its name that is not a file; overwrite=True replaces it")
    return True


# ---- one file


def _fetched(connection: Connection, download: Download, show: Any) -> int:
    """Size of a file that was fetched."""
    limit = int(conf.max_reply_size)
    with _answer(connection, download.url) as reply:
        whole, size = _length(reply.headers), 0
        if (whole or 0) > limit:
            raise _too_large(limit)
        with whole_file(download.path, needed=lambda: whole) as target:
            for piece in reply.pieces:
                size += len(piece)
                if size > limit:  # decompressed
                    raise _too_large(limit)
                target.write(piece)
                show(size / whole if whole else 0.0)
            if not size:
                raise Fault("the reply was empty")
            if whole not in (None, size):
                raise Fault(f"{size} bytes came of a file of {whole}")
    return size


@contextmanager
def _answer(connection: Connection, url: str) -> Iterator[Stream]:
    """The answer of an address, or of another one to which it leads, if that may be asked."""
    for _ in range(_MOST_REDIRECTS + 1):
        if refusal := _refusal(url, connection.server):
            raise ServiceError(refusal)
        with connection.http.stream(url, {"Accept-Encoding": "identity"}) as reply:
            if reply.status not in (301, 302, 303, 307, 308):
                if reply.status != 200:
                    raise ServiceError(f"HTTP status {reply.status}")
                is_page = reply.headers.get("Content-Type", "").lower().startswith("text/html")
                if is_page and urlsplit(url).path.rpartition(".")[2].lower() not in _PAGES:
                    raise ServiceError("a web page came instead of the file")
                yield reply
                return
            url = _joined(url, reply.headers.get("Location", ""))
    raise ServiceError("it leads from one address to the next without end")


def _length(headers: Mapping[str, str]) -> int | None:
    """Size of the file (bytes), if it is known."""
    text = headers.get("Content-Length", "").strip()
    if "Content-Length" in headers and not re.fullmatch(r"[0-9]{1,18}", text):
        # where the body ends is not known then, so that a cut one could not be told from a whole one
        raise ServiceError(f"its size is {printable(text, limit=40)!r}, which is not a number of bytes")
    is_plain = headers.get("Content-Encoding", "identity").strip().lower() in ("identity", "")
    return int(text) if text and is_plain else None


def _too_large(limit: int) -> ServiceError:
    return ServiceError(f"it is larger than {limit} bytes (astroquery_mmoda.conf.max_reply_size)")


# ---- which addresses


def _refusal(url: str, server: str) -> str:
    """Why an address is not asked; empty if it may be."""
    try:
        parts, own = urlsplit(url), urlsplit(server)
        origin, port = (parts.scheme, parts.hostname, parts.port), parts.port or 443
        same = origin == (own.scheme, own.hostname, own.port)
    except ValueError:
        return "not a valid address"
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
