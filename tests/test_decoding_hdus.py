import base64
import copy
import gzip
import io
import json
import pickle
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from astroquery_mmoda.decoding import hdus, read_hdulist
from astroquery_mmoda.errors import DecodingError

DATA = Path(__file__).parent / "data"


def unit(array=None, name="T", hdu_type="bintable", header=None, units_dict=None, protocol=4, **more):
    binarys = None if array is None else base64.b64encode(pickle.dumps(array, protocol)).decode()
    return {
        "name": name, "hdu_type": hdu_type, "header": header or {}, "units_dict": units_dict, "meta_data": {},
        "dt": None, "data": None, "binarys": binarys,
    } | more  # fmt: skip


def product(*units):
    return {"name": "p", "meta_data": "{}", "data_unit_list": [unit(name="PRIMARY", hdu_type="primary"), *units]}


def read(*units):
    return checked(read_hdulist(product(*units), what="product 1"))


def checked(hdulist):
    """Whatever is decoded must be valid FITS, can be written twice, and reads back the same."""
    hdulist.verify("exception")
    for _ in range(2):
        file = io.BytesIO()
        hdulist.writeto(file)
        file.seek(0)
        with fits.open(file) as again:
            again.verify("exception")
            for ours, theirs in zip(hdulist, again, strict=True):
                _ = theirs.data
                for keyword in {"BSCALE", "BZERO"} - set(ours.header):
                    # old versions of astropy take them out of the header in memory when they write an image
                    theirs.header.remove(keyword, ignore_missing=True)
            difference = fits.FITSDiff(hdulist, again, ignore_blanks=False)
            assert difference.identical, difference.report()
    return hdulist


def fits_rec(*columns, touch=()):
    """The data of a table as the service has it: read from a file, some of its columns looked at."""
    hdu = fits.BinTableHDU.from_columns(list(columns))
    if "SI" in hdu.columns.names:  # astropy can't write scaled columns of floats
        number = hdu.columns.names.index("SI") + 1
        hdu.header.update({f"TSCAL{number}": 0.5, f"TZERO{number}": 10})
    file = io.BytesIO()
    hdu.writeto(file)
    file.seek(0)
    with fits.open(file) as hdulist:
        data = hdulist[1].data
        for name in touch:
            data[name]
        return data.copy() if not touch else data


# recorded replies


def recorded():
    for path in sorted((DATA / "responses").glob("*.json")):
        reply = json.loads(path.read_text()).get("json")
        products = reply.get("products") if isinstance(reply, dict) else None
        entries = products.get("numpy_data_product_list") if isinstance(products, dict) else None
        for number, entry in enumerate(entries or []):
            yield pytest.param(entry, id=f"{path.stem}-{number}")


@pytest.mark.parametrize("entry", list(recorded()))
def test_recorded(entry):
    hdulist = checked(read_hdulist(entry))
    assert len(hdulist) == len(entry["data_unit_list"])
    for hdu, recorded_unit in zip(hdulist, entry["data_unit_list"], strict=True):
        assert hdu.name.upper() == recorded_unit["name"].upper()
        assert_header_kept(hdu.header, recorded_unit["header"])
        if recorded_unit["binarys"]:
            assert_equal_data(hdu, unpickled(base64.b64decode(recorded_unit["binarys"])))
        else:
            assert hdu.data is None


def unpickled(payload):
    """Our own recordings, read in the ordinary way to serve as truth."""
    try:
        return pickle.loads(payload)
    except (AttributeError, ModuleNotFoundError) as error:
        pytest.skip(f"written by versions that these here can't read: {error}")


def assert_equal_data(hdu, truth):
    if truth.dtype.names is None:
        assert (hdu.data is None) == (truth.size == 0)
        assert truth.size == 0 or np.array_equal(hdu.data, truth, equal_nan=True)
        return
    assert hdu.columns.names == list(truth.dtype.names)
    for name in truth.dtype.names:
        if isinstance(truth, fits.FITS_rec) and name in truth._converted:  # noqa: SLF001 - of astropy
            expected = truth._converted[name]  # noqa: SLF001 - of astropy
        else:
            expected = truth[name]
        column = hdu.data[name]
        if column.dtype == object:
            assert all(np.array_equal(a, b) for a, b in zip(column, expected, strict=True))
        elif column.dtype.kind == "U":
            assert column.tolist() == np.asarray(expected).astype(column.dtype).tolist()
        else:
            assert np.array_equal(column, expected, equal_nan=column.dtype.kind == "f")


