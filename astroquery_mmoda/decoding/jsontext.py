# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""JSON, and the Python literals that old servers sent in its place."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable
from typing import Any

from ..allowance import Allowance
from ..config import conf
from ..errors import DecodingError, reading
from ..text import printable

_MAX_LITERAL = 20_000
_PIECE = 16_384
_MARKS = "[{,:"  # each value brings one of them
_CONTAINERS = frozenset({dict, list})
# memory of a value with its place in a list, or of an empty list
_VALUE = 64

# a whole text, or one of the marks
_TEXT_OR_MARK = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{,:]', re.DOTALL)
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_WIDE_ESCAPE = re.compile(rb"\\u(?!00)")


def parse_body(body: str | bytes | bytearray | memoryview, *, what: str = "reply") -> Any:
    """
    Parse a whole reply of the service as JSON.

    Parameters
    ----------
    body : str or bytes
        The reply; bytes are UTF-8.
    what : str
        Short name of it for error messages.

    Returns
    -------
    object
        Dictionaries, lists, texts, numbers (``NaN`` and ``Infinity`` among them), bools and None.

    Raises
    ------
    DecodingError
        If it is empty, not JSON (a page or a plain text, whose beginning is quoted), too large or too deeply nested.
    """
    with reading(what):
        if len(body) > conf.max_reply_size:
            raise DecodingError(f"{len(body)} bytes are more than conf.max_reply_size = {conf.max_reply_size}")
        if not isinstance(body, str):
            body = bytes(body) if isinstance(body, memoryview) else body
            _check_width(body)
            body = str(body, "utf-8")
        return read_json(body)


def read_json_text(value: Any, *, what: str = "meta_data", allowance: Allowance | None = None) -> Any:
    """
    Read a value that may have been turned into text once or twice: by JSON or, on old servers, by Python.

    Parameters
    ----------
    value : object
        Mostly a text; anything else is returned as it is.
    what : str
        Short name of it for error messages.
    allowance : Allowance, optional
        Of the reply, if what is read here is kept.

    Returns
    -------
    object
        Plain data, mostly a dictionary; None and an empty text give an empty one.
    """
    with reading(what):
        for _ in range(3):
            if not isinstance(value, str):
                return {} if value is None else value
            if allowance is not None:
                allowance.spend(_VALUE * _count_marks(value), "values written as text")
            value = _read_text(value.strip())
        raise DecodingError("text inside text inside text")


def _read_text(text: str) -> Any:
    if not text:
        return None
    try:
        return read_json(text)
    except DecodingError:
        if not text.startswith(("{", "[", "(", "'")) or len(text) > _MAX_LITERAL:
            raise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an unknown escape
        # plain values only, by way of JSON
        return read_json(json.dumps(ast.literal_eval(text)))


def read_json(text: str) -> Any:
    """Parse JSON text within `conf.max_json_values` and `conf.max_nesting`."""
    _check_count(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "" if text.lstrip()[:1] in ("", "<") else f" ({error})"
        raise DecodingError(f"expected JSON, got {_beginning(text)}{why}") from error
    _check_nesting(value)
    return value


def _check_width(body: bytes | bytearray) -> None:
    """Refuse what one wide character would make too large: Python gives all characters of a text the same width."""
    most = len(body) + conf.max_extra_memory
    if 4 * len(body) <= most:
        return
    if not body.isascii():
        size = len(body) * (4 if re.search(rb"[\xf0-\xff]", body) else 2)
    elif _has_wide_escape(body):
        texts = (match.span() for match in _TEXT.finditer(body))
        size = sum(4 * (end - start) for start, end in texts if body.find(b"\\u", start, end) >= 0)
    else:
        return
    if size > most:
        raise DecodingError(
            f"texts with wide characters in {len(body)} bytes would take {size} bytes of memory, {most} are allowed; a "
            "larger conf.max_extra_memory allows more"
        )


def _has_wide_escape(body: bytes | bytearray) -> bool:
    """Most pieces of a long reply, base64, have no backslash, which is told soon."""
    pieces = ((start, start + _PIECE) for start in range(0, len(body), _PIECE))
    return any(body.find(b"\\", *piece) >= 0 and _WIDE_ESCAPE.search(body, piece[0], piece[1] + 6) for piece in pieces)


def _check_count(text: str) -> None:
    """Bound the number of values before they take memory; in a fraction of the time that parsing takes."""
    limit = conf.max_json_values
    if len(text) <= limit or _count_marks(text) <= limit:
        return
    # many of them may stand inside texts; only now is it worth to tell them apart
    texts = marks = 0
    for match in _TEXT_OR_MARK.finditer(text):
        if text[match.start()] == '"':
            texts += 1
        else:
            marks += 1
        if marks > limit or texts > 2 * limit:
            raise DecodingError(f"more values than conf.max_json_values = {limit}")


def _count_marks(text: str) -> int:
    """Count the characters that announce values; most pieces of a long text, base64, have none, which is told soon."""
    pieces = ((start, start + _PIECE) for start in range(0, len(text), _PIECE))
    return sum(text.count(mark, *piece) for piece in pieces for mark in _MARKS if text.find(mark, *piece) >= 0)


def _check_nesting(value: Any) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(conf.max_nesting):
        if not level:
            return
        level = [child for item in level for child in _containers(item)]
    raise DecodingError(f"nested deeper than conf.max_nesting = {conf.max_nesting}")


def _containers(item: Any) -> Iterable[Any]:
    """Lists and dictionaries in one; most hold none, which is told without looking at each by itself."""
    children = item.values() if type(item) is dict else item
    if _CONTAINERS.isdisjoint(map(type, children)):
        return ()
    return [child for child in children if type(child) in _CONTAINERS]


def _beginning(text: str) -> str:
    """The first words of a text, without the tags if it is a page."""
    text = text[:4000].strip()
    if not text:
        return "an empty text"
    if text.startswith("<"):
        words = re.sub(r"(?is)<(script|style)\b.*?(</\1>|$)|<[^>]*(>|$)", " ", text)
        return f"a page: {printable(' '.join(words.split()), limit=300)!r}"
    return f"{printable(text, limit=300)!r}"
