"""Tables as ECSV text: the same as astropy's reader gives, from text only, and nothing that a header could ask for."""

import csv
import io
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st

from astroquery_mmoda.config import conf
from astroquery_mmoda.decoding import read_ecsv
from astroquery_mmoda.errors import DecodingError


def written(table, **options):
    buffer = io.StringIO()
    table.write(buffer, format="ascii.ecsv", **options)
    return buffer.getvalue()


def text(*columns, rows=(), meta="", names=None):
    """A table written by hand: ``columns`` are YAML texts."""
    lines = ["%ECSV 1.0", "---", "datatype:", *(f"- {column}" for column in columns), *meta.splitlines()]
    names = names or " ".join("abcdefgh"[: len(columns)])
    return "\n".join([*(f"# {line}" for line in lines), names, *rows]) + "\n"


NUMBER = "{name: a, datatype: float64}"


def same(one, other):
    assert one.colnames == other.colnames
    for name in one.colnames:
        assert one[name].dtype == other[name].dtype, name
        assert one[name].shape == other[name].shape, name
        np.testing.assert_array_equal(np.ma.getmaskarray(one[name]), np.ma.getmaskarray(other[name]))
        np.testing.assert_array_equal(np.ma.compressed(one[name]), np.ma.compressed(other[name]))
        for attribute in ("unit", "description", "format"):
            assert getattr(one[name], attribute) == getattr(other[name], attribute), name
        assert one[name].meta == other[name].meta


def all_kinds():
    table = Table(meta={"origin": "synthetic", "k": [1, {"a": None}], "x": 1e17, "when": "2020-01-01", "yes": True})
    for code in "i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split():
        limits = np.iinfo(code) if code[0] in "iu" else np.finfo(code)
        table[code] = np.array([limits.min, limits.max, 0], code)
    table["f8"][2] = np.nan
    table["yes"] = [True, False, True]
    table["name"] = ["Crab", "β Cas, 'a' \"b\"", "x"]
    table["gap"] = MaskedColumn(
        [1, 2, 3], mask=[False, True, False], unit="keV", description="a: b # c", meta={"k": [1]}
    )
    table["no name"] = MaskedColumn(["a", "b", "c"], mask=[True, False, False])
    table["maybe"] = MaskedColumn([True, False, True], mask=[True, False, False])
    table["flux"] = Column([1.0, np.inf, -0.0], unit="erg / (s cm2)", format="%.3f")
    table["odd"] = Column([1.0, 2.0, 3.0], unit=u.Unit("furlong per fortnight", parse_strict="silent"))
    return table


@pytest.mark.parametrize("delimiter", [" ", ","])
def test_all_types_as_astropy_reads_them(delimiter):
    source = written(all_kinds(), delimiter=delimiter)
    table = read_ecsv(source)
    same(table, Table.read(source, format="ascii.ecsv"))
    assert table.meta == all_kinds().meta
    table["f8"][0] = 5  # it may be changed


def test_columns_of_arrays_and_objects():
    table = Table(
        {
            "pair": [[1, 2], [3, 4]],
            "gaps": np.ma.array([[1, 2], [3, 4]], mask=[[0, 1], [0, 0]]),
            "cube": np.arange(12.0).reshape(2, 2, 3),
            "words": [["a", "bcd"], ["e", "f"]],
            "json": np.array([[1, None], {"a": "x"}], dtype=object),
            "rows": np.array([np.arange(2), np.arange(3.0)], dtype=object),
        }
    )
    source = written(table)
    read, expected = read_ecsv(source), Table.read(source, format="ascii.ecsv")
    same(read["pair", "gaps", "cube", "words"], expected["pair", "gaps", "cube", "words"])
    assert read["json"].tolist() == [[1, None], {"a": "x"}]
    assert [row.tolist() for row in read["rows"]] == [[0, 1], [0, 1, 2]]
    assert all(row.dtype == np.float64 for row in read["rows"])


