# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What each command does."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from astropy.table import Table
from astroquery import log

from ..auth.places import from_keyring, from_prompt, token_states
from ..auth.token import Token
from ..core import MmodaClass
from ..errors import AuthenticationError, MmodaError, without_frames
from ..jobs.job import Job
from ..jobs.run import submit_query, wait_for_products
from ..jobs.waiting import how_to_continue, longest_wait
from ..markup import facts_text
from ..products.forms import in_form
from ..request.query import Query
from ..text import printable
from .given import position_text, query_arguments
from .messages import in_words_of_the_shell
from .saving import check_directory, save_form, save_products
from .tables import table_text

_Print = Callable[[str], None]
_LONGEST_TOKEN = 100_000


class CommandClient(MmodaClass):
    """A client that looks for a token in the keyring, too, as each command is a process of its own."""

    def __init__(self, server: str | None = None) -> None:
        super().__init__(server)
        self._account.uses_keyring = True

    def submit(self, kind: str, arguments: dict[str, Any]) -> Job:
        """Submit a query of any kind."""
        query = Query.of_arguments(arguments.pop("instrument"), arguments.pop("coordinates", None), arguments)
        job: Job = submit_query(kind, query, self._builder, self._connect(query.token))
        return job

    def job(self, name: str) -> Job:
        """Find an earlier job; one of another server is asked for with the token for that."""
        job = self.get_job(name)
        server = job.connection.server
        return job if server == self.URL else CommandClient(server).get_job(job.job_id)

    def known_session(self) -> dict[str, Any]:
        """What the token says with which queries are made."""
        self._connect()
        return self.session_info()


def perform(arguments: argparse.Namespace, show: _Print) -> None:
    """Do what the arguments say; ``show`` prints."""
    client = CommandClient(arguments.server)
    _COMMANDS[arguments.command](client, arguments, show)


def _show_table(table: Table, arguments: argparse.Namespace, show: _Print) -> None:
    show(table_text(table, arguments.format, fit=bool(sys.__stdout__ and sys.__stdout__.isatty())))


# ---- lists


def _instruments(client: CommandClient, arguments: argparse.Namespace, show: _Print) -> None:
    _show_table(client.list_instruments(), arguments, show)


def _parameters(client: CommandClient, arguments: argparse.Namespace, show: _Print) -> None:
    table = client.list_parameters(arguments.instrument, arguments.product)
    table["description"] = [in_words_of_the_shell(text) for text in table["description"].tolist()]
    if arguments.format == "text":
        table.remove_columns(["optional"] if arguments.product is None else ["optional", "product"])
    _show_table(table, arguments, show)


def _windows(client: CommandClient, arguments: argparse.Namespace, show: _Print) -> None:
    position = position_text(arguments.position) if arguments.position else arguments.name
    _show_table(client.query_science_windows(position, arguments.radius, arguments.time), arguments, show)


def _jobs(client: CommandClient, arguments: argparse.Namespace, show: _Print) -> None:
    table = client.list_jobs()
    if arguments.format == "text":
        table = table["job_id", "status", "product", "source", "energy_range", "submitted", "server"]
        table["submitted"] = [text[:16] for text in table["submitted"].tolist()]
        if len(set(table["server"].tolist())) < 2:
            del table["server"]
    _show_table(table, arguments, show)


def _diagnose(client: CommandClient, arguments: argparse.Namespace, show: _Print) -> None:
    with suppress(MmodaError):  # the report has what is wrong
        client.known_session()
    show(client.diagnose())


# ---- queries and jobs


def _query(client: CommandClient, arguments: argparse.Namespace, show: _Print) -> None:
    kind, given = arguments.kind, query_arguments(client, arguments)
    if arguments.out is not None:
        check_directory(arguments.out)
    begin, source, timeout = time.monotonic(), given.pop("source", None), given.pop("timeout", None)
    limit = longest_wait(timeout)
    if arguments.windows_per_job is not None:
        with _continued_by("The same command again continues: jobs that were submitted go on at the service."):
            form = getattr(client, f"query_{kind}")(given.pop("instrument"), **given, timeout=limit, source=source)
        _show_table(save_form(kind, form, arguments.out, overwrite=arguments.overwrite), arguments, show)
        return
    with _continued_by("The same command again is safe: equal requests are computed once."):
        job = client.submit(kind, given)
    if arguments.submit:
        _show_job(job, arguments, show, job.job_id)
        return
    _write_result(job, limit, begin, kind, arguments, show)


