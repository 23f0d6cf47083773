# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Where tokens are kept: environment, files and keyring; or the user types one."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import keyring
from astroquery import log
from astroquery.exceptions import AuthenticationWarning

from ..errors import AuthenticationError, warn, without_frames
from ..files import read_plain, remove_leftovers, whole_file
from ..text import printable
from .token import HOW_TO_GET_ONE, Token

_ENVIRONMENT = "ODA_TOKEN"
_FILE = ".oda-token"
_LARGEST_FILE = 100_000
Places: TypeAlias = str | tuple[str, ...]
# seconds; writing a token takes no longer
_LEFTOVER_AGE = 60.0


@dataclass(frozen=True)
class Found:
    """
    A token, where it was (``argument``, ``environment``, a path, ``keyring`` or ``prompt``), and for which server.

    It goes to no other origin than that server's.
    """

    token: Token
    place: str
    server: str = ""


# ---- finding


@without_frames
def discover(server: str | None = None, *, only_keyring: bool = False) -> tuple[Found | None, bool]:
    """
    A token from the environment, files, or, if a server is named, the keyring; and whether there are expired ones.

    What is malformed, empty or expired is passed over, and the reason logged; never the content.
    """
    expired = False
    for text, place in _token_texts(server, only_keyring=only_keyring):
        try:
            token = Token(text)
        except AuthenticationError:
            log.warning("The token in %s is %s; it is passed over.", place, "malformed" if text.strip() else "empty")
            continue
        if not token.expired:
            log.info("Using the token in %s, which %s.", place, token.lifetime)
            return Found(token, place), expired
        expired = True
        log.warning("The token in %s %s; it is passed over.", place, token.lifetime)
    return None, expired


@without_frames
def token_states() -> list[tuple[str, str]]:
    """Where tokens are, the keyring left out, and what they are: when they expire, or that they are malformed."""
    states = []
    for text, place in _token_texts(None):
        try:
            state = Token(text).lifetime
        except AuthenticationError:
            state = "malformed" if text.strip() else "empty"
        states.append((_ENVIRONMENT if place == "environment" else place, state))
    return states


def keyring_name() -> str:
    """What keeps passwords on this machine."""
    backend = keyring.get_keyring()
    return f"{type(backend).__module__}.{type(backend).__name__}"


def _token_texts(server: str | None, *, only_keyring: bool = False) -> Iterator[tuple[str, str]]:
    if _ENVIRONMENT in os.environ and not only_keyring:
        yield os.environ[_ENVIRONMENT], "environment"
    for path in () if only_keyring else dict.fromkeys((_token_file("cwd"), _token_file("home"))):
        if path is not None and (text := _read_token(path)) is not None:
            yield text, str(path)
    if server is not None and (text := from_keyring(server)) is not None:
        yield text, "keyring"


def _token_file(place: str) -> Path | None:
    """Where a token may be; None if the working directory was removed, or the home directory is unknown."""
    try:
        return (Path.cwd() if place == "cwd" else Path.home()) / _FILE
    except (OSError, RuntimeError):
        return None