def assert_header_kept(header, sent):
    structural = ("NAXIS", "TTYPE", "TFORM", "TDIM", "TUNIT", "TSCAL", "TZERO")
    left_out = {
        "XTENSION",
        "BITPIX",
        "PCOUNT",
        "GCOUNT",
        "TFIELDS",
        "SIMPLE",
        "EXTEND",
        "EXTNAME",
        "CHECKSUM",
        "DATASUM",
    }
    for keyword, value in sent.items():
        if keyword in left_out | {"COMMENT", "HISTORY", ""} or keyword.startswith(structural):
            continue
        if isinstance(value, str):
            value = value.rstrip()
        assert header[keyword] == value


def test_recorded_details():
    reply = json.loads((DATA / "responses" / "jemx_lc_dummy.json").read_text())["json"]["products"]
    hdulist = read_hdulist(reply["numpy_data_product_list"][0])
    light_curve = hdulist["JMX1-SRC.-LCR"]
    assert light_curve.columns["TIMEDEL"].format == "1D"
    assert light_curve.columns["RATE"].unit == "count/s"
    reply = json.loads((DATA / "responses" / "isgri_spectrum_dummy.json").read_text())["json"]["products"]
    arf, rmf = (read_hdulist(reply["numpy_data_product_list"][i]) for i in (1, 2))
    assert arf[1].name == "SPECRESP"
    assert len({len(row) for row in rmf["SPECRESP MATRIX"].data["MATRIX"]}) > 1


# images


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("code", "b1 i1 u1 <i2 >i2 <u2 >u4 <i4 <i8 >u8 <f2 >f4 <f4 <f8 >f8".split())
def test_images(code, protocol):
    image = np.arange(24).reshape(2, 3, 4).astype(code)
    image[0, 0, :2] = [0, 1] if code == "b1" else [_limit(image.dtype), 0]
    for data in (image, np.asfortranarray(image), image[:, ::2, ::-1]):
        hdulist = read(unit(data, hdu_type="image", protocol=protocol))
        result = hdulist[1].data
        assert np.array_equal(result, data)
        result[0, 0, 0] = 1  # writable
    first = checked(read_hdulist({"data_unit_list": [unit(image, "table", "image", protocol=protocol)]}))
    assert len(first) == 1
    assert isinstance(first[0], fits.PrimaryHDU)
    assert first[0].name == "table"
    assert np.array_equal(first[0].data, image)


def _limit(dtype):
    return np.iinfo(dtype).max if dtype.kind in "iu" else np.nan if dtype.itemsize < 2 else 1.5


def test_images_with_nan_and_without_pixels():
    image = np.array([[np.nan, np.inf], [-0.0, 1e-300]])
    assert read(unit(image, hdu_type="image"))[1].data.tobytes() == image.tobytes()
    for empty in (np.zeros(0), np.zeros((3, 0)), None):
        for kind in ("primary", "image", None):
            assert read(unit(empty, hdu_type=kind))[1].data is None
    assert read(unit(np.float32(2), hdu_type="image"))[1].data.tolist() == [2]


def test_masked_image():
    image = np.ma.array([1.0, 2.0], mask=[True, False])
    assert np.isnan(read(unit(image, hdu_type="image"))[1].data[0])


@pytest.mark.parametrize("data", [np.zeros(2, "c8"), np.array(["a"]), np.zeros(2, "M8[s]"), np.array([None])])
def test_no_images(data):
    with pytest.raises(DecodingError, match=r"^product 1: unit 1: 'T': "):
        read(unit(data, hdu_type="image"))


# tables

