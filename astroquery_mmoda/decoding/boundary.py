# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The one place where whatever goes wrong in this room becomes a `DecodingError` that names what was being read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DecodingError, MmodaError
from ..text import printable, shorten

__all__ = ["reading"]


@contextmanager
def reading(what: str) -> Iterator[None]:
    """
    Prefix errors with ``what``, and turn those of Python, numpy and astropy into ours.

    Parameters
    ----------
    what : str
        Short name of the thing being read, for example ``"product 3 'isgri_lc'"``.
    """
    try:
        yield
    except DecodingError as error:
        # the cause, if there is one, is what tells more; our own message is complete already
        raise DecodingError(_message(what, str(error))) from error.__cause__
    # not about data: an unknown source, units that can't be joined
    except MmodaError:
        raise
    # hostile input reaches places nobody has thought of; the list of their exceptions has no end
    except Exception as error:
        raise DecodingError(_message(what, f"malformed data ({type(error).__name__}: {error})")) from error


def _message(what: str, reason: str) -> str:
    # two limits, so that a long name can't hide the reason
    return f"{printable(what, limit=200)}: {shorten(printable(reason, limit=1200), 1200)}"