def _read_token(path: Path) -> str | None:
    try:
        status, data = path.stat(), read_plain(path, limit=_LARGEST_FILE, links=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("The token file %s can't be read: %s", path, getattr(error, "strerror", None) or error)
        return None
    if os.name == "posix" and status.st_uid != os.getuid():
        advice = f"who may have put it there; if you do not know it, remove it: rm {path}"
        warn(f"The token file {path} belongs to another user, {advice}", AuthenticationWarning)
    elif os.name == "posix" and status.st_mode & 0o077:
        warn(f"The token file {path} can be read by others; change that by: chmod 600 {path}", AuthenticationWarning)
    return data.decode("utf-8", "replace")


# ---- the keyring


def _entry(server: str) -> tuple[str, str]:
    return f"astroquery:{urlsplit(server).hostname or server}", "mmoda-token"


@contextmanager
def _keyring_errors(what: str) -> Iterator[None]:
    """Make one warning of all errors of a keyring's backend, which are of many libraries."""
    name = ""
    try:
        yield
    except keyring.errors.PasswordDeleteError:  # there was nothing
        pass
    except Exception as error:  # noqa: BLE001
        name = type(error).__name__
    # outside of the except block: a backend's error may quote what it was to keep
    if name and (name != "NoKeyringError" or what == "keep"):  # having none is not worth a warning when only searching
        advice = f"Tokens are also found in the environment variable {_ENVIRONMENT} and in ~/{_FILE}."
        warn(f"The keyring can't {what} the token ({name}); going on without it. {advice}", AuthenticationWarning)


@without_frames
def from_keyring(server: str) -> str | None:
    """Text of the token that is kept for a server, or None."""
    with _keyring_errors("give"):
        return keyring.get_password(*_entry(server))
    return None


def _into_keyring(token: Token, server: str) -> None:
    backend = type(keyring.get_keyring())
    if "plaintext" in f"{backend.__module__}.{backend.__name__}".lower():
        warn(f"The keyring of this machine ({backend.__name__}) keeps the token as plain text.", AuthenticationWarning)
    with _keyring_errors("keep"):
        keyring.set_password(*_entry(server), token.secret)
        if keyring.get_password(*_entry(server)) != token.secret:  # the null backend keeps nothing
            raise keyring.errors.PasswordSetError
        log.info("The token is in the keyring now, as %s.", _entry(server)[0])


def forget_in_keyring(server: str) -> None:
    """Remove what was kept for a server; nothing to remove is fine."""
    with _keyring_errors("remove"):
        keyring.delete_password(*_entry(server))


# ---- asking


@without_frames
def from_prompt(server: str) -> Token:
    """Ask the user for a token; `AuthenticationError` where nobody can answer: no terminal and no notebook."""
    if not _someone_is_there():
        raise AuthenticationError(
            f"No usable token was found, and there is no terminal to ask for one. {HOW_TO_GET_ONE}"
        )
    try:
        return Token(getpass.getpass(f"MMODA token for {urlsplit(server).hostname or server} (not shown): "))
    except (EOFError, OSError):
        raise AuthenticationError(f"No token was given. {HOW_TO_GET_ONE}") from None


def _someone_is_there() -> bool:
    with suppress(AttributeError, ValueError):  # closed, or there is none
        if sys.stdin.isatty():
            return True
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    # in a notebook getpass asks through the browser, although standard input is not a terminal
    return getattr(getattr(shell, "kernel", None), "_allow_stdin", False) is True


# ---- keeping


@without_frames
def store(found: Found, places: Places, server: str) -> None:
    """
    Store a token: ``keyring``, ``environment`` (of this process), ``cwd``, ``home``.

    ``same`` is where the one came from that it replaces. After an `AuthenticationError` an old file is untouched.
    """
    for place in (places,) if isinstance(places, str) else places:
        name = found.place if place == "same" else place
        if name in ("argument", "prompt"):
            log.info("The new token is kept in memory only, like the one it replaces.")
        elif name == "keyring":
            _into_keyring(found.token, server)
        elif name == "environment":
            os.environ[_ENVIRONMENT] = found.token.secret
            log.info("The token is in %s of this process now.", _ENVIRONMENT)
        elif name in ("cwd", "home") or (place == "same" and Path(name).name == _FILE):
            path = _token_file(name) if name in ("cwd", "home") else Path(name)
            if path is None:
                raise AuthenticationError(f"store_token={place!r}: there is no such directory any more.")
            _write_token(path, found.token)
        else:
            where = "'keyring', 'environment', 'cwd' or 'home'"
            raise AuthenticationError(f"store_token={printable(place)!r}: a token can be kept in {where}.")


def _write_token(path: Path, token: Token) -> None:
    """Replace a token file as a whole: owner-only from the first byte, flushed, then renamed over the old one."""
    if path.is_symlink():
        raise AuthenticationError(f"{path} is a link; the token was not written through it. Remove the link first.")
    remove_leftovers(path.parent, age=_LEFTOVER_AGE)  # a copy of a token under another name
    try:
        with whole_file(path, private=True) as file:
            file.write(token.secret.encode("ascii") + b"\n")
    except OSError as error:
        reason = f"{error.strerror or type(error).__name__}. What was there is untouched."
        raise AuthenticationError(f"The token could not be written to {path}: {reason}") from None
    log.info("The token is in %s now.", path)
