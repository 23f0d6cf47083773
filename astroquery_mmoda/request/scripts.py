# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Which analyses a piece of Python asks for: its syntax tree is followed over constants, and nothing is run.

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
from dataclasses import dataclass
from typing import Any

from ..text import printable

__all__ = ["Analysis", "NotConstant", "TooMuch", "Unknown", "analyses", "literal", "parse", "plain"]

_DEEPEST = 100
_LONGEST_CODE = 2_000_000
_MOST_STEPS = 2_000_000
_LARGEST = 5_000_000  # characters of a value
_ITEM = 25  # each item counts as so many besides
_MOST_BITS = 1000
_CONDITION = "only set under a condition"

_OF_ODA_API = "get_product"
_KINDS = ("image", "catalog", "spectrum", "lightcurve", "product")
_OF_OURS = frozenset(f"{verb}_{kind}" for verb in ("query", "submit") for kind in _KINDS)
_POSITIONAL = {
    _OF_ODA_API: ("product", "instrument"),
    "long_scw_list_call": ("scw_list",),  # of oda_integral_wrapper
    **dict.fromkeys(_OF_OURS, ("instrument", "coordinates")),
}
_NOT_ANALYSES = frozenset({"dict", "OrderedDict", "update", "DispatcherAPI", "print"})
_KNOWN_IMPORTS = frozenset({"copy", "deepcopy", "units", "u", "OrderedDict"})

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
        return self.source if isinstance(self.source, str) else _source_of(self.source)

    def __deepcopy__(self, memo: Any) -> Unknown:
        """Nothing in it changes."""
        return self


@dataclass(frozen=True)
class Analysis:
    """Parameters that a call or a dictionary of the code gives; ``ours`` if by this package's methods."""

    parameters: dict[Any, Any]
    ours: bool = False


def parse(text: str) -> ast.Module:
    """Syntax tree of a text, without warnings about its style; `SyntaxError` and others where it is not Python."""
    if len(text) > _LONGEST_CODE:
        raise ValueError(f"{len(text)} characters are too many")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def analyses(tree: ast.Module) -> tuple[list[Analysis], list[str]]:
    """
    Find what is asked of the service, and calls of the service whose parameters are only known when the code runs.

    Calls come in their order, those within functions first; if there are none with parameters, dictionaries that name
    an instrument come instead.
    """
    follower = _Follower()
    follower.visit(tree)
    at_top, follower.calls = follower.calls, []
    follower.visit_functions()
    named = [value for value in follower.names.values() if isinstance(value, dict)]
    found = [record for record in (*follower.records, *named) if "instrument" in record]
    found = [record for record in found if "product" in record or "product_type" in record] or found
    return [*follower.calls, *at_top] or [Analysis(record) for record in found], follower.unread


