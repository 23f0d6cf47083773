"""Pickles without a single thing being run: plain data and inert records come out, or an error of ours."""

import collections
import math
import os
import pickle
import struct
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroquery_mmoda.config import conf
from astroquery_mmoda.decoding.plainpickle import Global, Instance, interpret
from astroquery_mmoda.errors import DecodingError, reading

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda children: (
        st.lists(children) | st.lists(children).map(tuple) | st.dictionaries(st.text(max_size=300), children)
    ),
    max_leaves=20,
)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(plain, st.integers(2, 5))
def test_plain_data_survive(value, protocol):
    assert interpret(pickle.dumps(value, protocol)) == value


def test_long_bytes_are_views_of_the_payload():
    payload = pickle.dumps(b"x" * 5000, 4)
    result = interpret(payload)
    assert isinstance(result, memoryview)
    assert result.obj is payload
    assert bytes(interpret(pickle.dumps(bytearray(b"x" * 5000), 5))) == b"x" * 5000


@pytest.mark.parametrize("protocol", range(2, 6))
def test_shared_and_recursive_structures(protocol):
    shared = ["a"]
    first, second = interpret(pickle.dumps([shared, shared], protocol))
    assert first is second
    ring = []
    ring.append(ring)
    result = interpret(pickle.dumps(ring, protocol))
    assert result[0] is result


def described(record):
    """A tree of plain values, for comparing."""
    if isinstance(record, Instance):
        return ("made", record.maker, described(record.args), described(record.state))
    if isinstance(record, (tuple, list)):
        return [type(record).__name__, *(described(item) for item in record)]
    return bytes(record) if isinstance(record, memoryview) else record


def outcome(payload):
    try:
        return described(interpret(payload))
    except Exception as error:
        return type(error).__name__


def test_arrays_in_one_step_are_those_in_many(monkeypatch):
    arrays = [np.arange(length, dtype="<f4") for length in (0, 1, 5, 300, 255, 256, 20_000)]
    payload = pickle.dumps([*arrays, *arrays[::-1], b"x" * 5, [1, (2,)]], 4)
    # broken in any place: the same answer as in many steps, which this empty pattern makes of it
    for position in [None, *range(200, 700)]:
        wrong = bytearray(payload)
        if position is not None:
            wrong[position] ^= 0x11
        with monkeypatch.context() as patch:
            patch.setattr("astroquery_mmoda.decoding.plainpickle._ARRAY_END", b"never")
            slow = outcome(wrong)
        assert outcome(wrong) == slow


@pytest.mark.parametrize("protocol", range(2, 6))
def test_names_become_records(protocol):
    with pytest.raises(DecodingError, match=r"refers to collections\.OrderedDict"):
        interpret(pickle.dumps(collections.OrderedDict(), protocol))
    record = interpret(pickle.dumps(np.dtype("f8"), protocol))
    assert isinstance(record, Instance)
    assert record.maker == Global("numpy", "dtype")


