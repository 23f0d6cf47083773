# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Code as it comes out of web pages, e-mails and notebooks, made Python again."""

from __future__ import annotations

import html
import json
import quopri
import re
import textwrap
import unicodedata
from collections.abc import Iterator

from ..text import printable
from .expressions import parse

_MOST_BAD_LINES = 40
_MOST_CHARACTERS = 40_000_000
_ARROWS = re.compile(r"\s*>>>(?: |$)")
_NUMBERED = re.compile(r"\s*In\s*\[[\d ]*\]:")
_PROMPT = re.compile(r"\s*(?:>>>|\.\.\.|In\s*\[[\d ]*\]:|\.{3,}:)(?: |$)")
_OUTPUT = re.compile(r"\s*Out\s*\[\d*\]:")
# a line that goes on after % formats a text, and has a blank or bracket there
_MAGIC = re.compile(r"\s*(?:%{1,2}[A-Za-z]|[!?])|.*[\w)]\?{1,2}\s*$")
# magics with a statement behind them
_TIMED = re.compile(r"(\s*)%(?:time|timeit|prun|memit)\b(?:\s+-\w+(?:\s+\d+)?)*[ ](?=\s*\S)")
_CELL_MAGIC = re.compile(r"\s*%%(?:bash|sh|script|html|latex|javascript|js|markdown|writefile|perl|ruby)\b")
_TAG = re.compile(r"</?(?:pre|code|p|div|span|body|html|font|b|i|tt|a|td|tr|table)\b[^<>]{0,500}>", re.IGNORECASE)
_CODE = re.compile(r"\s*(?:from\s+oda_api\b|import\s+oda_api\b|\w+\s*=\s*(?:\{|dict\(|[\w.]*DispatcherAPI\()|disp\.)")
_STATEMENT = re.compile(r"\s*[\w.\[\]'\"]+\s*(?:[|+]?=|\()|\s*\.{3}|\s*(['\"])\w+\1\s*:")
_KEYBOARD = str.maketrans("\u201c\u201d\u201e\u2018\u2019\u2212\u2013", '"""\'\'--')


def readings(text: str) -> Iterator[tuple[str, list[str]]]:
    """Give a text as it may be meant, the least changed first, and lines left out though they look like code."""
    tidy = _tidy_text(text)
    code = _of_notebook(tidy) or tidy
    mail = _of_mail(tidy)
    for version in dict.fromkeys((code, _without_marks(code), mail, _without_marks(mail))):
        yield version, []
    for version in dict.fromkeys((_code_part(_without_marks(tidy)), _code_part(mail))):
        yield _without_bad_lines(version)


def _tidy_text(text: str) -> str:
    """Text with plain blanks and line ends, and nothing that can't be seen."""
    text = re.sub("\r\n|[\r\f\u2028\u2029]", "\n", text)
    odd = {character: unicodedata.category(character) for character in set(text) if not character.isascii()}
    blanks = {ord(character): {"Zs": " ", "Cf": ""}.get(category, character) for character, category in odd.items()}
    return textwrap.dedent(text.translate(blanks).strip("\n"))


def _of_notebook(text: str) -> str:
    """Code cells of a whole notebook file; empty if it is none."""
    if not text.startswith("{") or '"cells"' not in text:
        return ""
    try:
        cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        return "\n".join(map(_without_marks, cells))
    except (ValueError, TypeError, LookupError, RecursionError):
        return ""


def _without_marks(text: str) -> str:
    """Without prompts, outputs, magics and lines for a shell."""
    lines = text.split("\n")
    if _CELL_MAGIC.match(lines[0]):
        return ""
    if any(_ARROWS.match(line) for line in lines):
        lines = list(_of_session(lines))
    elif any(_NUMBERED.match(line) for line in lines):
        lines = ["" if _OUTPUT.match(line) else _PROMPT.sub("", line, count=1) for line in lines]
    lines = [_TIMED.sub(r"\1", line, count=1) if _TIMED.match(line) else line for line in lines]
    return textwrap.dedent("\n".join("" if _MAGIC.match(line) else line for line in lines))


def _of_session(lines: list[str]) -> Iterator[str]:
    """Lines behind prompts, and those that go on in brackets without one; what was printed is left out."""
    depth = 0
    for line in lines:
        prompt = _PROMPT.match(line)
        code = line[prompt.end() :] if prompt else line if depth > 0 else ""
        opened = sum((character in "([{") - (character in ")]}") for character in code)
        depth = opened if _ARROWS.match(line) else depth + opened
        yield code


def _of_mail(text: str) -> str:
    """Out of an e-mail or the source of a page: quoted, encoded, with tags, and with the signs of typeset texts."""
    if "=3D" in text or "=\n" in text:
        text = quopri.decodestring(text.encode("utf-8")).decode("utf-8", "replace")
    lines = text.split("\n")
    if all(re.match(r"\s*(?:>(?!>>)|$)", line) for line in lines):
        text = "\n".join(re.sub(r"^\s*>[ ]?", "", line) for line in lines)
    if "<" in text or "&" in text:
        text = html.unescape(_TAG.sub("", re.sub(r"<br\s*/?>", "\n", text, flags=re.IGNORECASE)))
    return textwrap.dedent(_tidy_text(text).translate(_KEYBOARD))


def _code_part(text: str) -> str:
    """From the first line that looks like code for the service."""
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if _CODE.match(line)), 0)
    return textwrap.dedent("\n".join(lines[first:]))


def _without_bad_lines(text: str) -> tuple[str, list[str]]:
    """Leave out lines that are not valid Python, a few at most, and return those among them that look like code."""
    lines = text.split("\n")
    left_out: list[str] = []
    for _ in range(min(_MOST_BAD_LINES, _MOST_CHARACTERS // (len(text) + 1))):
        try:
            parse("\n".join(lines))
            break
        except SyntaxError as error:
            number = (error.lineno or 1) - 1
            if number >= len(lines) or not lines[number].strip():
                break
            bare = lines[number].lstrip()
            if isinstance(error, IndentationError) and bare != lines[number]:
                lines[number] = bare
                continue
        except (ValueError, RecursionError, MemoryError):
            break
        if _STATEMENT.match(lines[number]):
            left_out.append(printable(lines[number], limit=60))
        lines[number] = ""
    return "\n".join(lines), left_out
