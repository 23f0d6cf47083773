# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Plain data from the YAML header of an ECSV table.

Only the standard tags of a safe loader mean anything, and the size of what aliases unfold to is limited. astropy marks
what stands in for its own classes, in the description of mixin columns, by tags that begin with ``!astropy.``: there,
and only there, they are passed over, so that the plain values below them remain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from ..config import conf
from ..errors import DecodingError
from ..text import printable

__all__ = ["MIXINS", "read_yaml"]

#: where astropy describes mixin columns
MIXINS = "__serialized_columns__"

_STANDARD = "tag:yaml.org,2002:"
_SCALARS = frozenset(_STANDARD + name for name in ("null", "bool", "int", "float", "binary", "timestamp", "str"))
# python/tuple is how astropy writes the tuples among the remarks of a table; here they are lists
_SEQUENCES = frozenset(_STANDARD + name for name in ("seq", "python/tuple"))
_OF_PAIRS = frozenset(_STANDARD + name for name in ("omap", "pairs"))
_MAPPINGS = frozenset({_STANDARD + "map"})
_PASSED_OVER = ("!astropy.", "!numpy.")

_NUMBERS = frozenset(_STANDARD + name for name in ("int", "float"))

_MAX_VALUES = 50_000
_MAX_DIGITS = 100


@dataclass(slots=True)
class _Open:
    """A list or dictionary whose end is not reached yet."""

    tag: str
    anchor: str | None
    is_mapping: bool
    in_mixins: bool
    items: list[Any] = field(default_factory=list)
    weight: int = 1

    def holds_mixins(self) -> bool:
        """Whether what comes next is the description of mixin columns, or inside of it."""
        follows_key = self.is_mapping and len(self.items) % 2 == 1 and self.items[-1] == MIXINS
        return self.in_mixins or follows_key


def read_yaml(text: str) -> Any:
    """
    Read one YAML document.

    Parameters
    ----------
    text : str
        Its length must be limited by the caller.

    Returns
    -------
    object
        Dictionaries, lists, texts, numbers, bools, None, bytes and dates.
    """
    try:
        return _Document(yaml.SafeLoader(text)).read()
    except yaml.YAMLError as error:
        raise DecodingError(f"unreadable YAML header ({printable(error, limit=300)})") from error


class _Document:
    """
    What one document holds, taken from its events one by one.

    Events and not the nodes that the library makes of them, since it makes these without any limit.
    """

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.loader = loader
        self.open: list[_Open] = [_Open(_STANDARD + "seq", None, is_mapping=False, in_mixins=False)]
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.max_nesting = conf.max_nesting

    def read(self) -> Any:
        for event in self._events():
            if isinstance(event, yaml.CollectionStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()
            elif isinstance(event, yaml.ScalarEvent):
                self._add(self._scalar(event), 1, event.anchor)
            elif isinstance(event, yaml.AliasEvent):
                self._add(*self._recalled(event.anchor), None)
        documents = self.open[0].items
        if len(documents) != 1:
            raise DecodingError(f"YAML header of {len(documents)} documents")
        return documents[0]

    def _events(self) -> Iterator[Any]:
        while self.loader.check_event():
            yield self.loader.get_event()

    def _begin(self, event: Any) -> None:
        if len(self.open) > self.max_nesting:
            raise DecodingError(f"YAML header nested deeper than conf.max_nesting = {self.max_nesting}")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        in_mixins = self.open[-1].holds_mixins()
        tag = self._collection_tag(event.tag, is_mapping=is_mapping, in_mixins=in_mixins)
        self.open.append(_Open(tag, event.anchor, is_mapping, in_mixins))

    def _collection_tag(self, tag: str | None, *, is_mapping: bool, in_mixins: bool) -> str:
        plain = _STANDARD + ("map" if is_mapping else "seq")
        if tag in (None, "!") or (in_mixins and str(tag).startswith(_PASSED_OVER)):
            return plain
        if tag not in (_MAPPINGS if is_mapping else _SEQUENCES | _OF_PAIRS):
            raise _foreign(tag)
        return str(tag)

    def _end(self) -> None:
        closed = self.open.pop()
        items = closed.items
        if closed.is_mapping:
            value: Any = {_key(key): item for key, item in zip(items[::2], items[1::2], strict=True)}
        elif closed.tag in _OF_PAIRS:
            value = _joined(items)
        else:
            value = items
        self._add(value, closed.weight, closed.anchor)

    def _add(self, value: Any, weight: int, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, weight)
        inside = self.open[-1]
        inside.items.append(value)
        inside.weight += weight
        if inside.weight > _MAX_VALUES:
            raise DecodingError(f"YAML header of more than {_MAX_VALUES} values")

    def _recalled(self, anchor: str) -> tuple[Any, int]:
        if anchor not in self.anchors:
            raise DecodingError(f"YAML header refers to {printable(anchor, limit=60)!r}, which is not there (yet)")
        return self.anchors[anchor]

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag in (None, "!"):
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == _STANDARD + "value":  # a bare equals sign
            tag = _STANDARD + "str"
        if tag not in _SCALARS:
            raise _foreign(tag)
        # making a number of many digits takes the square of their count
        if tag in _NUMBERS and len(event.value) > _MAX_DIGITS:
            raise DecodingError(f"YAML header with a number of {len(event.value)} characters")
        make = self.loader.yaml_constructors[tag]
        try:
            return make(self.loader, yaml.ScalarNode(tag, event.value))
        except (ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
            raise DecodingError(f"{printable(event.value, limit=60)!r} is no {tag[len(_STANDARD) :]}") from error


def _foreign(tag: object) -> DecodingError:
    return DecodingError(f"YAML header with the tag {printable(tag, limit=100)!r}, which is not allowed in products")


def _key(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        raise DecodingError("YAML header with a list as key")
    # other kinds of keys could be chosen so that they collide, see plainpickle
    small = type(value) is int and -(2**31) <= value < 2**31
    return value if small or value is None or isinstance(value, (str, bytes, bool)) else str(value)


def _joined(pairs: list[Any]) -> dict[Any, Any]:
    """One dictionary of many with one item each, which is how YAML writes an ordered one."""
    if not all(isinstance(pair, dict) and len(pair) == 1 for pair in pairs):
        raise DecodingError("YAML header with an unreadable ordered mapping")
    return {key: value for pair in pairs for key, value in pair.items()}
