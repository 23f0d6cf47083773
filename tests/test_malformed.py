"""Replies with fields of wrong JSON types: an error of ours that names what is wrong, or a result with sense."""

from __future__ import annotations

import copy
import json
import warnings

import pytest

from astroquery_mmoda import DecodingError, MmodaClass, MmodaError, Products, ServiceError
from astroquery_mmoda.request.metadata import read_metadata
from astroquery_mmoda.service.replies import failure
from tests.scripted_server import Reply, ScriptedServer

WRONG = [None, True, 0, -1.5, float("nan"), 10**400, "", "x", "[1]", "{}", [], [1], [[]], ["x", None], {}, {"a": 1}]
REPLIES = ["isgri_image_4_ready", "isgri_lc_real", "isgri_spectrum_dummy", "spi_acs_lc_real", "nb_everything_4_done"]
LONGEST = 2000


def paths(value, *, depth=0, path=()):
    """Ways to every field that may be read, but for the headers' cards and the parameters."""
    if depth > 6:
        return
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        if key not in ("header", "analysis_parameters", "api_code", "cat_column_list", "instrument_parameters"):
            yield from paths(item, depth=depth + 1, path=(*path, key))


def with_wrong(body, path, wrong):
    """A copy with one field replaced; nothing else of it is copied."""
    top = copy.copy(body)
    part = top
    for key in path[:-1]:
        part[key] = copy.copy(part[key])
        part = part[key]
    part[path[-1]] = wrong
    return top


def small(body):
    """A reply with the first products of each list only."""
    products = {key: value[:3] if isinstance(value, list) else value for key, value in body["products"].items()}
    return {**body, "products": products}


def some(number):
    """Two of the wrong values, others each time."""
    return [WRONG[(5 * number + step) % len(WRONG)] for step in (0, len(WRONG) // 2)]


def is_short(error):
    return len(str(error)) < LONGEST


def walk(products):
    """Everything that a user would look at."""
    str(products), products._repr_html_(), products.table, products.sources, products.comment, products.job_id
    for product in products:
        assert isinstance(product.name, str)
        assert isinstance(product.source, str)
        repr(product), str(product)
        try:
            product.data  # noqa: B018 - decodes
        except MmodaError as error:
            too_long = not is_short(error)
        else:
            too_long = False
        assert not too_long


@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.filterwarnings("ignore")
def test_every_field_of_a_reply(recorded, name):
    body = small(recorded(name))
    for number, path in enumerate(list(paths(body))):
        for wrong in some(number):
            try:
                walk(Products.from_response(with_wrong(body, path, wrong)))
            except MmodaError as error:
                if not is_short(error):
                    pytest.fail(f"{path}: a message of {len(str(error))} characters")
            except Exception as error:  # noqa: BLE001 - the point of the test
                pytest.fail(f"{'.'.join(map(str, path))} = {wrong!r}: {type(error).__name__}: {error}")


def reply(**changes):
    return {
        "query_status": "done",
        "exit_status": {"status": 0, "message": ""},
        "job_monitor": {"job_id": "0123456789abcdef"},
        "session_id": "ABCDEFGHIJKLMNOP",
        "products": {"text_product_list": [{"name": "remark", "value": "fine"}]},
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"exit_status": ["x"]}, "exit_status must be an object"),
        ({"job_monitor": [1]}, "job_monitor must be an object"),
        ({"job_monitor": {"job_id": ["0123"]}}, "job_monitor.job_id must be 1 to 64 letters"),
        ({"products": "none"}, "products must be an object"),
        ({"products": {"analysis_parameters": {"src_name": ["Crab"]}}}, "src_name of analysis_parameters must be text"),
        ({"products": {"text_product_list": [{"name": ["x"], "value": 1}]}}, "name of a product must be text"),
        ({"products": {"text_product_list": [{"name": {"x": 1}, "value": 1}]}}, "name of a product must be text"),
        ({"products": {"numpy_data_product_list": [{"name": "a", "meta_data": [1]}]}}, "meta_data of .* JSON object"),
        (
            {"products": {"numpy_data_product_list": [{"name": "a", "meta_data": {"src_name": {"a": 1}}}]}},
            "src_name of .* must be text",
        ),
    ],
)
def test_a_malformed_reply_is_refused(changes, says):
    with pytest.raises(DecodingError, match=says):
        Products.from_response(reply(**changes))


UNIT = {"name": "A", "hdu_type": "image", "header": {}, "binarys": None, "data": None}


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        ({}, "expected data or binarys in a unit, got neither"),
        ({"name": "A", "header": {}}, "expected data or binarys"),
        ({**UNIT, "hdu_type": []}, "malformed data|hdu_type"),
        ({**UNIT, "header": [1]}, "expected a dictionary of at most"),
    ],
)
def test_a_malformed_unit_is_refused(unit, says):
    body = reply(products={"numpy_data_product_list": [{"name": "a", "data_unit_list": [UNIT, unit]}]})
    (product,) = Products.from_response(body)
    with pytest.raises(DecodingError, match=says):
        product.data  # noqa: B018 - decodes


def test_a_good_reply_is_taken():
    body = reply(products={"numpy_data_product_list": [{"name": None, "meta_data": None, "data_unit_list": [UNIT]}]})
    assert len(Products.from_response(body)[0].data) == 1
    assert len(Products.from_response({"query_status": "done", "products": {"text_product_list": []}})) == 0


