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
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from astropy.config import get_config_dir
from astroquery import log

from .config import conf

__all__ = ["find", "keep", "records"]

_LARGEST_RECORD = 20_000_000
_DAY = 86400.0
# a writer that was killed leaves this much, at most for an hour
_LEFTOVER_LIFE = 3600.0


def _directory() -> Path:
    # in the configuration, not in the cache: a cache may be emptied at any time
    return Path(get_config_dir()) / "astroquery_mmoda" / "jobs"


def _name(record: Mapping[str, Any]) -> str:
    """Name of a file, of letters that are ours whatever a server calls its jobs; one per job and server."""
    readable = re.sub(r"[^0-9A-Za-z]", "", str(record["job_id"]))[:32]
    exact = hashlib.sha256(f"{record['server']} {record['job_id']}".encode()).hexdigest()[:12]
    return f"{readable}-{exact}.json"


def keep(record: Mapping[str, Any]) -> None:
    """
    Write the record of a job, in the place of an older one of the same job.

    A journal that can't be written is told in the log and is no reason to lose the analysis.

    Parameters
    ----------
    record : dict
        As ``Job.to_dict`` gives it.
    """
    try:
        directory = _directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(directory / _name(record), json.dumps(record))
        _tidy(directory)
    except (OSError, ValueError, TypeError) as error:
        log.warning("Job %s could not be noted in the journal (%s); keep its id.", record.get("job_id"), error)


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _tidy(directory: Path) -> None:
    """Bound the journal in age and number; several processes may do so at once."""
    now = time.time()
    for part in directory.glob(".*.part"):
        if _age(part, now) > _LEFTOVER_LIFE:
            part.unlink(missing_ok=True)
    paths = sorted(directory.glob("*.json"), key=lambda path: _age(path, now))
    for path in paths[int(conf.journal_size) :]:
        path.unlink(missing_ok=True)
    for path in reversed(paths[: int(conf.journal_size)]):
        if _age(path, now) <= float(conf.journal_days) * _DAY:
            break
        path.unlink(missing_ok=True)


def _age(path: Path, now: float) -> float:
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
        if path.stat().st_size > _LARGEST_RECORD:
            raise ValueError("it is too large")
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not record.get("job_id"):
            raise ValueError("it is no record")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.warning("The record %s in the journal can't be read (%s); it is passed over.", path, error)
        return None
    return record
