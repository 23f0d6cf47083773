# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Values in a piece of Python that are only known when the code runs."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from ..text import printable

#: nesting of expressions and of values
DEEPEST = 100


class NotConstant(ValueError):
    """A value that is only known when the code runs."""


class TooMuch(Exception):
    """The work that a text asks for is beyond all snippets."""


@dataclass(frozen=True, eq=False)
class Unknown:
    """
    In the place of a value that is only known when the code runs; its text is how it is written.

    As a key of a dictionary it stands for a step that may have changed the other ones.
    """

    source: ast.AST | str

    def __str__(self) -> str:
        return self.source if isinstance(self.source, str) else source_of(self.source)

    def __deepcopy__(self, memo: Any) -> Unknown:
        """Nothing in it changes."""
        return self


def known_value(value: Any, depth: int = 0) -> Any:
    """A value of which all parts are known, or `NotConstant`."""
    if isinstance(value, Unknown) or depth > DEEPEST:
        raise NotConstant("part of it is only known when the code runs")
    if isinstance(value, dict):
        return {known_value(key): known_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(known_value(item, depth + 1) for item in value)
    return value


def source_of(node: ast.AST) -> str:
    """How a piece of code is written, shortened."""
    try:
        return printable(ast.unparse(node), limit=60)
    except (RecursionError, ValueError):
        return "a long expression"


def merge(record: dict[Any, Any], other: Any, source: str) -> None:
    """Update a dictionary by another one, or by pairs; ``source`` is how that is written."""
    try:
        record.update(other)
    except (TypeError, ValueError):
        record[Unknown(source)] = None


def is_doubtful(value: Any) -> bool:
    """Whether a value is a dictionary that some step may have changed."""
    return isinstance(value, dict) and any(isinstance(key, Unknown) for key in value)
