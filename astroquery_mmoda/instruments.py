# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
What is known of INTEGRAL's instruments beyond what the service's metadata say.

Sources: the integral plugin of the service (catalogue values, limits of science windows), the IBIS and JEM-X analysis
user manuals (numbers of sources), and INTEGRAL's launch on 2002-10-17.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: MJD (TT) from which INTEGRAL counts days (IJD)
IJD_ORIGIN = 51544.0
#: MJD of INTEGRAL's launch
LAUNCH = 52564.0
#: names of its instruments at the service
INTEGRAL = frozenset({"isgri", "jemx", "spi_acs"})
#: what the service's own tools send in the columns of a catalogue that say how a source is extracted (ERR_RAD in deg)
CATALOG_VALUES: Mapping[str, float] = MappingProxyType(
    {"NEW_SOURCE": -32768, "ISGRI_FLAG": 2, "FLAG": 1, "ERR_RAD": 0.001}
)


#: values of ISGRI_FLAG with which INTEGRAL's software uses a source
USED_FLAGS = (1, 2)
#: sources that the software of the imagers behind coded masks takes, which extracts them together
MOST_SOURCES: Mapping[str, int] = MappingProxyType({"isgri": 200, "jemx": 75})
#: instruments that analyse science windows one by one, and can be given any of them
BY_WINDOWS = frozenset({"isgri", "jemx"})
#: science windows that a job may have with a role of the token, of which none is needed for the first number
MOST_WINDOWS: Mapping[str, int] = MappingProxyType({"": 50, "unige-hpc-full": 500})
#: the role with which a job may have any number
ANY_NUMBER = "unige-hpc-extreme"
#: days over which data of ISGRI may be summed (IBIS analysis user manual, OSA 11.1: about six months)
LONGEST_SPAN = 183.0
# full widths at half maximum (arcmin) of a source in a mosaic, by DETNAM or INSTRUME; that of ISGRI as measured in
# genuine ones, that of JEM-X is the resolution of its manual
_IMAGE_WIDTHS = {"ISGRI": 14.0, **dict.fromkeys(("JMX1", "JMX2", "JEMX", "JEM-X"), 3.3)}
# INSTRUME of the imagers behind coded masks, whose software separates sources and background
_DECONVOLVED = frozenset({"IBIS", "ISGRI", "PICSIT", "JEMX", "JEM-X", "JMX1", "JMX2", "SPI"})


def image_width(instrume: str, detnam: str) -> float | None:
    """Full width at half maximum of a source in a mosaic (arcmin), by what its header says; None if it is not known."""
    names = [name.strip().upper() for name in (detnam, instrume)]
    if names == ["", "IBIS"]:  # of its detectors, the service has ISGRI only
        names = ["ISGRI"]
    return next((_IMAGE_WIDTHS[name] for name in names if name in _IMAGE_WIDTHS), None)


def is_deconvolved(instrume: str) -> bool:
    """Whether spectra and light curves of an instrument, named as in FITS files, come without the background."""
    return instrume.strip().upper() in _DECONVOLVED


def background_of_rates(telescope: str, instrument: str) -> str | None:
    """
    Tell whether the rates of a light curve are without background (``NET``) or with it (``TOTAL``), as in HDUCLAS2.

    None where it is not known. Telescope and instrument are those of the headers.
    """
    if telescope.strip().upper() != "INTEGRAL":
        return None
    if instrument.strip().upper().replace("_", "-") == "SPI-ACS":
        return "TOTAL"  # it counts whatever comes
    return "NET" if is_deconvolved(instrument) else None
