"""
Spectra with the shapes of genuine ones, but few channels and a simple sky.

Each channel is 10 keV wide, the first begins at `LOW`. The response puts photons into the channel of their energy, so
that a channel counted wrongly shows at once: `line` has the counts of a source that shines in one channel only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits

from .encode import product

LOW, WIDTH, CHANNELS, FINE = 20.0, 10.0, 6, 3
E_MIN = LOW + WIDTH * np.arange(CHANNELS)
# energies of photons: some in each channel
ENERGIES = LOW + WIDTH / FINE * np.arange(CHANNELS * FINE + 1)
AREA = 60.0 + np.arange(CHANNELS * FINE)
RATES = np.array([4.0, 3.0, 2.5, 2.0, 1.0, 0.5])
ERRORS = np.array([0.4, 0.3, 0.5, 0.4, 0.5, 0.25])


def column(name: str, form: str, array: Any, unit: str | None = None) -> fits.Column:
    """Make a column; ``array`` may be shorter to repeat."""
    return fits.Column(name, form, unit, array=array)


def table(name: str, columns: list[fits.Column], **cards: Any) -> fits.BinTableHDU:
    """Make a table; ``cards`` that are None have no value."""
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    for key, value in cards.items():
        hdu.header[key] = value
    return hdu


def spectrum(first: int = 0, name: str = "XX-PHA1-SPE", *, values: Any = None, **cards: Any) -> fits.BinTableHDU:
    """A spectrum of rates; ``values`` has other columns, by name."""
    columns = {"RATE": RATES, "STAT_ERR": ERRORS, "SYS_ERR": np.zeros(CHANNELS)} | (values or {})
    listed = [column("CHANNEL", "I", first + np.arange(CHANNELS))]
    units = {"RATE": "count/s", "COUNTS": "count", "STAT_ERR": "count" if "COUNTS" in columns else "count/s"}
    listed += [column(key, "D", array, units.get(key)) for key, array in columns.items()]
    listed += [column("QUALITY", "I", np.zeros(CHANNELS)), column("GROUPING", "I", np.ones(CHANNELS))]
    told = {"HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "HDUCLAS3": "RATE", "EXPOSURE": 1000.0, "TELESCOP": "INTEGRAL"}
    return table(name, listed, **(told | cards))


def area(name: str = "SPECRESP", *, values: Any = AREA, unit: str | None = "cm**2", **cards: Any) -> fits.BinTableHDU:
    """An effective area."""
    columns = [
        column("ENERG_LO", "E", ENERGIES[:-1], "keV"),
        column("ENERG_HI", "E", ENERGIES[1:], "keV"),
        column("SPECRESP", "E", np.broadcast_to(values, AREA.shape), unit),
    ]
    told = {"HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "HDUCLAS2": "SPECRESP"}
    return table(name, columns, **(told | cards))


def bounds(first: int = 0, name: str = "EBOUNDS", **cards: Any) -> fits.BinTableHDU:
    """Energies of the channels."""
    columns = [
        column("CHANNEL", "J", first + np.arange(CHANNELS)),
        column("E_MIN", "E", E_MIN, "keV"),
        column("E_MAX", "E", E_MIN + WIDTH, "keV"),
    ]
    told = {"HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "HDUCLAS2": "EBOUNDS", "DETCHANS": CHANNELS}
    return table(name, columns, **(told | cards))


def matrix(first: int = 0, name: str = "SPECRESP MATRIX", *, factor: Any = 1.0, **cards: Any) -> fits.BinTableHDU:
    """A matrix that puts photons into the channel of their energy, times ``factor``."""
    rows = np.kron(np.eye(CHANNELS), np.ones((FINE, 1))) * np.reshape(np.broadcast_to(factor, AREA.shape), (-1, 1))
    columns = [
        column("ENERG_LO", "E", ENERGIES[:-1], "keV"),
        column("ENERG_HI", "E", ENERGIES[1:], "keV"),
        column("N_GRP", "I", np.ones(len(AREA))),
        column("F_CHAN", "1I", np.full(len(AREA), first)),
        column("N_CHAN", "1I", np.full(len(AREA), CHANNELS)),
        column("MATRIX", f"{CHANNELS}E", rows),
    ]
    told = {"HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "HDUCLAS2": "RSP_MATRIX", "DETCHANS": CHANNELS}
    return table(name, columns, **(told | cards))


def short_matrix(first: int = 0, *, empty: int = 0, **cards: Any) -> fits.BinTableHDU:
    """The same in rows of variable length, as most responses have it; the first ``empty`` channels see nothing."""
    groups = np.repeat(np.arange(CHANNELS), FINE)
    used = groups >= empty
    rows = np.empty(len(AREA), dtype=object)
    for index, use in enumerate(used):
        rows[index] = np.ones(int(use), dtype="f4")
    columns = [
        column("ENERG_LO", "E", ENERGIES[:-1], "keV"),
        column("ENERG_HI", "E", ENERGIES[1:], "keV"),
        column("N_GRP", "I", used.astype(int)),
        # rows without a group have any number
        column("F_CHAN", "J", np.where(used, first + groups, 0)),
        column("N_CHAN", "J", used.astype(int)),
        fits.Column("MATRIX", "PE(1)", array=rows),
    ]
    told = {"HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "HDUCLAS2": "RSP_MATRIX", "DETCHANS": CHANNELS}
    return table("MATRIX", columns, **(told | cards))


def members(name: str) -> fits.BinTableHDU:
    """List of the members of a file, as ISDC's software has it."""
    columns = [fits.Column("MEMBER_NAME", "32A", array=[name]), column("MEMBER_POSITION", "J", [3])]
    return table("GROUPING", columns, GRPNAME=f"{name}-GRP")


