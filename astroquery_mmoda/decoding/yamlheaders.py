# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Plain data from the YAML header of an ECSV table.

Only the standard tags of a safe loader mean anything. astropy marks what stands in for its own classes, in the
description of mixin columns, by tags that begin with ``!astropy.``: there, and only there, they are passed over, so
that the plain values below them remain.
"""

from __future__ import annotations

from typing import Any

import yaml

from ..config import conf
from ..errors import DecodingError
from ..text import printable

#: where astropy describes mixin columns
MIXINS = "__serialized_columns__"

_STANDARD = "tag:yaml.org,2002:"
_SCALARS = frozenset(
    _STANDARD + name for name in ("null", "bool", "int", "float", "binary", "timestamp", "str", "value")
)
# python/tuple is how astropy writes the tuples among the meta data of a table; here they are lists
_COLLECTIONS = frozenset(_STANDARD + name for name in ("map", "seq", "python/tuple", "omap", "pairs"))
_OF_PAIRS = frozenset(_STANDARD + name for name in ("omap", "pairs"))
_NUMBERS = frozenset(_STANDARD + name for name in ("int", "float"))
_PASSED_OVER = ("!astropy.", "!numpy.")

_MAX_VALUES = 50_000
_MAX_DIGITS = 100


def read_yaml(text: str) -> Any:
    """Read one YAML document: dictionaries, lists, texts, numbers, bools, None, bytes and dates."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        loader.values = 0  # what aliases refer to counts each time
        return loader.plain(node, in_mixins=False)
    except yaml.YAMLError as error:
        raise DecodingError(f"unreadable YAML header ({printable(error, limit=300)})") from error


class _Loader(yaml.SafeLoader):
    """A safe loader that bounds how many nodes it composes, and makes plain data of them."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.values = self.depth = 0

    def enter(self) -> None:
        self.values += 1
        self.depth += 1
        if self.values > _MAX_VALUES:
            raise DecodingError(f"YAML header of more than {_MAX_VALUES} values")
        if self.depth > conf.max_nesting:
            raise DecodingError("YAML header nested deeper than conf.max_nesting allows")

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.enter()
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def plain(self, node: Any, *, in_mixins: bool) -> Any:
        self.enter()
        value = self.value(node, in_mixins=in_mixins)
        self.depth -= 1
        return value

    def value(self, node: Any, *, in_mixins: bool) -> Any:
        passed_over = in_mixins and node.tag.startswith(_PASSED_OVER)
        if not passed_over and node.tag not in (_SCALARS if isinstance(node, yaml.ScalarNode) else _COLLECTIONS):
            tag = printable(node.tag, limit=100)
            raise DecodingError(f"YAML header with the tag {tag!r}, which is not allowed in products")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, in_mixins=in_mixins)
        items = [self.plain(item, in_mixins=in_mixins) for item in node.value]
        # YAML writes an ordered dictionary as many with one item each
        return {key: value for pair in items for key, value in pair.items()} if node.tag in _OF_PAIRS else items

    def mapping(self, node: yaml.MappingNode, *, in_mixins: bool) -> dict[Any, Any]:
        found = {}
        for key_node, value_node in node.value:
            key = self.plain(key_node, in_mixins=in_mixins)
            if isinstance(key, (list, dict)):
                raise DecodingError("YAML header with a list as key")
            # numbers could be chosen so that they collide
            key = key if key is None or isinstance(key, (str, bytes, bool)) else str(key)
            found[key] = self.plain(value_node, in_mixins=in_mixins or key == MIXINS)
        return found

    def scalar(self, node: yaml.ScalarNode) -> Any:
        # making a number of many digits takes the square of their count
        if node.tag in _NUMBERS and len(node.value) > _MAX_DIGITS:
            raise DecodingError(f"YAML header with a number of {len(node.value)} characters")
        return self.construct_object(node)
