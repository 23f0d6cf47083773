"""What decoding takes, however often a reply refers to the same bytes and whatever it announces: memory and time."""

import base64
import gzip
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tests.hostile import DONE, product, reply, unit
from tests.measuring import check


def in_base64(payload):
    return base64.b64encode(payload).decode()


def pickled(payload, hdu_type="bintable", **more):
    """A reply whose only product is this pickle."""
    payload = payload if payload[:1] in b"\x80\x1f" else b"\x80\x04" + payload
    return product(unit(binarys=in_base64(payload), hdu_type=hdu_type, **more))


def ecsv(columns, rows, meta=""):
    """A reply with an ECSV table; ``columns`` are pairs of a name and the rest of its description."""
    lines = ["# %ECSV 1.0", "# ---", "# datatype:"]
    lines += [f"# - {{name: {name}, {rest}}}" for name, rest in columns] + ([f"# meta: {meta}"] if meta else [])
    text = "\n".join([*lines, "# schema: astropy-2.0", " ".join(name for name, _ in columns), *rows, ""])
    return reply(astropy_table_product_ascii_list=[{"name": "t", "ascii": text}])


# ---- pickles that say the same thing often


def put(number):
    return b"r" + struct.pack("<I", number)


def get(number):
    return b"j" + struct.pack("<I", number)


def fits_rec(*columns):
    return fits.BinTableHDU.from_columns(list(columns)).data


def replaced(value, old, new, protocol=2):
    payload = pickle.dumps(value, protocol)
    assert old in payload, old
    return payload.replace(old, new)


def converted_columns(number, rows):
    """A FITS table whose columns scale their bytes, all converted to one array."""
    columns = [fits.Column(f"c{i}", "B", bscale=0.5, bzero=1, array=np.ones(rows)) for i in range(number)]
    data = fits_rec(*columns)
    values = data.field(0)
    for i in range(number):
        data._converted[f"c{i}"] = values  # noqa: SLF001 - of astropy
    return pickle.dumps(data, 4)


def catalogue(names, columns):
    return {"cat_column_names": names, "cat_column_list": columns, "cat_column_descr": [], "cat_frame": "fk5"}


def one_row(count, length):
    """A variable-length column of ``count`` rows that are one array."""
    rows = np.empty(count, dtype=object)
    rows[:] = [np.ones(1, "f4")] * count
    data = fits_rec(fits.Column("M", "PE()", array=rows))
    column = data.field("M")
    row = np.arange(length, dtype="f4")
    for i in range(count):
        np.ndarray.__setitem__(column, i, row)  # astropy would copy it
    return pickle.dumps(data, 4)


def fields_record(names, part, width, number):
    """Instructions for a structured dtype whose fields all have the dtype under a number of the memo."""
    keys = [b"X" + struct.pack("<I", len(name)) + name for name in names]
    fields = b"".join(key + get(part) + b"J" + struct.pack("<i", i * width) + b"\x86" for i, key in enumerate(keys))
    size = b"J" + struct.pack("<i", len(names) * width)
    state = b"(K\x03X\x01\0\0\0|N(" + b"".join(keys) + b"t}(" + fields + b"u" + size + b"K\x01K\x10tb"
    return b"cnumpy\ndtype\nX\x02\0\0\0V8K\0K\x01\x87R" + state + put(number)


def array_record(dtype, shape=b"K\0\x85", raw=b"C\0"):
    begin = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R"
    return begin + b"(K\x01" + shape + get(dtype) + b"\x89" + raw + b"tb"


def simple_record(code, number):
    size = len(code)
    return (
        b"cnumpy\ndtype\n\x8c"
        + bytes([size])
        + code
        + b"K\0K\x01\x87R(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        + put(number)
    )


def fields(count):
    names = [f"f{i}".encode() for i in range(count)]
    return b"\x80\x02" + simple_record(b"u1", 1) + b"0" + fields_record(names, 1, 1, 2) + b"0" + array_record(2) + b"."


def fields_of_fields(width, depth):
    """A dtype of fields that have one dtype of fields, and so on: ``width**depth`` in all, all of no width."""
    parts = [b"\x80\x02" + simple_record(b"S0", 1).replace(b"J\xff\xff\xff\xffJ", b"K\0J", 1) + b"0"]
    names = [f"f{i}".encode() for i in range(width)]
    for level in range(depth):
        parts.append(fields_record(names, level + 1, 0, level + 2) + b"0")
    return b"".join([*parts, array_record(depth + 1), b"."])


def deep_name(depth):
    name = b"N" + b"\x85" * depth
    state = b"(K\x03\x8c\x01|N" + name + b"\x85}U\x01aNsK\x08K\x01K\x10tb"
    return b"\x80\x02" + b"cnumpy\ndtype\n\x8c\x02V8K\0K\x01\x87R" + state + put(2) + b"0" + array_record(2) + b"."


def doubled_order():
    record = b"cnumpy._core.numeric\n_frombuffer\n(C\x08aaaaaaaa" + simple_record(b"f8", 1) + b"K\x01\x85N"
    return b"\x80\x02" + record + b"q\x00h\x00\x86" * 200 + b"tR."


