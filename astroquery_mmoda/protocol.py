# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Names and numbers that several packages need.

Of the service's protocol: fields that are not parameters of an analysis, names of columns, and files as values. Of the
FITS standard: sizes.
"""

from __future__ import annotations

from typing import Any

#: version of the service's own client (oda_api) that our requests correspond to
PROTOCOL_VERSION = "1.3.5"
#: None in a request; an empty text or the word would mean something else
NUL = "\x00"
#: fields that tell how far a request is
STATE_FIELDS = ("query_status", "job_id", "session_id")
#: fields that this package sets itself; nobody may give them as parameters
OWN_FIELDS = (*STATE_FIELDS, "token", "instrument")
#: words of calls written for oda_api that do not change the analysis
IGNORED_FIELDS = ("api", "oda_api_version", "off_line", "verbose")
#: formats of other parameters; servers up to 1.3.3 take them without listing them
FORMAT_FIELDS = ("T_format", "time_bin_format")
#: names of a catalogue of sources: as JSON, and as a file
CATALOG_FIELDS = ("selected_catalog", "user_catalog_file")
#: how the service runs an analysis; it lists these nowhere, and they are in its snippets
SWITCHES = ("run_asynch", "async_dispatcher")
#: fields that the service does not repeat as they were sent
REQUEST_FIELDS = (
    *("api", "oda_api_version", "instrument", "product_type", "query_type", "query_status", "selected_catalog"),
    *FORMAT_FIELDS,
)
#: columns with names of sources, the first that is there
NAME_COLUMNS = ("src_names", "src_name", "name", "main_id", "source_name", "source", "object", "id")
#: of many archives, in small letters; those of equinox J2000 without a frame are taken as FK5
COORDINATE_COLUMNS = (
    ("ra", "dec", "fk5"),
    ("raj2000", "dej2000", "fk5"),
    ("ra_icrs", "de_icrs", "icrs"),
    ("ra_obj", "dec_obj", "fk5"),
    ("_raj2000", "_dej2000", "fk5"),
    ("ra_j2000", "dec_j2000", "fk5"),
    ("alpha_j2000", "delta_j2000", "fk5"),
    ("ra_deg", "dec_deg", "fk5"),
    ("radeg", "dedeg", "fk5"),
    ("right_ascension", "declination", "fk5"),
    ("ra_d", "dec_d", "icrs"),
    ("rab1950", "deb1950", "fk4"),
    ("glon", "glat", "galactic"),
)
#: columns of what was measured, in capitals, the likeliest first
VALUE_COLUMNS = ("RATE", "FLUX", "COUNTS", "MAG", "COUNT_RATE", "MAGNITUDE")
#: columns of its error
ERROR_COLUMNS = ("ERROR", "RATE_ERR", "FLUX_ERR", "FLUX_ERROR", "MAG_ERR", "COUNTS_ERR", "STAT_ERR")
#: columns of times beside TIME; they count from MJDREF as well
TIME_COLUMNS = ("BARYTIME", "TSTART", "TSTOP", "START", "STOP", "TIME_START", "TIME_STOP", "TIME_END")
#: bytes of FITS files come in multiples of it
FITS_BLOCK = 2880
#: most columns of a FITS table
FITS_COLUMNS = 999


class Upload(str):
    """
    A file on its way to the service; as text it is its name and size.

    Attributes
    ----------
    filename : str
        Name without directories.
    content : bytes
        What is in it.
    """

    filename: str
    content: bytes

    def __new__(cls, filename: str, content: bytes) -> Upload:
        """Make the text; a `str` takes it when it is made."""
        upload = super().__new__(cls, f"{filename} ({len(content)} bytes)")
        upload.filename, upload.content = filename, content
        return upload

    def __reduce__(self) -> tuple[Any, ...]:
        return Upload, (self.filename, self.content)
