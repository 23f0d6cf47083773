# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Tables written as ECSV text, the form in which workflows send them.

They are read here and not by astropy, whose reader guesses what its argument is (a path, an address), makes objects of
the classes that a header names, drops rows that begin with a comment sign, and strips texts. This is also
faster, and its memory is bounded: rows are turned into arrays some at a time.

In the YAML header only the standard tags of a safe loader mean anything. astropy marks what stands in for its own
classes, in the description of mixin columns, by tags that begin with ``!astropy.``: there, and only there, they are
passed over, so that the plain values below them remain.
"""

from __future__ import annotations

import io
import json
import math
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table

from ..allowance import COLUMN_MEMORY, Allowance
from ..config import conf
from ..errors import DecodingError, reading
from ..text import printable
from ..units import check_units, count_parsed, read_unit
from .arrays import Array
from .jsontext import read_json

_CHARACTERS_AT_ONCE = 200_000
_MAX_ROW = 1_000_000
# memory of a value of JSON, or of a cell that is an object of its own
_TEXT = 70
_OBJECT = 400
# for the time that it takes, rather than its memory
_UNKNOWN_UNIT = 300_000
_FLOATS = ("float32", "float64")
_BOOLEANS = {"True": True, "true": True, "1": True, True: True}
_BOOLEANS |= {"False": False, "false": False, "0": False, False: False}

_HEADER = re.compile(r"(?:#.*\n|\r?\n)*")
_VERSION = re.compile(r"# *%ECSV [0-9]+\.[0-9]+(\.[0-9]+)?\s*")
_DELIMITERS = (" ", ",")
_NUMBER = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64|128)|complex(64|128)")
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
class _ColumnHeader:
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
class _Header:
    """The whole header, and the position in the text where the rows begin."""

    columns: list[_ColumnHeader]
    masks: dict[str, str]  # columns that are the masks of others, by their names
    meta: dict[str, Any]
    delimiter: str
    end: int


def read_ecsv(text: Any, *, what: str = "table", allowance: Allowance | None = None) -> Table:
    """
    Read a table from ECSV text, never from the name of a file.

    Mixin columns become the plain columns that they are written as; empty cells are masked.
    """
    with reading(what):
        if not isinstance(text, str):
            raise DecodingError(f"expected ECSV text, got {type(text).__name__}")
        if len(text) > conf.max_product_size:
            raise DecodingError(f"{len(text)} characters are more than conf.max_product_size = {conf.max_product_size}")
        header = _read_header(text)
        allowance = allowance or Allowance(len(text))
        allowance.spend(COLUMN_MEMORY * len(header.columns), "columns")
        check_units(column.unit for column in header.columns)
        parsed = count_parsed()
        parts: list[list[Array]] = [[] for _ in header.columns]
        for rows in _read_rows(text, header):
            for number, column in enumerate(header.columns):
                with reading(f"column {printable(column.name, limit=60)!r}"):
                    parts[number].append(_column_values(rows[column.name], column, allowance))
        columns = [_joined(column, found, allowance) for column, found in zip(header.columns, parts, strict=True)]
        table = Table(columns, meta=header.meta, copy=False)
        for name, mask in header.masks.items():
            table[name] = MaskedColumn(table[name], copy=False)
            table[name].mask = table[mask]
        table.remove_columns(header.masks.values())
        unknown = {str(column.unit) for column in columns if isinstance(column.unit, u.UnrecognizedUnit)}
        # a reply may have many tables, whose units were not all seen before
        new = min(len(unknown), count_parsed() - parsed)
        allowance.spend(_UNKNOWN_UNIT * new, "units that astropy does not know")
        return table


def _read_header(text: str) -> _Header:
    found = _HEADER.match(text, 0, conf.max_table_header)
    end = found.end() if found else 0
    if text.startswith("#", end):
        raise DecodingError(f"ECSV header longer than conf.max_table_header = {conf.max_table_header}")
    version, *lines = text[:end].split("\n")
    if not _VERSION.fullmatch(version):
        raise DecodingError(f"expected an ECSV table, got {printable(text[:300], limit=100)!r}")
    content = _read_yaml(textwrap.dedent("\n".join(line[1:] for line in lines)))
    if not isinstance(content, dict) or not isinstance(content.get("datatype"), list):
        raise DecodingError("ECSV header without a list of columns")
    delimiter = content.get("delimiter", " ")
    if delimiter not in _DELIMITERS:
        raise DecodingError(f"ECSV table with the delimiter {printable(delimiter, limit=20)!r}")
    meta = _or_empty(content.get("meta"))
    mixins = [_or_empty(mixin) for mixin in _or_empty(meta.pop(_MIXINS, None)).values()]
    described = {name: found for mixin in mixins for name, found in _described_parts(mixin)}
    columns = [_column_header(_or_empty(entry), described) for entry in content["datatype"]]
    if len({column.name for column in columns}) != len(columns):
        raise DecodingError("ECSV table with two columns of one name")
    pairs = [[str(_or_empty(mixin.get(key)).get("name")) for key in ("data", "mask")] for mixin in mixins]
    masks = {name: mask for name, mask in pairs if {name, mask} <= {column.name for column in columns}}
    return _Header(columns, masks, meta, delimiter, end)


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


def _column_header(entry: dict[str, Any], mixins: dict[str, dict[str, Any]]) -> _ColumnHeader:
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
    return _ColumnHeader(name, *kind, unit=texts.get("unit"), description=description)


def _column_type(datatype: Any) -> np.dtype[Any] | None:
    if datatype == "string":
        return None
    if not isinstance(datatype, str) or not _NUMBER.fullmatch(datatype):
        raise DecodingError(f"ECSV table with a column of type {printable(datatype, limit=60)!r}")
    return np.dtype(datatype)


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


# rows


def _read_rows(text: str, header: _Header) -> Iterator[Array]:
    """Some rows at a time, as records of texts, and of floating point numbers where all cells can be read as these."""
    texts = [(column.name, object) for column in header.columns]
    mixed = [(column.name, column.dtype if _is_plain_float(column) else object) for column in header.columns]
    parts = _parts(text, header.end)
    part = next(parts, "")
    first = _records(part, header.delimiter, texts) if part else np.empty(0, texts)
    names, found = [column.name for column in header.columns], list(first[0]) if part else []
    if found != names:
        shown = (printable(", ".join(some[:20]) or "no name", limit=200) for some in (names, found))
        raise DecodingError("ECSV header with columns {}, rows with {}".format(*shown))
    yield first[1:]
    for part in parts:
        yield _records(part, header.delimiter, mixed, texts)


def _is_plain_float(column: _ColumnHeader) -> bool:
    return str(column.dtype) in _FLOATS and not column.shape


def _parts(text: str, start: int) -> Iterator[str]:
    """Some whole lines at a time, and no cell in pieces; what can't be a row is refused before it takes memory."""
    while start < len(text):
        end = text.find("\n", start + _CHARACTERS_AT_ONCE) + 1 or len(text)
        quotes = text.count('"', start, end)
        while quotes % 2 and end < len(text) and end - start <= _MAX_ROW:
            line_start, end = end, text.find("\n", end) + 1 or len(text)
            quotes += text.count('"', line_start, end)
        if quotes % 2 or end - start > _MAX_ROW:
            raise DecodingError(f"a quoted cell without end, or a row of more than {_MAX_ROW} characters")
        if part := text[start:end].strip("\r\n"):
            yield part
        start = end


