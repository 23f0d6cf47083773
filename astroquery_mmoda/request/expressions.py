# Licensed under a 3-clause BSD style license - see LICENSE.rst
# ruff: noqa: D102 - methods are named by what they visit
"""
Values of Python expressions of constants, from their syntax tree: nothing is run.

Only what is listed here is understood, on plain values. Every expression has a value, which is `Unknown` where it is
only known when the code runs. All work is counted, so that a short text can't ask for much of it.
"""

from __future__ import annotations

import ast
import copy
import json
import operator
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..text import printable

_MOST_STEPS = 2_000_000
_MOST_BITS = 1000
_LARGEST_TEXT = 20_000_000
# fields of a format that are wide, or as wide as a value says, or that are parts of a value
_ODD_FIELD = re.compile(r"%[^A-Za-z%]*(?:\d{4}|\*)|\{[^{}]*:[^{}]*(?:\d{4}|\{)|\{\w*[.\[]")
# JSON's words, which the service leaves in its snippets
_WORDS = {"null": None, "true": True, "false": False}
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv},
    **{ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow},
    **{ast.USub: operator.neg, ast.UAdd: operator.pos},
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in (abs, float, int, len, list, max, min, round, str, tuple)},
    **{"json.dumps": json.dumps, "json.loads": json.loads},
    # as numpy shows its numbers
    **{"np.float64": float, "np.float32": float, "np.int64": int, "np.int32": int, "np.array": list},
}
_TEXT_METHODS = frozenset("format join lower lstrip replace rstrip split strip upper".split())


class NotConstant(ValueError):
    """A value that is only known when the code runs."""


class TooMuch(Exception):
    """The work that a text asks for is beyond all snippets."""


@dataclass(frozen=True, eq=False)
class Unknown:
    """A value that is only known when the code runs; as a key of a dictionary, a step that may have changed it."""

    source: ast.AST | str

    def __str__(self) -> str:
        return printable(self.source if isinstance(self.source, str) else ast.unparse(self.source), limit=60)

    def __deepcopy__(self, memo: Any) -> Unknown:
        return self


