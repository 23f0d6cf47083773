# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Install the sdist and the wheel of a directory, each into an environment of its own, and run tests against them.

``python tests/packaged.py dist tests/test_core.py`` gives pytest what follows the directory; without it, all tests run.
The tests are those of the sdist. Where the wheel is tested, its package is taken away, so that nothing but what was
installed can be imported; two tests that read its sources are then left out.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path


def main(directory: str, *chosen: str) -> None:
    """Test both."""
    (sdist,), (wheel,) = (sorted(Path(directory).resolve().glob(pattern)) for pattern in ("*.tar.gz", "*.whl"))
    with tempfile.TemporaryDirectory() as place:
        for archive in (sdist, wheel):
            print(f"---- {archive.name}", flush=True)
            apart = Path(place, archive.suffix.strip("."))
            python = _installed(archive, apart / "environment")
            shutil.unpack_archive(sdist, apart)
            (tree,) = apart.glob("astroquery_mmoda-*")
            arguments = list(chosen)
            if archive is wheel:
                shutil.rmtree(tree / "astroquery_mmoda")
                shutil.rmtree(tree / "astroquery_mmoda.egg-info", ignore_errors=True)
                arguments += [f"--ignore=tests/test_{name}.py" for name in ("installing", "contributing_page")]
            _run(tree, python, "-c", "import astroquery_mmoda as own; print(own.__version__, own.__file__)")
            _run(tree, python, "-m", "pytest", "-q", "-n", "3", "--dist", "loadfile", *arguments)


def _installed(archive: Path, environment: Path) -> Path:
    """Python of a new environment that has an archive and what its tests need."""
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    _run(environment, python, "-m", "pip", "install", "--quiet", f"{archive}[test]")
    return python


def _run(directory: Path, *command: object) -> None:
    # what is imported must be what was installed, or lies in this directory
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([str(part) for part in command], cwd=directory, env=surroundings, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
