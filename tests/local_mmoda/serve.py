# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Run the released dispatcher (1.3.3) with its missing pieces. Runs in the server's environment, started by ``server.py``.

Everything below the line "ours" is a supplement that the released server does not have.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import threading
import time
import types
from pathlib import Path
from urllib.parse import quote

import numpy


def _prepare() -> None:
    """Make the server importable."""
    # not on PyPI; the server uses this one function, for colours in its log
    colours = types.ModuleType("pscolors")
    colours.render = lambda text: re.sub(r"\{[A-Z/]*\}", "", text)
    sys.modules["pscolors"] = colours
    # the server was written for names that numpy has dropped
    for name, kind in (("bool", bool), ("bool8", numpy.bool_), ("int", int), ("float", float)):
        if name not in vars(numpy):
            setattr(numpy, name, kind)


def _end_with(parent: int, directory: Path) -> None:
    """End this process, and remove what it wrote, when the process that started it has gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        shutil.rmtree(directory, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# ---- ours --------------------------------------------------------------------------------------------------------


class _OfThread(threading.local):
    """A list that each thread has for itself; only what the server does with its own is here."""

    def __init__(self) -> None:
        self.items: list[str] = []

    def __contains__(self, item: str) -> bool:
        return item in self.items

    def append(self, item: str) -> None:
        self.items.append(item)

    def clear(self) -> None:
        self.items.clear()


def _separate_requests() -> None:
    """
    Keep simultaneous requests apart: before the rest of the server is imported.

    They share a list of parameters to leave out. When the report of some job empties it at the wrong moment, an empty
    ``scw_list`` gets into a request without one, which thereby becomes another job.
    """
    from cdci_data_analysis.analysis import instrument

    instrument.params_not_to_be_included = _OfThread()


def _add_process(app) -> None:
    """``/local-mmoda``: the number of this process, by which the launcher knows that it speaks to its own server."""
    app.add_url_rule("/local-mmoda", "local_mmoda", lambda: str(os.getpid()))


def _add_instrument_list(app) -> None:
    """``/instr-list`` as newer servers have it (here without roles)."""
    from cdci_data_analysis.plugins import importer
    from flask import jsonify

    app.add_url_rule(
        "/instr-list", "instr_list", lambda: jsonify([factory().name for factory in importer.instrument_factory_list])
    )


def _replace_resolver(app) -> None:
    """``/resolve_name`` for everybody and without a network, as newer servers answer it (1.3.3 wants a role)."""
    import sky
    from flask import jsonify, request

    def normalised(name: str) -> str:
        return "".join(name.split()).lower()

    table = {normalised(name): source for source in sky.SOURCES for name in (source.name, *source.other_names)}

    def resolve():
        name = request.args.get("name")
        if name is None:
            return jsonify({})
        source = table.get(normalised(name))
        if source is None:
            return jsonify({"name": name, "message": f"{name} could not be resolved: *** Nothing found ***"})
        return jsonify(
            {
                "name": name,
                "message": f"{name} successfully resolved",
                "RA": source.ra,
                "DEC": source.dec,
                "entity_portal_link": f"{request.host_url}portal/?target={quote(name)}",
                "object_type": None,
                "object_ids": [source.name, *source.other_names],
            }
        )

    app.view_functions["resolve_name"] = resolve


def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configuration", type=Path)
    parser.add_argument("--parent", type=int, help="end together with this process")
    parser.add_argument("--without-instrument-list", action="store_true", help="no /instr-list, like bare 1.3.3")
    options = parser.parse_args()
    if options.parent is not None:
        _end_with(options.parent, options.configuration.parent)

    _prepare()
    _separate_requests()
    from cdci_data_analysis.flask_app.app import app, conf_app

    conf_app(os.fspath(options.configuration))
    _add_process(app)
    _replace_resolver(app)
    if not options.without_instrument_list:
        _add_instrument_list(app)
    bind = app.config["conf"]
    # threads: the reports of the jobs come in while other requests are being answered
    app.run(host=bind.bind_host, port=bind.bind_port, threaded=True)


if __name__ == "__main__":
    main()
