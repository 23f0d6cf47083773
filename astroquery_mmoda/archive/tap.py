# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The archive's table service: sent over the client's own connection, read by pyvo.

It is a small part of TAP: synchronous POST only, no capabilities, errors as plain text with HTTP status 200.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from astropy.io import votable
from astropy.table import Table
from pyvo.dal import DALQueryError  # noqa: TID251 - this package is the only user of pyvo
from pyvo.dal.tap import TAPResults  # noqa: TID251
from pyvo.io import vosi  # noqa: TID251

from ..errors import DecodingError, MmodaError, ServiceError
from ..service.http import Answer
from ..service.routes import Routes
from ..text import printable

# data that are not within the stream itself
_LINKED_STREAM = re.compile(rb"<(?:[^\s<>/:]+:)?STREAM\b(?!(?:\s+encoding=[\"']base64[\"'])?\s*>)")
_FIELD = re.compile(rb"<(?:[^\s<>/:]+:)?FIELD\b")
_ARRAY_SIZE = re.compile(rb"\barraysize\s*=\s*[\"']([^\"']*)")
_ROWS = re.compile(rb"\bnrows\s*=\s*[\"']([^\"']*)")
_FIRST_ROWS = 512
_MOST_BYTES = 500_000_000
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class ArchiveTable:
    """A table of the archive; ``columns`` (name, description, unit, type) are those that the service describes."""

    name: str
    description: str
    columns: list[tuple[str, ...]]


def run_adql(routes: Routes, adql: str, maxrec: int | None) -> tuple[Table | None, bool]:
    """Raw table of a query, None if it found nothing (then there are no columns either), and whether it was cut."""
    form = {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "QUERY": adql}
    if maxrec is not None:
        form["MAXREC"] = str(maxrec)
    body = _xml_of(routes.query_archive(form), "the archive's answer", adql)

    def read() -> tuple[Table | None, bool]:
        document = votable.parse(io.BytesIO(body), verify="ignore")
        if any(not table.fields for table in document.iter_tables()):  # the service's way to say that it found nothing
            return None, False
        results = TAPResults(document)
        return results.to_table(), str(results.query_status).upper() == "OVERFLOW"

    return _parsed_xml(read)


def describe_tables(routes: Routes) -> list[ArchiveTable]:
    """Tables of the archive."""
    body = _xml_of(routes.archive_tables(), "the archive's tables")

    def read() -> list[ArchiveTable]:
        schemas = vosi.parse_tables(io.BytesIO(body).read).tableset.schemas
        return [_description_of(str(schema.name or ""), table) for schema in schemas for table in schema.tables]

    return _parsed_xml(read)


def _description_of(schema: str, table: Any) -> ArchiveTable:
    columns = [
        (each.name, each.description, each.unit, getattr(each.datatype, "content", "")) for each in table.columns
    ]
    name, description = printable(table.name or ""), printable(table.description or "")
    return ArchiveTable(
        f"{schema}.{name}" if schema and "." not in name else name,
        "" if description == "description" else description,  # the service's text for none
        [(*(printable(part or "") for part in column),) for column in columns],
    )


def _parsed_xml(read: Callable[[], _Read]) -> _Read:
    """What a parser returns, without its warnings about the style of the service's XML."""
    problem: MmodaError
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read()
        except DALQueryError as error:
            problem = ServiceError(f"The archive refused the query: {printable(error, limit=400)}")
        except Exception as error:  # broken XML can raise anything
            problem = DecodingError(f"The archive's answer can't be read as a table: {printable(error, limit=400)}")
    raise problem


def _xml_of(answer: Answer, what: str, adql: str = "") -> bytes:
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
    if _LINKED_STREAM.search(body):
        raise DecodingError("The archive's answer refers to data at other addresses; it was not read.")
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
