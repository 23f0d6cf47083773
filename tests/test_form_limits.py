"""Forms of hostile replies: bounds of memory and time, and errors of ours, for everything that is made of products."""

import base64
import json
import pickle

import numpy as np
import pytest

from tests.measuring import check

DONE = {"query_status": "done", "exit_status": {}, "job_monitor": {}}


def reply(**products):
    return json.dumps({**DONE, "products": products}).encode()


def product(*units, name="isgri_lc", **meta):
    return {"name": name, "meta_data": json.dumps(meta), "data_unit_list": list(units)}


def encoded(array):
    return base64.b64encode(pickle.dumps(array, 4)).decode()


def unit(array, name="T", hdu_type="bintable", **header):
    return {"name": name, "hdu_type": hdu_type, "header": header, "binarys": encoded(array)}


def arrays(*products):
    return reply(numpy_data_product_list=list(products))


def records(rows, **columns):
    """Rows of a light curve with further columns, each given by its dtype."""
    array = np.zeros(rows, [("TIME", "f8"), ("RATE", "f4"), *columns.items()])
    array["TIME"] = 6000 + np.arange(rows)
    return array


def separate_columns(curves, rows):
    return arrays(
        *(product(unit(records(rows, **{f"C{i}": "f8"}), MJDREF=51544), src_name=f"S{i}") for i in range(curves))
    )


def beside_long(columns, dtype, rows):
    """One row with a large cell, among many rows of another source."""
    large = unit(records(1, **{f"C{i}": dtype for i in range(columns)}))
    return arrays(product(large, src_name="A"), product(unit(records(rows, D="f4")), src_name="B"))


def many_names(curves, length, rows=1):
    """Sources of which one has a very long name."""
    names = ["N" * length, *(f"S{i}" for i in range(curves))]
    return arrays(*(product(unit(records(rows)), src_name=name) for name in names))