TABLE = np.zeros(
    3,
    [("B", "?"), ("I1", "i1"), ("U1", "u1"), ("I2", "<i2"), ("U2", "<u2"), ("I4", ">i4"), ("U4", ">u4"), ("I8", "<i8"),
     ("U8", "<u8"), ("F2", "<f2"), ("F4", "<f4"), ("F8", ">f8"), ("C8", "<c8"), ("C16", "<c16"), ("S", "S4"),
     ("U", "U3"), ("V", "<f4", (3,)), ("M", "<i2", (2, 3)), ("SS", "S2", (2,)), ("BB", "?", (2,)), ("UU", "<u2", (2,))],
)  # fmt: skip
for _name in TABLE.dtype.names:
    _kind = TABLE.dtype[_name].base.kind
    if _kind in "iu":
        _info = np.iinfo(TABLE.dtype[_name].base)
        TABLE[_name][0], TABLE[_name][1] = _info.min, _info.max
    elif _kind == "c":  # FITSDiff takes no complex NaN for equal
        TABLE[_name][1] = 1.5j
    elif _kind == "f":
        TABLE[_name][0], TABLE[_name][1] = np.nan, 1.5
    else:
        TABLE[_name][1] = {"b": True, "S": b"ab", "U": "xyz"}[_kind]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("rows", [slice(None), slice(0, 0), slice(None, None, -2)])
def test_plain_tables(protocol, rows):
    table = TABLE[rows]
    for data in (table, table.view(np.recarray), table.astype(table.dtype.newbyteorder())):
        result = read(unit(data, protocol=protocol))[1].data
        for name in table.dtype.names:
            expected = table[name]
            if expected.dtype.kind == "S":
                expected = np.char.decode(expected, "ascii") if len(expected) else expected.astype("U")
            # astropy forgets the shape of arrays of strings in tables without rows
            assert result[name].shape == expected.shape or not len(table)
            assert result[name].dtype.kind == expected.dtype.kind
            if len(expected):
                assert np.array_equal(result[name], expected, equal_nan=expected.dtype.kind in "fc")
            if len(expected):
                result[name][0] = result[name][-1]  # writable


def test_padded_records_and_texts_beyond_ascii():
    table = np.zeros(2, {"names": ["x", "y"], "formats": ["<i2", ">f4"], "offsets": [7, 1], "itemsize": 12})
    table["x"], table["y"] = [1, 2], [3, 4]
    data = read(unit(table))[1].data
    assert (data["x"].tolist(), data["y"].tolist()) == ([1, 2], [3, 4])
    data = read(unit(np.array([("é",), ("a",)], [("n", "U2")])))[1].data
    assert data["n"].tolist() == ["\\xe9", "a"]


SCALED = [
    fits.Column("L", "L", array=np.array([True, False, True])),
    fits.Column("LL", "2L", array=np.array([[True, False]] * 3)),
    fits.Column("X", "11X", array=np.arange(33).reshape(3, 11) % 2 == 0),
    fits.Column("UI", "I", bzero=2**15, array=np.array([0, 1, 65535], "u2")),
    fits.Column("UJ", "J", bzero=2**31, array=np.array([0, 1, 2**32 - 1], "u4")),
    fits.Column("SI", "I", array=np.array([0, 1, 2], "i2")),
    fits.Column("N", "J", null=-99, array=np.array([1, -99, 3])),
    fits.Column("A", "5A", array=np.array(["Crab", "", "3C111"])),
    fits.Column("AA", "6A", dim="(3,2)", array=np.array([["abc", "d"], ["", "x"], ["yy", "z"]])),
    fits.Column("E", "E", unit="keV", disp="F8.3", array=np.array([1, np.nan, 3], "f4")),
    fits.Column("M", "6D", dim="(3,2)", array=np.arange(18.0).reshape(3, 2, 3)),
    fits.Column("C", "C", array=np.array([1j, 2, 3], "c8")),
]
ROWS = [
    fits.Column("PE", "PE()", array=np.array([np.arange(i, dtype="f4") for i in (2, 0, 3)], dtype=object)),
    fits.Column("QJ", "QJ()", array=np.array([np.arange(i, dtype="i4") for i in (0, 1, 5)], dtype=object)),
    fits.Column("PB", "PB()", array=np.array([np.arange(i, dtype="u1") for i in (1, 1, 2)], dtype=object)),
]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("touched", [False, True])
def test_fits_tables(protocol, touched):
    names = [column.name for column in SCALED]
    data = fits_rec(*SCALED, touch=names if touched else ())
    hdulist = read(
        unit(data, protocol=protocol, header={"TTYPE1": "L", "TCOMM1": "a flag", "TLMIN10": 3, "TTYPE10": "E"})
    )
    result, truth = hdulist[1], fits_rec(*SCALED, touch=names)
    assert result.columns.names == names
    for column, expected in zip(result.columns, truth.columns, strict=True):
        values = result.data[column.name]
        assert values.dtype.kind == truth[column.name].dtype.kind, column.name
        assert np.array_equal(values, truth[column.name], equal_nan=values.dtype.kind == "f"), column.name
        for key in ("unit", "null", "bscale", "bzero", "disp"):
            assert getattr(column, key) == getattr(expected, key), (column.name, key)
    assert result.header["TCOMM1"] == "a flag"
    assert result.header["TLMIN10"] == 3