def literal(text: str) -> Any:
    """Value of one expression, such as a list or dictionary as Python or JSON writes it; else `ValueError`."""
    try:
        body = parse(text.strip()).body
        if len(body) != 1 or not isinstance(body[0], ast.Expr):
            raise NotConstant("not one expression")
        return plain(_Follower().visit(body[0].value))
    except (TooMuch, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("not a plain value") from error


def plain(value: Any) -> Any:
    """A value of which all parts are known, or `NotConstant`."""
    if isinstance(value, Unknown):
        raise NotConstant("part of it is only known when the code runs")
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return type(value)(map(plain, value)) if isinstance(value, (list, tuple)) else value


class _Follower(ast.NodeVisitor):
    """Goes through statements, remembers what names stand for, and gives the values of expressions."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.calls: list[Analysis] = []
        self.unread: list[str] = []
        self.records: list[dict[Any, Any]] = []
        # functions, with the names of others whose values they change
        self._changes: dict[str, set[str]] = {}
        self._functions: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        self._steps = self._depth = 0

    def visit(self, node: ast.AST) -> Any:
        """Follow a statement, or give the value of an expression; each part of it is visited once."""
        self._work(1)
        if not isinstance(node, ast.expr):
            return super().visit(node)
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
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

    def visit_functions(self) -> None:
        """Go through the bodies of functions, with what the names stand for at the end of the code."""
        names = self.names
        while self._functions:
            node = self._functions.pop(0)
            own = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
            self.names = self._copy(names) | {name: Unknown(f"an argument of {node.name}()") for name in own}
            self._follow(node.body)
        self.names = names

    # ---- limits

    def _work(self, steps: int) -> None:
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise TooMuch

    def _parts(self, value: Any, depth: int = 0) -> Iterator[Any]:
        """A value and what is in it, each as often as it is met."""
        self._work(1)
        if depth > _DEEPEST:
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
        self._work(total // 100)
        return total

    def _known(self, value: Any) -> Any:
        """Hand a value through, unless part of it is unknown."""
        if any(isinstance(part, Unknown) for part in self._parts(value)):
            raise NotConstant
        return value

    def _copy(self, names: dict[str, Any]) -> dict[str, Any]:
        self._work(sum(len(value) if isinstance(value, (list, dict)) else 1 for value in names.values()))
        return copy.deepcopy(names)

    # ---- statements

    def _follow(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self.visit(statement)

    def visit_Assign(self, node: ast.Assign) -> None:
        value = self.visit(node.value)
        for target in node.targets:
            self._bind(target, value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, self.visit(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        target = copy.copy(node.target)
        target.ctx = ast.Load()
        current = self.visit(target)
        method = {ast.BitOr: "update", ast.Add: "extend"}.get(type(node.op))
        if isinstance(current, dict if method == "update" else list) and method:  # in place, whatever else it is called
            self.visit(ast.Call(func=ast.Attribute(target, method), args=[node.value], keywords=[]))
        else:
            self._bind(node.target, self.visit(ast.BinOp(target, node.op, node.value)))

    def _bind(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            items = value if isinstance(value, (list, tuple)) and len(value) == len(target.elts) else None
            for index, part in enumerate(target.elts):
                self._bind(part, Unknown(target) if items is None or isinstance(part, ast.Starred) else items[index])
        elif isinstance(target, ast.Starred):
            self._bind(target.value, value)
        elif isinstance(target, ast.Subscript):
            self._put(target, value)

    def _put(self, target: ast.Subscript, value: Any) -> None:
        whole, key = self.visit(target.value), self.visit(target.slice)
        if isinstance(whole, list):
            whole.append(Unknown(target))
        elif isinstance(whole, dict):
            key = Unknown(target) if isinstance(key, (Unknown, list, dict)) else key
            whole[key] = value
            try:
                self._size(whole)
            except NotConstant:
                whole[key] = Unknown(target)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.names.pop(target.id, None)
            elif isinstance(target, ast.Subscript):
                self.visit(ast.Call(ast.Attribute(target.value, "pop"), [target.slice], []))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.names.pop(alias.asname or alias.name.partition(".")[0], None)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for name in (alias.asname or alias.name for alias in node.names):
            self.names[name] = Unknown(name)
            if name in _KNOWN_IMPORTS:
                del self.names[name]

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.names[node.name] = Unknown(f"{node.name}()")
        self._changes[node.name] = set(_changed_in(node))
        self._functions.append(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    # ---- what may happen or not

    def visit_If(self, node: ast.If) -> None:
        test = self.visit(node.test)
        if isinstance(test, Unknown):
            self._perhaps(node.body, node.orelse)
        else:
            self._follow(node.body if test else node.orelse)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self.visit(node.target)
        self._repeat(node)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._repeat(node)

    def _repeat(self, node: ast.For | ast.AsyncFor | ast.While) -> None:
        calls, records = len(self.calls), len(self.records)
        self._perhaps(node.body)
        del self.calls[calls:], self.records[records:]
        self._perhaps(node.body)  # once more, since what one turn changes another one finds changed
        self._follow(node.orelse)

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        """Follow what happens if nothing fails."""
        self._follow([*node.body, *node.orelse, *node.finalbody])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._perhaps(node.body)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        self._perhaps(*(case.body for case in node.cases))

    visit_AsyncFor = visit_For
    visit_TryStar = visit_Try

    def _perhaps(self, *bodies: list[ast.stmt]) -> None:
        """Ways that the code may take: what they change is unknown."""
        for body in bodies:
            before = self._copy(self.names)
            self._follow(body)
            # a name that is new would be missing otherwise, and the code fail
            for name, value in before.items():
                self.names[name] = _common(self.names[name], value) if name in self.names else value

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
                _merge(record, value, f"**{_source_of(node)}")
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
            _merge(both, right, _source_of(node.right))
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
        if _doubted(whole):
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
        self._notice(node, arguments, words)
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
        if words and function != "json.dumps":  # whose options change the looks only
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

    def _notice(self, node: ast.Call, arguments: Sequence[Any], words: dict[Any, Any]) -> None:
        """Keep the parameters of a call of the service, and doubt what a function of the code may change."""
        name = getattr(node.func, "attr", "") or getattr(node.func, "id", "")
        if name in _NOT_ANALYSES:
            return
        given, positional = dict(words), _POSITIONAL.get(name, ())
        given.update(zip(positional, arguments, strict=False))
        if "instrument" in given and (positional or "product" in given):
            others = [part for part in node.args[len(positional) :] if getattr(part, "attr", "") not in _POSITIONAL]
            if others or name == "partial":
                given[Unknown(node)] = None
            self.calls.append(Analysis(given, ours=name in _OF_OURS))
        elif positional:
            self.unread.append(_source_of(node))
        if isinstance(node.func, ast.Name) and name in self._changes:
            for each in {part.id for part in node.args if isinstance(part, ast.Name)} | self._changes[name]:
                if isinstance(record := self.names.get(each), dict):
                    record[Unknown(node)] = None

    def _updated(self, record: dict[Any, Any], node: ast.Call, arguments: Sequence[Any], words: dict[Any, Any]) -> Any:
        """What ``dict(...)`` and ``record.update(...)`` make of a dictionary."""
        for part, argument in zip(node.args, arguments, strict=True):
            _merge(record, argument, _source_of(part))
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
            return Unknown(node) if name != "copy" and _doubted(owner) else found
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


def _source_of(node: ast.AST) -> str:
    """How a piece of code is written, shortened."""
    try:
        return printable(ast.unparse(node), limit=60)
    except (RecursionError, ValueError):
        return "a long expression"


def _with_unit(value: Any, unit: str) -> Any:
    """Numbers with a unit, as this package's methods take them in text."""
    if isinstance(value, (list, tuple)):
        return tuple(_with_unit(item, unit) for item in value)
    if not isinstance(value, (int, float)):
        raise NotConstant
    return f"{value} {unit}"


def _merge(record: dict[Any, Any], other: Any, source: str) -> None:
    """Update a dictionary by another one, or by pairs; ``source`` is how that is written."""
    try:
        record.update(other)
    except (TypeError, ValueError):
        record[Unknown(source)] = None


def _doubted(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(key, Unknown) for key in value)


def _common(one: Any, other: Any) -> Any:
    """What two states agree about."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in (*one, *other):
            if key not in one or key not in other or not _same(one[key], other[key]):
                one[key] = Unknown(_CONDITION)
        return one
    return one if _same(one, other) else Unknown(_CONDITION)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _changed_in(function: ast.AST) -> Iterator[str]:
    """Names whose values a function may change, be they its own or others."""
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            yield from node.names
        part = node.func if isinstance(node, ast.Call) else node
        changes = isinstance(node, ast.Call) or not isinstance(getattr(node, "ctx", None), ast.Load)
        if changes and isinstance(part, (ast.Subscript, ast.Attribute)) and isinstance(part.value, ast.Name):
            yield part.value.id
