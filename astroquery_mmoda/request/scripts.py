# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Which analyses a piece of Python asks for: its statements are followed one by one, and none is run."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .constants import Constants, NotConstant, Record, Unknown, source_of

__all__ = ["Analysis", "analyses"]

_OF_ODA_API = "get_product"
_KINDS = ("image", "catalog", "spectrum", "lightcurve", "product")
_OF_OURS = frozenset(f"{verb}_{kind}" for verb in ("query", "submit") for kind in _KINDS)
_POSITIONAL = {
    _OF_ODA_API: ("product", "instrument"),
    "long_scw_list_call": ("scw_list",),  # of oda_integral_wrapper
    **dict.fromkeys(_OF_OURS, ("instrument", "coordinates")),
}
_KNOWN_IMPORTS = frozenset({"copy", "deepcopy", "units", "u", "OrderedDict"})
# expressions with names of their own
_WITH_OWN_NAMES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_CONDITION = "only set under a condition"


@dataclass(frozen=True)
class Analysis:
    """Parameters that a call or a dictionary of the code gives; ``ours`` if by this package's methods."""

    parameters: Record
    ours: bool = False


def analyses(tree: ast.Module) -> tuple[list[Analysis], list[str]]:
    """
    Find what is asked of the service.

    Parameters
    ----------
    tree : ast.Module
        Syntax tree of the code.

    Returns
    -------
    list of Analysis
        Calls in their order, those within functions first; if there are none with parameters, dictionaries that name
        an instrument.
    list of str
        Calls of the service whose parameters are only known when the code runs.
    """
    follower = _Follower()
    follower.follow(tree.body)
    at_top = follower.calls
    follower.calls = []
    follower.follow_functions()
    called = [*follower.calls, *at_top]
    return called or [Analysis(record) for record in follower.records()], follower.unread