# ---- while a job is waited for


@pytest.fixture(scope="module")
def service(recorded):
    """A service whose answers are set by the tests."""
    answers = {"api/meta-data": recorded("meta_data_isgri"), "instr-list": ["isgri"], "api/par-names": []}

    def answer(request):
        found = next((body for route, body in answers.items() if request.path.endswith(route)), {})
        return Reply(json.dumps(found))

    with ScriptedServer(answer) as server:
        server.answers = answers
        yield server


@pytest.fixture
def client(service):
    return MmodaClass(server=service.url)


WHEN = {"coordinates": "83.6 22.0", "radius": 5, "time_range": (58000, 58001)}


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in ("isgri_image_1_submitted", "isgri_image_3_progress", "failed_isgri_analysis")
     for field in ("query_status", "exit_status", "job_monitor", "products", "session_id", "job_status")],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_a_submission_with_a_malformed_answer(client, service, recorded, name, field):
    body = recorded(name)
    inner = [(field, key) for key in body[field]] if isinstance(body[field], dict) else []
    for number, path in enumerate([(field,), *inner]):
        for wrong in some(number):
            service.answers["run_analysis"] = with_wrong(body, path, wrong)
            try:
                job = client.submit_image("isgri", **WHEN)
                assert job.job_id or job.status == "failed", path
                assert isinstance(job.job_id, str), path
                str(job), job._repr_html_(), job.messages, job.progress, job.to_dict()
            except MmodaError as error:
                if not is_short(error):
                    pytest.fail(f"{path}: a message of {len(str(error))} characters")
            except Exception as error:  # noqa: BLE001 - the point of the test
                pytest.fail(f"{'.'.join(path)} = {wrong!r}: {type(error).__name__}: {error}")


def test_an_answer_without_a_job(client, service):
    service.answers["run_analysis"] = {"query_status": "submitted", "products": {}}
    with pytest.raises(ServiceError, match="gave no job_id"):
        client.submit_image("isgri", **WHEN)


# ---- the other routes


@pytest.mark.parametrize(
    "wrong", [wrong for wrong in WRONG if wrong not in ([], ["x", None])] + [["x", None], [{}]], ids=repr
)
def test_lists_of_instruments(client, service, wrong):
    service.answers["instr-list"] = wrong
    try:
        with pytest.raises(ServiceError):
            client.list_instruments()
    finally:
        service.answers["instr-list"] = ["isgri"]


@pytest.mark.parametrize("wrong", [wrong for wrong in WRONG if wrong != []], ids=repr)
def test_lists_of_parameters(client, service, wrong):
    service.answers["api/par-names"] = wrong
    try:
        with pytest.raises(ServiceError, match="did not send the parameters|JSON"):
            client.query_image("isgri", **WHEN, strange=5, get_query_payload=True)
    finally:
        service.answers["api/par-names"] = []


@pytest.mark.parametrize("instrument", ["isgri", "example"])
def test_every_field_of_the_metadata(recorded, instrument):
    body = recorded(f"meta_data_{instrument}")
    for number, path in enumerate(list(paths(body))):
        for wrong in some(number):
            try:
                schema = read_metadata(with_wrong(body, path, wrong), instrument)
                schema.list_parameters()
                assert all(isinstance(name, str) for name in schema.products)
            except MmodaError as error:
                if not is_short(error):
                    pytest.fail(f"{path}: a message of {len(str(error))} characters")
            except Exception as error:  # noqa: BLE001 - the point of the test
                pytest.fail(f"{path} = {wrong!r}: {type(error).__name__}: {error}")


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("key", ["RA", "DEC"])
def test_a_resolver_that_sends_no_position(client, service, monkeypatch, key, wrong):
    monkeypatch.setattr("astroquery_mmoda.request.positions.from_sesame", lambda name, until: "of Sesame")
    service.answers["resolve_name"] = {"name": "Crab", "RA": 83.6, "DEC": 22.0, key: wrong}
    client.clear_cache()
    is_angle = wrong in (0, -1.5) and not isinstance(wrong, bool)
    assert isinstance(client.resolve_name("Crab"), str) is not is_angle


# ---- no pointings


@pytest.mark.parametrize(
    "body",
    [
        {"exit_status": {"message": "", "debug_message": "DDAException('AnalysisException:NoValidScW()')"}},
        {"exit_status": {"message": "failed", "debug_message": "AnalysisException:NoValidScW()."}},
        {"job_monitor": {"full_report_dict_list": [{"action": "failed", "message": "AnalysisException:NoValidScW()"}]}},
        {
            "exit_status": {"message": "failed: submitted job"},
            "job_monitor": {"full_report_dict": {"message": "NoValidScW()", "action": "failed"}},
        },
    ],
)
def test_no_pointings_are_explained(body):
    error = failure({"query_status": "failed", **body})
    text = str(error)
    assert type(error).__name__ == "JobFailed"
    assert "NoValidScW()" in text
    assert "no INTEGRAL pointings match the position, radius, times and data rights" in text
    for advice in ("radius=", "time_range=", "query_science_windows", "intscw", "integral_data_rights"):
        assert advice in text


def test_other_failures_are_not_explained_so(recorded):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "pointings match" not in str(failure(recorded("failed_spi_acs_no_data")))
