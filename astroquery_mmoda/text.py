# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Text from a server, made fit to be shown: no tokens, no line breaks, no control or direction-changing characters."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from itertools import islice

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
    """Escape what a terminal or notebook would act on, mask tokens, and cut to ``limit`` characters."""
    # what will be cut off anyway need not be searched
    lines = without_token(str(text)[: 4 * limit + 5000])[: 4 * limit].strip().replace("\r\n", "\n").split("\n")
    joined = ("\n" if newlines else " ").join(_escape_line(line.rstrip()) for line in lines)
    return shorten(joined, limit)


# ---- tokens in texts: three parts in base64 with points between them, the first of which is JSON


def _either(letters: str, digits: str) -> str:
    """Pattern of some characters, and of what JSON, Python and addresses may write for them."""
    return rf"(?:{letters}|\\\\*u00{digits}|\\\\*x{digits}|%(?:25)*{digits})"


_ANY_DIGITS = r"(?!2[5eE])[2-7][0-9A-Fa-f]"
_LETTER = _either("[A-Za-z0-9_-]", _ANY_DIGITS)
_WRAPPED = rf"(?:(?:\r?\n)?{_LETTER})"  # headers of FITS have long texts in several lines
_POINT = r"={0,2}(?:\r?\n)?" + _either(r"\.", "2[eE]")
# base64 of a brace, a quote and small letters, which words such as "keyJournal" are not
_STARTS = [("e", "65"), ("y", "79"), ("J", "4[aA]")]
_STARTS += [(letters, _ANY_DIGITS) for letters in ("[h-z0-6]", "[I-Za-f]", "[A-HQ-Xg-nw-z0-3]")]
_HEAD = "".join(letter for letter, _ in _STARTS)
_ESCAPED_HEAD = "".join(_either(letter, digits) for letter, digits in _STARTS)
# the limit keeps a text of nothing but beginnings from taking longer than others
_REST = rf"{_WRAPPED}{{2,500}}+{_POINT}{_WRAPPED}*+(?:{_POINT}(?:\r?\n)?{_LETTER}*+)?"
_TOKEN, _ESCAPED_TOKEN = re.compile(_HEAD + _REST), re.compile(_ESCAPED_HEAD + _REST)
# apart, since a pattern that begins with one character is found fast
_ESCAPED_STARTS = [re.compile(rf"{sign}(?:65|79|4[aA])") for sign in (r"\\(?:u00|x)", "%(?:25)*")]


def without_token(text: str) -> str:
    """
    Text with any token in it masked; the service sends them back in many places.

    Tokens of any age and owner, cut after their first part or whole, also escaped for JSON, Python or addresses.
    """
    if not any(sign in text for sign in ".%\\"):  # most texts in the columns of tables, and data in base64
        return text
    is_escaped = any(start.search(text) for start in _ESCAPED_STARTS)
    return (_ESCAPED_TOKEN if is_escaped else _TOKEN).sub("<token>", text)


def may_hold_token(text: str) -> bool:
    """Whether something in a text begins like a token, whatever follows."""
    return re.search(_ESCAPED_HEAD, text) is not None


_DASHES = {"\N{MINUS SIGN}": "-", "\N{HYPHEN BULLET}": "-"}


def transliterated(text: str, *, limit: int | None = None) -> str:
    """Text in printable ASCII, for FITS headers and file names; what has no spelling in it becomes ``?``."""
    # without a limit, the text may become 18 times longer
    if limit is not None:
        text = text[: 4 * limit]  # what will be cut off anyway need not be spelled
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFKD", text)
        # a long text has few different characters
        text = text.translate({ord(character): _ascii_letter(character) for character in set(text)})
    return text if limit is None else text[:limit]


def _ascii_letter(character: str) -> str:
    if " " <= character <= "~":
        return character
    if unicodedata.combining(character):
        return ""
    if unicodedata.category(character) == "Pd" or character in _DASHES:
        return "-"
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)", unicodedata.name(character, ""))
    if not greek:
        return "?"
    name = greek[2].replace("LAMDA", "LAMBDA")  # Unicode's own spelling differs from the usual one
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


_MOST_COMPARED, _LONGEST_COMPARED = 1000, 100


def nearest(name: str, valid: Iterable[str]) -> str:
    """Words that suggest the valid name most like a wrong one; empty if none is like it."""
    # of thousands of names, or long ones, a comparison would take minutes
    by_lower = {name.lower(): name for name in islice(valid, _MOST_COMPARED) if len(name) <= _LONGEST_COMPARED}
    found = difflib.get_close_matches(str(name)[:_LONGEST_COMPARED].lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[found[0]]!r}?)" if found else ""


def visible(texts: Iterable[str]) -> list[str]:
    """Texts for a column of a table that is shown: like `printable`, but uncut, and blanks at the ends stay."""
    known = list(texts)
    return known if all(map(str.isprintable, known)) else [_escape_line(text) for text in known]


def shorten(text: str, limit: int) -> str:
    """Cut a text to ``limit`` characters and say so by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _escape_line(line: str) -> str:
    line = line.replace("\t", " ")
    # a long text has few different characters
    hidden = {
        ord(character): character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in set(line)
        if unicodedata.category(character) in _HIDDEN
    }
    return line.translate(hidden) if hidden else line
