# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Lists of science windows that are longer than those of one job; nothing is sent here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from numbers import Integral
from typing import Any

from ..errors import ParameterError
from ..instruments import ANY_NUMBER, BY_WINDOWS, MOST_WINDOWS
from ..text import printable
from .encode import science_windows
from .query import Query

# kinds of queries whose results can be combined
_COMBINED = ("image", "catalog", "spectrum", "lightcurve")
_REVOLUTION = 4  # digits of a science window
# what chooses windows, where none are given
_CHOOSE = ("radius", "max_pointings")
_SCW_LIST = "scw_list"


def parts_of_windows(windows: Sequence[str], most: int) -> list[list[str]]:
    """
    Cut a list into parts of at most so many, from its begin: whole revolutions together where they fit.

    So windows that are added at the end leave all parts but the last as they are.
    """
    parts: list[list[str]] = []
    for _, group in groupby(windows, key=lambda window: window[:_REVOLUTION]):
        revolution = list(group)
        if parts and len(parts[-1]) + len(revolution) <= most:
            parts[-1] += revolution
        else:
            parts += [revolution[at : at + most] for at in range(0, len(revolution), most)]
    return parts


def divided(kind: str, query: Query, instrument: str, roles: Iterable[str]) -> tuple[Query, list[list[str]]]:
    """The query for the first part of its science windows, and all parts; `ParameterError` if it can't be divided."""
    raw = dict(query.parameters or {})
    given = raw.pop(_SCW_LIST, None) if query.scw_list is None else query.scw_list
    if kind not in _COMBINED:
        raise ParameterError(
            f"windows_per_job has no meaning for a query of kind {printable(kind)!r}: only results of kind "
            f"{', '.join(_COMBINED)} can be combined."
        )
    if instrument not in BY_WINDOWS:
        able = " and ".join(sorted(BY_WINDOWS))
        raise ParameterError(f"windows_per_job has no meaning for {instrument}: only {able} analyse science windows.")
    if given is None:
        advice = "Mmoda.query_science_windows(coordinates, radius, time_range) gives one."
        raise ParameterError(f"windows_per_job divides a list of science windows: it needs scw_list=. {advice}")
    for name in _CHOOSE:
        if getattr(query, name, None) is not None or raw.get(name) is not None:
            raise ParameterError(f"{name} chooses science windows, and has no meaning beside windows_per_job.")
    if kind in ("spectrum", "lightcurve") and query.catalog is None:
        raise ParameterError(
            "With windows_per_job a query of this kind needs catalog=, so that all jobs extract the same sources: for "
            "example the bright ones that query_catalog finds in the same windows."
        )
    windows = science_windows(given)
    if not windows:
        raise ParameterError("scw_list is empty: there is nothing to compute in several jobs.")
    parts = parts_of_windows(windows, _most_per_job(query.windows_per_job, instrument, list(roles)))
    return replace(query, scw_list=parts[0], parameters=raw, windows_per_job=None, on_error="raise"), parts


def _most_per_job(wanted: Any, instrument: str, roles: Sequence[str]) -> int:
    """The number of science windows in a job."""
    allowed = _allowed(roles)
    if wanted == "max":
        return allowed or max(MOST_WINDOWS.values())
    if isinstance(wanted, bool) or not isinstance(wanted, Integral) or wanted < 1:
        raise ParameterError(f"windows_per_job={printable(wanted)!r} must be a whole number above zero, or 'max'.")
    if allowed and wanted > allowed:
        raise ParameterError(f"windows_per_job={wanted}: {_limit(allowed, instrument)}")
    return int(wanted)


def check_number(windows: str, instrument: str, roles: Sequence[str]) -> None:
    """Refuse more science windows (text of a form) than one job may have."""
    number, allowed = number_of_windows(windows), _allowed(roles)
    if instrument in BY_WINDOWS and allowed and number > allowed:
        raise ParameterError(
            f"scw_list has {number} science windows: {_limit(allowed, instrument)} With windows_per_job='max' "
            "query_image, query_catalog, query_spectrum and query_lightcurve compute them in several jobs and combine "
            "the results."
        )


def number_of_windows(windows: str) -> int:
    """Number of science windows in the text of a form."""
    return windows.count(",") + bool(windows)


def _allowed(roles: Sequence[str]) -> int:
    """Most science windows of a job; 0 for any number."""
    if ANY_NUMBER in roles:
        return 0
    return max(most for role, most in MOST_WINDOWS.items() if not role or role in roles)


def _limit(allowed: int, instrument: str) -> str:
    more = [f"{most} with the role {role}" for role, most in MOST_WINDOWS.items() if most > allowed]
    others = f" ({', '.join([*more, f'more with {ANY_NUMBER}'])})"
    return f"a job of {instrument} may have {allowed} of them{others}."
