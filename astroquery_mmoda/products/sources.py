# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Which source is meant: users and the service spell names differently."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ..errors import ParameterError
from ..text import listed, nearest, printable, transliterated


def folded_name(name: object) -> str:
    """What is the same for all spellings of a name that mean one source."""
    text = str(name)
    spelled = transliterated(text)
    # a letter without a spelling becomes "?", and all of those would be the same
    plain = spelled if spelled.count("?") == text.count("?") else text
    return re.sub(r"[\s_]+", "", plain).casefold()


def same_source(one: object, other: object) -> bool:
    """Whether two names mean the same source: case, blanks, ``_`` instead, and spelling in ASCII do not count."""
    return folded_name(one) == folded_name(other)


def match_source(names: Iterable[str], source: str) -> str:
    """Find a source among names, compared as in `same_source`; `ParameterError` for none or several, none literally."""
    known = list(dict.fromkeys(names))
    if not isinstance(source, str):
        raise ParameterError(f"source= must be the name of one source; sources present: {listed(known)}")
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


class Spellings:
    """Names of sources, to find the one that another spelling means."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._by_folded = _unique({name: folded_name(name) for name in self._names})
        self._by_bare = _unique({name: re.sub("[-+]", "", folded_name(name)) for name in self._names})

    def of(self, source: str) -> str:
        """Give the name that means a source; the text itself where none or several do."""
        if source in self._names:
            return source
        found = self._by_folded.get(folded_name(source))
        # the service's light curves of JEM-X are named with blanks for + and -
        if found is None and not re.search("[-+]", source):
            found = self._by_bare.get(folded_name(source))
        return found or source


def _unique(keys: dict[str, str]) -> dict[str, str]:
    """Names by their keys, without keys of several names."""
    count = Counter(keys.values())
    return {key: name for name, key in keys.items() if count[key] == 1}
