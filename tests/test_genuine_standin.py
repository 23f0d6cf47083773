# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Whether the local service sends what the genuine one sends: names, columns, units, keywords and habits, not numbers.

All other tests believe the local service, which is ours. These compare it with replies that we did not write.
"""

from __future__ import annotations

import gzip
import json
import types

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from tests.test_local_mmoda import FEW, SHORT, XRAYS, run, unpack

REQUESTS = {
    "isgri_image_1": {**FEW, "product_type": "isgri_image"},
    "isgri_image_2": {**FEW, "product_type": "isgri_image"},
    "isgri_spectrum": {**FEW, "product_type": "isgri_spectrum"},
    "isgri_lc": {**FEW, "product_type": "isgri_lc", "time_bin": 1000},
    "jemx_spectrum": {**XRAYS, "product_type": "jemx_spectrum", "jemx_num": 1},
    "jemx_lc": {**XRAYS, "product_type": "jemx_lc", "jemx_num": 1, "time_bin": 1000},
    "spi_acs_lc": {"instrument": "spi_acs", **SHORT, "product_type": "spi_acs_lc", "time_bin": 0.1},
}
OF_THE_FILE = {"CHECKSUM", "DATASUM", "COMMENT", "HISTORY", "LONGSTRN"}
"""Keywords of the programs that wrote or changed a file."""
TEMPLATE = {"String", "Integer", "Real", "UTC_format"}
"""Words that stand for a value which nobody filled in."""
SAME = """
    MJDREF TIMESYS TIMEUNIT TIMEREF TIMEPIXR TELESCOP INSTRUME DETNAM RADECSYS EQUINOX BASETYPE ISDCLEVL CHANTYPE EUNIT
    HDUCLASS HDUCLAS1 HDUCLAS2 HDUCLAS3 HDUVERS TLMIN1 TLMIN4 EFFAREA POISSERR AREASCAL BACKSCAL CORRSCAL BACKFILE CORRFILE
    BUNIT IMATYPE BSCALE BZERO CTYPE1 CTYPE2 CUNIT1 CUNIT2 IDXMEMBR GRPNAME TIMVERS TASSIGN PROPHECY BACKAPP DEADAPP VIGNAPP
    FILTER SW_TYPE
