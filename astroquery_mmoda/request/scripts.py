# Licensed under a 3-clause BSD style license - see LICENSE.rst
# ruff: noqa: D102 - methods are named by what they visit
"""Which analyses Python code requests: its statements are followed one by one, and none is run."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .expressions import Expressions, Unknown, doubt, parse

_KINDS = ("image", "catalog", "spectrum", "lightcurve", "product")
_OF_OURS = frozenset(f"{verb}_{kind}" for verb in ("query", "submit") for kind in _KINDS)
# calls of the service, with the names of their positional arguments
_POSITIONAL = {
    "get_product": ("product", "instrument"),
    "long_scw_list_call": ("scw_list",),  # of oda_integral_wrapper
    **dict.fromkeys(_OF_OURS, ("instrument", "coordinates")),
}
_CONDITION = "only set under a condition"


@dataclass(frozen=True)
class Analysis:
    """Parameters that a call or a dictionary of the code gives; ``ours`` if by this package's methods."""

    parameters: dict[Any, Any]
    ours: bool = False


def analyses(text: str) -> tuple[list[Analysis], list[str]]:
    """What code requests from the service, and calls whose parameters are not known."""
    reader = _Statements()
    reader.visit(parse(text))
    named = [value for value in reader.names.values() if isinstance(value, dict)]
    found = [record for record in (*reader.records, *named) if "instrument" in record]
    found = [record for record in found if "product" in record or "product_type" in record] or found
    return reader.calls or [Analysis(record) for record in found], reader.unread


class _Statements(Expressions):
    """Goes through statements, and collects calls of the service."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Analysis] = []
        self.unread: list[str] = []

    def on_call(self, node: ast.Call, name: str, arguments: list[Any], words: dict[Any, Any]) -> None:
        """Keep the parameters of a call of the service, and doubt what a function of the code may change."""
        positional = _POSITIONAL.get(name, ())
        given = words | dict(zip(positional, arguments, strict=False))
        if "instrument" in given and (positional or "product" in given):
            if len(node.args) > len(positional):
                doubt(given, node)
            self.calls.append(Analysis(given, ours=name in _OF_OURS))
        elif positional:
            self.unread.append(str(Unknown(node)))
        if isinstance(node.func, ast.Name) and name in self.names:
            for value in arguments:
                doubt(value, node)

    # ---- statements: names and what they stand for

    def _follow(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self.visit(statement)

    def visit_Assign(self, node: ast.Assign) -> None:
        value = self.visit(node.value)
        for target in node.targets:
            self._bind(target, value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        target = copy.copy(node.target)
        target.ctx = ast.Load()
        value = self.visit(ast.BinOp(target, node.op, node.value))
        doubt(self.visit(target), node)  # what is changed in place may have another name
        self._bind(node.target, value)

    def _bind(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, ast.Subscript):
            whole, key = self.visit(target.value), self.visit(target.slice)
            if isinstance(whole, dict) and isinstance(key, (str, int, float)):
                whole[key] = value
                self.count_parts(whole)
            else:
                doubt(whole, target)
        elif isinstance(target, (ast.Tuple, ast.List)):
            same = isinstance(value, (list, tuple)) and len(value) == len(target.elts)
            for part, item in zip(target.elts, value if same else [Unknown(target)] * len(target.elts), strict=True):
                self._bind(part, item)
        else:
            self.visit(target)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                self.visit(ast.Call(ast.Attribute(target.value, "pop"), [target.slice], []))

    # ---- statements: what may happen or not

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "__name__ == '__main__'":
            self._follow(node.body)
        else:
            self.visit(node.test)
            self._perhaps(node.body, node.orelse)

    def visit_For(self, node: ast.For | ast.While) -> None:
        for part in (node.test,) if isinstance(node, ast.While) else (node.iter, node.target):
            self.visit(part)
        calls, records = len(self.calls), len(self.records)
        self._perhaps(node.body)
        del self.calls[calls:], self.records[records:]
        self._perhaps(node.body, node.orelse)  # once more, since one iteration may depend on the changes of another

    visit_While = visit_For

    def visit_ClassDef(self, node: ast.ClassDef | ast.ExceptHandler | ast.match_case) -> None:
        self._perhaps(node.body)

    visit_ExceptHandler = visit_match_case = visit_ClassDef

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Follow a function whose arguments are not known, and that may be called or not."""
        self.names[node.name] = Unknown(f"{node.name}()")
        outer, self.names = self.names, dict(self.names)
        self.visit(node.args)
        self._perhaps(node.body)
        self.names = outer

    def visit_Global(self, node: ast.Global) -> None:
        for name in node.names:
            doubt(self.names.get(name), node)

    def _perhaps(self, *bodies: list[ast.stmt]) -> None:
        """Ways that the code may take: what they change is unknown."""
        for body in bodies:
            self.count_parts(self.names)
            before = copy.deepcopy(self.names)
            self._follow(body)
            # a name that is new would be missing otherwise, and the code fail
            for name, value in before.items():
                self.names[name] = _agreed(self.names[name], value) if name in self.names else value


def _agreed(one: Any, other: Any) -> Any:
    """What two states agree about; dictionaries and lists are changed in place."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in (*one, *other):
            if key not in one or key not in other or one[key] != other[key]:
                one[key] = Unknown(_CONDITION)
    elif one != other:
        doubt(one, _CONDITION)
        return one if isinstance(one, list) else Unknown(_CONDITION)
    return one
