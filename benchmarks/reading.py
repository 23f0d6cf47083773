"""
Read one body in one way, in a process of its own, and print what it took.

    python reading.py WAY CASE BODY WARM_UP_BODY

WAY is ``oda_api``, ``data`` (of every product), ``form``, ``listing``, ``parse``, ``floor``, ``astropy`` or ``check``.
A small body of the same kind is read first, for what astropy imports and builds on first use.
"""

# ruff: noqa: T201 - its answer goes to the one who started it
from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cases
import numpy as np

_BASE64 = ("binarys", "data")


def main(way: str, case: cases.Case, body: Path, small: Path) -> dict[str, float]:
    """Read the body, and tell the CPU time in seconds, the peak of memory and the size of the body in bytes."""
    read = _WAYS[way]()
    read(small.read_bytes(), cases.small(case))
    text = body.read_bytes()
    gc.collect()
    before = reset_peak()
    start = time.process_time()
    found = read(text, case)
    used = time.process_time() - start
    peak = max(peak_memory() - before, 0)
    del found  # only now: throwing it away is no part of reading
    return {"cpu": used, "peak": peak, "body": len(text)}


# ---- memory


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def reset_peak() -> int:
    """Begin to count the peak anew where the system can do that (Linux), and tell the present size."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return peak_memory()


def peak_memory() -> int:
    try:
        return _status("VmHWM")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# ---- touching


def touch(thing: Any) -> None:
    """Look at every value of an HDUList, a Table or an array."""
    if isinstance(thing, bytes):
        thing.count(0)
    elif isinstance(thing, str):
        len(thing)
    elif isinstance(thing, np.ndarray):
        _touch_array(thing)
    else:
        for array in _arrays(thing):
            _touch_array(array)


def _arrays(thing: Any) -> Iterator[Any]:
    if hasattr(thing, "colnames"):
        yield from (thing[name] for name in thing.colnames)
        return
    for hdu in thing:
        if getattr(hdu, "columns", None) is not None:
            yield from (hdu.data[name] for name in hdu.columns.names)
        elif hdu.data is not None:
            yield hdu.data


def _touch_array(array: Any) -> None:
    array = getattr(array, "jd2", array)  # of a Time
    if array.dtype.kind in "biuf":
        np.asarray(array).max(initial=0)
    elif array.dtype.kind == "O":
        for row in array:
            row.max(initial=0)
    else:
        np.ascontiguousarray(array).view("u1").max(initial=0)


# ---- ways of reading


def _oda_api() -> Callable[[bytes, cases.Case], Any]:
    """What `DispatcherAPI.get_product` does with a reply, and the HDUs that its products make."""
    import logging

    from oda_api.api import DataCollection, DispatcherAPI  # takes long to import
    from oda_api.data_products import NumpyDataProduct

    logging.disable(logging.CRITICAL)
    client = DispatcherAPI.__new__(DispatcherAPI)
    client.logger = logging.getLogger("oda_api")
    client.n_max_tries, client.retry_sleep_s = 1, 0

    def read(text: bytes, case: cases.Case) -> Any:
        response = SimpleNamespace(content=text, json=lambda: json.loads(text))
        reply = client._decode_res_json(response)  # noqa: SLF001 - of oda_api
        collection = DataCollection.from_response_json(reply, "isgri", "product")
        found = []
        for product in collection._p_list:  # noqa: SLF001 - of oda_api
            form = product.to_fits_hdu_list() if isinstance(product, NumpyDataProduct) else None
            found.append(form if form is not None else getattr(product, "table", getattr(product, "bin_data", None)))
            touch(found[-1])
        return found

    return read


def _form() -> Callable[[bytes, cases.Case], Any]:
    products = _products()

    def read(text: bytes, case: cases.Case) -> Any:
        if case.form == "data":
            return _touched_data(products(text))
        found = getattr(products(text), case.form)()
        touch(found)
        return found

    return read


def _data() -> Callable[[bytes, cases.Case], Any]:
    products = _products()
    return lambda text, case: _touched_data(products(text))


def _touched_data(products: Any) -> Any:
    for product in products:
        # what is handed over as it came has no arrays
        if not isinstance(product.data, dict):
            touch(product.data)
    return products


def _listing() -> Callable[[bytes, cases.Case], Any]:
    products = _products()
    return lambda text, case: products(text)


def _products() -> Callable[[bytes], Any]:
    from astroquery_mmoda.products import Products

    return Products.from_response


def _parse() -> Callable[[bytes, cases.Case], Any]:
    return lambda text, case: json.loads(text)


def _floor() -> Callable[[bytes, cases.Case], Any]:
    """JSON and base64 of the body, no more: nobody can do with less."""
    import pybase64

    def decoded(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            for item in value:
                yield from decoded(item)
        elif isinstance(value, dict):
            for key, item in value.items():
                if key in _BASE64 and isinstance(item, str):
                    altchars = b"-_" if key == "data" else None
                    yield pybase64.b64decode(item, altchars=altchars, validate=True)
                else:
                    yield from decoded(item)

    return lambda text, case: list(decoded(json.loads(text)["products"]))


def _astropy() -> Callable[[bytes, cases.Case], Any]:
    """The tables of a reply, read by astropy."""
    from astropy.table import Table

    def read(text: bytes, case: cases.Case) -> Any:
        entries = json.loads(text)["products"]["astropy_table_product_ascii_list"]
        tables = [Table.read(entry["ascii"], format="ascii.ecsv") for entry in entries]
        for table in tables:
            touch(table)
        return tables

    return read


def _check() -> Callable[[bytes, cases.Case], Any]:
    import checks

    products = _products()

    def read(text: bytes, case: cases.Case) -> Any:
        checks.CHECKS[case.form](case, products(text))

    return read


_WAYS = {"oda_api": _oda_api, "data": _data, "form": _form, "listing": _listing, "parse": _parse}
_WAYS |= {"floor": _floor, "astropy": _astropy, "check": _check}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], cases.CASES[sys.argv[2]], Path(sys.argv[3]), Path(sys.argv[4]))))
