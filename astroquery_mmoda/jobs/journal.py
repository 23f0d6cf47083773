# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Jobs on disk, so that none is lost with the process that started it.

One small JSON file per job, readable by its owner only, written as a whole. Nothing secret is in it: to continue
a job needs a token of one's own.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from astropy.config import get_config_dir
from astroquery import log

from ..config import conf
from ..decoding import parse_body
from ..errors import DecodingError, ParameterError
from ..files import can_be_made, read_plain, remove_leftovers, whole_file
from ..origin import origin_of
from ..text import Pasted, is_id, printable

_LARGEST_RECORD = 20_000_000
_FEWEST = 4  # characters of an id that are enough to find a job
_DAY = 86400.0
_FOREVER = 1e12  # seconds since 1970
_WRITES_PER_TIDYING = 50
_writes = itertools.count()


def _is_server(value: Any) -> bool:
    return (origin_of(value) or ("",))[0] in ("http", "https")


def _is_form(fields: Any) -> bool:
    return "token" not in fields and all(isinstance(text, str) for pair in fields.items() for text in pair)


# fields of a record: types, and what is taken where one is missing; one of None has to be there
_FIELDS: dict[str, tuple[type, Any]] = {
    **dict.fromkeys(("server", "instrument", "product", "session_id", "job_id", "status"), (str, None)),
    "parameters": (Mapping, None),
    "email": (str, ""),
    "anonymous": (bool, True),
    "files": (list, []),
    "submitted": (str, ""),
}
# what holds for some beyond that
_CHECKS = {"server": _is_server, "parameters": _is_form, "session_id": is_id, "job_id": is_id}


def _directory(what: str = "jobs") -> Path:
    # in the configuration, not in the cache: a cache may be emptied at any time
    return Path(get_config_dir()) / "astroquery_mmoda" / what


# ---- records of jobs


def checked(record: object) -> dict[str, Any]:
    """Fields of a record as ``Job.to_dict`` gives it, whoever wrote it; `ParameterError` names what is wrong."""
    given = record if isinstance(record, Mapping) else {}
    fields = {}
    for name, (kind, default) in _FIELDS.items():
        value = fields[name] = default if given.get(name) is None else given[name]
        if not isinstance(value, kind) or (name in _CHECKS and not _CHECKS[name](value)):
            wrong = f"{name} can't be {printable(value, limit=80)!r}"
            raise ParameterError(f"This is not a valid record of a job, as Job.to_dict writes it: {wrong}.")
    # a text of a record is never the path of a file
    fields["parameters"] = {name: Pasted(value) for name, value in fields["parameters"].items()}
    end = given.get("expires")
    fields["expires"] = end if isinstance(end, (int, float)) and 0 <= end < _FOREVER else None
    return fields


def condition() -> tuple[Path, int, bool]:
    """Where the records are, how many, and whether more can be written."""
    directory = _directory()
    return directory, sum(1 for _ in directory.glob("*.json")), can_be_made(directory)


def _letters(job_id: str) -> str:
    """How names of files begin with records of a job, safe for any id that a server gives."""
    return re.sub(r"[^0-9A-Za-z]", "", job_id)[:32]


def keep(record: Mapping[str, Any], *, firmly: bool = True) -> None:
    """
    Write the record of a job, replacing an older one; what goes wrong is logged, and does not stop the analysis.

    ``firmly``: it has to survive a power failure too, which takes longer than a short query.
    """
    name = f"{_letters(record['job_id'])}-{_short_hash(record['server'] + ' ' + record['job_id'])[:12]}.json"
    _write("jobs", name, record, firmly=firmly)


def _write(what: str, name: str, record: Mapping[str, Any], *, firmly: bool = True) -> None:
    """Write a file; sometimes remove old ones, as checking them all takes longer than a short query."""
    try:
        directory = _directory(what)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(directory / name, private=True, firmly=firmly) as file:
            file.write(json.dumps(record).encode())
        if next(_writes) % min(_WRITES_PER_TIDYING, max(1, int(conf.journal_size) // 20)) == 0:
            with suppress(OSError):  # the record is there
                _tidy(directory)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # RuntimeError: a user without a home directory
        of_what = record.get("job_id") or record.get("name")
        log.warning("The record of %s could not be written to the journal (%s).", printable(of_what), error)


def _tidy(directory: Path) -> None:
    """Bound the journal in age and number; ages are counted from the newest file, as the clock of the disk has them."""
    remove_leftovers(directory)
    files = [path for path in directory.glob("*.json") if not path.is_dir()]
    times = sorted(((path.lstat().st_mtime, path) for path in files), reverse=True)
    for number, (changed, path) in enumerate(times):
        if number >= int(conf.journal_size) or times[0][0] - changed > float(conf.journal_days) * _DAY:
            path.unlink(missing_ok=True)  # another process does so, too


def records(begin: str = "") -> list[dict[str, Any]]:
    """Records of all jobs whose ids begin so, newest first; what can't be read is logged."""
    try:
        paths = [path for path in _directory().iterdir() if path.match(f"{_letters(begin)}*.json")]
    except FileNotFoundError:  # nothing was submitted yet
        return []
    except (OSError, RuntimeError) as error:
        log.warning("The journal of this machine can't be read (%s).", printable(error, limit=200))
        return []
    found = [record for path in paths if (record := _read_record(path)) and record["job_id"].startswith(begin)]
    return sorted(found, key=lambda record: str(record["submitted"]), reverse=True)


def find(job_id: str, server: str) -> list[dict[str, Any]]:
    """
    Records that a name of a job, or at least 4 of its first characters, may mean.

    The one of this id on this server; else those of this id on others, those that begin so on this one, or on others.
    """
    begun = records(job_id)
    found = [record for record in begun if record["job_id"] == job_id] or (begun if len(job_id) >= _FEWEST else [])
    return [record for record in found if record["server"] == server] or found


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        return checked(_read_file(path))
    except (OSError, ParameterError, DecodingError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        log.warning("The record %s in the journal can't be read (%s); it is passed over.", printable(path), why)
        return None


def _read_file(path: Path) -> Any:
    return parse_body(read_plain(path, limit=_LARGEST_RECORD), what="record")


# ---- positions of named objects


def place(server: str, name: str) -> tuple[float, float] | None:
    """Position (deg) that a name stood for when many queries were first made with it, as resolvers improve theirs."""
    try:
        record = _read_file(_directory("places") / _place_name(server, name))
        ra, dec = float(record["ra"]), float(record["dec"])
    except (OSError, RuntimeError, DecodingError, LookupError, TypeError, ValueError, OverflowError):
        return None
    return (ra, dec) if math.isfinite(ra) and abs(dec) <= 90 else None


def keep_place(server: str, name: str, ra: float, dec: float) -> None:
    """Remember the position of a name; a failure is only logged."""
    _write("places", _place_name(server, name), {"server": server, "name": name, "ra": ra, "dec": dec})


def forget_places() -> None:
    """Forget the positions of names."""
    with suppress(RuntimeError):  # a user without a home directory
        shutil.rmtree(_directory("places"), ignore_errors=True)


def _place_name(server: str, name: str) -> str:
    return f"{_short_hash(' '.join([server, *name.casefold().split()]))}.json"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
