"""Light curves with the conventions of the plugins: INTEGRAL's imagers, SPI-ACS, POLAR."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.lib import recfunctions

from tests.genuine_like.encode import encode, records, reply, unit

WORDS = {"time": "TIME", "rate": "RATE", "rate_err": "ERROR"}
SPI_ACS_EPHS = "101.5 -12.25 98000.0 0.02 0.02 40.0"
# cards of the templates that nobody filled in
TEMPLATE = {"SWBOUND": "String", "DETNAM": "UNKNOWN", "FILTER": ""}


def table(columns: Mapping[str, Any], header: Mapping[str, Any], name: str, units: Mapping[str, str] = {}) -> Any:
    """A table HDU; numbers of the kind that they are given in."""
    made = []
    for key, values in columns.items():
        array = np.asarray(values)
        made.append(fits.Column(key, "E" if array.dtype == np.float32 else "D", unit=units.get(key), array=array))
    hdu = fits.BinTableHDU.from_columns(made, name=name)
    hdu.header.update(dict(header))
    return hdu


def integral_header(**more: Any) -> dict[str, Any]:
    """Cards that the light curves of both imagers have."""
    return {
        "TELESCOP": "INTEGRAL", "MJDREF": 51544.0, "TIMESYS": "TT", "TIMEUNIT": "d", "TIMEREF": "LOCAL",
        "TIMEPIXR": 0.5, "EUNIT": "keV", "BACKAPP": True, "RADECSYS": "FK5", "EQUINOX": 2000.0, **TEMPLATE, **more,
    }  # fmt: skip


def imager_entry(hdu: Any, source: str, name: str) -> dict[str, Any]:
    """A product as the plugin makes it, one per source."""
    meta = {"src_name": source, **WORDS, "time_bin": hdu.header.get("TIMEDEL")}
    return encode([fits.PrimaryHDU(), hdu], name=name, meta=meta)


def isgri(rows: int = 12, source: str = "Cyg X-1", **cards: Any) -> dict[str, Any]:
    """ISGRI: TIME and XAX_E without units of their own, short bins at the ends of pointings, TIMEDEL = 2 XAX_E."""
    rng = np.random.default_rng(7)
    half = np.where(np.arange(rows) % 5 == 4, 0.0021, 0.00405).astype(np.float32)
    time = 7000.25 + np.cumsum(2.0 * half.astype(float)) - half + 0.1 * (np.arange(rows) // 5)
    rate = rng.normal(40, 2, rows).astype(np.float32)
    columns = {
        "TIME": time, "TOT_COUNTS": (rate * 600).astype(np.float32), "BACKV": np.full(rows, 150, np.float32),
        "BACKE": np.full(rows, 0.5, np.float32), "RATE": rate, "ERROR": np.full(rows, 2, np.float32),
        "FRACEXP": np.full(rows, 0.97, np.float32), "XAX_E": half, "TIMEDEL": 2.0 * half.astype(float),
    }  # fmt: skip
    header = integral_header(INSTRUME="IBIS", E_MIN=25.0, E_MAX=60.0, TIMEDEL=0.0081, RA_OBJ=299.59, DEC_OBJ=35.2)
    header = header | {"DETNAM": "ISGRI", "NAME": source} | cards
    return imager_entry(table(columns, header, "ISGR-SRC.-LCR"), source, "isgri_lc")


def jemx(
    time: Sequence[float] = (5000.0, 5000.02, 5000.04, 5000.04, 5000.06),
    width: Sequence[float] | None = (0.01, 0.01, 0.01, -0.01, 0.01),
    source: str = "Cyg X-1",
    number: int = 2,
    **cards: Any,
) -> dict[str, Any]:
    """JEM-X: two rows of one TIME, the second with a negative TIMEDEL; BARYTIME counts from MJDREF, too; no units."""
    rows = len(time)
    columns: dict[str, Any] = {
        "TIME": np.asarray(time, dtype=float),
        "RATE": np.linspace(3, 4, rows).astype(np.float32), "ERROR": np.full(rows, 0.25, np.float32),
        "BRATE": np.full(rows, 8, np.float32), "BERROR": np.full(rows, 0.1, np.float32),
        "BARYTIME": np.asarray(time, dtype=float) + 0.0031, "FRACEXP": np.full(rows, 0.8, np.float32),
    }  # fmt: skip
    columns |= {} if width is None else {"TIMEDEL": np.asarray(width, dtype=float)}
    header = integral_header(
        INSTRUME=f"JMX{number}", E_MIN=3.04, E_MAX=20.5, TIMEDEL=0.01, RA_OBJ=299.59, DEC_OBJ=35.2, NAME="String"
    )
    return imager_entry(table(columns, header | cards, f"JMX{number}-SRC.-LCR"), source, "jemx_lc")


def with_appended_widths(hdus: fits.HDUList, name: str, source: str) -> dict[str, Any]:
    """
    A file without widths as the plugin sends it: TIMEDEL is appended to the data, and not told in the header.

    The half width of a bin is that of the header, or what its predecessor leaves before the centre, if that is less.
    """
    units = []
    for hdu in hdus:
        header = {card.keyword: card.value for card in hdu.header.cards}
        kind = "primary" if isinstance(hdu, fits.PrimaryHDU) else "bintable"
        data = records(hdu) if kind == "bintable" else None
        if kind == "bintable" and "TIME" in hdu.columns.names:
            half = np.full(len(data), header["TIMEDEL"] / 2)
            for row in range(1, len(data)):
                half[row] = min(half[0], data["TIME"][row] - data["TIME"][row - 1] - half[row - 1])
            plain = np.array(data).view(data.dtype)
            data = recfunctions.append_fields(plain, "TIMEDEL", 2 * half, usemask=False)
        units.append(unit(data, name=hdu.name, header=header, kind=kind))
    return {"name": name, "meta_data": json.dumps({"src_name": source, **WORDS}), "data_unit_list": units}


def spi_acs_counts(per_bin: Sequence[int], level: float = 4500.0, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Counts of bins that are made of so many native ones, and their widths in s."""
    counts = np.random.default_rng(seed).poisson(level * np.asarray(per_bin))
    return counts, np.asarray(per_bin) / 20


