# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Requests that exist already: read from links and records of the service, and summarised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..protocol import NUL, STATE_FIELDS
from ..text import Pasted

__all__ = ["fields_of_link", "fields_of_record", "summary_of"]


def fields_of_link(link: str) -> dict[str, str]:
    """
    Read the parameters in an address of the service, as it sends them by e-mail or redirects to.

    Parameters
    ----------
    link : str
        Any address with a query.

    Returns
    -------
    dict of str
        Without the token, should there be one in it; empty if it is not a valid address. No value is a path of a file
        to be uploaded.
    """
    try:
        pairs = parse_qsl(urlsplit(link).query, keep_blank_values=True)
    except ValueError:
        return {}
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, Pasted(value))  # the service takes the first of several too
    fields.pop("token", None)
    return fields


def fields_of_record(parameters: Mapping[str, Any]) -> dict[str, str]:
    """
    Write parameters that the service understood as fields of a form again.

    Parameters
    ----------
    parameters : dict
        ``analysis_parameters`` of a reply or of the service's records.

    Returns
    -------
    dict of str
        Without token and state. No value is a path of a file to be uploaded.
    """
    kept = {str(name): value for name, value in parameters.items() if name not in ("token", *STATE_FIELDS)}
    return {name: Pasted(_form_text(name, value)) for name, value in kept.items()}


def _form_text(name: str, value: Any) -> str:
    if value is None:
        return NUL
    if isinstance(value, list) and (name.endswith("_list") or not value):
        return ",".join(str(item) for item in value)
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def summary_of(fields: Mapping[str, str]) -> dict[str, str]:
    """
    Tell what a request is about in a few words.

    Parameters
    ----------
    fields : dict of str
        Fields of the request.

    Returns
    -------
    dict of str
        ``source`` (name), ``energy_range`` (keV) and ``time_range``: UTC, in the format of ``T_format`` unless that is
        isot, or the number of science windows. Empty where the request does not tell.
    """
    told = {name: "" if value == NUL else str(value).strip() for name, value in fields.items()}
    low, high, start, stop = (told.get(name, "") for name in ("E1_keV", "E2_keV", "T1", "T2"))
    windows = len([window for window in told.get("scw_list", "").split(",") if window.strip()])
    form = told.get("T_format", "")
    times = f"{start[:19]} to {stop[:19]}{f' ({form})' if form not in ('', 'isot') else ''}" if start and stop else ""
    return {
        "source": told.get("src_name", ""),
        "energy_range": f"{low}-{high} keV" if low and high else "",
        "time_range": f"{windows} science window{'s' * (windows != 1)}" if windows else times,
    }
