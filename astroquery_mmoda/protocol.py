# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Words that the service and its files use in several places."""

from __future__ import annotations

__all__ = ["ERROR_COLUMNS", "TIME_COLUMNS", "VALUE_COLUMNS"]

#: columns of what was measured, in capitals, the likeliest first
VALUE_COLUMNS = ("RATE", "FLUX", "COUNTS", "MAG", "COUNT_RATE", "MAGNITUDE")
#: columns of its error
ERROR_COLUMNS = ("ERROR", "RATE_ERR", "FLUX_ERR", "FLUX_ERROR", "MAG_ERR", "COUNTS_ERR", "STAT_ERR")
#: columns of times beside TIME; they count from MJDREF as well
TIME_COLUMNS = ("BARYTIME", "TSTART", "TSTOP", "START", "STOP", "TIME_START", "TIME_STOP", "TIME_END")
