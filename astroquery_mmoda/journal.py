# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Jobs on disk, so that none is lost with the process that started it.

One small JSON file per job, for its owner's eyes only, written as a whole. Nothing secret is in it: whoever continues
a job brings a token of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from astropy.config import get_config_dir
from astroquery import log

from .config import conf
from .files import read_plain, remove_leftovers, whole_file

__all__ = ["find", "forget_places", "keep", "keep_place", "place", "records"]

_LARGEST_RECORD = 20_000_000
_LARGEST_PLACE = 100_000
_DAY = 86400.0
_WRITES_PER_TIDYING = 50
_writes: dict[Path, int] = {}


def _directory(what: str = "jobs") -> Path:
    # in the configuration, not in the cache: a cache may be emptied at any time
    return Path(get_config_dir()) / "astroquery_mmoda" / what


def _name(record: Mapping[str, Any]) -> str:
    """Name of a file, of letters that are ours whatever a server calls its jobs; one per job and server."""
    readable = re.sub(r"[^0-9A-Za-z]", "", str(record["job_id"]))[:32]
    exact = hashlib.sha256(f"{record['server']} {record['job_id']}".encode()).hexdigest()[:12]
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
        _tidy(directory)


def _write(path: Path, text: str, *, firmly: bool) -> None:
    with whole_file(path, private=True, firmly=firmly) as file:
        file.write(text.encode())


def _tidy(directory: Path) -> None:
    """Bound the journal in age and number; several processes may do so at once."""
    remove_leftovers(directory)
    now = time.time()
    ages = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".json"):
                ages.append((_age(entry, now), entry.path))
    ages.sort()
    most, longest = int(conf.journal_size), float(conf.journal_days) * _DAY
    for number, (age, path) in enumerate(ages):
        if number >= most or age > longest:
            Path(path).unlink(missing_ok=True)


def _age(path: Path | os.DirEntry[str], now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:  # another process was quicker
        return float("inf")


def records(server: str) -> list[dict[str, Any]]:
    """Records of the jobs on a server, newest first; what can't be read is passed over and told in the log."""
    found = [record for record in _all() if record.get("server") == server]
    return sorted(found, key=lambda record: str(record.get("submitted")), reverse=True)


def find(job_id: str, server: str) -> dict[str, Any] | None:
    """Record of one job on a server, or None. The first characters of its id are enough, if only one has them."""
    path = _directory() / _name({"server": server, "job_id": job_id})
    exact = _read(path) if path.exists() else None
    if exact is not None:
        return exact
    begun = [record for record in records(server) if len(job_id) >= 4 and str(record["job_id"]).startswith(job_id)]
    return begun[0] if len(begun) == 1 else None


def _all() -> Iterator[dict[str, Any]]:
    for path in _directory().glob("*.json"):
        record = _read(path)
        if record is not None:
            yield record


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(read_plain(path, limit=_LARGEST_RECORD).decode())
        if not isinstance(record, dict) or not record.get("job_id"):
            raise ValueError("it is no record")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.warning("The record %s in the journal can't be read (%s); it is passed over.", path, error)
        return None
    return record


# ---- places of named objects


def place(server: str, name: str) -> tuple[float, float] | None:
    """
    Right ascension and declination (deg) that a name stood for when many queries were first made with it.

    Resolvers improve positions now and then, and another position is another analysis, even of the same name.
    """
    record = _read_place(_directory("places") / _place_name(server, name))
    try:
        return None if record is None else (float(record["ra"]), float(record["dec"]))
    except (KeyError, TypeError, ValueError):
        return None


def keep_place(server: str, name: str, ra: float, dec: float) -> None:
    """Remember what a name stands for; not being able to is told in the log."""
    try:
        record = {"server": server, "name": name, "ra": ra, "dec": dec}
        _put(_directory("places"), _place_name(server, name), record, firmly=True)
    except (OSError, ValueError, TypeError) as error:
        log.warning("The position of %r could not be noted (%s); a later run may find another one.", name, error)


def forget_places(server: str) -> None:
    """Forget what names stand for on a server."""
    for path in _directory("places").glob(f"{_short_hash(server)}-*.json"):
        path.unlink(missing_ok=True)


def _place_name(server: str, name: str) -> str:
    return f"{_short_hash(server)}-{_short_hash(' '.join(name.split()).casefold())}.json"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read_place(path: Path) -> dict[str, Any] | None:
    if _age(path, time.time()) > float(conf.journal_days) * _DAY:
        return None
    try:
        record = json.loads(read_plain(path, limit=_LARGEST_PLACE).decode())
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
