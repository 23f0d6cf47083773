# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""From the options of ``mmoda query`` to the arguments of the query methods."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..core import MmodaClass
from ..errors import ParameterError
from ..files import read_plain
from ..text import printable

_LARGEST_SNIPPET = 1_000_000
_SAME = "product radius time_bin catalog scw_list on_error source timeout".split()


def query_arguments(client: MmodaClass, arguments: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of a query; options replace what a snippet has."""
    given: dict[str, Any] = {"instrument": arguments.instrument, "parameters": {}}
    if arguments.code is not None:
        given |= client.from_api_code(_snippet(arguments.code))
    for name in ("catalog", "scw_list"):
        _check_file(getattr(arguments, name), f"--{name.replace('_', '-')}")
    given |= {name: value for name in _SAME if (value := getattr(arguments, name)) is not None}
    pairs = {"time_range": arguments.time, "energy_range": arguments.energy}
    given |= {name: tuple(value) for name, value in pairs.items() if value is not None}
    given["parameters"] = {**(given.get("parameters") or {}), **_settings(arguments.set)}
    if arguments.position is not None:
        given["coordinates"] = " ".join(arguments.position)
        if arguments.name is not None:
            given["parameters"].setdefault("src_name", arguments.name)
    elif arguments.name is not None:
        given["coordinates"] = arguments.name
    if (number := arguments.windows_per_job) is not None:
        given["windows_per_job"] = int(number) if number.isdecimal() else number
    return given


def _settings(settings: list[str]) -> dict[str, str]:
    """What ``--set`` says, by names of parameters."""
    found: dict[str, str] = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        name = name.strip()
        if not sign or not name:
            raise ParameterError(f"--set {printable(setting, limit=80)!r} must have the form NAME=VALUE.")
        if name in found:
            raise ParameterError(f"--set gives {printable(name)!r} twice.")
        found[name] = value.strip()
    return found


def _snippet(path: str) -> str:
    if path == "-":
        return "" if sys.stdin is None else sys.stdin.read(_LARGEST_SNIPPET)
    _check_file(path, "--code")
    return read_plain(Path(path).expanduser(), limit=_LARGEST_SNIPPET, links=True).decode("utf-8", "replace")


def _check_file(path: str | None, option: str) -> None:
    if path is not None and not Path(path).expanduser().is_file():
        raise ParameterError(f"{option}: there is no file {printable(path, limit=200)!r}.")
