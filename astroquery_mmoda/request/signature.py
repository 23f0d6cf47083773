# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The one signature that all query methods share, its documentation, and the values given for it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from ..auth import Token
from ..errors import ParameterError, bare

__all__ = ["Asked", "like_a_query", "like_a_submission", "masked_token"]

_Method = TypeVar("_Method", bound=Callable[..., Any])
_ONLY_WAITING = ("source", "timeout", "progress")

_PARAMETERS = """
        Parameters
        ----------
        instrument : str
            As in `list_instruments`; case, blanks, ``-`` and ``_`` do not matter.
        coordinates : str, SkyCoord or pair, optional
            Position (ICRS, unless it says otherwise), or name of an object; two numbers are in deg.
        product : str, optional
            Needed if the instrument has several products of this kind, or none whose name tells its kind.
        radius : Quantity or str, optional
            Size of the field, more than 0 and at most 180 deg; a bare number is in the service's unit (deg).
        time_range : pair, optional
            Begin and end: `~astropy.time.Time` of any scale, ISO text, `datetime`, `numpy.datetime64` or MJD, all
            three in UTC where they don't say otherwise; or a centre and a `~astropy.time.TimeDelta` that reaches to
            both sides. For INTEGRAL's instruments numbers before its launch (MJD 52564) are refused: they are IJD.
        energy_range : pair, optional
            Quantities of energy, frequency or wavelength (in either order); bare numbers are in keV.
        time_bin : Quantity or str, optional
            Width of the bins of a light curve; a bare number is in the service's unit (s).
        catalog : Table, HDUList, dict, list or str, optional
            Sources: a table as `query_catalog` gives it, an image with a ``CATALOG``, any table with names and
            coordinates (in any unit and frame), a list of names, the service's own form as dict or JSON text, or the
            path of an ECSV, FITS or JSON file. For a coded mask (``isgri``, ``jemx``) all bright sources of the field
            belong into it.
        scw_list : list of str, optional
            INTEGRAL science windows, ``ddddddddpppp.vvv``; a file or text of them, lines of OSA's index files, or a
            Table with ``scw_id`` and ``scw_ver``.
        source : str, optional
            Keep only this source of the reply; blanks and case do not count.
        query_type : str
            ``Real``, or ``Dummy`` for canned data.
        parameters : dict, optional
            Parameters by the service's names, never mistaken for arguments of this method.
        token : str or Token, optional
            For this call only.
        timeout : float or Quantity, optional
            Longest time from the call to the result in s, ``conf.job_timeout`` by default; less than 1 s: don't wait.
        progress : bool or callable, optional
            False: quiet; a callable gets the `Job` after every look.
        get_query_payload : bool
            Return the request's fields, as a dict of str without token, and submit nothing.
        **more_parameters
            Any other parameter of the product, as in `list_parameters`: a value in the service's unit, Quantity,
            Time, list, dict or bool. None where that is the default: not given.
"""
_RAISES = """
        Raises
        ------
        ParameterError
            A name, unit or value is wrong; nothing was submitted.
        AuthenticationError
            A token is missing, expired, or lacks a role.
        JobFailed, JobTimeout, ServiceError, DecodingError
            What the service did; ``error.job`` is the analysis, once there is one.
"""


