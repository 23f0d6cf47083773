# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Text from a server, made fit to be shown: no tokens, no line breaks, no control or direction-changing characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = [
    "ID_FORM",
    "Pasted",
    "in_hex",
    "is_id",
    "listed",
    "original",
    "printable",
    "shorten",
    "transliterated",
    "without_token",
]

# a JSON web token begins with the base64 of '{"', whatever is in it: runs of these letters with points between them
_BEGIN = "eyJ"
_RUN = re.compile(r"[A-Za-z0-9_-]*")
_REST = re.compile(r"\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?")
_SHORTEST_HEAD = 8
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
#: what `is_id` takes, in words
ID_FORM = "1 to 64 letters, digits, _ or -"

# Cc control, Cf format (bidi overrides, zero width), Cs surrogates, Co private, Cn unassigned, Zl/Zp line separators
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Pasted(str):
    """Text that came from a snippet, a link or a record: a value, but never the path of a file to be read or sent."""


def is_id(value: object) -> bool:
    """Whether a value can name a job or a session; such names go into messages that users copy, files and requests."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def printable(text: object, *, limit: int = 500, newlines: bool = False) -> str:
    """
    Escape what a terminal, a log file or a notebook would act on, mask tokens, and cut what is too long.

    Parameters
    ----------
    text : object
        Usually a `str` from the service; anything else is turned into one.
    limit : int
        Most characters to keep.
    newlines : bool
        Whether line ends stay (the service's lists of roles have some); otherwise they become blanks.

    Returns
    -------
    str
    """
    # what will be cut off anyway need not be looked at
    lines = without_token(str(text)[: 4 * limit + 5000])[: 4 * limit].strip().replace("\r\n", "\n").split("\n")
    joined = ("\n" if newlines else " ").join(_escape(line.rstrip()) for line in lines)
    return shorten(joined, limit)


def without_token(text: str) -> str:
    """Text with any token in it masked; the service sends them back in many places."""
    if _BEGIN not in text:
        return text
    pieces = []
    end = kept = 0
    # each run of letters is looked at once, so that a text of nothing but beginnings takes no longer than others
    while (start := text.find(_BEGIN, end)) >= 0:
        end = _RUN.match(text, start).end()  # type: ignore[union-attr]
        rest = _REST.match(text, end) if end - start >= _SHORTEST_HEAD else None
        if rest:
            pieces += [text[kept:start], "<token>"]
            end = kept = rest.end()
    return "".join([*pieces, text[kept:]]) if pieces else text


_DASHES = {"\N{MINUS SIGN}": "-", "\N{HYPHEN BULLET}": "-"}


def transliterated(text: str, *, limit: int | None = None) -> str:
    """
    Text in printable ASCII, for FITS headers and file names.

    Letters with accents lose them, Greek letters are spelled out, dashes of all kinds become ``-``, and whatever else
    is not ASCII becomes ``?``.

    Parameters
    ----------
    text : str
        Any text.
    limit : int, optional
        Most characters to keep; without it, the text may become 18 times longer.

    Returns
    -------
    str
    """
    if limit is not None:
        text = text[: 4 * limit]  # what will be cut off anyway need not be spelled
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFKD", text)
        # a long text has few different characters
        text = text.translate({ord(character): _ascii(character) for character in set(text)})
    return text if limit is None else text[:limit]


def _ascii(character: str) -> str:
    if " " <= character <= "~":
        return character
    if unicodedata.combining(character):
        return ""
    if unicodedata.category(character) == "Pd" or character in _DASHES:
        return "-"
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)", unicodedata.name(character, ""))
    if not greek:
        return "?"
    name = greek[2].replace("LAMDA", "LAMBDA")  # Unicode's own spelling is nobody else's
    return name.lower() if greek[1] == "SMALL" else name.capitalize()


def in_hex(text: str) -> str:
    """UTF-8 of a text in hexadecimal digits, to stand beside its transliteration; empty if it is ASCII anyway."""
    return "" if text.isascii() else text.encode("utf-8", "surrogatepass").hex()


def original(spelled: str, digits: object) -> str:
    """Text that was transliterated, from what `in_hex` kept of it; a text that was changed since then stays."""
    try:
        text = bytes.fromhex(str(digits)).decode("utf-8", "surrogatepass")
    except ValueError:
        return spelled
    return text if spelled and transliterated(text).startswith(spelled) else spelled


def listed(names: Iterable[str], *, most: int = 15) -> str:
    """Names for a message, of very many the first."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return (", ".join(printable(name, limit=60) for name in known[:most]) or "none") + more


def shorten(text: str, limit: int) -> str:
    """Cut a text to ``limit`` characters and say so by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _escape(line: str) -> str:
    line = line.replace("\t", " ")
    # a long text has few different characters
    hidden = {
        ord(character): _escaped(character) for character in set(line) if unicodedata.category(character) in _HIDDEN
    }
    return line.translate(hidden) if hidden else line


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", errors="backslashreplace").decode("ascii")
