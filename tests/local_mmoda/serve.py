# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Run the released dispatcher (1.3.3) with its missing pieces. Runs in the server's environment, started by ``server.py``.

Everything below the line "ours" is a supplement that the released server does not have.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import threading
import time
import types
from collections.abc import Callable
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
    # all data go into its log
    numpy.set_printoptions(threshold=0, edgeitems=1)
    # astropy finds these anew in each thread, and each request has one
    from astropy.coordinates.angles.formats import _AngleParser as Parser

    names = Parser._get_simple_unit_names()  # noqa: SLF001 - of astropy
    Parser._get_simple_unit_names = staticmethod(lambda: names)  # noqa: SLF001


def _end_with(parent: int, directory: Path) -> None:
    """End this process, and remove what it wrote, when the process that started it has gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        shutil.rmtree(directory, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# ---- ours --------------------------------------------------------------------------------------------------------


LONGEST_REFRESH = 604800
"""Seconds by which a token may be made to live longer."""
SCRATCH = re.compile(
    r"scratch_sid_(?P<session_id>[A-Z0-9]{16})_jid_(?P<job_id>[a-z0-9]{16})(?P<aliased_marker>_aliased|)"
)


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


def _make_directories_in_turn() -> None:
    """
    Let the first of several equal requests make the job's directory before the others look for it.

    Else two take themselves for the first, and the released server can't do anything with that job any more.
    """
    from cdci_data_analysis.flask_app.dispatcher_query import InstrumentQueryBackEnd

    lock, released = threading.Lock(), InstrumentQueryBackEnd.set_scratch_dir

    def set_scratch_dir(self, *arguments, **more) -> None:
        with lock:
            released(self, *arguments, **more)

    InstrumentQueryBackEnd.set_scratch_dir = set_scratch_dir


def _make_one_instrument() -> None:
    """
    Let a request make its own instrument only.

    The released server makes all of them each time, to look at their names: more than half of the work of a request.
    """
    from cdci_data_analysis.flask_app.dispatcher_query import InstrumentQueryBackEnd
    from cdci_data_analysis.plugins import importer

    make = {factory().name: factory for factory in importer.instrument_factory_list}
    released = InstrumentQueryBackEnd.set_instrument

    def set_instrument(self, instrument_name: str) -> None:
        if instrument_name in make:
            self.instrument = make[instrument_name]()
        else:
            released(self, instrument_name)

    InstrumentQueryBackEnd.set_instrument = set_instrument


def _add_process(app) -> None:
    """``/local-mmoda``: the number of this process, by which the launcher knows that it speaks to its own server."""
    app.add_url_rule("/local-mmoda", "local_mmoda", lambda: str(os.getpid()))


def _is_open(instrument, claims: dict | None) -> bool:
    """Whether the owner of a token, or the public, may use an instrument."""
    from cdci_data_analysis.analysis.tokenHelper import get_token_roles

    role = getattr(instrument, "needed_role", None)
    return role is None or (claims is not None and role in get_token_roles(claims))


def _restrict_instruments() -> None:
    """Instruments that are not for everybody, which newer servers know; their own is that of our plugin."""
    from cdci_data_analysis.analysis.exceptions import RequestNotAuthorized
    from cdci_data_analysis.flask_app.dispatcher_query import InstrumentQueryBackEnd

    released = InstrumentQueryBackEnd.set_instrument

    def set_instrument(self, instrument_name: str) -> None:
        released(self, instrument_name)
        if not _is_open(self.instrument, self.decoded_token):
            raise RequestNotAuthorized(
                "Unfortunately, your priviledges are not sufficient to make the request for this instrument.\n"
            )

    InstrumentQueryBackEnd.set_instrument = set_instrument


def _claims(app, action: str = "", roles: tuple[str, ...] = ()) -> dict:
    """What the token of the request says; the newer servers' refusal (text, 403) if it is missing or not enough."""
    from cdci_data_analysis.analysis.tokenHelper import validate_token_from_request
    from flask import abort, make_response, request

    found, status = validate_token_from_request(request.args.get("token"), app.config["conf"].secret_key, roles, action)
    if status is not None:
        abort(make_response(found, status))
    return found


def _add_instrument_list(app) -> None:
    """``/instr-list`` as newer servers have it."""
    from cdci_data_analysis.plugins import importer
    from flask import jsonify, request

    def instrument_list():
        claims = _claims(app) if "token" in request.args else None
        instruments = [factory() for factory in importer.instrument_factory_list]
        return jsonify([instrument.name for instrument in instruments if _is_open(instrument, claims)])

    app.add_url_rule("/instr-list", "instr_list", instrument_list)


