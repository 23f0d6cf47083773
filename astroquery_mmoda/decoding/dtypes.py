# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Element types of arrays, from the state of a pickled ``numpy.dtype`` or from its text, by a closed grammar."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import accumulate, chain, islice
from typing import Any

import numpy as np

from ..errors import DecodingError
from ..text import printable
from .literals import read_literal
from .plainpickle import Instance

__all__ = ["checked_shape", "from_record", "from_text", "is_object"]

# half, single and double precision; long double is left out, as its bytes mean something else on each machine
_CODES = frozenset("b1 i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8 c8 c16".split())
_WORDS = {"bool": "b1", "bool_": "b1", "float16": "f2", "float32": "f4", "float64": "f8", "float": "f8", "int": "i8"}
_WORDS |= {"complex64": "c8", "complex128": "c16", "complex": "c16"}
_WORDS |= {f"{sign}int{8 * size}": f"{sign or 'i'}{size}" for sign in ("", "u") for size in (1, 2, 4, 8)}
_ORDERS = {"<": "<", ">": ">", "|": "|", "=": "<"}

_MAX_ITEMSIZE = 2**31 - 1
_MAX_FIELDS = 100_000
_MAX_DIMENSIONS = 32
_MAX_DEPTH = 8


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape that is a short tuple of whole numbers, none of them negative."""
    # most are of one number, and variable-length columns have one for each row
    if type(shape) is tuple and len(shape) == 1 and type(shape[0]) is int and shape[0] >= 0:
        return shape
    shape = (shape,) if type(shape) is int else tuple(shape) if isinstance(shape, (tuple, list)) else None
    if shape is None or len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise DecodingError("array with an impossible shape")
    return shape


def is_object(record: Any) -> bool:
    """Whether a pickled dtype is that of Python objects; only the rows of variable-length columns may have it."""
    return _is_dtype(record) and record.args[:1] in (("O8",), ("O4",), ("O",), (b"O8",), (b"O4",), (b"O",))


def from_record(record: Any, depth: int = 0, made: dict[int, np.dtype[Any]] | None = None) -> np.dtype[Any]:
    """
    Make a dtype from what a pickle says about it.

    Parameters
    ----------
    record : `Instance`
        The ``numpy.dtype`` of the stream: ``(code, align, copy)`` and the state ``(version, byte order, subarray,
        names, fields, item size, alignment, flags[, metadata])``.
    depth : int
        How many dtypes this one is inside of.
    made : dict, optional
        Those of the same pickle that were made already, by the identity of their record: fields may refer to one
        record again and again, at each depth.
    """
    made = {} if made is None else made
    if depth > _MAX_DEPTH:
        raise DecodingError("dtype nested too deeply")
    if id(record) not in made:
        made[id(record)] = _from_record(record, depth, made)
    return made[id(record)]


def _from_record(record: Any, depth: int, made: dict[int, np.dtype[Any]]) -> np.dtype[Any]:
    if not _is_dtype(record) or type(record.state) is not tuple or not 8 <= len(record.state) <= 9:
        raise DecodingError("array without a readable dtype")
    _, order, subarray, names, fields, itemsize = record.state[:6]
    if names is not None:
        return _from_fields(names, fields, itemsize, depth, made)
    if subarray is not None:
        return _from_subarray(subarray, itemsize, depth, made)
    dtype = _simple(_ascii(record.args[0]), _ascii(order))
    if type(itemsize) is not int or itemsize not in (-1, dtype.itemsize):
        raise DecodingError(f"dtype {dtype.str} with a wrong item size")
    return dtype


def _is_dtype(record: Any) -> bool:
    return isinstance(record, Instance) and record.maker == ("numpy", "dtype") and len(record.args) >= 1


def _from_fields(names: Any, fields: Any, itemsize: Any, depth: int, made: dict[int, np.dtype[Any]]) -> np.dtype[Any]:
    if type(names) is not tuple or type(fields) is not dict:
        raise DecodingError("dtype with unreadable fields")
    titled = [value for value in fields.values() if type(value) is not tuple or len(value) != 2]
    if titled or len(fields) != len(names):
        raise DecodingError("dtype with titles or missing fields")
    names = [_ascii(name) for name in names]
    parts: list[Any] = [fields.get(name, fields.get(name.encode("latin-1", "replace"))) for name in names]
    if not all(type(part) is tuple for part in parts):
        raise DecodingError("dtype with titles or missing fields")
    formats = [from_record(part[0], depth + 1, made) for part in parts]
    return _structured(names, formats, [part[1] for part in parts], itemsize)


def _structured(names: list[str], formats: list[np.dtype[Any]], offsets: list[Any], itemsize: Any) -> np.dtype[Any]:
    """Fields that lie inside their record and not on each other; then numpy may have them."""
    if type(itemsize) is not int or not 0 <= itemsize <= _MAX_ITEMSIZE or len(set(names)) != len(names):
        raise DecodingError("dtype with an impossible record")
    if not all(type(offset) is int for offset in offsets):
        raise DecodingError("dtype with an impossible offset")
    if any(islice(chain.from_iterable(map(_parts, formats)), _MAX_FIELDS, None)):
        raise DecodingError(f"dtype of more than {_MAX_FIELDS} fields")
    end = 0
    for offset, part in sorted(zip(offsets, formats, strict=True), key=lambda pair: pair[0]):
        if offset < end:
            raise DecodingError("dtype with overlapping fields")
        end = offset + part.itemsize
    if end > itemsize:
        raise DecodingError("dtype with a field outside of its record")
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize})


def _parts(dtype: np.dtype[Any]) -> Iterator[int]:
    """1 for a dtype and for each one inside it, one by one: fields of fields multiply."""
    yield 1
    for name in dtype.base.names or ():
        yield from _parts(dtype.base[name])


def _from_subarray(subarray: Any, itemsize: Any, depth: int, made: dict[int, np.dtype[Any]]) -> np.dtype[Any]:
    if type(subarray) is not tuple or len(subarray) != 2:
        raise DecodingError("dtype with an unreadable subarray")
    dtype = _repeated(from_record(subarray[0], depth + 1, made), subarray[1])
    if itemsize != dtype.itemsize:
        raise DecodingError("dtype with a wrong item size")
    return dtype


def _repeated(base: np.dtype[Any], shape: Any) -> np.dtype[Any]:
    shape = checked_shape(shape)
    if base.itemsize * math.prod(shape) > _MAX_ITEMSIZE or max(shape, default=0) > _MAX_ITEMSIZE:
        raise DecodingError("dtype with a subarray that is too large")
    return np.dtype((base, shape))


def _simple(code: str, order: str) -> np.dtype[Any]:
    text = re.fullmatch(r"([SUa])([0-9]{1,9})", code)
    if order not in _ORDERS or not (text or code in _CODES):
        raise DecodingError(f"dtype {printable(order + code, limit=60)!r}, which products don't have")
    if text and int(text[2]) * 4 > _MAX_ITEMSIZE:
        raise DecodingError("dtype with a text that is too long")
    return np.dtype(_ORDERS[order] + code.replace("a", "S"))


def _ascii(text: Any) -> str:
    """Names and codes; Python 2 wrote them as byte strings."""
    if isinstance(text, bytes):
        return text.decode("latin-1")
    if type(text) is not str:
        raise DecodingError(f"dtype with {type(text).__name__} in place of a text")
    return text


# dtypes as text: float64, >f4, [('TIME', '<f8'), ...], (numpy.record, [...]), {'names': [...], ...}


def from_text(text: Any) -> np.dtype[Any]:
    """Make a dtype from its text, such as ``>f4``, ``float64`` or ``(numpy.record, [('TIME', '<f8'), ...])``."""
    text = _ascii(text).strip()
    record = re.fullmatch(r"(?s)\(numpy\.record, ?(.*)\)|dtype\((.*)\)", text)
    text = (record[1] or record[2]) if record else text
    return _from_plain(read_literal(text) if text[:1] in "[{('\"" else text)


def _from_plain(value: Any, depth: int = 0) -> np.dtype[Any]:
    if depth > _MAX_DEPTH:
        raise DecodingError("dtype nested too deeply")
    if isinstance(value, str):
        return _from_code(value)
    if isinstance(value, list):
        return _from_list(value, depth)
    if isinstance(value, dict):
        return _from_dict(value, depth)
    raise DecodingError("dtype that is neither a code nor a list of fields")


def _from_code(text: str) -> np.dtype[Any]:
    order, code = (text[0], text[1:]) if text[:1] in _ORDERS else ("=", text)
    return _simple(_WORDS.get(code, code), order)


def _from_list(fields: list[Any], depth: int) -> np.dtype[Any]:
    names, formats = [], []
    for field in fields:
        if not isinstance(field, list) or not 2 <= len(field) <= 3:
            raise DecodingError("dtype with an unreadable field")
        part = _from_plain(field[1], depth + 1)
        names.append(_ascii(field[0]))
        formats.append(_repeated(part, field[2]) if len(field) == 3 else part)
    sizes = [part.itemsize for part in formats]
    return _structured(names, formats, [0, *accumulate(sizes)][:-1], sum(sizes))


def _from_dict(fields: dict[Any, Any], depth: int) -> np.dtype[Any]:
    names, formats, offsets = (fields.get(key) for key in ("names", "formats", "offsets"))
    if not (isinstance(names, list) and isinstance(formats, list) and isinstance(offsets, list)):
        raise DecodingError("dtype with unreadable fields")
    parts = [_from_plain(_pair_or_plain(part), depth + 1) for part in formats]
    if not len(names) == len(parts) == len(offsets):
        raise DecodingError("dtype with missing fields")
    parts = [_repeated(part, raw[1]) if _is_pair(raw) else part for part, raw in zip(parts, formats, strict=True)]
    return _structured([_ascii(name) for name in names], parts, offsets, fields.get("itemsize"))


def _is_pair(value: Any) -> bool:
    """Whether a format is ``('<f8', (3,))``."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], list)


def _pair_or_plain(value: Any) -> Any:
    return value[0] if _is_pair(value) else value
