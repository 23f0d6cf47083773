"""Directories and files that somebody else wrote: values or errors of ours, within bounds of memory and time."""

import gzip
import hashlib
import io
import json
import shutil

import numpy as np
import pytest
from astropy.io import fits

from tests.measuring import check, warm_process


def card(keyword, value):
    text = f"'{value}'" if isinstance(value, str) else "FT"[value] if isinstance(value, bool) else str(value)
    return f"{keyword:<8}= {text:>20}".ljust(80).encode("ascii")


def header(**cards):
    raw = b"".join(card(key, value) for key, value in cards.items()) + b"END".ljust(80)
    return raw.ljust(-(-len(raw) // 2880) * 2880)


PRIMARY = header(SIMPLE=True, BITPIX=8, NAXIS=0, EXTEND=True)


def image(data=b"", **cards):
    told = {"XTENSION": "IMAGE   ", "BITPIX": 8, "NAXIS": 1, "NAXIS1": 0, "PCOUNT": 0, "GCOUNT": 1} | cards
    return PRIMARY + header(**told) + padded(data)


def padded(data):
    return data.ljust(-(-len(data) // 2880) * 2880, b"\0")


def table(forms, width, rows, data=b"", heap=0, **cards):
    told = {
        "XTENSION": "BINTABLE",
        "BITPIX": 8,
        "NAXIS": 2,
        "NAXIS1": width,
        "NAXIS2": rows,
        "PCOUNT": heap,
        "GCOUNT": 1,
    }
    told |= {"TFIELDS": len(forms)}
    for number, (name, form) in enumerate(forms.items(), start=1):
        told |= {f"TTYPE{number}": name, f"TFORM{number}": form}
    return PRIMARY + header(**told, **cards) + padded(data)


def overlapping(rows, length, letter="P"):
    """A table of rows that are all the same bytes."""
    described = np.zeros((rows, 2), ">i4" if letter == "P" else ">i8")
    described[:, 0] = length
    times = np.arange(rows).astype(">f8").reshape(-1, 1).view("u1")
    records = np.hstack([described.view("u1"), times]).tobytes()
    forms = {"M": f"{letter}B({length})", "TIME": "D"}
    return table(forms, len(records) // rows, rows, records + bytes(length), length, EXTNAME="RATE", OBJECT="A")


def saved(hdus):
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(file)
    return file.getvalue()


def curve(name="RATE", **columns):
    columns = {"TIME": np.arange(3.0), **columns}
    made = [
        fits.Column(
            key, fits.column.NUMPY2FITS[value.dtype.str[1:]] if value.ndim == 1 else f"{value[0].size}D", array=value
        )
        for key, value in columns.items()
    ]
    hdu = fits.BinTableHDU.from_columns(made, name=name)
    hdu.header["OBJECT"], hdu.header["MJDREF"] = "A", 51544
    return hdu


def named(name, rows):
    """A light curve of a source whose name FITS has no letters for."""
    hdu = curve(TIME=np.arange(float(rows)))
    hdu.header["OBJECT"], hdu.header["MMODA"] = "Aalpha", "{}"
    hdu.header["SRCNAME8"] = name.encode().hex()
    return hdu


def curves(forms, rows=3):
    """A file of light curves, of which each has the columns of one of the forms."""
    widths = {"D": 8, "E": 4}
    file = [PRIMARY]
    for columns in forms:
        width = sum(int(form[:-1] or 1) * widths[form[-1]] for form in columns.values())
        file.append(table(columns, width, rows, bytes(width * rows), EXTNAME="RATE", OBJECT="A", MJDREF=51544)[2880:])
    return b"".join(file)


def in_directory(directory, files, copies=1, **record):
    """Write an index that tells the right sums of the files."""
    directory.mkdir(exist_ok=True)
    told = []
    for name, data in files.items():
        (directory / name).write_bytes(data)
        told.append({"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    product = {
        "name": "p",
        "service_name": "p",
        "kind": "image",
        "source": "A",
        "meta": {},
        "format": "fits",
        "files": told,
    }
    product |= {"options": {"hdus": [[0, 1, "", 1, 0, []]]}} | record
    index = {
        "format": "astroquery_mmoda products",
        "version": 3,
        "provenance": {},
        "job_id": "0",
        "service": "",
        "comment": "",
    }
    index |= {"parameters": {}, "meta": {}, "products": [product] * copies}
    (directory / "mmoda-0.json").write_text(json.dumps(index))
    return len(json.dumps(index)) + sum(map(len, files.values()))


def fits_case(make, **record):
    return lambda directory: in_directory(directory, {"a.fits": make()}, **record)


LIGHTCURVE = {"kind": "lightcurve", "format": "fits"}
HOSTILE = {
    "image of terabytes": fits_case(lambda: image(NAXIS1=2**40)),
    "rows without end": fits_case(lambda: table({"A": "D"}, 8, 2**40), **LIGHTCURVE),
    "heap of terabytes": fits_case(lambda: table({"A": "D"}, 8, 1, bytes(8), 2**45)),
    "axes that run over": fits_case(lambda: image(NAXIS=4, NAXIS1=2**31, NAXIS2=2**31, NAXIS3=4, NAXIS4=2**31)),
    "axes without end": fits_case(lambda: image(NAXIS=10**9)),
    "fields without end": fits_case(
        lambda: table({"A": "D"}, 8, 1, bytes(8)).replace(card("TFIELDS", 1), card("TFIELDS", 10**9))
    ),
    "format of gigabytes": fits_case(lambda: table({"A": "999999999E"}, 4, 1, bytes(4))),
    "format of gigabytes without rows": fits_case(lambda: table({"A": "999999999E"}, 4, 0)),
    "overlapping rows": fits_case(lambda: overlapping(30_000, 100_000), **LIGHTCURVE),
    "overlapping long rows": fits_case(lambda: overlapping(30_000, 100_000, "Q"), **LIGHTCURVE),
    "row beyond the heap": fits_case(
        lambda: table({"A": "PE(999999999)"}, 8, 1, np.array([999999999, 0], ">i4").tobytes() + bytes(8), 8)
    ),
    "scaled image": fits_case(lambda: image(bytes(8_000_000), NAXIS1=8_000_000, BSCALE=0.5, BZERO=1.5)),
    "scaled images": fits_case(lambda: PRIMARY + 40 * image(bytes(400_000), NAXIS1=400_000, BSCALE=0.5)[2880:]),
    "scaled columns": fits_case(
        lambda: table(
            {"TIME": "B", "RATE": "B"},
            2,
            1_000_000,
            bytes(2_000_000),
            EXTNAME="RATE",
            OBJECT="A",
            TSCAL1=0.5,
            TSCAL2=2.5,
        ),
        **LIGHTCURVE,
    ),
    "times of a byte": fits_case(
        lambda: table({"TIME": "B"}, 1, 2_000_000, bytes(2_000_000), EXTNAME="RATE", OBJECT="A"), **LIGHTCURVE
    ),
    "header without end": fits_case(lambda: PRIMARY[:80] + card("A", 1) * 120_000),
    "many cards": fits_case(
        lambda: (
            PRIMARY
            + 60
            * header(XTENSION="IMAGE   ", BITPIX=8, NAXIS=0, PCOUNT=0, GCOUNT=1, **{f"K{i}": i for i in range(1900)})
        )
    ),
    "many HDUs": fits_case(lambda: PRIMARY + 1000 * header(XTENSION="IMAGE   ", BITPIX=8, NAXIS=0, PCOUNT=0, GCOUNT=1)),
    "tiles": fits_case(
        lambda: table(
            {"COMPRESSED_DATA": "1PB(40)"},
            8,
            1,
            np.array([40, 0], ">i4").tobytes() + gzip.compress(bytes(10**7))[:40],
            40,
            ZIMAGE=True,
            ZBITPIX=8,
            ZNAXIS=2,
            ZNAXIS1=2**20,
            ZNAXIS2=2**20,
            ZCMPTYPE="GZIP_1",
            ZTILE1=2**20,
            ZTILE2=2**20,
        )
    ),
    "gzip": fits_case(lambda: gzip.compress(bytes(50_000_000), 1)),
    "cells of a table of texts": fits_case(
        lambda: (
            PRIMARY
            + header(
                XTENSION="TABLE   ",
                BITPIX=8,
                NAXIS=2,
                NAXIS1=1,
                NAXIS2=3_000_000,
                PCOUNT=0,
                GCOUNT=1,
                TFIELDS=1,
                TFORM1="I1",
                TBCOL1=1,
                TTYPE1="A",
            )
            + padded(b"1" * 3_000_000)
        )
    ),
    "dimensions": fits_case(lambda: table({"A": "8B"}, 8, 1, bytes(8), TDIM1="(99999,99999,99999)")),
    "one file for all": lambda d: in_directory(d, {"a.fits": image(bytes(3_000_000), NAXIS1=3_000_000)}, copies=50),
    "as many curves as are read": fits_case(lambda: curves([{"TIME": "D", "RATE": "E"}] * 90), **LIGHTCURVE),
    "columns that no other curve has": fits_case(
        lambda: curves([{"TIME": "D"} | {f"C{each}_{i}": "E" for i in range(60)} for each in range(45)]), **LIGHTCURVE
    ),
    "long name": fits_case(lambda: saved([named("A" + "\N{GREEK SMALL LETTER ALPHA}" * 900, 100_000)]), **LIGHTCURVE),
    "long name among curves": fits_case(
        lambda: saved([named("A" + "\N{GREEK SMALL LETTER ALPHA}" * 900, 3), named("A", 30_000)]), **LIGHTCURVE
    ),
    "wide cell among curves": fits_case(
        lambda: curves([{"TIME": "D", "W": "100000D"}, *[{"TIME": "D", "X": "D"}] * 90]), **LIGHTCURVE
    ),
    "one wide character": lambda d: in_directory(
        d, {"a.txt": b"x" * 6_000_000 + "\N{FIRE}".encode()}, format="text", kind="text"
    ),
    "tables again and again": fits_case(
        lambda: saved([curve(CHANNEL=np.arange(3.0))]), options={"hdus": [[0, 1, "", 1, 1, []]] * 30_000}
    ),
    "names of columns": lambda d: in_directory(
        d, {"a.ecsv": ecsv(2000)}, format="ecsv", kind="table", options={"masked": ["x"] * 100_000}
    ),
    "summary": lambda d: in_directory(
        d,
        {"a.txt": b"a"},
        format="text",
        kind="text",
        options={"summary": {"band": [[1] * 90_000], "time": {}, "content": 1e999, "unit": None, "size": 10**400}},
    ),
    "products of an index": lambda d: in_directory(d, {"a.txt": b"a"}, copies=2000, format="text", kind="text"),
    "parameters of an index": lambda d: in_directory(
        d, {"a.txt": b"a"}, format="text", kind="text", meta={f"k{i}": i for i in range(50_000)}
    ),
}


def ecsv(columns):
    names = [f"c{i}" for i in range(columns)]
    head = "".join(f"# - {{name: {name}, datatype: string}}\n" for name in names)
    return (
        f"# %ECSV 1.0\n# ---\n# datatype:\n{head}# schema: astropy-2.0\n{' '.join(names)}\n{' '.join(names)}\n".encode()
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    directory = tmp_path_factory.mktemp("small") / "d"
    in_directory(directory, {"a.fits": saved([curve(RATE=np.zeros(3))])}, **LIGHTCURVE)
    with warm_process(directory) as ask:
        yield ask


@pytest.mark.parametrize("name", HOSTILE)
def test_files_of_others(name, measured, tmp_path):
    size = HOSTILE[name](tmp_path / "d")
    told = measured(tmp_path / "d")
    shutil.rmtree(tmp_path / "d")
    check(told, 2 * size + 50e6)
