# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the inputs of a sum say of themselves: which of them may be summed, and what the sum says of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astroquery.exceptions import InputWarning

from ..errors import ParameterError, warn
from ..instruments import LONGEST_SPAN
from ..products.cards import card_value, flat_text, instant_of, number, parameters_of
from ..text import listed, printable

#: name of the HDU, and of the entry of ``meta``, that tells what was summed
INPUTS = "INPUTS"
#: cards that all inputs must agree in, where they have them
_ALIKE = ("TELESCOP", "INSTRUME", "DETNAM", "osa_version")
_WINDOW = re.compile(r"\d{12}\.\d{3}")
_SWID = 12  # digits of a science window, without the version
_TOUCHING = 1.0 / 86400.0  # days by which times of neighbours may overlap
_COMMENTS = {
    "NJOBS": "number of jobs that were summed",
    "NFAILED": "number of jobs that failed and are missing",
    "NNODATA": "number of inputs without data, left out",
    "SPANDAYS": "[d] begin of the first to end of the last",
}


def outcomes(values: Iterable[Any], what: str, *forms: type) -> Iterator[Any]:
    """Inputs of some types, also of the pairs that `query_many` gives; `ParameterError` for a failed query."""
    names = [form.__name__ for form in forms]
    if isinstance(values, (str, bytes, Mapping, Table, fits.HDUList)) or not np.iterable(values):
        kinds = " or ".join(f"{name}s" for name in names)
        raise ParameterError(f"a list, or another iterable, of {kinds} is needed, not one {type(values).__name__}.")
    for position, value in enumerate(values):
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], (int, np.integer)):
            value = value[1]
        if isinstance(value, BaseException):
            raise ParameterError(f"{what} {position} is the error of a query that failed; leave it out: {value}")
        if not isinstance(value, forms):
            wrong = type(value).__name__
            raise ParameterError(
                f"{what} {position} is not of type {' or '.join(names)}, as queries return, but {wrong}."
            )
        if isinstance(value, fits.HDUList) and not len(value):
            raise ParameterError(f"{what} {position} is an HDUList without any HDU; leave it out.")
        yield value


@dataclass(frozen=True)
class InputFacts:
    """
    What one input says of itself.

    Attributes
    ----------
    jobs : tuple of str
        Jobs that it was made of; empty where unknown, with empty texts for those that are unknown in a sum.
    windows : tuple of str
        Science windows in it, ``ddddddddpppp.vvv``; empty where unknown.
    start, stop : float
        Begin and end (MJD in the scale of the file); infinity and -infinity where unknown.
    alike : dict
        TELESCOP, INSTRUME, DETNAM, osa_version; empty where unknown.
    failed : int
        Jobs that are missing in it.
    """

    jobs: tuple[str, ...]
    windows: tuple[str, ...]
    start: float
    stop: float
    alike: Mapping[str, str]
    failed: int = 0

    @classmethod
    def of_hdulist(cls, hdulist: fits.HDUList, name: str) -> InputFacts:
        """Of the HDUs with a name, and of the primary header."""
        headers = [hdu.header for hdu in hdulist if hdu.name == name]
        primary = hdulist[0].header
        parameters = parameters_of(primary)
        starts, stops = (
            [time for header in headers if math.isfinite(time := _mjd(header, keyword))]
            for keyword in ("TSTART", "TSTOP")
        )
        first = headers[0] if headers else primary
        alike = {keyword: card_value(first, keyword) or card_value(primary, keyword) for keyword in _ALIKE}
        job = card_value(primary, "JOB_ID")
        jobs, windows = _earlier(hdulist) or ((str(job),) if job else (), _windows(parameters))
        return cls(
            jobs,
            windows,
            min(starts, default=math.inf),
            max(stops, default=-math.inf),
            _texts({**alike, "osa_version": parameters.get("osa_version") or alike["osa_version"]}),
            int(number(primary, "NFAILED", 0)),
        )

    @classmethod
    def of_table(cls, table: Table) -> InputFacts:
        """Of the ``meta`` of a light curve or catalogue."""
        meta = table.meta
        parameters = parsed_json(meta.get("PARAMS"), dict)
        rows = parsed_json(meta.get(INPUTS), list)
        job = meta.get("JOB_ID")
        of_sum = [str(row.get("job_id") or "") for row in rows if isinstance(row, dict)]
        jobs = tuple(",".join(of_sum).split(",")) if of_sum else tuple(str(job).split(",")) if job else ()
        start, stop = math.inf, -math.inf
        if len(table) and isinstance(table.columns.get("time"), Time) and "time_bin" in table.colnames:
            half = np.ma.filled(np.ma.asarray(table["time_bin"], dtype=float), 0.0) / 2.0 / 86400.0
            start, stop = float(np.min(table["time"].mjd - half)), float(np.max(table["time"].mjd + half))
        alike = {**{key: meta.get(key) for key in _ALIKE}, "osa_version": parameters.get("osa_version")}
        return cls(jobs, _windows(parameters), start, stop, _texts(alike), int(number(meta, "NFAILED", 0)))


