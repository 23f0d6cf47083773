"""One marked token, every public call, all logs open, all caches on: where does the token turn up?"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import pickle
import traceback
from pathlib import Path

import pytest
from astropy import units as u
from astropy.io import fits
from astroquery import cache_conf, log

from astroquery_mmoda import AuthenticationError, MmodaClass, MmodaError, Token, conf
from tests.scripted_server import Reply, ScriptedServer, analysis_reply
from tests.tokens import mint

RESPONSES = Path(__file__).parent / "data" / "responses"
MARKED = mint(jti="marked")
# a token of which only a part shows is shown all the same
PARTS = [MARKED, MARKED.split(".")[1][:40], MARKED.split(".")[2]]


def shows(text: object) -> bool:
    return any(part in str(text) for part in PARTS)


def echoing(name: str, path: str) -> dict:
    """A recorded reply in which the service sends our token back everywhere it can."""
    body = json.loads((RESPONSES / f"{name}.json").read_text())["json"]
    body = json.loads(json.dumps(body).replace("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "X"))
    if isinstance(body, dict) and "products" in body:
        body["products"]["analysis_parameters"]["token"] = MARKED
        body["products"]["api_code"] = f'par_dict = {{"token": "{MARKED}"}}'
        body["products"]["echo"] = {"token": MARKED, "url": f"https://x/?token={MARKED}"}
        report = {"action": "done", "message": f"started with token={MARKED}", "token": MARKED}
        body["job_monitor"]["full_report_dict_list"] = [report]
        body["exit_status"]["comment"] = f"your token is {MARKED}"
    return body


class Walk:
    """Everything that a user could look at afterwards."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.values: list[object] = []

    def __call__(self, action):
        """Do something; keep its result, or its error with the whole chain and traceback."""
        try:
            value = action()
        except (MmodaError, TypeError, ValueError) as error:
            chain = error
            while chain is not None:
                self.seen += [repr(chain), repr(chain.__dict__), *traceback.format_exception(chain)]
                for frame, _ in traceback.walk_tb(chain.__traceback__):
                    if "astroquery_mmoda" in frame.f_code.co_filename:
                        self.seen += [repr(local) for local in list(frame.f_locals.values())]
                with contextlib.suppress(Exception):
                    self.seen.append(str(pickle.dumps(chain)))
                chain = chain.__cause__ or chain.__context__
            return None
        self.keep(value)
        return value

    def keep(self, value: object) -> None:
        self.values.append(value)
        self.seen += [repr(value), str(value)]
        with contextlib.suppress(Exception):
            self.seen.append(value._repr_html_())
        with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
            self.seen.append(pickle.dumps(value).decode("latin-1"))
        if isinstance(value, fits.HDUList):
            self.seen += [repr(hdu.header) for hdu in value]