@pytest.mark.parametrize("protocol", range(2, 6))
def test_variable_length_columns(protocol):
    data = fits_rec(*SCALED[:1], *ROWS, *SCALED[-1:], touch=["PE", "QJ", "PB"])
    truth = {name: [row.tolist() for row in data[name]] for name in ("PE", "QJ", "PB")}
    result = read(unit(data, protocol=protocol))[1]
    for name, rows in truth.items():
        assert [row.tolist() for row in result.data[name]] == rows
    assert result.data["C"].tolist() == [1j, 2, 3]
    assert result.columns["PE"].format == "PE(3)"


def test_rows_of_variable_length_in_any_order():
    """As in responses of Fermi's GBM, whose heap has all columns of the first row, then those of the second ..."""
    firsts, lengths, values = np.array([[1], [3]], ">i2"), np.array([[2], [4]], ">i2"), np.arange(6, dtype=">f4")
    heap = b"".join(part.tobytes() for part in (firsts[0], lengths[0], values[:2], firsts[1], lengths[1], values[2:]))
    columns = [fits.Column(name, f"P{letter}(4)") for name, letter in {"F": "I", "N": "I", "M": "E"}.items()]
    empty = fits.BinTableHDU.from_columns(columns, nrows=2)
    empty.header["PCOUNT"] = len(heap)
    places = np.array([[1, 0, 1, 2, 2, 4], [1, 12, 1, 14, 4, 16]], ">i4")
    headers = fits.PrimaryHDU().header.tostring() + empty.header.tostring()
    with fits.open(io.BytesIO(headers.encode() + (places.tobytes() + heap).ljust(2880, b"\0"))) as hdulist:
        data = hdulist[1].data
        truth = {name: [row.tolist() for row in data[name]] for name in "FNM"}
        assert truth["M"] == [[0, 1], [2, 3, 4, 5]]
        result = read(unit(data))[1].data
    assert {name: [row.tolist() for row in result[name]] for name in "FNM"} == truth


def test_variable_length_columns_of_no_rows_and_without_rows():
    data = fits_rec(*ROWS, touch=["PE", "QJ", "PB"])
    assert len(read(unit(fits_rec(*ROWS, touch=["PE", "QJ", "PB"])[:0]))[1].data) == 0
    data._converted.pop("QJ")  # noqa: SLF001 - of astropy
    data.columns  # noqa: B018
    with pytest.raises(DecodingError, match="'QJ' came without its rows"):
        read(unit(data))


def test_columns_changed_on_the_server():
    data = fits_rec(*SCALED, touch=["SI", "UI", "L", "A"])
    data["SI"][0], data["UI"][0], data["L"][0], data["A"][0] = 20, 7, False, "new"
    result = read(unit(data))[1].data
    assert (result["SI"][0], result["UI"][0], result["L"][0], result["A"][0]) == (20, 7, False, "new")


