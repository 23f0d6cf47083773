# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Jobs on disk, so that none is lost with the process that started it.

One small JSON file per job, for its owner's eyes only, written as a whole. Nothing secret is in it: whoever continues
a job brings a token of their own.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
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

_LARGEST_RECORD = 20_000_000
_FEWEST = 4  # characters of an id that stand for the whole
_DAY = 86400.0
_FOREVER = 1e12  # seconds since 1970
_WRITES_PER_TIDYING = 50
_writes = itertools.count()
_REQUIRED: Any = object()
# fields of a record: types, and what is taken where one is missing
_FIELDS: dict[str, tuple[type | tuple[type, ...], Any]] = {
    **dict.fromkeys(("server", "instrument", "product", "session_id", "job_id", "status"), (str, _REQUIRED)),
    "parameters": (Mapping, _REQUIRED),
    "email": (str, ""),
    "anonymous": (bool, True),
    "files": (list, []),
    "submitted": (str, ""),
    "expires": ((int, float, type(None)), None),
}


def _directory(what: str = "jobs") -> Path:
    """Directory of the files; `OSError` if there can't be one."""
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
        raise _not_valid(f"it is {printable(type(record).__name__)}, not a dict")
    fields = {}
    for name, (kind, default) in _FIELDS.items():
        value = fields[name] = record.get(name, default)
        if value is _REQUIRED:
            raise _not_valid(f"{name} is missing")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _not_valid(f"{name} must not be {printable(value, limit=80)!r}")
    for name in ("job_id", "session_id"):
        if not is_id(fields[name]):
            raise _not_valid(f"{name} must be {ID_FORM}, not {printable(fields[name], limit=80)!r}")
    if (origin_of(fields["server"]) or ("",))[0] not in ("http", "https"):
        raise _not_valid(f"server must be an address, not {printable(fields['server'], limit=80)!r}")
    parameters = fields["parameters"]
    if "token" in parameters or not all(isinstance(text, str) for pair in parameters.items() for text in pair):
        raise _not_valid("parameters must be texts by name, without a token")
    if not all(isinstance(name, str) for name in fields["files"]):
        raise _not_valid("files must be names of parameters")
    expires = fields["expires"]
    return {
        **fields,
        "parameters": {name: Pasted(value) for name, value in parameters.items()},
        "expires": expires if expires is not None and abs(expires) < _FOREVER else None,
    }


def _not_valid(why: str) -> ParameterError:
    return ParameterError(f"This is not a valid record of a job, as Job.to_dict writes it: {why}.")


def _name(record: Mapping[str, Any]) -> str:
    """Name of a file, of letters that are ours whatever a server calls its jobs; one per job and server."""
    readable = re.sub(r"[^0-9A-Za-z]", "", str(record["job_id"]))[:32]
    exact = _short_hash(f"{record['server']} {record['job_id']}")[:12]
    return f"{readable}-{exact}.json"


def keep(record: Mapping[str, Any], *, firmly: bool = True) -> None:
    """
    Write the record of a job, in the place of an older one of the same job.

    A journal that can't be written is logged, and does not stop the analysis.

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
        log.warning("Job %s could not be written to the journal (%s); keep its id.", record.get("job_id"), error)


def _put(directory: Path, name: str, record: Mapping[str, Any], *, firmly: bool) -> None:
    """Write a record, and tidy now and then: to go through all files takes longer than a short query."""
    text = json.dumps(record)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with whole_file(directory / name, private=True, firmly=firmly) as file:
        file.write(text.encode())
    if next(_writes) % min(_WRITES_PER_TIDYING, max(1, int(conf.journal_size) // 20)) == 0:
        with suppress(OSError):  # the record is there
            _tidy(directory)


def _tidy(directory: Path) -> None:
    """
    Bound the journal in age and number; several processes may do so at once.

    Ages are counted from the newest file, since the clock of this machine and that of the disk may differ.
    """
    remove_leftovers(directory)
    with os.scandir(directory) as entries:
        files = [each for each in entries if each.name.endswith(".json") and not each.is_dir(follow_symlinks=False)]
    times = sorted(((each.stat(follow_symlinks=False).st_mtime, each.path) for each in files), reverse=True)
    most, longest = int(conf.journal_size), float(conf.journal_days) * _DAY
    for number, (changed, path) in enumerate(times):
        if number >= most or times[0][0] - changed > longest:
            with suppress(OSError):
                os.unlink(path)


def records() -> list[dict[str, Any]]:
    """
    Records of all jobs, newest first; what can't be read is passed over and logged.

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


# ---- positions of named objects


def place(server: str, name: str) -> tuple[float, float] | None:
    """
    Right ascension and declination (deg) that a name stood for when many queries were first made with it.

    Resolvers improve positions now and then, and another position is another analysis, even of the same name.
    """
    try:
        path = _directory("places") / _place_name(server, name)
        if time.time() - path.stat().st_mtime > float(conf.journal_days) * _DAY:
            return None
        record = parse_body(read_plain(path, limit=_LARGEST_RECORD), what="position")
        ra, dec = float(record["ra"]), float(record["dec"])
    except (OSError, DecodingError, LookupError, TypeError, ValueError, OverflowError):
        return None
    return (ra, dec) if math.isfinite(ra) and abs(dec) <= 90 else None


def keep_place(server: str, name: str, ra: float, dec: float) -> None:
    """Remember what a name stands for; not being able to is logged."""
    try:
        record = {"server": server, "name": name, "ra": ra, "dec": dec}
        _put(_directory("places"), _place_name(server, name), record, firmly=True)
    except (OSError, ValueError, TypeError) as error:
        log.warning(
            "The position of %r could not be written to the journal (%s); a later run may find another one.",
            name,
            error,
        )


def forget_places(server: str) -> None:
    """Forget what names stand for on a server; not being able to is logged."""
    try:
        for path in _directory("places").glob(f"{_short_hash(server)}-*.json"):
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("The positions of names could not be forgotten (%s).", error)


def _place_name(server: str, name: str) -> str:
    return f"{_short_hash(server)}-{_short_hash(' '.join(name.split()).casefold())}.json"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
