# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
JSON, and the Python literals that old servers sent in its place.

A literal is rewritten as JSON word by word and given to the JSON parser; nothing is evaluated.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..allowance import Allowance
from ..config import conf
from ..errors import DecodingError, reading
from ..text import printable

__all__ = ["parse_body", "read_json", "read_json_text", "read_literal"]

_MAX_LITERAL = 100_000
_PIECE = 4096
_MANY_PIECES = 16 * _PIECE
_CONTAINERS = frozenset({dict, list})
# memory of a value with its place in a list, or of an empty list; what is written in Python takes long as well
_VALUE = 64
_LITERAL = 120

# a whole string, or one of the characters that each announce a value
_VALUES = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{,:]', re.DOTALL)


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
        If it is empty, no JSON (a page or a plain text, whose beginning is quoted), too large or too deeply nested.
    """
    with reading(what):
        if len(body) > conf.max_reply_size:
            raise DecodingError(f"{len(body)} bytes are more than conf.max_reply_size = {conf.max_reply_size}")
        if isinstance(body, str):
            return read_json(body)
        body = bytes(body) if isinstance(body, memoryview) else body
        return _read_with_runs(body) if len(body) > _MANY_PIECES else read_json(str(body, "utf-8"))


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
                break
            if allowance is not None:
                allowance.spend(_VALUE * _most_values(value), "values written as text")
            value = _read_text(value, allowance)
        if isinstance(value, str):
            raise DecodingError("text inside text inside text")
        return {} if value is None else value


def _read_text(text: str, allowance: Allowance | None) -> Any:
    text = text.strip()
    if not text:
        return None
    try:
        return read_json(text)
    except DecodingError:
        if not text.startswith(("{", "[", "(", "'")) and text not in ("None", "True", "False"):
            raise
        if allowance is not None:
            allowance.spend(_LITERAL * (_most_values(text) + text.count("(")), "values written in Python")
        return read_literal(text)


# long texts in a reply


def _read_with_runs(body: bytes | bytearray) -> Any:
    """
    Parse a long reply as JSON, its long runs of base64 by themselves.

    The JSON parser takes 2 ns for each character of a text, whatever it is, and the body as `str` takes as much memory
    as the body. So each run, with nothing in it that means something to JSON, is replaced by a short word, and put
    back after parsing. A run between two quotes that is no value (but a key, or not even inside of a text) leaves its
    word unfound, and then all is parsed the plain way.
    """
    short, runs = _without_runs(body)
    _check_width(short, len(body) + conf.max_extra_memory)
    if not runs:
        return read_json(str(body, "utf-8"))
    value = [read_json(str(short, "utf-8"))]
    if _put_back(value, runs) != len(runs):
        _check_width(body, len(body) + conf.max_extra_memory)
        return read_json(str(body, "utf-8"))
    return value[0]


def _check_width(body: bytes | bytearray, most: int) -> None:
    """Refuse what one wide character would make too large: Python gives all characters of a text the same width."""
    if 4 * len(body) <= most:
        return
    width = 1 if body.isascii() else 4 if re.search(rb"[\xf0-\xff]", body) else 2
    size = width * len(body) if width > 1 else sum(map(_size, _texts(body)))
    if size > most:
        raise DecodingError(
            f"texts with wide characters in {len(body)} bytes would take {size} bytes of memory, {most} are allowed; a "
            "larger conf.max_extra_memory allows more"
        )


def _texts(body: bytes | bytearray) -> Iterator[bytes | bytearray]:
    """Long parts between quotes that are not escaped; a regular expression would remember each escaped character."""
    start = 0
    while start < len(body):
        end = body.find(b'"', start)
        while end > 0 and body[end - 1] == ord("\\"):
            end = body.find(b'"', end + 1)
        end = end if end >= 0 else len(body)
        if end - start > _MANY_PIECES:
            yield body[start:end]
        start = end + 1


def _size(text: bytes | bytearray) -> int:
    """Memory of a text with escaped wide characters."""
    escaped = text.count(b"\\u")
    width = 4 if escaped and re.search(rb"\\u[dD][89abAB]", text) else 2
    return width * (len(text) - 5 * escaped) if escaped else 0


def _without_runs(body: bytes | bytearray) -> tuple[bytes, dict[str, str]]:
    """The body with words in the place of runs, and the runs by word."""
    word, done, start = os.urandom(12).hex(), 0, 0
    runs: dict[str, str] = {}
    parts: list[bytes | bytearray] = []
    while start < len(body):
        # a run of two pieces or more fills at least one of them
        if body.find(b'"', start, start + _PIECE) >= 0:
            start += _PIECE
            continue
        left, right = body.rfind(b'"', done, start), body.find(b'"', start)
        if left < 0 or right < 0:
            break
        run = _run(body, left, right)
        if run is not None:
            key = f"{word}-{len(runs)}"
            runs[key] = run
            parts += [body[done : left + 1], key.encode()]
            done = right
        start = right + 1
    parts.append(body[done:])
    return b"".join(parts), runs


def _run(body: bytes | bytearray, left: int, right: int) -> str | None:
    """What stands between two quotes, if it is no more than a row of characters that mean nothing to JSON."""
    # an escaped quote does not begin a text, and what follows the end of a text begins otherwise
    if body[left - 1 : left] == b"\\" or not body[left + 1 : left + 2].isalnum():
        return None
    if body.find(b"\\", left, right) >= 0 or np.frombuffer(body, "u1", right - left, left).min() < ord(" "):
        return None
    try:
        return str(memoryview(body)[left + 1 : right], "ascii")
    except UnicodeDecodeError:
        return None


def _put_back(value: list[Any], runs: Mapping[str, str]) -> int:
    """Put runs in the place of their words, everywhere in plain data, and count them."""
    found = 0
    level: list[Any] = [value]
    while level:
        children = []
        for item in level:
            for key, child in item.items() if type(item) is dict else enumerate(item):
                if type(child) is str and child in runs:
                    item[key] = runs[child]
                    found += 1
                elif type(child) in _CONTAINERS:
                    children.append(child)
        level = children
    return found


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


def _check_count(text: str) -> None:
    """Judge how many values there are before they take memory; in a fraction of the time that parsing takes."""
    limit = conf.max_json_values
    # each value brings one of the characters that are counted
    if len(text) <= limit or _most_values(text) <= limit:
        return
    # many of them may stand inside strings; only now is it worth to look
    count = 0
    for match in _VALUES.finditer(text):
        count += match[0][0] != '"'
        if count > limit:
            raise DecodingError(f"more values than conf.max_json_values = {limit}")


def _most_values(text: str) -> int:
    """
    Count the characters that announce values, wherever they stand.

    Looking for a character is ten times faster than counting it, and most pieces of a long text have none of them.
    """
    found = 0
    for start in range(0, len(text), _PIECE):
        stop = start + _PIECE
        if (
            text.find(",", start, stop) >= 0
            or text.find(":", start, stop) >= 0
            or text.find("[", start, stop) >= 0
            or text.find("{", start, stop) >= 0
        ):
            piece = text[start:stop].encode("utf-8", "surrogatepass")
            found += len(piece) - len(piece.translate(None, b"[{,:"))
    return found


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


# Python literals

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>[uUbB]?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))
      | (?P<number>-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)L?
      | (?P<word>-?[A-Za-z]+)
      | (?P<mark>[][{}(),:])
    )\s*""",
    re.VERBOSE | re.DOTALL,
)
_JSON_WORDS = {"True": "true", "False": "false", "None": "null", "nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_JSON_WORDS |= {"true": "true", "false": "false", "null": "null", "NaN": "NaN", "Infinity": "Infinity"}
_JSON_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_JSON_MARKS = {"(": "[", ")": "]"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}


def read_literal(text: str) -> Any:
    """
    Read a Python literal of dictionaries, lists, tuples (as lists), texts, numbers, bools and None.

    Parameters
    ----------
    text : str
        At most 100000 characters.
    """
    if len(text) > _MAX_LITERAL:
        raise DecodingError(f"Python literal of {len(text)} characters")
    pieces: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise DecodingError(f"expected JSON or plain data, got {_beginning(text)}")
        piece = _json_piece(match)
        # Python allows a comma before a closing bracket
        if piece in ("]", "}") and pieces and pieces[-1] == ",":
            pieces.pop()
        pieces.append(piece)
        position = match.end()
    return read_json(" ".join(pieces))


def _json_piece(match: re.Match[str]) -> str:
    kind = match.lastgroup
    text = match[kind or 0]
    if kind == "mark":
        return _JSON_MARKS.get(text, text)
    if kind == "number":
        return text if _JSON_NUMBER.fullmatch(text) else json.dumps(_number(text))
    if kind == "string":
        return json.dumps(_unescaped(text.lstrip("uUbB")[1:-1]))
    if text not in _JSON_WORDS:
        raise DecodingError(f"expected plain data, got the name {printable(text, limit=60)!r}")
    return _JSON_WORDS[text]


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, match[0])

    return _ESCAPE.sub(plain, text)