def rows_of(*columns):
    """Rows as any writer of such files makes them; astropy's takes blanks off texts."""
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=" ", lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(zip(*columns, strict=True))
    return [buffer.getvalue()]


TEXT = "{name: a, datatype: string}"
OTHER_TEXT = "{name: b, datatype: string}"


def test_texts_come_as_they_were_sent():
    """astropy's reader takes the first for a comment, and the blanks off the second."""
    values = ["#x", " y ", "a\nb", 'q"uo', "null", "\ttab", "\x85\u2028\x0b", "1"]
    assert read_ecsv(text(TEXT, rows=rows_of(values)))["a"].tolist() == values
    table = Table({"a": values[:6], "b": range(6)})
    assert read_ecsv(written(table))["a"].tolist() == [value.strip() for value in values[:6]]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1))
def test_any_text_survives(values):
    assert read_ecsv(text(TEXT, rows=rows_of(values)))["a"].tolist() == values
    table = read_ecsv(text(TEXT, OTHER_TEXT, rows=rows_of(values, values[::-1])))
    assert (table["a"].tolist(), table["b"].tolist()) == (values, values[::-1])


def test_no_rows_and_no_columns():
    empty = read_ecsv(written(all_kinds()[:0]))
    assert len(empty) == 0
    assert [empty[code].dtype for code in ("i2", "f4", "yes")] == [np.dtype(code) for code in ("i2", "f4", "?")]
    assert empty["flux"].unit == u.Unit("erg / (s cm2)")
    assert read_ecsv(written(Table())).colnames == []
    assert read_ecsv(text("{name: a, datatype: string, subtype: 'float64[2]'}"))["a"].shape == (0, 2)


def test_names_of_columns_that_are_numbers():
    source = written(Table({"20.0": [1.0, 2.0], "nan": [3.0, 4.0]}))
    assert read_ecsv(source)["20.0"].tolist() == [1.0, 2.0]
    assert read_ecsv(source).colnames == ["20.0", "nan"]


def test_masks_in_columns_of_their_own():
    table = Table({"a": MaskedColumn(["x", ""], mask=[True, False]), "b": MaskedColumn([1, 2], mask=[True, False])})
    read = read_ecsv(written(table, serialize_method="data_mask"))
    assert read.colnames == ["a", "b"]
    assert read["a"].data.data.tolist() == ["x", ""]
    assert read["a"].mask.tolist() == read["b"].mask.tolist() == [True, False]


def test_gaps_far_down():
    """The rows are read some at a time, and only some of them have gaps."""
    values = np.ma.arange(60_000.0)
    values[50_000] = np.ma.masked
    source = written(Table({"a": values, "b": np.arange(60_000, dtype="f4"), "c": np.arange(60_000)}))
    same(read_ecsv(source), Table.read(source, format="ascii.ecsv"))


def test_windows_line_ends_and_blank_lines():
    source = written(Table({"a": [1, 2], "b": ["x", "y z"]})).replace("\n", "\r\n") + "\r\n\r\n"
    table = read_ecsv(source)
    assert (table["a"].tolist(), table["b"].tolist()) == ([1, 2], ["x", "y z"])


