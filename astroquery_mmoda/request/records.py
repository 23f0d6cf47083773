# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Forms of requests: what the service understood of them, and what they are about."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..protocol import NUL, REQUEST_FIELDS, STATE_FIELDS, Upload
from ..text import Pasted, printable

# the service may write angles, energies and times in a unit of its own
_UNIT_RATIOS = (1.0, 60.0, 3600.0, 86400.0, 1e3, 1e6, 1e9, 180.0 / math.pi)


def misunderstood(sent: Mapping[str, str], understood: Mapping[str, Any]) -> list[str]:
    """A sentence for each parameter that the service changed (``analysis_parameters`` of its reply)."""
    return [
        f"{name}: asked for {printable(value, limit=80)}, understood as {printable(understood[name], limit=80)}"
        for name, value in sent.items()
        if name in understood and name not in REQUEST_FIELDS and not isinstance(value, Upload)
        if not _same(value, understood[name])
    ]


def _same(sent: str, understood: Any) -> bool:
    if understood is None or isinstance(understood, bool):
        return sent.lower() in {None: ("", NUL), True: ("true", "yes", "1"), False: ("false", "no", "0")}[understood]
    if isinstance(understood, list) and [item for item in sent.split(",") if item] == list(map(str, understood)):
        return True
    asked, meant = _json_value(sent), _json_value(understood if isinstance(understood, str) else json.dumps(understood))
    if isinstance(asked, float) and isinstance(meant, float):
        ratios = (*_UNIT_RATIOS, *(1 / ratio for ratio in _UNIT_RATIOS))
        return any(math.isclose(meant, asked * ratio, rel_tol=1e-6, abs_tol=1e-12) for ratio in ratios)
    return sent == understood or (asked is not None and bool(asked == meant))


def _json_value(text: str) -> Any:
    """What a text means in JSON, numbers that can be calculated with; None if it is something else."""
    try:
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None


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
