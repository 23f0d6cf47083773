# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What a maintainer needs to know of a machine, and nothing that others must not see."""

from __future__ import annotations

import os
import platform
import re
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from getpass import getuser
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from .auth.places import keyring_name, token_states
from .config import conf
from .jobs import journal
from .markup import facts_text
from .service.account import Account, Connection
from .service.http import Patience
from .text import printable

_NEEDED = "astropy astroquery pyvo numpy requests urllib3 keyring PyJWT pybase64 PyYAML".split()
_OPTIONAL = "matplotlib pillow reproject scipy regions gwpy ipykernel IPython dask".split()
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_LONGEST_WAIT = 10.0  # for the answer of the service, s
_LARGEST_DIFFERENCE = 60.0  # of clocks, s: tokens and times of jobs begin to be wrong


def diagnosis(account: Account, address: Callable[[], str]) -> str:
    """Facts of this machine, an account and its server, one in a line; see ``Mmoda.diagnose``."""
    parts: list[tuple[str, Callable[[], str]]] = [
        ("astroquery_mmoda", lambda: version("astroquery_mmoda")),
        ("python", lambda: f"{platform.python_version()} ({platform.python_implementation()})"),
        ("platform", platform.platform),
        ("needs", lambda: _versions(_NEEDED)),
        ("optional", lambda: _versions(_OPTIONAL)),
        ("server", address),
        ("answer", lambda: _answer(account, address())),
        ("token", lambda: _token_facts(account)),
        ("token places", lambda: "; ".join(f"{_short(place)}: {state}" for place, state in token_states()) or "none"),
        ("keyring", keyring_name),
        ("proxies", _proxies),
        ("certificates", lambda: ", ".join(f"{name} is set" for name in _CERTIFICATES if os.environ.get(name))),
        ("journal", _journal_facts),
        ("settings", _changed_settings),
    ]
    return facts_text([(name, _said(part)) for name, part in parts])


def _said(part: Callable[[], str]) -> str:
    """What a part says, or why it can't."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = part() or "none"
    except Exception as error:  # noqa: BLE001 - a report of what is broken must not break
        text = f"unknown ({type(error).__name__}: {error})"
    return _short(printable(text, limit=600))


def _short(text: str) -> str:
    """Text without the names in the paths of the working directory and of the home directory, and that of the user."""
    for find, sign in ((Path.cwd, "."), (Path.home, "~")):
        with suppress(OSError, RuntimeError):
            if (place := find()) != place.parent:  # in a container it may be the root, which has no name
                text = text.replace(f"{place}{os.sep}", f"{sign}{os.sep}")
    with suppress(OSError, KeyError, ImportError):  # a user without a name
        text = re.sub(rf"(?<=[/\\]){re.escape(getuser())}(?![\w.-])", "USER", text)  # as in /scratch/NAME
    return text


def _versions(packages: list[str]) -> str:
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} -")
    return ", ".join(found)


def _answer(account: Account, server: str) -> str:
    """Whether the service answers, in what time, its version, and its clock."""
    begin = time.monotonic()
    answer = Connection(server, account).routes(Patience(begin + _LONGEST_WAIT, outage=0.0)).about()
    known = answer.content if isinstance(answer.content, dict) else {}
    its_version = known.get("cdci_data_analysis_version")
    unknown = f"not that of a MMODA dispatcher (HTTP status {answer.status})"
    facts = [f"dispatcher {its_version}" if its_version else unknown, f"in {time.monotonic() - begin:.1f} s"]
    with suppress(ValueError):  # it may not say it
        ahead = time.time() - parsedate_to_datetime(answer.date).timestamp()
        is_right = abs(ahead) < _LARGEST_DIFFERENCE
        facts.append("clocks agree" if is_right else f"the clock here is {ahead:+.0f} s from that of the service")
    return ", ".join(facts)


def _token_facts(account: Account) -> str:
    """Where the token in use is from, when it expires, and what it permits."""
    info = account.info()
    if info["location"] is None:
        return "none in use"
    expires = "does not expire" if info["expires"] is None else f"expires {info['expires'].iso[:16]} UTC"
    return f"{info['location']}, {expires}, roles: {', '.join(info['roles']) or 'none'}"


def _proxies() -> str:
    """Kinds and hosts of proxies, without the user names and passwords that may be in their addresses."""
    found = {name: address for name, address in sorted(getproxies().items()) if name != "no"}
    texts = [f"{name} {urlsplit(address).hostname or 'not a valid address'}" for name, address in found.items()]
    return ", ".join([*texts, *(["NO_PROXY is set"] if "no" in getproxies() else [])])


def _journal_facts() -> str:
    place, number, is_writable = journal.condition()
    return f"{place}, {number} files, {'can' if is_writable else 'can NOT'} be written to"


def _changed_settings() -> str:
    """Items of the configuration that are not as they come; addresses are only named."""
    changed = {name: value for name, item in conf.items() if (value := item()) != item.defaultvalue}
    return ", ".join(name if name == "server" else f"{name} = {value!r}" for name, value in changed.items())