def _add_token_refresh(app) -> None:
    """``/refresh_token`` as newer servers have it."""
    from cdci_data_analysis.analysis.exceptions import RequestNotAuthorized
    from cdci_data_analysis.flask_app.dispatcher_query import InstrumentQueryBackEnd
    from flask import request
    from oda_api.token import update_token

    def refresh():
        _claims(app, "refresh your token", ("refresh-tokens",))
        # refuses a request without query_status
        query = InstrumentQueryBackEnd(app, update_token=True)
        interval = request.args.get("refresh_interval", LONGEST_REFRESH, type=float)
        if interval > LONGEST_REFRESH:
            raise RequestNotAuthorized("Request not authorized")

        def later(claims: dict) -> dict:
            return {**claims, "exp": claims["exp"] + interval}

        return update_token(query.token, secret_key=app.config["conf"].secret_key, payload_mutation=later)

    app.add_url_rule("/refresh_token", "refresh_token", refresh)


def _add_job_records(app) -> None:
    """``/inspect-user-state`` as newer servers have it, without groups: the records of the owner of the token."""
    from flask import jsonify, request

    def inspect():
        owner = _claims(app)["sub"]
        oldest = time.time() - 86400.0 * request.args.get("recent_days", 3.0, type=float)
        records = [
            _record(match, scratch)
            for scratch in Path().glob(f"scratch_sid_*_jid_{request.args.get('job_id', '')}*")
            # with more than the first characters of the job's name nothing is found, as there
            if (match := SCRATCH.fullmatch(scratch.name)) and len(request.args.get("job_id", "")) in (0, 8)
            if scratch.stat().st_mtime > oldest
        ]
        known = [record for record in records if record is not None]
        return jsonify({"records": [r for r in known if r["analysis_parameters"].get("token", {}).get("sub") == owner]})

    app.add_url_rule("/inspect-user-state", "inspect_user_state", inspect)


def _record(match: re.Match[str], scratch: Path) -> dict | None:
    """A job as seen from one session, in the newer form; None if the released server can't read it."""
    from cdci_data_analysis.flask_app.dispatcher_query import InstrumentQueryBackEnd

    parameters = InstrumentQueryBackEnd.read_scratch_dir(os.fspath(scratch)).get("analysis_parameters")
    if parameters is None:
        return None
    # newer servers have these beside the parameters, not among them
    history, fits_files, monitors = (parameters.pop(name) for name in ("email_history", "fits_files", "job_monitor"))
    for monitor in monitors:
        monitor["job_monitor_content"] = _json(Path(monitor["fn"]))
    output = _json(scratch / "query_output.json").get("status_dictionary", {})
    token = parameters.get("token", {})
    return {
        "mtime": scratch.stat().st_mtime,
        "ctime": scratch.stat().st_ctime,
        **match.groupdict(),
        "request_completed": output.get("job_status") == "done",
        "analysis_parameters": parameters,
        "file_list": [os.fspath(path) for path in scratch.iterdir()],
        "email_history": history,
        "matrix_message_history": [],
        "fits_files": fits_files,
        "job_monitor": monitors,
        **({"token_expired": token["exp"] < time.time()} if "exp" in token else {}),
    }


def _json(path: Path) -> dict:
    """Content of a file, which may not be there, or not be whole yet."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _receive_mail(port: int, directory: str) -> None:
    """A mail server beside the dispatcher, which puts all that it gets into a directory (Maildir)."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Mailbox

    Controller(Mailbox(directory), hostname="127.0.0.1", port=port).start()


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


INDEX_COLUMNS = {
    "SWID": lambda window: window.name,
    "REVOL": lambda window: int(window.name[:4]),
    "SW_TYPE": lambda window: ("POINTING", "SLEW", "ENGINEERING")[int(window.name[-1])],
    "TSTART": lambda window: window.start,
    "TSTOP": lambda window: window.stop,
    "TELAPSE": lambda window: (window.stop - window.start) * 86400.0,
    "RA_SCX": lambda window: window.ra,
    "DEC_SCX": lambda window: window.dec,
    "IBISMODE": lambda window: window.mode,
}
"""Of the index of science windows; the real one has some more."""


def _index_time(text: str) -> float:
    """IJD, MJD or ISO text, of which the time scale is nobody's concern."""
    from astropy.time import Time

    try:
        number = float(text)
    except ValueError:
        return Time(text).mjd - 51544.0
    return number if number < 10000.0 else number - 51544.0


