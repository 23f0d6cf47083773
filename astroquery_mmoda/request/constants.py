# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Values of Python expressions of constants, worked out from their syntax tree: nothing is run.

Only what is listed here is understood, on plain values, and within limits of size, depth and work; for all else
`NotConstant` is raised.
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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..text import printable

__all__ = ["Constants", "NotConstant", "Record", "TooMuch", "Unknown", "literal", "parse", "plain", "source_of"]

_DEEPEST = 120
_LONGEST_CODE = 2_000_000
_MOST_STEPS = 2_000_000
_MOST_ITEMS = 200_000
_LONGEST_TEXT = 5_000_000
_MOST_BITS = 1000
_WIDE = re.compile(r"\d{4}|\*")  # a width or precision that makes long texts, or one that is not written in the format
_SIMPLE_FIELD = re.compile(r"\w*")
_CONVERSION = re.compile(r"%(?:\((?P<name>\w*)\))?[-+ #0]*\d*(?:\.\d+)?[hlL]?(?P<kind>.)", re.DOTALL)
_KINDS = "diouxXeEfFgGcrsa%"

# JSON's words, which the service leaves in its snippets
_WORDS = {"null": None, "true": True, "false": False}
_MODULE_CONSTANTS = {"pi": math.pi, "e": math.e}
_MATHEMATICS = frozenset({"math", "np", "numpy"})
_MODULES = frozenset({"json", "copy", "np", "numpy", "collections"})
_MODULE_NAMES = {"numpy": "np"}
_UNITS = frozenset({"u", "units"})


class NotConstant(Exception):
    """A value that is only known when the code runs."""


class TooMuch(Exception):
    """The work that a text asks for is beyond all snippets."""


@dataclass(frozen=True)
class Unknown:
    """In the place of a value that is only known when the code runs; ``source`` is how it is written."""

    source: str

    def __deepcopy__(self, memo: Any) -> Unknown:
        """Nothing in it changes, and there may be thousands in code that is followed along several ways."""
        return self