def test_appended_column():
    # the raw records of a FITS table with a native column added, as the service makes them
    header = {
        "TTYPE1": "U", "TFORM1": "1I", "TZERO1": 32768, "TUNIT1": "ch", "TTYPE2": "L", "TFORM2": "1L",
        "TTYPE3": "SI", "TFORM3": "J", "TSCAL3": 0.5, "TTYPE4": "N", "TFORM4": "1I", "TZERO4": 32768,
        "NAXIS1": 7, "TFIELDS": 4, "TFORM9": "1Q", "TUNIT9": "x",
    }  # fmt: skip
    table = np.array(
        [(-32768, 84, 3, 5, 0.5), (0, 70, 4, 6, 0.5)],
        [("U", ">i2"), ("L", "i1"), ("SI", ">i4"), ("N", "<i2"), ("TIMEDEL", "<f8")],
    )
    hdu = read(unit(table, header=header, units_dict={"TIMEDEL": "d", "SI": "s"}))[1]
    assert hdu.data["U"].tolist() == [0, 32768]
    assert hdu.data["L"].tolist() == [True, False]
    assert hdu.data["SI"].tolist() == [1.5, 2]
    assert hdu.data["N"].tolist() == [5, 6]  # native, so it never was a FITS column
    assert hdu.data["TIMEDEL"].tolist() == [0.5, 0.5]
    assert [column.unit for column in hdu.columns] == ["ch", None, "s", None, "d"]
    assert "TFORM9" not in hdu.header


def test_table_forms():
    table = np.zeros(2, [("X", "<f8")])
    first = checked(read_hdulist({"data_unit_list": [unit(table)]}))
    assert [type(hdu) for hdu in first] == [fits.PrimaryHDU, fits.BinTableHDU]
    assert isinstance(read(unit(table, hdu_type="image"))[1], fits.BinTableHDU)
    assert isinstance(read(unit(table, hdu_type="table"))[1], fits.BinTableHDU)
    assert len(read(unit(None, hdu_type="bintable"))[1].columns) == 0
    assert Table.read(read(unit(table, units_dict={"X": "keV"}))).colnames == ["X"]


def test_units_as_text_and_gzip():
    entry = product(json.dumps(unit(np.arange(4.0), hdu_type="image")))
    zipped = unit(np.arange(4.0), hdu_type="image")
    zipped["binarys"] = base64.b64encode(gzip.compress(base64.b64decode(zipped["binarys"]))).decode()
    for form in (entry, json.dumps(entry), product(zipped)):
        assert checked(read_hdulist(form))[1].data.tolist() == [0, 1, 2, 3]
    assert len(read_hdulist({"data_unit_list": []})) == 1


def test_numbers_as_text_are_refused_by_name():
    with pytest.raises(DecodingError, match="JSON text in data"):
        read(unit(dt="float64", data="[[1.5, 2]]"))


@pytest.mark.parametrize("path", sorted((DATA / "pickles").glob("*.json")), ids=lambda path: path.stem)
def test_payloads_of_other_versions(path):
    """Made by tests/data/pickles/make.py with several versions of numpy and astropy."""
    case = json.loads(path.read_text())
    hdu = read(unit(binarys=case["pickle"], name=path.stem))[1]
    for name, values in case["values"].items():
        assert json.loads(json.dumps(hdu.data[name].tolist() if hdu.data[name].dtype != object else [
            row.tolist() for row in hdu.data[name]])) == values  # fmt: skip


# headers


