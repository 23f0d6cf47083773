"""Write pickled tables beside this file: run it with each version of numpy and astropy to be covered."""

import base64
import json
import pathlib
import pickle
import sys

import astropy
import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time

UNITS = ["erg / (s cm2)", "km", "Jy(1/2)", "10 erg(1/3) s", "mag", "mag(ct / s)", "dex", "ct", "", "furlong per fortnight"]


def table():
    result = Table({"n": [1, 2], "name": ["Crab", "β Cas"], "raw": [b"a", b"bc"], "yes": [True, False]})
    result["vector"] = Column([[1.0, 2.0], [3.0, np.inf]], unit="m", description="two numbers each", meta={"k": [1, None]})
    result["gap"] = MaskedColumn([1, 2], mask=[False, True], unit="keV")
    result["no name"] = MaskedColumn(["a", "b"], mask=[True, False])
    for number, unit in enumerate(UNITS):
        result[f"u{number}"] = Column([1.5, 2.5], dtype=">f4", unit=u.Unit(unit, parse_strict="silent"))
    result.meta = {"origin": "synthetic", "k": [1, {"a": None}], "x": np.float64(1.5), "length": 3 * u.m}
    return result


def qtable():
    result = QTable({"n": [1, 2], "flux": [1.0, 2.0] * u.Unit("erg / (s cm2)"), "mag": [1.0, 2.0] * u.mag})
    result["flux"].info.description = "with a unit"
    result["when"] = Time(["2020-01-01T00:00:00", "2021-01-01T12:00:00"], scale="tt")
    result["mjd"] = Time([50000.0, 50001.5], format="mjd", scale="utc")
    result["passed"] = result["when"] - result["when"][0]
    return result


def described(column):
    """What is to be found in a column again."""
    if isinstance(column, Time):
        return {"values": column.mjd.tolist(), "unit": "d", "meta": {"format": "mjd", "scale": column.scale}}
    if not hasattr(column, "unit"):
        return {"values": column.jd.tolist(), "unit": "d", "meta": {"format": "jd", "scale": column.scale}}
    plain = column.value if isinstance(column, u.Quantity) else column
    return {
        "values": np.ma.asarray(plain).astype("U" if plain.dtype.kind == "S" else plain.dtype).tolist(),
        "dtype": plain.dtype.str,
        "unit": None if column.unit is None else str(column.unit),
        "description": column.info.description,
        "meta": dict(column.info.meta or {}),
    }


def main():
    version = f"numpy{np.__version__.rsplit('.', 1)[0]}-astropy{astropy.__version__.rsplit('.', 1)[0]}"
    for kind, content in (("table", table()), ("qtable", qtable())):
        columns = {name: described(content[name]) for name in content.colnames}
        case = {"pickle": base64.b64encode(pickle.dumps(content, 2)).decode(), "columns": columns}
        path = pathlib.Path(__file__).parent / f"astropy-{kind}-{version}-protocol2.json"
        path.write_text(json.dumps(case) + "\n")
        sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()
