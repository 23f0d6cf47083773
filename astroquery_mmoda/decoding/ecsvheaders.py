# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What the YAML header of an ECSV table says about its columns, with mixin columns taken apart into plain ones.

Only the standard tags of a safe loader mean anything. astropy marks what stands in for its own classes, in the
description of mixin columns, by tags that begin with ``!astropy.``: there, and only there, they are passed over, so
that the plain values below them remain.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from ..config import conf
from ..errors import DecodingError
from ..text import printable

_VERSION = re.compile(r"%ECSV [0-9]+\.[0-9]+(\.[0-9]+)?")
_DELIMITERS = (" ", ",")
_TYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(name)
    for name in "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()
}
_TYPES |= {"complex64": np.dtype("c8"), "complex128": np.dtype("c16"), "float128": np.dtype("longdouble")}
# the types that old versions of astropy wrote for what is text in the file
_TEXT = re.compile(r"string|unicode|object|(str|bytes)_?[0-9]*|datetime64.*")
_SUBTYPE = re.compile(r"([a-z0-9]{1,20})(?:\[([0-9, ]*)(null)?\])?")
_MAX_DIMENSIONS = 16
_MAX_CELL = 1_000_000

# a display format may ask for a text of any length, or for attributes
_FORMAT = re.compile(r"(%|\{:)?[-+ #<>^0]{0,2}[0-9]{0,2}(\.[0-9]{1,2})?[a-zA-Z%]\}?")

# where astropy describes mixin columns, and what of it is kept
_MIXINS = "__serialized_columns__"
_MIXIN_META = ("format", "scale", "frame")

_STANDARD = "tag:yaml.org,2002:"
_SCALARS = [_STANDARD + name for name in ("null", "bool", "int", "float", "binary", "timestamp", "str", "value")]
# python/tuple is how astropy writes the tuples among the meta data of a table; here they are lists
_COLLECTIONS = [_STANDARD + name for name in ("map", "seq", "python/tuple", "omap", "pairs")]
_MAX_VALUES = 50_000
_MAX_DIGITS = 100


@dataclass(frozen=True, slots=True)
class ColumnHeader:
    """
    One column: ``dtype`` is None for text and for JSON values.

    ``shape`` is that of a cell; its last length is None where it differs from row to row.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | None, ...]
    is_json: bool
    unit: str | None
    description: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """The whole header."""

    columns: list[ColumnHeader]
    meta: dict[str, Any]
    delimiter: str


def read_ecsv_header(text: str) -> tuple[Header, int]:
    """Read the header of a table, and find the position in ``text`` where its rows begin."""
    lines, start = _header_lines(text)
    if not lines or not _VERSION.fullmatch(lines[0].strip()):
        raise DecodingError(f"expected an ECSV table, got {printable(text[:300], limit=100)!r}")
    content = _read_yaml(textwrap.dedent("\n".join(lines[1:])))
    if not isinstance(content, dict) or not isinstance(content.get("datatype"), list):
        raise DecodingError("ECSV header without a list of columns")
    delimiter = content.get("delimiter", " ")
    if delimiter not in _DELIMITERS:
        raise DecodingError(f"ECSV table with the delimiter {printable(delimiter, limit=20)!r}")
    meta = _or_empty(content.get("meta"))
    mixins = _or_empty(meta.pop(_MIXINS, None))
    described = {name: found for mixin in mixins.values() for name, found in _described_parts(_or_empty(mixin))}
    columns = [_column_header(_or_empty(entry), described) for entry in content["datatype"]]
    if len({column.name for column in columns}) != len(columns):
        raise DecodingError("ECSV table with two columns of one name")
    return Header(columns, meta, delimiter), start


def _header_lines(text: str) -> tuple[list[str], int]:
    """Lines of the header without their mark, and where they end."""
    lines: list[str] = []
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        line = text[start:end].strip()
        if line and not line.startswith("#"):
            break
        if end > conf.max_table_header:
            raise DecodingError(f"ECSV header longer than conf.max_table_header = {conf.max_table_header}")
        lines += [line[1:]] if line[1:] else []
        start = end
    return lines, start


def _or_empty(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _described_parts(mixin: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The plain columns that a mixin column consists of, and what is kept of its description."""
    # what astropy says about its own classes is not followed
    meta = {key: mixin[key] for key in _MIXIN_META if isinstance(mixin.get(key), str)}
    found = {"description": _or_empty(mixin.get("__info__")).get("description"), "meta": meta}
    inner = [mixin]
    for value in inner:
        inner += [part for part in value.values() if isinstance(part, dict)]
        if isinstance(value.get("name"), str):
            yield value["name"], found


