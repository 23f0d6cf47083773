# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Python snippets: those that the service gives, read and never run; and those that this package gives."""

from __future__ import annotations

import dataclasses
import pprint
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..protocol import IGNORED_FIELDS, NUL, STATE_FIELDS, Upload
from ..text import Pasted, printable, without_token
from .expressions import NotConstant, TooMuch, Unknown, known_value
from .query import Query
from .scripts import Analysis, analyses

_LARGEST_SNIPPET = 1_000_000
_MOST_NAMED = 20
# what a call has and a query does not need
_DROPPED = frozenset({"token", *IGNORED_FIELDS, *STATE_FIELDS})
_DROPPED_FROM_CALLS = _DROPPED | frozenset("dry_run silent wait return_progress s_max".split())
_DROPPED_FROM_OURS = _DROPPED | frozenset("timeout progress get_query_payload".split())
# arguments of the query methods that are not parameters of the service, unless a workflow has one of the same name
_OURS = {item.name for item in dataclasses.fields(Query)}
_OURS -= {"instrument", "product", "query_type", "radius", "time_bin", "scw_list", "token"}
# these are never files
_TEXTS = frozenset("instrument product product_type query_type src_name".split())
_PATH = re.compile(r"\s*(?:~|/|\.{1,2}[/\\]|\.[A-Za-z_]|[A-Za-z]:[\\/]|\\\\|file:)", re.IGNORECASE)

# code as it comes out of web pages, e-mails and notebooks
_ARROWS = re.compile(r"\s*>>>(?: |$)")
_NUMBERED = re.compile(r"\s*In\s*\[[\d ]*\]:")
_PROMPT = re.compile(r"\s*(?:>>>|\.\.\.|In\s*\[[\d ]*\]:|\.{3,}:)(?: |$)")
# a line that goes on after % formats a text, and has a blank or bracket there
_MAGIC = re.compile(r"\s*(?:%{1,2}[A-Za-z]|[!?]|Out\s*\[\d*\]:)|.*[\w)]\?{1,2}\s*$")
# magics with a statement behind them
_TIMED = re.compile(r"(\s*)%(?:time|timeit|prun|memit)\b(?:\s+-\w+(?:\s+\d+)?)*[ ](?=\s*\S)")
_QUOTED = re.compile(r"^\s*>(?!>>)[ ]?", re.MULTILINE)
# blanks that do not break, of no width, and the mark of the byte order
_UNSEEN = {0xA0: " ", 0x202F: " ", 0x200B: None, 0x2060: None, 0xFEFF: None}
_TYPESET = str.maketrans("\u201c\u201d\u201e\u2018\u2019\u2212\u2013", '"""\'\'--')


def read_api_code(text: str) -> dict[str, Any]:
    """Keyword arguments of a query, from a snippet for oda_api or of ours; it is parsed, never run."""
    if not isinstance(text, str):
        raise ParameterError(f"A snippet is a text, not a {type(text).__name__}.")
    if len(text) > _LARGEST_SNIPPET:
        raise ParameterError(f"A text of {len(text)} characters is too long for a snippet.")
    try:
        analysis, notes = _last_analysis(text)
        arguments = _kept_values(analysis.parameters, notes, ours=analysis.ours)
    except (TooMuch, RecursionError, MemoryError):
        raise ParameterError("This text is too intricate to be a snippet of the service.") from None
    if notes:
        warn(
            f"The snippet was read without running it; {'; '.join(dict.fromkeys(notes[:_MOST_NAMED]))}. Give what is "
            "missing explicitly; the service would use its defaults.",
            InputWarning,
        )
    return arguments if analysis.ours else _renamed(arguments)


def _last_analysis(text: str) -> tuple[Analysis, list[str]]:
    """The last analysis that a text requests, and what is to be warned of."""
    problem: Exception | None = None
    tidy = textwrap.dedent(text.replace("\r\n", "\n").translate(_UNSEEN).strip("\n"))
    for version in (tidy, _without_marks(tidy)):
        try:
            everything, unread = analyses(version)
        except (SyntaxError, ValueError) as error:
            problem = error
            continue
        problem, found = None, [each.parameters for each in everything]
        if found:
            if isinstance(found[-1]["instrument"], Unknown):
                raise ParameterError(
                    "The instrument in this text is only known when the code runs: "
                    f"{found[-1]['instrument']}. Write its name there."
                )
            notes = [f"the parameters of {call} are not known" for call in unread]
            if different := sum(parameters != found[-1] for parameters in found):
                notes.append(f"the text has {different + 1} different analyses, of which the last is read")
            return everything[-1], notes
    why = f" It is not Python ({printable(problem, limit=150)})." if problem else ""
    raise ParameterError(
        "This is not a snippet of the service: it has no dictionary with an 'instrument' and parameters in it. Copy "
        f"all of the Python code that the page or the e-mail shows.{why}"
    )


