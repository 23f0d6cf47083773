"""
Every route with answers that are almost like genuine ones: out come values or errors of ours, in words fit to be read.

The answers are the recorded ones, with fields of other values, bytes, headers and statuses; which, a seed decides.
"""

from __future__ import annotations

import copy
import json
import random
import socket
import tempfile
import unicodedata
import warnings
from contextlib import nullcontext
from pathlib import Path

import pytest
from astropy.table import Table

from astroquery_mmoda import MmodaClass, MmodaError, ParameterError, ServiceError, conf
from astroquery_mmoda.jobs import journal
from astroquery_mmoda.request.metadata import read_metadata
from astroquery_mmoda.request.records import misunderstood
from tests.raw_server import RawServer
from tests.scripted_server import Reply, ScriptedServer
from tests.tokens import mint

SEEDS = range(12)
LONGEST = 2000
# what the recorded replies are about
JOB, SESSION = "bc0582f30061217d", "ABCDEFGHIJKLMNOP"
VOTABLE = (
    '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
    '<TABLE><FIELD name="obs_title" datatype="char" arraysize="*"/><FIELD name="t_min" datatype="double" unit="d"/>'
    '<FIELD name="s_ra" datatype="double" unit="deg"/><FIELD name="access_url" datatype="char" arraysize="*"/><DATA>'
    "<TABLEDATA><TR><TD>Crab image</TD><TD>57000.5</TD><TD>83.63</TD><TD>f.fits</TD></TR></TABLEDATA></DATA></TABLE>"
    "</RESOURCE></VOTABLE>"
)
TABLES = (
    '<?xml version="1.0"?><vosi:tableset xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1">'
    "<schema><name>ivoa</name><table><name>obscore</name><description>d</description><column><name>s_ra</name>"
    "<description>x</description><unit>deg</unit><dataType>double</dataType></column></table></schema></vosi:tableset>"
)
WINDOWS = json.dumps(
    {
        "scwlist": {
            "SWID": ["090100010010", "090100010021", "090100020010"],
            "RA_SCX": [83.6, 83.0, 84.5],
            "DEC_SCX": [22.0, 22.4, 23.5],
            "TSTART": [3709.1, 3709.14, 3709.15],
            "TSTOP": [3709.14, 3709.15, 3709.19],
            "TELAPSE": [3456.0, 864.0, 3456.0],
        },
        "index_version": "20240101",
    }
)
# names of recorded replies, or texts
ROUTES = {
    "instr-list": ["instr_list", "error_instr_list_expired", "instr_list_developer"],
    "meta-data": ["meta_data_isgri", "meta_data_example", "error_meta_data_restricted"],
    "par-names": ["par_names_isgri", "error_meta_data_unknown_instrument"],
    "resolve_name": ["resolve_name_Crab", "resolve_name_missing", "resolve_name_boom"],
    "resolve-job-url": ["resolve_job_url", "resolve_job_url_error"],
    "inspect-user-state": ["inspect_user_state_job", "inspect_state_job_grouped", "error_inspect_role"],
    "refresh_token": ["refresh_token", "error_refresh_role", "error_refresh_too_long"],
    "update_token_email_options": ["update_token_email_options", "error_update_token_bad"],
    "sync": [VOTABLE, "tap_sync_bad_adql", "tap_sync_no_db"],
    "tables": [TABLES, "tap_tables_unconfigured"],
    "get_astro_entity_info_by_source_name": ["gallery_get_astro_entity_info_by_source_name"],
    "f.fits": ["SIMPLE  = T"],
    "2010-02-27T00:10:00.000": [WINDOWS, '{"error": "index"}', '{"bad request": "time"}'],
    "run_analysis": ["isgri_image_1_submitted", "isgri_image_3_progress", "failed_isgri_worker", "nb_failing_1_submitted"],
    "products": ["isgri_lc_empty", "isgri_image_6_done", "error_lost_job", "error_400_parameter_limit"],
}  # fmt: skip

