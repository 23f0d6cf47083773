# Licensed under a 3-clause BSD style license - see LICENSE.rst
# ruff: noqa: D102 - methods are named by what they visit
"""
Values of Python expressions of constants, from their syntax tree: nothing is run.

Only what is listed here is understood, on plain values, and within limits of size, depth and work. Every expression has
a value, which is `Unknown` where it is only known when the code runs.
"""

from __future__ import annotations

import ast
import copy
import json
import math
import operator
import re
import string
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .unknowns import DEEPEST, NotConstant, TooMuch, Unknown, is_doubtful, known_value, merge, source_of

_LONGEST_CODE = 2_000_000
_MOST_STEPS = 2_000_000
_LARGEST = 5_000_000  # characters of a value
_ITEM = 25  # each item counts as so many besides
_MOST_BITS = 1000
# JSON's words, which the service leaves in its snippets
_WORDS = {"null": None, "true": True, "false": False}
_CONSTANTS = {"math.pi": math.pi, "np.pi": math.pi, "math.e": math.e, "np.e": math.e}
_UNIT = re.compile(r"(?:u|units)\.(\w+)")
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, whole: item in whole,
    ast.NotIn: lambda item, whole: item not in whole,
}
_TEXT_METHODS = frozenset("join lower lstrip replace rstrip split splitlines strip title upper zfill".split())
_LIST_METHODS = frozenset("append clear copy extend insert pop remove reverse sort".split())
# a width or precision that makes long texts, or one that is not written in the format
_WIDE = re.compile(r"\d{4}|\*")
_WIDE_PERCENT = re.compile(r"%(?:\(\w*\))?[^A-Za-z%]*?(?:\d{4}|\*)")


