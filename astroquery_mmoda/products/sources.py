# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Which source is meant: users and the service spell names differently."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ..errors import ParameterError
from ..text import listed, nearest, printable, transliterated


def _folded(name: object) -> str:
    text = str(name)
    spelled = transliterated(text)
    # a letter without a spelling becomes "?", and all of those would be the same
    plain = spelled if spelled.count("?") == text.count("?") else text
    return re.sub(r"[\s_]+", "", plain).casefold()


def same_source(one: object, other: object) -> bool:
    """Whether two names mean the same source: case, blanks, ``_`` instead, and spelling in ASCII do not count."""
    return _folded(one) == _folded(other)


def match_source(names: Iterable[str], source: str) -> str:
    """
    Find a source among names, the way that users and the service spell them.

    Parameters
    ----------
    names : iterable of str
        What there is.
    source : str
        What is wanted, compared as in `same_source`.

    Returns
    -------
    str
        The one of ``names`` that is meant.

    Raises
    ------
    ParameterError
        If there is none, or more than one and none literally.
    """
    known = list(dict.fromkeys(names))
    if not isinstance(source, str):
        kind = type(source).__name__
        raise ParameterError(f"source= must be the name of a source, not a {kind}; sources present: {listed(known)}")
    if source in known:
        return source
    found = [name for name in known if same_source(name, source)]
    if len(found) == 1:
        return found[0]
    trouble = "several sources could be meant by" if found else "there is no source"
    hint = "" if found else nearest(source, known)
    raise ParameterError(
        f"{trouble} {printable(repr(source), limit=80)}{hint}; sources present: {listed(map(repr, found or known))}"
    )


def _bare(name: object) -> str:
    return re.sub(r"[-+]", "", _folded(name))


class Spellings:
    """Names of sources, to find the one that another spelling means."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._by_folded = _unique(self._names, _folded)
        self._by_bare = _unique(self._names, _bare)

    def of(self, source: str) -> str:
        """
        Give the name that means a source; the text itself where none or several do.

        Compared as in `same_source`. The service's light curves of JEM-X are named with blanks for ``+`` and ``-``:
        where neither is left in the text, they do not count.
        """
        if source in self._names:
            return source
        found = self._by_folded.get(_folded(source))
        if found is None and not re.search(r"[-+]", source):
            found = self._by_bare.get(_bare(source))
        return found or source


def _unique(names: Iterable[str], key: Callable[[object], str]) -> dict[str, str | None]:
    """Names by a key; None where several have the same."""
    found: dict[str, str | None] = {}
    for name in names:
        found[key(name)] = None if key(name) in found else name
    return found
