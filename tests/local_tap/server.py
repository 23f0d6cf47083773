# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Start and stop a private archive of published products: PostgreSQL 15 with pgSphere behind a small TAP front.

Debian has ``postgresql`` and ``postgresql-15-pgsphere``; the dispatcher's environment needs ``queryparser-python3`` and
``psycopg2-binary``.
"""

from __future__ import annotations

import atexit
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.local_mmoda import environment
from tests.local_mmoda.server import free_port

__all__ = ["LocalTap", "missing"]

SERVE = Path(__file__).resolve().parent / "serve.py"
START_LIMIT = 60.0
PACKAGES = ("flask", "psycopg2", "queryparser.adql")


def missing() -> str:
    """What a machine lacks for `LocalTap`; empty if nothing."""
    if not glob.glob("/usr/lib/postgresql/*/bin/initdb"):
        return "PostgreSQL (Debian: postgresql)"
    if not glob.glob("/usr/share/postgresql/*/extension/pg_sphere.control"):
        return "pgSphere (Debian: postgresql-15-pgsphere)"
    python = environment.find()
    if python is None:
        return "the local dispatcher's environment (python -m tests.local_mmoda.environment .tox/mmoda-server)"
    command = [python, "-c", f"import {', '.join(PACKAGES)}"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return "queryparser-python3 or psycopg2-binary in the local dispatcher's environment"
    return ""


class LocalTap:
    """One archive in a temporary directory of its own; ``url`` is the base address of its service."""

    def __init__(self) -> None:
        self.url = ""
        self.directory = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LocalTap:
        self.directory = Path(tempfile.mkdtemp(prefix="local-tap-"))
        atexit.register(self.stop)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """End the service and its database, and remove all they had."""
        atexit.unregister(self.stop)
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def files(self) -> Path:
        """What is behind the address ``/files/``."""
        return self.directory / "files"

    def _start(self) -> None:
        port, database_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [str(environment.find()), str(SERVE), str(self.directory), str(port), str(database_port)]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with (self.directory / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, str(os.getpid())],
                cwd=self.directory,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        limit = time.monotonic() + START_LIMIT
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > limit:
                words = (self.directory / "server.log").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"the local archive did not start; its log ends:\n{words}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(self.url + "/ready", timeout=5) as reply:
                return self._process is not None and reply.read().decode() == str(self._process.pid)
        except (OSError, urllib.error.URLError):
            return False