def _add_time_system(app) -> None:
    """
    ``/gw/timesystem/.../scwlist``: another service at the dispatcher's address, which lists science windows.

    As there, a place or length that is not a number is passed over, and an error of the columns comes for each index.
    """
    import sky
    from flask import jsonify, request

    def refusal(problem: object):
        return jsonify(problem), 400

    def windows(readiness: str, start: str, stop: str):
        kinds = {"any": ("nrt", "cons"), "nrt": ("nrt",), "cons": ("cons",)}.get(readiness.lower())
        if kinds is None:
            return refusal({"bad request": "readiness undefined"})
        version = request.args.get("index_version")
        if len(kinds) > 1 and version is not None:
            return refusal({"bad request": 'index version can only be set with "cons" or "nrt" source, not "any"'})
        if version is not None and not version[:1].isdigit():
            return refusal({"bad request": "non-conforming index version"})
        try:
            times = [_index_time(text) for text in (start, stop)]
        except ValueError as error:
            return refusal({"bad request": f"failed to interpret time: {error!r}"})
        asked = request.args.get("return_columns", "SWID").split(",")
        ra, dec, radius, least = (
            request.args.get(name, type=float) for name in ("ra", "dec", "radius", "min_good_isgri")
        )
        near = None not in (ra, dec, radius)

        def matches(window: sky.Window) -> bool:
            return (
                window.start < times[1]
                and window.stop > times[0]
                and not (near and sky.separation(window.ra, window.dec, ra, dec) >= radius)
                # elapsed time, although the name says good time of ISGRI
                and (least is None or (INDEX_COLUMNS["TELAPSE"](window) > least and window.mode == sky.SCIENCE_MODE))
            )

        unknown = [name for name in asked if name not in INDEX_COLUMNS]
        if unknown:
            text = f"undefined column name {unknown[0]}, have: {', '.join(INDEX_COLUMNS)}"
            return refusal([{f"problem in {kind.upper()}": text} for kind in kinds])
        found = [window for kind in kinds for window in sky.index(kind) if matches(window)]
        output = {name: [INDEX_COLUMNS[name](window) for window in found] for name in asked}
        if "return_columns" not in request.args:
            output = sorted(set(output["SWID"]))
        if request.args.get("return_index_version") == "yes":
            told = version or (sky.INDEX_VERSION[kinds[0]] if len(kinds) == 1 else None)
            return jsonify({"scwlist": output, "index_version": told})
        return jsonify(output)

    rule = "/gw/timesystem/api/v1.0/scwlist/<string:readiness>/<string:start>/<string:stop>"
    app.add_url_rule(rule, "time_system", windows)


def _add_archive(app, archive: str) -> None:
    """``/tap`` and ``/files`` of an archive (``tests/local_tap``) at the dispatcher's address, as in newer servers."""
    import urllib.error
    import urllib.request

    from flask import Response, request

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def forward(path: str):
        asked = urllib.request.Request(archive + request.full_path, request.get_data() or None, method=request.method)
        if request.content_type:
            asked.add_header("Content-Type", request.content_type)
        try:
            reply = direct.open(asked, timeout=60)
        except urllib.error.HTTPError as error:
            reply = error
        with reply:
            # the archive calls its files by its own address
            body = reply.read().replace(archive.encode(), request.host_url.rstrip("/").encode())
            return Response(body, status=reply.status, content_type=reply.headers.get("Content-Type"))

    for route in ("tap", "files"):
        app.add_url_rule(f"/{route}/<path:path>", f"archive_{route}", forward, methods=["GET", "POST"])


def main(*additions: Callable) -> None:
    """Serve until terminated; each addition is called with the application before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configuration", type=Path)
    parser.add_argument("--parent", type=int, help="end together with this process")
    parser.add_argument("--without-instrument-list", action="store_true", help="no /instr-list, like bare 1.3.3")
    parser.add_argument(
        "--without-time-system", action="store_true", help="no list of science windows, like 1.3.3 alone"
    )
    parser.add_argument("--mail", nargs=2, metavar=("PORT", "DIRECTORY"), help="receive mail there")
    parser.add_argument("--archive", metavar="ADDRESS", help="hand over /tap and /files to the archive there")
    options = parser.parse_args()
    if options.parent is not None:
        _end_with(options.parent, options.configuration.parent)

    _prepare()
    _separate_requests()
    from cdci_data_analysis.flask_app.app import app, conf_app

    conf_app(os.fspath(options.configuration))
    _make_directories_in_turn()
    _make_one_instrument()
    _add_process(app)
    _replace_resolver(app)
    _restrict_instruments()
    _add_token_refresh(app)
    _add_job_records(app)
    if not options.without_instrument_list:
        _add_instrument_list(app)
    if not options.without_time_system:
        _add_time_system(app)
    if options.archive:
        _add_archive(app, options.archive)
    for add in additions:
        add(app)
    if options.mail:
        _receive_mail(int(options.mail[0]), options.mail[1])
    bind = app.config["conf"]
    # threads: the reports of the jobs come in while other requests are being answered
    app.run(host=bind.bind_host, port=bind.bind_port, threaded=True)


if __name__ == "__main__":
    main()