ASK = {"instrument": "isgri", "product": "isgri_image", "time_range": (58193, 58195), "get_query_payload": False}
CALLS = {
    "list_instruments": (lambda m: m.list_instruments(), ["instr-list", "meta-data"]),
    "list_products": (lambda m: m.list_products("isgri"), ["meta-data", "instr-list"]),
    "list_parameters": (lambda m: m.list_parameters("isgri"), ["meta-data"]),
    "query_product": (lambda m: m.query_product(coordinates="1 2", timeout=0.4, progress=False, **ASK), ["products"]),
    "wait": (lambda m: m.submit_product(coordinates="1 2", **ASK).wait(0.2).messages, ["run_analysis"]),
    "a name": (lambda m: m.query_product(coordinates="Crab", **ASK | {"get_query_payload": True}), ["resolve_name"]),
    "a parameter": (lambda m: m.query_product(coordinates="1 2", odd=1, **ASK | {"get_query_payload": True}), ["par-names"]),
    "query_many": (lambda m: raised(m.query_many("product", [{"coordinates": "1 2", "timeout": 0.4, **MANY}])), ["products"]),
    "get_job": (lambda m: str(m.get_job(JOB, session_id=SESSION)), ["resolve-job-url"]),
    "get_job of a record": (lambda m: (m.login(mint()), str(m.get_job(JOB)))[1], ["inspect-user-state"]),
    "list_jobs": (lambda m: (m.login(mint()), m.list_jobs())[1], ["inspect-user-state"]),
    "refresh_token": (lambda m: (m.login(mint()), m.refresh_token(store_token=False))[1], ["refresh_token"]),
    "mail": (lambda m: (m.login(mint()), m.set_email_notifications(store_token=False, done=True))[1], ["update_token_email_options"]),
    "login": (lambda m: m.login(mint(), store_token=True), ["update_token_email_options"]),
    "query_science_windows": (lambda m: m.query_science_windows("83.6 22", 5, ("2010-02-26", "2010-02-27")), ["2010-02-27T00:10:00.000"]),
    "query_region": (lambda m: m.query_region("83.6 22", 1), ["sync"]),
    "query_object": (lambda m: m.query_object("Crab"), ["sync", "resolve_name", "get_astro_entity_info_by_source_name"]),
    "list_tables": (lambda m: m.list_tables(), ["tables"]),
    "list_columns": (lambda m: m.list_columns("ivoa.obscore"), ["tables", "sync"]),
    "query_tap": (lambda m: m.query_tap("SELECT * FROM ivoa.obscore"), ["sync"]),
    "download_products": (lambda m: downloaded(m), ["f.fits"]),
}  # fmt: skip
MANY = {name: value for name, value in ASK.items() if name != "get_query_payload"}

ODD = [
    None, True, 0, -1, 7.5, 1e300, float("nan"), float("inf"), 10**400, "", "x", "[1]", "{}", "null", "nan", "1e999",
    "a\x1b[31mred\x07", "left\u202eright", "\0", "\ud800", "line\nline\r", "z" * 5000, "\u20ac" * 3000, "token=" + mint(),
    "http://[", "<script>", "%s%n{0}", "99999-01-01T00:00:00", "../../etc/passwd", [], [1], [[]], ["x", None], {}, {"a": 1},
    {"": {}}, [[[[[[[]]]]]]], {"a\nb": ["\x1b"]}, ["name"] * 3000,
]  # fmt: skip
ODD_HEADERS = {
    "Retry-After": ["\xb2", "-1", "9" * 5000, "Fri, 31 Dec 99999 23:59:59 GMT", "soon", "\0"],
    "Content-Length": ["\xb2", "-1", "1, 2", "9" * 400, "9" * 5000, "", "0x10", "\xa0"],
    "Content-Type": ["\xb2", "", "text/html", "a" * 60000, ";charset=\xff", "application/json; charset=utf-16", "image/png"],
    "Content-Encoding": ["gzip", "deflate", "br", "zstd", "gzip, gzip", "\xb2", "a, " * 50, "x" * 60000],
    "Transfer-Encoding": ["chunked", "gzip", "\xb2", "chunked, chunked"],
    "Location": ["http://[", "\xb2", "", "//", "http://\0/", "http://x:99999/", "javascript:x", "?a=" + "b" * 50000,
                 "http://u:p@h/?job_id=1", "http://h/?a=%zz&instrument=%00", "?instrument=isgri&product_type=x&RA=\xff"],
    "Content-Range": ["bytes 5-", "bytes x", "\xb2"],
    "ETag": ["\xb2", '"', '"' + "x" * 50000, '"\0"'],
    "Last-Modified": ["\xb2", "Fri, 31 Dec 99999 23:59:59 GMT"],
    "Set-Cookie": ["a=b; expires=Fri, 31 Dec 99999 23:59:59 GMT", "\xb2", "a" * 60000],
    "Content-Disposition": ["attachment; filename=../../x", "\xb2"],
    "WWW-Authenticate": ["Digest \xb2", 'Basic realm="'],
    "Connection": ["\xb2", "upgrade"],
    "X\x01Y": ["1"],
    "\xb2": ["1"],
}  # fmt: skip
STATUSES = ["100", "101", "150", "204", "206", "299", "300", "301", "304", "400", "401", "403", "404", "405", "416", "418", "429", "500",
            "503", "599", "600", "999", "000", "99", "-1", "\xb2", "", "2e2"]  # fmt: skip


def raised(outcomes):
    """The outcome of the only query, or its error raised."""
    outcome = dict(outcomes)[0]
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def downloaded(client):
    with tempfile.TemporaryDirectory() as place:
        manifest = client.download_products(Table({"access_url": ["f.fits"]}), directory=place)
        for name in Path(place).rglob("*"):
            assert name.parent == Path(place)
    return manifest


