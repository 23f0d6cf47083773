"""Every test starts with a configuration, a home and a working directory of its own, and with no keyring."""

from __future__ import annotations

import atexit
import errno
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# before astropy is imported: it reads its directories once
_PLACE = tempfile.mkdtemp(prefix="astroquery-mmoda-tests-")
atexit.register(shutil.rmtree, _PLACE, ignore_errors=True)
for _name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
    os.environ[_name] = str(Path(_PLACE, _name.lower()))
    for _package in ("astropy", "astroquery_mmoda"):
        Path(os.environ[_name], _package).mkdir(parents=True, exist_ok=True)
# astropy's own table of leap seconds will do, however old it is by now; in processes that tests start, too
Path(os.environ["XDG_CONFIG_HOME"], "astropy", "astropy.cfg").write_text(
    "[utils.iers.iers]\nauto_download = False\n", encoding="utf-8"
)
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
# tests of the real service may use it, all others must not find it
_LIVE_TOKEN = os.environ.pop("ODA_TOKEN", None)
os.environ.setdefault("MPLBACKEND", "agg")
for _name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[_name]

import pytest  # noqa: E402

RESPONSES = Path(__file__).parent / "tests" / "data" / "responses"
LONGEST = (
    "notebook",
    "windows_per_job",
    "command_line",
    "plotting",
    "gallery",
    "combine_spectra",
    "local_mmoda",
    "many",
)


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # of xdist, which would begin with the files of most tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: at the end, one process would be busy while the others wait."""
    place = {f"test_{name}": -number for number, name in enumerate(reversed(LONGEST), start=1)}
    items.sort(key=lambda item: place.get(item.path.stem, 0))


