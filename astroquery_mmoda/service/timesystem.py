# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The time system beside the dispatcher, which has INTEGRAL's index of science windows: requests and replies."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from astroquery.exceptions import CorruptDataWarning

from ..errors import DecodingError, MmodaError, ServiceError, reading, warn
from ..text import listed, printable
from .http import Answer
from .replies import content_of, error_from_body
from .routes import Routes

#: columns of the index GNRL-SCWG-GRP-IDX that are requested: axis in deg, times in IJD (TT), elapsed time in s
COLUMNS = ("SWID", "RA_SCX", "DEC_SCX", "TSTART", "TSTOP", "TELAPSE")
_PATH = ("readiness", "T1", "T2")
_WHAT = "the list of science windows"
# revolution (from 1), pointing, subdivision, type
_IDENTIFIER = re.compile(r"(?!0000)[0-9]{12}")
_POINTING = "0"  # the last digit; 1 is a slew, 2 engineering
_SINGLE = frozenset({int, float, str, type(None)})
#: IJD of the year 2406
_LATEST = 148_456.0


def list_pointings(routes: Routes, fields: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Columns of the index, without slews and engineering windows, in the order in which the service has them."""
    query = {name: value for name, value in fields.items() if name not in _PATH}
    answer = routes.time_system("/".join(fields[name] for name in _PATH), query)
    content = _content_of(answer, routes.url)
    with reading(_WHAT):
        columns = _read_columns(content)
    known = _is_known(columns)
    if not known.all():
        lost = columns["SWID"][~known]
        what = f"{len(lost)} science windows without a valid position, time or duration are left out"
        warn(f"MMODA: {what}: {listed(lost, most=5)}.", CorruptDataWarning)
    return {name: column[known] for name, column in columns.items()}


def _content_of(answer: Answer, server: str) -> Any:
    """What a good answer holds; otherwise the error that the answer is."""
    if answer.status == 404:
        raise ServiceError(
            f"404: {server} has no time system, which lists science windows; a dispatcher alone has none. HEASARC's "
            "table intscw has them as well: the page 'Long observations' (long-observations) of the documentation "
            "has a recipe with astroquery.heasarc."
        )
    if answer.status == 400 and not answer.problem:
        raise _error_in(answer.content, 400)
    content = content_of(answer, _WHAT, server)
    if isinstance(content, dict) and "scwlist" in content:  # beside the version of the index
        content = content["scwlist"]
    if content == []:
        return dict.fromkeys(COLUMNS, ())
    if isinstance(content, dict) and not any(name in content for name in COLUMNS):
        raise _error_in(content, answer.status)
    return content


def _error_in(content: Any, status: int) -> MmodaError:
    """The error of an application that the service runs, which names its fields as it likes."""
    parts = content if isinstance(content, list) else [content]
    # of a form that holds a text only, the field is not worth naming
    words = [
        f"{value}" if name in ("error", "message", "error_message") else f"{name}: {value}"
        for part in parts[:5]
        for name, value in (part.items() if isinstance(part, dict) else [("message", part)])
    ]
    return error_from_body({"error_message": printable("; ".join(words[:5]), limit=1000)}, status=status)


# ---- columns


def _read_columns(content: Any) -> dict[str, np.ndarray]:
    """Columns of pointings as arrays of equal length."""
    if not isinstance(content, dict):
        raise DecodingError(f"columns were requested, and {printable(content, limit=100)!r} came")
    missing = [name for name in COLUMNS if not isinstance(content.get(name), (list, tuple))]
    if missing:
        raise DecodingError(f"no column {' or '.join(missing)}; there are: {listed(map(str, content))}")
    odd = [name for name in COLUMNS if not _SINGLE.issuperset(map(type, content[name]))]
    if odd:
        raise DecodingError(f"{' and '.join(odd)}: values that are neither numbers nor texts")
    lengths = {name: len(content[name]) for name in COLUMNS}
    if len(set(lengths.values())) > 1:
        raise DecodingError(f"columns differ in length: {lengths}")
    identifiers = _identifiers(content["SWID"])
    is_pointing = np.char.endswith(identifiers, _POINTING)
    columns = {name: _numbers(content[name])[is_pointing] for name in COLUMNS[1:]}
    return {"SWID": identifiers[is_pointing], **columns}


def _identifiers(values: list[Any]) -> np.ndarray:
    """Texts of 12 digits; integers have lost their zeros."""
    texts = [_text_of(value).zfill(12) for value in values]
    for text in texts:
        if not _IDENTIFIER.fullmatch(text):
            raise DecodingError(f"not the identifier of a science window: {printable(text, limit=40)!r}")
    return np.array(texts, dtype="U12")


def _text_of(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _numbers(values: list[Any]) -> np.ndarray:
    """Floats, NaN where there is nothing."""
    return np.array([math.nan if value is None else float(value) for value in values], dtype=float)


def _is_known(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which windows have a position, times and a duration; comparisons with NaN are false."""
    _, ra, dec, start, stop, elapsed = (columns[name] for name in COLUMNS)
    on_sky = (np.abs(ra) <= 360) & (np.abs(dec) <= 90)
    return np.asarray(on_sky & (start > 0) & (start <= stop) & (stop < _LATEST) & (elapsed >= 0) & (elapsed < np.inf))
