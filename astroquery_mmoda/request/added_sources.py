# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Objects of interest that are added to a list of sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..catalog import cells, positions, read_positions, source_names, table_of
from ..errors import ParameterError
from ..instruments import CATALOG_VALUES, USED_FLAGS
from ..text import printable
from .positions import parse_position, sky_position
from .source_list import named_positions, same_name
from .values import as_quantity, convert


def add_sources(catalog: Table, sources: Mapping[str, SkyCoord] | Table, *, flag: int, radius: u.Quantity) -> Table:
    """Add sources, or give their names to unnamed detections close by; see ``Mmoda.add_sources``."""
    if not isinstance(catalog, Table) or not {"meta_ID", "src_names"} <= set(catalog.colnames):
        raise ParameterError("add_sources needs a table as query_catalog returns it.")
    wanted = _positions_to_add(sources)
    # a bare number may be meant in arcmin
    degrees = convert(as_quantity(radius, u.dimensionless_unscaled, "radius"), u.deg, "radius")
    if not degrees >= 0:
        raise ParameterError(f"radius={printable(radius)} must be an angle of 0 or more, as in 3*u.arcmin.")
    if isinstance(flag, bool) or not isinstance(flag, Integral):
        raise ParameterError(f"flag={printable(flag)!r} must be a whole number, such as 1 for objects of interest.")
    table = table_of(catalog).copy()
    names = source_names(table) or []
    for name, position in wanted.items():
        row = _row_of(name, position, table, names, degrees * u.deg)
        if row is None:
            names.append(name)
            table.add_row(_new_row(table, name, position, flag))
            continue
        names[row] = name
        if "FLAG" in table.colnames:
            table["FLAG"][row] = flag
        if "ISGRI_FLAG" in table.colnames and table["ISGRI_FLAG"][row] not in USED_FLAGS:
            table["ISGRI_FLAG"][row] = CATALOG_VALUES["ISGRI_FLAG"]
    # a column of names is as wide as its longest
    table["src_names"] = names
    return table


def _positions_to_add(sources: Any) -> dict[str, SkyCoord]:
    if isinstance(sources, Table):
        names, places = named_positions(table_of(sources))
        return dict(zip(names, places.as_sky_coord(), strict=True))
    if not isinstance(sources, Mapping):
        raise ParameterError("sources must be names, a dict of names and positions, or a table.")
    if any(not str(name).strip() for name in sources):
        raise ParameterError("sources: one of the names is empty.")
    return {str(name).strip(): _position_of_source(str(name), place) for name, place in sources.items()}


def _position_of_source(name: str, place: Any) -> SkyCoord:
    """Position of one source, as a SkyCoord, a text or a pair."""
    try:
        found = parse_position(place) if isinstance(place, str) else place
        return sky_position(place if found is None else found)
    except ParameterError as error:
        raise ParameterError(f"sources: {printable(name)!r} has no position. {error}") from error


def _row_of(name: str, position: SkyCoord, table: Table, names: Sequence[str], radius: u.Quantity) -> int | None:
    """Row of a known source, or of the nearest unnamed detection within the radius."""
    known = [same_name(each) for each in names]
    if same_name(name) in known:
        return known.index(same_name(name))
    if not names:
        return None
    separations = positions(table).icrs.separation(position.icrs)
    near = [row for row, each in enumerate(names) if each.upper().startswith("NEW") and separations[row] <= radius]
    return min(near, key=lambda row: separations[row], default=None)


def _new_row(table: Table, name: str, position: SkyCoord, flag: int) -> dict[str, Any]:
    """Values of a row with a name and a position, as the service marks known sources; the others become zero."""
    places = read_positions(table)
    here = position.transform_to(places.frame).spherical
    values: dict[str, Any] = {**CATALOG_VALUES, "FLAG": flag, "src_names": name}
    values["meta_ID"] = max((int(value) for value in cells(table["meta_ID"]) if value is not None), default=-1) + 1
    for column in table.columns.values():
        key = column.info.name
        angle = {places.names[0]: here.lon, places.names[1]: here.lat, "ERR_RAD": values["ERR_RAD"] * u.deg}.get(key)
        if isinstance(column, SkyCoord):
            values[key] = position.transform_to(column.frame)
        elif angle is not None:
            unit = column.unit or u.deg
            values[key] = angle.to(unit) if isinstance(column, u.Quantity) else float(angle.to_value(unit))
    return {key: value for key, value in values.items() if key in table.colnames}
