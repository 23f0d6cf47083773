# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The service's routes: what can be asked, and the plain values that come back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from astroquery import log

from ..auth.token import Token, TokenAuth
from ..errors import AuthenticationError, ServiceError, without_frames
from ..text import is_id, printable
from .http import Answer, Fields, Http, Patience, retrying
from .replies import content_of, error_from_body, error_of


@dataclass(frozen=True)
class Routes:
    """
    A MMODA dispatcher at one address, asked in the name of one user.

    Built when needed and thrown away, so that a changed address or a new login counts at once.

    Parameters
    ----------
    url : str
        Base address.
    http : Http
        Sends.
    auth : TokenAuth, optional
        Gives the token for requests that may have it.
    patience : Patience
        How long each request may take.
    """

    url: str
    http: Http = field(repr=False)
    auth: TokenAuth | None = field(default=None, repr=False)
    patience: Patience = Patience()

    # ---- instruments and names

    def instruments(self, *, openly: bool = False) -> list[str]:
        """Names of the instruments that are open to this user, or, without a token in the address, to everybody."""
        answer = self._ask("instr-list", auth=None if openly else self.auth)
        if answer.status == 404:  # dispatcher 1.3.3 has it under another path, with an instrument (any)
            answer = self._ask("api/instr-list", {"instrument": "mock"})
        return self._names(answer, "the list of instruments")

    def metadata(self, instrument: str) -> Any:
        """Description of an instrument: its products and parameters."""
        what = f"the description of {printable(instrument)}"
        return content_of(self._described("api/meta-data", instrument), what, self.url)

    def parameter_names(self, instrument: str) -> list[str]:
        """Names of all arguments that an instrument takes, formats and units among them."""
        return self._names(self._described("api/par-names", instrument), f"the parameters of {printable(instrument)}")

    def resolve_name(self, name: str) -> Mapping[str, Any]:
        """What the service's resolver has of an object; the key ``RA`` is missing if nothing."""
        return self._mapping(self._ask("resolve_name", {"name": name}), "the name resolver's reply")

    # ---- analyses

    def run_analysis(self, fields: Mapping[str, str]) -> tuple[dict[str, Any], int]:
        """Reply to a new analysis or about one that runs, without tokens, and its size in bytes."""
        answer = self._ask("run_analysis", form=fields, auth=self.auth)
        reply = content_of(answer, "the reply to an analysis", self.url)
        if not isinstance(reply, dict):
            raise ServiceError("The service answered an analysis with something that is not a reply to it.")
        if "query_status" not in reply:
            raise error_from_body(reply, status=answer.status)
        return reply, len(answer.body)

    def resolve_job(self, job_id: str, session_id: str) -> str:
        """Address that holds all parameters of a job, as the service's e-mails lead to; it is not followed."""
        query = {"job_id": job_id, "session_id": session_id}
        if self.auth is None:
            query["token"] = ""  # this route requires exactly three parameters
        answer = self._ask("resolve-job-url", query, auth=self.auth)
        if 300 <= answer.status < 400:
            return answer.location
        raise error_of(answer, "the parameters of the job", self.url)

    def job_records(self, job_id: str | None = None, *, days: float = 30.0) -> list[dict[str, Any]]:
        """The service's own records of this user's jobs, or of one of them."""
        query = {"recent_days": repr(float(days))}
        if job_id is not None:
            query["job_id"] = job_id[:8]  # with more of it the service finds nothing
        answer = self._ask("inspect-user-state", query, auth=self.auth)
        found = self._mapping(answer, "the records of your jobs").get("records")
        if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
            raise ServiceError(f"{self.url} did not send a list of your jobs.")
        known = [record for record in found if is_id(record.get("job_id")) and is_id(record.get("session_id"))]
        if len(known) < len(found):
            log.warning("%d records of jobs without a valid id are left out.", len(found) - len(known))
        return known

    # ---- tokens

    def check_token(self) -> None:
        """Ask whether the service accepts the token; `AuthenticationError` if not, `ServiceError` if it can't tell."""
        answer = self._ask("update_token_email_options", form={"query_status": "new"}, auth=self.auth)
        if answer.status in (400, 403):
            # whatever the text says: there was nothing but the token in the request
            raise AuthenticationError(str(error_of(answer, "the check of the token", self.url)))
        self._token(answer)

    def new_token(self, options: Mapping[str, str] | None = None) -> Token:
        """A token with a longer life, or with other e-mail options."""
        if options is None:
            return self._token(self._ask("refresh_token", {"query_status": "new"}, auth=self.auth))
        form = {"query_status": "new", **options}
        return self._token(self._ask("update_token_email_options", form=form, auth=self.auth))

    # ---- the archive of published products, which is never given the token

    def query_archive(self, form: Mapping[str, str]) -> Answer:
        """Answer to an ADQL query, whatever it is."""
        return self._archived("tap/sync", "the archive of published products", form)

    def archive_tables(self) -> Answer:
        """Description of the archive's tables."""
        return self._archived("tap/tables", "the archive's tables")

    def gallery_page(self, name: str) -> Mapping[str, Any]:
        """What the gallery has of an object; empty if nothing."""
        answer = self._ask("get_astro_entity_info_by_source_name", {"src_name": name})
        return self._mapping(answer, "the gallery's page of an object")

    # ---- science windows, which are never given the token either

    def time_system(self, path: str, query: Mapping[str, str]) -> Answer:
        """Answer of INTEGRAL's time system to a search for science windows, whatever it is."""
        return self._ask(f"gw/timesystem/api/v1.0/scwlist/{path}", query)

    # ---- from an answer to its meaning

    def _archived(self, route: str, what: str, form: Fields = None) -> Answer:
        """An answer of the archive's service, which has errors of its own making."""
        answer = self._ask(route, form=form)
        if answer.status == 404 or 300 <= answer.status < 400:
            raise error_of(answer, what, self.url)
        return answer

    def _described(self, route: str, instrument: str) -> Answer:
        """An answer about an instrument, with the token in the address only where it is not for everybody."""
        answer = self._ask(route, {"instrument": instrument})
        if answer.status == 403 and self.auth is not None:
            answer = self._ask(route, {"instrument": instrument}, auth=self.auth)
        return answer

    def _names(self, answer: Answer, what: str) -> list[str]:
        names = content_of(answer, what, self.url)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
        raise ServiceError(f"{self.url} did not send {what}. Is it the address of a MMODA dispatcher?")

    def _mapping(self, answer: Answer, what: str) -> Mapping[str, Any]:
        found = content_of(answer, what, self.url)
        return found if isinstance(found, dict) else {}

    @without_frames
    def _token(self, answer: Answer) -> Token:
        """The token that an answer is, the one kind of answer that is not JSON."""
        if answer.status == 200:
            with suppress(AuthenticationError, UnicodeDecodeError):
                return Token(answer.body.decode("ascii"))
        raise error_of(answer, "a new token", self.url)

    def _ask(self, route: str, query: Fields = None, *, form: Fields = None, auth: TokenAuth | None = None) -> Answer:
        """One request, repeated after temporary faults."""
        url, until = f"{self.url.rstrip('/')}/{route}", self.patience.until
        return retrying(lambda: self.http.ask(url, query, form=form, auth=auth, until=until), self.patience, self.url)