def test_mixin_columns_become_plain_ones():
    table = QTable({"flux": [1.0, 2.0] * u.Jy, "gap": Masked([1.0, 2.0] * u.km, mask=[False, True])})
    table["t"] = Time(["2020-01-01", "2021-01-01"], scale="tt")
    table["mjd"] = Time([50000.0, 50001.0], format="mjd")
    table["pos"] = SkyCoord([1.0, 2.0], [3.0, 4.0], unit="deg", frame="fk5")
    table["t"].info.description = "when"
    table["pos"].info.description = "where"
    read = read_ecsv(written(table))
    assert type(read) is Table
    assert read.colnames == ["flux", "gap", "t", "mjd", "pos.ra", "pos.dec"]
    assert {type(column) for column in read.columns.values()} == {Column, MaskedColumn}
    assert [str(read[name].unit) for name in ("flux", "gap", "pos.ra", "pos.dec")] == ["Jy", "km", "deg", "deg"]
    assert read["gap"].mask.tolist() == [False, True]
    assert read["t"].tolist() == ["2020-01-01 00:00:00.000", "2021-01-01 00:00:00.000"]
    assert read["t"].meta == {"format": "iso", "scale": "tt"}
    assert read["mjd"].meta == {"format": "mjd", "scale": "utc"}
    assert read["pos.ra"].meta == {"frame": "fk5"}
    assert [read[name].description for name in ("t", "pos.ra")] == ["when", "where"]
    assert read.meta == {}


def test_tuples_and_bytes_among_the_remarks():
    table = Table({"a": [1]}, meta={"range": (1, 2), "raw": b"\x00x", "day": "x", "none": None})
    assert read_ecsv(written(table)).meta == {"range": [1, 2], "raw": b"\x00x", "day": "x", "none": None}


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch never']",
        "!!python/object/new:os.system ['touch never']",
        "!!python/name:os.system",
        "!!python/module:os",
        "!astropy.units.Unit {unit: m}",
        "!astropy.time.Time {format: mjd}",
        "!numpy.ndarray {buffer: '', dtype: float64, order: C, shape: [99999999999]}",
        "!anything {}",
        "!<tag:example.org,2000:x> 1",
        "!!nonsense 1",
        "{a: !!python/object:subprocess.Popen {}}",
        "{__other__: !astropy.table.SerializedColumn {name: a}}",
        "{<<: {a: 1}}",
    ],
)
def test_tags_that_mean_more_than_plain_values(value):
    with pytest.raises(DecodingError, match="which is not allowed in products") as caught:
        read_ecsv(text(NUMBER, meta=f"meta: {{k: {value} }}", rows=["1"]), what="product 'cat'")
    assert str(caught.value).startswith("product 'cat': ")
    assert not Path("never").exists()


def test_class_names_of_mixin_columns_are_not_followed():
    mixins = "meta:\n  __serialized_columns__:\n    a: {__class__: subprocess.Popen, args: [touch, x], value: !astropy.table.SerializedColumn {name: a}}"
    table = read_ecsv(text(NUMBER, meta=mixins, rows=["1.5"]))
    assert table["a"].tolist() == [1.5]
    hostile = mixins.replace("!astropy.table.SerializedColumn", "!!python/object/apply:os.system")
    with pytest.raises(DecodingError, match="not allowed"):
        read_ecsv(text(NUMBER, meta=hostile, rows=["1.5"]))


def test_aliases():
    shared = "meta: {k: &x [1, 2], l: *x}"
    assert read_ecsv(text(NUMBER, meta=shared)).meta == {"k": [1, 2], "l": [1, 2]}
    bomb = "meta:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "\n".join(
        f"  a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)
    )
    with pytest.raises(DecodingError, match="more than 50000 values"):
        read_ecsv(text(NUMBER, meta=bomb))
    for loop, reason in {"meta: &m {k: *m}": "nested deeper", "meta: {k: *nobody}": "undefined alias"}.items():
        with pytest.raises(DecodingError, match=reason):
            read_ecsv(text(NUMBER, meta=loop))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "{", "[{"])
def test_deep_headers_are_refused_at_once(opening):
    began = time.process_time()
    with pytest.raises(DecodingError):
        read_ecsv(text(NUMBER, meta=f"meta: {opening * 5000}"))
    with pytest.raises(DecodingError):
        read_ecsv(text(NUMBER, meta="meta:\n  " + opening * 5000))
    assert time.process_time() - began < 5


