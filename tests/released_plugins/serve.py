# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Run the released dispatcher with the released INTEGRAL plugins. Runs in the server's environment, started by ``server.py``.

The path has the root of the repository, the stand-ins of this directory and the directory of the plugins. The code of
the plugins is as released. Three things around them are replaced: packages that are not on PyPI (``stand_ins``), the
archive of HEASARC that release 1.0 asks on the way and does not listen to, and Redis, where only this machine's own
could be.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.local_mmoda import serve, sky
from tests.released_plugins import osa


def _do_without_heasarc() -> None:
    """An answer in the place of the network's, without any windows: the plugin never looks at it."""
    from astropy.table import Table
    from astroquery.heasarc import HeasarcClass

    def query_region(self: HeasarcClass, *ignored: Any, **more: Any) -> Table:
        return Table()

    HeasarcClass.query_region = query_region


def _do_without_redis() -> None:
    """Refused at once: the plugin goes on without, and nobody's own database at the usual port is touched."""
    import redis

    def refuse(self: redis.Redis, *ignored: Any, **more: Any) -> None:
        raise redis.ConnectionError("there is no Redis in these tests")

    redis.Redis.execute_command = refuse


def _add_shield(app: Any) -> None:
    """Light curves of the anticoincidence shield, as lines of text; each reply is kept in ``acs``."""
    from flask import Response

    def light_curve(middle: str, half_width: str) -> Response:
        text = osa.shield_text(middle, float(half_width))
        kept = Path("acs", f"{middle}_{half_width}.txt".replace(":", ""))
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text)
        return Response(text, content_type="text/plain")

    app.add_url_rule("/acs/<middle>/<half_width>", "acs", light_curve)


def main() -> None:
    """Serve until terminated."""
    # the name by which the launcher of the first service knows it
    sys.modules["sky"] = sky
    _do_without_heasarc()
    _do_without_redis()
    serve.main(_add_shield)


if __name__ == "__main__":
    main()
