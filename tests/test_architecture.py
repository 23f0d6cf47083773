"""The structure of the package: what may import what, names, sizes, and words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import astroquery_mmoda

ROOT = Path(astroquery_mmoda.__file__).parent

# a package, or a module beside the packages, imports from its own layer and from those below
LAYERS = {
    7: {"__main__", "cli"},
    6: {"plotting"},
    5: {"core", "many", "archive", "diagnosis", "__init__"},
    4: {"jobs"},
    3: {"products", "combine"},
    2: {"request", "service", "decoding"},
    1: {"auth", "catalog", "progress"},
    0: {"errors", "config", "text", "units", "markup", "files", "allowance", "instruments", "protocol", "origin"},
}
LAYER_OF = {package: layer for layer, packages in LAYERS.items() for package in packages}

# the only packages that may import these libraries
SINGLE_USERS = {
    "requests": {"service", "auth", "origin"},  # origin reads addresses as it does
    "urllib3": {"service"},
    "jwt": {"auth"},
    "keyring": {"auth"},
    "pyvo": {"archive"},
    "base64": {"decoding"},
    "binascii": {"decoding"},
    "pybase64": {"decoding"},
    "yaml": {"decoding", "products"},  # products says how values of ours are written
    "matplotlib": {"plotting"},
    "PIL": {"products"},
}
# the only module that sends requests: methods of sessions and adapters that do
SENDER = "service/http.py"
SENDS = {"request", "_request", "send", "urlopen", "urlretrieve"}
NOWHERE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "print", "breakpoint"}

MODULE_LINES = 400
# longer ones, with the reason
LONGER_MODULES = {
    "core.py": (1250, "the public methods, with their documentation"),
    "jobs/job.py": (600, "the public methods of Job, with their documentation"),
    "products/products.py": (600, "the public methods of Products, with their documentation"),
}

# imports in functions, of what needs the class itself: public class methods
FOR_CLASS_METHODS = {
    ("auth/token.py", "auth/places.py"),  # Token.discover
    ("products/products.py", "products/storage/directory.py"),  # Products.read
}

# names of modules that several packages may have
SHARED_MODULE_NAMES = {"__init__", "image", "spectrum", "lightcurve", "catalog"}
# functions that pass on their arguments as they are, with the reason
FORWARDERS = {"_login": "astroquery calls it"}
# not plain English, or words of our own where there are common ones
WORDS = (
    r"rooms?|houses?|doors?|floors?|stairs|upstairs|downstairs|reception|desk|visitors?|guests?|clothes|clothed|dress(ed)?"
    r"|errands?|ledgers?|glances?|peek(s|ed|ing)?|pace[sd]?|judge[sd]?|judging|strangers?|remarks?|journeys?|travel(s|led)?"
    r"|hands(?! over)|homes|at home|told|tells? of|elsewhere|has no place for|lives (shorter|longer)"
    r"|sends us|took a \w+ otherwise|(is|are) gone|(?<!here )is no (?!longer|more)\w+"
)
FORBIDDEN_WORDS = re.compile(rf"(?<![A-Za-z])({WORDS})(?![A-Za-z])", re.IGNORECASE)
# terms that contain one of them
TERMS = re.compile(r"np\.floor|math\.floor")


class Module(NamedTuple):
    """A file of the package."""

    name: str  # relative path
    package: str  # what it is in; a module beside the packages is its own
    text: str
    tree: ast.Module


class Function(NamedTuple):
    """A function or method, and where it is."""

    module: Module
    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: str  # the class, or ""
    inner: bool  # defined in another function

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.module.name}:{self.node.lineno} {self.owner and self.owner + '.'}{self.node.name}"

    @property
    def docstring(self) -> list[str]:
        """Its lines, without blank ones."""
        return [line for line in (ast.get_docstring(self.node) or "").splitlines() if line.strip()]

    @property
    def body(self) -> list[ast.stmt]:
        """Without the docstring."""
        return self.node.body[1:] if ast.get_docstring(self.node) is not None else self.node.body


@cache
def modules() -> list[Module]:
    """Every file of the package."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name, text = path.relative_to(ROOT), path.read_text("utf-8")
        found.append(Module(name.as_posix(), name.parts[0].removesuffix(".py"), text, ast.parse(text)))
    return found


@cache
def functions() -> list[Function]:
    """Every function of the package."""

    def search(module: Module, node: ast.AST, owner: str, inner: bool) -> Iterator[Function]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield Function(module, child, owner, inner)
                yield from search(module, child, "", True)
            elif isinstance(child, ast.ClassDef):
                yield from search(module, child, child.name, inner)
            else:
                yield from search(module, child, owner, inner)

    return [function for module in modules() for function in search(module, module.tree, "", False)]


