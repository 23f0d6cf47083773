# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Parameters with limits.

The released server sends only name, units and value of a parameter; newer ones send `restrictions` as well. The classes
here send them too, and refuse bad values with HTTP 400 as the real instruments do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cdci_data_analysis.analysis.exceptions import RequestNotUnderstood
from cdci_data_analysis.analysis.parameters import Integer, Name, SpectralBoundary, TimeDelta


class _Restricted:
    """Adds the restrictions to the meta-data."""

    restrictions: dict[str, Any] = {}

    def reprJSON(self) -> dict[str, Any]:
        return {**super().reprJSON(), "restrictions": {"is_optional": False, **self.restrictions}}


class IsgriEnergy(_Restricted, SpectralBoundary):
    """An end of the energy band. The real instrument checks the limits but does not announce them."""

    def __init__(self, name: str, value: float) -> None:
        super().__init__(E_units="keV", name=name, value=value, check_value=self._check)

    @staticmethod
    def _check(value: Any, units: str | None = None, name: str | None = None) -> None:
        SpectralBoundary.check_energy_value(value, units=units, name=name)
        if not 15.0 <= float(value) <= 800.0:
            raise RequestNotUnderstood("ISGRI energy range is restricted to 15 - 800 keV")


class Count(_Restricted, Integer):
    """A whole number between limits."""

    def __init__(self, name: str, value: int, low: int = 1, high: int | None = None) -> None:
        self.low, self.high = low, high
        if high is not None:
            self.restrictions = {"min_value": float(low), "max_value": float(high)}
        super().__init__(name=name, value=value, check_value=self._check)

    def _check(self, value: Any, units: str | None = None, name: str | None = None) -> None:
        Integer.check_int_value(value, name=name)
        if int(value) < self.low:
            raise RequestNotUnderstood(f"Parameter {name} wrong value {value}: the least is {self.low}")
        if self.high is not None and int(value) > self.high:
            raise RequestNotUnderstood(f"Parameter {name} wrong value {value}: the most is {self.high}")


class Choice(_Restricted, Name):
    """One of some words."""

    def __init__(self, name: str, value: str, allowed: Sequence[str]) -> None:
        self.allowed = list(allowed)
        self.restrictions = {"allowed_values": self.allowed}
        super().__init__(name_format="str", name=name, value=value)

    def check_name_value(self, value: Any, units: Any = None, name: Any = None, par_format: Any = None) -> None:
        if value not in self.allowed:
            raise RequestNotUnderstood(f"Parameter {name} wrong value {value}: not in allowed {tuple(self.allowed)}")


class OsaVersion(_Restricted, Name):
    """Version of the analysis software; as in the real one, `allowed_values` lacks even the default."""

    restrictions = {"allowed_values": ["OSA11.2-dev210827.0528-37487", "OSA11.2-devt20221103_osa11.2"]}

    def __init__(self) -> None:
        super().__init__(name_format="str", name="osa_version", value="OSA11.2")

    def check_name_value(self, value: Any, units: Any = None, name: Any = None, par_format: Any = None) -> None:
        if not re.fullmatch(r"OSA(10\.2|11\.2)(-.*)?", value):
            raise RequestNotUnderstood(
                f"value {value} is not allowed. The OSA version should start with one of ['OSA10.2', 'OSA11.2'], "
                "and may be followed by a dash and a qualifier"
            )


class TimeBin(_Restricted, TimeDelta):
    """Length of the bins of a light curve, at most 20000 s."""

    def __init__(self) -> None:
        super().__init__(value=1000.0, name="time_bin", delta_T_format_name="time_bin_format")

    def _set_time(self, value: Any, format: str) -> None:
        super()._set_time(float(value), format)
        if not 0.0 < self._astropy_time_delta.sec <= 20000.0:
            raise RequestNotUnderstood(f"time_bin is restricted to at most 20000 s, and must be positive: {value}")
