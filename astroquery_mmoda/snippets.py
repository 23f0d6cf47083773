# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Python snippets: those that the service gives, read and never run; and those that this package gives."""

from __future__ import annotations

import ast
import pprint
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import ParameterError
from .text import printable, without_token
from .wire import NUL

__all__ = ["code_for", "read_api_code"]

_LARGEST_SNIPPET = 20_000_000
# what a call of oda_api has and a query of ours does not need
_DROPPED = frozenset({"token", "api", "oda_api_version", "off_line", "verbose", "session_id", "job_id", "query_status"})


def read_api_code(text: str) -> dict[str, Any]:
    """
    Read the snippet for oda_api that the service's web page or e-mail gives.

    Parameters
    ----------
    text : str
        Python code with a dictionary of parameters in it, or a call of ``get_product`` with them.

    Returns
    -------
    dict
        Keyword arguments for ``submit_product``; without the token, should there be one in it.

    Raises
    ------
    ParameterError
        There is no such thing in the text.
    """
    found = _parameters(text)
    if "instrument" not in found:
        raise ParameterError(
            "This is no snippet of the service: it has no dictionary with an 'instrument' and parameters in it. Copy "
            "all of the Python code that the page or the e-mail shows."
        )
    arguments = {name: value for name, value in found.items() if name not in _DROPPED and value is not None}
    # what oda_api calls the product's type is Real or Dummy
    if "product_type" in arguments:
        arguments["query_type"] = arguments.pop("product_type")
    return arguments


def _parameters(text: str) -> dict[str, Any]:
    """The dictionary or the call that names an instrument and a product; the last one counts."""
    if len(text) > _LARGEST_SNIPPET:
        raise ParameterError(f"A snippet of {len(text)} characters is too long to be read.")
    try:
        tree = ast.parse(text)
        candidates = [dict(_literals(node)) for node in ast.walk(tree)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ParameterError(f"This is no Python snippet: {printable(error, limit=200)}.") from error
    # the client is made with an instrument too, but for a product
    named = [candidate for candidate in candidates if "instrument" in candidate]
    complete = [candidate for candidate in named if "product" in candidate]
    return (complete or named or [{}])[-1]


def _literals(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Names and plain values in a dictionary or in the keywords of a call."""
    pairs: list[tuple[str, ast.expr]]
    if isinstance(node, ast.Dict):
        keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
        pairs = [(key, value) for key, value in zip(keys, node.values, strict=True) if isinstance(key, str)]
    elif isinstance(node, ast.Call):
        pairs = [(keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg]
    else:
        return
    for name, value in pairs:
        try:
            yield str(name), ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue


def code_for(server: str | None, fields: Mapping[str, str]) -> str:
    """
    Write a snippet that asks the same again.

    Parameters
    ----------
    server : str or None
        Address, where it is not the usual one.
    fields : dict of str
        Fields of the request.

    Returns
    -------
    str
        Python code, without a token.
    """
    own = ("instrument", "product_type", "query_type", *_DROPPED)
    parameters = {
        name: None if value == NUL else without_token(value) for name, value in fields.items() if name not in own
    }
    query_type = fields.get("query_type", "Real")
    arguments = [repr(fields["instrument"]), f"product={fields['product_type']!r}"]
    arguments += [f"query_type={query_type!r}"] if query_type != "Real" else []
    client = "Mmoda" if server is None else f"Mmoda(server={server!r})"
    return (
        "from astroquery_mmoda import Mmoda\n\n"
        f"parameters = {pprint.pformat(parameters, sort_dicts=False, width=100)}\n"
        f"job = {client}.submit_product({', '.join(arguments)}, parameters=parameters)\n"
        "products = job.result()\n"
    )
