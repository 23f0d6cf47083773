# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
JSON, and the Python literals that old servers sent in its place.

A literal is rewritten as JSON word by word and given to the JSON parser; nothing is evaluated.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..config import conf
from ..errors import DecodingError
from ..text import printable
from .boundary import reading

__all__ = ["parse_body", "read_json", "read_json_text", "read_literal"]

_MAX_LITERAL = 100_000

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
        return read_json(body if isinstance(body, str) else str(body, "utf-8"))


def read_json_text(value: Any, *, what: str = "meta_data") -> Any:
    """
    Read a value that may have been turned into text once or twice: by JSON or, on old servers, by Python.

    Parameters
    ----------
    value : object
        Mostly a text; anything else is returned as it is.
    what : str
        Short name of it for error messages.

    Returns
    -------
    object
        Plain data, mostly a dictionary; None and an empty text give an empty one.
    """
    with reading(what):
        for _ in range(3):
            if not isinstance(value, str):
                break
            value = _read_text(value)
        if isinstance(value, str):
            raise DecodingError("text inside text inside text")
        return {} if value is None else value


def _read_text(text: str) -> Any:
    text = text.strip()
    if not text:
        return None
    try:
        return read_json(text)
    except DecodingError:
        if not text.startswith(("{", "[", "(", "'")) and text not in ("None", "True", "False"):
            raise
        return read_literal(text)


def read_json(text: str) -> Any:
    """Parse JSON text within `conf.max_json_values` and `conf.max_nesting`."""
    _check_count(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DecodingError(f"expected JSON, got {_beginning(text)} ({error})") from error
    _check_nesting(value)
    return value


def _check_count(text: str) -> None:
    limit = conf.max_json_values
    if sum(text.count(character) for character in "[{,:") <= limit:
        return
    # many of them may stand inside strings; only now is it worth to look
    count = 0
    for match in _VALUES.finditer(text):
        count += match[0][0] != '"'
        if count > limit:
            raise DecodingError(f"more values than conf.max_json_values = {limit}")


def _check_nesting(value: Any) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(conf.max_nesting):
        if not level:
            return
        children = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
        level = [child for child in children if isinstance(child, (dict, list))]
    raise DecodingError(f"nested deeper than conf.max_nesting = {conf.max_nesting}")


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
    if match["string"]:
        return json.dumps(_unescaped(match["string"].lstrip("uUbB")[1:-1]))
    if match["number"]:
        return json.dumps(_number(match["number"]))
    if match["word"]:
        if match["word"] not in _JSON_WORDS:
            raise DecodingError(f"expected plain data, got the name {printable(match['word'], limit=60)!r}")
        return _JSON_WORDS[match["word"]]
    return _JSON_MARKS.get(match["mark"], match["mark"])


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, match[0])

    return _ESCAPE.sub(plain, text)
