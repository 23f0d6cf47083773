# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Stands for the client of the service's back end, which is not on PyPI: analyses run in threads of this process.

Each analysis has a directory below ``osa`` in the working directory of the server. It holds ``request.json`` (what the
plugin sent, as it arrived), the files that the analysis wrote, and ``result.json`` (names and paths of those) or
``failed.json``. An equal request finds the finished one there, as in the service's cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.released_plugins import osa

__all__ = ["AnalysisDelegatedException", "AnalysisException", "RemoteDDA", "WorkerException"]

logger = logging.getLogger(__name__)

WORK = Path("osa")
STEP = float(os.environ.get("MMODA_LOCAL_STEP", "0.3"))


class WorkerException(Exception):
    """The back end itself failed."""


class AnalysisException(Exception):
    """The analysis failed; `exceptions` tells where and why."""

    def __init__(self, failure: dict[str, str]) -> None:
        super().__init__("found analysis exceptions", [failure])
        self.exceptions = [failure]


class AnalysisDelegatedException(Exception):
    """The analysis runs; reports go to the callback."""

    def __init__(self, delegation_state: str = "submitted") -> None:
        super().__init__(delegation_state)
        self.delegation_state = delegation_state


class _Result:
    """A finished analysis: paths of FITS files, and what the plugin wants to know besides."""

    def __init__(self, directory: Path) -> None:
        self.ddcache_root_local = os.fspath(directory)
        for name, value in json.loads((directory / "result.json").read_text()).items():
            setattr(self, name, value)


class RemoteDDA:
    """The back end of one address."""

    def __init__(self, url: str, cache: str) -> None:
        self.url, self.cache = url, cache

    def poke(self) -> str:
        """Whether it is there."""
        return ""

    def query(
        self,
        target: str,
        modules: list[str] | None = None,
        assume: list[str] | None = None,
        inject: list[Any] | None = None,
        *,
        prompt_delegate: bool = True,
        callback: str | None = None,
        **ignored: Any,
    ) -> _Result:
        """Result of an analysis, if it is finished; otherwise it is started."""
        asked = {"target": target, "modules": modules or [], "assume": assume or [], "inject": inject or []}
        text = json.dumps(asked, indent=1)
        directory = WORK / hashlib.sha256(text.encode()).hexdigest()[:32]
        if (directory / "failed.json").exists():
            raise AnalysisException(json.loads((directory / "failed.json").read_text()))
        if not (directory / "result.json").exists():
            if not prompt_delegate:
                raise WorkerException("this back end works for asynchronous requests only")
            self._start(directory, asked, callback or "")
            raise AnalysisDelegatedException
        return _Result(directory)

    def _start(self, directory: Path, asked: dict[str, Any], callback: str) -> None:
        try:
            # only one of several equal requests does the work
            directory.mkdir(parents=True)
        except FileExistsError:
            return
        job = parse_qs(urlsplit(callback).query).get("job_id", [None])[0]
        (directory / "request.json").write_text(json.dumps({**asked, "job_id": job}, indent=1))
        threading.Thread(target=_work, args=(directory, asked, callback), daemon=True).start()


def _work(directory: Path, asked: dict[str, Any], callback: str) -> None:
    """Run the analysis, with a few reports on the way, and leave what becomes of it in the directory."""
    for number, message in enumerate(["main starting", "main done"]):
        time.sleep(STEP)
        _report(callback, action="progress", node_id=f"node{number}", node=asked["target"], message=message)
    try:
        result = osa.analyse(asked["target"], asked["assume"], asked["inject"], directory)
    except osa.AnalysisFailure as failure:
        told = {"node": asked["target"], "exception": f"{failure}()", "exception_kind": "handled"}
        (directory / "failed.json").write_text(json.dumps(told))
        _report(callback, action="failed", node_id="object", message=f"AnalysisException:{failure}()")
    except Exception as error:
        logger.exception("the stand-in of OSA failed")
        told = {"node": asked["target"], "exception": repr(error), "exception_kind": "unhandled"}
        (directory / "failed.json").write_text(json.dumps(told))
        _report(callback, action="failed", node_id="object", message=repr(error).replace("/", "|"))
    else:
        complete = directory / "result.json.part"
        complete.write_text(json.dumps(result))
        complete.rename(directory / "result.json")
        _report(callback, action="done", node_id="object", message="done")


def _report(callback: str, **values: str) -> None:
    try:
        requests.get(callback, params=values, timeout=30)
    except requests.RequestException:
        # the server is shutting down
        logger.warning("no report possible", exc_info=True)
