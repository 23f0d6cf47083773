# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Jobs on disk, so that none is lost with the process that started it.

One small JSON file per job, for its owner's eyes only, written as a whole. Nothing secret is in it: whoever continues
a job brings a token of their own.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from astropy.config import get_config_dir
from astroquery import log

from ..config import conf
from ..decoding import parse_body
from ..errors import DecodingError, ParameterError
from ..files import read_plain, remove_leftovers, whole_file
from ..origin import origin_of
from ..text import ID_FORM, Pasted, is_id, printable

__all__ = ["checked", "find", "forget_places", "keep", "keep_place", "place", "records"]

_LARGEST_RECORD = 20_000_000
_LARGEST_PLACE = 100_000
_FEWEST = 4  # characters of an id that stand for the whole
_DAY = 86400.0
_FOREVER = 1e12  # seconds since 1970
_WRITES_PER_TIDYING = 50
_writes: dict[Path, int] = {}


def _directory(what: str = "jobs") -> Path:
    """Where the files are; `OSError` if there can't be such a place."""
    try:
        # in the configuration, not in the cache: a cache may be emptied at any time
        return Path(get_config_dir()) / "astroquery_mmoda" / what
    except (RuntimeError, ValueError) as error:  # nobody's home
        raise OSError(errno.ENOENT, f"no directory for configuration: {printable(error)}") from error


# ---- records of jobs


def checked(record: object) -> dict[str, Any]:
    """
    See that a record of a job is such, whoever wrote it.

    Parameters
    ----------
    record : object
        As ``Job.to_dict`` gives it.

    Returns
    -------
    dict
        Its fields, without others. No parameter is a path of a file to be uploaded.

    Raises
    ------
    ParameterError
        A field is missing or of the wrong kind; it is named.
    """
    if not isinstance(record, Mapping):
        raise _no_record(f"it is {printable(type(record).__name__)}, not a dict")
    texts = ("server", "instrument", "product", "session_id", "job_id", "status")
    fields = {name: _typed(record, name, str) for name in texts}
    for name in ("job_id", "session_id"):
        if not is_id(fields[name]):
            raise _no_record(f"{name} must be {ID_FORM}, not {printable(fields[name], limit=80)!r}")
    origin = origin_of(fields["server"])
    if origin is None or origin[0] not in ("http", "https"):
        raise _no_record(f"server must be an address, not {printable(fields['server'], limit=80)!r}")
    parameters = _typed(record, "parameters", Mapping)
    if "token" in parameters or not all(isinstance(text, str) for pair in parameters.items() for text in pair):
        raise _no_record("parameters must be texts by name, without a token")
    files = _typed(record, "files", list, [])
    if not all(isinstance(name, str) for name in files):
        raise _no_record("files must be names of parameters")
    expires = _typed(record, "expires", (int, float, type(None)), None)
    return {
        **fields,
        "email": _typed(record, "email", str, ""),
        "anonymous": _typed(record, "anonymous", bool, True),
        "parameters": {name: Pasted(value) for name, value in parameters.items()},
        "files": files,
        "submitted": _typed(record, "submitted", str, ""),
        "expires": expires if expires is not None and abs(expires) < _FOREVER else None,
    }


_REQUIRED = object()


def _typed(record: Mapping[str, Any], name: str, kind: type | tuple[type, ...], default: Any = _REQUIRED) -> Any:
    value = record.get(name, default)
    if value is _REQUIRED:
        raise _no_record(f"{name} is missing")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _no_record(f"{name} must not be {printable(value, limit=80)!r}")
    return value


def _no_record(why: str) -> ParameterError:
    return ParameterError(f"This is not a valid record of a job, as Job.to_dict writes it: {why}.")


def _name(record: Mapping[str, Any]) -> str:
    """Name of a file, of letters that are ours whatever a server calls its jobs; one per job and server."""
    readable = re.sub(r"[^0-9A-Za-z]", "", str(record["job_id"]))[:32]
    exact = _short_hash(f"{record['server']} {record['job_id']}")[:12]
    return f"{readable}-{exact}.json"


def keep(record: Mapping[str, Any], *, firmly: bool = True) -> None:
    """
    Write the record of a job, in the place of an older one of the same job.

    A journal that can't be written is told in the log and is no reason to lose the analysis.

    Parameters
    ----------
    record : dict
        As ``Job.to_dict`` gives it.
    firmly : bool
        Whether it has to outlive a power failure too; that takes longer than a short query.
    """
    try:
        _put(_directory(), _name(record), record, firmly=firmly)
    except (OSError, ValueError, TypeError) as error:
        log.warning("Job %s could not be noted in the journal (%s); keep its id.", record.get("job_id"), error)