def _records(part: str, delimiter: str, *dtypes: Any) -> Array:
    """Rows as records of the first type that they can be read as."""
    reason = "none"
    for dtype in dtypes:
        try:
            # a text that is given as it is would be the name of a file
            rows = io.StringIO(part, newline="\n")
            return np.loadtxt(rows, dtype, None, delimiter, quotechar='"', ndmin=1, encoding="utf-8")
        except ValueError as error:
            reason = str(error)
    raise DecodingError(f"unreadable rows ({reason})")


def _column_values(cells: Array, column: _ColumnHeader, allowance: Allowance) -> Array:
    if column.is_json or column.shape[-1:] == (None,):
        return _objects(cells, column, allowance)
    if cells.dtype != object:
        allowance.spend(cells.nbytes, "numbers")
        return np.ascontiguousarray(cells)
    if not column.shape:
        cells[cells == ""] = None
        return _typed(cells, column.dtype, allowance)
    shape = tuple(length or 0 for length in column.shape)
    memory = 8 * math.prod(shape) * len(cells)
    allowance.spend(memory, f"cells of shape {shape}")
    values: Array = np.full((len(cells), *shape), None, object)
    for number, cell in enumerate(cells):
        if cell:
            array = np.array(json.loads(cell), object)  # faster than read_json; the shape bounds it
            if array.shape != shape:
                raise DecodingError(f"expected cells of shape {shape}, got one of {array.shape}")
            values[number] = array
    typed = _typed(values, column.dtype, allowance)
    allowance.refund(memory)
    return typed