def parse(text: str) -> ast.Module:
    """Syntax tree of a text, without warnings about its style; `SyntaxError` and others where it is not Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def literal_value(text: str) -> Any:
    """Value of one expression, such as a list or dictionary as Python or JSON writes it; else `ValueError`."""
    try:
        (statement,) = parse(text.strip()).body
        return known_value(Expressions().visit(statement.value))  # type: ignore[attr-defined]
    except (TooMuch, SyntaxError, AttributeError, RecursionError, MemoryError) as error:
        raise ValueError("not a plain value") from error


def known_value(value: Any) -> Any:
    """Copy of a value of which all parts are known, or `NotConstant`."""
    if isinstance(value, Unknown):
        raise NotConstant("part of it is only known when the code runs")
    if isinstance(value, dict):
        return {known_value(key): known_value(item) for key, item in value.items()}
    return type(value)(map(known_value, value)) if isinstance(value, (list, tuple)) else value


class Expressions(ast.NodeVisitor):
    """Gives the values of expressions, by what names stand for; changes what methods of lists and dicts change."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.records: list[dict[Any, Any]] = []
        self._steps = 0

    def visit(self, node: ast.AST) -> Any:
        """Follow a statement, or give the value of an expression."""
        self._count_work(1)
        if not isinstance(node, ast.expr):
            return super().visit(node)
        try:
            value = super().visit(node)
            if not isinstance(node, (ast.Name, ast.Subscript, ast.Slice)):
                self.count_parts(value)
            return value
        # the code would fail there, too
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
            return Unknown(node)

    def generic_visit(self, node: ast.AST) -> None:
        """Visit the parts of what is not understood, those first that give names to others."""
        for part in sorted(ast.iter_child_nodes(node), key=lambda part: not isinstance(part, ast.comprehension)):
            self.visit(part)
        if isinstance(node, ast.expr):
            raise NotConstant

    def on_call(self, node: ast.Call, name: str, arguments: list[Any], words: dict[Any, Any]) -> None:
        """Notice a call, with the values of its arguments."""

    def _count_work(self, steps: int) -> None:
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise TooMuch

    def count_parts(self, value: Any) -> None:
        """Count the size of a plain value; `NotConstant` for another one."""
        self._count_work(1 + (len(value) // 100 if isinstance(value, str) else 0))
        if isinstance(value, (list, tuple, dict)):
            for part in (*value, *value.values()) if isinstance(value, dict) else value:
                self.count_parts(part)
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise TooMuch
        elif not isinstance(value, (str, int, float, Unknown, type(None))):
            raise NotConstant

    # ---- constants, names, containers

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def visit_Name(self, node: ast.Name) -> Any:
        if not isinstance(node.ctx, ast.Load):  # of a loop, a with statement, a walrus
            self.names[node.id] = Unknown(node.id)
        return self.names[node.id] if node.id in self.names else _WORDS[node.id]

    def visit_arg(self, node: ast.arg) -> None:
        self.names[node.arg] = Unknown(node.arg)

    def visit_alias(self, node: ast.alias) -> None:
        self.names.pop(node.asname or node.name.partition(".")[0], None)

    def visit_List(self, node: ast.List) -> list[Any]:
        return self._items(node.elts)

    def visit_Tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._items(node.elts))

    def _items(self, nodes: Iterable[ast.expr]) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            value = self.visit(node.value if isinstance(node, ast.Starred) else node)
            found += value if isinstance(node, ast.Starred) and isinstance(value, (list, tuple)) else [value]
        return found

    def visit_Dict(self, node: ast.Dict) -> dict[Any, Any]:
        keys = (key and self.visit(key) for key in node.keys)
        self.records.append(self._filled(zip(keys, node.values, strict=True)))
        return self.records[-1]

    def _filled(self, pairs: Iterable[tuple[Any, ast.expr]]) -> dict[Any, Any]:
        """Make a dictionary of keys and values; None in the place of a key stands for ``**``."""
        record: dict[Any, Any] = {}
        for key, node in pairs:
            value = self.visit(node)
            _update(record, value if key is None else {key: value}, node)
        return record

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        whole, key = self.visit(node.value), self.visit(node.slice)
        return Unknown(node) if _is_doubtful(whole) else whole[key]

    def visit_Slice(self, node: ast.Slice) -> slice:
        return slice(*(part and self.visit(part) for part in (node.lower, node.upper, node.step)))

    # ---- arithmetic and texts

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return _OPERATORS[type(node.op)](self.visit(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.BitOr):
            return _update(dict(left), right, node.right)
        left, right = known_value(left), known_value(right)
        if isinstance(node.op, ast.Mod) and isinstance(left, str):
            _check_size(left, right)
        elif not isinstance(node.op, ast.Add) and not (_is_plain_number(left) and _is_plain_number(right)):
            raise NotConstant
        elif isinstance(node.op, ast.Pow) and abs(right) > _MOST_BITS:
            raise NotConstant
        return _OPERATORS[type(node.op)](left, right)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> str:
        return "".join([self.visit(part) for part in node.values])

    def visit_FormattedValue(self, node: ast.FormattedValue) -> str:
        value = known_value(self.visit(node.value))
        conversion = f"!{chr(node.conversion)}" if node.conversion > 0 else ""
        field = f"{{{conversion}:{self.visit(node.format_spec) if node.format_spec else ''}}}"
        _check_size(field, value)
        return field.format(value)

    # ---- calls

    def visit_Call(self, node: ast.Call) -> Any:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        owner = self.visit(node.func.value if isinstance(node.func, ast.Attribute) else node.func)
        arguments = self._items(node.args)
        words = self._filled((word.arg, word.value) for word in node.keywords)
        if isinstance(owner, (dict, list)):
            return self._call_of_container(node, owner, arguments, words)
        if isinstance(owner, str) and name in _TEXT_METHODS:
            arguments, words = known_value(arguments), known_value(words)
            _check_size(owner, [*arguments, words])
            return getattr(owner, name)(*arguments, **words)
        if name in ("dict", "OrderedDict"):
            self.records.append(_update(_update({}, arguments[0] if arguments else {}, node), words, node))
            return self.records[-1]
        if name in ("copy", "deepcopy"):
            return copy.deepcopy(arguments[0])
        self.on_call(node, name, arguments, words)
        function = self._dotted(node.func)
        if words and function != "json.dumps":  # whose options change the layout only
            raise NotConstant
        return _FUNCTIONS[function](*known_value(arguments))

    def _dotted(self, node: ast.AST) -> str:
        """Name of a function, also in a module; empty if it is anything else, or a name of the code."""
        plain = isinstance(getattr(node, "value", node), ast.Name)
        text = ast.unparse(node).replace("numpy.", "np.") if plain else ""
        return "" if text.partition(".")[0] in self.names else text

    def _call_of_container(self, node: ast.Call, owner: Any, arguments: list[Any], words: dict[Any, Any]) -> Any:
        """Call a method of a dictionary or list; one that is not understood may change what is in it."""
        name, doubtful = node.func.attr, _is_doubtful(owner)  # type: ignore[attr-defined]
        known = bool(arguments) and not isinstance(arguments[0], Unknown)
        found: Any = Unknown(node)
        if name == "update" and isinstance(owner, dict):
            _update(_update(owner, arguments[0] if arguments else {}, node), words, node)
        elif name == "copy" or (known and name in ("append", "extend", "get", "pop", "setdefault")):
            found = getattr(owner, name)(*arguments)
        elif name not in ("get", "keys", "values", "items", "index", "count"):
            doubt(owner, node)
        self.count_parts(owner)
        return Unknown(node) if doubtful and name != "copy" else found


def doubt(owner: Any, node: ast.AST | str) -> None:
    """Note that a step may have changed a dictionary or list."""
    if isinstance(owner, dict):
        owner[Unknown(node)] = None
    elif isinstance(owner, list):
        owner[:] = [Unknown(node)]


def _is_doubtful(owner: Any) -> bool:
    return isinstance(owner, (dict, list)) and any(isinstance(part, Unknown) for part in owner)


def _update(record: dict[Any, Any], other: Any, node: ast.AST) -> dict[Any, Any]:
    """Update a dictionary by another, or by pairs; the code stands for one that is not known."""
    try:
        record.update(other)
    except (TypeError, ValueError):
        record[other if isinstance(other, Unknown) else Unknown(node)] = None
    return record


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _check_size(text: str, arguments: Any) -> None:
    """Refuse formats and methods of texts that may give a very long one."""
    if len(text) * len(str(arguments)) > _LARGEST_TEXT:
        raise TooMuch
    if _ODD_FIELD.search(text):
        raise NotConstant
