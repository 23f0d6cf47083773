# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What an instrument offers and asks for, according to the service's metadata."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from ..errors import ParameterError, ServiceError
from ..protocol import FORMAT_FIELDS
from ..text import nearest, printable
from ..units import known_unit

_NOT_FOR_USERS = ("token", "user_catalog", "selected_catalog")

# last part of an ontology address -> type; the first line that matches counts, since a parameter has several
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
# servers up to 1.3.3 send no ontology addresses: there the unit counts, or the default
_TYPES_BY_UNIT = (
    ("time", {"isot", "iso", "mjd", "jd", "unix"}),
    ("duration", {"sec", "s", "min", "h", "d", "day"}),
    ("angle", {"deg", "arcmin", "arcsec", "rad"}),
    ("energy", {"eV", "keV", "MeV", "GeV", "TeV", "Hz", "MHz", "GHz"}),
)
# of times: what the numbers in it are, with their unit
_NUMBERS_OF_TIMES = {"mjd": ("d", "as MJD"), "jd": ("d", "as JD"), "unix": ("s", "since 1970")}
# where the service has no description
_DESCRIPTIONS = {
    "src_name": "name of the source (coordinates=)",
    "RA": "right ascension (coordinates=)",
    "DEC": "declination (coordinates=)",
    "T1": "start (time_range=)",
    "T2": "end (time_range=)",
    "E1_keV": "lower energy (energy_range=)",
    "E2_keV": "upper energy (energy_range=)",
    "radius": "farthest pointing from the position",
    "time_bin": "width of the bins",
    "scw_list": "science windows, instead of times",
    "max_pointings": "most science windows to be used",
    "osa_version": "version of the analysis software",
    "integral_data_rights": "which data may be used",
    "detection_threshold": "least significance of a source",
    "jemx_num": "JEM-X unit, 1 or 2",
}
#: spellings of truth values, in small letters
BOOLEANS = {**dict.fromkeys(("true", "yes", "1"), "True"), **dict.fromkeys(("false", "no", "0"), "False")}
_TYPES_BY_DEFAULT = ((bool, "boolean"), (int, "integer"), (float, "float"), (dict, "structured"), (list, "list"))

# kinds that the name of a product may mean; if several, the first one counts
KINDS_IN_NAMES = tuple(
    "arf rmf lightcurve spectrogram skymap contours strain spectrum image catalog table picture text binary".split()
)
# words that mean a kind, beside its own name
_WORDS_BY_KIND = {
    "lightcurve": {"lc"},
    "spectrum": {"spectra", "sed", "spectralenergy"},
    "image": {"map", "mosaic"},
    "catalog": {"catalogue"},
    "picture": {"plot", "png"},
}
# where sources are found, in products that list them beside what they are for
_WITH_SOURCES = ("catalog", "image", "skymap")