X = b"\x8c\x01x"
HOSTILE = {
    "os.system": b"cos\nsystem\n" + X + b"\x85R.",
    "posix.system": b"cposix\nsystem\n\x8c\x09touch ran\x85R.",
    "eval": b"c__builtin__\neval\n" + X + b"\x85R.",
    "builtins.exec": b"\x8c\x08builtins\x8c\x04exec\x93\x8c\x11open('ran','w').a\x85R.",
    "numpy f2py": b"cnumpy.f2py.diagnose\nrun\n)R.",
    "numpy runstring": b"cnumpy.testing._private.utils\nrunstring\n" + X + b"}\x86R.",
    "dotted name": b"\x8c\x05numpy\x8c\x0ecore.os.system\x93.",
    "nearly right": b"cnumpy\ndtypes\n.",
    "prefix": b"cnumpy.core.multiarray.x\n_reconstruct\n.",
    "codec": b"c_codecs\nencode\n" + X + b"\x8c\x05rot13\x86R.",
    "codec errors": b"c_codecs\nencode\n" + X + b"\x8c\x06latin1" + X + b"\x87R.",
    "decode": b"c_codecs\ndecode\n" + X + b"\x8c\x06latin1\x86R.",
    "call a text": X + X + b"\x85R.",
    "call with a list": b"c_codecs\nencode\n]R.",
    "persistent id": b"P12\n.",
    "binary persistent id": b"K\x01Q.",
    "extension": b"\x82\x01.",
    "next buffer": b"\x97.",
    "read-only buffer": b"N\x98.",
    "unknown": b"\xff.",
    "keywords": b"cnumpy\ndtype\n)}" + X + b"K\x01s\x92.",
    "build a list": b"](K\x01tb.",
    "append to a record": b"cnumpy\ndtype\n)RK\x01a.",
    "items of a list": b"]" + X + b"K\x02s.",
    "two states": b"cnumpy\ndtype\n)R}b}b.",
    "empty": b"",
    "only stop": b".",
    "left on the stack": b"NN.",
    "open mark": b"(N.",
    "after the end": b"N.N",
    "no mark": b"Nt.",
    "empty stack": b"\x85.",
    "unknown memo": b"h\x05.",
    "memo of nothing": b"\x94.",
    "odd dictionary": b"}(Nu.",
    "huge text": b"X\xff\xff\xff\xff.",
    "huge bytes": b"\x8e" + struct.pack("<Q", 2**63) + b".",
    "huge bytearray": b"\x96" + struct.pack("<Q", 2**40) + b".",
    "bad utf-8": b"\x8c\x01\xff.",
    "unfinished line": b"cnumpy",
    "tuple as key": b"}(K\x01K\x02\x86Nu.",
    "number as key": b"}K\x01Ns.",
    "name that is not text": b"K\x01K\x02\x93.",
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_hostile(payload):
    with pytest.raises(DecodingError) as caught, reading("product 1"):
        interpret(b"\x80\x04" + payload)
    assert len(str(caught.value)) < 2000
    assert not os.path.exists("ran")


def test_stock_unpickler_would_have_run_it():
    # the hostile payloads are real: here is what one of them does elsewhere
    pickle.loads(b"\x80\x04" + HOSTILE["posix.system"])
    assert os.path.exists("ran")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (pickle.dumps([1], 0), "protocol 2 to 5"),
        (pickle.dumps([1], 1), "protocol 2 to 5"),
        (b"\x80\x06N.", "protocol 2 to 5"),
        (b"\x80\x02U\x02\xe9\x00.", "Python 2"),
        (b"\x80\x02S'a'\n.", "Python 2"),
    ],
)
def test_what_nobody_sends(payload, reason):
    with pytest.raises(DecodingError, match=reason):
        interpret(payload)


def test_limits():
    with conf.set_temp("max_pickle_opcodes", 1000):
        with pytest.raises(DecodingError, match="max_pickle_opcodes"):
            interpret(b"\x80\x04(" + b"N" * 1000 + b"t.")
        assert len(interpret(b"\x80\x04(" + b"N" * 100 + b"t.")) == 100
    with pytest.raises(DecodingError, match="max_nesting"):
        interpret(b"\x80\x04" + b"(" * 101 + b"t" * 101 + b".")
    interpret(b"\x80\x04" + b"(" * 100 + b"t" * 100 + b".")


@pytest.mark.parametrize(
    "payload",
    [
        b"(" + b"]" * 500_000 + b"t.",
        b"N" + b"\x94" * 500_000 + b".",
        b")" + b"\x85" * 300_000 + b".",
        b"]" + b"(]" * 10_000 + b".",
        # each list holds the one before twice: 2**50 elements, were they ever looked at
        b"]" + b"".join(b"q\x00]h\x00ah\x00a" for _ in range(50)) + b".",
        b"}(" + b"".join(b"\x8a\x0b" + (i * (2**61 - 1)).to_bytes(11, "little") + b"N" for i in range(30_000)) + b"u.",
    ],
    ids=["lists", "memo", "deep tuple", "marks", "doubling", "colliding keys"],
)
def test_bombs_end_soon(payload):
    start = time.process_time()
    with conf.set_temp("max_pickle_opcodes", 200_000), suppress(DecodingError):
        interpret(b"\x80\x04" + payload)
    assert time.process_time() - start < 2


def test_cut_anywhere():
    payload = pickle.dumps({"a": [1, 2.5, (None, True)], "b": b"x" * 300}, 4)
    for end in range(len(payload)):
        with pytest.raises(DecodingError), reading("x"):
            interpret(payload[:end])


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_noise(payload):
    try:
        with reading("x"):
            interpret(b"\x80\x04" + payload)
    except DecodingError:
        pass


def test_special_numbers():
    assert math.isnan(interpret(pickle.dumps(math.nan, 4)))
    assert interpret(pickle.dumps(-math.inf, 2)) == -math.inf
