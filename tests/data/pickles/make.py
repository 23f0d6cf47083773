"""Write the payloads beside this file: run it with each version of numpy and astropy to be covered."""

import base64
import io
import json
import pathlib
import pickle
import sys

import astropy
import numpy as np
from astropy.io import fits

COLUMNS = [
    fits.Column("L", "L", array=np.array([True, False])),
    fits.Column("U", "I", bzero=2**15, array=np.array([0, 65535], "u2")),
    fits.Column("S", "I", array=np.array([0, 1], "i2")),
    fits.Column("A", "5A", array=np.array(["Crab", "3C111"])),
    fits.Column("E", "E", unit="keV", array=np.array([1.5, 2.5], "f4")),
    fits.Column("P", "PE()", array=np.array([np.arange(2, dtype="f4"), np.arange(3, dtype="f4")], dtype=object)),
]
VALUES = {
    "L": [True, False], "U": [0, 65535], "S": [10.0, 10.5], "A": ["Crab", "3C111"], "E": [1.5, 2.5],
    "P": [[0.0, 1.0], [0.0, 1.0, 2.0]],
}  # fmt: skip


def main():
    file = io.BytesIO()
    hdu = fits.BinTableHDU.from_columns(COLUMNS)
    hdu.header["TSCAL3"], hdu.header["TZERO3"] = 0.5, 10
    hdu.writeto(file)
    file.seek(0)
    version = f"numpy{np.__version__.rsplit('.', 1)[0]}-astropy{astropy.__version__.rsplit('.', 1)[0]}"
    with fits.open(file) as hdulist:
        data = hdulist[1].data
        for name in VALUES:
            data[name]
        for protocol in (2, 4, 5):
            case = {"pickle": base64.b64encode(pickle.dumps(data, protocol)).decode(), "values": VALUES}
            path = pathlib.Path(__file__).parent / f"fits-table-{version}-protocol{protocol}.json"
            path.write_text(json.dumps(case) + "\n")
            sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()
