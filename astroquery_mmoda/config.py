# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Settings that a user may change, for a while (``conf.set_temp``) or for good (the astropy configuration file)."""

from __future__ import annotations

from typing import Any

from astropy.config import ConfigItem, ConfigNamespace

from .errors import ParameterError

__all__ = ["DEFAULT_SERVER", "Conf", "conf"]

DEFAULT_SERVER = "https://www.astro.unige.ch/mmoda/dispatch-data"


class _Item(ConfigItem):
    """An item that is checked when it is read, since it may come from a file, and astropy takes any number."""

    least = 0.0

    def __call__(self) -> Any:
        try:
            value = super().__call__()
        except TypeError as error:
            raise ParameterError(f"astroquery_mmoda.conf.{self.name}, from the configuration file: {error}") from None
        is_number = isinstance(self.defaultvalue, (int, float)) and not isinstance(self.defaultvalue, bool)
        if is_number and not (value is not None and value >= self.least):
            raise ParameterError(
                f"astroquery_mmoda.conf.{self.name} = {value} must be a number, {self.least:g} or more, such as "
                f"{self.defaultvalue:g}, the default."
            )
        return value


def _item(default: Any, description: str, *, least: float = 0.0) -> Any:
    # without `module=` astropy would call the section after this file instead of the package
    item = _Item(default, description, module="astroquery_mmoda")
    item.least = least
    return item


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
    timeout: float = _item(
        600.0, "Longest time for one request to the service, from connecting to the last byte of the reply (seconds)."
    )
    idle_timeout: float = _item(60.0, "Longest time within a request without a byte sent or received (seconds).")
    retry_time: float = _item(
        60.0,
        "How long an outage is waited out (connection refused or cut, no reply in time, HTTP 429, 502, 503, 504), from "
        "the first failure on; five times that while an analysis is being waited for (seconds).",
    )
    job_timeout: float = _item(
        86400.0, "Longest time that a query waits for its analysis (seconds). The analysis itself goes on."
    )
    poll_interval_max: float = _item(30.0, "Longest pause between two polls of a running analysis (seconds).")
    many_polls_per_second: float = _item(
        5.0,
        "Most polls of running analyses per second by one call of query_many, all its analyses together.",
        least=0.001,
    )
    discover_token: bool = _item(
        True, "Whether queries without a login look for a token in ODA_TOKEN, ./.oda-token and ~/.oda-token."
    )
    insecure_http: bool = _item(False, "Whether a token may be sent over plain http to other machines than this one.")
    max_reply_size: int = _item(4_000_000_000, "Largest reply that is read, after decompression (bytes).")
    max_product_size: int = _item(4_000_000_000, "Largest single product that is decoded (bytes).")
    max_gunzip_size: int = _item(80_000_000, "Largest expansion of a product that comes compressed (bytes).")
    max_extra_memory: int = _item(
        100_000_000,
        "Memory that the data of a reply, and each form of them, may take beside the size of the reply (bytes).",
    )
    max_json_values: int = _item(
        2_000_000, "Most values in a reply, names and punctuation of lists and dictionaries counted."
    )
    max_pickle_opcodes: int = _item(
        2_000_000,
        "Most instructions in the serialised form of one product; those that take memory count more than once.",
    )
    max_form_parts: int = _item(
        500,
        "Most small arrays and tables that an image, spectrum or light curve is made of; large replies may have more.",
    )
    journal_size: int = _item(1000, "Most jobs that are remembered on disk.")
    journal_days: float = _item(90.0, "How long a job is remembered on disk (days).")
    max_nesting: int = _item(100, "Deepest nesting of lists and dictionaries in a reply or product.")
    max_table_header: int = _item(
        200_000, "Longest header of a text table: names, types and units of its columns, and comments (characters)."
    )

    def reset(self, attr: str | None = None) -> None:
        """
        Set an item to its default, whatever its value is now.

        Parameters
        ----------
        attr : str, optional
            Name of an item; all of them by default.

        Examples
        --------
        >>> from astroquery_mmoda import conf
        >>> conf.reset("job_timeout")
        """
        item = vars(type(self)).get(attr or "")
        if isinstance(item, ConfigItem):
            item.set(item.defaultvalue)  # astropy would read it before
        else:
            super().reset(attr)


conf = Conf()
