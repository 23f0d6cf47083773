# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the service will make of a request: the roles that it will want, and what it understood otherwise."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..protocol import NUL, REQUEST_FIELDS, Upload
from ..text import printable

__all__ = ["misunderstood", "needed_roles"]

_MANY, _VERY_MANY = 50, 500
# the service may write angles, energies and times in a unit of its own
_UNIT_RATIOS = (60.0, 3600.0, 86400.0, 1e3, 1e6, 1e9, 180.0 / math.pi)


def needed_roles(fields: Mapping[str, str]) -> dict[str, str]:
    """
    Tell which roles the service wants for a request to the INTEGRAL instruments.

    Parameters
    ----------
    fields : dict of str
        Fields of the request.

    Returns
    -------
    dict of str
        For each role what needs it. Other instruments may have rules of their own, which only the service knows.
    """
    windows = [window for window in fields.get("scw_list", "").split(",") if window]
    pointings = max(len(windows), _integer(fields.get("max_pointings")))
    roles: dict[str, str] = {}
    if fields.get("instrument") in ("isgri", "jemx"):
        if pointings > _MANY:
            roles["unige-hpc-full"] = f"{pointings} pointings (more than {_MANY})"
        if pointings > _VERY_MANY:
            roles["unige-hpc-extreme"] = f"{pointings} pointings (more than {_VERY_MANY})"
        if fields.get("integral_data_rights") == "all-private":
            roles["integral-private-qla"] = "private data (integral_data_rights)"
        elif "-" in fields.get("osa_version", ""):
            roles["integral-private-qla"] = f"the version {fields['osa_version']} of the analysis (osa_version)"
        if any(window.endswith(".000") for window in windows) and "integral-private-qla" not in roles:
            roles["integral-public-nrt"] = "near-real-time data (science windows of version 000)"
    if fields.get("instrument") == "spi_acs" and fields.get("data_level") == "realtime":
        roles["integral-realtime"] = "realtime data (data_level)"
    return roles


def _integer(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def misunderstood(sent: Mapping[str, str], understood: Mapping[str, Any]) -> list[str]:
    """
    Compare what was asked with what the service says it understood.

    Parameters
    ----------
    sent : dict of str
        Fields of the request.
    understood : dict
        ``analysis_parameters`` of the reply.

    Returns
    -------
    list of str
        A sentence for each science parameter that differs.
    """
    return [
        f"{name}: asked for {printable(value, limit=80)}, understood as {printable(understood[name], limit=80)}"
        for name, value in sent.items()
        if name in understood
        and name not in REQUEST_FIELDS
        and not isinstance(value, Upload)
        and not _same(value, understood[name])
    ]


def _same(sent: str, understood: Any) -> bool:
    if understood is None:
        return sent in ("", NUL)
    if isinstance(understood, bool):
        return (sent.lower() in ("true", "yes", "1")) is understood
    if isinstance(understood, (int, float)):
        return _same_number(sent, understood)
    if isinstance(understood, list):
        return [item for item in sent.split(",") if item] == [str(item) for item in understood] or _plain(
            sent
        ) == understood
    if isinstance(understood, dict):
        return bool(_plain(sent) == understood)
    return sent == str(understood) or _same_json(sent, str(understood))


def _same_number(sent: str, understood: float) -> bool:
    try:
        asked, understood = float(sent), float(understood)
    except (ValueError, OverflowError):
        return False
    if math.isclose(asked, understood, rel_tol=1e-6, abs_tol=1e-12):
        return True
    if asked == 0 or understood == 0:
        return False
    ratio = understood / asked
    return any(math.isclose(abs(math.log(abs(ratio))), math.log(known), rel_tol=1e-6) for known in _UNIT_RATIOS)


def _same_json(sent: str, understood: str) -> bool:
    first, second = _plain(sent), _plain(understood)
    return first is not None and first == second


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