def test_headers_are_mended():
    header = {
        "NAXIS": 7, "NAXIS1": -5, "BITPIX": 99, "SIMPLE": False, "PCOUNT": 10**9, "BSCALE": 3, "BZERO": 1, "BLANK": 0,
        "TFIELDS": 3, "CHECKSUM": "x", "DATASUM": "0", "ZIMAGE": True, "GROUPS": True, "THEAP": 8, "END": 1,
        "CONTINUE": "x", "EXTNAME": "OTHER", "XTENSION": "BINTABLE", "EXTEND": False,
        "NAN": float("nan"), "INF": float("inf"), "NONE": None, "UNDEF": "UNDEFINED", "LIST": ["a", 1, None],
        "DICT": {"a": 1}, "BOOL": True, "INT": -12, "FLOAT": 1.2345678901234567e-300, "BIG": 10**30,
        "HUGE": 10**400, "EMPTY": "",
        "QUOTES": "it's '' so", "LONG": "x" * 500, "LONGQ": "'" * 69, "lower": 1, "LOWER": 2, "DATE-OBS": "2017-03-06",
        "NEWLINE": "a\nb\x1b[31m\u202ec", "UNICODE": "µs", "ESO TEL X": 3, "much_too_long": "v", "WEIRD=KEY": 1,
        "a/b": 2,
        "HISTORY": "h" * 200, "COMMENT": "c\nd", "": "blank", "EXTVER": "one", "EXTLEVEL": 1, "AMP": "ends with &",
        "ÉTÉ": 1, "TTYPE1": "nothing", "WIDE " * 30: 1, "SPACES": "  two before",
    }  # fmt: skip
    hdu = read(unit(np.zeros((2, 3)), hdu_type="image", header=header))[1]
    kept = hdu.header
    assert (kept["NAXIS"], kept["NAXIS1"], kept["BITPIX"], hdu.name) == (2, 3, -64, "T")
    for keyword in ("NAN", "INF", "NONE", "UNDEF"):
        assert kept[keyword] is None  # astropy's word for undefined
    assert kept["LIST"] == "a,1,None"
    assert (kept["BOOL"], kept["INT"], kept["FLOAT"]) == (True, -12, 1.2345678901234567e-300)
    assert kept["BIG"] == 10**30
    assert (kept["QUOTES"], kept["LONG"], kept["LONGQ"]) == ("it's '' so", "x" * 500, "'" * 69)
    assert kept["LOWER"] == 1
    assert kept["NEWLINE"] == "a b\\x1b[31m\\u202ec"
    assert kept["UNICODE"] == "\\xb5s"
    assert (kept["ESO TEL X"], kept["MUCH_TOO_LONG"]) == (3, "v")
    assert "".join(kept["HISTORY"]) == "h" * 200
    assert kept["EXTLEVEL"] == 1
    assert kept["SPACES"] == "  two before"
    for keyword in ("DICT", "ZIMAGE", "GROUPS", "CHECKSUM", "BSCALE", "BLANK", "EXTVER", "ÉTÉ", "WEIRD=KEY", "THEAP"):
        assert keyword not in kept


def test_table_headers_are_mended():
    table = np.zeros(2, [("a", "<f8"), ("b", "<i4")])
    header = {
        "TTYPE1": "b", "TTYPE2": "a", "TUNIT1": "s", "TUNIT2": "m", "TDISP1": "nonsense", "TNULL2": "x",
        "TDIM1": "(9,9)",
        "TCTYP1": 5, "TCRPX1": "x", "TRPOS1": 3, "TFORM1": "77Q", "TSCAL2": float("nan"), "TCOMM1": "of b",
        "TFORM5": "1J",
        "TBCOL1": 5, "TTYPE0": "z", "TTYPE3": 12, "TUNIT3": "zz", "TELESCOP": "INTEGRAL", "TSTART": 5.5,
    }  # fmt: skip
    hdu = read(unit(table, header=header))[1]
    assert [(column.name, column.format, column.unit) for column in hdu.columns] == [("a", "1D", "m"), ("b", "1J", "s")]
    assert hdu.header["TCOMM2"] == "of b"
    assert (hdu.header["TELESCOP"], hdu.header["TSTART"]) == ("INTEGRAL", 5.5)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=12)
        | st.from_regex(r"[A-Z0-9_-]{1,8}|T(TYPE|FORM|UNIT|DIM|NULL|ZERO|SCAL|DISP)[1-3]", fullmatch=True),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.lists(st.integers() | st.text(max_size=3)),
        max_size=12,
    ),
    st.text(max_size=20),
)
def test_any_header(header, name):
    read(
        unit(np.zeros((2, 3), ">f4"), hdu_type="image", header=header, name=name),
        unit(
            np.zeros(2, [("a", ">i2"), ("b", "S3")]), header=header | {"TTYPE1": "a"}, name=name, units_dict={"a": name}
        ),
    )


