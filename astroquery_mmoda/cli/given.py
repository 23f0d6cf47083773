# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""From the options of ``mmoda query`` to the arguments of the query methods."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core import MmodaClass
from ..errors import ParameterError
from ..protocol import CATALOG_FIELDS
from ..request.positions import parse_position
from ..text import printable

_LONGEST_TEXT = 10_000_000  # characters of a file
# option -> what a snippet may have in its place
_REPLACED = {
    "position": ("coordinates", "RA", "DEC", "src_name"),
    "time": ("time_range", "T1", "T2", "T_format"),
    "energy": ("energy_range", "E1_keV", "E2_keV"),
    "catalog": CATALOG_FIELDS,
}
_SAME = "product radius time_bin catalog on_error source timeout".split()


def query_arguments(client: MmodaClass, arguments: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of a query; options replace what a snippet has."""
    settings = _settings(arguments.set)
    given: dict[str, Any] = {"instrument": arguments.instrument, "parameters": {}}
    if arguments.code is not None:
        given |= client.from_api_code(_text_of(arguments.code, "--code"))
        options = [option for option in _REPLACED if getattr(arguments, option) is not None]
        for name in {*settings, *(name for option in options for name in _REPLACED[option])} & given.keys():
            del given[name]
    given |= {name: value for name in _SAME if (value := getattr(arguments, name)) is not None}
    if arguments.scw_list is not None:
        given["scw_list"] = _text_of(arguments.scw_list, "--scw-list")
        if not given["scw_list"].strip():
            raise ParameterError(f"--scw-list: there is nothing in {printable(arguments.scw_list, limit=200)!r}.")
    if arguments.catalog is not None and not Path(arguments.catalog).expanduser().is_file():
        raise ParameterError(f"--catalog: there is no file {printable(arguments.catalog, limit=200)!r}.")
    pairs = {"time_range": arguments.time, "energy_range": arguments.energy}
    given |= {name: tuple(value) for name, value in pairs.items() if value is not None}
    given["parameters"] = {**(given.get("parameters") or {}), **settings}
    if arguments.position is not None:
        given["coordinates"] = position_text(arguments.position)
        if arguments.name is not None:
            given["parameters"].setdefault("src_name", arguments.name)
    elif arguments.name is not None:
        given["coordinates"] = arguments.name
    if (number := arguments.windows_per_job) is not None:
        given["windows_per_job"] = int(number) if number.isdecimal() else number
    return given


def position_text(angles: Sequence[str]) -> str:
    """What ``--position`` says, which is never the name of an object."""
    text = " ".join(angles)
    if parse_position(text) is None:
        raise ParameterError(
            f"--position {printable(text)!r}: not two angles, such as 83.63 -22.01 (deg) or 05:34:32 -5:12:03."
        )
    return text


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


def _text_of(path: str, option: str) -> str:
    """Text of a file, a pipe, or standard input."""
    try:
        if path == "-":
            return "" if sys.stdin is None else sys.stdin.read(_LONGEST_TEXT)
        with open(os.path.expanduser(path), encoding="utf-8", errors="replace") as file:
            return f"{file.read(_LONGEST_TEXT)}\n"
    except OSError as error:
        raise ParameterError(f"{option}: {printable(path, limit=200)!r} can't be read ({error.strerror}).") from None
