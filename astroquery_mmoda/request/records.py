# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Requests that exist already: read from links and records of the service, and summarised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..protocol import NUL, STATE_FIELDS
from ..text import Pasted


def fields_of_link(link: str) -> dict[str, str]:
    """Fields in an address of the service, without a token; a value is never the path of a file to be uploaded."""
    try:
        pairs = parse_qsl(urlsplit(link).query, keep_blank_values=True)
    except ValueError:
        return {}
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name != "token":
            fields.setdefault(name, Pasted(value))  # the service takes the first of several too
    return fields


def fields_of_record(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters that the service understood (``analysis_parameters``) as fields, without a token; likewise."""
    return {
        str(name): Pasted(_form_text(str(name), value))
        for name, value in parameters.items()
        if name not in ("token", *STATE_FIELDS)
    }


def _form_text(name: str, value: Any) -> str:
    if value is None:
        return NUL
    if isinstance(value, list) and (name.endswith("_list") or not value):
        return ",".join(map(str, value))
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def summary_of(fields: Mapping[str, str]) -> dict[str, str]:
    """Source (name), energy range (keV) and time range (UTC), or number of science windows, of a request, as text."""
    said = {name: "" if value == NUL else str(value).strip() for name, value in fields.items()}
    low, high, start, stop = (said.get(name, "") for name in ("E1_keV", "E2_keV", "T1", "T2"))
    windows = len([window for window in said.get("scw_list", "").split(",") if window.strip()])
    form = said.get("T_format", "")
    times = f"{start[:19]} to {stop[:19]}{f' ({form})' if form not in ('', 'isot') else ''}" if start and stop else ""
    return {
        "source": said.get("src_name", ""),
        "energy_range": f"{low}-{high} keV" if low and high else "",
        "time_range": f"{windows} science window{'s' * (windows != 1)}" if windows else times,
    }