def _wait(client: CommandClient, arguments: argparse.Namespace, show: _Print) -> None:
    job = client.job(arguments.job)
    with _continued_by(how_to_continue(job)):
        job.wait(arguments.timeout)
    _show_job(job, arguments, show, job.status)
    job.raise_if_error()


def _result(client: CommandClient, arguments: argparse.Namespace, show: _Print) -> None:
    check_directory(arguments.out)
    limit = longest_wait(arguments.timeout)
    _write_result(client.job(arguments.job), limit, time.monotonic(), "product", arguments, show)


def _write_result(job: Job, limit: float, begin: float, kind: str, arguments: argparse.Namespace, show: _Print) -> None:
    with _continued_by(how_to_continue(job)):
        products = wait_for_products(job, limit, begin)
    advice = f"The products are not lost: 'mmoda result {job.job_id} --out DIR' writes them."
    try:
        options = {"source": arguments.source, "overwrite": arguments.overwrite}
        with _continued_by(advice):
            manifest = save_products(products, arguments.out, kind, **options)
    except (MmodaError, OSError) as error:
        if (manifest := getattr(error, "manifest", None)) is not None:
            _show_table(manifest, arguments, show)
        log.info(advice)
        raise
    _show_table(manifest, arguments, show)
    in_form(kind, products, arguments.source)  # says what is missing


def _show_job(job: Job, arguments: argparse.Namespace, show: _Print, text: str) -> None:
    if arguments.format == "text":
        show(text)
    else:
        names = ("job_id", "status", "instrument", "product")
        _show_table(Table(rows=[[getattr(job, name) for name in names]], names=names), arguments, show)


@contextmanager
def _continued_by(advice: str) -> Iterator[None]:
    """Say how to go on after an interrupt."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(in_words_of_the_shell(advice))
        raise


# ---- tokens


def _token(client: CommandClient, arguments: argparse.Namespace, show: _Print) -> None:
    if arguments.action == "logout":
        client.logout(delete_stored=True)
        for place, state in token_states():
            log.warning("There is still a token in %s (%s), which must be removed there.", place, state)
        return
    if arguments.action == "login":
        _log_in(client, arguments.store or "keyring")
    elif arguments.action == "refresh":
        place = client.known_session()["location"]
        if place == "environment" and arguments.store is None:
            advice = "choose where the new one is to be kept: --store keyring, home or cwd"
            raise AuthenticationError(f"The token is in ODA_TOKEN, which only your shell can change; {advice}.")
        client.refresh_token(store_token=arguments.store or True, force=arguments.force)
    # what the next command will find
    session = CommandClient(arguments.server).known_session()
    facts = {name: _session_text(value) for name, value in session.items() if value}
    if not facts:
        log.info("Queries to %s find no token, and are anonymous.", client.URL)
    if arguments.format == "text":
        show(facts_text([*facts.items()]))
    else:
        _show_table(Table([facts] if facts else None), arguments, show)


@without_frames
def _log_in(client: CommandClient, place: str) -> None:
    token = (
        from_prompt(client.URL)
        if _is_terminal()
        else Token("" if sys.stdin is None else sys.stdin.read(_LONGEST_TOKEN))
    )
    client.login(token, store_token=place)
    if place == "keyring" and from_keyring(client.URL) != token.secret:
        advice = "'mmoda token login --store home' keeps it in ~/.oda-token, which only you can read"
        raise AuthenticationError(f"The token is accepted, but no keyring keeps it, so it will not be found; {advice}.")


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _session_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {option}" for name, option in value.items())
    return printable(", ".join(value) if isinstance(value, list) else value)


_COMMANDS: dict[str, Callable[[CommandClient, argparse.Namespace, _Print], None]] = {
    "instruments": _instruments,
    "parameters": _parameters,
    "windows": _windows,
    "query": _query,
    "jobs": _jobs,
    "wait": _wait,
    "result": _result,
    "token": _token,
    "diagnose": _diagnose,
}