def kind_from_name(name: str | None) -> str:
    """Kind of a product, by the words in its name; ``other`` where no word matches."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name or "")
    words = re.findall("[a-z]+", spaced.lower())
    words += [first + second for first, second in pairwise(words)]
    found = {*words, *(word.removesuffix("s") for word in words)}
    return next((kind for kind in KINDS_IN_NAMES if found & {kind, *_WORDS_BY_KIND.get(kind, ())}), "other")


def _choice_text(choice: Any, kind: str) -> str:
    is_whole = kind == "integer" and isinstance(choice, float) and choice.is_integer()
    return printable(int(choice) if is_whole else choice)


@dataclass(frozen=True)
class Parameter:
    """
    One parameter of a product: its name, unit, default and limits in the service's own terms.

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
        by_uri = (name for name, uri_words in _TYPES_BY_URI if words & uri_words)
        by_unit = (name for name, units in _TYPES_BY_UNIT if self.units in units)
        by_default = (name for kind, name in _TYPES_BY_DEFAULT if isinstance(self.default, kind))
        return next(chain(by_uri, by_unit, by_default), "string")

    @property
    def enforced_choices(self) -> tuple[Any, ...]:
        """`tuple`: the choices, if the default is among them; the service lists only special versions for some."""
        return self.choices if self.default in self.choices else ()

    @property
    def hidden(self) -> bool:
        """`bool`: whether users have no need of it."""
        # formats of others have no address of the ontology, as output_format of a workflow has
        is_format = self.name.endswith("_format") and self.units == "str" and not self.uris
        return self.name in (*_NOT_FOR_USERS, *FORMAT_FIELDS) or is_format

    @property
    def unit(self) -> str:
        """`str`: unit as astropy spells it; what it does not know, as the service has it. A format is not a unit."""
        if self.units in (None, "str"):
            return ""
        if self.type == "time":
            return _NUMBERS_OF_TIMES.get(self.units or "", ("", ""))[0]
        unit = known_unit(self.units)
        return printable(self.units) if unit is None else str(unit)

    @property
    def listed_choices(self) -> str:
        """`str`: the choices, each once; of the many spellings of truth values, those of Python."""
        texts = [_choice_text(choice, self.type) for choice in self.choices]
        if self.type == "boolean":
            texts = [text for text in ("True", "False") if text in {BOOLEANS.get(each.lower()) for each in texts}]
        return ", ".join(dict.fromkeys(texts))

    def row(self, known: Mapping[str, Parameter]) -> tuple[Any, ...]:
        """What a table shows of it, among the parameters of its product."""
        default = "" if self.default is None else self.default
        limits = (math.nan if limit is None else limit for limit in (self.minimum, self.maximum))
        texts = [self.description or _DESCRIPTIONS.get(self.name, "")]
        # a number of standard deviations has no unit, but should be known as one
        texts += ["in sigma" if self.units == "sigma" else ""]
        texts += [_NUMBERS_OF_TIMES.get(self.units or "", ("", ""))[1] if self.type == "time" else ""]
        return (
            printable(self.name),
            printable(default if isinstance(default, (str, bool)) else json.dumps(default)),
            self.unit,
            self.type,
            *limits,
            self.listed_choices,
            self.optional or (self.default is not None and self.name not in expected_names(known)),
            printable(" - ".join(filter(None, texts))),
        )


def expected_names(known: Mapping[str, Parameter]) -> dict[str, str]:
    """Parameters of a product whose defaults are examples, so that users should give others; and words for them."""
    position = {"RA": "position", "DEC": "position"} if "radius" in known else {}
    return position | {"T1": "time range", "T2": "time range"}


@dataclass(frozen=True)
class InstrumentSchema:
    """The service's description of an instrument: its products and the parameters of each."""

    instrument: str
    products: Mapping[str, Mapping[str, Parameter]] = field(default_factory=dict)

    def kind(self, product: str) -> str:
        """Kind of a product, guessed from its name; helpers of the web page are ``other``."""
        return "other" if product == "spectral_fit" else kind_from_name(product)

    def choose(self, kind: str, product: str | None) -> str:
        """The product that a query for a kind means: ``product`` if it is given, whatever its kind, or the only one."""
        if isinstance(product, str) and product in self.products:
            return product
        where = f"Instrument {self.instrument!r}"
        if product is not None:
            raise ParameterError(
                f"Unknown product {printable(product)!r}{nearest(str(product), self.products)}. "
                f"{where} has: {self._listing(self.products)}."
            )
        fitting: list[str] = []
        kinds = _WITH_SOURCES if kind == "catalog" else (kind,)
        for each in kinds:
            fitting = fitting or [name for name in self.products if each in ("product", self.kind(name))]
        if len(fitting) == 1:
            return fitting[0]
        named = self.kind(fitting[0]) if fitting else " or ".join(kinds)
        what = "products" if kind == "product" else f"{named} products"
        unclear = any(self.kind(name) == "other" and name != "spectral_fit" for name in self.products)
        advice = "Choose one with product=" if fitting or unclear else "It has"
        raise ParameterError(
            f"{where} has {len(fitting) or 'no'} {what}. {advice}: {self._listing(fitting or self.products)}."
        )

    def _listing(self, names: Iterable[str]) -> str:
        return ", ".join(f"{printable(name)} ({self.kind(name)})" for name in names) or "nothing"

    def list_products(self) -> Table:
        """Products and their kinds."""
        rows = [(printable(product), self.kind(product)) for product in self.products]
        return Table(rows=rows or None, names=("product", "kind"), dtype=("U", "U"))

    def list_parameters(self, product: str | None = None) -> Table:
        """Parameters of a product, or of all, without those that users have no need of."""
        rows = [
            (printable(name), *parameter.row(self.products[name]))
            for name in (self.products if product is None else [self.choose("product", product)])
            for parameter in self.products[name].values()
            if not parameter.hidden
        ]
        names = ("product", "name", "default", "unit", "type", "min", "max", "choices", "optional", "description")
        table = Table(rows=rows or None, names=names, dtype=("U", "U", "U", "U", "U", "f8", "f8", "U", "?", "U"))
        for column in ("min", "max"):
            table[column] = MaskedColumn(table[column], mask=np.isnan(table[column]))
        return table