def one_file(*hdus: fits.BinTableHDU) -> fits.HDUList:
    """Make a FITS file of tables."""
    return fits.HDUList([fits.PrimaryHDU(), *hdus])


def products(
    parts: dict[str, fits.HDUList], source: str = "Test 1", instrument: str = "jemx", **more: Any
) -> list[dict[str, Any]]:
    """Products of a reply; ``parts`` are files by kind."""
    return [
        product(hdulist, src_name=source, product=f"{instrument}_{kind}", **more) for kind, hdulist in parts.items()
    ]


def jemx() -> dict[str, fits.HDUList]:
    """Channels from 1, EBOUNDS from 0, each with its TLMIN; two areas more in dm**2 beside the matrix."""
    cards = {"INSTRUME": "JMX1", "OGID": "String", "CONFIGUR": "String"}
    limits = {"TLMIN1": 1, "TLMAX1": CHANNELS}
    inner = {"values": AREA * 3, "unit": "dm**2", "INSTRUME": "JMX1"}
    return {
        "spectrum": one_file(
            spectrum(1, HDUCLAS2="NET", DETCHANS=CHANNELS, **{"DATE-OBS": "UTC_format"}, **limits, **cards)
        ),
        "arf": one_file(area(INSTRUME="JMX1", OGID="String")),
        "rmf": one_file(
            members("JMX1-RMF."),
            matrix(1, TLMIN4=1, TLMAX4=CHANNELS, HDUCLAS3="", INSTRUME="JMX1"),
            bounds(0, TLMIN1=0, TLMAX1=CHANNELS - 1, INSTRUME="JMX1"),
            area("JMX1-AXIS-ARF", **inner),
            area("JMX1-IMAG-ARF", CREATOR="String", **inner),
        ),
    }