def test_header_forms():
    assert read(unit(hdu_type="image", header=json.dumps({"A": 1})))[1].header["A"] == 1
    assert read(unit(hdu_type="image", header=None))[1].header["NAXIS"] == 0
    for wrong in ([], 5, "x", {str(i): i for i in range(30_000)}):
        with pytest.raises(DecodingError):
            read({**unit(hdu_type="image"), "header": wrong} if wrong else {**unit(hdu_type="image"), "header": [1]})


# what is wrong is said so


@pytest.mark.parametrize(
    "entry",
    [
        None, 5, [], "x", "[]", {}, {"data_unit_list": None}, {"data_unit_list": {}}, {"data_unit_list": [None]},
        {"data_unit_list": [[]]}, {"data_unit_list": ["{"]}, product({"binarys": 5}), product({"binarys": "A"}),
        product({"binarys": "é"}), product({"binarys": ""}), product({"binarys": "AAAA"}),
        product({"data": "x", "dt": "f8"}),
        product({"data": "[1]"}), product(unit(hdu_type="cube")), product(unit(hdu_type=["image"])),
        product(unit({"a": 1})),
        product(unit(np.zeros(2, [("a", "c16", (2,)), ("b", [("c", "f8")])]))),
        product(unit(np.zeros((2, 2), [("a", "f8")]))),
        product(unit(np.zeros(2, [(f"c{i}", "u1") for i in range(1000)]))),
    ],
)  # fmt: skip
def test_wrong_entries(entry):
    with pytest.raises(DecodingError) as caught:
        read_hdulist(entry, what="product 3 'isgri\n\x1b[31m_lc'" + "x" * 5000)
    message = str(caught.value)
    assert message.startswith("product 3 'isgri \\x1b[31m_lc'")
    assert len(message) < 2000


def test_cut_and_flipped_fits_tables():
    payload = pickle.dumps(fits_rec(*SCALED[:4], *ROWS[:1], touch=["L", "PE"]), 4)
    generator = np.random.default_rng(5)
    for end in [*range(0, len(payload), 37), len(payload) - 1]:
        with pytest.raises(DecodingError):
            read_hdulist(product(unit(binarys=base64.b64encode(payload[:end]).decode())))
    for position, bit in zip(generator.integers(0, len(payload), 150), generator.integers(0, 8, 150), strict=True):
        flipped = bytearray(payload)
        flipped[position] ^= 1 << bit
        try:
            result = read_hdulist(product(unit(binarys=base64.b64encode(flipped).decode())))
        except DecodingError:
            continue
        assert isinstance(result[1], fits.BinTableHDU)


# large arrays, which stay where base64 has put them


_LONG_HEADER = {f"KEY{i}": "x" * 60 for i in range(300)}


@pytest.mark.parametrize(
    ("code", "header"),
    [
        *((code, {}) for code in "b1 i1 u1 <i2 >i2 <u4 >u4 <i8 <f2 <f4 >f4 <f8 >f8".split()),
        *(pytest.param(code, _LONG_HEADER, id=f"{code}-long header") for code in ("b1", "<i2", ">f4")),
    ],
)
def test_large_images(monkeypatch, code, header):
    monkeypatch.setattr(hdus, "_LARGE", 100)
    values = np.arange(600).reshape(20, 30).astype(code)
    for array in (values, np.asfortranarray(values), values[::2]):
        hdulist = read(unit(array, hdu_type="image", header=header))
        assert hdulist[1].data.tolist() == array.tolist()
        hdulist[1].data[0, 0] = 1
        assert hdulist[1].data[0, 0] == 1
        assert hdulist[1].data.flags.aligned
        checked(hdulist)


