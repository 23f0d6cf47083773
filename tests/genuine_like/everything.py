"""One reply with a product of every kind, some with columns of variable length."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from tests.genuine_like import images, lightcurves, spectra
from tests.genuine_like.encode import product, reply

_RESPONSES = Path(__file__).parents[1] / "data" / "responses"
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)
# types of elements: of all, one row is empty and one the longest
_ELEMENTS = {"J": "i4", "E": "f4", "D": "f8", "B": "u1", "M": "c16"}


def ragged(rows: int, *, longest: int = 9, descriptor: str = "P", seed: int = 1) -> fits.BinTableHDU:
    """A table whose columns have rows of different lengths; ``descriptor`` Q for heaps of more than 2 GB."""
    rng = np.random.default_rng(seed)
    columns = [fits.Column("NUMBER", "J", array=np.arange(rows))]
    for letter, kind in _ELEMENTS.items():
        lengths = rng.integers(0, longest + 1, rows)
        lengths[:2] = 0, longest
        array = np.empty(rows, dtype=object)
        for row, length in enumerate(lengths):
            array[row] = rng.integers(0, 200, length).astype(kind)
        columns.append(fits.Column(f"OF_{letter}", f"{descriptor}{letter}({longest})", array=array))
    return fits.BinTableHDU.from_columns(columns, name=f"RAGGED_{descriptor}")


def everything() -> dict[str, Any]:
    """Body of a finished analysis that has all kinds of products."""
    recorded = {
        name: json.loads((_RESPONSES / f"{name}.json").read_text(encoding="utf-8"))["json"]["products"]
        for name in ("isgri_image_dummy", "nb_everything_4_done")
    }
    workflow = recorded["nb_everything_4_done"]
    square = [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]]
    parts = spectra.jemx()
    parts["rmf"] = spectra.one_file(spectra.bounds(), spectra.short_matrix(empty=1))
    cube = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.arange(24.0).reshape(2, 3, 4), name="CUBE")])
    arrays = [
        product(images.mosaic(), "mosaic_image"),
        *spectra.products(parts, "Ser X-1"),
        *spectra.products(spectra.isgri(), "GX 17+2", "isgri"),
        lightcurves.isgri(),
        product(fits.HDUList([fits.PrimaryHDU(), ragged(40), ragged(30, descriptor="Q", seed=2)]), "ragged"),
        product(fits.HDUList([fits.PrimaryHDU(), ragged(3000, longest=90, seed=3)]), "large heap"),
        product(cube, "cube"),
    ]
    more = {
        "catalog": recorded["isgri_image_dummy"]["catalog"],
        "astropy_table_product_ascii_list": workflow["astropy_table_product_ascii_list"],
        "binary_image_product_list": [{"img_type": "png", "name": "plot", "b64data": _base64(_PNG)}],
        "binary_data_product_list": [{"name": "raw.dat", "data": _base64(bytes(range(256)) * 30)}],
        "text_product_list": [{"name": "remark", "value": "two\nlines, \N{GREEK SMALL LETTER BETA}"}],
        "gw_strain_product_list": [{"name": "strain", "value": [1e-21, 2e-21, -3e-21], "t0": 1.1e9, "dt": 0.25}],
        "gw_spectrogram_product": {"value": [[1, 2], [3, 4]], "x0": 1e9, "dx": 0.5, "yindex": [20, 40], "dy": "none"},
        "gw_skymap_product": {
            "skymaps": {"GW1": product(fits.HDUList([fits.PrimaryHDU(), ragged(5, seed=4)]), "skymap_GW1")},
            "contours": {"GW1": {"levels": [50], "contours": [square]}},
        },
        "echo": {"E1_keV": 20.0, "deep": [1, {"a": None}]},
    }
    return reply(*arrays, more=more, instrument="isgri", product_type="everything")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
