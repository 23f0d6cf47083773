# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Text from a server, made fit to be shown: no tokens, no line breaks, no control or direction-changing characters."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
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
    # what will be cut off anyway need not be looked at
    lines = without_token(str(text)[: 4 * limit + 5000])[: 4 * limit].strip().replace("\r\n", "\n").split("\n")
    joined = ("\n" if newlines else " ").join(_escape_line(line.rstrip()) for line in lines)
    return shorten(joined, limit)


# ---- tokens in texts

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _one_of(letters: str, *, escaped: bool) -> str:
    """Pattern of one of some characters, and of what JSON, Python, addresses and HTML may write for it."""
    plain = f"[{re.escape(letters)}]" if len(letters) > 1 else re.escape(letters)
    if not escaped:
        return plain
    digits = "|".join(f"{ord(letter):02x}" for letter in letters)
    decimal = "|".join(str(ord(letter)) for letter in letters)
    return rf"(?:{plain}|(?:\\+u00|\\+x|%(?:25)*)(?i:{digits})|&#(?:[xX]0*(?i:{digits})|0*(?:{decimal}));)"


def _token_start(quote: str, *, escaped: bool = False) -> str:
    """Pattern of how a JSON web token begins: base64 of a brace, a quote (or a blank or line end), and ASCII."""
    # each letter stands for six bits; looking at all of the first eight keeps words such as "keyJournal" out

    def letters(known: Callable[[int], bool]) -> str:
        return _one_of("".join(_LETTERS[value] for value in range(64) if known(value)), escaped=escaped)

    parts = (
        *(_one_of(letter, escaped=escaped) for letter in ("e", quote)),
        letters(lambda value: value >> 1 in ((0, 4) if quote == "y" else (18, 20, 26))),
        _one_of(_LETTERS, escaped=escaped),
        letters(lambda value: 8 <= value < 32),
        letters(lambda value: not value & 8),
        letters(lambda value: not value & 2),
        _one_of(_LETTERS, escaped=escaped),
    )
    return "".join(parts)


# each by itself: patterns that begin with a fixed text are found much faster
_BEGINNINGS = [re.compile(_token_start(quote)) for quote in "wy"]
_ESCAPED_BEGINNINGS = [re.compile("|".join(_token_start(quote, escaped=True) for quote in "yw"))]
_RUN = re.compile(rf"(?:[A-Za-z0-9_-]++|{_one_of(_LETTERS, escaped=True)})*+")
_POINT = re.compile("={0,2}" + _one_of(".", escaped=True))  # some fill the parts up with =
_POINTS = (".", "%", "\\", "&")  # single characters are found ten times faster than two
# whether it is worth while to look for escaped beginnings, which takes longer
_MAYBE_ESCAPED = [re.compile(r"e(?:\\+u00|\\+x|%(?:25)*|&#[xX]0*)7[79]|e&#0*1(?:21|19)")] + [
    re.compile(rf"e{quote}[A-Za-z0-9_-]{{0,6}}(?:\\+u00|\\+x|%|&#)") for quote in "yw"
]
_ESCAPED_E = ("\\u0065", "\\x65", "%65", "%2565", "&#101", "&#0101", "&#x", "&#X")
# a line end within a token, as mails and code have it
_LINE_END = re.compile(r"[\"']?[ \t]*[=\\+]?\r?\n[ \t>]*[\"']?|(?:\\+r)?\\+n")
_LETTER = re.compile(_one_of(_LETTERS, escaped=True))
_SHORTEST_LINE = 8
_LONGEST_HEAD = 20_000  # escaped; data in base64 are longer
_SIGNATURES = frozenset({43, 64, 86, 176, 342, 512, 683})  # lengths, in letters


def without_token(text: str) -> str:
    """
    Text with any token in it masked; the service sends them back in many places.

    Tokens of any age and owner, cut or whole, also escaped for JSON, Python, addresses or HTML, and over several lines.
    """
    for beginning in _beginnings_in(text):
        text = _mask_from(text, beginning)
    return text


def may_hold_token(text: str) -> bool:
    """Whether something in a text begins like a token, however it goes on."""
    return any(beginning.search(text) for beginning in _beginnings_in(text))


def _beginnings_in(text: str) -> list[re.Pattern[str]]:
    """Patterns that are worth looking for in a text."""
    # base64 has none of these, nor have most texts in the columns of tables
    if not any(point in text for point in _POINTS):
        return []
    if not any(sign in text for sign in _POINTS[1:]):  # nothing is escaped
        return _BEGINNINGS
    escaped = any(sign in text for sign in _ESCAPED_E) or any(maybe.search(text) for maybe in _MAYBE_ESCAPED)
    return _ESCAPED_BEGINNINGS if escaped else _BEGINNINGS


def _mask_from(text: str, beginning: re.Pattern[str]) -> str:
    pieces: list[str] = []
    end = kept = 0
    # what was looked at is not looked at again, so that a text of nothing but beginnings takes no longer than others
    while found := beginning.search(text, end):
        end = _part(text, found.start(), across=True)
        point = _point_after(text, end) if end - found.start() <= _LONGEST_HEAD else None
        if point is not None:
            pieces += [text[kept : found.start()], "<token>"]
            end = kept = _end_of_token(text, point)
    return "".join([*pieces, text[kept:]]) if pieces else text


def _end_of_token(text: str, begin: int) -> int:
    """Where a token ends whose second part begins here."""
    payload = _part(text, begin, across=True)
    point = _point_after(text, payload)
    if point is None:  # it is cut
        return _part(text, begin, across=False)
    end = _part(text, point, across=False)
    longest = max(_SIGNATURES)
    wrapped = end
    while (length := _letters_in(text[point:wrapped])) < longest:
        if length in _SIGNATURES:
            return wrapped
        following = _next_line(text, wrapped)
        if following is None:
            break
        wrapped = _RUN.match(text, following).end()  # type: ignore[union-attr]
    return wrapped if _letters_in(text[point:wrapped]) in _SIGNATURES else end


def _part(text: str, begin: int, *, across: bool) -> int:
    """Where the letters end that begin here, across line ends if that is wanted."""
    end = _RUN.match(text, begin).end()  # type: ignore[union-attr]
    while across and end - begin >= _SHORTEST_LINE and (following := _next_line(text, end)) is not None:
        end = _RUN.match(text, following).end()  # type: ignore[union-attr]
    return end


def _next_line(text: str, end: int) -> int | None:
    """Where letters go on in the next line, if the line ends here."""
    line_end = _LINE_END.match(text, end)
    return line_end.end() if line_end and _LETTER.match(text, line_end.end()) else None


def _point_after(text: str, end: int) -> int | None:
    """Where the next part of a token begins, if there is a point here or at the beginning of the next line."""
    line_end = _LINE_END.match(text, end)
    point = _POINT.match(text, end) or (line_end and _POINT.match(text, line_end.end()))
    if not point:
        return None
    line_end = _LINE_END.match(text, point.end())
    return line_end.end() if line_end and _next_line(text, point.end()) else point.end()


def _letters_in(part: str) -> int:
    """Number of letters in a part of a token, escapes and line ends not counted as such."""
    return len(_LETTER.findall(_LINE_END.sub("", part)))


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
        ord(character): _escaped_character(character)
        for character in set(line)
        if unicodedata.category(character) in _HIDDEN
    }
    return line.translate(hidden) if hidden else line


def _escaped_character(character: str) -> str:
    return character.encode("unicode_escape", errors="backslashreplace").decode("ascii")