class Record(dict[str, Any]):
    """A dictionary of the code, whose values may be `Unknown`; ``doubts`` are steps that may have changed it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.doubts: list[str] = list(arguments[0].doubts) if arguments and isinstance(arguments[0], Record) else []

    def take(self, other: Any) -> None:
        """Update it by another one."""
        if not isinstance(other, Mapping):
            raise NotConstant
        self.update(other)
        self.doubts += other.doubts if isinstance(other, Record) else []


def parse(text: str) -> ast.Module:
    """Syntax tree of a text, without warnings about its style; `SyntaxError` and others where it is not Python."""
    if len(text) > _LONGEST_CODE:
        raise ValueError(f"{len(text)} characters are too many")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def literal(text: str) -> Any:
    """
    Value of one expression, such as the list or dictionary that Python or JSON writes.

    Raises
    ------
    ValueError
        It is something else.
    """
    try:
        body = parse(text.strip()).body
        if len(body) != 1 or not isinstance(body[0], ast.Expr):
            raise ValueError("not one expression")
        return plain(Constants({}).value(body[0].value))
    except (NotConstant, TooMuch, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("not a plain value") from error


def plain(value: Any) -> Any:
    """A value with plain dictionaries in the place of records; `NotConstant` if part of it is unknown."""
    if isinstance(value, Unknown) or (isinstance(value, Record) and value.doubts):
        raise NotConstant
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def source_of(node: ast.AST) -> str:
    """How a piece of code is written, shortened."""
    try:
        return printable(ast.unparse(node), limit=60)
    except (RecursionError, ValueError):
        return "a long expression"


class Constants:
    """
    Works out expressions, given what names stand for.

    Parameters
    ----------
    names : dict
        Values of names; `Unknown` for those that are only known when the code runs.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self._steps = 0
        self._readers: dict[type[ast.AST], Callable[[Any, int], Any]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.List: lambda node, depth: self._items(node.elts, depth),
            ast.Tuple: lambda node, depth: tuple(self._items(node.elts, depth)),
            ast.Dict: self._dict,
            ast.JoinedStr: self._joined,
            ast.FormattedValue: lambda node, depth: self._formatted(node, depth),
            ast.BinOp: self._binary,
            ast.UnaryOp: self._unary,
            ast.BoolOp: self._bool,
            ast.Compare: self._compare,
            ast.IfExp: lambda node, depth: self.value(
                node.body if self.value(node.test, depth) else node.orelse, depth
            ),
            ast.Subscript: self._subscript,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.NamedExpr: self._named,
        }

    def value(self, node: ast.AST, depth: int = 0) -> Any:
        """Value of an expression; `NotConstant` if it is only known when the code runs."""
        self.work(1)
        reader = self._readers.get(type(node))
        if reader is None or depth > _DEEPEST:
            raise NotConstant
        try:
            return reader(node, depth + 1)
        # the code would fail there, too
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
            raise NotConstant from error

    def or_unknown(self, node: ast.AST, depth: int = 0) -> Any:
        """Value of an expression, or an `Unknown` in its place."""
        try:
            return self.value(node, depth)
        except NotConstant:
            return Unknown(source_of(node))

    def work(self, steps: int) -> None:
        """Count the work that is done; `TooMuch` once there is more of it than in any snippet."""
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise TooMuch

    def sized(self, value: Any) -> Any:
        """Hand a value through, unless it is larger or deeper than any in a snippet."""
        self.work(_count(value, 0) if isinstance(value, (list, tuple, dict)) else 1)
        if isinstance(value, str) and len(value) > _LONGEST_TEXT:
            raise NotConstant
        return value

    # ---- names, displays

    def _constant(self, node: ast.Constant, depth: int) -> Any:
        if not isinstance(node.value, (str, int, float, type(None))):
            raise NotConstant
        return node.value

    def _name(self, node: ast.Name, depth: int) -> Any:
        found = self.names[node.id] if node.id in self.names else _WORDS[node.id]
        if isinstance(found, Unknown):
            raise NotConstant
        return found

    def _named(self, node: ast.NamedExpr, depth: int) -> Any:
        found = self.or_unknown(node.value, depth)
        self.names[node.target.id] = found
        return self._name(node.target, depth)

    def _items(self, nodes: Iterable[ast.expr], depth: int) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                found += self._sequence(self.value(node.value, depth))
            else:
                found.append(self.value(node, depth))
        return self.sized(found)

    def _sequence(self, value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise NotConstant
        return list(value)

    def _dict(self, node: ast.Dict, depth: int) -> Record:
        found = Record()
        for key, item in zip(node.keys, node.values, strict=True):
            self._put(found, key, item, depth)
        return self.sized(found)

    def _put(self, record: Record, key: ast.expr | None, item: ast.expr, depth: int) -> None:
        try:
            if key is None:
                record.take(self.value(item, depth))
                return
            name = self.value(key, depth)
        except NotConstant:
            record.doubts.append(f"**{source_of(item)}" if key is None else source_of(key))
            return
        hash(name)
        record[name] = self.or_unknown(item, depth)

    # ---- text

    def _joined(self, node: ast.JoinedStr, depth: int) -> str:
        pieces = [self._formatted(part, depth) for part in node.values]
        return self._text("".join(pieces) if sum(map(len, pieces)) <= _LONGEST_TEXT else None)

    def _formatted(self, node: ast.expr, depth: int) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if not isinstance(node, ast.FormattedValue):
            raise NotConstant
        value = plain(self.value(node.value, depth))
        conversions: dict[int, Callable[[Any], str]] = {ord("s"): str, ord("r"): repr, ord("a"): ascii}
        conversion = conversions.get(node.conversion)
        spec = "" if node.format_spec is None else self._joined(node.format_spec, depth)  # type: ignore[arg-type]
        return self._format(conversion(value) if conversion else value, spec)

    def _format(self, value: Any, spec: str) -> str:
        if _WIDE.search(spec) or not isinstance(value, (str, int, float, type(None), list, tuple, dict)):
            raise NotConstant
        return self._text(format(self.sized(value), spec))

    def _text(self, text: str | None) -> str:
        if text is None or len(text) > _LONGEST_TEXT:
            raise NotConstant
        self.work(len(text) // 1000)
        return text

    def _percent(self, pattern: str, values: Any) -> str:
        conversions = list(_CONVERSION.finditer(pattern))
        if any(_WIDE.search(match[0]) or match["kind"] not in _KINDS for match in conversions):
            raise NotConstant
        values = plain(self.sized(values))
        return self._text(pattern % values)

    def _str_format(self, pattern: str, arguments: list[Any], keywords: Mapping[str, Any]) -> str:
        for _, name, spec, _ in string.Formatter().parse(pattern):
            if name is not None and (not _SIMPLE_FIELD.fullmatch(name) or "{" in (spec or "")):
                raise NotConstant
            if spec and _WIDE.search(spec):
                raise NotConstant
        values = [plain(self.sized(value)) for value in arguments]
        return self._text(pattern.format(*values, **{name: plain(value) for name, value in keywords.items()}))

    # ---- operators

    def _binary(self, node: ast.BinOp, depth: int) -> Any:
        if isinstance(node.op, ast.Mult) and (unit := _unit_word(node.right, self.names)):
            return _with_unit(self.value(node.left, depth), unit)
        left = self.value(node.left, depth)
        # the elements may be numbers to be formatted
        return self.combined(node.op, left, self.value(node.right, depth))

    def combined(self, op: ast.operator, left: Any, right: Any) -> Any:
        """What an operator makes of two values."""
        if isinstance(op, ast.Mod) and isinstance(left, str):
            return self._percent(left, right)
        if isinstance(op, ast.BitOr) and isinstance(left, dict):
            both = Record(left)
            both.take(right)
            return self.sized(both)
        if isinstance(left, (str, list, tuple)) or isinstance(right, (str, list, tuple)):
            return self._repeated(op, left, right)
        function = _OPERATORS[type(op)]
        if not all(isinstance(value, (int, float)) for value in (left, right)):
            raise NotConstant
        if isinstance(left, int) and isinstance(right, int):
            _refuse_large(op, left, right)
        return function(left, right)

    def _repeated(self, op: ast.operator, left: Any, right: Any) -> Any:
        """Texts and lists put together, or repeated."""
        if isinstance(op, ast.Add):
            if len(left) + len(right) > _LONGEST_TEXT:
                raise NotConstant
            return self.sized(left + right)
        if not isinstance(op, ast.Mult):
            raise NotConstant
        whole, times = (left, right) if isinstance(right, int) else (right, left)
        if len(whole) * times > _MOST_ITEMS:
            raise NotConstant
        return self.sized(whole * times)

    def _unary(self, node: ast.UnaryOp, depth: int) -> Any:
        value = self.value(node.operand, depth)
        if isinstance(node.op, ast.Not):
            return not value
        if not isinstance(value, (int, float)):
            raise NotConstant
        return _OPERATORS[type(node.op)](value)

    def _bool(self, node: ast.BoolOp, depth: int) -> Any:
        value = None
        for item in node.values:
            value = self.value(item, depth)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _compare(self, node: ast.Compare, depth: int) -> bool:
        left = plain(self.value(node.left, depth))
        for op, item in zip(node.ops, node.comparators, strict=True):
            right = self.value(item, depth)
            right = list(right) if isinstance(right, Record) and isinstance(op, (ast.In, ast.NotIn)) else plain(right)
            if not _COMPARISONS[type(op)](left, right):
                return False
            left = right
        return True

    # ---- parts

    def _subscript(self, node: ast.Subscript, depth: int) -> Any:
        whole = self.value(node.value, depth)
        if isinstance(node.slice, ast.Slice):
            found: Any
            bounds = [None if part is None else self.value(part, depth) for part in _bounds(node.slice)]
            found = whole[slice(*bounds)] if isinstance(whole, (list, tuple, str)) else None
        elif isinstance(whole, (list, tuple, str, dict)):
            found = whole[self.value(node.slice, depth)]
        else:
            found = Unknown("")
        if isinstance(found, Unknown) or (isinstance(whole, Record) and whole.doubts):
            raise NotConstant
        return found

    def _attribute(self, node: ast.Attribute, depth: int) -> float:
        if isinstance(node.value, ast.Name) and node.value.id in _MATHEMATICS - set(self.names):
            return _MODULE_CONSTANTS[node.attr]
        raise NotConstant

    # ---- calls

    def _call(self, node: ast.Call, depth: int) -> Any:
        called = node.func
        if isinstance(called, ast.Name) and called.id not in self.names:
            return self._function(called.id, node, depth)
        if not isinstance(called, ast.Attribute):
            raise NotConstant
        if isinstance(called.value, ast.Name) and called.value.id in _MODULES - set(self.names):
            return self._function(f"{_MODULE_NAMES.get(called.value.id, called.value.id)}.{called.attr}", node, depth)
        return self._method(self.value(called.value, depth), called.attr, node, depth)

    def _function(self, name: str, node: ast.Call, depth: int) -> Any:
        if name in ("dict", "OrderedDict", "collections.OrderedDict"):
            return self._new_dict(node, depth)
        if name in ("copy.copy", "copy.deepcopy", "copy", "deepcopy"):
            return copy.deepcopy(self.sized(self.value(node.args[0], depth)))
        arguments = [plain(self.sized(value)) for value in self._items(node.args, depth)]
        options = {str(word.arg): plain(self.value(word.value, depth)) for word in node.keywords}
        if name == "json.dumps":
            return self._text(json.dumps(*arguments))  # its options change the looks only
        if name == "json.loads":
            return self.sized(_records(json.loads(*arguments)))
        if options or name not in _FUNCTIONS or ("int" in name and _is_long(arguments)):
            raise NotConstant
        return self.sized(_FUNCTIONS[name](*arguments))

    def _new_dict(self, node: ast.Call, depth: int) -> Record:
        found = Record()
        self.update(found, node, depth)
        return self.sized(found)

    def update(self, record: Record, node: ast.Call, depth: int = 0) -> None:
        """What ``dict(...)`` and ``record.update(...)`` put into a record."""
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                record.doubts.append(source_of(argument))
                continue
            try:
                other = self.value(argument, depth)
                record.take(dict(other) if isinstance(other, (list, tuple)) else other)
            except (NotConstant, TypeError, ValueError):
                record.doubts.append(source_of(argument))
        for word in node.keywords:
            self._put(record, None if word.arg is None else ast.Constant(word.arg), word.value, depth)

    def _method(self, owner: Any, name: str, node: ast.Call, depth: int) -> Any:
        if isinstance(owner, Record):
            return self._method_of_record(owner, name, node, depth)
        if isinstance(owner, list):
            return self._method_of_list(owner, name, node, depth)
        if not isinstance(owner, str):
            raise NotConstant
        arguments = self._items(node.args, depth)
        if name == "format":
            words = {str(word.arg): self.value(word.value, depth) for word in node.keywords}
            return self._str_format(owner, arguments, words)
        if node.keywords or name not in _TEXT_METHODS:
            raise NotConstant
        if name == "join":
            items = self._sequence(arguments[0])
            if sum(len(item) + len(owner) for item in items) > _LONGEST_TEXT:
                raise NotConstant
        if name == "replace" and (owner.count(arguments[0]) + 1) * len(arguments[1]) + len(owner) > _LONGEST_TEXT:
            raise NotConstant
        if name == "zfill" and arguments[0] > _MOST_BITS:
            raise NotConstant
        return self.sized(getattr(owner, name)(*arguments))

    def _method_of_record(self, owner: Record, name: str, node: ast.Call, depth: int) -> Any:
        if name == "update":
            self.update(owner, node, depth)
            return self.sized(owner) and None
        if name == "copy":
            return Record(owner)
        if name not in ("get", "pop", "setdefault"):
            if name not in ("keys", "values", "items"):
                owner.doubts.append(source_of(node))
            raise NotConstant
        try:
            key = self.value(node.args[0], depth)
        except (NotConstant, LookupError):
            if name != "get":
                owner.doubts.append(source_of(node))
            raise NotConstant from None
        default = self.or_unknown(node.args[1], depth) if len(node.args) > 1 else None
        found = {"get": owner.get, "pop": owner.pop, "setdefault": owner.setdefault}[name](key, default)
        if isinstance(found, Unknown) or owner.doubts:
            raise NotConstant
        self.sized(owner)
        return found

    def _method_of_list(self, owner: list[Any], name: str, node: ast.Call, depth: int) -> Any:
        if name not in ("append", "extend", "sort"):
            owner[:] = [*owner, Unknown(source_of(node))]
            raise NotConstant
        before = list(owner)
        try:
            getattr(owner, name)(*self._items(node.args, depth))
            self.sized(owner)
        except (NotConstant, TypeError, RecursionError):
            owner[:] = [*before, Unknown(source_of(node))]
            raise


# ---- limits


def _count(value: Any, depth: int) -> int:
    """Number of items at all depths, each as often as it is met."""
    if depth > _DEEPEST:
        raise NotConstant
    if not isinstance(value, (list, tuple, dict)):
        return 1
    total = 1
    for item in value.values() if isinstance(value, dict) else value:
        total += _count(item, depth + 1)
        if total > _MOST_ITEMS:
            raise NotConstant
    return total


def _refuse_large(op: ast.operator, left: int, right: int) -> None:
    bits = left.bit_length() + right.bit_length()
    if isinstance(op, ast.Pow):
        bits = left.bit_length() * abs(right)
    elif isinstance(op, ast.LShift):
        bits = left.bit_length() + abs(right)
    if bits > _MOST_BITS:
        raise NotConstant


def _is_long(arguments: list[Any]) -> bool:
    return any(isinstance(argument, str) and len(argument) > 300 for argument in arguments)


# ---- small parts


def _bounds(part: ast.Slice) -> tuple[ast.expr | None, ast.expr | None, ast.expr | None]:
    return part.lower, part.upper, part.step


def _records(value: Any) -> Any:
    """What JSON gives, with records for its objects."""
    if isinstance(value, dict):
        return Record({key: _records(item) for key, item in value.items()})
    return [_records(item) for item in value] if isinstance(value, list) else value


def _unit_word(node: ast.AST, names: Mapping[str, Any]) -> str:
    """Name of the unit in an expression such as ``u.keV``."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in _UNITS - set(names):
        return node.attr
    return ""


def _with_unit(value: Any, unit: str) -> Any:
    """Numbers with a unit, as this package's methods take them in text."""
    if isinstance(value, (list, tuple)):
        return tuple(_with_unit(item, unit) for item in value)
    if not isinstance(value, (int, float)):
        raise NotConstant
    return f"{value} {unit}"


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
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
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "bool": bool,
    "float": float,
    "int": int,
    "len": len,
    "list": list,
    "max": max,
    "min": min,
    "round": round,
    "sorted": sorted,
    "str": str,
    "tuple": tuple,
    # as numpy shows its numbers
    "np.float64": float,
    "np.float32": float,
    "np.int64": int,
    "np.int32": int,
    "np.bool_": bool,
    "np.str_": str,
    "np.array": list,
}
_TEXT_METHODS = frozenset(
    {"join", "lower", "lstrip", "replace", "rstrip", "split", "splitlines", "strip", "title", "upper", "zfill"}
)
