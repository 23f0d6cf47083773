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
from ..progress import Display
from ..service.account import Connection
from ..service.http import Fault, Patience, Stream, retrying
from ..text import printable

_MOST_REDIRECTS = 5
_SEVERAL = re.compile(r"\s*,\s+|[,;|\s]+(?=https?://)", re.I)
_ENDING = re.compile(r"(?:\.(?:fits|tar|ecsv|txt|csv|xml))?\.[A-Za-z0-9]{1,8}$")


def download_products(
    connection: Connection, rows: Any, *, directory: str | os.PathLike[str] = ".", overwrite: bool = False
) -> Table:
    """Fetch the files behind rows of the archive; see `MmodaClass.download_products`."""
    chosen = chosen_path(directory)
    files = _addresses(rows, connection.server)
    make_directory(chosen)
    display = Display(None, lambda state: (state[0] / len(files), state[1]))
    manifest: list[tuple[str, str, str, str, int, str, str]] = []
    for number, (url, (source, kind)) in enumerate(files.items()):

        def show(part: float, number: int = number) -> None:
            display((number + part, f"file {number + 1} of {len(files)}"))

        path, size, status, message = chosen / _file_name(url), 0, "COMPLETE", ""
        try:
            if _is_there(path, overwrite=overwrite):
                size, status, message = path.stat().st_size, "SKIPPED", "it is there already"
            else:
                patience = Patience(advice="Try again later.")
                fetch = partial(_fetch, connection, url, path, show)
                size = retrying(fetch, patience, "The server of the file")
        except (ServiceError, OSError) as error:  # does not keep the others from being fetched
            status, message = "ERROR", printable(error)
            log.warning("%s could not be fetched: %s", printable(url, limit=200), message)
        manifest.append((str(path), printable(url), source, kind, size, status, message))
    display.close()
    names = ("path", "url", "source", "kind", "size", "status", "message")
    table = Table(rows=manifest or None, names=names, dtype=("U", "U", "U", "U", "i8", "U", "U"))
    table["size"].unit = "byte"
    return table


# ---- which files


def _addresses(rows: Any, server: str) -> dict[str, tuple[str, str]]:
    """Source and kind by address, in the order of the rows."""
    if isinstance(rows, (Row, Mapping)):
        rows = [rows]
    if not isinstance(rows, (Table, list, tuple)):
        raise ParameterError(f"rows must be a Table of published products or rows of one, not {type(rows).__name__}.")
    found: dict[str, tuple[str, str]] = {}
    for row in rows:
        names = row.colnames if isinstance(row, Row) else list(row) if isinstance(row, Mapping) else []
        column = next((name for name in ("access_url", "file_uri") if name in names), None)
        if column is None:
            raise ParameterError("rows need a column access_url, as query_region() and query_object() return it.")
        wanted = (column, "product_path", "target_name", "dataproduct_type")
        text, page, source, kind = (_cell_text(row[name]) if name in names else "" for name in wanted)
        base = page if page.lower().startswith(("http://", "https://")) else f"{server}/"
        for reference in _SEVERAL.split(text) if "://" in text else text.split(","):
            if reference.strip():
                found.setdefault(_absolute_address(base, reference.strip()), (source, kind))
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


def _is_there(path: Path, *, overwrite: bool) -> bool:
    """Whether there is a file of this name that is to stay; `ServiceError` if something else has its name."""
    if path.is_dir() and not path.is_symlink():
        raise ServiceError("there is a directory of its name")
    if overwrite or not os.path.lexists(path):
        return False
    if not path.is_file():
        raise ServiceError("there is something of its name that is not a file; overwrite=True replaces it")
    return True


# ---- one file


def _fetch(connection: Connection, url: str, path: Path, show: Callable[[float], None]) -> int:
    """Write a file as a whole, and give its size."""
    limit = int(conf.max_reply_size)
    too_large = f"it is larger than {limit} bytes (astroquery_mmoda.conf.max_reply_size)"
    with _answer(connection, url) as reply:
        whole, size = _content_length(reply.headers), 0
        if (whole or 0) > limit:
            raise ServiceError(too_large)
        with whole_file(path, needed=lambda: whole) as target:
            for piece in reply.pieces:
                size += len(piece)
                if size > limit:  # decompressed
                    raise ServiceError(too_large)
                target.write(piece)
                show(size / whole if whole else 0.0)
            if not size or whole not in (None, size):
                raise Fault(
                    f"{size} bytes came of a file of {whole or 'unknown size'}" if size else "the reply was empty"
                )
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


def _content_length(headers: Mapping[str, str]) -> int | None:
    """Size of the file (bytes), if it is known."""
    text = headers.get("Content-Length", "").strip()
    if "Content-Length" in headers and not re.fullmatch(r"[0-9]{1,18}", text):
        # a body that was cut would be taken for a whole one
        raise ServiceError(f"its size is {printable(text, limit=40)!r}, which is not a number of bytes")
    is_plain = headers.get("Content-Encoding", "identity").strip().lower() in ("identity", "")
    return int(text) if text and is_plain else None


def _check_address(url: str, server: str) -> None:
    """Refuse an address of a file that is neither the service's nor a public one."""
    origin = origin_of(url)
    if origin is None or origin[0] not in ("http", "https"):
        raise ServiceError("it is not a valid address of http or https")
    scheme, host, port = origin
    if "@" in urlsplit(url).netloc:
        raise ServiceError("the address has a user name in it")
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
