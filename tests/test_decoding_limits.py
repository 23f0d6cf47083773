"""Whatever comes in place of a reply: an error of ours or a result, within bounds of memory and time."""

import base64
import copy
import gzip
import json
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astroquery_mmoda.errors import MmodaError
from astroquery_mmoda.products import Products
from tests.hostile import DONE, product, reply, unit
from tests.measuring import check

RESPONSES = Path(__file__).parent / "data" / "responses"
FORMS = ("image", "spectrum", "lightcurve", "catalog")


def pickled(payload):
    """A reply whose only product is this pickle."""
    payload = payload if payload[:1] in b"\x80\x1f" else b"\x80\x04" + payload
    return product(unit(binarys=base64.b64encode(payload).decode()))


def with_claim(old, new, value=None):
    payload = pickle.dumps(np.zeros(300) if value is None else value, 4)
    assert old in payload
    return pickled(payload.replace(old, new))


def variable_length(rows):
    column = fits.Column("M", "PE()", array=np.array([np.ones(2, "f4")] * rows + [np.ones(1, "f4")], dtype=object))
    # as in a file that was read: the rows are in the column's converted array only
    data = fits.BinTableHDU.from_columns([column]).data
    return pickled(pickle.dumps(data, 4))


MANY = 250_000
SMALL_VALUES = {
    "lists": b"]",
    "numbers": b"J\xff\xff\xff\x7f",
    "texts": b"\x8c\x02ab",
    "names": b"cnumpy\ndtype\n",
}
HOSTILE = {
    f"pickle of {name}": lambda step=step: pickled(b"(" + step * MANY + b"t.") for name, step in SMALL_VALUES.items()
}
HOSTILE |= {
    "memo bomb": lambda: pickled(b"N" + b"\x94" * MANY + b"."),
    "memo by number": lambda: pickled(b"N" + b"".join(b"r" + struct.pack("<I", i) for i in range(200_000)) + b"."),
    "instances": lambda: pickled(b"cnumpy\ndtype\nq\x00(" + b"h\x00)R" * MANY + b"t."),
    "tuples in tuples": lambda: pickled(b")" + b"\x85" * MANY + b"."),
    "doubling": lambda: pickled(b"]q\x00" + b"(h\x00h\x00tq\x00" * 10_000 + b"."),
    "marks": lambda: pickled(b"(" * MANY + b"."),
    "keys": lambda: pickled(b"}(" + b"".join(b"X\x04\0\0\0%04dN" % i for i in range(10_000)) * 5 + b"u."),
    "views": lambda: pickled(b"(" + (b"B\x00\x04\x00\x00" + b"x" * 1024) * 4000 + b"t."),
    "long text": lambda: pickled(b"X" + struct.pack("<I", 4_000_000) + "é".encode() * 2_000_000 + b"."),
    "claim of a length": lambda: with_claim(b"M,\x01", b"\x8a\x06" + (2**40).to_bytes(6, "little")),
    "claim of bytes": lambda: with_claim(b"B" + struct.pack("<I", 2400), b"\x8e" + struct.pack("<Q", 2**60)),
    "claim of an item": lambda: with_claim(b"S8", b"S999999999"[:10], np.zeros(3, "S8")),
    "rows": lambda: variable_length(10_000),
    "small values": lambda: b'{"query_status": "done", "products": [' + b"1," * 1_000_000 + b"1]}",
    "values up to the limit": lambda: reply(echo=[1.5] * 190_000),
    "empty lists": lambda: reply(echo=[[]] * 90_000),
    "keys up to the limit": lambda: reply(echo={f"{i:x}": i for i in range(90_000)}),
    "words": lambda: reply(echo=["ab"] * 190_000),
    "deep": lambda: b"[" * 500_000,
    "deep and closed": lambda: b'{"query_status":"done","products":' + b"[" * 9000 + b"]" * 9000 + b"}",
    "deep dictionaries": lambda: b'{"products":' * 50_000 + b"1" + b"}" * 50_000,
    "quotes": lambda: b'"' * 2_000_000,
    "backslashes": lambda: b'{"a": "' + b"\\" * 2_000_000 + b'"}',
    "one wide character": lambda: json.dumps({**DONE, "a": "\N{FIRE}", "products": {"b": "x" * 4_000_000}}).encode(),
    "blanks": lambda: b" " * 5_000_000,
    "products": lambda: reply(numpy_data_product_list=[{"data_unit_list": []}] * 2000),
    "cards": lambda: product(unit(header={f"K{i}": i for i in range(22_000)})),
    "long cards": lambda: product(unit(header={f"K{i}": "é" * 9000 for i in range(100)})),
    "gzip bomb": lambda: pickled(gzip.compress(bytes(60_000_000), 1)),
    "gzip bombs": lambda: product(*[unit(binarys=base64.b64encode(ZIPPED).decode(), hdu_type="image")] * 30),
    "letters of a script": lambda: pickled(pickle.dumps(np.full(300_000, "я").astype([("N", "U1")]), 4)),
    "catalogue": lambda: reply(catalog=catalogue(20_000)),
}
ZIPPED = gzip.compress(pickle.dumps(np.zeros(7_000_000, "u1"), 4), 1)


