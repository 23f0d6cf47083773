# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How products are shown: as a table, in a terminal, in a notebook. All texts of the service are escaped."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
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
_MOST_COMPARED = 200
_MOST_SUMMARIZED = 3000
_NARROWEST, _WIDEST = 80, 120
# columns, and the most characters in them
_LIMITS = {"name": 40, "kind": 12, "source": 24, "band": 28, "time (UTC)": 40, "content": 40, "unit": 24, "size": 10}
_MAYBE_COMMON = ("source", "band", "time (UTC)", "unit")
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
    title, notes, rows = _shown(products)
    lines = [f"<{title}>", *notes]
    if rows:
        kept = list(rows[0])
        widths = {column: max(len(column), *(len(row[column]) for row in rows)) for column in kept}
        width = min(max(get_terminal_size((_WIDEST, 24)).columns, _NARROWEST), _WIDEST)
        for column in _DROPPED:
            # two blanks between columns, and the numbers before them
            if sum(widths[other] + 2 for other in kept) + 2 > width:
                kept = [other for other in kept if other != column]
        digits = len(str(len(rows) - 1))
        numbered = [("", {column: column for column in kept}), *((str(number), row) for number, row in enumerate(rows))]
        for number, row in numbered:
            cells = [number.ljust(digits), *(row[column].ljust(widths[column]) for column in kept)]
            lines.append("  ".join(cells).rstrip())
        left_out = [column for column in rows[0] if column not in kept]
        lines += [f"and in .table: {', '.join(left_out)}"] if left_out else []
    return "\n".join([*lines, *_more(products)])


def products_html(products: Products) -> str:
    """As a notebook shows them."""
    title, notes, rows = _shown(products)
    head = ["", *(rows[0] if rows else ())]
    cells = [[str(number), *row.values()] for number, row in enumerate(rows)]
    return table_html(head, cells, title=title, notes=notes, right=("", "size"), more="".join(_more(products)))


def _shown(products: Products) -> tuple[str, list[str], list[dict[str, str]]]:
    """Title, notes, and the first rows without what is in the notes, since all have it, and without empty columns."""
    is_short = 1 < len(products) <= _MOST_COMPARED
    rows = [_row_of(product) for product in islice(products, None if is_short else _SHOWN)]
    common = {name: rows[0][name] for name in _MAYBE_COMMON if is_short and len({row[name] for row in rows}) == 1}
    common = {name: value for name, value in common.items() if value}
    rows = rows[:_SHOWN]
    kept = [name for name in _LIMITS if name not in common and any(row[name] for row in rows)]
    parameters = [products.parameters.get(name) for name in ("product_type", "instrument")]
    request = " of ".join(printable(value, limit=40) for value in parameters if isinstance(value, str))
    job = printable(products.job_id, limit=40) or "?"
    title = f"Products of job {job}{f' ({request})' if request else ''}: {len(products) or 'none'}"
    notes = [f"all: {', '.join(f'{name} {value}' for name, value in common.items())}"] if common else []
    notes += [printable(products.comment, limit=300)] if products.comment else []
    return title, notes, [{name: row[name] for name in kept} for row in rows]


def _row_of(product: Product, limit: int | None = None) -> dict[str, str]:
    summary = summarize(product)
    values = (product.name, product.kind, product.source, summary.band, summary.time, summary.content, summary.unit)
    cells = zip(_LIMITS.items(), (*values, _readable_size(summary.size)), strict=True)
    return {name: printable(value, limit=limit or most) for (name, most), value in cells}


def _more(products: Products) -> list[str]:
    return [f"... and {len(products) - _SHOWN} more, see .table"] if len(products) > _SHOWN else []


def product_line(product: Product) -> str:
    """Everything in one line."""
    name, kind, source, *values = _row_of(product).values()
    of_source = f" of {source!r}" if source else ""
    return f"<Product {name!r}: {', '.join([kind + of_source, *filter(None, values)])}>"


def product_text(product: Product) -> str:
    """A line for each fact."""
    return facts_text(_facts(product))


def product_html(product: Product) -> str:
    """A row for each fact."""
    return facts_html(_facts(product), title="Product")


def _facts(product: Product) -> list[tuple[str, str]]:
    meta = ", ".join(printable(key, limit=30) for key in islice(product.meta, 10))
    raw, data = product.entry.raw, product.__dict__.get("data")
    if data is not None:
        access = f".data is {type(data).__name__}"
    elif isinstance(raw, Mapping) and "data_unit_list" in raw:
        access = ".data reads it as an HDUList"
    else:
        is_table = product.kind in ("table", "catalog", "strain", "spectrogram", "contours")
        access = f".data reads it{' as a Table' if is_table else ''}"
    return [*_row_of(product, 200).items(), ("meta", shorten(meta, 120)), ("data", access)]


def _readable_size(size: int | None) -> str:
    if size is None:
        return ""
    number = float(size)
    for unit in ("B", "kB", "MB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
