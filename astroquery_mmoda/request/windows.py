# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Search for INTEGRAL's science windows: the request, and the Table of those that were meant."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from astroquery import log
from astroquery.exceptions import NoResultsWarning
from erfa import ErfaWarning

from ..errors import ParameterError, warn
from ..instruments import IJD_ORIGIN, LAUNCH
from ..service.timesystem import COLUMNS, list_pointings
from ..text import printable
from ..units import seconds_of
from .positions import in_degrees
from .values import as_radius, time_pair

if TYPE_CHECKING:
    from ..service.account import Connection
    from .builder import RequestBuilder

# the service takes UTC for TT, which differ by 64 to 69 s, and what overlaps the interval
_MARGIN = 600 * u.s
# of much of the sky; the whole mission would be more than conf.max_json_values
_LONGEST_SPAN = 8 * u.yr
_LARGE_RADIUS = 60.0
_RADII = "the field of view reaches to about 12 deg for ISGRI, and 3.5 to 5 deg for JEM-X"
# to seconds when shown, while the Time itself, and files of it, keep more; a text that was read has this form, too
_SHOWN = {"ra": ".2f", "dec": ".2f", "start": "{!s:.19}", "stop": "{!s:.19}", "duration": ".0f", "offset": ".2f"}


@dataclass(frozen=True)
class WindowSearch:
    """Which science windows are wanted: ``radius`` in deg, ``min_duration`` in s."""

    begin: Time
    end: Time
    position: SkyCoord | None = None
    radius: float = math.inf
    min_duration: float = 0.0
    nrt: bool = False

    def payload(self) -> dict[str, str]:
        """Fields of the request; in parts, the parts have other times."""
        with _any_year():
            return self._fields(self.begin, self.end)

    def requests(self) -> list[dict[str, str]]:
        """Fields of each request: one, or several for a long time of much of the sky."""
        with _any_year():
            span = self.end - self.begin
            number = 1 if self.radius <= _LARGE_RADIUS else math.ceil(span / _LONGEST_SPAN)
            edges = [self.begin + span * (i / number) for i in range(number + 1)]
            return [self._fields(*pair) for pair in zip(edges[:-1], edges[1:], strict=True)]

    def _fields(self, begin: Time, end: Time) -> dict[str, str]:
        first, last = (str(time.isot) for time in (begin - _MARGIN, end + _MARGIN))
        fields = {"readiness": "nrt" if self.nrt else "cons", "T1": first, "T2": last}
        if self.position is not None:
            ra, dec = in_degrees(self.position)
            fields |= {"ra": f"{ra:.12g}", "dec": f"{dec:.12g}", "radius": f"{self.radius:.12g}"}
        return {**fields, "return_columns": ",".join(COLUMNS)}


def windows_wanted(
    builder: RequestBuilder,
    connection: Connection,
    coordinates: Any,
    radius: Any,
    time_range: Any,
    min_duration: Any,
    *,
    nrt: bool,
) -> WindowSearch:
    """A search by the arguments of `MmodaClass.query_science_windows`; the name of an object is resolved."""
    if not isinstance(nrt, bool):
        raise ParameterError(f"nrt={printable(nrt, limit=60)!r} must be True or False.")
    shortest = 0.0 if min_duration is None else seconds_of(min_duration, "min_duration")
    begin, end = _since_launch() if time_range is None else time_pair(time_range, after_launch=True)
    search = WindowSearch(begin, end, min_duration=shortest, nrt=nrt)
    if coordinates is None:
        if radius is not None:
            raise ParameterError("radius= needs coordinates=, from which it is measured.")
        return search
    if radius is None:
        raise ParameterError(f"radius= is needed with coordinates=, such as radius=10*u.deg; {_RADII}.")
    degrees = as_radius(radius)
    position, _ = builder.locate(coordinates, connection)
    return replace(search, position=position, radius=degrees)


def find_windows(search: WindowSearch, connection: Connection) -> Table:
    """Pointings that are wanted; see `MmodaClass.query_science_windows`."""
    routes = connection.routes()
    parts = [list_pointings(routes, fields) for fields in search.requests()]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    with _any_year():
        begin, end = (time.tt.mjd - IJD_ORIGIN for time in (search.begin, search.end))
        in_time = (columns["TSTART"] < end) & (columns["TSTOP"] > begin) & (columns["TELAPSE"] >= search.min_duration)
        table = _to_table({name: column[in_time] for name, column in columns.items()}, search)
    if search.position is not None:
        table = table[table["offset"] <= search.radius]
    _report(table)
    return table


def _since_launch() -> tuple[Time, Time]:
    return Time(LAUNCH, format="mjd", scale="utc", precision=3), Time.now()


@contextmanager
def _any_year() -> Iterator[None]:
    """Without warnings about years of which leap seconds are not known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)
        yield


# ---- the Table


def _to_table(columns: dict[str, np.ndarray], search: WindowSearch) -> Table:
    """Each window once and in order of time, with its distance from the position (masked without one)."""
    order = np.lexsort((columns["SWID"], columns["TSTART"]))
    _, first = np.unique(columns["SWID"][order], return_index=True)
    identifiers, ra, dec, start, stop, elapsed = (columns[name][order][np.sort(first)] for name in COLUMNS)
    offset = MaskedColumn(np.zeros(len(ra)), mask=True)
    if search.position is not None:
        offset = SkyCoord(ra, dec, unit=u.deg).separation(search.position).deg
    table = Table(
        {
            "scw_id": identifiers,
            "scw_ver": np.full(len(identifiers), "000" if search.nrt else "001"),
            "ra": ra % 360 * u.deg,
            "dec": dec * u.deg,
            "start": _time_of(start),
            "stop": _time_of(stop),
            "duration": elapsed * u.s,
            "offset": MaskedColumn(offset, unit=u.deg),
            "revolution": identifiers.astype("U4").astype(int),
        }
    )
    for name, shown in _SHOWN.items():
        table[name].info.format = shown
    return table


def _time_of(ijd: np.ndarray) -> Time:
    time = Time(IJD_ORIGIN, ijd, format="mjd", scale="tt").utc
    time.format = "iso"
    return time


def _report(table: Table) -> None:
    """One line with the totals, or a warning that there is nothing."""
    if len(table):
        begin, end = (str(time.iso)[:19] for time in (table["start"][0], table["stop"].max()))
        many = "s" * (len(table) != 1)
        elapsed = float(np.sum(table["duration"])) / 1000
        log.info("%d science window%s, %.1f ks elapsed, %s to %s (UTC)", len(table), many, elapsed, begin, end)
    else:
        advice = "Try a larger radius= or time_range=; the last weeks may have near real-time data only (nrt=True)."
        warn(f"MMODA: no science windows match. {advice}", NoResultsWarning)