@pytest.mark.parametrize("order", "<>")
def test_large_tables(monkeypatch, order):
    monkeypatch.setattr(hdus, "_LARGE", 100)
    dtype = [("TIME", order + "f8"), ("RATE", order + "f4", (2,)), ("N", order + "i2"), ("S", "S3")]
    table = np.zeros(50, dtype)
    table["TIME"], table["N"], table["S"] = np.arange(50), 7, b"abc"
    hdulist = read(unit(table))
    hdulist[1].data["TIME"][0] = 5
    assert hdulist[1].data["TIME"].tolist() == [5, *range(1, 50)]
    assert checked(hdulist)[1].data["S"].tolist() == ["abc"] * 50


def test_large_fits_tables(monkeypatch):
    for touch in ([], ["L", "A", "PE", "QJ"]):
        columns = (*SCALED, *(ROWS[:2] if touch else []))
        small = read(unit(fits_rec(*columns, touch=touch)))
        with monkeypatch.context() as patch:
            patch.setattr(hdus, "_LARGE", 100)
            large = read(unit(fits_rec(*columns, touch=touch)))
        assert fits.FITSDiff(small, large).identical
        again = pickle.loads(pickle.dumps(copy.deepcopy(large[1])))
        assert np.array_equal(again.data["E"], small[1].data["E"], equal_nan=True)


def test_large_arrays_are_not_copied():
    image = np.random.default_rng(1).random((1024, 1024)).astype(">f4")
    entry = product(unit(image, hdu_type="image"))
    tracemalloc.start()
    hdulist = read_hdulist(entry)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * image.nbytes
    assert np.array_equal(hdulist[1].data, image)


def test_parts_of_a_product_share_what_they_may_expand_to():
    zipped = base64.b64encode(gzip.compress(pickle.dumps(np.zeros(50_000_000, "u1")))).decode()
    with pytest.raises(DecodingError, match="max_extra_memory"):
        read_hdulist(product(*[unit(binarys=zipped, hdu_type="image")] * 3))
    with pytest.raises(DecodingError, match="max_extra_memory"):
        read_hdulist(product(*[unit()] * 20_000))


@pytest.mark.parametrize("code", "<>")
def test_texts_outside_of_ascii(code):
    names = ["Crab", "", "é", "α Cen", "\N{FIRE}" * 3, "a\0b"] * 4000
    table = np.array([(name,) for name in names], [("NAME", f"{code}U6")])
    found = read(unit(table))[1].data["NAME"]
    assert found.tolist() == [name.encode("ascii", "backslashreplace").decode() for name in names]


# behaviour


def test_results_can_be_copied_and_pickled():
    hdulist = read(unit(fits_rec(*SCALED, *ROWS[:1], touch=["PE", "A"]), units_dict={"E": "keV"}))
    again = copy.deepcopy(hdulist[1])
    assert again.data["A"].tolist() == hdulist[1].data["A"].tolist()
    assert hdulist[1].copy().data["PE"][0].tolist() == [0, 1]
    image = read(unit(np.arange(6.0).reshape(2, 3), hdu_type="image"))[1]
    assert pickle.loads(pickle.dumps(image)).data.tolist() == image.data.tolist()


def test_no_warnings_and_no_filters_changed():
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(unit(fits_rec(*SCALED, *ROWS, touch=["PE", "QJ", "PB"])))
    assert warnings.filters == before


def test_large_image_takes_little_time_and_memory():
    image = np.random.default_rng(1).random((2048, 2048)).astype("<f4")
    entry = product(unit(image, hdu_type="image"))
    size = len(entry["data_unit_list"][1]["binarys"])
    start = time.process_time()
    tracemalloc.start()
    hdulist = read_hdulist(entry)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - start < 5
    assert peak < 2 * size
    assert np.array_equal(hdulist[1].data, image)


def test_many_light_curves():
    table = np.zeros(1000, [("TIME", ">f8"), ("RATE", ">f4"), ("ERROR", ">f4"), ("FRACEXP", ">f4")])
    entry = product(unit(table, header={f"KEY{i}": i / 3 for i in range(50)}))
    start = time.process_time()
    for _ in range(200):
        read_hdulist(entry)
    assert time.process_time() - start < 5
