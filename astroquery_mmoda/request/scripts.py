# Licensed under a 3-clause BSD style license - see LICENSE.rst
# ruff: noqa: D102 - methods are named by what they visit
"""Which analyses a piece of Python asks for: its statements are followed one by one, and none is run."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .expressions import Expressions
from .unknowns import NotConstant, Unknown, source_of

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
_CONDITION = "only set under a condition"


@dataclass(frozen=True)
class Analysis:
    """Parameters that a call or a dictionary of the code gives; ``ours`` if by this package's methods."""

    parameters: dict[Any, Any]
    ours: bool = False


def analyses(tree: ast.Module) -> tuple[list[Analysis], list[str]]:
    """What is asked of the service, calls in functions first; and calls whose parameters are not known."""
    follower = _Statements()
    follower.visit(tree)
    at_top, follower.calls = follower.calls, []
    follower.visit_functions()
    named = [value for value in follower.names.values() if isinstance(value, dict)]
    found = [record for record in (*follower.records, *named) if "instrument" in record]
    found = [record for record in found if "product" in record or "product_type" in record] or found
    return [*follower.calls, *at_top] or [Analysis(record) for record in found], follower.unread


class _Statements(Expressions):
    """Goes through statements, and collects calls of the service."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Analysis] = []
        self.unread: list[str] = []
        # functions, with the names of others whose values they change
        self._changes: dict[str, set[str]] = {}
        self._functions: list[ast.FunctionDef | ast.AsyncFunctionDef] = []

    def on_call(self, node: ast.Call, arguments: Sequence[Any], words: dict[Any, Any]) -> None:
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
            self.unread.append(source_of(node))
        if isinstance(node.func, ast.Name) and name in self._changes:
            for each in {part.id for part in node.args if isinstance(part, ast.Name)} | self._changes[name]:
                if isinstance(record := self.names.get(each), dict):
                    record[Unknown(node)] = None

    def visit_functions(self) -> None:
        """Go through the bodies of functions, with what the names stand for at the end of the code."""
        names = self.names
        while self._functions:
            node = self._functions.pop(0)
            own = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
            self.names = self._copy(names) | {name: Unknown(f"an argument of {node.name}()") for name in own}
            self._follow(node.body)
        self.names = names

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
            key = key if isinstance(key, (str, int, float)) else Unknown(target)
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
                self.names[name] = _agreed(self.names[name], value) if name in self.names else value

    def _copy(self, names: dict[str, Any]) -> dict[str, Any]:
        self.work(sum(len(value) if isinstance(value, (list, dict)) else 1 for value in names.values()))
        return copy.deepcopy(names)


def _agreed(one: Any, other: Any) -> Any:
    """What two states agree about."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in (*one, *other):
            if key not in one or key not in other or not _equal(one[key], other[key]):
                one[key] = Unknown(_CONDITION)
        return one
    return one if _equal(one, other) else Unknown(_CONDITION)


def _equal(one: Any, other: Any) -> bool:
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