def test_long_headers():
    source = text(NUMBER, meta=f"meta: {{k: {'x' * 300}}}", rows=["1"])
    assert len(read_ecsv(source)) == 1
    with conf.set_temp("max_table_header", 300), pytest.raises(DecodingError, match="max_table_header"):
        read_ecsv(source)
    with pytest.raises(DecodingError, match="max_table_header"):
        read_ecsv("# %ECSV 1.0\n# ---\n" + "#\n" * 1_000_000)
    wide = read_ecsv(written(Table({f"column {i}": [1.5] for i in range(1000)})))
    assert len(wide.colnames) == 1000


@pytest.mark.parametrize(
    "value",
    [
        "table.ecsv",
        "/etc/passwd",
        "http://localhost:1/table.ecsv",
        "file:///etc/passwd",
        "",
        "\n",
        "a b\n1 2\n",
        "# %ECSV 1.0\n# ---\na b\n1 2\n",
        "# %ECSV 1.0\n# - 1\na b\n1 2\n",
        "<VOTABLE/>",
        "SIMPLE  =",
        None,
        b"# %ECSV 1.0",
        ["# %ECSV 1.0"],
        Path("/etc/passwd"),
    ],
)
def test_other_things_than_tables(value, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Table({"a": [1]}).write("table.ecsv")

    def refuse(*args, **kwargs):
        raise AssertionError("opened")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("io.open", refuse)
    with pytest.raises(DecodingError) as caught:
        read_ecsv(value, what="product 'cat'")
    assert len(str(caught.value)) < 2000
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (text(NUMBER, rows=["x"]), "column 'a'"),
        (text(NUMBER, rows=["1 2"]), "requires 1 columns but 2 were found"),
        (text(NUMBER, NUMBER.replace("a,", "b,"), rows=["1"]), "requires 2 columns but 1 were found"),
        (text(NUMBER, NUMBER), "two columns of one name"),
        (text(NUMBER, names="b"), "header with columns a, rows with b"),
        (text("{name: a, datatype: int8}", rows=["300"]), "column 'a'"),
        (text("{name: a, datatype: uint8}", rows=["-1"]), "column 'a'"),
        (text("{name: a, datatype: uint64}", rows=["-1"]), "column 'a'"),
        (text("{name: a, datatype: int64}", rows=["9223372036854775808"]), "column 'a'"),
        (text("{name: a, datatype: int64}", rows=["1.5"]), "column 'a'"),
        (text("{name: a, datatype: bool}", rows=["perhaps"]), "neither True nor False"),
        (text("{name: a, datatype: zork}"), "of type 'zork'"),
        (text("{name: 1, datatype: int8}", names="1"), "without name"),
        (text("{name: a, datatype: string, subtype: 'int8[2]'}", rows=['"[1]"']), "shape"),
        (text("{name: a, datatype: string, subtype: 'int8[2]'}", rows=["x"]), "malformed"),
        (text("{name: a, datatype: string, subtype: 'int8[99999,99999,99999]'}", rows=['"[1]"']), "subtype"),
        (text("{name: a, datatype: string, subtype: json}", rows=["x"]), "expected JSON"),
        (text("{name: a, datatype: string, subtype: 'int8[null]'}", rows=["1"]), "a list in each row"),
        (text("{name: a, datatype: string, subtype: json}", rows=["[" * 300 + "]" * 300]), "max_nesting"),
        (text("{name: a, datatype: string}", rows=['"x']), "a quoted cell without end"),
        (text("{name: a, datatype: string}", rows=["x" * 2_000_000]), "a row of more than"),
        (text(NUMBER, meta="delimiter: ';'"), "delimiter"),
        (text(NUMBER, meta="meta: {a: !!int x}"), "invalid literal"),
        (text(NUMBER, meta="meta: {a: !!binary ü}"), "unreadable|binary"),
        (text(NUMBER, meta="meta: {a: \x07}"), "unreadable YAML"),
        (text(NUMBER, meta="---\nmeta: {}"), "another document"),
    ],
)
def test_damaged_tables_are_explained(source, reason):
    with pytest.raises(DecodingError, match=reason) as caught:
        read_ecsv(source, what="product 'cat'")
    assert str(caught.value).startswith("product 'cat': ")
    assert len(str(caught.value)) < 2000