class Inputs:
    """
    The inputs of a sum, one after the other; those that do not belong together are refused.

    Parameters
    ----------
    what : str
        What they are, for messages.
    overlap : bool
        Whether the same time may be in two of them.
    """

    def __init__(self, what: str, *, overlap: bool = False) -> None:
        self.what, self.overlap = what, overlap
        self.facts: list[InputFacts] = []
        #: positions of inputs without data
        self.left_out: list[int] = []
        self._positions: list[int] = []
        self._number_of_window: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.facts)

    @property
    def position(self) -> int:
        """Of the next input in the user's list."""
        return len(self.facts) + len(self.left_out)

    def leave_out(self) -> None:
        """Count an input that has no data."""
        self.left_out.append(self.position)

    def require_some(self) -> None:
        """Refuse to sum nothing, and warn of inputs that have no data."""
        if not self.facts:
            empty = f": all {len(self.left_out)} given are empty" if self.left_out else ", and none is given"
            raise ParameterError(f"at least one {self.what} is needed{empty}.")
        if self.left_out:
            numbers = listed(map(str, self.left_out))
            warn(
                f"{len(self.left_out)} of {self.position} inputs have no data and are left out: {self.what} {numbers}.",
                InputWarning,
            )

    def add(self, facts: InputFacts) -> None:
        """Take one more; `ParameterError` if it is of another detector or version, or holds the same data."""
        # the first may be one without results, which says nothing
        self.require_alike(facts.alike, self.alike)
        if not self.overlap:
            self._refuse_repeated(facts)
        self._positions.append(self.position)
        self.facts.append(facts)

    @property
    def alike(self) -> dict[str, str]:
        """What all of them agree in, where it is known of one."""
        found: dict[str, str] = {}
        for facts in reversed(self.facts):
            found |= {name: value for name, value in facts.alike.items() if value}
        return found

    def require_alike(self, these: Mapping[str, Any], those: Mapping[str, Any]) -> None:
        """Refuse one more input that differs from those before in a value that both have."""
        for name, value in these.items():
            if value and those.get(name) and value != those[name]:
                raise ParameterError(
                    f"{self.what} {self.position} has {name} {printable(value)!r}, those before it have "
                    f"{printable(those[name])!r}: they must not be summed. Combine those of one {name} each."
                )

    def _refuse_repeated(self, facts: InputFacts) -> None:
        own = len(self)
        for window in facts.windows:
            other = self._number_of_window.setdefault(window[:_SWID], own)
            if other != own:
                self._refuse(other, f"the science window {window}")
        for other, known in enumerate(self.facts):
            if facts.windows and known.windows:
                continue
            if min(facts.stop, known.stop) - max(facts.start, known.start) > _TOUCHING:
                self._refuse(other, "the same time (TSTART to TSTOP; their science windows are not known)")

    def _refuse(self, other: int, shared: str) -> None:
        raise ParameterError(
            f"{self.what} {self._positions[other]} and {self.what} {self.position} both hold {shared}: it would count "
            "twice. Leave one of them out, or give overlap=True if they are independent."
        )

    def values(self, *, is_sum: bool = True) -> dict[str, Any]:
        """NJOBS, NFAILED and SPANDAYS, with a warning where that is long for a sum of ISGRI."""
        start, stop = self.interval()
        jobs = [job for facts in self.facts for job in facts.jobs or ("",)]
        known = {job for job in jobs if job}
        values: dict[str, Any] = {"NJOBS": len(known) + jobs.count("")}
        values["NFAILED"] = sum(facts.failed for facts in self.facts)
        if self.left_out:
            values["NNODATA"] = len(self.left_out)
        if stop >= start:
            values["SPANDAYS"] = round(stop - start, 3)
            if is_sum and stop - start > LONGEST_SPAN and self.alike.get("DETNAM", "").upper() == "ISGRI":
                warn(
                    f"The sum reaches over {stop - start:.0f} days. The response of ISGRI evolves, and its manual "
                    f"advises against sums over more than half a year ({LONGEST_SPAN:.0f} days): combine epochs.",
                    InputWarning,
                )
        return values

    def interval(self) -> tuple[float, float]:
        """Begin of the first and end of the last (MJD in the scale of the files)."""
        return (
            min((facts.start for facts in self.facts), default=math.inf),
            max((facts.stop for facts in self.facts), default=-math.inf),
        )

    def hdu(self, **columns: Any) -> fits.BinTableHDU:
        """Table ``INPUTS`` of the inputs: jobs, science windows, times (MJD), and further columns (`Column`, array)."""
        table = Table(
            {
                "JOB_ID": [",".join(facts.jobs) for facts in self.facts],
                "WINDOWS": [",".join(facts.windows) for facts in self.facts],
                "START": _finite(facts.start for facts in self.facts),
                "STOP": _finite(facts.stop for facts in self.facts),
                **columns,
            }
        )
        table["START"].unit = table["STOP"].unit = "d"
        return fits.BinTableHDU(table, name=INPUTS)

    def text(self) -> str:
        """The same as JSON for the ``meta`` of a table, science windows as ``revolution:pointings``."""
        return flat_text(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """What `text` has of each input."""
        return [_row(facts.jobs, facts.windows, facts.start, facts.stop) for facts in self.facts]


def text_of_hdu(hdu: fits.BinTableHDU) -> str:
    """What `Inputs.text` gives, of a table of `Inputs.hdu`."""
    cells = zip(*(hdu.data[name].tolist() for name in ("JOB_ID", "WINDOWS", "START", "STOP")), strict=True)
    return flat_text([_row([jobs], re.findall("[^,]+", windows), *times) for jobs, windows, *times in cells])


def _row(jobs: Sequence[str], windows: Sequence[str], start: float, stop: float) -> dict[str, Any]:
    times = {"start": round(start, 6), "stop": round(stop, 6)} if stop >= start else {}
    return {"job_id": ",".join(jobs), "windows": short_windows(windows), **times}


def add_values(header: fits.Header, values: Mapping[str, Any]) -> None:
    """Put what `Inputs.values` gives into a header, or what is like it."""
    for keyword, value in values.items():
        header[keyword] = (value, _COMMENTS.get(keyword, ""))


def short_windows(windows: Sequence[str]) -> str:
    """Science windows in few letters: ``0665:22-26,30 0666:1``, where they are pointings."""
    pointings: dict[str, list[int]] = {}
    for window in windows:
        pointings.setdefault(window[:4], []).append(int(window[4:8]))
    return " ".join(f"{revolution}:{_runs(numbers)}" for revolution, numbers in pointings.items())


def _runs(numbers: list[int]) -> str:
    """Numbers with those in a row as ``first-last``."""
    numbers = sorted(numbers)
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def _windows(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Science windows that an analysis used."""
    for name in ("input_prod_list", "scw_list"):
        if found := _WINDOW.findall(str(parameters.get(name) or "")):
            return tuple(dict.fromkeys(found))
    return ()


def _earlier(hdulist: fits.HDUList) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Jobs and science windows of an input that is a sum itself; no windows where one of its inputs has none."""
    if INPUTS not in hdulist:
        return None
    data = hdulist[INPUTS].data
    jobs = [str(cell).split(",") for cell in data["JOB_ID"]]
    windows = [str(cell).split(",") if cell else [] for cell in data["WINDOWS"]]
    known = tuple(window for row in windows for window in row) if all(windows) else ()
    return tuple(job for row in jobs for job in row), known


def _mjd(header: fits.Header, keyword: str) -> float:
    return sum(instant_of(header, keyword) or (math.nan,))


def _finite(values: Iterable[float]) -> np.ndarray[Any, Any]:
    return np.array([value if math.isfinite(value) else math.nan for value in values])


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else str(value).strip() for name, value in values.items()}


def parsed_json(text: Any, kind: type) -> Any:
    """What a text of JSON holds, or an empty one where it is something else."""
    try:
        found = json.loads(text or "null")
    except (TypeError, ValueError):  # the user has changed it
        found = None
    return found if isinstance(found, kind) else kind()
