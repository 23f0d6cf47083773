# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the service will make of a request: the roles that it will want, and what it understood otherwise."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..protocol import NUL, REQUEST_FIELDS, Upload
from ..text import printable

_MANY, _VERY_MANY = 50, 500
# the service may write angles, energies and times in a unit of its own
_UNIT_RATIOS = (60.0, 3600.0, 86400.0, 1e3, 1e6, 1e9, 180.0 / math.pi)


def needed_roles(fields: Mapping[str, str]) -> dict[str, str]:
    """Roles that the service wants for a request to INTEGRAL's instruments, and what needs them."""
    roles: dict[str, str] = {}
    if fields["instrument"] in ("isgri", "jemx"):
        windows = [window for window in fields.get("scw_list", "").split(",") if window]
        most = fields.get("max_pointings", "")
        pointings = max(len(windows), int(most) if most.isdecimal() else 0)
        if pointings > _MANY:
            roles["unige-hpc-full"] = f"{pointings} pointings (more than {_MANY})"
        if pointings > _VERY_MANY:
            roles["unige-hpc-extreme"] = f"{pointings} pointings (more than {_VERY_MANY})"
        if fields.get("integral_data_rights") == "all-private":
            roles["integral-private-qla"] = "private data (integral_data_rights)"
        elif "-" in fields.get("osa_version", ""):
            roles["integral-private-qla"] = f"the version {fields['osa_version']} of the analysis (osa_version)"
        elif any(window.endswith(".000") for window in windows):
            roles["integral-public-nrt"] = "near-real-time data (science windows of version 000)"
    if fields["instrument"] == "spi_acs" and fields.get("data_level") == "realtime":
        roles["integral-realtime"] = "realtime data (data_level)"
    return roles


def misunderstood(sent: Mapping[str, str], understood: Mapping[str, Any]) -> list[str]:
    """A sentence for each parameter that the service understood otherwise (``analysis_parameters`` of its reply)."""
    return [
        f"{name}: asked for {printable(value, limit=80)}, understood as {printable(understood[name], limit=80)}"
        for name, value in sent.items()
        if name in understood and name not in REQUEST_FIELDS and not isinstance(value, Upload)
        if not _same(value, understood[name])
    ]


def _same(sent: str, understood: Any) -> bool:
    if understood is None:
        return sent in ("", NUL)
    if isinstance(understood, bool):
        return (sent.lower() in ("true", "yes", "1")) is understood
    if isinstance(understood, (int, float)):
        return _same_number(sent, understood)
    if isinstance(understood, list) and [item for item in sent.split(",") if item] == list(map(str, understood)):
        return True
    plain = _parsed(sent)
    meant = _parsed(understood) if isinstance(understood, str) else understood
    return sent == understood or (plain is not None and bool(plain == meant))


def _same_number(sent: str, understood: float) -> bool:
    try:
        asked, understood = float(sent), float(understood)
    except (ValueError, OverflowError):
        return False
    if math.isclose(asked, understood, rel_tol=1e-6, abs_tol=1e-12):
        return True
    ratio = understood / asked if asked else 0.0
    return ratio > 0 and any(math.isclose(max(ratio, 1 / ratio), known, rel_tol=1e-6) for known in _UNIT_RATIOS)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
