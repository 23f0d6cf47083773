# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""`Query`: the arguments that all query methods share, their documentation, and the values given for them."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar, cast

from ..auth.token import Token, as_token
from ..errors import ParameterError
from ..progress import check_progress
from ..protocol import CATALOG_FIELDS
from ..text import printable

_Result = TypeVar("_Result", covariant=True)
_ONLY_WAITING = ("source", "timeout", "progress")
_ONLY_PARTS = ("windows_per_job", "on_error")


@dataclass(frozen=True)
class Query:
    """
    What is asked of an instrument, and how to wait for it; these are the arguments of all query methods.

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
        Begin and end: `~astropy.time.Time` of any scale; or ISO text, `datetime`, `numpy.datetime64` or MJD, in
        UTC unless they have a time zone; or a centre and a `~astropy.time.TimeDelta` that reaches to both sides.
        For INTEGRAL's instruments numbers before its launch (MJD 52564) are refused: they are IJD.
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
    windows_per_job : int or "max", optional
        Compute the windows of ``scw_list``, which may be any number, in several jobs with at most so many each (with
        ``"max"``: as many as the token allows; 50 without one), ``conf.max_active_jobs`` (4) at a time, and combine
        the results, as `astroquery_mmoda.combine` does. Whole revolutions stay together where they fit. The same call
        continues after an interruption. Spectra and light curves need ``catalog`` then; ``radius`` and
        ``max_pointings``, which choose windows, have no meaning.
    on_error : str
        What happens when some of these jobs fail: ``raise`` an error that names them, after all have ended, or
        ``skip`` them, with a warning; ``NJOBS`` and ``NFAILED`` in the header or ``meta`` tell.
    source : str, optional
        Keep only this source of the reply; blanks and case do not count.
    query_type : str
        ``Real``, or ``Dummy`` for canned data.
    parameters : dict, optional
        Parameters by the service's names, never mistaken for arguments of this method.
    token : str or Token, optional
        For this call only.
    timeout : float or Quantity, optional
        Longest time from the call to the result in s (of each job with ``windows_per_job``), ``conf.job_timeout`` by
        default; less than 1 s: don't wait.
    progress : bool or callable, optional
        False: quiet; a callable gets the `Job` before every poll. An error of it ends the wait, not the job.
    get_query_payload : bool
        Return the request's fields, as a dict of str without token (a list of them with ``windows_per_job``), and
        submit nothing.
    **more_parameters
        Any other parameter of the product, as in `list_parameters`: a value in the service's unit, Quantity,
        Time, list, dict or bool. None where that is the default: not given.

    Raises
    ------
    ParameterError
        A name, unit or value is wrong; nothing was submitted.
    AuthenticationError
        A token is missing, expired, or lacks a role.
    JobFailed, JobTimeout, ServiceError, DecodingError
        What the service did; ``error.job`` is the analysis, once there is one (``error.jobs`` with
        ``windows_per_job``: those that failed, or are not over).
    """

    instrument: Any
    coordinates: Any = None
    product: str | None = None
    radius: Any = None
    time_range: Any = None
    energy_range: Any = None
    time_bin: Any = None
    catalog: Any = None
    scw_list: Any = None
    windows_per_job: Any = None
    on_error: str = "raise"
    source: str | None = None
    query_type: str = "Real"
    parameters: Mapping[str, Any] | None = None
    token: Token | None = None
    timeout: Any = None
    progress: Any = None
    get_query_payload: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.on_error, str) or self.on_error not in ("raise", "skip"):
            raise ParameterError(f"on_error={printable(self.on_error)!r} must be 'raise' or 'skip'.")
        if self.on_error == "skip" and self.windows_per_job is None:
            raise ParameterError("on_error='skip' has a meaning only beside windows_per_job.")
        check_progress(self.progress)

    @classmethod
    def of_arguments(
        cls, instrument: Any, coordinates: Any, arguments: Mapping[str, Any], *, without: tuple[str, ...] = ()
    ) -> Query:
        """Sort arguments by their names; some methods are without some of them."""
        names = _keywords(without)
        if wrong := [name for name in _ONLY_PARTS if name in without and arguments.get(name) is not None]:
            raise ParameterError(
                f"{wrong[0]}= has no meaning here: it is for query_image, query_catalog, query_spectrum and "
                "query_lightcurve, which combine the results of several jobs."
            )
        own = {name: value for name, value in arguments.items() if name in names}
        more = {name: value for name, value in arguments.items() if name not in names}
        given = {} if own.get("parameters") is None else own["parameters"]
        if not isinstance(given, Mapping):
            raise ParameterError(f"parameters= must be a dict, not a {type(given).__name__}.")
        if doubles := sorted(set(given) & set(more)):
            raise ParameterError(f"{doubles[0]!r} is given twice, in parameters= and beside it.")
        own["parameters"] = {**more, **given}
        for name in CATALOG_FIELDS:
            value = own["parameters"].pop(name, None)
            if value is None or (isinstance(value, str) and not value):
                continue
            if own.get("catalog") is not None:
                raise ParameterError(f"catalog= and {name!r} say the same thing; give one of them.")
            own["catalog"] = value
        return cls(instrument, coordinates, **own)


