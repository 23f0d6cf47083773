# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The archive's table service: sent over the client's own connection, read by pyvo.

It is a small part of TAP: synchronous POST only, no capabilities, errors as plain text with HTTP status 200.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from astropy.io import votable
from astropy.table import Table
from pyvo.dal import DALQueryError  # noqa: TID251 - this package is the only user of pyvo
from pyvo.dal.tap import TAPResults  # noqa: TID251
from pyvo.io import vosi  # noqa: TID251

from ..errors import DecodingError, ServiceError, reading
from ..service.http import Answer
from ..service.routes import Routes
from ..text import printable

# data in another form than one element for each cell, which may be at another address
_STREAM = re.compile(rb"<(?:[^\s<>/:]+:)?STREAM\b")
_FIELD = re.compile(rb"<(?:[^\s<>/:]+:)?FIELD\b")
_MOST_FIELDS = 1000
_SIZES = re.compile(rb"\s(?:nrows|arraysize)\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_TEXT_TYPE = re.compile(rb"\sdatatype\s*=\s*([\"'])(?:char|unicodeChar)\1")


def run_adql(routes: Routes, adql: str, maxrec: int | None) -> tuple[Table | None, bool]:
    """Raw table of a query, None if it found nothing (then there are no columns either), and whether it was cut."""
    form = {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "QUERY": adql}
    if maxrec is not None:
        form["MAXREC"] = str(maxrec)
    body = _xml_of(routes.query_archive(form), "the archive of published products", adql)
    with _reading_xml("the archive's answer"):
        document = votable.parse(io.BytesIO(_without_sizes(body)), verify="ignore")
        if any(not table.fields for table in document.iter_tables()):  # the service's way to say that it found nothing
            return None, False
        try:
            results = TAPResults(document)
        except DALQueryError as error:
            raise ServiceError(f"The archive refused the query: {printable(error, limit=400)}") from error
        return results.to_table(), str(results.query_status).upper() == "OVERFLOW"


def describe_tables(routes: Routes) -> list[tuple[str, str]]:
    """Names and descriptions of the tables of the archive."""
    body = _xml_of(routes.archive_tables(), "the archive's tables")
    found = []
    with _reading_xml("the archive's tables"):
        for schema in vosi.parse_tables(io.BytesIO(body).read).tableset.schemas:
            for table in schema.tables:
                name = table.name if "." in table.name else f"{schema.name}.{table.name}"
                # the service's text for none
                description = "" if table.description == "description" else table.description
                found.append((printable(name), printable(description or "")))
    return found


@contextmanager
def _reading_xml(what: str) -> Iterator[None]:
    """Read without warnings about the style of the service's XML."""
    with reading(what), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _xml_of(answer: Answer, what: str, adql: str = "") -> bytes:
    """The XML of an answer, without what makes a parser open a file or an address; or the error that the answer is."""
    body = answer.body
    if answer.status != 200 or "xml" not in answer.content_type.lower():
        status = "" if answer.status == 200 else f"HTTP status {answer.status} with "
        words = printable(re.sub(r"<[^<>]*>", " ", body[:4000].decode("utf-8", "replace")), limit=400)
        ascii_only = "" if adql.isascii() else " (The service reads ASCII letters only, other ones are not understood.)"
        raise ServiceError(f"The service did not send {what}, but: {status}{words}{ascii_only}")
    if b"\0" in body or b"<!DOCTYPE" in body or b"<!ENTITY" in body or _STREAM.search(body):
        raise DecodingError(f"{what} have entities of XML, or data in streams, which no table needs; it was not read.")
    if len(_FIELD.findall(body)) > _MOST_FIELDS:
        raise DecodingError(f"{what} have more than {_MOST_FIELDS} columns; it was not read.")
    return body


def _without_sizes(body: bytes) -> bytes:
    """A table in which numbers are single ones, which the service calls arrays, and which claims no number of rows."""
    return _TEXT_TYPE.sub(rb'\g<0> arraysize="*"', _SIZES.sub(b"", body))
