# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Tables as ECSV files, and files of text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from astropy.table import MaskedColumn, Table

from ... import decoding
from ...allowance import Allowance
from ...text import without_token


def ecsv_of(data: Table, provenance: Mapping[str, Any]) -> tuple[bytes, list[str]]:
    """Make ECSV, which takes empty texts for missing ones unless columns say what is missing; and name masked ones."""
    table = data.copy(copy_data=False)
    table.meta["MMODA"] = provenance
    masked = [name for name in table.colnames if isinstance(table[name], MaskedColumn)]
    unclear = [name for name in masked if table[name].dtype.kind == "U" and (table[name].filled("x") == "").any()]
    buffer = io.StringIO()
    table.write(buffer, format="ascii.ecsv", serialize_method=dict.fromkeys(unclear, "data_mask"))
    return without_token(buffer.getvalue()).encode(), masked


def read_ecsv_file(files: Sequence[bytes], options: Mapping[str, Any], allowance: Allowance) -> Table:
    """Read what `ecsv_of` made."""
    table = decoding.read_ecsv(read_text_file(files, options, allowance), allowance=allowance)
    table.meta.pop("MMODA", None)
    masked = set(options["masked"])
    for name in table.colnames:
        is_masked = isinstance(table[name], MaskedColumn)
        if name in masked and not is_masked:
            table[name] = MaskedColumn(table[name])
        elif is_masked and name not in masked:
            table[name] = table[name].filled("")  # an empty text is a missing one in ECSV
    return table


def read_text_file(files: Sequence[bytes], options: Mapping[str, Any], allowance: Allowance) -> str:
    """Read a file of text."""
    if not files[0].isascii():  # all characters are as wide as the widest
        allowance.spend(4 * len(files[0]), "a text")
    return str(files[0], "utf-8", "surrogatepass")