def no_problems(found: Iterable[str]) -> None:
    """Fail with one line for each problem."""
    problems = list(found)
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@cache
def nodes(name: str) -> list[ast.AST]:
    """The syntax tree of a module, flat; without what stands below `if TYPE_CHECKING:`."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [module.tree for module in modules() if module.name == name]
    while waiting:
        node = waiting.pop()
        if not (isinstance(node, ast.If) and getattr(node.test, "id", "").strip("_") == "TYPE_CHECKING"):
            found.append(node)
            waiting += ast.iter_child_nodes(node)
    return found


@cache
def libraries(name: str) -> set[str]:
    """First names of what a module imports from other packages than this one."""
    names = []
    for node in nodes(name):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return {library.split(".")[0] for library in names}


@cache
def imported(name: str) -> set[str]:
    """Names of the modules of this package that one imports, at its top or in a function."""
    names = {module.name for module in modules()}
    found = set()
    for node in nodes(name):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = name.split("/")[: -node.level]
            base = "/".join([*folder, *(node.module.split(".") if node.module else [])])
            for alias in node.names:
                inner = f"{base}/{alias.name}".lstrip("/")
                options = (f"{inner}.py", f"{inner}/__init__.py", f"{base}.py", f"{base}/__init__.py".lstrip("/"))
                found.update([option for option in options if option in names][:1])
    return found - {name}


def package_of(name: str) -> str:
    """The package of a module of this name."""
    return name.split("/")[0].removesuffix(".py")


def rings(needs: dict[str, set[str]]) -> list[str]:
    """Imports within rings: those from whose target the importing one is reached again."""

    def reached(begin: str) -> set[str]:
        found, waiting = set(), [begin]
        while waiting:
            new = needs.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    return [
        f"{name} imports {other}, and the other way round"
        for name, others in sorted(needs.items())
        for other in sorted(others)
        if name in reached(other)
    ]


@cache
def public_names() -> set[str]:
    """Names that the package exports."""
    names = set()
    for module in modules():
        if module.name in ("__init__.py", "combine/__init__.py", "plotting/__init__.py"):
            for node in module.tree.body:
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                    names.update(ast.literal_eval(node.value))
    return names


def is_public(function: Function) -> bool:
    """Whether users call it: an exported function, or a method of an exported class."""
    own = function.node.name
    if function.inner or (own.startswith("_") and not own.endswith("__")):
        return False
    return (function.owner or own) in public_names()


def test_imports_go_down():
    def problems():
        for module in modules():
            layer = LAYER_OF.get(module.package)
            if layer is None:
                yield f"{module.name}: in which layer is {module.package}?"
                continue
            for other in sorted(imported(module.name)):
                if LAYER_OF.get(package_of(other), 0) > layer:
                    yield f"{module.name} imports {other}, of a layer above"

    no_problems(problems())


def test_packages_form_no_ring():
    needs = defaultdict(set)
    for module in modules():
        needs[module.package] |= {package_of(other) for other in imported(module.name)} - {module.package}
    no_problems(rings(needs))


def test_modules_form_no_ring():
    needs = {module.name: imported(module.name) for module in modules()}
    for name, other in FOR_CLASS_METHODS:
        needs[name] = needs[name] - {other}
    no_problems(rings(needs))


@pytest.mark.parametrize("library", sorted(SINGLE_USERS))
def test_single_users(library):
    no_problems(
        f"{module.name} imports {library}"
        for module in modules()
        if library in libraries(module.name) and module.package not in SINGLE_USERS[library]
    )


def test_one_module_sends_requests():
    no_problems(
        f"{module.name}:{node.lineno} calls {ast.unparse(node.func)}"
        for module in modules()
        if module.name != SENDER
        for node in nodes(module.name)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (
            node.func.attr in SENDS
            or (getattr(node.func.value, "id", "") in ("requests", "urllib3") and node.func.attr.islower())
        )
        and not ast.unparse(node.func).startswith("super()")
    )


def test_nothing_that_runs_what_a_server_sends():
    def problems():
        for module in modules():
            yield from (f"{module.name} imports {name}" for name in sorted(NOWHERE & libraries(module.name)))
            for node in nodes(module.name):
                place = f"{module.name}:{getattr(node, 'lineno', 0)}"
                if isinstance(node, ast.Call):
                    if getattr(node.func, "id", "") in FORBIDDEN_CALLS:
                        yield f"{place} calls {node.func.id}"
                    if any(
                        word.arg == "verify" and getattr(word.value, "value", None) is False for word in node.keywords
                    ):
                        yield f"{place} does not verify a certificate"
                elif isinstance(node, ast.Assert):
                    yield f"{place} has an assert"
                elif isinstance(node, ast.ExceptHandler) and node.type is None:
                    yield f"{place} has a bare except"

    no_problems(problems())


def test_importing_is_light_and_opens_no_connection():
    code = (
        "import socket, sys\n"
        "def no(*a, **k): raise RuntimeError('a socket was opened')\n"
        "socket.socket.connect = no; socket.create_connection = no; socket.getaddrinfo = no\n"
        "from astroquery_mmoda import Mmoda, MmodaClass\n"
        "MmodaClass(server='https://nowhere.example')\n"
        "heavy = {'jwt', 'matplotlib', 'astropy.wcs', 'astropy.timeseries', 'scipy', 'dask'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_all_that_is_exported_exists():
    no_problems(name for name in astroquery_mmoda.__all__ if not hasattr(astroquery_mmoda, name))


def repeated(named: Iterable[tuple[str, str]]) -> list[str]:
    """From pairs of name and place: each name that has several places."""
    places = defaultdict(set)
    for name, place in named:
        places[name].add(place)
    return [f"{name}: {', '.join(sorted(found))}" for name, found in sorted(places.items()) if len(found) > 1]


def test_names_of_classes_are_unique():
    no_problems(
        repeated(
            (node.name, f"{module.name}:{node.lineno}")
            for module in modules()
            for node in nodes(module.name)
            if isinstance(node, ast.ClassDef)
        )
    )


def test_names_of_modules_are_unique():
    files = {(Path(module.name).stem, module.name) for module in modules()}
    folders = {(Path(module.name).parent.name, f"{Path(module.name).parent}/") for module in modules()}
    # a package may have a main module of its name
    files -= {(name, place) for name, place in files if Path(place).parent.name == name}
    no_problems(repeated(pair for pair in files | folders if pair[0] not in SHARED_MODULE_NAMES))


def test_few_functions_share_their_name():
    """Of those that are no methods, less than a tenth has a name that occurs in another module too."""
    own = [f for f in functions() if not f.owner and not f.inner and not f.node.name.startswith("__")]
    names = [(function.node.name, function.module.name) for function in own]
    often = {line.split(":")[0] for line in repeated(names)}
    share = sum(name in often for name, _ in names) / len(names)
    no_problems([f"{share:.1%} share their name:", *repeated(names)] if share >= 0.1 else [])


def test_no_private_name_is_imported():
    """Attributes are looked after by ruff (SLF001)."""
    no_problems(
        f"{module.name}:{node.lineno} imports {alias.name}"
        for module in modules()
        for node in nodes(module.name)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
        if alias.name.startswith("_")
    )


def test_modules_are_short():
    def problems():
        for module in modules():
            limit, _ = LONGER_MODULES.get(module.name, (MODULE_LINES, ""))
            if (lines := module.text.count("\n")) > limit:
                yield f"{module.name} has {lines} lines, more than {limit}"

    no_problems(problems())


def test_private_functions_have_a_line_of_documentation_at_most():
    no_problems(
        f"{function.place}: {len(function.docstring)} lines"
        for function in functions()
        if not is_public(function) and len(function.docstring) > (1 if function.node.name.startswith("_") else 2)
    )


def passed_on(function: Function) -> bool:
    """Whether the body is one call with the arguments of the function."""
    if len(function.body) != 1 or not isinstance(function.body[0], ast.Return | ast.Expr):
        return False
    call, given = function.body[0].value, function.node.args
    if not isinstance(call, ast.Call) or function.node.decorator_list:
        return False
    own = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    if function.owner and own[:1] in (["self"], ["cls"]):
        own = own[1:]
    own += [argument.arg for argument in given.kwonlyargs]
    own += [f"*{given.vararg.arg}"] if given.vararg else []
    own += [f"**{given.kwarg.arg}"] if given.kwarg else []
    sent = [ast.unparse(argument) for argument in call.args]
    for keyword in call.keywords:
        value = ast.unparse(keyword.value)
        if keyword.arg not in (None, value):
            return False
        sent.append(value if keyword.arg else f"**{value}")
    plain = re.fullmatch(r"[\w.]+", ast.unparse(call.func)) is not None
    return plain and bool(own) and sorted(sent) == sorted(own)


def test_no_function_only_forwards():
    no_problems(
        function.place
        for function in functions()
        if passed_on(function)
        and not is_public(function)
        and function.node.name not in FORWARDERS
        and not function.node.name.startswith("__")
    )


def test_exceptions_are_needed():
    forwarders = {function.node.name for function in functions() if passed_on(function)}
    long = {module.name for module in modules() if module.text.count("\n") > MODULE_LINES}
    no_problems([*sorted(set(FORWARDERS) - forwarders), *sorted(set(LONGER_MODULES) - long)])


def test_words():
    """Plain English and the terms of astronomy and Python, in names, comments, docstrings and messages."""

    def problems():
        for module in modules():
            if found := FORBIDDEN_WORDS.search(module.name):
                yield f"{module.name}: {found[0]}"
            for number, line in enumerate(module.text.splitlines(), 1):
                if found := FORBIDDEN_WORDS.search(TERMS.sub("", line)):
                    yield f"{module.name}:{number}: {found[0]!r} in {line.strip()}"

    no_problems(problems())