class Odd(RawServer):
    """Answers like the service, but for one route, where a seed decides what is changed."""

    def __init__(self, routes, seed):
        super().__init__(lambda: [])
        self.routes, self.random = routes, random.Random(seed)
        self.routes_changed = {self.random.choice(routes)} | ({routes[0]} if seed % 2 else set())

    def _talk(self, connection):
        if self._read_request(connection):
            connection.sendall(self.answer(self.requests[-1]))
            connection.shutdown(socket.SHUT_WR)

    def answer(self, head):
        route = head.split()[1].partition(b"?")[0].rpartition(b"/")[2].decode("latin-1")
        if route == "run_analysis" and "products" in self.routes:
            route = "products"
        template = self.random.choice(ROUTES[route]) if route in self.routes else ROUTES[route][0]
        status, headers, body = recorded(template)
        if route in self.routes_changed:
            status, headers, body = self.changed(status, headers, body)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            lines.append(f"Content-Length: {len(content)}")
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace") + content

    def changed(self, status, headers, body):
        """One answer with a fault, or several."""
        for _ in range(self.random.choice([1, 1, 2, 4])):
            kind = self.random.choice(["field", "field", "field", "missing", "whole", "bytes", "status", "header"])
            if kind == "status":
                status = self.random.choice(STATUSES)
            elif kind == "header":
                name = self.random.choice(list(ODD_HEADERS))
                headers = headers | {name: self.random.choice(ODD_HEADERS[name])}
            elif kind == "whole":
                body = self.random.choice(ODD)
            elif kind == "bytes" or isinstance(body, bytes):
                body = self.spoilt(body if isinstance(body, bytes) else json.dumps(body).encode())
            else:
                body = self.with_odd_field(body, missing=kind == "missing")
        return status, headers, body

    def spoilt(self, body):
        place = self.random.randrange(len(body) + 1)
        piece = self.random.choice(
            [b"\0", b"\xff\xfe", b"<", b'"', b"&#0;", b"9" * 500, b"{" * 2000, b"[" * 100_000, b"\xef\xbb\xbf", b""]
        )
        return (
            body[:place]
            + piece
            + (b"" if self.random.random() < 0.3 else body[place + self.random.choice([0, 1, 9]) :])
        )

    def with_odd_field(self, body, *, missing):
        body = copy.deepcopy(body)
        part = body
        while True:
            keys = list(part) if isinstance(part, dict) else list(range(len(part))) if isinstance(part, list) else []
            if not keys:
                return self.random.choice(ODD)
            key = self.random.choice(keys)
            deeper = isinstance(part[key], (dict, list)) and part[key] and self.random.random() < 0.8
            if not deeper:
                break
            part = part[key]
        if missing:
            del part[key]
        else:
            part[key] = self.random.choice(ODD)
        return body


def recorded(name):
    """Status, headers and body of a recorded reply, or of a text; a token of today in the place of a recorded one."""
    if name.startswith("{"):
        return "200", {"Content-Type": "application/json"}, json.loads(name)
    if not name.isidentifier():
        return "200", {"Content-Type": "text/xml"}, name.encode()
    record = json.loads((Path(__file__).parent / "data" / "responses" / f"{name}.json").read_text(encoding="utf-8"))
    headers = {key: value for key, value in record["headers"].items() if key in ("Content-Type", "Location")}
    if (
        name == "refresh_token"
    ):  # the recorded one expires on a fixed day, and would then be worth less than the old one
        record["text"] = mint(hours=48)
    return str(record["status_code"]), headers, record["json"] if "json" in record else record["text"].encode()


def is_fit(text):
    hidden = {
        character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    }
    return len(text) < LONGEST and not hidden - {"\n"}


def try_one(call, routes, seed):
    """What came out, if it is a fault of ours."""
    with Odd(routes, seed) as server, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            value = call(MmodaClass(server=server.url))
            str(value), repr(value)
        except MmodaError as error:
            if not is_fit(str(error)):
                return f"seed {seed}: {type(error).__name__} of {len(str(error))} characters: {str(error)[:300]!r}"
        except Exception as error:  # noqa: BLE001 - the point of the test
            return f"seed {seed}: {type(error).__name__}: {str(error)[:300]}"
    for each in told:
        if not is_fit(str(each.message)):
            return f"seed {seed}: a warning of {len(str(each.message))} characters: {str(each.message)[:300]!r}"
    return None


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("astropy.coordinates.SkyCoord.from_name", no_such_object)
    with conf.set_temp("retry_time", 0), conf.set_temp("timeout", 5), conf.set_temp("poll_interval_max", 0.05):
        yield


