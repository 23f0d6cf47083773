# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the header of an ECSV table says about its columns, with mixin columns told apart into plain ones."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..config import conf
from ..errors import DecodingError
from ..text import printable
from .yamlheaders import MIXINS, read_yaml

__all__ = ["ColumnHeader", "Header", "read_header"]

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
_FORMAT = re.compile(
    r"%?[-+ #0]?[0-9]{0,2}(\.[0-9]{1,2})?[bdoxXeEfFgGs%]|\{:[-+ #<>^0]{0,2}[0-9]{0,2}(\.[0-9]{1,2})?[a-zA-Z%]?\}"
)
_MIXIN_REMARKS = ("format", "scale", "frame")


@dataclass(frozen=True, slots=True)
class ColumnHeader:
    """
    One column: ``dtype`` is None for text and for JSON values.

    ``shape`` is that of a cell; its last length is None where it differs from row to row.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | None, ...] = ()
    is_json: bool = False
    unit: str | None = None
    description: str | None = None
    format: str | None = None
    meta: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Header:
    """The whole header; ``masks`` names the columns that are the masks of others."""

    columns: list[ColumnHeader]
    meta: dict[Any, Any]
    delimiter: str
    masks: dict[str, str]


def read_header(text: str) -> tuple[Header, int]:
    """
    Read the header of a table.

    Parameters
    ----------
    text : str
        The whole table.

    Returns
    -------
    tuple
        The `Header` and the position in ``text`` where the rows begin.
    """
    lines, start = _header_lines(text)
    if not lines or not _VERSION.fullmatch(lines[0].strip()):
        raise DecodingError(f"expected an ECSV table, got {printable(text[:300], limit=100)!r}")
    content = read_yaml(textwrap.dedent("\n".join(lines[1:])))
    if not isinstance(content, dict) or not isinstance(content.get("datatype"), list):
        raise DecodingError("ECSV header without a list of columns")
    delimiter = content.get("delimiter", " ")
    if delimiter not in _DELIMITERS:
        raise DecodingError(f"ECSV table with the delimiter {printable(delimiter, limit=20)!r}")
    meta = _dictionary(content.get("meta"))
    mixins = _dictionary(meta.pop(MIXINS, None))
    columns = _columns(content["datatype"], mixins)
    return Header(columns, meta, delimiter, _masks(mixins, {column.name for column in columns})), start


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


def _dictionary(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _columns(entries: list[Any], mixins: dict[Any, Any]) -> list[ColumnHeader]:
    remarks = {name: remark for mixin in mixins.values() for name, remark in _remarks(mixin)}
    columns = [_column(_dictionary(entry), remarks) for entry in entries]
    if len({column.name for column in columns}) != len(columns):
        raise DecodingError("ECSV table with two columns of one name")
    return columns


def _column(entry: dict[Any, Any], remarks: dict[str, dict[str, Any]]) -> ColumnHeader:
    name = entry.get("name")
    if not isinstance(name, str):
        raise DecodingError("ECSV table with a column without name")
    datatype, subtype = entry.get("datatype"), entry.get("subtype")
    dtype = _type(datatype)
    shape: tuple[int | None, ...] = ()
    is_json = False
    if dtype is None and subtype is not None:
        dtype, shape, is_json = _subtype(subtype)
    unit, description, form = (_text(entry.get(key)) for key in ("unit", "description", "format"))
    known = remarks.get(name, {})
    return ColumnHeader(
        name,
        dtype,
        shape,
        is_json=is_json,
        unit=unit,
        description=description or known.get("description"),
        format=form if form and _FORMAT.fullmatch(form) else None,
        meta={key: value for key, value in known.items() if key != "description"} | _dictionary(entry.get("meta")),
    )


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list)) else str(value)


def _type(datatype: Any) -> np.dtype[Any] | None:
    if datatype in _TYPES:
        return _TYPES[datatype]
    if isinstance(datatype, str) and _TEXT.fullmatch(datatype):
        return None
    raise DecodingError(f"ECSV table with a column of type {printable(datatype, limit=60)!r}")


def _subtype(subtype: Any) -> tuple[np.dtype[Any] | None, tuple[int | None, ...], bool]:
    """Type, shape of a cell, and whether it is any JSON value, from ``int64[2,null]`` or ``json``."""
    match = _SUBTYPE.fullmatch(str(subtype))
    if not match:
        raise DecodingError(f"ECSV table with a column of subtype {printable(subtype, limit=60)!r}")
    if match[1] in ("json", "object"):
        return None, (), True
    shape: tuple[int | None, ...] = tuple(int(length) for length in (match[2] or "").replace(",", " ").split())
    if math.prod(length or 1 for length in shape) > _MAX_CELL or len(shape) > _MAX_DIMENSIONS:
        raise DecodingError(f"ECSV table with cells of subtype {printable(subtype, limit=60)!r}")
    return _type(match[1]), (*shape, None) if match[3] else shape, False


# mixin columns: what astropy says about its own classes is not followed


def _remarks(mixin: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each plain column that a mixin column consists of, what is worth to be kept: the scale of times, a frame."""
    mixin = _dictionary(mixin)
    kept = {key: mixin[key] for key in _MIXIN_REMARKS if isinstance(mixin.get(key), str)}
    description = _text(_dictionary(mixin.get("__info__")).get("description"))
    kept |= {"description": description} if description else {}
    for name in _parts(mixin):
        yield name, kept


def _parts(mixin: dict[Any, Any]) -> Iterator[str]:
    for value in mixin.values():
        if isinstance(value, dict):
            if isinstance(value.get("name"), str):
                yield value["name"]
            else:
                yield from _parts(value)


def _masks(mixins: dict[Any, Any], names: set[str]) -> dict[str, str]:
    """Columns whose mask is another column."""
    found = {}
    waiting = [mixin for mixin in mixins.values() if isinstance(mixin, dict)]
    while waiting:
        mixin = waiting.pop()
        data, mask = (_dictionary(mixin.get(key)).get("name") for key in ("data", "mask"))
        if data in names and mask in names:
            found[data] = mask
        waiting += [value for value in mixin.values() if isinstance(value, dict)]
    return found
