# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Parameters with limits.

The released server sends only name, units and value of a parameter; newer ones send `restrictions` as well. The classes
here send them too, and refuse bad values with HTTP 400 as the real instruments do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from cdci_data_analysis.analysis.exceptions import RequestNotUnderstood
from cdci_data_analysis.analysis.parameters import Float, Integer, Name, Parameter, SpectralBoundary, TimeDelta


class _Restricted:
    """Adds the restrictions to the meta-data."""

    restrictions: dict[str, Any] = {}

    def reprJSON(self) -> dict[str, Any]:
        return {**super().reprJSON(), "restrictions": {"is_optional": False, **self.restrictions}}


class EnergyLimit(_Restricted, SpectralBoundary):
    """An end of the energy band. The real instruments check the limits but do not announce them."""

    def __init__(self, name: str, value: float, instrument: str, low: int, high: int) -> None:
        self.instrument, self.low, self.high = instrument, low, high
        super().__init__(E_units="keV", name=name, value=value, check_value=self._check)

    def _check(self, value: Any, units: str | None = None, name: str | None = None) -> None:
        SpectralBoundary.check_energy_value(value, units=units, name=name)
        if not self.low <= float(value) <= self.high:
            raise RequestNotUnderstood(f"{self.instrument} energy range is restricted to {self.low} - {self.high} keV")


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


class JemxNumber(_Restricted, Integer):
    """Which of the two JEM-X units. The real instrument does not announce that there are two."""

    def __init__(self) -> None:
        super().__init__(name="jemx_num", value=2, check_value=self._check)

    @staticmethod
    def _check(value: Any, units: str | None = None, name: str | None = None) -> None:
        if str(value) not in ("1", "2"):
            raise RequestNotUnderstood(f"Parameter {name} wrong value {value}: there are JEM-X 1 and 2")


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


# ---- of workflows ------------------------------------------------------------------------------------------------


class Boolean(_Restricted, Parameter):
    """True or False, in any of the ways in which it is allowed to be said."""

    TRUE, FALSE = ("True", "true", "yes", "1", True), ("False", "false", "no", "0", False)
    restrictions = {"allowed_values": [*TRUE, *FALSE]}

    @property
    def value(self) -> bool:
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        if value not in (*self.TRUE, *self.FALSE):
            raise RequestNotUnderstood(f"Parameter {self.name} wrong value {value}: not a Boolean")
        self._value = value in self.TRUE


class Structured(_Restricted, Parameter):
    """An object or a list, as JSON text on the wire."""

    restrictions = {"schema": {"oneOf": [{"type": "object"}, {"type": "array"}]}}

    @property
    def value(self) -> Any:
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        try:
            self._value = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise RequestNotUnderstood(f"Parameter {self.name} wrong value {value}: not JSON") from None
        if not isinstance(self._value, (dict, list)):
            raise RequestNotUnderstood(f"Parameter {self.name} wrong value {value}: neither object nor array")


class OptionalFloat(_Restricted, Float):
    """A number or nothing, which is the character NUL on the wire."""

    restrictions = {"is_optional": True}

    @property
    def value(self) -> float | None:
        return self._v

    @value.setter
    def value(self, value: Any) -> None:
        Float.value.fset(self, None if value == "\0" else value)


def annotated(
    parameter: Parameter, *concepts: str, label: str = "", description: str = "", **limits: float
) -> Parameter:
    """The same parameter with all that newer servers tell of those of workflows: ontology, label, limits."""
    plain = parameter.reprJSON()
    told = {"label": label, "description": description}
    row = {
        "restrictions": {"is_optional": False, **plain.get("restrictions", {}), **limits},
        "extra_metadata": {key: text for key, text in told.items() if text},
        "owl_uri": [f"http://odahub.io/ontology#{concept}" for concept in concepts],
    }
    parameter.reprJSON = lambda: {**plain, **row}
    return parameter
