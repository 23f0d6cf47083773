# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The dispatcher's own Python environment: the released server needs package versions that no client wants.

Run ``python -m tests.local_mmoda.environment DIRECTORY`` to build it (about a minute, 660 MB); a second run is instant.
The plugins of `tests/released_plugins` are put into a directory of it that only the second service has on its path: two
instruments of one name can't be in one service.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["DEFAULT_DIRECTORY", "build", "find", "find_plugins"]

HERE = Path(__file__).resolve().parent
CONSTRAINTS = HERE / "dispatcher-constraints.txt"
PACKAGES = (
    "cdci-data-analysis",
    "sentry-sdk",
    "aiosmtpd",
    "gunicorn",
    "queryparser-python3",
    "psycopg2-binary",
    # the plugins need it, and the dispatcher does not say so
    "redis",
)
PLUGINS = ("dispatcher-plugin-integral==1.0", "dispatcher-plugin-integral-all-sky==1.0")
DEFAULT_DIRECTORY = HERE.parents[1] / ".tox" / "mmoda-server"
STAMP = "mmoda-server-complete"


def _fingerprint() -> str:
    """What the environment is made from; another value means that it has to be made again."""
    ingredients = CONSTRAINTS.read_bytes() + "\n".join([*PACKAGES, *PLUGINS]).encode()
    return hashlib.sha256(ingredients).hexdigest()


def _interpreter(directory: Path) -> Path:
    return directory / "bin" / "python"


def _plugins(directory: Path) -> Path:
    return directory / "released-plugins"


def _is_complete(directory: Path) -> bool:
    stamp = directory / STAMP
    # the interpreter is a link: it dangles when the python that made it has been removed
    return _interpreter(directory).exists() and stamp.is_file() and stamp.read_text().strip() == _fingerprint()


def find() -> Path | None:
    """Interpreter named by ``MMODA_SERVER_PYTHON``, or else that of the complete default environment, or None."""
    named = os.environ.get("MMODA_SERVER_PYTHON")
    if named:
        return Path(named).absolute()
    return _interpreter(DEFAULT_DIRECTORY) if _is_complete(DEFAULT_DIRECTORY) else None


def find_plugins(python: str | os.PathLike[str]) -> Path | None:
    """Directory of the released plugins in the environment of this interpreter, or None."""
    directory = _plugins(Path(python).absolute().parents[1])
    return directory if directory.is_dir() else None


def build(directory: str | os.PathLike[str] = DEFAULT_DIRECTORY) -> Path:
    """
    Make the environment, unless it is there already, and return its interpreter.

    Parameters
    ----------
    directory : path
        Where to put it. What is there must be empty or an environment, which is replaced if it is incomplete or old.
    """
    import fcntl  # not on Windows, where this is only asked whether it is there

    directory = Path(directory).absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        # of two that want it at the same time, the second waits, and finds it made
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build(directory)


def _build(directory: Path) -> Path:
    if _is_complete(directory):
        print(f"{directory} is up to date")
        return _interpreter(directory)
    if directory.exists():
        # `venv` writes pyvenv.cfg first: without it this is somebody's directory, which is not ours to delete
        if any(directory.iterdir()) and not (directory / "pyvenv.cfg").exists():
            raise RuntimeError(f"{directory} is neither empty nor a virtual environment: choose another directory")
        print(f"removing the incomplete or outdated {directory}")
        shutil.rmtree(directory)

    print(f"making {directory}", flush=True)
    venv.create(directory, with_pip=True)
    print(f"installing {', '.join(PACKAGES)} (about a minute)", flush=True)
    _install(directory, "-c", CONSTRAINTS, *PACKAGES)
    print(f"installing {', '.join(PLUGINS)}", flush=True)
    # their requirements are not on PyPI: stand-ins take their place
    _install(directory, "--no-deps", "--target", _plugins(directory), *PLUGINS)
    (directory / STAMP).write_text(_fingerprint() + "\n")
    print(f"done: {_interpreter(directory)}")
    return _interpreter(directory)


def _install(directory: Path, *arguments: str | Path) -> None:
    """RuntimeError with the end of what pip says if it fails."""
    command = [_interpreter(directory), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        tail = "\n".join(result.stdout.splitlines()[-30:])
        raise RuntimeError(f"pip could not install the dispatcher into {directory}; its last words were:\n{tail}")


def main() -> None:
    """Build the environment named on the command line."""
    if len(sys.argv) > 2:
        raise SystemExit(f"usage: python -m tests.local_mmoda.environment [DIRECTORY, default {DEFAULT_DIRECTORY}]")
    try:
        build(*sys.argv[1:])
    except RuntimeError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