@pytest.fixture
def everything_logged():
    """All loggers at DEBUG and below, into one text; the cache of astroquery on."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setLevel(1)
    loggers = [logging.getLogger(), log, *(logging.getLogger(name) for name in ("urllib3", "requests", "astropy"))]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(1)
        logger.addHandler(handler)
    with cache_conf.set_temp("cache_active", True):
        yield stream
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


def answer(request):
    replies = {
        "/instr-list": ["isgri"],
        "/api/meta-data": json.loads((RESPONSES / "meta_data_isgri.json").read_text())["json"],
        "/api/par-names": ["whatever"],
        "/resolve_name": {"name": "Crab", "RA": 83.6, "DEC": 22.0, "token": MARKED},
    }
    if request.path in replies:
        return Reply(replies[request.path])
    if request.path == "/refresh_token":
        return Reply(mint(hours=100))
    if request.path == "/update_token_email_options":
        return Reply(mint())
    product = request.form.get("product_type")
    if request.form.get("E1_keV") == "21.0":  # the ways of failing
        return Reply({"error_message": f"bad token={MARKED}", "error": "RequestNotUnderstood():x"}, 400)
    if request.form.get("E1_keV") == "22.0":
        return Reply(f"<html>{MARKED}</html>", 200)
    if request.form.get("E1_keV") == "23.0":
        return Reply("", 302, {"Location": f"https://elsewhere.example/?token={MARKED}"})
    if request.form.get("E1_keV") == "24.0":
        failed = analysis_reply("failed")
        failed["exit_status"]["message"] = f"token was {MARKED}"
        return Reply(failed)
    if request.form.get("E1_keV") == "25.0":
        return Reply(b"", fault="reset")
    if request.form.get("E1_keV") == "26.0":
        return Reply(analysis_reply("submitted"))
    recorded = {
        "isgri_image": "isgri_image_6_done",
        "isgri_lc": "isgri_lc_real",
        "isgri_spectrum": "isgri_spectrum_real",
    }
    return Reply(echoing(recorded[product], request.path))


# the recorded replies are answers to other questions
@pytest.mark.filterwarnings("ignore:The service changed a parameter")
def test_the_token_is_where_it_belongs_and_nowhere_else(everything_logged, ring, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("astroquery_mmoda.service.http._pause", lambda attempt, asked: 0.01)
    walk = Walk()
    field = {"coordinates": "Crab", "time_range": (57818.5, 57818.6), "radius": 8 * u.deg}
    with ScriptedServer(answer) as server:
        client = MmodaClass(server=server.url)
        client.cache_location = tmp_path / "cache"
        walk(lambda: client.login("not" + MARKED[3:]))
        walk(lambda: client.login(MARKED, store_token=True))
        for action in (
            client.list_instruments,
            lambda: client.list_products("isgri"),
            lambda: client.list_parameters("isgri"),
            lambda: client.resolve_name("Crab"),
            client.session_info,
            client.authenticated,
            lambda: client.query_science_windows("Crab", 10, field["time_range"]),
            lambda: client.query_image("isgri", **field),
            lambda: client.query_catalog("isgri", **field),
            lambda: client.query_spectrum("isgri", **field),
            lambda: client.query_lightcurve("isgri", **field),
            lambda: client.query_image("isgri", **field, get_query_payload=True),
            lambda: client.query_image("isgri", **field, nonsense=1),
            lambda: client.query_image("isgri", **field, token=MARKED),
            lambda: client.query_image("isgri", **field, parameters={"token": MARKED}),
        ):
            walk(action)
        products = walk(lambda: client.query_product("isgri", product="isgri_lc", **field))
        walk.keep(products.parameters)
        walk.keep(products.comment)
        walk.keep(products.table)
        for product in products:
            walk.keep(vars(product))
        walk(lambda: products.write(tmp_path / "written"))
        with conf.set_temp("retry_time", 0.5):
            for energy in (21, 22, 23, 24, 25):
                walk(lambda energy=energy: client.query_image("isgri", **field, energy_range=(energy, 80) * u.keV))
        walk(lambda: client.query_image("isgri", **field, energy_range=(26, 80) * u.keV, timeout=0))
        job = walk(lambda: client.submit_image("isgri", **field, energy_range=(26, 80) * u.keV))
        walk.keep(vars(job))
        walk.keep(job.messages)
        walk.keep(client)
        walk.keep({name: value for name, value in vars(client).items()})
        walk.keep(client._session.headers)  # noqa: SLF001 - of astroquery
        walk(lambda: client.set_email_notifications(False))
        client.login(MARKED)
        walk(lambda: client.refresh_token())
        client.logout()
        walk.keep(vars(client))

    for seen in walk.seen:
        assert not shows(seen), seen[max(0, seen.find(PARTS[1]) - 200) :][:600]
    assert not shows(everything_logged.getvalue())
    assert not any(shows(stream) for stream in capfd.readouterr())
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert not shows(path.read_bytes().decode("latin-1")), path
    assert ring.kept["astroquery:127.0.0.1", "mmoda-token"] == MARKED

    in_query = {request.path for request in server.requests if shows(request.line)}
    in_form = {request.path for request in server.requests if shows(request.form)}
    assert in_query <= {"/instr-list", "/api/meta-data", "/api/par-names", "/refresh_token"}
    assert in_form == {"/run_analysis", "/update_token_email_options"}
    assert not any(shows(request.headers) for request in server.requests)


def test_nothing_of_it_in_an_error_of_the_http_library():
    client = MmodaClass(server="http://127.0.0.1:9")
    with conf.set_temp("retry_time", 0):
        client.login(MARKED)
        with pytest.raises(MmodaError) as caught:
            client.refresh_token()
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert not shows("".join(traceback.format_exception(error)))


def test_a_marked_token_can_be_seen():
    """The check above can fail."""
    assert shows(Token(MARKED).secret)
    with pytest.raises(AuthenticationError):
        Token("x")