@dataclass(frozen=True)
class Asked:
    """Arguments of a query beside instrument and coordinates."""

    product: str | None = None
    radius: Any = None
    time_range: Any = None
    energy_range: Any = None
    time_bin: Any = None
    catalog: Any = None
    scw_list: Any = None
    source: str | None = None
    query_type: str = "Real"
    parameters: Mapping[str, Any] | None = None
    token: Token | None = None
    timeout: Any = None
    progress: Any = None
    get_query_payload: bool = False
    others: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_query(cls, arguments: Mapping[str, Any]) -> Asked:
        """Sort the arguments of a query into its own and the service's parameters."""
        return cls._sorted(arguments, _own_names())

    @classmethod
    def of_submission(cls, arguments: Mapping[str, Any]) -> Asked:
        """Likewise for a submission, which has no ``source``, ``timeout`` and ``progress`` of its own."""
        return cls._sorted(arguments, [name for name in _own_names() if name not in _ONLY_WAITING])

    @classmethod
    def _sorted(cls, arguments: Mapping[str, Any], names: list[str]) -> Asked:
        own = {name: value for name, value in arguments.items() if name in names}
        more = {name: value for name, value in arguments.items() if name not in names}
        given = {} if own.get("parameters") is None else own["parameters"]
        if not isinstance(given, Mapping):
            raise ParameterError(f"parameters= must be a dict, not a {type(given).__name__}.")
        doubles = sorted(set(given) & set(more))
        if doubles:
            raise ParameterError(f"{doubles[0]!r} is given twice, in parameters= and beside it.")
        return cls(**own, others={**more, **given})


def _own_names() -> list[str]:
    return [item.name for item in fields(Asked) if item.name != "others"]


def _signature(method: Callable[..., Any], names: list[str]) -> inspect.Signature:
    first = list(inspect.signature(method).parameters.values())[:3]
    defaults = {item.name: item.default for item in fields(Asked)}
    own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name]) for name in names]
    more = inspect.Parameter("more_parameters", inspect.Parameter.VAR_KEYWORD)
    return inspect.Signature([*first, *own, more], return_annotation=inspect.signature(method).return_annotation)


def like_a_query(method: _Method) -> _Method:
    """Give a method the signature and the documentation that all queries share."""
    return _dressed(method, _own_names(), _PARAMETERS)


def like_a_submission(method: _Method) -> _Method:
    """Likewise for methods that do not wait."""
    names = [name for name in _own_names() if name not in _ONLY_WAITING]
    return _dressed(method, names, _without(_PARAMETERS, _ONLY_WAITING))


def _dressed(method: _Method, names: list[str], parameters: str) -> _Method:
    @functools.wraps(method)
    def dressed(self: Any, instrument: str, coordinates: Any = None, **arguments: Any) -> Any:
        problem = _mask_tokens(arguments)
        if problem is not None:
            raise problem
        return method(self, instrument, coordinates, **arguments)

    dressed.__signature__ = _signature(method, names)  # type: ignore[attr-defined]
    summary, _, rest = (method.__doc__ or "").partition("\n        Returns\n")
    returns, _, examples = rest.partition("\n        Examples\n")
    sections = (summary, parameters, f"        Returns\n{returns}", _RAISES, f"        Examples\n{examples}")
    dressed.__doc__ = "\n\n".join(section.strip("\n").rstrip() for section in sections) + "\n        "
    return cast(_Method, dressed)


def _mask_tokens(arguments: dict[str, Any]) -> BaseException | None:
    """
    Turn the text of a token into a `Token`, in place and before anything else, or tell what is wrong with it.

    Otherwise the arguments in a traceback would show it. One among ``parameters``, where calls written for oda_api
    have it, serves the call as well.
    """
    more = arguments.get("parameters")
    if isinstance(more, Mapping) and "token" in more:
        arguments["parameters"] = {name: value for name, value in more.items() if name != "token"}
        arguments["token"] = arguments.get("token") or more["token"]
    token, problem = masked_token(arguments.pop("token", None))
    if token is not None:
        arguments["token"] = token
    return problem


def masked_token(token: str | Token | None) -> tuple[Token | None, BaseException | None]:
    """A token that shows itself nowhere, or what to raise, without a traceback that would show the text."""
    if token is None or isinstance(token, Token):
        return token, None
    try:
        return Token(token), None
    except BaseException as error:  # Ctrl-C among them
        return None, bare(error)


def _without(text: str, names: tuple[str, ...]) -> str:
    """Documentation of parameters without some of them."""
    kept, skipping = [], False
    for line in text.splitlines():
        if line.startswith("        ") and not line.startswith("         "):
            skipping = line.strip().split(" :")[0] in names
        if not skipping:
            kept.append(line)
    return "\n".join(kept)
