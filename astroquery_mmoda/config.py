# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Settings that a user may change, for a while (``conf.set_temp``) or for good (the astropy configuration file)."""

from __future__ import annotations

import re
from typing import Any

from astropy.config import ConfigItem, ConfigNamespace

from .errors import ParameterError
from .markup import columns_text, table_html
from .text import printable

DEFAULT_SERVER = "https://www.astro.unige.ch/mmoda/dispatch-data"


class _Item(ConfigItem):
    """An item that is checked when it is read, since it may come from a file, and astropy takes any number."""

    def __call__(self) -> Any:
        try:
            value = super().__call__()
        except TypeError as error:
            raise ParameterError(f"astroquery_mmoda.conf.{self.name}, from the configuration file: {error}") from None
        if type(self.defaultvalue) in (int, float) and not (value is not None and value >= 0):
            allowed = f"a number, 0 or more, such as {self.defaultvalue:g}, the default"
            raise ParameterError(f"astroquery_mmoda.conf.{self.name} = {value} must be {allowed}.")
        return value


def _item(default: Any, description: str) -> Any:
    # without `module=` astropy would call the section after this file instead of the package
    return _Item(default, description, module="astroquery_mmoda")


_UNIT = re.compile(r" \((\w+)\)\.$")  # at the end of a description
_PASSWORD = re.compile(r"//[^/@\s]*@")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return _PASSWORD.sub("//***@", printable(value, limit=200))
    return str(value) if isinstance(value, bool) else f"{value:_.12g}"


class Conf(ConfigNamespace):
    """
    Configuration of `astroquery_mmoda`.

    Read whenever it is needed, so a change counts from the next call on. ``conf.help()`` lists the items,
    with their units.

    Examples
    --------
    >>> from astroquery_mmoda import conf
    >>> with conf.set_temp("job_timeout", 600):  # seconds
    ...     conf.job_timeout
    600.0
    """

    server: str = _item(DEFAULT_SERVER, "Base address of the MMODA dispatcher.")
    timeout: float = _item(600.0, "Longest time for one request, from connecting to the last byte of the reply (s).")
    idle_timeout: float = _item(60.0, "Longest time within a request without a byte sent or received (s).")
    retry_time: float = _item(60.0, "How long an outage is waited out; five times that while waiting for a job (s).")
    job_timeout: float = _item(86400.0, "Longest time that a query waits for its analysis, which itself goes on (s).")
    poll_interval_max: float = _item(30.0, "Longest pause between two polls of a running analysis (s).")
    max_active_jobs: int = _item(4, "Most jobs at a time into which windows_per_job divides one query.")
    many_polls_per_second: float = _item(5.0, "Most polls per second by all queries of one query_many.")
    discover_token: bool = _item(True, "Whether queries without a login look for a token in ODA_TOKEN and .oda-token.")
    insecure_http: bool = _item(False, "Whether a token may be sent over plain http to other machines than this one.")
    max_reply_size: int = _item(4_000_000_000, "Largest reply that is read, after decompression (bytes).")
    max_product_size: int = _item(4_000_000_000, "Largest single product that is decoded (bytes).")
    max_gunzip_size: int = _item(80_000_000, "Largest expansion of a product that comes compressed (bytes).")
    max_extra_memory: int = _item(
        100_000_000, "Memory that each form of a reply's data may take beside its size (bytes)."
    )
    max_json_values: int = _item(2_000_000, "Most values in a reply; names and punctuation of lists and dicts count.")
    max_pickle_opcodes: int = _item(2_000_000, "Most instructions in one product, weighted by the memory they take.")
    max_form_parts: int = _item(500, "Most small arrays and tables in one form; large replies may have more.")
    journal_size: int = _item(1000, "Most jobs that are remembered on disk.")
    journal_days: float = _item(90.0, "How long a job is remembered on disk (days).")
    max_nesting: int = _item(100, "Deepest nesting of lists and dictionaries in a reply or product.")
    max_table_header: int = _item(200_000, "Longest header of a text table, with its comments (characters).")

    def __repr__(self) -> str:
        lines = columns_text(("item", "value", "unit", "default"), [row[:4] for row in self._rows()])
        return "\n".join(["<Conf of astroquery_mmoda; conf.help() describes the items>", *lines])

    def _repr_html_(self) -> str:
        rows = [
            (name, f"{value}\n(default {default})" if default else value, unit, description)
            for name, value, unit, default, description in self._rows()
        ]
        head, note = ("item", "value", "unit", "description"), "conf.item = value changes one for this session."
        return table_html(head, rows, title="Configuration of astroquery_mmoda", notes=[note], wrap=("description",))

    def _rows(self) -> list[tuple[str, ...]]:
        """Name, present value, unit, the default where it differs, and description."""
        rows: list[tuple[str, ...]] = []
        for name, item in self.items():
            unit = _UNIT.search(item.description)
            try:
                value = _shown(item())
            except ParameterError:  # the configuration file has something else
                value = "not valid"
            default = _shown(item.defaultvalue)
            default = "" if value == default else default
            rows.append((name, value, unit[1] if unit else "", default, _UNIT.sub(".", item.description)))
        return rows


conf = Conf()
