# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Small tables in HTML, for notebooks; and names with their values, also as plain text.

In HTML every text is escaped; there are no scripts, no addresses, and no colours, so that it is readable on any
background. Notebooks are asked to leave dollar signs alone, since what stands between two of them would be run as TeX.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.table import Table

_NO_TEX = "tex2jax_ignore mathjax_ignore"
_BLOCK = "margin:0.5em 0"
_FRAME = "max-width:100%;overflow-x:auto"
_TABLE = "border-collapse:collapse;margin:0.3em 0"
_HEAD = "text-align:{};padding:0.15em 0.8em;border-bottom:1px solid currentColor;white-space:nowrap"
_CELL = "text-align:{};vertical-align:top;padding:0.15em 0.8em;white-space:nowrap"
_WRAPPED = "text-align:left;vertical-align:top;padding:0.15em 0.8em;min-width:16em"
_NAME = "text-align:left;vertical-align:top;padding:0.15em 0.8em;font-weight:normal;opacity:0.7;white-space:nowrap"
_VALUE = "text-align:left;vertical-align:top;padding:0.15em 0.8em;white-space:normal;overflow-wrap:anywhere"
_NOTE = "opacity:0.7;overflow-wrap:anywhere"


class _Ready(str):
    """Text that is HTML already, and is not escaped."""

    __slots__ = ()


def meter(part: float) -> str:
    """Bar of a fraction between 0 and 1, with the number beside it; may stand as a value in `facts_html`."""
    return _Ready(f'<progress value="{part:.4f}" max="1"></progress> {part:.0%}')


def table_html(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str,
    notes: Iterable[str] = (),
    right: Collection[str] = (),
    wrap: Collection[str] = (),
    more: str = "",
) -> str:
    """
    Make a table with a head; ``notes`` are lines below the title, ``more`` is a last line about rows left out.

    Columns of numbers are to the ``right``; those in ``wrap`` have as many lines as they need.
    """
    sides = ["right" if name in right else "left" for name in head]
    styles = [_WRAPPED if name in wrap else _CELL.format(side) for name, side in zip(head, sides, strict=True)]
    names = "".join(
        f'<th style="{_HEAD.format(side)}">{_escaped_text(name)}</th>' for name, side in zip(head, sides, strict=True)
    )
    body = "".join(f"<tr>{_row_cells(row, styles)}</tr>" for row in rows)
    if more:
        body += (
            f'<tr><td colspan="{len(head)}" style="{_CELL.format("left")};opacity:0.7">{_escaped_text(more)}</td></tr>'
        )
    return _framed(title, notes, f"<thead><tr>{names}</tr></thead><tbody>{body}</tbody>" if body else "")


def facts_html(facts: Iterable[tuple[str, str]], *, title: str, notes: Iterable[str] = ()) -> str:
    """Make a table of names and values, one pair in a row; those without a value are left out."""
    rows = (
        f'<tr><th style="{_NAME}">{_escaped_text(name)}</th><td style="{_VALUE}">{_escaped_text(value)}</td></tr>'
        for name, value in facts
        if value
    )
    return _framed(title, notes, f"<tbody>{''.join(rows)}</tbody>")


def facts_text(facts: Iterable[tuple[str, str]]) -> str:
    """Names and values, one pair in a line; those without a value are left out."""
    shown = [(f"{name}:", value) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name:<{width}} {value}" for name, value in shown)


def columns_text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of plain text: the head and the rows, with their cells below each other."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    cells = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (head, *rows))
    return ["  ".join(row).rstrip() for row in cells]


def show_rounded(table: Table, formats: Mapping[str, str]) -> None:
    """Set formats in which columns are shown, if they are there and have floats; their values stay as they are."""
    for name, form in formats.items():
        if name in table.colnames and getattr(table[name], "dtype", None) is not None and table[name].dtype.kind == "f":
            table[name].info.format = form


def _framed(title: str, notes: Iterable[str], content: str) -> str:
    # no caption: that would be as narrow as its table, or run out of the page with it
    lines = "".join(f'<div style="{_NOTE}">{_escaped_text(note)}</div>' for note in notes if note)
    table = f'<div style="{_FRAME}"><table style="{_TABLE}">{content}</table></div>' if content else ""
    return f'<div class="{_NO_TEX}" style="{_BLOCK}"><strong>{_escaped_text(title)}</strong>{lines}{table}</div>'


def _row_cells(row: Sequence[str], styles: Sequence[str]) -> str:
    cells = zip(row, styles, strict=True)
    return "".join(f'<td style="{style}">{_escaped_text(value)}</td>' for value, style in cells)


def _escaped_text(text: str) -> str:
    return text if isinstance(text, _Ready) else escape(text, quote=True).replace("\n", "<br>")