COLUMNS = [(f"c{i}", "u1") for i in range(999)]
CASES = {
    # empty cells, and cells of a declared shape
    "empty cells of a shape": lambda: ecsv([("a", "datatype: string, subtype: 'float64[1000000]'")], ['""'] * 400),
    "empty cells in columns": lambda: ecsv(
        [(f"a{i}", "datatype: string, subtype: 'int64[500,500]'") for i in range(9)], [" ".join(['""'] * 9)] * 80
    ),
    "empty cells of texts": lambda: ecsv([("a", "datatype: string, subtype: 'string[300000]'")], ['""'] * 300),
    "empty cells of complex": lambda: ecsv([("a", "datatype: string, subtype: 'complex128[70000]'")], ['""'] * 2000),
    "cells of texts": lambda: ecsv(
        [("a", "datatype: string, subtype: 'string[100]'")],
        [json.dumps(["a" * 500] + [""] * 99).replace(" ", "").replace('"', '""').join('""')] * 500,
    ),
    "json cells of dictionaries": lambda: ecsv(
        [("a", "datatype: string, subtype: json")], ['"{""a"":{},""b"":{},""c"":{}}"'] * 5000
    ),
    # many rows, narrow
    "uneven texts in columns": lambda: ecsv(
        [(f"a{i}", "datatype: string") for i in range(20)],
        [" ".join(["x" * 300] * 20)] + [" ".join(["y"] * 20)] * 4000,
    ),
    "one wide text in each column": lambda: ecsv(
        [(f"a{i}", "datatype: string") for i in range(20)],
        [" ".join(["z" * 900] * 20)] + [" ".join(["y"] * 20)] * 5000,
    ),
    # many columns
    "units of ECSV": lambda: ecsv(
        [(f"a{i}", f"datatype: int8, unit: foo{i}") for i in range(100)], [" ".join(["1"] * 100)]
    ),
    "long units of ECSV": lambda: ecsv(
        [(f"a{i}", f"datatype: int8, unit: {'(' * 60}q{i}{')' * 60}") for i in range(100)], [" ".join(["1"] * 100)]
    ),
    "columns of a list": lambda: reply(catalog=catalogue([f"c{i}" for i in range(20_000)], [[]] * 20_000)),
    "long names of a list": lambda: reply(
        catalog=catalogue(["n" * 100_000 + str(i) for i in range(20)], [[1.0] * 5000] * 20)
    ),
    "wide texts of a list": lambda: reply(catalog=catalogue(["src_names"], [["\N{FIRE}" * 1000] + ["a"] * 5000])),
    # the same array again and again
    "rows of one array": lambda: pickled(one_row(3000, 20_000)),
    # bytes that become more
    "unsigned image": lambda: pickled(pickle.dumps(np.ones((1600, 1600), "u2"), 4), "image"),
    "image of signed bytes": lambda: pickled(pickle.dumps(np.ones((2000, 2000), "i1"), 4), "image"),
    "masked image": lambda: pickled(pickle.dumps(np.ma.masked_equal(np.ones((1000, 600)), 0), 4), "image"),
    "table of wide letters": lambda: pickled(pickle.dumps(np.full(200_000, "\N{FIRE}").astype([("N", "U2")]), 4)),
    # compression
    "gzip in base64 of numbers": lambda: pickled(gzip.compress(pickle.dumps(np.zeros(900_000), 4), 1), "image"),
    "gzip of unsigned numbers": lambda: pickled(gzip.compress(pickle.dumps(np.zeros(3_500_000, "u2"), 4), 1), "image"),
    "gzip of gzip": lambda: pickled(gzip.compress(gzip.compress(bytes(100_000_000), 1), 1), "image"),
    "gzip of many parts": lambda: pickled(gzip.compress(b"") * 50_000, "image"),
    "gzip of nothing": lambda: pickled(gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 500_000, "image"),
    "gzip with a long name": lambda: pickled(b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 3_000_000, "image"),
    # sizes without bytes
    "zero by huge": lambda: pickled(replaced(np.zeros((0, 5)), b"K\x05", b"\x8a\x06" + (2**40).to_bytes(6, "little"))),
    "fields of a pickle": lambda: pickled(fields(6000)),
    "fields of fields": lambda: pickled(fields_of_fields(30, 7)),
    "fields of fields of one name": lambda: pickled(fields_of_fields(1, 7)),
    # deep and wide things of a pickle
    "deep tuple as class": lambda: pickled(
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n" + b"N" + b"\x85" * 90_000 + b"\x85R."
    ),
    "deep tuple as name of a field": lambda: pickled(deep_name(70_000)),
    "doubling as class": lambda: pickled(
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n" + b"N" + b"q\x00h\x00\x86" * 200 + b"\x85R."
    ),
    "doubling as order": lambda: pickled(doubled_order()),
    "byte strings": lambda: pickled(b"(" + b"C\xff".join([b""] + [b"x" * 255] * 15_000) + b"t."),
    "texts of one letter each": lambda: pickled(b"(" + b"X\x04\0\0\0\xf0\x9f\x94\xa5" * 60_000 + b"t."),
    "long texts of wide letters": lambda: pickled(
        b"(" + (b"X" + struct.pack("<I", 90_004) + b"a" * 90_000 + b"\xf0\x9f\x94\xa5") * 40 + b"t."
    ),
    # headers
    "cards of many units": lambda: product(*[unit(header={f"K{i}": i for i in range(900)}, hdu_type="image")] * 20),
    "values with quotes": lambda: product(unit(header={f"K{i}": "'" * 9000 for i in range(300)}, hdu_type="image")),
    "long keyword": lambda: product(unit(header={"\u0390" * 500_000: 1}, hdu_type="image")),
    "units of columns": lambda: pickled(
        pickle.dumps(np.zeros(0, COLUMNS), 4), units_dict={f"c{i}": "m" * 4000 for i in range(999)}
    ),
    "meta data of columns": lambda: pickled(
        pickle.dumps(np.zeros(0, COLUMNS), 4),
        header={
            f"{key}{i}": "r" * 60 if key != "TTYPE" else f"c{i - 1}"
            for i in range(1, 1000)
            for key in ("TTYPE", *(f"T{a}{b}{c}" for a in "ABC" for b in "MNO" for c in "XY"))
        },
    ),
    "units": lambda: product(*[unit()] * 2000),
    "long name of a product": lambda: reply(
        numpy_data_product_list=[{"name": "p" * 100_000, "data_unit_list": []}] * 35
    ),
    # products
    "texts as products": lambda: reply(text_product_list=[1] * 190_000),
    "nothing as products": lambda: reply(numpy_data_product_list=[{}] * 10_000),
    "pictures": lambda: reply(binary_image_product_list=[{"b64data": "AAAA", "metadata": {}}] * 10_000),
    "products of one long name": lambda: reply(
        analysis_parameters={"product_type": "t" * 500_000}, text_product_list=[1] * 2000
    ),
    "products of one source": lambda: reply(
        analysis_parameters={"src_name": "s" * 300_000}, text_product_list=[1] * 2000
    ),
    "products with the same remarks": lambda: reply(
        extra_metadata={"a": {f"k{i}": i for i in range(10_000)}},
        text_product_list=[{"name": "a", "value": 1}] * 2000,
    ),
    "remarks as text": lambda: reply(
        numpy_data_product_list=[{"name": "a", "data_unit_list": [], "meta_data": '{"a":[' + "[]," * 60_000 + "1]}"}]
        * 18
    ),
    "literals": lambda: product(*[unit(header="{'a': [" + "1," * 4900 + "1]}", hdu_type="image")] * 60),
    "empty contours": lambda: reply(
        gw_skymap_product={"contours": {"e": {"levels": [50], "contours": [[[]] * 90_000]}}}
    ),
    # JSON itself
    "large integer": lambda: b'{"query_status": "done", "a": ' + b"9" * 1_000_000 + b"}",
    "large integers": lambda: b'{"query_status": "done", "a": [' + b",".join([b"9" * 4200] * 900) + b"]}",
    "long fractions": lambda: b'{"query_status": "done", "a": [' + b",".join([b"0." + b"7" * 10_000] * 300) + b"]}",
    "large exponents": lambda: b'{"query_status": "done", "a": [' + b",".join([b"1e" + b"9" * 3000] * 1000) + b"]}",
    "fraction of megabytes": lambda: b'{"query_status": "done", "a": 1.' + b"3" * 2_000_000 + b"}",
    "wide letters in one text": lambda: json.dumps(
        {**DONE, "products": {"text_product_list": ["\N{FIRE}" + "x" * 10_000_000]}}, ensure_ascii=False
    ).encode(),
    "runs under one key": lambda: (
        b'{"query_status": "done", "products": {' + b",".join([b'"a": "' + b"B" * 4_000_000 + b'"'] * 3) + b"}}"
    ),
    "dictionaries": lambda: reply(echo=[{"a": {}}] * 38_000),
    "beginnings of tokens": lambda: reply(echo="eyJ " * 300_000),
    "heads of tokens": lambda: reply(echo="eyJabcde " * 100_000),
    "joined beginnings of tokens": lambda: reply(echo="eyJ" * 1_200_000),
    "short tokens": lambda: reply(echo="eyJabcde. " * 100_000),
    "a state that is a list": lambda: json.dumps(
        {**DONE, "query_status": ["\U000e0001" * 900_000], "products": {}}, ensure_ascii=False
    ).encode(),
    "many reports": lambda: json.dumps(
        {**DONE, "query_status": "failed", "job_monitor": {"full_report_dict_list": [{"message": "m"}] * 45_000}}
    ).encode(),
    "null characters": lambda: reply(
        catalog=catalogue(["src_names"], [["\0" * 900, *(["a"] * 3000)]]), echo="\0" * 500_000
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_memory_and_time(name, measured, tmp_path):
    body = CASES[name]()
    Path(tmp_path, "body").write_bytes(body)
    check(measured(tmp_path / "body", forms=False), 2 * len(body) + 50e6)
