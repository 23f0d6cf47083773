# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What an instrument offers and asks for, as the service's metadata says."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from ..errors import ParameterError, ServiceError
from ..text import printable
from .positions import plain_dashes

__all__ = ["KINDS", "InstrumentSchema", "Parameter", "folded", "kind_from_name", "nearest", "read_metadata"]

KINDS = (
    "image",
    "spectrum",
    "arf",
    "rmf",
    "lightcurve",
    "catalog",
    "table",
    "picture",
    "text",
    "binary",
    "skymap",
    "contours",
    "strain",
    "spectrogram",
    "array",
    "other",
)

# which query gives products of a kind in a form of its own
_METHODS = {
    "image": "query_image",
    "spectrum": "query_spectrum",
    "lightcurve": "query_lightcurve",
    "catalog": "query_catalog",
}

# rows of the meta-data that are no questions to the user
_PSEUDO = frozenset({"token", "user_catalog", "selected_catalog"})

# last part of an ontology address -> type; the first line that matches counts, since a parameter bears several
_TYPES_BY_URI = (
    ("boolean", {"Boolean"}),
    ("file", {"FileReference", "FileURL", "POSIXPath"}),
    ("structured", {"StructuredParameter"}),
    ("list", {"InputProdList"}),
    ("time", {"TimeInstant", "TimeInstantISOT", "TimeInstantMJD", "TimeInstantJD"}),
    ("duration", {"TimeDelta", "TimeDeltaIsDeprecated", "TimeInterval", "TimeDeltaSeconds", "TimeDeltaDays"}),
    ("angle", {"Angle", "AngleDegrees", "AngleMinutes", "AngleSeconds"}),
    ("energy", {"Energy", "Frequency", "Energy_keV"}),
    ("integer", {"Integer"}),
    ("float", {"Float", "DetectionThreshold"}),
    ("string", {"String", "LongString"}),
)
# servers up to 1.3.3 send no ontology addresses: there the unit tells, or the default
_TYPES_BY_UNIT = (
    ("time", {"isot", "iso", "mjd", "jd", "unix"}),
    ("duration", {"sec", "s", "min", "h", "d", "day"}),
    ("angle", {"deg", "arcmin", "arcsec", "rad"}),
    ("energy", {"eV", "keV", "MeV", "GeV", "TeV", "Hz", "MHz", "GHz"}),
)
_TYPES_BY_DEFAULT = ((bool, "boolean"), (int, "integer"), (float, "float"), (dict, "structured"), (list, "list"))

_WORDS_BY_KIND = (
    ("arf", {"arf"}),
    ("rmf", {"rmf"}),
    ("lightcurve", {"lc", "lcs", "lightcurve", "lightcurves"}),
    ("spectrogram", {"spectrogram"}),
    ("skymap", {"skymap"}),
    ("contours", {"contours"}),
    ("strain", {"strain"}),
    ("spectrum", {"spectrum", "spectra"}),
    ("image", {"image", "images", "mosaic"}),
    ("catalog", {"catalog", "catalogue"}),
    ("table", {"table"}),
    ("picture", {"picture", "plot", "png"}),
    ("text", {"text"}),
    ("binary", {"binary"}),
)