def _objects(cells: Array, column: _ColumnHeader, allowance: Allowance) -> Array:
    """JSON values of any kind, or arrays of different lengths, which take much more memory than their text."""
    marks = sum(cell.count(mark) for cell in cells for mark in ",[{") if column.is_json else 0
    allowance.spend(_OBJECT * len(cells) + _TEXT * marks, "values of JSON")
    values = np.empty(len(cells), object)
    for number, cell in enumerate(cells):
        if column.is_json:
            values[number] = read_json(cell) if cell else None
            continue
        array = np.array(json.loads(cell or "[]"), object)
        if not array.ndim:
            raise DecodingError("expected a list in each row")
        values[number] = _typed(array, column.dtype, allowance)
    return values


def _typed(values: Array, dtype: np.dtype[Any] | None, allowance: Allowance) -> Array:
    """Texts or JSON values as an array of one type, masked where they are None."""
    missing = values == np.array(None)
    values[missing] = "" if dtype is None else "0"
    if dtype is None:
        if set(map(type, values.flat)) - {str}:
            raise DecodingError("expected lists of texts")
        allowance.spend(4 * max(map(len, values.flat), default=1) * values.size, "texts")
        result = values.astype(str)
    else:
        allowance.spend((dtype.itemsize + 1) * values.size, "numbers")
        result = _numbers(values, dtype)
    return np.ma.MaskedArray(result, missing) if missing.any() else result


def _numbers(values: Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "b":
        if unknown := set(values.flat) - _BOOLEANS.keys():
            raise DecodingError(f"{printable(unknown.pop(), limit=60)!r} is neither True nor False")
        return np.array([_BOOLEANS[value] for value in values.flat], dtype).reshape(values.shape)
    if dtype.kind == "u" and any(str(value).startswith("-") for value in values.flat):
        raise DecodingError("negative numbers in a column of unsigned ones")
    if dtype.kind in "iu" and dtype.itemsize < 8:
        # versions of numpy before 2 cut off what is too large
        whole = values.astype("i8")
        if np.any(whole != whole.astype(dtype)):
            raise DecodingError(f"numbers that are too large for {dtype.name}")
        return whole.astype(dtype)
    # a number that is too large for its type becomes infinite, as it would anywhere else
    with np.errstate(all="ignore"):
        return values.astype(dtype)


def _joined(column: _ColumnHeader, parts: list[Array], allowance: Allowance) -> Column:
    """The whole column; its parts are given up."""
    allowance.spend(max(part.itemsize for part in parts) * sum(part.size for part in parts), "a column")
    allowance.refund(sum(part.nbytes for part in parts))
    is_masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
    values = np.ma.concatenate(parts) if is_masked else np.concatenate(parts)
    parts.clear()
    cls = MaskedColumn if is_masked else Column
    return cls(values, name=column.name, unit=read_unit(column.unit), **column.description)