def test_units_and_formats_that_would_take_forever():
    began = time.process_time()
    columns = ["{name: a, datatype: float64, unit: 10**9999999 m, format: '{:99999999f}'}"]
    columns += ["{name: b, datatype: float64, unit: '" + "m " * 500 + "', format: '{0.__class__}'}"]
    table = read_ecsv(text(*columns, rows=["1 2"]))
    assert time.process_time() - began < 2
    assert all(isinstance(table[name].unit, u.UnrecognizedUnit) for name in "ab")
    assert all(table[name].format is None for name in "ab")


def test_one_long_text_among_many_short_ones():
    """As a numpy array of texts they would take 50000 x 120000 x 4 bytes."""
    with pytest.raises(DecodingError, match="max_extra_memory"):
        read_ecsv(text("{name: a, datatype: string}", rows=["x"] * 50_000 + ["y" * 120_000]))


def test_lines_that_are_no_rows():
    for row in ("1 " * 3_000_000, "1" * 3_000_000, "1," * 3_000_000):
        with pytest.raises(DecodingError):
            read_ecsv(text(NUMBER, rows=[row]))
    names = [f"c{i}" for i in range(100)]
    many = text(
        *(f"{{name: {name}, datatype: float64}}" for name in names), names=" ".join(names), rows=["1 " * 3_000_000]
    )
    with pytest.raises(DecodingError, match="a row of more than"):
        read_ecsv(many)


def test_numbers_of_many_digits_in_the_header():
    for number in ("1:" * 50_000 + "1", "0x" + "f" * 100_000, "1" * 5000):
        with pytest.raises(DecodingError, match="a number of"):
            read_ecsv(text(NUMBER, meta=f"meta: {{k: {number} }}"))


def test_many_objects_are_refused():
    rows = ["[]"] * 30
    source = text("{name: a, datatype: string, subtype: json}", rows=rows)
    assert len(read_ecsv(source)) == 30
    with conf.set_temp("max_extra_memory", 15_000), pytest.raises(DecodingError, match="max_extra_memory"):
        read_ecsv(source)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory as Linux tells it")
def test_memory_and_time_of_a_large_table():
    rows = 100_000
    table = Table({"name": [f"source {i}" for i in range(rows)], "n": np.arange(rows)})
    for name in ("flux", "error", "time"):
        table[name] = np.random.default_rng(0).random(rows)
    source = written(table)
    read_ecsv(source[: source.index("\n", 5000) + 1])  # imports
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    read = read_ecsv(source)
    took = time.process_time() - began
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024 < 2 * len(source) + 200_000_000
    began = time.process_time()
    same(read, Table.read(source, format="ascii.ecsv"))
    assert took < 3 * (time.process_time() - began) + 1


def test_damaged_text_gives_our_error_or_a_table():
    random = np.random.default_rng(2)
    table = QTable(
        {"a": [1.0, 2.0] * u.m, "b": ["x y", "z"], "t": Time([1.0, 2.0], format="mjd"), "v": [[1, 2], [3, 4]]}
    )
    whole = written(table)
    alphabet = sorted(set(whole)) + list("[]{}&*!%@`\t'\"\x00\u2028")
    for _ in range(150):
        damaged = list(whole)
        for place in random.integers(0, len(whole), random.integers(1, 4)):
            damaged[place] = alphabet[random.integers(0, len(alphabet))]
        cut = random.integers(1, len(whole)) if random.random() < 0.2 else len(whole)
        try:
            read = read_ecsv("".join(damaged[:cut]))
        except DecodingError as error:
            assert len(str(error)) < 2000  # noqa: PT017 - both outcomes are right
        else:
            assert isinstance(read, Table)
