# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How products are shown: as a table, in a terminal, in a notebook. All words of the service are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice, repeat
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from astropy import units as u
from astropy.table import Column, MaskedColumn, Table

from ...markup import facts_html, facts_text, table_html
from ...text import printable, shorten
from .summary import Summary, summarize

if TYPE_CHECKING:
    from ..product import Product
    from ..products import Products


_SHOWN = 20
_MOST_COMPARED = 500
_MOST_LOOKED = 3000
_NARROWEST, _WIDEST = 80, 120
_HEAD = ("name", "kind", "source", "band", "time (UTC)", "content", "unit", "size")
_LIMITS = (40, 12, 24, 28, 40, 40, 24, 10)
_MAYBE_COMMON = (2, 3, 4, 6)
_DROPPED = (6, 4, 7, 3)  # columns that a narrow terminal can do without, the first one first


def overview(products: Products) -> Table:
    """All that can be told of each product, one in a row."""
    # of thousands it takes seconds, and nobody reads them
    summaries = [summarize(product) for product in products[:_MOST_LOOKED]]
    summaries += [Summary()] * (len(products) - len(summaries))
    told = {name: [printable(getattr(product, name)) for product in products] for name in ("name", "kind", "source")}
    told |= {name: [getattr(summary, name) for summary in summaries] for name in ("band", "time", "content", "unit")}
    table = Table([Column(values, name=name, dtype="U") for name, values in told.items()])
    table["time"].description = "UTC"
    sizes = [summary.size for summary in summaries]
    unknown = [size is None for size in sizes]
    table["size"] = MaskedColumn([size or 0 for size in sizes], mask=unknown, unit=u.byte, dtype="i8")
    return table


def products_text(products: Products) -> str:
    """As a terminal shows them."""
    title, remarks, rows, common = _shown(products)
    lines = [f"<{title}>", *remarks]
    if rows:
        kept = _fitting(rows, common)
        numbered = [[str(number), *(row[column] for column in kept)] for number, row in enumerate(rows)]
        lines += _aligned([["", *(_HEAD[column] for column in kept)], *numbered])
        left_out = [_HEAD[column] for column in _filled(rows) if column not in (*kept, *common)]
        if left_out:
            lines.append(f"and in .table: {', '.join(left_out)}")
    return "\n".join([*lines, *_more(products)])


def products_html(products: Products) -> str:
    """As a notebook shows them."""
    title, remarks, rows, common = _shown(products)
    kept = [column for column in _filled(rows) if column not in common]
    head, cells = [_HEAD[column] for column in kept], [[row[column] for column in kept] for row in rows]
    numbered = [[str(index), *row] for index, row in enumerate(cells)]
    more = "".join(_more(products))
    return table_html(["", *head], numbered, title=title, notes=remarks, right=("", "size"), more=more)


def _shown(products: Products) -> tuple[str, list[str], list[tuple[str, ...]], dict[int, str]]:
    """Title, remarks, the first rows, and what all rows have in common, which is in the remarks."""
    rows = [_row(product) for product in islice(products, _SHOWN)]
    common = _common(products, rows)
    told = products.parameters
    asked = " of ".join(
        printable(told[name], limit=40) for name in ("product_type", "instrument") if isinstance(told.get(name), str)
    )
    job = printable(products.job_id, limit=40) or "?"
    title = f"Products of job {job}{f' ({asked})' if asked else ''}: {len(products) or 'none'}"
    remarks = [f"all: {', '.join(f'{_HEAD[column]} {value}' for column, value in common.items())}"] if common else []
    return title, remarks + ([printable(products.comment, limit=300)] if products.comment else []), rows, common


def _row(product: Product, limits: Iterable[int] = _LIMITS) -> tuple[str, ...]:
    summary = summarize(product)
    values = (product.name, product.kind, product.source, summary.band, summary.time, summary.content, summary.unit)
    cells = [printable(value, limit=limit) for value, limit in zip(values, limits, strict=False)]
    return (*cells, _readable(summary.size))


def _common(products: Products, rows: list[tuple[str, ...]]) -> dict[int, str]:
    """Source, band, time and unit where each of the products has the same, by number of the column."""
    if not 1 < len(products) <= _MOST_COMPARED:
        return {}
    common = {column: rows[0][column] for column in _MAYBE_COMMON if rows[0][column]}
    for row in chain(rows, (_row(product) for product in islice(products, _SHOWN, None))):
        common = {column: value for column, value in common.items() if row[column] == value}
        if not common:
            break
    return common


def _filled(rows: Iterable[tuple[str, ...]]) -> list[int]:
    return [column for column in range(len(_HEAD)) if any(row[column] for row in rows)]


def _fitting(rows: list[tuple[str, ...]], common: Mapping[int, str]) -> list[int]:
    """Columns that the terminal has room for."""
    kept = [column for column in _filled(rows) if column not in common]
    width = min(max(get_terminal_size((_WIDEST, 24)).columns, _NARROWEST), _WIDEST)
    widths = {column: max(len(text) for text in (_HEAD[column], *(row[column] for row in rows))) for column in kept}
    for column in _DROPPED:
        # two blanks between columns, and the numbers before them
        if sum(widths[column] + 2 for column in kept) + 2 <= width:
            break
        kept = [other for other in kept if other != column]
    return kept


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _more(products: Products) -> list[str]:
    return [f"... and {len(products) - _SHOWN} more, see .table"] if len(products) > _SHOWN else []


# ---- one product


def product_line(product: Product) -> str:
    """Everything in one line."""
    row = _row(product)
    rest = "".join(f", {value}" for value in row[3:] if value)
    return f"<Product {row[0]!r}: {row[1]}{f' of {row[2]!r}' if row[2] else ''}{rest}>"


def product_text(product: Product) -> str:
    """A line for each fact."""
    return facts_text(_facts(product))


def product_html(product: Product) -> str:
    """A row for each fact."""
    return facts_html(_facts(product), title="Product")


def _facts(product: Product) -> list[tuple[str, str]]:
    meta = ", ".join(printable(key, limit=30) for key in islice(product.meta, 10))
    return [
        *zip(_HEAD, _row(product, repeat(200)), strict=True),
        ("meta", shorten(meta, 120)),
        ("data", _next(product)),
    ]


def _next(product: Product) -> str:
    """What to do now."""
    data = product.__dict__.get("data")
    if data is not None:
        return f".data is {type(data).__name__}"
    if product.kind in ("picture", "binary"):
        return ".data reads its bytes"
    raw = product.entry.raw
    is_array = isinstance(raw, Mapping) and "data_unit_list" in raw
    is_table = product.kind in ("table", "catalog", "strain", "spectrogram", "contours")
    return f".data reads it{' as an HDUList' if is_array else ' as a Table' if is_table else ''}"


def _readable(size: int | None) -> str:
    if size is None:
        return ""
    number = float(size)
    for unit in ("B", "kB", "MB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