def no_such_object(name):
    from astropy.coordinates.name_resolve import NameResolveError

    raise NameResolveError(f"Unable to find coordinates for name {name!r}")


@pytest.fixture(autouse=True)
def _own_journal(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "get_config_dir", lambda: str(tmp_path / "config"))


@pytest.mark.parametrize("name", CALLS)
def test_odd_answers(name):
    faults = [fault for seed in SEEDS if (fault := try_one(*CALLS[name], seed))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_genuine_answers(name, monkeypatch):
    """What the other test is made of works, where nothing is changed."""
    call, routes = CALLS[name]
    monkeypatch.setattr(Odd, "changed", lambda self, *answer: answer)
    monkeypatch.setattr(random.Random, "choice", lambda self, options: options[0])
    expected = {"wait": "is not over", "a parameter": "Unknown parameter 'odd'", "mail": "lacks roles"}
    with (
        Odd(routes, 1) as server,
        pytest.raises(MmodaError, match=expected[name]) if name in expected else nullcontext(),
    ):
        value = call(MmodaClass(server=server.url))
        assert value is not None


# ---- what is large


MANY_NAMES = [f"instrument {number} \x1b[31m\u202e" for number in range(5000)]
LARGE = {
    "instruments": {"instr-list": MANY_NAMES, "meta-data": (400, {"error_message": "x" * 5000, "error": "BadRequest(): x"})},
    "products": {"meta-data": [[{"prod_dict": dict.fromkeys(MANY_NAMES, "q")}, [{"query_name": "q"}]]]},
    "parameters": {
        "meta-data": [[{"prod_dict": {"isgri_image": "q"}}, [{"query_name": "q"}, *({"name": name, "value": 1} for name in MANY_NAMES)]]],
        "par-names": MANY_NAMES,
    },
    "choices": {
        "meta-data": [[{"prod_dict": {"isgri_image": "q"}}, [{"query_name": "q"}, {
            "name": "src_name", "value": MANY_NAMES[0], "restrictions": {"allowed_values": MANY_NAMES}}]]],
    },
    "an error": {"meta-data": (500, {"error_message": "\x1b" * 5000, "debug_message": "y\u2066" * 5000, "error": "z" * 5000})},
    "a page": {"meta-data": (500, "<html>" + "\x07" * 5000)},
}  # fmt: skip


@pytest.mark.parametrize("kind", LARGE)
def test_messages_stay_short(kind):
    def answer(request):
        found = LARGE[kind].get(request.path.rpartition("/")[2], [])
        status, body = found if isinstance(found, tuple) else (200, found)
        return Reply(body, status)

    with ScriptedServer(answer) as server, pytest.raises(MmodaError) as caught:
        MmodaClass(server=server.url).query_image("isgri", "1 2", src_name="Crab", time_range=(58193, 58195), odd=1)
    assert is_fit(str(caught.value))


@pytest.mark.parametrize(
    "wrong", [10**400, -(10**400), "9" * 5000, "1e999"], ids=["large", "small", "digits", "exponent"]
)
@pytest.mark.parametrize("key", ["min_value", "max_value"])
def test_limits_beyond_all_numbers(key, wrong):
    row = {"name": "p", "value": 1.0, "units": "keV", "restrictions": {key: wrong}}
    try:
        schema = read_metadata([[{"prod_dict": {"a": "q"}}, [{"query_name": "q"}, row]]], "i")
    except ServiceError as error:
        assert is_fit(str(error))  # noqa: PT017 - one of two outcomes
    else:
        assert abs(schema.list_parameters("a")["min" if key == "min_value" else "max"][0]) == float("inf")


@pytest.mark.parametrize("understood", [10**400, float("nan"), float("inf"), "9" * 5000, [10**400], {"a": 10**400}])
def test_what_the_service_understood_is_compared(understood):
    assert len(misunderstood({"RA": "1.0"}, {"RA": understood})) == 1


@pytest.mark.parametrize("page", [{"source_ra": 10**400, "source_dec": 1}, {"source_ra": 1, "source_dec": 91}, {"source_ra": "nan", "source_dec": 1},
                                  {"source_ra": True, "source_dec": 1}, {"source_ra": [1], "source_dec": {}}])  # fmt: skip
def test_a_gallery_that_tells_no_position(page):
    with ScriptedServer(
        lambda request: Reply(page if "gallery" in request.path or "astro_entity" in request.path else {})
    ) as server:
        adql = MmodaClass(server=server.url).query_object("Crab", get_query_payload=True)
    assert "CIRCLE" not in adql


@pytest.mark.parametrize("link", ["http://[?job_id=1", "https://[::1?x=y", "http://]/?a=b"])
def test_links_that_are_no_addresses(link):
    with pytest.raises(ParameterError):
        MmodaClass(server="http://127.0.0.1:9").get_job(link)