""".split()


def parsed(value):
    """Parts of genuine replies may be text in text."""
    return json.loads(value) if isinstance(value, str) else value


def of_one_source(reply):
    """Products of the first source; those of JEM-X have the same shape for all others."""
    found = [parsed(entry) for entry in parsed(reply["products"])["numpy_data_product_list"]]
    metas = [parsed(entry["meta_data"]) for entry in found]
    return [
        types.SimpleNamespace(name=entry["name"], meta=meta, units=[parsed(unit) for unit in entry["data_unit_list"]])
        for entry, meta in zip(found, metas, strict=True)
        if meta["src_name"] == metas[0]["src_name"]
    ]


@pytest.fixture(scope="module", params=REQUESTS)
def pair(request, genuine, local_mmoda):
    """Products of the genuine service and of ours, and what they are."""
    theirs = json.loads(gzip.decompress((genuine / "replies" / f"{request.param}.json.gz").read_bytes()))
    ours = run(local_mmoda, **REQUESTS[request.param])[-1]
    assert ours["query_status"] == "done"
    assert {key for key, value in theirs["products"].items() if value} <= {*ours["products"]}
    return request.param, of_one_source(theirs), of_one_source(ours)


def units_of(pair):
    """All pairs of data units, the genuine one first."""
    for theirs, ours in zip(*pair[1:], strict=True):
        yield from zip(theirs.units, ours.units, strict=True)


def test_products_are_called_alike(pair):
    for theirs, ours in zip(*pair[1:], strict=True):
        # SPI-ACS itself has no name for its product
        assert ours.name in (theirs.name, None)
        assert set(theirs.meta) <= set(ours.meta)
        for key in ("product", "time", "rate", "rate_err", "instrument"):
            assert ours.meta.get(key) == theirs.meta.get(key)


def test_units_are_called_alike(pair):
    for theirs, ours in units_of(pair):
        # what comes from a file has the names of its extensions; some are renamed on the way
        names = {str(ours["name"]).upper(), ours["header"].get("EXTNAME")}
        assert theirs["name"].upper() in names
        assert ours["hdu_type"] == theirs["hdu_type"]


def described(array):
    """Names, kinds and sizes in their order; how many channels a row of a matrix has is a matter of the file."""
    if array.dtype.names is None:
        return [(array.ndim, array.dtype.str[1:])]
    fields = [(name, array.dtype[name]) for name in array.dtype.names]
    return [(name, dtype.base.str[1:], dtype.ndim) for name, dtype in fields]


def test_columns_are_alike(pair):
    for theirs, ours in units_of(pair):
        if theirs["binarys"] is None:
            assert ours["binarys"] is None
        else:
            assert described(unpack(ours)) == described(unpack(theirs))


def column_units(unit):
    """Units of the columns that have one."""
    header = unit["header"]
    titles = {key[5:]: value for key, value in header.items() if key.startswith("TTYPE")}
    found = {title: header.get(f"TUNIT{number}") for number, title in titles.items()}
    return {title: text for title, text in {**found, **(unit["units_dict"] or {})}.items() if text}


def test_columns_have_the_same_units(pair):
    for theirs, ours in units_of(pair):
        own = column_units(ours)
        if pair[0] in ("isgri_lc", "jemx_lc"):
            # These genuine files were written by a client, which lost the units of tables with an appended column.
            own = {name: unit for name, unit in own.items() if unit != "count/s" and name not in ("TIME", "BARYTIME")}
        assert own == column_units(theirs)


def test_units_of_light_curves(genuine, local_mmoda):
    """As the analysis software writes them, in a file that no client has had."""
    with fits.open(genuine / "jemx_query_lc.fits.gz") as hdus:
        columns = hdus[2].columns
        theirs = [(column.name, column.format, column.unit) for column in columns]
    (_, unit) = of_one_source(run(local_mmoda, **REQUESTS["jemx_lc"])[-1])[0].units
    header = unit["header"]
    numbers = range(1, header["TFIELDS"] + 1)
    ours = [(header[f"TTYPE{number}"], header[f"TFORM{number}"], header.get(f"TUNIT{number}")) for number in numbers]
    assert ours == theirs


def test_headers_have_the_same_keywords(pair):
    for theirs, ours in units_of(pair):
        appended = [key[5:] for key, value in theirs["header"].items() if key[:5] == "TTYPE" and value == "TIMEDEL"]
        of_columns = {f"{key}{number}" for number in appended for key in ("TTYPE", "TFORM")}
        of_columns |= {key for key in theirs["header"] if key.startswith(("TNULL", "TSCAL"))}
        if ours["units_dict"]:
            # where the plugin of SPI-ACS has them; the genuine file was written by a client
            of_columns |= {key for key in theirs["header"] if key.startswith("TUNIT")}
        if ours["hdu_type"] == "primary":
            continue
        missing = set(theirs["header"]) - set(ours["header"]) - OF_THE_FILE - of_columns
        assert not missing, theirs["name"]


def empty(value):
    """A card without a value."""
    return value in (None, "", "UNDEFINED")


def test_headers_say_the_same(pair):
    """What does not depend on the observation, also where it is a word of a template or nothing at all."""
    for theirs, ours in units_of(pair):
        for key in set(theirs["header"]) & set(ours["header"]):
            value, own = theirs["header"][key], ours["header"][key]
            if key in SAME or value in TEMPLATE:
                assert own == value, (theirs["name"], key)
            elif empty(value) and key != "SOURCEID":
                assert empty(own), (theirs["name"], key)


# ---- habits: the same function says the same of both


def seconds_of_leap(header, date, time):
    """By how much a date of a header is before its time (s, to 2 s)."""
    difference = header["MJDREF"] + header[time] - Time(header[date], scale="tt").mjd
    return round(difference * 86400 / 2) * 2


def habits_of_images(products):
    (mosaic,) = products
    maps = {unit["header"]["IMATYPE"]: unpack(unit) for unit in mosaic.units[2:]}
    header = mosaic.units[2]["header"]
    outside = maps["EXPOSURE"] == 0
    corner = {name: float(values[0, 0]) for name, values in maps.items()}
    leap = 32.184 + (32 if header["TSTART"] < 2192 else 37)
    return {
        "order": list(maps),
        "corner": corner,
        "no exposure, no variance": bool(np.array_equal(outside, maps["VARIANCE"] == 0)),
        "zero outside": not any(values[outside].any() for values in maps.values()),
        "no NaN": all(np.isfinite(values).all() for values in maps.values()),
        "dates in UTC": abs(seconds_of_leap(header, "DATE-OBS", "TSTART") - leap) < 3,
        "elapsed is not from start to stop": abs(header["TELAPSE"] - (header["TSTOP"] - header["TSTART"]) * 86400)
        > 100,
        "elapsed is not less than on": header["TELAPSE"] >= header["ONTIME"],
        "name": {unit["name"] for unit in mosaic.units[2:]},
    }


def habits_of_spectra(products):
    spectrum, arf, rmf = products
    units = {unit["name"]: unit for unit in rmf.units}
    bounds = units.get("EBOUNDS") or units["ISGR-EBDS-MOD"]
    matrix = units.get("SPECRESP MATRIX") or units["ISGR-RMF.-RSP"]
    pha, area, response = unpack(spectrum.units[1]), unpack(arf.units[1])["SPECRESP"], unpack(matrix)
    bad = pha["QUALITY"] != 0
    return {
        "first channels": (int(pha["CHANNEL"][0]), int(unpack(bounds)["CHANNEL"][0])),
        "F_CHAN": set(response["F_CHAN"].tolist()),
        "all channels in a row": set(response["N_CHAN"].tolist()) == {len(pha)},
        "as many channels as bounds": len(pha) == len(unpack(bounds)) == spectrum.units[1]["header"]["DETCHANS"],
        "ones in the ARF": set(area.tolist()) == {1.0},
        "area in the matrix": bool(response["MATRIX"].sum(axis=1).max() > 100),
        "bad channels": set(pha["QUALITY"][bad].tolist()),
        "no value in the first": bool(np.isnan(pha["RATE"][0]) and np.isinf(pha["STAT_ERR"][0])),
        "good channels have errors": bool((pha["STAT_ERR"][~bad] > 0).all()),
        "inner areas": [
            unit["header"].get("TUNIT3") for unit in rmf.units if unit["header"].get("HDUCLAS2") == "SPECRESP"
        ],
        "inner areas have the numbers of the ARF": [
            bool(np.array_equal(unpack(unit)["SPECRESP"], area))
            for unit in rmf.units
            if unit["header"].get("HDUCLAS2") == "SPECRESP"
        ],
    }


def habits_of_light_curves(products):
    curve = products[0]
    (unit,) = curve.units[1:]
    table, header = unpack(unit), unit["header"]
    begin = table["TIME"] - table["TIMEDEL"] / 2
    found = {
        "full widths": "XAX_E" not in table.dtype.names
        or bool(np.allclose(table["TIMEDEL"], 2 * table["XAX_E"].astype(float))),
        "bins differ": bool(np.ptp(np.abs(table["TIMEDEL"])) > 1e-6),
        "starts with the first bin": abs(begin[0] - header["TSTART"]) * 86400 < 60,
        "duration in days": abs(header["TELAPSE"] - (header["TSTOP"] - header["TSTART"])) < 1e-6,
        "with gaps": bool(np.max(np.diff(table["TIME"])) > 1.5 * np.max(table["TIMEDEL"])),
        "exposed at most in full": bool((table["FRACEXP"] <= 1.0).all()),
    }
    if "BARYTIME" in table.dtype.names:
        found["not barycentred"] = not table["BARYTIME"].any()
    return found


def habits_of_the_shield(products):
    unit = products[0].units[1]
    table, header = unpack(unit), unit["header"]
    widths = table["RATE"] / table["ERROR"] ** 2
    native = np.round(widths / 0.05, 3)
    starts = header["TIMEZERO"] + table["TIME"] - (widths - 0.05) / 2
    return {
        "start of the first native bin": abs(starts[0] - header["TSTART"]) < 1e-3,
        "end of the last one": abs(starts[-1] + widths[-1] - header["TSTOP"]) < 1e-3,
        "whole native bins": set(native.tolist()) <= {1.0, 2.0, 3.0},
        "some differ": bool(0 < np.mean(native != 2) < 0.01),
        "no gaps": bool(np.abs(starts[1:] - starts[:-1] - widths[:-1]).max() < 1e-3),
        "nominal width": header["TIMEDEL"],
        "one date": header["DATE-OBS"] == header["DATE-END"],
        "in TT": seconds_of_leap({**header, "t": header["TSTART"] / 86400}, "DATE-OBS", "t"),
        "duration": abs(header["TSTOP"] - header["TSTART"] - header["ONTIME"]) < 1e-3,
        "ephemeris": [len(part.split(".")) for part in header["EPHS"].split()],
        "from the middle": abs(table["TIME"][0] + table["TIME"][-1]) < 0.06,
    }


HABITS = {"image": habits_of_images, "spectrum": habits_of_spectra, "lc": habits_of_light_curves}


def test_they_have_the_same_habits(pair):
    name, theirs, ours = pair
    kind = next(kind for kind in HABITS if kind in name)
    habits = habits_of_the_shield if name.startswith("spi_acs") else HABITS[kind]
    assert habits(ours) == habits(theirs)
