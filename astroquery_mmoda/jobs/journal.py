# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Jobs on disk, so that none is lost with the process that started it.

One small JSON file per job, readable by its owner only, written as a whole. Nothing secret is in it: to continue
a job needs a token of one's own.
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
from ..text import Pasted, is_id, printable

_LARGEST_RECORD = 20_000_000
_FEWEST = 4  # characters of an id that are enough to find a job
_DAY = 86400.0
_FOREVER = 1e12  # seconds since 1970
_WRITES_PER_TIDYING = 50
_writes = itertools.count()
# fields of a record: types, and what is taken where one is missing; one of None has to be there
_FIELDS: dict[str, tuple[type | tuple[type, ...], Any]] = {
    **dict.fromkeys(("server", "instrument", "product", "session_id", "job_id", "status"), (str, None)),
    "parameters": (Mapping, None),
    "email": (str, ""),
    "anonymous": (bool, True),
    "files": (list, []),
    "submitted": (str, ""),
    "expires": ((int, float), math.inf),
}


def _directory(what: str = "jobs") -> Path:
    """Directory of the files; `OSError` if there can't be one."""
    try:
        # in the configuration, not in the cache: a cache may be emptied at any time
        return Path(get_config_dir()) / "astroquery_mmoda" / what
    except (RuntimeError, ValueError) as error:  # a user without a home directory
        raise OSError(errno.ENOENT, f"no directory for configuration: {printable(error)}") from error


# ---- records of jobs


def checked(record: object) -> dict[str, Any]:
    """Fields of a record as ``Job.to_dict`` gives it, whoever wrote it; `ParameterError` names what is wrong."""
    given = record if isinstance(record, Mapping) else {}
    fields = {}
    for name, (kind, default) in _FIELDS.items():
        value = default if given.get(name) is None else given[name]
        is_right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if name in ("job_id", "session_id"):
            is_right = is_id(value)
        elif name == "server":
            is_right = is_right and (origin_of(value) or ("",))[0] in ("http", "https")
        elif name == "parameters":
            is_right = is_right and "token" not in value
            is_right = is_right and all(isinstance(text, str) for pair in value.items() for text in pair)
        elif name == "files":
            is_right = is_right and all(isinstance(text, str) for text in value)
        if not is_right:
            raise ParameterError(
                "This is not a valid record of a job, as Job.to_dict writes it: "
                f"{name} can't be {printable(value, limit=80)!r}."
            )
        fields[name] = value
    # a text of a record is never the path of a file
    fields["parameters"] = {name: Pasted(value) for name, value in fields["parameters"].items()}
    fields["expires"] = fields["expires"] if abs(fields["expires"]) < _FOREVER else None
    return fields


def _record_name(record: Mapping[str, Any]) -> str:
    """Name of a file, safe for any id that a server gives; one per job and server."""
    readable = re.sub(r"[^0-9A-Za-z]", "", str(record["job_id"]))[:32]
    exact = _short_hash(f"{record['server']} {record['job_id']}")[:12]
    return f"{readable}-{exact}.json"


def keep(record: Mapping[str, Any], *, firmly: bool = True) -> None:
    """
    Write the record of a job, replacing an older one; what goes wrong is logged, and does not stop the analysis.

    ``firmly``: it has to survive a power failure too, which takes longer than a short query.
    """
    try:
        _write_record(_directory(), _record_name(record), record, firmly=firmly)
    except (OSError, ValueError, TypeError) as error:
        log.warning("Job %s could not be written to the journal (%s); keep its id.", record.get("job_id"), error)


def _write_record(directory: Path, name: str, record: Mapping[str, Any], *, firmly: bool) -> None:
    """Write a record, and sometimes remove old ones: checking all files takes longer than a short query."""
    text = json.dumps(record)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with whole_file(directory / name, private=True, firmly=firmly) as file:
        file.write(text.encode())
    if next(_writes) % min(_WRITES_PER_TIDYING, max(1, int(conf.journal_size) // 20)) == 0:
        with suppress(OSError):  # the record is there
            _tidy(directory)


def _tidy(directory: Path) -> None:
    """Bound the journal in age and number; ages are counted from the newest file, as the clock of the disk has them."""
    remove_leftovers(directory)
    with os.scandir(directory) as entries:
        files = [each for each in entries if each.name.endswith(".json") and not each.is_dir(follow_symlinks=False)]
    times = sorted(((each.stat(follow_symlinks=False).st_mtime, each.path) for each in files), reverse=True)
    for number, (changed, path) in enumerate(times):
        if number >= int(conf.journal_size) or times[0][0] - changed > float(conf.journal_days) * _DAY:
            with suppress(OSError):  # another process does so, too
                os.unlink(path)


def records() -> list[dict[str, Any]]:
    """Records of all jobs, newest first; what can't be read is logged, but `OSError` if that is the whole journal."""
    directory = _directory()
    try:
        names = [name for name in os.listdir(directory) if name.endswith(".json")]
    except FileNotFoundError:  # nothing was submitted yet
        return []
    found = [record for name in names if (record := _read_record(directory / name)) is not None]
    return sorted(found, key=lambda record: str(record["submitted"]), reverse=True)


def find(job_id: str, server: str) -> list[dict[str, Any]]:
    """
    Records that a name of a job, or at least 4 of its first characters, may mean; `OSError` as of `records`.

    The one of this id on this server; else those of this id on others, those that begin so on this one, or on others.
    """
    exact = _read_record(_directory() / _record_name({"server": server, "job_id": job_id}))
    if exact is not None and exact["job_id"] == job_id and exact["server"] == server:
        return [exact]
    everything = records()
    same = [record for record in everything if record["job_id"] == job_id]
    if same or len(job_id) < _FEWEST:
        return same
    begun = [record for record in everything if record["job_id"].startswith(job_id)]
    return [record for record in begun if record["server"] == server] or begun


def _read_record(path: Path) -> dict[str, Any] | None:
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
    """Position (deg) that a name stood for when many queries were first made with it, as resolvers improve theirs."""
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
    """Remember the position of a name; a failure is only logged."""
    try:
        record = {"server": server, "name": name, "ra": ra, "dec": dec}
        _write_record(_directory("places"), _place_name(server, name), record, firmly=True)
    except (OSError, ValueError, TypeError) as error:
        log.warning("The position of %r could not be written to the journal (%s).", name, error)


def forget_places(server: str) -> None:
    """Forget the positions of names for a server; a failure is only logged."""
    try:
        for path in _directory("places").glob(f"{_short_hash(server)}-*.json"):
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("The positions of names could not be forgotten (%s).", error)


def _place_name(server: str, name: str) -> str:
    return f"{_short_hash(server)}-{_short_hash(' '.join(name.split()).casefold())}.json"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