def catalogue(rows):
    names = ["meta_ID", "src_names", "significance", "ra", "dec"]
    columns = [list(range(rows)), ["a"] * rows, [1.0] * rows, [1.0] * rows, [None] * rows]
    return {"cat_column_names": names, "cat_column_list": columns, "cat_column_descr": [], "cat_frame": "fk5"}


@pytest.mark.parametrize("name", HOSTILE)
def test_memory_and_time_of_hostile_replies(name, measured, tmp_path):
    body = HOSTILE[name]()
    Path(tmp_path, "body").write_bytes(body)
    check(measured(tmp_path / "body"), 2 * len(body) + 50e6)


# ---- mutations of recorded replies


def recorded(name):
    return json.loads((RESPONSES / f"{name}.json").read_text(encoding="utf-8"))["json"]


NAMES = (
    "isgri_image_dummy",
    "isgri_lc_real",
    "isgri_spectrum_real",
    "jemx_spectrum_dummy",
    "spi_acs_lc_real",
    "nb_everything_4_done",
    "nb_lightcurve_4_done",
    "nb_image_4_done",
    "failed_isgri_analysis",
    "error_403_isgri_private_data",
)
BODIES = [recorded(name) for name in NAMES]
OTHERS = st.sampled_from(
    [None, True, 0, -1, 2**70, 1.5, float("nan"), float("inf"), "", "a", "é\0\n", "[1]", "{", "UNDEFINED", [], [[]], {}]
    + [[1, "a", None], {"a": 1}, {"name": 1}, "9" * 5000, [None] * 3, {"data_unit_list": [1]}, "data", "TIME"]
)


def places(value, at=()):
    """Paths to all values in plain data."""
    yield at
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*at, key))


# what is about the products has most of the places, and the least surprising ones are header cards: take fewer of them
PLACES = [
    [at for at in places(body) if at and ("header" not in at or len(at) < 7 or zlib.crc32(repr(at).encode()) % 3 == 0)]
    for body in BODIES
]


def put(value, at, change):
    """Change what stands at a path in place; nothing happens where an earlier change has taken the path away."""
    for key in at[:-1]:
        if not isinstance(value, (dict, list)):
            return
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return
    try:
        value[at[-1]] = change(value[at[-1]])
    except (KeyError, IndexError, TypeError):
        return


def bits_flipped(position, mask):
    """Change of bits: in the bytes behind base64, else in the letters of a text, else in a number."""

    def change(value):
        if not isinstance(value, str):
            return ~value if isinstance(value, int) else str(value)
        try:
            raw = bytearray(base64.b64decode(value, validate=True))
            raw[position % len(raw)] ^= mask
            return base64.b64encode(raw).decode()
        except (ValueError, ZeroDivisionError):
            at = position % max(len(value), 1)
            return value[:at] + chr(ord(value[at]) ^ mask) + value[at + 1 :] if value else value

    return change


def cut(position):
    return lambda value: value[: position % (len(value) + 1)] if isinstance(value, (str, list)) else None


CHANGES = st.one_of(
    OTHERS.map(lambda other: lambda value: copy.deepcopy(other)),
    st.builds(bits_flipped, st.integers(0, 2000), st.sampled_from([1, 2, 4, 8, 16, 32, 64, 255])),
    st.integers(0, 5000).map(cut),
    st.sampled_from([lambda value: [value], lambda value: str(value), lambda value: json.dumps(value)]),
)


@st.composite
def mutations(draw):
    number = draw(st.integers(0, len(BODIES) - 1))
    return number, draw(st.lists(st.tuples(st.sampled_from(PLACES[number]), CHANGES), min_size=1, max_size=3))


def all_of(body):
    """Everything that can be asked of a reply; errors of ours are answers, too."""
    try:
        products = Products.from_response(body)
    except MmodaError as error:
        yield error
        return
    for ask in (
        [getattr(products, form) for form in FORMS] + [lambda p=p: p.data for p in products] + [products.__repr__]
    ):
        try:
            ask()
        except MmodaError as error:
            yield error


@settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(mutations())
@pytest.mark.filterwarnings("ignore")
def test_mutated_replies(mutation):
    number, changes = mutation
    body = copy.deepcopy(BODIES[number])
    for at, change in changes:
        put(body, at, change)
    # a body that was cut is one of bytes; one that was changed may come parsed
    for error in all_of(json.dumps(body).encode()):
        assert 0 < len(str(error)) < 2500


@settings(max_examples=50, derandomize=True, deadline=None, database=None)
@given(st.integers(0, len(BODIES) - 1), st.floats(0, 1), st.sampled_from([0, 1, 4, 0x80, 0xFF]))
@pytest.mark.filterwarnings("ignore")
def test_bodies_cut_or_with_a_wrong_byte(number, where, mask):
    body = bytearray(json.dumps(BODIES[number]).encode())
    at = int(where * (len(body) - 1))
    if mask:
        body[at] ^= mask
    else:
        del body[at:]
    for error in all_of(bytes(body)):
        assert 0 < len(str(error)) < 2500