def require(available: object, what: str) -> None:
    """Skip a test that lacks a tool, or fail it where everything has to be there (MMODA_REQUIRE_ALL)."""
    if available:
        return
    if os.environ.get("MMODA_REQUIRE_ALL"):
        pytest.fail(f"{what} is missing, and MMODA_REQUIRE_ALL is set")
    pytest.skip(f"{what} is missing")


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees files of the user's home or leaves some in the working directory."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """
    Function that lets our own new files take so many bytes in all from now on, as on a disk that gets full.

    The error has the number given; without one it is that of numpy, which has none.
    """

    def fill(room: int, number: int | None = errno.ENOSPC) -> None:
        from astroquery_mmoda import files

        left = [room]

        # not a FileIO, of which numpy would take the descriptor and write past it
        class Full(io.RawIOBase):
            taken = 0
            is_full = False
            mode = "wb"

            def __init__(self, path: Any, opener: Any) -> None:
                self.file = io.FileIO(path, "wb", opener=opener)
                self.name = self.file.name
                self.fileno, self.seek, self.tell = self.file.fileno, self.file.seek, self.file.tell  # type: ignore[method-assign]

            def writable(self) -> bool:
                return True

            seekable = writable

            def close(self) -> None:
                super().close()
                self.file.close()

            def write(self, data: Any) -> int:
                size = memoryview(data).nbytes
                if not self.is_full and size <= left[0]:
                    left[0] -= size
                    self.taken += size
                    return self.file.write(data)
                if not self.is_full:
                    # a part of it fits, as on a real one, until the file is removed
                    self.file.write(memoryview(data).cast("B")[: left[0]])
                    left[0] += self.taken
                    self.is_full = True
                raise OSError(f"{size} requested and 0 written") if number is None else OSError(number, "full")

        def opened(path: Any, mode: str, opener: Any) -> Any:
            return io.BufferedWriter(Full(path, opener)) if "w" in mode else open(path, mode, opener=opener)

        monkeypatch.setattr(files, "open", opened, raising=False)
        if number is None:
            monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, left[0]))  # noqa: SLF001 - of shutil

    return fill


@pytest.fixture
def live_token() -> str:
    """The token that whoever runs the tests of the real service has in ODA_TOKEN."""
    if not _LIVE_TOKEN:
        pytest.skip("no token in ODA_TOKEN")
    return _LIVE_TOKEN


@pytest.fixture(scope="session")
def _documented_service():
    from docs.local_service import documented_service
    from tests.local_mmoda import environment

    require(environment.find(), "the local dispatcher's environment")
    with documented_service() as service:
        yield service


@pytest.fixture(autouse=True)
def _examples_ask_here(request: pytest.FixtureRequest, doctest_namespace: dict[str, object]) -> Iterator[None]:
    """Examples of pages and docstrings are written for the real service, and ask one on this machine instead."""
    if not isinstance(request.node, pytest.DoctestItem) or request.config.getoption("remote_data") != "none":
        yield
        return
    from astroquery import log

    from astroquery_mmoda import Mmoda, conf
    from docs.local_service import needs_archive
    from tests.local_tap.server import missing
    from tests.tokens import mint

    if any(needs_archive(example.source) for example in request.node.dtest.examples):
        lacking = missing()
        require(not lacking, lacking)
    service = request.getfixturevalue("_documented_service")
    level = log.level
    log.setLevel("WARNING")  # what is told at INFO has numbers that differ each time
    doctest_namespace["example_token"] = mint(key=service.secret_key)
    with conf.set_temp("server", service.url):
        Mmoda.__init__()  # nobody is logged in, nothing is known
        yield
    log.setLevel(level)
    os.environ.pop("ODA_TOKEN", None)  # pages about tokens set it
    if "matplotlib.pyplot" in sys.modules:  # pages leave their figures open
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def local_mmoda() -> Iterator[object]:
    """The released dispatcher on loopback, with the synthetic instruments of tests/local_mmoda."""
    from tests.local_mmoda import environment
    from tests.local_mmoda.server import LocalMmoda

    python = environment.find()
    require(
        python,
        "the local dispatcher's environment (python -m tests.local_mmoda.environment .tox/mmoda-server)",
    )
    with LocalMmoda(python, step=0.05, several_bands=True) as service:
        yield service


@pytest.fixture(scope="session")
def released_plugins() -> Iterator[object]:
    """The released dispatcher with the released INTEGRAL plugins, and a back end of tests/released_plugins."""
    from tests.local_mmoda import environment
    from tests.released_plugins.server import ReleasedPlugins

    python = environment.find()
    require(
        python and environment.find_plugins(python),
        "the released plugins (python -m tests.local_mmoda.environment .tox/mmoda-server)",
    )
    with ReleasedPlugins(python, step=0.05) as service:
        yield service


@pytest.fixture(scope="session")
def mmoda(local_mmoda):
    """A client of the local dispatcher."""
    from astroquery_mmoda import MmodaClass

    return MmodaClass(server=local_mmoda.url)


@pytest.fixture
def ring():
    """A keyring in memory, in the place of the system's."""
    import keyring

    from tests.keyrings import MemoryKeyring

    before = keyring.get_keyring()
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


@pytest.fixture
def log_records():
    """Function that gives all messages of the package's log so far, at every level."""
    import logging

    from astroquery import log

    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    level = log.level
    log.setLevel("DEBUG")
    log.addHandler(handler)
    yield lambda: messages
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.fixture(scope="session")
def genuine() -> Path:
    """Folder of genuine files and replies of the service, which are not ours and stay where they lie."""
    folder = Path(
        os.environ.get("MMODA_GENUINE_DATA") or Path(__file__).resolve().parents[1] / "shared" / "data" / "genuine"
    )
    if not folder.is_dir():
        pytest.skip("no genuine files: MMODA_GENUINE_DATA names no folder, and ../shared/data/genuine is none either")
    return folder


@pytest.fixture(scope="session")
def measured(recorded, tmp_path_factory):
    """Function that tells memory and time that a file with a reply takes, in a process that has seen one already."""
    from tests.measuring import warm_process

    small = []
    for name in ("isgri_image_dummy", "nb_everything_4_done"):
        small.append(tmp_path_factory.mktemp("small") / "body")
        small[-1].write_text(json.dumps(recorded(name)))
    with warm_process(*small) as ask:
        yield ask


@pytest.fixture(scope="session")
def recorded():
    """Function that gives a recorded reply by name: the body as parsed JSON (or text)."""

    def read(name: str):
        record = json.loads((RESPONSES / f"{name}.json").read_text(encoding="utf-8"))
        return record["json"] if "json" in record else record["text"]

    return read