def kind_from_name(name: str | None) -> str:
    """
    Guess what kind of thing a product is from the words in its name.

    Parameters
    ----------
    name : str or None
        Such as ``isgri_lc``, ``LightCurve``, ``jemx_image``.

    Returns
    -------
    str
        One of the kinds; ``other`` where no word tells.
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name or "")
    words = [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]
    pairs = {first + second for first, second in zip(words, words[1:], strict=False)}
    for kind, names in _WORDS_BY_KIND:
        if names & (set(words) | pairs):
            return kind
    return "other"


@dataclass(frozen=True)
class Parameter:
    """
    One question of a product: its name, unit, default and limits in the service's own terms.

    ``units`` is the unit of bare numbers; for times it is the name of a time format. ``choices`` are the values
    that the service lists as allowed.
    """

    name: str
    units: str | None = None
    default: Any = None
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    uris: tuple[str, ...] = ()
    description: str = ""

    @cached_property
    def type(self) -> str:
        """`str`: time, duration, angle, energy, integer, float, boolean, string, list, structured, catalog or file."""
        if self.name in {"selected_catalog", "user_catalog"}:
            return "catalog"
        if self.name in {"T1", "T2"}:
            return "time"
        words = {re.split(r"[#/]", uri)[-1] for uri in self.uris}
        for name, uri_words in _TYPES_BY_URI:
            if words & uri_words:
                return name
        by_unit = next((name for name, units in _TYPES_BY_UNIT if self.units in units), None)
        by_default = next((name for kind, name in _TYPES_BY_DEFAULT if isinstance(self.default, kind)), None)
        return by_unit or by_default or "string"

    @property
    def enforced_choices(self) -> tuple[Any, ...]:
        """`tuple`: the choices, if the default is among them; the service lists only special versions for some."""
        return self.choices if self.default in self.choices else ()

    @property
    def hidden(self) -> bool:
        """`bool`: whether this is part of the machinery rather than a question to the user."""
        return self.name in _PSEUDO or self.name.endswith("_format")


@dataclass(frozen=True)
class InstrumentSchema:
    """All that the service tells of an instrument: its products and the parameters of each."""

    instrument: str
    products: Mapping[str, Mapping[str, Parameter]] = field(default_factory=dict)

    def kind(self, product: str) -> str:
        """Kind of a product, guessed from its name; helpers of the web page are ``other``."""
        return "other" if product == "spectral_fit" else kind_from_name(product)

    def choose(self, kind: str, product: str | None) -> str:
        """
        Find the product that a query for a kind of thing means.

        Parameters
        ----------
        kind : str
            ``image``, ``spectrum``, ``lightcurve``, or ``product`` for any.
        product : str or None
            An explicit choice, always accepted if the instrument has it.

        Returns
        -------
        str

        Raises
        ------
        ParameterError
            No such product, none of that kind, or several.
        """
        if product is not None:
            return self._explicit(product)
        kind = "image" if kind == "catalog" else kind  # sources are found in images
        fitting = [name for name in self.products if kind in ("product", self.kind(name))]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            raise ParameterError(self._lacking(kind))
        what = "product" if kind == "product" else f"{kind} product"
        raise ParameterError(
            f"Instrument {self.instrument!r} has {len(fitting)} {what}s. Choose one with product=: "
            f"{self._listing(fitting)}."
        )

    def _lacking(self, kind: str) -> str:
        """Words for an instrument without a product of some kind: what it has, and which method gives that."""
        unclear = [name for name in self.products if self.kind(name) == "other" and name != "spectral_fit"]
        if unclear:
            return (
                f"Instrument {self.instrument!r} has no {kind} product that can be told by its name. Choose one with "
                f"product=: {self._listing(self.products)}."
            )
        kinds = {self.kind(name) for name in self.products} & set(_METHODS)
        methods = " or ".join(_METHODS[each] for each in _METHODS if each in kinds) or "query_product"
        has = self._listing(self.products)
        return f"Instrument {self.instrument!r} has no {kind} product. It has: {has}; use {methods}."

    def list_products(self) -> Table:
        """Products and their kinds."""
        rows = [(printable(product), self.kind(product)) for product in self.products]
        return Table(rows=rows or None, names=("product", "kind"), dtype=("U", "U"))

    def list_parameters(self, product: str | None = None) -> Table:
        """Parameters of a product, or of all, without those that are not for users."""
        products = list(self.products) if product is None else [self.choose("product", product)]
        columns: dict[str, list[Any]] = {name: [] for name in _TABLE_COLUMNS}
        for product in products:
            for parameter in self.products[product].values():
                if not parameter.hidden:
                    for name, value in _table_row(product, parameter).items():
                        columns[name].append(value)
        table = Table(columns, dtype=[_TABLE_COLUMNS[name] for name in columns])
        for name in ("min", "max"):
            table[name] = MaskedColumn(table[name], mask=np.isnan(table[name]))
        return table

    def _explicit(self, product: str) -> str:
        if isinstance(product, str) and product in self.products:
            return product
        raise ParameterError(
            f"Unknown product {printable(product)!r} of instrument {self.instrument!r}"
            f"{nearest(str(product), self.products)}. It has: {self._listing(self.products)}."
        )

    def _listing(self, names: Iterable[str]) -> str:
        return ", ".join(f"{printable(name)} ({self.kind(name)})" for name in names) or "nothing"


_TABLE_COLUMNS = {
    "product": "U",
    "name": "U",
    "default": "U",
    "unit": "U",
    "type": "U",
    "min": "f8",
    "max": "f8",
    "choices": "U",
    "optional": "?",
    "description": "U",
}


def _table_row(product: str, parameter: Parameter) -> dict[str, Any]:
    default = parameter.default
    return {
        "product": printable(product),
        "name": printable(parameter.name),
        "default": "" if default is None else printable(default if isinstance(default, str) else json.dumps(default)),
        "unit": "" if parameter.units in (None, "str") else printable(parameter.units),
        "type": parameter.type,
        "min": math.nan if parameter.minimum is None else float(parameter.minimum),
        "max": math.nan if parameter.maximum is None else float(parameter.maximum),
        "choices": ", ".join(printable(choice) for choice in parameter.choices),
        "optional": parameter.optional,
        "description": printable(parameter.description),
    }


def folded(name: str) -> str:
    """Name of an instrument without what does not matter in it: case, blanks, ``-`` and ``_``."""
    return re.sub(r"[\s_-]+", "", plain_dashes(name)).casefold()


_MOST_COMPARED, _LONGEST_COMPARED = 1000, 100


def nearest(name: str, valid: Iterable[str]) -> str:
    """Words that suggest the valid name most like a wrong one; empty if none is like it."""
    # of thousands of names, or long ones, a comparison would take minutes
    by_lower = {name.lower(): name for name in islice(valid, _MOST_COMPARED) if len(name) <= _LONGEST_COMPARED}
    found = difflib.get_close_matches(str(name)[:_LONGEST_COMPARED].lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[found[0]]!r}?)" if found else ""


def read_metadata(reply: Any, instrument: str) -> InstrumentSchema:
    """
    Read the reply of ``api/meta-data``, in the shape of today's servers or of older ones.

    Parameters
    ----------
    reply : list
        Parsed JSON: one list within a list; its later elements are lists, or JSON texts of lists (dispatcher 1.3.3).
    instrument : str
        Name of the instrument that was asked for.

    Returns
    -------
    InstrumentSchema

    Raises
    ------
    ServiceError
        The reply is something else.
    """
    try:
        return _read_metadata(reply, instrument)
    except (TypeError, ValueError, OverflowError, LookupError, AttributeError, RecursionError) as error:
        raise ServiceError(
            f"The description of instrument {instrument!r} that the service sent can't be read "
            f"({type(error).__name__}: {printable(error, limit=200)})."
        ) from error


def _read_metadata(reply: Any, instrument: str) -> InstrumentSchema:
    rows = [json.loads(row) if isinstance(row, str) else row for row in reply[0]]
    queries = [row for row in rows if isinstance(row, list)]
    query_of_product: dict[str, str] = {}
    for row in rows:
        if isinstance(row, dict):
            query_of_product |= row.get("prod_dict", {})
    if not query_of_product or not all(isinstance(query, str) for query in query_of_product.values()):
        raise ValueError("it names no products")
    common: dict[str, Parameter] = {}
    own: dict[str, dict[str, Parameter]] = {}
    for query in queries:
        parameters = {_word(row["name"], "name"): _read_parameter(row) for row in query if row.get("name")}
        products = {_word(row["product_name"], "product_name") for row in query if row.get("product_name")}
        names = {_word(row["query_name"], "query_name") for row in query if row.get("query_name")}
        products |= {product for product, name in query_of_product.items() if name in names}
        if not products:
            common |= parameters
        for product in products:
            own[product] = own.get(product, {}) | parameters
    return InstrumentSchema(instrument, {product: common | own.get(product, {}) for product in query_of_product})


def _word(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, not {type(value).__name__}")
    return value


def _read_parameter(row: Mapping[str, Any]) -> Parameter:
    restrictions = _mapping(row.get("restrictions"), "restrictions")
    extra = _mapping(row.get("extra_metadata"), "extra_metadata")
    uris = row.get("owl_uri")
    return Parameter(
        name=str(row["name"]),
        units=None if row.get("units") is None else _word(row["units"], "units"),
        default=row.get("value"),
        optional=bool(restrictions.get("is_optional", False)),
        minimum=_limit(restrictions.get("min_value"), "min_value"),
        maximum=_limit(restrictions.get("max_value"), "max_value"),
        choices=_choices(restrictions.get("allowed_values")),
        uris=tuple(str(uri) for uri in ([uris] if isinstance(uris, str) else uris or ())),
        description=" - ".join(str(extra[key]) for key in ("label", "description") if extra.get(key)),
    )


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{what} must be a JSON object, not {type(value).__name__}")
    return value or {}


def _limit(value: Any, what: str) -> float | None:
    """Smallest or largest value of a parameter, which is a number or missing."""
    if value is None:
        return None
    if isinstance(value, (bool, list, dict)) or math.isnan(number := float(value)):
        raise TypeError(f"{what} must be a number, not {type(value).__name__}")
    return number


def _choices(value: Any) -> tuple[Any, ...]:
    if value is not None and not isinstance(value, (list, tuple)):
        raise TypeError(f"allowed_values must be a list, not {type(value).__name__}")
    return tuple(value or ())
