# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Values in the ``meta`` of a table that astropy's ``vstack``, ``hstack`` and ``join`` merge without a warning.

They are texts and numbers like others, also in files of FITS and ECSV, where they become plain ones. What two tables do
not agree in is left empty, so that a stacked table does not claim to be of one analysis; names of jobs are listed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from astropy.io.misc.yaml import AstropyDumper
from astropy.utils.metadata import MergeStrategy
from yaml.representer import SafeRepresenter

from .cards import flat_text


class _Mergeable:
    def merged(self, other: Any) -> Any:
        """What a table of both has."""
        return self if self == other else MergeableText()


class MergeableText(_Mergeable, str):
    """A text; empty where two differ."""


class JobNames(MergeableText):
    """Names of jobs with commas between them."""

    def merged(self, other: Any) -> Any:
        """All of both, each once."""
        return JobNames(",".join(dict.fromkeys([*self.split(","), *str(other).split(",")])))


class ParametersText(MergeableText):
    """Parameters as JSON."""

    def merged(self, other: Any) -> Any:
        """Those that both have with the same value."""
        mine, others = (json.loads(text or "{}") for text in (self, other))
        return ParametersText(flat_text({name: mine[name] for name in mine if others.get(name) == mine[name]}))


class MergeableInteger(_Mergeable, int):
    """A whole number."""


class MergeableNumber(_Mergeable, float):
    """A number."""


class _MergeValues(MergeStrategy):
    """Applies where one is of these types, and the other may be from a file: two of others are merged as ever."""

    types = [(_Mergeable, (str, float, int)), ((str, float, int), _Mergeable)]  # noqa: RUF012 - so it is in astropy
    enabled = True

    @classmethod
    def merge(cls, left: Any, right: Any) -> Any:
        """Merge a value of the first table with that of the second."""
        return left.merged(right) if isinstance(left, _Mergeable) else right.merged(left)


_TYPES = {str: MergeableText, float: MergeableNumber, int: MergeableInteger}
# as plain ones in YAML, of which ECSV, HDF5 and ASDF files have some
for _plain, _type in _TYPES.items():
    for _writer in (SafeRepresenter, AstropyDumper):
        _writer.add_multi_representer(_type, lambda dumper, value, plain=_plain: dumper.represent_data(plain(value)))

_OWN_TYPES = {"JOB_ID": JobNames, "PARAMS": ParametersText}
# tables that differ in these mean something else by their columns: astropy warns of it
_MEANING = frozenset(
    "VALUECOL ERRORCOL ERRLOCOL ERRHICOL LIMCOL AXISCOL VALCOL MJDREF TIMEREF TIMESYS FRAME LON_NAME LAT_NAME".split()
)


def mergeable(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The same ``meta``, with values that can be merged."""
    return {key: value if key in _MEANING else _typed(key, value) for key, value in meta.items()}


def _typed(key: str, value: Any) -> Any:
    kind = _TYPES.get(type(value))
    return value if kind is None else _OWN_TYPES.get(key, kind)(value)