def _put(directory: Path, name: str, record: Mapping[str, Any], *, firmly: bool) -> None:
    """Write a record, and tidy now and then: a look at all files takes longer than a short query."""
    text = json.dumps(record)
    try:
        _write(directory / name, text, firmly=firmly)
    except FileNotFoundError:  # the first one
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(directory / name, text, firmly=firmly)
    _writes[directory] = _writes.get(directory, -1) + 1
    if _writes[directory] % min(_WRITES_PER_TIDYING, max(1, int(conf.journal_size) // 20)) == 0:
        with suppress(OSError):  # the record is there
            _tidy(directory)


def _write(path: Path, text: str, *, firmly: bool) -> None:
    with whole_file(path, private=True, firmly=firmly) as file:
        file.write(text.encode())


def _tidy(directory: Path) -> None:
    """
    Bound the journal in age and number; several processes may do so at once.

    Ages are counted from the newest file, since the clock of this machine and that of the disk may differ.
    """
    remove_leftovers(directory)
    times = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".json") and not entry.is_dir(follow_symlinks=False):
                times.append((_changed(entry), entry.path))
    times.sort(reverse=True)
    most, longest = int(conf.journal_size), float(conf.journal_days) * _DAY
    for number, (changed, path) in enumerate(times):
        if number >= most or times[0][0] - changed > longest:
            with suppress(OSError):
                os.unlink(path)


def _changed(path: Path | os.DirEntry[str]) -> float:
    """When a file was written, in s since 1970."""
    try:
        return path.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:  # another process was quicker
        return -math.inf


def records() -> list[dict[str, Any]]:
    """
    Records of all jobs, newest first; what can't be read is passed over and told in the log.

    Raises
    ------
    OSError
        The journal as a whole can't be read.
    """
    directory = _directory()
    try:
        names = [name for name in os.listdir(directory) if name.endswith(".json")]
    except FileNotFoundError:  # nothing was submitted yet
        return []
    found = [record for name in names if (record := _read(directory / name)) is not None]
    return sorted(found, key=lambda record: str(record["submitted"]), reverse=True)


def find(job_id: str, server: str) -> list[dict[str, Any]]:
    """
    Records that a name of a job may mean.

    Parameters
    ----------
    job_id : str
        The id, or at least 4 of its first characters.
    server : str
        Where it is looked for first.

    Returns
    -------
    list of dict
        The one of this id on this server. If there is none: those of this id on other servers, those whose ids begin
        so on this one, or those on other ones.

    Raises
    ------
    OSError
        The journal as a whole can't be read.
    """
    exact = _read(_directory() / _name({"server": server, "job_id": job_id}))
    if exact is not None and exact["job_id"] == job_id and exact["server"] == server:
        return [exact]
    everything = records()
    same = [record for record in everything if record["job_id"] == job_id]
    if same or len(job_id) < _FEWEST:
        return same
    begun = [record for record in everything if record["job_id"].startswith(job_id)]
    return [record for record in begun if record["server"] == server] or begun


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return checked(parse_body(read_plain(path, limit=_LARGEST_RECORD), what="record"))
    except FileNotFoundError:
        return None
    except (OSError, ParameterError, DecodingError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        log.warning("The record %s in the journal can't be read (%s); it is passed over.", printable(path), why)
        return None


# ---- places of named objects


def place(server: str, name: str) -> tuple[float, float] | None:
    """
    Right ascension and declination (deg) that a name stood for when many queries were first made with it.

    Resolvers improve positions now and then, and another position is another analysis, even of the same name.
    """
    try:
        record = _read_place(_directory("places") / _place_name(server, name))
        ra, dec = (float(record["ra"]), float(record["dec"])) if record else (math.nan, math.nan)
    except (OSError, KeyError, TypeError, ValueError, OverflowError):
        return None
    return (ra, dec) if math.isfinite(ra) and abs(dec) <= 90 else None


def keep_place(server: str, name: str, ra: float, dec: float) -> None:
    """Remember what a name stands for; not being able to is told in the log."""
    try:
        record = {"server": server, "name": name, "ra": ra, "dec": dec}
        _put(_directory("places"), _place_name(server, name), record, firmly=True)
    except (OSError, ValueError, TypeError) as error:
        log.warning("The position of %r could not be noted (%s); a later run may find another one.", name, error)


def forget_places(server: str) -> None:
    """Forget what names stand for on a server; not being able to is told in the log."""
    try:
        for path in _directory("places").glob(f"{_short_hash(server)}-*.json"):
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("The positions of names could not be forgotten (%s).", error)


def _place_name(server: str, name: str) -> str:
    return f"{_short_hash(server)}-{_short_hash(' '.join(name.split()).casefold())}.json"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _read_place(path: Path) -> dict[str, Any] | None:
    if time.time() - _changed(path) > float(conf.journal_days) * _DAY:
        return None
    try:
        record = json.loads(read_plain(path, limit=_LARGEST_PLACE).decode())
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