def spi_acs(
    per_bin: Sequence[int] = (2, 3, 1, 2, 2, 3, 1, 2, 2, 2), level: float = 4500.0, drift: float = 2e-8, **cards: Any
) -> dict[str, Any]:
    """
    SPI-ACS: TIME is the mean of the starts of the native bins of 0.05 s, in s from the middle of the interval.

    Most bins have as many native ones as the first; TSTART and TSTOP are the edges; ``drift`` of the native bins in s.
    """
    counts, width = spi_acs_counts(per_bin, level)
    native = 0.05 + drift
    before = np.concatenate([[0], np.cumsum(per_bin)[:-1]])
    start, span = 700000000.125, native * sum(per_bin)
    middle = start + span / 2
    columns = {
        "TIME": start - middle + native * (before + (np.asarray(per_bin) - 1) / 2),
        "RATE": counts / width,
        "ERROR": np.sqrt(counts) / width,
    }
    header = {
        "TIMESYS": "TT", "TIMEREF": "LOCAL", "TASSIGN": "SATELLITE", "ONTIME": span, "TSTART": start,
        "TSTOP": start + span, "DATE-OBS": "2022-03-07T20:26:40.125", "DATE-END": "2022-03-07T20:26:40.125",
        "TIMEDEL": per_bin[0] / 20, "MJDREF": 51544.0, "TELESCOP": "INTEGRAL", "INSTRUME": "SPI-ACS",
        "TIMEZERO": middle, "TIMEUNIT": "s", "PROPHECY": "", "EPHS": SPI_ACS_EPHS, **cards,
    }  # fmt: skip
    units = {"TIME": "s", "RATE": "count/s", "ERROR": "count/s"}
    hdu = table(columns, header, "RATE", units)
    meta = {"src_name": "query", **WORDS, "time_bin": header["TIMEDEL"]}
    return encode([fits.PrimaryHDU(), hdu], name="", meta=meta)


def polar(start: float = 1.476e9, rows: int = 40, time_bin: float | None = 0.5) -> dict[str, Any]:
    """POLAR: small letters, an empty header, no units; Unix seconds, of which nothing tells."""
    made = np.zeros(rows, dtype=[("rate", "f8"), ("rate_err", "f8"), ("time", "f8")])
    made["time"] = start + 0.5 * np.arange(rows)
    made["rate"] = 900 + 10 * np.sin(np.arange(rows))
    made["rate_err"] = 30.0
    return {
        "name": "polar_lc",
        "meta_data": {"time": "time", "rate": "rate", "rate_err": "rate_err", "time_bin": time_bin},
        "data_unit_list": [unit(made, name="POLAR_LC", header={})],
    }


def lightcurve_reply(*entries: dict[str, Any], source: str = "Cyg X-1", **parameters: Any) -> dict[str, Any]:
    """Body of a reply with these light curves."""
    return reply(*entries, **{"query_type": "Real", "src_name": source, **parameters})