def images(count, shape, dtype="f4", **header):
    pixels = np.ones(shape, dtype)
    pixels[..., 0] = 0
    units = [
        unit(pixels, "I", "image", IMATYPE=kind, E_MIN=float(band), E_MAX=band + 1.0, **header)
        for band in range(count // 2)
        for kind in ("INTENSITY", "VARIANCE")
    ]
    return arrays(product(*units, name="mosaic_image"))


def spectra(count, name="S{}", channels=4, rows=1, groups=1):
    spectrum = np.zeros(channels, [("CHANNEL", "i4"), ("RATE", "f4"), ("STAT_ERR", "f4")])
    spectrum["CHANNEL"] = np.arange(channels)
    bounds = np.zeros(channels, [("CHANNEL", "i4"), ("E_MIN", "f4"), ("E_MAX", "f4")])
    bounds["CHANNEL"], bounds["E_MIN"] = np.arange(channels), np.arange(channels)
    bounds["E_MAX"] = bounds["E_MIN"] + 1
    matrix = np.zeros(
        rows,
        [
            ("ENERG_LO", "f4"),
            ("ENERG_HI", "f4"),
            ("N_GRP", "i2"),
            ("F_CHAN", "i2"),
            ("N_CHAN", "i2"),
            ("MATRIX", "f4", (groups,)),
        ],
    )
    for i in range(count):
        source = name.format(i)
        yield product(unit(spectrum, "SPECTRUM"), name="isgri_spectrum", src_name=source, product="isgri_spectrum")
        yield product(
            unit(bounds, "EBOUNDS"), unit(matrix, "MATRIX"), name="isgri_rmf", src_name=source, product="isgri_rmf"
        )


def catalogue(names, **columns):
    rows = len(names)
    cells = {"meta_ID": list(range(rows)), "src_names": names, "ra": [1.0] * rows, "dec": [1.0] * rows, **columns}
    return {"cat_column_names": list(cells), "cat_column_list": list(cells.values()), "cat_frame": "fk5"}


def with_image(catalog):
    pixels = np.ones((4, 4), "f4")
    return reply(numpy_data_product_list=[product(unit(pixels, "I", "image"), name="mosaic_image")], catalog=catalog)


def ecsv(columns, rows, names=None):
    head = "".join(f"# - {{name: {name}, datatype: float64}}\n" for name in columns)
    body = "".join(" ".join(["1.5"] * len(columns)) + "\n" for _ in range(rows))
    return f"# %ECSV 1.0\n# ---\n# datatype:\n{head}# schema: astropy-2.0\n{' '.join(columns)}\n{body}"


def text_tables(curves, rows):
    words = json.dumps({"time": "t", "rate": "r", "rate_err": "e"})
    return reply(
        astropy_table_product_ascii_list=[
            {"name": f"curve{i}", "ascii": ecsv(["t", "r", "e", f"c{i}"], rows), "meta_data": words}
            for i in range(curves)
        ]
    )


HOSTILE = {
    "curves with columns of their own": lambda: separate_columns(800, 12),
    "long curves with columns of their own": lambda: separate_columns(60, 4000),
    "text tables with columns of their own": lambda: text_tables(700, 15),
    "vector among rows": lambda: beside_long(1, ("f4", (20000,)), 20_000),
    "vectors among rows": lambda: beside_long(100, ("f4", (50,)), 5000),
    "text among rows": lambda: beside_long(1, "S1000000", 2000),
    "image of bytes among rows": lambda: beside_long(1, ("u1", (300, 300)), 5000),
    "name of a megabyte": lambda: many_names(500, 100_000),
    "name among many rows": lambda: many_names(1, 900, 10_000),
    "texts that become wider": lambda: arrays(product(unit(records(200_000, N="S8")), src_name="A")),
    "flags that become wider": lambda: arrays(product(unit(records(20_000, L="?")), src_name="A")),
    "images in products": lambda: arrays(
        *(product(unit(np.ones((2, 2), "f4"), "I", "image", N=i, CRVAL1=i), name="mosaic_image") for i in range(1000))
    ),
    "images of bytes": lambda: images(10, (1000, 1000), "u1"),
    "cards of images": lambda: arrays(
        product(
            *(unit(np.ones((2, 2), "f4"), "I", "image", **{f"K{i}": i for i in range(2000)}) for _ in range(20)),
            name="mosaic_image",
        )
    ),
    "dates of images": lambda: images(50, (2, 2), DATE_OBS="x", MJDREF="9" * 5000, TSTART=1e308, TIMEUNIT="s"),
    "spectra": lambda: arrays(*spectra(300)),
    "spectra with a long name": lambda: arrays(*spectra(300), *spectra(1, "N" * 100_000)),
    "wide matrix": lambda: arrays(*spectra(1, groups=500_000)),
    "channels": lambda: arrays(*spectra(1, channels=300_000)),
    "catalogue with a long name": lambda: with_image(catalogue(["n" * 300_000, *(["a"] * 8)])),
    "catalogue of Greek": lambda: with_image(catalogue(["\N{GREEK SMALL LETTER OMEGA}" * 100] * 6000)),
    "catalogue with columns": lambda: with_image(catalogue(["a"], **{f"c{i}": [1] for i in range(10_000)})),
    "catalogue with rows": lambda: with_image(catalogue([f"S{i}" for i in range(30_000)])),
    "names of products": lambda: reply(text_product_list=[{"name": "n" * 10_000, "value": "v"}] * 300),
    "same names": lambda: reply(text_product_list=[{"name": "n", "value": "v"}] * 20_000),
    "parameters": lambda: reply(
        analysis_parameters={f"p{i}": "v" * 100 for i in range(10_000)},
        numpy_data_product_list=[product(unit(records(3)), src_name="A")],
    ),
}


#: rows of genuine size, which may take more besides (security.md, F5)
ROWS = {"texts that become wider": 200_000}


@pytest.mark.parametrize("name", HOSTILE)
def test_forms_of_hostile_replies(name, measured, tmp_path):
    body = HOSTILE[name]()
    (tmp_path / "body").write_bytes(body)
    told = measured(tmp_path / "body")
    (tmp_path / "body").unlink()
    check(told, 2 * len(body) + 50e6 + ROWS.get(name, 0) * (160 + 4))