def isgri() -> dict[str, fits.HDUList]:
    """An ARF of 1 without a unit, the area in the matrix; channels without a value or without an error."""
    rate, error = RATES.copy(), ERRORS.copy()
    rate[0], error[0] = np.nan, np.inf
    cards = {"INSTRUME": "IBIS", "DETNAM": "ISGRI", "TIMESYS": "TT", "TIMEUNIT": "d", "MJDREF": 51544.0}
    return {
        "spectrum": one_file(
            spectrum(
                0,
                "ISGR-EVTS-SPE",
                values={"RATE": rate, "STAT_ERR": error},
                HDUCLAS2="TOTAL",
                STAMP=None,
                TSTART=6987.5,
                TSTOP=6988.25,
                TLMIN1=0,
                TLMAX1=CHANNELS - 1,
                **cards,
            )
        ),
        "arf": one_file(
            area("ISGR-ARF.-RSP", values=1.0, unit=None, VERSION="Integer", VSTART="Real", INSTRUME="IBIS")
        ),
        "rmf": one_file(
            bounds(0, "ISGR-EBDS-MOD", TLMIN1=0, TLMAX1=CHANNELS - 1, INSTRUME="IBIS"),
            matrix(0, "ISGR-RMF.-RSP", factor=AREA, TLMIN4=0, TLMAX4=CHANNELS - 1, HDUCLAS3="", INSTRUME="IBIS"),
        ),
    }


def spi() -> dict[str, fits.HDUList]:
    """No ARF; EBOUNDS from 1 without TLMIN, a matrix counted from 0, nearly all other cards without value."""
    words = {"TSTART": "Real", "TSTOP": "Real", "RA_OBJ": "Real", "POISSERR": "False", "DATAMODE": "String"}
    return {
        "spectrum": one_file(
            members("SPI.-PHA1"),
            spectrum(
                1, "SPECTRUM", HDUCLAS2="TOTAL", INSTRUME="SPI", TLMIN1=1, TLMAX1=CHANNELS, CHANTYPE="String", **words
            ),
        ),
        "rmf": one_file(
            members("SPI.-RMF."),
            matrix(0, "SPI.-RMF.-RSP", factor=1e6, TLMIN4=0, TLMAX4="Integer", LO_THRES="Real", INSTRUME="SPI"),
            bounds(1, "SPI.-EBDS-SET", CHANTYPE="String", INSTRUME="SPI"),
        ),
    }


def line(channel: int) -> np.ndarray:
    """Photons per energy (cm-2 s-1) of a source that shines in one channel only."""
    photons = np.zeros(len(AREA))
    photons[channel * FINE : (channel + 1) * FINE] = 1.0
    return photons


def folded(path: Any, photons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Count rate per channel, and energy of each, as a fitting program gets them from the files of a spectrum.

    Numbers of channels mean what the OGIP memos say: they are counted from TLMIN, or from 1.
    """
    header = fits.getheader(path, "SPECTRUM")
    directory = path.parent
    with fits.open(directory / header["RESPFILE"]) as response:
        matrix = next(hdu for hdu in response[1:] if hdu.name in ("MATRIX", "SPECRESP MATRIX"))
        energies = response["EBOUNDS"]
        first = matrix.header.get("TLMIN4", 1)
        effective = np.ones(len(matrix.data))
        if header["ANCRFILE"] != "none":
            effective = np.array(fits.getdata(directory / header["ANCRFILE"], "SPECRESP")["SPECRESP"])
        rates = np.zeros(header["DETCHANS"])
        for row, photon, square in zip(matrix.data, photons, effective, strict=True):
            for group in range(row["N_GRP"]):
                start, length = (np.atleast_1d(row[name])[group] for name in ("F_CHAN", "N_CHAN"))
                rates[start - first : start - first + length] += photon * square * np.asarray(row["MATRIX"])[:length]
        place = energies.data["CHANNEL"] - energies.header.get("TLMIN1", 1)
        low = np.full(header["DETCHANS"], np.nan)
        low[place] = energies.data["E_MIN"]
    numbers = fits.getdata(path, "SPECTRUM")["CHANNEL"] - header.get("TLMIN1", 1)
    return rates[numbers], low[numbers]