class _Follower:
    """Goes through statements, and remembers what names stand for."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.constants = Constants(self.names)
        self.calls: list[Analysis] = []
        self.unread: list[str] = []
        self._displays: list[Record] = []
        # functions, with the names of others whose values they change
        self._defined: dict[str, set[str]] = {}
        self._functions: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
        self._followers: dict[type[ast.AST], Callable[[Any], Any]] = {
            ast.Assign: self._assign,
            ast.AnnAssign: self._annotate,
            ast.AugAssign: self._augment,
            ast.Expr: lambda node: self._value(node.value),
            ast.Return: lambda node: self._value(node.value or ast.Constant(None)),
            ast.Delete: self._delete,
            ast.If: self._if,
            ast.For: self._loop,
            ast.AsyncFor: self._loop,
            ast.While: self._loop,
            ast.Try: self._try,
            ast.With: self._with,
            ast.AsyncWith: self._with,
            ast.FunctionDef: self._define,
            ast.AsyncFunctionDef: self._define,
            ast.ClassDef: self._define,
            ast.Import: self._import,
            ast.ImportFrom: self._import,
            ast.Match: lambda node: self._branches([case.body for case in node.cases]),
        }

    def records(self) -> list[Record]:
        """Dictionaries that name an instrument: those that have a name of their own last."""
        named = [value for value in self.names.values() if isinstance(value, Record)]
        found = [record for record in (*self._displays, *named) if "instrument" in record]
        return [record for record in found if "product" in record or "product_type" in record] or found

    def follow(self, statements: Iterable[ast.stmt]) -> None:
        """Go through statements in their order."""
        for statement in statements:
            self.constants.work(1)
            follower = self._followers.get(type(statement))
            if follower is not None:
                follower(statement)

    def follow_functions(self) -> None:
        """Go through the bodies of functions, with what the names stand for at the end of the code."""
        while self._functions:
            node = self._functions.pop(0)
            before = self._copy()
            if not isinstance(node, ast.ClassDef):
                for argument in _arguments(node.args):
                    self.names[argument] = Unknown(f"an argument of {node.name}()")
            self.follow(node.body)
            self._restore(before)

    # ---- expressions

    def _value(self, node: ast.expr) -> Any:
        """Value of an expression, in which calls and dictionaries are noticed."""
        if isinstance(node, ast.Constant):
            return self.constants.or_unknown(node)
        self._notice(node)
        value = self.constants.or_unknown(node)
        shown = [value]
        if isinstance(node, ast.Call) and isinstance(value, Unknown):
            shown = [self.constants.or_unknown(part) for part in (*node.args, *(word.value for word in node.keywords))]
        for each in shown:
            self._displays += _records_in(each)
        return value

    def _notice(self, node: ast.AST) -> None:
        """Look for calls of the service in an expression, the inner ones first."""
        pending, calls, inner = [node], [], []
        while pending:
            current = pending.pop()
            self.constants.work(1)
            if isinstance(current, _WITH_OWN_NAMES):
                inner.append(current)
                continue
            if isinstance(current, ast.Call):
                calls.append(current)
            pending += ast.iter_child_nodes(current)
        for part in inner:
            self._notice_inside(part)
        for call in reversed(calls):
            self._call(call)

    def _notice_inside(self, node: ast.AST) -> None:
        """Likewise where names are of their own, with values that are not known."""
        own = set(_arguments(node.args) if isinstance(node, ast.Lambda) else _assigned_in(node))
        before = {name: self.names.pop(name) for name in own if name in self.names}
        self.names.update({name: Unknown(name) for name in own})
        for part in ast.iter_child_nodes(node):
            self._notice(part)
        for name in own:
            self.names.pop(name, None)
        self.names.update(before)

    def _call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("dict", "update", "DispatcherAPI", "print"):
            return
        if name in _POSITIONAL or {word.arg for word in node.keywords} & {None, "instrument"}:
            parameters = self._arguments_of(node, name)
            if "instrument" in parameters and (name in _POSITIONAL or "product" in parameters):
                self.calls.append(Analysis(parameters, ours=name in _OF_OURS))
            elif name in _POSITIONAL:
                self.unread.append(source_of(node))
        self._doubt_records(node)

    def _arguments_of(self, node: ast.Call, name: str) -> Record:
        found = Record()
        words = [
            ast.keyword(arg=word, value=value)
            for word, value in zip(_POSITIONAL.get(name, ()), node.args, strict=False)
        ]
        call = ast.Call(func=node.func, args=[], keywords=[*words, *node.keywords])
        self.constants.update(found, call)
        others = [value for value in node.args[len(words) :] if getattr(value, "attr", "") not in _POSITIONAL]
        if others or name == "partial":
            found.doubts.append(source_of(node))
        return found

    def _doubt_records(self, node: ast.Call) -> None:
        """A function of this code may change a dictionary that it is given, or one that it finds outside."""
        if isinstance(node.func, ast.Name) and node.func.id in self._defined:
            given = {argument.id for argument in node.args if isinstance(argument, ast.Name)}
            for name in given | self._defined[node.func.id]:
                value = self.names.get(name)
                if isinstance(value, Record):
                    value.doubts.append(source_of(node))

    # ---- statements

    def _assign(self, node: ast.Assign) -> None:
        value = self._value(node.value)
        for target in node.targets:
            self._bind(target, value)

    def _annotate(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, self._value(node.value))

    def _bind(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            items = value if isinstance(value, (list, tuple)) and len(value) == len(target.elts) else None
            for index, part in enumerate(target.elts):
                self._bind(part, Unknown(source_of(target)) if items is None else items[index])
        elif isinstance(target, ast.Starred):
            self._bind(target.value, Unknown(source_of(target)))
        elif isinstance(target, ast.Subscript):
            self._put(target, value)

    def _put(self, target: ast.Subscript, value: Any) -> None:
        whole = self.constants.or_unknown(target.value)
        if isinstance(whole, Record):
            try:
                key = self.constants.value(target.slice)
                whole[key] = value
                self.constants.sized(whole)
            except (NotConstant, TypeError):
                whole.doubts.append(source_of(target))
        elif isinstance(whole, list):
            whole[:] = [*whole, Unknown(source_of(target))]

    def _augment(self, node: ast.AugAssign) -> None:
        change = self._value(node.value)
        current = self.constants.or_unknown(node.target)
        if isinstance(current, Record) and isinstance(node.op, ast.BitOr):
            try:
                current.take(change)
            except NotConstant:
                current.doubts.append(source_of(node))
            return
        unknown = Unknown(source_of(node))
        try:
            known = not isinstance(current, Unknown) and not isinstance(change, Unknown)
            self._bind(node.target, self.constants.combined(node.op, current, change) if known else unknown)
        except (NotConstant, TypeError, ValueError, LookupError, ArithmeticError):
            self._bind(node.target, unknown)

    def _delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.names.pop(target.id, None)
            elif isinstance(target, ast.Subscript) and isinstance(
                whole := self.constants.or_unknown(target.value), Record
            ):
                key = self.constants.or_unknown(target.slice)
                if isinstance(key, Unknown):
                    whole.doubts.append(source_of(node))
                elif isinstance(key, (str, int, float)):
                    whole.pop(key, None)  # type: ignore[arg-type]

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            self.names.pop(name, None)
            if isinstance(node, ast.ImportFrom) and name not in _KNOWN_IMPORTS:
                self.names[name] = Unknown(name)

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.names[node.name] = Unknown(f"{node.name}()")
        self._defined[node.name] = set() if isinstance(node, ast.ClassDef) else set(_changed_in(node))
        self._functions.append(node)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self._value(item.context_expr)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, Unknown(source_of(item.context_expr)))
        self.follow(node.body)

    # ---- what may happen or not

    def _if(self, node: ast.If) -> None:
        test = self._value(node.test)
        if isinstance(test, Unknown):
            self._branches([node.body, node.orelse])
        else:
            self.follow(node.body if test else node.orelse)

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While) -> None:
        self._value(node.test if isinstance(node, ast.While) else node.iter)
        before = self._copy()
        for name in _assigned_in(node):
            self.names[name] = Unknown(f"{name}, which a loop changes")
        self.follow(node.body)
        self._join(before)
        self.follow(node.orelse)

    def _try(self, node: ast.Try) -> None:
        """Follow what happens if nothing fails; handlers may ask for analyses, too."""
        for handler in node.handlers:
            before = self._copy()
            self.follow(handler.body)
            self._restore(before)
        self.follow([*node.body, *node.orelse, *node.finalbody])

    def _branches(self, bodies: list[list[ast.stmt]]) -> None:
        """Ways of which the code takes one: what they do not agree about is unknown."""
        before, ends = self._copy(), []
        for body in bodies:
            self._restore(copy.deepcopy(before))
            self.follow(body)
            ends.append(self._copy())
        self._restore(ends[0])
        for end in ends[1:]:
            self._join(end)

    def _copy(self) -> dict[str, Any]:
        self.constants.work(
            sum(len(value) if isinstance(value, (list, Record)) else 1 for value in self.names.values())
        )
        return copy.deepcopy(self.names)

    def _restore(self, names: dict[str, Any]) -> None:
        self.names.clear()
        self.names.update(names)

    def _join(self, other: dict[str, Any]) -> None:
        """Keep what is the same in another state; a name that only one has fails in the other."""
        for name, value in other.items():
            self.names[name] = _common(self.names[name], value) if name in self.names else value


def _common(one: Any, other: Any) -> Any:
    """What two states agree about."""
    if isinstance(one, Record) and isinstance(other, Record):
        for key in list(dict.fromkeys((*one, *other))):
            if key not in one or key not in other or not _same(one[key], other[key]):
                one[key] = Unknown(_CONDITION)
        one.doubts = list(dict.fromkeys((*one.doubts, *other.doubts)))
        return one
    return one if _same(one, other) else Unknown(_CONDITION)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _records_in(value: Any) -> Iterator[Record]:
    """Dictionaries in a value, each once."""
    pending, seen = [value], set()
    while pending:
        part = pending.pop()
        if not isinstance(part, (list, tuple, Record)) or id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Record):
            yield part
        pending += part.values() if isinstance(part, Record) else part


def _assigned_in(part: ast.AST) -> Iterator[str]:
    """Names that a loop or a comprehension gives values to."""
    for node in ast.walk(part):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _changed_in(function: ast.AST) -> Iterator[str]:
    """Names whose values a function may change, be they its own or others."""
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            yield from node.names
        part = node.func if isinstance(node, ast.Call) else node
        changes = isinstance(node, ast.Call) or not isinstance(getattr(node, "ctx", None), ast.Load)
        if changes and isinstance(part, (ast.Subscript, ast.Attribute)) and isinstance(part.value, ast.Name):
            yield part.value.id


def _arguments(arguments: ast.arguments) -> Iterator[str]:
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return (argument.arg for argument in listed if argument is not None)
