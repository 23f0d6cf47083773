# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Start and stop the released MMODA dispatcher on this machine, with the synthetic instruments of this directory.

::

    with LocalMmoda() as service:
        requests.get(service.url + "/api/meta-data", params={"instrument": "isgri"})
"""

from __future__ import annotations

import atexit
import contextlib
import email
import email.policy
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType

from . import environment

__all__ = ["LocalMmoda", "free_port"]

SERVE = Path(__file__).resolve().parent / "serve.py"
START_LIMIT = 60.0
STOP_LIMIT = 10.0
NOBODY = 9
"""Port where no mail is received."""
_PORTS = iter(random.SystemRandom().sample(range(20_000, 32_000), 12_000))


class LocalMmoda:
    """
    One dispatcher, in a process and a temporary directory of its own.

    Parameters
    ----------
    python : path, optional
        Interpreter of the server's environment; `environment.find` by default.
    port : int, optional
        Loopback port; a free one by default.
    step : float
        Pause between two reports of an asynchronous job (seconds); a job makes four of them.
    instrument_list : bool
        Whether ``/instr-list`` exists. The released 1.3.3 lacks it, newer servers have it.
    time_system : bool
        Whether the service that lists science windows answers at this address (``/gw/timesystem``). It is another one than
        the dispatcher, which does not have it where it stands alone.
    several_bands : bool
        Whether images of ISGRI can have two energy bands (``number_of_bands``), for tests of such images. The real service
        makes one band in a job, and has no such parameter.
    debug_instruments : bool
        Whether the server's own toy instruments (``empty``, ``empty-async``, ...) are there as well.
    mail : bool
        Whether there is somebody to receive the mail that the server sends for tokens which ask for it; see `mails`.
    archive : str, optional
        Address of an archive (``tests/local_tap``) that answers under this server's address as well.

    Attributes
    ----------
    url : str
        Base address, without a slash at its end.
    log_path : Path
        What the server says, thousands of lines for a job. Goes away with `stop`.
    secret_key : str
        Key that signs the tokens which this server accepts (HS256).
    process : subprocess.Popen or None
        The running server.
    """

    _script = SERVE
    """What runs inside."""

    def __init__(
        self,
        python: str | os.PathLike[str] | None = None,
        *,
        port: int | None = None,
        step: float = 0.3,
        instrument_list: bool = True,
        time_system: bool = True,
        several_bands: bool = False,
        debug_instruments: bool = False,
        mail: bool = False,
        archive: str | None = None,
    ) -> None:
        found = python or environment.find()
        if found is None:
            raise RuntimeError(
                "there is no environment for the server: run `python -m tests.local_mmoda.environment "
                f"{environment.DEFAULT_DIRECTORY}`, or let MMODA_SERVER_PYTHON name the interpreter of one"
            )
        self.python = os.fspath(found)
        self._port = port
        self._step = step
        self._instrument_list = instrument_list
        self._time_system = time_system
        self._several_bands = several_bands
        self._debug_instruments = debug_instruments
        self._mail = mail
        self._archive = archive
        self._directory: Path | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.secret_key = secrets.token_hex(32)
        self.url = ""
        self.log_path = Path()

    def __enter__(self) -> LocalMmoda:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> LocalMmoda:
        """Start the server and wait until it answers; RuntimeError with the end of its log if it does not."""
        if self.process is not None:
            raise RuntimeError(f"already running at {self.url}")
        self._directory = Path(tempfile.mkdtemp(prefix="local-mmoda-"))
        atexit.register(self.stop)
        try:
            self._launch(self._directory, self._port or free_port())
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server and remove its directory; does nothing when it is not running."""
        atexit.unregister(self.stop)
        if self.process is not None:
            for signal_number in (signal.SIGTERM, signal.SIGKILL):
                # the whole group, which may have gone by itself
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal_number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(STOP_LIMIT)
                    break
            self.process = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def restart(self) -> None:
        """End the server at once and start it again at the same address, with all the jobs that it had."""
        assert self.process is not None
        assert self._directory is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_LIMIT)
        self._launch(self._directory, int(self.url.rpartition(":")[2]))
        self._wait()

    @property
    def mails(self) -> list[EmailMessage]:
        """What the server has sent so far, oldest first; with ``mail=True`` only."""
        assert self._directory is not None
        found = sorted((self._directory / "mail" / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        texts = [path.read_bytes() for path in found]
        return [email.message_from_bytes(text, policy=email.policy.default) for text in texts]

    @property
    def jobs(self) -> Counter[str]:
        """Ids of the jobs that the server has, each with the number of sessions that asked for it."""
        return Counter(re.split("_jid_|_", name)[3] for name in self._of_jobs())

    @property
    def computed(self) -> Counter[str]:
        """Ids of the jobs, each with the number of times that it was begun: others only joined one."""
        return Counter(re.split("_jid_|_", name)[3] for name in self._of_jobs() if not name.endswith("_aliased"))

    def _of_jobs(self) -> list[str]:
        assert self._directory is not None
        return [path.name for path in (self._directory / "run").glob("scratch_sid_*_jid_*")]

    def log_tail(self, lines: int = 30) -> str:
        """The end of the server's log."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _launch(self, directory: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log_path = directory / "server.log"
        run = directory / "run"
        run.mkdir(exist_ok=True)
        configuration = directory / "conf.yaml"
        mail_port = free_port() if self._mail else NOBODY
        # JSON is YAML: no need for a YAML package here
        configuration.write_text(json.dumps(_configuration(self.url, port, self.secret_key, mail_port), indent=1))

        variables = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        # PYTHONPATH and the like belong to the client's environment
        variables = {name: value for name, value in variables.items() if not name.startswith("PYTHON")}
        variables["MMODA_LOCAL_STEP"] = str(self._step)
        variables["MMODA_LOCAL_BANDS"] = "2" if self._several_bands else "1"
        variables["DISPATCHER_DEBUG_MODE"] = "yes" if self._debug_instruments else "no"
        # a notebook names a back end that the server's environment lacks
        variables |= {"MPLCONFIGDIR": os.fspath(directory), "MPLBACKEND": "agg"}
        variables.update(self._variables(directory))
        command = [self.python, os.fspath(self._script), os.fspath(configuration), "--parent", str(os.getpid())]
        if not self._instrument_list:
            command.append("--without-instrument-list")
        if not self._time_system:
            command.append("--without-time-system")
        if self._mail:
            command += ["--mail", str(mail_port), os.fspath(directory / "mail")]
        if self._archive:
            command += ["--archive", self._archive]
        # into a file: the server is so talkative that an unread pipe would soon block it
        with self.log_path.open("ab") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.process = subprocess.Popen(command, cwd=run, env=variables, start_new_session=True, **streams)

    def _variables(self, directory: Path) -> dict[str, str]:
        """Further environment variables of the server, whose directory and address are known by now."""
        return {}

    def _wait(self) -> None:
        assert self.process is not None
        limit = time.monotonic() + START_LIMIT
        while True:
            if self.process.poll() is not None:
                status = self.process.returncode
                raise RuntimeError(f"the server ended at once (status {status}); its log ends:\n{self.log_tail()}")
            if self._answers():
                return
            if time.monotonic() > limit:
                raise RuntimeError(f"no answer in {START_LIMIT:.0f} s; the server's log ends:\n{self.log_tail()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        """Whether our process answers: another server may sit on that port."""
        assert self.process is not None
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(self.url + "/local-mmoda", timeout=5) as reply:
                return reply.read().decode() == str(self.process.pid)
        except (OSError, urllib.error.URLError):
            return False


def free_port() -> int:
    """
    A port of this machine that nobody listens at, another one at each call.

    Below those that systems give to connections (Linux: from 32768, others from 49152), one of which might otherwise
    take it before the server does, or while that is started again.
    """
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("there is no free port left from 20000 to 32000")


def _configuration(url: str, port: int, secret_key: str, mail_port: int) -> dict[str, object]:
    """All that 1.3.3 insists upon; nothing in it leads beyond this machine."""
    return {
        "dispatcher": {
            "bind_options": {"bind_host": "127.0.0.1", "bind_port": port},
            "dispatcher_callback_url_base": url,
            "products_url": url,
            "sentry_url": None,
            "logstash_host": None,
            "logstash_port": None,
            "secret_key": secret_key,
            "email_options": {
                "smtp_server": "127.0.0.1",
                "smtp_port": mail_port,
                "smtp_server_password": "",
                "sender_email_address": "mmoda@localhost",
                "cc_receivers_email_addresses": [],
                "bcc_receivers_email_addresses": [],
                "email_sending_timeout": False,
                "email_sending_timeout_default_threshold": 1800,
                "email_sending_job_submitted": False,
                "email_sending_job_submitted_default_interval": 60,
            },
            "product_gallery_options": {
                "name_resolver_url": f"{url}/none/{{}}",
                "entities_portal_url": f"{url}/none/{{}}",
                "converttime_revnum_service_url": f"{url}/none/{{}}",
            },
        }
    }