def _kept_values(given: Mapping[Any, Any], notes: list[str], *, ours: bool) -> dict[str, Any]:
    """Values that are known and are not files or tokens; the others are named in ``notes``."""
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(name, Unknown):
            notes.append(f"the effect of {name} is not known")
        elif ours and name == "parameters" and isinstance(value, dict):
            kept["parameters"] = _kept_values(value, notes, ours=False)
        elif name not in (_DROPPED_FROM_OURS if ours else _DROPPED_FROM_CALLS):
            try:
                kept[str(name)] = _checked_value(str(name), value)
            except NotConstant as error:
                notes.append(f"left out: {printable(name, limit=60)} ({error})")
    return kept


def _checked_value(name: str, value: Any) -> Any:
    """A value as an argument; `NotConstant` says why it has to be left out."""
    if isinstance(value, Unknown):
        raise NotConstant(str(value))
    value = known_value(value)
    if not isinstance(value, str):
        return value
    if without_token(value) != value:
        raise NotConstant("it has a token in it")
    if _is_file(name, value):
        raise NotConstant("a file, which a snippet never sends; pass it explicitly")
    return value if name in _TEXTS else Pasted(value)


def _is_file(name: str, text: str) -> bool:
    """Whether a text would be taken for a path of this machine."""
    try:
        return name not in _TEXTS and (_PATH.match(text) is not None or Path(text).expanduser().is_file())
    except (OSError, ValueError, RuntimeError):
        return False


def _renamed(arguments: dict[str, Any]) -> dict[str, Any]:
    """Replace names of oda_api, or of the service's own records, by those of the query methods."""
    renamed = {name: value for name, value in arguments.items() if name not in _OURS}
    hidden = {name: value for name, value in arguments.items() if name in _OURS}
    kind = renamed.pop("product_type", None)
    if kind in ("Real", "Dummy"):  # what oda_api calls the product's type
        renamed["query_type"] = kind
    elif kind is not None:
        renamed.setdefault("product", kind)  # the service calls the product so
    return {**renamed, "parameters": hidden} if hidden else renamed


# ---- to valid Python


def _without_marks(text: str) -> str:
    """Text without what pages, e-mails and notebooks add to code."""
    lines = _QUOTED.sub("", text).translate(_TYPESET).split("\n")
    if any(_ARROWS.match(line) for line in lines):
        lines = [line for line in lines if _PROMPT.match(line)]  # the others were printed
    if any(_ARROWS.match(line) or _NUMBERED.match(line) for line in lines):
        lines = [_PROMPT.sub("", line, count=1) for line in lines]
    lines = [_TIMED.sub(r"\1", line, count=1) for line in lines]
    return textwrap.dedent("\n".join("" if _MAGIC.match(line) else line for line in lines))


# ---- code for this package


def code_for(server: str | None, fields: Mapping[str, str]) -> str:
    """Python code for the same request, without token and files; ``server`` where it is not the usual one."""
    sent = {name: value for name, value in fields.items() if name not in (*_TEXTS - {"src_name"}, *_DROPPED)}
    # uploads, and texts of records that may be paths, are to be given again: Ellipsis is refused in a query
    files = [
        name
        for name, value in sent.items()
        if isinstance(value, Upload) or (isinstance(value, Pasted) and _is_file(name, value))
    ]
    parameters = {
        name: Ellipsis if name in files else None if value == NUL else without_token(str(value))
        for name, value in sent.items()
    }
    note = f"# to be given again, since a snippet never sends files: {', '.join(map(printable, files))}\n"
    query_type = f"query_type={fields.get('query_type', 'Real')!r}"
    arguments = f"{fields['instrument']!r}, product={fields['product_type']!r}, {query_type}"
    client = "Mmoda" if server is None else f"Mmoda(server={server!r})"
    return (
        "from astroquery_mmoda import Mmoda\n\n"
        f"{note if files else ''}"
        f"parameters = {pprint.pformat(parameters, sort_dicts=False, width=100)}\n"
        f"job = {client}.submit_product({arguments}, parameters=parameters)\n"
        "products = job.result()\n"
    )