def _keywords(without: tuple[str, ...]) -> dict[str, Any]:
    """Keyword arguments of a query method, and their defaults."""
    return {item.name: item.default for item in fields(Query)[2:] if item.name not in without}


class _QueryMethod(Protocol[_Result]):
    def __call__(self, instrument: str, coordinates: Any = None, **more_parameters: Any) -> _Result: ...


def query_method(method: Callable[[Any, Query], _Result]) -> _QueryMethod[_Result]:
    """Make a method of a `Query` one that takes its arguments, with their documentation; ``submit_...`` never waits."""
    kind = method.__name__
    without: tuple[str, ...] = _ONLY_PARTS if kind == "query_product" else ()
    if kind.startswith("submit_"):
        without = (*_ONLY_WAITING, *_ONLY_PARTS)

    @functools.wraps(method)
    def wrapper(self: Any, instrument: str, coordinates: Any = None, **arguments: Any) -> _Result:
        _mask_tokens(arguments)
        return method(self, Query.of_arguments(instrument, coordinates, arguments, without=without))

    *first, last = inspect.signature(_QueryMethod.__call__).parameters.values()
    own = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in _keywords(without).items()
    ]
    returned = inspect.signature(method).return_annotation
    wrapper.__signature__ = inspect.Signature([*first, *own, last], return_annotation=returned)  # type: ignore[attr-defined]
    wrapper.__doc__ = _documentation(method, without)
    return cast(_QueryMethod[_Result], wrapper)


def _documentation(method: Callable[..., Any], without: tuple[str, ...]) -> str:
    """Documentation of a method, and that of the arguments in `Query` but some."""
    of_query = inspect.cleandoc(Query.__doc__ or "")
    for name in without:
        of_query = re.sub(rf"^{name} :.*\n(?: .*\n)+", "", of_query, flags=re.MULTILINE)
    _, parameters, raises = re.split(r"\n\n(?=Parameters\n|Raises\n)", of_query)
    summary, returns, examples = re.split(r"\n\n(?=Returns\n|Examples\n)", inspect.cleandoc(method.__doc__ or ""))
    return "\n\n".join((summary, parameters, returns, raises, examples)) + "\n"


def _mask_tokens(arguments: dict[str, Any]) -> None:
    """Turn the text of a token into a `Token`, in place: the arguments in a traceback would show it."""
    if isinstance(arguments.get("parameters"), Mapping) and "token" in arguments["parameters"]:
        # where calls written for oda_api have it
        parameters = dict(arguments["parameters"])
        token = parameters.pop("token")
        arguments |= {"parameters": parameters, "token": arguments.get("token") or token}
        del token
    if "token" in arguments:
        arguments["token"] = as_token(arguments.pop("token"))
