# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The archive's table service, asked through pyvo but over the client's own connection.

It is a small part of TAP: synchronous POST only, no capabilities, errors as plain text with HTTP status 200.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from astropy.io import votable
from astropy.table import Table
from pyvo.dal import TAPService  # noqa: TID251 - this is the room that knows pyvo
from pyvo.io import vosi  # noqa: TID251

from ..errors import DecodingError, MmodaError, ServiceError
from ..service.routes import Answer, Dispatcher
from ..text import printable, without_token

__all__ = ["Found", "Sheet", "run", "sheets"]

_STREAM = re.compile(rb"<(?:[^\s<>/:]+:)?STREAM\b")
_OWN_STREAM = re.compile(rb"<(?:[^\s<>/:]+:)?STREAM(?:\s+encoding=[\"']base64[\"'])?\s*>")
_FIELD = re.compile(rb"<(?:[^\s<>/:]+:)?FIELD\b")
_ARRAY_SIZE = re.compile(rb"\barraysize\s*=\s*[\"']([^\"']*)")
_ROWS = re.compile(rb"\bnrows\s*=\s*[\"']([^\"']*)")
_FIRST_ROWS = 512
_MOST_BYTES = 500_000_000


@dataclass(frozen=True)
class Found:
    """Rows that a query found; ``table`` is None if there are none, since then not even columns are told."""

    table: Table | None
    overflow: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table of the archive, with the columns that the service tells of (mostly none)."""

    name: str
    description: str
    columns: list[tuple[str, str, str, str]] = field(default_factory=list)


def run(dispatcher: Dispatcher, adql: str, maxrec: int | None) -> Found:
    """
    Run a query and return its raw table.

    Raises
    ------
    ServiceError
        The service refused or failed; the message holds its words.
    DecodingError
        It sent something that is no table.
    """
    session = _Session(dispatcher, adql)
    service = TAPService(f"{dispatcher.url}/tap", session=session)
    with warnings.catch_warnings():
        # about the style of the service's XML
        warnings.simplefilter("ignore")
        try:
            results = service.run_sync(adql, maxrec=maxrec, format="votable")
            return Found(results.to_table(), overflow=str(results.query_status).upper() == "OVERFLOW")
        except Exception as error:  # pyvo wraps ours, and broken XML can raise anything
            problem = session.problem or _problem(error)
        if _has_no_columns(session.body):
            return Found(None)
    raise problem.with_traceback(None)


def sheets(dispatcher: Dispatcher) -> list[Sheet]:
    """Tables of the archive."""
    body = _checked(dispatcher.archive_tables(), "the archive's tables")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            schemas = list(vosi.parse_tables(io.BytesIO(body).read).tableset.schemas)
            return [_sheet(str(schema.name or ""), table) for schema in schemas for table in schema.tables]
        except Exception as error:
            problem = _problem(error)
    raise problem


def _sheet(schema: str, table: Any) -> Sheet:
    name = _plain(table.name)
    full = f"{schema}.{name}" if schema and "." not in name else name
    columns = [
        (_plain(column.name), _plain(column.description), _plain(column.unit), _type(column))
        for column in table.columns
    ]
    return Sheet(full, _text(table.description), columns)


def _plain(word: Any) -> str:
    return without_token(str(word or ""))


def _text(description: Any) -> str:
    words = printable(description or "")
    return "" if words == "description" else words  # the service's word for having none


def _type(column: Any) -> str:
    return printable(getattr(column.datatype, "content", "") or "")


class _Session:
    """What pyvo takes for a session of requests: its one way out is the dispatcher."""

    def __init__(self, dispatcher: Dispatcher, adql: str) -> None:
        self._dispatcher = dispatcher
        self._adql = adql
        self.body = b""
        self.problem: MmodaError | None = None

    def post(self, url: str, data: Mapping[str, Any], **options: Any) -> _Reply:
        """Send the form of a synchronous query."""
        try:
            answer = self._dispatcher.query_archive({name: str(value) for name, value in data.items()})
            self.body = _checked(answer, "the archive's answer", self._adql)
        except MmodaError as error:
            self.problem = error
            raise
        return _Reply(_Body(self.body))


class _Body(io.BytesIO):
    """A reply that is decompressed already."""

    def read(self, size: int | None = -1, /, *, decode_content: bool = False) -> bytes:
        return super().read(size)


@dataclass
class _Reply:
    """What pyvo takes for a good response of requests."""

    raw: _Body
    status_code: int = 200

    def raise_for_status(self) -> None:
        """Nothing is wrong with it."""


def _checked(answer: Answer, what: str, adql: str = "") -> bytes:
    """The XML of an answer, or the error that the answer is."""
    words = printable(re.sub(r"<[^<>]*>", " ", answer.body[:4000].decode("utf-8", "replace")), limit=400)
    if answer.status != 200:
        raise ServiceError(f"The service failed with HTTP status {answer.status} instead of sending {what}: {words}")
    if "xml" not in answer.content_type.lower():
        ascii_only = "" if adql.isascii() else " (The service reads ASCII letters only, other ones are not understood.)"
        raise ServiceError(f"The service did not send {what}, but: {words}{ascii_only}")
    _refuse_dangers(answer.body)
    return answer.body


def _refuse_dangers(body: bytes) -> None:
    """Nothing that makes an XML or VOTable parser open a file or an address, or grow."""
    if b"\0" in body or b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise DecodingError("The archive's answer defines entities of XML, which no table needs; it was not read.")
    if len(_STREAM.findall(body)) != len(_OWN_STREAM.findall(body)):
        raise DecodingError("The archive's answer refers to data elsewhere; it was not read.")
    if _claimed_bytes(body) > _MOST_BYTES + 40 * len(body):
        raise DecodingError("The archive's answer claims to be much larger than it is; it was not read.")


def _claimed_bytes(body: bytes) -> float:
    """Memory that the parser would take because of what a table says about itself."""
    claims = _ROWS.findall(body)
    rows = max([_FIRST_ROWS, *(_product(claim) for claim in claims)])
    if claims and rows > max(_FIRST_ROWS, len(body)):
        return math.inf
    return rows * 8.0 * (len(_FIELD.findall(body)) + sum(_product(size) for size in _ARRAY_SIZE.findall(body)))


def _product(text: bytes) -> float:
    """Size of an array, ``*`` for any left out; anything unusual is too large."""
    if not re.fullmatch(rb"[\d\sx*+]{0,100}", text):
        return math.inf
    return math.prod(float(digits) for digits in re.findall(rb"\d+", text))


def _has_no_columns(body: bytes) -> bool:
    """Whether this is the service's way to say that nothing was found: a table without columns."""
    try:
        tables = list(votable.parse(io.BytesIO(body), verify="ignore").iter_tables()) if body else []
    except Exception:  # no VOTable at all, which has been told of already
        return False
    return bool(tables) and not tables[0].fields


def _problem(error: Exception) -> MmodaError:
    """An error of pyvo or of the XML parser in our words."""
    words = printable(error, limit=400)
    if type(error).__name__ == "DALQueryError":
        return ServiceError(f"The archive refused the query: {words}")
    return DecodingError(f"The archive's answer can't be read as a table: {words}")
