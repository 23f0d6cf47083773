"""Every parameter of every recorded instrument: a good value arrives as the service expects it, bad ones never do."""

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.time import Time

from astroquery_mmoda.errors import ParameterError
from astroquery_mmoda.request.encode import to_wire
from astroquery_mmoda.request.form import form_fields
from astroquery_mmoda.request.metadata import read_metadata
from astroquery_mmoda.request.query import Query
from astroquery_mmoda.request.values import service_unit
from tests.test_products import RECORDS

INSTRUMENTS = ["isgri", "jemx", "spi_acs", "example", "empty", "empty_async"]
PARAMETERS = [
    pytest.param(parameter, id=f"{instrument}-{product}-{parameter.name}")
    for instrument in INSTRUMENTS
    for product, parameters in read_metadata(RECORDS[f"meta_data_{instrument}"]["json"], instrument).products.items()
    for parameter in parameters.values()
    if not parameter.hidden
]
NUMBERS = ("float", "angle", "energy", "duration", "integer")


def good_values(parameter):
    """Pairs of a value and the text that the service shall get."""
    if parameter.type in NUMBERS:
        number = parameter.default if isinstance(parameter.default, (int, float)) else 3.0
        text = str(number) if parameter.type == "integer" else repr(float(number))
        yield from ((number, text), (np.float64(number), text), (str(number), text))
        unit = service_unit(parameter)
        if unit is not None:
            yield number * unit, text
            yield f"{number} {unit}", text
    elif parameter.type == "time":
        yield "2018-03-16T10:55:12", "2018-03-16T10:55:12.000"
        yield Time(58193.455, format="mjd"), "2018-03-16T10:55:12.000"
        yield Time(58193.455, format="mjd").tt, "2018-03-16T10:55:12.000"
        yield 58193.455, "2018-03-16T10:55:12.000"
    elif parameter.type == "boolean":
        yield from ((True, "True"), (False, "False"), ("yes", "True"), (np.True_, "True"))
    elif parameter.type == "structured":
        yield {"a": [1, None, "x"]}, json.dumps({"a": [1, None, "x"]})
        yield [1, 2], "[1, 2]"
    elif parameter.type == "list":
        windows = ["066500220010.001", "066500230010.001"]
        yield from ((windows, ",".join(windows)), (", ".join(windows), ",".join(windows)))
    elif parameter.type == "file":
        yield "https://example.org/file.txt", "https://example.org/file.txt"
        yield b"content", f"{parameter.name}.dat (7 bytes)"
    else:
        yield parameter.default or "text", parameter.default or "text"
    if parameter.optional:
        yield None, "\x00"


def bad_values(parameter):
    """Values of other types, units and ranges."""
    yield from (object(), {1, 2}, b"\xff" if parameter.type != "file" else 1.5, lambda: None)
    if not parameter.optional:
        yield None
    if parameter.type in NUMBERS:
        yield from (
            "wide",
            "",
            [1, 2],
            {},
            True,
            float("nan"),
            float("inf"),
            "1 2",
            [1, 2] * u.one,
            1j,
            Time(58000, format="mjd"),
        )
        yield from (5 * u.K, "5 kg")
        yield from () if parameter.minimum is None else (parameter.minimum - 1,)
        yield from () if parameter.maximum is None else (parameter.maximum + 1,)
    if parameter.type == "integer":
        yield from (1.5, "1.5", 2.0000001)
    if parameter.type == "time":
        yield from (
            "yesterday",
            "",
            True,
            2458000.5,
            [58000],
            {},
            5 * u.keV,
            float("nan"),
            "2018-13-01",
            Time([1, 2], format="mjd"),
        )
    if parameter.type == "boolean":
        yield from ("perhaps", 2, "", [True], {}, 0.5)
    if parameter.type == "structured":
        yield from ("{", "text", 5, True, 1.5, "null", '"x"')
    if parameter.type == "list":
        yield from (5, 1.5, {}, True)
        if parameter.name == "scw_list":
            yield from ("066500220010", "0665 0022", ["x"], [66500220010.001], ["066500220010.001,"])
    if parameter.type == "file":
        yield from ("no/such/file", 5, [], {}, True)
    if parameter.type == "string":
        yield from ([1], {}, ("a",), np.array(["a", "b"]))
        if parameter.enforced_choices:
            yield from ("nonsense", str(parameter.default) + "x", "")


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_good_values_arrive(parameter):
    for value, text in good_values(parameter):
        assert to_wire(parameter, value) == text, value


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_bad_values_are_refused_with_words_that_help(parameter):
    for value in bad_values(parameter):
        with pytest.raises(ParameterError) as caught:
            to_wire(parameter, value)
        assert len(str(caught.value)) < 700, value
        assert parameter.name in str(caught.value) or "list" in str(caught.value) or "Table" in str(caught.value), value


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_every_product_can_be_asked_with_its_defaults(instrument):
    schema = read_metadata(RECORDS[f"meta_data_{instrument}"]["json"], instrument)
    for product, parameters in schema.products.items():
        given = {
            parameter.name: parameter.default
            for parameter in parameters.values()
            if not parameter.hidden and parameter.default not in (None, [], "")
        }
        payload = form_fields(schema, product, Query("isgri", parameters=given))
        assert set(given) <= set(payload)
        assert all(isinstance(value, str) for value in payload.values())
        with pytest.raises(ParameterError, match="Unknown parameter"):
            form_fields(schema, product, Query("isgri", parameters={**given, "surely_unknown": 1}))