def _column_header(entry: dict[str, Any], mixins: dict[str, dict[str, Any]]) -> ColumnHeader:
    name, subtype = entry.get("name"), entry.get("subtype")
    if not isinstance(name, str):
        raise DecodingError("ECSV table with a column without name")
    dtype = _column_type(entry.get("datatype"))
    kind = _subtype(subtype) if dtype is None and subtype is not None else (dtype, (), False)
    texts = {key: str(entry[key]) for key in ("unit", "description", "format") if entry.get(key) is not None}
    found = mixins.get(name, {"description": None, "meta": {}})
    description = {
        "description": texts.get("description") or found["description"],
        "format": texts.get("format") if _FORMAT.fullmatch(texts.get("format", "")) else None,
        "meta": found["meta"] | _or_empty(entry.get("meta")),
    }
    return ColumnHeader(name, *kind, unit=texts.get("unit"), description=description)


def _column_type(datatype: Any) -> np.dtype[Any] | None:
    if datatype in _TYPES:
        return _TYPES[datatype]
    if isinstance(datatype, str) and _TEXT.fullmatch(datatype):
        return None
    raise DecodingError(f"ECSV table with a column of type {printable(datatype, limit=60)!r}")


def _subtype(subtype: Any) -> tuple[np.dtype[Any] | None, tuple[int | None, ...], bool]:
    """Type, shape of a cell, and whether it is any JSON value, from ``int64[2,null]`` or ``json``."""
    match = _SUBTYPE.fullmatch(str(subtype))
    shape = tuple(int(length) for length in (match[2] or "").replace(",", " ").split()) if match else ()
    if not match or math.prod(length or 1 for length in shape) > _MAX_CELL or len(shape) > _MAX_DIMENSIONS:
        raise DecodingError(f"ECSV table with cells of subtype {printable(subtype, limit=60)!r}")
    if match[1] in ("json", "object"):
        return None, (), True
    return _column_type(match[1]), (*shape, None) if match[3] else shape, False


# YAML


def _read_yaml(text: str) -> Any:
    """Read one YAML document: dictionaries, lists, texts, numbers, bools, None, bytes and dates."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        loader.values = 0  # what aliases refer to counts each time
        return loader.plain(node)
    except yaml.YAMLError as error:
        raise DecodingError(f"unreadable YAML header ({printable(error, limit=300)})") from error


class _Loader(yaml.SafeLoader):
    """A safe loader that bounds how many nodes it composes, and makes plain data of them."""

    values = 0

    def count(self) -> None:
        self.values += 1
        if self.values > _MAX_VALUES:
            raise DecodingError(f"YAML header of more than {_MAX_VALUES} values")

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.count()
        return super().compose_node(parent, index)

    def plain(self, node: Any, depth: int = 0, *, in_mixins: bool = False) -> Any:
        self.count()
        if depth > conf.max_nesting:
            raise DecodingError("YAML header nested deeper than conf.max_nesting allows")
        is_scalar = isinstance(node, yaml.ScalarNode)
        passed_over = in_mixins and node.tag.startswith(("!astropy.", "!numpy."))
        if not passed_over and node.tag not in (_SCALARS if is_scalar else _COLLECTIONS):
            tag = printable(node.tag, limit=100)
            raise DecodingError(f"YAML header with the tag {tag!r}, which is not allowed in products")
        if is_scalar:
            # making a number of many digits takes the square of their count
            if node.tag.endswith((":int", ":float")) and len(node.value) > _MAX_DIGITS:
                raise DecodingError(f"YAML header with a number of {len(node.value)} characters")
            return self.construct_object(node)
        if isinstance(node, yaml.SequenceNode):
            items = [self.plain(item, depth + 1, in_mixins=in_mixins) for item in node.value]
            # YAML writes an ordered dictionary as many with one item each
            is_ordered = node.tag.endswith((":omap", ":pairs"))
            return {key: value for pair in items for key, value in pair.items()} if is_ordered else items
        found = {}
        for key_node, value_node in node.value:
            # numbers could be chosen so that they collide
            key = str(self.plain(key_node, depth + 1, in_mixins=in_mixins))
            found[key] = self.plain(value_node, depth + 1, in_mixins=in_mixins or key == _MIXINS)
        return found
