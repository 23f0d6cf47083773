# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How products are shown: as a table, in a terminal, in a notebook. All texts of the service are escaped."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING

from astropy import units as u
from astropy.table import Column, MaskedColumn, Table

from ...markup import columns_text, table_html
from ...text import printable
from .summary import Summary, summarize

if TYPE_CHECKING:
    from ..product import Product
    from ..products import Products


_SHOWN = 20
_MOST_SUMMARIZED = 3000
_NARROWEST, _WIDEST = 80, 120
# columns, and the most characters in them
_LIMITS = {"name": 40, "kind": 12, "source": 24, "band": 28, "time (UTC)": 40, "content": 40, "unit": 24, "size": 10}
_DROPPED = ("unit", "time (UTC)", "size", "band")  # what a narrow terminal can do without, the first one first


def overview(products: Products) -> Table:
    """All that is known of each product, one in a row."""
    # of thousands it takes seconds, and nobody reads them
    summaries = [summarize(product) for product in products[:_MOST_SUMMARIZED]]
    summaries += [Summary()] * (len(products) - len(summaries))
    texts = {name: [printable(getattr(product, name)) for product in products] for name in ("name", "kind", "source")}
    texts |= {name: [getattr(summary, name) for summary in summaries] for name in ("band", "time", "content", "unit")}
    table = Table([Column(values, name=name, dtype="U") for name, values in texts.items()])
    table["time"].description = "UTC"
    sizes = [summary.size for summary in summaries]
    unknown = [size is None for size in sizes]
    table["size"] = MaskedColumn([size or 0 for size in sizes], mask=unknown, unit=u.byte, dtype="i8")
    return table


def products_text(products: Products) -> str:
    """As a terminal shows them."""
    title, rows, more = _shown(products)
    kept = list(rows[0]) if rows else []
    widths = {column: max(len(column), *(len(row[column]) for row in rows)) for column in kept}
    width = min(max(get_terminal_size((_WIDEST, 24)).columns, _NARROWEST), _WIDEST)
    for column in _DROPPED:
        if sum(widths[other] + 2 for other in kept) - 2 > width:  # two blanks between columns
            kept = [other for other in kept if other != column]
    lines = [f"<{title}>", *_comment_lines(products)]
    lines += columns_text(kept, [[row[column] for column in kept] for row in rows]) if rows else []
    left_out = [column for column in widths if column not in kept]
    lines += [f"more columns in .table: {', '.join(left_out)}"] if left_out else []
    return "\n".join([*lines, *more])


def products_html(products: Products) -> str:
    """As a notebook shows them."""
    title, rows, more = _shown(products)
    cells = [list(row.values()) for row in rows]
    head = list(rows[0]) if rows else []
    return table_html(head, cells, title=title, notes=_comment_lines(products), right=("", "size"), more="".join(more))


def _shown(products: Products) -> tuple[str, list[dict[str, str]], list[str]]:
    """Title, the first rows with their numbers, without empty columns, and how many more there are."""
    rows = [{"": str(number), **_row_of(product)} for number, product in enumerate(products[:_SHOWN])]
    kept = [name for name in ("", *_LIMITS) if any(row[name] for row in rows)]
    parameters = [products.parameters.get(name) for name in ("product_type", "instrument")]
    request = " of ".join(printable(value, limit=40) for value in parameters if isinstance(value, str))
    job = printable(products.job_id, limit=40) or "?"
    title = f"Products of job {job}{f' ({request})' if request else ''}: {len(products) or 'none'}"
    more = [f"... and {len(products) - _SHOWN} more, see .table"] if len(products) > _SHOWN else []
    return title, [{name: row[name] for name in kept} for row in rows], more


def _comment_lines(products: Products) -> list[str]:
    return [printable(products.comment, limit=300)] if products.comment else []


def _row_of(product: Product) -> dict[str, str]:
    summary = summarize(product)
    values = (product.name, product.kind, product.source, summary.band, summary.time, summary.content, summary.unit)
    cells = zip(_LIMITS.items(), (*values, _readable_size(summary.size)), strict=True)
    return {name: printable(value, limit=most) for (name, most), value in cells}


def product_line(product: Product) -> str:
    """Everything in one line."""
    name, kind, source, *values = _row_of(product).values()
    of_source = f" of {source!r}" if source else ""
    return f"<Product {name!r}: {', '.join([kind + of_source, *filter(None, values)])}>"


def _readable_size(size: int | None) -> str:
    if size is None:
        return ""
    thousands = (len(str(size)) - 1) // 3
    return f"{size / 1000**thousands:.4g} {('', 'k', 'M', 'G', 'T')[thousands]}B"
