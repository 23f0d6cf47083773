# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Code as it comes out of web pages, e-mails and notebooks, made Python again."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator

from ..text import printable
from .expressions import parse

_MOST_BAD_LINES = 40
_ARROWS = re.compile(r"\s*>>>(?: |$)")
_PROMPT = re.compile(r"\s*(?:>>>|\.\.\.|In\s*\[[\d ]*\]:|\.{3,}:)(?: |$)")
_NUMBERED = re.compile(r"\s*(?:In|Out)\s*\[[\d ]*\]:")
_OUTPUT = re.compile(r"\s*Out\s*\[\d*\]:")
# a line that goes on after % formats a text, and has a blank or bracket there
_MAGIC = re.compile(r"\s*(?:%{1,2}[A-Za-z]|[!?])|.*[\w)]\?{1,2}\s*$")
# magics with a statement behind them
_TIMED = re.compile(r"(\s*)%(?:time|timeit|prun|memit)\b(?:\s+-\w+(?:\s+\d+)?)*[ ](?=\s*\S)")
_CODE = re.compile(r"\s*(?:from\s+oda_api\b|import\s+oda_api\b|\w+\s*=\s*(?:\{|dict\(|[\w.]*DispatcherAPI\()|disp\.)")
_STATEMENT = re.compile(r"\s*[\w.\[\]'\"]+\s*(?:[|+]?=|\()|\s*\.{3}|\s*(['\"])\w+\1\s*:")
_TYPESET = str.maketrans("\u201c\u201d\u201e\u2018\u2019\u2212\u2013", '"""\'\'--')


def readings(text: str) -> Iterator[tuple[str, list[str]]]:
    """Give a text as it may be meant, the least changed first, and lines left out though they look like code."""
    tidy = _tidy_text(text)
    bare = _without_marks(tidy)
    typed = textwrap.dedent(re.sub(r"^\s*>(?!>>)[ ]?", "", bare, flags=re.MULTILINE).translate(_TYPESET))
    for version in (tidy, bare, typed):
        yield version, []
    lines = typed.split("\n")
    first = next((number for number, line in enumerate(lines) if _CODE.match(line)), 0)
    yield _without_bad_lines(textwrap.dedent("\n".join(lines[first:])))


def _tidy_text(text: str) -> str:
    """Text with plain blanks and line ends, and nothing that can't be seen."""
    odd = {character: unicodedata.category(character) for character in set(text) if not character.isascii()}
    blanks = {ord(character): {"Zs": " ", "Cf": ""}.get(category, character) for character, category in odd.items()}
    return textwrap.dedent(text.replace("\r\n", "\n").translate(blanks).strip("\n"))


def _without_marks(text: str) -> str:
    """Without prompts, outputs, magics and lines for a shell."""
    lines = text.split("\n")
    if any(_ARROWS.match(line) for line in lines):
        lines = list(_of_session(lines))
    elif any(_NUMBERED.match(line) for line in lines):
        lines = ["" if _OUTPUT.match(line) else _PROMPT.sub("", line, count=1) for line in lines]
    lines = [_TIMED.sub(r"\1", line, count=1) for line in lines]
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


def _without_bad_lines(text: str) -> tuple[str, list[str]]:
    """Leave out lines that are not valid Python, a few at most, and return those among them that look like code."""
    lines = text.split("\n")
    left_out: list[str] = []
    for _ in range(min(_MOST_BAD_LINES, 40_000_000 // (len(text) + 1))):
        try:
            parse("\n".join(lines))
            break
        except (ValueError, RecursionError, MemoryError):
            break
        except SyntaxError as error:
            number = min(error.lineno or 1, len(lines)) - 1
            if not lines[number].strip():
                break
            if isinstance(error, IndentationError) and lines[number][0].isspace():
                lines[number] = lines[number].lstrip()
                continue
        if _STATEMENT.match(lines[number]):
            left_out.append(printable(lines[number], limit=60))
        lines[number] = ""
    return "\n".join(lines), left_out