def folded(name: str) -> str:
    """Name of an instrument without what does not matter in it: case, blanks, dashes and ``_``."""
    return re.sub(r"[\W_]+", "", name).casefold()


def read_metadata(reply: Any, instrument: str) -> InstrumentSchema:
    """
    Read the reply of ``api/meta-data``; `ServiceError` if it is something else.

    It is one list within a list, whose later elements are lists, or JSON texts of lists (dispatcher 1.3.3).
    """
    try:
        rows = [json.loads(row) if isinstance(row, str) else row for row in reply[0]]
        query_of_product = {
            product: _of_type(query, str)
            for row in rows
            if isinstance(row, dict)
            for product, query in row.get("prod_dict", {}).items()
        }
        if not query_of_product:
            raise ValueError("it names no products")
        common: dict[str, Parameter] = {}
        own: dict[str, dict[str, Parameter]] = {}
        for query in (row for row in rows if isinstance(row, list)):
            parameters = {row["name"]: _read_parameter(row) for row in query if row.get("name")}
            products = {_of_type(row["product_name"], str) for row in query if row.get("product_name")}
            names = {row["query_name"] for row in query if row.get("query_name")}
            products |= {product for product, name in query_of_product.items() if name in names}
            if not products:
                common |= parameters
            for product in products:
                own[product] = own.get(product, {}) | parameters
    except (TypeError, ValueError, OverflowError, LookupError, AttributeError, RecursionError) as error:
        raise ServiceError(
            f"The description of instrument {instrument!r} that the service sent can't be read "
            f"({type(error).__name__}: {printable(error, limit=200)})."
        ) from error
    return InstrumentSchema(instrument, {product: common | own.get(product, {}) for product in query_of_product})


def _read_parameter(row: Mapping[str, Any]) -> Parameter:
    restrictions, extra = row.get("restrictions") or {}, row.get("extra_metadata") or {}
    default, optional = row.get("value"), restrictions.get("is_optional")
    given = [extra.get(key) for key in ("label", "description")] if isinstance(extra, dict) else []
    texts = [str(text).strip() for text in given if isinstance(text, (str, int, float))]
    uris = row.get("owl_uri") or ()
    limits = (restrictions.get(key) for key in ("min_value", "max_value"))
    minimum, maximum = (None if limit is None else float(limit) for limit in limits)  # some come as text
    return Parameter(
        name=_of_type(row["name"], str),
        units=_of_type(row.get("units"), (str, type(None))),
        default=default,
        # older servers do not say it; there, one that has no value unless it is given can be left without
        optional=default is None if optional is None else bool(optional),
        minimum=minimum,
        maximum=maximum,
        choices=tuple(_of_type(restrictions.get("allowed_values") or [], list)),
        uris=tuple(map(str, [uris] if isinstance(uris, str) else uris)),
        description=" - ".join(dict.fromkeys(filter(None, texts))),
    )


def _of_type(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__} is not expected")
    return value
