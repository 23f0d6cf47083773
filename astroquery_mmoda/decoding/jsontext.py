# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""JSON, and the Python literals that old servers sent instead."""

from __future__ import annotations

import ast
import json
import re
import warnings
from itertools import islice
from typing import Any

from ..allowance import Allowance
from ..config import conf
from ..errors import DecodingError, reading
from ..text import printable

_MAX_LITERAL = 20_000
_PIECE = 65_536  # stays in the cache of the processor while several characters are looked for
_MARKS = "[{,:"  # each value has one of them before it
# memory of a value with its place in a list, or of an empty list
_VALUE = 64

_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_QUOTED_TEXT = re.compile(_QUOTED, re.DOTALL)
_QUOTED_OR_MARK = re.compile(rf"{_QUOTED}|([\[{{,:])", re.DOTALL)
_WIDE_ESCAPE = re.compile(r"\\u(?!00)")
_CONTAINERS = frozenset({dict, list})


def parse_body(body: str | bytes | bytearray | memoryview, *, what: str = "reply") -> Any:
    """Parse a whole reply of the service as JSON; a page or another text is quoted in the `DecodingError`."""
    with reading(what):
        if len(body) > conf.max_reply_size:
            raise DecodingError(f"{len(body)} bytes are more than conf.max_reply_size = {conf.max_reply_size}")
        return read_json(body if isinstance(body, str) else _decoded_body(body))


def read_json_text(value: Any, *, what: str = "meta_data", allowance: Allowance | None = None) -> Any:
    """
    Read a value that may have been turned into text once or twice: by JSON or, on old servers, by Python.

    What is not text is returned as it is; None and an empty text give an empty dictionary.
    """
    with reading(what):
        for _ in range(3):
            if not isinstance(value, str):
                return {} if value is None else value
            text = value.strip()
            if allowance is not None:
                allowance.spend(_VALUE * _scan(text)[0], "values written as text")
            try:
                value = read_json(text) if text else None
            except DecodingError:
                if not text.startswith(("{", "[", "(", "'")) or len(text) > _MAX_LITERAL:
                    raise
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of an unknown escape
                    # plain values only, by way of JSON
                    value = read_json(json.dumps(ast.literal_eval(text)))
        raise DecodingError("text inside text inside text")


def read_json(text: str) -> Any:
    """Parse JSON text within `conf.max_json_values` and `conf.max_nesting`."""
    _check_memory(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "" if text.lstrip()[:1] in ("", "<") else f" ({error})"
        raise DecodingError(f"expected JSON, got {_beginning(text)}{why}") from error
    level = [value]
    for _ in range(conf.max_nesting):
        inside = [item.values() if type(item) is dict else item for item in level if type(item) in _CONTAINERS]
        if not inside:
            return value
        # most hold numbers and texts only, which need not be looked at one by one
        level = [child for items in inside if not _CONTAINERS.isdisjoint(map(type, items)) for child in items]
    raise DecodingError(f"nested deeper than conf.max_nesting = {conf.max_nesting}")


def _decoded_body(body: bytes | bytearray | memoryview) -> str:
    try:
        return str(body, "ascii")
    except UnicodeDecodeError:
        # Python gives all characters of a text the width of the widest
        _check_width(len(body) * (4 if re.search(rb"[\xf0-\xff]", body) else 2), len(body))
        return str(body, "utf-8")


def _check_width(size: int, length: int) -> None:
    if size > length + conf.max_extra_memory:
        raise DecodingError(
            f"texts with wide characters in {length} bytes would take {size} bytes of memory; a larger "
            "conf.max_extra_memory allows more"
        )


def _check_memory(text: str) -> None:
    """Bound the number of values, and the width of texts, before they take memory."""
    limit = conf.max_json_values
    if len(text) <= limit and 3 * len(text) <= conf.max_extra_memory:
        return
    marks, has_wide = _scan(text)
    # many marks may stand inside texts; only now is it worth the time to look for these
    if marks > limit:
        found = islice(_QUOTED_OR_MARK.finditer(text), 3 * limit)
        if sum(match.lastindex or 0 for match in found) > limit:
            raise DecodingError(f"more values than conf.max_json_values = {limit}")
    if has_wide:
        spans = (match.span() for match in _QUOTED_TEXT.finditer(text))
        _check_width(sum(4 * (end - start) for start, end in spans if text.find("\\u", start, end) >= 0), len(text))


def _scan(text: str) -> tuple[int, bool]:
    """Count the characters that announce values, and see if there are escapes of wide characters."""
    marks, has_wide = 0, False
    # most pieces of a long text are base64, which has none of them
    for start in range(0, len(text), _PIECE):
        end = start + _PIECE
        marks += sum(text.count(mark, start, end) for mark in _MARKS if text.find(mark, start, end) >= 0)
        if not has_wide and text.find("\\", start, end) >= 0:
            has_wide = _WIDE_ESCAPE.search(text, start, end + 6) is not None
    return marks, has_wide


def _beginning(text: str) -> str:
    """The first words of a text, without the tags if it is a page."""
    text = text[:4000].strip()
    if text.startswith("<"):
        words = re.sub(r"(?is)<(script|style)\b.*?(</\1>|$)|<[^>]*(>|$)", " ", text)
        return f"a page: {printable(' '.join(words.split()), limit=300)!r}"
    return repr(printable(text, limit=300)) if text else "an empty text"