def parse(text: str) -> ast.Module:
    """Syntax tree of a text, without warnings about its style; `SyntaxError` and others where it is not Python."""
    if len(text) > _LONGEST_CODE:
        raise ValueError(f"{len(text)} characters are too many")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def literal_value(text: str) -> Any:
    """Value of one expression, such as a list or dictionary as Python or JSON writes it; else `ValueError`."""
    try:
        body = parse(text.strip()).body
        if len(body) != 1 or not isinstance(body[0], ast.Expr):
            raise NotConstant("not one expression")
        return known_value(Expressions().visit(body[0].value))
    except (TooMuch, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("not a plain value") from error


class Expressions(ast.NodeVisitor):
    """Gives the values of expressions, and remembers what names stand for."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.records: list[dict[Any, Any]] = []
        self._steps = self._depth = 0

    def visit(self, node: ast.AST) -> Any:
        """Follow a statement, or give the value of an expression; each part of it is visited once."""
        self.work(1)
        if not isinstance(node, ast.expr):
            return super().visit(node)
        self._depth += 1
        try:
            if self._depth > DEEPEST:
                raise NotConstant
            value = super().visit(node)
            if not isinstance(node, (ast.Name, ast.Subscript, ast.Slice)):
                self._size(value)
            return value
        # the code would fail there, too
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError):
            return Unknown(node)
        finally:
            self._depth -= 1

    def generic_visit(self, node: ast.AST) -> None:
        """Visit the parts of what is not understood."""
        super().generic_visit(node)
        if isinstance(node, ast.expr):
            raise NotConstant

    def on_call(self, node: ast.Call, arguments: Sequence[Any], words: dict[Any, Any]) -> None:
        """Notice a call, with the values of its arguments."""

    # ---- limits

    def work(self, steps: int) -> None:
        """Count the work that is done; `TooMuch` once there is more of it than in any snippet."""
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise TooMuch

    def _parts(self, value: Any, depth: int = 0) -> Iterator[Any]:
        """A value and what is in it, each as often as it is met."""
        self.work(1)
        if depth > DEEPEST:
            raise NotConstant
        yield value
        if isinstance(value, (list, tuple, dict)):
            for part in (*value, *value.values()) if isinstance(value, dict) else value:
                yield from self._parts(part, depth + 1)

    def _size(self, value: Any) -> int:
        """Characters of a value, unless it is not plain, or larger or deeper than any in a snippet."""
        total = 0
        for part in self._parts(value):
            total += _ITEM + (len(part) if isinstance(part, str) else 0)
            if not isinstance(part, (str, int, float, type(None), list, tuple, dict, Unknown)) or total > _LARGEST:
                raise NotConstant
            if isinstance(part, int) and part.bit_length() > _MOST_BITS:
                raise NotConstant
        self.work(total // 100)
        return total

    def _known(self, value: Any) -> Any:
        """Hand a value through, unless part of it is unknown."""
        if any(isinstance(part, Unknown) for part in self._parts(value)):
            raise NotConstant
        return value

    # ---- expressions

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def visit_Name(self, node: ast.Name) -> Any:
        if not isinstance(node.ctx, ast.Load):  # of a loop, a with statement, a walrus
            self.names[node.id] = Unknown(node.id)
        return self.names[node.id] if node.id in self.names else _WORDS[node.id]

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
            if key is None:
                merge(record, value, f"**{source_of(node)}")
            else:
                record[key] = value
        return record

    def visit_JoinedStr(self, node: ast.JoinedStr) -> str:
        pieces = [self.visit(part) for part in node.values]
        self._size(pieces)
        return "".join(pieces)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> str:
        value = self.visit(node.value)
        spec = "" if node.format_spec is None else self.visit(node.format_spec)
        if _WIDE.search(spec):
            raise NotConstant
        changes: dict[int, Callable[[Any], str]] = {ord("s"): str, ord("r"): repr, ord("a"): ascii}
        change = changes.get(node.conversion)
        return format(change(self._known(value)) if change else self._known(value), spec)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        left, right = self.visit(node.left), self.visit(node.right)
        unit = _UNIT.fullmatch(self._dotted(node.right))
        if unit and isinstance(node.op, ast.Mult):
            return _with_unit(self._known(left), unit[1])
        if isinstance(node.op, ast.BitOr):
            both = dict(left)
            merge(both, right, source_of(node.right))
            return both
        _check_growth(node.op, self._known(left), self._known(right))
        return _OPERATORS[type(node.op)](left, right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return _OPERATORS[type(node.op)](self._known(self.visit(node.operand)))

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        values = self._known([self.visit(part) for part in node.values])
        return next((value for value in values if bool(value) is isinstance(node.op, ast.Or)), values[-1])

    def visit_Compare(self, node: ast.Compare) -> bool:
        values = self._known([self.visit(part) for part in (node.left, *node.comparators)])
        pairs = zip(node.ops, values, values[1:], strict=False)
        return all(_OPERATORS[type(op)](left, right) for op, left, right in pairs)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        test, one, other = self.visit(node.test), self.visit(node.body), self.visit(node.orelse)
        return one if self._known(test) else other

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        whole, key = self.visit(node.value), self.visit(node.slice)
        if is_doubtful(whole):
            raise NotConstant
        return whole[key]

    def visit_Slice(self, node: ast.Slice) -> slice:
        return slice(*(part and self.visit(part) for part in (node.lower, node.upper, node.step)))

    def visit_Attribute(self, node: ast.Attribute) -> float:
        self.visit(node.value)
        return _CONSTANTS[self._dotted(node)]

    def visit_Lambda(self, node: ast.expr) -> None:
        """Follow an expression that has names of its own, whose values are not known."""
        own = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        own |= {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
        outer, self.names = self.names, {**self.names, **{name: Unknown(name) for name in own}}
        try:
            self.generic_visit(node)
        finally:
            self.names = outer

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_Lambda

    # ---- calls

    def visit_Call(self, node: ast.Call) -> Any:
        owner = self.visit(node.func.value if isinstance(node.func, ast.Attribute) else node.func)
        arguments = self._items(node.args)
        words = self._filled((word.arg, word.value) for word in node.keywords)
        self.on_call(node, arguments, words)
        name = getattr(node.func, "attr", "")
        if isinstance(owner, dict):
            return self._method_of_record(node, owner, arguments, words)
        if isinstance(owner, list):
            return self._method_of_list(node, owner, arguments, words)
        if isinstance(owner, str):
            return self._method_of_text(owner, name, self._known(arguments), self._known(words))
        function = re.sub(r"^(?:copy|collections)\.", "", self._dotted(node.func))
        if function in ("dict", "OrderedDict"):
            self.records.append(self._updated({}, node, arguments, words))
            return self.records[-1]
        if function in ("copy", "deepcopy"):
            return copy.deepcopy(arguments[0])
        if words and function != "json.dumps":  # whose options change the layout only
            raise NotConstant
        return _FUNCTIONS[function](*self._known(arguments))

    def _dotted(self, node: ast.AST) -> str:
        """Name of a function or constant of a module; empty if it is anything else, or a name of the code."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id in self.names:
            return ""
        return ".".join([node.id.replace("numpy", "np"), *reversed(parts)])

    def _updated(self, record: dict[Any, Any], node: ast.Call, arguments: Sequence[Any], words: dict[Any, Any]) -> Any:
        """What ``dict(...)`` and ``record.update(...)`` make of a dictionary."""
        for argument in arguments:
            merge(record, argument, str(argument) if isinstance(argument, Unknown) else source_of(node))
        record.update(words)
        return record

    def _method_of_record(self, node: ast.Call, owner: dict[Any, Any], arguments: Sequence[Any], words: Any) -> Any:
        name = node.func.attr  # type: ignore[attr-defined]
        if name == "update":
            self._size(self._updated(owner, node, arguments, words))
            return None
        known = bool(arguments) and not isinstance(arguments[0], Unknown)
        if name == "copy" or (known and name in ("get", "pop", "setdefault")):
            found = getattr(owner, name)(*arguments)
            return Unknown(node) if name != "copy" and is_doubtful(owner) else found
        if name not in ("get", "keys", "values", "items"):
            owner[Unknown(node)] = None
        raise NotConstant

    def _method_of_list(self, node: ast.Call, owner: list[Any], arguments: Sequence[Any], words: dict[Any, Any]) -> Any:
        name, before = node.func.attr, list(owner)  # type: ignore[attr-defined]
        try:
            if name not in _LIST_METHODS or words:
                raise NotConstant
            found = getattr(owner, name)(*arguments)
            self._size(owner)
        except (NotConstant, TypeError, LookupError, ValueError):
            owner[:] = [*before, Unknown(node)]
            raise
        return found

    def _method_of_text(self, text: str, name: str, arguments: list[Any], words: dict[Any, Any]) -> Any:
        if name == "format":
            for _, field, spec, _ in string.Formatter().parse(text):
                if not re.fullmatch(r"\w*", field or "") or re.search(r"\{|\d{4}", spec or ""):
                    raise NotConstant
        elif name not in _TEXT_METHODS or words or any(isinstance(part, int) and part > 1000 for part in arguments):
            raise NotConstant
        if (len(text) + 1) * self._size([*arguments, words]) > 10 * _LARGEST:
            raise NotConstant
        return getattr(text, name)(*arguments, **words)


def _check_growth(op: ast.operator, left: Any, right: Any) -> None:
    """Refuse what would make long texts, long lists or large numbers."""
    numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
    if isinstance(op, ast.Mod) and isinstance(left, str) and _WIDE_PERCENT.search(left):
        raise NotConstant
    if isinstance(op, ast.Mult) and not numbers:
        whole, times = (left, right) if isinstance(right, int) else (right, left)
        if len(whole) * times > _LARGEST // 10:
            raise NotConstant
    if isinstance(op, ast.Pow) and isinstance(left, int) and isinstance(right, int):
        if left.bit_length() * abs(right) > _MOST_BITS:
            raise NotConstant


_BUILTINS = (abs, bool, float, int, len, list, max, min, round, sorted, str, tuple)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in _BUILTINS},
    "json.dumps": json.dumps,
    "json.loads": json.loads,
    # as numpy shows its numbers
    **dict.fromkeys(("np.float64", "np.float32"), float),
    **dict.fromkeys(("np.int64", "np.int32"), int),
    **{"np.bool_": bool, "np.str_": str, "np.array": list},
}


def _with_unit(value: Any, unit: str) -> Any:
    """Numbers with a unit, as this package's methods take them in text."""
    if isinstance(value, (list, tuple)):
        return tuple(_with_unit(item, unit) for item in value)
    if not isinstance(value, (int, float)):
        raise NotConstant
    return f"{value} {unit}"
